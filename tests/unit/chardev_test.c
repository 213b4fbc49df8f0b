/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Character devices by themselves, on a loop of their own. */
#include "char/chardev.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/lib/cmocka.h"
#include "tests/lib/wait.h"

struct fixture {
    pthread_mutex_t lock;
    struct clock clock;
    struct loop loop;
    struct chardev *chr;
    char path[64];
    char got[65536]; /* what the user received */
    size_t length, room;
    unsigned opened, closed, left;
    char second_got[256]; /* with mux */
    size_t second_length;
    unsigned second_opened;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    pthread_mutex_init(&f->lock, NULL);
    pthread_mutex_lock(&f->lock);
    clock_init(&f->clock, CLOCK_STOPPED);
    assert_true(loop_init(&f->loop, &f->lock, &f->clock));
    snprintf(f->path, sizeof(f->path), "/tmp/chardev-test-%d", (int)getpid());
    f->room = sizeof(f->got);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    if (f->chr)
        chardev_close(f->chr);
    unlink(f->path);
    loop_destroy(&f->loop);
    clock_destroy(&f->clock);
    pthread_mutex_unlock(&f->lock);
    free(f);
    return 0;
}

static size_t room(void *opaque)
{
    struct fixture *f = opaque;

    return f->room;
}

static void receive(void *opaque, const uint8_t *data, size_t length)
{
    struct fixture *f = opaque;

    assert_true(length <= f->room);
    memcpy(f->got + f->length, data, length);
    f->length += length;
}

static void opened(void *opaque)
{
    ((struct fixture *)opaque)->opened++;
}

static void closed(void *opaque)
{
    ((struct fixture *)opaque)->closed++;
}

static void leave(void *opaque)
{
    ((struct fixture *)opaque)->left++;
}

static void open_line(struct fixture *f, const struct chardev_options *options)
{
    struct error err = {.text = ""};
    struct chardev_user user = {
        .space = room, .receive = receive, .opened = opened, .closed = closed, .leave = leave, .opaque = f};

    f->chr = chardev_open(&f->loop, "line", options, &err);
    if (!f->chr)
        fail_msg("%s", err.text);
    assert_true(chardev_set_user(f->chr, &user));
}

static void open_server(struct fixture *f)
{
    open_line(f, &(struct chardev_options){.backend = "socket", .path = f->path, .fd = -1, .server = true});
}

static void settle(struct fixture *f)
{
    for (int i = 0; i < 20; i++)
        loop_once(&f->loop, false);
}

/* A terminal's bytes come by way of a kernel thread: soon. */
static void settle_until(struct fixture *f, size_t length)
{
    assert_true(SOON((settle(f), f->length >= length)));
    assert_int_equal(f->length, length);
}

static int dial(struct fixture *f)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", f->path);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    settle(f);
    return fd;
}

static void say(struct fixture *f, const char *text)
{
    chardev_write(f->chr, (const uint8_t *)text, strlen(text));
    settle(f);
}

static void assert_heard(int fd, const char *text)
{
    char got[256] = "";

    assert_int_equal(read(fd, got, sizeof(got) - 1), strlen(text));
    assert_string_equal(got, text);
}

static void assert_named(struct fixture *f, const char *prefix, const char *rest)
{
    char name[256], want[256];

    snprintf(want, sizeof(want), "%s%s", prefix, rest);
    assert_string_equal(chardev_filename(f->chr, name, sizeof(name)), want);
}

/* ---- sockets ---- */

static void a_server_serves_one_client_after_the_other(void **state)
{
    struct fixture *f = *state;
    char name[128];

    open_server(f);
    snprintf(name, sizeof(name), "%s,server=on", f->path);
    assert_named(f, "disconnected:unix:", name);
    say(f, "lost");
    for (unsigned i = 1; i <= 50; i++) {
        int fd = dial(f);

        assert_int_equal(f->opened, i);
        assert_true(chardev_connected(f->chr));
        assert_named(f, "unix:", name);
        f->length = 0;
        assert_int_equal(write(fd, "ping", 4), 4);
        settle(f);
        assert_int_equal(f->length, 4);
        say(f, "pong");
        assert_heard(fd, "pong");
        close(fd);
        settle(f);
        assert_int_equal(f->closed, i);
    }
}

static void a_second_client_waits_for_its_turn(void **state)
{
    struct fixture *f = *state;
    int first, second;

    open_server(f);
    first = dial(f);
    second = dial(f);
    assert_int_equal(f->opened, 1);
    close(first);
    settle(f);
    assert_int_equal(f->opened, 2);
    say(f, "x");
    assert_heard(second, "x");
    chardev_disconnect(f->chr);
    settle(f);
    assert_int_equal(f->closed, 2);
    assert_heard(second, ""); /* end of file */
    close(second);
}

static void input_waits_for_room(void **state)
{
    struct fixture *f = *state;
    int fd;

    open_server(f);
    fd = dial(f);
    f->room = 0;
    chardev_accept_input(f->chr);
    assert_int_equal(write(fd, "abcdef", 6), 6);
    settle(f);
    assert_int_equal(f->length, 0);
    f->room = 2;
    chardev_accept_input(f->chr);
    loop_once(&f->loop, false);
    assert_int_equal(f->length, 2);
    f->room = 0;
    chardev_accept_input(f->chr);
    close(fd); /* a hang-up while nobody listens must not keep the loop busy, nor eat the input */
    settle(f);
    assert_int_equal(f->closed, 0);
    f->room = 100;
    chardev_accept_input(f->chr);
    settle(f);
    assert_int_equal(f->length, 6);
    assert_memory_equal(f->got, "abcdef", 6);
    assert_int_equal(f->closed, 1);
}

static void output_waits_for_the_reader_up_to_a_bound(void **state)
{
    struct fixture *f = *state;
    static uint8_t block[65536], got[65536];
    size_t total = 0, pending;
    ssize_t n;
    int fd;

    open_server(f);
    fd = dial(f);
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = i * 7;
    for (int i = 0; i < 1000; i++)
        chardev_write(f->chr, block, sizeof(block));
    pending = chardev_pending(f->chr);
    assert_in_range(pending, 512 << 10, 1 << 20);
    for (int idle = 0; idle < 3;) {
        n = read(fd, got, sizeof(got));
        idle = n > 0 ? 0 : idle + 1;
        for (ssize_t i = 0; i < n; i++)
            if (got[i] != (uint8_t)((total + i) % sizeof(block) * 7))
                fail_msg("byte %zu is not the one that was written", total + i);
        total += n > 0 ? n : 0;
        settle(f);
    }
    assert_int_equal(chardev_pending(f->chr), 0);
    assert_int_equal(total % sizeof(block), 0); /* a write is taken whole or not at all */
    close(fd);
}

static void a_reader_that_goes_takes_its_output_with_it(void **state)
{
    struct fixture *f = *state;
    static uint8_t block[1 << 20];
    int fd;

    open_server(f);
    fd = dial(f);
    chardev_write(f->chr, block, sizeof(block));
    assert_int_not_equal(chardev_pending(f->chr), 0);
    close(fd);
    settle(f);
    assert_int_equal(chardev_pending(f->chr), 0);
    fd = dial(f);
    say(f, "new");
    assert_heard(fd, "new");
    close(fd);
}

static void passed_descriptors_are_kept_in_order_and_bounded(void **state)
{
    struct fixture *f = *state;
    int fd, passed[10];

    open_server(f);
    fd = dial(f);
    for (int i = 0; i < 10; i++) {
        char space[CMSG_SPACE(sizeof(int))] = {0};
        struct iovec iov = {.iov_base = "x", .iov_len = 1};
        struct msghdr msg = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

        passed[i] = memfd_create("passed", 0);
        assert_int_equal(ftruncate(passed[i], i + 1), 0);
        *c = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
        memcpy(CMSG_DATA(c), &passed[i], sizeof(int));
        assert_int_equal(sendmsg(fd, &msg, 0), 1);
        close(passed[i]);
        settle(f);
    }
    for (int i = 0; i < 8; i++) {
        struct stat st;
        int got = chardev_take_fd(f->chr);

        assert_true(got >= 0 && fstat(got, &st) == 0);
        assert_int_equal(st.st_size, i + 1);
        assert_true(fcntl(got, F_GETFD) & FD_CLOEXEC);
        close(got);
    }
    assert_int_equal(chardev_take_fd(f->chr), -1);
    close(fd);
}

static void a_client_connects_out_and_is_told_of_the_end(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int server = socket(AF_UNIX, SOCK_STREAM, 0), fd;

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", f->path);
    assert_int_equal(bind(server, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(server, 1), 0);
    open_line(f, &(struct chardev_options){.backend = "socket", .path = f->path, .fd = -1});
    assert_int_equal(f->opened, 1);
    fd = accept(server, NULL, NULL);
    say(f, "hello");
    assert_heard(fd, "hello");
    close(fd);
    settle(f);
    assert_int_equal(f->closed, 1);
    assert_false(chardev_connected(f->chr));
    close(server);
}

static void an_inherited_listening_socket(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct error err = {.text = ""};
    int server = socket(AF_UNIX, SOCK_STREAM, 0), fd;
    struct chardev_options options = {.backend = "socket", .fd = server, .server = true};

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", f->path);
    assert_int_equal(bind(server, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_null(chardev_open(&f->loop, "x", &options, &err)); /* does not listen */
    assert_int_equal(listen(server, 1), 0);
    open_line(f, &options);
    fd = dial(f);
    say(f, "hi");
    assert_heard(fd, "hi");
    close(fd);
    chardev_close(f->chr);
    f->chr = NULL;
    assert_int_equal(access(f->path, F_OK), 0); /* it is its maker's to remove */
}

static void tcp_takes_any_port_and_says_which(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char name[128];
    unsigned port;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    open_line(f, &(struct chardev_options){.backend = "socket",
                                           .host = "127.0.0.1",
                                           .port = "0",
                                           .fd = -1,
                                           .server = true,
                                           .nodelay = true});
    chardev_filename(f->chr, name, sizeof(name));
    assert_int_equal(sscanf(name, "disconnected:tcp:127.0.0.1:%u,server=on", &port), 1);
    addr.sin_port = htons(port);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    settle(f);
    say(f, "tcp");
    assert_heard(fd, "tcp");
    close(fd);
}

/* ---- terminals and files ---- */

static void a_pty_is_raw_and_survives_its_users(void **state)
{
    struct fixture *f = *state;
    char name[128];

    open_line(f, &(struct chardev_options){.backend = "pty", .fd = -1});
    chardev_filename(f->chr, name, sizeof(name));
    assert_memory_equal(name, "pty:/dev/pts/", 13);
    for (int i = 0; i < 3; i++) {
        int fd = open(name + 4, O_RDWR | O_NOCTTY);

        assert_true(fd >= 0);
        f->length = 0;
        assert_int_equal(write(fd, "a\r\n\x03", 4), 4);
        settle_until(f, 4);
        assert_memory_equal(f->got, "a\r\n\x03", 4);
        say(f, "b\r\n");
        assert_heard(fd, "b\r\n");
        close(fd);
        settle(f);
    }
    assert_int_equal(f->closed, 0);
}

/* Nobody reads for a long time: what comes last is there, and memory is not used up. */
static void a_pty_keeps_the_newest_output(void **state)
{
    struct fixture *f = *state;
    char name[128], text[64], last[16] = "";
    ssize_t n;
    int fd;

    open_line(f, &(struct chardev_options){.backend = "pty", .fd = -1});
    for (int i = 0; i < 100000; i++) {
        snprintf(text, sizeof(text), "%09d\n", i);
        chardev_write(f->chr, (const uint8_t *)text, 10);
    }
    assert_in_range(chardev_pending(f->chr), 1, 64 << 10);
    chardev_filename(f->chr, name, sizeof(name));
    fd = open(name + 4, O_RDWR | O_NOCTTY | O_NONBLOCK);
    for (int idle = 0; idle < 100; idle++) {
        while ((n = read(fd, text, 10)) > 0) {
            idle = 0;
            for (ssize_t i = 0; i < n; i++) {
                memmove(last, last + 1, 9);
                last[9] = text[i];
            }
            settle(f);
        }
        usleep(1000);
        settle(f);
    }
    assert_memory_equal(last, "000099999\n", 10);
    close(fd);
}

static void a_file_takes_all_output(void **state)
{
    struct fixture *f = *state;
    int fd;

    open_line(f, &(struct chardev_options){.backend = "file", .path = f->path, .fd = -1});
    say(f, "one ");
    say(f, "two");
    fd = open(f->path, O_RDONLY);
    assert_heard(fd, "one two");
    close(fd);
    chardev_close(f->chr);
    open_line(f, &(struct chardev_options){.backend = "file", .path = f->path, .fd = -1, .append = true});
    say(f, " three");
    fd = open(f->path, O_RDONLY);
    assert_heard(fd, "one two three");
    close(fd);
}

static void null_swallows(void **state)
{
    struct fixture *f = *state;

    open_line(f, &(struct chardev_options){.backend = "null", .fd = -1});
    say(f, "nothing");
    assert_int_equal(chardev_pending(f->chr), 0);
    assert_named(f, "null", "");
    assert_true(chardev_connected(f->chr));
}

/* ---- one line, two users ---- */

static void receive_second(void *opaque, const uint8_t *data, size_t length)
{
    struct fixture *f = opaque;

    memcpy(f->second_got + f->second_length, data, length);
    f->second_length += length;
}

static void opened_second(void *opaque)
{
    ((struct fixture *)opaque)->second_opened++;
}

static void type(struct fixture *f, int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    settle(f);
}

static void ctrl_a_switches_between_two_users(void **state)
{
    struct fixture *f = *state;
    struct chardev_user second = {
        .space = room, .receive = receive_second, .opened = opened_second, .opaque = f};
    int fd;

    open_line(f, &(struct chardev_options){
                     .backend = "socket", .path = f->path, .fd = -1, .server = true, .mux = true});
    assert_true(chardev_free(f->chr));
    assert_true(chardev_set_user(f->chr, &second));
    assert_false(chardev_set_user(f->chr, &second));
    fd = dial(f);
    assert_int_equal(f->opened, 1);
    assert_int_equal(f->second_opened, 0);
    type(f, fd,
         "ab\x01"
         "ccd\x01\x01\x01");
    type(f, fd, "cef\x01\x01");
    assert_string_equal(f->got, "abef\x01");
    assert_string_equal(f->second_got, "cd\x01");
    assert_int_equal(f->second_opened, 1);
    assert_int_equal(f->left, 0);
    type(f, fd, "\x01x");
    assert_int_equal(f->left, 1);
    close(fd);
}

static void without_mux_a_line_has_one_user_and_ctrl_a_is_a_byte(void **state)
{
    struct fixture *f = *state;
    struct chardev_user second = {.space = room, .receive = receive_second, .opaque = f};
    int fd;

    open_server(f);
    assert_false(chardev_set_user(f->chr, &second));
    fd = dial(f);
    type(f, fd, "\x01x");
    assert_string_equal(f->got, "\x01x");
    assert_true(chardev_set_user(f->chr, NULL));
    assert_false(chardev_in_use(f->chr));
    type(f, fd, "y");
    assert_true(chardev_set_user(f->chr, &second));
    settle(f);
    assert_string_equal(f->second_got, "y");
    close(fd);
}

/* ---- mistakes ---- */

static void what_cannot_be_opened_is_named(void **state)
{
    static const struct chardev_options wrong[] = {
        {.backend = "socket", .path = "/no/such/dir/sock", .fd = -1, .server = true},
        {.backend = "socket", .path = "/no/such/dir/sock", .fd = -1},
        {.backend = "file", .path = "/no/such/dir/file", .fd = -1},
        {.backend = "serial", .path = "/no/such/dir/tty", .fd = -1},
    };
    static char long_path[200];
    struct chardev_options options = {.backend = "socket", .path = long_path, .fd = -1, .server = true};
    struct fixture *f = *state;
    struct error err;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        err.text[0] = '\0';
        assert_null(chardev_open(&f->loop, "x", &wrong[i], &err));
        assert_non_null(strstr(err.text, wrong[i].path));
    }
    memset(long_path, 'x', sizeof(long_path) - 1);
    assert_null(chardev_open(&f->loop, "x", &options, &err));
    assert_non_null(strstr(err.text, "longer"));
    options = (struct chardev_options){.backend = "socket", .fd = 0, .server = true};
    assert_null(chardev_open(&f->loop, "x", &options, &err));
    assert_non_null(strstr(err.text, "fd=0"));
}

#define LINE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LINE(a_server_serves_one_client_after_the_other),
        LINE(a_second_client_waits_for_its_turn),
        LINE(input_waits_for_room),
        LINE(output_waits_for_the_reader_up_to_a_bound),
        LINE(a_reader_that_goes_takes_its_output_with_it),
        LINE(passed_descriptors_are_kept_in_order_and_bounded),
        LINE(a_client_connects_out_and_is_told_of_the_end),
        LINE(an_inherited_listening_socket),
        LINE(tcp_takes_any_port_and_says_which),
        LINE(a_pty_is_raw_and_survives_its_users),
        LINE(a_pty_keeps_the_newest_output),
        LINE(a_file_takes_all_output),
        LINE(null_swallows),
        LINE(ctrl_a_switches_between_two_users),
        LINE(without_mux_a_line_has_one_user_and_ctrl_a_is_a_byte),
        LINE(what_cannot_be_opened_is_named),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
