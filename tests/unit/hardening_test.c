/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the program is made of, and what its process keeps to itself: what an attacker of it would look at
 * first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/cmocka.h"
#include "tests/lib/qtest.h"

/* What readelf says of the program; in a buffer of its own. */
static const char *look(const char *options)
{
    static char text[1 << 20];
    char command[512];
    size_t size;
    FILE *pipe;

#ifdef __SANITIZE_ADDRESS__
    skip(); /* such a program is for finding faults, not for keeping them in */
#endif
    snprintf(command, sizeof(command), "readelf -W %s '%s'", options, getenv("HVM_DM"));
    pipe = popen(command, "r");
    assert_non_null(pipe);
    size = fread(text, 1, sizeof(text) - 1, pipe);
    text[size] = '\0';
    assert_int_equal(pclose(pipe), 0);
    return text;
}

static void expect(const char *text, const char *what)
{
    if (!strstr(text, what))
        fail_msg("%s: readelf says no such thing", what);
}

/* The line that begins so, after blanks. */
static const char *line_of(const char *text, const char *begin)
{
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += strspn(line, "\n ");
        if (!strncmp(line, begin, strlen(begin)))
            return line;
    }
    fail_msg("%s: readelf says no such thing", begin);
    return NULL;
}

static void test_addresses_differ_each_time(void **state)
{
    expect(look("-h"), "DYN (Position-Independent Executable file)");
}

static void test_pointers_are_bound_at_once_and_read_only(void **state)
{
    expect(look("-d"), "BIND_NOW");
    line_of(look("-l"), "GNU_RELRO");
}

static void test_stack_is_no_code(void **state)
{
    const char *line = line_of(look("-l"), "GNU_STACK");

    assert_true(strcspn(line, "E") > strcspn(line, "\n"));
}

static void test_stack_is_watched(void **state)
{
    expect(look("--dyn-syms"), "__stack_chk_fail");
}

static void test_returns_are_checked(void **state)
{
    expect(look("-n"), "SHSTK");
}

static void test_copies_know_the_size_of_their_place(void **state)
{
#ifdef __OPTIMIZE__
    expect(look("--dyn-syms"), "snprintf_chk");
#else
    skip();
#endif
}

/* ---- the process ---- */

/* KiB of the process's memory that stay out of a core dump. */
static unsigned long out_of_core(struct qtest *q)
{
    char path[64], line[512];
    unsigned long size = 0, sum = 0;
    FILE *smaps;

    snprintf(path, sizeof(path), "/proc/%d/smaps", qtest_pid(q));
    smaps = fopen(path, "r");
    assert_non_null(smaps);
    while (fgets(line, sizeof(line), smaps)) {
        sscanf(line, "Size: %lu kB", &size);
        if (!strncmp(line, "VmFlags:", 8) && strstr(line, " dd"))
            sum += size;
    }
    fclose(smaps);
    return sum;
}

#define MEMORY "-m 52 -vga none -device VGA,vgamem_mb=32"
enum { RAM_KIB = 52 << 10, VIDEO_KIB = 32 << 10 };

static void test_core_dumps_are_without_the_guest(void **state)
{
    struct qtest *q = qtest_start(MEMORY);

    assert_true(out_of_core(q) >= RAM_KIB + VIDEO_KIB);
    qtest_stop(q);
}

static void test_core_dumps_are_with_the_guest_if_asked(void **state)
{
    struct qtest *q = qtest_start(MEMORY " -machine pc,dump-guest-core=on");

#ifndef __SANITIZE_ADDRESS__ /* its shadow stays out */
    assert_true(out_of_core(q) < VIDEO_KIB);
#endif
    qtest_stop(q);
}

static void test_no_thread_gains_rights(void **state)
{
    struct qtest *q = qtest_start("-vnc 127.0.0.1:0,to=99");
    char command[128], line[128];
    unsigned threads = 0, value;
    FILE *pipe;

    snprintf(command, sizeof(command), "cat /proc/%d/task/*/status", qtest_pid(q));
    pipe = popen(command, "r");
    while (fgets(line, sizeof(line), pipe))
        if (sscanf(line, "NoNewPrivs: %u", &value) == 1) {
            assert_int_equal(value, 1);
            threads++;
        }
    pclose(pipe);
    assert_true(threads > 0);
    qtest_stop(q);
}

/* How often does the text stand in what the process can write to? */
static unsigned copies_of(struct qtest *q, const char *text)
{
    char path[64], line[512];
    unsigned long start, end;
    unsigned copies = 0;
    FILE *maps, *memory;

    snprintf(path, sizeof(path), "/proc/%d/maps", qtest_pid(q));
    maps = fopen(path, "r");
    snprintf(path, sizeof(path), "/proc/%d/mem", qtest_pid(q));
    memory = fopen(path, "r");
    assert_true(maps && memory);
    while (fgets(line, sizeof(line), maps)) {
        char mode[5], *bytes;
        size_t size;

        if (sscanf(line, "%lx-%lx %4s", &start, &end, mode) != 3 || strcmp(mode, "rw-p") ||
            end - start > 64 << 20)
            continue;
        bytes = malloc(end - start);
        fseek(memory, (long)start, SEEK_SET);
        size = fread(bytes, 1, end - start, memory);
        for (char *at = bytes; (at = memmem(at, size - (at - bytes), text, strlen(text))); at++)
            copies++;
        free(bytes);
    }
    fclose(memory);
    fclose(maps);
    return copies;
}

static void test_password_stands_in_one_place(void **state)
{
    static const char password[] = "Zq7#pW!k";
    char path[] = "/tmp/hardening-XXXXXX";
    int fd;
    struct qtest *q;

#ifdef __SANITIZE_ADDRESS__
    skip(); /* it has copies of its own */
#endif
    fd = mkstemp(path);
    assert_int_equal(write(fd, password, 8), 8);
    close(fd);
    q = qtest_startf("-m 4 -nodefaults -object secret,id=s,file=%s -vnc 127.0.0.1:0,to=99,password-secret=s",
                     path);
    unlink(path);
    assert_int_equal(copies_of(q, password), 1);
    json_decref(qtest_qmp_ok(q, "{'execute': 'change-vnc-password', 'arguments': {'password': 'yT3)kLm2'}}"));
    json_decref(qtest_qmp_ok(q, "{'execute': 'query-status'}"));
    assert_int_equal(copies_of(q, password), 0);
    assert_int_equal(copies_of(q, "yT3)kLm2"), 1);
    qtest_stop(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_differ_each_time),
        cmocka_unit_test(test_pointers_are_bound_at_once_and_read_only),
        cmocka_unit_test(test_stack_is_no_code),
        cmocka_unit_test(test_stack_is_watched),
        cmocka_unit_test(test_returns_are_checked),
        cmocka_unit_test(test_copies_know_the_size_of_their_place),
        cmocka_unit_test(test_core_dumps_are_without_the_guest),
        cmocka_unit_test(test_core_dumps_are_with_the_guest_if_asked),
        cmocka_unit_test(test_no_thread_gains_rights),
        cmocka_unit_test(test_password_stands_in_one_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
