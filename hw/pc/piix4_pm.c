/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82371AB (PIIX4), function 3: ACPI power management (data sheet 290562, ACPI 1.0 chapter 4), with the
 * GPE, PCI and CPU hot-plug blocks that the firmware's tables name, and the APM ports 0xB2/0xB3 by which
 * firmware switches ACPI on.
 *
 * Under Xen the hypervisor answers PM1a status/enable and the timer first; the same registers here stay idle.
 */
#include "hw/pc/piix4_pm.h"

#include <string.h>

#include "base/util.h"
#include "machine/machine.h"

#define PMBASE    0x40
#define PMREGMISC 0x80 /* bit 0: the PMBASE block is decoded */
#define SMBBA     0x90
#define DEVACTB                                                                                              \
    0x5B /* bit 1 (APMC_EN) set: firmware takes SMM for set up and leaves it alone; no hypervisor here has   \
            it */

/* offsets in the PMBASE block */
enum { PM1_STS = 0, PM1_EN = 2, PM1_CNT = 4, PM_TMR = 8, PM_SIZE = 64 };

#define TMR_STS    0x0001
#define PWRBTN_STS 0x0100
#define GBL_STS    0x0020 /* the BIOS releases the global lock: nobody here does, but it can be enabled */
#define RTC_STS    0x0400
#define WAK_STS    0x8000
#define PM1_EVENTS (TMR_STS | GBL_STS | PWRBTN_STS | RTC_STS)

#define SCI_EN        0x0001
#define SLP_TYP_SHIFT 10
#define SLP_EN        0x2000
#define SLP_TYP_S3    1

#define GPE_BASE        0xAFE0
#define PCIHP_BASE      0xAE00
#define CPUHP_BASE      0xAF00
#define GPE_PCI_HOTPLUG 0x02 /* _E01 of dsdt.asl and hvmloader's DSDT */
#define GPE_CPU_HOTPLUG 0x04 /* _E02 */

/* offsets in the PCI hot-plug block, a bit for each slot */
enum { PCIHP_UP = 0, PCIHP_DOWN = 4, PCIHP_EJECT = 8, PCIHP_REMOVABLE = 12 };

#define APM_BASE     0xB2
#define APM_ACPI_ON  0xF1
#define APM_ACPI_OFF 0xF0

#define SCI_IRQ       9
#define PM_TIMER_HZ   3579545
#define PM_TIMER_WRAP (1u << 23) /* the status bit is set whenever bit 23 changes */

/* What it tells the guest of. */
#define EVENTS                                                                                               \
    (EVENT_BIT(EVENT_WAKEUP) | EVENT_BIT(EVENT_POWER_BUTTON) | EVENT_BIT(EVENT_RTC_ALARM) |                  \
     EVENT_BIT(EVENT_CPU_ADDED))

#define PIIX4_PM_STATE(S)                                                                                    \
    S(UINT, uint16_t, pm1_status, ANY)                                                                       \
    S(UINT, uint16_t, pm1_enable, ANY)                                                                       \
    S(UINT, uint16_t, pm1_control, ANY)                                                                      \
    S(UINT, uint16_t, gpe_status, ANY)                                                                       \
    S(UINT, uint16_t, gpe_enable, ANY)                                                                       \
    S(UINT, uint8_t, apm_control, ANY)                                                                       \
    S(UINT, uint8_t, apm_status, ANY)                                                                        \
    S(UINT, uint32_t, pci_up, ANY)               /* a bit for each slot: a device came, */                   \
    S(UINT, uint32_t, pci_down, ANY)             /* one is asked back, */                                    \
    S(UINT, uint32_t, pci_ejected, ANY)          /* and given back, but not taken away yet */                \
    S(UINT, int64_t, last_toggle, INT64_MAX / 2) /* guest time of bit 23's last change that was noticed */

struct piix4_pm {
    struct pci_device pci;
    struct irq sci;
    struct timer overflow;
    struct machine_listener listener;
    struct loop_work eject;
    struct region pm, gpe, pci_hotplug, cpu_hotplug, apm;
    STATE_MEMBERS(PIIX4_PM_STATE);
    bool disable_s3, disable_s4; /* properties */
};
STATE_TABLE(piix4_pm_state, struct piix4_pm, PIIX4_PM_STATE);

/* ---- the timer ---- */

static uint64_t ticks_at(int64_t ns)
{
    return (unsigned __int128)ns * PM_TIMER_HZ / NS_PER_SECOND;
}

/* The first nanosecond at which the counter has reached `ticks`. */
static int64_t time_of(uint64_t ticks)
{
    return ((unsigned __int128)ticks * NS_PER_SECOND + PM_TIMER_HZ - 1) / PM_TIMER_HZ;
}

static int64_t next_toggle(int64_t after)
{
    return time_of((ticks_at(after) / PM_TIMER_WRAP + 1) * PM_TIMER_WRAP);
}

static void update_sci(struct piix4_pm *pm)
{
    bool level = (pm->pm1_control & SCI_EN && pm->pm1_status & pm->pm1_enable & PM1_EVENTS) ||
                 pm->gpe_status & pm->gpe_enable;

    irq_set(&pm->sci, level);
}

/* Notes whether bit 23 changed since last time, and keeps a timer only while its interrupt is wanted. */
static void update_timer(struct piix4_pm *pm)
{
    int64_t now = clock_now(&pm->pci.dev.machine->clock);

    if (now >= next_toggle(pm->last_toggle)) {
        pm->pm1_status |= TMR_STS;
        pm->last_toggle = now;
    }
    if (pm->pm1_enable & TMR_STS && !(pm->pm1_status & TMR_STS))
        timer_set(&pm->overflow, next_toggle(now));
    else
        timer_cancel(&pm->overflow);
    update_sci(pm);
}

static void overflowed(void *opaque)
{
    update_timer(opaque);
}

/* ---- PM1a ---- */

static void sleep_requested(struct piix4_pm *pm)
{
    unsigned type = pm->pm1_control >> SLP_TYP_SHIFT & 7;

    if (type == SLP_TYP_S3)
        machine_request_suspend(pm->pci.dev.machine);
    else
        machine_request_shutdown(pm->pci.dev.machine, true);
}

static uint16_t pm_read16(struct piix4_pm *pm, unsigned offset)
{
    uint32_t timer;

    switch (offset) {
    case PM1_STS:
        update_timer(pm);
        return pm->pm1_status;
    case PM1_EN:
        return pm->pm1_enable;
    case PM1_CNT:
        return pm->pm1_control;
    case PM_TMR:
    case PM_TMR + 2:
        timer = ticks_at(clock_now(&pm->pci.dev.machine->clock)) & 0xFFFFFF;
        return timer >> (offset - PM_TMR) * 8;
    default:
        return 0;
    }
}

static void pm_write16(struct piix4_pm *pm, unsigned offset, uint16_t value)
{
    switch (offset) {
    case PM1_STS:
        update_timer(pm);
        pm->pm1_status &= ~value;
        update_timer(pm);
        break;
    case PM1_EN:
        pm->pm1_enable = value & PM1_EVENTS;
        update_timer(pm);
        break;
    case PM1_CNT:
        pm->pm1_control = value & ~SLP_EN;
        update_sci(pm);
        if (value & SLP_EN)
            sleep_requested(pm);
        break;
    }
}

static uint64_t piix4_pm_pm_read(void *opaque, uint64_t offset, unsigned size)
{
    struct piix4_pm *pm = opaque;
    uint32_t value;

    /* The timer is one counter: read it once for all four bytes. */
    if (offset == PM_TMR && size == 4)
        return ticks_at(clock_now(&pm->pci.dev.machine->clock)) & 0xFFFFFF;
    value = pm_read16(pm, offset & ~1u);
    if (size == 4)
        return value | (uint32_t)pm_read16(pm, (offset & ~1u) + 2) << 16;
    return value >> (offset & 1) * 8;
}

static void piix4_pm_pm_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct piix4_pm *pm = opaque;

    if (size == 1) {
        uint16_t old = (offset & ~1u) == PM1_STS ? 0 : pm_read16(pm, offset & ~1u);
        unsigned shift = (offset & 1) * 8;

        pm_write16(pm, offset & ~1u, (old & ~(0xFF << shift)) | value << shift);
        return;
    }
    pm_write16(pm, offset, value);
    if (size == 4)
        pm_write16(pm, offset + 2, value >> 16);
}

static const struct region_ops pm_ops = {.read = piix4_pm_pm_read, .write = piix4_pm_pm_write, .max_size = 4};

static void power_button_pressed(struct piix4_pm *pm)
{
    pm->pm1_status |= PWRBTN_STS;
    update_sci(pm);
    machine_wakeup(pm->pci.dev.machine);
}

/* RTC_STS follows the RTC's interrupt line whatever is enabled; with RTC_EN it wakes (82371AB 7.2.1). */
static void rtc_alarm_raised(struct piix4_pm *pm)
{
    pm->pm1_status |= RTC_STS;
    update_sci(pm);
    if (pm->pm1_enable & RTC_STS)
        machine_wakeup(pm->pci.dev.machine);
}

static void piix4_pm_machine_event(void *opaque, enum machine_event event, bool guest_asked)
{
    struct piix4_pm *pm = opaque;

    switch (event) {
    case EVENT_POWER_BUTTON:
        power_button_pressed(pm);
        return;
    case EVENT_RTC_ALARM:
        rtc_alarm_raised(pm);
        return;
    case EVENT_WAKEUP:
        pm->pm1_status |= WAK_STS;
        break;
    case EVENT_CPU_ADDED:
        pm->gpe_status |= GPE_CPU_HOTPLUG;
        break;
    default:
        return;
    }
    update_sci(pm);
}

/* ---- GPE0: two bytes of status, two of enable ---- */

static uint64_t piix4_pm_gpe_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct piix4_pm *pm = opaque;

    return (offset < 2 ? pm->gpe_status : pm->gpe_enable) >> (offset & 1) * 8;
}

static void piix4_pm_gpe_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct piix4_pm *pm = opaque;
    unsigned shift = (offset & 1) * 8;

    if (offset < 2)
        pm->gpe_status &= ~(value << shift);
    else
        pm->gpe_enable = (pm->gpe_enable & ~(0xFF << shift)) | value << shift;
    update_sci(pm);
}

static const struct region_ops gpe_ops = {
    .read = piix4_pm_gpe_read, .write = piix4_pm_gpe_write, .max_size = 1};

/* ---- PCI hot-plug: the guest hears of slots by GPE 1, and says when it has let go of one ---- */

static uint32_t piix4_pm_removable(struct piix4_pm *pm)
{
    const struct pci_bus *bus = pm->pci.pci;
    uint32_t slots = 0;

    for (unsigned slot = 0; slot < 32; slot++) {
        const struct pci_device *there = bus->functions[PCI_DEVFN(slot, 0)];

        slots |= (uint32_t)(there && there->dev.cls->hotplug) << slot;
    }
    return slots;
}

static uint64_t piix4_pm_pci_hotplug_read(void *opaque, uint64_t offset, unsigned size)
{
    struct piix4_pm *pm = opaque;
    uint32_t value = 0;

    switch (offset) {
    case PCIHP_UP: /* once told, it is known */
        value = pm->pci_up;
        pm->pci_up = 0;
        break;
    case PCIHP_DOWN:
        value = pm->pci_down;
        break;
    case PCIHP_REMOVABLE:
        value = piix4_pm_removable(pm);
        break;
    }
    return value;
}

/* Not from inside of the guest's access: the device that goes may be in the middle of one itself. */
static void piix4_pm_take_ejected(void *opaque)
{
    struct piix4_pm *pm = opaque;
    uint32_t slots = pm->pci_ejected & piix4_pm_removable(pm);

    pm->pci_ejected = 0;
    for (unsigned slot = 0; slot < 32; slot++)
        if (slots & 1u << slot)
            device_unplug(&pm->pci.pci->functions[PCI_DEVFN(slot, 0)]->dev);
}

static void piix4_pm_pci_hotplug_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct piix4_pm *pm = opaque;

    if (offset != PCIHP_EJECT)
        return;
    /* Only what was asked back: no guest throws out a card by itself. */
    pm->pci_ejected |= value & pm->pci_down;
    pm->pci_down &= ~value;
    if (pm->pci_ejected)
        loop_post(&pm->pci.dev.machine->loop, &pm->eject);
}

static const struct region_ops pci_hotplug_ops = {
    .read = piix4_pm_pci_hotplug_read, .write = piix4_pm_pci_hotplug_write, .max_size = 4};

static uint32_t piix4_pm_slot_bit(const struct device *dev)
{
    return 1u << (((const struct pci_device *)dev)->devfn >> 3);
}

static void piix4_pm_tell_slots(struct piix4_pm *pm)
{
    pm->gpe_status |= GPE_PCI_HOTPLUG;
    update_sci(pm);
}

static void piix4_pm_device_added(void *opaque, struct device *dev)
{
    struct piix4_pm *pm = opaque;

    pm->pci_up |= piix4_pm_slot_bit(dev);
    piix4_pm_tell_slots(pm);
}

static bool piix4_pm_device_remove(void *opaque, struct device *dev, struct error *err)
{
    struct piix4_pm *pm = opaque;

    pm->pci_down |= piix4_pm_slot_bit(dev);
    piix4_pm_tell_slots(pm);
    return true;
}

static const struct hotplug_ops pci_hotplug = {.added = piix4_pm_device_added,
                                               .remove = piix4_pm_device_remove};

/* ---- processors may come ---- */

static uint64_t piix4_pm_cpu_hotplug_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct piix4_pm *pm = opaque;
    unsigned cpus = pm->pci.dev.machine->config.cpus, first = offset * 8;
    uint8_t online = 0;

    for (unsigned i = 0; i < 8; i++)
        online |= (first + i < cpus) << i;
    return online;
}

static const struct region_ops cpu_hotplug_ops = {.read = piix4_pm_cpu_hotplug_read, .max_size = 1};

/* ---- APM ---- */

static uint64_t piix4_pm_apm_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct piix4_pm *pm = opaque;

    return offset == 0 ? pm->apm_control : pm->apm_status;
}

static void piix4_pm_apm_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct piix4_pm *pm = opaque;

    if (offset == 1) {
        pm->apm_status = value;
        return;
    }
    pm->apm_control = value;
    if (value == APM_ACPI_ON)
        pm->pm1_control |= SCI_EN;
    else if (value == APM_ACPI_OFF)
        pm->pm1_control &= ~SCI_EN;
    update_sci(pm);
}

static const struct region_ops apm_ops = {
    .read = piix4_pm_apm_read, .write = piix4_pm_apm_write, .max_size = 1};

/* ---- configuration space and life ---- */

uint16_t piix4_pm_base(const struct pci_device *pm)
{
    return pci_get32(pm, PMBASE) & 0xFFC0;
}

bool piix4_pm_offers_s3(const struct pci_device *pm)
{
    return !((const struct piix4_pm *)pm)->disable_s3;
}

static void map_pm(struct piix4_pm *pm)
{
    struct bus *bus = &pm->pci.dev.machine->bus;

    if (pm->pci.config[PMREGMISC] & 1)
        bus_map(bus, SPACE_PORT, &pm->pm, piix4_pm_base(&pm->pci));
    else
        bus_unmap(bus, &pm->pm);
}

static void piix4_pm_config_written(struct pci_device *pci_dev, uint8_t offset, unsigned size)
{
    if ((offset + size > PMBASE && offset < PMBASE + 4) || (offset <= PMREGMISC && offset + size > PMREGMISC))
        map_pm((struct piix4_pm *)pci_dev);
}

static bool piix4_pm_realize(struct device *dev, struct error *err)
{
    struct piix4_pm *pm = (struct piix4_pm *)dev;
    struct machine *m = dev->machine;

    if (!pm->disable_s4)
        return error_set(err, "PIIX4_PM: disable_s4=off: suspend to disk is not supported");
    pm->pci.config_written = piix4_pm_config_written;
    pm->pci.writable[PMBASE] = 0xC0;
    pm->pci.writable[PMBASE + 1] = 0xFF;
    memset(pm->pci.writable + 0x44, 0xFF, 0x24); /* CNTA..DEVRESJ: device monitors, read back only */
    pm->pci.writable[PMREGMISC] = 0x01;
    pm->pci.writable[SMBBA] = 0xF0;
    pm->pci.writable[SMBBA + 1] = 0xFF;
    memset(pm->pci.writable + 0xD2, 0xFF, 4);
    machine_irq(m, &pm->sci, SCI_IRQ);
    timer_init(&pm->overflow, &m->clock, overflowed, pm);
    pm->pm = (struct region){
        .name = "acpi-pm", .size = PM_SIZE, .ops = &pm_ops, .opaque = pm, .priority = PRIORITY_BOARD};
    machine_map_ports(m, &pm->gpe, "acpi-gpe0", &gpe_ops, pm, GPE_BASE, 4);
    machine_map_ports(m, &pm->pci_hotplug, "acpi-pci-hotplug", &pci_hotplug_ops, pm, PCIHP_BASE, 16);
    machine_map_ports(m, &pm->cpu_hotplug, "acpi-cpu-hotplug", &cpu_hotplug_ops, pm, CPUHP_BASE, 32);
    machine_map_ports(m, &pm->apm, "apm", &apm_ops, pm, APM_BASE, 2);
    pm->eject = (struct loop_work){.run = piix4_pm_take_ejected, .opaque = pm};
    m->pci.node.hotplug = &pci_hotplug;
    m->pci.node.hotplug_opaque = pm;
    pm->listener = (struct machine_listener){.events = EVENTS, .event = piix4_pm_machine_event, .opaque = pm};
    machine_listen(m, &pm->listener);
    return true;
}

static void piix4_pm_unrealize(struct device *dev)
{
    struct piix4_pm *pm = (struct piix4_pm *)dev;
    struct region *regions[] = {&pm->pm, &pm->gpe, &pm->pci_hotplug, &pm->cpu_hotplug, &pm->apm};

    timer_cancel(&pm->overflow);
    loop_cancel(&dev->machine->loop, &pm->eject);
    dev->machine->pci.node.hotplug = NULL;
    machine_unlisten(dev->machine, &pm->listener);
    for (unsigned i = 0; i < COUNT(regions); i++)
        bus_unmap(&dev->machine->bus, regions[i]);
}

static void piix4_pm_reset(struct device *dev)
{
    struct piix4_pm *pm = (struct piix4_pm *)dev;

    pm->pci.config[PMBASE] = 1; /* it is an I/O base */
    pm->pci.config[SMBBA] = 1;
    pm->pci.config[DEVACTB] = 0x02;
    pci_set16(&pm->pci, PCI_STATUS, 0x0280);
    pm->pm1_status = pm->pm1_enable = pm->pm1_control = 0;
    pm->gpe_status = pm->gpe_enable = 0;
    /* A guest that starts anew finds what is there, and has let go of what was asked back. */
    pm->pci_up = 0;
    pm->pci_ejected |= pm->pci_down;
    pm->pci_down = 0;
    if (pm->pci_ejected)
        loop_post(&dev->machine->loop, &pm->eject);
    pm->apm_control = pm->apm_status = 0;
    pm->last_toggle = clock_now(&dev->machine->clock);
    timer_cancel(&pm->overflow);
    map_pm(pm);
    update_sci(pm);
}

static void piix4_pm_settle(struct device *dev)
{
    update_timer((struct piix4_pm *)dev);
}

static void piix4_pm_loaded(struct device *dev)
{
    struct piix4_pm *pm = (struct piix4_pm *)dev;

    map_pm(pm);
    update_timer(pm);
    if (pm->pci_ejected)
        loop_post(&dev->machine->loop, &pm->eject);
}

static const struct property piix4_pm_properties[] = {
    PROPERTY(PROP_BOOL, struct piix4_pm, disable_s3, "disable_s3",
             .help = "ACPI does not offer suspend to RAM (KVM)"),
    PROPERTY(PROP_BOOL, struct piix4_pm, disable_s4, "disable_s4", .initial = "on",
             .help = "nor suspend to disk, which is never there"),
    {.name = NULL},
};

static const struct pci_info info = {
    .vendor = 0x8086, .device = 0x7113, .class_code = 0x068000, .revision = 3, .interrupt_pin = 1};

static const struct device_class piix4_pm_class = {
    .name = "piix4-pm",
    .alias = "PIIX4_PM",
    .description = "Intel PIIX4 power management",
    .bus = &pci_bus_ops,
    .internal = true,
    .size = sizeof(struct piix4_pm),
    .bus_info = &info,
    .properties = piix4_pm_properties,
    .state = &piix4_pm_state,
    .realize = piix4_pm_realize,
    .unrealize = piix4_pm_unrealize,
    .reset = piix4_pm_reset,
    .settle = piix4_pm_settle,
    .loaded = piix4_pm_loaded,
};
DEVICE_CLASS(piix4_pm_class);
