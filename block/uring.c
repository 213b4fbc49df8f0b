/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/uring.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "block/rw.h"

enum { ENTRIES = 32, BOUNCE = 256 * 1024 };

struct slot {
    struct job *job; /* NULL: free */
    struct iovec iov;
};

struct uring {
    struct io_uring ring;
    struct loop *loop;
    struct loop_fd watch;
    int event_fd, registered; /* the descriptor that the ring knows, or -1 */
    void (*ended)(void *opaque, struct job *job, bool retry);
    void *opaque;
    uint8_t *memory; /* of reads */
    struct slot slots[ENTRIES];
    unsigned in_flight;
    bool forget; /* the registered descriptor, when nothing is in flight */
};

static void uring_unregister(struct uring *u)
{
    if (u->registered >= 0)
        io_uring_unregister_files(&u->ring);
    u->registered = -1;
    u->forget = false;
}

void uring_forget(struct uring *u)
{
    if (u && u->in_flight)
        u->forget = true;
    else if (u)
        uring_unregister(u);
}

static void uring_collect(struct uring *u)
{
    struct io_uring_cqe *cqe;

    while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
        struct slot *slot = io_uring_cqe_get_data(cqe);
        struct job *job = slot->job;
        bool whole = cqe->res >= 0 && (uint64_t)cqe->res == job->length;

        io_uring_cqe_seen(&u->ring, cqe);
        if (whole && job->op == BLOCK_READ && job->request)
            rw_scatter(slot->iov.iov_base, job->iov, job->iovcnt, 0, job->length);
        slot->job = NULL;
        u->in_flight--;
        job->error = 0;
        /* A short one (the end of the file) or a failed one is done again, the thorough way. */
        u->ended(u->opaque, job, !whole);
    }
    if (u->forget && !u->in_flight)
        uring_unregister(u);
}

static void uring_ready(void *opaque, uint32_t events)
{
    struct uring *u = opaque;
    uint64_t count;

    if (read(u->event_fd, &count, sizeof(count)) == sizeof(count))
        uring_collect(u);
}

struct uring *uring_new(struct loop *loop, void (*ended)(void *opaque, struct job *job, bool retry),
                        void *opaque)
{
    struct uring *u = calloc(1, sizeof(*u));

    if (!u)
        return NULL;
    *u = (struct uring){.loop = loop, .ended = ended, .opaque = opaque, .registered = -1};
    if (io_uring_queue_init(ENTRIES, &u->ring, 0) < 0)
        goto no_ring;
    u->memory = mmap(NULL, (size_t)ENTRIES * BOUNCE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (u->memory == MAP_FAILED)
        goto no_memory;
    u->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (u->event_fd < 0)
        goto no_event;
    if (io_uring_register_eventfd(&u->ring, u->event_fd) == 0 &&
        loop_watch(loop, &u->watch, u->event_fd, EPOLLIN, uring_ready, u))
        return u;
    close(u->event_fd);
no_event:
    munmap(u->memory, (size_t)ENTRIES * BOUNCE);
no_memory:
    io_uring_queue_exit(&u->ring);
no_ring:
    free(u);
    return NULL;
}

void uring_free(struct uring *u)
{
    if (!u)
        return;
    uring_unregister(u);
    loop_unwatch(u->loop, &u->watch);
    io_uring_queue_exit(&u->ring);
    close(u->event_fd);
    munmap(u->memory, (size_t)ENTRIES * BOUNCE);
    free(u);
}

/* The kernel looks a registered descriptor up once; another medium has another. */
static bool uring_register(struct uring *u, int fd)
{
    if (u->registered == fd && !u->forget)
        return true;
    if (u->in_flight)
        return false;
    uring_unregister(u);
    u->registered = io_uring_register_files(&u->ring, &fd, 1) == 0 ? fd : -1;
    return u->registered == fd;
}

static struct slot *free_slot(struct uring *u)
{
    for (unsigned i = 0; i < ENTRIES; i++)
        if (!u->slots[i].job) {
            u->slots[i].iov.iov_base = u->memory + (size_t)i * BOUNCE;
            return &u->slots[i];
        }
    return NULL;
}

bool uring_submit(struct uring *u, struct job *job, int fd, uint64_t offset)
{
    struct slot *slot = job->op == BLOCK_READ && job->length > BOUNCE ? NULL : free_slot(u);
    struct io_uring_sqe *sqe = slot ? io_uring_get_sqe(&u->ring) : NULL;
    bool registered;

    if (!sqe)
        return false;
    registered = uring_register(u, fd);
    slot->job = job;
    slot->iov.iov_len = job->length;
    if (job->op == BLOCK_READ)
        io_uring_prep_readv(sqe, registered ? 0 : fd, &slot->iov, 1, offset);
    else
        io_uring_prep_writev(sqe, registered ? 0 : fd, job->iov, job->iovcnt, offset);
    if (registered)
        sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data(sqe, slot);
    u->in_flight++;
    job->state = JOB_RUNNING;
    io_uring_submit(&u->ring);
    return true;
}

void uring_wait(struct uring *u)
{
    struct io_uring_cqe *cqe;

    if (u->in_flight && io_uring_wait_cqe(&u->ring, &cqe) == 0)
        uring_collect(u);
}

unsigned uring_in_flight(const struct uring *u)
{
    return u ? u->in_flight : 0;
}
