/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/isa.h"

const struct bus_ops isa_bus_ops = {.name = "ISA", .title = "ISA devices", .type = "isa-device"};

void isa_bus_init(struct bus_node *node, struct machine *machine)
{
    *node = (struct bus_node){.name = "isa.0", .ops = &isa_bus_ops};
    bus_node_add(machine, node);
}
