/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/ram.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/util.h"

#define VGA_BASE 0xA0000ull
#define VGA_END  0xC0000ull

void ram_layout(struct ram *ram, uint64_t size, uint64_t low_limit)
{
    ram->low_size = min_u64(size, low_limit);
    ram->high_size = size - ram->low_size;
}

void *ram_reserve(uint64_t size, bool dumped)
{
    void *host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (host == MAP_FAILED)
        return NULL;
    if (!dumped && madvise(host, size, MADV_DONTDUMP) < 0) {
        int why = errno;

        munmap(host, size);
        errno = why;
        return NULL;
    }
    return host;
}

bool ram_alloc(struct ram *ram, bool dumped)
{
    ram->host = ram_reserve(ram->low_size + ram->high_size, dumped);
    return ram->host;
}

void ram_free(struct ram *ram)
{
    if (ram->host)
        munmap(ram->host, ram->low_size + ram->high_size);
    ram->host = NULL;
}

/* The end of the stretch of RAM that holds gpa, 0 where gpa is not RAM. */
static uint64_t stretch_end(const struct ram *ram, uint64_t gpa)
{
    if (gpa < VGA_BASE)
        return ram->low_size < VGA_BASE ? (gpa < ram->low_size ? ram->low_size : 0) : VGA_BASE;
    if (gpa < VGA_END)
        return 0;
    if (gpa < ram->low_size)
        return ram->low_size;
    if (gpa >= RAM_HIGH_BASE && gpa - RAM_HIGH_BASE < ram->high_size)
        return RAM_HIGH_BASE + ram->high_size;
    return 0;
}

bool ram_contains(const struct ram *ram, uint64_t gpa, uint64_t length)
{
    uint64_t end = stretch_end(ram, gpa);

    return end && length <= end - gpa;
}

void *ram_map(struct ram *ram, uint64_t gpa, uint64_t *length)
{
    uint64_t end = stretch_end(ram, gpa);

    if (!end || !*length)
        return NULL;
    if (*length > end - gpa)
        *length = end - gpa;
    if (ram->ops)
        return ram->ops->map(ram->opaque, gpa, length);
    return ram->host + (gpa < RAM_HIGH_BASE ? gpa : ram->low_size + (gpa - RAM_HIGH_BASE));
}

void ram_unmap(struct ram *ram, uint64_t gpa, void *host, uint64_t length, bool written)
{
    if (ram->ops)
        ram->ops->unmap(ram->opaque, gpa, host, length, written);
}

/* Copies out of guest memory into `to`, or with `to` NULL from `from` into it. */
static bool ram_copy(struct ram *ram, uint64_t gpa, uint8_t *to, const uint8_t *from, uint64_t length)
{
    uint64_t n;

    if (!length)
        return true;
    if (ram->work)
        work_add(ram->work, 20 + length / 8);
    if (!ram_contains(ram, gpa, length))
        return false;
    for (uint64_t done = 0; done < length; done += n) {
        void *host;

        n = length - done;
        host = ram_map(ram, gpa + done, &n);
        if (!host)
            return false;
        if (to)
            memcpy(to + done, host, n);
        else
            memcpy(host, from + done, n);
        ram_unmap(ram, gpa + done, host, n, !to);
    }
    return true;
}

bool ram_read(struct ram *ram, uint64_t gpa, void *data, uint64_t length)
{
    return ram_copy(ram, gpa, data, NULL, length);
}

bool ram_write(struct ram *ram, uint64_t gpa, const void *data, uint64_t length)
{
    return ram_copy(ram, gpa, NULL, data, length);
}
