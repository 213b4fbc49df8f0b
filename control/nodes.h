/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nodes of images that users name: -blockdev, blockdev-add and blockdev-del, and what is told about them. */
#ifndef CONTROL_NODES_H
#define CONTROL_NODES_H

#include <jansson.h>

#include "control/control.h"

/* Opens what -blockdev says, in whatever order it was said. Those that no other stands on are drives' media.
 */
bool nodes_open(struct control *c, struct error *err);
/* Is the node a medium (a node that a user named, on which no other stands)? Then it becomes the slot's own.
 */
struct node *nodes_take_medium(struct control *c, const char *name);
/* Lets go of those that nothing uses. */
void nodes_close(struct control *c);

/* Suboptions as a flat object for node_open. A new reference. */
json_t *nodes_describe(const struct opts *opts);
/* BlockDeviceInfo and ImageInfo, as query-block and query-named-block-nodes have them. */
json_t *nodes_device_info(struct node *node);

#endif
