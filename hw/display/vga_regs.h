/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bits of the VGA's registers: SR the sequencer's, GR the graphics controller's, CR the CRTC's, AR the
 * attribute controller's (IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem"). */
#ifndef HW_DISPLAY_VGA_REGS_H
#define HW_DISPLAY_VGA_REGS_H

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
    GR6_MAP = 0x0C,
    GR6_MAP_64K = 0x04, /* at 0xA0000 */
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
    AR10_GRAPHICS = 0x01,
    AR10_LINE_GRAPHICS = 0x04,
    AR10_BLINK = 0x08,
    AR10_PAN_RESET = 0x20,
    AR10_PALETTE_54 = 0x80,
    AR_INDEX_ENABLE = 0x20, /* palette address source: the screen is on */
};

#endif
