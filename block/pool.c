/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/pool.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "block/rw.h"

/* Formats call each other a few levels deep; the default of 8 MiB would count as address space of a
 * locked-down process. */
#define WORKER_STACK (256 * 1024)

/* A worker's own memory, aligned for O_DIRECT; longer transfers go in turns. */
#define BOUNCE (256u * 1024)

/* ---- jobs ---- */

struct job *job_new(struct node *node, struct block_request *r, bool write_through)
{
    bool straight = r && r->op == BLOCK_WRITE && r->stable;
    size_t iov_size = straight ? r->iovcnt * sizeof(struct iovec) : 0;
    struct job *job = malloc(sizeof(*job) + iov_size);

    if (!job)
        return NULL;
    *job = (struct job){.request = r,
                        .node = node_ref(node),
                        .op = r ? r->op : BLOCK_FLUSH,
                        .straight = straight,
                        .write_through = write_through};
    if (r) {
        job->offset = r->offset;
        job->length = r->length;
        job->iov = straight ? job->own : r->iov;
        job->iovcnt = r->iovcnt;
        if (straight)
            memcpy(job->own, r->iov, iov_size);
    }
    return job;
}

void job_free(struct job *job)
{
    node_unref(job->node);
    free(job);
}

/* ---- the pool ---- */

void pool_init(struct pool *pool, struct loop *loop, struct loop_work *completion)
{
    *pool = (struct pool){.loop = loop, .completion = completion};
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->finished, NULL);
    pthread_cond_init(&pool->copied, NULL);
    pool->last_queued = &pool->first_queued;
    pool->last_finished = &pool->first_finished;
}

void pool_destroy(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->quit = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->count; i++)
        pthread_join(pool->threads[i], NULL);
    loop_cancel(pool->loop, pool->completion);
    pthread_cond_destroy(&pool->copied);
    pthread_cond_destroy(&pool->finished);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
}

static void pool_append(struct job ***last, struct job *job)
{
    job->next = NULL;
    **last = job;
    *last = &job->next;
}

static struct job *take_first(struct job **first, struct job ***last)
{
    struct job *job = *first;

    if (!job)
        return NULL;
    *first = job->next;
    if (!*first)
        *last = first;
    return job;
}

static void take_out(struct job **first, struct job ***last, struct job *job)
{
    struct job **at = first;

    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    if (!*at)
        *last = at;
}

/* On the list of the finished; told to the machine thread without the lock, for that thread wants it at once.
 */
static void pool_finish(struct pool *pool, struct job *job, int error)
{
    pthread_mutex_lock(&pool->lock);
    job->error = error;
    job->state = JOB_FINISHED;
    pool_append(&pool->last_finished, job);
    pthread_cond_broadcast(&pool->finished);
    pthread_mutex_unlock(&pool->lock);
    loop_post(pool->loop, pool->completion);
}

/* ---- a worker ---- */

/* Begins a copy to or from the request's buffers; false: they were taken back. */
static bool enter_buffers(struct pool *pool, struct job *job)
{
    bool wanted;

    pthread_mutex_lock(&pool->lock);
    wanted = job->request;
    if (wanted)
        job->state = JOB_COPYING;
    pthread_mutex_unlock(&pool->lock);
    return wanted;
}

static void leave_buffers(struct pool *pool, struct job *job)
{
    pthread_mutex_lock(&pool->lock);
    job->state = JOB_RUNNING;
    pthread_cond_broadcast(&pool->copied);
    pthread_mutex_unlock(&pool->lock);
}

static int read_turn(struct pool *pool, struct job *job, void *bounce, uint64_t at, uint64_t length)
{
    int error = node_pread(job->node, bounce, job->offset + at, length);

    if (error)
        return error;
    if (!enter_buffers(pool, job))
        return ECANCELED;
    rw_scatter(bounce, job->iov, job->iovcnt, at, length);
    leave_buffers(pool, job);
    return 0;
}

static int write_turn(struct pool *pool, struct job *job, void *bounce, uint64_t at, uint64_t length)
{
    if (!enter_buffers(pool, job))
        return ECANCELED;
    rw_gather(bounce, job->iov, job->iovcnt, at, length);
    leave_buffers(pool, job);
    return node_pwrite(job->node, bounce, job->offset + at, length);
}

static int transfer(struct pool *pool, struct job *job, void **bounce)
{
    int error = 0;

    if (!*bounce)
        *bounce = mmap(NULL, BOUNCE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (*bounce == MAP_FAILED) {
        *bounce = NULL;
        return ENOMEM;
    }
    for (uint64_t at = 0; at < job->length && !error; at += BOUNCE) {
        uint64_t length = job->length - at < BOUNCE ? job->length - at : BOUNCE;

        error = (job->op == BLOCK_READ ? read_turn : write_turn)(pool, job, *bounce, at, length);
    }
    return error;
}

static int job_write(struct pool *pool, struct job *job, void **bounce)
{
    int error = job->straight ? node_write(job->node, job->iov, job->iovcnt, job->offset, job->length)
                              : transfer(pool, job, bounce);

    return error || !job->write_through ? error : node_flush(job->node);
}

static int job_perform(struct pool *pool, struct job *job, void **bounce)
{
    switch (job->op) {
    case BLOCK_READ:
        return transfer(pool, job, bounce);
    case BLOCK_WRITE:
        return job_write(pool, job, bounce);
    case BLOCK_DISCARD:
        return node_discard(job->node, job->offset, job->length);
    case BLOCK_ZERO:
        return node_zero(job->node, job->offset, job->length, NODE_MAY_UNMAP);
    case BLOCK_FLUSH:
        return node_flush(job->node);
    }
    return EINVAL;
}

static void *worker(void *opaque)
{
    struct pool *pool = opaque;
    void *bounce = NULL;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        if (pool->first_queued) {
            struct job *job = take_first(&pool->first_queued, &pool->last_queued);

            pool->queued--;
            job->state = JOB_RUNNING;
            pthread_mutex_unlock(&pool->lock);
            pool_finish(pool, job, job_perform(pool, job, &bounce));
            pthread_mutex_lock(&pool->lock);
        } else if (pool->quit) {
            break;
        } else {
            pool->idle++;
            pthread_cond_wait(&pool->work, &pool->lock);
            pool->idle--;
        }
    }
    pthread_mutex_unlock(&pool->lock);
    if (bounce)
        munmap(bounce, BOUNCE);
    return NULL;
}

/* Signals are the main thread's: a worker must not be the one that runs a handler. */
static void start_worker(struct pool *pool)
{
    sigset_t all, old;
    pthread_attr_t attr;

    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, WORKER_STACK);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pthread_create(&pool->threads[pool->count], &attr, worker, pool) == 0)
        pool->count++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
}

/* ---- the machine thread ---- */

void pool_submit(struct pool *pool, struct job *job)
{
    bool stuck;

    pthread_mutex_lock(&pool->lock);
    job->state = JOB_QUEUED;
    pool_append(&pool->last_queued, job);
    pool->queued++;
    if (pool->queued > pool->idle && pool->count < POOL_THREADS)
        start_worker(pool);
    stuck = pool->count == 0;
    if (stuck) {
        take_out(&pool->first_queued, &pool->last_queued, job);
        pool->queued--;
    }
    pthread_mutex_unlock(&pool->lock);
    if (stuck) /* the host gives no thread: the guest sees an I/O error */
        pool_finish(pool, job, EAGAIN);
    else
        pthread_cond_signal(&pool->work);
}

struct job *pool_take(struct pool *pool, bool wait)
{
    struct job *job;

    pthread_mutex_lock(&pool->lock);
    while (wait && !pool->first_finished)
        pthread_cond_wait(&pool->finished, &pool->lock);
    job = take_first(&pool->first_finished, &pool->last_finished);
    pthread_mutex_unlock(&pool->lock);
    return job;
}

bool pool_cancel(struct pool *pool, struct job *job)
{
    bool ended = true;

    pthread_mutex_lock(&pool->lock);
    while (job->state == JOB_COPYING)
        pthread_cond_wait(&pool->copied, &pool->lock);
    if (job->state == JOB_QUEUED) {
        take_out(&pool->first_queued, &pool->last_queued, job);
        pool->queued--;
    } else if (job->state == JOB_FINISHED) {
        take_out(&pool->first_finished, &pool->last_finished, job);
    } else {
        ended = false;
    }
    job->request = NULL;
    pthread_mutex_unlock(&pool->lock);
    return ended;
}
