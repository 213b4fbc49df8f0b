/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Character devices: where a serial line or a monitor ends on the host (stdio, pty, file, UNIX or TCP socket,
 * null). Never blocks: output that the other side does not take is buffered up to a bound, then dropped.
 * Machine thread, lock held.
 */
#ifndef CHAR_CHARDEV_H
#define CHAR_CHARDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/loop.h"

struct chardev;

/* Who uses it: a UART, a monitor. */
struct chardev_user {
    /* How many bytes receive takes now; 0: input waits until chardev_accept_input. */
    size_t (*space)(void *opaque);
    void (*receive)(void *opaque, const uint8_t *data, size_t length);
    void (*opened)(void *opaque); /* a client connected (at once where there is no connecting), or NULL */
    void (*closed)(void *opaque); /* the client went, or NULL */
    void (*leave)(void *opaque);  /* mux: Ctrl-A x was typed, or NULL */
    void *opaque;
};

struct chardev_options {
    const char *backend;     /* socket, pty, stdio, file, serial (a host device), null */
    const char *path;        /* socket: UNIX path; file: path */
    const char *host, *port; /* socket: TCP */
    int fd;                  /* socket: an inherited listening descriptor, or -1 */
    bool server, wait;       /* socket: listen (wait: until a client came, before going on), else connect */
    bool nodelay, append;
    bool mux; /* two users may share it: Ctrl-A c switches between them, Ctrl-A x leaves */
    bool raw; /* stdio: Ctrl-C goes to the user instead of ending the process */
};

/* NULL with *err: one line that says what could not be opened. */
struct chardev *chardev_open(struct loop *loop, const char *id, const struct chardev_options *options,
                             struct error *err);
void chardev_close(struct chardev *chr); /* flushes what it can without waiting; removes its socket file */

const char *chardev_id(const struct chardev *chr);
/* As query-chardev shows it: "pty:/dev/pts/3", "unix:/path,server=on", "disconnected:unix:...", "null". */
/* Written into text. */
const char *chardev_filename(struct chardev *chr, char *text, size_t size);
bool chardev_connected(const struct chardev *chr);

/* One user at a time, with mux two; false: it has them. NULL user: the one that came last is detached. */
bool chardev_set_user(struct chardev *chr, const struct chardev_user *user);
bool chardev_in_use(const struct chardev *chr);
bool chardev_free(const struct chardev *chr);   /* would chardev_set_user take one more? */
void chardev_accept_input(struct chardev *chr); /* there is space now */
void chardev_write(struct chardev *chr, const uint8_t *data, size_t length);
/* Bytes queued and not yet taken by the other side. */
size_t chardev_pending(const struct chardev *chr);
void chardev_disconnect(struct chardev *chr); /* drops the client; a server goes on listening */
/* A descriptor that came as SCM_RIGHTS with the bytes received last, -1: none; the caller owns it. */
int chardev_take_fd(struct chardev *chr);

struct chardev *chardev_find(struct chardev *first, const char *id);
struct chardev *chardev_next(const struct chardev *chr);
void chardev_link(struct chardev **first, struct chardev *chr);

#endif
