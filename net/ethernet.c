/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/ethernet.h"

#include <endian.h>
#include <string.h>
#include <zlib.h>

/* The sum does not care for the order of the bytes in a word but at its end. */
uint16_t net_sum(const uint8_t *data, size_t length)
{
    uint64_t sum = 0, upper = 0, word = 0;
    size_t i = 0;

    for (; i + 8 <= length; i += 8) {
        memcpy(&word, data + i, 8);
        sum += (uint32_t)word;
        upper += word >> 32;
    }
    word = 0;
    memcpy(&word, data + i, length - i);
    sum += upper + (uint32_t)word + (word >> 32);
    while (sum >> 16)
        sum = (sum & 0xFFFF) + (sum >> 16);
    return htobe16(sum);
}

void net_checksum(uint8_t *data, size_t length, size_t start, size_t offset)
{
    uint16_t sum;

    if (start >= length || start + offset + 2 > length)
        return;
    sum = ~net_sum(data + start, length - start);
    if (!sum)
        sum = 0xFFFF; /* to UDP 0 means none; the two are the same number */
    data[start + offset] = sum >> 8;
    data[start + offset + 1] = sum;
}

uint32_t net_crc(const uint8_t *data, size_t length)
{
    return ~crc32(0, data, length);
}

unsigned net_multicast_hash(const uint8_t address[6])
{
    uint32_t crc = net_crc(address, 6);
    unsigned hash = 0;

    for (int i = 0; i < 6; i++)
        hash = hash << 1 | (crc >> i & 1);
    return hash;
}

bool net_choose_mac(uint8_t mac[6], const char *machine_name, unsigned nth, struct error *err)
{
    static const uint8_t unset[6];
    uint32_t hash = 0x811C9DC5; /* FNV-1a */

    if (memcmp(mac, unset, 6)) {
        if (mac[0] & 1)
            return error_set(err, "%02x:%02x:%02x:%02x:%02x:%02x is a multicast address: no card has one",
                             mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
        return true;
    }
    for (const char *c = machine_name; *c; c++)
        hash = (hash ^ (uint8_t)*c) * 0x01000193;
    hash = (hash ^ (nth & 0xFF)) * 0x01000193;
    hash ^= hash >> 24;
    memcpy(mac, (uint8_t[]){0x52, 0x54, 0x00, hash >> 16, hash >> 8, hash}, 6);
    return true;
}
