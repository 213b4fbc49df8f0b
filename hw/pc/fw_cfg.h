/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The firmware configuration device: what the board tells SeaBIOS, OVMF and Linux' qemu_fw_cfg about the
 * machine. Items are bytes under a 16-bit key, or named files that the directory (key 0x19) lists with their
 * keys. Numbers are little-endian, the directory's are big-endian.
 *
 * The board fills it in before the guest starts; the device copies what it is given. The guest can only read.
 */
#ifndef HW_PC_FW_CFG_H
#define HW_PC_FW_CFG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct device;

/* Keys as SeaBIOS' paravirt.h names them; 0x8000 and up are the x86 board's own. */
#define FW_CFG_SIGNATURE     0x0000
#define FW_CFG_ID            0x0001
#define FW_CFG_UUID          0x0002
#define FW_CFG_RAM_SIZE      0x0003
#define FW_CFG_NOGRAPHIC     0x0004
#define FW_CFG_NB_CPUS       0x0005
#define FW_CFG_KERNEL_ADDR   0x0007
#define FW_CFG_KERNEL_SIZE   0x0008
#define FW_CFG_INITRD_ADDR   0x000A
#define FW_CFG_INITRD_SIZE   0x000B
#define FW_CFG_NUMA          0x000D
#define FW_CFG_BOOT_MENU     0x000E
#define FW_CFG_MAX_CPUS      0x000F
#define FW_CFG_KERNEL_ENTRY  0x0010
#define FW_CFG_KERNEL_DATA   0x0011
#define FW_CFG_INITRD_DATA   0x0012
#define FW_CFG_CMDLINE_ADDR  0x0013
#define FW_CFG_CMDLINE_SIZE  0x0014
#define FW_CFG_CMDLINE_DATA  0x0015
#define FW_CFG_SETUP_ADDR    0x0016
#define FW_CFG_SETUP_SIZE    0x0017
#define FW_CFG_SETUP_DATA    0x0018
#define FW_CFG_FILE_DIR      0x0019
#define FW_CFG_IRQ0_OVERRIDE 0x8002

#define FW_CFG_FILE_NAME 56 /* bytes with the terminating NUL */
#define FW_CFG_MAX_FILES 64

enum fw_cfg_e820_type { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3, E820_NVS = 4 };

/*
 * Sets the item under a fixed key (below FW_CFG_SIGNATURE's file range 0x20, or 0x8000..0x801F), replacing
 * what was there. Keys are the board's constants: one outside is a mistake of the program and is ignored.
 */
void fw_cfg_set_bytes(struct device *dev, uint16_t key, const void *data, size_t size);
/* Likewise without a copy: the data stays the caller's and must outlive the device. */
void fw_cfg_lend_bytes(struct device *dev, uint16_t key, const void *data, uint32_t size);
void fw_cfg_set_u16(struct device *dev, uint16_t key, uint16_t value);
void fw_cfg_set_u32(struct device *dev, uint16_t key, uint32_t value);
void fw_cfg_set_u64(struct device *dev, uint16_t key, uint64_t value);

/* Adds a file, or replaces it. False with *err: the name is empty or too long, or there are FW_CFG_MAX_FILES
 * already. */
bool fw_cfg_set_file(struct device *dev, const char *name, const void *data, size_t size, struct error *err);

/* Called before a file is selected by the guest: what depends on what the guest did so far is set again, of
 * the same size. */
void fw_cfg_set_refresh(struct device *dev, void (*refresh)(void *opaque), void *opaque);

/* Appends a range to the file etc/e820, SeaBIOS' and OVMF's memory map. False: as fw_cfg_set_file. */
bool fw_cfg_add_e820(struct device *dev, uint64_t base, uint64_t length, enum fw_cfg_e820_type type,
                     struct error *err);

/*
 * What every board says, from machine->config and machine->ram: RAM size, processors, boot menu, the RAM part
 * of etc/e820, IRQ 0 on IOAPIC pin 2, the system's UUID. s3: suspend to RAM is offered. False: as
 * fw_cfg_set_file.
 */
bool fw_cfg_set_standard(struct device *dev, bool s3, struct error *err);

#endif
