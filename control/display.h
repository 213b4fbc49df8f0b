/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the screen is seen: -vnc, -display and the viewers' keyboard layout. */
#ifndef CONTROL_DISPLAY_H
#define CONTROL_DISPLAY_H

#include "control/control.h"
#include "control/option.h"

extern const struct option display_option_rows[];

/* The keyboard layout is one that there is. */
bool display_check(const struct control *c, struct error *err);
bool display_start(struct control *c, struct error *err);
/* A person who did not choose the viewers' port is told it, once nothing can fail any more. */
void display_tell_port(struct control *c);

#endif
