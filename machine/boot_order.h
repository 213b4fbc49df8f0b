/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What firmware tries to boot from, in which order: lines of an index, lowest first, and the path of a device
 * as SeaBIOS (src/boot.c) and OVMF (QemuBootOrderLib) read it, in the manner of Open Firmware:
 * "/pci@i0cf8/ide@1,1/drive@0/disk@0", "/pci@i0cf8/ethernet@3/ethernet-phy@0",
 * "/pci@i0cf8/isa@1/fdc@03f0/floppy@0"; "/rom@genroms/NAME" for an option ROM in fw_cfg.
 *
 * Devices with bootindex= add and remove theirs by themselves; the board gives the whole to firmware at each
 * reset.
 */
#ifndef MACHINE_BOOT_ORDER_H
#define MACHINE_BOOT_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { BOOT_PATH = 128 };

struct boot_line {
    int32_t index;
    char path[BOOT_PATH];
    struct boot_line *next;
};

/* By index; empty is NULL. */
struct boot_order {
    struct boot_line *lines;
};

/* False with *err: another line has that index, or there is no memory. */
bool boot_order_add(struct boot_order *order, int32_t index, const char *path, struct error *err);
/* Nothing happens where there is none of that index. */
void boot_order_remove(struct boot_order *order, int32_t index);
/*
 * The file "bootorder": the paths, a line each, and a NUL at the end; "" of size 0 where there is nothing.
 * last: one more line, NULL: none. The caller frees it; NULL: no memory.
 */
char *boot_order_text(const struct boot_order *order, const char *last, size_t *size);

#endif
