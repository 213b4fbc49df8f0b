/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "base/util.h"
#include "hw/input/ps2.h"

/* Host to keyboard. */
enum {
    KBD_SET_LEDS = 0xED,
    KBD_ECHO = 0xEE,
    KBD_SCAN_SET = 0xF0,
    KBD_IDENTIFY = 0xF2,
    KBD_TYPEMATIC = 0xF3,
    KBD_ENABLE = 0xF4,
    KBD_DEFAULT_DISABLE = 0xF5,
    KBD_DEFAULT = 0xF6,
    KBD_ALL_TYPEMATIC = 0xF7,
    KBD_ALL_MAKE_BREAK = 0xF8,
    KBD_ALL_MAKE = 0xF9,
    KBD_ALL_TYPEMATIC_MAKE_BREAK = 0xFA,
    KBD_KEY_TYPEMATIC = 0xFB,
    KBD_KEY_MAKE_BREAK = 0xFC,
    KBD_KEY_MAKE = 0xFD,
    KBD_RESEND = 0xFE,
    KBD_RESET = 0xFF,
};

/* Keyboard to host. */
enum { KBD_ACK = 0xFA, KBD_BAT_DONE = 0xAA, KBD_ERROR = 0xFE };

#define DEFAULT_TYPEMATIC 0x2B /* 10.9 a second after 500 ms */
#define REFILL_NS         (2 * NS_PER_MS)
#define RELEASED          0x80

enum { MOD_CTRL_L = 1, MOD_CTRL_R = 2, MOD_SHIFT_L = 4, MOD_SHIFT_R = 8, MOD_ALT_L = 16, MOD_ALT_R = 32 };

/* Codes as console_key takes them. */
enum { KEY_LANG2 = 0x71, KEY_LANG1 = 0x72 };

STATE_PUBLIC_TABLE(ps2_keyboard_state, struct ps2_keyboard, PS2_KEYBOARD_STATE);

/* Scan codes, set 1 to set 2, as the keyboard controller's translation has it (it is a permutation). */
static const uint8_t set1_to_set2[128] = {
    0x00, 0x76, 0x16, 0x1E, 0x26, 0x25, 0x2E, 0x36, 0x3D, 0x3E, 0x46, 0x45, 0x4E, 0x55, 0x66, 0x0D, /* 00 */
    0x15, 0x1D, 0x24, 0x2D, 0x2C, 0x35, 0x3C, 0x43, 0x44, 0x4D, 0x54, 0x5B, 0x5A, 0x14, 0x1C, 0x1B, /* 10 */
    0x23, 0x2B, 0x34, 0x33, 0x3B, 0x42, 0x4B, 0x4C, 0x52, 0x0E, 0x12, 0x5D, 0x1A, 0x22, 0x21, 0x2A, /* 20 */
    0x32, 0x31, 0x3A, 0x41, 0x49, 0x4A, 0x59, 0x7C, 0x11, 0x29, 0x58, 0x05, 0x06, 0x04, 0x0C, 0x03, /* 30 */
    0x0B, 0x02, 0x0A, 0x01, 0x09, 0x77, 0x7E, 0x6C, 0x75, 0x7D, 0x7B, 0x6B, 0x73, 0x74, 0x79, 0x69, /* 40 */
    0x72, 0x7A, 0x70, 0x71, 0x7F, 0x60, 0x61, 0x78, 0x07, 0x0F, 0x17, 0x1F, 0x27, 0x2F, 0x37, 0x3F, /* 50 */
    0x47, 0x4F, 0x56, 0x5E, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38, 0x40, 0x48, 0x50, 0x57, 0x6F, /* 60 */
    0x13, 0x19, 0x39, 0x51, 0x53, 0x5C, 0x5F, 0x62, 0x63, 0x64, 0x65, 0x67, 0x68, 0x6A, 0x6D, 0x6E, /* 70 */
};

/* Set 1 to set 3; 0: a key that set 3 does not have. F13 to F17 are 7F to 83, as Linux' driver has them:
 * where terminals' keyboards have F13 to F24, PCs' have others. */
static const uint8_t set1_to_set3[128] = {
    0x00, 0x08, 0x16, 0x1E, 0x26, 0x25, 0x2E, 0x36, 0x3D, 0x3E, 0x46, 0x45, 0x4E, 0x55, 0x66, 0x0D, /* 00 */
    0x15, 0x1D, 0x24, 0x2D, 0x2C, 0x35, 0x3C, 0x43, 0x44, 0x4D, 0x54, 0x5B, 0x5A, 0x11, 0x1C, 0x1B, /* 10 */
    0x23, 0x2B, 0x34, 0x33, 0x3B, 0x42, 0x4B, 0x4C, 0x52, 0x0E, 0x12, 0x5C, 0x1A, 0x22, 0x21, 0x2A, /* 20 */
    0x32, 0x31, 0x3A, 0x41, 0x49, 0x4A, 0x59, 0x7E, 0x19, 0x29, 0x14, 0x07, 0x0F, 0x17, 0x1F, 0x27, /* 30 */
    0x2F, 0x37, 0x3F, 0x47, 0x4F, 0x76, 0x5F, 0x6C, 0x75, 0x7D, 0x84, 0x6B, 0x73, 0x74, 0x7C, 0x69, /* 40 */
    0x72, 0x7A, 0x70, 0x71, 0x57, 0x00, 0x13, 0x56, 0x5E, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* 50 */
    0x00, 0x00, 0x00, 0x00, 0x7F, 0x80, 0x81, 0x82, 0x83, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* 60 */
    0x87, 0x00, 0x00, 0x51, 0x00, 0x00, 0x00, 0x00, 0x00, 0x86, 0x00, 0x85, 0x00, 0x5D, 0x00, 0x00, /* 70 */
};

/* The same for the keys that have the E0 prefix in sets 1 and 2. */
static const struct {
    uint8_t set1, set3;
} extended_set3[] = {
    {0x1C, 0x79}, {0x1D, 0x58}, {0x35, 0x77}, {0x37, 0x57}, {0x38, 0x39}, {0x47, 0x6E},
    {0x48, 0x63}, {0x49, 0x6F}, {0x4B, 0x61}, {0x4D, 0x6A}, {0x4F, 0x65}, {0x50, 0x60},
    {0x51, 0x6D}, {0x52, 0x67}, {0x53, 0x64}, {0x5B, 0x8B}, {0x5C, 0x8C}, {0x5D, 0x8D},
};
#define SET3_PAUSE 0x62

/* Keys whose release set 3 tells by default: left shift, caps lock, left and right ctrl, left and right alt,
 * right shift. */
static const uint8_t default_breaks[] = {0x12, 0x14, 0x11, 0x58, 0x19, 0x39, 0x59};

uint8_t ps2_translate(uint8_t byte)
{
    if (byte == 0)
        return 0xFF; /* overrun */
    if (byte == 0x83)
        return 0x41;
    if (byte == 0x84)
        return 0x54;
    for (unsigned i = 0; i < sizeof(set1_to_set2); i++)
        if (set1_to_set2[i] == byte)
            return i;
    return byte;
}

/* A scan code sequence under construction; the longest, Pause in set 2, has 8 bytes. */
struct sequence {
    uint8_t bytes[16];
    unsigned count;
};

static void ps2_keyboard_add(struct sequence *seq, uint8_t byte)
{
    seq->bytes[seq->count++] = byte;
}

/* One key, of set 1's code, in set 1 or 2. */
static void add_key(struct sequence *seq, unsigned set, bool extended, uint8_t code, bool down)
{
    if (extended)
        ps2_keyboard_add(seq, 0xE0);
    if (set == 1) {
        ps2_keyboard_add(seq, code | (down ? 0 : RELEASED));
        return;
    }
    if (!down)
        ps2_keyboard_add(seq, 0xF0);
    /* F7 and Alt+Print Screen (SysRq) have codes that the controller translates to the same as two it does
     * not use. */
    ps2_keyboard_add(seq, code == 0x41 ? 0x83 : code == 0x54 ? 0x84 : set1_to_set2[code]);
}

/* Print Screen comes with a fake left shift, unless a shift or ctrl is down; with alt it is another key,
 * SysRq. */
static void add_print_screen(struct sequence *seq, unsigned set, uint8_t modifiers, bool down)
{
    if (modifiers & (MOD_ALT_L | MOD_ALT_R)) {
        add_key(seq, set, false, 0x54, down);
    } else if (modifiers) {
        add_key(seq, set, true, 0x37, down);
    } else {
        add_key(seq, set, true, down ? 0x2A : 0x37, down);
        add_key(seq, set, true, down ? 0x37 : 0x2A, down);
    }
}

/* Pause makes and breaks at once, when pressed; with ctrl it is Break. */
static void add_pause(struct sequence *seq, unsigned set, uint8_t modifiers, bool down)
{
    if (!down)
        return;
    for (int press = 1; press >= 0; press--) {
        if (modifiers & (MOD_CTRL_L | MOD_CTRL_R)) {
            add_key(seq, set, true, 0x46, press);
        } else {
            ps2_keyboard_add(seq, 0xE1);
            add_key(seq, set, false, 0x1D, press);
            add_key(seq, set, false, 0x45, press);
        }
    }
}

/* Korean keyboards tell Hangul/English and Hanja when they are pressed, once, by a code of their own. */
static void add_korean(struct sequence *seq, uint16_t key, bool down)
{
    if (down)
        ps2_keyboard_add(seq, key == KEY_LANG1 ? 0xF2 : 0xF1);
}

static bool tells_break(const struct ps2_keyboard *kbd, uint8_t code)
{
    return kbd->breaks[code / 8] & 1 << code % 8;
}

static void add_set3(struct sequence *seq, const struct ps2_keyboard *kbd, uint16_t key, bool down)
{
    uint8_t code = 0;

    if (key == CONSOLE_KEY_PAUSE)
        code = SET3_PAUSE;
    else if (key >> 8 == 0)
        code = set1_to_set3[key & 0x7F];
    else
        for (unsigned i = 0; i < COUNT(extended_set3); i++)
            if (extended_set3[i].set1 == (key & 0x7F))
                code = extended_set3[i].set3;
    if (!code || (!down && !tells_break(kbd, code)))
        return;
    if (!down)
        ps2_keyboard_add(seq, 0xF0);
    ps2_keyboard_add(seq, code);
}

static void follow_modifiers(struct ps2_keyboard *kbd, uint16_t key, bool down)
{
    static const uint16_t keys[] = {0x1D, 0xE01D, 0x2A, 0x36, 0x38, 0xE038};

    for (unsigned i = 0; i < COUNT(keys); i++)
        if (keys[i] == key)
            kbd->modifiers = down ? kbd->modifiers | 1 << i : kbd->modifiers & ~(1 << i);
}

/* Puts the key's scan codes into the buffer; false: no space. */
static bool ps2_keyboard_send_key(struct ps2_keyboard *kbd, uint16_t key, bool down)
{
    struct sequence seq = {.count = 0};

    if (key == KEY_LANG1 || key == KEY_LANG2)
        add_korean(&seq, key, down);
    else if (kbd->scan_set == 3)
        add_set3(&seq, kbd, key, down);
    else if (key == CONSOLE_KEY_PAUSE)
        add_pause(&seq, kbd->scan_set, kbd->modifiers, down);
    else if (key == 0xE037)
        add_print_screen(&seq, kbd->scan_set, kbd->modifiers, down);
    else
        add_key(&seq, kbd->scan_set, key >> 8 == 0xE0, key & 0x7F, down);
    if (!ps2_put(&kbd->out, seq.bytes, seq.count))
        return false;
    follow_modifiers(kbd, key, down);
    return true;
}

static void ps2_keyboard_send_waiting(struct ps2_keyboard *kbd)
{
    while (kbd->waiting_count) {
        uint16_t key = kbd->waiting[0];

        if (!ps2_keyboard_send_key(kbd, key & ~RELEASED, !(key & RELEASED)))
            return;
        kbd->waiting_count--;
        memmove(kbd->waiting, kbd->waiting + 1, kbd->waiting_count * sizeof(kbd->waiting[0]));
    }
}

static void refill(void *opaque)
{
    struct ps2_keyboard *kbd = opaque;

    ps2_keyboard_send_waiting(kbd);
    ps2_ready(&kbd->out);
}

static bool known_key(uint16_t key)
{
    return key == CONSOLE_KEY_PAUSE ||
           ((key >> 8 == 0 || key >> 8 == 0xE0) && (key & 0x7F) && !(key & RELEASED));
}

static void ps2_keyboard_key_event(void *opaque, uint16_t key, bool down)
{
    struct ps2_keyboard *kbd = opaque;

    if (!kbd->scanning || !known_key(key))
        return;
    if (!kbd->waiting_count && ps2_keyboard_send_key(kbd, key, down)) {
        ps2_ready(&kbd->out);
        return;
    }
    /* The second half is for releases: a lost one is a key that hangs. */
    if (kbd->waiting_count < (down ? PS2_KEYS_WAITING / 2 : PS2_KEYS_WAITING))
        kbd->waiting[kbd->waiting_count++] = key | (down ? 0 : RELEASED);
}

bool ps2_keyboard_take(struct ps2_keyboard *kbd, uint8_t *byte)
{
    if (!ps2_take(&kbd->out, byte))
        return false;
    /* The next bufferful comes a little later, so that who empties the buffer finds its end. */
    if (!kbd->out.count && kbd->waiting_count && !timer_armed(&kbd->refill))
        timer_set(&kbd->refill, clock_now(kbd->refill.clock) + REFILL_NS);
    return true;
}

static void forget_keys(struct ps2_keyboard *kbd)
{
    kbd->out.count = 0;
    kbd->waiting_count = 0;
    timer_cancel(&kbd->refill);
}

static void set_leds(struct ps2_keyboard *kbd, uint8_t leds)
{
    kbd->leds = leds & 7;
    if (kbd->console)
        console_set_leds(kbd->console, kbd->leds);
}

static void set_break(struct ps2_keyboard *kbd, uint8_t code, bool told)
{
    if (told)
        kbd->breaks[code / 8] |= 1 << code % 8;
    else
        kbd->breaks[code / 8] &= ~(1 << code % 8);
}

static void ps2_keyboard_set_defaults(struct ps2_keyboard *kbd)
{
    kbd->scan_set = 2;
    kbd->typematic = DEFAULT_TYPEMATIC;
    memset(kbd->breaks, 0, sizeof(kbd->breaks));
    for (unsigned i = 0; i < sizeof(default_breaks); i++)
        set_break(kbd, default_breaks[i], true);
    forget_keys(kbd);
}

/* A parameter of the command before. */
static void ps2_keyboard_parameter(struct ps2_keyboard *kbd, uint8_t byte)
{
    uint8_t command = kbd->command;

    kbd->command = 0;
    switch (command) {
    case KBD_SET_LEDS:
        set_leds(kbd, byte);
        break;
    case KBD_TYPEMATIC:
        kbd->typematic = byte;
        break;
    case KBD_SCAN_SET:
        if (byte > 3) {
            ps2_reply(&kbd->out, KBD_ERROR);
            return;
        }
        ps2_reply(&kbd->out, KBD_ACK);
        if (byte == 0) {
            ps2_reply(&kbd->out, kbd->scan_set);
        } else {
            kbd->scan_set = byte;
            forget_keys(kbd);
        }
        return;
    default: /* a key's type: codes follow until another command */
        kbd->command = command;
        set_break(kbd, byte, command == KBD_KEY_MAKE_BREAK);
        break;
    }
    ps2_reply(&kbd->out, KBD_ACK);
}

static bool key_type_command(uint8_t command)
{
    return command >= KBD_KEY_TYPEMATIC && command <= KBD_KEY_MAKE;
}

static void ps2_keyboard_byte(struct ps2_keyboard *kbd, uint8_t byte)
{
    /* A command in the place of a parameter is a command. */
    if (kbd->command && byte < (key_type_command(kbd->command) ? KBD_SET_LEDS : 0x80)) {
        ps2_keyboard_parameter(kbd, byte);
        return;
    }
    kbd->command = 0;
    switch (byte) {
    case KBD_SET_LEDS:
    case KBD_SCAN_SET:
    case KBD_TYPEMATIC:
    case KBD_KEY_TYPEMATIC:
    case KBD_KEY_MAKE_BREAK:
    case KBD_KEY_MAKE:
        kbd->command = byte;
        break;
    case KBD_ECHO:
        ps2_reply(&kbd->out, KBD_ECHO);
        return;
    case KBD_IDENTIFY:
        ps2_reply(&kbd->out, KBD_ACK);
        ps2_reply(&kbd->out, 0xAB);
        ps2_reply(&kbd->out, 0x83);
        return;
    case KBD_ENABLE:
        forget_keys(kbd);
        kbd->scanning = true;
        break;
    case KBD_DEFAULT_DISABLE:
        ps2_keyboard_set_defaults(kbd);
        kbd->scanning = false;
        break;
    case KBD_DEFAULT:
        ps2_keyboard_set_defaults(kbd);
        kbd->scanning = true;
        break;
    case KBD_ALL_TYPEMATIC:
    case KBD_ALL_MAKE:
        memset(kbd->breaks, 0, sizeof(kbd->breaks));
        break;
    case KBD_ALL_MAKE_BREAK:
    case KBD_ALL_TYPEMATIC_MAKE_BREAK:
        memset(kbd->breaks, 0xFF, sizeof(kbd->breaks));
        break;
    case KBD_RESEND:
        ps2_reply(&kbd->out, kbd->out.last);
        return;
    case KBD_RESET:
        ps2_keyboard_reset(kbd);
        ps2_reply(&kbd->out, KBD_ACK);
        ps2_reply(&kbd->out, KBD_BAT_DONE);
        return;
    default:
        ps2_reply(&kbd->out, KBD_ERROR);
        return;
    }
    ps2_reply(&kbd->out, KBD_ACK);
}

void ps2_keyboard_write(struct ps2_keyboard *kbd, uint8_t byte)
{
    ps2_keyboard_byte(kbd, byte);
    ps2_ready(&kbd->out);
}

void ps2_keyboard_reset(struct ps2_keyboard *kbd)
{
    ps2_output_reset(&kbd->out);
    kbd->command = 0;
    kbd->modifiers = 0;
    kbd->scanning = true;
    ps2_keyboard_set_defaults(kbd);
    set_leds(kbd, 0);
}

void ps2_keyboard_init(struct ps2_keyboard *kbd, struct clock *clock, struct console *console,
                       void (*ready)(void *opaque), void *opaque)
{
    kbd->out.ready = ready;
    kbd->out.opaque = opaque;
    kbd->console = console;
    kbd->input = (struct console_keyboard){.key = ps2_keyboard_key_event, .opaque = kbd};
    timer_init(&kbd->refill, clock, refill, kbd);
    if (console)
        console_add_keyboard(console, &kbd->input);
}

void ps2_keyboard_destroy(struct ps2_keyboard *kbd)
{
    timer_cancel(&kbd->refill);
    if (kbd->console)
        console_remove_keyboard(kbd->console, &kbd->input);
}
