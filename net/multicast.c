/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A multicast group as a hub: each datagram is a frame for everybody who is in it. The kernel hands ours back
 * to us, as it must to our neighbours on the host; so they go out by a socket of their own, whose address
 * tells them from the others'.
 */
#include "net/multicast.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/packet_fd.h"

struct multicast {
    struct packet_fd packet; /* first: the port's wire_data */
    struct fd_watch out;
    bool full; /* the last frame did not fit */
};

bool multicast_is_group(const struct socket_address *address)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;

    return in->sin_family == AF_INET && IN_MULTICAST(ntohl(in->sin_addr.s_addr));
}

static bool multicast_send(struct net_port *port, const struct net_frame *frame)
{
    struct multicast *m = port->wire_data;

    if (m->full)
        return false;
    if (send(m->out.fd, frame->data, frame->length, 0) >= 0 || errno != EAGAIN)
        return true; /* who is unreachable now misses the frame, as on a real wire */
    m->full = true;
    fd_watch_set(&m->out, EPOLLOUT);
    return false;
}

static void multicast_out_ready(void *opaque, uint32_t events)
{
    struct multicast *m = opaque;

    m->full = false;
    fd_watch_set(&m->out, 0);
    net_sent(m->packet.port);
}

static void multicast_close(struct net_port *port)
{
    struct multicast *m = port->wire_data;

    packet_fd_close(port);
    fd_watch_close(&m->out);
    free(m);
}

static const struct net_wire multicast_wire = {.kind = "dgram",
                                               .send = multicast_send,
                                               .resume = packet_fd_resume,
                                               .waiting = packet_fd_waiting,
                                               .close = multicast_close};

/* A failed read says nothing about the next. */
static bool read_failed(struct packet_fd *packet)
{
    return true;
}

/* The socket that is in the group, on the interface with the local address. */
static int join(const struct sockaddr_in *group, struct in_addr local)
{
    struct ip_mreq membership = {.imr_multiaddr = group->sin_addr, .imr_interface = local};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1, off = 0;

    if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) &&
        !bind(fd, (const struct sockaddr *)group, sizeof(*group)) &&
        !setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &membership, sizeof(membership)) &&
        !setsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &off, sizeof(off)))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* The socket that sends to the group, and the address that it sends from: binding it to the local address
 * chooses the interface as well. */
static int open_sender(const struct sockaddr_in *group, struct in_addr local, struct sockaddr_in *from)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t length = sizeof(*from);

    *from = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = local};
    if (fd >= 0 && !bind(fd, (const struct sockaddr *)from, sizeof(*from)) &&
        !connect(fd, (const struct sockaddr *)group, sizeof(*group)) &&
        !getsockname(fd, (struct sockaddr *)from, &length) && fd_prepare(fd))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool find_local(const struct net_address *options, struct in_addr *local, struct error *err)
{
    struct net_address host = *options;
    struct socket_address address;

    local->s_addr = htonl(INADDR_ANY);
    if (options->kind == NET_ADDRESS_NONE)
        return true;
    host.port = NULL;
    if (!address_find(&host, "local", SOCK_DGRAM, &address, err))
        return false;
    if (address.storage.ss_family != AF_INET)
        return error_set(err, "local %s: not an IPv4 address, as the group's", options->host);
    *local = ((const struct sockaddr_in *)&address.storage)->sin_addr;
    return true;
}

static struct net_port *multicast_open_port(struct loop *loop, const char *id, struct multicast *m,
                                            const struct net_dgram_options *o,
                                            const struct sockaddr_in *group, struct in_addr local,
                                            struct error *err)
{
    char remote[300];
    int in = -1, out = open_sender(group, local, &m->packet.skip);
    struct net_port *port = NULL;

    if (out >= 0)
        in = join(group, local);
    if (in < 0)
        error_set(err, "remote %s: the multicast group: %s", address_text(&o->remote, remote, sizeof(remote)),
                  strerror(errno));
    else
        port = packet_fd_open(loop, id, &multicast_wire, &m->packet, in, err);
    if (port) {
        m->out = (struct fd_watch){.loop = loop, .fd = out, .ready = multicast_out_ready, .opaque = m};
        return port;
    }
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return NULL;
}

struct net_port *multicast_open(struct loop *loop, const char *id, const struct net_dgram_options *options,
                                const struct socket_address *group, struct error *err)
{
    struct multicast *m = calloc(1, sizeof(*m));
    struct net_port *port = NULL;
    struct in_addr local;
    char remote[300];

    if (!m) {
        error_set(err, "out of memory");
        return NULL;
    }
    m->packet.socket = true;
    m->packet.failed = read_failed;
    if (find_local(&options->local, &local, err))
        port = multicast_open_port(loop, id, m, options, (const struct sockaddr_in *)&group->storage, local,
                                   err);
    if (!port) {
        free(m);
        return NULL;
    }
    if (asprintf(&port->info, "remote=%s", address_text(&options->remote, remote, sizeof(remote))) < 0)
        port->info = NULL;
    return port;
}
