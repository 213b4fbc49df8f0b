/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Waiting for what comes in its own time: from another thread, another process, the kernel. */
#ifndef TESTS_LIB_WAIT_H
#define TESTS_LIB_WAIT_H

#include <time.h>
#include <unistd.h>

#include "tests/lib/qtest.h"

/* Seconds that a test waits for what must happen: many, for a test that works ends its wait at once, and a
 * busy machine may keep the other side from running for long. */
#define PATIENCE (60 * qtest_timeout_scale())

/* Whether the condition became true; looked at again and again until then. */
#define SOON(condition)                                                                                      \
    ({                                                                                                       \
        time_t end_ = time(NULL) + (time_t)PATIENCE;                                                         \
        bool good_;                                                                                          \
        while (!(good_ = (condition)) && time(NULL) <= end_)                                                 \
            usleep(500);                                                                                     \
        good_;                                                                                               \
    })

#endif
