/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the options of the user network say, in libslirp's terms. */
#ifndef NET_USER_CONFIG_H
#define NET_USER_CONFIG_H

#include <slirp/libslirp.h>

#include "net/wires.h"

struct user_forward {
    bool udp;
    struct in_addr host, guest; /* guest 0: the first address that DHCP gives */
    uint16_t host_port, guest_port;
};

/* "[tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport". False with *err, which names the text. */
bool user_parse_forward(const char *text, struct user_forward *forward, struct error *err);
/* Its first half, which names the host's end: "[tcp|udp]:[hostaddr]:hostport". */
bool user_parse_listener(const char *text, struct user_forward *forward, struct error *err);

/* *config refers to strings of options. False with *err, which names the option. */
bool user_configure(const struct net_user_options *options, SlirpConfig *config, struct error *err);

#endif
