/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The RTL8139C and the RTL8139C+ as their drivers have them. */
#include "bench/nic.h"
#include "hw/net/rtl8139_regs.h"

/* ---- RTL8139C+ ---- */

#define TNPDS TSAD0 /* in C+ mode */
#define WHOLE (DESC_FS | DESC_LS)

static void cplus_start(struct nic *n, struct qpci *pci)
{
    n->regs = qpci_map(pci, 0);
    qpci_enable(pci);
    qtest_outb(n->q, n->regs + CR, CR_RST);
    qtest_outw(n->q, n->regs + CPCR, CPCR_TX | CPCR_RX);
    qtest_outl(n->q, n->regs + TNPDS, n->tx);
    qtest_outl(n->q, n->regs + TNPDS + 4, 0);
    qtest_outl(n->q, n->regs + RDSAR, n->rx);
    qtest_outl(n->q, n->regs + RDSAR + 4, 0);
    qtest_outb(n->q, n->regs + CR, CR_TE | CR_RE);
    qtest_outl(n->q, n->regs + RCR, RCR_AB | RCR_APM);
}

/* Gives the chip a whole ring. */
static void cplus_ring(struct nic *n, uint64_t at, uint32_t command)
{
    struct {
        uint32_t command, tag;
        uint64_t address;
    } ring[NIC_RING] = {0};

    for (unsigned i = 0; i < NIC_RING; i++) {
        ring[i].command = DESC_OWN | command | (i == NIC_RING - 1 ? DESC_EOR : 0);
        ring[i].address = n->buffers + i * NIC_BUFFER;
    }
    qtest_memwrite(n->q, at, ring, sizeof(ring));
}

static void cplus_send(struct nic *n, unsigned length)
{
    cplus_ring(n, n->tx, WHOLE | length);
    qtest_outb(n->q, n->regs + TPPOLL, TPPOLL_NPQ);
}

static void cplus_give(struct nic *n, unsigned length)
{
    cplus_ring(n, n->rx, NIC_BUFFER - 1);
    qtest_outb(n->q, n->regs + CR, CR_TE | CR_RE); /* there are free descriptors again */
}

static bool cplus_received(struct nic *n)
{
    return !(qtest_readl(n->q, n->rx + (NIC_RING - 1) * NIC_DESCRIPTOR) & DESC_OWN);
}

/* ---- RTL8139C: four descriptors to send, a ring of bytes to receive ---- */

#define RCR_64K 0x1800u

static void rtl8139_start(struct nic *n, struct qpci *pci)
{
    n->regs = qpci_map(pci, 0);
    qpci_enable(pci);
    qtest_outb(n->q, n->regs + CR, CR_RST);
    n->rx = qtest_alloc(n->q, 0x10000 + 2048, 4096);
    qtest_outl(n->q, n->regs + RBSTART, n->rx);
    qtest_outb(n->q, n->regs + CR, CR_TE | CR_RE);
    qtest_outl(n->q, n->regs + RCR, RCR_64K | RCR_AB | RCR_APM);
    for (int i = 0; i < 4; i++)
        qtest_outl(n->q, n->regs + TSAD0 + 4 * i, n->buffers + i * NIC_BUFFER);
}

static void rtl8139_send(struct nic *n, unsigned length)
{
    for (unsigned i = 0; i < n->chip->frames; i++) {
        uint64_t status = n->regs + TSD0 + i % 4 * 4;

        while (!(qtest_inl(n->q, status) & TSD_OWN))
            continue;
        qtest_outl(n->q, status, length);
    }
}

static void rtl8139_give(struct nic *n, unsigned length)
{
    n->rx_at = n->rx_end;
    n->rx_end += n->chip->frames * ((4 + length + 4 + 3) & ~3u);
    qtest_outw(n->q, n->regs + CAPR, n->rx_at - 16);
}

static bool rtl8139_received(struct nic *n)
{
    return qtest_inw(n->q, n->regs + CBR) == n->rx_end;
}

const struct nic_chip nic_rtl8139 = {"rtl8139",     "",           0x10EC,       0x8139,          32,
                                     rtl8139_start, rtl8139_send, rtl8139_give, rtl8139_received};
const struct nic_chip nic_rtl8139c_plus = {"rtl8139",   ",revision=0x20", 0x10EC,     0x8139,        NIC_RING,
                                           cplus_start, cplus_send,       cplus_give, cplus_received};
