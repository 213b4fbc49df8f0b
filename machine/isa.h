/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ISA bus "isa.0", on which the board's small chips sit: any number of devices, each of which chooses its
 * ports and lines itself (machine_map_ports, machine_irq).
 */
#ifndef MACHINE_ISA_H
#define MACHINE_ISA_H

#include "machine/device.h"

extern const struct bus_ops isa_bus_ops;

void isa_bus_init(struct bus_node *node, struct machine *machine);

#endif
