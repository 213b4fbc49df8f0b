/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest that goes to sleep (S3), as ACPI has it. */
#ifndef TESTS_LIB_SUSPEND_H
#define TESTS_LIB_SUSPEND_H

#include "tests/lib/cmocka.h"
#include "tests/lib/qpci.h"

enum { SUSPEND_PM_BASE = 0x600 }; /* where suspend puts the power management chip's registers */

/* Asks for S3; the guest runs from then on. */
static inline void suspend(struct qtest *q)
{
    struct qpci pm = qpci_get(q, 0x8086, 0x7113);

    qpci_writel(&pm, 0x40, SUSPEND_PM_BASE | 1);
    qpci_writeb(&pm, 0x80, 1);
    json_decref(qtest_qmp_ok(q, "{'execute': 'cont'}"));
    qtest_outw(q, SUSPEND_PM_BASE + 4, 0x2400); /* SLP_EN, S3 */
    json_decref(qtest_qmp_event(q, "SUSPEND"));
}

/* The guest is woken, by itself or, where it must sleep on, by hand. */
static inline void suspend_end(struct qtest *q, bool by_itself)
{
    if (!by_itself) {
        json_decref(qtest_qmp_ok(q, "{'execute': 'query-status'}"));
        assert_false(qtest_qmp_event_seen(q, "WAKEUP"));
        json_decref(qtest_qmp_ok(q, "{'execute': 'system_wakeup'}"));
    }
    json_decref(qtest_qmp_event(q, "WAKEUP"));
}

#endif
