/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CONTROL_MACHINE_OPTIONS_H
#define CONTROL_MACHINE_OPTIONS_H

#include "control/option.h"

extern const struct option machine_option_rows[];

/* The accelerators, the default first; ends with NULL. */
extern const struct accel_ops *const accels[];
const struct accel_ops *find_accel(const char *name);

#endif
