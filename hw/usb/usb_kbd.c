/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A USB keyboard with the boot protocol (HID 1.11, appendix B.1): eight bytes with the modifiers and up to
 * six keys, and the lights in one byte back.
 */
#include <string.h>

#include "console/console.h"
#include "hw/backends.h"
#include "hw/usb/usb_hid.h"
#include "machine/machine.h"

enum {
    EVENTS_MAX = 256,
    KEYS_MAX = 32, /* down at once; the report tells six of them */
    KEYS_TOLD = 6,
    REPORT = 8,
    LEDS = 0x1F,
    USAGE_ROLL_OVER = 0x01,
    USAGE_LEFT_CTRL = 0xE0,
    USAGE_RIGHT_GUI = 0xE7,
};

#define KEY_EVENT_STATE(S)                                                                                   \
    S(UINT, uint8_t, usage, ANY)                                                                             \
    S(BOOL, down)

struct key_event {
    STATE_MEMBERS(KEY_EVENT_STATE);
};
STATE_TABLE(key_event_state, struct key_event, KEY_EVENT_STATE);

#define USB_KBD_STATE(S)                                                                                     \
    S(BASE, struct usb_hid, hid, usb_hid_state)                                                              \
    S(SUBS, struct key_event, queue, EVENTS_MAX, key_event_state)                                            \
    S(UINT, uint16_t, count, EVENTS_MAX)                                                                     \
    S(UINT, uint8_t, modifiers, ANY) /* these and the keys: as the guest knows them */                       \
    S(ARRAY, uint8_t, keys, KEYS_MAX, ANY)                                                                   \
    S(UINT, uint8_t, key_count, KEYS_MAX)                                                                    \
    S(BITS, uint8_t, leds, LEDS)

struct usb_kbd {
    struct usb_hid hid;
    struct console_keyboard input;
    STATE_MEMBERS(USB_KBD_STATE);
};
STATE_TABLE(usb_kbd_state, struct usb_kbd, USB_KBD_STATE);

/* Usages (HID Usage Tables 1.12, chapter 10) of scan code set 1, 00..7F; 0: there is none. */
static const uint8_t usages[128] = {
    0x00, 0x29, 0x1E, 0x1F, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x2D, 0x2E, 0x2A, 0x2B, /* 00 */
    0x14, 0x1A, 0x08, 0x15, 0x17, 0x1C, 0x18, 0x0C, 0x12, 0x13, 0x2F, 0x30, 0x28, 0xE0, 0x04, 0x16, /* 10 */
    0x07, 0x09, 0x0A, 0x0B, 0x0D, 0x0E, 0x0F, 0x33, 0x34, 0x35, 0xE1, 0x31, 0x1D, 0x1B, 0x06, 0x19, /* 20 */
    0x05, 0x11, 0x10, 0x36, 0x37, 0x38, 0xE5, 0x55, 0xE2, 0x2C, 0x39, 0x3A, 0x3B, 0x3C, 0x3D, 0x3E, /* 30 */
    0x3F, 0x40, 0x41, 0x42, 0x43, 0x53, 0x47, 0x5F, 0x60, 0x61, 0x56, 0x5C, 0x5D, 0x5E, 0x57, 0x59, /* 40 */
    0x5A, 0x5B, 0x62, 0x63, 0x46, 0x00, 0x64, 0x44, 0x45, 0x67, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* 50 */
    0x00, 0x00, 0x00, 0x00, 0x68, 0x69, 0x6A, 0x6B, 0x6C, 0x6D, 0x6E, 0x6F, 0x70, 0x71, 0x72, 0x00, /* 60 */
    0x88, 0x91, 0x90, 0x87, 0x00, 0x00, 0x73, 0x93, 0x92, 0x8A, 0x00, 0x8B, 0x00, 0x89, 0x85, 0x00, /* 70 */
};

/* The same for the keys that have the E0 prefix in set 1. */
static const struct {
    uint8_t scan, usage;
} extended_usages[] = {
    {0x05, 0x79}, {0x06, 0x76}, {0x08, 0x7A}, {0x0A, 0x7D}, {0x0C, 0x77}, {0x17, 0x7B}, {0x18, 0x7C},
    {0x3B, 0x75}, {0x41, 0x7E}, {0x64, 0x74}, {0x68, 0x78}, {0x1C, 0x58}, {0x1D, 0xE4}, {0x20, 0x7F},
    {0x2E, 0x81}, {0x30, 0x80}, {0x35, 0x54}, {0x37, 0x46}, {0x38, 0xE6}, {0x46, 0x48}, {0x47, 0x4A},
    {0x48, 0x52}, {0x49, 0x4B}, {0x4B, 0x50}, {0x4D, 0x4F}, {0x4F, 0x4D}, {0x50, 0x51}, {0x51, 0x4E},
    {0x52, 0x49}, {0x53, 0x4C}, {0x5B, 0xE3}, {0x5C, 0xE7}, {0x5D, 0x65}, {0x5E, 0x66},
};

static uint8_t usb_kbd_usage(uint16_t code)
{
    if (code == CONSOLE_KEY_PAUSE)
        return 0x48;
    if (code < sizeof(usages))
        return usages[code];
    for (size_t i = 0; i < sizeof(extended_usages) / sizeof(extended_usages[0]); i++)
        if (code == (0xE000 | extended_usages[i].scan))
            return extended_usages[i].usage;
    return 0;
}

/* ---- from the console ---- */

static void usb_kbd_key(void *opaque, uint16_t code, bool down)
{
    struct usb_kbd *kbd = opaque;
    uint8_t usage = usb_kbd_usage(code);

    /* The second half is for releases: a lost one is a key that hangs. */
    if (!usage || kbd->count >= (down ? EVENTS_MAX / 2 : EVENTS_MAX))
        return;
    kbd->queue[kbd->count++] = (struct key_event){.usage = usage, .down = down};
    usb_hid_changed(&kbd->hid);
}

/* ---- to the guest ---- */

static bool usb_kbd_is_modifier(uint8_t usage)
{
    return usage >= USAGE_LEFT_CTRL && usage <= USAGE_RIGHT_GUI;
}

static unsigned usb_kbd_find(const struct usb_kbd *kbd, uint8_t usage)
{
    unsigned i = 0;

    while (i < kbd->key_count && kbd->keys[i] != usage)
        i++;
    return i;
}

static void usb_kbd_apply(struct usb_kbd *kbd, struct key_event event)
{
    unsigned at = usb_kbd_find(kbd, event.usage);
    uint8_t bit = 1 << (event.usage & 7);

    if (usb_kbd_is_modifier(event.usage)) {
        kbd->modifiers = event.down ? kbd->modifiers | bit : kbd->modifiers & ~bit;
    } else if (event.down && at == kbd->key_count && kbd->key_count < KEYS_MAX) {
        kbd->keys[kbd->key_count++] = event.usage;
    } else if (!event.down && at < kbd->key_count) {
        kbd->key_count--;
        memmove(kbd->keys + at, kbd->keys + at + 1, kbd->key_count - at);
    }
}

/*
 * Events of one report: guests look at the modifiers first, so what comes before a key's press goes with it,
 * and nothing may come after. What changes twice needs two reports.
 */
static unsigned usb_kbd_batch(const struct usb_kbd *kbd)
{
    uint32_t changed[8] = {0};
    unsigned n = 0;
    bool pressed = false;

    while (n < kbd->count && !pressed) {
        const struct key_event *event = &kbd->queue[n];
        uint32_t bit = 1u << (event->usage & 31);

        if (changed[event->usage >> 5] & bit)
            break;
        changed[event->usage >> 5] |= bit;
        pressed = event->down && !usb_kbd_is_modifier(event->usage);
        n++;
    }
    return n;
}

static void usb_kbd_take(struct usb_kbd *kbd)
{
    unsigned n = usb_kbd_batch(kbd);

    for (unsigned i = 0; i < n; i++)
        usb_kbd_apply(kbd, kbd->queue[i]);
    kbd->count -= n;
    memmove(kbd->queue, kbd->queue + n, kbd->count * sizeof(kbd->queue[0]));
}

static bool usb_kbd_pending(const struct usb_hid *hid)
{
    return ((const struct usb_kbd *)hid)->count != 0;
}

static unsigned usb_kbd_report(struct usb_hid *hid, uint8_t *report, bool take)
{
    struct usb_kbd *kbd = (struct usb_kbd *)hid;

    if (take)
        usb_kbd_take(kbd);
    memset(report, 0, REPORT);
    report[0] = kbd->modifiers;
    if (kbd->key_count > KEYS_TOLD)
        memset(report + 2, USAGE_ROLL_OVER, KEYS_TOLD);
    else
        memcpy(report + 2, kbd->keys, kbd->key_count);
    return REPORT;
}

/* HID: bit 0 num, 1 caps, 2 scroll lock; the console has scroll, num, caps. */
static void usb_kbd_output(struct usb_hid *hid, const uint8_t *report, unsigned length)
{
    struct usb_kbd *kbd = (struct usb_kbd *)hid;

    if (!length)
        return;
    kbd->leds = report[0] & LEDS;
    console_set_leds(hid->usb.dev.machine->backends->console,
                     (kbd->leds & 4 ? 1 : 0) | (kbd->leds & 1 ? 2 : 0) | (kbd->leds & 2 ? 4 : 0));
}

static void usb_kbd_forget_keys(struct usb_kbd *kbd)
{
    kbd->count = kbd->key_count = kbd->modifiers = 0;
}

static void usb_kbd_active(struct usb_hid *hid, bool on)
{
    struct usb_kbd *kbd = (struct usb_kbd *)hid;
    struct console *console = hid->usb.dev.machine->backends->console;

    if (on) {
        console_add_keyboard(console, &kbd->input);
    } else {
        console_remove_keyboard(console, &kbd->input);
        usb_kbd_forget_keys(kbd);
    }
}

/* ---- descriptors ---- */

static const uint8_t kbd_device[] = USB_HID_DEVICE_DESCRIPTOR(0x0627, 0x0001);
static const char *const kbd_strings[] = {"hvm-dm", "hvm-dm USB Keyboard", "1", NULL};

static const uint8_t kbd_report_descriptor[] = {
    0x05, 0x01,                   /* usage page: generic desktop */
    0x09, 0x06,                   /* usage: keyboard */
    0xA1, 0x01,                   /* collection: application */
    0x05, 0x07,                   /*   usage page: keyboard */
    0x19, 0xE0, 0x29, 0xE7,       /*   usages: the modifiers */
    0x15, 0x00, 0x25, 0x01,       /*   values 0..1 */
    0x75, 0x01, 0x95, 0x08,       /*   8 of 1 bit */
    0x81, 0x02,                   /*   input: data, variable, absolute */
    0x75, 0x08, 0x95, 0x01,       /*   1 of 8 bits */
    0x81, 0x01,                   /*   input: constant */
    0x05, 0x08,                   /*   usage page: lights */
    0x19, 0x01, 0x29, 0x05,       /*   usages 1..5 */
    0x75, 0x01, 0x95, 0x05,       /*   5 of 1 bit */
    0x91, 0x02,                   /*   output: data, variable, absolute */
    0x75, 0x03, 0x95, 0x01,       /*   3 bits */
    0x91, 0x01,                   /*   output: constant */
    0x05, 0x07,                   /*   usage page: keyboard */
    0x19, 0x00, 0x2A, 0xFF, 0x00, /* usages 0..FF */
    0x15, 0x00, 0x26, 0xFF, 0x00, /* values 0..FF */
    0x75, 0x08, 0x95, 0x06,       /*   6 of 8 bits */
    0x81, 0x00,                   /*   input: data, array */
    0xC0,
};

static const uint8_t kbd_configuration[] =
    USB_HID_CONFIGURATION(1, 1, sizeof(kbd_report_descriptor), USB_HID_REPORT_MAX, 10);

static const struct usb_hid_class kbd_hid = {
    .usb = {.speed = USB_FULL_SPEED,
            .device = kbd_device,
            .configuration = kbd_configuration,
            .strings = kbd_strings,
            .control = usb_hid_control,
            .in = usb_hid_in,
            .configured = usb_hid_configured},
    .report_descriptor = kbd_report_descriptor,
    .report_descriptor_size = sizeof(kbd_report_descriptor),
    .pending = usb_kbd_pending,
    .report = usb_kbd_report,
    .output = usb_kbd_output,
    .active = usb_kbd_active,
};

/* ---- life ---- */

static bool usb_kbd_realize(struct device *dev, struct error *err)
{
    struct usb_kbd *kbd = (struct usb_kbd *)dev;

    kbd->input = (struct console_keyboard){.key = usb_kbd_key, .opaque = kbd};
    return true;
}

static void usb_kbd_reset(struct device *dev)
{
    struct usb_kbd *kbd = (struct usb_kbd *)dev;

    usb_kbd_forget_keys(kbd);
    kbd->leds = 0;
}

static bool usb_kbd_check(const struct device *dev, struct error *err)
{
    return usb_device_check((const struct usb_device *)dev, err);
}

static void usb_kbd_loaded(struct device *dev)
{
    usb_hid_loaded((struct usb_hid *)dev);
}

static const struct device_class usb_kbd_class = {
    .name = "usb-kbd",
    .description = "USB keyboard",
    .bus = &usb_bus_ops,
    .bus_info = &kbd_hid,
    .size = sizeof(struct usb_kbd),
    .state = &usb_kbd_state,
    .realize = usb_kbd_realize,
    .reset = usb_kbd_reset,
    .check = usb_kbd_check,
    .loaded = usb_kbd_loaded,
};
DEVICE_CLASS(usb_kbd_class);
