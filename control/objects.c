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
             "secret,id=ID,file=FILE|filter-dump,id=ID,netdev=ID,file=FILE[,maxlen=BYTES][,queue=all|rx|tx]",
             apply_object,
             "secret: a password in a file, for -vnc password-secret=ID. filter-dump: what passes a wire, "
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

/* Only those that something here looks for. */
bool objects_check(const struct control *c, struct error *err)
{
    static const char *const known[] = {"secret", "filter-dump", NULL};
    const struct opts_list *objects = &c->options.objects;

    for (size_t i = 0; i < objects->count; i++) {
        const char *type = opts_get(objects->items[i], "qom-type");

        if (type && !strcmp(type, "filter-dump"))
            continue; /* of networks.c */
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
