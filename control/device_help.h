/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device classes, as text for people. */
#ifndef CONTROL_DEVICE_HELP_H
#define CONTROL_DEVICE_HELP_H

#include <stdbool.h>

#include "base/error.h"

/* Answers "-device help" and "-device NAME,help" on standard output; false: that was not asked. */
bool device_help(const char *arg);

/* Is there such a class? False: *err names the nearest. */
bool device_known(const char *name, struct error *err);

#endif
