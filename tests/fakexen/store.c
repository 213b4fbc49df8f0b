/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small xenstore in shared memory. A path that does not begin with / is domain 0's. */
#include "tests/fakexen/fakexen.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HOME "/local/domain/0/"

static void absolute(const char *path, char full[FAKEXEN_TEXT])
{
    snprintf(full, FAKEXEN_TEXT, "%s%s", path[0] == '/' ? "" : HOME, path);
}

static bool at_or_below(const char *path, const char *top)
{
    size_t length = strlen(top);

    return !strncmp(path, top, length) && (path[length] == '\0' || path[length] == '/');
}

static void fire(const struct fakexen_watch *watch, int watch_fd, const char *changed)
{
    char message[2 * FAKEXEN_TEXT];
    const char *path = watch->path[0] == '/' ? changed : changed + strlen(HOME);
    int length = snprintf(message, sizeof(message), "%s%c%s", path, 0, watch->token) + 1;

    if (write(watch_fd, message, length) != length)
        perror("fakexen: watch");
}

static void changed(struct fakexen *fx, int watch_fd, const char *full)
{
    for (unsigned i = 0; i < FAKEXEN_WATCHES; i++) {
        char top[FAKEXEN_TEXT];

        absolute(fx->watch[i].path, top);
        if (fx->watch[i].path[0] && at_or_below(full, top))
            fire(&fx->watch[i], watch_fd, full);
    }
}

static struct fakexen_key *find(struct fakexen *fx, const char *full)
{
    for (unsigned i = 0; i < FAKEXEN_KEYS; i++)
        if (!strcmp(fx->key[i].path, full))
            return &fx->key[i];
    return NULL;
}

void fakexen_store_write(struct fakexen *fx, int watch_fd, const char *path, const char *value)
{
    char full[FAKEXEN_TEXT];
    struct fakexen_key *key;

    absolute(path, full);
    pthread_mutex_lock(&fx->lock);
    key = find(fx, full);
    if (!key)
        key = find(fx, "");
    if (key) {
        snprintf(key->path, sizeof(key->path), "%s", full);
        snprintf(key->value, sizeof(key->value), "%s", value);
        changed(fx, watch_fd, full);
    }
    pthread_mutex_unlock(&fx->lock);
}

bool fakexen_store_read(struct fakexen *fx, const char *path, char value[FAKEXEN_TEXT])
{
    char full[FAKEXEN_TEXT];
    struct fakexen_key *key;

    absolute(path, full);
    pthread_mutex_lock(&fx->lock);
    key = find(fx, full);
    if (key)
        memcpy(value, key->value, FAKEXEN_TEXT);
    pthread_mutex_unlock(&fx->lock);
    return key;
}

static bool listed(char names[][FAKEXEN_TEXT], unsigned count, const char *name)
{
    while (count)
        if (!strcmp(names[--count], name))
            return true;
    return false;
}

unsigned fakexen_store_directory(struct fakexen *fx, const char *path, char names[][FAKEXEN_TEXT])
{
    char full[FAKEXEN_TEXT], name[FAKEXEN_TEXT];
    unsigned count = 0;

    absolute(path, full);
    pthread_mutex_lock(&fx->lock);
    for (unsigned i = 0; i < FAKEXEN_KEYS; i++) {
        const char *key = fx->key[i].path;

        if (!key[0] || !at_or_below(key, full) || !key[strlen(full)])
            continue;
        snprintf(name, sizeof(name), "%s", key + strlen(full) + 1);
        *strchrnul(name, '/') = '\0';
        if (!listed(names, count, name))
            strcpy(names[count++], name);
    }
    pthread_mutex_unlock(&fx->lock);
    return count;
}

void fakexen_store_remove(struct fakexen *fx, int watch_fd, const char *path)
{
    char full[FAKEXEN_TEXT];

    absolute(path, full);
    pthread_mutex_lock(&fx->lock);
    for (unsigned i = 0; i < FAKEXEN_KEYS; i++)
        if (fx->key[i].path[0] && at_or_below(fx->key[i].path, full))
            fx->key[i].path[0] = '\0';
    changed(fx, watch_fd, full);
    pthread_mutex_unlock(&fx->lock);
}

void fakexen_store_watch(struct fakexen *fx, int watch_fd, const char *path, const char *token)
{
    pthread_mutex_lock(&fx->lock);
    for (unsigned i = 0; i < FAKEXEN_WATCHES; i++) {
        struct fakexen_watch *watch = &fx->watch[i];
        char full[FAKEXEN_TEXT];

        if (watch->path[0])
            continue;
        snprintf(watch->path, sizeof(watch->path), "%s", path);
        snprintf(watch->token, sizeof(watch->token), "%s", token);
        absolute(path, full);
        fire(watch, watch_fd, full); /* xenstore fires each watch once when it is set */
        break;
    }
    pthread_mutex_unlock(&fx->lock);
}

void fakexen_store_unwatch(struct fakexen *fx, const char *path, const char *token)
{
    pthread_mutex_lock(&fx->lock);
    for (unsigned i = 0; i < FAKEXEN_WATCHES; i++)
        if (!strcmp(fx->watch[i].path, path) && !strcmp(fx->watch[i].token, token))
            fx->watch[i].path[0] = '\0';
    pthread_mutex_unlock(&fx->lock);
}
