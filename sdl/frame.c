/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The window on its desktop: title, size, cursor; what it holds of keyboard and pointer. */
#include <stdio.h>

#include "base/util.h"
#include "sdl/window.h"

/* ---- keyboard and pointer ---- */

void window_let_go(struct window *w)
{
    for (size_t i = 0; i < COUNT(w->held); i++)
        w->held[i] = w->modifier[i] = false;
    w->buttons = 0;
    w->chord = false;
    sdl_put_input(w->sdl, &(struct sdl_input){.kind = SDL_INPUT_RELEASE});
}

/* The cursor over the window, by what the pointer does. */
static void window_choose_cursor(struct window *w)
{
    bool dot = w->absolute && !w->sdl->options.show_cursor && w->dot;

    w->lib.SDL_SetCursor(dot ? w->dot : w->arrow);
}

void window_set_absolute(struct window *w, bool absolute)
{
    if (w->absolute == absolute)
        return;
    window_grab(w, false);
    w->absolute = absolute;
    window_choose_cursor(w);
}

void window_grab(struct window *w, bool grab)
{
    if (w->grabbed == grab)
        return;
    w->grabbed = grab;
    w->retitle = true;
    w->lib.SDL_SetRelativeMouseMode(grab && !w->absolute);
    w->lib.SDL_SetWindowKeyboardGrab(w->window, grab);
}

/* ---- title and size ---- */

static const char *window_release_keys(const struct window *w)
{
    switch (w->sdl->options.grab_mod) {
    case SDL_GRAB_RIGHT_CTRL:
        return "right Ctrl";
    case SDL_GRAB_SHIFT_CTRL_ALT:
        return "Shift-Ctrl-Alt";
    default:
        return "Ctrl-Alt";
    }
}

void window_set_title(struct window *w)
{
    char title[256];

    w->retitle = false;
    snprintf(title, sizeof(title), "%s%s%s%s%s%s%s", w->sdl->name, *w->state ? " (" : "", w->state,
             *w->state ? ")" : "", w->grabbed ? " - " : "", w->grabbed ? window_release_keys(w) : "",
             w->grabbed ? " releases the pointer" : "");
    w->lib.SDL_SetWindowTitle(w->window, title);
}

/* What nobody sees need not be drawn. */
static void window_tell_visible(struct window *w)
{
    struct sdl *sdl = w->sdl;

    pthread_mutex_lock(&sdl->lock);
    sdl->visible = !w->hidden && !w->iconified;
    sdl_ask(sdl);
    pthread_mutex_unlock(&sdl->lock);
}

void window_set_iconified(struct window *w, bool iconified)
{
    w->iconified = iconified;
    window_tell_visible(w);
}

void window_show(struct window *w, bool visible)
{
    w->hidden = !visible;
    if (visible) {
        w->lib.SDL_ShowWindow(w->window);
        w->lib.SDL_RestoreWindow(w->window);
        w->lib.SDL_RaiseWindow(w->window);
        w->iconified = false;
        w->redraw = true;
    } else {
        window_let_go(w);
        window_grab(w, false);
        window_set_full_screen(w, false);
        w->lib.SDL_HideWindow(w->window);
    }
    window_tell_visible(w);
}

void window_set_full_screen(struct window *w, bool full_screen)
{
    if (w->full_screen == full_screen)
        return;
    w->full_screen = full_screen;
    w->lib.SDL_SetWindowFullscreen(w->window, full_screen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
    w->redraw = true;
    if (!full_screen)
        window_fit(w);
}

static void window_ask_size(struct window *w, int width, int height)
{
    unsigned at = w->asked_count++ % SIZES_ASKED;

    w->asked[at].width = width;
    w->asked[at].height = height;
    w->lib.SDL_SetWindowSize(w->window, width, height);
}

void window_note_size(struct window *w, int width, int height)
{
    bool ours = w->full_screen;

    for (unsigned i = 0; i < SIZES_ASKED; i++)
        ours |= w->asked[i].width == width && w->asked[i].height == height;
    if (!ours)
        w->zoom = 0;
    w->redraw = true;
}

void window_fit(struct window *w)
{
    int64_t width = (int64_t)w->texture_width * w->zoom / 100;
    int64_t height = (int64_t)w->texture_height * w->zoom / 100;

    w->redraw = true;
    if (w->zoom && w->texture && !w->full_screen)
        window_ask_size(w, width > 0 ? width : 1, height > 0 ? height : 1);
}
