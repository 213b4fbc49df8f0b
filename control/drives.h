/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CONTROL_DRIVES_H
#define CONTROL_DRIVES_H

#include "control/control.h"
#include "control/option.h"

extern const struct option drive_option_rows[];

/*
 * Slots for -drive, -hda and their like, -blockdev and the default drives (drives_open), and after the board
 * was made the drives that sit in them (drives_plug).
 */
bool drives_open(struct control *c, struct error *err);
bool drives_plug(struct control *c, struct error *err);

/* Is it a drive whose medium comes and goes? */
bool drives_removable(const char *driver);
/* An empty slot for such a -device that names no drive, of the device's id or one made from its class. */
bool drives_give_slot(struct control *c, const struct opts *device, char id[64], struct error *err);

#endif
