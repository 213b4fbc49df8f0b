/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Viewers in browsers: the page, WebSocket frames of every kind, and those that mean harm. The browser is
 * played by a bare socket.
 */
#include "tests/lib/cmocka.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/qtest.h"
#include "tests/lib/wait.h"

static struct qtest *q;
static int web_port;
static char page[] = "/tmp/vnc-web-XXXXXX";

static void start(const char *options)
{
    unsigned display = 1000 + getpid() % 20000;
    json_t *vnc;

    web_port = 1024 + getpid() % 20000;
    q = qtest_startf("-machine pc -nodefaults -vga std -vnc 127.0.0.1:%u,to=%u,websocket=%d%s", display,
                     display + 100, web_port, options);
    vnc = qtest_qmp_ok(q, "{'execute':'query-vnc'}");
    json_decref(vnc);
}

static void start_page(void)
{
    char options[64];

    snprintf(options, sizeof(options), ",novnc-path=%s", page);
    start(options);
}

static int tear_down(void **state)
{
    qtest_stop(q);
    q = NULL;
    return 0;
}

static int dial(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(web_port)};
    struct timeval limit = {.tv_sec = PATIENCE};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

static void hear(int fd, void *bytes, size_t length)
{
    assert_int_equal(recv(fd, bytes, length, MSG_WAITALL), length);
}

/* All that comes until the other side ends; the length. */
static size_t hear_end(int fd, char *bytes, size_t room)
{
    size_t got = 0;
    ssize_t n;

    while (got < room - 1 && (n = recv(fd, bytes + got, room - 1 - got, 0)) > 0)
        got += n;
    bytes[got] = '\0';
    close(fd);
    return got;
}

static void expect_page(const char *path, const char *status, const char *words)
{
    char text[4096];
    int fd = dial();

    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    hear_end(fd, text, sizeof(text));
    if (!strstr(text, status) || !strstr(text, words))
        fail_msg("%s: not %s, %s: %s", path, status, words, text);
}

/* ---- WebSocket ---- */

/* Asks for a WebSocket; whether it is given. */
static bool upgrade(int fd, const char *origin)
{
    char text[1024], c = 0, before[4] = "";

    snprintf(text, sizeof(text),
             "GET /websockify HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s%s%sUpgrade: websocket\r\nConnection: "
             "Upgrade\r\n"
             "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Protocol: binary\r\n\r\n",
             web_port, origin ? "Origin: " : "", origin ? origin : "", origin ? "\r\n" : "");
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    if (recv(fd, text, 12, MSG_WAITALL) != 12 || memcmp(text, "HTTP/1.1 101", 12) != 0)
        return false;
    while (memcmp(before, "\r\n\r\n", 4) != 0) {
        hear(fd, &c, 1);
        memmove(before, before + 1, 3);
        before[3] = c;
    }
    return true;
}

/* A masked frame. */
static void say_frame(int fd, uint8_t first, const void *bytes, size_t length)
{
    uint8_t frame[2048] = {first, 0x80 | length, 1, 2, 3, 4};

    assert_in_range(length, 0, 125);
    for (size_t i = 0; i < length; i++)
        frame[6 + i] = ((const uint8_t *)bytes)[i] ^ (1 + i % 4);
    assert_int_equal(send(fd, frame, 6 + length, MSG_NOSIGNAL), 6 + length);
}

#define SAY(fd, literal) say_frame(fd, 0x82, literal, sizeof(literal) - 1)

/* Bytes out of the server's binary frames. */
static void hear_frames(int fd, void *bytes, size_t length)
{
    static size_t left; /* of the frame */
    uint8_t *to = bytes, head[10];

    while (length) {
        size_t step;

        if (!left) {
            hear(fd, head, 2);
            assert_int_equal(head[0], 0x82);
            left = head[1];
            if (left == 126) {
                hear(fd, head, 2);
                left = head[0] << 8 | head[1];
            }
            assert_true(left < 65536);
        }
        step = left < length ? left : length;
        hear(fd, to, step);
        to += step;
        length -= step;
        left -= step;
    }
}

static int enter(void)
{
    uint8_t bytes[64];
    int fd = dial();

    assert_true(upgrade(fd, NULL));
    hear_frames(fd, bytes, 12);
    assert_memory_equal(bytes, "RFB 003.008\n", 12);
    SAY(fd, "RFB 003.008\n");
    hear_frames(fd, bytes, 2);
    assert_memory_equal(bytes, "\1\1", 2);
    SAY(fd, "\1");
    hear_frames(fd, bytes, 4);
    SAY(fd, "\1");
    hear_frames(fd, bytes, 24);
    hear_frames(fd, bytes + 24, bytes[23]);
    return fd;
}

static void expect_key(int fd)
{
    SAY(fd, "\4\1\0\0\0\0\0x");
    assert_true(SOON(qtest_inb(q, 0x64) & 1));
    assert_int_equal(qtest_inb(q, 0x60), 0x22);
    SAY(fd, "\4\0\0\0\0\0\0x");
    assert_true(SOON(qtest_inb(q, 0x64) & 1));
    assert_int_equal(qtest_inb(q, 0x60), 0xF0);
    assert_int_equal(qtest_inb(q, 0x60), 0x22);
}

static void hear_screen(int fd)
{
    static uint8_t line[4 * 8192];
    uint8_t header[12];
    unsigned left = 720 * 400;

    SAY(fd, "\3\0\0\0\0\0\x02\xD0\x01\x90");
    while (left) {
        hear_frames(fd, header, 4);
        for (unsigned n = header[2] << 8 | header[3]; n; n--) {
            uint8_t rect[12];
            unsigned w, h;

            hear_frames(fd, rect, 12);
            w = rect[4] << 8 | rect[5];
            h = rect[6] << 8 | rect[7];
            assert_in_range(w * h, 1, left);
            for (unsigned y = 0; y < h; y++)
                hear_frames(fd, line, 4 * w);
            left -= w * h;
        }
    }
}

/* ---- tests ---- */

static void test_page(void **state)
{
    start_page();
    expect_page("/", "302", "location: /vnc.html?autoconnect=true");
    expect_page("/vnc.html?autoconnect=true", "200", "the page");
    expect_page("/app/ui.js", "200", "the script");
    expect_page("/nothing", "404", "");
    expect_page("/../vnc-web-secret", "40", "");
    expect_page("/app/../../vnc-web-secret", "40", "");
    expect_page("/%2e%2e/vnc-web-secret", "40", "");
    expect_page("/app/%2e%2e/%2e%2e/vnc-web-secret", "40", "");
}

static void test_no_page(void **state)
{
    start(",novnc-path=/nowhere");
    expect_page("/", "404", "Debian package novnc");
    expect_key(enter());
}

static void test_session(void **state)
{
    int fd;

    start_page();
    for (int i = 0; i < 3; i++) {
        fd = enter();
        hear_screen(fd);
        hear_screen(fd);
        expect_key(fd);
        close(fd);
    }
}

/* A message in pieces, pings in between, and many in one segment. */
static void test_frames(void **state)
{
    uint8_t bytes[16];
    int fd;

    start_page();
    fd = enter();
    say_frame(fd, 0x02, "\4\1\0", 3);
    say_frame(fd, 0x89, "are you there", 13);
    hear(fd, bytes, 15);
    assert_memory_equal(bytes,
                        "\x8A\x0D"
                        "are you there",
                        15);
    say_frame(fd, 0x00, "\0\0\0\0", 4);
    say_frame(fd, 0x80, "x", 1);
    assert_true(SOON(qtest_inb(q, 0x64) & 1));
    assert_int_equal(qtest_inb(q, 0x60), 0x22);
    for (int i = 0; i < 100; i++)
        say_frame(fd, 0x82, "\5\0\0\1\0\1\5\0\0\2\0\2", 12);
    hear_screen(fd);
    close(fd);
}

/* Without a password, a page of another site reaches nothing. */
static void test_origins(void **state)
{
    char own[64];
    int fd;

    start_page();
    snprintf(own, sizeof(own), "http://127.0.0.1:%d", web_port);
    fd = dial();
    assert_true(upgrade(fd, own));
    close(fd);
    fd = dial();
    assert_false(upgrade(fd, "http://example.org"));
    close(fd);
    fd = dial();
    assert_false(upgrade(fd, "null"));
    close(fd);
}

static void test_hostile(void **state)
{
    static const char *const requests[] = {"\r\n\r\n",
                                           "GET\r\n\r\n",
                                           "GET / HTTP/9.9\r\n\r\n",
                                           "RFB 003.008\n\1\1",
                                           "POST / HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n",
                                           "\x16\x03\x01\x02\x00\x01"};
    uint32_t seed = 5;
    char text[4096];
    int fd;

    start_page();
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        fd = dial();
        send(fd, requests[i], strlen(requests[i]), MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        hear_end(fd, text, sizeof(text));
    }
    for (int i = 0; i < 50; i++) {
        uint8_t frames[300];

        fd = dial();
        if (i % 2)
            assert_true(upgrade(fd, NULL));
        for (size_t k = 0; k < sizeof(frames); k++) {
            seed = seed * 1664525 + 1013904223;
            frames[k] = seed >> 24;
        }
        send(fd, frames, sizeof(frames), MSG_NOSIGNAL);
        close(fd);
    }
    fd = enter();
    send(fd, "\x82\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\1\2\3\4", 14, MSG_NOSIGNAL); /* a frame without end */
    close(fd);
    fd = enter();
    expect_key(fd);
    close(fd);
}

static int make_page(void **state)
{
    char command[512];

    assert_non_null(mkdtemp(page));
    snprintf(command, sizeof(command),
             "cd %s && mkdir app && echo the page >vnc.html && echo the script >app/ui.js && echo no "
             ">../vnc-web-secret",
             page);
    return system(command);
}

static int remove_page(void **state)
{
    char command[512];

    snprintf(command, sizeof(command), "rm -rf %s %s/../vnc-web-secret", page, page);
    return system(command) == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_page, tear_down),
        cmocka_unit_test_teardown(test_no_page, tear_down),
        cmocka_unit_test_teardown(test_session, tear_down),
        cmocka_unit_test_teardown(test_frames, tear_down),
        cmocka_unit_test_teardown(test_origins, tear_down),
        cmocka_unit_test_teardown(test_hostile, tear_down),
    };

    return cmocka_run_group_tests(tests, make_page, remove_page);
}
