/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bench/nic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DESCRIPTOR = 16 };

const uint8_t nic_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

/* ---- RTL8139C+ ---- */

enum { TNPDS = 0x20, CR = 0x37, RCR = 0x44, TPPOLL = 0xD9, CPCR = 0xE0, RDSAR = 0xE4 };

#define OWN    0x80000000u
#define END_OF 0x40000000u /* the ring */
#define WHOLE  0x30000000u /* frame: its first and last descriptor */

static void cplus_start(struct nic *n, struct qpci *pci)
{
    n->regs = qpci_map(pci, 0);
    qpci_enable(pci);
    qtest_outb(n->q, n->regs + CR, 0x10);
    qtest_outw(n->q, n->regs + CPCR, 0x03);
    qtest_outl(n->q, n->regs + TNPDS, n->tx);
    qtest_outl(n->q, n->regs + TNPDS + 4, 0);
    qtest_outl(n->q, n->regs + RDSAR, n->rx);
    qtest_outl(n->q, n->regs + RDSAR + 4, 0);
    qtest_outb(n->q, n->regs + CR, 0x0C);
    qtest_outl(n->q, n->regs + RCR, 0x0A);
}

/* Gives the chip a whole ring. */
static void cplus_ring(struct nic *n, uint64_t at, uint32_t command)
{
    struct {
        uint32_t command, tag;
        uint64_t address;
    } ring[NIC_RING] = {0};

    for (unsigned i = 0; i < NIC_RING; i++) {
        ring[i].command = OWN | command | (i == NIC_RING - 1 ? END_OF : 0);
        ring[i].address = n->buffers + i * NIC_BUFFER;
    }
    qtest_memwrite(n->q, at, ring, sizeof(ring));
}

static void cplus_send(struct nic *n, unsigned length)
{
    cplus_ring(n, n->tx, WHOLE | length);
    qtest_outb(n->q, n->regs + TPPOLL, 0x40);
}

static void cplus_give(struct nic *n, unsigned length)
{
    cplus_ring(n, n->rx, NIC_BUFFER - 1);
    qtest_outb(n->q, n->regs + CR, 0x0C); /* there are free descriptors again */
}

static bool cplus_received(struct nic *n)
{
    return !(qtest_readl(n->q, n->rx + (NIC_RING - 1) * DESCRIPTOR) & OWN);
}

/* ---- RTL8139C: four descriptors to send, a ring of bytes to receive ---- */

enum { TSD0 = 0x10, TSAD0 = 0x20, RBSTART = 0x30, CAPR = 0x38, CBR = 0x3A, RING_64K = 0x1800 };

#define TSD_OWN 0x2000u

static void rtl8139_start(struct nic *n, struct qpci *pci)
{
    n->regs = qpci_map(pci, 0);
    qpci_enable(pci);
    qtest_outb(n->q, n->regs + CR, 0x10);
    n->rx = qtest_alloc(n->q, 0x10000 + 2048, 4096);
    qtest_outl(n->q, n->regs + RBSTART, n->rx);
    qtest_outb(n->q, n->regs + CR, 0x0C);
    qtest_outl(n->q, n->regs + RCR, RING_64K | 0x0A);
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

/* ---- 82540EM ---- */

enum { RCTL = 0x100, TCTL = 0x400, RDBAL = 0x2800, TDBAL = 0x3800, LENGTH = 8, HEAD = 0x10, TAIL = 0x18 };

#define EOP_IFCS_RS 0x0B000000u
#define DD          1u

static void e1000_rings(struct nic *n, unsigned base, uint64_t at)
{
    qtest_writel(n->q, n->regs + base, at);
    qtest_writel(n->q, n->regs + base + 4, at >> 32);
    qtest_writel(n->q, n->regs + base + LENGTH, 2 * NIC_RING * DESCRIPTOR);
    qtest_writel(n->q, n->regs + base + HEAD, 0);
    qtest_writel(n->q, n->regs + base + TAIL, 0);
}

static void e1000_start(struct nic *n, struct qpci *pci)
{
    n->regs = qpci_map(pci, 0);
    qpci_enable(pci);
    e1000_rings(n, TDBAL, n->tx);
    e1000_rings(n, RDBAL, n->rx);
    qtest_writel(n->q, n->regs + TCTL, 0x0A);
    qtest_writel(n->q, n->regs + RCTL, 0x8002);
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
    qtest_memwrite(n->q, at + *half * NIC_RING * DESCRIPTOR, ring, sizeof(ring));
    *half ^= 1;
    qtest_writel(n->q, n->regs + base + TAIL, *half * NIC_RING);
}

static void e1000_send(struct nic *n, unsigned length)
{
    e1000_half(n, TDBAL, n->tx, &n->tx_half, EOP_IFCS_RS | length);
}

static void e1000_give(struct nic *n, unsigned length)
{
    e1000_half(n, RDBAL, n->rx, &n->rx_half, 0);
}

static bool e1000_received(struct nic *n)
{
    return qtest_readl(n->q, n->rx + ((n->rx_half ^ 1) * NIC_RING + NIC_RING - 1) * DESCRIPTOR + 12) & DD;
}

/* ---- PCnet, with descriptors of 32 bits ---- */

enum { RDP = 0x10, RAP = 0x12, BDP = 0x16, STRT_TDMD = 0x0A };

#define PCNET_WHOLE 0x03000000u

static void pcnet_register(struct nic *n, unsigned nth, uint16_t port, uint16_t value)
{
    qtest_outw(n->q, n->regs + RAP, nth);
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
    pcnet_register(n, 20, BDP, 2);
    pcnet_register(n, 1, RDP, n->buffers);
    pcnet_register(n, 2, RDP, n->buffers >> 16);
    pcnet_register(n, 0, RDP, 1);
    qtest_outw(n->q, n->regs + RDP, STRT_TDMD);
}

static void pcnet_ring(struct nic *n, uint64_t at, uint32_t flags)
{
    uint32_t ring[NIC_RING][4] = {0};

    for (unsigned i = 0; i < NIC_RING; i++) {
        ring[i][0] = n->buffers + i * NIC_BUFFER;
        ring[i][1] = OWN | flags;
    }
    qtest_memwrite(n->q, at, ring, sizeof(ring));
    qtest_outw(n->q, n->regs + RDP, STRT_TDMD);
}

static void pcnet_send(struct nic *n, unsigned length)
{
    pcnet_ring(n, n->tx, PCNET_WHOLE | (-length & 0xFFFF));
}

static void pcnet_give(struct nic *n, unsigned length)
{
    pcnet_ring(n, n->rx, -NIC_BUFFER & 0xFFFF);
}

static bool pcnet_received(struct nic *n)
{
    return !(qtest_readl(n->q, n->rx + (NIC_RING - 1) * DESCRIPTOR + 4) & OWN);
}

/* ---- all of them ---- */

const struct nic_chip nic_chips[] = {
    [NIC_RTL8139] = {"rtl8139", "", 0x10EC, 0x8139, 32, rtl8139_start, rtl8139_send, rtl8139_give,
                     rtl8139_received},
    [NIC_RTL8139C_PLUS] = {"rtl8139", ",revision=0x20", 0x10EC, 0x8139, NIC_RING, cplus_start, cplus_send,
                           cplus_give, cplus_received},
    [NIC_E1000] = {"e1000", "", 0x8086, 0x100E, NIC_RING, e1000_start, e1000_send, e1000_give,
                   e1000_received},
    [NIC_PCNET] = {"pcnet", "", 0x1022, 0x2000, NIC_RING, pcnet_start, pcnet_send, pcnet_give,
                   pcnet_received},
};

/* Firmware that halts. */
static const char *idle_firmware(void)
{
    static const char *file;
    static const uint8_t halt[16] = {0xF4, 0xEB, 0xFD};
    FILE *f;

    if (file)
        return file;
    file = qtest_temp_file(".bin", 65536);
    f = fopen(file, "r+");
    if (!f || fseek(f, 65536 - sizeof(halt), SEEK_SET) || fwrite(halt, sizeof(halt), 1, f) != 1 || fclose(f))
        abort();
    return file;
}

/* The peer receives for a guest only that runs, so its guest halts instead. */
void nic_start(struct nic *n, enum nic_model model, const struct subject *subject, const char *options)
{
    const struct nic_chip *chip = &nic_chips[model];
    char args[1000];
    struct qpci pci;

    *n = (struct nic){.chip = chip};
    snprintf(args, sizeof(args),
             "-m 128 -nodefaults -vga none -device %s,netdev=n,mac=52:54:00:12:34:56,romfile=%s -bios %s %s",
             chip->device, subject->peer ? "" : chip->ours, idle_firmware(), options);
    n->q = qtest_start_program(subject->program, args);
    json_decref(qtest_qmp_ok(n->q, "{'execute': 'cont'}"));
    n->tx = qtest_alloc(n->q, 2 * NIC_RING * DESCRIPTOR, 4096);
    n->rx = qtest_alloc(n->q, 2 * NIC_RING * DESCRIPTOR, 4096);
    n->buffers = qtest_alloc(n->q, NIC_RING * NIC_BUFFER, 4096);
    pci = qpci_get(n->q, chip->vendor, chip->id);
    chip->start(n, &pci);
}

void nic_stop(struct nic *n)
{
    qtest_stop(n->q);
}
