/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/pci.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/firmware.h"
#include "machine/machine.h"

#define BAR_IO_FLAG       0x1u
#define BAR_PREFETCH_FLAG 0x8u
#define ROM_ENABLE        0x1u
#define ROM_MAX           (16u << 20)

static const struct property pci_properties[] = {
    PROPERTY(PROP_STRING, struct pci_device, addr, "addr", .help = "slot[.function], hexadecimal"),
    PROPERTY(PROP_STRING, struct pci_device, romfile, "romfile", .help = "option ROM file, empty for none"),
    PROPERTY(PROP_BOOL, struct pci_device, rombar, "rombar", .initial = "on",
             .help = "show the option ROM in a BAR"),
    PROPERTY(PROP_BOOL, struct pci_device, multifunction, "multifunction",
             .help = "the slot has several functions"),
    PROPERTY(PROP_INT32, struct pci_device, revision_id, "revision_id", .initial = "-1",
             .help = "revision that guests see; -1: the chip's"),
    PROPERTY(PROP_INT32, struct pci_device, subvendor_id, "subvendor_id", .initial = "-1",
             .help = "subsystem vendor likewise"),
    PROPERTY(PROP_INT32, struct pci_device, subsystem_id, "subsystem_id", .initial = "-1",
             .help = "subsystem likewise"),
    {.name = NULL},
};

static unsigned bar_offset(unsigned bar)
{
    return bar == PCI_ROM_BAR ? PCI_ROM_ADDRESS : PCI_BAR0 + 4 * bar;
}

/* Where the guest put a BAR; false: nowhere (decoding off, not placed, or left at the all ones of sizing). */
static bool bar_address(const struct pci_device *pci_dev, unsigned bar, uint64_t *address)
{
    const struct pci_bar *b = &pci_dev->bars[bar];
    uint32_t value = pci_get32(pci_dev, bar_offset(bar));
    uint16_t command = pci_get16(pci_dev, PCI_COMMAND);
    uint64_t limit = 0xFFFFFFFFull;

    if (!pci_is_on(pci_dev))
        return false;
    if (b->kind == PCI_BAR_IO) {
        if (!(command & PCI_COMMAND_IO))
            return false;
        limit = 0x10000;
    } else if (!(command & PCI_COMMAND_MEMORY) || (b->kind == PCI_BAR_ROM && !(value & ROM_ENABLE))) {
        return false;
    }
    *address = value & ~(uint32_t)(b->region->size - 1);
    return *address != 0 && *address + b->region->size <= limit;
}

static void update_bars(struct pci_device *pci_dev)
{
    struct bus *bus = &pci_dev->dev.machine->bus;
    uint64_t address;

    bus_begin(bus);
    for (unsigned bar = 0; bar < PCI_BARS; bar++) {
        struct pci_bar *b = &pci_dev->bars[bar];

        if (b->kind == PCI_BAR_NONE)
            continue;
        if (bar_address(pci_dev, bar, &address))
            bus_map(bus, b->kind == PCI_BAR_IO ? SPACE_PORT : SPACE_MEM, b->region, address);
        else
            bus_unmap(bus, b->region);
    }
    bus_commit(bus);
}

void pci_add_bar(struct pci_device *pci_dev, unsigned bar, enum pci_bar_kind kind, struct region *region)
{
    unsigned offset = bar_offset(bar);
    uint32_t mask = ~(uint32_t)(region->size - 1);

    pci_dev->bars[bar] = (struct pci_bar){kind, region};
    region->priority = PRIORITY_BAR;
    if (kind == PCI_BAR_ROM)
        mask |= ROM_ENABLE;
    else
        pci_set32(pci_dev, offset,
                  kind == PCI_BAR_IO             ? BAR_IO_FLAG
                  : kind == PCI_BAR_MEM_PREFETCH ? BAR_PREFETCH_FLAG
                                                 : 0);
    for (int i = 0; i < 4; i++)
        pci_dev->writable[offset + i] = mask >> 8 * i;
}

uint8_t *pci_add_capability(struct pci_device *pci_dev, uint8_t id, uint8_t offset, uint8_t size)
{
    uint8_t *cap = pci_dev->config + offset;

    memset(cap, 0, size);
    cap[0] = id;
    cap[1] = pci_dev->config[PCI_CAPABILITY_LIST];
    pci_dev->config[PCI_CAPABILITY_LIST] = offset;
    pci_set16(pci_dev, PCI_STATUS, pci_get16(pci_dev, PCI_STATUS) | PCI_STATUS_CAP_LIST);
    return cap;
}

/* ---- interrupts ---- */

static void update_intx(struct pci_device *pci_dev)
{
    bool disabled = pci_get16(pci_dev, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE;
    bool level = pci_dev->intx && !disabled && pci_is_on(pci_dev);
    unsigned slot = pci_dev->devfn >> 3, pin = pci_dev->config[PCI_INTERRUPT_PIN] - 1;
    uint8_t *count;

    if (pci_dev->intx)
        pci_dev->config[PCI_STATUS] |= PCI_STATUS_INTX;
    else
        pci_dev->config[PCI_STATUS] &= ~PCI_STATUS_INTX;
    if (level == pci_dev->intx_seen || pin > 3)
        return;
    pci_dev->intx_seen = level;
    count = &pci_dev->pci->intx_count[slot][pin];
    if (level ? (*count)++ == 0 : --*count == 0)
        if (pci_dev->pci->intx_changed)
            pci_dev->pci->intx_changed(pci_dev->pci->opaque, slot, pin, level);
}

void pci_set_intx(struct pci_device *pci_dev, bool level)
{
    if (pci_dev->intx == level)
        return;
    pci_dev->intx = level;
    update_intx(pci_dev);
}

/* ---- power management ---- */

static void set_pm_masks(struct pci_device *pci_dev, uint8_t offset, bool shown)
{
    pci_dev->writable[offset + PCI_PM_CSR] = shown ? PCI_PM_CSR_STATE : 0;
    pci_dev->writable[offset + PCI_PM_CSR + 1] = shown ? PCI_PM_CSR_PME_EN >> 8 : 0;
    pci_dev->clearable[offset + PCI_PM_CSR + 1] = shown ? PCI_PM_CSR_PME_STATUS >> 8 : 0;
    pci_dev->pm_masked = shown ? offset : 0;
}

void pci_set_power_management(struct pci_device *pci_dev, uint8_t offset, uint16_t pmc)
{
    uint8_t *cap = pci_dev->config + offset;

    if (!pmc == !pci_dev->pm)
        return;
    pci_dev->pm = pmc ? offset : 0;
    set_pm_masks(pci_dev, offset, pmc);
    if (pmc) {
        pci_add_capability(pci_dev, PCI_CAP_PM, offset, 8);
        pci_set16(pci_dev, offset + PCI_PM_PMC, pmc);
        return;
    }
    pci_dev->config[PCI_CAPABILITY_LIST] = cap[1];
    if (!cap[1])
        pci_dev->config[PCI_STATUS] &= ~PCI_STATUS_CAP_LIST;
    memset(cap, 0, 8);
}

uint16_t pci_pm_control(const struct pci_device *pci_dev)
{
    return pci_dev->pm ? pci_get16(pci_dev, pci_dev->pm + PCI_PM_CSR) : 0;
}

static uint16_t pm_abilities(const struct pci_device *pci_dev)
{
    return pci_dev->pm ? pci_get16(pci_dev, pci_dev->pm + PCI_PM_PMC) : 0;
}

void pci_write_pme(struct pci_device *pci_dev, bool enable, bool clear)
{
    uint16_t control = pci_pm_control(pci_dev) & ~PCI_PM_CSR_PME_EN;

    if (!pci_dev->pm)
        return;
    if (clear)
        control &= ~PCI_PM_CSR_PME_STATUS;
    pci_set16(pci_dev, pci_dev->pm + PCI_PM_CSR, control | (enable ? PCI_PM_CSR_PME_EN : 0));
}

void pci_raise_pme(struct pci_device *pci_dev)
{
    if (!(pm_abilities(pci_dev) & PCI_PM_PMC_PME_D0 << pci_power_state(pci_dev)))
        return;
    pci_set16(pci_dev, pci_dev->pm + PCI_PM_CSR, pci_pm_control(pci_dev) | PCI_PM_CSR_PME_STATUS);
    if (pci_pm_control(pci_dev) & PCI_PM_CSR_PME_EN)
        machine_wakeup(pci_dev->dev.machine);
}

/* What RST# does, or leaving D3hot: the function is as at power on, but for its PME bits where they are kept.
 */
static void reset_function(struct pci_device *pci_dev, bool keep_pme)
{
    uint16_t pme = keep_pme ? pci_pm_control(pci_dev) & (PCI_PM_CSR_PME_EN | PCI_PM_CSR_PME_STATUS) : 0;

    for (unsigned i = 0; i < 256; i++)
        pci_dev->config[i] &= ~(pci_dev->writable[i] | pci_dev->clearable[i]);
    if (pme)
        pci_set16(pci_dev, pci_dev->pm + PCI_PM_CSR, pme);
    pci_dev->intx = false;
    update_intx(pci_dev);
    update_bars(pci_dev);
    pci_dev->dev.cls->reset(&pci_dev->dev);
}

/* PowerState was written; a state that is not supported is not taken. */
static void power_written(struct pci_device *pci_dev, unsigned before)
{
    static const uint16_t needed[4] = {[1] = PCI_PM_PMC_D1, [2] = PCI_PM_PMC_D2};
    unsigned state = pci_power_state(pci_dev);

    if (needed[state] & ~pm_abilities(pci_dev)) {
        pci_dev->config[pci_dev->pm + PCI_PM_CSR] ^= state ^ before;
        return;
    }
    if (state == before)
        return;
    if (before == 3 && state == 0) {
        reset_function(pci_dev, true);
    } else {
        update_bars(pci_dev);
        update_intx(pci_dev);
    }
    if (pci_dev->power_changed)
        pci_dev->power_changed(pci_dev);
}

/* ---- DMA ---- */

static bool may_master(const struct pci_device *pci_dev)
{
    return pci_is_on(pci_dev) && pci_dev->config[PCI_COMMAND] & PCI_COMMAND_MASTER;
}

bool pci_dma_read(struct pci_device *pci_dev, uint64_t addr, void *data, uint64_t length)
{
    return may_master(pci_dev) && ram_read(&pci_dev->dev.machine->ram, addr, data, length);
}

bool pci_dma_write(struct pci_device *pci_dev, uint64_t addr, const void *data, uint64_t length)
{
    return may_master(pci_dev) && ram_write(&pci_dev->dev.machine->ram, addr, data, length);
}

/* ---- configuration space ---- */

uint32_t pci_config_read(struct pci_bus *bus, unsigned devfn, unsigned offset, unsigned size)
{
    const struct pci_device *pci_dev = bus->functions[devfn & 0xFF];
    uint32_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        uint32_t byte = pci_dev && !pci_dev->removed && offset + i < 256 ? pci_dev->config[offset + i] : 0xFF;

        value |= byte << 8 * i;
    }
    return value;
}

/* Does a write of [offset, offset + size) touch [from, to]? */
static bool touches(unsigned offset, unsigned size, unsigned from, unsigned to)
{
    return offset <= to && offset + size > from;
}

void pci_config_write(struct pci_bus *bus, unsigned devfn, unsigned offset, unsigned size, uint32_t value)
{
    struct pci_device *pci_dev = bus->functions[devfn & 0xFF];
    unsigned power;

    if (!pci_dev || pci_dev->removed || offset > 255)
        return;
    power = pci_power_state(pci_dev);
    if (size > 256 - offset)
        size = 256 - offset;
    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = value >> 8 * i, *reg = &pci_dev->config[offset + i];
        uint8_t writable = pci_dev->writable[offset + i];

        *reg = ((*reg & ~writable) | (byte & writable)) & ~(byte & pci_dev->clearable[offset + i]);
    }
    if (touches(offset, size, PCI_COMMAND, PCI_COMMAND + 1) ||
        touches(offset, size, PCI_BAR0, PCI_BAR0 + 23) ||
        touches(offset, size, PCI_ROM_ADDRESS, PCI_ROM_ADDRESS + 3))
        update_bars(pci_dev);
    if (touches(offset, size, PCI_COMMAND, PCI_COMMAND + 1))
        update_intx(pci_dev);
    if (pci_dev->pm && touches(offset, size, pci_dev->pm + PCI_PM_CSR, pci_dev->pm + PCI_PM_CSR))
        power_written(pci_dev, power);
    if (pci_dev->config_written)
        pci_dev->config_written(pci_dev, offset, size);
}

/* ---- life ---- */

static bool parse_addr(const char *text, unsigned *devfn)
{
    unsigned long slot, function = 0;
    char *end;

    slot = strtoul(text, &end, 16);
    if (end == text)
        return false;
    if (*end == '.')
        function = strtoul(end + 1, &end, 16);
    *devfn = PCI_DEVFN(slot, function);
    return !*end && slot < 32 && function < 8;
}

static bool choose_devfn(struct pci_device *pci_dev, struct error *err)
{
    const char *name = pci_dev->dev.cls->name;
    unsigned devfn;

    if (pci_dev->addr) {
        if (!parse_addr(pci_dev->addr, &devfn))
            return error_set(err, "device %s: addr=%s is not slot[.function], hexadecimal, up to 1f.7", name,
                             pci_dev->addr);
        if (pci_dev->pci->functions[devfn])
            return error_set(err, "device %s: addr=%s is taken by %s", name, pci_dev->addr,
                             pci_dev->pci->functions[devfn]->dev.cls->name);
    } else {
        devfn = PCI_DEVFN(pci_dev->pci->first_slot, 0);
        while (devfn < 256 && pci_dev->pci->functions[devfn])
            devfn += 8;
        if (devfn >= 256)
            return error_set(err, "device %s: no PCI slot is free", name);
    }
    pci_dev->devfn = devfn;
    return true;
}

/* What the properties say of the identity goes before the class's word. */
static bool set_identity(struct pci_device *pci_dev, struct error *err)
{
    const struct {
        const char *name;
        int32_t value, max;
        uint8_t offset, size;
    } ids[] = {
        {"revision_id", pci_dev->revision_id, UINT8_MAX, PCI_REVISION_ID, 1},
        {"subvendor_id", pci_dev->subvendor_id, UINT16_MAX, PCI_SUBSYSTEM_VENDOR_ID, 2},
        {"subsystem_id", pci_dev->subsystem_id, UINT16_MAX, PCI_SUBSYSTEM_ID, 2},
    };

    for (size_t i = 0; i < COUNT(ids); i++) {
        if (ids[i].value > ids[i].max)
            return error_set(err, "device %s: property %s takes a number up to 0x%x", pci_dev->dev.cls->name,
                             ids[i].name, ids[i].max);
        for (unsigned byte = 0; ids[i].value >= 0 && byte < ids[i].size; byte++)
            pci_dev->config[ids[i].offset + byte] = ids[i].value >> 8 * byte;
    }
    return true;
}

static void init_header(struct pci_device *pci_dev, const struct pci_info *info)
{
    bool own_subsystem = info->subsystem_vendor || info->subsystem_device;

    pci_set16(pci_dev, PCI_VENDOR_ID, info->vendor);
    pci_set16(pci_dev, PCI_DEVICE_ID, info->device);
    pci_set32(pci_dev, PCI_REVISION_ID, info->class_code << 8 | info->revision);
    pci_set16(pci_dev, PCI_SUBSYSTEM_VENDOR_ID, own_subsystem ? info->subsystem_vendor : 0x1AF4);
    pci_set16(pci_dev, PCI_SUBSYSTEM_ID, own_subsystem ? info->subsystem_device : 0x1100);
    pci_dev->config[PCI_INTERRUPT_PIN] = info->interrupt_pin;
    /* I/O, memory, master, SERR, INTx disable; then status bits cleared by writing ones */
    pci_dev->writable[PCI_COMMAND] = 0x47;
    pci_dev->writable[PCI_COMMAND + 1] = 0x05;
    pci_dev->clearable[PCI_STATUS + 1] = 0xF9;
    pci_dev->writable[0x0C] = pci_dev->writable[0x0D] = 0xFF; /* cache line size, latency timer */
    pci_dev->writable[PCI_INTERRUPT_LINE] = 0xFF;
    if (pci_dev->multifunction)
        pci_dev->config[PCI_HEADER_TYPE] |= 0x80;
}

/* The option ROM in its BAR: a power of two that holds the file. */
static bool load_rom(struct pci_device *pci_dev, const char *file, struct error *err)
{
    struct machine *m = pci_dev->dev.machine;
    size_t size, bar_size = 4096; /* whole pages: the guest reads it without exits */
    char *path = firmware_find(m, file, err);
    uint8_t *rom = path ? firmware_load(path, ROM_MAX, &size, err) : NULL;

    free(path);
    if (!rom)
        return error_prefix(err, "device %s: option ROM", pci_dev->dev.cls->name);
    while (bar_size < size)
        bar_size *= 2;
    pci_dev->rom = aligned_alloc(4096, bar_size);
    if (!pci_dev->rom) {
        free(rom);
        return error_set(err, "device %s: out of memory", pci_dev->dev.cls->name);
    }
    memcpy(pci_dev->rom, rom, size);
    memset(pci_dev->rom + size, 0xFF, bar_size - size);
    free(rom);
    pci_dev->rom_region =
        (struct region){.name = "pci-rom", .size = bar_size, .host = pci_dev->rom, .flags = REGION_READONLY};
    pci_add_bar(pci_dev, PCI_ROM_BAR, PCI_BAR_ROM, &pci_dev->rom_region);
    return true;
}

static const char *rom_file(const struct pci_device *pci_dev)
{
    const char *file = pci_dev->romfile ? pci_dev->romfile : pci_info_of(pci_dev->dev.cls)->rom;

    return pci_dev->rombar && file && *file ? file : NULL;
}

/* Functions beyond 0 show only if function 0 says that there are several. */
static void mark_multifunction(struct pci_bus *bus, unsigned devfn)
{
    struct pci_device *first = bus->functions[devfn & ~7u];

    if (!first)
        return;
    for (unsigned fn = 1; fn < 8; fn++)
        if (bus->functions[(devfn & ~7u) + fn])
            first->config[PCI_HEADER_TYPE] |= 0x80;
}

static bool pci_plug(struct bus_node *node, struct device *dev, struct error *err)
{
    struct pci_device *pci_dev = (struct pci_device *)dev;

    pci_dev->pci = node->bus;
    if (!choose_devfn(pci_dev, err))
        return false;
    init_header(pci_dev, pci_info_of(dev->cls));
    return set_identity(pci_dev, err);
}

static bool pci_plugged(struct bus_node *node, struct device *dev, struct error *err)
{
    struct pci_device *pci_dev = (struct pci_device *)dev;
    struct pci_bus *bus = node->bus;

    if (rom_file(pci_dev) && !load_rom(pci_dev, rom_file(pci_dev), err))
        return false;
    bus->functions[pci_dev->devfn] = pci_dev;
    mark_multifunction(bus, pci_dev->devfn);
    if (bus->function_changed)
        bus->function_changed(bus->function_opaque, pci_dev->devfn, true);
    return true;
}

/* The function was unplugged: what is outside of the machine hears of it. */
static void pci_gone(struct pci_device *pci_dev)
{
    struct pci_bus *bus = pci_dev->pci;

    if (pci_dev->gone)
        return;
    pci_dev->gone = true;
    if (bus->function_changed)
        bus->function_changed(bus->function_opaque, pci_dev->devfn, false);
    if (pci_dev->unplugged)
        pci_dev->unplugged(pci_dev->unplugged_opaque);
}

void pci_remove(struct pci_device *pci_dev)
{
    if (pci_dev->removed)
        return;
    pci_dev->removed = true;
    pci_dev->intx = false;
    update_intx(pci_dev);
    update_bars(pci_dev);
    pci_gone(pci_dev);
}

static void pci_unplug(struct bus_node *node, struct device *dev)
{
    struct pci_device *pci_dev = (struct pci_device *)dev;
    struct pci_bus *bus = node->bus;

    if (bus->functions[pci_dev->devfn] != pci_dev)
        return;
    pci_remove(pci_dev);
    bus->functions[pci_dev->devfn] = NULL;
    free(pci_dev->rom);
    pci_dev->rom = NULL;
}

static void pci_reset(struct device *dev)
{
    struct pci_device *pci_dev = (struct pci_device *)dev;

    reset_function(pci_dev, pm_abilities(pci_dev) & PCI_PM_PMC_PME_D3COLD);
}

/* What is mapped and which pins are held follows from the configuration space. */
/* What a function is can differ only where it is another one: drivers have found it. */
static bool pci_check(const struct device *dev, struct error *err)
{
    static const uint8_t fixed[] = {0x00, 0x01, 0x02, 0x03, 0x08, 0x09, 0x0A,
                                    0x0B, 0x0E, 0x2C, 0x2D, 0x2E, 0x2F, 0x3D};
    const struct pci_device *saved = (const struct pci_device *)dev;
    const struct pci_device *own = saved->pci->functions[saved->devfn];

    for (unsigned i = 0; i < sizeof(fixed); i++)
        if (saved->config[fixed[i]] != own->config[fixed[i]])
            return error_set(err, "configuration byte 0x%02x is 0x%02x, and this device's 0x%02x", fixed[i],
                             saved->config[fixed[i]], own->config[fixed[i]]);
    if (saved->pm && (saved->pm < 0x40 || saved->pm % 4 || (own->pm && own->pm != saved->pm)))
        return error_set(err, "the power management capability is at 0x%02x", saved->pm);
    return !own->removed || saved->removed ||
           error_set(err, "the function was unplugged, and is not in the state");
}

static void pci_loaded(struct device *dev)
{
    struct pci_device *pci_dev = (struct pci_device *)dev;

    if (pci_dev->pm_masked != pci_dev->pm)
        set_pm_masks(pci_dev, pci_dev->pm ? pci_dev->pm : pci_dev->pm_masked, pci_dev->pm);
    update_bars(pci_dev);
    update_intx(pci_dev);
    if (pci_dev->removed)
        pci_gone(pci_dev);
}

static bool pci_wakes(const struct bus_node *node)
{
    const struct pci_bus *bus = node->bus;

    for (unsigned devfn = 0; devfn < 256; devfn++) {
        const struct pci_device *pci_dev = bus->functions[devfn];

        if (pci_dev && !pci_dev->removed && pci_pm_control(pci_dev) & PCI_PM_CSR_PME_EN &&
            pci_pm_control(pci_dev) & PCI_PM_CSR_PME_STATUS)
            return true;
    }
    return false;
}

static void pci_address(const struct device *dev, char *text, size_t size)
{
    unsigned devfn = ((const struct pci_device *)dev)->devfn;

    snprintf(text, size, "%02x.%x", devfn >> 3, devfn & 7);
}

/* Firmware's word for a class of functions. */
static const char *pci_firmware_name(const struct device *dev)
{
    switch (pci_info_of(dev->cls)->class_code >> 8) {
    case 0x0101:
        return "ide";
    case 0x0200:
        return "ethernet";
    case 0x0C03:
        return "usb";
    default:
        return "pci";
    }
}

static void pci_firmware_path(const struct device *dev, char *text, size_t size)
{
    unsigned devfn = ((const struct pci_device *)dev)->devfn;
    const char *name = pci_firmware_name(dev);
    int used = snprintf(text, size, "/pci@i0cf8/%s@%x", name, devfn >> 3);

    if (devfn & 7)
        used += snprintf(text + used, size - used, ",%x", devfn & 7);
    if (!strcmp(name, "ethernet"))
        snprintf(text + used, size - used, "/ethernet-phy@0");
}

STATE_TABLE(pci_state, struct pci_device, PCI_STATE);

const struct bus_ops pci_bus_ops = {
    .name = "PCI",
    .title = "PCI devices",
    .type = "pci-device",
    .properties = pci_properties,
    .state = &pci_state,
    .plug = pci_plug,
    .plugged = pci_plugged,
    .unplug = pci_unplug,
    .reset = pci_reset,
    .check = pci_check,
    .loaded = pci_loaded,
    .wakes = pci_wakes,
    .address = pci_address,
    .firmware_path = pci_firmware_path,
};

void pci_bus_init(struct pci_bus *bus, struct machine *machine)
{
    bus->node = (struct bus_node){.name = "pci.0", .ops = &pci_bus_ops, .bus = bus};
    bus_node_add(machine, &bus->node);
}
