/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The window's thread: opens the window, then sleeps until the X server or the machine thread says something.
 * Not in SDL_WaitEvent: to wake that, the machine thread would have to write to the X server, which may
 * stall.
 */
#include "sdl/window.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "sdl/icon.h"

enum {
    FIRST_WIDTH = 640,
    FIRST_HEIGHT = 480,
    SETTLE_MS = 250, /* longer than SDL puts anything off */
};

/* ---- opening ---- */

static void window_set_hints(struct window *w)
{
    const struct {
        const char *name, *value;
    } hints[] = {
        {SDL_HINT_VIDEODRIVER, "x11"},
        {SDL_HINT_NO_SIGNAL_HANDLERS, "1"},
        {SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1"},
        {SDL_HINT_MOUSE_FOCUS_CLICKTHROUGH, "1"},
        {SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0"},
        {SDL_HINT_RENDER_DRIVER, w->sdl->options.software ? "software" : "opengl"},
        {SDL_HINT_FRAMEBUFFER_ACCELERATION, w->sdl->options.software ? "0" : "1"},
    };

    for (size_t i = 0; i < COUNT(hints); i++)
        w->lib.SDL_SetHint(hints[i].name, hints[i].value);
}

static SDL_Surface *window_surface(struct window *w, uint32_t *pixels, int size)
{
    return w->lib.SDL_CreateRGBSurfaceFrom(pixels, size, size, 32, 4 * size, 0xFF0000, 0xFF00, 0xFF,
                                           0xFF000000);
}

static void window_dress(struct window *w)
{
    uint32_t icon[ICON_SIZE * ICON_SIZE] = {0}, dot[DOT_SIZE * DOT_SIZE];
    SDL_Surface *surface;

    icon_draw(icon);
    surface = window_surface(w, icon, ICON_SIZE);
    w->lib.SDL_SetWindowIcon(w->window, surface);
    w->lib.SDL_FreeSurface(surface);
    dot_draw(dot);
    surface = window_surface(w, dot, DOT_SIZE);
    w->arrow = w->lib.SDL_GetDefaultCursor();
    w->dot = w->lib.SDL_CreateColorCursor(surface, DOT_SIZE / 2, DOT_SIZE / 2);
    w->lib.SDL_FreeSurface(surface);
}

/* Also where OpenGL was wished for and is not there. */
static SDL_Renderer *window_make_renderer(struct window *w)
{
    SDL_Renderer *renderer = w->lib.SDL_CreateRenderer(w->window, -1, 0);

    if (renderer)
        return renderer;
    w->lib.SDL_SetHint(SDL_HINT_RENDER_DRIVER, "software");
    return w->lib.SDL_CreateRenderer(w->window, -1, 0);
}

static bool window_make(struct window *w, struct error *err)
{
    struct SDL_SysWMinfo info;

    SDL_VERSION(&info.version);
    window_set_hints(w);
    if (w->lib.SDL_Init(SDL_INIT_VIDEO) < 0)
        return error_set(err, "the X server %s cannot be used: %s", getenv("DISPLAY"), w->lib.SDL_GetError());
    w->lib.SDL_StopTextInput();
    w->window = w->lib.SDL_CreateWindow(w->sdl->name, SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED,
                                        FIRST_WIDTH, FIRST_HEIGHT, SDL_WINDOW_RESIZABLE | SDL_WINDOW_HIDDEN);
    if (!w->window || !w->lib.SDL_GetWindowWMInfo(w->window, &info))
        return error_set(err, "no window: %s", w->lib.SDL_GetError());
    if (!x11_watch(&w->x11, &info, err))
        return false;
    w->renderer = window_make_renderer(w);
    if (!w->renderer)
        return error_set(err, "nothing can be drawn in the window: %s", w->lib.SDL_GetError());
    window_dress(w);
    window_show(w, true);
    window_set_full_screen(w, w->sdl->options.full_screen);
    return true;
}

static void window_open(void *opaque)
{
    struct window *w = opaque;
    struct sdl *sdl = w->sdl;
    struct error why = {.text = ""};
    bool ok = window_make(w, &why);

    pthread_mutex_lock(&sdl->lock);
    sdl->why = why;
    if (ok && !w->x11.gone)
        sdl->stage = SDL_OPEN;
    pthread_cond_broadcast(&sdl->changed);
    sdl_ask(sdl);
    pthread_mutex_unlock(&sdl->lock);
    w->quit = !ok;
}

/* ---- its course ---- */

/* A picture that is shown no more goes back to the machine thread; lock held. */
static void window_give_back(struct window *w)
{
    if (!w->picture)
        return;
    w->picture->next = w->sdl->done;
    w->sdl->done = w->picture;
    sdl_ask(w->sdl);
}

/* What the machine thread wants. */
static void window_take(struct window *w)
{
    struct sdl *sdl = w->sdl;
    struct sdl_picture *next;
    pixman_region32_t dirty;
    bool show, absolute;

    pixman_region32_init(&dirty);
    pthread_mutex_lock(&sdl->lock);
    sdl->woken = false;
    w->quit = sdl->quit;
    show = sdl->show;
    sdl->show = false;
    absolute = sdl->absolute;
    w->retitle |= sdl->retitle;
    sdl->retitle = false;
    memcpy(w->state, sdl->state, sizeof(w->state));
    next = sdl->next;
    sdl->next = NULL;
    if (next)
        window_give_back(w);
    pixman_region32_copy(&dirty, &sdl->dirty);
    pixman_region32_clear(&sdl->dirty);
    pthread_mutex_unlock(&sdl->lock);
    if (show)
        window_show(w, true);
    window_set_absolute(w, absolute);
    if (next) {
        drawing_take_picture(w, next);
        pixman_region32_union_rect(&dirty, &dirty, 0, 0, next->width, next->height);
    }
    drawing_update(w, &dirty);
    pixman_region32_fini(&dirty);
}

static void window_serve(struct window *w)
{
    SDL_Event event;

    while (!w->x11.gone && w->lib.SDL_PollEvent(&event))
        window_handle_event(w, &event);
    if (!w->x11.gone && w->retitle)
        window_set_title(w);
    if (!w->x11.gone && w->redraw && !w->hidden && !w->iconified)
        drawing_show(w);
}

static void window_sleep(struct window *w)
{
    struct pollfd fds[] = {{x11_fd(&w->x11), POLLIN, 0}, {w->sdl->wake_fd, POLLIN, 0}};
    int ready = poll(fds, COUNT(fds), w->settling ? SETTLE_MS : -1);
    uint64_t count;

    w->settling = ready > 0 && fds[0].revents;
    if (ready > 0 && fds[1].revents && read(w->sdl->wake_fd, &count, sizeof(count)) < 0)
        return; /* it was taken already */
}

static void window_run(struct window *w)
{
    for (;;) {
        window_take(w);
        if (w->quit)
            return;
        window_serve(w);
        /* Drawing makes the server speak, and reading its answer may take an event along. */
        if (!w->x11.gone && !x11_pending(&w->x11) && !w->x11.gone)
            window_sleep(w);
        if (w->x11.gone)
            return;
    }
}

static void window_close(struct window *w)
{
    if (w->texture)
        w->lib.SDL_DestroyTexture(w->texture);
    if (w->renderer)
        w->lib.SDL_DestroyRenderer(w->renderer);
    w->lib.SDL_Quit();
}

/* From its first word to SDL to the last. */
static void window_live(struct window *w, struct error *why)
{
    if (!sdl_library_load(&w->lib, why) || !x11_survive(&w->x11, window_open, w, why))
        return;
    if (!w->quit)
        window_run(w);
    if (w->x11.gone)
        error_set(why, "the X server went away");
    else
        window_close(w);
}

static void window_end(struct sdl *sdl, const struct error *why)
{
    pthread_mutex_lock(&sdl->lock);
    sdl->stage = SDL_GONE;
    sdl->visible = false;
    if (!sdl->why.text[0])
        sdl->why = *why;
    pthread_cond_broadcast(&sdl->changed);
    sdl_ask(sdl);
    pthread_mutex_unlock(&sdl->lock);
}

void *window_main(void *opaque)
{
    struct window *w = calloc(1, sizeof(*w));
    struct error why = {.text = "out of memory"};

    if (w) {
        why.text[0] = '\0';
        *w = (struct window){.sdl = opaque, .zoom = 100, .retitle = true};
        window_live(w, &why);
        pthread_mutex_lock(&w->sdl->lock);
        window_give_back(w);
        pthread_mutex_unlock(&w->sdl->lock);
        free(w);
    }
    window_end(opaque, &why);
    return NULL;
}
