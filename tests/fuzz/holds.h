/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long the accesses of a hostile guest hold the machine, by kind: for each the largest piece of work
 * (base/work.h) and the longest in time, with the line that did it.
 */
#ifndef TESTS_FUZZ_HOLDS_H
#define TESTS_FUZZ_HOLDS_H

#include <stdint.h>

#include "tests/fuzz/moves.h"

enum { MAX_HOLDS = 128, HOLD_TEXT = 100 };

struct holds {
    struct hold {
        char kind[32];
        char line[HOLD_TEXT]; /* that which took most of the processor's time */
        unsigned long units;
        long ns, worked; /* and of the processor's time: to be preempted does not count */
        unsigned long lines;
    } kinds[MAX_HOLDS];
    unsigned count;
};

/* Takes the test port's answer to `work` for a line of the moves. Returns the units. */
unsigned long holds_add(struct holds *holds, const struct moves *moves, const char *line, const char *answer);
/* The longest first. */
void holds_print(struct holds *holds);

#endif
