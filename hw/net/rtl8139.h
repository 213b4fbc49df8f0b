/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the RTL8139's registers with its first generation of buffers (rtl8139.c) and the descriptor rings
 * of the C+ (rtl8139_cplus.c). For these two files only.
 */
#ifndef HW_NET_RTL8139_H
#define HW_NET_RTL8139_H

#include "hw/net/eeprom93c46.h"
#include "hw/net/mii.h"
#include "hw/net/nic.h"
#include "hw/net/rtl8139_regs.h"

enum { TX_DESCRIPTORS = 4, DESC_MAX = 64, TX_LARGE = 65536, REVISION_CPLUS = 0x20 };

struct rtl8139 {
    struct pci_device pci;
    struct region io, memory;
    struct nic nic;
    struct mii_phy phy;
    struct eeprom eeprom;
    struct timer timer;

    uint8_t idr[6], mar[8];
    uint32_t tsd[TX_DESCRIPTORS], tsad[TX_DESCRIPTORS];
    uint8_t tx_next; /* the descriptor that is sent next */
    uint32_t rbstart;
    uint16_t capr, cbr;
    uint8_t cr, eecr, config0, config1, config3, config4, config5;
    uint8_t wakeup[WAKEUP_END - CRC0];
    uint16_t imr, isr, mulint, nwaytr, cscr;
    uint32_t tcr, rcr, mpc, timer_int;
    int64_t timer_start; /* guest time at which the timer was 0 */

    /* C+ mode */
    uint8_t revision; /* property */
    uint16_t cpcr;
    uint32_t rdsar[2];
    uint8_t rx_index, tx_index; /* of the next descriptor */
    struct loop_work tx_work;
    bool tx_ready, tx_last; /* all of a frame is there; its last segment */
    bool tx_bad;            /* no frame was begun, or a part of it could not be read */
    uint32_t tx_flags, tx_tag, tx_length, tx_sent, tx_piece;
    uint8_t tx_data[TX_LARGE];
    uint64_t tx_ok, rx_ok, rx_physical, rx_broadcast; /* counted since power on */
    uint32_t rx_multicast;
};

static inline struct machine *rtl8139_machine_of(const struct rtl8139 *s)
{
    return s->pci.dev.machine;
}

/* The chip answers as a C+, at least on one side: some registers mean something else then. */
static inline bool rtl8139_in_cplus(const struct rtl8139 *s)
{
    return s->cpcr & (CPCR_TX | CPCR_RX);
}

/* ---- rtl8139.c ---- */

void rtl8139_update_irq(struct rtl8139 *s);
/* Sets bits of ISR. */
void rtl8139_raise(struct rtl8139 *s, uint16_t bits);
/* A frame is in the driver's memory; status: what it was matched by. */
void rtl8139_rx_done(struct rtl8139 *s, uint16_t status);
/* A frame for which the driver named no memory, or too little. */
void rtl8139_rx_miss(struct rtl8139 *s);
/* Sends a frame, or receives it if the chip is looped back. data: room for padding. False: the wire has no
 * room. */
bool rtl8139_tx_frame(struct rtl8139 *s, uint8_t *data, size_t length);

/* ---- rtl8139_cplus.c ---- */

/* A frame into the receive ring. False: no descriptor is free. */
bool rtl8139_cplus_put(struct rtl8139 *s, uint16_t status, const uint8_t *data, size_t length);
/* Sends what the transmit ring holds, in bounded pieces. */
void rtl8139_cplus_transmit(struct rtl8139 *s);
/* The registers that only the C+ has: CPCR, TPPOLL, RDSAR. */
void rtl8139_cplus_write(struct rtl8139 *s, unsigned offset, uint32_t value);
/* DTCCR: the counters into memory. */
void rtl8139_dump_counters(struct rtl8139 *s);

#endif
