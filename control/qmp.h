/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP: the protocol (qmp.c), and what a command gets and gives. */
#ifndef CONTROL_QMP_H
#define CONTROL_QMP_H

#include <jansson.h>

#include "control/monitor.h"

struct qmp_call {
    struct control *c;
    struct monitor *monitor; /* where the command came from */
    json_t *args;            /* an object, checked against the command's list; borrowed */
    json_t *result;          /* what "return" gets; NULL: an empty object */
    const char *error_class; /* NULL: GenericError */
    struct error err;        /* set where the command failed */
};

struct qmp_command {
    const char *name; /* NULL ends the table */
    /*
     * "name:type" words; type s text, i integer, n an integer or a text with one, b truth, a anything, l
     * list, o object; with '?' it may be missing. NULL: takes nothing.
     */
    const char *args;
    bool (*run)(struct qmp_call *call);
};

extern const struct monitor_kind qmp_monitor;

/* Commands of one file, which registers them before main: QMP_COMMANDS(rows, NULL). */
struct qmp_table {
    const struct qmp_command *commands;
    void (*clients_left)(struct control *c); /* the last client is gone; or NULL */
    const struct qmp_table *next;            /* the registry's */
};
void qmp_register(struct qmp_table *table);
#define QMP_COMMANDS(commands_, clients_left_)                                                               \
    static void __attribute__((constructor)) register_##commands_(void)                                      \
    {                                                                                                        \
        static struct qmp_table table = {.commands = (commands_), .clients_left = (clients_left_)};          \
        qmp_register(&table);                                                                                \
    }
/* All tables: pass NULL for the first. */
const struct qmp_table *qmp_next_table(const struct qmp_table *table);

/* Runs a command by name, with checked arguments; false: call->err. call->result is the caller's then. */
bool qmp_run(struct qmp_call *call, const char *name);

/* Arguments: NULL, 0 or the default given where it is missing. */
const char *qmp_text(const struct qmp_call *call, const char *name);
bool qmp_truth(const struct qmp_call *call, const char *name, bool missing);
int64_t qmp_integer(const struct qmp_call *call, const char *name, int64_t missing);

/* Sets call->err; returns false. */
bool qmp_fail(struct qmp_call *call, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Is any QMP client connected? */
bool qmp_connected(const struct control *c);

/* free for JSON: what a message held, a password perhaps, does not stay behind in memory. */
void qmp_free_wiped(void *memory);

#endif
