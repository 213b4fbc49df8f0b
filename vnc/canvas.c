/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The canvas of a viewer: its own copy of what is shown, so that the guest may draw while it is encoded. */
#include <string.h>

#include "vnc/session.h"

static void canvas_mark(struct session *s, int x1, int y1, int x2, int y2)
{
    sraRegionPtr rect = sraRgnCreateRect(x1, y1, x2, y2);

    sraRgnOr(s->client->modifiedRegion, rect);
    sraRgnDestroy(rect);
}

void canvas_fit(struct session *s)
{
    int w = s->picture->width, h = s->picture->height;

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
    return s->shown_width != s->picture->width || s->shown_height != s->picture->height;
}

bool canvas_make(struct session *s, int width, int height)
{
    pixman_image_t *canvas = pixman_image_create_bits(PIXMAN_x8r8g8b8, width, height, NULL, 0);

    if (!canvas)
        return false;
    if (s->canvas)
        pixman_image_unref(s->canvas);
    s->canvas = canvas;
    s->width = width;
    s->height = height;
    return true;
}

/* A source that pixman scales to the size shown. */
static bool make_source(struct session *s)
{
    const struct picture *p = s->picture;
    pixman_transform_t scale;

    if (s->source)
        pixman_image_unref(s->source);
    s->source = NULL;
    if (!canvas_scaled(s))
        return true;
    s->source =
        pixman_image_create_bits(PIXMAN_x8r8g8b8, p->width, p->height, (uint32_t *)p->pixels, p->stride);
    if (!s->source)
        return false;
    pixman_transform_init_scale(&scale, pixman_double_to_fixed((double)p->width / s->shown_width),
                                pixman_double_to_fixed((double)p->height / s->shown_height));
    pixman_image_set_transform(s->source, &scale);
    pixman_image_set_filter(s->source, PIXMAN_FILTER_BILINEAR, NULL, 0);
    pixman_image_set_repeat(s->source, PIXMAN_REPEAT_PAD);
    return true;
}

bool canvas_differs(const struct session *s)
{
    return s->picture->width != s->width || s->picture->height != s->height;
}

/* The picture's place in the canvas, after either changed. Resizes the canvas where the viewer can follow. */
bool canvas_adapt(struct session *s)
{
    const struct picture *p = s->picture;

    if (canvas_differs(s) && s->client->useNewFBSize) {
        if (!canvas_make(s, p->width, p->height))
            return false;
        client_set_screen(s);
        sraRgnMakeEmpty(s->client->modifiedRegion);
        canvas_mark(s, 0, 0, s->width, s->height);
        s->client->newFBSizePending = TRUE;
        /* What was requested of the old size is answered with all of the new one. */
        if (!sraRgnEmpty(s->client->requestedRegion))
            sraRgnOr(s->client->requestedRegion, s->client->modifiedRegion);
    } else {
        memset(pixman_image_get_data(s->canvas), 0, (size_t)pixman_image_get_stride(s->canvas) * s->height);
        canvas_mark(s, 0, 0, s->width, s->height);
    }
    canvas_fit(s);
    return make_source(s);
}

static void copy_plain(struct session *s, const pixman_box32_t *box)
{
    const struct picture *p = s->picture;
    size_t canvas_stride = pixman_image_get_stride(s->canvas);
    uint8_t *to = (uint8_t *)pixman_image_get_data(s->canvas) + (s->top + box->y1) * canvas_stride +
                  (s->left + box->x1) * (size_t)4;
    const uint8_t *from = (const uint8_t *)p->pixels + box->y1 * p->stride + box->x1 * (size_t)4;

    for (int y = box->y1; y < box->y2; y++, to += canvas_stride, from += p->stride)
        memcpy(to, from, (box->x2 - box->x1) * (size_t)4);
    canvas_mark(s, s->left + box->x1, s->top + box->y1, s->left + box->x2, s->top + box->y2);
}

/* Scaled pixels are made of neighbours: one more around is drawn. */
static void copy_scaled(struct session *s, const pixman_box32_t *box)
{
    const struct picture *p = s->picture;
    int x1 = limit_int((int64_t)box->x1 * s->shown_width / p->width - 2, s->shown_width);
    int y1 = limit_int((int64_t)box->y1 * s->shown_height / p->height - 2, s->shown_height);
    int x2 = limit_int((int64_t)box->x2 * s->shown_width / p->width + 2, s->shown_width);
    int y2 = limit_int((int64_t)box->y2 * s->shown_height / p->height + 2, s->shown_height);

    pixman_image_composite32(PIXMAN_OP_SRC, s->source, NULL, s->canvas, x1, y1, 0, 0, s->left + x1,
                             s->top + y1, x2 - x1, y2 - y1);
    canvas_mark(s, s->left + x1, s->top + y1, s->left + x2, s->top + y2);
}

void canvas_copy(struct session *s, pixman_region32_t *region)
{
    int count;
    const pixman_box32_t *boxes = pixman_region32_rectangles(region, &count);

    for (int i = 0; i < count; i++) {
        if (canvas_scaled(s))
            copy_scaled(s, &boxes[i]);
        else
            copy_plain(s, &boxes[i]);
    }
}

void canvas_copy_all(struct session *s)
{
    canvas_copy(s, &(pixman_region32_t){.extents = {0, 0, s->picture->width, s->picture->height}});
}
