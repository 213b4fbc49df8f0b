/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VGA core: IBM VGA registers (IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem"), the
 * memory window at 0xA0000 and the drawing of what they show. It is a library for the adapters (stdvga,
 * cirrus), which embed struct vga and add their own registers and modes by hooks.
 *
 * Display memory is kept as the chips' 32-bit wide memory is: the byte of plane p at plane address a lies at
 * 4 * a + p, so that chain-4 and packed modes are linear. Every index into it is masked by vga_mask: the
 * memory's size is a power of two.
 */
#ifndef HW_DISPLAY_VGA_H
#define HW_DISPLAY_VGA_H

#include "console/console.h"
#include "machine/bus.h"
#include "machine/device.h"
#include "machine/vram.h"

enum vga_kind {
    VGA_BLANK,  /* the screen is off: black */
    VGA_TEXT,   /* alphanumeric */
    VGA_PLANAR, /* 16 colours of four planes; also 2 colours */
    VGA_CGA,    /* 2 bits a pixel, interleaved shift registers */
    VGA_256,    /* 256 colours, addressed by the CRTC (mode 13h, unchained) */
    VGA_LINEAR, /* packed pixels at start + y * pitch */
};

enum { VGA_MAX_WIDTH = 16000, VGA_MAX_HEIGHT = 12000 };

/*
 * What is shown: all that pixels depend on apart from the memory. Compared as a whole (memcmp): a change
 * redraws everything. So it is zeroed first and a field that has no meaning for the kind stays zero.
 */
struct vga_mode {
    uint32_t kind;          /* enum vga_kind */
    uint32_t width, height; /* of the screen in dots and scan lines, 1..VGA_MAX_* */
    uint32_t depth;         /* VGA_LINEAR: 8, 15, 16, 24 or 32 bits a pixel */
    uint32_t pitch;         /* VGA_LINEAR: bytes from line to line; else CRTC counts from row to row */
    uint64_t start;        /* VGA_LINEAR: byte of the first pixel; else CRTC count, in text mode kept apart */
    uint32_t columns;      /* characters (of 8 or 9 dots) a line */
    uint32_t line_compare; /* the last scan line before the split: what follows starts at 0 */
    uint32_t address_mask; /* of plane addresses */
    uint8_t char_width;    /* dots: 8 or 9 */
    uint8_t max_scan;      /* scan lines of a row, less 1 */
    uint8_t preset_scan;
    bool double_scan;    /* each line twice */
    uint8_t dot_shift;   /* a pixel is 1 << dot_shift dots wide */
    uint8_t pan;         /* pixels */
    bool pan_reset;      /* no panning below the split */
    uint8_t addressing;  /* CR17 as it matters */
    bool dword;          /* CR14 bit 6 */
    uint8_t count_shift; /* a count for 1 << count_shift characters */
    uint8_t underline;   /* scan line */
    uint8_t fonts[2];    /* SR3: font for attribute bit 3 clear and set, in units of 8 KiB of plane 2 */
    bool line_graphics;  /* characters C0-DF: dot 9 repeats dot 8 */
    uint8_t background;  /* mask of the background's colours */
    uint32_t palette[256];
};

/* What an adapter adds. Each may be NULL. */
struct vga_hooks {
    /* A VGA port (0x3B4...0x3DF) before the core decodes it: true, it was the adapter's. */
    bool (*port_read)(void *opaque, uint16_t port, uint8_t *value);
    bool (*port_write)(void *opaque, uint16_t port, uint8_t value);
    /* An access of 1, 2 or 4 bytes to the window, offset from 0xA0000: true, it was the adapter's. */
    bool (*window_read)(void *opaque, uint32_t offset, unsigned size, uint32_t *value);
    bool (*window_write)(void *opaque, uint32_t offset, unsigned size, uint32_t value);
    /* May the guest have the memory itself in the window, as far as the adapter's registers go? */
    bool (*window_plain)(void *opaque);
    /*
     * Called when drawing begins: may change the mode that the VGA registers give, and whether the screen is
     * dark. vga_set_palette fills mode->palette for a kind.
     */
    void (*mode)(void *opaque, struct vga_mode *mode, bool *blank);
    /* Paints over a finished line: the hardware cursor. */
    void (*overlay)(void *opaque, unsigned y, uint32_t *line, unsigned width);
};

#define VGA_STATE(S)                                                                                         \
    S(UINT, uint8_t, misc, ANY)                                                                              \
    S(UINT, uint8_t, feature, ANY)                                                                           \
    S(UINT, uint8_t, sr_index, ANY)                                                                          \
    S(UINT, uint8_t, gr_index, ANY)                                                                          \
    S(UINT, uint8_t, cr_index, ANY)                                                                          \
    S(UINT, uint8_t, ar_index, 0x3F)                                                                         \
    S(BOOL, ar_data) /* the next write to 0x3C0 is data */                                                   \
    S(ARRAY, uint8_t, sr, 8, ANY)                                                                            \
    S(ARRAY, uint8_t, gr, 16, ANY)                                                                           \
    S(ARRAY, uint8_t, cr, 32, ANY)                                                                           \
    S(ARRAY, uint8_t, ar, 32, ANY)                                                                           \
    S(UINT, uint8_t, dac_mask, ANY)                                                                          \
    S(UINT, uint8_t, dac_read_index, ANY)                                                                    \
    S(UINT, uint8_t, dac_write_index, ANY)                                                                   \
    S(UINT, uint8_t, dac_component, 2)                                                                       \
    S(BOOL, dac_reading)                                                                                     \
    S(ARRAY, uint8_t, dac_latch, 3, ANY)                                                                     \
    S(ARRAY, uint8_t, dac, 768, ANY) /* red, green, blue as written */                                       \
    S(UINT, uint32_t, latch, ANY)                                                                            \
    S(UINT, uint16_t, last_width, VGA_MAX_WIDTH) /* of what was shown last: a blank screen keeps its size */ \
    S(UINT, uint16_t, last_height, VGA_MAX_HEIGHT)

struct vga {
    struct machine *machine;
    const struct vga_hooks *hooks;
    void *opaque;
    struct vram vram;
    /* the adapter's */
    /* Of each 32 KiB half of the window: added to its offset (bytes of a packed mode, else plane address). */
    uint32_t bank[2];
    bool packed; /* the window shows packed pixels whatever the VGA registers say */
    bool dac8;   /* 8 bits a colour */
    struct region ports, window;
    uint32_t window_writes; /* since the window last changed */
    struct console_source source;
    /* drawing */
    struct vga_mode shown;         /* what the surface shows */
    uint32_t redraw_y, redraw_end; /* lines to draw again though their memory did not change */
    uint32_t *shadow;              /* text cells as drawn */
    uint8_t *font;                 /* the two fonts as drawn, 256 * 32 bytes each */
    uint32_t *line;                /* one line of pixels */
    uint8_t *bytes;                /* one line of memory */
    STATE_MEMBERS(VGA_STATE);
};
extern const struct state_table vga_state;

/*
 * Makes the memory of vram_size bytes (a power of two, at least 256 KiB), maps ports and window, becomes the
 * console's source. False with *err, nothing left behind.
 */
bool vga_init(struct vga *vga, struct machine *m, uint64_t vram_size, const struct vga_hooks *hooks,
              void *opaque, struct error *err);
void vga_destroy(struct vga *vga);
void vga_reset(struct vga *vga); /* registers; not the memory's contents */

/* After the registers and the memory were loaded from a saved state. */
void vga_loaded(struct vga *vga);

/* A VGA port, 0x3B0...0x3DF, as a memory-mapped register window reaches it. */
uint8_t vga_port_read(struct vga *vga, uint16_t port);
void vga_port_write(struct vga *vga, uint16_t port, uint8_t value);

/* The one place where an offset from the guest becomes an index into display memory. */
static inline uint32_t vga_mask(const struct vga *vga, uint64_t offset)
{
    return offset & (vga->vram.size - 1);
}

/* The sequencer or the attribute controller keeps the screen dark. */
bool vga_screen_off(const struct vga *vga);
/* Something that the window shows (banks, packed, window_plain) has changed. */
void vga_window_changed(struct vga *vga);
/* Something that mode() depends on has changed. */
void vga_changed(struct vga *vga);
/* Lines [y, y + count) are drawn next time, though their memory did not change (the cursor moved). */
void vga_redraw(struct vga *vga, uint32_t y, uint32_t count);
/* Fills mode->palette: the 16 colours of the attribute controller, or all 256 of the DAC. */
void vga_set_palette(const struct vga *vga, struct vga_mode *mode, bool dac);
/* The start address that the CRTC registers give, in counts. */
uint32_t vga_start_address(const struct vga *vga);

#endif
