/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows of the network cards with rings of descriptors, RTL8139C+, 82540EM and PCnet; a datagram socket is the
 * wire. */
#include "bench/tables.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/measure.h"
#include "tests/lib/qpci.h"
#include "tests/lib/wire.h"

enum { RING = 64, BUFFER = 2048, DESCRIPTOR = 16, PATIENCE_MS = 5000 };

struct nic;

/* What differs between the chips. A pass fills a ring of RING frames. */
struct chip {
    const char *device, *ours; /* the device, and what it is given beyond that if it is ours */
    uint16_t vendor, id;
    void (*start)(struct nic *n, struct qpci *pci);
    void (*send)(struct nic *n, unsigned length); /* a whole ring */
    void (*give)(struct nic *n);                  /* an empty ring, to receive into */
    bool (*received)(struct nic *n);              /* is it full? */
};

struct nic {
    const struct chip *chip;
    struct qtest *q;
    struct wire wire;
    uint64_t regs, tx, rx, buffers;
    unsigned tx_half, rx_half; /* 82540EM: which half of its rings, of twice the frames, is next */
};

static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

/* ---- RTL8139C+ ---- */

enum { TNPDS = 0x20, CR = 0x37, RCR = 0x44, TPPOLL = 0xD9, CPCR = 0xE0, RDSAR = 0xE4 };

#define OWN    0x80000000u
#define END_OF 0x40000000u /* the ring */
#define WHOLE  0x30000000u /* frame: its first and last descriptor */

static void rtl8139_start(struct nic *n, struct qpci *pci)
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
static void rtl8139_ring(struct nic *n, uint64_t at, uint32_t command)
{
    struct {
        uint32_t command, tag;
        uint64_t address;
    } ring[RING] = {0};

    for (unsigned i = 0; i < RING; i++) {
        ring[i].command = OWN | command | (i == RING - 1 ? END_OF : 0);
        ring[i].address = n->buffers + i * BUFFER;
    }
    qtest_memwrite(n->q, at, ring, sizeof(ring));
}

static void rtl8139_send(struct nic *n, unsigned length)
{
    rtl8139_ring(n, n->tx, WHOLE | length);
    qtest_outb(n->q, n->regs + TPPOLL, 0x40);
}

static void rtl8139_give(struct nic *n)
{
    rtl8139_ring(n, n->rx, BUFFER - 1);
    qtest_outb(n->q, n->regs + CR, 0x0C); /* there are free descriptors again */
}

static bool rtl8139_received(struct nic *n)
{
    return !(qtest_readl(n->q, n->rx + (RING - 1) * DESCRIPTOR) & OWN);
}

/* ---- 82540EM ---- */

enum { RCTL = 0x100, TCTL = 0x400, RDBAL = 0x2800, TDBAL = 0x3800, LENGTH = 8, HEAD = 0x10, TAIL = 0x18 };

#define EOP_IFCS_RS 0x0B000000u
#define DD          1u

static void e1000_rings(struct nic *n, unsigned base, uint64_t at)
{
    qtest_writel(n->q, n->regs + base, at);
    qtest_writel(n->q, n->regs + base + 4, at >> 32);
    qtest_writel(n->q, n->regs + base + LENGTH, 2 * RING * DESCRIPTOR);
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
    } ring[RING] = {0};

    for (unsigned i = 0; i < RING; i++) {
        ring[i].command = command;
        ring[i].address = n->buffers + i * BUFFER;
    }
    qtest_memwrite(n->q, at + *half * RING * DESCRIPTOR, ring, sizeof(ring));
    *half ^= 1;
    qtest_writel(n->q, n->regs + base + TAIL, *half * RING);
}

static void e1000_send(struct nic *n, unsigned length)
{
    e1000_half(n, TDBAL, n->tx, &n->tx_half, EOP_IFCS_RS | length);
}

static void e1000_give(struct nic *n)
{
    e1000_half(n, RDBAL, n->rx, &n->rx_half, 0);
}

static bool e1000_received(struct nic *n)
{
    return qtest_readl(n->q, n->rx + ((n->rx_half ^ 1) * RING + RING - 1) * DESCRIPTOR + 12) & DD;
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

    memcpy(block + 2, mac, sizeof(mac));
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
    uint32_t ring[RING][4] = {0};

    for (unsigned i = 0; i < RING; i++) {
        ring[i][0] = n->buffers + i * BUFFER;
        ring[i][1] = OWN | flags;
    }
    qtest_memwrite(n->q, at, ring, sizeof(ring));
    qtest_outw(n->q, n->regs + RDP, STRT_TDMD);
}

static void pcnet_send(struct nic *n, unsigned length)
{
    pcnet_ring(n, n->tx, PCNET_WHOLE | (-length & 0xFFFF));
}

static void pcnet_give(struct nic *n)
{
    pcnet_ring(n, n->rx, -BUFFER & 0xFFFF);
}

static bool pcnet_received(struct nic *n)
{
    return !(qtest_readl(n->q, n->rx + (RING - 1) * DESCRIPTOR + 4) & OWN);
}

/* ---- all of them ---- */

static const struct chip chips[] = {
    {"rtl8139", ",revision=0x20", 0x10EC, 0x8139, rtl8139_start, rtl8139_send, rtl8139_give,
     rtl8139_received},
    {"e1000", "", 0x8086, 0x100E, e1000_start, e1000_send, e1000_give, e1000_received},
    {"pcnet", "", 0x1022, 0x2000, pcnet_start, pcnet_send, pcnet_give, pcnet_received},
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
static void start_nic(struct nic *n, const struct chip *chip, const struct subject *subject)
{
    char options[WIRE_OPTIONS], args[WIRE_OPTIONS + 400];
    struct qpci pci;

    *n = (struct nic){.chip = chip};
    wire_open(&n->wire, "n", options);
    snprintf(args, sizeof(args),
             "-m 128 -nodefaults -vga none -device %s,netdev=n,mac=52:54:00:12:34:56,romfile=%s -bios %s %s",
             chip->device, subject->peer ? "" : chip->ours, idle_firmware(), options);
    n->q = qtest_start_program(subject->program, args);
    wire_connect(&n->wire);
    json_decref(qtest_qmp_ok(n->q, "{'execute': 'cont'}"));
    n->tx = qtest_alloc(n->q, 2 * RING * DESCRIPTOR, 4096);
    n->rx = qtest_alloc(n->q, 2 * RING * DESCRIPTOR, 4096);
    n->buffers = qtest_alloc(n->q, RING * BUFFER, 4096);
    pci = qpci_get(n->q, chip->vendor, chip->id);
    chip->start(n, &pci);
}

static void stop_nic(struct nic *n)
{
    qtest_stop(n->q);
    wire_close(&n->wire);
}

/* True if all came out at the other end. */
static bool send_ring(struct nic *n, unsigned length)
{
    uint8_t frame[2048];

    n->chip->send(n, length);
    for (unsigned i = 0; i < RING; i++)
        if (wire_take(&n->wire, frame, PATIENCE_MS) != (int)length)
            return false;
    return true;
}

static bool receive_ring(struct nic *n, unsigned length)
{
    int64_t start = measure_now();

    n->chip->give(n);
    for (unsigned i = 0; i < RING; i++)
        wire_send(&n->wire, mac, i, length);
    while (!n->chip->received(n))
        if (measure_now() - start > PATIENCE_MS * 1000000ll)
            return false;
    return true;
}

/* Of a row: which way, what is told, which chip, and bytes of a frame. */
enum { SEND = 0, RECEIVE = 1, RATE = 0, CPU = 2, RTL8139 = 0, E1000 = 4, PCNET = 8 };
#define NET_ARG(length, flags) ((length) << 4 | (flags))

/* Frames for about a third of a second: thousands of them in a second, or microseconds of CPU each costs. */
static double frames(const struct subject *subject, int arg)
{
    bool (*pass)(struct nic * n, unsigned length) = arg & RECEIVE ? receive_ring : send_ring;
    unsigned length = arg >> 4, count = 0;
    int64_t cpu, start, elapsed = 0;
    bool ok;
    struct nic n;

    start_nic(&n, &chips[arg >> 2 & 3], subject);
    ok = pass(&n, length);
    cpu = measure_cpu(qtest_pid(n.q));
    start = measure_now();
    for (; ok && elapsed < 300000000; count += RING) {
        ok = pass(&n, length);
        elapsed = measure_now() - start;
    }
    cpu = measure_cpu(qtest_pid(n.q)) - cpu;
    stop_nic(&n);
    if (!ok)
        return NAN;
    return arg & CPU ? cpu / 1e3 / count : count / (elapsed / 1e6);
}

#define RATE_ROW(name_, length, way)                                                                         \
    {                                                                                                        \
        .name = name_, .unit = "k/s", .more_is_better = true, .runs = 5, .measure = frames,                  \
        .arg = NET_ARG(length, (way) | RATE)                                                                 \
    }
#define CPU_ROW(name_, length, way)                                                                          \
    {                                                                                                        \
        .name = name_, .unit = "us", .runs = 5, .measure = frames, .arg = NET_ARG(length, (way) | CPU)       \
    }

#define CHIP_ROWS(name, chip)                                                                                \
    RATE_ROW(name ": frames of 60 bytes sent", 60, SEND | (chip)),                                           \
        RATE_ROW(name ": frames of 60 bytes received", 60, RECEIVE | (chip)),                                \
        RATE_ROW(name ": frames of 1514 bytes sent", 1514, SEND | (chip)),                                   \
        RATE_ROW(name ": frames of 1514 bytes received", 1514, RECEIVE | (chip)),                            \
        CPU_ROW(name ": CPU of a frame of 1514 bytes sent", 1514, SEND | (chip)),                            \
        CPU_ROW(name ": CPU of a frame of 1514 bytes received", 1514, RECEIVE | (chip))

static const struct row rows[] = {CHIP_ROWS("network", RTL8139), CHIP_ROWS("network, e1000", E1000),
                                  CHIP_ROWS("network, pcnet", PCNET)};

const struct row_table net_rows = {"Network cards (RTL8139C+ first) over the test port", rows,
                                   sizeof(rows) / sizeof(rows[0])};
