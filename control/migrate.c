/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What travels: guest memory where the hypervisor leaves it to us (machine/memory_image.h), then the state of
 * the machine (machine/save.h), with a mark in front that says which. One round, with the guest stopped.
 */
#include "control/migrate.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "block/block.h"
#include "control/fdset.h"
#include "control/qmp.h"
#include "machine/memory_image.h"
#include "machine/save.h"

enum { MARK_SIZE = 8, STATE_MAX = 256 << 20 };

static const char mark_memory[MARK_SIZE] = "hvmdm-m"; /* memory, then the state */

/* ---- places ---- */

static const char *uri_rest(const char *uri, const char *scheme)
{
    size_t length = strlen(scheme);

    return !strncmp(uri, scheme, length) && uri[length] ? uri + length : NULL;
}

/* The forms of -incoming and of migrate's uri. */
static bool migrate_uri_valid(const char *uri, bool incoming, struct error *err)
{
    static const char *const schemes[] = {"fd:", "file:", "unix:", "tcp:"};

    if (incoming && !strcmp(uri, "defer"))
        return true;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (uri_rest(uri, schemes[i]))
            return true;
    if (!strncmp(uri, "exec:", 5))
        return error_set(err, "'%.100s': programs are not run for it; use fd:, file:, unix: or tcp:", uri);
    return error_set(err, "'%.100s' is none of fd:N, file:PATH, unix:PATH, tcp:HOST:PORT%s", uri,
                     incoming ? " or defer" : "");
}

static int open_unix(const char *path, bool listening, struct error *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof(addr.sun_path)) {
        error_set(err, "the path is too long for a socket");
        return -1;
    }
    strcpy(addr.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listening)
        unlink(path);
    if (fd >= 0 && (listening ? bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(fd, 1) == 0
                              : connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0))
        return fd;
    error_set(err, "%s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* HOST:PORT, [HOST]:PORT or :PORT. */
static bool split_host(const char *text, char *host, size_t room, const char **port)
{
    const char *colon = strrchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) : 0;

    if (!colon || !colon[1] || length >= room)
        return false;
    if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
        text++;
        length -= 2;
    }
    memcpy(host, text, length);
    host[length] = 0;
    *port = colon + 1;
    return true;
}

static int try_address(const struct addrinfo *ai, bool listening)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (listening ? bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, 1) == 0
                  : connect(fd, ai->ai_addr, ai->ai_addrlen) == 0)
        return fd;
    close(fd);
    return -1;
}

static int open_tcp(const char *text, bool listening, struct error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = listening ? AI_PASSIVE : 0}, *list;
    char host[256];
    const char *port;
    int fd = -1, rc;

    if (!split_host(text, host, sizeof(host), &port)) {
        error_set(err, "it is not of the form tcp:HOST:PORT");
        return -1;
    }
    rc = getaddrinfo(host[0] ? host : NULL, port, &hints, &list);
    if (rc) {
        error_set(err, "%s", gai_strerror(rc));
        return -1;
    }
    for (struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next)
        fd = try_address(ai, listening);
    freeaddrinfo(list);
    if (fd < 0)
        error_set(err, "%s", strerror(errno));
    return fd;
}

/* A descriptor by number that the process was started with. */
static int open_number(const char *text, struct error *err)
{
    char *end;
    long number = strtol(text, &end, 10);
    int fd = *end || number < 0 || number > INT32_MAX ? -1 : fcntl(number, F_DUPFD_CLOEXEC, 3);

    if (fd < 0)
        error_set(err, "there is no such descriptor");
    return fd;
}

static int open_path(const struct control *c, const char *path, bool write, struct error *err)
{
    int number = fdset_number(path), fd;

    if (number >= 0)
        fd = fcntl(fdset_find(c, number, !write), F_DUPFD_CLOEXEC, 3);
    else
        fd = open(path, (write ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY) | O_CLOEXEC, 0600);
    if (fd < 0)
        error_set(err, "%s", number >= 0 ? "there is no such set" : strerror(errno));
    return fd;
}

/* Where a state goes to. -1 with *err. */
static int open_outgoing(const struct control *c, const char *uri, struct error *err)
{
    const char *rest;

    if ((rest = uri_rest(uri, "fd:")))
        return open_number(rest, err);
    if ((rest = uri_rest(uri, "file:")))
        return open_path(c, rest, true, err);
    if ((rest = uri_rest(uri, "unix:")))
        return open_unix(rest, false, err);
    return open_tcp(uri + 4, false, err);
}

static bool apply_incoming(struct options *o, const char *option, const char *arg, struct error *err)
{
    o->incoming = arg;
    o->config.incoming = true;
    return migrate_uri_valid(arg, true, err) || error_prefix(err, "-incoming");
}

const struct option migrate_option_rows[] = {
    FUNCTION(
        "incoming", "URI", apply_incoming,
        "take the state of another process's guest: fd:N, file:PATH, unix:PATH, tcp:HOST:PORT, or defer"),
    OPTIONS_END,
};

/* ---- sending ---- */

static void flush_disks(struct control *c)
{
    for (struct block *block = c->backends.blocks; block; block = block_next(block))
        block_drain(block);
}

static bool write_state(struct control *c, FILE *out, struct error *err)
{
    struct state_writer w = {.data = NULL};
    bool ok = machine_save(&c->m, &w, err);

    if (ok && fwrite(w.data, 1, w.size, out) != w.size)
        ok = error_set(err, "the state cannot be written: %s", strerror(errno));
    state_writer_free(&w);
    return ok;
}

static bool write_all(struct control *c, FILE *out, bool memory, struct error *err)
{
    machine_settle(&c->m); /* an access that a processor waits in may begin a disk's request */
    flush_disks(c);
    machine_settle(&c->m); /* the last that writes memory */
    if (memory && memory_image_needed(&c->m)) {
        fwrite(mark_memory, 1, MARK_SIZE, out);
        if (!memory_image_write(&c->m, out, err))
            return false;
    }
    return write_state(c, out, err);
}

/* Closes fd. */
static bool send_to(struct control *c, int fd, bool memory, struct error *err)
{
    FILE *out = fdopen(fd, "wb");
    bool ok;

    if (!out) {
        close(fd);
        return error_set(err, "out of memory");
    }
    ok = write_all(c, out, memory, err);
    if (fclose(out) != 0 && ok)
        ok = error_set(err, "the state cannot be written: %s", strerror(errno));
    return ok;
}

/* ---- taking in ---- */

/* The rest of the stream, of bounded size. Caller frees; NULL with *err. */
static uint8_t *read_rest(FILE *in, const char *begin, size_t *size, struct error *err)
{
    size_t room = 1 << 20;
    uint8_t *data = malloc(room), *more;

    if (data)
        memcpy(data, begin, MARK_SIZE);
    *size = MARK_SIZE;
    while (data) {
        *size += fread(data + *size, 1, room - *size, in);
        if (*size < room)
            return data;
        if (room >= STATE_MAX) {
            free(data);
            error_set(err, "it is longer than %d MiB", STATE_MAX >> 20);
            return NULL;
        }
        more = realloc(data, room *= 2);
        if (!more)
            free(data);
        data = more;
    }
    error_set(err, "out of memory");
    return NULL;
}

static bool read_mark(FILE *in, char *mark, struct error *err)
{
    return fread(mark, 1, MARK_SIZE, in) == MARK_SIZE || error_set(err, "it ends before it began");
}

static bool read_all(struct control *c, FILE *in, struct error *err)
{
    char mark[MARK_SIZE];
    uint8_t *data;
    size_t size;
    bool ok;

    if (!read_mark(in, mark, err))
        return false;
    if (!memcmp(mark, mark_memory, MARK_SIZE)) {
        if (!memory_image_needed(&c->m))
            return error_set(err, "it has memory in it, and here the hypervisor carries that");
        if (!memory_image_read(&c->m, in, err) || !read_mark(in, mark, err))
            return false;
    }
    data = read_rest(in, mark, &size, err);
    if (!data)
        return false;
    ok = machine_load(&c->m, data, size, err);
    free(data);
    return ok;
}

/* Closes fd. */
static bool take_from(struct control *c, int fd, struct error *err)
{
    FILE *in = fdopen(fd, "rb");
    bool ok;

    if (!in) {
        close(fd);
        return error_set(err, "out of memory");
    }
    ok = read_all(c, in, err);
    fclose(in);
    return ok;
}

bool migrate_go_on(struct control *c, struct error *err)
{
    if (c->m.state == RUN_INMIGRATE)
        c->options.start_paused = false; /* when it has come */
    else if (!node_graph_arrive(&c->nodes, err))
        return false;
    machine_run(&c->m);
    return true;
}

static bool go_on(struct control *c, struct error *err)
{
    return c->options.start_paused || migrate_go_on(c, err);
}

/* A connection, or what it brought. */
static void incoming_ready(void *opaque, uint32_t events)
{
    struct control *c = opaque;
    struct error err = {.text = ""};
    int listener = c->incoming.fd, fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0)
        return;
    loop_unwatch(&c->m.loop, &c->incoming);
    close(listener);
    c->incoming_listens = false;
    if (!take_from(c, fd, &err) || !go_on(c, &err)) {
        log_line("-incoming %s: %s", c->incoming_uri, err.text);
        c->m.exit_status = 1;
        loop_quit(&c->m.loop);
    }
}

static bool listen_for(struct control *c, int fd, struct error *err)
{
    if (fd < 0)
        return false;
    if (!loop_watch(&c->m.loop, &c->incoming, fd, EPOLLIN, incoming_ready, c)) {
        close(fd);
        return error_set(err, "%s", strerror(errno));
    }
    c->incoming_listens = true;
    return true;
}

static bool take_in(struct control *c, const char *uri, struct error *err)
{
    const char *rest;
    int fd;

    if ((rest = uri_rest(uri, "unix:")))
        return listen_for(c, open_unix(rest, true, err), err);
    if ((rest = uri_rest(uri, "tcp:")))
        return listen_for(c, open_tcp(rest, true, err), err);
    fd = (rest = uri_rest(uri, "fd:")) ? open_number(rest, err) : open_path(c, uri + 5, false, err);
    return fd >= 0 && take_from(c, fd, err);
}

bool migrate_incoming(struct control *c, const char *uri, struct error *err)
{
    c->m.state = RUN_INMIGRATE;
    c->incoming_uri = uri;
    return !strcmp(uri, "defer") || take_in(c, uri, err) || error_prefix(err, "-incoming %s", uri);
}

/* ---- QMP ---- */

/* The guest stops for it, and stays stopped: its state is another's now. */
static bool qmp_migrate(struct qmp_call *call)
{
    struct control *c = call->c;
    bool ran = c->m.state == RUN_RUNNING;
    const char *uri = qmp_text(call, "uri");
    int fd;

    if (c->m.state == RUN_INMIGRATE)
        return qmp_fail(call, "Guest is waiting for an incoming migration");
    if (!migrate_uri_valid(uri, false, &call->err))
        return false;
    if ((fd = open_outgoing(c, uri, &call->err)) < 0)
        return error_prefix(&call->err, "%.200s", uri);
    machine_pause(&c->m);
    if (send_to(c, fd, true, &call->err)) {
        if (c->m.state == RUN_PAUSED || c->m.state == RUN_PRELAUNCH)
            c->m.state = RUN_POSTMIGRATE;
        c->migrated = true;
        node_graph_leave(&c->nodes);
        return true;
    }
    if (ran)
        machine_run(&c->m);
    return false;
}

static bool qmp_migrate_incoming(struct qmp_call *call)
{
    struct control *c = call->c;
    const char *uri = qmp_text(call, "uri");

    if (c->m.state != RUN_INMIGRATE || strcmp(c->incoming_uri, "defer"))
        return qmp_fail(call, "'-incoming defer' was not given, or the migration has begun");
    if (!migrate_uri_valid(uri, false, &call->err))
        return false;
    free(c->incoming_text);
    c->incoming_text = strdup(uri);
    if (!c->incoming_text || !migrate_incoming(c, c->incoming_text, &call->err)) {
        c->incoming_uri = "defer";
        return false;
    }
    return c->incoming_listens || go_on(c, &call->err);
}

static bool query_migrate(struct qmp_call *call)
{
    call->result = call->c->migrated ? json_pack("{s:s}", "status", "completed") : json_object();
    return true;
}

/* For a hypervisor that carries the memory; the guest is stopped by who asks. live: it goes to another
 * process, which may have begun to open the same images. */
static bool xen_save_devices_state(struct qmp_call *call)
{
    struct control *c = call->c;
    const char *filename = qmp_text(call, "filename");
    int fd = open_path(c, filename, true, &call->err);

    if (fd < 0 || !send_to(c, fd, false, &call->err))
        return error_prefix(&call->err, "%.200s", filename);
    if (qmp_truth(call, "live", true))
        node_graph_leave(&c->nodes);
    return true;
}

static bool xen_load_devices_state(struct qmp_call *call)
{
    struct control *c = call->c;
    const char *filename = qmp_text(call, "filename");
    int fd;

    if (c->m.state == RUN_RUNNING)
        return qmp_fail(call, "Cannot load a state while the guest runs");
    fd = open_path(c, filename, false, &call->err);
    return (fd >= 0 && take_from(c, fd, &call->err)) || error_prefix(&call->err, "%.200s", filename);
}

static bool xen_set_global_dirty_log(struct qmp_call *call)
{
    struct machine *m = &call->c->m;
    bool on = qmp_truth(call, "enable", false);

    if (m->accel->log_writes)
        m->accel->log_writes(m, on);
    return m->accel->log_writes || !on || qmp_fail(call, "This accelerator carries the memory itself");
}

static const struct qmp_command qmp_migrate_commands[] = {
    {"migrate", "uri:s detach:b? blk:b? inc:b?", qmp_migrate},
    {"migrate-incoming", "uri:s", qmp_migrate_incoming},
    {"query-migrate", NULL, query_migrate},
    {"xen-save-devices-state", "filename:s live:b?", xen_save_devices_state},
    {"xen-load-devices-state", "filename:s", xen_load_devices_state},
    {"xen-set-global-dirty-log", "enable:b", xen_set_global_dirty_log},
    {NULL, NULL, NULL},
};
QMP_COMMANDS(qmp_migrate_commands, NULL)
