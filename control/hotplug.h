/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices that come and go while the guest runs: QMP device_add and device_del. */
#ifndef CONTROL_HOTPLUG_H
#define CONTROL_HOTPLUG_H

#include "control/qmp.h"

/* Of buses that have struct bus_ops.hotplug. */
bool hotplug_device_add(struct qmp_call *call);
/* The device is gone when DEVICE_DELETED is told, which is before the answer. */
bool hotplug_device_del(struct qmp_call *call);

#endif
