/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the test library share with each other and not with tests. */
#ifndef TESTS_LIB_QTEST_PRIVATE_H
#define TESTS_LIB_QTEST_PRIVATE_H

#include "tests/lib/qtest.h"

/* The next free address for a PCI BAR of that kind; qpci.c moves it on. */
uint64_t *qtest_next_io(struct qtest *q);
uint64_t *qtest_next_mem(struct qtest *q);

#endif
