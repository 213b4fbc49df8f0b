/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VNC server: a view of the console for any number of viewers (up to VNC_MAX_VIEWERS). RFB is
 * libvncserver's.
 *
 * Each viewer has a thread of its own that encodes and sends on its own time, so that a viewer that stalls
 * costs the guest nothing. All functions here are called on the machine thread, machine lock held; none of
 * them waits for a viewer.
 */
#ifndef VNC_VNC_H
#define VNC_VNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/loop.h"
#include "console/console.h"
#include "vnc/tls.h"

#define VNC_MAX_VIEWERS 64
#define VNC_BASE_PORT   5900
#define VNC_WEB_PORT    5700
#define VNC_NOVNC_PATH  "/usr/share/novnc"
/*
 * What the copies of the picture may take that viewers have, bytes, all together. One that gets no copy of
 * all of it is sent the picture in strips.
 */
#define VNC_PICTURE_MEMORY (64 << 20)

/* What becomes of the other viewers when one asks for the screen alone, or does not. */
enum vnc_share {
    VNC_SHARE_ALLOW_EXCLUSIVE, /* one that asks to be alone gets it: the others are disconnected */
    VNC_SHARE_FORCE_SHARED,    /* one that asks to be alone is refused */
    VNC_SHARE_IGNORE,          /* what they ask does not matter: all share */
};

struct vnc_options {
    /*
     * The first part of -vnc: "ADDR:DISPLAY", "[IPV6]:DISPLAY", ":DISPLAY" (all addresses) or "unix:PATH".
     * The port is VNC_BASE_PORT + DISPLAY.
     */
    const char *address;
    unsigned to; /* to=N: take the first free display of DISPLAY..N; 0, or less than DISPLAY: only DISPLAY */
    bool password;       /* password=on: refuse everybody until vnc_set_password */
    struct vnc_tls *tls; /* NULL: not encrypted; else the server's own from now on (of vnc_tls_open) */
    /*
     * For browsers: WebSocket and the page that speaks it, at the same address, on this port (0: VNC_WEB_PORT
     * + DISPLAY). With the certificate of tls, where that is.
     */
    bool websocket;
    unsigned websocket_port;
    const char *novnc_path; /* where the page is, NULL: VNC_NOVNC_PATH */
    enum vnc_share share;
    /* -k: keyboard layout; NULL or "en-us": read when the first viewer comes, or with layout_now at once. */
    const char *layout;
    bool layout_now;
    const char *name;   /* title for the viewers, NULL: "hvm-dm" */
    bool lock_key_sync; /* press Caps Lock and Num Lock where the viewer's state differs from the guest's */
};

struct vnc;

/* NULL with *err: one line (bad address, unknown layout, port taken). Strings of options are copied. */
struct vnc *vnc_start(struct loop *loop, struct console *con, const struct vnc_options *options,
                      struct error *err);
/* Disconnects all viewers, closes the port, removes the socket file. */
void vnc_stop(struct vnc *vnc);

/*
 * The password for connections from now on (only the first 8 bytes count, by the protocol); NULL: refuse all.
 * False with *err: started without password=on.
 */
bool vnc_set_password(struct vnc *vnc, const char *password, struct error *err);
/* Whoever knows this one looks on and cannot type or point. NULL: nobody. False as above. */
bool vnc_set_view_password(struct vnc *vnc, const char *password, struct error *err);
/* The passwords let nobody in from this time on (seconds since 1970); 0: they do for ever. False as above. */
bool vnc_expire_password(struct vnc *vnc, int64_t at, struct error *err);
/* Those that are through with authentication. */
size_t vnc_viewers(struct vnc *vnc);
/* Disconnects all viewers. */
void vnc_disconnect_all(struct vnc *vnc);

/* As QMP query-vnc tells it. */
struct vnc_endpoint {
    char host[108];     /* numeric address, or the path of a UNIX socket */
    char service[16];   /* port number; empty for a UNIX socket */
    const char *family; /* ipv4, ipv6, unix */
};
struct vnc_info {
    struct vnc_endpoint server, web; /* web: no family where there is no websocket= */
    const char *auth;                /* none, vnc, vencrypt */
    size_t viewers;                  /* those that are through with authentication */
    struct vnc_endpoint viewer[VNC_MAX_VIEWERS];
};
void vnc_query(struct vnc *vnc, struct vnc_info *info);

/* Is there such a keyboard layout? False: *err. Takes some 20 ms. */
bool vnc_layout_check(const char *layout, struct error *err);

#endif
