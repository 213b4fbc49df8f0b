/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the machine thread's side (sdl.c) and the window's thread share, and what the latter's files have
 * among themselves: window.c its course, events.c people's doings, drawing.c the picture, frame.c title and
 * size.
 */
#ifndef SDL_WINDOW_H
#define SDL_WINDOW_H

#include <pthread.h>

#include "console/hands.h"
#include "sdl/sdl.h"
#include "sdl/sdl_library.h"
#include "sdl/x11.h"

enum {
    INPUTS_WAITING = 256,
    STATE_LENGTH = 24,
    SIZES_ASKED = 8,
};

/* A surface of the console's. The machine thread makes and frees it; its pixels may change meanwhile. */
struct sdl_picture {
    pixman_image_t *surface;
    int width, height, stride; /* stride in bytes */
    const void *pixels;
    struct sdl_picture *next;
};

enum sdl_input_kind {
    SDL_INPUT_KEY,
    SDL_INPUT_POSITION,
    SDL_INPUT_MOVEMENT,
    SDL_INPUT_RELEASE, /* lets go of all keys and buttons */
};

struct sdl_input {
    enum sdl_input_kind kind;
    uint16_t code;
    bool down;
    int x, y; /* a movement, or an absolute position 0..POINTER_RANGE */
    int wheel;
    unsigned buttons; /* as the console has them */
    bool pressed;     /* the buttons changed: it counts by itself, where it happened */
};

enum sdl_stage { SDL_OPENING, SDL_OPEN, SDL_GONE };

struct sdl {
    struct loop *loop;
    struct console *console;
    struct sdl_options options;
    char *name;
    pthread_t thread;
    struct loop_work work;
    int wake_fd; /* the window's thread polls it */

    /* The machine thread's. */
    struct console_view view;
    bool watching; /* the view is in the console */
    struct console_hand hand;
    struct sdl_picture *coming; /* after a resize, until something is drawn into it */
    bool waited_for, told_gone;

    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t changed;

    /* From the machine thread. */
    bool quit, show, absolute, retitle, woken;
    char state[STATE_LENGTH];
    struct sdl_picture *next; /* to be shown instead */
    pixman_region32_t dirty;

    /* From the window's thread. */
    enum sdl_stage stage;
    struct error why; /* GONE */
    bool visible;
    bool closed;
    struct sdl_picture *done; /* the window's thread is through with these */
    struct sdl_input inputs[INPUTS_WAITING];
    unsigned input_first, input_count;
};

/* The window's thread alone. */
struct window {
    struct sdl *sdl;
    struct sdl_library lib;
    struct x11 x11;
    SDL_Window *window;
    SDL_Renderer *renderer;
    SDL_Texture *texture;
    SDL_Cursor *arrow, *dot;
    struct sdl_picture *picture; /* NULL: nothing was drawn yet */
    SDL_Rect place;              /* where in the window it is */
    int texture_width, texture_height;
    bool redraw;

    bool hidden, iconified, full_screen, quit;
    bool settling; /* the X server said something: SDL puts some of it off for a moment */
    unsigned zoom; /* percent; 0: people chose the window's size */
    struct {
        int width, height;
    } asked[SIZES_ASKED]; /* the latest sizes of our own choice, of which the desktop may tell late */
    unsigned asked_count;
    bool absolute; /* the console takes positions */
    bool grabbed;
    bool held[SDL_NUM_SCANCODES]; /* sent to the guest */
    bool modifier[SDL_NUM_SCANCODES];
    bool chord; /* nothing but the modifiers was pressed since they are held */
    unsigned buttons;
    char state[STATE_LENGTH];
    bool retitle;
};

/* ---- channel.c ---- */

/* Hands input on; waits where the machine has too much of it already. */
void sdl_put_input(struct sdl *sdl, const struct sdl_input *input);
/* Wakes the machine thread for what changed; lock held. */
void sdl_ask(struct sdl *sdl);

/* ---- frame.c ---- */

void window_set_title(struct window *w);
void window_show(struct window *w, bool visible);
/* The desktop made it an icon, or a window again. */
void window_set_iconified(struct window *w, bool iconified);
void window_set_full_screen(struct window *w, bool full_screen);
/* The window as large as the picture by w->zoom, where people did not choose its size. */
void window_fit(struct window *w);
/* The desktop says that the window has this size now: people's choice, unless it was ours. */
void window_note_size(struct window *w, int width, int height);
/* Nothing that people hold in the window is held in the guest any more. */
void window_let_go(struct window *w);
/* While it is grabbed the pointer's movements go to the guest, and every key that the desktop can spare. */
void window_grab(struct window *w, bool grab);
/* From now on the console takes positions, or movements. */
void window_set_absolute(struct window *w, bool absolute);

/* ---- drawing.c ---- */

/* Another picture, of another size perhaps. */
void drawing_take_picture(struct window *w, struct sdl_picture *picture);
/* This region of the picture changed. */
void drawing_update(struct window *w, pixman_region32_t *region);
/* Places the picture in the window and shows it. */
void drawing_show(struct window *w);
/* A place in the window as one in the picture; outside, the nearest. */
void drawing_locate(const struct window *w, int x, int y, int *pixel_x, int *pixel_y);

/* ---- events.c ---- */

void window_handle_event(struct window *w, const SDL_Event *event);

/* ---- window.c ---- */

/* The thread's function; of a struct sdl. */
void *window_main(void *sdl);

#endif
