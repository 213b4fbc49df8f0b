/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82441FX host bridge (data sheet 290549): configuration mechanism 1 at 0xCF8/0xCFC and the
 * programmable attribute map (PAM) that decides whether 0xC0000-0xFFFFF shows RAM or what lies on PCI and
 * ISA, the BIOS among it.
 */
#include "hw/pc/i440fx.h"

#include <string.h>

#include "machine/machine.h"

#define PAM0  0x59 /* bits 5:4: 0xF0000-0xFFFFF; PAM1..PAM6: two 16 KiB segments each from 0xC0000 */
#define SMRAM 0x72

#define PAM_READ  1 /* reads go to RAM */
#define PAM_WRITE 2 /* writes go to RAM */

enum { SEGMENTS = 13 }; /* 12 of 16 KiB, then the 64 KiB of the BIOS */

#define CONFIG_ENABLE 0x80000000u

/* One piece of 0xC0000-0xFFFFF and what is laid over its RAM. */
struct segment {
    struct i440fx *host;
    uint32_t base, size;
    uint8_t *rom; /* what is there on the ISA side, or NULL */
    uint8_t mode; /* PAM_READ | PAM_WRITE as applied */
    struct region overlay;
};

#define I440FX_STATE(S) S(UINT, uint32_t, config_address, ANY) /* 0xCF8 */

struct i440fx {
    struct pci_device pci;
    struct segment segments[SEGMENTS];
    struct region address_port, data_port;
    bool config_low_bits;                /* property */
    const struct region_ops *reset_port; /* the byte at 0xCF9, on the PCI side */
    void *reset_port_opaque;
    STATE_MEMBERS(I440FX_STATE);
};
STATE_TABLE(i440fx_state, struct i440fx, I440FX_STATE);

/* ---- configuration mechanism 1 ---- */

static uint64_t i440fx_address_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct i440fx *host = opaque;

    if (offset == 1 && size == 1 && host->reset_port)
        return host->reset_port->read(host->reset_port_opaque, 0, 1);
    return host->config_address >> 8 * offset;
}

static void i440fx_address_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct i440fx *host = opaque;

    /* Only a whole doubleword is the address register; narrower accesses pass on to PCI. */
    if (offset == 0 && size == 4)
        host->config_address = value & (host->config_low_bits ? 0x80FFFFFF : 0x80FFFFFC);
    else if (offset == 1 && size == 1 && host->reset_port)
        host->reset_port->write(host->reset_port_opaque, 0, 1, value);
}

static const struct region_ops address_ops = {
    .read = i440fx_address_read, .write = i440fx_address_write, .max_size = 4};

/* The register that an access of the data port means; with config_low_bits those of the address count as
 * well. */
static unsigned config_register(const struct i440fx *host, uint64_t offset)
{
    return (host->config_address & 0xFF) | offset;
}

static uint64_t i440fx_data_read(void *opaque, uint64_t offset, unsigned size)
{
    struct i440fx *host = opaque;
    uint32_t address = host->config_address;

    if (!(address & CONFIG_ENABLE) || address & 0xFF0000)
        return UINT32_MAX;
    return pci_config_read(host->pci.pci, address >> 8 & 0xFF, config_register(host, offset), size);
}

static void i440fx_data_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct i440fx *host = opaque;
    uint32_t address = host->config_address;

    if (address & CONFIG_ENABLE && !(address & 0xFF0000))
        pci_config_write(host->pci.pci, address >> 8 & 0xFF, config_register(host, offset), size, value);
}

static const struct region_ops data_ops = {
    .read = i440fx_data_read, .write = i440fx_data_write, .max_size = 4};

/* ---- PAM ---- */

/* Reads of a segment that shows the ISA side without a ROM there: nobody answers. */
static uint64_t i440fx_overlay_read(void *opaque, uint64_t offset, unsigned size)
{
    return UINT64_MAX;
}

static void i440fx_overlay_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    const struct segment *segment = opaque;

    if (segment->mode & PAM_WRITE)
        ram_write(&segment->host->pci.dev.machine->ram, segment->base + offset, &value, size);
}

static const struct region_ops overlay_ops = {
    .read = i440fx_overlay_read, .write = i440fx_overlay_write, .max_size = 8};

static void apply_segment(struct segment *segment, uint8_t mode)
{
    struct machine *m = segment->host->pci.dev.machine;

    if (segment->overlay.mapped && segment->mode == mode)
        return;
    segment->mode = mode;
    bus_unmap(&m->bus, &segment->overlay);
    if (mode == (PAM_READ | PAM_WRITE))
        return;
    segment->overlay = (struct region){.name = "pam",
                                       .size = segment->size,
                                       .ops = &overlay_ops,
                                       .opaque = segment,
                                       .flags = REGION_READONLY,
                                       .priority = PRIORITY_ROM,
                                       .host = mode & PAM_READ ? m->ram.host + segment->base : segment->rom};
    if (!segment->overlay.host)
        segment->overlay.flags = 0;
    bus_map(&m->bus, SPACE_MEM, &segment->overlay, segment->base);
}

static void apply_pam(struct i440fx *host)
{
    struct machine *m = host->pci.dev.machine;

    if (!m->ram.host || m->ram.low_size < 0x100000)
        return; /* Xen keeps plain RAM there, whatever the registers say */
    bus_begin(&m->bus);
    for (unsigned i = 0; i < SEGMENTS; i++) {
        uint8_t reg =
            i == SEGMENTS - 1 ? host->pci.config[PAM0] >> 4 : host->pci.config[PAM0 + 1 + i / 2] >> i % 2 * 4;

        apply_segment(&host->segments[i], reg & (PAM_READ | PAM_WRITE));
    }
    bus_commit(&m->bus);
}

static void i440fx_config_written(struct pci_device *pci_dev, uint8_t offset, unsigned size)
{
    if (offset + size > PAM0 && offset <= PAM0 + 6)
        apply_pam((struct i440fx *)pci_dev);
}

void i440fx_set_reset_port(struct device *dev, const struct region_ops *ops, void *opaque)
{
    struct i440fx *host = (struct i440fx *)dev;

    host->reset_port = ops;
    host->reset_port_opaque = opaque;
}

void i440fx_set_bios(struct device *dev, uint8_t *bios, uint64_t size)
{
    struct i440fx *host = (struct i440fx *)dev;

    for (unsigned i = 0; i < SEGMENTS; i++) {
        uint64_t from_top = 0x100000 - host->segments[i].base;

        if (from_top <= size && from_top <= 0x20000)
            host->segments[i].rom = bios + size - from_top;
    }
}

/* ---- life ---- */

static bool i440fx_realize(struct device *dev, struct error *err)
{
    struct i440fx *host = (struct i440fx *)dev;

    host->pci.pci->host_bridge = dev;
    host->pci.config_written = i440fx_config_written;
    memset(host->pci.writable + PAM0, 0x33, 7);
    host->pci.writable[PAM0] = 0x30;
    host->pci.writable[0x50] = host->pci.writable[0x51] = 0xFF; /* NBXCFG: read back by firmware, no effect */
    host->pci.writable[0x57] = 0xFF;                            /* DRAMC */
    memset(host->pci.writable + 0x60, 0xFF, 8);                 /* DRB0-7: row boundaries, as the BIOS says */
    host->pci.writable[SMRAM] = 0x5F;
    for (unsigned i = 0; i < SEGMENTS; i++) {
        struct segment *segment = &host->segments[i];

        segment->host = host;
        segment->base = i == SEGMENTS - 1 ? 0xF0000 : 0xC0000 + i * 0x4000;
        segment->size = i == SEGMENTS - 1 ? 0x10000 : 0x4000;
    }
    machine_map_ports(dev->machine, &host->address_port, "pci-config-address", &address_ops, host, 0xCF8, 4);
    machine_map_ports(dev->machine, &host->data_port, "pci-config-data", &data_ops, host, 0xCFC, 4);
    return true;
}

static void i440fx_unrealize(struct device *dev)
{
    struct i440fx *host = (struct i440fx *)dev;

    host->pci.pci->host_bridge = NULL;
    for (unsigned i = 0; i < SEGMENTS; i++)
        bus_unmap(&dev->machine->bus, &host->segments[i].overlay);
    bus_unmap(&dev->machine->bus, &host->address_port);
    bus_unmap(&dev->machine->bus, &host->data_port);
}

static void i440fx_reset(struct device *dev)
{
    struct i440fx *host = (struct i440fx *)dev;

    host->config_address = 0;
    pci_set16(&host->pci, PCI_COMMAND,
              PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER); /* bits that the bridge hardwires */
    host->pci.writable[PCI_COMMAND] = 0x40;
    pci_set16(&host->pci, PCI_STATUS, 0x0280);
    host->pci.config[SMRAM] = 0x02;
    apply_pam(host);
}

static void i440fx_loaded(struct device *dev)
{
    apply_pam((struct i440fx *)dev);
}

static const struct property properties[] = {
    PROPERTY(PROP_BOOL, struct i440fx, config_low_bits, "config-low-bits",
             .help = "0xCF8 keeps its two low bits and 0xCFC adds them; on only on the test port"),
    {.name = NULL},
};

static const struct pci_info info = {
    .vendor = 0x8086, .device = 0x1237, .class_code = 0x060000, .revision = 2};

static const struct device_class i440fx_class = {
    .name = "i440fx",
    .alias = "i440FX",
    .description = "Intel 440FX host bridge",
    .bus = &pci_bus_ops,
    .internal = true,
    .size = sizeof(struct i440fx),
    .bus_info = &info,
    .properties = properties,
    .state = &i440fx_state,
    .realize = i440fx_realize,
    .unrealize = i440fx_unrealize,
    .reset = i440fx_reset,
    .loaded = i440fx_loaded,
};
DEVICE_CLASS(i440fx_class);
