/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/pixels.h"

#include <string.h>

#include "tests/lib/cmocka.h"
#include "tests/lib/picture.h"

void pixels_set_palette(struct qtest *q, bool dac8)
{
    qtest_outb(q, 0x3C8, 0);
    for (int i = 0; i < 256; i++) {
        qtest_outb(q, 0x3C9, dac8 ? i : i & 0x3F);
        qtest_outb(q, 0x3C9, dac8 ? 255 - i : i >> 2);
        qtest_outb(q, 0x3C9, 0x15);
    }
}

uint32_t pixels_widen(unsigned v, int bits)
{
    return v << (8 - bits) | v >> (2 * bits - 8);
}

uint32_t pixels_colour(int bits, uint32_t p)
{
    switch (bits) {
    case 8:
        return pixels_widen(p & 0x3F, 6) << 16 | pixels_widen(p >> 2, 6) << 8 | pixels_widen(0x15, 6);
    case 15:
        return pixels_widen(p >> 10 & 31, 5) << 16 | pixels_widen(p >> 5 & 31, 5) << 8 |
               pixels_widen(p & 31, 5);
    case 16:
        return pixels_widen(p >> 11 & 31, 5) << 16 | pixels_widen(p >> 5 & 63, 6) << 8 |
               pixels_widen(p & 31, 5);
    default:
        return p & 0xFFFFFF;
    }
}

void pixels_assert_shown(struct qtest *q, const uint8_t *bytes, int bits, size_t pitch, int width, int height)
{
    struct picture pic = picture_take(q);
    int each = (bits + 7) / 8;

    assert_int_equal(pic.width, width);
    assert_int_equal(pic.height, height);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint32_t p = 0;

            memcpy(&p, bytes + y * pitch + x * each, each);
            if (picture_pixel(&pic, x, y) != pixels_colour(bits, p))
                fail_msg("%d bits: pixel %d, %d is %06x, not %06x", bits, x, y, picture_pixel(&pic, x, y),
                         pixels_colour(bits, p));
        }
    picture_free(&pic);
}
