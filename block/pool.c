/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/pool.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>

enum request_state { REQUEST_IDLE, REQUEST_QUEUED, REQUEST_RUNNING, REQUEST_FINISHED };

/* pread and friends need little; the default of 8 MiB would count as address space of a locked-down process.
 */
#define WORKER_STACK (128 * 1024)

void pool_init(struct pool *pool, int (*perform)(struct block_request *request), struct loop *loop,
               struct loop_work *completion)
{
    *pool = (struct pool){.perform = perform, .loop = loop, .completion = completion};
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->finished, NULL);
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
    pthread_cond_destroy(&pool->finished);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
}

static void pool_append(struct block_request ***last, struct block_request *request)
{
    request->next = NULL;
    **last = request;
    *last = &request->next;
}

static struct block_request *take_first(struct block_request **first, struct block_request ***last)
{
    struct block_request *request = *first;

    if (!request)
        return NULL;
    *first = request->next;
    if (!*first)
        *last = first;
    return request;
}

static void take_out(struct block_request **first, struct block_request ***last,
                     struct block_request *request)
{
    struct block_request **at = first;

    while (*at != request)
        at = &(*at)->next;
    *at = request->next;
    if (!*at)
        *last = at;
}

/* On the list of the finished; told to the machine thread without the lock, for that thread wants it at once.
 */
void pool_finish(struct pool *pool, struct block_request *request, int error)
{
    pthread_mutex_lock(&pool->lock);
    request->error = error;
    request->state = REQUEST_FINISHED;
    pool_append(&pool->last_finished, request);
    pthread_cond_broadcast(&pool->finished);
    pthread_mutex_unlock(&pool->lock);
    loop_post(pool->loop, pool->completion);
}

static void run_queued(struct pool *pool)
{
    struct block_request *request = take_first(&pool->first_queued, &pool->last_queued);

    pool->queued--;
    request->state = REQUEST_RUNNING;
    pthread_mutex_unlock(&pool->lock);
    pool_finish(pool, request, pool->perform(request));
    pthread_mutex_lock(&pool->lock);
}

static void *worker(void *opaque)
{
    struct pool *pool = opaque;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        if (pool->first_queued) {
            run_queued(pool);
        } else if (pool->quit) {
            break;
        } else {
            pool->idle++;
            pthread_cond_wait(&pool->work, &pool->lock);
            pool->idle--;
        }
    }
    pthread_mutex_unlock(&pool->lock);
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

void pool_submit(struct pool *pool, struct block_request *request)
{
    bool stuck;

    pthread_mutex_lock(&pool->lock);
    request->state = REQUEST_QUEUED;
    pool_append(&pool->last_queued, request);
    pool->queued++;
    if (pool->queued > pool->idle && pool->count < POOL_THREADS)
        start_worker(pool);
    stuck = pool->count == 0;
    if (stuck) {
        take_out(&pool->first_queued, &pool->last_queued, request);
        pool->queued--;
    }
    pthread_mutex_unlock(&pool->lock);
    if (stuck) /* the host gives no thread: the guest sees an I/O error */
        pool_finish(pool, request, EAGAIN);
    else
        pthread_cond_signal(&pool->work);
}

struct block_request *pool_take(struct pool *pool, bool wait)
{
    struct block_request *request;

    pthread_mutex_lock(&pool->lock);
    while (wait && !pool->first_finished)
        pthread_cond_wait(&pool->finished, &pool->lock);
    request = take_first(&pool->first_finished, &pool->last_finished);
    if (request)
        request->state = REQUEST_IDLE;
    pthread_mutex_unlock(&pool->lock);
    return request;
}

void pool_cancel(struct pool *pool, struct block_request *request)
{
    pthread_mutex_lock(&pool->lock);
    while (request->state == REQUEST_RUNNING)
        pthread_cond_wait(&pool->finished, &pool->lock);
    if (request->state == REQUEST_QUEUED) {
        take_out(&pool->first_queued, &pool->last_queued, request);
        pool->queued--;
    } else if (request->state == REQUEST_FINISHED) {
        take_out(&pool->first_finished, &pool->last_finished, request);
    }
    request->state = REQUEST_IDLE;
    pthread_mutex_unlock(&pool->lock);
}
