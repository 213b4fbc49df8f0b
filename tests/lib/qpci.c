/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/qpci.h"

#include "tests/lib/qtest_private.h"

#define CONFIG_ADDRESS 0xCF8
#define CONFIG_DATA    0xCFC
#define COMMAND        0x04
#define HEADER_TYPE    0x0E
#define BAR0           0x10
#define ROM_ADDRESS    0x30

struct qpci qpci_at(struct qtest *q, uint8_t devfn)
{
    return (struct qpci){.q = q, .devfn = devfn};
}

static void set_address(struct qpci *pci, uint8_t offset)
{
    qtest_outl(pci->q, CONFIG_ADDRESS, 0x80000000u | pci->devfn << 8 | (offset & 0xFC));
}

uint8_t qpci_readb(struct qpci *pci, uint8_t offset)
{
    set_address(pci, offset);
    return qtest_inb(pci->q, CONFIG_DATA + (offset & 3));
}

uint16_t qpci_readw(struct qpci *pci, uint8_t offset)
{
    if ((offset & 3) == 3)
        return qpci_readb(pci, offset) | qpci_readb(pci, offset + 1) << 8;
    set_address(pci, offset);
    return qtest_inw(pci->q, CONFIG_DATA + (offset & 3));
}

uint32_t qpci_readl(struct qpci *pci, uint8_t offset)
{
    if (offset & 3)
        return qpci_readw(pci, offset) | (uint32_t)qpci_readw(pci, offset + 2) << 16;
    set_address(pci, offset);
    return qtest_inl(pci->q, CONFIG_DATA);
}

void qpci_writeb(struct qpci *pci, uint8_t offset, uint8_t value)
{
    set_address(pci, offset);
    qtest_outb(pci->q, CONFIG_DATA + (offset & 3), value);
}

void qpci_writew(struct qpci *pci, uint8_t offset, uint16_t value)
{
    if ((offset & 3) == 3) {
        qpci_writeb(pci, offset, value);
        qpci_writeb(pci, offset + 1, value >> 8);
        return;
    }
    set_address(pci, offset);
    qtest_outw(pci->q, CONFIG_DATA + (offset & 3), value);
}

void qpci_writel(struct qpci *pci, uint8_t offset, uint32_t value)
{
    if (offset & 3) {
        qpci_writew(pci, offset, value);
        qpci_writew(pci, offset + 2, value >> 16);
        return;
    }
    set_address(pci, offset);
    qtest_outl(pci->q, CONFIG_DATA, value);
}

bool qpci_find(struct qtest *q, uint16_t vendor, uint16_t device, struct qpci *found)
{
    for (unsigned slot = 0; slot < 32; slot++) {
        unsigned functions = 1;
        for (unsigned function = 0; function < functions; function++) {
            struct qpci pci = qpci_at(q, QPCI_DEVFN(slot, function));
            uint32_t id = qpci_readl(&pci, 0);
            if (id == ((uint32_t)device << 16 | vendor)) {
                *found = pci;
                return true;
            }
            if (function == 0 && (uint16_t)id != 0xFFFF && (qpci_readb(&pci, HEADER_TYPE) & 0x80))
                functions = 8;
        }
    }
    return false;
}

struct qpci qpci_get(struct qtest *q, uint16_t vendor, uint16_t device)
{
    struct qpci pci;

    if (!qpci_find(q, vendor, device, &pci))
        qtest_fail(q, "There is no PCI function %04x:%04x", vendor, device);
    return pci;
}

static uint8_t bar_offset(unsigned bar)
{
    return bar == QPCI_ROM ? ROM_ADDRESS : BAR0 + 4 * bar;
}

bool qpci_bar_is_io(struct qpci *pci, unsigned bar)
{
    return bar != QPCI_ROM && (qpci_readl(pci, bar_offset(bar)) & 1);
}

uint64_t qpci_bar_size(struct qpci *pci, unsigned bar)
{
    uint8_t offset = bar_offset(bar);
    uint32_t old = qpci_readl(pci, offset);

    qpci_writel(pci, offset, bar == QPCI_ROM ? 0xFFFFF800 : 0xFFFFFFFF);
    uint32_t ones = qpci_readl(pci, offset);
    qpci_writel(pci, offset, old);
    uint32_t mask = bar == QPCI_ROM ? 0xFFFFF800 : ones & 1 ? 0xFFFFFFFC : 0xFFFFFFF0;
    if ((ones & mask) == 0)
        return 0;
    /* I/O BARs may leave the upper 16 bits zero. */
    uint32_t size = ~(ones & mask) + 1;
    return ones & 1 && bar != QPCI_ROM ? size & 0xFFFF : size;
}

uint64_t qpci_map(struct qpci *pci, unsigned bar)
{
    uint64_t size = qpci_bar_size(pci, bar);

    if (size == 0)
        qtest_fail(pci->q, "Function %02x.%x has no BAR %u", pci->devfn >> 3, pci->devfn & 7, bar);
    uint64_t *next = qpci_bar_is_io(pci, bar) ? qtest_next_io(pci->q) : qtest_next_mem(pci->q);
    /* Whole pages for memory, so that two small BARs do not share one. */
    uint64_t step = qpci_bar_is_io(pci, bar) || size > 4096 ? size : 4096;
    uint64_t addr = (*next + step - 1) & ~(step - 1);

    *next = addr + step;
    qpci_writel(pci, bar_offset(bar), addr | (bar == QPCI_ROM ? 1 : 0));
    pci->bars[bar] = addr;
    return addr;
}

void qpci_enable(struct qpci *pci)
{
    qpci_writew(pci, COMMAND, qpci_readw(pci, COMMAND) | 7);
}
