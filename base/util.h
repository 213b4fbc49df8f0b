/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small things that every room needs: the smaller of two numbers, the count of an array, numbers in bytes. */
#ifndef BASE_UTIL_H
#define BASE_UTIL_H

#include <stdint.h>

/* Elements of an array (not of a pointer). */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ---- big-endian numbers in bytes, which need not be aligned ---- */

static inline uint16_t get_be16(const uint8_t *bytes)
{
    return bytes[0] << 8 | bytes[1];
}

static inline uint32_t get_be24(const uint8_t *bytes)
{
    return bytes[0] << 16 | get_be16(bytes + 1);
}

static inline uint32_t get_be32(const uint8_t *bytes)
{
    return (uint32_t)get_be16(bytes) << 16 | get_be16(bytes + 2);
}

static inline void put_be16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = value >> 8;
    bytes[1] = value;
}

static inline void put_be24(uint8_t *bytes, uint32_t value)
{
    bytes[0] = value >> 16;
    put_be16(bytes + 1, value);
}

static inline void put_be32(uint8_t *bytes, uint32_t value)
{
    put_be16(bytes, value >> 16);
    put_be16(bytes + 2, value);
}

static inline uint64_t get_be64(const uint8_t *bytes)
{
    return (uint64_t)get_be32(bytes) << 32 | get_be32(bytes + 4);
}

static inline void put_be64(uint8_t *bytes, uint64_t value)
{
    put_be32(bytes, value >> 32);
    put_be32(bytes + 4, value);
}

/* ---- little-endian ones ---- */

static inline uint16_t get_le16(const uint8_t *bytes)
{
    return bytes[0] | bytes[1] << 8;
}

static inline uint32_t get_le32(const uint8_t *bytes)
{
    return get_le16(bytes) | (uint32_t)get_le16(bytes + 2) << 16;
}

static inline void put_le16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = value;
    bytes[1] = value >> 8;
}

static inline void put_le32(uint8_t *bytes, uint32_t value)
{
    put_le16(bytes, value);
    put_le16(bytes + 2, value >> 16);
}

#endif
