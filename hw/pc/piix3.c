/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82371SB (PIIX3), function 0: the PCI to ISA bridge with PIRQ routing and the reset control register
 * (data sheet 290550).
 */
#include <string.h>

#include "hw/pc/i440fx.h"
#include "machine/machine.h"

#define PIRQRCA  0x60 /* four PIRQ route controls: bit 7 off, bits 3:0 the ISA IRQ */
#define PIRQ_OFF 0x80

#define RCR_RESET 0x04 /* port 0xCF9: a rising edge resets */
#define RCR_MASK  0x06

#define PIIX3_STATE(S) S(BITS, uint8_t, reset_control, RCR_MASK)

struct piix3 {
    struct pci_device pci;
    uint8_t link_count[4]; /* pins that hold a link high; follows the pins, so it is not saved */
    struct irq links[4];
    STATE_MEMBERS(PIIX3_STATE);
};
STATE_TABLE(piix3_state, struct piix3, PIIX3_STATE);

/* IRQs that a link may go to; the others are reserved and count as off (data sheet 4.1.7). */
static bool valid_irq(unsigned irq)
{
    return 0xDEF8 >> irq & 1;
}

static void update_link(struct piix3 *piix, unsigned link)
{
    uint8_t route = piix->pci.config[PIRQRCA + link];
    bool on = !(route & PIRQ_OFF) && valid_irq(route & 15);

    irq_set(&piix->links[link], false);
    if (!on)
        return;
    irq_move(&piix->links[link], route & 15);
    irq_set(&piix->links[link], piix->link_count[link] != 0);
}

static void intx_changed(void *opaque, unsigned slot, unsigned pin, bool level)
{
    struct piix3 *piix = opaque;
    struct machine *m = piix->pci.dev.machine;
    /* The board wires INTA of slot 1 to PIRQA and rotates from there; slot 0 has no pins. */
    unsigned link = (slot + pin + 3) & 3;

    if (m->accel->set_intx) {
        m->accel->set_intx(m, slot, pin, level);
        return;
    }
    piix->link_count[link] += level ? 1 : -1;
    update_link(piix, link);
}

static void update_routes(struct piix3 *piix)
{
    struct machine *m = piix->pci.dev.machine;

    for (unsigned link = 0; link < 4; link++) {
        uint8_t route = piix->pci.config[PIRQRCA + link];

        update_link(piix, link);
        if (m->accel->set_link)
            m->accel->set_link(m, link, route & PIRQ_OFF ? 0 : route & 15);
    }
}

static void piix3_config_written(struct pci_device *pci_dev, uint8_t offset, unsigned size)
{
    if (offset + size > PIRQRCA && offset <= PIRQRCA + 3)
        update_routes((struct piix3 *)pci_dev);
}

static uint64_t piix3_reset_read(void *opaque, uint64_t offset, unsigned size)
{
    return ((struct piix3 *)opaque)->reset_control;
}

static void piix3_reset_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct piix3 *piix = opaque;
    bool rising = value & ~piix->reset_control & RCR_RESET;

    piix->reset_control = value & RCR_MASK & ~RCR_RESET;
    if (rising)
        machine_request_reset(piix->pci.dev.machine, true);
}

static const struct region_ops reset_ops = {
    .read = piix3_reset_read, .write = piix3_reset_write, .max_size = 1};

static bool piix3_realize(struct device *dev, struct error *err)
{
    struct piix3 *piix = (struct piix3 *)dev;
    struct pci_bus *bus = piix->pci.pci;

    piix->pci.config_written = piix3_config_written;
    piix->pci.config[PCI_HEADER_TYPE] = 0x80;
    memset(piix->pci.writable + PIRQRCA, 0x8F, 4);
    piix->pci.writable[0x4C] = 0xFF;                            /* IORT: ISA recovery timers, no effect */
    piix->pci.writable[0x4E] = piix->pci.writable[0x4F] = 0xFF; /* XBCS: chip selects, all decoded here */
    piix->pci.writable[0x69] = 0xFE;                            /* TOM: top of memory for ISA masters */
    for (unsigned link = 0; link < 4; link++)
        machine_irq(dev->machine, &piix->links[link], 0);
    bus->intx_changed = intx_changed;
    bus->opaque = piix;
    i440fx_set_reset_port(bus->host_bridge, &reset_ops, piix);
    return true;
}

static void piix3_unrealize(struct device *dev)
{
    struct piix3 *piix = (struct piix3 *)dev;

    piix->pci.pci->intx_changed = NULL;
    i440fx_set_reset_port(piix->pci.pci->host_bridge, NULL, NULL);
}

static void piix3_reset(struct device *dev)
{
    struct piix3 *piix = (struct piix3 *)dev;

    piix->reset_control = 0;
    pci_set16(&piix->pci, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    piix->pci.writable[PCI_COMMAND] = 0x40;
    pci_set16(&piix->pci, PCI_STATUS, 0x0200);
    piix->pci.config[0x4C] = 0x4D;
    piix->pci.config[0x4E] = 0x03;
    memset(piix->pci.config + PIRQRCA, PIRQ_OFF, 4);
    piix->pci.config[0x69] = 0x02;
    update_routes(piix);
}

static void piix3_loaded(struct device *dev)
{
    update_routes((struct piix3 *)dev);
}

static const struct pci_info info = {.vendor = 0x8086, .device = 0x7000, .class_code = 0x060100};

static const struct device_class piix3_class = {
    .name = "piix3",
    .alias = "PIIX3",
    .description = "Intel PIIX3 PCI to ISA bridge",
    .bus = &pci_bus_ops,
    .internal = true,
    .size = sizeof(struct piix3),
    .bus_info = &info,
    .state = &piix3_state,
    .realize = piix3_realize,
    .unrealize = piix3_unrealize,
    .reset = piix3_reset,
    .loaded = piix3_loaded,
};
DEVICE_CLASS(piix3_class);
