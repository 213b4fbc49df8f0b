/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The absolute pointer behind VMware's port, called as Linux' driver does (drivers/input/mouse/vmmouse.c). */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/qtest.h"

enum { GET_VERSION = 10, DATA = 39, STATUS = 40, COMMAND = 41 };
#define MAGIC    0x564D5868u
#define ENABLE   0x45414552u
#define ABSOLUTE 0x53424152u
#define RELATIVE 0x4C455252u

static struct qtest *q;
static uint32_t eax, ebx, ecx, edx;

static int set_up(void **state)
{
    q = qtest_start("-machine pc -device vmmouse");
    return 0;
}

static int tear_down(void **state)
{
    qtest_stop(q);
    return 0;
}

static void call_with(uint32_t magic, uint32_t command, uint32_t argument)
{
    const char *answer = qtest_command(q, "vmport %u %u %u 0x5658", magic, argument, command);

    assert_int_equal(
        sscanf(answer, "OK 0x%" SCNx32 " 0x%" SCNx32 " 0x%" SCNx32 " 0x%" SCNx32, &eax, &ebx, &ecx, &edx), 4);
}

static void call(uint32_t command, uint32_t argument)
{
    call_with(MAGIC, command, argument);
}

static void place(int x, int y)
{
    json_decref(qtest_qmp_ok(q,
                             "{'execute':'input-send-event','arguments':{'events':["
                             "{'type':'abs','data':{'axis':'x','value':%d}},"
                             "{'type':'abs','data':{'axis':'y','value':%d}}]}}",
                             x, y));
}

static void button(const char *name, bool down)
{
    json_decref(qtest_qmp_ok(q,
                             "{'execute':'input-send-event','arguments':{'events':["
                             "{'type':'btn','data':{'button':'%s','down':%s}}]}}",
                             name, down ? "true" : "false"));
}

static void enable(void)
{
    call(COMMAND, ENABLE);
    call(STATUS, 0);
    assert_int_equal(eax, 1);
    call(DATA, 1);
    assert_int_equal(eax, 0x3442554A);
    call(COMMAND, ABSOLUTE);
}

static void expect_event(uint32_t buttons, uint32_t x, uint32_t y, uint32_t wheel)
{
    call(STATUS, 0);
    assert_true(eax >= 4 && eax % 4 == 0);
    call(DATA, 4);
    assert_int_equal(eax, buttons);
    assert_int_equal(ebx, x);
    assert_int_equal(ecx, y);
    assert_int_equal(edx, wheel);
}

static void test_detection(void **state)
{
    call(GET_VERSION, ~MAGIC);
    assert_int_equal(ebx, MAGIC);
    assert_int_not_equal(eax, UINT32_MAX);
    call_with(MAGIC + 1, GET_VERSION, 0);
    assert_int_equal(eax, UINT32_MAX);
    assert_int_equal(ebx, 0);
    assert_int_equal(qtest_inl(q, 0x5658), UINT32_MAX); /* not a call */
    call(STATUS, 0);
    assert_int_equal(eax, 0xFFFF0000); /* not enabled */
}

static void test_positions_buttons_wheel(void **state)
{
    enable();
    call(STATUS, 0);
    assert_int_equal(eax, 0);
    place(0, 0x7FFF);
    expect_event(0, 0, 0xFFFF, 0);
    place(1, 1);
    place(0x4000, 0x1234);
    button("left", true);
    button("wheel-down", true);
    button("wheel-up", true);
    button("left", false);
    expect_event(0, 0x8001, 0x2468, 0); /* the newer position only */
    expect_event(0x20, 0x8001, 0x2468, 0);
    expect_event(0x20, 0x8001, 0x2468, 1);
    expect_event(0x20, 0x8001, 0x2468, 0xFF);
    expect_event(0, 0x8001, 0x2468, 0);
    call(STATUS, 0);
    assert_int_equal(eax, 0);
}

/* The driver looks when its PS/2 mouse speaks. */
static void test_the_mouse_speaks(void **state)
{
    qtest_outb(q, 0x64, 0xD4);
    qtest_outb(q, 0x60, 0xF4);
    assert_int_equal(qtest_inb(q, 0x60), 0xFA);
    enable();
    assert_int_equal(qtest_inb(q, 0x64) & 0x21, 0);
    place(5, 5);
    assert_int_equal(qtest_inb(q, 0x64) & 0x21, 0x21);
    assert_int_equal(qtest_inb(q, 0x60), 0x08);
    assert_int_equal(qtest_inb(q, 0x60), 0);
    assert_int_equal(qtest_inb(q, 0x60), 0);
    assert_int_equal(qtest_inb(q, 0x64) & 0x21, 0);
}

static bool is_absolute(void)
{
    json_t *mice = qtest_qmp_ok(q, "{'execute':'query-mice'}");
    bool absolute = json_is_true(json_object_get(json_array_get(mice, 0), "absolute"));

    json_decref(mice);
    return absolute;
}

static void test_who_gets_the_pointer(void **state)
{
    assert_false(is_absolute());
    call(COMMAND, ABSOLUTE); /* before it is enabled */
    assert_false(is_absolute());
    enable();
    assert_true(is_absolute());
    call(COMMAND, RELATIVE);
    assert_false(is_absolute());
    call(COMMAND, ABSOLUTE);
    json_decref(qtest_qmp_ok(q, "{'execute':'system_reset'}"));
    json_decref(qtest_qmp_event(q, "RESET"));
    assert_false(is_absolute());
}

/* More events than the queue has room for, and more words than there are. */
static void test_bounds(void **state)
{
    enable();
    for (int i = 0; i < 200; i++)
        button("left", i % 2 == 0);
    place(3, 3);
    call(STATUS, 0);
    assert_in_range(eax, 4, 256);
    for (unsigned n = eax / 4; n > 1; n--)
        call(DATA, 4);
    expect_event(0, 6, 6, 0);
    call(DATA, 1);
    assert_int_equal(eax, UINT32_MAX);
    call(STATUS, 0);
    assert_int_equal(eax, 0xFFFF0000); /* the driver enables it anew */
    enable();
    call(DATA, 5);
    assert_int_equal(eax, UINT32_MAX);
}

static void test_unknown_commands(void **state)
{
    assert_int_equal(qtest_inb(q, 0x5658), 0xFF);
    call(99, 0);
    assert_int_equal(eax, UINT32_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_detection),        TEST(test_positions_buttons_wheel),
        TEST(test_the_mouse_speaks), TEST(test_who_gets_the_pointer),
        TEST(test_bounds),           TEST(test_unknown_commands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
