/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The CL-GD5446's BitBLT engine as pure logic: rectangles of bytes in video memory, without registers or a
 * machine. Source: CL-GD5446 Technical Reference Manual, "BitBLT Engine", and its drivers (Linux cirrusfb.c,
 * xf86-video-cirrus).
 *
 * Every rectangle is checked against the memory in 64 bits before the first byte moves (cirrus_blt_valid).
 */
#ifndef HW_DISPLAY_CIRRUS_BLT_H
#define HW_DISPLAY_CIRRUS_BLT_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/state.h"

/* GR30 */
enum {
    BLT_BACKWARDS = 0x01,
    BLT_TO_SYSTEM = 0x02,
    BLT_FROM_SYSTEM = 0x04,
    BLT_TRANSPARENT = 0x08,
    BLT_PIXEL_WIDTH = 0x30, /* bytes less 1 */
    BLT_PATTERN = 0x40,
    BLT_EXPAND = 0x80,
};

/* GR33 */
enum {
    BLT_DWORD_LINES = 0x01, /* monochrome lines from system memory are padded to 4 bytes, else to 1 */
    BLT_INVERT = 0x02,      /* transparent expansion draws the zeroes, in the background colour */
    BLT_SOLID = 0x04,       /* with EXPAND and PATTERN: all of it in the foreground colour */
};

enum { BLT_MAX_WIDTH = 8192, BLT_MAX_HEIGHT = 2048, BLT_MAX_LINE = BLT_MAX_WIDTH + 32 };

#define CIRRUS_BLT_STATE(S)                                                                                  \
    S(UINT, uint32_t, width, BLT_MAX_WIDTH)   /* bytes, 0: none was begun */                                 \
    S(UINT, uint32_t, height, BLT_MAX_HEIGHT) /* lines */                                                    \
    S(UINT, uint32_t, dst, ANY)               /* of the first byte; BACKWARDS: of the last one */            \
    S(UINT, uint32_t, src, ANY)                                                                              \
    S(UINT, uint32_t, dst_pitch, 0x1FFF)                                                                     \
    S(UINT, uint32_t, src_pitch, 0x1FFF)                                                                     \
    S(UINT, uint8_t, mode, ANY) /* GR30 */                                                                   \
    S(UINT, uint8_t, rop, ANY)  /* GR32 */                                                                   \
    S(UINT, uint8_t, ext, ANY)  /* GR33 */                                                                   \
    S(UINT, uint8_t, skip, ANY) /* GR2F: what is left out at the left, expansion and patterns only */        \
    S(UINT, uint16_t, key, ANY) /* transparent colour; both bytes for 16-bit pixels, the low one for 8 */    \
    S(UINT, uint32_t, fg, ANY)                                                                               \
    S(UINT, uint32_t, bg, ANY)

struct cirrus_blt {
    uint8_t *vram;
    uint64_t vram_size;
    STATE_MEMBERS(CIRRUS_BLT_STATE);
    uint32_t y;                 /* lines done */
    uint8_t pattern[8 * 32];    /* as it was at the beginning: the destination may cover it */
    uint8_t line[BLT_MAX_LINE]; /* scratch: one line of source pixels */
};
extern const struct state_table cirrus_blt_state;

/* Is all that the rectangle reads and writes in the memory, and is the mode one that the engine has? */
bool cirrus_blt_valid(const struct cirrus_blt *blt);

/* The beginning of a valid blit; pattern: its source if that is no video memory, NULL: it is. */
void cirrus_blt_begin(struct cirrus_blt *blt, const uint8_t *pattern);
/* The next line, of a blit from video memory or of a pattern; false: it was the last. */
bool cirrus_blt_next_line(struct cirrus_blt *blt);
/* What a line costs, in units of work (base/work.h). */
uint32_t cirrus_blt_line_cost(const struct cirrus_blt *blt);

/* A valid blit from system memory: it takes `chunks` of `bytes` each: lines, which are drawn as they come. A
 * pattern's only chunk goes to cirrus_blt_begin. */
uint32_t cirrus_blt_chunk_bytes(const struct cirrus_blt *blt);
uint32_t cirrus_blt_chunks(const struct cirrus_blt *blt);
void cirrus_blt_chunk(struct cirrus_blt *blt, uint32_t chunk, const uint8_t *data);

/* Where line y is written: first byte; the length is the width, rounded up to whole pixels. */
uint64_t cirrus_blt_line_start(const struct cirrus_blt *blt, uint32_t y);
uint32_t cirrus_blt_line_length(const struct cirrus_blt *blt);

#endif
