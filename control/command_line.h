/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line: walks argv by the rows of all tables. Options are only collected here, in any order; what
 * they name (files, each other) is looked at when the machine is built (build.c).
 */
#ifndef CONTROL_COMMAND_LINE_H
#define CONTROL_COMMAND_LINE_H

#include "control/options.h"

/* False with *err: the first mistake. Strings of argv are kept. */
bool command_line_parse(struct options *options, int argc, char **argv, struct error *err);

#endif
