/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Errors that a person reads: one clear line that says what is wrong and where. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>

struct error {
    char text[1024]; /* one line without a newline; empty: no error */
};

/* Sets *err (which may be NULL) and returns false, so that `return error_set(...)` is a failing function's
 * last line. */
bool error_set(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "text: " in front of an error that is set already; returns false. */
bool error_prefix(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The candidate nearest to name by edit distance, NULL where none is near: for "did you mean". The list ends
 * with NULL. */
const char *error_nearest(const char *name, const char *const *candidates);

#endif
