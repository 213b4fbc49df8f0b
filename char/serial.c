/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A character device of the host, such as /dev/ttyS0: both directions. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <termios.h>

#include "char/kind.h"

static bool serial_open(struct chardev *chr, const struct chardev_options *options, struct error *err)
{
    struct termios tty;
    int fd = open(options->path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return error_set(err, "%s: %s", options->path, strerror(errno));
    if (tcgetattr(fd, &tty) == 0) {
        cfmakeraw(&tty);
        tcsetattr(fd, TCSANOW, &tty);
    }
    chr->name = strdup("serial");
    chardev_open_line(chr, fd);
    return true;
}

const struct chardev_kind chardev_serial = {
    .name = "serial", .size = sizeof(struct chardev), .open = serial_open};
