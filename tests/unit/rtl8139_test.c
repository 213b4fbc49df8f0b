/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RTL8139 with a datagram socket as its wire. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/packet.h"
#include "tests/lib/suspend.h"
#include "tests/unit/rtl8139_card.h"

enum { PMCSR = PM_OFFSET + 4, PME_EN = 0x0100, PME_STATUS = 0x8000, D3 = 3 };

static void identity(void **state)
{
    struct nic n;

    start(&n, state);
    assert_int_equal(qpci_readb(&n.pci, 0x08), 0x10);
    assert_int_equal(qpci_readw(&n.pci, 0x0A), 0x0200);
    assert_int_equal(qpci_readb(&n.pci, 0x3D), 1);
    assert_int_equal(qpci_bar_size(&n.pci, 0), 256);
    assert_int_equal(qpci_bar_size(&n.pci, 1), 256);
    assert_true(qpci_bar_size(&n.pci, QPCI_ROM) >= 65536);
    for (int i = 0; i < 6; i++)
        assert_int_equal(qtest_inb(n.q, n.io + i), mac[i]);
    assert_int_equal(qtest_inl(n.q, n.io + TCR) & 0x7CC00000, 0x74000000);
    assert_int_equal(qtest_inw(n.q, n.io + BMSR), 0x782D);
    assert_int_equal(qtest_inl(n.q, n.io), 0x12005452); /* any size, any offset */
    assert_int_equal(qtest_inw(n.q, n.io + 3), 0x3412);
    finish(&n);
}

static void memory_and_ports_are_the_same_registers(void **state)
{
    struct nic n;
    uint64_t mem;

    start(&n, state);
    mem = qpci_map(&n.pci, 1);
    qtest_writel(n.q, mem + RBSTART, 0x12345000);
    assert_int_equal(qtest_inl(n.q, n.io + RBSTART), 0x12345000);
    qtest_outl(n.q, n.io + IMR, 0x00000005); /* IMR and ISR in one */
    assert_int_equal(qtest_readw(n.q, mem + IMR), 5);
    finish(&n);
}

static unsigned eeprom_bits(struct nic *n, unsigned value, int count)
{
    unsigned out = 0;

    for (int i = count - 1; i >= 0; i--) {
        uint8_t data = 0x88 | (value >> i & 1) << 1;

        qtest_outb(n->q, n->io + EECR, data);
        qtest_outb(n->q, n->io + EECR, data | 4);
        out = out << 1 | (qtest_inb(n->q, n->io + EECR) & 1);
    }
    qtest_outb(n->q, n->io + EECR, 0x88);
    return out;
}

static unsigned eeprom_read(struct nic *n, unsigned address)
{
    unsigned word;

    qtest_outb(n->q, n->io + EECR, 0x80);
    eeprom_bits(n, 0x180 | address, 11);
    word = eeprom_bits(n, 0, 16);
    qtest_outb(n->q, n->io + EECR, 0);
    return word;
}

static void eeprom(void **state)
{
    struct nic n;

    start(&n, state);
    assert_int_equal(eeprom_read(&n, 0), 0x8129);
    assert_int_equal(eeprom_read(&n, 1), 0x10EC);
    assert_int_equal(eeprom_read(&n, 2), 0x8139);
    for (int i = 0; i < 3; i++)
        assert_int_equal(eeprom_read(&n, 7 + i), mac[2 * i] | mac[2 * i + 1] << 8);
    /* a driver that tries a 93C56 first must see that it is none */
    qtest_outb(n.q, n.io + EECR, 0x80);
    eeprom_bits(&n, 0x600, 13);
    assert_int_not_equal(eeprom_bits(&n, 0, 16), 0x8129);
    qtest_outb(n.q, n.io + EECR, 0);
    /* writing: only after it was enabled */
    qtest_outb(n.q, n.io + EECR, 0x80);
    eeprom_bits(&n, 0x140 | 7, 9);
    eeprom_bits(&n, 0xABCD, 16);
    assert_int_equal(eeprom_read(&n, 7), 0x5452);
    qtest_outb(n.q, n.io + EECR, 0x80);
    eeprom_bits(&n, 0x130, 9);
    qtest_outb(n.q, n.io + EECR, 0x80);
    eeprom_bits(&n, 0x140 | 7, 9);
    eeprom_bits(&n, 0xABCC, 16);
    assert_int_equal(eeprom_read(&n, 7), 0xABCC);
    qtest_outb(n.q, n.io + EECR, 0x40); /* load */
    assert_int_equal(qtest_inb(n.q, n.io + 0), 0xCC);
    assert_int_equal(qtest_inb(n.q, n.io + 1), 0xAB);
    finish(&n);
}

static void config_registers_are_locked(void **state)
{
    struct nic n;

    start(&n, state);
    qtest_outb(n.q, n.io + CONFIG3, 0x20);
    assert_int_equal(qtest_inb(n.q, n.io + CONFIG3), 0);
    qtest_outb(n.q, n.io + EECR, 0xC0);
    qtest_outb(n.q, n.io + CONFIG3, 0x20);
    qtest_outb(n.q, n.io + CONFIG1, 0x21);
    assert_int_equal(qtest_inb(n.q, n.io + CONFIG3), 0x20);
    assert_int_equal(qtest_inb(n.q, n.io + CONFIG1), 0x2D);
    finish(&n);
}

static void transmits_in_turn(void **state)
{
    struct nic n;
    uint8_t frame[2048], data[1514];

    start(&n, state);
    enable(&n, 0);
    for (int i = 0; i < 9; i++) {
        unsigned length = i == 8 ? 1514 : 60 + i;

        memset(data, i, sizeof(data));
        qtest_memwrite(n.q, n.tx, data, length);
        qtest_outl(n.q, n.io + TSAD0 + 4 * (i % 4), n.tx);
        qtest_outl(n.q, n.io + TSD0 + 4 * (i % 4), length);
        assert_int_equal(qtest_inl(n.q, n.io + TSD0 + 4 * (i % 4)), TSD_OWN | TSD_TOK | length);
        assert_int_equal(wire_take(&n.wire, frame, 60000), length);
        assert_memory_equal(frame, data, length);
    }
    assert_int_equal(qtest_inw(n.q, n.io + TSAD), 0xF00F);
    assert_int_equal(qtest_inw(n.q, n.io + ISR), 4);
    assert_true(qpci_readw(&n.pci, 0x06) & 8); /* the line is up */
    qtest_outw(n.q, n.io + ISR, 4);
    assert_int_equal(qtest_inw(n.q, n.io + ISR), 0);
    assert_false(qpci_readw(&n.pci, 0x06) & 8);
    finish(&n);
}

static void odd_lengths_are_sent_or_refused(void **state)
{
    struct nic n;
    uint8_t frame[2048];

    start(&n, state);
    enable(&n, 0);
    qtest_outl(n.q, n.io + TSAD0, n.tx);
    qtest_outl(n.q, n.io + TSD0, 0); /* nothing to send */
    assert_true(qtest_inl(n.q, n.io + TSD0) & TSD_TOK);
    qtest_outl(n.q, n.io + TSAD0 + 4, n.tx);
    qtest_outl(n.q, n.io + TSD0 + 4, 20); /* a runt is filled up */
    assert_int_equal(wire_take(&n.wire, frame, 60000), 60);
    qtest_outl(n.q, n.io + TSAD0 + 8, n.tx);
    qtest_outl(n.q, n.io + TSD0 + 8, 0x1FFF);
    assert_int_equal(qtest_inl(n.q, n.io + TSD0 + 8) & 0x4000A000, 0x40002000); /* aborted */
    qtest_outl(n.q, n.io + TSAD0 + 12, 0xFFFFFFF0);                             /* no memory there */
    qtest_outl(n.q, n.io + TSD0 + 12, 100);
    assert_int_equal(qtest_inl(n.q, n.io + TSD0 + 12) & 0x4000A000, 0x40002000);
    assert_int_equal(qtest_inw(n.q, n.io + ISR), 0x0C);
    assert_int_equal(wire_take(&n.wire, frame, 20), -1);
    finish(&n);
}

static void receives(void **state)
{
    struct nic n;
    uint8_t frame[2048];
    uint16_t status;

    start(&n, state);
    enable(&n, RCR_APM);
    wire_send(&n.wire, mac, 0x77, 100);
    assert_int_equal(take(&n, &status, frame), 104);
    assert_int_equal(status, 0x4001);
    assert_memory_equal(frame, mac, 6);
    assert_int_equal(frame[99], 0x77);
    assert_int_equal(frame[100] | frame[101] << 8 | frame[102] << 16 | (uint32_t)frame[103] << 24,
                     wire_crc(frame, 100));
    assert_int_equal(qtest_inw(n.q, n.io + ISR), 1);
    assert_int_equal(qtest_inb(n.q, n.io + CR) & 1, 1);
    wire_send(&n.wire, mac, 0x78, 42); /* short ones are filled up */
    assert_int_equal(take(&n, &status, frame), 64);
    assert_int_equal(frame[41], 0x78);
    assert_int_equal(frame[42], 0);
    finish(&n);
}

static void filters(void **state)
{
    static const uint8_t all[6] = {255, 255, 255, 255, 255, 255}, other[6] = {2, 1, 1, 1, 1, 1},
                         group[6] = {1, 0, 0x5E, 0, 0, 1};
    static const struct {
        uint32_t rcr;
        const uint8_t *to;
        bool hash;
        uint16_t status; /* 0: not taken */
    } cases[] = {
        {RCR_APM, mac, false, 0x4001},       {RCR_AB, mac, false, 0},
        {RCR_AB, all, false, 0x2001},        {RCR_APM, all, false, 0},
        {RCR_APM | RCR_AB, other, false, 0}, {RCR_AAP, other, false, 0x0001},
        {RCR_AM, group, false, 0},           {RCR_AM, group, true, 0x8001},
        {RCR_APM | RCR_AB, group, true, 0},  {RCR_AAP, group, false, 0x8001},
    };
    struct nic n;
    uint8_t frame[2048];
    uint16_t status;
    uint32_t crc = ~wire_crc(group, 6);
    unsigned hash = 0;

    for (int i = 0; i < 6; i++)
        hash |= (crc >> i & 1) << (5 - i);
    start(&n, state);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enable(&n, cases[i].rcr);
        for (int half = 0; half < 2; half++)
            qtest_outl(n.q, n.io + MAR0 + 4 * half,
                       cases[i].hash && hash / 32 == (unsigned)half ? 1u << hash % 32 : 0);
        wire_send(&n.wire, cases[i].to, i, 64);
        if (!cases[i].status) {
            qtest_barrier(n.q);
            assert_int_equal(qtest_inb(n.q, n.io + CR) & 1, 1);
            continue;
        }
        assert_int_equal(take(&n, &status, frame), 68);
        assert_int_equal(status, cases[i].status);
        assert_int_equal(frame[60], i);
    }
    finish(&n);
}

static void ring_wraps(uint32_t rcr, void **state)
{
    struct nic n;
    uint8_t frame[2048];
    uint16_t status;

    start(&n, state);
    enable(&n, RCR_APM | rcr);
    for (int i = 0; i < 40; i++) {
        unsigned length = 1000 + 13 * i;
        uint32_t at = n.reader;

        wire_send(&n.wire, mac, i, length);
        assert_int_equal(take(&n, &status, frame), length + 4);
        if (rcr & RCR_WRAP) /* in one piece, beyond the end */
            qtest_memread(n.q, n.ring + at + 4, frame, length);
        for (unsigned k = 6; k < length; k++)
            assert_int_equal(frame[k], i);
        assert_int_equal(qtest_inw(n.q, n.io + CBR), n.reader);
    }
    finish(&n);
}

static void the_ring_wraps(void **state)
{
    ring_wraps(0, state);
}

static void frames_run_on_behind_the_ring(void **state)
{
    ring_wraps(RCR_WRAP, state);
}

static void a_full_ring_makes_the_wire_wait(void **state)
{
    struct nic n;
    uint8_t frame[2048];
    uint16_t status;

    start(&n, state);
    enable(&n, RCR_APM);
    for (int i = 0; i < 9; i++)
        wire_send(&n.wire, mac, i, 1514);
    for (int i = 0; i < 9; i++) {
        take(&n, &status, frame);
        assert_int_equal(frame[1513], i);
    }
    assert_false(qtest_inb(n.q, n.io + CR) & ~0x0D);
    /* a reset in between loses what is in the ring; the wire goes on */
    for (int i = 0; i < 9; i++)
        wire_send(&n.wire, mac, i, 1514);
    assert_true(arrived(&n));
    enable(&n, 0);
    qtest_barrier(n.q);
    qtest_outl(n.q, n.io + RCR, RCR_APM);
    wire_send(&n.wire, mac, 0x99, 200);
    do
        take(&n, &status, frame);
    while (frame[20] != 0x99);
    finish(&n);
}

/* Linux' 8139too: what tells of frames is cleared behind each, and the ring looked at only if it is set. */
static void frames_that_were_left_are_told_of_again(void **state)
{
    struct nic n;
    uint8_t frame[2048];
    uint16_t status;

    start(&n, state);
    enable(&n, RCR_APM);
    wire_send(&n.wire, mac, 1, 200);
    assert_true(arrived(&n));
    qtest_outw(n.q, n.io + IMR, 0);
    qtest_outw(n.q, n.io + ISR, 0xFFFF);
    assert_int_equal(qtest_inw(n.q, n.io + ISR), 0);
    qtest_outw(n.q, n.io + IMR, 0xFFFF);
    assert_int_equal(qtest_inw(n.q, n.io + ISR), 1);
    take(&n, &status, frame);
    qtest_outw(n.q, n.io + ISR, 0xFFFF);
    qtest_outw(n.q, n.io + IMR, 0xFFFF);
    assert_int_equal(qtest_inw(n.q, n.io + ISR), 0);
    /* a full ring: what waits tells of those in it, each time that it is refused; nothing is lost */
    for (int i = 0; i < 9; i++)
        wire_send(&n.wire, mac, i, 1514);
    for (int i = 0; i < 3; i++) {
        assert_true(SOON(qtest_inw(n.q, n.io + ISR) == 1));
        qtest_outw(n.q, n.io + ISR, 0xFFFF);
    }
    for (int i = 0; i < 9; i++)
        take(&n, &status, frame);
    finish(&n);
}

static void loopback_goes_round(void **state)
{
    struct nic n;
    uint8_t frame[2048], data[100];
    uint16_t status;

    start(&n, state);
    enable(&n, RCR_AAP);
    qtest_outl(n.q, n.io + TCR, 0x60000);
    memset(data, 0x42, sizeof(data));
    qtest_memwrite(n.q, n.tx, data, sizeof(data));
    for (int i = 0; i < 200; i++) { /* nobody takes them out: an overflow, no more */
        qtest_outl(n.q, n.io + TSAD0 + 4 * (i % 4), n.tx);
        qtest_outl(n.q, n.io + TSD0 + 4 * (i % 4), sizeof(data));
    }
    assert_int_equal(qtest_inw(n.q, n.io + ISR), 0x15);
    assert_int_equal(take(&n, &status, frame), 104);
    assert_memory_equal(frame, data, sizeof(data));
    assert_int_equal(wire_take(&n.wire, frame, 10), -1);
    finish(&n);
}

static void bad_packets_from_the_wire(void **state)
{
    struct nic n;
    uint8_t frame[2048];
    uint16_t status;

    start(&n, state);
    enable(&n, RCR_AAP | RCR_AB | RCR_AM | RCR_APM);
    wire_send_limits(&n.wire, mac);
    assert_int_equal(take(&n, &status, frame), 64);
    assert_int_equal(frame[13], 2);
    assert_int_equal(take(&n, &status, frame), 1522);
    assert_int_equal(qtest_inb(n.q, n.io + CR) & 1, 1);
    finish(&n);
}

static void a_ring_without_memory_loses_frames_only(void **state)
{
    struct nic n;

    start(&n, state);
    enable(&n, RCR_APM);
    qtest_outl(n.q, n.io + RBSTART, 0xFFFFF000);
    wire_send(&n.wire, mac, 1, 100);
    assert_true(SOON(qtest_inl(n.q, n.io + 0x4C)));
    assert_int_equal(qtest_inl(n.q, n.io + 0x4C), 1); /* missed packets */
    finish(&n);
}

static void the_timer_matches(void **state)
{
    struct nic n;

    start(&n, state);
    qtest_outw(n.q, n.io + IMR, 0x4000);
    qtest_outl(n.q, n.io + TCTR, 0);
    qtest_outl(n.q, n.io + TIMER_INT, 1000);
    qtest_clock_step(n.q, 29990);
    assert_int_equal(qtest_inl(n.q, n.io + TCTR), 999);
    assert_int_equal(qtest_inw(n.q, n.io + ISR), 0);
    qtest_clock_step(n.q, 10);
    assert_int_equal(qtest_inw(n.q, n.io + ISR), 0x4000);
    assert_true(qpci_readw(&n.pci, 0x06) & 8);
    qtest_outb(n.q, n.io + CR, 0x10);
    assert_false(qpci_readw(&n.pci, 0x06) & 8);
    assert_int_equal(qtest_inl(n.q, n.io + TCTR), 0);
    finish(&n);
}

/* By hand and by what is offered. */
static void the_speed_is_as_chosen(void **state)
{
    static const struct {
        uint16_t bmcr, anar;
        bool slow;
    } choices[] = {
        {0x3100, 0x01E1, false}, {0x0100, 0x01E1, true}, {0x2000, 0x0061, false}, {0x1200, 0x0061, true}};
    struct nic n;

    start(&n, state);
    for (int i = 0; i < 4; i++) {
        qtest_outw(n.q, n.io + ANAR, choices[i].anar);
        qtest_outw(n.q, n.io + BMCR, choices[i].bmcr);
        assert_int_equal(qtest_inb(n.q, n.io + MSR), choices[i].slow ? 0x18 : 0x10);
    }
    finish(&n);
}

static void the_link_goes_down_and_up(void **state)
{
    struct nic n;

    start(&n, state);
    enable(&n, RCR_APM);
    assert_int_equal(qtest_inb(n.q, n.io + MSR) & 4, 0);
    wire_set_link(n.q, "c", false);
    assert_int_equal(qtest_inb(n.q, n.io + MSR) & 4, 4);
    assert_int_equal(qtest_inw(n.q, n.io + BMSR) & 0x24, 0);
    assert_int_equal(qtest_inw(n.q, n.io + ISR), 0x20);
    assert_int_equal(qtest_inw(n.q, n.io + CSCR), 0x0800);
    wire_set_link(n.q, "n", true);
    assert_int_equal(qtest_inb(n.q, n.io + MSR) & 4, 0);
    finish(&n);
}

static void a_reset_takes_back_what_the_wire_has_no_room_for(void **state)
{
    struct nic n;
    uint8_t frame[2048];
    unsigned sent = 0;

    start(&n, state);
    enable(&n, 0);
    for (;; sent++) { /* until the wire is full */
        qtest_outl(n.q, n.io + TSAD0 + sent % 4 * 4, n.tx);
        qtest_outl(n.q, n.io + TSD0 + sent % 4 * 4, 1000);
        if (!(qtest_inl(n.q, n.io + TSD0 + sent % 4 * 4) & TSD_OWN))
            break;
    }
    enable(&n, 0);
    for (unsigned i = 0; i < sent; i++)
        assert_int_equal(wire_take(&n.wire, frame, 60000), 1000);
    qtest_outl(n.q, n.io + TSAD0, n.tx);
    qtest_outl(n.q, n.io + TSD0, 300);
    assert_int_equal(wire_take(&n.wire, frame, 60000), 300);
    finish(&n);
}

static void hostile(void **state, const char *revision)
{
    struct nic n;
    uint8_t frame[2048];

    start_revision(&n, state, revision);
    srand(8139);
    for (int round = 0; round < 3000; round++) {
        unsigned offset = rand() % 256, kind = rand() % 3;
        uint32_t value = (uint32_t)rand() << 16 ^ rand();

        if (kind == 0)
            qtest_outb(n.q, n.io + offset, value);
        else if (kind == 1 && offset < 255)
            qtest_outw(n.q, n.io + offset, value);
        else if (offset < 253)
            qtest_outl(n.q, n.io + offset, value);
        if (round % 50 == 0 && send(n.wire.fd, frame, sizeof(frame) % 1500, MSG_DONTWAIT) < 0)
            continue;
        while (wire_take(&n.wire, frame, 0) >= 0)
            continue;
    }
    enable(&n, RCR_APM);
    assert_int_equal(qtest_inb(n.q, n.io + CR) & 0x0C, 0x0C);
    finish(&n);
}

static void hostile_registers(void **state)
{
    hostile(state, "0x10");
}

static void hostile_registers_of_the_plus(void **state)
{
    hostile(state, "0x20");
}

/* ---- C+ mode ---- */

static void start_cplus(struct nic *n, void **state)
{
    start_revision(n, state, "0x20");
    assert_int_equal(qpci_readb(&n->pci, 0x08), 0x20);
    assert_int_equal(qtest_inl(n->q, n->io + TCR) & 0x7CC00000, 0x74800000);
    qtest_outb(n->q, n->io + CR, 0x10);
    qtest_outw(n->q, n->io + CPCR, 0x43);
    qtest_outl(n->q, n->io + TSAD0, n->tx);
    qtest_outl(n->q, n->io + TSAD0 + 4, 0);
    qtest_outl(n->q, n->io + RDSAR, n->ring);
    qtest_outl(n->q, n->io + RDSAR + 4, 0);
    qtest_outb(n->q, n->io + CR, 0x0C);
    qtest_outl(n->q, n->io + RCR, RCR_APM | RCR_AB);
    qtest_outw(n->q, n->io + IMR, 0xFFFF);
}

static void cplus_transmits(void **state)
{
    struct nic n;
    uint8_t data[2048], frame[2048];
    uint64_t buffer;
    size_t length;

    start_cplus(&n, state);
    buffer = qtest_alloc(n.q, 4096, 4096);
    length = packet_make(data, mac, 4, PACKET_TCP, 777);
    qtest_memwrite(n.q, buffer, data, length);
    /* in two parts, with checksums; the ring ends behind them */
    descriptor(&n, n.tx, 0xA0050000 | 100, 0, buffer);
    descriptor(&n, n.tx + 16, 0xD0050000 | (length - 100), 0, buffer + 100);
    qtest_outb(n.q, n.io + TPPOLL, 0x40);
    assert_int_equal(wire_take(&n.wire, frame, 60000), length);
    assert_memory_equal(frame + 54, data + 54, 777);
    packet_check(frame);
    assert_int_equal(qtest_readl(n.q, n.tx) >> 31, 0);
    assert_int_equal(qtest_readl(n.q, n.tx + 16) >> 31, 0);
    assert_int_equal(qtest_inw(n.q, n.io + ISR), 0x84);
    /* UDP, with a tag */
    length = packet_make(data, mac, 4, PACKET_UDP, 101);
    qtest_memwrite(n.q, buffer, data, length);
    descriptor(&n, n.tx, 0xF0060000 | length, 0x20000 | 0x3412, buffer);
    qtest_outb(n.q, n.io + TPPOLL, 0x40);
    assert_int_equal(wire_take(&n.wire, frame, 60000), length + 4);
    assert_int_equal(packet_be16(frame + 12), 0x8100);
    assert_int_equal(packet_be16(frame + 14), 0x1234);
    memmove(frame + 12, frame + 16, length);
    packet_check(frame);
    /* lengths that lie: sent as it is */
    data[16] = 0xFF;
    qtest_memwrite(n.q, buffer, data, length);
    descriptor(&n, n.tx, 0xF0020000 | length, 0, buffer);
    qtest_outb(n.q, n.io + TPPOLL, 0x40);
    assert_int_equal(wire_take(&n.wire, frame, 60000), length);
    assert_memory_equal(frame, data, length);
    finish(&n);
}

/* A driver that does not use the chip's tags puts its own in, and the frame is four bytes longer. */
static void cplus_sends_frames_with_the_drivers_own_tag(void **state)
{
    struct nic n;
    uint8_t data[1518] = {0}, frame[2048];
    uint64_t buffer;

    start_cplus(&n, state);
    buffer = qtest_alloc(n.q, 4096, 4096);
    packet_make(data, mac, 4, PACKET_UDP, 1000);
    memmove(data + 16, data + 12, 1000);
    memcpy(data + 12, "\x81\0\0\5", 4);
    qtest_memwrite(n.q, buffer, data, sizeof(data));
    descriptor(&n, n.tx, 0xF0000000 | sizeof(data), 0, buffer);
    qtest_outb(n.q, n.io + TPPOLL, 0x40);
    assert_int_equal(wire_take(&n.wire, frame, 60000), sizeof(data));
    assert_memory_equal(frame, data, sizeof(data));
    finish(&n);
}

static void cplus_cuts_segments(void **state)
{
    struct nic n;
    static uint8_t data[65536];
    uint8_t frame[2048];
    uint64_t buffer;
    size_t length, sent = 0;

    start_cplus(&n, state);
    buffer = qtest_alloc(n.q, 65536, 4096);
    length = packet_make(data, mac, 4, PACKET_TCP, 40000);
    qtest_memwrite(n.q, buffer, data, length);
    descriptor(&n, n.tx, 0xF8000000 | 1460 << 16 | length, 0, buffer);
    qtest_outb(n.q, n.io + TPPOLL, 0x40);
    for (unsigned i = 0; sent < 40000; i++) {
        size_t part = 40000 - sent < 1460 ? 40000 - sent : 1460;

        assert_int_equal(wire_take(&n.wire, frame, 60000), 54 + part);
        packet_check(frame);
        assert_int_equal(packet_be16(frame + 18), i);
        assert_int_equal(packet_be16(frame + 38) << 16 | packet_be16(frame + 40), sent);
        assert_int_equal(frame[47], sent + part == 40000 ? 0x19 : 0x10);
        assert_memory_equal(frame + 54, data + 54 + sent, part);
        sent += part;
    }
    /* segments that no frame holds, or of no bytes, and headers that are not there */
    descriptor(&n, n.tx, 0xF8000000 | 2047 << 16 | length, 0, buffer);
    qtest_outb(n.q, n.io + TPPOLL, 0x40);
    descriptor(&n, n.tx, 0xF8000000 | length, 0, buffer);
    qtest_outb(n.q, n.io + TPPOLL, 0x40);
    descriptor(&n, n.tx, 0xF8000000 | 100 << 16 | 50, 0, buffer);
    qtest_outb(n.q, n.io + TPPOLL, 0x40);
    assert_int_equal(wire_take(&n.wire, frame, 20), -1);
    finish(&n);
}

static void cplus_receives(void **state)
{
    struct nic n;
    uint8_t frame[2048], data[100];
    uint64_t buffer;
    uint32_t crc;

    start_cplus(&n, state);
    buffer = qtest_alloc(n.q, 8192, 4096);
    /* none is free at first: the wire waits, and goes on by the next look */
    wire_send(&n.wire, mac, 0x31, 100);
    assert_true(SOON(qtest_inw(n.q, n.io + ISR) & 0x10));
    descriptor(&n, n.ring, 0x80000000 | 1600, 0, buffer);
    descriptor(&n, n.ring + 16, 0xC0000000 | 1600, 0, buffer + 2048);
    qtest_clock_step(n.q, 1000000);
    assert_true(SOON(qtest_inw(n.q, n.io + ISR) & 1));
    assert_int_equal(qtest_readl(n.q, n.ring), 0x32000000 | 104);
    qtest_memread(n.q, buffer, frame, 104);
    assert_memory_equal(frame, mac, 6);
    memcpy(&crc, frame + 100, 4);
    assert_int_equal(crc, wire_crc(frame, 100));
    qtest_outw(n.q, n.io + ISR, 0xFFFF);
    /* a tag is taken out */
    memset(data, 0x55, sizeof(data));
    memcpy(data, mac, 6);
    memcpy(data + 12, (uint8_t[]){0x81, 0, 0x12, 0x34}, 4);
    wire_send_bytes(&n.wire, data, sizeof(data));
    assert_true(SOON(qtest_inw(n.q, n.io + ISR) & 1));
    assert_int_equal(qtest_readl(n.q, n.ring + 16), 0x72000000 | 100);
    assert_int_equal(qtest_readl(n.q, n.ring + 20), 0x13412);
    /* the counters */
    qtest_outl(n.q, n.io + TSD0 + 4, 0);
    qtest_outl(n.q, n.io + TSD0, buffer | 8);
    assert_int_equal(qtest_inl(n.q, n.io + TSD0) & 8, 0);
    assert_int_equal(qtest_readq(n.q, buffer + 8), 2);
    assert_int_equal(qtest_readq(n.q, buffer + 40), 2);
    finish(&n);
}

/* What asked for offloads stands where errors and collisions are told of: drivers would count them. */
static void cplus_descriptors_come_back_without_errors(void **state)
{
    struct nic n;
    uint8_t data[200];
    size_t length = packet_make(data, mac, 4, PACKET_TCP, 100);

    start_cplus(&n, state);
    qtest_memwrite(n.q, n.tx + 2048, data, length);
    descriptor(&n, n.tx, 0xB0070000 | length, 0, n.tx + 2048);
    descriptor(&n, n.tx + 16, 0xF8000000 | 1460 << 16 | length, 0, n.tx + 2048);
    qtest_outb(n.q, n.io + TPPOLL, 0x40);
    assert_int_equal(qtest_readl(n.q, n.tx), 0x30000000 | length);
    assert_int_equal(qtest_readl(n.q, n.tx + 16), 0x70000000 | length);
    finish(&n);
}

/* A frame that has no place is missed, not received. */
static void cplus_counts_what_it_stored(void **state)
{
    struct nic n;

    start_cplus(&n, state);
    descriptor(&n, n.ring, 0x80000000 | 1600, 0, 0xFEC00000);
    wire_send(&n.wire, mac, 1, 100);
    assert_true(SOON(qtest_inl(n.q, n.io + MPC) == 1));
    descriptor(&n, n.ring, 0x80000000 | 103, 0, n.ring + 4096);
    wire_send(&n.wire, mac, 1, 100);
    assert_true(SOON(qtest_inl(n.q, n.io + MPC) == 2));
    descriptor(&n, n.ring, 0x80000000 | 104, 0, n.ring + 4096);
    wire_send(&n.wire, mac, 1, 100);
    assert_true(SOON(qtest_inw(n.q, n.io + ISR) & 1));
    qtest_outl(n.q, n.io + TSD0 + 4, 0);
    qtest_outl(n.q, n.io + TSD0, (n.ring + 8192) | 8);
    assert_int_equal(qtest_readq(n.q, n.ring + 8192 + 8), 1);
    assert_int_equal(qtest_readw(n.q, n.ring + 8192 + 28), 2);
    assert_int_equal(qtest_readq(n.q, n.ring + 8192 + 40), 1);
    finish(&n);
}

/* Pieces without a beginning are no frame, and are not put behind the last one. */
static void cplus_sends_nothing_without_a_beginning(void **state)
{
    struct nic n;
    uint8_t data[200] = {0}, frame[2048];

    start_cplus(&n, state);
    memcpy(data, mac, 6);
    qtest_memwrite(n.q, n.tx + 2048, data, sizeof(data));
    descriptor(&n, n.tx, 0x90000000 | 100, 0, n.tx + 2048);
    descriptor(&n, n.tx + 16, 0xB0000000 | 70, 0, n.tx + 2048);
    descriptor(&n, n.tx + 32, 0x80000000 | 30, 0, n.tx + 2048);
    descriptor(&n, n.tx + 48, 0x90000000 | 30, 0, n.tx + 2048);
    descriptor(&n, n.tx + 64, 0xB0000000 | 80, 0, n.tx + 2048);
    qtest_outb(n.q, n.io + TPPOLL, 0x40);
    assert_int_equal(wire_take(&n.wire, frame, 60000), 70);
    assert_int_equal(wire_take(&n.wire, frame, 60000), 80);
    assert_int_equal(qtest_inw(n.q, n.io + ISR), 0x8C); /* TDU, TER, TOK */
    finish(&n);
}

/* The status of the next frame; the one descriptor is given back. */
static uint32_t cplus_status(struct nic *n, const uint8_t *data, size_t length)
{
    uint32_t status;

    descriptor(n, n->ring, 0xC0000000 | 1600, 0, n->ring + 4096);
    qtest_outw(n->q, n->io + ISR, 0xFFFF);
    wire_send_bytes(&n->wire, data, length);
    assert_true(SOON(qtest_inw(n->q, n->io + ISR) & 1));
    status = qtest_readl(n->q, n->ring);
    assert_int_equal(status & 0xFF001FFF, 0x72000000 | (length + 4));
    return status >> 13 & 31; /* TCPF, UDPF, IPF, PID */
}

static void cplus_looks_at_checksums(void **state)
{
    enum { TCPF = 1, UDPF = 2, IPF = 4, PID_TCP = 8, PID_UDP = 16, PID_IP = 24 };
    struct nic n;
    uint8_t data[400];
    size_t length;

    start_cplus(&n, state);
    for (int tcp = 0; tcp < 2; tcp++) {
        unsigned pid = tcp ? PID_TCP : PID_UDP, bad = tcp ? TCPF : UDPF;

        qtest_outw(n.q, n.io + CPCR, 0x63);
        length = packet_make(data, mac, 4, tcp ? PACKET_TCP : PACKET_UDP, 301);
        packet_seal(data);
        assert_int_equal(cplus_status(&n, data, length), pid);
        data[length - 1] ^= 1;
        assert_int_equal(cplus_status(&n, data, length), pid | bad);
        data[22]--; /* the header is no longer what it was */
        assert_int_equal(cplus_status(&n, data, length), pid | bad | IPF);
        data[20] |= 0x20; /* the first of several fragments */
        assert_int_equal(cplus_status(&n, data, length), PID_IP | IPF);
        qtest_outw(n.q, n.io + CPCR, 0x43);
        assert_int_equal(cplus_status(&n, data, length), 0);
    }
    qtest_outw(n.q, n.io + CPCR, 0x63);
    length = packet_make(data, mac, 4, PACKET_UDP, 100);
    packet_seal(data);
    memset(data + 40, 0, 2); /* UDP without a checksum */
    assert_int_equal(cplus_status(&n, data, length), PID_IP);
    length = packet_make(data, mac, 6, PACKET_TCP, 100);
    packet_seal(data);
    assert_int_equal(cplus_status(&n, data, length), 0);
    finish(&n);
}

/* CVE-2016-8910: a frame that the chip puts over its own transmit descriptor each time gives it back. */
static void a_ring_that_never_ends_stops_nobody(void **state)
{
    struct nic n;
    uint64_t buffer;
    uint8_t data[100];

    start_cplus(&n, state);
    buffer = qtest_alloc(n.q, 4096, 4096);
    memset(data, 0xFF, sizeof(data));
    qtest_outl(n.q, n.io + TCR, 0x60000);
    qtest_memwrite(n.q, buffer, data, sizeof(data));
    for (int i = 0; i < 64; i++)
        descriptor(&n, n.tx + 16 * i, 0xB0000000 | 100, 0, buffer);
    descriptor(&n, n.ring, 0xC0000000 | 0x1FFF, 0, n.tx);
    qtest_outb(n.q, n.io + TPPOLL, 0x40);
    assert_int_equal(qtest_inb(n.q, n.io + CR) & 0x0C, 0x0C);
    qtest_outb(n.q, n.io + CR, 0x10);
    assert_int_equal(qtest_inb(n.q, n.io + CR), 1);
    finish(&n);
}

static void the_plain_chip_has_no_rings_of_descriptors(void **state)
{
    struct nic n;

    start(&n, state);
    qtest_outw(n.q, n.io + CPCR, 3);
    assert_int_equal(qtest_inw(n.q, n.io + CPCR), 0);
    finish(&n);
}

static void unlock(struct nic *n)
{
    qtest_outb(n->q, n->io + EECR, 0xC0);
}

static void power_management_shows_where_config1_says_so(void **state)
{
    struct nic n;

    start(&n, state);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(qtest_inb(n.q, n.io + CONFIG1) & 1, 1);
        assert_int_equal(qpci_readw(&n.pci, 0x06) & 0x10, 0x10);
        assert_int_equal(qpci_readb(&n.pci, 0x34), PM_OFFSET);
        assert_int_equal(qpci_readl(&n.pci, PM_OFFSET), 0xF7C20001);
        assert_int_equal(qpci_readl(&n.pci, PMCSR), 0);
        qpci_writel(&n.pci, PM_OFFSET, 0);
        qpci_writel(&n.pci, PMCSR, 0xFFFFFFFC);
        assert_int_equal(qpci_readl(&n.pci, PM_OFFSET), 0xF7C20001);
        assert_int_equal(qpci_readl(&n.pci, PMCSR), PME_EN);
        qtest_outb(n.q, n.io + CONFIG1, 0); /* locked */
        assert_int_equal(qpci_readb(&n.pci, 0x34), PM_OFFSET);
        unlock(&n);
        qtest_outb(n.q, n.io + CONFIG1, 0);
        assert_int_equal(qpci_readw(&n.pci, 0x06) & 0x10, 0);
        assert_int_equal(qpci_readb(&n.pci, 0x34), 0);
        qpci_writew(&n.pci, PMCSR, 3);
        assert_int_equal(qpci_readl(&n.pci, PM_OFFSET), 0);
        assert_int_equal(qpci_readl(&n.pci, PMCSR), 0);
        qtest_outb(n.q, n.io + CONFIG1, 1);
        qtest_outb(n.q, n.io + EECR, 0);
    }
    finish(&n);
}

static void wakeup_registers_keep_what_is_theirs(void **state)
{
    static const struct {
        uint8_t offset, kept;
    } locked[] = {{CONFIG3, 0x70}, {CONFIG4, 0xF5}};
    struct nic n;

    start(&n, state);
    for (size_t i = 0; i < sizeof(locked) / sizeof(locked[0]); i++) {
        qtest_outb(n.q, n.io + locked[i].offset, 0xFF);
        assert_int_equal(qtest_inb(n.q, n.io + locked[i].offset), 0);
        unlock(&n);
        qtest_outb(n.q, n.io + locked[i].offset, 0xFF);
        assert_int_equal(qtest_inb(n.q, n.io + locked[i].offset), locked[i].kept);
        qtest_outb(n.q, n.io + EECR, 0);
    }
    qtest_outb(n.q, n.io + CONFIG5, 0xFF); /* never locked */
    assert_int_equal(qtest_inb(n.q, n.io + CONFIG5), 0x7F);
    for (unsigned at = CRC0; at < LSBCRC0 + 8; at += 4)
        qtest_outl(n.q, n.io + at, 0x04030201 * at);
    for (unsigned at = CRC0; at < LSBCRC0 + 8; at += 4)
        assert_int_equal(qtest_inl(n.q, n.io + at), 0x04030201 * at);
    qtest_outb(n.q, n.io + EECR, 0x40); /* load */
    assert_int_equal(qtest_inb(n.q, n.io + CONFIG3), 0);
    assert_int_equal(qtest_inb(n.q, n.io + CONFIG5), 0);
    finish(&n);
}

/* Back in D0, with the registers where they were. */
static void power_up(struct nic *n)
{
    qpci_writew(&n->pci, PMCSR, PME_STATUS);
    n->io = qpci_map(&n->pci, 0);
    qpci_enable(&n->pci);
}

static void a_sleeping_card_is_off_and_leaving_d3_resets_it(void **state)
{
    struct nic n;
    struct qpci isa;
    uint8_t frame[2048];
    uint16_t status;

    start(&n, state);
    qtest_irq_intercept_in(n.q, "ioapic");
    isa = qpci_get(n.q, 0x8086, 0x7000);
    qpci_writel(&isa, 0x60, 0x0B0B0B0B); /* all pins to line 11 */
    for (unsigned power = 1; power <= D3; power++) {
        enable(&n, RCR_APM);
        wire_send(&n.wire, mac, 1, 100);
        assert_true(arrived(&n));
        qtest_outl(n.q, n.io + TIMER_INT, 1000); /* an interrupt that comes in its sleep */
        qtest_outl(n.q, n.io + TCTR, 0);
        qtest_outw(n.q, n.io + IMR, 0x4000);
        qpci_writew(&n.pci, PMCSR, power);
        assert_int_equal(qpci_readw(&n.pci, PMCSR), power);
        assert_int_equal(qtest_inb(n.q, n.io + CR), 0xFF); /* nobody there */
        qtest_clock_step(n.q, 1000000);
        wire_send(&n.wire, mac, 2, 100);
        qtest_barrier(n.q);
        assert_false(qtest_irq(n.q, 11));
        if (power == D3) {
            qpci_writew(&n.pci, PMCSR, PME_EN | D3);
            qpci_writew(&n.pci, PMCSR, PME_EN);
            assert_int_equal(qpci_readw(&n.pci, PMCSR), PME_EN);
            assert_int_equal(qpci_readw(&n.pci, 0x04), 0);
            assert_int_equal(qpci_readl(&n.pci, 0x10), 1);
            power_up(&n);
            assert_int_equal(qtest_inl(n.q, n.io), 0x12005452);
            assert_int_equal(qtest_inb(n.q, n.io + CR), 1);
            assert_int_equal(qtest_inw(n.q, n.io + ISR), 0);
            continue;
        }
        qpci_writew(&n.pci, PMCSR, 0);
        assert_true(qtest_irq(n.q, 11));
        take(&n, &status, frame);
        assert_int_equal(frame[20], 1);
        assert_int_equal(qtest_inb(n.q, n.io + CR), 0x0D); /* the second is gone */
    }
    finish(&n);
}

static void nothing_is_sent_asleep(void **state)
{
    struct nic n;
    uint8_t frame[2048];

    unsigned fetched = 0, sent = 0;

    start_revision(&n, state, "0x20");
    enable(&n, 0);
    qtest_outw(n.q, n.io + CPCR, 3);
    qtest_outl(n.q, n.io + TSAD0, n.tx);
    qtest_writel(n.q, n.tx + 8, n.tx);
    for (;; fetched++) { /* until the wire is full, with a frame in the chip */
        qtest_writel(n.q, n.tx, 0xF00005EA);
        qtest_outb(n.q, n.io + TPPOLL, 0x40);
        if (qtest_readl(n.q, n.tx) & 0x80000000)
            break;
    }
    qpci_writew(&n.pci, PMCSR, D3);
    while (wire_take(&n.wire, frame, 50) > 0)
        sent++;
    assert_int_equal(sent, fetched - 1);
    finish(&n);
}

static bool woken(struct nic *n)
{
    return qpci_readw(&n->pci, PMCSR) & PME_STATUS;
}

static void wakes_by_what_is_enabled(void **state)
{
    static const uint8_t all[6] = {255, 255, 255, 255, 255, 255}, other[6] = {2, 1, 1, 1, 1, 1},
                         group[6] = {1, 0, 0x5E, 0, 0, 1};
    static const struct {
        uint8_t config3, config5, rcr;
        const uint8_t *to;
        bool magic, wakes;
    } cases[] = {
        {CONFIG3_MAGIC, 0, RCR_APM | RCR_AB, mac, true, true},
        {CONFIG3_MAGIC, 0, RCR_APM | RCR_AB, all, true, true},
        {CONFIG3_MAGIC, 0, RCR_APM, all, true, false},
        {CONFIG3_MAGIC, 0, RCR_APM | RCR_AB, other, true, false},
        {CONFIG3_MAGIC, 0, RCR_APM | RCR_AB, mac, false, false},
        {0, 0, RCR_APM | RCR_AB, mac, true, false},
        {CONFIG3_LINKUP, CONFIG5_BWF | CONFIG5_MWF, RCR_APM | RCR_AB, mac, false, false},
        {0, CONFIG5_UWF, RCR_APM, mac, false, true},
        {0, CONFIG5_UWF, RCR_AB, all, false, false},
        {0, CONFIG5_BWF, RCR_AB, all, false, true},
        {0, CONFIG5_MWF, RCR_AM, group, false, true},
        {0, CONFIG5_UWF | CONFIG5_BWF, RCR_AM | RCR_AB, group, false, false},
    };
    struct nic n;
    uint8_t frame[300];

    start(&n, state);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enable(&n, cases[i].rcr);
        qtest_outl(n.q, n.io + MAR0, 0xFFFFFFFF);
        qtest_outl(n.q, n.io + MAR0 + 4, 0xFFFFFFFF);
        unlock(&n);
        qtest_outb(n.q, n.io + CONFIG3, cases[i].config3);
        qtest_outb(n.q, n.io + CONFIG5, cases[i].config5);
        qtest_outb(n.q, n.io + CR, 0); /* drivers stop the receiver */
        packet_magic(frame, cases[i].to, mac);
        if (!cases[i].magic)
            frame[60] ^= 1;
        wire_send_bytes(&n.wire, frame, 200); /* in D0 nothing wakes */
        qtest_barrier(n.q);
        assert_false(woken(&n));
        qpci_writew(&n.pci, PMCSR, D3);
        wire_send_bytes(&n.wire, frame, 200);
        qtest_barrier(n.q);
        assert_int_equal(woken(&n), cases[i].wakes);
        power_up(&n);
        assert_false(woken(&n));
    }
    finish(&n);
}

static void wakes_when_the_link_is_back(void **state)
{
    struct nic n;

    start(&n, state);
    for (int enabled = 0; enabled < 2; enabled++) {
        unlock(&n);
        qtest_outb(n.q, n.io + CONFIG3, enabled ? CONFIG3_LINKUP : CONFIG3_MAGIC);
        qpci_writew(&n.pci, PMCSR, D3);
        wire_set_link(n.q, "n", false);
        assert_false(woken(&n));
        wire_set_link(n.q, "n", true);
        assert_int_equal(woken(&n), enabled);
        power_up(&n);
    }
    finish(&n);
}

/* Frames 4 and 5 as one long one: the bytes at 40 to 44 and 70 to 73. */
static void wakes_by_a_long_wakeup_frame(void **state)
{
    struct nic n;
    uint8_t frame[100] = {0};

    start(&n, state);
    memcpy(frame, mac, 6);
    memcpy(frame + 40, "12345", 5);
    memcpy(frame + 70, "6789", 4);
    for (int round = 0; round < 4; round++) {
        enable(&n, RCR_APM);
        qtest_outb(n.q, n.io + WAKEUP0 + 4 * 8 + 5, 0x1F);
        qtest_outb(n.q, n.io + WAKEUP0 + 5 * 8, 0xC0);
        qtest_outb(n.q, n.io + WAKEUP0 + 5 * 8 + 1, 0x03);
        /* CRC-16/MCRF4XX of 123456789 is 0x6F91; from the other end */
        qtest_outb(n.q, n.io + CRC0 + 4, 0xF6);
        qtest_outb(n.q, n.io + LSBCRC0 + 4, round == 1 ? 0x88 : 0x89);
        unlock(&n);
        qtest_outb(n.q, n.io + CONFIG4, round == 2 ? 0 : 0x20);
        qpci_writew(&n.pci, PMCSR, D3);
        wire_send_bytes(&n.wire, frame, round == 3 ? 73 : sizeof(frame)); /* the last: cut short */
        qtest_barrier(n.q);
        assert_int_equal(woken(&n), !round);
        power_up(&n);
    }
    finish(&n);
}

static void prepare_magic(struct nic *n, uint8_t frame[300])
{
    enable(n, RCR_APM);
    unlock(n);
    qtest_outb(n->q, n->io + CONFIG3, CONFIG3_MAGIC);
    packet_magic(frame, mac, mac);
}

static void a_magic_packet_ends_the_guests_sleep(void **state)
{
    struct nic n;
    uint8_t frame[300];

    start(&n, state);
    prepare_magic(&n, frame);
    qpci_writew(&n.pci, PMCSR, D3); /* no PME_En */
    suspend(n.q);
    wire_send_bytes(&n.wire, frame, 200);
    assert_true(SOON(woken(&n)));
    suspend_end(n.q, false);
    power_up(&n);
    prepare_magic(&n, frame);
    qpci_writew(&n.pci, PMCSR, PME_EN | D3);
    suspend(n.q);
    wire_send_bytes(&n.wire, frame, 200);
    suspend_end(n.q, true);
    assert_int_equal(qpci_readw(&n.pci, PMCSR), PME_STATUS | PME_EN | D3);
    /* falling asleep with the line held */
    suspend(n.q);
    suspend_end(n.q, true);
    /* with auxiliary power a reset of the machine keeps it, for the system to find what woke it */
    json_decref(qtest_qmp_ok(n.q, "{'execute': 'system_reset'}"));
    json_decref(qtest_qmp_event(n.q, "RESET"));
    assert_int_equal(qpci_readw(&n.pci, PMCSR), PME_STATUS | PME_EN);
    finish(&n);
}

/* One that waits for room is gone with D0, and what comes behind it is looked at. */
static void a_frame_that_waited_does_not_keep_the_guest_asleep(void **state)
{
    struct nic n;
    uint8_t frame[300];

    start(&n, state);
    prepare_magic(&n, frame);
    for (int i = 0; i < 9; i++)
        wire_send(&n.wire, mac, i, 1514);
    for (int i = 0; i < 2; i++) { /* once for those in the ring, then for the one that waits */
        assert_true(SOON(qtest_inw(n.q, n.io + ISR) == 1));
        qtest_barrier(n.q);
        qtest_outw(n.q, n.io + ISR, 0xFFFF);
    }
    assert_true(SOON(qtest_inw(n.q, n.io + ISR) == 1));
    qpci_writew(&n.pci, PMCSR, D3);
    wire_send_bytes(&n.wire, frame, 200);
    assert_true(SOON(woken(&n)));
    finish(&n);
}

static int stop(void **state)
{
    qtest_stop(*state);
    *state = NULL;
    return 0;
}

static void the_plus_is_the_default(void **state)
{
    struct qtest *q = *state = qtest_start("-nodefaults -vga none -device rtl8139");
    struct qpci pci = qpci_get(q, 0x10EC, 0x8139);

    assert_int_equal(qpci_readb(&pci, 0x08), 0x20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(identity, stop),
        cmocka_unit_test_teardown(memory_and_ports_are_the_same_registers, stop),
        cmocka_unit_test_teardown(eeprom, stop),
        cmocka_unit_test_teardown(config_registers_are_locked, stop),
        cmocka_unit_test_teardown(transmits_in_turn, stop),
        cmocka_unit_test_teardown(odd_lengths_are_sent_or_refused, stop),
        cmocka_unit_test_teardown(receives, stop),
        cmocka_unit_test_teardown(filters, stop),
        cmocka_unit_test_teardown(the_ring_wraps, stop),
        cmocka_unit_test_teardown(frames_run_on_behind_the_ring, stop),
        cmocka_unit_test_teardown(a_full_ring_makes_the_wire_wait, stop),
        cmocka_unit_test_teardown(frames_that_were_left_are_told_of_again, stop),
        cmocka_unit_test_teardown(loopback_goes_round, stop),
        cmocka_unit_test_teardown(bad_packets_from_the_wire, stop),
        cmocka_unit_test_teardown(a_ring_without_memory_loses_frames_only, stop),
        cmocka_unit_test_teardown(the_timer_matches, stop),
        cmocka_unit_test_teardown(the_link_goes_down_and_up, stop),
        cmocka_unit_test_teardown(the_speed_is_as_chosen, stop),
        cmocka_unit_test_teardown(a_reset_takes_back_what_the_wire_has_no_room_for, stop),
        cmocka_unit_test_teardown(hostile_registers, stop),
        cmocka_unit_test_teardown(hostile_registers_of_the_plus, stop),
        cmocka_unit_test_teardown(cplus_transmits, stop),
        cmocka_unit_test_teardown(cplus_sends_frames_with_the_drivers_own_tag, stop),
        cmocka_unit_test_teardown(cplus_cuts_segments, stop),
        cmocka_unit_test_teardown(cplus_descriptors_come_back_without_errors, stop),
        cmocka_unit_test_teardown(cplus_receives, stop),
        cmocka_unit_test_teardown(cplus_looks_at_checksums, stop),
        cmocka_unit_test_teardown(cplus_sends_nothing_without_a_beginning, stop),
        cmocka_unit_test_teardown(cplus_counts_what_it_stored, stop),
        cmocka_unit_test_teardown(a_ring_that_never_ends_stops_nobody, stop),
        cmocka_unit_test_teardown(the_plain_chip_has_no_rings_of_descriptors, stop),
        cmocka_unit_test_teardown(the_plus_is_the_default, stop),
        cmocka_unit_test_teardown(power_management_shows_where_config1_says_so, stop),
        cmocka_unit_test_teardown(wakeup_registers_keep_what_is_theirs, stop),
        cmocka_unit_test_teardown(a_sleeping_card_is_off_and_leaving_d3_resets_it, stop),
        cmocka_unit_test_teardown(nothing_is_sent_asleep, stop),
        cmocka_unit_test_teardown(wakes_by_what_is_enabled, stop),
        cmocka_unit_test_teardown(wakes_when_the_link_is_back, stop),
        cmocka_unit_test_teardown(wakes_by_a_long_wakeup_frame, stop),
        cmocka_unit_test_teardown(a_magic_packet_ends_the_guests_sleep, stop),
        cmocka_unit_test_teardown(a_frame_that_waited_does_not_keep_the_guest_asleep, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
