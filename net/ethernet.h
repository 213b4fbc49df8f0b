/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What cards and wires compute of Ethernet frames: sums, check sequences, filters, addresses. */
#ifndef NET_ETHERNET_H
#define NET_ETHERNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The sum of 16-bit big endian words, an odd byte at the end filled up, with carries added in (RFC 1071): not
 * inverted. */
uint16_t net_sum(const uint8_t *data, size_t length);
/* Stores the Internet checksum (RFC 1071) of [start, length) at start + offset, where the sum of the pseudo
 * header is; a place beyond the frame is left alone. */
void net_checksum(uint8_t *data, size_t length, size_t start, size_t offset);
/* The CRC of IEEE 802.3, least significant bit first, not inverted; the check sequence is ~crc, low byte
 * first. */
uint32_t net_crc(const uint8_t *data, size_t length);
/* 0..63: the bit of a multicast filter that stands for the address, the CRC's first six bits. */
unsigned net_multicast_hash(const uint8_t address[6]);

/*
 * The address of a card: given (not multicast, else false with *err), or made from the machine's name and the
 * card's number, the same every time: locally administered and never multicast. All zero in mac: none was
 * given.
 */
bool net_choose_mac(uint8_t mac[6], const char *machine_name, unsigned nth, struct error *err);

#endif
