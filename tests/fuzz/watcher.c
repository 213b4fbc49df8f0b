/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/watcher.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* RFC 6143 */
enum {
    SET_PIXEL_FORMAT = 0,
    SET_ENCODINGS = 2,
    UPDATE_REQUEST = 3,
    KEY_EVENT = 4,
    POINTER_EVENT = 5,
    CUT_TEXT = 6
};
enum { SECURITY_NONE = 1 };

static bool send_all(int fd, const void *data, size_t size)
{
    return send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static bool read_all(int fd, void *data, size_t size)
{
    return recv(fd, data, size, MSG_WAITALL) == (ssize_t)size;
}

/* Takes whatever is there, for at most that long. */
static bool drain(int fd, int ms)
{
    static char sink[1 << 16];
    struct pollfd p = {.fd = fd, .events = POLLIN};

    while (poll(&p, 1, ms) > 0) {
        if (recv(fd, sink, sizeof(sink), 0) <= 0)
            return false;
        ms = 0;
    }
    return true;
}

static int connect_to(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool handshake(int fd)
{
    char bytes[256];
    uint8_t count;
    uint32_t result, name;

    if (!read_all(fd, bytes, 12) || !send_all(fd, "RFB 003.008\n", 12) || !read_all(fd, &count, 1) ||
        !read_all(fd, bytes, count) || !send_all(fd, (uint8_t[]){SECURITY_NONE}, 1) ||
        !read_all(fd, &result, 4) || result)
        return false;
    /* shared, or alone */
    if (!send_all(fd, (uint8_t[]){rand() % 8 != 0}, 1) || !read_all(fd, bytes, 20) || !read_all(fd, &name, 4))
        return false;
    return ntohl(name) < sizeof(bytes) && read_all(fd, bytes, ntohl(name));
}

static bool send_pixel_format(int fd)
{
    static const uint8_t depths[] = {8, 16, 32};
    uint8_t bits = depths[rand() % 3];
    uint8_t m[20] = {SET_PIXEL_FORMAT,
                     0,
                     0,
                     0,
                     bits,
                     bits == 32 ? 24 : bits,
                     rand() & 1,
                     1,
                     0,
                     255,
                     0,
                     255,
                     0,
                     255,
                     16,
                     8,
                     0};

    if (bits == 16)
        memcpy(m + 8, (uint8_t[]){0, 31, 0, 63, 0, 31, 11, 5, 0}, 9);
    else if (bits == 8)
        memcpy(m + 8, (uint8_t[]){0, 7, 0, 7, 0, 3, 0, 3, 6}, 9);
    if (rand() % 4 == 0)
        for (unsigned i = 4; i < 17; i++)
            m[i] = rand() % 3 ? m[i] : rand();
    return send_all(fd, m, sizeof(m));
}

static bool send_encodings(int fd)
{
    static const int32_t known[] = {0,    1,    2,    4,    5,    6,    7,    8,   16,   -223,
                                    -224, -232, -239, -240, -258, -308, -307, -32, -256, -250};
    uint8_t head[4] = {SET_ENCODINGS};
    int32_t list[40];
    unsigned count = rand() % 40;

    for (unsigned i = 0; i < count; i++)
        list[i] = htonl(rand() % 8 ? known[rand() % (sizeof(known) / sizeof(known[0]))] : rand());
    head[3] = count;
    return send_all(fd, head, 4) && send_all(fd, list, 4 * count);
}

static bool ask(int fd, bool incremental)
{
    uint16_t m[5] = {htons(UPDATE_REQUEST << 8 | incremental), 0, 0, htons(4096), htons(4096)};

    if (rand() % 8 == 0)
        for (unsigned i = 1; i < 5; i++)
            m[i] = rand();
    return send_all(fd, m, sizeof(m));
}

static bool send_input(int fd)
{
    uint8_t key[8] = {KEY_EVENT, rand() & 1, 0, 0, 0, 0, rand() % 2 ? 0xFF : 0, rand()};
    uint8_t pointer[6] = {POINTER_EVENT, rand(), rand() & 7, rand(), rand() & 7, rand()};

    return rand() & 1 ? send_all(fd, key, 8) : send_all(fd, pointer, 6);
}

static bool send_rubbish(int fd)
{
    uint8_t m[64];

    for (unsigned i = 0; i < sizeof(m); i++)
        m[i] = rand();
    switch (rand() % 3) {
    case 0: /* a clipboard that claims to be large */
        memcpy(m, (uint8_t[]){CUT_TEXT, 0, 0, 0, rand() % 2 ? 0xFF : 0, rand(), rand(), rand()}, 8);
        break;
    case 1: /* QEMU's messages, extended keys among them */
        m[0] = 255;
        m[1] = rand() % 3;
        break;
    default:
        m[0] = rand() % 16;
    }
    return send_all(fd, m, 1 + rand() % sizeof(m));
}

static void one_connection(int fd)
{
    bool rude = rand() % 3 == 0;
    unsigned messages = rand() % 400;

    if (rand() % 16 == 0) {
        send_rubbish(fd);
        return;
    }
    if (!handshake(fd) || !send_pixel_format(fd) || !send_encodings(fd) || !ask(fd, false))
        return;
    if (rand() % 8 == 0) {
        /* asks and does not read */
        for (unsigned i = 0; i < 50; i++)
            ask(fd, false);
        usleep(300000);
        return;
    }
    for (unsigned i = 0; i < messages && drain(fd, rand() % 20); i++) {
        bool sent = rand() % 16 == 0   ? send_pixel_format(fd)
                    : rand() % 16 == 0 ? send_encodings(fd)
                    : rand() % 4 == 0  ? send_input(fd)
                                       : ask(fd, rand() % 8 != 0);
        if (rude && rand() % 64 == 0)
            sent = sent && send_rubbish(fd);
        if (!sent)
            return;
    }
}

static void __attribute__((noreturn)) watch(const char *socket_path, uint64_t seed)
{
    struct timeval limit = {.tv_sec = 5};

    srand(seed);
    for (;;) {
        int fd = connect_to(socket_path);
        if (fd < 0) {
            usleep(20000);
            continue;
        }
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
        one_connection(fd);
        close(fd);
    }
}

pid_t watcher_start(const char *socket_path, uint64_t seed)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        watch(socket_path, seed);
    }
    return pid;
}

void watcher_stop(pid_t pid)
{
    if (pid <= 0)
        return;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}
