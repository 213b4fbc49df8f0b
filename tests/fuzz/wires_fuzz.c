/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What others send to a stream wire, in pieces of any size, and the text of hostfwd=. The first byte chooses
 * (0: the text); the stream's pieces: a byte of how many bytes follow (0: the whole rest).
 */
#include <stdlib.h>
#include <string.h>

#include "net/frame_reader.h"
#include "net/net.h"
#include "net/user_config.h"

static struct frame_reader reader;

static void parse_text(const uint8_t *data, size_t size)
{
    struct user_forward forward;
    char *text = calloc(1, size + 1);

    memcpy(text, data, size);
    if (user_parse_forward(text, &forward, NULL) && !forward.guest_port)
        abort();
    free(text);
}

/* False: the stream is broken. */
static bool take_frames(void)
{
    enum frame_reader_result result;
    const uint8_t *frame;
    size_t length, room;
    uint8_t copy[NET_MAX_FRAME];

    while ((result = frame_reader_next(&reader, &frame, &length)) == FRAME_READER_FRAME) {
        if (!length || length > NET_MAX_FRAME || frame < reader.bytes ||
            frame + length > reader.bytes + reader.end)
            abort();
        memcpy(copy, frame, length);
        frame_reader_drop(&reader);
    }
    frame_reader_space(&reader, &room);
    if (result == FRAME_READER_MORE && !room)
        abort();
    return result == FRAME_READER_MORE;
}

static void feed(const uint8_t *data, size_t size)
{
    while (size) {
        size_t room;
        uint8_t *space = frame_reader_space(&reader, &room);

        if (room > size)
            room = size;
        memcpy(space, data, room);
        frame_reader_add(&reader, room);
        data += room;
        size -= room;
        if (!take_frames())
            return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    frame_reader_reset(&reader);
    if (size && !*data) {
        parse_text(data + 1, size - 1);
        return 0;
    }
    while (size > 1) {
        size_t piece = data[0] && data[0] < size - 1 ? data[0] : size - 1;

        feed(data + 1, piece);
        data += 1 + piece;
        size -= 1 + piece;
    }
    return 0;
}
