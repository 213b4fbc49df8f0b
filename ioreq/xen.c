/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Xen port: an ioreq server. Requests come in a page shared with the hypervisor, a slot for each vCPU,
 * announced by event channels; writes to the VGA window below 1 MiB also through a ring
 * (xen/include/public/hvm/ioreq.h, hvm/dm_op.h).
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "base/log.h"
#include "ioreq/ioreq.h"
#include "ioreq/xen_private.h"

/* ioreq.h of Xen calls its request struct as we would like to call ours, so it comes last. */
#include <xen/hvm/dm_op.h>
#include <xen/hvm/ioreq.h>

enum {
    MAX_RANGES = 256, /* Xen's limit for each type of a server */
};

#define ROM_FIRST_PAGE 0xC0 /* 0xC0000 to 1 MiB */
#define ROM_PAGES      0x40

#define PORT_TYPE 0
#define MMIO_TYPE 1

/*
 * A guest talks to a device in bursts, a request every few microseconds; to sleep and to be woken takes as
 * long. So after an answer this thread busy-polls for the next request, with its port still masked. Polls
 * that find nothing become rarer by themselves: after the nth of them, one behind the other, 2^n answers go
 * by without one.
 */
#define POLL_NS (15 * NS_PER_US)
/* Others get the thread after so long, or when a piece's work is done. */
#define BURST_NS NS_PER_MS

enum {
    POLLED = 4,        /* vCPUs whose next request is polled for: those that were served last */
    MOST_SKIPPED = 64, /* answers between two polls, at most */
    NO_VCPU = 0xFFFF,
};

struct range {
    uint64_t start, end; /* inclusive */
};

struct range_list {
    struct range ranges[MAX_RANGES];
    unsigned count;
};

/* A vCPU's request that was taken from the page and is not answered yet. */
struct taken {
    bool active;
    struct ioreq req; /* a copy that nobody changes */
    struct xen_request progress;
};

struct server {
    struct xen x; /* first: m->accel_data */
    ioservid_t id;
    bool created, enabled;
    xenforeignmemory_resource_handle *resource;
    struct shared_iopage *requests;
    struct buffered_iopage *ring;
    uint32_t ring_port;  /* local event channel port of the ring */
    struct taken *taken; /* of each vCPU */
    bool *owed;          /* each vCPU: its request has to be served, or to be gone on with */
    unsigned next_owed;  /* whose turn it is */
    struct loop_work go_on_work;
    uint32_t *ports;        /* local port of each vCPU */
    uint16_t *port_vcpu;    /* and the other way round: by local port, a vCPU or NO_VCPU */
    uint32_t port_capacity; /* of port_vcpu */
    unsigned vcpus;
    uint16_t polled[POLLED]; /* the last one first; NO_VCPU: none yet */
    unsigned missed, skip;   /* polls without a request, up to now; answers until the next poll */
    struct range_list claimed[SPACES];
    uint8_t link_irq[4]; /* PIRQ routes that Xen was told of */
    uint8_t link_known;  /* a bit for each of them */
    struct loop_fd watch;
};

static struct server *server_of(struct machine *m)
{
    return m->accel_data;
}

/* ---- ranges: what the bus answers, and what Xen is told ---- */

/* Is the range's memory the guest's own (no exits)? */
static bool guest_has_it(const struct server *s, const struct flat_range *r)
{
    return s->x.screen.vram && r->region == &s->x.screen.vram->region;
}

static void wanted_ranges(struct server *s, enum space space, struct range_list *list)
{
    const struct flat_view *view = &s->x.m->bus.spaces[space].view;

    list->count = 0;
    for (size_t i = 0; i < view->count; i++) {
        const struct flat_range *r = &view->ranges[i];
        struct range *last = list->count ? &list->ranges[list->count - 1] : NULL;

        if (space == SPACE_MEM && guest_has_it(s, r))
            continue;
        if (last && last->end + 1 == r->start)
            last->end = r->end - 1;
        else if (list->count < MAX_RANGES)
            list->ranges[list->count++] = (struct range){r->start, r->end - 1};
        else
            log_limited("more than %d address ranges: %s at 0x%llx is not answered", MAX_RANGES,
                        r->region->name, (unsigned long long)r->start);
    }
}

/* Calls change for every part of `from` that is not in `without`; both are sorted and do not overlap
 * themselves. */
static void difference(struct server *s, enum space space, const struct range_list *from,
                       const struct range_list *without,
                       void (*change)(struct server *s, enum space space, uint64_t start, uint64_t end))
{
    for (unsigned i = 0; i < from->count; i++) {
        uint64_t at = from->ranges[i].start, end = from->ranges[i].end;
        bool more = true;

        for (unsigned j = 0; j < without->count && more; j++) {
            const struct range *w = &without->ranges[j];

            if (w->end < at || w->start > end)
                continue;
            if (w->start > at)
                change(s, space, at, w->start - 1);
            more = w->end < end;
            at = w->end + 1;
        }
        if (more)
            change(s, space, at, end);
    }
}

static void claim(struct server *s, enum space space, uint64_t start, uint64_t end)
{
    work_add(&s->x.m->loop.work, WORK_CALL);
    if (xendevicemodel_map_io_range_to_ioreq_server(
            s->x.dm, s->x.domid, s->id, space == SPACE_MEM ? MMIO_TYPE : PORT_TYPE, start, end) < 0)
        log_limited("Xen does not take the range 0x%llx-0x%llx: %s", (unsigned long long)start,
                    (unsigned long long)end, strerror(errno));
}

static void xen_give_back(struct server *s, enum space space, uint64_t start, uint64_t end)
{
    work_add(&s->x.m->loop.work, WORK_CALL);
    if (xendevicemodel_unmap_io_range_from_ioreq_server(
            s->x.dm, s->x.domid, s->id, space == SPACE_MEM ? MMIO_TYPE : PORT_TYPE, start, end) < 0)
        log_limited("Xen does not give back the range 0x%llx-0x%llx: %s", (unsigned long long)start,
                    (unsigned long long)end, strerror(errno));
}

static void xen_space_changed(void *opaque, enum space space)
{
    struct server *s = opaque;
    struct range_list *wanted = malloc(sizeof(*wanted));

    if (!wanted)
        return;
    wanted_ranges(s, space, wanted);
    difference(s, space, &s->claimed[space], wanted, xen_give_back);
    if (space == SPACE_MEM)
        xen_vram_follow(&s->x);
    difference(s, space, wanted, &s->claimed[space], claim);
    s->claimed[space] = *wanted;
    free(wanted);
}

static void function_changed(void *opaque, unsigned devfn, bool present)
{
    struct server *s = opaque;

    if (present)
        xendevicemodel_map_pcidev_to_ioreq_server(s->x.dm, s->x.domid, s->id, 0, 0, devfn >> 3, devfn & 7);
    else
        xendevicemodel_unmap_pcidev_from_ioreq_server(s->x.dm, s->x.domid, s->id, 0, 0, devfn >> 3,
                                                      devfn & 7);
}

/* ---- the buffered ring ---- */

static void serve_buffered(struct xen *x, const struct buf_ioreq *slot, uint32_t high)
{
    if (slot->type == IOREQ_TYPE_COPY && slot->dir == IOREQ_WRITE)
        bus_write(&x->m->bus, SPACE_MEM, slot->addr, 1u << slot->size, slot->data | (uint64_t)high << 32);
}

/*
 * Takes what is in the ring, at most one ring full, as far as the piece's work allows; false: more is in it.
 * Xen may subtract a multiple of the ring's size from both
 * pointers at any time, so the pair is read until it is consistent and the read pointer is only ever added
 * to.
 */
static bool drain_ring(struct server *s)
{
    _Atomic uint32_t *read_pointer = (_Atomic uint32_t *)&s->ring->read_pointer;
    _Atomic uint32_t *write_pointer = (_Atomic uint32_t *)&s->ring->write_pointer;

    for (unsigned n = 0; n < IOREQ_BUFFER_SLOT_NUM; n++) {
        uint32_t from = atomic_load(read_pointer), to = atomic_load(write_pointer), high = 0, used = 1;
        struct buf_ioreq slot;

        if (from != atomic_load(read_pointer))
            continue;
        if (from == to)
            return true;
        if (work_spent(&s->x.m->loop.work))
            return false;
        work_add(&s->x.m->loop.work, WORK_ACCESS);
        slot = s->ring->buf_ioreq[from % IOREQ_BUFFER_SLOT_NUM];
        if (slot.size == 3) {
            if (to - from < 2) {
                log_limited("the ring of buffered writes holds half a quadword: dropped");
                atomic_fetch_add(read_pointer, 1);
                return true;
            }
            high = s->ring->buf_ioreq[(from + 1) % IOREQ_BUFFER_SLOT_NUM].data;
            used = 2;
        }
        atomic_fetch_add(read_pointer, used);
        serve_buffered(&s->x, &slot, high);
    }
    return true;
}

static void xen_go_on_later(struct server *s)
{
    loop_post(&s->x.m->loop, &s->go_on_work);
}

static void xen_drain(struct machine *m)
{
    struct server *s = server_of(m);

    if (s && s->ring && !drain_ring(s))
        xen_go_on_later(s);
}

/* ---- events ---- */

static bool xen_ready(const struct server *s, unsigned vcpu)
{
    const struct ioreq *shared = &s->requests->vcpu_ioreq[vcpu];

    return *((const volatile uint8_t *)shared + offsetof(struct ioreq, type) - 1) % 16 == STATE_IOREQ_READY;
}

static void xen_take(struct server *s, unsigned vcpu)
{
    struct ioreq *shared = &s->requests->vcpu_ioreq[vcpu];
    struct taken *taken = &s->taken[vcpu];

    atomic_thread_fence(memory_order_acquire);
    memcpy(&taken->req, shared, sizeof(taken->req)); /* from here on only the copy counts */
    shared->state = STATE_IOREQ_INPROCESS;
    taken->progress.at = 0;
    taken->progress.access = (struct access){0};
    taken->active = true;
}

static void xen_answer(struct server *s, unsigned vcpu)
{
    struct ioreq *shared = &s->requests->vcpu_ioreq[vcpu];
    const struct ioreq *req = &s->taken[vcpu].req;

    s->taken[vcpu].active = false;
    if (req->dir == IOREQ_READ && !req->data_is_ptr)
        shared->data = req->data;
    atomic_thread_fence(memory_order_release);
    shared->state = STATE_IORESP_READY;
    xenevtchn_notify(s->x.evtchn, s->ports[vcpu]);
}

/* Takes the request of a vCPU and answers it; false: there is none, or the loop has to go on with it. */
static bool serve_vcpu(struct server *s, unsigned vcpu)
{
    struct taken *taken = &s->taken[vcpu];

    s->owed[vcpu] = false;
    if (!taken->active && !xen_ready(s, vcpu))
        return false;
    if (!drain_ring(s)) { /* writes that came before */
        s->owed[vcpu] = true;
    } else {
        if (!taken->active)
            xen_take(s, vcpu);
        s->owed[vcpu] = !xen_serve(&s->x, &taken->req, &taken->progress);
    }
    if (s->owed[vcpu]) {
        xen_go_on_later(s);
        return false;
    }
    xen_answer(s, vcpu);
    return true;
}

/* What did not fit into a piece, a vCPU after the other. */
static void xen_go_on(void *opaque)
{
    struct server *s = opaque;
    unsigned first = s->next_owed;

    if (!s->enabled || !drain_ring(s)) {
        if (s->enabled)
            xen_go_on_later(s);
        return;
    }
    for (unsigned i = 0; i < s->vcpus && !work_spent(&s->x.m->loop.work); i++) {
        unsigned vcpu = (first + i) % s->vcpus;

        if (s->owed[vcpu]) {
            s->next_owed = (vcpu + 1) % s->vcpus;
            serve_vcpu(s, vcpu);
        }
    }
    for (unsigned i = 0; i < s->vcpus; i++)
        if (s->owed[i])
            xen_go_on_later(s);
}

/* Moves the vCPU to the front of those that are polled. */
static void remember(struct server *s, unsigned vcpu)
{
    unsigned at = 0;

    while (at < POLLED - 1 && s->polled[at] != vcpu)
        at++;
    memmove(s->polled + 1, s->polled, at * sizeof(s->polled[0]));
    s->polled[0] = vcpu;
}

/* A vCPU with a request among those that were served last; NO_VCPU: none. */
static unsigned find_ready(const struct server *s)
{
    for (unsigned i = 0; i < POLLED && s->polled[i] != NO_VCPU; i++)
        if (xen_ready(s, s->polled[i]))
            return s->polled[i];
    return NO_VCPU;
}

/*
 * Busy-polls for the next request, until one is there, it took too long or this thread has other work: what a
 * request posted (a reset, a disk transfer) is done before the next one.
 */
static unsigned xen_busy_poll(struct server *s)
{
    const struct clock *clock = &s->x.m->loop.host_clock;
    unsigned vcpu;
    int64_t end;

    if (loop_has_work(&s->x.m->loop))
        return NO_VCPU;
    if ((vcpu = find_ready(s)) != NO_VCPU)
        return vcpu;
    if (s->skip) {
        s->skip--;
        return NO_VCPU;
    }
    end = clock_now(clock) + POLL_NS;
    while (!loop_has_work(&s->x.m->loop) && clock_now(clock) < end)
        for (unsigned i = 0; i < 16; i++) {
            if ((vcpu = find_ready(s)) != NO_VCPU) {
                s->missed = 0;
                return vcpu;
            }
            __builtin_ia32_pause();
        }
    s->skip = 1u << s->missed;
    if (s->skip < MOST_SKIPPED)
        s->missed++;
    return NO_VCPU;
}

/* Serves the vCPU whose event came, and what follows closely, its own next requests first of all. */
static void serve_burst(struct server *s, unsigned vcpu)
{
    const struct loop *loop = &s->x.m->loop;
    int64_t end = clock_now(&loop->host_clock) + BURST_NS;

    while (vcpu != NO_VCPU && serve_vcpu(s, vcpu)) {
        remember(s, vcpu);
        if (work_spent(&loop->work) || clock_now(&loop->host_clock) >= end)
            break;
        vcpu = xen_busy_poll(s);
    }
    xen_vram_life(&s->x);
}

static void xen_event(void *opaque, uint32_t events)
{
    struct server *s = opaque;
    int port = xenevtchn_pending(s->x.evtchn);
    unsigned vcpu;

    if (port < 0)
        return;
    vcpu = (uint32_t)port < s->port_capacity ? s->port_vcpu[port] : NO_VCPU;
    if (vcpu != NO_VCPU) {
        serve_burst(s, vcpu);
        /* A request that was posted meanwhile, and is not served, comes as an event now. */
        xenevtchn_unmask(s->x.evtchn, port);
        return;
    }
    xenevtchn_unmask(s->x.evtchn, port);
    if ((uint32_t)port == s->ring_port)
        xen_drain(s->x.m);
    else
        xenpv_event(&s->x.pv, port);
}

/* ---- the server ---- */

static bool xen_map_pages(struct server *s, struct error *err)
{
    void *pages = NULL;

    s->resource = xenforeignmemory_map_resource(s->x.fmem, s->x.domid, XENMEM_resource_ioreq_server, s->id, 0,
                                                2, &pages, PROT_READ | PROT_WRITE, 0);
    if (s->resource) {
        s->ring = pages;
        s->requests = (void *)((char *)pages + XC_PAGE_SIZE);
        return true;
    }
    if (errno == EOPNOTSUPP) { /* kernels before 4.18: by their frame numbers */
        xen_pfn_t gfn, ring_gfn;

        if (xendevicemodel_get_ioreq_server_info(s->x.dm, s->x.domid, s->id, &gfn, &ring_gfn, NULL) == 0) {
            s->requests = xenforeignmemory_map(s->x.fmem, s->x.domid, PROT_READ | PROT_WRITE, 1, &gfn, NULL);
            s->ring = xenforeignmemory_map(s->x.fmem, s->x.domid, PROT_READ | PROT_WRITE, 1, &ring_gfn, NULL);
        }
    }
    return (s->requests && s->ring) ||
           error_set(err, "cannot map the request pages of domain %u: %s", s->x.domid, strerror(errno));
}

static bool note_port(struct server *s, uint32_t port, unsigned vcpu)
{
    uint32_t needed = port + 1;
    uint16_t *table;

    if (needed > s->port_capacity) {
        table = realloc(s->port_vcpu, needed * sizeof(*table));
        if (!table)
            return false;
        memset(table + s->port_capacity, 0xFF, (needed - s->port_capacity) * sizeof(*table));
        s->port_vcpu = table;
        s->port_capacity = needed;
    }
    s->port_vcpu[port] = vcpu;
    return true;
}

static bool bind_ports(struct server *s, struct error *err)
{
    evtchn_port_t ring_port;
    int local;

    if (xendevicemodel_get_ioreq_server_info(s->x.dm, s->x.domid, s->id, NULL, NULL, &ring_port) < 0 ||
        xendevicemodel_set_ioreq_server_state(s->x.dm, s->x.domid, s->id, 1) < 0)
        return error_set(err, "cannot enable the ioreq server of domain %u: %s", s->x.domid, strerror(errno));
    s->enabled = true;
    /* The vCPUs' ports are in the page from the moment it is enabled. */
    for (unsigned i = 0; i < s->vcpus; i++) {
        local = xenevtchn_bind_interdomain(s->x.evtchn, s->x.domid, s->requests->vcpu_ioreq[i].vp_eport);
        if (local < 0)
            return error_set(err, "no event channel for vCPU %u of domain %u: %s", i, s->x.domid,
                             strerror(errno));
        s->ports[i] = local;
        if (!note_port(s, local, i))
            return error_set(err, "out of memory");
    }
    local = xenevtchn_bind_interdomain(s->x.evtchn, s->x.domid, ring_port);
    if (local < 0)
        return error_set(err, "no event channel for the ring of domain %u: %s", s->x.domid, strerror(errno));
    s->ring_port = local;
    return true;
}

static bool create_server(struct server *s, struct error *err)
{
    unsigned vcpus = 0;

    if (xendevicemodel_create_ioreq_server(s->x.dm, s->x.domid, HVM_IOREQSRV_BUFIOREQ_ATOMIC, &s->id) < 0)
        return error_set(err, "domain %u takes no ioreq server: %s", s->x.domid, strerror(errno));
    s->created = true;
    memset(s->polled, 0xFF, sizeof(s->polled));
    s->vcpus = s->x.m->config.max_cpus;
    if (xendevicemodel_nr_vcpus(s->x.dm, s->x.domid, &vcpus) == 0 && vcpus)
        s->vcpus = vcpus;
    if (s->vcpus > MACHINE_MAX_CPUS)
        return error_set(err, "domain %u has %u vCPUs; at most %d are possible", s->x.domid, s->vcpus,
                         MACHINE_MAX_CPUS);
    s->ports = calloc(s->vcpus, sizeof(*s->ports));
    s->taken = calloc(s->vcpus, sizeof(*s->taken));
    s->owed = calloc(s->vcpus, sizeof(*s->owed));
    if (!s->ports || !s->taken || !s->owed)
        return error_set(err, "out of memory");
    return xen_map_pages(s, err) && bind_ports(s, err);
}

/* ---- the accelerator ---- */

static void xen_stop(struct machine *m)
{
    struct server *s = server_of(m);

    if (!s)
        return;
    m->bus.listener = NULL;
    m->pci.function_changed = NULL;
    loop_cancel(&m->loop, &s->go_on_work);
    xenpv_stop(&s->x.pv);
    if (s->watch.fd >= 0)
        loop_unwatch(&m->loop, &s->watch);
    if (s->created)
        xendevicemodel_destroy_ioreq_server(s->x.dm, s->x.domid, s->id);
    if (s->resource) {
        xenforeignmemory_unmap_resource(s->x.fmem, s->resource);
    } else {
        if (s->requests)
            xenforeignmemory_unmap(s->x.fmem, s->requests, 1);
        if (s->ring)
            xenforeignmemory_unmap(s->x.fmem, s->ring, 1);
    }
    s->requests = NULL;
    s->ring = NULL;
}

static void xen_destroy(struct machine *m)
{
    struct server *s = server_of(m);

    if (!s)
        return;
    if (s->x.fmem) {
        xen_memory_destroy(&s->x);
        xenforeignmemory_close(s->x.fmem);
    }
    if (s->x.dm)
        xendevicemodel_close(s->x.dm);
    if (s->x.evtchn)
        xenevtchn_close(s->x.evtchn);
    if (s->x.xc)
        xc_interface_close(s->x.xc);
    if (s->x.store)
        xs_close(s->x.store);
    free(s->ports);
    free(s->taken);
    free(s->owed);
    free(s->port_vcpu);
    free(s);
    m->accel_data = NULL;
}

static bool open_handles(struct xen *x, struct error *err)
{
    x->dm = xendevicemodel_open(NULL, 0);
    x->fmem = xenforeignmemory_open(NULL, 0);
    x->evtchn = xenevtchn_open(NULL, 0);
    x->xc = xc_interface_open(NULL, NULL, 0);
    if (!x->dm || !x->fmem || !x->evtchn || !x->xc)
        return error_set(err, "cannot reach Xen (is this a Xen host's control domain, with /dev/xen?): %s",
                         strerror(errno));
    if (x->m->config.xen_restrict)
        return true;
    x->store = xs_open(0);
    return x->store || error_set(err, "cannot reach xenstore: %s", strerror(errno));
}

/* Tells libxl that the device model works; a restricted one is asked by QMP instead. */
static void tell_running(struct xen *x)
{
    char path[64];

    if (!x->store)
        return;
    snprintf(path, sizeof(path), "device-model/%u/state", x->domid);
    if (!xs_write(x->store, XBT_NULL, path, "running", strlen("running")))
        log_line("xenstore: %s cannot be written: %s", path, strerror(errno));
}

static bool xen_alloc_ram(struct machine *m, struct error *err)
{
    struct server *s = calloc(1, sizeof(*s));

    if (!s)
        return error_set(err, "out of memory");
    s->x.m = m;
    s->x.domid = m->config.xen_domid;
    s->watch.fd = -1;
    s->go_on_work = (struct loop_work){.run = xen_go_on, .opaque = s};
    m->accel_data = s;
    if (!open_handles(&s->x, err))
        return false;
    xen_memory_init(&s->x);
    return true;
}

static void input_sent(void *opaque)
{
    xen_vram_life(opaque);
}

static bool start_backends(struct xen *x, struct error *err)
{
    x->pv = (struct xenpv){.m = x->m,
                           .domid = x->domid,
                           .evtchn = x->evtchn,
                           .fmem = x->fmem,
                           .store = x->store,
                           .input_sent = input_sent,
                           .opaque = x};
    return xenpv_start(&x->pv, err);
}

static bool xen_start(struct machine *m, struct error *err)
{
    struct server *s = server_of(m);

    if (!create_server(s, err))
        return false;
    if (!loop_watch(&m->loop, &s->watch, xenevtchn_fd(s->x.evtchn), EPOLLIN, xen_event, s))
        return error_set(err, "cannot wait for event channels: %s", strerror(errno));
    xen_vram_add_section(&s->x);
    m->bus.listener = xen_space_changed;
    m->bus.listener_opaque = s;
    m->pci.function_changed = function_changed;
    m->pci.function_opaque = s;
    for (unsigned devfn = 0; devfn < 256; devfn++)
        if (m->pci.functions[devfn])
            function_changed(s, devfn, true);
    xen_space_changed(s, SPACE_PORT);
    xen_space_changed(s, SPACE_MEM);
    if (s->x.store)
        return start_backends(&s->x, err);
    log_line(
        "-xen-domid-restrict: without xenstore no paravirtual disk or keyboard is served here; disks of a "
        "kernel back end (phy) work");
    return true;
}

static void set_enabled(struct machine *m, bool enabled)
{
    struct server *s = server_of(m);

    if (s->enabled == enabled)
        return;
    while (!enabled && !drain_ring(s)) /* what it has written is part of its state */
        work_begin(&m->loop.work);
    if (xendevicemodel_set_ioreq_server_state(s->x.dm, s->x.domid, s->id, enabled) < 0)
        log_line("domain %u: the ioreq server's state cannot be changed: %s", s->x.domid, strerror(errno));
    s->enabled = enabled;
}

static void xen_resume(struct machine *m)
{
    set_enabled(m, true);
    xen_go_on_later(server_of(m));
    tell_running(&server_of(m)->x);
    xenpv_resume(&server_of(m)->x.pv);
}

static void xen_pause_server(struct machine *m)
{
    set_enabled(m, false);
}

static bool xen_guest_stop(struct machine *m, enum stop_reason reason)
{
    struct server *s = server_of(m);

    if (xendevicemodel_shutdown(s->x.dm, s->x.domid,
                                reason == STOP_RESET ? SHUTDOWN_reboot : SHUTDOWN_poweroff) < 0)
        log_line("domain %u cannot be shut down: %s", s->x.domid, strerror(errno));
    return true;
}

static void xen_log_writes(struct machine *m, bool on)
{
    server_of(m)->x.log_writes = on;
}

static void xen_set_line(struct machine *m, unsigned line, bool level)
{
    struct server *s = server_of(m);

    work_add(&m->loop.work, WORK_CALL);
    if (line < 16)
        xendevicemodel_set_isa_irq_level(s->x.dm, s->x.domid, line, level);
}

static void xen_set_intx(struct machine *m, unsigned slot, unsigned pin, bool level)
{
    struct server *s = server_of(m);

    work_add(&m->loop.work, WORK_CALL);
    xendevicemodel_set_pci_intx_level(s->x.dm, s->x.domid, 0, 0, slot, pin, level);
}

static void xen_set_link(struct machine *m, unsigned link, unsigned irq)
{
    struct server *s = server_of(m);

    if (s->link_known >> link & 1 && s->link_irq[link] == irq)
        return;
    if (xendevicemodel_set_pci_link_route(s->x.dm, s->x.domid, link, irq) < 0)
        return;
    s->link_irq[link] = irq;
    s->link_known |= 1u << link;
}

static bool xen_restrict_self(struct machine *m, struct error *err)
{
    struct xen *x = &server_of(m)->x;

    xc_interface_close(x->xc);
    x->xc = NULL;
    return xentoolcore_restrict_all(x->domid) == 0 ||
           error_set(err, "-xen-domid-restrict: %s", strerror(errno));
}

static void xen_lock_roms(struct machine *m, bool locked)
{
    struct server *s = server_of(m);

    xendevicemodel_set_mem_type(s->x.dm, s->x.domid, locked ? HVMMEM_ram_ro : HVMMEM_ram_rw, ROM_FIRST_PAGE,
                                ROM_PAGES);
}

const struct accel_ops xen_accel = {
    .name = "xen",
    .own_platform = true,
    .restrict_self = xen_restrict_self,
    .lock_roms = xen_lock_roms,
    .alloc_ram = xen_alloc_ram,
    .alloc_vram = xen_vram_alloc,
    .free_vram = xen_vram_free,
    .start = xen_start,
    .stop = xen_stop,
    .destroy = xen_destroy,
    .resume = xen_resume,
    .pause = xen_pause_server,
    .guest_stop = xen_guest_stop,
    .set_line = xen_set_line,
    .set_intx = xen_set_intx,
    .set_link = xen_set_link,
    .log_writes = xen_log_writes,
    .wrote_vram = xen_wrote_vram,
    .watch_vram = xen_vram_watch,
    .sync_vram = xen_vram_sync,
    .drain = xen_drain,
};
