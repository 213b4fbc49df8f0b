/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kinds of wire that -netdev and -nic name, and their suboptions. */
#ifndef CONTROL_WIRES_H
#define CONTROL_WIRES_H

#include "control/control.h"

struct wire_kind {
    const char *type;
    const char *const *keys;
    struct net_port *(*open)(struct control *c, const struct opts *opts, const char *id, struct error *err);
};

/* All kinds and their suboptions, to stdout. */
void wire_kinds_list(void);
/* By the option's type; NULL with *err. */
const struct wire_kind *wire_kind_find(const struct opts *opts, struct error *err);
/* Is it a suboption of the wire's, and not a card's? */
bool wire_kind_takes(const struct wire_kind *kind, const char *key);

#endif
