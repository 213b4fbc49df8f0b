/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/input/ps2.h"

#include <string.h>

STATE_PUBLIC_TABLE(ps2_output_state, struct ps2_output, PS2_OUTPUT_STATE);

static uint8_t shift(uint8_t *bytes, uint8_t *count)
{
    uint8_t first = bytes[0];

    memmove(bytes, bytes + 1, --*count);
    return first;
}

bool ps2_take(struct ps2_output *out, uint8_t *byte)
{
    if (out->replies)
        *byte = shift(out->reply, &out->replies);
    else if (out->count)
        *byte = shift(out->data, &out->count);
    else
        return false;
    out->last = *byte;
    return true;
}

void ps2_reply(struct ps2_output *out, uint8_t byte)
{
    if (out->replies < PS2_BUFFER)
        out->reply[out->replies++] = byte;
}

bool ps2_put(struct ps2_output *out, const uint8_t *bytes, unsigned count)
{
    if (count > (unsigned)PS2_BUFFER - out->count)
        return false;
    memcpy(out->data + out->count, bytes, count);
    out->count += count;
    return true;
}

void ps2_ready(struct ps2_output *out)
{
    if (out->replies || out->count)
        out->ready(out->opaque);
}

void ps2_output_reset(struct ps2_output *out)
{
    out->replies = out->count = 0;
    out->last = 0;
}
