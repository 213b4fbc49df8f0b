/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PS/2 keyboard and mouse: the devices on the two wires of a keyboard controller. A host byte goes in with
 * _write, bytes to the host come out with ps2_take, and `ready` tells the controller that there are some.
 *
 * Sources: IBM PS/2 Hardware Interface Technical Reference (keyboard and mouse commands, scan code sets),
 * Microsoft's "Enhanced keyboard and mouse" notes for the wheel.
 */
#ifndef HW_INPUT_PS2_H
#define HW_INPUT_PS2_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "console/console.h"
#include "machine/state.h"

/*
 * The bytes a device holds for the host. A real keyboard has 16, and drivers count on it: Linux gives the
 * controller up when more than 16 bytes come as it empties it.
 */
#define PS2_BUFFER 16

#define PS2_OUTPUT_STATE(S)                                                                                  \
    S(ARRAY, uint8_t, reply, PS2_BUFFER, ANY) /* answers to commands: before data, oldest first */           \
    S(UINT, uint8_t, replies, PS2_BUFFER)                                                                    \
    S(ARRAY, uint8_t, data, PS2_BUFFER, ANY) /* scan codes or movement packets, oldest first */              \
    S(UINT, uint8_t, count, PS2_BUFFER)                                                                      \
    S(UINT, uint8_t, last, ANY) /* the byte sent last, for Resend */

struct ps2_output {
    STATE_MEMBERS(PS2_OUTPUT_STATE);
    void (*ready)(void *opaque);
    void *opaque;
};
extern const struct state_table ps2_output_state;

/* Takes the next byte; false: there is none. */
bool ps2_take(struct ps2_output *out, uint8_t *byte);

/* Key events that wait for space in the buffer: what is typed (or pasted) faster than the guest reads. */
#define PS2_KEYS_WAITING 128

#define PS2_KEYBOARD_STATE(S)                                                                                \
    S(SUB, struct ps2_output, out, ps2_output_state)                                                         \
    S(UINT, uint8_t, command, ANY) /* whose parameter comes next, 0: none */                                 \
    S(RANGE, uint8_t, scan_set, 1, 3)                                                                        \
    S(BITS, uint8_t, leds, 0x07)      /* bit 0 scroll, 1 num, 2 caps lock */                                 \
    S(UINT, uint8_t, typematic, 0x7F) /* as set by the guest; repeating is done by who types */              \
    S(BITS, uint8_t, modifiers, 0x3F) /* ctrl, shift and alt that are down, for Print Screen and Pause */    \
    S(BOOL, scanning)                                                                                        \
    S(ARRAY, uint8_t, breaks, 32, ANY) /* set 3: a bit per scan code, whether its release is told */         \
    S(ARRAY, uint16_t, waiting, PS2_KEYS_WAITING, ANY) /* console codes, bit 7: released; oldest first */    \
    S(UINT, uint8_t, waiting_count, PS2_KEYS_WAITING)                                                        \
    S(TIMER, refill)

struct ps2_keyboard {
    STATE_MEMBERS(PS2_KEYBOARD_STATE);
    struct console *console;
    struct console_keyboard input;
};
extern const struct state_table ps2_keyboard_state;

void ps2_keyboard_init(struct ps2_keyboard *kbd, struct clock *clock, struct console *console,
                       void (*ready)(void *opaque), void *opaque);
void ps2_keyboard_destroy(struct ps2_keyboard *kbd);
void ps2_keyboard_reset(struct ps2_keyboard *kbd);
void ps2_keyboard_write(struct ps2_keyboard *kbd, uint8_t byte);
bool ps2_keyboard_take(struct ps2_keyboard *kbd, uint8_t *byte);

/* What a keyboard controller makes of the scan codes of set 2: those of set 1. Other bytes pass. */
uint8_t ps2_translate(uint8_t byte);

/* Counts, either way; movement beyond it, not told yet, is lost. */
#define PS2_MOVEMENT_KEPT 4096

#define PS2_MOUSE_STATE(S)                                                                                   \
    S(SUB, struct ps2_output, out, ps2_output_state)                                                         \
    S(UINT, uint8_t, command, ANY)   /* whose parameter comes next, 0: none */                               \
    S(UINT, uint8_t, id, 4)          /* 0: three buttons; 3: with a wheel; 4: and two more buttons */        \
    S(UINT, uint8_t, resolution, 3)  /* 1, 2, 4, 8 counts per mm */                                          \
    S(UINT, uint8_t, rate, ANY)      /* packets a second, as set by the guest */                             \
    S(ARRAY, uint8_t, rates, 2, ANY) /* the two set before, for the knock that wakes the wheel */            \
    S(BITS, uint8_t, buttons, 0x1F)  /* POINTER_* and bits 3, 4: buttons 4, 5 */                             \
    S(BITS, uint8_t, told, 0x1F)     /* the buttons as the host knows them */                                \
    S(BOOL, enabled)                 /* data reporting */                                                    \
    S(BOOL, remote)                                                                                          \
    S(BOOL, wrap)                                                                                            \
    S(BOOL, scaling)                                                                                         \
    S(RANGE, int16_t, dx, -PS2_MOVEMENT_KEPT, PS2_MOVEMENT_KEPT) /* not told yet: right */                   \
    S(RANGE, int16_t, dy, -PS2_MOVEMENT_KEPT, PS2_MOVEMENT_KEPT) /* up */                                    \
    S(RANGE, int16_t, dz, -PS2_MOVEMENT_KEPT, PS2_MOVEMENT_KEPT) /* towards the user */

struct ps2_mouse {
    STATE_MEMBERS(PS2_MOUSE_STATE);
    struct console *console;
    struct console_pointer input;
};
extern const struct state_table ps2_mouse_state;

void ps2_mouse_init(struct ps2_mouse *mouse, struct console *console, void (*ready)(void *opaque),
                    void *opaque);
void ps2_mouse_destroy(struct ps2_mouse *mouse);
void ps2_mouse_reset(struct ps2_mouse *mouse);
void ps2_mouse_write(struct ps2_mouse *mouse, uint8_t byte);
void ps2_mouse_poke(struct ps2_mouse *mouse);
bool ps2_mouse_take(struct ps2_mouse *mouse, uint8_t *byte);

/*
 * For the two devices: answers and data. They tell nobody: the controller may be in the middle of taking a
 * byte, or an answer may not be whole yet. Who began with an event from outside calls ps2_ready at its end.
 */
void ps2_reply(struct ps2_output *out, uint8_t byte);
/* The whole sequence, or, where there is no space, nothing: false. */
bool ps2_put(struct ps2_output *out, const uint8_t *bytes, unsigned count);
/* Tells the controller, if there is something. Never from within a take. */
void ps2_ready(struct ps2_output *out);
void ps2_output_reset(struct ps2_output *out);
#endif
