/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/window.h"

#include <string.h>

#include "base/log.h"

static const char *const window_keys[] = {"type",        "gl",          "grab-mod", "window-close",
                                          "show-cursor", "full-screen", NULL};

bool window_option(struct options *o, const char *option, const char *arg, struct error *err)
{
    struct opts *opts = opts_parse(option, arg, "type", window_keys, err);

    if (!opts)
        return false;
    opts_free(o->window);
    o->window = opts;
    if (o->display == DISPLAY_DEFAULT)
        o->display = DISPLAY_NONE;
    return true;
}

#ifdef HAVE_SDL
#include "sdl/sdl.h"

static const char *const grab_mods[] = {[SDL_GRAB_CTRL_ALT] = "lctrl-lalt",
                                        [SDL_GRAB_SHIFT_CTRL_ALT] = "lshift-lctrl-lalt",
                                        [SDL_GRAB_RIGHT_CTRL] = "rctrl",
                                        NULL};
static const char *const closes[] = {
    [SDL_CLOSE_HIDES] = "hide", [SDL_CLOSE_ENDS] = "on", [SDL_CLOSE_NOTHING] = "off", NULL};

/* The place of a value among the names; false: it is none of them. */
static bool window_choice(const struct opts *opts, const char *key, const char *const *names,
                          unsigned *choice, struct error *err)
{
    const char *text = opts_get(opts, key);

    for (unsigned i = 0; text && names[i]; i++)
        if (!strcmp(text, names[i])) {
            *choice = i;
            return true;
        }
    return !text || unknown_name(err, key, text, names) ||
           error_prefix(err, "%s %s", opts->option, opts->text);
}

static void window_closed(void *opaque)
{
    struct control *c = opaque;

    c->shutdown_reason = "host-ui";
    machine_request_shutdown(&c->m, false);
}

static bool window_options(const struct opts *opts, struct sdl_options *options, struct error *err)
{
    unsigned grab_mod = SDL_GRAB_CTRL_ALT, close = SDL_CLOSE_HIDES;
    bool gl = true;

    if (!opts_bool(opts, "gl", &gl, err) || !opts_bool(opts, "show-cursor", &options->show_cursor, err) ||
        !opts_bool(opts, "full-screen", &options->full_screen, err) ||
        !window_choice(opts, "grab-mod", grab_mods, &grab_mod, err) ||
        !window_choice(opts, "window-close", closes, &close, err))
        return false;
    options->grab_mod = grab_mod;
    options->close = close;
    options->software = !gl;
    return true;
}

bool window_check(const struct control *c, struct error *err)
{
    struct sdl_options options = {.name = NULL};

    return !c->options.window || window_options(c->options.window, &options, err);
}

static bool window_open(struct control *c, const struct opts *opts, bool wait, struct error *err)
{
    struct sdl_options options = {
        .name = c->m.config.name[0] ? c->m.config.name : NULL, .closed = window_closed, .opaque = c};

    if (!window_options(opts, &options, err))
        return false;
    c->window = sdl_start(&c->m.loop, c->backends.console, &options, wait, err);
    if (!c->window)
        return error_prefix(err, "%s %s", opts->option, opts->text);
    sdl_set_state(c->window, c->m.state == RUN_RUNNING ? "running" : "stopped");
    return true;
}

bool window_start(struct control *c, struct error *err)
{
    return !c->options.window || window_open(c, c->options.window, true, err);
}

void window_stop(struct control *c)
{
    if (c->window)
        c->window_left = !sdl_stop(c->window);
    c->window = NULL;
}

bool window_add(struct control *c, struct opts *opts, struct error *err)
{
    bool ok;

    if (c->window)
        ok = sdl_show(c->window, err);
    else if (opts || c->options.window)
        ok = window_open(c, opts ? opts : c->options.window, false, err);
    else
        ok = error_set(err, "there is no window: -display sdl was not given");
    opts_free(opts);
    return ok;
}

void window_machine_event(struct control *c, enum machine_event event)
{
    if (!c->window)
        return;
    if (event == EVENT_SUSPEND)
        sdl_set_state(c->window, "asleep");
    else if (event == EVENT_RESUME || event == EVENT_WAKEUP)
        sdl_set_state(c->window, "running");
    else if (event == EVENT_STOP || event == EVENT_RESET)
        sdl_set_state(c->window, c->m.state == RUN_RUNNING    ? "running"
                                 : c->m.state == RUN_SHUTDOWN ? "switched off"
                                                              : "stopped");
}

#else

bool window_check(const struct control *c, struct error *err)
{
    return !c->options.window ||
           error_set(err, "%s sdl: this hvm-dm was built without windows (configure found no SDL2); use VNC",
                     c->options.window->option);
}

bool window_start(struct control *c, struct error *err)
{
    return true;
}

void window_stop(struct control *c)
{
}

bool window_add(struct control *c, struct opts *opts, struct error *err)
{
    opts_free(opts);
    return error_set(err, "this hvm-dm was built without windows");
}

void window_machine_event(struct control *c, enum machine_event event)
{
}

#endif

void window_show_asked(struct control *c)
{
    struct error err;

    if (!window_add(c, NULL, &err))
        log_limited("-show: %s", err.text);
}
