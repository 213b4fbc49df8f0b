/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Class isa-debugcon: one port that firmware writes its log to. SeaBIOS and OVMF look for it at 0x402 and
 * take it to be there if it reads as 0xE9.
 */
#include "char/chardev.h"
#include "machine/machine.h"

enum { SIGNATURE = 0xE9 };

struct debugcon {
    struct device dev;
    struct region port;
    struct chardev *chardev;
    uint16_t iobase;
};

static uint64_t debugcon_read(void *opaque, uint64_t offset, unsigned size)
{
    return SIGNATURE;
}

static void debugcon_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct debugcon *con = opaque;
    uint8_t byte = value;

    if (con->chardev)
        chardev_write(con->chardev, &byte, 1);
}

static uint32_t debugcon_write_block(void *opaque, uint64_t offset, unsigned size, const uint8_t *data,
                                     uint32_t count)
{
    struct debugcon *con = opaque;

    if (size != 1)
        return 0;
    if (con->chardev)
        chardev_write(con->chardev, data, count);
    return count;
}

static const struct region_ops debugcon_ops = {
    .read = debugcon_read,
    .write = debugcon_write,
    .write_block = debugcon_write_block,
    .max_size = 1,
};

/* What is typed at the log is dropped. */
static size_t debugcon_space(void *opaque)
{
    return SIZE_MAX;
}

static void debugcon_receive(void *opaque, const uint8_t *data, size_t length)
{
}

static bool debugcon_realize(struct device *dev, struct error *err)
{
    static const struct chardev_user user = {.space = debugcon_space, .receive = debugcon_receive};
    struct debugcon *con = (struct debugcon *)dev;

    if (con->chardev && !chardev_set_user(con->chardev, &user))
        return error_set(err, "isa-debugcon: chardev '%s' is in use", chardev_id(con->chardev));
    con->port = (struct region){
        .name = "isa-debugcon",
        .size = 1,
        .ops = &debugcon_ops,
        .opaque = con,
        /* One that somebody listens to lies over the board's own. */
        .priority = con->chardev ? PRIORITY_OVERLAY : PRIORITY_BOARD,
    };
    bus_map(&dev->machine->bus, SPACE_PORT, &con->port, con->iobase);
    return true;
}

static void debugcon_unrealize(struct device *dev)
{
    struct debugcon *con = (struct debugcon *)dev;

    bus_unmap(&dev->machine->bus, &con->port);
    if (con->chardev)
        chardev_set_user(con->chardev, NULL);
}

static void debugcon_reset(struct device *dev)
{
}

static const struct property debugcon_properties[] = {
    PROPERTY(PROP_CHARDEV, struct debugcon, chardev, "chardev", .help = "where the log goes"),
    PROPERTY(PROP_UINT16, struct debugcon, iobase, "iobase", .initial = "0x402", .help = "the port"),
    {.name = NULL},
};

static const struct device_class debugcon_class = {
    .name = "isa-debugcon",
    .description = "firmware debug console port",
    .bus = &isa_bus_ops,
    .size = sizeof(struct debugcon),
    .properties = debugcon_properties,
    .state = &state_none,
    .realize = debugcon_realize,
    .unrealize = debugcon_unrealize,
    .reset = debugcon_reset,
};
DEVICE_CLASS(debugcon_class);
