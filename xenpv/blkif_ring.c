/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xenpv/blkif_ring.h"

#include <stdatomic.h>
#include <string.h>

/* struct blkif_sring without its entries: the same for every kind of guest. */
struct header {
    _Atomic uint32_t request_produced, request_event;
    _Atomic uint32_t response_produced, response_event;
    uint8_t pad[48];
};

/* Bytes of an entry, a request being the longest thing in it: with 64-bit fields on multiples of 8, and of 4.
 */
enum { ENTRY_64 = sizeof(struct blkif_request), ENTRY_32 = ENTRY_64 - 4, RESPONSE_64 = 16, RESPONSE_32 = 12 };

_Static_assert(ENTRY_64 == 112, "the layout of struct blkif_request");

static struct header *blkif_ring_header_of(const struct blkif_ring *ring)
{
    return (struct header *)ring->shared;
}

static uint8_t *entry(const struct blkif_ring *ring, uint32_t index)
{
    return ring->shared + sizeof(struct header) + (size_t)(index & (ring->size - 1)) * ring->entry_size;
}

void blkif_ring_attach(struct blkif_ring *ring, void *pages, unsigned order, bool abi32)
{
    uint32_t bytes = ((uint32_t)XC_PAGE_SIZE << order) - sizeof(struct header);

    *ring = (struct blkif_ring){
        .shared = pages, .entry_size = abi32 ? ENTRY_32 : ENTRY_64, .abi32 = abi32, .size = 1};
    while (2 * ring->size * ring->entry_size <= bytes)
        ring->size *= 2;
    ring->produced = ring->consumed = atomic_load(&blkif_ring_header_of(ring)->response_produced);
}

/* ---- requests ---- */

/*
 * From the copy of an entry. In all kinds of request the id, the sector and what follows are 64 bits wide and
 * begin at 8, or at 4 where such fields lie on multiples of 4.
 */
static void blkif_ring_decode(const uint8_t *raw, bool abi32, struct blkif_command *c)
{
    const uint8_t *wide = raw + (abi32 ? 4 : 8);

    *c = (struct blkif_command){.operation = raw[0], .segments = raw[1]};
    memcpy(&c->id, wide, sizeof(c->id));
    memcpy(&c->sector, wide + 8, sizeof(c->sector));
    switch (c->operation) {
    case BLKIF_OP_DISCARD:
        memcpy(&c->sectors, wide + 16, sizeof(c->sectors));
        break;
    case BLKIF_OP_INDIRECT:
        c->indirect = true;
        c->operation = raw[1];
        memcpy(&c->segments, raw + 2, sizeof(c->segments));
        memcpy(c->pages, wide + 20, sizeof(c->pages)); /* behind the handle */
        break;
    default:
        memcpy(c->direct, wide + 16, sizeof(c->direct));
    }
}

/* The next request's number, if there is one. */
static bool more(struct blkif_ring *ring)
{
    uint32_t produced = atomic_load(&blkif_ring_header_of(ring)->request_produced);

    /* The guest may not produce into entries whose requests were not answered. */
    if (produced - ring->produced > ring->size || produced - ring->produced < ring->consumed - ring->produced)
        ring->broken = true;
    return produced != ring->consumed;
}

/* Asks for an event with the next request, and looks once more: it may have come meanwhile. */
static bool more_after_all(struct blkif_ring *ring)
{
    atomic_store(&blkif_ring_header_of(ring)->request_event, ring->consumed + 1);
    return more(ring);
}

enum blkif_taken blkif_ring_take(struct blkif_ring *ring, struct blkif_command *command)
{
    uint8_t copy[ENTRY_64];

    if (ring->broken || (!more(ring) && !more_after_all(ring)))
        return BLKIF_NONE;
    if (ring->broken)
        return BLKIF_BROKEN;
    memcpy(copy, entry(ring, ring->consumed), ring->entry_size);
    atomic_signal_fence(memory_order_seq_cst); /* from here on only the copy is read */
    ring->consumed++;
    blkif_ring_decode(copy, ring->abi32, command);
    return BLKIF_COMMAND;
}

/* ---- responses ---- */

bool blkif_ring_respond(struct blkif_ring *ring, uint64_t id, uint8_t operation, int16_t status)
{
    uint8_t response[RESPONSE_64] = {0}; /* padding tells nothing of our memory */
    uint32_t before = ring->produced;

    memcpy(response, &id, sizeof(id));
    response[8] = operation;
    memcpy(response + 10, &status, sizeof(status));
    memcpy(entry(ring, ring->produced), response, ring->abi32 ? RESPONSE_32 : RESPONSE_64);
    ring->produced++;
    atomic_store(&blkif_ring_header_of(ring)->response_produced, ring->produced);
    return ring->produced - atomic_load(&blkif_ring_header_of(ring)->response_event) <
           ring->produced - before;
}
