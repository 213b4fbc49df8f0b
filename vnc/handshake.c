/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The beginning of an RFB connection: versions 3.3, 3.7, 3.8 and Apple's, without a password or with VNC
 * authentication (RFC 6143, 7.1 and 7.2). It is spoken here and not by libvncserver, which waits for
 * WebSockets first, keeps the security types of all servers of a process in one list, and cannot be bounded
 * in time.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "vnc/viewer.h"
#include "vnc/vnc_auth.h"

enum {
    HANDSHAKE_MS = 20000, /* for all of it: people type their password in between */
    SEND_MS = 10000,
    QUEUE_MS =
        60000, /* an answer that is not looked at by then, for others from there were wrong, is refused */
    SECURITY_NONE = 1,
    SECURITY_VNC = 2,
    SECURITY_VENCRYPT = 19,
    VENCRYPT_TLS_NONE = 257,
    VENCRYPT_TLS_VNC = 258,
    VENCRYPT_X509_NONE = 260,
    VENCRYPT_X509_VNC = 261,
    APPLE_MINOR = 889, /* of Mac OS X: sends no ClientInit after "none" */
};

bool viewer_must_quit(struct viewer *v)
{
    bool quit;

    pthread_mutex_lock(&v->vnc->lock);
    quit = v->quit;
    pthread_mutex_unlock(&v->vnc->lock);
    return quit;
}

int64_t viewer_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

/* Waits until the connection is ready; false: not in time, or to be disconnected. */
static bool wait_for(struct viewer *v, short events, int64_t deadline)
{
    struct pollfd fd = {.fd = v->fd, .events = events};

    for (;;) {
        int64_t left = deadline - viewer_now();
        int n;

        if (left <= 0 || viewer_must_quit(v))
            return false;
        n = poll(&fd, 1, left);
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
    }
}

bool viewer_send(struct viewer *v, const void *data, size_t length)
{
    int64_t deadline = viewer_now() + SEND_MS;

    while (length) {
        ssize_t n = send(v->fd, data, length, MSG_NOSIGNAL);

        if (n >= 0) {
            data = (const uint8_t *)data + n;
            length -= n;
        } else if (errno == EAGAIN ? !wait_for(v, POLLOUT, deadline) : errno != EINTR) {
            return false;
        }
    }
    return true;
}

static bool handshake_receive(struct viewer *v, void *data, size_t length, int64_t deadline)
{
    while (length) {
        ssize_t n = recv(v->fd, data, length, 0);

        if (n == 0)
            return false;
        if (n > 0) {
            data = (uint8_t *)data + n;
            length -= n;
        } else if (errno == EAGAIN ? !wait_for(v, POLLIN, deadline) : errno != EINTR) {
            return false;
        }
    }
    return true;
}

static bool send32(struct viewer *v, uint32_t value)
{
    uint8_t bytes[4] = {value >> 24, value >> 16, value >> 8, value};

    return viewer_send(v, bytes, sizeof(bytes));
}

/* The viewer's minor version as the RFC counts: 3, 7, 8, or Apple's. */
static bool exchange_versions(struct viewer *v, unsigned *minor, int64_t deadline)
{
    char version[13] = {0};
    unsigned major;

    if (!viewer_send(v, "RFB 003.008\n", 12) || !handshake_receive(v, version, 12, deadline))
        return false;
    if (version[11] != '\n' || sscanf(version, "RFB %3u.%3u\n", &major, minor) != 2 || major < 3)
        return false;
    pthread_mutex_lock(&v->vnc->lock);
    v->spoke = true;
    pthread_mutex_unlock(&v->vnc->lock);
    if (major > 3)
        *minor = 8;
    else if (*minor != APPLE_MINOR)
        *minor = *minor >= 8 ? 8 : *minor == 7 ? 7 : 3;
    return true;
}

static bool choose_security(struct viewer *v, unsigned minor, uint8_t type, int64_t deadline)
{
    static const char old[] = "this server wants an encrypted connection, which your viewer is too old for";
    uint8_t offer[2] = {1, type}, choice;

    if (minor < 7 && type == SECURITY_VENCRYPT)
        return send32(v, 0) && send32(v, strlen(old)) && viewer_send(v, old, strlen(old)) && false;
    if (minor < 7)
        return send32(v, type);
    return viewer_send(v, offer, sizeof(offer)) && handshake_receive(v, &choice, 1, deadline) &&
           choice == type;
}

/* The socket that is spoken over from now on carries what the tunnel decrypts. */
static bool enter_tunnel(struct viewer *v, int64_t deadline)
{
    struct vnc *vnc = v->vnc;
    char line[160];
    const char *why;
    int fd = tunnel_open(&v->tunnel, vnc->tls, v->fd, deadline, &why);

    pthread_mutex_lock(&vnc->lock);
    if (fd >= 0) {
        v->network = v->fd;
        v->fd = fd;
    } else {
        snprintf(line, sizeof(line), "TLS: %s", why);
        vnc_log_refused(&v->peer, line, guesses_crowded(&vnc->guesses, &v->key, viewer_now()));
    }
    pthread_mutex_unlock(&vnc->lock);
    return fd >= 0;
}

/* VeNCrypt 0.2 (rfbproto): one kind is offered, TLS with or without certificates, then what this server asks.
 */
static bool encrypt(struct viewer *v, int64_t deadline)
{
    bool x509 = vnc_tls_has_certificate(v->vnc->tls), secret = v->vnc->need_password;
    uint32_t kind = secret ? (x509 ? VENCRYPT_X509_VNC : VENCRYPT_TLS_VNC)
                           : (x509 ? VENCRYPT_X509_NONE : VENCRYPT_TLS_NONE);
    uint8_t version[2] = {0, 2}, choice[4], offer[6] = {0, 1, kind >> 24, kind >> 16, kind >> 8, kind},
            answer = 1;

    if (!viewer_send(v, version, 2) || !handshake_receive(v, version, 2, deadline))
        return false;
    if (version[0] != 0 || version[1] != 2)
        return viewer_send(v, &answer, 1) && false;
    if (!viewer_send(v, offer, sizeof(offer)) || !handshake_receive(v, choice, sizeof(choice), deadline))
        return false;
    if (memcmp(choice, offer + 2, sizeof(choice)) != 0) {
        answer = 0;
        return viewer_send(v, &answer, 1) && false;
    }
    return viewer_send(v, &answer, 1) && enter_tunnel(v, deadline);
}

/* Of either password; v->view_only is set. */
static bool right_answer(struct viewer *v, const uint8_t challenge[VNC_CHALLENGE_SIZE],
                         const uint8_t answer[VNC_CHALLENGE_SIZE])
{
    char password[VNC_PASSWORD_LENGTH + 1], view[VNC_PASSWORD_LENGTH + 1];
    struct vnc *vnc = v->vnc;
    bool expired, right, looks;

    pthread_mutex_lock(&vnc->lock);
    memcpy(password, vnc->password, sizeof(password));
    memcpy(view, vnc->view_password, sizeof(view));
    expired = vnc->expires && time(NULL) >= vnc->expires;
    pthread_mutex_unlock(&vnc->lock);
    right = vnc_auth_right(password, challenge, answer);
    looks = vnc_auth_right(view, challenge, answer);
    explicit_bzero(password, sizeof(password));
    explicit_bzero(view, sizeof(view));
    v->view_only = looks && !right; /* not read by others before the stage is ADMITTED */
    return (right || looks) && !expired;
}

/* Waits for its turn among the guesses from there; false: not to be had. *nth: see guesses_ask. */
static bool wait_for_turn(struct viewer *v, unsigned *nth)
{
    int64_t end = viewer_now() + QUEUE_MS, left;

    for (;;) {
        pthread_mutex_lock(&v->vnc->lock);
        left = guesses_ask(&v->vnc->guesses, &v->key, viewer_now(), nth);
        pthread_mutex_unlock(&v->vnc->lock);
        if (left == 0)
            return true;
        if (viewer_now() + left > end || wait_for(v, POLLRDHUP, viewer_now() + left) || viewer_must_quit(v))
            return false;
    }
}

static void count_result(struct viewer *v, bool right, unsigned nth)
{
    if (!right) {
        vnc_log_refused(&v->peer, "wrong password", nth);
        return;
    }
    pthread_mutex_lock(&v->vnc->lock);
    guesses_right(&v->vnc->guesses, &v->key);
    pthread_mutex_unlock(&v->vnc->lock);
}

static bool authenticate(struct viewer *v, bool *right, int64_t deadline)
{
    uint8_t challenge[VNC_CHALLENGE_SIZE], answer[VNC_CHALLENGE_SIZE];
    unsigned nth = 0;

    if (getrandom(challenge, sizeof(challenge), 0) != sizeof(challenge) ||
        !viewer_send(v, challenge, sizeof(challenge)) ||
        !handshake_receive(v, answer, sizeof(answer), deadline))
        return false;
    *right = wait_for_turn(v, &nth) && right_answer(v, challenge, answer);
    count_result(v, *right, nth);
    return true;
}

static bool send_result(struct viewer *v, unsigned minor, bool right)
{
    static const char reason[] = "authentication failed";

    return send32(v, right ? 0 : 1) &&
           (right || minor < 8 || (send32(v, strlen(reason)) && viewer_send(v, reason, strlen(reason))));
}

static bool receive_client_init(struct viewer *v, int64_t deadline)
{
    uint8_t shared;

    if (!handshake_receive(v, &shared, 1, deadline))
        return false;
    v->exclusive = !shared; /* not read by others before the stage is ADMITTED */
    return true;
}

bool viewer_handshake(struct viewer *v)
{
    int64_t deadline = viewer_now() + HANDSHAKE_MS;
    bool secret = v->vnc->need_password, encrypted = v->vnc->tls && !v->secure, right = true;
    unsigned minor;

    if (!exchange_versions(v, &minor, deadline) ||
        !choose_security(v, minor,
                         encrypted ? SECURITY_VENCRYPT
                         : secret  ? SECURITY_VNC
                                   : SECURITY_NONE,
                         deadline) ||
        (encrypted && !encrypt(v, deadline)))
        return false;
    if (secret && !authenticate(v, &right, deadline))
        return false;
    if ((secret || minor == 8) && !send_result(v, minor, right))
        return false;
    if (!right)
        return false;
    return (minor == APPLE_MINOR && !secret) || receive_client_init(v, deadline);
}
