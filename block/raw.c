/* SPDX-License-Identifier: GPL-2.0-or-later */
/* raw: the bytes of a file as they are, or of a part of it (offset=, size=). */
#include <errno.h>

#include "block/drivers.h"

struct raw {
    struct node node;
    uint64_t offset;
    bool part;
};

static bool raw_open(struct node *node, const json_t *options, struct error *err)
{
    struct raw *raw = (struct raw *)node;
    uint64_t whole = node->file->size, size = whole;

    raw->part = json_object_get(options, "offset") || json_object_get(options, "size");
    if (!node_option_size(options, "offset", &raw->offset, err))
        return false;
    if (raw->offset > whole)
        return error_set(err, "image '%s': offset lies behind its end", node->filename);
    size -= raw->offset;
    if (!node_option_size(options, "size", &size, err))
        return false;
    if (size > whole - raw->offset || size % 512)
        return error_set(err, "image '%s': size must be a multiple of 512 and end within it", node->filename);
    node->size = size;
    node->read_only = node->read_only || node->file->read_only;
    return true;
}

static int raw_read(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length)
{
    return node_read(node->file, iov, iovcnt, ((struct raw *)node)->offset + offset, length);
}

static int raw_write(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length)
{
    return node_write(node->file, iov, iovcnt, ((struct raw *)node)->offset + offset, length);
}

static int raw_discard(struct node *node, uint64_t offset, uint64_t length)
{
    return node_discard(node->file, ((struct raw *)node)->offset + offset, length);
}

static int raw_zero(struct node *node, uint64_t offset, uint64_t length, unsigned flags)
{
    return node_zero(node->file, ((struct raw *)node)->offset + offset, length, flags);
}

static int raw_resize(struct node *node, uint64_t size)
{
    int error = ((struct raw *)node)->part ? ENOTSUP : node_resize(node->file, size);

    if (!error)
        __atomic_store_n(&node->size, size, __ATOMIC_RELAXED);
    return error;
}

static bool raw_attempt(struct node *node, enum node_attempt what, const struct iovec *iov, int iovcnt,
                        uint64_t offset, uint64_t length, int *error)
{
    return node_attempt(node->file, what, iov, iovcnt, ((struct raw *)node)->offset + offset, length, error);
}

static int raw_straight(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset,
                        uint64_t length, uint64_t *at)
{
    return node_straight(node->file, iov, iovcnt, ((struct raw *)node)->offset + offset, length, at);
}

static void raw_written(struct node *node)
{
    node_written(node->file);
}

static const char *const raw_keys[] = {"offset", "size", NULL};

const struct node_driver raw_driver = {.name = "raw",
                                       .description = "the bytes of its file as they are",
                                       .size = sizeof(struct raw),
                                       .needs_file = true,
                                       .keys = raw_keys,
                                       .open = raw_open,
                                       .read = raw_read,
                                       .write = raw_write,
                                       .discard = raw_discard,
                                       .zero = raw_zero,
                                       .resize = raw_resize,
                                       .attempt = raw_attempt,
                                       .straight = raw_straight,
                                       .written = raw_written};
