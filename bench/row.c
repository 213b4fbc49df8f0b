/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bench/row.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/qtest.h"

enum { MAX_RUNS = 31 };

static jmp_buf failed;

/* A subject that dies or says no loses its measurement, not the whole run. */
static void on_failure(struct qtest *q, const char *message)
{
    fprintf(stderr, "  %.400s\n", message);
    qtest_stop(q);
    longjmp(failed, 1);
}

static double measure_once(const struct row *row, const struct subject *subject)
{
    if (setjmp(failed))
        return NAN;
    return row->measure(subject, row->arg);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, unsigned count)
{
    if (count == 0)
        return NAN;
    qsort(values, count, sizeof(*values), by_value);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void measure_row(const struct row *row, const struct subject subjects[2], double result[2])
{
    double values[2][MAX_RUNS];
    unsigned counts[2] = {0, 0}, runs = row->runs < MAX_RUNS ? row->runs : MAX_RUNS;
    bool given_up[2] = {false, false};

    for (unsigned run = 0; run < runs; run++)
        for (unsigned s = 0; s < 2; s++) {
            if (given_up[s])
                continue;
            double value = measure_once(row, &subjects[s]);
            if (isnan(value))
                given_up[s] = true;
            else
                values[s][counts[s]++] = value;
        }
    for (unsigned s = 0; s < 2; s++)
        result[s] = median(values[s], given_up[s] ? 0 : counts[s]);
}

static const char *number_text(char *text, size_t room, double value)
{
    if (isnan(value))
        snprintf(text, room, "-");
    else
        snprintf(text, room,
                 value >= 100  ? "%.0f"
                 : value >= 10 ? "%.1f"
                 : value >= 1  ? "%.2f"
                               : "%.3f",
                 value);
    return text;
}

/* How many times better; where the peer's figure or ours is zero there is no ratio to print. */
static const char *ahead_text(char *text, size_t room, const struct row *row, const double result[2])
{
    double ratio = row->more_is_better ? result[0] / result[1] : result[1] / result[0];

    if (isnan(ratio))
        snprintf(text, room, isnan(result[0]) || isnan(result[1]) ? "-" : "1.0x");
    else if (isinf(ratio))
        snprintf(text, room, "all");
    else
        snprintf(text, room, ratio >= 0.95 ? "%.1fx" : "%.2fx", ratio);
    return text;
}

static void print_row(const struct row *row, const double result[2])
{
    char ours[32], peers[32], ahead[32];

    printf("  %-62s %-6s %9s %9s %8s", row->name, row->unit, number_text(ours, sizeof(ours), result[0]),
           number_text(peers, sizeof(peers), result[1]), ahead_text(ahead, sizeof(ahead), row, result));
    if (row->aim > 0 && !isnan(result[0])) {
        bool met = row->more_is_better ? result[0] >= row->aim : result[0] <= row->aim;
        printf("  aim %s %g: %s", row->more_is_better ? ">=" : "<=", row->aim, met ? "met" : "missed");
    }
    printf("\n");
    fflush(stdout);
}

static bool wanted(const struct row *row, char **patterns)
{
    if (!*patterns)
        return true;
    for (; *patterns; patterns++)
        if (strstr(row->name, *patterns))
            return true;
    return false;
}

unsigned rows_run(const struct row_table *tables, size_t count, const struct subject subjects[2],
                  char **patterns)
{
    unsigned lost = 0;

    qtest_on_failure(on_failure);
    printf("%-64s %-6s %9s %9s %8s\n", "", "", "hvm-dm", "QEMU", "ahead");
    for (size_t t = 0; t < count; t++) {
        bool titled = false;
        for (size_t i = 0; i < tables[t].count; i++) {
            const struct row *row = &tables[t].rows[i];
            double result[2];
            if (!wanted(row, patterns))
                continue;
            if (!titled)
                printf("%s\n", tables[t].title);
            titled = true;
            measure_row(row, subjects, result);
            print_row(row, result);
            lost += isnan(result[0]);
        }
    }
    qtest_on_failure(NULL);
    return lost;
}
