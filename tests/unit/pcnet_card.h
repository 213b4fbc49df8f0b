/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A PCnet with a datagram socket as its wire, and what a driver does with it. */
#ifndef TESTS_UNIT_PCNET_CARD_H
#define TESTS_UNIT_PCNET_CARD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hw/net/pcnet_regs.h"
#include "tests/lib/cmocka.h"
#include "tests/lib/qpci.h"
#include "tests/lib/qtest.h"
#include "tests/lib/wait.h"
#include "tests/lib/window.h"
#include "tests/lib/wire.h"

/* In the status byte of descriptors */
enum { OWN = DESC_OWN >> 24, BAD = DESC_ERR >> 24, STP = DESC_STP >> 24, ENP = DESC_ENP >> 24 };
enum { RX_SIZE = 1544, RING = 8 };
enum { PHY = 30, FOREVER = 60000 };

static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
static const uint8_t everyone[6] = {255, 255, 255, 255, 255, 255}, group[6] = {1, 0, 0x5E, 0, 0, 1};

struct nic {
    struct qtest *q;
    struct qpci pci;
    uint64_t io, memory, block, rx, tx, rx_buffers, tx_buffer;
    bool dwio, by_memory;             /* which of the windows the driver uses, and how */
    unsigned style, rx_next, tx_next; /* what the driver does next */
    struct wire wire;
};

static inline void start_with(struct nic *n, void **state, const char *properties)
{
    char card[80];

    *n = (struct nic){.q = NULL};
    snprintf(card, sizeof(card), "pcnet%s", properties);
    n->q = wire_start_card(&n->wire, state, card);
    n->pci = qpci_get(n->q, 0x1022, 0x2000);
    n->io = qpci_map(&n->pci, 0);
    n->memory = qpci_map(&n->pci, 1);
    qpci_enable(&n->pci);
    n->block = qtest_alloc(n->q, 64, 64);
    n->rx = qtest_alloc(n->q, 16 * 128, 4096);
    n->tx = qtest_alloc(n->q, 16 * 128, 4096);
    n->rx_buffers = qtest_alloc(n->q, RING * 2048, 4096);
    n->tx_buffer = qtest_alloc(n->q, 4096, 4096);
}

static inline void start(struct nic *n, void **state)
{
    start_with(n, state, "");
}

static inline void finish(struct nic *n)
{
    wire_close(&n->wire);
}

/* ---- registers ---- */

static inline uint32_t port_read(struct nic *n, unsigned offset, unsigned size)
{
    return window_read(n->q, n->by_memory, (n->by_memory ? n->memory : n->io) + offset, size);
}

static inline void port_write(struct nic *n, unsigned offset, unsigned size, uint32_t value)
{
    window_write(n->q, n->by_memory, (n->by_memory ? n->memory : n->io) + offset, size, value);
}

static inline uint16_t reg_read(struct nic *n, unsigned nth, bool bcr)
{
    unsigned size = n->dwio ? 4 : 2;

    port_write(n, 0x10 + size, size, nth);
    return port_read(n, 0x10 + (bcr ? 3 : 0) * size, size);
}

static inline void reg_write(struct nic *n, unsigned nth, bool bcr, uint16_t value)
{
    unsigned size = n->dwio ? 4 : 2;

    port_write(n, 0x10 + size, size, nth);
    port_write(n, 0x10 + (bcr ? 3 : 0) * size, size, value);
}

static inline uint16_t csr(struct nic *n, unsigned nth)
{
    return reg_read(n, nth, false);
}

static inline void set_csr(struct nic *n, unsigned nth, uint16_t value)
{
    reg_write(n, nth, false, value);
}

static inline uint16_t bcr(struct nic *n, unsigned nth)
{
    return reg_read(n, nth, true);
}

static inline void set_bcr(struct nic *n, unsigned nth, uint16_t value)
{
    reg_write(n, nth, true, value);
}

static inline bool line_is_up(struct nic *n)
{
    return qpci_readw(&n->pci, 0x06) & 8;
}

/* ---- descriptors, in any style ---- */

static inline uint64_t place(struct nic *n, uint64_t ring, unsigned nth)
{
    return ring + nth * (n->style ? 16 : 8);
}

static inline void give(struct nic *n, uint64_t at, uint64_t address, unsigned length, uint8_t status)
{
    uint16_t count = 0xF000 | (-length & 0xFFF);

    if (n->style == 0) {
        qtest_writel(n->q, at, (address & 0xFFFFFF) | (uint32_t)status << 24);
        qtest_writew(n->q, at + 4, count);
        return;
    }
    qtest_writel(n->q, at + (n->style == 3 ? 8 : 0), address);
    qtest_writel(n->q, at + 4, (uint32_t)status << 24 | count);
}

static inline uint8_t status_of(struct nic *n, uint64_t at)
{
    return qtest_readb(n->q, at + (n->style ? 7 : 3));
}

/* The message count; of transmit descriptors the errors. */
static inline uint32_t result_of(struct nic *n, uint64_t at)
{
    if (n->style == 0)
        return qtest_readw(n->q, at + 6);
    return qtest_readl(n->q, at + (n->style == 3 ? 0 : 8));
}

static inline void give_rx(struct nic *n, unsigned nth)
{
    give(n, place(n, n->rx, nth), n->rx_buffers + 2048 * nth, RX_SIZE, OWN);
}

static inline void write_block(struct nic *n, uint16_t mode)
{
    uint16_t word[14] = {mode};

    if (n->style == 0) {
        memcpy(word + 1, mac, 6);
        word[8] = n->rx;
        word[9] = 3 << 13 | (n->rx >> 16 & 0xFF);
        word[10] = n->tx;
        word[11] = 3 << 13 | (n->tx >> 16 & 0xFF);
    } else {
        word[1] = 3 << 12 | 3 << 4;
        memcpy(word + 2, mac, 6);
        word[10] = n->rx;
        word[11] = n->rx >> 16;
        word[12] = n->tx;
        word[13] = n->tx >> 16;
    }
    qtest_memwrite(n->q, n->block, word, sizeof(word));
}

/* As a driver does it: rings of eight, all descriptors of the receiver given. */
static inline void bring_up(struct nic *n, unsigned style, uint16_t mode)
{
    set_csr(n, 0, CSR0_STOP);
    n->style = style;
    n->rx_next = n->tx_next = 0;
    set_bcr(n, 20, style);
    for (unsigned i = 0; i < RING; i++) {
        give_rx(n, i);
        give(n, place(n, n->tx, i), 0, 0, 0);
    }
    write_block(n, mode);
    set_csr(n, 1, n->block);
    set_csr(n, 2, n->block >> 16);
    set_csr(n, 4, 0x0915);
    set_csr(n, 0, CSR0_INIT);
    assert_int_equal(csr(n, 0), CSR0_INTR | CSR0_IDON | CSR0_INIT);
    set_csr(n, 0, CSR0_STRT | CSR0_IENA | CSR0_IDON);
    assert_int_equal(csr(n, 0), (mode & 2 ? 0 : CSR0_TXON) | (mode & 1 ? 0 : CSR0_RXON) | CSR0_IENA |
                                    CSR0_STRT | CSR0_INIT);
}

/* The next descriptor of the transmitter, from nth bytes on in the buffer. */
static inline uint64_t put(struct nic *n, unsigned from, unsigned length, uint8_t status)
{
    uint64_t at = place(n, n->tx, n->tx_next);

    give(n, at, n->tx_buffer + from, length, status);
    n->tx_next = (n->tx_next + 1) % RING;
    return at;
}

static inline uint64_t transmit(struct nic *n, const void *data, unsigned length)
{
    uint64_t at;

    qtest_memwrite(n->q, n->tx_buffer, data, length);
    at = put(n, 0, length, OWN | STP | ENP);
    set_csr(n, 0, CSR0_IENA | CSR0_TDMD);
    return at;
}

static inline bool arrived(struct nic *n)
{
    uint64_t at = place(n, n->rx, n->rx_next);

    return SOON(!(status_of(n, at) & OWN));
}

/* Takes the next frame, which lies in one buffer, and gives the descriptor back. */
static inline unsigned take(struct nic *n, uint8_t frame[2048])
{
    uint64_t at = place(n, n->rx, n->rx_next);
    unsigned length;

    assert_true(arrived(n));
    assert_int_equal(status_of(n, at), STP | ENP);
    length = result_of(n, at);
    assert_in_range(length, 14, 1522);
    qtest_memread(n->q, n->rx_buffers + 2048 * n->rx_next, frame, length);
    give_rx(n, n->rx_next);
    n->rx_next = (n->rx_next + 1) % RING;
    return length;
}

static inline void check_frame(const uint8_t *frame, unsigned length, const uint8_t to[6], uint8_t mark)
{
    uint32_t crc;

    assert_memory_equal(frame, to, 6);
    for (unsigned i = 6; i < length - 4; i++)
        assert_int_equal(frame[i], mark);
    memcpy(&crc, frame + length - 4, 4);
    assert_int_equal(crc, wire_crc(frame, length - 4));
}

static inline void nothing_arrives(struct nic *n)
{
    qtest_barrier(n->q);
    assert_int_equal(csr(n, 0) & CSR0_RINT, 0);
    assert_true(status_of(n, place(n, n->rx, n->rx_next)) & OWN);
}

/* ---- the tests ---- */

#endif
