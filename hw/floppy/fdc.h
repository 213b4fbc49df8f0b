/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The floppy controller, as the board asks it for the BIOS's configuration bytes. */
#ifndef HW_FLOPPY_FDC_H
#define HW_FLOPPY_FDC_H

#include <stdint.h>

struct device;

/* The type of a drive as CMOS byte 0x10 holds it (a half for each unit), 0: no drive. unit 0 or 1. */
uint8_t fdc_drive_type(struct device *dev, unsigned unit);

#endif
