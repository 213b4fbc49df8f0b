/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory for what the command line and its like say: where there is none, the process ends with one clear
 * line. For the start and for its owner's commands only; nothing that a guest, a viewer, an image or a packet
 * reaches may call it.
 */
#ifndef BASE_XALLOC_H
#define BASE_XALLOC_H

#include <stddef.h>

void *xcalloc(size_t count, size_t size);
void *xrealloc(void *memory, size_t size);
char *xstrdup(const char *text);
/* The first length bytes at most. */
char *xstrndup(const char *text, size_t length);

#endif
