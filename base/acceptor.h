/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A listening socket in the loop. Who connects while there are no descriptors, or no memory for one, waits in
 * the kernel's queue, and the loop sleeps: it tries again after a second, or when the owner knows of one that
 * was given back.
 */
#ifndef BASE_ACCEPTOR_H
#define BASE_ACCEPTOR_H

#include <sys/socket.h>

#include "base/loop.h"

struct acceptor {
    struct loop *loop;
    struct loop_fd watch; /* watch.fd < 0: not listening now */
    int fd;               /* the listening socket, the owner's; -1: none */
    struct timer retry;   /* armed: somebody waits, and cannot be accepted */
    void (*ready)(void *opaque);
    void *opaque;
};

/* A listening socket that does not block; ready is to call acceptor_take. False: errno. */
bool acceptor_start(struct acceptor *a, struct loop *loop, int fd, void (*ready)(void *opaque), void *opaque);
/* Harmless where it was not started, if it was zeroed and its watch.fd and fd set to -1. Does not close. */
void acceptor_stop(struct acceptor *a);
/* The next connection, not blocking, closed on exec; -1: none now. addr and length as accept has them, or
 * NULL. */
int acceptor_take(struct acceptor *a, struct sockaddr_storage *addr, socklen_t *length);
/* A descriptor was given back: takes who waits. */
void acceptor_retry(struct acceptor *a);

#endif
