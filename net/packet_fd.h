/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A wire on a descriptor of which a read or write is one whole frame: a tap device, a datagram socket. */
#ifndef NET_PACKET_FD_H
#define NET_PACKET_FD_H

#include "net/net.h"

struct packet_fd {
    struct net_port *port;
    struct loop_fd watch;
    uint32_t events; /* watched for at present; 0: the descriptor is not watched */
    bool full;       /* the last frame did not fit */
    size_t kept;     /* length of the frame that the card had no room for, 0: none */
    /*
     * After a failed read or write (errno). Of a read: is there still something behind the descriptor? NULL:
     * there is not, and the wire is cut.
     */
    bool (*failed)(struct packet_fd *packet);
    uint8_t frame[NET_MAX_FRAME + 1]; /* one more: longer ones show, and are dropped */
};

/* Makes the port of a wire whose wire_data begins with packet, and starts reading fd, which is the port's
 * from then on (made non-blocking). NULL with *err; fd is the caller's still. */
struct net_port *packet_fd_open(struct loop *loop, const char *id, const struct net_wire *wire,
                                struct packet_fd *packet, int fd, struct error *err);

/* For struct net_wire. close: unwatches and closes the descriptor; packet is the caller's to free. */
bool packet_fd_send(struct net_port *port, const uint8_t *data, size_t length);
void packet_fd_resume(struct net_port *port);
void packet_fd_close(struct net_port *port);

#endif
