/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Encrypted viewers: VeNCrypt with certificates and without, passwords inside of it, certificates that are
 * wrong, and what is no TLS. The viewer is made of GnuTLS here; the certificates are made by certtool.
 */
#include "tests/lib/cmocka.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/qtest.h"
#include "tests/lib/wait.h"
#include "vnc/vnc_auth.h"

enum { TLS_NONE = 257, TLS_VNC = 258, X509_NONE = 260, X509_VNC = 261 };

static char directory[] = "/tmp/vnc-tls-XXXXXX";
static struct qtest *q;

/* ---- certificates ---- */

static void run(const char *format, const char *name)
{
    char command[1024];

    snprintf(command, sizeof(command), format, directory, name);
    if (system(command) != 0)
        fail_msg("%s", command);
}

static void make_certificate(const char *name, const char *kind, const char *days)
{
    char script[1024];

    snprintf(script, sizeof(script),
             "cd %s && certtool --generate-privkey --key-type ecdsa --outfile %s-key.pem 2>>log && "
             "printf 'cn=localhost\nexpiration_days=%s\n%s\nsigning_key\n' >template && "
             "certtool --generate-certificate --load-privkey %s-key.pem --load-ca-certificate ca-cert.pem "
             "--load-ca-privkey ca-key.pem --template template --outfile %s-cert.pem 2>>log",
             directory, name, days, kind, name, name);
    if (system(script) != 0)
        fail_msg("%s", script);
}

static int make_certificates(void **state)
{
    assert_non_null(mkdtemp(directory));
    run("cd %s && certtool --generate-privkey --key-type ecdsa --outfile ca-key.pem 2>log && "
        "printf 'cn=authority\nca\ncert_signing_key\n' >template && "
        "certtool --generate-self-signed --load-privkey ca-key.pem --template template --outfile ca-cert.pem "
        "2>>log",
        "");
    make_certificate("server", "tls_www_server\ndns_name=localhost", "10");
    make_certificate("client", "tls_www_client", "10");
    return 0;
}

static int remove_certificates(void **state)
{
    run("rm -r %s", "");
    return 0;
}

/* ---- a viewer ---- */

struct tls_viewer {
    int fd;
    gnutls_session_t session; /* NULL: in the clear yet */
    gnutls_certificate_credentials_t certificate;
    gnutls_anon_client_credentials_t anonymous;
};

static void hear(struct tls_viewer *v, void *bytes, size_t length)
{
    for (size_t got = 0; got < length;) {
        ssize_t n = v->session ? gnutls_record_recv(v->session, (char *)bytes + got, length - got)
                               : recv(v->fd, (char *)bytes + got, length - got, 0);

        if (n <= 0)
            fail_msg("the server said %zu bytes of %zu: %zd", got, length, n);
        got += n;
    }
}

static void say(struct tls_viewer *v, const void *bytes, size_t length)
{
    if (v->session)
        assert_int_equal(gnutls_record_send(v->session, bytes, length), length);
    else
        assert_int_equal(send(v->fd, bytes, length, MSG_NOSIGNAL), length);
}

static int port(void)
{
    json_t *vnc = qtest_qmp_ok(q, "{'execute':'query-vnc'}");
    int port = atoi(json_string_value(json_object_get(vnc, "service")));

    assert_string_equal(json_string_value(json_object_get(vnc, "auth")), "vencrypt");
    json_decref(vnc);
    return port;
}

static struct tls_viewer dial(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port())};
    struct timeval limit = {.tv_sec = PATIENCE};
    struct tls_viewer v = {.fd = socket(AF_INET, SOCK_STREAM, 0)};

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(v.fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    setsockopt(v.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return v;
}

static void hang_up(struct tls_viewer *v)
{
    if (v->session)
        gnutls_deinit(v->session);
    if (v->certificate)
        gnutls_certificate_free_credentials(v->certificate);
    if (v->anonymous)
        gnutls_anon_free_client_credentials(v->anonymous);
    close(v->fd);
}

/* Up to the TLS handshake, for a kind that the server offers. */
static struct tls_viewer choose(uint32_t kind)
{
    struct tls_viewer v = dial();
    uint8_t bytes[16], choice[4] = {kind >> 24, kind >> 16, kind >> 8, kind};

    hear(&v, bytes, 12);
    say(&v, "RFB 003.008\n", 12);
    hear(&v, bytes, 2);
    assert_memory_equal(bytes, "\1\x13", 2); /* VeNCrypt and nothing else */
    say(&v, "\x13", 1);
    hear(&v, bytes, 2);
    assert_memory_equal(bytes, "\0\2", 2);
    say(&v, "\0\2", 2);
    hear(&v, bytes, 6);
    assert_memory_equal(bytes, "\0\1", 2);
    assert_memory_equal(bytes + 2, choice, 4);
    say(&v, choice, 4);
    hear(&v, bytes, 1);
    assert_int_equal(bytes[0], 1);
    return v;
}

/* With the certificate of that name, if any. What GnuTLS says of it. */
static int shake_hands(struct tls_viewer *v, bool x509, const char *own)
{
    char path[128], key[128];
    int code;

    gnutls_init(&v->session, GNUTLS_CLIENT);
    if (x509) {
        gnutls_set_default_priority(v->session);
        gnutls_certificate_allocate_credentials(&v->certificate);
        snprintf(path, sizeof(path), "%s/ca-cert.pem", directory);
        assert_int_equal(gnutls_certificate_set_x509_trust_file(v->certificate, path, GNUTLS_X509_FMT_PEM),
                         1);
        if (own) {
            snprintf(path, sizeof(path), "%s/%s-cert.pem", directory, own);
            snprintf(key, sizeof(key), "%s/%s-key.pem", directory, own);
            assert_int_equal(
                gnutls_certificate_set_x509_key_file(v->certificate, path, key, GNUTLS_X509_FMT_PEM), 0);
        }
        gnutls_credentials_set(v->session, GNUTLS_CRD_CERTIFICATE, v->certificate);
        gnutls_session_set_verify_cert(v->session, "localhost", 0);
    } else {
        gnutls_priority_set_direct(v->session, "NORMAL:+ANON-ECDH:+ANON-DH", NULL);
        gnutls_anon_allocate_client_credentials(&v->anonymous);
        gnutls_credentials_set(v->session, GNUTLS_CRD_ANON, v->anonymous);
    }
    gnutls_transport_set_int(v->session, v->fd);
    while ((code = gnutls_handshake(v->session)) < 0 && !gnutls_error_is_fatal(code))
        continue;
    return code;
}

static uint8_t result(struct tls_viewer *v)
{
    uint8_t bytes[4];

    hear(v, bytes, 4);
    return bytes[3];
}

/* From ClientInit on: all of the picture comes, and a key reaches the guest. */
static void expect_session(struct tls_viewer *v)
{
    uint8_t bytes[24], line[4 * 2048];
    unsigned width, height, left;

    say(v, "\1", 1);
    hear(v, bytes, 24);
    width = bytes[0] << 8 | bytes[1];
    height = bytes[2] << 8 | bytes[3];
    hear(v, line, bytes[23]);
    for (int i = 0; i < 3; i++) {
        uint8_t request[10] = {3, 0, 0, 0, 0, 0, width >> 8, width, height >> 8, height};

        say(v, request, sizeof(request));
        for (left = width * height; left;) {
            hear(v, bytes, 4);
            for (unsigned n = bytes[2] << 8 | bytes[3]; n; n--) {
                unsigned w, h;

                hear(v, bytes + 4, 12);
                w = bytes[8] << 8 | bytes[9];
                h = bytes[10] << 8 | bytes[11];
                assert_in_range(w, 1, width);
                for (unsigned y = 0; y < h; y++)
                    hear(v, line, 4 * w);
                left -= w * h;
            }
        }
    }
    say(v, "\4\1\0\0\0\0\0x", 8);
    assert_true(SOON(qtest_inb(q, 0x64) & 1));
    assert_int_equal(qtest_inb(q, 0x60), 0x22); /* set 2, untranslated */
}

/* ---- the server ---- */

static void start(const char *object, const char *options)
{
    unsigned display = 1000 + getpid() % 20000;

    q = qtest_startf("-machine pc -nodefaults -vga std -object %s -vnc 127.0.0.1:%u,to=%u,tls-creds=t%s",
                     object, display, display + 100, options);
}

static void start_x509(const char *rest, const char *options)
{
    char object[256];

    snprintf(object, sizeof(object), "tls-creds-x509,id=t,dir=%s,endpoint=server%s", directory, rest);
    start(object, options);
}

static int tear_down(void **state)
{
    qtest_stop(q);
    q = NULL;
    return 0;
}

static void test_certificate(void **state)
{
    start_x509(",verify-peer=off", "");
    for (int i = 0; i < 3; i++) {
        struct tls_viewer v = choose(X509_NONE);

        assert_int_equal(shake_hands(&v, true, NULL), 0);
        assert_int_equal(result(&v), 0);
        expect_session(&v);
        hang_up(&v);
        assert_true(SOON(qtest_inb(q, 0x64) & 1)); /* x goes up: F0 22 */
        qtest_inb(q, 0x60);
        qtest_inb(q, 0x60);
    }
}

static void test_anonymous(void **state)
{
    struct tls_viewer v;

    start("tls-creds-anon,id=t,endpoint=server", "");
    v = choose(TLS_NONE);
    assert_int_equal(shake_hands(&v, false, NULL), 0);
    assert_int_equal(result(&v), 0);
    expect_session(&v);
    hang_up(&v);
}

static void test_password_inside(void **state)
{
    static const uint8_t wrong[16];
    uint8_t challenge[16];
    struct tls_viewer v;

    start_x509(",verify-peer=off", ",password=on");
    json_decref(qtest_qmp_ok(q, "{'execute':'change-vnc-password','arguments':{'password':'secret'}}"));
    v = choose(X509_VNC);
    assert_int_equal(shake_hands(&v, true, NULL), 0);
    hear(&v, challenge, 16);
    say(&v, wrong, 16);
    assert_int_equal(result(&v), 1);
    hang_up(&v);
    v = choose(X509_VNC);
    assert_int_equal(shake_hands(&v, true, NULL), 0);
    hear(&v, challenge, 16);
    say(&v, challenge, 16);
    assert_int_equal(result(&v), 1);
    hang_up(&v);
}

/* Viewers show a certificate of the authority, or are refused. */
static void test_viewers_certificates(void **state)
{
    uint8_t byte;
    struct tls_viewer v;

    start_x509("", "");
    v = choose(X509_NONE);
    assert_int_equal(shake_hands(&v, true, "client"), 0);
    assert_int_equal(result(&v), 0);
    expect_session(&v);
    hang_up(&v);
    v = choose(X509_NONE);
    /* TLS 1.3 tells after the viewer's side of the handshake. */
    assert_true(shake_hands(&v, true, NULL) < 0 || gnutls_record_recv(v.session, &byte, 1) < 0);
    hang_up(&v);
}

/* What is no TLS, half of it, other kinds and versions: the next viewer gets in. */
static void test_no_tls(void **state)
{
    static const char *const openings[] = {"RFB 003.003\n", "RFB 003.008\n\1", "RFB 003.008\n\2",
                                           "RFB 003.008\n\x13\1\1"};
    uint8_t bytes[4096];
    struct tls_viewer v;

    start_x509(",verify-peer=off", "");
    for (size_t i = 0; i < sizeof(openings) / sizeof(openings[0]); i++) {
        v = dial();
        say(&v, openings[i], strlen(openings[i]));
        shutdown(v.fd, SHUT_WR);
        while (recv(v.fd, bytes, sizeof(bytes), 0) > 0)
            continue;
        hang_up(&v);
    }
    for (unsigned i = 0; i < 20; i++) {
        v = choose(X509_NONE);
        for (unsigned k = 0; k < sizeof(bytes); k++)
            bytes[k] = k * (i + 3) >> (i % 5);
        if (i % 2)
            memcpy(bytes, "\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03", 11);
        send(v.fd, bytes, 1 + i * 200, MSG_NOSIGNAL);
        hang_up(&v);
    }
    v = choose(X509_NONE);
    assert_int_equal(shake_hands(&v, true, NULL), 0);
    assert_int_equal(result(&v), 0);
    send(v.fd, bytes, sizeof(bytes), MSG_NOSIGNAL); /* records that are none, in the middle of a session */
    while (recv(v.fd, bytes, sizeof(bytes), 0) > 0)
        continue;
    hang_up(&v);
    v = choose(X509_NONE);
    assert_int_equal(shake_hands(&v, true, NULL), 0);
    assert_int_equal(result(&v), 0);
    expect_session(&v);
    hang_up(&v);
}

/* ---- what is refused at start ---- */

static void expect_refused(const char *options, const char *words)
{
    char command[1024], line[1024] = "";
    FILE *pipe;

    snprintf(command, sizeof(command), "timeout 20 $HVM_DM -machine none -display none %s 2>&1 </dev/null",
             options);
    pipe = popen(command, "r");
    if (!fgets(line, sizeof(line), pipe) || !strstr(line, words))
        fail_msg("%s: '%s' does not say '%s'", options, line, words);
    assert_int_not_equal(pclose(pipe), 0);
}

static void test_bad_credentials(void **state)
{
    char options[512];

    expect_refused("-object tls-creds-x509,id=t,endpoint=server", "dir= is missing");
    expect_refused("-object tls-creds-x509,id=t,dir=/nowhere,endpoint=server",
                   "/nowhere/server-cert.pem: No such file");
    expect_refused("-object tls-creds-anon,id=t,endpoint=client", "endpoint=server");
    expect_refused("-object tls-creds-anon,id=t,priority=NONSENSE", "NONSENSE");
    expect_refused("-vnc :9,tls-creds=t", "id=t");
    run("mkdir %s/other && cd %1$s/other && cp ../ca-cert.pem ../server-cert.pem . && cp ../client-key.pem "
        "server-key.pem",
        "");
    snprintf(options, sizeof(options), "-object tls-creds-x509,id=t,endpoint=server,dir=%s/other", directory);
    expect_refused(options, "server-key.pem");
    run("cd %s && echo nothing >other/server-cert.pem", "");
    expect_refused(options, "server-cert.pem");
    make_certificate("old", "tls_www_server\nactivation_date=2001-01-01\nexpiration_date=2002-01-01", "1");
    run("cd %s && cp old-cert.pem other/server-cert.pem && cp old-key.pem other/server-key.pem", "");
    expect_refused(options, "expired");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_certificate, tear_down),
        cmocka_unit_test_teardown(test_anonymous, tear_down),
        cmocka_unit_test_teardown(test_password_inside, tear_down),
        cmocka_unit_test_teardown(test_viewers_certificates, tear_down),
        cmocka_unit_test_teardown(test_no_tls, tear_down),
        cmocka_unit_test(test_bad_credentials),
    };

    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
