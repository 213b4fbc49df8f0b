/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Monitors: who commands the process. QMP for programs (qmp.c), a command line for people (hmp.c). */
#ifndef CONTROL_MONITOR_H
#define CONTROL_MONITOR_H

#include <jansson.h>

#include "char/chardev.h"
#include "control/control.h"

/* A monitor on a line that nobody else uses. False: no memory. */
bool monitor_open(struct control *c, struct chardev *chr, bool qmp, bool pretty);
void monitors_close(struct control *c);

/* Tells every QMP client of an event; data (stolen) may be NULL. */
void qmp_event(struct control *c, const char *name, json_t *data);

#endif
