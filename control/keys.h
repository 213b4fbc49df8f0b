/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys by the names that QMP's send-key and the monitor's sendkey take. */
#ifndef CONTROL_KEYS_H
#define CONTROL_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "console/hands.h"

#define KEYS_AT_ONCE 16

/* The scan code as console_key takes it; 0: no such key. */
uint16_t key_by_name(const char *name);

/* Presses the keys in order and lets them go in the reverse one. */
void keys_press(struct console_hand *hand, const uint16_t *codes, size_t count);

#endif
