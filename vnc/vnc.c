/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine thread's side of VNC: listening, letting viewers in, telling them of changes, taking their
 * input. */
#include "vnc/vnc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "vnc/browser.h"
#include "vnc/viewer.h"

#define VIEW_OF(view_) ((struct vnc *)((char *)(view_)-offsetof(struct vnc, view)))

enum { MAX_DIRTY_RECTS = 64 }; /* above, the rectangle around them */

void vnc_ask(struct vnc *vnc)
{
    loop_post(vnc->loop, &vnc->work);
}

static void wake(struct viewer *v)
{
    uint64_t one = 1;

    if (write(v->wake_fd, &one, sizeof(one)) < 0)
        return; /* EAGAIN: it is awake already */
}

void vnc_disconnect(struct viewer *v)
{
    v->quit = true;
    v->hungry = false;
    shutdown(v->fd, SHUT_RDWR);
    if (v->network >= 0)
        shutdown(v->network, SHUT_RDWR);
    pthread_cond_broadcast(&v->inputs_taken);
    wake(v);
}

#define DEFAULT_LAYOUT "en-us"

/* How long the machine thread takes input at a time: what floods in must not keep others from the machine. */
#define INPUT_SLICE NS_PER_MS

/* Changes that no viewer takes for so long, because all are stalled, are drawn at that pace. */
#define SELDOM (NS_PER_SECOND / 4)

static int64_t vnc_now(const struct vnc *vnc)
{
    return clock_now(&vnc->loop->host_clock);
}

/* ---- the picture ---- */

void vnc_release_picture(struct vnc *vnc, struct picture *picture)
{
    if (!picture || --picture->users)
        return;
    picture->next = vnc->old_pictures;
    vnc->old_pictures = picture;
    vnc_ask(vnc);
}

static void free_old_pictures(struct vnc *vnc)
{
    struct picture *picture;

    pthread_mutex_lock(&vnc->lock);
    picture = vnc->old_pictures;
    vnc->old_pictures = NULL;
    pthread_mutex_unlock(&vnc->lock);
    while (picture) {
        struct picture *next = picture->next;

        pixman_image_unref(picture->surface);
        free(picture);
        picture = next;
    }
}

/* The console's surface as a picture; NULL: no memory, or no surface yet (then a blank one is made). */
static struct picture *make_picture(struct vnc *vnc)
{
    struct picture *picture = calloc(1, sizeof(*picture));
    pixman_image_t *surface = console_surface(vnc->console);

    if (!picture)
        return NULL;
    if (surface)
        pixman_image_ref(surface);
    else
        surface = pixman_image_create_bits(PIXMAN_x8r8g8b8, 640, 480, NULL, 0);
    if (!surface) {
        free(picture);
        return NULL;
    }
    *picture = (struct picture){.surface = surface,
                                .pixels = pixman_image_get_data(surface),
                                .width = pixman_image_get_width(surface),
                                .height = pixman_image_get_height(surface),
                                .stride = pixman_image_get_stride(surface),
                                .serial = ++vnc->last_serial,
                                .users = 1};
    return picture;
}

/* Lock held. */
static void vnc_feed(struct viewer *v)
{
    if (!v->hungry)
        return;
    v->hungry = false;
    wake(v);
}

static void vnc_resized(struct console_view *view)
{
    struct vnc *vnc = VIEW_OF(view);
    struct picture *picture = make_picture(vnc);

    if (!picture)
        return;
    pthread_mutex_lock(&vnc->lock);
    vnc_release_picture(vnc, vnc->next_picture);
    vnc->next_picture = picture;
    pthread_mutex_unlock(&vnc->lock);
}

/* Viewers go over to the resized picture, now that there is something in it; lock held. */
static void show_next_picture(struct vnc *vnc)
{
    if (!vnc->next_picture)
        return;
    vnc_release_picture(vnc, vnc->picture);
    vnc->picture = vnc->next_picture;
    vnc->next_picture = NULL;
}

/* Lock held. */
static void draw_seldom_if_unseen(struct vnc *vnc)
{
    int64_t now = clock_now(&vnc->loop->host_clock);

    if (!vnc->unseen_since)
        vnc->unseen_since = now;
    if (vnc->seldom || now - vnc->unseen_since < SELDOM)
        return;
    vnc->seldom = true;
    console_set_pace(vnc->console, &vnc->view, SELDOM);
}

static void draw_often_if_seen(struct vnc *vnc)
{
    pthread_mutex_lock(&vnc->lock);
    if (vnc->seldom && !vnc->unseen_since) {
        vnc->seldom = false;
        console_set_pace(vnc->console, &vnc->view, 0);
    }
    pthread_mutex_unlock(&vnc->lock);
}

static void vnc_updated(struct console_view *view, int x, int y, int w, int h)
{
    struct vnc *vnc = VIEW_OF(view);

    pthread_mutex_lock(&vnc->lock);
    show_next_picture(vnc);
    draw_seldom_if_unseen(vnc);
    for (struct viewer *v = vnc->viewers; v; v = v->next) {
        if (v->stage != VIEWER_ACTIVE)
            continue;
        pixman_region32_union_rect(&v->dirty, &v->dirty, x, y, w, h);
        if (pixman_region32_n_rects(&v->dirty) > MAX_DIRTY_RECTS) {
            pixman_box32_t around = *pixman_region32_extents(&v->dirty);

            pixman_region32_reset(&v->dirty, &around);
        }
        vnc_feed(v);
    }
    pthread_mutex_unlock(&vnc->lock);
}

static void vnc_leds_changed(struct console_view *view)
{
    struct vnc *vnc = VIEW_OF(view);

    lock_sync_lights(&vnc->locks, console_leds(vnc->console));
    pthread_mutex_lock(&vnc->lock);
    for (struct viewer *v = vnc->viewers; v; v = v->next) {
        v->leds = console_leds(vnc->console);
        wake(v);
    }
    pthread_mutex_unlock(&vnc->lock);
}

static void vnc_pointer_changed(struct console_view *view)
{
    struct vnc *vnc = VIEW_OF(view);

    pthread_mutex_lock(&vnc->lock);
    for (struct viewer *v = vnc->viewers; v; v = v->next) {
        v->absolute = console_pointer_is_absolute(vnc->console);
        wake(v);
    }
    pthread_mutex_unlock(&vnc->lock);
}

/* What a viewer's pointer is moved by next is counted from the corner. */
static void vnc_pointer_home(struct console_view *view)
{
    for (struct viewer *v = VIEW_OF(view)->viewers; v; v = v->next) {
        v->pointer.x = v->pointer.y = 0;
        v->pointer.width = v->pointer.height = 1;
    }
}

/* ---- letting viewers in and out ---- */

unsigned vnc_count_stage(const struct vnc *vnc, enum viewer_stage stage)
{
    unsigned n = 0;

    for (const struct viewer *v = vnc->viewers; v; v = v->next)
        n += v->stage == stage && !v->quit;
    return n;
}

/* The first viewer: from now on the console is watched. */
static bool start_watching(struct vnc *vnc)
{
    if (!vnc->watching) {
        vnc->watching = true;
        console_add_view(vnc->console, &vnc->view);
    }
    if (!vnc->picture) {
        struct picture *picture = make_picture(vnc);

        pthread_mutex_lock(&vnc->lock);
        vnc->picture = picture;
        pthread_mutex_unlock(&vnc->lock);
    }
    return vnc->picture;
}

static void stop_watching(struct vnc *vnc)
{
    if (!vnc->watching)
        return;
    vnc->watching = false;
    console_remove_view(vnc->console, &vnc->view);
    pthread_mutex_lock(&vnc->lock);
    vnc_release_picture(vnc, vnc->picture);
    vnc_release_picture(vnc, vnc->next_picture);
    vnc->picture = vnc->next_picture = NULL;
    vnc->unseen_since = 0;
    pthread_mutex_unlock(&vnc->lock);
    draw_often_if_seen(vnc);
}

static bool may_enter(struct vnc *vnc, struct viewer *newcomer)
{
    unsigned others = vnc_count_stage(vnc, VIEWER_ACTIVE);

    if (others >= VNC_MAX_VIEWERS || (newcomer->exclusive && others && vnc->share == VNC_SHARE_FORCE_SHARED))
        return false;
    if (newcomer->exclusive && vnc->share == VNC_SHARE_ALLOW_EXCLUSIVE)
        for (struct viewer *v = vnc->viewers; v; v = v->next)
            if (v != newcomer && v->stage == VIEWER_ACTIVE)
                vnc_disconnect(v);
    return true;
}

static void let_in(struct vnc *vnc, struct viewer *v)
{
    bool ready = start_watching(vnc);

    pthread_mutex_lock(&vnc->lock);
    if (ready && !v->quit && may_enter(vnc, v)) {
        v->absolute = console_pointer_is_absolute(vnc->console);
        v->leds = console_leds(vnc->console);
        v->keyboard.map = vnc->map;
        v->stage = VIEWER_ACTIVE;
        wake(v);
    } else {
        vnc_disconnect(v);
    }
    pthread_mutex_unlock(&vnc->lock);
}

void viewer_key(void *opaque, uint16_t code, bool down)
{
    struct viewer *v = opaque;

    if (down)
        lock_sync_pressed(&v->vnc->locks, code, console_leds(v->vnc->console), vnc_now(v->vnc));
    hand_key(&v->hand, code, down);
}

void viewer_free(struct viewer *v)
{
    close(v->fd);
    if (v->network >= 0)
        close(v->network);
    close(v->wake_fd);
    pixman_region32_fini(&v->dirty);
    pthread_cond_destroy(&v->inputs_taken);
    free(v);
}

static unsigned pc_buttons(uint8_t rfb)
{
    return (rfb & 1 ? POINTER_LEFT : 0) | (rfb & 2 ? POINTER_MIDDLE : 0) | (rfb & 4 ? POINTER_RIGHT : 0) |
           (rfb & 128 ? POINTER_SIDE : 0);
}

static void pointer_input(struct viewer *v, const struct input *in)
{
    struct console *con = v->vnc->console;
    uint8_t pressed = in->buttons & ~v->pointer.buttons;
    int wheel = (pressed & 8 ? 1 : 0) - (pressed & 16 ? 1 : 0);
    unsigned buttons = hand_buttons(&v->hand, pc_buttons(in->buttons));

    if (in->kind == INPUT_MOVEMENT) {
        console_pointer_relative(con, in->x, in->y, wheel, buttons);
    } else if (console_pointer_is_absolute(con)) {
        console_pointer_absolute(con, console_pointer_scale(in->x, in->width),
                                 console_pointer_scale(in->y, in->height), wheel, buttons);
    } else {
        /* The first position is where the viewer's pointer came in: nothing moved. */
        bool known = v->pointer.width;
        int from_x = known ? v->pointer.x : in->from_x;
        int from_y = known ? v->pointer.y : in->from_y;

        console_pointer_relative(con, in->x - from_x, in->y - from_y, wheel, buttons);
    }
    v->pointer = *in;
}

/* The buttons go up where the pointer is. */
static void release_buttons(struct viewer *v)
{
    struct input release = v->pointer;

    if (!release.buttons)
        return;
    release.buttons = 0;
    if (release.kind == INPUT_MOVEMENT)
        release.x = release.y = 0;
    pointer_input(v, &release);
}

/* ---- input ---- */

static bool holds_any(const struct viewer *v, const uint16_t *codes, unsigned count)
{
    bool any = false;

    for (unsigned i = 0; i < count; i++)
        any |= hand_holds(&v->hand, codes[i]);
    return any;
}

/* Before a key whose meaning at the viewer's depends on a lock key that the guest has otherwise. */
static void sync_lock_keys(struct viewer *v, const struct input *in)
{
    static const uint16_t shifts[] = {0x2A, 0x36}, commands[] = {0x1D, 0xE01D, 0x38, 0xE038, 0xE05B, 0xE05C};
    struct vnc *vnc = v->vnc;
    uint16_t lock_key;
    bool shows;

    pthread_mutex_lock(&vnc->lock);
    shows = v->shows_lights;
    pthread_mutex_unlock(&vnc->lock);
    if (!vnc->lock_key_sync || shows || !in->down || holds_any(v, commands, 6))
        return;
    lock_key = lock_sync_before(&vnc->locks, in->key, in->symbol, holds_any(v, shifts, 2),
                                console_leds(vnc->console), vnc_now(vnc));
    if (lock_key) {
        viewer_key(v, lock_key, true);
        viewer_key(v, lock_key, false);
    }
}

static void handle_input(struct viewer *v, const struct input *in)
{
    switch (in->kind) {
    case INPUT_SYMBOL:
        keyboard_symbol(&v->keyboard, in->key, in->down, console_leds(v->vnc->console));
        break;
    case INPUT_CODE:
        sync_lock_keys(v, in);
        keyboard_code(&v->keyboard, in->key, in->down);
        break;
    case INPUT_POSITION:
    case INPUT_MOVEMENT:
        pointer_input(v, in);
        break;
    }
}

/* The viewer's oldest input; false: there is none. */
static bool take_input(struct viewer *v)
{
    struct vnc *vnc = v->vnc;
    struct input in;
    bool any;

    pthread_mutex_lock(&vnc->lock);
    any = v->input_count;
    if (any) {
        in = v->inputs[v->input_first];
        v->input_first = (v->input_first + 1) % INPUTS_WAITING;
        v->input_count--;
        pthread_cond_broadcast(&v->inputs_taken);
    }
    pthread_mutex_unlock(&vnc->lock);
    if (any)
        handle_input(v, &in);
    return any;
}

/* One of each viewer in turn, for a moment; false: there is more. */
static bool take_inputs(struct vnc *vnc)
{
    int64_t end = clock_now(&vnc->loop->host_clock) + INPUT_SLICE;
    bool any;

    do {
        any = false;
        for (struct viewer *v = vnc->viewers; v; v = v->next)
            any |= take_input(v);
    } while (any && clock_now(&vnc->loop->host_clock) < end);
    return !any;
}

/* The thread has ended or is about to: its viewer's last input counts, what is held down then is released. */
static void let_out(struct viewer *v)
{
    pthread_join(v->thread, NULL);
    keyboard_release_all(&v->keyboard);
    release_buttons(v);
    hand_leave(&v->hand);
    viewer_free(v);
}

static void remove_gone(struct vnc *vnc)
{
    struct viewer *gone = NULL;

    pthread_mutex_lock(&vnc->lock);
    for (struct viewer **at = &vnc->viewers; *at;) {
        struct viewer *v = *at;

        if (v->stage == VIEWER_GONE && !v->input_count) {
            *at = v->next;
            v->next = gone;
            gone = v;
        } else {
            at = &v->next;
        }
    }
    pthread_mutex_unlock(&vnc->lock);
    while (gone) {
        struct viewer *next = gone->next;

        let_out(gone);
        gone = next;
        for (size_t i = 0; i < COUNT(vnc->door.listeners); i++) {
            acceptor_retry(&vnc->door.listeners[i]);
            acceptor_retry(&vnc->web_door.listeners[i]);
        }
    }
}

/* What viewers asked for. */
static void vnc_work(void *opaque)
{
    struct vnc *vnc = opaque;

    draw_often_if_seen(vnc);
    vnc_take_arrivals(vnc);
    for (struct viewer *v = vnc->viewers; v; v = v->next) {
        enum viewer_stage stage;

        pthread_mutex_lock(&vnc->lock);
        stage = v->stage;
        pthread_mutex_unlock(&vnc->lock);
        if (stage == VIEWER_ADMITTED)
            let_in(vnc, v);
    }
    if (!take_inputs(vnc))
        vnc_ask(vnc);
    remove_gone(vnc);
    pthread_mutex_lock(&vnc->lock);
    bool alone = vnc_count_stage(vnc, VIEWER_ACTIVE) == 0;
    pthread_mutex_unlock(&vnc->lock);
    if (alone)
        stop_watching(vnc);
    free_old_pictures(vnc);
}

/* Without its layout a viewer has the keys that give no characters. */
void vnc_need_map(struct vnc *vnc)
{
    struct error err;

    pthread_mutex_lock(&vnc->map_lock);
    if (!vnc->map) {
        vnc->map = keymap_open(vnc->layout, &err);
        if (!vnc->map) {
            log_line("vnc: %s", err.text);
            vnc->map = calloc(1, sizeof(*vnc->map));
        }
    }
    pthread_mutex_unlock(&vnc->map_lock);
}

static bool start_web(struct vnc *vnc, const struct vnc_options *options, struct error *err)
{
    const char *page = options->novnc_path ? options->novnc_path : VNC_NOVNC_PATH;
    const char *dir = vnc->tls ? vnc_tls_directory(vnc->tls) : NULL;

    if (!options->websocket)
        return true;
    if (vnc->tls && !dir)
        return error_set(err, "websocket=: browsers need a certificate: tls-creds-x509");
    vnc->browser = browser_start(vnc, page, dir, vnc->tls && vnc_tls_verifies(vnc->tls), err);
    return vnc->browser && listen_start_web(vnc, options->address, options->websocket_port, err);
}

struct vnc *vnc_start(struct loop *loop, struct console *con, const struct vnc_options *options,
                      struct error *err)
{
    const char *layout = options->layout ? options->layout : DEFAULT_LAYOUT;
    struct keymap *map = NULL;
    struct vnc *vnc;
    bool opened;

    if (options->layout_now || strcmp(layout, DEFAULT_LAYOUT) != 0) {
        map = keymap_open(layout, err);
        if (!map)
            return NULL;
    }
    vnc = calloc(1, sizeof(*vnc));
    if (!vnc) {
        error_set(err, "vnc: out of memory");
        keymap_close(map);
        return NULL;
    }
    *vnc = (struct vnc){.loop = loop,
                        .console = con,
                        .view = {.resized = vnc_resized,
                                 .updated = vnc_updated,
                                 .leds = vnc_leds_changed,
                                 .pointer = vnc_pointer_changed,
                                 .pointer_home = vnc_pointer_home},
                        .canvas_room = VNC_PICTURE_MEMORY,
                        .map = map,
                        .layout = strdup(layout),
                        .name = strdup(options->name ? options->name : "hvm-dm"),
                        .need_password = options->password,
                        .tls = options->tls,
                        .share = options->share,
                        .lock_key_sync = options->lock_key_sync,
                        .door = {.ready = vnc_connection},
                        .web_door = {.ready = vnc_web_connection},
                        .work = {.run = vnc_work, .opaque = vnc}};
    pthread_mutex_init(&vnc->lock, NULL);
    pthread_mutex_init(&vnc->map_lock, NULL);
    for (size_t i = 0; i < COUNT(vnc->door.listeners); i++)
        vnc->door.listeners[i].fd = vnc->web_door.listeners[i].fd = -1;
    opened = listen_start(vnc, options->address, options->to, err) && start_web(vnc, options, err);
    if (opened)
        return vnc;
    vnc_stop(vnc);
    return NULL;
}

void vnc_stop(struct vnc *vnc)
{
    if (!vnc)
        return;
    listen_stop(vnc);
    browser_stop(vnc->browser);
    for (unsigned i = 0; i < vnc->arrival_count; i++)
        close(vnc->arrivals[i].fd);
    if (vnc->socket_path)
        unlink(vnc->socket_path);
    vnc_disconnect_all(vnc);
    while (vnc->viewers) {
        struct viewer *v = vnc->viewers;

        vnc->viewers = v->next;
        let_out(v);
    }
    stop_watching(vnc);
    free_old_pictures(vnc);
    loop_cancel(vnc->loop, &vnc->work);
    pthread_mutex_destroy(&vnc->lock);
    pthread_mutex_destroy(&vnc->map_lock);
    keymap_close(vnc->map);
    vnc_tls_close(vnc->tls);
    free(vnc->layout);
    explicit_bzero(vnc->password, sizeof(vnc->password));
    explicit_bzero(vnc->view_password, sizeof(vnc->view_password));
    free(vnc->socket_path);
    free(vnc->name);
    free(vnc);
}

static bool change_password(struct vnc *vnc, char to[VNC_PASSWORD_LENGTH + 1], const char *password,
                            struct error *err)
{
    if (!vnc->need_password)
        return error_set(err, "the VNC server was started without a password: use password=on");
    pthread_mutex_lock(&vnc->lock);
    explicit_bzero(to, VNC_PASSWORD_LENGTH + 1);
    if (password)
        strncpy(to, password, VNC_PASSWORD_LENGTH);
    pthread_mutex_unlock(&vnc->lock);
    return true;
}

bool vnc_set_password(struct vnc *vnc, const char *password, struct error *err)
{
    return change_password(vnc, vnc->password, password, err);
}

bool vnc_set_view_password(struct vnc *vnc, const char *password, struct error *err)
{
    return change_password(vnc, vnc->view_password, password, err);
}

bool vnc_expire_password(struct vnc *vnc, int64_t at, struct error *err)
{
    if (!vnc->need_password)
        return error_set(err, "the VNC server was started without a password: use password=on");
    pthread_mutex_lock(&vnc->lock);
    vnc->expires = at;
    pthread_mutex_unlock(&vnc->lock);
    return true;
}

void vnc_disconnect_all(struct vnc *vnc)
{
    pthread_mutex_lock(&vnc->lock);
    for (struct viewer *v = vnc->viewers; v; v = v->next)
        vnc_disconnect(v);
    pthread_mutex_unlock(&vnc->lock);
}

size_t vnc_viewers(struct vnc *vnc)
{
    size_t count;

    pthread_mutex_lock(&vnc->lock);
    count = vnc_count_stage(vnc, VIEWER_ACTIVE);
    pthread_mutex_unlock(&vnc->lock);
    return count;
}

void vnc_query(struct vnc *vnc, struct vnc_info *info)
{
    *info = (struct vnc_info){.server = vnc->door.server,
                              .web = vnc->web_door.server,
                              .auth = vnc->tls             ? "vencrypt"
                                      : vnc->need_password ? "vnc"
                                                           : "none"};
    pthread_mutex_lock(&vnc->lock);
    for (struct viewer *v = vnc->viewers; v && info->viewers < VNC_MAX_VIEWERS; v = v->next)
        if (v->stage == VIEWER_ACTIVE && !v->quit)
            info->viewer[info->viewers++] = v->peer;
    pthread_mutex_unlock(&vnc->lock);
}
