/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What firmware is told to boot from: fw_cfg's file "bootorder" from bootindex=, and -boot's letters in the
 * CMOS RAM. */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/cmocka.h"
#include "tests/lib/fw_cfg_file.h"
#include "tests/lib/qtest.h"

enum { CMOS_INDEX = 0x70, CMOS_DATA = 0x71, CMOS_BOOT_FLAGS = 0x38, CMOS_BOOT_DEVICES = 0x3D };

static void expect_order(struct qtest *q, const char *text)
{
    uint32_t size;
    char *order = (char *)fw_cfg_read_file(q, "bootorder", NULL, &size);

    assert_non_null(order);
    assert_string_equal(order, text);
    assert_int_equal(size, *text ? strlen(text) + 1 : 0); /* OVMF wants the NUL */
    free(order);
}

static void reset(struct qtest *q)
{
    json_decref(qtest_qmp_ok(q, "{'execute':'system_reset'}"));
    json_decref(qtest_qmp_event(q, "RESET"));
}

static void disks_cds_floppies_and_cards_are_named_as_firmware_does(void **state)
{
    struct qtest *q = qtest_start(
        "-nodefaults -device ide-cd,bus=ide.1,unit=1,bootindex=0 -device floppy,unit=1,bootindex=30 "
        "-device e1000,addr=5,bootindex=2 -device rtl8139,addr=6.1,bootindex=3 "
        "-device pcnet,addr=7 -device ide-cd,bus=ide.0,unit=0,bootindex=1");

    expect_order(q, "/pci@i0cf8/ide@1,1/drive@1/disk@1\n"
                    "/pci@i0cf8/ide@1,1/drive@0/disk@0\n"
                    "/pci@i0cf8/ethernet@5/ethernet-phy@0\n"
                    "/pci@i0cf8/ethernet@6,1/ethernet-phy@0\n"
                    "/pci@i0cf8/isa@1/fdc@03f0/floppy@1");
    qtest_stop(q);
}

static void without_bootindex_the_order_is_empty(void **state)
{
    struct qtest *q = qtest_start("-nodefaults -device e1000 -device ide-cd");

    expect_order(q, "");
    qtest_stop(q);
}

static void strict_boots_from_nothing_else(void **state)
{
    struct qtest *q = qtest_start("-nodefaults -device ide-cd,bootindex=7 -boot strict=on");

    expect_order(q, "/pci@i0cf8/ide@1,1/drive@0/disk@0\nHALT");
    qtest_stop(q);
}

static void a_card_that_comes_and_goes_is_in_the_order_from_the_next_reset(void **state)
{
    struct qtest *q = qtest_start("-nodefaults -device ide-cd,bootindex=1");

    json_decref(qtest_qmp_ok(q, "{'execute':'device_add','arguments':{'driver':'e1000','id':'c','addr':'9',"
                                "'bootindex':0}}"));
    reset(q);
    expect_order(q, "/pci@i0cf8/ethernet@9/ethernet-phy@0\n/pci@i0cf8/ide@1,1/drive@0/disk@0");
    json_decref(qtest_qmp_ok(q, "{'execute':'device_del','arguments':{'id':'c'}}"));
    qtest_outl(q, 0xAE08, 1 << 9); /* the guest ejects it */
    json_decref(qtest_qmp_event(q, "DEVICE_DELETED"));
    reset(q);
    expect_order(q, "/pci@i0cf8/ide@1,1/drive@0/disk@0");
    qtest_stop(q);
}

static void two_of_one_index_are_refused(void **state)
{
    char *text;

    assert_int_equal(qtest_start_failing("-device ide-cd,bootindex=1 -device e1000,bootindex=1", &text), 1);
    assert_non_null(strstr(text, "bootindex=1 is taken by /pci@i0cf8/ide@1,1/drive@"));
    free(text);
    assert_int_equal(qtest_start_failing("-device e1000,bootindex=-2", &text), 1);
    assert_non_null(strstr(text, "bootindex takes a number"));
    free(text);
}

/* ---- -boot's letters ---- */

static unsigned cmos(struct qtest *q, uint8_t index)
{
    qtest_outb(q, CMOS_INDEX, index);
    return qtest_inb(q, CMOS_DATA);
}

static void expect_letters(struct qtest *q, unsigned devices, unsigned third)
{
    assert_int_equal(cmos(q, CMOS_BOOT_DEVICES), devices);
    assert_int_equal(cmos(q, CMOS_BOOT_FLAGS) >> 4, third);
}

/* a floppy: 1, c disk: 2, d CD: 3, n network: 4 */
static void letters_go_to_the_bios_once_for_the_first_start_only(void **state)
{
    struct qtest *q = qtest_start("-boot order=");

    expect_letters(q, 0x12, 3);
    qtest_stop(q);
    for (const char *letter = "acdn"; *letter; letter++) {
        q = qtest_startf("-nodefaults -boot order=,once=%c", *letter);
        expect_letters(q, strchr("acdn", *letter) - strchr("acdn", 'a') + 1, 0);
        reset(q);
        expect_letters(q, 0x12, 3);
        qtest_stop(q);
    }
    q = qtest_start("-boot once=dn,order=nc");
    expect_letters(q, 0x43, 0);
    reset(q);
    expect_letters(q, 0x24, 0);
    qtest_stop(q);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(disks_cds_floppies_and_cards_are_named_as_firmware_does),
        cmocka_unit_test(without_bootindex_the_order_is_empty),
        cmocka_unit_test(strict_boots_from_nothing_else),
        cmocka_unit_test(a_card_that_comes_and_goes_is_in_the_order_from_the_next_reset),
        cmocka_unit_test(two_of_one_index_are_refused),
        cmocka_unit_test(letters_go_to_the_bios_once_for_the_first_start_only),
    };

    return cmocka_run_group_tests_name("boot order", tests, NULL, NULL);
}
