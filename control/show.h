/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hvm-dm -show NAME|PID: asks another hvm-dm of this host to bring its window back. */
#ifndef CONTROL_SHOW_H
#define CONTROL_SHOW_H

#include "base/error.h"

/* By the guest's name (-name), all of that name, or by the process's number. False: there is none, or it is
 * not ours to ask. */
bool show_window_of(const char *who, struct error *err);

#endif
