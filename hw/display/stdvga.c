/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The standard VGA: a VGA with linear modes of any size through the registers of the Bochs VBE interface
 * ("dispi"), as PCI function 1234:1111. BAR 0 is the video memory, BAR 2 a window of 4 KiB with the monitor's
 * EDID at 0, the VGA ports from 0x3C0 on at 0x400, the dispi registers (16 bits each) at 0x500, and at 0x600
 * the size of the extended registers and the byte order (little only). Facts: SeaBIOS vgasrc/bochsvga.[ch],
 * Linux drivers/gpu/drm/tiny/bochs.c.
 */
#include <string.h>

#include "base/util.h"
#include "hw/display/edid.h"
#include "hw/display/vga.h"
#include "hw/display/vga_regs.h"
#include "machine/machine.h"

enum {
    DISPI_INDEX_PORT = 0x1CE,
    MMIO_SIZE = 0x1000,
    MMIO_VGA = 0x400,
    MMIO_VGA_END = 0x420,
    MMIO_DISPI = 0x500,
    MMIO_EXTENDED_SIZE = 0x600,
    MMIO_EXTENDED_ENDIAN = 0x604,
    EXTENDED_SIZE = 8,
    LITTLE_ENDIAN_MAGIC = 0x1E1E1E1E,
    CLEAR_STEP = 64 * 1024,
};

enum dispi_index {
    DISPI_ID,
    DISPI_XRES,
    DISPI_YRES,
    DISPI_BPP,
    DISPI_ENABLE,
    DISPI_BANK,
    DISPI_VIRT_WIDTH,
    DISPI_VIRT_HEIGHT,
    DISPI_X_OFFSET,
    DISPI_Y_OFFSET,
    DISPI_VIDEO_MEMORY_64K,
    DISPI_COUNT,
};

enum {
    DISPI_ID0 = 0xB0C0,
    DISPI_ID5 = 0xB0C5,
    ENABLED = 0x01,
    GETCAPS = 0x02,
    DAC_8BIT = 0x20,
    LFB_ENABLED = 0x40,
    NO_CLEAR = 0x80,
};

#define STDVGA_STATE(S)                                                                                      \
    S(SUB, struct vga, vga, vga_state)                                                                       \
    S(UINT, uint16_t, index, ANY)                                                                            \
    S(ARRAY, uint16_t, dispi, DISPI_COUNT, ANY)

struct stdvga {
    struct pci_device pci;
    uint32_t vgamem_mb, xres, yres;
    bool has_edid;
    uint8_t edid[EDID_SIZE]; /* zeros without */
    struct region dispi_ports, mmio;
    uint64_t clear_at, clear_end; /* of the memory that enabling a mode clears, piece by piece */
    STATE_MEMBERS(STDVGA_STATE);
};
STATE_TABLE(stdvga_state, struct stdvga, STDVGA_STATE);

static bool enabled(const struct stdvga *s)
{
    return s->dispi[DISPI_ENABLE] & ENABLED;
}

/* Bits that a pixel takes in memory; 4 bits are planes, a byte of each for 8 pixels. */
static unsigned memory_bits(const struct stdvga *s)
{
    return s->dispi[DISPI_BPP] == 15 ? 16 : s->dispi[DISPI_BPP];
}

/* Bytes from line to line. */
static uint64_t stdvga_line_bytes(const struct stdvga *s)
{
    uint64_t pixels =
        s->dispi[DISPI_VIRT_WIDTH] > s->dispi[DISPI_XRES] ? s->dispi[DISPI_VIRT_WIDTH] : s->dispi[DISPI_XRES];

    if (s->dispi[DISPI_BPP] == 4)
        return (pixels + 7) / 8 * 4;
    return pixels * memory_bits(s) / 8;
}

static uint64_t stdvga_start_byte(const struct stdvga *s)
{
    return s->dispi[DISPI_Y_OFFSET] * stdvga_line_bytes(s) +
           (uint64_t)s->dispi[DISPI_X_OFFSET] * memory_bits(s) / 8;
}

/* Only as many lines are shown as the memory holds. */
static uint32_t visible_lines(const struct stdvga *s)
{
    uint64_t start = stdvga_start_byte(s), bytes = stdvga_line_bytes(s), lines;

    lines = start < s->vga.vram.size ? (s->vga.vram.size - start) / bytes : 0;
    return lines < s->dispi[DISPI_YRES] ? lines : s->dispi[DISPI_YRES];
}

static void linear_mode(const struct stdvga *s, struct vga_mode *mode)
{
    mode->kind = VGA_LINEAR;
    mode->depth = s->dispi[DISPI_BPP];
    mode->pitch = stdvga_line_bytes(s);
    mode->start = stdvga_start_byte(s);
    mode->line_compare = UINT32_MAX - 1;
    if (mode->depth == 8)
        vga_set_palette(&s->vga, mode, true);
}

/* 16 colours in planes, with the VGA's palette: plane addresses count bytes of each plane. */
static void planar_mode(const struct stdvga *s, struct vga_mode *mode)
{
    mode->kind = VGA_PLANAR;
    mode->columns = (mode->width + 7) / 8;
    mode->char_width = 8;
    mode->pitch = stdvga_line_bytes(s) / 4;
    mode->start = stdvga_start_byte(s) / 4;
    mode->pan = s->dispi[DISPI_X_OFFSET] & 7;
    mode->line_compare = UINT32_MAX - 1;
    mode->address_mask = s->vga.vram.size / 4 - 1;
    mode->addressing = 0xFF; /* counts are addresses */
    vga_set_palette(&s->vga, mode, false);
}

static void stdvga_mode(void *opaque, struct vga_mode *mode, bool *blank)
{
    const struct stdvga *s = opaque;
    uint32_t lines = enabled(s) ? visible_lines(s) : 0;

    if (!lines)
        return;
    memset(mode, 0, sizeof(*mode));
    mode->width = s->dispi[DISPI_XRES];
    mode->height = lines;
    *blank = vga_screen_off(&s->vga);
    if (s->dispi[DISPI_BPP] == 4)
        planar_mode(s, mode);
    else
        linear_mode(s, mode);
}

/* ---- the dispi registers ---- */

static void stdvga_follow(struct stdvga *s)
{
    bool packed = enabled(s) && s->dispi[DISPI_BPP] != 4;
    /* In planes the bank counts 64 KiB of each plane. */
    uint32_t bank = enabled(s) ? (uint32_t)s->dispi[DISPI_BANK] << 16 : 0;

    s->vga.packed = packed;
    s->vga.dac8 = s->dispi[DISPI_ENABLE] & DAC_8BIT;
    s->vga.bank[0] = bank;
    s->vga.bank[1] = bank + 0x8000;
    vga_window_changed(&s->vga);
    vga_changed(&s->vga);
}

/* As much as the piece's work allows; true: all. */
static bool stdvga_clear(void *opaque)
{
    struct stdvga *s = opaque;
    struct work *work = &s->pci.dev.machine->loop.work;

    while (s->clear_at < s->clear_end && !work_spent(work)) {
        uint64_t left = s->clear_end - s->clear_at, n = left < CLEAR_STEP ? left : CLEAR_STEP;

        memset(s->vga.vram.host + s->clear_at, 0, n);
        vram_mark(&s->vga.vram, s->clear_at, n);
        s->clear_at += n;
        work_add(work, n / 2); /* with what the host does for pages that nobody has touched yet */
    }
    return s->clear_at == s->clear_end;
}

static void clear_screen(struct stdvga *s)
{
    uint64_t length = stdvga_line_bytes(s) * s->dispi[DISPI_YRES];

    s->clear_at = 0;
    s->clear_end = length < s->vga.vram.size ? length : s->vga.vram.size;
    if (!stdvga_clear(s))
        machine_unfinished(s->pci.dev.machine, stdvga_clear, s);
}

static uint8_t replace_bits(uint8_t value, uint8_t clear, uint8_t set)
{
    return (value & ~clear) | set;
}

static void stdvga_set_crtc(struct stdvga *s)
{
    uint8_t *cr = s->vga.cr;
    unsigned columns = s->dispi[DISPI_XRES] / 8, last = s->dispi[DISPI_YRES] - 1;

    cr[0x11] &= ~CR11_PROTECT;
    cr[0x01] = columns - 1;
    cr[0x13] = s->dispi[DISPI_VIRT_WIDTH] * memory_bits(s) / 64;
    cr[0x12] = last;
    cr[0x07] = replace_bits(cr[0x07], 0x42, (last & 0x100 ? 0x02 : 0) | (last & 0x200 ? 0x40 : 0));
    /* Rows of one scan line, no split screen, addresses as they are. */
    cr[0x09] = replace_bits(cr[0x09], 0x9F, 0x40);
    cr[0x07] |= 0x10;
    cr[0x18] = 0xFF;
    cr[0x17] |= CR17_CGA_ADDRESS | CR17_HERCULES_ADDRESS;
}

/*
 * The VGA's registers for a linear mode, whatever was before: many guests enable it without the VGA BIOS and
 * expect the window at 0xA0000 to show the bank (SeaBIOS vgasrc/bochsvga.c sets the same).
 */
static void stdvga_set_vga_registers(struct stdvga *s)
{
    struct vga *vga = &s->vga;
    bool planar = s->dispi[DISPI_BPP] == 4;

    stdvga_set_crtc(s);
    vga->ar[0x10] |= AR10_GRAPHICS;
    vga->gr[6] =
        replace_bits(vga->gr[6], GR6_MAP | (planar ? GR6_CHAIN_ODD_EVEN : 0), GR6_MAP_64K | GR6_GRAPHICS);
    vga->gr[5] = replace_bits(vga->gr[5], GR5_INTERLEAVE | GR5_256 | (planar ? GR5_ODD_EVEN : 0),
                              planar ? 0 : GR5_256);
    vga->sr[2] = 0x0F;
    vga->sr[4] = replace_bits(vga->sr[4], planar ? SR4_CHAIN_4 : 0,
                              planar ? SR4_NOT_ODD_EVEN : SR4_NOT_ODD_EVEN | SR4_CHAIN_4);
}

static void write_enable(struct stdvga *s, uint16_t value)
{
    bool was = enabled(s);

    s->dispi[DISPI_ENABLE] = value & (ENABLED | GETCAPS | DAC_8BIT | LFB_ENABLED | NO_CLEAR);
    if (!was && enabled(s)) {
        s->dispi[DISPI_VIRT_WIDTH] = s->dispi[DISPI_XRES];
        s->dispi[DISPI_X_OFFSET] = s->dispi[DISPI_Y_OFFSET] = s->dispi[DISPI_BANK] = 0;
        stdvga_set_vga_registers(s);
        if (!(value & NO_CLEAR))
            clear_screen(s);
    }
    stdvga_follow(s);
}

static bool valid_depth(uint16_t bits)
{
    return bits == 4 || bits == 8 || bits == 15 || bits == 16 || bits == 24 || bits == 32;
}

static void write_dispi(struct stdvga *s, uint16_t index, uint16_t value)
{
    switch (index) {
    case DISPI_ID:
        if (value >= DISPI_ID0 && value <= DISPI_ID5)
            s->dispi[DISPI_ID] = value;
        return;
    case DISPI_XRES:
        if (value < 1 || value > VGA_MAX_WIDTH)
            return;
        break;
    case DISPI_YRES:
        if (value < 1 || value > VGA_MAX_HEIGHT)
            return;
        break;
    case DISPI_BPP:
        if (value == 0) /* SeaBIOS' and Bochs' way to say 8 */
            value = 8;
        if (!valid_depth(value))
            return;
        break;
    case DISPI_ENABLE:
        write_enable(s, value);
        return;
    case DISPI_BANK:
        value &= s->vga.vram.size / 0x10000 - 1;
        break;
    case DISPI_VIRT_WIDTH:
    case DISPI_X_OFFSET:
    case DISPI_Y_OFFSET:
        break;
    default: /* VIRT_HEIGHT follows from the memory */
        return;
    }
    s->dispi[index] = value;
    if (enabled(s) && index != DISPI_BANK)
        stdvga_set_vga_registers(s);
    stdvga_follow(s);
}

static uint16_t virtual_height(const struct stdvga *s)
{
    uint64_t bytes = stdvga_line_bytes(s), lines = bytes ? s->vga.vram.size / bytes : 0;

    return min_u64(lines, UINT16_MAX);
}

static uint16_t read_dispi(const struct stdvga *s, uint16_t index)
{
    bool capabilities = s->dispi[DISPI_ENABLE] & GETCAPS;

    switch (index) {
    case DISPI_XRES:
        return capabilities ? VGA_MAX_WIDTH : s->dispi[index];
    case DISPI_YRES:
        return capabilities ? VGA_MAX_HEIGHT : s->dispi[index];
    case DISPI_BPP:
        return capabilities ? 32 : s->dispi[index];
    case DISPI_VIRT_HEIGHT:
        return virtual_height(s);
    case DISPI_VIDEO_MEMORY_64K:
        return s->vga.vram.size / 0x10000;
    default:
        return index < DISPI_COUNT ? s->dispi[index] : 0;
    }
}

/* Port 0x1CE is the index, 0x1CF the data; 0x1D0 is the data for hosts that want it aligned. Words only. */
static uint64_t stdvga_dispi_port_read(void *opaque, uint64_t offset, unsigned size)
{
    struct stdvga *s = opaque;

    return offset == 0 ? s->index : read_dispi(s, s->index);
}

static void stdvga_dispi_port_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct stdvga *s = opaque;

    if (size != 2)
        return;
    if (offset == 0)
        s->index = value;
    else
        write_dispi(s, s->index, value);
}

static const struct region_ops dispi_port_ops = {
    .read = stdvga_dispi_port_read, .write = stdvga_dispi_port_write, .max_size = 2};

/* ---- the register window ---- */

static uint32_t mmio_read_vga(struct stdvga *s, uint32_t offset, unsigned size)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)vga_port_read(&s->vga, 0x3C0 + offset + i) << 8 * i;
    return value;
}

static void mmio_write_vga(struct stdvga *s, uint32_t offset, unsigned size, uint32_t value)
{
    for (unsigned i = 0; i < size; i++)
        vga_port_write(&s->vga, 0x3C0 + offset + i, value >> 8 * i);
}

static uint32_t mmio_read_edid(const struct stdvga *s, uint32_t offset, unsigned size)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < size && offset + i < EDID_SIZE; i++)
        value |= (uint32_t)s->edid[offset + i] << 8 * i;
    return value;
}

static bool in_vga(uint64_t offset, unsigned size)
{
    return offset >= MMIO_VGA && offset + size <= MMIO_VGA_END;
}

static bool in_dispi(uint64_t offset, unsigned size)
{
    return offset >= MMIO_DISPI && offset < MMIO_DISPI + 2 * DISPI_COUNT && size == 2 && !(offset & 1);
}

static uint64_t stdvga_mmio_read(void *opaque, uint64_t offset, unsigned size)
{
    struct stdvga *s = opaque;

    if (offset < EDID_SIZE)
        return mmio_read_edid(s, offset, size);
    if (in_vga(offset, size))
        return mmio_read_vga(s, offset - MMIO_VGA, size);
    if (in_dispi(offset, size))
        return read_dispi(s, (offset - MMIO_DISPI) / 2);
    if (offset == MMIO_EXTENDED_SIZE)
        return EXTENDED_SIZE;
    if (offset == MMIO_EXTENDED_ENDIAN)
        return LITTLE_ENDIAN_MAGIC;
    return 0;
}

static void stdvga_mmio_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct stdvga *s = opaque;

    if (in_vga(offset, size))
        mmio_write_vga(s, offset - MMIO_VGA, size, value);
    else if (in_dispi(offset, size))
        write_dispi(s, (offset - MMIO_DISPI) / 2, value);
}

static const struct region_ops mmio_ops = {
    .read = stdvga_mmio_read, .write = stdvga_mmio_write, .max_size = 4};

/* ---- life ---- */

static const struct vga_hooks hooks = {.mode = stdvga_mode};

/* BARs are powers of two. Hypervisors' tools pass what the user wrote: what is more than that is not used. */
static uint64_t memory_size(const struct stdvga *s)
{
    uint64_t size = 1 << 20;

    while (size * 2 <= (uint64_t)s->vgamem_mb << 20)
        size *= 2;
    return size;
}

static bool stdvga_realize(struct device *dev, struct error *err)
{
    struct stdvga *s = (struct stdvga *)dev;

    if (!vga_init(&s->vga, dev->machine, memory_size(s), &hooks, s, err))
        return false;
    if (s->has_edid)
        edid_make(s->edid, s->xres, s->yres);
    machine_map_ports(dev->machine, &s->dispi_ports, "dispi", &dispi_port_ops, s, DISPI_INDEX_PORT, 3);
    s->mmio = (struct region){
        .name = "vga.mmio", .size = MMIO_SIZE, .ops = &mmio_ops, .opaque = s, .priority = PRIORITY_BAR};
    pci_add_bar(&s->pci, 0, PCI_BAR_MEM_PREFETCH, &s->vga.vram.region);
    pci_add_bar(&s->pci, 2, PCI_BAR_MEM, &s->mmio);
    return true;
}

static void stdvga_unrealize(struct device *dev)
{
    struct stdvga *s = (struct stdvga *)dev;

    bus_unmap(&dev->machine->bus, &s->dispi_ports);
    vga_destroy(&s->vga);
}

static void stdvga_reset(struct device *dev)
{
    struct stdvga *s = (struct stdvga *)dev;

    s->index = 0;
    s->clear_at = s->clear_end = 0;
    memset(s->dispi, 0, sizeof(s->dispi));
    s->dispi[DISPI_ID] = DISPI_ID5;
    s->dispi[DISPI_XRES] = 640;
    s->dispi[DISPI_YRES] = 480;
    s->dispi[DISPI_BPP] = 8;
    vga_reset(&s->vga);
    stdvga_follow(s);
}

static void stdvga_settle(struct device *dev)
{
    do
        work_begin(&dev->machine->loop.work);
    while (!stdvga_clear(dev));
}

static bool stdvga_check(const struct device *dev, struct error *err)
{
    const struct stdvga *s = (const struct stdvga *)dev;

    if (!s->dispi[DISPI_XRES] || s->dispi[DISPI_XRES] > VGA_MAX_WIDTH || !s->dispi[DISPI_YRES] ||
        s->dispi[DISPI_YRES] > VGA_MAX_HEIGHT || !valid_depth(s->dispi[DISPI_BPP]))
        return error_set(err, "the screen mode is not valid");
    return true;
}

static void stdvga_loaded(struct device *dev)
{
    struct stdvga *s = (struct stdvga *)dev;

    stdvga_follow(s);
    vga_loaded(&s->vga);
}

static const struct property properties[] = {
    PROPERTY(PROP_UINT32, struct stdvga, vgamem_mb, "vgamem_mb", .initial = "16", .min = 1, .max = 256,
             .help = "video memory in MiB, used up to a power of two"),
    PROPERTY(PROP_BOOL, struct stdvga, has_edid, "edid", .initial = "on",
             .help = "the monitor says what it can"),
    PROPERTY(PROP_UINT32, struct stdvga, xres, "xres", .initial = "1024", .min = 320, .max = EDID_MAX_PIXELS,
             .help = "the width that it likes best"),
    PROPERTY(PROP_UINT32, struct stdvga, yres, "yres", .initial = "768", .min = 200, .max = EDID_MAX_PIXELS,
             .help = "the height"),
    {.name = NULL},
};

static const struct pci_info pci_info = {
    .vendor = 0x1234,
    .device = 0x1111,
    .class_code = 0x030000,
    .revision = 2, /* drivers look for the extended registers from revision 2 on */
    .rom = "vgabios-stdvga.bin",
};

static const struct device_class stdvga_class = {
    .name = "VGA",
    .description = "standard VGA with Bochs VBE extensions",
    .bus = &pci_bus_ops,
    .size = sizeof(struct stdvga),
    .bus_info = &pci_info,
    .properties = properties,
    .state = &stdvga_state,
    .realize = stdvga_realize,
    .unrealize = stdvga_unrealize,
    .reset = stdvga_reset,
    .settle = stdvga_settle,
    .check = stdvga_check,
    .loaded = stdvga_loaded,
};
DEVICE_CLASS(stdvga_class);
