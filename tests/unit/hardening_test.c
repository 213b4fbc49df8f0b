/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the program is made of, and what its process keeps to itself: what an attacker of it would look at
 * first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/cmocka.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_differ_each_time),
        cmocka_unit_test(test_pointers_are_bound_at_once_and_read_only),
        cmocka_unit_test(test_stack_is_no_code),
        cmocka_unit_test(test_stack_is_watched),
        cmocka_unit_test(test_returns_are_checked),
        cmocka_unit_test(test_copies_know_the_size_of_their_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
