/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stream wires: frames with their length before them, and peers that come, go and misbehave. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/frame_reader.h"
#include "net/wires.h"
#include "tests/unit/wire_fixture.h"

struct ends {
    char path[100];
    int listener; /* of the far side */
};

static int setup(void **state)
{
    struct wire_fixture *f = fixture_new();
    struct ends *ends = calloc(1, sizeof(*ends));

    ends->listener = -1;
    snprintf(ends->path, sizeof(ends->path), "%s", qtest_temp_file(".stream", 0));
    unlink(ends->path);
    f->data = ends;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct wire_fixture *f = *state;
    struct ends *ends = f->data;

    if (ends->listener >= 0)
        close(ends->listener);
    unlink(ends->path);
    fixture_free(f);
    return 0;
}

static struct net_port *open_at(struct wire_fixture *f, bool server, unsigned reconnect_ms, struct error *err)
{
    struct ends *ends = f->data;
    struct net_stream_options options = {.address = {.kind = NET_ADDRESS_UNIX, .path = ends->path},
                                         .server = server,
                                         .reconnect_ms = reconnect_ms};

    return net_open_stream(&f->loop, "s", &options, err);
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memcpy(address.sun_path, path, strlen(path));
    return address;
}

static int far_listen(const char *path)
{
    struct sockaddr_un address = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static int far_connect(const char *path)
{
    struct sockaddr_un address = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static size_t put_frame(uint8_t *to, uint8_t mark, uint32_t length)
{
    uint8_t header[] = {length >> 24, length >> 16, length >> 8, length};

    memcpy(to, header, 4);
    memset(to + 4, mark, length);
    return 4 + length;
}

static void send_frame(int fd, uint8_t mark, uint32_t length)
{
    uint8_t bytes[70000];
    size_t size = put_frame(bytes, mark, length);

    assert_int_equal(write(fd, bytes, size), size);
}

static void read_frame(int fd, uint8_t mark, size_t length)
{
    uint8_t bytes[4 + NET_MAX_FRAME], expected[4 + NET_MAX_FRAME];

    assert_int_equal(recv(fd, bytes, 4 + length, MSG_WAITALL), 4 + length);
    assert_int_equal(put_frame(expected, mark, length), 4 + length);
    assert_memory_equal(bytes, expected, 4 + length);
}

static void out(struct wire_fixture *f, uint8_t mark, size_t length)
{
    uint8_t frame[NET_MAX_FRAME];

    memset(frame, mark, length);
    assert_true(fixture_send(f, frame, length));
}

/* ---- frames ---- */

static void frames_come_and_go(void **state)
{
    struct wire_fixture *f = *state;

    fixture_open_pair(f, SOCK_STREAM);
    send_frame(f->peer, 7, 60);
    send_frame(f->peer, 8, NET_MAX_FRAME);
    fixture_wait(f, f->received == 2);
    assert_int_equal(f->length, NET_MAX_FRAME);
    assert_int_equal(f->frame[NET_MAX_FRAME - 1], 8);
    out(f, 1, 60);
    out(f, 2, 1514);
    read_frame(f->peer, 1, 60);
    read_frame(f->peer, 2, 1514);
}

/* However the stream is torn. */
static void frames_come_in_pieces(void **state)
{
    struct wire_fixture *f = *state;
    uint8_t bytes[3 * 104];
    size_t size = 0;

    fixture_open_pair(f, SOCK_STREAM);
    for (int i = 0; i < 3; i++)
        size += put_frame(bytes + size, i, 100);
    for (size_t piece = 1; piece < size; piece++) {
        f->received = 0;
        for (size_t at = 0; at < size; at += piece) {
            size_t n = size - at < piece ? size - at : piece;

            assert_int_equal(write(f->peer, bytes + at, n), n);
            fixture_serve(f);
        }
        assert_int_equal(f->received, 3);
        assert_int_equal(f->frame[99], 2);
    }
}

static void lengths_of_no_card_are_passed_over(void **state)
{
    struct wire_fixture *f = *state;

    fixture_open_pair(f, SOCK_STREAM);
    send_frame(f->peer, 1, 0);
    send_frame(f->peer, 1, NET_MAX_FRAME + 1);
    send_frame(f->peer, 1, 68 << 10);
    send_frame(f->peer, 2, 60);
    fixture_wait(f, f->received == 1);
    assert_int_equal(f->frame[0], 2);
}

static void garbage_ends_the_connection(void **state)
{
    struct wire_fixture *f = *state;
    char byte;

    fixture_open_pair(f, SOCK_STREAM);
    send_frame(f->peer, 1, 60);
    assert_int_equal(write(f->peer, "GET / HTTP/1.0\r\n", 16), 16);
    fixture_wait(f, recv(f->peer, &byte, 1, MSG_PEEK) != -1);
    assert_int_equal(f->received, 1);
    out(f, 1, 60); /* and is lost */
    assert_non_null(strstr(f->port->info, "no peer"));
}

static void a_full_card_loses_nothing(void **state)
{
    struct wire_fixture *f = *state;
    struct epoll_event event;

    fixture_open_pair(f, SOCK_STREAM);
    f->full = true;
    for (int i = 1; i <= 50; i++)
        send_frame(f->peer, i, 1000 + i);
    fixture_serve(f);
    assert_int_equal(epoll_wait(f->loop.epoll_fd, &event, 1, 0), 0); /* it waits, and does not spin */
    assert_int_equal(f->received, 0);
    f->full = false;
    net_resume(f->port);
    fixture_wait(f, f->received == 50);
    assert_int_equal(f->length, 1050);
    assert_int_equal(f->frame[0], 50);
}

/* Every frame that was taken arrives whole, the one at the edge included. */
static void a_full_socket_makes_the_card_wait(void **state)
{
    struct wire_fixture *f = *state;
    uint8_t frame[1514];
    unsigned taken = 0, came = 0;

    fixture_open_pair(f, SOCK_STREAM);
    for (; taken < 100000; taken++) {
        memset(frame, taken, sizeof(frame));
        if (!fixture_send(f, frame, sizeof(frame)))
            break;
    }
    assert_in_range(taken, 2, 99999);
    fixture_serve(f);
    assert_int_equal(f->sent, 0);
    fcntl(f->peer, F_SETFL, 0);
    /* the kernel says so when most is gone */
    for (; came < taken - 1; came++)
        read_frame(f->peer, came, sizeof(frame));
    fixture_wait(f, f->sent);
    assert_true(fixture_send(f, memset(frame, taken++, sizeof(frame)), sizeof(frame)));
    for (; came < taken; came++)
        read_frame(f->peer, came, sizeof(frame));
}

/* Both ends of a TCP connection, which takes parts of frames. */
static void tcp_pair(int pair[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0), small = 1, segment = 536;

    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    setsockopt(listener, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment));
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    pair[1] = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    assert_int_equal(connect(pair[1], (struct sockaddr *)&address, size), 0);
    pair[0] = accept(listener, NULL, NULL);
    close(listener);
}

static void a_frame_that_goes_in_parts_arrives_whole(void **state)
{
    struct wire_fixture *f = *state;
    struct net_stream_options options = {.address = {.kind = NET_ADDRESS_FD}};
    unsigned taken = 0, came = 0;
    uint8_t frame[1514];
    int pair[2];

    tcp_pair(pair);
    f->peer = pair[0];
    options.address.fd = pair[1];
    fixture_attach(f, net_open_stream(&f->loop, "s", &options, NULL));
    for (int round = 0; round < 200; round++) {
        while (fixture_send(f, memset(frame, taken, sizeof(frame)), 1000 + taken % 500))
            taken++;
        for (; came + 1 < taken; came++)
            read_frame(f->peer, came, 1000 + came % 500);
        fixture_wait(f, f->sent);
        f->sent = 0;
    }
}

static void a_burst_goes_out_at_its_end(void **state)
{
    struct wire_fixture *f = *state;
    char byte;

    fixture_open_pair(f, SOCK_STREAM);
    net_begin_burst(f->port);
    out(f, 1, 60);
    out(f, 2, 1514);
    assert_int_equal(recv(f->peer, &byte, 1, 0), -1);
    net_end_burst(f->port);
    read_frame(f->peer, 1, 60);
    read_frame(f->peer, 2, 1514);
    net_begin_burst(f->port);
    net_end_burst(f->port); /* of nothing */
    assert_int_equal(recv(f->peer, &byte, 1, 0), -1);
}

static void a_long_burst_does_not_wait_for_its_end(void **state)
{
    enum { FRAMES = 60 };
    struct wire_fixture *f = *state;
    char byte;

    fixture_open_pair(f, SOCK_STREAM);
    net_begin_burst(f->port);
    for (int i = 0; i < FRAMES; i++)
        out(f, i, 1514);
    assert_int_equal(recv(f->peer, &byte, 1, MSG_PEEK), 1);
    net_end_burst(f->port);
    for (int i = 0; i < FRAMES; i++)
        read_frame(f->peer, i, 1514);
}

static void a_burst_into_a_full_socket_loses_nothing(void **state)
{
    struct wire_fixture *f = *state;
    uint8_t frame[1514];
    unsigned taken = 0, came = 0;

    fixture_open_pair(f, SOCK_STREAM);
    fcntl(f->peer, F_SETFL, 0);
    for (int round = 0; round < 5; round++) {
        net_begin_burst(f->port);
        while (fixture_send(f, memset(frame, taken, sizeof(frame)), sizeof(frame)))
            taken++;
        net_end_burst(f->port);
        f->sent = 0;
        fixture_serve(f);
        assert_int_equal(f->sent, 0);
        for (; came < taken && !f->sent; came++) {
            read_frame(f->peer, came, sizeof(frame));
            fixture_serve(f);
        }
        assert_true(f->sent);
    }
    assert_in_range(taken, 100, 1000000);
    for (; came < taken; came++)
        read_frame(f->peer, came, sizeof(frame));
}

/* ---- peers ---- */

static void a_peer_that_cannot_be_accepted(void **state)
{
    struct wire_fixture *f = *state;
    struct ends *ends = f->data;
    struct rlimit before, few;
    struct epoll_event event;
    int free_fd;

    fixture_attach(f, open_at(f, true, 0, NULL));
    f->peer = far_connect(ends->path);
    assert_true((free_fd = dup(f->peer)) >= 0);
    close(free_fd);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){free_fd, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    fixture_serve(f);
    assert_int_equal(epoll_wait(f->loop.epoll_fd, &event, 1, 0), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    ends->listener = far_connect(ends->path);
    fixture_wait(f, strstr(f->port->info, ",connected"));
    send_frame(f->peer, 1, 60);
    fixture_wait(f, f->received == 1);
}

/* What was kept back for one peer is nothing for the next. */
static void a_peer_that_vanishes_in_a_burst(void **state)
{
    struct wire_fixture *f = *state;
    struct ends *ends = f->data;

    fixture_attach(f, open_at(f, true, 0, NULL));
    f->peer = far_connect(ends->path);
    fixture_wait(f, strstr(f->port->info, ",connected"));
    net_begin_burst(f->port);
    out(f, 1, 60);
    close(f->peer);
    fixture_serve(f);
    for (int i = 0; i < 100; i++)
        out(f, 2, 1514);
    net_end_burst(f->port);
    f->peer = far_connect(ends->path);
    fixture_wait(f, strstr(f->port->info, ",connected"));
    out(f, 3, 60);
    read_frame(f->peer, 3, 60);
}

/* A frame that is there in part is not completed by the next peer's. */
static void a_peer_that_vanishes_in_a_frame(void **state)
{
    struct wire_fixture *f = *state;
    struct ends *ends = f->data;
    uint8_t bytes[64];

    fixture_attach(f, open_at(f, true, 0, NULL));
    for (size_t part = 1; part < sizeof(bytes); part++) {
        f->peer = far_connect(ends->path);
        put_frame(bytes, 1, 60);
        assert_int_equal(write(f->peer, bytes, part), part);
        fixture_wait(f, strstr(f->port->info, ",connected"));
        close(f->peer);
        fixture_wait(f, strstr(f->port->info, ",no peer"));
        f->peer = far_connect(ends->path);
        send_frame(f->peer, 2, 60);
        fixture_wait(f, f->received == part);
        assert_int_equal(f->frame[0], 2);
        close(f->peer);
        fixture_wait(f, strstr(f->port->info, ",no peer"));
    }
    f->peer = -1;
}

static void a_server_takes_one_peer_after_the_other(void **state)
{
    struct wire_fixture *f = *state;
    struct ends *ends = f->data;
    struct epoll_event event;

    fixture_attach(f, open_at(f, true, 0, NULL));
    out(f, 1, 60); /* for nobody */
    for (int i = 2; i < 5; i++) {
        f->peer = far_connect(ends->path);
        ends->listener = far_connect(ends->path); /* waits until the first is gone */
        send_frame(f->peer, i, 60);
        fixture_wait(f, f->frame[0] == i);
        out(f, i, 70);
        read_frame(f->peer, i, 70);
        assert_int_equal(epoll_wait(f->loop.epoll_fd, &event, 1, 0), 0);
        close(f->peer);
        send_frame(ends->listener, i + 100, 60);
        fixture_wait(f, f->frame[0] == i + 100);
        close(ends->listener);
        fixture_wait(f, strstr(f->port->info, "no peer"));
    }
    f->peer = ends->listener = -1;
    net_close(f->port);
    f->port = NULL;
    assert_int_equal(access(ends->path, F_OK), -1);
}

/* The peer goes while the card waits for it. */
static void a_vanished_peer_holds_nothing_up(void **state)
{
    struct wire_fixture *f = *state;
    uint8_t frame[1514] = {0};

    fixture_open_pair(f, SOCK_STREAM);
    while (fixture_send(f, frame, sizeof(frame)))
        continue;
    close(f->peer);
    f->peer = -1;
    fixture_wait(f, f->sent);
    assert_true(fixture_send(f, frame, sizeof(frame)));
    assert_true(net_link_up(f->port));
    fixture_serve(f);
}

static void a_client_comes_back(void **state)
{
    struct wire_fixture *f = *state;
    struct ends *ends = f->data;

    fixture_attach(f, open_at(f, false, 20, NULL)); /* nobody is there yet */
    out(f, 1, 60);
    for (int i = 1; i < 3; i++) {
        ends->listener = far_listen(ends->path);
        fixture_wait(f, strstr(f->port->info, ",connected"));
        f->peer = accept(ends->listener, NULL, NULL);
        out(f, i, 60);
        read_frame(f->peer, i, 60);
        send_frame(f->peer, i, 80);
        fixture_wait(f, f->received == (unsigned)i);
        close(f->peer);
        close(ends->listener);
        unlink(ends->path);
        fixture_wait(f, strstr(f->port->info, "no peer"));
    }
    f->peer = ends->listener = -1;
}

static void a_client_without_a_server_is_a_mistake(void **state)
{
    struct wire_fixture *f = *state;
    struct error err;

    assert_null(open_at(f, false, 0, &err));
    assert_non_null(strstr(err.text, "No such file"));
}

static void inet_works_too(void **state)
{
    struct wire_fixture *f = *state;
    struct net_stream_options options = {
        .address = {.kind = NET_ADDRESS_INET, .host = "127.0.0.1", .port = "0"}, .server = true};
    struct error err;

    /* port 0 is some free one, that only the kernel knows: it is there, and goes */
    assert_non_null(f->port = net_open_stream(&f->loop, "t", &options, &err));
    net_close(f->port);
    f->port = NULL;
    options.address.host = "no such host";
    assert_null(net_open_stream(&f->loop, "t", &options, &err));
    assert_non_null(strstr(err.text, "addr no such host:0"));
}

/* ---- two programs ---- */

static void two_machines_meet(void **state)
{
    const char *path = strdup(qtest_temp_file(".stream", 0));
    const char *told[2];
    struct qtest *a, *b;
    json_t *text;

    unlink(path);
    a = qtest_startf("-display none -netdev stream,id=n,server=on,addr.type=unix,addr.path=%s "
                     "-device rtl8139,netdev=n",
                     path);
    b = qtest_startf("-display none -nic stream,id=n,addr.type=unix,addr.path=%s,reconnect-ms=20", path);
    do {
        text = qtest_qmp_ok(
            a, "{'execute':'human-monitor-command','arguments':{'command-line':'info network'}}");
        told[0] = strstr(json_string_value(text), ",connected");
        json_decref(text);
    } while (!told[0]);
    qtest_stop(a);
    do {
        text = qtest_qmp_ok(
            b, "{'execute':'human-monitor-command','arguments':{'command-line':'info network'}}");
        told[1] = strstr(json_string_value(text), ",no peer");
        json_decref(text);
    } while (!told[1]);
    qtest_stop(b);
    free((void *)path);
}

static void mistakes_are_one_clear_line(void **state)
{
    static const struct {
        const char *args, *said;
    } cases[] = {
        {"stream,id=a", "addr.type= is missing"},
        {"stream,id=a,addr.type=unux", "inet, unix or fd, not 'unux'"},
        {"stream,id=a,addr.type=unix", "addr.path= is missing"},
        {"stream,id=a,addr.type=inet,addr.host=localhost", "addr.port= are both"},
        {"stream,id=a,addr.type=fd", "addr.str=FD is missing"},
        {"stream,id=a,addr.type=fd,addr.str=0", "no socket"},
        {"stream,id=a,addr.type=unix,addr.path=/nowhere/a", "No such file"},
        {"stream,id=a,addr.type=unix,addr.path=/nowhere/a,server=on", "No such file"},
        {"stream,id=a,addr.type=unix,addr.path=/nowhere/a,server=on,reconnect=1", "reconnect is for"},
        {"stream,id=a,addr.tpye=unix", "did you mean 'addr.type'"},
        {"dgram,id=a,local.type=unix,local.path=/a,remote.type=inet,remote.host=a,remote.port=1",
         "not the same"},
        {"dgram,id=a,local.type=inet,local.host=127.0.0.1,local.port=0", "remote.type= is missing"},
        {"socket,id=a", "is needed"},
        {"socket,id=a,listen=:1,connect=:1", "listen excludes connect"},
        {"socket,id=a,listen=1234", "not of the form"},
        {"socket,id=a,udp=127.0.0.1:1", "localaddr"},
        {"socket,id=a,connect=127.0.0.1:1", "refused"},
        {"socket,id=a,fd=0", "no socket"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char options[400];

        snprintf(options, sizeof(options), "-netdev %s", cases[i].args);
        fixture_refused(options, cases[i].said);
    }
}

static void old_options_are_taken(void **state)
{
    qtest_stop(qtest_start("-display none -netdev socket,id=a,listen=127.0.0.1:0 "
                           "-netdev socket,id=b,udp=127.0.0.1:9,localaddr=127.0.0.1:0 "
                           "-netdev dgram,id=c,local.type=inet,local.host=127.0.0.1,local.port=0,"
                           "remote.type=inet,remote.host=127.0.0.1,remote.port=9"));
}

#define WITH_WIRE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WIRE(frames_come_and_go),
        WITH_WIRE(frames_come_in_pieces),
        WITH_WIRE(lengths_of_no_card_are_passed_over),
        WITH_WIRE(garbage_ends_the_connection),
        WITH_WIRE(a_full_card_loses_nothing),
        WITH_WIRE(a_full_socket_makes_the_card_wait),
        WITH_WIRE(a_frame_that_goes_in_parts_arrives_whole),
        WITH_WIRE(a_burst_goes_out_at_its_end),
        WITH_WIRE(a_long_burst_does_not_wait_for_its_end),
        WITH_WIRE(a_burst_into_a_full_socket_loses_nothing),
        WITH_WIRE(a_peer_that_cannot_be_accepted),
        WITH_WIRE(a_peer_that_vanishes_in_a_burst),
        WITH_WIRE(a_peer_that_vanishes_in_a_frame),
        WITH_WIRE(a_server_takes_one_peer_after_the_other),
        WITH_WIRE(a_vanished_peer_holds_nothing_up),
        WITH_WIRE(a_client_comes_back),
        WITH_WIRE(a_client_without_a_server_is_a_mistake),
        WITH_WIRE(inet_works_too),
        cmocka_unit_test(two_machines_meet),
        cmocka_unit_test(mistakes_are_one_clear_line),
        cmocka_unit_test(old_options_are_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
