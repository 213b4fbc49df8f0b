/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/harness.h"

enum { TX = 0x1000, RX = 0x1100, BUFFERS = 0x2000, RING = 4, LENGTH = 600 };
enum {
    TNPDS = 0x20,
    RBSTART = 0x30,
    CR = 0x37,
    TCR = 0x40,
    RCR = 0x44,
    TPPOLL = 0xD9,
    CPCR = 0xE0,
    RDSAR = 0xE4
};

static void out(struct bus *bus, unsigned nth, unsigned size, uint32_t value)
{
    bus_write(bus, SPACE_PORT, FUZZ_FIRST_IO + nth, size, value);
}

static void descriptor(struct bus *bus, uint64_t at, unsigned nth, uint32_t command, uint64_t buffer)
{
    bus_write(bus, SPACE_MEM, at + 16 * nth, 4, command | (nth == RING - 1 ? 0x40000000 : 0));
    bus_write(bus, SPACE_MEM, at + 16 * nth + 8, 4, buffer);
}

/* Receiver and transmitter on; how: loopback, and of C+ mode, where it is set, what is done to what is sent.
 */
static void prepare(struct bus *bus, uint8_t how)
{
    out(bus, RBSTART, 4, BUFFERS);
    out(bus, CPCR, 2, how & 2 ? 0x63 : 0);
    out(bus, TNPDS, 4, how & 2 ? TX : BUFFERS);
    out(bus, RDSAR, 4, RX);
    out(bus, CR, 1, 0x0C);
    out(bus, TCR, 4, how & 1 ? 0x60000 : 0);
    out(bus, RCR, 4, 0x0F);
    fuzz_packet(bus, BUFFERS, LENGTH, how & 4 ? 17 : 6);
    for (unsigned i = 0; i < RING; i++) {
        descriptor(bus, TX, i,
                   0xB0000000 | (how & 0x78) << 13 | (how & 0x80 ? 0x08000000 | 100 << 16 : 0) | LENGTH,
                   BUFFERS);
        descriptor(bus, RX, i, 0x80000600, BUFFERS + 0x800 * (i + 1));
    }
    if (how & 2)
        out(bus, TPPOLL, 1, 0x40);
}

const struct fuzz_target fuzz_target = {
    .devices = {{.name = "rtl8139",
                 .properties = {"netdev", "wire", "mac", FUZZ_MAC, "revision", "0x20", "romfile", ""}}},
    .prepare = prepare,
};
