/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What options made and devices work with: images, character devices, wires and the console. Devices get
 * theirs by a property that names it (PROP_DRIVE, PROP_CHARDEV, PROP_NETDEV); the console is everybody's.
 */
#ifndef HW_BACKENDS_H
#define HW_BACKENDS_H

#include "machine/machine.h"

struct block;
struct chardev;
struct net_port;
struct console;

/* Lists by the rooms' own functions (block_link, block_next ...), each NULL at first. Whoever fills them in
 * closes what is in them, after the devices are gone. */
struct backends {
    struct block *blocks;
    struct chardev *chardevs;
    struct net_port *nets;
    struct console *console;
};

/* Gives them to a machine that was just made; properties are looked up in them from then on. */
void backends_init(struct backends *backends, struct machine *m);

#endif
