/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vnc/tls.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vnc/tls_private.h"

/* TLS 1.3 has no anonymous key exchange. */
#define ANONYMOUS "NORMAL:-VERS-ALL:+VERS-TLS1.2:+ANON-ECDH:+ANON-DH"

bool vnc_tls_has_certificate(const struct vnc_tls *tls)
{
    return tls->certificate;
}

bool vnc_tls_verifies(const struct vnc_tls *tls)
{
    return tls->verify_peer;
}

const char *vnc_tls_directory(const struct vnc_tls *tls)
{
    return tls->directory;
}

static bool tls_fail(struct error *err, const char *what, int code)
{
    return error_set(err, "%s: %s", what, gnutls_strerror(code));
}

/* DIR/NAME, which can be read. *missing: it is not there, and need not be. */
static bool tls_file(char path[512], const char *dir, const char *name, bool *missing, struct error *err)
{
    if (snprintf(path, 512, "%s/%s", dir, name) >= 512)
        return error_set(err, "%s: the path is too long", dir);
    if (missing)
        *missing = access(path, F_OK) != 0 && errno == ENOENT;
    if ((!missing || !*missing) && access(path, R_OK) != 0)
        return error_set(err, "%s: %s", path, strerror(errno));
    return true;
}

/* A certificate that nobody would accept is refused here, where it is seen. */
static bool tls_check_dates(struct vnc_tls *tls, const char *path, struct error *err)
{
    time_t now = time(NULL);
    gnutls_x509_crt_t *chain;
    unsigned count;
    bool good = true;
    int code = gnutls_certificate_get_x509_crt(tls->certificate, 0, &chain, &count);

    if (code < 0)
        return tls_fail(err, path, code);
    for (unsigned i = 0; i < count; i++) {
        if (good && gnutls_x509_crt_get_expiration_time(chain[i]) < now)
            good = error_set(err, "%s: the certificate has expired", path);
        if (good && gnutls_x509_crt_get_activation_time(chain[i]) > now)
            good = error_set(err, "%s: the certificate is not valid yet", path);
        gnutls_x509_crt_deinit(chain[i]);
    }
    gnutls_free(chain);
    return good;
}

static bool tls_load(struct vnc_tls *tls, const char *dir, struct error *err)
{
    char authority[512], certificate[512], key[512], revoked[512];
    bool no_authority, none_revoked;
    int code;

    if (!tls_file(certificate, dir, "server-cert.pem", NULL, err) ||
        !tls_file(key, dir, "server-key.pem", NULL, err) ||
        !tls_file(authority, dir, "ca-cert.pem", tls->verify_peer ? NULL : &no_authority, err) ||
        !tls_file(revoked, dir, "ca-crl.pem", &none_revoked, err))
        return false;
    code = gnutls_certificate_allocate_credentials(&tls->certificate);
    if (code < 0)
        return tls_fail(err, "TLS", code);
    code = gnutls_certificate_set_x509_key_file(tls->certificate, certificate, key, GNUTLS_X509_FMT_PEM);
    if (code < 0)
        return error_set(err, "%s and %s: %s", certificate, key, gnutls_strerror(code));
    if (tls->verify_peer || !no_authority) {
        code = gnutls_certificate_set_x509_trust_file(tls->certificate, authority, GNUTLS_X509_FMT_PEM);
        if (code <= 0)
            return code < 0 ? tls_fail(err, authority, code)
                            : error_set(err, "%s: there is no certificate in it", authority);
    }
    code = none_revoked
               ? 0
               : gnutls_certificate_set_x509_crl_file(tls->certificate, revoked, GNUTLS_X509_FMT_PEM);
    if (code < 0)
        return tls_fail(err, revoked, code);
    return tls_check_dates(tls, certificate, err);
}

struct vnc_tls *vnc_tls_open(const char *dir, bool verify_peer, const char *priority, struct error *err)
{
    struct vnc_tls *tls = calloc(1, sizeof(*tls));
    const char *at = "";
    int code;

    if (!tls) {
        error_set(err, "TLS: out of memory");
        return NULL;
    }
    tls->verify_peer = dir && verify_peer;
    tls->directory = dir ? strdup(dir) : NULL;
    code = gnutls_priority_init(&tls->priority, priority ? priority : dir ? "NORMAL" : ANONYMOUS, &at);
    if (code < 0) {
        tls->priority = NULL;
        error_set(err, "priority=%s: not understood at '%s'", priority ? priority : "", at);
    } else if (dir ? tls_load(tls, dir, err)
                   : (code = gnutls_anon_allocate_server_credentials(&tls->anonymous)) == 0 ||
                         tls_fail(err, "TLS", code)) {
        return tls;
    }
    vnc_tls_close(tls);
    return NULL;
}

void vnc_tls_close(struct vnc_tls *tls)
{
    if (!tls)
        return;
    if (tls->certificate)
        gnutls_certificate_free_credentials(tls->certificate);
    if (tls->anonymous)
        gnutls_anon_free_server_credentials(tls->anonymous);
    if (tls->priority)
        gnutls_priority_deinit(tls->priority);
    free(tls->directory);
    free(tls);
}
