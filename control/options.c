/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/options.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/control.h"
#include "control/device_help.h"
#include "control/processors.h"
#include "control/wires.h"
#include "ioreq/ioreq.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum {
    MAX_CPUS_EMULATED = 32, /* kvm, qtest */
    MIN_RAM = 1 << 20,
};
#define MAX_RAM (1ull << 40)

const struct accel_ops *const accels[] = {
    &kvm_accel,
    &qtest_accel,
#ifdef HAVE_XEN
    &xen_accel,
#endif
    NULL,
};

const struct accel_ops *find_accel(const char *name)
{
    for (const struct accel_ops *const *accel = accels; *accel; accel++)
        if (!strcmp((*accel)->name, name))
            return *accel;
    return NULL;
}

/* ---- lists ---- */

static void add_opts(struct opts_list *list, struct opts *opts)
{
    list->items = realloc(list->items, (list->count + 1) * sizeof(list->items[0]));
    list->items[list->count++] = opts;
}

static void add_string(struct string_list *list, const char *text)
{
    list->items = realloc(list->items, (list->count + 2) * sizeof(list->items[0]));
    list->items[list->count++] = text;
    list->items[list->count] = NULL;
}

/* A copy that lives as long as the options. */
static const char *keep(struct options *o, const char *text)
{
    char *copy = strdup(text);

    add_string(&o->kept, copy);
    return copy;
}

/* ---- machine ---- */

static bool set_board(struct options *o, const char *type, const struct opts *opts, struct error *err)
{
    static const char *const known[] = {"pc", "xenfv", "none", NULL};

    if (!strcmp(type, "none"))
        o->board = BOARD_NONE;
    else if (!strncmp(type, "xenfv", 5))
        o->board = BOARD_XENFV;
    else if (!strcmp(type, "pc") || !strncmp(type, "pc-i440fx-", 10))
        o->board = BOARD_PC;
    else
        return unknown_name(err, "machine", type, known) || error_prefix(err, "%s", opts->option);
    return true;
}

static bool set_accel(struct options *o, const char *option, const char *name, struct error *err)
{
    const char *names[8];
    const struct accel_ops *accel = find_accel(name);
    size_t n = 0;

    for (const struct accel_ops *const *each = accels; *each && n < COUNT(names) - 1; each++)
        names[n++] = (*each)->name;
    names[n] = NULL;
    if (!accel && !strcmp(name, "xen"))
        return error_set(err, "%s xen: not built into this hvm-dm", option);
    if (!accel)
        return unknown_name(err, "accelerator", name, names) || error_prefix(err, "%s", option);
    o->accel = accel->name;
    return true;
}

static bool apply_machine(struct options *o, const char *option, const char *arg, struct error *err)
{
    static const char *const known[] = {"type",
                                        "accel",
                                        "suppress-vmdesc",
                                        "usb",
                                        "acpi",
                                        "max-ram-below-4g",
                                        "igd-passthru",
                                        "dump-guest-core",
                                        "kernel_irqchip",
                                        "mem-merge",
                                        "graphics",
                                        "hpet",
                                        "smm",
                                        "vmport",
                                        NULL};
    struct opts *opts;
    bool igd = false, on;
    const char *value;
    bool ok = true;

    if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
        puts("Machines:\npc       Standard PC: i440FX and PIIX (default; pc-i440fx-VERSION is the same)\n"
             "xenfv    The PC of a fully virtualised Xen guest, with the Xen platform device\n"
             "none     No board: answers QMP only");
        o->nothing_to_run = true;
        return true;
    }
    opts = opts_parse(option, arg, "type", known, err);
    if (!opts)
        return false;
    if ((value = opts_get(opts, "type")))
        ok = set_board(o, value, opts, err);
    if (ok && (value = opts_get(opts, "accel")))
        ok = set_accel(o, option, value, err);
    if (ok && (value = opts_get(opts, "max-ram-below-4g")) &&
        (!parse_size(value, 1, &o->config.max_low_ram) || o->config.max_low_ram < (64 << 20) ||
         o->config.max_low_ram > 0xF0000000ull || o->config.max_low_ram % 4096))
        ok = opts_error(opts, err, "max-ram-below-4g takes a size from 64M to 0xF0000000, not '%s'", value);
    ok = ok && opts_bool(opts, "usb", &o->config.usb, err) && opts_bool(opts, "acpi", &o->config.acpi, err) &&
         opts_bool(opts, "igd-passthru", &igd, err) && opts_bool(opts, "suppress-vmdesc", &on, err);
    if (ok && igd)
        ok = opts_error(opts, err, "graphics passthrough is not supported");
    opts_free(opts);
    return ok;
}

static bool apply_accel(struct options *o, const char *option, const char *arg, struct error *err)
{
    char name[32];

    if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
        puts("Accelerators:");
        for (const struct accel_ops *const *accel = accels; *accel; accel++)
            puts((*accel)->name);
        o->nothing_to_run = true;
        return true;
    }
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg, ","), arg);
    return set_accel(o, option, name, err);
}

static bool apply_enable_kvm(struct options *o, const char *option, const char *arg, struct error *err)
{
    o->accel = "kvm";
    return true;
}

static bool apply_memory(struct options *o, const char *option, const char *arg, struct error *err)
{
    static const char *const known[] = {"size", NULL};
    struct opts *opts = opts_parse(option, arg, "size", known, err);
    bool ok;

    if (!opts)
        return false;
    ok = parse_size(opts_get(opts, "size"), 1 << 20, &o->config.ram_size) && o->config.ram_size >= MIN_RAM &&
         o->config.ram_size <= MAX_RAM;
    if (!ok)
        opts_error(opts, err, "takes a size from 1M to 1024G; a plain number is MiB");
    o->config.ram_size &= ~0xFFFull;
    opts_free(opts);
    return ok;
}

static bool apply_name(struct options *o, const char *option, const char *arg, struct error *err)
{
    static const char *const known[] = {"guest", "process", "debug-threads", NULL};
    struct opts *opts = opts_parse(option, arg, "guest", known, err);
    const char *value;

    if (!opts)
        return false;
    if ((value = opts_get(opts, "guest")))
        o->config.name = keep(o, value);
    if ((value = opts_get(opts, "process")))
        o->process_name = keep(o, value);
    opts_free(opts);
    return true;
}

/* The guest's clock runs ahead of UTC by this many seconds. */
static bool rtc_base(const struct opts *opts, const char *base, int64_t *offset, struct error *err)
{
    time_t now = time(NULL);
    struct tm tm = {.tm_isdst = -1};
    const char *end;

    if (!strcmp(base, "utc"))
        *offset = 0;
    else if (!strcmp(base, "localtime"))
        *offset = localtime_r(&now, &tm) ? tm.tm_gmtoff : 0;
    else if (((end = strptime(base, "%Y-%m-%dT%H:%M:%S", &tm)) || (end = strptime(base, "%Y-%m-%d", &tm))) &&
             !*end)
        *offset = timegm(&tm) - now;
    else
        return opts_error(opts, err, "base takes utc, localtime or a date like 2024-02-29T12:00:00, not '%s'",
                          base);
    return true;
}

static bool apply_rtc(struct options *o, const char *option, const char *arg, struct error *err)
{
    static const char *const known[] = {"base", "clock", "driftfix", NULL};
    static const char *const clocks[] = {"host", "rt", "vm", NULL};
    struct opts *opts = opts_parse(option, arg, NULL, known, err);
    const char *value;
    bool ok = true;

    if (!opts)
        return false;
    if ((value = opts_get(opts, "base")))
        ok = rtc_base(opts, value, &o->config.rtc_offset, err);
    if (ok && (value = opts_get(opts, "clock")) && strcmp(value, "host") && strcmp(value, "rt") &&
        strcmp(value, "vm"))
        ok = unknown_name(err, "clock", value, clocks) || error_prefix(err, "%s %s", option, arg);
    opts_free(opts);
    return ok;
}

static bool apply_no_acpi(struct options *o, const char *option, const char *arg, struct error *err)
{
    o->config.acpi = false;
    return true;
}

/* ---- boot ---- */

static bool boot_letters(const struct opts *opts, const char *key, char order[5], struct error *err)
{
    const char *text = opts_get(opts, key);

    if (!text)
        return true;
    for (size_t i = 0; text[i]; i++) {
        if (!strchr("acdn", text[i]))
            return opts_error(opts, err,
                              "%s takes the letters a (floppy), c (disk), d (CD), n (network), not '%c'", key,
                              text[i]);
        if (strchr(text, text[i]) != text + i)
            return opts_error(opts, err, "%s has '%c' twice", key, text[i]);
        order[i] = text[i];
        order[i + 1] = '\0';
    }
    return true;
}

static bool apply_boot(struct options *o, const char *option, const char *arg, struct error *err)
{
    static const char *const known[] = {"order",       "once",           "menu",   "splash",
                                        "splash-time", "reboot-timeout", "strict", NULL};
    struct opts *opts = opts_parse(option, arg, "order", known, err);
    uint64_t timeout = 0, retry = 0;
    bool ok, strict;

    if (!opts)
        return false;
    ok = boot_letters(opts, "order", o->config.boot_order, err) &&
         boot_letters(opts, "once", o->config.boot_once, err) &&
         opts_bool(opts, "menu", &o->config.boot_menu, err) && opts_bool(opts, "strict", &strict, err) &&
         opts_number(opts, "splash-time", 0, 0xFFFF, &timeout, err);
    if (ok && opts_get(opts, "splash"))
        ok = opts_error(opts, err, "a splash picture is not supported");
    if (ok && opts_get(opts, "reboot-timeout") && strcmp(opts_get(opts, "reboot-timeout"), "-1")) {
        ok = opts_number(opts, "reboot-timeout", 0, 0xFFFF, &retry, err);
        o->config.boot_retry = retry;
    }
    if (ok && opts_get(opts, "splash-time"))
        o->config.boot_menu_timeout = timeout;
    opts_free(opts);
    return ok;
}

static bool apply_firmware_dir(struct options *o, const char *option, const char *arg, struct error *err)
{
    add_string(&o->firmware_dirs, arg);
    return true;
}

/* ---- lists of things, built later ---- */

static bool options_collect(struct opts_list *list, const char *option, const char *arg, const char *implied,
                            const char *const *known, struct error *err)
{
    struct opts *opts = opts_parse(option, arg, implied, known, err);

    if (opts)
        add_opts(list, opts);
    return opts;
}

static const char *const drive_keys[] = {
    "file",    "if",     "index",  "bus",           "unit",         "media",           "format",
    "cache",   "id",     "serial", "readonly",      "read-only",    "snapshot",        "aio",
    "discard", "werror", "rerror", "detect-zeroes", "cache.direct", "cache.writeback", "cache.no-flush",
    "driver",  NULL};

static bool apply_drive(struct options *o, const char *option, const char *arg, struct error *err)
{
    return options_collect(&o->drives, option, arg, NULL, drive_keys, err);
}

/* -hda FILE and its like: the file's name is taken as it is, commas and all. */
static bool add_file_drive(struct options *o, const char *option, const char *file, const char *interface,
                           const char *index, const char *media)
{
    struct opts *opts = opts_new(option, file);

    opts_add(opts, "file", file);
    opts_add(opts, "if", interface);
    opts_add(opts, "index", index);
    if (media)
        opts_add(opts, "media", media);
    add_opts(&o->drives, opts);
    return true;
}

static bool apply_hd(struct options *o, const char *option, const char *arg, struct error *err)
{
    char index[2] = {'0' + option[3] - 'a', '\0'};

    return add_file_drive(o, option, arg, "ide", index, "disk");
}

static bool apply_fd(struct options *o, const char *option, const char *arg, struct error *err)
{
    char index[2] = {'0' + option[3] - 'a', '\0'};

    return add_file_drive(o, option, arg, "floppy", index, NULL);
}

static bool apply_cdrom(struct options *o, const char *option, const char *arg, struct error *err)
{
    return add_file_drive(o, option, arg, "ide", "2", "cdrom");
}

static void flatten(struct opts *opts, const char *prefix, json_t *object);

static void flatten_value(struct opts *opts, const char *name, json_t *value)
{
    char number[32];
    size_t i;
    json_t *member;

    snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    if (json_is_object(value))
        flatten(opts, name, value);
    else if (json_is_array(value))
        json_array_foreach(value, i, member) flatten_value(opts, name, member);
    else if (json_is_string(value))
        opts_add(opts, name, json_string_value(value));
    else
        opts_add(opts, name, json_is_integer(value) ? number : json_is_true(value) ? "on" : "off");
}

/* {"driver": "file", "cache": {"direct": true}} becomes driver=file,cache.direct=on; an array is its member's
 * name given several times. */
static void flatten(struct opts *opts, const char *prefix, json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        char name[128];

        snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "." : "", key);
        flatten_value(opts, name, value);
    }
}

static struct opts *parse_json_opts(const char *option, const char *arg, struct error *err)
{
    json_error_t why;
    json_t *object = json_loads(arg, JSON_REJECT_DUPLICATES, &why);
    struct opts *opts;

    if (!json_is_object(object)) {
        error_set(err, "%s %s: not a JSON object: %s", option, arg, object ? "another value" : why.text);
        json_decref(object);
        return NULL;
    }
    opts = opts_new(option, arg);
    flatten(opts, "", object);
    json_decref(object);
    return opts;
}

static bool collect_or_json(struct opts_list *list, const char *option, const char *arg, const char *implied,
                            struct error *err)
{
    struct opts *opts;

    if (arg[0] != '{')
        return options_collect(list, option, arg, implied, NULL, err);
    opts = parse_json_opts(option, arg, err);
    if (opts)
        add_opts(list, opts);
    return opts;
}

static bool apply_blockdev(struct options *o, const char *option, const char *arg, struct error *err)
{
    return collect_or_json(&o->blockdevs, option, arg, "driver", err);
}

static bool apply_device(struct options *o, const char *option, const char *arg, struct error *err)
{
    if (device_help(arg)) {
        o->nothing_to_run = true;
        return true;
    }
    return collect_or_json(&o->devices, option, arg, "driver", err);
}

static void add_counted(struct opts *opts, const char *key, const char *text, size_t length)
{
    char *copy = strndup(text, length);

    opts_add(opts, key, copy);
    free(copy);
}

/* DRIVER.PROPERTY=VALUE, or driver=,property=,value=. */
static bool apply_global(struct options *o, const char *option, const char *arg, struct error *err)
{
    static const char *const known[] = {"driver", "property", "value", NULL};
    size_t dot = strcspn(arg, "."), equals = strcspn(arg, "=");
    struct device_global **at = &o->config.globals, *global;
    struct opts *opts;

    if (!arg[equals])
        return error_set(err, "%s %s: not of the form DEVICE.PROPERTY=VALUE", option, arg);
    if (arg[dot] && dot < equals) {
        opts = opts_new(option, arg);
        add_counted(opts, "driver", arg, dot);
        add_counted(opts, "property", arg + dot + 1, equals - dot - 1);
        opts_add(opts, "value", arg + equals + 1);
    } else {
        opts = opts_parse(option, arg, NULL, known, err);
        if (!opts)
            return false;
    }
    add_opts(&o->globals, opts);
    if (!opts_get(opts, "driver") || !opts_get(opts, "property") || !opts_get(opts, "value"))
        return opts_error(opts, err, "not of the form DEVICE.PROPERTY=VALUE");
    if (!device_known(opts_get(opts, "driver"), err))
        return error_prefix(err, "%s %s", option, arg);
    global = calloc(1, sizeof(*global));
    *global = (struct device_global){.driver = opts_get(opts, "driver"),
                                     .property = opts_get(opts, "property"),
                                     .value = opts_get(opts, "value")};
    while (*at)
        at = &(*at)->next;
    *at = global;
    return true;
}

static bool apply_object(struct options *o, const char *option, const char *arg, struct error *err)
{
    return collect_or_json(&o->objects, option, arg, "qom-type", err);
}

static const char *const chardev_keys[] = {
    "backend", "id",  "path",   "host", "port", "fd",        "server", "wait",    "nodelay", "append",
    "delay",   "mux", "signal", "ipv4", "ipv6", "reconnect", "telnet", "logfile", NULL};

static bool apply_spice(struct options *o, const char *option, const char *arg, struct error *err)
{
    return error_set(err, "%s %s: SPICE is not supported; VNC is", option, arg);
}

static bool apply_chardev(struct options *o, const char *option, const char *arg, struct error *err)
{
    if (!strncmp(arg, "spice", 5))
        return apply_spice(o, option, arg, err);
    return options_collect(&o->chardevs, option, arg, "backend", chardev_keys, err);
}

static bool apply_mon(struct options *o, const char *option, const char *arg, struct error *err)
{
    static const char *const known[] = {"chardev", "mode", "pretty", NULL};

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
        if (!options_add_line(o, option, arg, id, err)) {
            opts_free(opts);
            return false;
        }
    }
    opts_add(opts, "mode", mode);
    opts_add(opts, "pretty", pretty);
    add_opts(&o->monitors, opts);
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
    add_string(&o->serials, arg);
    return true;
}

static bool apply_parallel(struct options *o, const char *option, const char *arg, struct error *err)
{
    return !strcmp(arg, "none") || !strcmp(arg, "null") || !strcmp(arg, "/dev/null") ||
           error_set(err, "-parallel %s: this board has no parallel port; only none is taken", arg);
}

static bool apply_netdev(struct options *o, const char *option, const char *arg, struct error *err)
{
    if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
        wire_kinds_list();
        o->nothing_to_run = true;
        return true;
    }
    return collect_or_json(&o->netdevs, option, arg, "type", err);
}

static bool apply_net(struct options *o, const char *option, const char *arg, struct error *err)
{
    const char *model;

    if (!options_collect(&o->nets, option, arg, "type", NULL, err))
        return false;
    model = opts_get(o->nets.items[o->nets.count - 1], "model");
    if (model && !strcmp(model, "help")) {
        networks_list_cards();
        o->nothing_to_run = true;
    }
    return true;
}

static bool apply_usb_device(struct options *o, const char *option, const char *arg, struct error *err)
{
    add_string(&o->usb_devices, arg);
    o->config.usb = true;
    return usb_check_name(arg, err);
}

/* ---- display ---- */

static bool apply_vga(struct options *o, const char *option, const char *arg, struct error *err)
{
    static const char *const known[] = {"std", "cirrus", "none", NULL};

    for (const char *const *name = known; *name; name++)
        if (!strcmp(arg, *name)) {
            o->vga = *name;
            return true;
        }
    if (!strcmp(arg, "help")) {
        puts("Graphics adapters:\nstd      Standard VGA with Bochs VBE (default)\ncirrus   Cirrus Logic "
             "GD5446\nnone");
        o->nothing_to_run = true;
        return true;
    }
    return unknown_name(err, "graphics adapter", arg, known) || error_prefix(err, "-vga");
}

static const char *const vnc_keys[] = {"address",       "to", "password", "password-secret", "share",
                                       "lock-key-sync", "id", NULL};

static bool apply_vnc(struct options *o, const char *option, const char *arg, struct error *err)
{
    struct opts *opts;

    if (!strcmp(arg, "none")) {
        o->display = DISPLAY_NONE;
        return true;
    }
    opts = opts_parse(option, arg, "address", vnc_keys, err);
    if (!opts)
        return false;
    opts_free(o->vnc);
    o->vnc = opts;
    o->display = DISPLAY_VNC;
    return true;
}

static bool apply_sdl(struct options *o, const char *option, const char *arg, struct error *err)
{
    return error_set(err, "%s: a window on this host is not supported; use VNC", option);
}

static bool apply_display(struct options *o, const char *option, const char *arg, struct error *err)
{
    static const char *const known[] = {"none", "vnc", NULL};

    if (!strncmp(arg, "vnc=", 4))
        return apply_vnc(o, "-display vnc", arg + 4, err);
    if (!strncmp(arg, "sdl", 3))
        return apply_sdl(o, "-display sdl", arg, err);
    if (strcmp(arg, "none"))
        return unknown_name(err, "display", arg, known) || error_prefix(err, "-display");
    if (o->display != DISPLAY_VNC)
        o->display = DISPLAY_NONE;
    return true;
}

/* ---- Xen ---- */

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
        o->chroot = keep(o, opts_get(opts, "chroot"));
    if (opts_get(opts, "user"))
        o->run_as = keep(o, opts_get(opts, "user"));
    opts_free(opts);
    return true;
}

static bool apply_incoming(struct options *o, const char *option, const char *arg, struct error *err)
{
    return error_set(
        err, "-incoming %s: a saved or migrating domain cannot be taken in yet; hvm-dm starts guests afresh",
        arg);
}

/* ---- what people know from elsewhere and is not here ---- */

static bool apply_kernel(struct options *o, const char *option, const char *arg, struct error *err)
{
    return error_set(err, "%s %s: direct kernel boot is not supported; boot from a disk or a CD", option,
                     arg);
}

static bool apply_refused(struct options *o, const char *option, const char *arg, struct error *err)
{
    return error_set(err, "%s is not supported by hvm-dm", option);
}

static bool apply_sound(struct options *o, const char *option, const char *arg, struct error *err)
{
    return error_set(err, "%s %s: sound is not supported", option, arg);
}

static bool apply_attach(struct options *o, const char *option, const char *arg, struct error *err)
{
    return error_set(err, "%s: hvm-dm serves HVM domains, not PV or PVH domains or their disks", option);
}

static bool apply_traditional(struct options *o, const char *option, const char *arg, struct error *err)
{
    return error_set(
        err,
        "%s belongs to the protocol of device_model_version=\"qemu-xen-traditional\", which is not "
        "supported; use \"qemu-xen\"",
        option);
}

/* ---- help ---- */

static bool apply_help(struct options *o, const char *option, const char *arg, struct error *err)
{
    options_help(stdout);
    o->nothing_to_run = true;
    return true;
}

static bool apply_help_troff(struct options *o, const char *option, const char *arg, struct error *err)
{
    options_help_troff(stdout);
    o->nothing_to_run = true;
    return true;
}

static bool apply_version(struct options *o, const char *option, const char *arg, struct error *err)
{
    puts("hvm-dm version " HVM_DM_VERSION);
    o->nothing_to_run = true;
    return true;
}

/* ---- the table ---- */

struct option {
    const char *name; /* without the dash; NULL: a heading */
    const char *arg;  /* what it takes, for people; NULL: nothing */
    const char *help; /* NULL: taken but not shown */
    bool (*apply)(struct options *o, const char *option, const char *arg, struct error *err);
    size_t flag, text; /* instead of apply: offset of a bool or of a const char * in struct options, plus 1 */
};

#define HEADING(title)                                                                                       \
    {                                                                                                        \
        .help = (title)                                                                                      \
    }
#define FUNCTION(name_, arg_, fn, help_)                                                                     \
    {                                                                                                        \
        .name = (name_), .arg = (arg_), .apply = (fn), .help = (help_)                                       \
    }
#define FLAG(name_, field, help_)                                                                            \
    {                                                                                                        \
        .name = (name_), .flag = offsetof(struct options, field) + 1, .help = (help_)                        \
    }
#define TEXT(name_, arg_, field, help_)                                                                      \
    {                                                                                                        \
        .name = (name_), .arg = (arg_), .text = offsetof(struct options, field) + 1, .help = (help_)         \
    }
#define IGNORED(name_, arg_)                                                                                 \
    {                                                                                                        \
        .name = (name_), .arg = (arg_)                                                                       \
    }

static const struct option table[] = {
    HEADING("Machine"),
    FUNCTION("accel", "kvm|qtest|xen", apply_accel, "who runs the guest: KVM (default), a test program, Xen"),
    FUNCTION("machine", "pc|xenfv|none[,accel=A][,max-ram-below-4g=SIZE][,usb=on][,acpi=off]", apply_machine,
             "the board: a standard PC (default), the same with the Xen platform device, or none"),
    FUNCTION("M", "MACHINE", apply_machine, NULL),
    FUNCTION("enable-kvm", NULL, apply_enable_kvm, "the same as -accel kvm"),
    FUNCTION("cpu", "MODEL[,+FLAG][,-FLAG][,KEY=VALUE]", processors_cpu,
             "what the guest's processors are; -cpu help lists models, flags and keys (default host; KVM)"),
    FUNCTION("m", "[size=]SIZE", apply_memory, "memory; a plain number is MiB, 1G a GiB (default 128)"),
    FUNCTION("smp", "[cpus=]N[,maxcpus=N][,sockets=N][,cores=N][,threads=N]", processors_smp,
             "processors, up to 32 (Xen: 128; default 1)"),
    FUNCTION("name", "NAME[,process=NAME]", apply_name,
             "the guest's name, shown to viewers; the process's name"),
    FUNCTION("rtc", "base=utc|localtime|DATE[,clock=host]", apply_rtc,
             "what the guest's clock says at start; a date is like 2024-02-29T12:00:00"),
    FUNCTION("no-acpi", NULL, apply_no_acpi, "no ACPI"),
    FLAG("no-reboot", config.no_reboot, "end instead of starting over when the guest resets"),
    FLAG("no-shutdown", config.no_shutdown, "stay, stopped, when the guest powers off"),
    FLAG("nodefaults", config.no_defaults,
         "only what is asked for: no graphics, CD drive or serial line by default"),
    FLAG("no-user-config", no_user_config, "accepted: there are no configuration files"),

    HEADING("Firmware and boot"),
    FUNCTION(
        "boot", "[order=]LETTERS[,once=LETTERS][,menu=on][,splash-time=MS][,reboot-timeout=MS]", apply_boot,
        "what to boot from, in this order: a floppy, c disk, d CD, n network; once: the first time only"),
    TEXT("bios", "FILE", config.bios, "the firmware (default: SeaBIOS, from Debian's package seabios)"),
    FUNCTION("L", "DIRECTORY", apply_firmware_dir, "look for firmware there first; may be repeated"),

    HEADING("Disks, CDs and floppies"),
    FUNCTION("cdrom", "FILE", apply_cdrom, "a CD in the second IDE channel's first drive (index=2)"),
    FUNCTION("hda", "FILE", apply_hd, "an IDE disk; -hdb, -hdc, -hdd are the other three"),
    FUNCTION("hdb", "FILE", apply_hd, NULL),
    FUNCTION("hdc", "FILE", apply_hd, NULL),
    FUNCTION("hdd", "FILE", apply_hd, NULL),
    FUNCTION("fda", "FILE", apply_fd, "a floppy; -fdb is the other drive"),
    FUNCTION("fdb", "FILE", apply_fd, NULL),
    FUNCTION("drive",
             "[file=FILE][,if=ide|floppy|none][,index=N|,bus=N,unit=N][,media=disk|cdrom][,format=raw][,"
             "readonly=on]"
             "[,snapshot=on][,id=ID][,serial=TEXT][,cache=MODE]",
             apply_drive, "a drive; if=none makes one that a -device names"),
    FUNCTION("blockdev", "driver=file|host_device|raw,node-name=ID,filename=FILE[,read-only=on]",
             apply_blockdev, "an image that a -device names; the JSON form is taken too"),
    FLAG("snapshot", snapshot, "writes go to temporary files and are forgotten at the end"),

    HEADING("Devices"),
    FUNCTION("device", "NAME[,PROPERTY=VALUE]...", apply_device,
             "a device; -device help lists them, -device NAME,help lists the properties"),
    FUNCTION("global", "NAME.PROPERTY=VALUE", apply_global,
             "another default for a property of all devices of a kind"),
    FLAG("usb", config.usb, "the board has its USB controller, a piix3-usb-uhci at 01.2"),
    FUNCTION("usbdevice", "tablet|mouse|keyboard", apply_usb_device,
             "a USB device on a free port; implies -usb"),

    HEADING("Display"),
    FUNCTION("vga", "std|cirrus|none", apply_vga, "the graphics adapter (default std)"),
    FUNCTION("vnc", "ADDRESS:DISPLAY[,to=N][,password=on][,password-secret=ID][,share=POLICY]|none",
             apply_vnc,
             "serve the screen to VNC viewers (default localhost:0,to=99); to: take the first free display "
             "up to N"),
    FUNCTION("display", "none|vnc=...", apply_display, "no screen, or the same as -vnc"),
    FLAG("nographic", nographic, "no screen; the first serial line and the monitor are the terminal"),
    TEXT("k", "LAYOUT", keyboard_layout, "the viewers' keyboard layout, such as de or fr (default en-us)"),
    FUNCTION("object",
             "secret,id=ID,file=FILE|filter-dump,id=ID,netdev=ID,file=FILE[,maxlen=BYTES][,queue=all|rx|tx]",
             apply_object,
             "secret: a password in a file, for -vnc password-secret=ID. filter-dump: what passes a wire, "
             "written to a file that tcpdump and Wireshark read; rx: what the card sends, tx: what it gets"),

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

    HEADING("Network"),
    FUNCTION(
        "netdev",
        "user,id=ID[,net=ADDRESS/BITS][,host=ADDRESS][,dhcpstart=ADDRESS][,dns=ADDRESS][,hostname=NAME]"
        "[,domainname=NAME][,dnssearch=NAME][,tftp=DIRECTORY][,bootfile=FILE][,restrict=on][,ipv4=off]"
        "[,ipv6=off][,hostfwd=[tcp|udp]:[ADDRESS]:PORT-[ADDRESS]:PORT]|"
        "tap,id=ID[,ifname=NAME][,br=BRIDGE][,script=FILE][,downscript=FILE][,vnet_hdr=off]|tap,id=ID,fd=N|"
        "bridge,id=ID[,br=BRIDGE]|"
        "stream,id=ID[,server=on],addr.type=unix,addr.path=PATH|"
        "stream,id=ID[,server=on],addr.type=inet,addr.host=HOST,addr.port=PORT[,reconnect=SECONDS]|"
        "dgram,id=ID,local.type=unix,local.path=PATH,remote.type=unix,remote.path=PATH|"
        "dgram,id=ID,local.type=inet,local.host=HOST,local.port=PORT,remote.type=inet,remote.host=HOST,"
        "remote.port=PORT|"
        "dgram,id=ID,remote.type=inet,remote.host=GROUP,remote.port=PORT[,local.type=inet,local.host="
        "ADDRESS]",
        apply_netdev,
        "a wire that a -device names by netdev=ID. user: a network of its own with DHCP, DNS and TFTP, "
        "from which the guest reaches what this process reaches (10.0.2.0/24, the host is 10.0.2.2, the "
        "first guest 10.0.2.15); hostfwd, which may be given again, lets the host in. tap: an interface "
        "of the host, put into the bridge unless a script (or no) does that; bridge: the same, of the "
        "bridge br0. stream: a socket on which four bytes of length stand before "
        "each frame, as another machine's stream has it; dgram: a socket of which each datagram is a frame, "
        "for one peer or, with a multicast group, for all in it"),
    FUNCTION("nic", "none|user|tap[,model=CARD][,mac=ADDRESS][,...]", apply_net,
             "a network card and its wire in one, with the words of both -netdev and -device"),
    FUNCTION("net", "none|nic[,model=CARD][,macaddr=ADDRESS]|user|tap|...", apply_net,
             "the old form of -nic: the first nic is plugged into the first other, and so on"),

    HEADING("Process"),
    FLAG("S", start_paused, "wait for the command cont before the guest runs"),
    TEXT("pidfile", "FILE", pidfile, "write the process id there, remove the file at the end"),
    FLAG("daemonize", daemonize, "go to the background once everything is ready"),
    TEXT("chroot", "DIRECTORY", chroot, "make that the root directory once everything is open"),
    TEXT("runas", "USER|UID:GID", run_as, "become that user once everything is open"),
    FUNCTION("run-with", "[chroot=DIRECTORY][,user=USER]", apply_run_with, "-chroot and -runas in one"),
    FUNCTION("version", NULL, apply_version, "show the version and end"),
    FUNCTION("help", NULL, apply_help, "show this text and end"),
    FUNCTION("h", NULL, apply_help, NULL),
    FUNCTION("help-troff", NULL, apply_help_troff, NULL),

    HEADING("Tests"),
    TEXT("qtest", "unix:PATH", qtest, "connect to the test program that listens there"),
    TEXT("qtest-log", "FILE", qtest_log, "accepted: there is no log"),

    HEADING("Xen (used by libxl)"),
    FUNCTION("xen-domid", "N", apply_xen_domid, "the domain to serve; means -accel xen"),
    FLAG("xen-domid-restrict", config.xen_restrict, "give up all rights over other domains once started"),
    FUNCTION("xen-attach", NULL, apply_attach, NULL),
    FUNCTION("incoming", "fd:N", apply_incoming, NULL),

    /* Known from elsewhere: a clear word instead of "no such option". */
    FUNCTION("kernel", "FILE", apply_kernel, NULL),
    FUNCTION("initrd", "FILE", apply_kernel, NULL),
    FUNCTION("append", "TEXT", apply_kernel, NULL),
    FUNCTION("spice", "OPTIONS", apply_spice, NULL),
    FUNCTION("sdl", NULL, apply_sdl, NULL),
    FUNCTION("sandbox", "ARG", apply_refused, NULL),
    FUNCTION("msg", "ARG", apply_refused, NULL),
    FUNCTION("soundhw", "CARD", apply_sound, NULL),
    FUNCTION("audiodev", "ARG", apply_refused, NULL),
    FUNCTION("loadvm", "FILE", apply_refused, NULL),
    FUNCTION("d", "DOMAIN", apply_traditional, NULL),
    FUNCTION("domain-name", "NAME", apply_traditional, NULL),
    IGNORED("no-hpet", NULL),
};

/* ---- walking argv ---- */

static const struct option *find_option(const char *name)
{
    for (size_t i = 0; i < COUNT(table); i++)
        if (table[i].name && !strcmp(table[i].name, name))
            return &table[i];
    return NULL;
}

static bool unknown_option(const char *arg, struct error *err)
{
    const char *names[COUNT(table) + 1], *nearest;
    size_t n = 0;

    for (size_t i = 0; i < COUNT(table); i++)
        if (table[i].name && table[i].help)
            names[n++] = table[i].name;
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
    if (o->qtest && (!o->accel || strcmp(o->accel, "qtest")))
        return error_set(err, "-qtest needs -accel qtest");
    o->config.xen_platform = o->board == BOARD_XENFV;
    return true;
}

bool options_parse(struct options *o, int argc, char **argv, struct error *err)
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
        if (!apply_option(o, option, arg, err))
            return false;
    }
    return o->nothing_to_run || check_together(o, err);
}

bool options_name_device(const struct options *o, const char *driver)
{
    for (size_t i = 0; i < o->devices.count; i++) {
        const char *name = opts_get(o->devices.items[i], "driver");

        if (name && !strcmp(name, driver))
            return true;
    }
    return false;
}

/* ---- lines: -serial and its like as a -chardev ---- */

/* What a person types at ID goes to the line, or to a monitor: "mon:..." */
static void share_with_monitor(struct options *o, struct opts *line, const char *option, const char *id)
{
    struct opts *monitor = opts_new(option, line->text);

    opts_add(line, "mux", "on");
    opts_add(line, "signal", "off");
    opts_add(monitor, "chardev", id);
    add_opts(&o->monitors, monitor);
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
    host = strndup(address, length);
    opts_add(opts, "host", host);
    opts_add(opts, "port", colon + 1);
    free(host);
    return true;
}

bool options_add_line(struct options *o, const char *option, const char *spec, const char *id,
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
    add_opts(&o->chardevs, opts);
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

void options_help(FILE *out)
{
    fprintf(out, "hvm-dm " HVM_DM_VERSION ": the hardware of a PC for a guest of KVM or Xen\n\n"
                 "Usage: hvm-dm [OPTION]...\n"
                 "  hvm-dm -m 1G -cdrom debian.iso -hda disk.img    boots the CD; the screen is at\n"
                 "                                                  localhost:0 for a VNC viewer\n");
    for (size_t i = 0; i < COUNT(table); i++) {
        if (!table[i].help)
            continue;
        if (!table[i].name) {
            fprintf(out, "\n%s:\n", table[i].help);
            continue;
        }
        print_form(out, table[i].name, table[i].arg);
        print_folded(out, table[i].help, 8);
    }
}

static void print_troff(FILE *out, const char *text)
{
    for (const char *at = text; *at; at++) {
        if (may_break(text, at))
            fputs("\\:", out);
        fputs(*at == '-' ? "\\-" : *at == '\\' ? "\\e" : (char[]){*at, '\0'}, out);
    }
}

void options_help_troff(FILE *out)
{
    for (size_t i = 0; i < COUNT(table); i++) {
        if (!table[i].help)
            continue;
        if (!table[i].name) {
            fprintf(out, ".SS %s\n", table[i].help);
            continue;
        }
        fprintf(out, ".TP\n\\fB\\-");
        print_troff(out, table[i].name);
        fprintf(out, "\\fR%s", table[i].arg ? " \\fI" : "");
        print_troff(out, table[i].arg ? table[i].arg : "");
        fprintf(out, "%s\n", table[i].arg ? "\\fR" : "");
        print_troff(out, table[i].help);
        fputs(".\n", out);
    }
}
