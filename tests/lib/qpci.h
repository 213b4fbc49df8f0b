/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI for tests: what firmware does, through the configuration ports 0xCF8 and 0xCFC.
 *
 *     struct qpci nic = qpci_get(q, 0x10EC, 0x8139);
 *     uint64_t io = qpci_map(&nic, 0);
 *     qpci_enable(&nic);
 *     qtest_outb(q, io + 0x37, 0x10);
 */
#ifndef TESTS_LIB_QPCI_H
#define TESTS_LIB_QPCI_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/lib/qtest.h"

#define QPCI_DEVFN(slot, function) ((slot) << 3 | (function))
enum { QPCI_ROM = 6 }; /* the ROM BAR's number */

struct qpci {
    struct qtest *q;
    uint8_t devfn;
    uint64_t bars[7]; /* where qpci_map put them, 0: nowhere */
};

/* The function at a place, whether something is there or not. */
struct qpci qpci_at(struct qtest *q, uint8_t devfn);
/* The first function on bus 0 with that identity. False: none. */
bool qpci_find(struct qtest *q, uint16_t vendor, uint16_t device, struct qpci *found);
/* As qpci_find; none fails the test. */
struct qpci qpci_get(struct qtest *q, uint16_t vendor, uint16_t device);

/* Configuration space: any offset 0..0xFF; an access that crosses a doubleword is made as bytes. */
uint8_t qpci_readb(struct qpci *pci, uint8_t offset);
uint16_t qpci_readw(struct qpci *pci, uint8_t offset);
uint32_t qpci_readl(struct qpci *pci, uint8_t offset);
void qpci_writeb(struct qpci *pci, uint8_t offset, uint8_t value);
void qpci_writew(struct qpci *pci, uint8_t offset, uint16_t value);
void qpci_writel(struct qpci *pci, uint8_t offset, uint32_t value);

/* Size in bytes of BAR 0..5 or QPCI_ROM, found by writing ones; 0: there is none. The BAR's value is put
 * back. */
uint64_t qpci_bar_size(struct qpci *pci, unsigned bar);
bool qpci_bar_is_io(struct qpci *pci, unsigned bar);
/*
 * Places a BAR at the next free address (I/O from 0xC000, memory from 0xE0000000, for each test program's
 * server anew) and returns it; a BAR that is not there fails the test. The ROM BAR is enabled in its own
 * register too.
 */
uint64_t qpci_map(struct qpci *pci, unsigned bar);
/* I/O, memory and bus mastering in the command register. */
void qpci_enable(struct qpci *pci);

#endif
