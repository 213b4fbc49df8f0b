/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Worker threads that do the blocking part of disk requests, and the list of requests that are done and wait
 * for the machine thread. Every function here is the machine thread's except the worker itself; threads are
 * started when there is work that no idle one can take, and sleep without a tick.
 */
#ifndef BLOCK_POOL_H
#define BLOCK_POOL_H

#include <pthread.h>
#include <stdbool.h>

#include "block/block.h"

enum { POOL_THREADS = 8 };

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work, finished;
    int (*perform)(struct block_request *request); /* on a worker, without a lock; returns an errno */
    struct loop *loop;
    struct loop_work *completion; /* posted when the list of finished requests becomes longer */
    struct block_request *first_queued, **last_queued;
    struct block_request *first_finished, **last_finished;
    pthread_t threads[POOL_THREADS];
    unsigned count, idle, queued;
    bool quit;
};

void pool_init(struct pool *pool, int (*perform)(struct block_request *request), struct loop *loop,
               struct loop_work *completion);
/* Nothing may be in flight. */
void pool_destroy(struct pool *pool);

/* Hands a request to a worker. */
void pool_submit(struct pool *pool, struct block_request *request);
/* A request that needs no worker: it only waits for its completion. */
void pool_finish(struct pool *pool, struct block_request *request, int error);
/* The oldest finished request, taken off the list, or NULL. wait: for one, if any is with the workers. */
struct block_request *pool_take(struct pool *pool, bool wait);
/* Takes back a request that was submitted or finished and not taken; waits while a worker is in the middle of
 * it. */
void pool_cancel(struct pool *pool, struct block_request *request);

#endif
