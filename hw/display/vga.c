/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/display/vga.h"

#include <string.h>

#include "hw/backends.h"
#include "hw/display/vga_regs.h"
#include "hw/display/vga_render.h"
#include "machine/machine.h"

STATE_PUBLIC_TABLE(vga_state, struct vga, VGA_STATE);

enum {
    WINDOW_BASE = 0xA0000,
    WINDOW_SIZE = 0x20000,
    PORT_BASE = 0x3B0,
    PORT_COUNT = 0x30,
    MANY_WRITES = 128,
};

/* Bit p of the nibble, spread over the byte of plane p. */
static const uint32_t planes[16] = {
    0x00000000, 0x000000FF, 0x0000FF00, 0x0000FFFF, 0x00FF0000, 0x00FF00FF, 0x00FFFF00, 0x00FFFFFF,
    0xFF000000, 0xFF0000FF, 0xFF00FF00, 0xFF00FFFF, 0xFFFF0000, 0xFFFF00FF, 0xFFFFFF00, 0xFFFFFFFF,
};

/* ---- display memory ---- */

static void store_planes(struct vga *vga, uint64_t a, uint32_t value)
{
    memcpy(vga->vram.host + vga_mask(vga, a * 4), &value, sizeof(value));
}

void vga_changed(struct vga *vga)
{
    console_touch(vga->machine->backends->console);
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

    vga->latch = vga_load_planes(vga, plane_address(vga, offset));
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
    store_planes(vga, a, (vga_load_planes(vga, a) & ~mask) | (planar_value(vga, value) & mask));
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

/*
 * Input status 1, from the time: where the beam would be. Vertical retrace is told until the end of the
 * frame, not for its two lines only: a guest whose reads take long would else miss most of them.
 */
static uint8_t input_status_1(const struct vga *vga)
{
    int64_t clock = vga->misc & MISC_CLOCK_28 ? 28322000 : 25175000;
    unsigned htotal = vga->cr[0] + 5, hend = vga->cr[1] + 1u;
    unsigned vtotal = vga_vertical(vga, 6, 0, 5) + 2, vend = vga_vertical(vga, 0x12, 1, 6) + 1,
             vsync = vga_vertical(vga, 0x10, 2, 7);
    int64_t line_ns = htotal * vga_char_dots(vga) * NS_PER_SECOND / clock << !!(vga->sr[1] & SR1_HALF_CLOCK),
            at;
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

/* ---- the console's source ---- */

static bool vga_refresh(void *opaque, bool everything)
{
    return vga_render(opaque, everything);
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

static void vga_touched(void *opaque)
{
    vga_changed(opaque);
}

/* ---- life ---- */

bool vga_init(struct vga *vga, struct machine *m, uint64_t vram_size, const struct vga_hooks *hooks,
              void *opaque, struct error *err)
{
    vga->machine = m;
    vga->hooks = hooks;
    vga->opaque = opaque;
    if (!vga_render_init(vga))
        return error_set(err, "vga: no memory");
    if (!vram_init(&vga->vram, m, "vga.vram", vram_size, err)) {
        vga_render_destroy(vga);
        return false;
    }
    vga->vram.touched = vga_touched;
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
    console_set_source(m->backends->console, &vga->source);
    return true;
}

void vga_destroy(struct vga *vga)
{
    console_set_source(vga->machine->backends->console, NULL);
    bus_unmap(&vga->machine->bus, &vga->window);
    bus_unmap(&vga->machine->bus, &vga->ports);
    vram_destroy(&vga->vram);
    vga_render_destroy(vga);
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
