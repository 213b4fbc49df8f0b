/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 82540EM as drivers of other systems than Linux use it: how they find the chip, start it, send and receive,
 * and start it again. What each does was read in its source; the names of the tests say whose it is.
 */
#include "tests/lib/packet.h"
#include "tests/unit/e1000_card.h"

enum { FOREVER = 60000, CAUSES = INT_LSC | INT_RXDMT0 | INT_RXO | INT_RXT0 | INT_TXDW };

struct driver {
    void (*attach)(struct nic *n);
    void (*begin)(struct nic *n); /* up; also a second time, after traffic */
    uint32_t command;             /* of transmit descriptors, beside EOP and IFCS */
    uint32_t trailer;             /* 4: the check sequence is received too */
    bool polls, silent;           /* no interrupts; none for sent frames */
    bool tail;                    /* the ring's next descriptor is read from RDT, TDT */
    bool acknowledges;            /* writes ICR, too */
};

static bool line_is_up(struct nic *n)
{
    return qpci_readw(&n->pci, 0x06) & 8;
}

/* Moderation and delays end. */
static uint32_t causes(struct nic *n, const struct driver *d)
{
    uint32_t icr;

    qtest_clock_step(n->q, 5000000);
    assert_int_equal(line_is_up(n), !d->polls);
    icr = get(n, ICR);
    assert_false(line_is_up(n));
    if (d->acknowledges)
        set(n, ICR, 0xFFFFFFFF);
    assert_int_equal(get(n, ICR), 0);
    return icr;
}

static void send_frame(struct nic *n, const struct driver *d, unsigned mark)
{
    uint64_t at = n->tx_ring + 16 * n->tx;
    uint8_t data[200], frame[2048];

    if (d->tail)
        assert_int_equal(get(n, TDT), n->tx);
    memset(data, mark, sizeof(data));
    qtest_memwrite(n->q, n->data, data, sizeof(data));
    tx_put(n, n->data, TX_EOP | TX_IFCS | d->command | sizeof(data), 0);
    kick(n);
    assert_int_equal(wire_take(&n->wire, frame, FOREVER), sizeof(data));
    assert_memory_equal(frame, data, sizeof(data));
    assert_int_equal(get(n, TDH), n->tx);
    assert_int_equal(qtest_readl(n->q, at + 12) & RX_DD, !!(d->command & TX_RS));
    if (!d->silent)
        assert_true(causes(n, d) & (INT_TXDW | INT_TXQE));
}

static void receive_frame(struct nic *n, const struct driver *d, unsigned mark)
{
    uint8_t frame[BUFFER];
    uint32_t status;

    if (d->tail)
        assert_int_equal((get(n, RDT) + 1) % RING, n->rx);
    wire_send(&n->wire, mac, mark, 300);
    assert_true(SOON(get(n, RDH) == (n->rx + 1) % RING));
    assert_true(causes(n, d) & INT_RXT0);
    assert_int_equal(take(n, &status, frame), 300 + d->trailer);
    assert_int_equal(status & ~(RX_IXSM | RX_PIF), RX_DD | RX_EOP);
    assert_int_equal(frame[200], (uint8_t)mark);
}

static void exchange(struct nic *n, const struct driver *d)
{
    for (unsigned i = 0; i < RING + 2; i++) {
        send_frame(n, d, i);
        receive_frame(n, d, 0x80 + i);
    }
}

static void drive(struct nic *n, void **state, const struct driver *d)
{
    start(n, state);
    d->attach(n);
    for (int i = 0; i < 2; i++) {
        d->begin(n);
        get(n, ICR);
        exchange(n, d);
    }
}

/* ---- what several do ---- */

/* 82540 and its kin may not answer a reset by memory. */
static void reset_by_ports(struct nic *n)
{
    set(n, IMC, 0xFFFFFFFF);
    set(n, RCTL, 0);
    set(n, TCTL, TCTL_PSP);
    qtest_outl(n->q, n->io, CTRL);
    qtest_outl(n->q, n->io + 4, get(n, CTRL) | CTRL_RST);
    assert_int_equal(get(n, CTRL) & CTRL_RST, 0);
    set(n, MANC, get(n, MANC) & ~0x2000);
    set(n, IMC, 0xFFFFFFFF);
    get(n, ICR);
    assert_int_equal(get(n, ICR), 0);
}

static void rx_ring(struct nic *n, unsigned tail)
{
    n->rx = 0;
    for (unsigned i = 0; i < RING; i++)
        rx_descriptor(n, i, n->buffers + i * BUFFER);
    set(n, RDBAL, n->rx_ring);
    set(n, RDBAH, 0);
    set(n, RDLEN, RING * 16);
    set(n, RDH, 0);
    set(n, RDT, tail);
}

static void tx_ring(struct nic *n)
{
    n->tx = 0;
    qtest_memset(n->q, n->tx_ring, 0, RING * 16);
    set(n, TDBAL, n->tx_ring);
    set(n, TDBAH, 0);
    set(n, TDLEN, RING * 16);
    set(n, TDH, 0);
    set(n, TDT, 0);
}

static void raise_clock(struct nic *n, uint32_t *eecd)
{
    set(n, EECD, *eecd |= 1);
}

static void lower_clock(struct nic *n, uint32_t *eecd)
{
    set(n, EECD, *eecd &= ~1u);
}

static void shift_out(struct nic *n, unsigned value, int bits)
{
    uint32_t eecd = get(n, EECD) & ~0x0Cu;

    for (int i = bits - 1; i >= 0; i--) {
        eecd = (eecd & ~4u) | (value >> i & 1) << 2;
        set(n, EECD, eecd);
        raise_clock(n, &eecd);
        lower_clock(n, &eecd);
    }
    set(n, EECD, eecd & ~4u);
}

static uint16_t shift_in(struct nic *n)
{
    uint32_t eecd = get(n, EECD) & ~0x0Cu;
    uint16_t word = 0;

    for (int i = 0; i < 16; i++) {
        raise_clock(n, &eecd);
        eecd = get(n, EECD) & ~4u;
        word = word << 1 | (eecd >> 3 & 1);
        lower_clock(n, &eecd);
    }
    return word;
}

/* Selected with the clock high, which is no bit. */
static uint16_t intel_word(struct nic *n, unsigned address)
{
    uint32_t eecd;
    uint16_t word;

    shift_out(n, 6, 3);
    shift_out(n, address, 6);
    word = shift_in(n);
    eecd = get(n, EECD) & ~3u;
    set(n, EECD, eecd);
    raise_clock(n, &eecd);
    set(n, EECD, eecd |= 2);
    lower_clock(n, &eecd);
    return word;
}

/* A clock before the selection. */
static uint16_t netbsd_word(struct nic *n, unsigned address)
{
    uint32_t eecd = get(n, EECD) & ~5u;
    uint16_t word;

    set(n, EECD, eecd);
    raise_clock(n, &eecd);
    lower_clock(n, &eecd);
    set(n, EECD, eecd | 2);
    shift_out(n, 6, 3);
    shift_out(n, address, 6);
    word = shift_in(n);
    set(n, EECD, get(n, EECD) & ~2u);
    return word;
}

static uint16_t eerd_word(struct nic *n, unsigned address)
{
    set(n, EERD, address << 8 | 1);
    assert_true(get(n, EERD) & 0x10);
    return get(n, EERD) >> 16;
}

static void check_eeprom(struct nic *n, uint16_t (*read)(struct nic *n, unsigned address))
{
    uint16_t sum = 0;

    assert_int_equal(get(n, EECD) & 0x2600, 0); /* not SPI, and the smaller one */
    for (unsigned i = 0; i < 64; i++) {
        uint16_t word = read(n, i);

        sum += word;
        if (i < 3)
            assert_int_equal(word, mac[2 * i] | mac[2 * i + 1] << 8);
    }
    assert_int_equal(sum, 0xBABA);
}

static void check_eeprom_shared(struct nic *n, uint16_t (*read)(struct nic *n, unsigned address))
{
    set(n, EECD, get(n, EECD) | 0x40);
    assert_true(get(n, EECD) & 0x80);
    set(n, EECD, get(n, EECD) & ~5u);
    set(n, EECD, get(n, EECD) | 2);
    check_eeprom(n, read);
    set(n, EECD, get(n, EECD) & ~0x42u);
}

static int mdic_read(struct nic *n, unsigned phy, unsigned reg)
{
    uint32_t mdic;

    set(n, MDIC, 0x08000000 | phy << 21 | reg << 16);
    mdic = get(n, MDIC);
    assert_true(mdic & 0x10000000);
    return mdic & 0x40000000 ? -1 : (int)(mdic & 0xFFFF);
}

static void mdic_write(struct nic *n, unsigned reg, unsigned value)
{
    set(n, MDIC, 0x04200000 | reg << 16 | value);
    assert_int_equal(get(n, MDIC) & 0x50000000, 0x10000000);
}

/* The one PHY, reset and negotiated to what all want: 1000 Mbit/s, full duplex. */
static void check_phy(struct nic *n)
{
    for (unsigned phy = 0; phy < 32; phy++)
        assert_int_equal(mdic_read(n, phy, 2), phy == 1 ? 0x0141 : -1);
    assert_int_equal(mdic_read(n, 1, 3) & 0xFFF0, 0x0C20);
    mdic_write(n, 16, (mdic_read(n, 1, 16) & ~0x0060) | 0x0868);
    mdic_write(n, 20, mdic_read(n, 1, 20) | 0x0070);
    mdic_write(n, 0, mdic_read(n, 1, 0) | 0x8000);
    assert_int_equal(mdic_read(n, 1, 0) & 0x8000, 0);
    mdic_write(n, 4, 0x0DE1);
    mdic_write(n, 9, 0x0200);
    mdic_write(n, 0, 0x1200);
    assert_int_equal(mdic_read(n, 1, 1) & 0x0124, 0x0124); /* done, a link, extended status */
    assert_int_equal(mdic_read(n, 1, 15) & 0x3000, 0x3000);
    assert_int_equal(mdic_read(n, 1, 10) & 0x3800,
                     0x3800); /* the partner can it, and both receivers are well */
    assert_int_equal(mdic_read(n, 1, 17) & 0xEC00, 0xAC00); /* 1000, full duplex, resolved, link */
    assert_int_equal(get(n, STATUS) & 0xC3, 0x83);
}

static void set_address(struct nic *n)
{
    set(n, RA, 0x12005452);
    set(n, RA + 4, 0x80005634);
    for (unsigned i = 1; i < 16; i++) {
        set(n, RA + 8 * i, 0);
        set(n, RA + 8 * i + 4, 0);
    }
    for (unsigned i = 0; i < 128; i++) {
        set(n, MTA + 4 * i, 0);
        set(n, VFTA + 4 * i, 0);
    }
}

static void flow_control(struct nic *n)
{
    set(n, FCAL, 0x00C28001);
    set(n, FCAH, 0x0100);
    set(n, FCT, 0x8808);
    set(n, FCTTV, 0x0100);
}

static void check_receive_address(struct nic *n)
{
    assert_int_equal(get(n, RA), 0x12005452);
    assert_int_equal(get(n, RA + 4), 0x80005634);
}

/* ---- Intel's own code: lem of FreeBSD, Haiku, e1000g of illumos, em of OpenBSD ---- */

static void lem_attach(struct nic *n)
{
    assert_true(qpci_readl(&n->pci, 0x14) & 1); /* the ports are where they look for them */
    reset_by_ports(n);
    check_eeprom_shared(n, intel_word);
    check_phy(n);
}

static void lem_begin(struct nic *n)
{
    reset_by_ports(n);
    set(n, PBA, 0x30);
    assert_int_equal(get(n, PBA) & 0xFFFF, 0x30);
    set(n, VET, 0);
    set_address(n);
    set(n, CTRL, (get(n, CTRL) | CTRL_SLU) & ~0x1800);
    check_phy(n);
    flow_control(n);
    set(n, TXDCTL, (get(n, TXDCTL) & ~0x003F0000) | 0x01010000);
    for (unsigned i = 0x4000; i < 0x4100; i += 4)
        get(n, i);
    set(n, VET, 0x8100);
    tx_ring(n);
    set(n, TIPG, 0x00602008);
    set(n, TIDV, 64);
    set(n, TADV, 64);
    set(n, TCTL, (get(n, TCTL) & ~0x0FF0) | TCTL_PSP | TCTL_EN | 0x010000F0);
    set(n, RCTL, get(n, RCTL) & ~RCTL_EN);
    set(n, RADV, 64);
    set(n, ITR, 488);
    rx_ring(n, 0);
    set(n, RXCSUM, get(n, RXCSUM) | 0x0300);
    set(n, RCTL, RCTL_EN | RCTL_BAM);
    set(n, RDH, 0); /* descriptors are given with the receiver on */
    set(n, RDT, RING - 1);
    set(n, RDTR, 0);
    set(n, IMS, INT_TXDW | INT_LSC | INT_RXSEQ | INT_RXDMT0 | INT_RXT0);
}

static const struct driver lem = {lem_attach, lem_begin, TX_RS | TX_IDE, .trailer = 4};

static void lem_of_freebsd(void **state)
{
    struct nic n;

    drive(&n, state, &lem);
    assert_int_equal(get(&n, GPRC), RING + 2);
    assert_int_equal(get(&n, GPTC), RING + 2);
    assert_int_equal(get(&n, GPRC), 0);
    wire_set_link(n.q, "c", false);
    assert_true(causes(&n, &lem) & INT_LSC);
    assert_int_equal(get(&n, STATUS) & 2, 0);
    finish(&n);
}

/* Checksums by a context, which stays for the frames that follow. */
static void checksums_of_lem(void **state)
{
    struct nic n;
    uint8_t data[400], frame[2048];
    size_t length = packet_make(data, mac, 4, PACKET_TCP, 300);
    uint16_t seed = packet_pseudo_sum(data, length - 34);

    start(&n, state);
    lem_begin(&n);
    data[50] = seed >> 8;
    data[51] = seed;
    qtest_memwrite(n.q, n.data, data, length);
    for (int i = 0; i < 2; i++) {
        if (!i)
            tx_put(&n, 14 | 24 << 8 | 33 << 16 | (34ull | 50 << 8) << 32,
                   TX_CTX | TX_RS | TX_IDE | 0x03000000, 0);
        tx_put(&n, n.data, TX_DATA | TX_IFCS | 100, TX_IXSM | TX_TXSM);
        tx_put(&n, n.data + 100, TX_DATA | TX_IFCS | TX_EOP | TX_RS | TX_IDE | (length - 100),
               TX_IXSM | TX_TXSM);
        kick(&n);
        assert_int_equal(wire_take(&n.wire, frame, FOREVER), length);
        packet_check(frame);
    }
    finish(&n);
}

/* ---- wm of NetBSD ---- */

static void wm_attach(struct nic *n)
{
    reset_by_ports(n);
    set(n, EECD, get(n, EECD) | 0x40);
    assert_true(get(n, EECD) & 0x80);
    check_eeprom(n, netbsd_word);
    set(n, EECD, get(n, EECD) & ~0x40);
    check_phy(n);
}

static void wm_begin(struct nic *n)
{
    set(n, PBA, 0x30);
    reset_by_ports(n);
    check_phy(n);
    tx_ring(n);
    set(n, TIDV, 375);
    set(n, TADV, 375);
    set(n, TXDCTL, 0);
    set(n, RXDCTL, 1 << 16);
    rx_ring(n, 0);
    set(n, RDTR, 375 | DELAY_FPD);
    set(n, RADV, 375);
    set(n, VET, 0);
    for (unsigned i = 0; i < 128; i++)
        set(n, VFTA + 4 * i, 0);
    flow_control(n);
    set(n, CTRL, get(n, CTRL) | CTRL_SLU);
    set(n, RXCSUM, 0x0300);
    set(n, IMC, 0xFFFFFFFF);
    set(n, IMS, CAUSES | INT_RXSEQ);
    set(n, ITR, 1500);
    set(n, VET, 0x8100);
    set(n, TCTL, TCTL_EN | TCTL_PSP | 0x010400F0);
    set_address(n);
    set(n, RCTL, RCTL_EN | RCTL_BAM);
    set(n, RDT, RING - 1);
}

static void wm_of_netbsd(void **state)
{
    static const struct driver d = {wm_attach, wm_begin, TX_RS | TX_IDE, .trailer = 4};
    struct nic n;

    drive(&n, state, &d);
    finish(&n);
}

/* ---- ReactOS ---- */

static void reactos_attach(struct nic *n)
{
    check_eeprom(n, eerd_word);
}

static void reactos_begin(struct nic *n)
{
    reset_by_ports(n);
    set(n, CTRL, (get(n, CTRL) & ~(CTRL_VME | 8)) | CTRL_SLU | 0x20);
    set(n, TCTL, 0);
    tx_ring(n);
    set(n, TADV, 96);
    set(n, TIDV, 16);
    set(n, TCTL, TCTL_EN | TCTL_PSP);
    set(n, TIPG, 0x00602008);
    set(n, RCTL, 0);
    rx_ring(n, RING - 1);
    set(n, RADV, 96);
    set(n, RDTR, 16);
    set(n, RCTL, RCTL_SECRC | RCTL_EN);
    set(n, RCTL, get(n, RCTL) | RCTL_BAM);
    set(n, IMS, INT_LSC | INT_TXDW | INT_TXQE | INT_TXD_LOW | INT_RXDMT0 | INT_RXT0);
}

static void e1000_of_reactos(void **state)
{
    static const struct driver d = {reactos_attach, reactos_begin, TX_RS | TX_IDE, .tail = true};
    static const uint8_t group[6] = {1, 0, 0x5E, 0, 0, 0xFB};
    struct nic n;
    uint8_t frame[BUFFER];
    uint32_t status;

    drive(&n, state, &d);
    set(&n, RA + 8, 0x005E0001); /* groups are more addresses */
    set(&n, RA + 12, 0x8000FB00);
    wire_send(&n.wire, group, 1, 100);
    assert_int_equal(take(&n, &status, frame), 100);
    finish(&n);
}

/* ---- Minix ---- */

static void minix_begin(struct nic *n)
{
    set(n, CTRL, get(n, CTRL) | CTRL_RST);
    set(n, CTRL, get(n, CTRL) | CTRL_SLU | 0x20);
    set(n, CTRL, get(n, CTRL) & ~(0x80000088 | CTRL_VME));
    set(n, FCAL, 0);
    set(n, FCAH, 0);
    set(n, FCT, 0);
    set(n, FCTTV, 0);
    for (unsigned i = 0; i < 128; i++)
        set(n, MTA + 4 * i, 0);
    for (unsigned i = 0; i < 64; i++)
        set(n, 0x4000 + 4 * i, 0);
    set(n, RA, 0x12005452);
    set(n, RA + 4, 0x5634);
    set(n, RA + 4, get(n, RA + 4) | 0x80000000);
    rx_ring(n, RING - 1);
    set(n, RCTL, get(n, RCTL) & ~0x00030000);
    set(n, RCTL, get(n, RCTL) | RCTL_EN);
    tx_ring(n);
    set(n, TCTL, get(n, TCTL) | TCTL_EN | TCTL_PSP);
    set(n, IMS, get(n, IMS) | INT_LSC | INT_RXO | INT_RXT0 | INT_TXQE | INT_TXDW);
    set(n, RCTL, (get(n, RCTL) & ~(RCTL_BAM | RCTL_MPE | RCTL_UPE)) | RCTL_BAM | RCTL_MPE);
}

static void e1000_of_minix(void **state)
{
    static const struct driver d = {reactos_attach, minix_begin, TX_RS, .trailer = 4, .tail = true};
    struct nic n;

    drive(&n, state, &d);
    finish(&n);
}

/* ---- Plan 9 and 9front ---- */

static uint16_t plan9_word(struct nic *n, unsigned address)
{
    uint32_t eecd = get(n, EECD); /* with all that the chip shows there */
    uint16_t word = 0;

    set(n, EECD, eecd |= 2);
    for (int i = 8; i >= 0; i--) {
        eecd = (eecd & ~4u) | ((6 << 6 | address) >> i & 1) << 2;
        set(n, EECD, eecd);
        raise_clock(n, &eecd);
        lower_clock(n, &eecd);
    }
    for (int i = 0; i < 16; i++) {
        raise_clock(n, &eecd);
        word = word << 1 | (get(n, EECD) >> 3 & 1);
        lower_clock(n, &eecd);
    }
    set(n, EECD, eecd &= ~2u);
    set(n, EECD, eecd &= ~4u);
    lower_clock(n, &eecd);
    return word;
}

static void plan9_attach(struct nic *n)
{
    qpci_writeb(&n->pci, 0x0C, 0x10);
    assert_int_equal(qpci_readb(&n->pci, 0x0C), 0x10);
    set(n, IMC, 0xFFFFFFFF);
    set(n, RCTL, 0);
    set(n, TCTL, 0);
    set(n, CTRL, CTRL_RST);
    assert_int_equal(get(n, CTRL) & CTRL_RST, 0);
    set(n, CTRL_EXT, get(n, CTRL_EXT) | CTRL_EXT_EE_RST);
    assert_int_equal(get(n, CTRL_EXT) & CTRL_EXT_EE_RST, 0);
    set(n, MANC, get(n, MANC) & ~0x2000);
    set(n, IMC, 0xFFFFFFFF);
    get(n, ICR);
    assert_int_equal(get(n, ICR), 0);
    set(n, EECD, get(n, EECD) | 0x40);
    assert_true(get(n, EECD) & 0x80);
    check_eeprom(n, plan9_word);
    assert_int_equal(get(n, STATUS) & 0x2C, 0); /* the first function, and copper */
    set_address(n);
    flow_control(n);
    set(n, CTRL, (get(n, CTRL) | CTRL_SLU) & ~0x1800);
    check_phy(n);
}

/* Completion by TDH, delays of zero, replenished when half is used: here one by one. */
static void plan9_begin(struct nic *n)
{
    set(n, TCTL, 0x000420F0 | TCTL_PSP);
    set(n, TIPG, 0x00602008);
    set(n, AIT, 0);
    tx_ring(n);
    set(n, TIDV, 128);
    set(n, TADV, 64);
    set(n, TXDCTL, 0x01040000);
    set(n, TCTL, get(n, TCTL) | TCTL_EN);
    set(n, RCTL, RCTL_BAM | RCTL_MPE | 0x00400000);
    rx_ring(n, 0);
    set(n, RDTR, DELAY_FPD);
    set(n, RDT, RING - 1);
    set(n, RADV, 64);
    set(n, RXDCTL, 0x00080804);
    set(n, RXCSUM, 14);
    set(n, RCTL, get(n, RCTL) | RCTL_EN);
    set(n, IMS, INT_RXT0 | INT_RXO | INT_RXDMT0 | INT_RXSEQ | INT_LSC);
}

static void etherigbe_of_plan9(void **state)
{
    static const struct driver d = {plan9_attach, plan9_begin, TX_DATA, .trailer = 4, .silent = true};
    struct nic n;

    drive(&n, state, &d);
    finish(&n);
}

/* ---- Redox: buffers of 16 KiB, and the receiver is on before they are that long ---- */

static void set_flag(struct nic *n, unsigned offset, uint32_t bits)
{
    set(n, offset, get(n, offset) | bits);
}

static void redox_begin(struct nic *n)
{
    set_flag(n, CTRL, CTRL_RST);
    assert_int_equal(get(n, CTRL) & CTRL_RST, 0);
    set_flag(n, CTRL, CTRL_SLU | 0x20);
    set(n, CTRL, get(n, CTRL) & ~(0x80000088 | CTRL_VME));
    check_receive_address(n);
    rx_ring(n, RING - 1);
    tx_ring(n);
    set(n, IMS, INT_RXT0 | INT_RXO | INT_RXDMT0 | INT_RXSEQ);
    set_flag(n, RCTL, RCTL_EN);
    set_flag(n, RCTL, RCTL_UPE);
    set_flag(n, RCTL, 0x20);
    set_flag(n, RCTL, RCTL_BAM);
    set_flag(n, RCTL, 0x00010000);
    set_flag(n, RCTL, 0x02000000);
    set_flag(n, RCTL, RCTL_SECRC);
    set_flag(n, TCTL, TCTL_EN);
    set_flag(n, TCTL, TCTL_PSP);
    assert_true(get(n, STATUS) & 2);
}

static void e1000_of_redox(void **state)
{
    static const struct driver d = {check_receive_address, redox_begin, TX_RS, .silent = true};
    struct nic n;

    drive(&n, state, &d);
    finish(&n);
}

/* ---- SerenityOS: no reset ---- */

static void serenity_begin(struct nic *n)
{
    set(n, IMC, 0xFFFFFFFF);
    rx_ring(n, RING - 1);
    set(n, RCTL, RCTL_EN | 4 | RCTL_UPE | RCTL_MPE | RCTL_BAM | RCTL_SECRC);
    tx_ring(n);
    set(n, TCTL, get(n, TCTL) | TCTL_EN | TCTL_PSP);
    set(n, TIPG, 0x0060200A);
    set(n, CTRL, get(n, CTRL) | CTRL_SLU);
    set(n, ITR, 6000);
    set(n, IMS, INT_LSC | INT_RXT0 | INT_RXO);
    assert_true(get(n, STATUS) & 2);
}

static void e1000_of_serenity(void **state)
{
    static const struct driver d = {check_receive_address, serenity_begin, TX_RS, .silent = true,
                                    .acknowledges = true};
    struct nic n;

    start(&n, state);
    serenity_begin(&n);
    exchange(&n, &d);
    finish(&n);
}

/* ---- HelenOS ---- */

static void helenos_registers(struct nic *n)
{
    set(n, ITR, 195);
    set(n, FCAH, 0);
    set(n, FCAL, 0);
    set(n, FCT, 0);
    set(n, FCTTV, 0);
    set(n, VET, 0x8100);
    set(n, CTRL, 0x20); /* and not SLU */
}

static void helenos_attach(struct nic *n)
{
    helenos_registers(n);
    set(n, TDBAH, 0);
    set(n, TDBAL, n->tx_ring);
    check_eeprom(n, eerd_word);
    set_address(n);
    set(n, RDBAH, 0);
    set(n, RDBAL, n->rx_ring);
}

/* After a reset, the second time; where the rings are is not said again. */
static void helenos_begin(struct nic *n)
{
    set(n, TCTL, get(n, TCTL) & ~TCTL_EN);
    set(n, RCTL, get(n, RCTL) & ~RCTL_EN);
    set(n, CTRL, CTRL_RST);
    assert_int_equal(get(n, CTRL) & CTRL_RST, 0);
    helenos_registers(n);
    set(n, RDLEN, RING * 16);
    set(n, RDH, 0);
    set(n, RDT, RING - 1);
    set(n, RCTL, RCTL_BAM);
    set(n, TDLEN, RING * 16);
    set(n, TDH, 0);
    set(n, TDT, 0);
    set(n, TIPG, 0x0060200A);
    set(n, TCTL, 0x000400F0 | TCTL_PSP);
    set_address(n);
    set(n, IMS, INT_RXT0);
    n->rx = n->tx = 0;
    for (unsigned i = 0; i < RING; i++)
        rx_descriptor(n, i, n->buffers + i * BUFFER);
    qtest_memset(n->q, n->tx_ring, 0, RING * 16);
    set(n, RCTL, get(n, RCTL) | RCTL_EN);
    set(n, TCTL, get(n, TCTL) | TCTL_EN);
    set(n, CTRL, get(n, CTRL) | CTRL_SLU);
}

static void e1k_of_helenos(void **state)
{
    static const struct driver d = {helenos_attach, helenos_begin,  TX_RS,
                                    .trailer = 4,   .silent = true, .tail = true};
    struct nic n;

    drive(&n, state, &d);
    finish(&n);
}

/* ---- U-Boot: one receive descriptor at a time, and it polls ---- */

static void e1000_of_uboot(void **state)
{
    struct nic n;
    uint8_t frame[BUFFER] = {0};

    start(&n, state);
    check_eeprom_shared(&n, intel_word);
    set(&n, IMC, 0xFFFFFFFF);
    set(&n, RCTL, 0);
    set(&n, TCTL, TCTL_PSP);
    set(&n, CTRL, get(&n, CTRL) | CTRL_RST);
    set(&n, MANC, get(&n, MANC) & ~0x2000);
    get(&n, ICR);
    set(&n, PBA, 0x30);
    check_phy(&n);
    set_address(&n);
    tx_ring(&n);
    set(&n, TIPG, 0x00602008);
    set(&n, TCTL, TCTL_EN | TCTL_PSP | 0x000400F0);
    set(&n, RCTL, RCTL_EN | RCTL_BAM);
    set(&n, RCTL, get(&n, RCTL) & ~RCTL_EN);
    set(&n, ITR, 488);
    rx_ring(&n, 0);
    set(&n, RCTL, RCTL_EN | RCTL_BAM);
    for (unsigned i = 0; i < RING + 2; i++) {
        uint64_t at = n.rx_ring + 16 * (i % RING);

        rx_descriptor(&n, i % RING, n.buffers);
        set(&n, RDT, (i + 1) % RING);
        tx_put(&n, n.data, TX_EOP | TX_IFCS | TX_RS | 60, 0);
        kick(&n);
        assert_int_equal(wire_take(&n.wire, frame, FOREVER), 60);
        wire_send(&n.wire, mac, i, 100);
        assert_true(SOON(qtest_readl(n.q, at + 12) & RX_DD));
        assert_int_equal(qtest_readw(n.q, at + 8), 104);
        assert_false(line_is_up(&n));
    }
    finish(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        qtest_unit_test(lem_of_freebsd), qtest_unit_test(checksums_of_lem),
        qtest_unit_test(wm_of_netbsd),   qtest_unit_test(e1000_of_reactos),
        qtest_unit_test(e1000_of_minix), qtest_unit_test(etherigbe_of_plan9),
        qtest_unit_test(e1000_of_redox), qtest_unit_test(e1000_of_serenity),
        qtest_unit_test(e1k_of_helenos), qtest_unit_test(e1000_of_uboot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
