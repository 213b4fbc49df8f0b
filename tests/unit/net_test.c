/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The network between wires and cards, and the options that make it. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/ethernet.h"
#include "net/wires.h"
#include "tests/unit/wire_fixture.h"

static int setup(void **state)
{
    struct wire_fixture *f = fixture_new();

    *state = f;
    fixture_open_pair(f, SOCK_DGRAM);
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static void send_frame(struct wire_fixture *f, uint8_t mark, size_t length)
{
    uint8_t data[4096];

    memset(data, mark, length);
    assert_int_equal(write(f->peer, data, length), length);
}

static void frames_come_and_go(void **state)
{
    struct wire_fixture *f = *state;
    uint8_t out[60] = "hello", in[100];
    struct net_frame frame = {.data = out, .length = sizeof(out)};

    send_frame(f, 0x5A, 77);
    fixture_serve(f);
    assert_int_equal(f->received, 1);
    assert_int_equal(f->length, 77);
    assert_int_equal(f->frame[76], 0x5A);
    assert_true(net_send(f->port, &frame));
    assert_int_equal(read(f->peer, in, sizeof(in)), sizeof(out));
    assert_memory_equal(in, out, sizeof(out));
}

static void one_card_on_a_wire(void **state)
{
    struct wire_fixture *f = *state;

    assert_false(net_attach(f->port, &f->card, "card1"));
    assert_ptr_equal(net_find(f->port, "n0"), f->port);
    assert_ptr_equal(net_find_owner(f->port, "card0"), f->port);
    assert_null(net_find_owner(f->port, "card1"));
    net_detach(f->port);
    send_frame(f, 1, 60);
    fixture_serve(f);
    assert_int_equal(f->received, 0);
    assert_true(net_attach(f->port, &f->card, "card1"));
}

static void a_full_card_loses_nothing(void **state)
{
    struct wire_fixture *f = *state;

    f->full = true;
    for (int i = 1; i <= 5; i++)
        send_frame(f, i, 60 + i);
    fixture_serve(f);
    fixture_serve(f);
    assert_int_equal(f->received, 0);
    net_resume(f->port); /* still full: the frame is kept */
    fixture_serve(f);
    assert_int_equal(f->received, 0);
    f->full = false;
    net_resume(f->port);
    fixture_serve(f);
    assert_int_equal(f->received, 5);
    assert_int_equal(f->length, 65);
    assert_int_equal(f->frame[0], 5);
}

static void a_full_wire_makes_the_card_wait(void **state)
{
    struct wire_fixture *f = *state;
    uint8_t out[1514] = {0}, in[2000];
    struct net_frame frame = {.data = out, .length = sizeof(out)};
    unsigned n = 0, came = 0;

    while (n < 100000 && net_send(f->port, &frame))
        n++;
    assert_in_range(n, 1, 99999);
    assert_false(net_send(f->port, &frame));
    fixture_serve(f);
    assert_int_equal(f->sent, 0);
    while (read(f->peer, in, sizeof(in)) == sizeof(out))
        came++;
    assert_int_equal(came, n);
    fixture_serve(f);
    assert_int_equal(f->sent, 1);
    assert_true(net_send(f->port, &frame));
}

static void bad_lengths_are_dropped(void **state)
{
    struct wire_fixture *f = *state;
    uint8_t out[NET_MAX_FRAME + 1] = {0}, in[4096];
    struct net_frame frame = {.data = out};

    send_frame(f, 1, 0);
    send_frame(f, 1, NET_MAX_FRAME + 1);
    send_frame(f, 1, 4000);
    fixture_serve(f);
    assert_int_equal(f->received, 0);
    send_frame(f, 1, NET_MAX_FRAME);
    send_frame(f, 1, 1);
    fixture_serve(f);
    assert_int_equal(f->received, 2);
    assert_true(net_send(f->port, &frame));
    frame.length = sizeof(out);
    assert_true(net_send(f->port, &frame));
    assert_int_equal(read(f->peer, in, sizeof(in)), -1);
}

static void link_down_passes_nothing(void **state)
{
    struct wire_fixture *f = *state;
    uint8_t out[60] = {0}, in[100];
    struct net_frame frame = {.data = out, .length = sizeof(out)};

    f->full = true;
    send_frame(f, 1, 60);
    fixture_serve(f);
    net_set_link(f->port, false);
    net_set_link(f->port, false);
    assert_int_equal(f->link_changes, 1);
    assert_false(f->link);
    assert_false(net_link_up(f->port));
    assert_true(net_send(f->port, &frame));
    assert_int_equal(read(f->peer, in, sizeof(in)), -1);
    f->full = false;
    send_frame(f, 2, 60);
    fixture_serve(f);
    assert_int_equal(f->received, 0);
    net_set_link(f->port, true);
    assert_true(f->link);
    send_frame(f, 3, 60);
    fixture_serve(f);
    assert_int_equal(f->received, 1);
    assert_int_equal(f->frame[0], 3);
    assert_true(net_send(NULL, &frame));
    assert_false(net_link_up(NULL));
}

/* As QMP stop and cont have it. */
static void a_stopped_guest_receives_when_it_goes_on(void **state)
{
    struct wire_fixture *f = *state;

    f->clock.mode = CLOCK_STOPPED;
    send_frame(f, 1, 60);
    send_frame(f, 2, 60);
    fixture_serve(f);
    assert_int_equal(f->received, 0);
    clock_start(&f->clock);
    net_resume_all(f->port);
    fixture_serve(f);
    assert_int_equal(f->received, 2);
    assert_int_equal(f->frame[0], 2);
}

static void checksums_are_finished(void **state)
{
    struct wire_fixture *f = *state;
    uint8_t out[61] = {0}, in[100];
    struct net_frame frame = {.data = out,
                              .length = sizeof(out),
                              .needs_checksum = true,
                              .checksum_start = 14,
                              .checksum_offset = 6};
    uint32_t sum = 0;

    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = i * 7;
    out[20] = out[21] = 0;
    assert_true(net_send(f->port, &frame));
    assert_int_equal(read(f->peer, in, sizeof(in)), sizeof(out));
    for (size_t i = 14; i < sizeof(out); i += 2)
        sum += in[i] << 8 | (i + 1 < sizeof(out) ? in[i + 1] : 0);
    assert_int_equal((sum & 0xFFFF) + (sum >> 16), 0xFFFF);
    /* places beyond the frame */
    frame.checksum_offset = 60;
    assert_true(net_send(f->port, &frame));
    assert_int_equal(read(f->peer, in, sizeof(in)), sizeof(out));
    assert_memory_equal(in, out, sizeof(out));
    frame.checksum_start = 0xFFFF;
    assert_true(net_send(f->port, &frame));
    assert_int_equal(read(f->peer, in, sizeof(in)), sizeof(out));
}

static void a_peer_that_vanishes_costs_frames_only(void **state)
{
    struct wire_fixture *f = *state;
    uint8_t out[60] = {0};
    struct net_frame frame = {.data = out, .length = sizeof(out)};

    close(f->peer);
    f->peer = -1;
    for (int i = 0; i < 10; i++)
        assert_true(net_send(f->port, &frame));
    fixture_serve(f);
}

static void the_peer_may_come_late_and_come_back(void **state)
{
    struct wire_fixture *f = *state;
    const char *dir = strdup(qtest_temp_file(".wire", 0));
    char ours[128], theirs[128];
    struct net_dgram_options options = {.local = {.kind = NET_ADDRESS_UNIX, .path = ours},
                                        .remote = {.kind = NET_ADDRESS_UNIX, .path = theirs}};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uint8_t out[60] = {0}, in[100];
    struct net_frame frame = {.data = out, .length = sizeof(out)};
    struct net_port *port;

    snprintf(ours, sizeof(ours), "%s.a", dir);
    snprintf(theirs, sizeof(theirs), "%s.b", dir);
    snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", theirs);
    port = net_open_dgram(&f->loop, "late", &options, NULL);
    assert_non_null(port);
    assert_true(net_send(port, &frame));
    for (int round = 0; round < 2; round++) {
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_true(net_send(port, &frame)); /* may find that the old peer is gone */
        assert_true(net_send(port, &frame));
        assert_int_equal(read(fd, in, sizeof(in)), sizeof(out));
        close(fd);
        unlink(theirs);
        fixture_serve(f);
    }
    net_close(port);
    assert_int_equal(access(ours, F_OK), -1);
    free((void *)dir);
}

/* UDP at a closed port: the host tells, again and again, and it costs neither the wire nor sleep. */
static void an_unreachable_peer_may_come_yet(void **state)
{
    struct wire_fixture *f = *state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    char text[8];
    struct net_dgram_options options = {
        .local = {.kind = NET_ADDRESS_INET, .host = "127.0.0.1", .port = "0"},
        .remote = {.kind = NET_ADDRESS_INET, .host = "127.0.0.1", .port = text}};
    uint8_t out[60] = {0}, in[100];
    struct net_frame frame = {.data = out, .length = sizeof(out)};
    struct epoll_event event;
    struct net_port *port;

    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    snprintf(text, sizeof(text), "%u", ntohs(address.sin_port));
    assert_non_null(port = net_open_dgram(&f->loop, "udp", &options, NULL));
    for (int i = 0; i < 10; i++) {
        assert_true(net_send(port, &frame));
        fixture_serve(f);
        assert_int_equal(epoll_wait(f->loop.epoll_fd, &event, 1, 0), 0);
    }
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_true(net_send(port, &frame));
    assert_int_equal(read(fd, in, sizeof(in)), sizeof(out));
    close(fd);
    net_close(port);
}

static void addresses(void **state)
{
    uint8_t a[6] = {0}, b[6] = {0}, c[6] = {0}, given[6] = {2, 1, 2, 3, 4, 5}, group[6] = {0x33, 0x33};
    struct error err;

    assert_true(net_choose_mac(a, "guest", 24, NULL));
    assert_true(net_choose_mac(b, "guest", 24, NULL));
    assert_memory_equal(a, b, 6);
    assert_int_equal(a[0] & 3, 2); /* locally administered, one station */
    assert_true(net_choose_mac(c, "guest", 32, NULL));
    assert_memory_not_equal(a, c, 6);
    memset(c, 0, 6);
    assert_true(net_choose_mac(c, "other", 24, NULL));
    assert_memory_not_equal(a, c, 6);
    assert_true(net_choose_mac(given, "guest", 24, NULL));
    assert_int_equal(given[5], 5);
    assert_false(net_choose_mac(group, "guest", 24, &err));
    assert_non_null(strstr(err.text, "multicast"));
}

static void mistakes_are_one_clear_line(void **state)
{
    static const struct {
        const char *args, *said;
    } cases[] = {
        {"-netdev tup,id=x", "did you mean 'tap'"},
        {"-netdev tap", "id= is missing"},
        {"-netdev tap,id=a,ifnam=x", "did you mean 'ifname'"},
        {"-netdev tap,id=a,ifname=0123456789012345", "ifname"},
        {"-netdev tap,id=a,fd=0", "no tap device"},
        {"-netdev tap,id=a,fd=0,ifname=b", "fd excludes"},
        {"-netdev dgram,id=a", "local.type"},
        {"-netdev dgram,id=a,local.type=unix,remote.type=unix", "local.path= is missing"},
        {"-netdev dgram,id=a,local.type=fd,local.str=0", "no socket"},
        {"-netdev dgram,id=a,local.type=unix,local.path=/nowhere/a,remote.type=unix,remote.path=/b",
         "No such file"},
        {"-net nic,model=rtl8193", "did you mean 'rtl8139'"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        fixture_refused(cases[i].args, cases[i].said);
}

#define WITH_WIRE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WIRE(frames_come_and_go),
        WITH_WIRE(one_card_on_a_wire),
        WITH_WIRE(a_full_card_loses_nothing),
        WITH_WIRE(a_full_wire_makes_the_card_wait),
        WITH_WIRE(bad_lengths_are_dropped),
        WITH_WIRE(link_down_passes_nothing),
        WITH_WIRE(a_stopped_guest_receives_when_it_goes_on),
        WITH_WIRE(checksums_are_finished),
        WITH_WIRE(a_peer_that_vanishes_costs_frames_only),
        WITH_WIRE(the_peer_may_come_late_and_come_back),
        WITH_WIRE(an_unreachable_peer_may_come_yet),
        cmocka_unit_test(addresses),
        cmocka_unit_test(mistakes_are_one_clear_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
