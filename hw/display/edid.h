/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a monitor says of itself (VESA E-EDID, release A: structure 1.4). Pure. */
#ifndef HW_DISPLAY_EDID_H
#define HW_DISPLAY_EDID_H

#include <stdint.h>

enum { EDID_SIZE = 128, EDID_MAX_PIXELS = 4095 };

/* A monitor that shows anything and likes width by height best; 64..EDID_MAX_PIXELS each. */
void edid_make(uint8_t edid[EDID_SIZE], uint32_t width, uint32_t height);

#endif
