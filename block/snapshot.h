/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * snapshot=on: writes go to a sparse temporary file that nobody can see and that the kernel forgets with the
 * process; a bitmap says which clusters of the image it holds. The image below is only read.
 */
#ifndef BLOCK_SNAPSHOT_H
#define BLOCK_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"

#define SNAPSHOT_CLUSTER 4096u

struct snapshot;

/* base_fd: the image, size bytes of it. The temporary file lies in $TMPDIR or /var/tmp. */
struct snapshot *snapshot_new(int base_fd, uint64_t size, struct error *err);
void snapshot_free(struct snapshot *snapshot);

/* length bytes at offset, within the size; buffers of length bytes in all. 0 or an errno. Any thread. */
int snapshot_read(struct snapshot *snapshot, uint64_t offset, uint64_t length, struct iovec *iov, int iovcnt);
int snapshot_write(struct snapshot *snapshot, uint64_t offset, uint64_t length, struct iovec *iov,
                   int iovcnt);

#endif
