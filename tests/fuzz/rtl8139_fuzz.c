/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/net/rtl8139_regs.h"
#include "tests/fuzz/harness.h"

enum { TX = 0x1000, RX = 0x1100, BUFFERS = 0x2000, RING = 4, LENGTH = 600 };
#define TNPDS TSAD0 /* in C+ mode */

static void out(struct bus *bus, unsigned nth, unsigned size, uint32_t value)
{
    bus_write(bus, SPACE_PORT, FUZZ_FIRST_IO + nth, size, value);
}

static void descriptor(struct bus *bus, uint64_t at, unsigned nth, uint32_t command, uint64_t buffer)
{
    bus_write(bus, SPACE_MEM, at + 16 * nth, 4, command | (nth == RING - 1 ? DESC_EOR : 0));
    bus_write(bus, SPACE_MEM, at + 16 * nth + 8, 4, buffer);
}

/* Receiver and transmitter on; how: loopback, and of C+ mode, where it is set, what is done to what is sent.
 */
static void prepare(struct bus *bus, uint8_t how)
{
    out(bus, RBSTART, 4, BUFFERS);
    out(bus, CPCR, 2, how & 2 ? CPCR_TX | CPCR_RX | CPCR_RXCS | CPCR_VLAN : 0);
    out(bus, TNPDS, 4, how & 2 ? TX : BUFFERS);
    out(bus, RDSAR, 4, RX);
    out(bus, CR, 1, CR_TE | CR_RE);
    out(bus, TCR, 4, how & 1 ? TCR_LOOPBACK : 0);
    out(bus, RCR, 4, RCR_AAP | RCR_APM | RCR_AM | RCR_AB);
    fuzz_packet(bus, BUFFERS, LENGTH, how & 4 ? 17 : 6);
    for (unsigned i = 0; i < RING; i++) {
        descriptor(bus, TX, i,
                   DESC_OWN | DESC_FS | DESC_LS | (how & 0x78) << 13 |
                       (how & 0x80 ? DESC_LGSEN | 100 << 16 : 0) | LENGTH,
                   BUFFERS);
        descriptor(bus, RX, i, DESC_OWN | 0x600, BUFFERS + 0x800 * (i + 1));
    }
    if (how & 2)
        out(bus, TPPOLL, 1, TPPOLL_NPQ);
}

const struct fuzz_target fuzz_target = {
    .devices = {{.name = "rtl8139",
                 .properties = {"netdev", "wire", "mac", FUZZ_MAC, "revision", "0x20", "romfile", ""}}},
    .prepare = prepare,
};
