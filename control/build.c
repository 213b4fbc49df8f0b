/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From options to a machine. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "char/chardev.h"
#include "console/console.h"
#include "control/absent.h"
#include "control/control.h"
#include "control/device_help.h"
#include "control/monitor.h"
#include "hw/pc/pc.h"
#include "ioreq/ioreq.h"

enum { MAX_SERIAL = 4 };

/* ---- lines ---- */

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
        if (strcmp(spec, "none") && strncmp(spec, "chardev:", 8) &&
            !options_add_line(o, "-serial", spec, id, err))
            return false;
    }
    return true;
}

static bool open_lines(struct control *c, struct error *err)
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

static bool create_serial_ports(struct control *c, struct error *err)
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

static bool open_monitors(struct control *c, struct error *err)
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
        if (!monitor_open(c, chr, mode && !strcmp(mode, "control"), pretty))
            return error_set(err, "out of memory");
    }
    return true;
}

/* ---- devices ---- */

/* Two devices on the same ports are a mistake: the guest would see one of them only. first: the first new
 * region. */
static bool check_ports(const struct bus *bus, size_t first, struct error *err)
{
    struct region *const *regions = bus->spaces[SPACE_PORT].regions;

    for (size_t i = first; i < bus->spaces[SPACE_PORT].count; i++)
        for (size_t j = 0; j < first; j++) {
            const struct region *a = regions[i], *b = regions[j];

            if (a->priority == b->priority && a->base < b->base + b->size && b->base < a->base + a->size)
                return error_set(err, "its ports from 0x%x are taken by another device (%s)",
                                 (unsigned)a->base, b->name);
        }
    return true;
}

bool create_device(struct control *c, const struct opts *opts, struct error *err)
{
    const char *driver = opts_get(opts, "driver");
    const struct device_class *cls;
    struct device *dev;
    size_t ports;

    if (!driver || !driver[0])
        return opts_error(opts, err, "the device's name is missing");
    if (!device_known(driver, err))
        return error_prefix(err, "%s", opts->option);
    cls = device_find_class(driver);
    if (cls->internal)
        return opts_error(opts, err, "%s is a part of the board", driver);
    dev = device_new(&c->m, driver, err);
    if (!dev)
        return error_prefix(err, "%s %s", opts->option, opts->text);
    for (size_t i = 0; i < opts->count; i++) {
        const struct opts_pair *pair = &opts->pairs[i];

        if (strcmp(pair->key, "driver") && strcmp(pair->key, "bus") &&
            !device_set(dev, pair->key, pair->value, err)) {
            device_discard(dev);
            return error_prefix(err, "%s %s", opts->option, opts->text);
        }
    }
    ports = c->m.bus.spaces[SPACE_PORT].count;
    return (device_realize(dev, opts_get(opts, "bus"), err) && check_ports(&c->m.bus, ports, err)) ||
           error_prefix(err, "%s %s", opts->option, opts->text);
}

static bool is_graphics(const char *driver)
{
    const struct device_class *cls = device_find_class(driver);

    return cls && (!strcmp(cls->name, "VGA") || !strcmp(cls->name, "cirrus-vga"));
}

static bool create_graphics(struct control *c, struct error *err)
{
    const char *vga = c->options.vga;

    if (!vga && c->m.config.no_defaults)
        return true;
    for (size_t i = 0; !vga && i < c->options.devices.count; i++) {
        const char *driver = opts_get(c->options.devices.items[i], "driver");

        if (driver && is_graphics(driver))
            return true;
    }
    if (vga && !strcmp(vga, "none"))
        return true;
    return device_create(&c->m, vga && !strcmp(vga, "cirrus") ? "cirrus-vga" : "VGA", err) ||
           error_prefix(err, "-vga %s", vga ? vga : "std");
}

static bool create_devices(struct control *c, struct error *err)
{
    if (!create_graphics(c, err) || !create_serial_ports(c, err) || !drives_plug(c, err) ||
        !networks_plug(c, err))
        return false;
    for (size_t i = 0; i < c->options.devices.count; i++) {
        const struct opts *opts = c->options.devices.items[i];
        const char *driver = opts_get(opts, "driver");

        if (!(driver && absent_ignored(driver)) && !create_device(c, opts, err))
            return false;
    }
    return usb_plug(c, err);
}

/* Who names the secret reads it; that it can be read is known before the guest starts. */
static bool check_secret(const struct opts *opts, struct error *err)
{
    const char *file = opts_get(opts, "file");

    if (!opts_get(opts, "id"))
        return opts_error(opts, err, "id= is missing");
    if (file && access(file, R_OK) < 0)
        return opts_error(opts, err, "cannot read %s: %s", file, strerror(errno));
    return true;
}

/* Only those that something here looks for. */
static bool check_objects(const struct control *c, struct error *err)
{
    static const char *const known[] = {"secret", "filter-dump", NULL};
    const struct opts_list *objects = &c->options.objects;

    for (size_t i = 0; i < objects->count; i++) {
        const char *type = opts_get(objects->items[i], "qom-type");

        if (type && !strcmp(type, "filter-dump"))
            continue; /* of networks_open */
        if (!type || strcmp(type, "secret"))
            return unknown_name(err, "object", type ? type : "", known) || error_prefix(err, "-object");
        if (!check_secret(objects->items[i], err))
            return false;
    }
    return true;
}

/* ---- display ---- */

static bool check_layout(const struct control *c, struct error *err)
{
    const char *layout = c->options.keyboard_layout;

    for (size_t i = 0; layout && vnc_layouts[i]; i++)
        if (!strcmp(layout, vnc_layouts[i]))
            return true;
    return !layout || unknown_name(err, "keyboard layout", layout, vnc_layouts) || error_prefix(err, "-k");
}

static const char *secret_file(const struct control *c, const char *id)
{
    for (size_t i = 0; i < c->options.objects.count; i++) {
        const struct opts *opts = c->options.objects.items[i];
        const char *type = opts_get(opts, "qom-type"), *name = opts_get(opts, "id");

        if (type && name && !strcmp(type, "secret") && !strcmp(name, id))
            return opts_get(opts, "file");
    }
    return NULL;
}

static bool load_vnc_password(struct control *c, const char *id, struct error *err)
{
    const char *path = secret_file(c, id);
    char password[256];
    FILE *file;
    bool ok;

    if (!path)
        return error_set(err, "there is no -object secret with id=%s and file=", id);
    file = fopen(path, "re");
    ok = file && fgets(password, sizeof(password), file);
    if (file)
        fclose(file);
    if (!ok)
        return error_set(err, "%s: no password can be read from it", path);
    password[strcspn(password, "\r\n")] = '\0';
    return vnc_set_password(c->vnc, password, err);
}

static bool parse_share(const struct opts *opts, enum vnc_share *share, struct error *err)
{
    static const char *const names[] = {[VNC_SHARE_ALLOW_EXCLUSIVE] = "allow-exclusive",
                                        [VNC_SHARE_FORCE_SHARED] = "force-shared",
                                        [VNC_SHARE_IGNORE] = "ignore",
                                        NULL};
    const char *text = opts_get(opts, "share");

    for (size_t i = 0; text && names[i]; i++)
        if (!strcmp(text, names[i])) {
            *share = i;
            return true;
        }
    return !text || unknown_name(err, "share policy", text, names) ||
           error_prefix(err, "%s %s", opts->option, opts->text);
}

void build_tell_vnc_port(struct control *c)
{
    struct vnc_info *info = c->vnc_searched ? malloc(sizeof(*info)) : NULL;

    if (!info)
        return;
    vnc_query(c->vnc, info);
    log_line("VNC server running on %s:%s", info->server.host, info->server.service);
    free(info);
}

static bool start_vnc(struct control *c, const struct opts *opts, struct error *err)
{
    const char *secret = opts_get(opts, "password-secret");
    struct vnc_options options = {
        .address = opts_get(opts, "address"),
        .layout = c->options.keyboard_layout,
        .name = c->m.config.name[0] ? c->m.config.name : NULL,
        .lock_key_sync = true,
        .password = secret,
    };
    uint64_t to = 0;

    if (!options.address)
        return opts_error(opts, err, "ADDRESS:DISPLAY is missing");
    if (!opts_number(opts, "to", 0, 65535 - VNC_BASE_PORT, &to, err) ||
        !opts_bool(opts, "password", &options.password, err) ||
        !opts_bool(opts, "lock-key-sync", &options.lock_key_sync, err) ||
        !parse_share(opts, &options.share, err))
        return false;
    options.to = to;
    c->vnc = vnc_start(&c->m.loop, c->backends.console, &options, err);
    if (!c->vnc || (secret && !load_vnc_password(c, secret, err)))
        return error_prefix(err, "%s", opts->option);
    c->vnc_searched = to;
    return true;
}

/* Where nobody said what to do with the screen, a viewer finds it. */
static bool start_default_vnc(struct control *c, struct error *err)
{
    struct opts *opts = opts_parse("-vnc", "localhost:0,to=99", "address", NULL, err);
    bool ok = opts && start_vnc(c, opts, err);

    opts_free(opts);
    return ok;
}

static bool start_display(struct control *c, struct error *err)
{
    struct options *o = &c->options;

    if (o->display == DISPLAY_VNC)
        return start_vnc(c, o->vnc, err);
    if (o->display == DISPLAY_NONE || o->nographic || o->board == BOARD_NONE || c->m.accel == &qtest_accel)
        return true;
    return start_default_vnc(c, err);
}

/* ---- all of it ---- */

/* -machine none: answers commands; there is nothing to run. */
static const struct accel_ops no_accel = {.name = "none"};

static const char *const default_firmware_dirs[] = {
    "/usr/share/seabios", "/usr/share/qemu", "/usr/lib/ipxe/qemu", "/usr/share/ovmf", "/usr/share/vgabios"};

static void set_firmware_dirs(struct options *o)
{
    size_t count = sizeof(default_firmware_dirs) / sizeof(default_firmware_dirs[0]);
    struct string_list *dirs = &o->firmware_dirs;

    dirs->items = realloc(dirs->items, (dirs->count + count + 1) * sizeof(dirs->items[0]));
    for (size_t i = 0; i < count; i++)
        dirs->items[dirs->count++] = default_firmware_dirs[i];
    dirs->items[dirs->count] = NULL;
    o->config.firmware = dirs->items;
}

static const struct accel_ops *choose_accel(const struct options *o, struct error *err)
{
    const struct accel_ops *accel = o->accel ? find_accel(o->accel) : accels[0];

    if (o->board == BOARD_NONE && accel != &qtest_accel)
        return &no_accel;
    if (!accel)
        error_set(err, "-accel %s: not built into this hvm-dm", o->accel);
    return accel;
}

static void nographic_defaults(struct options *o)
{
    if (o->nographic && !o->serials.count && !o->monitors.count && !o->config.no_defaults) {
        static const char *terminal[] = {"mon:stdio", NULL};

        o->serials.items = realloc(o->serials.items, sizeof(terminal));
        memcpy(o->serials.items, terminal, sizeof(terminal));
        o->serials.count = 1;
    }
}

bool build_machine(struct control *c, struct error *err)
{
    struct options *o = &c->options;
    const struct accel_ops *accel = choose_accel(o, err);
    struct machine *m = &c->m;

    if (!accel)
        return false;
    set_firmware_dirs(o);
    nographic_defaults(o);
    if (!machine_init(m, &o->config, accel, accel == &qtest_accel ? CLOCK_MANUAL : CLOCK_STOPPED, err))
        return false;
    backends_init(&c->backends, m);
    c->backends.console = console_new(&m->loop);
    if (!c->backends.console)
        return error_set(err, "out of memory");
    hand_join(&c->hand, c->backends.console);
    absent_tell(c);
    if (!check_objects(c, err) || !check_layout(c, err) || !open_lines(c, err) || !drives_open(c, err) ||
        !networks_open(c, err))
        return false;
    if (o->board != BOARD_NONE && (!pc_board_create(m, err) || !create_devices(c, err)))
        return false;
    if (!start_display(c, err) || (accel->start && !accel->start(m, err)))
        return false;
    machine_reset(m);
    return (!o->qtest || qtest_connect(m, o->qtest, err)) && open_monitors(c, err);
}
