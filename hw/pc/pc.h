/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PC board: the chips that every machine has, in their places. */
#ifndef HW_PC_PC_H
#define HW_PC_PC_H

#include "base/error.h"
#include "machine/machine.h"

/*
 * Builds the board from m->config: host bridge, PIIX3 with IDE and power management, and the small chips.
 * Graphics, drives, network cards and serial lines are added by the caller. False: *err; the machine is then
 * destroyed as it is.
 */
bool pc_board_create(struct machine *m, struct error *err);

#endif
