/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ACPI tables that firmware takes from fw_cfg (etc/acpi/tables, etc/acpi/rsdp) and places by a list of
 * commands (etc/table-loader; EDK2 OvmfPkg AcpiPlatformDxe and SeaBIOS src/fw/romfile_loader.h tell its
 * form).
 */
#ifndef HW_PC_ACPI_H
#define HW_PC_ACPI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct device;
struct machine;

/*
 * Puts the tables of the machine as it is now into fw_cfg. pm_base: where the firmware put the power
 * management ports (82371AB PMBASE). s3: suspend to RAM is offered. All is of the same size at each call, so
 * that a guest that has read the directory is not misled. False with *err: out of memory, or too many files.
 */
bool acpi_publish(struct machine *m, struct device *fw_cfg, uint16_t pm_base, bool s3, struct error *err);

#endif
