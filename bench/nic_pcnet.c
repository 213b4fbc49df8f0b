/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PCnet as its driver has it, with descriptors of 32 bits. */
#include "bench/nic.h"

#include <string.h>

#include "hw/net/pcnet_regs.h"

/* The ports in WIO mode */
enum { RDP_PORT = 0x10 + 2 * RDP, RAP_PORT = 0x10 + 2 * RAP, BDP_PORT = 0x10 + 2 * BDP };

static void pcnet_register(struct nic *n, unsigned nth, uint16_t port, uint16_t value)
{
    qtest_outw(n->q, n->regs + RAP_PORT, nth);
    qtest_outw(n->q, n->regs + port, value);
}

static void pcnet_start(struct nic *n, struct qpci *pci)
{
    uint16_t block[14] = {[1] = 6 << 12 | 6 << 4, /* 64 each */
                          [10] = n->rx,
                          [11] = n->rx >> 16,
                          [12] = n->tx,
                          [13] = n->tx >> 16};

    memcpy(block + 2, nic_mac, sizeof(nic_mac));
    qtest_memwrite(n->q, n->buffers, block, sizeof(block));
    n->regs = qpci_map(pci, 0);
    qpci_enable(pci);
    pcnet_register(n, BCR_SWS, BDP_PORT, 2);
    pcnet_register(n, CSR_IADR, RDP_PORT, n->buffers);
    pcnet_register(n, CSR_IADR + 1, RDP_PORT, n->buffers >> 16);
    pcnet_register(n, 0, RDP_PORT, CSR0_INIT);
    qtest_outw(n->q, n->regs + RDP_PORT, CSR0_STRT | CSR0_TDMD);
}

static void pcnet_ring(struct nic *n, uint64_t at, uint32_t flags)
{
    uint32_t ring[NIC_RING][4] = {0};

    for (unsigned i = 0; i < NIC_RING; i++) {
        ring[i][0] = n->buffers + i * NIC_BUFFER;
        ring[i][1] = DESC_OWN | flags;
    }
    qtest_memwrite(n->q, at, ring, sizeof(ring));
    qtest_outw(n->q, n->regs + RDP_PORT, CSR0_STRT | CSR0_TDMD);
}

static void pcnet_send(struct nic *n, unsigned length)
{
    pcnet_ring(n, n->tx, DESC_STP | DESC_ENP | (-length & 0xFFFF));
}

static void pcnet_give(struct nic *n, unsigned length)
{
    pcnet_ring(n, n->rx, -NIC_BUFFER & 0xFFFF);
}

static bool pcnet_received(struct nic *n)
{
    return !(qtest_readl(n->q, n->rx + (NIC_RING - 1) * NIC_DESCRIPTOR + 4) & DESC_OWN);
}

const struct nic_chip nic_pcnet = {"pcnet",     "",         0x1022,     0x2000,        NIC_RING,
                                   pcnet_start, pcnet_send, pcnet_give, pcnet_received};
