/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/net/e1000_regs.h"
#include "tests/fuzz/harness.h"

enum { TX = 0x1000, RX = 0x1100, BUFFERS = 0x2000, RING = 8, LENGTH = 600, HEADERS = 54 };

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
    uint32_t cut = how & 1 ? TX_TSE : 0, tag = how & 0x80 ? TX_VLE : 0;

    fuzz_packet(bus, BUFFERS, LENGTH, how & 2 ? 17 : 6);
    descriptor(bus, TX, 14 | 24 << 8 | 33 << 16, 34 | (how & 2 ? 40u : 50u) << 8,
               TX_DEXT | TX_CONTEXT_IPV4 | cut | (how & 2 ? 0 : TX_CONTEXT_TCP) | (LENGTH - HEADERS),
               HEADERS << 8 | 100 << 16);
    descriptor(bus, TX + 16, BUFFERS, 0,
               TX_EOP | TX_IFCS | TX_RS | TX_DEXT | TX_DTYP_DATA | cut | tag | LENGTH, (how & 0x0C) << 6);
    descriptor(bus, TX + 32, BUFFERS, 0, TX_EOP | TX_IFCS | TX_RS | tag | LENGTH, 0); /* the old kind */
    for (unsigned i = 0; i < RING; i++)
        descriptor(bus, RX + 16 * i, BUFFERS + 0x800 * (i + 1), 0, 0, 0);
    put(bus, RDBAL, RX);
    put(bus, RDLEN, 16 * RING);
    put(bus, RDT, RING - 1);
    put(bus, TDBAL, TX);
    put(bus, TDLEN, 16 * RING);
    put(bus, IMS, 0xFF);
    put(bus, RCTL, RCTL_EN | RCTL_BAM | (how & 0x10 ? RCTL_LBM : 0) | (how & 0x60) >> 2);
    put(bus, TCTL, TCTL_EN | TCTL_PSP);
    put(bus, TDT, 3);
}

const struct fuzz_target fuzz_target = {
    .devices = {{.name = "e1000", .properties = {"netdev", "wire", "mac", FUZZ_MAC, "romfile", ""}}},
    .prepare = prepare,
};
