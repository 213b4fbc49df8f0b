/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A datagram socket: each datagram is a frame. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/packet_fd.h"
#include "net/wires.h"

struct dgram {
    struct packet_fd packet;   /* first: the port's wire_data */
    struct sockaddr_un remote; /* sun_path empty: the socket came connected */
    bool connected;
    char *path; /* of ours, removed at the end */
};

/* The kernel tells when the peer has room again only where the socket is connected, so it is; the peer may
 * come late, go, and come back: each frame that finds nobody is lost, as on a real wire. */
static bool dgram_send(struct net_port *port, const struct net_frame *frame)
{
    struct dgram *dgram = port->wire_data;

    if (!dgram->connected && dgram->packet.watch.fd >= 0)
        dgram->connected =
            !connect(dgram->packet.watch.fd, (const struct sockaddr *)&dgram->remote, sizeof(dgram->remote));
    return !dgram->connected || packet_fd_send(port, frame);
}

static bool dgram_failed(struct packet_fd *packet)
{
    struct dgram *dgram = (struct dgram *)packet;

    if (dgram->remote.sun_path[0])
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

static const struct net_wire dgram_wire = {
    .kind = "dgram", .send = dgram_send, .resume = packet_fd_resume, .close = dgram_close};

static bool set_path(struct sockaddr_un *address, const char *key, const char *path, struct error *err)
{
    size_t length = strlen(path);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (!length || length >= sizeof(address->sun_path))
        return error_set(err, "%s=%s: not a path of 1 to %zu characters", key, path,
                         sizeof(address->sun_path) - 1);
    memcpy(address->sun_path, path, length);
    return true;
}

/* What an earlier process left is removed, anything but a socket is not. */
static void remove_socket(const char *path)
{
    struct stat st;

    if (!lstat(path, &st) && S_ISSOCK(st.st_mode))
        unlink(path);
}

static int bind_socket(struct dgram *dgram, const struct net_dgram_options *options, struct error *err)
{
    struct sockaddr_un local;
    int fd;

    if (!set_path(&local, "local.path", options->local, err) ||
        !set_path(&dgram->remote, "remote.path", options->remote, err))
        return -1;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    remove_socket(options->local);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&local, sizeof(local))) {
        error_set(err, "local.path=%s: %s", options->local, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    dgram->path = strdup(options->local);
    return fd;
}

static bool check_socket(int fd, struct error *err)
{
    int type;
    socklen_t length = sizeof(type);

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length))
        return error_set(err, "file descriptor %d is no socket: %s", fd, strerror(errno));
    return type == SOCK_DGRAM || error_set(err, "file descriptor %d is no datagram socket", fd);
}

struct net_port *net_open_dgram(struct loop *loop, const char *id, const struct net_dgram_options *options,
                                struct error *err)
{
    struct dgram *dgram = calloc(1, sizeof(*dgram));
    struct net_port *port = NULL;
    int fd = options->fd;

    if (!dgram) {
        error_set(err, "out of memory");
        return NULL;
    }
    dgram->packet.failed = dgram_failed;
    dgram->packet.socket = true;
    dgram->connected = fd >= 0;
    if (fd < 0)
        fd = bind_socket(dgram, options, err);
    else if (!check_socket(fd, err))
        fd = -1;
    if (fd >= 0)
        port = packet_fd_open(loop, id, &dgram_wire, &dgram->packet, fd, err);
    if (!port) {
        if (fd >= 0)
            close(fd);
        dgram_free(dgram);
        return NULL;
    }
    if (dgram->path && asprintf(&port->info, "local=%s,remote=%s", options->local, options->remote) < 0)
        port->info = NULL;
    return port;
}
