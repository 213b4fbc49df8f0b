/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/xserver.h"

#include <X11/Xatom.h>
#include <X11/Xutil.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/cmocka.h"
#include "tests/lib/wait.h"

/* A window that goes away while it is looked at is no mistake of ours. */
static int ignore_mistake(Display *display, XErrorEvent *event)
{
    return 0;
}

static pid_t start_program(const char *const *argv)
{
    pid_t pid = fork();

    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(null, 1);
        dup2(null, 2);
        execvp(argv[0], (char **)argv);
        _exit(127);
    }
    assert_true(pid > 0);
    return pid;
}

static bool is_installed(const char *program)
{
    char command[64];

    snprintf(command, sizeof(command), "command -v %s >/dev/null", program);
    return system(command) == 0;
}

static void start_server(struct xserver *x)
{
    char number[8], line[16] = "";
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    snprintf(number, sizeof(number), "%d", fds[1]);
    x->server = start_program((const char *const[]){"Xvfb", "-displayfd", number, "-screen", "0",
                                                    "1280x1024x24", "-nolisten", "tcp", NULL});
    close(fds[1]);
    /* The number, and a newline with it or after it. */
    for (size_t n = 0; n < sizeof(line) - 1 && !strchr(line, '\n') && read(fds[0], line + n, 1) == 1;)
        n++;
    close(fds[0]);
    assert_non_null(strchr(line, '\n'));
    snprintf(x->name, sizeof(x->name), ":%d", atoi(line));
    setenv("DISPLAY", x->name, 1);
    XSetErrorHandler(ignore_mistake);
    x->display = XOpenDisplay(x->name);
    assert_non_null(x->display);
}

static bool has_manager(const struct xserver *x)
{
    Atom check = XInternAtom(x->display, "_NET_SUPPORTING_WM_CHECK", False), type;
    unsigned long count = 0, left;
    unsigned char *data = NULL;
    int format;

    XGetWindowProperty(x->display, DefaultRootWindow(x->display), check, 0, 1, False, XA_WINDOW, &type,
                       &format, &count, &left, &data);
    if (data)
        XFree(data);
    return count;
}

/* A manager that is just starting may lose a window's wish to be shown, for which SDL then waits for good. */
static bool manages(const struct xserver *x)
{
    Window window = XCreateSimpleWindow(x->display, DefaultRootWindow(x->display), 0, 0, 50, 50, 0, 0, 0);
    XWindowAttributes attributes = {.map_state = IsUnmapped};

    XMapWindow(x->display, window);
    for (int i = 0; i < 200 && attributes.map_state != IsViewable; i++) {
        usleep(10000);
        XGetWindowAttributes(x->display, window, &attributes);
    }
    XDestroyWindow(x->display, window);
    XSync(x->display, False);
    return attributes.map_state == IsViewable;
}

bool xserver_start(struct xserver *x)
{
    if (!is_installed("Xvfb") || !is_installed("openbox") || !is_installed("xdotool"))
        return false;
    start_server(x);
    x->manager = start_program((const char *const[]){"openbox", "--sm-disable", NULL});
    assert_true(SOON(has_manager(x)));
    assert_true(SOON(manages(x)));
    return true;
}

void xserver_stop(struct xserver *x)
{
    /* The manager first: what it may have grabbed is free then, and the server answers. */
    kill(x->manager, SIGKILL);
    waitpid(x->manager, NULL, 0);
    if (x->display)
        XCloseDisplay(x->display);
    x->display = NULL;
    kill(x->server, SIGKILL);
    waitpid(x->server, NULL, 0);
}

void xserver_run(const struct xserver *x, const char *format, ...)
{
    char command[256];
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    if (system(command) != 0)
        fail_msg("%s failed", command);
}

const char *xserver_title(const struct xserver *x, Window window)
{
    static char title[256];
    XTextProperty text = {0};

    title[0] = '\0';
    if (XGetWMName(x->display, window, &text) && text.value)
        snprintf(title, sizeof(title), "%s", (char *)text.value);
    if (text.value)
        XFree(text.value);
    return title;
}

static bool is_that(const struct xserver *x, Window window, const char *title)
{
    XWindowAttributes attributes;

    return XGetWindowAttributes(x->display, window, &attributes) && attributes.map_state == IsViewable &&
           attributes.class == InputOutput && !strncmp(xserver_title(x, window), title, strlen(title));
}

static Window find_below(const struct xserver *x, Window at, const char *title)
{
    Window root, parent, *children = NULL, found = 0;
    unsigned count = 0;

    if (is_that(x, at, title))
        return at;
    XQueryTree(x->display, at, &root, &parent, &children, &count);
    for (unsigned i = 0; i < count && !found; i++)
        found = find_below(x, children[i], title);
    if (children)
        XFree(children);
    return found;
}

Window xserver_find(const struct xserver *x, const char *title)
{
    return find_below(x, DefaultRootWindow(x->display), title);
}

XRectangle xserver_place(const struct xserver *x, Window window)
{
    XWindowAttributes attributes = {0};
    int left = 0, top = 0;
    Window child;

    if (!XGetWindowAttributes(x->display, window, &attributes))
        return (XRectangle){0};
    XTranslateCoordinates(x->display, window, DefaultRootWindow(x->display), 0, 0, &left, &top, &child);
    return (XRectangle){left, top, attributes.width, attributes.height};
}

void xserver_close_window(const struct xserver *x, Window window)
{
    XEvent event = {.xclient = {.type = ClientMessage,
                                .window = window,
                                .format = 32,
                                .message_type = XInternAtom(x->display, "WM_PROTOCOLS", False)}};

    event.xclient.data.l[0] = XInternAtom(x->display, "WM_DELETE_WINDOW", False);
    XSendEvent(x->display, window, False, NoEventMask, &event);
    XFlush(x->display);
}

XImage *xserver_picture(const struct xserver *x, Window window)
{
    XRectangle place = xserver_place(x, window);

    if (!place.width)
        return NULL;
    return XGetImage(x->display, window, 0, 0, place.width, place.height, AllPlanes, ZPixmap);
}
