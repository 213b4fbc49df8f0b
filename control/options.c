/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/options.h"

#include <jansson.h>
#include <string.h>

#include "base/xalloc.h"

void options_add(struct opts_list *list, struct opts *opts)
{
    list->items = xrealloc(list->items, (list->count + 1) * sizeof(list->items[0]));
    list->items[list->count++] = opts;
}

void options_add_string(struct string_list *list, const char *text)
{
    list->items = xrealloc(list->items, (list->count + 2) * sizeof(list->items[0]));
    list->items[list->count++] = text;
    list->items[list->count] = NULL;
}

/* A copy that lives as long as the options. */
const char *options_keep(struct options *o, const char *text)
{
    char *copy = xstrdup(text);

    options_add_string(&o->kept, copy);
    return copy;
}

bool options_collect(struct opts_list *list, const char *option, const char *arg, const char *implied,
                     const char *const *known, struct error *err)
{
    struct opts *opts = opts_parse(option, arg, implied, known, err);

    if (opts)
        options_add(list, opts);
    return opts;
}

static void flatten(struct opts *opts, const char *prefix, json_t *object);

static void flatten_value(struct opts *opts, const char *name, json_t *value)
{
    char number[32];
    size_t i;
    json_t *member;

    snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    if (json_is_object(value))
        flatten(opts, name, value);
    else if (json_is_array(value))
        json_array_foreach(value, i, member) flatten_value(opts, name, member);
    else if (json_is_string(value))
        opts_add(opts, name, json_string_value(value));
    else
        opts_add(opts, name,
                 json_is_integer(value) ? number
                 : json_is_null(value)  ? ""
                 : json_is_true(value)  ? "on"
                                        : "off");
}

/* {"driver": "file", "cache": {"direct": true}} becomes driver=file,cache.direct=on; an array is its member's
 * name given several times. */
static void flatten(struct opts *opts, const char *prefix, json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        char name[128];

        snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "." : "", key);
        flatten_value(opts, name, value);
    }
}

static struct opts *parse_json_opts(const char *option, const char *arg, struct error *err)
{
    json_error_t why;
    json_t *object = json_loads(arg, JSON_REJECT_DUPLICATES, &why);
    struct opts *opts;

    if (!json_is_object(object)) {
        error_set(err, "%s %s: not a JSON object: %s", option, arg, object ? "another value" : why.text);
        json_decref(object);
        return NULL;
    }
    opts = opts_new(option, arg);
    flatten(opts, "", object);
    json_decref(object);
    return opts;
}

bool options_collect_json(struct opts_list *list, const char *option, const char *arg, const char *implied,
                          struct error *err)
{
    struct opts *opts;

    if (arg[0] != '{')
        return options_collect(list, option, arg, implied, NULL, err);
    opts = parse_json_opts(option, arg, err);
    if (opts)
        options_add(list, opts);
    return opts;
}

bool options_name_device(const struct options *o, const char *driver)
{
    for (size_t i = 0; i < o->devices.count; i++) {
        const char *name = opts_get(o->devices.items[i], "driver");

        if (name && !strcmp(name, driver))
            return true;
    }
    return false;
}
