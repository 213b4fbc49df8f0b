/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Class port92: the PS/2 system control port A, port 0x92. Bit 0: a rising edge resets the machine. Bit 1:
 * A20, kept and read back but gating nothing, as no hypervisor of ours masks A20.
 */
#include "machine/machine.h"

enum { PORT = 0x92, FAST_RESET = 1, A20 = 2 };

#define PORT92_STATE(S) S(BITS, uint8_t, value, 0x03)

struct port92 {
    struct device dev;
    struct region region;
    STATE_MEMBERS(PORT92_STATE);
};
STATE_TABLE(port92_state, struct port92, PORT92_STATE);

static uint64_t port92_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct port92 *port = opaque;

    return port->value;
}

static void port92_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct port92 *port = opaque;
    bool rises = value & ~port->value & FAST_RESET;

    port->value = value & (FAST_RESET | A20);
    if (rises)
        machine_request_reset(port->dev.machine, true);
}

static const struct region_ops port92_ops = {.read = port92_read, .write = port92_write, .max_size = 1};

static bool port92_realize(struct device *dev, struct error *err)
{
    struct port92 *port = (struct port92 *)dev;

    machine_map_ports(dev->machine, &port->region, "port92", &port92_ops, port, PORT, 1);
    return true;
}

static void port92_unrealize(struct device *dev)
{
    bus_unmap(&dev->machine->bus, &((struct port92 *)dev)->region);
}

/* A20 is on after a reset: the processor starts above 1 MiB and nobody would turn it on. */
static void port92_reset(struct device *dev)
{
    ((struct port92 *)dev)->value = A20;
}

static const struct device_class port92_class = {
    .name = "port92",
    .description = "system control port A",
    .bus = &isa_bus_ops,
    .internal = true,
    .size = sizeof(struct port92),
    .state = &port92_state,
    .realize = port92_realize,
    .unrealize = port92_unrealize,
    .reset = port92_reset,
};
DEVICE_CLASS(port92_class);
