/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line. Options are only collected here, in any order; what they name (files, each other) is
 * looked at when the machine is built (build.h).
 */
#ifndef CONTROL_OPTIONS_H
#define CONTROL_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#include "control/opts.h"
#include "machine/machine.h"

#define HVM_DM_VERSION "0.1"

enum board { BOARD_PC, BOARD_XENFV, BOARD_NONE };
enum display { DISPLAY_DEFAULT, DISPLAY_NONE, DISPLAY_VNC };

struct opts_list {
    struct opts **items;
    size_t count;
};

struct string_list {
    const char **items; /* ends with NULL once there is one */
    size_t count;
};

struct options {
    struct machine_config config;
    enum board board;
    const char *accel;           /* kvm, qtest, xen; NULL: not given */
    const char *processor_model; /* -cpu; NULL: not given */
    struct opts_list drives, blockdevs, devices, chardevs, monitors, netdevs, nets, objects, globals;
    struct string_list serials, usb_devices, firmware_dirs;
    struct string_list kept; /* copies of text that was a part of an argument */
    struct opts *vnc;
    enum display display;
    const char *vga;             /* NULL: not given */
    const char *keyboard_layout; /* NULL: en-us */
    const char *qtest, *qtest_log;
    const char *pidfile, *chroot, *run_as, *process_name;
    bool start_paused, snapshot, daemonize, nographic, no_user_config;
    bool nothing_to_run; /* -help, -version and the like were answered */
};

/* False with *err: the first mistake. Strings of argv are kept. */
bool options_parse(struct options *options, int argc, char **argv, struct error *err);

/* Does any -device make one of that class? */
bool options_name_device(const struct options *options, const char *driver);

/* Adds a -chardev for what -serial, -monitor and -qmp take: "stdio", "unix:PATH,server", ... */
bool options_add_line(struct options *options, const char *option, const char *spec, const char *id,
                      struct error *err);

/* The accelerators, the default first; ends with NULL. */
extern const struct accel_ops *const accels[];
const struct accel_ops *find_accel(const char *name);

/* The options as text for people, and as the OPTIONS section of a man page. */
void options_help(FILE *out);
void options_help_troff(FILE *out);

#endif
