/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices that -device, -vga and QMP's device_add name. */
#ifndef CONTROL_DEVICES_H
#define CONTROL_DEVICES_H

#include "control/control.h"
#include "control/option.h"

extern const struct option device_option_rows[], graphics_option_rows[];

/* A -device, or the like of it from QMP: key driver, id, bus and properties. */
bool create_device(struct control *c, const struct opts *opts, struct error *err);
/* The graphics adapter of -vga, or the default one. */
bool create_graphics(struct control *c, struct error *err);

#endif
