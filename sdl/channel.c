/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the window's thread to the machine thread. */
#include "sdl/window.h"

void sdl_ask(struct sdl *sdl)
{
    if (!sdl->quit)
        loop_post(sdl->loop, &sdl->work);
}

/* Movements that the machine did not take yet are one. Lock held. */
static bool sdl_join_input(struct sdl *sdl, const struct sdl_input *input)
{
    struct sdl_input *last =
        &sdl->inputs[(sdl->input_first + sdl->input_count + INPUTS_WAITING - 1) % INPUTS_WAITING];

    if (!sdl->input_count || last->kind != input->kind || last->pressed || last->wheel || input->pressed)
        return false;
    if (input->kind == SDL_INPUT_MOVEMENT) {
        last->x += input->x;
        last->y += input->y;
        last->wheel = input->wheel;
        return true;
    }
    if (input->kind != SDL_INPUT_POSITION)
        return false;
    *last = *input;
    return true;
}

void sdl_put_input(struct sdl *sdl, const struct sdl_input *input)
{
    pthread_mutex_lock(&sdl->lock);
    while (sdl->input_count == INPUTS_WAITING && !sdl->quit)
        pthread_cond_wait(&sdl->changed, &sdl->lock);
    if (!sdl->quit && !sdl_join_input(sdl, input)) {
        sdl->inputs[(sdl->input_first + sdl->input_count) % INPUTS_WAITING] = *input;
        sdl->input_count++;
    }
    sdl_ask(sdl);
    pthread_mutex_unlock(&sdl->lock);
}
