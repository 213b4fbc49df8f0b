/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/address.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool find_unix(const char *path, const char *key, struct socket_address *address, struct error *err)
{
    struct sockaddr_un *name = (struct sockaddr_un *)&address->storage;
    size_t length = strlen(path);

    if (!length || length >= sizeof(name->sun_path))
        return error_set(err, "%s.path=%s: not a path of 1 to %zu characters", key, path,
                         sizeof(name->sun_path) - 1);
    name->sun_family = AF_UNIX;
    memcpy(name->sun_path, path, length);
    address->length = sizeof(*name);
    return true;
}

static bool find_inet(const struct net_address *o, const char *key, int type, struct socket_address *address,
                      struct error *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = type}, *found;
    int why = getaddrinfo(*o->host ? o->host : "0.0.0.0", o->port, &hints, &found);

    if (why)
        return error_set(err, "%s %s:%s: %s", key, o->host, o->port, gai_strerror(why));
    memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
    address->length = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

bool address_find(const struct net_address *options, const char *key, int type,
                  struct socket_address *address, struct error *err)
{
    memset(address, 0, sizeof(*address));
    return options->kind == NET_ADDRESS_UNIX ? find_unix(options->path, key, address, err)
                                             : find_inet(options, key, type, address, err);
}

static void remove_socket(const char *path)
{
    struct stat st;

    if (!lstat(path, &st) && S_ISSOCK(st.st_mode))
        unlink(path);
}

int address_bind(const struct socket_address *address, int type, const struct net_address *options,
                 const char *key, struct error *err)
{
    int fd = socket(address->storage.ss_family, type | SOCK_CLOEXEC, 0), on = 1;
    char text[300];

    if (options->kind == NET_ADDRESS_UNIX)
        remove_socket(options->path);
    else if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd >= 0 && !bind(fd, (const struct sockaddr *)&address->storage, address->length))
        return fd;
    error_set(err, "%s %s: %s", key, address_text(options, text, sizeof(text)), strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

bool address_check_fd(int fd, int type, struct error *err)
{
    int is;
    socklen_t length = sizeof(is);

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &is, &length))
        return error_set(err, "file descriptor %d is no socket: %s", fd, strerror(errno));
    return is == type || error_set(err, "file descriptor %d is no %s socket", fd,
                                   type == SOCK_DGRAM ? "datagram" : "stream");
}

const char *address_text(const struct net_address *options, char *text, size_t size)
{
    if (options->kind == NET_ADDRESS_UNIX)
        snprintf(text, size, "%s", options->path);
    else if (options->kind == NET_ADDRESS_INET)
        snprintf(text, size, "%s:%s", options->host, options->port);
    else
        snprintf(text, size, "fd %d", options->fd);
    return text;
}
