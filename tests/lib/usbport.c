/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/usbport.h"

#include <string.h>

enum { FRAME_LIST = 1024, PACKET0 = 8, MS = 1000000, PIRQRCD = 0x63 };

uint16_t usbport_read(struct usbport *u, unsigned reg)
{
    return qtest_inw(u->q, u->io + reg);
}

void usbport_write(struct usbport *u, unsigned reg, uint16_t value)
{
    qtest_outw(u->q, u->io + reg, value);
}

static void write_queue(struct usbport *u, uint32_t at, uint32_t link, uint32_t element)
{
    qtest_writel(u->q, at + 4 * QH_LINK, link);
    qtest_writel(u->q, at + 4 * QH_ELEMENT, element);
}

void usbport_start(struct usbport *u, struct qtest *q)
{
    uint32_t entries[FRAME_LIST];
    struct qpci piix3 = qpci_at(q, QPCI_DEVFN(1, 0));

    *u = (struct usbport){.q = q, .pci = qpci_get(q, 0x8086, 0x7020)};
    qpci_writeb(&piix3, PIRQRCD, 11);
    u->io = qpci_map(&u->pci, 4);
    qpci_enable(&u->pci);
    u->list = qtest_alloc(q, sizeof(entries), 4096);
    u->control = qtest_alloc(q, 16, 16);
    u->interrupts = qtest_alloc(q, 16, 16);
    u->tds = qtest_alloc(q, 40 * 16, 16);
    u->interrupt_td = qtest_alloc(q, 16, 16);
    u->interrupt_buffer = qtest_alloc(q, 64, 16);
    u->buffer = qtest_alloc(q, 4096, 4096);
    write_queue(u, u->control, u->interrupts | LINK_Q, LINK_T);
    write_queue(u, u->interrupts, LINK_T, LINK_T);
    for (unsigned i = 0; i < FRAME_LIST; i++)
        entries[i] = u->control | LINK_Q;
    qtest_memwrite(q, u->list, entries, sizeof(entries));
    usbport_write(u, USBCMD, CMD_HCRESET);
    qtest_outl(q, u->io + FLBASEADD, u->list);
    usbport_write(u, USBINTR, INTR_MASK);
    usbport_write(u, USBCMD, CMD_RS | CMD_CF | CMD_MAXP);
}

void usbport_reset_port(struct usbport *u, unsigned port)
{
    unsigned reg = PORTSC1 + 2 * port;

    usbport_write(u, reg, PORT_RESET | PORT_CONNECT_CHANGE);
    qtest_clock_step(u->q, 50 * MS);
    usbport_write(u, reg, 0);
    usbport_write(u, reg, PORT_ENABLED);
}

void usbport_td(struct usbport *u, uint32_t at, uint32_t link, uint32_t flags, unsigned pid, unsigned address,
                unsigned endpoint, unsigned toggle, unsigned length, uint32_t buffer)
{
    uint32_t words[4] = {
        [TD_LINK] = link,
        [TD_CONTROL] = flags,
        [TD_TOKEN] = ((length - 1) & 0x7FF) << 21 | toggle << 19 | endpoint << 15 | address << 8 | pid,
        [TD_BUFFER] = buffer,
    };

    qtest_memwrite(u->q, at, words, sizeof(words));
}

uint32_t usbport_td_control(struct usbport *u, uint32_t td)
{
    return qtest_readl(u->q, td + 4 * TD_CONTROL);
}

static int td_moved(uint32_t control)
{
    return control & TD_ACTIVE     ? USBPORT_PENDING
           : control & TD_BABBLE   ? USBPORT_BABBLE
           : control & TD_CRC_TIME ? USBPORT_TIMEOUT
           : control & TD_STALLED  ? USBPORT_STALLED
                                   : (int)((control + 1) & 0x7FF);
}

/* Runs what is in the control queue until its last descriptor ends, or one fails. */
static int run_control(struct usbport *u, unsigned count)
{
    for (int ms = 0; ms < 100; ms++) {
        int bad = 0;
        bool done = true;

        qtest_clock_step(u->q, MS);
        for (unsigned i = 0; i < count; i++) {
            int moved = td_moved(usbport_td_control(u, u->tds + 16 * i));

            done &= moved >= 0;
            bad = moved < 0 && moved != USBPORT_PENDING ? moved : bad;
        }
        if (done || bad) {
            qtest_writel(u->q, u->control + 4 * QH_ELEMENT, LINK_T);
            return bad;
        }
    }
    return USBPORT_PENDING;
}

int usbport_request(struct usbport *u, unsigned address, uint8_t type, uint8_t request, uint16_t value,
                    uint16_t index, void *data, uint16_t length)
{
    uint8_t setup[8] = {type, request, value, value >> 8, index, index >> 8, length, length >> 8};
    unsigned in = type & 0x80, pid = in ? USBPORT_IN : USBPORT_OUT, n = 0, toggle = 1;
    uint32_t flags = TD_ACTIVE | TD_CERR, at = u->tds;
    int status, moved = 0;

    qtest_memwrite(u->q, u->buffer, setup, sizeof(setup));
    usbport_td(u, at, (at + 16) | LINK_VF, flags, USBPORT_SETUP, address, 0, 0, 8, u->buffer);
    if (!in && length)
        qtest_memwrite(u->q, u->buffer + 64, data, length);
    for (n = 1; (n - 1) * PACKET0 < length; n++, toggle ^= 1) {
        unsigned done = (n - 1) * PACKET0, part = length - done < PACKET0 ? length - done : PACKET0;

        usbport_td(u, at + 16 * n, (at + 16 * (n + 1)) | LINK_VF, flags, pid, address, 0, toggle, part,
                   u->buffer + 64 + done);
    }
    usbport_td(u, at + 16 * n, LINK_T, flags | TD_IOC, in && length ? USBPORT_OUT : USBPORT_IN, address, 0, 1,
               0, 0);
    qtest_writel(u->q, u->control + 4 * QH_ELEMENT, at);
    status = run_control(u, n + 1);
    usbport_write(u, USBSTS, STS_CLEARABLE);
    if (status < 0)
        return status;
    for (unsigned i = 1; i < n; i++)
        moved += td_moved(usbport_td_control(u, at + 16 * i));
    if (in)
        qtest_memread(u->q, u->buffer + 64, data, moved);
    return moved;
}

void usbport_configure(struct usbport *u, unsigned address)
{
    int moved = usbport_request(u, 0, 0x00, 5, address, 0, NULL, 0);

    if (moved)
        qtest_fail(u->q, "SET_ADDRESS %u: %d", address, moved);
    moved = usbport_request(u, address, 0x00, 9, 1, 0, NULL, 0);
    if (moved)
        qtest_fail(u->q, "SET_CONFIGURATION: %d", moved);
}

void usbport_ask(struct usbport *u, unsigned address, unsigned length)
{
    usbport_td(u, u->interrupt_td, LINK_T, TD_ACTIVE | TD_CERR | TD_IOC, USBPORT_IN, address, 1, 0, length,
               u->interrupt_buffer);
    qtest_writel(u->q, u->interrupts + 4 * QH_ELEMENT, u->interrupt_td);
}

int usbport_answer(struct usbport *u, void *data, unsigned length)
{
    int moved = td_moved(usbport_td_control(u, u->interrupt_td));

    if (moved > 0)
        qtest_memread(u->q, u->interrupt_buffer, data, (unsigned)moved < length ? (unsigned)moved : length);
    return moved;
}

int usbport_poll(struct usbport *u, unsigned address, void *data, unsigned length, unsigned ms)
{
    usbport_ask(u, address, length);
    qtest_clock_step(u->q, (int64_t)ms * MS);
    return usbport_answer(u, data, length);
}
