/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/config_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "base/xalloc.h"

/* A section's name, the option's, and the key of what comes first there. */
static const struct group {
    const char *name, *option, *implied;
} groups[] = {
    {"accel", "accel", "accel"},    {"boot-opts", "boot", "order"}, {"chardev", "chardev", "backend"},
    {"device", "device", "driver"}, {"drive", "drive", NULL},       {"global", "global", NULL},
    {"machine", "machine", "type"}, {"memory", "m", "size"},        {"mon", "mon", "chardev"},
    {"name", "name", "guest"},      {"netdev", "netdev", "type"},   {"object", "object", "qom-type"},
    {"rtc", "rtc", NULL},           {"smp-opts", "smp", "cpus"},
};

static const struct group *find_group(const char *name)
{
    for (size_t i = 0; i < COUNT(groups); i++)
        if (!strcmp(groups[i].name, name))
            return &groups[i];
    return NULL;
}

static bool unknown_group(const char *name, struct error *err)
{
    const char *names[COUNT(groups) + 1] = {NULL};

    for (size_t i = 0; i < COUNT(groups); i++)
        names[i] = groups[i].name;
    return unknown_name(err, "section", name, names);
}

/* ---- reading ---- */

struct config_reader {
    struct options *o;
    config_apply *apply;
    const struct group *group; /* of the section; NULL: before the first */
    char *arg;                 /* as it would stand on the command line */
    size_t length;
};

/* ",key=value" behind what is there, the value's commas doubled. */
static void reader_add(struct config_reader *r, const char *key, const char *value)
{
    char *at;

    r->arg = xrealloc(r->arg, r->length + strlen(key) + 2 * strlen(value) + 3);
    at = r->arg + r->length;
    at += sprintf(at, "%s%s=", r->length ? "," : "", key);
    for (; *value; value++) {
        *at++ = *value;
        if (*value == ',')
            *at++ = ',';
    }
    *at = '\0';
    r->length = at - r->arg;
}

/* The section is whole. The text stays for those who keep it. */
static bool reader_end_section(struct config_reader *r, struct error *err)
{
    const char *arg = r->arg ? options_keep(r->o, r->arg) : NULL;

    free(r->arg);
    r->arg = NULL;
    r->length = 0;
    return !arg || r->apply(r->o, r->group->option, arg, err);
}

static bool reader_begin_section(struct config_reader *r, const char *line, struct error *err)
{
    char name[64], id[256] = "", end = '\0';

    if ((sscanf(line, "[%63[^] \"] \"%255[^\"]\" %c", name, id, &end) != 3 &&
         (id[0] = '\0', sscanf(line, "[%63[^] \"] %c", name, &end) != 2)) ||
        end != ']')
        return error_set(err, "not of the form [SECTION] or [SECTION \"ID\"]: %.100s", line);
    r->group = find_group(name);
    if (!r->group)
        return unknown_group(name, err);
    if (id[0])
        reader_add(r, "id", id);
    return true;
}

/* KEY = "VALUE" */
static bool reader_add_line(struct config_reader *r, char *line, struct error *err)
{
    size_t key = strcspn(line, " \t=");
    char *value = line + key + strspn(line + key, " \t"), *end;

    end = *value == '=' ? value + 1 + strspn(value + 1, " \t") : value;
    value = end + 1;
    end = *end == '"' ? strrchr(value, '"') : NULL;
    if (!key || !end || end[1 + strspn(end + 1, " \t\r")])
        return error_set(err, "not of the form KEY = \"VALUE\": %.100s", line);
    if (!r->group)
        return error_set(err, "no section before it: %.100s", line);
    line[key] = *end = '\0';
    reader_add(r, line, value);
    return true;
}

static bool reader_take(struct config_reader *r, char *line, struct error *err)
{
    line[strcspn(line, "\n")] = '\0';
    line += strspn(line, " \t\r");
    if (!*line || *line == '#')
        return true;
    if (*line == '[')
        return reader_end_section(r, err) && reader_begin_section(r, line, err);
    return reader_add_line(r, line, err);
}

bool config_file_read(struct options *o, const char *path, config_apply *apply, struct error *err)
{
    struct config_reader r = {.o = o, .apply = apply};
    FILE *file = fopen(path, "re");
    unsigned number = 0;
    size_t size = 0;
    char *line = NULL;
    bool ok = true;

    if (!file)
        return error_set(err, "%s: %s", path, strerror(errno));
    while (ok && getline(&line, &size, file) >= 0) {
        number++;
        ok = reader_take(&r, line, err);
    }
    ok = ok && reader_end_section(&r, err);
    free(r.arg);
    free(line);
    fclose(file);
    return ok || error_prefix(err, "%s:%u", path, number);
}

/* ---- writing ---- */

/* "DEVICE.PROPERTY=VALUE" in its long form; NULL: it is of that form. */
static struct opts *note_global(const char *arg)
{
    char driver[64], property[64];
    struct opts *opts;

    if (sscanf(arg, "%63[^.=].%63[^=]=", driver, property) != 2)
        return NULL;
    opts = opts_new("global", arg);
    opts_add(opts, "driver", driver);
    opts_add(opts, "property", property);
    opts_add(opts, "value", strchr(arg, '=') + 1);
    return opts;
}

void config_file_note(struct options *o, const char *name, const char *arg)
{
    struct opts *opts = NULL;
    struct error ignored;
    size_t i = 0;

    while (i < COUNT(groups) && strcmp(groups[i].option, name))
        i++;
    if (i == COUNT(groups) || arg[0] == '{')
        return;
    if (!strcmp(name, "global"))
        opts = note_global(arg);
    if (!opts)
        opts = opts_parse(groups[i].name, arg, groups[i].implied, NULL, &ignored);
    if (opts)
        options_add(&o->config_sections, opts);
}

static void write_section(FILE *file, const struct opts *opts)
{
    const char *id = opts_get(opts, "id");

    if (id)
        fprintf(file, "[%s \"%s\"]\n", opts->option, id);
    else
        fprintf(file, "[%s]\n", opts->option);
    for (size_t i = 0; i < opts->count; i++)
        if (strcmp(opts->pairs[i].key, "id"))
            fprintf(file, "  %s = \"%s\"\n", opts->pairs[i].key, opts->pairs[i].value);
    fputc('\n', file);
}

bool config_file_write(const struct options *o, const char *path, struct error *err)
{
    FILE *file = strcmp(path, "-") ? fopen(path, "we") : stdout;
    bool ok;

    if (!file)
        return error_set(err, "-writeconfig %s: %s", path, strerror(errno));
    fprintf(file, "# hvm-dm config file\n\n");
    for (size_t i = 0; i < o->config_sections.count; i++)
        write_section(file, o->config_sections.items[i]);
    ok = !ferror(file);
    if (file == stdout)
        fflush(file);
    else
        ok = fclose(file) == 0 && ok;
    return ok || error_set(err, "-writeconfig %s: %s", path, strerror(errno));
}
