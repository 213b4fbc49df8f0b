/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/memory_image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "machine/vram.h"

enum { PAGE = 4096, RUN_PAGES = 64 /* in one piece, at most */, BATCH = 512 };

#define END_OF_BLOCK UINT64_MAX

/* /proc/self/pagemap: what the kernel has for a page of ours */
#define PM_PRESENT (1ull << 63)
#define PM_SWAPPED (1ull << 62)

/* One stretch of memory, as the stream knows it. */
struct memory_block {
    const char *name;
    uint8_t *host;
    uint64_t size;
};

/* The nth; false: there are no more. */
static bool block_at(const struct machine *m, unsigned nth, struct memory_block *block)
{
    const struct vram *vram = m->vrams;

    if (nth == 0) {
        *block = (struct memory_block){"ram", m->ram.host, m->ram.low_size + m->ram.high_size};
        return true;
    }
    while (vram && --nth)
        vram = vram->next;
    if (!vram)
        return false;
    *block = (struct memory_block){vram->region.name, vram->host, vram->size};
    return true;
}

bool memory_image_needed(const struct machine *m)
{
    return m->ram.host != NULL;
}

static bool memory_is_zero(const uint8_t *page)
{
    return !page[0] && !memcmp(page, page + 1, PAGE - 1);
}

/* ---- which pages were never touched ---- */

struct pagemap {
    int fd;
    uint64_t first; /* page number of entries[0]; the host address in pages */
    unsigned count;
    uint64_t entries[BATCH];
};

static bool untouched(struct pagemap *map, const uint8_t *page)
{
    uint64_t number = (uintptr_t)page / PAGE;

    if (map->fd < 0)
        return false;
    if (number < map->first || number >= map->first + map->count) {
        ssize_t n = pread(map->fd, map->entries, sizeof(map->entries), number * sizeof(map->entries[0]));

        map->first = number;
        map->count = n > 0 ? n / sizeof(map->entries[0]) : 0;
        if (!map->count)
            return false;
    }
    return !(map->entries[number - map->first] & (PM_PRESENT | PM_SWAPPED));
}

/* The memory is private to this process: a page that the kernel does not have was never touched. */
static struct pagemap open_pagemap(void)
{
    return (struct pagemap){.fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)};
}

static void close_pagemap(struct pagemap *map)
{
    if (map->fd >= 0)
        close(map->fd);
}

/* ---- writing ---- */

static void put64(FILE *out, uint64_t value)
{
    uint8_t bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = value >> 8 * i;
    fwrite(bytes, 1, sizeof(bytes), out);
}

static bool get64(FILE *in, uint64_t *value)
{
    uint8_t bytes[8];

    *value = 0;
    if (fread(bytes, 1, sizeof(bytes), in) != sizeof(bytes))
        return false;
    for (int i = 0; i < 8; i++)
        *value |= (uint64_t)bytes[i] << 8 * i;
    return true;
}

static bool worth_sending(struct pagemap *map, const uint8_t *page)
{
    return !untouched(map, page) && !memory_is_zero(page);
}

static void write_block(const struct memory_block *block, struct pagemap *map, FILE *out)
{
    uint64_t at = 0, from;

    while (at < block->size) {
        for (from = at;
             at < block->size && at - from < RUN_PAGES * PAGE && worth_sending(map, block->host + at);)
            at += PAGE;
        if (at == from) {
            at += PAGE;
            continue;
        }
        put64(out, from);
        put64(out, at - from);
        fwrite(block->host + from, 1, at - from, out);
    }
    put64(out, END_OF_BLOCK);
}

bool memory_image_write(struct machine *m, FILE *out, struct error *err)
{
    struct pagemap map = open_pagemap();
    struct memory_block block;

    for (unsigned nth = 0; block_at(m, nth, &block); nth++) {
        put64(out, block.size);
        write_block(&block, &map, out);
    }
    close_pagemap(&map);
    return !ferror(out) || error_set(err, "guest memory cannot be written: %s", strerror(errno));
}

/* ---- reading ---- */

/* What lies between two pieces is zero. */
static void clear_between(const struct memory_block *block, struct pagemap *map, uint64_t from, uint64_t to)
{
    for (; from < to; from += PAGE)
        if (worth_sending(map, block->host + from))
            memset(block->host + from, 0, PAGE);
}

static bool read_block(const struct memory_block *block, struct pagemap *map, FILE *in, struct error *err)
{
    uint64_t done = 0, from, length;

    for (;;) {
        if (!get64(in, &from))
            return error_set(err, "the stream ends within %s", block->name);
        if (from == END_OF_BLOCK)
            break;
        if (!get64(in, &length))
            return error_set(err, "the stream ends within %s", block->name);
        if (from < done || from % PAGE || from >= block->size || !length || length % PAGE ||
            length > block->size - from)
            return error_set(err, "%s: %" PRIu64 " bytes at %" PRIu64 " of %" PRIu64, block->name, length,
                             from, block->size);
        clear_between(block, map, done, from);
        if (fread(block->host + from, 1, length, in) != length)
            return error_set(err, "the stream ends within %s", block->name);
        done = from + length;
    }
    clear_between(block, map, done, block->size);
    return true;
}

bool memory_image_read(struct machine *m, FILE *in, struct error *err)
{
    struct pagemap map = open_pagemap();
    struct memory_block block;
    uint64_t size;
    bool ok = true;

    for (unsigned nth = 0; ok && block_at(m, nth, &block); nth++) {
        if (!get64(in, &size))
            ok = error_set(err, "the stream ends before %s", block.name);
        else if (size != block.size)
            ok = error_set(err, "%s is of %" PRIu64 " KiB, and this machine's of %" PRIu64, block.name,
                           size >> 10, block.size >> 10);
        else
            ok = read_block(&block, &map, in, err);
    }
    close_pagemap(&map);
    return ok;
}
