/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of the back ends belongs to the guest's state: frames that wait for its cards. */
#ifndef CONTROL_BACKEND_STATE_H
#define CONTROL_BACKEND_STATE_H

#include "control/control.h"

/* A section for each wire that there is; the machine's until the process ends. False with *err. */
bool backend_state_add(struct control *c, struct error *err);
void backend_state_free(struct control *c);

#endif
