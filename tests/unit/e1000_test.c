/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Intel 82540EM with a datagram socket as its wire. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/lib/packet.h"
#include "tests/lib/suspend.h"
#include "tests/unit/e1000_card.h"

enum { PMCSR = PM_OFFSET + 4, D3 = 3, PME_EN = 0x0100, PME_STATUS = 0x8000 };
static bool taps; /* may we have a namespace and taps? */

static void identity(void **state)
{
    struct nic n;

    start(&n, state);
    assert_int_equal(qpci_readw(&n.pci, 0x0A), 0x0200);
    assert_int_equal(qpci_readb(&n.pci, 0x3D), 1);
    assert_int_equal(qpci_bar_size(&n.pci, 0), 128 << 10);
    assert_int_equal(qpci_bar_size(&n.pci, 1), 64);
    assert_true(qpci_bar_is_io(&n.pci, 1));
    assert_true(qpci_bar_size(&n.pci, QPCI_ROM) >= 65536);
    assert_int_equal(get(&n, RA), 0x12005452);
    assert_int_equal(get(&n, RA + 4), 0x80005634);
    assert_int_equal(get(&n, STATUS) & 0x3FF, 0x283); /* 1000 Mbit/s, full duplex, link */
    assert_int_equal(get(&n, PBA), 0x00100030);
    assert_int_equal(qtest_readw(n.q, n.mem + RA + 2), 0x1200); /* parts can be read, not written */
    qtest_writew(n.q, n.mem + RA, 0xFFFF);
    assert_int_equal(get(&n, RA), 0x12005452);
    assert_int_equal(get(&n, 0x1FFFC), 0); /* nothing there */
    set(&n, 0x1FFFC, 1);
    finish(&n);
}

static void registers_by_ports(void **state)
{
    struct nic n;

    start(&n, state);
    qtest_outl(n.q, n.io, RA);
    assert_int_equal(qtest_inl(n.q, n.io), RA);
    assert_int_equal(qtest_inl(n.q, n.io + 4), 0x12005452);
    qtest_outl(n.q, n.io, RDBAL);
    qtest_outl(n.q, n.io + 4, 0x12345678);
    assert_int_equal(get(&n, RDBAL), 0x12345670);
    assert_int_equal(get(&n, 0x0110), 0x12345670); /* where the 82542 has it */
    qtest_outl(n.q, n.io, CTRL);
    qtest_outl(n.q, n.io + 4, CTRL_RST);
    assert_int_equal(qtest_inl(n.q, n.io), 0);
    qtest_outl(n.q, n.io, 0xFFFFFFFC);
    assert_int_equal(qtest_inl(n.q, n.io + 4), 0);
    qtest_outl(n.q, n.io + 4, 1);
    assert_int_equal(qtest_inl(n.q, n.io + 60), 0);
    finish(&n);
}

/* HelenOS' driver does not name them again. */
static void a_reset_leaves_the_rings_where_they_are(void **state)
{
    struct nic n;

    start(&n, state);
    enable(&n, RCTL_BAM);
    set(&n, CTRL, CTRL_RST);
    assert_int_equal(get(&n, RDBAL), n.rx_ring);
    assert_int_equal(get(&n, TDBAL), n.tx_ring);
    assert_int_equal(get(&n, RDLEN) | get(&n, RDT) | get(&n, TDLEN) | get(&n, RCTL) | get(&n, TCTL), 0);
    finish(&n);
}

static void reads_pattern(struct nic *n, unsigned offset, uint32_t mask, uint32_t write)
{
    static const uint32_t patterns[] = {0x5A5A5A5A, 0xA5A5A5A5, 0, 0xFFFFFFFF};

    for (int i = 0; i < 4; i++) {
        set(n, offset, write & patterns[i]);
        assert_int_equal(get(n, offset), write & patterns[i] & mask);
    }
}

/* What the driver's self-test (ethtool -t) expects. */
static void registers_keep_their_bits(void **state)
{
    static const struct {
        unsigned offset;
        uint32_t mask, write;
    } cases[] = {
        {0x0028, 0xFFFFFFFF, 0xFFFFFFFF},
        {0x002C, 0x0000FFFF, 0xFFFFFFFF},
        {0x0030, 0x0000FFFF, 0xFFFFFFFF},
        {VET, 0x0000FFFF, 0xFFFFFFFF},
        {RDTR, 0x0000FFFF, 0xFFFFFFFF},
        {RDBAL + 4, -1, 0xFFFFFFFF},
        {RDLEN, 0x000FFF80, 0x000FFFFF},
        {RDH, 0x0000FFFF, 0x0000FFFF},
        {RDT, 0x0000FFFF, 0x0000FFFF},
        {0x2168, 0x0000FFF8, 0x0000FFF8},
        {0x0170, 0x0000FFFF, 0x0000FFFF},
        {0x0410, 0x3FFFFFFF, 0x3FFFFFFF},
        {TDBAL + 4, -1, 0xFFFFFFFF},
        {TDLEN, 0x000FFF80, 0x000FFFFF},
        {RDBAL, 0xFFFFFFF0, 0xFFFFFFFF},
        {0x0178, 0xC000FFFF, 0x0000FFFF},
        {TDBAL, 0xFFFFFFF0, 0xFFFFFFFF},
        {TIDV, 0x0000FFFF, 0x0000FFFF},
        {RA + 12, 0x8003FFFF, 0xFFFFFFFF},
        {RA + 124, 0x8003FFFF, 0xFFFFFFFF},
        {MTA, -1, 0xFFFFFFFF},
        {MTA + 508, -1, 0xFFFFFFFF},
    };
    struct nic n;
    uint32_t before;

    start(&n, state);
    before = get(&n, STATUS);
    set(&n, STATUS, ~before);
    assert_int_equal(get(&n, STATUS), before);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        reads_pattern(&n, cases[i].offset, cases[i].mask, cases[i].write);
    set(&n, RCTL, 0x06DFB3FE);
    assert_int_equal(get(&n, RCTL) & 0x06DFB3FE, 0x06DFB3FE);
    finish(&n);
}

static unsigned eerd(struct nic *n, unsigned address)
{
    set(n, EERD, address << 8 | 1);
    assert_int_equal(get(n, EERD) & 0xFF02, address << 8);
    assert_true(get(n, EERD) & 0x10);
    return get(n, EERD) >> 16;
}

static unsigned eecd_bits(struct nic *n, unsigned value, int count)
{
    unsigned out = 0;

    for (int i = count - 1; i >= 0; i--) {
        uint32_t bits = 0x42 | (value >> i & 1) << 2;

        set(n, EECD, bits);
        set(n, EECD, bits | 1);
        out = out << 1 | (get(n, EECD) >> 3 & 1);
        set(n, EECD, bits);
    }
    return out;
}

static unsigned eecd_read(struct nic *n, unsigned address)
{
    unsigned word;

    set(n, EECD, 0x42);
    eecd_bits(n, 0x180 | address, 9);
    word = eecd_bits(n, 0, 16);
    set(n, EECD, 0x40);
    return word;
}

static void eeprom(void **state)
{
    struct nic n;
    uint16_t sum = 0;

    start(&n, state);
    set(&n, EECD, 0x40);
    assert_int_equal(get(&n, EECD) & 0x3C0, 0x1C0); /* granted, present, 64 words */
    for (unsigned i = 0; i < 64; i++) {
        sum += eerd(&n, i);
        assert_int_equal(eecd_read(&n, i), eerd(&n, i));
    }
    assert_int_equal(sum, 0xBABA);
    for (int i = 0; i < 3; i++)
        assert_int_equal(eerd(&n, i), mac[2 * i] | mac[2 * i + 1] << 8);
    assert_int_equal(eerd(&n, 13), 0x100E);
    assert_int_equal(eerd(&n, 14), 0x8086);
    /* writing, and what the chip takes from there at its next reset */
    eecd_bits(&n, 0x130, 9);
    set(&n, EECD, 0x40);
    eecd_bits(&n, 0x140 | 2, 9);
    eecd_bits(&n, 0x7856, 16);
    set(&n, EECD, 0x40);
    set(&n, EECD, 0x42);
    assert_true(get(&n, EECD) & 8); /* ready */
    assert_int_equal(eecd_read(&n, 2), 0x7856);
    assert_int_equal(get(&n, RA + 4), 0x80005634);
    set(&n, CTRL, CTRL_RST);
    assert_int_equal(get(&n, RA + 4), 0x80007856);
    finish(&n);
}

static unsigned phy_read(struct nic *n, unsigned nth)
{
    set(n, MDIC, 0x08200000 | nth << 16);
    assert_int_equal(get(n, MDIC) & 0xFFFF0000, 0x18200000 | nth << 16);
    return get(n, MDIC) & 0xFFFF;
}

static void phy_write(struct nic *n, unsigned nth, unsigned value)
{
    set(n, MDIC, 0x04200000 | nth << 16 | value);
    assert_int_equal(get(n, MDIC), 0x14200000 | nth << 16 | value);
}

static void phy(void **state)
{
    struct nic n;

    start(&n, state);
    assert_int_equal(phy_read(&n, 2), 0x0141);
    assert_int_equal(phy_read(&n, 3) & 0xFFF0, 0x0C20);
    assert_int_equal(phy_read(&n, 1), 0x796D);
    assert_int_equal(phy_read(&n, 17) & 0xEC00, 0xAC00); /* 1000 Mbit/s, full duplex, link */
    /* nobody at other addresses */
    set(&n, MDIC, 0x08400000);
    assert_int_equal(get(&n, MDIC) & 0x50000000, 0x50000000);
    /* 100 Mbit/s, half duplex, by offering no more */
    get(&n, ICR);
    phy_write(&n, 9, 0);
    phy_write(&n, 4, 0x00A1);
    phy_write(&n, 0, 0x1200);
    assert_int_equal(phy_read(&n, 0), 0x1000);
    assert_int_equal(get(&n, STATUS) & 0xC3, 0x42);
    assert_int_equal(get(&n, ICR), INT_LSC);
    assert_int_equal(phy_read(&n, 19), 0x0C00);
    assert_int_equal(phy_read(&n, 19), 0);
    /* 10 Mbit/s, forced */
    phy_write(&n, 0, 0x0100);
    assert_int_equal(get(&n, STATUS) & 0xC3, 0x03);
    /* power down: no link; a reset brings it back */
    phy_write(&n, 0, 0x1940);
    assert_int_equal(get(&n, STATUS) & 2, 0);
    assert_int_equal(phy_read(&n, 1) & 0x24, 0);
    set(&n, CTRL, 0x80000040);
    assert_int_equal(get(&n, CTRL), 0x40);
    assert_int_equal(get(&n, STATUS) & 0xC3, 0x83);
    /* an interrupt at the end of an access, if asked for */
    get(&n, ICR);
    set(&n, MDIC, 0x28220000);
    assert_int_equal(get(&n, ICR), INT_MDAC);
    finish(&n);
}

static void the_link_goes_down_and_up(void **state)
{
    struct nic n;

    start(&n, state);
    enable(&n, 0);
    get(&n, ICR);
    wire_set_link(n.q, "c", false);
    assert_int_equal(get(&n, STATUS) & 2, 0);
    assert_int_equal(phy_read(&n, 1) & 0x24, 0);
    assert_int_equal(get(&n, ICR), INT_LSC);
    assert_int_equal(get(&n, ICR), 0);
    wire_set_link(n.q, "n", true);
    assert_int_equal(get(&n, STATUS) & 2, 2);
    assert_int_equal(get(&n, ICR), INT_LSC);
    finish(&n);
}

static bool line(struct nic *n)
{
    return qpci_readw(&n->pci, 0x06) & 8;
}

static void interrupts(void **state)
{
    struct nic n;

    start(&n, state);
    set(&n, ICS, 0x80);
    assert_false(line(&n));
    set(&n, IMS, 0x84);
    assert_int_equal(get(&n, IMS), 0x84);
    assert_true(line(&n));
    set(&n, IMC, 0x80);
    assert_int_equal(get(&n, IMS), 4);
    assert_false(line(&n));
    assert_int_equal(get(&n, ICR), 0x80); /* reading clears */
    assert_int_equal(get(&n, ICR), 0);
    for (uint32_t bit = 1; bit <= 0x10000; bit <<= 1) {
        set(&n, IMS, bit);
        set(&n, ICS, bit);
        assert_true(line(&n));
        set(&n, ICR, bit); /* so does writing */
        assert_false(line(&n));
        assert_int_equal(get(&n, ICR), 0);
    }
    set(&n, ICS, 4);
    set(&n, CTRL, CTRL_RST);
    assert_false(line(&n));
    assert_int_equal(get(&n, IMS), 0);
    finish(&n);
}

static void interrupts_are_moderated(void **state)
{
    struct nic n;

    start(&n, state);
    qtest_clock_step(n.q, 1000000000);
    set(&n, IMS, 0x80);
    set(&n, ITR, 400); /* 102.4 us */
    set(&n, ICS, 0x80);
    assert_true(line(&n));
    get(&n, ICR);
    qtest_clock_step(n.q, 102399);
    set(&n, ICS, 0x80);
    assert_false(line(&n));
    qtest_clock_step(n.q, 1);
    assert_true(line(&n));
    /* one that is gone before its time is not told */
    get(&n, ICR);
    set(&n, ICS, 0x80);
    get(&n, ICR);
    qtest_clock_step(n.q, 1000000);
    assert_false(line(&n));
    set(&n, ICS, 0x80);
    assert_true(line(&n));
    /* nor does one that waits survive a reset */
    get(&n, ICR);
    set(&n, ICS, 0x80);
    set(&n, CTRL, CTRL_RST);
    qtest_clock_step(n.q, 1000000);
    assert_false(line(&n));
    finish(&n);
}

static void transmits(void **state)
{
    struct nic n;
    uint8_t frame[2048], data[1514];

    start(&n, state);
    enable(&n, 0);
    get(&n, ICR);
    for (int i = 0; i < 40; i++) { /* round the ring */
        unsigned length = i == 39 ? 1514 : 60 + i, at = n.tx;

        memset(data, i, sizeof(data));
        qtest_memwrite(n.q, n.data, data, length);
        tx_put(&n, n.data, TX_EOP | TX_RS | length, 0);
        kick(&n);
        assert_int_equal(qtest_readl(n.q, n.tx_ring + 16 * at + 12), RX_DD);
        assert_int_equal(get(&n, TDH), n.tx);
        assert_int_equal(wire_take(&n.wire, frame, 60000), length);
        assert_memory_equal(frame, data, length);
    }
    assert_int_equal(get(&n, ICR), INT_TXDW | INT_TXQE);
    assert_int_equal(get(&n, GPTC), 40);
    assert_int_equal(get(&n, GPTC), 0); /* cleared by reading */
    assert_int_equal(get(&n, PTC127), 39 - 1);
    finish(&n);
}

static void frames_of_several_descriptors(void **state)
{
    struct nic n;
    uint8_t frame[2048], data[1200];

    start(&n, state);
    enable(&n, 0);
    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = i * 7;
    qtest_memwrite(n.q, n.data, data, sizeof(data));
    for (int i = 0; i < 12; i++)
        tx_put(&n, n.data + 100 * i, 100 | (i == 11 ? TX_EOP : 0), 0);
    kick(&n);
    assert_int_equal(wire_take(&n.wire, frame, 60000), 1200);
    assert_memory_equal(frame, data, 1200);
    assert_int_equal(qtest_readl(n.q, n.tx_ring + 12), 0); /* nobody asked for a report */
    /* nothing in between, a part of no bytes, extended descriptors; the end comes later */
    tx_put(&n, n.data, TX_DATA | 500, 0);
    tx_put(&n, n.data + 500, TX_DATA, 0);
    kick(&n);
    assert_int_equal(wire_take(&n.wire, frame, 20), -1);
    tx_put(&n, n.data + 500, TX_DATA | TX_EOP | 700, 0);
    kick(&n);
    assert_int_equal(wire_take(&n.wire, frame, 60000), 1200);
    assert_memory_equal(frame, data, 1200);
    finish(&n);
}

static void odd_frames_are_sent_or_gone(void **state)
{
    struct nic n;
    uint8_t frame[2048];

    start(&n, state);
    enable(&n, 0);
    tx_put(&n, n.data, TX_EOP | TX_RS | 20, 0); /* padded: TCTL.PSP */
    tx_put(&n, n.data, TX_EOP | TX_RS, 0);      /* nothing to send */
    tx_put(&n, n.data, TX_EOP | TX_RS | 13, 0);
    tx_put(&n, n.data, TX_EOP | TX_RS | 1519, 0);
    tx_put(&n, n.data, TX_EOP | TX_RS | 16000, 0);
    tx_put(&n, 0xFFFFFFF0, TX_EOP | TX_RS | 100, 0); /* no memory there */
    tx_put(&n, n.mem, TX_EOP | TX_RS | 100, 0);      /* the chip itself */
    tx_put(&n, n.data, TX_DATA | TX_EOP | TX_RS | 0xFFFFF, 0);
    tx_put(&n, n.data, TX_EOP | TX_RS | 1518, 0);
    kick(&n);
    assert_int_equal(wire_take(&n.wire, frame, 60000), 60);
    assert_int_equal(wire_take(&n.wire, frame, 60000), 1518);
    assert_int_equal(wire_take(&n.wire, frame, 20), -1);
    for (int i = 0; i < 9; i++)
        assert_int_equal(qtest_readl(n.q, n.tx_ring + 16 * i + 12) & RX_DD, RX_DD);
    set(&n, TCTL, TCTL_EN);
    tx_put(&n, n.data, TX_EOP | 20, 0);
    kick(&n);
    assert_int_equal(wire_take(&n.wire, frame, 60000), 20);
    set(&n, TCTL, 0); /* off: the frame goes when it is on again */
    tx_put(&n, n.data, TX_EOP | 100, 0);
    kick(&n);
    assert_int_equal(wire_take(&n.wire, frame, 20), -1);
    set(&n, TCTL, TCTL_EN);
    assert_int_equal(wire_take(&n.wire, frame, 60000), 100);
    finish(&n);
}

static void context(struct nic *n, unsigned version, bool tcp, bool cut, unsigned mss)
{
    unsigned transport = version == 4 ? 34 : 54, header = tcp ? 20 : 8;
    uint32_t desc[4] = {14 | 24 << 8 | (transport - 1) << 16, transport | (transport + (tcp ? 16 : 6)) << 8,
                        TX_CTX | (cut ? TX_TSE : 0) | (tcp ? 0x01000000 : 0) |
                            (version == 4 ? 0x02000000 : 0),
                        (transport + header) << 8 | mss << 16};

    qtest_memwrite(n->q, n->tx_ring + 16 * n->tx, desc, sizeof(desc));
    n->tx = (n->tx + 1) % RING;
}

/* As drivers do: the sum of the pseudo header is where the checksum goes. */
static void put_seed(uint8_t *frame, size_t bytes)
{
    bool v4 = frame[14] >> 4 == 4, tcp = frame[v4 ? 23 : 20] == PACKET_TCP;
    uint16_t sum = packet_pseudo_sum(frame, bytes);

    memcpy(frame + (v4 ? 34 : 54) + (tcp ? 16 : 6), (uint8_t[]){sum >> 8, sum}, 2);
}

static void checksums_are_inserted(void **state)
{
    static const struct {
        unsigned version;
        uint8_t protocol;
    } cases[] = {{4, PACKET_TCP}, {4, PACKET_UDP}, {6, PACKET_TCP}, {6, PACKET_UDP}};
    struct nic n;
    uint8_t data[2048], frame[2048];
    size_t length;

    start(&n, state);
    enable(&n, 0);
    for (size_t i = 0; i < 4; i++) {
        bool tcp = cases[i].protocol == PACKET_TCP;

        length = packet_make(data, mac, cases[i].version, cases[i].protocol, 777 + i);
        put_seed(data, 777 + i + (tcp ? 20 : 8));
        qtest_memwrite(n.q, n.data, data, length);
        context(&n, cases[i].version, tcp, false, 0);
        tx_put(&n, n.data, TX_DATA | 60, cases[i].version == 4 ? TX_IXSM | TX_TXSM : TX_TXSM);
        tx_put(&n, n.data + 60, TX_DATA | TX_EOP | (length - 60), 0);
        kick(&n);
        assert_int_equal(wire_take(&n.wire, frame, 60000), length);
        packet_check(frame);
        assert_memory_equal(frame + length - 700, data + length - 700, 700);
    }
    /* not asked for */
    tx_put(&n, n.data, TX_DATA | TX_EOP | length, 0);
    kick(&n);
    assert_int_equal(wire_take(&n.wire, frame, 60000), length);
    assert_memory_equal(frame, data, length);
    /* legacy: from CSS on, to CSO */
    length = packet_make(data, mac, 4, PACKET_TCP, 100);
    packet_seal(data);
    memset(data + 50, 0, 2);
    put_seed(data, 120);
    qtest_memwrite(n.q, n.data, data, length);
    tx_put(&n, n.data, TX_EOP | TX_IC | 50 << 16 | length, 34 << 8);
    kick(&n);
    assert_int_equal(wire_take(&n.wire, frame, 60000), length);
    packet_check(frame);
    /* places beyond the frame: as it is */
    tx_put(&n, n.data, TX_EOP | TX_IC | 200 << 16 | length, 190 << 8);
    kick(&n);
    assert_int_equal(wire_take(&n.wire, frame, 60000), length);
    assert_memory_equal(frame, data, length);
    finish(&n);
}

/* A TCP packet to be cut: the length of its headers, and all of it in data. */
static size_t send_to_be_cut(struct nic *n, unsigned version, size_t payload, unsigned mss,
                             uint8_t data[65536 + 100])
{
    size_t headers = version == 4 ? PACKET_IPV4_TCP : PACKET_IPV6_TCP;
    size_t length = packet_make(data, mac, version, PACKET_TCP, payload);

    if (version == 4)
        memset(data + 16, 0, 2);
    else
        memset(data + 18, 0, 2);
    put_seed(data, 0);
    qtest_memwrite(n->q, n->data, data, length);
    context(n, version, true, true, mss);
    tx_put(n, n->data, TX_DATA | TX_TSE | headers, TX_TXSM | (version == 4 ? TX_IXSM : 0));
    tx_put(n, n->data + headers, TX_DATA | TX_TSE | TX_EOP | (length - headers), 0);
    kick(n);
    return headers;
}

static void cut_and_check(struct nic *n, unsigned version, size_t payload, unsigned mss)
{
    static uint8_t data[65536 + 100];
    uint8_t frame[2048];
    size_t headers = send_to_be_cut(n, version, payload, mss, data), sent = 0, tcp = headers - 20;

    for (unsigned i = 0; sent < payload; i++) {
        size_t part = payload - sent < mss ? payload - sent : mss;

        assert_int_equal(wire_take(&n->wire, frame, 60000), headers + part);
        packet_check(frame);
        if (version == 4)
            assert_int_equal(packet_be16(frame + 18), i);
        assert_int_equal(packet_be16(frame + tcp + 4) << 16 | packet_be16(frame + tcp + 6), sent);
        assert_int_equal(frame[tcp + 13], sent + part == payload ? 0x19 : 0x10);
        assert_memory_equal(frame + headers, data + headers + sent, part);
        sent += part;
    }
}

static void packets_are_cut_into_segments(void **state)
{
    struct nic n;
    uint8_t frame[2048];

    start(&n, state);
    enable(&n, 0);
    cut_and_check(&n, 4, 40000, 1460);
    cut_and_check(&n, 6, 40000, 1440);
    cut_and_check(&n, 4, 65535 - 40, 1460);
    cut_and_check(&n, 4, 1460, 1460);
    cut_and_check(&n, 6, 10, 1000);
    assert_int_equal(get(&n, TSCTC), 5);
    /* segments that no frame holds, or of no bytes, and headers that are not there */
    context(&n, 4, true, true, 0xFFFF);
    tx_put(&n, n.data, TX_DATA | TX_TSE | TX_EOP | 3000, TX_TXSM);
    context(&n, 4, true, true, 0);
    tx_put(&n, n.data, TX_DATA | TX_TSE | TX_EOP | 3000, TX_TXSM);
    context(&n, 6, true, true, 1000);
    tx_put(&n, n.data, TX_DATA | TX_TSE | TX_EOP | 50, TX_TXSM);
    kick(&n);
    assert_int_equal(wire_take(&n.wire, frame, 20), -1);
    assert_int_equal(get(&n, TDH), n.tx);
    finish(&n);
}

/* A wire that cuts packets itself gets them whole: a tap device, as its own end sees it. */
static void large_packets_are_left_to_a_tap(void **state)
{
    struct sockaddr_ll tap = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    static uint8_t data[65536 + 100], seen[65536 + 100];
    const struct timeval patience = {.tv_sec = 60};
    struct nic n = {.q = NULL};

    if (!taps)
        skip();
    start_on(&n, state, "-netdev tap,id=n,ifname=e1000tap,script=no,downscript=no");
    assert_int_equal(system("ip link set e1000tap up"), 0);
    tap.sll_ifindex = if_nametoindex("e1000tap");
    n.wire.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
    assert_int_equal(bind(n.wire.fd, (struct sockaddr *)&tap, sizeof(tap)), 0);
    assert_int_equal(setsockopt(n.wire.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    enable(&n, 0);
    for (unsigned version = 4; version <= 6; version += 2) {
        size_t headers = send_to_be_cut(&n, version, 40000, 1400, data);

        do /* the host says things, too */
            assert_true(recv(n.wire.fd, seen, sizeof(seen), 0) > 0);
        while (memcmp(seen, mac, 6));
        assert_int_equal(packet_be16(seen + (version == 4 ? 16 : 18)), version == 4 ? 40040 : 40020);
        assert_memory_equal(seen + headers, data + headers, 40000);
        assert_int_equal(get(&n, GPTC), 29);
        assert_int_equal(get(&n, TSCTC), 1);
    }
    close(n.wire.fd);
}

static void udp_is_cut_too(void **state)
{
    struct nic n;
    uint8_t data[4096], frame[2048];
    size_t length;

    start(&n, state);
    enable(&n, 0);
    length = packet_make(data, mac, 4, PACKET_UDP, 3000);
    put_seed(data, 0);
    memset(data + 16, 0, 2);
    qtest_memwrite(n.q, n.data, data, length);
    context(&n, 4, false, true, 1400);
    tx_put(&n, n.data, TX_DATA | TX_TSE | TX_EOP | length, TX_IXSM | TX_TXSM);
    kick(&n);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(wire_take(&n.wire, frame, 60000), i < 2 ? 1442 : 242);
        packet_check(frame);
        assert_int_equal(packet_be16(frame + 38), i < 2 ? 1408 : 208);
    }
    finish(&n);
}

static void tags_are_put_in(void **state)
{
    struct nic n;
    uint8_t data[200], frame[2048];

    start(&n, state);
    enable(&n, 0);
    memset(data, 0x5A, sizeof(data));
    qtest_memwrite(n.q, n.data, data, sizeof(data));
    tx_put(&n, n.data, TX_EOP | TX_VLE | 200, 0x1234u << 16); /* CTRL.VME is off */
    kick(&n);
    assert_int_equal(wire_take(&n.wire, frame, 60000), 200);
    set(&n, CTRL, get(&n, CTRL) | CTRL_VME);
    tx_put(&n, n.data, TX_EOP | TX_VLE | 200, 0x1234u << 16);
    tx_put(&n, n.data, TX_DATA | TX_EOP | TX_VLE | 200, 0x0FFFu << 16);
    tx_put(&n, n.data, TX_EOP | 200, 0x1234u << 16);
    tx_put(&n, n.data, TX_EOP | TX_VLE | 1518, 0); /* too long then */
    kick(&n);
    assert_int_equal(wire_take(&n.wire, frame, 60000), 204);
    assert_memory_equal(frame, data, 12);
    assert_memory_equal(frame + 12, ((uint8_t[]){0x81, 0, 0x12, 0x34}), 4);
    assert_memory_equal(frame + 16, data + 12, 188);
    assert_int_equal(wire_take(&n.wire, frame, 60000), 204);
    assert_memory_equal(frame + 12, ((uint8_t[]){0x81, 0, 0x0F, 0xFF}), 4);
    assert_int_equal(wire_take(&n.wire, frame, 60000), 200);
    assert_int_equal(wire_take(&n.wire, frame, 20), -1);
    assert_int_equal(get(&n, GPTC), 4);
    finish(&n);
}

static void transmit_interrupts_wait(void **state)
{
    struct nic n;

    start(&n, state);
    enable(&n, 0);
    set(&n, TIDV, 10); /* 10.24 us after the last */
    set(&n, TADV, 15); /* 15.36 us after the first */
    get(&n, ICR);
    tx_put(&n, n.data, TX_EOP | TX_RS | TX_IDE | 60, 0);
    kick(&n);
    assert_int_equal(get(&n, ICR), INT_TXQE);
    qtest_clock_step(n.q, 10000);
    tx_put(&n, n.data, TX_EOP | TX_RS | TX_IDE | 60, 0);
    kick(&n);
    qtest_clock_step(n.q, 5359);
    assert_int_equal(get(&n, ICR), INT_TXQE);
    qtest_clock_step(n.q, 1);
    assert_int_equal(get(&n, ICR), INT_TXDW);
    tx_put(&n, n.data, TX_EOP | TX_RS | TX_IDE | 60, 0);
    kick(&n);
    get(&n, ICR);
    set(&n, TIDV, 0x80000000 | 10); /* now */
    assert_int_equal(get(&n, ICR), INT_TXDW);
    /* one that comes anyway tells of it too, and the line rises no more often than it may */
    set(&n, IMS, INT_TXDW | INT_RXT0);
    tx_put(&n, n.data, TX_EOP | TX_RS | TX_IDE | 60, 0);
    kick(&n);
    assert_false(line(&n));
    set(&n, ICS, INT_RXT0);
    assert_true(line(&n));
    assert_int_equal(get(&n, ICR), INT_TXQE | INT_TXDW | INT_RXT0);
    set(&n, ITR, 400); /* 102.4 us */
    tx_put(&n, n.data, TX_EOP | TX_RS | TX_IDE | 60, 0);
    kick(&n);
    qtest_clock_step(n.q, 102399);
    assert_false(line(&n));
    qtest_clock_step(n.q, 1);
    assert_true(line(&n));
    assert_int_equal(get(&n, ICR), INT_TXQE | INT_TXDW);
    qtest_clock_step(n.q, 1000000);
    assert_false(line(&n));
    set(&n, IMC, -1);
    /* the threshold of descriptors that are left: 8 */
    set(&n, TXDCTL, 1u << 25);
    for (int i = 0; i < 10; i++)
        tx_put(&n, n.data, TX_EOP | 60, 0);
    kick(&n);
    assert_int_equal(get(&n, ICR), 0x8000 | INT_TXQE);
    finish(&n);
}

static void receives(void **state)
{
    struct nic n;
    uint8_t frame[BUFFER];
    uint32_t status, crc;

    start(&n, state);
    enable(&n, RCTL_BAM);
    get(&n, ICR);
    wire_send(&n.wire, mac, 0x77, 100);
    assert_int_equal(take(&n, &status, frame), 104);
    assert_int_equal(status, RX_DD | RX_EOP | RX_IXSM);
    assert_memory_equal(frame, mac, 6);
    assert_int_equal(frame[99], 0x77);
    memcpy(&crc, frame + 100, 4);
    assert_int_equal(crc, wire_crc(frame, 100));
    assert_int_equal(get(&n, ICR), INT_RXT0);
    assert_int_equal(get(&n, RDH), 1);
    wire_send(&n.wire, broadcast, 0x78, 42); /* short ones are filled up */
    assert_int_equal(take(&n, &status, frame), 64);
    assert_int_equal(frame[41], 0x78);
    assert_int_equal(frame[42], 0);
    set(&n, RCTL, RCTL_EN | RCTL_BAM | RCTL_SECRC);
    wire_send(&n.wire, mac, 0x79, 1514);
    assert_int_equal(take(&n, &status, frame), 1514);
    assert_int_equal(get(&n, GPRC), 3);
    assert_int_equal(get(&n, TPR), 3);
    assert_int_equal(get(&n, BPRC), 1);
    assert_int_equal(get(&n, PRC64), 1);
    assert_int_equal(get(&n, PRC127), 1);
    assert_int_equal(get(&n, PRC1522), 1);
    assert_int_equal(get(&n, GORC), 104 + 64 + 1518);
    assert_int_equal(get(&n, GORC), 0);
    finish(&n);
}

static void receives_round_the_ring(void **state)
{
    struct nic n;
    uint8_t frame[BUFFER];
    uint32_t status;

    start(&n, state);
    enable(&n, RCTL_SECRC);
    for (int i = 0; i < 50; i++) {
        wire_send(&n.wire, mac, i, 60 + 29 * i);
        assert_int_equal(take(&n, &status, frame), 60 + 29 * i);
        assert_int_equal(frame[59 + 29 * i], i);
    }
    finish(&n);
}

static void long_frames_take_several_buffers(void **state)
{
    static const struct {
        uint32_t rctl;
        unsigned size;
    } cases[] = {{0x30000, 256}, {0x20000, 512}, {0x10000, 1024}, {0x02030000, 4096}};
    struct nic n;
    uint8_t data[1514], frame[BUFFER];

    start(&n, state);
    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = i < 6 ? mac[i] : i * 5;
    for (int c = 0; c < 4; c++) {
        unsigned size = cases[c].size, done = 0;

        enable(&n, RCTL_SECRC | cases[c].rctl);
        wire_send_bytes(&n.wire, data, sizeof(data));
        for (unsigned i = 0; done < sizeof(data); i++) {
            unsigned part = sizeof(data) - done < size ? sizeof(data) - done : size;
            uint64_t at = n.rx_ring + 16 * i;

            assert_true(SOON(qtest_readb(n.q, at + 12) & RX_DD));
            assert_int_equal(qtest_readb(n.q, at + 12) & RX_EOP, done + part == sizeof(data) ? RX_EOP : 0);
            assert_int_equal(qtest_readw(n.q, at + 8), part);
            qtest_memread(n.q, n.buffers + i * BUFFER, frame, part);
            assert_memory_equal(frame, data + done, part);
            done += part;
        }
    }
    finish(&n);
}

static void filters(void **state)
{
    static const uint8_t other[6] = {2, 1, 1, 1, 1, 1}, group[6] = {1, 0, 0x5E, 0, 0xAB, 0xCD};
    static const struct {
        uint32_t rctl;
        const uint8_t *to;
        int table; /* RCTL.MO for which the table's bit is set, -1: none */
        bool taken;
        uint32_t status;
    } cases[] = {
        {0, mac, -1, true, 0},
        {0, broadcast, -1, false, 0},
        {RCTL_BAM, broadcast, -1, true, 0},
        {RCTL_BAM, other, -1, false, 0},
        {RCTL_UPE, other, -1, true, 0},
        {RCTL_UPE, group, -1, false, 0},
        {RCTL_MPE, group, -1, true, 0},
        {RCTL_MPE, other, -1, false, 0},
        {0, group, 0, true, RX_PIF},
        {1 << 12, group, 1, true, RX_PIF},
        {2 << 12, group, 2, true, RX_PIF},
        {3 << 12, group, 3, true, RX_PIF},
        {3 << 12, group, 2, false, 0},
    };
    static const unsigned shifts[4] = {4, 3, 2, 0};
    struct nic n;
    uint8_t frame[BUFFER];
    uint32_t status;
    unsigned hash;

    start(&n, state);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enable(&n, cases[i].rctl);
        if (cases[i].table >= 0) {
            hash = 0xCDAB >> shifts[cases[i].table] & 0xFFF;
            set(&n, MTA + hash / 32 * 4, 1u << hash % 32);
        }
        wire_send(&n.wire, cases[i].to, i, 64);
        wire_send(&n.wire, mac, 0xEE, 70);
        if (cases[i].taken) {
            assert_int_equal(take(&n, &status, frame), 68);
            assert_int_equal(frame[60], i);
            assert_int_equal(status & 0xFF, RX_DD | RX_EOP | RX_IXSM | cases[i].status);
        }
        assert_int_equal(take(&n, &status, frame), 74);
        assert_int_equal(get(&n, TPR), 2);
    }
    /* more addresses than the first */
    enable(&n, 0);
    set(&n, RA + 15 * 8, 0x01010102);
    set(&n, RA + 15 * 8 + 4, 0x80000101);
    wire_send(&n.wire, other, 0x11, 64);
    assert_int_equal(take(&n, &status, frame), 68);
    set(&n, RA + 15 * 8 + 4, 0x0101);
    set(&n, RA + 4, 0);
    wire_send(&n.wire, other, 0x11, 64);
    wire_send(&n.wire, mac, 0x11, 64);
    assert_true(SOON(get(&n, TPR) >= 1));
    assert_int_equal(qtest_readb(n.q, n.rx_ring + 16 * n.rx + 12), 0);
    finish(&n);
}

static void send_tagged(struct nic *n, uint16_t tag)
{
    uint8_t data[100];

    memset(data, 0x55, sizeof(data));
    memcpy(data, mac, 6);
    memcpy(data + 12, (uint8_t[]){0x81, 0, tag >> 8, tag}, 4);
    wire_send_bytes(&n->wire, data, sizeof(data));
}

static void tags_are_taken_out_and_filtered(void **state)
{
    struct nic n;
    uint8_t frame[BUFFER];
    uint32_t status;

    start(&n, state);
    enable(&n, RCTL_SECRC);
    send_tagged(&n, 0x1234);
    assert_int_equal(take(&n, &status, frame), 100);
    assert_int_equal(status & RX_VP, 0);
    set(&n, CTRL, get(&n, CTRL) | CTRL_VME);
    send_tagged(&n, 0x1234);
    assert_int_equal(take(&n, &status, frame), 96);
    assert_int_equal(status & RX_VP, RX_VP);
    assert_int_equal(qtest_readl(n.q, n.rx_ring + 12), 0);
    assert_int_equal(status >> 16, 0x1234);
    assert_int_equal(packet_be16(frame + 12), 0x5555);
    /* the filter: only tag 0x234 passes, and what has none */
    set(&n, RCTL, RCTL_EN | RCTL_SECRC | RCTL_VFE);
    set(&n, VFTA + 0x234 / 32 * 4, 1u << 0x234 % 32);
    send_tagged(&n, 0x233);
    send_tagged(&n, 0x234);
    wire_send(&n.wire, mac, 1, 80);
    assert_int_equal(take(&n, &status, frame), 96);
    assert_int_equal(status >> 16, 0x234);
    assert_int_equal(take(&n, &status, frame), 80);
    /* and the canonical form's bit */
    set(&n, RCTL, RCTL_EN | RCTL_SECRC | RCTL_VFE | 0x80000);
    send_tagged(&n, 0x1234);
    send_tagged(&n, 0x2234);
    assert_int_equal(take(&n, &status, frame), 96);
    assert_int_equal(status >> 16, 0x2234);
    finish(&n);
}

static void checksums_are_looked_at(void **state)
{
    struct nic n;
    uint8_t data[2048], frame[BUFFER];
    uint32_t status;
    size_t length;

    start(&n, state);
    enable(&n, RCTL_SECRC);
    set(&n, RXCSUM, 0x300 | 14);
    for (unsigned version = 4; version <= 6; version += 2)
        for (int tcp = 0; tcp < 2; tcp++) {
            uint32_t good = RX_DD | RX_EOP | RX_TCPCS | (version == 4 ? RX_IPCS : 0);

            length = packet_make(data, mac, version, tcp ? PACKET_TCP : PACKET_UDP, 333 + tcp);
            packet_seal(data);
            wire_send_bytes(&n.wire, data, length);
            assert_int_equal(take(&n, &status, frame), length);
            assert_int_equal(status, good);
            data[length - 1] ^= 1;
            wire_send_bytes(&n.wire, data, length);
            assert_int_equal(take(&n, &status, frame), length);
            assert_int_equal(status, good | 0x2000);
            data[length - 1] ^= 1;
            data[21] ^= version == 4; /* a fragment, and the header's sum is wrong */
            wire_send_bytes(&n.wire, data, length);
            assert_int_equal(take(&n, &status, frame), length);
            assert_int_equal(status, version == 4 ? RX_DD | RX_EOP | RX_IPCS | 0x4000 : good);
        }
    /* UDP without a checksum, a length that lies, no IP */
    length = packet_make(data, mac, 4, PACKET_UDP, 100);
    packet_seal(data);
    memset(data + 40, 0, 2);
    wire_send_bytes(&n.wire, data, length);
    take(&n, &status, frame);
    assert_int_equal(status, RX_DD | RX_EOP | RX_IPCS);
    length = packet_make(data, mac, 4, PACKET_TCP, 100);
    packet_seal(data);
    data[16] = 0xFF;
    wire_send_bytes(&n.wire, data, length);
    take(&n, &status, frame);
    assert_int_equal(status, RX_DD | RX_EOP | RX_IPCS | 0x4000);
    wire_send(&n.wire, mac, 8, 100);
    take(&n, &status, frame);
    assert_int_equal(status, RX_DD | RX_EOP | RX_IXSM);
    /* the sum of all from PCSS on */
    assert_int_equal(qtest_readw(n.q, n.rx_ring + 16 * ((n.rx + RING - 1) % RING) + 10),
                     (uint16_t)~packet_sum(frame + 14, 86, 0));
    finish(&n);
}

static void receive_interrupts_wait(void **state)
{
    struct nic n;
    uint8_t frame[BUFFER];
    uint32_t status;

    start(&n, state);
    enable(&n, RCTL_SECRC);
    get(&n, ICR);
    set(&n, RDTR, 10);
    set(&n, RADV, 15);
    wire_send(&n.wire, mac, 1, 100);
    take(&n, &status, frame);
    assert_int_equal(get(&n, ICR), 0);
    qtest_clock_step(n.q, 10000);
    wire_send(&n.wire, mac, 1, 100);
    take(&n, &status, frame);
    qtest_clock_step(n.q, 5359);
    assert_int_equal(get(&n, ICR), 0);
    qtest_clock_step(n.q, 1);
    assert_int_equal(get(&n, ICR), INT_RXT0);
    wire_send(&n.wire, mac, 1, 100);
    take(&n, &status, frame);
    set(&n, RDTR, 0x80000000);
    assert_int_equal(get(&n, ICR), INT_RXT0);
    /* small ones at once */
    set(&n, RDTR, 10);
    set(&n, 0x2C00, 80);
    wire_send(&n.wire, mac, 1, 80);
    take(&n, &status, frame);
    assert_int_equal(get(&n, ICR), 0x10000);
    finish(&n);
}

/* More of them than the wire puts together, on each doorbell. */
static void all_frames_of_a_doorbell_leave(void **state)
{
    enum { LENGTH = 1514, FRAMES = RING - 1, ROUNDS = 4 };
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = qtest_temp_file(".stream", 0);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd;
    uint8_t frame[LENGTH], came[4 + LENGTH];
    struct nic n = {.q = NULL};
    char options[200];

    unlink(path);
    snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", path);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 1), 0);
    snprintf(options, sizeof(options), "-netdev stream,id=n,addr.type=unix,addr.path=%.100s", path);
    start_on(&n, state, options);
    fd = accept(listener, NULL, NULL);
    enable(&n, 0);
    for (unsigned i = 0; i < FRAMES * ROUNDS; i++) {
        memset(frame, i, sizeof(frame));
        qtest_memwrite(n.q, n.data + i % FRAMES * 2048, frame, sizeof(frame));
        tx_put(&n, n.data + i % FRAMES * 2048, TX_EOP | LENGTH, 0);
        if (i % FRAMES == FRAMES - 1)
            kick(&n);
    }
    for (unsigned i = 0; i < FRAMES * ROUNDS; i++) {
        assert_int_equal(recv(fd, came, sizeof(came), MSG_WAITALL), sizeof(came));
        memset(frame, i, sizeof(frame));
        assert_memory_equal(came, ((uint8_t[]){0, 0, LENGTH >> 8, LENGTH & 0xFF}), 4);
        assert_memory_equal(came + 4, frame, sizeof(frame));
    }
    close(fd);
    close(listener);
}

/* Issue 4: nothing is lost while the driver has no descriptors, and it goes on at once. */
static void a_full_ring_makes_the_wire_wait(void **state)
{
    struct nic n;
    uint8_t frame[BUFFER];
    uint32_t status;

    start(&n, state);
    enable(&n, RCTL_SECRC);
    set(&n, RDT, 4);
    get(&n, ICR);
    for (int i = 0; i < 10; i++)
        wire_send(&n.wire, mac, i, 1514);
    assert_true(SOON(get(&n, RNBC)));
    assert_int_equal(get(&n, RDH), 4);
    assert_int_equal(get(&n, RNBC), 0); /* told once */
    for (int i = 0; i < 10; i++) {
        set(&n, RDT, (4 + i) % RING);
        assert_true(SOON(qtest_readb(n.q, n.rx_ring + 16 * n.rx + 12) & RX_DD));
        qtest_memread(n.q, n.buffers + n.rx * BUFFER, frame, 1514);
        assert_int_equal(frame[1513], i);
        qtest_writel(n.q, n.rx_ring + 16 * n.rx + 12, 0);
        n.rx = (n.rx + 1) % RING;
    }
    assert_int_equal(get(&n, MPC), 0);
    assert_int_equal(get(&n, GPRC), 10);
    /* a frame for which there are not enough of them waits whole */
    enable(&n, RCTL_SECRC | 0x30000);
    set(&n, RDT, 5);
    wire_send(&n.wire, mac, 0x21, 1514);
    assert_true(SOON(get(&n, RNBC)));
    assert_int_equal(get(&n, RDH), 0);
    set(&n, RDT, 6);
    assert_true(SOON(get(&n, RDH) == 6));
    /* the threshold */
    enable(&n, RCTL_SECRC);
    get(&n, ICR);
    for (int i = 0; i < 6; i++)
        wire_send(&n.wire, mac, i, 60);
    assert_true(SOON(get(&n, RDH) == 6));
    assert_int_equal(get(&n, ICR), INT_RXT0);
    wire_send(&n.wire, mac, 7, 60);
    assert_true(SOON(get(&n, RDH) == 7));
    assert_int_equal(get(&n, ICR), INT_RXT0 | INT_RXDMT0);
    wire_send(&n.wire, mac, 8, 60);
    assert_true(SOON(get(&n, RDH) == 8));
    assert_int_equal(get(&n, ICR), INT_RXT0);
    /* a reset in between: the wire goes on */
    set(&n, RDT, 8);
    wire_send(&n.wire, mac, 9, 60);
    assert_true(SOON(get(&n, RNBC)));
    enable(&n, RCTL_SECRC);
    wire_send(&n.wire, mac, 10, 60);
    do
        take(&n, &status, frame);
    while (frame[20] != 10);
    finish(&n);
}

static void bad_packets_from_the_wire(void **state)
{
    struct nic n;
    uint8_t frame[BUFFER];
    uint32_t status;

    start(&n, state);
    enable(&n, RCTL_UPE | RCTL_MPE | RCTL_BAM | RCTL_SECRC);
    wire_send_limits(&n.wire, mac);
    assert_int_equal(take(&n, &status, frame), 60);
    assert_int_equal(frame[13], 2);
    assert_int_equal(take(&n, &status, frame), 1518);
    assert_int_equal(get(&n, TPR), 2);
    finish(&n);
}

static void loopback_goes_round(bool by_phy, void **state)
{
    struct nic n;
    uint8_t frame[BUFFER], data[1024];
    uint32_t status;

    start(&n, state);
    enable(&n, RCTL_BAM | RCTL_SECRC | (by_phy ? 0 : RCTL_LBM_MAC));
    if (by_phy)
        phy_write(&n, 0, 0x4140);
    get(&n, ICR);
    memset(data, 0xFF, sizeof(data));
    memset(data + 512, 0xAA, 512);
    qtest_memwrite(n.q, n.data, data, sizeof(data));
    for (int i = 0; i < 100; i++) {
        tx_put(&n, n.data, TX_EOP | 1024, 0);
        kick(&n);
        assert_int_equal(take(&n, &status, frame), 1024);
        assert_memory_equal(frame, data, 1024);
    }
    /* nobody takes them out: an overrun, no more */
    get(&n, ICR);
    for (int i = 0; i < 2 * RING; i++) {
        tx_put(&n, n.data, TX_EOP | 1024, 0);
        kick(&n);
    }
    assert_int_equal(get(&n, ICR), INT_TXQE | INT_RXT0 | INT_RXDMT0 | INT_RXO);
    assert_int_equal(get(&n, MPC), RING + 1);
    assert_int_equal(wire_take(&n.wire, frame, 10), -1);
    finish(&n);
}

static void loopback_in_the_mac(void **state)
{
    loopback_goes_round(false, state);
}

static void loopback_in_the_phy(void **state)
{
    loopback_goes_round(true, state);
}

static void rings_without_memory_lose_frames_only(void **state)
{
    struct nic n;

    start(&n, state);
    enable(&n, 0);
    rx_descriptor(&n, 0, 0xFFFFF000);
    wire_send(&n.wire, mac, 1, 100);
    assert_true(SOON(get(&n, MPC)));
    rx_descriptor(&n, 0, n.mem); /* the chip itself */
    wire_send(&n.wire, mac, 1, 100);
    assert_true(SOON(get(&n, MPC)));
    set(&n, RDBAL, n.mem);
    wire_send(&n.wire, mac, 1, 100);
    assert_true(SOON(get(&n, MPC)));
    assert_int_equal(get(&n, TPR), 3); /* they came, but were not received */
    assert_int_equal(get(&n, GPRC) | get(&n, GORC), 0);
    set(&n, TDBAL, n.mem);
    set(&n, TDT, 5);
    assert_int_equal(get(&n, TDH), 0);
    set(&n, TDBAL, n.tx_ring);
    set(&n, TDT, 0xFFFF); /* pointers beyond the ring */
    set(&n, TDH, 0xFFFF);
    set(&n, TDT, 3);
    assert_int_equal(get(&n, TDH), 0xFFFF);
    set(&n, TDLEN, 0);
    set(&n, TDT, 0);
    set(&n, RDBAL, n.rx_ring);
    rx_descriptor(&n, 0, n.buffers);
    set(&n, RDLEN, 0);
    set(&n, RDH, 0);
    wire_send(&n.wire, mac, 1, 100);
    assert_true(SOON(get(&n, RNBC)));
    set(&n, RDLEN, RING * 16);
    assert_true(SOON(get(&n, RDH) == 1));
    finish(&n);
}

/* A tail behind the ring is never reached: drivers that give the whole ring away so work on the real chip. */
static void a_tail_behind_the_ring_gives_all_of_it(void **state)
{
    struct nic n;

    start(&n, state);
    enable(&n, 0);
    set(&n, RDT, RING);
    for (int i = 0; i < 3 * RING; i++) {
        wire_send(&n.wire, mac, i, 60);
        assert_true(SOON(get(&n, GPRC) == 1));
    }
    assert_int_equal(get(&n, RDH), 0);
    finish(&n);
}

/* As CVE-2016-8910 of another chip: what is looped back lands on the transmit ring itself. */
static void a_ring_that_feeds_itself_stops_nobody(void **state)
{
    struct nic n;
    uint8_t data[1024];

    start(&n, state);
    enable(&n, RCTL_UPE | RCTL_MPE | RCTL_BAM | RCTL_LBM_MAC);
    memset(data, 0xFF, sizeof(data));
    qtest_memwrite(n.q, n.data, data, sizeof(data));
    for (unsigned i = 0; i < RING; i++)
        rx_descriptor(&n, i, i & 1 ? n.rx_ring : n.tx_ring);
    set(&n, RDT, 0xFFFF);
    for (int round = 0; round < 20; round++) {
        for (unsigned i = 0; i < RING; i++)
            tx_put(&n, n.data, TX_EOP | 1024, 0);
        set(&n, TDT, (get(&n, TDH) + RING - 1) % RING);
    }
    set(&n, CTRL, CTRL_RST);
    assert_int_equal(get(&n, TCTL), 0);
    finish(&n);
}

static void a_reset_drops_what_is_under_way(void **state)
{
    struct nic n;
    uint8_t frame[2048], data[200];

    start(&n, state);
    enable(&n, 0);
    memset(data, 0x11, sizeof(data));
    qtest_memwrite(n.q, n.data, data, sizeof(data));
    tx_put(&n, n.data, TX_DATA | TX_TSE | 100, 0); /* half a frame, to be cut */
    kick(&n);
    set(&n, TIDV, 100);
    tx_put(&n, n.data, TX_RS | TX_IDE | 50, 0);
    kick(&n);
    enable(&n, 0);
    qtest_clock_step(n.q, 1000000);
    assert_int_equal(get(&n, ICR), 0);
    tx_put(&n, n.data, TX_EOP | 80, 0);
    kick(&n);
    assert_int_equal(wire_take(&n.wire, frame, 60000), 80);
    finish(&n);
}

/* ---- power management and wake-up ---- */

static void power_up(struct nic *n)
{
    qpci_writew(&n->pci, PMCSR, PME_STATUS);
    n->mem = qpci_map(&n->pci, 0);
    qpci_enable(&n->pci);
}

static bool woken(struct nic *n)
{
    return qpci_readw(&n->pci, PMCSR) & PME_STATUS;
}

static void power_management(void **state)
{
    struct nic n;
    uint8_t frame[BUFFER];
    uint32_t status;

    start(&n, state);
    assert_int_equal(qpci_readw(&n.pci, 0x06) & 0x10, 0x10);
    assert_int_equal(qpci_readb(&n.pci, 0x34), PM_OFFSET);
    assert_int_equal(qpci_readl(&n.pci, PM_OFFSET), 0xC8220001);
    for (uint16_t absent = 1; absent < 3; absent++) {
        qpci_writew(&n.pci, PMCSR, PME_EN | absent);
        assert_int_equal(qpci_readl(&n.pci, PMCSR), PME_EN);
        assert_int_equal(get(&n, RA), 0x12005452);
    }
    enable(&n, RCTL_BAM);
    qpci_writew(&n.pci, PMCSR, PME_EN | D3);
    assert_int_equal(get(&n, RA), 0xFFFFFFFF); /* nobody there */
    wire_send(&n.wire, broadcast, 1, 100);
    qtest_barrier(n.q);
    qpci_writew(&n.pci, PMCSR, PME_EN);
    assert_int_equal(qpci_readw(&n.pci, PMCSR), PME_EN);
    assert_int_equal(qpci_readl(&n.pci, 0x10), 0);
    power_up(&n);
    assert_int_equal(get(&n, RA), 0x12005452);
    assert_int_equal(get(&n, RCTL), 0);
    enable(&n, RCTL_BAM);
    wire_send(&n.wire, broadcast, 2, 100); /* the first is gone */
    take(&n, &status, frame);
    assert_int_equal(frame[20], 2);
    finish(&n);
}

static void wuc_shows_the_pme_bits(void **state)
{
    struct nic n;

    start(&n, state);
    assert_int_equal(get(&n, WUC), 0);
    qpci_writew(&n.pci, PMCSR, PME_EN);
    assert_int_equal(get(&n, WUC), WUC_PME_EN);
    set(&n, WUC, WUC_APME);
    assert_int_equal(get(&n, WUC), WUC_APME);
    assert_int_equal(qpci_readw(&n.pci, PMCSR), 0);
    set(&n, WUC, WUC_PME_EN);
    assert_int_equal(qpci_readw(&n.pci, PMCSR), PME_EN);
    set(&n, WUFC, WU_EX);
    wire_send(&n.wire, mac, 1, 100); /* it also wakes from D0 */
    assert_true(SOON(get(&n, WUC) & WUC_PME_STATUS));
    assert_true(woken(&n));
    set(&n, WUC, WUC_PME_STATUS);
    assert_int_equal(get(&n, WUC), 0);
    assert_int_equal(qpci_readw(&n.pci, PMCSR), 0);
    finish(&n);
}

/* Frames of 1514 bytes until the wire is full; how many the chip has taken, the last of which waits in it. */
static unsigned fill_the_wire(struct nic *n)
{
    for (unsigned fetched = 0;; fetched++) {
        tx_put(n, n->data, TX_EOP | 1514, 0);
        kick(n);
        if (get(n, TDH) != n->tx)
            return fetched;
    }
}

static void a_reset_takes_back_what_the_wire_has_no_room_for(void **state)
{
    struct nic n;
    uint8_t frame[BUFFER];
    unsigned fetched;

    start(&n, state);
    enable(&n, 0);
    fetched = fill_the_wire(&n);
    enable(&n, 0);
    for (unsigned i = 0; i < fetched - 1; i++)
        assert_int_equal(wire_take(&n.wire, frame, 60000), 1514);
    tx_put(&n, n.data, TX_EOP | 300, 0);
    kick(&n);
    assert_int_equal(wire_take(&n.wire, frame, 60000), 300);
    finish(&n);
}

static void nothing_is_sent_asleep(void **state)
{
    struct nic n;
    uint8_t frame[BUFFER];
    unsigned fetched, sent = 0;

    start(&n, state);
    enable(&n, 0);
    fetched = fill_the_wire(&n);
    qpci_writew(&n.pci, PMCSR, D3);
    while (wire_take(&n.wire, frame, 50) > 0)
        sent++;
    assert_int_equal(sent, fetched - 1);
    finish(&n);
}

/* One that waits for descriptors is gone with D0, and what comes behind it is looked at. */
static void a_frame_that_waited_does_not_keep_the_guest_asleep(void **state)
{
    struct nic n;
    uint8_t frame[200];

    start(&n, state);
    enable(&n, RCTL_BAM);
    set(&n, RDT, 0);
    wire_send(&n.wire, broadcast, 1, 100);
    assert_true(SOON(get(&n, RNBC)));
    set(&n, WUFC, WU_MAG);
    qpci_writew(&n.pci, PMCSR, D3);
    wire_send_bytes(&n.wire, frame, packet_magic(frame, mac, mac));
    assert_true(SOON(woken(&n)));
    finish(&n);
}

/* Frames of 200 bytes, and what may be said of each. */
struct waker {
    uint8_t frame[200];
    uint32_t kinds, rctl;
};

static struct waker make_waker(const uint8_t to[6], uint16_t type, uint32_t kinds, uint32_t rctl)
{
    struct waker w = {.kinds = kinds, .rctl = rctl};

    memcpy(w.frame, to, 6);
    w.frame[12] = type >> 8;
    w.frame[13] = type;
    return w;
}

enum { WAKERS = 9 };

static void make_wakers(struct waker w[WAKERS])
{
    static const uint8_t group[6] = {1, 0, 0x5E, 0, 0, 1}, ipv4[4] = {192, 0, 2, 7},
                         ipv6[16] = {0xFD, [15] = 9};

    w[0] = make_waker(mac, 0x9000, WU_EX, 0);
    w[1] = make_waker(broadcast, 0x9000, WU_BC, RCTL_BAM);
    w[2] = make_waker(group, 0x9000, WU_MC, RCTL_MPE);
    w[3] = make_waker(mac, 0x0842, WU_EX | WU_MAG, 0);
    packet_magic(w[3].frame, mac, mac);
    w[4] = make_waker(broadcast, 0x0806, WU_BC | WU_ARP, RCTL_BAM);
    w[4].frame[21] = 1; /* a question */
    memcpy(w[4].frame + 38, ipv4, 4);
    w[5] = make_waker(mac, 0x0800, WU_EX | WU_IPV4, 0);
    memcpy(w[5].frame + 30, ipv4, 4);
    w[6] = make_waker(mac, 0x86DD, WU_EX | WU_IPV6, 0);
    memcpy(w[6].frame + 38, ipv6, 16);
    w[7] = make_waker(mac, 0x9000, WU_EX | WU_FLX1, 0);
    w[7].frame[99] = 0x42;
    w[8] = make_waker(mac, 0x8100, WU_EX | WU_IPV4, 0); /* behind a tag */
    w[8].frame[16] = 0x08;
    memcpy(w[8].frame + 34, ipv4, 4);
}

/* The receiver is off, what is to wake is as said. */
static void prepare_wakeup(struct nic *n, uint32_t wufc, uint32_t rctl)
{
    enable(n, 0);
    set(n, RCTL, rctl);
    set(n, IPAV, 0x10002);
    set(n, IP4AT + 8, 192 | 2 << 16 | 7u << 24);
    set(n, IP6AT, 0xFD);
    set(n, IP6AT + 12, 9u << 24);
    set(n, FFLT + 8, 120);
    set(n, FFMT + 99 * 8, 2);
    set(n, FFVT + 99 * 8, 0x4200);
    set(n, WUFC, wufc);
}

static void wakes_by_what_is_enabled(void **state)
{
    static const uint32_t enabled[] = {WU_EX,   WU_MC,   WU_BC,   WU_MAG, WU_ARP,
                                       WU_IPV4, WU_IPV6, WU_FLX1, WU_LNKC};
    struct waker wakers[WAKERS];
    struct nic n;

    make_wakers(wakers);
    start(&n, state);
    for (size_t i = 0; i < sizeof(enabled) / sizeof(enabled[0]); i++)
        for (int k = 0; k < WAKERS; k++) {
            const struct waker *w = &wakers[k];
            bool wakes = w->kinds & enabled[i];
            uint8_t memory[128];

            prepare_wakeup(&n, enabled[i], w->rctl);
            qpci_writew(&n.pci, PMCSR, D3);
            wire_send_bytes(&n.wire, w->frame, sizeof(w->frame));
            qtest_barrier(n.q);
            assert_int_equal(woken(&n), wakes);
            power_up(&n);
            assert_false(woken(&n));
            assert_int_equal(get(&n, WUS), w->kinds & enabled[i]); /* that outlives the reset */
            if (!wakes)
                continue;
            assert_int_equal(get(&n, WUPL), sizeof(w->frame));
            qtest_memread(n.q, n.mem + WUPM, memory, sizeof(memory));
            assert_memory_equal(memory, w->frame, sizeof(memory));
            set(&n, WUS, enabled[i]);
            assert_int_equal(get(&n, WUS), 0);
        }
    finish(&n);
}

static void the_address_filter_comes_first(void **state)
{
    struct waker wakers[WAKERS];
    struct nic n;

    make_wakers(wakers);
    start(&n, state);
    prepare_wakeup(&n, WU_BC | WU_MC | WU_ARP, 0);
    qpci_writew(&n.pci, PMCSR, D3);
    wire_send_bytes(&n.wire, wakers[1].frame, 200);
    wire_send_bytes(&n.wire, wakers[2].frame, 200);
    wire_send_bytes(&n.wire, wakers[4].frame, 200);
    qtest_barrier(n.q);
    assert_false(woken(&n));
    finish(&n);
}

static void the_first_waker_is_kept(void **state)
{
    struct nic n;
    uint8_t frame[200] = {0};

    start(&n, state);
    prepare_wakeup(&n, WU_EX, 0);
    memcpy(frame, mac, 6);
    for (uint8_t mark = 1; mark < 4; mark++) {
        frame[64] = mark;
        wire_send_bytes(&n.wire, frame, 60 + 40 * mark);
        if (mark == 2) {
            qtest_barrier(n.q);
            assert_int_equal(get(&n, WUPL), 100);
            assert_int_equal(qtest_readb(n.q, n.mem + WUPM + 64), 1);
            assert_false(woken(&n));
            set(&n, WUS, 0xFFFFFFFF);
            continue;
        }
        assert_true(SOON(woken(&n)));
        qpci_writew(&n.pci, PMCSR, PME_STATUS);
    }
    assert_int_equal(get(&n, WUPL), 180);
    finish(&n);
}

static void wakes_when_the_link_changes(void **state)
{
    struct nic n;

    start(&n, state);
    for (int round = 0; round < 4; round++) {
        bool enabled = round & 1;

        prepare_wakeup(&n, enabled ? WU_LNKC : WU_MAG, 0);
        qpci_writew(&n.pci, PMCSR, D3);
        wire_set_link(n.q, "n", round >= 2);
        wire_set_link(n.q, "n", round < 2);
        assert_int_equal(woken(&n), enabled);
        qpci_writew(&n.pci, PMCSR, PME_STATUS | D3);
        wire_set_link(n.q, "n", false);
        wire_set_link(n.q, "n", true); /* told once */
        assert_false(woken(&n));
        power_up(&n);
        assert_int_equal(get(&n, WUS), enabled ? WU_LNKC : 0);
        set(&n, WUS, WU_LNKC);
    }
    finish(&n);
}

static void a_magic_packet_ends_the_guests_sleep(void **state)
{
    static const struct {
        uint32_t wuc, wufc;
        uint16_t pmcsr;
        bool wakes;
    } cases[] = {
        {0, WU_MAG, PME_EN, true},           {0, WU_MAG, 0, false},          {WUC_APME, 0, 0, false},
        {WUC_APME | WUC_APMPME, 0, 0, true}, {WUC_APMPME, WU_MAG, 0, false},
    };
    struct nic n;
    uint8_t frame[200];

    start(&n, state);
    packet_magic(frame, mac, mac);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        prepare_wakeup(&n, cases[i].wufc, 0);
        set(&n, WUC, cases[i].wuc);
        qpci_writew(&n.pci, PMCSR, cases[i].pmcsr | D3);
        suspend(n.q);
        wire_send_bytes(&n.wire, frame, sizeof(frame));
        assert_true(SOON(woken(&n)));
        suspend_end(n.q, cases[i].wakes);
        power_up(&n);
        set(&n, WUS, WU_MAG);
    }
    finish(&n);
}

static void hostile_registers(void **state)
{
    struct nic n;
    uint8_t frame[2048] = {0};

    start(&n, state);
    enable(&n, RCTL_UPE | RCTL_MPE);
    srand(82540);
    for (int round = 0; round < 4000; round++) {
        static const unsigned interesting[] = {RCTL,  TCTL,  RDBAL, RDLEN, RDH, RDT,
                                               TDBAL, TDLEN, TDH,   TDT,   CTRL};
        unsigned offset = round % 2 ? interesting[rand() % 11] : (unsigned)rand() % 0x6000u & ~3u;
        uint32_t value = rand() % 3 ? rand() % 4096u : (uint32_t)rand() << 16 ^ rand();

        set(&n, offset, value);
        if (round % 7 == 0)
            get(&n, offset);
        if (round % 50 == 0 && send(n.wire.fd, frame, sizeof(frame) % 1500, MSG_DONTWAIT) < 0)
            continue;
        while (wire_take(&n.wire, frame, 0) >= 0)
            continue;
    }
    enable(&n, 0);
    assert_int_equal(get(&n, RDT), RING - 1);
    finish(&n);
}

static void the_long_name(void **state)
{
    *state = qtest_start("-nodefaults -vga none -device e1000-82540em -nic none");
    qpci_get(*state, 0x8086, 0x100E);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        qtest_unit_test(identity),
        qtest_unit_test(registers_by_ports),
        qtest_unit_test(a_reset_leaves_the_rings_where_they_are),
        qtest_unit_test(registers_keep_their_bits),
        qtest_unit_test(eeprom),
        qtest_unit_test(phy),
        qtest_unit_test(the_link_goes_down_and_up),
        qtest_unit_test(interrupts),
        qtest_unit_test(interrupts_are_moderated),
        qtest_unit_test(transmits),
        qtest_unit_test(frames_of_several_descriptors),
        qtest_unit_test(odd_frames_are_sent_or_gone),
        qtest_unit_test(checksums_are_inserted),
        qtest_unit_test(packets_are_cut_into_segments),
        qtest_unit_test(large_packets_are_left_to_a_tap),
        qtest_unit_test(udp_is_cut_too),
        qtest_unit_test(tags_are_put_in),
        qtest_unit_test(transmit_interrupts_wait),
        qtest_unit_test(receives),
        qtest_unit_test(receives_round_the_ring),
        qtest_unit_test(long_frames_take_several_buffers),
        qtest_unit_test(filters),
        qtest_unit_test(tags_are_taken_out_and_filtered),
        qtest_unit_test(checksums_are_looked_at),
        qtest_unit_test(receive_interrupts_wait),
        qtest_unit_test(all_frames_of_a_doorbell_leave),
        qtest_unit_test(a_full_ring_makes_the_wire_wait),
        qtest_unit_test(bad_packets_from_the_wire),
        qtest_unit_test(loopback_in_the_mac),
        qtest_unit_test(loopback_in_the_phy),
        qtest_unit_test(rings_without_memory_lose_frames_only),
        qtest_unit_test(a_tail_behind_the_ring_gives_all_of_it),
        qtest_unit_test(a_ring_that_feeds_itself_stops_nobody),
        qtest_unit_test(a_reset_drops_what_is_under_way),
        qtest_unit_test(a_reset_takes_back_what_the_wire_has_no_room_for),
        qtest_unit_test(hostile_registers),
        qtest_unit_test(power_management),
        qtest_unit_test(nothing_is_sent_asleep),
        qtest_unit_test(a_frame_that_waited_does_not_keep_the_guest_asleep),
        qtest_unit_test(wuc_shows_the_pme_bits),
        qtest_unit_test(wakes_by_what_is_enabled),
        qtest_unit_test(the_address_filter_comes_first),
        qtest_unit_test(the_first_waker_is_kept),
        qtest_unit_test(wakes_when_the_link_changes),
        qtest_unit_test(a_magic_packet_ends_the_guests_sleep),
        qtest_unit_test(the_long_name),
    };

    taps = !unshare(CLONE_NEWNET) && !access("/dev/net/tun", R_OK | W_OK);
    if (!taps)
        fprintf(stderr,
                "e1000_test: no network namespace, or no /dev/net/tun: the test with a tap is left out\n");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
