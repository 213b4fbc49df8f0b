/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices that come and go while the guest runs: QMP device_add and device_del. */
#ifndef CONTROL_HOTPLUG_H
#define CONTROL_HOTPLUG_H

#include "control/qmp.h"

/* On a bus whose devices come and go by themselves (USB), or one with somebody who tells the guest (PCI with
 * ACPI). */
bool hotplug_device_add(struct qmp_call *call);
/* The device is gone when DEVICE_DELETED is told: before the answer on USB, when the guest has let go of it
 * on PCI. */
bool hotplug_device_del(struct qmp_call *call);
/* Tells it: for machine->device_deleted, with the struct control. */
void hotplug_device_deleted(void *opaque, const struct device *dev);

#endif
