/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the VGA's chip (vga.c: ports, window, memory) and the renderer of its modes (vga_render.c), which
 * reads the registers and the memory and draws on the console's surface. For these two files only.
 */
#ifndef HW_DISPLAY_VGA_RENDER_H
#define HW_DISPLAY_VGA_RENDER_H

#include <string.h>

#include "hw/display/vga.h"
#include "hw/display/vga_regs.h"

/* The renderer's buffers; false: there is no memory for them, and none is left behind. */
bool vga_render_init(struct vga *vga);
void vga_render_destroy(struct vga *vga);

/* Draws what changed since the last time, or everything. True: something on the surface changed. */
bool vga_render(struct vga *vga, bool everything);

/* The four bytes at plane address a. */
static inline uint32_t vga_load_planes(const struct vga *vga, uint64_t a)
{
    uint32_t value;

    memcpy(&value, vga->vram.host + vga_mask(vga, a * 4), sizeof(value));
    return value;
}

/* A vertical value of the CRTC: the register low, and its bits 8 and 9 out of CR07. */
static inline unsigned vga_vertical(const struct vga *vga, unsigned low, unsigned bit8, unsigned bit9)
{
    return vga->cr[low] | (vga->cr[7] >> bit8 & 1) << 8 | (vga->cr[7] >> bit9 & 1) << 9;
}

/* The dots of a character clock. */
static inline unsigned vga_char_dots(const struct vga *vga)
{
    return vga->sr[1] & SR1_8_DOTS ? 8 : 9;
}

#endif
