/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows of the network: each card on a datagram socket; the e1000 on the other kinds of wire that need no
 * rights. */
#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/measure.h"
#include "bench/nic.h"
#include "bench/tables.h"
#include "tests/lib/wire.h"

enum { PATIENCE_S = 5, TOP_FRAME = 1514, UDP_HEADERS = 14 + 20 + 8 };

/* A wire as the far end has it. */
struct far {
    struct nic nic;
    struct wire wire; /* dgram */
    int fd;           /* stream, user */
    struct sockaddr_in guest;
};

struct far_kind {
    void (*open)(struct far *f, enum nic_model model, const struct subject *subject);
    bool (*take)(struct far *f, unsigned length); /* a frame that the guest sent */
    void (*send)(struct far *f, unsigned length); /* one to the guest */
    void (*close)(struct far *f);
};

/* ---- dgram ---- */

static void dgram_open(struct far *f, enum nic_model model, const struct subject *subject)
{
    char options[WIRE_OPTIONS];

    wire_open(&f->wire, "n", options);
    nic_start(&f->nic, model, subject, options);
    wire_connect(&f->wire);
}

static bool dgram_take(struct far *f, unsigned length)
{
    uint8_t frame[2048];

    return wire_take(&f->wire, frame, PATIENCE_S * 1000) == (int)length;
}

static void dgram_send(struct far *f, unsigned length)
{
    wire_send(&f->wire, nic_mac, 1, length);
}

static void dgram_close(struct far *f)
{
    wire_close(&f->wire);
}

/* ---- stream ---- */

static void set_patience(int fd)
{
    struct timeval patience = {.tv_sec = PATIENCE_S};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

static void stream_open(struct far *f, enum nic_model model, const struct subject *subject)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = qtest_temp_file(".wire", 0);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    char options[200];

    unlink(path);
    snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", path);
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 1))
        perror("bench: stream");
    snprintf(options, sizeof(options), "-netdev stream,id=n,addr.type=unix,addr.path=%.100s", path);
    nic_start(&f->nic, model, subject, options);
    f->fd = accept(listener, NULL, NULL);
    close(listener);
    set_patience(f->fd);
}

static bool stream_take(struct far *f, unsigned length)
{
    uint8_t frame[4 + TOP_FRAME];

    return recv(f->fd, frame, 4 + length, MSG_WAITALL) == 4 + (int)length;
}

static void stream_send(struct far *f, unsigned length)
{
    uint8_t frame[4 + TOP_FRAME] = {0, 0, length >> 8, length};

    memcpy(frame + 4, nic_mac, sizeof(nic_mac));
    if (send(f->fd, frame, 4 + length, MSG_NOSIGNAL) < 0)
        perror("bench: stream");
}

static void socket_close(struct far *f)
{
    close(f->fd);
}

/* ---- user: datagrams between a socket of the host's and the guest ---- */

static void put16(uint8_t *to, unsigned value)
{
    to[0] = value >> 8;
    to[1] = value;
}

/* Who has the guest's address is known without being asked. */
static void tell_address(struct far *f)
{
    uint8_t frame[60] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    static const uint8_t arp[] = {0, 1, 8, 0, 6, 4, 0, 2}, guest[] = {10, 0, 2, 15}, host[] = {10, 0, 2, 2};

    memcpy(frame + 6, nic_mac, 6);
    put16(frame + 12, 0x0806);
    memcpy(frame + 14, arp, sizeof(arp));
    memcpy(frame + 22, nic_mac, 6);
    memcpy(frame + 28, guest, 4);
    memcpy(frame + 38, host, 4);
    for (int i = 0; i < NIC_RING; i++)
        qtest_memwrite(f->nic.q, f->nic.buffers + i * NIC_BUFFER, frame, sizeof(frame));
    f->nic.chip->send(&f->nic, sizeof(frame));
}

static void put_datagrams(struct far *f, unsigned length, uint16_t port)
{
    uint8_t frame[TOP_FRAME] = {0x52, 0x55, 10, 0, 2, 2}, *ip = frame + 14, *udp = ip + 20;
    uint32_t sum = 0;

    memcpy(frame + 6, nic_mac, 6);
    put16(frame + 12, 0x0800);
    memcpy(ip, (uint8_t[]){0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2}, 20);
    put16(ip + 2, length - 14);
    for (int i = 0; i < 20; i += 2)
        sum += ip[i] << 8 | ip[i + 1];
    put16(ip + 10, ~(sum + (sum >> 16)));
    put16(udp, 1000);
    put16(udp + 2, port);
    put16(udp + 4, length - 34);
    for (int i = 0; i < NIC_RING; i++)
        qtest_memwrite(f->nic.q, f->nic.buffers + i * NIC_BUFFER, frame, length);
}

static bool user_take(struct far *f, unsigned length)
{
    uint8_t data[TOP_FRAME];
    socklen_t size = sizeof(f->guest);

    return recvfrom(f->fd, data, sizeof(data), 0, (struct sockaddr *)&f->guest, &size) ==
           (int)length - UDP_HEADERS;
}

static void user_send(struct far *f, unsigned length)
{
    uint8_t data[TOP_FRAME] = {0};

    sendto(f->fd, data, length - UDP_HEADERS, 0, (struct sockaddr *)&f->guest, sizeof(f->guest));
}

static void user_open(struct far *f, enum nic_model model, const struct subject *subject)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);

    f->fd = socket(AF_INET, SOCK_DGRAM, 0);
    set_patience(f->fd);
    if (bind(f->fd, (struct sockaddr *)&address, size) ||
        getsockname(f->fd, (struct sockaddr *)&address, &size))
        perror("bench: user network");
    nic_start(&f->nic, model, subject, "-netdev user,id=n,ipv6=off");
    tell_address(f);
    put_datagrams(f, TOP_FRAME, ntohs(address.sin_port));
    f->nic.chip->send(&f->nic, TOP_FRAME); /* opens the way back */
    for (unsigned i = 0; i < f->nic.chip->frames; i++)
        user_take(f, TOP_FRAME);
}

/* ---- rows ---- */

enum far_type { DGRAM, STREAM, USER };

static const struct far_kind kinds[] = {[DGRAM] = {dgram_open, dgram_take, dgram_send, dgram_close},
                                        [STREAM] = {stream_open, stream_take, stream_send, socket_close},
                                        [USER] = {user_open, user_take, user_send, socket_close}};

/* True if all came out at the other end. */
static bool send_ring(struct far *f, const struct far_kind *kind, unsigned length)
{
    f->nic.chip->send(&f->nic, length);
    for (unsigned i = 0; i < f->nic.chip->frames; i++)
        if (!kind->take(f, length))
            return false;
    return true;
}

static bool receive_ring(struct far *f, const struct far_kind *kind, unsigned length)
{
    int64_t start = measure_now();

    f->nic.chip->give(&f->nic, length);
    for (unsigned i = 0; i < f->nic.chip->frames; i++)
        kind->send(f, length);
    while (!f->nic.chip->received(&f->nic))
        if (measure_now() - start > PATIENCE_S * 1000000000ll)
            return false;
    return true;
}

/* Of a row: which way, what is told, which card and wire, and bytes of a frame. */
enum { SEND = 0, RECEIVE = 1, RATE = 0, CPU = 2 };
#define NET_ARG(length, model, far, flags) ((length) << 8 | (model) << 4 | (far) << 2 | (flags))

/* Frames for about a third of a second: thousands of them in a second, or microseconds of CPU each costs. */
static double frames(const struct subject *subject, int arg)
{
    bool (*pass)(struct far * f, const struct far_kind *kind, unsigned length) =
        arg & RECEIVE ? receive_ring : send_ring;
    const struct far_kind *kind = &kinds[arg >> 2 & 3];
    unsigned length = arg >> 8, count = 0;
    int64_t cpu, start, elapsed = 0;
    struct far f;
    bool ok;

    kind->open(&f, arg >> 4 & 15, subject);
    ok = pass(&f, kind, length);
    cpu = measure_cpu(qtest_pid(f.nic.q));
    start = measure_now();
    for (; ok && elapsed < 300000000; count += f.nic.chip->frames) {
        ok = pass(&f, kind, length);
        elapsed = measure_now() - start;
    }
    cpu = measure_cpu(qtest_pid(f.nic.q)) - cpu;
    nic_stop(&f.nic);
    kind->close(&f);
    if (!ok)
        return NAN;
    return arg & CPU ? cpu / 1e3 / count : count / (elapsed / 1e6);
}

#define RATE_ROW(name_, length, model, far, way)                                                             \
    {                                                                                                        \
        .name = name_, .unit = "k/s", .more_is_better = true, .runs = 5, .measure = frames,                  \
        .arg = NET_ARG(length, model, far, (way) | RATE)                                                     \
    }
#define CPU_ROW(name_, length, model, far, way)                                                              \
    {                                                                                                        \
        .name = name_, .unit = "us", .runs = 5, .measure = frames,                                           \
        .arg = NET_ARG(length, model, far, (way) | CPU)                                                      \
    }

#define LARGE_ROWS(name, model, far)                                                                         \
    RATE_ROW(name ": frames of 1514 bytes sent", 1514, model, far, SEND),                                    \
        RATE_ROW(name ": frames of 1514 bytes received", 1514, model, far, RECEIVE),                         \
        CPU_ROW(name ": CPU of a frame of 1514 bytes sent", 1514, model, far, SEND),                         \
        CPU_ROW(name ": CPU of a frame of 1514 bytes received", 1514, model, far, RECEIVE)
#define CARD_ROWS(name, model)                                                                               \
    RATE_ROW(name ": frames of 60 bytes sent", 60, model, DGRAM, SEND),                                      \
        RATE_ROW(name ": frames of 60 bytes received", 60, model, DGRAM, RECEIVE),                           \
        LARGE_ROWS(name, model, DGRAM)

static const struct row rows[] = {CARD_ROWS("network", NIC_RTL8139),
                                  CARD_ROWS("network, C+", NIC_RTL8139C_PLUS),
                                  CARD_ROWS("network, e1000", NIC_E1000),
                                  CARD_ROWS("network, pcnet", NIC_PCNET),
                                  LARGE_ROWS("network, e1000, stream", NIC_E1000, STREAM),
                                  LARGE_ROWS("network, e1000, user", NIC_E1000, USER)};

const struct row_table net_rows = {
    "Network cards (RTL8139 first) over the test port, on a datagram socket first", rows,
    sizeof(rows) / sizeof(rows[0])};
