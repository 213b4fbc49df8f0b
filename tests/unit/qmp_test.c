/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP on a server socket, as libxl, libxenstat, and those who mean no good use it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/lib/cmocka.h"
#include "tests/lib/wait.h"

static char socket_path[64], quiet_path[64];

static struct qtest *start(void **state, const char *args)
{
    snprintf(socket_path, sizeof(socket_path), "/tmp/qmp-test-%d.sock", (int)getpid());
    snprintf(quiet_path, sizeof(quiet_path), "/tmp/qmp-test-%d-stat.sock", (int)getpid());
    return *state = qtest_startf("-nodefaults -qmp unix:%s,server=on,wait=off "
                                 "-chardev socket,id=libxenstat-cmd,path=%s,server=on,wait=off "
                                 "-mon chardev=libxenstat-cmd,mode=control %s",
                                 socket_path, quiet_path, args);
}

/* ---- a client of bytes ---- */

static int dial(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

static void put(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Is there input within ms milliseconds? */
static bool has_input(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, ms) == 1;
}

/* One message up to CR LF, which it must end with. */
static json_t *get(int fd)
{
    static char text[1 << 20];
    size_t length = 0;
    json_t *message;

    do {
        assert_true(length < sizeof(text) - 1);
        if (!has_input(fd, PATIENCE * 1000))
            fail_msg("no message, only %.*s", (int)length, text);
        assert_int_equal(read(fd, text + length, 1), 1);
    } while (text[length++] != '\n');
    assert_true(length >= 2 && text[length - 2] == '\r');
    message = json_loadb(text, length, 0, NULL);
    assert_non_null(message);
    return message;
}

static json_t *get_reply(int fd)
{
    json_t *message = get(fd);

    while (json_object_get(message, "event")) {
        json_decref(message);
        message = get(fd);
    }
    return message;
}

static void assert_error(int fd, const char *error_class, const char *word)
{
    json_t *reply = get_reply(fd), *error = json_object_get(reply, "error");
    const char *cls = json_string_value(json_object_get(error, "class"));
    const char *desc = json_string_value(json_object_get(error, "desc"));

    if (!cls || !desc || strcmp(cls, error_class) || !strstr(desc, word))
        fail_msg("wanted %s '%s', got %s", error_class, word, json_dumps(reply, 0));
    json_decref(reply);
}

/* "return" of the next reply, which must be one; caller decrefs. */
static json_t *get_return(int fd)
{
    json_t *reply = get_reply(fd), *result = json_incref(json_object_get(reply, "return"));

    if (!result)
        fail_msg("not a return: %s", json_dumps(reply, 0));
    json_decref(reply);
    return result;
}

static void assert_return(int fd)
{
    json_decref(get_return(fd));
}

/* Connected, greeted, negotiated. */
static int dial_ready(const char *path)
{
    int fd = dial(path);
    json_t *greeting = get(fd), *version;

    version = json_object_get(json_object_get(json_object_get(greeting, "QMP"), "version"), "qemu");
    assert_true(json_integer_value(json_object_get(version, "major")) >= 3);
    assert_non_null(json_object_get(json_object_get(greeting, "QMP"), "capabilities"));
    json_decref(greeting);
    put(fd, "{\"execute\":\"qmp_capabilities\"}");
    assert_return(fd);
    return fd;
}

/* ---- the transport ---- */

static void ids_come_back_as_they_were(void **state)
{
    int fd;
    json_t *reply;

    start(state, "");
    fd = dial_ready(socket_path);
    put(fd, "{\"execute\":\"query-status\",\"id\":2020372736}\r\n");
    reply = get(fd);
    assert_true(json_is_integer(json_object_get(reply, "id")));
    assert_int_equal(json_integer_value(json_object_get(reply, "id")), 2020372736);
    assert_string_equal(json_object_iter_key(json_object_iter(reply)), "return");
    json_decref(reply);
    put(fd, "{\"execute\":\"no-such\",\"id\":{\"a\":[1,null]}}");
    reply = get(fd);
    assert_non_null(json_object_get(json_object_get(reply, "id"), "a"));
    assert_non_null(json_object_get(reply, "error"));
    json_decref(reply);
    close(fd);
}

static void commands_before_negotiation_are_refused(void **state)
{
    int fd;

    start(state, "");
    fd = dial(socket_path);
    json_decref(get(fd));
    put(fd, "{\"execute\":\"query-status\"}");
    assert_error(fd, "CommandNotFound", "qmp_capabilities");
    put(fd, "{\"execute\":\"qmp_capabilities\"}{\"execute\":\"qmp_capabilities\"}");
    assert_return(fd);
    assert_error(fd, "CommandNotFound", "already complete");
    close(fd);
}

static void bytes_come_one_by_one_without_a_newline(void **state)
{
    static const char command[] = "{ \"execute\": \"query-status\" , \"id\" : \"}{\\\"\" }";
    int fd;
    json_t *reply;

    start(state, "");
    fd = dial_ready(socket_path);
    for (const char *c = command; *c; c++) {
        char one[2] = {*c, '\0'};

        put(fd, one);
        if (c - command < 6)
            usleep(1000);
    }
    reply = get(fd);
    assert_string_equal(json_string_value(json_object_get(reply, "id")), "}{\"");
    json_decref(reply);
    close(fd);
}

static void a_thousand_commands_in_one_write(void **state)
{
    char *text = malloc(1000 * 64);
    size_t length = 0;
    int fd;

    start(state, "");
    fd = dial_ready(socket_path);
    for (int i = 0; i < 1000; i++)
        length += sprintf(text + length, "{\"execute\":\"query-status\",\"id\":%d}", i);
    put(fd, text);
    free(text);
    for (int i = 0; i < 1000; i++) {
        json_t *reply = get(fd);

        assert_int_equal(json_integer_value(json_object_get(reply, "id")), i);
        json_decref(reply);
    }
    close(fd);
}

static void garbage_gets_an_error_and_the_next_command_an_answer(void **state)
{
    static const char *const garbage[] = {"hello\n",
                                          "}\n",
                                          "]\n",
                                          "{\"execute\"}",
                                          "{'execute':'stop'}",
                                          "[1,2]",
                                          "{\"execute\":\"stop\",}",
                                          "\"text\"\n",
                                          "{]",
                                          "{\"a\":\"\\u12\"}",
                                          "{\"execute\":1}",
                                          "{}",
                                          "{\"execute\":\"stop\",\"arguments\":[]}",
                                          "{\"execute\":\"stop\",\"extra\":1}",
                                          "{\"execute\":\"\\ud800\"}",
                                          "{\"execute\":\"stop\",\"execute\":\"stop\"}",
                                          "\xff\xfe\n"};
    int fd;

    start(state, "");
    fd = dial_ready(socket_path);
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        put(fd, garbage[i]);
        assert_error(fd, "GenericError", "");
        put(fd, "{\"execute\":\"query-status\"}");
        assert_return(fd);
    }
    close(fd);
}

/* The object is open, no brace ends it: the answer comes all the same, and the next line is read. */
static void a_lexical_error_inside_an_object_is_answered_at_once(void **state)
{
    static const char *const errors[] = {"{\"execute\": @",        "{\"execute\": \"stop\\q",
                                         "{\"execute\": {{[ #",    "{\"execute\": \"a\nb",
                                         "{\"execute\": \"\xff\"", "{\"a\": \x01"};
    int fd;

    start(state, "");
    fd = dial_ready(socket_path);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        put(fd, errors[i]);
        assert_error(fd, "GenericError", "JSON parse error");
        if (strchr(errors[i], '\n'))
            assert_error(fd, "GenericError", "JSON parse error"); /* of the line that begins with b */
        put(fd, "}}}\" and what else the line holds\n{\"execute\":\"query-status\"}");
        assert_return(fd);
    }
    close(fd);
}

static void a_huge_command_is_refused_and_the_next_line_served(void **state)
{
    size_t size = 300000;
    char *text = malloc(size + 1);
    int fd;

    start(state, "");
    fd = dial_ready(socket_path);
    memset(text, 'a', size);
    memcpy(text, "{\"execute\":\"", 12);
    text[size - 1] = '\n';
    text[size] = '\0';
    put(fd, text);
    assert_error(fd, "GenericError", "limit");
    memset(text, '[', size - 1);
    put(fd, text);
    assert_error(fd, "GenericError", "limit");
    free(text);
    put(fd, "{\"execute\":\"query-status\"}");
    assert_return(fd);
    close(fd);
}

/* Its answers fill the socket: it is then not listened to, and nothing is lost. */
static void a_client_that_does_not_read_loses_nothing_and_hurts_nobody(void **state)
{
    static const char command[] = "{\"execute\":\"query-commands\"}";
    struct qtest *q = start(state, "");
    int fd = dial_ready(socket_path), sent = 0;

    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (; sent < 20000; sent++)
        if (send(fd, command, strlen(command), MSG_NOSIGNAL) != (ssize_t)strlen(command))
            break;
    json_decref(qtest_qmp_ok(q, "{'execute': 'query-status'}"));
    fcntl(fd, F_SETFL, 0);
    assert_true(sent > 100 && sent < 20000);
    for (int i = 0; i < 100; i++)
        assert_return(fd);
    close(fd);
    fd = dial_ready(socket_path);
    close(fd);
}

static void a_client_at_a_time_each_greeted_anew(void **state)
{
    int first, second;

    start(state, "");
    first = dial_ready(socket_path);
    second = dial(socket_path); /* waits */
    assert_false(has_input(second, 20));
    close(first);
    json_decref(get(second));
    put(second, "{\"execute\":\"query-status\"}");
    assert_error(second, "CommandNotFound", "qmp_capabilities");
    close(second);
    for (int i = 0; i < 200; i++) {
        int fd = dial_ready(socket_path);

        put(fd, i % 3 ? "{\"execute\":\"query-status\"}" : "{\"execute\":");
        close(fd);
    }
    close(dial_ready(socket_path));
}

static void many_that_leave_before_the_greeting(void **state)
{
    start(state, "");
    for (int i = 0; i < 200; i++)
        close(dial(socket_path));
    close(dial_ready(socket_path));
}

static void events_go_to_all_but_libxenstat(void **state)
{
    struct qtest *q = start(state, "");
    int fd = dial_ready(socket_path), quiet = dial(quiet_path);
    json_t *event, *stamp;

    json_decref(get(quiet));
    put(quiet, "{ \"execute\": \"qmp_capabilities\" }");
    assert_return(quiet);
    json_decref(qtest_qmp_ok(q, "{'execute': 'stop'}"));
    event = get(fd);
    assert_string_equal(json_string_value(json_object_get(event, "event")), "STOP");
    stamp = json_object_get(event, "timestamp");
    assert_true(json_integer_value(json_object_get(stamp, "seconds")) > 1600000000);
    assert_in_range(json_integer_value(json_object_get(stamp, "microseconds")), 0, 999999);
    json_decref(event);
    assert_false(has_input(quiet, 50));
    put(quiet, "{ \"execute\": \"query-blockstats\" }");
    assert_return(quiet);
    close(fd);
    close(quiet);
}

/* A small generator of our own, so that a finding can be found again. */
static uint32_t draw(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* Commands with bytes changed, dropped and doubled. None of them is "quit", and few changes make it one. */
static void mutated_commands_never_end_it(void **state)
{
    static const char *const commands[] = {
        "{\"execute\":\"query-block\",\"id\":17}",
        "{\"execute\":\"eject\",\"arguments\":{\"id\":\"cd\",\"force\":true}}",
        "{\"execute\":\"blockdev-change-medium\",\"arguments\":{\"id\":\"cd\",\"filename\":\"/dev/fdset/"
        "0\"}}",
        "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"info block cd\"}}",
        "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"sendkey ctrl-alt-f1\"}}",
        "{\"execute\":\"send-key\",\"arguments\":{\"keys\":[{\"type\":\"qcode\",\"data\":\"a\"}]}}",
        "{\"execute\":\"input-send-event\",\"arguments\":{\"events\":[{\"type\":\"abs\",\"data\":"
        "{\"axis\":\"x\",\"value\":32767}}]}}",
        "{\"execute\":\"qom-list-types\",\"arguments\":{\"implements\":\"device\",\"abstract\":true}}",
        "{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"VGA\",\"id\":\"v\"}}",
    };
    struct qtest *q = start(state, "-drive if=none,id=cd -device ide-cd,drive=cd");
    uint32_t seed = 20260101;
    int fd = dial_ready(socket_path);
    char sink[65536];

    for (int round = 0; round < 20000; round++) {
        char text[512];
        const char *command = commands[draw(&seed) % (sizeof(commands) / sizeof(commands[0]))];
        size_t length = 0;

        for (const char *c = command; *c && length < sizeof(text) - 3; c++) {
            uint32_t chance = draw(&seed) % 60;

            if (chance == 0)
                continue;
            text[length++] = chance == 1 ? (char)draw(&seed) : *c;
            if (chance == 2)
                text[length++] = *c;
        }
        text[length++] = '\n';
        assert_int_equal(send(fd, text, length, MSG_NOSIGNAL), length);
        while (has_input(fd, 0))
            assert_true(read(fd, sink, sizeof(sink)) > 0);
    }
    close(fd);
    close(dial_ready(socket_path));
    json_decref(qtest_qmp_ok(q, "{'execute': 'query-status'}"));
}

/* ---- passed descriptors ---- */

/* The descriptor goes with the first byte, the rest later. */
static void put_with_fd(int fd, const char *text, int passed)
{
    char space[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {.iov_base = (char *)text, .iov_len = 1};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

    *c = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(c), &passed, sizeof(int));
    assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), 1);
    put(fd, text + 1);
}

static int add_fd(int fd, int passed, const char *opaque)
{
    char text[128];
    json_t *result;
    int number;

    snprintf(text, sizeof(text), "{\"execute\":\"add-fd\",\"arguments\":{\"opaque\":\"%s\"}}", opaque);
    put_with_fd(fd, text, passed);
    result = get_return(fd);
    assert_true(json_is_integer(json_object_get(result, "fd")));
    number = json_integer_value(json_object_get(result, "fdset-id"));
    json_decref(result);
    return number;
}

static size_t count_fdsets(int fd)
{
    json_t *sets;
    size_t count;

    put(fd, "{\"execute\":\"query-fdsets\"}");
    sets = get_return(fd);
    count = json_array_size(sets);
    json_decref(sets);
    return count;
}

static void fdsets_are_numbered_listed_and_removed(void **state)
{
    int fd, null = open("/dev/null", O_RDONLY);

    start(state, "");
    fd = dial_ready(socket_path);
    assert_int_equal(add_fd(fd, null, "a"), 0);
    assert_int_equal(add_fd(fd, null, "b"), 1);
    assert_int_equal(add_fd(fd, null, "c"), 2);
    put(fd, "{\"execute\":\"remove-fd\",\"arguments\":{\"fdset-id\":1}}");
    assert_return(fd);
    assert_int_equal(count_fdsets(fd), 2);
    assert_int_equal(add_fd(fd, null, "d"), 1);
    put(fd, "{\"execute\":\"remove-fd\",\"arguments\":{\"fdset-id\":7}}");
    assert_error(fd, "GenericError", "not found");
    put(fd, "{\"execute\":\"add-fd\"}");
    assert_error(fd, "GenericError", "SCM_RIGHTS");
    for (int i = 3; i < 64; i++)
        assert_int_equal(add_fd(fd, null, "e"), i);
    put_with_fd(fd, "{\"execute\":\"add-fd\"}", null);
    assert_error(fd, "GenericError", "too many");
    close(fd);
    close(null);
}

/* Pipelined commands with a descriptor each: none gets the other's. */
/* A10: the same number again adds to the set, and who opens takes the one whose mode fits. */
static void a_set_holds_several_descriptors(void **state)
{
    const char *path = qtest_temp_file(".img", 1 << 20);
    int fd, reading = open(path, O_RDONLY), both = open(path, O_RDWR);
    json_t *sets, *blocks;

    start(state, "-drive if=none,id=f -device floppy,drive=f");
    fd = dial_ready(socket_path);
    put_with_fd(fd, "{\"execute\":\"add-fd\",\"arguments\":{\"fdset-id\":3}}", reading);
    assert_return(fd);
    put_with_fd(fd, "{\"execute\":\"add-fd\",\"arguments\":{\"fdset-id\":3}}", both);
    assert_return(fd);
    put(fd, "{\"execute\":\"query-fdsets\"}");
    sets = get_return(fd);
    assert_int_equal(json_array_size(sets), 1);
    assert_int_equal(json_array_size(json_object_get(json_array_get(sets, 0), "fds")), 2);
    json_decref(sets);
    put(fd, "{\"execute\":\"blockdev-change-medium\",\"arguments\":{\"device\":\"f\",\"filename\":"
            "\"/dev/fdset/3\",\"format\":\"raw\",\"read-only-mode\":\"read-write\"}}");
    assert_return(fd);
    put(fd, "{\"execute\":\"query-block\"}");
    blocks = get_return(fd);
    assert_true(json_is_false(json_object_get(json_object_get(json_array_get(blocks, 0), "inserted"), "ro")));
    json_decref(blocks);
    put(fd, "{\"execute\":\"remove-fd\",\"arguments\":{\"fdset-id\":3}}");
    assert_return(fd);
    assert_int_equal(count_fdsets(fd), 0);
    close(fd);
    close(reading);
    close(both);
}

static bool tray_moved_to(struct qtest *q)
{
    json_t *event = qtest_qmp_event(q, "DEVICE_TRAY_MOVED");
    bool open = json_is_true(json_object_get(json_object_get(event, "data"), "tray-open"));

    json_decref(event);
    return open;
}

/* A10: a change of a closed drive tells both moves; the tray and the medium have commands of their own. */
static void trays_and_media_one_by_one(void **state)
{
    const char *path = qtest_temp_file(".iso", 1 << 20);
    struct qtest *q = start(state, "-drive if=none,readonly=on,id=c -device ide-cd,id=cd,drive=c,bus=ide.1");
    json_t *blocks;

    for (int i = 0; i < 2; i++) {
        json_decref(qtest_qmp_ok(q,
                                 "{'execute': 'blockdev-change-medium', 'arguments': {'id': 'cd', "
                                 "'filename': '%s', 'format': 'raw'}}",
                                 path));
        assert_true(tray_moved_to(q));
        assert_false(tray_moved_to(q));
    }
    json_decref(qtest_qmp(q, "{'execute': 'blockdev-remove-medium', 'arguments': {'id': 'cd'}}"));
    blocks = qtest_qmp_ok(q, "{'execute': 'query-block'}"); /* refused: the tray is closed */
    assert_non_null(json_object_get(json_array_get(blocks, 0), "inserted"));
    json_decref(blocks);
    json_decref(qtest_qmp_ok(q, "{'execute': 'blockdev-open-tray', 'arguments': {'id': 'cd'}}"));
    assert_true(tray_moved_to(q));
    json_decref(qtest_qmp_ok(q, "{'execute': 'blockdev-remove-medium', 'arguments': {'id': 'cd'}}"));
    json_decref(qtest_qmp_ok(q, "{'execute': 'blockdev-close-tray', 'arguments': {'id': 'cd'}}"));
    assert_false(tray_moved_to(q));
    blocks = qtest_qmp_ok(q, "{'execute': 'query-block'}");
    assert_null(json_object_get(json_array_get(blocks, 0), "inserted"));
    assert_true(json_is_false(json_object_get(json_array_get(blocks, 0), "tray_open")));
    json_decref(blocks);
}

/* A10: a drive without a -drive has a slot, which takes a node that a client made. */
static void a_drive_without_a_slot_of_its_own_takes_a_medium(void **state)
{
    const char *path = qtest_temp_file(".img", 1474560);
    struct qtest *q = start(state, "-device floppy,id=f");
    json_t *blocks = qtest_qmp_ok(q, "{'execute': 'query-block'}"), *answer;

    assert_string_equal(json_string_value(json_object_get(json_array_get(blocks, 0), "qdev")), "f");
    json_decref(blocks);
    json_decref(qtest_qmp_ok(q,
                             "{'execute': 'blockdev-add', 'arguments': {'driver': 'file', 'node-name': 'n', "
                             "'filename': '%s'}}",
                             path));
    json_decref(
        qtest_qmp_ok(q, "{'execute': 'blockdev-insert-medium', 'arguments': {'id': 'f', 'node-name': 'n'}}"));
    blocks = qtest_qmp_ok(q, "{'execute': 'query-block'}");
    assert_non_null(json_object_get(json_array_get(blocks, 0), "inserted"));
    json_decref(blocks);
    answer =
        qtest_qmp(q, "{'execute': 'blockdev-insert-medium', 'arguments': {'id': 'f', 'node-name': 'n'}}");
    assert_non_null(json_object_get(answer, "error"));
    json_decref(answer);
    json_decref(qtest_qmp_ok(q, "{'execute': 'blockdev-remove-medium', 'arguments': {'id': 'f'}}"));
    json_decref(qtest_qmp_ok(q, "{'execute': 'blockdev-del', 'arguments': {'node-name': 'n'}}"));
}

static void descriptors_keep_their_order(void **state)
{
    int fd, null = open("/dev/null", O_RDONLY);

    start(state, "");
    fd = dial_ready(socket_path);
    for (int i = 0; i < 5; i++)
        put_with_fd(fd, "{\"execute\":\"add-fd\"}", null);
    for (int i = 0; i < 5; i++)
        assert_return(fd);
    assert_int_equal(count_fdsets(fd), 5);
    close(fd);
    close(null);
}

static void a_cd_is_changed_as_libxl_does_it(void **state)
{
    struct qtest *q = start(state, "-drive if=none,readonly=on,id=ide-5632 "
                                   "-device ide-cd,id=ide-5632,drive=ide-5632,bus=ide.1,unit=0");
    int fd = dial_ready(socket_path), image = open(qtest_temp_file(".iso", 1 << 20), O_RDONLY);
    json_t *blocks, *inserted;

    put(fd, "{\"execute\":\"eject\",\"id\":1,\"arguments\":{\"id\":\"ide-5632\"}}\r\n");
    assert_return(fd);
    assert_int_equal(add_fd(fd, image, "raw:/root/cd2.iso"), 0);
    close(image);
    json_decref(qtest_qmp_event(q, "DEVICE_TRAY_MOVED"));
    put(fd, "{\"execute\":\"blockdev-change-medium\",\"id\":2,\"arguments\":{\"id\":\"ide-5632\","
            "\"filename\":\"/dev/fdset/0\",\"format\":\"raw\"}}\r\n");
    assert_return(fd);
    close(fd);
    fd = dial_ready(socket_path); /* the set is gone, the medium stays */
    blocks = qtest_qmp_ok(q, "{'execute': 'query-block'}");
    inserted = json_object_get(json_array_get(blocks, 0), "inserted");
    assert_string_equal(json_string_value(json_object_get(inserted, "file")), "/dev/fdset/0");
    json_decref(blocks);
    put(fd, "{\"execute\":\"eject\",\"arguments\":{\"device\":\"ide-5632\",\"force\":true}}");
    assert_return(fd);
    put(fd, "{\"execute\":\"blockdev-change-medium\",\"arguments\":{\"id\":\"ide-5632\",\"filename\":\"/dev/"
            "fdset/9\"}}");
    assert_error(fd, "GenericError", "fdset");
    put(fd, "{\"execute\":\"change\",\"arguments\":{\"device\":\"ide-5632\",\"target\":\"/no/such\"}}");
    assert_error(fd, "GenericError", "/no/such");
    put(fd, "{\"execute\":\"eject\",\"arguments\":{\"id\":\"nope\"}}");
    assert_error(fd, "DeviceNotFound", "nope");
    /* What cannot be opened does not cost the medium that is in. */
    put(fd, "{\"execute\":\"change\",\"arguments\":{\"device\":\"ide-5632\",\"target\":\"/dev/fdset/0\"}}");
    assert_return(fd);
    put(fd, "{\"execute\":\"change\",\"arguments\":{\"device\":\"ide-5632\",\"target\":\"/no/such\"}}");
    assert_error(fd, "GenericError", "/no/such");
    blocks = qtest_qmp_ok(q, "{'execute': 'query-block'}");
    assert_non_null(json_object_get(json_array_get(blocks, 0), "inserted"));
    json_decref(blocks);
    close(fd);
}

/* ---- commands ---- */

static void arguments_are_checked(void **state)
{
    static const struct {
        const char *command, *word;
    } wrong[] = {
        {"{\"execute\":\"eject\",\"arguments\":{}}", "missing"},
        {"{\"execute\":\"eject\",\"arguments\":{\"id\":1}}", "string"},
        {"{\"execute\":\"eject\",\"arguments\":{\"id\":\"x\",\"force\":\"yes\"}}", "boolean"},
        {"{\"execute\":\"stop\",\"arguments\":{\"now\":true}}", "'now' is unexpected"},
        {"{\"execute\":\"screendump\"}", "'filename' is missing"},
        {"{\"execute\":\"screendump\",\"arguments\":{\"filename\":\"/no/such/dir/x\"}}", "/no/such/dir/x"},
        {"{\"execute\":\"screendump\",\"arguments\":{\"filename\":\"/tmp/x\",\"format\":\"gif\"}}", "gif"},
        {"{\"execute\":\"send-key\",\"arguments\":{\"keys\":[]}}", "keys"},
        {"{\"execute\":\"send-key\",\"arguments\":{\"keys\":[{\"type\":\"qcode\",\"data\":\"any\"}]}}",
         "'any'"},
        {"{\"execute\":\"input-send-event\",\"arguments\":{\"events\":[7]}}", "type"},
        {"{\"execute\":\"change-vnc-password\",\"arguments\":{\"password\":\"x\"}}", "VNC"},
        {"{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"cpu\",\"socket-id\":1}}", "cpu"},
        {"{\"execute\":\"device-list-properties\",\"arguments\":{\"typename\":\"device\"}}", "abstract"},
        {"{\"execute\":\"system_wakeup\"}", "suspended"},
    };
    int fd;

    start(state, "-device VGA");
    fd = dial_ready(socket_path);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        json_t *reply;
        const char *desc;

        put(fd, wrong[i].command);
        reply = get_reply(fd);
        desc = json_string_value(json_object_get(json_object_get(reply, "error"), "desc"));
        if (!desc || !strstr(desc, wrong[i].word))
            fail_msg("%s: %s", wrong[i].command, json_dumps(reply, 0));
        json_decref(reply);
    }
    close(fd);
}

static void run_state(void **state)
{
    static const struct {
        const char *command, *status;
    } steps[] = {{"query-name", "prelaunch"}, {"cont", "running"}, {"cont", "running"},
                 {"stop", "paused"},          {"stop", "paused"},  {"cont", "running"},
                 {"system_reset", "running"}};
    struct qtest *q = start(state, "-S");

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        json_t *status;

        json_decref(qtest_qmp_ok(q, "{'execute': '%s'}", steps[i].command));
        status = qtest_qmp_ok(q, "{'execute': 'query-status'}");
        assert_string_equal(json_string_value(json_object_get(status, "status")), steps[i].status);
        assert_int_equal(json_is_true(json_object_get(status, "running")),
                         !strcmp(steps[i].status, "running"));
        json_decref(status);
    }
    json_decref(qtest_qmp_event(q, "RESET"));
    json_decref(qtest_qmp_ok(q, "{'execute': 'system_powerdown'}"));
    json_decref(qtest_qmp_event(q, "POWERDOWN"));
}

static void query_machines_says_exactly_what_clients_know(void **state)
{
    static const char known[] =
        " name alias is-default cpu-max hotpluggable-cpus numa-mem-supported deprecated default-ram-id ";
    struct qtest *q = start(state, "");
    json_t *machines = qtest_qmp_ok(q, "{'execute': 'query-machines'}"), *machine, *value;
    const char *key;
    bool have_default = false, have_none = false;
    size_t i;

    json_array_foreach(machines, i, machine)
    {
        json_object_foreach(machine, key, value)
        {
            char word[64];

            snprintf(word, sizeof(word), " %s ", key);
            assert_non_null(strstr(known, word));
        }
        have_none |= !strcmp(json_string_value(json_object_get(machine, "name")), "none");
        if (json_is_true(json_object_get(machine, "is-default"))) {
            have_default = true;
            assert_string_equal(json_string_value(json_object_get(machine, "alias")), "pc");
        }
    }
    assert_true(have_default && have_none);
    json_decref(machines);
}

static bool has_type(const json_t *types, const char *name)
{
    json_t *type;
    size_t i;

    json_array_foreach(types, i, type)
    {
        if (!strcmp(json_string_value(json_object_get(type, "name")), name))
            return true;
    }
    return false;
}

static void types_form_a_tree(void **state)
{
    struct qtest *q = start(state, "");
    json_t *devices = qtest_qmp_ok(
        q, "{'execute': 'qom-list-types', 'arguments': {'implements': 'device', 'abstract': false}}");
    json_t *pci = qtest_qmp_ok(
        q, "{'execute': 'qom-list-types', 'arguments': {'implements': 'pci-device', 'abstract': true}}");
    json_t *type;
    size_t i;

    assert_true(has_type(devices, "ide-cd") && has_type(devices, "VGA") && has_type(devices, "i8042"));
    assert_false(has_type(devices, "pci-device"));
    assert_false(has_type(devices, "none-machine"));
    assert_true(has_type(pci, "pci-device") && has_type(pci, "VGA"));
    assert_false(has_type(pci, "ide-cd"));
    json_array_foreach(devices, i, type)
    {
        assert_non_null(json_object_get(type, "parent"));
        json_decref(qtest_qmp_ok(q, "{'execute': 'device-list-properties', 'arguments': {'typename': '%s'}}",
                                 json_string_value(json_object_get(type, "name"))));
    }
    json_decref(devices);
    json_decref(pci);
}

static void what_libxl_reads_is_there(void **state)
{
    struct qtest *q = start(state, "-smp 2,maxcpus=4 -serial pty -device VGA,id=vga0,addr=3");
    json_t *cpus = qtest_qmp_ok(q, "{'execute': 'query-cpus-fast'}");
    json_t *slots = qtest_qmp_ok(q, "{'execute': 'query-hotpluggable-cpus'}");
    json_t *lines = qtest_qmp_ok(q, "{'execute': 'query-chardev'}");
    json_t *pci = qtest_qmp_ok(q, "{'execute': 'query-pci'}");
    json_t *item;
    bool found = false;
    size_t i;

    assert_int_equal(json_array_size(cpus), 2);
    json_array_foreach(cpus, i, item)
    {
        assert_int_equal(json_integer_value(json_object_get(item, "cpu-index")), i);
    }
    assert_int_equal(json_array_size(slots), 4);
    assert_true(json_is_string(json_object_get(json_array_get(slots, 0), "type")));
    json_array_foreach(lines, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "filename"));

        assert_true(json_is_string(json_object_get(item, "label")));
        found |= !strcmp(json_string_value(json_object_get(item, "label")), "serial0") &&
                 !strncmp(name, "pty:/dev/", 9);
    }
    assert_true(found);
    found = false;
    json_array_foreach(json_object_get(json_array_get(pci, 0), "devices"), i, item)
    {
        assert_true(json_is_integer(json_object_get(item, "slot")) &&
                    json_is_integer(json_object_get(item, "function")));
        found |= !strcmp(json_string_value(json_object_get(item, "qdev_id")), "vga0") &&
                 json_integer_value(json_object_get(item, "slot")) == 3;
    }
    assert_true(found);
    json_decref(cpus);
    json_decref(slots);
    json_decref(lines);
    json_decref(pci);
}

static void every_listed_command_answers_without_arguments(void **state)
{
    struct qtest *q = start(state, "-device VGA");
    json_t *commands = qtest_qmp_ok(q, "{'execute': 'query-commands'}"), *item;
    size_t i;

    json_array_foreach(commands, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));
        json_t *reply, *error;

        if (!strcmp(name, "quit") || !strcmp(name, "qmp_capabilities"))
            continue;
        reply = qtest_qmp(q, "{'execute': '%s'}", name);
        error = json_object_get(json_object_get(reply, "error"), "class");
        assert_false(error && !strcmp(json_string_value(error), "CommandNotFound"));
        json_decref(reply);
    }
    json_decref(commands);
}

static void keys_and_pointer_reach_the_guest(void **state)
{
    struct qtest *q = start(state, "");

    qtest_outb(q, 0x64, 0x60);
    qtest_outb(q, 0x60, 0x41); /* keyboard interrupt and translation on */
    json_decref(
        qtest_qmp_ok(q, "{'execute': 'send-key', 'arguments': {'keys': [{'type': 'qcode', 'data': 'a'}]}}"));
    qtest_clock_step(q, 100000000);
    assert_int_equal(qtest_inb(q, 0x60), 0x1E);
    qtest_clock_step(q, 100000000);
    assert_int_equal(qtest_inb(q, 0x60), 0x9E);
    json_decref(
        qtest_qmp_ok(q, "{'execute': 'human-monitor-command', 'arguments': {'command-line': 'sendkey up'}}"));
    qtest_clock_step(q, 100000000);
    assert_int_equal(qtest_inb(q, 0x60), 0xE0);
    json_decref(qtest_qmp_ok(
        q, "{'execute': 'input-send-event', 'arguments': {'events': ["
           "{'type': 'rel', 'data': {'axis': 'x', 'value': 5}},"
           "{'type': 'btn', 'data': {'button': 'left', 'down': true}},"
           "{'type': 'key', 'data': {'down': true, 'key': {'type': 'number', 'data': 200}}}]}}"));
}

static void typed_commands(void **state)
{
    static const struct {
        const char *line, *word;
    } typed[] = {{"info status", "VM status: running\r\n"},
                 {"info", "info block"},
                 {"info nonsense", "there is no 'info nonsense'"},
                 {"help", "system_reset"},
                 {"infp status", "did you mean 'info'?"},
                 {"eject", "which drive?"},
                 {"eject nope", "Error: Device 'nope' not found"},
                 {"change a", "which drive"},
                 {"sendkey ctrl-alt-blubb", "no key 'blubb'"},
                 {"sendkey", "which keys?"},
                 {"screendump /no/such/dir/x.png", "Error: "},
                 {"info version", "hvm-dm"},
                 {"info cpus", "CPU #0"},
                 {"info vnc", "None"},
                 {"info kvm", "disabled"},
                 {"info blockstats", ""},
                 {"info mtree", "  0064-0064 "},
                 {"", ""}};
    struct qtest *q = start(state, "");

    for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++) {
        json_t *text = qtest_qmp_ok(
            q, "{'execute': 'human-monitor-command', 'arguments': {'command-line': '%s'}}", typed[i].line);

        if (!strstr(json_string_value(text), typed[i].word))
            fail_msg("%s: %s", typed[i].line, json_string_value(text));
        json_decref(text);
    }
}

static void a_person_types_at_a_monitor(void **state)
{
    char path[64], text[4096] = "";
    size_t length = 0;
    int fd;

    snprintf(path, sizeof(path), "/tmp/qmp-test-%d-hmp.sock", (int)getpid());
    *state = qtest_startf("-nodefaults -monitor unix:%s,server=on,wait=off", path);
    fd = dial(path);
    put(fd, "info statux\x7fs\r");
    while (!strstr(text, "VM status: running\r\n(hvm-dm) ")) {
        if (!has_input(fd, PATIENCE * 1000) || length > sizeof(text) - 64)
            fail_msg("got: %s", text);
        length += read(fd, text + length, 64);
        text[length] = '\0';
    }
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        qtest_unit_test(ids_come_back_as_they_were),
        qtest_unit_test(commands_before_negotiation_are_refused),
        qtest_unit_test(bytes_come_one_by_one_without_a_newline),
        qtest_unit_test(a_thousand_commands_in_one_write),
        qtest_unit_test(garbage_gets_an_error_and_the_next_command_an_answer),
        qtest_unit_test(a_lexical_error_inside_an_object_is_answered_at_once),
        qtest_unit_test(a_huge_command_is_refused_and_the_next_line_served),
        qtest_unit_test(a_client_that_does_not_read_loses_nothing_and_hurts_nobody),
        qtest_unit_test(a_client_at_a_time_each_greeted_anew),
        qtest_unit_test(many_that_leave_before_the_greeting),
        qtest_unit_test(events_go_to_all_but_libxenstat),
        qtest_unit_test(mutated_commands_never_end_it),
        qtest_unit_test(fdsets_are_numbered_listed_and_removed),
        qtest_unit_test(a_set_holds_several_descriptors),
        qtest_unit_test(trays_and_media_one_by_one),
        qtest_unit_test(a_drive_without_a_slot_of_its_own_takes_a_medium),
        qtest_unit_test(descriptors_keep_their_order),
        qtest_unit_test(a_cd_is_changed_as_libxl_does_it),
        qtest_unit_test(arguments_are_checked),
        qtest_unit_test(run_state),
        qtest_unit_test(query_machines_says_exactly_what_clients_know),
        qtest_unit_test(types_form_a_tree),
        qtest_unit_test(what_libxl_reads_is_there),
        qtest_unit_test(every_listed_command_answers_without_arguments),
        qtest_unit_test(keys_and_pointer_reach_the_guest),
        qtest_unit_test(typed_commands),
        qtest_unit_test(a_person_types_at_a_monitor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
