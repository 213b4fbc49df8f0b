/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Cirrus blitter's logic against a plain reference that goes pixel by pixel, with random rectangles. */
#include "hw/display/cirrus_blt.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/cmocka.h"

enum { SIZE = 1 << 16, GUARD = 1 << 14, ROUNDS = 200 };

static const uint8_t rops[16] = {0x00, 0x05, 0x06, 0x09, 0x0B, 0x0D, 0x0E, 0x50,
                                 0x59, 0x6D, 0x90, 0x95, 0xAD, 0xD0, 0xD6, 0xDA};

/* Memory with guards on both sides, and what the reference makes of it. */
struct bench {
    struct cirrus_blt blt;
    uint8_t memory[GUARD + SIZE + GUARD], expected[SIZE];
    unsigned seed;
};

static unsigned rnd(struct bench *b, unsigned limit)
{
    return rand_r(&b->seed) % limit;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));

    b->seed = 1;
    for (size_t i = 0; i < sizeof(b->memory); i++)
        b->memory[i] = rnd(b, 256);
    b->blt.vram = b->memory + GUARD;
    b->blt.vram_size = SIZE;
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

/* One bit of each operation's truth table: source, destination. */
static uint8_t combine(uint8_t rop, uint8_t s, uint8_t d)
{
    static const struct {
        uint8_t rop, table; /* bit 2 * source + destination */
    } tables[16] = {{0x00, 0x0}, {0x05, 0x8}, {0x06, 0xA}, {0x09, 0x4}, {0x0B, 0x5}, {0x0D, 0xC},
                    {0x0E, 0xF}, {0x50, 0x2}, {0x59, 0x6}, {0x6D, 0xE}, {0x90, 0x1}, {0x95, 0x9},
                    {0xAD, 0xD}, {0xD0, 0x3}, {0xD6, 0xB}, {0xDA, 0x7}};
    uint8_t result = 0;

    for (int i = 0; i < 16; i++)
        for (int bit = 0; tables[i].rop == rop && bit < 8; bit++)
            result |= (tables[i].table >> (2 * (s >> bit & 1) + (d >> bit & 1)) & 1) << bit;
    return result;
}

static void draw_all(struct cirrus_blt *blt)
{
    cirrus_blt_begin(blt, NULL);
    while (cirrus_blt_next_line(blt))
        assert_in_range(blt->y, 1, blt->height - 1);
}

/* step: from a chunk to the next. */
static void feed_all(struct cirrus_blt *blt, const uint8_t *data, uint32_t step)
{
    if (blt->mode & BLT_PATTERN) {
        cirrus_blt_begin(blt, data);
        while (cirrus_blt_next_line(blt))
            ;
        return;
    }
    for (uint32_t c = 0; c < cirrus_blt_chunks(blt); c++)
        cirrus_blt_chunk(blt, c, data + c * step);
}

static unsigned pixel_bytes(const struct cirrus_blt *blt)
{
    return (blt->mode >> 4 & 3) + 1;
}

/* The source pixel at x, y: its bytes, and whether a transparent expansion draws it. */
static bool source_pixel(const struct cirrus_blt *blt, const uint8_t *memory, const uint8_t *system,
                         uint32_t x, uint32_t y, uint8_t *pixel)
{
    unsigned bytes = pixel_bytes(blt);
    bool pattern = blt->mode & BLT_PATTERN, foreground = true;
    const uint8_t *source = system ? system : memory + (pattern ? blt->src & ~7u : blt->src);

    if (blt->mode & BLT_EXPAND) {
        uint32_t count = (blt->width + bytes - 1) / bytes, line = (count + 7) / 8, colour;

        if (blt->ext & BLT_DWORD_LINES && system)
            line = (line + 3) / 4 * 4;
        if (pattern)
            foreground = source[(blt->src + y) % 8] >> (7 - x % 8) & 1;
        else
            foreground = source[y * line + x / 8] >> (7 - x % 8) & 1;
        if (pattern && blt->ext & BLT_SOLID)
            foreground = true;
        colour = foreground ? blt->fg : blt->bg;
        memcpy(pixel, &colour, bytes);
        if (!(pattern && blt->ext & BLT_SOLID))
            foreground ^= !!(blt->ext & BLT_INVERT);
    } else if (pattern) {
        memcpy(pixel, source + (blt->src + y) % 8 * (bytes == 3 ? 32 : 8 * bytes) + x % 8 * bytes, bytes);
    } else {
        memcpy(pixel, source + y * (system ? (blt->width + 3) / 4 * 4 : blt->src_pitch) + x * bytes, bytes);
    }
    return foreground;
}

/* Forwards; source and destination are not the same memory, or are patterns, which are read first. */
static void reference(struct bench *b, const uint8_t *system)
{
    const struct cirrus_blt *blt = &b->blt;
    unsigned bytes = pixel_bytes(blt), skip = 0;
    uint32_t count = (blt->width + bytes - 1) / bytes;

    memcpy(b->expected, blt->vram, SIZE);
    if (blt->mode & (BLT_EXPAND | BLT_PATTERN))
        skip = bytes == 3 ? (blt->skip & 31) / 3 : blt->skip & 7;
    for (uint32_t y = 0; y < blt->height; y++)
        for (uint32_t x = skip; x < count; x++) {
            uint8_t pixel[4], *dst = b->expected + blt->dst + y * blt->dst_pitch + x * bytes;
            bool foreground = source_pixel(blt, blt->vram, system, x, y, pixel);

            for (unsigned i = 0; i < bytes; i++)
                pixel[i] = combine(blt->rop, pixel[i], dst[i]);
            if (blt->mode & BLT_TRANSPARENT && blt->mode & BLT_EXPAND && !foreground)
                continue;
            if (blt->mode & BLT_TRANSPARENT && !(blt->mode & BLT_EXPAND) && bytes <= 2 &&
                memcmp(pixel, &blt->key, bytes) == 0)
                continue;
            memcpy(dst, pixel, bytes);
        }
}

/* A random rectangle: destination in the upper half, source in the lower. */
static void random_blit(struct bench *b, uint8_t mode)
{
    struct cirrus_blt *blt = &b->blt;
    unsigned bytes = rnd(b, 4) + 1;

    blt->mode = mode | (bytes - 1) << 4;
    blt->rop = rops[rnd(b, 16)];
    blt->width = (1 + rnd(b, 90)) * bytes;
    blt->height = 1 + rnd(b, 40);
    blt->dst_pitch = blt->width + rnd(b, 300);
    blt->src_pitch = blt->width + rnd(b, 300);
    blt->dst = SIZE / 2 + rnd(b, 1000);
    blt->src = rnd(b, 1000);
    blt->ext = rnd(b, 8);
    blt->skip = rnd(b, 256);
    blt->fg = rand_r(&b->seed);
    blt->bg = rand_r(&b->seed);
    blt->key = rnd(b, 4) * 0x0101; /* of pixels that are made to occur */
}

static void assert_expected(struct bench *b)
{
    if (memcmp(b->expected, b->blt.vram, SIZE) != 0)
        fail_msg("mode %02x rop %02x ext %02x skip %02x width %u height %u", b->blt.mode, b->blt.rop,
                 b->blt.ext, b->blt.skip, b->blt.width, b->blt.height);
}

static void run_and_compare(struct bench *b)
{
    assert_true(cirrus_blt_valid(&b->blt));
    reference(b, NULL);
    draw_all(&b->blt);
    assert_expected(b);
}

static void copies(void **state)
{
    struct bench *b = *state;

    for (int i = 0; i < ROUNDS; i++) {
        random_blit(b, i & 1 ? BLT_TRANSPARENT : 0);
        run_and_compare(b);
    }
}

/* The same rectangle named by its last byte. */
static void copies_backwards(void **state)
{
    struct bench *b = *state;
    struct cirrus_blt *blt = &b->blt;

    for (int i = 0; i < ROUNDS; i++) {
        random_blit(b, i & 1 ? BLT_TRANSPARENT : 0);
        reference(b, NULL);
        blt->dst += (blt->height - 1) * blt->dst_pitch + blt->width - 1;
        blt->src += (blt->height - 1) * blt->src_pitch + blt->width - 1;
        blt->mode |= BLT_BACKWARDS;
        assert_true(cirrus_blt_valid(blt));
        draw_all(blt);
        assert_expected(b);
    }
}

static void overlapping_scrolls_keep_the_picture(void **state)
{
    struct bench *b = *state;
    struct cirrus_blt *blt = &b->blt;
    const uint32_t pitch = 320, lines = 100, width = 300, down = 7;

    *blt = (struct cirrus_blt){
        .vram = blt->vram, .vram_size = SIZE, .width = width, .height = lines, .rop = 0x0D};
    blt->dst_pitch = blt->src_pitch = pitch;
    memcpy(b->expected, blt->vram, SIZE);
    for (uint32_t y = 0; y < lines; y++) /* up, forwards */
        memcpy(b->expected + y * pitch, blt->vram + (y + down) * pitch, width);
    blt->src = down * pitch;
    draw_all(blt);
    assert_expected(b);
    for (uint32_t y = lines; y-- > 0;) /* and down, backwards */
        memcpy(b->expected + (y + down) * pitch, blt->vram + y * pitch, width);
    blt->mode = BLT_BACKWARDS;
    blt->src = (lines - 1) * pitch + width - 1;
    blt->dst = (lines - 1 + down) * pitch + width - 1;
    draw_all(blt);
    assert_expected(b);
}

static void patterns(void **state)
{
    struct bench *b = *state;

    for (int i = 0; i < ROUNDS; i++) {
        random_blit(b, BLT_PATTERN | (i & 1 ? BLT_TRANSPARENT : 0));
        run_and_compare(b);
    }
}

static void expansion(void **state)
{
    struct bench *b = *state;

    for (int i = 0; i < ROUNDS; i++) {
        random_blit(b, BLT_EXPAND | (i & 1 ? BLT_TRANSPARENT : 0));
        run_and_compare(b);
    }
}

static void expanded_patterns_and_solid_fills(void **state)
{
    struct bench *b = *state;

    for (int i = 0; i < ROUNDS; i++) {
        random_blit(b, BLT_EXPAND | BLT_PATTERN | (i & 1 ? BLT_TRANSPARENT : 0));
        run_and_compare(b);
    }
}

static void from_system_memory(void **state)
{
    static const uint8_t modes[] = {0, BLT_PATTERN, BLT_EXPAND, BLT_EXPAND | BLT_PATTERN};
    struct bench *b = *state;
    uint8_t data[BLT_MAX_WIDTH * 8];

    for (int i = 0; i < ROUNDS; i++) {
        random_blit(b, BLT_FROM_SYSTEM | modes[i % 4] | (i & 4 ? BLT_TRANSPARENT : 0));
        assert_true(cirrus_blt_valid(&b->blt));
        for (size_t k = 0; k < sizeof(data); k++)
            data[k] = b->seed = b->seed * 1103515245 + 12345;
        reference(b, data);
        feed_all(&b->blt, data, cirrus_blt_chunk_bytes(&b->blt));
        assert_expected(b);
    }
}

static void line_starts_tell_what_was_written(void **state)
{
    struct bench *b = *state;

    b->blt.width = 10;
    b->blt.dst = 1000;
    b->blt.dst_pitch = 100;
    assert_int_equal(cirrus_blt_line_start(&b->blt, 3), 1300);
    b->blt.mode = BLT_BACKWARDS;
    assert_int_equal(cirrus_blt_line_start(&b->blt, 3), 1000 - 300 - 9);
    b->blt.mode = BLT_EXPAND | 0x20;
    assert_int_equal(cirrus_blt_line_length(&b->blt), 12);
}

/* Any rectangle that is called valid stays inside: the guards keep their bytes. */
static void random_registers_never_leave_the_memory(void **state)
{
    struct bench *b = *state;
    struct cirrus_blt *blt = &b->blt;
    uint8_t *before = malloc(sizeof(b->memory)), data[BLT_MAX_WIDTH] = {0};
    int valid = 0;

    memcpy(before, b->memory, sizeof(b->memory));
    for (int i = 0; i < 20000; i++) {
        blt->mode = rnd(b, 256);
        blt->rop = rops[rnd(b, 16)];
        blt->width = 1 + rnd(b, i & 1 ? 8192 : 50);
        blt->height = 1 + rnd(b, i & 2 ? 2048 : 10);
        blt->dst_pitch = rnd(b, i & 4 ? 8192 : 30);
        blt->src_pitch = rnd(b, i & 4 ? 8192 : 30);
        blt->dst = rnd(b, i & 8 ? 1 << 22 : SIZE);
        blt->src = rnd(b, i & 8 ? 1 << 22 : SIZE);
        blt->ext = rnd(b, 256);
        blt->skip = rnd(b, 256);
        if (!cirrus_blt_valid(blt) || (uint64_t)blt->width * blt->height > 20000)
            continue;
        valid++;
        if (blt->mode & BLT_FROM_SYSTEM)
            feed_all(blt, data, 0);
        else
            draw_all(blt);
    }
    assert_true(valid > 100);
    assert_memory_equal(b->memory, before, GUARD);
    assert_memory_equal(b->memory + GUARD + SIZE, before + GUARD + SIZE, GUARD);
    free(before);
}

static struct cirrus_blt at_edge(struct bench *b)
{
    return (struct cirrus_blt){.vram = b->blt.vram,
                               .vram_size = SIZE,
                               .width = 100,
                               .height = 10,
                               .dst_pitch = 200,
                               .src_pitch = 200,
                               .rop = 0x0D};
}

static void cve_2014_8106_rectangle_past_the_end(void **state)
{
    struct cirrus_blt blt = at_edge(*state);

    blt.dst = SIZE - 9 * 200 - 100;
    assert_true(cirrus_blt_valid(&blt));
    blt.dst++;
    assert_false(cirrus_blt_valid(&blt));
    blt.dst = 0;
    blt.src = SIZE - 9 * 200 - 99;
    assert_false(cirrus_blt_valid(&blt));
    blt.src = 0x3FFFFF;
    assert_false(cirrus_blt_valid(&blt));
}

static void cve_2017_2615_backwards_before_the_start(void **state)
{
    struct cirrus_blt blt = at_edge(*state);

    blt.mode = BLT_BACKWARDS;
    blt.src = blt.dst = 9 * 200 + 99;
    assert_true(cirrus_blt_valid(&blt));
    blt.dst--;
    assert_false(cirrus_blt_valid(&blt));
    blt.dst++;
    blt.src--;
    assert_false(cirrus_blt_valid(&blt));
    blt.src = SIZE;
    assert_false(cirrus_blt_valid(&blt));
}

static void cve_2017_2620_system_source_past_the_end(void **state)
{
    struct cirrus_blt blt = at_edge(*state);

    blt.mode = BLT_FROM_SYSTEM;
    blt.dst = SIZE - 9 * 200 - 100;
    assert_true(cirrus_blt_valid(&blt));
    blt.dst++;
    assert_false(cirrus_blt_valid(&blt));
    blt.mode = BLT_FROM_SYSTEM | BLT_EXPAND;
    assert_false(cirrus_blt_valid(&blt));
}

/* A width that is no whole number of pixels is rounded up, and that is what the check sees. */
static void odd_width_of_wide_pixels_is_checked(void **state)
{
    struct cirrus_blt blt = at_edge(*state);

    blt.mode = BLT_EXPAND | BLT_PATTERN | BLT_PIXEL_WIDTH;
    blt.ext = BLT_SOLID;
    blt.width = 97;
    blt.height = 1;
    blt.dst = SIZE - 97;
    assert_false(cirrus_blt_valid(&blt));
    blt.dst = SIZE - 100;
    assert_true(cirrus_blt_valid(&blt));
}

#define blt_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        blt_test(copies),
        blt_test(copies_backwards),
        blt_test(overlapping_scrolls_keep_the_picture),
        blt_test(patterns),
        blt_test(expansion),
        blt_test(expanded_patterns_and_solid_fills),
        blt_test(from_system_memory),
        blt_test(line_starts_tell_what_was_written),
        blt_test(random_registers_never_leave_the_memory),
        blt_test(cve_2014_8106_rectangle_past_the_end),
        blt_test(cve_2017_2615_backwards_before_the_start),
        blt_test(cve_2017_2620_system_source_past_the_end),
        blt_test(odd_width_of_wide_pixels_is_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
