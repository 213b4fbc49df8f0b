/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What cards do to packets so that their drivers need not: Internet checksums (RFC 1071), TCP and UDP
 * segmentation, VLAN tags (IEEE 802.1Q). Offsets are from the start of the frame and may come from the guest:
 * one that points beyond the frame makes no difference to it.
 */
#ifndef HW_NET_NET_OFFLOAD_H
#define HW_NET_NET_OFFLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "net/net.h"

enum { PROTOCOL_TCP = 6, PROTOCOL_UDP = 17 };
enum { VLAN_TAG = 4 /* bytes */, VLAN_TYPE = 0x8100 };

/* ---- checksums ---- */

/* The checksum of [start, end) goes to place; what stands there is part of the sum. end 0: the frame's. */
struct offload_sum {
    size_t start, end, place;
};
void offload_checksum(uint8_t *frame, size_t length, const struct offload_sum *sum);

/* The headers of an IP packet in a frame. */
struct ip_packet {
    size_t ip, transport; /* where the headers begin; both are in the frame */
    size_t end;           /* as the IP header says: not before transport, but maybe beyond the frame */
    unsigned version;     /* 4 or 6 */
    unsigned protocol;    /* of the transport header */
    bool fragment;        /* the transport header and what is behind it are not all here */
};
/* Behind the Ethernet header and at most one tag; false: no IP, or no whole header of it. */
bool offload_find_ip(const uint8_t *frame, size_t length, struct ip_packet *found);
/* Two sums, or a sum and a number, as one. */
uint16_t offload_add(uint32_t sum, uint32_t more);
/* The sum of the pseudo header for so many bytes from the transport header on. */
uint16_t offload_pseudo_sum(const uint8_t *frame, const struct ip_packet *packet, size_t bytes);
/* The sums that go into the IPv4 header and into that of TCP or UDP. */
struct offload_sum offload_ip_sum(const struct ip_packet *packet);
struct offload_sum offload_transport_sum(const struct ip_packet *packet);

/* What is found of a checksum in a received packet. */
enum offload_verdict { OFFLOAD_UNKNOWN, OFFLOAD_GOOD, OFFLOAD_BAD };
enum offload_verdict offload_check_ip(const uint8_t *frame,
                                      const struct ip_packet *packet); /* of IPv4's header */
/* Of TCP and UDP; unknown where the packet is not all here, or a UDP packet has none. */
enum offload_verdict offload_check_transport(const uint8_t *frame, size_t length,
                                             const struct ip_packet *packet);

/* ---- segmentation ---- */

/*
 * How a packet of headers and a long payload is cut into frames. Where the transport checksum goes stands the
 * sum of the pseudo header for 0 bytes; each segment's length is added to it.
 */
struct offload_cut {
    size_t ip, transport; /* the headers */
    size_t headers;       /* all of them: where the payload begins */
    size_t payload;       /* of a segment, but the last may be shorter */
    bool ipv4, tcp;       /* else IPv6, UDP */
    bool sum_ip, sum_transport;
    struct offload_sum ip_sum, transport_sum;
};
/*
 * Makes the segment that begins with byte `sent` of the payload: its length, at most NET_MAX_FRAME, and in
 * *taken its payload. 0: the packet cannot be cut so.
 */
size_t offload_segment(const struct offload_cut *cut, const uint8_t *packet, size_t length, size_t sent,
                       uint8_t *frame, size_t *taken);

/*
 * The whole packet for a wire that cuts it itself (net_takes_large): finishes its headers in place. False: it
 * is not so, and is to be cut here.
 */
bool offload_leave_cut(const struct offload_cut *cut, uint8_t *packet, size_t length,
                       struct net_frame *frame);

/*
 * Sends the whole packet to such a wire; *sent false: it is full now, and the packet is as it was. False: it
 * is to be cut here.
 */
bool offload_send_large(struct net_port *port, const struct offload_cut *cut, uint8_t *packet, size_t length,
                        bool *sent);

/* ---- VLAN tags ---- */

/* Puts a tag in; the buffer has space for VLAN_TAG bytes more. Returns the new length. */
size_t offload_insert_tag(uint8_t *frame, size_t length, uint16_t type, uint16_t tag);
/* Takes a tag of that type out, if there is one, and returns whether. */
bool offload_take_tag(uint8_t *frame, size_t *length, uint16_t type, uint16_t *tag);

#endif
