/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Wires: what a network card's frames go through to the host. A net_port is one end of a wire, named by
 * -netdev id=. */
#ifndef NET_NET_H
#define NET_NET_H

struct net_port {
    char *id;
    struct net_port *next; /* the machine's list */
};

struct net_port *net_find(struct net_port *first, const char *id);

#endif
