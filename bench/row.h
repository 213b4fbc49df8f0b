/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A benchmark is a table of rows; each row is measured for every program in turn, several times, and printed
 * with the medians.
 *
 * To add rows: a file with a measuring function and a const array of struct row, and its line in main.c.
 */
#ifndef BENCH_ROW_H
#define BENCH_ROW_H

#include <stdbool.h>
#include <stddef.h>

struct subject {
    const char *program; /* what qtest_start_program takes */
    bool peer;           /* not hvm-dm */
};

struct row {
    const char *name, *unit;
    bool more_is_better;
    unsigned runs;
    double aim; /* what hvm-dm is to reach, in the unit; 0: only to be ahead */
    /* One measurement, in the unit; NAN: cannot be measured on this subject. arg is the row's. */
    double (*measure)(const struct subject *subject, int arg);
    int arg;
};

struct row_table {
    const char *title;
    const struct row *rows;
    size_t count;
};

/*
 * Measures and prints the rows of the tables whose name contains one of the patterns (all, if there are
 * none), for hvm-dm and its peer. Returns the number of rows that could not be measured on hvm-dm.
 */
unsigned rows_run(const struct row_table *tables, size_t count, const struct subject subjects[2],
                  char **patterns);

#endif
