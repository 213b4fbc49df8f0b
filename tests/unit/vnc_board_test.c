/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The whole program as a viewer sees it: what the guest draws is on the viewer's screen and equals a screen
 * dump, keys and mouse come out of the keyboard controller, passwords by QMP, a quiet program sleeps.
 */
#include "tests/lib/cmocka.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/lib/picture.h"
#include "tests/lib/qpci.h"
#include "tests/lib/qtest.h"
#include "tests/lib/viewer.h"
#include "tests/lib/wait.h"

enum { WIDTH = 800, HEIGHT = 600 };

static struct qtest *q;
static void start(const char *options)
{
    unsigned display = 1000 + getpid() % 20000;

    q = qtest_startf("-machine pc -nodefaults -vga std -vnc 127.0.0.1:%u,to=%u%s", display, display + 100,
                     options);
}

static int tear_down(void **state)
{
    qtest_stop(q);
    q = NULL;
    return 0;
}

static int port(void)
{
    json_t *vnc = qtest_qmp_ok(q, "{'execute':'query-vnc'}");
    int port = atoi(json_string_value(json_object_get(vnc, "service")));

    json_decref(vnc);
    return port;
}

static size_t viewers(void)
{
    json_t *vnc = qtest_qmp_ok(q, "{'execute':'query-vnc'}");
    size_t count = json_array_size(json_object_get(vnc, "clients"));

    json_decref(vnc);
    return count;
}

static void wait_for_viewers(size_t count)
{
    assert_true(SOON(viewers() == count));
}

static rfbClient *connect_viewer(void)
{
    return viewer_connect(port(), "tight zrle raw", false);
}

static void drop_viewer(rfbClient *client)
{
    viewer_drop(client);
    wait_for_viewers(0);
}

/* Handles what the server sends; false when nothing comes. */
static bool listen_once(rfbClient *client)
{
    int n = viewer_wait(client, PATIENCE * 1000000);

    return n > 0 && HandleRFBServerMessage(client);
}

static bool same_as_dump(const rfbClient *client)
{
    struct picture dump = picture_take(q);
    bool same = client->width == dump.width && client->height == dump.height;

    for (int i = 0; same && i < dump.width * dump.height; i++)
        same = (((uint32_t *)client->frameBuffer)[i] & 0xFFFFFF) ==
               picture_pixel(&dump, i % dump.width, i / dump.width);
    picture_free(&dump);
    return same;
}

static void expect_dump(rfbClient *client)
{
    while (!same_as_dump(client))
        assert_true(listen_once(client));
}

/* A mode of the Bochs VBE registers; returns the frame buffer's address. */
static uint64_t set_mode(struct qpci *vga, unsigned width, unsigned height)
{
    const uint16_t registers[][2] = {{4, 0}, {1, width}, {2, height}, {3, 32}, {4, 0x41}};

    for (unsigned i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
        qtest_outw(q, 0x1CE, registers[i][0]);
        qtest_outw(q, 0x1CF, registers[i][1]);
    }
    qtest_inb(q, 0x3DA);
    qtest_outb(q, 0x3C0, 0x20);
    return vga->bars[0];
}

static void draw(uint64_t frame_buffer, unsigned width, unsigned height, uint32_t seed)
{
    uint32_t *pixels = malloc((size_t)width * height * 4);

    for (unsigned i = 0; i < width * height; i++) {
        seed = seed * 1664525 + 1013904223;
        pixels[i] = i / 7000 % 2 ? seed >> 8 : i;
    }
    qtest_memwrite(q, frame_buffer, pixels, (size_t)width * height * 4);
    free(pixels);
}

static void test_picture_is_the_screendump(void **state)
{
    struct qpci vga;
    rfbClient *client;

    start("");
    vga = qpci_get(q, 0x1234, 0x1111);
    qpci_map(&vga, 0);
    qpci_enable(&vga);
    client = connect_viewer();
    assert_non_null(client);
    expect_dump(client);
    draw(set_mode(&vga, WIDTH, HEIGHT), WIDTH, HEIGHT, 1);
    while (client->width != WIDTH)
        assert_true(listen_once(client));
    expect_dump(client);
    for (int i = 0; i < 5; i++) {
        draw(vga.bars[0], WIDTH, HEIGHT, i + 2);
        expect_dump(client);
    }
    draw(set_mode(&vga, 640, 480), 640, 480, 9);
    while (client->width != 640)
        assert_true(listen_once(client));
    expect_dump(client);
    drop_viewer(client);
    /* Nobody looked; the next viewer sees what is now. */
    draw(vga.bars[0], 640, 480, 77);
    client = connect_viewer();
    assert_non_null(client);
    expect_dump(client);
    drop_viewer(client);
}

/* The next byte of the controller's output buffer, once it comes. */
static uint8_t next_byte(uint8_t aux)
{
    assert_true(SOON(qtest_inb(q, 0x64) & 1));
    assert_int_equal(qtest_inb(q, 0x64) & 0x20, aux);
    return qtest_inb(q, 0x60);
}

static void test_keys_reach_the_controller(void **state)
{
    rfbClient *client;

    start("");
    client = connect_viewer();
    assert_non_null(client);
    qtest_outb(q, 0x64, 0x60);
    qtest_outb(q, 0x60, 0x47);
    SendKeyEvent(client, 'a', TRUE);
    assert_int_equal(next_byte(0), 0x1E);
    SendKeyEvent(client, 'a', FALSE);
    assert_int_equal(next_byte(0), 0x9E);
    SendKeyEvent(client, XK_Up, TRUE);
    assert_int_equal(next_byte(0), 0xE0);
    assert_int_equal(next_byte(0), 0x48);
    SendKeyEvent(client, XK_Control_L, TRUE);
    assert_int_equal(next_byte(0), 0x1D);
    drop_viewer(client); /* what is held goes up with the viewer */
    assert_int_equal(next_byte(0), 0x9D);
    assert_int_equal(next_byte(0), 0xE0);
    assert_int_equal(next_byte(0), 0xC8);
}

static void test_pointer_reaches_the_mouse(void **state)
{
    rfbClient *client;

    start("");
    client = connect_viewer();
    assert_non_null(client);
    qtest_outb(q, 0x64, 0xD4);
    qtest_outb(q, 0x60, 0xF4);
    assert_int_equal(next_byte(0x20), 0xFA);
    SendPointerEvent(client, 100, 100, 0);
    SendPointerEvent(client, 110, 95, 0);
    assert_int_equal(next_byte(0x20), 0x08);
    assert_int_equal(next_byte(0x20), 10);
    assert_int_equal(next_byte(0x20), 5);
    SendPointerEvent(client, 110, 95, 1);
    assert_int_equal(next_byte(0x20), 0x09);
    assert_int_equal(next_byte(0x20), 0);
    assert_int_equal(next_byte(0x20), 0);
    drop_viewer(client);
    assert_int_equal(next_byte(0x20), 0x08);
}

static void set_password(const char *password)
{
    json_decref(qtest_qmp_ok(q, "{'execute':'change-vnc-password','arguments':{'password':'%s'}}", password));
}

static void expect_qmp_error(const char *command)
{
    json_t *answer = qtest_qmp(q, "%s", command);

    assert_non_null(json_object_get(answer, "error"));
    json_decref(answer);
}

static void test_password_by_qmp(void **state)
{
    rfbClient *client;

    start(",password=on");
    viewer_password = "secret";
    assert_null(connect_viewer());
    set_password("secret");
    client = connect_viewer();
    assert_non_null(client);
    expect_dump(client);
    wait_for_viewers(1);
    set_password("other");
    assert_null(connect_viewer());
    viewer_password = "other";
    expect_qmp_error(
        "{'execute':'set_password','arguments':{'protocol':'vnc','password':'x','connected':'fail'}}");
    json_decref(qtest_qmp_ok(q, "{'execute':'set_password','arguments':{'protocol':'vnc','password':'other','"
                                "connected':'disconnect'}}"));
    wait_for_viewers(0);
    viewer_drop(client);
    json_decref(qtest_qmp_ok(q, "{'execute':'expire_password','arguments':{'protocol':'vnc','time':'now'}}"));
    assert_null(connect_viewer());
    json_decref(
        qtest_qmp_ok(q, "{'execute':'expire_password','arguments':{'protocol':'vnc','time':'+100'}}"));
    client = connect_viewer();
    assert_non_null(client);
    drop_viewer(client);
}

/* A bare connection; what is sent back as the answer is the challenge. The fourth byte of the result. */
static uint8_t answer_with_challenge(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port())};
    struct timeval limit = {.tv_sec = PATIENCE};
    uint8_t bytes[30];
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    assert_int_equal(send(fd, "RFB 003.008\n\2", 13, 0), 13);
    assert_int_equal(recv(fd, bytes, 30, MSG_WAITALL), 30); /* version, one type, the challenge */
    assert_int_equal(send(fd, bytes + 14, 16, 0), 16);
    assert_int_equal(recv(fd, bytes, 4, MSG_WAITALL), 4);
    close(fd);
    return bytes[3];
}

/* Where the policy of the host forbids DES to its libraries: an answer that nobody computed lets nobody in.
 */
static void test_forbidden_cipher_lets_nobody_in(void **state)
{
    setenv("LIBGCRYPT_FORCE_FIPS_MODE", "1", 1);
    start(",password=on");
    unsetenv("LIBGCRYPT_FORCE_FIPS_MODE");
    set_password("secret");
    assert_int_equal(answer_with_challenge(), 1);
}

/* What all threads of the program slept and were woken. */
static unsigned wakeups(void)
{
    char command[100], line[100];
    unsigned sum = 0, n;
    FILE *pipe;

    snprintf(command, sizeof(command), "cat /proc/%d/task/*/status", qtest_pid(q));
    pipe = popen(command, "r");
    while (fgets(line, sizeof(line), pipe))
        if (sscanf(line, "voluntary_ctxt_switches: %u", &n) == 1)
            sum += n;
    pclose(pipe);
    return sum;
}

static void test_quiet_program_sleeps(void **state)
{
    rfbClient *client;
    unsigned before;

    start("");
    client = connect_viewer();
    assert_non_null(client);
    expect_dump(client);
    while (viewer_wait(client, 1000000) > 0)
        HandleRFBServerMessage(client);
    before = wakeups();
    sleep(2);
    assert_int_equal(wakeups(), before);
    drop_viewer(client);
}

/* The processor's time that the program took, in hundredths of a second. */
static unsigned ticks(void)
{
    char path[64], line[512];
    unsigned user = 0, system = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", qtest_pid(q));
    file = fopen(path, "r");
    assert_non_null(fgets(line, sizeof(line), file));
    fclose(file);
    assert_int_equal(
        sscanf(strrchr(line, ')'), ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %u %u", &user, &system), 2);
    return user + system;
}

/* The program may have no more descriptors than it has; or as many as it likes. */
static void limit_descriptors(bool limited)
{
    struct rlimit limit;
    char command[64];
    bool used[1024] = {0};
    unsigned free_fd = 0, n;
    FILE *pipe;

    snprintf(command, sizeof(command), "ls /proc/%d/fd", qtest_pid(q));
    pipe = popen(command, "r");
    while (fscanf(pipe, "%u", &n) == 1)
        used[n] = true;
    pclose(pipe);
    while (used[free_fd])
        free_fd++;
    assert_int_equal(prlimit(qtest_pid(q), RLIMIT_NOFILE, NULL, &limit), 0);
    limit.rlim_cur = limited ? free_fd : limit.rlim_max;
    assert_int_equal(prlimit(qtest_pid(q), RLIMIT_NOFILE, &limit, NULL), 0);
}

static int dial_unix(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = PATIENCE};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strcpy(addr.sun_path, path);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

/* Who connects while there are no descriptors waits, and costs next to nothing, until there are some. */
static void test_without_descriptors_viewers_and_clients_wait(void **state)
{
    char directory[] = "/tmp/vnc-board-XXXXXX", vnc[64], serial[64], byte;
    unsigned before;
    int viewer, client;

    assert_non_null(mkdtemp(directory));
    snprintf(vnc, sizeof(vnc), "%s/vnc", directory);
    snprintf(serial, sizeof(serial), "%s/serial", directory);
    q = qtest_startf("-machine pc -nodefaults -vga std -vnc unix:%s -serial unix:%s,server=on,wait=off", vnc,
                     serial);
    limit_descriptors(true);
    viewer = dial_unix(vnc);
    client = dial_unix(serial);
    usleep(100000);
    before = ticks();
    usleep(500000);
    assert_in_range(ticks() - before, 0, 5);
    limit_descriptors(false);
    assert_int_equal(recv(viewer, &byte, 1, 0), 1);
    assert_int_equal(byte, 'R');
    assert_int_equal(send(client, "x", 1, 0), 1);
    assert_true(SOON(qtest_inb(q, 0x3FD) & 1));
    assert_int_equal(qtest_inb(q, 0x3F8), 'x');
    close(viewer);
    close(client);
    qtest_stop(q);
    q = NULL;
    unlink(vnc);
    unlink(serial);
    assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_picture_is_the_screendump, tear_down),
        cmocka_unit_test_teardown(test_keys_reach_the_controller, tear_down),
        cmocka_unit_test_teardown(test_pointer_reaches_the_mouse, tear_down),
        cmocka_unit_test_teardown(test_password_by_qmp, tear_down),
        cmocka_unit_test_teardown(test_forbidden_cipher_lets_nobody_in, tear_down),
        cmocka_unit_test_teardown(test_quiet_program_sleeps, tear_down),
        cmocka_unit_test_teardown(test_without_descriptors_viewers_and_clients_wait, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
