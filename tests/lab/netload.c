/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Traffic for the lab's network cases, the same program at both ends. Every eight bytes sent are a function
 * of their place in the stream, so a byte that is lost, doubled, moved or changed shows where it happened.
 *
 *   netload serve INTERFACE [PROGRAM]
 *       the peer, at TCP port 5000; raw frames leave by INTERFACE; tells what each transfer cost the process
 *       PROGRAM, without the time in which its guest ran
 *   netload tcp|udp up|down HOST MIB
 *       from here to the peer, or back
 *   netload ping HOST [STEP]
 *       ICMP echo in frames of all sizes from 42 to 1514 bytes (every STEPth), one after the other
 *   netload capture INTERFACE plain|all|promiscuous|ADDRESS HOST DESTINATION
 *       the peer sends frames to DESTINATION; how many came, as the card's filter stands
 *   netload count HOST
 *       how often the peer was asked this
 *   netload magic INTERFACE DESTINATION ADDRESS
 *       sends a magic packet for the card with that address; no peer is needed
 *   netload wake INTERFACE
 *       has its driver arm the card to wake the system by a magic packet
 *
 * Prints one line; exit status 0 if all is right. A peer that says nothing for a minute has failed.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PORT      "5000"
#define PATIENCE  60 /* seconds */
#define MIB       (1u << 20)
#define ETHERTYPE 0x88B5 /* for local experiments */
#define SOURCE    "\x02\0\0\0\0\x77"

enum {
    DATAGRAM = 1448, /* of which 8 are its number; with the IPv6 headers it fits into a frame */
    WINDOW = 48,     /* datagrams under way */
    ACK_EVERY = 8,
    RAW_FRAMES = 20,
    SMALLEST = 42, /* frame with an empty echo request */
    LARGEST = 1514
};

_Noreturn static void fail(const char *what, const char *why)
{
    printf("%s: %s\n", what, why);
    exit(1);
}

static int check(int result, const char *what)
{
    if (result < 0)
        fail(what, errno == EAGAIN ? "nothing came for a minute" : strerror(errno));
    return result;
}

static void fill(uint8_t *to, uint64_t place, size_t length)
{
    for (size_t i = 0; i + 8 <= length; i += 8) {
        uint64_t word = (place + i) / 8 * 0x9E3779B97F4A7C15u ^ 0xA5A5;

        memcpy(to + i, &word, 8);
    }
}

static void verify(const uint8_t *data, uint64_t place, size_t length)
{
    uint8_t want[65536];
    char where[64];

    fill(want, place, length);
    if (!memcmp(data, want, length))
        return;
    while (*data == want[0] && length--)
        data++, memmove(want, want + 1, length), place++;
    snprintf(where, sizeof(where), "wrong byte at %llu", (unsigned long long)place);
    fail("data", where);
}

/* ---- sockets ---- */

static void set_patience(int fd)
{
    struct timeval patience = {.tv_sec = PATIENCE};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

static int connect_to(const char *host, const char *port, int type)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = in.sin_port};
    bool six = strchr(host, ':');
    int fd = check(socket(six ? AF_INET6 : AF_INET, type, 0), "socket");

    set_patience(fd);
    if (inet_pton(six ? AF_INET6 : AF_INET, host, six ? (void *)&in6.sin6_addr : &in.sin_addr) != 1)
        fail(host, "not an address");
    check(connect(fd, six ? (struct sockaddr *)&in6 : (struct sockaddr *)&in, six ? sizeof(in6) : sizeof(in)),
          host);
    return fd;
}

static void tell(int fd, const char *line)
{
    check(send(fd, line, strlen(line), 0), "send");
}

/* The next line, without its end. */
static void hear(int fd, char *line, size_t size)
{
    size_t n = 0;

    while (n + 1 < size) {
        if (check(recv(fd, line + n, 1, 0), "the peer") == 0)
            fail("the peer", "closed the connection");
        if (line[n] == '\n')
            break;
        n++;
    }
    line[n] = 0;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* ---- TCP ---- */

static void tcp_send(int fd, unsigned mib)
{
    uint8_t block[65536];

    for (uint64_t place = 0; place < (uint64_t)mib * MIB; place += sizeof(block)) {
        fill(block, place, sizeof(block));
        for (size_t done = 0; done < sizeof(block);)
            done += check(send(fd, block + done, sizeof(block) - done, 0), "send");
    }
}

static void tcp_receive(int fd, unsigned mib)
{
    uint8_t block[65536];

    for (uint64_t place = 0; place < (uint64_t)mib * MIB; place += sizeof(block)) {
        for (size_t have = 0; have < sizeof(block);) {
            int n = check(recv(fd, block + have, sizeof(block) - have, 0), "receive");

            if (n == 0)
                fail("receive", "the stream ended too early");
            have += n;
        }
        verify(block, place, sizeof(block));
    }
}

/* ---- UDP: a window of datagrams under way, each eighth acknowledged with the count of all that came ---- */

static uint32_t udp_total(unsigned mib)
{
    return (uint64_t)mib * MIB / (DATAGRAM - 8);
}

/* Sends all; what is not acknowledged for ten seconds is given up. */
static void udp_send(int fd, unsigned mib)
{
    struct timeval ten_seconds = {.tv_sec = 10};
    uint8_t datagram[DATAGRAM];
    uint64_t number, acknowledged = 0, total = udp_total(mib);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &ten_seconds, sizeof(ten_seconds));
    for (number = 0; number < total; number++) {
        while (number >= acknowledged + WINDOW) {
            uint64_t ack;
            ssize_t n = recv(fd, &ack, sizeof(ack), 0);

            if (n == sizeof(ack) && ack > acknowledged && ack <= number)
                acknowledged = ack;
            else if (n < 0)
                acknowledged = number;
        }
        memcpy(datagram, &number, 8);
        fill(datagram + 8, number * (DATAGRAM - 8), DATAGRAM - 8);
        check(send(fd, datagram, sizeof(datagram), 0), "send");
    }
}

/* Receives until the sender has said its end on the control connection; how many came, each once. Two
 * processors of one system may change the order. */
static uint32_t udp_receive(int fd, int control, unsigned mib)
{
    uint64_t next = 0, number, came = 0, total = udp_total(mib);
    uint8_t *seen = calloc(total, 1);
    uint8_t datagram[DATAGRAM + 8];
    struct timeval second = {.tv_sec = 1};
    int room = 4 * MIB;
    double last = now();

    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
    while (came < total && now() < last + PATIENCE) {
        char end;
        /* The end comes behind the datagrams: who looks for it after them may miss some of them. */
        bool over = recv(control, &end, 1, MSG_DONTWAIT | MSG_PEEK) == 1;
        ssize_t n = recv(fd, datagram, sizeof(datagram), 0);

        if (n < 0 && errno == EAGAIN && over)
            break;
        if (n < 8)
            continue;
        last = now();
        memcpy(&number, datagram, 8);
        if (n != DATAGRAM)
            fail("a datagram", "of another length");
        verify(datagram + 8, number * (DATAGRAM - 8), DATAGRAM - 8);
        if (number >= total || seen[number])
            fail("a datagram", "came twice");
        seen[number] = 1;
        if (number >= next)
            next = number + 1;
        came++;
        if (came % ACK_EVERY == 0)
            send(fd, &next, sizeof(next), 0);
    }
    for (number = 0; number < total; number++)
        if (!seen[number] && (number == 0 || seen[number - 1]))
            fprintf(stderr, "datagrams are missing from number %u on\n", (unsigned)number);
    free(seen);
    return came;
}

/* ---- raw frames ---- */

static bool parse_mac(const char *text, uint8_t mac[6])
{
    return sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) ==
           6;
}

static int packet_socket(const char *interface)
{
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETHERTYPE)};
    int fd = check(socket(AF_PACKET, SOCK_RAW, htons(ETHERTYPE)), "packet socket");

    at.sll_ifindex = if_nametoindex(interface);
    if (!at.sll_ifindex)
        fail(interface, "no such interface");
    check(bind(fd, (struct sockaddr *)&at, sizeof(at)), "bind");
    set_patience(fd);
    return fd;
}

/* Frames of growing size to the address, then as many broadcasts that say it is over. */
static void raw_send(const char *interface, const char *address)
{
    int fd = packet_socket(interface);
    uint8_t frame[1600] = {0};

    for (int i = 0; i < 2 * RAW_FRAMES; i++) {
        bool end = i >= RAW_FRAMES;

        memset(frame, 0xFF, 6);
        if (!end && !parse_mac(address, frame))
            fail(address, "not an address");
        memcpy(frame + 6, SOURCE, 6);
        frame[12] = ETHERTYPE >> 8;
        frame[13] = ETHERTYPE & 0xFF;
        frame[14] = end;
        fill(frame + 16, 0, 1400);
        check(send(fd, frame, 64 + 64 * (i % RAW_FRAMES), 0), "send frame");
    }
    close(fd);
}

/* Six bytes of ones and sixteen times the address, anywhere in a frame (AMD publication 20213). */
static int magic(const char *interface, const char *destination, const char *address)
{
    int fd = packet_socket(interface);
    uint8_t frame[ETH_HLEN + 17 * 6] = "", mac[6];

    if (!parse_mac(destination, frame) || !parse_mac(address, mac))
        fail("magic", "not an address");
    memcpy(frame + 6, SOURCE, 6);
    frame[12] = ETHERTYPE >> 8;
    frame[13] = ETHERTYPE & 0xFF;
    memset(frame + ETH_HLEN, 0xFF, 6);
    for (int i = 1; i <= 16; i++)
        memcpy(frame + ETH_HLEN + 6 * i, mac, 6);
    check(send(fd, frame, sizeof(frame), 0), "send frame");
    return 0;
}

static void set_filter(int fd, const char *interface, const char *mode)
{
    struct packet_mreq request = {.mr_ifindex = if_nametoindex(interface), .mr_alen = 6};

    if (!strcmp(mode, "plain"))
        return;
    if (!strcmp(mode, "promiscuous"))
        request.mr_type = PACKET_MR_PROMISC;
    else if (!strcmp(mode, "all"))
        request.mr_type = PACKET_MR_ALLMULTI;
    else if (parse_mac(mode, request.mr_address))
        request.mr_type = PACKET_MR_MULTICAST;
    else
        fail(mode, "not a way to capture");
    check(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof(request)), "membership");
}

static int capture(char **argv)
{
    int fd = packet_socket(argv[0]), control = connect_to(argv[2], PORT, SOCK_STREAM), came = 0;
    uint8_t frame[2048];
    char line[64];

    set_filter(fd, argv[0], argv[1]);
    snprintf(line, sizeof(line), "raw %.30s\n", argv[3]);
    tell(control, line);
    for (;;) {
        ssize_t n = check(recv(fd, frame, sizeof(frame), 0), "capture");

        if (n < 64 || frame[14])
            break;
        if (n != 64 + 64 * came)
            fail("a frame", "of another length");
        verify(frame + 16, 0, (n < 1416 ? n - 16 : 1400) & ~7);
        came++;
    }
    printf("%d\n", came);
    return 0;
}

/* ---- ping ---- */

static uint16_t checksum(const uint8_t *data, size_t length)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < length; i++)
        sum += i % 2 ? data[i] : data[i] << 8;
    sum = (sum & 0xFFFF) + (sum >> 16);
    return ~(sum + (sum >> 16));
}

/* The echo's payload comes back as it was: true. */
static bool is_answer(const uint8_t *packet, ssize_t n, const uint8_t *request, size_t length)
{
    size_t header = n > 0 ? (packet[0] & 15) * 4 : 0;

    return n == (ssize_t)(header + length) && packet[header] == ICMP_ECHOREPLY &&
           !memcmp(packet + header + 4, request + 4, length - 4);
}

static int ping(const char *host, int step)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    int fd = check(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), "raw socket");
    double start = now();
    int pings = 0;
    char text[64];

    set_patience(fd);
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1)
        fail(host, "not an address");
    check(connect(fd, (struct sockaddr *)&to, sizeof(to)), host);
    for (int size = SMALLEST; size <= LARGEST; size += step, pings++) {
        size_t length = size - ETH_HLEN - sizeof(struct iphdr);
        uint8_t request[LARGEST + 8] = {ICMP_ECHO}, answer[2 * LARGEST];
        uint16_t sum;

        request[4] = getpid() >> 8;
        request[5] = getpid();
        request[6] = size >> 8;
        request[7] = size;
        fill(request + 8, size * 8, length - 8 + 7);
        memset(request + length, 0, sizeof(request) - length);
        sum = checksum(request, length);
        request[2] = sum >> 8;
        request[3] = sum;
        check(send(fd, request, length, 0), "send");
        for (ssize_t n = -1; !is_answer(answer, n, request, length);) {
            n = recv(fd, answer, sizeof(answer), 0);
            if (n < 0) {
                snprintf(text, sizeof(text), "frame of %d bytes", size);
                fail(text, "no right answer");
            }
        }
    }
    printf("%d to %d bytes, %.0f us each\n", SMALLEST, LARGEST, (now() - start) * 1e6 / pings);
    return 0;
}

/* ---- the peer ---- */

static void serve_udp(int control, const char *direction, unsigned mib)
{
    struct sockaddr_in6 at = {.sin6_family = AF_INET6}, from;
    socklen_t size = sizeof(at);
    int fd = check(socket(AF_INET6, SOCK_DGRAM, 0), "socket");
    char line[64];

    set_patience(fd);
    check(bind(fd, (struct sockaddr *)&at, size), "bind");
    check(getsockname(fd, (struct sockaddr *)&at, &size), "name");
    snprintf(line, sizeof(line), "%d\n", ntohs(at.sin6_port));
    tell(control, line);
    /* The first datagram says where the other end is. */
    size = sizeof(from);
    check(recvfrom(fd, line, sizeof(line), 0, (struct sockaddr *)&from, &size), "hello");
    check(connect(fd, (struct sockaddr *)&from, size), "connect");
    tell(control, "ready\n");
    if (!strcmp(direction, "up")) {
        snprintf(line, sizeof(line), "%u\n", udp_receive(fd, control, mib));
        tell(control, line);
    } else {
        udp_send(fd, mib);
        tell(control, "end\n");
    }
}

/* ---- what the device model spends ---- */

static bool is_program(const char *pid, const char *program)
{
    char path[300], name[20] = "";
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%.200s/comm", pid);
    f = fopen(path, "r");
    if (!f)
        return false;
    name[fread(name, 1, 15, f)] = 0;
    fclose(f);
    name[strcspn(name, "\n")] = 0;
    return !strncmp(name, program, 15);
}

/* CPU time of a process without that of its guest, in seconds (proc(5): fields 14, 15 and 43 of stat). */
static double cost_of(const char *pid)
{
    char path[300], text[1024] = "", *field;
    unsigned long long user = 0, system = 0, guest = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%.200s/stat", pid);
    f = fopen(path, "r");
    if (!f)
        return 0;
    text[fread(text, 1, sizeof(text) - 1, f)] = 0;
    fclose(f);
    field = strrchr(text, ')');
    for (int n = 2; field; n++, field = strchr(field + 1, ' ')) {
        if (n == 14)
            sscanf(field, "%llu %llu", &user, &system);
        if (n == 43)
            sscanf(field, "%llu", &guest);
    }
    return (double)(user + system - guest) / sysconf(_SC_CLK_TCK);
}

static double program_cost(const char *program)
{
    double cost = 0;
    struct dirent *entry;
    DIR *processes = opendir("/proc");

    while (processes && program && (entry = readdir(processes)))
        if (is_program(entry->d_name, program))
            cost += cost_of(entry->d_name);
    if (processes)
        closedir(processes);
    return cost;
}

static void serve_one(int control, const char *interface, unsigned count, const char *program)
{
    double start, cost;
    char line[64], word[64], direction[64];
    unsigned mib = 0;

    set_patience(control);
    hear(control, line, sizeof(line));
    start = now();
    cost = program_cost(program);
    if (!strcmp(line, "count")) {
        snprintf(line, sizeof(line), "%u\n", count);
        tell(control, line);
    } else if (sscanf(line, "raw %s", word) == 1) {
        raw_send(interface, word);
    } else if (sscanf(line, "%63s %63s %u", word, direction, &mib) != 3) {
        fail("asked for", line);
    } else if (!strcmp(word, "udp")) {
        serve_udp(control, direction, mib);
    } else if (!strcmp(direction, "up")) {
        tcp_receive(control, mib);
        tell(control, "right\n");
    } else {
        tcp_send(control, mib);
        hear(control, line, sizeof(line));
    }
    if (mib)
        printf("%s %s: %u MiB, %.2f s, of the device model %.2f s\n", word, direction, mib, now() - start,
               program_cost(program) - cost);
}

static int serve(const char *interface, const char *program)
{
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(PORT))};
    int listener = check(socket(AF_INET6, SOCK_STREAM, 0), "socket"), yes = 1;
    unsigned count = 0;

    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    check(bind(listener, (struct sockaddr *)&at, sizeof(at)), "bind");
    check(listen(listener, 16), "listen");
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int control = accept(listener, NULL, NULL);
        char line[8] = "";

        if (control < 0)
            continue;
        set_patience(control);
        if (recv(control, line, 5, MSG_PEEK | MSG_WAITALL) == 5 && !strcmp(line, "count"))
            count++;
        if (fork() == 0) {
            close(listener);
            signal(SIGCHLD, SIG_DFL);
            serve_one(control, interface, count, program);
            exit(0);
        }
        close(control);
    }
}

/* ---- our end ---- */

static void report(const char *what, unsigned mib, double start)
{
    printf("%s: %u MiB, %.2f MiB/s\n", what, mib, mib / (now() - start));
}

static int tcp(const char *direction, const char *host, unsigned mib)
{
    int fd = connect_to(host, PORT, SOCK_STREAM);
    double start = now();
    char line[64];

    snprintf(line, sizeof(line), "tcp %.10s %u\n", direction, mib);
    tell(fd, line);
    if (!strcmp(direction, "up")) {
        tcp_send(fd, mib);
        hear(fd, line, sizeof(line));
        if (strcmp(line, "right"))
            fail("the peer", line);
    } else {
        tcp_receive(fd, mib);
        tell(fd, "right\n");
    }
    report("TCP", mib, start);
    return 0;
}

static int udp(const char *direction, const char *host, unsigned mib)
{
    int control = connect_to(host, PORT, SOCK_STREAM), fd;
    uint32_t came;
    double start;
    char line[64];

    snprintf(line, sizeof(line), "udp %.10s %u\n", direction, mib);
    tell(control, line);
    hear(control, line, sizeof(line));
    fd = connect_to(host, line, SOCK_DGRAM);
    tell(fd, "hello");
    hear(control, line, sizeof(line));
    start = now();
    if (!strcmp(direction, "up")) {
        udp_send(fd, mib);
        tell(control, "end\n");
        hear(control, line, sizeof(line));
        came = atoi(line);
    } else {
        came = udp_receive(fd, control, mib);
    }
    if (came != udp_total(mib)) {
        printf("%u datagrams of %u came\n", came, udp_total(mib));
        return 1;
    }
    report("UDP", mib, start);
    return 0;
}

static int count(const char *host)
{
    int fd = connect_to(host, PORT, SOCK_STREAM);
    char line[64];

    tell(fd, "count\n");
    hear(fd, line, sizeof(line));
    puts(line);
    return 0;
}

static int wake(const char *interface)
{
    struct ethtool_wolinfo wake = {.cmd = ETHTOOL_SWOL, .wolopts = WAKE_MAGIC};
    struct ifreq request = {.ifr_data = (void *)&wake};
    int fd = check(socket(AF_INET, SOCK_DGRAM, 0), "socket");

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
    check(ioctl(fd, SIOCETHTOOL, &request), interface);
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    signal(SIGPIPE, SIG_IGN);
    if ((argc == 3 || argc == 4) && !strcmp(what, "serve"))
        return serve(argv[2], argv[3]);
    if ((argc == 3 || argc == 4) && !strcmp(what, "ping"))
        return ping(argv[2], argc == 4 ? atoi(argv[3]) : 1);
    if (argc == 3 && !strcmp(what, "count"))
        return count(argv[2]);
    if (argc == 5 && !strcmp(what, "magic"))
        return magic(argv[2], argv[3], argv[4]);
    if (argc == 3 && !strcmp(what, "wake"))
        return wake(argv[2]);
    if (argc == 6 && !strcmp(what, "capture"))
        return capture(argv + 2);
    if (argc == 5 && !strcmp(what, "tcp"))
        return tcp(argv[2], argv[3], atoi(argv[4]));
    if (argc == 5 && !strcmp(what, "udp"))
        return udp(argv[2], argv[3], atoi(argv[4]));
    fprintf(stderr, "netload: see the first lines of netload.c\n");
    return 2;
}
