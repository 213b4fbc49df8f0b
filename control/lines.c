/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "char/chardev.h"
#include "control/hmp.h"
#include "control/qmp.h"
#include "machine/device.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { MAX_SERIAL = 4 };

/* ---- options ---- */

static const char *const chardev_keys[] = {
    "backend", "id",  "path",   "host", "port", "fd",        "server", "wait",    "nodelay", "append",
    "delay",   "mux", "signal", "ipv4", "ipv6", "reconnect", "telnet", "logfile", NULL};

static bool apply_spice(struct options *o, const char *option, const char *arg, struct error *err)
{
    return error_set(err, "%s %s: SPICE is not supported; VNC is", option, arg);
}

/* What a person types at ID goes to the line, or to a monitor: "mon:..." */
static void share_with_monitor(struct options *o, struct opts *line, const char *option, const char *id)
{
    struct opts *monitor = opts_new(option, line->text);

    opts_add(line, "mux", "on");
    opts_add(line, "signal", "off");
    opts_add(monitor, "chardev", id);
    options_add(&o->monitors, monitor);
}

static bool split_host_port(struct opts *opts, const char *address, struct error *err)
{
    const char *colon = strrchr(address, ':');
    size_t length = colon ? (size_t)(colon - address) : 0;
    char *host;

    if (!colon || !colon[1])
        return error_set(err, "%s: not of the form HOST:PORT", address);
    if (length >= 2 && address[0] == '[' && address[length - 1] == ']') {
        address++;
        length -= 2;
    }
    host = xstrndup(address, length);
    opts_add(opts, "host", host);
    opts_add(opts, "port", colon + 1);
    free(host);
    return true;
}

static bool add_line(struct options *o, const char *option, const char *spec, const char *id,
                     struct error *err)
{
    static const char *const keys[] = {"address", "server", "wait", "nodelay", "append", NULL};
    static const char *const words[] = {
        "stdio", "pty", "null", "file:", "unix:", "tcp:", "chardev:", "none", NULL};
    static const char *const plain[] = {"stdio", "pty", "null"};
    struct opts *parts, *opts = opts_new(option, spec);
    const char *colon;
    bool ok = true;

    opts_add(opts, "id", id);
    options_add(&o->chardevs, opts);
    if (!strncmp(spec, "mon:", 4)) {
        share_with_monitor(o, opts, option, id);
        spec += 4;
    }
    colon = strchr(spec, ':');
    for (size_t i = 0; i < COUNT(plain); i++)
        if (!strcmp(spec, plain[i])) {
            opts_add(opts, "backend", spec);
            return true;
        }
    if (!strcmp(spec, "vc") ||
        !strcmp(spec, "/dev/null")) { /* vc: a text screen of its own, which is not here */
        opts_add(opts, "backend", "null");
        return true;
    }
    if (!strncmp(spec, "/dev/", 5)) {
        opts_add(opts, "backend", "serial");
        opts_add(opts, "path", spec);
        return true;
    }
    if (!colon || (strncmp(spec, "file:", 5) && strncmp(spec, "unix:", 5) && strncmp(spec, "tcp:", 4)))
        return unknown_name(err, "kind of line", spec, words) || error_prefix(err, "%s", option);
    parts = opts_parse(option, colon + 1, "address", keys, err);
    if (!parts)
        return false;
    opts_add(opts, "backend", spec[0] == 'f' ? "file" : "socket");
    if (spec[0] == 't')
        ok = split_host_port(opts, opts_get(parts, "address"), err) ||
             error_prefix(err, "%s %s", option, spec);
    else
        opts_add(opts, "path", opts_get(parts, "address"));
    for (size_t i = 1; i < parts->count; i++)
        opts_add(opts, parts->pairs[i].key, parts->pairs[i].value);
    opts_free(parts);
    return ok;
}

static bool apply_chardev(struct options *o, const char *option, const char *arg, struct error *err)
{
    if (!strncmp(arg, "spice", 5))
        return apply_spice(o, option, arg, err);
    return options_collect(&o->chardevs, option, arg, "backend", chardev_keys, err);
}

static bool apply_mon(struct options *o, const char *option, const char *arg, struct error *err)
{
    static const char *const known[] = {"chardev", "mode", "pretty", "id", NULL};

    return options_collect(&o->monitors, option, arg, "chardev", known, err);
}

static bool add_monitor(struct options *o, const char *option, const char *arg, const char *mode,
                        const char *pretty, struct error *err)
{
    char id[32];
    struct opts *opts;

    if (!strcmp(arg, "none"))
        return true;
    opts = opts_new(option, arg);
    if (!strncmp(arg, "chardev:", 8)) {
        snprintf(id, sizeof(id), "%s", "");
        opts_add(opts, "chardev", arg + 8);
    } else {
        snprintf(id, sizeof(id), "compat_monitor%zu", o->monitors.count);
        opts_add(opts, "chardev", id);
        if (!add_line(o, option, arg, id, err)) {
            opts_free(opts);
            return false;
        }
    }
    opts_add(opts, "mode", mode);
    opts_add(opts, "pretty", pretty);
    options_add(&o->monitors, opts);
    return true;
}

static bool apply_monitor(struct options *o, const char *option, const char *arg, struct error *err)
{
    return add_monitor(o, option, arg, "readline", "off", err);
}

static bool apply_qmp(struct options *o, const char *option, const char *arg, struct error *err)
{
    return add_monitor(o, option, arg, "control", strcmp(option, "-qmp-pretty") ? "off" : "on", err);
}

static bool apply_serial(struct options *o, const char *option, const char *arg, struct error *err)
{
    options_add_string(&o->serials, arg);
    return true;
}

static bool apply_parallel(struct options *o, const char *option, const char *arg, struct error *err)
{
    return !strcmp(arg, "none") || !strcmp(arg, "null") || !strcmp(arg, "/dev/null") ||
           error_set(err, "-parallel %s: this board has no parallel port; only none is taken", arg);
}

const struct option line_option_rows[] = {
    HEADING("Serial lines and monitors"),
    FUNCTION("serial", "LINE", apply_serial,
             "a serial port that ends at stdio, pty, file:PATH, unix:PATH[,server=on][,wait=off], "
             "tcp:HOST:PORT[,server=on][,wait=off], /dev/DEVICE, chardev:ID, null or none; mon:LINE shares "
             "it with a monitor "
             "(Ctrl-A c changes between them, Ctrl-A x ends)"),
    FUNCTION("chardev",
             "BACKEND,id=ID[,path=PATH][,host=HOST,port=PORT][,fd=N][,server=on][,wait=off][,nodelay=on]",
             apply_chardev,
             "a line for -serial, -mon or -device to name; backends: socket, pty, stdio, file, serial, null"),
    FUNCTION("monitor", "LINE", apply_monitor, "commands that people type, on a line as with -serial"),
    FUNCTION("qmp", "LINE", apply_qmp, "commands that programs send (QMP), on a line as with -serial"),
    FUNCTION("qmp-pretty", "LINE", apply_qmp, "the same, easier to read"),
    FUNCTION("mon", "[chardev=]ID[,mode=readline|control][,pretty=on]", apply_mon, "a monitor on a -chardev"),
    FUNCTION("parallel", "none", apply_parallel, NULL),
    OPTIONS_END};

/* ---- making them ---- */

static bool open_chardev(struct control *c, const struct opts *opts, struct error *err)
{
    static const char *const backends[] = {"socket", "pty", "stdio", "file", "serial", "null", NULL};
    struct chardev_options options = {
        .backend = opts_get(opts, "backend"),
        .path = opts_get(opts, "path"),
        .host = opts_get(opts, "host"),
        .port = opts_get(opts, "port"),
        .fd = -1,
        .wait = true,
    };
    const char *id = opts_get(opts, "id");
    bool telnet = false, signal = true;
    struct chardev *chr;
    uint64_t fd;
    size_t i = 0;

    while (backends[i] && options.backend && strcmp(backends[i], options.backend))
        i++;
    if (!options.backend || !id)
        return opts_error(opts, err, "%s= is missing", id ? "backend" : "id");
    if (!backends[i])
        return unknown_name(err, "backend", options.backend, backends) ||
               error_prefix(err, "%s %s", opts->option, opts->text);
    if (chardev_find(c->backends.chardevs, id))
        return opts_error(opts, err, "the id '%s' is taken", id);
    if (!opts_number(opts, "fd", 0, 65535, &fd, err) || !opts_bool(opts, "server", &options.server, err) ||
        !opts_bool(opts, "wait", &options.wait, err) || !opts_bool(opts, "nodelay", &options.nodelay, err) ||
        !opts_bool(opts, "append", &options.append, err) || !opts_bool(opts, "mux", &options.mux, err) ||
        !opts_bool(opts, "telnet", &telnet, err) || !opts_bool(opts, "signal", &signal, err))
        return false;
    if (telnet || opts_get(opts, "logfile") || opts_get(opts, "reconnect"))
        return opts_error(opts, err, "telnet, logfile and reconnect are not supported");
    options.raw = !signal;
    if (opts_get(opts, "fd"))
        options.fd = fd;
    if (!strcmp(options.backend, "socket") && !options.path && !options.port && options.fd < 0)
        return opts_error(opts, err, "a socket needs path=, host= and port=, or fd=");
    if ((!strcmp(options.backend, "file") || !strcmp(options.backend, "serial")) && !options.path)
        return opts_error(opts, err, "path= is missing");
    if (!strcmp(options.backend, "stdio") && c->stdio_taken)
        return opts_error(opts, err, "standard input and output are in use already; mon:stdio shares them");
    c->stdio_taken |= !strcmp(options.backend, "stdio");
    chr = chardev_open(&c->m.loop, id, &options, err);
    if (!chr)
        return error_prefix(err, "%s %s", opts->option, opts->text);
    chardev_link(&c->backends.chardevs, chr);
    return true;
}

/* -serial and what stands for it: the lines' chardevs are made here, the ports come with the board. */
static bool add_serial_lines(struct control *c, struct error *err)
{
    struct options *o = &c->options;

    if (o->serials.count > MAX_SERIAL)
        return error_set(err, "-serial: there are only %d serial ports", MAX_SERIAL);
    for (size_t i = 0; i < o->serials.count; i++) {
        const char *spec = o->serials.items[i];
        char id[32];

        snprintf(id, sizeof(id), "serial%zu", i);
        if (strcmp(spec, "none") && strncmp(spec, "chardev:", 8) && !add_line(o, "-serial", spec, id, err))
            return false;
    }
    return true;
}

bool lines_open(struct control *c, struct error *err)
{
    if (!add_serial_lines(c, err))
        return false;
    for (size_t i = 0; i < c->options.chardevs.count; i++)
        if (!open_chardev(c, c->options.chardevs.items[i], err))
            return false;
    return true;
}

static bool create_serial_port(struct control *c, size_t nth, const char *chardev, struct error *err)
{
    struct device *dev = device_new(&c->m, "isa-serial", err);
    char index[4];

    snprintf(index, sizeof(index), "%zu", nth);
    if (!dev)
        return false;
    if (!device_set(dev, "index", index, err) || (chardev && !device_set(dev, "chardev", chardev, err))) {
        device_discard(dev);
        return false;
    }
    return device_realize(dev, NULL, err);
}

bool lines_plug(struct control *c, struct error *err)
{
    const struct string_list *serials = &c->options.serials;

    for (size_t i = 0; i < serials->count; i++) {
        const char *spec = serials->items[i];
        char id[32];

        snprintf(id, sizeof(id), "serial%zu", i);
        if (strcmp(spec, "none") &&
            !create_serial_port(c, i, strncmp(spec, "chardev:", 8) ? id : spec + 8, err))
            return error_prefix(err, "-serial %s", spec);
    }
    if (!serials->count && !c->m.config.no_defaults && !options_name_device(&c->options, "isa-serial"))
        return create_serial_port(c, 0, NULL, err);
    return true;
}

bool lines_open_monitors(struct control *c, struct error *err)
{
    static const char *const modes[] = {"readline", "control", NULL};

    for (size_t i = 0; i < c->options.monitors.count; i++) {
        const struct opts *opts = c->options.monitors.items[i];
        const char *id = opts_get(opts, "chardev"), *mode = opts_get(opts, "mode");
        struct chardev *chr = id ? chardev_find(c->backends.chardevs, id) : NULL;
        bool pretty = false;

        if (!id)
            return opts_error(opts, err, "chardev= is missing");
        if (!chr)
            return opts_error(opts, err, "there is no -chardev '%s'", id);
        if (mode && strcmp(mode, "readline") && strcmp(mode, "control"))
            return unknown_name(err, "mode", mode, modes) ||
                   error_prefix(err, "%s %s", opts->option, opts->text);
        if (!opts_bool(opts, "pretty", &pretty, err))
            return false;
        if (!chardev_free(chr))
            return opts_error(opts, err, "the line '%s' is in use already", id);
        if (!monitor_open(c, chr, mode && !strcmp(mode, "control") ? &qmp_monitor : &hmp_monitor, pretty))
            return error_set(err, "out of memory");
    }
    return true;
}
