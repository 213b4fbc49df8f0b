/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The X server below SDL: how to sleep until it says something, and how to outlive it. Xlib ends the process
 * when the server is gone or finds a mistake; the guest is not to die with somebody's desktop.
 */
#ifndef SDL_X11_H
#define SDL_X11_H

#include <stdbool.h>

#include "base/error.h"
#include "sdl/sdl_library.h"

struct x11 {
    Display *display; /* SDL's; NULL: not known yet */
    int (*pending)(Display *display);
    int (*connection)(Display *display);
    void (*unlock)(Display *display);
    void (*set_exit_handler)(Display *display, XIOErrorExitHandler handler, void *opaque);
    bool gone; /* the server is: nothing of SDL or Xlib is to be called any more */
};

/*
 * Calls function, in which SDL connects to the server. False: the server went away meanwhile, and what the
 * function did stays half done. Without an x11_watch since, a later death ends the process.
 */
bool x11_survive(struct x11 *x, void (*function)(void *opaque), void *opaque, struct error *err);
/* From now on the death of the server only sets gone; the SDL call in which it shows returns. */
bool x11_watch(struct x11 *x, const struct SDL_SysWMinfo *info, struct error *err);
/* The server said something that SDL did not take yet. May show that it is gone. */
bool x11_pending(struct x11 *x);
/* To be polled for. */
int x11_fd(const struct x11 *x);

#endif
