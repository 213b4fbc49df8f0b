/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/usb/usb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/machine.h"

/* bRequest, table 9-4 */
enum {
    GET_STATUS = 0,
    CLEAR_FEATURE = 1,
    SET_FEATURE = 3,
    SET_ADDRESS = 5,
    GET_CONFIGURATION = 8,
    SET_CONFIGURATION = 9,
    GET_INTERFACE = 10,
    SET_INTERFACE = 11,
};

enum { DESCRIPTOR_DEVICE = 1, DESCRIPTOR_CONFIGURATION = 2, DESCRIPTOR_STRING = 3 };
enum { FEATURE_ENDPOINT_HALT = 0, FEATURE_REMOTE_WAKEUP = 1 };

#define LANGUAGE_ENGLISH_US      0x0409
#define ATTRIBUTE_REMOTE_WAKEUP  0x20 /* bmAttributes */
#define ATTRIBUTE_SELF_POWERED   0x40
#define CONFIGURATION_ATTRIBUTES 7 /* offsets in the descriptor */
#define CONFIGURATION_VALUE      5
#define CONFIGURATION_INTERFACES 4
#define DEVICE_PRODUCT           15

STATE_PUBLIC_TABLE(usb_device_state, struct usb_device, USB_DEVICE_STATE);

bool usb_device_check(const struct usb_device *dev, struct error *err)
{
    return dev->position <= dev->length || dev->stage != USB_DATA_IN ||
           error_set(err, "more was sent than there is");
}

static uint16_t usb_get16(const uint8_t *bytes)
{
    return bytes[0] | bytes[1] << 8;
}

static struct usb_setup usb_setup_of(const struct usb_device *dev)
{
    const uint8_t *s = dev->setup;

    return (struct usb_setup){s[0], s[1], usb_get16(s + 2), usb_get16(s + 4), usb_get16(s + 6)};
}

/* ---- descriptors ---- */

static unsigned usb_string_count(const struct usb_device *dev)
{
    unsigned count = 0;

    while (usb_class_of(dev)->strings[count])
        count++;
    return count;
}

/* UTF-16; our strings are ASCII. */
static int usb_string(const struct usb_device *dev, unsigned index, uint8_t *data)
{
    const char *text;
    unsigned length = 2;

    if (index == 0) {
        memcpy(data, (uint8_t[]){4, DESCRIPTOR_STRING, LANGUAGE_ENGLISH_US & 0xFF, LANGUAGE_ENGLISH_US >> 8},
               4);
        return 4;
    }
    if (index > usb_string_count(dev))
        return USB_STALL;
    for (text = usb_class_of(dev)->strings[index - 1]; *text && length < 254; text++) {
        data[length++] = *text;
        data[length++] = 0;
    }
    data[0] = length;
    data[1] = DESCRIPTOR_STRING;
    return length;
}

const char *usb_product(const struct usb_device *dev)
{
    return usb_class_of(dev)->strings[usb_class_of(dev)->device[DEVICE_PRODUCT] - 1];
}

static int usb_descriptor(const struct usb_device *dev, const struct usb_setup *setup, uint8_t *data)
{
    unsigned index = setup->value & 0xFF, length;

    switch (setup->value >> 8) {
    case DESCRIPTOR_DEVICE:
        length = usb_class_of(dev)->device[0];
        memcpy(data, usb_class_of(dev)->device, length);
        return length;
    case DESCRIPTOR_CONFIGURATION:
        if (index)
            return USB_STALL;
        length = usb_get16(usb_class_of(dev)->configuration + 2);
        memcpy(data, usb_class_of(dev)->configuration, length);
        return length;
    case DESCRIPTOR_STRING:
        return usb_string(dev, index, data);
    default:
        return USB_STALL;
    }
}

/* The endpoint's descriptor in the configuration; NULL: there is none. */
static const uint8_t *usb_endpoint(const struct usb_device *dev, uint8_t address)
{
    const uint8_t *at = usb_class_of(dev)->configuration, *end = at + usb_get16(at + 2);

    for (; at < end; at += at[0])
        if (at[1] == USB_DESCRIPTOR_ENDPOINT && at[2] == address)
            return at;
    return NULL;
}

/* ---- standard requests ---- */

static void usb_set_configuration(struct usb_device *dev, uint8_t value)
{
    bool was = dev->configuration;

    dev->configuration = value;
    dev->halted = 0;
    if ((was || value) && usb_class_of(dev)->configured)
        usb_class_of(dev)->configured(dev, value);
}

/* Endpoints count as there only once they are configured. */
static bool usb_names_endpoint(const struct usb_device *dev, uint16_t index)
{
    return (index & 0x7F) == 0 || (dev->configuration && usb_endpoint(dev, index));
}

static int usb_get_status(const struct usb_device *dev, const struct usb_setup *setup, uint8_t *data)
{
    uint8_t attributes = usb_class_of(dev)->configuration[CONFIGURATION_ATTRIBUTES];

    data[0] = data[1] = 0;
    switch (setup->type & USB_RECIPIENT_MASK) {
    case USB_RECIPIENT_DEVICE:
        data[0] = (attributes & ATTRIBUTE_SELF_POWERED ? 1 : 0) | (dev->remote_wakeup ? 2 : 0);
        return 2;
    case USB_RECIPIENT_INTERFACE:
        return dev->configuration && setup->index == 0 ? 2 : USB_STALL;
    case USB_RECIPIENT_ENDPOINT:
        data[0] = dev->halted >> (setup->index & 15) & 1;
        return usb_names_endpoint(dev, setup->index) ? 2 : USB_STALL;
    default:
        return USB_STALL;
    }
}

static int usb_set_feature(struct usb_device *dev, const struct usb_setup *setup, bool on)
{
    uint8_t attributes = usb_class_of(dev)->configuration[CONFIGURATION_ATTRIBUTES];
    uint16_t bit = 1 << (setup->index & 15);

    switch (setup->type & USB_RECIPIENT_MASK) {
    case USB_RECIPIENT_DEVICE:
        if (setup->value != FEATURE_REMOTE_WAKEUP || !(attributes & ATTRIBUTE_REMOTE_WAKEUP))
            return USB_STALL;
        dev->remote_wakeup = on;
        return 0;
    case USB_RECIPIENT_ENDPOINT:
        if (setup->value != FEATURE_ENDPOINT_HALT || !usb_names_endpoint(dev, setup->index))
            return USB_STALL;
        if (setup->index & 15) /* the control endpoint forgets a halt with the next SETUP */
            dev->halted = on ? dev->halted | bit : dev->halted & ~bit;
        return 0;
    default:
        return USB_STALL;
    }
}

static int usb_standard_request(struct usb_device *dev, const struct usb_setup *setup, uint8_t *data)
{
    uint8_t to = setup->type & USB_RECIPIENT_MASK;
    bool in = setup->type & USB_DIR_IN;

    if (setup->request == GET_STATUS && in)
        return usb_get_status(dev, setup, data);
    if ((setup->request == CLEAR_FEATURE || setup->request == SET_FEATURE) && !in)
        return usb_set_feature(dev, setup, setup->request == SET_FEATURE);
    if (setup->request == USB_GET_DESCRIPTOR && in && to == USB_RECIPIENT_DEVICE)
        return usb_descriptor(dev, setup, data);
    if (setup->request == SET_ADDRESS && setup->type == 0 && setup->value < 128) {
        dev->address = setup->value;
        return 0;
    }
    if (setup->request == GET_CONFIGURATION && setup->type == USB_DIR_IN) {
        data[0] = dev->configuration;
        return 1;
    }
    if (setup->request == SET_CONFIGURATION && setup->type == 0 &&
        (setup->value == 0 || setup->value == usb_class_of(dev)->configuration[CONFIGURATION_VALUE])) {
        usb_set_configuration(dev, setup->value);
        return 0;
    }
    if (to == USB_RECIPIENT_INTERFACE && dev->configuration &&
        setup->index < usb_class_of(dev)->configuration[CONFIGURATION_INTERFACES]) {
        data[0] = 0;
        if (setup->request == GET_INTERFACE && in)
            return 1;
        if (setup->request == SET_INTERFACE && !in && setup->value == 0)
            return 0;
    }
    return USB_STALL;
}

static int usb_request(struct usb_device *dev, const struct usb_setup *setup)
{
    int length = USB_STALL;

    if ((setup->type & USB_TYPE_MASK) == USB_TYPE_STANDARD)
        length = usb_standard_request(dev, setup, dev->data);
    return length == USB_STALL && usb_class_of(dev)->control
               ? usb_class_of(dev)->control(dev, setup, dev->data)
               : length;
}

/* ---- the control endpoint ---- */

/* What is to be sent is made at once; what is to be done is done in the status stage. */
static int usb_take_setup(struct usb_device *dev, const uint8_t *bytes, unsigned length)
{
    struct usb_setup setup;
    int made;

    if (length != sizeof(dev->setup))
        return USB_NO_ANSWER;
    memcpy(dev->setup, bytes, sizeof(dev->setup));
    setup = usb_setup_of(dev);
    dev->position = 0;
    dev->length = 0;
    if (!(setup.type & USB_DIR_IN)) {
        dev->stage = setup.length ? USB_DATA_OUT : USB_STATUS_IN;
        dev->stage = setup.length > USB_CONTROL_MAX ? USB_IDLE : dev->stage;
        return length;
    }
    made = usb_request(dev, &setup);
    dev->stage = made < 0 ? USB_IDLE : USB_DATA_IN;
    dev->length = made < 0 ? 0 : made < setup.length ? made : setup.length;
    return length;
}

static int usb_control_in(struct usb_device *dev, uint8_t *data, unsigned max)
{
    unsigned part = dev->length - dev->position;
    struct usb_setup setup = usb_setup_of(dev);
    int done;

    switch (dev->stage) {
    case USB_DATA_IN:
        part = part < USB_PACKET0 ? part : USB_PACKET0;
        if (part > max)
            return USB_BABBLE;
        memcpy(data, dev->data + dev->position, part);
        dev->position += part;
        return part;
    case USB_STATUS_IN:
        dev->stage = USB_IDLE;
        done = usb_request(dev, &setup);
        return done < 0 ? done : 0;
    default:
        return USB_STALL;
    }
}

static int usb_control_out(struct usb_device *dev, const uint8_t *data, unsigned length)
{
    unsigned wanted = usb_setup_of(dev).length;

    switch (dev->stage) {
    case USB_DATA_IN: /* the status stage, which may come before all was read */
        dev->stage = USB_IDLE;
        return length ? USB_STALL : 0;
    case USB_DATA_OUT:
        if (length > USB_PACKET0 || length > wanted - dev->position)
            return USB_STALL;
        memcpy(dev->data + dev->position, data, length);
        dev->position += length;
        dev->stage = dev->position == wanted ? USB_STATUS_IN : USB_DATA_OUT;
        return length;
    default:
        return USB_STALL;
    }
}

int usb_transact(struct usb_device *dev, enum usb_pid pid, unsigned endpoint, uint8_t *data, unsigned length)
{
    if (endpoint == 0)
        return pid == USB_PID_SETUP ? usb_take_setup(dev, data, length)
               : pid == USB_PID_IN  ? usb_control_in(dev, data, length)
                                    : usb_control_out(dev, data, length);
    if (!dev->configuration || pid != USB_PID_IN || !usb_endpoint(dev, USB_DIR_IN | endpoint))
        return USB_NO_ANSWER;
    if (dev->halted >> endpoint & 1)
        return USB_STALL;
    return usb_class_of(dev)->in(dev, data, length);
}

/* ---- signalled on the wire ---- */

void usb_reset(struct usb_device *dev)
{
    usb_set_configuration(dev, 0);
    dev->address = 0;
    dev->stage = USB_IDLE;
    dev->remote_wakeup = false;
    dev->suspended = false;
    dev->length = dev->position = 0;
    dev->due = USB_NEVER;
}

void usb_suspend(struct usb_device *dev, bool suspended)
{
    dev->suspended = suspended;
}

void usb_ready(struct usb_device *dev)
{
    dev->due = clock_now(&dev->dev.machine->clock);
    if (!dev->suspended)
        dev->bus->ops->ready(dev->bus->opaque);
    else if (dev->remote_wakeup)
        dev->bus->ops->wakeup(dev->bus->opaque, dev->port_number - 1);
}

/* ---- the bus ---- */

static bool usb_bus_full(const struct bus_node *node)
{
    const struct usb_bus *bus = node->bus;

    for (unsigned i = 0; i < bus->ports; i++)
        if (!bus->devices[i])
            return false;
    return true;
}

static bool usb_named_port(struct usb_device *dev, struct error *err)
{
    const struct usb_bus *bus = dev->bus;
    const char *name = dev->dev.cls->name;
    unsigned long number;
    char *end;

    number = strtoul(dev->port, &end, 10);
    if (end == dev->port || *end || number < 1 || number > bus->ports)
        return error_set(err, "device %s: port=%s: bus %s has the ports 1 to %u", name, dev->port, bus->name,
                         bus->ports);
    if (bus->devices[number - 1])
        return error_set(err, "device %s: port=%s of bus %s is taken by %s", name, dev->port, bus->name,
                         bus->devices[number - 1]->dev.cls->name);
    dev->port_number = number;
    return true;
}

static bool usb_bus_plug(struct bus_node *node, struct device *device, struct error *err)
{
    struct usb_device *dev = (struct usb_device *)device;
    struct usb_bus *bus = node->bus;

    dev->bus = bus;
    dev->due = USB_NEVER;
    if (dev->port)
        return usb_named_port(dev, err);
    for (dev->port_number = 1; dev->port_number <= bus->ports; dev->port_number++)
        if (!bus->devices[dev->port_number - 1])
            return true;
    return error_set(err, "device %s: no port of bus %s is free", device->cls->name, bus->name);
}

static bool usb_bus_plugged(struct bus_node *node, struct device *device, struct error *err)
{
    struct usb_device *dev = (struct usb_device *)device;
    struct usb_bus *bus = node->bus;

    usb_reset(dev);
    bus->devices[dev->port_number - 1] = dev;
    bus->ops->attached(bus->opaque, dev->port_number - 1);
    return true;
}

static void usb_bus_unplug(struct bus_node *node, struct device *device)
{
    struct usb_device *dev = (struct usb_device *)device;
    struct usb_bus *bus = node->bus;
    unsigned port = dev->port_number - 1;

    if (bus->devices[port] != dev)
        return;
    usb_set_configuration(dev, 0);
    bus->devices[port] = NULL;
    bus->ops->detached(bus->opaque, port);
}

static void usb_bus_reset(struct device *device)
{
    usb_reset((struct usb_device *)device);
    device->cls->reset(device);
}

static void usb_bus_address(const struct device *device, char *text, size_t size)
{
    snprintf(text, size, "%u", ((const struct usb_device *)device)->port_number);
}

static const struct property usb_properties[] = {
    PROPERTY(PROP_STRING, struct usb_device, port, "port",
             .help = "the number of a port; without it the first that is free"),
    {.name = NULL},
};

const struct bus_ops usb_bus_ops = {
    .name = "USB",
    .title = "USB devices",
    .type = "usb-device",
    .hotplug = true,
    .properties = usb_properties,
    .full = usb_bus_full,
    .plug = usb_bus_plug,
    .plugged = usb_bus_plugged,
    .unplug = usb_bus_unplug,
    .reset = usb_bus_reset,
    .address = usb_bus_address,
};

/* Of a controller with an id "ID.0", else "usb-bus.N" with the first N that is free. */
static void usb_bus_choose_name(struct usb_bus *bus, struct device *owner)
{
    unsigned n = 0;

    if (owner->id) {
        snprintf(bus->name, sizeof(bus->name), "%s.0", owner->id);
        return;
    }
    do
        snprintf(bus->name, sizeof(bus->name), "usb-bus.%u", n++);
    while (bus_node_find(owner->machine, bus->name));
}

void usb_bus_init(struct usb_bus *bus, struct device *owner, unsigned ports, const struct usb_host_ops *ops,
                  void *opaque)
{
    usb_bus_choose_name(bus, owner);
    bus->ops = ops;
    bus->opaque = opaque;
    bus->ports = ports;
    bus->node = (struct bus_node){.name = bus->name, .ops = &usb_bus_ops, .owner = owner, .bus = bus};
    bus_node_add(owner->machine, &bus->node);
}

void usb_bus_destroy(struct usb_bus *bus)
{
    bus_node_remove(bus->node.owner->machine, &bus->node);
}

int64_t usb_bus_due(const struct usb_bus *bus)
{
    int64_t due = USB_NEVER;

    for (unsigned i = 0; i < bus->ports; i++)
        if (bus->devices[i] && bus->devices[i]->due < due)
            due = bus->devices[i]->due;
    return due;
}
