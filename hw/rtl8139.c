/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Realtek RTL8139C(L) Fast Ethernet controller (data sheet RTL8139C(L), 2001; programming guide 8139(A/B)
 * V0.1). What the chip would drop because its receive buffer is full waits in the wire instead.
 */
#include <string.h>

#include "machine/machine.h"
#include "machine/pci.h"
#include "net/net.h"

enum { BAR_SIZE = 256, TX_DESCRIPTORS = 4, TX_MAX = 1792, EEPROM_WORDS = 64, FCS = 4 };

#define TICK_NS 30 /* of the timer: the PCI clock, 33 MHz */

enum {
    IDR0 = 0x00,
    MAR0 = 0x08,
    TSD0 = 0x10,
    TSAD0 = 0x20,
    RBSTART = 0x30,
    CR = 0x37,
    CAPR = 0x38,
    CBR = 0x3A,
    IMR = 0x3C,
    ISR = 0x3E,
    TCR = 0x40,
    RCR = 0x44,
    TCTR = 0x48,
    MPC = 0x4C,
    EECR = 0x50, /* 9346CR */
    CONFIG0 = 0x51,
    CONFIG1 = 0x52,
    TIMER_INT = 0x54,
    MSR = 0x58,
    CONFIG3 = 0x59,
    CONFIG4 = 0x5A,
    MULINT = 0x5C,
    TSAD = 0x60,
    BMCR = 0x62,
    BMSR = 0x64,
    ANAR = 0x66,
    ANLPAR = 0x68,
    ANER = 0x6A,
    NWAYTR = 0x70,
    CSCR = 0x74,
    CONFIG5 = 0xD8,
};

#define CR_BUFE 0x01
#define CR_TE   0x04
#define CR_RE   0x08
#define CR_RST  0x10

#define INT_ROK     0x0001
#define INT_TOK     0x0004
#define INT_TER     0x0008
#define INT_RXOVW   0x0010
#define INT_LINKCHG 0x0020
#define INT_TIMEOUT 0x4000
#define INT_ALL     0xE07F

#define TSD_SIZE 0x00001FFFu
#define TSD_OWN  0x00002000u
#define TSD_TUN  0x00004000u
#define TSD_TOK  0x00008000u
#define TSD_TABT 0x40000000u

#define TCR_HWVERID  0x74000000u /* RTL8139C */
#define TCR_WRITABLE 0x030707F0u
#define TCR_LOOPBACK 0x00060000u

#define RCR_AAP      0x00000001u
#define RCR_APM      0x00000002u
#define RCR_AM       0x00000004u
#define RCR_AB       0x00000008u
#define RCR_WRAP     0x00000080u
#define RCR_WRITABLE 0x0F03FFBFu

/* Status in front of a received frame */
#define RX_ROK 0x0001
#define RX_BAR 0x2000
#define RX_PAM 0x4000
#define RX_MAR 0x8000

#define EECR_EEM     0xC0
#define EECR_LOAD    0x40
#define EECR_PROGRAM 0x80
#define EECR_CONFIG  0xC0 /* CONFIG registers can be written */
#define EECR_CS      0x08
#define EECR_SK      0x04
#define EECR_DI      0x02
#define EECR_DO      0x01

#define CONFIG1_MAPPED 0x0C /* I/O and memory: as the BARs say */

#define MSR_LINKB 0x04 /* no link */
#define MSR_AUX   0x10

#define BMCR_RESET   0x8000
#define BMCR_RESTART 0x0200
#define BMSR_FIXED   0x7809 /* 10 and 100 Mbit/s, half and full duplex, negotiation, extended registers */
#define BMSR_DONE    0x0020
#define BMSR_LINK    0x0004

enum eeprom_phase { EE_START, EE_COMMAND, EE_READ, EE_WRITE };

/* 93C46 in its 16-bit organisation: a start bit, 2 bits of operation, 6 of address, 16 of data, each taken
 * when SK rises. */
struct eeprom {
    uint16_t words[EEPROM_WORDS];
    uint8_t phase, bits, command;
    uint16_t shift;
    bool out, writable;
};

struct rtl8139 {
    struct pci_device pci;
    struct region io, memory;
    struct net_card card;
    struct net_port *port;
    uint8_t mac[6];
    struct eeprom eeprom;
    struct timer timer;

    uint8_t idr[6], mar[8];
    uint32_t tsd[TX_DESCRIPTORS], tsad[TX_DESCRIPTORS];
    uint8_t tx_next; /* the descriptor that is sent next */
    uint32_t rbstart;
    uint16_t capr, cbr;
    uint8_t cr, eecr, config0, config1, config3, config4, config5;
    uint16_t imr, isr, mulint, bmcr, anar, nwaytr, cscr;
    uint32_t tcr, rcr, mpc, timer_int;
    int64_t timer_start; /* guest time at which the timer was 0 */
    bool rx_waits;       /* the wire keeps a frame for which there was no room */
};

static struct machine *machine_of(const struct rtl8139 *s)
{
    return s->pci.dev.machine;
}

/* ---- interrupts ---- */

static void update_irq(struct rtl8139 *s)
{
    pci_set_intx(&s->pci, s->isr & s->imr);
}

static void raise(struct rtl8139 *s, uint16_t bits)
{
    s->isr |= bits;
    update_irq(s);
}

/* ---- timer ---- */

static uint32_t timer_ticks(const struct rtl8139 *s)
{
    return (uint64_t)(clock_now(&machine_of(s)->clock) - s->timer_start) / TICK_NS;
}

/* TIMER_INT 0 is none; else the moment when the counter, which wraps, has that value next. */
static void timer_arm(struct rtl8139 *s)
{
    int64_t now = clock_now(&machine_of(s)->clock);
    uint32_t left = s->timer_int - timer_ticks(s);

    if (s->timer_int)
        timer_set(&s->timer, now + (left ? (int64_t)left : 1ll << 32) * TICK_NS);
    else
        timer_cancel(&s->timer);
}

static void timer_fire(void *opaque)
{
    struct rtl8139 *s = opaque;

    raise(s, INT_TIMEOUT);
    timer_arm(s);
}

/* ---- EEPROM ---- */

static void eeprom_fill(struct rtl8139 *s)
{
    uint16_t *words = s->eeprom.words;

    words[0] = 0x8129; /* the contents are valid */
    words[1] = pci_get16(&s->pci, PCI_VENDOR_ID);
    words[2] = pci_get16(&s->pci, PCI_DEVICE_ID);
    words[3] = pci_get16(&s->pci, PCI_SUBSYSTEM_VENDOR_ID);
    words[4] = pci_get16(&s->pci, PCI_SUBSYSTEM_ID);
    words[5] = 0x4020; /* maximum latency, minimum grant */
    for (int i = 0; i < 3; i++)
        words[7 + i] = s->mac[2 * i] | s->mac[2 * i + 1] << 8;
}

static void eeprom_write_all(struct eeprom *ee, uint16_t value)
{
    for (int i = 0; i < EEPROM_WORDS && ee->writable; i++)
        ee->words[i] = value;
}

/* The command is complete. */
static void eeprom_begin(struct eeprom *ee)
{
    unsigned operation = ee->command >> 6, address = ee->command & 0x3F;

    ee->bits = 0;
    ee->phase = EE_START;
    if (operation == 2) {
        ee->phase = EE_READ;
        ee->shift = ee->words[address];
        ee->out = false;
    } else if (operation == 1 || (operation == 0 && address >> 4 == 1)) {
        ee->phase = EE_WRITE;
    } else if (operation == 3 && ee->writable) {
        ee->words[address] = 0xFFFF;
    } else if (operation == 0 && address >> 4 == 2) {
        eeprom_write_all(ee, 0xFFFF);
    } else if (operation == 0) {
        ee->writable = address >> 4 == 3;
    }
}

static void eeprom_store(struct eeprom *ee)
{
    ee->phase = EE_START;
    if (ee->command >> 6 == 0)
        eeprom_write_all(ee, ee->shift);
    else if (ee->writable)
        ee->words[ee->command & 0x3F] = ee->shift;
}

static void eeprom_clock(struct eeprom *ee, bool in)
{
    switch (ee->phase) {
    case EE_START:
        ee->out = true;
        ee->bits = 0;
        if (in)
            ee->phase = EE_COMMAND;
        break;
    case EE_COMMAND:
        ee->command = ee->command << 1 | in;
        if (++ee->bits == 8)
            eeprom_begin(ee);
        break;
    case EE_READ: /* on into the next word */
        ee->out = ee->shift >> 15;
        ee->shift <<= 1;
        if (++ee->bits == 16) {
            ee->bits = 0;
            ee->command = (ee->command & 0xC0) | ((ee->command + 1) & 0x3F);
            ee->shift = ee->words[ee->command & 0x3F];
        }
        break;
    default:
        ee->shift = ee->shift << 1 | in;
        if (++ee->bits == 16)
            eeprom_store(ee);
    }
}

/* What the chip takes from its EEPROM at power on and on request. */
static void eeprom_load(struct rtl8139 *s)
{
    for (int i = 0; i < 6; i++)
        s->idr[i] = s->eeprom.words[7 + i / 2] >> 8 * (i % 2);
    s->config1 = CONFIG1_MAPPED;
}

static void write_eecr(struct rtl8139 *s, uint8_t value)
{
    bool selected = (value & (EECR_EEM | EECR_CS)) == (EECR_PROGRAM | EECR_CS);

    if (!selected)
        s->eeprom.phase = EE_START;
    else if (value & EECR_SK && !(s->eecr & EECR_SK))
        eeprom_clock(&s->eeprom, value & EECR_DI);
    s->eecr = value & (EECR_EEM | EECR_CS | EECR_SK | EECR_DI);
    if ((value & EECR_EEM) == EECR_LOAD) {
        eeprom_load(s);
        s->eecr = 0;
    }
}

/* ---- receiver: a ring buffer in memory ---- */

static uint32_t ring_size(const struct rtl8139 *s)
{
    return 8192u << (s->rcr >> 11 & 3);
}

/* Where the driver reads next: CAPR runs 16 behind. */
static uint32_t ring_reader(const struct rtl8139 *s)
{
    return (s->capr + 16u) & (ring_size(s) - 4);
}

static uint32_t ring_writer(const struct rtl8139 *s)
{
    return s->cbr & (ring_size(s) - 4);
}

static bool ring_empty(const struct rtl8139 *s)
{
    return ring_reader(s) == ring_writer(s);
}

static uint32_t ring_room(const struct rtl8139 *s)
{
    uint32_t size = ring_size(s);

    /* never full to the last byte: that would be empty */
    return (ring_reader(s) - ring_writer(s) - 4) & (size - 1);
}

/* The driver may have made room, or a reset has made the question void. */
static void rx_resume(struct rtl8139 *s)
{
    if (!s->rx_waits)
        return;
    s->rx_waits = false;
    net_resume(s->port);
}

static void ring_restart(struct rtl8139 *s)
{
    s->cbr = 0;
    s->capr = 0xFFF0;
    rx_resume(s);
}

/* The status bits for the destination, 0: not for us. */
static uint16_t match(const struct rtl8139 *s, const uint8_t *to)
{
    static const uint8_t broadcast[6] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    unsigned hash;

    if (!memcmp(to, broadcast, 6))
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

/* With RCR_WRAP a frame runs on behind the ring's end; the largest ring has no such room. */
static bool ring_write(struct rtl8139 *s, const uint8_t *data, uint32_t length)
{
    uint32_t size = ring_size(s), at = ring_writer(s), first = length;

    if (at + length > size && (size == 65536 || !(s->rcr & RCR_WRAP)))
        first = size - at;
    return pci_dma_write(&s->pci, (uint64_t)s->rbstart + at, data, first) &&
           (first == length || pci_dma_write(&s->pci, s->rbstart, data + first, length - first));
}

/* Header, frame and check sequence into the ring. False: no room. */
static bool ring_put(struct rtl8139 *s, uint16_t status, const uint8_t *data, size_t length)
{
    uint8_t entry[4 + NET_MAX_FRAME + FCS + 3] = {0};
    size_t frame = length < NET_MIN_FRAME ? NET_MIN_FRAME : length;
    uint32_t total = (4 + frame + FCS + 3) & ~3u, crc;

    if (ring_room(s) < total)
        return false;
    memcpy(entry + 4, data, length);
    crc = ~net_crc(entry + 4, frame);
    for (int i = 0; i < 4; i++) {
        entry[i] = (uint32_t)((frame + FCS) << 16 | status) >> 8 * i;
        entry[4 + frame + i] = crc >> 8 * i;
    }
    if (ring_write(s, entry, total)) {
        s->cbr = (ring_writer(s) + total) & (ring_size(s) - 1);
        raise(s, INT_ROK);
    } else if (s->mpc < 0xFFFFFF) {
        s->mpc++; /* the ring is not in memory */
    }
    return true;
}

static bool rx_frame(struct rtl8139 *s, const uint8_t *data, size_t length)
{
    uint16_t status;

    if (!(s->cr & CR_RE) || s->pci.removed || length < NET_HEADER || length > NET_MAX_FRAME)
        return true;
    status = match(s, data);
    return !status || ring_put(s, status, data, length);
}

static bool card_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct rtl8139 *s = opaque;

    if ((s->tcr & TCR_LOOPBACK) == TCR_LOOPBACK)
        return true;
    s->rx_waits = !rx_frame(s, data, length);
    return !s->rx_waits;
}

static void card_link_changed(void *opaque, bool up)
{
    raise(opaque, INT_LINKCHG);
}

/* ---- transmitter: four descriptors, in turn ---- */

/* False: the wire has no room. */
static bool tx_frame(struct rtl8139 *s, uint8_t *data, size_t length)
{
    struct net_frame frame = {.data = data, .length = length};

    if (length && length < NET_MIN_FRAME) {
        memset(data + length, 0, NET_MIN_FRAME - length);
        frame.length = NET_MIN_FRAME;
    }
    if ((s->tcr & TCR_LOOPBACK) != TCR_LOOPBACK)
        return net_send(s->port, &frame);
    if (!rx_frame(s, data, frame.length))
        raise(s, INT_RXOVW);
    return true;
}

/* Sends what one descriptor holds. False: the wire has no room. */
static bool tx_descriptor(struct rtl8139 *s, unsigned nth)
{
    uint8_t data[TX_MAX];
    uint32_t length = s->tsd[nth] & TSD_SIZE;

    if (length > TX_MAX || !pci_dma_read(&s->pci, s->tsad[nth], data, length)) {
        s->tsd[nth] |= TSD_OWN | TSD_TABT;
        raise(s, INT_TER);
        return true;
    }
    if (!tx_frame(s, data, length))
        return false;
    s->tsd[nth] |= TSD_OWN | TSD_TOK;
    raise(s, INT_TOK);
    return true;
}

static void transmit(void *opaque)
{
    struct rtl8139 *s = opaque;

    for (int i = 0; i < TX_DESCRIPTORS && s->cr & CR_TE && !s->pci.removed; i++) {
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
    s->tx_next = 0;
}

/* CR_RST: all but the addresses, the EEPROM and what was loaded from it. */
static void chip_reset(struct rtl8139 *s)
{
    stop_transmitter(s);
    memset(s->tsad, 0, sizeof(s->tsad));
    s->rbstart = 0;
    s->cr = 0;
    s->imr = s->isr = s->mulint = 0;
    s->tcr = s->rcr = s->mpc = s->timer_int = 0;
    s->timer_start = clock_now(&machine_of(s)->clock);
    timer_cancel(&s->timer);
    ring_restart(s);
    update_irq(s);
}

static void write_cr(struct rtl8139 *s, uint8_t value)
{
    uint8_t before = s->cr;

    if (value & CR_RST) {
        chip_reset(s);
        return;
    }
    s->cr = value & (CR_TE | CR_RE);
    if (~before & s->cr & CR_RE)
        ring_restart(s);
    if (before & ~s->cr & CR_TE)
        stop_transmitter(s);
    rx_resume(s);
    transmit(s);
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
    } wide[] = {{TSD0, RBSTART + 3, 4},
                {CAPR, ISR + 1, 2},
                {TCR, MPC + 3, 4},
                {TIMER_INT, TIMER_INT + 3, 4},
                {MULINT, CSCR + 1, 2}};

    for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++)
        if (offset >= wide[i].from && offset <= wide[i].to)
            return wide[i].width;
    return 1;
}

static uint32_t read_status(const struct rtl8139 *s, unsigned offset)
{
    bool link = net_link_up(s->port);

    switch (offset) {
    case MSR:
        return MSR_AUX | (link ? 0 : MSR_LINKB);
    case TSAD:
        return tx_summary(s);
    case BMCR:
        return s->bmcr;
    case BMSR:
        return BMSR_FIXED | (link ? BMSR_DONE | BMSR_LINK : 0);
    case ANAR:
        return s->anar;
    case ANLPAR: /* a switch that can do all that this card can */
        return link ? 0x45E1 : 0;
    case ANER:
        return link;
    case NWAYTR:
        return s->nwaytr;
    case CSCR:
        return s->cscr;
    default:
        return 0;
    }
}

/* The register that begins at offset, all of it. */
static uint32_t read_register(const struct rtl8139 *s, unsigned offset)
{
    if (offset < IDR0 + 6)
        return s->idr[offset];
    if (offset >= MAR0 && offset < MAR0 + 8)
        return s->mar[offset - MAR0];
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
        return s->tcr | TCR_HWVERID;
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
    default:
        return read_status(s, offset);
    }
}

/* The CONFIG registers, while the driver has unlocked them. */
static void write_config(struct rtl8139 *s, unsigned offset, uint8_t value)
{
    if (offset == CONFIG5)
        s->config5 = value & 0x7F;
    if ((s->eecr & EECR_EEM) != EECR_CONFIG)
        return;
    if (offset == CONFIG1)
        s->config1 = (value & ~CONFIG1_MAPPED) | CONFIG1_MAPPED;
    else if (offset == CONFIG3)
        s->config3 = value & 0x7D;
    else if (offset == CONFIG4)
        s->config4 = value;
}

static void write_phy(struct rtl8139 *s, unsigned offset, uint16_t value)
{
    switch (offset) {
    case BMCR: /* reset and restart are done at once */
        s->bmcr = value & BMCR_RESET ? 0x3100 : value & ~BMCR_RESTART & 0x7D80;
        break;
    case ANAR:
        s->anar = value;
        break;
    case NWAYTR:
        s->nwaytr = value & 0x00FF;
        break;
    case CSCR:
        s->cscr = value;
        break;
    }
}

static void write_ring(struct rtl8139 *s, unsigned offset, uint32_t value)
{
    if (offset == CAPR)
        s->capr = value;
    else if (offset == RCR)
        s->rcr = value & RCR_WRITABLE;
    rx_resume(s);
}

static void write_timer(struct rtl8139 *s, unsigned offset, uint32_t value)
{
    if (offset == TCTR)
        s->timer_start = clock_now(&machine_of(s)->clock); /* any value: from 0 */
    else
        s->timer_int = value;
    timer_arm(s);
}

/* value: the whole register, where the bytes that were not written are as they were (ISR: 0). */
static void write_register(struct rtl8139 *s, unsigned offset, uint32_t value)
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
        s->imr = value & INT_ALL;
        update_irq(s);
        break;
    case ISR:
        s->isr &= ~value;
        update_irq(s);
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
    else if (offset >= TSAD0)
        s->tsad[(offset - TSAD0) / 4] = value;
}

/* A whole doubleword starts the descriptor; parts of one would start what is half written. */
static void write_tsd(struct rtl8139 *s, unsigned nth, uint32_t value)
{
    s->tsd[nth] = value & 0x003F3FFF;
    transmit(s);
}

static void write_part(struct rtl8139 *s, unsigned offset, uint32_t value, uint32_t mask)
{
    uint32_t kept = offset == ISR ? 0 : read_register(s, offset) & ~mask;

    value = (value & mask) | kept;
    if (offset >= TSD0 && offset < TSAD0) {
        if (mask == UINT32_MAX)
            write_tsd(s, (offset - TSD0) / 4, value);
    } else if (offset < RBSTART) {
        write_array(s, offset, value);
    } else {
        write_register(s, offset, value);
    }
}

/* Accesses of any size at any offset are made of the registers' parts that they cover. */
static uint64_t bar_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct rtl8139 *s = opaque;
    uint64_t value = 0;

    for (unsigned done = 0, n; done < size; done += n) {
        unsigned at = offset + done, width = register_width(at), skip = at % width;

        n = width - skip < size - done ? width - skip : size - done;
        value |= (uint64_t)(read_register(s, at - skip) >> 8 * skip) << 8 * done;
    }
    return value;
}

static void bar_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct rtl8139 *s = opaque;

    for (unsigned done = 0, n; done < size; done += n) {
        unsigned at = offset + done, width = register_width(at), skip = at % width;

        n = width - skip < size - done ? width - skip : size - done;
        write_part(s, at - skip, (uint32_t)(value >> 8 * done) << 8 * skip,
                   (uint32_t)(((1ull << 8 * n) - 1) << 8 * skip));
    }
}

static const struct region_ops bar_ops = {.read = bar_read, .write = bar_write, .max_size = 4};

/* ---- life ---- */

static void reset(struct device *dev)
{
    struct rtl8139 *s = (struct rtl8139 *)dev;

    chip_reset(s);
    memset(s->mar, 0, sizeof(s->mar));
    s->eecr = s->config0 = s->config3 = s->config4 = s->config5 = 0;
    s->eeprom.phase = EE_START;
    s->eeprom.writable = false;
    s->bmcr = 0x3100; /* 100 Mbit/s, full duplex, negotiated */
    s->anar = 0x05E1;
    s->nwaytr = s->cscr = 0;
    eeprom_load(s);
}

static bool realize(struct device *dev, struct error *err)
{
    struct rtl8139 *s = (struct rtl8139 *)dev;
    struct machine *m = dev->machine;
    const char *owner = dev->id ? dev->id : dev->cls->name;

    if (!net_choose_mac(s->mac, m->config.name, s->pci.devfn, err))
        return error_prefix(err, "device %s: property mac", dev->cls->name);
    s->card = (struct net_card){
        .receive = card_receive, .sent = transmit, .link_changed = card_link_changed, .opaque = s};
    if (s->port && !net_attach(s->port, &s->card, owner))
        return error_set(err, "device %s: the network '%s' has a card already: %s", dev->cls->name,
                         s->port->id, s->port->owner);
    timer_init(&s->timer, &m->clock, timer_fire, s);
    eeprom_fill(s);
    s->io = (struct region){.name = "rtl8139-io", .size = BAR_SIZE, .ops = &bar_ops, .opaque = s};
    s->memory = (struct region){.name = "rtl8139-memory", .size = BAR_SIZE, .ops = &bar_ops, .opaque = s};
    pci_add_bar(&s->pci, 0, PCI_BAR_IO, &s->io);
    pci_add_bar(&s->pci, 1, PCI_BAR_MEM, &s->memory);
    return true;
}

static void unrealize(struct device *dev)
{
    struct rtl8139 *s = (struct rtl8139 *)dev;

    timer_cancel(&s->timer);
    if (s->port)
        net_detach(s->port);
}

static bool loaded(struct device *dev, struct error *err)
{
    struct rtl8139 *s = (struct rtl8139 *)dev;

    update_irq(s);
    return true;
}

static const struct property properties[] = {
    PROPERTY(PROP_NETDEV, struct rtl8139, port, "netdev", .help = "the wire"),
    PROPERTY(PROP_MAC, struct rtl8139, mac, "mac", .help = "the card's address (default: made from -name)"),
    {.name = NULL},
};

static const struct state_field eeprom_state[] = {
    STATE_ARRAY(struct eeprom, words),        STATE_FIELD_MAX(struct eeprom, phase, EE_WRITE),
    STATE_FIELD_MAX(struct eeprom, bits, 15), STATE_FIELD(struct eeprom, command),
    STATE_FIELD(struct eeprom, shift),        STATE_FIELD(struct eeprom, out),
    STATE_FIELD(struct eeprom, writable),     STATE_END};

static const struct state_field state[] = {STATE_SUB(struct rtl8139, eeprom, eeprom_state),
                                           STATE_TIMER_FIELD(struct rtl8139, timer),
                                           STATE_ARRAY(struct rtl8139, idr),
                                           STATE_ARRAY(struct rtl8139, mar),
                                           STATE_ARRAY(struct rtl8139, tsd),
                                           STATE_ARRAY(struct rtl8139, tsad),
                                           STATE_FIELD_MAX(struct rtl8139, tx_next, TX_DESCRIPTORS - 1),
                                           STATE_FIELD(struct rtl8139, rbstart),
                                           STATE_FIELD(struct rtl8139, capr),
                                           STATE_FIELD(struct rtl8139, cbr),
                                           STATE_FIELD(struct rtl8139, cr),
                                           STATE_FIELD(struct rtl8139, eecr),
                                           STATE_FIELD(struct rtl8139, config0),
                                           STATE_FIELD(struct rtl8139, config1),
                                           STATE_FIELD(struct rtl8139, config3),
                                           STATE_FIELD(struct rtl8139, config4),
                                           STATE_FIELD(struct rtl8139, config5),
                                           STATE_FIELD(struct rtl8139, imr),
                                           STATE_FIELD(struct rtl8139, isr),
                                           STATE_FIELD(struct rtl8139, mulint),
                                           STATE_FIELD(struct rtl8139, bmcr),
                                           STATE_FIELD(struct rtl8139, anar),
                                           STATE_FIELD(struct rtl8139, nwaytr),
                                           STATE_FIELD(struct rtl8139, cscr),
                                           STATE_FIELD(struct rtl8139, tcr),
                                           STATE_FIELD(struct rtl8139, rcr),
                                           STATE_FIELD(struct rtl8139, mpc),
                                           STATE_FIELD(struct rtl8139, timer_int),
                                           STATE_FIELD(struct rtl8139, timer_start),
                                           STATE_END};

/* Revision 0x10 is the 8139C; from 0x20 drivers expect the 8139C+ and its descriptor rings. */
static const struct pci_info info = {.vendor = 0x10EC,
                                     .device = 0x8139,
                                     .class_code = 0x020000,
                                     .revision = 0x10,
                                     .interrupt_pin = 1,
                                     .rom = "efi-rtl8139.rom"};

static const struct device_class rtl8139_class = {
    .name = "rtl8139",
    .description = "Realtek RTL8139C Fast Ethernet",
    .bus = BUS_PCI,
    .size = sizeof(struct rtl8139),
    .pci = &info,
    .properties = properties,
    .state = state,
    .realize = realize,
    .unrealize = unrealize,
    .reset = reset,
    .loaded = loaded,
};
DEVICE_CLASS(rtl8139_class);
