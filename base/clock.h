/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Time as devices see it, and timers on it. Unit: nanoseconds. Guest time starts at 0 with the machine and
 * stands still while the machine is stopped; under the test port it moves only when the client says so.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_SECOND 1000000000ll
#define NS_PER_MS     1000000ll
#define NS_PER_US     1000ll

struct timer;

enum clock_mode {
    CLOCK_RUNNING, /* follows the host's monotonic clock */
    CLOCK_STOPPED, /* stands still */
    CLOCK_MANUAL,  /* moves by clock_advance only (test port) */
};

struct clock {
    enum clock_mode mode;
    int64_t offset;      /* RUNNING: guest time = host time + offset; else the time itself */
    struct timer **heap; /* armed timers, a binary heap by deadline */
    size_t count, capacity;
    void (*rearm)(
        void *opaque); /* told when the next deadline became earlier, from any thread that holds the lock */
    void *opaque;
};

struct timer {
    struct clock *clock;
    void (*fire)(void *opaque);
    void *opaque;
    int64_t deadline; /* valid while armed */
    size_t index;     /* in the heap, plus 1; 0: not armed */
};

void clock_init(struct clock *clock, enum clock_mode mode);
void clock_destroy(struct clock *clock);
int64_t clock_now(const struct clock *clock);
/* Moves to time `now`, forwards or backwards, and fires nothing: a state is loaded. */
void clock_set(struct clock *clock, int64_t now);
void clock_start(struct clock *clock);
void clock_stop(struct clock *clock);

/* The earliest deadline; -1: none. */
int64_t clock_deadline(const struct clock *clock);
/*
 * Fires what is due, each timer at most a bounded number of times (one that keeps arming itself in the past
 * waits for the next round).
 */
void clock_run(struct clock *clock);
/* MANUAL: moves to time `to`, not backwards, firing timers at their deadlines on the way. */
void clock_advance(struct clock *clock, int64_t to);

void timer_init(struct timer *timer, struct clock *clock, void (*fire)(void *opaque), void *opaque);
/* Arms (or moves) the timer; a deadline in the past fires as soon as possible. */
void timer_set(struct timer *timer, int64_t deadline);
void timer_cancel(struct timer *timer);
static inline bool timer_armed(const struct timer *timer)
{
    return timer->index != 0;
}

#endif
