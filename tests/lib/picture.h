/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the program under test shows, taken by QMP screendump. */
#ifndef TESTS_LIB_PICTURE_H
#define TESTS_LIB_PICTURE_H

#include <stdint.h>

#include "tests/lib/qtest.h"

struct picture {
    int width, height;
    uint8_t *rgb; /* width * height times red, green, blue */
};

struct picture picture_take(struct qtest *q); /* a failure fails the test */
void picture_free(struct picture *pic);

/* One pixel as 0xRRGGBB. */
uint32_t picture_pixel(const struct picture *pic, int x, int y);

#endif
