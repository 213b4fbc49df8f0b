/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses of sockets that wires end at. */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include <sys/socket.h>

#include "net/wires.h"

struct socket_address {
    struct sockaddr_storage storage;
    socklen_t length; /* 0: there is none */
};

/* What the options say, of a UNIX or inet kind; key is the option's ("addr"), for messages. Names are looked
 * up, which may take its time. type: SOCK_STREAM, SOCK_DGRAM. */
bool address_find(const struct net_address *options, const char *key, int type,
                  struct socket_address *address, struct error *err);
/* A bound socket; a UNIX one that an earlier process left is replaced, anything else there is not. -1 with
 * *err. */
int address_bind(const struct socket_address *address, int type, const struct net_address *options,
                 const char *key, struct error *err);
/* Is fd a socket of that type? */
bool address_check_fd(int fd, int type, struct error *err);
/* The path, or HOST:PORT. */
const char *address_text(const struct net_address *options, char *text, size_t size);

#endif
