/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest RAM as devices reach it: DMA goes to RAM only. An address that is not RAM (a device window, a hole,
 * the end of memory) makes the whole call fail without an effect beyond the RAM before it; the device reports
 * a bus error to its guest.
 *
 * RAM lies at [0, low_size) and, if there is more, at [4 GiB, 4 GiB + high_size); 0xA0000-0xBFFFF in it is
 * the VGA's.
 */
#ifndef MACHINE_RAM_H
#define MACHINE_RAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/work.h"

#define RAM_HIGH_BASE 0x100000000ull

struct ram;

/* How a hypervisor reaches guest memory that is not simply mapped (Xen's foreign mappings). */
struct ram_ops {
    /* The host address of gpa for up to *length bytes, shortened to what is contiguous; NULL: no memory
     * there. */
    void *(*map)(void *opaque, uint64_t gpa, uint64_t *length);
    /* Gives a mapping back; written tells that its bytes were changed. */
    void (*unmap)(void *opaque, uint64_t gpa, void *host, uint64_t length, bool written);
};

struct ram {
    uint64_t low_size, high_size; /* bytes, multiples of 4096 */
    uint8_t *host; /* the low part, then the high part, in one piece; NULL where ops are used */
    const struct ram_ops *ops;
    void *opaque;
    struct work *work; /* where copies are counted; NULL: nowhere */
};

/* Splits size bytes into the low part, at most low_limit, and the high part. Does not allocate. */
void ram_layout(struct ram *ram, uint64_t size, uint64_t low_limit);
/* Host memory for what is the guest's, zero and untouched (sparse); to be given back by munmap. A core dump
 * of the process has it only if dumped. NULL: errno. */
void *ram_reserve(uint64_t size, bool dumped);
/* ram_reserve for the layout. */
bool ram_alloc(struct ram *ram, bool dumped);
void ram_free(struct ram *ram);

/* Is [gpa, gpa + length) RAM, whole? */
bool ram_contains(const struct ram *ram, uint64_t gpa, uint64_t length);

bool ram_read(struct ram *ram, uint64_t gpa, void *data, uint64_t length);
bool ram_write(struct ram *ram, uint64_t gpa, const void *data, uint64_t length);

/*
 * Direct access for bulk transfers: the host address of gpa, *length shortened to the contiguous part (at
 * least 1 byte). NULL: not RAM. Every mapping is given back with ram_unmap and the same length.
 */
void *ram_map(struct ram *ram, uint64_t gpa, uint64_t *length);
void ram_unmap(struct ram *ram, uint64_t gpa, void *host, uint64_t length, bool written);

#endif
