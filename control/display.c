/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/display.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "control/objects.h"
#include "control/window.h"
#include "ioreq/ioreq.h"
#include "vnc/vnc.h"

/* ---- options ---- */

static const char *const vnc_keys[] = {"address",
                                       "to",
                                       "password",
                                       "password-secret",
                                       "view-password-secret",
                                       "share",
                                       "lock-key-sync",
                                       "tls-creds",
                                       "websocket",
                                       "novnc-path",
                                       "id",
                                       NULL};

static bool apply_vnc(struct options *o, const char *option, const char *arg, struct error *err)
{
    struct opts *opts;

    if (!strcmp(arg, "none")) {
        o->display = DISPLAY_NONE;
        return true;
    }
    opts = opts_parse(option, arg, "address", vnc_keys, err);
    if (!opts)
        return false;
    opts_free(o->vnc);
    o->vnc = opts;
    o->display = DISPLAY_VNC;
    return true;
}

static bool apply_sdl(struct options *o, const char *option, const char *arg, struct error *err)
{
    return window_option(o, "-display", "sdl", err);
}

/* The kind of display before the first comma is this one. */
static bool is_display(const char *arg, const char *kind)
{
    size_t length = strlen(kind);

    return !strncmp(arg, kind, length) && (arg[length] == '\0' || arg[length] == ',');
}

static bool apply_display(struct options *o, const char *option, const char *arg, struct error *err)
{
    static const char *const known[] = {"none", "sdl", "vnc", NULL};

    if (!strncmp(arg, "vnc=", 4))
        return apply_vnc(o, "-display vnc", arg + 4, err);
    if (is_display(arg, "sdl"))
        return window_option(o, option, arg, err);
    if (strcmp(arg, "none"))
        return unknown_name(err, "display", arg, known) || error_prefix(err, "-display");
    if (o->display != DISPLAY_VNC)
        o->display = DISPLAY_NONE;
    opts_free(o->window);
    o->window = NULL;
    return true;
}

static bool apply_full_screen(struct options *o, const char *option, const char *arg, struct error *err)
{
    if (!o->window && !window_option(o, "-display", "sdl", err))
        return false;
    opts_add(o->window, "full-screen", "on");
    return true;
}

const struct option display_option_rows[] = {
    FUNCTION("vnc",
             "ADDRESS:DISPLAY[,to=N][,password=on][,password-secret=ID][,view-password-secret=ID][,tls-creds="
             "ID][,websocket=on|PORT][,"
             "novnc-path=DIR]"
             "[,share=POLICY]|none",
             apply_vnc,
             "serve the screen to VNC viewers (default localhost:0,to=99); to: take the first free display "
             "up to N; view-password-secret: who knows that one looks on only; websocket: and to browsers, "
             "at http://ADDRESS:PORT/ (on: 5700 + DISPLAY), https with "
             "tls-creds; the page is noVNC's, in DIR"),
    FUNCTION(
        "display",
        "none|vnc=...|sdl[,gl=off][,window-close=hide|on|off][,grab-mod=MOD][,show-cursor=on]"
        "[,full-screen=on]",
        apply_display,
        "no screen; the same as -vnc; or a window on this host, beside VNC where -vnc is given. It goes on "
        "without the window when that is closed (on: it ends); gl=off: drawn without OpenGL; MOD: the keys "
        "that command the window, lctrl-lalt (default), lshift-lctrl-lalt or rctrl"),
    FUNCTION("sdl", NULL, apply_sdl, "the same as -display sdl"),
    FUNCTION("full-screen", NULL, apply_full_screen, "the window fills the screen"),
    FLAG("nographic", nographic, "no screen; the first serial line and the monitor are the terminal"),
    TEXT("k", "LAYOUT", keyboard_layout,
         "the guest's keyboard layout: one of xkeyboard-config, such as de, fr or us(intl) (default en-us)"),
    OPTIONS_END};

/* ---- the viewers' server ---- */

bool display_check(const struct control *c, struct error *err)
{
    const struct options *o = &c->options;
    bool viewers = o->display == DISPLAY_VNC; /* whose server reads the layout itself */

    return window_check(c, err) &&
           (viewers || !o->keyboard_layout || vnc_layout_check(o->keyboard_layout, err));
}

/* A password from a file; it is wiped by the one who called. */
static bool read_secret(struct control *c, const char *id, char password[256], struct error *err)
{
    const char *path = objects_secret_file(c, id);
    FILE *file;
    bool ok;

    if (!path)
        return error_set(err, "there is no -object secret with id=%s and file=", id);
    file = fopen(path, "re");
    ok = file && fgets(password, 256, file);
    if (file)
        fclose(file);
    if (!ok)
        return error_set(err, "%s: no password can be read from it", path);
    password[strcspn(password, "\r\n")] = '\0';
    return true;
}

static bool load_vnc_password(struct control *c, const char *id,
                              bool (*set)(struct vnc *vnc, const char *password, struct error *err),
                              struct error *err)
{
    char password[256];
    bool ok = !id || (read_secret(c, id, password, err) && set(c->vnc, password, err));

    explicit_bzero(password, sizeof(password));
    return ok;
}

static bool parse_share(const struct opts *opts, enum vnc_share *share, struct error *err)
{
    static const char *const names[] = {[VNC_SHARE_ALLOW_EXCLUSIVE] = "allow-exclusive",
                                        [VNC_SHARE_FORCE_SHARED] = "force-shared",
                                        [VNC_SHARE_IGNORE] = "ignore",
                                        NULL};
    const char *text = opts_get(opts, "share");

    for (size_t i = 0; text && names[i]; i++)
        if (!strcmp(text, names[i])) {
            *share = i;
            return true;
        }
    return !text || unknown_name(err, "share policy", text, names) ||
           error_prefix(err, "%s %s", opts->option, opts->text);
}

void display_tell_port(struct control *c)
{
    struct vnc_info *info = c->vnc_searched ? malloc(sizeof(*info)) : NULL;

    if (!info)
        return;
    vnc_query(c->vnc, info);
    log_line("VNC server running on %s:%s", info->server.host, info->server.service);
    free(info);
}

static bool parse_websocket(const struct opts *opts, struct vnc_options *options, struct error *err)
{
    const char *text = opts_get(opts, "websocket");
    uint64_t port = 0;

    if (!text || text[0] < '0' || text[0] > '9')
        return opts_bool(opts, "websocket", &options->websocket, err);
    options->websocket = true;
    if (!opts_number(opts, "websocket", 1, 65535, &port, err))
        return false;
    options->websocket_port = port;
    return true;
}

static bool start_vnc(struct control *c, const struct opts *opts, struct error *err)
{
    const char *secret = opts_get(opts, "password-secret"), *tls = opts_get(opts, "tls-creds");
    const char *view = opts_get(opts, "view-password-secret");
    struct vnc_options options = {
        .address = opts_get(opts, "address"),
        .layout = c->options.keyboard_layout,
        .layout_now = c->options.chroot,
        .name = c->m.config.name[0] ? c->m.config.name : NULL,
        .lock_key_sync = true,
        .password = secret || view,
    };
    uint64_t to = 0;

    if (!options.address)
        return opts_error(opts, err, "ADDRESS:DISPLAY is missing");
    if (!opts_number(opts, "to", 0, 65535 - VNC_BASE_PORT, &to, err) ||
        !opts_bool(opts, "password", &options.password, err) ||
        !opts_bool(opts, "lock-key-sync", &options.lock_key_sync, err) ||
        !parse_share(opts, &options.share, err))
        return false;
    options.to = to;
    options.novnc_path = opts_get(opts, "novnc-path");
    if (!parse_websocket(opts, &options, err))
        return false;
    if (tls && !(options.tls = objects_open_tls(c, tls, err)))
        return error_prefix(err, "%s", opts->option);
    c->vnc = vnc_start(&c->m.loop, c->backends.console, &options, err);
    if (!c->vnc || !load_vnc_password(c, secret, vnc_set_password, err) ||
        !load_vnc_password(c, view, vnc_set_view_password, err))
        return error_prefix(err, "%s", opts->option);
    c->vnc_searched = to;
    return true;
}

/* Where nobody said what to do with the screen, a viewer finds it. */
static bool start_default_vnc(struct control *c, struct error *err)
{
    struct opts *opts = opts_parse("-vnc", "localhost:0,to=99", "address", NULL, err);
    bool ok = opts && start_vnc(c, opts, err);

    opts_free(opts);
    return ok;
}

bool display_start(struct control *c, struct error *err)
{
    struct options *o = &c->options;

    if (!window_start(c, err))
        return false;
    if (o->display == DISPLAY_VNC)
        return start_vnc(c, o->vnc, err);
    if (o->display == DISPLAY_NONE || o->nographic || o->board == BOARD_NONE || c->m.accel == &qtest_accel)
        return true;
    return start_default_vnc(c, err);
}
