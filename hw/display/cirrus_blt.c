/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/display/cirrus_blt.h"

#include <string.h>

STATE_PUBLIC_TABLE(cirrus_blt_state, struct cirrus_blt, CIRRUS_BLT_STATE);

/* Bytes a pixel. */
static unsigned pixel_bytes(const struct cirrus_blt *blt)
{
    return ((blt->mode & BLT_PIXEL_WIDTH) >> 4) + 1;
}

static uint32_t pixels(const struct cirrus_blt *blt)
{
    return (blt->width + pixel_bytes(blt) - 1) / pixel_bytes(blt);
}

static bool cirrus_blt_is_plain(const struct cirrus_blt *blt)
{
    return !(blt->mode & (BLT_EXPAND | BLT_PATTERN));
}

static bool is_solid(const struct cirrus_blt *blt)
{
    return (blt->mode & BLT_EXPAND) && (blt->mode & BLT_PATTERN) && (blt->ext & BLT_SOLID);
}

/* Patterns and expansion run forwards only. */
static bool is_backwards(const struct cirrus_blt *blt)
{
    return cirrus_blt_is_plain(blt) && (blt->mode & BLT_BACKWARDS);
}

/* Pixels left out at the start of each line. GR2F counts pixels, at 24 bits bytes. */
static uint32_t skipped_pixels(const struct cirrus_blt *blt)
{
    if (cirrus_blt_is_plain(blt))
        return 0;
    return pixel_bytes(blt) == 3 ? (blt->skip & 0x1F) / 3 : blt->skip & 7;
}

/* Bytes of one line of monochrome source. */
static uint32_t mono_bytes(const struct cirrus_blt *blt)
{
    uint32_t bytes = (pixels(blt) + 7) / 8;

    return blt->ext & BLT_DWORD_LINES && blt->mode & BLT_FROM_SYSTEM ? (bytes + 3) & ~3u : bytes;
}

/* Bytes from line to line of a pattern of 8 by 8: 24-bit pixels lie as 32 bytes, 24 of them used. */
static uint32_t pattern_pitch(const struct cirrus_blt *blt)
{
    if (blt->mode & BLT_EXPAND)
        return 1;
    return pixel_bytes(blt) == 3 ? 32 : 8 * pixel_bytes(blt);
}

uint32_t cirrus_blt_line_length(const struct cirrus_blt *blt)
{
    return cirrus_blt_is_plain(blt) ? blt->width : pixels(blt) * pixel_bytes(blt);
}

/* Do lines of `length` bytes, the first at `start` (backwards: its last byte), all lie in the memory? */
static bool lines_fit(const struct cirrus_blt *blt, uint64_t start, uint64_t pitch, uint64_t length,
                      bool backwards)
{
    uint64_t extent = (blt->height - 1) * pitch + length - 1; /* from the first byte touched to the last */

    if (backwards)
        return start < blt->vram_size && extent <= start;
    return start + extent < blt->vram_size;
}

static bool source_fits(const struct cirrus_blt *blt)
{
    if (blt->mode & BLT_FROM_SYSTEM || is_solid(blt))
        return true;
    if (blt->mode & BLT_PATTERN)
        return (uint64_t)(blt->src & ~7u) + 8 * pattern_pitch(blt) <= blt->vram_size;
    if (blt->mode & BLT_EXPAND) /* lines one after the other, whatever the pitch */
        return blt->src + (uint64_t)blt->height * mono_bytes(blt) <= blt->vram_size;
    return lines_fit(blt, blt->src, blt->src_pitch, blt->width, is_backwards(blt));
}

bool cirrus_blt_valid(const struct cirrus_blt *blt)
{
    if (blt->mode & BLT_TO_SYSTEM || (blt->mode & BLT_FROM_SYSTEM && is_backwards(blt)))
        return false;
    return lines_fit(blt, blt->dst, blt->dst_pitch, cirrus_blt_line_length(blt), is_backwards(blt)) &&
           source_fits(blt);
}

uint64_t cirrus_blt_line_start(const struct cirrus_blt *blt, uint32_t y)
{
    uint64_t offset = (uint64_t)y * blt->dst_pitch;

    return is_backwards(blt) ? blt->dst - offset - (blt->width - 1) : blt->dst + offset;
}

/* ---- the source line, as pixels ---- */

static bool mono_bit(const uint8_t *bits, uint32_t x)
{
    return bits[x / 8] >> (7 - x % 8) & 1;
}

static void put_pixel(struct cirrus_blt *blt, uint32_t x, uint32_t colour)
{
    memcpy(blt->line + x * pixel_bytes(blt), &colour, pixel_bytes(blt));
}

/* bits: the line's first byte; a pattern repeats its 8 bits. */
static void expand_line(struct cirrus_blt *blt, const uint8_t *bits)
{
    uint32_t period = blt->mode & BLT_PATTERN ? 7 : UINT32_MAX;

    for (uint32_t x = 0; x < pixels(blt); x++)
        put_pixel(blt, x, is_solid(blt) || mono_bit(bits, x & period) ? blt->fg : blt->bg);
}

static void pattern_line(struct cirrus_blt *blt, const uint8_t *row)
{
    uint32_t period = 8 * pixel_bytes(blt);

    for (uint32_t x = 0; x < cirrus_blt_line_length(blt); x += period)
        memcpy(blt->line + x, row, period);
}

/* ---- combining it with the destination ---- */

#define COMBINE(expression)                                                                                  \
    do {                                                                                                     \
        for (uint32_t i = 0; i < length; i++) {                                                              \
            uint8_t s = src[i], d = dst[i];                                                                  \
            out[i] = (expression);                                                                           \
            (void)s;                                                                                         \
            (void)d;                                                                                         \
        }                                                                                                    \
    } while (0)

/* out may be src; never dst. */
static void raster(uint8_t rop, uint8_t *out, const uint8_t *src, const uint8_t *dst, uint32_t length)
{
    switch (rop) {
    case 0x00:
        COMBINE(0);
        break;
    case 0x05:
        COMBINE(s & d);
        break;
    case 0x06:
        COMBINE(d);
        break;
    case 0x09:
        COMBINE(s & ~d);
        break;
    case 0x0B:
        COMBINE(~d);
        break;
    case 0x0E:
        COMBINE(0xFF);
        break;
    case 0x50:
        COMBINE(~s & d);
        break;
    case 0x59:
        COMBINE(s ^ d);
        break;
    case 0x6D:
        COMBINE(s | d);
        break;
    case 0x90:
        COMBINE(~(s | d));
        break;
    case 0x95:
        COMBINE(~(s ^ d));
        break;
    case 0xAD:
        COMBINE(s | ~d);
        break;
    case 0xD0:
        COMBINE(~s);
        break;
    case 0xD6:
        COMBINE(~s | d);
        break;
    case 0xDA:
        COMBINE(~(s & d));
        break;
    default: /* 0x0D: the source */
        break;
    }
}

/* Pixels whose result is the key stay as they were. */
static void write_keyed(const struct cirrus_blt *blt, uint8_t *dst, uint32_t skip, uint32_t length)
{
    unsigned bytes = pixel_bytes(blt);

    for (uint32_t i = skip; i + bytes <= length; i += bytes)
        if (memcmp(blt->line + i, &blt->key, bytes) != 0)
            memcpy(dst + i, blt->line + i, bytes);
}

/* Background pixels of a transparent expansion stay as they were; inverted, foreground pixels do. */
static void write_expanded(const struct cirrus_blt *blt, uint8_t *dst, const uint8_t *bits)
{
    uint32_t period = blt->mode & BLT_PATTERN ? 7 : UINT32_MAX;
    unsigned bytes = pixel_bytes(blt);
    bool wanted = !(blt->ext & BLT_INVERT);

    for (uint32_t x = skipped_pixels(blt); x < pixels(blt); x++)
        if (is_solid(blt) || mono_bit(bits, x & period) == wanted)
            memcpy(dst + x * bytes, blt->line + x * bytes, bytes);
}

/* The line is in blt->line; bits: its monochrome source, if it has one. */
static void write_line(struct cirrus_blt *blt, uint32_t y, const uint8_t *bits)
{
    uint8_t *dst = blt->vram + cirrus_blt_line_start(blt, y);
    uint32_t length = cirrus_blt_line_length(blt), skip = skipped_pixels(blt) * pixel_bytes(blt);

    if (skip >= length)
        return;
    raster(blt->rop, blt->line, blt->line, dst, length);
    if (blt->mode & BLT_TRANSPARENT && blt->mode & BLT_EXPAND)
        write_expanded(blt, dst, bits);
    else if (blt->mode & BLT_TRANSPARENT && pixel_bytes(blt) <= 2)
        write_keyed(blt, dst, skip, length);
    else
        memcpy(dst + skip, blt->line + skip, length - skip);
}

/* ---- whole blits ---- */

/* The pattern's lines start with the one that the low 3 bits of the source address say. */
static void cirrus_blt_pattern_line(struct cirrus_blt *blt)
{
    const uint8_t *row = blt->pattern + ((blt->src + blt->y) & 7) * pattern_pitch(blt);

    if (blt->mode & BLT_EXPAND)
        expand_line(blt, row);
    else
        pattern_line(blt, row);
    write_line(blt, blt->y, row);
}

static void cirrus_blt_expanded_line(struct cirrus_blt *blt)
{
    uint8_t bits[BLT_MAX_WIDTH / 8 + 4];

    memcpy(bits, blt->vram + blt->src + (uint64_t)blt->y * mono_bytes(blt), mono_bytes(blt));
    expand_line(blt, bits);
    write_line(blt, blt->y, bits);
}

static void cirrus_blt_plain_line(struct cirrus_blt *blt)
{
    uint64_t offset = (uint64_t)blt->y * blt->src_pitch;
    uint64_t from = is_backwards(blt) ? blt->src - offset - (blt->width - 1) : blt->src + offset;

    memcpy(blt->line, blt->vram + from, blt->width);
    write_line(blt, blt->y, NULL);
}

void cirrus_blt_begin(struct cirrus_blt *blt, const uint8_t *pattern)
{
    blt->y = 0;
    if (!(blt->mode & BLT_PATTERN) || is_solid(blt))
        return;
    memcpy(blt->pattern, pattern ? pattern : blt->vram + (blt->src & ~7u), 8 * pattern_pitch(blt));
}

bool cirrus_blt_next_line(struct cirrus_blt *blt)
{
    if (blt->mode & BLT_PATTERN)
        cirrus_blt_pattern_line(blt);
    else if (blt->mode & BLT_EXPAND)
        cirrus_blt_expanded_line(blt);
    else
        cirrus_blt_plain_line(blt);
    return ++blt->y < blt->height;
}

uint32_t cirrus_blt_line_cost(const struct cirrus_blt *blt)
{
    uint32_t length = cirrus_blt_line_length(blt), cost = 50 + length / 4;

    if (blt->mode & BLT_EXPAND)
        cost += 5 * pixels(blt);
    if (blt->mode & BLT_TRANSPARENT)
        cost += 4 * pixels(blt);
    return cost;
}

uint32_t cirrus_blt_chunk_bytes(const struct cirrus_blt *blt)
{
    if (blt->mode & BLT_PATTERN)
        return 8 * pattern_pitch(blt);
    if (blt->mode & BLT_EXPAND)
        return mono_bytes(blt);
    return (blt->width + 3) & ~3u; /* lines of pixels are padded to 4 bytes */
}

uint32_t cirrus_blt_chunks(const struct cirrus_blt *blt)
{
    return blt->mode & BLT_PATTERN ? 1 : blt->height;
}

void cirrus_blt_chunk(struct cirrus_blt *blt, uint32_t chunk, const uint8_t *data)
{
    if (blt->mode & BLT_EXPAND)
        expand_line(blt, data);
    else
        memcpy(blt->line, data, blt->width);
    write_line(blt, chunk, data);
}
