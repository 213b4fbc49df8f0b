/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench [PATTERN]...: hvm-dm beside Debian's QEMU, both driven through the test port, run after run in turn;
 * medians. HVM_DM names ours, PEER the other (default qemu-system-x86_64).
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/tables.h"

static const char *setting(const char *name, const char *otherwise)
{
    const char *value = getenv(name);

    return value && *value ? value : otherwise;
}

static void warn_if_busy(void)
{
    double load;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (getloadavg(&load, 1) == 1 && load > processors)
        printf("This machine is busy (load %.1f on %ld processors): times of both are too long, and ratios "
               "scatter.\n",
               load, processors);
}

int main(int argc, char **argv)
{
    const struct row_table tables[] = {board_rows, hold_rows, ide_rows, net_rows, screen_rows, usb_rows};
    const struct subject subjects[2] = {
        {setting("HVM_DM", "build/hvm-dm-system-x86_64"), false},
        {setting("PEER", "qemu-system-x86_64"), true},
    };

    printf("Medians of runs in turn. \"ahead\" says how many times better than QEMU (below 1x: worse).\n"
           "QEMU runs with -accel tcg -S: its guest is stopped, its devices and its VNC server answer as "
           "ever.\n");
    warn_if_busy();
    printf("\n");
    return rows_run(tables, sizeof(tables) / sizeof(tables[0]), subjects, argv + 1) ? 1 : 0;
}
