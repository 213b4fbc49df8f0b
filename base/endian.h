/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Big-endian numbers at any address. */
#ifndef BASE_ENDIAN_H
#define BASE_ENDIAN_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define ENDIAN_ACCESS(bits)                                                                                  \
    static inline uint##bits##_t get_be##bits(const void *at)                                                \
    {                                                                                                        \
        uint##bits##_t value;                                                                                \
                                                                                                             \
        memcpy(&value, at, sizeof(value));                                                                   \
        return be##bits##toh(value);                                                                         \
    }                                                                                                        \
    static inline void put_be##bits(void *at, uint##bits##_t value)                                          \
    {                                                                                                        \
        value = htobe##bits(value);                                                                          \
        memcpy(at, &value, sizeof(value));                                                                   \
    }
ENDIAN_ACCESS(16)
ENDIAN_ACCESS(32)
ENDIAN_ACCESS(64)
#undef ENDIAN_ACCESS

#endif
