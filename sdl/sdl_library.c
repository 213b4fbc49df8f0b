/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sdl/sdl_library.h"

#include <dlfcn.h>
#include <stddef.h>

#include "base/util.h"

static const struct {
    const char *name;
    size_t offset;
} calls[] = {
#define SDL_ENTRY(name) {#name, offsetof(struct sdl_library, name)},
    SDL_CALLS(SDL_ENTRY)
#undef SDL_ENTRY
};

bool sdl_library_load(struct sdl_library *library, struct error *err)
{
    void *handle = dlopen("libSDL2-2.0.so.0", RTLD_NOW | RTLD_LOCAL);

    for (size_t i = 0; handle && i < COUNT(calls); i++) {
        void *call = dlsym(handle, calls[i].name);

        if (!call)
            handle = NULL;
        *(void **)((char *)library + calls[i].offset) = call;
    }
    return handle || error_set(err, "%s (Debian package libsdl2-2.0-0)", dlerror());
}
