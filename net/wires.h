/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kinds of wire. Each opener gives a port, closed by net_close; NULL with *err. Strings are copied. */
#ifndef NET_WIRES_H
#define NET_WIRES_H

#include "net/net.h"

enum net_choice { NET_AUTO, NET_ON, NET_OFF };

struct net_tap_options {
    const char *ifname;              /* created if it is not there; NULL: the kernel names it */
    const char *bridge;              /* the interface is put into it and set up; NULL: no */
    const char *script, *downscript; /* run with the interface's name at the start and at the end; NULL: no */
    int fd;                          /* an open tap device, or -1 */
    enum net_choice vnet_hdr;        /* leave checksums and segmentation to the kernel; AUTO: if it can */
    uint64_t sndbuf;                 /* bytes that may be on the way; 0: no limit */
};

struct net_port *net_open_tap(struct loop *loop, const char *id, const struct net_tap_options *options,
                              struct error *err);

/* A datagram socket of which each datagram is a frame. */
struct net_dgram_options {
    const char *local, *remote; /* paths of UNIX sockets: ours, made anew, and where frames go; remote need
                                   not be there yet */
    int fd;                     /* a connected socket instead of both, or -1 */
};

struct net_port *net_open_dgram(struct loop *loop, const char *id, const struct net_dgram_options *options,
                                struct error *err);

/* The user-mode network of libslirp, which needs no rights on the host. NULL stands for what QEMU has. */
struct net_user_options {
    bool no_ipv4, no_ipv6;
    bool restricted; /* nothing beyond the network's own addresses */
    const char *net; /* ADDRESS[/BITS] */
    const char *host, *dhcpstart, *dns;
    const char *hostname, *domainname;
    const char *tftp, *tftp_server_name, *bootfile; /* tftp: a directory */
    const char *ipv6_prefix, *ipv6_host, *ipv6_dns;
    unsigned ipv6_prefix_length;
    const char *const *hostfwd; /* [tcp|udp]:[hostaddr]:port-[guestaddr]:port; ends with NULL */
    const char **dnssearch;     /* ends with NULL */
};

struct net_port *net_open_user(struct loop *loop, const char *id, const struct net_user_options *options,
                               struct error *err);

#endif
