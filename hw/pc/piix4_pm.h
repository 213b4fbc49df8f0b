/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HW_PC_PIIX4_PM_H
#define HW_PC_PIIX4_PM_H

#include "machine/pci.h"

/* The first of the power management ports, where the firmware put them; 0: nowhere yet (82371AB 7.1.27). */
uint16_t piix4_pm_base(const struct pci_device *pm);
/* Is suspend to RAM offered to the guest? */
bool piix4_pm_offers_s3(const struct pci_device *pm);

#endif
