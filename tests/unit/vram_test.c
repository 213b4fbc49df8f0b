/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Video memory's watch, with an accelerator of the test's own. */
#include "tests/lib/cmocka.h"

#include "machine/machine.h"
#include "machine/vram.h"

struct bench {
    struct machine m;
    struct vram vram;
    enum vram_watch slot; /* what the accelerator was told last */
    bool late;            /* the guest writes once more before it is armed */
    unsigned touched;
};

static struct bench *bench_of(struct vram *vram)
{
    return (struct bench *)((char *)vram - offsetof(struct bench, vram));
}

/* As under KVM: what the log has is fetched when the memory is armed. */
static void watch_vram(struct machine *m, struct vram *vram, enum vram_watch watch)
{
    struct bench *b = bench_of(vram);

    if (watch == VRAM_ARMED && b->late)
        vram_mark(vram, 0, 1);
    b->late = false;
    b->slot = watch;
}

static const struct accel_ops accel = {.name = "test", .watch_vram = watch_vram};

/* As the console does it: what was armed is logged from then on. */
static void touched(void *opaque)
{
    struct bench *b = opaque;

    b->touched++;
    vram_set_watch(&b->vram, VRAM_LOGGED);
}

static int start(void **state)
{
    static struct bench b;
    const struct machine_config config = {.name = "", .ram_size = 1 << 20, .cpus = 1, .max_cpus = 1};
    struct error err = {0};

    b = (struct bench){0};
    assert_true(machine_init(&b.m, &config, &accel, CLOCK_MANUAL, &err));
    assert_true(vram_init(&b.vram, &b.m, "test", 1 << 20, &err));
    b.vram.touched = touched;
    b.vram.opaque = &b;
    *state = &b;
    return 0;
}

static int stop(void **state)
{
    struct bench *b = *state;

    vram_destroy(&b->vram);
    machine_destroy(&b->m);
    return 0;
}

/* It was taken for the first write after the arming: the memory stayed armed while everybody else believed it
 * logged, and each of the guest's writes trapped until it paused. */
static void a_write_just_before_the_arming_does_not_undo_it(void **state)
{
    struct bench *b = *state;

    vram_set_watch(&b->vram, VRAM_LOGGED);
    b->late = true;
    vram_set_watch(&b->vram, VRAM_ARMED);
    assert_int_equal(b->touched, 0);
    assert_int_equal(b->vram.watch, VRAM_ARMED);
    assert_int_equal(b->slot, VRAM_ARMED);
    assert_true(vram_dirty(&b->vram, 0, 1)); /* and is drawn by who armed */
}

static void the_first_write_after_the_arming_tells_once(void **state)
{
    struct bench *b = *state;

    vram_set_watch(&b->vram, VRAM_ARMED);
    vram_mark(&b->vram, 4096, 8);
    vram_mark(&b->vram, 4104, 8);
    assert_int_equal(b->touched, 1);
    assert_int_equal(b->slot, VRAM_LOGGED);
    assert_int_equal(b->vram.watch, VRAM_LOGGED);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, start, stop)
    const struct CMUnitTest tests[] = {
        CASE(a_write_just_before_the_arming_does_not_undo_it),
        CASE(the_first_write_after_the_arming_tells_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
