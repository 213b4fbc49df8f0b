/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The console: what the guest shows and what people type, between a graphics adapter (the source), input
 * devices, and views (VNC, a window, a screenshot). No device knows a view, no view knows a device. All calls
 * under the machine lock.
 *
 * Nothing ticks. With no view the source is unwatched and nothing is drawn. With views the display is ARMED
 * while quiet; the first change (console_touch) draws at once and makes it ACTIVE: drawn again at the pace of
 * the views until nothing came for a while.
 */
#ifndef CONSOLE_CONSOLE_H
#define CONSOLE_CONSOLE_H

#include <pixman.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/loop.h"

enum console_watch { CONSOLE_UNWATCHED, CONSOLE_ARMED, CONSOLE_ACTIVE };

/* The graphics adapter. */
struct console_source {
    /*
     * Draws what changed since the last call (everything: all of it) into the surface, after console_resize
     * where the mode changed, and reports each changed rectangle by console_update. Returns whether anything
     * changed.
     */
    bool (*refresh)(void *opaque, bool everything);
    /* How closely to follow the guest: ARMED: call console_touch at the first change. */
    void (*watch)(void *opaque, enum console_watch watch);
    void *opaque;
};

struct console_view {
    void (*resized)(struct console_view *view); /* console_surface is another one now */
    void (*updated)(struct console_view *view, int x, int y, int w,
                    int h);                  /* pixels of the surface changed */
    void (*leds)(struct console_view *view); /* or NULL: console_leds changed */
    /* Or NULL: console_pointer_is_absolute changed. */
    void (*pointer)(struct console_view *view);
    /* Or NULL: the guest's relative pointer is in the top left corner now. */
    void (*pointer_home)(struct console_view *view);
    int64_t pace; /* console_set_pace's; 0: the default */
    struct console_view *next;
};

/* Keyboards and pointing devices register; the one that became active last gets the events. */
struct console_keyboard {
    void (*key)(void *opaque, uint16_t code, bool down); /* code: see console_key */
    void *opaque;
    struct console_keyboard *next;
};

/* Button bits; the wheel is not a button. Side and extra are what browsers call back and forward. */
enum { POINTER_LEFT = 1, POINTER_RIGHT = 2, POINTER_MIDDLE = 4, POINTER_SIDE = 8, POINTER_EXTRA = 16 };
#define POINTER_RANGE 0x7FFF

struct console_pointer {
    const char *name; /* for people */
    unsigned index;   /* the console's: how people name it */
    bool absolute;
    /* relative: x, y are movements, right and down positive; absolute: 0..POINTER_RANGE. wheel: clicks, up
     * positive. */
    void (*event)(void *opaque, int x, int y, int wheel, unsigned buttons);
    void *opaque;
    struct console_pointer *next;
};

struct console;
struct console_hand;

struct console *console_new(struct loop *loop);
void console_free(struct console *con);

/* --- the adapter's side --- */
void console_set_source(struct console *con,
                        const struct console_source *source); /* NULL: the adapter goes */
void console_touch(
    struct console *con); /* something changed: a trapped write, or the accelerator's first write */
/*
 * The surface (x8r8g8b8) has this size from now on; its content is undefined until drawn. 1..8192 each,
 * and 32 Mi pixels.
 * False: not so, or no memory; then the surface stays what it was.
 */
bool console_resize(struct console *con, int width, int height);
pixman_image_t *console_surface(struct console *con); /* NULL before the first console_resize */
void console_update(struct console *con, int x, int y, int w, int h);

/* --- the views' side --- */
void console_add_view(struct console *con, struct console_view *view);
void console_remove_view(struct console *con, struct console_view *view);
bool console_has_source(const struct console *con); /* there is a graphics adapter */
/* Draws now what changed (screendump and first pictures; works without a view). */
void console_refresh(struct console *con);
/* How often this view takes what it is given at most; 0: the default, 60 times a second. Drawing follows the
 * fastest view. */
void console_set_pace(struct console *con, struct console_view *view, int64_t min_interval_ns);

/* --- input --- */
/*
 * A key by its PC scan code, set 1: make code, 0xE0xx for keys with the E0 prefix, CONSOLE_KEY_PAUSE for
 * Pause.
 */
#define CONSOLE_KEY_PAUSE 0xE11D
void console_key(struct console *con, uint16_t code, bool down);
void console_pointer_relative(struct console *con, int dx, int dy, int wheel, unsigned buttons);
void console_pointer_absolute(struct console *con, int x, int y, int wheel, unsigned buttons);
bool console_pointer_is_absolute(const struct console *con);
/* A pixel of size as an absolute coordinate, which the ways in which guests scale it back all take for that
 * pixel. */
int console_pointer_scale(int pixel, int size);
/*
 * A relative pointer has drifted away from the viewers': pushes it into the top left corner, where both are
 * known to be, and tells the views. Nothing for an absolute one.
 */
void console_pointer_home(struct console *con);
/* Where the absolute pointer was put last. */
void console_pointer_position(const struct console *con, int *x, int *y);
/* Buttons and wheel alone, of the pointer that gets the events. */
void console_pointer_buttons(struct console *con, int wheel, unsigned buttons);
/* The registered ones, the one that gets the events first; the next follows by its link. */
const struct console_pointer *console_pointers(const struct console *con);
/* From now on the one with that index gets the events. False: there is none. */
bool console_select_pointer(struct console *con, unsigned index);

/* The list of those who hold keys and buttons: hands.c's. */
struct console_hand **console_hands(struct console *con);

void console_add_keyboard(struct console *con, struct console_keyboard *keyboard);
void console_remove_keyboard(struct console *con, struct console_keyboard *keyboard);
void console_add_pointer(struct console *con, struct console_pointer *pointer);
void console_remove_pointer(struct console *con, struct console_pointer *pointer);

/* Keyboard lights as the guest set them: bit 0 scroll, 1 num, 2 caps lock. */
void console_set_leds(struct console *con, uint8_t leds);
uint8_t console_leds(const struct console *con);

#endif
