/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Realtek RTL8139C and RTL8139C+ Fast Ethernet controllers (data sheets RTL8139C(L), 2001, and RTL8139C+,
 * 2002). What the chip would drop because its receive buffer is full waits in the wire instead.
 */
#include <string.h>

#include "base/util.h"
#include "hw/net/rtl8139.h"
#include "machine/machine.h"
#include "net/ethernet.h"

STATE_PUBLIC_TABLE(rtl8139_state, struct rtl8139, RTL8139_STATE);

enum { BAR_SIZE = 256, TX_MAX = 1792 };

#define TICK_NS 30 /* of the timer: the PCI clock, 33 MHz */

/* ---- interrupts ---- */

void rtl8139_update_irq(struct rtl8139 *s)
{
    pci_set_intx(&s->pci, s->isr & s->imr);
}

void rtl8139_raise(struct rtl8139 *s, uint16_t bits)
{
    s->isr |= bits;
    rtl8139_update_irq(s);
}

/* ---- timer ---- */

static uint32_t timer_ticks(const struct rtl8139 *s)
{
    return (uint64_t)(clock_now(&rtl8139_machine_of(s)->clock) - s->timer_start) / TICK_NS;
}

/* TIMER_INT 0 is none; else the moment when the counter, which wraps, has that value next. */
static void timer_arm(struct rtl8139 *s)
{
    int64_t now = clock_now(&rtl8139_machine_of(s)->clock);
    uint32_t left = s->timer_int - timer_ticks(s);

    if (s->timer_int)
        timer_set(&s->timer, now + (left ? (int64_t)left : 1ll << 32) * TICK_NS);
    else
        timer_cancel(&s->timer);
}

static void timer_fire(void *opaque)
{
    struct rtl8139 *s = opaque;

    rtl8139_raise(s, INT_TIMEOUT);
    timer_arm(s);
}

/* ---- EEPROM ---- */

static void rtl8139_eeprom_fill(struct rtl8139 *s)
{
    uint16_t *words = s->eeprom.words;

    words[0] = 0x8129; /* the contents are valid */
    words[1] = pci_get16(&s->pci, PCI_VENDOR_ID);
    words[2] = pci_get16(&s->pci, PCI_DEVICE_ID);
    words[3] = pci_get16(&s->pci, PCI_SUBSYSTEM_VENDOR_ID);
    words[4] = pci_get16(&s->pci, PCI_SUBSYSTEM_ID);
    words[5] = 0x4020; /* maximum latency, minimum grant */
    words[0x0A] = (CONFIG1_MAPPED | CONFIG1_PMEN) << 8;
    words[0x0B] = PMC;
    for (int i = 0; i < 3; i++)
        words[7 + i] = s->nic.mac[2 * i] | s->nic.mac[2 * i + 1] << 8;
}

static uint8_t eeprom_byte(const struct rtl8139 *s, unsigned at)
{
    return s->eeprom.words[at / 2] >> 8 * (at % 2);
}

static void set_config1(struct rtl8139 *s, uint8_t value)
{
    s->config1 = value | CONFIG1_MAPPED;
    pci_set_power_management(&s->pci, PM_OFFSET, value & CONFIG1_PMEN ? PMC : 0);
}

/* What the chip takes from its EEPROM at power on and on request. */
static void rtl8139_eeprom_load(struct rtl8139 *s)
{
    for (int i = 0; i < 6; i++)
        s->idr[i] = eeprom_byte(s, 0x0E + i);
    s->config0 = 0;
    set_config1(s, eeprom_byte(s, 0x15));
    s->config3 = eeprom_byte(s, 0x0D) & CONFIG3_MASK;
    s->config4 = eeprom_byte(s, 0x19) & CONFIG4_MASK;
    s->config5 = eeprom_byte(s, 0x1F) & CONFIG5_MASK;
}

static void write_eecr(struct rtl8139 *s, uint8_t value)
{
    bool selected = (value & (EECR_EEM | EECR_CS)) == (EECR_PROGRAM | EECR_CS);

    if (!selected)
        eeprom_deselect(&s->eeprom);
    else if (value & EECR_SK && !(s->eecr & EECR_SK))
        eeprom_clock(&s->eeprom, value & EECR_DI);
    s->eecr = value & (EECR_EEM | EECR_CS | EECR_SK | EECR_DI);
    if ((value & EECR_EEM) == EECR_LOAD) {
        rtl8139_eeprom_load(s);
        s->eecr = 0;
    }
}

/* ---- receiver: a ring buffer in memory ---- */

static uint32_t rtl8139_ring_size(const struct rtl8139 *s)
{
    return 8192u << (s->rcr >> 11 & 3);
}

/* Where the driver reads next: CAPR runs 16 behind. */
static uint32_t ring_reader(const struct rtl8139 *s)
{
    return (s->capr + 16u) & (rtl8139_ring_size(s) - 4);
}

static uint32_t ring_writer(const struct rtl8139 *s)
{
    return s->cbr & (rtl8139_ring_size(s) - 4);
}

static bool ring_empty(const struct rtl8139 *s)
{
    return ring_reader(s) == ring_writer(s);
}

static uint32_t ring_room(const struct rtl8139 *s)
{
    uint32_t size = rtl8139_ring_size(s);

    /* never full to the last byte: that would be empty */
    return (ring_reader(s) - ring_writer(s) - 4) & (size - 1);
}

static void ring_restart(struct rtl8139 *s)
{
    s->cbr = 0;
    s->capr = 0xFFF0;
    s->rx_index = 0;
    nic_resume(&s->nic);
}

/* The status bits for the destination, 0: not for us. */
static uint16_t rtl8139_match(const struct rtl8139 *s, const uint8_t *to)
{
    unsigned hash;

    if (nic_is_broadcast(to))
        return s->rcr & (RCR_AB | RCR_AAP) ? RX_ROK | RX_BAR : 0;
    if (to[0] & 1) {
        hash = net_multicast_hash(to);
        if (s->rcr & RCR_AAP || (s->rcr & RCR_AM && s->mar[hash >> 3] & 1 << (hash & 7)))
            return RX_ROK | RX_MAR;
        return 0;
    }
    if (!memcmp(to, s->idr, 6))
        return s->rcr & (RCR_APM | RCR_AAP) ? RX_ROK | RX_PAM : 0;
    return s->rcr & RCR_AAP ? RX_ROK : 0;
}

void rtl8139_rx_done(struct rtl8139 *s, uint16_t status)
{
    s->rx_ok++;
    s->rx_physical += !!(status & RX_PAM);
    s->rx_broadcast += !!(status & RX_BAR);
    s->rx_multicast += !!(status & RX_MAR);
    rtl8139_raise(s, INT_ROK);
}

void rtl8139_rx_miss(struct rtl8139 *s)
{
    s->mpc += s->mpc < 0xFFFFFF;
}

/* With RCR_WRAP a frame runs on behind the ring's end; the largest ring has no such space. */
static bool ring_write(struct rtl8139 *s, const uint8_t *data, uint32_t length)
{
    uint32_t size = rtl8139_ring_size(s), at = ring_writer(s), first = length;

    if (at + length > size && (size == 65536 || !(s->rcr & RCR_WRAP)))
        first = size - at;
    return pci_dma_write(&s->pci, (uint64_t)s->rbstart + at, data, first) &&
           (first == length || pci_dma_write(&s->pci, s->rbstart, data + first, length - first));
}

/* Header, frame and check sequence into the ring. False: no space. */
static bool ring_put(struct rtl8139 *s, uint16_t status, const uint8_t *data, size_t length)
{
    uint8_t entry[4 + NET_MAX_FRAME + NIC_FCS + 3] = {0};
    uint32_t total;

    memcpy(entry + 4, data, length);
    length = nic_seal(entry + 4, nic_pad(entry + 4, length));
    total = (4 + length + 3) & ~3u;
    if (ring_room(s) < total)
        return false;
    for (int i = 0; i < 4; i++)
        entry[i] = (uint32_t)(length << 16 | status) >> 8 * i;
    if (ring_write(s, entry, total)) {
        s->cbr = (ring_writer(s) + total) & (rtl8139_ring_size(s) - 1);
        rtl8139_rx_done(s, status);
    } else {
        rtl8139_rx_miss(s);
    }
    return true;
}

static bool rtl8139_rx_frame(struct rtl8139 *s, const uint8_t *data, size_t length)
{
    uint16_t status;

    if (!(s->cr & CR_RE) || length < NET_HEADER || length > NET_MAX_FRAME)
        return true;
    status = rtl8139_match(s, data);
    if (!status)
        return true;
    return s->cpcr & CPCR_RX ? rtl8139_cplus_put(s, status, data, length) : ring_put(s, status, data, length);
}

/* ---- wake-up ---- */

/*
 * The CRC over the bytes of the frame that the mask selects: x^16 + x^12 + x^5 + 1, from all ones, each byte
 * from its lowest bit. The data sheet does not say so; the values that Realtek's later chips are given for
 * known frames are of this one. False: a byte that counts is behind the frame's end, or none counts.
 */
static bool wakeup_crc(const uint8_t mask[16], const uint8_t *data, size_t length, uint16_t *crc)
{
    bool any = false;

    *crc = 0xFFFF;
    for (size_t at = 0; at < 128; at++) {
        if (!(mask[at / 8] >> at % 8 & 1))
            continue;
        if (at >= length)
            return false;
        any = true;
        for (int bit = 0; bit < 8; bit++)
            *crc = *crc << 1 ^ ((*crc >> 15 ^ data[at] >> bit) & 1 ? 0x1021 : 0);
    }
    return any;
}

/*
 * The long wake-up frames: two neighbours' masks are one, the CRC's halves are in CRC and LSBCRC. How the
 * 8-bit CRC of the short ones is made nobody says, and no driver is known that uses it: none matches.
 */
static bool is_long_wakeup_frame(const struct rtl8139 *s, const uint8_t *data, size_t length)
{
    uint16_t crc;

    for (unsigned i = 2; i < 8 && s->config4 & CONFIG4_LONGWF; i += 2)
        if (wakeup_crc(s->wakeup + WAKEUP0 - CRC0 + 8 * i, data, length, &crc) &&
            crc == (s->wakeup[i] | s->wakeup[LSBCRC0 - CRC0 + i] << 8))
            return true;
    return false;
}

/* A frame that comes while the chip sleeps: it need not be received, but be one that is addressed to it. */
static void rtl8139_look_for_wakeup(struct rtl8139 *s, const uint8_t *data, size_t length)
{
    uint16_t status = rtl8139_match(s, data);
    bool known = (status & RX_BAR && s->config5 & CONFIG5_BWF) ||
                 (status & RX_MAR && s->config5 & CONFIG5_MWF) ||
                 (status & RX_PAM && s->config5 & CONFIG5_UWF);

    if (status && (known || (s->config3 & CONFIG3_MAGIC && nic_is_magic(data, length, s->idr)) ||
                   is_long_wakeup_frame(s, data, length)))
        pci_raise_pme(&s->pci);
}

/* A frame that waited is filtered as one that comes now. */
static void rtl8139_power_changed(struct pci_device *pci)
{
    nic_resume(&((struct rtl8139 *)pci)->nic);
}

static bool rtl8139_card_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct rtl8139 *s = opaque;

    if (!pci_is_on(&s->pci)) {
        rtl8139_look_for_wakeup(s, data, length);
        return true;
    }
    if ((s->tcr & TCR_LOOPBACK) == TCR_LOOPBACK)
        return true;
    if (rtl8139_rx_frame(s, data, length))
        return true;
    if (s->cpcr & CPCR_RX) { /* no register tells of descriptors that the driver gives back */
        rtl8139_raise(s, INT_RXOVW);
        nic_retry(&s->nic);
    } else { /* nothing is lost, so no overflow, which drivers count as an error; the ring has frames */
        rtl8139_raise(s, INT_ROK);
    }
    return false;
}

static void rtl8139_card_link_changed(void *opaque, bool up)
{
    struct rtl8139 *s = opaque;

    if (!pci_is_on(&s->pci)) {
        if (up && s->config3 & CONFIG3_LINKUP)
            pci_raise_pme(&s->pci);
        return;
    }
    s->cscr |= CSCR_CHANGED;
    rtl8139_raise(s, INT_LINKCHG);
}

/* ---- transmitter ---- */

/* False: the wire is full. */
bool rtl8139_tx_frame(struct rtl8139 *s, uint8_t *data, size_t length)
{
    struct net_frame frame = {.data = data, .length = length ? nic_pad(data, length) : 0};

    if ((s->tcr & TCR_LOOPBACK) != TCR_LOOPBACK)
        return net_send(s->nic.port, &frame);
    if (!rtl8139_rx_frame(s, data, frame.length))
        rtl8139_raise(s, INT_RXOVW);
    return true;
}

/* ---- transmitter: four descriptors, in turn ---- */

/* Sends what one descriptor holds. False: the wire is full. */
static bool tx_descriptor(struct rtl8139 *s, unsigned nth)
{
    uint8_t data[TX_MAX];
    uint32_t length = s->tsd[nth] & TSD_SIZE;

    if (length > TX_MAX || !pci_dma_read(&s->pci, s->tsad[nth], data, length)) {
        s->tsd[nth] |= TSD_OWN | TSD_TABT;
        rtl8139_raise(s, INT_TER);
        return true;
    }
    if (!rtl8139_tx_frame(s, data, length))
        return false;
    s->tsd[nth] |= TSD_OWN | TSD_TOK;
    s->tx_ok++;
    rtl8139_raise(s, INT_TOK);
    return true;
}

static void rtl8139_transmit(void *opaque)
{
    struct rtl8139 *s = opaque;

    if (s->cpcr & CPCR_TX) {
        rtl8139_cplus_transmit(s);
        return;
    }
    for (int i = 0; i < TX_DESCRIPTORS && s->cr & CR_TE && pci_is_on(&s->pci); i++) {
        if (s->tsd[s->tx_next] & TSD_OWN || !tx_descriptor(s, s->tx_next))
            break;
        s->tx_next = (s->tx_next + 1) % TX_DESCRIPTORS;
    }
}

/* ---- registers ---- */

static void stop_transmitter(struct rtl8139 *s)
{
    for (int i = 0; i < TX_DESCRIPTORS; i++)
        s->tsd[i] = TSD_OWN;
    s->tx_next = s->tx_index = 0;
    s->tx_ready = false;
    s->tx_bad = true;
    s->tx_length = s->tx_sent = s->tx_piece = 0;
    loop_cancel(&rtl8139_machine_of(s)->loop, &s->tx_work);
}

/* CR_RST: all but the addresses, the EEPROM and what was loaded from it. */
static void rtl8139_chip_reset(struct rtl8139 *s)
{
    stop_transmitter(s);
    memset(s->tsad, 0, sizeof(s->tsad));
    s->rbstart = 0;
    s->cpcr = 0;
    s->rdsar[0] = s->rdsar[1] = 0;
    s->cr = 0;
    s->imr = s->isr = s->mulint = 0;
    s->tcr = s->rcr = s->mpc = s->timer_int = 0;
    s->timer_start = clock_now(&rtl8139_machine_of(s)->clock);
    timer_cancel(&s->timer);
    nic_reset(&s->nic);
    ring_restart(s);
    rtl8139_update_irq(s);
}

static void write_cr(struct rtl8139 *s, uint8_t value)
{
    uint8_t before = s->cr;

    if (value & CR_RST) {
        rtl8139_chip_reset(s);
        return;
    }
    s->cr = value & (CR_TE | CR_RE);
    if (~before & s->cr & CR_RE)
        ring_restart(s);
    if (before & ~s->cr & CR_TE)
        stop_transmitter(s);
    nic_resume(&s->nic);
    rtl8139_transmit(s);
}

static uint16_t tx_summary(const struct rtl8139 *s)
{
    uint16_t value = 0;

    for (int i = 0; i < TX_DESCRIPTORS; i++)
        value |= !!(s->tsd[i] & TSD_OWN) << i | !!(s->tsd[i] & TSD_TABT) << (4 + i) |
                 !!(s->tsd[i] & TSD_TUN) << (8 + i) | !!(s->tsd[i] & TSD_TOK) << (12 + i);
    return value;
}

/* The width of the register at an offset. */
static unsigned register_width(unsigned offset)
{
    static const struct {
        uint8_t from, to, width;
    } wide[] = {{TSD0, RBSTART + 3, 4},        {CAPR, ISR + 1, 2},    {TCR, MPC + 3, 4},
                {TIMER_INT, TIMER_INT + 3, 4}, {MULINT, CSCR + 1, 2}, {CPCR, CPCR + 1, 2},
                {RDSAR, RDSAR + 7, 4}};

    for (size_t i = 0; i < COUNT(wide); i++)
        if (offset >= wide[i].from && offset <= wide[i].to)
            return wide[i].width;
    return 1;
}

static uint32_t rtl8139_read_status(const struct rtl8139 *s, unsigned offset)
{
    bool link = net_link_up(s->nic.port);

    switch (offset) {
    case MSR:
        return MSR_AUX | (link ? 0 : MSR_LINKB) | (mii_is_fast(&s->phy) ? 0 : MSR_SPEED_10);
    case TSAD:
        return tx_summary(s);
    case BMCR:
    case BMSR:
        return mii_read(&s->phy, MII_BMCR + (offset - BMCR) / 2, link);
    case ANAR:
    case ANLPAR:
    case ANER:
        return mii_read(&s->phy, MII_ANAR + (offset - ANAR) / 2, link);
    case NWAYTR:
        return s->nwaytr;
    case CSCR:
        return s->cscr | (link ? CSCR_LINK_OK : 0);
    default:
        return 0;
    }
}

/* The register that begins at offset, all of it. */
static uint32_t rtl8139_read_register(const struct rtl8139 *s, unsigned offset)
{
    if (offset < IDR0 + 6)
        return s->idr[offset];
    if (offset >= MAR0 && offset < MAR0 + 8)
        return s->mar[offset - MAR0];
    if (offset >= CRC0 && offset < WAKEUP_END)
        return s->wakeup[offset - CRC0];
    if (offset >= TSD0 && offset < TSAD0)
        return s->tsd[(offset - TSD0) / 4];
    if (offset >= TSAD0 && offset < RBSTART)
        return s->tsad[(offset - TSAD0) / 4];
    switch (offset) {
    case RBSTART:
        return s->rbstart;
    case CR:
        return s->cr | (ring_empty(s) ? CR_BUFE : 0);
    case CAPR:
        return s->capr;
    case CBR:
        return s->cbr;
    case IMR:
        return s->imr;
    case ISR:
        return s->isr;
    case TCR:
        return s->tcr | TCR_HWVERID | (s->revision >= REVISION_CPLUS ? TCR_CPLUS : 0);
    case RCR:
        return s->rcr;
    case TCTR:
        return timer_ticks(s);
    case MPC:
        return s->mpc;
    case EECR:
        return s->eecr | (s->eeprom.out ? EECR_DO : 0);
    case CONFIG0:
        return s->config0;
    case CONFIG1:
        return s->config1;
    case TIMER_INT:
        return s->timer_int;
    case CONFIG3:
        return s->config3;
    case CONFIG4:
        return s->config4;
    case CONFIG5:
        return s->config5;
    case MULINT:
        return s->mulint;
    case CPCR:
        return s->cpcr;
    case RDSAR:
    case RDSAR + 4:
        return s->rdsar[(offset - RDSAR) / 4];
    default:
        return rtl8139_read_status(s, offset);
    }
}

/* The CONFIG registers; all but one only while the driver has unlocked them. */
static void write_config(struct rtl8139 *s, unsigned offset, uint8_t value)
{
    if (offset == CONFIG5)
        s->config5 = value & CONFIG5_MASK;
    if ((s->eecr & EECR_EEM) != EECR_CONFIG)
        return;
    if (offset == CONFIG1)
        set_config1(s, value);
    else if (offset == CONFIG3)
        s->config3 = value & CONFIG3_MASK;
    else if (offset == CONFIG4)
        s->config4 = value & CONFIG4_MASK;
}

static void write_phy(struct rtl8139 *s, unsigned offset, uint16_t value)
{
    switch (offset) {
    case BMCR:
        mii_write(&s->phy, MII_BMCR, value);
        break;
    case ANAR:
        mii_write(&s->phy, MII_ANAR, value);
        break;
    case NWAYTR:
        s->nwaytr = value & 0x00FF;
        break;
    case CSCR:
        s->cscr = value & ~(CSCR_LINK_OK | CSCR_CHANGED);
        break;
    }
}

static void write_ring(struct rtl8139 *s, unsigned offset, uint32_t value)
{
    if (offset == CAPR)
        s->capr = value;
    else if (offset == RCR)
        s->rcr = value & RCR_WRITABLE;
    nic_resume(&s->nic);
}

static void write_timer(struct rtl8139 *s, unsigned offset, uint32_t value)
{
    if (offset == TCTR)
        s->timer_start = clock_now(&rtl8139_machine_of(s)->clock); /* any value: from 0 */
    else
        s->timer_int = value;
    timer_arm(s);
}

/*
 * A driver that has cleared what tells of frames gets it anew, by the frame that still waits or by those that
 * it left in the ring: Linux' 8139too clears it behind each frame, stops after 64, and looks into the ring
 * again only if it is set.
 */
static void rtl8139_write_interrupts(struct rtl8139 *s, unsigned offset, uint16_t value)
{
    if (offset == ISR)
        s->isr &= ~value;
    else
        s->imr = value & INT_ALL;
    if (offset == IMR && s->imr & INT_ROK && s->cr & CR_RE && !(s->cpcr & CPCR_RX) && !ring_empty(s))
        s->isr |= INT_ROK;
    rtl8139_update_irq(s);
    nic_resume(&s->nic);
}

/* value: the whole register, where the bytes that were not written are as they were (ISR: 0). */
static void rtl8139_write_register(struct rtl8139 *s, unsigned offset, uint32_t value)
{
    switch (offset) {
    case RBSTART:
        s->rbstart = value;
        ring_restart(s);
        break;
    case CR:
        write_cr(s, value);
        break;
    case CAPR:
    case RCR:
        write_ring(s, offset, value);
        break;
    case IMR:
    case ISR:
        rtl8139_write_interrupts(s, offset, value);
        break;
    case TCR:
        s->tcr = value & TCR_WRITABLE;
        break;
    case TCTR:
    case TIMER_INT:
        write_timer(s, offset, value);
        break;
    case MPC:
        s->mpc = 0;
        break;
    case EECR:
        write_eecr(s, value);
        break;
    case CPCR:
    case TPPOLL:
    case RDSAR:
    case RDSAR + 4:
        rtl8139_cplus_write(s, offset, value);
        break;
    case MULINT:
        s->mulint = value & 0x0FFF;
        break;
    case CONFIG1:
    case CONFIG3:
    case CONFIG4:
    case CONFIG5:
        write_config(s, offset, value);
        break;
    default:
        write_phy(s, offset, value);
    }
}

/* Registers of which there are several. */
static void write_array(struct rtl8139 *s, unsigned offset, uint32_t value)
{
    if (offset < IDR0 + 6)
        s->idr[offset] = value;
    else if (offset >= MAR0 && offset < MAR0 + 8)
        s->mar[offset - MAR0] = value;
    else if (offset >= TSAD0) {
        s->tsad[(offset - TSAD0) / 4] = value;
        if (rtl8139_in_cplus(s) && offset < TSAD0 + 8)
            s->tx_index = 0; /* TNPDS */
    }
}

/* A whole doubleword starts the descriptor; parts of one would start what is half written. */
static void write_tsd(struct rtl8139 *s, unsigned nth, uint32_t value)
{
    if (rtl8139_in_cplus(s)) {
        s->tsd[nth] = nth ? value : value & ~DTCCR_DUMP;
        if (!nth && value & DTCCR_DUMP)
            rtl8139_dump_counters(s);
        return;
    }
    s->tsd[nth] = value & 0x003F3FFF;
    rtl8139_transmit(s);
}

static void write_part(struct rtl8139 *s, unsigned offset, uint32_t value, uint32_t mask)
{
    uint32_t kept = offset == ISR ? 0 : rtl8139_read_register(s, offset) & ~mask;

    value = (value & mask) | kept;
    if (offset >= TSD0 && offset < TSAD0) {
        if (mask == UINT32_MAX)
            write_tsd(s, (offset - TSD0) / 4, value);
    } else if (offset >= CRC0 && offset < WAKEUP_END) {
        s->wakeup[offset - CRC0] = value;
    } else if (offset < RBSTART) {
        write_array(s, offset, value);
    } else {
        rtl8139_write_register(s, offset, value);
    }
}

/* Accesses of any size at any offset are made of the registers' parts that they cover. */
static uint64_t rtl8139_bar_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct rtl8139 *s = opaque;
    uint64_t value = 0;

    for (unsigned done = 0, n; done < size; done += n) {
        unsigned at = offset + done, width = register_width(at), skip = at % width;

        n = width - skip < size - done ? width - skip : size - done;
        value |= (uint64_t)(rtl8139_read_register(s, at - skip) >> 8 * skip) << 8 * done;
    }
    return value;
}

static void rtl8139_bar_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct rtl8139 *s = opaque;

    for (unsigned done = 0, n; done < size; done += n) {
        unsigned at = offset + done, width = register_width(at), skip = at % width;

        n = width - skip < size - done ? width - skip : size - done;
        write_part(s, at - skip, (uint32_t)(value >> 8 * done) << 8 * skip,
                   (uint32_t)(((1ull << 8 * n) - 1) << 8 * skip));
    }
}

static const struct region_ops bar_ops = {
    .read = rtl8139_bar_read, .write = rtl8139_bar_write, .max_size = 4};

/* ---- life ---- */

static void rtl8139_reset(struct device *dev)
{
    struct rtl8139 *s = (struct rtl8139 *)dev;

    rtl8139_chip_reset(s);
    memset(s->mar, 0, sizeof(s->mar));
    memset(s->wakeup, 0, sizeof(s->wakeup));
    s->eecr = 0;
    eeprom_reset(&s->eeprom);
    mii_reset(&s->phy);
    s->nwaytr = s->cscr = 0;
    rtl8139_eeprom_load(s);
}

static bool rtl8139_realize(struct device *dev, struct error *err)
{
    struct rtl8139 *s = (struct rtl8139 *)dev;
    struct machine *m = dev->machine;
    const struct net_card chip = {.receive = rtl8139_card_receive,
                                  .sent = rtl8139_transmit,
                                  .link_changed = rtl8139_card_link_changed,
                                  .opaque = s};

    if (!nic_realize(&s->nic, &s->pci, &chip, err))
        return false;
    timer_init(&s->timer, &m->clock, timer_fire, s);
    s->tx_work = (struct loop_work){.run = rtl8139_transmit, .opaque = s};
    s->pci.power_changed = rtl8139_power_changed;
    s->pci.config[PCI_REVISION_ID] = s->revision;
    rtl8139_eeprom_fill(s);
    s->io = (struct region){.name = "rtl8139-io", .size = BAR_SIZE, .ops = &bar_ops, .opaque = s};
    s->memory = (struct region){.name = "rtl8139-memory", .size = BAR_SIZE, .ops = &bar_ops, .opaque = s};
    pci_add_bar(&s->pci, 0, PCI_BAR_IO, &s->io);
    pci_add_bar(&s->pci, 1, PCI_BAR_MEM, &s->memory);
    return true;
}

static void rtl8139_unrealize(struct device *dev)
{
    struct rtl8139 *s = (struct rtl8139 *)dev;

    loop_cancel(&dev->machine->loop, &s->tx_work);
    timer_cancel(&s->timer);
    nic_unrealize(&s->nic);
}

static void rtl8139_settle(struct device *dev)
{
    struct rtl8139 *s = (struct rtl8139 *)dev;

    nic_settle(&s->nic, &s->tx_work);
}

static void rtl8139_loaded(struct device *dev)
{
    struct rtl8139 *s = (struct rtl8139 *)dev;

    rtl8139_update_irq(s);
    nic_loaded(&s->nic, &s->tx_work);
}

static const struct property properties[] = {
    NIC_PROPERTIES(struct rtl8139, nic),
    PROPERTY(PROP_UINT8, struct rtl8139, revision, "revision", .initial = "0x20", .min = 0x10, .max = 0x20,
             .help = "0x10: RTL8139C; 0x20: RTL8139C+, with descriptor rings and offloads"),
    {.name = NULL},
};

/* The revision is the property's: below 0x20 a driver takes the chip for an RTL8139C. */
static const struct pci_info info = {.vendor = 0x10EC,
                                     .device = 0x8139,
                                     .class_code = 0x020000,
                                     .revision = 0x10,
                                     .interrupt_pin = 1,
                                     .rom = "efi-rtl8139.rom"};

static const struct device_class rtl8139_class = {
    .name = "rtl8139",
    .description = "Realtek RTL8139C or RTL8139C+ Fast Ethernet",
    .bus = &pci_bus_ops,
    .hotplug = true,
    .size = sizeof(struct rtl8139),
    .bus_info = &info,
    .properties = properties,
    .state = &rtl8139_state,
    .realize = rtl8139_realize,
    .unrealize = rtl8139_unrealize,
    .reset = rtl8139_reset,
    .settle = rtl8139_settle,
    .loaded = rtl8139_loaded,
};
DEVICE_CLASS(rtl8139_class);
