/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the hostile guest (tests/fuzz/hostile.c) brought processes like this one down with; each test is a
 * minimised log. */
#include "tests/lib/cmocka.h"
#include "tests/lib/qpci.h"

/*
 * READ DMA on a slave, a software reset, then the master, which is absent, is selected and the bus master
 * started: stock QEMU 7.2 sometimes ends with a segmentation fault. Here the reset took the command back, and
 * the bus master has nothing to move.
 */
static void reset_takes_back_a_dma_command_that_waits_for_the_bus_master(void **state)
{
    struct qtest *q = *state = qtest_startf("-nodefaults -vga none -drive file=%s,if=ide,index=1,format=raw",
                                            qtest_temp_file(".img", 1 << 20));
    struct qpci ide = qpci_at(q, QPCI_DEVFN(1, 1));
    uint16_t bm = qpci_map(&ide, 4);

    qpci_enable(&ide);
    qtest_outb(q, 0x1F6, 0xF0);
    qtest_outb(q, 0x1F5, 0);
    qtest_outb(q, 0x1F7, 0xC8);
    qtest_inb(q, bm + 2);
    qtest_outb(q, 0x3F6, 0x04);
    qtest_outb(q, 0x1F6, 0xE0);
    qtest_outb(q, bm, 0x01);
    qtest_outb(q, 0x3F6, 0x00);
    qtest_outb(q, 0x1F6, 0xF0);
    assert_int_equal(qtest_inb(q, 0x1F7) & 0x88, 0);  /* neither busy nor wanting data */
    assert_int_equal(qtest_inb(q, bm + 2) & 0x02, 0); /* no error of the bus master */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        qtest_unit_test(reset_takes_back_a_dma_command_that_waits_for_the_bus_master),
    };

    return cmocka_run_group_tests_name("found by the hostile guest", tests, NULL, NULL);
}
