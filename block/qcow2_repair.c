/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2: an image that was not closed (dirty, as lazy reference counts leave it): its counts are made anew.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "block/qcow2.h"

enum { COUNTED_MAX = 256 << 20 }; /* clusters of the file */

struct census {
    struct qcow2 *q;
    uint32_t *counts; /* of the file's clusters */
    uint64_t clusters;
};

static int count_range(struct census *c, uint64_t offset, uint64_t length)
{
    struct qcow2 *q = c->q;
    uint64_t first = offset >> q->cluster_bits, last;

    if (!length)
        return 0;
    if (offset > QCOW2_OFFSET || length > QCOW2_OFFSET)
        return EIO;
    last = (offset + length - 1) >> q->cluster_bits;
    if (last >= c->clusters)
        return EIO;
    for (uint64_t i = first; i <= last; i++)
        c->counts[i]++;
    return 0;
}

static int count_place(struct census *c, uint64_t place)
{
    struct qcow2 *q = c->q;
    unsigned bits = 62 - (q->cluster_bits - 8);
    uint64_t offset;

    if (!(place & QCOW2_COMPRESSED))
        return place & QCOW2_OFFSET ? count_range(c, place & QCOW2_OFFSET, q->cluster_size) : 0;
    offset = place & ((1ull << bits) - 1);
    /* The last of its sectors may lie behind the end of the file. */
    return count_range(c, offset,
                       (((place & ~(QCOW2_COPIED | QCOW2_COMPRESSED)) >> bits) + 1) * 512 - offset % 512);
}

static int count_l2(struct census *c, uint64_t offset, uint8_t *table)
{
    struct qcow2 *q = c->q;
    unsigned size = q->extended ? 16 : 8;
    int error = offset & (q->cluster_size - 1) ? EIO : count_range(c, offset, q->cluster_size);

    if (!error)
        error = node_pread(q->node.file, table, offset, q->cluster_size);
    for (uint64_t i = 0; i < q->cluster_size && !error; i += size)
        error = count_place(c, get_be64(table + i));
    return error;
}

static int count_l1(struct census *c, uint64_t offset, uint64_t size)
{
    struct qcow2 *q = c->q;
    uint8_t *table = malloc(q->cluster_size), entry[8];
    int error = table ? count_range(c, offset, size * 8) : ENOMEM;

    for (uint64_t i = 0; i < size && !error; i++) {
        error = node_pread(q->node.file, entry, offset + i * 8, sizeof(entry));
        if (!error && get_be64(entry) & QCOW2_OFFSET)
            error = count_l2(c, get_be64(entry) & QCOW2_OFFSET, table);
    }
    free(table);
    return error;
}

static int count_snapshots(struct census *c)
{
    struct qcow2 *q = c->q;
    uint64_t at = q->snapshots_offset;
    uint8_t head[40];
    int error = 0;

    for (uint32_t i = 0; i < q->snapshots && !error; i++) {
        error = node_pread(q->node.file, head, at, sizeof(head));
        if (!error && get_be32(head + 8) > 4 << 20)
            error = EIO;
        if (!error)
            error = count_l1(c, get_be64(head), get_be32(head + 8));
        at += sizeof(head) + (uint64_t)get_be32(head + 36) + get_be16(head + 12) + get_be16(head + 14);
        at = (at + 7) & ~7ull;
    }
    return error ? error : count_range(c, q->snapshots_offset, at - q->snapshots_offset);
}

static int count_all(struct census *c)
{
    struct qcow2 *q = c->q;
    int error = count_range(c, 0, q->cluster_size);

    if (!error)
        error = count_l1(c, q->l1_offset, q->l1_size);
    if (!error && q->snapshots)
        error = count_snapshots(c);
    if (!error)
        error = count_range(c, q->table_offset, q->table_size * 8);
    for (uint64_t i = 0; i < q->table_size && !error; i++) {
        /* One that something else has, too, is made anew. */
        uint64_t block = q->table[i] >> q->cluster_bits;

        if (q->table[i] && (block >= c->clusters || c->counts[block]))
            q->table[i] = 0;
        if (q->table[i])
            c->counts[block]++;
    }
    q->table_dirty_first = 0;
    q->table_dirty_end = q->table_size;
    return error;
}

/* First what is more than it was, then what is less: whatever is allocated meanwhile is free. */
static int write_counts(struct census *c, bool more)
{
    struct qcow2 *q = c->q;
    int error = 0;

    for (uint64_t i = 0; i < c->clusters && !error; i++) {
        uint64_t old;

        error = qcow2_get_refcount(q, i, &old);
        if (!error && (more ? c->counts[i] > old : c->counts[i] < old))
            error = qcow2_set_refcount(q, i, c->counts[i]);
        if (!error && q->dirty >= QCOW2_SLICES_DIRTY)
            error = qcow2_write_slices(q);
    }
    return error;
}

/* Whoever is alone may be written in place, and nobody else. */
static int mend_copied(struct census *c)
{
    struct qcow2 *q = c->q;
    unsigned size = q->extended ? 16 : 8;
    uint8_t *table = malloc(q->cluster_size);
    int error = table ? 0 : ENOMEM;

    for (uint64_t i = 0; i < q->l1_size && !error; i++) {
        uint64_t offset = q->l1[i] & QCOW2_OFFSET;
        bool alone = offset && c->counts[offset >> q->cluster_bits] == 1;

        q->l1[i] = offset | (alone ? QCOW2_COPIED : 0);
        if (!offset)
            continue;
        error = node_pread(q->node.file, table, offset, q->cluster_size);
        for (uint64_t at = 0; at < q->cluster_size && !error; at += size) {
            uint64_t place = get_be64(table + at);

            if (place & QCOW2_COMPRESSED || !(place & QCOW2_OFFSET))
                continue;
            put_be64(table + at, c->counts[(place & QCOW2_OFFSET) >> q->cluster_bits] == 1
                                     ? place | QCOW2_COPIED
                                     : place & ~QCOW2_COPIED);
        }
        if (!error)
            error = node_pwrite(q->node.file, table, offset, q->cluster_size);
    }
    free(table);
    q->l1_dirty_first = 0;
    q->l1_dirty_end = q->l1_size;
    return error;
}

int qcow2_repair(struct qcow2 *q)
{
    struct census c = {.q = q, .clusters = qcow2_up(q, node_size(q->node.file)) + 1};
    int error;

    log_line("image '%s' was not closed: its reference counts are made anew", q->node.filename);
    if (c.clusters > COUNTED_MAX)
        return EFBIG;
    c.counts = calloc(c.clusters, sizeof(*c.counts));
    if (!c.counts)
        return ENOMEM;
    error = count_all(&c);
    if (!error)
        error = write_counts(&c, true);
    if (!error)
        error = write_counts(&c, false);
    if (!error)
        error = mend_copied(&c);
    free(c.counts);
    if (!error)
        error = qcow2_checkpoint(q);
    if (!error) {
        q->incompatible &= ~(uint64_t)QCOW2_DIRTY;
        error = qcow2_put_header(q, 72, q->incompatible);
    }
    return error ? error : node_flush(q->node.file);
}
