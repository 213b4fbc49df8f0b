/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VNC_TLS_PRIVATE_H
#define VNC_TLS_PRIVATE_H

#include <gnutls/gnutls.h>

#include "vnc/tls.h"

struct vnc_tls {
    gnutls_certificate_credentials_t certificate; /* or */
    gnutls_anon_server_credentials_t anonymous;
    gnutls_priority_t priority;
    bool verify_peer;
    char *directory;
};

#endif
