/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the Xen port share: the ioreq server (xen.c), its requests (xen_requests.c) and guest
 * memory (xen_memory.c). */
#ifndef IOREQ_XEN_PRIVATE_H
#define IOREQ_XEN_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include <xenctrl.h>
#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xenstore.h>
#include <xentoolcore.h>

#include "machine/machine.h"
#include "machine/save.h"
#include "machine/vram.h"
#include "xenpv/xenpv.h"

/* Guest memory is mapped in chunks of this many pages, and so many chunks are kept. */
enum { CHUNK_PAGES = 64, MAX_CHUNKS = 64 };

struct chunk {
    uint64_t number;  /* gpa / (CHUNK_PAGES * page size) */
    uint8_t *host;    /* NULL: unused */
    uint64_t missing; /* a bit a page that could not be mapped */
    unsigned users;   /* mappings handed out and not given back */
    bool stale;       /* dropped while in use: unmapped when the last user is done */
    uint64_t used;    /* when it was used last */
};

struct xen_vram {
    uint64_t gfn;      /* where the video memory is now, or comes from */
    uint64_t target;   /* where it moves to, if it is not there, */
    uint64_t moved;    /* and how many pages are there */
    uint64_t wanted;   /* where it is to be at last */
    uint64_t parking;  /* where it is while its BAR is not decoded */
    struct timer poll; /* of the log, while armed */
    int64_t pause;     /* until the next poll after that */
    struct vram *vram;
    bool tracked; /* Xen's dirty tracking is on for it */
};

struct xen {
    struct machine *m;
    domid_t domid;
    xendevicemodel_handle *dm;
    xenforeignmemory_handle *fmem;
    xenevtchn_handle *evtchn;
    xc_interface *xc;        /* NULL once restricted */
    struct xs_handle *store; /* NULL with -xen-domid-restrict */
    struct xenpv pv;         /* not with -xen-domid-restrict */
    struct chunk chunks[MAX_CHUNKS];
    uint64_t uses;
    bool log_writes; /* Xen is told of the pages that we write */
    struct machine_section section;
    struct xen_vram screen; /* one video memory is guest memory; vram NULL: none */
};

/* How far a request of the guest's has come: strings and what a device cannot do at once take several pieces.
 */
enum { XEN_BLOCK = 4096 };
struct xen_request {
    uint32_t at; /* elements done before those of the access */
    struct access access;
    union {
        uint64_t value;           /* of the access */
        uint8_t block[XEN_BLOCK]; /* of a string of a port */
    };
};

/*
 * Serves a request that begins with at 0 and an access of zeroes, as far as the piece's work allows: true, it
 * is done, and for reads req->data is the answer.
 */
struct ioreq;
bool xen_serve(struct xen *x, struct ioreq *req, struct xen_request *r);

/* Guest RAM by foreign mappings: sets m->ram.ops. */
void xen_memory_init(struct xen *x);
/* Drops every cached mapping (INVALIDATE); those in use go when they are given back. */
void xen_memory_forget(struct xen *x);
void xen_memory_destroy(struct xen *x);

/* Tells Xen that [gpa, gpa + length) of the guest was written, while somebody copies its memory. */
void xen_memory_wrote(struct xen *x, uint64_t gpa, uint64_t length);

bool xen_vram_alloc(struct machine *m, struct vram *vram, struct error *err);
void xen_vram_free(struct machine *m, struct vram *vram);
void xen_vram_watch(struct machine *m, struct vram *vram, enum vram_watch watch);
void xen_vram_sync(struct machine *m, struct vram *vram);
/* The guest does something, or a person: the screen may change soon. */
void xen_vram_life(struct xen *x);
/* What Xen and the toolstack do not keep of a guest: where its video memory is. */
void xen_vram_add_section(struct xen *x);
void xen_wrote_vram(struct machine *m, struct vram *vram, uint64_t offset, uint64_t length);
/* The memory view changed: moves the video memory to where its BAR is now, or back to its parking place. */
void xen_vram_follow(struct xen *x);

#endif
