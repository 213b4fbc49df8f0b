/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VGA core on a machine of its own: registers and memory through the bus, pictures from the console's
 * surface, compared with what this test computes from the data sheet's rules.
 */
#include "hw/display/vga.h"

#include <stdlib.h>
#include <string.h>

#include "hw/backends.h"
#include "machine/machine.h"
#include "tests/lib/cmocka.h"

struct bench {
    struct machine m;
    struct backends backends;
    struct vga vga;
    struct console_view view;
    unsigned updates;
    int x0, y0, x1, y1; /* of all updates since forget() */
    enum vram_watch watch;
    bool coalescing;
    unsigned seed;
};

/* ---- an accelerator that notes what it is told ---- */

static struct bench *bench_of(struct machine *m)
{
    return (struct bench *)m;
}

static void watch_vram(struct machine *m, struct vram *vram, enum vram_watch watch)
{
    bench_of(m)->watch = watch;
}

static void coalesce(struct machine *m, struct region *region, bool on)
{
    assert_int_equal(region->size, 0x20000);
    bench_of(m)->coalescing = on;
}

static const struct accel_ops accel = {.name = "test", .watch_vram = watch_vram, .coalesce = coalesce};
static const struct vga_hooks no_hooks = {.port_write = NULL};

static void resized(struct console_view *view)
{
}

static void updated(struct console_view *view, int x, int y, int w, int h)
{
    struct bench *b = (struct bench *)((char *)view - offsetof(struct bench, view));

    if (!b->updates++) {
        b->x0 = x;
        b->y0 = y;
        b->x1 = x + w;
        b->y1 = y + h;
        return;
    }
    b->x0 = x < b->x0 ? x : b->x0;
    b->y0 = y < b->y0 ? y : b->y0;
    b->x1 = x + w > b->x1 ? x + w : b->x1;
    b->y1 = y + h > b->y1 ? y + h : b->y1;
}

static int setup(void **state)
{
    struct machine_config config = {.ram_size = 1 << 20, .cpus = 1, .max_cpus = 1};
    struct bench *b = calloc(1, sizeof(*b));
    struct error err = {0};

    assert_true(machine_init(&b->m, &config, &accel, CLOCK_MANUAL, &err));
    backends_init(&b->backends, &b->m);
    b->backends.console = console_new(&b->m.loop);
    assert_true(vga_init(&b->vga, &b->m, 1 << 20, &no_hooks, NULL, &err));
    b->view = (struct console_view){.resized = resized, .updated = updated};
    b->seed = 1;
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    vga_destroy(&b->vga);
    console_free(b->backends.console);
    machine_destroy(&b->m);
    free(b);
    return 0;
}

/* ---- the guest's side ---- */

static void out(struct bench *b, uint16_t port, uint8_t value)
{
    bus_write(&b->m.bus, SPACE_PORT, port, 1, value);
}

static uint8_t in(struct bench *b, uint16_t port)
{
    return bus_read(&b->m.bus, SPACE_PORT, port, 1);
}

static void out_index(struct bench *b, uint16_t port, uint8_t index, uint8_t value)
{
    bus_write(&b->m.bus, SPACE_PORT, port, 2, index | value << 8);
}

static uint8_t in_index(struct bench *b, uint16_t port, uint8_t index)
{
    out(b, port, index);
    return in(b, port + 1);
}

#define SEQ  0x3C4
#define GFX  0x3CE
#define CRTC 0x3D4

static void out_attribute(struct bench *b, uint8_t index, uint8_t value)
{
    in(b, in(b, 0x3CC) & 1 ? 0x3DA : 0x3BA);
    out(b, 0x3C0, index);
    out(b, 0x3C0, value);
    out(b, 0x3C0, 0x20);
}

static void poke(struct bench *b, uint32_t addr, uint8_t value)
{
    bus_write(&b->m.bus, SPACE_MEM, addr, 1, value);
}

static uint8_t peek(struct bench *b, uint32_t addr)
{
    return bus_read(&b->m.bus, SPACE_MEM, addr, 1);
}

static uint8_t rnd(struct bench *b)
{
    return rand_r(&b->seed) >> 8;
}

/* A mode as BIOSes set it: miscellaneous output, sequencer, CRTC, graphics, attributes. */
struct mode {
    uint8_t misc, sr[5], cr[25], gr[9], ar[21];
};

#define TEXT_COLOURS                                                                                         \
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3A, 0x3B, 0x3C, 0x3D, 0x3E, 0x3F

static const struct mode text80 = {
    0x67,
    {0x03, 0x00, 0x03, 0x00, 0x02},
    {0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81, 0xBF, 0x1F, 0x00, 0x4F, 0x0D, 0x0E, 0,
     0,    0,    0,    0x9C, 0x8E, 0x8F, 0x28, 0x1F, 0x96, 0xB9, 0xA3, 0xFF},
    {0, 0, 0, 0, 0, 0x10, 0x0E, 0x00, 0xFF},
    {TEXT_COLOURS, 0x0C, 0x00, 0x0F, 0x08, 0x00},
};
static const struct mode text40 = {
    0x67,
    {0x03, 0x08, 0x03, 0x00, 0x02},
    {0x2D, 0x27, 0x28, 0x90, 0x2B, 0xA0, 0xBF, 0x1F, 0x00, 0x4F, 0x0D, 0x0E, 0,
     0,    0,    0,    0x9C, 0x8E, 0x8F, 0x14, 0x1F, 0x96, 0xB9, 0xA3, 0xFF},
    {0, 0, 0, 0, 0, 0x10, 0x0E, 0x00, 0xFF},
    {TEXT_COLOURS, 0x0C, 0x00, 0x0F, 0x08, 0x00},
};
static const struct mode text_mono = {
    0x66,
    {0x03, 0x00, 0x03, 0x00, 0x02},
    {0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81, 0xBF, 0x1F, 0x00, 0x4F, 0x0D, 0x0E, 0,
     0,    0,    0,    0x9C, 0x8E, 0x8F, 0x28, 0x0D, 0x96, 0xB9, 0xA3, 0xFF},
    {0, 0, 0, 0, 0, 0x10, 0x0A, 0x00, 0xFF},
    {0x00, 0x08, 0x08, 0x08, 0x08, 0x08, 0x08, 0x08, 0x10, 0x18, 0x18,
     0x18, 0x18, 0x18, 0x18, 0x18, 0x0E, 0x00, 0x0F, 0x08, 0x00},
};
static const struct mode cga4 = {
    0x63,
    {0x03, 0x09, 0x03, 0x00, 0x02},
    {0x2D, 0x27, 0x28, 0x90, 0x2B, 0x80, 0xBF, 0x1F, 0x00, 0xC1, 0,    0,   0,
     0,    0,    0,    0x9C, 0x8E, 0x8F, 0x14, 0x00, 0x96, 0xB9, 0xA2, 0xFF},
    {0, 0, 0, 0, 0, 0x30, 0x0F, 0x0F, 0xFF},
    {0x00, 0x13, 0x15, 0x17, 0x02, 0x04, 0x06, 0x07, 0x10, 0x11, 0x12,
     0x13, 0x14, 0x15, 0x16, 0x17, 0x01, 0x00, 0x03, 0x00, 0x00},
};
static const struct mode cga2 = {
    0x63,
    {0x03, 0x01, 0x01, 0x00, 0x06},
    {0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0xBF, 0x1F, 0x00, 0xC1, 0,    0,   0,
     0,    0,    0,    0x9C, 0x8E, 0x8F, 0x28, 0x00, 0x96, 0xB9, 0xC2, 0xFF},
    {0, 0, 0, 0, 0, 0x00, 0x0D, 0x0F, 0xFF},
    {0x00, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17,
     0x17, 0x17, 0x17, 0x17, 0x17, 0x01, 0x00, 0x01, 0x00, 0x00},
};
static const struct mode ega320 = {
    0x63,
    {0x03, 0x09, 0x0F, 0x00, 0x06},
    {0x2D, 0x27, 0x28, 0x90, 0x2B, 0x80, 0xBF, 0x1F, 0x00, 0xC0, 0,    0,   0,
     0,    0,    0,    0x9C, 0x8E, 0x8F, 0x14, 0x00, 0x96, 0xB9, 0xE3, 0xFF},
    {0, 0, 0, 0, 0, 0x00, 0x05, 0x0F, 0xFF},
    {TEXT_COLOURS, 0x01, 0x00, 0x0F, 0x00, 0x00},
};
static const struct mode vga640 = {
    0xE3,
    {0x03, 0x01, 0x0F, 0x00, 0x06},
    {0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0x0B, 0x3E, 0x00, 0x40, 0,    0,   0,
     0,    0,    0,    0xEA, 0x8C, 0xDF, 0x28, 0x00, 0xE7, 0x04, 0xE3, 0xFF},
    {0, 0, 0, 0, 0, 0x00, 0x05, 0x0F, 0xFF},
    {TEXT_COLOURS, 0x01, 0x00, 0x0F, 0x00, 0x00},
};
static const struct mode mode13 = {
    0x63,
    {0x03, 0x01, 0x0F, 0x00, 0x0E},
    {0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0xBF, 0x1F, 0x00, 0x41, 0,    0,   0,
     0,    0,    0,    0x9C, 0x8E, 0x8F, 0x28, 0x40, 0x96, 0xB9, 0xA3, 0xFF},
    {0, 0, 0, 0, 0, 0x40, 0x05, 0x0F, 0xFF},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x41, 0x00, 0x0F, 0x00, 0x00},
};

/* Also gives every DAC entry a colour of its own. */
static void set_mode(struct bench *b, const struct mode *mode)
{
    uint16_t crtc = mode->misc & 1 ? 0x3D4 : 0x3B4;

    out(b, 0x3C2, mode->misc);
    for (int i = 0; i < 5; i++)
        out_index(b, SEQ, i, mode->sr[i]);
    out_index(b, crtc, 0x11, 0);
    for (int i = 0; i < 25; i++)
        out_index(b, crtc, i, mode->cr[i]);
    for (int i = 0; i < 9; i++)
        out_index(b, GFX, i, mode->gr[i]);
    for (int i = 0; i < 21; i++)
        out_attribute(b, i, mode->ar[i]);
    out(b, 0x3C8, 0);
    for (int i = 0; i < 256; i++) {
        out(b, 0x3C9, i & 0x3F);
        out(b, 0x3C9, (i * 7 + 3) & 0x3F);
        out(b, 0x3C9, (i >> 2) & 0x3F);
    }
}

static uint32_t six_to_eight(unsigned v)
{
    v &= 0x3F;
    return v << 2 | v >> 4;
}

/* The colour that set_mode gave a DAC entry. */
static uint32_t dac(unsigned i)
{
    return six_to_eight(i) << 16 | six_to_eight(i * 7 + 3) << 8 | six_to_eight(i >> 2);
}

/* ---- the picture ---- */

static uint32_t *surface(struct bench *b, int *width, int *height)
{
    pixman_image_t *image = console_surface(b->backends.console);

    *width = pixman_image_get_width(image);
    *height = pixman_image_get_height(image);
    assert_int_equal(pixman_image_get_stride(image), *width * 4);
    return pixman_image_get_data(image);
}

static void assert_size(struct bench *b, int width, int height)
{
    int w, h;

    surface(b, &w, &h);
    assert_int_equal(w, width);
    assert_int_equal(h, height);
}

/* Draws (everything, or with views what changed) and compares every pixel. */
static void assert_picture(struct bench *b, uint32_t (*expected)(void *opaque, int x, int y), void *opaque)
{
    int width, height;
    uint32_t *pixels;

    console_refresh(b->backends.console);
    pixels = surface(b, &width, &height);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint32_t is = pixels[y * width + x] & 0xFFFFFF, want = expected(opaque, x, y);

            if (is != want)
                fail_msg("pixel %d, %d is %06x, not %06x", x, y, is, want);
        }
}

static void forget(struct bench *b)
{
    b->updates = 0;
    b->x0 = b->y0 = b->x1 = b->y1 = 0;
}

/* ---- text ---- */

/* What the test wrote, and how it is to look. */
struct text {
    int columns, width, height, lines; /* of a character: dots and lines */
    int dot;                           /* screen dots a dot */
    uint8_t chars[64 * 1024], attrs[64 * 1024];
    uint8_t font[2][256][32];
    int start, pitch;
    int cursor, cursor_first, cursor_last; /* cursor -1: none */
    uint8_t palette[16];
    bool blink, line_graphics, mono;
    int split, pan, preset;
};

static uint32_t text_pixel(void *opaque, int x, int y)
{
    const struct text *t = opaque;
    bool below = y > t->split;
    int line = below ? y - t->split - 1 : y + t->preset, row = line / t->lines, scan = line % t->lines;
    int dot = x / t->dot + (below ? 0 : t->pan), column = dot / t->width, bit = dot % t->width;
    int cell = (below ? 0 : t->start) + row * t->pitch + column;
    uint8_t ch = t->chars[cell], attr = t->attrs[cell], bits = t->font[attr >> 3 & 1][ch][scan];
    bool on = bit < 8 ? bits >> (7 - bit) & 1 : t->line_graphics && (ch & 0xE0) == 0xC0 && (bits & 1);

    if (t->mono && (attr & 0x77) == 1 && scan == 13)
        on = true;
    if (cell == t->cursor && scan >= t->cursor_first && scan <= t->cursor_last)
        on = true;
    return dac(t->palette[on ? attr & 15 : attr >> 4 & (t->blink ? 7 : 15)]);
}

static void load_font(struct bench *b, struct text *t, int map, int font)
{
    static const uint16_t offsets[8] = {0x0000, 0x4000, 0x8000, 0xC000, 0x2000, 0x6000, 0xA000, 0xE000};

    out_index(b, SEQ, 2, 4);
    out_index(b, SEQ, 4, 7);
    out_index(b, GFX, 5, 0);
    out_index(b, GFX, 6, 4);
    for (int ch = 0; ch < 256; ch++)
        for (int scan = 0; scan < 32; scan++) {
            t->font[font][ch][scan] = rnd(b);
            poke(b, 0xA0000 + offsets[map] + ch * 32 + scan, t->font[font][ch][scan]);
        }
    if (font == 0)
        memcpy(t->font[1], t->font[0], sizeof(t->font[0]));
}

static void back_to_text(struct bench *b, const struct mode *mode)
{
    out_index(b, SEQ, 2, 3);
    out_index(b, SEQ, 4, 2);
    out_index(b, GFX, 5, 0x10);
    out_index(b, GFX, 6, mode->gr[6]);
}

static void write_cell(struct bench *b, struct text *t, int cell, uint8_t ch, uint8_t attr)
{
    uint32_t base = t->mono ? 0xB0000 : 0xB8000;

    t->chars[cell] = ch;
    t->attrs[cell] = attr;
    bus_write(&b->m.bus, SPACE_MEM, base + cell * 2, 2, ch | attr << 8);
}

static struct text *start_text(struct bench *b, const struct mode *mode)
{
    struct text *t = calloc(1, sizeof(*t));

    set_mode(b, mode);
    *t = (struct text){.columns = mode->cr[1] + 1, .width = 9, .lines = 16, .dot = mode == &text40 ? 2 : 1};
    t->pitch = t->columns;
    t->line_graphics = t->blink = true;
    t->mono = mode == &text_mono;
    t->cursor = 0;
    t->cursor_first = 13;
    t->cursor_last = 14;
    t->split = 1 << 20;
    memcpy(t->palette, mode->ar, 16);
    load_font(b, t, 0, 0);
    back_to_text(b, mode);
    for (int i = 0; i < 4000; i++)
        write_cell(b, t, i, rnd(b), rnd(b));
    return t;
}

static void text_80_columns(void **state)
{
    struct bench *b = *state;
    struct text *t = start_text(b, &text80);

    assert_picture(b, text_pixel, t);
    assert_size(b, 720, 400);
    free(t);
}

static void text_40_columns_has_wide_dots(void **state)
{
    struct bench *b = *state;
    struct text *t = start_text(b, &text40);

    assert_picture(b, text_pixel, t);
    assert_size(b, 720, 400);
    free(t);
}

static void text_mono_underlines_and_answers_at_3bx(void **state)
{
    struct bench *b = *state;
    struct text *t = start_text(b, &text_mono);

    t->blink = true;
    assert_picture(b, text_pixel, t);
    assert_int_equal(in_index(b, 0x3B4, 0x13), 0x28);
    out(b, 0x3B4, 0x13);
    assert_int_equal(in(b, 0x3D5), 0xFF); /* the colour ports are not there */
    free(t);
}

static void text_of_8_dots(void **state)
{
    struct bench *b = *state;
    struct text *t = start_text(b, &text80);

    out_index(b, SEQ, 1, 1);
    t->width = 8;
    assert_picture(b, text_pixel, t);
    assert_size(b, 640, 400);
    free(t);
}

static void text_without_blink_has_16_backgrounds(void **state)
{
    struct bench *b = *state;
    struct text *t = start_text(b, &text80);

    out_attribute(b, 0x10, 0x04);
    t->blink = false;
    assert_picture(b, text_pixel, t);
    out_attribute(b, 0x10, 0x00);
    t->line_graphics = false;
    assert_picture(b, text_pixel, t);
    free(t);
}

static void text_with_512_characters(void **state)
{
    static const uint8_t selects[8] = {0x00, 0x04, 0x08, 0x0C, 0x20, 0x24, 0x28, 0x2C};
    struct bench *b = *state;
    struct text *t = start_text(b, &text80);

    for (int map = 1; map < 8; map++) {
        load_font(b, t, map, 1);
        back_to_text(b, &text80);
        out_index(b, SEQ, 3, selects[map]);
        assert_picture(b, text_pixel, t);
    }
    free(t);
}

static void text_font_change_shows(void **state)
{
    struct bench *b = *state;
    struct text *t = start_text(b, &text80);

    console_add_view(b->backends.console, &b->view);
    assert_picture(b, text_pixel, t);
    load_font(b, t, 0, 0);
    back_to_text(b, &text80);
    assert_picture(b, text_pixel, t);
    console_remove_view(b->backends.console, &b->view);
    free(t);
}

static void text_cursor_moves_and_hides(void **state)
{
    struct bench *b = *state;
    struct text *t = start_text(b, &text80);

    console_add_view(b->backends.console, &b->view);
    assert_picture(b, text_pixel, t);
    forget(b);
    out_index(b, CRTC, 0x0F, 165);
    t->cursor = 165;
    assert_picture(b, text_pixel, t);
    assert_int_equal(b->updates, 2); /* where it was, where it is */
    out_index(b, CRTC, 0x0A, 2);
    out_index(b, CRTC, 0x0B, 5);
    t->cursor_first = 2;
    t->cursor_last = 5;
    assert_picture(b, text_pixel, t);
    out_index(b, CRTC, 0x0A, 0x22);
    t->cursor = -1;
    assert_picture(b, text_pixel, t);
    console_remove_view(b->backends.console, &b->view);
    free(t);
}

static void text_change_updates_one_cell(void **state)
{
    struct bench *b = *state;
    struct text *t = start_text(b, &text80);

    console_add_view(b->backends.console, &b->view);
    forget(b);
    write_cell(b, t, 3 * 80 + 10, 'x', 0x17);
    assert_picture(b, text_pixel, t);
    assert_int_equal(b->updates, 1);
    assert_int_equal(b->x0, 90);
    assert_int_equal(b->x1, 99);
    assert_int_equal(b->y0, 48);
    assert_int_equal(b->y1, 64);
    forget(b);
    write_cell(b, t, 3 * 80 + 10, 'x', 0x17); /* nothing new */
    console_refresh(b->backends.console);
    assert_int_equal(b->updates, 0);
    console_remove_view(b->backends.console, &b->view);
    free(t);
}

static void text_scrolls_splits_and_pans(void **state)
{
    struct bench *b = *state;
    struct text *t = start_text(b, &text80);

    for (int i = 4000; i < 8000; i++)
        write_cell(b, t, i, rnd(b), rnd(b));
    console_add_view(b->backends.console, &b->view);
    for (int start = 0; start < 3000; start += 487) {
        out_index(b, CRTC, 0x0C, start >> 8);
        out_index(b, CRTC, 0x0D, start & 0xFF);
        t->start = start;
        assert_picture(b, text_pixel, t);
    }
    out_index(b, CRTC, 0x18, 199); /* the lines from 200 on show the beginning */
    out_index(b, CRTC, 0x07, 0x0F);
    out_index(b, CRTC, 0x09, 0x0F);
    t->split = 199;
    assert_picture(b, text_pixel, t);
    out_index(b, CRTC, 0x08, 5);
    t->preset = 5;
    assert_picture(b, text_pixel, t);
    out_attribute(b, 0x10, 0x2C); /* no panning below the split */
    for (int pan = 0; pan <= 8; pan++) {
        out_attribute(b, 0x13, pan);
        t->pan = pan == 8 ? 0 : pan + 1;
        assert_picture(b, text_pixel, t);
    }
    console_remove_view(b->backends.console, &b->view);
    free(t);
}

/* ---- planar memory ---- */

/* The data sheet's write, bit by bit, on a memory of four planes. */
struct planes {
    uint8_t byte[4][0x10000], latch[4];
    uint8_t sr2, gr[9];
};

static void model_write(struct planes *p, uint32_t a, uint8_t value)
{
    uint8_t mode = p->gr[5] & 3, rotated = value >> (p->gr[3] & 7) | value << (8 - (p->gr[3] & 7));
    uint8_t mask = mode == 3 ? p->gr[8] & rotated : p->gr[8];

    for (int plane = 0; plane < 4; plane++) {
        uint8_t data, result;

        if (mode == 0)
            data = p->gr[1] >> plane & 1 ? (p->gr[0] >> plane & 1 ? 0xFF : 0) : rotated;
        else if (mode == 2)
            data = value >> plane & 1 ? 0xFF : 0;
        else
            data = p->gr[0] >> plane & 1 ? 0xFF : 0;
        switch (p->gr[3] >> 3 & 3) {
        case 1:
            data &= p->latch[plane];
            break;
        case 2:
            data |= p->latch[plane];
            break;
        case 3:
            data ^= p->latch[plane];
            break;
        }
        result = mode == 1 ? p->latch[plane] : (data & mask) | (p->latch[plane] & ~mask);
        if (p->sr2 >> plane & 1)
            p->byte[plane][a] = result;
    }
}

static uint8_t model_read(struct planes *p, uint32_t a)
{
    uint8_t result = 0;

    for (int plane = 0; plane < 4; plane++)
        p->latch[plane] = p->byte[plane][a];
    if (!(p->gr[5] & 8))
        return p->latch[p->gr[4] & 3];
    for (int bit = 0; bit < 8; bit++) {
        bool match = true;

        for (int plane = 0; plane < 4; plane++)
            if (p->gr[7] >> plane & 1)
                match &= (p->latch[plane] >> bit & 1) == (p->gr[2] >> plane & 1);
        result |= match << bit;
    }
    return result;
}

static void planar_reads_and_writes(void **state)
{
    struct bench *b = *state;
    struct planes *p = calloc(1, sizeof(*p));

    set_mode(b, &vga640);
    for (int i = 0; i < 20000; i++) {
        uint32_t a = (rnd(b) << 8 | rnd(b)) & 0x3FF;

        if (i % 4 == 0) {
            int index = rnd(b) % 9;

            if (index == 6) /* the memory map stays */
                continue;
            p->gr[index] = index == 5 ? rnd(b) & 0x0B : index < 3 ? rnd(b) & 15 : rnd(b);
            p->gr[3] &= 0x1F;
            p->sr2 = rnd(b) & 15;
            for (int k = 0; k < 9; k++)
                if (k != 6)
                    out_index(b, GFX, k, p->gr[k]);
            out_index(b, SEQ, 2, p->sr2);
        }
        if (rnd(b) & 1) {
            assert_int_equal(peek(b, 0xA0000 + a), model_read(p, a));
        } else {
            uint8_t value = rnd(b);

            poke(b, 0xA0000 + a, value);
            model_write(p, a, value);
        }
    }
    /* wide accesses are bytes in order */
    bus_write(&b->m.bus, SPACE_MEM, 0xA0100, 4, 0x44332211);
    for (int i = 0; i < 4; i++)
        model_write(p, 0x100 + i, 0x11 * (i + 1));
    for (int i = 0; i < 4; i++)
        assert_int_equal(peek(b, 0xA0100 + i), model_read(p, 0x100 + i));
    free(p);
}

static void odd_even_addresses_pick_planes(void **state)
{
    struct bench *b = *state;

    set_mode(b, &text80);
    bus_write(&b->m.bus, SPACE_MEM, 0xB8010, 4, 0x44332211);
    assert_int_equal(bus_read(&b->m.bus, SPACE_MEM, 0xB8010, 4), 0x44332211);
    out_index(b, SEQ, 4,
              6); /* now as planes: characters at even addresses of plane 0, attributes of plane 1 */
    out_index(b, GFX, 5, 0);
    out_index(b, GFX, 6, 0x0C);
    out_index(b, GFX, 4, 0);
    assert_int_equal(peek(b, 0xB8010), 0x11);
    assert_int_equal(peek(b, 0xB8012), 0x33);
    out_index(b, GFX, 4, 1);
    assert_int_equal(peek(b, 0xB8010), 0x22);
    assert_int_equal(peek(b, 0xB8012), 0x44);
}

static void memory_maps_leave_the_rest_alone(void **state)
{
    static const struct {
        uint8_t gr6;
        uint32_t from, to;
    } maps[] = {{0x01, 0xA0000, 0xBFFFF},
                {0x05, 0xA0000, 0xAFFFF},
                {0x09, 0xB0000, 0xB7FFF},
                {0x0D, 0xB8000, 0xBFFFF}};
    struct bench *b = *state;

    set_mode(b, &vga640);
    for (size_t i = 0; i < 4; i++) {
        out_index(b, GFX, 6, maps[i].gr6);
        for (uint32_t a = 0xA0000; a < 0xC0000; a += 0x7FFF) {
            bool inside = a >= maps[i].from && a <= maps[i].to;

            poke(b, a, 0x5A);
            assert_int_equal(peek(b, a), inside ? 0x5A : 0xFF);
        }
    }
    out(b, 0x3C2, 0xE1); /* memory disabled */
    assert_int_equal(peek(b, 0xB8000), 0xFF);
}

/* ---- graphics ---- */

/* Pixels as the test wrote them: colour numbers. */
struct graphics {
    int width, height; /* pixels */
    int dx, dy;        /* screen dots and lines a pixel */
    uint8_t pixel[480][640];
    uint8_t palette[256];
};

static uint32_t graphics_pixel(void *opaque, int x, int y)
{
    const struct graphics *g = opaque;

    return dac(g->palette[g->pixel[y / g->dy][x / g->dx]]);
}

static struct graphics *start_graphics(struct bench *b, const struct mode *mode, int width, int height,
                                       int dx, int dy, unsigned colours)
{
    struct graphics *g = calloc(1, sizeof(*g));

    set_mode(b, mode);
    *g = (struct graphics){.width = width, .height = height, .dx = dx, .dy = dy};
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            g->pixel[y][x] = rnd(b) % colours;
    for (int i = 0; i < 256; i++)
        g->palette[i] = colours > 16 ? i : mode->ar[i & 15 & mode->ar[0x12]];
    return g;
}

static void write_planes(struct bench *b, const struct graphics *g, int pitch)
{
    for (int plane = 0; plane < 4; plane++) {
        out_index(b, SEQ, 2, 1 << plane);
        for (int y = 0; y < g->height; y++)
            for (int x = 0; x < g->width; x += 8) {
                uint8_t bits = 0;

                for (int i = 0; i < 8; i++)
                    bits |= (g->pixel[y][x + i] >> plane & 1) << (7 - i);
                poke(b, 0xA0000 + y * pitch + x / 8, bits);
            }
    }
}

static void mode_12h(void **state)
{
    struct bench *b = *state;
    struct graphics *g = start_graphics(b, &vga640, 640, 480, 1, 1, 16);

    write_planes(b, g, 80);
    assert_picture(b, graphics_pixel, g);
    assert_size(b, 640, 480);
    free(g);
}

static void mode_0dh_has_wide_pixels_and_double_lines(void **state)
{
    struct bench *b = *state;
    struct graphics *g = start_graphics(b, &ega320, 320, 200, 2, 2, 16);

    write_planes(b, g, 40);
    assert_picture(b, graphics_pixel, g);
    assert_size(b, 640, 400);
    free(g);
}

static void mode_4_cga_colours(void **state)
{
    struct bench *b = *state;
    struct graphics *g = start_graphics(b, &cga4, 320, 200, 2, 2, 4);

    for (int y = 0; y < 200; y++)
        for (int x = 0; x < 320; x += 4)
            poke(b, 0xB8000 + (y & 1) * 0x2000 + y / 2 * 80 + x / 4,
                 g->pixel[y][x] << 6 | g->pixel[y][x + 1] << 4 | g->pixel[y][x + 2] << 2 |
                     g->pixel[y][x + 3]);
    assert_picture(b, graphics_pixel, g);
    assert_size(b, 640, 400);
    free(g);
}

static void mode_6_two_colours(void **state)
{
    struct bench *b = *state;
    struct graphics *g = start_graphics(b, &cga2, 640, 200, 1, 2, 2);

    for (int y = 0; y < 200; y++)
        for (int x = 0; x < 640; x += 8) {
            uint8_t bits = 0;

            for (int i = 0; i < 8; i++)
                bits |= g->pixel[y][x + i] << (7 - i);
            poke(b, 0xB8000 + (y & 1) * 0x2000 + y / 2 * 80 + x / 8, bits);
        }
    assert_picture(b, graphics_pixel, g);
    free(g);
}

static void mode_13h(void **state)
{
    struct bench *b = *state;
    struct graphics *g = start_graphics(b, &mode13, 320, 200, 2, 2, 256);

    for (int y = 0; y < 200; y++)
        for (int x = 0; x < 320; x += 4) {
            uint32_t four;

            memcpy(&four, &g->pixel[y][x], 4);
            bus_write(&b->m.bus, SPACE_MEM, 0xA0000 + y * 320 + x, 4, four);
        }
    assert_picture(b, graphics_pixel, g);
    assert_size(b, 640, 400);
    assert_int_equal(bus_read(&b->m.bus, SPACE_MEM, 0xA0000 + 320, 2), g->pixel[1][0] | g->pixel[1][1] << 8);
    free(g);
}

static void mode_x_unchained_with_two_pages(void **state)
{
    struct bench *b = *state;
    struct graphics *g = start_graphics(b, &mode13, 320, 200, 2, 2, 256);

    out_index(b, SEQ, 4, 6);
    out_index(b, CRTC, 0x14, 0);
    out_index(b, CRTC, 0x17, 0xE3);
    out_index(b, CRTC, 0x0C, 0x40); /* the page at 0x4000 */
    for (int plane = 0; plane < 4; plane++) {
        out_index(b, SEQ, 2, 1 << plane);
        for (int y = 0; y < 200; y++)
            for (int x = plane; x < 320; x += 4)
                poke(b, 0xA4000 + y * 80 + x / 4, g->pixel[y][x]);
    }
    assert_picture(b, graphics_pixel, g);
    free(g);
}

static void graphics_pan_and_split(void **state)
{
    struct bench *b = *state;
    struct graphics *g = start_graphics(b, &vga640, 640, 480, 1, 1, 16), *shown;

    write_planes(b, g, 80);
    out_index(b, CRTC, 0x13, 0x28);
    out_index(b, CRTC, 0x0D, 80 * 2); /* two lines down */
    out_attribute(b, 0x13, 3);
    out_attribute(b, 0x10, 0x21);
    out_index(b, CRTC, 0x18, 99); /* split after line 99 */
    out_index(b, CRTC, 0x07, 0x2E);
    out_index(b, CRTC, 0x09, 0x00);
    shown = calloc(1, sizeof(*shown));
    *shown = *g;
    for (int y = 0; y < 480; y++)
        for (int x = 0; x < 640; x++)
            shown->pixel[y][x] = y < 100
                                     ? (x + 3 < 640 ? g->pixel[y + 2][x + 3] : g->pixel[y + 3][x + 3 - 640])
                                     : g->pixel[y - 100][x];
    assert_picture(b, graphics_pixel, shown);
    free(shown);
    free(g);
}

static void counts_for_two_and_four_characters(void **state)
{
    struct bench *b = *state;
    struct graphics *g = start_graphics(b, &vga640, 640, 480, 1, 1, 16), *shown = calloc(1, sizeof(*shown));

    write_planes(b, g, 80);
    for (unsigned shift = 1; shift <= 2; shift++) {
        out_index(b, CRTC, 0x17, shift == 1 ? 0xEB : 0xE3);
        out_index(b, CRTC, 0x14, shift == 2 ? 0x20 : 0x00);
        *shown = *g;
        for (int y = 0; y < 480; y++)
            for (int x = 0; x < 640; x++)
                shown->pixel[y][x] = g->pixel[y][(x / 8 >> shift) * 8 + x % 8];
        assert_picture(b, graphics_pixel, shown);
    }
    free(shown);
    free(g);
}

static void graphics_change_updates_what_differs(void **state)
{
    struct bench *b = *state;

    set_mode(b, &mode13);
    console_add_view(b->backends.console, &b->view);
    forget(b);
    poke(b, 0xA0000 + 100 * 320 + 50, 9);
    console_refresh(b->backends.console);
    assert_int_equal(b->updates, 1);
    assert_int_equal(b->x0, 100);
    assert_int_equal(b->x1, 102);
    assert_int_equal(b->y0, 200);
    assert_int_equal(b->y1, 202);
    console_remove_view(b->backends.console, &b->view);
}

/* The guest wrote through its own mapping; the accelerator marked the page. */
static void direct_write_shows_by_dirty_page(void **state)
{
    struct bench *b = *state;

    set_mode(b, &mode13);
    console_add_view(b->backends.console, &b->view);
    b->vga.vram.host[4096] = 7;
    forget(b);
    console_refresh(b->backends.console);
    assert_int_equal(b->updates, 0); /* not marked: not looked at */
    vram_mark(&b->vga.vram, 4096, 1);
    console_refresh(b->backends.console);
    assert_int_equal(b->updates, 1);
    console_remove_view(b->backends.console, &b->view);
}

static void palette_changes_show(void **state)
{
    struct bench *b = *state;
    struct graphics *g = start_graphics(b, &vga640, 640, 480, 1, 1, 16);

    write_planes(b, g, 80);
    console_add_view(b->backends.console, &b->view);
    assert_picture(b, graphics_pixel, g);
    out_attribute(b, 5, 0x2A);
    g->palette[5] = 0x2A;
    assert_picture(b, graphics_pixel, g);
    out_attribute(b, 0x12, 7); /* plane 3 is not shown */
    for (int i = 8; i < 16; i++)
        g->palette[i] = g->palette[i - 8];
    assert_picture(b, graphics_pixel, g);
    out_attribute(b, 0x14, 0x0C); /* colour select: the upper bits of the DAC's index */
    for (int i = 0; i < 16; i++)
        g->palette[i] |= 0xC0;
    assert_picture(b, graphics_pixel, g);
    out_attribute(b, 0x10, 0x81); /* 4 bits from the palette, 4 from the select register */
    out_attribute(b, 0x14, 0x07);
    for (int i = 0; i < 16; i++)
        g->palette[i] = (g->palette[i] & 0x0F) | 0x70;
    assert_picture(b, graphics_pixel, g);
    out(b, 0x3C6, 0x1F);
    for (int i = 0; i < 16; i++)
        g->palette[i] &= 0x1F;
    assert_picture(b, graphics_pixel, g);
    console_remove_view(b->backends.console, &b->view);
    free(g);
}

static uint32_t black(void *opaque, int x, int y)
{
    return 0;
}

static void screen_off_is_black_and_keeps_its_size(void **state)
{
    struct bench *b = *state;
    struct graphics *g = start_graphics(b, &vga640, 640, 480, 1, 1, 16);

    write_planes(b, g, 80);
    assert_picture(b, graphics_pixel, g);
    out_index(b, SEQ, 1, 0x21);
    assert_picture(b, black, NULL);
    out_index(b, CRTC, 0x01, 0x27); /* reprogramming in the dark is not seen */
    assert_picture(b, black, NULL);
    assert_size(b, 640, 480);
    out_index(b, CRTC, 0x01, 0x4F);
    out_index(b, SEQ, 1, 0x01);
    assert_picture(b, graphics_pixel, g);
    in(b, 0x3DA);
    out(b, 0x3C0, 0x00); /* the attribute controller's switch */
    assert_picture(b, black, NULL);
    free(g);
}

/* ---- registers ---- */

static void dac_reads_back_and_counts(void **state)
{
    struct bench *b = *state;

    set_mode(b, &vga640);
    out(b, 0x3C7, 17);
    assert_int_equal(in(b, 0x3C7), 3);
    for (int i = 17; i < 20; i++) {
        assert_int_equal(in(b, 0x3C9), i & 0x3F);
        assert_int_equal(in(b, 0x3C9), (i * 7 + 3) & 0x3F);
        assert_int_equal(in(b, 0x3C9), i >> 2 & 0x3F);
    }
    out(b, 0x3C8, 0xFF);
    assert_int_equal(in(b, 0x3C7), 0);
    for (int i = 0; i < 6; i++)
        out(b, 0x3C9, 0xFF); /* wraps to entry 0; two bits are not there */
    out(b, 0x3C7, 0);
    assert_int_equal(in(b, 0x3C9), 0x3F);
}

static void crtc_protection(void **state)
{
    struct bench *b = *state;

    set_mode(b, &text80);
    out_index(b, CRTC, 0x11, 0x8E);
    out_index(b, CRTC, 0x00, 0x11);
    out_index(b, CRTC, 0x07, 0x00);
    assert_int_equal(in_index(b, CRTC, 0x00), 0x5F);
    assert_int_equal(in_index(b, CRTC, 0x07), 0x0F); /* line compare's bit only */
    out_index(b, CRTC, 0x0A, 0x03);
    assert_int_equal(in_index(b, CRTC, 0x0A), 0x03);
}

static void attribute_flip_flop(void **state)
{
    struct bench *b = *state;

    set_mode(b, &text80);
    in(b, 0x3DA);
    out(b, 0x3C0, 0x03);
    out(b, 0x3C0, 0x15);
    out(b, 0x3C0, 0x03);
    in(b, 0x3DA); /* back to the index */
    out(b, 0x3C0, 0x23);
    assert_int_equal(in(b, 0x3C0), 0x23);
    assert_int_equal(in(b, 0x3C1), 0x15);
}

static void unknown_registers_are_harmless(void **state)
{
    struct bench *b = *state;

    set_mode(b, &text80);
    for (int i = 0; i < 256; i++) {
        if (i > 4)
            out_index(b, SEQ, i, 0xFF);
        if (i > 8)
            out_index(b, GFX, i, 0xFF);
        if (i > 0x18)
            out_index(b, CRTC, i, 0xFF);
    }
    assert_int_equal(in_index(b, SEQ, 0x07), 0);
    assert_int_equal(in_index(b, GFX, 0x20), 0);
    assert_int_equal(in_index(b, CRTC, 0x27), 0);
    assert_int_equal(in_index(b, CRTC, 0x13), 0x28);
}

/* A loop that waits for retrace, and for its end, comes to its end. */
static void retrace_comes_and_goes_with_time(void **state)
{
    static const struct mode *const modes[] = {&text80, &vga640, &mode13};
    struct bench *b = *state;

    for (size_t i = 0; i < 3; i++) {
        int rises = 0, blanks = 0;
        uint8_t last = 0;

        set_mode(b, modes[i]);
        for (int us = 0; us < 100000; us += 10) {
            uint8_t status = in(b, 0x3DA);

            rises += (status & 8) && !(last & 8);
            blanks += status & 1;
            assert_false((status & 8) && !(status & 1)); /* retrace is in the blank time */
            last = status;
            clock_advance(&b->m.clock, clock_now(&b->m.clock) + 10000);
        }
        assert_in_range(rises, 6, 7); /* 60 or 70 a second */
        assert_in_range(blanks, 1000, 4000);
    }
    vga_reset(&b->vga); /* and with senseless registers */
    out(b, 0x3C2, 1);
    for (int i = 0, seen = 0; seen != 3; i++) {
        seen |= in(b, 0x3DA) & 8 ? 1 : 2;
        assert_true(i < 10000);
        clock_advance(&b->m.clock, clock_now(&b->m.clock) + 1000);
    }
}

/* ---- the window as memory ---- */

/* Who writes much gets the memory itself; it shows, and every register that matters takes it back. */
static void busy_window_becomes_memory(void **state)
{
    static const uint16_t takes_back[][2] = {{SEQ, 0x0102}, {SEQ, 0x0604}, {GFX, 0x0906}};
    struct bench *b = *state;

    for (size_t i = 0; i < 3; i++) {
        struct graphics *g = start_graphics(b, &mode13, 320, 200, 2, 2, 256);

        console_add_view(b->backends.console, &b->view);
        for (int y = 0; y < 200; y++)
            for (int x = 0; x < 320; x++)
                poke(b, 0xA0000 + y * 320 + x, g->pixel[y][x]);
        assert_true(b->vga.vram.window.mapped);
        assert_int_equal(b->vga.vram.window.size, 0x10000);
        assert_picture(b, graphics_pixel, g);
        assert_int_equal(peek(b, 0xA0000 + 321), g->pixel[1][1]);
        bus_write(&b->m.bus, SPACE_PORT, takes_back[i][0], 2, takes_back[i][1]);
        assert_false(b->vga.vram.window.mapped);
        console_remove_view(b->backends.console, &b->view);
        free(g);
    }
}

static void planes_never_become_memory(void **state)
{
    struct bench *b = *state;

    set_mode(b, &vga640);
    for (int i = 0; i < 2000; i++)
        poke(b, 0xA0000 + i, i);
    assert_false(b->vga.vram.window.mapped);
    set_mode(b, &mode13);
    out_index(b, SEQ, 2, 7);
    for (int i = 0; i < 2000; i++)
        poke(b, 0xA0000 + i, 0x55);
    assert_false(b->vga.vram.window.mapped);
    vga_reset(&b->vga);
    assert_false(b->vga.vram.window.mapped);
}

/* ---- the display path ---- */

static void quiet_screen_is_armed_and_written_through(void **state)
{
    struct bench *b = *state;

    set_mode(b, &text80);
    assert_int_equal(b->watch, VRAM_UNWATCHED);
    console_add_view(b->backends.console, &b->view);
    assert_int_equal(b->watch, VRAM_ARMED);
    assert_false(b->coalescing);
    forget(b);
    bus_write(&b->m.bus, SPACE_MEM, 0xB8002, 2, 0x0741);
    assert_int_equal(b->watch, VRAM_LOGGED);
    assert_true(b->coalescing);
    for (int i = 0; i < 20 && !b->updates; i++) {
        loop_once(&b->m.loop, false);
        struct timespec ms = {0, NS_PER_MS};
        nanosleep(&ms, NULL);
    }
    assert_true(b->updates > 0);
    console_remove_view(b->backends.console, &b->view);
    assert_int_equal(b->watch, VRAM_UNWATCHED);
    assert_true(b->coalescing);
}

static void register_change_wakes_the_display(void **state)
{
    struct bench *b = *state;

    set_mode(b, &text80);
    console_add_view(b->backends.console, &b->view);
    assert_int_equal(b->watch, VRAM_ARMED);
    out_index(b, CRTC, 0x0F, 3);
    assert_int_equal(b->watch, VRAM_LOGGED);
    console_remove_view(b->backends.console, &b->view);
}

/* CVE-2014-3615, CVE-2016-3712, CVE-2017-13672, CVE-2018-7858: no registers show or touch what is not video
 * memory. */
static void any_registers_stay_inside_video_memory(void **state)
{
    struct bench *b = *state;

    console_add_view(b->backends.console, &b->view);
    for (int round = 0; round < 300; round++) {
        struct mode mode;

        for (size_t i = 0; i < sizeof(mode); i++)
            ((uint8_t *)&mode)[i] = rnd(b);
        mode.misc |= 3;
        mode.sr[1] &= ~0x20;
        mode.cr[0x17] |= 0x80;
        if (round & 1)
            mode.cr[7] &= ~0x42; /* fewer lines, more rounds' worth of modes */
        set_mode(b, &mode);
        for (int i = 0; i < 50; i++) {
            uint32_t a = 0xA0000 + (rnd(b) << 9 | rnd(b) << 1 | (rnd(b) & 1)) % 0x1FFFC;

            if (i & 1)
                bus_write(&b->m.bus, SPACE_MEM, a, 4, rand_r(&b->seed));
            else
                bus_read(&b->m.bus, SPACE_MEM, a, 4);
        }
        console_refresh(b->backends.console);
    }
    console_remove_view(b->backends.console, &b->view);
}

#define vga_unit_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        vga_unit_test(text_80_columns),
        vga_unit_test(text_40_columns_has_wide_dots),
        vga_unit_test(text_mono_underlines_and_answers_at_3bx),
        vga_unit_test(text_of_8_dots),
        vga_unit_test(text_without_blink_has_16_backgrounds),
        vga_unit_test(text_with_512_characters),
        vga_unit_test(text_font_change_shows),
        vga_unit_test(text_cursor_moves_and_hides),
        vga_unit_test(text_change_updates_one_cell),
        vga_unit_test(text_scrolls_splits_and_pans),
        vga_unit_test(planar_reads_and_writes),
        vga_unit_test(odd_even_addresses_pick_planes),
        vga_unit_test(memory_maps_leave_the_rest_alone),
        vga_unit_test(mode_12h),
        vga_unit_test(mode_0dh_has_wide_pixels_and_double_lines),
        vga_unit_test(mode_4_cga_colours),
        vga_unit_test(mode_6_two_colours),
        vga_unit_test(mode_13h),
        vga_unit_test(mode_x_unchained_with_two_pages),
        vga_unit_test(graphics_pan_and_split),
        vga_unit_test(counts_for_two_and_four_characters),
        vga_unit_test(graphics_change_updates_what_differs),
        vga_unit_test(direct_write_shows_by_dirty_page),
        vga_unit_test(palette_changes_show),
        vga_unit_test(screen_off_is_black_and_keeps_its_size),
        vga_unit_test(dac_reads_back_and_counts),
        vga_unit_test(crtc_protection),
        vga_unit_test(attribute_flip_flop),
        vga_unit_test(unknown_registers_are_harmless),
        vga_unit_test(retrace_comes_and_goes_with_time),
        vga_unit_test(busy_window_becomes_memory),
        vga_unit_test(planes_never_become_memory),
        vga_unit_test(quiet_screen_is_armed_and_written_through),
        vga_unit_test(register_change_wakes_the_display),
        vga_unit_test(any_registers_stay_inside_video_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
