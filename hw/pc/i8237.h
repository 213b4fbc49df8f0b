/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ISA bus's DMA controllers as an ISA device sees them: channels 0-3 move bytes, 5-7 words, 4 is the
 * cascade.
 *
 * A device that wants to transfer raises its request and then moves data itself while the guest's programming
 * of the channel allows; if it does not allow yet, `ready` tells when to try again. Data goes to and from
 * guest RAM only: what the guest points elsewhere is lost and reads as all ones, as on a bus where nobody
 * answers.
 */
#ifndef HW_PC_I8237_H
#define HW_PC_I8237_H

#include <stdbool.h>
#include <stdint.h>

struct device;
struct machine;

/* The board's controllers, NULL if it has none. */
struct device *i8237_find(struct machine *machine);

/* Who sits on a channel; ready may be NULL: nobody. It is called when a requested channel was made ready by
 * the guest. */
void i8237_attach(struct device *dev, unsigned channel, void (*ready)(void *opaque), void *opaque);
/* The device's DREQ line. */
void i8237_request(struct device *dev, unsigned channel, bool level);

/*
 * Moves up to length bytes between the device and guest memory, as far as the channel goes: not masked, its
 * mode in this direction (or verify: counted, not moved), until its terminal count. Returns the bytes moved;
 * *terminal tells that the terminal count was reached with the last of them. On channels 5-7 length is even.
 */
uint32_t i8237_to_memory(struct device *dev, unsigned channel, const uint8_t *data, uint32_t length,
                         bool *terminal);
uint32_t i8237_from_memory(struct device *dev, unsigned channel, uint8_t *data, uint32_t length,
                           bool *terminal);

#endif
