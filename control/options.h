/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the command line asks for, as collected (command_line.h); and the lists that its rows collect in. */
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
    struct opts *window; /* -display sdl; NULL: no window */
    enum display display;
    const char *vga;             /* NULL: not given */
    const char *keyboard_layout; /* NULL: en-us */
    const char *qtest, *qtest_log;
    const char *incoming;             /* -incoming; NULL: the guest starts afresh */
    const char *write_config;         /* -writeconfig; NULL: not given */
    struct opts_list config_sections; /* what it writes */
    const char *pidfile, *chroot, *run_as, *process_name;
    bool start_paused, snapshot, daemonize, nographic, no_user_config;
    bool nothing_to_run; /* -help, -version and the like were answered */
};

/* Does any -device make one of that class? */
bool options_name_device(const struct options *options, const char *driver);

/* ---- collecting ---- */

/* The list owns opts from then on. */
void options_add(struct opts_list *list, struct opts *opts);
void options_add_string(struct string_list *list, const char *text);
/* A copy that lives as long as the options. */
const char *options_keep(struct options *options, const char *text);
/* opts_parse, and the result into the list; false with *err. */
bool options_collect(struct opts_list *list, const char *option, const char *arg, const char *implied,
                     const char *const *known, struct error *err);
/* The same of any keys, or of a JSON object. */
bool options_collect_json(struct opts_list *list, const char *option, const char *arg, const char *implied,
                          struct error *err);

#endif
