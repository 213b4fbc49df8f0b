/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The user-mode network, from the card's side: every frame is made and read here. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/ethernet.h"
#include "net/frame_queue.h"
#include "net/user_config.h"
#include "net/wires.h"
#include "tests/lib/wait.h"
#include "tests/lib/wire.h"
#include "tests/unit/wire_fixture.h"

enum { ETHER_IP = 0x0800, ETHER_ARP = 0x0806, UDP = 17, TCP = 6, FIN = 1, SYN = 2, RST = 4, ACK = 16 };

static const uint8_t our_mac[6] = {0x52, 0x54, 0, 1, 2, 3};
static const uint8_t broadcast[6] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
static const uint8_t nobody[4], everybody[4] = {255, 255, 255, 255};
static const uint8_t ours[4] = {10, 0, 2, 15}, host[4] = {10, 0, 2, 2};

/* What came, filtered: ARP requests for us are answered on the way. */
struct guest {
    uint8_t router_mac[6];
    struct frame_queue frames; /* IP only */
    uint32_t next, seen;       /* TCP sequence numbers: ours, and of the other side's next byte */
    uint16_t our_port, peer_port;
    bool refuse_arp;
};

static void put16(uint8_t *to, uint16_t value)
{
    to[0] = value >> 8;
    to[1] = value;
}

static void put32(uint8_t *to, uint32_t value)
{
    put16(to, value >> 16);
    put16(to + 2, value);
}

static uint16_t get16(const uint8_t *from)
{
    return from[0] << 8 | from[1];
}

static uint32_t get32(const uint8_t *from)
{
    return (uint32_t)get16(from) << 16 | get16(from + 2);
}

/* ---- frames out ---- */

static void send_arp(struct wire_fixture *f, uint16_t operation, const uint8_t *to_mac, const uint8_t *to)
{
    uint8_t frame[60] = {0};

    memcpy(frame, operation == 1 ? broadcast : to_mac, 6);
    memcpy(frame + 6, our_mac, 6);
    put16(frame + 12, ETHER_ARP);
    memcpy(frame + 14, (uint8_t[]){0, 1, 8, 0, 6, 4, 0, operation}, 8);
    memcpy(frame + 22, our_mac, 6);
    memcpy(frame + 28, ours, 4);
    memcpy(frame + 32, to_mac, 6);
    memcpy(frame + 38, to, 4);
    assert_true(fixture_send(f, frame, sizeof(frame)));
}

/* The sum of TCP and UDP covers addresses, protocol and length, which are put where the checksum is. */
static void send_ip(struct wire_fixture *f, const uint8_t *from, const uint8_t *to, uint8_t protocol,
                    const void *data, size_t length)
{
    struct guest *g = f->data;
    uint8_t frame[NET_MAX_FRAME] = {0}, *ip = frame + NET_HEADER;
    size_t sum_at = protocol == UDP ? 6 : 16, total = NET_HEADER + 20 + length;
    uint32_t pseudo = protocol + length;

    memcpy(frame, memcmp(to, everybody, 4) ? g->router_mac : broadcast, 6);
    memcpy(frame + 6, our_mac, 6);
    put16(frame + 12, ETHER_IP);
    ip[0] = 0x45;
    put16(ip + 2, 20 + length);
    ip[8] = 64;
    ip[9] = protocol;
    memcpy(ip + 12, from, 4);
    memcpy(ip + 16, to, 4);
    net_checksum(frame, NET_HEADER + 20, NET_HEADER, 10);
    memcpy(ip + 20, data, length);
    for (int i = 12; i < 20; i += 2)
        pseudo += get16(ip + i);
    put16(ip + 20 + sum_at, (pseudo & 0xFFFF) + (pseudo >> 16));
    net_checksum(frame, total, NET_HEADER + 20, sum_at);
    assert_true(fixture_send(f, frame, total < NET_MIN_FRAME ? NET_MIN_FRAME : total));
}

static void send_udp(struct wire_fixture *f, const uint8_t *from, const uint8_t *to, uint16_t from_port,
                     uint16_t to_port, const void *data, size_t length)
{
    uint8_t udp[1480];

    put16(udp, from_port);
    put16(udp + 2, to_port);
    put16(udp + 4, 8 + length);
    memcpy(udp + 8, data, length);
    send_ip(f, from, to, UDP, udp, 8 + length);
}

static void send_tcp(struct wire_fixture *f, const uint8_t *to, uint8_t flags, const void *data,
                     size_t length)
{
    struct guest *g = f->data;
    uint8_t tcp[1480] = {0};

    put16(tcp, g->our_port);
    put16(tcp + 2, g->peer_port);
    put32(tcp + 4, g->next);
    put32(tcp + 8, g->seen);
    tcp[12] = 5 << 4;
    tcp[13] = flags;
    put16(tcp + 14, 0xFFFF);
    if (length)
        memcpy(tcp + 20, data, length);
    send_ip(f, ours, to, TCP, tcp, 20 + length);
    g->next += length + !!(flags & (SYN | FIN));
}

/* ---- frames in ---- */

static void take(struct wire_fixture *f)
{
    struct guest *g = f->data;

    if (get16(f->frame + 12) == ETHER_IP)
        assert_true(frame_queue_put(&g->frames, f->frame, f->length));
    if (get16(f->frame + 12) == ETHER_ARP)
        memcpy(g->router_mac, f->frame + 22, 6);
}

/* The card may not send from inside of receive: here is where ARP is answered. */
static void answer_arp(struct wire_fixture *f)
{
    const struct guest *g = f->data;

    if (g->refuse_arp || f->length < 42 || get16(f->frame + 12) != ETHER_ARP || f->frame[21] != 1 ||
        memcmp(f->frame + 38, ours, 4))
        return;
    f->length = 0;
    send_arp(f, 2, g->router_mac, f->frame + 28);
}

/* The next IP packet of that protocol; valid until the next call. */
static const uint8_t *next_ip(struct wire_fixture *f, uint8_t protocol, size_t *length)
{
    static uint8_t copy[NET_MAX_FRAME];
    struct guest *g = f->data;

    for (;;) {
        const uint8_t *frame;
        size_t size;

        fixture_wait(f, (answer_arp(f), g->frames.count));
        frame = frame_queue_first(&g->frames, &size);
        memcpy(copy, frame + NET_HEADER, size - NET_HEADER);
        frame_queue_drop(&g->frames);
        *length = get16(copy + 2);
        assert_in_range(*length, 20, size - NET_HEADER);
        if (copy[9] == protocol)
            return copy;
    }
}

/* The next segment of the connection that has data or flags; it is acknowledged. */
static const uint8_t *next_tcp(struct wire_fixture *f, uint8_t *flags, size_t *length)
{
    struct guest *g = f->data;

    for (;;) {
        const uint8_t *ip = next_ip(f, TCP, length), *tcp = ip + (ip[0] & 15) * 4;

        *flags = tcp[13] & 63;
        *length -= (ip[0] & 15) * 4 + (tcp[12] >> 4) * 4;
        if (!*length && !(*flags & (SYN | FIN | RST)))
            continue;
        if (*flags & SYN) {
            g->peer_port = get16(tcp);
            g->our_port = get16(tcp + 2);
            g->seen = get32(tcp + 4);
        }
        if (get32(tcp + 4) != g->seen)
            continue; /* once more */
        g->seen += *length + !!(*flags & (SYN | FIN));
        send_tcp(f, ip + 12, *flags & SYN ? SYN | ACK : ACK, NULL, 0);
        return tcp + (tcp[12] >> 4) * 4;
    }
}

/* ---- set-up ---- */

static int setup(void **state)
{
    struct wire_fixture *f = fixture_new();
    struct guest *g = calloc(1, sizeof(*g));

    assert_true(frame_queue_init(&g->frames, 1 << 20));
    f->data = g;
    f->hook = take;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct wire_fixture *f = *state;
    struct guest *g = f->data;

    frame_queue_free(&g->frames);
    fixture_free(f);
    return 0;
}

static void open_user(struct wire_fixture *f, struct net_user_options options)
{
    struct error err = {""};
    struct net_port *port;

    options.ipv6_prefix_length = 64;
    port = net_open_user(&f->loop, "u0", &options, &err);
    if (!port)
        fail_msg("%s", err.text);
    fixture_attach(f, port);
}

/* ARP for the router, so that its address is known. */
static void meet(struct wire_fixture *f)
{
    static const uint8_t unknown[6];
    struct guest *g = f->data;

    send_arp(f, 1, unknown, host);
    fixture_wait(f, memcmp(g->router_mac, unknown, 6));
}

/* ---- tests ---- */

static void the_router_answers_arp(void **state)
{
    struct wire_fixture *f = *state;

    open_user(f, (struct net_user_options){0});
    meet(f);
    assert_int_equal(f->frame[21], 2);
    assert_memory_equal(f->frame, our_mac, 6);
    assert_memory_equal(f->frame + 28, host, 4);
}

static const uint8_t *dhcp_option(const uint8_t *options, const uint8_t *end, uint8_t code, uint8_t *length)
{
    while (options + 2 <= end && *options != 255) {
        if (*options == code) {
            *length = options[1];
            return options + 2;
        }
        options += *options ? 2 + options[1] : 1;
    }
    return NULL;
}

static void dhcp_offers_what_was_asked_for(void **state)
{
    struct wire_fixture *f = *state;
    uint8_t bootp[300] = {1, 1, 6, 0, 0xDE, 0xAD, 0xBE, 0xEF}, size;
    const uint8_t *ip, *answer, *option;
    size_t length;

    open_user(f, (struct net_user_options){.net = "192.168.76.0/255.255.255.0",
                                           .dhcpstart = "192.168.76.9",
                                           .hostname = "wooden",
                                           .domainname = "example.org",
                                           .bootfile = "pxelinux.0"});
    memcpy(bootp + 28, our_mac, 6);
    memcpy(bootp + 236, (uint8_t[]){99, 130, 83, 99, 53, 1, 1, 255}, 8); /* DISCOVER */
    send_udp(f, nobody, everybody, 68, 67, bootp, sizeof(bootp));
    ip = next_ip(f, UDP, &length);
    assert_memory_equal(ip + 12, ((uint8_t[]){192, 168, 76, 2}), 4);
    assert_int_equal(get16(ip + 22), 68);
    answer = ip + 28;
    assert_int_equal(answer[0], 2);
    assert_memory_equal(answer + 4, bootp + 4, 4);
    assert_memory_equal(answer + 16, ((uint8_t[]){192, 168, 76, 9}), 4);
    assert_string_equal((const char *)answer + 108, "pxelinux.0");
    option = dhcp_option(answer + 240, ip + length, 53, &size);
    assert_non_null(option);
    assert_int_equal(*option, 2); /* OFFER */
    option = dhcp_option(answer + 240, ip + length, 6, &size);
    assert_memory_equal(option, ((uint8_t[]){192, 168, 76, 3}), 4);
    option = dhcp_option(answer + 240, ip + length, 12, &size);
    assert_non_null(option);
    assert_memory_equal(option, "wooden", 6);
    option = dhcp_option(answer + 240, ip + length, 15, &size);
    assert_non_null(option);
    assert_memory_equal(option, "example.org", 11);
}

static void tftp_gives_a_file(void **state)
{
    struct wire_fixture *f = *state;
    char dir[] = "/tmp/hvm-dm-tftp-XXXXXX", path[64];
    uint8_t block[512];
    size_t got = 0, length;
    FILE *file;

    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/kernel", dir);
    file = fopen(path, "w");
    for (int i = 0; i < 1300; i++)
        fputc(i * 7, file);
    fclose(file);
    open_user(f, (struct net_user_options){.tftp = dir});
    meet(f);
    send_udp(f, ours, host, 2000, 69, "\0\1kernel\0octet", 15);
    do {
        const uint8_t *ip = next_ip(f, UDP, &length), *tftp = ip + 28;

        length -= 32;
        assert_int_equal(get16(tftp), 3); /* DATA */
        assert_int_equal(get16(tftp + 2), got / 512 + 1);
        for (size_t i = 0; i < length; i++)
            assert_int_equal(tftp[4 + i], (uint8_t)((got + i) * 7));
        got += length;
        memcpy(block, (uint8_t[]){0, 4, tftp[2], tftp[3]}, 4);
        send_udp(f, ours, host, 2000, get16(ip + 20), block, 4);
    } while (length == 512);
    assert_int_equal(got, 1300);
    unlink(path);
    rmdir(dir);
}

static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

/* A forwarded connection from the host, accepted by the guest. */
static int connect_through(struct wire_fixture *f, struct net_user_options options)
{
    char forward[64];
    const char *forwards[] = {forward, NULL};
    struct guest *g = f->data;
    int port = free_port(), fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uint8_t flags;
    size_t length;

    snprintf(forward, sizeof(forward), "tcp:127.0.0.1:%d-:80", port);
    options.hostfwd = forwards;
    open_user(f, options);
    meet(f);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    g->next = 1000;
    next_tcp(f, &flags, &length);
    assert_int_equal(flags, SYN);
    assert_int_equal(g->our_port, 80);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void a_forwarded_connection_goes_there_and_back(void **state)
{
    struct wire_fixture *f = *state;
    int fd = connect_through(f, (struct net_user_options){0});
    uint8_t flags;
    size_t length;
    const uint8_t *data;
    char in[16];

    assert_int_equal(write(fd, "ping", 4), 4);
    data = next_tcp(f, &flags, &length);
    assert_int_equal(length, 4);
    assert_memory_equal(data, "ping", 4);
    send_tcp(f, host, ACK, "pong!", 5);
    fixture_wait(f, recv(fd, in, sizeof(in), MSG_PEEK) == 5);
    assert_int_equal(read(fd, in, sizeof(in)), 5);
    assert_memory_equal(in, "pong!", 5);
    close(fd);
    next_tcp(f, &flags, &length);
    assert_true(flags & FIN);
}

/* Two megabytes at a card that is often full: TCP's window holds back what does not fit, nothing is sent
 * twice. */
static size_t check_next_data(struct wire_fixture *f, size_t at)
{
    uint8_t flags;
    size_t length;
    const uint8_t *data = next_tcp(f, &flags, &length);

    for (size_t i = 0; i < length; i++)
        assert_int_equal(data[i], (at + i) % 251);
    return length;
}

static void a_slow_card_gets_all_of_a_stream(void **state)
{
    struct wire_fixture *f = *state;
    struct guest *g = f->data;
    int fd = connect_through(f, (struct net_user_options){0});
    static uint8_t bytes[(2 << 20) + 251];
    size_t sent = 0, got = 0, total = 2 << 20;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = i % 251;
    while (got < total) {
        ssize_t n = write(fd, bytes + sent % 251, sent + 65536 < total ? 65536 : total - sent);

        sent += n > 0 ? n : 0;
        f->full = true;
        fixture_serve(f);
        f->full = false;
        net_resume(f->port);
        do
            got += check_next_data(f, got);
        while (g->frames.count);
    }
    assert_int_equal(got, total);
    close(fd);
}

static void wait_for_nothing(struct wire_fixture *f)
{
    struct epoll_event event;

    fixture_serve(f);
    assert_int_equal(epoll_wait(f->loop.epoll_fd, &event, 1, 0), 0);
}

/* A listener and an idle connection: after a while there is no timer but the IPv6 router's, and no event. */
static void a_quiet_guest_makes_no_wake_ups(void **state)
{
    struct wire_fixture *f = *state;
    int fd = connect_through(f, (struct net_user_options){.no_ipv6 = true});

    wait_for_nothing(f);
    for (int i = 0; i < 1000 && clock_deadline(&f->clock) >= 0; i++)
        clock_advance(&f->clock, clock_deadline(&f->clock));
    assert_int_equal(clock_deadline(&f->clock), -1);
    assert_in_range(clock_now(&f->clock), 1, 240 * NS_PER_SECOND);
    wait_for_nothing(f);
    /* and it is there still */
    assert_int_equal(write(fd, "x", 1), 1);
    next_tcp(f, &(uint8_t){0}, &(size_t){0});
    close(fd);
}

/* More than TCP's window and libslirp's buffer hold, at a guest that does not acknowledge. */
static void a_stream_that_nobody_takes_makes_no_wake_ups(void **state)
{
    static const char bytes[65536];
    struct wire_fixture *f = *state;
    int fd = connect_through(f, (struct net_user_options){.no_ipv6 = true});
    size_t sent = 0;
    ssize_t n;

    f->hook = NULL;
    for (int i = 0; i < 1000 && sent < 64 << 20; i++) {
        n = write(fd, bytes, sizeof(bytes));
        sent += n > 0 ? n : 0;
        fixture_serve(f);
    }
    assert_in_range(sent, 65536, 32 << 20);
    wait_for_nothing(f);
    close(fd);
}

/* Not one byte is taken any more, and the other side goes: with an end, or with a reset. */
static void a_server_that_hangs_up_on_a_stuck_guest(void **state)
{
    static const char bytes[65536];
    struct wire_fixture *f = *state;

    for (int reset = 0; reset < 2; reset++) {
        struct linger linger = {.l_onoff = 1};
        int fd = connect_through(f, (struct net_user_options){.no_ipv6 = true});

        f->hook = NULL;
        for (int i = 0; i < 200; i++) {
            if (write(fd, bytes, sizeof(bytes)) < 0)
                break;
            fixture_serve(f);
        }
        if (reset)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        close(fd);
        fixture_serve(f);
        wait_for_nothing(f);
        f->hook = take;
        net_close(f->port);
        f->port = NULL;
    }
}

/* So many conversations of the guest's that no descriptor would be left. There are; who comes from outside
 * waits, and when old ones have ended there are new ones. */
static void a_guest_that_uses_all_descriptors(void **state)
{
    struct wire_fixture *f = *state;
    struct guest *g = f->data;
    struct rlimit before, few;
    int port = free_port(), fd = socket(AF_INET, SOCK_STREAM, 0), sink = socket(AF_INET, SOCK_DGRAM, 0),
        spare;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char forward[64];
    const char *forwards[] = {forward, NULL};

    snprintf(forward, sizeof(forward), "tcp:127.0.0.1:%d-:80", port);
    assert_int_equal(bind(sink, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){64, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    open_user(f, (struct net_user_options){.no_ipv6 = true, .hostfwd = forwards});
    meet(f);
    for (int i = 0; i < 200; i++)
        send_udp(f, ours, host, 1000 + i, port, "", 0);
    fixture_serve(f);
    assert_true((spare = dup(fd)) >= 0);
    close(spare);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    fixture_serve(f);
    wait_for_nothing(f);
    assert_int_equal(g->frames.count, 0);
    for (int i = 0; i < 1000 && clock_now(&f->clock) < 1000 * NS_PER_SECOND; i++) {
        clock_advance(&f->clock, clock_now(&f->clock) + NS_PER_SECOND);
        send_arp(f, 2, g->router_mac, host);
        fixture_serve(f);
    }
    next_tcp(f, &(uint8_t){0}, &(size_t){0});
    assert_int_equal(g->our_port, 80);
    setrlimit(RLIMIT_NOFILE, &before);
    close(sink);
    close(fd);
}

/* A guest that sends without end and hears nothing: retransmissions come all the same. */
static void a_busy_guest_does_not_put_the_timer_off(void **state)
{
    struct wire_fixture *f = *state;
    int fd = connect_through(f, (struct net_user_options){.no_ipv6 = true}), steps = 0;
    int64_t deadline;

    fixture_serve(f);
    deadline = clock_deadline(&f->clock);
    assert_true(deadline > clock_now(&f->clock) + 100 * NS_PER_MS);
    for (; clock_now(&f->clock) + 50 * NS_PER_MS < deadline; steps++) {
        clock_advance(&f->clock, clock_now(&f->clock) + 50 * NS_PER_MS);
        send_udp(f, ours, host, 1000, 9, "", 0);
        fixture_serve(f);
        assert_true(clock_deadline(&f->clock) <= deadline);
    }
    assert_in_range(steps, 1, 20);
    close(fd);
}

/* What the card has no room for waits, up to a bound; then the host's sockets are left alone. */
static void a_full_card_stops_the_reading(void **state)
{
    struct wire_fixture *f = *state;
    const char *forwards[] = {NULL, NULL};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char forward[64], datagram[1400] = "";
    int fd = socket(AF_INET, SOCK_DGRAM, 0), port = free_port();
    unsigned before, waiting;
    uint64_t lost;

    snprintf(forward, sizeof(forward), "udp:127.0.0.1:%d-:53", port);
    forwards[0] = forward;
    open_user(f, (struct net_user_options){.no_ipv6 = true, .hostfwd = forwards});
    meet(f);
    f->full = true;
    f->hook = NULL;
    address.sin_port = htons(port);
    for (int i = 0; i < 2000; i++) {
        sendto(fd, datagram, sizeof(datagram), 0, (struct sockaddr *)&address, sizeof(address));
        if (i % 20 == 19)
            fixture_serve(f);
    }
    wait_for_nothing(f);
    net_user_count(f->port, &waiting, &lost);
    assert_in_range(waiting, 300, 900);
    assert_int_equal(lost, 0);
    before = f->received;
    f->full = false;
    net_resume(f->port);
    fixture_serve(f);
    assert_in_range(f->received - before, 300, 900); /* half a megabyte, and what the socket held */
    close(fd);
}

static void listeners_alone_make_no_wake_ups(void **state)
{
    struct wire_fixture *f = *state;
    const char *forwards[] = {"udp:127.0.0.1:0-:53", "tcp:127.0.0.1:0-10.0.2.20:22", NULL};

    open_user(f, (struct net_user_options){.no_ipv6 = true, .hostfwd = forwards});
    assert_int_equal(clock_deadline(&f->clock), -1);
    wait_for_nothing(f);
}

static void ipv6_advertises_its_router(void **state)
{
    struct wire_fixture *f = *state;

    open_user(f, (struct net_user_options){0});
    for (int i = 0; i < 10 && !f->received; i++) {
        assert_true(clock_deadline(&f->clock) >= 0);
        clock_advance(&f->clock, clock_deadline(&f->clock));
        fixture_serve(f);
    }
    assert_int_equal(f->received, 1);
    assert_int_equal(get16(f->frame + 12), 0x86DD);
    assert_int_equal(f->frame[NET_HEADER + 40], 134); /* ICMPv6 router advertisement */
}

/* Whatever lengths and bytes the guest sends. */
static void bad_frames_do_no_harm(void **state)
{
    struct wire_fixture *f = *state;
    uint8_t frame[NET_MAX_FRAME];
    uint32_t seed = 1;

    open_user(f, (struct net_user_options){0});
    meet(f);
    for (unsigned i = 0; i < 3000; i++) {
        size_t length = 1 + i % NET_MAX_FRAME;

        for (size_t j = 0; j < length; j++)
            frame[j] = (seed = seed * 1664525 + 1013904223) >> 24;
        if (length > 34) {
            put16(frame + 12, i % 3 ? ETHER_IP : i % 2 ? ETHER_ARP : 0x86DD);
            frame[14] = i % 3 ? 0x45 : 0x60;
            frame[23] = i % 2 ? UDP : TCP;
        }
        fixture_send(f, frame, length);
    }
    fixture_serve(f);
    meet(f);
}

/* In a queue that is never empty, or often. */
static void frames_keep_their_order_in_a_queue(void **state)
{
    struct frame_queue queue;
    uint8_t data[64];
    size_t length;

    assert_true(frame_queue_init(&queue, 301));
    assert_null(frame_queue_first(&queue, &length));
    for (unsigned least = 0; least < 2; least++) {
        unsigned in = 0, out = 0;

        for (unsigned round = 0; round < 5000; round++) {
            size_t want = 1 + in * 13 % 64;

            memset(data, in, want);
            if (round % 7 < 4 && frame_queue_put(&queue, data, want)) {
                in++;
            } else if (queue.count > least) {
                const uint8_t *first = frame_queue_first(&queue, &length);

                assert_int_equal(length, 1 + out * 13 % 64);
                assert_int_equal(first[0], out & 0xFF);
                assert_int_equal(first[length - 1], out & 0xFF);
                frame_queue_drop(&queue);
                out++;
            }
            assert_int_equal(queue.count, in - out);
            assert_in_range(queue.used, 0, queue.size);
        }
        assert_in_range(out, 1000, 5000);
        while (queue.count)
            frame_queue_drop(&queue);
    }
    frame_queue_free(&queue);
}

static void forwards_are_read(void **state)
{
    struct user_forward f;
    struct error err;

    assert_true(user_parse_forward("tcp:127.0.0.1:2222-10.0.2.20:22", &f, &err));
    assert_false(f.udp);
    assert_int_equal(f.host.s_addr, htonl(INADDR_LOOPBACK));
    assert_int_equal(f.host_port, 2222);
    assert_int_equal(ntohl(f.guest.s_addr), 0x0A000214);
    assert_int_equal(f.guest_port, 22);
    assert_true(user_parse_forward("udp::53-:5353", &f, &err));
    assert_true(f.udp);
    assert_int_equal(f.host.s_addr, 0);
    assert_int_equal(f.guest.s_addr, 0);
    assert_true(user_parse_forward("::65535-:1", &f, &err));
    assert_false(f.udp);
}

static void mistakes_are_one_clear_line(void **state)
{
    static const struct {
        const char *args, *said;
    } cases[] = {
        {"hostfwd=tcp::22", "not of the form"},
        {"hostfwd=tcp::22-22", "not of the form"},
        {"hostfwd=tpc::22-:22", "tcp or udp, not 'tpc'"},
        {"hostfwd=tcp:localhost:22-:22", "'localhost' is no IPv4 address"},
        {"hostfwd=tcp::22-10.0.2:22", "'10.0.2' is no IPv4 address"},
        {"hostfwd=tcp::65536-:22", "65535"},
        {"hostfwd=tcp::22-:0", "65535"},
        {"hostfwd=tcp::+22-:22", "65535"},
        {"hostfwd=tcp::22-:22x", "65535"},
        {"hostfwd=tcp:192.0.2.1:2222-:22", "Cannot assign"},
        {"hostfw=x", "did you mean 'hostfwd'"},
        {"net=10.0.2.0/33", "net="},
        {"net=10.0.2.0/255.0.255.0", "net="},
        {"net=10.0.2", "net="},
        {"host=10.0.3.1", "host=10.0.3.1: not in the network"},
        {"dns=10.0.2.2", "dns"},
        {"dhcpstart=10.0.2.3", "dhcpstart"},
        {"dhcpstart=ten", "not an IPv4 address"},
        {"ipv6-net=fec0::/127", "126"},
        {"ipv6-net=fec0:::", "ipv6-net"},
        {"ipv6-host=fd00::2", "ipv6-host"},
        {"ipv4=off,ipv6=off", "no network"},
        {"restrict=maybe", "restrict"},
        {"tftp=/nowhere", "tftp=/nowhere: No such file"},
        {"tftp=/dev/null", "not a directory"},
        {"hostname=0123456789012345678901234567890123", "hostname"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char options[400];

        snprintf(options, sizeof(options), "-netdev user,id=u,%s", cases[i].args);
        fixture_refused(options, cases[i].said);
    }
}

static void help_lists_what_there_is(void **state)
{
    static const struct {
        const char *args, *said;
    } cases[] = {{"-netdev help", "user"},
                 {"-netdev help", "stream: addr.type addr.path"},
                 {"-nic user,model=help", "rtl8139"},
                 {"-net nic,model=help", "pcnet"}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char command[300], text[8192];
        FILE *pipe;
        size_t n;

        snprintf(command, sizeof(command), "${HVM_DM:-build/hvm-dm} %s", cases[i].args);
        pipe = popen(command, "r");
        n = fread(text, 1, sizeof(text) - 1, pipe);
        text[n] = '\0';
        assert_int_equal(pclose(pipe), 0);
        if (!strstr(text, cases[i].said))
            fail_msg("%s: %s", cases[i].args, text);
    }
}

/* Every way to say it; a card is on each. */
static void the_options_make_networks(void **state)
{
    static const char *const args[] = {
        "-netdev user,id=a,hostfwd=tcp:127.0.0.1:0-:22,hostfwd=udp::0-:53,dnssearch=a.b,dnssearch=c.d "
        "-device rtl8139,netdev=a",
        "-netdev user,id=a,ipv6-net=fd00::/64,restrict=yes -device rtl8139,netdev=a",
        "-netdev '{\"type\":\"user\",\"id\":\"a\",\"hostfwd\":[{\"str\":\"udp::0-:22\"}]}' "
        "-device rtl8139,netdev=a",
        "-nic user,id=a,model=rtl8139,mac=52:54:00:12:34:56,ipv6=off",
        "-net nic,model=rtl8139,macaddr=52:54:00:12:34:56,vlan=0,name=card -net user,vlan=0,name=a",
        "-net user,name=a -net nic",
    };

    for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++) {
        struct qtest *q = qtest_startf("-display none %s", args[i]);
        json_t *text = qtest_qmp_ok(
            q, "{'execute':'human-monitor-command','arguments':{'command-line':'info network'}}");

        if (!strstr(json_string_value(text), "a: type=user") || strstr(json_string_value(text), "no card"))
            fail_msg("%s: %s", args[i], json_string_value(text));
        json_decref(text);
        qtest_stop(q);
    }
}

static void hmp(struct qtest *q, const char *line, const char *expected)
{
    json_t *text =
        qtest_qmp_ok(q, "{'execute':'human-monitor-command','arguments':{'command-line':'%s'}}", line);

    if (*expected ? !strstr(json_string_value(text), expected) : *json_string_value(text))
        fail_msg("%s: %s", line, json_string_value(text));
    json_decref(text);
}

static bool has_connection(struct qtest *q)
{
    json_t *text =
        qtest_qmp_ok(q, "{'execute':'human-monitor-command','arguments':{'command-line':'info usernet'}}");
    bool has = strstr(json_string_value(text), "TCP[SYN_SENT]");

    json_decref(text);
    return has;
}

static void forwards_come_and_go_while_it_runs(void **state)
{
    struct qtest *q = qtest_start("-display none -netdev user,id=a -nic user,id=b");
    char line[100], taken[100];
    int port = free_port();

    snprintf(line, sizeof(line), "hostfwd_add b tcp:127.0.0.1:%d-:22", port);
    hmp(q, line, "");
    hmp(q, line, "in use");
    snprintf(taken, sizeof(taken), "127.0.0.1 %5d", port);
    hmp(q, "info usernet", taken);
    hmp(q, "info usernet", "b: 0 frames wait for the card, 0 were lost");
    snprintf(line, sizeof(line), "hostfwd_remove b tcp:127.0.0.1:%d", port);
    hmp(q, line, "");
    hmp(q, line, "none such");
    hmp(q, "hostfwd_add udp:127.0.0.1:0-:53", "");
    hmp(q, "hostfwd_add c udp:127.0.0.1:0-:53", "no such user network");
    hmp(q, "hostfwd_add tcp", "not of the form");
    hmp(q, "hostfwd_add", "which?");
    hmp(q, "set_link b off", "");
    hmp(q, "info network", "link down");
    hmp(q, "set_link b", "on or off?");
    qtest_stop(q);
}

/* The process that gave up its rights and its view of the host's files still opens sockets. */
static void a_confined_process_has_its_network(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char dir[] = "/tmp/hvm-dm-root-XXXXXX", line[100];
    int fd = socket(AF_INET, SOCK_STREAM, 0), port = free_port();
    struct qtest *q;

    if (geteuid())
        skip();
    assert_non_null(mkdtemp(dir));
    address.sin_port = htons(port);
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* the search for leaks needs /proc */
    q = qtest_startf("-display none -nic user,id=a,tftp=/tmp -chroot %s -runas 65534:65534", dir);
    snprintf(line, sizeof(line), "hostfwd_add tcp:127.0.0.1:%d-:22", port);
    hmp(q, line, "");
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_true(SOON(has_connection(q)));
    qtest_stop(q);
    unsetenv("ASAN_OPTIONS");
    close(fd);
    rmdir(dir);
}

/* The function is gone, and with it the card on the wire. */
static void an_unplugged_card_leaves_its_wire(void **state)
{
    struct qtest *q = qtest_start("-display none -machine xenfv -nic user,id=a");

    hmp(q, "info network", "card rtl8139");
    assert_int_equal(qtest_inw(q, 0x10), 0x49D2);
    qtest_outw(q, 0x10, 2);
    hmp(q, "info network", "no card");
    json_decref(qtest_qmp_ok(q, "{'execute': 'system_reset'}"));
    json_decref(qtest_qmp_event(q, "RESET"));
    hmp(q, "info network", "no card");
    qtest_stop(q);
}

#define WITH_WIRE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WIRE(the_router_answers_arp),
        WITH_WIRE(dhcp_offers_what_was_asked_for),
        WITH_WIRE(tftp_gives_a_file),
        WITH_WIRE(a_forwarded_connection_goes_there_and_back),
        WITH_WIRE(a_slow_card_gets_all_of_a_stream),
        WITH_WIRE(a_quiet_guest_makes_no_wake_ups),
        WITH_WIRE(a_stream_that_nobody_takes_makes_no_wake_ups),
        WITH_WIRE(a_guest_that_uses_all_descriptors),
        WITH_WIRE(a_server_that_hangs_up_on_a_stuck_guest),
        WITH_WIRE(a_busy_guest_does_not_put_the_timer_off),
        WITH_WIRE(a_full_card_stops_the_reading),
        WITH_WIRE(listeners_alone_make_no_wake_ups),
        WITH_WIRE(ipv6_advertises_its_router),
        WITH_WIRE(bad_frames_do_no_harm),
        cmocka_unit_test(frames_keep_their_order_in_a_queue),
        cmocka_unit_test(forwards_are_read),
        cmocka_unit_test(mistakes_are_one_clear_line),
        cmocka_unit_test(help_lists_what_there_is),
        cmocka_unit_test(the_options_make_networks),
        cmocka_unit_test(forwards_come_and_go_while_it_runs),
        cmocka_unit_test(a_confined_process_has_its_network),
        cmocka_unit_test(an_unplugged_card_leaves_its_wire),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
