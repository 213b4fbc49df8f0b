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
    BLOCK_BYTES = 4096,
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

/* rep ins, rep outs: one port, memory that advances. Upwards in blocks, the rare downwards element by
 * element. */
static void string_port(struct machine *m, const struct ioreq *req)
{
    uint8_t block[BLOCK_BYTES];
    uint32_t at_once = req->df ? 1 : BLOCK_BYTES / req->size;

    for (uint32_t i = 0; i < req->count; i += at_once) {
        uint32_t n = req->count - i < at_once ? req->count - i : at_once;
        uint64_t address = element(req->data, req, i);

        if (req->dir == IOREQ_READ) {
            bus_read_block(&m->bus, SPACE_PORT, req->addr, req->size, block, n);
            ram_write(&m->ram, address, block, (uint64_t)n * req->size);
        } else {
            if (!ram_read(&m->ram, address, block, (uint64_t)n * req->size))
                memset(block, 0xFF, (size_t)n * req->size);
            bus_write_block(&m->bus, SPACE_PORT, req->addr, req->size, block, n);
        }
    }
}

static void serve_port(struct machine *m, struct ioreq *req)
{
    if (req->addr > 0xFFFF || !valid_size(req->size, 4) || req->count > MAX_REPEAT)
        req->data = UINT64_MAX;
    else if (req->data_is_ptr)
        string_port(m, req);
    else if (req->dir == IOREQ_READ)
        req->data = bus_read(&m->bus, SPACE_PORT, req->addr, req->size);
    else
        bus_write(&m->bus, SPACE_PORT, req->addr, req->size, req->data);
}

static void serve_memory(struct machine *m, struct ioreq *req)
{
    if (!valid_size(req->size, 8) || req->count > MAX_REPEAT) {
        req->data = UINT64_MAX;
        return;
    }
    for (uint32_t i = 0; i < req->count; i++) {
        uint64_t address = element(req->addr, req, i), memory = element(req->data, req, i),
                 value = UINT64_MAX;

        if (req->dir == IOREQ_READ) {
            value = bus_read(&m->bus, SPACE_MEM, address, req->size);
            if (req->data_is_ptr)
                ram_write(&m->ram, memory, &value, req->size);
        } else {
            if (!req->data_is_ptr)
                value = req->data;
            else
                ram_read(&m->ram, memory, &value, req->size);
            bus_write(&m->bus, SPACE_MEM, address, req->size, value);
        }
        if (req->dir == IOREQ_READ && !req->data_is_ptr && i + 1 == req->count)
            req->data = value;
    }
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

void xen_serve(struct xen *x, struct ioreq *req)
{
    struct machine *m = x->m;

    switch (req->type) {
    case IOREQ_TYPE_PIO:
        serve_port(m, req);
        break;
    case IOREQ_TYPE_COPY:
        serve_memory(m, req);
        break;
    case IOREQ_TYPE_PCI_CONFIG:
        serve_config(m, req);
        break;
    case IOREQ_TYPE_INVALIDATE:
        xen_memory_forget(x);
        break;
    default: /* TIMEOFFSET and what may come: answered, without effect */
        break;
    }
}
