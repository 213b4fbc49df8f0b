/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the core of character devices (chardev.c: users, queue, what is watched) and their kinds, a file
 * each. For these files only.
 */
#ifndef CHAR_KIND_H
#define CHAR_KIND_H

#include <sys/types.h>

#include "char/chardev.h"

enum { CHARDEV_FDS_MAX = 8 }; /* passed descriptors that wait to be taken */

/* What a kind is; the struct of a kind begins with its struct chardev. */
struct chardev_kind {
    const char *name; /* as chardev_options.backend */
    size_t size;      /* of the kind's struct, which is zeroed before open */
    /* Sets name, and opens the line if there is one already. False: *err; close is called all the same. */
    bool (*open)(struct chardev *chr, const struct chardev_options *options, struct error *err);
    void (*close)(struct chardev *chr); /* the line is closed already; or NULL */
    /* As read(2), with chr->fd; NULL: read(2) itself. */
    ssize_t (*read)(struct chardev *chr, uint8_t *data, size_t length);
    /* The line comes and goes with a client; else it is there from open to close. */
    bool connects;
    void (*hung_up)(struct chardev *chr); /* connects: the client is gone, another one may come; or NULL */
};

extern const struct chardev_kind chardev_socket, chardev_pty, chardev_stdio, chardev_file, chardev_serial,
    chardev_null;

struct chardev {
    const struct chardev_kind *kind;
    struct chardev *next;
    struct loop *loop;
    char *id;
    char *name; /* what query-chardev shows, without "disconnected:"; malloced */
    /*
     * The user, and with mux a second one, both heard; what is typed goes to the one in focus. Ctrl-A c
     * changes the focus, Ctrl-A x leaves, Ctrl-A Ctrl-A is Ctrl-A.
     */
    struct chardev_user users[2];
    unsigned user_count, focus;
    bool mux, escaped;
    bool input_ended;         /* nothing more comes from the line */
    uint32_t watched;         /* the events that the line is watched for */
    struct loop_fd watch;     /* the open line: a client, a terminal, a file */
    struct loop_fd out_watch; /* stdio: standard output, while it does not take what there is */
    int fd;                   /* -1: no line is open */
    int write_fd;             /* the same, or stdio's other half */
    uint8_t *out;
    size_t out_length, out_room;
    int fds[CHARDEV_FDS_MAX]; /* passed ones */
    unsigned fd_count;
};

/* The line is open: it is made not to block, the user is told. Closed with the line. */
void chardev_open_line(struct chardev *chr, int fd);
/* What the line is watched for, after input_ended or the line changed. */
void chardev_update_watch(struct chardev *chr);

#endif
