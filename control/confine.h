/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Giving up rights that are no longer needed. */
#ifndef CONTROL_CONFINE_H
#define CONTROL_CONFINE_H

#include <stdbool.h>

#include "base/error.h"

/* From here on no program that is started gains rights by being setuid (a tap's downscript runs so). To be
 * called before there are threads: those that exist keep theirs. */
bool confine_programs(struct error *err);

/* chroot into a directory, then become a user ("name" or "UID:GID"); NULL: not asked for. False: *err. */
bool confine(const char *root, const char *user, struct error *err);

#endif
