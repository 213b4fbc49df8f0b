/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 82540EM as its driver has it. */
#include "bench/nic.h"
#include "hw/net/e1000_regs.h"

/* Of a ring, from its base on */
enum { LENGTH = RDLEN - RDBAL, HEAD = RDH - RDBAL, TAIL = RDT - RDBAL };

static void e1000_rings(struct nic *n, unsigned base, uint64_t at)
{
    qtest_writel(n->q, n->regs + base, at);
    qtest_writel(n->q, n->regs + base + 4, at >> 32);
    qtest_writel(n->q, n->regs + base + LENGTH, 2 * NIC_RING * NIC_DESCRIPTOR);
    qtest_writel(n->q, n->regs + base + HEAD, 0);
    qtest_writel(n->q, n->regs + base + TAIL, 0);
}

static void e1000_start(struct nic *n, struct qpci *pci)
{
    n->regs = qpci_map(pci, 0);
    qpci_enable(pci);
    e1000_rings(n, TDBAL, n->tx);
    e1000_rings(n, RDBAL, n->rx);
    qtest_writel(n->q, n->regs + TCTL, TCTL_EN | TCTL_PSP);
    qtest_writel(n->q, n->regs + RCTL, RCTL_EN | RCTL_BAM);
}

/* Gives the chip the next half of a ring. */
static void e1000_half(struct nic *n, unsigned base, uint64_t at, unsigned *half, uint32_t command)
{
    struct {
        uint64_t address;
        uint32_t command, status;
    } ring[NIC_RING] = {0};

    for (unsigned i = 0; i < NIC_RING; i++) {
        ring[i].command = command;
        ring[i].address = n->buffers + i * NIC_BUFFER;
    }
    qtest_memwrite(n->q, at + *half * NIC_RING * NIC_DESCRIPTOR, ring, sizeof(ring));
    *half ^= 1;
    qtest_writel(n->q, n->regs + base + TAIL, *half * NIC_RING);
}

static void e1000_send(struct nic *n, unsigned length)
{
    e1000_half(n, TDBAL, n->tx, &n->tx_half, TX_EOP | TX_IFCS | TX_RS | length);
}

static void e1000_give(struct nic *n, unsigned length)
{
    e1000_half(n, RDBAL, n->rx, &n->rx_half, 0);
}

static bool e1000_received(struct nic *n)
{
    return qtest_readl(n->q, n->rx + ((n->rx_half ^ 1) * NIC_RING + NIC_RING - 1) * NIC_DESCRIPTOR + 12) &
           RX_DD;
}

const struct nic_chip nic_e1000 = {"e1000",     "",         0x8086,     0x100E,        NIC_RING,
                                   e1000_start, e1000_send, e1000_give, e1000_received};
