/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IP packets in Ethernet frames, for tests of what cards do to them. */
#ifndef TESTS_LIB_PACKET_H
#define TESTS_LIB_PACKET_H

#include <stddef.h>
#include <stdint.h>

enum { PACKET_TCP = 6, PACKET_UDP = 17 };
enum { PACKET_IPV4_TCP = 54, PACKET_IPV6_TCP = 74, PACKET_IPV4_UDP = 42 }; /* bytes of headers */

static inline uint16_t packet_be16(const uint8_t *bytes)
{
    return bytes[0] << 8 | bytes[1];
}

/*
 * A frame to and from the address, of IP version 4 or 6, with so many bytes behind the TCP header (FIN, PSH,
 * ACK) or UDP header. All checksums are 0. Returns its length.
 */
size_t packet_make(uint8_t *frame, const uint8_t mac[6], unsigned version, uint8_t protocol, size_t payload);
/* A Magic Packet to one address that wakes the card of another; returns its length. */
size_t packet_magic(uint8_t *frame, const uint8_t to[6], const uint8_t mac[6]);
/* Sum of 16-bit words on top of `sum`, carries added in. */
uint16_t packet_sum(const uint8_t *data, size_t length, uint32_t sum);
/* The sum of the pseudo header for a TCP or UDP part of so many bytes. */
uint16_t packet_pseudo_sum(const uint8_t *frame, size_t bytes);
/* Fills in the checksums. */
void packet_seal(uint8_t *frame);
/* The checksums are right, else the test fails. */
void packet_check(const uint8_t *frame);

#endif
