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

/* -usb, -usbdevice and USB controllers, channels of a restricted domain: warns, or false with *err. */
bool absent_check(const struct control *c, struct error *err);

/* A -device that is taken without effect. */
bool absent_ignored(const char *driver);

/* Why a device that others have is not here; NULL: it is not known. */
const char *absent_reason(const char *driver);

#endif
