/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A medium: a raw image file, a host block device or a host CD drive, with or without a snapshot over it. */
#ifndef BLOCK_IMAGE_H
#define BLOCK_IMAGE_H

#include <pthread.h>
#include <stdatomic.h>

#include "block/block.h"
#include "block/snapshot.h"

struct image {
    char *name;    /* path, or what a person calls it */
    int fd;        /* holds the lock of the image; closing it gives the lock back */
    uint64_t size; /* bytes, a multiple of 512: a file that ends within a sector ends with zeroes */
    bool read_only;
    bool device;                                  /* a block device */
    bool keep_allocated, write_through, no_flush; /* as in struct block_options */
    bool nowait_writes;                           /* cleared when the host's file system refuses them */
    atomic_bool dirty;                            /* written since the last flush */
    pthread_mutex_t flush_lock;
    struct snapshot *snapshot; /* or NULL */
};

/* Opens, checks and locks the image. NULL with *err: one line that names the file and the reason. */
struct image *image_open(const struct block_options *options, struct error *err);
/* The same with a descriptor, which is duplicated. */
struct image *image_open_fd(int fd, const char *name, const struct block_options *options, struct error *err);
void image_close(struct image *image);

/* Does the request, whose range was checked; may block. Returns 0 or an errno. Any thread. */
int image_perform(struct image *image, struct block_request *request);
/* Does the request if that is possible without waiting for the disk: true, and *error is its result. */
bool image_try(struct image *image, struct block_request *request, int *error);

#endif
