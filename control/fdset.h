/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors that a QMP client passes (add-fd), in sets that are named /dev/fdset/N where a file is. */
#ifndef CONTROL_FDSET_H
#define CONTROL_FDSET_H

#include "control/control.h"

/* The number of "/dev/fdset/N", -1: it is not of that form. */
int fdset_number(const char *path);
/* A descriptor of the set, which stays the set's: the one that is open for reading only, or for both, as
 * asked; else its first. -1: there is none. */
int fdset_find(const struct control *c, int number, bool read_only);
/* Drops the sets when the last client goes: what is in use was dup'ed by its user. */
void fdsets_drop(struct control *c);

#endif
