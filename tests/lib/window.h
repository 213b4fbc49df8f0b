/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers that are in memory or in ports: accesses of 1, 2 or 4 bytes. */
#ifndef TESTS_LIB_WINDOW_H
#define TESTS_LIB_WINDOW_H

#include "tests/lib/qtest.h"

static inline uint32_t window_read(struct qtest *q, bool memory, uint64_t at, unsigned size)
{
    if (memory)
        return size == 4 ? qtest_readl(q, at) : size == 2 ? qtest_readw(q, at) : qtest_readb(q, at);
    return size == 4 ? qtest_inl(q, at) : size == 2 ? qtest_inw(q, at) : qtest_inb(q, at);
}

static inline void window_write(struct qtest *q, bool memory, uint64_t at, unsigned size, uint32_t value)
{
    if (size == 4)
        (memory ? qtest_writel(q, at, value) : qtest_outl(q, at, value));
    else if (size == 2)
        (memory ? qtest_writew(q, at, value) : qtest_outw(q, at, value));
    else
        (memory ? qtest_writeb(q, at, value) : qtest_outb(q, at, value));
}

#endif
