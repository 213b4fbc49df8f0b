/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ISA DMA controllers' registers. Transfers are tested with the device that uses them (fdc_test). */
#include "tests/lib/cmocka.h"
#include "tests/lib/qtest.h"

static struct qtest *start(void **state)
{
    return *state = qtest_start("-nodefaults -vga none");
}

/* Address and count of every channel: port, bytes low first by the flip-flop. */
static uint16_t channel_port(unsigned channel, bool count)
{
    return channel < 4 ? channel * 2 + count : 0xC0 + (channel - 4) * 4 + count * 2;
}

static void clear_flip_flop(struct qtest *q, unsigned channel)
{
    qtest_outb(q, channel < 4 ? 0x0C : 0xD8, 0);
}

static void write16(struct qtest *q, unsigned channel, bool count, uint16_t value)
{
    clear_flip_flop(q, channel);
    qtest_outb(q, channel_port(channel, count), value);
    qtest_outb(q, channel_port(channel, count), value >> 8);
}

static uint16_t read16(struct qtest *q, unsigned channel, bool count)
{
    uint8_t low;

    clear_flip_flop(q, channel);
    low = qtest_inb(q, channel_port(channel, count));
    return low | qtest_inb(q, channel_port(channel, count)) << 8;
}

static void address_and_count_of_each_channel(void **state)
{
    struct qtest *q = start(state);

    for (unsigned channel = 0; channel < 8; channel++) {
        write16(q, channel, false, 0x1234 + channel * 0x101);
        write16(q, channel, true, 0xFEDC - channel * 0x101);
    }
    for (unsigned channel = 0; channel < 8; channel++) {
        assert_int_equal(read16(q, channel, false), 0x1234 + channel * 0x101);
        assert_int_equal(read16(q, channel, true), 0xFEDC - channel * 0x101);
    }
}

static void the_flip_flop_is_shared_and_cleared(void **state)
{
    struct qtest *q = start(state);

    write16(q, 0, false, 0x1122);
    write16(q, 1, false, 0x3344);
    clear_flip_flop(q, 0);
    assert_int_equal(qtest_inb(q, 0), 0x22);
    assert_int_equal(qtest_inb(q, 2), 0x33); /* the high byte is next, whatever the channel */
    assert_int_equal(qtest_inb(q, 0), 0x22);
    clear_flip_flop(q, 0);
    assert_int_equal(qtest_inb(q, 2), 0x44);
    qtest_outb(q, 0x0D, 0); /* master clear */
    assert_int_equal(qtest_inb(q, 2), 0x44);
}

static void masks(void **state)
{
    static const struct {
        uint16_t single, clear, all, master;
    } ports[] = {{0x0A, 0x0E, 0x0F, 0x0D}, {0xD4, 0xDC, 0xDE, 0xDA}};
    struct qtest *q = start(state);

    for (unsigned i = 0; i < 2; i++) {
        qtest_outb(q, ports[i].master, 0);
        assert_int_equal(qtest_inb(q, ports[i].all) & 0x0F, 0x0F);
        qtest_outb(q, ports[i].single, 2);
        assert_int_equal(qtest_inb(q, ports[i].all) & 0x0F, 0x0B);
        qtest_outb(q, ports[i].single, 6);
        assert_int_equal(qtest_inb(q, ports[i].all) & 0x0F, 0x0F);
        qtest_outb(q, ports[i].clear, 0);
        assert_int_equal(qtest_inb(q, ports[i].all) & 0x0F, 0x00);
        qtest_outb(q, ports[i].all, 0x05);
        assert_int_equal(qtest_inb(q, ports[i].all) & 0x0F, 0x05);
    }
}

static void status_of_an_idle_controller(void **state)
{
    struct qtest *q = start(state);

    assert_int_equal(qtest_inb(q, 0x08), 0);
    assert_int_equal(qtest_inb(q, 0xD0), 0);
}

static void page_registers(void **state)
{
    struct qtest *q = start(state);

    for (unsigned port = 0x81; port < 0x90; port++)
        qtest_outb(q, port, port ^ 0x5A);
    for (unsigned port = 0x81; port < 0x90; port++)
        assert_int_equal(qtest_inb(q, port), port ^ 0x5A);
    if (qtest_is_qemu(q))
        skip();
    qtest_outb(q, 0x482, 0x7F);
    assert_int_equal(qtest_inb(q, 0x482), 0x7F);
    qtest_outb(q, 0x82, 0x01);
    assert_int_equal(qtest_inb(q, 0x482), 0);
    qtest_outb(q, 0x80, 0x55); /* POST code */
}

static void odd_ports_of_the_second_controller(void **state)
{
    struct qtest *q = start(state);

    for (unsigned port = 0; port < 0x10; port++)
        qtest_outw(q, port, 0x5AA5);
    for (unsigned port = 0xC0; port < 0xE0; port++) {
        qtest_outl(q, port, 0x12345678);
        qtest_inl(q, port);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        qtest_unit_test(address_and_count_of_each_channel),
        qtest_unit_test(the_flip_flop_is_shared_and_cleared),
        qtest_unit_test(masks),
        qtest_unit_test(status_of_an_idle_controller),
        qtest_unit_test(page_registers),
        qtest_unit_test(odd_ports_of_the_second_controller),
    };

    return cmocka_run_group_tests_name("i8237", tests, NULL, NULL);
}
