/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/rw.h"

#include <errno.h>
#include <string.h>

/* Buffers a system call takes at once; longer lists go in turns. */
enum { TURN = 64 };

/* As rw_slice, but at most room entries: the part may come out shorter, *length says how long it is. */
static int slice(const struct iovec *iov, int count, uint64_t skip, uint64_t *length, struct iovec *to,
                 int room)
{
    uint64_t left = *length;
    int n = 0;

    for (int i = 0; i < count && n < room && left; i++) {
        uint64_t part;

        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        part = iov[i].iov_len - skip < left ? iov[i].iov_len - skip : left;
        to[n++] = (struct iovec){(uint8_t *)iov[i].iov_base + skip, part};
        left -= part;
        skip = 0;
    }
    *length -= left;
    return n;
}

int rw_slice(const struct iovec *iov, int count, uint64_t skip, uint64_t length, struct iovec *to)
{
    return slice(iov, count, skip, &length, to, count);
}

void rw_zero(const struct iovec *iov, int count, uint64_t skip, uint64_t length)
{
    struct iovec part[TURN];

    while (length) {
        uint64_t turn = length;
        int n = slice(iov, count, skip, &turn, part, TURN);

        if (!turn)
            return;
        for (int i = 0; i < n; i++)
            memset(part[i].iov_base, 0, part[i].iov_len);
        skip += turn;
        length -= turn;
    }
}

static void copy(uint8_t *memory, const struct iovec *iov, int count, uint64_t skip, uint64_t length,
                 bool scatter)
{
    for (int i = 0; i < count && length; i++) {
        uint64_t part;

        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        part = iov[i].iov_len - skip < length ? iov[i].iov_len - skip : length;
        if (scatter)
            memcpy((uint8_t *)iov[i].iov_base + skip, memory, part);
        else
            memcpy(memory, (uint8_t *)iov[i].iov_base + skip, part);
        memory += part;
        length -= part;
        skip = 0;
    }
}

void rw_scatter(const void *from, const struct iovec *iov, int count, uint64_t skip, uint64_t length)
{
    copy((uint8_t *)from, iov, count, skip, length, true);
}

void rw_gather(void *to, const struct iovec *iov, int count, uint64_t skip, uint64_t length)
{
    copy(to, iov, count, skip, length, false);
}

/* In turns, as far as the file goes: *done tells. */
static int in_turns(ssize_t (*io)(int fd, const struct iovec *iov, int count, off_t offset), int fd,
                    const struct iovec *iov, int count, uint64_t offset, uint64_t length, uint64_t *done)
{
    struct iovec part[TURN];

    for (*done = 0; *done < length;) {
        uint64_t turn = length - *done;
        int parts = slice(iov, count, *done, &turn, part, TURN);
        ssize_t n = io(fd, part, parts, offset + *done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            break;
        *done += n;
    }
    return 0;
}

int rw_read(int fd, const struct iovec *iov, int count, uint64_t offset, uint64_t length)
{
    uint64_t done;
    int error = in_turns(preadv, fd, iov, count, offset, length, &done);

    if (!error)
        rw_zero(iov, count, done, length - done);
    return error;
}

int rw_write(int fd, const struct iovec *iov, int count, uint64_t offset, uint64_t length)
{
    uint64_t done;
    int error = in_turns(pwritev, fd, iov, count, offset, length, &done);

    return !error && done < length ? EIO : error;
}
