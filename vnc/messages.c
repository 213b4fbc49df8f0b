/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a viewer says: read without waiting, checked, and handed to the machine thread (input) or to
 * libvncserver (the rest). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "vnc/session.h"

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

/* Messages of ours. */
enum { SET_COLOUR_MAP_ENTRIES = 1 };

/* Pseudo-encodings that libvncserver does not know (rfbproto, "QEMU ..."). */
enum { POINTER_MOTION_CHANGE = -257, EXTENDED_KEY_EVENT = -258, LED_STATE = -261 };

enum {
    ENCODINGS_HEEDED = 128, /* heeded of one message */
    LEDS_UNKNOWN = 0xFF,
    PAUSE_QNUM = 0xC6,
    SYSRQ_QNUM = 0x54,
};

static uint16_t messages_get16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

static uint32_t messages_get32(const uint8_t *p)
{
    return (uint32_t)messages_get16(p) << 16 | messages_get16(p + 2);
}

/* An update of one rectangle with a pseudo-encoding, which has so many bytes of payload. */
static bool send_pseudo(struct session *s, int32_t encoding, uint16_t x, const uint8_t *payload,
                        size_t length)
{
    uint8_t message[16 + 1] = {[0] = 0, [3] = 1};

    put16(message + 4, x);
    put16(message + 8, s->width);
    put16(message + 10, s->height);
    put16(message + 12, (uint32_t)encoding >> 16);
    put16(message + 14, encoding);
    if (length)
        memcpy(message + 16, payload, length);
    return rfbWriteExact(s->client, (char *)message, 16 + length) == 1;
}

bool messages_tell_changes(struct session *s)
{
    bool absolute;
    uint8_t leds;

    pthread_mutex_lock(&s->v->vnc->lock);
    absolute = s->v->absolute;
    leds = s->v->leds;
    pthread_mutex_unlock(&s->v->vnc->lock);
    if (s->motion_change && s->told_absolute != absolute) {
        s->told_absolute = absolute;
        if (!send_pseudo(s, POINTER_MOTION_CHANGE, absolute, NULL, 0))
            return false;
    }
    if (s->led_state && s->told_leds != leds) {
        s->told_leds = leds;
        return send_pseudo(s, LED_STATE, 0, &leds, 1);
    }
    return true;
}

static bool queued(struct viewer *v, const struct input *in)
{
    unsigned end = v->input_first + v->input_count;
    struct input *last = v->input_count ? &v->inputs[(end - 1) % INPUTS_WAITING] : NULL;

    /* Movement with the same buttons adds up. */
    if (last && last->kind == in->kind && last->buttons == in->buttons &&
        (in->kind == INPUT_POSITION || in->kind == INPUT_MOVEMENT)) {
        struct input sum = *in;

        if (in->kind == INPUT_MOVEMENT) {
            sum.x = limit_int((int64_t)last->x + in->x + 0x10000, 0x20000) - 0x10000;
            sum.y = limit_int((int64_t)last->y + in->y + 0x10000, 0x20000) - 0x10000;
        }
        sum.from_x = last->from_x;
        sum.from_y = last->from_y;
        *last = sum;
        return true;
    }
    if (v->input_count == INPUTS_WAITING)
        return false;
    v->inputs[end % INPUTS_WAITING] = *in;
    v->input_count++;
    return true;
}

/* Hands an event to the machine thread; waits while too many are on their way. */
static void post_input(struct viewer *v, const struct input *in)
{
    if (v->view_only)
        return;
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

/* What those get who have no colours of their own: three bits of blue and green, two of red... */
static const rfbPixelFormat bgr233 = {.bitsPerPixel = 8,
                                      .depth = 8,
                                      .trueColour = TRUE,
                                      .redMax = 7,
                                      .greenMax = 7,
                                      .blueMax = 3,
                                      .redShift = 0,
                                      .greenShift = 3,
                                      .blueShift = 6};

/* ...and the map that says so. */
static bool send_colour_map(struct session *s)
{
    uint8_t message[6 + 256 * 6] = {[0] = SET_COLOUR_MAP_ENTRIES, [4] = 1};

    for (unsigned i = 0; i < 256; i++) {
        uint8_t *entry = message + 6 + 6 * i;

        put16(entry, (i & 7) * 0xFFFF / 7);
        put16(entry + 2, (i >> 3 & 7) * 0xFFFF / 7);
        put16(entry + 4, (i >> 6) * 0xFFFF / 3);
    }
    return rfbWriteExact(s->client, (char *)message, sizeof(message)) == 1;
}

static bool set_pixel_format(struct session *s, const uint8_t *m)
{
    rfbPixelFormat *format = &s->client->format;

    if ((m[4] != 8 && m[4] != 16 && m[4] != 32) || (!m[7] && m[4] != 8))
        return false;
    if (m[7] && !(good_channel(messages_get16(m + 8), m[14], m[4]) &&
                  good_channel(messages_get16(m + 10), m[15], m[4]) &&
                  good_channel(messages_get16(m + 12), m[16], m[4])))
        return false;
    *format = (rfbPixelFormat){.bitsPerPixel = m[4],
                               .depth = m[5],
                               .bigEndian = !!m[6],
                               .trueColour = !!m[7],
                               .redMax = messages_get16(m + 8),
                               .greenMax = messages_get16(m + 10),
                               .blueMax = messages_get16(m + 12),
                               .redShift = m[14],
                               .greenShift = m[15],
                               .blueShift = m[16]};
    if (!m[7])
        *format = bgr233;
    return rfbSetTranslateFunction(s->client) && s->client->sock >= 0 && (m[7] || send_colour_map(s));
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

    s->motion_change = s->led_state = false;
    for (size_t at = 4; at + 4 <= length; at += 4) {
        int32_t encoding = messages_get32(m + at);

        if (wanted_encoding(encoding))
            memcpy(message + 4 + 4 * count++, m + at, 4);
        s->motion_change |= encoding == POINTER_MOTION_CHANGE;
        s->led_state |= encoding == LED_STATE;
        extended_keys |= encoding == EXTENDED_KEY_EVENT;
    }
    put16(message + 2, count);
    if (!client_feed(s, message, 4 + 4 * count))
        return false;
    if (s->client->useNewFBSize && canvas_differs(s) && !canvas_adapt(s))
        return false;
    if (extended_keys && !send_pseudo(s, EXTENDED_KEY_EVENT, 0, NULL, 0))
        return false;
    pthread_mutex_lock(&s->v->vnc->lock);
    s->v->shows_lights = s->led_state;
    pthread_mutex_unlock(&s->v->vnc->lock);
    s->told_absolute = true; /* what viewers begin with */
    s->told_leds = LEDS_UNKNOWN;
    return messages_tell_changes(s);
}

static void update_request(struct session *s, const uint8_t *m)
{
    int x = limit_int(messages_get16(m + 2), s->width), y = limit_int(messages_get16(m + 4), s->height);
    int x2 = limit_int(x + messages_get16(m + 6), s->width),
        y2 = limit_int(y + messages_get16(m + 8), s->height);
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

static void messages_pointer_event(struct session *s, const uint8_t *m)
{
    struct input in = {
        .kind = INPUT_POSITION, .buttons = m[1], .x = messages_get16(m + 2), .y = messages_get16(m + 4)};

    if (s->motion_change && !s->told_absolute) {
        in.kind = INPUT_MOVEMENT;
        in.x -= 0x7FFF;
        in.y -= 0x7FFF;
    } else {
        in.width = s->picture_width;
        in.height = s->picture_height;
        in.x = limit_int((int64_t)(in.x - s->left) * in.width / s->shown_width, in.width - 1);
        in.y = limit_int((int64_t)(in.y - s->top) * in.height / s->shown_height, in.height - 1);
        in.from_x = in.x;
        in.from_y = in.y;
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

static void messages_key_event(struct viewer *v, bool down, uint32_t symbol, uint32_t qnum)
{
    uint16_t code = code_of_qnum(qnum);
    struct input in = {.kind = code ? INPUT_CODE : INPUT_SYMBOL,
                       .down = down,
                       .key = code ? code : symbol,
                       .symbol = symbol};

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
        return have < 4 ? 0 : 4 + 4 * (size_t)limit_int(messages_get16(m + 2), ENCODINGS_HEEDED);
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
        s->skip = 4 * (messages_get16(m + 2) - limit_int(messages_get16(m + 2), ENCODINGS_HEEDED));
        return set_encodings(s, m, length);
    case UPDATE_REQUEST:
        update_request(s, m);
        return true;
    case KEY_EVENT:
        messages_key_event(s->v, m[1], messages_get32(m + 4), 0);
        return true;
    case POINTER_EVENT:
        messages_pointer_event(s, m);
        return true;
    case CUT_TEXT: /* there is nobody to paste it */
        s->skip = messages_get32(m + 4);
        return true;
    case SET_DESKTOP_SIZE: /* refused by libvncserver: the guest decides */
        return !s->client->useExtDesktopSize || client_feed(s, m, length);
    case QEMU_MESSAGE:
        messages_key_event(s->v, messages_get16(m + 2), messages_get32(m + 4), messages_get32(m + 8));
        return true;
    }
    return false;
}

bool messages_handle(struct session *s)
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
bool messages_read(struct session *s)
{
    ssize_t n = recv(s->v->fd, s->in + s->in_count, sizeof(s->in) - s->in_count, 0);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    s->in_count += n;
    return n > 0 && messages_handle(s);
}
