/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/clock.h"

#include <stdlib.h>
#include <time.h>

enum { CLOCK_BURST = 256 }; /* timers fired at one instant */

static int64_t host_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * NS_PER_SECOND + ts.tv_nsec;
}

void clock_init(struct clock *clock, enum clock_mode mode)
{
    *clock = (struct clock){.mode = mode, .offset = mode == CLOCK_RUNNING ? -host_now() : 0};
}

void clock_destroy(struct clock *clock)
{
    for (size_t i = 0; i < clock->count; i++)
        clock->heap[i]->index = 0;
    free(clock->heap);
    *clock = (struct clock){.mode = CLOCK_STOPPED};
}

int64_t clock_now(const struct clock *clock)
{
    return clock->mode == CLOCK_RUNNING ? host_now() + clock->offset : clock->offset;
}

void clock_set(struct clock *clock, int64_t now)
{
    clock->offset = clock->mode == CLOCK_RUNNING ? now - host_now() : now;
    if (clock->mode == CLOCK_RUNNING && clock->rearm)
        clock->rearm(clock->opaque);
}

void clock_start(struct clock *clock)
{
    if (clock->mode != CLOCK_STOPPED)
        return;
    clock->offset -= host_now();
    clock->mode = CLOCK_RUNNING;
    if (clock->rearm)
        clock->rearm(clock->opaque);
}

void clock_stop(struct clock *clock)
{
    if (clock->mode != CLOCK_RUNNING)
        return;
    clock->offset = clock_now(clock);
    clock->mode = CLOCK_STOPPED;
}

int64_t clock_deadline(const struct clock *clock)
{
    return clock->count ? clock->heap[0]->deadline : -1;
}

static void place(struct clock *clock, struct timer *timer, size_t at)
{
    clock->heap[at] = timer;
    timer->index = at + 1;
}

static void sift_up(struct clock *clock, size_t at)
{
    struct timer *timer = clock->heap[at];

    while (at > 0 && clock->heap[(at - 1) / 2]->deadline > timer->deadline) {
        place(clock, clock->heap[(at - 1) / 2], at);
        at = (at - 1) / 2;
    }
    place(clock, timer, at);
}

static void sift_down(struct clock *clock, size_t at)
{
    struct timer *timer = clock->heap[at];

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= clock->count)
            break;
        if (child + 1 < clock->count && clock->heap[child + 1]->deadline < clock->heap[child]->deadline)
            child++;
        if (clock->heap[child]->deadline >= timer->deadline)
            break;
        place(clock, clock->heap[child], at);
        at = child;
    }
    place(clock, timer, at);
}

void timer_init(struct timer *timer, struct clock *clock, void (*fire)(void *opaque), void *opaque)
{
    *timer = (struct timer){.clock = clock, .fire = fire, .opaque = opaque};
}

void timer_cancel(struct timer *timer)
{
    struct clock *clock = timer->clock;
    size_t at = timer->index - 1;
    struct timer *last;

    if (!timer->index)
        return;
    timer->index = 0;
    last = clock->heap[--clock->count];
    if (last == timer)
        return;
    place(clock, last, at);
    sift_up(clock, at);
    sift_down(clock, last->index - 1);
}

void timer_set(struct timer *timer, int64_t deadline)
{
    struct clock *clock = timer->clock;
    int64_t before = clock_deadline(clock);

    timer_cancel(timer);
    if (clock->count == clock->capacity) {
        size_t capacity = clock->capacity ? clock->capacity * 2 : 16;
        struct timer **heap = reallocarray(clock->heap, capacity, sizeof(*heap));

        if (!heap)
            return; /* a few hundred bytes, while the board is built: nothing guests can cause */
        clock->heap = heap;
        clock->capacity = capacity;
    }
    timer->deadline = deadline < 0 ? 0 : deadline;
    place(clock, timer, clock->count++);
    sift_up(clock, timer->index - 1);
    if (clock->rearm && (before < 0 || deadline < before))
        clock->rearm(clock->opaque);
}

static void fire_first(struct clock *clock)
{
    struct timer *timer = clock->heap[0];

    timer_cancel(timer);
    timer->fire(timer->opaque);
}

void clock_run(struct clock *clock)
{
    int64_t now = clock_now(clock);

    for (unsigned n = 0; n < CLOCK_BURST && clock->count && clock->heap[0]->deadline <= now; n++)
        fire_first(clock);
}

void clock_advance(struct clock *clock, int64_t to)
{
    unsigned overdue = 0;

    if (clock->mode != CLOCK_MANUAL)
        return;
    while (clock->count && clock->heap[0]->deadline <= to) {
        if (clock->heap[0]->deadline > clock->offset) {
            clock->offset = clock->heap[0]->deadline;
            overdue = 0;
        } else if (++overdue > CLOCK_BURST) {
            /* A timer that keeps arming itself in the past must not hold the client forever: time moves on by
             * itself. */
            if (clock->offset >= to)
                break;
            clock->offset++;
        }
        fire_first(clock);
    }
    if (to > clock->offset)
        clock->offset = to;
}
