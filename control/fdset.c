/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/fdset.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/qmp.h"

enum { FDSETS_MAX = 64 };

struct fdset {
    int number, fd;
    char *opaque;
    struct fdset *next; /* by number: those of one set are neighbours, in the order in which they came */
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

int fdset_find(const struct control *c, int number, bool read_only)
{
    int found = -1;

    for (const struct fdset *set = c->fdsets; set; set = set->next) {
        int flags = set->number == number ? fcntl(set->fd, F_GETFL) : -1;

        if (flags >= 0 && (flags & O_ACCMODE) == (read_only ? O_RDONLY : O_RDWR))
            return set->fd;
        if (set->number == number && found < 0)
            found = set->fd;
    }
    return found;
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

/* A member of the set of the wished number, or (-1) of a new one, of the lowest that is free. NULL: no
 * memory. */
static struct fdset *add_set(struct control *c, int64_t wished)
{
    struct fdset **at = &c->fdsets, *set;
    int number = wished < 0 ? 0 : (int)wished;

    while (*at && (*at)->number <= number) {
        if (wished < 0 && (*at)->number == number)
            number = (*at)->number + 1;
        at = &(*at)->next;
    }
    set = calloc(1, sizeof(*set));
    if (!set)
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
        return qmp_fail(call, "There are too many descriptors in fdsets, or this number is too large");
    }
    set->fd = fd;
    set->opaque = opaque ? strdup(opaque) : NULL;
    call->result = json_pack("{s:i, s:i}", "fd", fd, "fdset-id", set->number);
    return true;
}

/* Without fd all of the set. */
static bool remove_fd(struct qmp_call *call)
{
    int64_t number = qmp_integer(call, "fdset-id", 0), fd = qmp_integer(call, "fd", -1);
    bool found = false;

    for (struct fdset **at = &call->c->fdsets; *at;)
        if ((*at)->number == number && (fd < 0 || (*at)->fd == fd)) {
            drop_set(at);
            found = true;
        } else {
            at = &(*at)->next;
        }
    return found || qmp_fail(call, "File descriptor named 'fdset-id:%lld' not found", (long long)number);
}

static json_t *describe_fd(const struct fdset *set)
{
    json_t *fd = json_pack("{s:i}", "fd", set->fd);

    if (set->opaque)
        json_object_set_new(fd, "opaque", json_string(set->opaque));
    return fd;
}

static bool query_fdsets(struct qmp_call *call)
{
    call->result = json_array();
    for (const struct fdset *set = call->c->fdsets; set;) {
        json_t *fds = json_array();
        int number = set->number;

        for (; set && set->number == number; set = set->next)
            json_array_append_new(fds, describe_fd(set));
        json_array_append_new(call->result, json_pack("{s:i, s:o}", "fdset-id", number, "fds", fds));
    }
    return true;
}

static const struct qmp_command qmp_fdset_commands[] = {
    {"add-fd", "fdset-id:i? opaque:s?", add_fd},
    {"remove-fd", "fdset-id:i fd:i?", remove_fd},
    {"query-fdsets", NULL, query_fdsets},
    {.name = NULL},
};
QMP_COMMANDS(qmp_fdset_commands, fdsets_drop)
