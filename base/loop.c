/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/loop.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"

/* The loop whose handlers this thread is running: it will look at the posted work by itself, without a
 * wake-up. */
static _Thread_local struct loop *serving;

enum { WAKING = 100 /* looks at whether the thread that waits for the lock is awake */ };

/* Stands in a round's events for a watch that an earlier handler of the round removed. */
static struct loop_fd unwatched;

static void rearm(void *opaque)
{
    loop_wake(opaque);
}

bool loop_init(struct loop *loop, pthread_mutex_t *lock, struct clock *guest_clock)
{
    struct epoll_event ev = {.events = EPOLLIN};

    *loop = (struct loop){.epoll_fd = epoll_create1(EPOLL_CLOEXEC),
                          .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                          .lock = lock,
                          .guest_clock = guest_clock};
    pthread_mutex_init(&loop->work_lock, NULL);
    pthread_cond_init(&loop->turn, NULL);
    pthread_cond_init(&loop->passed, NULL);
    loop->last_work = &loop->first_work;
    clock_init(&loop->host_clock, CLOCK_RUNNING);
    loop->host_clock.rearm = guest_clock->rearm = rearm;
    loop->host_clock.opaque = guest_clock->opaque = loop;
    return loop->epoll_fd >= 0 && loop->wake_fd >= 0 &&
           epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &ev) == 0;
}

void loop_destroy(struct loop *loop)
{
    clock_destroy(&loop->host_clock);
    close(loop->wake_fd);
    close(loop->epoll_fd);
    pthread_mutex_destroy(&loop->work_lock);
    pthread_cond_destroy(&loop->turn);
    pthread_cond_destroy(&loop->passed);
}

bool loop_watch(struct loop *loop, struct loop_fd *watch, int fd, uint32_t events,
                void (*ready)(void *opaque, uint32_t events), void *opaque)
{
    struct epoll_event ev = {.events = events, .data.ptr = watch};

    *watch = (struct loop_fd){ready, opaque, fd};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0)
        return true;
    watch->fd = -1;
    return false;
}

bool loop_rewatch(struct loop *loop, struct loop_fd *watch, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = watch};

    return watch->fd >= 0 && epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &ev) == 0;
}

void loop_unwatch(struct loop *loop, struct loop_fd *watch)
{
    if (watch->fd >= 0)
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    for (unsigned i = 0; i < loop->ready; i++)
        if (loop->events[i].data.ptr == watch)
            loop->events[i].data.ptr = &unwatched;
    loop->unwatched_asleep = true;
    watch->fd = -1;
}

void loop_wake(struct loop *loop)
{
    uint64_t one = 1;

    if (write(loop->wake_fd, &one, sizeof(one)) < 0)
        return; /* EAGAIN: it is awake already */
}

/* first_work is looked at without the lock by loop_has_work. */
static void set_work(struct loop_work **place, struct loop_work *work)
{
    __atomic_store_n(place, work, __ATOMIC_RELAXED);
}

/* Work lock held. */
static void append_work(struct loop *loop, struct loop_work *work)
{
    work->posted = true;
    work->next = NULL;
    set_work(loop->last_work, work);
    loop->last_work = &work->next;
}

void loop_post(struct loop *loop, struct loop_work *work)
{
    bool first = false;

    pthread_mutex_lock(&loop->work_lock);
    if (!work->posted) {
        first = !loop->first_work;
        append_work(loop, work);
    }
    pthread_mutex_unlock(&loop->work_lock);
    if (first && serving != loop)
        loop_wake(loop);
}

void loop_cancel(struct loop *loop, struct loop_work *work)
{
    pthread_mutex_lock(&loop->work_lock);
    if (work->posted) {
        struct loop_work **at = &loop->first_work;

        while (*at != work)
            at = &(*at)->next;
        set_work(at, work->next);
        if (!*at)
            loop->last_work = at;
        work->posted = false;
    }
    pthread_mutex_unlock(&loop->work_lock);
}

/* Takes the oldest work; NULL: what is left was posted during this round. */
static struct loop_work *take_work(struct loop *loop)
{
    struct loop_work *work;

    pthread_mutex_lock(&loop->work_lock);
    work = loop->first_work;
    set_work(&loop->first_work, work->next);
    if (!work->next)
        loop->last_work = &loop->first_work;
    work->posted = false;
    pthread_mutex_unlock(&loop->work_lock);
    return work == &loop->round_end ? NULL : work;
}

/* ---- the lock ---- */

/* Holding the lock: waits for a turn. */
static void loop_take_turn(struct loop *loop)
{
    while (loop->wanted && !loop->passes)
        pthread_cond_wait(&loop->turn, loop->lock);
    if (loop->passes && --loop->passes == 0)
        pthread_cond_signal(&loop->passed);
    loop->entered++;
    work_begin(&loop->work);
}

void loop_enter(struct loop *loop)
{
    atomic_fetch_add(&loop->waiting, 1);
    pthread_mutex_lock(loop->lock);
    loop_take_turn(loop);
    atomic_fetch_sub(&loop->waiting, 1);
}

void loop_leave(struct loop *loop)
{
    pthread_mutex_unlock(loop->lock);
}

void loop_await(struct loop *loop, pthread_cond_t *cond)
{
    pthread_cond_wait(cond, loop->lock);
    loop_take_turn(loop);
}

/* A mutex that is free again goes to whoever runs, which is this thread: the one that waits has to wake. */
void loop_give_way(struct loop *loop)
{
    uint64_t entered = loop->entered;

    loop_leave(loop);
    for (unsigned i = 0; i < WAKING && loop->waiting; i++) {
        if (loop->entered != entered)
            break;
        sched_yield();
    }
    loop_enter(loop);
}

/* The machine thread's way to the lock: others see that it is wanted. */
static void loop_lock(struct loop *loop)
{
    uint64_t before = loop->entered, waited;

    loop->wanted = true;
    pthread_mutex_lock(loop->lock);
    loop->wanted = false;
    waited = loop->entered - before;
    if (waited > loop->most_waited)
        loop->most_waited = waited;
    pthread_cond_broadcast(&loop->turn);
}

/* Between two handlers: where the loop has had the lock for long, the threads that wait have a turn each. */
static void loop_next_piece(struct loop *loop)
{
    if (loop->waiting && work_spent(&loop->work)) {
        loop->wanted = true;
        loop->passes = loop->waiting;
        pthread_cond_broadcast(&loop->turn);
        while (loop->passes)
            pthread_cond_wait(&loop->passed, loop->lock);
        loop->wanted = false;
        pthread_cond_broadcast(&loop->turn);
    }
    work_begin(&loop->work);
}

/* Work that is posted meanwhile, by itself perhaps, waits for the next round. */
static void run_work(struct loop *loop)
{
    struct loop_work *work;

    if (!loop_has_work(loop))
        return;
    pthread_mutex_lock(&loop->work_lock);
    append_work(loop, &loop->round_end);
    pthread_mutex_unlock(&loop->work_lock);
    while ((work = take_work(loop))) {
        loop_next_piece(loop);
        work->run(work->opaque);
    }
    if (loop_has_work(loop))
        loop_wake(loop);
}

/* How long to sleep, NULL: until an event. */
static struct timespec *until_next(struct loop *loop, struct timespec *ts)
{
    const struct clock *clocks[] = {loop->guest_clock, &loop->host_clock};
    int64_t wait = -1;

    for (int i = 0; i < 2; i++) {
        int64_t deadline = clocks[i]->mode == CLOCK_RUNNING ? clock_deadline(clocks[i]) : -1, left;

        if (deadline < 0)
            continue;
        left = deadline - clock_now(clocks[i]);
        left = left < 0 ? 0 : left;
        if (wait < 0 || left < wait)
            wait = left;
    }
    if (wait < 0)
        return NULL;
    ts->tv_sec = wait / NS_PER_SECOND;
    ts->tv_nsec = wait % NS_PER_SECOND;
    return ts;
}

void loop_stay_awake(struct loop *loop, int64_t until)
{
    loop->awake_until = until;
}

static bool is_awake(const struct loop *loop)
{
    return loop->awake_until && clock_now(&loop->host_clock) < loop->awake_until;
}

/* Waits for events, at most so long (NULL: until there are some): their number, or -1 and errno. */
static int loop_wait(struct loop *loop, const struct timespec *timeout)
{
    struct pollfd poll_fd = {.fd = loop->epoll_fd, .events = POLLIN};

    if (!loop->no_pwait2) {
        int n = epoll_pwait2(loop->epoll_fd, loop->events, LOOP_EVENTS, timeout, NULL);

        if (n >= 0 || (errno != ENOSYS && errno != EPERM && errno != EACCES))
            return n;
        loop->no_pwait2 = true;
    }
    /* Not epoll_wait's own timeout: in its milliseconds a guest's timer would be late. */
    if (ppoll(&poll_fd, 1, timeout, NULL) < 0)
        return -1;
    return epoll_wait(loop->epoll_fd, loop->events, LOOP_EVENTS, 0);
}

/* A loop that cannot wait would run round and round and hear nobody: it ends, and says why. */
static void loop_fail(struct loop *loop, int why)
{
    log_line("the event loop cannot wait for events: %s", strerror(why));
    loop->failed = loop->quit = true;
}

void loop_when_idle(struct loop *loop, struct loop_work *work)
{
    loop->idle = work;
}

static void run_idle(struct loop *loop)
{
    struct loop_work *work = loop->idle;

    if (!work || loop_has_work(loop))
        return;
    loop->idle = NULL;
    work->run(work->opaque);
}

void loop_once(struct loop *loop, bool wait)
{
    bool awake = wait && is_awake(loop), idle;
    struct timespec ts = {0};
    const struct timespec *timeout = wait && !awake && !loop->idle ? until_next(loop, &ts) : &ts;
    int n, why;

    loop->unwatched_asleep = false;
    pthread_mutex_unlock(loop->lock);
    if (awake)
        sched_yield(); /* who shares this processor may be the one that is waited for */
    n = loop_wait(loop, timeout);
    why = errno;
    loop_lock(loop);
    /* The events may name a watch that is gone by now; those of the others come again in the next round. */
    idle = n == 0 && !loop_has_work(loop) && !loop->unwatched_asleep;
    if (loop->unwatched_asleep)
        n = 0;
    if (n < 0 && why != EINTR)
        loop_fail(loop, why);
    loop->ready = n > 0 ? n : 0;
    serving = loop;
    for (int i = 0; i < n; i++) {
        struct loop_fd *watch = loop->events[i].data.ptr;
        uint64_t count;

        if (!watch) {
            if (read(loop->wake_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
                break;
        } else if (watch != &unwatched) {
            loop_next_piece(loop);
            watch->ready(watch->opaque, loop->events[i].events);
        }
    }
    loop->ready = 0;
    run_work(loop);
    serving = NULL;
    loop_next_piece(loop);
    clock_run(&loop->host_clock);
    loop_next_piece(loop);
    if (loop->guest_clock->mode == CLOCK_RUNNING)
        clock_run(loop->guest_clock);
    if (idle)
        run_idle(loop);
}

void loop_run(struct loop *loop)
{
    while (!loop->quit)
        loop_once(loop, true);
}

void loop_quit(struct loop *loop)
{
    loop->quit = true;
    loop_wake(loop);
}
