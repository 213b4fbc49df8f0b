/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/usb.h"

#include <string.h>

#include "hw/usb/usb.h"

static const struct {
    const char *name, *driver;
} usb_names[] = {{"tablet", "usb-tablet"}, {"mouse", "usb-mouse"}, {"keyboard", "usb-kbd"}};

enum { USB_NAMES = sizeof(usb_names) / sizeof(usb_names[0]) };

static const char *usb_driver(const char *name)
{
    for (size_t i = 0; i < USB_NAMES; i++)
        if (!strcmp(usb_names[i].name, name))
            return usb_names[i].driver;
    return NULL;
}

static bool usb_check_name(const char *name, struct error *err)
{
    const char *known[USB_NAMES + 1] = {NULL};

    if (!strncmp(name, "host:", 5))
        return error_set(err, "-usbdevice %s: no USB device of the host can be passed through", name);
    for (size_t i = 0; i < USB_NAMES; i++)
        known[i] = usb_names[i].name;
    return usb_driver(name) || unknown_name(err, "USB device", name, known) ||
           error_prefix(err, "-usbdevice");
}

static bool apply_usb_device(struct options *o, const char *option, const char *arg, struct error *err)
{
    options_add_string(&o->usb_devices, arg);
    o->config.usb = true;
    return usb_check_name(arg, err);
}

const struct option usb_option_rows[] = {
    FLAG("usb", config.usb, "the board has its USB controller, a piix3-usb-uhci at 01.2"),
    FUNCTION("usbdevice", "tablet|mouse|keyboard", apply_usb_device,
             "a USB device on a free port; implies -usb"),
    OPTIONS_END};

static bool usb_port_free(const struct machine *m)
{
    for (const struct bus_node *node = m->buses; node; node = node->next)
        if (node->ops == &usb_bus_ops && !usb_bus_ops.full(node))
            return true;
    return false;
}

/* The board's controller has two ports; who names more devices gets another. */
bool usb_plug(struct control *c, struct error *err)
{
    const struct string_list *names = &c->options.usb_devices;

    for (size_t i = 0; i < names->count; i++)
        if ((!usb_port_free(&c->m) && !device_create(&c->m, "piix3-usb-uhci", err)) ||
            !device_create(&c->m, usb_driver(names->items[i]), err))
            return error_prefix(err, "-usbdevice %s", names->items[i]);
    return true;
}
