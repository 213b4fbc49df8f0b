/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CONTROL_SCREENDUMP_H
#define CONTROL_SCREENDUMP_H

#include <stdbool.h>

#include "base/error.h"
#include "console/console.h"

/* Writes what the screen shows now into a file, as PNG or PPM. False: *err. */
bool screendump(struct console *con, const char *path, bool png, struct error *err);

#endif
