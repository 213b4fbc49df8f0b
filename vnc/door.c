/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The door: from a connection to a viewer's thread, and how many of those that are not through with the
 * handshake there may be. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "vnc/browser.h"
#include "vnc/viewer.h"

enum {
    MAX_HANDSHAKES = 128,    /* connections that are not authenticated */
    MAX_OF_ONE_PEER = 32,    /* of those, from one address */
    MAX_THREADS = 256,       /* with those that are disconnected and about to end */
    STACK_SIZE = 512 * 1024, /* of a viewer's thread */
    /* libvncserver keeps descriptors in an fd_set; a viewer needs a few more than its connection. */
    MAX_FD = FD_SETSIZE - 8,
};

/* A refusal that every viewer shows: protocol 3.3 has the reason right after the version. */
static void vnc_refuse(int fd, const char *reason)
{
    uint8_t message[128] = "RFB 003.003\n";
    size_t length = strlen(reason);

    message[19] = length;
    memcpy(message + 20, reason, length);
    send(fd, message, 20 + length, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

static void tune_socket(int fd)
{
    int on = 1, idle = 60;

    /* These fail on UNIX sockets, harmlessly. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
}

static bool start_thread(struct viewer *v)
{
    pthread_attr_t attr;
    sigset_t all, before;
    int error;

    if (pthread_attr_init(&attr) != 0)
        return false;
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&v->thread, &attr, viewer_main, v);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return error == 0;
}

static void add_viewer(struct vnc *vnc, int fd, const struct vnc_endpoint *peer, struct peer_key key,
                       bool secure)
{
    struct viewer *v = calloc(1, sizeof(*v));

    if (!v) {
        vnc_refuse(fd, "out of memory");
        return;
    }
    *v = (struct viewer){.vnc = vnc,
                         .fd = fd,
                         .network = -1,
                         .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                         .peer = *peer,
                         .key = key,
                         .secure = secure};
    pixman_region32_init(&v->dirty);
    pthread_cond_init(&v->inputs_taken, NULL);
    keyboard_init(&v->keyboard, NULL, viewer_key, v);
    hand_join(&v->hand, vnc->console);
    tune_socket(fd);
    pthread_mutex_lock(&vnc->lock);
    v->next = vnc->viewers;
    vnc->viewers = v;
    if (v->wake_fd < 0 || !start_thread(v)) {
        vnc->viewers = v->next;
        hand_leave(&v->hand);
        viewer_free(v);
    }
    pthread_mutex_unlock(&vnc->lock);
}

static bool is_half_open(const struct viewer *v)
{
    return v->stage == VIEWER_HANDSHAKE && !v->quit;
}

/* Of one peer, or of all (NULL); lock held. */
static unsigned count_half_open(const struct vnc *vnc, const struct peer_key *key)
{
    unsigned n = 0;

    for (const struct viewer *v = vnc->viewers; v; v = v->next)
        n += is_half_open(v) && (!key || peer_key_same(key, &v->key));
    return n;
}

/* The peer that has most of the half-open connections; lock held. */
static struct peer_key greediest(const struct vnc *vnc)
{
    const struct viewer *most = NULL;
    unsigned count = 0;

    for (const struct viewer *v = vnc->viewers; v; v = v->next) {
        unsigned n = is_half_open(v) ? count_half_open(vnc, &v->key) : 0;

        if (n > count) {
            count = n;
            most = v;
        }
    }
    return most ? most->key : (struct peer_key){0};
}

/* Closes the oldest of a peer's half-open connections, of those that never said a word if silent; false:
 * there is none. Lock held. */
static bool close_oldest(struct vnc *vnc, const struct peer_key *key, bool silent)
{
    struct viewer *oldest = NULL;

    for (struct viewer *v = vnc->viewers; v; v = v->next)
        if (is_half_open(v) && !(silent && v->spoke) && peer_key_same(key, &v->key))
            oldest = v;
    if (!oldest)
        return false;
    vnc_log_refused(&oldest->peer, "a connection that does not log in made room for another",
                    guesses_crowded(&vnc->guesses, key, viewer_now()));
    vnc_disconnect(oldest);
    return true;
}

/*
 * Too many that are not through with the handshake: of whom has most of them, the oldest that is silent makes
 * room; who answered may be typing a password, and stays where others come from the same address. So no peer
 * keeps others out. False: the newcomer is refused, one of too many itself. Lock held.
 */
static bool make_room_for(struct vnc *vnc, const struct peer_key *key)
{
    struct peer_key most = greediest(vnc);

    if (count_half_open(vnc, key) >= MAX_OF_ONE_PEER)
        return close_oldest(vnc, key, true);
    if (count_half_open(vnc, NULL) >= MAX_HANDSHAKES)
        return close_oldest(vnc, &most, true) ||
               (!peer_key_same(&most, key) && close_oldest(vnc, &most, false));
    return true;
}

void vnc_log_refused(const struct vnc_endpoint *peer, const char *what, unsigned nth)
{
    if (!guesses_worth_a_line(nth))
        return;
    if (nth == 1)
        log_line("vnc: %s: %s", peer->host, what);
    else
        log_line("vnc: %s: %s (%u times)", peer->host, what, nth);
}

static unsigned count_threads(const struct vnc *vnc)
{
    unsigned n = 0;

    for (const struct viewer *v = vnc->viewers; v; v = v->next)
        n++;
    return n;
}

static void take_connection(struct vnc *vnc, int fd, const struct vnc_endpoint *peer, struct peer_key key,
                            bool secure)
{
    bool room;

    pthread_mutex_lock(&vnc->lock);
    room = count_threads(vnc) < MAX_THREADS && fd < MAX_FD && make_room_for(vnc, &key);
    if (!room)
        vnc_log_refused(peer, "too many connections", guesses_crowded(&vnc->guesses, &key, viewer_now()));
    pthread_mutex_unlock(&vnc->lock);
    if (room)
        add_viewer(vnc, fd, peer, key, secure);
    else
        vnc_refuse(fd, "too many viewers");
}

void vnc_connection(void *opaque)
{
    struct vnc *vnc = opaque;

    for (size_t i = 0; i < COUNT(vnc->door.listeners); i++) {
        struct sockaddr_storage addr;
        socklen_t length = sizeof(addr);
        struct vnc_endpoint peer;
        int fd;

        if (vnc->door.listeners[i].fd < 0)
            continue;
        fd = acceptor_take(&vnc->door.listeners[i], &addr, &length);
        if (fd < 0)
            continue;
        listen_endpoint(&peer, &addr, length);
        if (vnc->socket_path)
            snprintf(peer.host, sizeof(peer.host), "%s", vnc->socket_path);
        take_connection(vnc, fd, &peer, peer_key_of(&addr), false);
    }
}

void vnc_web_connection(void *opaque)
{
    struct vnc *vnc = opaque;

    for (size_t i = 0; i < COUNT(vnc->web_door.listeners); i++) {
        int fd =
            vnc->web_door.listeners[i].fd < 0 ? -1 : acceptor_take(&vnc->web_door.listeners[i], NULL, NULL);

        if (fd >= 0)
            browser_take(vnc->browser, fd);
    }
}

void vnc_arrive(struct vnc *vnc, int fd, const struct sockaddr_storage *peer, socklen_t length)
{
    bool room;

    pthread_mutex_lock(&vnc->lock);
    room = vnc->arrival_count < ARRIVALS;
    if (room)
        vnc->arrivals[vnc->arrival_count++] = (struct arrival){fd, *peer, length};
    pthread_mutex_unlock(&vnc->lock);
    if (room)
        vnc_ask(vnc);
    else
        close(fd);
}

void vnc_take_arrivals(struct vnc *vnc)
{
    for (;;) {
        struct vnc_endpoint peer;
        struct arrival who;

        pthread_mutex_lock(&vnc->lock);
        if (!vnc->arrival_count) {
            pthread_mutex_unlock(&vnc->lock);
            return;
        }
        who = vnc->arrivals[--vnc->arrival_count];
        pthread_mutex_unlock(&vnc->lock);
        listen_endpoint(&peer, &who.peer, who.length);
        take_connection(vnc, who.fd, &peer, peer_key_of(&who.peer), true);
    }
}
