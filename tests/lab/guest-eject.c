/* SPDX-License-Identifier: GPL-2.0-or-later */
/* eject [-t] [DEVICE], for guests: Debian's static busybox has none. -t closes the tray. */
#include <fcntl.h>
#include <linux/cdrom.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

int main(int argc, char **argv)
{
    int close_it = argc > 1 && strcmp(argv[1], "-t") == 0;
    const char *device = argc > 1 + close_it ? argv[1 + close_it] : "/dev/sr0";
    int fd = open(device, O_RDONLY | O_NONBLOCK);

    if (fd >= 0 && (close_it || ioctl(fd, CDROM_LOCKDOOR, 0) == 0) &&
        ioctl(fd, close_it ? CDROMCLOSETRAY : CDROMEJECT, 0) == 0)
        return 0;
    perror(device);
    return 1;
}
