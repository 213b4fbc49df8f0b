/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A wire on a descriptor of which a read or write is one whole frame: a tap device, a datagram socket. */
#ifndef NET_PACKET_FD_H
#define NET_PACKET_FD_H

#include <linux/virtio_net.h>
#include <netinet/in.h>

#include "net/fd_watch.h"
#include "net/net.h"

enum {
    PACKET_BATCH = 32,                                              /* frames that one call may read */
    PACKET_SIZE = sizeof(struct virtio_net_hdr) + NET_MAX_FRAME + 1 /* one more: longer ones show */
};

struct packet_fd {
    struct net_port *port;
    struct fd_watch watch;
    bool socket;             /* several datagrams are read at once */
    struct sockaddr_in skip; /* ... and those from there dropped; family 0: none is */
    bool offload;            /* a struct virtio_net_hdr stands before each frame */
    bool idle;               /* nothing is read */
    bool full;               /* the last frame did not fit */
    /*
     * After a failed read or write (errno). Of a read: is there still something behind the descriptor? NULL:
     * there is not, and the wire is cut.
     */
    bool (*failed)(struct packet_fd *packet);
    /* What was read and not taken yet. */
    unsigned first, count;
    size_t lengths[PACKET_BATCH];
    uint8_t packets[PACKET_BATCH][PACKET_SIZE];
};

/* Makes the port of a wire whose wire_data begins with packet (socket, skip, offload, idle, failed are set),
 * and starts reading fd, which is the port's from then on (made non-blocking). NULL with *err; fd is the
 * caller's still. */
struct net_port *packet_fd_open(struct loop *loop, const char *id, const struct net_wire *wire,
                                struct packet_fd *packet, int fd, struct error *err);

/* idle: what arrives stays with the kernel, what was read is dropped. */
void packet_fd_set_idle(struct packet_fd *packet, bool idle);

/* For struct net_wire. close: unwatches and closes the descriptor; packet is the caller's to free. */
bool packet_fd_send(struct net_port *port, const struct net_frame *frame);
void packet_fd_resume(struct net_port *port);
void packet_fd_waiting(struct net_port *port, net_frame_function *frame, void *opaque);
void packet_fd_close(struct net_port *port);

#endif
