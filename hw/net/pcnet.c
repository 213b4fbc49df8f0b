/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD Am79C970A PCnet-PCI II Ethernet controller (data sheet 19436, 1996), and as revision=0x40 the Am79C973
 * PCnet-FAST III (data sheet 21510), which drivers ask for its PHY over MII (BCR32-34).
 *
 * A frame for which the driver has given no descriptor is not missed, it waits in the wire. A frame to be
 * sent goes out when the driver demands it (TDMD); drivers that rely on the chip's own polling of the
 * transmit ring are polled for as long as they never demanded: see poll_later.
 */
#include <string.h>

#include "base/util.h"
#include "hw/net/mii.h"
#include "hw/net/nic.h"
#include "hw/net/pcnet_regs.h"
#include "machine/machine.h"
#include "net/ethernet.h"

enum {
    BAR_SIZE = 32,
    APROM_SIZE = 16,
    CSRS = 128,
    BCRS = 36,
    TX_MAX = 4096, /* what is more is cut off; the wire takes no such frames anyway */
    RX_FRAME = NET_MAX_FRAME + NIC_FCS,
    REVISION_FAST_III = 0x40,
    PHY_ADDRESS = 0x1E, /* the Am79C973's own */
};

/* The chip polls each 65536 cycles of its clock, 33 MHz. */
enum { FIRST_POLL = 2 * NS_PER_MS, LAST_POLL = 64 * NS_PER_MS };

struct descriptor {
    uint32_t address, flags;
};

#define PCNET_STATE(S)                                                                                       \
    S(SUB, struct nic, nic, nic_state)                                                                       \
    S(SUB, struct mii_phy, phy, mii_state)                                                                   \
    S(ARRAY, uint8_t, aprom, APROM_SIZE, ANY)                                                                \
    S(UINT, uint8_t, rap, CSRS - 1)                                                                          \
    S(ARRAY, uint16_t, csr, CSRS, ANY)                                                                       \
    S(ARRAY, uint16_t, bcr, BCRS, ANY)                                                                       \
    S(UINT, uint32_t, rx_index, 0xFFFF) /* of the next descriptor */                                         \
    S(UINT, uint32_t, tx_index, 0xFFFF)                                                                      \
    S(BOOL, tx_open) /* the first of a chain of buffers that are one frame was seen */                       \
    S(BOOL, tx_fcs)  /* the check sequence is the chip's to add */                                           \
    S(UINT, uint32_t, tx_length, TX_MAX)                                                                     \
    S(ARRAY, uint8_t, tx_data, TX_MAX, ANY)                                                                  \
    S(TIMER, poll)                                                                                           \
    S(UINT, uint32_t, poll_delay, LAST_POLL) /* ns */                                                        \
    S(BOOL, demanded)                        /* the driver uses TDMD */

struct pcnet {
    struct pci_device pci;
    struct region io, memory;
    uint8_t revision; /* property */
    struct loop_work tx_work;
    STATE_MEMBERS(PCNET_STATE);
};
STATE_TABLE(pcnet_state, struct pcnet, PCNET_STATE);

static void pcnet_transmit(void *opaque);

static struct machine *pcnet_machine_of(const struct pcnet *s)
{
    return s->pci.dev.machine;
}

static uint32_t csr_pair(const struct pcnet *s, unsigned nth)
{
    return s->csr[nth] | (uint32_t)s->csr[nth + 1] << 16;
}

static void set_csr_pair(struct pcnet *s, unsigned nth, uint32_t value)
{
    s->csr[nth] = value;
    s->csr[nth + 1] = value >> 16;
}

/* Not started, or suspended. The data sheet says stopped; the driver of Minix sets the filter between INIT
 * and STRT. */
static bool is_idle(const struct pcnet *s)
{
    return !(s->csr[0] & CSR0_STRT) || s->csr[CSR_EXTENDED] & CSR5_SPND;
}

/* ---- interrupts ---- */

static void pcnet_update_irq(struct pcnet *s)
{
    uint16_t *csr0 = &s->csr[0], csr4 = s->csr[CSR_TEST], csr5 = s->csr[CSR_EXTENDED];
    bool some = (*csr0 & ~s->csr[CSR_MASKS] & (CSR0_EVENTS & ~CSR0_CERR)) ||
                (csr4 & ~(csr4 << 1) & CSR4_MASKABLE) || csr4 & CSR4_UINT || (csr5 & csr5 << 1 & CSR5_EVENTS);

    *csr0 &= ~(CSR0_INTR | CSR0_ERR);
    *csr0 |= some ? CSR0_INTR : 0;
    *csr0 |= *csr0 & (CSR0_BABL | CSR0_CERR | CSR0_MISS | CSR0_MERR) ? CSR0_ERR : 0;
    pci_set_intx(&s->pci, some && *csr0 & CSR0_IENA);
}

static void pcnet_raise(struct pcnet *s, uint16_t bits)
{
    s->csr[0] |= bits;
    pcnet_update_irq(s);
}

/* An address that is no memory: both halves stop until the driver starts them again. */
static bool pcnet_bus_error(struct pcnet *s)
{
    s->csr[0] &= ~(CSR0_RXON | CSR0_TXON);
    s->csr[CSR_EXTENDED] |= CSR5_SINT;
    timer_cancel(&s->poll);
    pcnet_raise(s, CSR0_MERR);
    return false;
}

/* A frame that the receiver had no place for. */
static void miss(struct pcnet *s)
{
    if (!++s->csr[CSR_MFC])
        s->csr[CSR_TEST] |= CSR4_MFCO;
    pcnet_raise(s, CSR0_MISS);
}

static bool link_is_up(const struct pcnet *s)
{
    return net_link_up(s->nic.port) || s->csr[CSR_MODE] & MODE_DLNKTST;
}

/* ---- descriptors and buffers ---- */

static unsigned style(const struct pcnet *s)
{
    return s->bcr[BCR_SWS] & SWS_STYLE;
}

/* RCVRL, XMTRL: two's complement */
static uint32_t ring_length(const struct pcnet *s, unsigned csr)
{
    uint32_t length = -s->csr[csr] & 0xFFFF;

    return length ? length : 0x10000;
}

static uint64_t pcnet_descriptor_at(const struct pcnet *s, unsigned base_csr, uint32_t index)
{
    return csr_pair(s, base_csr) + (uint64_t)index * (style(s) == STYLE_LANCE ? 8 : 16);
}

static size_t buffer_size(const struct descriptor *d)
{
    return 4096 - (d->flags & DESC_BCNT);
}

static bool read_descriptor(struct pcnet *s, uint64_t at, struct descriptor *d)
{
    uint16_t word[4];
    uint32_t dword[4];

    if (style(s) == STYLE_LANCE) {
        if (!pci_dma_read(&s->pci, at, word, sizeof(word)))
            return pcnet_bus_error(s);
        d->address = word[0] | (word[1] & 0xFFu) << 16 | (s->csr[CSR_IADR + 1] & 0xFF00u) << 16;
        d->flags = (word[1] & 0xFF00u) << 16 | word[2];
        return true;
    }
    if (!pci_dma_read(&s->pci, at, dword, sizeof(dword)))
        return pcnet_bus_error(s);
    d->address = dword[style(s) == STYLE_PCNET2 ? 2 : 0];
    d->flags = dword[1];
    return true;
}

/* Stores the message count (receive) or the errors (transmit): words of the 16-bit style have them as told.
 */
static bool write_result(struct pcnet *s, uint64_t at, uint32_t dword, uint16_t word)
{
    if (style(s) == STYLE_LANCE ? pci_dma_write(&s->pci, at + 6, &word, 2)
                                : pci_dma_write(&s->pci, at + (style(s) == STYLE_PCNET2 ? 0 : 8), &dword, 4))
        return true;
    return pcnet_bus_error(s);
}

/* The last that is written: with OWN low the descriptor is the driver's. */
static bool write_flags(struct pcnet *s, uint64_t at, uint32_t flags)
{
    uint8_t byte = flags >> 24;

    if (style(s) == STYLE_LANCE ? pci_dma_write(&s->pci, at + 3, &byte, 1)
                                : pci_dma_write(&s->pci, at + 4, &flags, 4))
        return true;
    return pcnet_bus_error(s);
}

/* With BSWP the bytes of each doubleword of a buffer are in the opposite order: part by part within them. */
static bool swapped_buffer(struct pcnet *s, uint32_t address, uint8_t *data, size_t length, bool write)
{
    uint8_t part[4];

    for (size_t done = 0, n; done < length; done += n) {
        uint32_t at = address + done, lane = at & 3;

        n = 4 - lane < length - done ? 4 - lane : length - done;
        at = at - lane + (4 - lane - n);
        for (size_t i = 0; write && i < n; i++)
            part[i] = data[done + n - 1 - i];
        if (!(write ? pci_dma_write(&s->pci, at, part, n) : pci_dma_read(&s->pci, at, part, n)))
            return pcnet_bus_error(s);
        for (size_t i = 0; !write && i < n; i++)
            data[done + i] = part[n - 1 - i];
    }
    return true;
}

static bool buffer(struct pcnet *s, uint32_t address, uint8_t *data, size_t length, bool write)
{
    if (s->csr[CSR_MASKS] & CSR3_BSWP)
        return swapped_buffer(s, address, data, length, write);
    if (write ? pci_dma_write(&s->pci, address, data, length) : pci_dma_read(&s->pci, address, data, length))
        return true;
    return pcnet_bus_error(s);
}

/* ---- receiver ---- */

/* How the destination matches, as a descriptor says it; *ours: it does. */
static uint32_t pcnet_match(const struct pcnet *s, const uint8_t to[6], bool *ours)
{
    const uint16_t *padr = &s->csr[CSR_PADR], mode = s->csr[CSR_MODE];
    unsigned hash = net_crc(to, 6) >> 26;

    *ours = true;
    if (nic_is_broadcast(to) && !(mode & MODE_DRCVBC))
        return RMD_BAM;
    if (to[0] & 1 && s->csr[CSR_LADRF + hash / 16] >> hash % 16 & 1)
        return RMD_LAFM;
    if (!(mode & MODE_DRCVPA) && (to[0] | to[1] << 8) == padr[0] && (to[2] | to[3] << 8) == padr[1] &&
        (to[4] | to[5] << 8) == padr[2])
        return RMD_PAM;
    *ours = mode & MODE_PROM;
    return 0;
}

/*
 * Reads the descriptors of a chain that holds length bytes, or of the whole ring where that is less. Returns
 * how many, 0: the driver has not given them, or they could not be read.
 */
static unsigned read_chain(struct pcnet *s, size_t length, struct descriptor chain[RX_FRAME])
{
    uint32_t ring = ring_length(s, CSR_RCVRL);
    size_t space = 0;
    unsigned n;

    for (n = 0; space < length && n < ring; n++) {
        if (!read_descriptor(s, pcnet_descriptor_at(s, CSR_BADR, (s->rx_index + n) % ring), &chain[n]) ||
            !(chain[n].flags & DESC_OWN))
            return 0;
        space += buffer_size(&chain[n]);
    }
    return n;
}

/* Gives the chain back, the first descriptor last: then all of the frame is there. */
static void return_chain(struct pcnet *s, struct descriptor *chain, unsigned count, size_t length)
{
    uint32_t ring = ring_length(s, CSR_RCVRL);

    for (unsigned i = count; i-- > 0;) {
        uint64_t at = pcnet_descriptor_at(s, CSR_BADR, (s->rx_index + i) % ring);

        if ((i + 1 == count && !write_result(s, at, length, length)) || !write_flags(s, at, chain[i].flags))
            return;
    }
    s->rx_index = (s->rx_index + count) % ring;
    pcnet_raise(s, CSR0_RINT);
}

/* Stores a frame with its check sequence; status: bits of its last descriptor. False: no descriptors. */
static bool pcnet_rx_store(struct pcnet *s, uint8_t *frame, size_t length, uint32_t status)
{
    struct descriptor chain[RX_FRAME];
    unsigned count = read_chain(s, length, chain);
    size_t done = 0;

    if (!count)
        return !(s->csr[0] & CSR0_RXON); /* after an error nothing waits */
    for (unsigned i = 0; i < count; i++) {
        size_t part = min_u64(buffer_size(&chain[i]), length - done);

        if (!buffer(s, chain[i].address, frame + done, part, true))
            return true;
        done += part;
        chain[i].flags &= ~RMD_STATUS;
    }
    if (done < length) /* the whole ring is too small */
        status |= DESC_ERR | RMD_BUFF | RMD_OFLO;
    chain[0].flags |= DESC_STP;
    chain[count - 1].flags |= DESC_ENP | status;
    return_chain(s, chain, count, done);
    return true;
}

/* ASTRP_RCV: of an IEEE 802.3 frame that was filled up the filling and the check sequence go. */
static size_t strip(const struct pcnet *s, const uint8_t *frame, size_t length)
{
    unsigned field = get_be16(frame + 12);

    if (s->csr[CSR_TEST] & CSR4_ASTRP_RCV && field < NET_MIN_FRAME - NET_HEADER &&
        NET_HEADER + field <= length)
        return NET_HEADER + field;
    return length;
}

/* A whole frame with its check sequence. False: no descriptors. */
static bool pcnet_rx_frame(struct pcnet *s, uint8_t *frame, size_t length, uint32_t status)
{
    bool ours;

    status |= pcnet_match(s, frame, &ours);
    if (!(s->csr[0] & CSR0_RXON) || !ours)
        return true;
    return pcnet_rx_store(s, frame, length > NET_HEADER ? strip(s, frame, length) : length, status);
}

static bool pcnet_card_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct pcnet *s = opaque;
    uint8_t frame[RX_FRAME];

    if (s->csr[CSR_MODE] & MODE_LOOP)
        return true;
    if (s->csr[CSR_EXTENDED] & CSR5_SPND)
        return false; /* it waits until the driver goes on */
    memcpy(frame, data, length);
    if (pcnet_rx_frame(s, frame, nic_seal(frame, nic_pad(frame, length)), 0))
        return true;
    nic_retry(&s->nic); /* drivers give descriptors back without a word */
    return false;
}

/* ---- transmitter ---- */

static bool fcs_is_good(const uint8_t *frame, size_t length)
{
    uint8_t again[RX_FRAME];

    if (length <= NIC_FCS)
        return false;
    memcpy(again, frame, length - NIC_FCS);
    nic_seal(again, length - NIC_FCS);
    return !memcmp(again + length - NIC_FCS, frame + length - NIC_FCS, NIC_FCS);
}

/* Back into the receiver. The chip takes short frames then. */
static void loop_back(struct pcnet *s, uint8_t *frame, size_t length)
{
    if (length >= 6 && !pcnet_rx_frame(s, frame, length, fcs_is_good(frame, length) ? 0 : DESC_ERR | RMD_CRC))
        miss(s);
}

/* Sends what was gathered; *errors for the descriptor. False: the wire is full. */
static bool pcnet_tx_frame(struct pcnet *s, size_t length, uint32_t *errors)
{
    uint8_t frame[RX_FRAME];
    bool fcs = s->tx_fcs;

    if (length > (fcs ? NET_MAX_FRAME : RX_FRAME)) {
        s->csr[0] |= CSR0_BABL;
        return true;
    }
    memcpy(frame, s->tx_data, length);
    if (length < NET_MIN_FRAME && s->csr[CSR_TEST] & CSR4_APAD_XMT) {
        length = nic_pad(frame, length);
        fcs = true;
    }
    if (s->csr[CSR_MODE] & MODE_LOOP) {
        loop_back(s, frame, fcs ? nic_seal(frame, length) : length);
        return true;
    }
    if (!link_is_up(s)) {
        *errors = TMD_LCAR;
        s->csr[0] |= CSR0_CERR;
        return true;
    }
    if (!fcs && !fcs_is_good(frame, length))
        return true; /* who gets it throws it away */
    if (!fcs)
        length -= NIC_FCS;
    return net_send(s->nic.port, &(struct net_frame){.data = frame, .length = nic_pad(frame, length)});
}

/* ILACC: the bit is NO_FCS. */
static bool wants_fcs(const struct pcnet *s, uint32_t flags)
{
    bool mode = !(s->csr[CSR_MODE] & MODE_DXMTFCS), bit = flags & TMD_ADD_FCS;

    return style(s) == STYLE_ILACC ? mode && !bit : mode || bit;
}

/* The end of a frame. */
static void tx_done(struct pcnet *s, uint32_t flags, uint32_t errors)
{
    uint16_t csr5 = s->csr[CSR_EXTENDED];

    s->csr[CSR_TEST] |= CSR4_TXSTRT;
    if ((errors || !(csr5 & CSR5_TOKINTD)) && (flags & TMD_LTINT || !(csr5 & CSR5_LTINTEN)))
        s->csr[0] |= CSR0_TINT;
    pcnet_update_irq(s);
}

/* Takes the next buffer, and with the last of a frame sends it. False: there is none, or the wire is full. */
static bool tx_buffer(struct pcnet *s)
{
    uint64_t at = pcnet_descriptor_at(s, CSR_BADX, s->tx_index);
    struct descriptor d;
    uint32_t errors = 0, length;
    bool last;

    if (!read_descriptor(s, at, &d) || !(d.flags & DESC_OWN))
        return false;
    if (d.flags & DESC_STP) {
        s->tx_open = true;
        s->tx_length = 0;
        s->tx_fcs = wants_fcs(s, d.flags);
    }
    length = TX_MAX - s->tx_length < buffer_size(&d) ? TX_MAX - s->tx_length : buffer_size(&d);
    if (s->tx_open && !buffer(s, d.address, s->tx_data + s->tx_length, length, false))
        return false;
    last = s->tx_open && d.flags & DESC_ENP;
    if (last && !pcnet_tx_frame(s, s->tx_length + length, &errors))
        return false; /* it is taken anew when the wire has space */
    s->tx_length += length;
    s->tx_open = s->tx_open && !last;
    if ((errors && !write_result(s, at, errors, errors >> 16)) ||
        !write_flags(s, at, (d.flags & ~(DESC_OWN | TMD_RESULT)) | (errors ? DESC_ERR : 0)))
        return false;
    s->tx_index = (s->tx_index + 1) % ring_length(s, CSR_XMTRL);
    if (last)
        tx_done(s, d.flags, errors);
    return true;
}

static bool pcnet_tx_step(void *opaque)
{
    struct pcnet *s = opaque;

    return s->csr[0] & CSR0_TXON && !is_idle(s) && !s->pci.removed && tx_buffer(s);
}

static void pcnet_transmit(void *opaque)
{
    struct pcnet *s = opaque;

    nic_transmit(&s->nic, &s->tx_work, pcnet_tx_step);
}

/*
 * The chip looks at its transmit ring each 2 ms unless DPOLL says not to. All known drivers demand instead:
 * so only one that never did since it started the chip is polled, less and less often while there is nothing.
 */
static void poll_later(struct pcnet *s)
{
    if (s->csr[0] & CSR0_TXON && !s->demanded && !(s->csr[CSR_TEST] & CSR4_DPOLL) && !is_idle(s) &&
        !s->pci.removed)
        timer_set(&s->poll, clock_now(&pcnet_machine_of(s)->clock) + s->poll_delay);
    else
        timer_cancel(&s->poll);
}

static void poll_fire(void *opaque)
{
    struct pcnet *s = opaque;
    uint32_t before = s->tx_index;

    pcnet_transmit(s);
    s->poll_delay = s->tx_index != before           ? FIRST_POLL
                    : 2 * s->poll_delay < LAST_POLL ? 2 * s->poll_delay
                                                    : LAST_POLL;
    poll_later(s);
}

/* ---- start and stop ---- */

static void pcnet_stop(struct pcnet *s)
{
    s->csr[0] = CSR0_STOP;
    s->csr[CSR_EXTENDED] &= ~CSR5_SPND;
    s->tx_open = false;
    s->tx_length = 0;
    loop_cancel(&pcnet_machine_of(s)->loop, &s->tx_work);
    timer_cancel(&s->poll);
    nic_reset(&s->nic);
    pcnet_update_irq(s);
}

/* TLEN and RLEN as they are encoded; the 16-bit style has no rings of more than 128. */
static void set_lengths(struct pcnet *s, unsigned tlen, unsigned rlen)
{
    s->csr[CSR_LENGTHS] = tlen << 12 | rlen << 8;
    s->csr[CSR_XMTRL] = -(1 << (tlen < 9 ? tlen : 9));
    s->csr[CSR_RCVRL] = -(1 << (rlen < 9 ? rlen : 9));
}

static bool read_init_block(struct pcnet *s)
{
    bool wide = style(s) != STYLE_LANCE;
    uint32_t high = (s->csr[CSR_IADR + 1] & 0xFF00u) << 16;
    uint16_t word[14];

    if (!pci_dma_read(&s->pci, csr_pair(s, CSR_IADR) & (wide ? ~3u : ~1u), word, wide ? 28 : 24))
        return pcnet_bus_error(s);
    s->csr[CSR_MODE] = word[0];
    if (wide) {
        set_lengths(s, word[1] >> 12, word[1] >> 4 & 15);
        memcpy(&s->csr[CSR_PADR], word + 2, 6);
        memcpy(&s->csr[CSR_LADRF], word + 6, 8);
        set_csr_pair(s, CSR_BADR, (word[10] | (uint32_t)word[11] << 16) & ~15u);
        set_csr_pair(s, CSR_BADX, (word[12] | (uint32_t)word[13] << 16) & ~15u);
    } else {
        set_lengths(s, word[11] >> 13, word[9] >> 13);
        memcpy(&s->csr[CSR_PADR], word + 1, 6);
        memcpy(&s->csr[CSR_LADRF], word + 4, 8);
        set_csr_pair(s, CSR_BADR, high | (word[9] & 0xFFu) << 16 | (word[8] & 0xFFF8));
        set_csr_pair(s, CSR_BADX, high | (word[11] & 0xFFu) << 16 | (word[10] & 0xFFF8));
    }
    return true;
}

static void pcnet_start(struct pcnet *s)
{
    uint16_t mode = s->csr[CSR_MODE];

    s->csr[0] &= ~CSR0_STOP;
    s->csr[0] |= CSR0_STRT | (mode & MODE_DTX ? 0 : CSR0_TXON) | (mode & MODE_DRX ? 0 : CSR0_RXON);
    s->demanded = false;
    s->poll_delay = FIRST_POLL;
}

/*
 * STOP overrides INIT and STRT. But drivers that set a bit of what they have read write STOP with it while
 * the chip is stopped (illumos).
 */
static bool stops(const struct pcnet *s, uint16_t value)
{
    uint16_t starts = value & (CSR0_INIT | CSR0_STRT);

    return value & CSR0_STOP && (!(s->csr[0] & CSR0_STOP) || !starts || starts == (CSR0_INIT | CSR0_STRT));
}

static void write_csr0(struct pcnet *s, uint16_t value)
{
    uint16_t fresh = value & ~s->csr[0];

    if (stops(s, value)) {
        pcnet_stop(s);
        return;
    }
    s->csr[0] = (s->csr[0] & ~(value & CSR0_EVENTS) & ~CSR0_IENA) | (value & CSR0_IENA);
    if (fresh & CSR0_INIT && read_init_block(s)) {
        s->csr[0] &= ~CSR0_STOP;
        s->csr[0] |= CSR0_INIT | CSR0_IDON;
    }
    if (fresh & CSR0_STRT)
        pcnet_start(s);
    if (fresh & (CSR0_INIT | CSR0_STRT))
        s->rx_index = s->tx_index = 0; /* with or without an init block before, the rings begin anew */
    if (value & CSR0_TDMD && s->csr[0] & CSR0_TXON)
        s->demanded = true;
    pcnet_update_irq(s);
    nic_resume(&s->nic);
    pcnet_transmit(s); /* whatever the driver came for: a look at the ring costs little */
    poll_later(s);
}

/* ---- registers ---- */

static void write_csr4(struct pcnet *s, uint16_t value)
{
    uint16_t events = s->csr[CSR_TEST] & CSR4_EVENTS & ~value;

    s->csr[CSR_TEST] = (value & CSR4_WRITABLE) | events | (value & CSR4_UINTCMD ? CSR4_UINT : 0);
    pcnet_update_irq(s);
    poll_later(s);
}

static void write_csr5(struct pcnet *s, uint16_t value)
{
    uint16_t events = s->csr[CSR_EXTENDED] & CSR5_EVENTS & ~value;

    s->csr[CSR_EXTENDED] = (value & CSR5_WRITABLE) | events;
    pcnet_update_irq(s);
    if (!(value & CSR5_SPND)) {
        nic_resume(&s->nic);
        pcnet_transmit(s);
    }
    poll_later(s);
}

/* Reserved styles are the first one: drivers write such a value to get back to it. */
static void write_style(struct pcnet *s, uint16_t value)
{
    static const uint16_t styles[4] = {SWS_CSRPCNET, SWS_SSIZE32, SWS_SSIZE32 | SWS_CSRPCNET,
                                       SWS_SSIZE32 | SWS_CSRPCNET};
    unsigned chosen = (value & SWS_STYLE) < 4 ? value & SWS_STYLE : STYLE_LANCE;

    if (is_idle(s))
        s->bcr[BCR_SWS] = chosen | styles[chosen];
}

/* Registers that are memory while the chip is stopped or suspended. */
static bool is_idle_csr(unsigned nth)
{
    return nth == CSR_IADR || nth == CSR_IADR + 1 || (nth >= CSR_LADRF && nth <= CSR_MODE) ||
           (nth >= 18 && nth <= 47) || (nth >= 60 && nth <= 67) || nth == CSR_RCVRL || nth == CSR_XMTRL ||
           nth == 82;
}

static void write_csr(struct pcnet *s, unsigned nth, uint16_t value)
{
    switch (nth) {
    case 0:
        write_csr0(s, value);
        break;
    case CSR_MASKS:
        s->csr[nth] = value & CSR3_WRITABLE;
        pcnet_update_irq(s);
        nic_resume(&s->nic);
        break;
    case CSR_TEST:
        write_csr4(s, value);
        break;
    case CSR_EXTENDED:
        write_csr5(s, value);
        break;
    case CSR_IADR_ALIAS:
    case CSR_IADR_ALIAS + 1:
        write_csr(s, nth - CSR_IADR_ALIAS + CSR_IADR, value);
        break;
    case CSR_SWS:
        write_style(s, value);
        break;
    case CSR_DMATCFW:
    case CSR_BTO:
    case 122:
    case 124:
        s->csr[nth] = value;
        break;
    default:
        if (is_idle_csr(nth) && is_idle(s))
            s->csr[nth] = value;
        /* rings may have become shorter */
        s->rx_index %= ring_length(s, CSR_RCVRL);
        s->tx_index %= ring_length(s, CSR_XMTRL);
    }
}

static uint16_t read_csr(const struct pcnet *s, unsigned nth)
{
    switch (nth) {
    case CSR_IADR_ALIAS:
    case CSR_IADR_ALIAS + 1:
        return s->csr[nth - CSR_IADR_ALIAS + CSR_IADR];
    case CSR_CRDA:
    case CSR_CRDA + 1:
        return pcnet_descriptor_at(s, CSR_BADR, s->rx_index) >> 16 * (nth - CSR_CRDA);
    case CSR_CXDA:
    case CSR_CXDA + 1:
        return pcnet_descriptor_at(s, CSR_BADX, s->tx_index) >> 16 * (nth - CSR_CXDA);
    case CSR_SWS:
        return s->bcr[BCR_SWS];
    case CSR_RCVRC:
        return s->rx_index - ring_length(s, CSR_RCVRL);
    case CSR_XMTRC:
        return s->tx_index - ring_length(s, CSR_XMTRL);
    default:
        return s->csr[nth];
    }
}

/* What is left of a LED's signals where nothing can be seen to flicker. */
static bool led_is_on(const struct pcnet *s, uint16_t led)
{
    bool fast = s->revision >= REVISION_FAST_III;

    return link_is_up(s) && (led & LED_LNKSTE || (led & LED_FDLSE && (fast || s->bcr[BCR_FDC] & FDC_FDEN)) ||
                             (led & LED_100E && fast && mii_is_fast(&s->phy)));
}

static uint16_t read_bcr(const struct pcnet *s, unsigned nth)
{
    if (nth >= BCRS)
        return 0;
    if (nth >= BCR_LNKST && nth < BCR_LNKST + 4)
        return s->bcr[nth] | (led_is_on(s, s->bcr[nth]) ? LED_LEDOUT : 0);
    if (nth == BCR_MIIMDR && s->bcr[BCR_MIIADDR] >> 5 != PHY_ADDRESS)
        return 0xFFFF;
    if (nth == BCR_MIIMDR)
        return mii_read(&s->phy, s->bcr[BCR_MIIADDR] & 31, link_is_up(s));
    return s->bcr[nth];
}

static void write_bcr(struct pcnet *s, unsigned nth, uint16_t value)
{
    /* what can be written; the rest is as it was */
    static const uint16_t writable[BCRS] = {
        [BCR_MC] = 0x518F,      [BCR_LNKST] = 0x73FF, [5] = 0x73FF,  [6] = 0x73FF,
        [7] = 0x73FF,           [BCR_FDC] = 0x0007,   [16] = 0xFFFF, [17] = 0xFFFF,
        [BCR_BSBC] = 0xFB78,    [19] = 0x001F,        [21] = 0xFFFF, [22] = 0xFFFF,
        [25] = 0xFFFF,          [26] = 0xFFFF,        [27] = 0xFFFF, [28] = 0xFFFF,
        [29] = 0xFFFF,          [30] = 0xFFFF,        [31] = 0xFFFF, [BCR_MIICAS] = 0xBFBF,
        [BCR_MIIADDR] = 0x03FF,
    };

    if (nth == BCR_SWS)
        write_style(s, value);
    else if (nth == BCR_MIIMDR && s->bcr[BCR_MIIADDR] >> 5 == PHY_ADDRESS)
        mii_write(&s->phy, s->bcr[BCR_MIIADDR] & 31, value);
    else if (nth < BCRS)
        s->bcr[nth] = (s->bcr[nth] & ~writable[nth]) | (value & writable[nth]);
}

/* S_RESET: the bus configuration, the rings' addresses and the card's own stay. */
static void pcnet_soft_reset(struct pcnet *s)
{
    s->rap = 0;
    s->csr[CSR_MASKS] = s->csr[CSR_EXTENDED] = s->csr[CSR_MODE] = 0;
    s->csr[CSR_TEST] = 0x0115;
    s->csr[CSR_DMATCFW] = 0x1410;
    s->csr[CSR_BTO] = 0x0200;
    s->csr[CSR_MFC] = s->csr[122] = s->csr[124] = 0;
    pcnet_stop(s);
}

/* ---- the windows ---- */

/* The port that an access of that size reaches, PORTS: none. */
static enum port find_port(const struct pcnet *s, uint64_t offset, unsigned size)
{
    unsigned width = s->bcr[BCR_BSBC] & BSBC_DWIO ? 4 : 2;
    uint64_t nth = (offset - APROM_SIZE) / width;

    return size == width && offset % width == 0 && nth < PORTS ? nth : PORTS;
}

static uint64_t pcnet_bar_read(void *opaque, uint64_t offset, unsigned size)
{
    struct pcnet *s = opaque;
    uint64_t value = 0;

    if (offset < APROM_SIZE) {
        for (unsigned i = 0; i < size && offset + i < APROM_SIZE; i++)
            value |= (uint64_t)s->aprom[offset + i] << 8 * i;
        return value;
    }
    switch (find_port(s, offset, size)) {
    case RDP:
        /* all are 16 bits wide, but who reads doublewords has the chip's identity whole (NetBSD) */
        return s->rap == CSR_CHIP_ID ? csr_pair(s, CSR_CHIP_ID) : read_csr(s, s->rap);
    case RAP:
        return s->rap;
    case RESET:
        pcnet_soft_reset(s);
        return 0;
    case BDP:
        return read_bcr(s, s->rap);
    default:
        return UINT64_MAX;
    }
}

static void pcnet_bar_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct pcnet *s = opaque;

    for (unsigned i = 0; i < size && offset + i < APROM_SIZE; i++)
        if (s->bcr[BCR_MC] & MC_APROMWE)
            s->aprom[offset + i] = value >> 8 * i;
    if (offset < APROM_SIZE)
        return;
    if (offset == APROM_SIZE && size == 4)
        s->bcr[BCR_BSBC] |= BSBC_DWIO; /* from now on, until the next reset of the machine */
    switch (find_port(s, offset, size)) {
    case RDP:
        write_csr(s, s->rap, value);
        break;
    case RAP:
        s->rap = value % CSRS;
        break;
    case BDP:
        write_bcr(s, s->rap, value);
        break;
    default:
        break;
    }
}

static const struct region_ops bar_ops = {.read = pcnet_bar_read, .write = pcnet_bar_write, .max_size = 4};

/* ---- life ---- */

/* The address, what kind of card it is (0x11: PCI), their sum, and WW. */
static void fill_aprom(struct pcnet *s)
{
    unsigned sum = 0;

    memset(s->aprom, 0, sizeof(s->aprom));
    memcpy(s->aprom, s->nic.mac, 6);
    s->aprom[9] = 0x11;
    s->aprom[14] = s->aprom[15] = 'W';
    for (int i = 0; i < APROM_SIZE; i++)
        sum += s->aprom[i];
    s->aprom[12] = sum;
    s->aprom[13] = sum >> 8;
}

/* H_RESET */
static void pcnet_reset(struct device *dev)
{
    static const uint16_t bcr[BCRS] = {
        [0] = 0x0005,  [1] = 0x0005,       [BCR_MC] = 0x0002, [BCR_LNKST] = 0x00C0,
        [5] = 0x0084,  [6] = 0x0088,       [7] = 0x0090,      [BCR_BSBC] = 0x9001,
        [19] = 0x0002, [BCR_SWS] = 0x0200, [22] = 0xFF06,     [BCR_MIICAS] = 0x0400 | MIICAS_DETECT};
    struct pcnet *s = (struct pcnet *)dev;

    memset(s->csr, 0, sizeof(s->csr));
    memcpy(s->bcr, bcr, sizeof(bcr));
    s->bcr[BCR_SUBSYSTEM] = pci_get16(&s->pci, PCI_SUBSYSTEM_VENDOR_ID);
    s->bcr[BCR_SUBSYSTEM + 1] = pci_get16(&s->pci, PCI_SUBSYSTEM_ID);
    s->bcr[BCR_VENDOR] = pci_get16(&s->pci, PCI_VENDOR_ID);
    s->rx_index = s->tx_index = 0;
    s->tx_fcs = s->demanded = false;
    s->poll_delay = FIRST_POLL;
    fill_aprom(s);
    for (int i = 0; i < 3; i++)
        s->csr[CSR_PADR + i] = s->nic.mac[2 * i] | s->nic.mac[2 * i + 1] << 8;
    set_csr_pair(s, CSR_CHIP_ID, s->revision >= REVISION_FAST_III ? 0x02625003 : 0x02621003);
    mii_reset(&s->phy);
    pcnet_soft_reset(s);
}

static bool pcnet_realize(struct device *dev, struct error *err)
{
    struct pcnet *s = (struct pcnet *)dev;
    const struct net_card chip = {.receive = pcnet_card_receive, .sent = pcnet_transmit, .opaque = s};

    if (!nic_realize(&s->nic, &s->pci, &chip, err))
        return false;
    s->phy.id = 0x00006B60; /* that of the Am79C973 */
    timer_init(&s->poll, &dev->machine->clock, poll_fire, s);
    s->tx_work = (struct loop_work){.run = pcnet_transmit, .opaque = s};
    s->pci.config[PCI_REVISION_ID] = s->revision;
    s->pci.config[PCI_MIN_GRANT] = 6;
    s->pci.config[PCI_MAX_LATENCY] = 0xFF;
    s->io = (struct region){.name = "pcnet-io", .size = BAR_SIZE, .ops = &bar_ops, .opaque = s};
    s->memory = (struct region){.name = "pcnet-memory", .size = BAR_SIZE, .ops = &bar_ops, .opaque = s};
    pci_add_bar(&s->pci, 0, PCI_BAR_IO, &s->io);
    pci_add_bar(&s->pci, 1, PCI_BAR_MEM, &s->memory);
    return true;
}

static void pcnet_unrealize(struct device *dev)
{
    struct pcnet *s = (struct pcnet *)dev;

    loop_cancel(&dev->machine->loop, &s->tx_work);
    timer_cancel(&s->poll);
    nic_unrealize(&s->nic);
}

static bool pcnet_check(const struct device *dev, struct error *err)
{
    const struct pcnet *s = (const struct pcnet *)dev;

    return style(s) <= STYLE_PCNET2 || error_set(err, "software style %u", style(s));
}

static void pcnet_settle(struct device *dev)
{
    struct pcnet *s = (struct pcnet *)dev;

    nic_settle(&s->nic, &s->tx_work);
}

static void pcnet_loaded(struct device *dev)
{
    struct pcnet *s = (struct pcnet *)dev;

    pcnet_update_irq(s);
    nic_loaded(&s->nic, &s->tx_work);
}

static const struct property properties[] = {
    NIC_PROPERTIES(struct pcnet, nic),
    PROPERTY(PROP_UINT8, struct pcnet, revision, "revision", .initial = "0x10", .min = 0x10, .max = 0x40,
             .help = "0x10: Am79C970A; 0x40: Am79C973, with a PHY on MII"),
    {.name = NULL},
};

static const struct pci_info info = {.vendor = 0x1022,
                                     .device = 0x2000,
                                     .class_code = 0x020000,
                                     .revision = 0x10,
                                     .interrupt_pin = 1,
                                     .rom = "efi-pcnet.rom"};

static const struct device_class pcnet_class = {
    .name = "pcnet",
    .description = "AMD Am79C970A PCnet-PCI II or Am79C973 PCnet-FAST III Ethernet",
    .bus = &pci_bus_ops,
    .hotplug = true,
    .size = sizeof(struct pcnet),
    .bus_info = &info,
    .properties = properties,
    .state = &pcnet_state,
    .realize = pcnet_realize,
    .unrealize = pcnet_unrealize,
    .reset = pcnet_reset,
    .check = pcnet_check,
    .settle = pcnet_settle,
    .loaded = pcnet_loaded,
};
DEVICE_CLASS(pcnet_class);
