/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The smallest chips: port 92 and the test ports. */
#include "tests/lib/cmocka.h"
#include "tests/lib/qtest.h"

static void port92_keeps_a20_and_resets_on_a_rising_edge(void **state)
{
    struct qtest *q = *state = qtest_start("-nodefaults -vga none");

    if (qtest_is_qemu(q))
        skip();
    assert_int_equal(qtest_inb(q, 0x92), 2);
    qtest_outb(q, 0x92, 0);
    assert_int_equal(qtest_inb(q, 0x92), 0);
    qtest_outb(q, 0x92, 0xFE);
    assert_int_equal(qtest_inb(q, 0x92), 2);
    json_decref(qtest_qmp(q, "{'execute': 'query-status'}"));
    assert_false(qtest_qmp_event_seen(q, "RESET"));
    qtest_outb(q, 0x92, 1);
    json_decref(qtest_qmp_event(q, "RESET"));
    assert_int_equal(qtest_inb(q, 0x92), 2);
}

static void test_ports_take_every_size(void **state)
{
    struct qtest *q = *state = qtest_start("-nodefaults -vga none -device pc-testdev");

    if (qtest_is_qemu(q))
        skip();
    qtest_outl(q, 0xE0, 0x87654321);
    qtest_outl(q, 0xE4, 0x0FEDCBA9);
    assert_int_equal(qtest_inl(q, 0xE0), 0x87654321);
    assert_int_equal(qtest_inw(q, 0xE2), 0x8765);
    assert_int_equal(qtest_inw(q, 0xE1), 0x6543);
    assert_int_equal(qtest_inb(q, 0xE3), 0x87);
    assert_int_equal(qtest_inl(q, 0xE2), 0xCBA98765);
    qtest_outw(q, 0xE2, 0x1122);
    qtest_outb(q, 0xE0, 0x33);
    assert_int_equal(qtest_inl(q, 0xE0), 0x11224333);
}

static void test_ports_have_a_bytewise_view(void **state)
{
    struct qtest *q = *state = qtest_start("-nodefaults -vga none -device pc-testdev");

    if (qtest_is_qemu(q))
        skip();
    qtest_outl(q, 0xE8, 0x87654321);
    assert_int_equal(qtest_inl(q, 0xE0), 0x87654321);
    qtest_outw(q, 0xEA, 0x1122);
    assert_int_equal(qtest_inl(q, 0xE8), 0x11224321);
    assert_int_equal(qtest_inw(q, 0xE9), 0x2243);
    qtest_outl(q, 0xE6, 0xAABBCCDD); /* across both views */
    assert_int_equal(qtest_inl(q, 0xE0), 0x1122AABB);
    assert_int_equal(qtest_inw(q, 0xE6), 0xCCDD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        qtest_unit_test(port92_keeps_a20_and_resets_on_a_rising_edge),
        qtest_unit_test(test_ports_take_every_size),
        qtest_unit_test(test_ports_have_a_bytewise_view),
    };

    return cmocka_run_group_tests_name("small ISA chips", tests, NULL, NULL);
}
