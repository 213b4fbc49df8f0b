/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keyboard controller through its ports: commands, translation, interrupts, the sequences that drivers
 * probe with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/qtest.h"

enum { DATA = 0x60, COMMAND = 0x64, STATUS = 0x64 };
enum { OBF = 0x01, SYS = 0x04, AUX = 0x20 };
enum { IRQ_KBD = 1, IRQ_AUX = 12 };

static struct qtest *q;

static int set_up(void **state)
{
    q = qtest_start("-machine pc");
    return 0;
}

static int tear_down(void **state)
{
    qtest_stop(q);
    return 0;
}

static void command(uint8_t byte)
{
    qtest_outb(q, COMMAND, byte);
}

/* The next byte is this one, from the keyboard or the controller (aux 0) or from the mouse. */
static void expect(uint8_t byte, uint8_t aux)
{
    uint8_t status = qtest_inb(q, STATUS);

    assert_int_equal(status & (OBF | AUX), OBF | aux);
    assert_int_equal(qtest_inb(q, DATA), byte);
}

static void expect_empty(void)
{
    assert_int_equal(qtest_inb(q, STATUS) & OBF, 0);
}

static void set_command_byte(uint8_t value)
{
    command(0x60);
    qtest_outb(q, DATA, value);
}

static void mouse(uint8_t byte)
{
    command(0xD4);
    qtest_outb(q, DATA, byte);
}

static void key(const char *name)
{
    json_decref(
        qtest_qmp_ok(q, "{'execute':'send-key','arguments':{'keys':[{'type':'qcode','data':'%s'}]}}", name));
}

static void test_controller_commands(void **state)
{
    expect_empty();
    command(0xAA);
    expect(0x55, 0);
    assert_int_equal(qtest_inb(q, STATUS) & SYS, SYS);
    command(0xAB);
    expect(0, 0);
    command(0xA9);
    expect(0, 0);
    set_command_byte(0x47);
    command(0x20);
    expect(0x47, 0);
    command(0xAD);
    command(0xA7);
    command(0x20);
    expect(0x77, 0);
    command(0xAE);
    command(0xA8);
    command(0x20);
    expect(0x47, 0);
    command(0xD0);
    assert_int_equal(qtest_inb(q, DATA) & 3, 3);
    command(0xD1);
    qtest_outb(q, DATA, 0xDD);
    command(0xD0);
    assert_int_equal(qtest_inb(q, DATA) & 3, 1);
    command(0xDF);
    command(0xD0);
    assert_int_equal(qtest_inb(q, DATA) & 3, 3);
    expect_empty();
}

static void test_ram(void **state)
{
    if (qtest_is_qemu(q))
        skip();
    for (unsigned i = 1; i < 32; i++) {
        command(0x60 + i);
        qtest_outb(q, DATA, 0x80 + i);
    }
    for (unsigned i = 1; i < 32; i++) {
        command(0x20 + i);
        expect(0x80 + i, 0);
    }
}

/* Linux finds a mouse port by what loops through it, and by its bits in the command byte. */
static void test_linux_probes_the_aux_port(void **state)
{
    command(0xD3);
    qtest_outb(q, DATA, 0x5A);
    expect(0x5A, AUX);
    command(0xD3);
    qtest_outb(q, DATA, 0xF0);
    expect(0xF0, AUX);
    command(0xA7);
    command(0x20);
    assert_int_equal(qtest_inb(q, DATA) & 0x20, 0x20);
    command(0xA8);
    command(0x20);
    assert_int_equal(qtest_inb(q, DATA) & 0x20, 0);
    command(0xD2);
    qtest_outb(q, DATA, 0x33);
    expect(0x33, 0);
}

static void test_keyboard_and_mouse_answer(void **state)
{
    set_command_byte(0x47 & ~0x40);
    qtest_outb(q, DATA, 0xFF);
    expect(0xFA, 0);
    expect(0xAA, 0);
    qtest_outb(q, DATA, 0xF2);
    expect(0xFA, 0);
    expect(0xAB, 0);
    expect(0x83, 0);
    mouse(0xFF);
    expect(0xFA, AUX);
    expect(0xAA, AUX);
    expect(0x00, AUX);
    mouse(0xF2);
    expect(0xFA, AUX);
    expect(0x00, AUX);
    expect_empty();
}

/* With translation a keyboard's identity reads AB 41. */
static void test_translated_identity(void **state)
{
    set_command_byte(0x47);
    qtest_outb(q, DATA, 0xF2);
    expect(0xFA, 0);
    expect(0xAB, 0);
    expect(0x41, 0);
}

/* An answer waits for the output buffer; it does not push out what is there. */
static void test_answer_does_not_overwrite(void **state)
{
    if (qtest_is_qemu(q))
        skip();
    qtest_outb(q, DATA, 0xEE);
    command(0xAA);
    expect(0xEE, 0);
    expect(0x55, 0);
    expect_empty();
}

static void test_interrupts(void **state)
{
    unsigned before;

    qtest_irq_intercept_in(q, "ioapic");
    set_command_byte(0x47);
    before = qtest_irq_raised(q, IRQ_KBD);
    qtest_outb(q, DATA, 0xFF);
    assert_true(qtest_irq(q, IRQ_KBD));
    expect(0xFA, 0);
    assert_true(qtest_irq(q, IRQ_KBD)); /* the next byte, with an edge of its own */
    expect(0xAA, 0);
    assert_false(qtest_irq(q, IRQ_KBD));
    assert_int_equal(qtest_irq_raised(q, IRQ_KBD), before + 2);
    mouse(0xF5);
    assert_true(qtest_irq(q, IRQ_AUX));
    assert_false(qtest_irq(q, IRQ_KBD));
    expect(0xFA, AUX);
    assert_false(qtest_irq(q, IRQ_AUX));
    set_command_byte(0x44);
    qtest_outb(q, DATA, 0xEE);
    mouse(0xF5);
    assert_false(qtest_irq(q, IRQ_KBD));
    assert_false(qtest_irq(q, IRQ_AUX));
    set_command_byte(0x45);
    assert_true(qtest_irq(q, IRQ_KBD));
    expect(0xEE, 0);
    expect(0xFA, AUX);
}

static void test_disabled_interfaces_hold_their_bytes(void **state)
{
    if (qtest_is_qemu(q))
        skip();
    set_command_byte(0x47);
    command(0xAD);
    key("a");
    expect_empty();
    command(0xAE);
    expect(0x1E, 0);
}

static void test_keys_translated_and_not(void **state)
{
    if (qtest_is_qemu(q))
        skip();
    set_command_byte(0x47);
    key("a");
    expect(0x1E, 0);
    qtest_clock_step(q, 1000000000);
    expect(0x9E, 0);
    key("up");
    expect(0xE0, 0);
    expect(0x48, 0);
    qtest_clock_step(q, 1000000000);
    expect(0xE0, 0);
    expect(0xC8, 0);
    expect_empty();
    set_command_byte(0x07);
    key("a");
    expect(0x1C, 0);
    qtest_clock_step(q, 1000000000);
    expect(0xF0, 0);
    expect(0x1C, 0);
    expect_empty();
}

static void move(int dx, int dy)
{
    json_decref(qtest_qmp_ok(
        q,
        "{'execute':'input-send-event','arguments':{'events':["
        "{'type':'rel','data':{'axis':'x','value':%d}},{'type':'rel','data':{'axis':'y','value':%d}}]}}",
        dx, dy));
}

/* Every name of QEMU's QKeyCode and what it gives: those of 77 and more as QEMU 7.2 was seen to. */
static void test_a8_key_names(void **state)
{
    static const struct {
        const char *name, *makes;
    } keys[] = {
        {"f13", "\x64"},
        {"f14", "\x65"},
        {"f15", "\x66"},
        {"f16", "\x67"},
        {"f17", "\x68"},
        {"f18", "\x69"},
        {"f19", "\x6A"},
        {"f20", "\x6B"},
        {"f21", "\x6C"},
        {"f22", "\x6D"},
        {"f23", "\x6E"},
        {"f24", "\x76"},
        {"stop", "\xE0\x68"},
        {"again", "\xE0\x05"},
        {"props", "\xE0\x06"},
        {"undo", "\xE0\x08"},
        {"front", "\xE0\x0C"},
        {"copy", "\xE0\x18"},
        {"open", "\xE0\x64"},
        {"paste", "\xE0\x0A"},
        {"find", "\xE0\x41"},
        {"cut", "\xE0\x17"},
        {"lf", "\x5B"},
        {"help", "\xE0\x3B"},
        {"compose", "\xE0\x5D"},
        {"ro", "\x73"},
        {"hiragana", "\x77"},
        {"henkan", "\x79"},
        {"yen", "\x7D"},
        {"muhenkan", "\x7B"},
        {"katakanahiragana", "\x70"},
        {"kp_comma", "\x7E"},
        {"kp_equals", "\x59"},
        {"power", "\xE0\x5E"},
        {"sleep", "\xE0\x5F"},
        {"wake", "\xE0\x63"},
        {"audionext", "\xE0\x19"},
        {"audioprev", "\xE0\x10"},
        {"audiostop", "\xE0\x24"},
        {"audioplay", "\xE0\x22"},
        {"audiomute", "\xE0\x20"},
        {"volumeup", "\xE0\x30"},
        {"volumedown", "\xE0\x2E"},
        {"mediaselect", "\xE0\x6D"},
        {"mail", "\xE0\x6C"},
        {"calculator", "\xE0\x21"},
        {"computer", "\xE0\x6B"},
        {"ac_home", "\xE0\x32"},
        {"ac_back", "\xE0\x6A"},
        {"ac_forward", "\xE0\x69"},
        {"ac_refresh", "\xE0\x67"},
        {"ac_bookmarks", "\xE0\x66"},
        {"less", "\x56"},
        {"kp_decimal", "\x53"},
        {"unmapped", ""},
    };

    if (qtest_is_qemu(q))
        skip();
    set_command_byte(0x41);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char *makes = keys[i].makes;

        key(keys[i].name);
        for (const char *byte = makes; *byte; byte++)
            expect((uint8_t)*byte, 0);
        for (const char *byte = makes; *byte; byte++)
            expect((uint8_t)*byte == 0xE0 ? 0xE0 : (uint8_t)*byte | 0x80, 0);
        expect_empty();
    }
    /* Print, without alt and with it, which is SysRq. */
    key("sysrq");
    for (const char *byte = "\xE0\x2A\xE0\x37\xE0\xB7\xE0\xAA"; *byte; byte++)
        expect((uint8_t)*byte, 0);
    /* Hangul and Hanja: once, when they are pressed, in the translation as without. */
    key("lang1");
    expect(0xF2, 0);
    expect_empty();
    key("lang2");
    expect(0xF1, 0);
    expect_empty();
    set_command_byte(0x01);
    key("lang1");
    expect(0xF2, 0);
    expect_empty();
}

static void button(const char *name, bool down)
{
    json_decref(qtest_qmp_ok(q,
                             "{'execute':'input-send-event','arguments':{'events':[{'type':'btn','data':"
                             "{'button':'%s','down':%s}}]}}",
                             name, down ? "true" : "false"));
}

static void expect_mouse_bytes(const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        expect((uint8_t)bytes[i], AUX);
    expect_empty();
}

#define MOUSE_SENDS(literal) expect_mouse_bytes(literal, sizeof(literal) - 1)

/* Side and extra are told by a mouse of five buttons; the wheels that it does not have are taken and tell
 * nothing. */
static void test_a8_buttons(void **state)
{
    static const uint8_t knock[] = {0xF3, 200, 0xF3, 200, 0xF3, 80, 0xF2};

    if (qtest_is_qemu(q))
        skip();
    command(0xA8);
    for (size_t i = 0; i < sizeof(knock); i++) {
        mouse(knock[i]);
        expect(0xFA, AUX);
    }
    expect(4, AUX);
    mouse(0xF4);
    expect(0xFA, AUX);
    button("side", true);
    MOUSE_SENDS("\x08\x00\x00\x10");
    button("extra", true);
    MOUSE_SENDS("\x08\x00\x00\x30");
    button("side", false);
    MOUSE_SENDS("\x08\x00\x00\x20");
    button("wheel-left", true);
    button("wheel-right", true);
    expect_empty();
}

/* What waits goes into the mouse's buffer as its last byte is taken, not into the controller's. */
static void test_a1_no_byte_of_a_movement_is_lost(void **state)
{
    if (qtest_is_qemu(q))
        skip();
    command(0xA8);
    mouse(0xF4);
    expect(0xFA, AUX);
    move(600, 0);
    MOUSE_SENDS("\x08\xFF\x00\x08\xFF\x00\x08\x5A\x00");
    for (int i = 0; i < 3; i++)
        move(7, 3);
    MOUSE_SENDS("\x28\x07\xFD\x28\x07\xFD\x28\x07\xFD");
}

/* Bytes of the next packet are found, and none too many, however many movements come between the reads. */
static void test_a1_stream_stays_in_step(void **state)
{
    static const uint8_t knock[][6] = {{0xF3, 200, 0xF3, 100, 0xF3, 80}, {0xF3, 200, 0xF3, 200, 0xF3, 80}};
    unsigned length = 3;

    if (qtest_is_qemu(q))
        skip();
    command(0xA8);
    for (unsigned id = 0; id < 3; id++) {
        int moved = 0, told = 0;
        unsigned bytes = 0;

        for (unsigned i = 0; id && i < 6; i++) {
            mouse(knock[id - 1][i]);
            expect(0xFA, AUX);
            length = 4;
        }
        mouse(0xF4);
        expect(0xFA, AUX);
        for (unsigned event = 0; event < 100; event++) {
            move(7, 0);
            moved += 7;
            if (event % 5 != 4)
                continue;
            for (; qtest_inb(q, STATUS) & OBF; bytes++) {
                uint8_t byte = qtest_inb(q, DATA);

                if (bytes % length == 0)
                    assert_int_equal(byte, 0x08);
                else if (bytes % length == 1)
                    told += byte;
                else
                    assert_int_equal(byte, 0);
            }
            assert_int_equal(bytes % length, 0);
        }
        assert_int_equal(told, moved);
    }
}

/* An answer of several bytes is whole before its first byte is taken, whatever movement waits. */
static void test_a1_movement_does_not_get_into_an_answer(void **state)
{
    if (qtest_is_qemu(q))
        skip();
    command(0xA8);
    mouse(0xF4);
    expect(0xFA, AUX);
    move(600, 0);
    expect(0x08, AUX); /* the rest of the packet is given up for the command */
    expect(0xFF, AUX);
    mouse(0xE9);
    expect(0x00, AUX); /* was in the controller already */
    expect(0xFA, AUX);
    expect(0x20, AUX);
    expect(0x02, AUX);
    expect(0x64, AUX);
    mouse(0xEB);
    expect(0x08, AUX);
    qtest_inb(q, DATA);
    qtest_inb(q, DATA);
}

static void test_reset_lines(void **state)
{
    command(0xFE);
    json_decref(qtest_qmp_event(q, "RESET"));
    command(0xD1);
    qtest_outb(q, DATA, 0xFE);
    json_decref(qtest_qmp_event(q, "RESET"));
    command(0xFF); /* pulses nothing */
    json_decref(qtest_qmp_ok(q, "{'execute':'query-status'}"));
    assert_false(qtest_qmp_event_seen(q, "RESET"));
}

static void test_reset_empties_everything(void **state)
{
    set_command_byte(0x00);
    qtest_outb(q, DATA, 0xF2);
    mouse(0xE9);
    json_decref(qtest_qmp_ok(q, "{'execute':'system_reset'}"));
    json_decref(qtest_qmp_event(q, "RESET"));
    expect_empty();
    command(0x20);
    expect(0x03, 0);
    expect_empty();
}

/* CVE-2017-16845 and its like: whatever a guest writes, queues stay in bounds and the controller works on. */
static void test_noise(void **state)
{
    uint32_t seed = 1;

    for (int i = 0; i < 20000; i++) {
        uint8_t byte;

        seed = seed * 1664525 + 1013904223;
        byte = seed >> 16;
        if (seed >> 30 == 0)
            qtest_inb(q, DATA);
        else if (seed >> 30 == 1 && byte < 0xF0 && byte != 0xD1)
            command(byte);
        else
            qtest_outb(q, DATA, byte);
    }
    json_decref(qtest_qmp_ok(q, "{'execute':'system_reset'}"));
    json_decref(qtest_qmp_event(q, "RESET"));
    command(0xAA);
    expect(0x55, 0);
    qtest_outb(q, DATA, 0xEE);
    expect(0xEE, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_controller_commands),
        TEST(test_ram),
        TEST(test_linux_probes_the_aux_port),
        TEST(test_keyboard_and_mouse_answer),
        TEST(test_translated_identity),
        TEST(test_answer_does_not_overwrite),
        TEST(test_interrupts),
        TEST(test_disabled_interfaces_hold_their_bytes),
        TEST(test_keys_translated_and_not),
        TEST(test_a1_no_byte_of_a_movement_is_lost),
        TEST(test_a8_key_names),
        TEST(test_a8_buttons),
        TEST(test_a1_stream_stays_in_step),
        TEST(test_a1_movement_does_not_get_into_an_answer),
        TEST(test_reset_lines),
        TEST(test_reset_empties_everything),
        TEST(test_noise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
