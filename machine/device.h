/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one contract for every device: a struct that begins with struct device, and a constant class that
 * describes it.
 *
 *     struct rtc {
 *         struct device dev;
 *         ...
 *     };
 *     static const struct device_class rtc_class = {.name = "mc146818rtc", .size = sizeof(struct rtc), ...};
 *     DEVICE_CLASS(rtc_class);
 *
 * Life: allocated zeroed, properties set, realize, reset, then it works; reset again at any time; unrealize,
 * freed. All calls are made under the machine lock. A class without reset and state does not register.
 */
#ifndef MACHINE_DEVICE_H
#define MACHINE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "machine/state.h"

struct machine;
struct device;
struct bus_ops;
struct bus_node;

/* ---- properties: what `-device NAME,key=value` and `-global NAME.key=value` take ---- */

enum property_kind {
    PROP_BOOL,  /* bool: on, off */
    PROP_UINT8, /* uint8_t, uint16_t, ...: strtoul forms; range min..max when max is not 0 */
    PROP_UINT16,
    PROP_UINT32,
    PROP_UINT64,
    PROP_INT32,  /* int32_t, -1 or more */
    PROP_STRING, /* char *: freed with the device */
    PROP_MAC,    /* uint8_t[6]: xx:xx:xx:xx:xx:xx */
    /* Pointers to what an option made, by its id; found by the machine's property_source of that kind. */
    PROP_DRIVE,   /* struct block *: the id of a -drive or -blockdev */
    PROP_CHARDEV, /* struct chardev *: the id of a -chardev */
    PROP_NETDEV,  /* struct net_port *: the id of a -netdev; the device's own end of that wire */
    PROP_KINDS,
};

/* How the id in a property of one kind becomes a pointer: registered in machine.sources by whoever has such
 * things. The device borrows what it is given; it may be taken by another device already. */
struct property_source {
    const char *what;                            /* as messages say it: "drive" */
    void *(*find)(void *opaque, const char *id); /* NULL: there is none of that name */
    void *opaque;
};

struct property {
    const char *name; /* NULL ends the table */
    enum property_kind kind;
    size_t offset;       /* of the field in the device's struct */
    const char *initial; /* in the option's syntax; NULL: zero */
    uint64_t min, max;
    const char *help;
};

#define PROPERTY(kind_, type, field, name_, ...)                                                             \
    {                                                                                                        \
        .name = (name_), .kind = (kind_), .offset = offsetof(type, field), ##__VA_ARGS__                     \
    }

/* A row for what firmware may boot from. */
#define BOOT_INDEX_PROPERTY                                                                                  \
    PROPERTY(PROP_INT32, struct device, boot_index, "bootindex",                                             \
             .help = "place in the order of booting, the lowest first")

/* ---- the class ---- */

struct device_class {
    const char *name;          /* as in -device */
    const char *alias;         /* a second name that is taken, or NULL */
    const char *description;   /* a line for -device help */
    const struct bus_ops *bus; /* the kind of bus that it sits on, and so what `-device NAME,bus=` may name */
    const void *bus_info;      /* what that kind wants to know of a class; PCI: struct pci_info */
    bool internal;             /* part of the board: not for -device */
    bool hotplug; /* comes and goes while the guest runs, where its bus has somebody to tell the guest */
    size_t size;  /* of the device's struct, which begins with struct device (PCI: struct pci_device) */
    const struct property *properties; /* or NULL */
    const struct state_table *state;   /* never NULL; what its bus keeps of it is in bus_ops.state */
    bool (*realize)(struct device *dev, struct error *err);
    /* Or NULL. Undoes a successful realize: regions, timers, interrupt sources are the device's own. */
    void (*unrealize)(struct device *dev);
    /* To power-on state; cancels what is in flight. */
    void (*reset)(struct device *dev);
    /* The three are NULL where there is nothing to do. Before a state is taken: whatever is in flight and
     * cannot be written down is finished, or put back to be done again; nothing that the guest sees changes,
     * and the device works on after it. */
    void (*settle)(struct device *dev);
    /* May what was read be together in one device? dev is a copy that holds the new state, for looking only;
     * ranges were checked. */
    bool (*check)(const struct device *dev, struct error *err);
    /* The new state is in the device (all devices have theirs): derives the rest, sets its interrupt lines,
     * lets go on what waited. */
    void (*loaded)(struct device *dev);
    const struct device_class *next; /* the registry's: leave it zero */
};

struct device {
    const struct device_class *cls;
    struct machine *machine;
    struct bus_node *bus; /* where it sits */
    char *id;             /* from -device id=, or NULL */
    int32_t boot_index;   /* property of some; -1: firmware's choice */
    struct device *next;  /* in order of creation, which is the order of reset */
};

/* Registers a class before main; the registry is constant from then on. */
void device_register(struct device_class *cls);
#define DEVICE_CLASS(cls)                                                                                    \
    static void __attribute__((constructor)) register_##cls(void)                                            \
    {                                                                                                        \
        static struct device_class copy;                                                                     \
        copy = cls;                                                                                          \
        device_register(&copy);                                                                              \
    }

const struct device_class *device_find_class(const char *name); /* by name or alias; NULL */
/* All classes, by name: pass NULL for the first. */
const struct device_class *device_next_class(const struct device_class *cls);

/* ---- buses: what devices are plugged into ---- */

/*
 * A kind of bus. One constant for each, by the name of <kind>_bus_ops in the kind's header: pci_bus_ops,
 * ide_bus_ops. Classes name it as what they sit on; who offers such a bus adds a bus_node with it. Functions
 * may be NULL where there is nothing to do; the machine lock is held.
 */
struct bus_ops {
    const char *name;                  /* as messages say it: "PCI" */
    const char *title;                 /* of its classes in -device help: "PCI devices" */
    const char *type;                  /* of its classes as QMP's qom-list-types says it: "pci-device" */
    bool hotplug;                      /* devices come and go while the guest runs */
    const struct property *properties; /* what every child has beside its class's own */
    const struct state_table *state;   /* what the bus keeps in every child's struct, or NULL */

    /* There is no place for one more. */
    bool (*full)(const struct bus_node *bus);
    /* Before the class's realize: gives the device its place there (address, unit). False with *err. */
    bool (*plug)(struct bus_node *bus, struct device *dev, struct error *err);
    /* After it: from now on the guest finds the device. False with *err: unplug and unrealize follow. */
    bool (*plugged)(struct bus_node *bus, struct device *dev, struct error *err);
    /* Undoes both, before unrealize or after a realize that failed: nobody reaches the device any more. */
    void (*unplug)(struct bus_node *bus, struct device *dev);
    /* A reset of the child, which calls the class's; NULL: the class's alone. */
    void (*reset)(struct device *dev);
    /* As the class's, for what the bus keeps; both come before the class's. */
    bool (*check)(const struct device *dev, struct error *err);
    void (*loaded)(struct device *dev);
    /* Does a child hold the line that wakes a sleeping guest (PCI: PME#)? */
    bool (*wakes)(const struct bus_node *bus);
    /* Where on the bus the child is: "01.2", "0". NULL: its class's name, and a number if there are more. */
    void (*address)(const struct device *dev, char *text, size_t size);
    /* The child's path as firmware reads it (machine/boot_order.h). NULL: nothing boots from such a bus. */
    void (*firmware_path)(const struct device *dev, char *text, size_t size);
};

/* All kinds that a class sits on, by title: pass NULL for the first. */
const struct bus_ops *bus_ops_next(const struct bus_ops *ops);

/*
 * Who tells the guest that a device came, and lets it go when the guest has let go of it. A bus whose devices
 * come and go by its own means (USB) has none.
 */
struct hotplug_ops {
    void (*added)(void *opaque, struct device *dev);
    /* The guest is asked; device_unplug follows when it agrees, not before this returns. False with *err: it
     * cannot be. */
    bool (*remove)(void *opaque, struct device *dev, struct error *err);
};

/*
 * A bus of this machine: "isa.0", "pci.0", "ide.0", "ide.1", "floppy.0". Offered by a realized device, or by
 * the machine itself.
 */
struct bus_node {
    const char *name;
    const struct bus_ops *ops;
    struct device *owner;              /* NULL: the machine */
    void *bus;                         /* the kind's own struct: struct pci_bus, struct ide_channel ... */
    const struct hotplug_ops *hotplug; /* or NULL */
    void *hotplug_opaque;
    struct bus_node *next;
};
void bus_node_add(struct machine *machine, struct bus_node *node);
void bus_node_remove(struct machine *machine, struct bus_node *node);
struct bus_node *bus_node_find(struct machine *machine, const char *name);

/* Bus and address on it: "pci.0/01.2", "ide.0/0", "isa.0/isa-serial.1". No two devices of a machine share it,
 * and a machine of the same options has the same. */
enum { DEVICE_PLACE = 64 };
void device_place(const struct device *dev, char text[DEVICE_PLACE]);

/* ---- making devices ---- */

/* Allocates a device with the initial values of its properties. NULL with *err: no such class. */
struct device *device_new(struct machine *machine, const char *name, struct error *err);
/* One property from its text; false with *err that names the device, the property and, for unknown ones, the
 * nearest. */
bool device_set(struct device *dev, const char *key, const char *value, struct error *err);
/* Frees a device that was not realized. */
void device_discard(struct device *dev);
/* Realizes the device on the bus named (NULL: the first of its kind); on failure the device is freed. */
bool device_realize(struct device *dev, const char *bus, struct error *err);
/* Unrealizes and frees. */
void device_delete(struct device *dev);

/* device_delete of one that comes and goes, with machine->device_deleted told before. */
void device_unplug(struct device *dev);

/* device_new, no properties, device_realize: for the board's own parts. */
struct device *device_create(struct machine *machine, const char *name, struct error *err);

struct device *device_find(struct machine *machine, const char *id);

/* To power-on state, by way of its bus. A machine's devices are reset in the order of their creation, so what
 * offers a bus before what sits on it. */
void device_reset(struct device *dev);

#endif
