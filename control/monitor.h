/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Monitors: who commands the process. QMP for programs (qmp.c), a prompt for people (hmp.c); monitor.c holds
 * what both have: the line, and the text that comes in on it.
 */
#ifndef CONTROL_MONITOR_H
#define CONTROL_MONITOR_H

#include <jansson.h>

#include "char/chardev.h"
#include "control/control.h"

/* What is spoken on the line; opaque is the monitor. */
struct monitor_kind {
    void (*receive)(void *opaque, const uint8_t *data, size_t length);
    void (*opened)(void *opaque); /* a client connected */
    void (*closed)(void *opaque); /* or NULL */
};

/* Where the reader of a QMP stream is. */
enum qmp_scan {
    SCAN_BETWEEN, /* outside of an object */
    SCAN_OBJECT,
    SCAN_STRING,
    SCAN_ESCAPE,
    SCAN_STRAY, /* bytes that begin no object */
    SCAN_SKIP,  /* the rest of what was refused: to the end of the line, whatever it holds */
};

struct qmp_session {
    bool pretty, negotiated;
    bool quiet; /* no events: libxenstat reads one answer and nothing else */
    enum qmp_scan scan;
    unsigned depth;
};

struct monitor {
    struct control *c;
    struct chardev *chr;
    struct chardev_user user;
    const struct monitor_kind *kind;
    char *input; /* the command that is being sent or typed */
    size_t length, capacity;
    struct qmp_session qmp;
    struct monitor *next;
};

/* A monitor on a line that nobody else uses. False: no memory. */
bool monitor_open(struct control *c, struct chardev *chr, const struct monitor_kind *kind, bool pretty);
void monitors_close(struct control *c);

/* One more byte of input; false: it is max bytes long already, or there is no memory. */
bool monitor_store(struct monitor *mon, char ch, size_t max);
/* A descriptor that came with the command; monitor NULL or -1: none; the caller owns it. */
int monitor_take_fd(struct monitor *monitor);

/* Tells every QMP client of an event; data (stolen) may be NULL. */
void qmp_event(struct control *c, const char *name, json_t *data);

#endif
