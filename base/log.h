/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages on standard error. What a guest, a viewer or an image can cause goes through log_limited. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

/* A line "hvm-dm: ..." on standard error; for things that happen a few times in the life of a process. */
void log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * The same for what outsiders can cause at will: at most LOG_LIMIT lines are written in the life of the
 * process, the last says that the rest is dropped (XSA-180: a guest must not be able to fill the host's
 * disk).
 */
#define LOG_LIMIT 1000
void log_limited(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
