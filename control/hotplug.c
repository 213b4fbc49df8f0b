/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/hotplug.h"

#include <stdio.h>
#include <string.h>

#include "control/device_help.h"
#include "control/devices.h"

/* A scalar argument as an option would have it. False: it is none. */
static bool hotplug_add_property(struct opts *opts, const char *key, json_t *value)
{
    char number[32];

    snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    if (json_is_string(value))
        opts_add(opts, key, json_string_value(value));
    else if (json_is_integer(value))
        opts_add(opts, key, number);
    else if (json_is_boolean(value))
        opts_add(opts, key, json_is_true(value) ? "on" : "off");
    else
        return false;
    return true;
}

static bool hotplug_create(struct qmp_call *call, const char *driver)
{
    struct opts *opts = opts_new("device_add", driver);
    const char *key;
    json_t *value;
    bool ok = true;

    json_object_foreach(call->args, key, value)
    {
        ok = ok &&
             (hotplug_add_property(opts, key, value) ||
              qmp_fail(call, "device_add %.100s: '%.100s' is neither text, number nor truth", driver, key));
    }
    ok = ok && create_device(call->c, opts, &call->err);
    opts_free(opts);
    return ok;
}

/* The one that was created last. */
static struct device *hotplug_newest(struct machine *m)
{
    struct device *dev = m->devices;

    while (dev->next)
        dev = dev->next;
    return dev;
}

/* What a bus's devices do by themselves, or somebody tells the guest of. */
static bool hotplug_possible(const struct device_class *cls, const struct bus_node *bus)
{
    return cls->bus->hotplug || (cls->hotplug && bus && bus->hotplug);
}

/* The first bus of its kind: where it would go. */
static const struct bus_node *hotplug_bus_of(struct machine *m, const struct device_class *cls)
{
    const struct bus_node *bus = m->buses;

    while (bus && bus->ops != cls->bus)
        bus = bus->next;
    return bus;
}

bool hotplug_device_add(struct qmp_call *call)
{
    const char *driver = qmp_text(call, "driver");
    const struct device_class *cls;
    struct device *dev;

    if (!driver)
        return qmp_fail(call, "Parameter 'driver' is missing");
    if (!device_known(driver, &call->err))
        return false;
    cls = device_find_class(driver);
    if (!hotplug_possible(cls, hotplug_bus_of(&call->c->m, cls)))
        return qmp_fail(call, "%.100s: this board supports no hot-plug of it", driver);
    if (!hotplug_create(call, driver))
        return false;
    dev = hotplug_newest(&call->c->m);
    device_reset(dev);
    if (dev->bus->hotplug)
        dev->bus->hotplug->added(dev->bus->hotplug_opaque, dev);
    return true;
}

void hotplug_device_deleted(void *opaque, const struct device *dev)
{
    char path[256];

    snprintf(path, sizeof(path), "/machine/peripheral/%.200s", dev->id ? dev->id : "");
    qmp_event(opaque, "DEVICE_DELETED",
              dev->id ? json_pack("{s:s, s:s}", "device", dev->id, "path", path)
                      : json_pack("{s:s}", "path", path));
}

bool hotplug_device_del(struct qmp_call *call)
{
    const char *id = qmp_text(call, "id");
    struct device *dev = device_find(&call->c->m, id);

    if (!dev) {
        call->error_class = "DeviceNotFound";
        return qmp_fail(call, "Device '%.100s' not found", id);
    }
    if (!hotplug_possible(dev->cls, dev->bus))
        return qmp_fail(call, "Device '%.100s' cannot be unplugged while the machine exists", id);
    if (dev->bus->hotplug)
        return dev->bus->hotplug->remove(dev->bus->hotplug_opaque, dev, &call->err);
    device_unplug(dev);
    return true;
}
