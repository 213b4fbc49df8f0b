/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/monitor.h"

#include <stdlib.h>
#include <string.h>

enum { QUEUE_MAX = 256 * 1024 }; /* bytes not read by the client, from which on it is not listened to */

bool monitor_store(struct monitor *mon, char ch, size_t max)
{
    if (mon->length == mon->capacity) {
        size_t more = mon->capacity ? 2 * mon->capacity : 512;
        char *input = more <= max ? realloc(mon->input, more) : NULL;

        if (!input)
            return false;
        mon->input = input;
        mon->capacity = more;
    }
    mon->input[mon->length++] = ch;
    return true;
}

/* A client that sends and does not read is not listened to until it reads. */
static size_t monitor_space(void *opaque)
{
    struct monitor *mon = opaque;

    return chardev_pending(mon->chr) > QUEUE_MAX ? 0 : 4096;
}

static void monitor_leave(void *opaque)
{
    machine_request_shutdown(&((struct monitor *)opaque)->c->m, false);
}

int monitor_take_fd(struct monitor *monitor)
{
    return monitor ? chardev_take_fd(monitor->chr) : -1;
}

bool monitor_open(struct control *c, struct chardev *chr, const struct monitor_kind *kind, bool pretty)
{
    struct monitor *mon = calloc(1, sizeof(*mon)), **at = &c->monitors;

    if (!mon)
        return false;
    *mon = (struct monitor){.c = c, .chr = chr, .kind = kind, .qmp.pretty = pretty};
    mon->qmp.quiet = !strcmp(chardev_id(chr), "libxenstat-cmd");
    mon->user = (struct chardev_user){.space = monitor_space,
                                      .receive = kind->receive,
                                      .opened = kind->opened,
                                      .closed = kind->closed,
                                      .leave = monitor_leave,
                                      .opaque = mon};
    while (*at)
        at = &(*at)->next;
    *at = mon;
    return chardev_set_user(chr, &mon->user);
}

void monitors_close(struct control *c)
{
    while (c->monitors) {
        struct monitor *mon = c->monitors;

        c->monitors = mon->next;
        chardev_set_user(mon->chr, NULL);
        free(mon->input);
        free(mon);
    }
}
