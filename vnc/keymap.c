/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vnc/keymap.h"

#include <rfb/keysym.h>
#include <string.h>
#include <xkbcommon/xkbcommon.h>

#include "console/console.h"

enum { KEY_SHIFT_L = 0x2A, KEY_SHIFT_R = 0x36, KEY_CTRL_L = 0x1D, KEY_CTRL_R = 0xE01D, KEY_ALT_L = 0x38 };
enum { KEY_ALTGR = 0xE038, KEY_SPACE = 0x39, KEY_LSGT = 0x56 };
enum { LED_NUM = 2, LED_CAPS = 4 };

/* Key symbols that rfb/keysym.h does not name. */
enum { XK_Hangul_ = 0xFF31, XK_Hangul_Hanja_ = 0xFF34 };
enum { XK_ISO_Left_Tab_ = 0xFE20, XK_ISO_Level3_Shift_ = 0xFE03, XK_Super_L_ = 0xFFEB, XK_Super_R_ = 0xFFEC };

/* Keys that give no character. */
static const struct {
    uint32_t keysym;
    uint16_t code;
} other_keys[] = {
    {XK_BackSpace, 0x0E},
    {XK_Tab, 0x0F},
    {XK_ISO_Left_Tab_, 0x0F},
    {XK_Return, 0x1C},
    {XK_Linefeed, 0x1C},
    {XK_Escape, 0x01},
    {XK_Delete, 0xE053},
    {XK_Insert, 0xE052},
    {XK_Home, 0xE047},
    {XK_End, 0xE04F},
    {XK_Page_Up, 0xE049},
    {XK_Page_Down, 0xE051},
    {XK_Left, 0xE04B},
    {XK_Right, 0xE04D},
    {XK_Up, 0xE048},
    {XK_Down, 0xE050},
    {XK_Shift_L, KEY_SHIFT_L},
    {XK_Shift_R, KEY_SHIFT_R},
    {XK_Control_L, KEY_CTRL_L},
    {XK_Control_R, KEY_CTRL_R},
    {XK_Alt_L, KEY_ALT_L},
    {XK_Alt_R, KEY_ALTGR},
    {XK_Meta_L, KEY_ALT_L},
    {XK_Meta_R, KEY_ALTGR},
    {XK_Mode_switch, KEY_ALTGR},
    {XK_ISO_Level3_Shift_, KEY_ALTGR},
    {XK_Super_L_, 0xE05B},
    {XK_Super_R_, 0xE05C},
    {XK_Menu, 0xE05D},
    {XK_Caps_Lock, 0x3A},
    {XK_Num_Lock, 0x45},
    {XK_Scroll_Lock, 0x46},
    {XK_Pause, CONSOLE_KEY_PAUSE},
    {XK_Break, CONSOLE_KEY_PAUSE},
    {XK_Print, 0xE037},
    {XK_Sys_Req, 0xE037},
    {XK_KP_Enter, 0xE01C},
    {XK_KP_Divide, 0xE035},
    {XK_KP_Multiply, 0x37},
    {XK_KP_Subtract, 0x4A},
    {XK_KP_Add, 0x4E},
    {XK_KP_Equal, 0x59},
    {XK_KP_Begin, 0x4C},
    {XK_Kanji, 0x29},
    {XK_Hangul_, 0x72},
    {XK_Hangul_Hanja_, 0x71},
    {XK_Muhenkan, 0x7B},
    {XK_Henkan, 0x79},
    {XK_Hiragana, 0x70},
    {XK_Katakana, 0x70},
    {XK_Romaji, 0x70},
    {XK_Hiragana_Katakana, 0x70},
    {XK_Zenkaku_Hankaku, 0x29},
    {XK_Eisu_toggle, 0x3A},
    {0x1008FF11, 0xE02E}, /* lower volume */
    {0x1008FF12, 0xE020}, /* mute */
    {0x1008FF13, 0xE030}, /* raise volume */
    {0x1008FF14, 0xE022}, /* play */
    {0x1008FF15, 0xE024}, /* stop */
    {0x1008FF16, 0xE010}, /* previous track */
    {0x1008FF17, 0xE019}, /* next track */
    {0x1008FF18, 0xE032}, /* home page */
    {0x1008FF19, 0xE06C}, /* mail */
    {0x1008FF1B, 0xE065}, /* search */
    {0x1008FF1D, 0xE021}, /* calculator */
    {0x1008FF26, 0xE06A}, /* back */
    {0x1008FF27, 0xE069}, /* forward */
    {0x1008FF29, 0xE067}, /* refresh */
    {0x1008FF2A, 0xE05E}, /* power */
    {0x1008FF2F, 0xE05F}, /* sleep */
    {0x1008FF2B, 0xE063}, /* wake up */
};

/*
 * Keypad keys with two meanings, and what gives the same elsewhere on the keyboard: that is sent where the
 * guest's Num Lock would make the other meaning of it.
 */
static const struct {
    uint32_t digit, movement;
    uint8_t code;
    uint16_t digit_code, movement_code;
} keypad[] = {
    {XK_KP_0, XK_KP_Insert, 0x52, 0x0B, 0xE052},       {XK_KP_1, XK_KP_End, 0x4F, 0x02, 0xE04F},
    {XK_KP_2, XK_KP_Down, 0x50, 0x03, 0xE050},         {XK_KP_3, XK_KP_Page_Down, 0x51, 0x04, 0xE051},
    {XK_KP_4, XK_KP_Left, 0x4B, 0x05, 0xE04B},         {XK_KP_5, XK_KP_Begin, 0x4C, 0x06, 0x4C},
    {XK_KP_6, XK_KP_Right, 0x4D, 0x07, 0xE04D},        {XK_KP_7, XK_KP_Home, 0x47, 0x08, 0xE047},
    {XK_KP_8, XK_KP_Up, 0x48, 0x09, 0xE048},           {XK_KP_9, XK_KP_Page_Up, 0x49, 0x0A, 0xE049},
    {XK_KP_Decimal, XK_KP_Delete, 0x53, 0x34, 0xE053}, {XK_KP_Separator, XK_KP_Delete, 0x53, 0x33, 0xE053},
};

static uint32_t dead_key(uint32_t keysym)
{
    /* dead_grave (FE50) and what follows it */
    static const uint16_t marks[] = {0x300, 0x301, 0x302, 0x303, 0x304, 0x306, 0x307, 0x308, 0x30A, 0x30B,
                                     0x30C, 0x327, 0x328, 0x345, 0x309, 0x309, 0x323, 0x309, 0x31B};

    return keysym - 0xFE50 < sizeof(marks) / sizeof(marks[0]) ? marks[keysym - 0xFE50] : 0;
}

uint32_t keymap_character(uint32_t keysym)
{
    uint32_t character = xkb_keysym_to_utf32(keysym);

    if (character >= 0x20 && character != 0x7F)
        return character;
    return dead_key(keysym);
}

bool keymap_has(const struct keymap *map, uint32_t character)
{
    for (unsigned i = 0; i < map->count; i++)
        if (map->places[i].character == character)
            return true;
    return false;
}

/* Is a place better than another that has the same character: on the level that is held, else the lower one;
 * the key left of Z, which not every keyboard has, comes last. */
static bool is_better(const struct key_place *place, const struct key_place *than, unsigned held)
{
    if (!than->code)
        return true;
    if ((place->code == KEY_LSGT) != (than->code == KEY_LSGT))
        return than->code == KEY_LSGT;
    if ((place->level == held) != (than->level == held))
        return place->level == held;
    return place->level < than->level;
}

static struct key_place find_place(const struct keymap *map, uint32_t character, unsigned held)
{
    struct key_place best = {0};

    if (character == ' ')
        return (struct key_place){.code = KEY_SPACE, .level = held};
    for (unsigned i = 0; map && i < map->count; i++)
        if (map->places[i].character == character && is_better(&map->places[i], &best, held))
            best = map->places[i];
    return best;
}

/* ---- keys ---- */

/* Does AltGr choose characters: in the guest's layout, or in the viewer's alone? */
static bool altgr_chooses(const struct keyboard *kb)
{
    return kb->third_level || (kb->map && kb->map->altgr);
}

static unsigned bit_of(uint16_t code)
{
    return (code & 0x7F) | (code >> 8 == 0xE0 ? 0x80 : 0);
}

static bool is_down(const struct keyboard *kb, uint16_t code)
{
    return kb->down[bit_of(code) / 32] >> bit_of(code) % 32 & 1;
}

void keyboard_code(struct keyboard *kb, uint16_t code, bool down)
{
    uint32_t bit = 1u << bit_of(code) % 32;

    if (code != CONSOLE_KEY_PAUSE) { /* which is never down */
        if (down)
            kb->down[bit_of(code) / 32] |= bit;
        else
            kb->down[bit_of(code) / 32] &= ~bit;
    }
    kb->key(kb->opaque, code, down);
}

/* What the viewer holds, as a layout's level. */
static unsigned held_level(const struct keyboard *kb)
{
    return (is_down(kb, KEY_SHIFT_L) || is_down(kb, KEY_SHIFT_R) ? KEYMAP_SHIFT : 0) |
           (altgr_chooses(kb) && is_down(kb, KEY_ALTGR) ? KEYMAP_ALTGR : 0);
}

static bool holds_command_key(const struct keyboard *kb)
{
    return is_down(kb, KEY_CTRL_L) || is_down(kb, KEY_CTRL_R) || is_down(kb, KEY_ALT_L);
}

/* Presses a key with shift and AltGr as `level` says, and puts them back to what the viewer holds. */
static void press_on_level(struct keyboard *kb, uint16_t code, unsigned level)
{
    static const uint16_t keys[] = {KEY_SHIFT_L, KEY_SHIFT_R, KEY_ALTGR};
    unsigned held = held_level(kb);
    uint16_t changed[3];
    unsigned count = 0;

    for (unsigned i = 0; i < 3; i++) {
        unsigned modifier = keys[i] == KEY_ALTGR ? KEYMAP_ALTGR : KEYMAP_SHIFT;
        bool want = level & modifier;

        if (want == !!(held & modifier) || (want ? keys[i] == KEY_SHIFT_R : !is_down(kb, keys[i])))
            continue;
        keyboard_code(kb, keys[i], want);
        changed[count++] = keys[i];
    }
    keyboard_code(kb, code, true);
    while (count--)
        keyboard_code(kb, changed[count], !is_down(kb, changed[count]));
}

static void press_place(struct keyboard *kb, const struct key_place *place, uint8_t leds)
{
    unsigned level = place->level;

    if (place->letter) {
        if (holds_command_key(kb)) /* Ctrl+C is that key, whatever case the viewer makes of it */
            level = held_level(kb);
        else if (leds & LED_CAPS)
            level ^= KEYMAP_SHIFT;
    }
    press_on_level(kb, place->code, level);
}

/* A character that the layout makes with a dead key: presses and releases that one first; returns the place
 * of the other. */
static struct key_place compose(struct keyboard *kb, const struct keymap *map, uint32_t character)
{
    for (size_t i = 0; i < composition_count; i++) {
        struct key_place mark, base;

        if (compositions[i].character != character)
            continue;
        mark = find_place(map, compositions[i].mark, held_level(kb));
        base = find_place(map, compositions[i].base, 0);
        if (!mark.code || !base.code)
            continue;
        press_on_level(kb, mark.code, mark.level);
        keyboard_code(kb, mark.code, false);
        return base;
    }
    return (struct key_place){0};
}

static uint16_t press_character(struct keyboard *kb, uint32_t character, uint8_t leds)
{
    struct key_place place = find_place(kb->map, character, held_level(kb));

    if (!place.code)
        place = compose(kb, kb->map, character);
    if (!place.code) /* where the layout has none: Ctrl+C in Russian */
        place = find_place(kb->map ? kb->map->latin : NULL, character, held_level(kb));
    if (place.code)
        press_place(kb, &place, leds);
    return place.code;
}

static uint16_t keypad_code(uint32_t keysym, uint8_t leds)
{
    bool digits = leds & LED_NUM;

    for (size_t i = 0; i < sizeof(keypad) / sizeof(keypad[0]); i++) {
        if (keypad[i].digit == keysym)
            return digits ? keypad[i].code : keypad[i].digit_code;
        if (keypad[i].movement == keysym)
            return digits ? keypad[i].movement_code : keypad[i].code;
    }
    return 0;
}

/* The key of a symbol that is not a character; 0: none. */
static uint16_t other_code(uint32_t keysym, uint8_t leds)
{
    uint16_t code = keypad_code(keysym, leds);

    if (code)
        return code;
    if (keysym >= XK_F1 && keysym <= XK_F10)
        return 0x3B + (keysym - XK_F1);
    if (keysym == XK_F11 || keysym == XK_F12)
        return 0x57 + (keysym - XK_F11);
    if (keysym >= XK_F13 && keysym <= XK_F24)
        return keysym == XK_F24 ? 0x76 : 0x64 + (keysym - XK_F13);
    for (size_t i = 0; i < sizeof(other_keys) / sizeof(other_keys[0]); i++)
        if (other_keys[i].keysym == keysym)
            return other_keys[i].code;
    return 0;
}

static void hold(struct keyboard *kb, uint32_t keysym, uint16_t code)
{
    unsigned i = 0;

    while (i < kb->held_count && kb->held[i].keysym != keysym)
        i++;
    if (i == sizeof(kb->held) / sizeof(kb->held[0]))
        return;
    kb->held[i].keysym = keysym;
    kb->held[i].code = code;
    if (i == kb->held_count)
        kb->held_count++;
}

static void press(struct keyboard *kb, uint32_t keysym, uint8_t leds)
{
    uint16_t code = other_code(keysym, leds);
    uint32_t character;

    if (code == KEY_ALTGR)
        kb->third_level = keysym != XK_Alt_R && keysym != XK_Meta_R;
    if (code) {
        keyboard_code(kb, code, true);
    } else {
        character = keymap_character(keysym);
        code = character ? press_character(kb, character, leds) : 0;
    }
    if (code)
        hold(kb, keysym, code);
}

static void keymap_release(struct keyboard *kb, uint32_t keysym, uint8_t leds)
{
    uint16_t code = 0;

    for (unsigned i = 0; i < kb->held_count; i++) {
        if (kb->held[i].keysym != keysym)
            continue;
        code = kb->held[i].code;
        kb->held[i] = kb->held[--kb->held_count];
        break;
    }
    if (!code) { /* pressed as another symbol, perhaps: a key of that place that is down */
        code = other_code(keysym, leds);
        if (!code)
            code = find_place(kb->map, keymap_character(keysym), 0).code;
    }
    if (code && (is_down(kb, code) || code == CONSOLE_KEY_PAUSE))
        keyboard_code(kb, code, false);
}

void keyboard_symbol(struct keyboard *kb, uint32_t keysym, bool down, uint8_t leds)
{
    if (down)
        press(kb, keysym, leds);
    else
        keymap_release(kb, keysym, leds);
}

void keyboard_release_all(struct keyboard *kb)
{
    for (unsigned i = 0; i < 256; i++)
        if (kb->down[i / 32] >> i % 32 & 1)
            keyboard_code(kb, i & 0x80 ? 0xE000 | (i & 0x7F) : i, false);
    kb->held_count = 0;
}

void keyboard_init(struct keyboard *kb, const struct keymap *map,
                   void (*key)(void *opaque, uint16_t code, bool down), void *opaque)
{
    *kb = (struct keyboard){.map = map, .key = key, .opaque = opaque};
}
