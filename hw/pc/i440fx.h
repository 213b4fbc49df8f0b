/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HW_PC_I440FX_H
#define HW_PC_I440FX_H

#include "machine/bus.h"
#include "machine/device.h"

/*
 * The BIOS that is seen at the top of the first MiB where the PAM registers do not show RAM: the last 128 KiB
 * of an image (size a multiple of 4 KiB) that stays the caller's. Called once, before the first reset.
 */
void i440fx_set_bios(struct device *dev, uint8_t *bios, uint64_t size);

/*
 * The byte port 0xCF9 lies inside the configuration address register, which takes doublewords only: byte
 * accesses there are passed to the reset control register of the ISA bridge. NULL ops: to nobody.
 */
void i440fx_set_reset_port(struct device *dev, const struct region_ops *ops, void *opaque);

#endif
