/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A window on this host: -display sdl, the commands that bring it back, its title. */
#ifndef CONTROL_WINDOW_H
#define CONTROL_WINDOW_H

#include "control/control.h"

/* "-display sdl[,...]", with the option's name for messages. */
bool window_option(struct options *o, const char *option, const char *arg, struct error *err);
/* What is not such a window is said before the machine is built. */
bool window_check(const struct control *c, struct error *err);
/* Opens the window that was asked for, if one was. */
bool window_start(struct control *c, struct error *err);
void window_stop(struct control *c);

/* Brings the window back; opens one if there is none (opts: its options, freed here; NULL: as at start). */
bool window_add(struct control *c, struct opts *opts, struct error *err);
/* From hvm-dm -show. */
void window_show_asked(struct control *c);
/* The title says whether the guest runs. */
void window_machine_event(struct control *c, enum machine_event event);

#endif
