/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The real-time clock: time in every format, alarm, periodic and update interrupts, RAM. */
#include <stdlib.h>
#include <time.h>

#include "tests/lib/cmocka.h"
#include "tests/lib/qtest.h"

#define MS     1000000ll
#define SECOND (1000 * MS)

enum {
    SEC = 0,
    SEC_ALARM = 1,
    MIN = 2,
    MIN_ALARM = 3,
    HOUR = 4,
    HOUR_ALARM = 5,
    WDAY = 6,
    MDAY = 7,
    MON = 8,
    YEAR = 9,
    A = 10,
    B = 11,
    C = 12,
    D = 13,
    CENTURY = 0x32,
    UIP = 0x80,
    SET = 0x80,
    PIE = 0x40,
    AIE = 0x20,
    UIE = 0x10,
    DM = 4,
    H24 = 2,
    IRQF = 0x80,
    PF = 0x40,
    AF = 0x20,
    UF = 0x10,
    RUN = 0x26, /* register A: 32 kHz, 1024 Hz */
    HALT = 0x76,
    RTC_IRQ = 8,
};

static uint8_t rd(struct qtest *q, uint8_t index)
{
    qtest_outb(q, 0x70, index);
    return qtest_inb(q, 0x71);
}

static void wr(struct qtest *q, uint8_t index, uint8_t value)
{
    qtest_outb(q, 0x70, index);
    qtest_outb(q, 0x71, value);
}

static uint8_t bcd(unsigned n)
{
    return n / 10 << 4 | n % 10;
}

static unsigned binary(uint8_t n)
{
    return (n >> 4) * 10 + (n & 15);
}

static struct qtest *start(void **state)
{
    struct qtest *q = *state = qtest_start("-nodefaults -vga none");

    qtest_irq_intercept_in(q, "ioapic");
    return q;
}

static struct qtest *start_ours(void **state)
{
    struct qtest *q = start(state);

    if (qtest_is_qemu(q))
        skip();
    return q;
}

struct when {
    unsigned year, mon, mday, hour, min, sec;
};

static uint8_t hour_register(unsigned hour, uint8_t format)
{
    unsigned h = format & H24 ? hour : hour % 12 ? hour % 12 : 12;
    uint8_t value = format & DM ? h : bcd(h);

    return value | (format & H24 || hour < 12 ? 0 : 0x80);
}

/* Sets the time with the divider held, as every driver does: the first second is over in 500 ms. */
static void set_time(struct qtest *q, struct when t, uint8_t format)
{
    wr(q, B, SET | format);
    wr(q, A, HALT);
    wr(q, SEC, format & DM ? t.sec : bcd(t.sec));
    wr(q, MIN, format & DM ? t.min : bcd(t.min));
    wr(q, HOUR, hour_register(t.hour, format));
    wr(q, MDAY, format & DM ? t.mday : bcd(t.mday));
    wr(q, MON, format & DM ? t.mon : bcd(t.mon));
    wr(q, YEAR, format & DM ? t.year % 100 : bcd(t.year % 100));
    wr(q, CENTURY, format & DM ? t.year / 100 : bcd(t.year / 100));
    wr(q, A, RUN);
    wr(q, B, format);
}

static void assert_time(struct qtest *q, struct when t, uint8_t format)
{
    assert_int_equal(rd(q, SEC), format & DM ? t.sec : bcd(t.sec));
    assert_int_equal(rd(q, MIN), format & DM ? t.min : bcd(t.min));
    assert_int_equal(rd(q, HOUR), hour_register(t.hour, format));
    assert_int_equal(rd(q, MDAY), format & DM ? t.mday : bcd(t.mday));
    assert_int_equal(rd(q, MON), format & DM ? t.mon : bcd(t.mon));
    assert_int_equal(rd(q, YEAR), format & DM ? t.year % 100 : bcd(t.year % 100));
    assert_int_equal(rd(q, CENTURY), format & DM ? t.year / 100 : bcd(t.year / 100));
}

/* ---- time ---- */

static void shows_the_hosts_utc_in_bcd(void **state)
{
    struct qtest *q = start(state);
    struct tm tm = {0};
    time_t shown;

    tm.tm_sec = binary(rd(q, SEC));
    tm.tm_min = binary(rd(q, MIN));
    tm.tm_hour = binary(rd(q, HOUR));
    tm.tm_mday = binary(rd(q, MDAY));
    tm.tm_mon = binary(rd(q, MON)) - 1;
    tm.tm_year = binary(rd(q, CENTURY)) * 100 + binary(rd(q, YEAR)) - 1900;
    shown = timegm(&tm);
    assert_true(llabs(shown - time(NULL)) <= 30);
    assert_int_equal(binary(rd(q, WDAY)), tm.tm_wday + 1);
    assert_int_equal(rd(q, B), H24);
    assert_int_equal(rd(q, A) & ~UIP, RUN);
}

static void every_format_keeps_what_is_set(void **state)
{
    static const uint8_t formats[] = {0, DM, H24, DM | H24};
    struct qtest *q = start(state);

    for (unsigned i = 0; i < sizeof(formats); i++)
        for (unsigned hour = 0; hour < 24; hour++) {
            struct when t = {2026, 11, 21, hour, 59, 30};

            set_time(q, t, formats[i]);
            assert_time(q, t, formats[i]);
        }
}

static void a_format_change_converts_the_running_time(void **state)
{
    struct qtest *q = start(state);
    struct when t = {2026, 11, 21, 23, 58, 30};

    set_time(q, t, H24);
    wr(q, B, DM | H24);
    assert_time(q, t, DM | H24);
    wr(q, B, DM);
    assert_time(q, t, DM);
    wr(q, B, 0);
    assert_time(q, t, 0);
}

static void dates_wrap_as_the_calendar_says(void **state)
{
    static const struct {
        struct when before, after;
    } wraps[] = {
        {{1999, 12, 31, 23, 59, 59}, {2000, 1, 1, 0, 0, 0}},
        {{2000, 2, 28, 23, 59, 59}, {2000, 2, 29, 0, 0, 0}},
        {{2000, 2, 29, 23, 59, 59}, {2000, 3, 1, 0, 0, 0}},
        {{2024, 2, 28, 23, 59, 59}, {2024, 2, 29, 0, 0, 0}},
        {{2023, 2, 28, 23, 59, 59}, {2023, 3, 1, 0, 0, 0}},
        {{2100, 2, 28, 23, 59, 59}, {2100, 3, 1, 0, 0, 0}},
        {{2026, 4, 30, 23, 59, 59}, {2026, 5, 1, 0, 0, 0}},
        {{2026, 7, 31, 12, 59, 59}, {2026, 7, 31, 13, 0, 0}},
        {{2026, 8, 31, 11, 59, 59}, {2026, 8, 31, 12, 0, 0}},
        {{1980, 1, 1, 0, 0, 0}, {1980, 1, 1, 0, 0, 1}},
        {{9999, 12, 31, 23, 59, 59}, {0, 1, 1, 0, 0, 0}},
    };
    static const uint8_t formats[] = {0, DM, H24, DM | H24};
    struct qtest *q = start_ours(state);

    for (unsigned i = 0; i < sizeof(wraps) / sizeof(wraps[0]); i++)
        for (unsigned f = 0; f < sizeof(formats); f++) {
            set_time(q, wraps[i].before, formats[f]);
            assert_time(q, wraps[i].before, formats[f]);
            qtest_clock_step(q, 500 * MS);
            assert_time(q, wraps[i].after, formats[f]);
        }
}

static void the_day_of_the_week_counts_by_itself(void **state)
{
    struct qtest *q = start_ours(state);

    set_time(q, (struct when){2026, 11, 21, 23, 59, 59}, H24);
    wr(q, B, SET | H24);
    wr(q, WDAY, 3); /* it was a Saturday */
    wr(q, B, H24);
    assert_int_equal(rd(q, WDAY), 3);
    qtest_clock_step(q, SECOND);
    assert_int_equal(rd(q, WDAY), 4);
    for (int day = 0; day < 4; day++)
        qtest_clock_step(q, 86400 * SECOND);
    assert_int_equal(rd(q, WDAY), 1);
}

static void months_of_clock_steps_add_up(void **state)
{
    struct qtest *q = start_ours(state);

    set_time(q, (struct when){2026, 11, 21, 12, 0, 0}, H24);
    qtest_clock_step(q, 100 * 86400 * SECOND);
    assert_time(q, (struct when){2027, 3, 1, 12, 0, 0}, H24);
}

/* Firmware writes single registers while the clock runs; the others must not be normalised in between. */
static void registers_written_one_by_one_while_running(void **state)
{
    struct qtest *q = start(state);

    set_time(q, (struct when){2026, 2, 15, 12, 0, 0}, H24);
    wr(q, MDAY, 0x31);
    assert_int_equal(rd(q, MON), 0x02);
    wr(q, MON, 0x12);
    assert_int_equal(rd(q, MDAY), 0x31);
    assert_int_equal(rd(q, MON), 0x12);
    wr(q, HOUR, 0x01);
    assert_time(q, (struct when){2026, 12, 31, 1, 0, 0}, H24);
}

static void set_holds_the_time_and_keeps_the_phase(void **state)
{
    struct qtest *q = start_ours(state);
    struct when t = {2026, 11, 21, 12, 0, 10};

    set_time(q, t, H24);
    wr(q, B, SET | H24 | UIE);
    assert_int_equal(rd(q, B), SET | H24); /* SET clears UIE */
    qtest_clock_step(q, 10 * SECOND);
    assert_time(q, t, H24);
    assert_int_equal(rd(q, A) & UIP, 0);
    wr(q, B, H24);
    assert_time(q, t, H24);
    qtest_clock_step(q, 499 * MS);
    assert_time(q, t, H24);
    qtest_clock_step(q, MS);
    t.sec++;
    assert_time(q, t, H24);
}

static void a_divider_reset_stops_the_clock_and_starts_half_a_second_early(void **state)
{
    struct qtest *q = start_ours(state);
    struct when t = {2026, 11, 21, 12, 0, 10};

    set_time(q, t, H24);
    wr(q, A, 0x66);
    qtest_clock_step(q, 77 * SECOND / 10);
    assert_time(q, t, H24);
    wr(q, A, RUN);
    qtest_clock_step(q, 500 * MS - 1);
    assert_time(q, t, H24);
    qtest_clock_step(q, 1);
    t.sec++;
    assert_time(q, t, H24);
    qtest_clock_step(q, SECOND - 1);
    assert_time(q, t, H24);
    qtest_clock_step(q, 1);
    t.sec++;
    assert_time(q, t, H24);
}

/* 8 cycles of the crystal: 244140.6 ns. */
static void a7_update_in_progress_leads_by_eight_cycles(void **state)
{
    struct qtest *q = start_ours(state);

    set_time(q, (struct when){2026, 11, 21, 12, 0, 10}, H24);
    qtest_clock_step(q, 500 * MS - 244141);
    assert_int_equal(rd(q, A), RUN);
    qtest_clock_step(q, 1);
    assert_int_equal(rd(q, A), RUN | UIP);
}

static int64_t rtc_change(struct qtest *q)
{
    json_t *event = qtest_qmp_event(q, "RTC_CHANGE");
    int64_t offset = json_integer_value(json_object_get(json_object_get(event, "data"), "offset"));

    json_decref(event);
    return offset;
}

/* The guest sets its clock: clients hear by how many seconds, and not more than once a second. */
static void a7_setting_the_clock_is_told(void **state)
{
    struct timespec before, after;
    unsigned events = 0;
    int64_t offset;
    struct qtest *q = *state = qtest_start("-nodefaults -vga none -rtc base=2026-11-21T12:00:00,clock=vm");

    qtest_stay(q, "each process tells at most once a second");
    json_decref(qtest_qmp_ok(q, "{'execute':'query-status'}"));
    assert_false(qtest_qmp_event_seen(q, "RTC_CHANGE"));
    set_time(q, (struct when){2026, 11, 21, 13, 0, 0}, H24);
    assert_in_range(rtc_change(q), 3598, 3602);
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (unsigned i = 0; i < 200; i++)
        set_time(q, (struct when){2026, 11, 23, 12, 0, i % 60}, H24);
    set_time(q, (struct when){2026, 11, 22, 12, 0, 0}, H24);
    while ((offset = rtc_change(q)) > 86402)
        events++;
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_in_range(offset, 86398, 86402);
    assert_in_range(events, 0, after.tv_sec - before.tv_sec + 1);
    json_decref(qtest_qmp_ok(q, "{'execute':'query-status'}"));
    assert_false(qtest_qmp_event_seen(q, "RTC_CHANGE"));
}

static void update_in_progress_leads_the_second(void **state)
{
    struct qtest *q = start_ours(state);

    set_time(q, (struct when){2026, 11, 21, 12, 0, 10}, H24);
    assert_int_equal(rd(q, A), RUN);
    qtest_clock_step(q, 500 * MS - 245000);
    assert_int_equal(rd(q, A), RUN);
    qtest_clock_step(q, 2000);
    assert_int_equal(rd(q, A), RUN | UIP);
    assert_int_equal(rd(q, SEC), 0x10);
    wr(q, B, SET | H24);
    assert_int_equal(rd(q, A), RUN);
    wr(q, B, H24);
    assert_int_equal(rd(q, A), RUN | UIP);
    qtest_clock_step(q, 243000);
    assert_int_equal(rd(q, A), RUN);
    assert_int_equal(rd(q, SEC), 0x11);
}

/* ---- interrupts ---- */

static void update_ended_interrupt(void **state)
{
    struct qtest *q = start_ours(state);

    set_time(q, (struct when){2026, 11, 21, 12, 0, 10}, H24);
    rd(q, C);
    wr(q, B, H24 | UIE);
    for (unsigned i = 0; i < 3; i++) {
        unsigned raised = qtest_irq_raised(q, RTC_IRQ);

        qtest_clock_step(q, i ? SECOND - 1 : 500 * MS - 1);
        assert_false(qtest_irq(q, RTC_IRQ));
        qtest_clock_step(q, 1);
        assert_true(qtest_irq(q, RTC_IRQ));
        assert_int_equal(qtest_irq_raised(q, RTC_IRQ), raised + 1);
        assert_int_equal(rd(q, C), IRQF | UF | PF);
        assert_false(qtest_irq(q, RTC_IRQ));
        assert_int_equal(rd(q, C), 0);
    }
}

static void an_unread_interrupt_comes_once_and_costs_nothing(void **state)
{
    struct qtest *q = start_ours(state);
    int64_t now;

    set_time(q, (struct when){2026, 11, 21, 12, 0, 10}, H24);
    rd(q, C);
    wr(q, B, H24 | UIE);
    qtest_clock_step(q, 10 * SECOND);
    assert_int_equal(qtest_irq_raised(q, RTC_IRQ), 1);
    now = qtest_clock_step(q, 0);
    assert_int_equal(qtest_clock_step_next(q), now); /* no deadline */
    assert_int_equal(rd(q, C), IRQF | UF | PF);
    assert_true(qtest_clock_step_next(q) > now);
}

static void without_enables_nothing_ticks_but_flags_show(void **state)
{
    struct qtest *q = start_ours(state);
    int64_t now;

    set_time(q, (struct when){2026, 11, 21, 12, 0, 10}, H24);
    wr(q, SEC_ALARM, 0x12);
    wr(q, MIN_ALARM, 0xC0);
    wr(q, HOUR_ALARM, 0xFF);
    rd(q, C);
    now = qtest_clock_step(q, 0);
    assert_int_equal(qtest_clock_step_next(q), now);
    assert_int_equal(rd(q, C), 0);
    qtest_clock_step(q, 2 * MS);
    assert_int_equal(rd(q, C), PF);
    qtest_clock_step(q, 500 * MS);
    assert_int_equal(rd(q, C), PF | UF);
    qtest_clock_step(q, SECOND);
    assert_int_equal(rd(q, C), PF | UF | AF);
    qtest_clock_step(q, SECOND);
    assert_int_equal(rd(q, C), PF | UF);
    assert_int_equal(qtest_irq_raised(q, RTC_IRQ), 0);
}

static void enabling_a_flag_that_is_set_raises_the_interrupt(void **state)
{
    struct qtest *q = start_ours(state);

    set_time(q, (struct when){2026, 11, 21, 12, 0, 10}, H24);
    rd(q, C);
    qtest_clock_step(q, SECOND);
    wr(q, B, H24 | UIE);
    assert_true(qtest_irq(q, RTC_IRQ));
    wr(q, B, H24);
    assert_false(qtest_irq(q, RTC_IRQ));
    assert_int_equal(rd(q, C), PF | UF);
}

static void periodic_interrupt_at_every_rate(void **state)
{
    struct qtest *q = start_ours(state);

    set_time(q, (struct when){2026, 11, 21, 12, 0, 10}, H24);
    for (unsigned rate = 1; rate < 16; rate++) {
        unsigned hz = rate <= 2 ? 512 >> rate : 65536 >> rate, count = 0;
        int64_t end;

        wr(q, A, 0x20 | rate);
        rd(q, C);
        wr(q, B, H24 | PIE);
        end = qtest_clock_step(q, 0) + SECOND;
        while (hz <= 1024 && qtest_clock_step_next(q) <= end) {
            assert_true(qtest_irq(q, RTC_IRQ));
            assert_int_equal(rd(q, C) & (IRQF | PF), IRQF | PF);
            count++;
        }
        if (hz <= 1024)
            assert_in_range(count, hz - 1, hz + 1);
        wr(q, B, H24);
        rd(q, C);
    }
}

static void fast_periodic_rates(void **state)
{
    struct qtest *q = start_ours(state);

    set_time(q, (struct when){2026, 11, 21, 12, 0, 10}, H24);
    for (unsigned rate = 3; rate <= 5; rate++) {
        int64_t period = SECOND / (65536 >> rate), before, after;

        wr(q, A, 0x20 | rate);
        wr(q, B, H24 | PIE);
        rd(q, C);
        before = qtest_clock_step_next(q);
        rd(q, C);
        after = qtest_clock_step_next(q);
        rd(q, C);
        assert_in_range(after - before, period - 1, period + 1);
    }
}

static void rate_0_and_a_divider_reset_give_no_periodic_interrupt(void **state)
{
    struct qtest *q = start_ours(state);
    int64_t now;

    wr(q, B, H24 | PIE);
    wr(q, A, 0x20);
    rd(q, C);
    now = qtest_clock_step(q, 0);
    assert_int_equal(qtest_clock_step_next(q), now);
    wr(q, A, HALT);
    assert_int_equal(qtest_clock_step_next(q), now);
    qtest_clock_step(q, 3 * SECOND);
    assert_int_equal(rd(q, C), 0);
}

static void the_periodic_interrupt_goes_on_under_set(void **state)
{
    struct qtest *q = start_ours(state);

    wr(q, B, SET | H24 | PIE);
    rd(q, C);
    qtest_clock_step(q, 2 * MS);
    assert_true(qtest_irq(q, RTC_IRQ));
    assert_int_equal(rd(q, C), IRQF | PF);
    qtest_clock_step(q, 2 * SECOND);
    assert_int_equal(rd(q, C), IRQF | PF); /* and no update, no alarm */
}

/* Where the PS/2's firmware had the century: the same byte. */
static void century_has_two_places(void **state)
{
    struct qtest *q = start_ours(state);

    set_time(q, (struct when){2026, 11, 21, 12, 34, 56}, H24);
    assert_int_equal(rd(q, 0x37), 0x20);
    wr(q, 0x37, 0x21);
    assert_int_equal(rd(q, CENTURY), 0x21);
}

static void alarm_at(struct qtest *q, uint8_t hour, uint8_t min, uint8_t sec)
{
    wr(q, HOUR_ALARM, hour);
    wr(q, MIN_ALARM, min);
    wr(q, SEC_ALARM, sec);
    rd(q, C);
}

/* Steps through time until the alarm; how many seconds passed, counted from the first update. */
static long seconds_to_alarm(struct qtest *q)
{
    int64_t now = qtest_clock_step(q, 0), then = qtest_clock_step_next(q);
    uint8_t flags = rd(q, C);

    assert_int_equal(flags & (IRQF | AF), IRQF | AF);
    assert_int_equal((then - now) % SECOND, 500 * MS);
    return (then - now) / SECOND;
}

static void alarms_with_and_without_wildcards(void **state)
{
    static const struct {
        uint8_t hour, min, sec;
        long after; /* seconds after 12:34:56 + 1 */
    } alarms[] = {
        {0x12, 0x34, 0x57, 0},     {0x12, 0x34, 0x56, 86399}, {0x13, 0x00, 0x00, 1503},
        {0x00, 0x00, 0x00, 41103}, {0xFF, 0xFF, 0xFF, 0}, /* every second */
        {0xFF, 0xFF, 0x00, 3},                            /* every minute */
        {0xC0, 0x30, 0x10, 3313},                         /* every hour */
        {0x11, 0xC5, 0x00, 80703},                        /* each minute of 11 o'clock */
        {0x12, 0xFF, 0xFF, 0},     {0xFF, 0x34, 0x10, 3553},
    };
    struct qtest *q = start_ours(state);

    for (unsigned i = 0; i < sizeof(alarms) / sizeof(alarms[0]); i++) {
        set_time(q, (struct when){2026, 11, 21, 12, 34, 56}, H24);
        alarm_at(q, alarms[i].hour, alarms[i].min, alarms[i].sec);
        wr(q, B, H24 | AIE);
        assert_int_equal(seconds_to_alarm(q), alarms[i].after);
    }
}

static void alarm_in_every_format(void **state)
{
    static const uint8_t formats[] = {0, DM, H24, DM | H24};
    struct qtest *q = start_ours(state);

    for (unsigned f = 0; f < sizeof(formats); f++)
        for (unsigned hour = 0; hour < 24; hour++) {
            uint8_t format = formats[f];

            set_time(q, (struct when){2026, 11, 21, hour, 10, 10}, format);
            alarm_at(q, hour_register(hour, format), format & DM ? 10 : 0x10, format & DM ? 15 : 0x15);
            wr(q, B, format | AIE);
            assert_int_equal(seconds_to_alarm(q), 4);
            assert_int_equal(rd(q, HOUR), hour_register(hour, format));
        }
}

static void an_alarm_that_never_comes_does_not_come(void **state)
{
    static const uint8_t never[][3] = {
        {0x24, 0xFF, 0xFF}, {0xFF, 0x60, 0xFF}, {0xFF, 0xFF, 0x60}, {0xFF, 0xFF, 0xBF}};
    struct qtest *q = start_ours(state);

    for (unsigned i = 0; i < 4; i++) {
        int64_t now;

        alarm_at(q, never[i][0], never[i][1], never[i][2]);
        wr(q, B, H24 | AIE);
        now = qtest_clock_step(q, 0);
        assert_int_equal(qtest_clock_step_next(q), now);
        qtest_clock_step(q, 2 * 86400 * SECOND);
        assert_int_equal(rd(q, C) & AF, 0);
    }
}

static void an_alarm_repeats_every_day(void **state)
{
    struct qtest *q = start_ours(state);

    set_time(q, (struct when){2026, 11, 21, 12, 34, 56}, H24);
    alarm_at(q, 0x12, 0x34, 0x58);
    wr(q, B, H24 | AIE);
    assert_int_equal(seconds_to_alarm(q), 1);
    for (int day = 0; day < 3; day++) {
        int64_t now = qtest_clock_step(q, 0);

        assert_int_equal(qtest_clock_step_next(q) - now, 86400 * SECOND);
        assert_int_equal(rd(q, C) & AF, AF);
    }
}

static void setting_the_time_moves_the_alarm(void **state)
{
    struct qtest *q = start_ours(state);

    set_time(q, (struct when){2026, 11, 21, 12, 34, 56}, H24);
    alarm_at(q, 0x12, 0x40, 0x00);
    wr(q, B, H24 | AIE);
    wr(q, B, SET | H24 | AIE);
    wr(q, MIN, 0x39);
    wr(q, B, H24 | AIE);
    assert_int_equal(seconds_to_alarm(q), 3);
    /* Being set to the alarm's own second is no alarm. */
    wr(q, B, SET | H24 | AIE);
    wr(q, SEC, 0x00);
    wr(q, B, H24 | AIE);
    assert_int_equal(rd(q, C) & AF, 0);
}

static void three_sources_share_the_line(void **state)
{
    struct qtest *q = start_ours(state);

    set_time(q, (struct when){2026, 11, 21, 12, 34, 56}, H24);
    wr(q, A, 0x2F); /* 2 Hz */
    alarm_at(q, 0xFF, 0xFF, 0xFF);
    wr(q, B, H24 | AIE | UIE | PIE);
    qtest_clock_step(q, 500 * MS);
    assert_int_equal(qtest_irq_raised(q, RTC_IRQ), 1);
    assert_int_equal(rd(q, C), IRQF | PF | AF | UF);
    qtest_clock_step(q, 500 * MS);
    assert_int_equal(rd(q, C), IRQF | PF);
    assert_int_equal(qtest_irq_raised(q, RTC_IRQ), 2);
}

/* ---- RAM and fixed registers ---- */

static void ram_keeps_its_bytes(void **state)
{
    struct qtest *q = start(state);

    for (unsigned i = 14; i < 128; i++)
        if (i != CENTURY)
            wr(q, i, i * 37);
    for (unsigned i = 14; i < 128; i++)
        if (i != CENTURY)
            assert_int_equal(rd(q, i), (uint8_t)(i * 37));
    assert_int_equal(rd(q, 0x80 | 0x40), (uint8_t)(0x40 * 37)); /* the NMI mask is no part of the index */
}

static void fixed_registers(void **state)
{
    struct qtest *q = start(state);

    wr(q, D, 0);
    assert_int_equal(rd(q, D), 0x80);
    wr(q, A, 0xFF & ~0x50);
    assert_int_equal(rd(q, A), 0x2F);
    rd(q, C);
    wr(q, C, 0xFF);
    assert_int_equal(rd(q, C) & (IRQF | AF), 0);
}

static void a_reset_clears_enables_and_keeps_time_and_ram(void **state)
{
    struct qtest *q = start_ours(state);

    set_time(q, (struct when){2031, 5, 6, 7, 8, 9}, H24 | DM);
    wr(q, 0x0F, 0x5A);
    wr(q, 0x70, 0xA5);
    wr(q, SEC_ALARM, 0x33);
    wr(q, B, H24 | DM | PIE | AIE | UIE);
    qtest_clock_step(q, 100 * MS);
    assert_true(qtest_irq(q, RTC_IRQ));
    json_decref(qtest_qmp(q, "{'execute': 'system_reset'}"));
    json_decref(qtest_qmp_event(q, "RESET"));
    assert_int_equal(rd(q, B), H24 | DM);
    assert_false(qtest_irq(q, RTC_IRQ));
    assert_int_equal(rd(q, C), 0);
    assert_int_equal(rd(q, SEC_ALARM), 0x33);
    assert_int_equal(rd(q, 0x0F), 0x5A);
    assert_int_equal(rd(q, 0x70), 0xA5);
    assert_time(q, (struct when){2031, 5, 6, 7, 8, 9}, H24 | DM);
}

/* On Xen the hypervisor has the clock; only the RAM is ours. */
static void without_the_clock_the_ram_is_there(void **state)
{
    struct qtest *q = *state = qtest_start("-nodefaults -vga none -global mc146818rtc.cmos-only=on");

    if (qtest_is_qemu(q))
        skip();
    for (unsigned i = 0; i < 128; i++)
        wr(q, i, i * 5);
    for (unsigned i = 0; i < 128; i++)
        assert_int_equal(rd(q, i), i < 14 ? 0xFF : (uint8_t)(i * 5));
    assert_int_equal(qtest_clock_step_next(q), qtest_clock_step(q, 0));
}

/* Whatever is written, the chip answers and time goes on. */
static void random_registers(void **state)
{
    struct qtest *q = start_ours(state);
    unsigned seed = 4711;

    for (unsigned i = 0; i < 3000; i++) {
        uint8_t index = rand_r(&seed) % 15;

        wr(q, index == 14 ? CENTURY : index, rand_r(&seed));
        rd(q, rand_r(&seed) % 14);
        if (i % 10 == 0)
            qtest_clock_step(q, rand_r(&seed) * 4ll);
        if (i % 50 == 0)
            qtest_clock_step_next(q);
    }
    set_time(q, (struct when){2026, 12, 31, 23, 59, 59}, H24);
    qtest_clock_step(q, 500 * MS);
    assert_time(q, (struct when){2027, 1, 1, 0, 0, 0}, H24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        qtest_unit_test(shows_the_hosts_utc_in_bcd),
        qtest_unit_test(every_format_keeps_what_is_set),
        qtest_unit_test(a_format_change_converts_the_running_time),
        qtest_unit_test(dates_wrap_as_the_calendar_says),
        qtest_unit_test(the_day_of_the_week_counts_by_itself),
        qtest_unit_test(months_of_clock_steps_add_up),
        qtest_unit_test(registers_written_one_by_one_while_running),
        qtest_unit_test(set_holds_the_time_and_keeps_the_phase),
        qtest_unit_test(a_divider_reset_stops_the_clock_and_starts_half_a_second_early),
        qtest_unit_test(a7_update_in_progress_leads_by_eight_cycles),
        qtest_unit_test(a7_setting_the_clock_is_told),
        qtest_unit_test(update_in_progress_leads_the_second),
        qtest_unit_test(update_ended_interrupt),
        qtest_unit_test(an_unread_interrupt_comes_once_and_costs_nothing),
        qtest_unit_test(without_enables_nothing_ticks_but_flags_show),
        qtest_unit_test(enabling_a_flag_that_is_set_raises_the_interrupt),
        qtest_unit_test(periodic_interrupt_at_every_rate),
        qtest_unit_test(fast_periodic_rates),
        qtest_unit_test(rate_0_and_a_divider_reset_give_no_periodic_interrupt),
        qtest_unit_test(the_periodic_interrupt_goes_on_under_set),
        qtest_unit_test(century_has_two_places),
        qtest_unit_test(alarms_with_and_without_wildcards),
        qtest_unit_test(alarm_in_every_format),
        qtest_unit_test(an_alarm_that_never_comes_does_not_come),
        qtest_unit_test(an_alarm_repeats_every_day),
        qtest_unit_test(setting_the_time_moves_the_alarm),
        qtest_unit_test(three_sources_share_the_line),
        qtest_unit_test(ram_keeps_its_bytes),
        qtest_unit_test(fixed_registers),
        qtest_unit_test(a_reset_clears_enables_and_keeps_time_and_ram),
        qtest_unit_test(without_the_clock_the_ram_is_there),
        qtest_unit_test(random_registers),
    };

    return cmocka_run_group_tests_name("mc146818rtc", tests, NULL, NULL);
}
