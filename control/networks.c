/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/networks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/devices.h"
#include "control/wires.h"
#include "machine/pci.h"
#include "net/net.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { PCI_CLASS_ETHERNET = 0x020000, ID_SIZE = 64 };

static bool has_type(const struct opts *opts, const char *type)
{
    const char *given = opts_get(opts, "type");

    return given && !strcmp(given, type);
}

static bool is_old(const struct opts *opts)
{
    return !strcmp(opts->option, "-net");
}

/* ---- wires ---- */

static bool open_wire(struct control *c, const struct opts *opts, const char *id, struct error *err)
{
    const struct wire_kind *kind = wire_kind_find(opts, err);
    struct net_port *port;

    if (!kind)
        return false;
    if (net_find(c->backends.nets, id))
        return opts_error(opts, err, "the id '%s' is taken", id);
    port = kind->open(c, opts, id, err);
    if (!port)
        return false;
    net_link_port(&c->backends.nets, port);
    return true;
}

static bool is_among(const char *key, const char *const *keys)
{
    while (*keys && strcmp(*keys, key))
        keys++;
    return *keys;
}

/* A suboption that neither the wire nor the old `-net` has. */
static bool check_keys(const struct opts *opts, struct error *err)
{
    const struct wire_kind *kind = wire_kind_find(opts, err);

    for (size_t i = 0; kind && i < opts->count; i++) {
        const char *key = opts->pairs[i].key;
        bool old = is_old(opts) && (!strcmp(key, "vlan") || !strcmp(key, "name"));

        if (!old && !wire_kind_takes(kind, key))
            return unknown_name(err, "suboption", key, kind->keys) ||
                   error_prefix(err, "%s %s", opts->option, opts->text);
    }
    return kind;
}

static bool open_netdev(struct control *c, const struct opts *opts, struct error *err)
{
    if (!check_keys(opts, err))
        return false;
    if (!opts_get(opts, "id"))
        return opts_error(opts, err, "id= is missing");
    return open_wire(c, opts, opts_get(opts, "id"), err);
}

/* ---- -nic, -net ---- */

/* The id that was given, or one of the option's number. */
static void network_id(const struct opts *opts, size_t nth, char id[ID_SIZE])
{
    const char *given = opts_get(opts, is_old(opts) ? "name" : "id");

    if (given)
        snprintf(id, ID_SIZE, "%s", given);
    else
        snprintf(id, ID_SIZE, "%s%zu", is_old(opts) ? "net" : "nic", nth);
}

static bool open_network(struct control *c, const struct opts *opts, size_t nth, struct error *err)
{
    char id[ID_SIZE];

    if (has_type(opts, "none") || (is_old(opts) && has_type(opts, "nic")))
        return true;
    network_id(opts, nth, id);
    if (is_old(opts) && !check_keys(opts, err))
        return false;
    return open_wire(c, opts, id, err);
}

static bool is_network_card(const struct device_class *cls)
{
    return cls && cls->bus == &pci_bus_ops && pci_info_of(cls)->class_code == PCI_CLASS_ETHERNET;
}

static void networks_list_cards(void)
{
    for (const struct device_class *cls = device_next_class(NULL); cls; cls = device_next_class(cls))
        if (is_network_card(cls))
            printf("%-10s %s\n", cls->name, cls->description ? cls->description : "");
}

static bool check_model(const struct opts *opts, const char *model, struct error *err)
{
    const char *names[16];
    size_t n = 0;

    if (is_network_card(device_find_class(model)))
        return true;
    for (const struct device_class *cls = device_next_class(NULL); cls; cls = device_next_class(cls))
        if (is_network_card(cls) && n < COUNT(names) - 1)
            names[n++] = cls->name;
    names[n] = NULL;
    return unknown_name(err, "network card", model, names) ||
           error_prefix(err, "%s %s", opts->option, opts->text);
}

/* What the wire does not take is the card's. wire: NULL if the option says a card only. */
static bool plug_card(struct control *c, const struct opts *opts, const struct wire_kind *wire,
                      const char *netdev, struct error *err)
{
    static const char *const not_its[] = {"type", "model", "vlan", "netdev", NULL};
    const char *model = opts_get(opts, "model");
    struct opts *card;
    bool ok;

    if (!model)
        model = "rtl8139";
    if (!check_model(opts, model, err))
        return false;
    card = opts_new(opts->option, opts->text);
    opts_add(card, "driver", model);
    if (netdev)
        opts_add(card, "netdev", netdev);
    for (size_t i = 0; i < opts->count; i++) {
        const struct opts_pair *pair = &opts->pairs[i];
        const char *key = pair->key;
        bool other = is_among(key, not_its) || (wire && wire_kind_takes(wire, key));

        if (!strcmp(key, "macaddr"))
            key = "mac";
        else if (is_old(opts) && !strcmp(key, "name"))
            key = "id";
        if (!other)
            opts_add(card, key, pair->value);
    }
    ok = create_device(c, card, err);
    opts_free(card);
    return ok;
}

/* What the nth `-net nic` is plugged into: the nth of the other -net. False: there are more cards than wires.
 */
static bool old_wire(const struct opts_list *nets, size_t nth, char id[ID_SIZE])
{
    for (size_t i = 0; i < nets->count; i++) {
        const struct opts *opts = nets->items[i];

        if (!is_old(opts) || has_type(opts, "nic") || has_type(opts, "none") || nth--)
            continue;
        network_id(opts, i, id);
        return true;
    }
    return false;
}

static bool plug_network(struct control *c, size_t nth, size_t *old_cards, struct error *err)
{
    const struct opts_list *nets = &c->options.nets;
    const struct opts *opts = nets->items[nth];
    const char *netdev = opts_get(opts, "netdev");
    char id[ID_SIZE];

    if (has_type(opts, "none"))
        return true;
    if (!is_old(opts)) {
        network_id(opts, nth, id);
        return plug_card(c, opts, wire_kind_find(opts, err), id, err);
    }
    if (!has_type(opts, "nic"))
        return true;
    if (!netdev && old_wire(nets, (*old_cards)++, id))
        netdev = id;
    return plug_card(c, opts, NULL, netdev, err);
}

/* ---- -object filter-dump ---- */

static struct net_port *dumped_port(struct control *c, const struct opts *opts, struct error *err)
{
    const char *name = opts_get(opts, "netdev"), *names[64];
    struct net_port *port = net_find(c->backends.nets, name);
    size_t n = 0;

    if (port)
        return port;
    for (struct net_port *known = c->backends.nets; known && n < COUNT(names) - 1; known = known->next)
        names[n++] = known->id;
    names[n] = NULL;
    unknown_name(err, "network", name, names);
    error_prefix(err, "%s %s", opts->option, opts->text);
    return NULL;
}

/* queue= is told from the wire's side: rx is what it receives from the card. */
static bool set_direction(struct net_dump *dump, const struct opts *opts, struct error *err)
{
    const char *queue = opts_get(opts, "queue");

    if (!queue || !strcmp(queue, "all"))
        return true;
    dump->from_card = !strcmp(queue, "rx");
    dump->to_card = !strcmp(queue, "tx");
    return dump->from_card || dump->to_card ||
           opts_error(opts, err, "queue takes all, rx or tx, not '%s'", queue);
}

static bool open_dump(struct control *c, const struct opts *opts, struct error *err)
{
    static const char *const keys[] = {"qom-type", "id", "netdev", "file", "maxlen", "queue", NULL};
    static const char *const needed[] = {"id", "netdev", "file"};
    uint64_t max = NET_DUMP_MAX;
    struct net_dump *dump;
    struct net_port *port;

    for (size_t i = 0; i < opts->count; i++)
        if (!is_among(opts->pairs[i].key, keys))
            return unknown_name(err, "suboption", opts->pairs[i].key, keys) ||
                   error_prefix(err, "%s %s", opts->option, opts->text);
    for (size_t i = 0; i < COUNT(needed); i++)
        if (!opts_get(opts, needed[i]))
            return opts_error(opts, err, "%s= is missing", needed[i]);
    port = dumped_port(c, opts, err);
    if (!port || !opts_number(opts, "maxlen", 1, UINT32_MAX, &max, err))
        return false;
    dump = net_dump_open(opts_get(opts, "file"), max, err);
    if (!dump)
        return error_prefix(err, "%s %s", opts->option, opts->text);
    net_add_dump(port, dump);
    return set_direction(dump, opts, err);
}

static bool open_dumps(struct control *c, struct error *err)
{
    const struct opts_list *objects = &c->options.objects;

    for (size_t i = 0; i < objects->count; i++) {
        const char *type = opts_get(objects->items[i], "qom-type");

        if (type && !strcmp(type, "filter-dump") && !open_dump(c, objects->items[i], err))
            return false;
    }
    return true;
}

/* ---- all of them ---- */

bool networks_open(struct control *c, struct error *err)
{
    const struct options *o = &c->options;

    for (size_t i = 0; i < o->netdevs.count; i++)
        if (!open_netdev(c, o->netdevs.items[i], err))
            return false;
    for (size_t i = 0; i < o->nets.count; i++)
        if (!open_network(c, o->nets.items[i], i, err))
            return false;
    return open_dumps(c, err);
}

bool networks_plug(struct control *c, struct error *err)
{
    size_t old_cards = 0;

    for (size_t i = 0; i < c->options.nets.count; i++)
        if (!plug_network(c, i, &old_cards, err))
            return false;
    return true;
}

/* ---- options ---- */

static bool apply_netdev(struct options *o, const char *option, const char *arg, struct error *err)
{
    if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
        wire_kinds_list();
        o->nothing_to_run = true;
        return true;
    }
    return options_collect_json(&o->netdevs, option, arg, "type", err);
}

static bool apply_net(struct options *o, const char *option, const char *arg, struct error *err)
{
    const char *model;

    if (!options_collect(&o->nets, option, arg, "type", NULL, err))
        return false;
    model = opts_get(o->nets.items[o->nets.count - 1], "model");
    if (model && !strcmp(model, "help")) {
        networks_list_cards();
        o->nothing_to_run = true;
    }
    return true;
}

const struct option network_option_rows[] = {
    HEADING("Network"),
    FUNCTION(
        "netdev",
        "user,id=ID[,net=ADDRESS/BITS][,host=ADDRESS][,dhcpstart=ADDRESS][,dns=ADDRESS][,hostname=NAME]"
        "[,domainname=NAME][,dnssearch=NAME][,tftp=DIRECTORY][,bootfile=FILE][,restrict=on][,ipv4=off]"
        "[,ipv6=off][,hostfwd=[tcp|udp]:[ADDRESS]:PORT-[ADDRESS]:PORT]|"
        "tap,id=ID[,ifname=NAME][,br=BRIDGE][,script=FILE][,downscript=FILE][,vnet_hdr=off]|tap,id=ID,fd=N|"
        "bridge,id=ID[,br=BRIDGE]|"
        "stream,id=ID[,server=on],addr.type=unix,addr.path=PATH|"
        "stream,id=ID[,server=on],addr.type=inet,addr.host=HOST,addr.port=PORT[,reconnect=SECONDS]|"
        "dgram,id=ID,local.type=unix,local.path=PATH,remote.type=unix,remote.path=PATH|"
        "dgram,id=ID,local.type=inet,local.host=HOST,local.port=PORT,remote.type=inet,remote.host=HOST,"
        "remote.port=PORT|"
        "dgram,id=ID,remote.type=inet,remote.host=GROUP,remote.port=PORT[,local.type=inet,local.host="
        "ADDRESS]",
        apply_netdev,
        "a wire that a -device names by netdev=ID. user: a network of its own with DHCP, DNS and TFTP, "
        "from which the guest reaches what this process reaches (10.0.2.0/24, the host is 10.0.2.2, the "
        "first guest 10.0.2.15); hostfwd, which may be given again, lets the host in. tap: an interface "
        "of the host, put into the bridge unless a script (or no) does that; bridge: the same, of the "
        "bridge br0. stream: a socket on which four bytes of length stand before "
        "each frame, as another machine's stream has it; dgram: a socket of which each datagram is a frame, "
        "for one peer or, with a multicast group, for all in it"),
    FUNCTION("nic", "none|user|tap[,model=CARD][,mac=ADDRESS][,...]", apply_net,
             "a network card and its wire in one, with the words of both -netdev and -device"),
    FUNCTION("net", "none|nic[,model=CARD][,macaddr=ADDRESS]|user|tap|...", apply_net,
             "the old form of -nic: the first nic is plugged into the first other, and so on"),
    OPTIONS_END};
