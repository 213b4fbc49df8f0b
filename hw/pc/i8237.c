/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Class i8237: the two Intel 8237A DMA controllers of the PC/AT, their page registers at 0x80-0x8F and the
 * high page registers at 0x480-0x48F. See i8237.h.
 *
 * The first controller works through channel 4 of the second; whether that is masked or not in cascade mode
 * is not looked at, since a transfer is the device's own doing here and BIOSes leave it open.
 * Memory-to-memory transfers and software requests do not exist on the PC; their registers are kept.
 */
#include "hw/pc/i8237.h"

#include <string.h>

#include "machine/machine.h"

enum {
    CHANNELS = 8,
    CASCADE = 4,

    /* register numbers of a controller; below are address and count of each channel */
    STATUS_COMMAND = 8,
    REQUEST = 9,
    SINGLE_MASK = 10,
    MODE = 11,
    CLEAR_FLIP_FLOP = 12,
    TEMPORARY_MASTER_CLEAR = 13,
    CLEAR_MASK = 14,
    ALL_MASK = 15,

    COMMAND_DISABLE = 4,
    MODE_TRANSFER = 0x0C,
    MODE_VERIFY = 0x00,
    MODE_WRITE = 0x04, /* to memory */
    MODE_READ = 0x08,  /* from memory */
    MODE_AUTOINIT = 0x10,
    MODE_DECREMENT = 0x20,
    MODE_KIND = 0xC0,
    MODE_CASCADE = 0xC0,

    PAGES = 16,
    PORT_PAGES = 0x80,
    PORT_HIGH_PAGES = 0x480,

};

#define CHANNEL_STATE(S)                                                                                     \
    S(UINT, uint16_t, base_address, ANY) /* in bytes, or words for 5-7 */                                    \
    S(UINT, uint16_t, base_count, ANY)                                                                       \
    S(UINT, uint16_t, address, ANY)                                                                          \
    S(UINT, uint16_t, count, ANY)                                                                            \
    S(UINT, uint8_t, mode, ANY)

struct channel {
    STATE_MEMBERS(CHANNEL_STATE);
};
STATE_TABLE(channel_state, struct channel, CHANNEL_STATE);

#define CONTROLLER_STATE(S)                                                                                  \
    S(UINT, uint8_t, command, ANY)                                                                           \
    S(BITS, uint8_t, mask, 0x0F)                                                                             \
    S(BITS, uint8_t, terminal, 0x0F)                                                                         \
    S(BITS, uint8_t, software_request, 0x0F)                                                                 \
    S(BOOL, high_byte) /* the flip-flop */

struct controller {
    struct region region;
    struct i8237 *owner;
    uint8_t first; /* channel: 0 or 4 */
    STATE_MEMBERS(CONTROLLER_STATE);
};
STATE_TABLE(controller_state, struct controller, CONTROLLER_STATE);

/* pages, high_pages: those of no channel are scratch registers; 0x80 is the BIOS's POST code */
#define I8237_STATE(S)                                                                                       \
    S(SUBS, struct controller, controllers, 2, controller_state)                                             \
    S(SUBS, struct channel, channels, CHANNELS, channel_state)                                               \
    S(ARRAY, uint8_t, pages, PAGES, ANY)                                                                     \
    S(ARRAY, uint8_t, high_pages, PAGES, ANY)                                                                \
    S(UINT, uint8_t, requests, ANY) /* DREQ, a bit a channel */

struct i8237 {
    struct device dev;
    struct region pages_region, high_pages_region;
    STATE_MEMBERS(I8237_STATE);
    struct {
        void (*ready)(void *opaque);
        void *opaque;
    } clients[CHANNELS];
};
STATE_TABLE(i8237_state, struct i8237, I8237_STATE);

/* Which page register a channel has: IBM's wiring. */
static const uint8_t page_of[CHANNELS] = {7, 3, 1, 2, 15, 11, 9, 10};

/* ---- transfers ---- */

static bool channel_open(const struct i8237 *dma, unsigned channel)
{
    const struct controller *c = &dma->controllers[channel / 4];

    return !(c->mask & 1u << channel % 4) && !(c->command & COMMAND_DISABLE) &&
           (dma->channels[channel].mode & MODE_KIND) != MODE_CASCADE;
}

/* Tells the devices that wait for a channel of this controller. */
static void tell_ready(struct i8237 *dma, unsigned first)
{
    for (unsigned channel = first; channel < first + 4; channel++)
        if (dma->requests & 1u << channel && channel_open(dma, channel) && dma->clients[channel].ready)
            dma->clients[channel].ready(dma->clients[channel].opaque);
}

/* The memory address of a channel; words are addressed within 128 KiB. */
static uint32_t memory_address(const struct i8237 *dma, unsigned channel)
{
    uint32_t page = (uint32_t)dma->high_pages[page_of[channel]] << 24 | dma->pages[page_of[channel]] << 16;
    uint32_t address = dma->channels[channel].address;

    return channel < CASCADE ? page | address : (page & ~0x1FFFFu) | address << 1;
}

/* How many units can be moved at ascending addresses before the address wraps in its page. */
static uint32_t units_to_wrap(const struct channel *ch)
{
    return ch->mode & MODE_DECREMENT ? 1 : 0x10000u - ch->address;
}

/* Moves the channel on by units, at most up to its terminal count: was that reached? */
static bool i8237_advance(struct i8237 *dma, unsigned channel, uint32_t units)
{
    struct channel *ch = &dma->channels[channel];
    struct controller *c = &dma->controllers[channel / 4];
    bool terminal = units == ch->count + 1u;

    ch->address += ch->mode & MODE_DECREMENT ? -units : units;
    ch->count -= units;
    if (!terminal)
        return false;
    c->terminal |= 1u << channel % 4;
    if (ch->mode & MODE_AUTOINIT) {
        ch->address = ch->base_address;
        ch->count = ch->base_count;
    } else {
        c->mask |= 1u << channel % 4;
    }
    return true;
}

/* One of to_memory and from_memory is NULL. */
static uint32_t transfer(struct i8237 *dma, unsigned channel, const uint8_t *to_memory, uint8_t *from_memory,
                         uint32_t length, bool *terminal)
{
    struct channel *ch = &dma->channels[channel];
    struct ram *ram = &dma->dev.machine->ram;
    unsigned unit = channel < CASCADE ? 1 : 2;
    uint8_t kind = ch->mode & MODE_TRANSFER;
    uint32_t done = 0;

    *terminal = false;
    if (!channel_open(dma, channel) || (kind != MODE_VERIFY && kind != (to_memory ? MODE_WRITE : MODE_READ)))
        return 0;
    while (length - done >= unit && !*terminal) {
        uint32_t units = (length - done) / unit, address = memory_address(dma, channel);

        if (units > ch->count + 1u)
            units = ch->count + 1u;
        if (units > units_to_wrap(ch))
            units = units_to_wrap(ch);
        if (to_memory && kind == MODE_WRITE)
            ram_write(ram, address, to_memory + done, units * unit);
        else if (from_memory &&
                 (kind == MODE_VERIFY || !ram_read(ram, address, from_memory + done, units * unit)))
            memset(from_memory + done, 0xFF, units * unit);
        done += units * unit;
        *terminal = i8237_advance(dma, channel, units);
    }
    return done;
}

uint32_t i8237_to_memory(struct device *dev, unsigned channel, const uint8_t *data, uint32_t length,
                         bool *terminal)
{
    return transfer((struct i8237 *)dev, channel % CHANNELS, data, NULL, length, terminal);
}

uint32_t i8237_from_memory(struct device *dev, unsigned channel, uint8_t *data, uint32_t length,
                           bool *terminal)
{
    return transfer((struct i8237 *)dev, channel % CHANNELS, NULL, data, length, terminal);
}

void i8237_request(struct device *dev, unsigned channel, bool level)
{
    struct i8237 *dma = (struct i8237 *)dev;

    if (level)
        dma->requests |= 1u << channel % CHANNELS;
    else
        dma->requests &= ~(1u << channel % CHANNELS);
}

void i8237_attach(struct device *dev, unsigned channel, void (*ready)(void *opaque), void *opaque)
{
    struct i8237 *dma = (struct i8237 *)dev;

    dma->clients[channel % CHANNELS].ready = ready;
    dma->clients[channel % CHANNELS].opaque = opaque;
    i8237_request(dev, channel, false);
}

struct device *i8237_find(struct machine *machine)
{
    struct device *dev = machine->devices;

    while (dev && strcmp(dev->cls->name, "i8237") != 0)
        dev = dev->next;
    return dev;
}

/* ---- registers ---- */

static uint8_t read_half(struct controller *c, uint16_t value)
{
    c->high_byte = !c->high_byte;
    return c->high_byte ? value & 0xFF : value >> 8;
}

static uint16_t write_half(struct controller *c, uint16_t old, uint8_t value)
{
    c->high_byte = !c->high_byte;
    return c->high_byte ? (old & 0xFF00) | value : (old & 0xFF) | value << 8;
}

static uint64_t i8237_controller_read(void *opaque, uint64_t offset, unsigned size)
{
    struct controller *c = opaque;
    struct i8237 *dma = c->owner;
    unsigned reg = offset / (c->first ? 2 : 1);
    uint8_t value;

    if (reg < STATUS_COMMAND) {
        const struct channel *ch = &dma->channels[c->first + reg / 2];

        return read_half(c, reg & 1 ? ch->count : ch->address);
    }
    switch (reg) {
    case STATUS_COMMAND:
        value = c->terminal | (c->software_request | (dma->requests >> c->first & 0x0F)) << 4;
        c->terminal = 0;
        return value;
    case ALL_MASK:
        return c->mask;
    default:
        return 0;
    }
}

static void master_clear(struct controller *c)
{
    c->command = 0;
    c->terminal = 0;
    c->software_request = 0;
    c->high_byte = false;
    c->mask = 0x0F;
}

static void write_channel(struct controller *c, unsigned reg, uint8_t value)
{
    struct channel *ch = &c->owner->channels[c->first + reg / 2];

    if (reg & 1)
        ch->base_count = ch->count = write_half(c, ch->base_count, value);
    else
        ch->base_address = ch->address = write_half(c, ch->base_address, value);
}

static void i8237_controller_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct controller *c = opaque;
    unsigned reg = offset / (c->first ? 2 : 1);
    uint8_t bit = 1u << (value & 3);

    if (reg < STATUS_COMMAND) {
        write_channel(c, reg, value);
        return;
    }
    switch (reg) {
    case STATUS_COMMAND:
        c->command = value;
        break;
    case REQUEST:
        c->software_request = value & 4 ? c->software_request | bit : c->software_request & ~bit;
        break;
    case SINGLE_MASK:
        c->mask = value & 4 ? c->mask | bit : c->mask & ~bit;
        break;
    case MODE:
        c->owner->channels[c->first + (value & 3)].mode = value & ~3;
        break;
    case CLEAR_FLIP_FLOP:
        c->high_byte = false;
        break;
    case TEMPORARY_MASTER_CLEAR:
        master_clear(c);
        break;
    case CLEAR_MASK:
        c->mask = 0;
        break;
    case ALL_MASK:
        c->mask = value & 0x0F;
        break;
    }
    tell_ready(c->owner, c->first);
}

static const struct region_ops controller_ops = {
    .read = i8237_controller_read, .write = i8237_controller_write, .max_size = 1};

static uint64_t i8237_pages_read(void *opaque, uint64_t offset, unsigned size)
{
    return ((struct i8237 *)opaque)->pages[offset];
}

/* Writing a page clears its high page, so that software of the AT's days need not know of it (EISA
 * specification). */
static void i8237_pages_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct i8237 *dma = opaque;

    dma->pages[offset] = value;
    dma->high_pages[offset] = 0;
}

static const struct region_ops pages_ops = {
    .read = i8237_pages_read, .write = i8237_pages_write, .max_size = 1};

static uint64_t i8237_high_pages_read(void *opaque, uint64_t offset, unsigned size)
{
    return ((struct i8237 *)opaque)->high_pages[offset];
}

static void i8237_high_pages_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    ((struct i8237 *)opaque)->high_pages[offset] = value;
}

static const struct region_ops high_pages_ops = {
    .read = i8237_high_pages_read, .write = i8237_high_pages_write, .max_size = 1};

/* ---- the device ---- */

static bool i8237_realize(struct device *dev, struct error *err)
{
    struct i8237 *dma = (struct i8237 *)dev;
    struct machine *m = dev->machine;

    for (unsigned i = 0; i < 2; i++) {
        dma->controllers[i].owner = dma;
        dma->controllers[i].first = i * 4;
    }
    machine_map_ports(m, &dma->controllers[0].region, "i8237-1", &controller_ops, &dma->controllers[0], 0x00,
                      16);
    machine_map_ports(m, &dma->controllers[1].region, "i8237-2", &controller_ops, &dma->controllers[1], 0xC0,
                      32);
    machine_map_ports(m, &dma->pages_region, "i8237-pages", &pages_ops, dma, PORT_PAGES, PAGES);
    machine_map_ports(m, &dma->high_pages_region, "i8237-high-pages", &high_pages_ops, dma, PORT_HIGH_PAGES,
                      PAGES);
    return true;
}

static void i8237_unrealize(struct device *dev)
{
    struct i8237 *dma = (struct i8237 *)dev;
    struct bus *bus = &dev->machine->bus;

    bus_unmap(bus, &dma->controllers[0].region);
    bus_unmap(bus, &dma->controllers[1].region);
    bus_unmap(bus, &dma->pages_region);
    bus_unmap(bus, &dma->high_pages_region);
}

static void i8237_reset(struct device *dev)
{
    struct i8237 *dma = (struct i8237 *)dev;

    memset(dma->channels, 0, sizeof(dma->channels));
    memset(dma->pages, 0, sizeof(dma->pages));
    memset(dma->high_pages, 0, sizeof(dma->high_pages));
    for (unsigned i = 0; i < 2; i++)
        master_clear(&dma->controllers[i]);
}

static const struct device_class i8237_class = {
    .name = "i8237",
    .description = "ISA DMA controllers",
    .bus = &isa_bus_ops,
    .internal = true,
    .size = sizeof(struct i8237),
    .state = &i8237_state,
    .realize = i8237_realize,
    .unrealize = i8237_unrealize,
    .reset = i8237_reset,
};
DEVICE_CLASS(i8237_class);
