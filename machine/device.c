/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "machine/machine.h"

/* Both are written before main only. */
static struct device_class *classes; /* sorted by name */
static const struct bus_ops *bus_kinds[16];

static size_t bus_kinds_count(void)
{
    size_t n = 0;

    while (n < COUNT(bus_kinds) && bus_kinds[n])
        n++;
    return n;
}

/* Puts the kind into the table, which is sorted by title. False: it is full. */
static bool register_bus_kind(const struct bus_ops *ops)
{
    size_t n = bus_kinds_count(), at = 0;

    while (at < n && strcmp(bus_kinds[at]->title, ops->title) < 0)
        at++;
    if (at < n && bus_kinds[at] == ops)
        return true;
    if (n == COUNT(bus_kinds))
        return false;
    memmove(bus_kinds + at + 1, bus_kinds + at, (n - at) * sizeof(bus_kinds[0]));
    bus_kinds[at] = ops;
    return true;
}

const struct bus_ops *bus_ops_next(const struct bus_ops *ops)
{
    size_t n = bus_kinds_count(), at = 0;

    while (ops && at < n && bus_kinds[at++] != ops)
        ;
    return at < n ? bus_kinds[at] : NULL;
}

void device_register(struct device_class *cls)
{
    struct device_class **at = &classes;
    struct error err = {.text = ""};

    if (!cls->reset || !cls->state || !cls->realize || !cls->bus || !register_bus_kind(cls->bus)) {
        fprintf(stderr, "hvm-dm: device class %s has no realize, reset, state or bus: not registered\n",
                cls->name);
        return;
    }
    if (!state_table_valid(cls->state, &err)) {
        fprintf(stderr, "hvm-dm: device class %s: %s: not registered\n", cls->name, err.text);
        return;
    }
    while (*at && strcmp((*at)->name, cls->name) < 0)
        at = (struct device_class **)&(*at)->next;
    cls->next = *at;
    *at = cls;
}

const struct device_class *device_next_class(const struct device_class *cls)
{
    return cls ? cls->next : classes;
}

const struct device_class *device_find_class(const char *name)
{
    for (const struct device_class *cls = classes; cls; cls = cls->next)
        if (!strcmp(cls->name, name) || (cls->alias && !strcmp(cls->alias, name)))
            return cls;
    return NULL;
}

/* ---- properties ---- */

/* The tables that a class's devices understand: its own, then its bus's. */
static const struct property *property_table(const struct device_class *cls, int nth)
{
    static const struct property none[] = {{.name = NULL}};

    switch (nth) {
    case 0:
        return cls->properties ? cls->properties : none;
    case 1:
        return cls->bus->properties ? cls->bus->properties : none;
    default:
        return NULL;
    }
}

static const struct property *find_property(const struct device_class *cls, const char *key)
{
    const struct property *table;

    for (int nth = 0; (table = property_table(cls, nth)); nth++)
        for (const struct property *p = table; p->name; p++)
            if (!strcmp(p->name, key))
                return p;
    return NULL;
}

static bool unknown_property(struct device *dev, const char *key, struct error *err)
{
    const char *names[128] = {"id", "bus"};
    const struct property *table;
    const char *nearest;
    size_t n = 2;

    for (int nth = 0; (table = property_table(dev->cls, nth)); nth++)
        for (const struct property *p = table; p->name && n < 127; p++)
            names[n++] = p->name;
    nearest = error_nearest(key, names);
    return error_set(err, "device %s has no property '%s'%s%s%s", dev->cls->name, key,
                     nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

static bool set_number(void *field, const struct property *p, const char *value)
{
    static const uint64_t widest[] = {[PROP_UINT8] = UINT8_MAX,
                                      [PROP_UINT16] = UINT16_MAX,
                                      [PROP_UINT32] = UINT32_MAX,
                                      [PROP_UINT64] = UINT64_MAX};
    uint64_t n, max = p->max ? p->max : widest[p->kind];
    char *end;

    errno = 0;
    n = strtoull(value, &end, 0);
    if (errno || end == value || *end || value[0] == '-' || n < p->min || n > max)
        return false;
    switch (p->kind) {
    case PROP_UINT8:
        *(uint8_t *)field = n;
        break;
    case PROP_UINT16:
        *(uint16_t *)field = n;
        break;
    case PROP_UINT32:
        *(uint32_t *)field = n;
        break;
    default:
        *(uint64_t *)field = n;
    }
    return true;
}

static bool set_signed(int32_t *field, const char *value)
{
    char *end;
    long n;

    errno = 0;
    n = strtol(value, &end, 0);
    if (errno || end == value || *end || n < -1 || n > INT32_MAX)
        return false;
    *field = n;
    return true;
}

static bool set_bool(bool *field, const char *value)
{
    bool on = !strcmp(value, "on") || !strcmp(value, "yes") || !strcmp(value, "true") || !strcmp(value, "1");

    if (!on && strcmp(value, "off") && strcmp(value, "no") && strcmp(value, "false") && strcmp(value, "0"))
        return false;
    *field = on;
    return true;
}

static bool set_mac(uint8_t *field, const char *value)
{
    unsigned byte[6];
    int used = 0;

    if (sscanf(value, "%2x:%2x:%2x:%2x:%2x:%2x%n", &byte[0], &byte[1], &byte[2], &byte[3], &byte[4], &byte[5],
               &used) != 6 ||
        value[used])
        return false;
    for (int i = 0; i < 6; i++)
        field[i] = byte[i];
    return true;
}

static bool set_pointer(struct device *dev, void **field, const struct property *p, const char *value,
                        struct error *err)
{
    const struct property_source *source = &dev->machine->sources[p->kind];

    *field = source->find ? source->find(source->opaque, value) : NULL;
    if (!*field)
        return error_set(err, "device %s: property %s: there is no %s '%s'", dev->cls->name, p->name,
                         source->what ? source->what : "source of", value);
    return true;
}

bool device_set(struct device *dev, const char *key, const char *value, struct error *err)
{
    const struct property *p = find_property(dev->cls, key);
    void *field = p ? (char *)dev + p->offset : NULL;
    const char *wanted;
    bool ok;

    if (!strcmp(key, "id")) {
        free(dev->id);
        dev->id = strdup(value);
        return true;
    }
    if (!p)
        return unknown_property(dev, key, err);
    switch (p->kind) {
    case PROP_BOOL:
        ok = set_bool(field, value);
        wanted = "on or off";
        break;
    case PROP_INT32:
        ok = set_signed(field, value);
        wanted = "a number, or -1 for none";
        break;
    case PROP_STRING:
        free(*(char **)field);
        *(char **)field = strdup(value);
        return true;
    case PROP_MAC:
        ok = set_mac(field, value);
        wanted = "an address of the form 52:54:00:12:34:56";
        break;
    case PROP_DRIVE:
    case PROP_CHARDEV:
    case PROP_NETDEV:
        return set_pointer(dev, field, p, value, err);
    default:
        ok = set_number(field, p, value);
        wanted = "a number";
    }
    if (ok)
        return true;
    if (p->max)
        return error_set(err, "device %s: property %s takes a number from %llu to %llu, not '%s'",
                         dev->cls->name, key, (unsigned long long)p->min, (unsigned long long)p->max, value);
    return error_set(err, "device %s: property %s takes %s, not '%s'", dev->cls->name, key, wanted, value);
}

/* ---- buses ---- */

void bus_node_add(struct machine *machine, struct bus_node *node)
{
    struct bus_node **at = &machine->buses;

    while (*at)
        at = &(*at)->next;
    node->next = NULL;
    *at = node;
}

void bus_node_remove(struct machine *machine, struct bus_node *node)
{
    struct bus_node **at = &machine->buses;

    while (*at && *at != node)
        at = &(*at)->next;
    if (*at)
        *at = node->next;
}

struct bus_node *bus_node_find(struct machine *machine, const char *name)
{
    struct bus_node *node = machine->buses;

    while (node && strcmp(node->name, name))
        node = node->next;
    return node;
}

static bool is_full(const struct bus_node *node)
{
    return node->ops->full && node->ops->full(node);
}

static bool find_bus(struct device *dev, const char *name, struct error *err)
{
    const struct bus_ops *ops = dev->cls->bus;
    struct bus_node *node;

    if (name) {
        node = bus_node_find(dev->machine, name);
        if (!node)
            return error_set(err, "device %s: there is no bus '%s'", dev->cls->name, name);
        if (node->ops != ops)
            return error_set(err, "device %s needs a bus of the kind %s, and '%s' is none", dev->cls->name,
                             ops->name, name);
    } else {
        node = dev->machine->buses;
        while (node && (node->ops != ops || is_full(node)))
            node = node->next;
        if (!node)
            return error_set(err, "device %s: this machine has no %s bus with a free place", dev->cls->name,
                             ops->name);
    }
    dev->bus = node;
    return true;
}

/* How many devices of the class come before this one on its bus. */
static unsigned same_before(const struct device *dev)
{
    unsigned n = 0;

    for (const struct device *other = dev->machine->devices; other && other != dev; other = other->next)
        n += other->cls == dev->cls && other->bus == dev->bus;
    return n;
}

void device_place(const struct device *dev, char text[DEVICE_PLACE])
{
    int used = snprintf(text, DEVICE_PLACE, "%.20s/", dev->bus->name);
    unsigned nth;

    if (dev->bus->ops->address) {
        dev->bus->ops->address(dev, text + used, DEVICE_PLACE - used);
        return;
    }
    nth = same_before(dev);
    used += snprintf(text + used, DEVICE_PLACE - used, "%.30s", dev->cls->name);
    if (nth)
        snprintf(text + used, DEVICE_PLACE - used, ".%u", nth);
}

/* ---- life ---- */

void device_discard(struct device *dev)
{
    const struct property *table;

    for (int nth = 0; (table = property_table(dev->cls, nth)); nth++)
        for (const struct property *p = table; p->name; p++)
            if (p->kind == PROP_STRING)
                free(*(char **)((char *)dev + p->offset));
    free(dev->id);
    free(dev);
}

/* What -global says of the class. */
static bool set_globals(struct device *dev, struct error *err)
{
    const struct device_class *cls = dev->cls;

    for (const struct device_global *g = dev->machine->config.globals; g; g = g->next)
        if ((!strcmp(g->driver, cls->name) || (cls->alias && !strcmp(g->driver, cls->alias))) &&
            !device_set(dev, g->property, g->value, err))
            return error_prefix(err, "-global %s.%s", g->driver, g->property);
    return true;
}

struct device *device_new(struct machine *machine, const char *name, struct error *err)
{
    const struct device_class *cls = device_find_class(name);
    const struct property *table;
    struct device *dev;

    if (!cls) {
        error_set(err, "there is no device '%s'", name);
        return NULL;
    }
    dev = calloc(1, cls->size);
    if (!dev) {
        error_set(err, "device %s: out of memory", name);
        return NULL;
    }
    dev->cls = cls;
    dev->machine = machine;
    dev->boot_index = -1;
    for (int nth = 0; (table = property_table(cls, nth)); nth++)
        for (const struct property *p = table; p->name; p++)
            if (p->initial && !device_set(dev, p->name, p->initial, err)) {
                device_discard(dev);
                return NULL;
            }
    if (!set_globals(dev, err)) {
        device_discard(dev);
        return NULL;
    }
    return dev;
}

static void unplug(struct device *dev)
{
    if (dev->bus->ops->unplug)
        dev->bus->ops->unplug(dev->bus, dev);
}

static void unrealize(struct device *dev)
{
    if (dev->cls->unrealize)
        dev->cls->unrealize(dev);
}

static bool plug(struct device *dev, struct error *err)
{
    const struct bus_ops *ops = dev->bus->ops;

    if (ops->plug && !ops->plug(dev->bus, dev, err))
        return false;
    if (!dev->cls->realize(dev, err)) {
        unplug(dev);
        return false;
    }
    if (ops->plugged && !ops->plugged(dev->bus, dev, err)) {
        unplug(dev);
        unrealize(dev);
        return false;
    }
    return true;
}

/* plug, and its line in the order of booting. */
static bool plug_in_order(struct device *dev, struct error *err)
{
    char path[BOOT_PATH] = "";

    if (!plug(dev, err))
        return false;
    if (dev->boot_index < 0)
        return true;
    dev->bus->ops->firmware_path(dev, path, sizeof(path));
    if (boot_order_add(&dev->machine->boot_order, dev->boot_index, path, err))
        return true;
    unplug(dev);
    unrealize(dev);
    return error_prefix(err, "device %s", dev->cls->name);
}

bool device_realize(struct device *dev, const char *bus, struct error *err)
{
    struct device **at = &dev->machine->devices;

    if ((dev->id && device_find(dev->machine, dev->id) &&
         !error_set(err, "device %s: the id '%s' is taken", dev->cls->name, dev->id)) ||
        !find_bus(dev, bus, err) || !plug_in_order(dev, err)) {
        device_discard(dev);
        return false;
    }
    while (*at)
        at = &(*at)->next;
    *at = dev;
    return true;
}

void device_delete(struct device *dev)
{
    struct device **at = &dev->machine->devices;

    dev->machine->deletions++;
    while (*at && *at != dev)
        at = &(*at)->next;
    if (*at)
        *at = dev->next;
    boot_order_remove(&dev->machine->boot_order, dev->boot_index);
    unplug(dev);
    unrealize(dev);
    device_discard(dev);
}

void device_unplug(struct device *dev)
{
    struct machine *m = dev->machine;

    if (m->device_deleted)
        m->device_deleted(m->device_deleted_opaque, dev);
    device_delete(dev);
}

struct device *device_create(struct machine *machine, const char *name, struct error *err)
{
    struct device *dev = device_new(machine, name, err);

    return dev && device_realize(dev, NULL, err) ? dev : NULL;
}

struct device *device_find(struct machine *machine, const char *id)
{
    struct device *dev = machine->devices;

    while (dev && (!dev->id || strcmp(dev->id, id)))
        dev = dev->next;
    return dev;
}

void device_reset(struct device *dev)
{
    if (dev->bus->ops->reset)
        dev->bus->ops->reset(dev);
    else
        dev->cls->reset(dev);
}
