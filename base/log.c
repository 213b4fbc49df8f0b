/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static void log_va(const char *fmt, va_list ap)
{
    char line[1024] = "hvm-dm: ";
    int n = vsnprintf(line + 8, sizeof(line) - 9, fmt, ap);

    if (n < 0)
        return;
    n = n + 8 < (int)sizeof(line) - 1 ? n + 8 : (int)sizeof(line) - 2;
    line[n++] = '\n';
    /* One write a line: threads do not mix their lines, and a reader that is gone costs nothing. */
    if (write(STDERR_FILENO, line, n) < 0)
        return;
}

void log_line(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_va(fmt, ap);
    va_end(ap);
}

void log_limited(const char *fmt, ...)
{
    static atomic_uint lines;
    unsigned nth = atomic_fetch_add(&lines, 1);
    va_list ap;

    if (nth >= LOG_LIMIT) {
        atomic_store(&lines, LOG_LIMIT + 1);
        if (nth == LOG_LIMIT)
            log_line("too many messages: further ones are dropped");
        return;
    }
    va_start(ap, fmt);
    log_va(fmt, ap);
    va_end(ap);
}
