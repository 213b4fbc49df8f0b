/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/vram.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "machine/machine.h"

static void vram_written(void *opaque, uint64_t offset, uint64_t length)
{
    vram_mark(opaque, offset, length);
}

static void vram_window_written(void *opaque, uint64_t offset, uint64_t length)
{
    struct vram *vram = opaque;

    vram_mark(vram, vram->window_start + offset, length);
}

static bool alloc_host(struct vram *vram, struct error *err)
{
    vram->host = ram_reserve(vram->size, vram->machine->config.dump_guest_core);
    if (!vram->host)
        return error_set(err, "%s: no memory for %llu bytes of video memory: %s", vram->region.name,
                         (unsigned long long)vram->size, strerror(errno));
    return true;
}

static void vram_link(struct vram *vram)
{
    struct vram **at = &vram->machine->vrams;

    while (*at)
        at = &(*at)->next;
    *at = vram;
}

static void vram_unlink(struct vram *vram)
{
    struct vram **at = &vram->machine->vrams;

    while (*at && *at != vram)
        at = &(*at)->next;
    if (*at)
        *at = vram->next;
}

bool vram_init(struct vram *vram, struct machine *m, const char *name, uint64_t size, struct error *err)
{
    uint64_t words = (size / VRAM_PAGE + 63) / 64;

    *vram = (struct vram){.machine = m, .size = size, .watch = VRAM_UNWATCHED};
    vram->region = (struct region){
        .name = name, .size = size, .opaque = vram, .written = vram_written, .priority = PRIORITY_BAR};
    vram->dirty = calloc(words, sizeof(*vram->dirty));
    if (!vram->dirty)
        return error_set(err, "%s: out of memory", name);
    if (m->accel->alloc_vram ? !m->accel->alloc_vram(m, vram, err) : !alloc_host(vram, err)) {
        free(vram->dirty);
        return false;
    }
    vram->region.host = vram->host;
    vram_link(vram);
    return true;
}

void vram_destroy(struct vram *vram)
{
    struct machine *m = vram->machine;

    if (!vram->host)
        return;
    vram_hide_window(vram);
    vram_unlink(vram);
    if (m->accel->free_vram)
        m->accel->free_vram(m, vram);
    else
        munmap(vram->host, vram->size);
    free(vram->dirty);
    vram->host = NULL;
}

void vram_show_window(struct vram *vram, uint64_t base, uint64_t start, uint64_t size)
{
    vram_hide_window(vram);
    vram->window_start = start;
    vram->window = (struct region){.name = "vram-window",
                                   .size = size,
                                   .opaque = vram,
                                   .host = vram->host + start,
                                   .written = vram_window_written,
                                   .flags = vram->region.flags,
                                   .priority = PRIORITY_OVERLAY};
    bus_map(&vram->machine->bus, SPACE_MEM, &vram->window, base);
}

void vram_hide_window(struct vram *vram)
{
    if (!vram->window.mapped)
        return;
    vram_sync(vram); /* what was written there is in the log of a mapping that ends now */
    bus_unmap(&vram->machine->bus, &vram->window);
}

void vram_set_watch(struct vram *vram, enum vram_watch watch)
{
    if (vram->watch == watch)
        return;
    /* Armed comes last: the accelerator's last look at its log must not be taken for the first write after
     * it, which would undo the arming in its midst. */
    if (vram->machine->accel->watch_vram)
        vram->machine->accel->watch_vram(vram->machine, vram, watch);
    vram->watch = watch;
}

void vram_mark(struct vram *vram, uint64_t offset, uint64_t length)
{
    if (offset >= vram->size || !length)
        return;
    if (length > vram->size - offset)
        length = vram->size - offset;
    for (uint64_t page = offset / VRAM_PAGE; page <= (offset + length - 1) / VRAM_PAGE; page++)
        vram->dirty[page / 64] |= 1ull << page % 64;
    if (vram->machine->accel->wrote_vram)
        vram->machine->accel->wrote_vram(vram->machine, vram, offset, length);
    if (vram->watch == VRAM_ARMED && vram->touched)
        vram->touched(vram->opaque);
}

void vram_sync(struct vram *vram)
{
    if (vram->machine->accel->sync_vram)
        vram->machine->accel->sync_vram(vram->machine, vram);
}

bool vram_dirty(const struct vram *vram, uint64_t offset, uint64_t length)
{
    if (offset >= vram->size || !length)
        return false;
    if (length > vram->size - offset)
        length = vram->size - offset;
    for (uint64_t page = offset / VRAM_PAGE; page <= (offset + length - 1) / VRAM_PAGE; page++)
        if (vram->dirty[page / 64] >> page % 64 & 1)
            return true;
    return false;
}

void vram_clear(struct vram *vram)
{
    memset(vram->dirty, 0, (vram->size / VRAM_PAGE + 63) / 64 * sizeof(*vram->dirty));
}
