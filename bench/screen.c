/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows of the screen as a VNC viewer sees it: the guest's part is played over the test port. */
#include "bench/tables.h"

#include <stdio.h>
#include <string.h>

#include "bench/measure.h"
#include "bench/viewer.h"
#include "tests/lib/qpci.h"

#define TEXT        0xB8000ull
#define COLUMNS     80
#define LINES       25
#define CELL_HEIGHT 16
#define SEEN_LIMIT  10.0 /* s until a change must be seen */

enum { WIDTH = 800, HEIGHT = 600 };

struct screen {
    struct qtest *q;
    struct viewer *viewer;
};

/* Mode 3 of the VGA BIOS: 80 x 25 text at 720 x 400 (IBM VGA technical reference), with the cursor off. */
static void set_text_mode(struct qtest *q)
{
    static const uint8_t sequencer[5] = {0x03, 0x00, 0x03, 0x00, 0x02};
    static const uint8_t crtc[25] = {0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81, 0xBF, 0x1F, 0x00,
                                     0x4F, 0x2D, 0x0E, 0x00, 0x00, 0x00, 0x00, 0x9C, 0x0E,
                                     0x8F, 0x28, 0x1F, 0x96, 0xB9, 0xA3, 0xFF};
    static const uint8_t graphics[9] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0E, 0x00, 0xFF};
    static const uint8_t attribute[21] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3A,
                                          0x3B, 0x3C, 0x3D, 0x3E, 0x3F, 0x04, 0x00, 0x0F, 0x08, 0x00};
    uint8_t font[256 * 32];

    qtest_outb(q, 0x3C2, 0x67);
    for (unsigned i = 0; i < sizeof(sequencer); i++)
        qtest_outw(q, 0x3C4, sequencer[i] << 8 | i);
    qtest_outw(q, 0x3D4, 0x0E11); /* registers 0 to 7 open */
    for (unsigned i = 0; i < sizeof(crtc); i++)
        qtest_outw(q, 0x3D4, crtc[i] << 8 | i);
    for (unsigned i = 0; i < sizeof(graphics); i++)
        qtest_outw(q, 0x3CE, graphics[i] << 8 | i);
    qtest_inb(q, 0x3DA);
    for (unsigned i = 0; i < sizeof(attribute); i++) {
        qtest_outb(q, 0x3C0, i);
        qtest_outb(q, 0x3C0, attribute[i]);
    }
    qtest_outb(q, 0x3C6, 0xFF);
    qtest_outb(q, 0x3C8, 0);
    for (unsigned i = 0; i < 64; i++) {
        qtest_outb(q, 0x3C9, (i & 4 ? 42 : 0) + (i & 0x20 ? 21 : 0));
        qtest_outb(q, 0x3C9, (i & 2 ? 42 : 0) + (i & 0x10 ? 21 : 0));
        qtest_outb(q, 0x3C9, (i & 1 ? 42 : 0) + (i & 0x08 ? 21 : 0));
    }
    /* A font in plane 2: character 0 is blank, the others are stripes. */
    for (unsigned i = 0; i < sizeof(font); i++)
        font[i] = i < 32 ? 0 : (i / 32) * 37 + i * 11;
    qtest_outw(q, 0x3C4, 0x0402);
    qtest_outw(q, 0x3C4, 0x0704);
    qtest_outw(q, 0x3CE, 0x0005);
    qtest_outw(q, 0x3CE, 0x0406);
    qtest_memwrite(q, 0xA0000, font, sizeof(font));
    qtest_outw(q, 0x3C4, 0x0302);
    qtest_outw(q, 0x3C4, 0x0204);
    qtest_outw(q, 0x3CE, 0x1005);
    qtest_outw(q, 0x3CE, 0x0E06);
    qtest_memset(q, TEXT, 0, COLUMNS * LINES * 2);
    qtest_inb(q, 0x3DA);
    qtest_outb(q, 0x3C0, 0x20);
}

/* 800 x 600 x 32 through the Bochs VBE registers; returns the frame buffer's address. */
static uint64_t set_graphics_mode(struct qtest *q)
{
    static const uint16_t registers[][2] = {{4, 0}, {1, WIDTH}, {2, HEIGHT}, {3, 32}, {4, 0x41}};
    struct qpci vga = qpci_get(q, 0x1234, 0x1111);
    uint64_t frame_buffer = qpci_map(&vga, 0);

    qpci_enable(&vga);
    for (unsigned i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
        qtest_outw(q, 0x1CE, registers[i][0]);
        qtest_outw(q, 0x1CF, registers[i][1]);
    }
    qtest_inb(q, 0x3DA);
    qtest_outb(q, 0x3C0, 0x20);
    return frame_buffer;
}

static struct screen start_screen(const struct subject *subject)
{
    struct screen s;
    char args[128];
    int port = viewer_free_port();

    snprintf(args, sizeof(args), "-m 128 -nodefaults -vga std -vnc 127.0.0.1:%d", port - 5900);
    s.q = qtest_start_program(subject->program, args);
    s.viewer = viewer_open(s.q, port);
    return s;
}

static void stop_screen(struct screen *s)
{
    viewer_close(s->viewer);
    qtest_stop(s->q);
}

static void show_text(struct screen *s)
{
    set_text_mode(s->q);
    if (!viewer_wait_size(s->viewer, 720, 400, SEEN_LIMIT))
        qtest_fail(s->q, "The viewer sees %u x %u instead of text at 720 x 400", viewer_width(s->viewer),
                   viewer_height(s->viewer));
    viewer_run(s->viewer, 0.5);
}

/* A character's background, blank character 0. */
static uint16_t blank(unsigned colour)
{
    return (colour & 7) << 12;
}

/* From the write of one character until the viewer has it, ms. */
static double change_after_quiet(const struct subject *subject, int seconds)
{
    struct screen s = start_screen(subject);

    show_text(&s);
    viewer_run(s.viewer, seconds);
    uint32_t old = viewer_pixel(s.viewer, 4, 4);
    int64_t start = measure_now();
    qtest_writew(s.q, TEXT, blank(4));
    if (!viewer_wait_pixel(s.viewer, 4, 4, old, SEEN_LIMIT))
        qtest_fail(s.q, "A changed character is never seen");
    double ms = (measure_now() - start) / 1e6;
    stop_screen(&s);
    return ms;
}

/* A viewer asks for everything while nothing changes, ms. */
static double refresh_of_quiet_screen(const struct subject *subject, int seconds)
{
    struct screen s = start_screen(subject);

    show_text(&s);
    viewer_run(s.viewer, seconds);
    int64_t start = measure_now();
    if (!viewer_refresh(s.viewer, SEEN_LIMIT))
        qtest_fail(s.q, "An update that was asked for never comes");
    double ms = (measure_now() - start) / 1e6;
    stop_screen(&s);
    return ms;
}

/* What a row of changes wants to know. */
enum result { CHANGES_A_SECOND, CPU_MS_A_CHANGE };

struct change {
    void (*make)(struct screen *s, unsigned n, uint64_t frame_buffer); /* the n-th change */
    unsigned x, y; /* a pixel that differs from change to change */
};

/* Makes a change, waits until the viewer has it, makes the next, for two seconds. */
static double changes(struct screen *s, const struct change *change, uint64_t frame_buffer,
                      enum result result)
{
    unsigned n = 0;
    int64_t cpu = measure_cpu(qtest_pid(s->q)), start = measure_now(), elapsed;

    do {
        uint32_t old = viewer_pixel(s->viewer, change->x, change->y);
        change->make(s, ++n, frame_buffer);
        if (!viewer_wait_pixel(s->viewer, change->x, change->y, old, SEEN_LIMIT))
            qtest_fail(s->q, "Change %u is never seen", n);
        elapsed = measure_now() - start;
    } while (elapsed < 2000000000);
    cpu = measure_cpu(qtest_pid(s->q)) - cpu;
    return result == CHANGES_A_SECOND ? n / (elapsed / 1e9) : cpu / 1e6 / n;
}

/* What a guest's console does: all lines move up by one and a new one comes. */
static void scroll_once(struct screen *s, unsigned n, uint64_t frame_buffer)
{
    uint16_t cells[LINES][COLUMNS];

    for (unsigned line = 0; line < LINES; line++)
        for (unsigned column = 0; column < COLUMNS; column++)
            cells[line][column] =
                column ? 0x0700 | (uint8_t)(((n + line) * 7 + column) | 1) : blank(n + line);
    qtest_memwrite(s->q, TEXT, cells, sizeof(cells));
}

static double text_scroll(const struct subject *subject, int result)
{
    static const struct change change = {scroll_once, 4, (LINES - 1) * CELL_HEIGHT + 4};
    struct screen s = start_screen(subject);

    show_text(&s);
    double value = changes(&s, &change, 0, result);
    stop_screen(&s);
    return value;
}

static void fill_once(struct screen *s, unsigned n, uint64_t frame_buffer)
{
    qtest_memset(s->q, frame_buffer, n * 16 + 8, WIDTH * HEIGHT * 4);
}

static double full_screen(const struct subject *subject, int result)
{
    static const struct change change = {fill_once, WIDTH - 1, HEIGHT - 1};
    struct screen s = start_screen(subject);
    uint64_t frame_buffer = set_graphics_mode(s.q);

    if (!viewer_wait_size(s.viewer, WIDTH, HEIGHT, SEEN_LIMIT))
        qtest_fail(s.q, "The viewer sees %u x %u instead of 800 x 600", viewer_width(s.viewer),
                   viewer_height(s.viewer));
    viewer_run(s.viewer, 0.5);
    double value = changes(&s, &change, frame_buffer, result);
    stop_screen(&s);
    return value;
}

static const struct row rows[] = {
    {.name = "screen change to the viewer, after 10 s of quiet",
     .unit = "ms",
     .runs = 3,
     .aim = 10,
     .measure = change_after_quiet,
     .arg = 10},
    {.name = "full update asked by a viewer of a quiet screen",
     .unit = "ms",
     .runs = 3,
     .aim = 10,
     .measure = refresh_of_quiet_screen,
     .arg = 3},
    {.name = "text scroll, each seen by the viewer before the next",
     .unit = "1/s",
     .more_is_better = true,
     .runs = 3,
     .measure = text_scroll,
     .arg = CHANGES_A_SECOND},
    {.name = "text scroll, CPU of one",
     .unit = "ms",
     .runs = 3,
     .measure = text_scroll,
     .arg = CPU_MS_A_CHANGE},
    {.name = "full-screen change (800 x 600 x 32), each seen",
     .unit = "1/s",
     .more_is_better = true,
     .runs = 3,
     .measure = full_screen,
     .arg = CHANGES_A_SECOND},
    {.name = "full-screen change, CPU of one",
     .unit = "ms",
     .runs = 3,
     .measure = full_screen,
     .arg = CPU_MS_A_CHANGE},
};

const struct row_table screen_rows = {"Screen over VNC", rows, sizeof(rows) / sizeof(rows[0])};
