/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A device without function by which Windows finds a vendor's paravirtual drivers: libxl's
 * vendor_device="xenserver" makes one with device-id=0xc000 (xl.cfg(5); the numbers are reserved in Xen's
 * docs, pci-device-reservations).
 */
#include "machine/device.h"
#include "machine/pci.h"

enum { MIN_SIZE = 4096, MAX_SIZE = 256 << 20 };

struct xen_pvdevice {
    struct pci_device pci;
    uint16_t vendor_id, device_id;
    uint8_t revision;
    uint32_t size;
    struct region memory; /* for the driver's use of its addresses: nothing is there */
};

static const struct region_ops memory_ops = {.max_size = 8};

static bool xen_pvdevice_realize(struct device *dev, struct error *err)
{
    struct xen_pvdevice *pv = (struct xen_pvdevice *)dev;

    if (pv->device_id == 0xFFFF)
        return error_set(err, "xen-pvdevice: device-id= is missing");
    if (pv->size < MIN_SIZE || pv->size > MAX_SIZE || pv->size & (pv->size - 1))
        return error_set(err, "xen-pvdevice: size takes a power of two from 4096 to 256 MiB, not %u",
                         pv->size);
    pci_set16(&pv->pci, PCI_VENDOR_ID, pv->vendor_id);
    pci_set16(&pv->pci, PCI_DEVICE_ID, pv->device_id);
    pci_set16(&pv->pci, PCI_SUBSYSTEM_VENDOR_ID, pv->vendor_id);
    pci_set16(&pv->pci, PCI_SUBSYSTEM_ID, pv->device_id);
    pv->pci.config[PCI_REVISION_ID] = pv->revision;
    pv->memory = (struct region){.name = "xen-pvdevice", .size = pv->size, .ops = &memory_ops, .opaque = pv};
    pci_add_bar(&pv->pci, 1, PCI_BAR_MEM_PREFETCH, &pv->memory);
    return true;
}

/* The configuration space, which the bus resets, is all there is. */
static void xen_pvdevice_reset(struct device *dev)
{
}

static const struct property properties[] = {
    PROPERTY(PROP_UINT16, struct xen_pvdevice, vendor_id, "vendor-id", .initial = "0x5853"),
    PROPERTY(PROP_UINT16, struct xen_pvdevice, device_id, "device-id", .initial = "0xffff"),
    PROPERTY(PROP_UINT8, struct xen_pvdevice, revision, "revision", .initial = "1"),
    PROPERTY(PROP_UINT32, struct xen_pvdevice, size, "size", .initial = "0x400000", .help = "of its memory"),
    {.name = NULL}};

static const struct pci_info info = {.vendor = 0x5853, .device = 0xFFFF, .class_code = 0xFF8000};

static const struct device_class xen_pvdevice_class = {
    .name = "xen-pvdevice",
    .description = "Xen: finds a vendor's drivers in Windows (vendor_device=)",
    .bus = &pci_bus_ops,
    .size = sizeof(struct xen_pvdevice),
    .bus_info = &info,
    .properties = properties,
    .state = &state_none,
    .realize = xen_pvdevice_realize,
    .reset = xen_pvdevice_reset,
};
DEVICE_CLASS(xen_pvdevice_class);
