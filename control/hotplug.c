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

bool hotplug_device_add(struct qmp_call *call)
{
    const char *driver = qmp_text(call, "driver");

    if (!driver)
        return qmp_fail(call, "Parameter 'driver' is missing");
    if (!device_known(driver, &call->err))
        return false;
    if (!device_find_class(driver)->bus->hotplug)
        return qmp_fail(call, "%.100s: this board supports no hot-plug of it", driver);
    if (!hotplug_create(call, driver))
        return false;
    device_reset(hotplug_newest(&call->c->m));
    return true;
}

bool hotplug_device_del(struct qmp_call *call)
{
    const char *id = qmp_text(call, "id");
    struct device *dev = device_find(&call->c->m, id);
    char path[256];

    if (!dev) {
        call->error_class = "DeviceNotFound";
        return qmp_fail(call, "Device '%.100s' not found", id);
    }
    if (!dev->bus->ops->hotplug)
        return qmp_fail(call, "Device '%.100s' cannot be unplugged while the machine exists", id);
    snprintf(path, sizeof(path), "/machine/peripheral/%.200s", id);
    qmp_event(call->c, "DEVICE_DELETED", json_pack("{s:s, s:s}", "device", id, "path", path));
    device_delete(dev);
    return true;
}
