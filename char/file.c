/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A file that output goes to. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "char/kind.h"

static bool file_open(struct chardev *chr, const struct chardev_options *options, struct error *err)
{
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (options->append ? O_APPEND : O_TRUNC);
    int fd = open(options->path, flags, 0666);

    if (fd < 0)
        return error_set(err, "%s: %s", options->path, strerror(errno));
    chr->name = strdup("file");
    chardev_open_line(chr, fd);
    chr->input_ended = true;
    chardev_update_watch(chr);
    return true;
}

const struct chardev_kind chardev_file = {.name = "file", .size = sizeof(struct chardev), .open = file_open};
