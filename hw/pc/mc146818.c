/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Class mc146818rtc: Motorola MC146818 real-time clock with 128 bytes of RAM, ports 0x70 (index) and 0x71
 * (data), IRQ 8.
 *
 * Nothing ticks. The time is machine_wall_ns plus an offset, worked out when a register is read; the flags of
 * register C are worked out for the time since they were last looked at; a timer runs only towards an event
 * that an interrupt is enabled for and whose flag is still clear.
 *
 * The chip's divider chain (`phase`) gives the second's fraction and the periodic rate. While SET or a
 * divider reset holds the clock, the time registers are plain bytes; when it goes on they are read back, with
 * the chain where it is: SET does not stop it, and out of a divider reset the first second takes half a
 * second (data sheet, "Divider control").
 */
#include "hw/pc/mc146818.h"

#include <string.h>

#include "machine/machine.h"

enum {
    PORT_INDEX = 0x70,
    RTC_IRQ = 8,

    /* registers */
    SECONDS = 0,
    SECONDS_ALARM = 1,
    MINUTES = 2,
    MINUTES_ALARM = 3,
    HOURS = 4,
    HOURS_ALARM = 5,
    DAY_OF_WEEK = 6, /* 1: Sunday */
    DAY_OF_MONTH = 7,
    MONTH = 8,
    YEAR = 9,
    REG_A = 10,
    REG_B = 11,
    REG_C = 12,
    REG_D = 13,
    CENTURY = 0x32,     /* where PC firmware and ACPI's FADT keep it */
    PS2_CENTURY = 0x37, /* and where the PS/2's firmware had it: the same byte */

    A_UIP = 0x80,
    A_DV = 0x70,
    A_DV_RESET = 0x60, /* and 0x70 */
    A_RS = 0x0F,
    B_SET = 0x80,
    B_PIE = 0x40,
    B_AIE = 0x20,
    B_UIE = 0x10,
    B_SQWE = 0x08,
    B_DM = 0x04, /* 1: binary */
    B_24H = 0x02,
    C_IRQF = 0x80,
    C_PF = 0x40, /* the flags lie where register B has their enables */
    C_AF = 0x20,
    C_UF = 0x10,
    C_FLAGS = C_PF | C_AF | C_UF,
    D_VRT = 0x80,

    HOUR_PM = 0x80,
    ALARM_ANY = 0xC0, /* both bits set: any value matches */

    CRYSTAL_HZ = 32768,
    DAY = 86400,
    UPDATE_LEAD_CYCLES = 8, /* UIP rises this long before the registers change: 244140.6 ns */
};

#define NEVER INT64_MAX
/* The registers reach from the year 0 to 25755 at most: seconds are far from any limit. */
#define OFFSET_LIMIT (1ll << 40)
#define SHOWN_LIMIT  (2 * OFFSET_LIMIT)

#define RTC_STATE(S)                                                                                         \
    S(UINT, uint8_t, index, MC146818_SIZE - 1)                                                               \
    S(ARRAY, uint8_t, cmos, MC146818_SIZE, ANY)                                                              \
    S(UINT, int64_t, phase, NS_PER_SECOND - 1) /* ns: machine_wall_ns + phase is the divider chain */        \
    S(RANGE, int64_t, offset, -OFFSET_LIMIT, OFFSET_LIMIT) /* seconds: time = the chain's + offset */        \
    S(UINT, uint8_t, weekday_shift, 6) /* the day of the week is a counter of its own: so far ahead */       \
    S(RANGE, int64_t, shown, -SHOWN_LIMIT, SHOWN_LIMIT) /* the second that the time registers show */

struct rtc {
    struct device dev;
    struct region ports;
    struct irq irq;
    struct timer timer; /* towards the next event that is to raise the interrupt */
    struct timer told;  /* host clock: the next time at which a change of the time is told of */
    bool told_pending;  /* and there is one */
    int64_t seen;       /* machine_wall_ns at which the flags were last worked out */
    bool cmos_only;
    STATE_MEMBERS(RTC_STATE);
};
STATE_TABLE(rtc_state, struct rtc, RTC_STATE);

/* ---- time ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t floor_mod(int64_t a, int64_t b)
{
    return a - floor_div(a, b) * b;
}

/* Is the update cycle held off? */
static bool held(const struct rtc *rtc)
{
    return rtc->cmos[REG_B] & B_SET || (rtc->cmos[REG_A] & A_DV_RESET) == A_DV_RESET;
}

static bool divider_runs(const struct rtc *rtc)
{
    return (rtc->cmos[REG_A] & A_DV_RESET) != A_DV_RESET;
}

static int64_t chain_seconds(const struct rtc *rtc, int64_t wall)
{
    return floor_div(wall + rtc->phase, NS_PER_SECOND);
}

static int64_t chain_fraction(const struct rtc *rtc, int64_t wall)
{
    return floor_mod(wall + rtc->phase, NS_PER_SECOND);
}

/* Days since 1970-01-01 of a date in the Gregorian calendar; month 1..12, the day may be out of its month. */
static int64_t days_of_date(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month <= 2 ? year - 1 : year, era = floor_div(y, 400), of_era = y - era * 400;
    unsigned of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1; /* years begin in March */

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of_days(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    int64_t shifted = days + 719468, era = floor_div(shifted, 146097);
    unsigned of_era = shifted - era * 146097;
    unsigned of_era_years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * of_era_years + of_era_years / 4 - of_era_years / 100);
    unsigned from_march = (5 * of_year + 2) / 153;

    *day = of_year - (153 * from_march + 2) / 5 + 1;
    *month = from_march < 10 ? from_march + 3 : from_march - 9;
    *year = era * 400 + of_era_years + (*month <= 2);
}

/* ---- the registers' formats ---- */

static uint8_t encode(const struct rtc *rtc, unsigned value)
{
    return rtc->cmos[REG_B] & B_DM ? value : value / 10 << 4 | value % 10;
}

static unsigned rtc_decode(const struct rtc *rtc, uint8_t value)
{
    return rtc->cmos[REG_B] & B_DM ? value : (value >> 4) * 10u + (value & 0x0F);
}

static uint8_t encode_hour(const struct rtc *rtc, unsigned hour)
{
    if (rtc->cmos[REG_B] & B_24H)
        return encode(rtc, hour);
    return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static unsigned decode_hour(const struct rtc *rtc, uint8_t value)
{
    if (rtc->cmos[REG_B] & B_24H)
        return rtc_decode(rtc, value);
    return rtc_decode(rtc, value & ~HOUR_PM) % 12 + (value & HOUR_PM ? 12 : 0);
}

static void show_time(struct rtc *rtc, int64_t time)
{
    int64_t days = floor_div(time, DAY), year;
    unsigned second = floor_mod(time, DAY), month, day;

    date_of_days(days, &year, &month, &day);
    rtc->cmos[SECONDS] = encode(rtc, second % 60);
    rtc->cmos[MINUTES] = encode(rtc, second / 60 % 60);
    rtc->cmos[HOURS] = encode_hour(rtc, second / 3600);
    rtc->cmos[DAY_OF_WEEK] =
        encode(rtc, floor_mod(days + 4 + rtc->weekday_shift, 7) + 1); /* 1970 began on a Thursday */
    rtc->cmos[DAY_OF_MONTH] = encode(rtc, day);
    rtc->cmos[MONTH] = encode(rtc, month);
    rtc->cmos[YEAR] = encode(rtc, floor_mod(year, 100));
    rtc->cmos[CENTURY] = encode(rtc, floor_mod(floor_div(year, 100), 100));
    rtc->shown = time;
}

/* The time that the registers say; what is not a time becomes one. */
static int64_t registers_time(struct rtc *rtc)
{
    int64_t year = rtc_decode(rtc, rtc->cmos[CENTURY]) * 100 + rtc_decode(rtc, rtc->cmos[YEAR]);
    unsigned month = (rtc_decode(rtc, rtc->cmos[MONTH]) + 11) % 12 + 1,
             day = rtc_decode(rtc, rtc->cmos[DAY_OF_MONTH]);
    int64_t days = days_of_date(year, month, day ? day : 1);

    rtc->weekday_shift = floor_mod(rtc_decode(rtc, rtc->cmos[DAY_OF_WEEK]) - 1 - (days + 4), 7);
    return days * DAY + decode_hour(rtc, rtc->cmos[HOURS]) % 24 * 3600 +
           rtc_decode(rtc, rtc->cmos[MINUTES]) % 60 * 60 + rtc_decode(rtc, rtc->cmos[SECONDS]) % 60;
}

/* Brings the time registers up to date. */
static void rtc_refresh(struct rtc *rtc)
{
    int64_t now;

    if (held(rtc))
        return;
    now = chain_seconds(rtc, machine_wall_ns(rtc->dev.machine)) + rtc->offset;
    if (now != rtc->shown)
        show_time(rtc, now);
}

/* A change of the time is told at once, but no more often than once a second: the guest could flood clients.
 */
static void rtc_tell(void *opaque)
{
    struct rtc *rtc = opaque;
    struct machine *m = rtc->dev.machine;

    if (!rtc->told_pending)
        return;
    rtc->told_pending = false;
    timer_set(&rtc->told, clock_now(&m->loop.host_clock) + NS_PER_SECOND);
    m->rtc_change = rtc->offset;
    machine_tell(m, EVENT_RTC_CHANGE, true);
}

static void rtc_time_set(struct rtc *rtc)
{
    rtc->told_pending = true;
    if (!timer_armed(&rtc->told))
        timer_set(&rtc->told, clock_now(&rtc->dev.machine->loop.host_clock));
}

/* Takes the time from the registers; they stay as they are until the second is over. */
static void adopt_registers(struct rtc *rtc)
{
    rtc->shown = registers_time(rtc);
    rtc->offset = rtc->shown - chain_seconds(rtc, machine_wall_ns(rtc->dev.machine));
    rtc_time_set(rtc);
}

/* ---- events ---- */

/* An alarm register's value, -1: any; values that never come stay so. */
static int alarm_value(const struct rtc *rtc, uint8_t value, bool hour)
{
    if ((value & ALARM_ANY) == ALARM_ANY)
        return -1;
    return hour ? decode_hour(rtc, value) : rtc_decode(rtc, value);
}

/* The first second of the day, from `from` on, that the alarm matches, or NEVER. */
static int64_t alarm_in_day(const struct rtc *rtc, int from)
{
    int h_set = alarm_value(rtc, rtc->cmos[HOURS_ALARM], true),
        m_set = alarm_value(rtc, rtc->cmos[MINUTES_ALARM], false);
    int s_set = alarm_value(rtc, rtc->cmos[SECONDS_ALARM], false);

    if (h_set > 23 || m_set > 59 || s_set > 59)
        return NEVER;
    for (int h = from / 3600; h < 24; h++) {
        if (h_set >= 0 && h != h_set)
            continue;
        for (int m = 0; m < 60; m++) {
            if ((m_set >= 0 && m != m_set) || (h * 60 + m + 1) * 60 <= from)
                continue;
            for (int s = 0; s < 60; s++)
                if ((s_set < 0 || s == s_set) && (h * 60 + m) * 60 + s >= from)
                    return (h * 60 + m) * 60 + s;
        }
    }
    return NEVER;
}

/* The first second after `time` at which the alarm goes off, or NEVER. */
static int64_t next_alarm(const struct rtc *rtc, int64_t time)
{
    int64_t day = floor_div(time + 1, DAY) * DAY, at = alarm_in_day(rtc, time + 1 - day);

    if (at == NEVER) {
        day += DAY;
        at = alarm_in_day(rtc, 0);
    }
    return at == NEVER ? NEVER : day + at;
}

/* The periodic rate's period in cycles of the crystal, 0: none. */
static unsigned period(const struct rtc *rtc)
{
    unsigned rate = rtc->cmos[REG_A] & A_RS;

    if (!rate || !divider_runs(rtc))
        return 0;
    return 1u << (rate <= 2 ? rate + 6 : rate - 1);
}

/* How many periods the chain has counted; the second is a whole number of them. */
static int64_t periods(const struct rtc *rtc, int64_t wall)
{
    int64_t cycles = chain_fraction(rtc, wall) * CRYSTAL_HZ / NS_PER_SECOND;

    return (chain_seconds(rtc, wall) * CRYSTAL_HZ + cycles) / period(rtc);
}

/* ns from wall to the next period. */
static int64_t until_period(const struct rtc *rtc, int64_t wall)
{
    int64_t fraction = chain_fraction(rtc, wall), cycles = fraction * CRYSTAL_HZ / NS_PER_SECOND;
    int64_t next = (cycles / period(rtc) + 1) * period(rtc);

    return (next * NS_PER_SECOND + CRYSTAL_HZ - 1) / CRYSTAL_HZ - fraction;
}

/* What has happened since the flags were last worked out. */
static uint8_t flags_since(const struct rtc *rtc, int64_t wall)
{
    int64_t before = chain_seconds(rtc, rtc->seen), after = chain_seconds(rtc, wall);
    uint8_t flags = 0;

    if (period(rtc) && periods(rtc, wall) != periods(rtc, rtc->seen))
        flags |= C_PF;
    if (!held(rtc) && after != before) {
        flags |= C_UF;
        if (next_alarm(rtc, before + rtc->offset) <= after + rtc->offset)
            flags |= C_AF;
    }
    return flags;
}

/* ns from wall to the next event that is to raise the interrupt, NEVER: none. */
static int64_t until_event(const struct rtc *rtc, int64_t wall)
{
    uint8_t wanted = rtc->cmos[REG_B] & C_FLAGS & ~rtc->cmos[REG_C];
    int64_t second = NS_PER_SECOND - chain_fraction(rtc, wall), until = NEVER;

    if (wanted & C_PF && period(rtc))
        until = until_period(rtc, wall);
    if (held(rtc))
        return until;
    if (wanted & C_UF && second < until)
        until = second;
    if (wanted & C_AF) {
        int64_t now = chain_seconds(rtc, wall) + rtc->offset, alarm = next_alarm(rtc, now);

        if (alarm != NEVER && second + (alarm - now - 1) * NS_PER_SECOND < until)
            until = second + (alarm - now - 1) * NS_PER_SECOND;
    }
    return until;
}

/* Works out the flags up to now. Called before anything they depend on changes. */
static void catch_up(struct rtc *rtc)
{
    int64_t wall = machine_wall_ns(rtc->dev.machine);

    rtc->cmos[REG_C] |= flags_since(rtc, wall);
    rtc->seen = wall;
}

/* Sets the interrupt by flags and enables, and the timer towards the next change of it. Called after every
 * change. */
static void follow_flags(struct rtc *rtc)
{
    struct machine *m = rtc->dev.machine;
    uint8_t causes = rtc->cmos[REG_C] & rtc->cmos[REG_B] & C_FLAGS;
    bool raised = causes && !rtc->irq.level;
    int64_t until;

    if (causes)
        rtc->cmos[REG_C] |= C_IRQF;
    else
        rtc->cmos[REG_C] &= ~C_IRQF;
    irq_set(&rtc->irq, causes);
    if (raised && causes & C_AF)
        machine_tell(m, EVENT_RTC_ALARM, false);
    until = until_event(rtc, rtc->seen);
    if (until == NEVER)
        timer_cancel(&rtc->timer);
    else
        timer_set(&rtc->timer, clock_now(&m->clock) + until);
}

static void rtc_fire(void *opaque)
{
    catch_up(opaque);
    follow_flags(opaque);
}

/* ---- register access ---- */

static bool is_time(uint8_t index)
{
    return index == CENTURY ||
           (index <= YEAR && index != SECONDS_ALARM && index != MINUTES_ALARM && index != HOURS_ALARM);
}

static void write_a(struct rtc *rtc, uint8_t value)
{
    bool was_held = held(rtc), ran = divider_runs(rtc);

    rtc_refresh(rtc);
    rtc->cmos[REG_A] = value & ~A_UIP;
    if (!ran && divider_runs(rtc)) {
        int64_t late = NS_PER_SECOND / 2 - chain_fraction(rtc, rtc->seen);

        rtc->phase = floor_mod(rtc->phase + late, NS_PER_SECOND);
    }
    if (was_held && !held(rtc))
        adopt_registers(rtc);
}

static void write_b(struct rtc *rtc, uint8_t value)
{
    bool was_held = held(rtc);

    rtc_refresh(rtc);
    if (value & B_SET)
        value &= ~B_UIE;
    if (!was_held && (rtc->cmos[REG_B] ^ value) & (B_DM | B_24H) && !(value & B_SET)) {
        rtc->cmos[REG_B] = value;
        show_time(rtc, rtc->shown);
    }
    rtc->cmos[REG_B] = value;
    if (was_held && !held(rtc))
        adopt_registers(rtc);
}

static void rtc_write(struct rtc *rtc, uint8_t index, uint8_t value)
{
    if (index > REG_D && index != CENTURY) {
        rtc->cmos[index] = value;
        return;
    }
    catch_up(rtc);
    if (is_time(index)) {
        rtc_refresh(rtc);
        rtc->cmos[index] = value;
        if (!held(rtc))
            adopt_registers(rtc);
    } else if (index == REG_A) {
        write_a(rtc, value);
    } else if (index == REG_B) {
        write_b(rtc, value);
    } else if (index < REG_A) {
        rtc->cmos[index] = value; /* an alarm register */
    }
    follow_flags(rtc);
}

static bool update_in_progress(const struct rtc *rtc)
{
    return !held(rtc) && chain_fraction(rtc, machine_wall_ns(rtc->dev.machine)) * CRYSTAL_HZ >=
                             (CRYSTAL_HZ - UPDATE_LEAD_CYCLES) * NS_PER_SECOND;
}

static uint8_t rtc_read(struct rtc *rtc, uint8_t index)
{
    uint8_t value;

    if (is_time(index))
        rtc_refresh(rtc);
    value = rtc->cmos[index];
    if (index == REG_A && update_in_progress(rtc))
        value |= A_UIP;
    if (index == REG_C) {
        catch_up(rtc);
        value = rtc->cmos[REG_C] & C_FLAGS;
        if (value & rtc->cmos[REG_B])
            value |= C_IRQF;
        rtc->cmos[REG_C] = 0;
        follow_flags(rtc);
    }
    return value;
}

static uint64_t rtc_ports_read(void *opaque, uint64_t offset, unsigned size)
{
    struct rtc *rtc = opaque;

    if (offset == 0 || (rtc->cmos_only && rtc->index < MC146818_RAM))
        return 0xFF;
    if (rtc->cmos_only)
        return rtc->cmos[rtc->index];
    return rtc_read(rtc, rtc->index == PS2_CENTURY ? CENTURY : rtc->index);
}

static void rtc_ports_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct rtc *rtc = opaque;

    if (offset == 0)
        rtc->index = value & (MC146818_SIZE - 1); /* bit 7 is the board's NMI mask */
    else if (!rtc->cmos_only)
        rtc_write(rtc, rtc->index == PS2_CENTURY ? CENTURY : rtc->index, value);
    else if (rtc->index >= MC146818_RAM)
        rtc->cmos[rtc->index] = value;
}

static const struct region_ops ports_ops = {.read = rtc_ports_read, .write = rtc_ports_write, .max_size = 1};

/* ---- the board's side ---- */

void mc146818_set(struct device *dev, uint8_t index, uint8_t value)
{
    struct rtc *rtc = (struct rtc *)dev;

    if (index >= MC146818_RAM && index < MC146818_SIZE && (index != CENTURY || rtc->cmos_only))
        rtc->cmos[index] = value;
}

uint8_t mc146818_get(struct device *dev, uint8_t index)
{
    struct rtc *rtc = (struct rtc *)dev;

    return index >= MC146818_RAM && index < MC146818_SIZE ? rtc->cmos[index] : 0;
}

/* ---- the device ---- */

static bool rtc_realize(struct device *dev, struct error *err)
{
    struct rtc *rtc = (struct rtc *)dev;

    machine_irq(dev->machine, &rtc->irq, RTC_IRQ);
    timer_init(&rtc->timer, &dev->machine->clock, rtc_fire, rtc);
    timer_init(&rtc->told, &dev->machine->loop.host_clock, rtc_tell, rtc);
    machine_map_ports(dev->machine, &rtc->ports, "mc146818rtc", &ports_ops, rtc, PORT_INDEX, 2);
    if (rtc->cmos_only)
        return true;
    /* The state that the battery keeps and that every BIOS leaves behind: running, 1024 Hz selected, BCD, 24
     * hours. */
    rtc->cmos[REG_A] = 0x26;
    rtc->cmos[REG_B] = B_24H;
    rtc->cmos[REG_D] = D_VRT;
    rtc->seen = machine_wall_ns(dev->machine);
    show_time(rtc, chain_seconds(rtc, rtc->seen));
    return true;
}

static void rtc_unrealize(struct device *dev)
{
    struct rtc *rtc = (struct rtc *)dev;

    timer_cancel(&rtc->timer);
    timer_cancel(&rtc->told);
    irq_set(&rtc->irq, false);
    bus_unmap(&dev->machine->bus, &rtc->ports);
}

/* The RESET pin: interrupts off, flags clear; time and RAM stay. */
static void rtc_reset(struct device *dev)
{
    struct rtc *rtc = (struct rtc *)dev;

    rtc->index = 0;
    if (rtc->cmos_only)
        return;
    catch_up(rtc);
    rtc->cmos[REG_B] &= ~(B_PIE | B_AIE | B_UIE | B_SQWE);
    rtc->cmos[REG_C] = 0;
    follow_flags(rtc);
}

/* The flags that a guest has not asked for yet are written down too. */
static void rtc_settle(struct device *dev)
{
    struct rtc *rtc = (struct rtc *)dev;

    if (!rtc->cmos_only)
        catch_up(rtc);
}

static void rtc_loaded(struct device *dev)
{
    struct rtc *rtc = (struct rtc *)dev;

    if (rtc->cmos_only)
        return;
    rtc->seen = machine_wall_ns(dev->machine);
    follow_flags(rtc);
}

static const struct property rtc_properties[] = {
    PROPERTY(PROP_BOOL, struct rtc, cmos_only, "cmos-only",
             .help = "only the RAM: the hypervisor has the clock (Xen)"),
    {.name = NULL},
};

static const struct device_class rtc_class = {
    .name = "mc146818rtc",
    .description = "real-time clock and CMOS RAM",
    .bus = &isa_bus_ops,
    .internal = true,
    .size = sizeof(struct rtc),
    .properties = rtc_properties,
    .state = &rtc_state,
    .realize = rtc_realize,
    .unrealize = rtc_unrealize,
    .reset = rtc_reset,
    .settle = rtc_settle,
    .loaded = rtc_loaded,
};
DEVICE_CLASS(rtc_class);
