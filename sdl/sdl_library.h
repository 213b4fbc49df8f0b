/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libSDL2, loaded when there is to be a window and not before: with it come the libraries of sound, windows
 * and drawing, and a process without a window would start later and be larger for nothing.
 */
#ifndef SDL_SDL_LIBRARY_H
#define SDL_SDL_LIBRARY_H

#include <SDL2/SDL.h>
#include <SDL2/SDL_syswm.h>
#include <stdbool.h>

#include "base/error.h"

#define SDL_CALLS(CALL)                                                                                      \
    CALL(SDL_CreateColorCursor)                                                                              \
    CALL(SDL_CreateRGBSurfaceFrom)                                                                           \
    CALL(SDL_CreateRenderer)                                                                                 \
    CALL(SDL_CreateTexture)                                                                                  \
    CALL(SDL_CreateWindow)                                                                                   \
    CALL(SDL_DestroyRenderer)                                                                                \
    CALL(SDL_DestroyTexture)                                                                                 \
    CALL(SDL_FreeSurface)                                                                                    \
    CALL(SDL_GetDefaultCursor)                                                                               \
    CALL(SDL_GetError)                                                                                       \
    CALL(SDL_GetRendererOutputSize)                                                                          \
    CALL(SDL_GetWindowSize)                                                                                  \
    CALL(SDL_GetWindowWMInfo)                                                                                \
    CALL(SDL_HideWindow)                                                                                     \
    CALL(SDL_Init)                                                                                           \
    CALL(SDL_PollEvent)                                                                                      \
    CALL(SDL_PumpEvents)                                                                                     \
    CALL(SDL_Quit)                                                                                           \
    CALL(SDL_RaiseWindow)                                                                                    \
    CALL(SDL_RenderClear)                                                                                    \
    CALL(SDL_RenderCopy)                                                                                     \
    CALL(SDL_RenderPresent)                                                                                  \
    CALL(SDL_RestoreWindow)                                                                                  \
    CALL(SDL_SetCursor)                                                                                      \
    CALL(SDL_SetHint)                                                                                        \
    CALL(SDL_SetRelativeMouseMode)                                                                           \
    CALL(SDL_SetTextureScaleMode)                                                                            \
    CALL(SDL_SetWindowFullscreen)                                                                            \
    CALL(SDL_SetWindowIcon)                                                                                  \
    CALL(SDL_SetWindowKeyboardGrab)                                                                          \
    CALL(SDL_SetWindowSize)                                                                                  \
    CALL(SDL_SetWindowTitle)                                                                                 \
    CALL(SDL_ShowWindow)                                                                                     \
    CALL(SDL_StopTextInput)                                                                                  \
    CALL(SDL_UpdateTexture)

struct sdl_library {
#define SDL_MEMBER(name) typeof(name) *name;
    SDL_CALLS(SDL_MEMBER)
#undef SDL_MEMBER
};

/* It stays until the process ends. */
bool sdl_library_load(struct sdl_library *library, struct error *err);

#endif
