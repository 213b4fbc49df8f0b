/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/image.h"
#include "block/pool.h"
#include "block/rw.h"

struct block {
    char *id, *serial;
    bool removable;
    struct image *image; /* NULL: empty */
    struct loop *loop;
    struct pool pool;
    struct loop_work completion;
    unsigned in_flight; /* submitted, and neither completed nor cancelled */
    struct block_stats stats;
    char *owner;
    const struct block_events *events; /* NULL: nobody wants to be told */
    void *events_opaque;
    void (*tray_moved)(void *opaque, struct block *block, bool open); /* NULL: nobody asked */
    void *tray_opaque;
    bool read_only; /* as it was opened: what media without a word about it are, too */
    bool shared, released;
    struct block *next;
};

static int perform(struct block_request *request)
{
    return image_perform(request->block->image, request);
}

static void account(struct block_stats *stats, const struct block_request *request)
{
    switch (request->op) {
    case BLOCK_READ:
        stats->rd_operations++;
        stats->rd_bytes += request->length;
        break;
    case BLOCK_WRITE:
        stats->wr_operations++;
        stats->wr_bytes += request->length;
        break;
    case BLOCK_FLUSH:
        stats->flush_operations++;
        break;
    case BLOCK_DISCARD:
        break;
    }
}

static void block_complete(struct block *block, struct block_request *request)
{
    block->in_flight--;
    if (!request->error)
        account(&block->stats, request);
    request->done(request, request->error);
}

/* A request that its done function submits again waits for the next round of the loop. */
static void block_complete_finished(void *opaque)
{
    struct block *block = opaque;

    for (unsigned n = block->in_flight; n; n--) {
        struct block_request *request = pool_take(&block->pool, false);

        if (!request)
            return;
        block_complete(block, request);
    }
}

struct block *block_open(struct loop *loop, const char *id, const struct block_options *options,
                         struct error *err)
{
    struct block *block = calloc(1, sizeof(*block));

    if (!block)
        goto no_memory;
    block->id = strdup(id);
    block->serial = options->serial ? strdup(options->serial) : NULL;
    if (!block->id || (options->serial && !block->serial))
        goto no_memory;
    if (!options->file && !options->removable) {
        error_set(err, "drive '%s' needs an image: file=", id);
        goto fail;
    }
    if (options->file && !(block->image = image_open(options, err)))
        goto fail;
    block->removable = options->removable;
    block->read_only = options->read_only;
    block->loop = loop;
    block->completion = (struct loop_work){.run = block_complete_finished, .opaque = block};
    pool_init(&block->pool, perform, loop, &block->completion);
    return block;
no_memory:
    error_set(err, "no memory for drive '%s'", id);
fail:
    if (block) {
        free(block->serial);
        free(block->id);
        free(block);
    }
    return NULL;
}

void block_close(struct block *block)
{
    if (!block)
        return;
    block_drain(block);
    pool_destroy(&block->pool);
    image_close(block->image);
    free(block->owner);
    free(block->serial);
    free(block->id);
    free(block);
}

const char *block_id(const struct block *block)
{
    return block->id;
}

const char *block_file(const struct block *block)
{
    return block->image ? block->image->name : NULL;
}

const char *block_format(const struct block *block)
{
    return block->image ? "raw" : NULL;
}

const char *block_serial(const struct block *block)
{
    return block->serial;
}

bool block_present(const struct block *block)
{
    return block->image != NULL;
}

bool block_removable(const struct block *block)
{
    return block->removable;
}

bool block_read_only(const struct block *block)
{
    return block->image ? block->image->read_only : block->read_only;
}

uint64_t block_size(const struct block *block)
{
    return block->image ? block->image->size : 0;
}

const struct block_stats *block_stats(const struct block *block)
{
    return &block->stats;
}

bool block_attach(struct block *block, const char *owner, const struct block_events *events, void *opaque)
{
    if (block->owner)
        return false;
    block->owner = strdup(owner);
    block->events = events;
    block->events_opaque = opaque;
    return block->owner != NULL;
}

void block_detach(struct block *block)
{
    free(block->owner);
    block->owner = NULL;
    block->events = NULL;
    block->events_opaque = NULL;
}

const char *block_owner(const struct block *block)
{
    return block->owner;
}

/* What can be said without touching the medium: 0, or the errno that the request ends with. */
static int check(const struct block *block, const struct block_request *r)
{
    const struct image *image = block->image;

    if (!image)
        return ENOMEDIUM;
    if (r->op == BLOCK_FLUSH || r->op == BLOCK_READ)
        return 0;
    if (image->read_only)
        return EROFS;
    return r->offset > image->size || r->length > image->size - r->offset ? ENOSPC : 0;
}

/* A read that begins behind the end; one that begins before it is done by the medium, which ends with zeroes.
 */
static bool behind_end(const struct block *block, const struct block_request *r)
{
    return r->op == BLOCK_READ && r->offset >= block->image->size;
}

void block_submit(struct block *block, struct block_request *request)
{
    int error = check(block, request);

    request->block = block;
    block->in_flight++;
    if (error) {
        pool_finish(&block->pool, request, error);
    } else if (behind_end(block, request)) {
        rw_zero(request->iov, request->iovcnt, 0, request->length);
        pool_finish(&block->pool, request, 0);
    } else if (image_try(block->image, request, &error)) {
        pool_finish(&block->pool, request, error);
    } else {
        pool_submit(&block->pool, request);
    }
}

void block_cancel(struct block_request *request)
{
    struct block *block = request->block;

    if (!block || !request->state)
        return;
    pool_cancel(&block->pool, request);
    block->in_flight--;
}

void block_drain(struct block *block)
{
    while (block->in_flight)
        block_complete(block, pool_take(&block->pool, true));
}

bool block_locked(const struct block *block)
{
    return block->events && block->events->tray_locked && block->events->tray_locked(block->events_opaque);
}

bool block_tray_open(const struct block *block)
{
    return block->events && block->events->tray_open && block->events->tray_open(block->events_opaque);
}

void block_watch_tray(struct block *block, void (*moved)(void *opaque, struct block *block, bool open),
                      void *opaque)
{
    block->tray_moved = moved;
    block->tray_opaque = opaque;
}

void block_tray_moved(struct block *block, bool open)
{
    if (block->tray_moved)
        block->tray_moved(block->tray_opaque, block, open);
}

static void move_tray(struct block *block, bool open)
{
    bool moves = block_tray_open(block) != open;

    if (!block->events || !block->events->tray_move)
        return;
    block->events->tray_move(block->events_opaque, open);
    if (moves)
        block_tray_moved(block, open);
}

/* May the medium be taken out now? A guest that locked the tray is asked to let it go. */
static bool may_open(struct block *block, bool force, struct error *err)
{
    if (!block->removable)
        return error_set(err, "Device '%s' is not removable", block->id);
    if (!block_locked(block) || block_tray_open(block))
        return true;
    if (block->events->eject_request)
        block->events->eject_request(block->events_opaque, force);
    return force ||
           error_set(err,
                     "Device '%s' is locked and force was not specified, wait for tray to open and try again",
                     block->id);
}

static void exchange(struct block *block, struct image *image)
{
    block_drain(block);
    image_close(block->image);
    block->image = image;
}

void block_release(struct block *block)
{
    struct block_request flush = {.op = BLOCK_FLUSH};

    block_drain(block);
    if (block->image)
        image_perform(block->image, &flush);
    block->released = true;
    if (!block->shared)
        exchange(block, NULL);
}

bool block_share(struct block *block)
{
    if (block->shared)
        return false;
    block->shared = true;
    return true;
}

void block_unshare(struct block *block)
{
    block->shared = false;
    if (block->released)
        exchange(block, NULL);
}

static void tell_changed(struct block *block)
{
    if (block->events && block->events->medium_changed)
        block->events->medium_changed(block->events_opaque);
}

bool block_eject(struct block *block, bool force, struct error *err)
{
    if (!may_open(block, force, err))
        return false;
    move_tray(block, true);
    exchange(block, NULL);
    tell_changed(block);
    return true;
}

static bool insert(struct block *block, struct image *image, struct error *err)
{
    if (!image)
        return false;
    if (block->image && !may_open(block, false, err)) {
        image_close(image);
        return false;
    }
    exchange(block, image);
    tell_changed(block);
    move_tray(block, false);
    return true;
}

bool block_insert(struct block *block, const struct block_options *options, struct error *err)
{
    if (!block->removable)
        return error_set(err, "Device '%s' is not removable", block->id);
    return insert(block, image_open(options, err), err);
}

bool block_insert_fd(struct block *block, int fd, const char *name, const struct block_options *options,
                     struct error *err)
{
    if (!block->removable)
        return error_set(err, "Device '%s' is not removable", block->id);
    return insert(block, image_open_fd(fd, name, options, err), err);
}

struct block *block_find(struct block *first, const char *id)
{
    while (first && strcmp(first->id, id) != 0)
        first = first->next;
    return first;
}

struct block *block_next(const struct block *block)
{
    return block->next;
}

void block_link(struct block **first, struct block *block)
{
    while (*first)
        first = &(*first)->next;
    *first = block;
}
