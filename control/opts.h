/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The argument of an option as a list of suboptions: "value,key=value,flag,noflag"; ",," is a comma in a
 * value. */
#ifndef CONTROL_OPTS_H
#define CONTROL_OPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct opts_pair {
    char *key, *value;
};

struct opts {
    char *option; /* "-drive" */
    char *text;   /* its argument as given, for messages */
    struct opts_pair *pairs;
    size_t count;
};

/*
 * Splits text. A first part without '=' is the value of implied (NULL: there is none such); another part
 * without '=' is a flag: "x" means x=on, and where x is not known but begins with "no", x=off. known lists
 * the keys that are taken, NULL: any. NULL with *err.
 */
struct opts *opts_parse(const char *option, const char *text, const char *implied, const char *const *known,
                        struct error *err);
/* The same from pairs that are made one by one; text is for messages. */
struct opts *opts_new(const char *option, const char *text);
void opts_add(struct opts *opts, const char *key, const char *value);
void opts_free(struct opts *opts);

/* The last value given for key, NULL: none. */
const char *opts_get(const struct opts *opts, const char *key);

/* Put what was given into *value and leave it alone if nothing was; false with *err: not such a value. */
bool opts_bool(const struct opts *opts, const char *key, bool *value, struct error *err);
bool opts_number(const struct opts *opts, const char *key, uint64_t min, uint64_t max, uint64_t *value,
                 struct error *err);

/* "-drive file=x,y: text", false. */
bool opts_error(const struct opts *opts, struct error *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Sets *err to: there is no WHAT 'name'; did you mean 'nearest'? Returns false. */
bool unknown_name(struct error *err, const char *what, const char *name, const char *const *known);

/* "1G", "64M", "0x1000"; unit multiplies a plain number. False: not a size, or more than 64 bits. */
bool parse_size(const char *text, uint64_t unit, uint64_t *bytes);
bool parse_number(const char *text, uint64_t *value);
bool parse_on_off(const char *text, bool *value);

#endif
