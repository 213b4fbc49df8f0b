/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An 82540EM with a datagram socket as its wire, and what a driver does with it. */
#ifndef TESTS_UNIT_E1000_CARD_H
#define TESTS_UNIT_E1000_CARD_H

#include <string.h>
#include <unistd.h>

#include "hw/net/e1000_regs.h"
#include "tests/lib/cmocka.h"
#include "tests/lib/qpci.h"
#include "tests/lib/qtest.h"
#include "tests/lib/wait.h"
#include "tests/lib/wire.h"

enum { RING = 16, BUFFER = 2048 };

#define TX_DATA (TX_DEXT | TX_DTYP_DATA)
#define TX_CTX  TX_DEXT

static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};

struct nic {
    struct qtest *q;
    struct qpci pci;
    uint64_t mem, io, rx_ring, tx_ring, buffers, data;
    unsigned rx, tx; /* next descriptors */
    struct wire wire;
};

static inline uint32_t get(struct nic *n, unsigned offset)
{
    return qtest_readl(n->q, n->mem + offset);
}

static inline void set(struct nic *n, unsigned offset, uint32_t value)
{
    qtest_writel(n->q, n->mem + offset, value);
}

static inline void find_card(struct nic *n)
{
    n->pci = qpci_get(n->q, 0x8086, 0x100E);
    n->mem = qpci_map(&n->pci, 0);
    n->io = qpci_map(&n->pci, 1);
    qpci_enable(&n->pci);
    n->rx_ring = qtest_alloc(n->q, RING * 16, 4096);
    n->tx_ring = qtest_alloc(n->q, RING * 16, 4096);
    n->buffers = qtest_alloc(n->q, RING * BUFFER, 4096);
    n->data = qtest_alloc(n->q, 0x20000, 4096);
}

/* On a wire of those options. */
static inline void start_on(struct nic *n, void **state, const char *options)
{
    n->q = *state =
        qtest_startf("-nodefaults -vga none -device e1000,netdev=n,id=c,mac=52:54:00:12:34:56 %s", options);
    find_card(n);
}

static inline void start(struct nic *n, void **state)
{
    *n = (struct nic){.q = NULL};
    n->q = wire_start_card(&n->wire, state, "e1000");
    find_card(n);
}

static inline void finish(struct nic *n)
{
    wire_close(&n->wire);
}

static inline void rx_descriptor(struct nic *n, unsigned nth, uint64_t buffer)
{
    uint64_t desc[2] = {buffer, 0};

    qtest_memwrite(n->q, n->rx_ring + 16 * nth, desc, sizeof(desc));
}

/* Rings as a driver makes them; all but one receive descriptor are the chip's. */
static inline void enable(struct nic *n, uint32_t rctl)
{
    set(n, CTRL, get(n, CTRL) | CTRL_RST);
    for (unsigned i = 0; i < RING; i++)
        rx_descriptor(n, i, n->buffers + i * BUFFER);
    set(n, RDBAL, n->rx_ring);
    set(n, RDLEN, RING * 16);
    set(n, TDBAL, n->tx_ring);
    set(n, TDLEN, RING * 16);
    set(n, RDT, RING - 1);
    set(n, TCTL, TCTL_EN | TCTL_PSP);
    set(n, RCTL, rctl | RCTL_EN);
    n->rx = n->tx = 0;
}

/* Waits for the next frame; its length, and the last doubleword of its descriptor in *status. */
static inline unsigned take(struct nic *n, uint32_t *status, uint8_t frame[BUFFER])
{
    uint64_t at = n->rx_ring + 16 * n->rx;
    unsigned length;

    assert_true(SOON(qtest_readl(n->q, at + 12) & RX_DD));
    *status = qtest_readl(n->q, at + 12);
    length = qtest_readw(n->q, at + 8);
    assert_in_range(length, 1, BUFFER);
    qtest_memread(n->q, qtest_readq(n->q, at), frame, length);
    qtest_writel(n->q, at + 12, 0);
    set(n, RDT, n->rx);
    n->rx = (n->rx + 1) % RING;
    return length;
}

static inline void tx_put(struct nic *n, uint64_t buffer, uint32_t command, uint32_t options)
{
    uint32_t desc[4] = {buffer, buffer >> 32, command, options};

    qtest_memwrite(n->q, n->tx_ring + 16 * n->tx, desc, sizeof(desc));
    n->tx = (n->tx + 1) % RING;
}

static inline void kick(struct nic *n)
{
    set(n, TDT, n->tx);
}

#endif
