/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The address spaces of the board, ports and memory: which region answers an address.
 *
 * A device declares regions and maps them; it is then called with an offset into its region, never with an
 * absolute address. Where regions overlap, the higher priority wins, among equals the one mapped last. What
 * nobody claims reads as all ones and ignores writes. All functions here are called under the machine lock.
 */
#ifndef MACHINE_BUS_H
#define MACHINE_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/work.h"

enum space { SPACE_PORT, SPACE_MEM, SPACES };

struct region_ops {
    /*
     * One access: offset + size <= region size, size is 1, 2, 4 or 8 and at most max_size. A wider access of
     * the guest arrives in pieces of max_size, low address first. It need not be aligned. The value is
     * zero-extended; of a read only the low size bytes are used. NULL read: all ones; NULL write: ignored.
     */
    uint64_t (*read)(void *opaque, uint64_t offset, unsigned size);
    void (*write)(void *opaque, uint64_t offset, unsigned size, uint64_t value);

    /*
     * Optional block forms for data ports (rep ins/outs): count elements of size bytes at the one offset,
     * packed in data. They return how many elements they took from the start (0 is fine); the rest goes
     * through read and write.
     */
    uint32_t (*read_block)(void *opaque, uint64_t offset, unsigned size, uint8_t *data, uint32_t count);
    uint32_t (*write_block)(void *opaque, uint64_t offset, unsigned size, const uint8_t *data,
                            uint32_t count);

    uint8_t max_size; /* 1, 2, 4 or 8 */
};

enum region_flags {
    /* Host memory that the guest reads without exit; its writes go to ops->write, if any. */
    REGION_READONLY = 1,
    REGION_GUEST_RAM = 2, /* part of guest RAM: the only memory that DMA may touch */
    REGION_COALESCE = 4,  /* the accelerator may deliver writes late, in order, before any other access */

    /* The accelerator's own: how it treats the region at present (vram.h, accel.h). */
    REGION_ARMED = 8,    /* writes trap although the bus writes host memory */
    REGION_LOGGED = 16,  /* writes are logged */
    REGION_DELAYED = 32, /* writes are delivered late */
};

/* Priorities: what lies over what. */
enum { PRIORITY_RAM = 0, PRIORITY_ROM = 1, PRIORITY_BAR = 2, PRIORITY_BOARD = 3, PRIORITY_OVERLAY = 4 };

struct region {
    /* Set by the owner before it is mapped, not changed while mapped. */
    const char *name;
    uint64_t size; /* bytes, at least 1 */
    const struct region_ops *ops;
    void *opaque; /* for ops and written */
    /* Memory-backed (RAM, ROM, VRAM): size bytes, accessed without ops unless READONLY is written; else NULL.
     */
    uint8_t *host;
    uint8_t flags; /* enum region_flags */
    uint8_t priority;
    /* Told after the bus (test port, KVM exit) wrote to host memory; not told of writes that the guest does
     * without exit. */
    void (*written)(void *opaque, uint64_t offset, uint64_t length);

    /* The bus's. */
    bool mapped;
    enum space space;
    uint64_t base;
    uint64_t order; /* when it was mapped, to decide among equals */
};

/* A stretch of an address space that one region answers: the regions with overlaps resolved, sorted by
 * address. */
struct flat_range {
    uint64_t start, end; /* end exclusive; the last byte of the 64-bit space is not used */
    struct region *region;
    uint64_t offset; /* of start in the region */
};

struct flat_view {
    struct flat_range *ranges;
    size_t count, capacity;
};

struct bus {
    struct work *work; /* where accesses are counted; at first the bus's own */
    struct work own_work;
    struct {
        struct region **regions; /* mapped ones, in order of mapping */
        size_t count, capacity;
        struct flat_view view;
    } spaces[SPACES];
    uint16_t *port_range;    /* port -> index + 1 into the port view, 0: nobody */
    struct flat_range *last; /* the memory range found last */
    uint64_t order;
    unsigned batch;  /* depth of bus_begin */
    uint8_t changed; /* bit per space */
    /* Told after a space changed: the accelerator follows (memory slots, ioreq server ranges). */
    void (*listener)(void *opaque, enum space space);
    void *listener_opaque;
};

void bus_init(struct bus *bus);
void bus_destroy(struct bus *bus);

/*
 * Maps a region at base; for ports base + size <= 0x10000, else the part beyond is cut off. Mapping a mapped
 * region moves it. Regions stay the caller's and must stay alive until unmapped.
 */
void bus_map(struct bus *bus, enum space space, struct region *region, uint64_t base);
void bus_unmap(struct bus *bus, struct region *region);

/* Between begin and commit the views are not rebuilt and nobody is told: for several changes that belong
 * together. */
void bus_begin(struct bus *bus);
void bus_commit(struct bus *bus);

/* One access of 1, 2, 4 or 8 bytes. It may cross regions: each byte goes to its own. Ports wrap at 64 Ki. */
uint64_t bus_read(struct bus *bus, enum space space, uint64_t addr, unsigned size);
void bus_write(struct bus *bus, enum space space, uint64_t addr, unsigned size, uint64_t value);

/*
 * String forms: count elements at one address (a data port), packed in data. They stop when the piece's work
 * is spent, after one element at least, and return how many elements were moved.
 */
uint32_t bus_read_block(struct bus *bus, enum space space, uint64_t addr, unsigned size, uint8_t *data,
                        uint32_t count);
uint32_t bus_write_block(struct bus *bus, enum space space, uint64_t addr, unsigned size, const uint8_t *data,
                         uint32_t count);

/* Any length at ascending memory addresses: RAM as memory, device windows by accesses of up to 4 bytes. */
void bus_read_mem(struct bus *bus, uint64_t addr, uint8_t *data, uint64_t length);
void bus_write_mem(struct bus *bus, uint64_t addr, const uint8_t *data, uint64_t length);

/* The range that holds addr, or NULL. Valid until the next change of the space. */
struct flat_range *bus_find(struct bus *bus, enum space space, uint64_t addr);

#endif
