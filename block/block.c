/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/block.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "block/node.h"
#include "block/pool.h"
#include "block/rw.h"
#include "block/uring.h"

/* Where a request is. */
enum { REQUEST_IDLE, REQUEST_HELD, REQUEST_WORKED, REQUEST_FINISHED, REQUEST_STOPPED };

struct request_list {
    struct block_request *first, **last;
};

struct block {
    char *id, *serial;
    bool removable;
    struct node *root;       /* the medium; NULL: empty */
    struct node_graph nodes; /* unless the slot was given another */
    struct node_graph *graph;
    bool write_through;
    struct loop *loop;
    struct pool pool;
    struct uring *uring; /* NULL: not needed yet, or not to be had */
    bool no_uring;
    struct loop_work completion;
    struct request_list finished; /* done has to be called */
    struct request_list held;     /* wait until the writes that were cancelled have ended */
    struct request_list stopped;  /* failed, and wait until the guest goes on */
    enum block_on_error on_read_error, on_write_error;
    void (*failed)(void *opaque, struct block *block, enum block_op op, int error,
                   enum block_on_error action); /* NULL: nobody asked */
    void *failed_opaque;
    unsigned in_flight;   /* submitted, and neither completed nor cancelled */
    unsigned jobs;        /* with the workers, or finished and not taken */
    unsigned late_writes; /* cancelled, their I/O still under way */
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

/* ---- lists of requests ---- */

static void list_init(struct request_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void list_append(struct request_list *list, struct block_request *request, unsigned state)
{
    request->state = state;
    request->next = NULL;
    *list->last = request;
    list->last = &request->next;
}

static void list_remove(struct request_list *list, struct block_request *request)
{
    struct block_request **at = &list->first;

    while (*at != request)
        at = &(*at)->next;
    *at = request->next;
    if (!*at)
        list->last = at;
    request->state = REQUEST_IDLE;
}

/* ---- completion ---- */

static int64_t block_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static void account(struct block_stats *stats, const struct block_request *r)
{
    stats->op[r->op].time += block_now() - r->start;
    if (r->error) {
        stats->op[r->op].failed++;
        return;
    }
    stats->op[r->op].operations++;
    stats->op[r->op].bytes += r->length;
    if (r->op == BLOCK_WRITE && r->offset + r->length > stats->highest_written)
        stats->highest_written = r->offset + r->length;
}

static enum block_on_error action_on(const struct block *block, const struct block_request *r)
{
    enum block_on_error action = r->op == BLOCK_READ ? block->on_read_error : block->on_write_error;

    if (action == BLOCK_ENOSPC)
        return r->error == ENOSPC ? BLOCK_STOP : BLOCK_REPORT;
    return action;
}

/* The medium failed it; true: it waits. */
static bool waits_after_error(struct block *block, struct block_request *request)
{
    enum block_on_error action = action_on(block, request);

    if (block->failed)
        block->failed(block->failed_opaque, block, request->op, request->error, action);
    if (action == BLOCK_IGNORE)
        request->error = 0;
    if (action == BLOCK_STOP)
        list_append(&block->stopped, request, REQUEST_STOPPED);
    return action == BLOCK_STOP;
}

static void block_complete(struct block *block, struct block_request *request)
{
    list_remove(&block->finished, request);
    if (request->error && !request->refused && waits_after_error(block, request))
        return;
    block->in_flight--;
    account(&block->stats, request);
    request->done(request, request->error);
}

static void finish(struct block *block, struct block_request *request, int error)
{
    request->error = error;
    list_append(&block->finished, request, REQUEST_FINISHED);
}

static void finish_soon(struct block *block, struct block_request *request, int error)
{
    request->refused = error;
    finish(block, request, error);
    loop_post(block->loop, &block->completion);
}

static void block_start(struct block *block, struct block_request *request);

static void start_held(struct block *block)
{
    while (block->held.first && !block->late_writes) {
        struct block_request *request = block->held.first;

        list_remove(&block->held, request);
        block_start(block, request);
    }
}

static bool changes_medium(const struct job *job)
{
    return job->op == BLOCK_WRITE || job->op == BLOCK_DISCARD || job->op == BLOCK_ZERO;
}

/* A job has come back: its request is finished, or it was only waited for. */
static void job_ended(struct block *block, struct job *job)
{
    block->jobs--;
    if (job->request)
        finish(block, job->request, job->error);
    else if (changes_medium(job))
        block->late_writes--;
    job_free(job);
    start_held(block);
}

/* Until one has ended; nothing is in flight: at once. */
static void wait_for_job(struct block *block)
{
    if (uring_in_flight(block->uring))
        uring_wait(block->uring);
    else if (block->jobs)
        job_ended(block, pool_take(&block->pool, true));
}

static void collect(struct block *block)
{
    struct job *job;

    while ((job = pool_take(&block->pool, false)))
        job_ended(block, job);
}

/* A request that its done function submits again waits for the next round of the loop. */
static void block_complete_finished(void *opaque)
{
    struct block *block = opaque;

    collect(block);
    for (unsigned n = block->in_flight; n && block->finished.first; n--)
        block_complete(block, block->finished.first);
    if (block->finished.first)
        loop_post(block->loop, &block->completion);
}

/* ---- opening ---- */

static void set_word(json_t *options, const char *prefix, const char *key, json_t *value)
{
    char name[64];

    snprintf(name, sizeof(name), "%s%s", prefix, key);
    json_object_set_new(options, name, value);
}

/* The options of the nodes that a slot's few words ask for. */
static json_t *describe_medium(const struct block_options *o, const char *name, int fd)
{
    bool device = o->format && !strncmp(o->format, "host_", 5), over = o->snapshot && !o->read_only;
    const char *format = !o->format || device || !strcmp(o->format, "file") ? "raw" : o->format;
    const char *top = over ? "file." : "", *file = over ? "file.file." : "file.";
    json_t *options = json_object(), *value;
    const char *key;

    if (over)
        set_word(options, "", "driver", json_string("snapshot"));
    set_word(options, top, "driver", json_string(format));
    set_word(options, top, "read-only", json_boolean(o->read_only || o->snapshot));
    set_word(options, top, "cache.no-flush", json_boolean(o->no_flush));
    set_word(options, top, "discard", json_string(o->keep_allocated ? "ignore" : "unmap"));
    set_word(options, file, "driver", json_string(device ? o->format : "file"));
    set_word(options, file, "filename", json_string(name));
    if (fd >= 0)
        set_word(options, file, "fd", json_integer(fd));
    json_object_foreach((json_t *)o->more, key, value) set_word(options, top, key, json_incref(value));
    return options;
}

/* An image of another format, given without a word about its format, is most likely a mistake of the user's:
 * its guest sees the container instead of the disk. */
static void warn_of_format(struct node *root)
{
    struct node *node = root;
    const char *format;

    while (node->file)
        node = node->file;
    format = node_looks_like(node);
    if (format)
        log_line("image '%s' looks like %s and is taken as raw, for its format was not said: format=%s, or "
                 "format=raw to say so",
                 node->filename, format, format);
}

static struct node *open_medium(struct block *block, const struct block_options *o, const char *name, int fd,
                                struct error *err)
{
    json_t *options;
    struct node *root;

    if (o->node)
        return node_ref(o->node);
    if (o->format && strcmp(o->format, "file") && !node_find_driver(o->format)) {
        error_set(err, "image '%s': unknown format '%s'", name, o->format);
        return NULL;
    }
    options = describe_medium(o, name, fd);
    root = node_open(o->graph ? o->graph : &block->nodes, options, err);
    json_decref(options);
    if (root && !o->format)
        warn_of_format(root);
    return root;
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
    if (!options->file && !options->node && !options->removable) {
        error_set(err, "drive '%s' needs an image: file=", id);
        goto fail;
    }
    if ((options->file || options->node) &&
        !(block->root = open_medium(block, options, options->file, -1, err)))
        goto fail;
    block->removable = options->removable;
    block->read_only = options->read_only;
    block->write_through = options->write_through;
    block->loop = loop;
    block->completion = (struct loop_work){.run = block_complete_finished, .opaque = block};
    list_init(&block->finished);
    list_init(&block->held);
    list_init(&block->stopped);
    block->on_read_error = options->on_read_error;
    block->on_write_error = options->on_write_error;
    pool_init(&block->pool, loop, &block->completion);
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
    while (block->jobs)
        wait_for_job(block);
    uring_free(block->uring);
    pool_destroy(&block->pool);
    node_unref(block->root);
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
    return block->root ? block->root->filename : NULL;
}

const char *block_format(const struct block *block)
{
    const struct node *node = block->root;

    if (node && !strcmp(node->driver->name, "snapshot"))
        node = node->file;
    return node ? node->driver->name : NULL;
}

const char *block_serial(const struct block *block)
{
    return block->serial;
}

bool block_present(const struct block *block)
{
    return block->root != NULL;
}

bool block_removable(const struct block *block)
{
    return block->removable;
}

bool block_read_only(const struct block *block)
{
    return block->root ? block->root->read_only : block->read_only;
}

uint64_t block_size(const struct block *block)
{
    return block->root ? node_size(block->root) : 0;
}

bool block_write_through(const struct block *block)
{
    return block->write_through;
}

struct node *block_node(const struct block *block)
{
    return block->root;
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

/* ---- requests ---- */

/* What can be said without touching the medium: 0, or the errno that the request ends with. */
static int check(const struct block *block, const struct block_request *r)
{
    struct node *root = block->root;

    if (!root)
        return ENOMEDIUM;
    if (r->op == BLOCK_FLUSH || r->op == BLOCK_READ)
        return 0;
    if (root->read_only)
        return EROFS;
    return r->offset > node_size(root) || r->length > node_size(root) - r->offset ? ENOSPC : 0;
}

/* A read that begins behind the end; one that begins before it is done by the medium, which ends with zeroes.
 */
static bool behind_end(const struct block *block, const struct block_request *r)
{
    return r->op == BLOCK_READ && r->offset >= node_size(block->root);
}

/* What needs no waiting is done at once, by the machine thread. */
static bool attempt(struct block *block, struct block_request *r, int *error)
{
    switch (r->op) {
    case BLOCK_READ:
        return node_attempt(block->root, NODE_ATTEMPT_READ, r->iov, r->iovcnt, r->offset, r->length, error);
    case BLOCK_WRITE:
        return !block->write_through &&
               node_attempt(block->root, NODE_ATTEMPT_WRITE, r->iov, r->iovcnt, r->offset, r->length, error);
    case BLOCK_FLUSH:
        return node_attempt(block->root, NODE_ATTEMPT_FLUSH, NULL, 0, 0, 0, error);
    default:
        return false;
    }
}

/* A job that the kernel did by itself has come back. */
static void uring_ended(void *opaque, struct job *job, bool retry)
{
    struct block *block = opaque;

    if (job->op == BLOCK_WRITE)
        node_written(job->node);
    if (retry && job->request) {
        pool_submit(&block->pool, job);
        return;
    }
    job_ended(block, job);
    loop_post(block->loop, &block->completion);
}

/* Past the page cache the kernel needs no worker; false: it is the workers'. */
static bool give_to_kernel(struct block *block, struct job *job)
{
    bool write = job->op == BLOCK_WRITE;
    uint64_t at;
    int fd;

    if (block->no_uring || (job->op != BLOCK_READ && (!job->straight || job->write_through)) ||
        (write && job->node->detect_zeroes))
        return false;
    fd = node_straight(job->node, job->iov, write ? job->iovcnt : 0, job->offset, job->length, &at);
    if (fd < 0)
        return false;
    if (!block->uring)
        block->uring = uring_new(block->loop, uring_ended, block);
    block->no_uring = !block->uring;
    return block->uring && uring_submit(block->uring, job, fd, at);
}

static void give_to_worker(struct block *block, struct block_request *request)
{
    struct job *job = job_new(block->root, request, block->write_through);

    if (!job) {
        finish_soon(block, request, ENOMEM);
        return;
    }
    request->state = REQUEST_WORKED;
    request->job = job;
    block->jobs++;
    if (!give_to_kernel(block, job))
        pool_submit(&block->pool, job);
}

static void block_start(struct block *block, struct block_request *request)
{
    int error = check(block, request);

    if (error) {
        finish_soon(block, request, error);
    } else if (behind_end(block, request)) {
        rw_zero(request->iov, request->iovcnt, 0, request->length);
        finish_soon(block, request, 0);
    } else if (attempt(block, request, &error)) {
        finish_soon(block, request, error);
        request->refused = false;
    } else {
        give_to_worker(block, request);
    }
}

void block_submit(struct block *block, struct block_request *request)
{
    request->block = block;
    request->refused = false;
    request->start = block_now();
    block->in_flight++;
    if (block->late_writes)
        list_append(&block->held, request, REQUEST_HELD);
    else
        block_start(block, request);
}

static void cancel_job(struct block *block, struct block_request *request)
{
    struct job *job = request->job;

    request->state = REQUEST_IDLE;
    if (pool_cancel(&block->pool, job)) {
        block->jobs--;
        job_free(job);
    } else if (changes_medium(job)) {
        block->late_writes++;
    }
}

void block_cancel(struct block_request *request)
{
    struct block *block = request->block;

    if (!block || request->state == REQUEST_IDLE)
        return;
    if (request->state == REQUEST_WORKED)
        cancel_job(block, request);
    else
        list_remove(request->state == REQUEST_HELD      ? &block->held
                    : request->state == REQUEST_STOPPED ? &block->stopped
                                                        : &block->finished,
                    request);
    block->in_flight--;
}

void block_watch_errors(struct block *block,
                        void (*failed)(void *opaque, struct block *block, enum block_op op, int error,
                                       enum block_on_error action),
                        void *opaque)
{
    block->failed = failed;
    block->failed_opaque = opaque;
}

void block_retry(struct block *block)
{
    struct request_list again = block->stopped;

    if (!again.first)
        return;
    list_init(&block->stopped);
    for (struct block_request *request = again.first, *next; request; request = next) {
        next = request->next;
        request->state = REQUEST_IDLE;
        block_start(block, request);
    }
}

/* Nobody will try them again. */
static void give_up_stopped(struct block *block)
{
    while (block->stopped.first) {
        struct block_request *request = block->stopped.first;

        list_remove(&block->stopped, request);
        finish(block, request, request->error);
        request->refused = true;
    }
}

void block_drain(struct block *block)
{
    while (block->in_flight) {
        give_up_stopped(block);
        if (!block->finished.first)
            wait_for_job(block);
        collect(block);
        while (block->finished.first)
            block_complete(block, block->finished.first);
    }
}

/* ---- trays and media ---- */

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

static void exchange(struct block *block, struct node *root)
{
    block_drain(block);
    uring_forget(block->uring);
    node_unref(block->root);
    block->root = root;
}

/* A flush that nobody waits for; its job keeps the image open until then. */
static void flush_behind(struct block *block)
{
    struct job *job;
    int error;

    if (node_attempt(block->root, NODE_ATTEMPT_FLUSH, NULL, 0, 0, 0, &error))
        return;
    job = job_new(block->root, NULL, false);
    if (!job)
        return;
    block->jobs++;
    pool_submit(&block->pool, job);
}

void block_release(struct block *block)
{
    block_drain(block);
    if (block->root)
        flush_behind(block);
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

static bool insert(struct block *block, const struct block_options *options, int fd, const char *name,
                   struct error *err)
{
    struct node *root;

    if (!block->removable)
        return error_set(err, "Device '%s' is not removable", block->id);
    root = open_medium(block, options, name, fd, err);
    if (!root)
        return false;
    if (block->root && !may_open(block, false, err)) {
        node_unref(root);
        return false;
    }
    move_tray(block, true);
    exchange(block, root);
    tell_changed(block);
    move_tray(block, false);
    return true;
}

bool block_open_tray(struct block *block, bool force, struct error *err)
{
    if (!may_open(block, force, err))
        return false;
    move_tray(block, true);
    return true;
}

void block_close_tray(struct block *block)
{
    move_tray(block, false);
}

/* Can a hand get at the medium? */
static bool may_reach(const struct block *block, struct error *err)
{
    bool tray = block->events && block->events->tray_open;

    if (!block->removable)
        return error_set(err, "Device '%s' is not removable", block->id);
    return !tray || block_tray_open(block) || error_set(err, "Tray of device '%s' is not open", block->id);
}

bool block_insert_medium(struct block *block, struct node *node, struct error *err)
{
    if (!may_reach(block, err))
        return false;
    if (block->root)
        return error_set(err, "There already is a medium in device '%s'", block->id);
    exchange(block, node_ref(node));
    tell_changed(block);
    return true;
}

bool block_remove_medium(struct block *block, struct error *err)
{
    if (!may_reach(block, err))
        return false;
    exchange(block, NULL);
    tell_changed(block);
    return true;
}

bool block_insert(struct block *block, const struct block_options *options, struct error *err)
{
    return insert(block, options, -1, options->file, err);
}

bool block_insert_fd(struct block *block, int fd, const char *name, const struct block_options *options,
                     struct error *err)
{
    return insert(block, options, fd, name, err);
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
