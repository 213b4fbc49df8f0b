/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Datagrams to a multicast group, for net_open_dgram. */
#ifndef NET_MULTICAST_H
#define NET_MULTICAST_H

#include "net/address.h"

/* An IPv4 multicast address? */
bool multicast_is_group(const struct socket_address *address);
/* The port of a member of the group; options->local is none, or an inet address whose host says the
 * interface. NULL with *err. */
struct net_port *multicast_open(struct loop *loop, const char *id, const struct net_dgram_options *options,
                                const struct socket_address *group, struct error *err);

#endif
