/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of a whole machine, written down and read back: time, run state, every device, what stands behind
 * them. Guest memory is not part of it. docs/state.md has the format.
 */
#ifndef MACHINE_SAVE_H
#define MACHINE_SAVE_H

#include "machine/machine.h"

/* A part of the state that is no device's: a wire, the accelerator's processors. Machine lock held. */
struct machine_section {
    const char *name;             /* "net/net0"; the same in every machine of the same options */
    void (*settle)(void *opaque); /* as a device class's, or NULL */
    void (*save)(void *opaque, struct state_writer *w);
    /* Twice: STATE_CHECK changes nothing, false with *err where it is not valid; STATE_APPLY does not fail.
     */
    bool (*load)(void *opaque, struct state_reader *r, enum state_load how, struct error *err);
    void (*loaded)(void *opaque); /* after all parts are applied, and the devices' loaded; or NULL */
    void *opaque;
    struct machine_section *next;
};
void machine_add_section(struct machine *m, struct machine_section *section);
void machine_remove_section(struct machine *m, struct machine_section *section);

/* What is in flight comes to where it can be written down: before memory is, where that is ours. As often as
 * one likes, while the guest does not run. */
void machine_settle(struct machine *m);

/*
 * Brings what is in flight to where it can be written down, and writes it. The guest does not run, or is the
 * one that asks (test port); it may go on afterwards. False with *err.
 */
bool machine_save(struct machine *m, struct state_writer *w, struct error *err);

/*
 * Takes a state into a machine of the same options. Nothing in `data` is trusted: all of it is checked before
 * anything is changed; false with *err, which names section, member and value. Then every device has its
 * state, timers their deadlines, lines their levels; the run state is PAUSED, or the saved one where the
 * guest slept or had ended.
 */
bool machine_load(struct machine *m, const void *data, size_t size, struct error *err);

#endif
