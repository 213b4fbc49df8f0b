/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCnet as drivers of other systems than Linux use it: how they find the chip, start it, send and receive,
 * and start it again. What each does was read in its source; the names of the tests say whose it is.
 */
#include "tests/unit/pcnet_card.h"

enum { ONES = 0xF000, ADD_FCS = TMD_ADD_FCS >> 24, LTINT = TMD_LTINT >> 24 };

struct driver {
    const char *properties; /* of the card that it knows */
    void (*attach)(struct nic *n);
    void (*begin)(struct nic *n);         /* up; also a second time, after traffic */
    uint16_t (*interrupt)(struct nic *n); /* serves one, and returns what it told of */
    uint8_t flags;                        /* of transmit descriptors, beside OWN, STP and ENP */
    bool polls;                           /* never enables interrupts */
};

static void clear_rings(struct nic *n)
{
    n->rx_next = n->tx_next = 0;
    for (unsigned i = 0; i < RING; i++) {
        give_rx(n, i);
        give(n, place(n, n->tx, i), n->tx_buffer, 0, 0);
    }
}

static void load_block(struct nic *n, uint16_t mode)
{
    write_block(n, mode);
    set_csr(n, 1, n->block);
    set_csr(n, 2, n->block >> 16);
}

static void check_address(const uint8_t address[6])
{
    assert_memory_equal(address, mac, 6);
}

static void address_bytes(struct nic *n)
{
    uint8_t address[6];

    for (unsigned i = 0; i < 6; i++)
        address[i] = port_read(n, i, 1);
    check_address(address);
}

static uint32_t chip_id(struct nic *n)
{
    return csr(n, 88) | (uint32_t)csr(n, 89) << 16;
}

static bool told(struct nic *n, const struct driver *d, uint16_t event)
{
    return d->polls ? csr(n, 0) & event : line_is_up(n);
}

/* More frames than the rings have descriptors, in both directions. */
static void exchange(struct nic *n, const struct driver *d)
{
    uint8_t data[100], frame[2048];

    for (unsigned i = 0; i < RING + 2; i++) {
        uint64_t at;

        memset(data, i, sizeof(data));
        qtest_memwrite(n->q, n->tx_buffer, data, sizeof(data));
        at = put(n, 0, sizeof(data), OWN | STP | ENP | d->flags);
        set_csr(n, 0, d->polls ? CSR0_TDMD : CSR0_IENA | CSR0_TDMD);
        assert_int_equal(wire_take(&n->wire, frame, FOREVER), sizeof(data));
        assert_memory_equal(frame, data, sizeof(data));
        assert_true(SOON(told(n, d, CSR0_TINT)));
        assert_true(d->interrupt(n) & CSR0_TINT);
        assert_int_equal(status_of(n, at), STP | ENP | (d->flags & ADD_FCS));
        wire_send(&n->wire, mac, 0x80 + i, 200);
        assert_true(SOON(told(n, d, CSR0_RINT)));
        assert_true(d->interrupt(n) & CSR0_RINT);
        assert_int_equal(take(n, frame), 204);
        check_frame(frame, 204, mac, 0x80 + i);
        assert_false(line_is_up(n));
    }
}

static void drive(struct nic *n, void **state, const struct driver *d)
{
    start_with(n, state, d->properties);
    d->attach(n);
    for (int i = 0; i < 2; i++) {
        d->begin(n);
        exchange(n, d);
    }
}

/* ---- le of FreeBSD and Haiku, and of NetBSD ---- */

static void le_attach(struct nic *n)
{
    n->style = 2;
    address_bytes(n);
    set_csr(n, 0, CSR0_STOP);
}

static void le_begin(struct nic *n)
{
    set_csr(n, 0, CSR0_STOP);
    set_bcr(n, 20, 2);
    set_csr(n, 3, 0);
    set_bcr(n, 2, bcr(n, 2) | 2);
    set_bcr(n, 9, bcr(n, 9) & ~1);
    clear_rings(n);
    load_block(n, 0);
    set_csr(n, 0, CSR0_INIT);
    assert_true(csr(n, 0) & CSR0_IDON);
    set_csr(n, 0, CSR0_IENA | CSR0_STRT);
}

/* All causes off with the interrupt off; then on again. */
static uint16_t le_interrupt(struct nic *n)
{
    uint16_t isr = csr(n, 0);

    assert_true(isr & CSR0_INTR);
    set_csr(n, 0, isr & ~(CSR0_IENA | CSR0_TDMD | CSR0_STOP | CSR0_STRT | CSR0_INIT));
    assert_false(line_is_up(n));
    assert_int_equal(isr & (CSR0_ERR | CSR0_RXON | CSR0_TXON),
                     CSR0_RXON | CSR0_TXON); /* else it starts anew */
    set_csr(n, 0, CSR0_IENA);
    return isr;
}

static void le_of_freebsd(void **state)
{
    static const struct driver d = {"", le_attach, le_begin, le_interrupt, .flags = 0};
    struct nic n;

    drive(&n, state, &d);
    finish(&n);
}

/* ---- pcn of FreeBSD and Haiku: no init block ---- */

static void pcn_reset(struct nic *n)
{
    port_read(n, 0x14, 2);
    port_read(n, 0x18, 4);
    port_write(n, 0x10, 4, 0);
    n->dwio = true;
}

/* The subsystem's identity, by words and in configuration space, tells of what width the ports are. */
static void pcn_identify(struct nic *n)
{
    uint32_t subsystem;

    n->dwio = false;
    subsystem = (uint32_t)bcr(n, 24) << 16 | bcr(n, 23);
    assert_int_equal(subsystem, qpci_readl(&n->pci, 0x2C));
    assert_int_equal(chip_id(n) >> 12 & 0xFFFF, 0x2625);
}

static uint16_t mii_read(struct nic *n, unsigned phy, unsigned reg)
{
    uint16_t value;

    set_bcr(n, 33, reg | phy << 5);
    value = bcr(n, 34);
    return value == 0xFFFF ? 0 : value;
}

/* One PHY, which says that it negotiated 100 Mbit/s, full duplex. */
static void find_phy(struct nic *n)
{
    for (unsigned phy = 0; phy < 32; phy++)
        assert_int_equal(!!mii_read(n, phy, 1), phy == PHY);
    set_bcr(n, 33, PHY << 5);
    set_bcr(n, 34, 0x8000);
    assert_int_equal(mii_read(n, PHY, 0) & 0x8000, 0);
    set_bcr(n, 33, PHY << 5 | 4);
    set_bcr(n, 34, 0x01E1);
    set_bcr(n, 33, PHY << 5);
    set_bcr(n, 34, 0x1200);
    assert_int_equal(mii_read(n, PHY, 1) & 0x24, 0x24);
    assert_int_equal(mii_read(n, PHY, 4) & mii_read(n, PHY, 5) & 0x0100, 0x0100);
}

static void pcn_attach(struct nic *n)
{
    uint32_t address[2];

    pcn_identify(n);
    pcn_reset(n);
    assert_int_equal(qtest_inw(n->q, n->io + 0x12), 0xFFFF); /* the ports are wide now */
    n->style = 3;
    set_bcr(n, 20, 3);
    address[0] = port_read(n, 0, 4);
    address[1] = port_read(n, 4, 4);
    check_address((uint8_t *)address);
    find_phy(n);
}

static void load_registers(struct nic *n)
{
    for (int i = 0; i < 3; i++)
        set_csr(n, 12 + i, mac[2 * i] | mac[2 * i + 1] << 8);
    set_csr(n, 24, n->rx);
    set_csr(n, 25, n->rx >> 16);
    set_csr(n, 30, n->tx);
    set_csr(n, 31, n->tx >> 16);
    set_csr(n, 76, -RING);
    set_csr(n, 78, -RING);
    set_csr(n, 2, 0);
    set_csr(n, 7, 0x8000); /* fast suspend */
    set_bcr(n, 18, bcr(n, 18) | 0x0860);
    set_csr(n, 3, csr(n, 3) | 0x0040);
    set_csr(n, 4, csr(n, 4) | 0x0800);
}

static void pcn_begin(struct nic *n)
{
    set_csr(n, 0, CSR0_STOP);
    pcn_reset(n);
    set_bcr(n, 20, 3);
    clear_rings(n);
    set_bcr(n, 2, bcr(n, 2) & ~2);
    set_csr(n, 15, 3 << 7); /* MII */
    set_csr(n, 5, csr(n, 5) | 1);
    for (int i = 0; i < 4; i++)
        set_csr(n, 8 + i, 0);
    set_csr(n, 5, csr(n, 5) & ~1);
    load_registers(n);
    set_bcr(n, 32, bcr(n, 32) | 0x0080);
    set_csr(n, 0, CSR0_IENA | CSR0_STRT);
    set_bcr(n, 9, bcr(n, 9) | 1);
}

/* Writes what it read, all of it, until nothing is left. */
static uint16_t write_back_interrupt(struct nic *n)
{
    uint16_t status, all = 0;

    while ((status = csr(n, 0)) & CSR0_INTR) {
        set_csr(n, 0, status);
        assert_int_equal(status & CSR0_ERR, 0);
        all |= status;
    }
    assert_int_equal(csr(n, 0) & (CSR0_TXON | CSR0_RXON | CSR0_IENA), CSR0_TXON | CSR0_RXON | CSR0_IENA);
    return all;
}

static void is_received(struct nic *n, const struct driver *d, const uint8_t to[6])
{
    uint8_t frame[2048];

    wire_send(&n->wire, to, 7, 100);
    assert_true(SOON(told(n, d, CSR0_RINT)));
    d->interrupt(n);
    take(n, frame);
}

static void pcn_of_freebsd(void **state)
{
    static const struct driver d = {",revision=0x40", pcn_attach, pcn_begin, write_back_interrupt,
                                    .flags = ADD_FCS | LTINT};
    static const uint8_t other[6] = {0x52, 0x54, 0, 9, 9, 9};
    struct nic n;

    drive(&n, state, &d);
    set_csr(&n, 5, csr(&n, 5) | 1); /* promiscuous while it runs */
    set_csr(&n, 15, csr(&n, 15) | MODE_PROM);
    set_csr(&n, 5, csr(&n, 5) & ~1);
    set_csr(&n, 0, CSR0_IENA | CSR0_STRT);
    is_received(&n, &d, other);
    exchange(&n, &d);
    finish(&n);
}

/* ---- pcn of illumos ---- */

static void illumos_begin(struct nic *n)
{
    set_csr(n, 5, csr(n, 5) & ~0x0400);
    set_csr(n, 0, csr(n, 0) | CSR0_STOP);
    pcn_reset(n);
    set_bcr(n, 20, 3);
    set_bcr(n, 2, bcr(n, 2) & ~2);
    set_csr(n, 15, 3 << 7);
    set_bcr(n, 32, bcr(n, 32) | 0x0020);
    for (int i = 0; i < 4; i++)
        set_csr(n, 8 + i, 0);
    clear_rings(n);
    load_registers(n);
    set_csr(n, 0, csr(n, 0) | CSR0_STRT | CSR0_IENA);
    assert_int_equal(csr(n, 0), CSR0_TXON | CSR0_RXON | CSR0_STRT | CSR0_IENA);
    set_csr(n, 5, csr(n, 5) | 0x0400);
    set_bcr(n, 31, 0xA000);
}

static void pcn_of_illumos(void **state)
{
    static const struct driver d = {",revision=0x40", pcn_attach, illumos_begin, write_back_interrupt,
                                    .flags = ADD_FCS | LTINT};
    unsigned hash = ~wire_crc(group, 6) >> 26;
    struct nic n;

    drive(&n, state, &d);
    set_csr(&n, 5, csr(&n, 5) | 1); /* a group while it runs */
    assert_true(csr(&n, 5) & 1);
    set_csr(&n, 8 + hash / 16, 1 << hash % 16);
    set_csr(&n, 5, csr(&n, 5) & ~1);
    is_received(&n, &d, group);
    set_csr(&n, 5, csr(&n, 5) & ~0x0400); /* for a fast reboot */
    set_csr(&n, 0, (csr(&n, 0) & ~CSR0_IENA) | CSR0_STOP);
    assert_int_equal(csr(&n, 0), CSR0_STOP);
    finish(&n);
}

/* ---- pcn of NetBSD and OpenBSD ---- */

static void netbsd_attach(struct nic *n)
{
    bool fast = qpci_readb(&n->pci, 0x08) >= 0x40;

    n->by_memory = true;
    pcn_reset(n);
    address_bytes(n);
    port_write(n, 0x14, 4, 88);
    assert_int_equal(port_read(n, 0x10, 4) >> 12 & 0xFFFF, fast ? 0x2625 : 0x2621);
    if (fast)
        find_phy(n);
    assert_int_equal(bcr(n, 25) & 0xFF, 0); /* no memory of its own */
    n->style = 3;
}

static void netbsd_begin(struct nic *n)
{
    set_csr(n, 0, CSR0_STOP);
    pcn_reset(n);
    set_bcr(n, 20, 3);
    clear_rings(n);
    set_csr(n, 3, CSR0_MISS | CSR0_IDON | 0x0040);
    set_csr(n, 4, 0x4000 | 0x0800 | 0x0100 | 0x0010 | 0x0004);
    set_csr(n, 5, 0x4000 | 0x0400); /* LTINTEN, SINTE */
    set_csr(n, 7, 0x8000);
    set_bcr(n, 18, bcr(n, 18) | 0x0060);
    set_csr(n, 80, 0x1400);
    load_block(n, 0);
    set_csr(n, 0, CSR0_INIT);
    assert_true(csr(n, 0) & CSR0_IDON);
    set_bcr(n, 2, bcr(n, 2) | 2);
    set_bcr(n, 9, 0);
    set_csr(n, 0, CSR0_IENA | CSR0_STRT | CSR0_IDON);
    assert_false(line_is_up(n));
}

static uint16_t netbsd_interrupt(struct nic *n)
{
    uint16_t status, all = 0;

    while ((status = csr(n, 0)) & CSR0_INTR) {
        set_csr(n, 0,
                status & (CSR0_IENA | CSR0_BABL | CSR0_MISS | CSR0_MERR | CSR0_RINT | CSR0_TINT | CSR0_IDON));
        assert_int_equal(status & (CSR0_ERR | CSR0_RXON | CSR0_TXON), CSR0_RXON | CSR0_TXON);
        all |= status;
    }
    return all;
}

static void pcn_of_netbsd(void **state)
{
    static const char *cards[] = {",revision=0x10", ",revision=0x40"};
    struct driver d = {NULL, netbsd_attach, netbsd_begin, netbsd_interrupt, .flags = LTINT};
    struct nic n;
    uint64_t at;
    uint8_t frame[2048];

    for (int i = 0; i < 2; i++) {
        d.properties = cards[i];
        drive(&n, state, &d);
        /* a frame that asks for no interrupt makes none, and its descriptors come back by themselves */
        at = put(&n, 0, 40, OWN | STP);
        put(&n, 40, 60, OWN | ENP);
        set_csr(&n, 0, CSR0_IENA | CSR0_TDMD);
        assert_int_equal(wire_take(&n.wire, frame, FOREVER), 100);
        assert_int_equal(status_of(&n, at), STP);
        assert_false(line_is_up(&n));
        finish(&n);
        qtest_stop(n.q);
        *state = NULL;
    }
}

/* ---- ReactOS ---- */

static void reactos_attach(struct nic *n)
{
    n->style = 2;
    address_bytes(n);
}

static void reactos_begin(struct nic *n)
{
    port_read(n, 0x18, 2);
    port_read(n, 0x14, 2);
    set_csr(n, 0, CSR0_STOP);
    set_csr(n, 58, csr(n, 58) | 2);
    set_csr(n, 4, csr(n, 4) | 0x0800 | 0x0004 | 0x4000);
    set_bcr(n, 18, bcr(n, 18) | 0x0060);
    clear_rings(n);
    load_block(n, 0);
    set_csr(n, 15, 0);
    set_csr(n, 0, CSR0_STRT | CSR0_INIT | CSR0_IENA); /* both at once; IDON interrupts */
    set_bcr(n, 2, 0x1000);
    set_bcr(n, 4, 0x00C0);
    set_bcr(n, 5, 0x0180);
    set_bcr(n, 6, 0x1080);
    set_bcr(n, 7, 0x00B4);
    assert_int_equal(bcr(n, 4) & 0x8000, 0x8000);
}

/* First off, with the address register kept; later served and on again. */
static uint16_t reactos_interrupt(struct nic *n)
{
    uint16_t rap = port_read(n, 0x12, 2), status, all = 0;

    assert_true(csr(n, 0) & CSR0_INTR);
    set_csr(n, 0, 0);
    assert_false(line_is_up(n));
    port_write(n, 0x12, 2, rap);
    while ((status = csr(n, 0)) & CSR0_INTR) {
        set_csr(n, 0, status);
        all |= status;
    }
    set_csr(n, 0, CSR0_IENA);
    return all;
}

static void pcnet_of_reactos(void **state)
{
    static const struct driver d = {"", reactos_attach, reactos_begin, reactos_interrupt, .flags = 0};
    struct nic n;

    drive(&n, state, &d);
    finish(&n);
}

/* ---- U-Boot: by memory only, and it polls ---- */

static void uboot_attach(struct nic *n)
{
    n->by_memory = true;
    n->style = 2;
    qpci_writew(&n->pci, 0x04, 0x0006); /* memory and bus mastering */
    assert_int_equal(qpci_readw(&n->pci, 0x04) & 7, 6);
    qpci_writeb(&n->pci, 0x0D, 0x20);
    port_read(n, 0x14, 2);
    assert_int_equal(csr(n, 0), CSR0_STOP);
    port_write(n, 0x12, 2, 88);
    assert_int_equal(port_read(n, 0x12, 2), 88);
    assert_int_equal(chip_id(n), 0x02621003);
    for (int i = 0; i < 3; i++)
        assert_int_equal(csr(n, 12 + i), mac[2 * i] | mac[2 * i + 1] << 8);
}

static void uboot_begin(struct nic *n)
{
    port_read(n, 0x14, 2); /* the halt of the last time */
    assert_true(csr(n, 0) & CSR0_STOP);
    set_bcr(n, 20, 2);
    set_bcr(n, 2, bcr(n, 2) | 2);
    set_bcr(n, 32, (bcr(n, 32) & ~0x98) | 0x20);
    set_bcr(n, 18, bcr(n, 18) | 0x0800);
    set_csr(n, 80, csr(n, 80) | 0x0C00);
    clear_rings(n);
    load_block(n, 0);
    set_csr(n, 4, 0x0915);
    set_csr(n, 0, CSR0_INIT);
    assert_true(csr(n, 0) & CSR0_IDON);
    set_csr(n, 0, CSR0_STRT);
}

static uint16_t polled(struct nic *n)
{
    uint16_t status = csr(n, 0);

    set_csr(n, 0, status & CSR0_EVENTS);
    return status;
}

static void pcnet_of_uboot(void **state)
{
    static const struct driver d = {"", uboot_attach, uboot_begin, polled, .flags = 0, .polls = true};
    struct nic n;
    uint8_t frame[2048];
    uint64_t at;

    drive(&n, state, &d);
    /* descriptors are given back with what the chip had left in them */
    at = place(&n, n.rx, n.rx_next);
    qtest_writew(n.q, at + 6, 0x8340);
    wire_send(&n.wire, everyone, 3, 100);
    assert_true(arrived(&n));
    assert_int_equal(qtest_readw(n.q, at + 6), 0x0310);
    assert_int_equal(take(&n, frame), 104);
    finish(&n);
}

/* ---- Minix ---- */

static void minix_attach(struct nic *n)
{
    port_read(n, 0x14, 2);
    assert_int_equal(csr(n, 0), CSR0_STOP);
    port_write(n, 0x12, 2, 88);
    assert_int_equal(port_read(n, 0x12, 2), 88);
    assert_int_equal(chip_id(n), 0x02621003);
    load_block(n, 3);
    set_csr(n, 4, 0x0915);
    address_bytes(n);
    port_read(n, 0x14, 2);
    load_block(n, 0);
    set_csr(n, 4, 0x0915);
}

static void minix_begin(struct nic *n)
{
    set_csr(n, 0, CSR0_STOP);
    set_csr(n, 0, CSR0_INIT);
    assert_true(csr(n, 0) & CSR0_IDON);
    for (int i = 0; i < 4; i++)
        set_csr(n, 8 + i, 0xFFFF);
    set_csr(n, 15, 0);
    clear_rings(n);
    set_csr(n, 0, CSR0_IDON | CSR0_IENA | CSR0_STRT);
}

static uint16_t minix_interrupt(struct nic *n)
{
    uint16_t isr, all = 0;

    while ((isr = csr(n, 0)) & (CSR0_ERR | CSR0_RINT | CSR0_TINT)) {
        set_csr(n, 0, isr & ~(CSR0_IENA | CSR0_TDMD | CSR0_STOP | CSR0_STRT | CSR0_INIT));
        set_csr(n, 0, CSR0_BABL | CSR0_CERR | CSR0_MISS | CSR0_MERR | CSR0_IDON | CSR0_IENA);
        all |= isr;
    }
    return all;
}

static void lance_of_minix(void **state)
{
    static const struct driver d = {"", minix_attach, minix_begin, minix_interrupt, .flags = 0};
    struct nic n;

    drive(&n, state, &d);
    is_received(&n, &d, group); /* the filter was set between INIT and STRT */
    finish(&n);
}

/* ---- Plan 9 and 9front ---- */

static void plan9_attach(struct nic *n)
{
    uint16_t address[3];

    n->style = 2;
    port_read(n, 0x18, 4);
    port_read(n, 0x14, 2);
    assert_int_equal(csr(n, 0), CSR0_STOP);
    assert_int_equal(chip_id(n) & 0x0FFFFFFF, 0x02621003);
    set_bcr(n, 20, 2);
    set_csr(n, 4, csr(n, 4) | 0x0800);
    for (int i = 0; i < 3; i++)
        address[i] = port_read(n, 2 * i, 2);
    check_address((uint8_t *)address);
    clear_rings(n);
    load_block(n, 0);
    set_csr(n, 3, CSR0_IDON);
    set_csr(n, 0, CSR0_INIT);
    assert_true(csr(n, 0) & CSR0_IDON);
    set_csr(n, 0, CSR0_IENA | CSR0_STRT);
}

/* A change of the filter: no init block this time. */
static void plan9_begin(struct nic *n)
{
    set_csr(n, 0, CSR0_STOP);
    set_csr(n, 15, csr(n, 15) | MODE_PROM);
    clear_rings(n);
    set_csr(n, 0, CSR0_IENA | CSR0_STRT);
}

static uint16_t plan9_interrupt(struct nic *n)
{
    uint16_t status, all = 0;

    do {
        status = csr(n, 0);
        set_csr(n, 0, CSR0_BABL | CSR0_CERR | CSR0_MISS | CSR0_MERR | CSR0_RINT | CSR0_TINT | CSR0_IENA);
        all |= status;
    } while (status & (CSR0_RINT | CSR0_TINT));
    return all;
}

static void ether79c970_of_plan9(void **state)
{
    static const struct driver d = {"", plan9_attach, plan9_begin, plan9_interrupt, .flags = 0};
    struct nic n;

    start(&n, state);
    plan9_attach(&n);
    exchange(&n, &d);
    for (int i = 0; i < 2; i++) {
        plan9_begin(&n);
        exchange(&n, &d);
        is_received(&n, &d, group);
    }
    finish(&n);
}

/* ---- the boot loader of NetBSD: one transmit descriptor, and it polls ---- */

static void boot_of_netbsd(void **state)
{
    struct nic n;
    uint8_t data[64] = {1, 2, 3}, frame[2048];

    start(&n, state);
    set_csr(&n, 0, CSR0_STOP);
    assert_true(csr(&n, 0) & CSR0_STOP);
    address_bytes(&n);
    clear_rings(&n);
    load_block(&n, 0);
    qtest_writew(n.q, n.block + 22, n.tx >> 16);
    set_csr(&n, 3, 0);
    set_csr(&n, 0, CSR0_INIT | CSR0_STRT);
    assert_int_equal(csr(&n, 0) & (CSR0_IDON | CSR0_TXON | CSR0_RXON), CSR0_IDON | CSR0_TXON | CSR0_RXON);
    qtest_memwrite(n.q, n.tx_buffer, data, sizeof(data));
    for (int i = 0; i < 3; i++) {
        n.tx_next = 0;
        put(&n, 0, sizeof(data), OWN | STP | ENP);
        qtest_outw(n.q, n.io + 0x10, CSR0_TDMD); /* the address register stays */
        assert_true(SOON(qtest_inw(n.q, n.io + 0x10) & CSR0_TINT));
        qtest_outw(n.q, n.io + 0x10, CSR0_TINT);
        assert_int_equal(wire_take(&n.wire, frame, FOREVER), sizeof(data));
        wire_send(&n.wire, mac, i, 100);
        assert_int_equal(take(&n, frame), 104);
        assert_true(polled(&n) & CSR0_RINT);
    }
    finish(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        qtest_unit_test(le_of_freebsd),    qtest_unit_test(pcn_of_freebsd),
        qtest_unit_test(pcn_of_illumos),   qtest_unit_test(pcn_of_netbsd),
        qtest_unit_test(pcnet_of_reactos), qtest_unit_test(pcnet_of_uboot),
        qtest_unit_test(lance_of_minix),   qtest_unit_test(ether79c970_of_plan9),
        qtest_unit_test(boot_of_netbsd),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
