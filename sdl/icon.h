/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small pictures of our own, as ARGB pixels: the window's icon and the dot that shows where the pointer is.
 */
#ifndef SDL_ICON_H
#define SDL_ICON_H

#include <stdint.h>

enum { ICON_SIZE = 48, DOT_SIZE = 5 };

void icon_draw(uint32_t pixels[ICON_SIZE * ICON_SIZE]);
void dot_draw(uint32_t pixels[DOT_SIZE * DOT_SIZE]);

#endif
