/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What -object names: secrets, and dumps of networks (which networks.c opens). */
#ifndef CONTROL_OBJECTS_H
#define CONTROL_OBJECTS_H

#include "control/control.h"
#include "control/option.h"

extern const struct option object_option_rows[];

/* Only those that something here looks for; what a secret names can be read. */
bool objects_check(const struct control *c, struct error *err);
/* The credentials of that id, the caller's; NULL: *err. */
struct vnc_tls *objects_open_tls(const struct control *c, const char *id, struct error *err);
/* The file of the secret of that id; NULL: there is none. */
const char *objects_secret_file(const struct control *c, const char *id);

#endif
