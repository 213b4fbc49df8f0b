/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From SDL's scan codes, which are the usages of USB keyboards, to those of a PC keyboard. */
#ifndef SDL_KEYS_H
#define SDL_KEYS_H

#include <stdint.h>

/* As console_key takes it (set 1); 0: a PC keyboard has no such key. */
uint16_t sdl_key_code(unsigned scancode);

#endif
