/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Back ends of paravirtual devices for a Xen guest: disk, keyboard and pointer, channel. This header is what
 * the room shows: the Xen port (ioreq/xen.c) fills in what it has opened and starts, stops and feeds them.
 * Everything runs on the machine thread, under the lock.
 */
#ifndef XENPV_XENPV_H
#define XENPV_XENPV_H

#include <xenctrl.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>
#include <xenstore.h>

#include "base/error.h"
#include "base/loop.h"
#include "machine/machine.h"

/* Mapped one by one, pages cost the process a mapping each, of which Linux allows it 65530 by default. */
enum { XENPV_MAPPED = 16384 };

struct xenbus_class;
struct xenbus_device;

/* What a back end sees of its guest. */
struct xenpv {
    /* The Xen port's, set before xenpv_start. */
    struct machine *m;
    domid_t domid;
    xenevtchn_handle *evtchn;
    xenforeignmemory_handle *fmem; /* for pages that a front end names by frame number */
    struct xs_handle *store;
    void (*input_sent)(void *opaque); /* the guest got a key or a movement: its screen may change soon */
    void *opaque;

    /* The room's own. */
    xengnttab_handle *grants; /* NULL: this host has no grant device */
    unsigned mapped;          /* of XENPV_MAPPED pages that all devices may keep mapped */
    const struct xenbus_class *const *classes;
    struct xenbus_device *devices;
    struct loop_fd watch;
    struct loop_work more; /* watches that did not fit in one round */
};

/* Serves the devices there are and those that come. False: *err; xenpv_stop is still to be called. */
bool xenpv_start(struct xenpv *pv, struct error *err);
void xenpv_stop(struct xenpv *pv); /* harmless if it was not started */

/* An event came on a channel that is none of the Xen port's own. */
void xenpv_event(struct xenpv *pv, int port);
/* The guest runs again. */
void xenpv_resume(struct xenpv *pv);

#endif
