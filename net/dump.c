/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The format: IETF draft-ietf-opsawg-pcap, in the machine's own byte order, with microseconds. */
#include "net/dump.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

enum { MAGIC = (int)0xA1B2C3D4, MAJOR = 2, MINOR = 4, LINKTYPE_ETHERNET = 1 };

struct file_header {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t reserved[2], snap_length, link_type;
};

struct packet_header {
    uint32_t seconds, microseconds, captured, length;
};

struct net_dump *net_dump_open(const char *path, size_t max, struct error *err)
{
    struct file_header header = {
        .magic = MAGIC, .major = MAJOR, .minor = MINOR, .snap_length = max, .link_type = LINKTYPE_ETHERNET};
    struct net_dump *dump = calloc(1, sizeof(*dump));

    if (!dump) {
        error_set(err, "out of memory");
        return NULL;
    }
    *dump = (struct net_dump){.from_card = true, .to_card = true, .max = max, .path = strdup(path)};
    dump->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0666);
    if (dump->path && dump->fd >= 0 && write(dump->fd, &header, sizeof(header)) == sizeof(header))
        return dump;
    error_set(err, "file=%s: %s", path, strerror(errno));
    net_dump_close(dump);
    return NULL;
}

void net_dump_close(struct net_dump *dump)
{
    if (dump->fd >= 0)
        close(dump->fd);
    free(dump->path);
    free(dump);
}

/* A record that is there in part would spoil those after it: no more follow. */
static void dump_give_up(struct net_dump *dump)
{
    log_line("filter-dump file=%s: %s; nothing more is written", dump->path, strerror(errno));
    close(dump->fd);
    dump->fd = -1;
}

static void dump_write_frame(struct net_dump *dump, const struct timespec *now, const uint8_t *data,
                             size_t length)
{
    struct packet_header header = {.seconds = now->tv_sec,
                                   .microseconds = now->tv_nsec / 1000,
                                   .captured = length < dump->max ? length : dump->max,
                                   .length = length};
    struct iovec parts[] = {{&header, sizeof(header)}, {(void *)data, header.captured}};

    errno = ENOSPC;
    if (writev(dump->fd, parts, 2) != (ssize_t)(sizeof(header) + header.captured))
        dump_give_up(dump);
}

void net_dump_frame(struct net_dump *first, bool from_card, const uint8_t *data, size_t length)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    for (struct net_dump *dump = first; dump; dump = dump->next)
        if (dump->fd >= 0 && (from_card ? dump->from_card : dump->to_card))
            dump_write_frame(dump, &now, data, length);
}
