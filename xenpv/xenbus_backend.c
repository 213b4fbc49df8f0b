/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xenpv/xenbus_backend.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/log.h"

enum { WATCHES_AT_ONCE = 32 };

#define FRONTEND_TOKEN "frontend"

/* ---- the store ---- */

char *xenbus_read_text(struct xenpv *pv, const char *dir, const char *key)
{
    char path[2 * XENBUS_PATH];

    snprintf(path, sizeof(path), "%s/%s", dir, key);
    return xs_read(pv->store, XBT_NULL, path, NULL);
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

bool xenbus_read(struct xenpv *pv, const char *dir, const char *key, uint32_t *value)
{
    char *text = xenbus_read_text(pv, dir, key);
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
    if (!xs_write(dev->pv->store, XBT_NULL, path, text, strlen(text)))
        log_limited("xenstore: %s cannot be written: %s", path, strerror(errno));
}

void xenbus_write(struct xenbus_device *dev, const char *key, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    xenbus_write_text(dev, key, text);
}

/* backend/KIND/DOMID */
static void class_path(const struct xenpv *pv, const struct xenbus_class *cls, char path[XENBUS_PATH])
{
    snprintf(path, XENBUS_PATH, "backend/%s/%u", cls->kind, pv->domid);
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
    text = xenbus_read_text(dev->pv, dev->base, "frontend");
    if (text && strlen(text) < sizeof(dev->frontend)) {
        strcpy(dev->frontend, text);
        frontend_state(dev, path);
        xs_watch(dev->pv->store, path, FRONTEND_TOKEN);
    }
    free(text);
    return dev->frontend[0];
}

/* A front end that is not there (any more), or at its beginning: for the first time, or once more. */
static void xenbus_begin(struct xenbus_device *dev, uint32_t ours)
{
    uint32_t online = 0;

    xenbus_disconnect(dev);
    xenbus_read(dev->pv, dev->base, "online", &online);
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
 * Reads both states and does what is next. A front end that closes may have requests under way, so that
 * the connection stays until it says Closed; one whose device libxl takes away is waited for as well.
 */
static void xenbus_follow(struct xenbus_device *dev, uint32_t ours)
{
    uint32_t theirs = XenbusStateUnknown;

    if (!know_frontend(dev))
        return;
    xenbus_read(dev->pv, dev->frontend, "state", &theirs);
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

static struct xenbus_device *xenbus_find(struct xenpv *pv, const struct xenbus_class *cls, unsigned number)
{
    struct xenbus_device *dev = pv->devices;

    while (dev && (dev->cls != cls || dev->number != number))
        dev = dev->next;
    return dev;
}

static void delete (struct xenbus_device *dev)
{
    struct xenbus_device **at = &dev->pv->devices;
    char path[XENBUS_PATH + 8];

    xenbus_disconnect(dev);
    if (dev->frontend[0]) {
        frontend_state(dev, path);
        xs_unwatch(dev->pv->store, path, FRONTEND_TOKEN);
    }
    while (*at != dev)
        at = &(*at)->next;
    *at = dev->next;
    if (dev->cls->destroy)
        dev->cls->destroy(dev);
    free(dev);
}

/* The directory's device: as libxl leaves it, and not one that failed or is done with. False: *err. */
static bool xenbus_create(struct xenpv *pv, const struct xenbus_class *cls, unsigned number,
                          struct error *err)
{
    struct xenbus_device *dev = calloc(1, cls->size);
    uint32_t state = XenbusStateClosed;

    if (!dev)
        return error_set(err, "out of memory");
    *dev = (struct xenbus_device){.cls = cls, .pv = pv, .number = number, .touched = true};
    snprintf(dev->base, sizeof(dev->base), "backend/%s/%u/%u", cls->kind, pv->domid, number);
    if (!xenbus_read(pv, dev->base, "state", &state) || state == XenbusStateClosed ||
        (cls->serves && !cls->serves(dev))) {
        free(dev);
        return true;
    }
    if (cls->create && !cls->create(dev, err)) {
        set_state(dev, XenbusStateClosed);
        free(dev);
        return error_prefix(err, "%s %u", cls->kind, number);
    }
    dev->next = pv->devices;
    pv->devices = dev;
    return true;
}

static bool create_all(struct xenpv *pv, const struct xenbus_class *cls, struct error *err)
{
    char path[XENBUS_PATH], **names;
    unsigned count = 0;
    uint32_t number;
    bool ok = true;

    class_path(pv, cls, path);
    names = xs_directory(pv->store, XBT_NULL, path, &count);
    for (unsigned i = 0; names && i < count && ok; i++)
        if (parse(names[i], &number) && !xenbus_find(pv, cls, number))
            ok = xenbus_create(pv, cls, number, err);
    free(names);
    return ok;
}

/* Does what is next for every device of which something changed. */
static void follow_touched(struct xenpv *pv)
{
    struct xenbus_device *next;
    uint32_t ours;

    for (struct xenbus_device *dev = pv->devices; dev; dev = next) {
        next = dev->next;
        if (!dev->touched)
            continue;
        dev->touched = false;
        if (!xenbus_read(pv, dev->base, "state", &ours)) {
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
static void backend_changed(struct xenpv *pv, const struct xenbus_class *cls, const char *rest)
{
    struct xenbus_device *dev;
    struct error err;
    char *end;
    unsigned long number = strtoul(rest + (rest[0] == '/'), &end, 10);

    dev = rest[0] && number <= UINT32_MAX ? xenbus_find(pv, cls, number) : NULL;
    if (!dev) {
        if (!create_all(pv, cls, &err))
            log_limited("%s", err.text);
        return;
    }
    if (!*end || !strcmp(end, "/state") || !strcmp(end, "/online") || !strcmp(end, "/frontend"))
        dev->touched = true;
    else if (!strcmp(end, "/params"))
        dev->touched = dev->params_touched = true;
}

static void frontend_changed(struct xenpv *pv, const char *path)
{
    for (struct xenbus_device *dev = pv->devices; dev; dev = dev->next) {
        char state[XENBUS_PATH + 8];

        frontend_state(dev, state);
        if (!strcmp(path, state))
            dev->touched = true;
    }
}

static void fired(struct xenpv *pv, const char *path, const char *token)
{
    char top[XENBUS_PATH];

    if (!strcmp(token, FRONTEND_TOKEN)) {
        frontend_changed(pv, path);
        return;
    }
    for (const struct xenbus_class *const *cls = pv->classes; *cls; cls++) {
        class_path(pv, *cls, top);
        if (!strcmp(token, (*cls)->kind) && !strncmp(path, top, strlen(top)))
            backend_changed(pv, *cls, path + strlen(top));
    }
}

static void xenbus_take_watches(void *opaque)
{
    struct xenpv *pv = opaque;
    char **watch = NULL;
    unsigned n = 0;

    while (n < WATCHES_AT_ONCE && (watch = xs_check_watch(pv->store))) {
        fired(pv, watch[XS_WATCH_PATH], watch[XS_WATCH_TOKEN]);
        free(watch);
        n++;
    }
    if (watch)
        loop_post(&pv->m->loop, &pv->more);
    if (n)
        follow_touched(pv);
}

static void xenbus_ready(void *opaque, uint32_t events)
{
    xenbus_take_watches(opaque);
}

/* ---- life ---- */

/* Says that this kind is served, serves what is there, and watches for more. */
static bool xenbus_serve(struct xenpv *pv, const struct xenbus_class *cls, struct error *err)
{
    char path[XENBUS_PATH];

    snprintf(path, sizeof(path), "device-model/%u/backends/%s", pv->domid, cls->kind);
    if (!xs_mkdir(pv->store, XBT_NULL, path))
        log_line("xenstore: %s cannot be made: %s", path, strerror(errno));
    class_path(pv, cls, path);
    if (!xs_watch(pv->store, path, cls->kind))
        return error_set(err, "cannot watch xenstore: %s", strerror(errno));
    return create_all(pv, cls, err);
}

bool xenbus_start(struct xenpv *pv, const struct xenbus_class *const classes[], struct error *err)
{
    pv->classes = classes;
    pv->watch.fd = -1;
    pv->more = (struct loop_work){.run = xenbus_take_watches, .opaque = pv};
    pv->grants = xengnttab_open(NULL, 0);
    for (const struct xenbus_class *const *cls = classes; *cls; cls++)
        if (!xenbus_serve(pv, *cls, err))
            return false;
    if (!loop_watch(&pv->m->loop, &pv->watch, xs_fileno(pv->store), EPOLLIN, xenbus_ready, pv))
        return error_set(err, "cannot watch xenstore: %s", strerror(errno));
    follow_touched(pv);
    return true;
}

void xenbus_stop(struct xenpv *pv)
{
    if (!pv->more.run)
        return;
    while (pv->devices)
        delete (pv->devices);
    loop_cancel(&pv->m->loop, &pv->more);
    if (pv->watch.fd >= 0)
        loop_unwatch(&pv->m->loop, &pv->watch);
    if (pv->grants)
        xengnttab_close(pv->grants);
    pv->grants = NULL;
    pv->more.run = NULL;
}

void xenbus_event(struct xenpv *pv, int port)
{
    for (struct xenbus_device *dev = pv->devices; dev; dev = dev->next)
        if (dev->connected && dev->cls->event && dev->cls->event(dev, port))
            return;
}

void xenbus_resume(struct xenpv *pv)
{
    for (struct xenbus_device *dev = pv->devices; dev; dev = dev->next)
        if (dev->connected && dev->cls->resumed)
            dev->cls->resumed(dev);
}
