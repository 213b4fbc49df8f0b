/* SPDX-License-Identifier: GPL-2.0-or-later */
/* UNIX and TCP sockets: a server has one client at a time, a client one server. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/acceptor.h"
#include "base/log.h"
#include "char/kind.h"

struct chardev_socket {
    struct chardev chr;
    struct acceptor listening; /* a server's, while it has no client */
    int listen_fd;             /* -1: no server */
    char *unlink_path;         /* a UNIX server's socket file, removed at the end */
    bool nodelay;
};

static struct chardev_socket *socket_of(struct chardev *chr)
{
    return (struct chardev_socket *)chr;
}

/* ---- input, with descriptors ---- */

static void take_passed_fds(struct chardev *chr, struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (chr->fd_count < CHARDEV_FDS_MAX)
                chr->fds[chr->fd_count++] = fd;
            else
                close(fd);
        }
    }
}

static ssize_t socket_read(struct chardev *chr, uint8_t *data, size_t length)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(CHARDEV_FDS_MAX * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = data, .iov_len = length};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.space,
                         .msg_controllen = sizeof(control.space)};
    ssize_t n;

    n = recvmsg(chr->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n > 0)
        take_passed_fds(chr, &msg);
    return n;
}

/* ---- clients ---- */

static void socket_open_line(struct chardev_socket *s, int fd)
{
    int one = 1;

    if (s->nodelay)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    chardev_open_line(&s->chr, fd);
}

static void accept_ready(void *opaque)
{
    struct chardev_socket *s = opaque;
    int fd = acceptor_take(&s->listening, NULL, NULL);

    if (fd < 0)
        return;
    /* One client at a time: the next waits in the kernel's queue. */
    acceptor_stop(&s->listening);
    socket_open_line(s, fd);
}

static void start_listening(struct chardev *chr)
{
    struct chardev_socket *s = socket_of(chr);

    if (s->listen_fd >= 0)
        acceptor_start(&s->listening, chr->loop, s->listen_fd, accept_ready, s);
}

/* ---- addresses ---- */

/* The socket file of a process that is gone is in the way; one that answers is somebody's. */
static bool remove_stale(const struct sockaddr_un *addr)
{
    struct stat st;
    bool alive;
    int fd;

    if (lstat(addr->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return true;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    alive = fd >= 0 && (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EAGAIN);
    if (fd >= 0)
        close(fd);
    if (alive) {
        errno = EADDRINUSE;
        return false;
    }
    unlink(addr->sun_path);
    return true;
}

static int chardev_open_unix(struct chardev_socket *s, const struct chardev_options *options,
                             struct error *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(options->path) >= sizeof(addr.sun_path)) {
        error_set(err, "%s: longer than the %zu bytes that a UNIX socket's path may have", options->path,
                  sizeof(addr.sun_path) - 1);
        return -1;
    }
    strcpy(addr.sun_path, options->path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 ||
        (options->server ? !remove_stale(&addr) || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
                               listen(fd, 8) < 0
                         : connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)) {
        error_set(err, "%s: cannot %s: %s", options->path, options->server ? "listen there" : "connect",
                  strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    if (options->server)
        s->unlink_path = strdup(options->path);
    return fd;
}

static int open_address(const struct addrinfo *ai, bool server)
{
    int one = 1, fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), saved;

    if (fd < 0)
        return -1;
    if (server)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (server ? bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, 8) == 0
               : connect(fd, ai->ai_addr, ai->ai_addrlen) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int chardev_open_tcp(const struct chardev_options *options, struct error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = options->server ? AI_PASSIVE : 0};
    struct addrinfo *list;
    const char *host = options->host && options->host[0] ? options->host : NULL;
    int rc = getaddrinfo(host, options->port, &hints, &list), fd = -1;

    if (rc) {
        error_set(err, "%s:%s: %s", host ? host : "", options->port, gai_strerror(rc));
        return -1;
    }
    for (struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next)
        fd = open_address(ai, options->server);
    if (fd < 0)
        error_set(err, "%s:%s: cannot %s: %s", host ? host : "", options->port,
                  options->server ? "listen there" : "connect", strerror(errno));
    freeaddrinfo(list);
    return fd;
}

/* The port that was really taken, where 0 asked for any. */
static unsigned bound_port(int fd)
{
    struct sockaddr_storage addr;
    socklen_t length = sizeof(addr);

    if (getsockname(fd, (struct sockaddr *)&addr, &length) < 0)
        return 0;
    return ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
                                            : ((struct sockaddr_in *)&addr)->sin_port);
}

static bool name_socket(struct chardev *chr, const struct chardev_options *options, int fd)
{
    const char *server = options->server ? ",server=on" : "";
    struct sockaddr_un addr = {.sun_path = ""};
    socklen_t length = sizeof(addr) - 1;

    if (options->path)
        return asprintf(&chr->name, "unix:%s%s", options->path, server) >= 0;
    if (options->fd < 0)
        return asprintf(&chr->name, "tcp:%s:%u%s", options->host ? options->host : "",
                        options->server ? bound_port(fd) : (unsigned)atoi(options->port), server) >= 0;
    if (getsockname(fd, (struct sockaddr *)&addr, &length) == 0 && addr.sun_family == AF_UNIX)
        return asprintf(&chr->name, "unix:%s%s", addr.sun_path, server) >= 0;
    return asprintf(&chr->name, "fd:%d%s", options->fd, server) >= 0;
}

static bool chardev_check_inherited(int fd, bool server, struct error *err)
{
    int type, accepting = 0;
    socklen_t length = sizeof(type), length2 = sizeof(accepting);

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || type != SOCK_STREAM)
        return error_set(err, "fd=%d: not an open stream socket", fd);
    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &length2);
    if (!accepting != !server)
        return error_set(err, "fd=%d: %s", fd,
                         server ? "not a listening socket" : "a listening socket: server=on is missing");
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    return true;
}

/* The descriptor that is listened on, or the connection; -1 with *err. */
static int open_end(struct chardev_socket *s, const struct chardev_options *options, struct error *err)
{
    if (options->fd >= 0)
        return chardev_check_inherited(options->fd, options->server, err) ? options->fd : -1;
    return options->path ? chardev_open_unix(s, options, err) : chardev_open_tcp(options, err);
}

/* Not before the guest starts does anything go on without the client. */
static bool wait_for_client(struct chardev_socket *s, struct error *err)
{
    int fd;

    log_line("chardev %s: waiting for a connection at %s", s->chr.id, s->chr.name);
    fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return error_set(err, "%s: %s", s->chr.name, strerror(errno));
    socket_open_line(s, fd);
    return true;
}

static bool socket_open(struct chardev *chr, const struct chardev_options *options, struct error *err)
{
    struct chardev_socket *s = socket_of(chr);
    int fd;

    s->listen_fd = s->listening.watch.fd = s->listening.fd = -1;
    fd = open_end(s, options, err);
    if (fd < 0)
        return false;
    s->nodelay = options->nodelay && !options->path;
    if (!name_socket(chr, options, fd)) {
        chr->name = NULL;
        close(fd);
        return error_set(err, "out of memory");
    }
    if (!options->server) {
        socket_open_line(s, fd);
        return true;
    }
    s->listen_fd = fd;
    if (options->wait)
        return wait_for_client(s, err);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    start_listening(chr);
    return true;
}

static void socket_close(struct chardev *chr)
{
    struct chardev_socket *s = socket_of(chr);

    if (s->listen_fd >= 0) {
        acceptor_stop(&s->listening);
        close(s->listen_fd);
    }
    if (s->unlink_path)
        unlink(s->unlink_path);
    free(s->unlink_path);
}

const struct chardev_kind chardev_socket = {
    .name = "socket",
    .size = sizeof(struct chardev_socket),
    .open = socket_open,
    .close = socket_close,
    .read = socket_read,
    .connects = true,
    .hung_up = start_listening,
};
