/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a request of Xen's does to the machine (xen/include/public/hvm/ioreq.h). It is a copy that nobody
 * changes meanwhile; of what it says nothing is believed.
 */
#include <string.h>

#include "ioreq/xen_private.h"

/* ioreq.h of Xen calls its request struct as we would like to call ours, so it comes last. */
#include <xen/hvm/ioreq.h>

enum {
    MAX_REPEAT = 4096, /* elements of one string request: Xen cuts them at a page */
};

static bool valid_size(uint32_t size, uint32_t widest)
{
    return size && size <= widest && !(size & (size - 1));
}

/* The guest physical address of element i of a request's memory operand; df: downwards. */
static uint64_t element(uint64_t base, const struct ioreq *req, uint32_t i)
{
    uint64_t step = (uint64_t)i * req->size;

    return req->df ? base - step : base + step;
}

/* Begins the access of the request's next elements, count of them. */
static void xen_begin_access(struct xen_request *r, const struct ioreq *req, enum space space, uint64_t addr,
                             uint32_t count)
{
    r->access = (struct access){.space = space,
                                .write = req->dir == IOREQ_WRITE,
                                .size = req->size,
                                .addr = addr,
                                .data = r->block,
                                .count = count};
}

static void xen_end_access(struct xen_request *r)
{
    r->at += r->access.count;
    r->access.count = 0;
}

/* rep ins, rep outs: one port, memory that advances. Upwards in blocks, the rare downwards element by
 * element. */
static bool xen_string_port(struct machine *m, const struct ioreq *req, struct xen_request *r)
{
    uint32_t at_once = req->df ? 1 : XEN_BLOCK / req->size;

    while (r->at < req->count) {
        uint32_t n = req->count - r->at < at_once ? req->count - r->at : at_once;
        uint64_t address = element(req->data, req, r->at), bytes = (uint64_t)n * req->size;

        if (!r->access.count) {
            if (req->dir == IOREQ_WRITE && !ram_read(&m->ram, address, r->block, bytes))
                memset(r->block, 0xFF, bytes);
            xen_begin_access(r, req, SPACE_PORT, req->addr, n);
        }
        if (!access_run(m, &r->access))
            return false;
        if (req->dir == IOREQ_READ)
            ram_write(&m->ram, address, r->block, bytes);
        xen_end_access(r);
    }
    return true;
}

/* An access whose data are in the request itself. */
static bool xen_one_access(struct machine *m, struct ioreq *req, struct xen_request *r, enum space space)
{
    if (!r->access.count) {
        r->value = req->dir == IOREQ_WRITE ? req->data : 0;
        xen_begin_access(r, req, space, req->addr, 1);
    }
    if (!access_run(m, &r->access))
        return false;
    if (req->dir == IOREQ_READ)
        req->data = r->value;
    return true;
}

static bool serve_port(struct machine *m, struct ioreq *req, struct xen_request *r)
{
    if (req->addr > 0xFFFF || !valid_size(req->size, 4) || req->count > MAX_REPEAT) {
        req->data = UINT64_MAX;
        return true;
    }
    return req->data_is_ptr ? xen_string_port(m, req, r) : xen_one_access(m, req, r, SPACE_PORT);
}

/* rep movs, stos, lods: each element at an address of its own. */
static bool xen_string_memory(struct machine *m, struct ioreq *req, struct xen_request *r)
{
    while (r->at < req->count) {
        uint64_t memory = element(req->data, req, r->at);

        if (!r->access.count) {
            r->value = req->dir == IOREQ_READ ? 0 : req->data_is_ptr ? UINT64_MAX : req->data;
            if (req->dir == IOREQ_WRITE && req->data_is_ptr)
                ram_read(&m->ram, memory, &r->value, req->size);
            xen_begin_access(r, req, SPACE_MEM, element(req->addr, req, r->at), 1);
        }
        if (!access_run(m, &r->access))
            return false;
        if (req->dir == IOREQ_READ && req->data_is_ptr)
            ram_write(&m->ram, memory, &r->value, req->size);
        else if (req->dir == IOREQ_READ && r->at + 1 == req->count)
            req->data = r->value;
        xen_end_access(r);
    }
    return true;
}

static bool serve_memory(struct machine *m, struct ioreq *req, struct xen_request *r)
{
    if (!valid_size(req->size, 8) || req->count > MAX_REPEAT) {
        req->data = UINT64_MAX;
        return true;
    }
    return xen_string_memory(m, req, r);
}

/* Segment and bus other than 0 were never claimed. A string form has no use here: its data is not touched. */
static void serve_config(struct machine *m, struct ioreq *req)
{
    uint32_t sbdf = req->addr >> 32, offset = req->addr & 0xFFFFFFFF;

    if (req->data_is_ptr || !valid_size(req->size, 4) || sbdf > 0xFF || offset > 0xFF) {
        req->data = UINT64_MAX;
        return;
    }
    if (req->dir == IOREQ_READ)
        req->data = pci_config_read(&m->pci, sbdf, offset, req->size);
    else
        pci_config_write(&m->pci, sbdf, offset, req->size, req->data);
}

/* What a device has to do because of it (move its memory) is done before the answer. */
static bool xen_one_config_access(struct machine *m, struct ioreq *req, struct xen_request *r)
{
    if (!r->at) {
        work_add(&m->loop.work, WORK_ACCESS);
        access_enter(m);
        serve_config(m, req);
        access_leave(m, &r->access);
        r->at = 1;
    }
    return access_run(m, &r->access);
}

bool xen_serve(struct xen *x, struct ioreq *req, struct xen_request *r)
{
    struct machine *m = x->m;

    switch (req->type) {
    case IOREQ_TYPE_PIO:
        return serve_port(m, req, r);
    case IOREQ_TYPE_COPY:
        return serve_memory(m, req, r);
    case IOREQ_TYPE_PCI_CONFIG:
        return xen_one_config_access(m, req, r);
    case IOREQ_TYPE_INVALIDATE:
        xen_memory_forget(x);
        return true;
    default: /* TIMEOFFSET and what may come: answered, without effect */
        return true;
    }
}
