/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libslirp, loaded when there is a user network and not before: with it comes glib, and a process without
 * such a network would start later and be larger for nothing.
 */
#ifndef NET_SLIRP_LIBRARY_H
#define NET_SLIRP_LIBRARY_H

#include <slirp/libslirp.h>
#include <stdbool.h>

#include "base/error.h"

#define SLIRP_CALLS(CALL)                                                                                    \
    CALL(slirp_new)                                                                                          \
    CALL(slirp_cleanup)                                                                                      \
    CALL(slirp_pollfds_fill)                                                                                 \
    CALL(slirp_pollfds_poll)                                                                                 \
    CALL(slirp_input)                                                                                        \
    CALL(slirp_handle_timer)                                                                                 \
    CALL(slirp_add_hostfwd)                                                                                  \
    CALL(slirp_remove_hostfwd)                                                                               \
    CALL(slirp_connection_info)

struct slirp_library {
#define SLIRP_MEMBER(name) typeof(name) *name;
    SLIRP_CALLS(SLIRP_MEMBER)
#undef SLIRP_MEMBER
};

/* It stays until the process ends. */
bool slirp_library_load(struct slirp_library *library, struct error *err);

#endif
