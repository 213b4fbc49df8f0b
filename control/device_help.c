/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/device_help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/absent.h"
#include "control/opts.h"
#include "machine/device.h"

static void list_classes_on(const struct bus_ops *bus)
{
    bool any = false;

    for (const struct device_class *cls = device_next_class(NULL); cls; cls = device_next_class(cls)) {
        if (cls->internal || cls->bus != bus)
            continue;
        if (!any)
            printf("%s:\n", bus->title);
        any = true;
        printf("  %-16s %s\n", cls->name, cls->description ? cls->description : "");
    }
}

static void list_classes(void)
{
    for (const struct bus_ops *bus = bus_ops_next(NULL); bus; bus = bus_ops_next(bus))
        list_classes_on(bus);
}

static void list_table(const struct property *table)
{
    static const char *const kinds[] = {
        [PROP_BOOL] = "on|off",        [PROP_UINT8] = "number",    [PROP_UINT16] = "number",
        [PROP_UINT32] = "number",      [PROP_UINT64] = "number",   [PROP_STRING] = "text",
        [PROP_INT32] = "number",       [PROP_MAC] = "MAC",         [PROP_DRIVE] = "drive id",
        [PROP_CHARDEV] = "chardev id", [PROP_NETDEV] = "netdev id"};

    for (const struct property *p = table; p && p->name; p++) {
        printf("  %s=<%s>", p->name, kinds[p->kind]);
        if (p->help)
            printf("  - %s", p->help);
        if (p->initial)
            printf(" (default %s)", p->initial);
        putchar('\n');
    }
}

static void device_help_list_properties(const struct device_class *cls)
{
    printf("%s: %s\n", cls->name, cls->description ? cls->description : "");
    puts("  id=<text>  - a name for commands and other options");
    puts("  bus=<text>  - where it is plugged in");
    list_table(cls->properties);
    list_table(cls->bus->properties);
}

bool device_help(const char *arg)
{
    const struct device_class *cls;
    size_t length = strlen(arg);
    char *name;

    if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
        list_classes();
        return true;
    }
    if (length < 6 || strcmp(arg + length - 5, ",help"))
        return false;
    name = strndup(arg, length - 5);
    cls = device_find_class(name);
    free(name);
    if (!cls)
        return false;
    device_help_list_properties(cls);
    return true;
}

bool device_known(const char *name, struct error *err)
{
    const char *names[256], *reason = absent_reason(name);
    size_t n = 0;

    if (device_find_class(name))
        return true;
    if (reason)
        return error_set(err, "%s: %s", name, reason);
    for (const struct device_class *cls = device_next_class(NULL); cls; cls = device_next_class(cls)) {
        if (n < 254)
            names[n++] = cls->name;
        if (cls->alias && n < 254)
            names[n++] = cls->alias;
    }
    names[n] = NULL;
    return unknown_name(err, "device", name, names);
}
