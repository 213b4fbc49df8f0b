/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/packet_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "machine/log.h"

enum { BATCH = 64 }; /* frames taken before others have their turn */

static void ready(void *opaque, uint32_t events);

/* Where nothing is awaited the descriptor is not watched: errors on it would wake the loop without end. */
static void update_watch(struct packet_fd *packet)
{
    uint32_t events = (packet->kept ? 0 : EPOLLIN) | (packet->full ? EPOLLOUT : 0);
    struct loop *loop = packet->port->loop;
    int fd = packet->watch.fd;

    if (events == packet->events || fd < 0)
        return;
    if (!events) {
        loop_unwatch(loop, &packet->watch);
        packet->watch.fd = fd;
    } else if (packet->events) {
        loop_rewatch(loop, &packet->watch, events);
    } else {
        loop_watch(loop, &packet->watch, fd, events, ready, packet);
    }
    packet->events = events;
}

static void close_fd(struct packet_fd *packet)
{
    int fd = packet->watch.fd;

    if (fd < 0)
        return;
    if (packet->events)
        loop_unwatch(packet->port->loop, &packet->watch);
    packet->events = 0;
    packet->watch.fd = -1;
    packet->full = false;
    close(fd);
}

static bool try_again(void)
{
    return errno == EAGAIN || errno == EINTR || errno == ENOBUFS;
}

static void note_failure(struct packet_fd *packet)
{
    if (packet->failed && packet->failed(packet))
        return;
    log_line("netdev %s: %s; the wire is cut", packet->port->id, strerror(errno));
    close_fd(packet);
}

/* False: nothing more to read now, or the card is full. */
static bool take_frame(struct packet_fd *packet)
{
    ssize_t n = read(packet->watch.fd, packet->frame, sizeof(packet->frame));

    if (n < 0) {
        if (!try_again())
            note_failure(packet);
        return false;
    }
    if (!net_deliver(packet->port, packet->frame, n)) {
        packet->kept = n;
        return false;
    }
    return true;
}

static void ready(void *opaque, uint32_t events)
{
    struct packet_fd *packet = opaque;

    if (packet->full && events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
        packet->full = false;
        net_sent(packet->port);
    }
    if (!packet->kept && events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        for (int i = 0; i < BATCH && packet->watch.fd >= 0 && take_frame(packet); i++)
            continue;
    if (packet->watch.fd < 0)
        net_sent(packet->port); /* from a wire that was cut nothing waits */
    update_watch(packet);
}

bool packet_fd_send(struct net_port *port, const uint8_t *data, size_t length)
{
    struct packet_fd *packet = port->wire_data;

    if (packet->watch.fd < 0)
        return true;
    if (packet->full)
        return false;
    if (write(packet->watch.fd, data, length) >= 0)
        return true;
    if (errno == EAGAIN) {
        packet->full = true;
        update_watch(packet);
        return false;
    }
    if (!try_again() && packet->failed)
        packet->failed(packet);
    return true; /* a tap interface that is down, a runt: only the frame is lost */
}

void packet_fd_resume(struct net_port *port)
{
    struct packet_fd *packet = port->wire_data;

    if (packet->kept && !net_deliver(port, packet->frame, packet->kept))
        return;
    packet->kept = 0;
    update_watch(packet);
}

void packet_fd_close(struct net_port *port)
{
    close_fd(port->wire_data);
}

struct net_port *packet_fd_open(struct loop *loop, const char *id, const struct net_wire *wire,
                                struct packet_fd *packet, int fd, struct error *err)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC)) {
        error_set(err, "file descriptor %d: %s", fd, strerror(errno));
        return NULL;
    }
    packet->port = net_port_new(loop, id, wire, packet);
    if (!packet->port) {
        error_set(err, "out of memory");
        return NULL;
    }
    packet->watch.fd = fd;
    update_watch(packet);
    return packet->port;
}
