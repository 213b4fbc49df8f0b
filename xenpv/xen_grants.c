/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xenpv/xen_grants.h"

#include <stdlib.h>
#include <sys/mman.h>

/* ---- copies ---- */

static bool xen_grants_copy(struct xenpv *pv, const struct grant_part *parts, unsigned count, uint8_t *buffer,
                            bool to_guest)
{
    xengnttab_grant_copy_segment_t segments[GRANT_COPIES];

    if (count > GRANT_COPIES)
        return false;
    for (unsigned i = 0; i < count; i++) {
        union xengnttab_copy_ptr theirs = {.foreign = {.ref = parts[i].reference,
                                                       .offset = parts[i].offset,
                                                       .domid = pv->domid}},
                                 ours = {.virt = buffer};

        segments[i] = (xengnttab_grant_copy_segment_t){
            .source = to_guest ? ours : theirs,
            .dest = to_guest ? theirs : ours,
            .len = parts[i].length,
            .flags = to_guest ? GNTCOPY_dest_gref : GNTCOPY_source_gref,
        };
        buffer += parts[i].length;
    }
    if (xengnttab_grant_copy(pv->grants, count, segments) < 0)
        return false;
    for (unsigned i = 0; i < count; i++)
        if (segments[i].status != GNTST_okay)
            return false;
    return true;
}

bool grants_read(struct xenpv *pv, const struct grant_part *parts, unsigned count, void *buffer)
{
    return xen_grants_copy(pv, parts, count, buffer, false);
}

bool grants_write(struct xenpv *pv, const struct grant_part *parts, unsigned count, void *buffer)
{
    return xen_grants_copy(pv, parts, count, buffer, true);
}

/* ---- pages kept mapped ---- */

struct slot {
    uint32_t reference;
    uint8_t *page; /* NULL: free */
};

/* Open addressing; at least half of the slots are free, so that a search ends soon. */
struct grant_pages {
    struct xenpv *pv;
    unsigned count, max, mask;
    struct slot slots[];
};

struct grant_pages *grant_pages_new(struct xenpv *pv, unsigned max)
{
    struct grant_pages *pages;
    unsigned slots = 1;

    while (slots < 2 * max)
        slots *= 2;
    pages = calloc(1, sizeof(*pages) + slots * sizeof(struct slot));
    if (!pages)
        return NULL;
    pages->pv = pv;
    pages->max = max;
    pages->mask = slots - 1;
    return pages;
}

void grant_pages_free(struct grant_pages *pages)
{
    if (!pages)
        return;
    for (unsigned i = 0; i <= pages->mask; i++)
        if (pages->slots[i].page)
            xengnttab_unmap(pages->pv->grants, pages->slots[i].page, 1);
    pages->pv->mapped -= pages->count;
    free(pages);
}

/* The reference's slot, or the free one where it belongs. References are small and mostly consecutive. */
static struct slot *xen_grants_look_up(struct grant_pages *pages, uint32_t reference)
{
    unsigned at = reference & pages->mask;

    while (pages->slots[at].page && pages->slots[at].reference != reference)
        at = (at + 1) & pages->mask;
    return &pages->slots[at];
}

uint8_t *grant_page(struct grant_pages *pages, uint32_t reference)
{
    struct slot *slot = xen_grants_look_up(pages, reference);
    struct xenpv *pv = pages->pv;

    if (slot->page)
        return slot->page;
    if (pages->count == pages->max || pv->mapped == XENPV_MAPPED)
        return NULL;
    slot->page = xengnttab_map_grant_ref(pv->grants, pv->domid, reference, PROT_READ | PROT_WRITE);
    if (!slot->page)
        return NULL;
    slot->reference = reference;
    pages->count++;
    pv->mapped++;
    return slot->page;
}
