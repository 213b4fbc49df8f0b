/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Wires: what joins a network card to the host (a tap device, the user-mode network, a socket), named by
 * -netdev id=.
 *
 * A net_port is the wire as the card sees it. Frames pass in both directions as calls on the machine thread,
 * under the machine lock; neither side ever calls the other from inside a call of the other's (a card that
 * loops back does so inside itself). Both directions have back-pressure instead of drops: who has no space
 * says so and calls when there is some again.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/loop.h"
#include "net/dump.h"

enum {
    NET_HEADER = 14,                       /* Ethernet: destination, source, type */
    NET_MIN_FRAME = 60,                    /* without the frame check sequence, which no frame here carries */
    NET_MAX_FRAME = 1514 + 4,              /* with a VLAN tag */
    NET_MAX_LARGE = 65535 + NET_HEADER + 4 /* a packet that somebody else cuts */
};

enum net_cut { NET_CUT_NONE, NET_CUT_TCP4, NET_CUT_TCP6 };

/* One frame, from the Ethernet header on, and what its sender left for others to do (as struct virtio_net_hdr
 * says it). */
struct net_frame {
    const uint8_t *data; /* valid during the call only */
    size_t length;       /* one beyond 1..NET_MAX_FRAME (with a cut: NET_MAX_LARGE) is taken and gone */
    /* The 16-bit sum over [checksum_start, length) is to be stored at checksum_start + checksum_offset. */
    bool needs_checksum;
    uint16_t checksum_start, checksum_offset;
    /*
     * For a wire that net_takes_large: the frame is to be sent as several, each with these bytes of headers
     * and at most `payload` of what follows. The headers' lengths and sums are those of the whole, and
     * checksum_start is that of the TCP header.
     */
    enum net_cut cut;
    uint16_t headers, payload;
};

struct net_port;

/* The card's side. */
struct net_card {
    /*
     * A frame for the card; length is 1..NET_MAX_FRAME, no offload left. False: there is no space now; the
     * wire keeps the frame and offers it again after net_resume. A frame that the card does not want (filter,
     * receiver off) is true: taken and gone.
     */
    bool (*receive)(void *opaque, const uint8_t *data, size_t length);
    void (*sent)(void *opaque); /* the wire has space again, after net_send said false; or NULL */
    void (*link_changed)(void *opaque, bool up);
    void *opaque;
};

typedef void net_frame_function(void *opaque, const uint8_t *data, size_t length);

/* The wire's side: one kind of connection to the host. */
struct net_wire {
    const char *kind; /* tap, user, stream, dgram */
    /* A frame of 1..NET_MAX_FRAME bytes with nothing left to do, unless the port offloads; false: no space,
     * net_sent follows. */
    bool (*send)(struct net_port *port, const struct net_frame *frame);
    void (*flush)(struct net_port *port); /* a burst is over: what was kept back goes out; or NULL */
    void (*resume)(
        struct net_port *port); /* the card takes frames again: offer the kept one, go on reading */
    /* Calls `frame` for each frame that was read and waits for the card, the first to come first; or NULL. */
    void (*waiting)(struct net_port *port, net_frame_function *frame, void *opaque);
    void (*card_changed)(struct net_port *port); /* there is a card now, or none; or NULL */
    void (*close)(struct net_port *port);        /* frees the wire's own memory, not the port */
};

struct net_port {
    char *id;
    const struct net_wire *wire;
    void *wire_data;
    struct loop *loop;
    const struct net_card *card; /* NULL: none attached; what arrives is dropped */
    char *owner;                 /* of the card, for messages */
    bool link_up;                /* set_link; with the link down nothing passes */
    bool offloads;               /* the wire's: it completes checksums and cuts by itself */
    bool blocked;                /* the wire had no room for the last frame; net_sent follows */
    bool burst; /* the card has more to send at once: the wire may keep frames back until flush */
    struct loop_work resume_work;
    struct net_kept *kept;  /* frames that came from another process with the guest: before the wire's own */
    char *info;             /* for people: "tap ifname=vif1.0-emu" */
    struct net_dump *dumps; /* owned */
    struct net_port *next;  /* the machine's list */
};

/* ---- for cards ---- */

/* One card a wire; false: it has one. */
bool net_attach(struct net_port *port, const struct net_card *card, const char *owner);
void net_detach(struct net_port *port);
/*
 * Sends a frame; port may be NULL (no cable: taken and gone). False: the wire is full, the card keeps it
 * and tries again when `sent` is called.
 */
bool net_send(struct net_port *port, const struct net_frame *frame);
/* Around frames that the card sends one after the other: the wire may put them together. port may be NULL. */
void net_begin_burst(struct net_port *port);
void net_end_burst(struct net_port *port);
/* Frames with a cut may be sent: fewer and longer calls. NULL: no. */
bool net_takes_large(const struct net_port *port);
/* The card has space again after its receive said false: soon, on the machine thread, it is called again. */
void net_resume(struct net_port *port);
bool net_link_up(const struct net_port *port); /* NULL: down */

/* ---- for wires ---- */

struct net_port *net_port_new(struct loop *loop, const char *id, const struct net_wire *wire,
                              void *wire_data);
/* Hands a frame to the card. False: keep it until resume; the guest may be stopped. Longer than
 * NET_MAX_FRAME: dropped (true). */
bool net_deliver(struct net_port *port, const uint8_t *data, size_t length);
void net_sent(struct net_port *port); /* space again */

/* ---- for control ---- */

void net_close(struct net_port *port);
void net_set_link(struct net_port *port, bool up);
/* The guest runs again: nothing arrived while its clock stood still. */
void net_resume_all(struct net_port *first);
/* A guest's way to another process: the frames that wait for its card, and one of those taken in there. */
void net_each_waiting(struct net_port *port, net_frame_function *frame, void *opaque);
bool net_keep(struct net_port *port, const uint8_t *data, size_t length); /* false: out of memory */
/* What passes from then on is written there too; the dump is the port's. */
void net_add_dump(struct net_port *port, struct net_dump *dump);
struct net_port *net_find(struct net_port *first, const char *id);
struct net_port *net_find_owner(struct net_port *first, const char *owner); /* by the card on it */
void net_link_port(struct net_port **first, struct net_port *port);

#endif
