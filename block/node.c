/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/drivers.h"
#include "block/rw.h"

/* A longer chain of images is a mistake, or a circle. */
enum { DEPTH_MAX = 64 };

static const struct node_driver *registered;

static const struct node_driver *const built_in[] = {
    &file_driver,  &host_device_driver, &host_cdrom_driver, &raw_driver,
    &qcow2_driver, &vpc_driver,         &null_co_driver,    &snapshot_driver,
};

/* ---- drivers ---- */

void node_register_driver(struct node_driver *driver)
{
    driver->next = registered;
    registered = driver;
}

const struct node_driver *node_next_driver(const struct node_driver *driver)
{
    const size_t count = sizeof(built_in) / sizeof(built_in[0]);

    for (size_t i = 0; i < count; i++)
        if (built_in[i] == driver)
            return i + 1 < count ? built_in[i + 1] : registered;
    return driver ? driver->next : built_in[0];
}

const struct node_driver *node_find_driver(const char *name)
{
    const struct node_driver *driver = node_next_driver(NULL);

    while (driver && strcmp(driver->name, name) != 0)
        driver = node_next_driver(driver);
    return driver;
}

static bool node_unknown_driver(const char *name, struct error *err)
{
    const char *names[64];
    size_t n = 0;
    const char *near;

    for (const struct node_driver *d = node_next_driver(NULL); d && n < 63; d = node_next_driver(d))
        names[n++] = d->name;
    names[n] = NULL;
    near = error_nearest(name, names);
    return error_set(err, "unknown format '%.60s'%s%s%s", name, near ? ", did you mean '" : "",
                     near ? near : "", near ? "'?" : "");
}

/* ---- options ---- */

const char *node_option_text(const json_t *options, const char *key)
{
    return json_string_value(json_object_get(options, key));
}

bool node_option_bool(const json_t *options, const char *key, bool *value, struct error *err)
{
    const json_t *item = json_object_get(options, key);
    const char *text = json_string_value(item);

    if (!item)
        return true;
    if (json_is_boolean(item))
        *value = json_is_true(item);
    else if (text && (!strcmp(text, "on") || !strcmp(text, "true") || !strcmp(text, "yes")))
        *value = true;
    else if (text && (!strcmp(text, "off") || !strcmp(text, "false") || !strcmp(text, "no")))
        *value = false;
    else
        return error_set(err, "%s takes on or off", key);
    return true;
}

bool node_option_size(const json_t *options, const char *key, uint64_t *value, struct error *err)
{
    static const char suffixes[] = "bkmgtpe";
    const json_t *item = json_object_get(options, key);
    const char *text = json_string_value(item), *at;
    unsigned long long number;
    char *end;

    if (!item)
        return true;
    if (json_is_integer(item) && json_integer_value(item) >= 0) {
        *value = json_integer_value(item);
        return true;
    }
    errno = 0;
    number = text ? strtoull(text, &end, 0) : 0;
    if (!text || *text < '0' || *text > '9' || errno)
        return error_set(err, "%s takes a number", key);
    at = *end ? strchr(suffixes, *end | 0x20) : NULL;
    if ((*end && (!at || end[1])) || (at && number >> (63 - 10 * (at - suffixes))))
        return error_set(err, "%s takes a number, not '%.40s'", key, text);
    *value = at ? number << (10 * (at - suffixes)) : number;
    return true;
}

json_t *node_suboptions(const json_t *options, const char *key)
{
    json_t *part = json_object(), *value;
    size_t length = strlen(key);
    const char *name;

    json_object_foreach((json_t *)options, name,
                        value) if (!strncmp(name, key, length) && name[length] == '.')
        json_object_set(part, name + length + 1, value);
    return part;
}

static bool flatten_into(json_t *flat, const char *prefix, const json_t *tree, unsigned depth)
{
    const char *name;
    json_t *value;
    char key[512];

    json_object_foreach((json_t *)tree, name, value)
    {
        if ((size_t)snprintf(key, sizeof(key), "%s%s%s", prefix, *prefix ? "." : "", name) >= sizeof(key))
            return false;
        if (json_is_object(value) && (depth > DEPTH_MAX || !flatten_into(flat, key, value, depth + 1)))
            return false;
        if (!json_is_object(value) && json_object_set(flat, key, value))
            return false;
    }
    return true;
}

json_t *node_flatten(const json_t *tree, struct error *err)
{
    json_t *flat = json_object();

    if (json_is_object(tree) && flat && flatten_into(flat, "", tree, 0))
        return flat;
    json_decref(flat);
    error_set(err, "the node's options are no object, or too deep");
    return NULL;
}

/* ---- opening ---- */

static bool listed(const char *const *keys, const char *key, size_t length)
{
    for (; keys && *keys; keys++)
        if (strlen(*keys) == length && !strncmp(*keys, key, length))
            return true;
    return false;
}

static bool node_check_keys(const struct node_driver *driver, const json_t *options, struct error *err)
{
    static const char *const common[] = {"driver",  "node-name",     "read-only", "auto-read-only",
                                         "discard", "detect-zeroes", "cache",     NULL};
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)options, key, value)
    {
        size_t length = strcspn(key, ".");
        bool file = length == 4 && !strncmp(key, "file", 4);
        bool whole = listed(driver->keys, key, strlen(key));

        if (!whole && !listed(common, key, length) && !(file && driver->needs_file) &&
            !listed(driver->keys, key, length))
            return error_set(err, "driver %s takes no option '%.60s'", driver->name, key);
    }
    return true;
}

static bool node_take_words(struct node *node, const json_t *options, struct error *err)
{
    const char *discard = node_option_text(options, "discard"),
               *zeroes = node_option_text(options, "detect-zeroes");

    if (discard && strcmp(discard, "ignore") && strcmp(discard, "off") && strcmp(discard, "unmap") &&
        strcmp(discard, "on"))
        return error_set(err, "discard takes ignore or unmap, not '%.40s'", discard);
    if (zeroes && strcmp(zeroes, "off") && strcmp(zeroes, "on") && strcmp(zeroes, "unmap"))
        return error_set(err, "detect-zeroes takes off, on or unmap, not '%.40s'", zeroes);
    node->keep_allocated = discard && (!strcmp(discard, "ignore") || !strcmp(discard, "off"));
    node->detect_zeroes = zeroes && strcmp(zeroes, "off");
    node->unmap_zeroes = zeroes && !strcmp(zeroes, "unmap");
    return node_option_bool(options, "read-only", &node->read_only, err) &&
           node_option_bool(options, "auto-read-only", &node->implicit_read_only, err) &&
           node_option_bool(options, "cache.direct", &node->direct, err) &&
           node_option_bool(options, "cache.no-flush", &node->no_flush, err);
}

static bool node_take_name(struct node *node, const char *name, struct error *err)
{
    char made_up[32];

    if (name && node_find(node->graph, name))
        return error_set(err, "the node name '%.60s' is taken", name);
    snprintf(made_up, sizeof(made_up), "#block%u", node->graph->serial++);
    node->name = strdup(name ? name : made_up);
    return node->name || error_set(err, "no memory for a node");
}

static struct node *open_below(struct node_graph *graph, struct node *parent, const json_t *options,
                               struct error *err);

static struct node *find_child(struct node *node, const char *name, struct error *err)
{
    struct node *child = node_find(node->graph, name);

    if (!child)
        error_set(err, "there is no node '%.60s'", name);
    else if (child->references > 1 && !child->read_only) {
        error_set(err, "node '%.60s' is in use", name);
        child = NULL;
    } else if (child->read_only && !node->read_only) {
        error_set(err, "node '%.60s' is read-only", name);
        child = NULL;
    }
    return child ? node_ref(child) : NULL;
}

static bool node_open_file(struct node *node, const json_t *options, struct error *err)
{
    const char *name = node_option_text(options, "file");
    json_t *below;

    if (name) {
        node->file = find_child(node, name, err);
    } else {
        below = node_suboptions(options, "file");
        if (!json_object_size(below))
            error_set(err, "driver %s needs file=, the node that it stands on", node->driver->name);
        else
            node->file = open_below(node->graph, node, below, err);
        json_decref(below);
    }
    if (node->file && !node->filename && node->file->filename)
        node->filename = strdup(node->file->filename);
    return node->file;
}

static void node_free(struct node *node)
{
    node_unref(node->file);
    node_unref(node->backing);
    free(node->filename);
    free(node->name);
    free(node);
}

static void node_link(struct node *node)
{
    struct node **at = &node->graph->first;

    while (*at)
        at = &(*at)->next;
    *at = node;
}

static struct node *node_new(struct node_graph *graph, const struct node_driver *driver, struct node *parent)
{
    struct node *node = calloc(1, driver->size);

    if (!node)
        return NULL;
    node->driver = driver;
    node->graph = graph;
    node->references = 1;
    node->plain = !parent || !strcmp(parent->driver->name, "raw");
    if (parent) {
        node->read_only = parent->read_only;
        node->implicit_read_only = parent->implicit_read_only;
        node->direct = parent->direct;
        node->no_flush = parent->no_flush;
        node->depth = parent->depth + 1;
    }
    return node;
}

static struct node *open_below(struct node_graph *graph, struct node *parent, const json_t *options,
                               struct error *err)
{
    const char *name = node_option_text(options, "driver");
    const struct node_driver *driver = node_find_driver(name ? name : "file");
    struct node *node;

    if (!driver) {
        node_unknown_driver(name, err);
        return NULL;
    }
    node = node_new(graph, driver, parent);
    if (!node) {
        error_set(err, "no memory for a node");
        return NULL;
    }
    if (node->depth > DEPTH_MAX)
        error_set(err, "more than %d images stand on each other: is it a circle?", DEPTH_MAX);
    else if (node_check_keys(driver, options, err) && node_take_words(node, options, err) &&
             node_take_name(node, node_option_text(options, "node-name"), err) &&
             (!driver->needs_file || node_open_file(node, options, err)) &&
             driver->open(node, options, err)) {
        node_link(node);
        return node;
    }
    node_free(node);
    return NULL;
}

void node_graph_leave(struct node_graph *graph)
{
    for (struct node *node = graph->first; node && !graph->elsewhere; node = node->next)
        if (node->plain && node->driver->unlock) {
            node_flush(node);
            node->driver->unlock(node);
        }
    graph->elsewhere = true;
}

bool node_graph_arrive(struct node_graph *graph, struct error *err)
{
    for (struct node *node = graph->first; node && graph->elsewhere; node = node->next)
        if (node->plain && node->driver->lock && !node->driver->lock(node, err))
            return false;
    graph->elsewhere = false;
    return true;
}

struct node *node_open(struct node_graph *graph, const json_t *options, struct error *err)
{
    return open_below(graph, NULL, options, err);
}

struct node *node_open_child(struct node *parent, const json_t *options, struct error *err)
{
    return open_below(parent->graph, parent, options, err);
}

struct node *node_ref(struct node *node)
{
    node->references++;
    return node;
}

void node_unref(struct node *node)
{
    struct node **at;

    if (!node || --node->references)
        return;
    for (at = &node->graph->first; *at != node; at = &(*at)->next)
        ;
    *at = node->next;
    if (node->driver->close)
        node->driver->close(node);
    node_free(node);
}

struct node *node_find(const struct node_graph *graph, const char *name)
{
    struct node *node = graph->first;

    while (node && strcmp(node->name, name) != 0)
        node = node->next;
    return node;
}

const char *node_looks_like(struct node *file)
{
    static const struct {
        const char *magic;
        size_t length;
        const char *format;
    } others[] = {{"QFI\xfb", 4, "qcow2"}, {"KDMV", 4, "vmdk"},         {"QED", 4, "qed"},
                  {"conectix", 8, "vpc"},  {"LUKS\xba\xbe", 6, "luks"}, {"vhdxfile", 8, "vhdx"}};
    char head[8] = "";

    if (file->size < sizeof(head) || node_pread(file, head, 0, sizeof(head)))
        return NULL;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (memcmp(head, others[i].magic, others[i].length) == 0)
            return others[i].format;
    return NULL;
}

/* ---- using ---- */

static int check_range(const struct node *node, uint64_t offset, uint64_t length)
{
    if (node->read_only)
        return EROFS;
    if (node->grows)
        return offset > INT64_MAX || length > INT64_MAX - offset ? EFBIG : 0;
    return offset > node->size || length > node->size - offset ? ENOSPC : 0;
}

uint64_t node_size(const struct node *node)
{
    return __atomic_load_n(&node->size, __ATOMIC_RELAXED);
}

/* A write that may have gone beyond the end: the size never becomes less. */
static void node_grown(struct node *node, uint64_t end)
{
    uint64_t size = node_size(node);

    while (size < end &&
           !__atomic_compare_exchange_n(&node->size, &size, end, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

int node_read(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length)
{
    uint64_t size = node_size(node), inside = offset < size ? size - offset : 0;

    if (length <= inside)
        return length ? node->driver->read(node, iov, iovcnt, offset, length) : 0;
    rw_zero(iov, iovcnt, inside, length - inside);
    if (!inside)
        return 0;
    struct iovec part[iovcnt];
    return node->driver->read(node, part, rw_slice(iov, iovcnt, 0, inside, part), offset, inside);
}

static bool all_zero(const struct iovec *iov, int iovcnt)
{
    for (int i = 0; i < iovcnt; i++) {
        const uint8_t *data = iov[i].iov_base;

        if (iov[i].iov_len && (data[0] || memcmp(data, data + 1, iov[i].iov_len - 1)))
            return false;
    }
    return true;
}

int node_write(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length)
{
    int error = check_range(node, offset, length);

    if (error || !length)
        return error;
    if (node->detect_zeroes && all_zero(iov, iovcnt))
        return node_zero(node, offset, length, node->unmap_zeroes ? NODE_MAY_UNMAP : 0);
    error = node->driver->write(node, iov, iovcnt, offset, length);
    if (!error && node->grows)
        node_grown(node, offset + length);
    return error;
}

int node_pread(struct node *node, void *data, uint64_t offset, uint64_t length)
{
    struct iovec iov = {data, length};

    return node_read(node, &iov, 1, offset, length);
}

int node_pwrite(struct node *node, const void *data, uint64_t offset, uint64_t length)
{
    struct iovec iov = {(void *)data, length};

    return node_write(node, &iov, 1, offset, length);
}

int node_discard(struct node *node, uint64_t offset, uint64_t length)
{
    int error = check_range(node, offset, length);

    if (error || !length || node->keep_allocated || !node->driver->discard)
        return error;
    return node->driver->discard(node, offset, length);
}

static int write_zeroes(struct node *node, uint64_t offset, uint64_t length)
{
    static const uint8_t zeroes[65536];
    int error = 0;

    while (length && !error) {
        struct iovec iov = {(void *)zeroes, length < sizeof(zeroes) ? length : sizeof(zeroes)};

        error = node->driver->write(node, &iov, 1, offset, iov.iov_len);
        offset += iov.iov_len;
        length -= iov.iov_len;
    }
    return error;
}

int node_zero(struct node *node, uint64_t offset, uint64_t length, unsigned flags)
{
    int error = check_range(node, offset, length);

    if (error || !length)
        return error;
    if (node->keep_allocated)
        flags &= ~NODE_MAY_UNMAP;
    error = node->driver->zero ? node->driver->zero(node, offset, length, flags) : ENOTSUP;
    return error == ENOTSUP ? write_zeroes(node, offset, length) : error;
}

int node_flush(struct node *node)
{
    if (node->driver->flush)
        return node->driver->flush(node);
    return node->file ? node_flush(node->file) : 0;
}

int node_resize(struct node *node, uint64_t size)
{
    if (node->read_only)
        return EROFS;
    return node->driver->resize ? node->driver->resize(node, size) : ENOTSUP;
}

void node_get_info(struct node *node, struct node_info *info)
{
    *info = (struct node_info){0};
    if (node->file)
        node_get_info(node->file, info);
    if (node->driver->info)
        node->driver->info(node, info);
}

bool node_attempt(struct node *node, enum node_attempt what, const struct iovec *iov, int iovcnt,
                  uint64_t offset, uint64_t length, int *error)
{
    if (!node->driver->attempt || (what == NODE_ATTEMPT_WRITE && (node->read_only || node->detect_zeroes)))
        return false;
    if (what != NODE_ATTEMPT_FLUSH && (offset > node_size(node) || length > node_size(node) - offset))
        return false;
    return node->driver->attempt(node, what, iov, iovcnt, offset, length, error);
}

int node_straight(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length,
                  uint64_t *at)
{
    if (!node->driver->straight || offset > node_size(node) || length > node_size(node) - offset)
        return -1;
    return node->driver->straight(node, iov, iovcnt, offset, length, at);
}

void node_written(struct node *node)
{
    if (node->driver->written)
        node->driver->written(node);
}
