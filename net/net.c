/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/net.h"

#include <stdlib.h>
#include <string.h>

struct net_port *net_find(struct net_port *first, const char *id)
{
    while (first && strcmp(first->id, id))
        first = first->next;
    return first;
}

void net_link_port(struct net_port **first, struct net_port *port)
{
    while (*first)
        first = &(*first)->next;
    *first = port;
}
