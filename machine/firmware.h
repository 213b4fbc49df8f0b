/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that the guest gets as firmware: the BIOS, option ROMs. */
#ifndef MACHINE_FIRMWARE_H
#define MACHINE_FIRMWARE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct machine;

/* The path of a firmware file: as given if it has a slash or exists, else in the machine's firmware
 * directories (-L). The caller frees it. NULL with *err. */
char *firmware_find(struct machine *m, const char *name, struct error *err);
/* The whole file, 1 to max bytes, in page-aligned memory (a guest can be given it). The caller frees it. NULL
 * with *err. */
uint8_t *firmware_load(const char *path, size_t max, size_t *size, struct error *err);

#endif
