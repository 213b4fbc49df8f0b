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
#include "machine/device.h"

/*
 * The bytes a device holds for the host. A real keyboard has 16, and drivers count on it: Linux gives the
 * controller up when more than 16 bytes come as it empties it.
 */
#define PS2_BUFFER 16

struct ps2_output {
    uint8_t reply[PS2_BUFFER]; /* answers to commands: before data, oldest first */
    uint8_t replies;
    uint8_t data[PS2_BUFFER]; /* scan codes or movement packets, oldest first */
    uint8_t count;
    uint8_t last; /* the byte sent last, for Resend */
    void (*ready)(void *opaque);
    void *opaque;
};

/* Takes the next byte; false: there is none. */
bool ps2_take(struct ps2_output *out, uint8_t *byte);

/* Key events that wait for room in the buffer: what is typed (or pasted) faster than the guest reads. */
#define PS2_KEYS_WAITING 128

struct ps2_keyboard {
    struct ps2_output out;
    uint8_t command;   /* whose parameter comes next, 0: none */
    uint8_t scan_set;  /* 1..3 */
    uint8_t leds;      /* bit 0 scroll, 1 num, 2 caps lock */
    uint8_t typematic; /* as set by the guest; repeating is done by who types */
    uint8_t modifiers; /* which of ctrl, shift and alt are down, for Print Screen and Pause */
    bool scanning;
    uint8_t breaks[32];                 /* set 3: a bit per scan code, whether its release is told */
    uint16_t waiting[PS2_KEYS_WAITING]; /* console codes, bit 7: released; oldest first */
    uint8_t waiting_count;
    struct timer refill;
    struct console *console;
    struct console_keyboard input;
};
extern const struct state_field ps2_keyboard_state[];

void ps2_keyboard_init(struct ps2_keyboard *kbd, struct clock *clock, struct console *console,
                       void (*ready)(void *opaque), void *opaque);
void ps2_keyboard_destroy(struct ps2_keyboard *kbd);
void ps2_keyboard_reset(struct ps2_keyboard *kbd);
void ps2_keyboard_write(struct ps2_keyboard *kbd, uint8_t byte);
bool ps2_keyboard_take(struct ps2_keyboard *kbd, uint8_t *byte);

/* What a keyboard controller makes of the scan codes of set 2: those of set 1. Other bytes pass. */
uint8_t ps2_translate(uint8_t byte);

struct ps2_mouse {
    struct ps2_output out;
    uint8_t command;    /* whose parameter comes next, 0: none */
    uint8_t id;         /* 0: three buttons; 3: with a wheel; 4: and two more buttons */
    uint8_t resolution; /* 0..3: 1, 2, 4, 8 counts per mm */
    uint8_t rate;       /* packets a second, as set by the guest */
    uint8_t rates[2];   /* the two set before, for the knock that wakes the wheel */
    uint8_t buttons;    /* POINTER_* and bits 3, 4: buttons 4, 5 */
    uint8_t told;       /* the buttons as the host knows them */
    bool enabled;       /* data reporting */
    bool remote, wrap, scaling;
    int16_t dx, dy, dz; /* movement not told yet: right, up, towards the user positive */
    struct console *console;
    struct console_pointer input;
};
extern const struct state_field ps2_mouse_state[];

void ps2_mouse_init(struct ps2_mouse *mouse, struct console *console, void (*ready)(void *opaque),
                    void *opaque);
void ps2_mouse_destroy(struct ps2_mouse *mouse);
void ps2_mouse_reset(struct ps2_mouse *mouse);
void ps2_mouse_write(struct ps2_mouse *mouse, uint8_t byte);
bool ps2_mouse_take(struct ps2_mouse *mouse, uint8_t *byte);

/*
 * For the two devices: answers and data. They tell nobody: the controller may be in the middle of taking a
 * byte, or an answer may not be whole yet. Who began with an event from outside calls ps2_ready at its end.
 */
void ps2_reply(struct ps2_output *out, uint8_t byte);
/* The whole sequence, or, where there is no room, nothing: false. */
bool ps2_put(struct ps2_output *out, const uint8_t *bytes, unsigned count);
/* Tells the controller, if there is something. Never from within a take. */
void ps2_ready(struct ps2_output *out);
void ps2_output_reset(struct ps2_output *out);
extern const struct state_field ps2_output_state[];

#endif
