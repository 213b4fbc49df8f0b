/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Xen platform device, 5853:0001: by it a guest with paravirtual drivers takes the emulated disks and
 * cards away, and writes its log (xen/docs/misc/hvm-emulated-unplug.pandoc). Its interrupt is raised by Xen,
 * never here.
 */
#include <ctype.h>
#include <string.h>

#include "base/log.h"
#include "hw/ide/ide.h"
#include "machine/machine.h"

#define FIXED_BASE 0x10 /* ports, wherever the BARs are */
#define FIXED_SIZE 16

#define MAGIC            0x49D2 /* word at 0x10: the protocol is there */
#define PROTOCOL_VERSION 1      /* byte at 0x12 */

#define FLAG_ROM_LOCK 0x01 /* byte at 0x10 */

/* What the guest unplugs by a word written to 0x10. */
#define UNPLUG_DISKS         0x01 /* all IDE and SCSI disks, no CDs */
#define UNPLUG_NICS          0x02
#define UNPLUG_SECONDARY_IDE 0x04 /* disks but the primary master */

enum { LOG_LINE = 200, BAR0_LOG = 8 };

#define XEN_PLATFORM_STATE(S)                                                                                \
    S(BITS, uint8_t, flags, FLAG_ROM_LOCK)                                                                   \
    S(BOOL, disks_gone)                                                                                      \
    S(BOOL, secondary_gone)                                                                                  \
    S(BOOL, nics_gone)

struct xen_platform {
    struct pci_device pci;
    char log[LOG_LINE];
    uint8_t log_length;
    struct region fixed, io, memory;
    uint16_t device_id, class_id; /* properties; class and subclass */
    uint8_t revision;
    STATE_MEMBERS(XEN_PLATFORM_STATE);
};
STATE_TABLE(xen_platform_state, struct xen_platform, XEN_PLATFORM_STATE);

/* ---- the log port ---- */

static void log_flush(struct xen_platform *xp)
{
    if (xp->log_length)
        log_limited("guest: %.*s", xp->log_length, xp->log);
    xp->log_length = 0;
}

/* A byte of the guest's log; what is not printable would confuse the host's terminals. */
static void log_byte(struct xen_platform *xp, uint8_t byte)
{
    if (byte == '\n' || xp->log_length == LOG_LINE)
        log_flush(xp);
    if (byte != '\n')
        xp->log[xp->log_length++] = isprint(byte) || byte == '\t' ? byte : '?';
}

/* ---- unplug ---- */

static bool is_disk(const struct device *dev)
{
    return !strcmp(dev->cls->name, "ide-hd");
}

static void unplug_disks(struct xen_platform *xp, bool keep_first)
{
    for (struct device *dev = xp->pci.dev.machine->devices; dev; dev = dev->next) {
        struct ide_drive *drive = (struct ide_drive *)dev;

        if (!is_disk(dev))
            continue;
        if (!keep_first || drive->unit != 0 || strcmp(dev->bus->name, "ide.0"))
            ide_drive_unplug(drive);
    }
}

static void unplug_nics(struct xen_platform *xp)
{
    struct pci_bus *bus = xp->pci.pci;

    for (unsigned devfn = 0; devfn < 256; devfn++)
        if (bus->functions[devfn] && pci_get16(bus->functions[devfn], PCI_CLASS_DEVICE) == 0x0200)
            pci_remove(bus->functions[devfn]);
}

/* What was unplugged stays so: guests repeat it after a resume. */
static void xen_platform_unplug(struct xen_platform *xp, uint16_t what)
{
    if (what & UNPLUG_DISKS && !xp->disks_gone) {
        xp->disks_gone = true;
        unplug_disks(xp, false);
    } else if (what & UNPLUG_SECONDARY_IDE && !xp->disks_gone && !xp->secondary_gone) {
        xp->secondary_gone = true;
        unplug_disks(xp, true);
    }
    if (what & UNPLUG_NICS && !xp->nics_gone) {
        xp->nics_gone = true;
        unplug_nics(xp);
    }
}

/* ---- the fixed ports: size decides which register is meant ---- */

static void set_flags(struct xen_platform *xp, uint8_t value)
{
    const struct accel_ops *accel = xp->pci.dev.machine->accel;

    xp->flags = value & FLAG_ROM_LOCK;
    if (accel->lock_roms)
        accel->lock_roms(xp->pci.dev.machine, xp->flags & FLAG_ROM_LOCK);
}

static uint64_t xen_platform_fixed_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct xen_platform *xp = opaque;

    if (offset == 0 && size == 2)
        return MAGIC;
    if (offset == 0 && size == 1)
        return xp->flags;
    if (offset == 2 && size == 1)
        return PROTOCOL_VERSION;
    return UINT64_MAX;
}

static void xen_platform_fixed_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct xen_platform *xp = opaque;

    if (offset == 0 && size == 1)
        set_flags(xp, value);
    else if (offset == 0 && size == 2)
        xen_platform_unplug(xp, value);
    else if (offset == 0 && size == 4)
        log_limited("guest: paravirtual drivers, build %u", (unsigned)value);
    else if (offset == 2 && size == 1)
        log_byte(xp, value);
    else if (offset == 2 && size == 2)
        log_limited("guest: paravirtual drivers, product %u", (unsigned)value);
}

static const struct region_ops fixed_ops = {
    .read = xen_platform_fixed_read, .write = xen_platform_fixed_write, .max_size = 4};

/* ---- the BARs ---- */

static uint64_t xen_platform_io_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct xen_platform *xp = opaque;

    return offset == 0 ? xp->flags : UINT64_MAX;
}

static void xen_platform_io_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    if (offset == 0)
        set_flags(opaque, value);
    else if (offset == BAR0_LOG)
        log_byte(opaque, value);
}

static const struct region_ops io_ops = {
    .read = xen_platform_io_read, .write = xen_platform_io_write, .max_size = 1};

/* 16 MiB of addresses where the guest may put frames of Xen's; where it did not, nothing is there. */
static uint64_t xen_platform_memory_read(void *opaque, uint64_t offset, unsigned size)
{
    return 0;
}

static const struct region_ops memory_ops = {.read = xen_platform_memory_read, .max_size = 8};

/* ---- life ---- */

static bool xen_platform_realize(struct device *dev, struct error *err)
{
    struct xen_platform *xp = (struct xen_platform *)dev;

    pci_set16(&xp->pci, PCI_DEVICE_ID, xp->device_id);
    pci_set16(&xp->pci, PCI_CLASS_DEVICE, xp->class_id);
    if (xp->pci.revision_id < 0)
        xp->pci.config[PCI_REVISION_ID] = xp->revision;
    machine_map_ports(dev->machine, &xp->fixed, "xen-platform", &fixed_ops, xp, FIXED_BASE, FIXED_SIZE);
    xp->io = (struct region){.name = "xen-platform-io", .size = 256, .ops = &io_ops, .opaque = xp};
    xp->memory =
        (struct region){.name = "xen-platform-memory", .size = 16 << 20, .ops = &memory_ops, .opaque = xp};
    pci_add_bar(&xp->pci, 0, PCI_BAR_IO, &xp->io);
    pci_add_bar(&xp->pci, 1, PCI_BAR_MEM_PREFETCH, &xp->memory);
    return true;
}

static void xen_platform_unrealize(struct device *dev)
{
    bus_unmap(&dev->machine->bus, &((struct xen_platform *)dev)->fixed);
}

static void xen_platform_reset(struct device *dev)
{
    struct xen_platform *xp = (struct xen_platform *)dev;

    set_flags(xp, 0);
    xp->log_length = 0;
}

static void xen_platform_loaded(struct device *dev)
{
    struct xen_platform *xp = (struct xen_platform *)dev;

    set_flags(xp, xp->flags);
    if (xp->disks_gone || xp->secondary_gone)
        unplug_disks(xp, !xp->disks_gone);
    if (xp->nics_gone)
        unplug_nics(xp);
}

static const struct property xen_platform_properties[] = {
    PROPERTY(PROP_UINT16, struct xen_platform, device_id, "device-id", .initial = "0x0001"),
    PROPERTY(PROP_UINT8, struct xen_platform, revision, "revision", .initial = "1"),
    PROPERTY(PROP_UINT16, struct xen_platform, class_id, "class-id", .initial = "0xff80"),
    {.name = NULL},
};

static const struct pci_info info = {.vendor = 0x5853,
                                     .device = 0x0001,
                                     .class_code = 0xFF8000,
                                     .revision = 1,
                                     .interrupt_pin = 1,
                                     .subsystem_vendor = 0x5853,
                                     .subsystem_device = 0x0001};

static const struct device_class xen_platform_class = {
    .name = "xen-platform",
    .description = "Xen platform device",
    .bus = &pci_bus_ops,
    .size = sizeof(struct xen_platform),
    .bus_info = &info,
    .properties = xen_platform_properties,
    .state = &xen_platform_state,
    .realize = xen_platform_realize,
    .unrealize = xen_platform_unrealize,
    .reset = xen_platform_reset,
    .loaded = xen_platform_loaded,
};
DEVICE_CLASS(xen_platform_class);
