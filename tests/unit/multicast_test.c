/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Multicast wires, on the loopback interface: frames reach every member of the group but who sent them. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "tests/lib/qpci.h"
#include "tests/lib/wait.h"
#include "tests/unit/wire_fixture.h"

#define LOOPBACK "127.0.0.1"

/* A group of this process's own. */
static char group[20], port[8];
static struct sockaddr_in group_address; /* both of them */
static bool can_join;

/* A member without a wire: its socket, -1: the kernel refuses (errno). */
static int join(void)
{
    struct ip_mreq membership = {.imr_multiaddr = group_address.sin_addr};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;

    inet_pton(AF_INET, LOOPBACK, &membership.imr_interface);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (!bind(fd, (struct sockaddr *)&group_address, sizeof(group_address)) &&
        !setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &membership, sizeof(membership)) &&
        !setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &membership.imr_interface,
                    sizeof(membership.imr_interface)))
        return fd;
    close(fd);
    return -1;
}

static void tell(int fd, const uint8_t data[60])
{
    assert_int_equal(sendto(fd, data, 60, 0, (struct sockaddr *)&group_address, sizeof(group_address)), 60);
}

static int setup(void **state)
{
    *state = fixture_new();
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static struct net_port *open_member(struct wire_fixture *f, struct error *err)
{
    struct net_dgram_options options = {
        .local = {.kind = NET_ADDRESS_INET, .host = LOOPBACK, .fd = -1},
        .remote = {.kind = NET_ADDRESS_INET, .host = group, .port = port, .fd = -1}};

    return net_open_dgram(&f->loop, "m", &options, err);
}

static void send_mark(struct net_port *from, uint8_t mark)
{
    uint8_t data[60];
    struct net_frame frame = {.data = data, .length = sizeof(data)};

    memset(data, mark, sizeof(data));
    assert_true(net_send(from, &frame));
}

static void frames_reach_the_others_only(void **state)
{
    struct wire_fixture *a = *state, *b = fixture_new();
    int peer;
    uint8_t data[60];

    if (!can_join)
        skip();
    peer = join();
    fixture_attach(a, open_member(a, NULL));
    fixture_attach(b, open_member(b, NULL));
    for (uint8_t mark = 1; mark < 4; mark++) {
        send_mark(a->port, mark);
        assert_int_equal(recv(peer, data, sizeof(data), 0), sizeof(data));
        assert_int_equal(data[20], mark);
        fixture_wait(b, b->received == mark);
        assert_int_equal(b->frame[20], mark);
    }
    send_mark(b->port, 7);
    fixture_wait(a, a->received);
    assert_int_equal(a->frame[20], 7); /* the first that came: its own did not */
    tell(peer, data);
    fixture_wait(a, a->received == 2);
    fixture_wait(b, b->received == 4);
    assert_int_equal(a->frame[20], 3);
    close(peer);
    fixture_free(b);
}

static void a_full_card_loses_nothing(void **state)
{
    struct wire_fixture *f = *state;
    uint8_t data[60] = {0};
    int peer;

    if (!can_join)
        skip();
    fixture_attach(f, open_member(f, NULL));
    peer = join();
    f->full = true;
    for (data[20] = 0; data[20] < 40; data[20]++)
        tell(peer, data);
    fixture_serve(f);
    assert_int_equal(f->received, 0);
    f->full = false;
    net_resume(f->port);
    fixture_wait(f, f->received == 40);
    assert_int_equal(f->frame[20], 39);
    close(peer);
}

/* ---- two programs ---- */

enum { TSD0 = 0x10, TSAD0 = 0x20, RBSTART = 0x30, CR = 0x37, RCR = 0x44 };

struct machine_on_wire {
    struct qtest *q;
    uint64_t io, ring, tx;
};

static void start(struct machine_on_wire *m, const char *netdev)
{
    struct qpci pci;

    m->q = qtest_startf("-nodefaults -vga none -netdev %s -device rtl8139,netdev=n", netdev);
    pci = qpci_get(m->q, 0x10EC, 0x8139);
    m->io = qpci_map(&pci, 0);
    qpci_enable(&pci);
    m->ring = qtest_alloc(m->q, 16384, 4096);
    m->tx = qtest_alloc(m->q, 4096, 4096);
    qtest_outl(m->q, m->io + RBSTART, m->ring);
    qtest_outb(m->q, m->io + CR, 0x0C);
    qtest_outl(m->q, m->io + RCR, 0x0F);
}

static bool has_received(struct machine_on_wire *m)
{
    return !(qtest_inb(m->q, m->io + CR) & 1);
}

static void send_broadcast(struct machine_on_wire *m, uint8_t mark)
{
    qtest_memset(m->q, m->tx, 0xFF, 6);
    qtest_memset(m->q, m->tx + 6, mark, 54);
    qtest_outl(m->q, m->io + TSAD0, m->tx);
    qtest_outl(m->q, m->io + TSD0, 60);
}

static void two_machines_meet(void **state)
{
    struct machine_on_wire a, b;
    char old[100], new[200];

    if (!can_join)
        skip();
    snprintf(old, sizeof(old), "socket,id=n,mcast=%s:%s,localaddr=" LOOPBACK, group, port);
    snprintf(new, sizeof(new),
             "dgram,id=n,remote.type=inet,remote.host=%s,remote.port=%s,local.type=inet,local.host=" LOOPBACK,
             group, port);
    start(&a, old);
    start(&b, new);
    send_broadcast(&a, 5);
    assert_true(SOON(has_received(&b)));
    assert_int_equal(qtest_readb(b.q, b.ring + 4 + 20), 5);
    assert_false(has_received(&a));
    send_broadcast(&b, 6);
    assert_true(SOON(has_received(&a)));
    assert_int_equal(qtest_readb(a.q, a.ring + 4 + 20), 6);
    qtest_stop(a.q);
    qtest_stop(b.q);
}

static void mistakes_are_one_clear_line(void **state)
{
    static const struct {
        const char *args, *said;
    } cases[] = {
        {"dgram,id=a,remote.type=inet,remote.host=127.0.0.1,remote.port=9", "is no multicast group"},
        {"dgram,id=a,remote.type=inet,remote.host=127.0.0.1,remote.port=9,local.type=inet,"
         "local.host=127.0.0.1",
         "is no multicast group"},
        {"dgram,id=a,remote.type=inet,remote.host=230.0.0.1", "remote.port= are both needed"},
        {"dgram,id=a,remote.type=inet,remote.host=230.0.0.1,remote.port=9,local.type=unix,local.path=/a",
         "not the same"},
        {"socket,id=a,mcast=127.0.0.1:9", "is no multicast group"},
        {"socket,id=a,mcast=230.0.0.1", "not of the form"},
        {"socket,id=a,mcast=230.0.0.1:9,listen=:1", "listen excludes mcast"},
        {"socket,id=a,mcast=230.0.0.1:9,localaddr=192.0.2.254", "230.0.0.1:9"}, /* not ours */
        {"socket,id=a,mcast=230.0.0.1:9,localaddr=::1", "not an IPv4 address"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char options[400];

        snprintf(options, sizeof(options), "-netdev %s", cases[i].args);
        fixture_refused(options, cases[i].said);
    }
}

#define WITH_WIRE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WIRE(frames_reach_the_others_only),
        WITH_WIRE(a_full_card_loses_nothing),
        cmocka_unit_test(two_machines_meet),
        cmocka_unit_test(mistakes_are_one_clear_line),
    };
    unsigned own = getpid();
    int fd;

    snprintf(group, sizeof(group), "239.%u.%u.%u", 192 + (own >> 16 & 0x3F), own >> 8 & 0xFF, own & 0xFF);
    snprintf(port, sizeof(port), "%u", 20000 + own % 10000);
    group_address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    inet_pton(AF_INET, group, &group_address.sin_addr);
    fd = join();
    can_join = fd >= 0;
    if (can_join)
        close(fd);
    else
        fprintf(stderr, "multicast_test: no group can be joined on the loopback interface: %s\n",
                strerror(errno));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
