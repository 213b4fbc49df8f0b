/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread of a viewer, after the handshake.
 *
 * A copy of what changed is taken from the picture into the viewer's own canvas when the viewer has asked for
 * an update and its connection has room, so a viewer that reads slowly or not at all costs nothing but the
 * memory of a region. Nothing here runs on a timer: the thread sleeps until bytes come, the picture changes,
 * or room appears.
 */
#include "vnc/viewer.h"

#include <errno.h>
#include <poll.h>
#include <rfb/rfb.h>
#include <rfb/rfbregion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Messages of the viewer. */
enum {
    SET_PIXEL_FORMAT = 0,
    SET_ENCODINGS = 2,
    UPDATE_REQUEST = 3,
    KEY_EVENT = 4,
    POINTER_EVENT = 5,
    CUT_TEXT = 6,
    SET_DESKTOP_SIZE = 251,
    QEMU_MESSAGE = 255, /* 0: extended key event */
};

/* Pseudo-encodings that libvncserver does not know (rfbproto, "QEMU ..."). */
enum { POINTER_MOTION_CHANGE = -257, EXTENDED_KEY_EVENT = -258 };

enum {
    ENCODINGS_HEEDED = 128, /* heeded of one message */
    MAX_CUT_TEXT = 1 << 20,
    STALLED_MS = 300000, /* a viewer that takes nothing of an update for so long is given up */
    PAUSE_QNUM = 0xC6,
    SYSRQ_QNUM = 0x54,
};

struct session {
    struct viewer *v;
    rfbScreenInfoPtr screen;
    rfbClientPtr client;
    int output;       /* a duplicate of the connection, libvncserver's to close */
    int feed, fed;    /* a socket pair: what is written to feed, libvncserver reads from fed */
    uint8_t in[4096]; /* what came and is not a whole message yet */
    size_t in_count;
    uint32_t skip; /* bytes to come that are not wanted */
    bool wait_for_room;
    bool motion_change; /* the viewer can be told how pointer events are taken ... */
    bool told_absolute; /* ... and was told this */

    struct picture *picture;
    pixman_image_t *source; /* the picture's pixels, for scaling; NULL where it fits */
    pixman_image_t *canvas; /* what libvncserver encodes from; x8r8g8b8 */
    int width, height;      /* of the canvas */
    /* Where the picture lies in the canvas: a viewer that cannot resize keeps the size it began with. */
    int left, top, shown_width, shown_height;
};

/* ---- libvncserver ---- */

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

static void set_screen_size(struct session *s)
{
    rfbScreenInfoPtr screen = s->screen;

    screen->width = s->width;
    screen->height = s->height;
    screen->paddedWidthInBytes = pixman_image_get_stride(s->canvas);
    screen->frameBuffer = (char *)pixman_image_get_data(s->canvas);
}

static void mark(struct session *s, int x1, int y1, int x2, int y2)
{
    sraRegionPtr rect = sraRgnCreateRect(x1, y1, x2, y2);

    sraRgnOr(s->client->modifiedRegion, rect);
    sraRgnDestroy(rect);
}

/*
 * libvncserver's beginning of a connection happens on the socket pair, with what a viewer without wishes
 * would say; the viewer's own beginning was viewer_handshake. No byte of the network is read by libvncserver.
 */
static bool make_client(struct session *s)
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
    set_screen_size(s);
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

static void free_client(struct session *s)
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
static bool feed_message(struct session *s, const uint8_t *message, size_t length)
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

/* ---- the picture ---- */

static void fit_picture(struct session *s)
{
    int w = s->picture->width, h = s->picture->height;

    s->shown_width = w;
    s->shown_height = h;
    if (w > s->width || h > s->height) {
        if ((int64_t)w * s->height > (int64_t)h * s->width) {
            s->shown_width = s->width;
            s->shown_height = (int64_t)h * s->width / w;
        } else {
            s->shown_height = s->height;
            s->shown_width = (int64_t)w * s->height / h;
        }
        s->shown_width = s->shown_width < 1 ? 1 : s->shown_width;
        s->shown_height = s->shown_height < 1 ? 1 : s->shown_height;
    }
    s->left = (s->width - s->shown_width) / 2;
    s->top = (s->height - s->shown_height) / 2;
}

static bool scaled(const struct session *s)
{
    return s->shown_width != s->picture->width || s->shown_height != s->picture->height;
}

static bool make_canvas(struct session *s, int width, int height)
{
    pixman_image_t *canvas = pixman_image_create_bits(PIXMAN_x8r8g8b8, width, height, NULL, 0);

    if (!canvas)
        return false;
    if (s->canvas)
        pixman_image_unref(s->canvas);
    s->canvas = canvas;
    s->width = width;
    s->height = height;
    return true;
}

/* A source that pixman scales to the size shown. */
static bool make_source(struct session *s)
{
    const struct picture *p = s->picture;
    pixman_transform_t scale;

    if (s->source)
        pixman_image_unref(s->source);
    s->source = NULL;
    if (!scaled(s))
        return true;
    s->source =
        pixman_image_create_bits(PIXMAN_x8r8g8b8, p->width, p->height, (uint32_t *)p->pixels, p->stride);
    if (!s->source)
        return false;
    pixman_transform_init_scale(&scale, pixman_double_to_fixed((double)p->width / s->shown_width),
                                pixman_double_to_fixed((double)p->height / s->shown_height));
    pixman_image_set_transform(s->source, &scale);
    pixman_image_set_filter(s->source, PIXMAN_FILTER_BILINEAR, NULL, 0);
    pixman_image_set_repeat(s->source, PIXMAN_REPEAT_PAD);
    return true;
}

static bool differs(const struct session *s)
{
    return s->picture->width != s->width || s->picture->height != s->height;
}

/* The picture's place in the canvas, after either changed. Resizes the canvas where the viewer can follow. */
static bool adapt(struct session *s)
{
    const struct picture *p = s->picture;

    if (differs(s) && s->client->useNewFBSize) {
        if (!make_canvas(s, p->width, p->height))
            return false;
        set_screen_size(s);
        sraRgnMakeEmpty(s->client->modifiedRegion);
        mark(s, 0, 0, s->width, s->height);
        s->client->newFBSizePending = TRUE;
        /* What was requested of the old size is answered with all of the new one. */
        if (!sraRgnEmpty(s->client->requestedRegion))
            sraRgnOr(s->client->requestedRegion, s->client->modifiedRegion);
    } else {
        memset(pixman_image_get_data(s->canvas), 0, (size_t)pixman_image_get_stride(s->canvas) * s->height);
        mark(s, 0, 0, s->width, s->height);
    }
    fit_picture(s);
    return make_source(s);
}

static void copy_plain(struct session *s, const pixman_box32_t *box)
{
    const struct picture *p = s->picture;
    size_t canvas_stride = pixman_image_get_stride(s->canvas);
    uint8_t *to = (uint8_t *)pixman_image_get_data(s->canvas) + (s->top + box->y1) * canvas_stride +
                  (s->left + box->x1) * (size_t)4;
    const uint8_t *from = (const uint8_t *)p->pixels + box->y1 * p->stride + box->x1 * (size_t)4;

    for (int y = box->y1; y < box->y2; y++, to += canvas_stride, from += p->stride)
        memcpy(to, from, (box->x2 - box->x1) * (size_t)4);
    mark(s, s->left + box->x1, s->top + box->y1, s->left + box->x2, s->top + box->y2);
}

static int limit(int64_t value, int max)
{
    return value < 0 ? 0 : value > max ? max : value;
}

/* Scaled pixels are made of neighbours: one more around is drawn. */
static void copy_scaled(struct session *s, const pixman_box32_t *box)
{
    const struct picture *p = s->picture;
    int x1 = limit((int64_t)box->x1 * s->shown_width / p->width - 2, s->shown_width);
    int y1 = limit((int64_t)box->y1 * s->shown_height / p->height - 2, s->shown_height);
    int x2 = limit((int64_t)box->x2 * s->shown_width / p->width + 2, s->shown_width);
    int y2 = limit((int64_t)box->y2 * s->shown_height / p->height + 2, s->shown_height);

    pixman_image_composite32(PIXMAN_OP_SRC, s->source, NULL, s->canvas, x1, y1, 0, 0, s->left + x1,
                             s->top + y1, x2 - x1, y2 - y1);
    mark(s, s->left + x1, s->top + y1, s->left + x2, s->top + y2);
}

static void copy_region(struct session *s, pixman_region32_t *region)
{
    int count;
    const pixman_box32_t *boxes = pixman_region32_rectangles(region, &count);

    for (int i = 0; i < count; i++) {
        if (scaled(s))
            copy_scaled(s, &boxes[i]);
        else
            copy_plain(s, &boxes[i]);
    }
}

static void copy_all(struct session *s)
{
    copy_region(s, &(pixman_region32_t){.extents = {0, 0, s->picture->width, s->picture->height}});
}

/*
 * Brings the canvas up to date. *changed: something was to be brought; else the machine thread will wake us
 * when it is. False: no memory.
 */
static bool take_changes(struct session *s, bool *changed)
{
    struct viewer *v = s->v;
    struct vnc *vnc = v->vnc;
    pixman_region32_t region;
    bool another, good = true;

    pixman_region32_init(&region);
    pthread_mutex_lock(&vnc->lock);
    another = vnc->picture && vnc->picture != v->picture;
    if (another) {
        vnc_release_picture(vnc, v->picture);
        v->picture = vnc->picture;
        v->picture->users++;
    } else {
        pixman_region32_intersect_rect(&region, &v->dirty, 0, 0, v->picture->width, v->picture->height);
    }
    pixman_region32_clear(&v->dirty);
    s->picture = v->picture;
    *changed = another || pixman_region32_not_empty(&region);
    v->hungry = !*changed;
    if (*changed) {
        vnc->unseen_since = 0;
        if (vnc->seldom)
            vnc_ask(vnc); /* there is somebody to draw for again */
    }
    pthread_mutex_unlock(&vnc->lock);
    if (another) {
        good = adapt(s);
        pixman_region32_union_rect(&region, &region, 0, 0, s->picture->width, s->picture->height);
    }
    if (good)
        copy_region(s, &region);
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

/* Sends what was asked for and is due. False: the connection is lost. */
static bool send_updates(struct session *s)
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
        if (update_due(client) &&
            (!rfbSendFramebufferUpdate(client, client->modifiedRegion) || client->sock < 0))
            return false;
    }
    return true;
}

/* ---- what the viewer says ---- */

static uint16_t get16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, uint16_t value)
{
    p[0] = value >> 8;
    p[1] = value;
}

/* An update of one empty rectangle with a pseudo-encoding. */
static bool send_pseudo(struct session *s, int32_t encoding, uint16_t x)
{
    uint8_t message[16] = {[0] = 0, [3] = 1};

    put16(message + 4, x);
    put16(message + 8, s->width);
    put16(message + 10, s->height);
    put16(message + 12, (uint32_t)encoding >> 16);
    put16(message + 14, encoding);
    return rfbWriteExact(s->client, (char *)message, sizeof(message)) == 1;
}

static bool tell_pointer_mode(struct session *s)
{
    bool absolute;

    pthread_mutex_lock(&s->v->vnc->lock);
    absolute = s->v->absolute;
    pthread_mutex_unlock(&s->v->vnc->lock);
    if (!s->motion_change || s->told_absolute == absolute)
        return true;
    s->told_absolute = absolute;
    return send_pseudo(s, POINTER_MOTION_CHANGE, absolute);
}

static bool queued(struct viewer *v, const struct input *in)
{
    struct input *last = v->input_count ? &v->inputs[v->input_count - 1] : NULL;

    /* Movement with the same buttons adds up. */
    if (last && last->kind == in->kind && last->buttons == in->buttons &&
        (in->kind == INPUT_POSITION || in->kind == INPUT_MOVEMENT)) {
        struct input sum = *in;

        if (in->kind == INPUT_MOVEMENT) {
            sum.x = limit((int64_t)last->x + in->x + 0x10000, 0x20000) - 0x10000;
            sum.y = limit((int64_t)last->y + in->y + 0x10000, 0x20000) - 0x10000;
        }
        *last = sum;
        return true;
    }
    if (v->input_count == INPUTS_WAITING)
        return false;
    v->inputs[v->input_count++] = *in;
    return true;
}

/* Hands an event to the machine thread; waits while too many are on their way. */
static void post_input(struct viewer *v, const struct input *in)
{
    pthread_mutex_lock(&v->vnc->lock);
    while (!v->quit && !queued(v, in))
        pthread_cond_wait(&v->inputs_taken, &v->vnc->lock);
    vnc_ask(v->vnc);
    pthread_mutex_unlock(&v->vnc->lock);
}

static bool good_channel(uint16_t max, uint8_t shift, uint8_t bits)
{
    unsigned width = 0;

    while (max >> width & 1)
        width++;
    return width > 0 && max >> width == 0 && width + shift <= bits;
}

static bool set_pixel_format(struct session *s, const uint8_t *m)
{
    rfbPixelFormat *format = &s->client->format;

    if ((m[4] != 8 && m[4] != 16 && m[4] != 32) || (!m[7] && m[4] != 8))
        return false;
    if (m[7] && !(good_channel(get16(m + 8), m[14], m[4]) && good_channel(get16(m + 10), m[15], m[4]) &&
                  good_channel(get16(m + 12), m[16], m[4])))
        return false;
    *format = (rfbPixelFormat){.bitsPerPixel = m[4],
                               .depth = m[5],
                               .bigEndian = !!m[6],
                               .trueColour = !!m[7],
                               .redMax = get16(m + 8),
                               .greenMax = get16(m + 10),
                               .blueMax = get16(m + 12),
                               .redShift = m[14],
                               .greenShift = m[15],
                               .blueShift = m[16]};
    s->client->readyForSetColourMapEntries = TRUE;
    return rfbSetTranslateFunction(s->client) && s->client->sock >= 0;
}

/* What libvncserver is to know of: encodings that viewers of today use, compression and quality, resizing. */
static bool wanted_encoding(int32_t encoding)
{
    switch (encoding) {
    case rfbEncodingRaw:
    case rfbEncodingRRE:
    case rfbEncodingHextile:
    case rfbEncodingZlib:
    case rfbEncodingTight:
    case rfbEncodingZRLE:
    case (int32_t)rfbEncodingTightPng:
    case (int32_t)rfbEncodingLastRect:
    case (int32_t)rfbEncodingNewFBSize:
    case (int32_t)rfbEncodingExtDesktopSize:
        return true;
    }
    return (encoding >= (int32_t)rfbEncodingCompressLevel0 &&
            encoding <= (int32_t)rfbEncodingCompressLevel9) ||
           (encoding >= (int32_t)rfbEncodingQualityLevel0 && encoding <= (int32_t)rfbEncodingQualityLevel9) ||
           (encoding > (int32_t)rfbEncodingFineQualityLevel0 &&
            encoding <= (int32_t)rfbEncodingFineQualityLevel100) ||
           (encoding >= (int32_t)rfbEncodingSubsamp1X && encoding <= (int32_t)rfbEncodingSubsampGray);
}

static bool set_encodings(struct session *s, const uint8_t *m, size_t length)
{
    uint8_t message[4 + 4 * ENCODINGS_HEEDED] = {SET_ENCODINGS};
    unsigned count = 0;
    bool extended_keys = false;

    s->motion_change = false;
    for (size_t at = 4; at + 4 <= length; at += 4) {
        int32_t encoding = get32(m + at);

        if (wanted_encoding(encoding))
            memcpy(message + 4 + 4 * count++, m + at, 4);
        s->motion_change |= encoding == POINTER_MOTION_CHANGE;
        extended_keys |= encoding == EXTENDED_KEY_EVENT;
    }
    put16(message + 2, count);
    if (!feed_message(s, message, 4 + 4 * count))
        return false;
    if (s->client->useNewFBSize && differs(s)) {
        if (!adapt(s))
            return false;
        copy_all(s);
    }
    if (extended_keys && !send_pseudo(s, EXTENDED_KEY_EVENT, 0))
        return false;
    s->told_absolute = true; /* what viewers begin with */
    return tell_pointer_mode(s);
}

static void update_request(struct session *s, const uint8_t *m)
{
    int x = limit(get16(m + 2), s->width), y = limit(get16(m + 4), s->height);
    int x2 = limit(x + get16(m + 6), s->width), y2 = limit(y + get16(m + 8), s->height);
    sraRegionPtr rect;

    if (x >= x2 || y >= y2)
        return;
    rect = sraRgnCreateRect(x, y, x2, y2);
    sraRgnOr(s->client->requestedRegion, rect);
    if (!m[1]) {
        sraRgnOr(s->client->modifiedRegion, rect);
        if (s->client->useExtDesktopSize)
            s->client->newFBSizePending = TRUE;
    }
    sraRgnDestroy(rect);
}

static void pointer_event(struct session *s, const uint8_t *m)
{
    struct input in = {.kind = INPUT_POSITION, .buttons = m[1], .x = get16(m + 2), .y = get16(m + 4)};

    if (s->motion_change && !s->told_absolute) {
        in.kind = INPUT_MOVEMENT;
        in.x -= 0x7FFF;
        in.y -= 0x7FFF;
    } else {
        in.width = s->picture->width;
        in.height = s->picture->height;
        in.x = limit((int64_t)(in.x - s->left) * in.width / s->shown_width, in.width - 1);
        in.y = limit((int64_t)(in.y - s->top) * in.height / s->shown_height, in.height - 1);
    }
    post_input(s->v, &in);
}

/* A scan code of set 1 in one number: keys with the prefix E0 have bit 7. */
static uint16_t code_of_qnum(uint32_t qnum)
{
    if (qnum == PAUSE_QNUM)
        return CONSOLE_KEY_PAUSE;
    if (qnum == SYSRQ_QNUM)
        return 0xE037;
    return qnum > 0xFF ? 0 : qnum & 0x80 ? 0xE000 | (qnum & 0x7F) : qnum;
}

static void key_event(struct viewer *v, bool down, uint32_t symbol, uint32_t qnum)
{
    uint16_t code = code_of_qnum(qnum);
    struct input in = {.kind = code ? INPUT_CODE : INPUT_SYMBOL, .down = down, .key = code ? code : symbol};

    post_input(v, &in);
}

/*
 * The length of the message that begins at m, of which `have` bytes are there: 0: more bytes are needed to
 * tell; SIZE_MAX: not a message that a viewer may send.
 */
static size_t message_length(const uint8_t *m, size_t have)
{
    switch (m[0]) {
    case SET_PIXEL_FORMAT:
        return 20;
    case SET_ENCODINGS:
        return have < 4 ? 0 : 4 + 4 * (size_t)limit(get16(m + 2), ENCODINGS_HEEDED);
    case UPDATE_REQUEST:
        return 10;
    case KEY_EVENT:
    case CUT_TEXT:
        return 8;
    case POINTER_EVENT:
        return 6;
    case SET_DESKTOP_SIZE:
        return have < 8 ? 0 : 8 + 16 * (size_t)m[6];
    case QEMU_MESSAGE:
        return have < 2 ? 0 : m[1] == 0 ? 12 : SIZE_MAX;
    default:
        return SIZE_MAX;
    }
}

/* One whole message. False: not to be borne. */
static bool handle_message(struct session *s, const uint8_t *m, size_t length)
{
    switch (m[0]) {
    case SET_PIXEL_FORMAT:
        return set_pixel_format(s, m);
    case SET_ENCODINGS:
        s->skip = 4 * (get16(m + 2) - limit(get16(m + 2), ENCODINGS_HEEDED));
        return set_encodings(s, m, length);
    case UPDATE_REQUEST:
        update_request(s, m);
        return true;
    case KEY_EVENT:
        key_event(s->v, m[1], get32(m + 4), 0);
        return true;
    case POINTER_EVENT:
        pointer_event(s, m);
        return true;
    case CUT_TEXT: /* there is nobody to paste it */
        s->skip = get32(m + 4);
        return s->skip <= MAX_CUT_TEXT;
    case SET_DESKTOP_SIZE: /* refused by libvncserver: the guest decides */
        return !s->client->useExtDesktopSize || feed_message(s, m, length);
    case QEMU_MESSAGE:
        key_event(s->v, get16(m + 2), get32(m + 4), get32(m + 8));
        return true;
    }
    return false;
}

static bool handle_messages(struct session *s)
{
    size_t at = 0;

    while (at < s->in_count) {
        size_t have = s->in_count - at, length;

        if (s->skip) {
            size_t step = s->skip < have ? s->skip : have;

            s->skip -= step;
            at += step;
            continue;
        }
        length = message_length(s->in + at, have);
        if (length == SIZE_MAX)
            return false;
        if (!length || length > have)
            break;
        if (!handle_message(s, s->in + at, length))
            return false;
        at += length;
    }
    s->in_count -= at;
    memmove(s->in, s->in + at, s->in_count);
    return true;
}

/* Reads what is there. The buffer holds the longest message and more, so there is always room. */
static bool read_messages(struct session *s)
{
    ssize_t n = recv(s->v->fd, s->in + s->in_count, sizeof(s->in) - s->in_count, 0);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    s->in_count += n;
    return n > 0 && handle_messages(s);
}

/* ---- the thread ---- */

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
    return !(fds[0].revents & (POLLIN | POLLHUP | POLLERR)) || read_messages(s);
}

static bool begin(struct session *s)
{
    s->picture = s->v->picture;
    if (!make_canvas(s, s->picture->width, s->picture->height) || !make_client(s))
        return false;
    fit_picture(s);
    copy_all(s);
    return send_server_init(s);
}

static void serve(struct viewer *v)
{
    struct session *s = calloc(1, sizeof(*s));

    if (!s)
        return;
    s->v = v;
    s->output = s->feed = s->fed = -1;
    if (begin(s))
        while (wait_for_work(s) && tell_pointer_mode(s) && send_updates(s))
            continue;
    free_client(s);
    if (s->source)
        pixman_image_unref(s->source);
    if (s->canvas)
        pixman_image_unref(s->canvas);
    free(s);
}

/* Asks the machine thread to be let in, and waits for its answer. */
static bool enter(struct viewer *v)
{
    struct vnc *vnc = v->vnc;
    struct pollfd fd = {.fd = v->wake_fd, .events = POLLIN};
    bool in;

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

    if (viewer_handshake(v) && enter(v))
        serve(v);
    pthread_mutex_lock(&v->vnc->lock);
    vnc_release_picture(v->vnc, v->picture);
    v->picture = NULL;
    v->stage = VIEWER_GONE;
    shutdown(v->fd, SHUT_RDWR);
    vnc_ask(v->vnc);
    pthread_mutex_unlock(&v->vnc->lock);
    return NULL;
}
