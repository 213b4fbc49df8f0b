/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nothing: output is gone, input never comes. */
#include <string.h>

#include "char/kind.h"

static bool null_open(struct chardev *chr, const struct chardev_options *options, struct error *err)
{
    chr->name = strdup("null");
    return true;
}

const struct chardev_kind chardev_null = {.name = "null", .size = sizeof(struct chardev), .open = null_open};
