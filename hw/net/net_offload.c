/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/net/net_offload.h"
#include "base/util.h"
#include "net/ethernet.h"

#include <string.h>

enum { TYPE_AT = 12, TYPE_IPV4 = 0x0800, TYPE_IPV6 = 0x86DD };
enum { IPV4_HEADER = 20, IPV6_HEADER = 40, TCP_HEADER = 20, UDP_HEADER = 8 };
enum { TCP_FIN_PSH = 0x09 };

/* ---- checksums ---- */

void offload_checksum(uint8_t *frame, size_t length, const struct offload_sum *sum)
{
    size_t end = sum->end && sum->end < length ? sum->end : length;
    uint16_t value;

    if (sum->start >= end || sum->place + 2 > length)
        return;
    value = ~net_sum(frame + sum->start, end - sum->start);
    put_be16(frame + sum->place,
             value ? value : 0xFFFF); /* to UDP 0 means none; the two are the same number */
}

static bool find_ipv4(const uint8_t *frame, size_t length, struct ip_packet *found)
{
    const uint8_t *header = frame + found->ip;
    size_t size, total;

    if (found->ip + IPV4_HEADER > length || header[0] >> 4 != 4)
        return false;
    size = (header[0] & 15) * 4;
    total = get_be16(header + 2);
    if (size < IPV4_HEADER || found->ip + size > length)
        return false;
    found->version = 4;
    found->transport = found->ip + size;
    found->end = found->ip + max_u64(total, size);
    found->protocol = header[9];
    found->fragment = get_be16(header + 6) & 0x3FFF;
    return true;
}

static bool find_ipv6(const uint8_t *frame, size_t length, struct ip_packet *found)
{
    const uint8_t *header = frame + found->ip;

    if (found->ip + IPV6_HEADER > length || header[0] >> 4 != 6)
        return false;
    found->version = 6;
    found->transport = found->ip + IPV6_HEADER;
    found->end = found->transport + get_be16(header + 4);
    found->protocol = header[6];
    found->fragment = false;
    return true;
}

bool offload_find_ip(const uint8_t *frame, size_t length, struct ip_packet *found)
{
    size_t at = TYPE_AT;
    unsigned type;

    if (length < NET_HEADER + VLAN_TAG)
        return false;
    if (get_be16(frame + at) == VLAN_TYPE)
        at += VLAN_TAG;
    type = get_be16(frame + at);
    found->ip = at + 2;
    return type == TYPE_IPV4   ? find_ipv4(frame, length, found)
           : type == TYPE_IPV6 ? find_ipv6(frame, length, found)
                               : false;
}

uint16_t offload_add(uint32_t sum, uint32_t more)
{
    sum += more;
    sum = (sum & 0xFFFF) + (sum >> 16);
    return (sum & 0xFFFF) + (sum >> 16);
}

uint16_t offload_pseudo_sum(const uint8_t *frame, const struct ip_packet *packet, size_t bytes)
{
    const uint8_t *header = frame + packet->ip;
    uint16_t addresses = packet->version == 4 ? net_sum(header + 12, 8) : net_sum(header + 8, 32);

    return offload_add(addresses, packet->protocol + (uint32_t)bytes);
}

struct offload_sum offload_ip_sum(const struct ip_packet *packet)
{
    return (struct offload_sum){.start = packet->ip, .end = packet->transport, .place = packet->ip + 10};
}

struct offload_sum offload_transport_sum(const struct ip_packet *packet)
{
    return (struct offload_sum){.start = packet->transport,
                                .end = packet->end,
                                .place = packet->transport + (packet->protocol == PROTOCOL_TCP ? 16 : 6)};
}

enum offload_verdict offload_check_ip(const uint8_t *frame, const struct ip_packet *packet)
{
    if (packet->version != 4)
        return OFFLOAD_UNKNOWN;
    return net_sum(frame + packet->ip, packet->transport - packet->ip) == 0xFFFF ? OFFLOAD_GOOD : OFFLOAD_BAD;
}

enum offload_verdict offload_check_transport(const uint8_t *frame, size_t length,
                                             const struct ip_packet *packet)
{
    struct offload_sum sum = offload_transport_sum(packet);
    size_t bytes = packet->end - packet->transport;

    if (packet->fragment || packet->end > length || sum.place + 2 > packet->end ||
        (packet->protocol != PROTOCOL_TCP &&
         (packet->protocol != PROTOCOL_UDP || !get_be16(frame + sum.place))))
        return OFFLOAD_UNKNOWN;
    return offload_add(offload_pseudo_sum(frame, packet, bytes), net_sum(frame + packet->transport, bytes)) ==
                   0xFFFF
               ? OFFLOAD_GOOD
               : OFFLOAD_BAD;
}

/* ---- segmentation ---- */

static bool can_cut(const struct offload_cut *cut, size_t length, size_t sent)
{
    size_t ip = cut->ipv4 ? IPV4_HEADER : IPV6_HEADER, transport = cut->tcp ? TCP_HEADER : UDP_HEADER;

    return cut->payload && cut->headers < length && sent < length - cut->headers &&
           cut->headers <= NET_MAX_FRAME && cut->payload <= NET_MAX_FRAME - cut->headers &&
           cut->ip + ip <= cut->headers && cut->transport + transport <= cut->headers &&
           (!cut->sum_transport || cut->transport_sum.place + 2 <= cut->headers);
}

static void cut_ip(const struct offload_cut *cut, uint8_t *header, size_t bytes, size_t nth)
{
    if (cut->ipv4) {
        put_be16(header + 2, bytes);
        put_be16(header + 4, get_be16(header + 4) + nth);
    } else {
        put_be16(header + 4, bytes - IPV6_HEADER);
    }
}

static void cut_transport(const struct offload_cut *cut, uint8_t *header, size_t bytes, size_t sent,
                          bool last)
{
    uint32_t sequence;

    if (!cut->tcp) {
        put_be16(header + 4, bytes);
        return;
    }
    sequence = get_be32(header + 4) + sent;
    put_be32(header + 4, sequence);
    if (!last)
        header[13] &= ~TCP_FIN_PSH;
}

size_t offload_segment(const struct offload_cut *cut, const uint8_t *packet, size_t length, size_t sent,
                       uint8_t *frame, size_t *taken)
{
    size_t left, size;
    uint8_t *seed;

    if (!can_cut(cut, length, sent))
        return 0;
    left = length - cut->headers - sent;
    *taken = left < cut->payload ? left : cut->payload;
    size = cut->headers + *taken;
    memcpy(frame, packet, cut->headers);
    memcpy(frame + cut->headers, packet + cut->headers + sent, *taken);
    cut_ip(cut, frame + cut->ip, size - cut->ip, sent / cut->payload);
    cut_transport(cut, frame + cut->transport, size - cut->transport, sent, *taken == left);
    if (cut->sum_ip)
        offload_checksum(frame, size, &cut->ip_sum);
    if (cut->sum_transport) {
        seed = frame + cut->transport_sum.place;
        put_be16(seed, offload_add(get_be16(seed), size - cut->transport));
        offload_checksum(frame, size, &cut->transport_sum);
    }
    return size;
}

bool offload_leave_cut(const struct offload_cut *cut, uint8_t *packet, size_t length, struct net_frame *frame)
{
    const struct offload_sum *sum = &cut->transport_sum;
    uint8_t *seed;

    if (!can_cut(cut, length, 0) || length - cut->headers <= cut->payload || length - cut->ip > UINT16_MAX ||
        !cut->tcp || !cut->sum_transport || sum->start != cut->transport || sum->place != cut->transport + 16)
        return false;
    cut_ip(cut, packet + cut->ip, length - cut->ip, 0);
    if (cut->sum_ip)
        offload_checksum(packet, length, &cut->ip_sum);
    seed = packet + sum->place;
    put_be16(seed, offload_add(get_be16(seed), length - cut->transport));
    *frame = (struct net_frame){.data = packet,
                                .length = length,
                                .needs_checksum = true,
                                .checksum_start = sum->start,
                                .checksum_offset = sum->place - sum->start,
                                .cut = cut->ipv4 ? NET_CUT_TCP4 : NET_CUT_TCP6,
                                .headers = cut->headers,
                                .payload = cut->payload};
    return true;
}

bool offload_send_large(struct net_port *port, const struct offload_cut *cut, uint8_t *packet, size_t length,
                        bool *sent)
{
    uint8_t headers[NET_MAX_FRAME];
    struct net_frame frame;

    if (!net_takes_large(port) || !can_cut(cut, length, 0))
        return false;
    memcpy(headers, packet, cut->headers);
    if (!offload_leave_cut(cut, packet, length, &frame))
        return false;
    *sent = net_send(port, &frame);
    if (!*sent)
        memcpy(packet, headers, cut->headers);
    return true;
}

/* ---- VLAN tags ---- */

size_t offload_insert_tag(uint8_t *frame, size_t length, uint16_t type, uint16_t tag)
{
    if (length < TYPE_AT)
        return length;
    memmove(frame + TYPE_AT + VLAN_TAG, frame + TYPE_AT, length - TYPE_AT);
    put_be16(frame + TYPE_AT, type);
    put_be16(frame + TYPE_AT + 2, tag);
    return length + VLAN_TAG;
}

bool offload_take_tag(uint8_t *frame, size_t *length, uint16_t type, uint16_t *tag)
{
    if (*length < NET_HEADER + VLAN_TAG || get_be16(frame + TYPE_AT) != type)
        return false;
    *tag = get_be16(frame + TYPE_AT + 2);
    memmove(frame + TYPE_AT, frame + TYPE_AT + VLAN_TAG, *length - TYPE_AT - VLAN_TAG);
    *length -= VLAN_TAG;
    return true;
}
