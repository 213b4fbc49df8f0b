/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What hardware holds and what is in flight, declared once. A list names each piece with its kind, its type
 * and its range; the members of the device's struct and their description, by which state is saved, checked
 * and loaded, both come from it:
 *
 *     #define PORT92_STATE(S)                                                            \
 *         S(BITS, uint8_t, value, 0x03) // bit 0: reset, bit 1: A20                      \
 *         S(UINT, uint32_t, pulses, ANY, .since = 2, .initial = 0)
 *
 *     struct port92 {
 *         struct device dev;
 *         struct region region;
 *         STATE_MEMBERS(PORT92_STATE);
 *     };
 *     STATE_TABLE(port92_state, struct port92, PORT92_STATE);
 *
 * Members are reached as if they stood in the struct themselves: port92->value. Wiring (regions, interrupt
 * lines, back ends, callbacks), properties and what is worked out anew after loading stand beside the list.
 * docs/state.md tells how a list may change once a release has saved it.
 *
 * The kinds; a value outside of its range is refused, named, before anything is changed:
 *
 *     S(UINT, type, name, max)           unsigned integer or enum: 0..max, or ANY
 *     S(BITS, type, name, mask)          unsigned integer that has bits of mask only
 *     S(RANGE, type, name, min, max)     integer, signed or not: min..max
 *     S(BOOL, name)
 *     S(ARRAY, type, name, count, max)   count unsigned integers of 0..max, or ANY
 *     S(FLAGS, name, count)              count bools
 *     S(TIMER, name)                     struct timer: armed or not, and its deadline
 *     S(SUB, type, name, table)          a struct that has a table of its own
 *     S(SUBS, type, name, count, table)  an array of them
 *     S(BASE, type, name, table)         as SUB, for a member that is declared outside of the list
 *
 * Behind them may stand `.since = VERSION, .initial = VALUE`: the piece came with that version of the list
 * (the first is 1), and has this value where an older state is loaded.
 */
#ifndef MACHINE_STATE_H
#define MACHINE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"

/* ---- declaring ---- */

#define ANY UINT64_MAX /* every value of the type */

#define STATE_MEMBERS(LIST)                                                                                  \
    struct {                                                                                                 \
        LIST(STATE_MEMBER)                                                                                   \
    }

/* The description of the members that LIST declares in `owner`: for this file, or for all. */
#define STATE_TABLE(table, owner, LIST)                                                                      \
    STATE_ENTRIES(table, owner, LIST)                                                                        \
    static const struct state_table table = {#table, table##_entries}
#define STATE_PUBLIC_TABLE(table, owner, LIST)                                                               \
    STATE_ENTRIES(table, owner, LIST)                                                                        \
    const struct state_table table = {#table, table##_entries}

enum state_kind { STATE_NUMBER, STATE_TIMER, STATE_TABLES };

struct state_entry {
    const char *name; /* NULL ends the table */
    enum state_kind kind;
    bool is_signed, is_mask; /* numbers: max is a mask of the bits that may be set */
    bool elsewhere;          /* BASE */
    size_t offset;           /* in the struct that holds it */
    size_t size;             /* bytes of one of them */
    size_t count;
    int64_t min;  /* numbers */
    uint64_t max; /* numbers; as int64_t where is_signed */
    const struct state_table *table;
    unsigned since; /* version of the list that brought it; 0 is 1 */
    uint64_t initial;
};

struct state_table {
    const char *name;
    const struct state_entry *(*entries)(void);
};

extern const struct state_table state_none; /* of a device that holds nothing */

/* ---- what the lists expand to ---- */

#define STATE_ENTRIES(table, owner, LIST)                                                                    \
    static const struct state_entry *table##_entries(void)                                                   \
    {                                                                                                        \
        typedef owner state_owner;                                                                           \
        static const struct state_entry entries[] = {LIST(STATE_ENTRY){.name = NULL}};                       \
        return entries;                                                                                      \
    }

#define STATE_MEMBER(kind, ...)                          STATE_MEMBER_##kind(__VA_ARGS__)
#define STATE_MEMBER_UINT(type, name, max, ...)          type name;
#define STATE_MEMBER_BITS(type, name, mask, ...)         type name;
#define STATE_MEMBER_RANGE(type, name, min, max, ...)    type name;
#define STATE_MEMBER_BOOL(name, ...)                     bool name;
#define STATE_MEMBER_ARRAY(type, name, count, max, ...)  type name[count];
#define STATE_MEMBER_FLAGS(name, count, ...)             bool name[count];
#define STATE_MEMBER_TIMER(name, ...)                    struct timer name;
#define STATE_MEMBER_SUB(type, name, table, ...)         type name;
#define STATE_MEMBER_SUBS(type, name, count, table, ...) type name[count];
#define STATE_MEMBER_BASE(type, name, table, ...)

#define STATE_ENTRY(kind, ...) {STATE_ENTRY_##kind(__VA_ARGS__)},
#define STATE_PLACE(name_, size_, count_)                                                                    \
    .name = #name_, .offset = offsetof(state_owner, name_), .size = (size_), .count = (count_)

#define STATE_ENTRY_UINT(type, name, max_, ...)                                                              \
    STATE_PLACE(name, sizeof(type), 1), .max = (max_), ##__VA_ARGS__
#define STATE_ENTRY_BITS(type, name, mask, ...)                                                              \
    STATE_PLACE(name, sizeof(type), 1), .max = (mask), .is_mask = true, ##__VA_ARGS__
#define STATE_ENTRY_RANGE(type, name, min_, max_, ...)                                                       \
    STATE_PLACE(name, sizeof(type), 1), .min = (min_), .max = (max_), .is_signed = (type)-1 < (type)1,       \
                                        ##__VA_ARGS__
#define STATE_ENTRY_BOOL(name, ...) STATE_PLACE(name, sizeof(bool), 1), .max = 1, ##__VA_ARGS__
#define STATE_ENTRY_ARRAY(type, name, count, max_, ...)                                                      \
    STATE_PLACE(name, sizeof(type), count), .max = (max_), ##__VA_ARGS__
#define STATE_ENTRY_FLAGS(name, count, ...) STATE_PLACE(name, sizeof(bool), count), .max = 1, ##__VA_ARGS__
#define STATE_ENTRY_TIMER(name, ...)                                                                         \
    STATE_PLACE(name, sizeof(struct timer), 1), .kind = STATE_TIMER, ##__VA_ARGS__
#define STATE_ENTRY_SUB(type, name, table_, ...)                                                             \
    STATE_PLACE(name, sizeof(type), 1), .kind = STATE_TABLES, .table = &(table_), ##__VA_ARGS__
#define STATE_ENTRY_SUBS(type, name, count, table_, ...)                                                     \
    STATE_PLACE(name, sizeof(type), count), .kind = STATE_TABLES, .table = &(table_), ##__VA_ARGS__
#define STATE_ENTRY_BASE(type, name, table_, ...)                                                            \
    STATE_PLACE(name, sizeof(type), 1), .kind = STATE_TABLES, .table = &(table_), .elsewhere = true,         \
                                        ##__VA_ARGS__

/* Is the table whole? Every byte from its first member to its last belongs to one (or pads the next), and
 * every range fits its type. False with *err: a fault of ours, found when the class registers. */
bool state_table_valid(const struct state_table *table, struct error *err);

/* ---- writing and reading ---- */

/* Bytes that are written down; grows by itself. */
struct state_writer {
    uint8_t *data; /* freed by state_writer_free */
    size_t size, room;
    bool failed; /* out of memory: what follows is not taken */
};
void state_writer_free(struct state_writer *w);
void state_put_bytes(struct state_writer *w, const void *data, size_t size);
void state_put(struct state_writer *w, uint64_t value, unsigned size); /* little endian, 1 to 8 bytes */
void state_put_text(struct state_writer *w, const char *text);         /* length (2 bytes), characters */

/* Bytes that are read, trusted by nobody: what is not there reads as 0 and sets `failed`. */
struct state_reader {
    const uint8_t *data;
    size_t size, at;
    bool failed;
};
bool state_get_bytes(struct state_reader *r, void *data, size_t size);
uint64_t state_get(struct state_reader *r, unsigned size);
bool state_get_text(struct state_reader *r, char *text, size_t room); /* NUL-terminated; too long: failed */

/* ---- tables ---- */

unsigned state_table_version(const struct state_table *table);

/* The struct at `object` as its table describes it. */
void state_save(struct state_writer *w, const struct state_table *table, const void *object);

enum state_load {
    STATE_CHECK,  /* ranges only; object may be NULL */
    STATE_SHADOW, /* into a copy that is thrown away: timers are not armed, but say so */
    STATE_APPLY,
};
/* False with *err that names the member and its value; then an APPLY has changed part of the object, so CHECK
 * comes before. */
bool state_load(struct state_reader *r, const struct state_table *table, void *object, enum state_load how,
                struct error *err);

#endif
