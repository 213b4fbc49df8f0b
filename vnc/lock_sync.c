/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vnc/lock_sync.h"

#include <rfb/keysym.h>
#include <xkbcommon/xkbcommon.h>

#define GUEST_TAKES 1000000000ll

/* 1: the lock is on, 0: it is off, -1: the key does not tell. */
static int caps_told(uint32_t keysym, bool shift)
{
    uint32_t capital = xkb_keysym_to_upper(keysym), small = xkb_keysym_to_lower(keysym);

    /* On German keyboards the sharp s is itself with Caps Lock as well. */
    return capital == small || keysym == XK_ssharp ? -1 : (keysym == capital) != shift;
}

static int num_told(uint16_t code, uint32_t keysym, bool shift)
{
    if (shift || code < 0x47 || code > 0x53)
        return -1;
    if ((keysym >= XK_KP_0 && keysym <= XK_KP_9) || keysym == XK_KP_Decimal || keysym == XK_KP_Separator)
        return 1;
    return keysym >= XK_KP_Home && keysym <= XK_KP_Delete ? 0 : -1;
}

/* The lights that there are, or will be in a moment. */
static uint8_t believed(struct lock_sync *sync, uint8_t lights, int64_t now)
{
    if (sync->waiting && now >= sync->until) {
        sync->waiting = false;
        sync->deaf = true;
    }
    return sync->waiting ? sync->expected : lights;
}

uint16_t lock_sync_before(struct lock_sync *sync, uint16_t code, uint32_t keysym, bool shift, uint8_t lights,
                          int64_t now)
{
    uint8_t lit = believed(sync, lights, now);
    int caps = caps_told(keysym, shift), num = num_told(code, keysym, shift);

    if (sync->deaf)
        return 0;
    if (caps >= 0 && caps != !!(lit & LOCK_CAPS))
        return SCAN_CAPS_LOCK;
    return num >= 0 && num != !!(lit & LOCK_NUM) ? SCAN_NUM_LOCK : 0;
}

void lock_sync_pressed(struct lock_sync *sync, uint16_t code, uint8_t lights, int64_t now)
{
    uint8_t bit = code == SCAN_CAPS_LOCK ? LOCK_CAPS : code == SCAN_NUM_LOCK ? LOCK_NUM : 0;

    if (!bit || sync->deaf)
        return;
    sync->expected = believed(sync, lights, now) ^ bit;
    sync->waiting = true;
    sync->until = now + GUEST_TAKES;
}

void lock_sync_lights(struct lock_sync *sync, uint8_t lights)
{
    sync->deaf = false;
    if (lights == sync->expected)
        sync->waiting = false;
}
