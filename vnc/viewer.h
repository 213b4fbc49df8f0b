/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One viewer: a connection, and the thread that speaks RFB with it.
 *
 * The thread owns the connection and its libvncserver client, alone: libvncserver has one screen and one
 * client for each viewer, used by that thread only, so none of its locks and threads matter. libvncserver
 * encodes and writes; what the viewer sends is read and checked here (messages.c), because there a byte of a
 * hostile viewer must neither block nor surprise.
 *
 * The machine thread and the viewers' threads meet in the fields under vnc->lock. A viewer's thread never
 * takes the machine lock: it asks for work on the machine thread (vnc_ask).
 */
#ifndef VNC_VIEWER_H
#define VNC_VIEWER_H

#include <pixman.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/acceptor.h"
#include "console/hands.h"
#include "vnc/guesses.h"
#include "vnc/keymap.h"
#include "vnc/lock_sync.h"
#include "vnc/tls.h"
#include "vnc/vnc.h"
#include "vnc/vnc_auth.h"

/* A console surface that viewers read. Freed on the machine thread, when nobody reads it any more. */
struct picture {
    pixman_image_t *surface;
    const uint32_t *pixels; /* x8r8g8b8; written by the machine thread at any time: copied, not trusted */
    int width, height;
    size_t stride;   /* bytes */
    uint64_t serial; /* from 1; no other picture has the same */
    unsigned users;
    struct picture *next; /* of those to be freed */
};

enum input_kind { INPUT_SYMBOL, INPUT_CODE, INPUT_POSITION, INPUT_MOVEMENT };

struct input {
    enum input_kind kind;
    bool down;
    uint32_t key;       /* SYMBOL: key symbol; CODE: as console_key takes it */
    uint32_t symbol;    /* CODE: what the key gives at the viewer's */
    int x, y;           /* POSITION: in the picture; MOVEMENT: right and down positive */
    int from_x, from_y; /* POSITION: the first of those that one event sums up */
    int width, height;  /* POSITION: of the picture */
    uint8_t buttons;    /* RFB's button mask */
};

#define INPUTS_WAITING 256

enum viewer_stage {
    VIEWER_HANDSHAKE, /* not authenticated */
    VIEWER_ADMITTED,  /* authenticated: waits for the machine thread to let it in */
    VIEWER_ACTIVE,    /* sees the picture */
    VIEWER_GONE,      /* the thread ends: to be joined and freed */
};

struct viewer {
    struct vnc *vnc;
    struct viewer *next;
    pthread_t thread;
    int fd;      /* what RFB is spoken over; changed by the viewer's thread, vnc->lock held */
    int network; /* the connection, where fd is its tunnel's other end; else -1 */
    struct tunnel *tunnel;
    bool secure; /* it came encrypted, or as a browser is to have it: VeNCrypt is not asked for */
    int wake_fd; /* eventfd: the machine thread has something for this viewer */
    struct vnc_endpoint peer;
    struct peer_key key;

    /* Under vnc->lock. */
    enum viewer_stage stage;
    bool spoke;                          /* it answered in the handshake */
    bool quit;                           /* to be disconnected */
    bool view_only;                      /* its keys and pointer count for nothing */
    bool exclusive;                      /* asked for the screen alone */
    bool shows_lights;                   /* it follows the guest's lock keys by itself */
    bool absolute;                       /* how pointer events reach the guest */
    uint8_t leds;                        /* the guest's keyboard lights, as console_leds has them */
    bool hungry;                         /* waits for a change of the picture */
    pixman_region32_t dirty;             /* of the picture, not yet taken */
    struct input inputs[INPUTS_WAITING]; /* a ring */
    unsigned input_first, input_count;
    pthread_cond_t inputs_taken;

    /* The machine thread's. */
    struct console_hand hand;
    struct keyboard keyboard;
    struct input pointer; /* the pointer event before; width 0: its position is not known */
};

/* Where viewers come in. */
struct door {
    struct acceptor listeners[4];
    struct vnc_endpoint server; /* the first of them */
    void (*ready)(void *vnc);
};

/* One that came by a WebSocket: our end of a socket pair, and who it is. */
struct arrival {
    int fd;
    struct sockaddr_storage peer;
    socklen_t length;
};
#define ARRIVALS 32

struct vnc {
    struct loop *loop;
    struct console *console;
    struct console_view view;
    bool watching; /* the view is in the console */
    char *layout;
    pthread_mutex_t map_lock;
    struct keymap *map; /* NULL until the first viewer comes; map lock while it is read */
    char *name;
    bool need_password;
    struct vnc_tls *tls; /* NULL: nothing is encrypted */
    bool lock_key_sync;
    struct lock_sync locks;
    enum vnc_share share;
    char *socket_path;
    struct door door, web_door;
    struct browser *browser; /* NULL: no websocket= */
    struct loop_work work;

    pthread_mutex_t lock;
    struct guesses guesses;
    struct arrival arrivals[ARRIVALS];
    unsigned arrival_count;
    struct viewer *viewers;       /* newest first; the list is changed by the machine thread only */
    struct picture *picture;      /* what viewers see */
    struct picture *next_picture; /* after a resize, until something is drawn into it */
    int64_t unseen_since;         /* host time of the first change that no viewer took, 0: they took all */
    bool seldom;                  /* so for long: the console draws seldom */
    struct picture *old_pictures; /* without users */
    uint64_t last_serial;
    size_t canvas_room;                          /* of VNC_PICTURE_MEMORY, what no canvas has */
    char password[VNC_PASSWORD_LENGTH + 1];      /* "" : nobody gets in, where a password is needed */
    char view_password[VNC_PASSWORD_LENGTH + 1]; /* of those who only look on; "": there are none */
    int64_t expires;                             /* seconds since 1970; 0: never */
};

/*
 * Version, security and the viewer's ClientInit, within a time limit. True: authenticated; v->exclusive is
 * set.
 */
bool viewer_handshake(struct viewer *v);
/* Sends bytes to a connection that does not block, waiting for room; false: gone, to be disconnected, or too
 * slow. */
bool viewer_send(struct viewer *v, const void *data, size_t length);
bool viewer_must_quit(struct viewer *v);
int64_t viewer_now(void); /* milliseconds that only go forward */

/* The thread's function; ends with the stage GONE. */
void *viewer_main(void *viewer);

/* listen.c: opens what -vnc says, with to=N; false: *err. listen_stop closes what is open. */
bool listen_start(struct vnc *vnc, const char *address, unsigned to, struct error *err);
/* The port for browsers, 0: VNC_WEB_PORT + the display; at the same address. */
bool listen_start_web(struct vnc *vnc, const char *address, unsigned port, struct error *err);
void listen_stop(struct vnc *vnc);
void listen_endpoint(struct vnc_endpoint *end, const struct sockaddr_storage *addr, socklen_t length);

/* door.c: somebody connects: takes all in. */
void vnc_connection(void *opaque);
void vnc_web_connection(void *opaque);
/* From the browsers' thread: a viewer over this socket. */
void vnc_arrive(struct vnc *vnc, int fd, const struct sockaddr_storage *peer, socklen_t length);
/* Takes those in that arrived so; the machine thread. */
void vnc_take_arrivals(struct vnc *vnc);
/* A line of the log about somebody who is not let in, the nth of its kind from there. Not one that the
 * guest's lines use up: those that are worth a line become fewer by themselves. */
void vnc_log_refused(const struct vnc_endpoint *peer, const char *what, unsigned nth);

/* Reads the keyboard layout if nobody has; the viewer's thread. */
void vnc_need_map(struct vnc *vnc);

/* vnc.c: lock held, or not for the last two. */
unsigned vnc_count_stage(const struct vnc *vnc, enum viewer_stage stage);
void vnc_disconnect(struct viewer *v);
void viewer_free(struct viewer *v);
void viewer_key(void *viewer, uint16_t code, bool down); /* to the console */

/* Wakes the machine thread for what viewers changed; lock held or not. */
void vnc_ask(struct vnc *vnc);
/* Gives up the use of a picture; lock held. A viewer uses one only while it copies from it. */
void vnc_release_picture(struct vnc *vnc, struct picture *picture);

#endif
