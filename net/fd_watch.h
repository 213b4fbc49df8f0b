/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NET_FD_WATCH_H
#define NET_FD_WATCH_H

#include "base/loop.h"

/* A descriptor and what is awaited of it, which changes often. Where nothing is, it is not watched: errors on
 * it would wake the loop without end. */
struct fd_watch {
    struct loop *loop;
    struct loop_fd watch;
    uint32_t events;
    int fd; /* -1: none */
    void (*ready)(void *opaque, uint32_t events);
    void *opaque;
};

void fd_watch_set(struct fd_watch *w, uint32_t events);
/* Closes the descriptor, if there is one. */
void fd_watch_close(struct fd_watch *w);

/* Non-blocking, and not for programs that we start. False: errno. */
bool fd_prepare(int fd);

#endif
