/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/base64.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(const uint8_t *data, size_t size, char *text)
{
    char *out = text;

    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t bits = data[i] << 16 | (left > 1 ? data[i + 1] << 8 : 0) | (left > 2 ? data[i + 2] : 0);
        *out++ = digits[bits >> 18];
        *out++ = digits[bits >> 12 & 63];
        *out++ = left > 1 ? digits[bits >> 6 & 63] : '=';
        *out++ = left > 2 ? digits[bits & 63] : '=';
    }
    *out = '\0';
    return out - text;
}

static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(const char *text, uint8_t *data, size_t size)
{
    if (strlen(text) != base64_length(size))
        return false;
    for (size_t i = 0; i < size; i += 3, text += 4) {
        size_t left = size - i;
        uint32_t bits = 0;
        for (unsigned k = 0; k < 4; k++) {
            bool padding = k > left;
            int value = padding ? (text[k] == '=' ? 0 : -1) : digit_value(text[k]);
            if (value < 0)
                return false;
            bits = bits << 6 | value;
        }
        data[i] = bits >> 16;
        if (left > 1)
            data[i + 1] = bits >> 8;
        if (left > 2)
            data[i + 2] = bits;
    }
    return true;
}
