/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine thread's side of the window: tells it of changes, takes its input. */
#include "sdl/sdl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "sdl/window.h"

#define SDL_OF(view_) ((struct sdl *)((char *)(view_)-offsetof(struct sdl, view)))

enum {
    MAX_DIRTY_RECTS = 64, /* above, the rectangle around them */
    OPENING_SECONDS = 20,
    CLOSING_SECONDS = 2,
};

/* ---- between the threads ---- */

/* Lock held. */
static void sdl_wake(struct sdl *sdl)
{
    uint64_t one = 1;

    if (sdl->woken)
        return;
    sdl->woken = true;
    if (write(sdl->wake_fd, &one, sizeof(one)) < 0)
        return; /* EAGAIN: it is awake already */
}

static struct timespec sdl_seconds_from_now(int seconds)
{
    struct timespec when;

    clock_gettime(CLOCK_REALTIME, &when);
    when.tv_sec += seconds;
    return when;
}

/* ---- the picture ---- */

static void sdl_free_pictures(struct sdl_picture *picture)
{
    while (picture) {
        struct sdl_picture *next = picture->next;

        pixman_image_unref(picture->surface);
        free(picture);
        picture = next;
    }
}

/* The console's surface; NULL: no memory, or none yet. */
static struct sdl_picture *sdl_make_picture(struct sdl *sdl)
{
    pixman_image_t *surface = console_surface(sdl->console);
    struct sdl_picture *picture = surface ? calloc(1, sizeof(*picture)) : NULL;

    if (!picture)
        return NULL;
    *picture = (struct sdl_picture){.surface = pixman_image_ref(surface),
                                    .width = pixman_image_get_width(surface),
                                    .height = pixman_image_get_height(surface),
                                    .stride = pixman_image_get_stride(surface),
                                    .pixels = pixman_image_get_data(surface)};
    return picture;
}

static void sdl_resized(struct console_view *view)
{
    struct sdl *sdl = SDL_OF(view);

    sdl_free_pictures(sdl->coming);
    sdl->coming = sdl_make_picture(sdl);
}

/* There is something in the picture: the window may go over to it. Lock held. */
static void sdl_offer_picture(struct sdl *sdl)
{
    if (!sdl->coming)
        return;
    sdl_free_pictures(sdl->next);
    sdl->next = sdl->coming;
    sdl->coming = NULL;
    pixman_region32_clear(&sdl->dirty);
}

static void sdl_updated(struct console_view *view, int x, int y, int w, int h)
{
    struct sdl *sdl = SDL_OF(view);

    pthread_mutex_lock(&sdl->lock);
    sdl_offer_picture(sdl);
    pixman_region32_union_rect(&sdl->dirty, &sdl->dirty, x, y, w, h);
    if (pixman_region32_n_rects(&sdl->dirty) > MAX_DIRTY_RECTS) {
        pixman_box32_t around = *pixman_region32_extents(&sdl->dirty);

        pixman_region32_reset(&sdl->dirty, &around);
    }
    sdl_wake(sdl);
    pthread_mutex_unlock(&sdl->lock);
}

static void sdl_pointer_changed(struct console_view *view)
{
    struct sdl *sdl = SDL_OF(view);

    pthread_mutex_lock(&sdl->lock);
    sdl->absolute = console_pointer_is_absolute(sdl->console);
    sdl_wake(sdl);
    pthread_mutex_unlock(&sdl->lock);
}

static void sdl_watch(struct sdl *sdl)
{
    sdl->watching = true;
    sdl_resized(&sdl->view);
    sdl_pointer_changed(&sdl->view);
    console_add_view(sdl->console, &sdl->view);
    pthread_mutex_lock(&sdl->lock);
    sdl_offer_picture(sdl);
    sdl_wake(sdl);
    pthread_mutex_unlock(&sdl->lock);
}

static void sdl_unwatch(struct sdl *sdl)
{
    if (!sdl->watching)
        return;
    sdl->watching = false;
    console_remove_view(sdl->console, &sdl->view);
    sdl_free_pictures(sdl->coming);
    sdl->coming = NULL;
}

/* ---- input ---- */

/* Nothing is held any more. */
static void sdl_release(struct sdl *sdl)
{
    bool pressed = sdl->hand.buttons;
    unsigned others = hand_buttons(&sdl->hand, 0);

    hand_leave(&sdl->hand);
    hand_join(&sdl->hand, sdl->console);
    if (pressed)
        console_pointer_buttons(sdl->console, 0, others);
}

static void sdl_handle_input(struct sdl *sdl, const struct sdl_input *in)
{
    switch (in->kind) {
    case SDL_INPUT_KEY:
        hand_key(&sdl->hand, in->code, in->down);
        break;
    case SDL_INPUT_POSITION:
        console_pointer_absolute(sdl->console, in->x, in->y, in->wheel,
                                 hand_buttons(&sdl->hand, in->buttons));
        break;
    case SDL_INPUT_MOVEMENT:
        console_pointer_relative(sdl->console, in->x, in->y, in->wheel,
                                 hand_buttons(&sdl->hand, in->buttons));
        break;
    case SDL_INPUT_RELEASE:
        sdl_release(sdl);
        break;
    }
}

static bool sdl_take_input(struct sdl *sdl, struct sdl_input *in)
{
    bool any;

    pthread_mutex_lock(&sdl->lock);
    any = sdl->input_count;
    if (any) {
        *in = sdl->inputs[sdl->input_first];
        sdl->input_first = (sdl->input_first + 1) % INPUTS_WAITING;
        sdl->input_count--;
        pthread_cond_broadcast(&sdl->changed);
    }
    pthread_mutex_unlock(&sdl->lock);
    return any;
}

/* At most what the queue holds, so that a window that floods does not keep others from the machine. */
static void sdl_take_inputs(struct sdl *sdl)
{
    struct sdl_input in;

    for (unsigned i = 0; i < INPUTS_WAITING && sdl_take_input(sdl, &in); i++)
        sdl_handle_input(sdl, &in);
}

/* ---- what the window's thread asks for ---- */

static void sdl_tell_gone(struct sdl *sdl)
{
    if (sdl->told_gone)
        return;
    sdl->told_gone = true;
    sdl_release(sdl);
    if (sdl->why.text[0] && !sdl->waited_for)
        log_line("-display sdl: %s; the guest goes on", sdl->why.text);
}

static void sdl_work(void *opaque)
{
    struct sdl *sdl = opaque;
    struct sdl_picture *done;
    bool visible, closed, gone;

    sdl_take_inputs(sdl);
    pthread_mutex_lock(&sdl->lock);
    visible = sdl->visible;
    gone = sdl->stage == SDL_GONE;
    closed = sdl->closed;
    sdl->closed = false;
    done = sdl->done;
    sdl->done = NULL;
    pthread_mutex_unlock(&sdl->lock);
    if (visible && !sdl->watching)
        sdl_watch(sdl);
    if (!visible)
        sdl_unwatch(sdl);
    sdl_free_pictures(done);
    if (gone)
        sdl_tell_gone(sdl);
    if (closed && sdl->options.closed)
        sdl->options.closed(sdl->options.opaque);
}

/* ---- begin and end ---- */

static bool sdl_wait_open(struct sdl *sdl, struct error *err)
{
    struct timespec end = sdl_seconds_from_now(OPENING_SECONDS);
    int failed = 0;
    bool open;

    pthread_mutex_lock(&sdl->lock);
    while (sdl->stage == SDL_OPENING && !failed)
        failed = pthread_cond_timedwait(&sdl->changed, &sdl->lock, &end);
    open = sdl->stage == SDL_OPEN;
    if (!open)
        error_set(err, "%s", failed ? "the X server does not answer" : sdl->why.text);
    sdl->waited_for = !open;
    pthread_mutex_unlock(&sdl->lock);
    return open;
}

static struct sdl *sdl_new(struct loop *loop, struct console *con, const struct sdl_options *options)
{
    struct sdl *sdl = calloc(1, sizeof(*sdl));

    if (!sdl)
        return NULL;
    *sdl = (struct sdl){
        .loop = loop,
        .console = con,
        .options = *options,
        .name = strdup(options->name ? options->name : "hvm-dm"),
        .view = {.resized = sdl_resized, .updated = sdl_updated, .pointer = sdl_pointer_changed},
        .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
        .work = {.run = sdl_work, .opaque = sdl},
    };
    pthread_mutex_init(&sdl->lock, NULL);
    pthread_cond_init(&sdl->changed, NULL);
    pixman_region32_init(&sdl->dirty);
    hand_join(&sdl->hand, con);
    return sdl;
}

static void sdl_free(struct sdl *sdl)
{
    sdl_free_pictures(sdl->next);
    sdl_free_pictures(sdl->done);
    pixman_region32_fini(&sdl->dirty);
    pthread_cond_destroy(&sdl->changed);
    pthread_mutex_destroy(&sdl->lock);
    close(sdl->wake_fd);
    free(sdl->name);
    free(sdl);
}

struct sdl *sdl_start(struct loop *loop, struct console *con, const struct sdl_options *options, bool wait,
                      struct error *err)
{
    struct sdl *sdl;

    if (!getenv("DISPLAY")) {
        error_set(err, "there is no X server to open a window on: DISPLAY is not set");
        return NULL;
    }
    sdl = sdl_new(loop, con, options);
    if (!sdl || sdl->wake_fd < 0 || pthread_create(&sdl->thread, NULL, window_main, sdl)) {
        error_set(err, "no thread or no memory for a window");
        return NULL;
    }
    if (!wait || sdl_wait_open(sdl, err))
        return sdl;
    if (!sdl_stop(sdl))
        log_line("-display sdl: the X server still holds the window's thread");
    return NULL;
}

bool sdl_stop(struct sdl *sdl)
{
    struct timespec end = sdl_seconds_from_now(CLOSING_SECONDS);

    pthread_mutex_lock(&sdl->lock);
    sdl->quit = true;
    pthread_cond_broadcast(&sdl->changed);
    sdl_wake(sdl);
    pthread_mutex_unlock(&sdl->lock);
    sdl_unwatch(sdl);
    hand_leave(&sdl->hand);
    loop_cancel(sdl->loop, &sdl->work);
    if (pthread_timedjoin_np(sdl->thread, NULL, &end))
        return false;
    sdl_free(sdl);
    return true;
}

bool sdl_show(struct sdl *sdl, struct error *err)
{
    bool gone;

    pthread_mutex_lock(&sdl->lock);
    gone = sdl->stage == SDL_GONE;
    sdl->show = !gone;
    sdl_wake(sdl);
    pthread_mutex_unlock(&sdl->lock);
    return !gone || error_set(err, "the window does not come back: %s", sdl->why.text);
}

void sdl_set_state(struct sdl *sdl, const char *state)
{
    pthread_mutex_lock(&sdl->lock);
    snprintf(sdl->state, sizeof(sdl->state), "%s", state);
    sdl->retitle = true;
    sdl_wake(sdl);
    pthread_mutex_unlock(&sdl->lock);
}
