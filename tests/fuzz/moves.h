/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a hostile guest does: random and directed accesses to every port, window and configuration register of
 * the board, with DMA addresses that no driver would give. Moves are lines of the test port's protocol; a
 * line that begins with "qmp " is a QMP command. The same seed on the same machine makes the same lines.
 */
#ifndef TESTS_FUZZ_MOVES_H
#define TESTS_FUZZ_MOVES_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/lib/qpci.h"

enum { MAX_FUNCTIONS = 32, MAX_BARS = MAX_FUNCTIONS * 7 };

struct moves {
    uint64_t random; /* the generator's state: the seed at first */
    uint64_t ram_size;
    void (*emit)(void *opaque, const char *line);
    void *opaque;
    /* what moves_scan found */
    struct {
        uint8_t devfn;
        uint16_t vendor, device;
    } functions[MAX_FUNCTIONS];
    unsigned function_count;
    struct {
        uint8_t function; /* index */
        uint8_t bar;
        bool io;
        uint64_t base, size;
    } bars[MAX_BARS];
    unsigned bar_count;
};

/* Finds every PCI function, places its BARs and enables it. */
void moves_scan(struct moves *m, struct qtest *q);

/* Makes the next move: one line or a few that belong together. */
void moves_next(struct moves *m);

#endif
