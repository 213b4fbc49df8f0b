/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tap interfaces, in a network namespace of the test's own: a bridge with two of them and a card on each. */
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hw/net/net_offload.h"
#include "net/ethernet.h"
#include "net/wires.h"
#include "tests/lib/wait.h"
#include "tests/lib/wire.h"
#include "tests/unit/wire_fixture.h"

static bool possible; /* may we have a namespace and taps? */

static const uint8_t from_mac[6] = {2, 0, 0, 0, 0, 1}, to_mac[6] = {2, 0, 0, 0, 0, 2};

struct far {
    struct net_card card;
    struct net_port *port;
    unsigned count;
    struct {
        size_t length;
        uint8_t data[NET_MAX_FRAME];
    } frames[8];
};

static bool far_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct far *far = opaque;

    if (memcmp(data, to_mac, 6) || far->count == 8)
        return true; /* the host's own, such as IPv6's */
    far->frames[far->count].length = length;
    memcpy(far->frames[far->count++].data, data, length);
    return true;
}

static int run(const char *command)
{
    char text[300];

    snprintf(text, sizeof(text), "%s >/dev/null 2>&1", command);
    return system(text);
}

static int setup(void **state)
{
    struct wire_fixture *f = fixture_new();
    struct far *far = calloc(1, sizeof(*far));

    *state = f;
    f->data = far;
    far->card = (struct net_card){.receive = far_receive, .opaque = far};
    return 0;
}

static int teardown(void **state)
{
    struct wire_fixture *f = *state;
    struct far *far = f->data;

    if (far->port)
        net_close(far->port);
    fixture_free(f);
    run("ip link del wirebr");
    return 0;
}

static struct net_port *open_tap(struct wire_fixture *f, const char *name, struct net_tap_options options)
{
    struct error err = {""};
    struct net_port *port;

    options.ifname = name;
    port = net_open_tap(&f->loop, name, &options, &err);
    if (!port)
        fail_msg("%s", err.text);
    return port;
}

static bool is_running(const char *name)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq ifr = {.ifr_flags = 0};

    snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name);
    assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &ifr), 0);
    close(fd);
    return ifr.ifr_flags & IFF_RUNNING;
}

/* Ours and the far card's tap, joined by a bridge. */
static void open_pair(struct wire_fixture *f, enum net_choice vnet_hdr)
{
    struct net_tap_options options = {.fd = -1, .bridge = "wirebr", .vnet_hdr = vnet_hdr};
    struct far *far = f->data;

    if (!possible || run("ip link add wirebr type bridge forward_delay 0 && ip link set wirebr up"))
        skip();
    fixture_attach(f, open_tap(f, "wiretap0", options));
    far->port = open_tap(f, "wiretap1", options);
    assert_true(net_attach(far->port, &far->card, "far"));
}

static void fill(uint8_t *frame, size_t length, unsigned type)
{
    for (size_t i = 0; i < length; i++)
        frame[i] = i * 3;
    memcpy(frame, to_mac, 6);
    memcpy(frame + 6, from_mac, 6);
    put_be16(frame + 12, type);
}

static void frames_pass_a_bridge(void **state)
{
    struct wire_fixture *f = *state;
    struct far *far = f->data;

    for (int vnet_hdr = NET_AUTO; vnet_hdr <= NET_OFF; vnet_hdr++) {
        static const size_t lengths[] = {60, 1514, 100};
        uint8_t frame[NET_MAX_FRAME];

        open_pair(f, vnet_hdr);
        assert_int_equal(net_takes_large(f->port), vnet_hdr != NET_OFF);
        for (int i = 0; i < 3; i++) {
            fill(frame, lengths[i], 0x88B5); /* for local experiments */
            assert_true(fixture_send(f, frame, lengths[i]));
        }
        fixture_wait(f, far->count == 3);
        for (int i = 0; i < 3; i++) {
            fill(frame, lengths[i], 0x88B5);
            assert_int_equal(far->frames[i].length, lengths[i]);
            assert_memory_equal(far->frames[i].data, frame, lengths[i]);
        }
        net_close(f->port);
        net_close(far->port);
        f->port = far->port = NULL;
        far->count = 0;
        run("ip link del wirebr");
    }
}

/* A TCP packet of headers and 4000 bytes, in segments of 1000. */
static size_t make_packet(uint8_t *packet, bool ipv4, struct offload_cut *cut)
{
    size_t ip = NET_HEADER, transport = ip + (ipv4 ? 20 : 40), headers = transport + 20;
    struct ip_packet found;

    fill(packet, headers + 4000, ipv4 ? 0x0800 : 0x86DD);
    memset(packet + ip, 0, headers - ip);
    packet[ip] = ipv4 ? 0x45 : 0x60;
    packet[ip + (ipv4 ? 8 : 7)] = 64;
    packet[ip + (ipv4 ? 9 : 6)] = PROTOCOL_TCP;
    packet[transport - 1] = 5;
    put_be16(packet + transport + 6, 77); /* sequence number */
    packet[transport + 12] = 5 << 4;
    packet[transport + 13] = 0x18; /* ACK PSH */
    assert_true(offload_find_ip(packet, headers + 4000, &found));
    put_be16(packet + transport + 16, offload_pseudo_sum(packet, &found, 0));
    *cut = (struct offload_cut){.ip = ip,
                                .transport = transport,
                                .headers = headers,
                                .payload = 1000,
                                .ipv4 = ipv4,
                                .tcp = true,
                                .sum_ip = ipv4,
                                .sum_transport = true,
                                .ip_sum = offload_ip_sum(&found),
                                .transport_sum = offload_transport_sum(&found)};
    cut->transport_sum.end = 0;
    return headers + 4000;
}

/* The kernel cuts as our own code does, byte for byte. */
static void large_packets_are_cut_by_the_kernel(void **state)
{
    struct wire_fixture *f = *state;
    struct far *far = f->data;

    open_pair(f, NET_ON);
    for (int ipv4 = 0; ipv4 < 2; ipv4++) {
        uint8_t packet[4100], expected[NET_MAX_FRAME];
        struct offload_cut cut;
        size_t length = make_packet(packet, ipv4, &cut), taken;
        struct net_frame frame;

        assert_true(offload_leave_cut(&cut, packet, length, &frame));
        assert_true(net_send(f->port, &frame));
        fixture_wait(f, far->count == 4);
        make_packet(packet, ipv4, &cut);
        for (int i = 0; i < 4; i++) {
            size_t size = offload_segment(&cut, packet, length, 1000 * i, expected, &taken);

            assert_int_equal(far->frames[i].length, size);
            assert_memory_equal(far->frames[i].data, expected, size);
        }
        far->count = 0;
    }
}

static void checksums_are_left_to_the_kernel(void **state)
{
    struct wire_fixture *f = *state;
    struct far *far = f->data;
    uint8_t packet[4100], expected[1100];
    struct offload_cut cut;
    struct net_frame frame = {.data = packet, .length = 1054, .needs_checksum = true};
    size_t length = make_packet(packet, true, &cut), taken;

    open_pair(f, NET_ON);
    memcpy(expected, packet, sizeof(expected));
    offload_segment(&cut, packet, length, 0, expected, &taken);
    memcpy(packet, expected, 1054);
    put_be16(packet + cut.transport_sum.place, 0);
    packet[cut.transport + 20] ^= 1;
    frame.checksum_start = cut.transport;
    frame.checksum_offset = 16;
    assert_true(net_send(f->port, &frame));
    memcpy(expected, packet, 1054);
    net_checksum(expected, 1054, cut.transport, 16);
    fixture_wait(f, far->count == 1);
    assert_memory_equal(far->frames[0].data, expected, 1054);
    /* places beyond the frame, which the kernel would refuse */
    frame.checksum_start = 2000;
    assert_true(net_send(f->port, &frame));
    fixture_wait(f, far->count == 2);
    assert_memory_equal(far->frames[1].data, packet, 1054);
}

/* Sent through a packet socket, as the host's own. */
static void send_raw(const char *name, const uint8_t *data, size_t length)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(name)};
    int fd = socket(AF_PACKET, SOCK_RAW, 0);

    assert_true(fd >= 0);
    assert_int_equal(sendto(fd, data, length, 0, (struct sockaddr *)&address, sizeof(address)), length);
    close(fd);
}

/* After an unplug or before the driver's card: no wake-ups from whatever the host's bridge floods. */
static void without_a_card_the_tap_is_quiet(void **state)
{
    struct wire_fixture *f = *state;
    struct far *far = f->data;
    struct epoll_event event;
    uint8_t frame[60];

    open_pair(f, NET_AUTO);
    assert_true(is_running("wiretap1"));
    net_detach(far->port);
    assert_true(SOON(!is_running("wiretap1")));
    fill(frame, sizeof(frame), 0x88B5);
    assert_true(fixture_send(f, frame, sizeof(frame)));
    fixture_serve(f);
    assert_int_equal(epoll_wait(f->loop.epoll_fd, &event, 1, 0), 0);
    assert_int_equal(far->count, 0);
    assert_true(net_attach(far->port, &far->card, "far"));
    assert_true(SOON(is_running("wiretap1")));
    fill(frame, sizeof(frame), 0x88B6);
    /* the host takes its time to send where there is a carrier again */
    assert_true(SOON((send_raw("wiretap1", frame, sizeof(frame)), fixture_serve(f), far->count)));
    assert_int_equal(far->frames[0].data[13], 0xB6);
}

static int open_by_hand(const char *name, short flags)
{
    struct ifreq ifr = {.ifr_flags = IFF_TAP | flags};
    int fd = open("/dev/net/tun", O_RDWR);

    snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name);
    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
    return fd;
}

/* With a header of 12 bytes and all of the kernel's offloads, as libvirt leaves it. */
static void an_inherited_device_is_taken_as_it_is(void **state)
{
    struct wire_fixture *f = *state;
    struct error err;
    uint8_t frame[100];
    int size = 12, fd;

    if (!possible)
        skip();
    fd = open_by_hand("wiretap2", IFF_NO_PI | IFF_VNET_HDR);
    assert_int_equal(ioctl(fd, TUNSETVNETHDRSZ, &size), 0);
    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4);
    fixture_attach(f, net_open_tap(&f->loop, "t", &(struct net_tap_options){.fd = fd}, &err));
    assert_non_null(strstr(f->port->info, "ifname=wiretap2,vnet_hdr=on"));
    run("ip link set wiretap2 up");
    fill(frame, sizeof(frame), 0x88B5);
    assert_true(
        SOON((send_raw("wiretap2", frame, sizeof(frame)), fixture_serve(f), !memcmp(f->frame, to_mac, 6))));
    assert_int_equal(f->length, sizeof(frame));
    assert_memory_equal(f->frame, frame, sizeof(frame));
    fd = open_by_hand("wiretap3", IFF_NO_PI);
    assert_null(net_open_tap(&f->loop, "u", &(struct net_tap_options){.fd = fd, .vnet_hdr = NET_ON}, &err));
    assert_non_null(strstr(err.text, "vnet_hdr=on"));
    close(fd);
}

/* Somebody deletes the interface: while it is read, while a frame of it waits for the card, without a card.
 */
static void a_tap_that_is_deleted_is_cut_once(void **state)
{
    enum { READING, WAITING, IDLE, STATES };
    struct wire_fixture *f = *state;
    uint8_t frame[100];
    struct epoll_event event;

    if (!possible)
        skip();
    fill(frame, sizeof(frame), 0x88B5);
    for (int in = 0; in < STATES; in++) {
        fixture_attach(f, open_tap(f, "wiretap4", (struct net_tap_options){.fd = -1}));
        run("ip link set wiretap4 up");
        f->full = in == WAITING;
        send_raw("wiretap4", frame, sizeof(frame));
        fixture_serve(f);
        if (in == IDLE)
            net_detach(f->port);
        assert_int_equal(run("ip link del wiretap4"), 0);
        for (int i = 0; i < 20; i++)
            fixture_serve(f);
        f->full = false;
        net_resume(f->port);
        if (in == IDLE)
            assert_true(net_attach(f->port, &f->card, "card0"));
        for (int i = 0; i < 20; i++)
            fixture_serve(f);
        assert_int_equal(epoll_wait(f->loop.epoll_fd, &event, 1, 0), 0);
        for (int i = 0; i < 3; i++)
            assert_true(fixture_send(f, frame, sizeof(frame))); /* and lost */
        net_close(f->port);
        f->port = NULL;
    }
}

/* Scripts get the name; script=no leaves the bridge to others, who may not have made it yet. */
static void scripts_and_bridges(void **state)
{
    char script[] = "/tmp/hvm-dm-ifup-XXXXXX", command[200];
    struct qtest *q;
    FILE *file;
    int fd;

    if (!possible)
        skip();
    fd = mkstemp(script);
    file = fdopen(fd, "w");
    fprintf(file, "#!/bin/sh\necho \"$1\" >>%s.said\n", script);
    fchmod(fd, 0755);
    fclose(file);
    q = qtest_startf("-display none -netdev tap,id=a,ifname=wiretap4,br=nowhere,script=%s,downscript=%s "
                     "-device rtl8139,netdev=a -netdev type=tap,id=b,ifname=wiretap5,br=nowhere,script=no,"
                     "downscript=no -device rtl8139,netdev=b",
                     script, script);
    assert_int_not_equal(if_nametoindex("wiretap5"), 0);
    qtest_stop(q);
    assert_int_equal(if_nametoindex("wiretap5"), 0);
    snprintf(command, sizeof(command), "test \"$(cat %s.said)\" = \"$(printf 'wiretap4\\nwiretap4')\"",
             script);
    assert_int_equal(run(command), 0);
    snprintf(command, sizeof(command), "rm %s %s.said", script, script);
    run(command);
}

static void a_missing_bridge_is_said(void **state)
{
    char *said;

    if (!possible)
        skip();
    assert_int_equal(qtest_start_failing("-accel qtest -display none -netdev bridge,id=a,br=nowhere", &said),
                     1);
    assert_non_null(strstr(said, "br=nowhere: No such device"));
    free(said);
}

#define WITH_WIRE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WIRE(frames_pass_a_bridge),
        WITH_WIRE(large_packets_are_cut_by_the_kernel),
        WITH_WIRE(checksums_are_left_to_the_kernel),
        WITH_WIRE(without_a_card_the_tap_is_quiet),
        WITH_WIRE(an_inherited_device_is_taken_as_it_is),
        WITH_WIRE(a_tap_that_is_deleted_is_cut_once),
        cmocka_unit_test(scripts_and_bridges),
        cmocka_unit_test(a_missing_bridge_is_said),
    };

    possible = (!unshare(CLONE_NEWNET) || !unshare(CLONE_NEWUSER | CLONE_NEWNET)) &&
               !access("/dev/net/tun", R_OK | W_OK);
    if (!possible)
        fprintf(stderr, "tap_test: no network namespace, or no /dev/net/tun: its tests are left out\n");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
