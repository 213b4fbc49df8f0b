/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "block/rw.h"

struct snapshot {
    int base_fd, fd;
    uint64_t size;
    pthread_rwlock_t lock; /* the bitmap, and that a cluster is copied as one step */
    uint8_t *held;         /* a bit a cluster; pages of it that were never touched cost nothing */
    size_t held_size;
};

static int make_file(struct error *err)
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

struct snapshot *snapshot_new(int base_fd, uint64_t size, struct error *err)
{
    uint64_t clusters = size / SNAPSHOT_CLUSTER + 1;
    struct snapshot *s = calloc(1, sizeof(*s));

    if (!s) {
        error_set(err, "no memory for a snapshot");
        return NULL;
    }
    s->base_fd = base_fd;
    s->size = size;
    s->held_size = clusters / 8 + 1;
    s->held =
        mmap(NULL, s->held_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (s->held == MAP_FAILED) {
        error_set(err, "no memory for a snapshot's map of %zu bytes", s->held_size);
        free(s);
        return NULL;
    }
    s->fd = make_file(err);
    if (s->fd < 0) {
        munmap(s->held, s->held_size);
        free(s);
        return NULL;
    }
    pthread_rwlock_init(&s->lock, NULL);
    return s;
}

void snapshot_free(struct snapshot *snapshot)
{
    if (!snapshot)
        return;
    close(snapshot->fd);
    munmap(snapshot->held, snapshot->held_size);
    pthread_rwlock_destroy(&snapshot->lock);
    free(snapshot);
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

int snapshot_read(struct snapshot *s, uint64_t offset, uint64_t length, struct iovec *iov, int iovcnt)
{
    uint64_t at = offset, end = offset + length;
    struct iovec part[iovcnt > 0 ? iovcnt : 1];
    int error = 0;

    pthread_rwlock_rdlock(&s->lock);
    while (at < end && !error) {
        uint64_t next = run_end(s, at, end);
        int parts = rw_slice(iov, iovcnt, at - offset, next - at, part);

        error = rw_read(is_held(s, at / SNAPSHOT_CLUSTER) ? s->fd : s->base_fd, part, parts, at, next - at);
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
    error = rw_read(s->base_fd, &iov, 1, start, sizeof(cluster));
    return error ? error : rw_write(s->fd, &iov, 1, start, sizeof(cluster));
}

int snapshot_write(struct snapshot *s, uint64_t offset, uint64_t length, struct iovec *iov, int iovcnt)
{
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
