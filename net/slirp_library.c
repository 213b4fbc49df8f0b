/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/slirp_library.h"

#include <dlfcn.h>
#include <stddef.h>

#include "base/util.h"

static const struct {
    const char *name;
    size_t offset;
} calls[] = {
#define SLIRP_ENTRY(name) {#name, offsetof(struct slirp_library, name)},
    SLIRP_CALLS(SLIRP_ENTRY)
#undef SLIRP_ENTRY
};

bool slirp_library_load(struct slirp_library *library, struct error *err)
{
    void *handle = dlopen("libslirp.so.0", RTLD_NOW | RTLD_LOCAL);

    for (size_t i = 0; handle && i < COUNT(calls); i++) {
        void *call = dlsym(handle, calls[i].name);

        if (!call)
            handle = NULL;
        *(void **)((char *)library + calls[i].offset) = call;
    }
    return handle || error_set(err, "%s (Debian package libslirp0)", dlerror());
}
