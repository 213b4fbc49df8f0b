/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB 1.1, the half that no host controller and no kind of device has for itself: what is plugged in where,
 * and of a device its address, its configuration and its control endpoint (chapter 9 of the specification).
 *
 * A host controller owns a struct usb_bus with its root ports, is told of what happens on them by struct
 * usb_host_ops, and asks devices with usb_transact: one token, its data and the handshake. Nothing here knows
 * UHCI; another controller offers the same.
 *
 * The wire loses nothing, so the data toggles of host and device never differ and are not kept here.
 */
#ifndef HW_USB_USB_H
#define HW_USB_USB_H

#include "machine/device.h"

enum usb_pid { USB_PID_OUT = 0xE1, USB_PID_IN = 0x69, USB_PID_SETUP = 0x2D };
enum usb_speed { USB_LOW_SPEED, USB_FULL_SPEED };

/* How a transaction went, where it did not move 0 or more bytes. */
enum {
    USB_NAK = -1,       /* nothing to give, or no room: try again */
    USB_STALL = -2,     /* the endpoint is halted, or the request is not understood */
    USB_NO_ANSWER = -3, /* no such endpoint */
    USB_BABBLE = -4,    /* the device has more to say than it was asked for */
};

enum { USB_CONTROL_MAX = 256, USB_PACKET0 = 8, USB_PORTS_MAX = 2 };
#define USB_NEVER INT64_MAX

/* bmRequestType */
enum {
    USB_DIR_IN = 0x80,
    USB_TYPE_MASK = 0x60,
    USB_TYPE_STANDARD = 0x00,
    USB_TYPE_CLASS = 0x20,
    USB_RECIPIENT_MASK = 0x1F,
    USB_RECIPIENT_DEVICE = 0,
    USB_RECIPIENT_INTERFACE = 1,
    USB_RECIPIENT_ENDPOINT = 2,
};

/* Standard requests and descriptor types */
enum { USB_GET_DESCRIPTOR = 6, USB_DESCRIPTOR_ENDPOINT = 5 };

struct usb_setup {
    uint8_t type, request; /* bmRequestType, bRequest */
    uint16_t value, index, length;
};

struct usb_device;

/* What a kind of device adds: the bus_info of its class. */
struct usb_class {
    enum usb_speed speed;
    const uint8_t *device;        /* its descriptor */
    const uint8_t *configuration; /* the only one, with all that wTotalLength spans */
    const char *const *strings;   /* from index 1; NULL ends them */
    /*
     * A request on the control endpoint that is not the core's. data has USB_CONTROL_MAX bytes: setup->length
     * of them for a request to the device, to be filled for one from it. Returns how many, or USB_STALL.
     */
    int (*control)(struct usb_device *dev, const struct usb_setup *setup, uint8_t *data);
    /* A packet from endpoint 1 (at most max bytes), or USB_NAK. */
    int (*in)(struct usb_device *dev, uint8_t *data, unsigned max);
    /* The configuration was chosen or, also by a reset and by being unplugged, taken away. */
    void (*configured)(struct usb_device *dev, bool on);
};

enum usb_stage { USB_IDLE, USB_DATA_IN, USB_DATA_OUT, USB_STATUS_IN };

#define USB_DEVICE_STATE(S)                                                                                  \
    S(UINT, uint8_t, address, 127)                                                                           \
    S(UINT, uint8_t, configuration, 1)                                                                       \
    S(UINT, uint8_t, stage, USB_STATUS_IN) /* of the control endpoint: enum usb_stage */                     \
    S(UINT, uint16_t, halted, ANY)         /* endpoints 1.., a bit each */                                   \
    S(BOOL, remote_wakeup)                 /* allowed by the guest */                                        \
    S(BOOL, suspended)                     /* its port is, or all are */                                     \
    S(ARRAY, uint8_t, setup, 8, ANY)                                                                         \
    S(ARRAY, uint8_t, data, USB_CONTROL_MAX, ANY)                                                            \
    S(UINT, uint16_t, length, USB_CONTROL_MAX) /* of data */                                                 \
    S(UINT, uint16_t, position, USB_CONTROL_MAX)

/* Begins with struct device; a kind of device begins with this, and its state with a BASE of it. */
struct usb_device {
    struct device dev;
    struct usb_bus *bus;
    unsigned port_number; /* from 1 */
    char *port;           /* property port=, NULL: any */
    /* When its interrupt endpoint has something to say, guest time; USB_NEVER: when something happens. */
    int64_t due;

    STATE_MEMBERS(USB_DEVICE_STATE);
};

extern const struct state_table usb_device_state;
/* May the state be? For the check of a class. */
bool usb_device_check(const struct usb_device *dev, struct error *err);

/* Classes with it as their bus begin with struct usb_device. An address on it is a port's number. */
extern const struct bus_ops usb_bus_ops;

static inline const struct usb_class *usb_class_of(const struct usb_device *dev)
{
    return dev->dev.cls->bus_info;
}

struct usb_host_ops {
    void (*attached)(void *opaque, unsigned port); /* ports count from 0 */
    void (*detached)(void *opaque, unsigned port); /* called before the device is gone */
    void (*wakeup)(void *opaque, unsigned port);   /* the device resumes its suspended port */
    void (*ready)(void *opaque);                   /* a device is due sooner than it was */
};

struct usb_bus {
    struct bus_node node;
    char name[64];
    const struct usb_host_ops *ops;
    void *opaque;
    unsigned ports;
    struct usb_device *devices[USB_PORTS_MAX];
};

/* Offers the bus "ID.0" of a controller with an id, else "usb-bus.N" with the first N that is free. */
void usb_bus_init(struct usb_bus *bus, struct device *owner, unsigned ports, const struct usb_host_ops *ops,
                  void *opaque);
void usb_bus_destroy(struct usb_bus *bus);
/* The earliest due of the devices; USB_NEVER. */
int64_t usb_bus_due(const struct usb_bus *bus);

/* Signalled on the wire by the host: a reset (address and configuration 0), suspend and resume. */
void usb_reset(struct usb_device *dev);
void usb_suspend(struct usb_device *dev, bool suspended);

/*
 * A transaction with the device: IN fills up to length bytes of data, SETUP and OUT hand length of them over.
 * Returns the bytes moved, or one of the negative answers above.
 */
int usb_transact(struct usb_device *dev, enum usb_pid pid, unsigned endpoint, uint8_t *data, unsigned length);

/* The device's: something happened that endpoint 1 can tell; wakes a suspended guest that allowed it. */
void usb_ready(struct usb_device *dev);

/* The product's name, for people. */
const char *usb_product(const struct usb_device *dev);

#endif
