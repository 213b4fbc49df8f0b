/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The longest that one access holds the machine, by kind: the worst that registers can ask for (base/work.h).
 * The test port's `work` tells the processor's time of the longest piece; QEMU has no such question.
 */
#include <math.h>
#include <stdio.h>

#include "bench/tables.h"
#include "tests/lib/qpci.h"
#include "tests/lib/qtest.h"

enum hold { BLIT, BLITS, CLEAR, MAPPINGS, FIRMWARE };

static void cirrus_blit(struct qtest *q)
{
    /* 8192 by 2048 bytes without a pitch, expanded */
    static const uint8_t registers[] = {0xFF, 0x1F, 0xFF, 0x07, 0, 0, 0,    0, 0,   0,
                                        0,    0,    0,    0x40, 0, 0, 0x80, 0, 0x0D};

    qtest_outw(q, 0x3C4, 0x1206);
    for (unsigned i = 0; i < sizeof(registers); i++)
        qtest_outw(q, 0x3CE, (0x20 + i) | registers[i] << 8);
}

static void dispi(struct qtest *q, uint16_t index, uint16_t value)
{
    qtest_outw(q, 0x1CE, index);
    qtest_outw(q, 0x1CF, value);
}

static void worst_access(struct qtest *q, enum hold hold)
{
    static const uint8_t dma[16] = {0, 0, 0, 0x0A, 0x00, 0xFF, 0xFF, 0xF0, 0, 0, 0, 0, 0x02, 0, 0, 0};

    switch (hold) {
    case BLIT:
    case BLITS:
        cirrus_blit(q);
        qtest_outb(q, 0x3CE, 0x31);
        qtest_command(q, "outs 0x3cf 1 %d 0x02", hold == BLIT ? 1 : 8);
        break;
    case CLEAR:
        dispi(q, 1, 8192);
        dispi(q, 2, 8192);
        dispi(q, 3, 32);
        dispi(q, 4, 0x41);
        break;
    case MAPPINGS:
        qtest_outl(q, 0xCF8, 0x80001010);
        qtest_command(q, "outs 0xcfc 4 4096 0xe0000000");
        break;
    default:
        qtest_memwrite(q, 0x10000, dma, sizeof(dma));
        qtest_outl(q, 0x514, 0);
        qtest_outl(q, 0x518, __builtin_bswap32(0x10000));
    }
}

static double longest_hold(const struct subject *subject, int hold)
{
    unsigned long units, pieces;
    long ns, worked;

    if (subject->peer)
        return NAN;
    struct qtest *q =
        qtest_start_program(subject->program, hold == CLEAR ? "-m 64 -nodefaults -device VGA,vgamem_mb=256"
                                                            : "-m 64 -nodefaults -vga cirrus");
    qtest_command(q, "work");
    worst_access(q, hold);
    if (sscanf(qtest_command(q, "work"), "OK %lu %lu %ld %ld", &units, &pieces, &ns, &worked) != 4)
        worked = 0;
    qtest_stop(q);
    return worked ? worked / 1e6 : NAN;
}

#define HOLD(kind, what)                                                                                     \
    {                                                                                                        \
        .name = "longest hold: " what, .unit = "ms", .runs = 5, .aim = 2, .measure = longest_hold,           \
        .arg = kind                                                                                          \
    }

static const struct row rows[] = {
    HOLD(BLIT, "Cirrus blit of 16 M pixels without a pitch"),
    HOLD(BLITS, "rep outsb of such blits"),
    HOLD(CLEAR, "256 MiB of video memory cleared"),
    HOLD(MAPPINGS, "rep outsd to a BAR"),
    HOLD(FIRMWARE, "16 MiB of firmware DMA"),
};

const struct row_table hold_rows = {"Holds of the machine", rows, sizeof(rows) / sizeof(rows[0])};
