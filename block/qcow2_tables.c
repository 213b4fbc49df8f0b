/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2: pieces of tables in memory, reference counts, free clusters, and the order in which it is all
 * written. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "base/util.h"
#include "block/qcow2.h"

/* ---- pieces of tables ---- */

bool qcow2_tables_init(struct qcow2 *q)
{
    q->slice_size = q->cluster_size < 4096 ? q->cluster_size : 4096;
    q->slice_memory = mmap(NULL, (size_t)q->slice_size * QCOW2_SLICES, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (q->slice_memory == MAP_FAILED)
        return false;
    for (int i = 0; i < QCOW2_SLICES; i++)
        q->slices[i].data = q->slice_memory + (size_t)i * q->slice_size;
    for (int i = 0; i < QCOW2_HASH; i++)
        q->hash[i] = -1;
    q->l1_dirty_first = q->table_dirty_first = UINT64_MAX;
    return true;
}

void qcow2_tables_destroy(struct qcow2 *q)
{
    if (q->slice_memory && q->slice_memory != MAP_FAILED)
        munmap(q->slice_memory, (size_t)q->slice_size * QCOW2_SLICES);
    free(q->freed);
}

static int *slice_bucket(struct qcow2 *q, uint64_t offset)
{
    uint64_t n = offset / q->slice_size;

    return &q->hash[(n ^ n >> 8 ^ n >> 16) % QCOW2_HASH];
}

static struct qcow2_slice *slice_find(struct qcow2 *q, uint64_t offset)
{
    int i = *slice_bucket(q, offset);

    while (i >= 0 && q->slices[i].offset != offset)
        i = q->slices[i].next;
    return i < 0 ? NULL : &q->slices[i];
}

static void slice_forget(struct qcow2 *q, struct qcow2_slice *slice)
{
    int *at;

    if (!slice->offset)
        return;
    for (at = slice_bucket(q, slice->offset); &q->slices[*at] != slice; at = &q->slices[*at].next)
        ;
    *at = slice->next;
    if (slice->dirty)
        q->dirty--;
    slice->offset = 0;
    slice->dirty = slice->writing = slice->recent = false;
}

/* One that is not needed: the clock's hand passes those that were used since it came by last. */
static struct qcow2_slice *slice_evict(struct qcow2 *q)
{
    for (unsigned n = 0; n < 2 * QCOW2_SLICES; n++) {
        struct qcow2_slice *slice = &q->slices[q->clock++ % QCOW2_SLICES];

        if (!slice->dirty && !slice->writing && !slice->recent) {
            slice_forget(q, slice);
            return slice;
        }
        slice->recent = false;
    }
    return NULL;
}

int qcow2_slice(struct qcow2 *q, uint64_t offset, bool counts, struct qcow2_slice **found)
{
    struct qcow2_slice *slice = slice_find(q, offset);
    int error, *bucket;

    if (!slice && q->only_cached)
        return EAGAIN;
    if (!slice) {
        slice = slice_evict(q);
        if (!slice)
            return ENOMEM;
        error = node_pread(q->node.file, slice->data, offset, q->slice_size);
        if (error)
            return error;
        bucket = slice_bucket(q, offset);
        slice->offset = offset;
        slice->counts = counts;
        slice->next = *bucket;
        *bucket = slice - q->slices;
    }
    if (slice->counts != counts)
        return qcow2_broken(q, "a table of both kinds", offset);
    slice->recent = true;
    *found = slice;
    return 0;
}

void qcow2_dirty(struct qcow2 *q, struct qcow2_slice *slice)
{
    if (!slice->dirty)
        q->dirty++;
    slice->dirty = true;
}

static void slices_drop(struct qcow2 *q, uint64_t cluster)
{
    uint64_t offset = cluster << q->cluster_bits;

    for (uint64_t at = 0; at < q->cluster_size; at += q->slice_size) {
        struct qcow2_slice *slice = slice_find(q, offset + at);

        if (slice)
            slice_forget(q, slice);
    }
}

/* ---- the header ---- */

int qcow2_put_header(struct qcow2 *q, unsigned offset, uint64_t value)
{
    uint8_t bytes[8];

    put_be64(bytes, value);
    return node_pwrite(q->node.file, bytes, offset, sizeof(bytes));
}

int qcow2_broken(struct qcow2 *q, const char *what, uint64_t where)
{
    if (!q->corrupt)
        log_limited("image '%s' is corrupt: %s at 0x%" PRIx64, q->node.filename, what, where);
    q->corrupt = true;
    if (q->version >= 3 && !q->node.read_only && !(q->incompatible & QCOW2_CORRUPT)) {
        q->incompatible |= QCOW2_CORRUPT;
        qcow2_put_header(q, 72, q->incompatible);
    }
    return EIO;
}

static bool touches(uint64_t a, uint64_t a_length, uint64_t b, uint64_t b_length)
{
    return a < b + b_length && b < a + a_length;
}

bool qcow2_overlaps_tables(const struct qcow2 *q, uint64_t offset, uint64_t length)
{
    return touches(offset, length, 0, q->cluster_size) ||
           touches(offset, length, q->l1_offset, q->l1_size * 8) ||
           touches(offset, length, q->table_offset, q->table_size * 8) ||
           (q->snapshots && touches(offset, length, q->snapshots_offset, 1));
}

/* ---- reference counts ---- */

static unsigned block_bits(const struct qcow2 *q)
{
    return q->cluster_bits + 3 - q->refcount_order;
}

static uint64_t read_count(const uint8_t *data, unsigned order, uint64_t index)
{
    switch (order) {
    case 3:
        return data[index];
    case 4:
        return get_be16(data + index * 2);
    case 5:
        return get_be32(data + index * 4);
    case 6:
        return get_be64(data + index * 8);
    default: /* several in a byte, the first in its low bits */
        return data[index >> (3 - order)] >> ((index << order) & 7) & ((1u << (1 << order)) - 1);
    }
}

static void write_count(uint8_t *data, unsigned order, uint64_t index, uint64_t value)
{
    unsigned shift, mask;

    switch (order) {
    case 3:
        data[index] = value;
        return;
    case 4:
        put_be16(data + index * 2, value);
        return;
    case 5:
        put_be32(data + index * 4, value);
        return;
    case 6:
        put_be64(data + index * 8, value);
        return;
    default:
        shift = (index << order) & 7;
        mask = ((1u << (1 << order)) - 1) << shift;
        data += index >> (3 - order);
        *data = (*data & ~mask) | (value << shift & mask);
    }
}

/* The piece that holds a cluster's count; *index: in that piece. *slice NULL: there is none, all are 0. */
static int find_count(struct qcow2 *q, uint64_t cluster, struct qcow2_slice **slice, uint64_t *index)
{
    uint64_t block = cluster >> block_bits(q), offset, within, bytes;

    *slice = NULL;
    offset = block < q->table_size ? q->table[block] : 0;
    if (!offset)
        return 0;
    within = cluster & ((1ull << block_bits(q)) - 1);
    bytes = within << q->refcount_order >> 3;
    bytes -= bytes % q->slice_size;
    *index = within - (bytes << 3 >> q->refcount_order);
    return qcow2_slice(q, offset + bytes, true, slice);
}

int qcow2_get_refcount(struct qcow2 *q, uint64_t cluster, uint64_t *count)
{
    struct qcow2_slice *slice;
    uint64_t index;
    int error = find_count(q, cluster, &slice, &index);

    *count = error || !slice ? 0 : read_count(slice->data, q->refcount_order, index);
    return error;
}

static int put_count(struct qcow2 *q, uint64_t cluster, uint64_t count)
{
    struct qcow2_slice *slice;
    uint64_t index;
    int error = find_count(q, cluster, &slice, &index);

    if (error)
        return error;
    if (!slice)
        return EIO;
    write_count(slice->data, q->refcount_order, index, count);
    qcow2_dirty(q, slice);
    return 0;
}

/* The first of count free clusters side by side. */
static int find_free(struct qcow2 *q, uint64_t count, uint64_t *first)
{
    uint64_t run = 0, cluster = q->free_hint, references;
    bool seen = false;

    for (; run < count; cluster++) {
        int error = qcow2_get_refcount(q, cluster, &references);

        if (error)
            return error;
        if (cluster > QCOW2_OFFSET >> q->cluster_bits)
            return ENOSPC;
        run = references ? 0 : run + 1;
        if (!references && !seen) {
            seen = true;
            q->free_hint = cluster;
        }
    }
    *first = cluster - count;
    return 0;
}

static int clear_cluster(struct qcow2 *q, uint64_t cluster)
{
    uint8_t *zeroes = calloc(1, q->cluster_size);
    int error =
        zeroes ? node_pwrite(q->node.file, zeroes, cluster << q->cluster_bits, q->cluster_size) : ENOMEM;

    free(zeroes);
    slices_drop(q, cluster);
    return error;
}

static void table_changed(struct qcow2 *q, uint64_t index)
{
    if (index < q->table_dirty_first)
        q->table_dirty_first = index;
    if (index >= q->table_dirty_end)
        q->table_dirty_end = index + 1;
}

/* A larger table of the blocks of counts, behind all that the old one could count, with the blocks that count
 * it. */
static int grow_table(struct qcow2 *q)
{
    uint64_t size = q->table_size * 2, per_block = 1ull << block_bits(q);
    uint64_t clusters = qcow2_up(q, size * 8), blocks = 1, start = q->table_size << block_bits(q);
    uint64_t *table, old_first = q->table_offset >> q->cluster_bits,
                     old_count = qcow2_up(q, q->table_size * 8);
    uint8_t *bytes, field[12];
    int error = 0;

    while (blocks * per_block < clusters + blocks)
        blocks++;
    while (size < q->table_size + blocks)
        size *= 2;
    clusters = qcow2_up(q, size * 8);
    if (size * 8 > 64 << 20)
        return EFBIG;
    table = calloc(size, 8);
    bytes = calloc(clusters, q->cluster_size);
    if (!table || !bytes)
        error = ENOMEM;
    for (uint64_t i = 0; i < blocks && !error; i++)
        error = clear_cluster(q, start + i);
    if (error)
        goto out;
    memcpy(table, q->table, q->table_size * 8);
    for (uint64_t i = 0; i < blocks; i++)
        table[q->table_size + i] = (start + i) << q->cluster_bits;
    free(q->table);
    q->table = table;
    q->table_size = size;
    table = NULL;
    for (uint64_t i = 0; i < blocks + clusters && !error; i++)
        error = put_count(q, start + i, 1);
    for (uint64_t i = 0; i < size; i++)
        put_be64(bytes + i * 8, q->table[i]);
    if (!error)
        error = qcow2_write_slices(q); /* counts that are too high do no harm */
    if (!error)
        error =
            node_pwrite(q->node.file, bytes, (start + blocks) << q->cluster_bits, clusters * q->cluster_size);
    if (!error)
        error = node_flush(q->node.file);
    if (error)
        goto out;
    put_be64(field, (start + blocks) << q->cluster_bits);
    put_be32(field + 8, clusters);
    error = node_pwrite(q->node.file, field, 48, sizeof(field));
    if (!error)
        error = node_flush(q->node.file);
    q->table_offset = (start + blocks) << q->cluster_bits;
    q->table_dirty_first = UINT64_MAX;
    q->table_dirty_end = 0;
    qcow2_release(q, old_first, old_count);
out:
    free(table);
    free(bytes);
    return error;
}

/* Sees to it that a cluster has a place for its count. That takes a cluster, maybe the one that it was asked
 * for. */
static int ensure_block(struct qcow2 *q, uint64_t cluster)
{
    uint64_t block = cluster >> block_bits(q), place, its;
    int error = 0;

    while (!error && (block >= q->table_size || !q->table[block])) {
        place = block << block_bits(q);
        if (block < q->table_size)
            error = find_free(q, 1, &place);
        its = place >> block_bits(q);
        if (!error && its >= q->table_size) {
            error = grow_table(q);
            continue;
        }
        if (!error)
            error = clear_cluster(q, place);
        if (error)
            break;
        /* A block may hold the count of itself: that of its own place comes first. */
        if (q->table[its])
            its = block;
        q->table[its] = place << q->cluster_bits;
        table_changed(q, its);
        error = put_count(q, place, 1);
    }
    return error;
}

int qcow2_set_refcount(struct qcow2 *q, uint64_t cluster, uint64_t count)
{
    int error = count ? ensure_block(q, cluster) : 0;

    if (q->refcount_order < 6 && count >> (1 << q->refcount_order))
        return ERANGE;
    return error ? error : put_count(q, cluster, count);
}

static int still_free(struct qcow2 *q, uint64_t first, uint64_t count, bool *is_free)
{
    uint64_t references = 0;
    int error = 0;

    *is_free = true;
    for (uint64_t i = 0; i < count && !error && *is_free; i++) {
        error = qcow2_get_refcount(q, first + i, &references);
        *is_free = !references;
    }
    return error;
}

int qcow2_allocate(struct qcow2 *q, uint64_t count, uint64_t *first)
{
    bool is_free = false;
    int error = 0;

    if (q->corrupt)
        return EIO;
    while (!is_free) {
        error = find_free(q, count, first);
        for (uint64_t i = 0; i < count && !error; i++)
            error = ensure_block(q, *first + i);
        if (!error)
            error = still_free(q, *first, count, &is_free);
        if (error)
            return error;
    }
    if (qcow2_overlaps_tables(q, *first << q->cluster_bits, count << q->cluster_bits))
        return qcow2_broken(q, "a table that is not counted as used", *first << q->cluster_bits);
    for (uint64_t i = 0; i < count && !error; i++) {
        error = put_count(q, *first + i, 1);
        slices_drop(q, *first + i);
    }
    if (!error && q->free_hint == *first)
        q->free_hint = *first + count;
    return error;
}

void qcow2_release(struct qcow2 *q, uint64_t first, uint64_t count)
{
    if (q->freed_count && q->freed[q->freed_count - 1].first + q->freed[q->freed_count - 1].count == first) {
        q->freed[q->freed_count - 1].count += count;
        return;
    }
    if (q->freed_count == q->freed_room) {
        size_t room = q->freed_room ? q->freed_room * 2 : 64;
        struct qcow2_range *more = realloc(q->freed, room * sizeof(*more));

        if (!more)
            return; /* lost to the image, which is no harm */
        q->freed = more;
        q->freed_room = room;
    }
    q->freed[q->freed_count++] = (struct qcow2_range){first, count};
}

/* One reference less; a cluster that has none is free, and the host may have its bytes. */
static void drop_reference(struct qcow2 *q, uint64_t cluster)
{
    uint64_t count;

    if (qcow2_get_refcount(q, cluster, &count))
        return;
    if (!count) {
        qcow2_broken(q, "a cluster in use that is counted as free", cluster << q->cluster_bits);
        return;
    }
    if (put_count(q, cluster, count - 1) || count > 1)
        return;
    slices_drop(q, cluster);
    if (cluster < q->free_hint)
        q->free_hint = cluster;
    if (!q->node.keep_allocated)
        node_discard(q->node.file, cluster << q->cluster_bits, q->cluster_size);
}

/* ---- writing it all down ---- */

/* Changed pieces of one kind, copied: they may change again while they are written. */
struct copies {
    uint8_t *data;
    uint64_t *offsets;
    size_t count;
};

static int copy_slices(struct qcow2 *q, bool counts, struct copies *copies)
{
    copies->count = 0;
    copies->data = malloc((size_t)(q->dirty ? q->dirty : 1) * q->slice_size);
    copies->offsets = malloc((q->dirty ? q->dirty : 1) * sizeof(uint64_t));
    if (!copies->data || !copies->offsets)
        return ENOMEM;
    for (int i = 0; i < QCOW2_SLICES; i++) {
        struct qcow2_slice *slice = &q->slices[i];

        if (!slice->dirty || slice->counts != counts)
            continue;
        memcpy(copies->data + copies->count * q->slice_size, slice->data, q->slice_size);
        copies->offsets[copies->count++] = slice->offset;
        slice->writing = true;
        slice->dirty = false;
        q->dirty--;
    }
    return 0;
}

/* They are on their way no more; what was not written is changed still. */
static void free_copies(struct qcow2 *q, struct copies *copies, bool written)
{
    for (size_t i = 0; i < copies->count; i++) {
        struct qcow2_slice *slice = slice_find(q, copies->offsets[i]);

        if (!slice || !slice->writing)
            continue;
        slice->writing = false;
        if (!written)
            qcow2_dirty(q, slice);
    }
    free(copies->data);
    free(copies->offsets);
}

static int write_copies(struct qcow2 *q, const struct copies *copies)
{
    int error = 0;

    for (size_t i = 0; i < copies->count && !error; i++)
        error =
            node_pwrite(q->node.file, copies->data + i * q->slice_size, copies->offsets[i], q->slice_size);
    return error;
}

int qcow2_write_slices(struct qcow2 *q)
{
    int error = 0;

    for (int i = 0; i < QCOW2_SLICES && !error; i++) {
        struct qcow2_slice *slice = &q->slices[i];

        if (!slice->dirty || !slice->counts)
            continue;
        error = node_pwrite(q->node.file, slice->data, slice->offset, q->slice_size);
        if (error)
            break;
        slice->dirty = false;
        q->dirty--;
    }
    return error;
}

/* The changed part of a table of entries, in the image's order. */
struct table_part {
    uint8_t *bytes;
    uint64_t offset, first, end;
};

static int copy_table(const uint64_t *entries, uint64_t offset, uint64_t *first, uint64_t *end,
                      struct table_part *part)
{
    *part = (struct table_part){.offset = offset, .first = *first, .end = *end};
    if (*first >= *end)
        return 0;
    part->bytes = malloc((*end - *first) * 8);
    if (!part->bytes)
        return ENOMEM;
    for (uint64_t i = *first; i < *end; i++)
        put_be64(part->bytes + (i - *first) * 8, entries[i]);
    *first = UINT64_MAX;
    *end = 0;
    return 0;
}

static void free_table(struct table_part *part, uint64_t *first, uint64_t *end, bool written)
{
    if (part->bytes && !written) {
        *first = part->first < *first ? part->first : *first;
        *end = part->end > *end ? part->end : *end;
    }
    free(part->bytes);
}

static int write_table(struct qcow2 *q, const struct table_part *part)
{
    if (!part->bytes)
        return 0;
    return node_pwrite(q->node.file, part->bytes, part->offset + part->first * 8,
                       (part->end - part->first) * 8);
}

struct checkpoint {
    struct copies counts, entries;
    struct table_part table, l1;
    struct qcow2_range *freed;
    size_t freed_count;
};

static int checkpoint_begin(struct qcow2 *q, struct checkpoint *c)
{
    int error = copy_slices(q, true, &c->counts);

    if (!error)
        error = copy_slices(q, false, &c->entries);
    if (!error)
        error = copy_table(q->table, q->table_offset, &q->table_dirty_first, &q->table_dirty_end, &c->table);
    if (!error)
        error = copy_table(q->l1, q->l1_offset, &q->l1_dirty_first, &q->l1_dirty_end, &c->l1);
    c->freed = q->freed;
    c->freed_count = q->freed_count;
    q->freed = NULL;
    q->freed_count = q->freed_room = 0;
    return error;
}

static int checkpoint_write(struct qcow2 *q, const struct checkpoint *c)
{
    struct node *file = q->node.file;
    int error = write_copies(q, &c->counts);

    if (!error)
        error = node_flush(file); /* data, counts, new tables */
    if (!error && c->table.bytes) {
        error = write_table(q, &c->table);
        if (!error)
            error = node_flush(file);
    }
    if (error || (!c->entries.count && !c->l1.bytes))
        return error;
    error = write_copies(q, &c->entries);
    if (!error)
        error = write_table(q, &c->l1);
    return error ? error : node_flush(file);
}

/* Nothing on the disk refers to them: when the I/O that found them before has ended, they are free. */
static void checkpoint_give_back(struct qcow2 *q, struct checkpoint *c)
{
    unsigned old = q->epoch;

    if (!c->freed_count)
        return;
    q->epoch ^= 1;
    while (q->users[old])
        pthread_cond_wait(&q->changed, &q->lock);
    for (size_t i = 0; i < c->freed_count; i++)
        for (uint64_t n = 0; n < c->freed[i].count; n++) {
            drop_reference(q, c->freed[i].first + n);
            if (q->dirty >= QCOW2_SLICES_DIRTY)
                qcow2_write_slices(q); /* counts that become less may be written at any time now */
        }
}

static void checkpoint_end(struct qcow2 *q, struct checkpoint *c, bool written)
{
    free_copies(q, &c->counts, written);
    free_copies(q, &c->entries, written);
    free_table(&c->table, &q->table_dirty_first, &q->table_dirty_end, written);
    free_table(&c->l1, &q->l1_dirty_first, &q->l1_dirty_end, written);
    if (written)
        checkpoint_give_back(q, c);
    else
        for (size_t i = 0; i < c->freed_count; i++)
            qcow2_release(q, c->freed[i].first, c->freed[i].count);
    free(c->freed);
}

int qcow2_checkpoint(struct qcow2 *q)
{
    struct checkpoint c = {0};
    int error;

    if (q->node.read_only)
        return 0;
    pthread_mutex_lock(&q->checkpoint_lock);
    pthread_mutex_lock(&q->lock);
    error = q->corrupt ? EIO : checkpoint_begin(q, &c);
    pthread_mutex_unlock(&q->lock);
    if (!error)
        error = checkpoint_write(q, &c);
    pthread_mutex_lock(&q->lock);
    checkpoint_end(q, &c, !error);
    pthread_mutex_unlock(&q->lock);
    pthread_mutex_unlock(&q->checkpoint_lock);
    return error;
}
