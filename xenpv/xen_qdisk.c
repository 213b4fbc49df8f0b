/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The back end of a paravirtual disk (xen/include/public/io/blkif.h) whose image this process reads and
 * writes: libxl calls it qdisk. A guest's driver unplugs the emulated disks and goes on here.
 *
 * The disk that is also emulated shares the emulated drive's slot: one medium, opened and locked once,
 * whoever uses it. A disk without an emulated twin has a slot of its own.
 *
 * Data goes straight between the image and pages that are kept mapped, if the front end agreed to that
 * ("persistent"), else through a buffer from and to which Xen copies it.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "base/util.h"
#include "block/block.h"
#include "hw/backends.h"
#include "xenpv/blkif_ring.h"
#include "xenpv/xen_grants.h"
#include "xenpv/xenbus_backend.h"

#include <xen/io/protocols.h>

enum {
    SECTOR = 512,
    PAGE_SECTORS = XC_PAGE_SIZE / SECTOR,
    MAX_RING_ORDER = 4, /* pages of a ring, as a power of two */
    MAX_QUEUES = 4,
    MAX_SEGMENTS = GRANT_COPIES, /* of an indirect request: 512 KiB, described by one page */
    /* Pages kept mapped for each queue: 32 requests with 32 segments and a page of them. */
    QUEUE_MAPPED = 1056,
    MAX_BUFFERED = 8 << 20, /* bytes of a disk's buffers beyond which requests wait */
};

_Static_assert(MAX_SEGMENTS * sizeof(struct blkif_request_segment) <= XC_PAGE_SIZE, "one page of segments");

struct xen_qdisk {
    struct xenbus_device bus;
    struct block *block;
    bool own;       /* the slot is ours alone */
    bool read_only; /* for the guest */
    bool removable, cdrom, discard;
    /* While connected: */
    struct queue {
        struct xen_qdisk *disk;
        struct blkif_ring ring;
        void *pages;
        unsigned page_count;
        int port; /* local event channel port */
        struct loop_work work;
        struct transfer *transfers; /* under way */
    } queues[MAX_QUEUES];
    unsigned queue_count;
    struct grant_pages *pages; /* NULL: everything is copied */
    size_t buffered;           /* bytes of buffers in use */
    bool waiting;              /* a queue waits for some of that */
};

/* A request of the guest's under way. */
struct transfer {
    struct block_request request;
    struct queue *queue;
    struct transfer *next, **at;
    uint64_t id;
    uint8_t operation;
    uint8_t *buffer; /* NULL: the request's vectors are the guest's pages */
    unsigned count;
    struct grant_part parts[MAX_SEGMENTS];
    struct iovec iov[MAX_SEGMENTS];
};

static void qdisk_serve(void *opaque);

static uint64_t qdisk_capacity(const struct xen_qdisk *disk)
{
    return block_size(disk->block) / SECTOR;
}

/* ---- answers ---- */

static void respond(struct queue *q, uint64_t id, uint8_t operation, int16_t status)
{
    if (blkif_ring_respond(&q->ring, id, operation, status))
        xenevtchn_notify(q->disk->bus.pv->evtchn, q->port);
}

static void qdisk_release(struct transfer *t)
{
    struct xen_qdisk *disk = t->queue->disk;

    if (t->buffer)
        disk->buffered -= t->request.length;
    *t->at = t->next;
    if (t->next)
        t->next->at = t->at;
    free(t->buffer);
    free(t);
}

static void serve_all(struct xen_qdisk *disk)
{
    for (unsigned i = 0; i < disk->queue_count; i++)
        loop_post(&disk->bus.pv->m->loop, &disk->queues[i].work);
}

static void qdisk_finish(struct transfer *t, int16_t status)
{
    struct xen_qdisk *disk = t->queue->disk;

    respond(t->queue, t->id, t->operation, status);
    qdisk_release(t);
    if (disk->waiting) {
        disk->waiting = false;
        serve_all(disk);
    }
}

static void qdisk_done(struct block_request *request, int error)
{
    struct transfer *t = request->opaque;
    struct xenpv *pv = t->queue->disk->bus.pv;

    if (!error && request->op == BLOCK_FLUSH && request->length) {
        request->op = BLOCK_WRITE; /* a flush with data: they come after it */
        block_submit(t->queue->disk->block, request);
        return;
    }
    if (!error && t->buffer && request->op == BLOCK_READ && !grants_write(pv, t->parts, t->count, t->buffer))
        error = EFAULT;
    qdisk_finish(t, error ? BLKIF_RSP_ERROR : BLKIF_RSP_OKAY);
}

/* ---- requests ---- */

static struct transfer *new_transfer(struct queue *q, const struct blkif_command *c)
{
    struct transfer *t = malloc(sizeof(*t));

    if (!t)
        return NULL;
    t->request = (struct block_request){.offset = c->sector * SECTOR, .done = qdisk_done, .opaque = t};
    t->queue = q;
    t->id = c->id;
    t->operation = c->operation;
    t->buffer = NULL;
    t->count = 0;
    t->next = q->transfers;
    t->at = &q->transfers;
    if (t->next)
        t->next->at = &t->next;
    q->transfers = t;
    return t;
}

/* The segments of an indirect request, from the page that holds them. */
static bool fetch_segments(struct xen_qdisk *disk, const struct blkif_command *c,
                           struct blkif_request_segment segments[MAX_SEGMENTS])
{
    struct grant_part part = {.reference = c->pages[0], .length = c->segments * sizeof(segments[0])};
    const uint8_t *page = disk->pages ? grant_page(disk->pages, part.reference) : NULL;

    if (!page)
        return grants_read(disk->bus.pv, &part, 1, segments);
    memcpy(segments, page, part.length);
    atomic_signal_fence(memory_order_seq_cst); /* from here on only the copy is read */
    return true;
}

/* The parts of pages that the request is about, checked; sets the transfer's length. */
static bool describe(struct transfer *t, const struct blkif_command *c)
{
    struct blkif_request_segment fetched[MAX_SEGMENTS];
    const struct blkif_request_segment *segments = c->indirect ? fetched : c->direct;

    if (c->segments > (c->indirect ? MAX_SEGMENTS : BLKIF_MAX_SEGMENTS_PER_REQUEST))
        return false;
    if (c->indirect && !fetch_segments(t->queue->disk, c, fetched))
        return false;
    for (unsigned i = 0; i < c->segments; i++) {
        unsigned first = segments[i].first_sect, last = segments[i].last_sect;

        if (first > last || last >= PAGE_SECTORS)
            return false;
        t->parts[i] = (struct grant_part){
            .reference = segments[i].gref, .offset = first * SECTOR, .length = (last - first + 1) * SECTOR};
        t->request.length += t->parts[i].length;
    }
    t->count = c->segments;
    return true;
}

/* Vectors over the guest's own pages, if all of them can be had. */
static bool map_parts(struct transfer *t)
{
    struct grant_pages *pages = t->queue->disk->pages;

    for (unsigned i = 0; i < t->count; i++) {
        uint8_t *page = pages ? grant_page(pages, t->parts[i].reference) : NULL;

        if (!page)
            return false;
        t->iov[i] = (struct iovec){page + t->parts[i].offset, t->parts[i].length};
    }
    t->request.iovcnt = t->count;
    return true;
}

/* A buffer for it all, with what is to be written. */
static bool buffer_parts(struct transfer *t)
{
    struct xen_qdisk *disk = t->queue->disk;

    t->buffer = aligned_alloc(XC_PAGE_SIZE, (t->request.length + XC_PAGE_SIZE - 1) & ~(XC_PAGE_SIZE - 1));
    if (!t->buffer)
        return false;
    disk->buffered += t->request.length;
    t->iov[0] = (struct iovec){t->buffer, t->request.length};
    t->request.iovcnt = 1;
    return t->operation == BLKIF_OP_READ || grants_read(disk->bus.pv, t->parts, t->count, t->buffer);
}

/* Is it within the disk, and may the guest do it? */
static bool permitted(const struct xen_qdisk *disk, const struct blkif_command *c, uint64_t sectors)
{
    return (c->operation == BLKIF_OP_READ || !disk->read_only) && c->sector <= qdisk_capacity(disk) &&
           sectors <= qdisk_capacity(disk) - c->sector;
}

static bool prepare(struct transfer *t, const struct blkif_command *c)
{
    const struct xen_qdisk *disk = t->queue->disk;

    t->request.iov = t->iov;
    switch (c->operation) {
    case BLKIF_OP_DISCARD:
        t->request.op = BLOCK_DISCARD;
        if (!permitted(disk, c, c->sectors))
            return false;
        t->request.length = c->sectors * SECTOR;
        return true;
    case BLKIF_OP_FLUSH_DISKCACHE:
        t->request.op = BLOCK_FLUSH;
        if (!c->segments)
            return true;
        break;
    default:
        t->request.op = c->operation == BLKIF_OP_READ ? BLOCK_READ : BLOCK_WRITE;
    }
    return describe(t, c) && t->count && permitted(disk, c, t->request.length / SECTOR) &&
           (map_parts(t) || buffer_parts(t));
}

static bool known(const struct xen_qdisk *disk, const struct blkif_command *c)
{
    switch (c->operation) {
    case BLKIF_OP_READ:
    case BLKIF_OP_WRITE:
        return true;
    case BLKIF_OP_FLUSH_DISKCACHE:
        return !c->indirect;
    case BLKIF_OP_DISCARD:
        return disk->discard && !c->indirect;
    default:
        return false;
    }
}

static void qdisk_start(struct queue *q, const struct blkif_command *c)
{
    struct transfer *t;

    if (!known(q->disk, c)) {
        respond(q, c->id, c->operation, BLKIF_RSP_EOPNOTSUPP);
        return;
    }
    t = new_transfer(q, c);
    if (!t)
        respond(q, c->id, c->operation, BLKIF_RSP_ERROR);
    else if (!prepare(t, c))
        qdisk_finish(t, BLKIF_RSP_ERROR);
    else
        block_submit(q->disk->block, &t->request);
}

/* Takes the requests that are there, at most one ring full. */
static void qdisk_serve(void *opaque)
{
    struct queue *q = opaque;
    struct xen_qdisk *disk = q->disk;
    struct machine *m = disk->bus.pv->m;
    struct blkif_command command;

    for (unsigned n = 0; n < q->ring.size; n++) {
        if (m->state == RUN_PAUSED || m->state == RUN_IO_ERROR)
            return;
        if (disk->buffered >= MAX_BUFFERED) {
            disk->waiting = true;
            return;
        }
        switch (blkif_ring_take(&q->ring, &command)) {
        case BLKIF_NONE:
            return;
        case BLKIF_BROKEN:
            log_limited("the guest's disk %u: the ring's producer index makes no sense; the ring is stopped",
                        disk->bus.number);
            return;
        case BLKIF_COMMAND:
            qdisk_start(q, &command);
        }
    }
    loop_post(&m->loop, &q->work);
}

/* ---- queues ---- */

/* The pages of the ring, in one piece. dir: where the queue's keys are. */
static bool map_ring(struct queue *q, const char *dir, unsigned order)
{
    struct xenpv *pv = q->disk->bus.pv;
    uint32_t references[1 << MAX_RING_ORDER];
    char key[16];

    q->page_count = 1u << order;
    for (unsigned i = 0; i < q->page_count; i++) {
        snprintf(key, sizeof(key), order ? "ring-ref%u" : "ring-ref", i);
        if (!xenbus_read(pv, dir, key, &references[i]))
            return false;
    }
    q->pages = xengnttab_map_domain_grant_refs(pv->grants, q->page_count, pv->domid, references,
                                               PROT_READ | PROT_WRITE);
    return q->pages;
}

static bool open_queue(struct xen_qdisk *disk, const char *dir, unsigned order, bool abi32)
{
    struct queue *q = &disk->queues[disk->queue_count];
    struct xenpv *pv = disk->bus.pv;
    uint32_t remote;

    *q = (struct queue){.disk = disk, .work = {.run = qdisk_serve, .opaque = q}};
    if (!xenbus_read(pv, dir, "event-channel", &remote) || !map_ring(q, dir, order)) {
        log_limited("the guest's disk %u names no ring and event channel that can be had", disk->bus.number);
        return false;
    }
    q->port = xenevtchn_bind_interdomain(pv->evtchn, pv->domid, remote);
    if (q->port < 0) {
        log_limited("the guest's disk %u has no event channel: %s", disk->bus.number, strerror(errno));
        xengnttab_unmap(pv->grants, q->pages, q->page_count);
        return false;
    }
    blkif_ring_attach(&q->ring, q->pages, order, abi32);
    disk->queue_count++;
    return true;
}

static void close_queue(struct queue *q)
{
    struct xenpv *pv = q->disk->bus.pv;

    while (q->transfers) {
        block_cancel(&q->transfers->request);
        qdisk_release(q->transfers);
    }
    loop_cancel(&pv->m->loop, &q->work);
    xenevtchn_unbind(pv->evtchn, q->port);
    xengnttab_unmap(pv->grants, q->pages, q->page_count);
}

/* ---- the connection ---- */

static void qdisk_disconnect(struct xenbus_device *dev)
{
    struct xen_qdisk *disk = (struct xen_qdisk *)dev;

    while (disk->queue_count) {
        close_queue(&disk->queues[disk->queue_count - 1]);
        disk->queue_count--;
    }
    grant_pages_free(disk->pages);
    disk->pages = NULL;
    disk->waiting = false;
}

static bool open_queues(struct xen_qdisk *disk, unsigned count, unsigned order, bool abi32)
{
    char dir[XENBUS_PATH + 24];

    if (count == 1)
        return open_queue(disk, disk->bus.frontend, order, abi32);
    for (unsigned i = 0; i < count; i++) {
        snprintf(dir, sizeof(dir), "%s/queue-%u", disk->bus.frontend, i);
        if (!open_queue(disk, dir, order, abi32))
            return false;
    }
    return true;
}

/* What kind of guest it is: false: of one that there is no layout for. */
static bool read_protocol(struct xen_qdisk *disk, bool *abi32)
{
    char *name = xenbus_read_text(disk->bus.pv, disk->bus.frontend, "protocol");
    bool known;

    *abi32 = name && !strcmp(name, XEN_IO_PROTO_ABI_X86_32);
    known = !name || *abi32 || !strcmp(name, XEN_IO_PROTO_ABI_X86_64);
    free(name);
    return known;
}

/* The size, and again when it changed. */
static void announce(struct xen_qdisk *disk)
{
    xenbus_write(&disk->bus, "sectors", qdisk_capacity(disk));
    xenbus_write(&disk->bus, "sector-size", SECTOR);
    xenbus_write(&disk->bus, "info",
                 (disk->cdrom ? VDISK_CDROM : 0) | (disk->removable ? VDISK_REMOVABLE : 0) |
                     (disk->read_only ? VDISK_READONLY : 0));
}

static bool qdisk_connect(struct xenbus_device *dev)
{
    struct xen_qdisk *disk = (struct xen_qdisk *)dev;
    uint32_t order = 0, count = 1, persistent = 0;
    bool abi32;

    if (!dev->pv->grants) {
        log_limited(
            "the guest's disk %u cannot be served: /dev/xen/gntdev cannot be opened (module xen-gntdev)",
            dev->number);
        return false;
    }
    xenbus_read(dev->pv, dev->frontend, "ring-page-order", &order);
    xenbus_read(dev->pv, dev->frontend, "multi-queue-num-queues", &count);
    xenbus_read(dev->pv, dev->frontend, "feature-persistent", &persistent);
    if (!read_protocol(disk, &abi32) || order > MAX_RING_ORDER || !count || count > MAX_QUEUES) {
        log_limited("the guest's disk %u asks for what was not offered", dev->number);
        return false;
    }
    if (persistent == 1)
        disk->pages = grant_pages_new(dev->pv, QUEUE_MAPPED * count);
    if (!open_queues(disk, count, order, abi32)) {
        qdisk_disconnect(dev);
        return false;
    }
    announce(disk);
    serve_all(disk);
    return true;
}

static bool qdisk_event(struct xenbus_device *dev, int port)
{
    struct xen_qdisk *disk = (struct xen_qdisk *)dev;

    for (unsigned i = 0; i < disk->queue_count; i++)
        if (disk->queues[i].port == port) {
            qdisk_serve(&disk->queues[i]);
            return true;
        }
    return false;
}

static void qdisk_resumed(struct xenbus_device *dev)
{
    serve_all((struct xen_qdisk *)dev);
}

static void qdisk_offer(struct xenbus_device *dev)
{
    const struct xen_qdisk *disk = (struct xen_qdisk *)dev;

    xenbus_write(dev, "feature-flush-cache", 1);
    xenbus_write(dev, "feature-persistent", 1);
    xenbus_write(dev, "feature-max-indirect-segments", MAX_SEGMENTS);
    xenbus_write(dev, "feature-discard", disk->discard);
    xenbus_write(dev, "max-ring-page-order", MAX_RING_ORDER);
    xenbus_write(dev, "multi-queue-max-queues", MAX_QUEUES);
    announce((struct xen_qdisk *)dev);
    xenbus_write_text(dev, "hotplug-status", "connected");
}

/* ---- the medium ---- */

/* The key params, FORMAT:PATH, taken apart: raw images are called aio. path "": no medium. */
static void parse_params(char *params, const char **format, const char **path)
{
    static const struct {
        const char *theirs, *ours;
    } names[] = {{"aio", "raw"}, {"vhd", "vpc"}};
    char *colon = strchr(params, ':');

    if (!colon) { /* "" where a CD was taken out */
        *format = NULL;
        *path = params;
        return;
    }
    *colon = '\0';
    *format = params;
    *path = colon + 1;
    for (size_t i = 0; i < COUNT(names); i++)
        if (!strcmp(params, names[i].theirs))
            *format = names[i].ours;
}

/* The slot of the drive that is this disk's emulated twin, if there is one that is not shared already. */
static struct block *find_twin(const struct xen_qdisk *disk, const char *path)
{
    char id[32];

    snprintf(id, sizeof(id), "ide-%u", disk->bus.number); /* as libxl calls the CD drive */
    for (struct block *b = disk->bus.pv->m->backends->blocks; b; b = block_next(b)) {
        bool same =
            block_removable(b) ? !strcmp(block_id(b), id) : block_present(b) && !strcmp(block_file(b), path);

        if (same && block_share(b))
            return b;
    }
    return NULL;
}

static bool open_medium(struct xen_qdisk *disk, char *params, struct error *err)
{
    struct block_options options = {.read_only = disk->read_only, .removable = disk->removable};
    const char *path;
    char id[32];

    parse_params(params, &options.format, &path);
    disk->block = find_twin(disk, path);
    if (disk->block)
        return true;
    disk->own = true;
    options.file = *path ? path : NULL;
    snprintf(id, sizeof(id), "qdisk-%u", disk->bus.number);
    disk->block = block_open(&disk->bus.pv->m->loop, id, &options, err);
    return disk->block;
}

static bool has_text(const struct xen_qdisk *disk, const char *key, const char *wanted)
{
    char *text = xenbus_read_text(disk->bus.pv, disk->bus.base, key);
    bool same = text && !strcmp(text, wanted);

    free(text);
    return same;
}

static bool qdisk_create(struct xenbus_device *dev, struct error *err)
{
    struct xen_qdisk *disk = (struct xen_qdisk *)dev;
    char *params = xenbus_read_text(dev->pv, dev->base, "params");
    bool ok;

    disk->cdrom = has_text(disk, "device-type", "cdrom");
    disk->removable = has_text(disk, "removable", "1");
    disk->read_only = !has_text(disk, "mode", "w");
    ok = params ? open_medium(disk, params, err) : error_set(err, "the key params is missing");
    free(params);
    if (!ok)
        return false;
    disk->read_only = disk->read_only || block_read_only(disk->block);
    disk->discard = !disk->read_only && !has_text(disk, "discard-enable", "0");
    return true;
}

static void qdisk_destroy(struct xenbus_device *dev)
{
    struct xen_qdisk *disk = (struct xen_qdisk *)dev;

    if (disk->own)
        block_close(disk->block);
    else
        block_unshare(disk->block);
}

/* Puts what params name into the slot that is ours alone. */
static bool change_own(struct xen_qdisk *disk, struct error *err)
{
    struct block_options options = {.read_only = disk->read_only, .removable = true};
    char *params = xenbus_read_text(disk->bus.pv, disk->bus.base, "params");
    bool ok = true;

    if (params) {
        const char *path;

        parse_params(params, &options.format, &path);
        options.file = path;
        if (*path)
            ok = block_insert(disk->block, &options, err);
        else
            ok = block_eject(disk->block, true, err);
    }
    free(params);
    return ok;
}

/* The medium was changed: in the twin's slot by libxl, by QMP. The front end looks at the size when it is
 * told "connected" once more. */
static void qdisk_params_changed(struct xenbus_device *dev)
{
    struct xen_qdisk *disk = (struct xen_qdisk *)dev;
    struct error err;

    if (!disk->removable)
        return;
    if (disk->own && !change_own(disk, &err))
        log_limited("qdisk %u: %s", dev->number, err.text);
    announce(disk);
    if (dev->connected)
        xenbus_write(dev, "state", XenbusStateConnected);
}

const struct xenbus_class xen_qdisk_class = {
    .kind = "qdisk",
    .size = sizeof(struct xen_qdisk),
    .create = qdisk_create,
    .destroy = qdisk_destroy,
    .offer = qdisk_offer,
    .connect = qdisk_connect,
    .disconnect = qdisk_disconnect,
    .event = qdisk_event,
    .params_changed = qdisk_params_changed,
    .resumed = qdisk_resumed,
};
