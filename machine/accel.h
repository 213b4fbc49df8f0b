/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a hypervisor port (ioreq/) does for the machine. The machine calls these under the machine lock; a
 * NULL function is something that port need not do. Requests go the other way: the port calls bus_read and
 * friends under the lock.
 */
#ifndef MACHINE_ACCEL_H
#define MACHINE_ACCEL_H

#include "base/error.h"
#include "machine/bus.h"

struct machine;
struct vram;
struct device;

/* How closely the guest's direct writes to a video memory are followed. */
enum vram_watch {
    VRAM_UNWATCHED, /* no viewer: no cost */
    VRAM_ARMED,     /* quiet: the next write is to be told at once, by vram_touched */
    VRAM_LOGGED,    /* busy: writes are logged, read with vram_sync */
};

/* Of a processor, as calls by a port use them (VMware's). */
struct guest_registers {
    uint64_t rax, rbx, rcx, rdx;
};

enum stop_reason { STOP_RESET, STOP_POWEROFF };

struct accel_ops {
    const char *name; /* kvm, qtest, xen */
    /* The hypervisor brings firmware, memory map and clock (Xen's hvmloader): the board leaves them out. */
    bool own_platform;
    /* The test port: the host bridge keeps the low bits of CF8, as its clients mean them. */
    bool config_low_bits;

    /* Guest RAM of the layout in machine->ram becomes reachable: host memory (NULL: ram_alloc) or ram->ops.
     */
    bool (*alloc_ram)(struct machine *m, struct error *err);
    /* Host memory for a video memory (NULL: plain memory). */
    bool (*alloc_vram)(struct machine *m, struct vram *vram, struct error *err);
    void (*free_vram)(struct machine *m, struct vram *vram);

    /* The board is complete: from here on follow the bus; called once, the bus's listener is yours. */
    bool (*start)(struct machine *m, struct error *err);
    void (*stop)(struct machine *m);    /* the end of the process: threads joined, descriptors closed */
    void (*destroy)(struct machine *m); /* last, after the devices: what alloc_ram and alloc_vram made */
    /* -xen-domid-restrict: gives up all rights over anything but this guest; after everything is open. */
    bool (*restrict_self)(struct machine *m, struct error *err);
    /* Firmware's ROMs in 0xC0000-0xFFFFF become read-only or writable again (xen-platform). */
    void (*lock_roms)(struct machine *m, bool locked);

    /* Guest execution: machine_run and machine_pause, and the processors' part of a reset. */
    void (*resume)(struct machine *m);
    void (*pause)(struct machine *m);
    void (*reset_cpus)(struct machine *m);

    /*
     * The registers of the processor whose port access is being answered; what a read of the port returns
     * goes to RAX after it. NULL: out of reach. False: not now.
     */
    bool (*get_registers)(struct machine *m, struct guest_registers *regs);
    void (*set_registers)(struct machine *m, const struct guest_registers *regs);

    /*
     * A device asked for a reset or power-off. Xen: tells the hypervisor before the request is answered and
     * returns true; then the machine neither resets nor ends by itself.
     */
    bool (*guest_stop)(struct machine *m, enum stop_reason reason);

    /* Interrupts: a controller input changed (edges only). */
    void (*set_line)(struct machine *m, unsigned line, bool level);
    /* Xen routes PCI interrupts itself: the pin of a slot, and the PIIX3's PIRQ routing (irq 0: off). NULL
     * elsewhere. */
    void (*set_intx)(struct machine *m, unsigned slot, unsigned pin, bool level);
    void (*set_link)(struct machine *m, unsigned link, unsigned irq);

    /* While it is on, the hypervisor is told of each page of the guest's that we write (for a toolstack that
     * carries memory). */
    void (*log_writes)(struct machine *m, bool on);
    /* We wrote a part of video memory ourselves; or NULL. */
    void (*wrote_vram)(struct machine *m, struct vram *vram, uint64_t offset, uint64_t length);

    void (*watch_vram)(struct machine *m, struct vram *vram, enum vram_watch watch);
    /* Puts the pages that the guest wrote since the last call into vram->dirty (vram_mark). */
    void (*sync_vram)(struct machine *m, struct vram *vram);
    /* REGION_COALESCE regions: from now on writes may be delivered late (on), or at once again (off). */
    void (*coalesce)(struct machine *m, struct region *region, bool on);
    /* Delivers what is delayed now. */
    void (*drain)(struct machine *m);
};

#endif
