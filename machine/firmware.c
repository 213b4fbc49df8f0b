/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/firmware.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine/machine.h"

char *firmware_find(struct machine *m, const char *name, struct error *err)
{
    char *path;

    if (access(name, R_OK) == 0)
        return strdup(name);
    if (!strchr(name, '/'))
        for (const char *const *dir = m->config.firmware; dir && *dir; dir++) {
            if (asprintf(&path, "%s/%s", *dir, name) < 0)
                break;
            if (access(path, R_OK) == 0)
                return path;
            free(path);
        }
    error_set(err, "%s: no such file%s", name,
              strchr(name, '/') ? ""
                                : " here or in the firmware directories (see -L; Debian package seabios)");
    return NULL;
}

uint8_t *firmware_load(const char *path, size_t max, size_t *size, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    uint8_t *data = NULL;

    if (fd < 0 || fstat(fd, &st) < 0) {
        error_set(err, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode) || st.st_size <= 0 || (uint64_t)st.st_size > max) {
        error_set(err, "%s: not a file of 1 to %zu bytes", path, max);
    } else {
        data = aligned_alloc(4096, (st.st_size + 4095) & ~4095ull);
        if (!data || read(fd, data, st.st_size) != st.st_size) {
            error_set(err, "%s: cannot be read", path);
            free(data);
            data = NULL;
        } else {
            *size = st.st_size;
        }
    }
    if (fd >= 0)
        close(fd);
    return data;
}
