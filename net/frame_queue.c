/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A ring of bytes: two of length, low byte first, then the frame. A frame never goes around the ring's end:
 * where one does not fit there, a length of 0 (or less space than for a length) says that the next is at the
 * beginning.
 */
#include "net/frame_queue.h"

#include <stdlib.h>
#include <string.h>

enum { LENGTH = 2 };

bool frame_queue_init(struct frame_queue *queue, size_t size)
{
    *queue = (struct frame_queue){.memory = malloc(size), .size = size};
    return queue->memory;
}

void frame_queue_free(struct frame_queue *queue)
{
    free(queue->memory);
}

static size_t frame_queue_length_at(const struct frame_queue *queue, size_t at)
{
    return queue->size - at < LENGTH ? 0 : queue->memory[at] | queue->memory[at + 1] << 8;
}

static void set_length(struct frame_queue *queue, size_t at, size_t length)
{
    queue->memory[at] = length;
    queue->memory[at + 1] = length >> 8;
}

bool frame_queue_put(struct frame_queue *queue, const uint8_t *data, size_t length)
{
    size_t need = LENGTH + length, tail = queue->size - queue->end;
    size_t gap = tail < need ? tail : 0;

    if (queue->size - queue->used < gap + need)
        return false;
    if (tail < need) {
        if (gap >= LENGTH)
            set_length(queue, queue->end, 0);
        queue->end = 0;
    }
    set_length(queue, queue->end, length);
    memcpy(queue->memory + queue->end + LENGTH, data, length);
    queue->end += need;
    queue->used += gap + need;
    queue->count++;
    return true;
}

const uint8_t *frame_queue_first(const struct frame_queue *queue, size_t *length)
{
    if (!queue->count)
        return NULL;
    *length = frame_queue_length_at(queue, queue->first);
    return queue->memory + queue->first + LENGTH;
}

void frame_queue_drop(struct frame_queue *queue)
{
    size_t length = LENGTH + frame_queue_length_at(queue, queue->first);

    queue->first += length;
    queue->used -= length;
    if (!--queue->count) {
        queue->first = queue->end = queue->used = 0; /* the same memory again while few wait */
    } else if (!frame_queue_length_at(queue, queue->first)) {
        queue->used -= queue->size - queue->first;
        queue->first = 0;
    }
}
