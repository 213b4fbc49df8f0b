/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Class pc-testdev: 16 ports from 0xE0 for tests of access sizes and byte order. The first eight are a word
 * of memory that accesses of any size reach; the second eight are the same word seen byte by byte.
 */
#include <string.h>

#include "machine/machine.h"

enum { WORD = 8 };

#define TESTDEV_STATE(S) S(ARRAY, uint8_t, word, WORD, ANY)

struct testdev {
    struct device dev;
    struct region whole, bytewise;
    uint16_t iobase;
    STATE_MEMBERS(TESTDEV_STATE);
};
STATE_TABLE(testdev_state, struct testdev, TESTDEV_STATE);

static uint64_t pc_testdev_testdev_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct testdev *test = opaque;
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)test->word[offset + i] << i * 8;
    return value;
}

static void pc_testdev_testdev_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct testdev *test = opaque;

    for (unsigned i = 0; i < size; i++)
        test->word[offset + i] = value >> i * 8;
}

static const struct region_ops whole_ops = {
    .read = pc_testdev_testdev_read, .write = pc_testdev_testdev_write, .max_size = 4};
static const struct region_ops bytewise_ops = {
    .read = pc_testdev_testdev_read, .write = pc_testdev_testdev_write, .max_size = 1};

static bool pc_testdev_testdev_realize(struct device *dev, struct error *err)
{
    struct testdev *test = (struct testdev *)dev;
    struct machine *m = dev->machine;

    machine_map_ports(m, &test->whole, "pc-testdev", &whole_ops, test, test->iobase, WORD);
    machine_map_ports(m, &test->bytewise, "pc-testdev-bytewise", &bytewise_ops, test, test->iobase + WORD,
                      WORD);
    return true;
}

static void pc_testdev_testdev_unrealize(struct device *dev)
{
    struct testdev *test = (struct testdev *)dev;

    bus_unmap(&dev->machine->bus, &test->whole);
    bus_unmap(&dev->machine->bus, &test->bytewise);
}

static void pc_testdev_testdev_reset(struct device *dev)
{
    memset(((struct testdev *)dev)->word, 0, WORD);
}

static const struct property testdev_properties[] = {
    PROPERTY(PROP_UINT16, struct testdev, iobase, "iobase", .initial = "0xe0", .max = 0xFFF0,
             .help = "first port"),
    {.name = NULL},
};

static const struct device_class testdev_class = {
    .name = "pc-testdev",
    .description = "ports for tests of access sizes",
    .bus = &isa_bus_ops,
    .size = sizeof(struct testdev),
    .properties = testdev_properties,
    .state = &testdev_state,
    .realize = pc_testdev_testdev_realize,
    .unrealize = pc_testdev_testdev_unrealize,
    .reset = pc_testdev_testdev_reset,
};
DEVICE_CLASS(testdev_class);
