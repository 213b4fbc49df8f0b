/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NET_BRIDGE_H
#define NET_BRIDGE_H

#include "base/error.h"

/*
 * Puts a tap interface into a bridge of the host and sets it up. A bridge takes the smallest MTU and the
 * lowest address of its members for its own: the interface gets the bridge's MTU and a high address. Needs
 * CAP_NET_ADMIN.
 */
bool bridge_join(const char *bridge, const char *ifname, struct error *err);

#endif
