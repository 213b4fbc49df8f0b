/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/opts.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

bool unknown_name(struct error *err, const char *what, const char *name, const char *const *known)
{
    const char *nearest = error_nearest(name, known);

    return error_set(err, "there is no %s '%s'%s%s%s", what, name, nearest ? "; did you mean '" : "",
                     nearest ? nearest : "", nearest ? "'?" : "");
}

bool parse_number(const char *text, uint64_t *value)
{
    char *end;

    errno = 0;
    if (!isdigit((unsigned char)text[0]))
        return false;
    *value = strtoull(text, &end, 0);
    return !*end && !errno;
}

bool parse_size(const char *text, uint64_t unit, uint64_t *bytes)
{
    static const char suffixes[] = "bkmgt";
    uint64_t n;
    char *end;

    errno = 0;
    if (!isdigit((unsigned char)text[0]))
        return false;
    n = strtoull(text, &end, 0);
    if (*end) {
        const char *suffix = strchr(suffixes, tolower((unsigned char)*end));

        if (!suffix)
            return false;
        unit = 1ull << 10 * (suffix - suffixes);
        end++;
        if (tolower((unsigned char)*end) == 'b')
            end++;
    }
    return !*end && !errno && !__builtin_mul_overflow(n, unit, bytes);
}

bool parse_on_off(const char *text, bool *value)
{
    *value = !strcmp(text, "on") || !strcmp(text, "yes") || !strcmp(text, "true");
    return *value || !strcmp(text, "off") || !strcmp(text, "no") || !strcmp(text, "false");
}

struct opts *opts_new(const char *option, const char *text)
{
    struct opts *opts = xcalloc(1, sizeof(*opts));

    opts->option = xstrdup(option);
    opts->text = xstrdup(text);
    return opts;
}

void opts_add(struct opts *opts, const char *key, const char *value)
{
    opts->pairs = xrealloc(opts->pairs, (opts->count + 1) * sizeof(opts->pairs[0]));
    opts->pairs[opts->count++] = (struct opts_pair){xstrdup(key), xstrdup(value)};
}

void opts_free(struct opts *opts)
{
    if (!opts)
        return;
    for (size_t i = 0; i < opts->count; i++) {
        free(opts->pairs[i].key);
        free(opts->pairs[i].value);
    }
    free(opts->pairs);
    free(opts->option);
    free(opts->text);
    free(opts);
}

static bool is_known(const char *key, const char *const *known)
{
    for (; *known; known++)
        if (!strcmp(*known, key))
            return true;
    return false;
}

/* Copies the part at *text up to a single comma, each double one made single; *text is behind it then. */
static char *next_part(const char **text)
{
    char *part = xcalloc(strlen(*text) + 1, 1), *to = part;
    const char *from = *text;

    for (; *from; from++) {
        if (*from == ',' && from[1] != ',')
            break;
        if (*from == ',')
            from++;
        *to++ = *from;
    }
    *to = '\0';
    *text = *from ? from + 1 : from;
    return part;
}

static bool add_part(struct opts *opts, char *part, bool first, const char *implied, const char *const *known,
                     struct error *err)
{
    char *equals = strchr(part, '=');
    const char *key = part, *value = "on";

    if (equals) {
        *equals = '\0';
        value = equals + 1;
    } else if (first && implied) {
        key = implied;
        value = part;
    } else if (known && !is_known(part, known) && !strncmp(part, "no", 2) && is_known(part + 2, known)) {
        key = part + 2;
        value = "off";
    }
    if (!key[0])
        return opts_error(opts, err, "an empty suboption");
    if (known && !is_known(key, known)) {
        unknown_name(err, "suboption", key, known);
        return error_prefix(err, "%s %s", opts->option, opts->text);
    }
    opts_add(opts, key, value);
    return true;
}

struct opts *opts_parse(const char *option, const char *text, const char *implied, const char *const *known,
                        struct error *err)
{
    struct opts *opts = opts_new(option, text);
    bool first = true;

    while (*text || first) {
        char *part = next_part(&text);
        bool ok = add_part(opts, part, first, implied, known, err);

        free(part);
        if (!ok) {
            opts_free(opts);
            return NULL;
        }
        first = false;
    }
    return opts;
}

const char *opts_get(const struct opts *opts, const char *key)
{
    for (size_t i = opts->count; i-- > 0;)
        if (!strcmp(opts->pairs[i].key, key))
            return opts->pairs[i].value;
    return NULL;
}

bool opts_error(const struct opts *opts, struct error *err, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return error_set(err, "%s %s: %s", opts->option, opts->text, text);
}

bool opts_bool(const struct opts *opts, const char *key, bool *value, struct error *err)
{
    const char *text = opts_get(opts, key);

    if (text && !parse_on_off(text, value))
        return opts_error(opts, err, "%s takes on or off, not '%s'", key, text);
    return true;
}

bool opts_number(const struct opts *opts, const char *key, uint64_t min, uint64_t max, uint64_t *value,
                 struct error *err)
{
    const char *text = opts_get(opts, key);
    uint64_t n;

    if (!text)
        return true;
    if (!parse_number(text, &n) || n < min || n > max)
        return opts_error(opts, err, "%s takes a number from %llu to %llu, not '%s'", key,
                          (unsigned long long)min, (unsigned long long)max, text);
    *value = n;
    return true;
}
