/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libvncserver, one screen and one client for each viewer, used by the viewer's thread alone.
 *
 * It encodes and writes. It never reads from the network: what it must know of the viewer's messages is
 * handed to it over a socket pair, after a check.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vnc/session.h"

enum { STALLED_MS = 300000 }; /* a viewer that takes nothing of an update for so long is given up */

static rfbScreenInfo screen_template;
static pthread_mutex_t library_lock =
    PTHREAD_MUTEX_INITIALIZER; /* what libvncserver shares among all clients */

static void be_quiet(const char *format, ...)
{
}

static void no_key(rfbBool down, rfbKeySym key, rfbClientPtr client)
{
}

static void no_pointer(int buttons, int x, int y, rfbClientPtr client)
{
}

/*
 * rfbGetScreen initializes a lock that all screens of the process share, each time. So it is called once, and
 * screens are copies of what it made.
 */
static void make_template(void)
{
    rfbScreenInfoPtr screen;

    rfbLog = rfbErr = be_quiet;
    screen = rfbGetScreen(NULL, NULL, 16, 16, 8, 3, 4);
    if (!screen)
        return;
    screen->serverFormat.depth = 24;
    screen->serverFormat.redShift = 16;
    screen->serverFormat.greenShift = 8;
    screen->serverFormat.blueShift = 0;
    screen->cursor = NULL; /* the guest draws it */
    screen->deferUpdateTime = 0;
    screen->maxClientWait = STALLED_MS;
    screen->alwaysShared = TRUE;
    screen->kbdAddEvent = no_key;
    screen->ptrAddEvent = no_pointer;
    screen_template = *screen;
    free(screen);
}

void client_set_screen(struct session *s)
{
    rfbScreenInfoPtr screen = s->screen;

    screen->width = s->width;
    screen->height = s->height;
    screen->paddedWidthInBytes = pixman_image_get_stride(s->canvas);
    screen->frameBuffer = (char *)pixman_image_get_data(s->canvas);
}

/*
 * libvncserver's beginning of a connection happens on the socket pair, with what a viewer without wishes
 * would say; the viewer's own beginning was viewer_handshake. No byte of the network is read by libvncserver.
 */
bool client_make(struct session *s)
{
    static const char hello[] = "RFB 003.008\n\1\1"; /* version, security type none, shared */
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int pair[2];

    pthread_once(&once, make_template);
    if (!screen_template.width ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return false;
    s->feed = pair[0];
    s->fed = pair[1];
    s->output = dup(s->v->fd);
    s->screen = malloc(sizeof(*s->screen));
    if (s->output < 0 || s->output >= FD_SETSIZE || s->fed >= FD_SETSIZE || !s->screen ||
        send(s->feed, hello, sizeof(hello) - 1, 0) != sizeof(hello) - 1)
        return false;
    *s->screen = screen_template;
    pthread_mutex_init(&s->screen->cursorMutex, NULL);
    client_set_screen(s);
    pthread_mutex_lock(&library_lock);
    s->client = rfbNewClient(s->screen, s->fed);
    for (int i = 0; i < 3 && s->client && s->client->sock >= 0; i++)
        rfbProcessClientMessage(s->client);
    pthread_mutex_unlock(&library_lock);
    if (!s->client || s->client->sock < 0)
        s->fed = -1; /* closed */
    if (!s->client || s->client->state != RFB_NORMAL)
        return false;
    s->client->sock = s->output;
    return true;
}

void client_free(struct session *s)
{
    if (s->client) {
        if (s->client->sock < 0 && s->fed >= 0)
            s->output = -1; /* closed by libvncserver after an error */
        s->client->sock = -1;
        rfbClientConnectionGone(s->client);
    }
    if (s->screen) {
        pthread_mutex_destroy(&s->screen->cursorMutex);
        free(s->screen);
    }
    if (s->output >= 0)
        close(s->output);
    if (s->feed >= 0)
        close(s->feed);
    if (s->fed >= 0)
        close(s->fed);
}

/* Lets libvncserver handle a message that was checked; what it answers at once would go nowhere. */
bool client_feed(struct session *s, const uint8_t *message, size_t length)
{
    bool good;

    if (send(s->feed, message, length, 0) != (ssize_t)length)
        return false;
    s->client->sock = s->fed;
    rfbProcessClientMessage(s->client);
    good = s->client->sock >= 0;
    if (!good)
        s->fed = -1; /* closed */
    s->client->sock = s->output;
    return good;
}
