/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/fdset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/qmp.h"

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

const struct qmp_command qmp_fdset_commands[] = {
    {"add-fd", "fdset-id:i? opaque:s?", add_fd},
    {"remove-fd", "fdset-id:i fd:i?", remove_fd},
    {"query-fdsets", NULL, query_fdsets},
    {.name = NULL},
};
