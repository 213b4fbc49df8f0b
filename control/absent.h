/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hardware that this board does not have and people, libxl among them, ask for all the same: taken with one
 * line on standard error where the guest works without it, refused with a line that says what helps where it
 * would not.
 */
#ifndef CONTROL_ABSENT_H
#define CONTROL_ABSENT_H

#include <stdbool.h>

#include "control/control.h"
#include "control/option.h"

extern const struct option absent_option_rows[];

/* USB controllers, channels of a restricted domain: a line for what was asked for and has no effect. */
void absent_tell(const struct control *c);

/* A -device that is taken without effect. */
bool absent_ignored(const char *driver);

/* Why a device that others have is not here; NULL: it is not known. */
const char *absent_reason(const char *driver);

#endif
