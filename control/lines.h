/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines: -serial, -chardev, -monitor and -qmp, and what speaks on them. */
#ifndef CONTROL_LINES_H
#define CONTROL_LINES_H

#include "control/control.h"
#include "control/option.h"

extern const struct option line_option_rows[];

/* The character devices; after the board was made the serial ports; at the end the monitors. */
bool lines_open(struct control *c, struct error *err);
bool lines_plug(struct control *c, struct error *err);
bool lines_open_monitors(struct control *c, struct error *err);

#endif
