/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAST_DEADLINE (INT64_MAX / 2) /* ns of guest time: never */

static const struct state_entry *no_entries(void)
{
    static const struct state_entry none = {.name = NULL};

    return &none;
}

const struct state_table state_none = {"state_none", no_entries};

/* ---- tables as they are declared ---- */

static unsigned since(const struct state_entry *e)
{
    return e->since ? e->since : 1;
}

unsigned state_table_version(const struct state_table *table)
{
    unsigned version = 1;

    for (const struct state_entry *e = table->entries(); e->name; e++)
        if (since(e) > version)
            version = since(e);
    return version;
}

static uint64_t widest(const struct state_entry *e)
{
    return e->size >= 8 ? UINT64_MAX : (1ull << 8 * e->size) - 1;
}

static bool in_range(const struct state_entry *e, uint64_t value)
{
    if (e->is_signed)
        return (int64_t)value >= e->min && (int64_t)value <= (int64_t)e->max;
    if (e->is_mask)
        return !(value & ~e->max);
    return value >= (uint64_t)e->min && value <= e->max;
}

static bool number_valid(const struct state_entry *e)
{
    if (e->size != 1 && e->size != 2 && e->size != 4 && e->size != 8)
        return false;
    if (e->is_signed && e->size < 8)
        return e->min >= -(int64_t)(widest(e) / 2) - 1 && (int64_t)e->max <= (int64_t)(widest(e) / 2) &&
               e->min < (int64_t)e->max;
    if (e->is_signed)
        return e->min < (int64_t)e->max;
    return e->max && (e->max == ANY || e->max <= widest(e)) && (uint64_t)e->min <= e->max;
}

static bool entry_valid(const struct state_table *table, const struct state_entry *e, struct error *err)
{
    for (const struct state_entry *other = table->entries(); other < e; other++)
        if (!strcmp(other->name, e->name))
            return error_set(err, "%s: %s is there twice", table->name, e->name);
    if (e->kind == STATE_NUMBER && !number_valid(e))
        return error_set(err, "%s: %s has a range that does not fit its type", table->name, e->name);
    if (e->kind == STATE_NUMBER && since(e) > 1 && !in_range(e, e->initial))
        return error_set(err, "%s: %s begins out of its range", table->name, e->name);
    return e->kind != STATE_TABLES || state_table_valid(e->table, err);
}

bool state_table_valid(const struct state_table *table, struct error *err)
{
    size_t end = 0;
    bool first = true;

    for (const struct state_entry *e = table->entries(); e->name; e++) {
        if (!entry_valid(table, e, err))
            return false;
        if (e->elsewhere)
            continue;
        if (!first && (e->offset < end || e->offset - end >= sizeof(uint64_t)))
            return error_set(err, "%s: the bytes before %s belong to no member", table->name, e->name);
        end = e->offset + e->size * e->count;
        first = false;
    }
    return true;
}

/* ---- bytes ---- */

void state_writer_free(struct state_writer *w)
{
    free(w->data);
    *w = (struct state_writer){.data = NULL};
}

static bool reserve(struct state_writer *w, size_t size)
{
    size_t room = w->room ? w->room : 4096;
    uint8_t *data;

    if (w->failed || size > SIZE_MAX / 4 - w->size)
        return false;
    if (w->size + size <= w->room)
        return true;
    while (room < w->size + size)
        room *= 2;
    data = realloc(w->data, room);
    w->failed = !data;
    if (data) {
        w->data = data;
        w->room = room;
    }
    return data;
}

void state_put_bytes(struct state_writer *w, const void *data, size_t size)
{
    if (!size || !reserve(w, size))
        return;
    memcpy(w->data + w->size, data, size);
    w->size += size;
}

void state_put(struct state_writer *w, uint64_t value, unsigned size)
{
    uint8_t bytes[8];

    for (unsigned i = 0; i < size; i++)
        bytes[i] = value >> 8 * i;
    state_put_bytes(w, bytes, size);
}

void state_put_text(struct state_writer *w, const char *text)
{
    size_t length = strlen(text) > UINT16_MAX ? UINT16_MAX : strlen(text);

    state_put(w, length, 2);
    state_put_bytes(w, text, length);
}

bool state_get_bytes(struct state_reader *r, void *data, size_t size)
{
    if (r->failed || size > r->size - r->at) {
        r->failed = true;
        memset(data, 0, size);
        return false;
    }
    memcpy(data, r->data + r->at, size);
    r->at += size;
    return true;
}

uint64_t state_get(struct state_reader *r, unsigned size)
{
    uint8_t bytes[8];
    uint64_t value = 0;

    state_get_bytes(r, bytes, size);
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

bool state_get_text(struct state_reader *r, char *text, size_t room)
{
    size_t length = state_get(r, 2);

    text[0] = 0;
    if (length >= room)
        r->failed = true;
    else if (state_get_bytes(r, text, length))
        text[length] = 0;
    return !r->failed;
}

/* ---- numbers in memory ---- */

static uint64_t get_number(const struct state_entry *e, const uint8_t *at)
{
    switch (e->size) {
    case 1:
        return e->is_signed ? (uint64_t) * (const int8_t *)at : *at;
    case 2:
        return e->is_signed ? (uint64_t) * (const int16_t *)at : *(const uint16_t *)at;
    case 4:
        return e->is_signed ? (uint64_t) * (const int32_t *)at : *(const uint32_t *)at;
    default:
        return *(const uint64_t *)at;
    }
}

static void set_number(const struct state_entry *e, uint8_t *at, uint64_t value)
{
    switch (e->size) {
    case 1:
        *at = value;
        break;
    case 2:
        *(uint16_t *)at = value;
        break;
    case 4:
        *(uint32_t *)at = value;
        break;
    default:
        *(uint64_t *)at = value;
    }
}

/* ---- saving ---- */

/* How many, and those but for the zeros at the end. */
static void save_array(struct state_writer *w, const struct state_entry *e, const uint8_t *at)
{
    size_t used = e->count;

    while (used && !get_number(e, at + (used - 1) * e->size))
        used--;
    state_put(w, used, 4);
    for (size_t i = 0; i < used; i++)
        state_put(w, get_number(e, at + i * e->size), e->size);
}

static void save_entry(struct state_writer *w, const struct state_entry *e, const uint8_t *at)
{
    const struct timer *timer = (const struct timer *)at;

    if (e->kind == STATE_TIMER) {
        state_put(w, timer_armed(timer), 1);
        if (timer_armed(timer))
            state_put(w, timer->deadline < LAST_DEADLINE ? timer->deadline : LAST_DEADLINE, 8);
    } else if (e->kind == STATE_TABLES) {
        for (size_t i = 0; i < e->count; i++)
            state_save(w, e->table, at + i * e->size);
    } else if (e->count > 1) {
        save_array(w, e, at);
    } else {
        state_put(w, get_number(e, at), e->size);
    }
}

void state_save(struct state_writer *w, const struct state_table *table, const void *object)
{
    state_put(w, state_table_version(table), 2);
    for (const struct state_entry *e = table->entries(); e->name; e++)
        save_entry(w, e, (const uint8_t *)object + e->offset);
}

/* ---- loading ---- */

static uint64_t sign_extend(const struct state_entry *e, uint64_t value)
{
    unsigned spare = 64 - 8 * e->size;

    return e->is_signed ? (uint64_t)((int64_t)(value << spare) >> spare) : value;
}

static bool refuse_value(const struct state_entry *e, size_t i, uint64_t value, struct error *err)
{
    char index[32] = "";

    if (e->count > 1)
        snprintf(index, sizeof(index), "[%zu]", i);
    if (e->is_mask)
        return error_set(err, "%s%s is 0x%" PRIx64 ", with bits that are not in 0x%" PRIx64, e->name, index,
                         value, e->max);
    if (e->is_signed)
        return error_set(err, "%s%s is %" PRId64 ", not %" PRId64 "..%" PRId64, e->name, index,
                         (int64_t)value, e->min, (int64_t)e->max);
    return error_set(err, "%s%s is %" PRIu64 ", not %" PRId64 "..%" PRIu64, e->name, index, value, e->min,
                     e->max);
}

static bool load_numbers(struct state_reader *r, const struct state_entry *e, uint8_t *at, struct error *err)
{
    size_t used = e->count > 1 ? state_get(r, 4) : 1;

    if (used > e->count)
        return error_set(err, "%s has %zu elements, not up to %zu", e->name, used, e->count);
    for (size_t i = 0; i < e->count; i++) {
        uint64_t value = i < used ? sign_extend(e, state_get(r, e->size)) : 0;

        if (i < used && !r->failed && !in_range(e, value))
            return refuse_value(e, i, value, err);
        if (at)
            set_number(e, at + i * e->size, value);
    }
    return true;
}

static void apply_timer(struct timer *timer, bool armed, int64_t deadline, enum state_load how)
{
    if (how == STATE_SHADOW) {
        timer->deadline = deadline;
        timer->index = armed;
    } else if (how == STATE_APPLY && armed) {
        timer_set(timer, deadline);
    } else if (how == STATE_APPLY) {
        timer_cancel(timer);
    }
}

static bool load_timer(struct state_reader *r, const struct state_entry *e, uint8_t *at, enum state_load how,
                       struct error *err)
{
    uint64_t armed = state_get(r, 1), deadline = armed ? state_get(r, 8) : 0;

    if (armed > 1 || deadline > LAST_DEADLINE)
        return error_set(err, "%s is armed %" PRIu64 " for the time %" PRIu64, e->name, armed, deadline);
    if (at)
        apply_timer((struct timer *)at, armed, deadline, how);
    return true;
}

static void load_initial(const struct state_table *table, uint8_t *object, enum state_load how);

/* What a state has that was saved before this entry was declared. */
static void entry_initial(const struct state_entry *e, uint8_t *at, enum state_load how)
{
    for (size_t i = 0; i < e->count; i++) {
        if (e->kind == STATE_NUMBER)
            set_number(e, at + i * e->size, e->initial);
        else if (e->kind == STATE_TIMER)
            apply_timer((struct timer *)at, false, 0, how);
        else
            load_initial(e->table, at + i * e->size, how);
    }
}

static void load_initial(const struct state_table *table, uint8_t *object, enum state_load how)
{
    for (const struct state_entry *e = table->entries(); e->name; e++)
        entry_initial(e, object + e->offset, how);
}

static bool load_entry(struct state_reader *r, const struct state_entry *e, uint8_t *at, enum state_load how,
                       struct error *err)
{
    if (e->kind == STATE_NUMBER)
        return load_numbers(r, e, at, err);
    if (e->kind == STATE_TIMER)
        return load_timer(r, e, at, how, err);
    for (size_t i = 0; i < e->count; i++)
        if (!state_load(r, e->table, at ? at + i * e->size : NULL, how, err))
            return error_prefix(err, "%s", e->name);
    return true;
}

bool state_load(struct state_reader *r, const struct state_table *table, void *object, enum state_load how,
                struct error *err)
{
    unsigned version = state_get(r, 2), newest = state_table_version(table);

    if (how == STATE_CHECK)
        object = NULL;
    if (!r->failed && (version < 1 || version > newest))
        return error_set(err, "saved in version %u, and this program knows 1 to %u", version, newest);
    for (const struct state_entry *e = table->entries(); e->name; e++) {
        uint8_t *at = object ? (uint8_t *)object + e->offset : NULL;

        if (since(e) <= version) {
            if (!load_entry(r, e, at, how, err))
                return false;
        } else if (at) {
            entry_initial(e, at, how);
        }
        if (r->failed)
            return error_set(err, "%s: the state ends too early", e->name);
    }
    return !r->failed || error_set(err, "the state ends too early");
}
