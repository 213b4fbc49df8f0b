/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The serial EEPROM 93C46 in its 16-bit organisation, which network cards keep their address in: a start bit,
 * 2 bits of operation, 6 of address, 16 of data, each taken when the clock rises while the chip is selected.
 */
#ifndef HW_NET_EEPROM93C46_H
#define HW_NET_EEPROM93C46_H

#include "machine/device.h"

enum { EEPROM_WORDS = 64 };

struct eeprom {
    uint16_t words[EEPROM_WORDS];
    uint8_t phase, bits, command;
    uint16_t shift;
    bool out; /* the data output */
    bool writable;
};

extern const struct state_field eeprom_state[]; /* for STATE_SUB */

/* Power on; the words stay. */
void eeprom_reset(struct eeprom *ee);
/* The clock rises, with that bit on the data input. */
void eeprom_clock(struct eeprom *ee, bool in);
/* The chip is no longer selected: what was under way ends. */
void eeprom_deselect(struct eeprom *ee);

#endif
