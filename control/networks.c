/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Networks: the wires of -netdev, and -nic, which is a wire and a card in one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/control.h"
#include "machine/pci.h"
#include "net/wires.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { PCI_CLASS_ETHERNET = 0x020000 };

/* ---- wires ---- */

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

static const char *script(const struct opts *opts, const char *key)
{
    const char *text = opts_get(opts, key);

    return text && *text && strcmp(text, "no") ? text : NULL;
}

/* br= is for the script, or for whoever gave the descriptor. */
static const char *const tap_keys[] = {"ifname", "br", "script", "downscript", "fd", NULL};

static struct net_port *open_tap(struct control *c, const struct opts *opts, const char *id,
                                 struct error *err)
{
    struct net_tap_options options = {.ifname = opts_get(opts, "ifname"),
                                      .script = script(opts, "script"),
                                      .downscript = script(opts, "downscript")};

    if (!read_fd(opts, "fd", &options.fd, err))
        return NULL;
    if (options.fd >= 0 && (options.ifname || options.script || options.downscript)) {
        opts_error(opts, err, "fd excludes ifname, script and downscript");
        return NULL;
    }
    return opened(net_open_tap(&c->m.loop, id, &options, err), opts, err);
}

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

static const struct {
    const char *type;
    const char *const *keys;
    struct net_port *(*open)(struct control *c, const struct opts *opts, const char *id, struct error *err);
} wires[] = {{"tap", tap_keys, open_tap}, {"dgram", dgram_keys, open_dgram}};

static size_t find_wire(const struct opts *opts, struct error *err)
{
    const char *type = opts_get(opts, "type"), *names[COUNT(wires) + 1];
    size_t i;

    for (i = 0; i < COUNT(wires); i++) {
        if (type && !strcmp(type, wires[i].type))
            return i;
        names[i] = wires[i].type;
    }
    names[i] = NULL;
    if (!type)
        opts_error(opts, err, "the kind of network is missing");
    else if (!unknown_name(err, "kind of network", type, names))
        error_prefix(err, "%s %s", opts->option, opts->text);
    return i;
}

static bool is_wire_key(size_t wire, const char *key)
{
    for (const char *const *known = wires[wire].keys; *known; known++)
        if (!strcmp(*known, key))
            return true;
    return !strcmp(key, "type") || !strcmp(key, "id");
}

static bool open_wire(struct control *c, const struct opts *opts, size_t wire, const char *id,
                      struct error *err)
{
    struct net_port *port;

    if (net_find(c->m.nets, id))
        return opts_error(opts, err, "the id '%s' is taken", id);
    port = wires[wire].open(c, opts, id, err);
    if (!port)
        return false;
    net_link_port(&c->m.nets, port);
    return true;
}

static bool open_netdev(struct control *c, const struct opts *opts, struct error *err)
{
    size_t wire = find_wire(opts, err);

    if (wire == COUNT(wires))
        return false;
    if (!opts_get(opts, "id"))
        return opts_error(opts, err, "id= is missing");
    for (size_t i = 0; i < opts->count; i++)
        if (!is_wire_key(wire, opts->pairs[i].key))
            return unknown_name(err, "suboption", opts->pairs[i].key, wires[wire].keys) ||
                   error_prefix(err, "%s %s", opts->option, opts->text);
    return open_wire(c, opts, wire, opts_get(opts, "id"), err);
}

/* ---- -nic ---- */

static bool is_none(const struct opts *opts)
{
    const char *type = opts_get(opts, "type");

    return type && !strcmp(type, "none");
}

static void nic_id(const struct opts *opts, size_t nth, char id[64])
{
    if (opts_get(opts, "id"))
        snprintf(id, 64, "%s", opts_get(opts, "id"));
    else
        snprintf(id, 64, "nic%zu", nth);
}

static bool open_nic(struct control *c, const struct opts *opts, size_t nth, struct error *err)
{
    size_t wire;
    char id[64];

    if (is_none(opts))
        return true;
    if (!strcmp(opts->option, "-net"))
        return opts_error(opts, err, "only none is taken; -nic says the rest");
    wire = find_wire(opts, err);
    nic_id(opts, nth, id);
    return wire < COUNT(wires) && open_wire(c, opts, wire, id, err);
}

static bool is_network_card(const struct device_class *cls)
{
    return cls && cls->bus == BUS_PCI && cls->pci && cls->pci->class_code == PCI_CLASS_ETHERNET;
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

/* What the wire does not take is the card's. */
static bool plug_nic(struct control *c, const struct opts *opts, size_t nth, struct error *err)
{
    const char *model = opts_get(opts, "model");
    struct opts *card;
    char id[64];
    size_t wire;
    bool ok;

    if (is_none(opts))
        return true;
    wire = find_wire(opts, err);
    if (!model)
        model = "rtl8139";
    if (!check_model(opts, model, err))
        return false;
    nic_id(opts, nth, id);
    card = opts_new(opts->option, opts->text);
    opts_add(card, "driver", model);
    opts_add(card, "netdev", id);
    for (size_t i = 0; i < opts->count; i++) {
        const struct opts_pair *pair = &opts->pairs[i];

        if (!is_wire_key(wire, pair->key) && strcmp(pair->key, "model"))
            opts_add(card, !strcmp(pair->key, "macaddr") ? "mac" : pair->key, pair->value);
    }
    ok = create_device(c, card, err);
    opts_free(card);
    return ok;
}

/* ---- all of them ---- */

bool networks_open(struct control *c, struct error *err)
{
    const struct options *o = &c->options;

    for (size_t i = 0; i < o->netdevs.count; i++)
        if (!open_netdev(c, o->netdevs.items[i], err))
            return false;
    for (size_t i = 0; i < o->nets.count; i++)
        if (!open_nic(c, o->nets.items[i], i, err))
            return false;
    return true;
}

bool networks_plug(struct control *c, struct error *err)
{
    for (size_t i = 0; i < c->options.nets.count; i++)
        if (!plug_nic(c, c->options.nets.items[i], i, err))
            return false;
    return true;
}
