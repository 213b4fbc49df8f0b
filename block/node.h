/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What lies below a drive's slot: a graph of nodes, each an image format, a file or a filter over other
 * nodes.
 * "-blockdev driver=qcow2,node-name=d,file.driver=file,file.filename=d.qcow2" is two of them.
 *
 * A driver is a constant struct node_driver. Its struct begins with struct node. open and close are the
 * machine thread's; everything else may be called by several worker threads at once, may block, and returns 0
 * or an errno. A driver that changes metadata locks them itself; its data should move without that lock.
 * Offsets and lengths are bytes without alignment, and lie within the node: the node_ functions below have
 * checked it.
 *
 * An image is hostile input: every number from it is checked in 64 bits before it is used.
 */
#ifndef BLOCK_NODE_H
#define BLOCK_NODE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"

struct node;

/* The nodes of a machine: whoever is named can be found. Machine thread. */
struct node_graph {
    struct node *first;
    unsigned serial; /* for the names of those that nobody named */
    bool elsewhere;  /* another process has the guest: images are not locked here */
};

/* What a user may ask about a node; fields that do not apply are 0. */
struct node_info {
    uint64_t allocated;          /* bytes that the host's file system gives it */
    uint64_t cluster_size;       /* bytes */
    bool dirty, corrupt;         /* an image that says so of itself */
    const char *backing;         /* name of the backing file as the image says it, or NULL */
    const char *backing_format;  /* or NULL */
    const char *version, *extra; /* for people: "1.1", "zstd"; or NULL */
};

/* May zeroed clusters be given back to the host? */
#define NODE_MAY_UNMAP 1u

enum node_attempt { NODE_ATTEMPT_READ, NODE_ATTEMPT_WRITE, NODE_ATTEMPT_FLUSH };

struct node_driver {
    const char *name;
    const char *description; /* a line for -blockdev help */
    size_t size;             /* of its struct */
    bool needs_file;         /* a format or filter: "file" is its child, opened before open is called */
    const char *const *keys; /* options beside the common ones, ends with NULL; or NULL */

    /* size and read_only are set by it. False with *err, one line; close is not called then. */
    bool (*open)(struct node *node, const json_t *options, struct error *err);
    void (*close)(struct node *node); /* or NULL; children are let go of afterwards */

    int (*read)(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length);
    int (*write)(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length);
    /* Advice; what was discarded reads as anything, but not as bytes of another place. NULL: nothing is done.
     */
    int (*discard)(struct node *node, uint64_t offset, uint64_t length);
    /* Reads as zeroes from now on. NULL: zeroes are written. */
    int (*zero)(struct node *node, uint64_t offset, uint64_t length, unsigned flags);
    /* What was written before it is on the medium when it returns. NULL: the child's. */
    int (*flush)(struct node *node);
    int (*resize)(struct node *node, uint64_t size); /* NULL: ENOTSUP */
    void (*info)(struct node *node, struct node_info *info);
    /* Machine thread: locks what it has open against other programs, and gives the lock back. NULL: it has
     * none. */
    bool (*lock)(struct node *node, struct error *err);
    void (*unlock)(struct node *node);
    /*
     * Machine thread: does it at once if that needs no waiting for a disk or a lock; true, and *error is the
     * result. False: nothing is known, it is done again by a worker. NULL: never.
     */
    bool (*attempt)(struct node *node, enum node_attempt what, const struct iovec *iov, int iovcnt,
                    uint64_t offset, uint64_t length, int *error);
    /*
     * Machine thread: where the host may do this transfer past the page cache as it stands, a descriptor and
     * *at; -1: nowhere. iovcnt 0: into memory that is aligned. written is called when such a write has ended.
     */
    int (*straight)(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length,
                    uint64_t *at);
    void (*written)(struct node *node);
    const struct node_driver *next; /* the registry's */
};

struct node {
    const struct node_driver *driver;
    struct node_graph *graph;
    struct node *next;           /* in the graph, the oldest first */
    char *name;                  /* node-name=, or one that was made up: "#block3" */
    char *filename;              /* for people; NULL where there is none */
    struct node *file, *backing; /* children, or NULL */
    unsigned references;
    bool implicit_read_only;
    bool kept; /* one of the references is the user's, until blockdev-del */

    uint64_t size; /* bytes */
    bool read_only;
    bool direct, no_flush; /* cache.direct, cache.no-flush */
    bool keep_allocated;   /* discard=ignore */
    bool can_grow, grows;  /* a file that writes beyond its end may make longer, and whether they do */
    bool detect_zeroes, unmap_zeroes;
    unsigned depth; /* how many images stand on it */
    bool plain; /* no format above it keeps anything in memory: another process may go on with it at any time
                 */
};

/* ---- opening: machine thread ---- */

/*
 * Opens a node and, below it, its children, from options as -blockdev and blockdev-add have them: a flat
 * object of dotted keys ("file.filename"), values strings, integers or booleans. A child is described by
 * dotted keys or named ("file": "node0"). Returns a reference, or NULL with *err: one line that names the
 * image.
 */
struct node *node_open(struct node_graph *graph, const json_t *options, struct error *err);
/* The same below another node, whose cache modes and read-only are the child's if it says nothing. */
struct node *node_open_child(struct node *parent, const json_t *options, struct error *err);
/*
 * A guest's way to another process: the images are locked by the one that has it. Leaving: what was written
 * is flushed, and then the locks are given back; arriving takes them, false with *err where another program
 * has one. Images of a format that keeps tables in memory stay locked: they cannot be handed over so.
 */
void node_graph_leave(struct node_graph *graph);
bool node_graph_arrive(struct node_graph *graph, struct error *err);
struct node *node_ref(struct node *node);
void node_unref(struct node *node); /* NULL: nothing */
struct node *node_find(const struct node_graph *graph, const char *name);
/* A tree of objects ({"file": {"filename": ...}}) as a flat one; a new reference, or NULL: not an object. */
json_t *node_flatten(const json_t *tree, struct error *err);
/* The part of flat options below "key."; an empty object: nothing was said. A new reference. */
json_t *node_suboptions(const json_t *options, const char *key);
/* Options' values; a value of the wrong kind is an error. *value stays where nothing was said. */
const char *node_option_text(const json_t *options, const char *key);
bool node_option_bool(const json_t *options, const char *key, bool *value, struct error *err);
bool node_option_size(const json_t *options, const char *key, uint64_t *value, struct error *err);

const struct node_driver *node_find_driver(const char *name);
const struct node_driver *node_next_driver(const struct node_driver *driver); /* NULL: the first */
/* Beside those that are built in; for tests. */
void node_register_driver(struct node_driver *driver);

/* The format that the first bytes of an image tell, or NULL. For warnings only: formats are said, not
 * guessed. */
const char *node_looks_like(struct node *file);

/* ---- using: any thread ---- */

/* Reads beyond the end give zeroes; everything else there is ENOSPC, and EROFS on what is read-only. */
int node_read(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length);
int node_write(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length);
int node_pread(struct node *node, void *data, uint64_t offset, uint64_t length);
int node_pwrite(struct node *node, const void *data, uint64_t offset, uint64_t length);
int node_discard(struct node *node, uint64_t offset, uint64_t length);
int node_zero(struct node *node, uint64_t offset, uint64_t length, unsigned flags);
int node_flush(struct node *node);
int node_resize(struct node *node, uint64_t size);
uint64_t node_size(const struct node *node); /* of a file that grows: now */
void node_get_info(struct node *node, struct node_info *info);
int node_straight(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length,
                  uint64_t *at);
void node_written(struct node *node);
bool node_attempt(struct node *node, enum node_attempt what, const struct iovec *iov, int iovcnt,
                  uint64_t offset, uint64_t length, int *error);

#endif
