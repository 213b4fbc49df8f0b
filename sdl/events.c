/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What people do in the window: keys and pointer for the guest, combinations for the window itself. */
#include "base/util.h"
#include "sdl/keys.h"
#include "sdl/window.h"

/* ---- keys to the guest ---- */

static void window_send_key(struct window *w, uint16_t code, bool down)
{
    sdl_put_input(w->sdl, &(struct sdl_input){.kind = SDL_INPUT_KEY, .code = code, .down = down});
}

static void window_type(struct window *w, SDL_Scancode scancode, bool down)
{
    uint16_t code = sdl_key_code(scancode);

    /* A release belongs to a press that the guest saw. */
    if (!code || (!down && !w->held[scancode]))
        return;
    w->held[scancode] = down;
    window_send_key(w, code, down);
}

/* Desktops keep this combination for themselves. What people hold already stays as it is. */
static void window_type_ctrl_alt_delete(struct window *w)
{
    static const SDL_Scancode around[] = {SDL_SCANCODE_LCTRL, SDL_SCANCODE_LALT};

    for (size_t i = 0; i < COUNT(around); i++)
        window_send_key(w, sdl_key_code(around[i]), true);
    window_send_key(w, sdl_key_code(SDL_SCANCODE_DELETE), true);
    window_send_key(w, sdl_key_code(SDL_SCANCODE_DELETE), false);
    for (size_t i = COUNT(around); i-- > 0;)
        if (!w->held[around[i]])
            window_send_key(w, sdl_key_code(around[i]), false);
}

/* ---- combinations ---- */

static bool window_is_modifier(const struct window *w, SDL_Scancode scancode)
{
    switch (w->sdl->options.grab_mod) {
    case SDL_GRAB_RIGHT_CTRL:
        return scancode == SDL_SCANCODE_RCTRL;
    case SDL_GRAB_SHIFT_CTRL_ALT:
        if (scancode == SDL_SCANCODE_LSHIFT)
            return true;
        /* fall through */
    default:
        return scancode == SDL_SCANCODE_LCTRL || scancode == SDL_SCANCODE_LALT;
    }
}

/* All modifiers of the window's combinations are held. */
static bool window_is_commanded(const struct window *w)
{
    bool all = true;

    for (unsigned i = 0; i < SDL_NUM_SCANCODES; i++)
        all &= !window_is_modifier(w, i) || w->modifier[i];
    return all;
}

/* A letter by what is written on the key, where that is a Latin letter, else by the key's place. */
static int window_letter(const SDL_Keysym *key)
{
    if (key->sym > 0 && key->sym < 128)
        return key->sym;
    if (key->scancode >= SDL_SCANCODE_A && key->scancode <= SDL_SCANCODE_Z)
        return 'a' + (int)(key->scancode - SDL_SCANCODE_A);
    return 0;
}

static void window_zoom(struct window *w, int steps)
{
    int zoom = w->zoom;

    if (!zoom && w->texture_width)
        zoom = w->place.w * 100 / w->texture_width;
    zoom = (zoom + 12) / 25 * 25 + 25 * steps;
    w->zoom = zoom < 25 ? 25 : zoom > 400 ? 400 : zoom;
    window_set_full_screen(w, false);
    window_fit(w);
}

static void window_unscale(struct window *w)
{
    w->zoom = 100;
    window_set_full_screen(w, false);
    window_fit(w);
}

/* False: no combination of the window's. */
static bool window_command(struct window *w, const SDL_Keysym *key)
{
    switch (key->scancode) {
    case SDL_SCANCODE_END:
    case SDL_SCANCODE_APPLICATION:
        window_type_ctrl_alt_delete(w);
        return true;
    case SDL_SCANCODE_KP_PLUS:
        window_zoom(w, 1);
        return true;
    case SDL_SCANCODE_KP_MINUS:
        window_zoom(w, -1);
        return true;
    default:
        break;
    }
    switch (window_letter(key)) {
    case 'f':
        window_set_full_screen(w, !w->full_screen);
        return true;
    case 'u':
        window_unscale(w);
        return true;
    case 'g':
        window_grab(w, !w->grabbed);
        return true;
    case '+':
    case '=':
        window_zoom(w, 1);
        return true;
    case '-':
        window_zoom(w, -1);
        return true;
    default:
        return false;
    }
}

static void window_press(struct window *w, const SDL_KeyboardEvent *event)
{
    SDL_Scancode scancode = event->keysym.scancode;

    if (window_is_modifier(w, scancode)) {
        if (!event->repeat) {
            w->modifier[scancode] = true;
            w->chord = window_is_commanded(w);
        }
    } else if (window_is_commanded(w)) {
        w->chord = false;
        if (event->repeat ? !w->held[scancode] : window_command(w, &event->keysym))
            return;
    }
    window_type(w, scancode, true);
}

static void window_unpress(struct window *w, SDL_Scancode scancode)
{
    bool commanded = w->chord && window_is_modifier(w, scancode);

    w->modifier[scancode] = false;
    window_type(w, scancode, false);
    if (!commanded)
        return;
    /* The modifiers alone, pressed and released. */
    w->chord = false;
    window_grab(w, false);
}

static void window_handle_key(struct window *w, const SDL_KeyboardEvent *event)
{
    if (event->keysym.scancode >= SDL_NUM_SCANCODES)
        return;
    if (event->state == SDL_PRESSED)
        window_press(w, event);
    else
        window_unpress(w, event->keysym.scancode);
}

/* ---- the pointer ---- */

static unsigned window_button_bit(unsigned button)
{
    switch (button) {
    case SDL_BUTTON_LEFT:
        return POINTER_LEFT;
    case SDL_BUTTON_MIDDLE:
        return POINTER_MIDDLE;
    case SDL_BUTTON_RIGHT:
        return POINTER_RIGHT;
    case SDL_BUTTON_X1:
        return POINTER_SIDE;
    case SDL_BUTTON_X2:
        return POINTER_EXTRA;
    default:
        return 0;
    }
}

/* A movement, or what was done there in the window. */
static void window_point(struct window *w, int x, int y, struct sdl_input input)
{
    input.buttons = w->buttons;
    if (w->absolute && w->texture_width) {
        input.kind = SDL_INPUT_POSITION;
        drawing_locate(w, x, y, &x, &y);
        input.x = console_pointer_scale(x, w->texture_width);
        input.y = console_pointer_scale(y, w->texture_height);
    } else if (!w->grabbed) {
        return;
    }
    sdl_put_input(w->sdl, &input);
}

static void window_handle_button(struct window *w, const SDL_MouseButtonEvent *event)
{
    unsigned bit = window_button_bit(event->button);

    if (event->state == SDL_PRESSED && !w->absolute && !w->grabbed) {
        window_grab(w, true); /* this click is the window's */
        return;
    }
    if (event->state == SDL_RELEASED && !(w->buttons & bit))
        return;
    w->buttons ^= (w->buttons & bit) ^ (event->state == SDL_PRESSED ? bit : 0);
    window_point(w, event->x, event->y, (struct sdl_input){.kind = SDL_INPUT_MOVEMENT, .pressed = true});
}

static void window_handle_motion(struct window *w, const SDL_MouseMotionEvent *event)
{
    window_point(w, event->x, event->y,
                 (struct sdl_input){.kind = SDL_INPUT_MOVEMENT, .x = event->xrel, .y = event->yrel});
}

static void window_handle_wheel(struct window *w, const SDL_MouseWheelEvent *event)
{
    window_point(w, event->mouseX, event->mouseY,
                 (struct sdl_input){.kind = SDL_INPUT_MOVEMENT, .wheel = event->y});
}

/* ---- the window ---- */

static void window_handle_close(struct window *w)
{
    enum sdl_close close = w->sdl->options.close;

    if (close == SDL_CLOSE_HIDES)
        window_show(w, false);
    if (close != SDL_CLOSE_ENDS)
        return;
    pthread_mutex_lock(&w->sdl->lock);
    w->sdl->closed = true;
    sdl_ask(w->sdl);
    pthread_mutex_unlock(&w->sdl->lock);
}

static void window_handle_change(struct window *w, const SDL_WindowEvent *event)
{
    switch (event->event) {
    case SDL_WINDOWEVENT_CLOSE:
        window_handle_close(w);
        break;
    case SDL_WINDOWEVENT_FOCUS_LOST:
        window_let_go(w);
        window_grab(w, false);
        break;
    case SDL_WINDOWEVENT_MINIMIZED:
        window_set_iconified(w, true);
        break;
    case SDL_WINDOWEVENT_RESTORED:
    case SDL_WINDOWEVENT_MAXIMIZED:
        window_set_iconified(w, false);
        break;
    case SDL_WINDOWEVENT_RESIZED:
        window_note_size(w, event->data1, event->data2);
        break;
    case SDL_WINDOWEVENT_SIZE_CHANGED:
    case SDL_WINDOWEVENT_EXPOSED:
        w->redraw = true;
        break;
    default:
        break;
    }
}

void window_handle_event(struct window *w, const SDL_Event *event)
{
    switch (event->type) {
    case SDL_KEYDOWN:
    case SDL_KEYUP:
        window_handle_key(w, &event->key);
        break;
    case SDL_MOUSEMOTION:
        window_handle_motion(w, &event->motion);
        break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP:
        window_handle_button(w, &event->button);
        break;
    case SDL_MOUSEWHEEL:
        window_handle_wheel(w, &event->wheel);
        break;
    case SDL_WINDOWEVENT:
        window_handle_change(w, &event->window);
        break;
    case SDL_RENDER_TARGETS_RESET:
    case SDL_RENDER_DEVICE_RESET:
        w->redraw = true;
        break;
    default:
        break;
    }
}
