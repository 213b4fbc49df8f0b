/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/display/vga.h"

#include <stdlib.h>
#include <string.h>

#include "machine/machine.h"

enum {
    WINDOW_BASE = 0xA0000,
    WINDOW_SIZE = 0x20000,
    PORT_BASE = 0x3B0,
    PORT_COUNT = 0x30,
    CRTC_MAX_WIDTH = 2560,
    CRTC_MAX_HEIGHT = 2048,
    FONT_GLYPHS = 256,
    GLYPH_BYTES = 32,
    FONT_BYTES = FONT_GLYPHS * GLYPH_BYTES,
    SHADOW_CELLS = 65536,
    MANY_WRITES = 128,
    SHADOW_CURSOR = 1u << 16,
    DEFAULT_WIDTH = 720,
    DEFAULT_HEIGHT = 400,
};

enum {
    MISC_COLOUR = 0x01,
    MISC_RAM_ENABLE = 0x02,
    MISC_CLOCK_28 = 0x04,
    SR1_8_DOTS = 0x01,
    SR1_HALF_CLOCK = 0x08,
    SR1_SCREEN_OFF = 0x20,
    SR4_NOT_ODD_EVEN = 0x04,
    SR4_CHAIN_4 = 0x08,
    GR5_READ_MODE_1 = 0x08,
    GR5_ODD_EVEN = 0x10,
    GR5_INTERLEAVE = 0x20,
    GR5_256 = 0x40,
    GR6_GRAPHICS = 0x01,
    GR6_CHAIN_ODD_EVEN = 0x02,
    CR0A_CURSOR_OFF = 0x20,
    CR11_PROTECT = 0x80,
    CR14_COUNT_BY_4 = 0x20,
    CR14_DWORD = 0x40,
    CR17_CGA_ADDRESS = 0x01,      /* clear: address bit 13 is scan line bit 0 */
    CR17_HERCULES_ADDRESS = 0x02, /* clear: address bit 14 is scan line bit 1 */
    CR17_HALF_LINES = 0x04,
    CR17_COUNT_BY_2 = 0x08,
    CR17_WRAP = 0x20,
    CR17_BYTE = 0x40,
    CR17_ENABLE = 0x80,
    AR10_LINE_GRAPHICS = 0x04,
    AR10_BLINK = 0x08,
    AR10_PAN_RESET = 0x20,
    AR10_PALETTE_54 = 0x80,
    AR_INDEX_ENABLE = 0x20, /* palette address source: the screen is on */
};

/* Bit p of the nibble, spread over the byte of plane p. */
static const uint32_t planes[16] = {
    0x00000000, 0x000000FF, 0x0000FF00, 0x0000FFFF, 0x00FF0000, 0x00FF00FF, 0x00FFFF00, 0x00FFFFFF,
    0xFF000000, 0xFF0000FF, 0xFF00FF00, 0xFF00FFFF, 0xFFFF0000, 0xFFFF00FF, 0xFFFFFF00, 0xFFFFFFFF,
};

/* ---- display memory ---- */

/* The four bytes at plane address a. */
static uint32_t load_planes(const struct vga *vga, uint64_t a)
{
    uint32_t value;

    memcpy(&value, vga->vram.host + vga_mask(vga, a * 4), sizeof(value));
    return value;
}

static void store_planes(struct vga *vga, uint64_t a, uint32_t value)
{
    memcpy(vga->vram.host + vga_mask(vga, a * 4), &value, sizeof(value));
}

void vga_changed(struct vga *vga)
{
    console_touch(vga->machine->console);
}

/* The offset in the 64 KiB (or 128 KiB) that GR6 maps; false: the address is not ours. */
static bool map_window(const struct vga *vga, uint32_t *offset)
{
    static const struct {
        uint32_t base, size;
    } maps[4] = {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};
    unsigned map = vga->gr[6] >> 2 & 3;

    if (!(vga->misc & MISC_RAM_ENABLE) || *offset < maps[map].base ||
        *offset - maps[map].base >= maps[map].size)
        return false;
    *offset -= maps[map].base;
    return true;
}

static uint32_t banked(const struct vga *vga, uint32_t offset)
{
    return vga->bank[offset >> 15 & 1] + (offset & 0x17FFF);
}

static bool vga_is_packed(const struct vga *vga)
{
    return vga->packed || (vga->sr[4] & SR4_CHAIN_4);
}

/* Where an address selects the plane by its bit 0, the planes see it without that bit (of 128 KiB: with bit
 * 16 instead). */
static uint32_t plane_address(const struct vga *vga, uint32_t offset)
{
    uint32_t a = offset & 0xFFFF;

    if (vga->gr[6] & GR6_CHAIN_ODD_EVEN)
        a = (a & ~1u) | (offset >> 16 & 1);
    return banked(vga, a);
}

static uint8_t read_planar(struct vga *vga, uint32_t offset)
{
    unsigned plane = vga->gr[4] & 3;
    uint32_t differ;

    vga->latch = load_planes(vga, plane_address(vga, offset));
    if (vga->gr[5] & GR5_READ_MODE_1) {
        differ = (vga->latch ^ planes[vga->gr[2] & 15]) & planes[vga->gr[7] & 15];
        differ |= differ >> 16;
        return ~(differ | differ >> 8);
    }
    if (vga->gr[5] & GR5_ODD_EVEN)
        plane = (plane & 2) | (offset & 1);
    return vga->latch >> 8 * plane;
}

static uint32_t combine(const struct vga *vga, uint32_t value)
{
    switch (vga->gr[3] >> 3 & 3) {
    case 1:
        return value & vga->latch;
    case 2:
        return value | vga->latch;
    case 3:
        return value ^ vga->latch;
    default:
        return value;
    }
}

/* What a write of value puts into the four planes. */
static uint32_t planar_value(const struct vga *vga, uint8_t value)
{
    unsigned rotate = vga->gr[3] & 7;
    uint8_t rotated = value >> rotate | value << (8 - rotate);
    uint32_t set_reset = planes[vga->gr[0] & 15], enable = planes[vga->gr[1] & 15];
    uint32_t bits = vga->gr[8], data;

    switch (vga->gr[5] & 3) {
    case 0:
        data = (rotated * 0x01010101u & ~enable) | (set_reset & enable);
        break;
    case 1:
        return vga->latch;
    case 2:
        data = planes[value & 15];
        break;
    default:
        data = set_reset;
        bits &= rotated;
        break;
    }
    bits *= 0x01010101u;
    return (combine(vga, data) & bits) | (vga->latch & ~bits);
}

static void write_planar(struct vga *vga, uint32_t offset, uint8_t value)
{
    uint32_t mask = planes[vga->sr[2] & 15], a = plane_address(vga, offset);

    if (!(vga->sr[4] & SR4_NOT_ODD_EVEN))
        mask &= offset & 1 ? 0xFF00FF00 : 0x00FF00FF;
    store_planes(vga, a, (load_planes(vga, a) & ~mask) | (planar_value(vga, value) & mask));
}

/* Is the window 64 KiB of packed memory without side effects? */
static bool vga_is_plain(const struct vga *vga)
{
    return vga_is_packed(vga) && (vga->packed || (vga->sr[2] & 15) == 15) && (vga->misc & MISC_RAM_ENABLE) &&
           (vga->gr[6] >> 2 & 3) == 1 && vga->bank[1] == vga->bank[0] + 0x8000 &&
           vga->bank[0] % VRAM_PAGE == 0 && vga->bank[0] + 0x10000ull <= vga->vram.size &&
           (!vga->hooks->window_plain || vga->hooks->window_plain(vga->opaque));
}

void vga_window_changed(struct vga *vga)
{
    vga->window_writes = 0;
    if (vga->vram.window.mapped && (!vga_is_plain(vga) || vga->vram.window_start != vga->bank[0]))
        vram_hide_window(&vga->vram);
}

/*
 * A guest that writes a lot through the window (clears a bank, draws in mode 13h) gets the memory itself
 * there. Not at once: moving the mapping costs as much as some hundred trapped writes.
 */
static void count_write(struct vga *vga)
{
    if (++vga->window_writes == MANY_WRITES && vga_is_plain(vga))
        vram_show_window(&vga->vram, WINDOW_BASE, vga->bank[0], 0x10000);
}

static uint64_t vga_window_read(void *opaque, uint64_t offset, unsigned size)
{
    struct vga *vga = opaque;
    uint32_t at = offset, value = 0;

    if (vga->hooks->window_read && vga->hooks->window_read(vga->opaque, at, size, &value))
        return value;
    if (!map_window(vga, &at))
        return UINT64_MAX;
    for (unsigned i = 0; i < size; i++, at++) {
        uint8_t byte =
            vga_is_packed(vga) ? vga->vram.host[vga_mask(vga, banked(vga, at))] : read_planar(vga, at);

        value |= (uint32_t)byte << 8 * i;
    }
    return value;
}

static void write_packed(struct vga *vga, uint32_t at, unsigned size, uint32_t value)
{
    uint32_t first = vga_mask(vga, banked(vga, at));
    unsigned map = vga->packed ? 15 : vga->sr[2] & 15;

    if (map == 15 && (at & 0x7FFF) + size <= 0x8000 && first + size <= vga->vram.size) {
        memcpy(vga->vram.host + first, &value, size);
        vram_mark(&vga->vram, first, size);
        return;
    }
    for (unsigned i = 0; i < size; i++, value >>= 8) {
        uint32_t to = vga_mask(vga, banked(vga, at + i));

        if (map >> (to & 3) & 1) {
            vga->vram.host[to] = value;
            vram_mark(&vga->vram, to, 1);
        }
    }
}

static void vga_window_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct vga *vga = opaque;
    uint32_t at = offset;

    if (vga->hooks->window_write && vga->hooks->window_write(vga->opaque, at, size, value))
        return;
    if (!map_window(vga, &at))
        return;
    if (vga_is_packed(vga)) {
        write_packed(vga, at, size, value);
        count_write(vga);
        return;
    }
    for (unsigned i = 0; i < size; i++, at++, value >>= 8) {
        write_planar(vga, at, value);
        vram_mark(&vga->vram, vga_mask(vga, (uint64_t)plane_address(vga, at) * 4), 4);
    }
}

static const struct region_ops window_ops = {
    .read = vga_window_read, .write = vga_window_write, .max_size = 4};

/* ---- registers ---- */

static unsigned vertical(const struct vga *vga, unsigned low, unsigned bit8, unsigned bit9)
{
    return vga->cr[low] | (vga->cr[7] >> bit8 & 1) << 8 | (vga->cr[7] >> bit9 & 1) << 9;
}

static unsigned char_dots(const struct vga *vga)
{
    return vga->sr[1] & SR1_8_DOTS ? 8 : 9;
}

/*
 * Input status 1, from the time: where the beam would be. Vertical retrace is told until the end of the
 * frame, not for its two lines only: a guest whose reads take long would else miss most of them.
 */
static uint8_t input_status_1(const struct vga *vga)
{
    int64_t clock = vga->misc & MISC_CLOCK_28 ? 28322000 : 25175000;
    unsigned htotal = vga->cr[0] + 5, hend = vga->cr[1] + 1u;
    unsigned vtotal = vertical(vga, 6, 0, 5) + 2, vend = vertical(vga, 0x12, 1, 6) + 1,
             vsync = vertical(vga, 0x10, 2, 7);
    int64_t line_ns = htotal * char_dots(vga) * NS_PER_SECOND / clock << !!(vga->sr[1] & SR1_HALF_CLOCK), at;
    unsigned line, column;
    uint8_t status = 0;

    if (vsync == 0 || vsync >= vtotal)
        vsync = vtotal - 1;
    at = clock_now(&vga->machine->clock) % (line_ns * vtotal);
    line = at / line_ns;
    column = at % line_ns * htotal / line_ns;
    if (line >= vend || line >= vsync || column >= hend)
        status |= 0x01;
    if (line >= vsync)
        status |= 0x08;
    return status;
}

static uint8_t read_dac(struct vga *vga)
{
    uint8_t value = vga->dac[3 * vga->dac_read_index + vga->dac_component];

    if (++vga->dac_component == 3) {
        vga->dac_component = 0;
        vga->dac_read_index++;
    }
    return value;
}

static void write_dac(struct vga *vga, uint8_t value)
{
    vga->dac_latch[vga->dac_component] = vga->dac8 ? value : value & 0x3F;
    if (++vga->dac_component < 3)
        return;
    vga->dac_component = 0;
    memcpy(&vga->dac[3 * vga->dac_write_index++], vga->dac_latch, 3);
    vga_changed(vga);
}

static void write_attribute(struct vga *vga, uint8_t value)
{
    vga->ar_data = !vga->ar_data;
    if (vga->ar_data)
        vga->ar_index = value & 0x3F;
    else if ((vga->ar_index & 0x1F) <= 0x14)
        vga->ar[vga->ar_index & 0x1F] = value;
    vga_changed(vga);
}

static void vga_write_sequencer(struct vga *vga, uint8_t value)
{
    if (vga->sr_index >= 5)
        return;
    vga->sr[vga->sr_index] = value;
    vga_window_changed(vga);
    if (vga->sr_index != 2)
        vga_changed(vga);
}

static void vga_write_graphics(struct vga *vga, uint8_t value)
{
    if (vga->gr_index >= 9)
        return;
    vga->gr[vga->gr_index] = value;
    if (vga->gr_index != 5 && vga->gr_index != 6)
        return;
    vga_window_changed(vga);
    vga_changed(vga);
}

static void write_crtc(struct vga *vga, uint8_t value)
{
    uint8_t *reg = &vga->cr[vga->cr_index & 0x1F];

    if (vga->cr_index > 0x18)
        return;
    if (vga->cr_index < 7 && vga->cr[0x11] & CR11_PROTECT)
        return;
    if (vga->cr_index == 7 && vga->cr[0x11] & CR11_PROTECT)
        value = (*reg & ~0x10) | (value & 0x10); /* bit 8 of line compare stays open */
    *reg = value;
    vga_changed(vga);
}

/* The CRTC, status and feature registers answer at 0x3Bx or 0x3Dx. Returns the port as 0x3Dx; 0: nobody
 * answers. */
static uint16_t vga_decode(const struct vga *vga, uint16_t port)
{
    if (port >= 0x3C0 && port < 0x3D0)
        return port;
    if ((port >= 0x3D0) != !!(vga->misc & MISC_COLOUR))
        return 0;
    return 0x3D0 | (port & 15);
}

uint8_t vga_port_read(struct vga *vga, uint16_t port)
{
    uint8_t value;

    port = vga_decode(vga, port);
    if (vga->hooks->port_read && vga->hooks->port_read(vga->opaque, port, &value))
        return value;
    switch (port) {
    case 0x3C0:
        return vga->ar_index;
    case 0x3C1:
        return (vga->ar_index & 0x1F) <= 0x14 ? vga->ar[vga->ar_index & 0x1F] : 0;
    case 0x3C2:
        return 0x10; /* switch sense: a colour monitor is there */
    case 0x3C4:
        return vga->sr_index;
    case 0x3C5:
        return vga->sr_index < 5 ? vga->sr[vga->sr_index] : 0;
    case 0x3C6:
        return vga->dac_mask;
    case 0x3C7:
        return vga->dac_reading ? 3 : 0;
    case 0x3C8:
        return vga->dac_write_index;
    case 0x3C9:
        return read_dac(vga);
    case 0x3CA:
        return vga->feature;
    case 0x3CC:
        return vga->misc;
    case 0x3CE:
        return vga->gr_index;
    case 0x3CF:
        return vga->gr_index < 9 ? vga->gr[vga->gr_index] : 0;
    case 0x3D4:
        return vga->cr_index;
    case 0x3D5:
        return vga->cr_index <= 0x18 ? vga->cr[vga->cr_index] : 0;
    case 0x3DA:
        vga->ar_data = false;
        return input_status_1(vga);
    default:
        return 0xFF;
    }
}

void vga_port_write(struct vga *vga, uint16_t port, uint8_t value)
{
    port = vga_decode(vga, port);
    if (vga->hooks->port_write && vga->hooks->port_write(vga->opaque, port, value))
        return;
    switch (port) {
    case 0x3C0:
        write_attribute(vga, value);
        break;
    case 0x3C2:
        vga->misc = value;
        vga_window_changed(vga);
        vga_changed(vga);
        break;
    case 0x3C4:
        vga->sr_index = value;
        break;
    case 0x3C5:
        vga_write_sequencer(vga, value);
        break;
    case 0x3C6:
        vga->dac_mask = value;
        vga_changed(vga);
        break;
    case 0x3C7:
        vga->dac_read_index = value;
        vga->dac_component = 0;
        vga->dac_reading = true;
        break;
    case 0x3C8:
        vga->dac_write_index = value;
        vga->dac_component = 0;
        vga->dac_reading = false;
        break;
    case 0x3C9:
        write_dac(vga, value);
        break;
    case 0x3CE:
        vga->gr_index = value;
        break;
    case 0x3CF:
        vga_write_graphics(vga, value);
        break;
    case 0x3D4:
        vga->cr_index = value;
        break;
    case 0x3D5:
        write_crtc(vga, value);
        break;
    case 0x3DA:
        vga->feature = value;
        break;
    }
}

static uint64_t vga_ports_read(void *opaque, uint64_t offset, unsigned size)
{
    return vga_port_read(opaque, PORT_BASE + offset);
}

static void vga_ports_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    vga_port_write(opaque, PORT_BASE + offset, value);
}

static const struct region_ops port_ops = {.read = vga_ports_read, .write = vga_ports_write, .max_size = 1};

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

static uint32_t min32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint8_t font_offset(unsigned low, unsigned high)
{
    return low * 2 + high;
}

static void text_mode(const struct vga *vga, struct vga_mode *mode)
{
    uint8_t select = vga->sr[3];

    mode->kind = VGA_TEXT;
    mode->char_width = char_dots(vga);
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
    uint32_t dots, lines = vertical(vga, 0x12, 1, 6) + 1;

    mode->columns = vga->cr[1] + 1;
    mode->pitch = vga->cr[0x13] * 2;
    mode->start = vga_start_address(vga) + (vga->cr[8] >> 5 & 3);
    mode->line_compare = vertical(vga, 0x18, 4, 4) & 0x1FF;
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
    mode->width = min32(dots, CRTC_MAX_WIDTH);
    mode->height = min32(lines, CRTC_MAX_HEIGHT);
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
    mode->width = vga->shown.width ? vga->shown.width : DEFAULT_WIDTH;
    mode->height = vga->shown.height ? vga->shown.height : DEFAULT_HEIGHT;
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
        console_update(d->vga->machine->console, d->x0, d->y0, d->x1 - d->x0, d->y1 - d->y0);
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
        d->x0 = min32(d->x0, x0);
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
        vga->redraw_y = min32(vga->redraw_y, y);
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
        shift_out(mode->kind,
                  load_planes(d->vga, crtc_address(mode, beam->count + (i >> mode->count_shift), beam->row)),
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
            uint8_t bits = load_planes(vga, base + i) >> 16;

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
    uint32_t cell = load_planes(d->vga, crtc_address(d->mode, count, 0)) & 0xFFFF;

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
        from = min32(from, i);
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

/* ---- the console's source ---- */

/* The surface of the mode's size; false: there is no memory for it. */
static bool fit_surface(struct drawing *d)
{
    struct console *con = d->vga->machine->console;
    pixman_image_t *surface = console_surface(con);

    if (!surface || pixman_image_get_width(surface) != (int)d->mode->width ||
        pixman_image_get_height(surface) != (int)d->mode->height) {
        if (!console_resize(con, d->mode->width, d->mode->height))
            return false;
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

static bool vga_refresh(void *opaque, bool everything)
{
    static void (*const draw[])(struct drawing *) = {
        [VGA_BLANK] = draw_blank, [VGA_TEXT] = draw_text, [VGA_PLANAR] = draw_crtc,
        [VGA_CGA] = draw_crtc,    [VGA_256] = draw_crtc,  [VGA_LINEAR] = draw_linear,
    };
    struct vga *vga = opaque;
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
    memcpy(&vga->shown, &mode, sizeof(mode)); /* with its padding: compared by memcmp */
    return d.changed;
}

/* While quiet, a write to the window must be seen at once; else it may come late. */
static void vga_watch(void *opaque, enum console_watch watch)
{
    static const enum vram_watch how[] = {
        [CONSOLE_UNWATCHED] = VRAM_UNWATCHED, [CONSOLE_ARMED] = VRAM_ARMED, [CONSOLE_ACTIVE] = VRAM_LOGGED};
    struct vga *vga = opaque;
    const struct accel_ops *accel = vga->machine->accel;

    if (accel->coalesce)
        accel->coalesce(vga->machine, &vga->window, watch != CONSOLE_ARMED);
    vram_set_watch(&vga->vram, how[watch]);
}

static void touched(void *opaque)
{
    vga_changed(opaque);
}

/* ---- life ---- */

static bool alloc_drawing(struct vga *vga)
{
    vga->shadow = calloc(SHADOW_CELLS, sizeof(*vga->shadow));
    vga->font = calloc(2, FONT_BYTES);
    vga->line = calloc(VGA_MAX_WIDTH, sizeof(*vga->line));
    vga->bytes = calloc(VGA_MAX_WIDTH, sizeof(uint32_t));
    return vga->shadow && vga->font && vga->line && vga->bytes;
}

static void free_drawing(struct vga *vga)
{
    free(vga->shadow);
    free(vga->font);
    free(vga->line);
    free(vga->bytes);
}

bool vga_init(struct vga *vga, struct machine *m, uint64_t vram_size, const struct vga_hooks *hooks,
              void *opaque, struct error *err)
{
    vga->machine = m;
    vga->hooks = hooks;
    vga->opaque = opaque;
    if (!alloc_drawing(vga)) {
        free_drawing(vga);
        return error_set(err, "vga: no memory");
    }
    if (!vram_init(&vga->vram, m, "vga.vram", vram_size, err)) {
        free_drawing(vga);
        return false;
    }
    vga->vram.touched = touched;
    vga->vram.opaque = vga;
    machine_map_ports(m, &vga->ports, "vga", &port_ops, vga, PORT_BASE, PORT_COUNT);
    vga->window = (struct region){.name = "vga.window",
                                  .size = WINDOW_SIZE,
                                  .ops = &window_ops,
                                  .opaque = vga,
                                  .flags = REGION_COALESCE,
                                  .priority = PRIORITY_BOARD};
    bus_map(&m->bus, SPACE_MEM, &vga->window, WINDOW_BASE);
    vga_reset(vga);
    vga->source = (struct console_source){.refresh = vga_refresh, .watch = vga_watch, .opaque = vga};
    console_set_source(m->console, &vga->source);
    return true;
}

void vga_destroy(struct vga *vga)
{
    console_set_source(vga->machine->console, NULL);
    bus_unmap(&vga->machine->bus, &vga->window);
    bus_unmap(&vga->machine->bus, &vga->ports);
    vram_destroy(&vga->vram);
    free_drawing(vga);
}

void vga_reset(struct vga *vga)
{
    vga->misc = vga->feature = 0;
    vga->sr_index = vga->gr_index = vga->cr_index = vga->ar_index = 0;
    vga->ar_data = vga->dac_reading = vga->packed = vga->dac8 = false;
    memset(vga->sr, 0, sizeof(vga->sr));
    memset(vga->gr, 0, sizeof(vga->gr));
    memset(vga->cr, 0, sizeof(vga->cr));
    memset(vga->ar, 0, sizeof(vga->ar));
    memset(vga->dac, 0, sizeof(vga->dac));
    memset(vga->dac_latch, 0, sizeof(vga->dac_latch));
    vga->dac_mask = 0xFF;
    vga->dac_read_index = vga->dac_write_index = vga->dac_component = 0;
    vga->latch = 0;
    vga->bank[0] = 0;
    vga->bank[1] = 0x8000;
    vga_window_changed(vga);
    vga_changed(vga);
}

void vga_loaded(struct vga *vga)
{
    vga_window_changed(vga);
    memset(&vga->shown, 0, sizeof(vga->shown)); /* no mode is like it: all is drawn anew */
    vga_changed(vga);
}

const struct state_field vga_state[] = {
    STATE_FIELD(struct vga, misc),
    STATE_FIELD(struct vga, feature),
    STATE_FIELD(struct vga, sr_index),
    STATE_FIELD(struct vga, gr_index),
    STATE_FIELD(struct vga, cr_index),
    STATE_FIELD_MAX(struct vga, ar_index, 0x3F),
    STATE_FIELD_MAX(struct vga, ar_data, 1),
    STATE_ARRAY(struct vga, sr),
    STATE_ARRAY(struct vga, gr),
    STATE_ARRAY(struct vga, cr),
    STATE_ARRAY(struct vga, ar),
    STATE_FIELD(struct vga, dac_mask),
    STATE_FIELD(struct vga, dac_read_index),
    STATE_FIELD(struct vga, dac_write_index),
    STATE_FIELD_MAX(struct vga, dac_component, 2),
    STATE_FIELD_MAX(struct vga, dac_reading, 1),
    STATE_ARRAY(struct vga, dac_latch),
    STATE_ARRAY(struct vga, dac),
    STATE_FIELD(struct vga, latch),
    STATE_END,
};
