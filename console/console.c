/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "console/console.h"

#include <stdlib.h>

enum {
    DEFAULT_PACE = NS_PER_SECOND / 60,
    QUIET = 300 * NS_PER_MS, /* nothing came for that long: stop looking, be told instead */
    MAX_SIZE = 8192,
    MAX_PIXELS = 1 << 25, /* 128 MiB; 7680 x 4320 are less */
};

struct console {
    struct loop *loop;
    const struct console_source *source;
    enum console_watch watch;
    bool told;          /* the source was told of watch */
    struct timer timer; /* ACTIVE: the next drawing */
    struct loop_work draw_first;
    int64_t pace;
    int64_t last_draw, last_change; /* host time */
    bool stale;                     /* the surface was not kept up to date: draw all of it next time */
    pixman_image_t *surface;
    struct console_view *views;
    struct console_keyboard *keyboards;
    struct console_pointer *pointers;
    struct console_hand *hands;
    unsigned pointers_seen; /* the last index given */
    int x, y;               /* where the absolute pointer was put */
    bool told_absolute;     /* to the views */
    uint8_t leds;
};

static int64_t console_now(const struct console *con)
{
    return clock_now(&con->loop->host_clock);
}

static void set_watch(struct console *con, enum console_watch watch)
{
    if (con->watch == watch && con->told)
        return;
    /* Armed comes last: what the source finds while it arms is drawn by who arms, and must not undo it. */
    if (watch != CONSOLE_ARMED)
        con->watch = watch;
    con->told = con->source != NULL;
    if (con->source)
        con->source->watch(con->source->opaque, watch);
    con->watch = watch;
}

/* Draws what changed; what is drawn while nobody watches is drawn whole. */
static bool draw(struct console *con)
{
    bool everything = con->stale || con->watch == CONSOLE_UNWATCHED;

    if (!con->source)
        return false;
    con->stale = con->watch == CONSOLE_UNWATCHED;
    con->last_draw = console_now(con);
    if (!con->source->refresh(con->source->opaque, everything))
        return false;
    con->last_change = con->last_draw;
    return true;
}

/*
 * Nothing came for a while. What the guest wrote between the last drawing and the arming is not reported by
 * anybody, so it is drawn after the arming; what it writes later wakes us.
 */
static void fall_quiet(struct console *con)
{
    set_watch(con, CONSOLE_ARMED);
    draw(con);
}

/* At the pace of the viewers; but whoever waits for the machine gets as much time as the drawing took. */
static int64_t next_draw(const struct console *con)
{
    int64_t end = console_now(con), took = end - con->last_draw;

    return 2 * took < con->pace ? con->last_draw + con->pace : end + took;
}

static void tick(void *opaque)
{
    struct console *con = opaque;

    if (con->watch != CONSOLE_ACTIVE)
        return;
    if (!draw(con) && con->last_draw - con->last_change >= QUIET)
        fall_quiet(con);
    else
        timer_set(&con->timer, next_draw(con));
}

/* The first change after quiet: at once, unless that would be faster than the pace. */
static void console_draw_first(void *opaque)
{
    struct console *con = opaque;

    if (con->watch != CONSOLE_ACTIVE || timer_armed(&con->timer))
        return;
    con->last_change = console_now(con);
    if (con->last_change - con->last_draw >= con->pace)
        tick(con);
    else
        timer_set(&con->timer, con->last_draw + con->pace);
}

struct console *console_new(struct loop *loop)
{
    struct console *con = calloc(1, sizeof(*con));

    if (!con)
        return NULL;
    con->loop = loop;
    con->pace = DEFAULT_PACE;
    con->last_draw = -DEFAULT_PACE;
    con->stale = true;
    con->draw_first = (struct loop_work){.run = console_draw_first, .opaque = con};
    timer_init(&con->timer, &loop->host_clock, tick, con);
    return con;
}

void console_free(struct console *con)
{
    if (!con)
        return;
    timer_cancel(&con->timer);
    loop_cancel(con->loop, &con->draw_first);
    if (con->surface)
        pixman_image_unref(con->surface);
    free(con);
}

void console_set_source(struct console *con, const struct console_source *source)
{
    con->source = source;
    con->told = false;
    con->stale = true;
    timer_cancel(&con->timer);
    set_watch(con, con->views ? CONSOLE_ARMED : CONSOLE_UNWATCHED);
    console_touch(con);
}

void console_touch(struct console *con)
{
    if (con->watch != CONSOLE_ARMED || !con->source)
        return;
    set_watch(con, CONSOLE_ACTIVE);
    loop_post(con->loop, &con->draw_first);
}

bool console_resize(struct console *con, int width, int height)
{
    pixman_image_t *surface;

    if (width < 1 || height < 1 || width > MAX_SIZE || height > MAX_SIZE ||
        (int64_t)width * height > MAX_PIXELS)
        return false;
    surface = pixman_image_create_bits(PIXMAN_x8r8g8b8, width, height, NULL, 0);
    if (!surface)
        return false;
    if (con->surface)
        pixman_image_unref(con->surface);
    con->surface = surface;
    for (struct console_view *view = con->views; view; view = view->next)
        view->resized(view);
    return true;
}

pixman_image_t *console_surface(struct console *con)
{
    return con->surface;
}

void console_update(struct console *con, int x, int y, int w, int h)
{
    for (struct console_view *view = con->views; view; view = view->next)
        view->updated(view, x, y, w, h);
}

static int64_t view_pace(const struct console_view *view)
{
    return view->pace > 0 ? view->pace : DEFAULT_PACE;
}

static void console_follow_fastest(struct console *con)
{
    con->pace = con->views ? view_pace(con->views) : DEFAULT_PACE;
    for (const struct console_view *view = con->views; view; view = view->next)
        if (view_pace(view) < con->pace)
            con->pace = view_pace(view);
}

void console_add_view(struct console *con, struct console_view *view)
{
    bool first = !con->views;

    view->next = con->views;
    con->views = view;
    console_follow_fastest(con);
    if (first)
        set_watch(con, CONSOLE_ARMED);
    console_refresh(con);
}

void console_remove_view(struct console *con, struct console_view *view)
{
    struct console_view **at = &con->views;

    while (*at && *at != view)
        at = &(*at)->next;
    if (*at)
        *at = view->next;
    console_follow_fastest(con);
    if (con->views)
        return;
    timer_cancel(&con->timer);
    con->stale = true;
    set_watch(con, CONSOLE_UNWATCHED);
}

void console_refresh(struct console *con)
{
    draw(con);
}

bool console_has_source(const struct console *con)
{
    return con->source;
}

void console_set_pace(struct console *con, struct console_view *view, int64_t min_interval_ns)
{
    view->pace = min_interval_ns;
    console_follow_fastest(con);
}

/* ---- input ---- */

void console_key(struct console *con, uint16_t code, bool down)
{
    if (con->keyboards)
        con->keyboards->key(con->keyboards->opaque, code, down);
}

struct console_hand **console_hands(struct console *con)
{
    return &con->hands;
}

static struct console_pointer *find_pointer(const struct console *con, bool absolute)
{
    struct console_pointer *pointer = con->pointers;

    while (pointer && pointer->absolute != absolute)
        pointer = pointer->next;
    return pointer;
}

void console_pointer_relative(struct console *con, int dx, int dy, int wheel, unsigned buttons)
{
    struct console_pointer *pointer = find_pointer(con, false);

    if (pointer)
        pointer->event(pointer->opaque, dx, dy, wheel, buttons);
}

/* Further than any screen is large. */
#define PUSH (-4096)

void console_pointer_home(struct console *con)
{
    if (console_pointer_is_absolute(con))
        return;
    console_pointer_relative(con, PUSH, PUSH, 0, 0);
    for (struct console_view *view = con->views; view; view = view->next)
        if (view->pointer_home)
            view->pointer_home(view);
}

static int clip(int value)
{
    return value < 0 ? 0 : value > POINTER_RANGE ? POINTER_RANGE : value;
}

void console_pointer_absolute(struct console *con, int x, int y, int wheel, unsigned buttons)
{
    struct console_pointer *pointer = find_pointer(con, true);

    con->x = clip(x);
    con->y = clip(y);
    if (pointer)
        pointer->event(pointer->opaque, con->x, con->y, wheel, buttons);
}

int console_pointer_scale(int pixel, int size)
{
    return size > 1 ? ((int64_t)pixel * POINTER_RANGE + size - 2) / (size - 1) : 0;
}

void console_pointer_position(const struct console *con, int *x, int *y)
{
    *x = con->x;
    *y = con->y;
}

void console_pointer_buttons(struct console *con, int wheel, unsigned buttons)
{
    if (console_pointer_is_absolute(con))
        console_pointer_absolute(con, con->x, con->y, wheel, buttons);
    else
        console_pointer_relative(con, 0, 0, wheel, buttons);
}

const struct console_pointer *console_pointers(const struct console *con)
{
    return con->pointers;
}

bool console_pointer_is_absolute(const struct console *con)
{
    return con->pointers && con->pointers->absolute;
}

void console_remove_keyboard(struct console *con, struct console_keyboard *keyboard)
{
    struct console_keyboard **at = &con->keyboards;

    while (*at && *at != keyboard)
        at = &(*at)->next;
    if (*at)
        *at = keyboard->next;
}

void console_add_keyboard(struct console *con, struct console_keyboard *keyboard)
{
    console_remove_keyboard(con, keyboard);
    keyboard->next = con->keyboards;
    con->keyboards = keyboard;
}

static void console_tell_pointer(struct console *con)
{
    bool absolute = console_pointer_is_absolute(con);

    if (con->told_absolute == absolute)
        return;
    con->told_absolute = absolute;
    for (struct console_view *view = con->views; view; view = view->next)
        if (view->pointer)
            view->pointer(view);
}

static void console_unlink_pointer(struct console *con, struct console_pointer *pointer)
{
    struct console_pointer **at = &con->pointers;

    while (*at && *at != pointer)
        at = &(*at)->next;
    if (*at)
        *at = pointer->next;
}

static void console_put_pointer_first(struct console *con, struct console_pointer *pointer)
{
    console_unlink_pointer(con, pointer);
    pointer->next = con->pointers;
    con->pointers = pointer;
    console_tell_pointer(con);
}

void console_remove_pointer(struct console *con, struct console_pointer *pointer)
{
    console_unlink_pointer(con, pointer);
    console_tell_pointer(con);
}

void console_add_pointer(struct console *con, struct console_pointer *pointer)
{
    pointer->index = ++con->pointers_seen;
    console_put_pointer_first(con, pointer);
}

bool console_select_pointer(struct console *con, unsigned index)
{
    struct console_pointer *pointer = con->pointers;

    while (pointer && pointer->index != index)
        pointer = pointer->next;
    if (pointer)
        console_put_pointer_first(con, pointer);
    return pointer;
}

void console_set_leds(struct console *con, uint8_t leds)
{
    if (con->leds == leds)
        return;
    con->leds = leds;
    for (struct console_view *view = con->views; view; view = view->next)
        if (view->leds)
            view->leds(view);
}

uint8_t console_leds(const struct console *con)
{
    return con->leds;
}
