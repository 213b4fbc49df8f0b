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

/* Where a socket is bound or connected. */
struct net_address {
    enum { NET_ADDRESS_NONE, NET_ADDRESS_UNIX, NET_ADDRESS_INET, NET_ADDRESS_FD } kind;
    const char *path;        /* of a UNIX socket */
    const char *host, *port; /* inet; names or numbers, host "": every interface */
    int fd;
};

/*
 * A datagram socket of which each datagram is a frame. If remote is an IPv4 multicast group, the frames of
 * all its members but our own arrive; local then says the interface, or is none, and its port does not count.
 */
struct net_dgram_options {
    struct net_address local;  /* ours, made anew; or a connected socket's descriptor */
    struct net_address remote; /* where frames go, of local's kind; need not be there yet */
};

struct net_port *net_open_dgram(struct loop *loop, const char *id, const struct net_dgram_options *options,
                                struct error *err);

/* A stream socket: before each frame four bytes of its length, big endian. */
struct net_stream_options {
    struct net_address address; /* a descriptor is a connected socket, or with server one to listen on */
    bool server;                /* listen there, instead of connecting to it */
    unsigned reconnect_ms;      /* until a connection that failed is tried again, 0: it is not */
};

struct net_port *net_open_stream(struct loop *loop, const char *id, const struct net_stream_options *options,
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
/* Of such a port only (its wire is of the kind user): another hostfwd, or one less by its host's end. */
bool net_user_add_forward(struct net_port *port, const char *forward, struct error *err);
bool net_user_remove_forward(struct net_port *port, const char *listener, struct error *err);
/* Frames that wait for the card, and those that found no space to. */
void net_user_count(struct net_port *port, unsigned *waiting, uint64_t *lost);
/* The connections, a line each, for people; caller frees. */
char *net_user_connections(struct net_port *port);

#endif
