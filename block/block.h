/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disk images and media, asynchronously: a request is submitted, the machine thread goes on, done is called
 * later on the machine thread with the machine lock held. Never from inside block_submit.
 *
 * A struct block is a named slot ("ide0-hd0", or what -drive id= says) that holds a medium or is empty (a CD
 * drive's); the device keeps the slot, the medium comes and goes. Formats and files are nodes below it
 * (node.h).
 */
#ifndef BLOCK_BLOCK_H
#define BLOCK_BLOCK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/loop.h"

struct job;
struct node;
struct node_graph;

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_ZERO };
enum { BLOCK_OPS = BLOCK_ZERO + 1 };

/*
 * One request; up to 32 or so are in flight at once. The memory of the request, its iovec and its buffers
 * belong to the submitter and stay untouched by it until done was called or block_cancel returned. offset and
 * length are bytes and need no alignment; READ beyond the end gives zeroes.
 */
struct block_request {
    enum block_op op;
    uint64_t offset, length; /* FLUSH: not used */
    struct iovec *iov;       /* READ, WRITE: buffers of length bytes in all */
    int iovcnt;
    void (*done)(struct block_request *request,
                 int error); /* 0 or an errno: EIO, ENOSPC, ENOMEDIUM, EROFS ... */
    void *opaque;
    /*
     * WRITE: the buffers are guest memory that stays where it is as long as the process lives, so that a host
     * I/O that is still under way after block_cancel may read them: it does no harm to anybody but the data
     * of the write that was cancelled.
     */
    bool stable;

    /* The block layer's. */
    struct block *block;
    struct block_request *next;
    struct job *job;
    int64_t start; /* ns */
    int error;
    bool refused; /* by the slot, not by the medium */
    unsigned state;
};

/* Told when the medium was changed or taken from outside (QMP eject, blockdev-change-medium), or an eject is
 * wished. */
struct block_events {
    /* Somebody wants the medium out and the tray is locked: press the eject button (ATAPI: event status). */
    void (*eject_request)(void *opaque, bool force);
    /* The tray now holds another medium, or none; requests in flight on the old one have been completed or
     * failed. */
    void (*medium_changed)(void *opaque);
    /* Is the tray locked by the guest, is it open? NULL: no tray (a fixed disk). */
    bool (*tray_locked)(void *opaque);
    bool (*tray_open)(void *opaque);
    void (*tray_move)(void *opaque, bool open); /* open or close it from outside */
};

/* What becomes of a request that the medium failed. */
enum block_on_error {
    BLOCK_REPORT, /* the guest is told */
    BLOCK_IGNORE, /* it is told that all went well */
    BLOCK_STOP,   /* it is told nothing: the request waits for block_retry */
    BLOCK_ENOSPC, /* BLOCK_STOP if the host's disk is full, else BLOCK_REPORT */
};

struct block_stats {
    struct {
        uint64_t bytes, operations, failed; /* bytes: of those that did not fail */
        uint64_t time;                      /* ns, of all together */
    } op[BLOCK_OPS];
    uint64_t highest_written; /* bytes: where the last write ended, at most */
};

struct block_options {
    const char *file;         /* path; NULL: empty slot, unless node is given */
    const char *format;       /* "raw", "qcow2" ...; NULL: raw, and a warning if it looks like another */
    struct node *node;        /* the medium, instead of file: the slot takes a reference of its own */
    struct node_graph *graph; /* where its nodes are listed; NULL: nowhere */
    bool read_only;
    bool snapshot;       /* writes go to a temporary file that is forgotten */
    bool removable;      /* a CD or floppy slot: may be empty, medium may change */
    const char *serial;  /* drive serial number for IDENTIFY, or NULL */
    bool keep_allocated; /* discard=ignore: what the guest discards stays where it is */
    bool write_through;  /* cache=writethrough: a write is done when it is on the disk */
    bool no_flush;       /* cache=unsafe: a flush does nothing */
    enum block_on_error on_read_error, on_write_error;
    const json_t *more; /* other options of its topmost node, as node_open takes them; or NULL */
};

/*
 * Opens a slot. An image is locked while in use (shared for readers, exclusive for a writer), so that the
 * same image is not written by two machines. NULL with *err: one line that names the file and the reason.
 */
struct block *block_open(struct loop *loop, const char *id, const struct block_options *options,
                         struct error *err);
/* Waits for requests in flight and closes. */
void block_close(struct block *block);

const char *block_id(const struct block *block);
const char *block_file(const struct block *block);   /* path of the medium, NULL: empty */
const char *block_format(const struct block *block); /* "raw"; NULL: empty */
const char *block_serial(const struct block *block); /* or NULL */
bool block_present(const struct block *block);       /* is there a medium? */
bool block_removable(const struct block *block);     /* may it be empty, may the medium change? */
bool block_read_only(const struct block *block);     /* empty: as the slot was opened */
uint64_t block_size(const struct block *block);      /* bytes, 0: empty */
struct node *block_node(const struct block *block);  /* the medium's topmost node, NULL: empty */
bool block_write_through(const struct block *block);
const struct block_stats *block_stats(const struct block *block);

/* One device may use a slot at a time; false: another has it. owner is the device's id or name for messages.
 */
bool block_attach(struct block *block, const char *owner, const struct block_events *events, void *opaque);
void block_detach(struct block *block);
const char *block_owner(const struct block *block); /* NULL: none */

/*
 * Somebody is told of each request that the medium failed, before anything else is done about it; action is
 * BLOCK_REPORT, BLOCK_IGNORE or BLOCK_STOP. It should stop the guest on the last.
 */
void block_watch_errors(struct block *block,
                        void (*failed)(void *opaque, struct block *block, enum block_op op, int error,
                                       enum block_on_error action),
                        void *opaque);
/* The guest goes on: requests that wait for it are tried again. */
void block_retry(struct block *block);

void block_submit(struct block *block, struct block_request *request);
/*
 * Takes a request back, at once: after it returned, done will not be called and the buffers are the
 * submitter's again (a stable write's may still be read). It never waits for the disk: a host I/O that is
 * under way goes on without the request, and what is submitted after a cancelled write waits until that has
 * ended, so that it cannot overwrite newer data. Data may or may not have reached the medium.
 */
void block_cancel(struct block_request *request);
/* Waits until nothing is in flight; done functions are called. */
void block_drain(struct block *block);

/* What the device that has the slot says of its tray; false where there is none. */
bool block_tray_open(const struct block *block);
bool block_locked(const struct block *block);
/* Tells whoever watches the slot that the tray moved, by the guest's hand (device) or from outside (block
 * layer). */
void block_tray_moved(struct block *block, bool open);
void block_watch_tray(struct block *block, void (*moved)(void *opaque, struct block *block, bool open),
                      void *opaque);

/* Medium change from outside; the rules of the tray (locked, force) are applied here. False: *err, nothing
 * changed. */
bool block_eject(struct block *block, bool force, struct error *err);
/* The tray alone: the medium stays in it. By the rules of block_eject. */
bool block_open_tray(struct block *block, bool force, struct error *err);
void block_close_tray(struct block *block);
/* Takes the medium out of an open tray, which stays open. False: *err. */
bool block_remove_medium(struct block *block, struct error *err);
/* Takes the medium out for good (unplug), when nobody shares the slot (any more). The slot is empty at once;
 * the image is flushed, closed and unlocked when its last I/O has ended, which nobody waits for. */
void block_release(struct block *block);
/*
 * A second user beside the device that has the slot: the paravirtual disk that shows the same medium. It
 * submits requests as the device does; false: there is one already.
 */
bool block_share(struct block *block);
void block_unshare(struct block *block); /* nothing of its may be in flight */
/* Puts a node into an open tray that holds nothing; the tray stays open. The slot takes a reference of its
 * own. */
bool block_insert_medium(struct block *block, struct node *node, struct error *err);
bool block_insert(struct block *block, const struct block_options *options, struct error *err);
/* The same with an open descriptor (dup'ed, checked) instead of a path; name is for people. */
bool block_insert_fd(struct block *block, int fd, const char *name, const struct block_options *options,
                     struct error *err);

/* Machine's list of slots, in order of creation. */
struct block *block_find(struct block *first, const char *id);
struct block *block_next(const struct block *block);
void block_link(struct block **first, struct block *block);

#endif
