/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine: bus, memory, lines, time, devices and the run state, under one lock. Control builds it, an
 * accelerator drives it.
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include <pthread.h>

#include "base/clock.h"
#include "base/loop.h"
#include "machine/accel.h"
#include "machine/access.h"
#include "machine/boot_order.h"
#include "machine/bus.h"
#include "machine/cpu_model.h"
#include "machine/device.h"
#include "machine/irq.h"
#include "machine/isa.h"
#include "machine/pci.h"
#include "machine/ram.h"

struct backends; /* hw/backends.h */

#define MACHINE_MAX_CPUS 128

enum run_state {
    RUN_PRELAUNCH, /* built, not started (-S) */
    RUN_INMIGRATE, /* built, and waits for the state of another */
    RUN_RUNNING,
    RUN_PAUSED,
    RUN_SUSPENDED,      /* the guest sleeps in S3 until machine_wakeup */
    RUN_SHUTDOWN,       /* the guest powered off and the process stays */
    RUN_INTERNAL_ERROR, /* the hypervisor could not go on */
    RUN_POSTMIGRATE,    /* stopped, and its state is with another; it may go on all the same */
    RUN_IO_ERROR,       /* a disk failed, and the guest waits until somebody saw to that */
};

enum machine_event {
    EVENT_RESET,
    EVENT_SHUTDOWN, /* the guest powered off */
    EVENT_STOP,
    EVENT_RESUME,
    EVENT_SUSPEND, /* the guest went to sleep (S3) */
    EVENT_WAKEUP,  /* and is woken: the processors start at the reset vector, the devices keep their state */
    EVENT_POWER_BUTTON, /* was pressed: QMP system_powerdown */
    EVENT_RTC_ALARM,    /* the clock's alarm raised its interrupt */
    EVENT_CPU_ADDED,    /* config.cpus is one more, where the hypervisor has the processors */
    EVENT_RTC_CHANGE,   /* the guest set its clock: machine.rtc_change */
};
#define EVENT_BIT(event) (1u << (event))

/* Told of the events in its mask, lock held, by whichever thread they come from. */
struct machine_listener {
    uint32_t events; /* EVENT_BIT of each */
    void (*event)(void *opaque, enum machine_event event, bool guest_asked);
    void *opaque;
    struct machine_listener *next;
};

/* -global DRIVER.PROPERTY=VALUE: another initial value for a property of every device of a class. */
struct device_global {
    const char *driver, *property, *value;
    struct device_global *next;
};

/* What the options say of the board; strings are owned by whoever filled it in and outlive the machine. */
struct machine_config {
    const char *name;     /* -name, "" if none */
    uint8_t uuid[16];     /* -uuid, in the order of its text; zeros if not given */
    uint64_t ram_size;    /* bytes */
    uint64_t max_low_ram; /* max-ram-below-4g, 0: the board's choice */
    unsigned cpus, max_cpus;
    struct cpu_model cpu;             /* -cpu */
    struct cpu_topology topology;     /* -smp: packages follow from cpus */
    char boot_order[5], boot_once[5]; /* letters a c d n; "" if not given */
    bool boot_menu;
    bool boot_strict;           /* from nothing but what has a bootindex */
    uint32_t boot_menu_timeout; /* ms, 0: SeaBIOS' own */
    int32_t boot_retry;         /* ms until the BIOS tries again where nothing boots; -1: never */
    bool acpi;
    bool dump_guest_core; /* a core dump of the process has guest RAM and video memory in it */
    unsigned xen_domid;   /* -xen-domid, with the Xen accelerator */
    bool xen_platform;
    bool usb, vmport;
    bool no_defaults;
    const char *kernel, *initrd, *append; /* -kernel and its companions; NULL: not given */
    const char *bios;                     /* -bios: file, NULL: the board's */
    const char *const *firmware;          /* -L directories, then the built-in ones; ends with NULL */
    /* Seconds to add to the host's UTC for the guest's RTC (localtime, or a given base). */
    int64_t rtc_offset;
    bool no_reboot, no_shutdown;   /* -no-reboot, -no-shutdown */
    struct device_global *globals; /* -global, applied to every device of that class */
    bool xen_restrict;             /* -xen-domid-restrict */
    bool incoming;                 /* the guest comes from another process, with its memory */
};

struct machine {
    pthread_mutex_t lock;
    struct machine_config config;
    const struct accel_ops *accel;
    void *accel_data;
    struct loop loop;
    struct clock clock; /* guest time */
    struct bus bus;
    struct ram ram;
    struct region ram_low, ram_high;
    struct irq_lines lines;
    struct bus_node isa;
    struct pci_bus pci;
    struct bus_node *buses;
    struct device *devices;
    struct boot_order boot_order;
    void (*device_deleted)(void *opaque, const struct device *dev); /* set by control: it is about to go */
    void *device_deleted_opaque;
    struct machine_listener *listeners;
    struct vram *vrams;
    struct machine_section *sections; /* what is saved beside the devices: machine/save.h */
    enum run_state state;
    /* Reset and shutdown are done from the loop, not inside a guest's access. */
    struct loop_work control_work;
    bool reset_pending, shutdown_pending, suspend_pending, pending_by_guest;
    int64_t start_wall_ns;     /* host UTC, ns since 1970, at guest time 0: for the RTC */
    struct backends *backends; /* what options made and devices use; NULL until given */
    struct property_source sources[PROP_KINDS];
    /* access.h */
    bool accessing;
    struct unfinished unfinished; /* by the access under way */
    struct unfinished later;      /* by nobody's access: the loop goes on with it */
    struct loop_work later_work;
    uint64_t deletions; /* of devices */
    int64_t rtc_change; /* seconds from what the clock would say by config.rtc_offset to what the guest set */
    int exit_status;
};

/* Prepares an empty machine for the accelerator. guest clock: MANUAL for qtest, else stopped until
 * machine_run. False: *err. */
bool machine_init(struct machine *m, const struct machine_config *config, const struct accel_ops *accel,
                  enum clock_mode mode, struct error *err);
/* Deletes the devices, last created first: before what they use (drives, lines, the console) is closed. */
void machine_free_devices(struct machine *m);
void machine_destroy(struct machine *m); /* devices last created first */

/* Guest execution. Calling them in a state where they change nothing is harmless. */
void machine_run(struct machine *m);
void machine_pause(struct machine *m);
void machine_pause_for_io(struct machine *m); /* RUN_IO_ERROR */
/* The guest cannot go on (hypervisor error): stop, state INTERNAL_ERROR. */
void machine_fail(struct machine *m);

/* Reset or power-off, from a device (by_guest) or a command; done soon, on the machine thread. */
void machine_request_reset(struct machine *m, bool by_guest);
void machine_request_shutdown(struct machine *m, bool by_guest);
/* Is a reset, power-off or suspend asked for and not yet done? */
static inline bool machine_control_pending(const struct machine *m)
{
    return m->reset_pending || m->shutdown_pending || m->suspend_pending;
}
/* Suspend to RAM, asked for by the power management chip; done soon, on the machine thread. */
void machine_request_suspend(struct machine *m);
/* Wakes a suspended guest; false: it does not sleep. */
bool machine_wakeup(struct machine *m);
/* Resets every device at once; machine thread, guest stopped or not started. */
void machine_reset(struct machine *m);

void machine_listen(struct machine *m, struct machine_listener *listener);
void machine_unlisten(struct machine *m, struct machine_listener *listener);
/* For those who cause the last three events; the others are the machine's own. */
void machine_tell(struct machine *m, enum machine_event event, bool guest_asked);
/* Does anybody listen to it? */
bool machine_has_listener(const struct machine *m, enum machine_event event);

/* The interrupt line of a board device: irq_init on the machine's lines. */
void machine_irq(struct machine *m, struct irq *irq, unsigned line);
/* Maps a board device's ports. */
void machine_map_ports(struct machine *m, struct region *region, const char *name,
                       const struct region_ops *ops, void *opaque, uint16_t base, uint32_t count);

/* The guest's wall clock, ns since 1970 UTC (with config.rtc_offset): moves with guest time. */
int64_t machine_wall_ns(const struct machine *m);

const char *run_state_name(enum run_state state); /* as QMP query-status says it */

#endif
