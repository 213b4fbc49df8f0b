/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vnc/browser.h"

#include <dlfcn.h>
#include <errno.h>
#include <libwebsockets.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "vnc/viewer.h"

enum {
    MAX_DESCRIPTORS = 256, /* of the thread: two a viewer, one a page that is loaded */
    MAX_ARRIVING = 64,     /* accepted and not taken by the thread yet */
    IN_SIZE = 4096,
    OUT_SIZE = 16384,
};

/* What is called of the library. */
#define LWS_CALLS(C)                                                                                         \
    C(lws_create_context)                                                                                    \
    C(lws_context_destroy)                                                                                   \
    C(lws_service)                                                                                           \
    C(lws_cancel_service)                                                                                    \
    C(lws_get_vhost_by_name)                                                                                 \
    C(lws_get_context)                                                                                       \
    C(lws_context_user)                                                                                      \
    C(lws_adopt_socket_vhost)                                                                                \
    C(lws_adopt_descriptor_vhost)                                                                            \
    C(lws_get_parent)                                                                                        \
    C(lws_get_vhost)                                                                                         \
    C(lws_wsi_user)                                                                                          \
    C(lws_get_socket_fd)                                                                                     \
    C(lws_hdr_copy)                                                                                          \
    C(lws_write)                                                                                             \
    C(lws_callback_on_writable)                                                                              \
    C(lws_rx_flow_control)                                                                                   \
    C(lws_set_timeout)                                                                                       \
    C(lws_http_redirect)                                                                                     \
    C(lws_http_transaction_completed)                                                                        \
    C(lws_return_http_status)                                                                                \
    C(lws_serve_http_file)                                                                                   \
    C(lws_callback_http_dummy)                                                                               \
    C(lws_set_log_level)

#define LWS_MEMBER(name) __typeof__(name) *name;
static struct {
    LWS_CALLS(LWS_MEMBER)
} lws;

struct browser {
    struct vnc *vnc;
    struct lws_context *context;
    char *page;
    pthread_t thread;
    pthread_mutex_t lock;
    int arriving[MAX_ARRIVING]; /* lock */
    unsigned arriving_count;
    bool quit; /* lock */
};

/* One WebSocket: libwebsockets' zeroed memory. */
struct web_viewer {
    struct lws *socket, *plain; /* the WebSocket, and our end of the pair, which libwebsockets watches too */
    int fd;                     /* of plain */
    uint8_t in[IN_SIZE];
    size_t in_first, in_end;
    uint8_t out[LWS_PRE + OUT_SIZE];
    size_t out_count;
};

static bool library_load(struct error *err)
{
    static const struct {
        const char *name;
        void **call;
    } calls[] = {
#define LWS_ENTRY(name) {#name, (void **)&lws.name},
        LWS_CALLS(LWS_ENTRY)};
    void *handle = dlopen("libwebsockets.so.17", RTLD_NOW | RTLD_LOCAL);

    for (size_t i = 0; handle && i < COUNT(calls); i++) {
        *calls[i].call = dlsym(handle, calls[i].name);
        if (!*calls[i].call)
            handle = NULL;
    }
    return handle || error_set(err, "websocket=: %s (Debian package libwebsockets17)", dlerror());
}

/* ---- bytes ---- */

/* What came by the WebSocket goes to the viewer's thread; while that is behind, no more is read. */
static bool web_flush_in(struct web_viewer *w)
{
    while (w->in_first < w->in_end) {
        ssize_t n = send(w->fd, w->in + w->in_first, w->in_end - w->in_first, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return false;
        if (n < 0) {
            lws.lws_rx_flow_control(w->socket, 0);
            lws.lws_callback_on_writable(w->plain);
            return true;
        }
        w->in_first += n;
    }
    w->in_first = w->in_end = 0;
    lws.lws_rx_flow_control(w->socket, 1);
    return true;
}

static bool web_receive(struct web_viewer *w, const void *bytes, size_t length)
{
    if (!w->plain || length > sizeof(w->in) - w->in_end)
        return false;
    memcpy(w->in + w->in_end, bytes, length);
    w->in_end += length;
    return web_flush_in(w);
}

static bool web_send(struct web_viewer *w)
{
    if (!w->out_count)
        return true;
    if (lws.lws_write(w->socket, w->out + LWS_PRE, w->out_count, LWS_WRITE_BINARY) < (int)w->out_count)
        return false;
    w->out_count = 0;
    if (w->plain)
        lws.lws_rx_flow_control(w->plain, 1);
    return true;
}

/* The viewer's thread said something, or hung up. */
static bool plain_readable(struct web_viewer *w)
{
    ssize_t n;

    if (w->out_count)
        return true;
    n = recv(w->fd, w->out + LWS_PRE, OUT_SIZE, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0) {
        lws.lws_set_timeout(w->socket, 1, LWS_TO_KILL_ASYNC);
        return false;
    }
    w->out_count = n;
    lws.lws_rx_flow_control(w->plain, 0);
    lws.lws_callback_on_writable(w->socket);
    return true;
}

/* ---- connections ---- */

/*
 * Where no password is asked, a page of another site must not reach the console through somebody's browser:
 * it has to come from here. What is no browser says no origin.
 */
static bool origin_is_good(struct browser *b, struct lws *wsi)
{
    char origin[256], host[256];
    const char *from;

    if (b->vnc->need_password || lws.lws_hdr_copy(wsi, origin, sizeof(origin), WSI_TOKEN_ORIGIN) <= 0)
        return true;
    from = strstr(origin, "://");
    return from && lws.lws_hdr_copy(wsi, host, sizeof(host), WSI_TOKEN_HOST) > 0 && !strcmp(from + 3, host);
}

static bool web_begin(struct browser *b, struct lws *wsi, struct web_viewer *w)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNIX};
    socklen_t length = sizeof(peer);
    lws_sock_file_fd_type fd;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return false;
    getpeername(lws.lws_get_socket_fd(wsi), (struct sockaddr *)&peer, &length);
    w->socket = wsi;
    w->fd = fd.filefd = pair[1];
    w->plain =
        lws.lws_adopt_descriptor_vhost(lws.lws_get_vhost(wsi), LWS_ADOPT_RAW_FILE_DESC, fd, "plain", wsi);
    if (!w->plain) {
        close(pair[0]);
        return false;
    }
    vnc_arrive(b->vnc, pair[0], &peer, length);
    return true;
}

/* ---- pages ---- */

static const char *mime_type(const char *path)
{
    static const char *const types[][2] = {{".html", "text/html; charset=utf-8"},
                                           {".js", "text/javascript"},
                                           {".css", "text/css"},
                                           {".svg", "image/svg+xml"},
                                           {".png", "image/png"},
                                           {".ico", "image/x-icon"},
                                           {".json", "application/json"},
                                           {".woff", "font/woff"},
                                           {".ttf", "font/ttf"},
                                           {".oga", "audio/ogg"},
                                           {".mp3", "audio/mpeg"}};
    const char *dot = strrchr(path, '.');

    for (size_t i = 0; dot && i < COUNT(types); i++)
        if (!strcmp(dot, types[i][0]))
            return types[i][1];
    return "text/plain";
}

static int page_done(struct lws *wsi)
{
    return lws.lws_http_transaction_completed(wsi) ? -1 : 0;
}

/* The page that connects by itself. */
static int redirect(struct lws *wsi)
{
    static const char where[] = "/vnc.html?autoconnect=true&resize=scale&show_dot=true";
    uint8_t headers[LWS_PRE + 512], *p = headers + LWS_PRE;

    if (lws.lws_http_redirect(wsi, HTTP_STATUS_FOUND, (const unsigned char *)where, strlen(where), &p,
                              headers + sizeof(headers)) < 0)
        return -1;
    return page_done(wsi);
}

static int serve_page(struct browser *b, struct lws *wsi, const char *uri)
{
    char path[1024];
    int n;

    snprintf(path, sizeof(path), "%s/vnc.html", b->page);
    if (access(path, R_OK) != 0) {
        lws.lws_return_http_status(wsi, HTTP_STATUS_NOT_FOUND,
                                   "noVNC is not installed here (Debian package novnc); novnc-path= says "
                                   "where it is. WebSocket viewers can connect.");
        return page_done(wsi);
    }
    if (!strcmp(uri, "/"))
        return redirect(wsi);
    if (strstr(uri, "..") || snprintf(path, sizeof(path), "%s%s", b->page, uri) >= (int)sizeof(path) ||
        access(path, R_OK) != 0) {
        lws.lws_return_http_status(wsi, HTTP_STATUS_NOT_FOUND, NULL);
        return page_done(wsi);
    }
    n = lws.lws_serve_http_file(wsi, path, mime_type(path), NULL, 0);
    return n < 0 ? -1 : n > 0 ? page_done(wsi) : 0;
}

/* ---- the thread ---- */

static void adopt_arriving(struct browser *b)
{
    int fds[MAX_ARRIVING];
    unsigned count;

    pthread_mutex_lock(&b->lock);
    count = b->arriving_count;
    memcpy(fds, b->arriving, count * sizeof(fds[0]));
    b->arriving_count = 0;
    pthread_mutex_unlock(&b->lock);
    for (unsigned i = 0; i < count; i++)
        lws.lws_adopt_socket_vhost(lws.lws_get_vhost_by_name(b->context, "default"), fds[i]);
}

static int web_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
    struct browser *b = lws.lws_context_user(lws.lws_get_context(wsi));
    struct web_viewer *w = user;

    switch (reason) {
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        adopt_arriving(b);
        return 0;
    case LWS_CALLBACK_HTTP:
        return serve_page(b, wsi, in);
    case LWS_CALLBACK_HTTP_FILE_COMPLETION:
        return page_done(wsi);
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return origin_is_good(b, wsi) ? 0 : -1;
    case LWS_CALLBACK_ESTABLISHED:
        return web_begin(b, wsi, w) ? 0 : -1;
    case LWS_CALLBACK_RECEIVE:
        return web_receive(w, in, length) ? 0 : -1;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return web_send(w) ? 0 : -1;
    default:
        return lws.lws_callback_http_dummy(wsi, reason, user, in, length);
    }
}

static int plain_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
    struct lws *parent = lws.lws_get_parent(wsi);
    struct web_viewer *w = parent ? lws.lws_wsi_user(parent) : NULL;

    if (!w)
        return 0;
    switch (reason) {
    case LWS_CALLBACK_RAW_RX_FILE:
        return plain_readable(w) ? 0 : -1;
    case LWS_CALLBACK_RAW_WRITEABLE_FILE:
        return web_flush_in(w) ? 0 : -1;
    case LWS_CALLBACK_RAW_CLOSE_FILE:
        w->plain = NULL;
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {{.name = "binary",
                                                  .callback = web_event,
                                                  .per_session_data_size = sizeof(struct web_viewer),
                                                  .rx_buffer_size = IN_SIZE},
                                                 {.name = "plain", .callback = plain_event},
                                                 {.name = NULL}};

static void *browser_main(void *opaque)
{
    struct browser *b = opaque;
    bool quit = false;

    while (!quit && lws.lws_service(b->context, 0) >= 0) {
        pthread_mutex_lock(&b->lock);
        quit = b->quit;
        pthread_mutex_unlock(&b->lock);
    }
    return NULL;
}

static bool browser_start_thread(struct browser *b)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&b->thread, NULL, browser_main, b);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == 0;
}

static struct lws_context *make_context(struct browser *b, const char *cert_dir, bool verify_peer)
{
    char certificate[512], key[512], authority[512];
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = protocols,
        .user = b,
        .gid = -1,
        .uid = -1,
        .fd_limit_per_thread = MAX_DESCRIPTORS,
        .alpn = "http/1.1", /* WebSocket is spoken over this one */
        .timeout_secs = 20,
        .keepalive_timeout = 20,
    };

    if (cert_dir) {
        snprintf(certificate, sizeof(certificate), "%s/server-cert.pem", cert_dir);
        snprintf(key, sizeof(key), "%s/server-key.pem", cert_dir);
        snprintf(authority, sizeof(authority), "%s/ca-cert.pem", cert_dir);
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.ssl_cert_filepath = certificate;
        info.ssl_private_key_filepath = key;
        if (verify_peer) {
            info.ssl_ca_filepath = authority;
            info.options |= LWS_SERVER_OPTION_REQUIRE_VALID_OPENSSL_CLIENT_CERT;
        }
    }
    lws.lws_set_log_level(0, NULL);
    return lws.lws_create_context(&info);
}

struct browser *browser_start(struct vnc *vnc, const char *page, const char *cert_dir, bool verify_peer,
                              struct error *err)
{
    struct browser *b;

    if (!library_load(err))
        return NULL;
    b = calloc(1, sizeof(*b));
    if (!b) {
        error_set(err, "websocket=: out of memory");
        return NULL;
    }
    b->vnc = vnc;
    b->page = strdup(page);
    pthread_mutex_init(&b->lock, NULL);
    b->context = make_context(b, cert_dir, verify_peer);
    if (b->context && browser_start_thread(b))
        return b;
    error_set(err, "websocket=: libwebsockets does not start%s", cert_dir ? " with these certificates" : "");
    if (b->context)
        lws.lws_context_destroy(b->context);
    free(b->page);
    free(b);
    return NULL;
}

void browser_take(struct browser *b, int fd)
{
    bool room;

    pthread_mutex_lock(&b->lock);
    room = b->arriving_count < MAX_ARRIVING;
    if (room)
        b->arriving[b->arriving_count++] = fd;
    pthread_mutex_unlock(&b->lock);
    if (room)
        lws.lws_cancel_service(b->context);
    else
        close(fd);
}

void browser_stop(struct browser *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&b->lock);
    b->quit = true;
    pthread_mutex_unlock(&b->lock);
    lws.lws_cancel_service(b->context);
    pthread_join(b->thread, NULL);
    lws.lws_context_destroy(b->context);
    for (unsigned i = 0; i < b->arriving_count; i++)
        close(b->arriving[i]);
    pthread_mutex_destroy(&b->lock);
    free(b->page);
    free(b);
}
