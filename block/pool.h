/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Worker threads that do the blocking part of disk requests, and the list of jobs that are done and wait for
 * the machine thread. Every function here is the machine thread's except the worker itself; threads are
 * started when there is work that no idle one can take, and sleep without a tick.
 *
 * A job outlives its request: a request is cancelled at once, however slow the disk, for the host's I/O goes
 * to and from memory of the worker's own, and the request's buffers are touched for the moment of a copy
 * only. Writes from buffers that stay (block_request.stable) go without a copy.
 */
#ifndef BLOCK_POOL_H
#define BLOCK_POOL_H

#include <pthread.h>
#include <stdbool.h>

#include "block/block.h"
#include "block/node.h"

enum { POOL_THREADS = 8 };

enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_COPYING, JOB_FINISHED };

struct job {
    struct block_request *request; /* NULL: nobody waits for it (any more) */
    struct node *node;             /* a reference */
    enum block_op op;
    uint64_t offset, length;
    const struct iovec *iov;
    int iovcnt;
    bool straight;      /* I/O on the buffers themselves */
    bool write_through; /* done when it is on the disk */
    int error;
    enum job_state state;
    struct job *next;
    struct iovec own[]; /* straight: the request's list of buffers */
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work, finished, copied;
    struct loop *loop;
    struct loop_work *completion; /* posted when the list of finished jobs becomes longer */
    struct job *first_queued, **last_queued;
    struct job *first_finished, **last_finished;
    pthread_t threads[POOL_THREADS];
    unsigned count, idle, queued;
    bool quit;
};

void pool_init(struct pool *pool, struct loop *loop, struct loop_work *completion);
/* Nothing may be in flight. */
void pool_destroy(struct pool *pool);

/* A job for a request, or (NULL) without one: a flush. NULL: no memory. */
struct job *job_new(struct node *node, struct block_request *request, bool write_through);
void job_free(struct job *job);

/* Hands a job to a worker. */
void pool_submit(struct pool *pool, struct job *job);
/* The oldest finished job, taken off the list, or NULL. wait: for one; something must be in flight. */
struct job *pool_take(struct pool *pool, bool wait);
/*
 * The job's request is taken back: its buffers are not touched any more. True: the job has ended and is the
 * caller's; false: its I/O is under way and it will come out of pool_take. Never waits for I/O.
 */
bool pool_cancel(struct pool *pool, struct job *job);

#endif
