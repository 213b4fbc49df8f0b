/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP commands about drives and media, and the descriptors passed for them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/block.h"
#include "control/qmp.h"

/* ---- passed descriptors ---- */

enum { FDSETS_MAX = 64 };

struct fdset {
    int number, fd;
    char *opaque;
    struct fdset *next; /* by number */
};

int fdset_number(const char *path)
{
    static const char prefix[] = "/dev/fdset/";
    char *end;
    long number;

    if (!path || strncmp(path, prefix, strlen(prefix)))
        return -1;
    errno = 0;
    number = strtol(path + strlen(prefix), &end, 10);
    return *end || end == path + strlen(prefix) || errno || number < 0 || number > INT32_MAX ? -1
                                                                                             : (int)number;
}

int fdset_find(const struct control *c, int number)
{
    for (const struct fdset *set = c->fdsets; set; set = set->next)
        if (set->number == number)
            return set->fd;
    return -1;
}

static void drop_set(struct fdset **at)
{
    struct fdset *set = *at;

    *at = set->next;
    close(set->fd);
    free(set->opaque);
    free(set);
}

void fdsets_drop(struct control *c)
{
    while (c->fdsets)
        drop_set(&c->fdsets);
}

/* Puts a set into the list: with the wished number, or (-1) the lowest that is free. NULL: it is taken. */
static struct fdset *add_set(struct control *c, int64_t wished)
{
    struct fdset **at = &c->fdsets, *set;
    int number = wished < 0 ? 0 : (int)wished;

    while (*at && ((*at)->number < number || (wished < 0 && (*at)->number == number))) {
        if (wished < 0)
            number = (*at)->number + 1;
        at = &(*at)->next;
    }
    if ((*at && (*at)->number == number) || !(set = calloc(1, sizeof(*set))))
        return NULL;
    set->number = number;
    set->next = *at;
    *at = set;
    return set;
}

static size_t count_sets(const struct control *c)
{
    size_t n = 0;

    for (const struct fdset *set = c->fdsets; set; set = set->next)
        n++;
    return n;
}

static bool add_fd(struct qmp_call *call)
{
    int64_t wished = qmp_integer(call, "fdset-id", -1);
    const char *opaque = qmp_text(call, "opaque");
    int fd = monitor_take_fd(call->monitor);
    struct fdset *set;

    if (fd < 0)
        return qmp_fail(call, "No file descriptor supplied via SCM_RIGHTS");
    set = wished > INT32_MAX || count_sets(call->c) >= FDSETS_MAX ? NULL : add_set(call->c, wished);
    if (!set) {
        close(fd);
        return qmp_fail(call, "The fdset is taken, or there are too many");
    }
    set->fd = fd;
    set->opaque = opaque ? strdup(opaque) : NULL;
    call->result = json_pack("{s:i, s:i}", "fd", fd, "fdset-id", set->number);
    return true;
}

static bool remove_fd(struct qmp_call *call)
{
    struct fdset **at = &call->c->fdsets;
    int64_t number = qmp_integer(call, "fdset-id", 0);

    while (*at && (*at)->number != number)
        at = &(*at)->next;
    if (!*at || qmp_integer(call, "fd", (*at)->fd) != (*at)->fd)
        return qmp_fail(call, "File descriptor named 'fdset-id:%lld' not found", (long long)number);
    drop_set(at);
    return true;
}

static bool query_fdsets(struct qmp_call *call)
{
    call->result = json_array();
    for (const struct fdset *set = call->c->fdsets; set; set = set->next) {
        json_t *fd = json_pack("{s:i}", "fd", set->fd);

        if (set->opaque)
            json_object_set_new(fd, "opaque", json_string(set->opaque));
        json_array_append_new(call->result, json_pack("{s:i, s:[o]}", "fdset-id", set->number, "fds", fd));
    }
    return true;
}

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
    if (number >= 0 && (fd = fdset_find(call->c, number)) < 0)
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
    return json_pack("{s:s, s:s, s:b, s:b, s:s, s:s, s:i, s:{s:s, s:s, s:I, s:I}}", "file", block_file(block),
                     "drv", block_format(block), "ro", block_read_only(block), "encrypted", 0, "node-name",
                     block_id(block), "detect_zeroes", "off", "backing_file_depth", 0, "image", "filename",
                     block_file(block), "format", block_format(block), "virtual-size",
                     (json_int_t)block_size(block), "actual-size", (json_int_t)block_size(block));
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

static bool query_blockstats(struct qmp_call *call)
{
    call->result = json_array();
    for (struct block *b = call->c->backends.blocks; b; b = block_next(b)) {
        const struct block_stats *s = block_stats(b);
        json_t *item =
            json_pack("{s:s, s:{s:I, s:I, s:I, s:I, s:I}}", "device", block_id(b), "stats", "rd_bytes",
                      (json_int_t)s->rd_bytes, "wr_bytes", (json_int_t)s->wr_bytes, "rd_operations",
                      (json_int_t)s->rd_operations, "wr_operations", (json_int_t)s->wr_operations,
                      "flush_operations", (json_int_t)s->flush_operations);

        if (block_owner(b))
            json_object_set_new(item, "qdev", json_string(block_owner(b)));
        json_array_append_new(call->result, item);
    }
    return true;
}

const struct qmp_command qmp_block_commands[] = {
    {"add-fd", "fdset-id:i? opaque:s?", add_fd},
    {"remove-fd", "fdset-id:i fd:i?", remove_fd},
    {"query-fdsets", NULL, query_fdsets},
    {"eject", "device:s? id:s? force:b?", qmp_eject},
    {"blockdev-open-tray", "device:s? id:s? force:b?", qmp_eject},
    {"blockdev-change-medium", "device:s? id:s? filename:s format:s? force:b? read-only-mode:s?",
     blockdev_change_medium},
    {"change", "device:s target:s arg:s?", qmp_change},
    {"query-block", NULL, query_block},
    {"query-blockstats", "query-nodes:b?", query_blockstats},
    {NULL, NULL, NULL},
};
