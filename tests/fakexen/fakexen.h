/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the stand-in for Xen's libraries (fakexen.c, preloaded into hvm-dm) and the test that plays
 * hypervisor, guest and xenstore have in common: one shared memory, guest RAM, and two socket pairs. The
 * environment variable FAKEXEN names six file descriptors: "STATE,RAM,EVENTS,RAISE,WATCHES,FIRE"; what is
 * sent to RAISE comes out of EVENTS, what is sent to FIRE out of WATCHES.
 *
 * An event is a message of 4 bytes on EVENTS: the device model's local port. As with the real device, a port
 * that was told of is masked until the device model unmasks it; what is raised meanwhile comes then. A watch
 * that fired is a message on WATCHES: path, NUL, token, NUL.
 */
#ifndef TESTS_FAKEXEN_FAKEXEN_H
#define TESTS_FAKEXEN_FAKEXEN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <xen/hvm/ioreq.h>

#define FAKEXEN_PAGE      4096
#define FAKEXEN_RAM       (8ull << 30) /* size of the sparse file: every guest page that may be populated */
#define FAKEXEN_LOCAL     1000         /* local port = remote port + this */
#define FAKEXEN_RING_PORT 9            /* remote ports: of the ring, and of vCPU 0 and up */
#define FAKEXEN_VCPU_PORT 10

/* The request pages by their frame numbers, for kernels that cannot map them as a resource. */
#define FAKEXEN_RING_GFN    0xFEFF0
#define FAKEXEN_REQUEST_GFN 0xFEFF1

enum { FAKEXEN_PORTS = 1024 };                    /* remote ports */
enum { FAKEXEN_MASKED = 1, FAKEXEN_PENDING = 2 }; /* of a port */

enum fakexen_op {            /* a, b, c of the record */
                  FX_CREATE, /* bufioreq mode */
                  FX_DESTROY,
                  FX_STATE,         /* enabled */
                  FX_MAP_PORT,      /* start, end */
                  FX_MAP_MEMORY,    /* start, end */
                  FX_UNMAP_PORT,    /* start, end */
                  FX_UNMAP_MEMORY,  /* start, end */
                  FX_MAP_PCI,       /* devfn */
                  FX_UNMAP_PCI,     /* devfn */
                  FX_ISA,           /* irq, level */
                  FX_INTX,          /* device, pin, level */
                  FX_LINK,          /* link, irq */
                  FX_MEM_TYPE,      /* type, first page, pages */
                  FX_SHUTDOWN,      /* reason */
                  FX_RELOCATE,      /* pages, from, to */
                  FX_MODIFIED,      /* first page, pages */
                  FX_PIN,           /* first page, last page, type */
                  FX_TRACK,         /* first page, pages */
                  FX_POPULATE,      /* first page, pages */
                  FX_FOREIGN_MAP,   /* first page, pages */
                  FX_FOREIGN_UNMAP, /* pages */
                  FX_GRANT_MAP,     /* first reference, pages or 0 for one */
                  FX_GRANT_UNMAP,
                  FX_GRANT_COPY, /* parts */
                  FX_BIND,       /* remote port */
                  FX_UNBIND,     /* local port */
                  FX_RESTRICT,
};

struct fakexen_call {
    uint32_t op;
    uint64_t a, b, c;
};

enum { FAKEXEN_CALLS = 16384, FAKEXEN_KEYS = 256, FAKEXEN_WATCHES = 32, FAKEXEN_TEXT = 128 };

struct fakexen_key {
    char path[FAKEXEN_TEXT], value[FAKEXEN_TEXT]; /* path "": unused */
};

struct fakexen_watch {
    char path[FAKEXEN_TEXT], token[FAKEXEN_TEXT];
};

struct fakexen {
    union {
        struct buffered_iopage ring;
        uint8_t ring_page[FAKEXEN_PAGE];
    };
    union {
        struct ioreq requests[FAKEXEN_PAGE / sizeof(struct ioreq)];
        uint8_t request_page[FAKEXEN_PAGE];
    };
    uint32_t vcpus;
    bool old_kernel;                     /* has no resource mapping */
    uint64_t ram_pages;                  /* pages that exist from the start */
    uint64_t populated, populated_pages; /* and those made later */
    uint64_t hole;                       /* a page that cannot be mapped; 0: none */
    _Atomic uint8_t port[FAKEXEN_PORTS];
    _Atomic bool screen_written; /* what is looked at next of the screen's log has its first page */
    _Atomic uint32_t unmasked;   /* how often a port was */
    _Atomic uint32_t calls;      /* records written */
    struct fakexen_call call[FAKEXEN_CALLS];
    pthread_mutex_t lock; /* of the store */
    struct fakexen_key key[FAKEXEN_KEYS];
    struct fakexen_watch watch[FAKEXEN_WATCHES];
};

/* A remote port is raised: tells the device model through raise_fd, unless the port is masked. */
void fakexen_raise(struct fakexen *fx, int raise_fd, uint32_t remote_port);

/* store.c: xenstore, for both sides. watch_fd: the end of WATCHES that the device model does not read. */
void fakexen_store_write(struct fakexen *fx, int watch_fd, const char *path, const char *value);
/* False: there is none. */
bool fakexen_store_read(struct fakexen *fx, const char *path, char value[FAKEXEN_TEXT]);
/* The names of what is right below the path; returns their number. */
unsigned fakexen_store_directory(struct fakexen *fx, const char *path, char names[][FAKEXEN_TEXT]);
void fakexen_store_remove(struct fakexen *fx, int watch_fd, const char *path); /* with what is below */
void fakexen_store_watch(struct fakexen *fx, int watch_fd, const char *path, const char *token);
void fakexen_store_unwatch(struct fakexen *fx, const char *path, const char *token);

#endif
