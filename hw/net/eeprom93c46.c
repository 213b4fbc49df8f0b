/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/net/eeprom93c46.h"

enum eeprom_phase { EE_START, EE_COMMAND, EE_READ, EE_WRITE };

STATE_PUBLIC_TABLE(eeprom_state, struct eeprom, EEPROM_STATE);

void eeprom_reset(struct eeprom *ee)
{
    eeprom_deselect(ee);
    ee->writable = false;
}

/* What a write needs of time is over before anybody can look: ready. */
void eeprom_deselect(struct eeprom *ee)
{
    ee->phase = EE_START;
    ee->out = true;
}

static void write_all(struct eeprom *ee, uint16_t value)
{
    for (int i = 0; i < EEPROM_WORDS && ee->writable; i++)
        ee->words[i] = value;
}

/* The command is complete. */
static void eeprom93c46_begin(struct eeprom *ee)
{
    unsigned operation = ee->command >> 6, address = ee->command & 0x3F;

    ee->bits = 0;
    ee->phase = EE_START;
    if (operation == 2) {
        ee->phase = EE_READ;
        ee->shift = ee->words[address];
        ee->out = false;
    } else if (operation == 1 || (operation == 0 && address >> 4 == 1)) {
        ee->phase = EE_WRITE;
    } else if (operation == 3 && ee->writable) {
        ee->words[address] = 0xFFFF;
    } else if (operation == 0 && address >> 4 == 2) {
        write_all(ee, 0xFFFF);
    } else if (operation == 0) {
        ee->writable = address >> 4 == 3;
    }
}

static void eeprom93c46_store(struct eeprom *ee)
{
    ee->phase = EE_START;
    if (ee->command >> 6 == 0)
        write_all(ee, ee->shift);
    else if (ee->writable)
        ee->words[ee->command & 0x3F] = ee->shift;
}

void eeprom_clock(struct eeprom *ee, bool in)
{
    switch (ee->phase) {
    case EE_START:
        ee->out = true;
        ee->bits = 0;
        if (in)
            ee->phase = EE_COMMAND;
        break;
    case EE_COMMAND:
        ee->command = ee->command << 1 | in;
        if (++ee->bits == 8)
            eeprom93c46_begin(ee);
        break;
    case EE_READ: /* on into the next word */
        ee->out = ee->shift >> 15;
        ee->shift <<= 1;
        if (++ee->bits == 16) {
            ee->bits = 0;
            ee->command = (ee->command & 0xC0) | ((ee->command + 1) & 0x3F);
            ee->shift = ee->words[ee->command & 0x3F];
        }
        break;
    default:
        ee->shift = ee->shift << 1 | in;
        if (++ee->bits == 16)
            eeprom93c46_store(ee);
    }
}
