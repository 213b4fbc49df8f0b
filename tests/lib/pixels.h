/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Linear modes of every depth: what bytes in video memory must look like on the screen. */
#ifndef TESTS_LIB_PIXELS_H
#define TESTS_LIB_PIXELS_H

#include "tests/lib/qtest.h"

/* A palette of which no two entries are the same, by the VGA's DAC of 6 or 8 bits. */
void pixels_set_palette(struct qtest *q, bool dac8);
/* A component of 5 or 6 bits as one of 8: its highest bits again below, as displays do it. */
uint32_t pixels_widen(unsigned v, int bits);
/* The colour (0xRRGGBB) of a pixel's bits; of 8 bits, with that palette in a DAC of 6 bits. */
uint32_t pixels_colour(int bits, uint32_t pixel);
/* The screen is of that size and shows these bytes, line by line `pitch` apart. */
void pixels_assert_shown(struct qtest *q, const uint8_t *bytes, int bits, size_t pitch, int width,
                         int height);

#endif
