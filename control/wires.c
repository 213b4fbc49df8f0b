/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/wires.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/xalloc.h"
#include "net/wires.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool read_fd(const struct opts *opts, const char *key, int *fd, struct error *err)
{
    uint64_t value = 0;

    *fd = -1;
    if (!opts_number(opts, key, 0, INT32_MAX, &value, err))
        return false;
    if (opts_get(opts, key))
        *fd = value;
    return true;
}

/* Says of which option an opener's error is. */
static struct net_port *opened(struct net_port *port, const struct opts *opts, struct error *err)
{
    if (!port)
        error_prefix(err, "%s %s", opts->option, opts->text);
    return port;
}

/* ---- tap ---- */

static const char *script(const struct opts *opts, const char *key)
{
    const char *text = opts_get(opts, key);

    return text && *text && strcmp(text, "no") ? text : NULL;
}

static const char *const tap_keys[] = {"ifname", "br",       "script", "downscript", "fd", "fds",
                                       "vhost",  "vnet_hdr", "sndbuf", "queues",     NULL};

/* What is for cards with several queues, or for the host's kernel to serve: no card here. */
static bool check_tap(const struct opts *opts, struct error *err)
{
    uint64_t queues = 1;
    bool vhost = false;

    if (opts_get(opts, "fds"))
        return opts_error(opts, err, "fds is for cards with several queues; give one descriptor with fd=");
    if (!opts_number(opts, "queues", 1, UINT16_MAX, &queues, err) || !opts_bool(opts, "vhost", &vhost, err))
        return false;
    if (queues > 1)
        return opts_error(opts, err, "no card has several queues");
    if (vhost)
        return opts_error(opts, err, "vhost=on is for virtio cards only");
    if (!opts_get(opts, "fd"))
        return true;
    for (size_t i = 0; i < opts->count; i++)
        if (!strcmp(opts->pairs[i].key, "ifname") || !strcmp(opts->pairs[i].key, "br") ||
            !strcmp(opts->pairs[i].key, "script") || !strcmp(opts->pairs[i].key, "downscript"))
            return opts_error(opts, err, "fd excludes ifname, br, script and downscript");
    return true;
}

static bool read_tap(const struct opts *opts, struct net_tap_options *tap, struct error *err)
{
    const char *sndbuf = opts_get(opts, "sndbuf");
    bool vnet_hdr = true;

    if (!check_tap(opts, err) || !read_fd(opts, "fd", &tap->fd, err) ||
        !opts_bool(opts, "vnet_hdr", &vnet_hdr, err))
        return false;
    if (sndbuf && (!parse_size(sndbuf, 1, &tap->sndbuf) || tap->sndbuf > INT_MAX))
        return opts_error(opts, err, "sndbuf takes a size below 2G, not '%s'", sndbuf);
    tap->ifname = opts_get(opts, "ifname");
    tap->script = script(opts, "script");
    tap->downscript = script(opts, "downscript");
    tap->vnet_hdr = !opts_get(opts, "vnet_hdr") ? NET_AUTO : vnet_hdr ? NET_ON : NET_OFF;
    return true;
}

/* Whoever says script=no puts the interface into its bridge himself, as Xen's toolstack does: br= is told
 * for completeness then. */
static struct net_port *wires_open_tap(struct control *c, const struct opts *opts, const char *id,
                                       struct error *err)
{
    struct net_tap_options tap = {.bridge = opts_get(opts, "script") ? NULL : opts_get(opts, "br")};

    if (!read_tap(opts, &tap, err))
        return NULL;
    return opened(net_open_tap(&c->m.loop, id, &tap, err), opts, err);
}

static const char *const bridge_keys[] = {"br", NULL};

static struct net_port *open_bridge(struct control *c, const struct opts *opts, const char *id,
                                    struct error *err)
{
    const char *bridge = opts_get(opts, "br");
    struct net_tap_options tap = {.bridge = bridge ? bridge : "br0", .fd = -1};

    return opened(net_open_tap(&c->m.loop, id, &tap, err), opts, err);
}

/* ---- stream, dgram ---- */

static const char *address_word(const struct opts *opts, const char *prefix, const char *word)
{
    char key[32];

    snprintf(key, sizeof(key), "%s.%s", prefix, word);
    return opts_get(opts, key);
}

/* PREFIX.type= and what belongs to it. */
static bool read_address(const struct opts *opts, const char *prefix, struct net_address *address,
                         struct error *err)
{
    const char *type = address_word(opts, prefix, "type");
    char key[32];

    *address = (struct net_address){.path = address_word(opts, prefix, "path"),
                                    .host = address_word(opts, prefix, "host"),
                                    .port = address_word(opts, prefix, "port"),
                                    .fd = -1};
    if (!type)
        return opts_error(opts, err, "%s.type= is missing: inet, unix or fd", prefix);
    if (!strcmp(type, "unix")) {
        address->kind = NET_ADDRESS_UNIX;
        return address->path || opts_error(opts, err, "%s.path= is missing", prefix);
    }
    if (!strcmp(type, "inet")) {
        address->kind = NET_ADDRESS_INET;
        return (address->host && address->port) ||
               opts_error(opts, err, "%s.host= and %s.port= are both needed", prefix, prefix);
    }
    if (strcmp(type, "fd"))
        return opts_error(opts, err, "%s.type takes inet, unix or fd, not '%s'", prefix, type);
    address->kind = NET_ADDRESS_FD;
    if (!address_word(opts, prefix, "str"))
        return opts_error(opts, err, "%s.str=FD is missing", prefix);
    snprintf(key, sizeof(key), "%s.str", prefix);
    return read_fd(opts, key, &address->fd, err);
}

static const char *const stream_keys[] = {"addr.type", "addr.path", "addr.host",    "addr.port", "addr.str",
                                          "server",    "reconnect", "reconnect-ms", NULL};

static struct net_port *open_stream(struct control *c, const struct opts *opts, const char *id,
                                    struct error *err)
{
    struct net_stream_options stream = {.server = false};
    uint64_t reconnect = 0, reconnect_ms = 0;

    if (!read_address(opts, "addr", &stream.address, err) ||
        !opts_bool(opts, "server", &stream.server, err) ||
        !opts_number(opts, "reconnect", 0, 3600, &reconnect, err) ||
        !opts_number(opts, "reconnect-ms", 0, 3600000, &reconnect_ms, err))
        return NULL;
    stream.reconnect_ms = reconnect_ms ? reconnect_ms : reconnect * 1000;
    if (stream.reconnect_ms && (stream.server || stream.address.kind == NET_ADDRESS_FD)) {
        opts_error(opts, err, "reconnect is for who connects by an address");
        return NULL;
    }
    return opened(net_open_stream(&c->m.loop, id, &stream, err), opts, err);
}

static const char *const dgram_keys[] = {"local.type",  "local.path",  "local.host",  "local.port",
                                         "local.str",   "remote.type", "remote.path", "remote.host",
                                         "remote.port", NULL};

static struct net_port *open_dgram(struct control *c, const struct opts *opts, const char *id,
                                   struct error *err)
{
    struct net_dgram_options dgram = {.local = {.kind = NET_ADDRESS_NONE, .fd = -1}};
    const char *remote = address_word(opts, "remote", "type"), *type = address_word(opts, "local", "type");
    bool inet = remote && !strcmp(remote, "inet");

    /* a multicast group needs no local address, or only its host; the opener sees whether it is one */
    if (inet && type && !strcmp(type, "inet") && opts_get(opts, "local.host"))
        dgram.local = (struct net_address){.kind = NET_ADDRESS_INET,
                                           .host = opts_get(opts, "local.host"),
                                           .port = opts_get(opts, "local.port"),
                                           .fd = -1};
    else if ((type || !inet) && !read_address(opts, "local", &dgram.local, err))
        return NULL;
    if (dgram.local.kind != NET_ADDRESS_FD) {
        if (!read_address(opts, "remote", &dgram.remote, err))
            return NULL;
        if (dgram.local.kind && dgram.local.kind != dgram.remote.kind) {
            opts_error(opts, err, "local.type and remote.type are not the same");
            return NULL;
        }
    }
    return opened(net_open_dgram(&c->m.loop, id, &dgram, err), opts, err);
}

/* ---- socket: the old form of both ---- */

static const char *const socket_keys[] = {"listen", "connect", "fd", "udp", "mcast", "localaddr", NULL};

/* [HOST]:PORT; both stay in text, which is cut in two. */
static bool split_address(const struct opts *opts, const char *key, char *text, struct net_address *address,
                          struct error *err)
{
    char *colon = strrchr(text, ':');

    if (!colon)
        return opts_error(opts, err, "%s=%s: not of the form [HOST]:PORT", key, text);
    *colon = '\0';
    *address = (struct net_address){.kind = NET_ADDRESS_INET, .host = text, .port = colon + 1, .fd = -1};
    return true;
}

static struct net_port *open_old_stream(struct control *c, const struct opts *opts, const char *id,
                                        const char *key, struct error *err)
{
    struct net_stream_options stream = {.server = !strcmp(key, "listen")};
    char *text = xstrdup(opts_get(opts, key));
    struct net_port *port = NULL;

    if (split_address(opts, key, text, &stream.address, err))
        port = opened(net_open_stream(&c->m.loop, id, &stream, err), opts, err);
    free(text);
    return port;
}

static struct net_port *open_udp(struct control *c, const struct opts *opts, const char *id,
                                 struct error *err)
{
    struct net_dgram_options dgram;
    char *remote, *local;
    struct net_port *port = NULL;

    if (!opts_get(opts, "localaddr")) {
        opts_error(opts, err, "udp needs localaddr=[HOST]:PORT too");
        return NULL;
    }
    remote = xstrdup(opts_get(opts, "udp"));
    local = xstrdup(opts_get(opts, "localaddr"));
    if (split_address(opts, "udp", remote, &dgram.remote, err) &&
        split_address(opts, "localaddr", local, &dgram.local, err))
        port = opened(net_open_dgram(&c->m.loop, id, &dgram, err), opts, err);
    free(remote);
    free(local);
    return port;
}

/* localaddr here is an interface's address, without a port. */
static struct net_port *open_mcast(struct control *c, const struct opts *opts, const char *id,
                                   struct error *err)
{
    struct net_dgram_options dgram = {.local = {.host = opts_get(opts, "localaddr"), .fd = -1}};
    char *group = xstrdup(opts_get(opts, "mcast"));
    struct net_port *port = NULL;

    dgram.local.kind = dgram.local.host ? NET_ADDRESS_INET : NET_ADDRESS_NONE;
    if (split_address(opts, "mcast", group, &dgram.remote, err))
        port = opened(net_open_dgram(&c->m.loop, id, &dgram, err), opts, err);
    free(group);
    return port;
}

static struct net_port *open_socket_fd(struct control *c, const struct opts *opts, const char *id,
                                       struct error *err)
{
    struct net_stream_options stream = {.address = {.kind = NET_ADDRESS_FD}};
    struct net_dgram_options dgram = {.local = {.kind = NET_ADDRESS_FD}};
    int type = 0;
    socklen_t length = sizeof(type);

    if (!read_fd(opts, "fd", &stream.address.fd, err))
        return NULL;
    dgram.local.fd = stream.address.fd;
    getsockopt(dgram.local.fd, SOL_SOCKET, SO_TYPE, &type, &length); /* of others the opener speaks */
    return opened(type == SOCK_STREAM ? net_open_stream(&c->m.loop, id, &stream, err)
                                      : net_open_dgram(&c->m.loop, id, &dgram, err),
                  opts, err);
}

static struct net_port *wires_open_socket(struct control *c, const struct opts *opts, const char *id,
                                          struct error *err)
{
    static const char *const ways[] = {"listen", "connect", "udp", "mcast", "fd"};
    const char *way = NULL;

    for (size_t i = 0; i < COUNT(ways); i++)
        if (opts_get(opts, ways[i])) {
            if (way) {
                opts_error(opts, err, "%s excludes %s", way, ways[i]);
                return NULL;
            }
            way = ways[i];
        }
    if (!way) {
        opts_error(opts, err, "listen=, connect=, udp=, mcast= or fd= is needed");
        return NULL;
    }
    if (!strcmp(way, "fd"))
        return open_socket_fd(c, opts, id, err);
    if (!strcmp(way, "mcast"))
        return open_mcast(c, opts, id, err);
    return strcmp(way, "udp") ? open_old_stream(c, opts, id, way, err) : open_udp(c, opts, id, err);
}

/* ---- user ---- */

static const char *const user_keys[] = {
    "ipv4",       "net",         "host",          "dhcpstart",   "dns",      "dnssearch",
    "domainname", "hostname",    "restrict",      "tftp",        "bootfile", "tftp-server-name",
    "ipv6",       "ipv6-net",    "ipv6-host",     "ipv6-prefix", "ipv6-dns", "ipv6-prefixlen",
    "hostfwd",    "hostfwd.str", "dnssearch.str", NULL};

/* Every value given for key, or for key.str as JSON has it; ends with NULL. Caller frees the list, not the
 * strings. */
static const char **all_values(const struct opts *opts, const char *key)
{
    const char **values = xcalloc(opts->count + 1, sizeof(*values));
    size_t n = 0, length = strlen(key);

    for (size_t i = 0; i < opts->count; i++) {
        const char *name = opts->pairs[i].key;

        if (!strncmp(name, key, length) && (!name[length] || !strcmp(name + length, ".str")))
            values[n++] = opts->pairs[i].value;
    }
    return values;
}

/* ipv6-net=PREFIX/LENGTH, or both apart. */
static bool read_ipv6_net(const struct opts *opts, struct net_user_options *user, char prefix[64],
                          struct error *err)
{
    const char *net = opts_get(opts, "ipv6-net");
    const char *slash = net ? strchr(net, '/') : NULL;
    uint64_t length = 64;

    user->ipv6_prefix = opts_get(opts, "ipv6-prefix");
    if (!opts_number(opts, "ipv6-prefixlen", 0, 126, &length, err))
        return false;
    if (net) {
        if (slash && (!parse_number(slash + 1, &length) || length > 126))
            return opts_error(opts, err, "ipv6-net takes a prefix length up to 126, not '%s'", slash + 1);
        snprintf(prefix, 64, "%.*s", slash ? (int)(slash - net) : 63, net);
        user->ipv6_prefix = prefix;
    }
    user->ipv6_prefix_length = length;
    return true;
}

static struct net_port *open_user(struct control *c, const struct opts *opts, const char *id,
                                  struct error *err)
{
    struct net_user_options user = {.net = opts_get(opts, "net"),
                                    .host = opts_get(opts, "host"),
                                    .dhcpstart = opts_get(opts, "dhcpstart"),
                                    .dns = opts_get(opts, "dns"),
                                    .hostname = opts_get(opts, "hostname"),
                                    .domainname = opts_get(opts, "domainname"),
                                    .tftp = opts_get(opts, "tftp"),
                                    .tftp_server_name = opts_get(opts, "tftp-server-name"),
                                    .bootfile = opts_get(opts, "bootfile"),
                                    .ipv6_host = opts_get(opts, "ipv6-host"),
                                    .ipv6_dns = opts_get(opts, "ipv6-dns")};
    const char **forwards = all_values(opts, "hostfwd"), **search = all_values(opts, "dnssearch");
    bool ipv4 = true, ipv6 = true;
    struct net_port *port = NULL;
    char prefix[64];

    if (opts_bool(opts, "ipv4", &ipv4, err) && opts_bool(opts, "ipv6", &ipv6, err) &&
        opts_bool(opts, "restrict", &user.restricted, err) && read_ipv6_net(opts, &user, prefix, err)) {
        user.no_ipv4 = !ipv4;
        user.no_ipv6 = !ipv6;
        user.hostfwd = forwards;
        user.dnssearch = search[0] ? search : NULL;
        port = opened(net_open_user(&c->m.loop, id, &user, err), opts, err);
    }
    free(forwards);
    free(search);
    return port;
}

/* ---- all ---- */

static const struct wire_kind kinds[] = {
    {"user", user_keys, open_user},       {"tap", tap_keys, wires_open_tap},
    {"bridge", bridge_keys, open_bridge}, {"stream", stream_keys, open_stream},
    {"dgram", dgram_keys, open_dgram},    {"socket", socket_keys, wires_open_socket}};

void wire_kinds_list(void)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        printf("%s:", kinds[i].type);
        for (const char *const *key = kinds[i].keys; *key; key++)
            printf(" %s", *key);
        putchar('\n');
    }
}

const struct wire_kind *wire_kind_find(const struct opts *opts, struct error *err)
{
    const char *type = opts_get(opts, "type"), *names[COUNT(kinds) + 1] = {NULL};

    for (size_t i = 0; i < COUNT(kinds); i++) {
        if (type && !strcmp(type, kinds[i].type))
            return &kinds[i];
        names[i] = kinds[i].type;
    }
    if (!type)
        opts_error(opts, err, "the kind of network is missing");
    else if (!unknown_name(err, "kind of network", type, names))
        error_prefix(err, "%s %s", opts->option, opts->text);
    return NULL;
}

bool wire_kind_takes(const struct wire_kind *kind, const char *key)
{
    for (const char *const *known = kind->keys; *known; known++)
        if (!strcmp(*known, key))
            return true;
    return !strcmp(key, "type") || !strcmp(key, "id");
}
