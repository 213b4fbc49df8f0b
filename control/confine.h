/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Giving up rights that are no longer needed. */
#ifndef CONTROL_CONFINE_H
#define CONTROL_CONFINE_H

#include <stdbool.h>

#include "base/error.h"

/* chroot into a directory, then become a user ("name" or "UID:GID"); NULL: not asked for. False: *err. */
bool confine(const char *root, const char *user, struct error *err);

#endif
