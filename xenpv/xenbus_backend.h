/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Back ends of paravirtual devices, and the handshake with their front ends in the guest, which all kinds
 * have in common (xen/include/public/io/xenbus.h). libxl makes a directory backend/KIND/DOMID/NUMBER for each
 * device, which names the front end's; either side keeps its state there and watches the other's.
 *
 * What the guest writes is read once, as a number within its range or not at all. Everything here runs on the
 * machine thread, and only when xenstore tells of a change.
 */
#ifndef XENPV_XENBUS_BACKEND_H
#define XENPV_XENBUS_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xen/io/xenbus.h>

#include "base/error.h"
#include "xenpv/xenpv.h"

enum { XENBUS_PATH = 128 };

struct xenbus_device;

struct xenbus_class {
    const char *kind; /* of back end: the directory's name */
    size_t size;      /* of the device's struct, which begins with a struct xenbus_device */
    /* Is the device ours, and not another program's? Nothing but base and number is known. NULL: all are. */
    bool (*serves)(struct xenbus_device *dev);
    /* The device appeared. False: *err, and it never will be (NULL: nothing to do). */
    bool (*create)(struct xenbus_device *dev, struct error *err);
    void (*destroy)(struct xenbus_device *dev); /* disconnected already; NULL: nothing to do */
    /* Writes what the front end may choose from. */
    void (*offer)(struct xenbus_device *dev);
    /* The front end has written its choice. False: the reason is logged, and nothing is held. */
    bool (*connect)(struct xenbus_device *dev);
    void (*disconnect)(struct xenbus_device *dev);
    /* The following may be NULL. While connected: is the event channel one of the device's? */
    bool (*event)(struct xenbus_device *dev, int port);
    void (*params_changed)(struct xenbus_device *dev); /* the key of that name */
    void (*resumed)(struct xenbus_device *dev);        /* while connected: the machine runs again */
};

struct xenbus_device {
    const struct xenbus_class *cls;
    struct xenpv *pv;
    unsigned number;
    char base[XENBUS_PATH];     /* the back end's directory, relative to our domain's home */
    char frontend[XENBUS_PATH]; /* the front end's; "" until it is known and watched */
    bool connected;
    bool touched, params_touched; /* something changed, and is to be followed */
    struct xenbus_device *next;
};

/* Serves the devices of these kinds (ends with NULL) that there are and those that come. False: *err. */
bool xenbus_start(struct xenpv *pv, const struct xenbus_class *const classes[], struct error *err);
void xenbus_stop(struct xenpv *pv);
void xenbus_event(struct xenpv *pv, int port);
void xenbus_resume(struct xenpv *pv);

/* A decimal number at DIR/KEY; false: it is not there, or something else is. */
bool xenbus_read(struct xenpv *pv, const char *dir, const char *key, uint32_t *value);
/* The text there, to be freed; NULL: none. */
char *xenbus_read_text(struct xenpv *pv, const char *dir, const char *key);
/* Writes to the back end's directory. */
void xenbus_write(struct xenbus_device *dev, const char *key, uint64_t value);
void xenbus_write_text(struct xenbus_device *dev, const char *key, const char *text);

extern const struct xenbus_class xen_vkbd_class, xen_qdisk_class, xen_channel_class;

#endif
