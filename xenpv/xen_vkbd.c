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
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "base/util.h"
#include "console/console.h"
#include "hw/backends.h"
#include "xenpv/xenbus_backend.h"

#include <xen/io/kbdif.h>

/* All but the first is of the connection. */
struct xen_vkbd {
    struct xenbus_device bus;
    struct xenkbd_page *page;
    bool granted; /* the page came by a grant, not by its frame number */
    int port;     /* local event channel port */
    uint32_t produced;
    unsigned buttons;
    struct console_keyboard keyboard;
    struct console_pointer pointer;
};

/* ---- events to the guest ---- */

/* An event that finds the ring full is lost. */
static void vkbd_put(struct xen_vkbd *v, const union xenkbd_in_event *event)
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

    vkbd_put(v, &event);
}

/* Linux's code for a key. Up to F12 and a few they are the scan codes of set 1; 0: the key has none. */
static uint32_t linux_code(uint16_t scan)
{
    static const struct {
        uint16_t scan;
        uint8_t code;
    } others[] = {
        {0x54, KEY_SYSRQ},
        {0x59, KEY_KPEQUAL},
        {0x64, KEY_F13},
        {0x65, KEY_F14},
        {0x66, KEY_F15},
        {0x67, KEY_F16},
        {0x68, KEY_F17},
        {0x69, KEY_F18},
        {0x6A, KEY_F19},
        {0x6B, KEY_F20},
        {0x6C, KEY_F21},
        {0x6D, KEY_F22},
        {0x6E, KEY_F23},
        {0x76, KEY_F24},
        {0x71, KEY_HANJA},
        {0x72, KEY_HANGEUL},
        {0x77, KEY_HIRAGANA},
        {0x7E, KEY_KPCOMMA},
        {0x70, KEY_KATAKANAHIRAGANA},
        {0x73, KEY_RO},
        {0x79, KEY_HENKAN},
        {0x7B, KEY_MUHENKAN},
        {0x7D, KEY_YEN},
        {0xE01C, KEY_KPENTER},
        {0xE01D, KEY_RIGHTCTRL},
        {0xE020, KEY_MUTE},
        {0xE02E, KEY_VOLUMEDOWN},
        {0xE030, KEY_VOLUMEUP},
        {0xE035, KEY_KPSLASH},
        {0xE037, KEY_SYSRQ},
        {0xE038, KEY_RIGHTALT},
        {0xE046, KEY_PAUSE},
        {0xE047, KEY_HOME},
        {0xE048, KEY_UP},
        {0xE049, KEY_PAGEUP},
        {0xE04B, KEY_LEFT},
        {0xE04D, KEY_RIGHT},
        {0xE04F, KEY_END},
        {0xE050, KEY_DOWN},
        {0xE051, KEY_PAGEDOWN},
        {0xE052, KEY_INSERT},
        {0xE053, KEY_DELETE},
        {0xE05B, KEY_LEFTMETA},
        {0xE05C, KEY_RIGHTMETA},
        {0xE05D, KEY_COMPOSE},
        {0xE05E, KEY_POWER},
        {0xE05F, KEY_SLEEP},
        {0xE063, KEY_WAKEUP},
        {CONSOLE_KEY_PAUSE, KEY_PAUSE},
    };

    if (scan <= KEY_F12 && scan != 0x54)
        return scan;
    for (size_t i = 0; i < COUNT(others); i++)
        if (others[i].scan == scan)
            return others[i].code;
    return 0;
}

static void vkbd_key(void *opaque, uint16_t scan, bool down)
{
    struct xen_vkbd *v = opaque;
    uint32_t code = linux_code(scan);

    if (!code)
        return;
    put_key(v, code, down);
    xenevtchn_notify(v->bus.pv->evtchn, v->port);
    v->bus.pv->input_sent(v->bus.pv->opaque);
}

static void vkbd_pointer(void *opaque, int x, int y, int wheel, unsigned buttons)
{
    static const struct {
        unsigned bit;
        uint32_t code;
    } names[] = {{POINTER_LEFT, BTN_LEFT},
                 {POINTER_RIGHT, BTN_RIGHT},
                 {POINTER_MIDDLE, BTN_MIDDLE},
                 {POINTER_SIDE, BTN_SIDE},
                 {POINTER_EXTRA, BTN_EXTRA}};
    struct xen_vkbd *v = opaque;
    union xenkbd_in_event event = {
        .motion = {.type = XENKBD_TYPE_MOTION, .rel_x = x, .rel_y = y, .rel_z = -wheel}};

    if (v->pointer.absolute)
        event = (union xenkbd_in_event){
            .pos = {.type = XENKBD_TYPE_POS, .abs_x = x, .abs_y = y, .rel_z = -wheel}};
    vkbd_put(v, &event);
    for (size_t i = 0; i < COUNT(names); i++)
        if ((buttons ^ v->buttons) & names[i].bit)
            put_key(v, names[i].code, buttons & names[i].bit);
    v->buttons = buttons;
    xenevtchn_notify(v->bus.pv->evtchn, v->port);
    v->bus.pv->input_sent(v->bus.pv->opaque);
}

/* ---- the connection ---- */

static void unmap_page(struct xen_vkbd *v)
{
    struct xenpv *pv = v->bus.pv;

    if (v->granted)
        xengnttab_unmap(pv->grants, v->page, 1);
    else
        xenforeignmemory_unmap(pv->fmem, v->page, 1);
}

/* By its grant; by its frame number where there is none, or no grant device here. */
static bool map_page(struct xen_vkbd *v)
{
    struct xenpv *pv = v->bus.pv;
    uint32_t reference;

    v->page = NULL;
    if (pv->grants && xenbus_read(pv, v->bus.frontend, XENKBD_FIELD_RING_GREF, &reference))
        v->page = xengnttab_map_grant_ref(pv->grants, pv->domid, reference, PROT_READ | PROT_WRITE);
    v->granted = v->page;
    if (!v->page && xenbus_read(pv, v->bus.frontend, XENKBD_FIELD_RING_REF, &reference)) {
        xen_pfn_t gfn = reference;

        v->page = xenforeignmemory_map(pv->fmem, pv->domid, PROT_READ | PROT_WRITE, 1, &gfn, NULL);
    }
    return v->page;
}

static bool vkbd_connect(struct xenbus_device *dev)
{
    struct xen_vkbd *v = (struct xen_vkbd *)dev;
    struct xenpv *pv = dev->pv;
    uint32_t remote, absolute = 0;

    if (!xenbus_read(pv, dev->frontend, XENKBD_FIELD_EVT_CHANNEL, &remote) || !map_page(v)) {
        log_limited("the guest's virtual keyboard names no page and event channel that can be had");
        return false;
    }
    v->port = xenevtchn_bind_interdomain(pv->evtchn, pv->domid, remote);
    if (v->port < 0) {
        log_limited("the guest's virtual keyboard has no event channel: %s", strerror(errno));
        unmap_page(v);
        return false;
    }
    xenbus_read(pv, dev->frontend, XENKBD_FIELD_REQ_ABS_POINTER, &absolute);
    v->produced = atomic_load((_Atomic uint32_t *)&v->page->in_prod);
    v->buttons = 0;
    v->keyboard = (struct console_keyboard){.key = vkbd_key, .opaque = v};
    v->pointer = (struct console_pointer){
        .name = "Xen virtual pointer", .absolute = absolute == 1, .event = vkbd_pointer, .opaque = v};
    console_add_keyboard(pv->m->backends->console, &v->keyboard);
    console_add_pointer(pv->m->backends->console, &v->pointer);
    return true;
}

static void vkbd_disconnect(struct xenbus_device *dev)
{
    struct xen_vkbd *v = (struct xen_vkbd *)dev;

    console_remove_keyboard(dev->pv->m->backends->console, &v->keyboard);
    console_remove_pointer(dev->pv->m->backends->console, &v->pointer);
    xenevtchn_unbind(dev->pv->evtchn, v->port);
    unmap_page(v);
}

/* The pointer's range is told as the screen's size, so that it need not follow the screen's mode. */
static void vkbd_offer(struct xenbus_device *dev)
{
    xenbus_write(dev, XENKBD_FIELD_FEAT_ABS_POINTER, 1);
    xenbus_write(dev, XENKBD_FIELD_FEAT_RAW_POINTER, 1);
    xenbus_write(dev, XENKBD_FIELD_WIDTH, POINTER_RANGE);
    xenbus_write(dev, XENKBD_FIELD_HEIGHT, POINTER_RANGE);
}

const struct xenbus_class xen_vkbd_class = {
    .kind = "vkbd",
    .size = sizeof(struct xen_vkbd),
    .offer = vkbd_offer,
    .connect = vkbd_connect,
    .disconnect = vkbd_disconnect,
};
