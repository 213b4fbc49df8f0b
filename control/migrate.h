/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest's way from one process to another: QMP's migrate and xen-save-devices-state, and -incoming. */
#ifndef CONTROL_MIGRATE_H
#define CONTROL_MIGRATE_H

#include "control/control.h"
#include "control/option.h"

extern const struct option migrate_option_rows[];

/*
 * -incoming: takes the state in at once (fd:, file:), or begins to listen for it (unix:, tcp:; the machine's
 * state is inmigrate until it came), or waits for QMP's migrate-incoming (defer). False with *err.
 */
bool migrate_incoming(struct control *c, const char *uri, struct error *err);

/* Lets the guest run, here: its images are locked from now on. False with *err: another program has one. */
bool migrate_go_on(struct control *c, struct error *err);

#endif
