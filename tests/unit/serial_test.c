/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 16550A: registers, FIFO, interrupts, loopback, and what passes to and from a character device. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/lib/cmocka.h"
#include "tests/lib/qtest.h"
#include "tests/lib/wait.h"

#define BASE 0x3F8
#define MS   1000000ll

enum {
    DATA = 0,
    IER = 1,
    IIR = 2,
    FCR = 2,
    LCR = 3,
    MCR = 4,
    LSR = 5,
    MSR = 6,
    SCR = 7,
    OUT2 = 8,
    LOOP = 0x10,
    DLAB = 0x80,
    COM1_IRQ = 4,
};

static uint8_t rd(struct qtest *q, unsigned reg)
{
    return qtest_inb(q, BASE + reg);
}

static void wr(struct qtest *q, unsigned reg, uint8_t value)
{
    qtest_outb(q, BASE + reg, value);
}

static struct qtest *start(void **state)
{
    struct qtest *q = *state =
        qtest_start("-nodefaults -vga none -chardev null,id=c -device isa-serial,chardev=c");

    qtest_irq_intercept_in(q, "ioapic");
    return q;
}

static struct qtest *start_ours(void **state)
{
    struct qtest *q = start(state);

    if (qtest_is_qemu(q))
        skip();
    return q;
}

/* Loopback through the IRQ gate: OUT2 does not reach it, so interrupts are looked at in IIR. */
static void loop(struct qtest *q, uint8_t fcr)
{
    wr(q, LCR, 3);
    wr(q, FCR, fcr);
    wr(q, MCR, LOOP);
}

static void registers_after_reset(void **state)
{
    struct qtest *q = start(state);

    assert_int_equal(rd(q, IER), 0);
    assert_int_equal(rd(q, IIR), 1);
    assert_int_equal(rd(q, LCR), 0);
    assert_int_equal(rd(q, LSR), 0x60);
    assert_int_equal(rd(q, MSR) & 0xF0, 0xB0);
}

/* What drivers and hvmloader look at to find a UART. */
static void detection(void **state)
{
    struct qtest *q = start(state);

    wr(q, IER, 0);
    assert_int_equal(rd(q, IER), 0);
    wr(q, IER, 0x0F);
    assert_int_equal(rd(q, IER), 0x0F);
    wr(q, IER, 0xFF);
    assert_int_equal(rd(q, IER), 0x0F);
    wr(q, IER, 0);
    for (unsigned value = 0; value < 256; value += 17) {
        wr(q, SCR, value);
        assert_int_equal(rd(q, SCR), value);
    }
    assert_int_equal(rd(q, IIR) & 0xC0, 0);
    wr(q, FCR, 1);
    assert_int_equal(rd(q, IIR) & 0xC0, 0xC0);
    wr(q, FCR, 0);
    assert_int_equal(rd(q, IIR) & 0xC0, 0);
}

static void divisor_latch(void **state)
{
    struct qtest *q = start(state);

    wr(q, LCR, DLAB);
    wr(q, DATA, 0x34);
    wr(q, IER, 0x12);
    assert_int_equal(rd(q, DATA), 0x34);
    assert_int_equal(rd(q, IER), 0x12);
    wr(q, LCR, 3);
    assert_int_equal(rd(q, IER), 0);
    wr(q, IER, 5);
    wr(q, LCR, DLAB | 3);
    assert_int_equal(rd(q, DATA), 0x34);
    assert_int_equal(rd(q, IER), 0x12);
}

/* CVE-2016-8669: a divisor of 0 must not divide. */
static void cve_2016_8669_divisor_0_is_harmless(void **state)
{
    struct qtest *q = start(state);

    wr(q, LCR, DLAB);
    wr(q, DATA, 0);
    wr(q, IER, 0);
    for (unsigned lcr = 0; lcr < 0x80; lcr++) {
        wr(q, LCR, lcr);
        wr(q, FCR, 0xC1);
        wr(q, IER, 0x0F);
        wr(q, MCR, LOOP);
        wr(q, DATA, lcr);
        rd(q, DATA);
    }
}

static void loopback_data_without_fifo(void **state)
{
    struct qtest *q = start_ours(state);

    loop(q, 0);
    assert_int_equal(rd(q, LSR) & 1, 0);
    wr(q, DATA, 0xA5);
    assert_int_equal(rd(q, LSR), 0x61);
    assert_int_equal(rd(q, DATA), 0xA5);
    assert_int_equal(rd(q, LSR), 0x60);
    /* The second of two takes the first one's place, and the overrun is told once. */
    wr(q, DATA, 1);
    wr(q, DATA, 2);
    assert_int_equal(rd(q, LSR), 0x63);
    assert_int_equal(rd(q, LSR), 0x61);
    assert_int_equal(rd(q, DATA), 2);
    assert_int_equal(rd(q, LSR), 0x60);
}

static void loopback_data_with_fifo(void **state)
{
    struct qtest *q = start_ours(state);

    loop(q, 1);
    for (unsigned i = 0; i < 17; i++)
        wr(q, DATA, i + 1);
    assert_int_equal(rd(q, LSR), 0x63);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(rd(q, DATA), i + 1);
    assert_int_equal(rd(q, LSR), 0x60);
    /* Clearing, and switching the mode, empty it. */
    wr(q, DATA, 7);
    wr(q, FCR, 3);
    assert_int_equal(rd(q, LSR), 0x60);
    wr(q, DATA, 7);
    wr(q, FCR, 0);
    assert_int_equal(rd(q, LSR), 0x60);
}

static void loopback_modem_lines_and_deltas(void **state)
{
    static const struct {
        uint8_t mcr, msr;
    } lines[] = {{1, 0x20}, {2, 0x10}, {4, 0x40}, {8, 0x80}, {15, 0xF0}};
    struct qtest *q = start(state);

    for (unsigned i = 0; i < 5; i++) {
        wr(q, MCR, LOOP | lines[i].mcr);
        assert_int_equal(rd(q, MSR) & 0xF0, lines[i].msr);
        assert_int_equal(rd(q, MSR) & 0x0F, 0);
    }
    if (qtest_is_qemu(q))
        skip();
    wr(q, MCR, LOOP);
    rd(q, MSR);
    wr(q, MCR, LOOP | 2);
    assert_int_equal(rd(q, MSR), 0x11);
    wr(q, MCR, LOOP | 4); /* RI rises: no TERI */
    assert_int_equal(rd(q, MSR), 0x41);
    wr(q, MCR, LOOP);
    assert_int_equal(rd(q, MSR), 0x04);
    wr(q, IER, 8);
    assert_int_equal(rd(q, IIR), 1);
    wr(q, MCR, LOOP | 1);
    assert_int_equal(rd(q, IIR), 0);
    assert_int_equal(rd(q, MSR), 0x22);
    assert_int_equal(rd(q, IIR), 1);
}

static void loopback_break(void **state)
{
    struct qtest *q = start_ours(state);

    loop(q, 1);
    wr(q, IER, 4);
    wr(q, LCR, 0x43);
    assert_int_equal(rd(q, IIR) & 0x0F, 6);
    assert_int_equal(rd(q, LSR) & 0x9F, 0x99);
    assert_int_equal(rd(q, IIR) & 0x0F, 1);
    assert_int_equal(rd(q, DATA), 0);
    assert_int_equal(rd(q, LSR), 0x60);
}

static void trigger_levels(void **state)
{
    static const uint8_t levels[] = {1, 4, 8, 14};
    struct qtest *q = start_ours(state);

    for (unsigned t = 0; t < 4; t++) {
        loop(q, 0x03 | t << 6);
        wr(q, IER, 1);
        for (unsigned i = 1; i <= 16; i++) {
            wr(q, DATA, i);
            assert_int_equal(rd(q, IIR), i >= levels[t] ? 0xC4 : 0xC1);
        }
        for (unsigned i = 16; i > 0; i--) {
            assert_int_equal(rd(q, IIR), i >= levels[t] ? 0xC4 : 0xC1);
            rd(q, DATA);
        }
        wr(q, IER, 0);
    }
}

static void character_timeout(void **state)
{
    struct qtest *q = start_ours(state);
    int64_t now;

    wr(q, LCR, DLAB);
    wr(q, DATA, 1); /* 115200 baud, 8N1: 4 characters take 347 us */
    wr(q, IER, 0);
    loop(q, 0xC3);
    wr(q, IER, 1);
    wr(q, DATA, 'x');
    wr(q, DATA, 'y');
    assert_int_equal(rd(q, IIR), 0xC1);
    qtest_clock_step(q, 340000);
    assert_int_equal(rd(q, IIR), 0xC1);
    qtest_clock_step(q, 10000);
    assert_int_equal(rd(q, IIR), 0xCC);
    assert_int_equal(rd(q, DATA), 'x'); /* reading ends it, and what is left waits anew */
    assert_int_equal(rd(q, IIR), 0xC1);
    qtest_clock_step(q, 350000);
    assert_int_equal(rd(q, IIR), 0xCC);
    assert_int_equal(rd(q, DATA), 'y');
    assert_int_equal(rd(q, IIR), 0xC1);
    now = qtest_clock_step(q, 0);
    assert_int_equal(qtest_clock_step_next(q), now);
    wr(q, IER, 0);
    wr(q, DATA, 'z'); /* nobody wants to know */
    assert_int_equal(qtest_clock_step_next(q), now);
}

static void transmitter_interrupt(void **state)
{
    struct qtest *q = start(state);

    wr(q, LCR, 3);
    wr(q, MCR, OUT2);
    /* Enabling it with an empty transmitter raises it, each time: Linux' test for a broken UART. */
    wr(q, IER, 2);
    assert_int_equal(rd(q, IIR), 2);
    assert_int_equal(rd(q, IIR), 1);
    wr(q, IER, 0);
    wr(q, IER, 2);
    assert_int_equal(rd(q, IIR), 2);
    assert_int_equal(rd(q, IIR), 1);
    if (qtest_is_qemu(q))
        skip();
    assert_false(qtest_irq(q, COM1_IRQ));
    wr(q, DATA, 'x');
    assert_true(qtest_irq(q, COM1_IRQ));
    assert_int_equal(rd(q, LSR), 0x60);
    assert_int_equal(rd(q, IIR), 2);
    assert_false(qtest_irq(q, COM1_IRQ));
    wr(q, DATA, 'x');
    wr(q, IER, 0);
    assert_false(qtest_irq(q, COM1_IRQ));
}

static void interrupts_by_priority(void **state)
{
    struct qtest *q = start_ours(state);

    loop(q, 0);
    rd(q, MSR);
    wr(q, DATA, 1);
    wr(q, DATA, 2);
    wr(q, MCR, LOOP | 2);
    wr(q, IER, 0x0F);
    assert_int_equal(rd(q, IIR), 6);
    rd(q, LSR);
    assert_int_equal(rd(q, IIR), 4);
    rd(q, DATA);
    assert_int_equal(rd(q, IIR), 2);
    assert_int_equal(rd(q, IIR), 0);
    rd(q, MSR);
    assert_int_equal(rd(q, IIR), 1);
}

static void out2_gates_the_interrupt(void **state)
{
    struct qtest *q = start_ours(state);

    wr(q, IER, 2);
    assert_false(qtest_irq(q, COM1_IRQ));
    wr(q, MCR, OUT2);
    assert_true(qtest_irq(q, COM1_IRQ));
    wr(q, MCR, OUT2 | LOOP);
    assert_false(qtest_irq(q, COM1_IRQ));
    wr(q, MCR, OUT2);
    assert_true(qtest_irq(q, COM1_IRQ));
    json_decref(qtest_qmp(q, "{'execute': 'system_reset'}"));
    json_decref(qtest_qmp_event(q, "RESET"));
    assert_int_equal(rd(q, IER), 0);
    assert_false(qtest_irq(q, COM1_IRQ));
}

static void four_ports(void **state)
{
    static const uint16_t bases[] = {0x3F8, 0x2F8, 0x3E8, 0x2E8};
    static const uint8_t irqs[] = {4, 3, 4, 3};
    struct qtest *q = *state =
        qtest_start("-nodefaults -vga none -chardev null,id=a -chardev null,id=b -chardev "
                    "null,id=c -chardev null,id=d -device isa-serial,chardev=c,index=2 "
                    "-device isa-serial,chardev=a -device isa-serial,chardev=b -device "
                    "isa-serial,chardev=d");

    if (qtest_is_qemu(q))
        skip();
    qtest_irq_intercept_in(q, "ioapic");
    for (unsigned i = 0; i < 4; i++) {
        qtest_outb(q, bases[i] + SCR, i + 1);
        qtest_outb(q, bases[i] + MCR, OUT2);
        qtest_outb(q, bases[i] + IER, 2);
        assert_true(qtest_irq(q, irqs[i]));
        qtest_outb(q, bases[i] + IER, 0);
        assert_false(qtest_irq(q, irqs[i]));
    }
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(qtest_inb(q, bases[i] + SCR), i + 1);
}

static void own_port_and_interrupt(void **state)
{
    struct qtest *q = *state = qtest_start(
        "-nodefaults -vga none -chardev null,id=a -device isa-serial,chardev=a,iobase=0x220,irq=5");

    qtest_irq_intercept_in(q, "ioapic");
    qtest_outb(q, 0x220 + SCR, 0x77);
    assert_int_equal(qtest_inb(q, 0x220 + SCR), 0x77);
    assert_int_equal(qtest_inb(q, BASE + SCR), 0xFF);
    if (qtest_is_qemu(q))
        skip();
    qtest_outb(q, 0x220 + MCR, OUT2);
    qtest_outb(q, 0x220 + IER, 2);
    assert_true(qtest_irq(q, 5));
}

/* ---- with somebody at the other end ---- */

static struct qtest *start_connected(void **state, int *fd)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct qtest *q;

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s.sock", qtest_temp_file("serial", 0));
    q = *state = qtest_startf("-nodefaults -vga none -chardev socket,id=c,path=%s,server=on,wait=off -device "
                              "isa-serial,chardev=c",
                              addr.sun_path);
    *fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(*fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    unlink(addr.sun_path);
    qtest_irq_intercept_in(q, "ioapic");
    wr(q, LCR, 3);
    wr(q, MCR, OUT2);
    return q;
}

/* What passes between two processes comes in its own time. */
static uint8_t wait_for(struct qtest *q, uint8_t lsr)
{
    SOON((rd(q, LSR) & lsr) == lsr);
    return rd(q, LSR);
}

static void bytes_leave_in_order(void **state)
{
    int fd;
    struct qtest *q = start_connected(state, &fd);
    char got[512];
    size_t n = 0;

    for (unsigned i = 0; i < sizeof(got); i++)
        wr(q, DATA, i * 7);
    while (n < sizeof(got)) {
        struct pollfd p = {fd, POLLIN, 0};

        assert_int_equal(poll(&p, 1, PATIENCE * 1000), 1);
        n += read(fd, got + n, sizeof(got) - n);
    }
    for (unsigned i = 0; i < sizeof(got); i++)
        assert_int_equal((uint8_t)got[i], (uint8_t)(i * 7));
    close(fd);
}

static void bytes_wait_until_there_is_room(void **state)
{
    int fd;
    struct qtest *q = start_connected(state, &fd);
    uint8_t sent[200];

    for (unsigned i = 0; i < sizeof(sent); i++)
        sent[i] = i ^ 0x5A;
    wr(q, FCR, 0xC7);
    wr(q, IER, 1);
    assert_int_equal(write(fd, sent, sizeof(sent)), sizeof(sent));
    for (unsigned i = 0; i < sizeof(sent); i++) {
        assert_int_equal(wait_for(q, 1) & 0x1F, 1);
        if (i == 0) {
            assert_true(qtest_irq(q, COM1_IRQ));
            assert_int_equal(rd(q, IIR), 0xC4);
        }
        assert_int_equal(rd(q, DATA), sent[i]);
    }
    assert_int_equal(rd(q, LSR), 0x60);
    close(fd);
}

static void bytes_in_without_fifo(void **state)
{
    int fd;
    struct qtest *q = start_connected(state, &fd);

    assert_int_equal(write(fd, "abc", 3), 3);
    for (const char *c = "abc"; *c; c++) {
        assert_int_equal(wait_for(q, 1), 0x61);
        assert_int_equal(rd(q, DATA), *c);
    }
    close(fd);
}

/* Loopback keeps the outside out, and lets it in afterwards. */
static void input_waits_for_the_end_of_loopback(void **state)
{
    int fd;
    struct qtest *q = start_connected(state, &fd);

    if (qtest_is_qemu(q))
        skip();
    wr(q, FCR, 1);
    wr(q, MCR, LOOP);
    assert_int_equal(write(fd, "z", 1), 1);
    qtest_barrier(q);
    assert_int_equal(rd(q, LSR), 0x60);
    wr(q, DATA, 'l');
    assert_int_equal(rd(q, DATA), 'l');
    wr(q, MCR, OUT2);
    assert_int_equal(wait_for(q, 1), 0x61);
    assert_int_equal(rd(q, DATA), 'z');
    close(fd);
}

static void random_registers(void **state)
{
    struct qtest *q = start_ours(state);
    unsigned seed = 42;

    for (unsigned i = 0; i < 3000; i++) {
        wr(q, rand_r(&seed) % 8, rand_r(&seed));
        rd(q, rand_r(&seed) % 8);
        if (i % 16 == 0)
            qtest_clock_step(q, rand_r(&seed) % (20 * MS));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        qtest_unit_test(registers_after_reset),
        qtest_unit_test(detection),
        qtest_unit_test(divisor_latch),
        qtest_unit_test(cve_2016_8669_divisor_0_is_harmless),
        qtest_unit_test(loopback_data_without_fifo),
        qtest_unit_test(loopback_data_with_fifo),
        qtest_unit_test(loopback_modem_lines_and_deltas),
        qtest_unit_test(loopback_break),
        qtest_unit_test(trigger_levels),
        qtest_unit_test(character_timeout),
        qtest_unit_test(transmitter_interrupt),
        qtest_unit_test(interrupts_by_priority),
        qtest_unit_test(out2_gates_the_interrupt),
        qtest_unit_test(four_ports),
        qtest_unit_test(own_port_and_interrupt),
        qtest_unit_test(bytes_leave_in_order),
        qtest_unit_test(bytes_wait_until_there_is_room),
        qtest_unit_test(bytes_in_without_fifo),
        qtest_unit_test(input_waits_for_the_end_of_loopback),
        qtest_unit_test(random_registers),
    };

    return cmocka_run_group_tests_name("isa-serial", tests, NULL, NULL);
}
