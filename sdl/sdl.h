/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A window on this host's X server: a view of the console, with keyboard and mouse. SDL2's.
 *
 * A thread of its own talks to SDL and the X server, so that a server that stalls or dies costs the guest
 * nothing. All functions here are called on the machine thread, machine lock held.
 */
#ifndef SDL_SDL_H
#define SDL_SDL_H

#include <stdbool.h>

#include "base/error.h"
#include "base/loop.h"
#include "console/console.h"

/* What is held to command the window and not the guest. */
enum sdl_grab_mod { SDL_GRAB_CTRL_ALT, SDL_GRAB_SHIFT_CTRL_ALT, SDL_GRAB_RIGHT_CTRL };

/* What closing it does. */
enum sdl_close { SDL_CLOSE_HIDES, SDL_CLOSE_ENDS, SDL_CLOSE_NOTHING };

struct sdl_options {
    const char *name; /* in the title, copied; NULL: "hvm-dm" */
    enum sdl_grab_mod grab_mod;
    enum sdl_close close;
    bool software;    /* scaled by this processor, not by OpenGL */
    bool show_cursor; /* the desktop's cursor over the guest's as well */
    bool full_screen;
    void (*closed)(void *opaque); /* SDL_CLOSE_ENDS: it was closed */
    void *opaque;
};

struct sdl;

/*
 * Begins to open the window. wait: for as long as that takes, at most some seconds; without it, and for what
 * goes wrong later, the log has a line. NULL with *err: one line.
 */
struct sdl *sdl_start(struct loop *loop, struct console *con, const struct sdl_options *options, bool wait,
                      struct error *err);
/*
 * Closes the window. Waits a moment for its thread; false: the X server holds it up, and it is left behind.
 * Then exit() may hang in the libraries that it uses.
 */
bool sdl_stop(struct sdl *sdl);

/* Brings it back after it was closed, and before other windows. False with *err: its X server is gone. */
bool sdl_show(struct sdl *sdl, struct error *err);
/* For the title: "running". */
void sdl_set_state(struct sdl *sdl, const char *state);

#endif
