/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/packet_fd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"

enum { ROUND = 2 * PACKET_BATCH }; /* frames taken before others have their turn */
enum { TCP_FLAGS = 13, TCP_CWR = 0x80 };

static void packet_fd_update_watch(struct packet_fd *packet)
{
    fd_watch_set(&packet->watch,
                 (packet->count || packet->idle ? 0 : EPOLLIN) | (packet->full ? EPOLLOUT : 0));
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
    fd_watch_close(&packet->watch);
    packet->full = false;
}

/* ---- in ---- */

static bool is_skipped(const struct packet_fd *packet, const struct sockaddr_in *from)
{
    return packet->skip.sin_family && from->sin_port == packet->skip.sin_port &&
           from->sin_addr.s_addr == packet->skip.sin_addr.s_addr;
}

static int read_datagrams(struct packet_fd *packet)
{
    struct sockaddr_in from[PACKET_BATCH];
    struct mmsghdr messages[PACKET_BATCH];
    struct iovec parts[PACKET_BATCH];
    int n;

    for (int i = 0; i < PACKET_BATCH; i++) {
        parts[i] = (struct iovec){packet->packets[i], PACKET_SIZE};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
        if (packet->skip.sin_family) {
            messages[i].msg_hdr.msg_name = &from[i];
            messages[i].msg_hdr.msg_namelen = sizeof(from[i]);
        }
    }
    n = recvmmsg(packet->watch.fd, messages, PACKET_BATCH, 0, NULL);
    for (int i = 0; i < n; i++)
        packet->lengths[i] = is_skipped(packet, &from[i]) ? 0 : messages[i].msg_len;
    return n;
}

static int read_one(struct packet_fd *packet)
{
    ssize_t n = read(packet->watch.fd, packet->packets[0], PACKET_SIZE);

    if (n < 0)
        return -1;
    packet->lengths[0] = n;
    return 1;
}

/* False: nothing to read now. */
static bool packet_fd_read_some(struct packet_fd *packet)
{
    int n = packet->socket ? read_datagrams(packet) : read_one(packet);

    if (n < 0) {
        if (!try_again())
            note_failure(packet);
        return false;
    }
    packet->first = 0;
    packet->count = n;
    return true;
}

/* The kernel was not asked to leave anything to us: its header says nothing. */
static bool packet_fd_deliver(struct packet_fd *packet, unsigned i)
{
    size_t skip = packet->offload ? sizeof(struct virtio_net_hdr) : 0;

    return packet->lengths[i] <= skip ||
           net_deliver(packet->port, packet->packets[i] + skip, packet->lengths[i] - skip);
}

/* False: the card is full. */
static bool packet_fd_deliver_all(struct packet_fd *packet)
{
    while (packet->count) {
        if (!packet_fd_deliver(packet, packet->first))
            return false;
        packet->first++;
        packet->count--;
    }
    return true;
}

static void take_frames(struct packet_fd *packet)
{
    unsigned taken = 0;

    while (taken < ROUND && packet->watch.fd >= 0 && packet_fd_read_some(packet)) {
        taken += packet->count;
        if (!packet_fd_deliver_all(packet))
            return;
    }
}

static void packet_fd_ready(void *opaque, uint32_t events)
{
    struct packet_fd *packet = opaque;

    if (packet->full && events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
        packet->full = false;
        net_sent(packet->port);
    }
    if (!packet->count && !packet->idle && events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        take_frames(packet);
    if (packet->watch.fd < 0)
        net_sent(packet->port); /* from a wire that was cut nothing waits */
    packet_fd_update_watch(packet);
}

void packet_fd_resume(struct net_port *port)
{
    struct packet_fd *packet = port->wire_data;

    if (packet_fd_deliver_all(packet))
        packet_fd_update_watch(packet);
}

void packet_fd_waiting(struct net_port *port, net_frame_function *frame, void *opaque)
{
    const struct packet_fd *packet = port->wire_data;
    size_t skip = packet->offload ? sizeof(struct virtio_net_hdr) : 0;

    for (unsigned i = packet->first; i < packet->first + packet->count; i++)
        if (packet->lengths[i] > skip)
            frame(opaque, packet->packets[i] + skip, packet->lengths[i] - skip);
}

void packet_fd_set_idle(struct packet_fd *packet, bool idle)
{
    packet->idle = idle;
    if (idle)
        packet->count = 0;
    packet_fd_update_watch(packet);
}

/* ---- out ---- */

/* Fields as struct virtio_net_hdr has them, in the machine's own byte order. */
static struct virtio_net_hdr packet_fd_header_of(const struct net_frame *frame)
{
    struct virtio_net_hdr header = {.flags = 0};

    /* a place beyond the frame is left alone */
    if (!frame->needs_checksum || (size_t)frame->checksum_start + frame->checksum_offset + 2 > frame->length)
        return header;
    header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    header.csum_start = frame->checksum_start;
    header.csum_offset = frame->checksum_offset;
    if (!frame->cut)
        return header;
    header.gso_type = frame->cut == NET_CUT_TCP4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
    if (frame->data[frame->checksum_start + TCP_FLAGS] & TCP_CWR)
        header.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
    header.hdr_len = frame->headers;
    header.gso_size = frame->payload;
    return header;
}

static ssize_t packet_fd_write_frame(const struct packet_fd *packet, const struct net_frame *frame)
{
    struct virtio_net_hdr header;
    struct iovec parts[2] = {{&header, sizeof(header)}, {(void *)frame->data, frame->length}};

    if (!packet->offload)
        return write(packet->watch.fd, frame->data, frame->length);
    header = packet_fd_header_of(frame);
    return writev(packet->watch.fd, parts, 2);
}

bool packet_fd_send(struct net_port *port, const struct net_frame *frame)
{
    struct packet_fd *packet = port->wire_data;

    if (packet->watch.fd < 0)
        return true;
    if (packet->full)
        return false;
    if (packet_fd_write_frame(packet, frame) >= 0)
        return true;
    if (errno == EAGAIN) {
        packet->full = true;
        packet_fd_update_watch(packet);
        return false;
    }
    if (!try_again() && packet->failed)
        packet->failed(packet);
    return true; /* a tap interface that is down, a runt: only the frame is lost */
}

/* ---- the port ---- */

void packet_fd_close(struct net_port *port)
{
    struct packet_fd *packet = port->wire_data;

    fd_watch_close(&packet->watch);
}

struct net_port *packet_fd_open(struct loop *loop, const char *id, const struct net_wire *wire,
                                struct packet_fd *packet, int fd, struct error *err)
{
    if (!fd_prepare(fd)) {
        error_set(err, "file descriptor %d: %s", fd, strerror(errno));
        return NULL;
    }
    packet->port = net_port_new(loop, id, wire, packet);
    if (!packet->port) {
        error_set(err, "out of memory");
        return NULL;
    }
    packet->port->offloads = packet->offload;
    packet->watch = (struct fd_watch){.loop = loop, .fd = fd, .ready = packet_fd_ready, .opaque = packet};
    packet_fd_update_watch(packet);
    return packet->port;
}
