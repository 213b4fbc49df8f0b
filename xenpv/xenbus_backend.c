/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xenpv/xenbus_backend.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "ioreq/xen_private.h"

enum { WATCHES_AT_ONCE = 32 };

#define FRONTEND_TOKEN "frontend"

static const struct xenbus_class *const classes[] = {&xen_vkbd_class, &xen_qdisk_class, &xen_channel_class};

#define CLASSES (sizeof(classes) / sizeof(classes[0]))

/* ---- the store ---- */

char *xenbus_read_text(struct xen *x, const char *dir, const char *key)
{
    char path[2 * XENBUS_PATH];

    snprintf(path, sizeof(path), "%s/%s", dir, key);
    return xs_read(x->store, XBT_NULL, path, NULL);
}

static bool parse(const char *text, uint32_t *value)
{
    unsigned long number;
    char *end;

    errno = 0;
    number = strtoul(text, &end, 10);
    *value = number;
    return text[0] >= '0' && text[0] <= '9' && !*end && !errno && number <= UINT32_MAX;
}

bool xenbus_read(struct xen *x, const char *dir, const char *key, uint32_t *value)
{
    char *text = xenbus_read_text(x, dir, key);
    uint32_t number;
    bool ok = text && parse(text, &number);

    free(text);
    if (ok)
        *value = number;
    return ok;
}

void xenbus_write_text(struct xenbus_device *dev, const char *key, const char *text)
{
    char path[2 * XENBUS_PATH];

    snprintf(path, sizeof(path), "%s/%s", dev->base, key);
    if (!xs_write(dev->x->store, XBT_NULL, path, text, strlen(text)))
        log_limited("xenstore: %s cannot be written: %s", path, strerror(errno));
}

void xenbus_write(struct xenbus_device *dev, const char *key, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    xenbus_write_text(dev, key, text);
}

/* backend/KIND/DOMID */
static void class_path(const struct xen *x, const struct xenbus_class *cls, char path[XENBUS_PATH])
{
    snprintf(path, XENBUS_PATH, "backend/%s/%u", cls->kind, x->domid);
}

static void frontend_state(const struct xenbus_device *dev, char path[XENBUS_PATH + 8])
{
    snprintf(path, XENBUS_PATH + 8, "%s/state", dev->frontend);
}

/* ---- the handshake ---- */

static void set_state(struct xenbus_device *dev, enum xenbus_state state)
{
    xenbus_write(dev, "state", state);
}

static void xenbus_offer(struct xenbus_device *dev)
{
    dev->cls->offer(dev);
    set_state(dev, XenbusStateInitWait);
}

static void xenbus_disconnect(struct xenbus_device *dev)
{
    if (dev->connected)
        dev->cls->disconnect(dev);
    dev->connected = false;
}

/* Learns where the front end is, and watches it. */
static bool know_frontend(struct xenbus_device *dev)
{
    char path[XENBUS_PATH + 8], *text;

    if (dev->frontend[0])
        return true;
    text = xenbus_read_text(dev->x, dev->base, "frontend");
    if (text && strlen(text) < sizeof(dev->frontend)) {
        strcpy(dev->frontend, text);
        frontend_state(dev, path);
        xs_watch(dev->x->store, path, FRONTEND_TOKEN);
    }
    free(text);
    return dev->frontend[0];
}

/* A front end that is not there (any more), or at its beginning: for the first time, or once more. */
static void xenbus_begin(struct xenbus_device *dev, uint32_t ours)
{
    uint32_t online = 0;

    xenbus_disconnect(dev);
    xenbus_read(dev->x, dev->base, "online", &online);
    if (!online && ours == XenbusStateClosing) /* taken away by libxl */
        set_state(dev, XenbusStateClosed);
    else if (online && ours != XenbusStateInitWait)
        xenbus_offer(dev);
}

/* Some front ends do not wait for what there is to choose from. */
static void xenbus_connect(struct xenbus_device *dev, uint32_t ours)
{
    if (dev->connected || ours > XenbusStateInitialised)
        return;
    if (ours == XenbusStateInitialising)
        xenbus_offer(dev);
    dev->connected = dev->cls->connect(dev);
    set_state(dev, dev->connected ? XenbusStateConnected : XenbusStateClosing);
}

/*
 * Looks at both states and does what is next. A front end that closes may have requests under way, so that
 * the connection stays until it says Closed; one whose device libxl takes away is waited for as well.
 */
static void xenbus_follow(struct xenbus_device *dev, uint32_t ours)
{
    uint32_t theirs = XenbusStateUnknown;

    if (!know_frontend(dev))
        return;
    xenbus_read(dev->x, dev->frontend, "state", &theirs);
    switch (theirs) {
    case XenbusStateUnknown:
    case XenbusStateInitialising:
        xenbus_begin(dev, ours);
        break;
    case XenbusStateInitialised:
    case XenbusStateConnected:
        xenbus_connect(dev, ours);
        break;
    case XenbusStateClosing:
        if (ours < XenbusStateClosing)
            set_state(dev, XenbusStateClosing);
        break;
    case XenbusStateClosed:
        xenbus_disconnect(dev);
        if (ours != XenbusStateClosed)
            set_state(dev, XenbusStateClosed);
        break;
    }
}

/* ---- devices that come and go ---- */

static struct xenbus_device *xenbus_find(struct xen *x, const struct xenbus_class *cls, unsigned number)
{
    struct xenbus_device *dev = x->xenbus.devices;

    while (dev && (dev->cls != cls || dev->number != number))
        dev = dev->next;
    return dev;
}

static void delete (struct xenbus_device *dev)
{
    struct xenbus_device **at = &dev->x->xenbus.devices;
    char path[XENBUS_PATH + 8];

    xenbus_disconnect(dev);
    if (dev->frontend[0]) {
        frontend_state(dev, path);
        xs_unwatch(dev->x->store, path, FRONTEND_TOKEN);
    }
    while (*at != dev)
        at = &(*at)->next;
    *at = dev->next;
    if (dev->cls->destroy)
        dev->cls->destroy(dev);
    free(dev);
}

/* The directory's device: as libxl leaves it, and not one that failed or is done with. False: *err. */
static bool xenbus_create(struct xen *x, const struct xenbus_class *cls, unsigned number, struct error *err)
{
    struct xenbus_device *dev = calloc(1, cls->size);
    uint32_t state = XenbusStateClosed;

    if (!dev)
        return error_set(err, "out of memory");
    *dev = (struct xenbus_device){.cls = cls, .x = x, .number = number, .touched = true};
    snprintf(dev->base, sizeof(dev->base), "backend/%s/%u/%u", cls->kind, x->domid, number);
    if (!xenbus_read(x, dev->base, "state", &state) || state == XenbusStateClosed ||
        (cls->serves && !cls->serves(dev))) {
        free(dev);
        return true;
    }
    if (cls->create && !cls->create(dev, err)) {
        set_state(dev, XenbusStateClosed);
        free(dev);
        return error_prefix(err, "%s %u", cls->kind, number);
    }
    dev->next = x->xenbus.devices;
    x->xenbus.devices = dev;
    return true;
}

static bool create_all(struct xen *x, const struct xenbus_class *cls, struct error *err)
{
    char path[XENBUS_PATH], **names;
    unsigned count = 0;
    uint32_t number;
    bool ok = true;

    class_path(x, cls, path);
    names = xs_directory(x->store, XBT_NULL, path, &count);
    for (unsigned i = 0; names && i < count && ok; i++)
        if (parse(names[i], &number) && !xenbus_find(x, cls, number))
            ok = xenbus_create(x, cls, number, err);
    free(names);
    return ok;
}

/* Does what is next for every device of which something changed. */
static void follow_touched(struct xen *x)
{
    struct xenbus_device *next;
    uint32_t ours;

    for (struct xenbus_device *dev = x->xenbus.devices; dev; dev = next) {
        next = dev->next;
        if (!dev->touched)
            continue;
        dev->touched = false;
        if (!xenbus_read(x, dev->base, "state", &ours)) {
            delete (dev);
            continue;
        }
        xenbus_follow(dev, ours);
        if (dev->params_touched && dev->cls->params_changed)
            dev->cls->params_changed(dev);
        dev->params_touched = false;
    }
}

/* ---- watches ---- */

/* What is behind backend/KIND/DOMID changed: "", "/NUMBER" or "/NUMBER/KEY". */
static void backend_changed(struct xen *x, const struct xenbus_class *cls, const char *rest)
{
    struct xenbus_device *dev;
    struct error err;
    char *end;
    unsigned long number = strtoul(rest + (rest[0] == '/'), &end, 10);

    dev = rest[0] && number <= UINT32_MAX ? xenbus_find(x, cls, number) : NULL;
    if (!dev) {
        if (!create_all(x, cls, &err))
            log_limited("%s", err.text);
        return;
    }
    if (!*end || !strcmp(end, "/state") || !strcmp(end, "/online") || !strcmp(end, "/frontend"))
        dev->touched = true;
    else if (!strcmp(end, "/params"))
        dev->touched = dev->params_touched = true;
}

static void frontend_changed(struct xen *x, const char *path)
{
    for (struct xenbus_device *dev = x->xenbus.devices; dev; dev = dev->next) {
        char state[XENBUS_PATH + 8];

        frontend_state(dev, state);
        if (!strcmp(path, state))
            dev->touched = true;
    }
}

static void fired(struct xen *x, const char *path, const char *token)
{
    char top[XENBUS_PATH];

    if (!strcmp(token, FRONTEND_TOKEN)) {
        frontend_changed(x, path);
        return;
    }
    for (size_t i = 0; i < CLASSES; i++) {
        class_path(x, classes[i], top);
        if (!strcmp(token, classes[i]->kind) && !strncmp(path, top, strlen(top)))
            backend_changed(x, classes[i], path + strlen(top));
    }
}

static void xenbus_take_watches(void *opaque)
{
    struct xen *x = opaque;
    char **watch = NULL;
    unsigned n = 0;

    while (n < WATCHES_AT_ONCE && (watch = xs_check_watch(x->store))) {
        fired(x, watch[XS_WATCH_PATH], watch[XS_WATCH_TOKEN]);
        free(watch);
        n++;
    }
    if (watch)
        loop_post(&x->m->loop, &x->xenbus.more);
    if (n)
        follow_touched(x);
}

static void xenbus_ready(void *opaque, uint32_t events)
{
    xenbus_take_watches(opaque);
}

/* ---- life ---- */

/* Says that this kind is served, serves what is there, and watches for more. */
static bool xenbus_serve(struct xen *x, const struct xenbus_class *cls, struct error *err)
{
    char path[XENBUS_PATH];

    snprintf(path, sizeof(path), "device-model/%u/backends/%s", x->domid, cls->kind);
    if (!xs_mkdir(x->store, XBT_NULL, path))
        log_line("xenstore: %s cannot be made: %s", path, strerror(errno));
    class_path(x, cls, path);
    if (!xs_watch(x->store, path, cls->kind))
        return error_set(err, "cannot watch xenstore: %s", strerror(errno));
    return create_all(x, cls, err);
}

bool xenbus_start(struct xen *x, struct error *err)
{
    struct xenbus *bus = &x->xenbus;

    bus->watch.fd = -1;
    bus->more = (struct loop_work){.run = xenbus_take_watches, .opaque = x};
    bus->grants = xengnttab_open(NULL, 0);
    for (size_t i = 0; i < CLASSES; i++)
        if (!xenbus_serve(x, classes[i], err))
            return false;
    if (!loop_watch(&x->m->loop, &bus->watch, xs_fileno(x->store), EPOLLIN, xenbus_ready, x))
        return error_set(err, "cannot watch xenstore: %s", strerror(errno));
    follow_touched(x);
    return true;
}

void xenbus_stop(struct xen *x)
{
    struct xenbus *bus = &x->xenbus;

    if (!bus->more.run)
        return;
    while (bus->devices)
        delete (bus->devices);
    loop_cancel(&x->m->loop, &bus->more);
    if (bus->watch.fd >= 0)
        loop_unwatch(&x->m->loop, &bus->watch);
    if (bus->grants)
        xengnttab_close(bus->grants);
    *bus = (struct xenbus){.watch.fd = -1};
}

void xenbus_event(struct xen *x, int port)
{
    for (struct xenbus_device *dev = x->xenbus.devices; dev; dev = dev->next)
        if (dev->connected && dev->cls->event && dev->cls->event(dev, port))
            return;
}

void xenbus_resume(struct xen *x)
{
    for (struct xenbus_device *dev = x->xenbus.devices; dev; dev = dev->next)
        if (dev->connected && dev->cls->resumed)
            dev->cls->resumed(dev);
}
