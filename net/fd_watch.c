/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/fd_watch.h"

#include <fcntl.h>
#include <unistd.h>

void fd_watch_set(struct fd_watch *w, uint32_t events)
{
    if (events == w->events || w->fd < 0)
        return;
    if (!events)
        loop_unwatch(w->loop, &w->watch);
    else if (w->events)
        loop_rewatch(w->loop, &w->watch, events);
    else
        loop_watch(w->loop, &w->watch, w->fd, events, w->ready, w->opaque);
    w->events = events;
}

void fd_watch_close(struct fd_watch *w)
{
    if (w->fd < 0)
        return;
    fd_watch_set(w, 0);
    close(w->fd);
    w->fd = -1;
}

bool fd_prepare(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && !fcntl(fd, F_SETFL, flags | O_NONBLOCK) && !fcntl(fd, F_SETFD, FD_CLOEXEC);
}
