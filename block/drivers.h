/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The drivers of nodes, one a file. */
#ifndef BLOCK_DRIVERS_H
#define BLOCK_DRIVERS_H

#include "block/node.h"

extern const struct node_driver file_driver, host_device_driver, host_cdrom_driver; /* file.c */
extern const struct node_driver qcow2_driver;                                       /* qcow2.c */
extern const struct node_driver vpc_driver;                                         /* vpc.c */
extern const struct node_driver raw_driver;                                         /* raw.c */
extern const struct node_driver null_co_driver;                                     /* null.c */
extern const struct node_driver snapshot_driver;                                    /* snapshot.c */

#endif
