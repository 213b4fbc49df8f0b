/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -usbdevice: what it names, on ports that are free. */
#ifndef CONTROL_USB_H
#define CONTROL_USB_H

#include "control/control.h"
#include "control/option.h"

extern const struct option usb_option_rows[];

/* After everything else, so that what names a port has it. */
bool usb_plug(struct control *c, struct error *err);

#endif
