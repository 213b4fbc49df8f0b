/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/acceptor.h"

#include <errno.h>

static void acceptor_ready(void *opaque, uint32_t events)
{
    struct acceptor *a = opaque;

    a->ready(a->opaque);
}

static void acceptor_retry_now(void *opaque)
{
    struct acceptor *a = opaque;

    /* Without descriptors left there may be no memory for a watch either. */
    if (!loop_watch(a->loop, &a->watch, a->fd, EPOLLIN, acceptor_ready, a))
        timer_set(&a->retry, clock_now(&a->loop->host_clock) + NS_PER_SECOND);
}

bool acceptor_start(struct acceptor *a, struct loop *loop, int fd, void (*ready)(void *opaque), void *opaque)
{
    *a = (struct acceptor){.loop = loop, .fd = fd, .ready = ready, .opaque = opaque};
    timer_init(&a->retry, &loop->host_clock, acceptor_retry_now, a);
    if (loop_watch(loop, &a->watch, fd, EPOLLIN, acceptor_ready, a))
        return true;
    a->fd = -1;
    return false;
}

void acceptor_stop(struct acceptor *a)
{
    if (a->fd < 0)
        return;
    timer_cancel(&a->retry);
    loop_unwatch(a->loop, &a->watch);
    a->fd = -1;
}

/* Of accept's errors, those that stay while somebody waits in the queue: it would be told of at once again.
 */
static bool acceptor_is_full(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM || error == EPERM;
}

int acceptor_take(struct acceptor *a, struct sockaddr_storage *addr, socklen_t *length)
{
    int fd = accept4(a->fd, (struct sockaddr *)addr, length, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0 && acceptor_is_full(errno)) {
        loop_unwatch(a->loop, &a->watch);
        timer_set(&a->retry, clock_now(&a->loop->host_clock) + NS_PER_SECOND);
    }
    return fd;
}

void acceptor_retry(struct acceptor *a)
{
    if (a->fd < 0 || !timer_armed(&a->retry))
        return;
    timer_cancel(&a->retry);
    acceptor_retry_now(a);
}
