/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/save.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

enum { FORMAT_VERSION = 1, TEXT_MAX = 512, MAGIC_SIZE = 8 };

static const char magic[MAGIC_SIZE] = "hvm-dm\n"; /* and its NUL */

/* ---- the machine's own part ---- */

#define LAST_TIME (INT64_MAX / 4)

#define MACHINE_STATE(S)                                                                                     \
    S(UINT, int64_t, clock, LAST_TIME)             /* guest time, ns */                                      \
    S(RANGE, int64_t, wall, -LAST_TIME, LAST_TIME) /* the guest's wall clock at that time: ns since 1970 */  \
    S(UINT, int64_t, host, LAST_TIME) /* the host's then, which the wall clock follows; 0: it does not */    \
    S(UINT, uint8_t, run_state, RUN_POSTMIGRATE)                                                             \
    S(BOOL, reset_pending)                                                                                   \
    S(BOOL, shutdown_pending)                                                                                \
    S(BOOL, suspend_pending)                                                                                 \
    S(BOOL, pending_by_guest)                                                                                \
    S(RANGE, uint32_t, cpus, 1, MACHINE_MAX_CPUS)

struct machine_state {
    STATE_MEMBERS(MACHINE_STATE);
};
STATE_TABLE(machine_state, struct machine_state, MACHINE_STATE);

/* What a guest is in that was taken in: it waits to go on, unless it had ended or slept. */
static enum run_state run_state_after(uint8_t saved)
{
    return saved == RUN_SUSPENDED || saved == RUN_SHUTDOWN || saved == RUN_INTERNAL_ERROR ? saved
                                                                                          : RUN_PAUSED;
}

static int64_t host_wall_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

static void machine_part_save(void *opaque, struct state_writer *w)
{
    const struct machine *m = opaque;
    struct machine_state s = {
        .clock = clock_now(&m->clock),
        .wall = machine_wall_ns(m),
        .host = m->clock.mode == CLOCK_MANUAL ? 0 : host_wall_ns(),
        .run_state = run_state_after(m->state),
        .reset_pending = m->reset_pending,
        .shutdown_pending = m->shutdown_pending,
        .suspend_pending = m->suspend_pending,
        .pending_by_guest = m->pending_by_guest,
        .cpus = m->config.cpus,
    };

    state_save(w, &machine_state, &s);
}

/* The wall clock went on while the guest was on its way. */
static void set_time(struct machine *m, const struct machine_state *s)
{
    int64_t away = s->host ? host_wall_ns() - s->host : 0;

    clock_set(&m->clock, s->clock);
    m->start_wall_ns = s->wall + (away > 0 ? away : 0) - s->clock - m->config.rtc_offset * NS_PER_SECOND;
}

static bool machine_part_load(void *opaque, struct state_reader *r, enum state_load how, struct error *err)
{
    struct machine *m = opaque;
    struct machine_state s = {.cpus = 1};
    struct state_reader again = *r;

    if (!state_load(r, &machine_state, NULL, STATE_CHECK, err))
        return false;
    state_load(&again, &machine_state, &s, STATE_APPLY, NULL);
    if (s.cpus > m->config.max_cpus)
        return error_set(err, "cpus is %" PRIu32 ", and this machine has at most %u", s.cpus,
                         m->config.max_cpus);
    if (how == STATE_CHECK)
        return true;
    set_time(m, &s);
    m->state = run_state_after(s.run_state);
    m->config.cpus = s.cpus;
    m->reset_pending = s.reset_pending;
    m->shutdown_pending = s.shutdown_pending;
    m->suspend_pending = s.suspend_pending;
    m->pending_by_guest = s.pending_by_guest;
    if (machine_control_pending(m))
        loop_post(&m->loop, &m->control_work);
    return true;
}

/* ---- sections ---- */

void machine_add_section(struct machine *m, struct machine_section *section)
{
    struct machine_section **at = &m->sections;

    while (*at)
        at = &(*at)->next;
    section->next = NULL;
    *at = section;
}

void machine_remove_section(struct machine *m, struct machine_section *section)
{
    struct machine_section **at = &m->sections;

    while (*at && *at != section)
        at = &(*at)->next;
    if (*at)
        *at = section->next;
}

/* The state of a device: what its bus keeps of it, and its own. */
static void device_save(const struct device *dev, struct state_writer *w)
{
    if (dev->bus->ops->state)
        state_save(w, dev->bus->ops->state, dev);
    state_save(w, dev->cls->state, dev);
}

static bool device_load(struct device *dev, void *object, struct state_reader *r, enum state_load how,
                        struct error *err)
{
    return (!dev->bus->ops->state || state_load(r, dev->bus->ops->state, object, how, err)) &&
           state_load(r, dev->cls->state, object, how, err);
}

/* May it be all together? A copy of the device is asked that has the new state. */
static bool device_check(struct device *dev, struct state_reader r, struct error *err)
{
    const struct bus_ops *bus = dev->bus->ops;
    struct device *copy;
    bool ok;

    if (!bus->check && !dev->cls->check)
        return true;
    copy = malloc(dev->cls->size);
    if (!copy)
        return error_set(err, "out of memory");
    memcpy(copy, dev, dev->cls->size);
    ok = device_load(dev, copy, &r, STATE_SHADOW, err) && (!bus->check || bus->check(copy, err)) &&
         (!dev->cls->check || dev->cls->check(copy, err));
    free(copy);
    return ok;
}

/* ---- what a machine is ---- */

static void describe_property(FILE *out, const struct device *dev, const struct property *p)
{
    const uint8_t *field = (const uint8_t *)dev + p->offset;

    switch (p->kind) {
    case PROP_BOOL:
        fprintf(out, " %s=%s", p->name, *(const bool *)field ? "on" : "off");
        break;
    case PROP_UINT8:
        fprintf(out, " %s=%u", p->name, *field);
        break;
    case PROP_UINT16:
        fprintf(out, " %s=%u", p->name, *(const uint16_t *)field);
        break;
    case PROP_UINT32:
        fprintf(out, " %s=%" PRIu32, p->name, *(const uint32_t *)field);
        break;
    case PROP_UINT64:
        fprintf(out, " %s=%" PRIu64, p->name, *(const uint64_t *)field);
        break;
    case PROP_MAC:
        fprintf(out, " %s=%02x:%02x:%02x:%02x:%02x:%02x", p->name, field[0], field[1], field[2], field[3],
                field[4], field[5]);
        break;
    default: /* the host's: paths, back ends */
        break;
    }
}

static void describe_device(FILE *out, const struct device *dev)
{
    char place[DEVICE_PLACE];

    device_place(dev, place);
    fprintf(out, "%s: %s", place, dev->cls->name);
    for (const struct property *p = dev->cls->properties; p && p->name; p++)
        describe_property(out, dev, p);
}

/* A line for each thing that the guest was built with, each with its NUL; caller frees. NULL: out of memory.
 */
static char *describe_machine(const struct machine *m, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);

    if (!out)
        return NULL;
    fprintf(out, "memory: %" PRIu64 " KiB, and %" PRIu64 " KiB from 4 GiB on%c", m->ram.low_size >> 10,
            m->ram.high_size >> 10, 0);
    fprintf(out, "processors: at most %u%c", m->config.max_cpus, 0);
    for (const struct device *dev = m->devices; dev; dev = dev->next) {
        describe_device(out, dev);
        fputc(0, out);
    }
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

static bool has_line(const char *lines, size_t size, const char *line)
{
    for (const char *at = lines; at < lines + size; at += strlen(at) + 1)
        if (!strcmp(at, line))
            return true;
    return false;
}

static bool lines_within(const char *some, size_t some_size, const char *all, size_t all_size,
                         const char *format, struct error *err)
{
    for (const char *at = some; at < some + some_size; at += strlen(at) + 1)
        if (!has_line(all, all_size, at)) {
            error_set(err, "%.400s", at);
            return error_prefix(err, "%s", format);
        }
    return true;
}

/* Is it a state of such a machine? */
static bool fits(const struct machine *m, const char *saved, size_t saved_size, struct error *err)
{
    size_t size = 0;
    char *own = describe_machine(m, &size);
    bool ok;

    if (!own)
        return error_set(err, "out of memory");
    ok =
        lines_within(saved, saved_size, own, size, "this machine is another than the saved one, which has",
                     err) &&
        lines_within(own, size, saved, saved_size, "this machine is another than the saved one: it has", err);
    free(own);
    return ok;
}

/* ---- saving ---- */

void machine_settle(struct machine *m)
{
    for (struct machine_section *s = m->sections; s; s = s->next)
        if (s->settle)
            s->settle(s->opaque);
    for (struct device *dev = m->devices; dev; dev = dev->next)
        if (dev->cls->settle)
            dev->cls->settle(dev);
}

/* Name and length of a section, whose bytes follow; end_section writes the length. */
static size_t begin_section(struct state_writer *w, const char *name)
{
    state_put_text(w, name);
    state_put(w, 0, 4);
    return w->size;
}

static void end_section(struct state_writer *w, size_t start)
{
    if (w->failed)
        return;
    for (int i = 0; i < 4; i++)
        w->data[start - 4 + i] = (w->size - start) >> 8 * i;
}

static void save_machine(struct machine *m, struct state_writer *w)
{
    size_t start = begin_section(w, "machine");

    machine_part_save(m, w);
    end_section(w, start);
}

static void save_devices(struct machine *m, struct state_writer *w)
{
    char place[DEVICE_PLACE];

    for (struct device *dev = m->devices; dev; dev = dev->next) {
        size_t start;

        device_place(dev, place);
        start = begin_section(w, place);
        device_save(dev, w);
        end_section(w, start);
    }
}

static void save_sections(struct machine *m, struct state_writer *w)
{
    for (struct machine_section *s = m->sections; s; s = s->next) {
        size_t start = begin_section(w, s->name);

        s->save(s->opaque, w);
        end_section(w, start);
    }
}

static bool save_header(const struct machine *m, struct state_writer *w)
{
    size_t size = 0;
    char *lines = describe_machine(m, &size);

    if (!lines)
        return false;
    state_put_bytes(w, magic, MAGIC_SIZE);
    state_put(w, FORMAT_VERSION, 4);
    state_put(w, size, 4);
    state_put_bytes(w, lines, size);
    free(lines);
    return true;
}

bool machine_save(struct machine *m, struct state_writer *w, struct error *err)
{
    machine_settle(m);
    if (!save_header(m, w))
        return error_set(err, "out of memory");
    save_machine(m, w);
    save_devices(m, w);
    save_sections(m, w);
    state_put_text(w, "");
    if (!w->failed)
        state_put(w, crc32(0, w->data, w->size), 4);
    return !w->failed || error_set(err, "out of memory");
}

/* ---- loading ---- */

/* What a state consists of: names and bytes, in `data`. */
struct part {
    char name[TEXT_MAX];
    struct state_reader bytes;
};

static bool next_part(struct state_reader *r, struct part *part)
{
    size_t size;

    if (!state_get_text(r, part->name, sizeof(part->name)) || !part->name[0])
        return false;
    size = state_get(r, 4);
    if (r->failed || size > r->size - r->at) {
        r->failed = true;
        return false;
    }
    part->bytes = (struct state_reader){.data = r->data + r->at, .size = size};
    r->at += size;
    return true;
}

static bool find_part(struct state_reader sections, const char *name, struct part *part)
{
    while (next_part(&sections, part))
        if (!strcmp(part->name, name))
            return true;
    return false;
}

static bool missing(const char *name, struct error *err)
{
    return error_set(err, "section %s is missing", name);
}

/* Was all of it read? */
static bool whole(const struct state_reader *r, struct error *err)
{
    return r->at == r->size || error_set(err, "%zu bytes more than expected", r->size - r->at);
}

static bool check_device(struct device *dev, struct state_reader sections, struct error *err)
{
    char place[DEVICE_PLACE];
    struct part part;
    struct state_reader again;

    device_place(dev, place);
    if (!find_part(sections, place, &part))
        return missing(place, err);
    again = part.bytes;
    if (!device_load(dev, NULL, &part.bytes, STATE_CHECK, err) || !whole(&part.bytes, err) ||
        !device_check(dev, again, err))
        return error_prefix(err, "section %s, %s", place, dev->cls->name);
    return true;
}

typedef bool load_function(void *opaque, struct state_reader *r, enum state_load how, struct error *err);

static bool check_other(const char *name, load_function *load, void *opaque, struct state_reader sections,
                        struct error *err)
{
    struct part part;

    if (!find_part(sections, name, &part))
        return missing(name, err);
    if (!load(opaque, &part.bytes, STATE_CHECK, err))
        return error_prefix(err, "section %s", name);
    if (part.bytes.failed)
        return error_set(err, "section %s: the state ends too early", name);
    return whole(&part.bytes, err) || error_prefix(err, "section %s", name);
}

static bool is_known(const struct machine *m, const char *name)
{
    char place[DEVICE_PLACE];

    if (!strcmp(name, "machine"))
        return true;
    for (const struct device *dev = m->devices; dev; dev = dev->next) {
        device_place(dev, place);
        if (!strcmp(name, place))
            return true;
    }
    for (const struct machine_section *s = m->sections; s; s = s->next)
        if (!strcmp(name, s->name))
            return true;
    return false;
}

/* Every section has its owner, once, and the bytes after the last are right. */
static bool check_layout(const struct machine *m, struct state_reader *r, struct error *err)
{
    struct state_reader sections = *r, before;
    struct part part, other;

    for (before = *r; next_part(r, &part); before = *r) {
        struct state_reader earlier = {.data = sections.data, .size = before.at, .at = sections.at};

        if (!is_known(m, part.name))
            return error_set(err, "section %s is of no part of this machine", part.name);
        if (find_part(earlier, part.name, &other))
            return error_set(err, "section %s is there twice", part.name);
    }
    return !r->failed || error_set(err, "the state ends too early");
}

static bool check_parts(struct machine *m, struct state_reader sections, struct error *err)
{
    if (!check_other("machine", machine_part_load, m, sections, err))
        return false;
    for (struct device *dev = m->devices; dev; dev = dev->next)
        if (!check_device(dev, sections, err))
            return false;
    for (struct machine_section *s = m->sections; s; s = s->next)
        if (!check_other(s->name, s->load, s->opaque, sections, err))
            return false;
    return true;
}

static void apply_parts(struct machine *m, struct state_reader sections)
{
    char place[DEVICE_PLACE];
    struct part part;

    find_part(sections, "machine", &part);
    machine_part_load(m, &part.bytes, STATE_APPLY, NULL);
    for (struct device *dev = m->devices; dev; dev = dev->next) {
        device_place(dev, place);
        find_part(sections, place, &part);
        device_load(dev, dev, &part.bytes, STATE_APPLY, NULL);
    }
    for (struct machine_section *s = m->sections; s; s = s->next) {
        find_part(sections, s->name, &part);
        s->load(s->opaque, &part.bytes, STATE_APPLY, NULL);
    }
}

static void tell_loaded(struct machine *m)
{
    bus_begin(&m->bus);
    for (struct device *dev = m->devices; dev; dev = dev->next) {
        if (dev->bus->ops->loaded)
            dev->bus->ops->loaded(dev);
        if (dev->cls->loaded)
            dev->cls->loaded(dev);
    }
    bus_commit(&m->bus);
    for (struct machine_section *s = m->sections; s; s = s->next)
        if (s->loaded)
            s->loaded(s->opaque);
}

static bool check_header(const struct machine *m, struct state_reader *r, struct error *err)
{
    char found[MAGIC_SIZE];
    uint64_t version, size;

    if (!state_get_bytes(r, found, MAGIC_SIZE) || memcmp(found, magic, MAGIC_SIZE))
        return error_set(err, "it does not begin as a state of hvm-dm");
    version = state_get(r, 4);
    size = state_get(r, 4);
    if (version != FORMAT_VERSION)
        return error_set(err, "its format is version %" PRIu64 ", and this program knows %d", version,
                         FORMAT_VERSION);
    if (r->failed || size > r->size - r->at || !size || r->data[r->at + size - 1])
        return error_set(err, "the state ends too early");
    r->at += size;
    return fits(m, (const char *)r->data + r->at - size, size, err);
}

static bool check_sum(const uint8_t *data, size_t size, struct error *err)
{
    struct state_reader sum = {.data = data, .size = size, .at = size - 4};

    return state_get(&sum, 4) == crc32(0, data, size - 4) || error_set(err, "its checksum is wrong");
}

bool machine_load(struct machine *m, const void *data, size_t size, struct error *err)
{
    struct state_reader r = {.data = data, .size = size}, sections;

    if (!check_header(m, &r, err))
        return error_prefix(err, "the saved state cannot be taken");
    sections = r;
    if (!check_layout(m, &r, err) ||
        (r.size - r.at != 4 && !error_set(err, "%zu bytes follow its end", r.size - r.at)) ||
        !check_sum(data, size, err) || !check_parts(m, sections, err))
        return error_prefix(err, "the saved state cannot be taken");
    apply_parts(m, sections);
    tell_loaded(m);
    return true;
}
