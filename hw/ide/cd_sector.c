/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The layout of a CD's mode 1 sector (ECMA-130, clause 14 and annex A): sync, header, data, EDC, ECC. */
#include <string.h>

#include "hw/ide/atapi.h"

enum {
    HEADER = 12,
    DATA = 16,
    EDC = DATA + CD_SECTOR,
    ZERO = EDC + 4,
    ECC_P = ZERO + 8,
    ECC_Q = ECC_P + 172
};

static uint8_t bcd(uint32_t value)
{
    return value / 10 << 4 | value % 10;
}

/* CRC with (x^16 + x^15 + x^2 + 1)(x^16 + x^2 + x + 1), least significant bit first. */
static uint32_t edc(const uint8_t *data, size_t length)
{
    uint32_t crc = 0;

    for (size_t i = 0; i < length; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xD8018001u : 0);
    }
    return crc;
}

/* Multiplication by x in GF(2^8) with x^8 + x^4 + x^3 + x^2 + 1. */
static uint8_t times_x(uint8_t value)
{
    return value << 1 ^ (value & 0x80 ? 0x1D : 0);
}

/* The inverse of multiplication by x + 1. */
static void divide_by_x_plus_1(uint8_t table[256])
{
    for (unsigned i = 0; i < 256; i++)
        table[i ^ times_x(i)] = i;
}

/* Two parity bytes for each of `vectors` vectors of `length` bytes, which step through the sector diagonally.
 */
static void parity(const uint8_t *from, unsigned vectors, unsigned length, unsigned stride, unsigned step,
                   uint8_t *to, const uint8_t table[256])
{
    unsigned size = vectors * length;

    for (unsigned v = 0; v < vectors; v++) {
        unsigned at = (v >> 1) * stride + (v & 1);
        uint8_t a = 0, b = 0;

        for (unsigned i = 0; i < length; i++) {
            a = times_x(a ^ from[at]);
            b ^= from[at];
            at += step;
            if (at >= size)
                at -= size;
        }
        a = table[times_x(a) ^ b];
        to[v] = a;
        to[v + vectors] = a ^ b;
    }
}

static void frame(uint8_t *raw, uint32_t lba, const uint8_t table[256])
{
    uint32_t frames = lba + 150, check;

    memset(raw, 0xFF, HEADER);
    raw[0] = raw[HEADER - 1] = 0;
    raw[HEADER] = bcd(frames / (75 * 60));
    raw[HEADER + 1] = bcd(frames / 75 % 60);
    raw[HEADER + 2] = bcd(frames % 75);
    raw[HEADER + 3] = 1;
    check = edc(raw, EDC);
    for (int i = 0; i < 4; i++)
        raw[EDC + i] = check >> 8 * i;
    memset(raw + ZERO, 0, 8);
    parity(raw + HEADER, 86, 24, 2, 86, raw + ECC_P, table);
    parity(raw + HEADER, 52, 43, 86, 88, raw + ECC_Q, table);
}

void cd_frame_sectors(uint8_t *data, uint32_t count, uint32_t lba)
{
    uint8_t table[256];

    divide_by_x_plus_1(table);
    /* From the last to the first, for each moves up over its successors' old places. */
    while (count--) {
        uint8_t *raw = data + (size_t)count * CD_RAW_SECTOR;

        memmove(raw + DATA, data + (size_t)count * CD_SECTOR, CD_SECTOR);
        frame(raw, lba + count, table);
    }
}
