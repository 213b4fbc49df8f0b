/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An X server without a screen (Xvfb) with a window manager, and what a person sees and does there. */
#ifndef TESTS_LIB_XSERVER_H
#define TESTS_LIB_XSERVER_H

#include <X11/Xlib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { XSERVER_WIDTH = 1280, XSERVER_HEIGHT = 1024 };

struct xserver {
    pid_t server, manager;
    Display *display; /* ours */
    char name[16];    /* ":5"; DISPLAY of the environment, for who is started later */
};

/* False: this machine has no Xvfb, openbox or xdotool. What fails otherwise fails the test. */
bool xserver_start(struct xserver *x);
void xserver_stop(struct xserver *x);

/* The program, in words, with the server's display; waits for its end. Nonzero fails the test. */
void xserver_run(const struct xserver *x, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The visible window whose title begins so; 0: there is none. */
Window xserver_find(const struct xserver *x, const char *title);
/* Its title, "" if it has none; static memory. */
const char *xserver_title(const struct xserver *x, Window window);
/* Its size, and its place on the screen. */
XRectangle xserver_place(const struct xserver *x, Window window);
/* What its closing button does. */
void xserver_close_window(const struct xserver *x, Window window);
/* The window's pixel as 0xRRGGBB, of its picture taken by xserver_picture; NULL: it cannot be taken now. */
XImage *xserver_picture(const struct xserver *x, Window window);

#endif
