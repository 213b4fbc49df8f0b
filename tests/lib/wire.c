/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/wire.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/lib/qtest.h"

/* The host's sockets fail nobody but who wrote the test. */
static void must(bool done, const char *what)
{
    if (!done) {
        perror(what);
        abort();
    }
}

static struct sockaddr_un address_of(const char path[WIRE_PATH])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memcpy(address.sun_path, path, sizeof(address.sun_path));
    return address;
}

/* A machine that moves keeps its wire: the socket is the processes' own, and what is in it waits for the
 * next. */
static void open_inherited(struct wire *wire, const char *id, char options[WIRE_OPTIONS])
{
    int ends[2];

    must(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0, "socketpair");
    wire->fd = fcntl(ends[0], F_DUPFD_CLOEXEC, 3);
    close(ends[0]);
    wire->inherited = ends[1];
    wire->ours[0] = 0;
    snprintf(options, WIRE_OPTIONS, "-netdev dgram,id=%.32s,local.type=fd,local.str=%d", id, ends[1]);
}

void wire_open(struct wire *wire, const char *id, char options[WIRE_OPTIONS])
{
    static const char *path; /* one temporary file gives names to all */
    static unsigned opened;
    struct sockaddr_un address;

    wire->inherited = -1;
    if (getenv("MOVE")) {
        open_inherited(wire, id, options);
        return;
    }
    if (!path)
        path = qtest_temp_file(".wire", 0);
    opened++;
    snprintf(wire->theirs, sizeof(wire->theirs), "%.80s.%u.a", path, opened);
    snprintf(wire->ours, sizeof(wire->ours), "%.80s.%u.b", path, opened);
    address = address_of(wire->ours);
    wire->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    must(bind(wire->fd, (struct sockaddr *)&address, sizeof(address)) == 0, "bind");
    snprintf(options, WIRE_OPTIONS,
             "-netdev dgram,id=%.32s,local.type=unix,local.path=%s,remote.type=unix,remote.path=%s", id,
             wire->theirs, wire->ours);
}

void wire_connect(struct wire *wire)
{
    struct sockaddr_un address;

    if (wire->inherited >= 0)
        return;
    address = address_of(wire->theirs);
    must(connect(wire->fd, (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
}

struct qtest *wire_start_card(struct wire *wire, void **state, const char *card)
{
    char options[WIRE_OPTIONS];
    struct qtest *q;

    wire_open(wire, "n", options);
    q = *state = qtest_startf("-nodefaults -vga none -device %s,netdev=n,id=c,mac=52:54:00:12:34:56 %s", card,
                              options);
    wire_connect(wire);
    return q;
}

void wire_close(struct wire *wire)
{
    close(wire->fd);
    if (wire->inherited < 0) /* which stays: the machine's last process gets it, too */
        unlink(wire->ours);
}

void wire_send_bytes(struct wire *wire, const void *frame, size_t length)
{
    must(send(wire->fd, frame, length, 0) == (ssize_t)length, "send");
}

void wire_send(struct wire *wire, const uint8_t to[6], uint8_t mark, size_t length)
{
    uint8_t frame[4096];

    memset(frame, mark, sizeof(frame));
    memcpy(frame, to, 6);
    wire_send_bytes(wire, frame, length);
}

void wire_send_limits(struct wire *wire, const uint8_t to[6])
{
    static const size_t bad[] = {0, 1, 13, 1519, 4096};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        wire_send(wire, to, 1, bad[i]);
    wire_send(wire, to, 2, 14);
    wire_send(wire, to, 3, 1518);
}

int wire_take(struct wire *wire, uint8_t frame[2048], int wait_ms)
{
    struct pollfd fd = {.fd = wire->fd, .events = POLLIN};

    return poll(&fd, 1, wait_ms) == 1 ? (int)recv(wire->fd, frame, 2048, 0) : -1;
}

uint32_t wire_crc(const uint8_t *data, size_t length)
{
    uint32_t crc = ~0u;

    for (size_t i = 0; i < length; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
    }
    return ~crc;
}

void wire_set_link(struct qtest *q, const char *id, bool up)
{
    json_decref(qtest_qmp_ok(q, "{'execute': 'set_link', 'arguments': {'name': '%s', 'up': %s}}", id,
                             up ? "true" : "false"));
}
