/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stream socket: frames with their length before them, to one peer at a time. While there is none frames
 * are lost, as on a cable that ends nowhere.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "net/address.h"
#include "net/fd_watch.h"
#include "net/frame_reader.h"

enum {
    ROUND = 4,          /* reads before others have their turn */
    LENGTH = 4,         /* bytes before each frame */
    OUT_SIZE = 64 << 10 /* frames of a burst go out in pieces of about that */
};

struct stream {
    struct net_port *port;
    struct fd_watch listener, peer;
    struct socket_address address; /* to connect to */
    char *name;                    /* of the other end or ours, for people */
    char *path;                    /* of ours, removed at the end */
    unsigned reconnect_ms;         /* 0: never */
    struct timer retry;
    bool connecting;
    bool waiting; /* the card is full */
    bool full;    /* the socket is full: it has to take what is in out first */
    size_t out_first, out_end;
    uint8_t out[OUT_SIZE];
    struct frame_reader reader;
};

/* Of the listener changes only: who cannot be accepted for want of descriptors waits until somebody else
 * comes or goes, and wakes nobody meanwhile. */
static void stream_update_watch(struct stream *stream)
{
    bool out = stream->connecting || stream->full;

    fd_watch_set(&stream->peer, (stream->waiting || stream->connecting ? 0 : EPOLLIN) | (out ? EPOLLOUT : 0));
    fd_watch_set(&stream->listener, stream->peer.fd < 0 ? EPOLLIN | EPOLLET : 0);
}

static void stream_set_info(struct stream *stream)
{
    char *info;

    if (asprintf(&info, "%s,%s", stream->name,
                 stream->peer.fd >= 0 && !stream->connecting ? "connected" : "no peer") < 0)
        return;
    free(stream->port->info);
    stream->port->info = info;
}

/* ---- peers come and go ---- */

static void take_peer(struct stream *stream, int fd)
{
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* fails on others than TCP's */
    stream->peer.fd = fd;
    frame_reader_reset(&stream->reader);
}

static void retry_later(struct stream *stream)
{
    if (stream->reconnect_ms)
        timer_set(&stream->retry, clock_now(stream->retry.clock) + stream->reconnect_ms * NS_PER_MS);
}

static void lose_peer(struct stream *stream)
{
    fd_watch_close(&stream->peer);
    stream->connecting = stream->waiting = stream->full = false;
    stream->out_first = stream->out_end = 0;
    retry_later(stream);
    stream_set_info(stream);
    stream_update_watch(stream);
    net_sent(stream->port); /* for nobody the card need not wait */
}

static void stream_accept_peer(void *opaque, uint32_t events)
{
    struct stream *stream = opaque;
    int fd = accept4(stream->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return;
    take_peer(stream, fd);
    stream_set_info(stream);
    stream_update_watch(stream);
}

static int connect_socket(const struct socket_address *address, int flags)
{
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), why;

    if (fd < 0 || !connect(fd, (const struct sockaddr *)&address->storage, address->length) ||
        errno == EINPROGRESS)
        return fd;
    why = errno;
    close(fd);
    errno = why;
    return -1;
}

static void try_to_connect(void *opaque)
{
    struct stream *stream = opaque;
    int fd = connect_socket(&stream->address, SOCK_NONBLOCK);

    if (fd < 0) {
        retry_later(stream);
        return;
    }
    take_peer(stream, fd);
    stream->connecting = true;
    stream_update_watch(stream);
}

static void connected(struct stream *stream)
{
    int why = 0;
    socklen_t length = sizeof(why);

    if (getsockopt(stream->peer.fd, SOL_SOCKET, SO_ERROR, &why, &length) || why) {
        lose_peer(stream);
        return;
    }
    stream->connecting = false;
    stream_set_info(stream);
}

/* ---- in ---- */

/* False: the card is full, or the peer gone. */
static bool stream_deliver_all(struct stream *stream)
{
    enum frame_reader_result result;
    const uint8_t *frame;
    size_t length;

    while ((result = frame_reader_next(&stream->reader, &frame, &length)) == FRAME_READER_FRAME) {
        stream->waiting = !net_deliver(stream->port, frame, length);
        if (stream->waiting)
            return false;
        frame_reader_drop(&stream->reader);
    }
    if (result == FRAME_READER_MORE)
        return true;
    log_limited("netdev %s: the peer does not send frames; its connection is closed", stream->port->id);
    lose_peer(stream);
    return false;
}

/* False: no more for now. */
static bool stream_read_some(struct stream *stream)
{
    size_t size;
    uint8_t *space = frame_reader_space(&stream->reader, &size);
    ssize_t n = read(stream->peer.fd, space, size);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        lose_peer(stream);
        return false;
    }
    frame_reader_add(&stream->reader, n);
    return stream_deliver_all(stream) && (size_t)n == size;
}

static void stream_resume(struct net_port *port)
{
    struct stream *stream = port->wire_data;

    stream->waiting = false;
    if (stream->peer.fd >= 0)
        stream_deliver_all(stream);
    stream_update_watch(stream);
}

/* The whole ones: what came of another is lost with the connection. */
static void stream_waiting(struct net_port *port, net_frame_function *frame, void *opaque)
{
    const struct stream *stream = port->wire_data;
    struct frame_reader reader = stream->reader;
    const uint8_t *data;
    size_t length;

    while (frame_reader_next(&reader, &data, &length) == FRAME_READER_FRAME) {
        frame(opaque, data, length);
        frame_reader_drop(&reader);
    }
}

/* ---- out ---- */

static bool is_gone(const struct stream *stream)
{
    return stream->peer.fd < 0 || stream->connecting;
}

/* Sends what is in out. False: the socket is full. A peer that is gone, or to which the stream is torn, takes
 * everything, and is lost when it is read from. */
static bool send_out(struct stream *stream)
{
    ssize_t n = send(stream->peer.fd, stream->out + stream->out_first, stream->out_end - stream->out_first,
                     MSG_NOSIGNAL);

    if (n > 0)
        stream->out_first += n;
    if (n < 0 ? errno == EAGAIN || errno == EINTR : stream->out_first < stream->out_end)
        return false;
    if (n < 0)
        shutdown(stream->peer.fd, SHUT_RDWR);
    stream->out_first = stream->out_end = 0;
    return true;
}

static void stream_flush(struct net_port *port)
{
    struct stream *stream = port->wire_data;

    if (is_gone(stream) || stream->full || !stream->out_end)
        return;
    stream->full = !send_out(stream);
    if (stream->full)
        stream_update_watch(stream);
}

static bool stream_send(struct net_port *port, const struct net_frame *frame)
{
    struct stream *stream = port->wire_data;
    uint8_t *to;

    if (is_gone(stream))
        return true;
    if (OUT_SIZE - stream->out_end < LENGTH + frame->length)
        stream_flush(port);
    if (stream->full)
        return false;
    to = stream->out + stream->out_end;
    memcpy(to, (uint8_t[LENGTH]){0, 0, frame->length >> 8, frame->length}, LENGTH);
    memcpy(to + LENGTH, frame->data, frame->length);
    stream->out_end += LENGTH + frame->length;
    if (!port->burst)
        stream_flush(port);
    return true;
}

static void stream_ready(void *opaque, uint32_t events)
{
    struct stream *stream = opaque;

    if (stream->connecting)
        connected(stream);
    if (stream->full && events & (EPOLLOUT | EPOLLERR | EPOLLHUP) && send_out(stream)) {
        stream->full = false;
        net_sent(stream->port);
    }
    if (!stream->waiting && events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        for (int i = 0; i < ROUND && stream->peer.fd >= 0 && stream_read_some(stream); i++)
            continue;
    stream_update_watch(stream);
}

/* ---- the wire ---- */

static void stream_free(struct stream *stream)
{
    if (stream->port)
        timer_cancel(&stream->retry);
    fd_watch_close(&stream->peer);
    fd_watch_close(&stream->listener);
    if (stream->path)
        unlink(stream->path);
    free(stream->path);
    free(stream->name);
    free(stream);
}

static void stream_close(struct net_port *port)
{
    stream_free(port->wire_data);
}

static const struct net_wire stream_wire = {.kind = "stream",
                                            .send = stream_send,
                                            .flush = stream_flush,
                                            .resume = stream_resume,
                                            .waiting = stream_waiting,
                                            .close = stream_close};

static bool start_server(struct stream *stream, const struct net_stream_options *o, struct error *err)
{
    struct socket_address address;
    int fd = o->address.fd;

    if (o->address.kind == NET_ADDRESS_FD) {
        if (!address_check_fd(fd, SOCK_STREAM, err))
            return false;
    } else {
        if (!address_find(&o->address, "addr", SOCK_STREAM, &address, err))
            return false;
        fd = address_bind(&address, SOCK_STREAM, &o->address, "addr", err);
        if (fd < 0)
            return false;
        if (o->address.kind == NET_ADDRESS_UNIX)
            stream->path = strdup(o->address.path);
    }
    stream->listener.fd = fd;
    return (fd_prepare(fd) && !listen(fd, 1)) || error_set(err, "addr %s: %s", stream->name, strerror(errno));
}

/* The first connection is waited for, for nobody waits for us yet; with reconnect nothing is. */
static bool start_client(struct stream *stream, const struct net_stream_options *o, struct error *err)
{
    int fd = o->address.fd;

    stream->reconnect_ms = o->reconnect_ms;
    if (o->address.kind == NET_ADDRESS_FD) {
        if (!address_check_fd(fd, SOCK_STREAM, err))
            return false;
    } else {
        if (!address_find(&o->address, "addr", SOCK_STREAM, &stream->address, err))
            return false;
        if (o->reconnect_ms) {
            try_to_connect(stream);
            return true;
        }
        fd = connect_socket(&stream->address, 0);
        if (fd < 0)
            return error_set(err, "addr %s: %s", stream->name, strerror(errno));
    }
    take_peer(stream, fd);
    return fd_prepare(fd) || error_set(err, "addr %s: %s", stream->name, strerror(errno));
}

static bool stream_start(struct stream *stream, struct loop *loop, const char *id,
                         const struct net_stream_options *o, struct error *err)
{
    char text[300];

    stream->name = strdup(address_text(&o->address, text, sizeof(text)));
    stream->port = stream->name ? net_port_new(loop, id, &stream_wire, stream) : NULL;
    if (!stream->port)
        return error_set(err, "out of memory");
    timer_init(&stream->retry, &loop->host_clock, try_to_connect, stream);
    if (!(o->server ? start_server(stream, o, err) : start_client(stream, o, err)))
        return false;
    stream_set_info(stream);
    stream_update_watch(stream);
    return true;
}

struct net_port *net_open_stream(struct loop *loop, const char *id, const struct net_stream_options *options,
                                 struct error *err)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    struct net_port *port;

    if (!stream) {
        error_set(err, "out of memory");
        return NULL;
    }
    stream->listener =
        (struct fd_watch){.loop = loop, .fd = -1, .ready = stream_accept_peer, .opaque = stream};
    stream->peer = (struct fd_watch){.loop = loop, .fd = -1, .ready = stream_ready, .opaque = stream};
    if (stream_start(stream, loop, id, options, err))
        return stream->port;
    port = stream->port;
    if (port)
        net_close(port);
    else
        stream_free(stream);
    return NULL;
}
