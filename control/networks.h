/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Networks: the wires of -netdev, and -nic, which is a wire and a card in one; -net says the same in two. */
#ifndef CONTROL_NETWORKS_H
#define CONTROL_NETWORKS_H

#include "control/control.h"
#include "control/option.h"

extern const struct option network_option_rows[];

/* The wires of -netdev and -nic, and their dumps; after the board was made the cards of -nic. */
bool networks_open(struct control *c, struct error *err);
bool networks_plug(struct control *c, struct error *err);

#endif
