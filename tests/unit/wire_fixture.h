/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A loop, a wire on it, and a card that keeps what comes. */
#ifndef TESTS_UNIT_WIRE_FIXTURE_H
#define TESTS_UNIT_WIRE_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/wires.h"
#include "tests/lib/cmocka.h"
#include "tests/lib/qtest.h"

struct wire_fixture {
    pthread_mutex_t lock;
    struct clock clock; /* the guest's, moved by hand */
    struct loop loop;
    struct net_card card;
    struct net_port *port;
    int peer;                 /* the far end, -1: there is none */
    bool full, link, sending; /* of the card */
    unsigned received, sent, link_changes;
    uint64_t bytes;
    uint8_t frame[NET_MAX_FRAME]; /* the last */
    size_t length;
    /* Called with each frame if not NULL. */
    void (*hook)(struct wire_fixture *f);
    void *data; /* freed with the fixture */
};

static inline bool fixture_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct wire_fixture *f = opaque;

    assert_false(f->sending); /* neither side calls the other from inside a call of the other's */
    if (f->full)
        return false;
    f->received++;
    f->bytes += length;
    f->length = length;
    memcpy(f->frame, data, length);
    if (f->hook)
        f->hook(f);
    return true;
}

static inline void fixture_sent(void *opaque)
{
    ((struct wire_fixture *)opaque)->sent++;
}

static inline void fixture_link(void *opaque, bool up)
{
    struct wire_fixture *f = opaque;

    f->link = up;
    f->link_changes++;
}

static inline struct wire_fixture *fixture_new(void)
{
    struct wire_fixture *f = calloc(1, sizeof(*f));

    f->peer = -1;
    pthread_mutex_init(&f->lock, NULL);
    pthread_mutex_lock(&f->lock);
    clock_init(&f->clock, CLOCK_MANUAL);
    assert_true(loop_init(&f->loop, &f->lock, &f->clock));
    f->card = (struct net_card){
        .receive = fixture_receive, .sent = fixture_sent, .link_changed = fixture_link, .opaque = f};
    return f;
}

static inline void fixture_attach(struct wire_fixture *f, struct net_port *port)
{
    assert_non_null(port);
    f->port = port;
    assert_true(net_attach(port, &f->card, "card0"));
}

/* A wire on one end of a pair of sockets of that type; the other is peer. */
static inline void fixture_open_pair(struct wire_fixture *f, int type)
{
    struct net_dgram_options dgram = {.local = {.kind = NET_ADDRESS_FD}};
    struct net_stream_options stream = {.address = {.kind = NET_ADDRESS_FD}};
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, pair), 0);
    f->peer = pair[0];
    dgram.local.fd = stream.address.fd = pair[1];
    fixture_attach(f, type == SOCK_DGRAM ? net_open_dgram(&f->loop, "n0", &dgram, NULL)
                                         : net_open_stream(&f->loop, "n0", &stream, NULL));
}

static inline void fixture_free(struct wire_fixture *f)
{
    if (f->port)
        net_close(f->port);
    if (f->peer >= 0)
        close(f->peer);
    free(f->data);
    loop_destroy(&f->loop);
    clock_destroy(&f->clock);
    pthread_mutex_unlock(&f->lock);
    free(f);
}

/* What is ready now. */
static inline void fixture_serve(struct wire_fixture *f)
{
    for (int i = 0; i < 4; i++)
        loop_once(&f->loop, false);
}

static inline void fixture_late(void *opaque)
{
    fail_msg("%s did not come", (const char *)opaque);
}

/* Serves until the condition holds. */
#define fixture_wait(f, condition)                                                                           \
    do {                                                                                                     \
        struct timer late;                                                                                   \
                                                                                                             \
        timer_init(&late, &(f)->loop.host_clock, fixture_late, (void *)#condition);                          \
        timer_set(&late, clock_now(&(f)->loop.host_clock) + 60 * NS_PER_SECOND * qtest_timeout_scale());     \
        while (!(condition))                                                                                 \
            loop_once(&(f)->loop, true);                                                                     \
        timer_cancel(&late);                                                                                 \
    } while (0)

/* The program ends with a line that says so, its last. */
static inline void fixture_refused(const char *options, const char *said)
{
    char args[500], *text;

    snprintf(args, sizeof(args), "-accel qtest -display none %s", options);
    assert_int_equal(qtest_start_failing(args, &text), 1);
    assert_non_null(text);
    if (!strstr(text, said))
        fail_msg("%s: %s", options, text);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    free(text);
}

static inline bool fixture_send(struct wire_fixture *f, const void *data, size_t length)
{
    bool taken;

    f->sending = true;
    taken = net_send(f->port, &(struct net_frame){.data = data, .length = length});
    f->sending = false;
    return taken;
}

#endif
