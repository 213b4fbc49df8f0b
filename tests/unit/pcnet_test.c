/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PCnet with a datagram socket as its wire. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/pcnet_card.h"

static void identity(void **state)
{
    static const uint8_t prom[16] = {0x52, 0x54, 0, 0x12, 0x34, 0x56, 0, 0, 0, 0x11, 0, 0, 1, 2, 'W', 'W'};
    static const struct {
        uint8_t nth;
        uint16_t value;
    } csrs[] = {{0, 4},       {3, 0},       {4, 0x0115},   {5, 0},       {12, 0x5452},
                {13, 0x1200}, {14, 0x5634}, {15, 0},       {58, 0x0200}, {80, 0x1410},
                {88, 0x1003}, {89, 0x0262}, {100, 0x0200}, {112, 0},     {114, 0}},
      bcrs[] = {{0, 5}, {1, 5},       {2, 2},  {4, 0x80C0},  {5, 0x0084},  {6, 0x0088}, {7, 0x0090},
                {9, 0}, {18, 0x9001}, {19, 2}, {20, 0x0200}, {22, 0xFF06}, {35, 0x1022}};
    struct nic n;

    start(&n, state);
    assert_int_equal(qpci_readb(&n.pci, 0x08), 0x10);
    assert_int_equal(qpci_readw(&n.pci, 0x0A), 0x0200);
    assert_int_equal(qpci_readl(&n.pci, 0x3C) >> 8, 0xFF0601);
    assert_int_equal(qpci_bar_size(&n.pci, 0), 32);
    assert_int_equal(qpci_bar_size(&n.pci, 1), 32);
    assert_true(qpci_bar_size(&n.pci, QPCI_ROM) >= 65536);
    for (int i = 0; i < 16; i++)
        assert_int_equal(qtest_inb(n.q, n.io + i), prom[i]);
    assert_int_equal(qtest_inl(n.q, n.io + 12), 0x57570201);
    assert_int_equal(qtest_inw(n.q, n.io + 3), 0x3412);
    for (size_t i = 0; i < sizeof(csrs) / sizeof(csrs[0]); i++)
        assert_int_equal(csr(&n, csrs[i].nth), csrs[i].value);
    for (size_t i = 0; i < sizeof(bcrs) / sizeof(bcrs[0]); i++)
        assert_int_equal(bcr(&n, bcrs[i].nth), bcrs[i].value);
    finish(&n);
}

static void words_and_doublewords(void **state)
{
    struct nic n;
    uint64_t mem;

    start(&n, state);
    mem = qpci_map(&n.pci, 1);
    qtest_writew(n.q, mem + 0x12, 88);
    assert_int_equal(qtest_inw(n.q, n.io + 0x12), 88);
    assert_int_equal(qtest_inl(n.q, n.io + 0x10), 0xFFFFFFFF); /* no such access in this mode */
    assert_int_equal(qtest_inb(n.q, n.io + 0x10), 0xFF);
    assert_int_equal(qtest_readw(n.q, mem + 0x10), 0x1003);
    qtest_outl(n.q, n.io + 0x10, 0);
    n.dwio = true;
    assert_int_equal(qtest_readw(n.q, mem + 0x12), 0xFFFF);
    assert_int_equal(csr(&n, 88), 0x1003);
    assert_int_equal(bcr(&n, 18), 0x9081);
    set_csr(&n, 4, 0x1915);
    qtest_inl(n.q, n.io + 0x18); /* the chip's own reset leaves the mode */
    assert_int_equal(csr(&n, 4), 0x0115);
    assert_int_equal(qtest_readl(n.q, mem + 0x14), 4);
    json_decref(qtest_qmp_ok(n.q, "{'execute': 'system_reset'}"));
    json_decref(qtest_qmp_event(n.q, "RESET"));
    n.io = qpci_map(&n.pci, 0);
    qpci_enable(&n.pci);
    n.dwio = false;
    assert_int_equal(bcr(&n, 18), 0x9001);
    finish(&n);
}

static void the_reset_port(void **state)
{
    struct nic n;

    start(&n, state);
    bring_up(&n, 2, 0);
    set_csr(&n, 3, 0x5F00);
    set_bcr(&n, 2, 0x1002);
    assert_int_equal(qtest_inw(n.q, n.io + 0x14), 0);
    assert_int_equal(qtest_inw(n.q, n.io + 0x12), 0);
    assert_int_equal(csr(&n, 0), CSR0_STOP);
    assert_int_equal(csr(&n, 3), 0);
    assert_int_equal(bcr(&n, 2), 0x1002);
    assert_int_equal(bcr(&n, 20), 0x0302);
    wire_send(&n.wire, mac, 1, 100);
    nothing_arrives(&n);
    finish(&n);
}

static void the_prom_is_written_when_it_may(void **state)
{
    struct nic n;

    start(&n, state);
    qtest_outb(n.q, n.io + 5, 0x99);
    assert_int_equal(qtest_inb(n.q, n.io + 5), 0x56);
    set_bcr(&n, 2, 0x0102);
    qtest_outb(n.q, n.io + 5, 0x99);
    qtest_outl(n.q, n.io + 0x0E, 0x11223344); /* across its end */
    assert_int_equal(qtest_inl(n.q, n.io + 4), 0x00009934);
    assert_int_equal(qtest_inw(n.q, n.io + 14), 0x3344);
    assert_int_equal(bcr(&n, 18), 0x9001);
    finish(&n);
}

static void styles_of_software(void **state)
{
    static const uint16_t shown[] = {0x0200, 0x0101, 0x0302, 0x0303, 0x0200};
    struct nic n;

    start(&n, state);
    for (unsigned i = 0; i < 5; i++) {
        set_bcr(&n, 20, i);
        assert_int_equal(bcr(&n, 20), shown[i]);
        assert_int_equal(csr(&n, 58), shown[i]);
    }
    set_csr(&n, 58, 3);
    assert_int_equal(bcr(&n, 20), 0x0303);
    bring_up(&n, 2, 0);
    set_bcr(&n, 20, 0); /* not while it runs */
    assert_int_equal(bcr(&n, 20), 0x0302);
    finish(&n);
}

static void registers_are_locked_while_it_runs(void **state)
{
    struct nic n;

    start(&n, state);
    bring_up(&n, 2, 0);
    set_csr(&n, 15, MODE_PROM);
    set_csr(&n, 8, 0xFFFF);
    assert_int_equal(csr(&n, 15), 0);
    assert_int_equal(csr(&n, 8), 0);
    set_csr(&n, 5, 1); /* suspended */
    assert_int_equal(csr(&n, 5), 1);
    set_csr(&n, 15, MODE_PROM);
    set_csr(&n, 8, 0xFFFF);
    set_csr(&n, 5, 0);
    assert_int_equal(csr(&n, 15), MODE_PROM);
    assert_int_equal(csr(&n, 8), 0xFFFF);
    assert_int_equal(csr(&n, 0), CSR0_TXON | CSR0_RXON | CSR0_IENA | CSR0_STRT | CSR0_INIT);
    finish(&n);
}

/* The driver of Minix. */
static void the_filter_is_set_between_init_and_start(void **state)
{
    struct nic n;

    start(&n, state);
    write_block(&n, 0);
    set_csr(&n, 1, n.block);
    set_csr(&n, 2, n.block >> 16);
    set_csr(&n, 0, CSR0_INIT);
    set_csr(&n, 15, MODE_PROM);
    set_csr(&n, 8, 0xFFFF);
    set_csr(&n, 0, CSR0_STRT | CSR0_IDON);
    assert_int_equal(csr(&n, 15), MODE_PROM);
    assert_int_equal(csr(&n, 8), 0xFFFF);
    finish(&n);
}

/* Frames of 1000 bytes until the wire takes no more; how many it has. The last one waits in its descriptor.
 */
static unsigned fill_the_wire(struct nic *n)
{
    unsigned sent = 0;

    for (;; sent++) {
        uint64_t at = put(n, 0, 1000, OWN | STP | ENP);

        set_csr(n, 0, CSR0_IENA | CSR0_TDMD);
        if (status_of(n, at) & OWN)
            return sent;
    }
}

static void a_stop_takes_back_what_the_wire_has_no_room_for(void **state)
{
    struct nic n;
    uint8_t data[300] = {0}, frame[2048];
    unsigned sent;

    start(&n, state);
    bring_up(&n, 2, 0);
    sent = fill_the_wire(&n);
    set_csr(&n, 0, CSR0_STOP);
    for (unsigned i = 0; i < sent; i++)
        assert_int_equal(wire_take(&n.wire, frame, FOREVER), 1000);
    bring_up(&n, 2, 0);
    transmit(&n, data, sizeof(data));
    assert_int_equal(wire_take(&n.wire, frame, FOREVER), sizeof(data));
    finish(&n);
}

/* What waits for the wire is read anew then: all of it as it is at one moment. */
static void a_descriptor_that_changes_while_it_waits(void **state)
{
    struct nic n;
    uint8_t frame[2048];
    uint64_t at;
    unsigned sent;

    start(&n, state);
    bring_up(&n, 2, 0);
    sent = fill_the_wire(&n);
    at = place(&n, n.tx, (n.tx_next + RING - 1) % RING);
    give(&n, at, n.tx_buffer + 8, 500, OWN | STP | ENP);
    for (unsigned i = 0; i < sent; i++)
        assert_int_equal(wire_take(&n.wire, frame, FOREVER), 1000);
    assert_int_equal(wire_take(&n.wire, frame, FOREVER), 500);
    assert_true(SOON(status_of(&n, at) == (STP | ENP)));
    /* and one that is taken back is not sent */
    sent = fill_the_wire(&n);
    at = place(&n, n.tx, (n.tx_next + RING - 1) % RING);
    give(&n, at, n.tx_buffer, 700, STP | ENP);
    for (unsigned i = 0; i < sent; i++)
        assert_int_equal(wire_take(&n.wire, frame, FOREVER), 1000);
    give(&n, at, n.tx_buffer, 900, OWN | STP | ENP);
    set_csr(&n, 0, CSR0_IENA | CSR0_TDMD);
    assert_int_equal(wire_take(&n.wire, frame, FOREVER), 900);
    finish(&n);
}

/* Drivers that use no init block: those of FreeBSD and illumos, and Plan 9's for promiscuous mode. */
static void a_start_without_init_begins_the_rings_anew(void **state)
{
    struct nic n;
    uint8_t frame[2048] = {0};
    uint64_t at;

    start(&n, state);
    bring_up(&n, 2, 0);
    for (int i = 0; i < 3; i++) {
        wire_send(&n.wire, mac, i, 100);
        take(&n, frame);
        transmit(&n, frame, 60);
        assert_int_equal(wire_take(&n.wire, frame, FOREVER), 60);
    }
    set_csr(&n, 0, CSR0_STOP);
    for (unsigned i = 0; i < RING; i++)
        give_rx(&n, i);
    n.rx_next = n.tx_next = 0;
    set_csr(&n, 0, CSR0_STRT | CSR0_IENA);
    wire_send(&n.wire, mac, 9, 100);
    assert_int_equal(take(&n, frame), 104);
    at = transmit(&n, frame, 60);
    assert_int_equal(wire_take(&n.wire, frame, FOREVER), 60);
    assert_int_equal(status_of(&n, at), STP | ENP);
    finish(&n);
}

/* The driver of illumos sets bits of what it has read. */
static void a_start_that_writes_stop_as_it_was_read(void **state)
{
    struct nic n;

    start(&n, state);
    set_csr(&n, 0, csr(&n, 0) | CSR0_STRT | CSR0_IENA);
    assert_int_equal(csr(&n, 0), CSR0_TXON | CSR0_RXON | CSR0_IENA | CSR0_STRT);
    set_csr(&n, 0, csr(&n, 0) | CSR0_STOP);
    assert_int_equal(csr(&n, 0), CSR0_STOP);
    set_csr(&n, 0, CSR0_STOP | CSR0_STRT | CSR0_INIT);
    assert_int_equal(csr(&n, 0), CSR0_STOP);
    finish(&n);
}

/* The drivers of NetBSD and OpenBSD. */
static void the_identity_in_one_doubleword(void **state)
{
    struct nic n;

    start(&n, state);
    assert_int_equal(csr(&n, 88), 0x1003);
    qtest_outl(n.q, n.io + 0x10, 0);
    qtest_outl(n.q, n.io + 0x14, 88);
    assert_int_equal(qtest_inl(n.q, n.io + 0x10), 0x02621003);
    qtest_outl(n.q, n.io + 0x14, 89);
    assert_int_equal(qtest_inl(n.q, n.io + 0x10), 0x0262);
    finish(&n);
}

/* The driver of ReactOS. */
static void leds_tell_duplex_and_speed(void **state)
{
    static const char *revisions[] = {",revision=0x10", ",revision=0x40"};
    struct nic n;

    for (int fast = 0; fast < 2; fast++) {
        start_with(&n, state, revisions[fast]);
        set_bcr(&n, 5, 0x0180);
        set_bcr(&n, 6, 0x1080);
        set_bcr(&n, 7, 0x00B0); /* traffic */
        assert_int_equal(bcr(&n, 5), fast ? 0x8180 : 0x0180);
        assert_int_equal(bcr(&n, 6), fast ? 0x9080 : 0x1080);
        assert_int_equal(bcr(&n, 7), 0x00B0);
        set_bcr(&n, 9, 1);
        assert_int_equal(bcr(&n, 5), 0x8180);
        wire_set_link(n.q, "c", false);
        assert_int_equal(bcr(&n, 5), 0x0180);
        assert_int_equal(bcr(&n, 6), 0x1080);
        finish(&n);
        qtest_stop(n.q);
        *state = NULL;
    }
}

static void the_init_block(void **state)
{
    struct nic n;

    start(&n, state);
    for (unsigned style = 0; style < 4; style++) {
        bring_up(&n, style, 0x0100);
        assert_int_equal(csr(&n, 6), 0x3300);
        assert_int_equal(csr(&n, 12), 0x5452);
        assert_int_equal(csr(&n, 14), 0x5634);
        assert_int_equal(csr(&n, 15), 0x0100);
        assert_int_equal(csr(&n, 24) | csr(&n, 25) << 16, n.rx);
        assert_int_equal(csr(&n, 30) | csr(&n, 31) << 16, n.tx);
        assert_int_equal(csr(&n, 76), 0x10000 - RING);
        assert_int_equal(csr(&n, 78), 0x10000 - RING);
        assert_int_equal(csr(&n, 17) << 16 | csr(&n, 16), n.block);
    }
    set_csr(&n, 0, CSR0_STOP);
    qtest_writew(n.q, n.block + 2, 0xF0F0); /* the longest: 512 */
    set_csr(&n, 0, CSR0_INIT);
    assert_int_equal(csr(&n, 76), 0x10000 - 512);
    finish(&n);
}

static void interrupts_are_masked(void **state)
{
    struct nic n;
    uint8_t frame[100] = {0};

    start(&n, state);
    bring_up(&n, 2, 0);
    assert_false(line_is_up(&n));
    transmit(&n, frame, sizeof(frame));
    assert_int_equal(csr(&n, 0) & (CSR0_TINT | CSR0_INTR), CSR0_TINT | CSR0_INTR);
    assert_true(line_is_up(&n));
    set_csr(&n, 0, 0); /* IENA */
    assert_int_equal(csr(&n, 0) & (CSR0_TINT | CSR0_INTR), CSR0_TINT | CSR0_INTR);
    assert_false(line_is_up(&n));
    set_csr(&n, 0, CSR0_IENA);
    assert_true(line_is_up(&n));
    set_csr(&n, 3, CSR0_TINT);
    assert_int_equal(csr(&n, 0) & (CSR0_TINT | CSR0_INTR), CSR0_TINT);
    assert_false(line_is_up(&n));
    set_csr(&n, 3, 0);
    set_csr(&n, 0, CSR0_IENA | CSR0_TINT);
    assert_int_equal(csr(&n, 0) & (CSR0_TINT | CSR0_INTR), 0);
    assert_false(line_is_up(&n));
    /* by the user's command, and the start of transmission */
    set_csr(&n, 4, 0x0995);
    assert_int_equal(csr(&n, 4) & 0x00C0, 0x0040);
    assert_true(line_is_up(&n));
    set_csr(&n, 4, 0x0955);
    assert_false(line_is_up(&n));
    set_csr(&n, 4, 0x0911);
    assert_true(line_is_up(&n)); /* TXSTRT, from before, is not masked any more */
    set_csr(&n, 4, 0x0919);
    assert_false(line_is_up(&n));
    set_csr(&n, 0, CSR0_STOP);
    assert_int_equal(csr(&n, 0), CSR0_STOP);
    finish(&n);
}

static void transmits_in_every_style(void **state)
{
    struct nic n;
    uint8_t frame[2048], data[1514];

    start(&n, state);
    for (unsigned style = 0; style < 4; style++) {
        bring_up(&n, style, 0);
        for (int i = 0; i < 20; i++) { /* twice and a half round the ring */
            unsigned length = i == 19 ? 1514 : 60 + 70 * i;
            uint64_t at;

            memset(data, i, sizeof(data));
            at = transmit(&n, data, length);
            assert_int_equal(wire_take(&n.wire, frame, FOREVER), length);
            assert_memory_equal(frame, data, length);
            assert_int_equal(status_of(&n, at), STP | ENP);
        }
        assert_int_equal(csr(&n, 0) & ~(CSR0_INIT | CSR0_STRT),
                         CSR0_TINT | CSR0_INTR | CSR0_IENA | CSR0_RXON | CSR0_TXON);
        assert_int_equal(csr(&n, 4), 0x091D);
    }
    finish(&n);
}

static void transmits_chains(void **state)
{
    struct nic n;
    uint8_t frame[2048], data[1000];

    start(&n, state);
    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = i * 7;
    for (unsigned style = 0; style < 4; style += 2) {
        bring_up(&n, style, 0);
        qtest_memwrite(n.q, n.tx_buffer, data, sizeof(data));
        for (int round = 0; round < 5; round++) {
            put(&n, 0, 13, OWN | STP);
            put(&n, 13, 500, OWN);
            set_csr(&n, 0, CSR0_IENA | CSR0_TDMD); /* the rest is not there yet: nothing goes out */
            assert_int_equal(wire_take(&n.wire, frame, 5), -1);
            assert_int_equal(csr(&n, 0) & CSR0_TINT, 0);
            put(&n, 513, 487, OWN | ENP);
            set_csr(&n, 0, CSR0_IENA | CSR0_TDMD);
            assert_int_equal(wire_take(&n.wire, frame, FOREVER), sizeof(data));
            assert_memory_equal(frame, data, sizeof(data));
            assert_int_equal(csr(&n, 0) & CSR0_TINT, CSR0_TINT);
            set_csr(&n, 0, CSR0_IENA | CSR0_TINT);
        }
        /* one without a beginning is passed over */
        uint64_t at = put(&n, 0, 100, OWN | ENP);
        put(&n, 0, 60, OWN | STP | ENP);
        set_csr(&n, 0, CSR0_IENA | CSR0_TDMD);
        assert_int_equal(wire_take(&n.wire, frame, FOREVER), 60);
        assert_int_equal(status_of(&n, at), ENP);
    }
    finish(&n);
}

static void transmits_from_everywhere_in_memory(void **state)
{
    struct nic n;
    uint8_t frame[2048], data[64];

    start(&n, state);
    memset(data, 0x21, sizeof(data));
    n.block += 0x2000000; /* the 16-bit style has the upper byte of all addresses in CSR2 */
    n.rx += 0x2000000;
    n.tx += 0x2000000;
    n.tx_buffer += 0x2000000;
    bring_up(&n, 0, 0);
    transmit(&n, data, sizeof(data));
    assert_int_equal(wire_take(&n.wire, frame, FOREVER), sizeof(data));
    assert_memory_equal(frame, data, sizeof(data));
    finish(&n);
}

static void short_and_long_frames(void **state)
{
    struct nic n;
    uint8_t frame[2048], data[4096];
    uint64_t at;

    start(&n, state);
    memset(data, 0x44, sizeof(data));
    bring_up(&n, 2, 0);
    transmit(&n, data, 20); /* is filled up, with zeros */
    assert_int_equal(wire_take(&n.wire, frame, FOREVER), 60);
    assert_int_equal(frame[19], 0x44);
    assert_int_equal(frame[20], 0);
    transmit(&n, data, 1518);
    assert_int_equal(wire_take(&n.wire, frame, FOREVER), 1518);
    assert_int_equal(csr(&n, 0) & (CSR0_BABL | CSR0_ERR), 0);
    transmit(&n, data, 1519);
    assert_int_equal(csr(&n, 0) & (CSR0_BABL | CSR0_ERR), CSR0_BABL | CSR0_ERR);
    set_csr(&n, 0, CSR0_IENA | CSR0_BABL);
    assert_int_equal(csr(&n, 0) & (CSR0_BABL | CSR0_ERR), 0);
    put(&n, 0, 4096, OWN | STP); /* a count of zero, and more than any frame */
    put(&n, 0, 4096, OWN);
    at = put(&n, 0, 4096, OWN | ENP);
    set_csr(&n, 0, CSR0_IENA | CSR0_TDMD);
    assert_int_equal(status_of(&n, at), ENP);
    assert_int_equal(csr(&n, 0) & CSR0_BABL, CSR0_BABL);
    assert_int_equal(wire_take(&n.wire, frame, 20), -1);
    finish(&n);
}

static void check_sequences_of_the_drivers_own(void **state)
{
    struct nic n;
    uint8_t frame[2048], data[104];
    uint32_t crc;

    start(&n, state);
    memset(data, 0x37, sizeof(data));
    crc = wire_crc(data, 100);
    memcpy(data + 100, &crc, 4);
    bring_up(&n, 2, MODE_DXMTFCS);
    transmit(&n, data, 104); /* it has one, which the wire does not carry */
    assert_int_equal(wire_take(&n.wire, frame, FOREVER), 100);
    transmit(&n, data, 99); /* it has none: nobody would take it */
    assert_int_equal(wire_take(&n.wire, frame, 5), -1);
    put(&n, 0, 99, OWN | STP | ENP | 0x20); /* ADD_FCS */
    set_csr(&n, 0, CSR0_IENA | CSR0_TDMD);
    assert_int_equal(wire_take(&n.wire, frame, FOREVER), 99);
    bring_up(&n, 1, 0);
    put(&n, 0, 104, OWN | STP | ENP | 0x20); /* here it is NO_FCS */
    set_csr(&n, 0, CSR0_IENA | CSR0_TDMD);
    assert_int_equal(wire_take(&n.wire, frame, FOREVER), 100);
    finish(&n);
}

static void transmit_interrupts_as_asked(void **state)
{
    struct nic n;
    uint8_t data[60] = {0};

    start(&n, state);
    bring_up(&n, 3, 0);
    set_csr(&n, 5, 0x8000); /* TOKINTD: errors only */
    transmit(&n, data, sizeof(data));
    assert_int_equal(csr(&n, 0) & CSR0_TINT, 0);
    set_csr(&n, 5, 0x4000); /* LTINTEN: where the descriptor says */
    transmit(&n, data, sizeof(data));
    assert_int_equal(csr(&n, 0) & CSR0_TINT, 0);
    put(&n, 0, 60, OWN | STP | ENP | 0x10);
    set_csr(&n, 0, CSR0_IENA | CSR0_TDMD);
    assert_int_equal(csr(&n, 0) & CSR0_TINT, CSR0_TINT);
    finish(&n);
}

static void polls_for_drivers_that_do_not_demand(void **state)
{
    struct nic n;
    uint8_t frame[2048];

    start(&n, state);
    bring_up(&n, 2, 0);
    put(&n, 0, 60, OWN | STP | ENP);
    assert_int_equal(wire_take(&n.wire, frame, 5), -1);
    qtest_clock_step(n.q, 2000000);
    assert_int_equal(wire_take(&n.wire, frame, FOREVER), 60);
    qtest_clock_step(n.q, 5000000000); /* after a long silence still, if later */
    put(&n, 0, 60, OWN | STP | ENP);
    qtest_clock_step(n.q, 64000000);
    assert_int_equal(wire_take(&n.wire, frame, FOREVER), 60);
    /* whoever demanded once always does */
    put(&n, 0, 60, OWN | STP | ENP);
    set_csr(&n, 0, CSR0_IENA | CSR0_TDMD);
    assert_int_equal(wire_take(&n.wire, frame, FOREVER), 60);
    put(&n, 0, 60, OWN | STP | ENP);
    qtest_clock_step(n.q, 1000000000);
    assert_int_equal(wire_take(&n.wire, frame, 5), -1);
    /* DPOLL: not at all */
    bring_up(&n, 2, 0);
    set_csr(&n, 4, 0x1915);
    put(&n, 0, 60, OWN | STP | ENP);
    qtest_clock_step(n.q, 1000000000);
    assert_int_equal(wire_take(&n.wire, frame, 5), -1);
    set_csr(&n, 4, 0x0915);
    qtest_clock_step(n.q, 64000000);
    assert_int_equal(wire_take(&n.wire, frame, FOREVER), 60);
    finish(&n);
}

/* What is there when the transmitter starts goes out at once: a loopback test of Linux counts on it. */
static void starts_with_what_is_there(void **state)
{
    struct nic n;
    uint8_t frame[2048];

    start(&n, state);
    bring_up(&n, 2, 0);
    set_csr(&n, 0, CSR0_STOP);
    put(&n, 0, 61, OWN | STP | ENP);
    set_csr(&n, 0, CSR0_STRT);
    assert_int_equal(wire_take(&n.wire, frame, FOREVER), 61);
    finish(&n);
}

static void receives_in_every_style(void **state)
{
    struct nic n;
    uint8_t frame[2048];

    start(&n, state);
    for (unsigned style = 0; style < 4; style++) {
        bring_up(&n, style, 0);
        for (unsigned i = 0; i < 20; i++) {
            unsigned length = i == 19 ? 1514 : i == 18 ? 42 : 60 + 70 * i;

            wire_send(&n.wire, mac, i, length);
            if (length >= 60) {
                assert_int_equal(take(&n, frame), length + 4);
                check_frame(frame, length + 4, mac, i);
            } else { /* short ones are filled up */
                assert_int_equal(take(&n, frame), 64);
                assert_int_equal(frame[41], i);
                assert_int_equal(frame[42], 0);
            }
            assert_int_equal(csr(&n, 0) & (CSR0_RINT | CSR0_INTR), CSR0_RINT | CSR0_INTR);
            set_csr(&n, 0, CSR0_IENA | CSR0_RINT);
            assert_false(line_is_up(&n));
        }
    }
    finish(&n);
}

static void says_how_the_address_matched(void **state)
{
    static const struct {
        const uint8_t *to;
        uint32_t bits;
    } cases[] = {{mac, 0x40}, {group, 0x20}, {everyone, 0x10}};
    struct nic n;

    start(&n, state);
    bring_up(&n, 3, 0);
    set_csr(&n, 5, 1);
    for (int i = 0; i < 4; i++)
        set_csr(&n, 8 + i, 0xFFFF);
    set_csr(&n, 5, 0);
    for (int i = 0; i < 3; i++) {
        wire_send(&n.wire, cases[i].to, 1, 60);
        assert_true(arrived(&n));
        assert_int_equal(qtest_readl(n.q, n.rx + 16 * i + 4) >> 16, 0x0300 | cases[i].bits);
        n.rx_next++;
    }
    finish(&n);
}

static void receives_into_chains(void **state)
{
    struct nic n;
    uint8_t frame[2048];

    start(&n, state);
    for (unsigned style = 0; style < 4; style++) {
        bring_up(&n, style, 0);
        set_csr(&n, 5, 1);
        for (unsigned i = 0; i < RING; i++)
            give(&n, place(&n, n.rx, i), n.rx_buffers + 100 * i, 100, OWN);
        set_csr(&n, 5, 0);
        for (int round = 0; round < 6; round++) {
            unsigned first = n.rx_next, last = (first + 2) % RING;

            wire_send(&n.wire, mac, round, 250);
            n.rx_next = last;
            assert_true(arrived(&n));
            assert_int_equal(status_of(&n, place(&n, n.rx, first)), STP);
            assert_int_equal(status_of(&n, place(&n, n.rx, (first + 1) % RING)), 0);
            assert_int_equal(status_of(&n, place(&n, n.rx, last)), ENP);
            assert_int_equal(result_of(&n, place(&n, n.rx, last)), 254);
            for (unsigned i = 0; i < 3; i++) {
                unsigned nth = (first + i) % RING;

                qtest_memread(n.q, n.rx_buffers + 100 * nth, frame + 100 * i, 100);
                give(&n, place(&n, n.rx, nth), n.rx_buffers + 100 * nth, 100, OWN);
            }
            check_frame(frame, 254, mac, round);
            n.rx_next = (last + 1) % RING;
        }
    }
    /* more than the whole ring holds: what fits, and that it did not */
    wire_send(&n.wire, mac, 9, 1000);
    unsigned last = (n.rx_next + RING - 1) % RING;
    n.rx_next = last;
    assert_true(arrived(&n));
    assert_int_equal(status_of(&n, place(&n, n.rx, last)), BAD | 0x14 | ENP);
    assert_int_equal(result_of(&n, place(&n, n.rx, last)), 800);
    finish(&n);
}

static void filters(void **state)
{
    static const uint8_t other[6] = {2, 1, 1, 1, 1, 1};
    static const struct {
        uint16_t mode;
        const uint8_t *to;
        bool hash, taken;
    } cases[] = {
        {0, mac, false, true},
        {0, everyone, false, true},
        {0, other, false, false},
        {0, group, false, false},
        {0, group, true, true},
        {MODE_PROM, other, false, true},
        {MODE_PROM, group, false, true},
        {MODE_DRCVPA, mac, false, false},
        {MODE_DRCVBC, everyone, false, false},
        {MODE_DRCVBC, everyone, true, true},
        {1, mac, false, false},
    };
    struct nic n;
    uint8_t frame[2048];

    start(&n, state);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned hash = ~wire_crc(cases[i].to, 6) >> 26;

        bring_up(&n, 2, cases[i].mode);
        set_csr(&n, 5, 1);
        set_csr(&n, 8 + hash / 16, cases[i].hash ? 1 << hash % 16 : 0);
        set_csr(&n, 5, 0);
        wire_send(&n.wire, cases[i].to, i, 64);
        if (cases[i].taken)
            assert_int_equal(take(&n, frame), 68);
        else
            nothing_arrives(&n);
    }
    finish(&n);
}

static void the_filling_is_stripped(void **state)
{
    struct nic n;
    uint8_t data[60] = {0}, frame[2048];

    start(&n, state);
    bring_up(&n, 2, 0);
    set_csr(&n, 4, 0x0D15); /* ASTRP_RCV */
    memcpy(data, mac, 6);
    data[13] = 10;
    wire_send_bytes(&n.wire, data, sizeof(data));
    assert_int_equal(take(&n, frame), 24);
    data[13] = 46;
    wire_send_bytes(&n.wire, data, sizeof(data));
    assert_int_equal(take(&n, frame), 64);
    data[12] = 8;
    data[13] = 0;
    wire_send_bytes(&n.wire, data, sizeof(data));
    assert_int_equal(take(&n, frame), 64);
    finish(&n);
}

/* None is lost while the driver has given no descriptors, and none waits once it has. */
static void a_receiver_without_descriptors_makes_the_wire_wait(void **state)
{
    struct nic n;
    uint8_t frame[2048];

    start(&n, state);
    bring_up(&n, 2, 0);
    for (int i = 0; i < RING + 9; i++)
        wire_send(&n.wire, mac, i, 100 + i);
    n.rx_next = RING - 1;
    assert_true(arrived(&n));
    qtest_barrier(n.q);
    assert_int_equal(csr(&n, 0) & CSR0_MISS, 0);
    assert_int_equal(csr(&n, 112), 0);
    n.rx_next = 0;
    for (int i = 0; i < RING; i++)
        assert_int_equal(take(&n, frame), 104 + i);
    /* Linux gives descriptors back without a word: some time, and it is seen */
    qtest_clock_step(n.q, 10000000);
    for (int i = RING; i < RING + 9; i++) {
        assert_int_equal(take(&n, frame), 104 + i);
        assert_int_equal(frame[50], i);
        qtest_clock_step(n.q, 10000000);
    }
    finish(&n);
}

static void an_acknowledgement_resumes_the_receiver(void **state)
{
    struct nic n;
    uint8_t frame[2048];

    start(&n, state);
    bring_up(&n, 0, 0);
    for (int i = 0; i < RING + 3; i++)
        wire_send(&n.wire, mac, i, 100);
    n.rx_next = RING - 1;
    assert_true(arrived(&n));
    qtest_barrier(n.q);
    n.rx_next = 0;
    for (int i = 0; i < RING; i++)
        take(&n, frame);
    set_csr(&n, 0, CSR0_IENA | CSR0_RINT); /* no time passes */
    for (int i = 0; i < 3; i++) {
        take(&n, frame);
        assert_int_equal(frame[50], RING + i);
    }
    finish(&n);
}

static void a_stop_lets_waiting_frames_go(void **state)
{
    struct nic n;
    uint8_t frame[2048];

    start(&n, state);
    bring_up(&n, 2, 0);
    for (int i = 0; i < RING + 9; i++)
        wire_send(&n.wire, mac, i, 100);
    n.rx_next = RING - 1;
    assert_true(arrived(&n));
    set_csr(&n, 0, CSR0_STOP);
    qtest_barrier(n.q);
    bring_up(&n, 2, 0);
    wire_send(&n.wire, mac, 0x99, 200);
    do
        take(&n, frame);
    while (frame[20] != 0x99);
    finish(&n);
}

static void suspended_it_keeps_everything(void **state)
{
    struct nic n;
    uint8_t frame[2048];

    start(&n, state);
    bring_up(&n, 2, 0);
    set_csr(&n, 5, 1);
    wire_send(&n.wire, mac, 5, 100);
    put(&n, 0, 60, OWN | STP | ENP);
    set_csr(&n, 0, CSR0_IENA | CSR0_TDMD);
    nothing_arrives(&n);
    assert_int_equal(wire_take(&n.wire, frame, 5), -1);
    set_csr(&n, 5, 0);
    assert_int_equal(wire_take(&n.wire, frame, FOREVER), 60);
    assert_int_equal(take(&n, frame), 104);
    finish(&n);
}

static void loopback_with_and_without_check_sequence(void **state)
{
    struct nic n;
    uint8_t data[104], frame[2048];
    uint32_t crc;

    start(&n, state);
    memset(data, 0x5A, sizeof(data));
    memcpy(data, mac, 6);
    crc = wire_crc(data, 100);
    for (unsigned style = 0; style < 4; style++) {
        bring_up(&n, style, MODE_LOOP | 0x40);
        transmit(&n, data, 100);
        assert_int_equal(take(&n, frame), 104);
        check_frame(frame, 104, mac, 0x5A);
        bring_up(&n, style, MODE_LOOP | 0x40 | MODE_DXMTFCS);
        transmit(&n, data, 100); /* its last four bytes are taken for one */
        assert_int_equal(status_of(&n, n.rx), BAD | 8 | STP | ENP);
        assert_int_equal(result_of(&n, n.rx), 100);
        n.rx_next = 1;
        memcpy(data + 100, &crc, 4);
        transmit(&n, data, 104);
        assert_int_equal(take(&n, frame), 104);
        memset(data + 100, 0x5A, 4);
    }
    set_csr(&n, 0, CSR0_IENA | CSR0_RINT);
    wire_send(&n.wire, mac, 1, 100); /* the wire is cut off meanwhile */
    nothing_arrives(&n);
    assert_int_equal(wire_take(&n.wire, frame, 5), -1);
    finish(&n);
}

static void frames_looped_back_can_be_missed(void **state)
{
    struct nic n;
    uint8_t data[100];

    start(&n, state);
    memset(data, 0x5A, sizeof(data));
    memcpy(data, mac, 6);
    bring_up(&n, 2, MODE_LOOP);
    for (int i = 0; i < RING + 3; i++)
        transmit(&n, data, 100);
    assert_int_equal(csr(&n, 112), 3);
    assert_int_equal(csr(&n, 0) & (CSR0_MISS | CSR0_ERR), CSR0_MISS | CSR0_ERR);
    set_csr(&n, 0, CSR0_IENA | CSR0_MISS);
    assert_int_equal(csr(&n, 0) & (CSR0_MISS | CSR0_ERR), 0);
    for (unsigned length = 1; length < 16; length++) { /* too short for anything */
        give_rx(&n, 0);
        transmit(&n, data, length);
    }
    finish(&n);
}

/* Linux's self-test: stopped, the mode set by hand, and started without another init block. */
static void loopback_set_by_hand(void **state)
{
    struct nic n;
    uint8_t data[75], frame[2048];

    start(&n, state);
    memset(data, 0x11, sizeof(data));
    memcpy(data, mac, 6);
    bring_up(&n, 2, 0);
    set_csr(&n, 0, CSR0_STOP);
    qtest_memwrite(n.q, n.tx_buffer, data, sizeof(data));
    for (int i = 0; i < 4; i++)
        put(&n, 0, sizeof(data), OWN | STP | ENP);
    set_csr(&n, 15, MODE_LOOP | 0x40);
    set_csr(&n, 0, CSR0_STRT);
    for (int i = 0; i < 4; i++)
        assert_int_equal(take(&n, frame), sizeof(data) + 4);
    finish(&n);
}

static void big_endian_buffers(void **state)
{
    struct nic n;
    uint8_t data[64], mixed[80], frame[2048];

    start(&n, state);
    bring_up(&n, 2, 0);
    set_csr(&n, 3, 4); /* BSWP */
    memcpy(data, mac, 6);
    for (unsigned i = 6; i < sizeof(data); i++)
        data[i] = i;
    for (unsigned from = 0; from < 4; from++) {
        memset(mixed, 0xEE, sizeof(mixed));
        for (unsigned i = 0; i < sizeof(data); i++)
            mixed[(from + i) ^ 3] = data[i];
        qtest_memwrite(n.q, n.tx_buffer, mixed, sizeof(mixed));
        put(&n, from, 61, OWN | STP | ENP);
        set_csr(&n, 0, CSR0_IENA | CSR0_TDMD);
        assert_int_equal(wire_take(&n.wire, frame, FOREVER), 61);
        assert_memory_equal(frame, data, 61);
        qtest_memset(n.q, n.rx_buffers + 2048 * from, 0xEE, 80);
        give(&n, place(&n, n.rx, from), n.rx_buffers + 2048 * from + from, RX_SIZE, OWN);
        wire_send_bytes(&n.wire, data, 61);
        assert_true(arrived(&n));
        qtest_memread(n.q, n.rx_buffers + 2048 * from, frame, 80);
        for (unsigned i = 0; i < 61; i++)
            assert_int_equal(frame[(from + i) ^ 3], data[i]);
        for (unsigned i = 0; i < from; i++)
            assert_int_equal(frame[i ^ 3], 0xEE);
        n.rx_next++;
    }
    finish(&n);
}

static void the_link_goes_down_and_up(void **state)
{
    struct nic n;
    uint8_t data[60] = {0}, frame[2048];
    uint64_t at;

    start(&n, state);
    bring_up(&n, 2, 0);
    assert_int_equal(bcr(&n, 4), 0x80C0);
    wire_set_link(n.q, "c", false);
    assert_int_equal(bcr(&n, 4), 0x00C0);
    at = transmit(&n, data, sizeof(data));
    assert_int_equal(status_of(&n, at), BAD | STP | ENP);
    assert_int_equal(result_of(&n, at), 0x08000000); /* LCAR */
    assert_int_equal(csr(&n, 0) & (0x2000 | CSR0_ERR | CSR0_TINT), 0x2000 | CSR0_ERR | CSR0_TINT);
    wire_set_link(n.q, "n", true);
    assert_int_equal(bcr(&n, 4), 0x80C0);
    transmit(&n, data, sizeof(data));
    assert_int_equal(wire_take(&n.wire, frame, FOREVER), 60);
    finish(&n);
}

static uint16_t mii(struct nic *n, unsigned phy, unsigned reg)
{
    set_bcr(n, 33, phy << 5 | reg);
    return bcr(n, 34);
}

static void the_phy(void **state)
{
    struct nic n;

    start_with(&n, state, ",revision=0x40");
    assert_int_equal(qpci_readb(&n.pci, 0x08), 0x40);
    assert_int_equal(csr(&n, 88), 0x5003);
    assert_int_equal(csr(&n, 89), 0x0262);
    for (unsigned phy = 0; phy < 32; phy++)
        if (phy != PHY)
            assert_int_equal(mii(&n, phy, 2), 0xFFFF);
    assert_int_equal(mii(&n, PHY, 2), 0x0000);
    assert_int_equal(mii(&n, PHY, 3), 0x6B60);
    assert_int_equal(mii(&n, PHY, 1), 0x782D);
    assert_int_equal(mii(&n, PHY, 5), 0x45E1);
    wire_set_link(n.q, "c", false);
    assert_int_equal(mii(&n, PHY, 1), 0x7809);
    set_bcr(&n, 33, PHY << 5 | 4);
    set_bcr(&n, 34, 0x0061);
    assert_int_equal(bcr(&n, 34), 0x0061);
    set_bcr(&n, 33, 7 << 5 | 4);
    set_bcr(&n, 34, 0x0001); /* nobody there */
    assert_int_equal(mii(&n, PHY, 4), 0x0061);
    finish(&n);
}

static void bad_packets_from_the_wire(void **state)
{
    struct nic n;
    uint8_t frame[2048];

    start(&n, state);
    bring_up(&n, 2, MODE_PROM);
    wire_send_limits(&n.wire, mac);
    assert_int_equal(take(&n, frame), 64);
    assert_int_equal(frame[13], 2);
    assert_int_equal(take(&n, frame), 1522);
    finish(&n);
}

/* ---- drivers that mean harm ---- */

static const uint32_t nowhere[] = {0x000B8000, 0xC0000000, 0xE0000000, 0xFEC00000, 0xFFFFFFF0};

static void init_blocks_that_are_no_memory(void **state)
{
    struct nic n;

    start(&n, state);
    for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
        set_csr(&n, 0, CSR0_STOP);
        set_bcr(&n, 20, i % 4);
        set_csr(&n, 1, nowhere[i]);
        set_csr(&n, 2, nowhere[i] >> 16);
        set_csr(&n, 0, CSR0_INIT | CSR0_STRT | CSR0_IENA);
        if (i)
            assert_int_equal(csr(&n, 0) & (CSR0_MERR | CSR0_ERR | CSR0_INTR | CSR0_IDON),
                             CSR0_MERR | CSR0_ERR | CSR0_INTR);
    }
    finish(&n);
}

static void rings_and_buffers_that_are_no_memory(void **state)
{
    struct nic n;
    uint8_t frame[2048];

    start(&n, state);
    for (size_t i = 1; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
        bring_up(&n, 1 + i % 3, 0);
        give(&n, n.tx, nowhere[i], 100, OWN | STP | ENP);
        set_csr(&n, 0, CSR0_IENA | CSR0_TDMD);
        assert_int_equal(csr(&n, 0) & (CSR0_MERR | CSR0_TXON | CSR0_RXON), CSR0_MERR);
        assert_int_equal(csr(&n, 5) & 0x0800, 0x0800);
        bring_up(&n, 1 + i % 3, 0);
        give(&n, n.rx, nowhere[i], 1600, OWN);
        wire_send(&n.wire, mac, 1, 100);
        assert_true(SOON(csr(&n, 0) & CSR0_MERR));
        bring_up(&n, 1 + i % 3, 0);
        set_csr(&n, 0, CSR0_STOP);
        for (int half = 0; half < 2; half++) {
            set_csr(&n, 24 + half, nowhere[i] >> 16 * half);
            set_csr(&n, 30 + half, nowhere[i] >> 16 * half);
        }
        set_csr(&n, 0, CSR0_STRT | CSR0_IENA | CSR0_TDMD);
        assert_int_equal(csr(&n, 0) & (CSR0_MERR | CSR0_TXON | CSR0_RXON), CSR0_MERR);
    }
    bring_up(&n, 2, 0);
    wire_send(&n.wire, mac, 1, 100);
    take(&n, frame);
    finish(&n);
}

/* A ring whose frames loop back over its own descriptors and so give them to the chip again. */
static void a_ring_that_never_ends_stops_nobody(void **state)
{
    struct nic n;
    uint8_t data[128];

    start(&n, state);
    bring_up(&n, 2, MODE_LOOP | MODE_PROM);
    set_csr(&n, 0, CSR0_STOP);
    memset(data, 0xFF, sizeof(data));
    qtest_memwrite(n.q, n.tx_buffer, data, sizeof(data));
    set_csr(&n, 78, 0xFFFF); /* one descriptor */
    set_csr(&n, 76, 0xFFFF);
    give(&n, n.tx, n.tx, 128, OWN | STP | ENP);
    give(&n, n.rx, n.tx, 128, OWN);
    set_csr(&n, 24, n.tx);
    set_csr(&n, 25, n.tx >> 16);
    set_csr(&n, 0, CSR0_STRT | CSR0_TDMD);
    csr(&n, 0);
    set_csr(&n, 0, CSR0_STOP);
    assert_int_equal(csr(&n, 0), CSR0_STOP);
    /* and long ones full of nothing, whose length wraps */
    set_csr(&n, 78, 0);
    set_csr(&n, 76, 1);
    set_csr(&n, 72, 0xFFFF);
    set_csr(&n, 0, CSR0_STRT | CSR0_TDMD);
    set_csr(&n, 0, CSR0_STOP);
    assert_int_equal(csr(&n, 0), CSR0_STOP);
    finish(&n);
}

static void tiny_receive_buffers(void **state)
{
    struct nic n;

    start(&n, state);
    bring_up(&n, 2, 0);
    set_csr(&n, 0, CSR0_STOP);
    set_csr(&n, 76, 1); /* 65535 descriptors of a byte each, all in one place of memory */
    for (unsigned i = 0; i < 128; i++)
        give(&n, n.rx + 16 * i, n.rx_buffers, 1, OWN);
    set_csr(&n, 0, CSR0_STRT);
    wire_send(&n.wire, mac, 1, 100);
    assert_true(SOON(csr(&n, 0) & CSR0_RINT));
    assert_int_equal(status_of(&n, n.rx), STP);
    assert_int_equal(status_of(&n, n.rx + 16 * 103), ENP);
    assert_int_equal(result_of(&n, n.rx + 16 * 103), 104);
    finish(&n);
}

static void hostile_registers(void **state)
{
    struct nic n;
    uint8_t frame[2048] = {0};

    start(&n, state);
    srand(7970);
    for (int round = 0; round < 4000; round++) {
        uint16_t value = rand();

        if (round % 50 == 0 && send(n.wire.fd, frame, round % 1500, MSG_DONTWAIT) < 0)
            continue;
        if (rand() % 2)
            set_csr(&n, rand() % 3 ? rand() % 128 : 0, rand() % 2 ? value : value & 15);
        else
            set_bcr(&n, rand() % 64, value);
        while (wire_take(&n.wire, frame, 0) >= 0)
            continue;
    }
    qtest_inw(n.q, n.io + 0x14);
    bring_up(&n, 2, 0);
    wire_send(&n.wire, mac, 0x42, 100);
    do
        take(&n, frame);
    while (frame[50] != 0x42);
    finish(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        qtest_unit_test(identity),
        qtest_unit_test(words_and_doublewords),
        qtest_unit_test(the_reset_port),
        qtest_unit_test(the_prom_is_written_when_it_may),
        qtest_unit_test(styles_of_software),
        qtest_unit_test(registers_are_locked_while_it_runs),
        qtest_unit_test(the_filter_is_set_between_init_and_start),
        qtest_unit_test(a_start_without_init_begins_the_rings_anew),
        qtest_unit_test(a_stop_takes_back_what_the_wire_has_no_room_for),
        qtest_unit_test(a_descriptor_that_changes_while_it_waits),
        qtest_unit_test(a_start_that_writes_stop_as_it_was_read),
        qtest_unit_test(the_identity_in_one_doubleword),
        qtest_unit_test(leds_tell_duplex_and_speed),
        qtest_unit_test(the_init_block),
        qtest_unit_test(interrupts_are_masked),
        qtest_unit_test(transmits_in_every_style),
        qtest_unit_test(transmits_chains),
        qtest_unit_test(transmits_from_everywhere_in_memory),
        qtest_unit_test(short_and_long_frames),
        qtest_unit_test(check_sequences_of_the_drivers_own),
        qtest_unit_test(transmit_interrupts_as_asked),
        qtest_unit_test(polls_for_drivers_that_do_not_demand),
        qtest_unit_test(starts_with_what_is_there),
        qtest_unit_test(receives_in_every_style),
        qtest_unit_test(says_how_the_address_matched),
        qtest_unit_test(receives_into_chains),
        qtest_unit_test(filters),
        qtest_unit_test(the_filling_is_stripped),
        qtest_unit_test(a_receiver_without_descriptors_makes_the_wire_wait),
        qtest_unit_test(an_acknowledgement_resumes_the_receiver),
        qtest_unit_test(a_stop_lets_waiting_frames_go),
        qtest_unit_test(suspended_it_keeps_everything),
        qtest_unit_test(loopback_with_and_without_check_sequence),
        qtest_unit_test(frames_looped_back_can_be_missed),
        qtest_unit_test(loopback_set_by_hand),
        qtest_unit_test(big_endian_buffers),
        qtest_unit_test(the_link_goes_down_and_up),
        qtest_unit_test(the_phy),
        qtest_unit_test(bad_packets_from_the_wire),
        qtest_unit_test(init_blocks_that_are_no_memory),
        qtest_unit_test(rings_and_buffers_that_are_no_memory),
        qtest_unit_test(a_ring_that_never_ends_stops_nobody),
        qtest_unit_test(tiny_receive_buffers),
        qtest_unit_test(hostile_registers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
