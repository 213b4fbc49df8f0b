/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows of the IDE disk: requests of several sizes by DMA and PIO, every register access over the test port.
 */
#include "bench/tables.h"

#include <stdio.h>

#include "bench/measure.h"
#include "tests/lib/qpci.h"

#define SECTOR 512

/* ATA registers of the primary channel, and the bus master's. */
enum { DATA = 0x1F0, COUNT = 0x1F2, LBA0, LBA1, LBA2, DEVICE, COMMAND, STATUS = COMMAND };
enum { BM_COMMAND = 0, BM_STATUS = 2, BM_PRDT = 4 };
enum { STATUS_BSY = 0x80, STATUS_DRQ = 0x08, STATUS_ERR = 0x01 };
enum { READ_SECTORS = 0x20, WRITE_DMA = 0xCA, READ_DMA = 0xC8 };

struct disk {
    struct qtest *q;
    uint16_t bm;
    uint64_t prdt, buffer;
};

/* argument of a row: bytes of a request, and which way */
#define REQUEST(bytes, command) ((bytes) << 8 | (command))
#define REQUEST_BYTES(arg)      ((arg) >> 8)
#define REQUEST_COMMAND(arg)    ((arg)&0xFF)

static struct disk start_disk(const struct subject *subject)
{
    static const char *image;
    struct disk d;
    char args[200];

    if (!image)
        image = qtest_temp_file(".img", 64 << 20);
    snprintf(args, sizeof(args), "-m 128 -nodefaults -drive file=%s,if=ide,cache=writeback,format=raw",
             image);
    d.q = qtest_start_program(subject->program, args);

    struct qpci ide = qpci_at(d.q, QPCI_DEVFN(1, 1));
    d.bm = qpci_map(&ide, 4);
    qpci_enable(&ide);
    d.prdt = qtest_alloc(d.q, 64, 64);
    d.buffer = qtest_alloc(d.q, 256 << 10, 64 << 10);
    return d;
}

static void task_file(struct disk *d, unsigned sector, unsigned count, uint8_t command)
{
    qtest_outb(d->q, DEVICE, 0xE0);
    qtest_outb(d->q, COUNT, count);
    qtest_outb(d->q, LBA0, sector);
    qtest_outb(d->q, LBA1, sector >> 8);
    qtest_outb(d->q, LBA2, sector >> 16);
    qtest_outb(d->q, COMMAND, command);
}

static void describe_buffer(struct disk *d, unsigned bytes)
{
    uint64_t entry = d->prdt, addr = d->buffer;

    for (; bytes > 0; entry += 8) {
        unsigned part = bytes < 65536 ? bytes : 65536;
        bytes -= part;
        qtest_writel(d->q, entry, addr);
        qtest_writel(d->q, entry + 4, (part & 0xFFFF) | (bytes ? 0 : 0x80000000));
        addr += part;
    }
}

static void dma_request(struct disk *d, unsigned sector, unsigned bytes, uint8_t command)
{
    uint8_t direction = command == READ_DMA ? 0x08 : 0, status;

    qtest_outb(d->q, d->bm + BM_COMMAND, direction);
    qtest_outb(d->q, d->bm + BM_STATUS, 0x06);
    task_file(d, sector, bytes / SECTOR, command);
    qtest_outb(d->q, d->bm + BM_COMMAND, direction | 1);
    do
        status = qtest_inb(d->q, d->bm + BM_STATUS);
    while (!(status & 0x04));
    qtest_outb(d->q, d->bm + BM_COMMAND, 0);
    if ((status & 0x02) || (qtest_inb(d->q, STATUS) & (STATUS_ERR | STATUS_BSY)))
        qtest_fail(d->q, "DMA command %02x failed", command);
}

enum result { MIB_A_SECOND, CPU_US_A_REQUEST };

/* Requests for about a third of a second. */
static double dma(const struct subject *subject, int arg, enum result result)
{
    struct disk d = start_disk(subject);
    unsigned bytes = REQUEST_BYTES(arg), sector = 0, count = 0;

    describe_buffer(&d, bytes);
    qtest_outl(d.q, d.bm + BM_PRDT, d.prdt);
    dma_request(&d, 0, bytes, REQUEST_COMMAND(arg));
    int64_t cpu = measure_cpu(qtest_pid(d.q)), start = measure_now(), elapsed;
    do {
        dma_request(&d, sector, bytes, REQUEST_COMMAND(arg));
        sector = (sector + bytes / SECTOR) % 65536;
        count++;
        elapsed = measure_now() - start;
    } while (elapsed < 300000000);
    cpu = measure_cpu(qtest_pid(d.q)) - cpu;
    qtest_stop(d.q);
    return result == CPU_US_A_REQUEST ? cpu / 1e3 / count
                                      : (double)count * bytes / (1 << 20) / (elapsed / 1e9);
}

static double dma_speed(const struct subject *subject, int arg)
{
    return dma(subject, arg, MIB_A_SECOND);
}

static double dma_cpu(const struct subject *subject, int arg)
{
    return dma(subject, arg, CPU_US_A_REQUEST);
}

static void wait_drq(struct disk *d)
{
    uint8_t status;

    do
        status = qtest_inb(d->q, STATUS);
    while ((status & STATUS_BSY) || !(status & (STATUS_DRQ | STATUS_ERR)));
    if (status & STATUS_ERR)
        qtest_fail(d->q, "READ SECTORS failed");
}

static void pio_request(struct disk *d, unsigned sector, unsigned bytes)
{
    task_file(d, sector, bytes / SECTOR, READ_SECTORS);
    for (unsigned i = 0; i < bytes / SECTOR; i++) {
        wait_drq(d);
        for (unsigned k = 0; k < SECTOR / 4; k++)
            qtest_inl(d->q, DATA);
    }
}

static double pio(const struct subject *subject, int arg)
{
    struct disk d = start_disk(subject);
    unsigned bytes = REQUEST_BYTES(arg), sector = 0, count = 0;

    pio_request(&d, 0, bytes);
    int64_t start = measure_now(), elapsed;
    do {
        pio_request(&d, sector, bytes);
        sector = (sector + bytes / SECTOR) % 65536;
        count++;
        elapsed = measure_now() - start;
    } while (elapsed < 300000000);
    qtest_stop(d.q);
    return (double)count * bytes / (1 << 20) / (elapsed / 1e9);
}

#define DMA_ROW(name_, bytes, command)                                                                       \
    {                                                                                                        \
        .name = name_, .unit = "MiB/s", .more_is_better = true, .runs = 5, .measure = dma_speed,             \
        .arg = REQUEST(bytes, command)                                                                       \
    }
#define PIO_ROW(name_, bytes)                                                                                \
    {                                                                                                        \
        .name = name_, .unit = "MiB/s", .more_is_better = true, .runs = 5, .measure = pio,                   \
        .arg = REQUEST(bytes, READ_SECTORS)                                                                  \
    }

static const struct row rows[] = {
    DMA_ROW("IDE DMA read, 512 B a request", 512, READ_DMA),
    DMA_ROW("IDE DMA read, 4 KiB", 4096, READ_DMA),
    DMA_ROW("IDE DMA read, 64 KiB", 65536, READ_DMA),
    DMA_ROW("IDE DMA read, 128 KiB", 131072, READ_DMA),
    DMA_ROW("IDE DMA write, 512 B a request", 512, WRITE_DMA),
    DMA_ROW("IDE DMA write, 4 KiB", 4096, WRITE_DMA),
    DMA_ROW("IDE DMA write, 64 KiB", 65536, WRITE_DMA),
    DMA_ROW("IDE DMA write, 128 KiB", 131072, WRITE_DMA),
    {.name = "IDE DMA read, CPU of one request of 64 KiB",
     .unit = "us",
     .runs = 5,
     .measure = dma_cpu,
     .arg = REQUEST(65536, READ_DMA)},
    PIO_ROW("IDE PIO read, 512 B a request", 512),
    PIO_ROW("IDE PIO read, 4 KiB", 4096),
    PIO_ROW("IDE PIO read, 128 KiB", 131072),
};

const struct row_table ide_rows = {"IDE disk over the test port", rows, sizeof(rows) / sizeof(rows[0])};
