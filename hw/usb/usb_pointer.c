/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB pointers: a tablet, whose positions are the screen's, and a mouse with the boot protocol. Events wait
 * in a short queue, for each change of a button must be told with its place; positions that nobody asked for
 * yet give way to newer ones, movements add up.
 */
#include <string.h>

#include "console/console.h"
#include "hw/backends.h"
#include "hw/usb/usb_hid.h"
#include "machine/machine.h"

enum { EVENTS_MAX = 64, TABLET_REPORT = 6, MOUSE_REPORT = 4, BOOT_MOUSE_REPORT = 3, BUTTONS = 0x1F };

#define POINTER_EVENT_STATE(S)                                                                               \
    S(RANGE, int16_t, x, INT16_MIN, INT16_MAX) /* where, or how far */                                       \
    S(RANGE, int16_t, y, INT16_MIN, INT16_MAX)                                                               \
    S(RANGE, int16_t, wheel, INT16_MIN, INT16_MAX)                                                           \
    S(BITS, uint8_t, buttons, BUTTONS)

struct pointer_event {
    STATE_MEMBERS(POINTER_EVENT_STATE);
};
STATE_TABLE(pointer_event_state, struct pointer_event, POINTER_EVENT_STATE);

#define USB_POINTER_STATE(S)                                                                                 \
    S(BASE, struct usb_hid, hid, usb_hid_state)                                                              \
    S(SUBS, struct pointer_event, queue, EVENTS_MAX, pointer_event_state)                                    \
    S(UINT, uint8_t, count, EVENTS_MAX)                                                                      \
    S(SUB, struct pointer_event, told, pointer_event_state) /* as the guest knows it; x and y of a tablet */

struct usb_pointer {
    struct usb_hid hid;
    struct console_pointer input;
    STATE_MEMBERS(USB_POINTER_STATE);
};
STATE_TABLE(usb_pointer_state, struct usb_pointer, USB_POINTER_STATE);

static bool usb_pointer_is_tablet(const struct usb_pointer *p)
{
    return p->input.absolute;
}

/* ---- from the console ---- */

static int16_t usb_pointer_sum(int16_t a, int b)
{
    int64_t sum = (int64_t)a + b;

    return sum < INT16_MIN ? INT16_MIN : sum > INT16_MAX ? INT16_MAX : sum;
}

/* Adds to an event that was not told yet. */
static void usb_pointer_merge(struct usb_pointer *p, struct pointer_event *event, int x, int y, int wheel)
{
    event->x = usb_pointer_is_tablet(p) ? x : usb_pointer_sum(event->x, x);
    event->y = usb_pointer_is_tablet(p) ? y : usb_pointer_sum(event->y, y);
    event->wheel = usb_pointer_sum(event->wheel, wheel);
}

/* May the last event waiting take another's movement: the buttons do not change between it, the one before
 * and the new. */
static bool usb_pointer_mergeable(const struct usb_pointer *p, uint8_t buttons)
{
    uint8_t before = p->count > 1 ? p->queue[p->count - 2].buttons : p->told.buttons;

    return p->count && p->queue[p->count - 1].buttons == buttons && before == buttons;
}

static void usb_pointer_event(void *opaque, int x, int y, int wheel, unsigned buttons)
{
    struct usb_pointer *p = opaque;

    buttons &= BUTTONS;
    if (!usb_pointer_mergeable(p, buttons) && p->count < EVENTS_MAX)
        p->queue[p->count++] = (struct pointer_event){.buttons = buttons};
    /* Where the queue is full the last state counts. */
    p->queue[p->count - 1].buttons = buttons;
    usb_pointer_merge(p, &p->queue[p->count - 1], x, y, wheel);
    usb_hid_changed(&p->hid);
}

/* ---- to the guest ---- */

static bool usb_pointer_pending(const struct usb_hid *hid)
{
    return ((const struct usb_pointer *)hid)->count != 0;
}

static int8_t usb_pointer_take(int16_t *movement)
{
    int8_t part = *movement < -127 ? -127 : *movement > 127 ? 127 : *movement;

    *movement -= part;
    return part;
}

static void usb_pointer_drop_first(struct usb_pointer *p)
{
    memmove(p->queue, p->queue + 1, --p->count * sizeof(p->queue[0]));
}

static unsigned usb_tablet_report(struct usb_hid *hid, uint8_t *report, bool take)
{
    struct usb_pointer *p = (struct usb_pointer *)hid;
    struct pointer_event *first = &p->queue[0];
    int8_t wheel = 0;

    if (take && p->count) {
        wheel = usb_pointer_take(&first->wheel);
        p->told = *first;
        if (!first->wheel)
            usb_pointer_drop_first(p);
    }
    report[0] = p->told.buttons;
    report[1] = p->told.x;
    report[2] = p->told.x >> 8;
    report[3] = p->told.y;
    report[4] = p->told.y >> 8;
    report[5] = wheel;
    return TABLET_REPORT;
}

static unsigned usb_mouse_report(struct usb_hid *hid, uint8_t *report, bool take)
{
    struct usb_pointer *p = (struct usb_pointer *)hid;
    struct pointer_event *first = &p->queue[0];

    memset(report, 0, MOUSE_REPORT);
    if (take && p->count) {
        p->told.buttons = first->buttons;
        report[1] = usb_pointer_take(&first->x);
        report[2] = usb_pointer_take(&first->y);
        report[3] = usb_pointer_take(&first->wheel);
        if (!first->x && !first->y && !first->wheel)
            usb_pointer_drop_first(p);
    }
    report[0] = p->told.buttons;
    return hid->boot_protocol ? BOOT_MOUSE_REPORT : MOUSE_REPORT;
}

static void usb_pointer_active(struct usb_hid *hid, bool on)
{
    struct usb_pointer *p = (struct usb_pointer *)hid;
    struct console *console = hid->usb.dev.machine->backends->console;

    if (on) {
        console_add_pointer(console, &p->input);
    } else {
        console_remove_pointer(console, &p->input);
        p->count = 0;
    }
}

/* ---- descriptors ---- */

static const uint8_t tablet_device[] = USB_HID_DEVICE_DESCRIPTOR(0x0627, 0x0001);
static const uint8_t mouse_device[] = USB_HID_DEVICE_DESCRIPTOR(0x0627, 0x0001);
static const char *const tablet_strings[] = {"hvm-dm", "hvm-dm USB Tablet", "1", NULL};
static const char *const mouse_strings[] = {"hvm-dm", "hvm-dm USB Mouse", "1", NULL};

/* Five buttons, X and Y absolute 0..7FFF, a wheel. */
static const uint8_t tablet_report_descriptor[] = {
    0x05, 0x01,                   /* usage page: generic desktop */
    0x09, 0x02,                   /* usage: mouse */
    0xA1, 0x01,                   /* collection: application */
    0x09, 0x01,                   /*   usage: pointer */
    0xA1, 0x00,                   /*   collection: physical */
    0x05, 0x09,                   /*     usage page: button */
    0x19, 0x01, 0x29, 0x05,       /*     usages 1..5 */
    0x15, 0x00, 0x25, 0x01,       /*     values 0..1 */
    0x95, 0x05, 0x75, 0x01,       /*     5 of 1 bit */
    0x81, 0x02,                   /*     input: data, variable, absolute */
    0x95, 0x01, 0x75, 0x03,       /*     3 bits */
    0x81, 0x01,                   /*     input: constant */
    0x05, 0x01,                   /*     usage page: generic desktop */
    0x09, 0x30, 0x09, 0x31,       /*     usages: X, Y */
    0x15, 0x00, 0x26, 0xFF, 0x7F, /* values 0..7FFF */
    0x35, 0x00, 0x46, 0xFF, 0x7F, /* the same physically */
    0x75, 0x10, 0x95, 0x02,       /*     2 of 16 bits */
    0x81, 0x02,                   /*     input: data, variable, absolute */
    0x09, 0x38,                   /*     usage: wheel */
    0x15, 0x81, 0x25, 0x7F,       /*     values -127..127 */
    0x35, 0x00, 0x45, 0x00,       /*     no physical ones */
    0x75, 0x08, 0x95, 0x01,       /*     1 of 8 bits */
    0x81, 0x06,                   /*     input: data, variable, relative */
    0xC0, 0xC0,
};

/* The boot protocol's report with two buttons more and a wheel behind it. */
static const uint8_t mouse_report_descriptor[] = {
    0x05, 0x01,             /* usage page: generic desktop */
    0x09, 0x02,             /* usage: mouse */
    0xA1, 0x01,             /* collection: application */
    0x09, 0x01,             /*   usage: pointer */
    0xA1, 0x00,             /*   collection: physical */
    0x05, 0x09,             /*     usage page: button */
    0x19, 0x01, 0x29, 0x05, /*     usages 1..5 */
    0x15, 0x00, 0x25, 0x01, /*     values 0..1 */
    0x95, 0x05, 0x75, 0x01, /*     5 of 1 bit */
    0x81, 0x02,             /*     input: data, variable, absolute */
    0x95, 0x01, 0x75, 0x03, /*     3 bits */
    0x81, 0x01,             /*     input: constant */
    0x05, 0x01,             /*     usage page: generic desktop */
    0x09, 0x30, 0x09, 0x31, /*     usages: X, Y */
    0x09, 0x38,             /*     usage: wheel */
    0x15, 0x81, 0x25, 0x7F, /*     values -127..127 */
    0x75, 0x08, 0x95, 0x03, /*     3 of 8 bits */
    0x81, 0x06,             /*     input: data, variable, relative */
    0xC0, 0xC0,
};

/* To be asked every 10 ms, of which drivers make 8. */
static const uint8_t tablet_configuration[] =
    USB_HID_CONFIGURATION(0, 0, sizeof(tablet_report_descriptor), USB_HID_REPORT_MAX, 10);
static const uint8_t mouse_configuration[] =
    USB_HID_CONFIGURATION(1, 2, sizeof(mouse_report_descriptor), USB_HID_REPORT_MAX, 10);

static const struct usb_hid_class tablet_hid = {
    .usb = {.speed = USB_FULL_SPEED,
            .device = tablet_device,
            .configuration = tablet_configuration,
            .strings = tablet_strings,
            .control = usb_hid_control,
            .in = usb_hid_in,
            .configured = usb_hid_configured},
    .report_descriptor = tablet_report_descriptor,
    .report_descriptor_size = sizeof(tablet_report_descriptor),
    .pending = usb_pointer_pending,
    .report = usb_tablet_report,
    .active = usb_pointer_active,
};

static const struct usb_hid_class mouse_hid = {
    .usb = {.speed = USB_FULL_SPEED,
            .device = mouse_device,
            .configuration = mouse_configuration,
            .strings = mouse_strings,
            .control = usb_hid_control,
            .in = usb_hid_in,
            .configured = usb_hid_configured},
    .report_descriptor = mouse_report_descriptor,
    .report_descriptor_size = sizeof(mouse_report_descriptor),
    .pending = usb_pointer_pending,
    .report = usb_mouse_report,
    .active = usb_pointer_active,
};

/* ---- life ---- */

static bool usb_pointer_realize(struct device *dev, struct error *err)
{
    struct usb_pointer *p = (struct usb_pointer *)dev;
    bool tablet = dev->cls->bus_info == &tablet_hid;

    p->input = (struct console_pointer){
        .name = usb_product(&p->hid.usb), .absolute = tablet, .event = usb_pointer_event, .opaque = p};
    return true;
}

static void usb_pointer_reset(struct device *dev)
{
    struct usb_pointer *p = (struct usb_pointer *)dev;

    p->count = 0;
    p->told = (struct pointer_event){.buttons = 0};
}

static bool usb_pointer_check(const struct device *dev, struct error *err)
{
    return usb_device_check((const struct usb_device *)dev, err);
}

static void usb_pointer_loaded(struct device *dev)
{
    usb_hid_loaded((struct usb_hid *)dev);
}

static const struct device_class usb_tablet_class = {
    .name = "usb-tablet",
    .description = "USB tablet: the pointer is where the viewer's is",
    .bus = &usb_bus_ops,
    .bus_info = &tablet_hid,
    .size = sizeof(struct usb_pointer),
    .state = &usb_pointer_state,
    .realize = usb_pointer_realize,
    .reset = usb_pointer_reset,
    .check = usb_pointer_check,
    .loaded = usb_pointer_loaded,
};
DEVICE_CLASS(usb_tablet_class);

static const struct device_class usb_mouse_class = {
    .name = "usb-mouse",
    .description = "USB mouse",
    .bus = &usb_bus_ops,
    .bus_info = &mouse_hid,
    .size = sizeof(struct usb_pointer),
    .state = &usb_pointer_state,
    .realize = usb_pointer_realize,
    .reset = usb_pointer_reset,
    .check = usb_pointer_check,
    .loaded = usb_pointer_loaded,
};
DEVICE_CLASS(usb_mouse_class);
