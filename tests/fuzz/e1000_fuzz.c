/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/harness.h"

enum { TX = 0x1000, RX = 0x1100, BUFFERS = 0x2000, RING = 8, LENGTH = 600, HEADERS = 54 };
enum { RCTL = 0x100, IMS = 0xD0, TCTL = 0x400, RDBAL = 0x2800, TDBAL = 0x3800, LEN = 8, TAIL = 0x18 };

static void put(struct bus *bus, unsigned nth, uint32_t value)
{
    bus_write(bus, SPACE_MEM, FUZZ_FIRST_MEM + nth, 4, value);
}

static void descriptor(struct bus *bus, uint64_t at, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    const uint32_t words[4] = {a, b, c, d};

    for (int i = 0; i < 4; i++)
        bus_write(bus, SPACE_MEM, at + 4 * i, 4, words[i]);
}

/* Receiver and transmitter on, with a frame to be sent; how: cut, which checksums, loopback, filters, tag. */
static void prepare(struct bus *bus, uint8_t how)
{
    uint32_t cut = how & 1 ? 0x04000000 : 0, tag = how & 0x80 ? 0x40000000 : 0;

    fuzz_packet(bus, BUFFERS, LENGTH, how & 2 ? 17 : 6);
    descriptor(bus, TX, 14 | 24 << 8 | 33 << 16, 34 | (how & 2 ? 40u : 50u) << 8,
               0x22000000 | cut | (how & 2 ? 0 : 0x01000000) | (LENGTH - HEADERS), HEADERS << 8 | 100 << 16);
    descriptor(bus, TX + 16, BUFFERS, 0, 0x2B100000 | cut | tag | LENGTH, (how & 0x0C) << 6);
    descriptor(bus, TX + 32, BUFFERS, 0, 0x0B000000 | tag | LENGTH, 0); /* the old kind */
    for (unsigned i = 0; i < RING; i++)
        descriptor(bus, RX + 16 * i, BUFFERS + 0x800 * (i + 1), 0, 0, 0);
    put(bus, RDBAL, RX);
    put(bus, RDBAL + LEN, 16 * RING);
    put(bus, RDBAL + TAIL, RING - 1);
    put(bus, TDBAL, TX);
    put(bus, TDBAL + LEN, 16 * RING);
    put(bus, IMS, 0xFF);
    put(bus, RCTL, 0x8002 | (how & 0x10 ? 0xC0 : 0) | (how & 0x60) >> 2);
    put(bus, TCTL, 0x0A);
    put(bus, TDBAL + TAIL, 3);
}

const struct fuzz_target fuzz_target = {
    .devices = {{.name = "e1000", .properties = {"netdev", "wire", "mac", FUZZ_MAC, "romfile", ""}}},
    .prepare = prepare,
};
