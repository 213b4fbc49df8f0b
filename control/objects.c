/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/objects.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static bool apply_object(struct options *o, const char *option, const char *arg, struct error *err)
{
    return options_collect_json(&o->objects, option, arg, "qom-type", err);
}

const struct option object_option_rows[] = {
    FUNCTION("object",
             "secret,id=ID,file=FILE|tls-creds-x509,id=ID,dir=DIR,endpoint=server[,verify-peer=off][,"
             "priority=TEXT]|"
             "tls-creds-anon,id=ID,endpoint=server|filter-dump,id=ID,netdev=ID,file=FILE[,maxlen=BYTES][,"
             "queue=all|rx|tx]",
             apply_object,
             "secret: a password in a file, for -vnc password-secret=ID. tls-creds: for -vnc tls-creds=ID; "
             "DIR has "
             "ca-cert.pem, server-cert.pem and server-key.pem; viewers show a certificate of that authority, "
             "unless verify-peer=off. filter-dump: what passes a wire, "
             "written to a file that tcpdump and Wireshark read; rx: what the card sends, tx: what it gets"),
    OPTIONS_END};

/* Who names the secret reads it; that it can be read is known before the guest starts. */
static bool check_secret(const struct opts *opts, struct error *err)
{
    const char *file = opts_get(opts, "file");

    if (!opts_get(opts, "id"))
        return opts_error(opts, err, "id= is missing");
    if (file && access(file, R_OK) < 0)
        return opts_error(opts, err, "cannot read %s: %s", file, strerror(errno));
    return true;
}

static bool is_tls(const char *type)
{
    return type && (!strcmp(type, "tls-creds-x509") || !strcmp(type, "tls-creds-anon"));
}

/* NULL: *err. */
static struct vnc_tls *open_tls(const struct opts *opts, struct error *err)
{
    const char *dir = opts_get(opts, "dir"), *endpoint = opts_get(opts, "endpoint");
    bool x509 = !strcmp(opts_get(opts, "qom-type"), "tls-creds-x509"), verify = true;
    struct vnc_tls *tls;

    if (!opts_get(opts, "id"))
        opts_error(opts, err, "id= is missing");
    else if (x509 && !dir)
        opts_error(opts, err, "dir= is missing");
    else if (endpoint && strcmp(endpoint, "server"))
        opts_error(opts, err, "viewers connect here: endpoint=server is needed");
    else if (opts_bool(opts, "verify-peer", &verify, err)) {
        tls = vnc_tls_open(x509 ? dir : NULL, verify, opts_get(opts, "priority"), err);
        if (tls)
            return tls;
        error_prefix(err, "-object %s", opts->text);
    }
    return NULL;
}

struct vnc_tls *objects_open_tls(const struct control *c, const char *id, struct error *err)
{
    for (size_t i = 0; i < c->options.objects.count; i++) {
        const struct opts *opts = c->options.objects.items[i];
        const char *name = opts_get(opts, "id");

        if (is_tls(opts_get(opts, "qom-type")) && name && !strcmp(name, id))
            return open_tls(opts, err);
    }
    error_set(err, "there is no -object tls-creds-x509 or tls-creds-anon with id=%s", id);
    return NULL;
}

static bool check_tls(const struct opts *opts, struct error *err)
{
    struct vnc_tls *tls = open_tls(opts, err);

    vnc_tls_close(tls);
    return tls;
}

/* Only those that something here looks for. */
bool objects_check(const struct control *c, struct error *err)
{
    static const char *const known[] = {"secret", "tls-creds-x509", "tls-creds-anon", "filter-dump", NULL};
    const struct opts_list *objects = &c->options.objects;

    for (size_t i = 0; i < objects->count; i++) {
        const char *type = opts_get(objects->items[i], "qom-type");

        if (type && !strcmp(type, "filter-dump"))
            continue; /* of networks.c */
        if (is_tls(type)) {
            if (!check_tls(objects->items[i], err))
                return false;
            continue;
        }
        if (!type || strcmp(type, "secret"))
            return unknown_name(err, "object", type ? type : "", known) || error_prefix(err, "-object");
        if (!check_secret(objects->items[i], err))
            return false;
    }
    return true;
}

const char *objects_secret_file(const struct control *c, const char *id)
{
    for (size_t i = 0; i < c->options.objects.count; i++) {
        const struct opts *opts = c->options.objects.items[i];
        const char *type = opts_get(opts, "qom-type"), *name = opts_get(opts, "id");

        if (type && name && !strcmp(type, "secret") && !strcmp(name, id))
            return opts_get(opts, "file");
    }
    return NULL;
}
