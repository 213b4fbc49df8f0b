/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The real-time clock's battery-backed RAM, as the board fills it in for the BIOS. */
#ifndef HW_PC_MC146818_H
#define HW_PC_MC146818_H

#include <stdint.h>

struct device;

/* The first byte of RAM; below are the clock's registers. */
#define MC146818_RAM  14
#define MC146818_SIZE 128

/*
 * Bytes of the RAM, index MC146818_RAM..MC146818_SIZE - 1; others are ignored and read as 0. A reset keeps
 * what is stored. The century (0x32) follows the clock and is not the board's to set.
 */
void mc146818_set(struct device *dev, uint8_t index, uint8_t value);
uint8_t mc146818_get(struct device *dev, uint8_t index);

#endif
