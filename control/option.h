/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A row of the command line: an option's words, its help and what it means, exported as a table by the file
 * that does what the option says. command_line.c walks the tables.
 */
#ifndef CONTROL_OPTION_H
#define CONTROL_OPTION_H

#include "control/options.h"

struct option {
    const char *name; /* without the dash; NULL: a heading */
    const char *arg;  /* what it takes, for people; NULL: nothing */
    const char *help; /* NULL: taken but not shown */
    bool (*apply)(struct options *o, const char *option, const char *arg, struct error *err);
    size_t flag, text; /* instead of apply: offset of a bool or of a const char * in struct options, plus 1 */
};

/* The end of a table. */
#define OPTIONS_END                                                                                          \
    {                                                                                                        \
        .name = NULL                                                                                         \
    }
#define HEADING(title)                                                                                       \
    {                                                                                                        \
        .help = (title)                                                                                      \
    }
#define FUNCTION(name_, arg_, fn, help_)                                                                     \
    {                                                                                                        \
        .name = (name_), .arg = (arg_), .apply = (fn), .help = (help_)                                       \
    }
#define FLAG(name_, field, help_)                                                                            \
    {                                                                                                        \
        .name = (name_), .flag = offsetof(struct options, field) + 1, .help = (help_)                        \
    }
#define TEXT(name_, arg_, field, help_)                                                                      \
    {                                                                                                        \
        .name = (name_), .arg = (arg_), .text = offsetof(struct options, field) + 1, .help = (help_)         \
    }
#define IGNORED(name_, arg_)                                                                                 \
    {                                                                                                        \
        .name = (name_), .arg = (arg_)                                                                       \
    }

#endif
