/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One encrypted connection: a thread that carries bytes between TLS and a socket pair. So the rest of a
 * viewer's code, and libvncserver, write to a socket as they always do, and a slow viewer is felt there as
 * one.
 */
#include <errno.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "vnc/tls_private.h"

enum {
    CHUNK = 16384,           /* of a TLS record */
    LAST_WORDS_MS = 500,     /* to say what is left, after the plain side closed */
    STACK_SIZE = 128 * 1024, /* GnuTLS' big numbers live on the heap */
};

/* Bytes on their way in one direction. */
struct flow {
    uint8_t bytes[CHUNK];
    size_t first, end;
};

struct tunnel {
    pthread_t thread;
    gnutls_session_t session;
    int network, plain;
    struct flow in, out;
    bool in_ended, out_ended;
};

static int64_t tunnel_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

static bool flow_empty(const struct flow *flow)
{
    return flow->first == flow->end;
}

static bool try_again(ssize_t code)
{
    return code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED || code == GNUTLS_E_WARNING_ALERT_RECEIVED;
}

/* From the network, as far as there is something and room. */
static void carry_in(struct tunnel *t)
{
    ssize_t n;

    if (flow_empty(&t->in) && !t->in_ended) {
        n = gnutls_record_recv(t->session, t->in.bytes, CHUNK);
        if (n > 0) {
            t->in.first = 0;
            t->in.end = n;
        } else if (!try_again(n)) {
            t->in_ended = true;
        }
    }
    while (!flow_empty(&t->in)) {
        n = send(t->plain, t->in.bytes + t->in.first, t->in.end - t->in.first, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            t->in_ended = true;
            t->in.first = t->in.end;
            return;
        }
        t->in.first += n;
    }
}

/* To the network. What GnuTLS did not take has to be offered again as it was. */
static void carry_out(struct tunnel *t)
{
    ssize_t n;

    if (flow_empty(&t->out) && !t->out_ended) {
        n = recv(t->plain, t->out.bytes, CHUNK, 0);
        if (n > 0) {
            t->out.first = 0;
            t->out.end = n;
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            t->out_ended = true;
        }
    }
    while (!flow_empty(&t->out)) {
        n = gnutls_record_send(t->session, t->out.bytes + t->out.first, t->out.end - t->out.first);
        if (try_again(n))
            return;
        if (n < 0) {
            t->out_ended = t->in_ended = true;
            t->out.first = t->out.end;
            return;
        }
        t->out.first += n;
    }
}

/* Sleeps until something can be carried. False: the time is up. */
static bool tunnel_wait(struct tunnel *t, int64_t deadline)
{
    bool reads = flow_empty(&t->in) && !t->in_ended;
    struct pollfd fds[] = {
        {.fd = t->network, .events = (reads ? POLLIN : 0) | (flow_empty(&t->out) ? 0 : POLLOUT)},
        {.fd = t->plain,
         .events = (flow_empty(&t->out) && !t->out_ended ? POLLIN : 0) | (flow_empty(&t->in) ? 0 : POLLOUT)},
    };
    int64_t left = deadline ? deadline - tunnel_now() : -1;

    if (deadline && left <= 0)
        return false;
    if (reads && gnutls_record_check_pending(t->session))
        return true;
    /* A side that nothing is awaited of is not looked at: its hang-up would be told for ever. */
    fds[0].fd = fds[0].events ? fds[0].fd : -1;
    fds[1].fd = fds[1].events ? fds[1].fd : -1;
    return poll(fds, 2, left) >= 0 || errno == EINTR;
}

static void *tunnel_main(void *opaque)
{
    struct tunnel *t = opaque;
    int64_t deadline = 0;

    while (!(t->in_ended && flow_empty(&t->in)) && !(t->out_ended && flow_empty(&t->out))) {
        if (!tunnel_wait(t, deadline))
            break;
        carry_in(t);
        carry_out(t);
        if (t->out_ended && !deadline)
            deadline = tunnel_now() + LAST_WORDS_MS;
    }
    if (flow_empty(&t->out))
        gnutls_bye(t->session, GNUTLS_SHUT_WR);
    shutdown(t->plain, SHUT_RDWR);
    shutdown(t->network, SHUT_RDWR);
    return NULL;
}

static bool tunnel_shake_hands(struct tunnel *t, int64_t deadline, const char **why)
{
    int code;

    while ((code = gnutls_handshake(t->session)) < 0) {
        struct pollfd fd = {.fd = t->network,
                            .events = gnutls_record_get_direction(t->session) ? POLLOUT : POLLIN};
        int64_t left = deadline - tunnel_now();

        if (gnutls_error_is_fatal(code) || left <= 0) {
            *why = gnutls_error_is_fatal(code) ? gnutls_strerror(code) : "no TLS handshake in time";
            return false;
        }
        if (try_again(code) && poll(&fd, 1, left) < 0 && errno != EINTR)
            return false;
    }
    return true;
}

/* GnuTLS checks the viewer's certificate, where one is asked for, within the handshake. */
static bool tunnel_session(struct tunnel *t, const struct vnc_tls *tls)
{
    int code = gnutls_init(&t->session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);

    if (code < 0) {
        t->session = NULL;
        return false;
    }
    if (gnutls_priority_set(t->session, tls->priority) < 0)
        return false;
    code = tls->certificate ? gnutls_credentials_set(t->session, GNUTLS_CRD_CERTIFICATE, tls->certificate)
                            : gnutls_credentials_set(t->session, GNUTLS_CRD_ANON, tls->anonymous);
    if (code < 0)
        return false;
    if (tls->verify_peer) {
        gnutls_certificate_server_set_request(t->session, GNUTLS_CERT_REQUIRE);
        gnutls_session_set_verify_cert(t->session, NULL, 0);
    }
    gnutls_transport_set_int(t->session, t->network);
    gnutls_handshake_set_timeout(t->session, GNUTLS_INDEFINITE_TIMEOUT); /* the deadline is ours */
    return true;
}

static bool tunnel_start(struct tunnel *t)
{
    pthread_attr_t attr;
    sigset_t all, before;
    int error;

    if (pthread_attr_init(&attr) != 0)
        return false;
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&t->thread, &attr, tunnel_main, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return error == 0;
}

static void tunnel_free(struct tunnel *t)
{
    if (t->session)
        gnutls_deinit(t->session);
    if (t->plain >= 0)
        close(t->plain);
    explicit_bzero(t, sizeof(*t));
    free(t);
}

int tunnel_open(struct tunnel **tunnel, struct vnc_tls *tls, int network, int64_t deadline, const char **why)
{
    struct tunnel *t = calloc(1, sizeof(*t));
    int pair[2];

    *why = "out of memory";
    if (!t)
        return -1;
    t->network = network;
    t->plain = -1;
    if (!tunnel_session(t, tls) || !tunnel_shake_hands(t, deadline, why)) {
        tunnel_free(t);
        return -1;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
        *why = strerror(errno);
        tunnel_free(t);
        return -1;
    }
    t->plain = pair[1];
    if (!tunnel_start(t)) {
        close(pair[0]);
        tunnel_free(t);
        return -1;
    }
    *tunnel = t;
    return pair[0];
}

void tunnel_join(struct tunnel *tunnel)
{
    if (!tunnel)
        return;
    pthread_join(tunnel->thread, NULL);
    tunnel_free(tunnel);
}
