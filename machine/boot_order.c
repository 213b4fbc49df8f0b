/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/boot_order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool boot_order_add(struct boot_order *order, int32_t index, const char *path, struct error *err)
{
    struct boot_line **at = &order->lines, *line;

    while (*at && (*at)->index < index)
        at = &(*at)->next;
    if (*at && (*at)->index == index)
        return error_set(err, "bootindex=%d is taken by %s", index, (*at)->path);
    line = malloc(sizeof(*line));
    if (!line)
        return error_set(err, "bootindex=%d: out of memory", index);
    *line = (struct boot_line){.index = index, .next = *at};
    snprintf(line->path, sizeof(line->path), "%s", path);
    *at = line;
    return true;
}

void boot_order_remove(struct boot_order *order, int32_t index)
{
    struct boot_line **at = &order->lines, *line;

    while (*at && (*at)->index != index)
        at = &(*at)->next;
    line = *at;
    if (!line)
        return;
    *at = line->next;
    free(line);
}

/* A line behind what is there. */
static void boot_order_append(char *text, size_t *size, const char *path)
{
    if (*size)
        text[*size - 1] = '\n';
    strcpy(text + *size, path);
    *size += strlen(path) + 1;
}

char *boot_order_text(const struct boot_order *order, const char *last, size_t *size)
{
    size_t most = last ? strlen(last) + 1 : 0;
    char *text;

    for (const struct boot_line *line = order->lines; line; line = line->next)
        most += strlen(line->path) + 1;
    text = calloc(1, most + 1);
    *size = 0;
    for (const struct boot_line *line = order->lines; text && line; line = line->next)
        boot_order_append(text, size, line->path);
    if (text && last)
        boot_order_append(text, size, last);
    return text;
}
