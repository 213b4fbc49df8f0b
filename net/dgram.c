/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A datagram socket: each datagram is a frame. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/multicast.h"
#include "net/packet_fd.h"

struct dgram {
    struct packet_fd packet;      /* first: the port's wire_data */
    struct socket_address remote; /* none: the socket came connected */
    bool connected;
    char *path; /* of ours, removed at the end */
};

/* The kernel tells when the peer has space again only where the socket is connected, so it is; the peer may
 * come late, go, and come back: each frame that finds nobody is lost, as on a real wire. */
static bool dgram_send(struct net_port *port, const struct net_frame *frame)
{
    struct dgram *dgram = port->wire_data;

    if (!dgram->connected && dgram->packet.watch.fd >= 0)
        dgram->connected = !connect(dgram->packet.watch.fd, (const struct sockaddr *)&dgram->remote.storage,
                                    dgram->remote.length);
    return !dgram->connected || packet_fd_send(port, frame);
}

static bool dgram_failed(struct packet_fd *packet)
{
    struct dgram *dgram = (struct dgram *)packet;

    if (dgram->remote.storage.ss_family == AF_UNIX)
        dgram->connected = false;
    return true;
}

static void dgram_free(struct dgram *dgram)
{
    if (dgram->path)
        unlink(dgram->path);
    free(dgram->path);
    free(dgram);
}

static void dgram_close(struct net_port *port)
{
    packet_fd_close(port);
    dgram_free(port->wire_data);
}

static const struct net_wire dgram_wire = {.kind = "dgram",
                                           .send = dgram_send,
                                           .resume = packet_fd_resume,
                                           .waiting = packet_fd_waiting,
                                           .close = dgram_close};

static int bind_socket(struct dgram *dgram, const struct net_dgram_options *o, struct error *err)
{
    struct socket_address local;
    int fd;

    if (!address_find(&o->local, "local", SOCK_DGRAM, &local, err))
        return -1;
    fd = address_bind(&local, SOCK_DGRAM, &o->local, "local", err);
    if (fd >= 0 && o->local.kind == NET_ADDRESS_UNIX)
        dgram->path = strdup(o->local.path);
    return fd;
}

static void dgram_set_info(struct net_port *port, const struct net_dgram_options *o)
{
    char local[300], remote[300];

    if (o->remote.kind &&
        asprintf(&port->info, "local=%s,remote=%s", address_text(&o->local, local, sizeof(local)),
                 address_text(&o->remote, remote, sizeof(remote))) < 0)
        port->info = NULL;
}

/* Only who sends to a group need not say where he is himself. */
static bool check_local(const struct net_dgram_options *o, struct error *err)
{
    char remote[300];

    return o->local.kind == NET_ADDRESS_UNIX || o->local.kind == NET_ADDRESS_FD || o->local.port ||
           error_set(err, "remote %s is no multicast group: a local address and port are needed",
                     address_text(&o->remote, remote, sizeof(remote)));
}

struct net_port *net_open_dgram(struct loop *loop, const char *id, const struct net_dgram_options *options,
                                struct error *err)
{
    bool inherited = options->local.kind == NET_ADDRESS_FD;
    struct socket_address remote = {.length = 0};
    struct net_port *port = NULL;
    struct dgram *dgram;
    int fd = options->local.fd;

    if (!inherited && !address_find(&options->remote, "remote", SOCK_DGRAM, &remote, err))
        return NULL;
    if (multicast_is_group(&remote))
        return multicast_open(loop, id, options, &remote, err);
    if (!check_local(options, err))
        return NULL;
    dgram = calloc(1, sizeof(*dgram));
    if (!dgram) {
        error_set(err, "out of memory");
        return NULL;
    }
    dgram->packet.failed = dgram_failed;
    dgram->packet.socket = true;
    dgram->remote = remote;
    dgram->connected = inherited;
    if (!inherited)
        fd = bind_socket(dgram, options, err);
    else if (!address_check_fd(fd, SOCK_DGRAM, err))
        fd = -1;
    if (fd >= 0)
        port = packet_fd_open(loop, id, &dgram_wire, &dgram->packet, fd, err);
    if (port) {
        dgram_set_info(port, options);
        return port;
    }
    if (fd >= 0 && !inherited)
        close(fd);
    dgram_free(dgram);
    return NULL;
}
