/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest's way from one process to another, by QMP's migrate and -incoming, and what is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/cmocka.h"
#include "tests/lib/qtest.h"

#define BOARD "-nodefaults -vga none -m 32"

static const char *status_of(struct qtest *q)
{
    static char status[64];
    json_t *answer = qtest_qmp_ok(q, "{'execute': 'query-status'}");

    snprintf(status, sizeof(status), "%s", json_string_value(json_object_get(answer, "status")));
    json_decref(answer);
    return status;
}

static void migrate(struct qtest *q, const char *uri)
{
    json_decref(qtest_qmp_ok(q, "{'execute': 'migrate', 'arguments': {'uri': '%s'}}", uri));
}

/* What the error of a command says; it has to fail. */
static void refused(struct qtest *q, const char *command, const char *says)
{
    json_t *answer = qtest_qmp(q, "%s", command);
    const char *text = json_string_value(json_object_get(json_object_get(answer, "error"), "desc"));

    if (!text || !strstr(text, says))
        fail_msg("%s: %s", command, text ? text : "not refused");
    json_decref(answer);
}

/* The destination runs beside the source, with the same disk: one of them has it at a time. */
static void memory_state_and_disk_change_hands(void **state)
{
    const char *disk = qtest_temp_file(".raw", 1 << 20), *place = qtest_temp_file(".sock", 0);
    char options[400], uri[200];
    struct qtest *from, *to;

    snprintf(options, sizeof(options), BOARD " -drive file=%s,format=raw,if=ide", disk);
    snprintf(uri, sizeof(uri), "unix:%s", place);
    from = qtest_start(options);
    qtest_writel(from, 0x123450, 0xC0FFEE);
    qtest_outb(from, 0x70, 0x40);
    qtest_outb(from, 0x71, 0x99);
    qtest_clock_step(from, 5000000);
    to = qtest_startf("%s -incoming %s", options, uri);
    assert_string_equal(status_of(to), "inmigrate");
    migrate(from, uri);
    assert_string_equal(status_of(from), "postmigrate");
    json_decref(qtest_qmp_event(to, "RESUME"));
    assert_string_equal(status_of(to), "running");
    assert_int_equal(qtest_readl(to, 0x123450), 0xC0FFEE);
    assert_int_equal(qtest_inb(to, 0x71), 0x99);
    assert_int_equal(qtest_clock_step(to, 0), 5000000);
    refused(from, "{'execute': 'cont'}", "is in use");
    qtest_stop(to);
    json_decref(qtest_qmp_ok(from, "{'execute': 'cont'}"));
    assert_string_equal(status_of(from), "running");
    assert_int_equal(qtest_readl(from, 0x123450), 0xC0FFEE);
    qtest_stop(from);
}

static void deferred(void **state)
{
    const char *file = qtest_temp_file(".state", 0);
    char uri[200];
    struct qtest *from = qtest_start(BOARD), *to = qtest_start(BOARD " -incoming defer -S");

    snprintf(uri, sizeof(uri), "file:%s", file);
    qtest_outb(from, 0x70, 0x2A);
    migrate(from, uri);
    refused(to, "{'execute': 'migrate', 'arguments': {'uri': 'file:/dev/null'}}", "waiting for an incoming");
    json_decref(qtest_qmp_ok(to, "{'execute': 'migrate-incoming', 'arguments': {'uri': '%s'}}", uri));
    assert_string_equal(status_of(to), "paused");
    json_decref(qtest_qmp_ok(to, "{'execute': 'cont'}"));
    assert_string_equal(status_of(to), "running");
    qtest_stop(from);
    qtest_stop(to);
}

/* What differs is said, and the process ends before the guest exists. */
static void another_machine_is_refused_by_name(void **state)
{
    static const struct {
        const char *board, *says;
    } cases[] = {
        {"-nodefaults -vga none -m 64", "ram is of 32768 KiB, and this machine's of 65536"},
        {BOARD " -device rtl8139", "it has: pci.0/02.0: rtl8139"},
        {BOARD " -device isa-serial,iobase=0x2f8,irq=3", "it has: isa.0/isa-serial: isa-serial"},
    };
    const char *file = qtest_temp_file(".state", 0);
    char uri[200], options[400];
    struct qtest *from = qtest_start(BOARD);

    snprintf(uri, sizeof(uri), "file:%s", file);
    migrate(from, uri);
    qtest_stop(from);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *said = NULL;

        snprintf(options, sizeof(options), "%s -incoming %s", cases[i].board, uri);
        assert_int_equal(qtest_start_failing(options, &said), 1);
        if (!strstr(said, cases[i].says))
            fail_msg("%s, not: %s", said, cases[i].says);
        free(said);
    }
}

/* Every byte of a state that is wrong is found: by its place, its range or the checksum. */
static void damaged_states_are_refused(void **state)
{
    const char *file = qtest_temp_file(".state", 0);
    char options[400], *said = NULL;
    struct qtest *from = qtest_start(BOARD);
    FILE *out;

    snprintf(options, sizeof(options), "file:%s", file);
    migrate(from, options);
    qtest_stop(from);
    snprintf(options, sizeof(options), BOARD " -incoming file:%s", file);
    out = fopen(file, "r+");
    assert_non_null(out);
    fseek(out, -100, SEEK_END);
    fputc(0xEE, out);
    fclose(out);
    assert_int_equal(qtest_start_failing(options, &said), 1);
    assert_non_null(strstr(said, "the saved state cannot be taken"));
    free(said);
    assert_int_equal(truncate(file, 300), 0);
    assert_int_equal(qtest_start_failing(options, &said), 1);
    assert_non_null(strstr(said, "-incoming file:"));
    free(said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_state_and_disk_change_hands),
        cmocka_unit_test(deferred),
        cmocka_unit_test(another_machine_is_refused_by_name),
        cmocka_unit_test(damaged_states_are_refused),
    };

    return cmocka_run_group_tests_name("migrate", tests, NULL, NULL);
}
