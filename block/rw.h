/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whole transfers on a file descriptor: short ones are continued. */
#ifndef BLOCK_RW_H
#define BLOCK_RW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

/*
 * The part of a list of buffers that begins skip bytes in and is length bytes long, in to (room for count
 * entries). Returns the number of entries. The list is that long, or the part ends with it.
 */
int rw_slice(const struct iovec *iov, int count, uint64_t skip, uint64_t length, struct iovec *to);

/* Fills the buffers from length bytes at offset; what lies behind the end of the file is zeroes. 0 or an
 * errno. */
int rw_read(int fd, const struct iovec *iov, int count, uint64_t offset, uint64_t length);
int rw_write(int fd, const struct iovec *iov, int count, uint64_t offset, uint64_t length);

/* Copies length bytes between a piece of memory and the buffers from skip on. */
void rw_scatter(const void *from, const struct iovec *iov, int count, uint64_t skip, uint64_t length);
void rw_gather(void *to, const struct iovec *iov, int count, uint64_t skip, uint64_t length);

/* Zeroes length bytes of the buffers from skip on. */
void rw_zero(const struct iovec *iov, int count, uint64_t skip, uint64_t length);

#endif
