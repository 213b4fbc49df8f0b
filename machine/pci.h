/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI, done once (PCI Local Bus 3.0): configuration space, BARs declared, sized and mapped here, INTx lines
 * ORed per pin. One bus, 32 devices of 8 functions. A device sees BAR number (by its region) + offset, never
 * an address.
 */
#ifndef MACHINE_PCI_H
#define MACHINE_PCI_H

#include "base/util.h"
#include "machine/bus.h"
#include "machine/device.h"

#define PCI_VENDOR_ID            0x00
#define PCI_DEVICE_ID            0x02
#define PCI_COMMAND              0x04
#define PCI_COMMAND_IO           0x0001
#define PCI_COMMAND_MEMORY       0x0002
#define PCI_COMMAND_MASTER       0x0004
#define PCI_COMMAND_INTX_DISABLE 0x0400
#define PCI_STATUS               0x06
#define PCI_STATUS_INTX          0x0008
#define PCI_STATUS_CAP_LIST      0x0010
#define PCI_REVISION_ID          0x08
#define PCI_CLASS_PROG           0x09
#define PCI_CLASS_DEVICE         0x0A
#define PCI_HEADER_TYPE          0x0E
#define PCI_BAR0                 0x10
#define PCI_SUBSYSTEM_VENDOR_ID  0x2C
#define PCI_SUBSYSTEM_ID         0x2E
#define PCI_ROM_ADDRESS          0x30
#define PCI_CAPABILITY_LIST      0x34
#define PCI_INTERRUPT_LINE       0x3C
#define PCI_INTERRUPT_PIN        0x3D
#define PCI_MIN_GRANT            0x3E
#define PCI_MAX_LATENCY          0x3F

/* The power management capability (PCI Power Management 1.1, chapter 3) */
#define PCI_CAP_PM            0x01
#define PCI_PM_PMC            0x02
#define PCI_PM_PMC_D1         0x0200 /* that state is supported */
#define PCI_PM_PMC_D2         0x0400
#define PCI_PM_PMC_PME_D0     0x0800 /* PME can be asserted in it; the bits of the others follow */
#define PCI_PM_PMC_PME_D3COLD 0x8000
#define PCI_PM_CSR            0x04
#define PCI_PM_CSR_STATE      0x0003
#define PCI_PM_CSR_PME_EN     0x0100
#define PCI_PM_CSR_PME_STATUS 0x8000

#define PCI_DEVFN(slot, function) ((slot) << 3 | (function))

/* What a class says of its function; the rest of the header follows from the BARs. */
struct pci_info {
    uint16_t vendor, device;
    uint32_t class_code; /* 24 bits: class, subclass, programming interface */
    uint8_t revision;
    uint8_t interrupt_pin; /* 0: none, 1: INTA ... 4: INTD */
    /* 0, 0: 1AF4:1100, what guests see from the peers on this board. */
    uint16_t subsystem_vendor, subsystem_device;
    const char *rom; /* option ROM file by default (looked up in -L paths), or NULL */
};

enum pci_bar_kind { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEM, PCI_BAR_MEM_PREFETCH, PCI_BAR_ROM };
enum { PCI_BARS = 7, PCI_ROM_BAR = 6 };

struct pci_bar {
    enum pci_bar_kind kind;
    struct region *region; /* its size is a power of two: I/O at least 4, memory at least 16 */
};

struct pci_bus;

/* What the bus keeps of a function. */
#define PCI_STATE(S)                                                                                         \
    S(ARRAY, uint8_t, config, 256, ANY)                                                                      \
    S(UINT, uint8_t, pm, 0xF8) /* where its power management capability is, 0: it has none */                \
    S(BOOL, removed)           /* unplugged: the function is gone, config reads give all ones */             \
    S(BOOL, intx)              /* what the device wants on its pin */

struct pci_device {
    struct device dev;
    STATE_MEMBERS(PCI_STATE);
    struct pci_bus *pci;
    uint8_t devfn;
    uint8_t writable[256];  /* bits that the guest can write */
    uint8_t clearable[256]; /* bits that the guest clears by writing 1 */
    struct pci_bar bars[PCI_BARS];
    uint8_t pm_masked; /* where the masks of such a capability are set, 0: nowhere */
    bool gone;         /* it is removed, and those outside of the machine know it */
    bool intx_seen;    /* what the bus sees: with PCI_COMMAND_INTX_DISABLE low */
    /* Hooks, set by realize, or NULL. Called after configuration bytes [offset, offset + size) were written
     * by the guest. */
    void (*config_written)(struct pci_device *pci_dev, uint8_t offset, unsigned size);
    /* PowerState is another now; a function that left D3hot was reset before. */
    void (*power_changed)(struct pci_device *pci_dev);
    /* The function was unplugged: it does nothing more outside of the machine. */
    void (*unplugged)(void *opaque);
    void *unplugged_opaque;
    /* properties */
    char *addr;    /* addr=SLOT[.FUNCTION], hexadecimal */
    char *romfile; /* "" : none; NULL: the class's */
    bool rombar;   /* off: no ROM BAR */
    uint8_t *rom;  /* the ROM's bytes, owned */
    struct region rom_region;
    bool multifunction;
    int32_t revision_id, subvendor_id, subsystem_id; /* -1: the class's */
};

/*
 * Classes with it as their bus have a struct pci_info as bus_info, begin with struct pci_device and have the
 * properties addr, romfile, rombar and multifunction. Addresses on it are "SLOT.FUNCTION", hexadecimal.
 */
extern const struct bus_ops pci_bus_ops;

struct pci_bus {
    struct pci_device *functions[256];
    struct bus_node node;
    struct device *host_bridge; /* the board's: it sets it while it is there */
    /* The host bridge's: level of a pin (0..3 = INTA..INTD) of a slot as ORed over the functions of that
     * slot. */
    void (*intx_changed)(void *opaque, unsigned slot, unsigned pin, bool level);
    void *opaque;
    uint8_t intx_count[32][4];
    uint8_t first_slot; /* automatic slots start here */
    /* Told when a function appears or disappears: the accelerator claims its configuration space (Xen). */
    void (*function_changed)(void *opaque, unsigned devfn, bool present);
    void *function_opaque;
};

/* The machine's bus "pci.0"; the board's to call. */
void pci_bus_init(struct pci_bus *bus, struct machine *machine);
/* What a class says of its function. */
static inline const struct pci_info *pci_info_of(const struct device_class *cls)
{
    return cls->bus_info;
}

/* Declares a BAR before realize returns; the region is mapped and unmapped by the guest's writes from then
 * on. */
void pci_add_bar(struct pci_device *pci_dev, unsigned bar, enum pci_bar_kind kind, struct region *region);
/* A vendor or power management capability of size bytes at offset, put in front of the list; returns its
 * bytes. */
uint8_t *pci_add_capability(struct pci_device *pci_dev, uint8_t id, uint8_t offset, uint8_t size);

/*
 * Shows a power management capability at offset, in front of the list, with what is in pmc (PCI_PM_PMC); 0:
 * takes it away. In D1 to D3hot a function decodes its configuration space only and neither masters the bus
 * nor interrupts, whatever its device does; leaving D3hot for D0 resets it but for its PME bits.
 */
void pci_set_power_management(struct pci_device *pci_dev, uint8_t offset, uint16_t pmc);
/* D0 to D3hot: 0..3. */
static inline unsigned pci_power_state(const struct pci_device *pci_dev)
{
    return pci_dev->pm ? pci_dev->config[pci_dev->pm + PCI_PM_CSR] & PCI_PM_CSR_STATE : 0;
}
/* Is it there, and in D0? */
static inline bool pci_is_on(const struct pci_device *pci_dev)
{
    return !pci_dev->removed && !pci_power_state(pci_dev);
}
/*
 * What the guest wants to be woken by has happened: PME_Status, and with PME_En the line, which wakes a
 * sleeping guest: the board leads it past the power management chip's enable bits, for the firmware's tables
 * name none. Nothing where the function cannot do so in its present state.
 */
void pci_raise_pme(struct pci_device *pci_dev);
/* For chips that have the two bits in a register of their own as well: PMCSR (0: there is none), and a write
 * of PME_En and, to clear it, PME_Status. */
uint16_t pci_pm_control(const struct pci_device *pci_dev);
void pci_write_pme(struct pci_device *pci_dev, bool enable, bool clear);

/* The level of the device's pin; setting it again is harmless. */
void pci_set_intx(struct pci_device *pci_dev, bool level);

/* DMA by the device: false (master abort) unless it is in D0, bus mastering is on and the whole range is RAM.
 */
bool pci_dma_read(struct pci_device *pci_dev, uint64_t addr, void *data, uint64_t length);
bool pci_dma_write(struct pci_device *pci_dev, uint64_t addr, const void *data, uint64_t length);

/* Unplugs the function (Xen platform device): BARs unmapped, INTx low, configuration reads all ones until the
 * process ends. */
void pci_remove(struct pci_device *pci_dev);

/* Configuration accesses of 1, 2 or 4 bytes at any offset; bytes beyond 0xFF read as ones. devfn 0..255. */
uint32_t pci_config_read(struct pci_bus *bus, unsigned devfn, unsigned offset, unsigned size);
void pci_config_write(struct pci_bus *bus, unsigned devfn, unsigned offset, unsigned size, uint32_t value);

static inline uint16_t pci_get16(const struct pci_device *pci_dev, unsigned offset)
{
    return get_le16(pci_dev->config + offset);
}
static inline uint32_t pci_get32(const struct pci_device *pci_dev, unsigned offset)
{
    return get_le32(pci_dev->config + offset);
}
static inline void pci_set16(struct pci_device *pci_dev, unsigned offset, uint16_t value)
{
    put_le16(pci_dev->config + offset, value);
}
static inline void pci_set32(struct pci_device *pci_dev, unsigned offset, uint32_t value)
{
    put_le32(pci_dev->config + offset, value);
}

#endif
