/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vncdo: drives a VNC server from the command line. One command line carries a sequence of commands, done in
 * order over one connection; the first that fails ends it with status 1 and one line that says what.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <png.h>
#include <rfb/rfbclient.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "tests/lib/viewer.h"

static const char usage_text[] =
    "vncdo [-s HOST:PORT] [-p PASSWORD-FILE] [-w SECONDS] [-t SECONDS] [-d MILLISECONDS] [-S SECONDS] [-e "
    "LEVELS] [-v] "
    "COMMAND...\n"
    "  -s  the server (127.0.0.1:5900)\n"
    "  -p  file with the password in its first line (or the environment's VNC_PASSWORD)\n"
    "  -w  how long to try to connect (30)\n"
    "  -t  how long each waiting command waits (30)\n"
    "  -d  pause after each key (60)\n"
    "  -e  by how much a colour may differ in expect-picture, of 255 (0)\n"
    "  -S  seconds that the first screen of a connection gets to settle (0.7)\n"
    "Commands:\n"
    "  type TEXT              type it as on a US keyboard; \\n is Return, \\t Tab, \\e Escape, \\\\ a "
    "backslash\n"
    "  type-seen TEXT         the same, each key only after the one before has changed the screen\n"
    "  key NAME[-NAME]...     press together: Return, F1, ctrl-alt-delete, shift-a, 0xff0d...\n"
    "  keydown NAME, keyup NAME\n"
    "  move X Y               move the pointer there\n"
    "  click N                press and release button N (1 left, 2 middle, 3 right)\n"
    "  mousedown N, mouseup N\n"
    "  wheel N                N steps up, or down if negative\n"
    "  capture FILE.png       write the screen\n"
    "  expect-picture FILE    wait until the screen is that PNG\n"
    "  expect-drawn [N]       wait until at least N pixels (100) differ from the most common colour\n"
    "  expect-colour RRGGBB N wait until at least N pixels have that colour\n"
    "  expect-size WxH        wait until the screen has that size\n"
    "  size                   print the screen's size\n"
    "  wait-change            wait until the screen differs from what it is now\n"
    "  wait-quiet SECONDS     wait until the screen has not changed for so long\n"
    "  pause SECONDS\n";

struct vncdo {
    rfbClient *rfb;
    const char *password;
    double wait_s;
    double timeout_s;
    double key_delay_s;
    int tolerance; /* of each colour channel, when pictures are compared */
    double settle_s;
    bool settled; /* the first whole screen has been taken */
    int x, y, buttons;
    uint64_t covered;  /* pixels received since the last whole update was asked for */
    bool resized;      /* the server changed the size, so what was covered is void */
    uint64_t finished; /* updates received */
};

static int client_tag;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void sleep_s(double s)
{
    struct timespec t = {(time_t)s, (long)((s - floor(s)) * 1e9)};
    nanosleep(&t, NULL);
}

__attribute__((format(printf, 1, 2))) static bool fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("vncdo: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return false;
}

static void quiet_log(const char *format, ...)
{
}

/* Callbacks of libvncclient. */

static struct vncdo *of_client(rfbClient *rfb)
{
    return rfbClientGetClientData(rfb, &client_tag);
}

static rfbBool on_size(rfbClient *rfb)
{
    struct vncdo *v = of_client(rfb);
    uint64_t bytes = (uint64_t)rfb->width * (uint64_t)rfb->height * 4;

    free(rfb->frameBuffer);
    rfb->frameBuffer = calloc(1, bytes ? bytes : 4);
    rfb->updateRect.x = rfb->updateRect.y = 0;
    rfb->updateRect.w = rfb->width;
    rfb->updateRect.h = rfb->height;
    v->resized = true;
    return rfb->frameBuffer != NULL;
}

static void on_update(rfbClient *rfb, int x, int y, int w, int h)
{
    if (viewer_drew(rfb))
        of_client(rfb)->covered += (uint64_t)w * (uint64_t)h;
}

static void on_finished(rfbClient *rfb)
{
    of_client(rfb)->finished++;
}

static char *on_password(rfbClient *rfb)
{
    const char *password = of_client(rfb)->password;
    return strdup(password ? password : "");
}

static rfbClient *new_client(struct vncdo *v, const char *host, int port)
{
    rfbClient *rfb = rfbGetClient(8, 3, 4);
    if (!rfb)
        return NULL;
    rfbClientSetClientData(rfb, &client_tag, v);
    rfb->MallocFrameBuffer = on_size;
    rfb->GotFrameBufferUpdate = on_update;
    rfb->FinishedFrameBufferUpdate = on_finished;
    rfb->GetPassword = on_password;
    rfb->connectTimeout = 5;
    rfb->readTimeout = 60;
    rfb->appData.shareDesktop = TRUE;
    rfb->format.redShift = 16;
    rfb->format.greenShift = 8;
    rfb->format.blueShift = 0;
    free(rfb->serverHost);
    rfb->serverHost = strdup(host);
    rfb->serverPort = port;
    return rfb;
}

/*
 * Offers the encodings anew, without those that the library adds by itself: it offers ExtendedDesktopSize,
 * passes over QEMU's rectangles of it, and then takes the first update of the new size as a fault. Plain
 * NewFBSize it understands.
 */
static bool offer_encodings(rfbClient *rfb)
{
    static const uint32_t encodings[] = {rfbEncodingZRLE, rfbEncodingHextile,  rfbEncodingCopyRect,
                                         rfbEncodingRaw,  rfbEncodingLastRect, rfbEncodingNewFBSize};
    enum { COUNT = sizeof(encodings) / sizeof(encodings[0]) };
    uint8_t message[4 + 4 * COUNT] = {rfbSetEncodings, 0, 0, COUNT};

    for (size_t i = 0; i < COUNT; i++) {
        uint32_t big_endian = htonl(encodings[i]);
        memcpy(message + 4 + 4 * i, &big_endian, 4);
    }
    return WriteToRFBServer(rfb, (const char *)message, sizeof(message));
}

/* A forwarded port takes connections before the server behind it does, so a failed handshake is tried again,
 * too. */
static bool connect_to(struct vncdo *v, const char *server)
{
    char host[256] = "127.0.0.1";
    int port = 5900;
    double end = now_s() + v->wait_s;

    if (sscanf(server, "%255[^:]:%d", host, &port) < 1)
        return fail("'%s' is not HOST:PORT", server);
    do {
        rfbClient *rfb = new_client(v, host, port);
        if (!rfb)
            return fail("out of memory");
        if (rfbInitClient(rfb, NULL, NULL)) { /* frees the client when it fails */
            v->rfb = rfb;
            return offer_encodings(rfb) || fail("the server closed the connection");
        }
        sleep_s(0.2);
    } while (now_s() < end);
    return fail("no VNC session with %s:%d within %g s (not listening, or the password is wrong)", host, port,
                v->wait_s);
}

/* Takes the server's messages until something came or the time is over. */
static bool pump(struct vncdo *v, double seconds)
{
    double end = now_s() + seconds;
    double left = seconds;

    do {
        int n = viewer_wait(v->rfb, (unsigned)(left > 0.2 ? 200000 : left * 1e6));
        if (n < 0 || (n > 0 && !HandleRFBServerMessage(v->rfb)))
            return fail("the server closed the connection");
        if (n > 0)
            return true;
        left = end - now_s();
    } while (left > 0);
    return true;
}

static bool pause_for(struct vncdo *v, double seconds)
{
    double end = now_s() + seconds;
    double left;

    while ((left = end - now_s()) > 0)
        if (!pump(v, left))
            return false;
    return true;
}

static bool ask_whole(struct vncdo *v)
{
    v->covered = 0;
    v->resized = false;
    if (!SendFramebufferUpdateRequest(v->rfb, 0, 0, v->rfb->width, v->rfb->height, FALSE))
        return fail("the server closed the connection");
    return true;
}

/* A whole screen in the frame buffer. */
static bool take_whole(struct vncdo *v)
{
    double end = now_s() + v->timeout_s;
    uint64_t finished = v->finished;

    if (!ask_whole(v))
        return false;
    while (v->covered < (uint64_t)v->rfb->width * (uint64_t)v->rfb->height || v->finished == finished) {
        double left = end - now_s();
        if (left <= 0)
            return fail("the server did not send the whole screen within %g s", v->timeout_s);
        if (!pump(v, left))
            return false;
        if (v->resized && !ask_whole(v))
            return false;
    }
    return true;
}

/*
 * The whole screen, as it is now, in the frame buffer. Some servers do not look at the guest's screen while
 * they have no viewer: what they send first is old, and the news follow on their next look, so the first
 * screen of a connection gets time to settle.
 */
static bool refresh(struct vncdo *v)
{
    if (!take_whole(v))
        return false;
    if (v->settled)
        return true;
    v->settled = true;
    return pause_for(v, v->settle_s) && (!v->resized || take_whole(v));
}

static uint32_t pixel_at(const struct vncdo *v, size_t i)
{
    return ((const uint32_t *)(const void *)v->rfb->frameBuffer)[i] & 0xffffff;
}

static size_t pixels(const struct vncdo *v)
{
    return (size_t)v->rfb->width * (size_t)v->rfb->height;
}

/* FNV-1a over size and pixels: tells one screen from another. */
static uint64_t screen_hash(const struct vncdo *v)
{
    uint64_t h = 1469598103934665603u ^ (uint64_t)v->rfb->width << 20 ^ (uint64_t)v->rfb->height;
    size_t n = pixels(v);

    for (size_t i = 0; i < n; i++)
        h = (h ^ pixel_at(v, i)) * 1099511628211u;
    return h;
}

/* Keys. */

struct key_name {
    const char *name;
    uint32_t keysym;
};

static const struct key_name key_names[] = {
    {"return", 0xff0d},   {"enter", 0xff0d},     {"tab", 0xff09},     {"escape", 0xff1b},
    {"esc", 0xff1b},      {"backspace", 0xff08}, {"delete", 0xffff},  {"del", 0xffff},
    {"insert", 0xff63},   {"home", 0xff50},      {"end", 0xff57},     {"pageup", 0xff55},
    {"pagedown", 0xff56}, {"left", 0xff51},      {"up", 0xff52},      {"right", 0xff53},
    {"down", 0xff54},     {"shift", 0xffe1},     {"rshift", 0xffe2},  {"ctrl", 0xffe3},
    {"rctrl", 0xffe4},    {"alt", 0xffe9},       {"altgr", 0xfe03},   {"super", 0xffeb},
    {"menu", 0xff67},     {"capslock", 0xffe5},  {"numlock", 0xff7f}, {"scrolllock", 0xff14},
    {"pause", 0xff13},    {"print", 0xff61},     {"space", 0x20},     {"minus", 0x2d},
    {"kp0", 0xffb0},      {"kp1", 0xffb1},       {"kp2", 0xffb2},     {"kp3", 0xffb3},
    {"kp4", 0xffb4},      {"kp5", 0xffb5},       {"kp6", 0xffb6},     {"kp7", 0xffb7},
    {"kp8", 0xffb8},      {"kp9", 0xffb9},       {"kpenter", 0xff8d}, {"kpplus", 0xffab},
    {"kpminus", 0xffad},
};

/* 0 if there is no such key. */
static uint32_t keysym_of(const char *name)
{
    int f;
    char rest;

    if (strlen(name) == 1)
        return (uint8_t)name[0];
    if (strncmp(name, "0x", 2) == 0)
        return (uint32_t)strtoul(name, NULL, 16);
    if (sscanf(name, "%*1[fF]%d%c", &f, &rest) == 1 && f >= 1 && f <= 24)
        return 0xffbe + (uint32_t)f - 1;
    for (size_t i = 0; i < sizeof(key_names) / sizeof(key_names[0]); i++)
        if (strcasecmp(name, key_names[i].name) == 0)
            return key_names[i].keysym;
    return 0;
}

static bool send_key(struct vncdo *v, uint32_t keysym, bool down)
{
    if (!SendKeyEvent(v->rfb, keysym, down))
        return fail("the server closed the connection");
    return true;
}

static bool press(struct vncdo *v, uint32_t keysym, bool shift)
{
    return (!shift || send_key(v, 0xffe1, true)) && send_key(v, keysym, true) &&
           pause_for(v, v->key_delay_s / 2) && send_key(v, keysym, false) &&
           (!shift || send_key(v, 0xffe1, false)) && pause_for(v, v->key_delay_s / 2);
}

static bool type_text(struct vncdo *v, const char *text,
                      bool (*press_one)(struct vncdo *v, uint32_t keysym, bool shift))
{
    for (; *text; text++) {
        uint32_t keysym = (uint8_t)*text;
        if (*text == '\\' && text[1]) {
            text++;
            keysym = *text == 'n' ? 0xff0d : *text == 't' ? 0xff09 : *text == 'e' ? 0xff1b : (uint8_t)*text;
        } else if (*text == '\n') {
            keysym = 0xff0d;
        }
        bool shift = keysym < 0x80 && (isupper((int)keysym) || strchr("~!@#$%^&*()_+{}|:\"<>?", (int)keysym));
        if (!press_one(v, keysym, shift))
            return false;
    }
    return true;
}

static bool press_together(struct vncdo *v, const char *names)
{
    uint32_t keysyms[8];
    size_t n = 0;
    char copy[128], *save = NULL;

    snprintf(copy, sizeof(copy), "%s", names);
    for (char *name = strtok_r(copy, "-", &save); name; name = strtok_r(NULL, "-", &save)) {
        uint32_t keysym = keysym_of(name);
        if (!keysym || n == 8)
            return fail("key: there is no key '%s'", name);
        keysyms[n++] = keysym;
    }
    for (size_t i = 0; i < n; i++)
        if (!send_key(v, keysyms[i], true) || !pause_for(v, v->key_delay_s / 2))
            return false;
    while (n > 0)
        if (!send_key(v, keysyms[--n], false) || !pause_for(v, v->key_delay_s / 2))
            return false;
    return true;
}

/* Pointer. */

static bool send_pointer(struct vncdo *v)
{
    if (!SendPointerEvent(v->rfb, v->x, v->y, v->buttons))
        return fail("the server closed the connection");
    return pause_for(v, v->key_delay_s / 2);
}

/* number: 1-5 as in RFB; 4 and 5 are the wheel. */
static bool click(struct vncdo *v, int number)
{
    v->buttons |= 1 << (number - 1);
    if (!send_pointer(v))
        return false;
    v->buttons &= ~(1 << (number - 1));
    return send_pointer(v);
}

static bool button(struct vncdo *v, const char *command, const char *argument)
{
    int number = atoi(argument);
    if (number < 1 || number > 3)
        return fail("%s: '%s' is not a button (1 to 3)", command, argument);
    if (strcmp(command, "click") == 0)
        return click(v, number);
    if (strcmp(command, "mousedown") == 0)
        v->buttons |= 1 << (number - 1);
    else
        v->buttons &= ~(1 << (number - 1));
    return send_pointer(v);
}

static bool wheel(struct vncdo *v, int steps)
{
    for (int i = 0; i < abs(steps); i++)
        if (!click(v, steps > 0 ? 4 : 5))
            return false;
    return true;
}

/* Pictures. */

static bool capture(struct vncdo *v, const char *path)
{
    png_image image = {.version = PNG_IMAGE_VERSION, .format = PNG_FORMAT_RGB};
    uint8_t *rgb;
    bool ok;

    if (!refresh(v))
        return false;
    rgb = malloc(pixels(v) * 3);
    if (!rgb)
        return fail("out of memory");
    for (size_t i = 0; i < pixels(v); i++) {
        uint32_t p = pixel_at(v, i);
        rgb[i * 3] = (uint8_t)(p >> 16);
        rgb[i * 3 + 1] = (uint8_t)(p >> 8);
        rgb[i * 3 + 2] = (uint8_t)p;
    }
    image.width = (uint32_t)v->rfb->width;
    image.height = (uint32_t)v->rfb->height;
    ok = png_image_write_to_file(&image, path, 0, rgb, 0, NULL);
    free(rgb);
    return ok || fail("cannot write %s: %s", path, image.message);
}

static uint8_t *read_picture(const char *path, int *width, int *height)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    uint8_t *rgb;

    if (!png_image_begin_read_from_file(&image, path)) {
        fail("cannot read %s: %s", path, image.message);
        return NULL;
    }
    image.format = PNG_FORMAT_RGB;
    *width = (int)image.width;
    *height = (int)image.height;
    rgb = malloc(PNG_IMAGE_SIZE(image));
    if (!rgb || !png_image_finish_read(&image, NULL, rgb, 0, NULL)) {
        fail("cannot read %s: %s", path, image.message);
        png_image_free(&image);
        free(rgb);
        return NULL;
    }
    return rgb;
}

static bool near(uint32_t a, uint32_t b, int tolerance)
{
    for (int shift = 0; shift < 24; shift += 8)
        if (abs((int)(a >> shift & 0xff) - (int)(b >> shift & 0xff)) > tolerance)
            return false;
    return true;
}

/* Pixels that differ; all, if the sizes do. first: one of them. */
static size_t differing(const struct vncdo *v, const uint8_t *rgb, int width, int height, size_t *first)
{
    size_t n = 0;

    *first = 0;
    if (width != v->rfb->width || height != v->rfb->height)
        return (size_t)width * (size_t)height;
    for (size_t i = pixels(v); i-- > 0;) {
        uint32_t want = (uint32_t)rgb[i * 3] << 16 | (uint32_t)rgb[i * 3 + 1] << 8 | rgb[i * 3 + 2];
        if (!near(pixel_at(v, i), want, v->tolerance)) {
            n++;
            *first = i;
        }
    }
    return n;
}

/* After the first whole screen, waits until done(v, opaque) for it or a later one. Fails after the time
 * without a message. */
static bool wait_screen(struct vncdo *v, bool (*done)(struct vncdo *v, void *opaque), void *opaque,
                        bool *reached)
{
    double end = now_s() + v->timeout_s;

    *reached = false;
    if (!refresh(v))
        return false;
    for (;;) {
        double left = end - now_s();
        if (done(v, opaque)) {
            *reached = true;
            return true;
        }
        if (left <= 0)
            return true;
        if (!pump(v, left) || (v->resized && !refresh(v)))
            return false;
    }
}

struct picture {
    const uint8_t *rgb;
    int width, height;
    size_t different, first;
};

static bool is_picture(struct vncdo *v, void *opaque)
{
    struct picture *p = opaque;
    p->different = differing(v, p->rgb, p->width, p->height, &p->first);
    return p->different == 0;
}

static bool expect_picture(struct vncdo *v, const char *path)
{
    struct picture p = {0};
    uint8_t *rgb = read_picture(path, &p.width, &p.height);
    bool reached, ok;

    if (!rgb)
        return false;
    p.rgb = rgb;
    ok = wait_screen(v, is_picture, &p, &reached);
    if (ok && !reached) {
        int w = v->rfb->width;
        if (p.width != w || p.height != v->rfb->height)
            ok = fail("expect-picture: %s is %dx%d, the screen %dx%d", path, p.width, p.height, w,
                      v->rfb->height);
        else
            ok = fail("expect-picture: %zu of %zu pixels differ from %s; at %zu,%zu the screen is #%06x, not "
                      "#%02x%02x%02x",
                      p.different, pixels(v), path, p.first % (size_t)w, p.first / (size_t)w,
                      pixel_at(v, p.first), rgb[p.first * 3], rgb[p.first * 3 + 1], rgb[p.first * 3 + 2]);
    }
    free(rgb);
    return ok;
}

/* Pixels that do not have the most common colour. Boyer-Moore majority finds a colour that fills more than
 * half; on a screen without such a colour, whatever it finds leaves more than enough others. */
static size_t drawn_pixels(const struct vncdo *v)
{
    uint32_t common = 0;
    size_t lead = 0, n = 0;

    for (size_t i = 0; i < pixels(v); i++) {
        if (lead == 0)
            common = pixel_at(v, i);
        if (pixel_at(v, i) == common)
            lead++;
        else
            lead--;
    }
    for (size_t i = 0; i < pixels(v); i++)
        n += pixel_at(v, i) != common;
    return n;
}

static bool is_drawn(struct vncdo *v, void *opaque)
{
    return drawn_pixels(v) >= *(size_t *)opaque;
}

static bool expect_drawn(struct vncdo *v, size_t want)
{
    bool reached;
    if (!wait_screen(v, is_drawn, &want, &reached))
        return false;
    return reached || fail("expect-drawn: only %zu pixels of %dx%d are drawn", drawn_pixels(v), v->rfb->width,
                           v->rfb->height);
}

struct colour {
    unsigned rgb;
    size_t want;
};

static size_t pixels_of(const struct vncdo *v, unsigned rgb)
{
    size_t n = 0;

    for (size_t i = 0; i < pixels(v); i++)
        n += pixel_at(v, i) == rgb;
    return n;
}

static bool has_colour(struct vncdo *v, void *opaque)
{
    const struct colour *c = opaque;
    return pixels_of(v, c->rgb) >= c->want;
}

static bool expect_colour(struct vncdo *v, const char *rgb, const char *want)
{
    struct colour c = {.want = strtoul(want, NULL, 10)};
    bool reached;
    if (sscanf(rgb, "%6x", &c.rgb) != 1)
        return fail("expect-colour: '%s' is not RRGGBB", rgb);
    if (!wait_screen(v, has_colour, &c, &reached))
        return false;
    return reached || fail("expect-colour: only %zu pixels have the colour %06x", pixels_of(v, c.rgb), c.rgb);
}

struct size {
    int width, height;
};

static bool is_size(struct vncdo *v, void *opaque)
{
    const struct size *s = opaque;
    return v->rfb->width == s->width && v->rfb->height == s->height;
}

static bool expect_size(struct vncdo *v, const char *text)
{
    struct size s;
    bool reached;
    if (sscanf(text, "%dx%d", &s.width, &s.height) != 2)
        return fail("expect-size: '%s' is not WxH", text);
    if (!wait_screen(v, is_size, &s, &reached))
        return false;
    return reached || fail("expect-size: the screen is %dx%d, not %s", v->rfb->width, v->rfb->height, text);
}

struct change {
    bool known;
    uint64_t hash;
};

static bool is_changed(struct vncdo *v, void *opaque)
{
    struct change *c = opaque;
    uint64_t hash = screen_hash(v);
    if (!c->known) {
        c->known = true;
        c->hash = hash;
    }
    return hash != c->hash;
}

static bool wait_change(struct vncdo *v)
{
    struct change c = {0};
    bool reached;
    if (!wait_screen(v, is_changed, &c, &reached))
        return false;
    return reached || fail("wait-change: nothing changed within %g s", v->timeout_s);
}

static bool press_seen(struct vncdo *v, uint32_t keysym, bool shift)
{
    struct change c = {.known = true};
    bool reached;
    if (!refresh(v))
        return false;
    c.hash = screen_hash(v);
    if (!press(v, keysym, shift) || !wait_screen(v, is_changed, &c, &reached))
        return false;
    return reached || fail("type-seen: key 0x%x changed nothing within %g s", keysym, v->timeout_s);
}

static bool wait_quiet(struct vncdo *v, double seconds)
{
    double end = now_s() + v->timeout_s;
    double last = now_s();
    uint64_t hash;

    if (!refresh(v))
        return false;
    hash = screen_hash(v);
    while (now_s() - last < seconds) {
        if (now_s() > end)
            return fail("wait-quiet: the screen went on changing for %g s", v->timeout_s);
        if (!pump(v, last + seconds - now_s()) || (v->resized && !refresh(v)))
            return false;
        if (screen_hash(v) != hash) {
            hash = screen_hash(v);
            last = now_s();
        }
    }
    return true;
}

/* Commands, with the number of arguments each takes. */

struct command {
    const char *name;
    int arguments;
};

static const struct command commands[] = {
    {"type", 1},           {"key", 1},          {"keydown", 1},       {"keyup", 1},       {"move", 2},
    {"click", 1},          {"mousedown", 1},    {"mouseup", 1},       {"wheel", 1},       {"capture", 1},
    {"expect-size", 1},    {"size", 0},         {"pause", 1},         {"wait-change", 0}, {"wait-quiet", 1},
    {"expect-picture", 1}, {"expect-drawn", 0}, {"expect-colour", 2}, {"type-seen", 1},
};

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    return NULL;
}

static bool is_number(const char *text)
{
    return text && *text && strspn(text, "0123456789") == strlen(text);
}

static bool do_command(struct vncdo *v, const char *name, char **args)
{
    if (strcmp(name, "type") == 0)
        return type_text(v, args[0], press);
    if (strcmp(name, "type-seen") == 0)
        return type_text(v, args[0], press_seen);
    if (strcmp(name, "key") == 0)
        return press_together(v, args[0]);
    if (strcmp(name, "keydown") == 0 || strcmp(name, "keyup") == 0) {
        uint32_t keysym = keysym_of(args[0]);
        return keysym ? send_key(v, keysym, name[3] == 'd') : fail("%s: there is no key '%s'", name, args[0]);
    }
    if (strcmp(name, "move") == 0) {
        v->x = atoi(args[0]);
        v->y = atoi(args[1]);
        return send_pointer(v);
    }
    if (strcmp(name, "click") == 0 || strcmp(name, "mousedown") == 0 || strcmp(name, "mouseup") == 0)
        return button(v, name, args[0]);
    if (strcmp(name, "wheel") == 0)
        return wheel(v, atoi(args[0]));
    if (strcmp(name, "capture") == 0)
        return capture(v, args[0]);
    if (strcmp(name, "expect-picture") == 0)
        return expect_picture(v, args[0]);
    if (strcmp(name, "expect-colour") == 0)
        return expect_colour(v, args[0], args[1]);
    if (strcmp(name, "expect-size") == 0)
        return expect_size(v, args[0]);
    if (strcmp(name, "wait-change") == 0)
        return wait_change(v);
    if (strcmp(name, "wait-quiet") == 0)
        return wait_quiet(v, atof(args[0]));
    if (strcmp(name, "pause") == 0)
        return pause_for(v, atof(args[0]));
    if (!refresh(v)) /* the size at connection may be about to change */
        return false;
    printf("%dx%d\n", v->rfb->width, v->rfb->height);
    return true;
}

/* The whole line is checked before the connection is made: a mistake in it has done nothing. */
static bool check_line(int argc, char **argv)
{
    if (argc == 0)
        return fail("no command; see vncdo --help");
    for (int i = 0; i < argc; i++) {
        const struct command *c = find_command(argv[i]);
        if (!c)
            return fail("unknown command '%s'; see vncdo --help", argv[i]);
        if (i + c->arguments >= argc)
            return fail("%s wants %d argument%s", c->name, c->arguments, c->arguments == 1 ? "" : "s");
        i += c->arguments;
        if (strcmp(c->name, "expect-drawn") == 0 && is_number(argv[i + 1]))
            i++;
    }
    return true;
}

static bool do_line(struct vncdo *v, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        const struct command *c = find_command(argv[i]);
        if (strcmp(c->name, "expect-drawn") == 0) {
            bool given = is_number(argv[i + 1]);
            if (!expect_drawn(v, given ? strtoul(argv[i + 1], NULL, 10) : 100))
                return false;
            i += given;
            continue;
        }
        if (!do_command(v, c->name, argv + i + 1))
            return false;
        i += c->arguments;
    }
    return true;
}

/* The first line of a file, to be freed. */
static char *read_password(const char *path)
{
    char line[256] = "";
    FILE *f = fopen(path, "r");
    if (!f) {
        fail("cannot read %s: %s", path, strerror(errno));
        return NULL;
    }
    if (!fgets(line, sizeof(line), f))
        line[0] = 0;
    fclose(f);
    line[strcspn(line, "\r\n")] = 0;
    return strdup(line);
}

int main(int argc, char **argv)
{
    struct vncdo v = {.wait_s = 30,
                      .timeout_s = 30,
                      .key_delay_s = 0.06,
                      .settle_s = 0.7,
                      .password = getenv("VNC_PASSWORD")};
    const char *server = "127.0.0.1:5900";
    char *password = NULL;
    bool ok;
    int i;

    rfbClientLogProc client_log = rfbClientLog;
    rfbClientLog = rfbClientErr = quiet_log;
    for (i = 1; i < argc && argv[i][0] == '-'; i++) {
        const char *option = argv[i];
        if (strcmp(option, "-h") == 0 || strcmp(option, "--help") == 0) {
            fputs(usage_text, stdout);
            return 0;
        }
        if (strcmp(option, "-v") == 0) {
            rfbClientErr = rfbClientLog = client_log;
            continue;
        }
        if (strlen(option) != 2 || !strchr("spwtdSe", option[1])) {
            fail("unknown option '%s'; see vncdo --help", option);
            return 2;
        }
        if (++i == argc) {
            fail("%s wants a value", option);
            return 2;
        }
        switch (option[1]) {
        case 's':
            server = argv[i];
            break;
        case 'p':
            free(password);
            password = read_password(argv[i]);
            if (!password)
                return 2;
            v.password = password;
            break;
        case 'w':
            v.wait_s = atof(argv[i]);
            break;
        case 'e':
            v.tolerance = atoi(argv[i]);
            break;
        case 'S':
            v.settle_s = atof(argv[i]);
            break;
        case 't':
            v.timeout_s = atof(argv[i]);
            break;
        default:
            v.key_delay_s = atof(argv[i]) / 1000;
        }
    }
    if (!check_line(argc - i, argv + i))
        return 2;
    ok = connect_to(&v, server) && do_line(&v, argc - i, argv + i);
    if (v.rfb) {
        free(v.rfb->frameBuffer);
        v.rfb->frameBuffer = NULL;
        rfbClientCleanup(v.rfb);
    }
    free(password);
    return ok ? 0 : 1;
}
