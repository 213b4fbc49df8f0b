/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/user_config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    DHCP_NAME = 32,     /* a host's name in a DHCP answer */
    DHCP_FILE = 127,    /* RFC 2131: "file" has 128 bytes with its end */
    DHCP_OPTION = 255,  /* RFC 2132: the length of an option is one byte */
    FIRST_ADDRESS = 15, /* of DHCP, in the network; the host is 2, the name server 3 */
};

/* ---- forwards ---- */

/* The part before `end`, which is taken too; NULL: there is no such end. */
static bool take_part(const char **text, char end, char *part, size_t size)
{
    const char *stop = strchr(*text, end);
    size_t length = stop ? (size_t)(stop - *text) : size;

    if (length >= size)
        return false;
    memcpy(part, *text, length);
    part[length] = '\0';
    *text = stop + 1;
    return true;
}

static bool parse_port(const char *text, unsigned min, uint16_t *port)
{
    char *end;
    unsigned long n;

    if (!isdigit((unsigned char)text[0]) || strlen(text) > 5)
        return false;
    n = strtoul(text, &end, 10);
    *port = n;
    return !*end && n >= min && n <= UINT16_MAX;
}

static bool user_config_parse_address(const char *text, struct in_addr *address)
{
    address->s_addr = 0;
    return !*text || inet_pton(AF_INET, text, address) == 1;
}

static bool malformed(struct error *err, const char *text)
{
    return error_set(err, "hostfwd=%s: not of the form [tcp|udp]:[hostaddr]:port-[guestaddr]:port", text);
}

/* "[tcp|udp]:[hostaddr]:", and what is behind it in *rest. */
static bool parse_host(const char *text, struct user_forward *forward, const char **rest, struct error *err)
{
    char protocol[8], host[INET_ADDRSTRLEN];

    *rest = text;
    *forward = (struct user_forward){.udp = false};
    if (!take_part(rest, ':', protocol, sizeof(protocol)) || !take_part(rest, ':', host, sizeof(host)))
        return malformed(err, text);
    forward->udp = !strcmp(protocol, "udp");
    if (*protocol && !forward->udp && strcmp(protocol, "tcp"))
        return error_set(err, "hostfwd=%s: the protocol is tcp or udp, not '%s'", text, protocol);
    return user_config_parse_address(host, &forward->host) ||
           error_set(err, "hostfwd=%s: '%s' is no IPv4 address", text, host);
}

static bool bad_port(struct error *err, const char *text)
{
    return error_set(err, "hostfwd=%s: a port is a number up to 65535", text);
}

bool user_parse_forward(const char *text, struct user_forward *forward, struct error *err)
{
    char port[8], guest[INET_ADDRSTRLEN];
    const char *rest;

    if (!parse_host(text, forward, &rest, err))
        return false;
    if (!take_part(&rest, '-', port, sizeof(port)) || !take_part(&rest, ':', guest, sizeof(guest)))
        return malformed(err, text);
    if (!user_config_parse_address(guest, &forward->guest))
        return error_set(err, "hostfwd=%s: '%s' is no IPv4 address", text, guest);
    return (parse_port(port, 0, &forward->host_port) && parse_port(rest, 1, &forward->guest_port)) ||
           bad_port(err, text);
}

bool user_parse_listener(const char *text, struct user_forward *forward, struct error *err)
{
    const char *port;

    return parse_host(text, forward, &port, err) &&
           (parse_port(port, 0, &forward->host_port) || bad_port(err, text));
}

/* ---- addresses ---- */

/* ADDRESS[/BITS or /MASK] */
static bool parse_net(const char *text, struct in_addr *net, struct in_addr *mask)
{
    char address[INET_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    uint16_t bits = 24;

    if (length >= sizeof(address))
        return false;
    memcpy(address, text, length);
    address[length] = '\0';
    if (inet_pton(AF_INET, address, net) != 1)
        return false;
    if (slash && inet_pton(AF_INET, slash + 1, mask) == 1) {
        uint32_t hosts = ~ntohl(mask->s_addr);

        if (hosts & (hosts + 1) || hosts == UINT32_MAX)
            return false;
    } else if (slash && (!parse_port(slash + 1, 1, &bits) || bits > 30)) {
        return false;
    } else {
        mask->s_addr = htonl(UINT32_MAX << (32 - bits));
    }
    net->s_addr &= mask->s_addr;
    return true;
}

/* An address of the network: given, or the nth. */
static bool choose_address(const SlirpConfig *c, const char *key, const char *text, unsigned nth,
                           struct in_addr *address, struct error *err)
{
    if (!text)
        address->s_addr = c->vnetwork.s_addr | (htonl(nth) & ~c->vnetmask.s_addr);
    else if (inet_pton(AF_INET, text, address) != 1)
        return error_set(err, "%s=%s: not an IPv4 address", key, text);
    else if ((address->s_addr & c->vnetmask.s_addr) != c->vnetwork.s_addr)
        return error_set(err, "%s=%s: not in the network", key, text);
    return true;
}

static bool configure4(const struct net_user_options *o, SlirpConfig *c, struct error *err)
{
    const char *net = o->net ? o->net : "10.0.2.0/24";

    c->in_enabled = !o->no_ipv4;
    if (!parse_net(net, &c->vnetwork, &c->vnetmask))
        return error_set(err, "net=%s: not of the form ADDRESS[/BITS]", net);
    if (!choose_address(c, "host", o->host, 2, &c->vhost, err) ||
        !choose_address(c, "dhcpstart", o->dhcpstart, FIRST_ADDRESS, &c->vdhcp_start, err) ||
        !choose_address(c, "dns", o->dns, 3, &c->vnameserver, err))
        return false;
    if (c->vnameserver.s_addr == c->vhost.s_addr)
        return error_set(err, "dns: the same address as the host's");
    if (c->vdhcp_start.s_addr == c->vhost.s_addr || c->vdhcp_start.s_addr == c->vnameserver.s_addr)
        return error_set(err, "dhcpstart: the same address as the host's or the name server's");
    return true;
}

static bool in_prefix(const SlirpConfig *c, const struct in6_addr *address)
{
    for (unsigned bit = 0; bit < c->vprefix_len; bit++)
        if ((address->s6_addr[bit / 8] ^ c->vprefix_addr6.s6_addr[bit / 8]) & 0x80 >> bit % 8)
            return false;
    return true;
}

static bool choose_address6(const SlirpConfig *c, const char *key, const char *text, unsigned nth,
                            struct in6_addr *address, struct error *err)
{
    *address = c->vprefix_addr6;
    address->s6_addr[15] |= nth;
    if (text && inet_pton(AF_INET6, text, address) != 1)
        return error_set(err, "%s=%s: not an IPv6 address", key, text);
    return in_prefix(c, address) || error_set(err, "%s=%s: not in the network", key, text);
}

static bool configure6(const struct net_user_options *o, SlirpConfig *c, struct error *err)
{
    const char *prefix = o->ipv6_prefix ? o->ipv6_prefix : "fec0::";

    c->in6_enabled = !o->no_ipv6;
    c->vprefix_len = o->ipv6_prefix_length;
    if (inet_pton(AF_INET6, prefix, &c->vprefix_addr6) != 1)
        return error_set(err, "ipv6-net=%s: not an IPv6 address", prefix);
    if (c->vprefix_len > 126)
        return error_set(err, "ipv6-prefixlen=%u: more than 126", c->vprefix_len);
    return choose_address6(c, "ipv6-host", o->ipv6_host, 2, &c->vhost6, err) &&
           choose_address6(c, "ipv6-dns", o->ipv6_dns, 3, &c->vnameserver6, err);
}

/* ---- the rest ---- */

static bool check_length(const char *key, const char *text, size_t max, struct error *err)
{
    return !text || strlen(text) <= max ||
           error_set(err, "%s=%s: longer than %zu characters", key, text, max);
}

static bool check_directory(const char *key, const char *path, struct error *err)
{
    struct stat st;

    if (!path)
        return true;
    if (stat(path, &st))
        return error_set(err, "%s=%s: %s", key, path, strerror(errno));
    return S_ISDIR(st.st_mode) || error_set(err, "%s=%s: not a directory", key, path);
}

bool user_configure(const struct net_user_options *options, SlirpConfig *config, struct error *err)
{
    *config = (SlirpConfig){.version = 4,
                            .restricted = options->restricted,
                            .vhostname = options->hostname,
                            .vdomainname = options->domainname,
                            .vdnssearch = options->dnssearch,
                            .tftp_path = options->tftp,
                            .tftp_server_name = options->tftp_server_name,
                            .bootfile = options->bootfile};
    if (options->no_ipv4 && options->no_ipv6)
        return error_set(err, "without ipv4 and ipv6 there is no network");
    return configure4(options, config, err) && configure6(options, config, err) &&
           check_length("hostname", options->hostname, DHCP_NAME, err) &&
           check_length("domainname", options->domainname, DHCP_OPTION, err) &&
           check_length("bootfile", options->bootfile, DHCP_FILE, err) &&
           check_length("tftp-server-name", options->tftp_server_name, DHCP_OPTION, err) &&
           check_directory("tftp", options->tftp, err);
}
