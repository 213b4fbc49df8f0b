/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a viewer sends after the handshake, in pieces of any size, with updates sent and the screen resized in
 * between. The pieces: a byte that says how many bytes follow (bits 0-6; 0: the whole rest) and whether the
 * screen is resized (bit 7).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vnc/session.h"

static struct {
    pthread_mutex_t lock;
    struct clock clock;
    struct loop loop;
    struct picture pictures[3];
} f;

static void make_picture(struct picture *picture, int width, int height)
{
    uint32_t *pixels;

    picture->surface = pixman_image_create_bits(PIXMAN_x8r8g8b8, width, height, NULL, 0);
    pixels = pixman_image_get_data(picture->surface);
    for (int i = 0; i < width * height; i++)
        pixels[i] = i % 97 < 48 ? i * 2654435761u : i / 300;
    picture->pixels = pixels;
    picture->width = width;
    picture->height = height;
    picture->stride = pixman_image_get_stride(picture->surface);
    picture->users = 1;
}

static void set_up(void)
{
    pthread_mutex_init(&f.lock, NULL);
    pthread_mutex_lock(&f.lock);
    clock_init(&f.clock, CLOCK_MANUAL);
    loop_init(&f.loop, &f.lock, &f.clock);
    make_picture(&f.pictures[0], 80, 50);
    make_picture(&f.pictures[1], 64, 64);
    make_picture(&f.pictures[2], 131, 7);
}

/* What the other side would read. */
static void drain(int fd)
{
    static uint8_t bytes[65536];

    while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        continue;
}

static void no_work(void *opaque)
{
}

static void talk(struct session *s, int other, const uint8_t *data, size_t size)
{
    unsigned resizes = 0;

    while (size) {
        size_t room = sizeof(s->in) - s->in_count, piece = data[0] & 0x7F;

        if (data[0] & 0x80)
            s->v->vnc->picture = &f.pictures[++resizes % 3];
        data++;
        size--;
        if (!piece || piece > size)
            piece = size;
        if (piece > room)
            piece = room;
        memcpy(s->in + s->in_count, data, piece);
        s->in_count += piece;
        data += piece;
        size -= piece;
        if (!messages_handle(s) || !session_send_updates(s))
            return;
        drain(other);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vnc vnc = {.loop = &f.loop, .work = {.run = no_work}};
    struct viewer v = {.vnc = &vnc, .quit = true}; /* quit: input is not queued, for nobody takes it */
    struct session *s = calloc(1, sizeof(*s));
    int pair[2];

    if (!f.loop.lock)
        set_up();
    if (!s || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
        abort();
    pthread_mutex_init(&vnc.lock, NULL);
    pixman_region32_init(&v.dirty);
    v.fd = pair[0];
    vnc.picture = &f.pictures[0];
    vnc.canvas_room = size % 2 ? 0 : VNC_PICTURE_MEMORY; /* in strips, or whole */
    for (int i = 0; i < 3; i++) {
        f.pictures[i].users = 1000000;
        f.pictures[i].serial = i + 1;
    }
    s->serial = 1;
    s->picture_width = vnc.picture->width;
    s->picture_height = vnc.picture->height;
    s->v = &v;
    s->output = s->feed = s->fed = -1;
    if (!canvas_make(s, s->picture_width, s->picture_height) || !client_make(s))
        abort();
    canvas_fit(s);
    canvas_adapt(s);
    talk(s, pair[1], data, size);
    client_free(s);
    canvas_free(s);
    free(s);
    close(pair[0]);
    close(pair[1]);
    pixman_region32_fini(&v.dirty);
    loop_cancel(&f.loop, &vnc.work);
    pthread_mutex_destroy(&vnc.lock);
    return 0;
}
