/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2, as its interoperability document describes it (versions 2 and 3). Big-endian on disk.
 *
 * One lock a image guards its tables; data move without it. What is changed is kept in memory until a flush
 * (qcow2_checkpoint), which writes it in an order that a power cut can stop anywhere: data and reference
 * counts, then what refers to them; a cluster that nothing refers to any more is given back after that, when
 * the I/O that had found it before has ended.
 */
#ifndef BLOCK_QCOW2_H
#define BLOCK_QCOW2_H

#include <pthread.h>

#include "block/node.h"

/* Incompatible features */
#define QCOW2_DIRTY       0x01u
#define QCOW2_CORRUPT     0x02u
#define QCOW2_DATA_FILE   0x04u
#define QCOW2_COMPRESSION 0x08u
#define QCOW2_EXTENDED_L2 0x10u

/* Entries of the L1 and L2 tables */
#define QCOW2_COPIED     (1ull << 63) /* nobody else refers to it: it may be written in place */
#define QCOW2_COMPRESSED (1ull << 62)
#define QCOW2_ZERO       1ull
#define QCOW2_OFFSET     0x00fffffffffffe00ull

enum { QCOW2_SLICES = 256, QCOW2_SLICES_DIRTY = 96, QCOW2_HASH = 256 };

/* A piece of a table: an L2 table's or a block of reference counts'. */
struct qcow2_slice {
    uint64_t offset; /* in the file; 0: holds nothing */
    uint8_t *data;
    bool counts; /* reference counts, not L2 entries */
    bool dirty, writing, recent;
    int next; /* of the same hash, or -1 */
};

struct qcow2_range { /* clusters of the file */
    uint64_t first, count;
};

/* A guest cluster whose place is about to change. */
struct qcow2_claim {
    uint64_t cluster;
    struct qcow2_claim *next;
};

struct qcow2 {
    struct node node;
    unsigned version, cluster_bits, refcount_order, l2_bits;
    bool extended, zstd;
    uint64_t cluster_size, unit_size; /* unit: a subcluster, or the cluster */
    uint32_t snapshots;
    uint64_t snapshots_offset;
    char *backing_name, *backing_format;

    pthread_mutex_t lock; /* everything below */
    pthread_cond_t changed;
    uint64_t incompatible, autoclear;
    bool corrupt;
    uint64_t l1_offset, l1_size, *l1; /* entries, in the host's order */
    uint64_t l1_dirty_first, l1_dirty_end;
    uint64_t table_offset, table_size, *table; /* of the blocks of reference counts */
    uint64_t table_dirty_first, table_dirty_end;

    struct qcow2_slice slices[QCOW2_SLICES];
    int hash[QCOW2_HASH];
    uint8_t *slice_memory;
    uint32_t slice_size;
    unsigned clock, dirty;
    bool only_cached; /* what is not in memory is not read now */

    uint64_t free_hint;        /* no cluster before it is free */
    struct qcow2_range *freed; /* nothing refers to them any more; free after the next checkpoint */
    size_t freed_count, freed_room;
    struct qcow2_claim *claims;
    unsigned epoch, users[2]; /* I/O under way that began in an epoch */

    pthread_mutex_t checkpoint_lock;
    pthread_mutex_t inflate_lock; /* the cluster that was decompressed last */
    uint64_t inflated;            /* its L2 entry; 0: none */
    uint8_t *inflated_data;
};

static inline uint64_t qcow2_up(const struct qcow2 *q, uint64_t bytes)
{
    return (bytes + q->cluster_size - 1) >> q->cluster_bits;
}

/* ---- tables: qcow2_tables.c; the lock is held ---- */

bool qcow2_tables_init(struct qcow2 *q);
void qcow2_tables_destroy(struct qcow2 *q);

/* The piece of a table at an offset; valid until the next call of any of these. */
int qcow2_slice(struct qcow2 *q, uint64_t offset, bool counts, struct qcow2_slice **slice);
void qcow2_dirty(struct qcow2 *q, struct qcow2_slice *slice);

int qcow2_get_refcount(struct qcow2 *q, uint64_t cluster, uint64_t *count);
int qcow2_set_refcount(struct qcow2 *q, uint64_t cluster, uint64_t count);
/* Takes clusters that lie side by side; *first in clusters of the file. */
int qcow2_allocate(struct qcow2 *q, uint64_t count, uint64_t *first);
/* Nothing refers to these any more. */
void qcow2_release(struct qcow2 *q, uint64_t first, uint64_t count);
/* The image contradicts itself: nothing is written any more. Returns EIO. */
int qcow2_broken(struct qcow2 *q, const char *what, uint64_t where);
/* Would this overwrite what the image is found by? */
bool qcow2_overlaps_tables(const struct qcow2 *q, uint64_t offset, uint64_t length);

/* Without the lock: writes what was changed, in order, and makes it durable. */
int qcow2_checkpoint(struct qcow2 *q);
/* Writes the changed pieces as they are, in no order: while the image is marked dirty. The lock is held. */
int qcow2_write_slices(struct qcow2 *q);
/* Changes 8 bytes of the header. */
int qcow2_put_header(struct qcow2 *q, unsigned offset, uint64_t value);

/* ---- qcow2_map.c ---- */

int qcow2_read(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length);
int qcow2_write(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length);
int qcow2_discard(struct node *node, uint64_t offset, uint64_t length);
int qcow2_zero(struct node *node, uint64_t offset, uint64_t length, unsigned flags);
bool qcow2_attempt(struct node *node, enum node_attempt what, const struct iovec *iov, int iovcnt,
                   uint64_t offset, uint64_t length, int *error);

/* ---- qcow2_repair.c ---- */

/* Counts anew who refers to what, and writes it down. While nobody else uses the image. */
int qcow2_repair(struct qcow2 *q);

#endif
