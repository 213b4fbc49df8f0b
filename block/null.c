/* SPDX-License-Identifier: GPL-2.0-or-later */
/* null-co: a disk of zeroes that forgets what is written; latency-ns= makes each of its requests that slow.
 */
#include <string.h>
#include <time.h>

#include "block/drivers.h"
#include "block/rw.h"

struct null {
    struct node node;
    uint64_t latency;
};

static bool null_open(struct node *node, const json_t *options, struct error *err)
{
    struct null *null = (struct null *)node;

    node->size = 1ull << 30;
    node->filename = strdup("null-co://");
    if (!node_option_size(options, "size", &node->size, err) ||
        !node_option_size(options, "latency-ns", &null->latency, err))
        return false;
    return (node->size <= INT64_MAX && node->size % 512 == 0) ||
           error_set(err, "driver null-co: size must be a multiple of 512");
}

static int null_wait(struct node *node)
{
    uint64_t ns = ((struct null *)node)->latency;
    struct timespec time = {ns / 1000000000, ns % 1000000000};

    if (ns)
        nanosleep(&time, NULL);
    return 0;
}

static int null_read(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length)
{
    rw_zero(iov, iovcnt, 0, length);
    return null_wait(node);
}

static int null_write(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset,
                      uint64_t length)
{
    return null_wait(node);
}

static int null_zero(struct node *node, uint64_t offset, uint64_t length, unsigned flags)
{
    return null_wait(node);
}

static bool null_attempt(struct node *node, enum node_attempt what, const struct iovec *iov, int iovcnt,
                         uint64_t offset, uint64_t length, int *error)
{
    if (((struct null *)node)->latency)
        return false;
    *error = 0;
    if (what == NODE_ATTEMPT_READ)
        rw_zero(iov, iovcnt, 0, length);
    return true;
}

static const char *const null_keys[] = {"size", "latency-ns", "read-zeroes", NULL};

const struct node_driver null_co_driver = {.name = "null-co",
                                           .description = "zeroes, and what is written is forgotten",
                                           .size = sizeof(struct null),
                                           .keys = null_keys,
                                           .open = null_open,
                                           .read = null_read,
                                           .write = null_write,
                                           .zero = null_zero,
                                           .flush = null_wait,
                                           .attempt = null_attempt};
