/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The canvas of a viewer: its own copy of what is sent, so that the guest may draw while it is encoded.
 *
 * It is filled just before it is encoded. Where the memory for all canvases suffices it is kept, else its
 * pages are given back after each piece that is sent; a piece is then a strip of STRIP bytes, which every
 * viewer may have.
 */
#include <string.h>
#include <sys/mman.h>

#include "vnc/session.h"

enum {
    STRIP = 256 << 10,    /* bytes */
    MAX_PIECE = 16 << 20, /* of a canvas that is kept; encoders need as much again */
};

static void canvas_mark(struct session *s, int x1, int y1, int x2, int y2)
{
    sraRegionPtr rect = sraRgnCreateRect(x1, y1, x2, y2);

    sraRgnOr(s->client->modifiedRegion, rect);
    sraRgnDestroy(rect);
}

void canvas_fit(struct session *s)
{
    int w = s->picture_width, h = s->picture_height;

    s->shown_width = w;
    s->shown_height = h;
    if (w > s->width || h > s->height) {
        if ((int64_t)w * s->height > (int64_t)h * s->width) {
            s->shown_width = s->width;
            s->shown_height = (int64_t)h * s->width / w;
        } else {
            s->shown_height = s->height;
            s->shown_width = (int64_t)w * s->height / h;
        }
        s->shown_width = s->shown_width < 1 ? 1 : s->shown_width;
        s->shown_height = s->shown_height < 1 ? 1 : s->shown_height;
    }
    s->left = (s->width - s->shown_width) / 2;
    s->top = (s->height - s->shown_height) / 2;
}

static bool canvas_scaled(const struct session *s)
{
    return s->shown_width != s->picture_width || s->shown_height != s->picture_height;
}

/* Takes all that the canvas needs from the room for canvases, if that is there. */
static void canvas_reserve(struct session *s)
{
    struct vnc *vnc = s->v->vnc;

    pthread_mutex_lock(&vnc->lock);
    if (!s->canvas_kept && s->canvas_size <= vnc->canvas_room) {
        s->canvas_kept = s->canvas_size;
        vnc->canvas_room -= s->canvas_kept;
    }
    pthread_mutex_unlock(&vnc->lock);
}

void canvas_free(struct session *s)
{
    if (!s->canvas)
        return;
    munmap(pixman_image_get_data(s->canvas), s->canvas_size);
    pixman_image_unref(s->canvas);
    s->canvas = NULL;
    pthread_mutex_lock(&s->v->vnc->lock);
    s->v->vnc->canvas_room += s->canvas_kept;
    pthread_mutex_unlock(&s->v->vnc->lock);
    s->canvas_kept = 0;
}

/* Only the pages that are written to become memory. */
bool canvas_make(struct session *s, int width, int height)
{
    size_t size = (size_t)width * height * 4;
    void *pixels =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    pixman_image_t *canvas =
        pixels == MAP_FAILED ? NULL
                             : pixman_image_create_bits(PIXMAN_x8r8g8b8, width, height, pixels, width * 4);

    if (!canvas) {
        if (pixels != MAP_FAILED)
            munmap(pixels, size);
        return false;
    }
    canvas_free(s);
    s->canvas = canvas;
    s->canvas_size = size;
    s->width = width;
    s->height = height;
    canvas_reserve(s);
    return true;
}

static void canvas_blacken(struct session *s)
{
    madvise(pixman_image_get_data(s->canvas), s->canvas_size, MADV_DONTNEED); /* anonymous memory: zeros */
}

bool canvas_differs(const struct session *s)
{
    return s->picture_width != s->width || s->picture_height != s->height;
}

bool canvas_adapt(struct session *s)
{
    if (canvas_differs(s) && s->client->useNewFBSize) {
        if (!canvas_make(s, s->picture_width, s->picture_height))
            return false;
        client_set_screen(s);
        sraRgnMakeEmpty(s->client->modifiedRegion);
        canvas_mark(s, 0, 0, s->width, s->height);
        s->client->newFBSizePending = TRUE;
        /* What was requested of the old size is answered with all of the new one. */
        if (!sraRgnEmpty(s->client->requestedRegion))
            sraRgnOr(s->client->requestedRegion, s->client->modifiedRegion);
    } else {
        canvas_blacken(s);
        canvas_mark(s, 0, 0, s->width, s->height);
    }
    canvas_fit(s);
    return true;
}

/* Scaled pixels are made of neighbours: two more around change with them. */
void canvas_changed(struct session *s, const pixman_box32_t *box)
{
    int around = canvas_scaled(s) ? 2 : 0;
    int x1 = limit_int((int64_t)box->x1 * s->shown_width / s->picture_width - around, s->shown_width);
    int y1 = limit_int((int64_t)box->y1 * s->shown_height / s->picture_height - around, s->shown_height);
    int x2 = limit_int((int64_t)box->x2 * s->shown_width / s->picture_width + around, s->shown_width);
    int y2 = limit_int((int64_t)box->y2 * s->shown_height / s->picture_height + around, s->shown_height);

    canvas_mark(s, s->left + x1, s->top + y1, s->left + x2, s->top + y2);
}

/* ---- pieces ---- */

/* Adds to the piece what there is room for of a rectangle: whole lines, or a part of one. */
static void add_lines(sraRegionPtr piece, const sraRect *rect, int64_t *room)
{
    int width = rect->x2 - rect->x1;
    sraRegionPtr part;

    if (*room < width) {
        *room = 0;
        return;
    }
    part = sraRgnCreateRect(rect->x1, rect->y1, rect->x2,
                            rect->y1 + limit_int(*room / width, rect->y2 - rect->y1));
    *room -= (int64_t)width * limit_int(*room / width, rect->y2 - rect->y1);
    sraRgnOr(piece, part);
    sraRgnDestroy(part);
}

sraRegionPtr canvas_piece(struct session *s)
{
    sraRegionPtr due = sraRgnCreateRgn(s->client->modifiedRegion), piece = sraRgnCreate();
    sraRectangleIterator *rects;
    sraRect rect;
    int64_t room;

    canvas_reserve(s);
    room = (s->canvas_kept ? MAX_PIECE : STRIP) / 4; /* more than a line in any case */
    sraRgnAnd(due, s->client->requestedRegion);
    rects = sraRgnGetIterator(due);
    while (room && sraRgnIteratorNext(rects, &rect))
        add_lines(piece, &rect, &room);
    sraRgnReleaseIterator(rects);
    sraRgnDestroy(due);
    return piece;
}

static void copy_plain(struct session *s, const struct picture *p, int x, int y, int width, int height)
{
    size_t canvas_stride = pixman_image_get_stride(s->canvas);
    uint8_t *to = (uint8_t *)pixman_image_get_data(s->canvas) + (s->top + y) * canvas_stride +
                  (s->left + x) * (size_t)4;
    const uint8_t *from = (const uint8_t *)p->pixels + y * p->stride + x * (size_t)4;

    for (; height > 0; height--, to += canvas_stride, from += p->stride)
        memcpy(to, from, width * (size_t)4);
}

/* The picture's pixels as a source that pixman scales to the size shown; NULL: no memory. */
static pixman_image_t *scaled_source(const struct session *s, const struct picture *p)
{
    pixman_image_t *source =
        pixman_image_create_bits(PIXMAN_x8r8g8b8, p->width, p->height, (uint32_t *)p->pixels, p->stride);
    pixman_transform_t scale;

    if (!source)
        return NULL;
    pixman_transform_init_scale(&scale, pixman_double_to_fixed((double)p->width / s->shown_width),
                                pixman_double_to_fixed((double)p->height / s->shown_height));
    pixman_image_set_transform(source, &scale);
    pixman_image_set_filter(source, PIXMAN_FILTER_BILINEAR, NULL, 0);
    pixman_image_set_repeat(source, PIXMAN_REPEAT_PAD);
    return source;
}

void canvas_copy(struct session *s, sraRegionPtr piece, const struct picture *picture)
{
    pixman_image_t *source = canvas_scaled(s) ? scaled_source(s, picture) : NULL;
    sraRectangleIterator *rects = sraRgnGetIterator(piece);
    sraRect rect;

    while (sraRgnIteratorNext(rects, &rect)) {
        int x = limit_int(rect.x1 - s->left, s->shown_width),
            y = limit_int(rect.y1 - s->top, s->shown_height);
        int width = limit_int(rect.x2 - s->left, s->shown_width) - x;
        int height = limit_int(rect.y2 - s->top, s->shown_height) - y;

        if (width <= 0 || height <= 0)
            continue;
        if (source)
            pixman_image_composite32(PIXMAN_OP_SRC, source, NULL, s->canvas, x, y, 0, 0, s->left + x,
                                     s->top + y, width, height);
        else if (!canvas_scaled(s))
            copy_plain(s, picture, x, y, width, height);
    }
    sraRgnReleaseIterator(rects);
    if (source)
        pixman_image_unref(source);
}

void canvas_sent(struct session *s)
{
    if (!s->canvas_kept)
        canvas_blacken(s);
}
