/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accesses of a guest that may take several pieces (base/work.h): strings of a port, and whatever a device
 * cannot do at once. The guest's processor waits until its access is over; others have the lock in between.
 *
 * An accelerator runs an access until it is over:
 *
 *     while (!access_run(m, &access))
 *         let others have the lock;
 *
 * A device that has spent the budget within an access calls machine_unfinished, and is called again.
 */
#ifndef MACHINE_ACCESS_H
#define MACHINE_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/bus.h"

struct machine;

/* What a device has still to do. False: not all is done yet. */
struct unfinished {
    bool (*run)(void *opaque); /* NULL: nothing */
    void *opaque;
    uint64_t deletions; /* the device may be gone when its turn comes */
};

struct access {
    enum space space;
    bool write;
    uint8_t size; /* of an element: 1, 2, 4 or 8 bytes */
    uint64_t addr;
    uint8_t *data;        /* count elements */
    uint32_t count, done; /* elements at the one address */
    struct unfinished unfinished;
};

/* True: the access is over, and data is what it read. */
bool access_run(struct machine *m, struct access *access);

/*
 * From a device, inside an access: run(opaque) is called until it returns true, each time with a new budget,
 * before the access is over. Outside of an access (a write that was delivered late) the loop calls it.
 */
void machine_unfinished(struct machine *m, bool (*run)(void *opaque), void *opaque);

/* One access that the accelerator makes by itself: what is unfinished at its end becomes access's. */
void access_enter(struct machine *m);
void access_leave(struct machine *m, struct access *access);

#endif
