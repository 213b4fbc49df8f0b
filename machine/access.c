/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/access.h"

#include "machine/machine.h"

void access_enter(struct machine *m)
{
    m->accessing = true;
}

void access_leave(struct machine *m, struct access *access)
{
    m->accessing = false;
    access->unfinished = m->unfinished;
    m->unfinished = (struct unfinished){0};
}

/* Runs a piece of it; true: it is over. */
static bool access_go_on(struct machine *m, struct unfinished *unfinished)
{
    if (unfinished->run && unfinished->deletions == m->deletions && !unfinished->run(unfinished->opaque))
        return false;
    *unfinished = (struct unfinished){0};
    return true;
}

static void access_elements(struct machine *m, struct access *a)
{
    uint8_t *data = a->data + (uint64_t)a->done * a->size;

    access_enter(m);
    if (a->write)
        a->done += bus_write_block(&m->bus, a->space, a->addr, a->size, data, a->count - a->done);
    else
        a->done += bus_read_block(&m->bus, a->space, a->addr, a->size, data, a->count - a->done);
    access_leave(m, a);
}

bool access_run(struct machine *m, struct access *a)
{
    while (access_go_on(m, &a->unfinished)) {
        if (a->done == a->count)
            return true;
        if (work_spent(&m->loop.work))
            return false;
        access_elements(m, a);
        if (a->unfinished.run)
            return false;
    }
    return false;
}

static void access_later(void *opaque)
{
    struct machine *m = opaque;

    if (!access_go_on(m, &m->later))
        loop_post(&m->loop, &m->later_work);
}

void machine_unfinished(struct machine *m, bool (*run)(void *opaque), void *opaque)
{
    struct unfinished unfinished = {run, opaque, m->deletions};

    if (m->accessing) {
        m->unfinished = unfinished;
        return;
    }
    m->later = unfinished;
    m->later_work = (struct loop_work){.run = access_later, .opaque = m};
    loop_post(&m->loop, &m->later_work);
}
