/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is saved of KVM's processors, and what is refused of it. No kernel is needed. */
#include "ioreq/kvm_image.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/cmocka.h"

static struct kvm_image *an_image(void)
{
    struct kvm_image *image = kvm_image_new(2);

    assert_non_null(image);
    image->clock = 5;
    for (unsigned i = 0; i < 2; i++) {
        struct kvm_cpu_image *cpu = &image->cpus[i];

        cpu->regs.rip = 0xFFF0 + i;
        cpu->xsave_size = 4096;
        cpu->xsave[1023] = 7;
        cpu->msr_count = 2;
        cpu->msrs[0] = (struct kvm_msr_entry){.index = 0x10, .data = 99};
        cpu->msrs[1] = (struct kvm_msr_entry){.index = 0x174, .data = 8};
        cpu->cpuid.count = 1;
        cpu->cpuid.leaves[0] = (struct cpuid_leaf){.function = 7, .indexed = true, .regs = {1, 2, 3, 4}};
    }
    return image;
}

static bool read_back(const struct state_writer *w, size_t size, unsigned cpus, struct error *err)
{
    struct state_reader r = {.data = w->data, .size = size};
    struct kvm_image *image = kvm_image_new(cpus);
    bool ok;

    assert_non_null(image);
    ok = kvm_image_read(image, &r, err);
    kvm_image_free(image);
    return ok;
}

static void assert_refused(struct kvm_image *image, const char *why)
{
    struct state_writer w = {.data = NULL};
    struct error err = {.text = ""};

    kvm_image_write(image, &w);
    assert_false(read_back(&w, w.size, 2, &err));
    if (!strstr(err.text, why))
        fail_msg("'%s' does not say '%s'", err.text, why);
    state_writer_free(&w);
    kvm_image_free(image);
}

static void test_what_is_written_is_read(void **state)
{
    struct kvm_image *image = an_image(), *other = kvm_image_new(2);
    struct state_writer w = {.data = NULL}, again = {.data = NULL};
    struct state_reader r;

    assert_non_null(other);
    kvm_image_write(image, &w);
    r = (struct state_reader){.data = w.data, .size = w.size};
    assert_true(kvm_image_read(other, &r, NULL));
    assert_int_equal(r.at, r.size);
    kvm_image_write(other, &again);
    assert_int_equal(again.size, w.size);
    assert_memory_equal(again.data, w.data, w.size);
    assert_int_equal(other->cpus[1].regs.rip, 0xFFF1);
    state_writer_free(&w);
    state_writer_free(&again);
    kvm_image_free(image);
    kvm_image_free(other);
}

static void test_every_shorter_state_is_refused(void **state)
{
    struct kvm_image *image = an_image();
    struct state_writer w = {.data = NULL};

    kvm_image_write(image, &w);
    for (size_t size = 0; size < w.size; size += 7)
        assert_false(read_back(&w, size, 2, NULL));
    assert_false(read_back(&w, w.size, 1, NULL));
    assert_true(read_back(&w, w.size, 2, NULL));
    state_writer_free(&w);
    kvm_image_free(image);
}

static void test_what_is_out_of_range_is_named(void **state)
{
    struct kvm_image *image = an_image();

    image->pit.channels[1].count = 0x10001;
    assert_refused(image, "PIT channel 1: count is 65537");
    image = an_image();
    image->pit.channels[2].mode = 8;
    assert_refused(image, "PIT channel 2: mode is 8");
    image = an_image();
    image->clock = UINT64_MAX;
    assert_refused(image, "clock is");
    image = an_image();
    image->cpus[1].xcrs.nr_xcrs = KVM_MAX_XCRS + 1;
    assert_refused(image, "processor 1: 17 XCRs");
    image = an_image();
    image->cpus[0].xsave_size = 4092;
    assert_refused(image, "processor 0: xsave is of 4092 bytes");
    image = an_image();
    image->cpus[0].msrs[1].index = 0x10;
    assert_refused(image, "MSR 0x10 is there twice");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_every_shorter_state_is_refused),
        cmocka_unit_test(test_what_is_out_of_range_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
