/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/command_line.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "control/absent.h"
#include "control/config_file.h"
#include "control/devices.h"
#include "control/display.h"
#include "control/drives.h"
#include "control/lines.h"
#include "control/machine_options.h"
#include "control/migrate.h"
#include "control/networks.h"
#include "control/objects.h"
#include "control/show.h"
#include "control/usb.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum {
    MAX_CPUS_EMULATED = 32, /* kvm, qtest */
    MAX_OPTIONS = 256,
};

/* ---- the process itself ---- */

static bool apply_xen_domid(struct options *o, const char *option, const char *arg, struct error *err)
{
    uint64_t domid;

    if (!parse_number(arg, &domid) || domid == 0 || domid > 0x7FEF)
        return error_set(err, "-xen-domid takes the number of a domain (1 to 32751), not '%s'", arg);
    o->config.xen_domid = domid;
    return true;
}

static bool apply_run_with(struct options *o, const char *option, const char *arg, struct error *err)
{
    static const char *const known[] = {"chroot", "user", NULL};
    struct opts *opts = opts_parse(option, arg, NULL, known, err);

    if (!opts)
        return false;
    if (opts_get(opts, "chroot"))
        o->chroot = options_keep(o, opts_get(opts, "chroot"));
    if (opts_get(opts, "user"))
        o->run_as = options_keep(o, opts_get(opts, "user"));
    opts_free(opts);
    return true;
}

static bool apply_show(struct options *o, const char *option, const char *arg, struct error *err)
{
    o->nothing_to_run = true;
    return show_window_of(arg, err);
}

static const struct option process_option_rows[] = {
    HEADING("Process"),
    FLAG("S", start_paused, "wait for the command cont before the guest runs"),
    TEXT("pidfile", "FILE", pidfile, "write the process id there, remove the file at the end"),
    FLAG("daemonize", daemonize, "go to the background once everything is ready"),
    TEXT("chroot", "DIRECTORY", chroot, "make that the root directory once everything is open"),
    TEXT("runas", "USER|UID:GID", run_as, "become that user once everything is open"),
    FUNCTION("run-with", "[chroot=DIRECTORY][,user=USER]", apply_run_with, "-chroot and -runas in one"),
    FUNCTION("show", "NAME|PID", apply_show,
             "run nothing: bring the window of a running hvm-dm back, by the guest's name or the process's "
             "number"),
    OPTIONS_END};

static const struct option test_option_rows[] = {
    HEADING("Tests"),
    TEXT("qtest", "unix:PATH", qtest, "connect to the test program that listens there"),
    TEXT("qtest-log", "FILE", qtest_log, "accepted: there is no log"),
    HEADING("Xen (used by libxl)"),
    FUNCTION("xen-domid", "N", apply_xen_domid, "the domain to serve; means -accel xen"),
    FLAG("xen-domid-restrict", config.xen_restrict, "give up all rights over other domains once started"),
    OPTIONS_END};

static bool apply_help(struct options *o, const char *option, const char *arg, struct error *err);
static bool apply_help_troff(struct options *o, const char *option, const char *arg, struct error *err);

static bool apply_version(struct options *o, const char *option, const char *arg, struct error *err)
{
    puts("hvm-dm version " HVM_DM_VERSION);
    o->nothing_to_run = true;
    return true;
}

static bool apply_readconfig(struct options *o, const char *option, const char *arg, struct error *err);

static bool apply_writeconfig(struct options *o, const char *option, const char *arg, struct error *err)
{
    o->write_config = arg;
    return true;
}

static const struct option file_option_rows[] = {
    FUNCTION("readconfig", "FILE", apply_readconfig,
             "options from a file of sections: [device \"ID\"], then lines of the form KEY = \"VALUE\""),
    FUNCTION("writeconfig", "FILE", apply_writeconfig,
             "write the options that have such sections there (-: standard output), and run"),
    OPTIONS_END};

static const struct option help_option_rows[] = {
    FUNCTION("version", NULL, apply_version, "show the version and end"),
    FUNCTION("help", NULL, apply_help, "show this text and end"), FUNCTION("h", NULL, apply_help, NULL),
    FUNCTION("help-troff", NULL, apply_help_troff, NULL), OPTIONS_END};

/* In the order of the help. */
static const struct option *const tables[] = {
    machine_option_rows, drive_option_rows,  device_option_rows, usb_option_rows,     graphics_option_rows,
    display_option_rows, object_option_rows, line_option_rows,   network_option_rows, migrate_option_rows,
    process_option_rows, file_option_rows,   help_option_rows,   test_option_rows,    absent_option_rows,
};

/* ---- help ---- */

/* text folded at column 80 behind an indent. */
static void print_folded(FILE *out, const char *text, int indent)
{
    while (*text) {
        int length = strlen(text), most = 80 - indent;

        if (length > most) {
            length = most;
            while (length > 1 && text[length] != ' ')
                length--;
        }
        fprintf(out, "%*s%.*s\n", indent, "", length, text);
        text += length;
        while (*text == ' ')
            text++;
    }
}

/* Where the form of an argument may be broken: before an optional part, behind a choice. */
static bool may_break(const char *arg, const char *at)
{
    return (at[0] == '[' && at[1] == ',') || (at > arg && at[-1] == '|');
}

/* The form of an option, folded likewise. */
static void print_form(FILE *out, const char *name, const char *arg)
{
    int column = fprintf(out, "  -%s%s", name, arg ? " " : ""), length;

    for (const char *at = arg; at && *at; at += length) {
        for (length = 1; at[length] && !may_break(arg, at + length);)
            length++;
        if (column + length > 80)
            column = fprintf(out, "\n%*s", 8, "") - 1;
        column += fprintf(out, "%.*s", length, at);
    }
    fputc('\n', out);
}

static void print_row(FILE *out, const struct option *row)
{
    if (!row->help)
        return;
    if (!row->name) {
        fprintf(out, "\n%s:\n", row->help);
        return;
    }
    print_form(out, row->name, row->arg);
    print_folded(out, row->help, 8);
}

static void command_line_help(FILE *out)
{
    fprintf(out, "hvm-dm " HVM_DM_VERSION ": the hardware of a PC for a guest of KVM or Xen\n\n"
                 "Usage: hvm-dm [OPTION]...\n"
                 "  hvm-dm -m 1G -cdrom debian.iso -hda disk.img    boots the CD; the screen is at\n"
                 "                                                  localhost:0 for a VNC viewer\n");
    for (size_t t = 0; t < COUNT(tables); t++)
        for (const struct option *row = tables[t]; row->name || row->help; row++)
            print_row(out, row);
}

static void print_troff(FILE *out, const char *text)
{
    for (const char *at = text; *at; at++) {
        if (may_break(text, at))
            fputs("\\:", out);
        fputs(*at == '-' ? "\\-" : *at == '\\' ? "\\e" : (char[]){*at, '\0'}, out);
    }
}

static void print_troff_row(FILE *out, const struct option *row)
{
    if (!row->help)
        return;
    if (!row->name) {
        fprintf(out, ".SS %s\n", row->help);
        return;
    }
    fprintf(out, ".TP\n\\fB\\-");
    print_troff(out, row->name);
    fprintf(out, "\\fR%s", row->arg ? " \\fI" : "");
    print_troff(out, row->arg ? row->arg : "");
    fprintf(out, "%s\n", row->arg ? "\\fR" : "");
    print_troff(out, row->help);
    fputs(".\n", out);
}

static void command_line_help_troff(FILE *out)
{
    for (size_t t = 0; t < COUNT(tables); t++)
        for (const struct option *row = tables[t]; row->name || row->help; row++)
            print_troff_row(out, row);
}

static bool apply_help(struct options *o, const char *option, const char *arg, struct error *err)
{
    command_line_help(stdout);
    o->nothing_to_run = true;
    return true;
}

static bool apply_help_troff(struct options *o, const char *option, const char *arg, struct error *err)
{
    command_line_help_troff(stdout);
    o->nothing_to_run = true;
    return true;
}

/* ---- walking argv ---- */

static const struct option *find_option(const char *name)
{
    for (size_t t = 0; t < COUNT(tables); t++)
        for (const struct option *row = tables[t]; row->name || row->help; row++)
            if (row->name && !strcmp(row->name, name))
                return row;
    return NULL;
}

static bool unknown_option(const char *arg, struct error *err)
{
    const char *names[MAX_OPTIONS], *nearest;
    size_t n = 0;

    for (size_t t = 0; t < COUNT(tables); t++)
        for (const struct option *row = tables[t]; row->name || row->help; row++)
            if (row->name && row->help && n < MAX_OPTIONS - 1)
                names[n++] = row->name;
    names[n] = NULL;
    nearest = error_nearest(arg + strspn(arg, "-"), names);
    return error_set(err, "there is no option '%s'%s%s%s", arg,
                     nearest ? "; did you mean '-" : " (see -help)", nearest ? nearest : "",
                     nearest ? "'?" : "");
}

static bool apply_option(struct options *o, const struct option *option, const char *arg, struct error *err)
{
    char name[32];

    if (option->flag)
        *(bool *)((char *)o + option->flag - 1) = true;
    if (option->text)
        *(const char **)((char *)o + option->text - 1) = arg;
    if (!option->apply)
        return true;
    snprintf(name, sizeof(name), "-%s", option->name);
    return option->apply(o, name, arg, err);
}

/* By name, whatever its row: an option of the command line, or a section of a file. */
static bool apply_named(struct options *o, const char *name, const char *arg, struct error *err)
{
    const struct option *option = find_option(name);

    if (arg && option->arg)
        config_file_note(o, name, arg);
    return apply_option(o, option, arg, err);
}

static bool apply_readconfig(struct options *o, const char *option, const char *arg, struct error *err)
{
    return config_file_read(o, arg, apply_named, err) || error_prefix(err, "%s", option);
}

static bool check_together(struct options *o, struct error *err)
{
    bool xen = o->config.xen_domid || (o->accel && !strcmp(o->accel, "xen"));

    if (o->config.xen_domid && o->accel && strcmp(o->accel, "xen"))
        return error_set(err, "-xen-domid and -accel %s exclude each other", o->accel);
    if (o->config.xen_domid)
        o->accel = "xen";
    if (o->board == BOARD_XENFV && !o->accel)
        o->accel = "xen";
    if (xen && o->processor_model)
        return error_set(err,
                         "-cpu %s: under Xen the toolstack says what the processors are (cpuid= of xl.cfg)",
                         o->processor_model);
    if (!xen && o->config.max_cpus > MAX_CPUS_EMULATED)
        return error_set(err, "-smp: at most %d processors are supported here", MAX_CPUS_EMULATED);
    if (o->config.xen_restrict && !xen)
        return error_set(err, "-xen-domid-restrict: there is no -xen-domid");
    if ((o->config.initrd || o->config.append) && !o->config.kernel)
        return error_set(err, "-%s without -kernel", o->config.initrd ? "initrd" : "append");
    if (o->qtest && (!o->accel || strcmp(o->accel, "qtest")))
        return error_set(err, "-qtest needs -accel qtest");
    o->config.xen_platform = o->board == BOARD_XENFV;
    return true;
}

bool command_line_parse(struct options *o, int argc, char **argv, struct error *err)
{
    *o = (struct options){
        .config = {
            .name = "", .ram_size = 128 << 20, .cpus = 1, .max_cpus = 1, .boot_retry = -1, .acpi = true}};
    cpu_model_parse(&o->config.cpu, "host", NULL);
    for (int i = 1; i < argc && !o->nothing_to_run; i++) {
        const char *name = argv[i];
        const struct option *option;
        const char *arg = NULL;

        if (name[0] != '-' || !name[1])
            return error_set(err, "'%s' is not an option; a disk is named by -hda %s", name, name);
        option = find_option(name + (name[1] == '-' ? 2 : 1));
        if (!option)
            return unknown_option(name, err);
        if (option->arg) {
            if (i + 1 >= argc)
                return error_set(err, "%s needs an argument: %s", name, option->arg);
            arg = argv[++i];
        }
        if (!apply_named(o, option->name, arg, err))
            return false;
    }
    if (o->nothing_to_run)
        return true;
    return check_together(o, err) && (!o->write_config || config_file_write(o, o->write_config, err));
}
