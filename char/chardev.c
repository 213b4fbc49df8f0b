/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "char/chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "base/acceptor.h"
#include "base/log.h"

enum {
    ESCAPE = 1,              /* Ctrl-A */
    TERMINAL_CHUNK = 256,    /* bytes that a terminal takes without making the writer wait */
    SOCKET_MAX = 1 << 20,    /* bytes queued for a client that does not read; what is more is dropped */
    TERMINAL_MAX = 64 << 10, /* bytes queued for a terminal that nobody reads; the oldest are dropped */
    INPUT_CHUNK = 4096,      /* bytes read at once */
    FDS_MAX = 8,             /* passed descriptors that wait to be taken */
};

struct chardev {
    struct chardev *next;
    struct loop *loop;
    char *id;
    char *name; /* what query-chardev shows, without "disconnected:" */
    /*
     * The user, and with mux a second one, both heard; what is typed goes to the one in focus. Ctrl-A c
     * changes the focus, Ctrl-A x leaves, Ctrl-A Ctrl-A is Ctrl-A.
     */
    struct chardev_user users[2];
    unsigned user_count, focus;
    bool mux, escaped;
    uint32_t watched;          /* the events that the line is watched for */
    struct loop_fd watch;      /* the open line: a client, a terminal, a file */
    struct loop_fd out_watch;  /* stdio: standard output, while it does not take what there is */
    struct acceptor listening; /* a server's, while it has no client */
    int fd;                    /* -1: no line is open */
    int write_fd;              /* the same, or stdio's other half */
    int listen_fd;             /* -1: no server */
    int pty_slave;             /* held open, so that the pty never hangs up; -1: none */
    char *unlink_path;         /* a UNIX server's socket file, removed at the end */
    bool socket, input_ended, nodelay;
    bool tty_saved; /* stdio: the terminal's settings are put back */
    struct termios tty;
    uint8_t *out;
    size_t out_length, out_room;
    int fds[FDS_MAX];
    unsigned fd_count;
};

static void line_ready(void *opaque, uint32_t events);
static void output_ready(void *opaque, uint32_t events);

/* ---- what is watched ---- */

static struct chardev_user *typed_to(struct chardev *chr)
{
    return chr->user_count ? &chr->users[chr->focus] : NULL;
}

static size_t chardev_room(struct chardev *chr)
{
    const struct chardev_user *user = typed_to(chr);
    size_t n = user ? user->room(user->opaque) : 0;

    return n < INPUT_CHUNK ? n : INPUT_CHUNK;
}

/* Standard output is another descriptor than standard input. */
static void update_output_watch(struct chardev *chr)
{
    if (!chr->out_length)
        loop_unwatch(chr->loop, &chr->out_watch);
    else if (chr->out_watch.fd < 0 &&
             !loop_watch(chr->loop, &chr->out_watch, chr->write_fd, EPOLLOUT, output_ready, chr))
        chr->out_length = 0;
}

/* A line that nobody reads from and nothing waits for is not watched at all: a hang-up would be told for
 * ever. */
static void chardev_update_watch(struct chardev *chr)
{
    uint32_t want = 0;

    if (chr->fd < 0)
        return;
    if (!chr->input_ended && chardev_room(chr))
        want |= EPOLLIN;
    if (chr->write_fd != chr->fd)
        update_output_watch(chr);
    else if (chr->out_length)
        want |= EPOLLOUT;
    if (want == chr->watched)
        return;
    chr->watched = want;
    if (!want) {
        loop_unwatch(chr->loop, &chr->watch);
    } else if (chr->watch.fd >= 0) {
        loop_rewatch(chr->loop, &chr->watch, want);
    } else if (!loop_watch(chr->loop, &chr->watch, chr->fd, want, line_ready, chr)) {
        chr->input_ended = true; /* a regular file or /dev/null as standard input: nothing comes from it */
        chr->watched = 0;
    }
}

/* The one in focus; with mux the other one is told when the focus comes to it. */
static void tell_opened(struct chardev *chr)
{
    const struct chardev_user *user = typed_to(chr);

    if (user && user->opened)
        user->opened(user->opaque);
}

static void drop_fds(struct chardev *chr)
{
    while (chr->fd_count)
        close(chr->fds[--chr->fd_count]);
}

static void start_listening(struct chardev *chr);

static void close_line(struct chardev *chr)
{
    loop_unwatch(chr->loop, &chr->out_watch);
    loop_unwatch(chr->loop, &chr->watch);
    chr->watched = 0;
    if (chr->fd > STDERR_FILENO)
        close(chr->fd);
    chr->fd = chr->write_fd = -1;
    chr->out_length = 0;
    drop_fds(chr);
}

static void chardev_hang_up(struct chardev *chr)
{
    if (chr->fd < 0)
        return;
    if (!chr->socket) { /* a terminal or a file: no more input, and no new line either */
        chr->input_ended = true;
        chardev_update_watch(chr);
        return;
    }
    close_line(chr);
    start_listening(chr);
    for (unsigned i = 0; i < chr->user_count; i++)
        if (chr->users[i].closed)
            chr->users[i].closed(chr->users[i].opaque);
}

/* ---- output ---- */

/* Standard output belongs to others too and is left as it is, blocking: only what it surely takes is written.
 */
static ssize_t write_some(struct chardev *chr, const uint8_t *data, size_t length)
{
    struct pollfd out = {.fd = chr->write_fd, .events = POLLOUT};

    if (chr->write_fd == chr->fd)
        return write(chr->write_fd, data, length);
    if (poll(&out, 1, 0) != 1) {
        errno = EAGAIN;
        return -1;
    }
    return write(chr->write_fd, data, length < TERMINAL_CHUNK ? length : TERMINAL_CHUNK);
}

/* Writes what the other side takes now. */
static void chardev_flush(struct chardev *chr)
{
    size_t done = 0;

    while (done < chr->out_length) {
        ssize_t n = write_some(chr, chr->out + done, chr->out_length - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n < 0 && errno != EAGAIN)
                done = chr->out_length; /* nobody will read it */
            break;
        }
        done += n;
    }
    memmove(chr->out, chr->out + done, chr->out_length - done);
    chr->out_length -= done;
}

/* Grows the queue to hold length bytes. */
static bool reserve_output(struct chardev *chr, size_t length)
{
    size_t size = chr->out_room ? chr->out_room : 1024;
    uint8_t *out;

    while (size < length)
        size *= 2;
    if (size == chr->out_room)
        return true;
    out = realloc(chr->out, size);
    if (!out)
        return false;
    chr->out = out;
    chr->out_room = size;
    return true;
}

/*
 * Makes room in a full queue. A client of a socket gets each write whole or not at all (it may be a message);
 * of a terminal that nobody looks at the newest output is worth most.
 */
static bool make_room(struct chardev *chr, size_t length)
{
    size_t drop;

    if (chr->socket)
        return chr->out_length + length <= SOCKET_MAX;
    if (chr->out_length + length <= TERMINAL_MAX)
        return true;
    drop = chr->out_length / 2;
    memmove(chr->out, chr->out + drop, chr->out_length - drop);
    chr->out_length -= drop;
    return length <= TERMINAL_MAX / 2;
}

void chardev_write(struct chardev *chr, const uint8_t *data, size_t length)
{
    if (chr->write_fd < 0 || !length || !make_room(chr, length) ||
        !reserve_output(chr, chr->out_length + length))
        return;
    memcpy(chr->out + chr->out_length, data, length);
    chr->out_length += length;
    chardev_flush(chr);
    chardev_update_watch(chr);
}

size_t chardev_pending(const struct chardev *chr)
{
    return chr->out_length;
}

/* ---- input ---- */

static void take_passed_fds(struct chardev *chr, struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (chr->fd_count < FDS_MAX)
                chr->fds[chr->fd_count++] = fd;
            else
                close(fd);
        }
    }
}

static ssize_t read_line(struct chardev *chr, uint8_t *data, size_t length)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = data, .iov_len = length};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.space,
                         .msg_controllen = sizeof(control.space)};
    ssize_t n;

    if (!chr->socket)
        return read(chr->fd, data, length);
    n = recvmsg(chr->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n > 0)
        take_passed_fds(chr, &msg);
    return n;
}

static void output_ready(void *opaque, uint32_t events)
{
    struct chardev *chr = opaque;

    chardev_flush(chr);
    chardev_update_watch(chr);
}

/* The byte after Ctrl-A. */
static void escape(struct chardev *chr, uint8_t byte)
{
    struct chardev_user *user = typed_to(chr);

    chr->escaped = false;
    if (byte == ESCAPE)
        user->receive(user->opaque, &byte, 1);
    if (byte == 'c') {
        chr->focus = (chr->focus + 1) % chr->user_count;
        tell_opened(chr);
    }
    for (unsigned i = 0; byte == 'x' && i < chr->user_count; i++)
        if (chr->users[i].leave)
            chr->users[i].leave(chr->users[i].opaque);
}

static void chardev_deliver(struct chardev *chr, const uint8_t *data, size_t length)
{
    struct chardev_user *user = typed_to(chr);

    if (!chr->mux) {
        user->receive(user->opaque, data, length);
        return;
    }
    for (size_t i = 0; i < length; i++) {
        user = typed_to(chr);
        if (chr->escaped)
            escape(chr, data[i]);
        else if (data[i] == ESCAPE)
            chr->escaped = true;
        else if (user->room(user->opaque))
            user->receive(user->opaque, data + i, 1);
    }
}

static void line_ready(void *opaque, uint32_t events)
{
    struct chardev *chr = opaque;
    uint8_t data[INPUT_CHUNK];
    size_t want;
    ssize_t n;

    if (events & (EPOLLOUT | EPOLLERR))
        chardev_flush(chr);
    want = chr->input_ended ? 0 : chardev_room(chr);
    if (want && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        n = read_line(chr, data, want);
        if (n > 0)
            chardev_deliver(chr, data, n);
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
            chardev_hang_up(chr);
    }
    chardev_update_watch(chr);
}

void chardev_accept_input(struct chardev *chr)
{
    chardev_update_watch(chr);
}

int chardev_take_fd(struct chardev *chr)
{
    int fd;

    if (!chr->fd_count)
        return -1;
    fd = chr->fds[0];
    memmove(chr->fds, chr->fds + 1, --chr->fd_count * sizeof(chr->fds[0]));
    return fd;
}

/* ---- sockets ---- */

static void open_line(struct chardev *chr, int fd)
{
    int one = 1;

    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (chr->nodelay)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    chr->fd = chr->write_fd = fd;
    chr->input_ended = false;
    tell_opened(chr);
    chardev_update_watch(chr);
}

static void accept_ready(void *opaque)
{
    struct chardev *chr = opaque;
    int fd = acceptor_take(&chr->listening, NULL, NULL);

    if (fd < 0)
        return;
    /* One client at a time: the next waits in the kernel's queue. */
    acceptor_stop(&chr->listening);
    open_line(chr, fd);
}

static void start_listening(struct chardev *chr)
{
    if (chr->listen_fd >= 0)
        acceptor_start(&chr->listening, chr->loop, chr->listen_fd, accept_ready, chr);
}

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

static int chardev_open_unix(struct chardev *chr, const struct chardev_options *options, struct error *err)
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
        chr->unlink_path = strdup(options->path);
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

static bool chardev_open_socket(struct chardev *chr, const struct chardev_options *options, struct error *err)
{
    int fd = options->fd;

    if (fd >= 0 ? !chardev_check_inherited(fd, options->server, err)
                : (fd = options->path ? chardev_open_unix(chr, options, err)
                                      : chardev_open_tcp(options, err)) < 0)
        return false;
    chr->socket = true;
    chr->nodelay = options->nodelay && !options->path;
    if (!name_socket(chr, options, fd)) {
        close(fd);
        return error_set(err, "out of memory");
    }
    if (!options->server) {
        open_line(chr, fd);
        return true;
    }
    chr->listen_fd = fd;
    if (options->wait) {
        log_line("chardev %s: waiting for a connection at %s", chr->id, chr->name);
        fd = accept4(chr->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return error_set(err, "%s: %s", chr->name, strerror(errno));
        open_line(chr, fd);
        return true;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    start_listening(chr);
    return true;
}

/* ---- terminals and files ---- */

static bool open_pty(struct chardev *chr, struct error *err)
{
    struct termios tty;
    char path[64];
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0 || ptsname_r(fd, path, sizeof(path)) ||
        (chr->pty_slave = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0) {
        error_set(err, "no pseudo terminal to be had: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    tcgetattr(chr->pty_slave, &tty);
    cfmakeraw(&tty);
    tcsetattr(chr->pty_slave, TCSANOW, &tty);
    log_line("char device redirected to %s (label %s)", path, chr->id);
    if (asprintf(&chr->name, "pty:%s", path) < 0)
        return error_set(err, "out of memory");
    open_line(chr, fd);
    return true;
}

static bool open_stdio(struct chardev *chr, const struct chardev_options *options)
{
    struct termios raw;

    chr->name = strdup("stdio");
    if (tcgetattr(STDIN_FILENO, &chr->tty) == 0) {
        chr->tty_saved = true;
        raw = chr->tty;
        raw.c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
        raw.c_lflag &= ~(ECHO | ECHONL | ICANON | IEXTEN | (options->raw ? ISIG : 0));
        raw.c_cflag = (raw.c_cflag & ~(CSIZE | PARENB)) | CS8;
        raw.c_cc[VMIN] = 1;
        raw.c_cc[VTIME] = 0;
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    chr->fd = STDIN_FILENO;
    chr->write_fd = STDOUT_FILENO;
    return true;
}

static bool open_file(struct chardev *chr, const struct chardev_options *options, struct error *err)
{
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (options->append ? O_APPEND : O_TRUNC);
    int fd = open(options->path, flags, 0666);

    if (fd < 0)
        return error_set(err, "%s: %s", options->path, strerror(errno));
    chr->name = strdup("file");
    open_line(chr, fd);
    chr->input_ended = true;
    chardev_update_watch(chr);
    return true;
}

/* A character device of the host, such as /dev/ttyS0: both directions. */
static bool chardev_open_device(struct chardev *chr, const struct chardev_options *options, struct error *err)
{
    struct termios tty;
    int fd = open(options->path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return error_set(err, "%s: %s", options->path, strerror(errno));
    if (tcgetattr(fd, &tty) == 0) {
        cfmakeraw(&tty);
        tcsetattr(fd, TCSANOW, &tty);
    }
    chr->name = strdup("serial");
    open_line(chr, fd);
    return true;
}

/* ---- making and finding ---- */

static bool open_backend(struct chardev *chr, const struct chardev_options *options, struct error *err)
{
    const char *backend = options->backend;

    if (!strcmp(backend, "socket"))
        return chardev_open_socket(chr, options, err);
    if (!strcmp(backend, "pty"))
        return open_pty(chr, err);
    if (!strcmp(backend, "stdio"))
        return open_stdio(chr, options);
    if (!strcmp(backend, "file"))
        return open_file(chr, options, err);
    if (!strcmp(backend, "serial"))
        return chardev_open_device(chr, options, err);
    if (!strcmp(backend, "null")) {
        chr->name = strdup("null");
        return true;
    }
    return error_set(err, "there is no character device backend '%s'", backend);
}

struct chardev *chardev_open(struct loop *loop, const char *id, const struct chardev_options *options,
                             struct error *err)
{
    struct chardev *chr = calloc(1, sizeof(*chr));

    if (!chr) {
        error_set(err, "out of memory");
        return NULL;
    }
    chr->loop = loop;
    chr->fd = chr->write_fd = chr->listen_fd = chr->pty_slave = -1;
    chr->watch.fd = chr->out_watch.fd = chr->listening.watch.fd = chr->listening.fd = -1;
    chr->mux = options->mux;
    chr->id = strdup(id);
    if (!open_backend(chr, options, err)) {
        chardev_close(chr);
        return NULL;
    }
    return chr;
}

void chardev_close(struct chardev *chr)
{
    if (chr->write_fd >= 0 && chr->out_length)
        chardev_flush(chr);
    chr->user_count = 0;
    close_line(chr);
    if (chr->listen_fd >= 0) {
        acceptor_stop(&chr->listening);
        close(chr->listen_fd);
    }
    if (chr->unlink_path)
        unlink(chr->unlink_path);
    if (chr->pty_slave >= 0)
        close(chr->pty_slave);
    if (chr->tty_saved)
        tcsetattr(STDIN_FILENO, TCSANOW, &chr->tty);
    free(chr->unlink_path);
    free(chr->out);
    free(chr->name);
    free(chr->id);
    free(chr);
}

const char *chardev_id(const struct chardev *chr)
{
    return chr->id;
}

bool chardev_connected(const struct chardev *chr)
{
    return !chr->socket || chr->fd >= 0;
}

const char *chardev_filename(struct chardev *chr, char *text, size_t size)
{
    snprintf(text, size, "%s%s", chardev_connected(chr) ? "" : "disconnected:", chr->name);
    return text;
}

bool chardev_set_user(struct chardev *chr, const struct chardev_user *user)
{
    if (user && !chardev_free(chr))
        return false;
    if (user) {
        chr->users[chr->user_count++] = *user;
        if (chardev_connected(chr) && chr->user_count == 1)
            tell_opened(chr);
    } else if (chr->user_count) {
        chr->user_count--;
        chr->focus = 0;
    }
    chardev_update_watch(chr);
    return true;
}

bool chardev_in_use(const struct chardev *chr)
{
    return chr->user_count != 0;
}

bool chardev_free(const struct chardev *chr)
{
    return chr->user_count < (chr->mux ? 2 : 1);
}

void chardev_disconnect(struct chardev *chr)
{
    if (chr->socket)
        chardev_hang_up(chr);
}

struct chardev *chardev_find(struct chardev *first, const char *id)
{
    while (first && strcmp(first->id, id))
        first = first->next;
    return first;
}

struct chardev *chardev_next(const struct chardev *chr)
{
    return chr->next;
}

void chardev_link(struct chardev **first, struct chardev *chr)
{
    while (*first)
        first = &(*first)->next;
    *first = chr;
}
