/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The test port's protocol itself. HVM_DM=qemu-system-x86_64 holds these expectations against a stock QEMU;
 * what it lacks (the clock) or answers by ending (garbage) is skipped there.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/cmocka.h"
#include "tests/lib/qpci.h"

#define RAM 0x100000ull /* an address in guest RAM */

static struct qtest *start(void **state)
{
    return *state = qtest_start("-m 64 -nodefaults -serial null");
}

/* As start, but QEMU is not asked. */
static struct qtest *start_ours(void **state)
{
    struct qtest *q = start(state);

    if (qtest_is_qemu(q))
        skip();
    return q;
}

#define assert_answer(q, answer, ...) assert_string_equal(qtest_command(q, __VA_ARGS__), answer)
/* Refused, with a word about it, and the next command still works. */
#define assert_refused(q, ...)                                                                               \
    do {                                                                                                     \
        const char *refusal = qtest_command(q, __VA_ARGS__);                                                 \
        if (strncmp(refusal, "FAIL", 4) != 0 && strncmp(refusal, "ERR", 3) != 0)                             \
            fail_msg("answered '%s'", refusal);                                                              \
        assert_answer(q, "OK little", "endianness");                                                         \
    } while (0)

static void handshake_and_sigterm(void **state)
{
    struct qtest *q = start(state);

    assert_answer(q, "OK little", "endianness");
    kill(qtest_pid(q), SIGTERM);
    int status = qtest_wait_exit(q);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void quit_by_qmp_ends_with_status_0(void **state)
{
    struct qtest *q = start(state);

    json_decref(qtest_qmp(q, "{'execute': 'quit'}"));
    int status = qtest_wait_exit(q);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void answer_forms_of_ports(void **state)
{
    struct qtest *q = start(state);

    /* A doubleword register that keeps what is written. */
    assert_answer(q, "OK", "outl 0xcf8 0x80000804");
    assert_answer(q, "OK 0x80000804", "inl 0xcf8");
    assert_answer(q, "OK", "outb 0x70 0x0e");
    assert_answer(q, "OK", "outb 0x71 0xa5");
    assert_int_equal(qtest_inb(q, 0x71), 0xA5);
    assert_true(strncmp(qtest_command(q, "inb 0"), "OK 0x", 5) == 0);
    assert_true(strncmp(qtest_command(q, "inw 0x80"), "OK 0x", 5) == 0);
}

static void numbers_take_any_base(void **state)
{
    struct qtest *q = start(state);

    assert_answer(q, "OK", "outl 3320 2147485696");
    assert_int_equal(qtest_inl(q, 0xCF8), 0x80000800);
    assert_answer(q, "OK", "outl 06370 0x80000800");
    assert_int_equal(strtoull(qtest_command(q, "inl 06370") + 3, NULL, 0), 0x80000800);
}

static void values_are_cut_to_the_access(void **state)
{
    struct qtest *q = start(state);

    qtest_writeq(q, RAM, 0);
    assert_answer(q, "OK", "writeb 0x%llx 0x1234", RAM);
    assert_int_equal(qtest_readq(q, RAM), 0x34);
    assert_answer(q, "OK", "writew 0x%llx 0x12345678", RAM);
    assert_int_equal(qtest_readq(q, RAM), 0x5678);
    assert_answer(q, "OK", "writel 0x%llx 0x123456789", RAM);
    assert_int_equal(qtest_readq(q, RAM), 0x23456789);
}

static void memory_of_each_size_is_little_endian(void **state)
{
    struct qtest *q = start(state);

    qtest_writeq(q, RAM, 0x8877665544332211);
    assert_int_equal(qtest_readb(q, RAM), 0x11);
    assert_int_equal(qtest_readw(q, RAM + 1), 0x3322);
    assert_int_equal(qtest_readl(q, RAM + 3), 0x77665544);
    assert_int_equal(qtest_readq(q, RAM), 0x8877665544332211);
    assert_answer(q, "OK 0x8877665544332211", "readq 0x%llx", RAM);
}

static void read_and_write_blocks(void **state)
{
    struct qtest *q = start(state);

    assert_answer(q, "OK", "write 0x%llx 4 0x11223344", RAM);
    assert_answer(q, "OK 0x11223344", "read 0x%llx 4", RAM);
    assert_answer(q, "OK 0x2233", "read 0x%llx 0x2", RAM + 1);
    assert_int_equal(qtest_readl(q, RAM), 0x44332211);
}

static void an_odd_last_digit_is_no_byte(void **state)
{
    struct qtest *q = start(state);

    qtest_memset(q, RAM, 0x55, 8);
    assert_answer(q, "OK", "write 0x%llx 4 0xabc", RAM);
    assert_answer(q, "OK 0xab00000055555555", "read 0x%llx 8", RAM);
    assert_answer(q, "OK", "write 0x%llx 4 0xabcdefa", RAM);
    assert_answer(q, "OK 0xabcdef00", "read 0x%llx 4", RAM);
    assert_true(strncmp(qtest_command(q, "write 0x%llx 4 0xag", RAM), "ERR", 3) == 0);
}

static void short_write_data_is_filled_with_zeros(void **state)
{
    struct qtest *q = start(state);

    qtest_memset(q, RAM, 0xFF, 16);
    assert_answer(q, "OK", "write 0x%llx 8 0x1122", RAM);
    assert_answer(q, "OK 0x1122000000000000ffff", "read 0x%llx 10", RAM);
}

static void long_write_data_is_cut(void **state)
{
    struct qtest *q = start(state);

    qtest_memset(q, RAM, 0xFF, 16);
    assert_answer(q, "OK", "write 0x%llx 2 0x1122334455", RAM);
    assert_answer(q, "OK 0x1122ffff", "read 0x%llx 4", RAM);
}

static void memset_fills_exactly(void **state)
{
    struct qtest *q = start(state);

    qtest_memset(q, RAM, 0, 32);
    assert_answer(q, "OK", "memset 0x%llx 8 0xab", RAM + 4);
    assert_answer(q, "OK 0x0000abababababababab0000", "read 0x%llx 12", RAM + 2);
}

static void memset_of_nothing_is_fine(void **state)
{
    struct qtest *q = start(state);

    qtest_writel(q, RAM, 0x12345678);
    assert_answer(q, "OK", "memset 0x%llx 0 0xab", RAM);
    assert_int_equal(qtest_readl(q, RAM), 0x12345678);
}

static void base64_forms(void **state)
{
    struct qtest *q = start(state);

    assert_answer(q, "OK", "b64write 0x%llx 4 AAECAw==", RAM);
    assert_answer(q, "OK", "b64write 0x%llx 6 AZaz09+/", RAM + 16);
    assert_answer(q, "OK AZaz09+/", "b64read 0x%llx 6", RAM + 16);
    assert_answer(q, "OK AAECAw==", "b64read 0x%llx 4", RAM);
    assert_answer(q, "OK AAEC", "b64read 0x%llx 3", RAM);
    assert_answer(q, "OK AAE=", "b64read 0x%llx 2", RAM);
    assert_int_equal(qtest_readl(q, RAM), 0x03020100);
}

static void blocks_of_every_length_come_back(void **state)
{
    struct qtest *q = start(state);
    uint8_t sent[300], got[300];

    for (unsigned i = 0; i < sizeof(sent); i++)
        sent[i] = i * 7 + 3;
    for (unsigned n = 1; n < sizeof(sent); n += 1 + n / 16) {
        qtest_memset(q, RAM, 0xEE, n + 1);
        qtest_memwrite(q, RAM, sent, n);
        memset(got, 0, sizeof(got));
        qtest_memread(q, RAM, got, n);
        assert_memory_equal(sent, got, n);
        assert_int_equal(qtest_readb(q, RAM + n), 0xEE);
    }
}

static void a_megabyte_in_one_command(void **state)
{
    struct qtest *q = start(state);
    size_t size = 1 << 20;
    uint8_t *sent = test_malloc(size), *got = test_malloc(size);

    for (size_t i = 0; i < size; i++)
        sent[i] = i ^ i >> 8 ^ i >> 16;
    qtest_memwrite(q, RAM, sent, size);
    qtest_memread(q, RAM, got, size);
    assert_memory_equal(sent, got, size);
    test_free(sent);
    test_free(got);
}

static void blocks_reach_device_windows(void **state)
{
    /* The plane-less text window of the VGA in its mode after reset. */
    struct qtest *q = *state = qtest_start("-m 64 -nodefaults -vga std");

    assert_true(strncmp(qtest_command(q, "read 0xa0000 16"), "OK 0x", 5) == 0);
    assert_answer(q, "OK", "memset 0xa0000 64 0x20");
    assert_answer(q, "OK", "write 0xb8000 4 0x41074207");
}

static void memory_where_nothing_is(void **state)
{
    struct qtest *q = start(state);

    qtest_writeq(q, 0xF0000000, 0x1234);
    qtest_readq(q, 0xF0000000);
    qtest_readb(q, UINT64_MAX);
    qtest_readq(q, UINT64_MAX);
    qtest_writeq(q, UINT64_MAX - 3, 1);
    /* the end of RAM, crossing */
    qtest_writeq(q, (64 << 20) - 4, 0x1122334455667788);
    assert_int_equal(qtest_readl(q, (64 << 20) - 4), 0x55667788);
    assert_answer(q, "OK little", "endianness");
}

static void blocks_beyond_the_address_space_end(void **state)
{
    struct qtest *q = start_ours(state);

    qtest_command(q, "read 0xffffffffffffffff 4");
    qtest_command(q, "write 0xfffffffffffffffe 4 0x11223344");
    qtest_command(q, "memset 0xffffffffffffff00 0x200 1");
    assert_answer(q, "OK little", "endianness");
}

static void ports_at_the_end_of_the_space(void **state)
{
    struct qtest *q = start(state);

    qtest_inl(q, 0xFFFF);
    qtest_inw(q, 0xFFFF);
    qtest_outl(q, 0xFFFE, 0x12345678);
    assert_answer(q, "OK little", "endianness");
}

static void many_commands_in_one_write(void **state)
{
    struct qtest *q = start(state);
    static const char commands[] = "writel 0x100000 1\nwritel 0x100004 2\nreadq 0x100000\nendianness\n";

    qtest_send(q, commands, sizeof(commands) - 1);
    assert_string_equal(qtest_answer(q), "OK");
    assert_string_equal(qtest_answer(q), "OK");
    assert_string_equal(qtest_answer(q), "OK 0x0000000200000001");
    assert_string_equal(qtest_answer(q), "OK little");
}

static void a_command_in_single_bytes(void **state)
{
    struct qtest *q = start(state);
    static const char command[] = "readl 0x100000\n";

    qtest_writel(q, RAM, 0xCAFE);
    for (size_t i = 0; i < sizeof(command) - 1; i++) {
        qtest_send(q, command + i, 1);
        usleep(200);
    }
    assert_int_equal(strtoull(qtest_answer(q) + 3, NULL, 0), 0xCAFE);
}

static void unknown_verbs_are_refused(void **state)
{
    struct qtest *q = start(state);

    assert_refused(q, "bogus");
    assert_refused(q, "OK");
    assert_refused(q, "rtas x y");
}

static void malformed_lines_are_refused(void **state)
{
    struct qtest *q = start_ours(state);
    static const char *const lines[] = {
        "outb",
        "outb 0x80",
        "outb zz 1",
        "outb 0x80 zz",
        "inb",
        "inl 0x10000000000000000",
        "readb",
        "writeq 1",
        "read 0x1000",
        "read 0x1000 zz",
        "write 0x1000 4",
        "write 0x1000",
        "memset 0x1000 16",
        "b64read 0x1000",
        "b64write 0x1000 4",
        "irq_intercept_in",
        "irq_intercept_out",
        "set_irq_in",
        "set_irq_in ioapic",
        "set_irq_in nosuch unnamed-gpio-in 4 1",
        "irq_intercept_in nosuch",
        "clock_set",
        "clock_step zz",
        "read 0x1000 0x10000000000",
        "memset 0x1000 0xffffffffffffffff 1x",
    };

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        print_message("%s\n", lines[i]);
        assert_refused(q, "%s", lines[i]);
    }
}

/* Whatever it answers, it stays. */
static void garbage_is_harmless(void **state)
{
    struct qtest *q = start_ours(state);
    static const char *const lines[] = {
        "  outb  0x80  1",
        "\x01\x02\xff\xfe",
        "%s%n%s",
        "outb 0x80 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18",
        "write 0x1000 4 0xzz",
        "write 0x1000 4 1122",
        "b64write 0x1000 4 !!!!",
        "b64write 0x1000 4 AAECAwAAECAwAAECAw==",
        "clock_step -5",
        "outb 0x80 0x1ff",
        "outb 0x10080 1",
        "read 0x1000 0",
    };

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        print_message("%s\n", lines[i]);
        qtest_command(q, "%s", lines[i]);
        assert_answer(q, "OK little", "endianness");
    }
}

static void empty_lines_and_nul_bytes_are_harmless(void **state)
{
    struct qtest *q = start_ours(state);
    static const char bytes[] = "\n\n \n\t\t\n\0\n\0outb\0 1\n\r\nendianness\n";
    const char *answer;

    qtest_send(q, bytes, sizeof(bytes) - 1);
    do
        answer = qtest_answer(q);
    while (strcmp(answer, "OK little") != 0);
    assert_answer(q, "OK little", "endianness");
}

/* A line that never ends is given up before it fills the memory: refused or the connection closed, not a
 * crash. */
static void an_endless_line_does_not_fill_the_memory(void **state)
{
    struct qtest *q = start_ours(state);
    char *line = test_malloc(1 << 20);

    memset(line, 'x', 1 << 20);
    for (unsigned i = 0; i < 4; i++)
        qtest_send(q, line, 1 << 20);
    test_free(line);
    const char *answer = qtest_command(q, "x");
    assert_true(strncmp(answer, "FAIL", 4) == 0 || strncmp(answer, "ERR", 3) == 0);
}

/* What the barrier waits for, the cards' tests show: frames that were sent before it have arrived. */
static void what_follows_a_barrier_waits_for_it(void **state)
{
    struct qtest *q = start_ours(state);
    static const char commands[] = "barrier\nwritel 0x100000 0xBEEF\nbarrier\nreadl 0x100000\n";

    qtest_send(q, commands, sizeof(commands) - 1);
    for (int i = 0; i < 3; i++)
        assert_string_equal(qtest_answer(q), "OK");
    assert_int_equal(strtoull(qtest_answer(q) + 3, NULL, 0), 0xBEEF);
}

static void the_clock_moves_only_when_told(void **state)
{
    struct qtest *q = start_ours(state);
    int64_t start = qtest_clock_step(q, 0);

    qtest_barrier(q);
    assert_int_equal(qtest_clock_step(q, 0), start);
    assert_int_equal(qtest_clock_step(q, 1000), start + 1000);
    assert_int_equal(qtest_clock_set(q, start + 5000), start + 5000);
    /* not backwards */
    assert_int_equal(qtest_clock_set(q, start), start + 5000);
    assert_int_equal(qtest_clock_step(q, 0), start + 5000);
}

/* The RTC's periodic interrupt at 1024 Hz is a deadline that is known. */
static void clock_step_without_argument_goes_to_the_next_deadline(void **state)
{
    struct qtest *q = start_ours(state);
    int64_t now = qtest_clock_step(q, 0);

    qtest_irq_intercept_in(q, "ioapic");
    qtest_outb(q, 0x70, 0x0A);
    qtest_outb(q, 0x71, 0x26);
    qtest_outb(q, 0x70, 0x0B);
    qtest_outb(q, 0x71, 0x42);
    for (unsigned i = 0; i < 100 && !qtest_irq(q, 8); i++) {
        int64_t next = qtest_clock_step_next(q);
        assert_true(next >= now);
        now = next;
    }
    assert_true(qtest_irq(q, 8));
}

static void interrupt_lines_come_before_the_answer(void **state)
{
    struct qtest *q = start(state);

    qtest_irq_intercept_in(q, "ioapic");
    assert_false(qtest_irq(q, 4));
    /* The UART's transmitter is empty: enabling that interrupt raises line 4 at once. */
    qtest_outb(q, 0x3FC, 0x08);
    qtest_outb(q, 0x3F9, 0x02);
    assert_true(qtest_irq(q, 4));
    assert_int_equal(qtest_irq_raised(q, 4), 1);
    /* Edges only: what changes nothing says nothing. */
    qtest_outb(q, 0x3F9, 0x02);
    assert_int_equal(qtest_irq_raised(q, 4), 1);
    qtest_outb(q, 0x3F9, 0x00);
    assert_false(qtest_irq(q, 4));
}

static void no_interrupt_lines_without_an_intercept(void **state)
{
    struct qtest *q = start(state);

    qtest_outb(q, 0x3FC, 0x08);
    qtest_outb(q, 0x3F9, 0x02);
    qtest_outb(q, 0x3F9, 0x00);
    assert_int_equal(qtest_irq_raised(q, 4), 0);
}

static void intercept_may_be_asked_twice(void **state)
{
    struct qtest *q = start(state);

    assert_answer(q, "OK", "irq_intercept_in ioapic");
    assert_answer(q, "OK", "irq_intercept_in ioapic");
}

static void qmp_and_events_beside_the_port(void **state)
{
    struct qtest *q = start(state);

    json_t *status = qtest_qmp_ok(q, "{'execute': 'query-status'}");
    assert_non_null(json_object_get(status, "status"));
    json_decref(status);
    json_decref(qtest_qmp_ok(q, "{'execute': 'system_reset'}"));
    json_decref(qtest_qmp_event(q, "RESET"));
    assert_answer(q, "OK little", "endianness");
}

static void a_bad_option_is_refused_before_anything_starts(void **state)
{
    char *text;

    assert_int_equal(qtest_start_failing("-no-such-option", &text), 1);
    assert_non_null(strstr(text, "no-such-option"));
    free(text);
}

static void a_test_port_that_nobody_listens_at_is_refused(void **state)
{
    char *text;

    assert_int_equal(qtest_start_failing("-qtest unix:/nonexistent/socket", &text), 1);
    assert_non_null(strstr(text, "/nonexistent/socket"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        qtest_unit_test(handshake_and_sigterm),
        qtest_unit_test(quit_by_qmp_ends_with_status_0),
        qtest_unit_test(answer_forms_of_ports),
        qtest_unit_test(numbers_take_any_base),
        qtest_unit_test(values_are_cut_to_the_access),
        qtest_unit_test(memory_of_each_size_is_little_endian),
        qtest_unit_test(read_and_write_blocks),
        qtest_unit_test(short_write_data_is_filled_with_zeros),
        qtest_unit_test(an_odd_last_digit_is_no_byte),
        qtest_unit_test(long_write_data_is_cut),
        qtest_unit_test(memset_fills_exactly),
        qtest_unit_test(memset_of_nothing_is_fine),
        qtest_unit_test(base64_forms),
        qtest_unit_test(blocks_of_every_length_come_back),
        qtest_unit_test(a_megabyte_in_one_command),
        qtest_unit_test(blocks_reach_device_windows),
        qtest_unit_test(memory_where_nothing_is),
        qtest_unit_test(blocks_beyond_the_address_space_end),
        qtest_unit_test(ports_at_the_end_of_the_space),
        qtest_unit_test(many_commands_in_one_write),
        qtest_unit_test(a_command_in_single_bytes),
        qtest_unit_test(unknown_verbs_are_refused),
        qtest_unit_test(malformed_lines_are_refused),
        qtest_unit_test(garbage_is_harmless),
        qtest_unit_test(empty_lines_and_nul_bytes_are_harmless),
        qtest_unit_test(an_endless_line_does_not_fill_the_memory),
        qtest_unit_test(the_clock_moves_only_when_told),
        qtest_unit_test(clock_step_without_argument_goes_to_the_next_deadline),
        qtest_unit_test(interrupt_lines_come_before_the_answer),
        qtest_unit_test(no_interrupt_lines_without_an_intercept),
        qtest_unit_test(intercept_may_be_asked_twice),
        qtest_unit_test(qmp_and_events_beside_the_port),
        qtest_unit_test(what_follows_a_barrier_waits_for_it),
        cmocka_unit_test(a_bad_option_is_refused_before_anything_starts),
        cmocka_unit_test(a_test_port_that_nobody_listens_at_is_refused),
    };

    return cmocka_run_group_tests_name("test port", tests, NULL, NULL);
}
