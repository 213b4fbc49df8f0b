/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the thread of a viewer has to itself: its libvncserver client (client.c), its copy of the picture
 * (canvas.c) and the messages that come (messages.c). No locks here, except where vnc->lock is named.
 */
#ifndef VNC_SESSION_H
#define VNC_SESSION_H

#include <rfb/rfb.h>
#include <rfb/rfbregion.h>

#include "vnc/viewer.h"

struct session {
    struct viewer *v;
    rfbScreenInfoPtr screen;
    rfbClientPtr client;
    int output;       /* a duplicate of the connection, libvncserver's to close */
    int feed, fed;    /* a socket pair: what is written to feed, libvncserver reads from fed */
    uint8_t in[4096]; /* what came and is not a whole message yet */
    size_t in_count;
    uint32_t skip; /* bytes to come that are not wanted */
    bool wait_for_room;
    bool motion_change; /* the viewer can be told how pointer events are taken ... */
    bool told_absolute; /* ... and was told this */
    bool led_state;     /* the same for the keyboard lights */
    uint8_t told_leds;

    uint64_t serial; /* the picture that is shown */
    int picture_width, picture_height;
    pixman_image_t *canvas; /* what libvncserver encodes from; x8r8g8b8 */
    size_t canvas_size;     /* bytes */
    size_t canvas_kept;     /* of vnc->canvas_room: all of it, or 0: it holds what is being sent only */
    int width, height;      /* of the canvas */
    /* Where the picture lies in the canvas: a viewer that cannot resize keeps the size it began with. */
    int left, top, shown_width, shown_height;
};

/* ---- client.c ---- */

/* A libvncserver client that encodes from s->canvas and writes to the connection. False: to be freed all the
 * same. */
bool client_make(struct session *s);
void client_free(struct session *s);
/* Lets libvncserver handle a message that was checked; what it answers at once goes nowhere. False: it gave
 * up. */
bool client_feed(struct session *s, const uint8_t *message, size_t length);
/* After s->canvas changed. */
void client_set_screen(struct session *s);

/* ---- canvas.c ---- */

/* Another canvas, black. False: no memory; the old one stays. */
bool canvas_make(struct session *s, int width, int height);
void canvas_free(struct session *s);
bool canvas_differs(const struct session *s); /* in size, from the picture */
/* The picture's place in the canvas. */
void canvas_fit(struct session *s);
/* After the picture changed or the viewer learnt to resize: resizes the canvas where the viewer can follow,
 * and has all of it to be sent. False: no memory. */
bool canvas_adapt(struct session *s);
/* A rectangle of the picture, inside of it, is to be sent. */
void canvas_changed(struct session *s, const pixman_box32_t *box);
/* Of what is to be sent and was asked for, as much as the canvas may hold now; to be destroyed. */
sraRegionPtr canvas_piece(struct session *s);
/* Takes a piece of the canvas over from the picture, which is the one that is shown. */
void canvas_copy(struct session *s, sraRegionPtr piece, const struct picture *picture);
/* The piece was sent. */
void canvas_sent(struct session *s);

/* ---- messages.c ---- */

/* Reads what is there and handles it. False: the viewer is gone, or said what is not to be borne. */
bool messages_read(struct session *s);
/* Handles the whole messages among s->in; the beginning of another one is kept there. */
bool messages_handle(struct session *s);
/*
 * Tells viewers that understand it what changed: whether pointer positions or movements are wanted, the
 * keyboard lights. False: the connection is lost.
 */
bool messages_tell_changes(struct session *s);

/* ---- viewer.c ---- */

/* Sends what was asked for and is due, as far as the connection has room. False: the connection is lost, or
 * no memory. */
bool session_send_updates(struct session *s);

/* Big endian, as RFB is. */
static inline void put16(uint8_t *p, uint16_t value)
{
    p[0] = value >> 8;
    p[1] = value;
}

/* value, but at least 0 and at most max. */
static inline int limit_int(int64_t value, int max)
{
    return value < 0 ? 0 : value > max ? max : value;
}

#endif
