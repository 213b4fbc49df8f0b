/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "control/device_help.h"
#include "control/drives.h"

/* ---- options ---- */

static bool apply_device(struct options *o, const char *option, const char *arg, struct error *err)
{
    if (device_help(arg)) {
        o->nothing_to_run = true;
        return true;
    }
    return options_collect_json(&o->devices, option, arg, "driver", err);
}

static void add_counted(struct opts *opts, const char *key, const char *text, size_t length)
{
    char *copy = xstrndup(text, length);

    opts_add(opts, key, copy);
    free(copy);
}

/* What libvirt says of clocks that are the hypervisor's here. */
static bool is_clock_policy(const struct opts *opts)
{
    return !strcmp(opts_get(opts, "driver"), "kvm-pit") &&
           !strcmp(opts_get(opts, "property"), "lost_tick_policy");
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
    options_add(&o->globals, opts);
    if (!opts_get(opts, "driver") || !opts_get(opts, "property") || !opts_get(opts, "value"))
        return opts_error(opts, err, "not of the form DEVICE.PROPERTY=VALUE");
    if (is_clock_policy(opts))
        return true;
    if (!device_known(opts_get(opts, "driver"), err))
        return error_prefix(err, "%s %s", option, arg);
    global = xcalloc(1, sizeof(*global));
    *global = (struct device_global){.driver = opts_get(opts, "driver"),
                                     .property = opts_get(opts, "property"),
                                     .value = opts_get(opts, "value")};
    while (*at)
        at = &(*at)->next;
    *at = global;
    return true;
}

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

const struct option device_option_rows[] = {
    HEADING("Devices"),
    FUNCTION("device", "NAME[,PROPERTY=VALUE]...", apply_device,
             "a device; -device help lists them, -device NAME,help lists the properties"),
    FUNCTION("global", "NAME.PROPERTY=VALUE", apply_global,
             "another default for a property of all devices of a kind"),
    OPTIONS_END};

const struct option graphics_option_rows[] = {
    HEADING("Display"), FUNCTION("vga", "std|cirrus|none", apply_vga, "the graphics adapter (default std)"),
    OPTIONS_END};

/* ---- making them ---- */

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

/* A drive without a medium has its slot in query-block, too. */
static bool give_slot(struct control *c, struct device *dev, const struct opts *opts, struct error *err)
{
    char id[64];

    if (opts_get(opts, "drive") || !drives_removable(dev->cls->name))
        return true;
    return drives_give_slot(c, opts, id, err) && device_set(dev, "drive", id, err);
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
    if (!give_slot(c, dev, opts, err)) {
        device_discard(dev);
        return false;
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

bool create_graphics(struct control *c, struct error *err)
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
