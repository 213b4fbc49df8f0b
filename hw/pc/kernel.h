/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel that boots without a disk: -kernel FILE, -initrd, -append. Linux' bzImage (boot protocol 2.02 and
 * later) and multiboot 1 (ELF or the header's addresses, with modules).
 *
 * The parts go into fw_cfg's kernel items. OVMF starts Linux by its EFI stub from there; under SeaBIOS an
 * option ROM of ours (bootrom.S) has fw_cfg put each part at its address: command line, setup, initrd and
 * kernel. For a multiboot kernel the initrd item is the information structure with what it points to, and
 * FW_CFG_KERNEL_ENTRY is not 0.
 */
#ifndef HW_PC_KERNEL_H
#define HW_PC_KERNEL_H

#include <stdbool.h>

#include "base/error.h"

struct device;
struct machine;

/* What was loaded; it must outlive fw_cfg. */
struct kernel;

/* From config.kernel, .initrd and .append into fw_cfg. NULL with *err: a file cannot be read, is no such
 * kernel, or does not fit into the machine's memory. */
struct kernel *kernel_load(struct machine *m, struct device *fw_cfg, struct error *err);
void kernel_free(struct kernel *kernel);

#endif
