/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The floppy controller: commands and results, DMA and PIO, media, disk change, and what hostile guests do to
 * it. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/cmocka.h"
#include "tests/lib/qtest.h"
#include "tests/lib/wait.h"

#define MS 1000000ll

enum {
    DOR = 0x3F2,
    MSR = 0x3F4,
    DSR = 0x3F4,
    FIFO = 0x3F5,
    DIR = 0x3F7,
    CCR = 0x3F7,
    IRQ = 6,
    SECTOR = 512,
    BUFFER = 0x10000, /* within the first 16 MiB and one 64 KiB page */

    READ = 0x46,
    WRITE = 0x45,
    MT = 0x80,
};

#define IMAGE_144 1474560

static const char *image; /* of the running test */

static void fill_image(const char *path, int64_t size)
{
    int fd = open(path, O_WRONLY);
    uint8_t sector[SECTOR];

    for (int64_t lba = 0; lba < size / SECTOR; lba++) {
        for (int i = 0; i < SECTOR; i++)
            sector[i] = lba * 31 + i + (lba >> 8);
        assert_int_equal(pwrite(fd, sector, SECTOR, lba * SECTOR), SECTOR);
    }
    close(fd);
}

static void assert_sector(const uint8_t *data, int64_t lba)
{
    for (int i = 0; i < SECTOR; i++)
        assert_int_equal(data[i], (uint8_t)(lba * 31 + i + (lba >> 8)));
}

static struct qtest *start_with(void **state, int64_t size, const char *more)
{
    struct qtest *q;

    image = qtest_temp_file("img", size);
    fill_image(image, size);
    q = *state = qtest_startf(
        "-nodefaults -vga none -drive file=%s,if=floppy,format=raw,id=fd0,cache=writeback%s", image, more);
    qtest_irq_intercept_in(q, "ioapic");
    return q;
}

static struct qtest *start(void **state)
{
    return start_with(state, IMAGE_144, "");
}

static struct qtest *start_empty(void **state)
{
    struct qtest *q = *state = qtest_start("-nodefaults -vga none -drive if=floppy,id=fd0");

    qtest_irq_intercept_in(q, "ioapic");
    return q;
}

/* ---- talking to the controller ---- */

/* Status settles by itself after some microseconds of the host's. */
static uint8_t wait_msr(struct qtest *q)
{
    uint8_t msr;

    SOON((msr = qtest_inb(q, MSR)) & 0x80);
    return msr;
}

static void send(struct qtest *q, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(qtest_inb(q, MSR) & 0xF0, i ? 0x90 : 0x80); /* below: drives that seek */
        qtest_outb(q, FIFO, bytes[i]);
    }
}

#define command(q, ...)                                                                                      \
    do {                                                                                                     \
        const uint8_t bytes[] = {__VA_ARGS__};                                                               \
        send(q, bytes, sizeof(bytes));                                                                       \
    } while (0)

static void result(struct qtest *q, uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(wait_msr(q) & 0xF0, 0xD0);
        bytes[i] = qtest_inb(q, FIFO);
    }
    assert_int_equal(qtest_inb(q, MSR) & 0xF0, 0x80);
}

#define assert_result(q, ...)                                                                                \
    do {                                                                                                     \
        const uint8_t expected[] = {__VA_ARGS__};                                                            \
        uint8_t got[sizeof(expected)];                                                                       \
        result(q, got, sizeof(got));                                                                         \
        assert_memory_equal(got, expected, sizeof(got));                                                     \
    } while (0)

static void non_dma(struct qtest *q)
{
    command(q, 0x03, 0xDF, 0x03);
}

static void reset_by_dor(struct qtest *q)
{
    qtest_outb(q, DOR, 0x08);
    qtest_outb(q, DOR, 0x0C);
    for (unsigned drive = 0; drive < 4; drive++) {
        uint8_t got[2];

        command(q, 0x08);
        result(q, got, 2);
        assert_int_equal(got[0], 0xC0 | drive);
    }
}

/* Programs channel 2; mode: 0x44 to memory, 0x48 from memory, 0x40 verify. */
static void dma(struct qtest *q, uint8_t mode, uint32_t address, uint16_t bytes)
{
    qtest_outb(q, 0x0A, 6);
    qtest_outb(q, 0x0C, 0);
    qtest_outb(q, 0x0B, mode | 2);
    qtest_outb(q, 0x04, address);
    qtest_outb(q, 0x04, address >> 8);
    qtest_outb(q, 0x81, address >> 16);
    qtest_outb(q, 0x05, bytes - 1);
    qtest_outb(q, 0x05, (bytes - 1) >> 8);
    qtest_outb(q, 0x0A, 2);
}

static uint16_t dma_left(struct qtest *q)
{
    uint8_t low;

    qtest_outb(q, 0x0C, 0);
    low = qtest_inb(q, 0x05);
    return (low | qtest_inb(q, 0x05) << 8) + 1;
}

static void transfer(struct qtest *q, uint8_t opcode, unsigned c, unsigned h, unsigned r, unsigned eot)
{
    command(q, opcode, h << 2, c, h, r, 2, eot, 0x1B, 0xFF);
}

static void assert_memory_sectors(struct qtest *q, uint32_t address, unsigned lba, unsigned count)
{
    uint8_t data[SECTOR];

    for (unsigned i = 0; i < count; i++) {
        qtest_memread(q, address + i * SECTOR, data, SECTOR);
        assert_sector(data, lba + i);
    }
}

static void seek(struct qtest *q, uint8_t track)
{
    command(q, 0x0F, 0, track);
    command(q, 0x08);
    assert_result(q, 0x20, track);
}

/* ---- commands without data ---- */

static void idle_state(void **state)
{
    struct qtest *q = start(state);

    assert_int_equal(qtest_inb(q, MSR), 0x80);
    assert_int_equal(qtest_inb(q, DOR), 0x0C);
    command(q, 0x08);
    assert_result(q, 0x80);
}

static void reset_gives_four_interrupt_states(void **state)
{
    struct qtest *q = start(state);

    if (qtest_is_qemu(q))
        skip();
    qtest_outb(q, DOR, 0x08);
    assert_int_equal(qtest_inb(q, MSR), 0);
    qtest_outb(q, FIFO, 0x10);
    assert_int_equal(qtest_inb(q, FIFO), 0);
    assert_false(qtest_irq(q, IRQ));
    qtest_outb(q, DOR, 0x0C);
    assert_true(qtest_irq(q, IRQ));
    assert_int_equal(qtest_inb(q, MSR), 0x80);
    for (unsigned drive = 0; drive < 4; drive++) {
        command(q, 0x08);
        assert_false(qtest_irq(q, IRQ));
        assert_result(q, 0xC0 | drive, 0);
    }
    command(q, 0x08);
    assert_result(q, 0x80);
    qtest_outb(q, DSR, 0x80); /* clears itself */
    assert_true(qtest_irq(q, IRQ));
    assert_int_equal(qtest_inb(q, MSR), 0x80);
    command(q, 0x08);
    assert_result(q, 0xC0, 0);
}

static void identity(void **state)
{
    struct qtest *q = start(state);

    command(q, 0x10);
    assert_result(q, 0x90);
    for (unsigned opcode = 0; opcode < 256; opcode += 0x3F)
        if ((opcode & 0x1F) == 0x1F) {
            command(q, opcode);
            assert_result(q, 0x80);
        }
}

/* Linux' probe: DUMPREGS of ten bytes, CONFIGURE, PERPENDICULAR, UNLOCK, and PART ID which an 82077AA does
 * not know. */
static void linux_probe(void **state)
{
    struct qtest *q = start(state);
    uint8_t registers[10];

    command(q, 0x0E);
    result(q, registers, 10);
    command(q, 0x13, 0, 0x1A, 0);
    command(q, 0x12, 0x80);
    command(q, 0x14);
    assert_result(q, 0);
    if (qtest_is_qemu(q))
        skip();
    command(q, 0x18);
    assert_result(q, 0x80);
}

static void registers_dump(void **state)
{
    struct qtest *q = start(state);

    if (qtest_is_qemu(q))
        skip();
    seek(q, 17);
    command(q, 0x03, 0xA1, 0x04);
    command(q, 0x13, 0, 0x57, 0x21);
    command(q, 0x12, 0x84 | 0x08);
    command(q, 0x0E);
    assert_result(q, 17, 0, 0, 0, 0xA1, 0x04, 0, 0x0C, 0x57, 0x21);
    command(q, 0x94);
    assert_result(q, 0x10);
    reset_by_dor(
        q); /* forgets all but what LOCK keeps: FIFO, threshold, precompensation; the drives' tracks stay */
    command(q, 0x0E);
    assert_result(q, 17, 0, 0, 0, 0xA1, 0x04, 0, 0x8C, 0x07, 0x21);
    command(q, 0x14);
    assert_result(q, 0);
    reset_by_dor(q);
    command(q, 0x0E);
    assert_result(q, 17, 0, 0, 0, 0xA1, 0x04, 0, 0x0C, 0x20, 0);
}

static void seeks_and_their_interrupts(void **state)
{
    struct qtest *q = start(state);

    command(q, 0x0F, 0x04, 33);
    assert_int_equal(qtest_inb(q, MSR), 0x81);
    command(q, 0x08);
    assert_result(q, qtest_is_qemu(q) ? 0x20 : 0x24, 33);
    command(q, 0x07, 0);
    if (!qtest_is_qemu(q))
        assert_true(qtest_irq(q, IRQ));
    command(q, 0x08);
    assert_result(q, 0x20, 0);
    if (qtest_is_qemu(q))
        skip();
    assert_false(qtest_irq(q, IRQ));
    /* Two drives at once: the interrupt stays until both are told. The second is not there: no track 0. */
    command(q, 0x0F, 0, 5);
    command(q, 0x07, 1);
    assert_true(qtest_irq(q, IRQ));
    assert_int_equal(qtest_inb(q, MSR), 0x83);
    command(q, 0x08);
    assert_result(q, 0x20, 5);
    assert_true(qtest_irq(q, IRQ));
    command(q, 0x08);
    assert_result(q, 0x71, 0);
    assert_false(qtest_irq(q, IRQ));
}

static void relative_seeks(void **state)
{
    struct qtest *q = start(state);

    if (qtest_is_qemu(q))
        skip();
    command(q, 0xCF, 0, 10);
    command(q, 0x08);
    assert_result(q, 0x20, 10);
    command(q, 0x8F, 0, 3);
    command(q, 0x08);
    assert_result(q, 0x20, 7);
    command(q, 0x8F, 0, 200);
    command(q, 0x08);
    assert_result(q, 0x20, 0);
    command(q, 0xCF, 0, 0xFF);
    command(q, 0x08);
    assert_result(q, 0x20, 0xFF);
    command(q, 0xCF, 0, 0xFF);
    command(q, 0x08);
    assert_result(q, 0x20, 0xFF);
}

static void drive_status(void **state)
{
    struct qtest *q = start(state);

    command(q, 0x04, 0);
    assert_result(q, 0x38);
    command(q, 0x04, 4);
    assert_result(q, 0x3C);
    seek(q, 3);
    command(q, 0x04, 0);
    assert_result(q, 0x28);
}

static void read_id(void **state)
{
    struct qtest *q = start(state);

    if (qtest_is_qemu(q))
        skip(); /* needs the clock */
    seek(q, 9);
    command(q, 0x4A, 4);
    assert_int_equal(qtest_inb(q, MSR), 0x10);
    assert_false(qtest_irq(q, IRQ));
    qtest_clock_step(q, 20 * MS);
    assert_true(qtest_irq(q, IRQ));
    assert_result(q, 0x04, 0, 0, 9, 1, 1, 2);
    assert_false(qtest_irq(q, IRQ));
}

static void dmagate_holds_the_interrupt(void **state)
{
    struct qtest *q = start(state);

    if (qtest_is_qemu(q))
        skip();
    qtest_outb(q, DOR, 0x04);
    command(q, 0x0F, 0, 1);
    assert_false(qtest_irq(q, IRQ));
    qtest_outb(q, DOR, 0x0C);
    assert_true(qtest_irq(q, IRQ));
    command(q, 0x08);
    assert_result(q, 0x20, 1);
}

/* ---- reading and writing by DMA ---- */

static void read_one_sector_by_dma(void **state)
{
    struct qtest *q = start(state);

    dma(q, 0x44, BUFFER, SECTOR);
    transfer(q, READ, 0, 0, 1, 18);
    assert_result(q, 0, 0, 0, 0, 0, 2, 2);
    assert_memory_sectors(q, BUFFER, 0, 1);
    assert_int_equal(qtest_inb(q, 0x08) & 0x04, 0x04); /* terminal count, told once */
    assert_int_equal(qtest_inb(q, 0x08) & 0x04, 0);
}

static void read_a_cylinder_by_dma(void **state)
{
    struct qtest *q = start(state);

    seek(q, 41);
    dma(q, 0x44, BUFFER, 36 * SECTOR);
    transfer(q, MT | READ, 41, 0, 1, 18);
    if (qtest_is_qemu(q))
        wait_msr(q);
    else
        assert_result(q, 0, 0, 0, 42, 0, 1, 2);
    assert_memory_sectors(q, BUFFER, 41 * 36, 36);
}

/* The data sheet's table of the ID that a result shows, by MT, head and whether the last sector was EOT. */
static void result_ids(void **state)
{
    static const struct {
        uint8_t opcode, h, r, result[7];
    } cases[] = {
        {READ, 0, 5, {0, 0, 0, 7, 0, 6, 2}},      {READ, 0, 18, {0, 0, 0, 8, 0, 1, 2}},
        {READ, 1, 5, {4, 0, 0, 7, 1, 6, 2}},      {READ, 1, 18, {4, 0, 0, 8, 1, 1, 2}},
        {MT | READ, 0, 5, {0, 0, 0, 7, 0, 6, 2}}, {MT | READ, 0, 18, {4, 0, 0, 7, 1, 1, 2}},
        {MT | READ, 1, 5, {4, 0, 0, 7, 1, 6, 2}}, {MT | READ, 1, 18, {0, 0, 0, 8, 0, 1, 2}},
    };
    struct qtest *q = start(state);

    if (qtest_is_qemu(q))
        skip();
    seek(q, 7);
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t got[7];

        dma(q, 0x44, BUFFER, SECTOR);
        transfer(q, cases[i].opcode, 7, cases[i].h, cases[i].r, 18);
        result(q, got, 7);
        assert_memory_equal(got, cases[i].result, 7);
        assert_memory_sectors(q, BUFFER, (7 * 2 + cases[i].h) * 18 + cases[i].r - 1, 1);
    }
}

static void the_end_of_the_cylinder_without_terminal_count(void **state)
{
    struct qtest *q = start(state);

    if (qtest_is_qemu(q))
        skip();
    dma(q, 0x44, BUFFER, 40 * SECTOR);
    transfer(q, READ, 0, 0, 17, 18);
    assert_true(wait_msr(q) == 0xD0);
    assert_true(qtest_irq(q, IRQ));
    assert_result(q, 0x40, 0x80, 0, 1, 0, 1, 2);
    assert_int_equal(dma_left(q), 38 * SECTOR);
}

static void terminal_count_within_a_sector(void **state)
{
    struct qtest *q = start(state);
    uint8_t byte;

    if (qtest_is_qemu(q))
        skip();
    qtest_memset(q, BUFFER, 0xEE, 2 * SECTOR);
    dma(q, 0x44, BUFFER, 700);
    transfer(q, READ, 0, 0, 1, 18);
    assert_result(q, 0, 0, 0, 0, 0, 3, 2);
    assert_memory_sectors(q, BUFFER, 0, 1);
    qtest_memread(q, BUFFER + 699, &byte, 1);
    assert_int_equal(byte, (uint8_t)(31 + 187));
    assert_int_equal(qtest_readb(q, BUFFER + 700), 0xEE);
}

static void write_by_dma(void **state)
{
    struct qtest *q = start(state);
    uint8_t data[3 * SECTOR], got[3 * SECTOR];
    int fd;

    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = i * 13 + i / 256;
    qtest_memwrite(q, BUFFER, data, sizeof(data));
    dma(q, 0x48, BUFFER, sizeof(data));
    transfer(q, MT | WRITE, 0, 0, 17, 18);
    if (qtest_is_qemu(q)) {
        wait_msr(q);
    } else {
        assert_result(q, 4, 0, 0, 0, 1, 2, 2);
    }
    qtest_memset(q, BUFFER, 0, sizeof(data));
    dma(q, 0x44, BUFFER, sizeof(data));
    if (!qtest_is_qemu(q)) {
        transfer(q, MT | READ, 0, 0, 17, 18);
        assert_result(q, 4, 0, 0, 0, 1, 2, 2);
        qtest_memread(q, BUFFER, got, sizeof(got));
        assert_memory_equal(got, data, sizeof(got));
    }
    fd = open(image, O_RDONLY);
    assert_int_equal(pread(fd, got, sizeof(got), 16 * SECTOR), sizeof(got));
    assert_memory_equal(got, data, sizeof(got));
    close(fd);
}

static void write_of_part_of_a_sector_fills_with_zeroes(void **state)
{
    struct qtest *q = start(state);
    uint8_t got[SECTOR];
    int fd;

    if (qtest_is_qemu(q))
        skip();
    dma(q, 0x44, BUFFER, SECTOR); /* something is left in the controller */
    transfer(q, READ, 0, 0, 9, 18);
    assert_result(q, 0, 0, 0, 0, 0, 10, 2);
    qtest_memset(q, BUFFER, 0x77, SECTOR);
    dma(q, 0x48, BUFFER, 100);
    transfer(q, WRITE, 0, 0, 1, 18);
    assert_result(q, 0, 0, 0, 0, 0, 2, 2);
    fd = open(image, O_RDONLY);
    assert_int_equal(pread(fd, got, SECTOR, 0), SECTOR);
    close(fd);
    for (int i = 0; i < SECTOR; i++)
        assert_int_equal(got[i], i < 100 ? 0x77 : 0);
}

static void dma_that_is_programmed_late(void **state)
{
    struct qtest *q = start(state);

    if (qtest_is_qemu(q))
        skip();
    transfer(q, READ, 0, 0, 3, 18);
    for (int i = 0; i < 50 && !(qtest_inb(q, 0x08) & 0x40); i++)
        usleep(1000);
    assert_int_equal(qtest_inb(q, MSR), 0x10);
    dma(q, 0x48, BUFFER, SECTOR); /* the wrong direction moves nothing */
    assert_int_equal(qtest_inb(q, MSR), 0x10);
    dma(q, 0x44, BUFFER, SECTOR);
    assert_result(q, 0, 0, 0, 0, 0, 4, 2);
    assert_memory_sectors(q, BUFFER, 2, 1);
    assert_int_equal(qtest_inb(q, 0x08) & 0x40, 0);
}

static void dma_modes(void **state)
{
    struct qtest *q = start(state);
    uint8_t data[SECTOR];

    if (qtest_is_qemu(q))
        skip();
    /* verify: counted, not moved */
    qtest_memset(q, BUFFER, 0xEE, SECTOR);
    dma(q, 0x40, BUFFER, SECTOR);
    transfer(q, READ, 0, 0, 1, 18);
    assert_result(q, 0, 0, 0, 0, 0, 2, 2);
    assert_int_equal(qtest_readl(q, BUFFER), 0xEEEEEEEE);
    dma(q, 0x40, BUFFER, SECTOR); /* what a device reads then is an idle bus */
    transfer(q, WRITE, 0, 0, 18, 18);
    assert_result(q, 0, 0, 0, 1, 0, 1, 2);
    dma(q, 0x44, BUFFER, SECTOR);
    transfer(q, READ, 0, 0, 18, 18);
    assert_result(q, 0, 0, 0, 1, 0, 1, 2);
    assert_int_equal(qtest_readl(q, BUFFER), 0xFFFFFFFF);
    /* autoinit: again and again until the cylinder ends */
    dma(q, 0x54, BUFFER, SECTOR);
    transfer(q, READ, 0, 0, 1, 18);
    assert_result(q, 0, 0, 0, 0, 0, 2, 2);
    assert_int_equal(dma_left(q), SECTOR);
    transfer(q, READ, 0, 0, 2, 18); /* not masked: works without programming */
    assert_result(q, 0, 0, 0, 0, 0, 3, 2);
    assert_memory_sectors(q, BUFFER, 1, 1);
    /* decrement */
    dma(q, 0x64, BUFFER + SECTOR - 1, SECTOR);
    transfer(q, READ, 0, 0, 1, 18);
    assert_result(q, 0, 0, 0, 0, 0, 2, 2);
    qtest_memread(q, BUFFER, data, SECTOR);
    for (int i = 0; i < SECTOR; i++)
        assert_int_equal(data[SECTOR - 1 - i], (uint8_t)i);
    /* the address wraps within its page of 64 KiB */
    dma(q, 0x44, 0x2FF00, SECTOR);
    transfer(q, READ, 0, 0, 1, 18);
    assert_result(q, 0, 0, 0, 0, 0, 2, 2);
    assert_int_equal(qtest_readb(q, 0x2FFFF), 0xFF);
    assert_int_equal(qtest_readb(q, 0x20001), 0x01);
    assert_int_equal(qtest_readb(q, 0x30001), 0);
}

static void dma_to_what_is_no_ram_loses_the_data(void **state)
{
    static const uint32_t places[] = {0xA0000, 0xC0000, 0xF00000};
    struct qtest *q = start_with(state, IMAGE_144, " -m 8");
    if (qtest_is_qemu(q))
        skip();
    for (unsigned i = 0; i < 3; i++) {
        dma(q, 0x44, places[i], SECTOR);
        transfer(q, READ, 0, 0, 1, 18);
        assert_result(q, 0, 0, 0, 0, 0, 2, 2);
    }
    qtest_outb(q, 0x482, 0xFE); /* another channel's high page, then ours: the sky */
    dma(q, 0x44, BUFFER, SECTOR);
    qtest_outb(q, 0x481, 0xFE);
    transfer(q, READ, 0, 0, 1, 18);
    assert_result(q, 0, 0, 0, 0, 0, 2, 2);
    /* from there come ones */
    dma(q, 0x48, BUFFER, SECTOR);
    qtest_outb(q, 0x481, 0xFE);
    transfer(q, WRITE, 0, 0, 1, 18);
    assert_result(q, 0, 0, 0, 0, 0, 2, 2);
    dma(q, 0x44, BUFFER, SECTOR);
    transfer(q, READ, 0, 0, 1, 18);
    assert_result(q, 0, 0, 0, 0, 0, 2, 2);
    assert_int_equal(qtest_readl(q, BUFFER), 0xFFFFFFFF);
}

/* ---- PIO ---- */

static void pio_sectors(struct qtest *q, unsigned lba, unsigned count)
{
    uint8_t data[SECTOR];

    while (count--) {
        for (int i = 0; i < SECTOR; i++) {
            assert_int_equal(wait_msr(q), 0xF0);
            data[i] = qtest_inb(q, FIFO);
        }
        assert_sector(data, lba++);
    }
}

static void read_by_pio(void **state)
{
    struct qtest *q = start(state);
    uint8_t got[7];

    non_dma(q);
    transfer(q, READ, 0, 0, 4, 6);
    pio_sectors(q, 3, 3);
    result(q, got, 7);
    if (qtest_is_qemu(q))
        skip();
    /* No terminal count: the end of the cylinder. */
    assert_memory_equal(got, ((uint8_t[]){0x40, 0x80, 0, 1, 0, 1, 2}), 7);
}

static void pio_raises_the_interrupt_for_every_sector(void **state)
{
    struct qtest *q = start(state);

    if (qtest_is_qemu(q))
        skip();
    non_dma(q);
    transfer(q, READ, 0, 0, 1, 2);
    for (int s = 0; s < 2; s++) {
        assert_int_equal(wait_msr(q), 0xF0);
        assert_true(qtest_irq(q, IRQ));
        qtest_inb(q, FIFO);
        assert_false(qtest_irq(q, IRQ));
        for (int i = 1; i < SECTOR; i++)
            qtest_inb(q, FIFO);
    }
    assert_int_equal(wait_msr(q), 0xD0);
    assert_true(qtest_irq(q, IRQ));
    assert_result(q, 0x40, 0x80, 0, 1, 0, 1, 2);
}

static void a_pio_count_beyond_the_track_goes_on_at_the_next(void **state)
{
    struct qtest *q = start(state);
    uint8_t got[7];

    if (qtest_is_qemu(q))
        skip();
    non_dma(q);
    transfer(q, READ, 0, 0, 1, 19);
    pio_sectors(q, 0, 18);
    pio_sectors(q, 36, 1);
    result(q, got, 7);
    assert_int_equal(got[0], 0x60);
    assert_int_equal(got[1], 0x80);
}

static void write_by_pio(void **state)
{
    struct qtest *q = start(state);
    uint8_t got[SECTOR];
    int fd;

    non_dma(q);
    transfer(q, WRITE, 0, 1, 18, 18);
    for (int i = 0; i < SECTOR; i++) {
        assert_int_equal(wait_msr(q), 0xB0);
        qtest_outb(q, FIFO, i ^ 0x3C);
    }
    if (qtest_is_qemu(q))
        skip();
    assert_result(q, 0x44, 0x80, 0, 1, 1, 1, 2);
    fd = open(image, O_RDONLY);
    assert_int_equal(pread(fd, got, SECTOR, 35 * SECTOR), SECTOR);
    close(fd);
    for (int i = 0; i < SECTOR; i++)
        assert_int_equal(got[i], (uint8_t)(i ^ 0x3C));
}

/* ---- the other transfers ---- */

static void verify(void **state)
{
    struct qtest *q = start(state);

    if (qtest_is_qemu(q))
        skip();
    transfer(q, 0x56, 0, 0, 1, 18);
    assert_result(q, 0, 0, 0, 1, 0, 1, 2);
    command(q, 0x56, 0x80, 0, 0, 4, 2, 18, 0x1B, 3); /* EC: SC sectors */
    assert_result(q, 0, 0, 0, 0, 0, 7, 2);
    transfer(q, 0x56, 0, 0, 1, 19);
    assert_result(q, 0x40, 0x04, 0, 0, 0, 19, 2);
}

static void format_a_track(void **state)
{
    struct qtest *q = start(state);
    uint8_t ids[18][4], got[SECTOR];
    int fd;

    if (qtest_is_qemu(q))
        skip();
    seek(q, 2);
    for (int i = 0; i < 18; i++) /* interleaved */
        memcpy(ids[i], (uint8_t[]){2, 1, i * 5 % 18 + 1, 2}, 4);
    qtest_memwrite(q, BUFFER, ids, sizeof(ids));
    dma(q, 0x48, BUFFER, sizeof(ids));
    command(q, 0x4D, 4, 2, 18, 0x54, 0xF6);
    result(q, got, 7);
    assert_int_equal(got[0], 0x04);
    fd = open(image, O_RDONLY);
    for (int s = 0; s < 18; s++) {
        assert_int_equal(pread(fd, got, SECTOR, (2 * 36 + 18 + s) * SECTOR), SECTOR);
        for (int i = 0; i < SECTOR; i++)
            assert_int_equal(got[i], 0xF6);
    }
    assert_int_equal(pread(fd, got, SECTOR, (2 * 36 + 17) * SECTOR), SECTOR);
    assert_sector(got, 2 * 36 + 17);
    assert_int_equal(pread(fd, got, SECTOR, 3 * 36 * SECTOR), SECTOR);
    assert_sector(got, 3 * 36);
    close(fd);
    /* An ID that the image cannot keep. */
    memcpy(ids[0], (uint8_t[]){3, 1, 1, 2}, 4);
    qtest_memwrite(q, BUFFER, ids, sizeof(ids));
    dma(q, 0x48, BUFFER, sizeof(ids));
    command(q, 0x4D, 4, 2, 18, 0x54, 0xF6);
    result(q, got, 7);
    assert_int_equal(got[0] & 0xC0, 0x40);
}

static void read_track(void **state)
{
    struct qtest *q = start(state);
    uint8_t got[7];

    if (qtest_is_qemu(q))
        skip();
    dma(q, 0x44, BUFFER, 18 * SECTOR);
    transfer(q, 0x42, 0, 1, 1, 18);
    result(q, got, 7);
    assert_int_equal(got[0], 4);
    assert_int_equal(got[1], 0);
    assert_memory_sectors(q, BUFFER, 18, 18);
    dma(q, 0x44, BUFFER, 18 * SECTOR);
    transfer(q, 0x42, 0, 1, 33, 18); /* all are read; the wanted one was not among them */
    result(q, got, 7);
    assert_int_equal(got[1], 0x04);
}

static void deleted_data(void **state)
{
    struct qtest *q = start(state);

    if (qtest_is_qemu(q))
        skip();
    dma(q, 0x44, BUFFER, 4 * SECTOR);
    transfer(q, 0x4C, 0, 0, 1, 18); /* the mark is another one: the first sector is the last */
    assert_result(q, 0, 0, 0x40, 0, 0, 2, 2);
    assert_memory_sectors(q, BUFFER, 0, 1);
    dma(q, 0x44, BUFFER, 4 * SECTOR);
    transfer(q, 0x6C, 0, 0, 1, 18); /* SK: all are passed over */
    assert_result(q, 0x40, 0x80, 0x40, 1, 0, 1, 2);
    assert_int_equal(dma_left(q), 4 * SECTOR);
}

static void scans(void **state)
{
    struct qtest *q = start(state);
    uint8_t data[2 * SECTOR];

    if (qtest_is_qemu(q))
        skip();
    for (int i = 0; i < 2 * SECTOR; i++)
        data[i] = i / SECTOR * 31 + i;
    data[5] ^= 1; /* the first sector differs, the second matches */
    qtest_memwrite(q, BUFFER, data, sizeof(data));
    dma(q, 0x48, BUFFER, sizeof(data));
    transfer(q, 0x51, 0, 0, 1, 18);
    assert_result(q, 0, 0, 0x08, 0, 0, 3, 2);
    dma(q, 0x48, BUFFER, SECTOR);
    transfer(q, 0x51, 0, 0, 1, 18); /* terminal count: nothing satisfied it */
    assert_result(q, 0, 0, 0x04, 0, 0, 2, 2);
    dma(q, 0x48, BUFFER, SECTOR);
    transfer(q, 0x59, 0, 0, 1, 18); /* low or equal: 5 is not below 4 */
    assert_result(q, 0, 0, 0x04, 0, 0, 2, 2);
    dma(q, 0x48, BUFFER, SECTOR);
    transfer(q, 0x5D, 0, 0, 1, 18); /* high or equal: it is above */
    assert_result(q, 0, 0, 0, 0, 0, 2, 2);
}

static void sectors_that_are_not_there(void **state)
{
    static const struct {
        uint8_t command[9], st1;
    } cases[] = {
        {{READ, 0, 0, 0, 19, 2, 19, 0x1B, 0xFF}, 0x04},    {{READ, 0, 0, 0, 0, 2, 18, 0x1B, 0xFF}, 0x04},
        {{READ, 0, 0, 0, 1, 3, 18, 0x1B, 0xFF}, 0x04},     {{READ, 0, 0, 0, 1, 0, 18, 0x1B, 0x80}, 0x04},
        {{READ, 0, 80, 0, 1, 2, 18, 0x1B, 0xFF}, 0x01},    {{READ, 0, 255, 0, 1, 2, 18, 0x1B, 0xFF}, 0x01},
        {{READ, 0, 0, 1, 1, 2, 18, 0x1B, 0xFF}, 0x04},     {{READ, 4, 0, 0, 1, 2, 18, 0x1B, 0xFF}, 0x04},
        {{WRITE, 0, 0, 0, 255, 2, 255, 0x1B, 0xFF}, 0x04},
    };
    struct qtest *q = start(state);
    uint8_t got[7];

    if (qtest_is_qemu(q))
        skip();
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        dma(q, cases[i].command[0] == READ ? 0x44 : 0x48, BUFFER, SECTOR);
        send(q, cases[i].command, 9);
        result(q, got, 7);
        assert_int_equal(got[0] & 0xC0, 0x40);
        assert_int_equal(got[1], cases[i].st1);
    }
}

static void the_wrong_data_rate_finds_no_address_mark(void **state)
{
    struct qtest *q = start(state);
    uint8_t got[7];

    if (qtest_is_qemu(q))
        skip();
    for (unsigned rate = 0; rate < 4; rate++) {
        qtest_outb(q, CCR, rate);
        dma(q, 0x44, BUFFER, SECTOR);
        transfer(q, READ, 0, 0, 1, 18);
        result(q, got, 7);
        assert_int_equal(got[0], rate ? 0x40 : 0);
        assert_int_equal(got[1], rate ? 0x01 : 0);
    }
}

/* ---- media ---- */

static void formats_by_size(void **state)
{
    static const struct {
        int kib;
        uint8_t cylinders, heads, sectors, rate;
    } formats[] = {
        {160, 40, 1, 8, 1},   {180, 40, 1, 9, 1},   {320, 40, 2, 8, 1},
        {360, 40, 2, 9, 1},   {720, 80, 2, 9, 2},   {1200, 80, 2, 15, 0},
        {1440, 80, 2, 18, 0}, {1680, 80, 2, 21, 0}, {2880, 80, 2, 36, 3},
    };

    for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        struct qtest *q = start_with(state, formats[i].kib * 1024, "");
        unsigned c = formats[i].cylinders - 1, h = formats[i].heads - 1, spt = formats[i].sectors;

        qtest_outb(q, CCR, formats[i].rate);
        seek(q, c);
        dma(q, 0x44, BUFFER, SECTOR);
        transfer(q, READ, c, h, spt, spt);
        assert_int_equal(wait_msr(q), 0xD0);
        assert_int_equal(qtest_inb(q, FIFO) & 0xC0, 0);
        assert_memory_sectors(q, BUFFER, formats[i].kib * 2 - 1, 1);
        teardown_qtest(state);
    }
    *state = NULL;
}

/* ---- A3: 40 cylinders in a drive of 80 tracks: every other track ---- */

static struct qtest *start_360(void **state)
{
    struct qtest *q = start_with(state, 368640, "");

    qtest_outb(q, CCR, 1);
    return q;
}

static void a3_read_id_tells_the_cylinder_and_not_the_track(void **state)
{
    static const uint8_t tracks[] = {0, 2, 60, 78, 3, 79, 80, 200};
    struct qtest *q = start_360(state);

    if (qtest_is_qemu(q))
        skip();
    for (unsigned i = 0; i < sizeof(tracks); i++) {
        uint8_t got[7];

        seek(q, tracks[i]);
        command(q, 0x4A, 0);
        qtest_clock_step(q, 10 * MS);
        result(q, got, 7);
        if (tracks[i] % 2 || tracks[i] >= 80) {
            assert_int_equal(got[0], 0x40);
            assert_int_equal(got[1], 0x01); /* no address mark between the cylinders */
        } else {
            assert_memory_equal(got, ((uint8_t[]){0, 0, 0, tracks[i] / 2, 0, 1, 2}), 7);
        }
    }
}

static void format_360(struct qtest *q, uint8_t track, uint8_t c, uint8_t st0)
{
    uint8_t ids[9][4], got[7];

    for (unsigned r = 0; r < 9; r++)
        memcpy(ids[r], (uint8_t[]){c, 0, r + 1, 2}, 4);
    qtest_memwrite(q, BUFFER, ids, sizeof(ids));
    seek(q, track);
    dma(q, 0x48, BUFFER, sizeof(ids));
    command(q, 0x4D, 0, 2, 9, 0x50, 0xF6);
    result(q, got, 7);
    assert_int_equal(got[0], st0);
}

static void assert_formatted(int64_t lba, bool formatted)
{
    uint8_t got[SECTOR];
    int fd = open(image, O_RDONLY);

    assert_int_equal(pread(fd, got, SECTOR, lba * SECTOR), SECTOR);
    close(fd);
    if (!formatted)
        return assert_sector(got, lba);
    for (int i = 0; i < SECTOR; i++)
        assert_int_equal(got[i], 0xF6);
}

static void a3_format_writes_the_cylinder_under_the_head(void **state)
{
    struct qtest *q = start_360(state);

    if (qtest_is_qemu(q))
        skip();
    format_360(q, 62, 0x1F, 0);
    for (unsigned lba = 557; lba < 568; lba++)
        assert_formatted(lba, lba >= 558 && lba < 567);
    format_360(q, 20, 10, 0);
    assert_formatted(180, true);
    format_360(q, 20, 20, 0x40);
    assert_formatted(360, false);
    format_360(q, 21, 10, 0x40);
    format_360(q, 21, 21, 0x40);
}

/* A driver that doubles its steps, and one that leaves them to the controller. */
static void a3_reads_leave_the_head_on_the_cylinders_track(void **state)
{
    struct qtest *q = start_360(state);

    if (qtest_is_qemu(q))
        skip();
    seek(q, 60);
    dma(q, 0x44, BUFFER, SECTOR);
    transfer(q, READ, 30, 0, 1, 9);
    assert_result(q, 0, 0, 0, 30, 0, 2, 2); /* it was there: no implied seek */
    assert_memory_sectors(q, BUFFER, 540, 1);
    dma(q, 0x44, BUFFER, SECTOR);
    transfer(q, READ, 12, 0, 1, 9);
    assert_result(q, 0x20, 0, 0, 12, 0, 2, 2);
    assert_memory_sectors(q, BUFFER, 216, 1);
    command(q, 0x4A, 0);
    qtest_clock_step(q, 10 * MS);
    assert_result(q, 0, 0, 0, 12, 0, 1, 2);
}

/* ---- A4: status and interrupt around a seek ---- */

static void a4_a_seeking_drive_is_busy_until_sensed(void **state)
{
    static const struct {
        uint8_t command[3], length, msr;
    } cases[] = {{{0x0F, 0, 20}, 3, 0x81},
                 {{0x07, 0}, 2, 0x81},
                 {{0x0F, 1, 20}, 3, 0x82},
                 {{0x07, 1}, 2, 0x82},
                 {{0xCF, 1, 2}, 3, 0x82}};
    struct qtest *q = start_with(state, IMAGE_144, " -drive if=floppy,index=1");

    if (qtest_is_qemu(q))
        skip();
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t got[2];

        send(q, cases[i].command, cases[i].length);
        assert_int_equal(qtest_inb(q, MSR), cases[i].msr);
        command(q, 0x04, 0);
        assert_int_equal(qtest_inb(q, MSR), 0xD0 | cases[i].msr);
        qtest_inb(q, FIFO);
        assert_int_equal(qtest_inb(q, MSR), cases[i].msr);
        command(q, 0x08);
        result(q, got, 2);
        assert_int_equal(qtest_inb(q, MSR), 0x80);
    }
    command(q, 0x0F, 0, 1);
    reset_by_dor(q);
    assert_int_equal(qtest_inb(q, MSR), 0x80);
}

static void a4_a_command_takes_the_seeks_interrupt_down(void **state)
{
    struct qtest *q = start(state);
    unsigned before;

    if (qtest_is_qemu(q))
        skip();
    command(q, 0x0F, 0, 5);
    assert_true(qtest_irq(q, IRQ));
    dma(q, 0x44, BUFFER, SECTOR);
    before = qtest_irq_raised(q, IRQ);
    qtest_outb(q, FIFO, READ);
    assert_false(qtest_irq(q, IRQ));
    for (unsigned i = 0; i < 8; i++)
        qtest_outb(q, FIFO, ((uint8_t[]){0, 5, 0, 1, 2, 18, 0x1B, 0xFF})[i]);
    assert_int_equal(wait_msr(q), 0xD1);
    assert_int_equal(qtest_irq_raised(q, IRQ), before + 1);
    assert_result(q, 0, 0, 0, 5, 0, 2, 2);
    command(q, 0x08); /* what was not told is told still */
    assert_result(q, 0x20, 5);
}

/* DMAGATE keeps the requests in the chip: nobody takes the bytes. */
static void a4_dma_behind_a_closed_gate_is_an_overrun(void **state)
{
    struct qtest *q = start(state);

    if (qtest_is_qemu(q))
        skip();
    for (unsigned i = 0; i < 3; i++) {
        static const uint8_t opcodes[] = {READ, WRITE, 0x51};

        dma(q, i ? 0x48 : 0x44, BUFFER, SECTOR);
        qtest_outb(q, DOR, 0x04);
        transfer(q, opcodes[i], 0, 0, 1, 18);
        assert_int_equal(wait_msr(q), 0xD0);
        assert_int_equal(qtest_inb(q, FIFO), 0x40);
        assert_int_equal(qtest_inb(q, FIFO), 0x10);
        for (unsigned more = 0; more < 5; more++)
            qtest_inb(q, FIFO);
        assert_int_equal(dma_left(q), SECTOR);
        qtest_outb(q, DOR, 0x0C);
    }
    qtest_outb(q, DOR, 0x04);
    command(q, 0x4D, 0, 2, 18, 0x54, 0xF6);
    assert_int_equal(wait_msr(q), 0xD0);
    assert_int_equal(qtest_inb(q, FIFO), 0x40);
    assert_int_equal(qtest_inb(q, FIFO), 0x10);
    assert_formatted(0, false);
}

/* ---- media, again ---- */

static void read_only_media(void **state)
{
    struct qtest *q = start_with(state, IMAGE_144, ",readonly=on");

    command(q, 0x04, 0);
    assert_result(q, 0x78);
    dma(q, 0x48, BUFFER, SECTOR);
    transfer(q, WRITE, 0, 0, 1, 18);
    if (qtest_is_qemu(q))
        skip();
    assert_result(q, 0x40, 0x02, 0, 0, 0, 1, 2);
    command(q, 0x4D, 0, 2, 18, 0x54, 0xF6);
    assert_result(q, 0x40, 0x02, 0, 0, 0, 0, 2);
    dma(q, 0x44, BUFFER, SECTOR);
    transfer(q, READ, 0, 0, 1, 18);
    assert_result(q, 0, 0, 0, 0, 0, 2, 2);
}

static void an_empty_drive_fails_what_needs_a_medium(void **state)
{
    static const uint8_t opcodes[] = {0x46, 0x45, 0x4C, 0x49, 0x42, 0x56, 0x51, 0x59, 0x5D};
    struct qtest *q = start_empty(state);
    uint8_t got[7];

    for (unsigned i = 0; i < sizeof(opcodes); i++)
        for (uint8_t nd = 0; nd < 2; nd++) {
            if (qtest_is_qemu(q) && (opcodes[i] & 0x1F) != 6)
                continue;
            command(q, 0x03, 0xDF, nd);
            dma(q, 0x44, BUFFER, SECTOR);
            transfer(q, opcodes[i], 0, 0, 1, 1);
            result(q, got, 7);
            assert_int_equal(got[0], 0x40);
        }
    if (qtest_is_qemu(q))
        skip();
    command(q, 0x4D, 0, 2, 18, 0x54, 0xF6);
    result(q, got, 7);
    assert_int_equal(got[0], 0x40);
    command(q, 0x4A, 0);
    qtest_clock_step(q, 20 * MS);
    result(q, got, 7);
    assert_int_equal(got[0], 0x40);
}

static void disk_change_needs_a_step_and_a_medium(void **state)
{
    struct qtest *q = start_empty(state);
    const char *path = qtest_temp_file("img", IMAGE_144);

    assert_int_equal(qtest_inb(q, DIR) & 0x80, 0x80);
    seek(q, 1);
    assert_int_equal(qtest_inb(q, DIR) & 0x80, 0x80);
    json_decref(qtest_qmp_ok(q,
                             "{'execute': 'blockdev-change-medium', 'arguments': {'device': 'fd0', "
                             "'filename': '%s', 'format': 'raw'}}",
                             path));
    assert_int_equal(qtest_inb(q, DIR) & 0x80, 0x80);
    seek(q, 1); /* no step */
    assert_int_equal(qtest_inb(q, DIR) & 0x80, 0x80);
    seek(q, 0);
    assert_int_equal(qtest_inb(q, DIR) & 0x80, 0);
    json_decref(qtest_qmp_ok(q, "{'execute': 'eject', 'arguments': {'device': 'fd0', 'force': true}}"));
    assert_int_equal(qtest_inb(q, DIR) & 0x80, 0x80);
    seek(q, 2);
    assert_int_equal(qtest_inb(q, DIR) & 0x80, 0x80);
}

static void two_drives(void **state)
{
    const char *second = qtest_temp_file("b.img", 737280);
    char more[300];
    struct qtest *q;

    fill_image(second, 737280);
    snprintf(more, sizeof(more), " -drive file=%s,if=floppy,format=raw,index=1", second);
    q = start_with(state, IMAGE_144, more);
    qtest_outb(q, DOR, 0x2D);
    qtest_outb(q, CCR, 2);
    dma(q, 0x44, BUFFER, SECTOR);
    command(q, READ, 1, 0, 0, 9, 2, 9, 0x1B, 0xFF);
    assert_int_equal(wait_msr(q), 0xD0);
    assert_int_equal(qtest_inb(q, FIFO) & ~0x20, 1);
    assert_memory_sectors(q, BUFFER, 8, 1);
    if (qtest_is_qemu(q))
        skip();
    for (int i = 0; i < 6; i++)
        qtest_inb(q, FIFO);
    qtest_outb(q, 0x70, 0x10); /* what the BIOS is told: two 1.44 MB drives */
    assert_int_equal(qtest_inb(q, 0x71), 0x44);
    qtest_outb(q, 0x70, 0x14);
    assert_int_equal(qtest_inb(q, 0x71) & 0xC1, 0x41);
}

static void no_drive(void **state)
{
    struct qtest *q = *state = qtest_start("-nodefaults -vga none");
    uint8_t got[7];

    if (qtest_is_qemu(q))
        skip();
    command(q, 0x04, 0);
    assert_result(q, 0x28);
    command(q, 0x07, 0);
    command(q, 0x08);
    assert_result(q, 0x70, 0);
    transfer(q, READ, 0, 0, 1, 18);
    result(q, got, 7);
    assert_int_equal(got[0] & 0xC0, 0x40);
    qtest_outb(q, 0x70, 0x10);
    assert_int_equal(qtest_inb(q, 0x71), 0);
}

static void an_image_smaller_than_its_format(void **state)
{
    struct qtest *q = start_with(state, 512, "");

    if (qtest_is_qemu(q))
        skip();
    dma(q, 0x44, BUFFER, 2 * SECTOR);
    qtest_memset(q, BUFFER, 0xEE, 2 * SECTOR);
    transfer(q, READ, 0, 0, 1, 18);
    assert_result(q, 0, 0, 0, 0, 0, 3, 2);
    assert_memory_sectors(q, BUFFER, 0, 1);
    assert_int_equal(qtest_readl(q, BUFFER + SECTOR), 0);
    dma(q, 0x48, BUFFER, SECTOR);
    transfer(q, WRITE, 0, 0, 2, 18);
    assert_result(q, 0x40, 0x20, 0x20, 0, 0, 2, 2);
}

/* ---- what must not happen ---- */

/* CVE-2015-3456: however many bytes a guest pours into a command, the FIFO's index stays in the FIFO. */
static void cve_2015_3456_venom(void **state)
{
    static const uint8_t opcodes[] = {0x0A, 0x4A, 0x8E, 0xCE, 0x18, 0x33, 0x2E, 0x4E, 0x17, 0xEF, 0x01, 0x1F};
    struct qtest *q = start(state);

    for (unsigned i = 0; i < sizeof(opcodes); i++) {
        qtest_outb(q, FIFO, opcodes[i]);
        for (int n = 0; n < 3000; n++)
            qtest_outb(q, FIFO, n & 0x7F);
        for (int n = 0; n < 50; n++)
            qtest_inb(q, FIFO);
        qtest_outb(q, DOR, 0);
        qtest_outb(q, DOR, 0x0C);
    }
    command(q, 0x10);
    assert_result(q, 0x90);
}

/* CVE-2021-3507: sector sizes and DMA lengths beyond the buffer. */
static void cve_2021_3507_long_sectors(void **state)
{
    struct qtest *q = start(state);

    for (unsigned n = 0; n < 256; n += n < 16 ? 1 : 17)
        for (uint8_t opcode = 0x45; opcode <= 0x46; opcode++) {
            dma(q, opcode == READ ? 0x44 : 0x48, BUFFER, 0xFFFF);
            command(q, opcode, 0, 0, 0, 1, n, 18, 0x1B, 0xFF);
            for (int i = 0; i < 100 && !(qtest_inb(q, MSR) & 0x80); i++)
                usleep(100);
            reset_by_dor(q);
        }
    command(q, 0x10);
    assert_result(q, 0x90);
}

/* CVE-2021-20196: registers of a drive that has no medium, or is not there. */
static void cve_2021_20196_registers_without_a_medium(void **state)
{
    struct qtest *q = start_empty(state);

    for (unsigned drive = 0; drive < 4; drive++) {
        qtest_outb(q, DOR, 0xF4 | drive);
        qtest_outb(q, FIFO, 0x04);
        qtest_outb(q, FIFO, drive);
        for (unsigned port = 0x3F0; port < 0x3F8; port++)
            if (port != 0x3F6)
                qtest_inb(q, port);
        for (unsigned byte = 0; byte < 9; byte++)
            qtest_outb(q, FIFO, byte ? drive : 0x46);
        for (unsigned n = 0; n < 600; n++)
            qtest_inb(q, FIFO);
        qtest_outb(q, DOR, 0);
        qtest_outb(q, DOR, 0x0C);
    }
}

static void a_reset_cancels_what_is_in_flight(void **state)
{
    struct qtest *q = start(state);

    if (qtest_is_qemu(q))
        skip();
    for (int i = 0; i < 200; i++) {
        static const uint8_t bytes[] = {READ, 0, 0, 0, 1, 2, 18, 0x1B};
        static const char rest[] = "outb 0x3f5 0xff\noutb 0x3f2 0x08\noutb 0x3f2 0x0c\n";

        dma(q, 0x44, BUFFER, SECTOR);
        send(q, bytes, sizeof(bytes));
        qtest_send(q, rest, sizeof(rest) - 1); /* at once, so that the sector has no time to come */
        for (int answer = 0; answer < 3; answer++)
            qtest_answer(q);
        for (int drive = 0; drive < 4; drive++) {
            command(q, 0x08);
            assert_int_equal(qtest_inb(q, FIFO), 0xC0 | drive);
            qtest_inb(q, FIFO);
        }
        assert_int_equal(qtest_inb(q, MSR), 0x80);
        assert_false(qtest_irq(q, IRQ));
    }
    qtest_barrier(q);
    assert_int_equal(qtest_inb(q, MSR), 0x80);
    command(q, 0x4A, 0);
    reset_by_dor(q);
    qtest_clock_step(q, 100 * MS);
    assert_int_equal(qtest_inb(q, MSR), 0x80);
}

static void a_medium_goes_in_mid_transfer(void **state)
{
    struct qtest *q = start(state);
    uint8_t got[7];

    if (qtest_is_qemu(q))
        skip();
    non_dma(q);
    transfer(q, READ, 0, 0, 1, 18);
    for (int i = 0; i < 100; i++) {
        wait_msr(q);
        qtest_inb(q, FIFO);
    }
    json_decref(qtest_qmp_ok(q, "{'execute': 'eject', 'arguments': {'device': 'fd0', 'force': true}}"));
    for (int i = 100; i < SECTOR; i++)
        qtest_inb(q, FIFO);
    result(q, got, 7);
    assert_int_equal(got[0], 0x40);
}

static void random_registers(void **state)
{
    struct qtest *q = start(state);
    unsigned seed = 99;

    if (qtest_is_qemu(q))
        skip();
    for (int i = 0; i < 20000; i++) {
        unsigned port = 0x3F2 + rand_r(&seed) % 6;

        if (port == 0x3F6)
            port = FIFO;
        if (rand_r(&seed) % 3)
            qtest_outb(q, port, rand_r(&seed) & (port == DSR ? 0x03 : port == DOR ? 0x3F : 0xFF));
        else
            qtest_inb(q, port);
        if (i % 100 == 0) {
            dma(q, 0x40 | (rand_r(&seed) & 0x3C), BUFFER, rand_r(&seed));
            qtest_clock_step(q, 5 * MS);
        }
    }
    reset_by_dor(q);
    command(q, 0x10);
    assert_result(q, 0x90);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        qtest_unit_test(idle_state),
        qtest_unit_test(reset_gives_four_interrupt_states),
        qtest_unit_test(identity),
        qtest_unit_test(linux_probe),
        qtest_unit_test(registers_dump),
        qtest_unit_test(seeks_and_their_interrupts),
        qtest_unit_test(relative_seeks),
        qtest_unit_test(drive_status),
        qtest_unit_test(read_id),
        qtest_unit_test(dmagate_holds_the_interrupt),
        qtest_unit_test(read_one_sector_by_dma),
        qtest_unit_test(read_a_cylinder_by_dma),
        qtest_unit_test(result_ids),
        qtest_unit_test(the_end_of_the_cylinder_without_terminal_count),
        qtest_unit_test(terminal_count_within_a_sector),
        qtest_unit_test(write_by_dma),
        qtest_unit_test(write_of_part_of_a_sector_fills_with_zeroes),
        qtest_unit_test(dma_that_is_programmed_late),
        qtest_unit_test(dma_modes),
        qtest_unit_test(dma_to_what_is_no_ram_loses_the_data),
        qtest_unit_test(read_by_pio),
        qtest_unit_test(pio_raises_the_interrupt_for_every_sector),
        qtest_unit_test(a_pio_count_beyond_the_track_goes_on_at_the_next),
        qtest_unit_test(write_by_pio),
        qtest_unit_test(a3_read_id_tells_the_cylinder_and_not_the_track),
        qtest_unit_test(a3_format_writes_the_cylinder_under_the_head),
        qtest_unit_test(a3_reads_leave_the_head_on_the_cylinders_track),
        qtest_unit_test(a4_a_seeking_drive_is_busy_until_sensed),
        qtest_unit_test(a4_a_command_takes_the_seeks_interrupt_down),
        qtest_unit_test(a4_dma_behind_a_closed_gate_is_an_overrun),
        qtest_unit_test(verify),
        qtest_unit_test(format_a_track),
        qtest_unit_test(read_track),
        qtest_unit_test(deleted_data),
        qtest_unit_test(scans),
        qtest_unit_test(sectors_that_are_not_there),
        qtest_unit_test(the_wrong_data_rate_finds_no_address_mark),
        qtest_unit_test(formats_by_size),
        qtest_unit_test(read_only_media),
        qtest_unit_test(an_empty_drive_fails_what_needs_a_medium),
        qtest_unit_test(disk_change_needs_a_step_and_a_medium),
        qtest_unit_test(two_drives),
        qtest_unit_test(no_drive),
        qtest_unit_test(an_image_smaller_than_its_format),
        qtest_unit_test(cve_2015_3456_venom),
        qtest_unit_test(cve_2021_3507_long_sectors),
        qtest_unit_test(cve_2021_20196_registers_without_a_medium),
        qtest_unit_test(a_reset_cancels_what_is_in_flight),
        qtest_unit_test(a_medium_goes_in_mid_transfer),
        qtest_unit_test(random_registers),
    };

    return cmocka_run_group_tests_name("isa-fdc", tests, NULL, NULL);
}
