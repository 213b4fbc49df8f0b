/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * testpicture WIDTH HEIGHT 16|32 RAW PNG: a picture in which every pixel's place shows in its colour, once as
 * a frame buffer's bytes (5:6:5 or x8:8:8:8, little endian, lines without gaps) and once as the PNG that a
 * viewer must see.
 */
#include <png.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct colour {
    uint8_t r, g, b;
};

/* Ramps with an odd step across, down and along the diagonal, under a frame of one white pixel. */
static struct colour colour_at(int x, int y, int width, int height)
{
    if (x == 0 || y == 0 || x == width - 1 || y == height - 1)
        return (struct colour){255, 255, 255};
    return (struct colour){(uint8_t)(x * 3 + y / 7), (uint8_t)(y * 5 + x / 11),
                           (uint8_t)((x ^ y) + x / 256 * 37)};
}

/* Five or six bits become eight by repeating the upper ones, as a converter does. */
static uint8_t widen(unsigned value, unsigned bits)
{
    return (uint8_t)(value << (8 - bits) | value >> (2 * bits - 8));
}

int main(int argc, char **argv)
{
    int width = argc == 6 ? atoi(argv[1]) : 0;
    int height = argc == 6 ? atoi(argv[2]) : 0;
    int depth = argc == 6 ? atoi(argv[3]) : 0;
    png_image image = {.version = PNG_IMAGE_VERSION, .format = PNG_FORMAT_RGB};
    uint8_t *rgb;
    FILE *raw;

    if (width < 1 || width > 4096 || height < 1 || height > 4096 || (depth != 16 && depth != 32)) {
        fputs("usage: testpicture WIDTH HEIGHT 16|32 RAW PNG\n", stderr);
        return 2;
    }
    raw = fopen(argv[4], "wb");
    rgb = malloc((size_t)width * (size_t)height * 3);
    if (!raw || !rgb) {
        fprintf(stderr, "testpicture: cannot write %s\n", argv[4]);
        return 1;
    }
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            struct colour c = colour_at(x, y, width, height);
            uint8_t *p = rgb + ((size_t)y * (size_t)width + (size_t)x) * 3;
            if (depth == 16) {
                unsigned r = c.r >> 3, g = c.g >> 2, b = c.b >> 3, pixel = r << 11 | g << 5 | b;
                fputc((int)(pixel & 0xff), raw);
                fputc((int)(pixel >> 8), raw);
                p[0] = widen(r, 5);
                p[1] = widen(g, 6);
                p[2] = widen(b, 5);
            } else {
                uint8_t bytes[4] = {c.b, c.g, c.r, 0};
                fwrite(bytes, 1, 4, raw);
                memcpy(p, &c, 3);
            }
        }
    }
    image.width = (png_uint_32)width;
    image.height = (png_uint_32)height;
    if (fclose(raw) != 0 || !png_image_write_to_file(&image, argv[5], 0, rgb, 0, NULL)) {
        fprintf(stderr, "testpicture: cannot write %s and %s\n", argv[4], argv[5]);
        return 1;
    }
    free(rgb);
    return 0;
}
