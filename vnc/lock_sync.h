/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Caps Lock and Num Lock of a viewer that sends keys by scan code and cannot set its own lock keys, as every
 * browser: its state is seen in what its keys give. Where that contradicts the guest's lights, the lock key
 * is pressed in the guest first. Pure arithmetic on what all viewers of a guest share; times in nanoseconds.
 */
#ifndef VNC_LOCK_SYNC_H
#define VNC_LOCK_SYNC_H

#include <stdbool.h>
#include <stdint.h>

enum { LOCK_NUM = 2, LOCK_CAPS = 4 }; /* bits of the lights, as console_leds has them */
enum { SCAN_CAPS_LOCK = 0x3A, SCAN_NUM_LOCK = 0x45 };

/* The guest needs a while to switch its lights after a lock key. One that does not is left alone until it
 * does. */
struct lock_sync {
    uint8_t expected; /* the lights after the lock keys that were pressed */
    bool waiting;     /* for them */
    int64_t until;
    bool deaf; /* they did not come */
};

/* The scan code of the lock key to press before a key; 0: none. shift: whether the viewer holds one. */
uint16_t lock_sync_before(struct lock_sync *sync, uint16_t code, uint32_t keysym, bool shift, uint8_t lights,
                          int64_t now);
/* A key went down, anybody's. */
void lock_sync_pressed(struct lock_sync *sync, uint16_t code, uint8_t lights, int64_t now);
/* The guest switched its lights. */
void lock_sync_lights(struct lock_sync *sync, uint8_t lights);

#endif
