/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Base64 (RFC 4648, with padding) for the test port's b64read and b64write. */
#ifndef TESTS_LIB_BASE64_H
#define TESTS_LIB_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Characters that size bytes take, without the final NUL. */
static inline size_t base64_length(size_t size)
{
    return (size + 2) / 3 * 4;
}

/* Writes base64_length(size) characters and a NUL; returns their number. */
size_t base64_encode(const uint8_t *data, size_t size, char *text);

/* Is the text the encoding of exactly size bytes? Then they are in data. */
bool base64_decode(const char *text, uint8_t *data, size_t size);

#endif
