/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A UHCI driver for tests: one queue for control transfers, which every frame of the list leads to, and one
 * for interrupts behind it.
 */
#ifndef TESTS_LIB_USBPORT_H
#define TESTS_LIB_USBPORT_H

#include "hw/usb/uhci.h"
#include "tests/lib/qpci.h"

enum { USBPORT_STALLED = -1, USBPORT_TIMEOUT = -2, USBPORT_PENDING = -3, USBPORT_BABBLE = -4 };
enum { USBPORT_IN = 0x69, USBPORT_OUT = 0xE1, USBPORT_SETUP = 0x2D };

struct usbport {
    struct qtest *q;
    struct qpci pci;
    uint16_t io;
    uint32_t list;                /* frame list */
    uint32_t control, interrupts; /* queue heads */
    uint32_t tds, buffer;         /* 40 descriptors, a page */
    uint32_t interrupt_td, interrupt_buffer;
};

/* Finds the first controller, resets it, builds the schedule and sets it running; IRQ 11. */
void usbport_start(struct usbport *u, struct qtest *q);
uint16_t usbport_read(struct usbport *u, unsigned reg);
void usbport_write(struct usbport *u, unsigned reg, uint16_t value);
/* Resets and enables a port, from 0. */
void usbport_reset_port(struct usbport *u, unsigned port);

/* A transfer descriptor's words; length is the bytes asked for. */
void usbport_td(struct usbport *u, uint32_t at, uint32_t link, uint32_t flags, unsigned pid, unsigned address,
                unsigned endpoint, unsigned toggle, unsigned length, uint32_t buffer);
uint32_t usbport_td_control(struct usbport *u, uint32_t td);

/*
 * A control transfer with data to or from the device (by bmRequestType). Returns the bytes moved in the data
 * stage, or one of the negative values above.
 */
int usbport_request(struct usbport *u, unsigned address, uint8_t type, uint8_t request, uint16_t value,
                    uint16_t index, void *data, uint16_t length);
/* Address and configuration 1 for the device of address 0. */
void usbport_configure(struct usbport *u, unsigned address);
/* Asks endpoint 1; and whether and what it answered: bytes or a negative value. */
void usbport_ask(struct usbport *u, unsigned address, unsigned length);
int usbport_answer(struct usbport *u, void *data, unsigned length);
/* Both, with ms of guest time between. */
int usbport_poll(struct usbport *u, unsigned address, void *data, unsigned length, unsigned ms);

#endif
