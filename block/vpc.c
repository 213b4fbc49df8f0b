/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vpc: virtual hard disks (VHD) as Microsoft's specification 1.0 describes them, fixed, dynamic and
 * differencing. Big-endian on disk.
 *
 * One lock an image guards table and bitmaps; data move without it. A changed table and changed bitmaps stay
 * in memory until a flush, which makes the data durable first: a power cut leaves the old sectors or the new
 * ones.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "block/drivers.h"
#include "block/rw.h"

enum {
    FOOTER = 512,
    HEADER = 1024,
    VPC_SECTOR = 512,
    TYPE_FIXED = 2,
    TYPE_DYNAMIC = 3,
    TYPE_DIFFERENCING = 4,
    BLOCKS_MAX = 16 << 20,
    BITMAPS_DIRTY = 64, /* before they are written down */
    BITMAPS_MAX = 4096, /* in memory */
    NAME_LENGTH = 1024,
};
#define UNUSED 0xffffffffu

/* The bitmap of a block: which of its sectors it holds, the first in the highest bit. */
struct bitmap {
    uint8_t *bits;
    bool dirty;
};

struct vpc_claim {
    uint64_t block;
    struct vpc_claim *next;
};

struct vpc {
    struct node node;
    uint32_t type;
    uint8_t footer[FOOTER], parent_id[16];
    uint64_t table_offset, block_size, bitmap_size, blocks;
    char parent_name[NAME_LENGTH];

    pthread_mutex_t lock; /* everything below */
    pthread_cond_t changed;
    uint32_t *table; /* sector of each block, UNUSED: it has none */
    struct bitmap *bitmaps;
    unsigned loaded, dirty;
    uint64_t table_dirty_first, table_dirty_end;
    uint64_t end;       /* where the next block goes */
    uint64_t footer_at; /* where the footer was put last */
    struct vpc_claim *claims;

    pthread_mutex_t checkpoint_lock;
    pthread_mutex_t merge_lock; /* requests that are not whole sectors */
};

/* ---- opening ---- */

static bool vpc_error(struct vpc *v, struct error *err, const char *text)
{
    return error_set(err, "image '%s': %s", v->node.filename, text);
}

static bool sum_is_right(const uint8_t *data, size_t length, size_t at)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < length; i++)
        sum += i >= at && i < at + 4 ? 0 : data[i];
    return get_be32(data + at) == ~sum;
}

static bool is_footer(const uint8_t *footer)
{
    return !memcmp(footer, "conectix", 8) && sum_is_right(footer, FOOTER, 64);
}

/* The footer at the end; a dynamic disk that was not closed has a copy at its beginning. */
static bool read_footer(struct vpc *v, struct error *err)
{
    struct node *file = v->node.file;

    if (file->size >= FOOTER && !node_pread(file, v->footer, file->size - FOOTER, FOOTER) &&
        is_footer(v->footer))
        return true;
    if (!node_pread(file, v->footer, 0, FOOTER) && is_footer(v->footer) &&
        get_be32(v->footer + 60) != TYPE_FIXED)
        return true;
    return vpc_error(v, err, "it is no VHD, or its footer is damaged");
}

static bool take_footer(struct vpc *v, struct error *err)
{
    v->type = get_be32(v->footer + 60);
    v->node.size = get_be64(v->footer + 48);
    if (get_be32(v->footer + 12) >> 16 != 1)
        return vpc_error(v, err, "its version of VHD is not known");
    if (v->type < TYPE_FIXED || v->type > TYPE_DIFFERENCING)
        return error_set(err, "image '%s': type %u of VHD is not known", v->node.filename, v->type);
    if (v->node.size % VPC_SECTOR || v->node.size > 1ull << 50)
        return vpc_error(v, err, "it claims an impossible size");
    if (v->type == TYPE_FIXED && v->node.size > v->node.file->size - FOOTER)
        return vpc_error(v, err, "its file is shorter than it says");
    return true;
}

static bool read_header(struct vpc *v, uint8_t *h, struct error *err)
{
    uint64_t at = get_be64(v->footer + 16);

    if (at > node_size(v->node.file) || node_pread(v->node.file, h, at, HEADER) || memcmp(h, "cxsparse", 8) ||
        !sum_is_right(h, HEADER, 36))
        return vpc_error(v, err, "its dynamic header is damaged");
    v->table_offset = get_be64(h + 16);
    v->block_size = get_be32(h + 32);
    if (v->block_size < 8 * VPC_SECTOR || v->block_size > 256 << 20 || v->block_size & (v->block_size - 1))
        return vpc_error(v, err, "its blocks have an impossible size");
    v->bitmap_size = (v->block_size / VPC_SECTOR / 8 + VPC_SECTOR - 1) / VPC_SECTOR * VPC_SECTOR;
    v->blocks = (v->node.size + v->block_size - 1) / v->block_size;
    if (v->blocks > get_be32(h + 28) || v->blocks > BLOCKS_MAX)
        return vpc_error(v, err, "its table of blocks does not fit its size");
    if (v->table_offset % VPC_SECTOR || v->table_offset < HEADER || v->table_offset > node_size(v->node.file))
        return vpc_error(v, err, "its table of blocks is at an impossible place");
    return true;
}

static void not_before(struct vpc *v, uint64_t end)
{
    if (end > v->end && end <= node_size(v->node.file))
        v->end = end;
}

/* Behind all that the header names: blocks are not put there. */
static void find_end(struct vpc *v, const uint8_t *h)
{
    v->end = HEADER;
    not_before(v, get_be64(v->footer + 16) + HEADER);
    not_before(v, v->table_offset + v->blocks * 4);
    not_before(v, v->table_offset + (uint64_t)get_be32(h + 28) * 4);
    for (const uint8_t *locator = h + 576; locator < h + 576 + 8 * 24; locator += 24)
        if (get_be32(locator))
            not_before(v, get_be64(locator + 16) + get_be32(locator + 8));
}

static bool read_table(struct vpc *v, struct error *err)
{
    uint64_t first;

    v->table = calloc(v->blocks + 1, sizeof(*v->table));
    v->bitmaps = calloc(v->blocks + 1, sizeof(*v->bitmaps));
    if (!v->table || !v->bitmaps)
        return vpc_error(v, err, "no memory for its table of blocks");
    if (node_pread(v->node.file, v->table, v->table_offset, v->blocks * 4))
        return vpc_error(v, err, "its table of blocks cannot be read");
    v->table_dirty_first = UINT64_MAX;
    first = v->table_offset + v->blocks * 4;
    for (uint64_t i = 0; i < v->blocks; i++) {
        uint64_t at = (uint64_t)(v->table[i] = get_be32((const uint8_t *)(v->table + i))) * VPC_SECTOR;

        if (v->table[i] == UNUSED)
            continue;
        if (at < first || at > node_size(v->node.file))
            return error_set(err, "image '%s': its block %" PRIu64 " is at an impossible place",
                             v->node.filename, i);
        if (at + v->bitmap_size + v->block_size > v->end)
            v->end = at + v->bitmap_size + v->block_size;
    }
    v->end = (v->end + VPC_SECTOR - 1) / VPC_SECTOR * VPC_SECTOR;
    return true;
}

/* ---- the parent of a differencing disk ---- */

/* A name in UTF-16; what is not in the first 64 Ki of Unicode does not occur in names that are found. */
static void take_utf16(char *to, const uint8_t *from, size_t bytes, bool big_endian)
{
    size_t n = 0;

    for (size_t i = 0; i + 1 < bytes && n < NAME_LENGTH - 4; i += 2) {
        unsigned c = big_endian ? from[i] << 8 | from[i + 1] : from[i + 1] << 8 | from[i];

        if (!c)
            break;
        if (c == '\\')
            c = '/';
        if (c < 0x80) {
            to[n++] = c;
        } else if (c < 0x800) {
            to[n++] = 0xC0 | c >> 6;
            to[n++] = 0x80 | (c & 0x3F);
        } else {
            to[n++] = 0xE0 | c >> 12;
            to[n++] = 0x80 | (c >> 6 & 0x3F);
            to[n++] = 0x80 | (c & 0x3F);
        }
    }
    to[n] = 0;
}

/* One of the places where the parent's name stands; false: of no use. */
static bool take_locator(struct vpc *v, const uint8_t *locator)
{
    uint32_t code = get_be32(locator), length = get_be32(locator + 8);
    uint8_t name[NAME_LENGTH] = {0};

    if (!length || length >= sizeof(name) || node_pread(v->node.file, name, get_be64(locator + 16), length))
        return false;
    switch (code) {
    case 0x57327275: /* W2ru: relative */
        take_utf16(v->parent_name, name, length, false);
        return *v->parent_name;
    case 0x4d616358: /* MacX: an URL, as XenServer writes it */
        if (strncmp((char *)name, "file://", 7))
            return false;
        strcpy(v->parent_name, (char *)name + 7);
        return *v->parent_name;
    default:
        return false;
    }
}

static void find_parent_name(struct vpc *v, const uint8_t *header)
{
    for (unsigned i = 0; i < 8; i++)
        if (take_locator(v, header + 576 + 24 * i))
            return;
    take_utf16(v->parent_name, header + 64, 512, true);
}

static json_t *describe_parent(struct vpc *v)
{
    const char *name = v->parent_name, *image = v->node.filename ? v->node.filename : "",
               *slash = strrchr(image, '/');
    char path[2 * NAME_LENGTH];

    if (!strncmp(name, "./", 2))
        name += 2;
    if (*name == '/' || !slash)
        snprintf(path, sizeof(path), "%s", name);
    else
        snprintf(path, sizeof(path), "%.*s%s", (int)(slash - image + 1), image, name);
    return json_pack("{s:s, s:s, s:s}", "driver", "vpc", "file.driver", "file", "file.filename", path);
}

static bool open_parent(struct vpc *v, const json_t *options, struct error *err)
{
    json_t *below = node_suboptions(options, "backing");
    const struct vpc *parent;

    if (!json_object_size(below)) {
        json_decref(below);
        below = describe_parent(v);
    }
    json_object_set_new(below, "read-only", json_true());
    v->node.backing = node_open_child(&v->node, below, err);
    json_decref(below);
    if (!v->node.backing)
        return v->node.depth ? false : error_prefix(err, "parent of '%s'", v->node.filename);
    parent = (const struct vpc *)v->node.backing;
    if (v->node.backing->driver == &vpc_driver && memcmp(parent->footer + 68, v->parent_id, 16))
        return error_set(err, "image '%s' is no child of '%s': that has another identity", v->node.filename,
                         parent->node.filename);
    return true;
}

static bool open_dynamic(struct vpc *v, const json_t *options, struct error *err)
{
    uint8_t header[HEADER];

    if (!read_header(v, header, err))
        return false;
    find_end(v, header);
    if (!read_table(v, err))
        return false;
    v->node.file->grows = v->node.file->can_grow && !v->node.read_only;
    if (v->type != TYPE_DIFFERENCING)
        return true;
    memcpy(v->parent_id, header + 40, sizeof(v->parent_id));
    find_parent_name(v, header);
    return open_parent(v, options, err);
}

static void vpc_free(struct vpc *v)
{
    for (uint64_t i = 0; v->bitmaps && i < v->blocks; i++)
        free(v->bitmaps[i].bits);
    free(v->bitmaps);
    free(v->table);
    pthread_mutex_destroy(&v->lock);
    pthread_mutex_destroy(&v->checkpoint_lock);
    pthread_mutex_destroy(&v->merge_lock);
    pthread_cond_destroy(&v->changed);
}

static bool vpc_open(struct node *node, const json_t *options, struct error *err)
{
    struct vpc *v = (struct vpc *)node;

    pthread_mutex_init(&v->lock, NULL);
    pthread_mutex_init(&v->checkpoint_lock, NULL);
    pthread_mutex_init(&v->merge_lock, NULL);
    pthread_cond_init(&v->changed, NULL);
    node->read_only = node->read_only || node->file->read_only;
    if (read_footer(v, err) && take_footer(v, err) &&
        (v->type == TYPE_FIXED || open_dynamic(v, options, err)))
        return true;
    vpc_free(v);
    return false;
}

/* ---- bitmaps; the lock is held ---- */

static bool has_bit(const uint8_t *bits, uint64_t sector)
{
    return bits[sector / 8] & 0x80 >> sector % 8;
}

static uint64_t block_place(const struct vpc *v, uint64_t block)
{
    return (uint64_t)v->table[block] * VPC_SECTOR;
}

static int get_bitmap(struct vpc *v, uint64_t block, uint8_t **bits)
{
    struct bitmap *b = &v->bitmaps[block];
    int error;

    if (!b->bits) {
        b->bits = malloc(v->bitmap_size);
        error = b->bits ? node_pread(v->node.file, b->bits, block_place(v, block), v->bitmap_size) : ENOMEM;
        if (error) {
            free(b->bits);
            b->bits = NULL;
            return error;
        }
        v->loaded++;
    }
    *bits = b->bits;
    return 0;
}

static int mark_present(struct vpc *v, uint64_t block, uint64_t first, uint64_t count)
{
    uint8_t *bits;
    bool changed = false;
    int error = get_bitmap(v, block, &bits);

    for (uint64_t i = first; i < first + count && !error; i++) {
        changed = changed || !has_bit(bits, i);
        bits[i / 8] |= 0x80 >> i % 8;
    }
    if (changed && !v->bitmaps[block].dirty) {
        v->bitmaps[block].dirty = true;
        v->dirty++;
    }
    return error;
}

/* Those that are as on the disk need not stay. */
static void forget_bitmaps(struct vpc *v)
{
    for (uint64_t i = 0; i < v->blocks && v->loaded > BITMAPS_MAX; i++) {
        if (!v->bitmaps[i].bits || v->bitmaps[i].dirty)
            continue;
        free(v->bitmaps[i].bits);
        v->bitmaps[i].bits = NULL;
        v->loaded--;
    }
}

/* ---- writing it down ---- */

struct vpc_checkpoint {
    uint8_t *bits;    /* changed bitmaps, one after the other */
    uint64_t *blocks; /* whose */
    uint64_t *places;
    unsigned count;
    uint8_t *table;
    uint64_t first, end;
};

/* Behind the last block, where nobody else writes now. Until then there is the copy at the image's beginning.
 */
static int put_footer(struct vpc *v)
{
    int error = v->end == v->footer_at ? 0 : node_pwrite(v->node.file, v->footer, v->end, FOOTER);

    if (!error)
        v->footer_at = v->end;
    return error;
}

static int checkpoint_begin(struct vpc *v, struct vpc_checkpoint *c)
{
    c->first = v->table_dirty_first;
    c->end = v->table_dirty_end;
    c->bits = malloc(v->dirty * v->bitmap_size + 1);
    c->blocks = malloc(v->dirty * sizeof(*c->blocks) + 1);
    c->places = malloc(v->dirty * sizeof(*c->places) + 1);
    c->table = malloc(c->end > c->first ? (c->end - c->first) * 4 : 1);
    if (!c->bits || !c->blocks || !c->places || !c->table)
        return ENOMEM;
    for (uint64_t i = 0; i < v->blocks && v->dirty; i++) {
        if (!v->bitmaps[i].dirty)
            continue;
        memcpy(c->bits + c->count * v->bitmap_size, v->bitmaps[i].bits, v->bitmap_size);
        c->blocks[c->count] = i;
        c->places[c->count++] = block_place(v, i);
        v->bitmaps[i].dirty = false;
        v->dirty--;
    }
    for (uint64_t i = c->first; i < c->end; i++)
        put_be32(c->table + (i - c->first) * 4, v->table[i]);
    v->table_dirty_first = UINT64_MAX;
    v->table_dirty_end = 0;
    return put_footer(v);
}

static int checkpoint_write(struct vpc *v, const struct vpc_checkpoint *c)
{
    int error = node_flush(v->node.file);

    if (error || (!c->count && c->first >= c->end))
        return error;
    for (unsigned i = 0; i < c->count && !error; i++)
        error = node_pwrite(v->node.file, c->bits + i * v->bitmap_size, c->places[i], v->bitmap_size);
    if (!error && c->first < c->end)
        error = node_pwrite(v->node.file, c->table, v->table_offset + c->first * 4, (c->end - c->first) * 4);
    return error ? error : node_flush(v->node.file);
}

static void checkpoint_end(struct vpc *v, struct vpc_checkpoint *c, bool written)
{
    for (unsigned i = 0; i < c->count && !written; i++) {
        struct bitmap *b = &v->bitmaps[c->blocks[i]];

        v->dirty += !b->dirty;
        b->dirty = true;
    }
    if (!written && c->first < c->end) {
        v->table_dirty_first = c->first < v->table_dirty_first ? c->first : v->table_dirty_first;
        v->table_dirty_end = c->end > v->table_dirty_end ? c->end : v->table_dirty_end;
    }
    forget_bitmaps(v);
    free(c->bits);
    free(c->blocks);
    free(c->places);
    free(c->table);
}

static int vpc_flush(struct node *node)
{
    struct vpc *v = (struct vpc *)node;
    struct vpc_checkpoint c = {0};
    int error;

    if (v->type == TYPE_FIXED || node->read_only)
        return node_flush(node->file);
    pthread_mutex_lock(&v->checkpoint_lock);
    pthread_mutex_lock(&v->lock);
    error = checkpoint_begin(v, &c);
    pthread_mutex_unlock(&v->lock);
    if (!error)
        error = checkpoint_write(v, &c);
    pthread_mutex_lock(&v->lock);
    checkpoint_end(v, &c, !error);
    pthread_mutex_unlock(&v->lock);
    pthread_mutex_unlock(&v->checkpoint_lock);
    return error;
}

static void vpc_close(struct node *node)
{
    struct vpc *v = (struct vpc *)node;

    if (v->type != TYPE_FIXED && !node->read_only && vpc_flush(node))
        log_line("image '%s' cannot be written to the end", node->filename);
    vpc_free(v);
}

/* ---- reading ---- */

enum vpc_kind { VPC_NOWHERE, VPC_PARENT, VPC_HERE };

struct vpc_run {
    enum vpc_kind kind;
    uint64_t length, host;
};

/* Sectors of a block that are in the same place; the lock is held. */
static int find_run(struct vpc *v, uint64_t offset, uint64_t length, struct vpc_run *run)
{
    uint64_t block = offset / v->block_size, within = offset % v->block_size, end;
    uint8_t *bits;
    bool here;
    int error;

    *run = (struct vpc_run){.length = v->block_size - within < length ? v->block_size - within : length,
                            .kind = v->node.backing ? VPC_PARENT : VPC_NOWHERE};
    if (v->table[block] == UNUSED)
        return 0;
    error = get_bitmap(v, block, &bits);
    if (error)
        return error;
    here = has_bit(bits, within / VPC_SECTOR);
    end = within - within % VPC_SECTOR + VPC_SECTOR;
    while (end < within + run->length && has_bit(bits, end / VPC_SECTOR) == here)
        end += VPC_SECTOR;
    if (end < within + run->length)
        run->length = end - within;
    if (here) {
        run->kind = VPC_HERE;
        run->host = block_place(v, block) + v->bitmap_size + within;
    }
    return 0;
}

static int read_run(struct vpc *v, const struct vpc_run *run, uint64_t offset, const struct iovec *iov,
                    int iovcnt)
{
    if (run->kind == VPC_HERE)
        return node_read(v->node.file, iov, iovcnt, run->host, run->length);
    if (run->kind == VPC_PARENT)
        return node_read(v->node.backing, iov, iovcnt, offset, run->length);
    rw_zero(iov, iovcnt, 0, run->length);
    return 0;
}

static int vpc_read(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length)
{
    struct vpc *v = (struct vpc *)node;
    struct iovec part[iovcnt];
    struct vpc_run run;
    int error = 0;

    if (v->type == TYPE_FIXED)
        return node_read(node->file, iov, iovcnt, offset, length);
    for (uint64_t done = 0; done < length && !error; done += run.length) {
        pthread_mutex_lock(&v->lock);
        error = find_run(v, offset + done, length - done, &run);
        pthread_mutex_unlock(&v->lock);
        if (!error)
            error = read_run(v, &run, offset + done, part, rw_slice(iov, iovcnt, done, run.length, part));
    }
    return error;
}

/* ---- writing ---- */

static void claim(struct vpc *v, struct vpc_claim *mine, uint64_t block)
{
    const struct vpc_claim *other = v->claims;

    while (other) {
        if (other->block == block) {
            pthread_cond_wait(&v->changed, &v->lock);
            other = v->claims;
        } else {
            other = other->next;
        }
    }
    *mine = (struct vpc_claim){block, v->claims};
    v->claims = mine;
}

static void unclaim(struct vpc *v, struct vpc_claim *mine)
{
    struct vpc_claim **at = &v->claims;

    while (*at != mine)
        at = &(*at)->next;
    *at = mine->next;
    pthread_cond_broadcast(&v->changed);
}

/* A new block holds zeroes; those of a disk without a parent count as written. */
static int write_new_block(struct vpc *v, uint64_t place)
{
    struct node *file = v->node.file;
    uint8_t *bits = malloc(v->bitmap_size);
    int error = bits ? 0 : ENOMEM;

    if (!error) {
        memset(bits, v->node.backing ? 0 : 0xff, v->bitmap_size);
        error = node_pwrite(file, bits, place, v->bitmap_size);
    }
    if (!error)
        error = node_zero(file, place + v->bitmap_size, v->block_size, 0);
    free(bits);
    return error;
}

/* At the end, its data on a page's border; the lock is held, and given up for the I/O. */
static int allocate_block(struct vpc *v, uint64_t block, uint64_t *place)
{
    int error;

    *place = (v->end + v->bitmap_size + 4095) / 4096 * 4096 - v->bitmap_size;
    if ((*place + v->bitmap_size + v->block_size) / VPC_SECTOR >= UNUSED)
        return ENOSPC;
    v->end = *place + v->bitmap_size + v->block_size;
    pthread_mutex_unlock(&v->lock);
    error = write_new_block(v, *place);
    pthread_mutex_lock(&v->lock);
    return error;
}

static void link_block(struct vpc *v, uint64_t block, uint64_t place)
{
    v->table[block] = place / VPC_SECTOR;
    if (block < v->table_dirty_first)
        v->table_dirty_first = block;
    if (block >= v->table_dirty_end)
        v->table_dirty_end = block + 1;
}

/* Within one block, whole sectors; the lock is held, and given up for the I/O. */
static int write_block(struct vpc *v, uint64_t offset, uint64_t length, const struct iovec *iov, int iovcnt)
{
    uint64_t block = offset / v->block_size, within = offset % v->block_size, place;
    bool fresh = v->table[block] == UNUSED;
    struct vpc_claim mine;
    int error = 0;

    if (fresh) {
        claim(v, &mine, block);
        fresh = v->table[block] == UNUSED; /* still */
        if (fresh)
            error = allocate_block(v, block, &place);
        if (!fresh)
            unclaim(v, &mine);
    }
    if (!fresh)
        place = block_place(v, block);
    if (!error) {
        pthread_mutex_unlock(&v->lock);
        error = node_write(v->node.file, iov, iovcnt, place + v->bitmap_size + within, length);
        pthread_mutex_lock(&v->lock);
    }
    if (!error && fresh)
        link_block(v, block, place);
    if (!error)
        error = mark_present(v, block, within / VPC_SECTOR, length / VPC_SECTOR);
    if (fresh)
        unclaim(v, &mine);
    return error;
}

static int make_room(struct vpc *v)
{
    bool full;

    pthread_mutex_lock(&v->lock);
    full = v->dirty >= BITMAPS_DIRTY || v->loaded > 2 * BITMAPS_MAX;
    pthread_mutex_unlock(&v->lock);
    return full ? vpc_flush(&v->node) : 0;
}

static int write_sectors(struct vpc *v, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length)
{
    struct iovec part[iovcnt];
    uint64_t n;
    int error = 0;

    for (uint64_t done = 0; done < length && !error; done += n) {
        n = v->block_size - (offset + done) % v->block_size;
        n = n < length - done ? n : length - done;
        error = make_room(v);
        if (error)
            break;
        pthread_mutex_lock(&v->lock);
        error = write_block(v, offset + done, n, part, rw_slice(iov, iovcnt, done, n, part));
        pthread_mutex_unlock(&v->lock);
    }
    return error;
}

/* Parts of sectors: the rest is read first. */
static int merge_sectors(struct vpc *v, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length)
{
    uint64_t start = offset - offset % VPC_SECTOR,
             end = (offset + length + VPC_SECTOR - 1) / VPC_SECTOR * VPC_SECTOR;
    uint8_t *data = malloc(end - start);
    int error;

    if (!data)
        return ENOMEM;
    pthread_mutex_lock(&v->merge_lock);
    error = node_pread(&v->node, data, start, end - start);
    rw_gather(data + (offset - start), iov, iovcnt, 0, length);
    if (!error)
        error = write_sectors(v, &(struct iovec){data, end - start}, 1, start, end - start);
    pthread_mutex_unlock(&v->merge_lock);
    free(data);
    return error;
}

static int vpc_write(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length)
{
    struct vpc *v = (struct vpc *)node;

    if (v->type == TYPE_FIXED)
        return node_write(node->file, iov, iovcnt, offset, length);
    if ((offset | length) % VPC_SECTOR)
        return merge_sectors(v, iov, iovcnt, offset, length);
    return write_sectors(v, iov, iovcnt, offset, length);
}

/* ---- zeroes and discards ---- */

/* Calls change for what a range has in the file. */
static int each_run(struct vpc *v, uint64_t offset, uint64_t length,
                    int (*change)(struct node *file, uint64_t offset, uint64_t length, unsigned flags),
                    unsigned flags)
{
    struct vpc_run run;
    int error = 0;

    for (uint64_t done = 0; done < length && !error; done += run.length) {
        pthread_mutex_lock(&v->lock);
        error = find_run(v, offset + done, length - done, &run);
        pthread_mutex_unlock(&v->lock);
        if (!error && run.kind == VPC_HERE)
            error = change(v->node.file, run.host, run.length, flags);
    }
    return error;
}

static int discard_run(struct node *file, uint64_t offset, uint64_t length, unsigned flags)
{
    return node_discard(file, offset, length);
}

static int vpc_discard(struct node *node, uint64_t offset, uint64_t length)
{
    struct vpc *v = (struct vpc *)node;

    return v->type == TYPE_FIXED ? node_discard(node->file, offset, length)
                                 : each_run(v, offset, length, discard_run, 0);
}

static int vpc_zero(struct node *node, uint64_t offset, uint64_t length, unsigned flags)
{
    struct vpc *v = (struct vpc *)node;

    if (v->type == TYPE_FIXED)
        return node_zero(node->file, offset, length, flags);
    return node->backing ? ENOTSUP : each_run(v, offset, length, node_zero, flags);
}

/* ---- what needs no waiting ---- */

static bool vpc_attempt(struct node *node, enum node_attempt what, const struct iovec *iov, int iovcnt,
                        uint64_t offset, uint64_t length, int *error)
{
    struct vpc *v = (struct vpc *)node;
    struct vpc_run run;
    bool done = false;

    if (v->type == TYPE_FIXED)
        return node_attempt(node->file, what, iov, iovcnt, offset, length, error);
    if (pthread_mutex_trylock(&v->lock))
        return false;
    if (what == NODE_ATTEMPT_FLUSH)
        done = !v->dirty && v->table_dirty_first >= v->table_dirty_end &&
               node_attempt(node->file, what, NULL, 0, 0, 0, error);
    else if ((v->table[offset / v->block_size] == UNUSED || v->bitmaps[offset / v->block_size].bits) &&
             !find_run(v, offset, length, &run) && run.length == length && run.kind == VPC_HERE)
        done = node_attempt(node->file, what, iov, iovcnt, run.host, length, error);
    pthread_mutex_unlock(&v->lock);
    return done;
}

static void vpc_info(struct node *node, struct node_info *info)
{
    static const char *const types[] = {"fixed", "dynamic", "differencing"};
    const struct vpc *v = (const struct vpc *)node;

    info->cluster_size = v->block_size;
    info->extra = types[v->type - TYPE_FIXED];
    info->backing = *v->parent_name ? v->parent_name : NULL;
    info->backing_format = *v->parent_name ? "vpc" : NULL;
}

static const char *const vpc_keys[] = {"backing", NULL};

const struct node_driver vpc_driver = {.name = "vpc",
                                       .description =
                                           "virtual hard disks (VHD), fixed, dynamic, differencing",
                                       .size = sizeof(struct vpc),
                                       .needs_file = true,
                                       .keys = vpc_keys,
                                       .open = vpc_open,
                                       .close = vpc_close,
                                       .read = vpc_read,
                                       .write = vpc_write,
                                       .discard = vpc_discard,
                                       .zero = vpc_zero,
                                       .flush = vpc_flush,
                                       .info = vpc_info,
                                       .attempt = vpc_attempt};
