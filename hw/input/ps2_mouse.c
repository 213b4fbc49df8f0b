/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/input/ps2.h"

/* Host to mouse. */
enum {
    MOUSE_SCALING_1_1 = 0xE6,
    MOUSE_SCALING_2_1 = 0xE7,
    MOUSE_RESOLUTION = 0xE8,
    MOUSE_STATUS = 0xE9,
    MOUSE_STREAM = 0xEA,
    MOUSE_READ_DATA = 0xEB,
    MOUSE_RESET_WRAP = 0xEC,
    MOUSE_WRAP = 0xEE,
    MOUSE_REMOTE = 0xF0,
    MOUSE_IDENTIFY = 0xF2,
    MOUSE_SAMPLE_RATE = 0xF3,
    MOUSE_ENABLE = 0xF4,
    MOUSE_DISABLE = 0xF5,
    MOUSE_DEFAULT = 0xF6,
    MOUSE_RESEND = 0xFE,
    MOUSE_RESET = 0xFF,
};

/* Mouse to host. */
enum { MOUSE_ACK = 0xFA, MOUSE_BAT_DONE = 0xAA, MOUSE_ERROR = 0xFE };

enum { STATUS_SCALING = 0x10, STATUS_ENABLED = 0x20, STATUS_REMOTE = 0x40 };

/* First byte of a packet. */
enum { PACKET_ALWAYS = 0x08, PACKET_X_SIGN = 0x10, PACKET_Y_SIGN = 0x20 };

#define MOVE_MAX 255

STATE_PUBLIC_TABLE(ps2_mouse_state, struct ps2_mouse, PS2_MOUSE_STATE);

static int clamp(int value, int min, int max)
{
    return value < min ? min : value > max ? max : value;
}

/* Takes what fits into one packet from a movement. */
static int take(int16_t *movement, int min, int max)
{
    int part = clamp(*movement, min, max);

    *movement -= part;
    return part;
}

/* Scaling 2:1 as the PS/2 reference has it: 0, 1, 1, 3, 6, 9, then twice the count. */
static int ps2_mouse_scaled(int movement)
{
    static const uint8_t small[] = {0, 1, 1, 3, 6, 9};
    int size = movement < 0 ? -movement : movement;

    size = size < 6 ? small[size] : size * 2;
    size = size > MOVE_MAX ? MOVE_MAX : size;
    return movement < 0 ? -size : size;
}

/* The next packet: 3 bytes, or 4 with a wheel; returns its length. */
static unsigned make_packet(struct ps2_mouse *mouse, uint8_t packet[4], bool scaling)
{
    int dx = take(&mouse->dx, -MOVE_MAX, MOVE_MAX), dy = take(&mouse->dy, -MOVE_MAX, MOVE_MAX);
    int dz = take(&mouse->dz, -8, 7);

    if (scaling) {
        dx = ps2_mouse_scaled(dx);
        dy = ps2_mouse_scaled(dy);
    }
    packet[0] =
        PACKET_ALWAYS | (mouse->buttons & 7) | (dx < 0 ? PACKET_X_SIGN : 0) | (dy < 0 ? PACKET_Y_SIGN : 0);
    packet[1] = dx;
    packet[2] = dy;
    packet[3] = mouse->id == 4 ? (dz & 0xF) | (mouse->buttons & 0x18) << 1 : dz;
    mouse->told = mouse->buttons;
    return mouse->id ? 4 : 3;
}

static bool moved(const struct ps2_mouse *mouse)
{
    return mouse->dx || mouse->dy || (mouse->id && mouse->dz);
}

/*
 * Streams what is not told yet. Movement waits, and adds up, while two packets wait to be read; the rest of
 * the buffer is for buttons.
 */
static void stream(struct ps2_mouse *mouse)
{
    if (!mouse->enabled || mouse->remote || mouse->wrap)
        return;
    while (mouse->buttons != mouse->told || moved(mouse)) {
        uint8_t packet[4];
        unsigned limit = mouse->buttons != mouse->told ? PS2_BUFFER : PS2_BUFFER / 2;

        if (mouse->out.count + 4u > limit)
            return;
        ps2_put(&mouse->out, packet, make_packet(mouse, packet, mouse->scaling));
    }
}

static void ps2_mouse_pointer_event(void *opaque, int x, int y, int wheel, unsigned buttons)
{
    struct ps2_mouse *mouse = opaque;

    x = clamp(x, -PS2_MOVEMENT_KEPT, PS2_MOVEMENT_KEPT);
    y = clamp(y, -PS2_MOVEMENT_KEPT, PS2_MOVEMENT_KEPT);
    wheel = clamp(wheel, -PS2_MOVEMENT_KEPT, PS2_MOVEMENT_KEPT);
    mouse->buttons = buttons & 0x1F;
    if (!mouse->enabled)
        return;
    mouse->dx = clamp(mouse->dx + x, -PS2_MOVEMENT_KEPT, PS2_MOVEMENT_KEPT);
    mouse->dy = clamp(mouse->dy - y, -PS2_MOVEMENT_KEPT, PS2_MOVEMENT_KEPT);
    mouse->dz = clamp(mouse->dz - wheel, -PS2_MOVEMENT_KEPT, PS2_MOVEMENT_KEPT);
    stream(mouse);
    ps2_ready(&mouse->out);
}

/* A packet of no movement, unless the host has some to read. */
void ps2_mouse_poke(struct ps2_mouse *mouse)
{
    if (!mouse->enabled || mouse->remote || mouse->wrap || mouse->out.count)
        return;
    ps2_put(&mouse->out, (uint8_t[]){PACKET_ALWAYS, 0, 0, 0}, mouse->id ? 4 : 3);
    ps2_ready(&mouse->out);
}

bool ps2_mouse_take(struct ps2_mouse *mouse, uint8_t *byte)
{
    if (!ps2_take(&mouse->out, byte))
        return false;
    if (!mouse->out.replies && !mouse->out.count)
        stream(mouse);
    return true;
}

static void forget_movement(struct ps2_mouse *mouse)
{
    mouse->dx = mouse->dy = mouse->dz = 0;
    mouse->told = mouse->buttons;
}

static void ps2_mouse_set_defaults(struct ps2_mouse *mouse)
{
    mouse->resolution = 2;
    mouse->rate = 100;
    mouse->scaling = mouse->remote = mouse->wrap = mouse->enabled = false;
    forget_movement(mouse);
}

/* Three sample rates in a row that nobody would set otherwise turn the wheel, and then buttons 4 and 5, on.
 */
static void set_rate(struct ps2_mouse *mouse, uint8_t rate)
{
    if (mouse->rates[0] == 200 && rate == 80)
        mouse->id = mouse->rates[1] == 200 ? 4 : mouse->rates[1] == 100 && mouse->id == 0 ? 3 : mouse->id;
    mouse->rates[0] = mouse->rates[1];
    mouse->rates[1] = rate;
    mouse->rate = rate;
}

static void ps2_mouse_parameter(struct ps2_mouse *mouse, uint8_t byte)
{
    uint8_t command = mouse->command;

    mouse->command = 0;
    if (command == MOUSE_SAMPLE_RATE) {
        set_rate(mouse, byte);
    } else if (byte > 3) {
        ps2_reply(&mouse->out, MOUSE_ERROR);
        return;
    } else {
        mouse->resolution = byte;
    }
    ps2_reply(&mouse->out, MOUSE_ACK);
}

static uint8_t status(const struct ps2_mouse *mouse)
{
    uint8_t buttons = (mouse->buttons & POINTER_LEFT ? 4 : 0) | (mouse->buttons & POINTER_MIDDLE ? 2 : 0) |
                      (mouse->buttons & POINTER_RIGHT ? 1 : 0);

    return buttons | (mouse->scaling ? STATUS_SCALING : 0) | (mouse->enabled ? STATUS_ENABLED : 0) |
           (mouse->remote ? STATUS_REMOTE : 0);
}

static void reply_packet(struct ps2_mouse *mouse)
{
    uint8_t packet[4];
    unsigned length = make_packet(mouse, packet, false);

    for (unsigned i = 0; i < length; i++)
        ps2_reply(&mouse->out, packet[i]);
}

static void ps2_mouse_command(struct ps2_mouse *mouse, uint8_t byte)
{
    switch (byte) {
    case MOUSE_SCALING_1_1:
    case MOUSE_SCALING_2_1:
        mouse->scaling = byte == MOUSE_SCALING_2_1;
        break;
    case MOUSE_RESOLUTION:
    case MOUSE_SAMPLE_RATE:
        mouse->command = byte;
        break;
    case MOUSE_STREAM:
    case MOUSE_REMOTE:
        mouse->remote = byte == MOUSE_REMOTE;
        forget_movement(mouse);
        break;
    case MOUSE_WRAP:
    case MOUSE_RESET_WRAP:
        mouse->wrap = byte == MOUSE_WRAP;
        break;
    case MOUSE_ENABLE:
    case MOUSE_DISABLE:
        mouse->enabled = byte == MOUSE_ENABLE;
        forget_movement(mouse);
        break;
    case MOUSE_DEFAULT:
        ps2_mouse_set_defaults(mouse);
        break;
    case MOUSE_RESET:
        ps2_mouse_reset(mouse);
        break;
    case MOUSE_RESEND:
        ps2_reply(&mouse->out, mouse->out.last);
        return;
    case MOUSE_STATUS:
    case MOUSE_READ_DATA:
    case MOUSE_IDENTIFY:
        break;
    default:
        ps2_reply(&mouse->out, MOUSE_ERROR);
        return;
    }
    ps2_reply(&mouse->out, MOUSE_ACK);
    if (byte == MOUSE_STATUS) {
        ps2_reply(&mouse->out, status(mouse));
        ps2_reply(&mouse->out, mouse->resolution);
        ps2_reply(&mouse->out, mouse->rate);
    } else if (byte == MOUSE_READ_DATA) {
        reply_packet(mouse);
    } else if (byte == MOUSE_IDENTIFY) {
        ps2_reply(&mouse->out, mouse->id);
    } else if (byte == MOUSE_RESET) {
        ps2_reply(&mouse->out, MOUSE_BAT_DONE);
        ps2_reply(&mouse->out, mouse->id);
    }
}

void ps2_mouse_write(struct ps2_mouse *mouse, uint8_t byte)
{
    /* A packet on its way is given up for a command. */
    mouse->out.count = 0;
    if (mouse->wrap && byte != MOUSE_RESET_WRAP && byte != MOUSE_RESET)
        ps2_reply(&mouse->out, byte);
    else if (mouse->command && byte < MOUSE_SCALING_1_1)
        ps2_mouse_parameter(mouse, byte);
    else {
        mouse->command = 0;
        ps2_mouse_command(mouse, byte);
    }
    ps2_ready(&mouse->out);
}

void ps2_mouse_reset(struct ps2_mouse *mouse)
{
    ps2_output_reset(&mouse->out);
    mouse->command = 0;
    mouse->id = 0;
    mouse->rates[0] = mouse->rates[1] = 0;
    ps2_mouse_set_defaults(mouse);
}

void ps2_mouse_init(struct ps2_mouse *mouse, struct console *console, void (*ready)(void *opaque),
                    void *opaque)
{
    mouse->out.ready = ready;
    mouse->out.opaque = opaque;
    mouse->console = console;
    mouse->input =
        (struct console_pointer){.name = "PS/2 Mouse", .event = ps2_mouse_pointer_event, .opaque = mouse};
    if (console)
        console_add_pointer(console, &mouse->input);
}

void ps2_mouse_destroy(struct ps2_mouse *mouse)
{
    if (mouse->console)
        console_remove_pointer(mouse->console, &mouse->input);
}
