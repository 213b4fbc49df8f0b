/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io_uring for what bypasses the page cache: the machine thread submits and collects, no thread is woken.
 * Writes go straight from guest memory that stays mapped; reads come by memory of the ring's, so that they
 * can be cancelled at once (a late one must not reach the guest). Machine thread.
 */
#ifndef BLOCK_URING_H
#define BLOCK_URING_H

#include "block/pool.h"

struct uring;

/* ended: a job is done, error set, its data in the request's buffers; or *retry: it is the workers' to do. */
struct uring *uring_new(struct loop *loop, void (*ended)(void *opaque, struct job *job, bool retry),
                        void *opaque);
/* Nothing may be in flight. */
void uring_free(struct uring *ring);
/* False: it cannot take this one (now). */
bool uring_submit(struct uring *ring, struct job *job, int fd, uint64_t offset);
/* The medium is gone: the kernel forgets its descriptor, when nothing is in flight. */
void uring_forget(struct uring *ring);
/* Waits until at least one job has ended. */
void uring_wait(struct uring *ring);
unsigned uring_in_flight(const struct uring *ring);

#endif
