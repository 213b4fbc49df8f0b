/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows of the board as a whole: start, memory, wake-ups, the test port, dispatch. */
#include "bench/tables.h"

#include <math.h>
#include <stdio.h>

#include "bench/measure.h"
#include "bench/viewer.h"
#include "machine/bus.h"
#include "tests/lib/qtest.h"

static double start_to_greeting(const struct subject *subject, int arg)
{
    struct qtest *q = qtest_start_program(subject->program, "-m 128 -nodefaults -vga cirrus");
    double ms = qtest_greeting_ns(q) / 1e6;

    qtest_stop(q);
    return ms;
}

/* What of it the processor worked: the same on a busy machine. */
static double start_cpu(const struct subject *subject, int arg)
{
    struct qtest *q = qtest_start_program(subject->program, "-m 128 -nodefaults -vga cirrus");
    double ms = measure_cpu(qtest_pid(q)) / 1e6;

    qtest_stop(q);
    return ms;
}

static double private_memory(const struct subject *subject, int arg)
{
    /* RAM; the cirrus' 4 MiB */
    static const uint64_t guest[] = {128 << 20, 4 << 20, 0};
    struct qtest *q = qtest_start_program(subject->program, "-m 128 -nodefaults -vga cirrus");

    measure_sleep(0.3);
    double mib = measure_private_dirty(qtest_pid(q), guest) / 1024.0;
    qtest_stop(q);
    return mib;
}

static double wakeups(const struct subject *subject, int seconds)
{
    int port = viewer_free_port();
    char args[128];

    snprintf(args, sizeof(args), "-m 128 -nodefaults -vga cirrus -vnc 127.0.0.1:%d", port - 5900);
    struct qtest *q = qtest_start_program(subject->program, args);
    struct viewer *viewer = viewer_open(q, port);
    viewer_run(viewer, 2);
    int64_t before = measure_wakeups(qtest_pid(q));
    viewer_run(viewer, seconds);
    double rate = (double)(measure_wakeups(qtest_pid(q)) - before) / seconds;
    viewer_close(viewer);
    qtest_stop(q);
    return rate;
}

static double port_access(const struct subject *subject, int count)
{
    struct qtest *q = qtest_start_program(subject->program, "-m 128 -nodefaults");

    for (int i = 0; i < count / 10; i++)
        qtest_inb(q, 0x71);
    int64_t start = measure_now();
    for (int i = 0; i < count; i++)
        qtest_inb(q, 0x71);
    double us = (measure_now() - start) / 1e3 / count;
    qtest_stop(q);
    return us;
}

/* One memset of the VGA's window is 64 Ki accesses in the process, and only one command outside of it. */
static double window_write(const struct subject *subject, int count)
{
    struct qtest *q = qtest_start_program(subject->program, "-m 128 -nodefaults -vga std");

    /* Planar, the 64 KiB window: every byte goes through the VGA's write logic to four planes. */
    qtest_outw(q, 0x3C4, 0x0604);
    qtest_outw(q, 0x3C4, 0x0F02);
    qtest_outw(q, 0x3CE, 0x0005);
    qtest_outw(q, 0x3CE, 0x0506);
    qtest_memset(q, 0xA0000, 1, 0x10000);
    int64_t start = measure_now();
    for (int i = 0; i < count; i++)
        qtest_memset(q, 0xA0000, i, 0x10000);
    double ns = (double)(measure_now() - start) / count / 0x10000;
    qtest_stop(q);
    return ns;
}

static uint64_t count_read(void *opaque, uint64_t offset, unsigned size)
{
    return ++*(uint64_t *)opaque;
}

/* The bus alone, in this process; QEMU offers no such door. */
static double dispatch(const struct subject *subject, int millions)
{
    enum { REGIONS = 32 };
    static const struct region_ops ops = {.read = count_read, .max_size = 1};
    struct region regions[REGIONS];
    struct bus bus;
    uint64_t reads = 0;

    if (subject->peer)
        return NAN;
    bus_init(&bus);
    for (unsigned i = 0; i < REGIONS; i++) {
        regions[i] = (struct region){.name = "port", .size = 8, .ops = &ops, .opaque = &reads};
        bus_map(&bus, SPACE_PORT, &regions[i], 0x100 + 16 * i);
    }
    int64_t start = measure_own_cpu();
    for (int i = 0; i < millions * 1000000; i++)
        bus_read(&bus, SPACE_PORT, 0x100 + 16 * (i % REGIONS), 1);
    double ns = (double)(measure_own_cpu() - start) / (millions * 1e6);
    bus_destroy(&bus);
    return ns;
}

static const struct row rows[] = {
    {.name = "start to QMP greeting", .unit = "ms", .runs = 15, .aim = 10, .measure = start_to_greeting},
    {.name = "start to QMP greeting, CPU", .unit = "ms", .runs = 15, .measure = start_cpu},
    {.name = "private dirty memory beyond guest RAM and VRAM",
     .unit = "MiB",
     .runs = 3,
     .aim = 5,
     .measure = private_memory},
    {.name = "wake-ups a second, quiet guest, a viewer",
     .unit = "1/s",
     .runs = 3,
     .measure = wakeups,
     .arg = 5},
    {.name = "one port access over the test port",
     .unit = "us",
     .runs = 7,
     .measure = port_access,
     .arg = 20000},
    {.name = "VGA planar window, one byte of a 64 KiB memset",
     .unit = "ns",
     .runs = 7,
     .measure = window_write,
     .arg = 20},
    {.name = "dispatch of one port access (the bus alone)",
     .unit = "ns",
     .runs = 7,
     .aim = 10,
     .measure = dispatch,
     .arg = 5},
};

const struct row_table board_rows = {"Board", rows, sizeof(rows) / sizeof(rows[0])};
