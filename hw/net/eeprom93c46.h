/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The serial EEPROM 93C46 in its 16-bit organisation, which network cards keep their address in: a start bit,
 * 2 bits of operation, 6 of address, 16 of data, each taken when the clock rises while the chip is selected.
 */
#ifndef HW_NET_EEPROM93C46_H
#define HW_NET_EEPROM93C46_H

#include "machine/device.h"

enum { EEPROM_WORDS = 64 };

#define EEPROM_STATE(S)                                                                                      \
    S(ARRAY, uint16_t, words, EEPROM_WORDS, ANY)                                                             \
    S(UINT, uint8_t, phase, EE_WRITE)                                                                        \
    S(UINT, uint8_t, bits, 15)                                                                               \
    S(UINT, uint8_t, command, ANY)                                                                           \
    S(UINT, uint16_t, shift, ANY)                                                                            \
    S(BOOL, out) /* the data output */                                                                       \
    S(BOOL, writable)

struct eeprom {
    STATE_MEMBERS(EEPROM_STATE);
};
extern const struct state_table eeprom_state;

/* Power on; the words stay. */
void eeprom_reset(struct eeprom *ee);
/* The clock rises, with that bit on the data input. */
void eeprom_clock(struct eeprom *ee, bool in);
/* The chip is no longer selected: what was under way ends. */
void eeprom_deselect(struct eeprom *ee);

#endif
