/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/packet.h"

#include <string.h>

#include "tests/lib/cmocka.h"

enum { IP = 14 };

static unsigned version_of(const uint8_t *frame)
{
    return frame[IP] >> 4;
}

static uint8_t protocol_of(const uint8_t *frame)
{
    return frame[IP + (version_of(frame) == 4 ? 9 : 6)];
}

static size_t transport_of(const uint8_t *frame)
{
    return IP + (version_of(frame) == 4 ? 20 : 40);
}

/* Bytes of the TCP or UDP part. */
static size_t bytes_of(const uint8_t *frame)
{
    return version_of(frame) == 4 ? packet_be16(frame + IP + 2) - 20 : packet_be16(frame + IP + 4);
}

size_t packet_make(uint8_t *frame, const uint8_t mac[6], unsigned version, uint8_t protocol, size_t payload)
{
    size_t ip = version == 4 ? 20 : 40, header = protocol == PACKET_TCP ? 20 : 8, bytes = header + payload;
    uint8_t *transport = frame + IP + ip;

    memset(frame, 0, IP + ip + header);
    memcpy(frame, mac, 6);
    memcpy(frame + 6, mac, 6);
    memcpy(frame + 12, version == 4 ? (uint8_t[]){0x08, 0x00, 0x45} : (uint8_t[]){0x86, 0xDD, 0x60}, 3);
    if (version == 4) {
        memcpy(frame + IP + 2, (uint8_t[]){(ip + bytes) >> 8, ip + bytes}, 2);
        memcpy(frame + IP + 8, (uint8_t[]){64, protocol}, 2);
        memcpy(frame + IP + 12, (uint8_t[]){10, 0, 0, 1, 10, 0, 0, 2}, 8);
    } else {
        memcpy(frame + IP + 4, (uint8_t[]){bytes >> 8, bytes, protocol, 64, 0xFE, 0x80}, 6);
        memcpy(frame + IP + 23, (uint8_t[]){1, 0xFE, 0x80}, 3);
        frame[IP + 39] = 2;
    }
    if (protocol == PACKET_TCP)
        memcpy(transport + 12, (uint8_t[]){0x50, 0x19}, 2);
    else
        memcpy(transport + 4, (uint8_t[]){bytes >> 8, bytes}, 2);
    for (size_t i = 0; i < payload; i++)
        transport[header + i] = i * 3;
    return IP + ip + bytes;
}

uint16_t packet_sum(const uint8_t *data, size_t length, uint32_t sum)
{
    for (size_t i = 0; i < length; i++)
        sum += i & 1 ? data[i] : data[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xFFFF) + (sum >> 16);
    return sum;
}

uint16_t packet_pseudo_sum(const uint8_t *frame, size_t bytes)
{
    bool v4 = version_of(frame) == 4;

    return packet_sum(frame + IP + (v4 ? 12 : 8), v4 ? 8 : 32, protocol_of(frame) + bytes);
}

void packet_seal(uint8_t *frame)
{
    size_t bytes = bytes_of(frame);
    uint8_t *transport = frame + transport_of(frame);
    uint16_t sum;

    if (version_of(frame) == 4) {
        sum = ~packet_sum(frame + IP, 20, 0);
        memcpy(frame + IP + 10, (uint8_t[]){sum >> 8, sum}, 2);
    }
    sum = ~packet_sum(transport, bytes, packet_pseudo_sum(frame, bytes));
    memcpy(transport + (protocol_of(frame) == PACKET_TCP ? 16 : 6), (uint8_t[]){sum >> 8, sum}, 2);
}

void packet_check(const uint8_t *frame)
{
    size_t bytes = bytes_of(frame);

    if (version_of(frame) == 4)
        assert_int_equal(packet_sum(frame + IP, 20, 0), 0xFFFF);
    assert_int_equal(packet_sum(frame + transport_of(frame), bytes, packet_pseudo_sum(frame, bytes)), 0xFFFF);
}

size_t packet_magic(uint8_t *frame, const uint8_t to[6], const uint8_t mac[6])
{
    memset(frame, 0, 200);
    memcpy(frame, to, 6);
    frame[6] = 2;
    memcpy(frame + 12, (uint8_t[]){0x08, 0x42}, 2);
    memset(frame + 20, 0xFF, 6);
    for (int i = 1; i <= 16; i++)
        memcpy(frame + 20 + 6 * i, mac, 6);
    return 200;
}
