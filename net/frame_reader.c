/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/frame_reader.h"

#include <string.h>

#include "base/util.h"
#include "net/net.h"

enum { LENGTH = 4 };

void frame_reader_reset(struct frame_reader *reader)
{
    reader->first = reader->end = reader->skip = 0;
}

uint8_t *frame_reader_space(struct frame_reader *reader, size_t *size)
{
    if (reader->first) {
        memmove(reader->bytes, reader->bytes + reader->first, reader->end - reader->first);
        reader->end -= reader->first;
        reader->first = 0;
    }
    *size = sizeof(reader->bytes) - reader->end;
    return reader->bytes + reader->end;
}

void frame_reader_add(struct frame_reader *reader, size_t size)
{
    reader->end += size;
}

static void pass_over(struct frame_reader *reader)
{
    size_t there = reader->end - reader->first, now = min_u64(there, reader->skip);

    reader->first += now;
    reader->skip -= now;
}

enum frame_reader_result frame_reader_next(struct frame_reader *reader, const uint8_t **frame, size_t *length)
{
    for (;;) {
        size_t there;

        pass_over(reader);
        there = reader->end - reader->first;
        if (reader->skip || there < LENGTH)
            return FRAME_READER_MORE;
        *length = get_be32(reader->bytes + reader->first);
        if (*length > FRAME_READER_MAX)
            return FRAME_READER_BROKEN;
        if (*length && *length <= NET_MAX_FRAME) {
            *frame = reader->bytes + reader->first + LENGTH;
            return there - LENGTH < *length ? FRAME_READER_MORE : FRAME_READER_FRAME;
        }
        reader->skip = LENGTH + *length;
    }
}

void frame_reader_drop(struct frame_reader *reader)
{
    reader->first += LENGTH + get_be32(reader->bytes + reader->first);
}
