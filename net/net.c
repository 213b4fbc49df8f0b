/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/net.h"

#include <stdlib.h>
#include <string.h>

#include "net/ethernet.h"
/* ---- frames ---- */

struct net_kept {
    struct net_kept *next;
    size_t length;
    uint8_t data[];
};

/* False: the card is full, or the guest stopped. */
static bool deliver(struct net_port *port, const uint8_t *data, size_t length)
{
    if (!port->card || !port->link_up || !length || length > NET_MAX_FRAME)
        return true;
    if (port->loop->guest_clock->mode == CLOCK_STOPPED)
        return false;
    if (!port->card->receive(port->card->opaque, data, length))
        return false;
    if (port->dumps)
        net_dump_frame(port->dumps, false, data, length);
    return true;
}

static bool deliver_kept(struct net_port *port)
{
    struct net_kept *kept;

    while ((kept = port->kept)) {
        if (!deliver(port, kept->data, kept->length))
            return false;
        port->kept = kept->next;
        free(kept);
    }
    return true;
}

static void net_resume_later(void *opaque)
{
    struct net_port *port = opaque;

    if (deliver_kept(port))
        port->wire->resume(port);
}

/* What the wire took is in the dumps. */
static bool hand_over(struct net_port *port, const struct net_frame *frame)
{
    port->blocked = !port->wire->send(port, frame);
    if (port->blocked)
        return false;
    if (port->dumps)
        net_dump_frame(port->dumps, true, frame->data, frame->length);
    return true;
}

/* For a wire that takes finished frames only. */
static bool send_finished(struct net_port *port, const struct net_frame *frame)
{
    uint8_t copy[NET_MAX_FRAME];
    struct net_frame whole = {.data = copy, .length = frame->length};

    if (frame->cut)
        return true;
    if (!frame->needs_checksum)
        return hand_over(port, frame);
    memcpy(copy, frame->data, frame->length);
    net_checksum(copy, frame->length, frame->checksum_start, frame->checksum_offset);
    return hand_over(port, &whole);
}

bool net_send(struct net_port *port, const struct net_frame *frame)
{
    if (!port || !port->link_up || !frame->length ||
        frame->length > (frame->cut ? NET_MAX_LARGE : NET_MAX_FRAME))
        return true;
    work_add(&port->loop->work, WORK_FRAME + frame->length / (frame->cut ? 1 : 4));
    return port->offloads ? hand_over(port, frame) : send_finished(port, frame);
}

void net_begin_burst(struct net_port *port)
{
    if (port)
        port->burst = true;
}

void net_end_burst(struct net_port *port)
{
    if (!port)
        return;
    port->burst = false;
    if (port->wire->flush)
        port->wire->flush(port);
}

bool net_takes_large(const struct net_port *port)
{
    return port && port->offloads;
}

bool net_deliver(struct net_port *port, const uint8_t *data, size_t length)
{
    return deliver_kept(port) && deliver(port, data, length);
}

void net_each_waiting(struct net_port *port, net_frame_function *frame, void *opaque)
{
    for (const struct net_kept *kept = port->kept; kept; kept = kept->next)
        frame(opaque, kept->data, kept->length);
    if (port->wire->waiting)
        port->wire->waiting(port, frame, opaque);
}

bool net_keep(struct net_port *port, const uint8_t *data, size_t length)
{
    struct net_kept **at = &port->kept, *kept = malloc(sizeof(*kept) + length);

    if (!kept)
        return false;
    while (*at)
        at = &(*at)->next;
    *kept = (struct net_kept){.length = length};
    memcpy(kept->data, data, length);
    *at = kept;
    return true;
}

void net_resume(struct net_port *port)
{
    if (port)
        loop_post(port->loop, &port->resume_work);
}

void net_resume_all(struct net_port *first)
{
    for (; first; first = first->next)
        net_resume(first);
}

void net_sent(struct net_port *port)
{
    port->blocked = false;
    if (port->card && port->card->sent)
        port->card->sent(port->card->opaque);
}

/* ---- ports ---- */

struct net_port *net_port_new(struct loop *loop, const char *id, const struct net_wire *wire, void *wire_data)
{
    struct net_port *port = calloc(1, sizeof(*port));

    if (!port)
        return NULL;
    *port = (struct net_port){
        .id = strdup(id), .wire = wire, .wire_data = wire_data, .loop = loop, .link_up = true};
    port->resume_work = (struct loop_work){.run = net_resume_later, .opaque = port};
    if (port->id)
        return port;
    free(port);
    return NULL;
}

void net_close(struct net_port *port)
{
    struct net_dump *dump;

    net_detach(port);
    port->wire->close(port);
    while ((dump = port->dumps)) {
        port->dumps = dump->next;
        net_dump_close(dump);
    }
    free(port->id);
    free(port->info);
    free(port);
}

bool net_attach(struct net_port *port, const struct net_card *card, const char *owner)
{
    if (port->card)
        return false;
    port->card = card;
    port->owner = strdup(owner);
    if (port->wire->card_changed)
        port->wire->card_changed(port);
    return true;
}

void net_detach(struct net_port *port)
{
    loop_cancel(port->loop, &port->resume_work);
    port->card = NULL;
    free(port->owner);
    port->owner = NULL;
    if (port->wire->card_changed)
        port->wire->card_changed(port);
    deliver_kept(port);
    port->wire->resume(port); /* a frame that waited for the card goes the way of the others */
}

void net_add_dump(struct net_port *port, struct net_dump *dump)
{
    dump->next = port->dumps;
    port->dumps = dump;
}

bool net_link_up(const struct net_port *port)
{
    return port && port->link_up;
}

void net_set_link(struct net_port *port, bool up)
{
    if (port->link_up == up)
        return;
    port->link_up = up;
    if (port->card && port->card->link_changed)
        port->card->link_changed(port->card->opaque, up);
    net_resume(port); /* a frame that waits for the card is lost with the link */
    net_sent(port);
}

struct net_port *net_find(struct net_port *first, const char *id)
{
    while (first && strcmp(first->id, id))
        first = first->next;
    return first;
}

struct net_port *net_find_owner(struct net_port *first, const char *owner)
{
    while (first && (!first->owner || strcmp(first->owner, owner)))
        first = first->next;
    return first;
}

void net_link_port(struct net_port **first, struct net_port *port)
{
    while (*first)
        first = &(*first)->next;
    *first = port;
}
