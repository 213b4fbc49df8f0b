/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The back end of a domain's channels (channel= in its configuration): paravirtual consoles
 * (xen/include/public/io/console.h) that end at a character device, which libxl names in the front end's
 * directory. The first console of a domain is xenconsoled's.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "char/chardev.h"
#include "hw/backends.h"
#include "xenpv/xenbus_backend.h"

/* Includes nothing that it needs. */
#include <xen/io/console.h>

#define OUTPUT_PREFIX "chardev:"

struct xen_channel {
    struct xenbus_device bus; /* first */
    struct chardev *chr;
    struct xencons_interface *page;
    int port;          /* local event channel port */
    uint32_t produced; /* our pointers: what the page says of them is not believed */
    uint32_t consumed;
};

static _Atomic uint32_t *shared(uint32_t *pointer)
{
    return (_Atomic uint32_t *)pointer;
}

/* ---- from the guest ---- */

static void take_output(struct xen_channel *ch)
{
    struct xencons_interface *page = ch->page;
    uint32_t waiting = atomic_load(shared(&page->out_prod)) - ch->consumed;
    uint8_t text[sizeof(page->out)];

    if (!waiting)
        return;
    if (waiting > sizeof(text)) /* a lie: what is there is taken once */
        waiting = sizeof(text);
    for (uint32_t i = 0; i < waiting; i++)
        text[i] = page->out[MASK_XENCONS_IDX(ch->consumed + i, page->out)];
    ch->consumed += waiting;
    atomic_store(shared(&page->out_cons), ch->consumed);
    xenevtchn_notify(ch->bus.pv->evtchn, ch->port);
    chardev_write(ch->chr, text, waiting);
}

/* ---- to the guest ---- */

static size_t xen_channel_space(void *opaque)
{
    struct xen_channel *ch = opaque;
    uint32_t unread = ch->produced - atomic_load(shared(&ch->page->in_cons));

    return unread < sizeof(ch->page->in) ? sizeof(ch->page->in) - unread : 0;
}

static void xen_channel_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct xen_channel *ch = opaque;

    for (size_t i = 0; i < length; i++)
        ch->page->in[MASK_XENCONS_IDX(ch->produced + i, ch->page->in)] = data[i];
    ch->produced += length;
    atomic_store(shared(&ch->page->in_prod), ch->produced);
    xenevtchn_notify(ch->bus.pv->evtchn, ch->port);
}

static bool xen_channel_event(struct xenbus_device *dev, int port)
{
    struct xen_channel *ch = (struct xen_channel *)dev;

    if (port != ch->port)
        return false;
    take_output(ch);
    chardev_accept_input(ch->chr);
    return true;
}

/* ---- life ---- */

static struct chardev *find_end(struct xenbus_device *dev)
{
    char *frontend = xenbus_read_text(dev->pv, dev->base, "frontend"), *output = NULL;
    struct chardev *chr = NULL;

    if (frontend)
        output = xenbus_read_text(dev->pv, frontend, "output");
    if (output && !strncmp(output, OUTPUT_PREFIX, strlen(OUTPUT_PREFIX)))
        chr = chardev_find(dev->pv->m->backends->chardevs, output + strlen(OUTPUT_PREFIX));
    free(output);
    free(frontend);
    return chr;
}

static bool xen_channel_serves(struct xenbus_device *dev)
{
    struct xen_channel *ch = (struct xen_channel *)dev;

    ch->chr = dev->number ? find_end(dev) : NULL;
    return ch->chr && chardev_free(ch->chr);
}

static void xen_channel_offer(struct xenbus_device *dev)
{
}

static bool xen_channel_connect(struct xenbus_device *dev)
{
    struct xen_channel *ch = (struct xen_channel *)dev;
    const struct chardev_user user = {
        .space = xen_channel_space, .receive = xen_channel_receive, .opaque = ch};
    struct xenpv *pv = dev->pv;
    uint32_t remote, reference;

    if (!pv->grants || !xenbus_read(pv, dev->frontend, "port", &remote) ||
        !xenbus_read(pv, dev->frontend, "ring-ref", &reference) ||
        !(ch->page = xengnttab_map_grant_ref(pv->grants, pv->domid, reference, PROT_READ | PROT_WRITE))) {
        log_limited("the guest's channel %u names no page and event channel that can be had", dev->number);
        return false;
    }
    ch->port = xenevtchn_bind_interdomain(pv->evtchn, pv->domid, remote);
    if (ch->port < 0) {
        log_limited("the guest's channel %u has no event channel: %s", dev->number, strerror(errno));
        xengnttab_unmap(pv->grants, ch->page, 1);
        return false;
    }
    ch->produced = atomic_load(shared(&ch->page->in_prod));
    ch->consumed = atomic_load(shared(&ch->page->out_cons));
    chardev_set_user(ch->chr, &user);
    take_output(ch);
    return true;
}

static void xen_channel_disconnect(struct xenbus_device *dev)
{
    struct xen_channel *ch = (struct xen_channel *)dev;

    take_output(ch);
    chardev_set_user(ch->chr, NULL);
    xenevtchn_unbind(dev->pv->evtchn, ch->port);
    xengnttab_unmap(dev->pv->grants, ch->page, 1);
}

const struct xenbus_class xen_channel_class = {
    .kind = "console",
    .size = sizeof(struct xen_channel),
    .serves = xen_channel_serves,
    .offer = xen_channel_offer,
    .connect = xen_channel_connect,
    .disconnect = xen_channel_disconnect,
    .event = xen_channel_event,
};
