/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What keyboards and pointers share: the requests of the HID class (Device Class Definition for HID 1.11,
 * chapter 7), the idle rate, and reports on endpoint 1.
 */
#ifndef HW_USB_USB_HID_H
#define HW_USB_USB_HID_H

#include "hw/usb/usb.h"

enum { USB_HID_REPORT_MAX = 8 };

#define USB_HID_STATE(S)                                                                                     \
    S(BASE, struct usb_device, usb, usb_device_state)                                                        \
    S(BOOL, boot_protocol)                                                                                   \
    S(BOOL, polled)             /* the guest asked for a report since the configuration was set */           \
    S(UINT, uint8_t, idle, ANY) /* SET_IDLE's duration, 4 ms units; 0: reports tell changes only */          \
    S(UINT, int64_t, last_report, INT64_MAX / 2) /* guest time */

struct usb_hid {
    struct usb_device usb;
    STATE_MEMBERS(USB_HID_STATE);
};

/* A kind of HID device; its usb_class has the functions below. */
struct usb_hid_class {
    struct usb_class usb;
    const uint8_t *report_descriptor;
    uint16_t report_descriptor_size;
    bool (*pending)(const struct usb_hid *hid); /* something is not told yet */
    /* Makes the next report, or the present one again (take false); returns its length. */
    unsigned (*report)(struct usb_hid *hid, uint8_t report[USB_HID_REPORT_MAX], bool take);
    void (*output)(struct usb_hid *hid, const uint8_t *report, unsigned length); /* or NULL */
    /* The guest begins to ask, or will not any more: register with the console, or leave it. */
    void (*active)(struct usb_hid *hid, bool on);
};

extern const struct state_table usb_hid_state;

int usb_hid_control(struct usb_device *dev, const struct usb_setup *setup, uint8_t *data);
int usb_hid_in(struct usb_device *dev, uint8_t *data, unsigned max);
void usb_hid_configured(struct usb_device *dev, bool on);
/* Something is pending. */
void usb_hid_changed(struct usb_hid *hid);
/* After a state was loaded: the rest follows from it. */
void usb_hid_loaded(struct usb_hid *hid);

/* The usual descriptors, as initialisers of arrays. All devices here are at full speed with one interface. */
#define USB_HID_DEVICE_DESCRIPTOR(vendor, product)                                                           \
    {                                                                                                        \
        18, 1, 0x10, 0x01, 0, 0, 0, USB_PACKET0, (vendor)&0xFF, (vendor) >> 8, (product)&0xFF,               \
            (product) >> 8, 0x00, 0x01, 1, 2, 3, 1                                                           \
    }
#define USB_HID_CONFIGURATION(subclass, protocol, report_size, packet, interval)                             \
    {                                                                                                        \
        9, 2, 34, 0, 1, 1, 0, 0xA0, 50,                        /* one interface, remote wake-up, 100 mA */   \
            9, 4, 0, 0, 1, 3, subclass, protocol, 0,           /* interface, HID */                          \
            9, 0x21, 0x11, 0x01, 0, 1, 0x22, (report_size), 0, /* HID 1.11, one report descriptor */         \
            7, 5, 0x81, 3, packet, 0, interval                 /* endpoint 1 IN, interrupt */                \
    }

#endif
