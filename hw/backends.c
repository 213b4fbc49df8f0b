/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/backends.h"

#include "block/block.h"
#include "char/chardev.h"
#include "net/net.h"

static void *find_drive(void *opaque, const char *id)
{
    return block_find(((struct backends *)opaque)->blocks, id);
}

static void *find_chardev(void *opaque, const char *id)
{
    return chardev_find(((struct backends *)opaque)->chardevs, id);
}

static void *find_netdev(void *opaque, const char *id)
{
    return net_find(((struct backends *)opaque)->nets, id);
}

void backends_init(struct backends *backends, struct machine *m)
{
    m->backends = backends;
    m->sources[PROP_DRIVE] = (struct property_source){"drive", find_drive, backends};
    m->sources[PROP_CHARDEV] = (struct property_source){"character device", find_chardev, backends};
    m->sources[PROP_NETDEV] = (struct property_source){"network", find_netdev, backends};
}
