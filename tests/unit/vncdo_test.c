/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vncdo against a server that sends its messages in the pieces that real ones do now and then: what it says
 * of a screen must not depend on them.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/cmocka.h"

enum { SIDE = 16, WHITE = 0xFFFFFF, BLACK = 0, EXTENDED_KEYS = -258 };

/* What the server sends: a growing message. */
struct message {
    uint8_t data[4096];
    size_t size;
};

static struct {
    int listener, fd;
    pthread_t thread;
    void (*serve)(void);
} server;

static void add(struct message *m, const void *data, size_t size)
{
    assert_true(m->size + size <= sizeof(m->data));
    memcpy(m->data + m->size, data, size);
    m->size += size;
}

static void add16(struct message *m, uint16_t value)
{
    value = htobe16(value);
    add(m, &value, 2);
}

static void add32(struct message *m, uint32_t value)
{
    value = htobe32(value);
    add(m, &value, 4);
}

/* A FramebufferUpdate of one rectangle, the whole screen; its data is to follow. */
static void add_update(struct message *m, int32_t encoding)
{
    add(m, "\0\0", 2);
    add16(m, 1);
    add32(m, 0);
    add16(m, SIDE);
    add16(m, SIDE);
    add32(m, (uint32_t)encoding);
}

static void add_screen(struct message *m, uint32_t colour)
{
    add_update(m, 0);
    for (unsigned i = 0; i < SIDE * SIDE; i++)
        add(m, &colour, 4);
}

/* One segment: the viewer reads it with one read. */
static bool put(const void *data, size_t size)
{
    return send(server.fd, data, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static bool get(void *data, size_t size)
{
    return recv(server.fd, data, size, MSG_WAITALL) == (ssize_t)size;
}

/* The handshake of a server without a password. */
static bool greet(void)
{
    struct message init = {.size = 0};
    uint8_t answer[12];

    add16(&init, SIDE);
    add16(&init, SIDE);
    add(&init, "\x20\x18\0\1\0\xff\0\xff\0\xff\x10\x8\0\0\0\0", 16);
    add32(&init, 1);
    add(&init, "t", 1);
    return put("RFB 003.008\n", 12) && get(answer, 12) && put("\1\1", 2) && get(answer, 1) &&
           put("\0\0\0\0", 4) && get(answer, 1) && put(init.data, init.size);
}

/* The viewer's next request for an update: 1 for news only, 0 for all, -1 the viewer is gone. */
static int next_request(void)
{
    uint8_t m[20];
    uint16_t count;

    while (get(m, 1)) {
        switch (m[0]) {
        case 0: /* SetPixelFormat */
            if (!get(m, 19))
                return -1;
            break;
        case 2: /* SetEncodings */
            if (!get(m, 3))
                return -1;
            memcpy(&count, m + 1, 2);
            for (unsigned i = 0; i < be16toh(count); i++)
                if (!get(m, 4))
                    return -1;
            break;
        case 3:
            return get(m, 9) ? m[0] : -1;
        default:
            return -1;
        }
    }
    return -1;
}

/* Serves as the test has it, and then a white screen to who asks for all. */
static void *serve(void *opaque)
{
    struct message m;
    int request;

    server.fd = accept(server.listener, NULL, NULL);
    if (server.fd < 0)
        return NULL;
    if (greet())
        server.serve();
    while ((request = next_request()) >= 0) {
        m.size = 0;
        if (request == 0) {
            add_screen(&m, WHITE);
            put(m.data, m.size);
        }
    }
    close(server.fd);
    return NULL;
}

/* Runs vncdo, the tool beside the program under test, against the server; its exit status. */
static int vncdo(void (*server_serve)(void), const char *commands)
{
    const char *program = getenv("HVM_DM"), *slash;
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t length = sizeof(addr);
    char command[512];
    int status;

    program = program ? program : "build/hvm-dm";
    slash = strrchr(program, '/');
    server.serve = server_serve;
    server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(server.listener, (struct sockaddr *)&addr, length), 0);
    assert_int_equal(listen(server.listener, 1), 0);
    assert_int_equal(getsockname(server.listener, (struct sockaddr *)&addr, &length), 0);
    assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
    snprintf(command, sizeof(command), "%.*s/tools/vncdo -s 127.0.0.1:%d -w 0 %s", (int)(slash - program),
             program, ntohs(addr.sin_port), commands);
    status = system(command);
    shutdown(server.listener, SHUT_RDWR); /* if it never came */
    pthread_join(server.thread, NULL);
    close(server.listener);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* An old screen and at once the new one, and then nothing more for who asks for news. */
static void two_updates_in_one_segment(void)
{
    struct message m = {.size = 0};

    for (int asked = 0; asked < 2;) /* by the library as it connects, and by vncdo */
        asked += next_request() == 0;
    add_screen(&m, BLACK);
    add_screen(&m, WHITE);
    put(m.data, m.size);
}

static void test_what_the_library_has_read_already_is_taken(void **state)
{
    assert_int_equal(vncdo(two_updates_in_one_segment, "-t 3 -S 0.1 expect-colour ffffff 256"), 0);
}

/* First the word that extended keys are taken, as the server of hvm-dm does, and the picture later. */
static void word_before_the_picture(void)
{
    struct message m = {.size = 0};

    while (next_request() != 0)
        ;
    add_update(&m, EXTENDED_KEYS);
    put(m.data, m.size);
    m.size = 0;
    while (next_request() != 1) /* the viewer has taken it */
        ;
    usleep(100000); /* long enough for a viewer that takes it for a picture to say so */
    add_screen(&m, WHITE);
    put(m.data, m.size);
}

/* Only news, of which there are none. */
static void nothing_new(void)
{
}

static void test_a_word_of_the_screens_size_is_no_picture(void **state)
{
    char path[] = "/tmp/vncdo-test-XXXXXX", commands[100];
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
    snprintf(commands, sizeof(commands), "-S 0 capture %s", path);
    assert_int_equal(vncdo(word_before_the_picture, commands), 0);
    snprintf(commands, sizeof(commands), "-S 0 -t 1 expect-picture %s", path);
    assert_int_equal(vncdo(nothing_new, commands), 0); /* white as that one's screen */
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_library_has_read_already_is_taken),
        cmocka_unit_test(test_a_word_of_the_screens_size_is_no_picture),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
