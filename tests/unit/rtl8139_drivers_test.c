/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RTL8139 as drivers of other systems than Linux use it: how they find the chip, start it, send and receive,
 * and start it again. What each does was read in its source; the names of the tests say whose it is.
 */
#include "tests/lib/packet.h"
#include "tests/unit/rtl8139_card.h"

enum { FOREVER = 60000, LENGTH = 1514 };

struct driver {
    void (*attach)(struct nic *n);
    void (*begin)(struct nic *n); /* up; also a second time, after traffic */
    /* Serves an interrupt, calling `drain` where it receives, and returns what it was told of. */
    uint16_t (*interrupt)(struct nic *n, void (*drain)(struct nic *n));
    unsigned ring;         /* bytes */
    bool runs_on;          /* RCR.WRAP */
    uint32_t threshold;    /* in TSD */
    uint8_t tx_ok;         /* the cause that tells of sent frames */
    bool polls, addresses; /* no interrupts; TSAD is set once */
};

static unsigned next_mark; /* of the frame that is received next */

static void drain(struct nic *n)
{
    uint8_t frame[2048];
    uint16_t status;

    while (!(reg_read(n, CR, 1) & CR_BUFE)) {
        assert_int_equal(take(n, &status, frame), LENGTH + 4);
        assert_int_equal(status & 0x403F, 0x4001); /* for us, and good */
        assert_int_equal(frame[1000], (uint8_t)next_mark++);
    }
}

static bool line_is_up(struct nic *n)
{
    return qpci_readw(&n->pci, 0x06) & 8;
}

static void exchange(struct nic *n, const struct driver *d)
{
    uint8_t data[100], frame[2048];

    n->reader = 0;
    for (unsigned i = 0, frames = d->ring / LENGTH + 3; i < frames; i++) {
        unsigned slot = i % 4;

        memset(data, i, sizeof(data));
        qtest_memwrite(n->q, n->tx + 256 * slot, data, sizeof(data));
        if (!d->addresses)
            reg_write(n, TSAD0 + 4 * slot, 4, n->tx + 256 * slot);
        reg_write(n, TSD0 + 4 * slot, 4, d->threshold | sizeof(data));
        assert_int_equal(wire_take(&n->wire, frame, FOREVER), sizeof(data));
        assert_memory_equal(frame, data, sizeof(data));
        assert_int_equal(line_is_up(n), !d->polls);
        assert_true(d->interrupt(n, drain) & INT_TOK);
        assert_int_equal(reg_read(n, TSD0 + 4 * slot, 4), d->threshold | TSD_OWN | TSD_TOK | sizeof(data));
        next_mark = i;
        wire_send(&n->wire, mac, i, LENGTH);
        assert_true(SOON(d->polls ? !(reg_read(n, CR, 1) & CR_BUFE) : line_is_up(n)));
        assert_true(d->interrupt(n, drain) & INT_ROK);
        assert_int_equal(next_mark, i + 1);
        assert_false(line_is_up(n));
    }
}

static void drive(struct nic *n, void **state, const struct driver *d)
{
    start(n, state);
    n->size = d->ring;
    n->runs_on = d->runs_on;
    d->attach(n);
    for (int i = 0; i < 2; i++) {
        d->begin(n);
        exchange(n, d);
    }
    finish(n);
}

/* ---- what several do ---- */

static void reset_chip(struct nic *n)
{
    reg_write(n, CR, 1, CR_RST);
    assert_int_equal(reg_read(n, CR, 1) & CR_RST, 0);
}

static void stop_chip(struct nic *n)
{
    reg_write(n, CR, 1, 0);
    reg_write(n, IMR, 2, 0);
    assert_int_equal(reg_read(n, CR, 1) & (CR_TE | CR_RE), 0);
}

static void check_address(struct nic *n)
{
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(reg_read(n, IDR0 + i, 1), mac[i]);
    assert_int_equal(reg_read(n, IDR0, 4), 0x12005452);
    assert_int_equal(reg_read(n, IDR0 + 4, 4) & 0xFFFF, 0x5634);
}

/* With the registers unlocked, which the chip does not ask for. */
static void write_address(struct nic *n)
{
    reg_write(n, EECR, 1, 0xC0);
    reg_write(n, IDR0, 4, 0x12005452);
    reg_write(n, IDR0 + 4, 4, 0x5634);
    reg_write(n, EECR, 1, 0);
}

/* The PHY's registers, without an identity; reset, then negotiated. */
static void check_phy(struct nic *n)
{
    reg_write(n, BMCR, 2, 0x8000);
    assert_int_equal(reg_read(n, BMCR, 2) & 0x8000, 0);
    reg_write(n, ANAR, 2, 0x01E1);
    reg_write(n, BMCR, 2, 0x1200);
    assert_int_equal(reg_read(n, BMSR, 2) & 0x7824, 0x7824);
    assert_int_equal(reg_read(n, ANAR, 2) & reg_read(n, ANLPAR, 2) & 0x0100, 0x0100);
    assert_int_equal(reg_read(n, MSR, 1) & 0x0C, 0); /* a link, and not of 10 Mbit/s */
}

static void set_bits(struct nic *n, uint8_t bits)
{
    reg_write(n, EECR, 1, reg_read(n, EECR, 1) | bits);
}

static void clear_bits(struct nic *n, uint8_t bits)
{
    reg_write(n, EECR, 1, reg_read(n, EECR, 1) & ~bits);
}

/*
 * A word of the EEPROM as the BSDs read it: with leading zeros before the start bit, and for chips of 6 or 8
 * bits of address.
 */
static uint16_t eeprom_word(struct nic *n, unsigned address, unsigned width)
{
    unsigned command = 6 << width | address;
    uint16_t word = 0;

    reg_write(n, EECR, 1, 0x88);
    for (unsigned bit = 1u << (width + 4); bit; bit >>= 1) {
        (command & bit ? set_bits : clear_bits)(n, 2);
        set_bits(n, 4);
        clear_bits(n, 4);
    }
    for (int i = 0; i < 16; i++) {
        set_bits(n, 4);
        word = word << 1 | (reg_read(n, EECR, 1) & 1);
        clear_bits(n, 4);
    }
    reg_write(n, EECR, 1, 0);
    return word;
}

/* The smaller chip: one of 8 bits of address would answer otherwise. */
static void check_eeprom(struct nic *n)
{
    assert_int_not_equal(eeprom_word(n, 0, 8), 0x8129);
    assert_int_equal(eeprom_word(n, 0, 6), 0x8129);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(eeprom_word(n, 7 + i, 6), mac[2 * i] | mac[2 * i + 1] << 8);
    assert_int_equal(eeprom_word(n, 2, 6), 0x8139);
}

/* Off, all read and written back until there is no more, on. */
static uint16_t bsd_interrupt(struct nic *n, void (*receive)(struct nic *n))
{
    uint16_t status, all = 0;

    reg_write(n, IMR, 2, 0);
    while ((status = reg_read(n, ISR, 2))) {
        reg_write(n, ISR, 2, status);
        assert_int_equal(status & (INT_RER | INT_TER | INT_RXOVW | INT_SERR), 0);
        if (status & INT_ROK)
            receive(n);
        all |= status;
    }
    reg_write(n, IMR, 2, 0xC07F);
    return all;
}

/* The same with the interrupt on all the time. */
static uint16_t plain_interrupt(struct nic *n, void (*receive)(struct nic *n))
{
    uint16_t status, all = 0;

    while ((status = reg_read(n, ISR, 2))) {
        reg_write(n, ISR, 2, status);
        if (status & INT_ROK)
            receive(n);
        all |= status;
    }
    return all;
}

/* ---- rl of FreeBSD, Haiku and OpenBSD, rtk of NetBSD ---- */

static void rl_attach(struct nic *n)
{
    assert_int_equal(qpci_readb(&n->pci, 0x08), 0x10); /* 0x20 is re's */
    check_eeprom(n);
    reset_chip(n);
    check_phy(n);
    assert_int_equal(reg_read(n, TCR, 4) & 0x7CC00000, 0x74000000);
    reg_write(n, EECR, 1, 0xC0);
    reg_write(n, CONFIG3, 1, reg_read(n, CONFIG3, 1) & ~0x30);
    reg_write(n, EECR, 1, 0);
    reg_write(n, CONFIG5, 1, reg_read(n, CONFIG5, 1) & ~0x72);
}

static void rl_begin(struct nic *n)
{
    stop_chip(n);
    for (int i = 0; i < 4; i++)
        reg_write(n, TSAD0 + 4 * i, 4, 0);
    reset_chip(n);
    write_address(n);
    reg_write(n, RBSTART, 4, n->ring);
    for (int i = 0; i < 4; i++)
        reg_write(n, TSAD0 + 4 * i, 4, 0);
    reg_write(n, CR, 1, CR_TE | CR_RE);
    reg_write(n, TCR, 4, 0x03000600);
    reg_write(n, RCR, 4, 0x0000FE00 | 3 << 11);
    reg_write(n, RCR, 4, (reg_read(n, RCR, 4) & ~0x0F) | RCR_APM | RCR_AB);
    reg_write(n, MAR0, 4, 0);
    reg_write(n, MAR0 + 4, 4, 0);
    reg_write(n, IMR, 2, 0xC07F);
    reg_write(n, MPC, 4, 0);
    reg_write(n, CR, 1, CR_TE | CR_RE);
    reg_write(n, BMCR, 2, 0x1200);
    reg_write(n, CONFIG1, 1, 0x60);
}

static void rl_of_freebsd(void **state)
{
    static const struct driver d = {rl_attach, rl_begin, bsd_interrupt, .ring = 65536,
                                    .threshold = 0x00030000};
    struct nic n;

    drive(&n, state, &d);
}

/* ---- rtls of illumos ---- */

static void rtls_attach(struct nic *n)
{
    n->by_memory = true;
    check_address(n);
    check_phy(n);
}

static void rtls_begin(struct nic *n)
{
    reg_write(n, CR, 1, reg_read(n, CR, 1) & ~(CR_TE | CR_RE));
    reg_write(n, IMR, 2, reg_read(n, IMR, 2) & ~0xC07F);
    reg_write(n, ISR, 2, reg_read(n, ISR, 2));
    reg_write(n, CR, 1, reg_read(n, CR, 1) | CR_RST);
    assert_int_equal(reg_read(n, CR, 1) & CR_RST, 0);
    reg_write(n, RBSTART, 4, n->ring);
    for (int i = 0; i < 4; i++)
        reg_write(n, TSAD0 + 4 * i, 4, n->tx + 256 * i);
    reg_write(n, CR, 1, reg_read(n, CR, 1) | CR_TE | CR_RE);
    reg_write(n, TCR, 4, (reg_read(n, TCR, 4) & 0x7CC00000) | 0x03000600);
    reg_write(n, RCR, 4, (reg_read(n, RCR, 4) & 0xF0FC0040) | 0x0000F70E | 3 << 11);
    write_address(n);
    reg_write(n, CAPR, 2, 0xFFF0);
    reg_write(n, MULINT, 2, reg_read(n, MULINT, 2) & ~0x0FFF);
    reg_write(n, CR, 1, reg_read(n, CR, 1) | CR_TE | CR_RE);
    reg_write(n, IMR, 2, reg_read(n, IMR, 2) | 0xC07F);
}

static void rtls_of_illumos(void **state)
{
    static const struct driver d = {rtls_attach,   rtls_begin,           plain_interrupt,
                                    .ring = 65536, .threshold = 0x10000, .addresses = true};
    struct nic n;

    drive(&n, state, &d);
}

/* ---- ReactOS ---- */

static void reactos_attach(struct nic *n)
{
    reg_write(n, CONFIG1, 1, 0);
}

static void reactos_begin(struct nic *n)
{
    reset_chip(n);
    check_address(n);
    assert_int_equal(reg_read(n, MSR, 1) & 0x0C, 0);
    reg_write(n, RBSTART, 4, n->ring);
    reg_write(n, IMR, 2, 0xC07F);
    reg_write(n, CR, 1, CR_TE | CR_RE);
    reg_write(n, RCR, 4, 0x0800B780);
    reg_write(n, TCR, 4, 0x700);
    reg_write(n, RCR, 4, 0x0800B780 | RCR_APM | RCR_AB);
}

/* Acknowledged at once, what there is is received later, until the ring is empty. */
static uint16_t reactos_interrupt(struct nic *n, void (*receive)(struct nic *n))
{
    uint16_t status = reg_read(n, ISR, 2) & 0xC07F;

    reg_write(n, ISR, 2, status);
    if (status & INT_ROK)
        receive(n);
    return status;
}

static void rtl8139_of_reactos(void **state)
{
    static const struct driver d = {reactos_attach, reactos_begin, reactos_interrupt, .ring = 32768,
                                    .runs_on = true};
    struct nic n;

    drive(&n, state, &d);
}

/* The cause of a changed link is that of an underrun, told apart by a register that is read as a doubleword.
 */
static void a_changed_link_for_reactos(void **state)
{
    struct nic n;

    start(&n, state);
    reactos_attach(&n);
    reactos_begin(&n);
    wire_set_link(n.q, "c", false);
    assert_true(line_is_up(&n));
    assert_int_equal(reg_read(&n, ISR, 2), INT_LINKCHG);
    assert_true(reg_read(&n, CSCR, 4) & 0x0800);
    assert_int_equal(reg_read(&n, MSR, 1) & 4, 4);
    finish(&n);
}

/* ---- Minix ---- */

static void minix_begin(struct nic *n)
{
    reset_chip(n);
    assert_int_equal(reg_read(n, TCR, 4) & 0x7CC00000, 0x74000000);
    reg_write(n, RBSTART, 4, n->ring);
    for (int i = 0; i < 4; i++) {
        reg_write(n, TSAD0 + 4 * i, 4, n->tx + 256 * i);
        assert_true(reg_read(n, TSD0 + 4 * i, 4) & TSD_OWN);
    }
    reg_write(n, IMR, 2, reg_read(n, IMR, 2) | 0xE000);
    reg_write(n, IMR, 2, reg_read(n, IMR, 2) | 0x0073);
    reg_write(n, IMR, 2, reg_read(n, IMR, 2) | 0x000C);
    reg_write(n, CR, 1, reg_read(n, CR, 1) | CR_RE);
    reg_write(n, CR, 1, reg_read(n, CR, 1) | CR_TE);
    reg_write(n, RCR, 4, 3 << 11);
    reg_write(n, TCR, 4, reg_read(n, TCR, 4) | 0x03000000);
    check_address(n);
    reg_write(n, RCR, 4, (reg_read(n, RCR, 4) & ~0x0F) | RCR_APM | RCR_AB);
}

static uint16_t minix_interrupt(struct nic *n, void (*receive)(struct nic *n))
{
    uint16_t status = reg_read(n, ISR, 2);

    reg_write(n, ISR, 2, status);
    assert_int_equal(reg_read(n, TSAD, 2) & 0x0FF0, 0); /* no abort, no underrun */
    if (status & INT_ROK) {
        assert_int_not_equal(reg_read(n, CAPR, 2), (uint16_t)(reg_read(n, CBR, 2) - 16));
        receive(n);
    }
    return status;
}

static void rtl8139_of_minix(void **state)
{
    static const struct driver d = {reset_chip,    minix_begin,          minix_interrupt,
                                    .ring = 65536, .threshold = 0x80000, .addresses = true};
    struct nic n;

    drive(&n, state, &d);
}

/* ---- HelenOS ---- */

static void helenos_begin(struct nic *n)
{
    reset_chip(n);
    reg_write(n, CONFIG1, 1, 0);
    for (int i = 0; i < 4; i++)
        reg_write(n, TSAD0 + 4 * i, 4, n->tx + 256 * i);
    reg_write(n, RBSTART, 4, n->ring);
    reg_write(n, CR, 1, reg_read(n, CR, 1) | CR_TE | CR_RE);
    reg_write(n, RCR, 4, 0x0000E700 | 3 << 11 | RCR_APM | RCR_AB);
    reg_write(n, IMR, 2, 0xC07F);
    /* its way out of a receiver's error: a doubleword over the reader's and the chip's place */
    reg_write(n, CR, 1, CR_TE);
    reg_write(n, CAPR, 4, 0);
    reg_write(n, RBSTART, 4, n->ring);
    reg_write(n, CR, 1, CR_TE | CR_RE);
}

static uint16_t helenos_interrupt(struct nic *n, void (*receive)(struct nic *n))
{
    uint16_t status = reg_read(n, ISR, 2);

    reg_write(n, ISR, 2, status);
    if (status & INT_ROK) {
        assert_int_equal(reg_read(n, CR, 2) & CR_BUFE, 0); /* two bytes of which one is another register's */
        receive(n);
    }
    return status;
}

static void rtl8139_of_helenos(void **state)
{
    static const struct driver d = {check_address, helenos_begin, helenos_interrupt, .ring = 65536,
                                    .addresses = true};
    struct nic n;

    drive(&n, state, &d);
}

/* First the size, with the descriptor still the driver's, then the descriptor. */
static void a_descriptor_in_two_steps_of_helenos(void **state)
{
    uint8_t frame[2048];
    struct nic n;

    start(&n, state);
    helenos_begin(&n);
    reg_write(&n, TSD0, 4, (reg_read(&n, TSD0, 4) & ~0x1FFF) | 60);
    assert_int_equal(wire_take(&n.wire, frame, 5), -1);
    reg_write(&n, TSD0, 4, reg_read(&n, TSD0, 4) & ~TSD_OWN);
    assert_int_equal(wire_take(&n.wire, frame, FOREVER), 60);
    finish(&n);
}

/* ---- Redox ---- */

static void redox_attach(struct nic *n)
{
    n->by_memory = true;
    check_address(n);
}

static void redox_begin(struct nic *n)
{
    reg_write(n, CR, 1, reg_read(n, CR, 1) | CR_RST);
    assert_int_equal(reg_read(n, CR, 1) & CR_RST, 0);
    reg_write(n, RBSTART, 4, n->ring);
    reg_write(n, IMR, 2, INT_ROK | INT_TOK);
    reg_write(n, RCR, 4, 3 << 11 | RCR_AB | RCR_AM | RCR_APM | RCR_AAP); /* before the receiver is on */
    reg_write(n, CR, 1, reg_read(n, CR, 1) | CR_TE | CR_RE);
    assert_true(reg_read(n, TSD0, 4) & TSD_OWN);
}

static void rtl8139_of_redox(void **state)
{
    static const struct driver d = {redox_attach, redox_begin, plain_interrupt, .ring = 65536};
    struct nic n;

    drive(&n, state, &d);
}

/* ---- Plan 9 and 9front ---- */

static void plan9_attach(struct nic *n)
{
    reset_chip(n);
    check_address(n);
    assert_int_equal(reg_read(n, MSR, 1) & 0x0C, 0);
}

/* Without a reset, the ring named before the receiver is on. */
static void plan9_begin(struct nic *n)
{
    reg_write(n, CR, 1, 0);
    reg_write(n, IMR, 2, 0);
    reg_write(n, ISR, 2, 0xFFFF);
    reg_write(n, IDR0, 4, 0x12005452);
    reg_write(n, IDR0 + 4, 4, 0x5634);
    reg_write(n, RBSTART, 4, n->ring);
    reg_write(n, TIMER_INT, 4, 0);
    reg_write(n, IMR, 2, 0xC07F);
    reg_write(n, MPC, 4, 0);
    reg_write(n, CR, 1, CR_TE | CR_RE);
    reg_write(n, TCR, 4, 0x700);
    reg_write(n, RCR, 4, 0x00008700 | 1 << 11 | RCR_AB | RCR_AM | RCR_APM);
    reg_write(n, MAR0, 4, 0);
    reg_write(n, MAR0 + 4, 4, 0);
}

static void ether8139_of_plan9(void **state)
{
    static const struct driver d = {plan9_attach, plan9_begin, plain_interrupt, .ring = 16384,
                                    .threshold = 0x40000};
    struct nic n;

    drive(&n, state, &d);
}

/* ---- U-Boot: it polls ---- */

static void uboot_attach(struct nic *n)
{
    n->by_memory = true;
    reg_write(n, CONFIG1, 1, 0);
    check_eeprom(n);
}

static void uboot_begin(struct nic *n)
{
    reset_chip(n);
    for (int i = 0; i < 6; i++)
        reg_write(n, IDR0 + i, 1, mac[i]);
    reg_write(n, CR, 1, CR_TE | CR_RE);
    reg_write(n, RCR, 4, 0x0000C600);
    reg_write(n, TCR, 4, 0x03000600);
    reg_write(n, RBSTART, 4, n->ring); /* with the receiver on */
    reg_write(n, CR, 1, CR_TE | CR_RE);
    reg_write(n, RCR, 4, 0x0000C600);
    reg_write(n, MPC, 4, 0);
    reg_write(n, RCR, 4, 0x0000C600 | RCR_AB | RCR_AM | RCR_APM);
    reg_write(n, MAR0, 4, 0xFFFFFFFF);
    reg_write(n, MAR0 + 4, 4, 0xFFFFFFFF);
    reg_write(n, IMR, 2, 0);
}

/* What tells of frames is cleared behind them. */
static uint16_t uboot_poll(struct nic *n, void (*receive)(struct nic *n))
{
    uint16_t status = reg_read(n, ISR, 2);

    reg_write(n, ISR, 2, status & (INT_TOK | INT_TER | INT_SERR));
    receive(n);
    reg_write(n, ISR, 2, status & INT_ROK);
    return status;
}

static void rtl8139_of_uboot(void **state)
{
    static const struct driver d = {uboot_attach, uboot_begin,          uboot_poll,
                                    .ring = 8192, .threshold = 0x80000, .polls = true};
    struct nic n;

    drive(&n, state, &d);
}

/* ---- re of FreeBSD, NetBSD and OpenBSD: C+ ---- */

enum { DESCRIPTORS = 64, BUFFER = 2048, RE_INTERRUPTS = 0xC0BB };

struct re {
    struct nic n;
    uint64_t rx, tx, rx_buffers, tx_buffer;
    unsigned rx_next, tx_next;
};

static uint32_t end_of_ring(unsigned nth)
{
    return nth == DESCRIPTORS - 1 ? DESC_EOR : 0;
}

static void re_attach(struct re *re, void **state)
{
    struct nic *n = &re->n;

    start_revision(n, state, "0x20");
    assert_int_equal(reg_read(n, TCR, 4) & 0x7CC00000, 0x74800000);
    reset_chip(n);
    check_eeprom(n);
    check_address(n);
    check_phy(n);
    assert_int_equal(reg_read(n, BMCR, 2) & 0x4400, 0);
    re->rx = qtest_alloc(n->q, 16 * DESCRIPTORS, 256);
    re->tx = qtest_alloc(n->q, 16 * DESCRIPTORS, 256);
    re->rx_buffers = qtest_alloc(n->q, BUFFER * DESCRIPTORS, 4096);
    re->tx_buffer = qtest_alloc(n->q, 4096, 4096);
}

static void re_give(struct re *re, unsigned nth)
{
    descriptor(&re->n, re->rx + 16 * nth, DESC_OWN | end_of_ring(nth) | (BUFFER - 8), 0,
               re->rx_buffers + BUFFER * nth);
}

static void re_begin(struct re *re, uint32_t tcr, uint16_t imr)
{
    struct nic *n = &re->n;

    reg_write(n, RCR, 4, reg_read(n, RCR, 4) & ~0x0F);
    stop_chip(n);
    reg_write(n, ISR, 2, 0xFFFF);
    reset_chip(n);
    re->rx_next = re->tx_next = 0;
    for (unsigned i = 0; i < DESCRIPTORS; i++) {
        re_give(re, i);
        descriptor(n, re->tx + 16 * i, end_of_ring(i), 0, 0);
    }
    reg_write(n, CPCR, 2, 0x006B);
    write_address(n);
    reg_write(n, RDSAR + 4, 4, re->rx >> 32);
    reg_write(n, RDSAR, 4, re->rx);
    reg_write(n, TSAD0 + 4, 4, re->tx >> 32);
    reg_write(n, TSAD0, 4, re->tx);
    reg_write(n, CR, 1, CR_TE | CR_RE);
    reg_write(n, TCR, 4, 0x03000600 | tcr);
    reg_write(n, 0xEC, 1, 16);
    reg_write(n, RCR, 4, 0x0000E70A | (tcr ? RCR_AAP : 0));
    reg_write(n, IMR, 2, imr);
    reg_write(n, ISR, 2, imr);
    reg_write(n, MPC, 4, 0);
    reg_write(n, TIMER_INT, 4, 0x400);
    reg_write(n, CONFIG1, 1, reg_read(n, CONFIG1, 1) | 0x20);
}

/* In two pieces, the first given last. Returns where the last descriptor is. */
static uint64_t re_send(struct re *re, const uint8_t *data, unsigned length, uint32_t offloads)
{
    unsigned first = re->tx_next, second = (first + 1) % DESCRIPTORS;
    uint64_t at = re->tx + 16 * first, last = re->tx + 16 * second;

    qtest_memwrite(re->n.q, re->tx_buffer, data, length);
    descriptor(&re->n, at, offloads | end_of_ring(first) | 40, 0, re->tx_buffer);
    descriptor(&re->n, last, DESC_OWN | DESC_LS | offloads | end_of_ring(second) | (length - 40), 0,
               re->tx_buffer + 40);
    qtest_writel(re->n.q, at, DESC_OWN | DESC_FS | offloads | end_of_ring(first) | 40);
    reg_write(&re->n, TPPOLL, 1, 0x40);
    re->tx_next = (second + 1) % DESCRIPTORS;
    return last;
}

static unsigned re_take(struct re *re, uint8_t frame[BUFFER])
{
    uint64_t at = re->rx + 16 * re->rx_next;
    uint32_t status;

    assert_true(SOON(!(qtest_readl(re->n.q, at) & DESC_OWN)));
    status = qtest_readl(re->n.q, at);
    assert_int_equal(status & (DESC_FS | DESC_LS | 0x00FC0000), DESC_FS | DESC_LS); /* whole, and no error */
    assert_int_equal(status & DESC_EOR, end_of_ring(re->rx_next));
    qtest_memread(re->n.q, re->rx_buffers + BUFFER * re->rx_next, frame, status & 0x1FFF);
    re_give(re, re->rx_next);
    re->rx_next = (re->rx_next + 1) % DESCRIPTORS;
    return status & 0x1FFF;
}

static uint16_t re_interrupt(struct re *re)
{
    uint16_t status;

    assert_true(line_is_up(&re->n));
    status = reg_read(&re->n, ISR, 2);
    reg_write(&re->n, ISR, 2, status);
    assert_int_equal(status & (INT_RER | INT_TER | INT_RXOVW | INT_SERR), 0);
    return status;
}

static void re_exchange(struct re *re)
{
    uint8_t data[400], frame[BUFFER];
    size_t length = packet_make(data, mac, 4, PACKET_TCP, 300);

    for (unsigned i = 0; i < DESCRIPTORS + 1; i++) {
        uint64_t last = re_send(re, data, length, 0x00050000); /* IP and TCP checksums */

        assert_int_equal(wire_take(&re->n.wire, frame, FOREVER), length);
        packet_check(frame);
        assert_true(re_interrupt(re) & INT_TDU);
        assert_int_equal(qtest_readl(re->n.q, last) & 0x809F0000, 0); /* neither error nor collision */
        wire_send_bytes(&re->n.wire, frame, length);
        assert_true(SOON(line_is_up(&re->n)));
        assert_true(re_interrupt(re) & INT_ROK);
        assert_int_equal(re_take(re, frame), length + 4);
    }
}

static void re_of_freebsd(void **state)
{
    struct re re;

    re_attach(&re, state);
    for (int i = 0; i < 2; i++) {
        re_begin(&re, 0, RE_INTERRUPTS | INT_TOK);
        re_exchange(&re);
    }
    finish(&re.n);
}

/* Sent frames are told of by the timer, which each one restarts. */
static void re_of_netbsd(void **state)
{
    struct re re;
    uint8_t data[60] = {0}, frame[BUFFER];

    re_attach(&re, state);
    re_begin(&re, 0, 0x4000 | INT_ROK | INT_RER | INT_TER);
    re_send(&re, data, sizeof(data), 0);
    reg_write(&re.n, TCTR, 4, 1);
    assert_int_equal(wire_take(&re.n.wire, frame, FOREVER), sizeof(data));
    assert_false(line_is_up(&re.n));
    qtest_clock_step(re.n.q, 0x400 * 30);
    assert_true(re_interrupt(&re) & INT_TIMEOUT);
    finish(&re.n);
}

/* Its test for cards that cannot address all memory: a frame for somebody else comes back by loopback. */
static void re_diagnoses(void **state)
{
    struct re re;
    uint8_t data[60] = {0, 'h', 'e', 'l', 'l', 'o', 0, 'w', 'o', 'r', 'l', 'd', 8, 0}, frame[BUFFER];

    re_attach(&re, state);
    re_begin(&re, 0x60000, 0);
    reg_write(&re.n, BMCR, 2, 0x8000);
    assert_int_equal(reg_read(&re.n, BMCR, 2) & 0x8000, 0);
    reg_write(&re.n, BMCR, 2, 0x4000);
    reg_write(&re.n, ISR, 2, 0xFFFF);
    re_send(&re, data, sizeof(data), 0);
    reg_write(&re.n, TCTR, 4, 1);
    qtest_clock_step(re.n.q, 100000000);
    assert_int_equal(reg_read(&re.n, ISR, 2) & (INT_TIMEOUT | INT_ROK), INT_TIMEOUT | INT_ROK);
    assert_int_equal(re_take(&re, frame), 64);
    assert_memory_equal(frame, data, sizeof(data));
    re_begin(&re, 0, RE_INTERRUPTS);
    re_exchange(&re);
    finish(&re.n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        qtest_unit_test(rl_of_freebsd),
        qtest_unit_test(rtls_of_illumos),
        qtest_unit_test(rtl8139_of_reactos),
        qtest_unit_test(a_changed_link_for_reactos),
        qtest_unit_test(rtl8139_of_minix),
        qtest_unit_test(rtl8139_of_helenos),
        qtest_unit_test(a_descriptor_in_two_steps_of_helenos),
        qtest_unit_test(rtl8139_of_redox),
        qtest_unit_test(ether8139_of_plan9),
        qtest_unit_test(rtl8139_of_uboot),
        qtest_unit_test(re_of_freebsd),
        qtest_unit_test(re_of_netbsd),
        qtest_unit_test(re_diagnoses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
