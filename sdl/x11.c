/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sdl/x11.h"

#include <dlfcn.h>
#include <setjmp.h>

/* Where this thread goes on when the server dies before its display is watched. */
static _Thread_local sigjmp_buf *x11_escape;

static int x11_mistake(Display *display, XErrorEvent *event)
{
    return 0; /* one request was refused; what is seen may be wrong, and that is all */
}

static int x11_dead(Display *display)
{
    if (x11_escape)
        siglongjmp(*x11_escape, 1);
    return 0;
}

/* Xlib locked the display for good, for its end was to be the process's; at that OpenGL's libraries would
 * wait for it. */
static void x11_note_death(Display *display, void *opaque)
{
    struct x11 *x = opaque;

    x->gone = true;
    x->unlock(display);
}

static bool x11_load(struct x11 *x, struct error *err)
{
    void *handle = dlopen("libX11.so.6", RTLD_NOW | RTLD_LOCAL);
    typeof(XSetErrorHandler) *on_mistake = handle ? dlsym(handle, "XSetErrorHandler") : NULL;
    typeof(XSetIOErrorHandler) *on_death = handle ? dlsym(handle, "XSetIOErrorHandler") : NULL;

    x->pending = handle ? dlsym(handle, "XPending") : NULL;
    x->connection = handle ? dlsym(handle, "XConnectionNumber") : NULL;
    x->set_exit_handler = handle ? dlsym(handle, "XSetIOErrorExitHandler") : NULL;
    x->unlock = handle ? dlsym(handle, "XUnlockDisplay") : NULL;
    if (!on_mistake || !on_death || !x->unlock || !x->pending || !x->connection || !x->set_exit_handler)
        return error_set(err, "%s (Debian package libx11-6, 1.7 or later)", dlerror());
    on_mistake(x11_mistake);
    on_death(x11_dead);
    return true;
}

bool x11_survive(struct x11 *x, void (*function)(void *opaque), void *opaque, struct error *err)
{
    sigjmp_buf escape;
    bool alive = false;

    if (!x11_load(x, err))
        return false;
    if (sigsetjmp(escape, 0) == 0) {
        x11_escape = &escape;
        function(opaque);
        alive = true;
    } else {
        error_set(err, "the X server went away");
    }
    x11_escape = NULL;
    return alive;
}

bool x11_watch(struct x11 *x, const struct SDL_SysWMinfo *info, struct error *err)
{
    if (info->subsystem != SDL_SYSWM_X11)
        return error_set(err, "the window is not the X server's");
    x->display = info->info.x11.display;
    x->set_exit_handler(x->display, x11_note_death, x);
    return true;
}

bool x11_pending(struct x11 *x)
{
    return x->pending(x->display) > 0 && !x->gone;
}

int x11_fd(const struct x11 *x)
{
    return x->connection(x->display);
}
