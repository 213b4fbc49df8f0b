/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kinds of character devices there are, and how one is made. */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "char/kind.h"

static const struct chardev_kind *find_kind(const char *name)
{
    static const struct chardev_kind *const kinds[] = {&chardev_socket, &chardev_pty,    &chardev_stdio,
                                                       &chardev_file,   &chardev_serial, &chardev_null};

    for (size_t i = 0; i < COUNT(kinds); i++)
        if (!strcmp(kinds[i]->name, name))
            return kinds[i];
    return NULL;
}

struct chardev *chardev_open(struct loop *loop, const char *id, const struct chardev_options *options,
                             struct error *err)
{
    const struct chardev_kind *kind = find_kind(options->backend);
    struct chardev *chr = kind ? calloc(1, kind->size) : NULL;

    if (!chr) {
        if (kind)
            error_set(err, "out of memory");
        else
            error_set(err, "there is no character device backend '%s'", options->backend);
        return NULL;
    }
    chr->kind = kind;
    chr->loop = loop;
    chr->fd = chr->write_fd = chr->watch.fd = chr->out_watch.fd = -1;
    chr->mux = options->mux;
    chr->id = strdup(id);
    if (!chr->id) {
        error_set(err, "out of memory");
    } else if (kind->open(chr, options, err)) {
        if (chr->name)
            return chr;
        error_set(err, "out of memory");
    }
    chardev_close(chr);
    return NULL;
}
