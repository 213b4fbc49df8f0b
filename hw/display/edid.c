/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/display/edid.h"

#include <string.h>

#include "base/util.h"

/* offsets */
enum {
    HEADER = 0x00,
    VENDOR = 0x08,
    YEAR = 0x11,
    VERSION = 0x12,
    INPUT = 0x14,
    SIZE_CM = 0x15,
    GAMMA = 0x17,
    FEATURES = 0x18,
    COLOURS = 0x19,
    ESTABLISHED = 0x23,
    STANDARD = 0x26,
    DESCRIPTORS = 0x36,
    DESCRIPTOR_SIZE = 18,
    CHECKSUM = 0x7F,
};

enum {
    DOTS_PER_INCH = 100,
    REFRESH_HZ = 60,
    DIGITAL_8_BITS = 0xA0,
    SRGB_PREFERRED_CONTINUOUS = 0x07,
    TAG_NAME = 0xFC,
    TAG_RANGES = 0xFD,
    TAG_DUMMY = 0x10,
};

enum aspect { ASPECT_16_10, ASPECT_4_3, ASPECT_5_4, ASPECT_16_9 };

static uint32_t centimetres(uint32_t pixels)
{
    return pixels * 254 / (DOTS_PER_INCH * 100);
}

static void standard_timings(uint8_t *to)
{
    static const struct {
        uint16_t width;
        uint8_t aspect;
    } modes[8] = {{1920, ASPECT_16_10}, {1920, ASPECT_16_9}, {1680, ASPECT_16_10}, {1600, ASPECT_4_3},
                  {1440, ASPECT_16_10}, {1280, ASPECT_5_4},  {1280, ASPECT_4_3},   {1280, ASPECT_16_10}};

    for (unsigned i = 0; i < 8; i++) {
        to[2 * i] = modes[i].width / 8 - 31;
        to[2 * i + 1] = modes[i].aspect << 6 | (REFRESH_HZ - 60);
    }
}

/* Nothing scans here, so any blanking will do: a quarter of the width, a thirtieth of the height. */
static void preferred_timing(uint8_t *to, uint32_t width, uint32_t height)
{
    uint32_t h_blank = width / 4, h_front = h_blank / 4, h_sync = h_blank / 4;
    uint32_t v_blank = height / 30 + 8, v_front = 3, v_sync = 5;
    uint32_t clock = (uint64_t)(width + h_blank) * (height + v_blank) * REFRESH_HZ / 10000; /* in 10 kHz */
    /* 16 bits: a large picture comes less often */
    uint32_t rate = min_u64(clock, 0xFFFF);
    uint32_t h_mm = centimetres(width * 10), v_mm = centimetres(height * 10);
    const uint8_t timing[DESCRIPTOR_SIZE] = {
        rate,
        rate >> 8,
        width,
        h_blank,
        width >> 8 << 4 | h_blank >> 8,
        height,
        v_blank,
        height >> 8 << 4 | v_blank >> 8,
        h_front,
        h_sync,
        v_front << 4 | v_sync,
        (h_front >> 8 & 3) << 6 | (h_sync >> 8 & 3) << 4,
        h_mm,
        v_mm,
        h_mm >> 8 << 4 | v_mm >> 8,
        0,
        0,
        0x18, /* separate digital syncs */
    };

    memcpy(to, timing, sizeof(timing));
}

void edid_make(uint8_t edid[EDID_SIZE], uint32_t width, uint32_t height)
{
    static const uint8_t header[] = {0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0};
    static const uint8_t vendor[] = {8 << 2 | 22 >> 3, (22 & 7) << 5 | 13}; /* H, V, M */
    static const uint8_t srgb[] = {0xEE, 0x91, 0xA3, 0x54, 0x4C, 0x99, 0x26, 0x0F, 0x50, 0x54};
    /* 720x400, 640x480, 800x600; 1024x768 */
    static const uint8_t established[] = {0xA1, 0x08, 0x00};
    /* 24..125 Hz, 30..160 kHz, up to 2.55 GHz, nothing more is said */
    static const uint8_t ranges[] = {0, 0, 0, TAG_RANGES, 0, 24, 125, 30, 160, 255, 0x01, '\n'};
    static const uint8_t name[] = {0, 0, 0, TAG_NAME, 0, 'h', 'v', 'm', '-', 'd', 'm', '\n'};
    uint8_t *descriptor = edid + DESCRIPTORS, sum = 0;

    memset(edid, 0, EDID_SIZE);
    memcpy(edid + HEADER, header, sizeof(header));
    memcpy(edid + VENDOR, vendor, sizeof(vendor));
    edid[YEAR] = 2026 - 1990;
    edid[VERSION] = 1;
    edid[VERSION + 1] = 4;
    edid[INPUT] = DIGITAL_8_BITS;
    edid[SIZE_CM] = centimetres(width);
    edid[SIZE_CM + 1] = centimetres(height);
    edid[GAMMA] = 220 - 100;
    edid[FEATURES] = SRGB_PREFERRED_CONTINUOUS;
    memcpy(edid + COLOURS, srgb, sizeof(srgb));
    memcpy(edid + ESTABLISHED, established, sizeof(established));
    standard_timings(edid + STANDARD);
    preferred_timing(descriptor, width, height);
    memset(descriptor + DESCRIPTOR_SIZE, ' ', 2 * DESCRIPTOR_SIZE);
    memcpy(descriptor + DESCRIPTOR_SIZE, ranges, sizeof(ranges));
    memcpy(descriptor + 2 * DESCRIPTOR_SIZE, name, sizeof(name));
    descriptor[3 * DESCRIPTOR_SIZE + 3] = TAG_DUMMY;
    for (unsigned i = 0; i < CHECKSUM; i++)
        sum += edid[i];
    edid[CHECKSUM] = -sum;
}
