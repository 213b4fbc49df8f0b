/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The user-mode network: libslirp plays a router, a DHCP, DNS and TFTP server, and opens ordinary sockets for
 * what the guest sends beyond them.
 *
 * libslirp is made for a loop that polls, and learns from it before each sleep which sockets to wait for.
 * Ours does so after each thing that could have changed the answer: a frame of the guest's, a ready
 * descriptor, a timer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/util.h"
#include "net/frame_queue.h"
#include "net/slirp_library.h"
#include "net/user_config.h"

enum {
    QUEUE_SIZE = 2 << 20,        /* bytes of frames for the guest; TCP's windows are 64 KiB a connection */
    QUEUE_HIGH = QUEUE_SIZE / 4, /* from here on no socket is read */
    SOCKETS = 700,      /* of the guest's and of its visitors: viewers, monitors, disks need some too */
    SPARE = 256,        /* descriptors left to those where the limit is low */
    EVENTS = 64,        /* descriptors served at a time */
    ROUND = 8,          /* times, before others have their turn */
    NO_TIMEOUT = 1000,  /* what libslirp answers at most, with nothing to wait for (ms) */
    TIMEOUT_FAST = 100, /* below: acknowledgements that are due (ms) */
    FIRST_TIME = 3600,  /* its clock at our 0 (s): 0 means never to it */
};

/* The slow timer serves retransmissions and idle sockets. While there is any socket libslirp would have it
 * forever; after this time, longer than between any two retransmissions, nothing is left for it to do. */
#define QUIET_AFTER (180 * NS_PER_SECOND)

/* What is known of a descriptor of libslirp's; the table's index is the descriptor. */
struct user_fd {
    uint32_t watched; /* events; 0: not in poll_fd */
    uint32_t ready;
    unsigned round; /* of asking in which it was last wanted */
    bool told;      /* libslirp told of it: all sockets but those that listen for a hostfwd */
};

struct user {
    struct net_port *port;
    struct slirp_library library;
    Slirp *slirp;
    int poll_fd; /* an epoll of libslirp's descriptors, itself watched by the loop */
    struct loop_fd watch;
    struct user_fd *fds;
    size_t fd_room;
    int *watched; /* those with events */
    size_t watched_count, watched_room;
    unsigned sockets, most_sockets; /* told of, and how many there may be */
    unsigned round;
    struct loop_work work;
    struct timer timer;
    int64_t last_active; /* guest time of the last frame or ready descriptor */
    struct frame_queue queue;
    bool sending; /* inside the card's call: what comes back waits */
    bool waiting; /* the card is full */
    bool paused;  /* too much waits: no socket is read */
    uint64_t lost;
};

/* libslirp's only kind of timer: when to advertise the IPv6 router. */
struct user_timer {
    struct timer timer;
    struct user *user;
    SlirpTimerId id;
    void *opaque;
};

/* ---- descriptors ---- */

static const struct {
    int slirp;
    uint32_t epoll;
} event_bits[] = {{SLIRP_POLL_IN, EPOLLIN},
                  {SLIRP_POLL_OUT, EPOLLOUT},
                  {SLIRP_POLL_PRI, EPOLLPRI},
                  {SLIRP_POLL_ERR, EPOLLERR},
                  {SLIRP_POLL_HUP, EPOLLHUP}};

static uint32_t to_epoll(int events)
{
    uint32_t out = 0;

    for (size_t i = 0; i < COUNT(event_bits); i++)
        out |= events & event_bits[i].slirp ? event_bits[i].epoll : 0;
    return out;
}

static int to_slirp(uint32_t events)
{
    int out = 0;

    for (size_t i = 0; i < COUNT(event_bits); i++)
        out |= events & event_bits[i].epoll ? event_bits[i].slirp : 0;
    return out;
}

/* Grows the table to `count` members; false: out of memory, and the table is as before. */
static bool user_grow(void **table, size_t *capacity, size_t count, size_t member)
{
    size_t want = *capacity ? *capacity : 64;
    void *more;

    if (count <= *capacity)
        return true;
    while (want < count)
        want *= 2;
    more = realloc(*table, want * member);
    if (!more)
        return false;
    memset((char *)more + *capacity * member, 0, (want - *capacity) * member);
    *table = more;
    *capacity = want;
    return true;
}

static void watch_fd(struct user *user, int fd, uint32_t events)
{
    struct user_fd *state = &user->fds[fd];
    struct epoll_event ev = {.events = events, .data.fd = fd};

    if (state->watched == events)
        return;
    if (!state->watched) {
        if (!user_grow((void **)&user->watched, &user->watched_room, user->watched_count + 1, sizeof(int)) ||
            epoll_ctl(user->poll_fd, EPOLL_CTL_ADD, fd, &ev))
            return; /* tried again with the next update_polling */
        user->watched[user->watched_count++] = fd;
    } else if (epoll_ctl(user->poll_fd, EPOLL_CTL_MOD, fd, &ev)) {
        return;
    }
    state->watched = events;
}

static int add_poll(int fd, int events, void *opaque)
{
    struct user *user = opaque;

    if (fd < 0 || !events || !user_grow((void **)&user->fds, &user->fd_room, fd + 1, sizeof(struct user_fd)))
        return -1;
    if (!user->fds[fd].told && user->sockets >= user->most_sockets)
        return -1; /* who comes now waits in the kernel's queue */
    user->fds[fd].round = user->round;
    watch_fd(user, fd, to_epoll(events));
    return fd;
}

static int get_events(int index, void *opaque)
{
    const struct user *user = opaque;

    return index < 0 || (size_t)index >= user->fd_room ? 0 : to_slirp(user->fds[index].ready);
}

static void forget_at(struct user *user, size_t i)
{
    int fd = user->watched[i];

    epoll_ctl(user->poll_fd, EPOLL_CTL_DEL, fd, NULL);
    user->fds[fd].watched = user->fds[fd].ready = 0;
    user->watched[i] = user->watched[--user->watched_count];
}

static void user_register_fd(int fd, void *opaque)
{
    struct user *user = opaque;

    if (fd < 0 || !user_grow((void **)&user->fds, &user->fd_room, fd + 1, sizeof(struct user_fd)))
        return;
    user->sockets += !user->fds[fd].told;
    user->fds[fd].told = true;
}

/* It is about to be closed, and its number to be another's. */
static void user_unregister_fd(int fd, void *opaque)
{
    struct user *user = opaque;

    if (fd < 0 || (size_t)fd >= user->fd_room)
        return;
    user->sockets -= user->fds[fd].told;
    user->fds[fd].told = false;
    for (size_t i = 0; i < user->watched_count; i++)
        if (user->watched[i] == fd) {
            forget_at(user, i);
            return;
        }
}

/* ---- asking libslirp ---- */

static void arm_timer(struct user *user, uint32_t timeout)
{
    int64_t now = clock_now(user->timer.clock), deadline = now + timeout * NS_PER_MS;

    if (timeout >= NO_TIMEOUT || (timeout > TIMEOUT_FAST && now - user->last_active > QUIET_AFTER))
        timer_cancel(&user->timer);
    else if (!timer_armed(&user->timer) || deadline < user->timer.deadline)
        timer_set(&user->timer, deadline);
}

/* Too many frames for the card: the sockets wait, and TCP on the host slows down whoever sends. */
static void update_pause(struct user *user)
{
    bool paused = user->queue.used > QUEUE_HIGH;

    if (paused == user->paused)
        return;
    user->paused = paused;
    loop_rewatch(user->port->loop, &user->watch, paused ? 0 : EPOLLIN);
}

/* Learns from libslirp which sockets it waits for and how long. */
static void update_polling(struct user *user)
{
    uint32_t timeout = UINT32_MAX;

    user->round++;
    user->library.slirp_pollfds_fill(user->slirp, &timeout, add_poll, user);
    for (size_t i = user->watched_count; i-- > 0;)
        if (user->fds[user->watched[i]].round != user->round)
            forget_at(user, i);
    arm_timer(user, timeout);
    update_pause(user);
}

/* False: none was ready. */
static bool serve_sockets(struct user *user)
{
    struct epoll_event ready[EVENTS];
    int n = epoll_wait(user->poll_fd, ready, EVENTS, 0);

    for (int i = 0; i < n; i++)
        user->fds[ready[i].data.fd].ready = ready[i].events;
    if (n > 0)
        user->library.slirp_pollfds_poll(user->slirp, 0, get_events, user);
    for (int i = 0; i < n; i++)
        user->fds[ready[i].data.fd].ready = 0;
    update_polling(user);
    return n > 0;
}

/* libslirp takes one datagram a time from a socket. */
static void sockets_ready(void *opaque, uint32_t events)
{
    struct user *user = opaque;

    user->last_active = clock_now(user->timer.clock);
    for (int i = 0; i < ROUND && !user->paused && serve_sockets(user); i++)
        continue;
}

static void timer_fired(void *opaque)
{
    struct user *user = opaque;

    user->library.slirp_pollfds_poll(user->slirp, 0, get_events, user);
    update_polling(user);
}

/* ---- frames ---- */

static void deliver_queue(struct user *user)
{
    const uint8_t *data;
    size_t length;

    user->waiting = false;
    while (!user->waiting && (data = frame_queue_first(&user->queue, &length))) {
        user->waiting = !net_deliver(user->port, data, length);
        if (!user->waiting)
            frame_queue_drop(&user->queue);
    }
    update_pause(user);
}

static void user_work(void *opaque)
{
    struct user *user = opaque;

    if (!user->waiting)
        deliver_queue(user);
    update_polling(user);
}

static ssize_t user_send_packet(const void *data, size_t length, void *opaque)
{
    struct user *user = opaque;

    if (!length || length > NET_MAX_FRAME)
        return length;
    if (!user->sending && !user->waiting && !user->queue.count) {
        user->waiting = !net_deliver(user->port, data, length);
        if (!user->waiting)
            return length;
    }
    if (!frame_queue_put(&user->queue, data, length))
        user->lost++;
    return length;
}

/* Could libslirp open a socket for it? For all IP packets but those of a TCP connection that there is. */
static bool may_open_socket(const struct net_frame *frame)
{
    enum { IPV4 = 0x0800, IPV6 = 0x86DD, TCP = 6, TCP_HEADER = 20, FLAGS = 13, SYN = 2 };
    const uint8_t *ip = frame->data + NET_HEADER;
    size_t length = frame->length < NET_HEADER ? 0 : frame->length - NET_HEADER, header;
    unsigned type = length ? get_be16(ip - 2) : 0;

    if (type != IPV4 && type != IPV6)
        return false;
    header = type == IPV6 ? 40 : (ip[0] & 15) * 4;
    if (length < header + TCP_HEADER || ip[type == IPV6 ? 6 : 9] != TCP)
        return true;
    if (type == IPV4 && (ip[6] & 0x3F || ip[7]))
        return true; /* a fragment */
    return ip[header + FLAGS] & SYN;
}

static bool user_send(struct net_port *port, const struct net_frame *frame)
{
    struct user *user = port->wire_data;

    if (user->sockets >= user->most_sockets && may_open_socket(frame))
        return true;
    user->last_active = clock_now(user->timer.clock);
    user->sending = true;
    user->library.slirp_input(user->slirp, frame->data, frame->length);
    user->sending = false;
    loop_post(port->loop, &user->work);
    return true;
}

static void user_resume(struct net_port *port)
{
    deliver_queue(port->wire_data);
}

/* ---- libslirp's other calls ---- */

/* A guest can cause them without end: they are not logged. */
static void user_guest_error(const char *message, void *opaque)
{
}

static int64_t user_get_time(void *opaque)
{
    const struct user *user = opaque;

    return clock_now(user->timer.clock) + FIRST_TIME * NS_PER_SECOND;
}

static void user_timer_fired(void *opaque)
{
    struct user_timer *timer = opaque;

    timer->user->library.slirp_handle_timer(timer->user->slirp, timer->id, timer->opaque);
}

static void *user_new_timer(SlirpTimerId id, void *timer_opaque, void *opaque)
{
    struct user *user = opaque;
    struct user_timer *timer = calloc(1, sizeof(*timer));

    if (!timer)
        return NULL;
    *timer = (struct user_timer){.user = user, .id = id, .opaque = timer_opaque};
    timer_init(&timer->timer, user->timer.clock, user_timer_fired, timer);
    return timer;
}

static void user_free_timer(void *timer, void *opaque)
{
    if (timer)
        timer_cancel(&((struct user_timer *)timer)->timer);
    free(timer);
}

static void user_set_timer(void *timer, int64_t ms, void *opaque)
{
    if (timer)
        timer_set(&((struct user_timer *)timer)->timer, ms * NS_PER_MS - FIRST_TIME * NS_PER_SECOND);
}

static void user_notify(void *opaque)
{
    struct user *user = opaque;

    loop_post(user->port->loop, &user->work);
}

static const SlirpCb callbacks = {.send_packet = user_send_packet,
                                  .guest_error = user_guest_error,
                                  .clock_get_ns = user_get_time,
                                  .timer_new_opaque = user_new_timer,
                                  .timer_free = user_free_timer,
                                  .timer_mod = user_set_timer,
                                  .register_poll_fd = user_register_fd,
                                  .unregister_poll_fd = user_unregister_fd,
                                  .notify = user_notify};

/* ---- the wire ---- */

static void user_free(struct user *user)
{
    if (user->slirp)
        user->library.slirp_cleanup(user->slirp);
    if (user->port) {
        timer_cancel(&user->timer);
        loop_cancel(user->port->loop, &user->work);
        loop_unwatch(user->port->loop, &user->watch);
    }
    if (user->poll_fd >= 0)
        close(user->poll_fd);
    frame_queue_free(&user->queue);
    free(user->fds);
    free(user->watched);
    free(user);
}

static void user_close(struct net_port *port)
{
    user_free(port->wire_data);
}

static const struct net_wire user_wire = {
    .kind = "user", .send = user_send, .resume = user_resume, .close = user_close};

static bool add_forward(struct user *user, const char *text, struct error *err)
{
    struct user_forward f;

    if (!user_parse_forward(text, &f, err))
        return false;
    return !user->library.slirp_add_hostfwd(user->slirp, f.udp, f.host, f.host_port, f.guest, f.guest_port) ||
           error_set(err, "hostfwd=%s: %s", text, strerror(errno));
}

bool net_user_add_forward(struct net_port *port, const char *forward, struct error *err)
{
    bool ok = add_forward(port->wire_data, forward, err);

    update_polling(port->wire_data);
    return ok;
}

bool net_user_remove_forward(struct net_port *port, const char *listener, struct error *err)
{
    struct user *user = port->wire_data;
    struct user_forward f;

    if (!user_parse_listener(listener, &f, err))
        return false;
    if (user->library.slirp_remove_hostfwd(user->slirp, f.udp, f.host, f.host_port))
        return error_set(err, "hostfwd=%s: there is none such", listener);
    update_polling(user);
    return true;
}

void net_user_count(struct net_port *port, unsigned *waiting, uint64_t *lost)
{
    const struct user *user = port->wire_data;

    *waiting = user->queue.count;
    *lost = user->lost;
}

char *net_user_connections(struct net_port *port)
{
    struct user *user = port->wire_data;

    return user->library.slirp_connection_info(user->slirp);
}

static unsigned most_sockets(void)
{
    struct rlimit limit = {.rlim_cur = 0};

    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 2 * SPARE)
        return limit.rlim_cur / 2;
    return limit.rlim_cur - SPARE < SOCKETS ? limit.rlim_cur - SPARE : SOCKETS;
}

static bool user_start(struct user *user, struct loop *loop, const char *id,
                       const struct net_user_options *options, struct error *err)
{
    char address[INET_ADDRSTRLEN];
    SlirpConfig config;

    if (!user_configure(options, &config, err) || !slirp_library_load(&user->library, err))
        return false;
    user->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (user->poll_fd < 0 || !frame_queue_init(&user->queue, QUEUE_SIZE))
        return error_set(err, "%s", strerror(errno));
    user->port = net_port_new(loop, id, &user_wire, user);
    if (!user->port)
        return error_set(err, "out of memory");
    user->work = (struct loop_work){.run = user_work, .opaque = user};
    timer_init(&user->timer, loop->guest_clock, timer_fired, user);
    user->last_active = -QUIET_AFTER - 1;
    user->most_sockets = most_sockets();
    if (!loop_watch(loop, &user->watch, user->poll_fd, EPOLLIN, sockets_ready, user))
        return error_set(err, "%s", strerror(errno));
    user->slirp = user->library.slirp_new(&config, &callbacks, user);
    if (!user->slirp)
        return error_set(err, "the network cannot be made");
    for (const char *const *forward = options->hostfwd; forward && *forward; forward++)
        if (!add_forward(user, *forward, err))
            return false;
    if (asprintf(&user->port->info, "net=%s,restrict=%s",
                 inet_ntop(AF_INET, &config.vnetwork, address, sizeof(address)),
                 options->restricted ? "on" : "off") < 0)
        user->port->info = NULL;
    update_polling(user);
    return true;
}

struct net_port *net_open_user(struct loop *loop, const char *id, const struct net_user_options *options,
                               struct error *err)
{
    struct user *user = calloc(1, sizeof(*user));
    struct net_port *port;

    if (!user) {
        error_set(err, "out of memory");
        return NULL;
    }
    user->poll_fd = user->watch.fd = -1;
    if (user_start(user, loop, id, options, err))
        return user->port;
    port = user->port;
    if (port)
        net_close(port);
    else
        user_free(user);
    return NULL;
}
