/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's memory and its video memory in a stream: pages that are not zero. For hypervisors that leave
 * memory to us; Xen carries its own.
 */
#ifndef MACHINE_MEMORY_IMAGE_H
#define MACHINE_MEMORY_IMAGE_H

#include <stdio.h>

#include "machine/machine.h"

/* Is memory a part of what is to be sent? */
bool memory_image_needed(const struct machine *m);
/* Writes all of it; the guest is stopped. Pages that nobody touched are not looked at. */
bool memory_image_write(struct machine *m, FILE *out, struct error *err);
/* Reads it into the guest's memory, which was not run in; what the stream leaves out becomes zero. The stream
 * is not trusted: nothing outside of the guest's memory is written. */
bool memory_image_read(struct machine *m, FILE *in, struct error *err);

#endif
