/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/harness.h"

enum { BLOCK = 0x1000, RX = 0x1100, TX = 0x1200, BUFFERS = 0x2000, RING = 4 };
enum { RDP = FUZZ_FIRST_IO + 0x10, RAP = FUZZ_FIRST_IO + 0x12, BDP = FUZZ_FIRST_IO + 0x16 };

static void out(struct bus *bus, uint16_t nth, uint16_t port, uint16_t value)
{
    bus_write(bus, SPACE_PORT, RAP, 2, nth);
    bus_write(bus, SPACE_PORT, port, 2, value);
}

static void write_words(struct bus *bus, uint64_t at, const uint16_t *words, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        bus_write(bus, SPACE_MEM, at + 2 * i, 2, words[i]);
}

/* Rings of four, given to the chip; how: the style, loopback, promiscuous, stopped after all. */
static void prepare(struct bus *bus, uint8_t how)
{
    static const uint8_t mac[6] = {FUZZ_MAC_INITIALS};
    unsigned style = how & 3, size = style ? 16 : 8, flags = style == 0 ? 2 : 6;
    uint16_t mode = (how & 4) | (how & 8 ? 0x8000 : 0);
    uint16_t padr[3] = {mac[0] | mac[1] << 8, mac[2] | mac[3] << 8, mac[4] | mac[5] << 8};
    const uint16_t narrow[12] = {mode, padr[0], padr[1], padr[2], [8] = RX, 2 << 13, TX, 2 << 13},
                   wide[14] = {mode, 0x2020, padr[0], padr[1], padr[2], [10] = RX, 0, TX, 0};

    write_words(bus, BLOCK, style ? wide : narrow, style ? 14 : 12);
    for (unsigned i = 0; i < 2 * RING; i++) {
        uint64_t at = i < RING ? RX + i * size : TX + (i - RING) * size;

        bus_write(bus, SPACE_MEM, at + (style == 3 ? 8 : 0), 4, BUFFERS + i * 0x800);
        bus_write(bus, SPACE_MEM, at + 4, 2, i < RING ? -0x600 & 0xFFFF : -100 & 0xFFFF);
        bus_write(bus, SPACE_MEM, at + flags, 2, (i < RING ? 0x8000 : 0x8300));
    }
    out(bus, 20, BDP, style);
    out(bus, 1, RDP, BLOCK);
    out(bus, 0, RDP, how & 0x10 ? 0x04 : 0x43);
}

const struct fuzz_target fuzz_target = {
    .devices = {{.name = "pcnet", .properties = {"netdev", "wire", "mac", FUZZ_MAC, "romfile", ""}}},
    .prepare = prepare,
};
