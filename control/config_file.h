/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options in a file, in QEMU's form: a section [GROUP] or [GROUP "ID"] for each option, and in it lines of
 * the form KEY = "VALUE". Lines that begin with # mean nothing.
 */
#ifndef CONTROL_CONFIG_FILE_H
#define CONTROL_CONFIG_FILE_H

#include "control/options.h"

/* An option by its name without the dash. */
typedef bool config_apply(struct options *o, const char *name, const char *arg, struct error *err);

/* False with *err, which names the file and the line: not such a file, or an option that is refused. */
bool config_file_read(struct options *o, const char *path, config_apply *apply, struct error *err);

/* Remembers an option for config_file_write, if it is one of those that have sections. */
void config_file_note(struct options *o, const char *name, const char *arg);
/* Writes what was noted; "-" is standard output. */
bool config_file_write(const struct options *o, const char *path, struct error *err);

#endif
