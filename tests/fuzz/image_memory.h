/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For fuzzing image formats: a file in memory, and what a guest does to a disk that stands on it. An input is
 * a list of changes to a good image (5 bytes: where, what), ended by one to FFFF, then requests (6 bytes
 * each).
 */
#ifndef TESTS_FUZZ_IMAGE_MEMORY_H
#define TESTS_FUZZ_IMAGE_MEMORY_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "block/node.h"

enum { MEMORY_ROOM = 4 << 20 };

static struct {
    uint8_t bytes[MEMORY_ROOM];
    uint64_t size;
} memory_file;

static bool memory_open(struct node *node, const json_t *options, struct error *err)
{
    node->size = memory_file.size;
    node->can_grow = true;
    node->filename = strdup("image");
    return true;
}

static int memory_read(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset,
                       uint64_t length)
{
    if (offset > MEMORY_ROOM || length > MEMORY_ROOM - offset)
        return EIO;
    for (int i = 0; i < iovcnt; offset += iov[i++].iov_len)
        memcpy(iov[i].iov_base, memory_file.bytes + offset, iov[i].iov_len);
    return 0;
}

static int memory_write(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset,
                        uint64_t length)
{
    if (offset > MEMORY_ROOM || length > MEMORY_ROOM - offset)
        return ENOSPC;
    for (int i = 0; i < iovcnt; offset += iov[i++].iov_len)
        memcpy(memory_file.bytes + offset, iov[i].iov_base, iov[i].iov_len);
    return 0;
}

static int memory_flush(struct node *node)
{
    return 0;
}

static struct node_driver memory_driver = {.name = "memory",
                                           .size = sizeof(struct node),
                                           .open = memory_open,
                                           .read = memory_read,
                                           .write = memory_write,
                                           .flush = memory_flush};

/* The changes; returns what is left of the input. */
static inline const uint8_t *memory_change(const uint8_t *data, const uint8_t *end)
{
    while (end - data >= 5) {
        uint16_t at = get_be16(data);

        if (at == 0xffff)
            return data + 5;
        if (at < memory_file.size)
            memory_file.bytes[at] = data[2];
        if (at + 1u < memory_file.size)
            memory_file.bytes[at + 1] = data[3];
        if (data[4] & 1 && at + 8u <= memory_file.size) /* an entry that lies within the file */
            put_be64(memory_file.bytes + at, (uint64_t)(data[4] & 0xC0) << 56 | (data[2] & 0x1f) << 9);
        data += 5;
    }
    return end;
}

static inline void memory_request(struct node *node, const uint8_t *d)
{
    static uint8_t buffer[65536];
    uint64_t offset = (uint64_t)get_be16(d + 1) * node->size >> 16, length = get_be16(d + 3);

    length = d[5] & 1 ? length & ~511u : length;
    offset = d[5] & 2 ? offset & ~511ull : offset;
    if (length > node->size - offset)
        length = node->size - offset;
    switch (d[0] % 8) {
    case 0:
    case 1:
        node_pread(node, buffer, offset, length);
        break;
    case 2:
    case 3:
        memset(buffer, d[5], length);
        node_pwrite(node, buffer, offset, length);
        break;
    case 4:
        node_zero(node, offset, length, d[5] & 4 ? NODE_MAY_UNMAP : 0);
        break;
    case 5:
        node_discard(node, offset, length);
        break;
    case 6:
        node_flush(node);
        break;
    case 7:
        if (d[5] > 250)
            node_resize(node, node->size + 65536);
        else
            node_attempt(node, NODE_ATTEMPT_READ, &(struct iovec){buffer, length}, 1, offset, length,
                         &(int){0});
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Opens the image and lets the guest at it. */
static inline void memory_run(json_t *options, const uint8_t *data, const uint8_t *end)
{
    static struct node_graph graph;
    struct error err = {""};
    struct node *node;

    if (!node_find_driver("memory"))
        node_register_driver(&memory_driver);
    json_object_set_new(options, "file.driver", json_string("memory"));
    node = node_open(&graph, options, &err);
    json_decref(options);
    if (!node) {
        if (!*err.text || graph.first)
            abort();
        return;
    }
    for (unsigned n = 0; end - data >= 6 && n < 200; data += 6, n++)
        memory_request(node, data);
    node_unref(node);
    if (graph.first)
        abort();
}

#endif
