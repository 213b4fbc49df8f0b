/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The back end of Xen's virtual keyboard and pointer (xen/include/public/io/kbdif.h), which libxl gives every
 * HVM guest: without an answer Linux waits half a minute for it at boot. A front end that connects gets what
 * people type from then on, with an absolute pointer if it asks for one.
 *
 * The page is the guest's: its consumer index is read once and only bounds how much we put in; the producer
 * index is ours and never read back.
 */
#include <errno.h>
#include <linux/input-event-codes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "console/console.h"
#include "ioreq/xen_private.h"
#include "machine/log.h"

/* Xen's lesser headers want xenctrl.h before them. */
#include <xen/io/kbdif.h>
#include <xen/io/xenbus.h>
#include <xengnttab.h>

enum { PATH_SIZE = 128, WATCHES_AT_ONCE = 32 };

struct xen_vkbd {
    struct xen *x;
    char base[PATH_SIZE];     /* of the back end, relative to our domain's home */
    char frontend[PATH_SIZE]; /* "" until it is known and watched */
    struct loop_fd watch;
    struct loop_work more; /* watches that did not fit in one round */
    xengnttab_handle *grants;

    /* While connected: */
    struct xenkbd_page *page; /* NULL: not connected */
    bool granted;             /* the page came by a grant, not by its frame number */
    int port;                 /* local event channel port */
    uint32_t produced;
    unsigned buttons;
    struct console_keyboard keyboard;
    struct console_pointer pointer;
};

/* ---- the store ---- */

static bool read_number(struct xen_vkbd *v, const char *dir, const char *key, uint32_t *value)
{
    char path[2 * PATH_SIZE], *text, *end;
    unsigned long number;

    snprintf(path, sizeof(path), "%s/%s", dir, key);
    text = xs_read(v->x->store, XBT_NULL, path, NULL);
    if (!text)
        return false;
    errno = 0;
    number = strtoul(text, &end, 10);
    if (end == text || *end || errno || number > UINT32_MAX)
        end = NULL;
    free(text);
    *value = number;
    return end;
}

static void write_number(struct xen_vkbd *v, const char *key, unsigned value)
{
    char path[2 * PATH_SIZE], text[16];

    snprintf(path, sizeof(path), "%s/%s", v->base, key);
    snprintf(text, sizeof(text), "%u", value);
    if (!xs_write(v->x->store, XBT_NULL, path, text, strlen(text)))
        log_limited("xenstore: %s cannot be written: %s", path, strerror(errno));
}

/* ---- events to the guest ---- */

/* An event that finds the ring full is lost. */
static void put(struct xen_vkbd *v, const union xenkbd_in_event *event)
{
    uint32_t consumed = atomic_load((_Atomic uint32_t *)&v->page->in_cons);

    if (v->produced - consumed >= XENKBD_IN_RING_LEN)
        return;
    XENKBD_IN_RING_REF(v->page, v->produced) = *event;
    v->produced++;
    atomic_store((_Atomic uint32_t *)&v->page->in_prod, v->produced);
}

static void put_key(struct xen_vkbd *v, uint32_t code, bool down)
{
    union xenkbd_in_event event = {.key = {.type = XENKBD_TYPE_KEY, .pressed = down, .keycode = code}};

    put(v, &event);
}

/* Linux's code for a key. Up to F12 and a few they are the scan codes of set 1; 0: the key has none. */
static uint32_t linux_code(uint16_t scan)
{
    static const struct {
        uint16_t scan;
        uint8_t code;
    } others[] = {
        {0x54, KEY_SYSRQ},       {0x70, KEY_KATAKANAHIRAGANA},
        {0x73, KEY_RO},          {0x79, KEY_HENKAN},
        {0x7B, KEY_MUHENKAN},    {0x7D, KEY_YEN},
        {0xE01C, KEY_KPENTER},   {0xE01D, KEY_RIGHTCTRL},
        {0xE020, KEY_MUTE},      {0xE02E, KEY_VOLUMEDOWN},
        {0xE030, KEY_VOLUMEUP},  {0xE035, KEY_KPSLASH},
        {0xE037, KEY_SYSRQ},     {0xE038, KEY_RIGHTALT},
        {0xE046, KEY_PAUSE},     {0xE047, KEY_HOME},
        {0xE048, KEY_UP},        {0xE049, KEY_PAGEUP},
        {0xE04B, KEY_LEFT},      {0xE04D, KEY_RIGHT},
        {0xE04F, KEY_END},       {0xE050, KEY_DOWN},
        {0xE051, KEY_PAGEDOWN},  {0xE052, KEY_INSERT},
        {0xE053, KEY_DELETE},    {0xE05B, KEY_LEFTMETA},
        {0xE05C, KEY_RIGHTMETA}, {0xE05D, KEY_COMPOSE},
        {0xE05E, KEY_POWER},     {0xE05F, KEY_SLEEP},
        {0xE063, KEY_WAKEUP},    {CONSOLE_KEY_PAUSE, KEY_PAUSE},
    };

    if (scan <= KEY_F12 && scan != 0x54)
        return scan;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (others[i].scan == scan)
            return others[i].code;
    return 0;
}

static void key(void *opaque, uint16_t scan, bool down)
{
    struct xen_vkbd *v = opaque;
    uint32_t code = linux_code(scan);

    if (!code)
        return;
    put_key(v, code, down);
    xenevtchn_notify(v->x->evtchn, v->port);
}

static void pointer(void *opaque, int x, int y, int wheel, unsigned buttons)
{
    static const struct {
        unsigned bit;
        uint32_t code;
    } names[] = {{POINTER_LEFT, BTN_LEFT}, {POINTER_RIGHT, BTN_RIGHT}, {POINTER_MIDDLE, BTN_MIDDLE}};
    struct xen_vkbd *v = opaque;
    union xenkbd_in_event event = {
        .motion = {.type = XENKBD_TYPE_MOTION, .rel_x = x, .rel_y = y, .rel_z = -wheel}};

    if (v->pointer.absolute)
        event = (union xenkbd_in_event){
            .pos = {.type = XENKBD_TYPE_POS, .abs_x = x, .abs_y = y, .rel_z = -wheel}};
    put(v, &event);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if ((buttons ^ v->buttons) & names[i].bit)
            put_key(v, names[i].code, buttons & names[i].bit);
    v->buttons = buttons;
    xenevtchn_notify(v->x->evtchn, v->port);
}

/* ---- the connection ---- */

static void unmap_page(struct xen_vkbd *v)
{
    if (v->granted)
        xengnttab_unmap(v->grants, v->page, 1);
    else
        xenforeignmemory_unmap(v->x->fmem, v->page, 1);
    v->page = NULL;
}

/* By its grant; by its frame number where there is none, or no grant device here. */
static bool map_page(struct xen_vkbd *v)
{
    uint32_t reference;

    if (v->grants && read_number(v, v->frontend, XENKBD_FIELD_RING_GREF, &reference))
        v->page = xengnttab_map_grant_ref(v->grants, v->x->domid, reference, PROT_READ | PROT_WRITE);
    v->granted = v->page;
    if (!v->page && read_number(v, v->frontend, XENKBD_FIELD_RING_REF, &reference)) {
        xen_pfn_t gfn = reference;

        v->page = xenforeignmemory_map(v->x->fmem, v->x->domid, PROT_READ | PROT_WRITE, 1, &gfn, NULL);
    }
    return v->page;
}

static bool connect(struct xen_vkbd *v)
{
    struct console *console = v->x->m->console;
    uint32_t remote, absolute = 0;

    if (!read_number(v, v->frontend, XENKBD_FIELD_EVT_CHANNEL, &remote) || !map_page(v)) {
        log_limited("the guest's virtual keyboard names no page and event channel that can be had");
        return false;
    }
    v->port = xenevtchn_bind_interdomain(v->x->evtchn, v->x->domid, remote);
    if (v->port < 0) {
        log_limited("the guest's virtual keyboard has no event channel: %s", strerror(errno));
        unmap_page(v);
        return false;
    }
    read_number(v, v->frontend, XENKBD_FIELD_REQ_ABS_POINTER, &absolute);
    v->produced = atomic_load((_Atomic uint32_t *)&v->page->in_prod);
    v->buttons = 0;
    v->keyboard = (struct console_keyboard){.key = key, .opaque = v};
    v->pointer = (struct console_pointer){.absolute = absolute == 1, .event = pointer, .opaque = v};
    console_add_keyboard(console, &v->keyboard);
    console_add_pointer(console, &v->pointer);
    return true;
}

static void disconnect(struct xen_vkbd *v)
{
    if (!v->page)
        return;
    console_remove_keyboard(v->x->m->console, &v->keyboard);
    console_remove_pointer(v->x->m->console, &v->pointer);
    xenevtchn_unbind(v->x->evtchn, v->port);
    unmap_page(v);
}

/* ---- the handshake ---- */

/* The pointer's range is told as the screen's size, so that it need not follow the screen's mode. */
static void offer(struct xen_vkbd *v)
{
    write_number(v, XENKBD_FIELD_FEAT_ABS_POINTER, 1);
    write_number(v, XENKBD_FIELD_FEAT_RAW_POINTER, 1);
    write_number(v, XENKBD_FIELD_WIDTH, POINTER_RANGE);
    write_number(v, XENKBD_FIELD_HEIGHT, POINTER_RANGE);
    write_number(v, "state", XenbusStateInitWait);
}

/* Learns where the front end is, and watches it. */
static bool know_frontend(struct xen_vkbd *v)
{
    char path[PATH_SIZE + 16], *text;

    if (v->frontend[0])
        return true;
    snprintf(path, sizeof(path), "%s/frontend", v->base);
    text = xs_read(v->x->store, XBT_NULL, path, NULL);
    if (text && strlen(text) < sizeof(v->frontend)) {
        strcpy(v->frontend, text);
        snprintf(path, sizeof(path), "%s/state", v->frontend);
        xs_watch(v->x->store, path, "vkbd");
    }
    free(text);
    return v->frontend[0];
}

static void follow(struct xen_vkbd *v)
{
    uint32_t ours, theirs = XenbusStateUnknown, online = 0;

    if (!read_number(v, v->base, "state", &ours) || !know_frontend(v)) {
        disconnect(v);
        return;
    }
    read_number(v, v->frontend, "state", &theirs);
    read_number(v, v->base, "online", &online);
    if (ours == XenbusStateClosing && !online) { /* the device is taken away */
        disconnect(v);
        write_number(v, "state", XenbusStateClosed);
        return;
    }
    switch (theirs) {
    case XenbusStateInitialising:
        if (ours != XenbusStateInitWait && online) { /* the first time, or once more after it was closed */
            disconnect(v);
            offer(v);
        }
        break;
    case XenbusStateInitialised:
    case XenbusStateConnected:
        if (ours == XenbusStateInitialising)
            offer(v);
        if (!v->page && ours <= XenbusStateInitialised && connect(v))
            write_number(v, "state", XenbusStateConnected);
        break;
    case XenbusStateClosing:
        disconnect(v);
        if (ours != XenbusStateClosing)
            write_number(v, "state", XenbusStateClosing);
        break;
    case XenbusStateClosed:
        disconnect(v);
        if (ours != XenbusStateClosed)
            write_number(v, "state", XenbusStateClosed);
        break;
    }
}

static void take_watches(void *opaque)
{
    struct xen_vkbd *v = opaque;
    char **fired = NULL;
    unsigned n = 0;

    while (n < WATCHES_AT_ONCE && (fired = xs_check_watch(v->x->store))) {
        free(fired);
        n++;
    }
    if (fired)
        loop_post(&v->x->m->loop, &v->more);
    if (n)
        follow(v);
}

static void ready(void *opaque, uint32_t events)
{
    take_watches(opaque);
}

bool xen_vkbd_start(struct xen *x, struct error *err)
{
    struct xen_vkbd *v = calloc(1, sizeof(*v));
    char path[PATH_SIZE + 16];

    if (!v)
        return error_set(err, "out of memory");
    x->vkbd = v;
    v->x = x;
    v->watch.fd = -1;
    v->more = (struct loop_work){.run = take_watches, .opaque = v};
    v->grants = xengnttab_open(NULL, 0); /* NULL: pages by their frame numbers only */
    snprintf(v->base, sizeof(v->base), "backend/vkbd/%u/0", x->domid);
    snprintf(path, sizeof(path), "%s/state", v->base);
    if (!xs_watch(x->store, path, "vkbd") ||
        !loop_watch(&x->m->loop, &v->watch, xs_fileno(x->store), EPOLLIN, ready, v))
        return error_set(err, "cannot watch xenstore: %s", strerror(errno));
    follow(v);
    return true;
}

void xen_vkbd_stop(struct xen *x)
{
    struct xen_vkbd *v = x->vkbd;

    if (!v)
        return;
    disconnect(v);
    loop_cancel(&x->m->loop, &v->more);
    if (v->watch.fd >= 0)
        loop_unwatch(&x->m->loop, &v->watch);
    if (v->grants)
        xengnttab_close(v->grants);
    free(v);
    x->vkbd = NULL;
}
