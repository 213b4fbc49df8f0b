/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where viewers connect: TCP ports and UNIX sockets. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/util.h"
#include "vnc/viewer.h"

void listen_endpoint(struct vnc_endpoint *end, const struct sockaddr_storage *addr, socklen_t length)
{
    *end = (struct vnc_endpoint){.family = addr->ss_family == AF_INET6 ? "ipv6" : "ipv4"};
    if (addr->ss_family == AF_UNIX) {
        end->family = "unix";
        return;
    }
    if (getnameinfo((const struct sockaddr *)addr, length, end->host, sizeof(end->host), end->service,
                    sizeof(end->service), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        end->host[0] = end->service[0] = 0;
}

static bool listen_on(struct vnc *vnc, struct door *door, int fd, struct error *err)
{
    for (size_t i = 0; i < COUNT(door->listeners); i++) {
        if (door->listeners[i].fd >= 0)
            continue;
        if (acceptor_start(&door->listeners[i], vnc->loop, fd, door->ready, vnc))
            return true;
        break;
    }
    close(fd);
    return error_set(err, "vnc: cannot watch the listening socket: %s", strerror(errno));
}

static void door_close(struct door *door)
{
    for (size_t i = 0; i < COUNT(door->listeners); i++) {
        int fd = door->listeners[i].fd;

        if (fd < 0)
            continue;
        acceptor_stop(&door->listeners[i]);
        close(fd);
    }
}

void listen_stop(struct vnc *vnc)
{
    door_close(&vnc->door);
    door_close(&vnc->web_door);
}

static bool socket_in_use(const struct sockaddr_un *addr)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool used =
        fd >= 0 && (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EAGAIN);

    if (fd >= 0)
        close(fd);
    return used;
}

static bool listen_open_unix(struct vnc *vnc, const char *path, struct error *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct stat st;
    int fd;

    if (!*path || strlen(path) >= sizeof(addr.sun_path))
        return error_set(err, "unix:%s: the path is %s", path, *path ? "too long" : "missing");
    strcpy(addr.sun_path, path);
    if (socket_in_use(&addr))
        return error_set(err, "unix:%s: somebody listens there already", path);
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path); /* left behind by a process that is gone */
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, SOMAXCONN) < 0) {
        error_set(err, "unix:%s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    vnc->socket_path = strdup(path);
    snprintf(vnc->door.server.host, sizeof(vnc->door.server.host), "%s", path);
    vnc->door.server.family = "unix";
    return listen_on(vnc, &vnc->door, fd, err);
}

/* Binds and listens; -1 with errno. */
static int listen_open_tcp(const struct addrinfo *ai)
{
    int on = 1, error, fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (ai->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

/*
 * Listens on a port, at every address that the host name has. 0, or an errno: EADDRINUSE if one of the
 * addresses has that port taken; addresses of a family that this machine does not have are left out while
 * others remain.
 */
static int listen_open_port(struct vnc *vnc, struct door *door, const char *host, unsigned port,
                            struct error *err)
{
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    char service[8];
    int opened = 0, reason = 0, error;

    snprintf(service, sizeof(service), "%u", port);
    error = getaddrinfo(host[0] ? host : NULL, service, &hints, &list);
    if (error) {
        error_set(err, "%s:%d: %s", host, (int)port - VNC_BASE_PORT, gai_strerror(error));
        return EINVAL;
    }
    for (struct addrinfo *ai = list; ai; ai = ai->ai_next) {
        int fd = listen_open_tcp(ai);

        if (fd < 0) {
            reason = reason == EADDRINUSE ? reason : errno;
        } else if (listen_on(vnc, door, fd, err)) {
            struct sockaddr_storage addr;
            socklen_t length = sizeof(addr);

            if (!opened++ && getsockname(fd, (struct sockaddr *)&addr, &length) == 0)
                listen_endpoint(&door->server, &addr, length);
        }
    }
    freeaddrinfo(list);
    if (opened && reason != EADDRINUSE)
        return 0;
    door_close(door);
    error_set(err, "%s:%d: port %u: %s", host, (int)port - VNC_BASE_PORT, port, strerror(reason));
    return reason ? reason : EINVAL;
}

/* "ADDR:DISPLAY" or "[IPV6]:DISPLAY" in its parts. */
static bool listen_parse_address(const char *text, char host[108], unsigned *display, struct error *err)
{
    const char *colon = strrchr(text, ':');
    const char *start = text, *end = colon;
    char *rest;
    unsigned long number;

    if (!colon || colon[1] < '0' || colon[1] > '9')
        return error_set(err, "%s: expected ADDRESS:DISPLAY or unix:PATH", text);
    number = strtoul(colon + 1, &rest, 10);
    if (*rest || number > 65535 - VNC_BASE_PORT)
        return error_set(err, "%s: the display is a number from 0 to %d", text, 65535 - VNC_BASE_PORT);
    if (*text == '[') {
        start++;
        if (end == text || *--end != ']')
            return error_set(err, "%s: ']' is missing", text);
    }
    if (end - start >= 108)
        return error_set(err, "%s: the address is too long", text);
    memcpy(host, start, end - start);
    host[end - start] = 0;
    *display = number;
    return true;
}

static bool open_display(struct vnc *vnc, const char *address, unsigned to, struct error *err)
{
    char host[108];
    unsigned first = 0, display;
    int reason;

    if (!listen_parse_address(address, host, &first, err))
        return false;
    for (display = first;; display++) {
        reason = listen_open_port(vnc, &vnc->door, host, VNC_BASE_PORT + display, err);
        if (!reason)
            return true;
        if (reason != EADDRINUSE || display >= to || display >= 65535 - VNC_BASE_PORT)
            break;
    }
    if (reason == EADDRINUSE && display > first)
        error_set(err, "%s: all ports from %u to %u are in use", address, VNC_BASE_PORT + first,
                  VNC_BASE_PORT + display);
    return false;
}

bool listen_start(struct vnc *vnc, const char *address, unsigned to, struct error *err)
{
    if (strncmp(address, "unix:", 5) == 0)
        return listen_open_unix(vnc, address + 5, err);
    return open_display(vnc, address, to, err);
}

bool listen_start_web(struct vnc *vnc, const char *address, unsigned port, struct error *err)
{
    char host[108];
    unsigned display;

    if (!strncmp(address, "unix:", 5))
        return error_set(err, "websocket= needs an address and a port, not a UNIX socket");
    if (!listen_parse_address(address, host, &display, err))
        return false;
    if (!port)
        port = VNC_WEB_PORT + atoi(vnc->door.server.service) - VNC_BASE_PORT;
    if (listen_open_port(vnc, &vnc->web_door, host, port, err) == 0)
        return true;
    return error_prefix(err, "websocket=");
}
