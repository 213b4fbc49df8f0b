/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/usb/usb_hid.h"

#include <string.h>

#include "machine/machine.h"

/* Class requests (HID 1.11, 7.2) */
enum {
    GET_REPORT = 0x01,
    GET_IDLE = 0x02,
    GET_PROTOCOL = 0x03,
    SET_REPORT = 0x09,
    SET_IDLE = 0x0A,
    SET_PROTOCOL = 0x0B,
};

enum { DESCRIPTOR_HID = 0x21, DESCRIPTOR_REPORT = 0x22 };
enum { REPORT_INPUT = 1, REPORT_OUTPUT = 2 };

#define HID_DESCRIPTOR_OFFSET 18 /* in the configuration, after it and the interface */
#define HID_DESCRIPTOR_SIZE   9

STATE_PUBLIC_TABLE(usb_hid_state, struct usb_hid, USB_HID_STATE);

static const struct usb_hid_class *usb_hid_class_of(const struct usb_hid *hid)
{
    return (const struct usb_hid_class *)usb_class_of(&hid->usb);
}

static int64_t usb_hid_now(const struct usb_hid *hid)
{
    return clock_now(&hid->usb.dev.machine->clock);
}

/* When the report is to be told again although nothing changed. */
static int64_t usb_hid_idle_end(const struct usb_hid *hid)
{
    return hid->idle ? hid->last_report + 4 * NS_PER_MS * hid->idle : USB_NEVER;
}

static void usb_hid_update_due(struct usb_hid *hid)
{
    hid->usb.due = !hid->usb.configuration               ? USB_NEVER
                   : usb_hid_class_of(hid)->pending(hid) ? usb_hid_now(hid)
                                                         : usb_hid_idle_end(hid);
}

/* ---- endpoint 1 ---- */

static void usb_hid_set_active(struct usb_hid *hid, bool on)
{
    if (hid->polled == on)
        return;
    hid->polled = on;
    usb_hid_class_of(hid)->active(hid, on);
}

int usb_hid_in(struct usb_device *dev, uint8_t *data, unsigned max)
{
    struct usb_hid *hid = (struct usb_hid *)dev;
    const struct usb_hid_class *cls = usb_hid_class_of(hid);
    uint8_t report[USB_HID_REPORT_MAX];
    unsigned length;

    usb_hid_set_active(hid, true);
    if (!cls->pending(hid) && usb_hid_now(hid) < usb_hid_idle_end(hid))
        return USB_NAK;
    length = cls->report(hid, report, true);
    hid->last_report = usb_hid_now(hid);
    usb_hid_update_due(hid);
    if (length > max)
        return USB_BABBLE;
    memcpy(data, report, length);
    return length;
}

void usb_hid_configured(struct usb_device *dev, bool on)
{
    struct usb_hid *hid = (struct usb_hid *)dev;

    usb_hid_set_active(hid, false);
    hid->boot_protocol = false;
    hid->idle = 0;
    usb_hid_update_due(hid);
}

void usb_hid_changed(struct usb_hid *hid)
{
    usb_ready(&hid->usb);
}

void usb_hid_loaded(struct usb_hid *hid)
{
    if (hid->polled)
        usb_hid_class_of(hid)->active(hid, true);
    usb_hid_update_due(hid);
    hid->usb.bus->ops->ready(hid->usb.bus->opaque);
}

/* ---- requests to the interface ---- */

static int usb_hid_descriptor(const struct usb_hid *hid, const struct usb_setup *setup, uint8_t *data)
{
    const struct usb_hid_class *cls = usb_hid_class_of(hid);

    switch (setup->value >> 8) {
    case DESCRIPTOR_HID:
        memcpy(data, cls->usb.configuration + HID_DESCRIPTOR_OFFSET, HID_DESCRIPTOR_SIZE);
        return HID_DESCRIPTOR_SIZE;
    case DESCRIPTOR_REPORT:
        memcpy(data, cls->report_descriptor, cls->report_descriptor_size);
        return cls->report_descriptor_size;
    default:
        return USB_STALL;
    }
}

static int usb_hid_get(struct usb_hid *hid, const struct usb_setup *setup, uint8_t *data)
{
    switch (setup->request) {
    case GET_REPORT:
        return setup->value >> 8 == REPORT_INPUT ? (int)usb_hid_class_of(hid)->report(hid, data, false)
                                                 : USB_STALL;
    case GET_IDLE:
        data[0] = hid->idle;
        return 1;
    case GET_PROTOCOL:
        data[0] = !hid->boot_protocol;
        return 1;
    default:
        return USB_STALL;
    }
}

static int usb_hid_set(struct usb_hid *hid, const struct usb_setup *setup, const uint8_t *data)
{
    const struct usb_hid_class *cls = usb_hid_class_of(hid);

    switch (setup->request) {
    case SET_REPORT:
        if (setup->value >> 8 != REPORT_OUTPUT || !cls->output)
            return USB_STALL;
        cls->output(hid, data, setup->length);
        return 0;
    case SET_IDLE:
        hid->idle = setup->value >> 8;
        hid->last_report = usb_hid_now(hid);
        usb_hid_update_due(hid);
        return 0;
    case SET_PROTOCOL:
        hid->boot_protocol = !setup->value;
        return 0;
    default:
        return USB_STALL;
    }
}

int usb_hid_control(struct usb_device *dev, const struct usb_setup *setup, uint8_t *data)
{
    struct usb_hid *hid = (struct usb_hid *)dev;
    bool in = setup->type & USB_DIR_IN;

    if ((setup->type & USB_RECIPIENT_MASK) != USB_RECIPIENT_INTERFACE || setup->index || !dev->configuration)
        return USB_STALL;
    if ((setup->type & USB_TYPE_MASK) == USB_TYPE_STANDARD)
        return in && setup->request == USB_GET_DESCRIPTOR ? usb_hid_descriptor(hid, setup, data) : USB_STALL;
    if ((setup->type & USB_TYPE_MASK) != USB_TYPE_CLASS)
        return USB_STALL;
    return in ? usb_hid_get(hid, setup, data) : usb_hid_set(hid, setup, data);
}
