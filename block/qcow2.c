/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2: opening, what the header says, resizing. */
#include "block/qcow2.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "block/drivers.h"

enum {
    HEADER_V2 = 72,
    HEADER_V3 = 104,
    HEADER_MAX = 112,
    NAME_MAX_LENGTH = 1023,
    L1_MAX = 4 << 20,      /* entries: 32 MiB */
    TABLE_MAX = 8 << 20,   /* bytes */
    SNAPSHOTS_MAX = 65536, /* as many as peers take */
};

/* Header extensions */
#define EXTENSION_BACKING_FORMAT 0xe2792acau
#define EXTENSION_FEATURE_NAMES  0x6803f857u

/* ---- the header ---- */

static bool qcow2_error(struct qcow2 *q, struct error *err, const char *text)
{
    return error_set(err, "image '%s': %s", q->node.filename, text);
}

static bool take_geometry(struct qcow2 *q, const uint8_t *h, struct error *err)
{
    q->version = get_be32(h + 4);
    q->cluster_bits = get_be32(h + 20);
    q->node.size = get_be64(h + 24);
    if (q->version != 2 && q->version != 3)
        return error_set(err, "image '%s': qcow2 version %u is not known", q->node.filename, q->version);
    if (q->cluster_bits < 9 || q->cluster_bits > 21)
        return error_set(err, "image '%s': its cluster size of 2^%u is not between 512 and 2 MiB",
                         q->node.filename, q->cluster_bits);
    if (q->node.size > INT64_MAX - (4 << 20))
        return qcow2_error(q, err, "it claims an impossible size");
    if (get_be32(h + 32))
        return error_set(err, "image '%s' is encrypted (%s), which is not supported: serve it with qemu-nbd",
                         q->node.filename, get_be32(h + 32) == 2 ? "LUKS" : "AES");
    q->cluster_size = 1ull << q->cluster_bits;
    q->refcount_order = 4;
    return true;
}

static bool take_features(struct qcow2 *q, const uint8_t *h, struct error *err)
{
    uint64_t unknown;

    if (q->version < 3)
        return true;
    q->incompatible = get_be64(h + 72);
    q->autoclear = get_be64(h + 88);
    q->refcount_order = get_be32(h + 96);
    q->extended = q->incompatible & QCOW2_EXTENDED_L2;
    if (q->incompatible & QCOW2_DATA_FILE)
        return error_set(err, "image '%s' keeps its data in another file (data_file), which is not supported",
                         q->node.filename);
    unknown =
        q->incompatible & ~(uint64_t)(QCOW2_DIRTY | QCOW2_CORRUPT | QCOW2_COMPRESSION | QCOW2_EXTENDED_L2);
    if (unknown)
        return error_set(err, "image '%s' has incompatible features that are not known: 0x%" PRIx64,
                         q->node.filename, unknown);
    if (q->refcount_order > 6)
        return qcow2_error(q, err, "its reference counts are wider than 64 bits");
    if (q->incompatible & QCOW2_COMPRESSION) {
        if (get_be32(h + 100) <= HEADER_V3 || h[104] > 1)
            return error_set(err, "image '%s': compression type %u is not known", q->node.filename, h[104]);
        q->zstd = h[104] == 1;
    }
    if (q->extended && q->cluster_bits < 14)
        return qcow2_error(q, err, "clusters with subclusters must have 16 KiB or more");
    return true;
}

static bool in_one_piece(const struct qcow2 *q, uint64_t offset, uint64_t length)
{
    return offset && !(offset & (q->cluster_size - 1)) && offset <= QCOW2_OFFSET &&
           length <= QCOW2_OFFSET - offset;
}

static bool take_tables(struct qcow2 *q, const uint8_t *h, struct error *err)
{
    uint64_t clusters = get_be32(h + 56), needed;

    q->l2_bits = q->cluster_bits - (q->extended ? 4 : 3);
    q->unit_size = q->extended ? q->cluster_size / 32 : q->cluster_size;
    q->l1_size = get_be32(h + 36);
    q->l1_offset = get_be64(h + 40);
    q->table_offset = get_be64(h + 48);
    q->snapshots = get_be32(h + 60);
    q->snapshots_offset = get_be64(h + 64);
    needed = (qcow2_up(q, q->node.size) + (1ull << q->l2_bits) - 1) >> q->l2_bits;
    if (q->l1_size > L1_MAX || needed > L1_MAX)
        return qcow2_error(q, err, "its L1 table is too large");
    if (q->l1_size < needed)
        return qcow2_error(q, err, "its L1 table is too small for its size");
    if (q->l1_size && !in_one_piece(q, q->l1_offset, q->l1_size * 8))
        return qcow2_error(q, err, "its L1 table is at an impossible place");
    if (!clusters || clusters << q->cluster_bits > TABLE_MAX ||
        !in_one_piece(q, q->table_offset, clusters << q->cluster_bits))
        return qcow2_error(q, err, "its table of reference counts is at an impossible place");
    if (q->snapshots > SNAPSHOTS_MAX || (q->snapshots && !in_one_piece(q, q->snapshots_offset, 40)))
        return qcow2_error(q, err, "its table of snapshots is at an impossible place");
    q->table_size = (clusters << q->cluster_bits) / 8;
    return true;
}

static bool take_backing_name(struct qcow2 *q, const uint8_t *h, struct error *err)
{
    uint64_t offset = get_be64(h + 8), length = get_be32(h + 16);

    if (!offset)
        return true;
    if (length > NAME_MAX_LENGTH || offset > q->cluster_size || length > q->cluster_size - offset)
        return qcow2_error(q, err, "the name of its backing file is at an impossible place");
    if (!length)
        return true;
    q->backing_name = calloc(1, length + 1);
    if (!q->backing_name || node_pread(q->node.file, q->backing_name, offset, length))
        return qcow2_error(q, err, "the name of its backing file cannot be read");
    return strlen(q->backing_name) == length ||
           qcow2_error(q, err, "the name of its backing file holds a zero byte");
}

static bool take_extensions(struct qcow2 *q, const uint8_t *h, struct error *err)
{
    uint64_t at = q->version < 3 ? HEADER_V2 : get_be32(h + 100), length;
    uint64_t end = get_be64(h + 8) ? get_be64(h + 8) : q->cluster_size;
    uint8_t head[8];

    if (q->version >= 3 && (at < HEADER_V3 || at > q->cluster_size || at % 8))
        return qcow2_error(q, err, "its header has an impossible length");
    for (; at + sizeof(head) <= end; at += sizeof(head) + ((length + 7) & ~7ull)) {
        if (node_pread(q->node.file, head, at, sizeof(head)))
            return qcow2_error(q, err, "its header cannot be read");
        length = get_be32(head + 4);
        if (!get_be32(head))
            break;
        if (length > end - at - sizeof(head))
            return qcow2_error(q, err, "a header extension is longer than the header");
        if (get_be32(head) != EXTENSION_BACKING_FORMAT || q->backing_format || length > 64)
            continue;
        q->backing_format = calloc(1, length + 1);
        if (!q->backing_format || node_pread(q->node.file, q->backing_format, at + sizeof(head), length))
            return qcow2_error(q, err, "its header cannot be read");
    }
    return true;
}

static int read_entries(struct qcow2 *q, uint64_t offset, uint64_t count, uint64_t **entries)
{
    int error;

    *entries = calloc(count ? count : 1, 8);
    error = *entries ? node_pread(q->node.file, *entries, offset, count * 8) : ENOMEM;
    for (uint64_t i = 0; i < count && !error; i++)
        (*entries)[i] = get_be64((const uint8_t *)(*entries + i));
    return error;
}

static bool read_tables(struct qcow2 *q, struct error *err)
{
    uint64_t end = (node_size(q->node.file) + q->cluster_size) >> q->cluster_bits;

    if (read_entries(q, q->l1_offset, q->l1_size, &q->l1) ||
        read_entries(q, q->table_offset, q->table_size, &q->table))
        return qcow2_error(q, err, "its tables cannot be read");
    for (uint64_t i = 0; i < q->table_size; i++)
        if (q->table[i] & ((q->cluster_size - 1) | ~(QCOW2_OFFSET | 0xff00000000000000ull)) ||
            q->table[i] >> q->cluster_bits > end) {
            if (q->node.read_only || q->incompatible & QCOW2_DIRTY) {
                q->table[i] = 0;
                continue;
            }
            return qcow2_error(q, err, "a block of reference counts is at an impossible place");
        }
    return true;
}

/* ---- the backing file ---- */

/* A name that the image holds, as seen from where the image is. */
static char *resolve(const struct qcow2 *q, const char *name)
{
    const char *image = q->node.filename ? q->node.filename : "", *slash = strrchr(image, '/');
    char *path;

    if (!strncmp(name, "file:", 5))
        name += 5;
    if (*name == '/' || !slash)
        return strdup(name);
    path = malloc(slash - image + strlen(name) + 2);
    if (path)
        sprintf(path, "%.*s%s", (int)(slash - image + 1), image, name);
    return path;
}

static json_t *describe_backing(struct qcow2 *q, struct error *err)
{
    const char *name = q->backing_name;
    json_t *tree, *flat;
    char *path;

    if (!strncmp(name, "json:", 5)) {
        tree = json_loads(name + 5, 0, NULL);
        flat = node_flatten(tree, NULL);
        json_decref(tree);
        if (!flat)
            qcow2_error(q, err, "the description of its backing file is no JSON object");
        return flat;
    }
    path = resolve(q, name);
    flat = json_pack("{s:s, s:s, s:s}", "driver", q->backing_format ? q->backing_format : "raw",
                     "file.driver", "file", "file.filename", path ? path : "");
    free(path);
    return flat;
}

static bool right_format(struct qcow2 *q, struct error *err)
{
    const char *format;

    if (q->backing_format || strcmp(q->node.backing->driver->name, "raw"))
        return true;
    format = node_looks_like(q->node.backing->file);
    return !format ||
           error_set(err,
                     "image '%s' does not say the format of its backing file '%s', which looks like %s: "
                     "backing.driver=%s, or qemu-img rebase -u -F %s",
                     q->node.filename, q->backing_name, format, format, format);
}

static bool open_described(struct qcow2 *q, json_t *options, struct error *err)
{
    if (!options)
        return false;
    json_object_set_new(options, "read-only", json_true());
    q->node.backing = node_open_child(&q->node, options, err);
    json_decref(options);
    if (!q->node.backing && !q->node.depth) /* once, however long the chain */
        error_prefix(err, "backing file of '%s'", q->node.filename);
    return q->node.backing;
}

static bool open_backing(struct qcow2 *q, const json_t *options, struct error *err)
{
    const json_t *said = json_object_get(options, "backing");
    const char *name = json_string_value(said);
    json_t *below = node_suboptions(options, "backing");

    if (json_object_size(below))
        return open_described(q, below, err);
    json_decref(below);
    if (json_is_null(said) || (name && !*name))
        return true;
    if (name) {
        struct node *node = node_find(q->node.graph, name);

        q->node.backing = node ? node_ref(node) : NULL;
        return node || error_set(err, "there is no node '%.60s'", name);
    }
    return !q->backing_name || (open_described(q, describe_backing(q, err), err) && right_format(q, err));
}

/* ---- opening ---- */

static bool read_header(struct qcow2 *q, struct error *err)
{
    uint8_t h[HEADER_MAX] = {0};

    if (node_pread(q->node.file, h, 0, sizeof(h)))
        return qcow2_error(q, err, "its header cannot be read");
    if (get_be32(h) != 0x514649fbu)
        return qcow2_error(q, err, "it is no qcow2 image");
    return take_geometry(q, h, err) && take_features(q, h, err) && take_tables(q, h, err) &&
           take_backing_name(q, h, err) && take_extensions(q, h, err);
}

/* A writer says so of itself: what it does not keep up to date (bitmaps) must not be believed any more. */
static bool begin_writing(struct qcow2 *q, struct error *err)
{
    int error = 0;

    if (q->node.read_only) {
        if (q->incompatible & QCOW2_CORRUPT)
            log_line("image '%s' is marked as corrupt; it is read as far as that goes", q->node.filename);
        return true;
    }
    if (q->incompatible & QCOW2_CORRUPT)
        return qcow2_error(q, err,
                           "it is marked as corrupt and can be opened read-only; qemu-img check -r all");
    if (q->version >= 3 && q->autoclear)
        error = qcow2_put_header(q, 88, 0);
    if (!error && q->incompatible & QCOW2_DIRTY)
        error = qcow2_repair(q);
    return !error || error_set(err, "image '%s' cannot be repaired: %s", q->node.filename, strerror(error));
}

static void qcow2_free(struct qcow2 *q)
{
    qcow2_tables_destroy(q);
    free(q->inflated_data);
    free(q->l1);
    free(q->table);
    free(q->backing_name);
    free(q->backing_format);
    pthread_mutex_destroy(&q->lock);
    pthread_mutex_destroy(&q->checkpoint_lock);
    pthread_mutex_destroy(&q->inflate_lock);
    pthread_cond_destroy(&q->changed);
}

static bool qcow2_open(struct node *node, const json_t *options, struct error *err)
{
    struct qcow2 *q = (struct qcow2 *)node;

    pthread_mutex_init(&q->lock, NULL);
    pthread_mutex_init(&q->checkpoint_lock, NULL);
    pthread_mutex_init(&q->inflate_lock, NULL);
    pthread_cond_init(&q->changed, NULL);
    node->read_only = node->read_only || node->file->read_only;
    node->file->grows = node->file->can_grow && !node->file->read_only;
    if (read_header(q, err) && (qcow2_tables_init(q) || qcow2_error(q, err, "no memory for its tables")) &&
        read_tables(q, err) && open_backing(q, options, err) && begin_writing(q, err))
        return true;
    qcow2_free(q);
    return false;
}

static int qcow2_flush(struct node *node)
{
    return qcow2_checkpoint((struct qcow2 *)node);
}

/* The second one writes down what the first gave back. */
static void qcow2_close(struct node *node)
{
    struct qcow2 *q = (struct qcow2 *)node;

    if (!node->read_only && !q->corrupt && (qcow2_checkpoint(q) || qcow2_checkpoint(q)))
        log_line("image '%s' cannot be written to the end", node->filename);
    qcow2_free(q);
}

/* ---- resizing ---- */

static int move_l1(struct qcow2 *q, uint64_t size)
{
    uint64_t first, clusters = qcow2_up(q, size * 8), old = q->l1_offset, old_size = q->l1_size;
    uint64_t *l1 = calloc(size, 8);
    uint8_t *bytes = calloc(clusters, q->cluster_size), field[12];
    int error = l1 && bytes ? qcow2_allocate(q, clusters, &first) : ENOMEM;

    if (!error) {
        memcpy(l1, q->l1, q->l1_size * 8);
        for (uint64_t i = 0; i < q->l1_size; i++)
            put_be64(bytes + i * 8, l1[i]);
        error = node_pwrite(q->node.file, bytes, first << q->cluster_bits, clusters * q->cluster_size);
    }
    free(bytes);
    if (error) {
        free(l1);
        return error;
    }
    free(q->l1);
    q->l1 = l1;
    q->l1_size = size;
    q->l1_offset = first << q->cluster_bits;
    /* Not before the counts of its clusters are on the disk. */
    pthread_mutex_unlock(&q->lock);
    error = qcow2_checkpoint(q);
    pthread_mutex_lock(&q->lock);
    put_be32(field, size);
    put_be64(field + 4, q->l1_offset);
    if (!error)
        error = node_pwrite(q->node.file, field, 36, sizeof(field));
    if (!error)
        error = node_flush(q->node.file);
    if (!error && old_size)
        qcow2_release(q, old >> q->cluster_bits, qcow2_up(q, old_size * 8));
    return error;
}

/* Larger only: what a smaller one would lose is nobody's to decide here. */
static int qcow2_resize(struct node *node, uint64_t size)
{
    struct qcow2 *q = (struct qcow2 *)node;
    uint64_t needed;
    int error = 0;

    if (size < node->size || size % 512 || q->snapshots)
        return ENOTSUP;
    pthread_mutex_lock(&q->lock);
    needed = (qcow2_up(q, size) + (1ull << q->l2_bits) - 1) >> q->l2_bits;
    if (needed > L1_MAX)
        error = EFBIG;
    else if (needed > q->l1_size)
        error = move_l1(q, needed);
    if (!error)
        error = qcow2_put_header(q, 24, size);
    if (!error)
        __atomic_store_n(&node->size, size, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&q->lock);
    return error;
}

static void qcow2_info(struct node *node, struct node_info *info)
{
    const struct qcow2 *q = (const struct qcow2 *)node;

    info->cluster_size = q->cluster_size;
    info->dirty = q->incompatible & QCOW2_DIRTY;
    info->corrupt = q->corrupt || q->incompatible & QCOW2_CORRUPT;
    info->backing = q->backing_name;
    info->backing_format = q->backing_format;
    info->version = q->version < 3 ? "0.10" : "1.1";
    info->extra = q->zstd ? "zstd" : "zlib";
}

static const char *const qcow2_keys[] = {"backing", NULL};

const struct node_driver qcow2_driver = {.name = "qcow2",
                                         .description = "qcow2 images, with their backing files",
                                         .size = sizeof(struct qcow2),
                                         .needs_file = true,
                                         .keys = qcow2_keys,
                                         .open = qcow2_open,
                                         .close = qcow2_close,
                                         .read = qcow2_read,
                                         .write = qcow2_write,
                                         .discard = qcow2_discard,
                                         .zero = qcow2_zero,
                                         .flush = qcow2_flush,
                                         .resize = qcow2_resize,
                                         .info = qcow2_info,
                                         .attempt = qcow2_attempt};
