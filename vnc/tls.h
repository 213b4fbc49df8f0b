/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Encrypted connections of viewers, by GnuTLS (which libvncserver needs anyway): the credentials, and one
 * connection's tunnel, a thread between the network and a socket that carries the plain bytes.
 */
#ifndef VNC_TLS_H
#define VNC_TLS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct vnc_tls;

/*
 * The server's credentials. dir: holds ca-cert.pem, server-cert.pem, server-key.pem, and ca-crl.pem if there
 * is one; NULL: anonymous, which hides what is said but not from whom stands between. verify_peer: viewers
 * have to show a certificate of that authority. priority: GnuTLS' words for what is acceptable, NULL: its
 * own. NULL: *err.
 */
struct vnc_tls *vnc_tls_open(const char *dir, bool verify_peer, const char *priority, struct error *err);
void vnc_tls_close(struct vnc_tls *tls);
bool vnc_tls_has_certificate(const struct vnc_tls *tls);
bool vnc_tls_verifies(const struct vnc_tls *tls);         /* the viewers' certificates */
const char *vnc_tls_directory(const struct vnc_tls *tls); /* NULL: anonymous */

/*
 * The TLS handshake on a connected socket that does not block, as the server, until *deadline* (milliseconds
 * of the monotonic clock); then the tunnel. Returns a socket that does not block and carries the plain bytes;
 * the caller closes it, which ends the tunnel, and waits for that with tunnel_join. The network's socket
 * stays the caller's. -1: *why says what was wrong.
 */
struct tunnel;
int tunnel_open(struct tunnel **tunnel, struct vnc_tls *tls, int network, int64_t deadline, const char **why);
void tunnel_join(struct tunnel *tunnel);

#endif
