/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/backend_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/save.h"
#include "net/net.h"

enum { FRAMES_MAX = 4096 };

#define WIRE_STATE(S)                                                                                        \
    S(BOOL, link_up)                                                                                         \
    S(UINT, uint32_t, frames, FRAMES_MAX) /* that follow: length (4 bytes), bytes */

struct wire_state {
    STATE_MEMBERS(WIRE_STATE);
};
STATE_TABLE(wire_state, struct wire_state, WIRE_STATE);

struct wire_section {
    struct machine_section section;
    struct net_port *port;
    char name[];
};

static void count_frame(void *opaque, const uint8_t *data, size_t length)
{
    struct wire_state *s = opaque;

    s->frames++;
}

static void put_frame(void *opaque, const uint8_t *data, size_t length)
{
    state_put(opaque, length, 4);
    state_put_bytes(opaque, data, length);
}

static void wire_save(void *opaque, struct state_writer *w)
{
    const struct wire_section *wire = opaque;
    struct wire_state s = {.link_up = wire->port->link_up};

    net_each_waiting(wire->port, count_frame, &s);
    state_save(w, &wire_state, &s);
    net_each_waiting(wire->port, put_frame, w);
}

static bool load_frame(struct net_port *port, struct state_reader *r, bool keep, struct error *err)
{
    uint8_t data[NET_MAX_FRAME];
    uint64_t length = state_get(r, 4);

    if (r->failed || length > NET_MAX_FRAME)
        return error_set(err, "a frame of %" PRIu64 " bytes", length);
    state_get_bytes(r, data, length);
    if (keep)
        net_keep(port, data, length); /* or it is lost, as frames may be */
    return true;
}

static bool wire_load(void *opaque, struct state_reader *r, enum state_load how, struct error *err)
{
    const struct wire_section *wire = opaque;
    struct state_reader again = *r;
    struct wire_state s = {.frames = 0};

    if (!state_load(r, &wire_state, NULL, STATE_CHECK, err))
        return false;
    state_load(&again, &wire_state, &s, STATE_APPLY, NULL);
    for (uint32_t i = 0; i < s.frames; i++)
        if (!load_frame(wire->port, r, how == STATE_APPLY, err))
            return false;
    if (how == STATE_APPLY)
        wire->port->link_up = s.link_up; /* the card knows it already */
    return true;
}

static void wire_loaded(void *opaque)
{
    net_resume(((struct wire_section *)opaque)->port);
}

bool backend_state_add(struct control *c, struct error *err)
{
    for (struct net_port *port = c->backends.nets; port; port = port->next) {
        size_t room = strlen(port->id) + sizeof("net ");
        struct wire_section *wire = malloc(sizeof(*wire) + room);

        if (!wire)
            return error_set(err, "out of memory");
        snprintf(wire->name, room, "net %s", port->id);
        wire->port = port;
        wire->section = (struct machine_section){
            .name = wire->name, .save = wire_save, .load = wire_load, .loaded = wire_loaded, .opaque = wire};
        machine_add_section(&c->m, &wire->section);
    }
    return true;
}

void backend_state_free(struct control *c)
{
    struct machine_section *next;

    for (struct machine_section *section = c->m.sections; section; section = next) {
        next = section->next;
        if (section->save != wire_save)
            continue;
        machine_remove_section(&c->m, section);
        free(section->opaque);
    }
}
