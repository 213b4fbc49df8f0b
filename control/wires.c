/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/wires.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

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
static struct net_port *open_tap(struct control *c, const struct opts *opts, const char *id,
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

/* ---- dgram ---- */

static const char *const dgram_keys[] = {"local.type",  "local.path",  "local.str",
                                         "remote.type", "remote.path", NULL};

static struct net_port *open_dgram(struct control *c, const struct opts *opts, const char *id,
                                   struct error *err)
{
    const char *local = opts_get(opts, "local.type"), *remote = opts_get(opts, "remote.type");
    struct net_dgram_options options = {
        .local = opts_get(opts, "local.path"), .remote = opts_get(opts, "remote.path"), .fd = -1};

    if (local && !strcmp(local, "fd")) {
        if (!opts_get(opts, "local.str"))
            opts_error(opts, err, "local.str=FD is missing");
        else if (read_fd(opts, "local.str", &options.fd, err))
            return opened(net_open_dgram(&c->m.loop, id, &options, err), opts, err);
        return NULL;
    }
    if (!local || strcmp(local, "unix") || !remote || strcmp(remote, "unix"))
        opts_error(opts, err, "local.type takes unix or fd, and remote.type unix");
    else if (!options.local || !options.remote)
        opts_error(opts, err, "local.path and remote.path are both needed");
    else
        return opened(net_open_dgram(&c->m.loop, id, &options, err), opts, err);
    return NULL;
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
    const char **values = calloc(opts->count + 1, sizeof(*values));
    size_t n = 0, length = strlen(key);

    for (size_t i = 0; values && i < opts->count; i++) {
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
        user.dnssearch = search && search[0] ? search : NULL;
        port = opened(net_open_user(&c->m.loop, id, &user, err), opts, err);
    }
    free(forwards);
    free(search);
    return port;
}

/* ---- all ---- */

static const struct wire_kind kinds[] = {{"user", user_keys, open_user},
                                         {"tap", tap_keys, open_tap},
                                         {"bridge", bridge_keys, open_bridge},
                                         {"dgram", dgram_keys, open_dgram}};

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
