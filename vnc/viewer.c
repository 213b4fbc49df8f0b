/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread of a viewer, after the handshake.
 *
 * A copy of what changed is taken from the picture into the viewer's own canvas when the viewer has asked for
 * an update and its connection has room, so a viewer that reads slowly or not at all costs little more than
 * the memory of a region; of the picture it holds nothing. Nothing here runs on a timer: the thread sleeps
 * until bytes come, the picture changes, or room appears.
 */
#include "vnc/viewer.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vnc/session.h"

/* The picture is another one from now on; lock held. */
static void see_picture(struct session *s, const struct picture *picture)
{
    s->serial = picture->serial;
    s->picture_width = picture->width;
    s->picture_height = picture->height;
}

static void mark_changes(struct session *s, pixman_region32_t *region)
{
    int count;
    const pixman_box32_t *boxes = pixman_region32_rectangles(region, &count);

    for (int i = 0; i < count; i++)
        canvas_changed(s, &boxes[i]);
}

/*
 * Learns what changed. *changed: something did; else the machine thread will wake us when it does. False: no
 * memory.
 */
static bool take_changes(struct session *s, bool *changed)
{
    struct viewer *v = s->v;
    struct vnc *vnc = v->vnc;
    pixman_region32_t region;
    bool another, good = true;

    pixman_region32_init(&region);
    pthread_mutex_lock(&vnc->lock);
    another = vnc->picture && vnc->picture->serial != s->serial;
    if (another)
        see_picture(s, vnc->picture);
    else
        pixman_region32_intersect_rect(&region, &v->dirty, 0, 0, s->picture_width, s->picture_height);
    pixman_region32_clear(&v->dirty);
    *changed = another || pixman_region32_not_empty(&region);
    v->hungry = !*changed;
    if (*changed) {
        vnc->unseen_since = 0;
        if (vnc->seldom)
            vnc_ask(vnc); /* there is somebody to draw for again */
    }
    pthread_mutex_unlock(&vnc->lock);
    if (another)
        good = canvas_adapt(s);
    else
        mark_changes(s, &region);
    pixman_region32_fini(&region);
    return good;
}

static bool update_due(rfbClientPtr client)
{
    sraRegionPtr both;
    bool due;

    if (client->useNewFBSize && client->newFBSizePending)
        return true;
    both = sraRgnCreateRgn(client->modifiedRegion);
    due = sraRgnAnd(both, client->requestedRegion);
    sraRgnDestroy(both);
    return due;
}

static bool has_room(struct session *s)
{
    struct pollfd fd = {.fd = s->output, .events = POLLOUT};

    return poll(&fd, 1, 0) == 1;
}

/* The picture that is shown, to copy from; NULL: there is another one by now. */
static struct picture *hold_picture(struct session *s)
{
    struct vnc *vnc = s->v->vnc;
    struct picture *picture;

    pthread_mutex_lock(&vnc->lock);
    picture = vnc->picture && vnc->picture->serial == s->serial ? vnc->picture : NULL;
    if (picture)
        picture->users++;
    pthread_mutex_unlock(&vnc->lock);
    return picture;
}

static void let_picture_go(struct session *s, struct picture *picture)
{
    pthread_mutex_lock(&s->v->vnc->lock);
    vnc_release_picture(s->v->vnc, picture);
    pthread_mutex_unlock(&s->v->vnc->lock);
}

/* One update: a new size, or a piece of what is due; what is left of that stays asked for. */
static bool send_update(struct session *s)
{
    rfbClientPtr client = s->client;
    bool resize = client->useNewFBSize && client->newFBSizePending, good;
    struct picture *picture = resize ? NULL : hold_picture(s);
    sraRegionPtr piece, rest;

    if (!resize && !picture)
        return !viewer_must_quit(s->v); /* else there is no picture either */
    piece = resize ? sraRgnCreate() : canvas_piece(s);
    rest = sraRgnCreateRgn(client->requestedRegion);
    sraRgnSubtract(rest, piece);
    if (picture) {
        canvas_copy(s, piece, picture);
        let_picture_go(s, picture);
    }
    good = rfbSendFramebufferUpdate(client, piece) && client->sock >= 0;
    canvas_sent(s);
    if (!resize) { /* what was asked for and has not changed is not asked for any more, if all else was sent
                    */
        sraRegionPtr due = sraRgnCreateRgn(rest);

        if (sraRgnAnd(due, client->modifiedRegion))
            sraRgnOr(client->requestedRegion, rest);
        sraRgnDestroy(due);
    }
    sraRgnDestroy(rest);
    sraRgnDestroy(piece);
    return good;
}

bool session_send_updates(struct session *s)
{
    rfbClientPtr client = s->client;
    bool changed;

    s->wait_for_room = false;
    while (!sraRgnEmpty(client->requestedRegion)) {
        if (!has_room(s)) {
            s->wait_for_room = true;
            return true;
        }
        if (!take_changes(s, &changed))
            return false;
        if (!update_due(client) && !changed)
            return true;
        if (update_due(client) && !send_update(s))
            return false;
    }
    return true;
}

static bool send_server_init(struct session *s)
{
    uint8_t message[24 + 128] = {
        [4] = 32, [5] = 24, [7] = 1, [9] = 255, [11] = 255, [13] = 255, [14] = 16, [15] = 8};
    size_t length = strnlen(s->v->vnc->name, 128);

    put16(message, s->width);
    put16(message + 2, s->height);
    message[23] = length;
    memcpy(message + 24, s->v->vnc->name, length);
    return viewer_send(s->v, message, 24 + length);
}

/* Sleeps until there is something to do; returns false when it is the end. */
static bool wait_for_work(struct session *s)
{
    struct pollfd fds[] = {{.fd = s->v->fd, .events = POLLIN | (s->wait_for_room ? POLLOUT : 0)},
                           {.fd = s->v->wake_fd, .events = POLLIN}};
    uint64_t count;

    if (poll(fds, 2, -1) < 0 && errno != EINTR)
        return false;
    if (fds[1].revents && read(s->v->wake_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
        return false;
    if (viewer_must_quit(s->v))
        return false;
    return !(fds[0].revents & (POLLIN | POLLHUP | POLLERR)) || messages_read(s);
}

static bool viewer_begin(struct session *s)
{
    struct vnc *vnc = s->v->vnc;
    bool seen;

    pthread_mutex_lock(&vnc->lock);
    seen = vnc->picture;
    if (seen)
        see_picture(s, vnc->picture);
    pthread_mutex_unlock(&vnc->lock);
    if (!seen || !canvas_make(s, s->picture_width, s->picture_height) || !client_make(s))
        return false;
    canvas_fit(s);
    return canvas_adapt(s) && send_server_init(s);
}

/*
 * One who types and leaves does not wait for the picture that is being sent. What came before the end counts:
 * it is read although nothing can be sent any more. Bounded, for some never stop.
 */
static void read_last_words(struct session *s)
{
    for (unsigned n = 0; n < 64 && !viewer_must_quit(s->v); n++) {
        struct pollfd fd = {.fd = s->v->fd, .events = POLLIN};

        if (poll(&fd, 1, 0) <= 0 || !(fd.revents & POLLIN) || !messages_read(s))
            return;
    }
}

static void viewer_serve(struct viewer *v)
{
    struct session *s = calloc(1, sizeof(*s));

    if (!s)
        return;
    s->v = v;
    s->output = s->feed = s->fed = -1;
    if (viewer_begin(s)) {
        while (wait_for_work(s) && messages_tell_changes(s) && session_send_updates(s))
            continue;
        read_last_words(s);
    }
    client_free(s);
    canvas_free(s);
    free(s);
}

/* Asks the machine thread to be let in, and waits for its answer. */
static bool viewer_enter(struct viewer *v)
{
    struct vnc *vnc = v->vnc;
    struct pollfd fd = {.fd = v->wake_fd, .events = POLLIN};
    bool in;

    vnc_need_map(vnc);
    pthread_mutex_lock(&vnc->lock);
    if (v->stage == VIEWER_HANDSHAKE)
        v->stage = VIEWER_ADMITTED;
    vnc_ask(vnc);
    pthread_mutex_unlock(&vnc->lock);
    for (;;) {
        uint64_t count;
        bool waiting;

        pthread_mutex_lock(&vnc->lock);
        waiting = v->stage == VIEWER_ADMITTED && !v->quit;
        in = v->stage == VIEWER_ACTIVE && !v->quit;
        pthread_mutex_unlock(&vnc->lock);
        if (!waiting)
            return in;
        if (poll(&fd, 1, -1) > 0 && read(v->wake_fd, &count, sizeof(count)) < 0)
            continue;
    }
}

void *viewer_main(void *opaque)
{
    struct viewer *v = opaque;

    if (viewer_handshake(v) && viewer_enter(v))
        viewer_serve(v);
    shutdown(v->fd, SHUT_RDWR); /* the tunnel says what is left */
    tunnel_join(v->tunnel);
    pthread_mutex_lock(&v->vnc->lock);
    v->stage = VIEWER_GONE;
    vnc_ask(v->vnc);
    pthread_mutex_unlock(&v->vnc->lock);
    return NULL;
}
