/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * snapshot=on: writes go to a sparse temporary file that nobody can see and that the kernel forgets with the
 * process; a bitmap says which clusters of the image it holds. The image below is only read.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "block/drivers.h"
#include "block/rw.h"

#define SNAPSHOT_CLUSTER 4096u

struct snapshot {
    struct node node;
    int fd;
    pthread_rwlock_t lock; /* the bitmap, and that a cluster is copied as one step */
    uint8_t *held;         /* a bit a cluster; pages of it that were never touched cost nothing */
    size_t held_size;
};

static int snapshot_file(struct error *err)
{
    const char *dir = getenv("TMPDIR");
    char path[4096];
    int fd;

    if (!dir || !*dir)
        dir = "/var/tmp";
    fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    /* Not every file system has O_TMPFILE. */
    if ((size_t)snprintf(path, sizeof(path), "%s/hvm-dm-snapshot-XXXXXX", dir) < sizeof(path)) {
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0) {
            unlink(path);
            return fd;
        }
    }
    error_set(err, "cannot make the snapshot's temporary file in %s: %s", dir, strerror(errno));
    return -1;
}

/* The temporary file lies in $TMPDIR or /var/tmp. */
static bool snapshot_open(struct node *node, const json_t *options, struct error *err)
{
    struct snapshot *s = (struct snapshot *)node;

    node->size = node->file->size;
    s->held_size = (node->size / SNAPSHOT_CLUSTER + 1) / 8 + 1;
    s->held =
        mmap(NULL, s->held_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (s->held == MAP_FAILED)
        return error_set(err, "no memory for a snapshot's map of %zu bytes", s->held_size);
    s->fd = snapshot_file(err);
    if (s->fd < 0) {
        munmap(s->held, s->held_size);
        return false;
    }
    pthread_rwlock_init(&s->lock, NULL);
    return true;
}

static void snapshot_close(struct node *node)
{
    struct snapshot *s = (struct snapshot *)node;

    close(s->fd);
    munmap(s->held, s->held_size);
    pthread_rwlock_destroy(&s->lock);
}

static bool is_held(const struct snapshot *s, uint64_t cluster)
{
    return s->held[cluster / 8] >> cluster % 8 & 1;
}

/* How far from offset on, up to end, the clusters are all held or all not. */
static uint64_t run_end(const struct snapshot *s, uint64_t offset, uint64_t end)
{
    uint64_t cluster = offset / SNAPSHOT_CLUSTER;
    bool held = is_held(s, cluster);

    do
        cluster++;
    while (cluster * SNAPSHOT_CLUSTER < end && is_held(s, cluster) == held);
    return cluster * SNAPSHOT_CLUSTER < end ? cluster * SNAPSHOT_CLUSTER : end;
}

static int snapshot_read(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset,
                         uint64_t length)
{
    struct snapshot *s = (struct snapshot *)node;
    uint64_t at = offset, end = offset + length;
    struct iovec part[iovcnt > 0 ? iovcnt : 1];
    int error = 0;

    pthread_rwlock_rdlock(&s->lock);
    while (at < end && !error) {
        uint64_t next = run_end(s, at, end);
        int parts = rw_slice(iov, iovcnt, at - offset, next - at, part);

        error = is_held(s, at / SNAPSHOT_CLUSTER) ? rw_read(s->fd, part, parts, at, next - at)
                                                  : node_read(node->file, part, parts, at, next - at);
        at = next;
    }
    pthread_rwlock_unlock(&s->lock);
    return error;
}

/* Copies the image's bytes of the cluster that holds offset, of which only a part is about to be written. */
static int copy_up(struct snapshot *s, uint64_t offset)
{
    uint64_t start = offset / SNAPSHOT_CLUSTER * SNAPSHOT_CLUSTER;
    uint8_t cluster[SNAPSHOT_CLUSTER];
    struct iovec iov = {cluster, sizeof(cluster)};
    int error;

    if (is_held(s, start / SNAPSHOT_CLUSTER))
        return 0;
    error = node_read(s->node.file, &iov, 1, start, sizeof(cluster));
    return error ? error : rw_write(s->fd, &iov, 1, start, sizeof(cluster));
}

static int snapshot_write(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset,
                          uint64_t length)
{
    struct snapshot *s = (struct snapshot *)node;
    uint64_t end = offset + length;
    int error = 0;

    pthread_rwlock_wrlock(&s->lock);
    if (offset % SNAPSHOT_CLUSTER)
        error = copy_up(s, offset);
    if (!error && end % SNAPSHOT_CLUSTER)
        error = copy_up(s, end);
    if (!error)
        error = rw_write(s->fd, iov, iovcnt, offset, length);
    if (!error)
        for (uint64_t c = offset / SNAPSHOT_CLUSTER; c * SNAPSHOT_CLUSTER < end; c++)
            s->held[c / 8] |= 1u << c % 8;
    pthread_rwlock_unlock(&s->lock);
    return error;
}

/* It is forgotten with the process: there is nothing to make durable. */
static int snapshot_flush(struct node *node)
{
    return 0;
}

const struct node_driver snapshot_driver = {.name = "snapshot",
                                            .description = "writes over its file are kept until the end only",
                                            .size = sizeof(struct snapshot),
                                            .needs_file = true,
                                            .open = snapshot_open,
                                            .close = snapshot_close,
                                            .read = snapshot_read,
                                            .write = snapshot_write,
                                            .flush = snapshot_flush};
