/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -cpu and -smp: how many processors the guest has, how they sit together, and what they say of themselves.
 */
#ifndef CONTROL_PROCESSORS_H
#define CONTROL_PROCESSORS_H

#include "control/options.h"

bool processors_cpu(struct options *o, const char *option, const char *arg, struct error *err);
bool processors_smp(struct options *o, const char *option, const char *arg, struct error *err);

#endif
