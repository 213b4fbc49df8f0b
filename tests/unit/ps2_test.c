/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PS/2 keyboard and mouse behind the controller: commands, scan code sets, packets, bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hw/input/ps2.h"

struct bench {
    pthread_mutex_t lock;
    struct clock clock;
    struct loop loop;
    struct console *console;
    struct ps2_keyboard kbd;
    struct ps2_mouse mouse;
    unsigned ready; /* how often the devices said that they have bytes */
};

static void ready(void *opaque)
{
    struct bench *b = opaque;

    b->ready++;
}

static int set_up(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));

    pthread_mutex_init(&b->lock, NULL);
    clock_init(&b->clock, CLOCK_MANUAL);
    loop_init(&b->loop, &b->lock, &b->clock);
    b->console = console_new(&b->loop);
    ps2_keyboard_init(&b->kbd, &b->clock, b->console, ready, b);
    ps2_keyboard_reset(&b->kbd);
    ps2_mouse_init(&b->mouse, b->console, ready, b);
    ps2_mouse_reset(&b->mouse);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;

    ps2_keyboard_destroy(&b->kbd);
    ps2_mouse_destroy(&b->mouse);
    console_free(b->console);
    loop_destroy(&b->loop);
    clock_destroy(&b->clock);
    free(b);
    return 0;
}

/* The next bytes are these, and no more follow. */
static void expect_keyboard(struct bench *b, const char *bytes, size_t count)
{
    uint8_t byte;

    for (size_t i = 0; i < count; i++) {
        assert_true(ps2_keyboard_take(&b->kbd, &byte));
        assert_int_equal(byte, (uint8_t)bytes[i]);
    }
    assert_false(ps2_keyboard_take(&b->kbd, &byte));
}

static void expect_mouse(struct bench *b, const char *bytes, size_t count)
{
    uint8_t byte;

    for (size_t i = 0; i < count; i++) {
        assert_true(ps2_mouse_take(&b->mouse, &byte));
        assert_int_equal(byte, (uint8_t)bytes[i]);
    }
    assert_false(ps2_mouse_take(&b->mouse, &byte));
}

#define KEYBOARD_SAYS(b, literal) expect_keyboard(b, literal, sizeof(literal) - 1)
#define MOUSE_SAYS(b, literal)    expect_mouse(b, literal, sizeof(literal) - 1)

static void keyboard_tell(struct bench *b, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ps2_keyboard_write(&b->kbd, bytes[i]);
}

static void mouse_tell(struct bench *b, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ps2_mouse_write(&b->mouse, bytes[i]);
}

#define TELL_KEYBOARD(b, literal) keyboard_tell(b, literal, sizeof(literal) - 1)
#define TELL_MOUSE(b, literal)    mouse_tell(b, literal, sizeof(literal) - 1)

static void tap(struct bench *b, uint16_t code)
{
    console_key(b->console, code, true);
    console_key(b->console, code, false);
}

static void test_keyboard_commands(void **state)
{
    struct bench *b = *state;

    TELL_KEYBOARD(b, "\xFF");
    KEYBOARD_SAYS(b, "\xFA\xAA");
    TELL_KEYBOARD(b, "\xF2");
    KEYBOARD_SAYS(b, "\xFA\xAB\x83");
    TELL_KEYBOARD(b, "\xEE");
    KEYBOARD_SAYS(b, "\xEE");
    TELL_KEYBOARD(b, "\xFE"); /* resend */
    KEYBOARD_SAYS(b, "\xEE");
    TELL_KEYBOARD(b, "\xED\x05");
    KEYBOARD_SAYS(b, "\xFA\xFA");
    assert_int_equal(console_leds(b->console), 5);
    TELL_KEYBOARD(b, "\xF3\x20");
    KEYBOARD_SAYS(b, "\xFA\xFA");
    TELL_KEYBOARD(b, "\xF0\x04"); /* there is no set 4 */
    KEYBOARD_SAYS(b, "\xFA\xFE");
    TELL_KEYBOARD(b, "\x42");
    KEYBOARD_SAYS(b, "\xFE");
    /* A command in the place of a parameter. */
    TELL_KEYBOARD(b, "\xED\xF2");
    KEYBOARD_SAYS(b, "\xFA\xFA\xAB\x83");
    TELL_KEYBOARD(b, "\xFF");
    assert_int_equal(console_leds(b->console), 0);
}

static void test_keyboard_enable(void **state)
{
    struct bench *b = *state;

    TELL_KEYBOARD(b, "\xF5");
    KEYBOARD_SAYS(b, "\xFA");
    tap(b, 0x1E);
    KEYBOARD_SAYS(b, "");
    TELL_KEYBOARD(b, "\xF4");
    KEYBOARD_SAYS(b, "\xFA");
    tap(b, 0x1E);
    KEYBOARD_SAYS(b, "\x1C\xF0\x1C");
    /* What waited is dropped by enabling anew. */
    tap(b, 0x1E);
    TELL_KEYBOARD(b, "\xF4");
    KEYBOARD_SAYS(b, "\xFA");
}

static void test_set_2(void **state)
{
    struct bench *b = *state;

    tap(b, 0xE048);
    KEYBOARD_SAYS(b, "\xE0\x75\xE0\xF0\x75");
    tap(b, 0x41); /* F7 */
    KEYBOARD_SAYS(b, "\x83\xF0\x83");
    tap(b, CONSOLE_KEY_PAUSE);
    KEYBOARD_SAYS(b, "\xE1\x14\x77\xE1\xF0\x14\xF0\x77");
    console_key(b->console, 0xE037, true);
    KEYBOARD_SAYS(b, "\xE0\x12\xE0\x7C");
    console_key(b->console, 0xE037, false);
    KEYBOARD_SAYS(b, "\xE0\xF0\x7C\xE0\xF0\x12");
    console_key(b->console, 0x38, true); /* Alt+Print Screen is SysRq */
    tap(b, 0xE037);
    KEYBOARD_SAYS(b, "\x11\x84\xF0\x84");
    console_key(b->console, 0x38, false);
    KEYBOARD_SAYS(b, "\xF0\x11");
    console_key(b->console, 0x1D, true); /* Ctrl+Pause is Break */
    tap(b, CONSOLE_KEY_PAUSE);
    KEYBOARD_SAYS(b, "\x14\xE0\x7E\xE0\xF0\x7E");
    console_key(b->console, 0x1D, false);
    KEYBOARD_SAYS(b, "\xF0\x14");
    /* Codes that no key has. */
    tap(b, 0);
    tap(b, 0xE11E);
    tap(b, 0x9E);
    tap(b, 0xE0C8);
    KEYBOARD_SAYS(b, "");
}

static void test_set_1(void **state)
{
    struct bench *b = *state;

    TELL_KEYBOARD(b, "\xF0\x01\xF0");
    ps2_keyboard_write(&b->kbd, 0);
    KEYBOARD_SAYS(b, "\xFA\xFA\xFA\xFA\x01");
    tap(b, 0xE048);
    KEYBOARD_SAYS(b, "\xE0\x48\xE0\xC8");
    tap(b, CONSOLE_KEY_PAUSE);
    KEYBOARD_SAYS(b, "\xE1\x1D\x45\xE1\x9D\xC5");
    tap(b, 0xE037);
    KEYBOARD_SAYS(b, "\xE0\x2A\xE0\x37\xE0\xB7\xE0\xAA");
}

static void test_set_3(void **state)
{
    struct bench *b = *state;

    TELL_KEYBOARD(b, "\xF0\x03");
    KEYBOARD_SAYS(b, "\xFA\xFA");
    tap(b, 0x1E); /* by default no release is told ... */
    KEYBOARD_SAYS(b, "\x1C");
    tap(b, 0x2A); /* ... except for shift and its like */
    KEYBOARD_SAYS(b, "\x12\xF0\x12");
    TELL_KEYBOARD(b, "\xF8");
    KEYBOARD_SAYS(b, "\xFA");
    tap(b, 0xE048);
    KEYBOARD_SAYS(b, "\x63\xF0\x63");
    tap(b, CONSOLE_KEY_PAUSE);
    KEYBOARD_SAYS(b, "\x62\xF0\x62");
    TELL_KEYBOARD(b, "\xFD\x1C\x32"); /* make only: A and B */
    KEYBOARD_SAYS(b, "\xFA\xFA\xFA");
    tap(b, 0x1E);
    tap(b, 0x2E);
    KEYBOARD_SAYS(b, "\x1C\x21\xF0\x21");
    TELL_KEYBOARD(b, "\xF7");
    KEYBOARD_SAYS(b, "\xFA");
    tap(b, 0x2E);
    KEYBOARD_SAYS(b, "\x21");
}

/* F13 to F24, the Korean keys, which tell no release, and those of Japan and Brazil, in each set. */
static void test_a8_keys_of_other_keyboards(void **state)
{
    static const struct {
        uint8_t code;
        const char *set1, *set2, *set3;
    } keys[] = {
        {0x64, "\x64\xE4", "\x08\xF0\x08", "\x7F\xF0\x7F"},
        {0x6E, "\x6E\xEE", "\x57\xF0\x57", ""},
        {0x76, "\x76\xF6", "\x5F\xF0\x5F", ""},
        {0x72, "\xF2", "\xF2", "\xF2"},
        {0x71, "\xF1", "\xF1", "\xF1"},
        {0x70, "\x70\xF0", "\x13\xF0\x13", "\x87\xF0\x87"},
        {0x73, "\x73\xF3", "\x51\xF0\x51", "\x51\xF0\x51"},
        {0x79, "\x79\xF9", "\x64\xF0\x64", "\x86\xF0\x86"},
        {0x7B, "\x7B\xFB", "\x67\xF0\x67", "\x85\xF0\x85"},
        {0x7D, "\x7D\xFD", "\x6A\xF0\x6A", "\x5D\xF0\x5D"},
        {0x7E, "\x7E\xFE", "\x6D\xF0\x6D", ""},
        {0x56, "\x56\xD6", "\x61\xF0\x61", "\x13\xF0\x13"},
    };
    struct bench *b = *state;

    for (uint8_t set = 1; set <= 3; set++) {
        ps2_keyboard_write(&b->kbd, 0xF0);
        ps2_keyboard_write(&b->kbd, set);
        ps2_keyboard_write(&b->kbd, 0xF8);
        KEYBOARD_SAYS(b, "\xFA\xFA\xFA");
        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
            const char *says = set == 1 ? keys[i].set1 : set == 2 ? keys[i].set2 : keys[i].set3;

            tap(b, keys[i].code);
            expect_keyboard(b, says, strlen(says));
        }
    }
}

/* Every scan code of set 2 that a key sends comes out of the translation as the code of set 1. */
static void test_translation(void **state)
{
    struct bench *b = *state;

    for (uint16_t code = 1; code < 0x80; code++) {
        uint8_t byte;

        console_key(b->console, code, true);
        assert_true(ps2_keyboard_take(&b->kbd, &byte));
        if (code != 0x71 && code != 0x72) /* the Korean keys, which have codes of their own */
            assert_int_equal(ps2_translate(byte), code);
    }
    assert_int_equal(ps2_translate(0), 0xFF);
    assert_int_equal(ps2_translate(0xFA), 0xFA);
    assert_int_equal(ps2_translate(0xAB), 0xAB);
}

/* Linux gives up a controller that has more than 16 bytes to flush. */
static void test_no_more_than_16_bytes_at_once(void **state)
{
    struct bench *b = *state;
    unsigned taken = 0, releases = 0;
    uint8_t byte;

    for (int i = 0; i < 100; i++)
        tap(b, 0x1E);
    while (ps2_keyboard_take(&b->kbd, &byte))
        taken++;
    assert_in_range(taken, 3, 16);
    /* The rest comes a little later, in order; of too many, releases are the last to be lost. */
    for (int round = 0; round < 100; round++) {
        clock_advance(&b->clock, clock_now(&b->clock) + 2 * NS_PER_MS);
        taken = 0;
        while (ps2_keyboard_take(&b->kbd, &byte)) {
            releases += byte == 0xF0;
            taken++;
        }
        assert_in_range(taken, 0, 16);
    }
    assert_in_range(releases, 60, 128);
    assert_int_equal(clock_deadline(&b->clock), -1);
    tap(b, 0x30);
    KEYBOARD_SAYS(b, "\x32\xF0\x32");
}

static void test_mouse_commands(void **state)
{
    struct bench *b = *state;

    TELL_MOUSE(b, "\xFF");
    MOUSE_SAYS(b, "\xFA\xAA\x00");
    TELL_MOUSE(b, "\xF2");
    MOUSE_SAYS(b, "\xFA\x00");
    TELL_MOUSE(b, "\xE8\x03\xF3\x28\xE7\xF4\xE9");
    MOUSE_SAYS(b, "\xFA\xFA\xFA\xFA\xFA\xFA\xFA\x30\x03\x28");
    TELL_MOUSE(b, "\xE8\x04");
    MOUSE_SAYS(b, "\xFA\xFE");
    TELL_MOUSE(b, "\xF6\xE9");
    MOUSE_SAYS(b, "\xFA\xFA\x00\x02\x64");
    TELL_MOUSE(b, "\xEE\x12\xF4\xEC");
    MOUSE_SAYS(b, "\xFA\x12\xF4\xFA");
    TELL_MOUSE(b, "\x01");
    MOUSE_SAYS(b, "\xFE");
    TELL_MOUSE(b, "\xF0\xE9");
    MOUSE_SAYS(b, "\xFA\xFA\x40\x02\x64");
}

static void test_mouse_stream(void **state)
{
    struct bench *b = *state;

    console_pointer_relative(b->console, 3, 4, 0, 0);
    MOUSE_SAYS(b, "");
    TELL_MOUSE(b, "\xF4");
    MOUSE_SAYS(b, "\xFA");
    console_pointer_relative(b->console, 3, 4, 0, 0);
    MOUSE_SAYS(b, "\x28\x03\xFC");
    console_pointer_relative(b->console, -1, -2, 0, POINTER_LEFT | POINTER_MIDDLE);
    MOUSE_SAYS(b, "\x1D\xFF\x02");
    console_pointer_relative(b->console, 0, 0, 0, POINTER_RIGHT);
    MOUSE_SAYS(b, "\x0A\x00\x00");
    console_pointer_relative(b->console, 0, 0, 5, POINTER_RIGHT); /* no wheel yet */
    MOUSE_SAYS(b, "");
    console_pointer_relative(b->console, 300, 0, 0, 0);
    MOUSE_SAYS(b, "\x08\xFF\x00\x08\x2D\x00");
    TELL_MOUSE(b, "\xE7");
    MOUSE_SAYS(b, "\xFA");
    console_pointer_relative(b->console, 3, 7, 0, 0);
    MOUSE_SAYS(b, "\x28\x03\xF2");
    TELL_MOUSE(b, "\xF0");
    MOUSE_SAYS(b, "\xFA");
    console_pointer_relative(b->console, 3, 7, 0, 0);
    MOUSE_SAYS(b, "");
    TELL_MOUSE(b, "\xEB");
    MOUSE_SAYS(b, "\xFA\x28\x03\xF9");
}

static void test_wheel_knocks(void **state)
{
    struct bench *b = *state;

    TELL_MOUSE(b, "\xF3\xC8\xF3\x64\xF3\x50\xF2");
    MOUSE_SAYS(b, "\xFA\xFA\xFA\xFA\xFA\xFA\xFA\x03");
    TELL_MOUSE(b, "\xF4");
    MOUSE_SAYS(b, "\xFA");
    console_pointer_relative(b->console, 0, 0, 1, 0);
    MOUSE_SAYS(b, "\x08\x00\x00\xFF");
    TELL_MOUSE(b, "\xF3\xC8\xF3\xC8\xF3\x50\xF2");
    MOUSE_SAYS(b, "\xFA\xFA\xFA\xFA\xFA\xFA\xFA\x04");
    console_pointer_relative(b->console, 0, 0, -2, 0x18);
    MOUSE_SAYS(b, "\x08\x00\x00\x32");
    TELL_MOUSE(b, "\xFF");
    MOUSE_SAYS(b, "\xFA\xAA\x00");
}

/* A guest that does not read costs nothing: movement adds up, buttons stay current, nothing overflows. */
static void test_mouse_unread(void **state)
{
    struct bench *b = *state;
    uint8_t packet[3];
    int x = 0;

    TELL_MOUSE(b, "\xF4");
    MOUSE_SAYS(b, "\xFA");
    for (int i = 0; i < 1000; i++)
        console_pointer_relative(b->console, 1, 0, 0, 0);
    console_pointer_relative(b->console, 0, 0, 0, POINTER_LEFT);
    for (;;) {
        unsigned n = 0;

        while (n < 3 && ps2_mouse_take(&b->mouse, &packet[n]))
            n++;
        if (!n)
            break;
        assert_int_equal(n, 3);
        x += packet[1];
    }
    assert_int_equal(x, 1000);
    assert_int_equal(packet[0] & 7, POINTER_LEFT);
    console_pointer_relative(b->console, 2000000000, -2000000000, 2000000000, 0);
    while (ps2_mouse_take(&b->mouse, packet))
        continue;
    /* A command ends a packet that is half read. */
    console_pointer_relative(b->console, 1, 1, 0, 0);
    assert_true(ps2_mouse_take(&b->mouse, packet));
    TELL_MOUSE(b, "\xF5");
    MOUSE_SAYS(b, "\xFA");
}

static void test_replies_are_bounded(void **state)
{
    struct bench *b = *state;
    unsigned taken = 0;
    uint8_t byte;

    for (int i = 0; i < 1000; i++) {
        ps2_keyboard_write(&b->kbd, 0xF2);
        ps2_mouse_write(&b->mouse, 0xE9);
    }
    while (ps2_keyboard_take(&b->kbd, &byte) || ps2_mouse_take(&b->mouse, &byte))
        taken++;
    assert_int_equal(taken, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_keyboard_commands, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keyboard_enable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_set_2, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_set_1, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_set_3, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a8_keys_of_other_keyboards, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_translation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_more_than_16_bytes_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mouse_commands, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mouse_stream, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wheel_knocks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mouse_unread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replies_are_bounded, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
