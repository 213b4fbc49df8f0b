/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Standard input and output, a terminal or not. */
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "char/kind.h"

struct chardev_stdio {
    struct chardev chr;
    bool tty_saved; /* the terminal's settings are put back */
    struct termios tty;
};

static bool stdio_open(struct chardev *chr, const struct chardev_options *options, struct error *err)
{
    struct chardev_stdio *s = (struct chardev_stdio *)chr;
    struct termios raw;

    chr->name = strdup("stdio");
    if (tcgetattr(STDIN_FILENO, &s->tty) == 0) {
        s->tty_saved = true;
        raw = s->tty;
        raw.c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
        raw.c_lflag &= ~(ECHO | ECHONL | ICANON | IEXTEN | (options->raw ? ISIG : 0));
        raw.c_cflag = (raw.c_cflag & ~(CSIZE | PARENB)) | CS8;
        raw.c_cc[VMIN] = 1;
        raw.c_cc[VTIME] = 0;
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    chr->fd = STDIN_FILENO;
    chr->write_fd = STDOUT_FILENO;
    return true;
}

static void stdio_close(struct chardev *chr)
{
    struct chardev_stdio *s = (struct chardev_stdio *)chr;

    if (s->tty_saved)
        tcsetattr(STDIN_FILENO, TCSANOW, &s->tty);
}

const struct chardev_kind chardev_stdio = {
    .name = "stdio", .size = sizeof(struct chardev_stdio), .open = stdio_open, .close = stdio_close};
