/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cirrus Logic CL-GD5446 on PCI (1013:00B8), 4 MiB. Source: CL-GD5446 Technical Reference Manual, and what
 * its drivers rely on: Linux drivers/video/fbdev/cirrusfb.c and drm/tiny/cirrus.c, xf86-video-cirrus, SeaBIOS
 * vgasrc/clext.c.
 *
 * BAR 0, 32 MiB: the first 16 MiB show the video memory four times (as it is, bytes swapped in words, in
 * doublewords, as it is); what is written to the second 16 MiB feeds a blit from system memory. Of the first
 * copy the guest gets the memory itself while that has no side effects. BAR 1, 4 KiB: VGA ports from 0x3C0 on
 * at 0, the BitBLT registers at 0x100.
 */
#include <string.h>

#include "hw/display/cirrus_blt.h"
#include "hw/display/vga.h"
#include "machine/machine.h"

enum {
    VRAM_SIZE = 4 << 20,
    BAR0_SIZE = 32 << 20,
    BLT_APERTURE = 16 << 20, /* offset in BAR 0 */
    BAR1_SIZE = 0x1000,
    MMIO_BLT = 0x100, /* offset in BAR 1 */
    MMIO_BLT_SIZE = 0x100,
    WINDOW_MMIO = 0x18000, /* 0xB8000, offset in the VGA window */
    TAIL_SIZE = 0x1000,    /* the page of video memory whose last 256 bytes may show the registers */
    TAIL_MMIO = TAIL_SIZE - MMIO_BLT_SIZE, /* offset in that page */
    CURSOR_PATTERNS = 16 << 10,            /* at the end of video memory */
};

enum {
    SR6_UNLOCKED = 0x12,
    SR6_LOCKED = 0x0F,
    SR7_PACKED = 0x01,
    SR7_FORMAT = 0x0E,
    SR12_CURSOR = 0x01,
    SR12_CURSOR_COLOURS = 0x02, /* the DAC ports reach the cursor's colours */
    SR12_CURSOR_64 = 0x04,
    SR17_MMIO = 0x04,
    SR17_MMIO_TAIL = 0x40,
    SR17_BUS = 0x38,
    SR17_BUS_PCI = 0x20,
    GR0B_TWO_BANKS = 0x01,
    GR0B_BY_8 = 0x02, /* an address of the window counts 8 bytes */
    GR0B_WRITE_MODES = 0x04,
    GR0B_LATCH_8 = 0x08,
    GR0B_16_BIT = 0x10,
    GR0B_BANKS_16K = 0x20,
    GR31_BUSY = 0x01,
    GR31_START = 0x02,
    GR31_RESET = 0x04,
    GR31_PROGRESS = 0x08,
    GR31_OWN_APERTURE = 0x20, /* data for a blit come by the second 16 MiB only */
    GR31_AUTOSTART = 0x80,
    HDR_MULTIPLEXED = 0x4A, /* 8 bits a pixel, two pixels a clock: CRTC widths are halves */
    CHIP_ID = 0xB8,         /* CR27: CL-GD5446 */
};

#define CIRRUS_STATE(S)                                                                                      \
    S(SUB, struct vga, vga, vga_state)                                                                       \
    S(ARRAY, uint8_t, sr, 0x20, ANY) /* by their index; the standard registers are the VGA's */              \
    S(ARRAY, uint8_t, gr, 0x40, ANY)                                                                         \
    S(ARRAY, uint8_t, cr, 0x40, ANY)                                                                         \
    S(UINT, uint8_t, hidden_dac, ANY) /* behind 0x3C6, reached after four reads of it */                     \
    S(UINT, uint8_t, hidden_dac_reads, 4)                                                                    \
    S(UINT, uint16_t, cursor_x, 2047)                                                                        \
    S(UINT, uint16_t, cursor_y, 2047)                                                                        \
    S(ARRAY, uint8_t, cursor_dac, 16 * 3, ANY) /* entry 0: colour 0, entry 15: colour 1 */                   \
    S(ARRAY, uint8_t, latch, 8, ANY)                                                                         \
    S(SUB, struct cirrus_blt, blt, cirrus_blt_state) /* as it was begun */                                   \
    S(BOOL, feeding)                                 /* it takes its source from the system */               \
    S(UINT, uint32_t, chunk, BLT_MAX_HEIGHT)         /* pieces done */                                       \
    S(UINT, uint32_t, filled, BLT_MAX_WIDTH)         /* bytes of the next one in data */                     \
    S(ARRAY, uint8_t, data, BLT_MAX_WIDTH, ANY)

struct cirrus {
    struct pci_device pci;
    uint32_t vgamem_mb;
    bool drawing; /* a blit's lines, piece by piece */
    bool again;   /* and another blit was started meanwhile */
    struct region bar0, bar1, tail;
    STATE_MEMBERS(CIRRUS_STATE);
};
STATE_TABLE(cirrus_state, struct cirrus, CIRRUS_STATE);

static bool cirrus_is_packed(const struct cirrus *s)
{
    return s->sr[7] & SR7_PACKED;
}

/* ---- what the guest sees of video memory without exits ---- */

static bool uses_write_modes(const struct cirrus *s)
{
    unsigned mode = s->vga.gr[5] & 7;

    return s->gr[0x0B] & GR0B_WRITE_MODES && (mode == 4 || mode == 5);
}

/* Do accesses to the linear memory do more than read and write it? */
static bool has_side_effects(const struct cirrus *s)
{
    return (s->feeding && !(s->gr[0x31] & GR31_OWN_APERTURE)) || s->gr[0x0B] & GR0B_BY_8 ||
           uses_write_modes(s);
}

static bool cirrus_window_plain(void *opaque)
{
    const struct cirrus *s = opaque;

    return !s->feeding && !(s->gr[0x0B] & GR0B_LATCH_8) && !has_side_effects(s);
}

static void cirrus_show(struct cirrus *s, struct region *region, bool shown, uint64_t base)
{
    struct bus *bus = &s->pci.dev.machine->bus;

    if (shown && (!region->mapped || region->base != base))
        bus_map(bus, SPACE_MEM, region, base);
    else if (!shown && region->mapped)
        bus_unmap(bus, region);
}

/* Follows what the mapping of BAR 0's beginning depends on. */
static void follow_mapping(struct cirrus *s)
{
    struct bus *bus = &s->pci.dev.machine->bus;
    bool direct = s->bar0.mapped && !has_side_effects(s);
    bool tail = s->bar0.mapped && (s->sr[0x17] & SR17_MMIO) && (s->sr[0x17] & SR17_MMIO_TAIL);

    if (s->vga.vram.region.mapped && !direct)
        vram_sync(&s->vga.vram);
    bus_begin(bus);
    cirrus_show(s, &s->vga.vram.region, direct, s->bar0.base);
    cirrus_show(s, &s->tail, tail, s->bar0.base + VRAM_SIZE - TAIL_SIZE);
    bus_commit(bus);
    vga_window_changed(&s->vga);
}

static void cirrus_config_written(struct pci_device *pci_dev, uint8_t offset, unsigned size)
{
    follow_mapping((struct cirrus *)pci_dev);
}

/* ---- the blitter ---- */

static void load_blt(struct cirrus *s)
{
    const uint8_t *gr = s->gr;
    struct cirrus_blt *blt = &s->blt;

    blt->width = ((gr[0x21] & 0x1F) << 8 | gr[0x20]) + 1;
    blt->height = ((gr[0x23] & 0x07) << 8 | gr[0x22]) + 1;
    blt->dst_pitch = (gr[0x25] & 0x1F) << 8 | gr[0x24];
    blt->src_pitch = (gr[0x27] & 0x1F) << 8 | gr[0x26];
    blt->dst = (gr[0x2A] & 0x3F) << 16 | gr[0x29] << 8 | gr[0x28];
    blt->src = (gr[0x2E] & 0x3F) << 16 | gr[0x2D] << 8 | gr[0x2C];
    blt->mode = gr[0x30];
    blt->rop = gr[0x32];
    blt->ext = gr[0x33];
    blt->skip = gr[0x2F];
    blt->key = gr[0x35] << 8 | gr[0x34];
    blt->fg = s->vga.gr[1] | gr[0x11] << 8 | gr[0x13] << 16 | (uint32_t)gr[0x15] << 24;
    blt->bg = s->vga.gr[0] | gr[0x10] << 8 | gr[0x12] << 16 | (uint32_t)gr[0x14] << 24;
}

static void end_blt(struct cirrus *s)
{
    s->gr[0x31] &= ~(GR31_START | GR31_BUSY | GR31_PROGRESS);
    s->feeding = s->drawing = false;
    follow_mapping(s);
}

static void mark_lines(struct cirrus *s, uint32_t from, uint32_t to)
{
    for (uint32_t y = from; y < to; y++)
        vram_mark(&s->vga.vram, cirrus_blt_line_start(&s->blt, y), cirrus_blt_line_length(&s->blt));
}

static struct work *cirrus_work(struct cirrus *s)
{
    return &s->pci.dev.machine->loop.work;
}

static void cirrus_begin_drawing(struct cirrus *s, const uint8_t *pattern)
{
    s->gr[0x31] |= GR31_START | GR31_BUSY | GR31_PROGRESS;
    cirrus_blt_begin(&s->blt, pattern);
    s->drawing = true;
}

static void cirrus_begin_feeding(struct cirrus *s)
{
    s->gr[0x31] |= GR31_START | GR31_BUSY | GR31_PROGRESS;
    s->feeding = true;
    s->chunk = s->filled = 0;
    follow_mapping(s);
}

static void cirrus_begin_blt(struct cirrus *s)
{
    load_blt(s);
    if (!cirrus_blt_valid(&s->blt))
        end_blt(s);
    else if (s->blt.mode & BLT_FROM_SYSTEM)
        cirrus_begin_feeding(s);
    else
        cirrus_begin_drawing(s, NULL);
}

/*
 * Draws as many lines as the piece's work allows; true: all there are. Registers may say 16 million pixels on
 * one and the same line (pitch 0), which take a tenth of a second.
 */
static bool cirrus_draw(void *opaque)
{
    struct cirrus *s = opaque;
    uint32_t from = s->blt.y;
    bool more = true;

    if (!s->drawing)
        return true; /* a reset ended it */
    do {
        work_add(cirrus_work(s), cirrus_blt_line_cost(&s->blt));
        more = cirrus_blt_next_line(&s->blt);
    } while (more && !work_spent(cirrus_work(s)));
    mark_lines(s, from, s->blt.y);
    if (more)
        return false;
    end_blt(s);
    if (s->again)
        cirrus_begin_blt(s);
    s->again = false;
    return !s->drawing;
}

/* The processor waits for its blit, as it would for the bus. */
static void cirrus_draw_all(struct cirrus *s)
{
    if (!cirrus_draw(s))
        machine_unfinished(s->pci.dev.machine, cirrus_draw, s);
}

static void start_blt(struct cirrus *s)
{
    if (s->drawing)
        s->again = true; /* by another processor */
    else
        cirrus_begin_blt(s);
    cirrus_draw_all(s);
}

static void finish_chunk(struct cirrus *s)
{
    s->filled = 0;
    if (s->blt.mode & BLT_PATTERN) {
        s->feeding = false;
        cirrus_begin_drawing(s, s->data);
        cirrus_draw_all(s);
        return;
    }
    work_add(cirrus_work(s), cirrus_blt_line_cost(&s->blt));
    cirrus_blt_chunk(&s->blt, s->chunk, s->data);
    mark_lines(s, s->chunk, s->chunk + 1);
    if (++s->chunk == cirrus_blt_chunks(&s->blt))
        end_blt(s);
}

/* Bytes for the blit; what is beyond its end is dropped. */
static void cirrus_feed(struct cirrus *s, unsigned size, uint32_t value)
{
    for (unsigned i = 0; i < size && s->feeding; i++, value >>= 8) {
        s->data[s->filled++] = value;
        if (s->filled == cirrus_blt_chunk_bytes(&s->blt))
            finish_chunk(s);
    }
}

static void write_blt_status(struct cirrus *s, uint8_t value)
{
    uint8_t was = s->gr[0x31];

    s->gr[0x31] = (was & (GR31_BUSY | GR31_PROGRESS)) | (value & ~(GR31_BUSY | GR31_PROGRESS));
    if (value & GR31_RESET)
        end_blt(s);
    else if (value & GR31_START && !(was & GR31_START))
        start_blt(s);
    else
        follow_mapping(s);
}

/* ---- extended registers ---- */

static void follow_banks(struct cirrus *s)
{
    unsigned shift = s->gr[0x0B] & GR0B_BANKS_16K ? 14 : 12;

    s->vga.bank[0] = s->gr[9] << shift;
    s->vga.bank[1] = s->vga.bank[0] + 0x8000;
    if (s->gr[0x0B] & GR0B_TWO_BANKS)
        s->vga.bank[1] = s->gr[0x0A] << shift;
}

static uint32_t cursor_size(const struct cirrus *s)
{
    return s->sr[0x12] & SR12_CURSOR_64 ? 64 : 32;
}

static void redraw_cursor(struct cirrus *s)
{
    if (s->sr[0x12] & SR12_CURSOR)
        vga_redraw(&s->vga, s->cursor_y, cursor_size(s));
}

static void cirrus_write_sequencer(struct cirrus *s, uint8_t value)
{
    uint8_t index = s->vga.sr_index;

    redraw_cursor(s); /* where it was */
    switch (index & 0x1F) {
    case 0x06:
        s->sr[6] = (value & 0x17) == SR6_UNLOCKED ? SR6_UNLOCKED : SR6_LOCKED;
        break;
    case 0x10: /* the low 3 bits of the position come with the index */
        s->cursor_x = value << 3 | index >> 5;
        break;
    case 0x11:
        s->cursor_y = value << 3 | index >> 5;
        break;
    case 0x17:
        s->sr[0x17] = (value & ~SR17_BUS) | SR17_BUS_PCI;
        break;
    default:
        s->sr[index & 0x1F] = value;
        break;
    }
    redraw_cursor(s); /* where it is */
    s->vga.packed = cirrus_is_packed(s);
    follow_mapping(s);
    vga_changed(&s->vga);
}

static uint8_t read_sequencer(const struct cirrus *s)
{
    uint8_t index = s->vga.sr_index & 0x1F, value = s->sr[index];

    switch (index) {
    case 0x08: /* the DDC lines are as we drive them: nobody answers */
        return (value & 0x7B) | (value & 0x01) << 2 | (value & 0x02) << 6;
    case 0x10:
        return s->cursor_x >> 3;
    case 0x11:
        return s->cursor_y >> 3;
    default:
        return value;
    }
}

static void cirrus_write_graphics(struct cirrus *s, uint8_t index, uint8_t value)
{
    if (index == 0x31) {
        write_blt_status(s, value);
        return;
    }
    s->gr[index] = value;
    if (index >= 9 && index <= 0x0B) {
        follow_banks(s);
        follow_mapping(s);
    }
    if (index == 0x2A && s->gr[0x31] & GR31_AUTOSTART && !s->feeding)
        start_blt(s);
}

static uint8_t read_crtc(const struct cirrus *s)
{
    switch (s->vga.cr_index) {
    case 0x22:
        return s->vga.latch >> 8 * (s->vga.gr[4] & 3);
    case 0x24:
        return s->vga.ar_data ? 0x80 : 0;
    case 0x26:
        return s->vga.ar_index;
    case 0x27:
        return CHIP_ID;
    default:
        return s->cr[s->vga.cr_index];
    }
}

static bool has_sequencer(const struct cirrus *s)
{
    uint8_t index = s->vga.sr_index, low = index & 0x1F;

    return (index > 5 && index < 0x20) || low == 0x10 || low == 0x11;
}

static bool has_graphics(const struct cirrus *s)
{
    return s->vga.gr_index >= 9 && s->vga.gr_index < sizeof(s->gr);
}

static bool has_crtc(const struct cirrus *s)
{
    return s->vga.cr_index > 0x18 && s->vga.cr_index < sizeof(s->cr);
}

/* With the cursor's colours selected, the DAC's data port reaches these. */
static bool cursor_dac(const struct cirrus *s)
{
    return s->sr[0x12] & SR12_CURSOR_COLOURS;
}

static uint8_t read_cursor_dac(struct cirrus *s)
{
    uint8_t value = s->cursor_dac[3 * (s->vga.dac_read_index & 15) + s->vga.dac_component];

    if (++s->vga.dac_component == 3) {
        s->vga.dac_component = 0;
        s->vga.dac_read_index++;
    }
    return value;
}

static void write_cursor_dac(struct cirrus *s, uint8_t value)
{
    s->cursor_dac[3 * (s->vga.dac_write_index & 15) + s->vga.dac_component] = value & 0x3F;
    if (++s->vga.dac_component == 3) {
        s->vga.dac_component = 0;
        s->vga.dac_write_index++;
    }
    redraw_cursor(s);
    vga_changed(&s->vga);
}

/* The hidden DAC register answers the access to 0x3C6 that follows four reads of it in a row. */
static bool read_hidden_dac(struct cirrus *s, uint8_t *value)
{
    if (s->hidden_dac_reads < 4) {
        s->hidden_dac_reads++;
        return false;
    }
    s->hidden_dac_reads = 0;
    *value = s->hidden_dac;
    return true;
}

static bool write_hidden_dac(struct cirrus *s, uint8_t value)
{
    bool hidden = s->hidden_dac_reads == 4;

    s->hidden_dac_reads = 0;
    if (hidden) {
        s->hidden_dac = value;
        vga_changed(&s->vga);
    }
    return hidden;
}

static bool cirrus_port_read(void *opaque, uint16_t port, uint8_t *value)
{
    struct cirrus *s = opaque;

    if (port == 0x3C6)
        return read_hidden_dac(s, value);
    s->hidden_dac_reads = 0;
    if (port == 0x3C5 && has_sequencer(s))
        *value = read_sequencer(s);
    else if (port == 0x3C9 && cursor_dac(s))
        *value = read_cursor_dac(s);
    else if (port == 0x3CF && has_graphics(s))
        *value = s->gr[s->vga.gr_index];
    else if (port == 0x3D5 && has_crtc(s))
        *value = read_crtc(s);
    else
        return false;
    return true;
}

static bool cirrus_port_write(void *opaque, uint16_t port, uint8_t value)
{
    struct cirrus *s = opaque;

    if (port == 0x3C6)
        return write_hidden_dac(s, value);
    s->hidden_dac_reads = 0;
    if (port == 0x3C5 && has_sequencer(s)) {
        cirrus_write_sequencer(s, value);
    } else if (port == 0x3C9 && cursor_dac(s)) {
        write_cursor_dac(s, value);
    } else if (port == 0x3CF && has_graphics(s)) {
        cirrus_write_graphics(s, s->vga.gr_index, value);
    } else if (port == 0x3CF && s->vga.gr_index == 5) {
        s->vga.gr[5] = value;
        follow_mapping(s);
        vga_changed(&s->vga);
    } else if (port == 0x3D5 && has_crtc(s)) {
        s->cr[s->vga.cr_index] = value;
        vga_changed(&s->vga);
    } else {
        return false;
    }
    return true;
}

/* The BitBLT registers in memory: which GR each byte is; 0xFF: none. */
static uint8_t mmio_register(uint32_t offset)
{
    static const uint8_t map[0x20] = {
        0x00, 0x10, 0x12, 0x14, 0x01, 0x11, 0x13, 0x15, /* background, foreground */
        0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, /* width, height, pitches */
        0x28, 0x29, 0x2A, 0xFF, 0x2C, 0x2D, 0x2E, 0x2F, /* destination, source, left skip */
        0x30, 0xFF, 0x32, 0x33, 0x34, 0x35, 0xFF, 0xFF, /* mode, raster operation, extensions, key */
    };

    if (offset < sizeof(map))
        return map[offset];
    return offset == 0x40 ? 0x31 : 0xFF;
}

static uint8_t blt_mmio_read(struct cirrus *s, uint32_t offset)
{
    uint8_t index = mmio_register(offset);

    if (index == 0xFF)
        return 0xFF;
    return index < 2 ? s->vga.gr[index] : s->gr[index];
}

static void blt_mmio_write(struct cirrus *s, uint32_t offset, uint8_t value)
{
    uint8_t index = mmio_register(offset);

    if (index < 2)
        s->vga.gr[index] = value;
    else if (index != 0xFF)
        cirrus_write_graphics(s, index, value);
}

/* ---- video memory through the window and BAR 0 ---- */

/* The byte that an address of packed memory means. */
static uint32_t cirrus_scaled(const struct cirrus *s, uint64_t address)
{
    unsigned shift = 0;

    if ((s->gr[0x0B] & (GR0B_WRITE_MODES | GR0B_16_BIT)) == (GR0B_WRITE_MODES | GR0B_16_BIT))
        shift = 4;
    else if (s->gr[0x0B] & GR0B_BY_8)
        shift = 3;
    return vga_mask(&s->vga, address << shift);
}

static uint8_t packed_read(struct cirrus *s, uint64_t address)
{
    uint32_t at = cirrus_scaled(s, address);

    if (s->gr[0x0B] & GR0B_LATCH_8)
        memcpy(s->latch, s->vga.vram.host + (at & ~7u), 8);
    return s->vga.vram.host[at];
}

/* Write modes 4 and 5: each bit is a pixel; ones in the foreground colour, zeroes left alone or in the
 * background's. */
static void write_pixels(struct cirrus *s, uint32_t at, uint8_t bits)
{
    unsigned bytes = s->gr[0x0B] & GR0B_16_BIT ? 2 : 1;
    uint16_t fg = s->vga.gr[1] | s->gr[0x11] << 8, bg = s->vga.gr[0] | s->gr[0x10] << 8;
    bool opaque = (s->vga.gr[5] & 7) == 5;

    for (unsigned i = 0; i < 8; i++) {
        bool one = bits >> (7 - i) & 1;
        uint16_t colour = one ? fg : bg;

        for (unsigned b = 0; b < bytes && (one || opaque); b++)
            s->vga.vram.host[vga_mask(&s->vga, at + i * bytes + b)] = colour >> 8 * b;
    }
    vram_mark(&s->vga.vram, at, 8 * bytes);
    vram_mark(&s->vga.vram, 0, at + 8 * bytes > VRAM_SIZE ? at + 8 * bytes - VRAM_SIZE : 0);
}

static void packed_write(struct cirrus *s, uint64_t address, uint8_t value)
{
    uint32_t at = cirrus_scaled(s, address);

    if (uses_write_modes(s)) {
        write_pixels(s, at, value);
    } else if (s->gr[0x0B] & GR0B_LATCH_8 && (s->vga.gr[5] & 7) == 1) {
        memcpy(s->vga.vram.host + (at & ~7u), s->latch, 8);
        vram_mark(&s->vga.vram, at & ~7u, 8);
    } else {
        s->vga.vram.host[at] = value;
        vram_mark(&s->vga.vram, at, 1);
    }
}

static bool window_mmio(const struct cirrus *s, uint32_t offset)
{
    return (s->sr[0x17] & (SR17_MMIO | SR17_MMIO_TAIL)) == SR17_MMIO && offset >= WINDOW_MMIO &&
           offset < WINDOW_MMIO + MMIO_BLT_SIZE;
}

/* The window's address in packed memory where the VGA core does not know what to do with it. */
static bool window_special(const struct cirrus *s, uint32_t offset, uint64_t *address)
{
    if (!cirrus_is_packed(s) || offset >= 0x10000 ||
        !(s->gr[0x0B] & (GR0B_BY_8 | GR0B_LATCH_8) || uses_write_modes(s)))
        return false;
    *address = s->vga.bank[offset >> 15] + (offset & 0x7FFF);
    return true;
}

static bool cirrus_window_read(void *opaque, uint32_t offset, unsigned size, uint32_t *value)
{
    struct cirrus *s = opaque;
    uint64_t address;

    *value = 0;
    if (window_mmio(s, offset)) {
        for (unsigned i = 0; i < size; i++)
            *value |= (uint32_t)blt_mmio_read(s, offset - WINDOW_MMIO + i) << 8 * i;
        return true;
    }
    if (!window_special(s, offset, &address))
        return false;
    for (unsigned i = 0; i < size; i++)
        *value |= (uint32_t)packed_read(s, address + i) << 8 * i;
    return true;
}

static bool cirrus_window_write(void *opaque, uint32_t offset, unsigned size, uint32_t value)
{
    struct cirrus *s = opaque;
    uint64_t address;

    if (window_mmio(s, offset)) {
        for (unsigned i = 0; i < size; i++)
            blt_mmio_write(s, offset - WINDOW_MMIO + i, value >> 8 * i);
        return true;
    }
    if (s->feeding && offset < 0x10000) {
        cirrus_feed(s, size, value);
        return true;
    }
    if (!window_special(s, offset, &address))
        return false;
    for (unsigned i = 0; i < size; i++)
        packed_write(s, address + i, value >> 8 * i);
    return true;
}

/* Which byte of a swapping aperture: 4 MiB each as it is, swapped in words, in doublewords, as it is. */
static uint64_t unswapped(uint64_t offset)
{
    static const uint8_t swap[4] = {0, 1, 3, 0};

    return (offset & (VRAM_SIZE - 1)) ^ swap[offset / VRAM_SIZE & 3];
}

static uint64_t cirrus_bar0_read(void *opaque, uint64_t offset, unsigned size)
{
    struct cirrus *s = opaque;
    uint64_t value = 0;

    if (offset >= BLT_APERTURE)
        return UINT64_MAX;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)packed_read(s, unswapped(offset + i)) << 8 * i;
    return value;
}

static void cirrus_bar0_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct cirrus *s = opaque;

    if (offset >= BLT_APERTURE || (s->feeding && !(s->gr[0x31] & GR31_OWN_APERTURE))) {
        cirrus_feed(s, size, value);
        return;
    }
    for (unsigned i = 0; i < size; i++)
        packed_write(s, unswapped(offset + i), value >> 8 * i);
}

static uint64_t cirrus_bar1_read(void *opaque, uint64_t offset, unsigned size)
{
    struct cirrus *s = opaque;

    if (offset >= MMIO_BLT && offset < MMIO_BLT + MMIO_BLT_SIZE)
        return blt_mmio_read(s, offset - MMIO_BLT);
    return offset < 0x20 ? vga_port_read(&s->vga, 0x3C0 + offset) : 0xFF;
}

static void cirrus_bar1_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct cirrus *s = opaque;

    if (offset >= MMIO_BLT && offset < MMIO_BLT + MMIO_BLT_SIZE)
        blt_mmio_write(s, offset - MMIO_BLT, value);
    else if (offset < 0x20)
        vga_port_write(&s->vga, 0x3C0 + offset, value);
}

static uint64_t cirrus_tail_read(void *opaque, uint64_t offset, unsigned size)
{
    struct cirrus *s = opaque;

    if (offset >= TAIL_MMIO)
        return blt_mmio_read(s, offset - TAIL_MMIO);
    return cirrus_bar0_read(s, VRAM_SIZE - TAIL_SIZE + offset, size);
}

static void cirrus_tail_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct cirrus *s = opaque;

    if (offset >= TAIL_MMIO)
        blt_mmio_write(s, offset - TAIL_MMIO, value);
    else
        cirrus_bar0_write(s, VRAM_SIZE - TAIL_SIZE + offset, size, value);
}

static const struct region_ops bar0_ops = {
    .read = cirrus_bar0_read, .write = cirrus_bar0_write, .max_size = 4};
static const struct region_ops bar1_ops = {
    .read = cirrus_bar1_read, .write = cirrus_bar1_write, .max_size = 1};
static const struct region_ops tail_ops = {
    .read = cirrus_tail_read, .write = cirrus_tail_write, .max_size = 1};

/* ---- the picture ---- */

static uint32_t cursor_pattern(const struct cirrus *s)
{
    uint8_t select = s->sr[0x13] & (s->sr[0x12] & SR12_CURSOR_64 ? 0x3C : 0x3F);

    return VRAM_SIZE - CURSOR_PATTERNS + select * 256;
}

static uint32_t cursor_colour(const struct cirrus *s, unsigned entry)
{
    const uint8_t *rgb = &s->cursor_dac[3 * entry];
    uint32_t colour = 0;

    for (int i = 0; i < 3; i++)
        colour = colour << 8 | rgb[i] << 2 | rgb[i] >> 4;
    return colour;
}

/* Two bits for each pixel: plane 1 clear: what is below, or that inverted; set: colour 0 or 1. */
static void cirrus_paint_cursor(void *opaque, unsigned y, uint32_t *line, unsigned width)
{
    const struct cirrus *s = opaque;
    uint32_t size = cursor_size(s), row = y - s->cursor_y;
    const uint8_t *plane0 = s->vga.vram.host + cursor_pattern(s), *plane1;

    if (!(s->sr[0x12] & SR12_CURSOR) || y < s->cursor_y || row >= size)
        return;
    if (size == 64) { /* the planes' lines alternate */
        plane0 += row * 16;
        plane1 = plane0 + 8;
    } else { /* one plane after the other */
        plane0 += row * 4;
        plane1 = plane0 + 128;
    }
    for (uint32_t i = 0; i < size && s->cursor_x + i < width; i++) {
        unsigned bit = 7 - i % 8, low = plane0[i / 8] >> bit & 1;
        uint32_t *pixel = &line[s->cursor_x + i];

        if (plane1[i / 8] >> bit & 1)
            *pixel = cursor_colour(s, low ? 15 : 0);
        else if (low)
            *pixel ^= 0xFFFFFF;
    }
}

static uint32_t depth(const struct cirrus *s)
{
    switch (s->sr[7] & SR7_FORMAT) {
    case 0x02:
    case 0x06:
        return s->hidden_dac & 0x0F ? 16 : 15;
    case 0x04:
        return 24;
    case 0x08:
        return 32;
    default:
        return 8;
    }
}

static uint64_t cirrus_start_byte(const struct cirrus *s)
{
    uint32_t start = vga_start_address(&s->vga) | (s->cr[0x1B] & 0x01) << 16 | (s->cr[0x1B] & 0x0C) << 15 |
                     (s->cr[0x1D] & 0x80) << 12;

    return start * 4ull;
}

static void cirrus_mode(void *opaque, struct vga_mode *mode, bool *blank)
{
    struct cirrus *s = opaque;
    struct vga_mode vga = *mode;

    if (s->sr[0x12] & SR12_CURSOR && vram_dirty(&s->vga.vram, cursor_pattern(s), 1024))
        redraw_cursor(s);
    if (!cirrus_is_packed(s))
        return;
    /* The VGA BIOS leaves "screen off" set in SR1 in these modes, so it cannot count. */
    *blank = !(s->vga.ar_index & 0x20);
    memset(mode, 0, sizeof(*mode));
    mode->kind = VGA_LINEAR;
    mode->depth = depth(s);
    mode->width = vga.columns * 8 << (mode->depth == 8 && s->hidden_dac == HDR_MULTIPLEXED);
    mode->height = vga.height << (s->cr[0x1A] & 1); /* interlaced: the CRTC counts one field */
    mode->pitch = ((s->cr[0x1B] & 0x10) << 4 | s->vga.cr[0x13]) * 8;
    mode->start = cirrus_start_byte(s);
    mode->line_compare = vga.line_compare;
    mode->double_scan = vga.double_scan || vga.max_scan == 1;
    if (mode->depth == 8)
        vga_set_palette(&s->vga, mode, true);
}

static const struct vga_hooks hooks = {
    .port_read = cirrus_port_read,
    .port_write = cirrus_port_write,
    .window_read = cirrus_window_read,
    .window_write = cirrus_window_write,
    .window_plain = cirrus_window_plain,
    .mode = cirrus_mode,
    .overlay = cirrus_paint_cursor,
};

/* ---- life ---- */

static void init_regions(struct cirrus *s)
{
    s->bar0 = (struct region){
        .name = "cirrus.linear", .size = BAR0_SIZE, .ops = &bar0_ops, .opaque = s, .priority = PRIORITY_BAR};
    s->bar1 = (struct region){
        .name = "cirrus.mmio", .size = BAR1_SIZE, .ops = &bar1_ops, .opaque = s, .priority = PRIORITY_BAR};
    s->tail = (struct region){.name = "cirrus.tail",
                              .size = TAIL_SIZE,
                              .ops = &tail_ops,
                              .opaque = s,
                              .priority = PRIORITY_OVERLAY};
    s->vga.vram.region.priority = PRIORITY_BOARD; /* over BAR 0 */
    pci_add_bar(&s->pci, 0, PCI_BAR_MEM_PREFETCH, &s->bar0);
    pci_add_bar(&s->pci, 1, PCI_BAR_MEM, &s->bar1);
    s->pci.config_written = cirrus_config_written;
}

static bool cirrus_realize(struct device *dev, struct error *err)
{
    struct cirrus *s = (struct cirrus *)dev;

    if (!vga_init(&s->vga, dev->machine, VRAM_SIZE, &hooks, s, err))
        return false;
    s->blt.vram = s->vga.vram.host;
    s->blt.vram_size = s->vga.vram.size;
    init_regions(s);
    return true;
}

static void cirrus_unrealize(struct device *dev)
{
    struct cirrus *s = (struct cirrus *)dev;

    bus_unmap(&dev->machine->bus, &s->tail);
    bus_unmap(&dev->machine->bus, &s->vga.vram.region);
    vga_destroy(&s->vga);
}

static void cirrus_reset(struct device *dev)
{
    struct cirrus *s = (struct cirrus *)dev;

    vga_reset(&s->vga);
    memset(s->sr, 0, sizeof(s->sr));
    memset(s->gr, 0, sizeof(s->gr));
    memset(s->cr, 0, sizeof(s->cr));
    memset(s->cursor_dac, 0, sizeof(s->cursor_dac));
    memset(s->latch, 0, sizeof(s->latch));
    s->sr[0x06] = SR6_LOCKED;
    s->sr[0x0F] = 0x98; /* DRAM: 64 bits wide, two banks: 4 MiB */
    s->sr[0x15] = 0x04; /* scratch where BIOSes leave the size: 4 MiB */
    s->sr[0x17] = SR17_BUS_PCI;
    s->sr[0x1F] = 0x2D; /* memory clock, 80 MHz */
    s->hidden_dac = s->hidden_dac_reads = 0;
    s->cursor_x = s->cursor_y = 0;
    s->chunk = s->filled = 0;
    s->again = false;
    end_blt(s);
}

static void cirrus_settle(struct device *dev)
{
    struct cirrus *s = (struct cirrus *)dev;

    do
        work_begin(cirrus_work(s));
    while (!cirrus_draw(s));
}

static bool cirrus_check(const struct device *dev, struct error *err)
{
    const struct cirrus *s = (const struct cirrus *)dev;

    if (s->feeding &&
        (!s->blt.width || !s->blt.height || !cirrus_blt_valid(&s->blt) || !(s->blt.mode & BLT_FROM_SYSTEM) ||
         s->chunk >= cirrus_blt_chunks(&s->blt) || s->filled >= cirrus_blt_chunk_bytes(&s->blt)))
        return error_set(err, "the blit is not valid");
    return true;
}

static void cirrus_loaded(struct device *dev)
{
    struct cirrus *s = (struct cirrus *)dev;

    s->vga.packed = cirrus_is_packed(s);
    follow_banks(s);
    follow_mapping(s);
    vga_loaded(&s->vga);
}

static const struct property properties[] = {
    PROPERTY(PROP_UINT32, struct cirrus, vgamem_mb, "vgamem_mb", .initial = "4", .min = 1, .max = 256,
             .help = "taken for the hypervisors that say it; the chip has 4 MiB"),
    {.name = NULL},
};

static const struct pci_info pci_info = {
    .vendor = 0x1013,
    .device = 0x00B8,
    .class_code = 0x030000,
    .rom = "vgabios-cirrus.bin",
};

static const struct device_class cirrus_class = {
    .name = "cirrus-vga",
    .description = "Cirrus Logic CL-GD5446",
    .bus = &pci_bus_ops,
    .size = sizeof(struct cirrus),
    .bus_info = &pci_info,
    .properties = properties,
    .state = &cirrus_state,
    .realize = cirrus_realize,
    .unrealize = cirrus_unrealize,
    .reset = cirrus_reset,
    .settle = cirrus_settle,
    .check = cirrus_check,
    .loaded = cirrus_loaded,
};
DEVICE_CLASS(cirrus_class);
