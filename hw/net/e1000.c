/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82540EM Gigabit Ethernet controller with its 88E1011 PHY ("PCI/PCI-X Family of Gigabit Ethernet
 * Controllers Software Developer's Manual", revision 4.0). What the chip would drop for want of receive
 * descriptors waits in the wire instead.
 */
#include <string.h>

#include "base/util.h"
#include "hw/net/e1000_regs.h"
#include "hw/net/eeprom93c46.h"
#include "hw/net/net_offload.h"
#include "hw/net/nic.h"
#include "machine/machine.h"
#include "net/ethernet.h"

enum { BAR_SIZE = 0x20000, IO_SIZE = 64, REGISTERS = 0x6000, DESCRIPTOR = 16 };
enum { TX_ROOM = 65536 + 512, RECEIVE_ADDRESSES = 16, PHY_REGISTERS = 32 };
enum { FLEXIBLE = 128, WAKEUP_MEMORY = 128 };

#define ITR_NS   256  /* unit of ITR */
#define DELAY_NS 1024 /* unit of RDTR, RADV, TIDV, TADV */

enum { SPEED_10, SPEED_100, SPEED_1000 };

/* What a context descriptor says. */
#define TX_CONTEXT_STATE(S)                                                                                  \
    S(UINT, uint8_t, ipcss, ANY)                                                                             \
    S(UINT, uint8_t, ipcso, ANY)                                                                             \
    S(UINT, uint8_t, tucss, ANY)                                                                             \
    S(UINT, uint8_t, tucso, ANY)                                                                             \
    S(UINT, uint8_t, hdrlen, ANY)                                                                            \
    S(UINT, uint16_t, ipcse, ANY)                                                                            \
    S(UINT, uint16_t, tucse, ANY)                                                                            \
    S(UINT, uint16_t, mss, ANY)                                                                              \
    S(BOOL, tcp)                                                                                             \
    S(BOOL, ipv4)

struct tx_context {
    STATE_MEMBERS(TX_CONTEXT_STATE);
};
STATE_TABLE(tx_context_state, struct tx_context, TX_CONTEXT_STATE);

/* An interrupt that waits for more of its kind. */
#define DELAY_STATE(S)                                                                                       \
    S(TIMER, timer)                                                                                          \
    S(UINT, int64_t, first, INT64_MAX / 2) /* when the first was */

struct delay {
    STATE_MEMBERS(DELAY_STATE);
};
STATE_TABLE(delay_state, struct delay, DELAY_STATE);

#define E1000_STATE(S)                                                                                       \
    S(SUB, struct nic, nic, nic_state)                                                                       \
    S(SUB, struct eeprom, eeprom, eeprom_state)                                                              \
    S(ARRAY, uint32_t, reg, REGISTERS / 4, ANY)                                                              \
    S(UINT, uint32_t, ioaddr, ANY)                                                                           \
    S(ARRAY, uint16_t, phy, PHY_REGISTERS, ANY)                                                              \
    S(BOOL, link) /* as the driver was told last */                                                          \
    S(UINT, uint32_t, icr, ANY)                                                                              \
    S(UINT, uint32_t, ims, ANY)                                                                              \
    S(UINT, int64_t, irq_time, INT64_MAX / 2) /* when the line rose last */                                  \
    S(BOOL, irq_up)                                                                                          \
    S(TIMER, irq_timer) /* the line may rise again */                                                        \
    S(SUB, struct delay, rx_delay, delay_state)                                                              \
    S(SUB, struct delay, tx_delay, delay_state)                                                              \
    S(ARRAY, uint8_t, ffmt, FLEXIBLE, ANY)  /* of the flexible filters: which of them look at a byte */      \
    S(ARRAY, uint32_t, ffvt, FLEXIBLE, ANY) /* and the bytes that they want, a filter each */                \
    S(BOOL, rx_starved)                     /* the frame that waits is counted */                            \
    S(SUBS, struct tx_context, contexts, 2, tx_context_state) /* for checksums, for segmentation */          \
    S(BOOL, tx_begun)                                         /* part of a frame is there */                 \
    S(BOOL, tx_ready)                                         /* all of it */                                \
    S(BOOL, tx_bad)                                           /* a part could not be read */                 \
    S(UINT, uint32_t, tx_command, ANY) /* third doubleword of the frame's last descriptor */                 \
    S(UINT, uint32_t, tx_options, ANY) /* last doubleword of its first */                                    \
    S(UINT, uint16_t, tx_tag, ANY)                                                                           \
    S(UINT, uint8_t, tx_css, ANY)                                                                            \
    S(BOOL, tx_extended)                                                                                     \
    S(BOOL, tx_segments)                                                                                     \
    S(UINT, uint32_t, tx_length, TX_ROOM)                                                                    \
    S(UINT, uint32_t, tx_sent, TX_ROOM)                                                                      \
    S(ARRAY, uint8_t, tx_data, TX_ROOM, ANY)

struct e1000 {
    struct pci_device pci;
    struct region io, memory;
    struct loop_work tx_work;
    STATE_MEMBERS(E1000_STATE);
};
STATE_TABLE(e1000_state, struct e1000, E1000_STATE);

#define R(s, offset) ((s)->reg[(offset) / 4])

static struct machine *e1000_machine_of(const struct e1000 *s)
{
    return s->pci.dev.machine;
}

static int64_t e1000_now(const struct e1000 *s)
{
    return clock_now(&e1000_machine_of(s)->clock);
}

/* ---- interrupts ---- */

/* ITR is the least time between two rises of the line: when it may rise next. */
static int64_t next_irq(const struct e1000 *s)
{
    return R(s, ITR) ? s->irq_time + (int64_t)R(s, ITR) * ITR_NS : 0;
}

static void e1000_update_irq(struct e1000 *s)
{
    int64_t time;

    if (!(s->icr & s->ims)) {
        s->irq_up = false;
        timer_cancel(&s->irq_timer);
    } else if (!s->irq_up) {
        time = e1000_now(s);
        if (time < next_irq(s)) {
            timer_set(&s->irq_timer, next_irq(s));
            return;
        }
        timer_cancel(&s->irq_timer);
        s->irq_time = time;
        s->irq_up = true;
    }
    pci_set_intx(&s->pci, s->irq_up);
}

static void irq_timer_fire(void *opaque)
{
    e1000_update_irq(opaque);
}

static uint32_t take_delayed(struct delay *delay, uint32_t cause)
{
    if (!timer_armed(&delay->timer))
        return 0;
    timer_cancel(&delay->timer);
    return cause;
}

/* What was delayed is told with an interrupt that comes anyway. */
static void e1000_raise(struct e1000 *s, uint32_t causes)
{
    if (causes & s->ims)
        causes |= take_delayed(&s->rx_delay, INT_RXT0) | take_delayed(&s->tx_delay, INT_TXDW);
    s->icr |= causes & INT_ALL;
    e1000_update_irq(s);
}

/*
 * The interrupt comes `each` after the last event, but not later than `most` after the first (units of
 * DELAY_NS, most 0: no limit); and the timer does not run before the line may rise.
 */
static void delay_interrupt(struct e1000 *s, struct delay *delay, uint32_t cause, uint32_t each,
                            uint32_t most)
{
    int64_t time = e1000_now(s), deadline = time + (int64_t)(each & 0xFFFF) * DELAY_NS, limit;

    if (s->icr & s->ims) {
        e1000_raise(s, cause);
        return;
    }
    if (!timer_armed(&delay->timer))
        delay->first = time;
    limit = delay->first + (int64_t)(most & 0xFFFF) * DELAY_NS;
    if (most & 0xFFFF && limit < deadline)
        deadline = limit;
    timer_set(&delay->timer, deadline < next_irq(s) ? next_irq(s) : deadline);
}

static void rx_delay_fire(void *opaque)
{
    e1000_raise(opaque, INT_RXT0);
}

static void tx_delay_fire(void *opaque)
{
    e1000_raise(opaque, INT_TXDW);
}

static void write_delay(struct e1000 *s, unsigned offset, uint32_t value)
{
    struct delay *delay = offset == RDTR ? &s->rx_delay : &s->tx_delay;

    R(s, offset) = value & 0xFFFF;
    if (value & DELAY_FPD)
        e1000_raise(s, take_delayed(delay, offset == RDTR ? INT_RXT0 : INT_TXDW));
}

/* ---- statistics: they stay at their largest value, and reading clears them ---- */

static void count(struct e1000 *s, unsigned offset)
{
    R(s, offset) += R(s, offset) != UINT32_MAX;
}

static void count_bytes(struct e1000 *s, unsigned offset, size_t bytes)
{
    uint64_t sum = (uint64_t)R(s, offset + 4) << 32 | R(s, offset);

    if (__builtin_add_overflow(sum, bytes, &sum))
        sum = UINT64_MAX;
    R(s, offset) = sum;
    R(s, offset + 4) = sum >> 32;
}

/* The counters by size: 64, 65 to 127, 128 to 255 ... bytes. */
static void count_size(struct e1000 *s, unsigned first, size_t bytes)
{
    unsigned nth = 0;

    for (size_t limit = 64; nth < 5 && bytes > (nth ? limit - 1 : limit); nth++)
        limit *= 2;
    count(s, first + 4 * nth);
}

/* ---- PHY and link ---- */

static bool phy_loops(const struct e1000 *s)
{
    return s->phy[PHY_CTRL] & PHY_CTRL_LOOPBACK;
}

static bool phy_link(const struct e1000 *s)
{
    return !(s->phy[PHY_CTRL] & PHY_CTRL_POWER) && (phy_loops(s) || net_link_up(s->nic.port));
}

/* The other side can do everything, so what this one offers decides. */
static unsigned phy_speed(const struct e1000 *s)
{
    uint16_t ctrl = s->phy[PHY_CTRL];

    if (ctrl & PHY_CTRL_AUTONEG)
        return s->phy[PHY_1000T_CTRL] & 0x0300    ? SPEED_1000
               : s->phy[PHY_AUTONEG_ADV] & 0x0180 ? SPEED_100
                                                  : SPEED_10;
    return ctrl & PHY_CTRL_SPEED_GB ? SPEED_1000 : ctrl & PHY_CTRL_SPEED_100 ? SPEED_100 : SPEED_10;
}

static bool phy_full_duplex(const struct e1000 *s)
{
    static const uint16_t offers[] = {[SPEED_10] = 0x0040, [SPEED_100] = 0x0100};
    unsigned speed = phy_speed(s);

    if (!(s->phy[PHY_CTRL] & PHY_CTRL_AUTONEG))
        return s->phy[PHY_CTRL] & PHY_CTRL_FD;
    return speed == SPEED_1000 ? s->phy[PHY_1000T_CTRL] & 0x0200 : s->phy[PHY_AUTONEG_ADV] & offers[speed];
}

/* Negotiation takes no time. bounced: the link went down and came back. */
static void link_update(struct e1000 *s, bool bounced)
{
    bool link = phy_link(s);

    if (link == s->link && !(bounced && link))
        return;
    s->link = link;
    if (R(s, WUFC) & ~R(s, WUS) & WU_LNKC) {
        R(s, WUS) |= WU_LNKC;
        pci_raise_pme(&s->pci);
    }
    s->phy[M88_INT_STATUS] |= M88_INT_LINK | (link ? M88_INT_AUTONEG : 0);
    e1000_raise(s, INT_LSC);
}

static void phy_reset(struct e1000 *s)
{
    memset(s->phy, 0, sizeof(s->phy));
    s->phy[PHY_CTRL] = PHY_CTRL_AUTONEG | PHY_CTRL_FD | PHY_CTRL_SPEED_GB;
    s->phy[PHY_ID1] = 0x0141;
    s->phy[PHY_ID2] = 0x0C20;
    s->phy[PHY_AUTONEG_ADV] = 0x0DE1;
    s->phy[PHY_NEXT_PAGE_TX] = 0x2001;
    s->phy[PHY_1000T_CTRL] = 0x0300;
    s->phy[PHY_EXT_STATUS] = 0x3000; /* 1000BASE-T, full and half duplex */
    s->phy[M88_SPEC_CTRL] = 0x0068;
    s->phy[M88_EXT_SPEC_CTRL] = 0x0D60;
}

static uint16_t phy_read(struct e1000 *s, unsigned nth)
{
    bool link = phy_link(s), negotiated = link && s->phy[PHY_CTRL] & PHY_CTRL_AUTONEG;
    uint16_t value = s->phy[nth];

    switch (nth) {
    case PHY_STATUS:
        return PHY_STATUS_FIXED | (link ? PHY_STATUS_LINK : 0) | (negotiated ? PHY_STATUS_AUTONEG : 0);
    case PHY_LP_ABILITY:
        return negotiated ? PHY_LP_ALL : 0;
    case PHY_AUTONEG_EXP:
        return PHY_EXP_NEXT_PAGE | (negotiated ? PHY_EXP_NEGOTIATED : 0);
    case PHY_1000T_STATUS:
        return negotiated ? PHY_1000T_PARTNER : 0;
    case M88_SPEC_STATUS:
        return link ? phy_speed(s) << 14 | (phy_full_duplex(s) ? 0x2000 : 0) | M88_STATUS_RESOLVED : 0;
    case M88_INT_STATUS:
        s->phy[nth] = 0;
        return value;
    default:
        return value;
    }
}

static void phy_write(struct e1000 *s, unsigned nth, uint16_t value)
{
    switch (nth) {
    case PHY_CTRL:
        s->phy[nth] = value & ~(PHY_CTRL_RESET | PHY_CTRL_RESTART);
        link_update(s, value & (PHY_CTRL_RESET | PHY_CTRL_RESTART));
        break;
    case PHY_STATUS:
    case PHY_ID1:
    case PHY_ID2:
    case PHY_LP_ABILITY:
    case PHY_AUTONEG_EXP:
    case PHY_1000T_STATUS:
    case PHY_EXT_STATUS:
    case M88_SPEC_STATUS:
    case M88_INT_STATUS:
    case M88_RX_ERR_CNTR:
        break;
    default:
        s->phy[nth] = value;
    }
}

static void write_mdic(struct e1000 *s, uint32_t value)
{
    unsigned nth = value >> 16 & 0x1F;

    value &= ~(MDIC_READY | MDIC_ERROR);
    if ((value >> 21 & 0x1F) != 1)
        value |= MDIC_ERROR; /* the one PHY has address 1 */
    else if (value & MDIC_OP_READ)
        value = (value & 0xFFFF0000) | phy_read(s, nth);
    else if (value & MDIC_OP_WRITE)
        phy_write(s, nth, value);
    R(s, MDIC) = value | MDIC_READY;
    if (value & MDIC_INT)
        e1000_raise(s, INT_MDAC);
}

static uint32_t e1000_read_status(const struct e1000 *s)
{
    uint32_t ctrl = R(s, CTRL), speed = ctrl & CTRL_FRCSPD ? (ctrl & CTRL_SPEED) >> 8 : phy_speed(s);
    bool full = ctrl & CTRL_FRCDPLX ? ctrl & CTRL_FD : phy_full_duplex(s);

    return (full ? STATUS_FD : 0) | (phy_link(s) ? STATUS_LU : 0) | speed << 6 | phy_speed(s) << 8;
}

static void e1000_card_link_changed(void *opaque, bool up)
{
    link_update(opaque, false);
}

/* ---- EEPROM ---- */

/* What is not named is erased. */
static void e1000_eeprom_fill(struct e1000 *s)
{
    static const struct {
        uint8_t at;
        uint16_t value;
    } contents[] = {
        {0x03, 0x0000}, {0x05, 0x0000}, /* compatibility, version */
        {0x08, 0x0000}, {0x09, 0x0000}, /* part number */
        {0x0A, 0x640B}, /* control 1: valid, 32-bit BAR, full duplex, sleeps, identity from here */
        {0x0F, 0x3040}, /* control 2 */
        {0x14, 0x0000}, {0x24, 0x0000}, /* control 3: no wake-up before a driver asks */
        {0x1F, 0x0706}, {0x20, 0x1008}, /* LEDs, pins */
        {0x21, 0x0000},                 /* no management */
    };
    uint16_t *words = s->eeprom.words, sum = 0;

    memset(words, 0xFF, sizeof(s->eeprom.words));
    for (size_t i = 0; i < COUNT(contents); i++)
        words[contents[i].at] = contents[i].value;
    for (int i = 0; i < 3; i++)
        words[i] = s->nic.mac[2 * i] | s->nic.mac[2 * i + 1] << 8;
    words[0x0B] = pci_get16(&s->pci, PCI_SUBSYSTEM_ID);
    words[0x0C] = pci_get16(&s->pci, PCI_SUBSYSTEM_VENDOR_ID);
    words[0x0D] = pci_get16(&s->pci, PCI_DEVICE_ID);
    words[0x0E] = pci_get16(&s->pci, PCI_VENDOR_ID);
    for (int i = 0; i < EEPROM_WORDS - 1; i++)
        sum += words[i];
    words[EEPROM_WORDS - 1] = 0xBABA - sum;
}

/* What the chip takes from its EEPROM at power on and on request. */
static void e1000_eeprom_load(struct e1000 *s)
{
    const uint16_t *words = s->eeprom.words;

    R(s, RA) = words[0] | (uint32_t)words[1] << 16;
    R(s, RA + 4) = words[2] | RAH_AV;
    R(s, WUC) = words[0x24] & 0x0400 ? WUC_APME : 0;
}

static void write_eecd(struct e1000 *s, uint32_t value)
{
    if (!(value & EECD_CS))
        eeprom_deselect(&s->eeprom);
    else if (value & EECD_SK & ~R(s, EECD))
        eeprom_clock(&s->eeprom, value & EECD_DI);
    R(s, EECD) = value & (EECD_SK | EECD_CS | EECD_DI | 3 * EECD_FWE_DIS | EECD_REQ);
}

static uint32_t read_eecd(const struct e1000 *s)
{
    uint32_t value = R(s, EECD) | EECD_PRES;

    return value | (s->eeprom.out ? EECD_DO : 0) | (value & EECD_REQ ? EECD_GNT : 0);
}

static void write_eerd(struct e1000 *s, uint32_t value)
{
    uint32_t address = value & 0xFF00;

    R(s, EERD) = address;
    if (value & EERD_START)
        R(s, EERD) |= EERD_DONE | (uint32_t)s->eeprom.words[(address >> 8) % EEPROM_WORDS] << 16;
}

/* ---- rings ---- */

static uint64_t ring_at(const struct e1000 *s, unsigned base_low, uint32_t index)
{
    return ((uint64_t)R(s, base_low + 4) << 32 | R(s, base_low)) + (uint64_t)index * DESCRIPTOR;
}

static uint32_t e1000_ring_size(const struct e1000 *s, unsigned length)
{
    return R(s, length) / DESCRIPTOR;
}

/* ---- receiver ---- */

enum match { NO_MATCH, EXACT, INEXACT };

static bool vlan_passes(const struct e1000 *s, const uint8_t *data, size_t length)
{
    uint32_t rctl = R(s, RCTL);
    uint16_t tag;

    if (!(rctl & RCTL_VFE) || length < NET_HEADER + VLAN_TAG || get_be16(data + 12) != R(s, VET))
        return true;
    tag = get_be16(data + 14);
    if (rctl & RCTL_CFIEN && !(tag & 0x1000) != !(rctl & RCTL_CFI))
        return false;
    return R(s, VFTA + (tag >> 5 & 0x7F) * 4) >> (tag & 0x1F) & 1;
}

static bool is_ours(const struct e1000 *s, const uint8_t *to)
{
    uint32_t low = get_le32(to), high = get_le16(to + 4);

    for (int i = 0; i < RECEIVE_ADDRESSES; i++) /* those selected by the source are for later chips */
        if (R(s, RA + 8 * i) == low &&
            (R(s, RA + 8 * i + 4) & (RAH_AV | RAH_ASEL | 0xFFFF)) == (RAH_AV | high))
            return true;
    return false;
}

/* Twelve bits of the address, which RCTL.MO selects. */
static bool in_multicast_table(const struct e1000 *s, const uint8_t *to)
{
    static const uint8_t shifts[4] = {4, 3, 2, 0};
    unsigned hash = get_le16(to + 4) >> shifts[R(s, RCTL) >> 12 & 3] & 0xFFF;

    return R(s, MTA + (hash >> 5) * 4) >> (hash & 0x1F) & 1;
}

static enum match e1000_match(const struct e1000 *s, const uint8_t *data, size_t length)
{
    uint32_t rctl = R(s, RCTL);

    if (!vlan_passes(s, data, length))
        return NO_MATCH;
    if (is_ours(s, data) || (rctl & RCTL_BAM && nic_is_broadcast(data)))
        return EXACT;
    if (!(data[0] & 1))
        return rctl & RCTL_UPE ? EXACT : NO_MATCH;
    return rctl & RCTL_MPE ? EXACT : in_multicast_table(s, data) ? INEXACT : NO_MATCH;
}

/* How many descriptors are the chip's. A tail behind the ring is never reached, so all are. */
static uint32_t rx_free(const struct e1000 *s)
{
    uint32_t size = e1000_ring_size(s, RDLEN), head = R(s, RDH), tail = R(s, RDT);

    if (head >= size)
        return 0;
    return tail >= size ? size : tail >= head ? tail - head : size - head + tail;
}

static size_t rx_buffer_size(const struct e1000 *s)
{
    uint32_t rctl = R(s, RCTL), shift = rctl >> 16 & 3;

    return rctl & RCTL_BSEX && shift ? 32768 >> shift : 2048 >> shift;
}

/* What the chip found out of the checksums: status in the low byte, errors in the high one. */
static uint16_t rx_checksums(const struct e1000 *s, const uint8_t *frame, size_t length)
{
    uint32_t wanted = R(s, RXCSUM);
    enum offload_verdict ip = OFFLOAD_UNKNOWN, transport = OFFLOAD_UNKNOWN;
    struct ip_packet packet;

    if (!(wanted & (RXCSUM_IPOFL | RXCSUM_TUOFL)) || !offload_find_ip(frame, length, &packet))
        return RX_IXSM;
    if (wanted & RXCSUM_IPOFL)
        ip = offload_check_ip(frame, &packet);
    if (wanted & RXCSUM_TUOFL)
        transport = offload_check_transport(frame, length, &packet);
    if (ip == OFFLOAD_UNKNOWN && transport == OFFLOAD_UNKNOWN)
        return RX_IXSM;
    return (ip != OFFLOAD_UNKNOWN ? RX_IPCS : 0) | (ip == OFFLOAD_BAD ? RX_IPE << 8 : 0) |
           (transport != OFFLOAD_UNKNOWN ? RX_TCPCS : 0) | (transport == OFFLOAD_BAD ? RX_TCPE << 8 : 0);
}

static void rx_interrupts(struct e1000 *s, size_t length, uint32_t before, uint32_t after)
{
    uint32_t threshold = e1000_ring_size(s, RDLEN) >> (1 + (R(s, RCTL) >> 8 & 3)), causes = 0;

    if (before > threshold && after <= threshold)
        causes |= INT_RXDMT0;
    if (length <= R(s, RSRPD))
        causes |= INT_SRPD;
    if (R(s, RDTR))
        delay_interrupt(s, &s->rx_delay, INT_RXT0, R(s, RDTR), R(s, RADV));
    else
        causes |= INT_RXT0;
    if (causes)
        e1000_raise(s, causes);
}

/* The frame into as many buffers as it takes. False: part of it is not in memory. */
static bool e1000_rx_store(struct e1000 *s, const uint8_t *frame, size_t length, uint64_t last)
{
    uint32_t size = e1000_ring_size(s, RDLEN), index = R(s, RDH);
    size_t space = rx_buffer_size(s);

    for (size_t done = 0, part; done < length; done += part) {
        uint64_t at = ring_at(s, RDBAL, index), buffer, state;
        bool end;

        part = min_u64(length - done, space);
        end = done + part == length;
        state = (end ? last | (uint64_t)(RX_EOP | RX_DD) << 32 : (uint64_t)RX_DD << 32) | part;
        if (!pci_dma_read(&s->pci, at, &buffer, 8) || !pci_dma_write(&s->pci, buffer, frame + done, part) ||
            !pci_dma_write(&s->pci, at + 8, &state, 8))
            return false;
        index = index + 1 == size ? 0 : index + 1;
    }
    R(s, RDH) = index;
    return true;
}

/* A frame that is in the guest's memory; bytes: as it was on the wire. */
static void rx_count(struct e1000 *s, const uint8_t *data, size_t bytes)
{
    count(s, GPRC);
    count_bytes(s, GORC, bytes);
    count_size(s, PRC64, bytes);
    if (data[0] & 1)
        count(s, nic_is_broadcast(data) ? BPRC : MPRC);
}

/* False: there are not enough descriptors. */
static bool rx_put(struct e1000 *s, const uint8_t *data, size_t length, size_t bytes, enum match how)
{
    uint8_t frame[NET_MAX_FRAME + NIC_FCS];
    uint32_t before = rx_free(s), needed;
    size_t space = rx_buffer_size(s), start = R(s, RXCSUM) & RXCSUM_PCSS;
    uint16_t tag = 0, sum, found;
    uint8_t status = how == INEXACT ? RX_PIF : 0;

    needed = (bytes + space - 1) / space;
    if (before < needed) {
        if (!s->rx_starved)
            count(s, RNBC);
        s->rx_starved = true;
        return false;
    }
    memcpy(frame, data, length);
    length = nic_pad(frame, length);
    if (R(s, CTRL) & CTRL_VME && offload_take_tag(frame, &length, R(s, VET), &tag))
        status |= RX_VP;
    found = rx_checksums(s, frame, length);
    sum = start < length ? ~net_sum(frame + start, length - start) : 0;
    if (!(R(s, RCTL) & RCTL_SECRC))
        length = nic_seal(frame, length);
    if (!e1000_rx_store(s, frame, length,
                        (uint64_t)tag << 48 | (uint64_t)found << 32 | (uint64_t)status << 32 |
                            (uint64_t)sum << 16)) {
        count(s, MPC);
        return true;
    }
    rx_count(s, data, bytes);
    rx_interrupts(s, length, before, rx_free(s));
    return true;
}

static bool e1000_rx_frame(struct e1000 *s, const uint8_t *data, size_t length)
{
    size_t bytes = (length < NET_MIN_FRAME ? NET_MIN_FRAME : length) + NIC_FCS;
    enum match how;

    if (!(R(s, RCTL) & RCTL_EN))
        return true;
    how = e1000_match(s, data, length);
    if (how != NO_MATCH && !rx_put(s, data, length, bytes, how))
        return false;
    s->rx_starved = false;
    count(s, TPR);
    count_bytes(s, TOR, bytes);
    return true;
}

/* What is sent comes back, and nothing goes out to the wire or comes from it. */
static bool loops(const struct e1000 *s)
{
    return R(s, RCTL) & RCTL_LBM || phy_loops(s);
}

/* ---- wake-up (6.4) ---- */

static bool is_own_ipv4(const struct e1000 *s, const uint8_t *address)
{
    for (unsigned i = 0; i < 4; i++)
        if (R(s, IPAV) >> i & 1 && !memcmp(&R(s, IP4AT + 8 * i), address, 4))
            return true;
    return false;
}

/* An IP packet, or a question, for one of the addresses in the tables; a VLAN tag may stand before it. */
static uint32_t wakeup_by_address(const struct e1000 *s, const uint8_t *data, size_t length)
{
    size_t at = NET_HEADER;

    if (length >= at + VLAN_TAG && get_be16(data + 12) == R(s, VET))
        at += VLAN_TAG;
    switch (get_be16(data + at - 2)) {
    case 0x0806:
        return length >= at + 28 && get_be16(data + at + 6) == 1 && is_own_ipv4(s, data + at + 24) ? WU_ARP
                                                                                                   : 0;
    case 0x0800:
        return length >= at + 20 && is_own_ipv4(s, data + at + 16) ? WU_IPV4 : 0;
    case 0x86DD:
        return length >= at + 40 && R(s, IPAV) & 0x10000 && !memcmp(&R(s, IP6AT), data + at + 24, 16)
                   ? WU_IPV6
                   : 0;
    default:
        return 0;
    }
}

/* A frame that is long enough and has each byte that counts. */
static bool flexible_filter(const struct e1000 *s, unsigned nth, const uint8_t *data, size_t length)
{
    size_t wanted = R(s, FFLT + 8 * nth);

    if (length < wanted)
        return false;
    for (size_t i = 0; i < wanted && i < FLEXIBLE; i++)
        if (s->ffmt[i] >> nth & 1 && (uint8_t)(s->ffvt[i] >> 8 * nth) != data[i])
            return false;
    return true;
}

/* All that can be said of a frame that passed the address filter, as bits of WUS. */
static uint32_t wakeup_kinds(const struct e1000 *s, const uint8_t *data, size_t length)
{
    uint32_t kinds = wakeup_by_address(s, data, length);
    uint8_t mac[6];

    for (int i = 0; i < 6; i++)
        mac[i] = R(s, RA + 4 * (i / 4)) >> 8 * (i % 4);
    if (nic_is_magic(data, length, mac))
        kinds |= WU_MAG;
    if (nic_is_broadcast(data))
        kinds |= WU_BC;
    else if (data[0] & 1)
        kinds |= WU_MC;
    else if (is_ours(s, data))
        kinds |= WU_EX;
    for (unsigned i = 0; i < 4; i++)
        if (R(s, WUFC) & WU_FLX0 << i && flexible_filter(s, i, data, length))
            kinds |= WU_FLX0 << i;
    return kinds;
}

/* In every power state, and whether the receiver is on or not. The first frame is kept until the driver has
 * cleared what is known of it. */
static void e1000_look_for_wakeup(struct e1000 *s, const uint8_t *data, size_t length)
{
    uint32_t wanted = R(s, WUFC) & ~WU_LNKC, apm = R(s, WUC) & WUC_APME ? WU_MAG : 0, kinds;
    uint8_t memory[WAKEUP_MEMORY] = {0};

    if (!(wanted | apm) || R(s, WUS) & ~WU_LNKC || e1000_match(s, data, length) == NO_MATCH)
        return;
    kinds = wakeup_kinds(s, data, length) & (wanted | apm);
    if (!kinds)
        return;
    memcpy(memory, data, length < sizeof(memory) ? length : sizeof(memory));
    memcpy(&R(s, WUPM), memory, sizeof(memory));
    R(s, WUPL) = length;
    R(s, WUS) |= kinds;
    pci_raise_pme(&s->pci);
    if (kinds & apm && R(s, WUC) & WUC_APMPME) /* PME_En or not */
        machine_wakeup(e1000_machine_of(s));
}

static uint32_t read_wuc(const struct e1000 *s)
{
    uint16_t control = pci_pm_control(&s->pci);

    return R(s, WUC) | (control & PCI_PM_CSR_PME_EN ? WUC_PME_EN : 0) |
           (control & PCI_PM_CSR_PME_STATUS ? WUC_PME_STATUS : 0);
}

static void write_wuc(struct e1000 *s, uint32_t value)
{
    R(s, WUC) = value & (WUC_APME | WUC_APMPME);
    pci_write_pme(&s->pci, value & WUC_PME_EN, value & WUC_PME_STATUS);
}

/* A frame that waited is filtered as one that comes now. */
static void e1000_power_changed(struct pci_device *pci)
{
    nic_resume(&((struct e1000 *)pci)->nic);
}

static bool e1000_card_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct e1000 *s = opaque;

    if (loops(s) || !phy_link(s))
        return true;
    e1000_look_for_wakeup(s, data, length);
    return !pci_is_on(&s->pci) || e1000_rx_frame(s, data, length);
}

static void write_rx_ring(struct e1000 *s, unsigned offset, uint32_t value)
{
    R(s, offset) = value;
    nic_resume(&s->nic);
}

/* ---- transmitter ---- */

static void tx_count(struct e1000 *s, const uint8_t *frame, size_t length)
{
    size_t bytes = length + NIC_FCS;

    count(s, GPTC);
    count(s, TPT);
    count_bytes(s, GOTC, bytes);
    count_bytes(s, TOT, bytes);
    count_size(s, PTC64, bytes);
    if (frame[0] & 1)
        count(s, nic_is_broadcast(frame) ? BPTC : MPTC);
}

/* False: the wire is full. */
static bool e1000_tx_frame(struct e1000 *s, uint8_t *data, size_t length)
{
    struct net_frame frame = {.data = data, .length = length};

    if (R(s, TCTL) & TCTL_PSP)
        frame.length = nic_pad(data, length);
    if (!loops(s)) {
        if (phy_link(s) && !net_send(s->nic.port, &frame))
            return false;
    } else if (!e1000_rx_frame(s, data, frame.length)) {
        s->rx_starved = false;
        count(s, MPC);
        e1000_raise(s, INT_RXO);
    }
    tx_count(s, data, frame.length);
    return true;
}

static struct offload_sum context_sum(uint8_t start, uint8_t place, uint16_t end)
{
    return (struct offload_sum){.start = start, .end = end ? end + 1u : 0, .place = place};
}

static struct offload_cut tx_cut(const struct e1000 *s)
{
    const struct tx_context *c = &s->contexts[1];

    return (struct offload_cut){.ip = c->ipcss,
                                .transport = c->tucss,
                                .headers = c->hdrlen,
                                .payload = c->mss,
                                .ipv4 = c->ipv4,
                                .tcp = c->tcp,
                                .sum_ip = s->tx_options & TX_IXSM,
                                .sum_transport = s->tx_options & TX_TXSM,
                                .ip_sum = context_sum(c->ipcss, c->ipcso, c->ipcse),
                                .transport_sum = context_sum(c->tucss, c->tucso, c->tucse)};
}

static bool tx_tagged(const struct e1000 *s)
{
    return s->tx_command & TX_VLE && R(s, CTRL) & CTRL_VME;
}

/* All segments at once, if the wire cuts them. False: not so; *sent false: the wire is full. */
static bool tx_large(struct e1000 *s, const struct offload_cut *cut, bool *sent)
{
    size_t left = s->tx_length - cut->headers;

    if (s->tx_sent || tx_tagged(s) || loops(s) || !phy_link(s) ||
        !offload_send_large(s->nic.port, cut, s->tx_data, s->tx_length, sent))
        return false;
    if (!*sent)
        return true;
    for (size_t part; left; left -= part) {
        part = left < cut->payload ? left : cut->payload;
        tx_count(s, s->tx_data, cut->headers + part);
    }
    count(s, TSCTC);
    s->tx_ready = false;
    return true;
}

static size_t tx_whole(struct e1000 *s, uint8_t *frame, size_t *taken)
{
    const struct tx_context *c = &s->contexts[0];
    struct offload_sum sums[2] = {context_sum(c->ipcss, c->ipcso, c->ipcse),
                                  context_sum(c->tucss, c->tucso, c->tucse)};
    bool wanted[2] = {s->tx_options & TX_IXSM, s->tx_options & TX_TXSM};

    if (s->tx_length < NET_HEADER || s->tx_length > NET_MAX_FRAME)
        return 0;
    if (!s->tx_extended) {
        wanted[0] = s->tx_command & TX_IC;
        wanted[1] = false;
        sums[0] = context_sum(s->tx_css, s->tx_command >> 16, 0);
    }
    memcpy(frame, s->tx_data, s->tx_length);
    for (int i = 0; i < 2; i++)
        if (wanted[i])
            offload_checksum(frame, s->tx_length, &sums[i]);
    *taken = s->tx_length;
    return s->tx_length;
}

/* Sends the frame that was gathered, or its next segment; one that no wire carries is gone. False: the wire
 * is full. */
static bool tx_send(struct e1000 *s)
{
    uint8_t frame[NET_MAX_FRAME + VLAN_TAG];
    struct offload_cut cut;
    size_t taken, length, headers = 0;
    bool sent;

    if (s->tx_segments) {
        cut = tx_cut(s);
        if (tx_large(s, &cut, &sent))
            return sent;
        headers = cut.headers;
        length = offload_segment(&cut, s->tx_data, s->tx_length, s->tx_sent, frame, &taken);
    } else {
        length = tx_whole(s, frame, &taken);
    }
    if (length && tx_tagged(s))
        length = offload_insert_tag(frame, length, R(s, VET), s->tx_tag);
    if (!length || length > NET_MAX_FRAME) {
        s->tx_ready = false;
        return true;
    }
    if (!e1000_tx_frame(s, frame, length))
        return false;
    s->tx_sent += taken;
    s->tx_ready = headers + s->tx_sent < s->tx_length;
    if (s->tx_segments && !s->tx_ready)
        count(s, TSCTC);
    return true;
}

static void tx_load_context(struct e1000 *s, const uint32_t desc[4])
{
    s->contexts[!!(desc[2] & TX_TSE)] = (struct tx_context){.ipcss = desc[0],
                                                            .ipcso = desc[0] >> 8,
                                                            .ipcse = desc[0] >> 16,
                                                            .tucss = desc[1],
                                                            .tucso = desc[1] >> 8,
                                                            .tucse = desc[1] >> 16,
                                                            .hdrlen = desc[3] >> 8,
                                                            .mss = desc[3] >> 16,
                                                            .tcp = desc[2] & TX_CONTEXT_TCP,
                                                            .ipv4 = desc[2] & TX_CONTEXT_IPV4};
}

/* Options stand in a frame's first descriptor, the command in its last. IFCS is taken as set: frames go
 * without check sequence here, and a driver that forgot the bit means it. */
static void tx_gather(struct e1000 *s, const uint32_t desc[4])
{
    bool extended = desc[2] & TX_DEXT;
    uint32_t length = desc[2] & (extended ? 0xFFFFF : 0xFFFF);

    if (!s->tx_begun) {
        s->tx_begun = true;
        s->tx_bad = false;
        s->tx_length = s->tx_sent = 0;
        s->tx_extended = extended;
        s->tx_segments = extended && desc[2] & TX_TSE;
        s->tx_options = extended ? desc[3] : 0;
    }
    if (length > TX_ROOM - s->tx_length ||
        !pci_dma_read(&s->pci, (uint64_t)desc[1] << 32 | desc[0], s->tx_data + s->tx_length, length))
        s->tx_bad = true;
    else
        s->tx_length += length;
    if (!(desc[2] & TX_EOP))
        return;
    s->tx_begun = false;
    s->tx_ready = !s->tx_bad;
    s->tx_command = desc[2];
    s->tx_css = desc[3] >> 8;
    s->tx_tag = desc[3] >> 16;
}

static void tx_interrupts(struct e1000 *s, uint32_t command, uint32_t left)
{
    uint32_t threshold = (R(s, TXDCTL) >> 25) * 8, causes = 0;

    if (command & TX_RS) {
        if (command & TX_IDE && R(s, TIDV))
            delay_interrupt(s, &s->tx_delay, INT_TXDW, R(s, TIDV), R(s, TADV));
        else
            causes |= INT_TXDW;
    }
    if (!left)
        causes |= INT_TXQE;
    if (threshold && left == threshold)
        causes |= INT_TXD_LOW;
    if (causes)
        e1000_raise(s, causes);
}

/* Takes the next descriptor. False: there is none. */
static bool tx_fetch(struct e1000 *s)
{
    uint32_t size = e1000_ring_size(s, TDLEN), head = R(s, TDH), tail = R(s, TDT), desc[4];
    uint64_t at = ring_at(s, TDBAL, head);

    if (head >= size || tail >= size || head == tail || !pci_dma_read(&s->pci, at, desc, sizeof(desc)))
        return false;
    if (desc[2] & TX_DEXT && !(desc[2] & TX_DTYP))
        tx_load_context(s, desc);
    else
        tx_gather(s, desc);
    head = head + 1 == size ? 0 : head + 1;
    R(s, TDH) = head;
    if (desc[2] & TX_RS) {
        desc[3] |= TX_DD;
        pci_dma_write(&s->pci, at + 12, &desc[3], 4);
    }
    tx_interrupts(s, desc[2], tail >= head ? tail - head : size - head + tail);
    return true;
}

static bool e1000_tx_step(void *opaque)
{
    struct e1000 *s = opaque;

    return R(s, TCTL) & TCTL_EN && pci_is_on(&s->pci) && (s->tx_ready ? tx_send(s) : tx_fetch(s));
}

static void e1000_transmit(void *opaque)
{
    struct e1000 *s = opaque;

    nic_transmit(&s->nic, &s->tx_work, e1000_tx_step);
}

/* ---- registers ---- */

static void tx_reset(struct e1000 *s)
{
    loop_cancel(&e1000_machine_of(s)->loop, &s->tx_work);
    memset(s->contexts, 0, sizeof(s->contexts));
    s->tx_begun = s->tx_ready = s->tx_bad = false;
    s->tx_length = s->tx_sent = 0;
}

/* What is known of the frame that woke (14.7), and where the rings are: those registers have no initial
 * value. */
static bool survives_reset(unsigned offset)
{
    return offset == WUS || offset == WUPL || (offset >= WUPM && offset < WUPM + WAKEUP_MEMORY) ||
           offset == RDBAL || offset == RDBAH || offset == TDBAL || offset == TDBAH;
}

/* CTRL_RST: all but those, the EEPROM and the PHY. */
static void e1000_chip_reset(struct e1000 *s)
{
    timer_cancel(&s->rx_delay.timer);
    timer_cancel(&s->tx_delay.timer);
    tx_reset(s);
    for (unsigned offset = 0; offset < REGISTERS; offset += 4)
        if (!survives_reset(offset))
            R(s, offset) = 0;
    memset(s->ffmt, 0, sizeof(s->ffmt));
    memset(s->ffvt, 0, sizeof(s->ffvt));
    R(s, CTRL) = CTRL_FD | CTRL_SLU | SPEED_1000 << 8;
    R(s, EECD) = EECD_FWE_DIS;
    R(s, VET) = VLAN_TYPE;
    R(s, LEDCTL) = 0x07061302;
    R(s, PBA) = 0x0030; /* KiB for the receiver */
    R(s, TIPG) = 0x00602008;
    eeprom_deselect(&s->eeprom);
    e1000_eeprom_load(s);
    s->ioaddr = 0;
    s->icr = s->ims = 0;
    s->irq_time = 0;
    s->rx_starved = false;
    e1000_update_irq(s);
    nic_reset(&s->nic);
}

static void write_ctrl(struct e1000 *s, uint32_t value)
{
    if (value & CTRL_PHY_RST) {
        phy_reset(s);
        link_update(s, true);
    }
    if (value & CTRL_RST)
        e1000_chip_reset(s);
    else
        R(s, CTRL) = value & ~CTRL_PHY_RST;
}

/* Where the chip's elder brother, the 82542, has some of the registers: the chip answers there too. */
static unsigned real_offset(unsigned offset)
{
    static const struct {
        uint16_t from, to, real;
    } aliases[] = {{0x0040, 0x00BC, RA},    {0x0108, 0x0108, RDTR},  {0x0110, 0x0128, RDBAL},
                   {0x0160, 0x0160, FCRTH}, {0x0168, 0x0168, FCRTL}, {0x0200, 0x03FC, MTA},
                   {0x0420, 0x0440, TDBAL}, {0x0600, 0x07FC, VFTA}};

    for (size_t i = 0; i < COUNT(aliases); i++)
        if (offset >= aliases[i].from && offset <= aliases[i].to)
            return aliases[i].real + offset - aliases[i].from;
    return offset;
}

/* Registers that keep what is written to these bits. */
static uint32_t writable(unsigned offset)
{
    static const struct {
        uint16_t from, to;
        uint32_t mask;
    } plain[] = {
        {FLA, FLA, 0x3F},
        {FCAL, FCAL, UINT32_MAX},
        {FCAH, FCT, 0xFFFF},
        {VET, VET, 0xFFFF},
        {FCTTV, FCTTV, 0xFFFF},
        {TXCW, TXCW, 0xC000FFFF},
        {TIPG, TIPG, 0x3FFFFFFF},
        {AIT, AIT, 0xFFFF},
        {LEDCTL, LEDCTL, UINT32_MAX},
        {PBA, PBA, 0x3F},
        {FCRTL, FCRTH, 0x8000FFF8},
        {RDFH, RDFPC, 0x1FFF},
        {RXDCTL, RXDCTL, 0x013F3F3F},
        {RADV, RADV, 0xFFFF},
        {RSRPD, RSRPD, 0x0FFF},
        {TDFH, TDFPC, 0x1FFF},
        {TDBAL, TDBAL, 0xFFFFFFF0},
        {TDBAH, TDBAH, UINT32_MAX},
        {TDLEN, TDLEN, 0x000FFF80},
        {TDH, TDH, 0xFFFF},
        {TXDCTL, TXDCTL, 0xFF3F3F3F},
        {TADV, TADV, 0xFFFF},
        {TSPMT, TSPMT, UINT32_MAX},
        {RXCSUM, RXCSUM, 0x07FF},
        {MTA, MTA + 0x1FC, UINT32_MAX},
        {VFTA, VFTA + 0x1FC, UINT32_MAX},
        {WUFC, WUFC, WU_ALL},
        {MANC, MANC, UINT32_MAX},
        {IPAV, IPAV, 0x0001000F},
        {IP4AT, IP4AT + 0x18, UINT32_MAX},
        {IP6AT, IP6AT + 0x0C, UINT32_MAX},
        {WUPL, WUPL, 0x0FFF},
        {WUPM, WUPM + 0x7C, UINT32_MAX},
        {FFLT, FFLT + 0x18, 0x07FF},
    };

    if (offset >= RA && offset < RA + RECEIVE_ADDRESSES * 8)
        return offset & 4 ? 0x8003FFFF : UINT32_MAX;
    for (size_t i = 0; i < COUNT(plain); i++)
        if (offset >= plain[i].from && offset <= plain[i].to)
            return plain[i].mask;
    return 0;
}

static bool is_flexible(unsigned offset, unsigned table)
{
    return offset >= table && offset < table + 8 * FLEXIBLE && !(offset & 4);
}

static uint32_t e1000_read_register(struct e1000 *s, unsigned offset)
{
    uint32_t value;

    offset = real_offset(offset);
    if (is_flexible(offset, FFMT))
        return s->ffmt[(offset - FFMT) / 8];
    if (is_flexible(offset, FFVT))
        return s->ffvt[(offset - FFVT) / 8];
    if (offset >= REGISTERS)
        return 0;
    value = R(s, offset);
    switch (offset) {
    case STATUS:
        return e1000_read_status(s);
    case EECD:
        return read_eecd(s);
    case ICR:
        value = s->icr;
        s->icr = 0;
        e1000_update_irq(s);
        return value;
    case IMS:
        return s->ims;
    case WUC:
        return read_wuc(s);
    case PBA: /* the rest of 64 KiB is the transmitter's */
        return value | (64 - value) << 16;
    default:
        if (offset >= STATISTICS && offset < STATISTICS_END)
            R(s, offset) = 0;
        return value;
    }
}

static void e1000_write_interrupts(struct e1000 *s, unsigned offset, uint32_t value)
{
    switch (offset) {
    case ICR:
        s->icr &= ~value;
        break;
    case ITR:
        R(s, ITR) = value & 0xFFFF;
        break;
    case ICS:
        e1000_raise(s, value);
        break;
    case IMS:
        s->ims |= value & INT_ALL;
        break;
    case IMC:
        s->ims &= ~value;
        break;
    }
    e1000_update_irq(s);
}

static void e1000_write_register(struct e1000 *s, unsigned offset, uint32_t value)
{
    uint32_t mask;

    offset = real_offset(offset);
    switch (offset) {
    case CTRL:
        write_ctrl(s, value);
        break;
    case EECD:
        write_eecd(s, value);
        break;
    case EERD:
        write_eerd(s, value);
        break;
    case CTRL_EXT:
        R(s, CTRL_EXT) = value & ~CTRL_EXT_EE_RST;
        if (value & CTRL_EXT_EE_RST)
            e1000_eeprom_load(s);
        break;
    case MDIC:
        write_mdic(s, value);
        break;
    case ICR:
    case ITR:
    case ICS:
    case IMS:
    case IMC:
        e1000_write_interrupts(s, offset, value);
        break;
    case RCTL:
        write_rx_ring(s, offset, value & 0x07FFFFFE);
        break;
    case RDBAL:
        write_rx_ring(s, offset, value & 0xFFFFFFF0);
        break;
    case RDBAH:
        write_rx_ring(s, offset, value);
        break;
    case RDLEN:
        write_rx_ring(s, offset, value & 0x000FFF80);
        break;
    case RDH:
    case RDT:
        write_rx_ring(s, offset, value & 0xFFFF);
        break;
    case RDTR:
    case TIDV:
        write_delay(s, offset, value);
        break;
    case TCTL:
        R(s, TCTL) = value & 0x03FFFFFA;
        e1000_transmit(s);
        break;
    case TDT:
        R(s, TDT) = value & 0xFFFF;
        e1000_transmit(s);
        break;
    case WUC:
        write_wuc(s, value);
        break;
    case WUS:
        R(s, WUS) &= ~value;
        break;
    default:
        if (is_flexible(offset, FFMT))
            s->ffmt[(offset - FFMT) / 8] = value & 0x0F;
        else if (is_flexible(offset, FFVT))
            s->ffvt[(offset - FFVT) / 8] = value;
        mask = offset < REGISTERS ? writable(offset) : 0;
        if (mask)
            R(s, offset) = value & mask;
    }
}

/* Registers are doublewords; what is written to a part of one has no effect. */
static uint64_t e1000_memory_read(void *opaque, uint64_t offset, unsigned size)
{
    return e1000_read_register(opaque, offset & ~3u) >> 8 * (offset & 3);
}

static void e1000_memory_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    if (size == 4 && !(offset & 3))
        e1000_write_register(opaque, offset, value);
}

/* The I/O window: IOADDR and IODATA. */
static uint64_t e1000_io_read(void *opaque, uint64_t offset, unsigned size)
{
    struct e1000 *s = opaque;

    if (offset >= 8)
        return 0;
    if (offset < 4)
        return s->ioaddr >> 8 * offset;
    return s->ioaddr < BAR_SIZE ? e1000_memory_read(s, (s->ioaddr & ~3u) + (offset & 3), size) : 0;
}

static void e1000_io_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct e1000 *s = opaque;

    if (size != 4)
        return;
    if (offset == 0)
        s->ioaddr = value;
    else if (offset == 4 && s->ioaddr < BAR_SIZE)
        e1000_memory_write(s, s->ioaddr, size, value);
}

static const struct region_ops memory_ops = {
    .read = e1000_memory_read, .write = e1000_memory_write, .max_size = 4};
static const struct region_ops io_ops = {.read = e1000_io_read, .write = e1000_io_write, .max_size = 4};

/* ---- life ---- */

static void e1000_reset(struct device *dev)
{
    struct e1000 *s = (struct e1000 *)dev;

    phy_reset(s);
    eeprom_reset(&s->eeprom);
    e1000_chip_reset(s);
    s->link = phy_link(s);
}

static bool e1000_realize(struct device *dev, struct error *err)
{
    struct e1000 *s = (struct e1000 *)dev;
    struct machine *m = dev->machine;
    const struct net_card chip = {.receive = e1000_card_receive,
                                  .sent = e1000_transmit,
                                  .link_changed = e1000_card_link_changed,
                                  .opaque = s};

    if (!nic_realize(&s->nic, &s->pci, &chip, err))
        return false;
    timer_init(&s->irq_timer, &m->clock, irq_timer_fire, s);
    timer_init(&s->rx_delay.timer, &m->clock, rx_delay_fire, s);
    timer_init(&s->tx_delay.timer, &m->clock, tx_delay_fire, s);
    s->tx_work = (struct loop_work){.run = e1000_transmit, .opaque = s};
    e1000_eeprom_fill(s);
    s->memory = (struct region){.name = "e1000-memory", .size = BAR_SIZE, .ops = &memory_ops, .opaque = s};
    s->io = (struct region){.name = "e1000-io", .size = IO_SIZE, .ops = &io_ops, .opaque = s};
    s->pci.power_changed = e1000_power_changed;
    pci_set_power_management(&s->pci, PM_OFFSET, PMC);
    pci_add_bar(&s->pci, 0, PCI_BAR_MEM, &s->memory);
    pci_add_bar(&s->pci, 1, PCI_BAR_IO, &s->io);
    return true;
}

static void e1000_unrealize(struct device *dev)
{
    struct e1000 *s = (struct e1000 *)dev;

    timer_cancel(&s->irq_timer);
    timer_cancel(&s->rx_delay.timer);
    timer_cancel(&s->tx_delay.timer);
    loop_cancel(&dev->machine->loop, &s->tx_work);
    nic_unrealize(&s->nic);
}

static void e1000_settle(struct device *dev)
{
    struct e1000 *s = (struct e1000 *)dev;

    nic_settle(&s->nic, &s->tx_work);
}

static void e1000_loaded(struct device *dev)
{
    struct e1000 *s = (struct e1000 *)dev;

    pci_set_intx(&s->pci, s->irq_up);
    nic_loaded(&s->nic, &s->tx_work);
}

static const struct property properties[] = {NIC_PROPERTIES(struct e1000, nic), {.name = NULL}};

static const struct pci_info info = {.vendor = 0x8086,
                                     .device = 0x100E,
                                     .class_code = 0x020000,
                                     .revision = 0x03,
                                     .interrupt_pin = 1,
                                     .rom = "efi-e1000.rom"};

static const struct device_class e1000_class = {
    .name = "e1000",
    .alias = "e1000-82540em",
    .description = "Intel 82540EM Gigabit Ethernet",
    .bus = &pci_bus_ops,
    .hotplug = true,
    .size = sizeof(struct e1000),
    .bus_info = &info,
    .properties = properties,
    .state = &e1000_state,
    .realize = e1000_realize,
    .unrealize = e1000_unrealize,
    .reset = e1000_reset,
    .settle = e1000_settle,
    .loaded = e1000_loaded,
};
DEVICE_CLASS(e1000_class);
