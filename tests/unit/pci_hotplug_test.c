/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cards that come and go while the guest runs: QMP device_add and device_del, GPE 1 and the ports at AE00h.
 */
#include <string.h>

#include "tests/lib/cmocka.h"
#include "tests/lib/qpci.h"
#include "tests/lib/qtest.h"

enum {
    GPE_STATUS = 0xAFE0,
    GPE_ENABLE = 0xAFE2,
    UP = 0xAE00,
    DOWN = 0xAE04,
    EJECT = 0xAE08,
    REMOVABLE = 0xAE0C,
    SLOT = 9
};

static struct qtest *q;

static void start(const char *more)
{
    q = qtest_startf("-nodefaults -netdev user,id=n %s", more);
}

static void add_card(void)
{
    json_decref(qtest_qmp_ok(
        q, "{'execute':'device_add','arguments':{'driver':'e1000','id':'card','netdev':'n','addr':'9'}}"));
}

static bool is_there(void)
{
    struct qpci card = qpci_at(q, QPCI_DEVFN(SLOT, 0));

    return qpci_readl(&card, 0) == 0x100E8086;
}

static void expect_deleted(void)
{
    json_t *event = qtest_qmp_event(q, "DEVICE_DELETED");

    assert_string_equal(json_string_value(json_object_get(json_object_get(event, "data"), "device")), "card");
    json_decref(event);
    assert_false(is_there());
}

static void a_card_comes_and_the_guest_is_told(void **state)
{
    start("");
    qtest_outb(q, GPE_ENABLE, 2);
    assert_false(is_there());
    assert_int_equal(qtest_inl(q, REMOVABLE) & 1 << SLOT, 0);
    add_card();
    assert_true(is_there());
    assert_int_equal(qtest_inb(q, GPE_STATUS), 2);
    assert_int_equal(qtest_inl(q, UP), 1 << SLOT);
    assert_int_equal(qtest_inl(q, UP), 0); /* told once */
    assert_int_equal(qtest_inl(q, REMOVABLE), 1 << SLOT);
    qtest_outb(q, GPE_STATUS, 2);
    assert_int_equal(qtest_inb(q, GPE_STATUS), 0);
}

static void it_goes_when_the_guest_has_let_go(void **state)
{
    start("");
    add_card();
    qtest_outb(q, GPE_STATUS, 2);
    json_decref(qtest_qmp_ok(q, "{'execute':'device_del','arguments':{'id':'card'}}"));
    assert_true(is_there());
    assert_int_equal(qtest_inb(q, GPE_STATUS), 2);
    assert_int_equal(qtest_inl(q, DOWN), 1 << SLOT);
    qtest_outl(q, EJECT, 1 << SLOT);
    expect_deleted();
    assert_int_equal(qtest_inl(q, DOWN), 0);
    add_card(); /* the id, the slot and the network are free again */
    assert_true(is_there());
}

static void a_guest_ejects_only_what_was_asked_back(void **state)
{
    start("-device rtl8139,addr=3");
    add_card();
    qtest_outl(q, EJECT, 0xFFFFFFFF);
    json_decref(qtest_qmp_ok(q, "{'execute':'query-status'}"));
    assert_true(is_there());
    assert_int_equal(qtest_inl(q, REMOVABLE), 1 << SLOT | 1 << 3);
}

static void a_reset_lets_go_of_what_was_asked_back(void **state)
{
    start("");
    add_card();
    json_decref(qtest_qmp_ok(q, "{'execute':'device_del','arguments':{'id':'card'}}"));
    json_decref(qtest_qmp_ok(q, "{'execute':'system_reset'}"));
    expect_deleted();
    assert_int_equal(qtest_inl(q, DOWN), 0);
}

static void what_cannot_come_or_go_is_refused(void **state)
{
    static const char *const refused[] = {
        "{'execute':'device_add','arguments':{'driver':'cirrus-vga'}}",
        "{'execute':'device_add','arguments':{'driver':'e1000','netdev':'none'}}",
        "{'execute':'device_add','arguments':{'driver':'e1000','addr':'3'}}",
        "{'execute':'device_add','arguments':{'driver':'e1000','addr':'99'}}",
        "{'execute':'device_del','arguments':{'id':'vga'}}",
        "{'execute':'device_del','arguments':{'id':'nobody'}}",
    };

    start("-device VGA,id=vga -device rtl8139,addr=3");
    for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        json_t *answer = qtest_qmp(q, "%s", refused[i]);

        assert_non_null(json_object_get(answer, "error"));
        json_decref(answer);
    }
    qtest_stop(q);
    start("-no-acpi"); /* nobody can tell the guest */
    json_t *answer = qtest_qmp(q, "{'execute':'device_add','arguments':{'driver':'e1000','id':'card'}}");
    assert_non_null(json_object_get(answer, "error"));
    json_decref(answer);
}

static int stop(void **state)
{
    qtest_stop(q);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_card_comes_and_the_guest_is_told, stop),
        cmocka_unit_test_teardown(it_goes_when_the_guest_has_let_go, stop),
        cmocka_unit_test_teardown(a_guest_ejects_only_what_was_asked_back, stop),
        cmocka_unit_test_teardown(a_reset_lets_go_of_what_was_asked_back, stop),
        cmocka_unit_test_teardown(what_cannot_come_or_go_is_refused, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
