/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process: what the options made, and who commands it. */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include "block/node.h"
#include "console/hands.h"
#include "control/options.h"
#include "hw/backends.h"
#include "machine/machine.h"
#include "vnc/vnc.h"

struct drive;
struct sdl;
struct monitor;
struct fdset;

struct control {
    struct machine m;
    struct backends backends;
    struct node_graph nodes; /* of images */
    struct options options;
    struct drive *drives; /* drives.c: one for each -drive and its like, then the default ones */
    size_t drive_count;
    struct vnc *vnc;    /* NULL: no viewers */
    bool vnc_searched;  /* its port was the first free one */
    struct sdl *window; /* NULL: there was none yet */
    bool window_left;   /* its thread hangs on the X server: exit() would hang as well */
    struct monitor *monitors;
    struct fdset *fdsets;
    struct machine_listener listener;
    struct loop_fd signals;
    const char *shutdown_reason; /* NULL: a signal */
    struct console_hand hand;    /* what input-send-event and send-key hold */
    bool pidfile_written, stdio_taken;
    struct loop_fd incoming; /* migrate.c: listens for a state */
    bool incoming_listens, migrated;
    const char *incoming_uri;
    char *incoming_text; /* of QMP's migrate-incoming, owned */
};

#endif
