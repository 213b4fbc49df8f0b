/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process: what the options made, and who commands it. */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include "console/hands.h"
#include "control/options.h"
#include "hw/backends.h"
#include "machine/machine.h"
#include "vnc/vnc.h"

struct drive;
struct monitor;
struct fdset;

struct control {
    struct machine m;
    struct backends backends;
    struct options options;
    struct drive *drives; /* drives.c: one for each -drive and its like, then the default ones */
    size_t drive_count;
    struct vnc *vnc;   /* NULL: no viewers */
    bool vnc_searched; /* its port was the first free one */
    struct monitor *monitors;
    struct fdset *fdsets;
    struct machine_listener listener;
    struct loop_fd signals;
    const char *shutdown_reason; /* NULL: a signal */
    struct console_hand hand;    /* what input-send-event and send-key hold */
    bool pidfile_written, stdio_taken;
};

/* Builds and starts the machine that the options describe, up to but without the guest's first instruction.
 * False: *err. */
bool build_machine(struct control *c, struct error *err);
/* A person who did not choose the viewers' port is told it, once nothing can fail any more. */
void build_tell_vnc_port(struct control *c);

/*
 * Slots for -drive, -hda and their like, -blockdev and the default drives (drives_open), and after the board
 * was made the drives that sit in them (drives_plug).
 */
bool drives_open(struct control *c, struct error *err);
bool drives_plug(struct control *c, struct error *err);

/* The wires of -netdev and -nic; after the board was made the cards of -nic. */
bool networks_open(struct control *c, struct error *err);
bool networks_plug(struct control *c, struct error *err);
void networks_list_cards(void); /* to stdout */

/* -usbdevice: is there such a thing; and after everything else, so that what names a port has it, plugs them
 * in. */
bool usb_check_name(const char *name, struct error *err);
bool usb_plug(struct control *c, struct error *err);

/* A -device, or the like of it from QMP: key driver, id, bus and properties. */
bool create_device(struct control *c, const struct opts *opts, struct error *err);

#endif
