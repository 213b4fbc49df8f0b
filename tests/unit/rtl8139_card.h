/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An RTL8139 with a datagram socket as its wire, and what a driver does with it. */
#ifndef TESTS_UNIT_RTL8139_CARD_H
#define TESTS_UNIT_RTL8139_CARD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hw/net/rtl8139_regs.h"
#include "tests/lib/cmocka.h"
#include "tests/lib/qpci.h"
#include "tests/lib/qtest.h"
#include "tests/lib/wait.h"
#include "tests/lib/window.h"
#include "tests/lib/wire.h"

enum { RING = 8192 };

static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

struct nic {
    struct qtest *q;
    struct qpci pci;
    uint64_t io, memory, ring, tx;
    bool by_memory;  /* the window that the driver uses */
    unsigned size;   /* of the ring */
    uint32_t reader; /* offset in it */
    bool runs_on;    /* frames are in one piece, behind the ring's end if need be */
    struct wire wire;
};

static inline void start_revision(struct nic *n, void **state, const char *revision)
{
    char card[80];

    *n = (struct nic){.q = NULL};
    snprintf(card, sizeof(card), "rtl8139,revision=%s", revision);
    n->q = wire_start_card(&n->wire, state, card);
    n->pci = qpci_get(n->q, 0x10EC, 0x8139);
    n->io = qpci_map(&n->pci, 0);
    n->memory = qpci_map(&n->pci, 1);
    n->size = RING;
    qpci_enable(&n->pci);
    n->ring = qtest_alloc(n->q, 65536 + 4096, 4096);
    n->tx = qtest_alloc(n->q, 4096, 4096);
}

static inline void start(struct nic *n, void **state)
{
    start_revision(n, state, "0x10");
}

static inline void finish(struct nic *n)
{
    wire_close(&n->wire);
}

static inline uint32_t reg_read(struct nic *n, unsigned offset, unsigned size)
{
    return window_read(n->q, n->by_memory, (n->by_memory ? n->memory : n->io) + offset, size);
}

static inline void reg_write(struct nic *n, unsigned offset, unsigned size, uint32_t value)
{
    window_write(n->q, n->by_memory, (n->by_memory ? n->memory : n->io) + offset, size, value);
}

/* Receiver and transmitter on, as a driver does it. */
static inline void enable(struct nic *n, uint32_t rcr)
{
    qtest_outb(n->q, n->io + CR, 0x10);
    assert_int_equal(qtest_inb(n->q, n->io + CR), 0x01); /* reset done, ring empty */
    qtest_outl(n->q, n->io + RBSTART, n->ring);
    qtest_outb(n->q, n->io + CR, 0x0C);
    qtest_outl(n->q, n->io + RCR, rcr);
    qtest_outw(n->q, n->io + IMR, 0xFFFF);
    n->reader = 0;
}

/* Frames arrive soon, but not at once. */
static inline bool arrived(struct nic *n)
{
    return SOON(!(qtest_inb(n->q, n->io + CR) & 1));
}

/* Takes the next frame out of the ring; its length with the check sequence, status in *status. */
static inline unsigned take(struct nic *n, uint16_t *status, uint8_t frame[2048])
{
    uint32_t header;
    unsigned length;

    assert_true(arrived(n));
    header = qtest_readl(n->q, n->ring + n->reader);
    *status = header;
    length = header >> 16;
    assert_in_range(length, 64, 1522);
    for (unsigned done = 0, at = n->reader + 4; done < length;) {
        unsigned in = n->runs_on ? at : at % n->size,
                 part = !n->runs_on && in + length - done > n->size ? n->size - in : length - done;

        qtest_memread(n->q, n->ring + in, frame + done, part);
        done += part;
        at += part;
    }
    n->reader = (n->reader + length + 4 + 3) & ~3u & (n->size - 1);
    qtest_outw(n->q, n->io + CAPR, n->reader - 16);
    return length;
}

static inline void descriptor(struct nic *n, uint64_t at, uint32_t command, uint32_t tag, uint64_t address)
{
    uint32_t desc[4] = {command, tag, address, address >> 32};

    qtest_memwrite(n->q, at, desc, sizeof(desc));
}

#endif
