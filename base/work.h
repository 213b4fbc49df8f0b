/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is done on behalf of a guest in one piece, counted, so that no request holds the machine lock for
 * long whatever its registers say. A piece is what happens between taking the lock and letting others have
 * it: an access, a part of a long one, a handler of the loop.
 *
 * A unit is about a nanosecond of a processor of 2020. It is an estimate, and need not be better: who has
 * spent the budget stops at the next place where it can, and goes on when others had their turn. Between two
 * such places lie at most WORK_STEP units, so that no piece is larger than WORK_LIMIT.
 */
#ifndef BASE_WORK_H
#define BASE_WORK_H

#include <stdbool.h>
#include <stdint.h>

enum {
    WORK_BUDGET = 1000 * 1000,
    WORK_STEP = 1000 * 1000,
    WORK_LIMIT = WORK_BUDGET + WORK_STEP,

    WORK_ACCESS = 100,         /* one access of a register */
    WORK_CALL = 1500,          /* a system or hypervisor call that does little */
    WORK_FRAME = 2500,         /* a frame through a card and a wire, beside its bytes */
    WORK_MAPPING = 250 * 1000, /* the hypervisor is told of another place of some memory */
};

struct work {
    uint64_t units;   /* of the piece under way */
    uint64_t largest; /* piece since somebody looked */
    uint64_t pieces;
};

static inline void work_begin(struct work *work)
{
    work->units = 0;
    work->pieces++;
}

static inline void work_add(struct work *work, uint64_t units)
{
    work->units += units;
    if (work->units > work->largest)
        work->largest = work->units;
}

static inline bool work_spent(const struct work *work)
{
    return work->units >= WORK_BUDGET;
}

#endif
