/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What passes a wire, into a file in the format of libpcap (tcpdump, Wireshark). */
#ifndef NET_DUMP_H
#define NET_DUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct net_dump {
    bool from_card, to_card; /* which frames */
    int fd;                  /* -1: writing failed, and the rest is left out */
    size_t max;              /* bytes of each frame */
    char *path;
    struct net_dump *next;
};

enum { NET_DUMP_MAX = 65536 };

/* The file is made anew. NULL with *err. */
struct net_dump *net_dump_open(const char *path, size_t max, struct error *err);
void net_dump_close(struct net_dump *dump);

/* Into all of the list that want it. A file that takes no more is given up with a line in the log. */
void net_dump_frame(struct net_dump *first, bool from_card, const uint8_t *data, size_t length);

#endif
