/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows of the network card: an RTL8139C+ with its rings of descriptors, a datagram socket as its wire. */
#include "bench/tables.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/measure.h"
#include "tests/lib/qpci.h"
#include "tests/lib/wire.h"

enum { TNPDS = 0x20, CR = 0x37, RCR = 0x44, TPPOLL = 0xD9, CPCR = 0xE0, RDSAR = 0xE4 };
enum { RING = 64, BUFFER = 2048, PATIENCE_MS = 5000 };

#define OWN       0x80000000u
#define END_OF    0x40000000u /* the ring */
#define WHOLE     0x30000000u /* frame: its first and last descriptor */
#define RING_SIZE (RING * sizeof(struct descriptor))

struct descriptor {
    uint32_t command, tag;
    uint64_t address;
};

struct nic {
    struct qtest *q;
    struct wire wire;
    uint64_t io, tx, rx, buffers;
};

static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

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
static void start_nic(struct nic *n, const struct subject *subject)
{
    char options[WIRE_OPTIONS], args[WIRE_OPTIONS + 400];
    struct qpci pci;

    wire_open(&n->wire, "n", options);
    snprintf(
        args, sizeof(args),
        "-m 128 -nodefaults -vga none -device rtl8139,netdev=n,mac=52:54:00:12:34:56,romfile=%s -bios %s %s",
        subject->peer ? "" : ",revision=0x20", idle_firmware(), options);
    n->q = qtest_start_program(subject->program, args);
    wire_connect(&n->wire);
    json_decref(qtest_qmp_ok(n->q, "{'execute': 'cont'}"));
    pci = qpci_get(n->q, 0x10EC, 0x8139);
    n->io = qpci_map(&pci, 0);
    qpci_enable(&pci);
    n->tx = qtest_alloc(n->q, RING_SIZE, 4096);
    n->rx = qtest_alloc(n->q, RING_SIZE, 4096);
    n->buffers = qtest_alloc(n->q, RING * BUFFER, 4096);
    qtest_outb(n->q, n->io + CR, 0x10);
    qtest_outw(n->q, n->io + CPCR, 0x03);
    qtest_outl(n->q, n->io + TNPDS, n->tx);
    qtest_outl(n->q, n->io + TNPDS + 4, 0);
    qtest_outl(n->q, n->io + RDSAR, n->rx);
    qtest_outl(n->q, n->io + RDSAR + 4, 0);
    qtest_outb(n->q, n->io + CR, 0x0C);
    qtest_outl(n->q, n->io + RCR, 0x0A);
}

static void stop_nic(struct nic *n)
{
    qtest_stop(n->q);
    wire_close(&n->wire);
}

/* Gives the chip a whole ring. */
static void give_ring(struct nic *n, uint64_t at, uint32_t command)
{
    struct descriptor ring[RING] = {0};

    for (unsigned i = 0; i < RING; i++) {
        ring[i].command = OWN | command | (i == RING - 1 ? END_OF : 0);
        ring[i].address = n->buffers + i * BUFFER;
    }
    qtest_memwrite(n->q, at, ring, sizeof(ring));
}

/* True if all came out at the other end. */
static bool send_ring(struct nic *n, unsigned length)
{
    uint8_t frame[2048];

    give_ring(n, n->tx, WHOLE | length);
    qtest_outb(n->q, n->io + TPPOLL, 0x40);
    for (unsigned i = 0; i < RING; i++)
        if (wire_take(&n->wire, frame, PATIENCE_MS) != (int)length)
            return false;
    return true;
}

static bool receive_ring(struct nic *n, unsigned length)
{
    uint64_t last = n->rx + RING_SIZE - sizeof(struct descriptor);
    int64_t start = measure_now();

    give_ring(n, n->rx, BUFFER - 1);
    qtest_outb(n->q, n->io + CR, 0x0C); /* there are free descriptors again */
    for (unsigned i = 0; i < RING; i++)
        wire_send(&n->wire, mac, i, length);
    while (qtest_readl(n->q, last) & OWN)
        if (measure_now() - start > PATIENCE_MS * 1000000ll)
            return false;
    return true;
}

/* Of a row: bytes of a frame, which way, and what is told. */
enum { SEND = 0, RECEIVE = 1, RATE = 0, CPU = 2 };
#define NET_ARG(length, flags) ((length) << 2 | (flags))

/* Frames for about a third of a second: thousands of them in a second, or microseconds of CPU each costs. */
static double frames(const struct subject *subject, int arg)
{
    bool (*pass)(struct nic * n, unsigned length) = arg & RECEIVE ? receive_ring : send_ring;
    unsigned length = arg >> 2, count = 0;
    int64_t cpu, start, elapsed = 0;
    bool ok;
    struct nic n;

    start_nic(&n, subject);
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

static const struct row rows[] = {
    RATE_ROW("network: frames of 60 bytes sent", 60, SEND),
    RATE_ROW("network: frames of 60 bytes received", 60, RECEIVE),
    RATE_ROW("network: frames of 1514 bytes sent", 1514, SEND),
    RATE_ROW("network: frames of 1514 bytes received", 1514, RECEIVE),
    CPU_ROW("network: CPU of a frame of 1514 bytes sent", 1514, SEND),
    CPU_ROW("network: CPU of a frame of 1514 bytes received", 1514, RECEIVE),
};

const struct row_table net_rows = {"RTL8139C+ over the test port", rows, sizeof(rows) / sizeof(rows[0])};
