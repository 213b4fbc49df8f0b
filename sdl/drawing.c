/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The picture in the window: scaled to it, whole, its sides in proportion. */
#include "sdl/window.h"

#include "base/log.h"

static bool drawing_make_texture(struct window *w)
{
    const struct sdl_picture *picture = w->picture;

    if (w->texture)
        w->lib.SDL_DestroyTexture(w->texture);
    w->texture = w->lib.SDL_CreateTexture(w->renderer, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING,
                                          picture->width, picture->height);
    if (!w->texture)
        log_limited("the window cannot show %d x %d: %s", picture->width, picture->height,
                    w->lib.SDL_GetError());
    w->texture_width = picture->width;
    w->texture_height = picture->height;
    return w->texture;
}

void drawing_take_picture(struct window *w, struct sdl_picture *picture)
{
    w->picture = picture;
    if (!w->texture || w->texture_width != picture->width || w->texture_height != picture->height)
        drawing_make_texture(w);
    window_fit(w);
}

static void drawing_copy(struct window *w, const pixman_box32_t *box)
{
    const struct sdl_picture *picture = w->picture;
    SDL_Rect rect = {box->x1, box->y1, box->x2 - box->x1, box->y2 - box->y1};

    w->lib.SDL_UpdateTexture(w->texture, &rect,
                             (const char *)picture->pixels + (size_t)box->y1 * picture->stride + 4 * box->x1,
                             picture->stride);
}

void drawing_update(struct window *w, pixman_region32_t *region)
{
    const pixman_box32_t *boxes;
    int count;

    if (!w->texture)
        return;
    pixman_region32_intersect_rect(region, region, 0, 0, w->picture->width, w->picture->height);
    boxes = pixman_region32_rectangles(region, &count);
    for (int i = 0; i < count; i++)
        drawing_copy(w, &boxes[i]);
    w->redraw |= count > 0;
}

/* As large as fits, its sides in proportion, in the middle. */
static void drawing_place(struct window *w)
{
    int64_t width, height, wide = w->texture_width, high = w->texture_height;
    int out_width = 0, out_height = 0;

    w->lib.SDL_GetRendererOutputSize(w->renderer, &out_width, &out_height);
    width = out_width;
    height = out_height;
    if (width * high > height * wide)
        width = height * wide / high;
    else
        height = width * high / wide;
    w->place = (SDL_Rect){(out_width - width) / 2, (out_height - height) / 2, width > 0 ? width : 1,
                          height > 0 ? height : 1};
}

/* Pixels stay sharp where each is so and so many whole ones of the window. */
static SDL_ScaleMode drawing_scale_mode(const struct window *w)
{
    bool whole = w->place.w % w->texture_width == 0 && w->place.h % w->texture_height == 0;

    return whole ? SDL_ScaleModeNearest : SDL_ScaleModeLinear;
}

void drawing_show(struct window *w)
{
    w->redraw = false;
    w->lib.SDL_RenderClear(w->renderer);
    if (w->texture) {
        drawing_place(w);
        w->lib.SDL_SetTextureScaleMode(w->texture, drawing_scale_mode(w));
        w->lib.SDL_RenderCopy(w->renderer, w->texture, NULL, &w->place);
    }
    w->lib.SDL_RenderPresent(w->renderer);
}

static int drawing_scaled(int at, int from, int length, int pixels)
{
    int64_t pixel = length > 0 ? (int64_t)(at - from) * pixels / length : 0;

    return pixel < 0 ? 0 : pixel >= pixels ? pixels - 1 : pixel;
}

void drawing_locate(const struct window *w, int x, int y, int *pixel_x, int *pixel_y)
{
    *pixel_x = drawing_scaled(x, w->place.x, w->place.w, w->texture_width);
    *pixel_y = drawing_scaled(y, w->place.y, w->place.h, w->texture_height);
}
