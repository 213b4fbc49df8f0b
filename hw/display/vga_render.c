/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/display/vga_render.h"

#include <stdlib.h>

#include "base/util.h"
#include "hw/backends.h"
#include "machine/machine.h"

enum {
    CRTC_MAX_WIDTH = 2560,
    CRTC_MAX_HEIGHT = 2048,
    FONT_GLYPHS = 256,
    GLYPH_BYTES = 32,
    FONT_BYTES = FONT_GLYPHS * GLYPH_BYTES,
    SHADOW_CELLS = 65536,
    SHADOW_CURSOR = 1u << 16,
    DEFAULT_WIDTH = 720,
    DEFAULT_HEIGHT = 400,
};

/* ---- the mode ---- */

static uint32_t dac_colour(const struct vga *vga, uint8_t index)
{
    const uint8_t *rgb = &vga->dac[3 * (index & vga->dac_mask)];
    uint32_t colour = 0;

    for (int i = 0; i < 3; i++)
        colour = colour << 8 | (vga->dac8 ? rgb[i] : (rgb[i] & 0x3F) << 2 | (rgb[i] >> 4 & 3));
    return colour;
}

/* The attribute controller's way from a pixel of 4 bits to the DAC. */
static uint8_t attribute_index(const struct vga *vga, unsigned pixel)
{
    uint8_t index = vga->ar[pixel & vga->ar[0x12] & 15], select = vga->ar[0x14];

    if (vga->ar[0x10] & AR10_PALETTE_54)
        return (index & 0x0F) | (select & 0x0F) << 4;
    return (index & 0x3F) | (select & 0x0C) << 4;
}

void vga_set_palette(const struct vga *vga, struct vga_mode *mode, bool dac)
{
    memset(mode->palette, 0, sizeof(mode->palette));
    for (unsigned i = 0; i < (dac ? 256u : 16u); i++)
        mode->palette[i] = dac_colour(vga, dac ? i : attribute_index(vga, i));
}

uint32_t vga_start_address(const struct vga *vga)
{
    return vga->cr[0x0C] << 8 | vga->cr[0x0D];
}

static uint8_t font_offset(unsigned low, unsigned high)
{
    return low * 2 + high;
}

static void text_mode(const struct vga *vga, struct vga_mode *mode)
{
    uint8_t select = vga->sr[3];

    mode->kind = VGA_TEXT;
    mode->char_width = vga_char_dots(vga);
    mode->start = 0; /* scrolling by it changes cells, found by comparing them */
    mode->underline = vga->cr[0x14] & 0x1F;
    mode->fonts[0] = font_offset(select & 3, select >> 4 & 1);
    mode->fonts[1] = font_offset(select >> 2 & 3, select >> 5 & 1);
    mode->line_graphics = vga->ar[0x10] & AR10_LINE_GRAPHICS;
    mode->background = vga->ar[0x10] & AR10_BLINK ? 7 : 15;
    mode->pan = mode->char_width == 8       ? vga->ar[0x13] & 7
                : (vga->ar[0x13] & 15) == 8 ? 0
                                            : (vga->ar[0x13] & 7) + 1;
}

static void graphics_mode(const struct vga *vga, struct vga_mode *mode)
{
    mode->char_width = 8;
    mode->pan = vga->ar[0x13] & 7;
    if (vga->gr[5] & GR5_256) {
        mode->kind = VGA_256;
        mode->dot_shift++;
        mode->pan >>= 1;
        mode->dword = false; /* chain-4 memory is linear here: a count is a plane address as it is */
    } else if (vga->gr[5] & GR5_INTERLEAVE) {
        mode->kind = VGA_CGA;
    } else {
        mode->kind = VGA_PLANAR;
    }
}

/* The mode that the VGA registers give. */
static void crtc_mode(const struct vga *vga, struct vga_mode *mode)
{
    uint32_t dots, lines = vga_vertical(vga, 0x12, 1, 6) + 1;

    mode->columns = vga->cr[1] + 1;
    mode->pitch = vga->cr[0x13] * 2;
    mode->start = vga_start_address(vga) + (vga->cr[8] >> 5 & 3);
    mode->line_compare = vga_vertical(vga, 0x18, 4, 4) & 0x1FF;
    mode->line_compare |= (vga->cr[9] >> 6 & 1) << 9;
    mode->max_scan = vga->cr[9] & 0x1F;
    mode->preset_scan = vga->cr[8] & 0x1F;
    mode->double_scan = vga->cr[9] & 0x80;
    mode->dot_shift = vga->sr[1] & SR1_HALF_CLOCK ? 1 : 0;
    mode->pan_reset = vga->ar[0x10] & AR10_PAN_RESET;
    mode->addressing = vga->cr[0x17] & (CR17_CGA_ADDRESS | CR17_HERCULES_ADDRESS | CR17_WRAP | CR17_BYTE);
    mode->dword = vga->cr[0x14] & CR14_DWORD;
    mode->count_shift = vga->cr[0x14] & CR14_COUNT_BY_4 ? 2 : vga->cr[0x17] & CR17_COUNT_BY_2 ? 1 : 0;
    mode->address_mask = 0xFFFF;
    if (vga->cr[0x17] & CR17_HALF_LINES) {
        lines *= 2;
        mode->line_compare = mode->line_compare * 2 + 1;
    }
    if (vga->gr[6] & GR6_GRAPHICS)
        graphics_mode(vga, mode);
    else
        text_mode(vga, mode);
    dots = mode->columns * mode->char_width << (vga->sr[1] & SR1_HALF_CLOCK ? 1 : 0);
    mode->width = min_u64(dots, CRTC_MAX_WIDTH);
    mode->height = min_u64(lines, CRTC_MAX_HEIGHT);
    vga_set_palette(vga, mode, mode->kind == VGA_256);
}

bool vga_screen_off(const struct vga *vga)
{
    return vga->sr[1] & SR1_SCREEN_OFF || !(vga->ar_index & AR_INDEX_ENABLE);
}

/* A blank screen keeps its size: programs blank it while they change the mode. */
static void blank_mode(const struct vga *vga, struct vga_mode *mode)
{
    memset(mode, 0, sizeof(*mode));
    mode->kind = VGA_BLANK;
    mode->width = vga->last_width ? vga->last_width : DEFAULT_WIDTH;
    mode->height = vga->last_height ? vga->last_height : DEFAULT_HEIGHT;
}

static void find_mode(const struct vga *vga, struct vga_mode *mode)
{
    bool blank = vga_screen_off(vga) || !(vga->cr[0x17] & CR17_ENABLE);

    memset(mode, 0, sizeof(*mode));
    crtc_mode(vga, mode);
    if (vga->hooks->mode)
        vga->hooks->mode(vga->opaque, mode, &blank);
    if (blank)
        blank_mode(vga, mode);
}

/* ---- drawing ---- */

/* One drawing: the surface, and the rectangle of changed lines that is not reported yet. */
struct drawing {
    struct vga *vga;
    const struct vga_mode *mode;
    uint32_t *pixels;
    size_t stride; /* pixels */
    bool everything, changed;
    uint32_t x0, x1, y0, y1;
};

static void report(struct drawing *d)
{
    if (d->x1 > d->x0 && d->y1 > d->y0) {
        console_update(d->vga->machine->backends->console, d->x0, d->y0, d->x1 - d->x0, d->y1 - d->y0);
        d->changed = true;
    }
    d->x0 = d->x1 = d->y0 = d->y1 = 0;
}

/* Pixels [x0, x1) of lines [y0, y1) changed; joined with what is directly above. */
static void add_changed(struct drawing *d, uint32_t x0, uint32_t x1, uint32_t y0, uint32_t y1)
{
    if (d->y1 != y0)
        report(d);
    if (d->y1 == d->y0) {
        d->x0 = x0;
        d->x1 = x1;
        d->y0 = y0;
    } else {
        d->x0 = min_u64(d->x0, x0);
        d->x1 = x1 > d->x1 ? x1 : d->x1;
    }
    d->y1 = y1;
}

/* Puts a finished line on the surface; only pixels that are different count as changed. */
static void put_line(struct drawing *d, uint32_t y, uint32_t *line)
{
    uint32_t width = d->mode->width, x0 = 0, x1 = width, *to = d->pixels + d->stride * y;

    if (d->vga->hooks->overlay)
        d->vga->hooks->overlay(d->vga->opaque, y, line, width);
    if (!d->everything) {
        if (memcmp(to, line, width * sizeof(*line)) == 0)
            return;
        while (to[x0] == line[x0])
            x0++;
        while (to[x1 - 1] == line[x1 - 1])
            x1--;
    }
    memcpy(to + x0, line + x0, (x1 - x0) * sizeof(*line));
    add_changed(d, x0, x1, y, y + 1);
}

static void draw_blank(struct drawing *d)
{
    if (!d->everything)
        return;
    for (uint32_t y = 0; y < d->mode->height; y++)
        memset(d->pixels + d->stride * y, 0, d->mode->width * sizeof(*d->pixels));
    add_changed(d, 0, d->mode->width, 0, d->mode->height);
}

void vga_redraw(struct vga *vga, uint32_t y, uint32_t count)
{
    if (vga->redraw_y == vga->redraw_end) {
        vga->redraw_y = y;
        vga->redraw_end = y + count;
    } else {
        vga->redraw_y = min_u64(vga->redraw_y, y);
        vga->redraw_end = y + count > vga->redraw_end ? y + count : vga->redraw_end;
    }
}

/* Must line y, whose pixels lie at length bytes from offset (around the end of memory, too), be drawn? */
static bool line_dirty(const struct drawing *d, uint32_t y, uint64_t offset, uint64_t length)
{
    const struct vram *vram = &d->vga->vram;
    uint64_t first = vga_mask(d->vga, offset);

    return d->everything || (y >= d->vga->redraw_y && y < d->vga->redraw_end) ||
           vram_dirty(vram, first, length) ||
           (first + length > vram->size && vram_dirty(vram, 0, first + length - vram->size));
}

/* length bytes of memory from offset on, around its end. */
static const uint8_t *vga_line_bytes(struct vga *vga, uint64_t offset, uint32_t length)
{
    uint64_t first = vga_mask(vga, offset), part = vga->vram.size - first;

    if (length <= part)
        return vga->vram.host + first;
    memcpy(vga->bytes, vga->vram.host + first, part);
    memcpy(vga->bytes + part, vga->vram.host, length - part);
    return vga->bytes;
}

static uint32_t from_555(uint16_t p)
{
    uint32_t r = p >> 10 & 31, g = p >> 5 & 31, b = p & 31;

    return (r << 3 | r >> 2) << 16 | (g << 3 | g >> 2) << 8 | (b << 3 | b >> 2);
}

static uint32_t from_565(uint16_t p)
{
    uint32_t r = p >> 11, g = p >> 5 & 63, b = p & 31;

    return (r << 3 | r >> 2) << 16 | (g << 2 | g >> 4) << 8 | (b << 3 | b >> 2);
}

static void convert(const struct vga_mode *mode, const uint8_t *src, uint32_t *to)
{
    uint32_t width = mode->width;

    switch (mode->depth) {
    case 8:
        for (uint32_t x = 0; x < width; x++)
            to[x] = mode->palette[src[x]];
        break;
    case 15:
        for (uint32_t x = 0; x < width; x++)
            to[x] = from_555(src[2 * x] | src[2 * x + 1] << 8);
        break;
    case 16:
        for (uint32_t x = 0; x < width; x++)
            to[x] = from_565(src[2 * x] | src[2 * x + 1] << 8);
        break;
    case 24:
        for (uint32_t x = 0; x < width; x++)
            to[x] = src[3 * x] | src[3 * x + 1] << 8 | src[3 * x + 2] << 16;
        break;
    default:
        memcpy(to, src, width * sizeof(*to));
        break;
    }
}

static void draw_linear(struct drawing *d)
{
    const struct vga_mode *mode = d->mode;
    uint32_t bytes = mode->width * ((mode->depth + 7) / 8);
    uint64_t offset = mode->start;

    for (uint32_t y = 0; y < mode->height; y++) {
        if (y == mode->line_compare + 1)
            offset = 0;
        if (line_dirty(d, y, offset, bytes)) {
            convert(mode, vga_line_bytes(d->vga, offset, bytes), d->vga->line);
            put_line(d, y, d->vga->line);
        }
        if (!mode->double_scan || (y & 1))
            offset += mode->pitch;
    }
}

/* The plane address that the CRTC puts out for a count, in scan line row of a character row. */
static uint32_t crtc_address(const struct vga_mode *mode, uint32_t count, uint32_t row)
{
    uint32_t a = count;

    if (mode->dword)
        a = count << 2 | (count >> 14 & 3);
    else if (!(mode->addressing & CR17_BYTE) && mode->kind != VGA_256)
        a = count << 1 | (count >> (mode->addressing & CR17_WRAP ? 15 : 13) & 1);
    if (!(mode->addressing & CR17_CGA_ADDRESS))
        a = (a & ~0x2000u) | (row & 1) << 13;
    if (!(mode->addressing & CR17_HERCULES_ADDRESS))
        a = (a & ~0x4000u) | (row & 2) << 13;
    return a & mode->address_mask;
}

/* The beam's way down the screen: the CRTC's row counter and start of row for each scan line. */
struct beam {
    uint32_t count; /* of the row's first character */
    uint8_t row;    /* scan line in the character row */
    uint8_t pan;
    bool second; /* of a doubled line */
};

static struct beam beam_start(const struct vga_mode *mode, uint64_t start)
{
    uint8_t row = mode->preset_scan > mode->max_scan ? mode->max_scan : mode->preset_scan;

    return (struct beam){.count = start, .row = row, .pan = mode->pan};
}

/* From scan line y to the next. */
static void beam_next(struct beam *beam, const struct vga_mode *mode, uint32_t y)
{
    if (y == mode->line_compare) {
        *beam = (struct beam){.pan = mode->pan_reset ? 0 : beam->pan};
        return;
    }
    beam->second = mode->double_scan && !beam->second;
    if (beam->second)
        return;
    if (beam->row++ == mode->max_scan) {
        beam->row = 0;
        beam->count += mode->pitch;
    }
}

/* Bit 7 - k of the byte to byte k of the result. */
static uint64_t spread(uint8_t bits)
{
    uint64_t each = bits * 0x0101010101010101ull & 0x0102040810204080ull;

    return (each + 0x7F7F7F7F7F7F7F7Full) >> 7 & 0x0101010101010101ull;
}

/* The 8 pixels of a character clock's four bytes (4 of VGA_256) as palette indexes. */
static void shift_out(uint32_t kind, uint32_t group, uint8_t *to)
{
    uint64_t pixels;

    switch (kind) {
    case VGA_256:
        memcpy(to, &group, 4);
        break;
    case VGA_CGA:
        for (int i = 0; i < 4; i++) {
            int shift = 6 - 2 * i;

            to[i] = (group >> shift & 3) | (group >> (16 + shift) & 3) << 2;
            to[4 + i] = (group >> (8 + shift) & 3) | (group >> (24 + shift) & 3) << 2;
        }
        break;
    default:
        pixels =
            spread(group) | spread(group >> 8) << 1 | spread(group >> 16) << 2 | spread(group >> 24) << 3;
        memcpy(to, &pixels, 8);
        break;
    }
}

static void convert_crtc(struct drawing *d, const struct beam *beam)
{
    const struct vga_mode *mode = d->mode;
    uint8_t *pixels = d->vga->bytes;
    unsigned per_group = mode->kind == VGA_256 ? 4 : 8;
    uint32_t *line = d->vga->line;

    /* One more group than is seen: panning shows a part of it. */
    for (uint32_t i = 0; i <= mode->columns; i++)
        shift_out(
            mode->kind,
            vga_load_planes(d->vga, crtc_address(mode, beam->count + (i >> mode->count_shift), beam->row)),
            pixels + i * per_group);
    pixels += beam->pan;
    for (uint32_t x = 0; x < mode->width; x++)
        line[x] = mode->palette[pixels[x >> mode->dot_shift]];
}

static bool crtc_line_dirty(const struct drawing *d, uint32_t y, const struct beam *beam)
{
    uint64_t first = crtc_address(d->mode, beam->count, beam->row);
    uint64_t last =
        crtc_address(d->mode, beam->count + (d->mode->columns >> d->mode->count_shift), beam->row);

    if (last < first) { /* around the end of the planes */
        first = 0;
        last = d->mode->address_mask;
    }
    return line_dirty(d, y, first * 4, (last - first + 1) * 4);
}

static void draw_crtc(struct drawing *d)
{
    struct beam beam = beam_start(d->mode, d->mode->start);

    for (uint32_t y = 0; y < d->mode->height; y++) {
        if (crtc_line_dirty(d, y, &beam)) {
            convert_crtc(d, &beam);
            put_line(d, y, d->vga->line);
        }
        beam_next(&beam, d->mode, y);
    }
}

/* ---- text ---- */

/* Copies the fonts out of plane 2; true: they are others than those on the screen. */
static bool load_fonts(struct vga *vga, const struct vga_mode *mode)
{
    bool changed = false;

    for (unsigned f = 0; f < 2; f++) {
        uint32_t base = mode->fonts[f] * FONT_BYTES;
        uint8_t *font = vga->font + f * FONT_BYTES;

        for (unsigned i = 0; i < FONT_BYTES; i++) {
            uint8_t bits = vga_load_planes(vga, base + i) >> 16;

            changed |= font[i] != bits;
            font[i] = bits;
        }
    }
    return changed;
}

/* A text row's piece on the screen: all of it, or what preset scan, split or the screen's end leave. */
struct text_row {
    uint32_t y, lines;
    uint8_t scan; /* of the first line */
    const struct beam *beam;
};

/* Where the cursor is, and its scan lines; last < first: there is none. */
struct text_cursor {
    uint32_t count;
    uint8_t first, last;
};

static struct text_cursor find_cursor(const struct vga *vga)
{
    struct text_cursor cursor = {
        .count = ((vga->cr[0x0E] << 8 | vga->cr[0x0F]) + (vga->cr[0x0B] >> 5 & 3)) & 0xFFFF,
        .first = vga->cr[0x0A] & 0x1F,
        .last = vga->cr[0x0B] & 0x1F,
    };

    if (vga->cr[0x0A] & CR0A_CURSOR_OFF)
        cursor = (struct text_cursor){.first = 1, .last = 0};
    return cursor;
}

/* The dots of one scan line of a character, the leftmost in bit 8. */
static unsigned glyph_dots(const struct drawing *d, uint32_t cell, unsigned scan)
{
    const struct vga_mode *mode = d->mode;
    uint8_t ch = cell, attr = cell >> 8,
            bits = d->vga->font[(attr >> 3 & 1) * FONT_BYTES + ch * GLYPH_BYTES + scan];
    unsigned first = cell >> 17 & 31, last = cell >> 22 & 31;

    if (cell & SHADOW_CURSOR && scan >= first && scan <= last)
        return 0x1FF;
    if ((attr & 0x77) == 0x01 && scan == mode->underline)
        return 0x1FF;
    return bits << 1 | (mode->line_graphics && (ch & 0xE0) == 0xC0 ? bits & 1 : 0);
}

static void draw_cell(struct drawing *d, const struct text_row *row, int64_t x, uint32_t cell)
{
    const struct vga_mode *mode = d->mode;
    uint32_t fg = mode->palette[cell >> 8 & 15], bg = mode->palette[cell >> 12 & mode->background];
    unsigned width = mode->char_width << mode->dot_shift;

    for (uint32_t i = 0; i < row->lines; i++) {
        unsigned dots = glyph_dots(d, cell, row->scan + (i >> mode->double_scan));
        uint32_t *to = d->pixels + d->stride * (row->y + i);

        for (unsigned k = 0; k < width; k++)
            if (x + k >= 0 && x + k < mode->width)
                to[x + k] = dots << (k >> mode->dot_shift) & 0x100 ? fg : bg;
    }
}

/* A cell as it is to be drawn: character, attribute, and in the cursor's place the cursor's lines. */
static uint32_t find_cell(const struct drawing *d, uint32_t count, const struct text_cursor *cursor)
{
    uint32_t cell = vga_load_planes(d->vga, crtc_address(d->mode, count, 0)) & 0xFFFF;

    if ((count & 0xFFFF) == cursor->count && cursor->first <= cursor->last)
        cell |= SHADOW_CURSOR | (uint32_t)cursor->first << 17 | (uint32_t)cursor->last << 22;
    return cell;
}

static void draw_text_row(struct drawing *d, const struct text_row *row, const struct text_cursor *cursor,
                          uint32_t *shadow)
{
    const struct vga_mode *mode = d->mode;
    int64_t width = mode->char_width << mode->dot_shift, pan = row->beam->pan << mode->dot_shift;
    uint32_t columns = mode->columns + (pan > 0), from = columns, to = 0;

    for (uint32_t i = 0; i < columns; i++) {
        uint32_t cell = find_cell(d, row->beam->count + (i >> mode->count_shift), cursor);

        if (!d->everything && shadow && shadow[i] == cell)
            continue;
        draw_cell(d, row, i * width - pan, cell);
        if (shadow)
            shadow[i] = cell;
        from = min_u64(from, i);
        to = i + 1;
    }
    if (to > from) {
        int64_t x0 = from * width - pan, x1 = to * width - pan;

        x0 = x0 < 0 ? 0 : x0;
        x1 = x1 > mode->width ? mode->width : x1;
        if (x1 > x0)
            add_changed(d, x0, x1, row->y, row->y + row->lines);
    }
}

static void draw_text(struct drawing *d)
{
    const struct vga_mode *mode = d->mode;
    struct vga *vga = d->vga;
    struct text_cursor cursor = find_cursor(vga);
    struct beam beam = beam_start(mode, vga_start_address(vga) + (vga->cr[8] >> 5 & 3));
    uint32_t cells = mode->columns + 1, used = 0;

    if (load_fonts(vga, mode))
        d->everything = true;
    for (uint32_t y = 0; y < mode->height;) {
        struct beam here = beam;
        struct text_row row = {.y = y, .scan = beam.row, .beam = &here};

        /* All the lines that show this row, up to the next row or the split. */
        do
            beam_next(&beam, mode, y++);
        while (y < mode->height && beam.count == here.count && beam.row + beam.second > row.scan);
        row.lines = y - row.y;
        draw_text_row(d, &row, &cursor, used + cells <= SHADOW_CELLS ? vga->shadow + used : NULL);
        used += cells;
    }
}

/* ---- all of it ---- */

/* The surface of the mode's size; false: there is no memory for it. */
static bool fit_surface(struct drawing *d)
{
    struct console *con = d->vga->machine->backends->console;
    pixman_image_t *surface = console_surface(con);

    if (!surface || pixman_image_get_width(surface) != (int)d->mode->width ||
        pixman_image_get_height(surface) != (int)d->mode->height) {
        if (!console_resize(con, d->mode->width, d->mode->height)) {
            struct vga_mode black;

            blank_mode(d->vga, &black);
            if (!surface) /* there is always a picture */
                console_resize(con, black.width, black.height);
            return false;
        }
        surface = console_surface(con);
        d->everything = true;
    }
    d->pixels = pixman_image_get_data(surface);
    d->stride = pixman_image_get_stride(surface) / sizeof(*d->pixels);
    return true;
}

static void fetch_writes(struct vga *vga)
{
    const struct accel_ops *accel = vga->machine->accel;

    if (accel->drain)
        accel->drain(vga->machine);
    vram_sync(&vga->vram);
}

bool vga_render(struct vga *vga, bool everything)
{
    static void (*const draw[])(struct drawing *) = {
        [VGA_BLANK] = draw_blank, [VGA_TEXT] = draw_text, [VGA_PLANAR] = draw_crtc,
        [VGA_CGA] = draw_crtc,    [VGA_256] = draw_crtc,  [VGA_LINEAR] = draw_linear,
    };
    struct vga_mode mode;
    struct drawing d = {.vga = vga, .mode = &mode, .everything = everything};

    fetch_writes(vga);
    find_mode(vga, &mode);
    if (memcmp(&mode, &vga->shown, sizeof(mode)) != 0)
        d.everything = true;
    if (!fit_surface(&d))
        return false;
    draw[mode.kind](&d);
    report(&d);
    vram_clear(&vga->vram);
    vga->redraw_y = vga->redraw_end = 0;
    vga->last_width = mode.width;
    vga->last_height = mode.height;
    memcpy(&vga->shown, &mode, sizeof(mode)); /* with its padding: compared by memcmp */
    return d.changed;
}

/* ---- life ---- */

bool vga_render_init(struct vga *vga)
{
    vga->shadow = calloc(SHADOW_CELLS, sizeof(*vga->shadow));
    vga->font = calloc(2, FONT_BYTES);
    vga->line = calloc(VGA_MAX_WIDTH, sizeof(*vga->line));
    vga->bytes = calloc(VGA_MAX_WIDTH, sizeof(uint32_t));
    if (vga->shadow && vga->font && vga->line && vga->bytes)
        return true;
    vga_render_destroy(vga);
    return false;
}

void vga_render_destroy(struct vga *vga)
{
    free(vga->shadow);
    free(vga->font);
    free(vga->line);
    free(vga->bytes);
}
