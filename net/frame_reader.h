/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames out of a stream of bytes: four bytes of length, big endian, before each. Those that no card could
 * take are passed over.
 */
#ifndef NET_FRAME_READER_H
#define NET_FRAME_READER_H

#include <stddef.h>
#include <stdint.h>

enum {
    FRAME_READER_SIZE = 64 << 10,
    FRAME_READER_MAX = 68 << 10 /* what others may send; a longer frame is none, but garbage */
};

struct frame_reader {
    size_t first, end; /* bytes that were read and not used up yet */
    size_t skip;       /* of a frame that is passed over: bytes that are still to come */
    uint8_t bytes[FRAME_READER_SIZE];
};

enum frame_reader_result { FRAME_READER_FRAME, FRAME_READER_MORE, FRAME_READER_BROKEN };

void frame_reader_reset(struct frame_reader *reader);
/* Where the next bytes are to be put, and how many at most: never 0 after frame_reader_next said MORE. What
 * it gave before is not valid any more. */
uint8_t *frame_reader_space(struct frame_reader *reader, size_t *size);
void frame_reader_add(struct frame_reader *reader, size_t size);
/* The next whole frame, which stays the next until it is dropped; or more bytes are needed; or the stream
 * makes no sense. */
enum frame_reader_result frame_reader_next(struct frame_reader *reader, const uint8_t **frame,
                                           size_t *length);
void frame_reader_drop(struct frame_reader *reader);

#endif
