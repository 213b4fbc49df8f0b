/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ring of a paravirtual disk (xen/include/public/io/blkif.h, ring.h): pages shared with the guest, in
 * which its requests and our responses take turns. All that the guest may have written there is copied
 * before it is looked at, and a producer index that cannot be stops the ring for good. No Xen calls here.
 */
#ifndef XENPV_BLKIF_RING_H
#define XENPV_BLKIF_RING_H

#include <stdbool.h>
#include <stdint.h>

#include <xenctrl.h>
/* after xenctrl.h */
#include <xen/io/blkif.h>

struct blkif_ring {
    uint8_t *shared;
    uint32_t size;       /* requests, a power of two */
    uint32_t entry_size; /* bytes */
    bool abi32;          /* of a 32-bit guest: 64-bit fields lie on multiples of 4 */
    bool broken;
    uint32_t consumed, produced; /* free-running: requests taken, responses given */
};

/* A request as it was copied; which members count is the operation's matter. */
struct blkif_command {
    uint8_t operation; /* BLKIF_OP_READ ...; of an indirect request, the one that it stands for */
    bool indirect;
    uint16_t segments;
    uint64_t id, sector;
    uint64_t sectors; /* DISCARD */
    struct blkif_request_segment direct[BLKIF_MAX_SEGMENTS_PER_REQUEST];
    grant_ref_t pages[BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST]; /* indirect: where the segments are */
};

enum blkif_taken {
    BLKIF_NONE,    /* no request; the guest sends an event with the next one */
    BLKIF_COMMAND, /* one */
    BLKIF_BROKEN,  /* the guest's producer index is nonsense; told once, after which there are none */
};

/* pages: 1 << order of them, mapped in one piece. */
void blkif_ring_attach(struct blkif_ring *ring, void *pages, unsigned order, bool abi32);
enum blkif_taken blkif_ring_take(struct blkif_ring *ring, struct blkif_command *command);
/* status: BLKIF_RSP_OKAY ... True: the guest wants an event. */
bool blkif_ring_respond(struct blkif_ring *ring, uint64_t id, uint8_t operation, int16_t status);

#endif
