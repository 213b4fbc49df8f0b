/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands that people type, and their prompt. */
#ifndef CONTROL_HMP_H
#define CONTROL_HMP_H

#include "control/monitor.h"

extern const struct monitor_kind hmp_monitor;

/* One line that a person typed; the answer, lines ended by CR LF. Caller frees. */
char *hmp_execute(struct control *c, const char *line);

#endif
