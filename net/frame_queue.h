/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames that wait, in the order they came, in memory of a fixed size. */
#ifndef NET_FRAME_QUEUE_H
#define NET_FRAME_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frame_queue {
    uint8_t *memory;
    size_t size;
    size_t first, end; /* where the oldest frame begins, and behind the newest */
    size_t used;       /* bytes between them, with lengths and gaps */
    unsigned count;
};

/* False: out of memory. */
bool frame_queue_init(struct frame_queue *queue, size_t size);
void frame_queue_free(struct frame_queue *queue);

/* length is 1..65535. False: no space. */
bool frame_queue_put(struct frame_queue *queue, const uint8_t *data, size_t length);
/* The oldest frame, in one piece, valid until it is dropped; NULL: none. */
const uint8_t *frame_queue_first(const struct frame_queue *queue, size_t *length);
void frame_queue_drop(struct frame_queue *queue);

#endif
