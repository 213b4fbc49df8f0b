/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Video memory: host memory that the guest writes without exits, and which of its pages changed.
 * The display side asks for a watch (see accel.h) and is told by `touched` that something was written while
 * it was armed.
 */
#ifndef MACHINE_VRAM_H
#define MACHINE_VRAM_H

#include "machine/accel.h"
#include "machine/bus.h"

#define VRAM_PAGE 4096u

struct vram {
    struct machine *machine;
    /* Memory-backed; map it, or make it a BAR. REGION_READONLY is the accelerator's while armed. */
    struct region region;
    uint64_t size; /* bytes, a multiple of VRAM_PAGE */
    /* Shows a part of the memory a second time while mapped: a bank in the VGA's window. */
    struct region window;
    uint64_t window_start; /* of that part */
    uint8_t *host;
    uint64_t *dirty; /* a bit a page: changed since vram_clear */
    enum vram_watch watch;
    /* Or NULL: the first write while ARMED; may come from any thread that holds the lock. */
    void (*touched)(void *opaque);
    void *opaque;
    void *accel;       /* the accelerator's own */
    struct vram *next; /* the machine's list, in order of creation */
};

/* Allocates zeroed video memory through the accelerator. False with *err. */
bool vram_init(struct vram *vram, struct machine *m, const char *name, uint64_t size, struct error *err);
void vram_destroy(struct vram *vram);

/*
 * Shows [start, start + size) of the memory at guest address base, over what lies there, until
 * vram_hide_window; multiples of VRAM_PAGE. Where a hypervisor cannot do that, accesses reach it through the
 * bus.
 */
void vram_show_window(struct vram *vram, uint64_t base, uint64_t start, uint64_t size);
void vram_hide_window(struct vram *vram);

void vram_set_watch(struct vram *vram, enum vram_watch watch);

/* A device wrote [offset, offset + length) itself (clipped to the memory): marks the pages, tells `touched`
 * if armed. */
void vram_mark(struct vram *vram, uint64_t offset, uint64_t length);

/* Fetches the guest's own writes into the dirty map. */
void vram_sync(struct vram *vram);

/* Is any page of the range dirty? Clipped. */
bool vram_dirty(const struct vram *vram, uint64_t offset, uint64_t length);
/* Clears the whole map: call it before reading the pixels, so that a write in between is not lost. */
void vram_clear(struct vram *vram);

#endif
