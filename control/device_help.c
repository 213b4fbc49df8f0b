/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/device_help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/absent.h"
#include "control/opts.h"
#include "machine/device.h"
#include "machine/pci.h"

static void list_classes(void)
{
    static const char *const titles[] = {[BUS_ISA] = "ISA devices",
                                         [BUS_PCI] = "PCI devices",
                                         [BUS_IDE] = "Drives",
                                         [BUS_FLOPPY] = "Floppy drives"};

    for (size_t kind = 0; kind < sizeof(titles) / sizeof(titles[0]); kind++) {
        bool any = false;

        for (const struct device_class *cls = device_next_class(NULL); cls; cls = device_next_class(cls)) {
            if (cls->internal || cls->bus != kind)
                continue;
            if (!any)
                printf("%s:\n", titles[kind]);
            any = true;
            printf("  %-16s %s\n", cls->name, cls->description ? cls->description : "");
        }
    }
}

static void list_table(const struct property *table)
{
    static const char *const kinds[] = {
        [PROP_BOOL] = "on|off",     [PROP_UINT8] = "number",   [PROP_UINT16] = "number",
        [PROP_UINT32] = "number",   [PROP_UINT64] = "number",  [PROP_STRING] = "text",
        [PROP_MAC] = "MAC",         [PROP_DRIVE] = "drive id", [PROP_CHARDEV] = "chardev id",
        [PROP_NETDEV] = "netdev id"};

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
    if (cls->bus != BUS_ISA)
        puts("  bus=<text>  - where it is plugged in");
    list_table(cls->properties);
    if (cls->bus == BUS_PCI)
        list_table(pci_properties);
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
