/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sdl/icon.h"

#include <stddef.h>

#include "base/util.h"

/* A monitor on its foot, with lines of text on the screen; what is later lies on top. In 1/48 of the icon. */
static const struct {
    uint8_t left, top, right, bottom;
    uint32_t argb;
} parts[] = {
    {3, 5, 45, 37, 0xFF2B3038},   /* the case */
    {6, 8, 42, 34, 0xFF123A5C},   /* the screen */
    {9, 12, 29, 14, 0xFF7FD4FF},  /* text */
    {9, 17, 35, 19, 0xFF7FD4FF},  /* text */
    {9, 22, 22, 24, 0xFF7FD4FF},  /* text */
    {24, 22, 27, 25, 0xFFFFD060}, /* the cursor */
    {20, 37, 28, 41, 0xFF2B3038}, /* the foot */
    {13, 41, 35, 44, 0xFF3C434E}, /* its plate */
};

void icon_draw(uint32_t pixels[ICON_SIZE * ICON_SIZE])
{
    for (size_t i = 0; i < COUNT(parts); i++)
        for (unsigned y = parts[i].top; y < parts[i].bottom; y++)
            for (unsigned x = parts[i].left; x < parts[i].right; x++)
                pixels[y * ICON_SIZE + x] = parts[i].argb;
}

/* Black with a white rim: seen on every ground. */
void dot_draw(uint32_t pixels[DOT_SIZE * DOT_SIZE])
{
    for (int i = 0; i < DOT_SIZE * DOT_SIZE; i++) {
        int x = i % DOT_SIZE - DOT_SIZE / 2, y = i / DOT_SIZE - DOT_SIZE / 2, far = x * x + y * y;

        pixels[i] = far <= 2 ? 0xFF000000 : far <= 5 ? 0xFFFFFFFF : 0;
    }
}
