/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop: file descriptors, clocks and work posted from other threads, served by one thread (the
 * machine thread) that holds the machine lock while it calls anybody. It sleeps until something happens:
 * there is no tick.
 *
 * Other threads come to the lock by loop_enter and loop_leave, and are served in between: the machine thread
 * says when it wants the lock, and has it after the access that is under way (at most one more of each thread
 * that was waiting on a condition of the lock); threads that wait get one turn between two handlers when the
 * loop has held the lock for a while.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/work.h"

struct loop_fd {
    void (*ready)(void *opaque, uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR */
    void *opaque;
    int fd; /* -1: not watched */
};

/* Something to do later, once, on the machine thread. Embedded in its owner; posting it again before it ran
 * is harmless. */
struct loop_work {
    void (*run)(void *opaque);
    void *opaque;
    struct loop_work *next;
    bool posted;
};

enum { LOOP_EVENTS = 32 }; /* served in one round */

struct loop {
    int epoll_fd, wake_fd;
    struct work work;      /* of the piece under way */
    atomic_bool wanted;    /* by the machine thread */
    atomic_uint waiting;   /* other threads, for the lock */
    atomic_ullong entered; /* turns of other threads */
    uint64_t most_waited;  /* turns that the machine thread waited for the lock, at most */
    unsigned passes;       /* turns that other threads have although it is wanted */
    pthread_cond_t turn, passed;
    pthread_mutex_t *lock; /* the machine lock: held by the loop's thread except while it sleeps */
    struct clock *guest_clock;
    struct clock host_clock; /* real time, never stops: views, monitors */
    pthread_mutex_t work_lock;
    struct loop_work *first_work, **last_work;
    struct loop_work round_end; /* in the list behind the work of the round under way */
    struct loop_work *idle;     /* waits for a round without events */
    int64_t awake_until;        /* host clock: it does not sleep before */
    bool quit;
    struct epoll_event events[LOOP_EVENTS]; /* of the round under way */
    unsigned ready;
    bool no_pwait2;        /* the kernel, or a filter before it, has no epoll_pwait2 */
    bool failed;           /* it cannot wait: loop_run has ended for it */
    bool unwatched_asleep; /* another thread took a watch away while the lock was given up */
};

/* False with errno on failure. guest_clock's rearm hook is taken. */
bool loop_init(struct loop *loop, pthread_mutex_t *lock, struct clock *guest_clock);
void loop_destroy(struct loop *loop);

/*
 * Another thread's way to the machine lock and back: a piece of work begins. Whoever waits on a condition
 * with the lock does so with loop_await.
 */
void loop_enter(struct loop *loop);
void loop_leave(struct loop *loop);
void loop_await(struct loop *loop, pthread_cond_t *cond);
/* Leaves and enters, others have had their turn in between: for the next piece of a long request. */
void loop_give_way(struct loop *loop);

/* Runs until loop_quit, or until it cannot wait for events (failed); called with the lock held, returns with
 * it held. */
void loop_run(struct loop *loop);
/* One round: waits if wait, then serves what is ready. */
void loop_once(struct loop *loop, bool wait);
void loop_quit(struct loop *loop); /* from the machine thread or a signal handler's fd */

/*
 * Something is expected before this time of the host clock, sooner than it takes to sleep and be woken: until
 * then the loop busy-polls for events instead. For moments only: it costs a processor's time. Machine thread.
 */
void loop_stay_awake(struct loop *loop, int64_t until);

/* Watches fd for events (EPOLLIN...). The watch is the caller's memory and must stay until loop_unwatch.
 * False: errno. */
bool loop_watch(struct loop *loop, struct loop_fd *watch, int fd, uint32_t events,
                void (*ready)(void *opaque, uint32_t events), void *opaque);
bool loop_rewatch(struct loop *loop, struct loop_fd *watch,
                  uint32_t events); /* other events for a watched fd */
void loop_unwatch(struct loop *loop, struct loop_fd *watch);

/* From any thread, with or without the machine lock. */
void loop_post(struct loop *loop, struct loop_work *work);
/* Takes work back that was posted and did not run; machine thread only. */
void loop_cancel(struct loop *loop, struct loop_work *work);
/* Runs it once, in the next round that finds no event, no work and no timer that is due; NULL takes the last
 * one back. One at a time, on the machine thread: for a test that asks whether all that came is served. */
void loop_when_idle(struct loop *loop, struct loop_work *work);
void loop_wake(struct loop *loop);
/* Is posted work waiting for the machine thread? For a handler that could give the loop its turn. */
static inline bool loop_has_work(const struct loop *loop)
{
    return __atomic_load_n(&loop->first_work, __ATOMIC_RELAXED) != NULL;
}

#endif
