/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmocka with the headers that it wants before itself; and what our test programs share. */
#ifndef TESTS_LIB_CMOCKA_H
#define TESTS_LIB_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* in this order */
#include <cmocka.h>

#include "tests/lib/qtest.h"

/* A test that starts a server keeps it in *state; this is its teardown: ends it, and checks how it ended. */
static inline int teardown_qtest(void **state)
{
    struct qtest *q = *state;

    *state = NULL;
    qtest_stop(q);
    return 0;
}

#define qtest_unit_test(f) cmocka_unit_test_teardown(f, teardown_qtest)

#endif
