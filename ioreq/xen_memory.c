/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory under Xen. RAM is reached through a bounded cache of foreign mappings. Video memory is guest
 * memory too: populated at a parking place above RAM, moved to its BAR when that is decoded, so that the
 * guest writes it without exits.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "ioreq/xen_private.h"

#define CHUNK_SIZE ((uint64_t)CHUNK_PAGES * XC_PAGE_SIZE)

#define MEMORY_WRITE_BACK 6 /* MTRR type WB, for pin_memory_cacheattr */

/* Between two polls of a quiet screen's log: at first, and after a while without any sign of life. */
#define POLL_NS   (25 * NS_PER_MS)
#define RARELY_NS (200 * NS_PER_MS)

/* ---- the cache of foreign mappings ---- */

static void drop_chunk(struct xen *x, struct chunk *chunk)
{
    xenforeignmemory_unmap(x->fmem, chunk->host, CHUNK_PAGES);
    *chunk = (struct chunk){0};
}

static struct chunk *find_chunk(struct xen *x, uint64_t number)
{
    for (unsigned i = 0; i < MAX_CHUNKS; i++)
        if (x->chunks[i].host && !x->chunks[i].stale && x->chunks[i].number == number)
            return &x->chunks[i];
    return NULL;
}

/* An unused chunk, or the one that was not used for longest; NULL: all are in use. */
static struct chunk *chunk_to_fill(struct xen *x)
{
    struct chunk *oldest = NULL;

    for (unsigned i = 0; i < MAX_CHUNKS; i++) {
        struct chunk *chunk = &x->chunks[i];

        if (!chunk->host)
            return chunk;
        if (!chunk->users && (!oldest || chunk->used < oldest->used))
            oldest = chunk;
    }
    if (oldest)
        drop_chunk(x, oldest);
    return oldest;
}

static struct chunk *map_chunk(struct xen *x, uint64_t number)
{
    struct chunk *chunk = find_chunk(x, number);
    xen_pfn_t gfns[CHUNK_PAGES];
    int errors[CHUNK_PAGES];

    if (chunk || !(chunk = chunk_to_fill(x)))
        return chunk;
    for (unsigned i = 0; i < CHUNK_PAGES; i++)
        gfns[i] = number * CHUNK_PAGES + i;
    chunk->host = xenforeignmemory_map(x->fmem, x->domid, PROT_READ | PROT_WRITE, CHUNK_PAGES, gfns, errors);
    if (!chunk->host)
        return NULL;
    chunk->number = number;
    for (unsigned i = 0; i < CHUNK_PAGES; i++)
        if (errors[i])
            chunk->missing |= 1ull << i;
    return chunk;
}

static void *xen_memory_ram_map_foreign(void *opaque, uint64_t gpa, uint64_t *length)
{
    struct xen *x = opaque;
    struct chunk *chunk = map_chunk(x, gpa / CHUNK_SIZE);
    uint64_t offset = gpa % CHUNK_SIZE, usable = 0;
    unsigned page = offset / XC_PAGE_SIZE;

    if (!chunk)
        return NULL;
    while (page < CHUNK_PAGES && !(chunk->missing >> page & 1))
        usable = ++page * (uint64_t)XC_PAGE_SIZE - offset;
    if (!usable)
        return NULL;
    if (*length > usable)
        *length = usable;
    chunk->users++;
    chunk->used = ++x->uses;
    return chunk->host + offset;
}

void xen_memory_wrote(struct xen *x, uint64_t gpa, uint64_t length)
{
    uint64_t first = gpa / XC_PAGE_SIZE;

    if (x->log_writes && length)
        xendevicemodel_modified_memory(x->dm, x->domid, first, (gpa + length - 1) / XC_PAGE_SIZE - first + 1);
}

static void xen_memory_ram_unmap_foreign(void *opaque, uint64_t gpa, void *host, uint64_t length,
                                         bool written)
{
    struct xen *x = opaque;
    uint8_t *at = host;

    if (written)
        xen_memory_wrote(x, gpa, length);
    for (unsigned i = 0; i < MAX_CHUNKS; i++) {
        struct chunk *chunk = &x->chunks[i];

        if (!chunk->host || at < chunk->host || at >= chunk->host + CHUNK_SIZE)
            continue;
        if (--chunk->users == 0 && chunk->stale)
            drop_chunk(x, chunk);
        return;
    }
}

static const struct ram_ops foreign_ops = {.map = xen_memory_ram_map_foreign,
                                           .unmap = xen_memory_ram_unmap_foreign};

void xen_memory_init(struct xen *x)
{
    x->m->ram.ops = &foreign_ops;
    x->m->ram.opaque = x;
}

void xen_memory_forget(struct xen *x)
{
    for (unsigned i = 0; i < MAX_CHUNKS; i++) {
        if (!x->chunks[i].host)
            continue;
        if (x->chunks[i].users)
            x->chunks[i].stale = true;
        else
            drop_chunk(x, &x->chunks[i]);
    }
}

void xen_memory_destroy(struct xen *x)
{
    for (unsigned i = 0; i < MAX_CHUNKS; i++)
        if (x->chunks[i].host)
            drop_chunk(x, &x->chunks[i]);
}

/* ---- video memory ---- */

static void poll_log(void *opaque);

static bool populate(struct xen *x, uint64_t gfn, uint64_t pages, struct error *err)
{
    xen_pfn_t *gfns = calloc(pages, sizeof(*gfns));
    int rc = -1;

    if (gfns) {
        for (uint64_t i = 0; i < pages; i++)
            gfns[i] = gfn + i;
        rc = xc_domain_populate_physmap_exact(x->xc, x->domid, pages, 0, 0, gfns);
    }
    free(gfns);
    return rc == 0 || error_set(err, "domain %u has no %llu pages for video memory: %s", x->domid,
                                (unsigned long long)pages, strerror(errno));
}

static uint8_t *xen_memory_map_pages(struct xen *x, uint64_t gfn, uint64_t pages)
{
    xen_pfn_t *gfns = calloc(pages, sizeof(*gfns));
    uint8_t *host = NULL;

    if (gfns) {
        for (uint64_t i = 0; i < pages; i++)
            gfns[i] = gfn + i;
        host = xenforeignmemory_map(x->fmem, x->domid, PROT_READ | PROT_WRITE, pages, gfns, NULL);
    }
    free(gfns);
    return host;
}

static bool make_vram(struct xen *x, struct vram *vram, struct error *err)
{
    uint64_t pages = vram->size / XC_PAGE_SIZE;

    if (!populate(x, x->screen.gfn, pages, err))
        return false;
    vram->host = xen_memory_map_pages(x, x->screen.gfn, pages);
    if (!vram->host)
        return error_set(err, "cannot map the video memory of domain %u: %s", x->domid, strerror(errno));
    memset(vram->host, 0, vram->size);
    return true;
}

/* The guest brings its own: addresses only, until its state says where it is. */
static bool reserve_vram(struct vram *vram, struct error *err)
{
    void *host =
        mmap(NULL, vram->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (host == MAP_FAILED)
        return error_set(err, "no memory for %s: %s", vram->region.name, strerror(errno));
    vram->host = host;
    return true;
}

bool xen_vram_alloc(struct machine *m, struct vram *vram, struct error *err)
{
    struct xen *x = m->accel_data;
    uint64_t end = m->ram.high_size ? RAM_HIGH_BASE + m->ram.high_size : m->ram.low_size;

    if (x->screen.vram)
        return error_set(err, "%s: under Xen one graphics adapter is possible", vram->region.name);
    x->screen.parking = x->screen.gfn = x->screen.target = x->screen.wanted = end / XC_PAGE_SIZE;
    if (!(m->config.incoming ? reserve_vram(vram, err) : make_vram(x, vram, err)))
        return false;
    timer_init(&x->screen.poll, &m->clock, poll_log, x);
    x->screen.vram = vram;
    return true;
}

void xen_vram_free(struct machine *m, struct vram *vram)
{
    struct xen *x = m->accel_data;

    timer_cancel(&x->screen.poll);
    xenforeignmemory_unmap(x->fmem, vram->host, vram->size / XC_PAGE_SIZE);
    x->screen.vram = NULL;
}

static void stop_tracking(struct xen *x)
{
    if (x->screen.tracked)
        xendevicemodel_track_dirty_vram(x->dm, x->domid, 0, 0, NULL);
    x->screen.tracked = false;
}

/* Pages moved at a time; a page costs Xen about half a microsecond. */
enum { MOVE_PAGES = 256, WORK_PAGE = 600 };

/* The next pages; where both places overlap, those first whose new place is free or was left. */
static void xen_vram_move_pages(struct xen *x)
{
    struct xen_vram *screen = &x->screen;
    uint64_t pages = screen->vram->size / XC_PAGE_SIZE, left = pages - screen->moved;
    uint64_t n = left < MOVE_PAGES ? left : MOVE_PAGES;
    uint64_t at = screen->target < screen->gfn ? screen->moved : left - n;

    work_add(&x->m->loop.work, n * WORK_PAGE);
    if (xendevicemodel_relocate_memory(x->dm, x->domid, n, screen->gfn + at, screen->target + at) < 0)
        log_limited("video memory cannot be moved to 0x%llx: %s",
                    (unsigned long long)(screen->target + at) * XC_PAGE_SIZE, strerror(errno));
    screen->moved += n;
    if (screen->moved < pages)
        return;
    screen->gfn = screen->target;
    if (screen->gfn != screen->parking)
        xendevicemodel_pin_memory_cacheattr(x->dm, x->domid, screen->gfn, screen->gfn + pages - 1,
                                            MEMORY_WRITE_BACK);
}

/* Moves it as far as the piece's work allows; true: it is where it is wanted. */
static bool xen_vram_move(void *opaque)
{
    struct xen *x = opaque;
    struct xen_vram *screen = &x->screen;

    if (!screen->vram)
        return true;
    for (;;) {
        if (screen->target == screen->gfn) {
            if (screen->wanted == screen->gfn)
                return true;
            stop_tracking(x);
            screen->target = screen->wanted;
            screen->moved = 0;
        }
        if (work_spent(&x->m->loop.work))
            return false;
        xen_vram_move_pages(x);
    }
}

void xen_vram_follow(struct xen *x)
{
    struct vram *vram = x->screen.vram;

    if (!vram)
        return;
    x->screen.wanted = vram->region.mapped && vram->region.space == SPACE_MEM
                           ? vram->region.base / XC_PAGE_SIZE
                           : x->screen.parking;
    if (!xen_vram_move(x))
        machine_unfinished(x->m, xen_vram_move, x);
}

void xen_vram_sync(struct machine *m, struct vram *vram)
{
    struct xen *x = m->accel_data;
    uint64_t pages = vram->size / XC_PAGE_SIZE;
    unsigned long *bitmap;

    if (x->screen.vram != vram || x->screen.gfn == x->screen.parking || x->screen.target != x->screen.gfn)
        return;
    bitmap = calloc((pages + 63) / 64, sizeof(*bitmap));
    if (!bitmap || xendevicemodel_track_dirty_vram(x->dm, x->domid, x->screen.gfn, pages, bitmap) < 0) {
        vram_mark(vram, 0, vram->size); /* ENODATA and the like: take everything as changed */
    } else {
        x->screen.tracked = true;
        for (uint64_t page = 0; page < pages; page++)
            if (bitmap[page / 64] >> page % 64 & 1)
                vram_mark(vram, page * XC_PAGE_SIZE, XC_PAGE_SIZE);
    }
    free(bitmap);
}

/*
 * Nobody tells of a quiet screen's first write: Xen's log is polled, often enough that a person sees no
 * delay in what follows a key, and more and more rarely where the guest shows no sign of life. Only while
 * somebody watches and the guest has the memory mapped.
 *
 * Trapping that write instead (map_mem_type_to_ioreq_server, HVMMEM_ioreq_server) is possible and does not
 * pay: pages that the log holds clean cannot change to the trapping type, so tracking ends first and what is
 * written between is lost; every page is changed by itself, with a flush, both ways; and every kind of
 * instruction that draws is left to Xen's emulator.
 */
static void poll_log(void *opaque)
{
    struct xen *x = opaque;
    struct xen_vram *screen = &x->screen;

    if (!screen->vram || screen->vram->watch != VRAM_ARMED)
        return;
    screen->pause += screen->pause / 4;
    if (screen->pause > RARELY_NS)
        screen->pause = RARELY_NS;
    timer_set(&screen->poll, clock_now(&x->m->clock) + screen->pause);
    xen_vram_sync(x->m, screen->vram);
}

static void poll_soon(struct xen *x)
{
    x->screen.pause = POLL_NS;
    timer_set(&x->screen.poll, clock_now(&x->m->clock) + POLL_NS);
}

void xen_vram_life(struct xen *x)
{
    if (!timer_armed(&x->screen.poll))
        return;
    if (x->screen.poll.deadline - clock_now(&x->m->clock) > POLL_NS)
        poll_soon(x);
    else
        x->screen.pause = POLL_NS;
}

void xen_vram_watch(struct machine *m, struct vram *vram, enum vram_watch watch)
{
    struct xen *x = m->accel_data;

    timer_cancel(&x->screen.poll);
    if (watch == VRAM_UNWATCHED)
        stop_tracking(x);
    else if (watch == VRAM_ARMED)
        poll_soon(x);
}

void xen_wrote_vram(struct machine *m, struct vram *vram, uint64_t offset, uint64_t length)
{
    struct xen *x = m->accel_data;

    if (x->screen.vram == vram)
        xen_memory_wrote(x, x->screen.gfn * XC_PAGE_SIZE + offset, length);
}

/* ---- state: the toolstack carries the memory, and leaves its pages where they were ---- */

#define XEN_STATE(S) S(UINT, uint64_t, screen_gfn, 1ull << 40)

struct xen_state {
    STATE_MEMBERS(XEN_STATE);
};
STATE_TABLE(xen_state, struct xen_state, XEN_STATE);

static void xen_save(void *opaque, struct state_writer *w)
{
    struct xen *x = opaque;
    struct xen_state s = {0};

    while (!xen_vram_move(x)) /* what was begun */
        work_begin(&x->m->loop.work);
    s.screen_gfn = x->screen.gfn;
    state_save(w, &xen_state, &s);
}

/* Puts the pages at gfn where the video memory is for us. */
static bool map_vram_at(struct xen *x, uint64_t gfn, struct error *err)
{
    struct vram *vram = x->screen.vram;
    uint64_t pages = vram ? vram->size / XC_PAGE_SIZE : 0;
    xen_pfn_t *gfns = calloc(pages + 1, sizeof(*gfns));
    void *host;

    for (uint64_t i = 0; gfns && i < pages; i++)
        gfns[i] = gfn + i;
    host = !gfns    ? NULL
           : !pages ? gfns
                    : xenforeignmemory_map2(x->fmem, x->domid, vram->host, PROT_READ | PROT_WRITE, MAP_FIXED,
                                            pages, gfns, NULL);
    free(gfns);
    return host || error_set(err, "cannot map the video memory of domain %u at 0x%llx: %s", x->domid,
                             (unsigned long long)gfn * XC_PAGE_SIZE, strerror(errno));
}

/* Lines that Xen has kept as they were: those of ours are set anew from low. */
static void lower_lines(struct xen *x)
{
    for (unsigned line = 0; line < 16; line++)
        if (!x->m->lines.asserted[line])
            xendevicemodel_set_isa_irq_level(x->dm, x->domid, line, 0);
    for (unsigned slot = 0; slot < 32; slot++)
        for (unsigned pin = 0; pin < 4; pin++)
            if (!x->m->pci.intx_count[slot][pin])
                xendevicemodel_set_pci_intx_level(x->dm, x->domid, 0, 0, slot, pin, 0);
}

static bool xen_load(void *opaque, struct state_reader *r, enum state_load how, struct error *err)
{
    struct xen *x = opaque;
    struct xen_state s = {.screen_gfn = 0};
    struct state_reader again = *r;

    if (!state_load(r, &xen_state, NULL, STATE_CHECK, err))
        return false;
    state_load(&again, &xen_state, &s, STATE_APPLY, NULL);
    if (how == STATE_CHECK)
        return (s.screen_gfn == x->screen.gfn && !x->m->config.incoming) || map_vram_at(x, s.screen_gfn, err);
    x->screen.gfn = x->screen.target = x->screen.wanted = s.screen_gfn;
    x->m->config.incoming = false; /* from now on it is there */
    lower_lines(x);
    return true;
}

static void xen_loaded(void *opaque)
{
    struct xen *x = opaque;

    if (x->screen.vram)
        vram_mark(x->screen.vram, 0, x->screen.vram->size);
}

void xen_vram_add_section(struct xen *x)
{
    x->section = (struct machine_section){
        .name = "xen", .save = xen_save, .load = xen_load, .loaded = xen_loaded, .opaque = x};
    machine_add_section(x->m, &x->section);
}
