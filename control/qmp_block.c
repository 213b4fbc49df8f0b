/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP commands about drives and media. */
#include <string.h>

#include "block/block.h"
#include "block/node.h"
#include "control/fdset.h"
#include "control/nodes.h"
#include "control/qmp.h"

/* ---- drives ---- */

/* By the id of the slot, or of the device that has it ("device" and "id" mean either, as people use them). */
static struct block *find_slot(struct qmp_call *call)
{
    const char *id = qmp_text(call, "id"), *device = qmp_text(call, "device");
    const char *name = id ? id : device;
    struct block *block;

    if (!name) {
        qmp_fail(call, "Parameter 'id' is missing");
        return NULL;
    }
    block = block_find(call->c->backends.blocks, name);
    for (struct block *b = call->c->backends.blocks; b && !block; b = block_next(b))
        if (block_owner(b) && !strcmp(block_owner(b), name))
            block = b;
    if (!block) {
        call->error_class = "DeviceNotFound";
        qmp_fail(call, "Device '%.100s' not found", name);
    }
    return block;
}

static bool require_removable(struct qmp_call *call, const struct block *block)
{
    return block_removable(block) || qmp_fail(call, "Device '%s' is not removable", block_id(block));
}

static bool qmp_eject(struct qmp_call *call)
{
    struct block *block = find_slot(call);

    return block && require_removable(call, block) &&
           block_eject(block, qmp_truth(call, "force", false), &call->err);
}

static bool blockdev_open_tray(struct qmp_call *call)
{
    struct block *block = find_slot(call);

    return block && require_removable(call, block) &&
           block_open_tray(block, qmp_truth(call, "force", false), &call->err);
}

static bool blockdev_close_tray(struct qmp_call *call)
{
    struct block *block = find_slot(call);

    if (!block || !require_removable(call, block))
        return false;
    block_close_tray(block);
    return true;
}

static bool blockdev_remove_medium(struct qmp_call *call)
{
    struct block *block = find_slot(call);

    return block && block_remove_medium(block, &call->err);
}

static bool blockdev_insert_medium(struct qmp_call *call)
{
    const char *name = qmp_text(call, "node-name");
    struct block *block = find_slot(call);
    struct node *node = node_find(&call->c->nodes, name);

    if (!block)
        return false;
    if (!node)
        return qmp_fail(call, "Cannot find device='' nor node-name='%.100s'", name);
    if (!node->kept || node->references > 1)
        return qmp_fail(call, "Node '%.100s' is in use", name);
    return block_insert_medium(block, node, &call->err);
}

/* What a new medium may be: the slot's own readiness to write, or what read-only-mode says. */
static bool choose_read_only(struct qmp_call *call, const struct block *block, bool *read_only)
{
    const char *mode = qmp_text(call, "read-only-mode");

    *read_only = block_read_only(block);
    if (!mode || !strcmp(mode, "retain"))
        return true;
    *read_only = !strcmp(mode, "read-only");
    return *read_only || !strcmp(mode, "read-write") ||
           qmp_fail(call, "Parameter 'read-only-mode' does not accept value '%.100s'", mode);
}

static bool change_medium(struct qmp_call *call, const char *filename, const char *format)
{
    struct block *block = find_slot(call);
    struct block_options options = {.file = filename, .format = format, .removable = true};
    int number = fdset_number(filename), fd = -1;

    if (!block || !require_removable(call, block) || !choose_read_only(call, block, &options.read_only))
        return false;
    if (number >= 0 && (fd = fdset_find(call->c, number, options.read_only)) < 0)
        return qmp_fail(call, "%.100s: there is no such fdset", filename);
    /* The new medium is opened before the old one is let go, unless the guest is to be robbed of that. */
    if (block_locked(block) && qmp_truth(call, "force", false) && !block_eject(block, true, &call->err))
        return false;
    return fd >= 0 ? block_insert_fd(block, fd, filename, &options, &call->err)
                   : block_insert(block, &options, &call->err);
}

static bool blockdev_change_medium(struct qmp_call *call)
{
    return change_medium(call, qmp_text(call, "filename"), qmp_text(call, "format"));
}

/* The old name of it, for clients of QEMU before 2.12; device "vnc" was another way to set a password. */
static bool qmp_change(struct qmp_call *call)
{
    struct qmp_call password = {.c = call->c, .monitor = call->monitor};
    bool ok;

    if (strcmp(qmp_text(call, "device"), "vnc"))
        return change_medium(call, qmp_text(call, "target"), qmp_text(call, "arg"));
    if (strcmp(qmp_text(call, "target"), "password") || !qmp_text(call, "arg"))
        return qmp_fail(call, "Only the password of VNC can be changed");
    password.args = json_pack("{s:s}", "password", qmp_text(call, "arg"));
    ok = qmp_run(&password, "change-vnc-password");
    call->err = password.err;
    json_decref(password.args);
    json_decref(password.result);
    return ok;
}

static json_t *describe_medium(const struct block *block)
{
    json_t *info = nodes_device_info(block_node(block));

    json_object_set_new(json_object_get(info, "cache"), "writeback",
                        json_boolean(!block_write_through(block)));
    return info;
}

static bool query_block(struct qmp_call *call)
{
    call->result = json_array();
    for (struct block *b = call->c->backends.blocks; b; b = block_next(b)) {
        json_t *item = json_pack("{s:s, s:b, s:b, s:s}", "device", block_id(b), "locked", block_locked(b),
                                 "removable", block_removable(b), "type", "unknown");

        if (block_present(b))
            json_object_set_new(item, "inserted", describe_medium(b));
        if (block_owner(b))
            json_object_set_new(item, "qdev", json_string(block_owner(b)));
        if (block_removable(b))
            json_object_set_new(item, "tray_open", json_boolean(block_tray_open(b)));
        json_array_append_new(call->result, item);
    }
    return true;
}

static json_t *describe_stats(const struct block_stats *s)
{
    static const struct {
        enum block_op op;
        const char *name;
    } ops[] = {{BLOCK_READ, "rd"}, {BLOCK_WRITE, "wr"}, {BLOCK_FLUSH, "flush"}, {BLOCK_DISCARD, "unmap"}};
    json_t *stats =
        json_pack("{s:I, s:i, s:i, s:b, s:b}", "wr_highest_offset", (json_int_t)s->highest_written,
                  "rd_merged", 0, "wr_merged", 0, "account_invalid", 1, "account_failed", 1);
    char key[40];

    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        const uint64_t values[] = {s->op[ops[i].op].bytes, s->op[ops[i].op].operations, s->op[ops[i].op].time,
                                   s->op[ops[i].op].failed};
        static const char *const names[] = {"%s_bytes", "%s_operations", "%s_total_time_ns",
                                            "failed_%s_operations"};

        for (size_t n = ops[i].op == BLOCK_FLUSH; n < 4; n++) {
            snprintf(key, sizeof(key), names[n], ops[i].name);
            json_object_set_new(stats, key, json_integer(values[n]));
        }
    }
    return stats;
}

static bool query_blockstats(struct qmp_call *call)
{
    call->result = json_array();
    for (struct block *b = call->c->backends.blocks; b; b = block_next(b)) {
        json_t *item =
            json_pack("{s:s, s:o}", "device", block_id(b), "stats", describe_stats(block_stats(b)));

        if (block_present(b))
            json_object_set_new(item, "node-name", json_string(block_node(b)->name));

        if (block_owner(b))
            json_object_set_new(item, "qdev", json_string(block_owner(b)));
        json_array_append_new(call->result, item);
    }
    return true;
}

static const struct qmp_command qmp_block_commands[] = {
    {"eject", "device:s? id:s? force:b?", qmp_eject},
    {"blockdev-open-tray", "device:s? id:s? force:b?", blockdev_open_tray},
    {"blockdev-close-tray", "device:s? id:s?", blockdev_close_tray},
    {"blockdev-remove-medium", "device:s? id:s?", blockdev_remove_medium},
    {"blockdev-insert-medium", "id:s? device:s? node-name:s", blockdev_insert_medium},
    {"blockdev-change-medium", "device:s? id:s? filename:s format:s? force:b? read-only-mode:s?",
     blockdev_change_medium},
    {"change", "device:s target:s arg:s?", qmp_change},
    {"query-block", NULL, query_block},
    {"query-blockstats", "query-nodes:b?", query_blockstats},
    {NULL, NULL, NULL},
};
QMP_COMMANDS(qmp_block_commands, NULL)
