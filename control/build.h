/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CONTROL_BUILD_H
#define CONTROL_BUILD_H

#include "control/control.h"

/* Builds and starts the machine that the options describe, up to but without the guest's first instruction.
 * False: *err. */
bool build_machine(struct control *c, struct error *err);

#endif
