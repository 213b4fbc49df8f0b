/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An image's format tried against a model: what was written, sector by sector, and what a power cut may leave
 * of it. Below the format lies a disk that loses and tears what was not flushed (driver "cut").
 */
#ifndef TESTS_UNIT_DISK_MODEL_H
#define TESTS_UNIT_DISK_MODEL_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "block/node.h"
#include "tests/lib/cmocka.h"
#include "tests/lib/qtest.h"

enum { SECTOR = 512, CANDIDATES = 12, MODEL_SECTORS = 16384, RUN_MAX = 700 };

/* ---- programs of the host ---- */

static inline int run_program(const char *fmt, ...)
{
    char command[4096];
    va_list list;
    int status;

    va_start(list, fmt);
    vsnprintf(command, sizeof(command), fmt, list);
    va_end(list);
    status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline uint64_t dice(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed * 0x2545f4914f6cdd1dull >> 16;
}

/* ---- nodes ---- */

static struct node_graph graph;

static inline struct node *open_image(const char *format, const char *file, bool read_only)
{
    json_t *options =
        json_pack("{s:s, s:b, s:b, s:s, s:s, s:s}", "driver", format, "read-only", read_only,
                  "cache.no-flush", 1, "file.driver", "file", "file.filename", file, "discard", "unmap");
    struct error err = {""};
    struct node *node = node_open(&graph, options, &err);

    json_decref(options);
    if (!node)
        fail_msg("%s", err.text);
    return node;
}

/* ---- a disk with a power switch ---- */

struct cut_write {
    uint64_t offset, length;
    uint8_t *data;
    struct cut_write *next;
};

struct cut {
    struct node node;
    uint8_t *now, *durable;
    size_t room;
    struct cut_write *first, **last;
    uint64_t until_cut; /* writes that it still takes */
    uint64_t durable_size;
    pthread_mutex_t lock;
};

/* What the driver opens: one disk at a time. */
static struct {
    const char *file;
    uint64_t until_cut;
    struct cut *disk;
} cut_next;

static bool cut_open(struct node *node, const json_t *options, struct error *err)
{
    struct cut *cut = (struct cut *)node;
    struct stat st;
    int fd = open(cut_next.file, O_RDONLY);

    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    node->size = (st.st_size + 511) / 512 * 512;
    node->can_grow = true;
    node->filename = strdup(cut_next.file);
    cut->room = node->size + (64 << 20);
    cut->now = calloc(1, cut->room);
    cut->durable = calloc(1, cut->room);
    assert_int_equal(pread(fd, cut->now, st.st_size, 0), st.st_size);
    memcpy(cut->durable, cut->now, st.st_size);
    close(fd);
    cut->durable_size = node->size;
    cut->last = &cut->first;
    cut->until_cut = cut_next.until_cut;
    pthread_mutex_init(&cut->lock, NULL);
    cut_next.disk = cut;
    return true;
}

static int cut_read(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length)
{
    struct cut *cut = (struct cut *)node;

    pthread_mutex_lock(&cut->lock);
    for (int i = 0; i < iovcnt; i++) {
        memcpy(iov[i].iov_base, cut->now + offset, iov[i].iov_len);
        offset += iov[i].iov_len;
    }
    pthread_mutex_unlock(&cut->lock);
    return 0;
}

static int cut_write(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length)
{
    struct cut *cut = (struct cut *)node;
    struct cut_write *w;
    uint64_t at = 0;

    if (offset + length > cut->room)
        return ENOSPC;
    pthread_mutex_lock(&cut->lock);
    if (!cut->until_cut) {
        pthread_mutex_unlock(&cut->lock);
        return EIO;
    }
    cut->until_cut--;
    w = malloc(sizeof(*w));
    *w = (struct cut_write){offset, length, malloc(length), NULL};
    for (int i = 0; i < iovcnt; i++) {
        memcpy(w->data + at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    memcpy(cut->now + offset, w->data, length);
    *cut->last = w;
    cut->last = &w->next;
    pthread_mutex_unlock(&cut->lock);
    return 0;
}

static void cut_apply(struct cut *cut, uint64_t *seed)
{
    while (cut->first) {
        struct cut_write *w = cut->first;
        bool whole = !seed || dice(seed) % 3 == 0, lost = seed && dice(seed) % 3 == 0;

        /* Sectors are whole; everything else is torn. */
        for (uint64_t at = 0; at < w->length;) {
            uint64_t part = SECTOR - (w->offset + at) % SECTOR;

            part = part < w->length - at ? part : w->length - at;
            if (!lost && (whole || dice(seed) % 2))
                memcpy(cut->durable + w->offset + at, w->data + at, part);
            at += part;
        }
        cut->first = w->next;
        free(w->data);
        free(w);
    }
    cut->last = &cut->first;
}

static int cut_flush(struct node *node)
{
    struct cut *cut = (struct cut *)node;
    bool on;

    pthread_mutex_lock(&cut->lock);
    on = cut->until_cut;
    if (on) {
        cut->until_cut--;
        cut_apply(cut, NULL);
        cut->durable_size = node_size(node);
    }
    pthread_mutex_unlock(&cut->lock);
    return on ? 0 : EIO;
}

/* The power is back: what the disk holds goes to a file. */
static inline void cut_save(struct cut *cut, const char *file, uint64_t *seed)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    uint64_t size = node_size(&cut->node);

    cut_apply(cut, seed);
    while (size > cut->durable_size && !memcmp(cut->durable + size - SECTOR, (uint8_t[SECTOR]){0}, SECTOR))
        size -= SECTOR; /* a file that grew may have lost its end */
    assert_int_equal(write(fd, cut->durable, size), size);
    close(fd);
}

static void cut_close(struct node *node)
{
    struct cut *cut = (struct cut *)node;

    cut_apply(cut, NULL);
    free(cut->now);
    free(cut->durable);
    pthread_mutex_destroy(&cut->lock);
}

static struct node_driver cut_driver = {.name = "cut",
                                        .size = sizeof(struct cut),
                                        .open = cut_open,
                                        .close = cut_close,
                                        .read = cut_read,
                                        .write = cut_write,
                                        .flush = cut_flush};

/* ---- the model ---- */

/* What a sector may hold: its tag repeated; 0: zeroes. The last is what it holds while the power is on. */
struct sector {
    uint32_t tags[CANDIDATES];
    uint8_t count;
};

struct model {
    struct sector sectors[MODEL_SECTORS];
    uint32_t sector_count, tag;
    bool broken; /* a request failed: the power is off */
};

static inline void fill_sector(uint8_t *data, uint32_t tag)
{
    for (unsigned i = 0; i < SECTOR / 4; i++)
        memcpy(data + i * 4, &tag, 4);
}

static inline void model_init(struct model *m, uint64_t bytes)
{
    memset(m, 0, sizeof(*m));
    m->sector_count = bytes / SECTOR < MODEL_SECTORS ? bytes / SECTOR : MODEL_SECTORS;
    for (uint32_t i = 0; i < m->sector_count; i++)
        m->sectors[i].count = 1;
}

static inline void model_put(struct model *m, uint32_t first, uint32_t count, uint32_t tag, bool each)
{
    for (uint32_t i = 0; i < count; i++) {
        struct sector *s = &m->sectors[first + i];

        if (s->count == CANDIDATES)
            memmove(s->tags, s->tags + 1, --s->count * sizeof(s->tags[0]));
        s->tags[s->count++] = each ? tag + i : tag;
    }
}

static inline void model_flushed(struct model *m)
{
    for (uint32_t i = 0; i < m->sector_count; i++) {
        struct sector *s = &m->sectors[i];

        s->tags[0] = s->tags[s->count - 1];
        s->count = 1;
    }
}

static inline bool model_full(const struct model *m, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (m->sectors[first + i].count == CANDIDATES)
            return true;
    return false;
}

/* Is every sector what it may be? any: one of all; else the last. What it is is what it is from now on. */
static inline void model_check(struct model *m, struct node *node, bool any)
{
    enum { PIECE = 256 };
    static uint8_t data[PIECE * SECTOR];
    uint8_t wanted[SECTOR];

    for (uint32_t at = 0; at < m->sector_count; at += PIECE) {
        uint32_t n = m->sector_count - at < PIECE ? m->sector_count - at : PIECE;

        assert_int_equal(node_pread(node, data, (uint64_t)at * SECTOR, n * SECTOR), 0);
        for (uint32_t i = 0; i < n; i++) {
            struct sector *s = &m->sectors[at + i];
            bool good = false;
            uint32_t tag;

            memcpy(&tag, data + i * SECTOR, 4);
            fill_sector(wanted, tag);
            for (unsigned c = any ? 0 : s->count - 1; c < s->count; c++)
                good = good || s->tags[c] == tag;
            if (!good || memcmp(wanted, data + i * SECTOR, SECTOR))
                fail_msg("sector %u holds %08x, not %08x (of %u)", at + i, tag, s->tags[s->count - 1],
                         s->count);
            if (any) {
                s->tags[0] = tag;
                s->count = 1;
            }
        }
    }
}

/* One request; false: it failed. */
static inline bool model_step(struct model *m, struct node *node, uint64_t *seed)
{
    static uint8_t data[RUN_MAX * SECTOR];
    uint32_t first = dice(seed) % m->sector_count, what = dice(seed) % 20, count;
    uint8_t wanted[SECTOR];
    int error = 0;

    count = dice(seed) % (dice(seed) % 4 ? 20 : RUN_MAX) + 1;
    if (dice(seed) % 2) { /* around the places that images care about */
        first &= ~127u;
        count = dice(seed) % 2 ? 128 : count;
    }
    if (count > m->sector_count - first)
        count = m->sector_count - first;
    if (what < 10) {
        if (model_full(m, first, count)) {
            error = node_flush(node);
            if (!error)
                model_flushed(m);
        }
        for (uint32_t i = 0; i < count; i++)
            fill_sector(data + i * SECTOR, m->tag + 1 + i);
        if (!error) {
            model_put(m, first, count, m->tag + 1, true);
            m->tag += count;
            error = node_pwrite(node, data, (uint64_t)first * SECTOR, count * SECTOR);
        }
    } else if (what < 15) {
        error = node_pread(node, data, (uint64_t)first * SECTOR, count * SECTOR);
        for (uint32_t i = 0; i < count && !error; i++) {
            const struct sector *s = &m->sectors[first + i];

            fill_sector(wanted, s->tags[s->count - 1]);
            if (memcmp(wanted, data + i * SECTOR, SECTOR))
                fail_msg("sector %u is read as %08x, not %08x", first + i, *(uint32_t *)(data + i * SECTOR),
                         s->tags[s->count - 1]);
        }
    } else if (what < 18) {
        if (model_full(m, first, count))
            return true;
        model_put(m, first, count, 0, false);
        error = node_zero(node, (uint64_t)first * SECTOR, count * SECTOR, what == 15 ? 0 : NODE_MAY_UNMAP);
    } else {
        error = node_flush(node);
        if (!error)
            model_flushed(m);
    }
    m->broken = error;
    return !error;
}

/* ---- several threads, as workers are: each has every fourth run of a few sectors, within the same clusters
 * ---- */

enum { WORKERS = 4, STRIPE = 3 };

struct work {
    struct node *node;
    uint64_t seed;
    unsigned number, rounds;
    uint8_t *bytes; /* what each of its sectors holds */
    pthread_t thread;
    const char *fault;
};

static void *work_run(void *opaque)
{
    struct work *w = opaque;
    uint8_t data[STRIPE * SECTOR];
    uint32_t stripes = MODEL_SECTORS / STRIPE / WORKERS;

    for (unsigned i = 0; i < w->rounds && !w->fault; i++) {
        uint32_t stripe = dice(&w->seed) % (i % 2 ? 40 : stripes), what = dice(&w->seed) % 16;
        uint64_t offset = (uint64_t)(stripe * WORKERS + w->number) * sizeof(data);
        uint8_t byte = dice(&w->seed);

        if (what < 6) {
            memset(data, byte, sizeof(data));
            if (node_pwrite(w->node, data, offset, sizeof(data)))
                w->fault = "a write failed";
            w->bytes[stripe] = byte;
        } else if (what < 8) {
            if (node_zero(w->node, offset, sizeof(data), NODE_MAY_UNMAP))
                w->fault = "zeroing failed";
            w->bytes[stripe] = 0;
        } else if (what < 15) {
            memset(data, ~w->bytes[stripe], sizeof(data));
            if (node_pread(w->node, data, offset, sizeof(data)))
                w->fault = "a read failed";
            for (unsigned n = 0; n < sizeof(data); n++)
                if (data[n] != w->bytes[stripe])
                    w->fault = "what was read is not what was written";
        } else if (node_flush(w->node)) {
            w->fault = "a flush failed";
        }
    }
    return NULL;
}

static inline void work_side_by_side(struct node *node, unsigned count)
{
    struct work work[WORKERS];

    for (unsigned i = 0; i < WORKERS; i++) {
        work[i] = (struct work){.node = node,
                                .seed = 77 + i,
                                .number = i,
                                .rounds = count,
                                .bytes = calloc(1, MODEL_SECTORS / STRIPE / WORKERS)};
        assert_int_equal(pthread_create(&work[i].thread, NULL, work_run, &work[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_join(work[i].thread, NULL);
        free(work[i].bytes);
        if (work[i].fault)
            fail_msg("%s", work[i].fault);
    }
}

#endif
