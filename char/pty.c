/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A pseudo terminal. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/log.h"
#include "char/kind.h"

struct chardev_pty {
    struct chardev chr;
    int slave; /* held open, so that the pty never hangs up; -1: none */
};

static bool pty_open(struct chardev *chr, const struct chardev_options *options, struct error *err)
{
    struct chardev_pty *pty = (struct chardev_pty *)chr;
    struct termios tty;
    char path[64];
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

    pty->slave = -1;
    if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0 || ptsname_r(fd, path, sizeof(path)) ||
        (pty->slave = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0) {
        error_set(err, "no pseudo terminal to be had: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    tcgetattr(pty->slave, &tty);
    cfmakeraw(&tty);
    tcsetattr(pty->slave, TCSANOW, &tty);
    log_line("char device redirected to %s (label %s)", path, chr->id);
    chardev_open_line(chr, fd);
    if (asprintf(&chr->name, "pty:%s", path) >= 0)
        return true;
    chr->name = NULL;
    return error_set(err, "out of memory");
}

static void pty_close(struct chardev *chr)
{
    struct chardev_pty *pty = (struct chardev_pty *)chr;

    if (pty->slave >= 0)
        close(pty->slave);
}

const struct chardev_kind chardev_pty = {
    .name = "pty", .size = sizeof(struct chardev_pty), .open = pty_open, .close = pty_close};
