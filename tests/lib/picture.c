/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/picture.h"

#include <stdio.h>
#include <stdlib.h>

struct picture picture_take(struct qtest *q)
{
    const char *path = qtest_temp_file(".ppm", 0);
    struct picture pic = {0};
    size_t size;
    FILE *file;

    json_decref(qtest_qmp_ok(q, "{'execute': 'screendump', 'arguments': {'filename': '%s'}}", path));
    file = fopen(path, "rb");
    if (!file || fscanf(file, "P6 %d %d 255", &pic.width, &pic.height) != 2 || fgetc(file) != '\n')
        qtest_fail(q, "screendump wrote no PPM");
    size = 3 * (size_t)pic.width * pic.height;
    pic.rgb = malloc(size);
    if (!pic.rgb || fread(pic.rgb, 1, size, file) != size)
        qtest_fail(q, "screendump's PPM is too short");
    fclose(file);
    remove(path);
    return pic;
}

void picture_free(struct picture *pic)
{
    free(pic->rgb);
    *pic = (struct picture){0};
}

uint32_t picture_pixel(const struct picture *pic, int x, int y)
{
    const uint8_t *p = pic->rgb + 3 * ((size_t)y * pic->width + x);

    return p[0] << 16 | p[1] << 8 | p[2];
}
