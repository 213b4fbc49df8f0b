/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ports: where a guest's accesses come from. */
#ifndef IOREQ_IOREQ_H
#define IOREQ_IOREQ_H

#include "machine/machine.h"

extern const struct accel_ops kvm_accel;   /* a guest on /dev/kvm */
extern const struct accel_ops xen_accel;   /* an HVM domain of a Xen host */
extern const struct accel_ops qtest_accel; /* no guest: a test drives the devices and owns the clock */

/*
 * Connects out to the test port's client, spec "unix:PATH", and serves it from now on. False: *err. Without
 * it the board waits. Call it after the board is complete and reset.
 */
bool qtest_connect(struct machine *m, const char *spec, struct error *err);

#endif
