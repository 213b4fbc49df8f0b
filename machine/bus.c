/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/bus.h"

#include <stdlib.h>
#include <string.h>

#define PORTS 0x10000u

void bus_init(struct bus *bus)
{
    *bus = (struct bus){.port_range = calloc(PORTS, sizeof(*bus->port_range)), .work = &bus->own_work};
}

void bus_destroy(struct bus *bus)
{
    for (int s = 0; s < SPACES; s++) {
        free(bus->spaces[s].regions);
        free(bus->spaces[s].view.ranges);
    }
    free(bus->port_range);
    *bus = (struct bus){0};
}

/* Grows *array for one more element. False: the host has no memory; the array stays as it is. */
static bool bus_grow(void *array, size_t *capacity, size_t count, size_t size)
{
    void **at = array, *bigger;

    if (count < *capacity)
        return true;
    bigger = reallocarray(*at, *capacity ? *capacity * 2 : 32, size);
    if (!bigger)
        return false;
    *at = bigger;
    *capacity = *capacity ? *capacity * 2 : 32;
    return true;
}

static void append_range(struct flat_view *view, uint64_t start, uint64_t end, struct region *region)
{
    if (!bus_grow(&view->ranges, &view->capacity, view->count, sizeof(*view->ranges)))
        return; /* the host is out of memory: nobody answers there */
    view->ranges[view->count++] = (struct flat_range){start, end, region, start - region->base};
}

static uint64_t region_end(const struct region *region)
{
    return region->size > UINT64_MAX - region->base ? UINT64_MAX : region->base + region->size;
}

static int by_priority(const void *a, const void *b)
{
    const struct region *ra = *(struct region *const *)a, *rb = *(struct region *const *)b;

    if (ra->priority != rb->priority)
        return ra->priority < rb->priority ? 1 : -1;
    return ra->order < rb->order ? 1 : -1;
}

static int by_start(const void *a, const void *b)
{
    const struct flat_range *ra = a, *rb = b;

    return ra->start < rb->start ? -1 : ra->start > rb->start;
}

/* Adds what nobody has yet of the region's addresses to the view, whose ranges are sorted and do not overlap.
 */
static void add_free_parts(struct flat_view *view, struct region *region)
{
    uint64_t at = region->base, end = region_end(region);
    size_t count = view->count;

    for (size_t i = 0; i < count && at < end; i++) {
        struct flat_range r = view->ranges[i];

        if (r.end <= at)
            continue;
        if (r.start >= end)
            break;
        if (r.start > at)
            append_range(view, at, r.start, region);
        at = r.end;
    }
    if (at < end)
        append_range(view, at, end, region);
    qsort(view->ranges, view->count, sizeof(*view->ranges), by_start);
}

static void rebuild(struct bus *bus, enum space space)
{
    struct flat_view *view = &bus->spaces[space].view;
    size_t count = bus->spaces[space].count;
    struct region *sorted[count + 1];

    memcpy(sorted, bus->spaces[space].regions, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), by_priority);
    if (space == SPACE_PORT)
        for (size_t i = 0; i < view->count; i++)
            memset(bus->port_range + view->ranges[i].start, 0,
                   (view->ranges[i].end - view->ranges[i].start) * sizeof(*bus->port_range));
    view->count = 0;
    bus->last = NULL;
    for (size_t i = 0; i < count; i++)
        add_free_parts(view, sorted[i]);
    if (space == SPACE_PORT)
        for (size_t i = 0; i < view->count; i++)
            for (uint64_t port = view->ranges[i].start; port < view->ranges[i].end; port++)
                bus->port_range[port] = i + 1;
}

static void bus_changed(struct bus *bus, enum space space)
{
    bus->changed |= 1u << space;
    if (bus->batch)
        return;
    for (int s = 0; s < SPACES; s++) {
        if (!(bus->changed & 1u << s))
            continue;
        bus->changed &= ~(1u << s);
        rebuild(bus, s);
        if (bus->listener)
            bus->listener(bus->listener_opaque, s);
    }
}

void bus_begin(struct bus *bus)
{
    bus->batch++;
}

void bus_commit(struct bus *bus)
{
    if (--bus->batch == 0 && bus->changed)
        bus_changed(bus, bus->changed & 1u << SPACE_PORT ? SPACE_PORT : SPACE_MEM);
}

static void forget(struct bus *bus, struct region *region)
{
    enum space space = region->space;
    struct region **regions = bus->spaces[space].regions;
    size_t count = bus->spaces[space].count, i = 0;

    while (i < count && regions[i] != region)
        i++;
    memmove(regions + i, regions + i + 1, (count - i - 1) * sizeof(*regions));
    bus->spaces[space].count--;
    region->mapped = false;
}

void bus_map(struct bus *bus, enum space space, struct region *region, uint64_t base)
{
    if (region->mapped && region->space == space && region->base == base)
        return;
    if (space == SPACE_PORT && base >= PORTS) {
        bus_unmap(bus, region);
        return;
    }
    bus_begin(bus);
    bus_unmap(bus, region);
    if (space == SPACE_PORT && region->size > PORTS - base)
        region->size = PORTS - base;
    if (!bus_grow(&bus->spaces[space].regions, &bus->spaces[space].capacity, bus->spaces[space].count,
                  sizeof(struct region *))) {
        bus_commit(bus);
        return; /* it stays unmapped */
    }
    bus->spaces[space].regions[bus->spaces[space].count++] = region;
    region->mapped = true;
    region->space = space;
    region->base = base;
    region->order = ++bus->order;
    bus_changed(bus, space);
    bus_commit(bus);
}

void bus_unmap(struct bus *bus, struct region *region)
{
    if (!region->mapped)
        return;
    forget(bus, region);
    bus_changed(bus, region->space);
}

struct flat_range *bus_find(struct bus *bus, enum space space, uint64_t addr)
{
    struct flat_view *view = &bus->spaces[space].view;
    size_t low = 0, high = view->count;

    if (space == SPACE_PORT)
        return addr < PORTS && bus->port_range[addr] ? &view->ranges[bus->port_range[addr] - 1] : NULL;
    if (bus->last && addr >= bus->last->start && addr < bus->last->end)
        return bus->last;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (addr < view->ranges[middle].start)
            high = middle;
        else if (addr >= view->ranges[middle].end)
            low = middle + 1;
        else
            return bus->last = &view->ranges[middle];
    }
    return NULL;
}

static uint64_t all_ones(unsigned size)
{
    return size >= 8 ? UINT64_MAX : (1ull << size * 8) - 1;
}

/* Wider than the region's owner takes. Out of line, for the common way to be short. */
__attribute__((noinline)) static uint64_t read_pieces(struct region *region, uint64_t offset, unsigned size)
{
    const struct region_ops *ops = region->ops;
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i += ops->max_size)
        value |= (ops->read(region->opaque, offset + i, ops->max_size) & all_ones(ops->max_size)) << i * 8;
    return value;
}

static uint64_t region_read(struct region *region, uint64_t offset, unsigned size)
{
    const struct region_ops *ops = region->ops;
    uint64_t value = 0;

    if (region->host) {
        memcpy(&value, region->host + offset, size);
        return value;
    }
    if (!ops || !ops->read)
        return all_ones(size);
    if (size <= ops->max_size)
        return ops->read(region->opaque, offset, size) & all_ones(size);
    return read_pieces(region, offset, size);
}

static void region_write(struct region *region, uint64_t offset, unsigned size, uint64_t value)
{
    const struct region_ops *ops = region->ops;

    if (region->host && !(region->flags & REGION_READONLY)) {
        memcpy(region->host + offset, &value, size);
        if (region->written)
            region->written(region->opaque, offset, size);
        return;
    }
    if (!ops || !ops->write)
        return;
    if (size <= ops->max_size) {
        ops->write(region->opaque, offset, size, value & all_ones(size));
        return;
    }
    for (unsigned i = 0; i < size; i += ops->max_size)
        ops->write(region->opaque, offset + i, ops->max_size, value >> i * 8 & all_ones(ops->max_size));
}

/* Does the range hold the whole access? Then it is one call, else each byte finds its own region. */
static bool whole(const struct flat_range *range, uint64_t addr, unsigned size)
{
    return range && size <= range->end - addr;
}

static uint64_t next_byte(enum space space, uint64_t addr, unsigned i)
{
    return space == SPACE_PORT ? (addr + i) & (PORTS - 1) : addr + i;
}

/* Across regions, or where nobody is. Out of line, too. */
__attribute__((noinline)) static uint64_t read_bytes(struct bus *bus, enum space space, uint64_t addr,
                                                     unsigned size)
{
    uint64_t value = 0;

    if (size == 1)
        return 0xFF;
    for (unsigned i = 0; i < size; i++)
        value |= bus_read(bus, space, next_byte(space, addr, i), 1) << i * 8;
    return value;
}

uint64_t bus_read(struct bus *bus, enum space space, uint64_t addr, unsigned size)
{
    struct flat_range *range = bus_find(bus, space, addr);

    if (!whole(range, addr, size))
        return read_bytes(bus, space, addr, size);
    return region_read(range->region, addr - range->start + range->offset, size);
}

void bus_write(struct bus *bus, enum space space, uint64_t addr, unsigned size, uint64_t value)
{
    struct flat_range *range = bus_find(bus, space, addr);

    if (whole(range, addr, size))
        region_write(range->region, addr - range->start + range->offset, size, value);
    else if (size > 1)
        for (unsigned i = 0; i < size; i++)
            bus_write(bus, space, next_byte(space, addr, i), 1, value >> i * 8 & 0xFF);
}

/* What moving so many bytes at once costs. */
static uint64_t bus_copy_cost(uint64_t bytes)
{
    return WORK_ACCESS + bytes / 8;
}

static uint32_t bus_read_elements(struct bus *bus, enum space space, uint64_t addr, unsigned size,
                                  uint8_t *data, uint32_t count)
{
    struct flat_range *range = bus_find(bus, space, addr);
    uint32_t n = 0;
    uint64_t value;

    if (count > 1 && whole(range, addr, size) && range->region->ops && range->region->ops->read_block)
        n = range->region->ops->read_block(range->region->opaque, addr - range->start + range->offset, size,
                                           data, count);
    if (n)
        return n;
    value = bus_read(bus, space, addr, size);
    memcpy(data, &value, size);
    return 1;
}

static uint32_t bus_write_elements(struct bus *bus, enum space space, uint64_t addr, unsigned size,
                                   const uint8_t *data, uint32_t count)
{
    struct flat_range *range = bus_find(bus, space, addr);
    uint32_t n = 0;
    uint64_t value = 0;

    if (count > 1 && whole(range, addr, size) && range->region->ops && range->region->ops->write_block)
        n = range->region->ops->write_block(range->region->opaque, addr - range->start + range->offset, size,
                                            data, count);
    if (n)
        return n;
    memcpy(&value, data, size);
    bus_write(bus, space, addr, size, value);
    return 1;
}

uint32_t bus_read_block(struct bus *bus, enum space space, uint64_t addr, unsigned size, uint8_t *data,
                        uint32_t count)
{
    uint32_t done = 0;

    do {
        uint32_t n = bus_read_elements(bus, space, addr, size, data + (size_t)done * size, count - done);

        work_add(bus->work, bus_copy_cost((uint64_t)n * size));
        done += n;
    } while (done < count && !work_spent(bus->work));
    return done;
}

uint32_t bus_write_block(struct bus *bus, enum space space, uint64_t addr, unsigned size, const uint8_t *data,
                         uint32_t count)
{
    uint32_t done = 0;

    do {
        uint32_t n = bus_write_elements(bus, space, addr, size, data + (size_t)done * size, count - done);

        work_add(bus->work, bus_copy_cost((uint64_t)n * size));
        done += n;
    } while (done < count && !work_spent(bus->work));
    return done;
}

/* The widest naturally aligned access, up to 4 bytes, at addr with length bytes to go. */
static unsigned piece(uint64_t addr, uint64_t length)
{
    unsigned size = 4;

    while (addr & (size - 1) || size > length)
        size /= 2;
    return size;
}

void bus_read_mem(struct bus *bus, uint64_t addr, uint8_t *data, uint64_t length)
{
    while (length) {
        struct flat_range *range = bus_find(bus, SPACE_MEM, addr);
        uint64_t n;

        if (range && range->region->host) {
            n = range->end - addr < length ? range->end - addr : length;
            memcpy(data, range->region->host + (addr - range->start + range->offset), n);
        } else {
            uint64_t value;

            n = piece(addr, length);
            value = bus_read(bus, SPACE_MEM, addr, n);
            memcpy(data, &value, n);
        }
        addr += n;
        data += n;
        length -= n;
    }
}

void bus_write_mem(struct bus *bus, uint64_t addr, const uint8_t *data, uint64_t length)
{
    while (length) {
        struct flat_range *range = bus_find(bus, SPACE_MEM, addr);
        struct region *region = range ? range->region : NULL;
        uint64_t n;

        if (region && region->host && !(region->flags & REGION_READONLY)) {
            uint64_t offset = addr - range->start + range->offset;

            n = range->end - addr < length ? range->end - addr : length;
            memcpy(region->host + offset, data, n);
            if (region->written)
                region->written(region->opaque, offset, n);
        } else {
            uint64_t value = 0;

            n = piece(addr, length);
            memcpy(&value, data, n);
            bus_write(bus, SPACE_MEM, addr, n, value);
        }
        addr += n;
        data += n;
        length -= n;
    }
}
