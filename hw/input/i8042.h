/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HW_INPUT_I8042_H
#define HW_INPUT_I8042_H

#include "machine/machine.h"

/* The PS/2 mouse speaks, though nothing moved: for a pointer whose driver is woken by it. */
void i8042_poke_mouse(struct machine *m);

#endif
