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

#define LAST_TIME (INT64_MAX / 2)

#define RTL8139_STATE(S)                                                                                     \
    S(SUB, struct nic, nic, nic_state)                                                                       \
    S(SUB, struct mii_phy, phy, mii_state)                                                                   \
    S(SUB, struct eeprom, eeprom, eeprom_state)                                                              \
    S(TIMER, timer)                                                                                          \
    S(ARRAY, uint8_t, idr, 6, ANY)                                                                           \
    S(ARRAY, uint8_t, mar, 8, ANY)                                                                           \
    S(ARRAY, uint32_t, tsd, TX_DESCRIPTORS, ANY)                                                             \
    S(ARRAY, uint32_t, tsad, TX_DESCRIPTORS, ANY)                                                            \
    S(UINT, uint8_t, tx_next, TX_DESCRIPTORS - 1) /* the descriptor that is sent next */                     \
    S(UINT, uint32_t, rbstart, ANY)                                                                          \
    S(UINT, uint16_t, capr, ANY)                                                                             \
    S(UINT, uint16_t, cbr, ANY)                                                                              \
    S(UINT, uint8_t, cr, ANY)                                                                                \
    S(UINT, uint8_t, eecr, ANY)                                                                              \
    S(UINT, uint8_t, config0, ANY)                                                                           \
    S(UINT, uint8_t, config1, ANY)                                                                           \
    S(UINT, uint8_t, config3, ANY)                                                                           \
    S(UINT, uint8_t, config4, ANY)                                                                           \
    S(UINT, uint8_t, config5, ANY)                                                                           \
    S(ARRAY, uint8_t, wakeup, WAKEUP_END - CRC0, ANY)                                                        \
    S(UINT, uint16_t, imr, ANY)                                                                              \
    S(UINT, uint16_t, isr, ANY)                                                                              \
    S(UINT, uint16_t, mulint, ANY)                                                                           \
    S(UINT, uint16_t, nwaytr, ANY)                                                                           \
    S(UINT, uint16_t, cscr, ANY)                                                                             \
    S(UINT, uint32_t, tcr, ANY)                                                                              \
    S(UINT, uint32_t, rcr, ANY)                                                                              \
    S(UINT, uint32_t, mpc, ANY)                                                                              \
    S(UINT, uint32_t, timer_int, ANY)                                                                        \
    S(RANGE, int64_t, timer_start, -(INT64_MAX / 2),                                                         \
      INT64_MAX / 2) /* guest time at which the timer was 0 */                                               \
    S(UINT, uint16_t, cpcr, ANY)                                                                             \
    S(ARRAY, uint32_t, rdsar, 2, ANY)                                                                        \
    S(UINT, uint8_t, rx_index, DESC_MAX - 1) /* of the next descriptor */                                    \
    S(UINT, uint8_t, tx_index, DESC_MAX - 1)                                                                 \
    S(BOOL, tx_ready) /* all of a frame is there */                                                          \
    S(BOOL, tx_last)  /* its last segment */                                                                 \
    S(BOOL, tx_bad)   /* no frame was begun, or a part of it could not be read */                            \
    S(UINT, uint32_t, tx_flags, ANY)                                                                         \
    S(UINT, uint32_t, tx_tag, ANY)                                                                           \
    S(UINT, uint32_t, tx_length, TX_LARGE)                                                                   \
    S(UINT, uint32_t, tx_sent, TX_LARGE)                                                                     \
    S(UINT, uint32_t, tx_piece, TX_LARGE)                                                                    \
    S(ARRAY, uint8_t, tx_data, TX_LARGE, ANY)                                                                \
    S(UINT, uint64_t, tx_ok, ANY) /* counted since power on */                                               \
    S(UINT, uint64_t, rx_ok, ANY)                                                                            \
    S(UINT, uint64_t, rx_physical, ANY)                                                                      \
    S(UINT, uint64_t, rx_broadcast, ANY)                                                                     \
    S(UINT, uint32_t, rx_multicast, ANY)

struct rtl8139 {
    struct pci_device pci;
    struct region io, memory;
    /* C+ mode */
    uint8_t revision; /* property */
    struct loop_work tx_work;
    STATE_MEMBERS(RTL8139_STATE);
};
extern const struct state_table rtl8139_state;

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
/* Sends a frame, or receives it if the chip is looped back. data: with space for padding. False: the wire is
 * full. */
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
