/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From key symbols to keys: what a guest with the layout makes of them is what the viewer typed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <rfb/keysym.h>

#include "console/console.h"
#include "vnc/keymap.h"

enum { LED_NUM = 2, LED_CAPS = 4 };
enum { UP = 0x10000 };

static struct {
    struct keyboard kb;
    uint32_t keys[64]; /* codes; UP: released */
    unsigned count;
} t;

static void note(void *opaque, uint16_t code, bool down)
{
    if (t.count < sizeof(t.keys) / sizeof(t.keys[0]))
        t.keys[t.count++] = code | (down ? 0 : UP);
}

static void use(const char *layout)
{
    static struct keymap *map;
    struct error err;

    keymap_close(map);
    map = keymap_open(layout, &err);
    if (!map)
        fail_msg("%s", err.text);
    keyboard_init(&t.kb, map, note, NULL);
    t.count = 0;
}

static void expect(const uint32_t *keys, unsigned count)
{
    assert_int_equal(t.count, count);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(t.keys[i], keys[i]);
    t.count = 0;
}

#define EXPECT(...)                                                                                          \
    expect((const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))
#define EXPECT_NOTHING() expect(NULL, 0)

static void press(uint32_t keysym)
{
    keyboard_symbol(&t.kb, keysym, true, LED_NUM);
}

static void release(uint32_t keysym)
{
    keyboard_symbol(&t.kb, keysym, false, LED_NUM);
}

static void tap(uint32_t keysym)
{
    press(keysym);
    release(keysym);
}

static void test_plain_and_shifted(void **state)
{
    use("en-us");
    tap('a');
    EXPECT(0x1E, 0x1E | UP);
    press(XK_Shift_L);
    tap('A');
    tap('!');
    release(XK_Shift_L);
    EXPECT(0x2A, 0x1E, 0x1E | UP, 0x02, 0x02 | UP, 0x2A | UP);
    tap(' ');
    tap(XK_Return);
    tap(XK_F1);
    tap(XK_F12);
    EXPECT(0x39, 0x39 | UP, 0x1C, 0x1C | UP, 0x3B, 0x3B | UP, 0x58, 0x58 | UP);
    press(XK_Shift_L);
    tap(' ');
    release(XK_Shift_L);
    EXPECT(0x2A, 0x39, 0x39 | UP, 0x2A | UP);
}

/* Tools that type send capitals without shift; viewers with another layout hold other modifiers. */
static void test_modifiers_are_made_right(void **state)
{
    use("en-us");
    tap('A');
    EXPECT(0x2A, 0x1E, 0x2A | UP, 0x1E | UP);
    press(XK_Shift_L);
    tap('7'); /* with shift on a French keyboard */
    EXPECT(0x2A, 0x2A | UP, 0x08, 0x2A, 0x08 | UP);
    tap('/'); /* and shift+7 on a German one */
    EXPECT(0x2A | UP, 0x35, 0x2A, 0x35 | UP);
    release(XK_Shift_L);
    EXPECT(0x2A | UP);
    press(XK_Shift_L);
    press(XK_Shift_R);
    tap('7');
    EXPECT(0x2A, 0x36, 0x2A | UP, 0x36 | UP, 0x08, 0x36, 0x2A, 0x08 | UP);
}

static void test_altgr(void **state)
{
    use("de");
    press(0xFE03);
    tap('@');
    release(0xFE03);
    EXPECT(0xE038, 0x10, 0x10 | UP, 0xE038 | UP);
    tap('@'); /* from a US keyboard */
    EXPECT(0xE038, 0x10, 0xE038 | UP, 0x10 | UP);
    tap(0x20AC);
    EXPECT(0xE038, 0x12, 0xE038 | UP, 0x12 | UP);
    tap(0x010020AC);
    EXPECT(0xE038, 0x12, 0xE038 | UP, 0x12 | UP);
    use("en-us");
    press(XK_Alt_R);
    tap('x');
    release(XK_Alt_R);
    EXPECT(0xE038, 0x2D, 0x2D | UP, 0xE038 | UP);
}

/* AltGr is a key like another; what it chooses on the viewer's side alone, the guest does not get it with. */
static void test_altgr_in_layouts_without_it(void **state)
{
    static const char *const layouts[] = {"en-us", "ja", "th"};
    static const uint32_t symbols[] = {0xFE03, 0xFF7E};

    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++) {
            use(layouts[i]);
            tap(symbols[k]);
            EXPECT(0xE038, 0xE038 | UP);
        }
    use("en-us");
    press(0xFE03);
    tap('@');
    release(0xFE03);
    EXPECT(0xE038, 0x2A, 0xE038 | UP, 0x03, 0xE038, 0x2A | UP, 0x03 | UP, 0xE038 | UP);
}

static void test_layouts(void **state)
{
    use("de");
    tap('z');
    tap('y');
    tap(0xFC);
    EXPECT(0x15, 0x15 | UP, 0x2C, 0x2C | UP, 0x1A, 0x1A | UP);
    use("fr");
    tap('a');
    tap('1');
    EXPECT(0x10, 0x10 | UP, 0x2A, 0x02, 0x2A | UP, 0x02 | UP);
    use("ru");
    tap(0x6C6); /* Cyrillic ef */
    tap(0x6E6);
    tap(0x01000444);
    EXPECT(0x1E, 0x1E | UP, 0x2A, 0x1E, 0x2A | UP, 0x1E | UP, 0x1E, 0x1E | UP);
    use("ja");
    tap('@');
    tap('_');
    EXPECT(0x1A, 0x1A | UP, 0x2A, 0x73, 0x2A | UP, 0x73 | UP);
    use("en-gb");
    tap(0xA3);
    EXPECT(0x2A, 0x04, 0x2A | UP, 0x04 | UP);
}

/* Every printable character of ASCII can be typed in every layout that xkeyboard-config has, and the letters
 * fall back where it has others. */
static void test_ascii_everywhere(void **state)
{
    char line[512], name[64];
    bool layouts = false;
    unsigned count = 0;
    FILE *list = fopen(KEYMAP_DATA "/rules/evdev.lst", "r");

    assert_non_null(list);
    while (fgets(line, sizeof(line), list)) {
        if (line[0] == '!')
            layouts = strstr(line, "! layout") != NULL;
        else if (layouts && sscanf(line, "%63s", name) == 1 && strcmp(name, "custom") != 0)
            count++;
        else
            continue;
        if (!layouts || line[0] == '!')
            continue;
        use(name);
        for (uint32_t c = ' '; c < 0x7F; c++) {
            t.count = 0;
            tap(c);
            if (!t.count)
                fail_msg("%s: no key for '%c'", name, (char)c);
            for (unsigned word = 0; word < 8; word++)
                assert_int_equal(t.kb.down[word], 0);
        }
    }
    fclose(list);
    assert_in_range(count, 80, 200);
}

/* QEMU's names, variants, and what is none. */
static void test_names_of_layouts(void **state)
{
    static const char *const good[] = {
        "ar", "bepo", "cz", "da",    "de",    "de-ch",    "en-gb",   "en-us",     "es", "et",
        "fi", "fo",   "fr", "fr-be", "fr-ca", "fr-ch",    "hr",      "hu",        "is", "it",
        "ja", "lt",   "lv", "mk",    "nl",    "nl-be",    "no",      "pl",        "pt", "pt-br",
        "ru", "sl",   "sv", "th",    "tr",    "us(intl)", "de(neo)", "us(dvorak)"};
    static const char *const bad[] = {"",           "klingon", "us(",   "us()",  "us)",
                                      "us(nosuch)", "../us",   "us,de", "en-uss"};
    struct error err;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        use(good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (keymap_open(bad[i], &err))
            fail_msg("%s is a layout", bad[i]);
    assert_string_equal(err.text, "-k en-uss: no such keyboard layout; did you mean en-us?");
    use("us(intl)");
    tap(0xFE51); /* dead acute, its apostrophe */
    EXPECT(0x28, 0x28 | UP);
    use("us(dvorak)");
    tap('s');
    EXPECT(0x27, 0x27 | UP);
}

static void test_dead_keys(void **state)
{
    use("de");
    tap(0xE9); /* e with acute: dead acute, e */
    EXPECT(0x0D, 0x0D | UP, 0x12, 0x12 | UP);
    tap(0xC8);
    EXPECT(0x2A, 0x0D, 0x2A | UP, 0x0D | UP, 0x2A, 0x12, 0x2A | UP, 0x12 | UP);
    tap('^');
    EXPECT(0x29, 0x29 | UP, 0x39, 0x39 | UP);
    tap(0xFE51); /* the dead key itself */
    EXPECT(0x0D, 0x0D | UP);
}

static void test_caps_lock(void **state)
{
    use("en-us");
    keyboard_symbol(&t.kb, 'A', true, LED_CAPS); /* the guest makes capitals already */
    EXPECT(0x1E);
    keyboard_symbol(&t.kb, 'A', false, LED_CAPS);
    EXPECT(0x1E | UP);
    keyboard_symbol(&t.kb, 'a', true, LED_CAPS);
    EXPECT(0x2A, 0x1E, 0x2A | UP);
    keyboard_symbol(&t.kb, 'a', false, LED_CAPS);
    EXPECT(0x1E | UP);
    keyboard_symbol(&t.kb, '!', true, LED_CAPS);
    EXPECT(0x2A, 0x02, 0x2A | UP);
}

static void test_keypad(void **state)
{
    use("en-us");
    tap(XK_KP_7);
    EXPECT(0x47, 0x47 | UP);
    tap(XK_KP_Home); /* the guest's Num Lock is on: the other Home */
    EXPECT(0xE047, 0xE047 | UP);
    keyboard_symbol(&t.kb, XK_KP_7, true, 0);
    keyboard_symbol(&t.kb, XK_KP_7, false, 0);
    EXPECT(0x08, 0x08 | UP);
    keyboard_symbol(&t.kb, XK_KP_Home, true, 0);
    keyboard_symbol(&t.kb, XK_KP_Home, false, LED_NUM); /* the key that was pressed is released */
    EXPECT(0x47, 0x47 | UP);
    tap(XK_KP_Enter);
    tap(XK_KP_Add);
    EXPECT(0xE01C, 0xE01C | UP, 0x4E, 0x4E | UP);
}

static void test_commands(void **state)
{
    use("en-us");
    press(XK_Control_L);
    press(XK_Alt_L);
    press(XK_Delete);
    keyboard_release_all(&t.kb);
    EXPECT(0x1D, 0x38, 0xE053, 0x1D | UP, 0x38 | UP, 0xE053 | UP);
    press(XK_Control_L);
    tap('C'); /* no shift comes into it */
    release(XK_Control_L);
    EXPECT(0x1D, 0x2E, 0x2E | UP, 0x1D | UP);
    use("ru");
    press(XK_Control_L);
    tap('c');
    release(XK_Control_L);
    EXPECT(0x1D, 0x2E, 0x2E | UP, 0x1D | UP);
    tap(XK_Pause);
    EXPECT(CONSOLE_KEY_PAUSE, CONSOLE_KEY_PAUSE | UP);
}

/* Shift goes up before the key: its release comes as another symbol. */
static void test_release_as_another_symbol(void **state)
{
    use("en-us");
    press(XK_Shift_L);
    press('A');
    release(XK_Shift_L);
    release('a');
    EXPECT(0x2A, 0x1E, 0x2A | UP, 0x1E | UP);
    release('q'); /* was never pressed */
    EXPECT_NOTHING();
}

static void test_nonsense(void **state)
{
    use("fr");
    for (uint32_t i = 0; i < 100000; i++)
        press(i * 2654435761u);
    keyboard_release_all(&t.kb);
    for (unsigned word = 0; word < 8; word++)
        assert_int_equal(t.kb.down[word], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_and_shifted),
        cmocka_unit_test(test_modifiers_are_made_right),
        cmocka_unit_test(test_altgr),
        cmocka_unit_test(test_altgr_in_layouts_without_it),
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_names_of_layouts),
        cmocka_unit_test(test_ascii_everywhere),
        cmocka_unit_test(test_dead_keys),
        cmocka_unit_test(test_caps_lock),
        cmocka_unit_test(test_keypad),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_release_as_another_symbol),
        cmocka_unit_test(test_nonsense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
