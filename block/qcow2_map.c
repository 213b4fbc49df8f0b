/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2: where the guest's bytes are, and what changes that. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/util.h"
#include "block/qcow2.h"
#include "block/rw.h"

/* ---- L2 entries; the lock is held ---- */

struct entry {
    uint64_t place;    /* as in the table */
    uint64_t bitmap;   /* extended L2: which subclusters are allocated (0..31), which are zeroes (32..63) */
    bool table_copied; /* the table may be changed */
};

enum kind { KIND_UNALLOCATED, KIND_ZERO, KIND_NORMAL, KIND_COMPRESSED };

static unsigned entry_size(const struct qcow2 *q)
{
    return q->extended ? 16 : 8;
}

/* The bytes of a guest cluster's entry; *bytes NULL: it has no table. */
static int entry_bytes(struct qcow2 *q, uint64_t cluster, struct qcow2_slice **slice, uint8_t **bytes)
{
    uint64_t table = q->l1[cluster >> q->l2_bits] & QCOW2_OFFSET, at;
    int error;

    *bytes = NULL;
    if (!table)
        return 0;
    if (table & (q->cluster_size - 1))
        return qcow2_broken(q, "an L2 table that is not aligned", table);
    at = (cluster & ((1ull << q->l2_bits) - 1)) * entry_size(q);
    error = qcow2_slice(q, table + at - at % q->slice_size, false, slice);
    if (!error)
        *bytes = (*slice)->data + at % q->slice_size;
    return error;
}

static int get_entry(struct qcow2 *q, uint64_t cluster, struct entry *e)
{
    struct qcow2_slice *slice;
    uint8_t *bytes;
    int error = entry_bytes(q, cluster, &slice, &bytes);

    *e = (struct entry){.table_copied = q->l1[cluster >> q->l2_bits] & QCOW2_COPIED};
    if (error || !bytes)
        return error;
    e->place = get_be64(bytes);
    e->bitmap = q->extended ? get_be64(bytes + 8) : 0;
    return 0;
}

/* The table is there and ours: own_table was called. */
static int set_entry(struct qcow2 *q, uint64_t cluster, uint64_t place, uint64_t bitmap)
{
    struct qcow2_slice *slice;
    uint8_t *bytes;
    int error = entry_bytes(q, cluster, &slice, &bytes);

    if (error || !bytes)
        return error ? error : EIO;
    put_be64(bytes, place);
    if (q->extended)
        put_be64(bytes + 8, bitmap);
    qcow2_dirty(q, slice);
    return 0;
}

static int unit_kind(struct qcow2 *q, const struct entry *e, unsigned unit, enum kind *kind)
{
    bool allocated = e->bitmap >> unit & 1, zero = e->bitmap >> (32 + unit) & 1;

    if (e->place & QCOW2_COMPRESSED) {
        *kind = KIND_COMPRESSED;
        return 0;
    }
    if (!q->extended) {
        allocated = e->place & QCOW2_OFFSET;
        zero = q->version >= 3 && e->place & QCOW2_ZERO;
    } else if (allocated && (zero || !(e->place & QCOW2_OFFSET))) {
        return qcow2_broken(q, "a subcluster that is two things", e->place);
    }
    *kind = zero ? KIND_ZERO : allocated ? KIND_NORMAL : KIND_UNALLOCATED;
    if (*kind == KIND_NORMAL && e->place & QCOW2_OFFSET & (q->cluster_size - 1))
        return qcow2_broken(q, "a cluster that is not aligned", e->place & QCOW2_OFFSET);
    return 0;
}

/* A piece of the guest's disk that lies in one piece in the file, or nowhere. */
struct run {
    enum kind kind;
    bool in_place;   /* KIND_NORMAL: may be written where it is */
    uint64_t length; /* bytes */
    uint64_t host;   /* KIND_NORMAL: bytes */
    uint64_t place;  /* KIND_COMPRESSED: the entry */
};

static int find_unit(struct qcow2 *q, uint64_t offset, struct run *run)
{
    uint64_t within = offset & (q->cluster_size - 1);
    struct entry e;
    int error = get_entry(q, offset >> q->cluster_bits, &e);

    *run = (struct run){0};
    if (!error)
        error = unit_kind(q, &e, within / q->unit_size, &run->kind);
    if (error)
        return error;
    run->length = q->unit_size - within % q->unit_size;
    if (run->kind == KIND_COMPRESSED)
        run->length = q->cluster_size - within;
    run->host = (e.place & QCOW2_OFFSET) + within;
    run->place = e.place;
    run->in_place = run->kind == KIND_NORMAL && e.table_copied && e.place & QCOW2_COPIED;
    return 0;
}

static bool goes_on(const struct run *run, const struct run *next)
{
    return run->kind == next->kind && run->kind != KIND_COMPRESSED && run->in_place == next->in_place &&
           (run->kind != KIND_NORMAL || run->host + run->length == next->host);
}

static int find_run(struct qcow2 *q, uint64_t offset, uint64_t length, struct run *run)
{
    struct run next;
    int error = find_unit(q, offset, run);

    while (!error && run->length < length) {
        error = find_unit(q, offset + run->length, &next);
        if (error || !goes_on(run, &next))
            break;
        run->length += next.length;
    }
    if (run->length > length)
        run->length = length;
    return error;
}

/* ---- I/O without the lock ---- */

static unsigned io_begin(struct qcow2 *q)
{
    q->users[q->epoch]++;
    return q->epoch;
}

static void io_end(struct qcow2 *q, unsigned epoch)
{
    if (!--q->users[epoch])
        pthread_cond_broadcast(&q->changed);
}

/* ---- compressed clusters ---- */

static int inflate_zlib(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size)
{
    z_stream z = {.next_in = (uint8_t *)in, .avail_in = in_size, .next_out = out, .avail_out = out_size};
    int result;

    if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
        return ENOMEM;
    result = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    /* The last sector may hold more than the cluster's own bytes. */
    return z.avail_out == 0 && (result == Z_STREAM_END || result == Z_BUF_ERROR) ? 0 : EIO;
}

static int inflate_zstd(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size)
{
    ZSTD_DStream *stream = ZSTD_createDStream();
    ZSTD_inBuffer input = {in, in_size, 0};
    ZSTD_outBuffer output = {out, out_size, 0};
    size_t result = 0;

    if (!stream)
        return ENOMEM;
    while (output.pos < output.size && input.pos < input.size && !ZSTD_isError(result))
        result = ZSTD_decompressStream(stream, &output, &input);
    ZSTD_freeDStream(stream);
    return ZSTD_isError(result) || output.pos < output.size ? EIO : 0;
}

/* Where the compressed bytes are. */
static void compressed_place(const struct qcow2 *q, uint64_t place, uint64_t *offset, uint64_t *length)
{
    unsigned bits = 62 - (q->cluster_bits - 8);
    uint64_t sectors = ((place & ~(QCOW2_COPIED | QCOW2_COMPRESSED)) >> bits) + 1;

    *offset = place & ((1ull << bits) - 1);
    *length = sectors * 512 - *offset % 512;
}

static int inflate_cluster(struct qcow2 *q, uint64_t place)
{
    uint64_t offset, length;
    uint8_t *in;
    int error;

    if (q->inflated == place)
        return 0;
    q->inflated = 0;
    if (!q->inflated_data && !(q->inflated_data = malloc(q->cluster_size)))
        return ENOMEM;
    compressed_place(q, place, &offset, &length);
    in = malloc(length);
    error = in ? node_pread(q->node.file, in, offset, length) : ENOMEM;
    if (!error)
        error = (q->zstd ? inflate_zstd : inflate_zlib)(in, length, q->inflated_data, q->cluster_size);
    free(in);
    if (!error)
        q->inflated = place;
    return error;
}

static int read_compressed(struct qcow2 *q, const struct run *run, uint64_t within, const struct iovec *iov,
                           int iovcnt)
{
    int error;

    pthread_mutex_lock(&q->inflate_lock);
    error = inflate_cluster(q, run->place);
    if (!error)
        rw_scatter(q->inflated_data + within, iov, iovcnt, 0, run->length);
    pthread_mutex_unlock(&q->inflate_lock);
    return error;
}

/* ---- reading ---- */

static int read_run(struct qcow2 *q, const struct run *run, uint64_t offset, const struct iovec *iov,
                    int iovcnt)
{
    switch (run->kind) {
    case KIND_NORMAL:
        return node_read(q->node.file, iov, iovcnt, run->host, run->length);
    case KIND_COMPRESSED:
        return read_compressed(q, run, offset & (q->cluster_size - 1), iov, iovcnt);
    case KIND_UNALLOCATED:
        if (q->node.backing)
            return node_read(q->node.backing, iov, iovcnt, offset, run->length);
        break;
    case KIND_ZERO:
        break;
    }
    rw_zero(iov, iovcnt, 0, run->length);
    return 0;
}

int qcow2_read(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length)
{
    struct qcow2 *q = (struct qcow2 *)node;
    struct iovec part[iovcnt];
    struct run run;
    int error = 0;

    for (uint64_t done = 0; done < length && !error; done += run.length) {
        unsigned epoch;

        pthread_mutex_lock(&q->lock);
        error = find_run(q, offset + done, length - done, &run);
        epoch = io_begin(q);
        pthread_mutex_unlock(&q->lock);
        if (!error)
            error = read_run(q, &run, offset + done, part, rw_slice(iov, iovcnt, done, run.length, part));
        pthread_mutex_lock(&q->lock);
        io_end(q, epoch);
        pthread_mutex_unlock(&q->lock);
    }
    return error;
}

/* ---- changing entries; the lock is held ---- */

static void claim(struct qcow2 *q, struct qcow2_claim *mine, uint64_t cluster)
{
    const struct qcow2_claim *other = q->claims;

    while (other) {
        if (other->cluster == cluster) {
            pthread_cond_wait(&q->changed, &q->lock);
            other = q->claims;
        } else {
            other = other->next;
        }
    }
    *mine = (struct qcow2_claim){cluster, q->claims};
    q->claims = mine;
}

static void unclaim(struct qcow2 *q, struct qcow2_claim *mine)
{
    struct qcow2_claim **at = &q->claims;

    while (*at != mine)
        at = &(*at)->next;
    *at = mine->next;
    pthread_cond_broadcast(&q->changed);
}

static int copy_cluster(struct qcow2 *q, uint64_t from, uint64_t to)
{
    uint8_t *data = calloc(1, q->cluster_size);
    int error = data ? 0 : ENOMEM;

    if (!error && from)
        error = node_pread(q->node.file, data, from, q->cluster_size);
    if (!error)
        error = node_pwrite(q->node.file, data, to, q->cluster_size);
    free(data);
    return error;
}

/* An L2 table of this image's own for a guest cluster; a snapshot keeps the old one. */
static int own_table(struct qcow2 *q, uint64_t cluster)
{
    uint64_t index = cluster >> q->l2_bits, old = q->l1[index], first;
    int error;

    if (q->corrupt)
        return EIO;
    if (old & QCOW2_COPIED && old & QCOW2_OFFSET)
        return 0;
    if (old & QCOW2_OFFSET & (q->cluster_size - 1))
        return qcow2_broken(q, "an L2 table that is not aligned", old & QCOW2_OFFSET);
    error = qcow2_allocate(q, 1, &first);
    if (error)
        return error;
    error = copy_cluster(q, old & QCOW2_OFFSET, first << q->cluster_bits);
    if (error) {
        qcow2_release(q, first, 1);
        return error;
    }
    q->l1[index] = first << q->cluster_bits | QCOW2_COPIED;
    if (index < q->l1_dirty_first)
        q->l1_dirty_first = index;
    if (index >= q->l1_dirty_end)
        q->l1_dirty_end = index + 1;
    if (old & QCOW2_OFFSET)
        qcow2_release(q, (old & QCOW2_OFFSET) >> q->cluster_bits, 1);
    return 0;
}

/* What an entry that is no more referred to. */
static void release_place(struct qcow2 *q, uint64_t place)
{
    uint64_t offset, length;

    if (place & QCOW2_COMPRESSED) {
        compressed_place(q, place, &offset, &length);
        qcow2_release(q, offset >> q->cluster_bits,
                      ((offset + length - 1) >> q->cluster_bits) - (offset >> q->cluster_bits) + 1);
    } else if (place & QCOW2_OFFSET) {
        qcow2_release(q, (place & QCOW2_OFFSET) >> q->cluster_bits, 1);
    }
}

/* Puts a new entry in the place of an old one. */
static int replace_entry(struct qcow2 *q, uint64_t cluster, const struct entry *old, uint64_t place,
                         uint64_t bitmap)
{
    int error = set_entry(q, cluster, place, bitmap);

    if (error)
        return error;
    if (old->place & QCOW2_COMPRESSED || (old->place & QCOW2_OFFSET) != (place & QCOW2_OFFSET))
        release_place(q, old->place);
    return 0;
}

/* ---- writing where something has to be allocated ---- */

/* What a write within one guest cluster turns into. */
struct plan {
    uint64_t cluster, within, length; /* the guest's bytes */
    uint64_t low, high;               /* within the cluster: what is written to the file */
    uint64_t host;                    /* of the cluster */
    bool fresh;                       /* it was allocated for this */
    struct entry old;
    uint64_t bitmap;
};

static int plan_place(struct qcow2 *q, struct plan *p)
{
    const struct entry *e = &p->old;
    bool stays = !(e->place & QCOW2_COMPRESSED) && e->place & QCOW2_COPIED && e->place & QCOW2_OFFSET;
    uint64_t first;
    int error;

    if (stays && e->place & QCOW2_OFFSET & (q->cluster_size - 1))
        return qcow2_broken(q, "a cluster that is not aligned", e->place & QCOW2_OFFSET);
    p->low = 0;
    p->high = q->cluster_size;
    /* Subclusters that are elsewhere have to come along; those that are nowhere need not. */
    if (q->extended && (stays || !(e->place & (QCOW2_OFFSET | QCOW2_COMPRESSED)))) {
        p->low = p->within - p->within % q->unit_size;
        p->high = (p->within + p->length + q->unit_size - 1) / q->unit_size * q->unit_size;
    }
    p->bitmap = e->place & QCOW2_COMPRESSED ? 0 : e->bitmap;
    for (uint64_t unit = p->low / q->unit_size; q->extended && unit < p->high / q->unit_size; unit++)
        p->bitmap = (p->bitmap | 1ull << unit) & ~(1ull << (32 + unit));
    p->fresh = !stays;
    p->host = e->place & QCOW2_OFFSET;
    if (stays)
        return qcow2_overlaps_tables(q, p->host, q->cluster_size)
                   ? qcow2_broken(q, "a cluster of the guest's in a table", p->host)
                   : 0;
    error = qcow2_allocate(q, 1, &first);
    p->host = first << q->cluster_bits;
    return error;
}

/* The guest's bytes, with what was around them. */
static int write_plan(struct qcow2 *q, const struct plan *p, const struct iovec *iov, int iovcnt)
{
    uint64_t start = p->cluster << q->cluster_bits, head = p->within - p->low, end = p->within + p->length,
             tail = p->high - end;
    struct iovec whole[iovcnt + 2];
    uint8_t *edges;
    int error;

    if (!head && !tail)
        return node_write(q->node.file, iov, iovcnt, p->host + p->low, p->length);
    edges = malloc(head + tail);
    if (!edges)
        return ENOMEM;
    error = head ? node_pread(&q->node, edges, start + p->low, head) : 0;
    if (!error && tail)
        error = node_pread(&q->node, edges + head, start + end, tail);
    whole[0] = (struct iovec){edges, head};
    memcpy(whole + 1, iov, iovcnt * sizeof(*iov));
    whole[iovcnt + 1] = (struct iovec){edges + head, tail};
    if (!error)
        error = node_write(q->node.file, whole, iovcnt + 2, p->host + p->low, p->high - p->low);
    free(edges);
    return error;
}

/* Within one cluster; the lock is held, and given up for the I/O. EAGAIN: somebody else allocated it
 * meanwhile, and others may be writing in place around these bytes. */
static int write_allocating(struct qcow2 *q, uint64_t offset, uint64_t length, const struct iovec *iov,
                            int iovcnt)
{
    struct plan p = {
        .cluster = offset >> q->cluster_bits, .within = offset & (q->cluster_size - 1), .length = length};
    struct qcow2_claim mine;
    struct run now;
    unsigned epoch;
    int error;

    claim(q, &mine, p.cluster);
    error = find_run(q, offset, length, &now);
    if (!error && (now.in_place || now.length < length))
        error = EAGAIN;
    if (!error)
        error = own_table(q, p.cluster);
    if (!error)
        error = get_entry(q, p.cluster, &p.old);
    if (!error)
        error = plan_place(q, &p);
    if (!error) {
        epoch = io_begin(q);
        pthread_mutex_unlock(&q->lock);
        error = write_plan(q, &p, iov, iovcnt);
        pthread_mutex_lock(&q->lock);
        io_end(q, epoch);
        if (!error)
            error = replace_entry(q, p.cluster, &p.old, p.host | QCOW2_COPIED, p.bitmap);
        if (error && p.fresh)
            qcow2_release(q, p.host >> q->cluster_bits, 1);
    }
    unclaim(q, &mine);
    return error;
}

/* The lock is held, and given up for the I/O. */
static int write_in_place(struct qcow2 *q, const struct run *run, const struct iovec *iov, int iovcnt)
{
    unsigned epoch;
    int error;

    if (q->corrupt)
        return EIO;
    if (qcow2_overlaps_tables(q, run->host, run->length))
        return qcow2_broken(q, "a cluster of the guest's in a table", run->host);
    epoch = io_begin(q);
    pthread_mutex_unlock(&q->lock);
    error = node_write(q->node.file, iov, iovcnt, run->host, run->length);
    pthread_mutex_lock(&q->lock);
    io_end(q, epoch);
    return error;
}

/* Not too much is changed and not written. */
static int make_room(struct qcow2 *q)
{
    bool full;

    pthread_mutex_lock(&q->lock);
    full = q->dirty >= QCOW2_SLICES_DIRTY;
    pthread_mutex_unlock(&q->lock);
    return full ? qcow2_checkpoint(q) : 0;
}

int qcow2_write(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length)
{
    struct qcow2 *q = (struct qcow2 *)node;
    struct iovec part[iovcnt];
    struct run run = {0};
    int error = 0;

    for (uint64_t done = 0; done < length && !error; done += run.length) {
        error = make_room(q);
        if (error)
            break;
        pthread_mutex_lock(&q->lock);
        error = find_run(q, offset + done, length - done, &run);
        if (!error && run.in_place) {
            error = write_in_place(q, &run, part, rw_slice(iov, iovcnt, done, run.length, part));
        } else if (!error) {
            uint64_t room = q->cluster_size - ((offset + done) & (q->cluster_size - 1));

            run.length = run.length < room ? run.length : room;
            error = write_allocating(q, offset + done, run.length, part,
                                     rw_slice(iov, iovcnt, done, run.length, part));
            if (error == EAGAIN)
                run.length = error = 0; /* once more */
        }
        pthread_mutex_unlock(&q->lock);
    }
    return error;
}

/* ---- zeroes and discards ---- */

/* Calls change for each whole guest cluster in a range, under the lock; the last one may end with the disk.
 */
static int each_cluster(struct qcow2 *q, uint64_t offset, uint64_t length,
                        int (*change)(struct qcow2 *q, uint64_t cluster, bool unmap), bool unmap)
{
    uint64_t end = offset + length, first = qcow2_up(q, offset), last = end >> q->cluster_bits;
    int error = 0;

    if (end == q->node.size)
        last = qcow2_up(q, end);
    for (uint64_t cluster = first; cluster < last && !error; cluster++) {
        struct qcow2_claim mine;

        error = make_room(q);
        if (error)
            break;
        pthread_mutex_lock(&q->lock);
        claim(q, &mine, cluster);
        error = q->corrupt ? EIO : change(q, cluster, unmap);
        unclaim(q, &mine);
        pthread_mutex_unlock(&q->lock);
    }
    return error;
}

/* Nothing is allocated for it, and it reads as zeroes. */
static int drop_cluster(struct qcow2 *q, uint64_t cluster, bool unmap)
{
    struct entry e;
    int error = get_entry(q, cluster, &e);
    bool zeroes = q->node.backing; /* it must not show through */

    if (error || (!e.place && !e.bitmap && !zeroes))
        return error;
    if (!e.place && !e.bitmap) /* it shows the backing file's bytes, and costs nothing */
        return 0;
    error = own_table(q, cluster);
    if (error)
        return error;
    if (q->extended)
        return replace_entry(q, cluster, &e, 0, zeroes ? 0xffffffffull << 32 : 0);
    return replace_entry(q, cluster, &e, zeroes ? QCOW2_ZERO : 0, 0);
}

int qcow2_discard(struct node *node, uint64_t offset, uint64_t length)
{
    struct qcow2 *q = (struct qcow2 *)node;

    if (q->version < 3 && node->backing)
        return 0;
    return each_cluster(q, offset, length, drop_cluster, true);
}

static int zero_cluster(struct qcow2 *q, uint64_t cluster, bool unmap)
{
    uint64_t kept = 0;
    struct entry e;
    int error = get_entry(q, cluster, &e);

    if (error || (!e.place && !e.bitmap && !q->node.backing))
        return error;
    if (!unmap && !(e.place & QCOW2_COMPRESSED) && e.place & QCOW2_COPIED)
        kept = e.place & (QCOW2_OFFSET | QCOW2_COPIED);
    error = own_table(q, cluster);
    if (error)
        return error;
    if (q->extended)
        return replace_entry(q, cluster, &e, kept, 0xffffffffull << 32);
    if (q->version < 3)
        return replace_entry(q, cluster, &e, 0, 0);
    return replace_entry(q, cluster, &e, kept | QCOW2_ZERO, 0);
}

/* Part of a cluster: written, unless it reads as zeroes already. */
static int zero_part(struct qcow2 *q, uint64_t offset, uint64_t length)
{
    struct run run;
    uint8_t *zeroes;
    int error;

    if (!length)
        return 0;
    pthread_mutex_lock(&q->lock);
    error = find_run(q, offset, length, &run);
    pthread_mutex_unlock(&q->lock);
    if (error || (run.length == length &&
                  (run.kind == KIND_ZERO || (run.kind == KIND_UNALLOCATED && !q->node.backing))))
        return error;
    zeroes = calloc(1, length);
    if (!zeroes)
        return ENOMEM;
    error = qcow2_write(&q->node, &(struct iovec){zeroes, length}, 1, offset, length);
    free(zeroes);
    return error;
}

int qcow2_zero(struct node *node, uint64_t offset, uint64_t length, unsigned flags)
{
    struct qcow2 *q = (struct qcow2 *)node;
    uint64_t end = offset + length, first = qcow2_up(q, offset) << q->cluster_bits,
             last = end == node->size ? end : end & ~(q->cluster_size - 1);
    int error;

    if (q->version < 3 && node->backing)
        return ENOTSUP;
    if (first >= last)
        return length > q->cluster_size ? ENOTSUP : zero_part(q, offset, length);
    error = zero_part(q, offset, first - offset);
    if (!error)
        error = each_cluster(q, first, last - first, zero_cluster, flags & NODE_MAY_UNMAP);
    return error ? error : zero_part(q, last, end - last);
}

/* ---- what needs no waiting ---- */

static bool attempt_read(struct qcow2 *q, const struct run *run, const struct iovec *iov, int iovcnt,
                         uint64_t offset, int *error)
{
    struct node *below = run->kind == KIND_NORMAL ? q->node.file : q->node.backing;

    if (run->kind == KIND_COMPRESSED)
        return false;
    if (run->kind == KIND_NORMAL || (run->kind == KIND_UNALLOCATED && below))
        return node_attempt(below, NODE_ATTEMPT_READ, iov, iovcnt,
                            run->kind == KIND_NORMAL ? run->host : offset, run->length, error);
    rw_zero(iov, iovcnt, 0, run->length);
    *error = 0;
    return true;
}

static bool attempt_write(struct qcow2 *q, const struct run *run, const struct iovec *iov, int iovcnt,
                          int *error)
{
    return run->in_place && !q->corrupt && !qcow2_overlaps_tables(q, run->host, run->length) &&
           node_attempt(q->node.file, NODE_ATTEMPT_WRITE, iov, iovcnt, run->host, run->length, error);
}

static bool attempt_flush(struct qcow2 *q, int *error)
{
    return !q->dirty && !q->freed_count && q->l1_dirty_first >= q->l1_dirty_end &&
           q->table_dirty_first >= q->table_dirty_end &&
           node_attempt(q->node.file, NODE_ATTEMPT_FLUSH, NULL, 0, 0, 0, error);
}

bool qcow2_attempt(struct node *node, enum node_attempt what, const struct iovec *iov, int iovcnt,
                   uint64_t offset, uint64_t length, int *error)
{
    struct qcow2 *q = (struct qcow2 *)node;
    struct run run;
    bool done = false;

    if (pthread_mutex_trylock(&q->lock))
        return false;
    q->only_cached = true;
    if (what == NODE_ATTEMPT_FLUSH)
        done = attempt_flush(q, error);
    else if (!find_run(q, offset, length, &run) && run.length == length)
        done = what == NODE_ATTEMPT_READ ? attempt_read(q, &run, iov, iovcnt, offset, error)
                                         : attempt_write(q, &run, iov, iovcnt, error);
    q->only_cached = false;
    pthread_mutex_unlock(&q->lock);
    return done;
}
