/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "char/chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/util.h"
#include "char/kind.h"

enum {
    ESCAPE = 1,              /* Ctrl-A */
    TERMINAL_CHUNK = 256,    /* bytes that a terminal takes without making the writer wait */
    SOCKET_MAX = 1 << 20,    /* bytes queued for a client that does not read; what is more is dropped */
    TERMINAL_MAX = 64 << 10, /* bytes queued for a terminal that nobody reads; the oldest are dropped */
    INPUT_CHUNK = 4096,      /* bytes read at once */
};

static void line_ready(void *opaque, uint32_t events);
static void output_ready(void *opaque, uint32_t events);

/* ---- what is watched ---- */

static struct chardev_user *typed_to(struct chardev *chr)
{
    return chr->user_count ? &chr->users[chr->focus] : NULL;
}

static size_t chardev_space(struct chardev *chr)
{
    const struct chardev_user *user = typed_to(chr);
    size_t n = user ? user->space(user->opaque) : 0;

    return min_u64(n, INPUT_CHUNK);
}

/* Standard output is another descriptor than standard input. */
static void update_output_watch(struct chardev *chr)
{
    if (!chr->out_length)
        loop_unwatch(chr->loop, &chr->out_watch);
    else if (chr->out_watch.fd < 0 &&
             !loop_watch(chr->loop, &chr->out_watch, chr->write_fd, EPOLLOUT, output_ready, chr))
        chr->out_length = 0;
}

/* A line that nobody reads from and nothing waits for is not watched at all: a hang-up would be told for
 * ever. */
void chardev_update_watch(struct chardev *chr)
{
    uint32_t want = 0;

    if (chr->fd < 0)
        return;
    if (!chr->input_ended && chardev_space(chr))
        want |= EPOLLIN;
    if (chr->write_fd != chr->fd)
        update_output_watch(chr);
    else if (chr->out_length)
        want |= EPOLLOUT;
    if (want == chr->watched)
        return;
    chr->watched = want;
    if (!want) {
        loop_unwatch(chr->loop, &chr->watch);
    } else if (chr->watch.fd >= 0) {
        loop_rewatch(chr->loop, &chr->watch, want);
    } else if (!loop_watch(chr->loop, &chr->watch, chr->fd, want, line_ready, chr)) {
        chr->input_ended = true; /* a regular file or /dev/null as standard input: nothing comes from it */
        chr->watched = 0;
    }
}

/* The one in focus; with mux the other one is told when the focus comes to it. */
static void tell_opened(struct chardev *chr)
{
    const struct chardev_user *user = typed_to(chr);

    if (user && user->opened)
        user->opened(user->opaque);
}

static void drop_fds(struct chardev *chr)
{
    while (chr->fd_count)
        close(chr->fds[--chr->fd_count]);
}

static void chardev_close_line(struct chardev *chr)
{
    loop_unwatch(chr->loop, &chr->out_watch);
    loop_unwatch(chr->loop, &chr->watch);
    chr->watched = 0;
    if (chr->fd > STDERR_FILENO)
        close(chr->fd);
    chr->fd = chr->write_fd = -1;
    chr->out_length = 0;
    drop_fds(chr);
}

static void chardev_hang_up(struct chardev *chr)
{
    if (chr->fd < 0)
        return;
    if (!chr->kind->connects) { /* a terminal or a file: no more input, and no new line either */
        chr->input_ended = true;
        chardev_update_watch(chr);
        return;
    }
    chardev_close_line(chr);
    if (chr->kind->hung_up)
        chr->kind->hung_up(chr);
    for (unsigned i = 0; i < chr->user_count; i++)
        if (chr->users[i].closed)
            chr->users[i].closed(chr->users[i].opaque);
}

/* ---- output ---- */

/* Standard output belongs to others too and is left as it is, blocking: only what it surely takes is written.
 */
static ssize_t write_some(struct chardev *chr, const uint8_t *data, size_t length)
{
    struct pollfd out = {.fd = chr->write_fd, .events = POLLOUT};

    if (chr->write_fd == chr->fd)
        return write(chr->write_fd, data, length);
    if (poll(&out, 1, 0) != 1) {
        errno = EAGAIN;
        return -1;
    }
    return write(chr->write_fd, data, min_u64(length, TERMINAL_CHUNK));
}

/* Writes what the other side takes now. */
static void chardev_flush(struct chardev *chr)
{
    size_t done = 0;

    while (done < chr->out_length) {
        ssize_t n = write_some(chr, chr->out + done, chr->out_length - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n < 0 && errno != EAGAIN)
                done = chr->out_length; /* nobody will read it */
            break;
        }
        done += n;
    }
    memmove(chr->out, chr->out + done, chr->out_length - done);
    chr->out_length -= done;
}

/* Grows the queue to hold length bytes. */
static bool reserve_output(struct chardev *chr, size_t length)
{
    size_t size = chr->out_room ? chr->out_room : 1024;
    uint8_t *out;

    while (size < length)
        size *= 2;
    if (size == chr->out_room)
        return true;
    out = realloc(chr->out, size);
    if (!out)
        return false;
    chr->out = out;
    chr->out_room = size;
    return true;
}

/*
 * Makes space in a full queue. A client of a socket gets each write whole or not at all (it may be a
 * message); of a terminal that nobody looks at the newest output is worth most.
 */
static bool make_room(struct chardev *chr, size_t length)
{
    size_t drop;

    if (chr->kind->connects)
        return chr->out_length + length <= SOCKET_MAX;
    if (chr->out_length + length <= TERMINAL_MAX)
        return true;
    drop = chr->out_length / 2;
    memmove(chr->out, chr->out + drop, chr->out_length - drop);
    chr->out_length -= drop;
    return length <= TERMINAL_MAX / 2;
}

void chardev_write(struct chardev *chr, const uint8_t *data, size_t length)
{
    if (chr->write_fd < 0 || !length || !make_room(chr, length) ||
        !reserve_output(chr, chr->out_length + length))
        return;
    memcpy(chr->out + chr->out_length, data, length);
    chr->out_length += length;
    work_add(&chr->loop->work, WORK_CALL);
    chardev_flush(chr);
    chardev_update_watch(chr);
}

size_t chardev_pending(const struct chardev *chr)
{
    return chr->out_length;
}

/* ---- input ---- */

static void output_ready(void *opaque, uint32_t events)
{
    struct chardev *chr = opaque;

    chardev_flush(chr);
    chardev_update_watch(chr);
}

/* The byte after Ctrl-A. */
static void escape(struct chardev *chr, uint8_t byte)
{
    struct chardev_user *user = typed_to(chr);

    chr->escaped = false;
    if (byte == ESCAPE)
        user->receive(user->opaque, &byte, 1);
    if (byte == 'c') {
        chr->focus = (chr->focus + 1) % chr->user_count;
        tell_opened(chr);
    }
    for (unsigned i = 0; byte == 'x' && i < chr->user_count; i++)
        if (chr->users[i].leave)
            chr->users[i].leave(chr->users[i].opaque);
}

static void chardev_deliver(struct chardev *chr, const uint8_t *data, size_t length)
{
    struct chardev_user *user = typed_to(chr);

    if (!chr->mux) {
        user->receive(user->opaque, data, length);
        return;
    }
    for (size_t i = 0; i < length; i++) {
        user = typed_to(chr);
        if (chr->escaped)
            escape(chr, data[i]);
        else if (data[i] == ESCAPE)
            chr->escaped = true;
        else if (user->space(user->opaque))
            user->receive(user->opaque, data + i, 1);
    }
}

static void line_ready(void *opaque, uint32_t events)
{
    struct chardev *chr = opaque;
    uint8_t data[INPUT_CHUNK];
    size_t want;
    ssize_t n;

    if (events & (EPOLLOUT | EPOLLERR))
        chardev_flush(chr);
    want = chr->input_ended ? 0 : chardev_space(chr);
    if (want && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        n = chr->kind->read ? chr->kind->read(chr, data, want) : read(chr->fd, data, want);
        if (n > 0) {
            chardev_deliver(chr, data, n);
            explicit_bzero(data, n); /* it may have been a password for a monitor */
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            chardev_hang_up(chr);
        }
    }
    chardev_update_watch(chr);
}

void chardev_accept_input(struct chardev *chr)
{
    chardev_update_watch(chr);
}

int chardev_take_fd(struct chardev *chr)
{
    int fd;

    if (!chr->fd_count)
        return -1;
    fd = chr->fds[0];
    memmove(chr->fds, chr->fds + 1, --chr->fd_count * sizeof(chr->fds[0]));
    return fd;
}

/* ---- making and finding ---- */

void chardev_open_line(struct chardev *chr, int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    chr->fd = chr->write_fd = fd;
    chr->input_ended = false;
    tell_opened(chr);
    chardev_update_watch(chr);
}

void chardev_close(struct chardev *chr)
{
    if (chr->write_fd >= 0 && chr->out_length)
        chardev_flush(chr);
    chr->user_count = 0;
    chardev_close_line(chr);
    if (chr->kind->close)
        chr->kind->close(chr);
    free(chr->out);
    free(chr->name);
    free(chr->id);
    free(chr);
}

const char *chardev_id(const struct chardev *chr)
{
    return chr->id;
}

bool chardev_connected(const struct chardev *chr)
{
    return !chr->kind->connects || chr->fd >= 0;
}

const char *chardev_filename(struct chardev *chr, char *text, size_t size)
{
    snprintf(text, size, "%s%s", chardev_connected(chr) ? "" : "disconnected:", chr->name);
    return text;
}

bool chardev_set_user(struct chardev *chr, const struct chardev_user *user)
{
    if (user && !chardev_free(chr))
        return false;
    if (user) {
        chr->users[chr->user_count++] = *user;
        if (chardev_connected(chr) && chr->user_count == 1)
            tell_opened(chr);
    } else if (chr->user_count) {
        chr->user_count--;
        chr->focus = 0;
    }
    chardev_update_watch(chr);
    return true;
}

bool chardev_in_use(const struct chardev *chr)
{
    return chr->user_count != 0;
}

bool chardev_free(const struct chardev *chr)
{
    return chr->user_count < (chr->mux ? 2 : 1);
}

void chardev_disconnect(struct chardev *chr)
{
    if (chr->kind->connects)
        chardev_hang_up(chr);
}

struct chardev *chardev_find(struct chardev *first, const char *id)
{
    while (first && strcmp(first->id, id))
        first = first->next;
    return first;
}

struct chardev *chardev_next(const struct chardev *chr)
{
    return chr->next;
}

void chardev_link(struct chardev **first, struct chardev *chr)
{
    while (*first)
        first = &(*first)->next;
    *first = chr;
}
