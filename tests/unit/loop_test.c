/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The event loop. */
#include "base/loop.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/cmocka.h"

struct loop_state {
    pthread_mutex_t lock;
    struct clock clock;
    struct loop loop;
};

static int set_up(void **state)
{
    struct loop_state *s = test_calloc(1, sizeof(*s));

    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_lock(&s->lock);
    clock_init(&s->clock, CLOCK_STOPPED);
    *state = s;
    return loop_init(&s->loop, &s->lock, &s->clock) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct loop_state *s = *state;

    loop_destroy(&s->loop);
    clock_destroy(&s->clock);
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_destroy(&s->lock);
    test_free(s);
    return 0;
}

static void count_ready(void *opaque, uint32_t events)
{
    ++*(unsigned *)opaque;
}

static void ring(void *opaque)
{
    *(bool *)opaque = true;
}

static void ready_descriptors_are_told(void **state)
{
    struct loop_state *s = *state;
    struct loop_fd watch;
    unsigned told = 0;
    int fd = eventfd(0, EFD_NONBLOCK);

    assert_true(loop_watch(&s->loop, &watch, fd, EPOLLIN, count_ready, &told));
    loop_once(&s->loop, false);
    assert_int_equal(told, 0);
    assert_int_equal(eventfd_write(fd, 1), 0);
    loop_once(&s->loop, true);
    assert_int_equal(told, 1);
    loop_unwatch(&s->loop, &watch);
    loop_once(&s->loop, false);
    assert_int_equal(told, 1);
    close(fd);
}

/* One that takes the other's watch away and frees it. */
struct rival {
    struct loop *loop;
    struct loop_fd own, *other;
    unsigned told;
};

static void remove_other(void *opaque, uint32_t events)
{
    struct rival *r = opaque;

    r->told++;
    if (!r->other)
        return;
    loop_unwatch(r->loop, r->other);
    free(r->other);
    r->other = NULL;
}

static void a_watch_removed_by_a_handler_of_the_same_round_is_not_told(void **state)
{
    struct loop_state *s = *state;
    int fds[2] = {eventfd(1, 0), eventfd(1, 0)};
    struct rival rival = {.loop = &s->loop, .other = malloc(sizeof(*rival.other))};
    unsigned told = 0;

    assert_true(loop_watch(&s->loop, &rival.own, fds[0], EPOLLIN, remove_other, &rival));
    assert_true(loop_watch(&s->loop, rival.other, fds[1], EPOLLIN, count_ready, &told));
    loop_once(&s->loop, true);
    loop_once(&s->loop, false);
    assert_int_equal(told, 0);
    loop_unwatch(&s->loop, &rival.own);
    close(fds[0]);
    close(fds[1]);
}

static void *run_once(void *opaque)
{
    struct loop_state *s = opaque;

    pthread_mutex_lock(&s->lock);
    loop_once(&s->loop, true);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/*
 * The loop's thread has its events and waits for the lock, which another thread holds; that one removes a
 * watch and frees it. The events that the loop got before must not lead to it.
 */
static void a_watch_removed_while_the_loop_waits_for_the_lock_is_not_told(void **state)
{
    struct loop_state *s = *state;

    for (unsigned i = 0; i < 20; i++) {
        struct loop_fd *watch = malloc(sizeof(*watch));
        int fd = eventfd(0, EFD_NONBLOCK);
        unsigned told = 0;
        pthread_t thread;

        assert_true(loop_watch(&s->loop, watch, fd, EPOLLIN, count_ready, &told));
        pthread_create(&thread, NULL, run_once, s);
        pthread_mutex_unlock(&s->lock);
        usleep(2000); /* it sleeps in the kernel */
        pthread_mutex_lock(&s->lock);
        assert_int_equal(eventfd_write(fd, 1), 0);
        usleep(2000); /* it woke up and wants the lock */
        loop_unwatch(&s->loop, watch);
        free(watch);
        pthread_mutex_unlock(&s->lock);
        loop_wake(&s->loop); /* in case it came too late for the event */
        pthread_join(thread, NULL);
        pthread_mutex_lock(&s->lock);
        assert_int_equal(told, 0);
        close(fd);
    }
}

static void a_loop_that_stays_awake_looks_and_then_sleeps(void **state)
{
    struct loop_state *s = *state;
    struct timer timer;
    bool rang = false;
    int rounds = 0;

    /* Nothing is armed or watched: asleep it would wait for ever. */
    loop_stay_awake(&s->loop, clock_now(&s->loop.host_clock) + 3600 * NS_PER_SECOND);
    loop_once(&s->loop, true);

    loop_stay_awake(&s->loop, clock_now(&s->loop.host_clock) - 1);
    timer_init(&timer, &s->loop.host_clock, ring, &rang);
    timer_set(&timer, clock_now(&s->loop.host_clock) + 5 * NS_PER_MS);
    while (!rang) {
        assert_true(rounds++ < 10); /* one is the timer's setting */
        loop_once(&s->loop, true);
    }
}

/* From here on the process has no epoll_pwait2, as on a kernel before 5.11. */
static bool lose_epoll_pwait2(int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* Of a process of its own, that lost a system call: does the loop hear a descriptor, and sleep until a timer?
 */
static bool hears_and_sleeps(struct loop_state *s)
{
    unsigned told = 0, rounds = 0;
    struct loop_fd watch;
    struct timer timer;
    bool rang = false;
    int fd = eventfd(0, EFD_NONBLOCK);

    if (!loop_watch(&s->loop, &watch, fd, EPOLLIN | EPOLLET, count_ready, &told) || eventfd_write(fd, 1) < 0)
        return false;
    loop_once(&s->loop, true);
    timer_init(&timer, &s->loop.host_clock, ring, &rang);
    timer_set(&timer, clock_now(&s->loop.host_clock) + 30 * 1000000);
    while (!rang && rounds < 100) {
        loop_once(&s->loop, true);
        rounds++;
    }
    return told == 1 && rang && rounds <= 4;
}

static void a_kernel_without_epoll_pwait2_will_do(void **state)
{
    static const int errors[] = {ENOSYS, EPERM};

    for (unsigned i = 0; i < 2; i++) {
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0)
            _exit(!lose_epoll_pwait2(errors[i]) ? 2 : !hears_and_sleeps(*state));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
}

static void a_loop_that_cannot_wait_ends(void **state)
{
    struct loop_state *s = *state;
    int no_epoll = eventfd(0, 0);

    assert_int_equal(dup2(no_epoll, s->loop.epoll_fd), s->loop.epoll_fd);
    loop_run(&s->loop);
    assert_true(s->loop.failed);
    close(no_epoll);
}

/* ---- B3: the lock is fair ---- */

enum { THREADS = 3 };

struct busy_thread {
    struct loop *loop;
    pthread_t thread;
    atomic_bool end;
    atomic_ulong turns;
    bool pieces; /* one request for ever, in pieces */
};

/* A processor that does nothing but slow accesses, back to back. */
static void *busy_processor(void *opaque)
{
    struct busy_thread *t = opaque;

    loop_enter(t->loop);
    while (!t->end) {
        for (volatile unsigned i = 0; i < 2000; i++)
            ;
        t->turns++;
        if (t->pieces) {
            loop_give_way(t->loop);
        } else {
            loop_leave(t->loop);
            loop_enter(t->loop);
        }
    }
    loop_leave(t->loop);
    return NULL;
}

static void start_busy(struct loop_state *s, struct busy_thread *threads, bool pieces)
{
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i] = (struct busy_thread){.loop = &s->loop, .pieces = pieces};
        assert_int_equal(pthread_create(&threads[i].thread, NULL, busy_processor, &threads[i]), 0);
    }
}

static void end_busy(struct loop_state *s, struct busy_thread *threads)
{
    for (unsigned i = 0; i < THREADS; i++)
        threads[i].end = true;
    pthread_mutex_unlock(&s->lock);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i].thread, NULL);
    pthread_mutex_lock(&s->lock);
}

static void b3_the_machine_thread_waits_for_few_turns(void **state)
{
    struct loop_state *s = *state;
    struct busy_thread threads[THREADS];

    for (unsigned pieces = 0; pieces < 2; pieces++) {
        unsigned long turns = 0;

        start_busy(s, threads, pieces);
        for (unsigned rounds = 0; rounds < 200 || turns < 2000; rounds++) {
            turns = 0;
            loop_once(&s->loop, false);
            for (unsigned i = 0; i < THREADS; i++)
                turns += threads[i].turns;
        }
        end_busy(s, threads);
        assert_in_range(s->loop.most_waited, 0, THREADS);
    }
}

static void spend(void *opaque)
{
    struct loop_state *s = opaque;

    work_add(&s->loop.work, WORK_BUDGET);
}

/* The other way round: a loop with much to do lets each thread that waits have a turn between two handlers.
 */
static void b3_a_busy_loop_gives_turns(void **state)
{
    enum { HANDLERS = 100 };
    struct loop_state *s = *state;
    struct busy_thread threads[THREADS];
    struct loop_work works[HANDLERS];
    uint64_t before;

    start_busy(s, threads, false);
    loop_once(&s->loop, false);
    while (s->loop.waiting < THREADS) { /* those that are not yet there */
        pthread_mutex_unlock(&s->lock);
        sched_yield();
        pthread_mutex_lock(&s->lock);
    }
    before = s->loop.entered;
    for (unsigned i = 0; i < HANDLERS; i++) {
        works[i] = (struct loop_work){.run = spend, .opaque = s};
        loop_post(&s->loop, &works[i]);
    }
    loop_once(&s->loop, false);
    assert_in_range(s->loop.entered - before, HANDLERS - 1, 100000);
    end_busy(s, threads);
}

/* ---- B2: what a handler did is counted anew for the next ---- */

static void b2_each_handler_is_a_piece(void **state)
{
    struct loop_state *s = *state;
    struct loop_work works[4];

    for (unsigned i = 0; i < 4; i++) {
        works[i] = (struct loop_work){.run = spend, .opaque = s};
        loop_post(&s->loop, &works[i]);
    }
    loop_once(&s->loop, false);
    assert_int_equal(s->loop.work.largest, WORK_BUDGET);
    assert_in_range(s->loop.work.pieces, 4, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ready_descriptors_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_kernel_without_epoll_pwait2_will_do, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_loop_that_cannot_wait_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_loop_that_stays_awake_looks_and_then_sleeps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_watch_removed_by_a_handler_of_the_same_round_is_not_told, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_watch_removed_while_the_loop_waits_for_the_lock_is_not_told, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(b3_the_machine_thread_waits_for_few_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(b3_a_busy_loop_gives_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(b2_each_handler_is_a_piece, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("event loop", tests, NULL, NULL);
}
