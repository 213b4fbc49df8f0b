/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/nodes.h"

#include <string.h>

#include "base/xalloc.h"
#include "block/node.h"
#include "control/qmp.h"

/* ---- -blockdev ---- */

json_t *nodes_describe(const struct opts *opts)
{
    json_t *options = json_object();

    for (size_t i = 0; i < opts->count; i++)
        json_object_set_new(options, opts->pairs[i].key, json_string(opts->pairs[i].value));
    return options;
}

static bool is_reference(const char *key)
{
    size_t length = strlen(key);

    return !strcmp(key, "file") || !strcmp(key, "backing") ||
           (length > 5 && !strcmp(key + length - 5, ".file"));
}

static const struct opts *find_said(const struct control *c, const char *name)
{
    const struct opts_list *nodes = &c->options.blockdevs;

    for (size_t i = 0; i < nodes->count; i++) {
        const char *node = opts_get(nodes->items[i], "node-name");

        if (node && !strcmp(node, name))
            return nodes->items[i];
    }
    return NULL;
}

/* The first node that it names and that is not open yet; NULL: none. */
static const char *missing_reference(const struct control *c, const struct opts *opts)
{
    for (size_t i = 0; i < opts->count; i++)
        if (is_reference(opts->pairs[i].key) && *opts->pairs[i].value &&
            !node_find(&c->nodes, opts->pairs[i].value))
            return opts->pairs[i].value;
    return NULL;
}

/* The guest cannot write to a CD: its medium need not be opened for that. */
static bool is_cd_medium(const struct control *c, const char *name)
{
    const struct opts_list *devices = &c->options.devices;

    for (size_t i = 0; i < devices->count; i++) {
        const char *driver = opts_get(devices->items[i], "driver"),
                   *drive = opts_get(devices->items[i], "drive");

        if (drive && !strcmp(drive, name) && driver && !strcmp(driver, "ide-cd"))
            return true;
    }
    return false;
}

static bool open_said(struct control *c, const struct opts *opts, struct error *err)
{
    const char *name = opts_get(opts, "node-name");
    json_t *options = nodes_describe(opts);
    struct node *node;

    if (!opts_get(opts, "read-only") && is_cd_medium(c, name))
        json_object_set_new(options, "read-only", json_true());
    node = node_open(&c->nodes, options, err);
    json_decref(options);
    if (!node)
        return error_prefix(err, "%s %s", opts->option, opts->text);
    node->kept = true;
    return true;
}

static bool check_said(const struct opts *opts, struct error *err)
{
    if (!opts_get(opts, "node-name"))
        return opts_error(opts, err, "node-name= is missing");
    return opts_get(opts, "driver") || opts_error(opts, err, "driver= is missing");
}

/* Those whose lower nodes are open; as often as that makes a difference. */
bool nodes_open(struct control *c, struct error *err)
{
    const struct opts_list *said = &c->options.blockdevs;
    bool *open = xcalloc(said->count + 1, sizeof(*open)), good = true, progress = true;
    const struct opts *left = NULL;

    for (size_t i = 0; i < said->count && good; i++)
        good = check_said(said->items[i], err);
    while (good && progress) {
        progress = false;
        left = NULL;
        for (size_t i = 0; i < said->count && good; i++) {
            if (open[i])
                continue;
            if (missing_reference(c, said->items[i])) {
                left = left ? left : said->items[i];
                continue;
            }
            good = open_said(c, said->items[i], err);
            open[i] = progress = true;
        }
    }
    free(open);
    if (!good || !left)
        return good;
    if (find_said(c, missing_reference(c, left)))
        return opts_error(left, err, "its files lead to no file");
    return opts_error(left, err, "there is no node '%s'", missing_reference(c, left));
}

struct node *nodes_take_medium(struct control *c, const char *name)
{
    struct node *node = node_find(&c->nodes, name);

    if (!node || !node->kept || node->references > 1)
        return NULL;
    node->kept = false;
    return node;
}

/* A node that stands on others comes after them in the list, so that one round does not do. */
void nodes_close(struct control *c)
{
    struct node *node = c->nodes.first;

    while (node) {
        if (node->kept && node->references == 1) {
            node->kept = false;
            node_unref(node);
            node = c->nodes.first;
        } else {
            node = node->next;
        }
    }
}

/* ---- what is told ---- */

static json_t *image_info(struct node *node, unsigned depth)
{
    struct node_info info;
    json_t *image;

    node_get_info(node, &info);
    image = json_pack("{s:s, s:s, s:I, s:I, s:b}", "filename", node->filename ? node->filename : "", "format",
                      node->driver->name, "virtual-size", (json_int_t)node_size(node), "actual-size",
                      (json_int_t)info.allocated, "dirty-flag", info.dirty);
    if (info.cluster_size)
        json_object_set_new(image, "cluster-size", json_integer(info.cluster_size));
    if (info.backing)
        json_object_set_new(image, "backing-filename", json_string(info.backing));
    if (info.backing_format)
        json_object_set_new(image, "backing-filename-format", json_string(info.backing_format));
    if (!strcmp(node->driver->name, "qcow2"))
        json_object_set_new(image, "format-specific",
                            json_pack("{s:s, s:{s:s, s:s, s:b}}", "type", "qcow2", "data", "compat",
                                      info.version, "compression-type", info.extra, "corrupt", info.corrupt));
    if (node->backing && depth < 16) {
        if (node->backing->filename)
            json_object_set_new(image, "full-backing-filename", json_string(node->backing->filename));
        json_object_set_new(image, "backing-image", image_info(node->backing, depth + 1));
    }
    return image;
}

static unsigned backing_depth(const struct node *node)
{
    unsigned depth = 0;

    while ((node = node->backing))
        depth++;
    return depth;
}

json_t *nodes_device_info(struct node *node)
{
    json_t *info = json_pack("{s:s, s:s, s:s, s:b, s:b, s:s, s:i, s:{s:b, s:b, s:b}, s:i, s:o}", "file",
                             node->filename ? node->filename : "", "node-name", node->name, "drv",
                             node->driver->name, "ro", node->read_only, "encrypted", 0, "detect_zeroes",
                             node->unmap_zeroes    ? "unmap"
                             : node->detect_zeroes ? "on"
                                                   : "off",
                             "backing_file_depth", (int)backing_depth(node), "cache", "writeback", 1,
                             "direct", node->direct, "no-flush", node->no_flush, "write_threshold", 0,
                             "image", image_info(node, 0));
    static const char *const limits[] = {"bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr"};

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        json_object_set_new(info, limits[i], json_integer(0));
    if (node->backing && node->backing->filename)
        json_object_set_new(info, "backing_file", json_string(node->backing->filename));
    return info;
}

/* ---- QMP ---- */

static bool query_named_block_nodes(struct qmp_call *call)
{
    call->result = json_array();
    for (struct node *node = call->c->nodes.first; node; node = node->next)
        json_array_append_new(call->result, nodes_device_info(node));
    return true;
}

static bool blockdev_add(struct qmp_call *call)
{
    json_t *options;
    struct node *node;

    if (!qmp_text(call, "node-name"))
        return qmp_fail(call, "'node-name' must be specified for the root node");
    if (!qmp_text(call, "driver"))
        return qmp_fail(call, "Parameter 'driver' is missing");
    options = node_flatten(call->args, &call->err);
    if (!options)
        return false;
    node = node_open(&call->c->nodes, options, &call->err);
    json_decref(options);
    if (node)
        node->kept = true;
    return node;
}

static bool blockdev_del(struct qmp_call *call)
{
    const char *name = qmp_text(call, "node-name");
    struct node *node = node_find(&call->c->nodes, name);

    if (!node)
        return qmp_fail(call, "Failed to find node with node-name='%.100s'", name);
    if (!node->kept)
        return qmp_fail(call, "Node %.100s is not owned by the monitor", name);
    if (node->references > 1)
        return qmp_fail(call, "Node %.100s is in use", name);
    node->kept = false;
    node_unref(node);
    return true;
}

static const struct qmp_command qmp_node_commands[] = {
    {"query-named-block-nodes", "flat:b?", query_named_block_nodes},
    {"blockdev-add", "*", blockdev_add},
    {"blockdev-del", "node-name:s", blockdev_del},
    {NULL, NULL, NULL},
};
QMP_COMMANDS(qmp_node_commands, NULL)
