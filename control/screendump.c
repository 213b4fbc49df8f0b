/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/screendump.h"

#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct picture {
    int width, height;
    const uint32_t *pixels;
    size_t stride; /* pixels */
    uint8_t *line; /* width times red, green, blue */
};

static void pack_line(const struct picture *pic, int y)
{
    const uint32_t *src = pic->pixels + pic->stride * y;

    for (int x = 0; x < pic->width; x++) {
        pic->line[3 * x] = src[x] >> 16;
        pic->line[3 * x + 1] = src[x] >> 8;
        pic->line[3 * x + 2] = src[x];
    }
}

static bool write_ppm(const struct picture *pic, FILE *file)
{
    bool good = fprintf(file, "P6\n%d %d\n255\n", pic->width, pic->height) > 0;

    for (int y = 0; good && y < pic->height; y++) {
        pack_line(pic, y);
        good = fwrite(pic->line, 3, pic->width, file) == (size_t)pic->width;
    }
    return good;
}

static void png_quiet(png_structp png, png_const_charp text)
{
}

static void png_fail(png_structp png, png_const_charp text)
{
    longjmp(*(jmp_buf *)png_get_error_ptr(png), 1);
}

static bool write_png(const struct picture *pic, FILE *file)
{
    jmp_buf failed;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &failed, png_fail, png_quiet);
    png_infop info = png ? png_create_info_struct(png) : NULL;

    if (!info || setjmp(failed)) {
        png_destroy_write_struct(&png, &info);
        return false;
    }
    png_init_io(png, file);
    png_set_compression_level(png, 1);
    png_set_IHDR(png, info, pic->width, pic->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int y = 0; y < pic->height; y++) {
        pack_line(pic, y);
        png_write_row(png, pic->line);
    }
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    return true;
}

static bool write_picture(pixman_image_t *surface, FILE *file, bool png)
{
    struct picture pic = {
        .width = pixman_image_get_width(surface),
        .height = pixman_image_get_height(surface),
        .pixels = pixman_image_get_data(surface),
        .stride = pixman_image_get_stride(surface) / sizeof(uint32_t),
    };
    bool good;

    pic.line = malloc(3 * (size_t)pic.width);
    if (!pic.line)
        return false;
    good = png ? write_png(&pic, file) : write_ppm(&pic, file);
    free(pic.line);
    return good;
}

bool screendump(struct console *con, const char *path, bool png, struct error *err)
{
    FILE *file;
    bool good;

    if (!console_has_source(con))
        return error_set(err, "screendump: there is no graphics adapter");
    console_refresh(con);
    if (!console_surface(con))
        return error_set(err, "screendump: the screen has no picture yet");
    file = fopen(path, "wbe");
    if (!file)
        return error_set(err, "screendump: %s: %s", path, strerror(errno));
    good = write_picture(console_surface(con), file, png);
    if (fclose(file) != 0 || !good)
        return error_set(err, "screendump: %s: cannot write: %s", path, strerror(errno ? errno : EIO));
    return true;
}
