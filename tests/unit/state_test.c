/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of state: what was saved is loaded, what is hostile is refused by name, the older gets defaults. */
#include "machine/state.h"

#include <string.h>

#include "tests/lib/cmocka.h"

#define INNER_STATE(S)                                                                                       \
    S(UINT, uint16_t, word, ANY)                                                                             \
    S(BOOL, on)

struct inner {
    void *wiring;
    STATE_MEMBERS(INNER_STATE);
};
STATE_TABLE(inner_state, struct inner, INNER_STATE);

#define CHIP_STATE(S)                                                                                        \
    S(UINT, uint8_t, index, 0x7F)                                                                            \
    S(BITS, uint8_t, flags, 0x81)                                                                            \
    S(RANGE, int16_t, speed, -300, 300)                                                                      \
    S(RANGE, int64_t, offset, -(1ll << 40), 1ll << 40)                                                       \
    S(ARRAY, uint32_t, reg, 16, 0xFFFFFF)                                                                    \
    S(FLAGS, mask, 4)                                                                                        \
    S(TIMER, timer)                                                                                          \
    S(SUB, struct inner, one, inner_state)                                                                   \
    S(SUBS, struct inner, two, 2, inner_state)

struct chip {
    int wiring;
    STATE_MEMBERS(CHIP_STATE);
};
STATE_TABLE(chip_state, struct chip, CHIP_STATE);

/* The same chip, a release later. */
#define LATER_STATE(S)                                                                                       \
    CHIP_STATE(S)                                                                                            \
    S(UINT, uint8_t, gain, 9, .since = 2, .initial = 5)                                                      \
    S(SUB, struct inner, three, inner_state, .since = 2)

struct later {
    STATE_MEMBERS(LATER_STATE);
};
STATE_TABLE(later_state, struct later, LATER_STATE);

static struct clock test_clock;

static void ignore(void *opaque)
{
}

static void fill(struct chip *chip)
{
    memset(chip, 0, sizeof(*chip));
    chip->wiring = 77;
    chip->index = 0x7F;
    chip->flags = 0x80;
    chip->speed = -300;
    chip->offset = -5;
    chip->reg[0] = 1;
    chip->reg[14] = 0xFFFFFF;
    chip->mask[1] = true;
    timer_init(&chip->timer, &test_clock, ignore, NULL);
    timer_set(&chip->timer, 12345);
    chip->one.word = 0xABCD;
    chip->two[1].on = true;
}

static void test_saved_is_loaded(void **state)
{
    struct state_writer w = {.data = NULL}, again = {.data = NULL};
    struct state_reader r;
    struct error err = {.text = ""};
    struct chip from, to;

    fill(&from);
    state_save(&w, &chip_state, &from);
    memset(&to, 0xFF, sizeof(to));
    to.wiring = 3;
    timer_init(&to.timer, &test_clock, ignore, NULL);
    r = (struct state_reader){.data = w.data, .size = w.size};
    assert_true(state_load(&r, &chip_state, &to, STATE_APPLY, &err));
    assert_int_equal(r.at, r.size);
    assert_int_equal(to.wiring, 3);
    assert_int_equal(to.speed, -300);
    assert_int_equal(to.offset, -5);
    assert_int_equal(to.reg[14], 0xFFFFFF);
    assert_int_equal(to.reg[15], 0);
    assert_true(timer_armed(&to.timer));
    assert_int_equal(to.timer.deadline, 12345);
    assert_true(to.two[1].on);
    state_save(&again, &chip_state, &to);
    assert_int_equal(again.size, w.size);
    assert_memory_equal(again.data, w.data, w.size);
    state_writer_free(&w);
    state_writer_free(&again);
    timer_cancel(&from.timer);
    timer_cancel(&to.timer);
}

/* What `change` made of the chip's memory is refused, with its name and value. */
static void refused(void (*change)(struct chip *chip), const char *text)
{
    struct state_writer w = {.data = NULL};
    struct state_reader r;
    struct error err = {.text = ""};
    struct chip chip;

    fill(&chip);
    change(&chip);
    state_save(&w, &chip_state, &chip);
    r = (struct state_reader){.data = w.data, .size = w.size};
    assert_false(state_load(&r, &chip_state, NULL, STATE_CHECK, &err));
    assert_string_equal(err.text, text);
    state_writer_free(&w);
    timer_cancel(&chip.timer);
}

static void change_index(struct chip *chip)
{
    chip->index = 0x80;
}

static void change_flags(struct chip *chip)
{
    chip->flags = 0x83;
}

static void change_speed(struct chip *chip)
{
    chip->speed = -301;
}

static void change_reg(struct chip *chip)
{
    chip->reg[3] = 0x1000000;
}

static void change_inner(struct chip *chip)
{
    memset(&chip->two[0].on, 2, 1);
}

static void test_out_of_range_is_refused_by_name(void **state)
{
    refused(change_index, "index is 128, not 0..127");
    refused(change_flags, "flags is 0x83, with bits that are not in 0x81");
    refused(change_speed, "speed is -301, not -300..300");
    refused(change_reg, "reg[3] is 16777216, not 0..16777215");
    refused(change_inner, "two: on is 2, not 0..1");
}

static void test_every_shorter_state_is_refused(void **state)
{
    struct state_writer w = {.data = NULL};
    struct chip chip;

    fill(&chip);
    state_save(&w, &chip_state, &chip);
    for (size_t size = 0; size < w.size; size++) {
        struct state_reader r = {.data = w.data, .size = size};
        struct error err = {.text = ""};

        assert_false(state_load(&r, &chip_state, NULL, STATE_CHECK, &err));
        assert_non_null(strstr(err.text, "ends too early"));
    }
    state_writer_free(&w);
    timer_cancel(&chip.timer);
}

static void test_older_gets_defaults_and_newer_is_refused(void **state)
{
    struct state_writer w = {.data = NULL};
    struct state_reader r;
    struct error err = {.text = ""};
    struct chip chip;
    struct later later = {.gain = 1};

    fill(&chip);
    timer_init(&later.timer, &test_clock, ignore, NULL);
    later.three.word = 9;
    state_save(&w, &chip_state, &chip);
    r = (struct state_reader){.data = w.data, .size = w.size};
    assert_true(state_load(&r, &later_state, &later, STATE_APPLY, &err));
    assert_int_equal(later.index, 0x7F);
    assert_int_equal(later.gain, 5);
    assert_int_equal(later.three.word, 0);
    w.size = 0;
    state_save(&w, &later_state, &later);
    r = (struct state_reader){.data = w.data, .size = w.size};
    assert_false(state_load(&r, &chip_state, NULL, STATE_CHECK, &err));
    assert_string_equal(err.text, "saved in version 2, and this program knows 1 to 1");
    state_writer_free(&w);
    timer_cancel(&chip.timer);
    timer_cancel(&later.timer);
}

/* A member that stands between others and is not declared. */
struct forgotten {
    uint8_t first;
    uint64_t secret;
    uint8_t last;
};
#define FORGOTTEN_STATE(S)                                                                                   \
    S(UINT, uint8_t, first, ANY)                                                                             \
    S(UINT, uint8_t, last, ANY)
STATE_TABLE(forgotten_state, struct forgotten, FORGOTTEN_STATE);

#define WIDE_STATE(S) S(UINT, uint8_t, value, 256)
struct wide {
    STATE_MEMBERS(WIDE_STATE);
};
STATE_TABLE(wide_state, struct wide, WIDE_STATE);

static void test_faulty_lists_are_found(void **state)
{
    struct error err = {.text = ""};

    assert_true(state_table_valid(&later_state, &err));
    assert_false(state_table_valid(&forgotten_state, &err));
    assert_string_equal(err.text, "forgotten_state: the bytes before last belong to no member");
    assert_false(state_table_valid(&wide_state, &err));
    assert_string_equal(err.text, "wide_state: value has a range that does not fit its type");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_saved_is_loaded),
        cmocka_unit_test(test_out_of_range_is_refused_by_name),
        cmocka_unit_test(test_every_shorter_state_is_refused),
        cmocka_unit_test(test_older_gets_defaults_and_newer_is_refused),
        cmocka_unit_test(test_faulty_lists_are_found),
    };

    clock_init(&test_clock, CLOCK_MANUAL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
