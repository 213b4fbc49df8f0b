/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An 82540EM with a datagram socket as its wire, and what a driver does with it. */
#ifndef TESTS_UNIT_E1000_CARD_H
#define TESTS_UNIT_E1000_CARD_H

#include <string.h>
#include <unistd.h>

#include "tests/lib/cmocka.h"
#include "tests/lib/qpci.h"
#include "tests/lib/qtest.h"
#include "tests/lib/wait.h"
#include "tests/lib/wire.h"

enum {
    CTRL = 0x0000,
    STATUS = 0x0008,
    EECD = 0x0010,
    EERD = 0x0014,
    MDIC = 0x0020,
    VET = 0x0038,
    ICR = 0x00C0,
    ITR = 0x00C4,
    ICS = 0x00C8,
    IMS = 0x00D0,
    IMC = 0x00D8,
    RCTL = 0x0100,
    TCTL = 0x0400,
    PBA = 0x1000,
    RDBAL = 0x2800,
    RDLEN = 0x2808,
    RDH = 0x2810,
    RDT = 0x2818,
    RDTR = 0x2820,
    RADV = 0x282C,
    TDBAL = 0x3800,
    TDLEN = 0x3808,
    TDH = 0x3810,
    TDT = 0x3818,
    TIDV = 0x3820,
    TXDCTL = 0x3828,
    TADV = 0x382C,
    MPC = 0x4010,
    PRC64 = 0x405C,
    PRC127 = 0x4060,
    PRC1522 = 0x4070,
    GPRC = 0x4074,
    BPRC = 0x4078,
    MPRC = 0x407C,
    GPTC = 0x4080,
    GORCL = 0x4088,
    RNBC = 0x40A0,
    TOTL = 0x40C8,
    TPR = 0x40D0,
    PTC127 = 0x40DC,
    MPTC = 0x40F0,
    TSCTC = 0x40F8,
    RXCSUM = 0x5000,
    MTA = 0x5200,
    RA = 0x5400,
    VFTA = 0x5600,
    WUC = 0x5800,
    WUFC = 0x5808,
    WUS = 0x5810,
    IPAV = 0x5838,
    IP4AT = 0x5840,
    IP6AT = 0x5880,
    WUPL = 0x5900,
    WUPM = 0x5A00,
    FFLT = 0x5F00,
    FFMT = 0x9000,
    FFVT = 0x9800,
};

enum { EN = 2, UPE = 8, MPE = 0x10, BAM = 0x8000, VFE = 0x40000, SECRC = 0x4000000, LBM_MAC = 0x40 };
enum { RING = 16, BUFFER = 2048, DD = 1, EOP = 2, IXSM = 4, VP = 8, TCPCS = 0x20, IPCS = 0x40, PIF = 0x80 };
enum { TXDW = 1, TXQE = 2, LSC = 4, RXDMT0 = 0x10, RXO = 0x40, RXT0 = 0x80, MDAC = 0x200 };

/* Commands of transmit descriptors */
#define TX_EOP  0x01000000u
#define TX_IC   0x04000000u
#define TX_TSE  0x04000000u
#define TX_RS   0x08000000u
#define TX_DATA 0x20100000u
#define TX_CTX  0x20000000u
#define TX_VLE  0x40000000u
#define TX_IDE  0x80000000u
#define OPT_IP  0x00000100u
#define OPT_TCP 0x00000200u

#define CTRL_VME 0x40000000u
#define CTRL_RST 0x04000000u

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
    set(n, TCTL, EN | 8);
    set(n, RCTL, rctl | EN);
    n->rx = n->tx = 0;
}

/* Waits for the next frame; its length, and the last doubleword of its descriptor in *status. */
static inline unsigned take(struct nic *n, uint32_t *status, uint8_t frame[BUFFER])
{
    uint64_t at = n->rx_ring + 16 * n->rx;
    unsigned length;

    assert_true(SOON(qtest_readl(n->q, at + 12) & DD));
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
