/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/holds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    uint16_t first, last;
    const char *name;
} ports[] = {
    {0x00, 0x0F, "i8237"},       {0x60, 0x64, "i8042"},        {0x70, 0x77, "clock"},
    {0x80, 0x8F, "i8237"},       {0xC0, 0xDF, "i8237"},        {0x170, 0x177, "ide"},
    {0x1CE, 0x1D0, "dispi"},     {0x1F0, 0x1F7, "ide"},        {0x376, 0x376, "ide"},
    {0x3B0, 0x3DF, "vga ports"}, {0x3F0, 0x3F5, "floppy"},     {0x3F6, 0x3F6, "ide"},
    {0x3F7, 0x3F7, "floppy"},    {0x2F8, 0x2FF, "serial"},     {0x3F8, 0x3FF, "serial"},
    {0x402, 0x402, "debugcon"},  {0x510, 0x51B, "fw_cfg"},     {0xAE00, 0xAFFF, "hot plug"},
    {0xB000, 0xB1FF, "power"},   {0xCF8, 0xCFF, "pci config"},
};

static const char *port_name(uint64_t port)
{
    for (unsigned i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
        if (port >= ports[i].first && port <= ports[i].last)
            return ports[i].name;
    return "other ports";
}

static void name_address(const struct moves *moves, uint64_t addr, bool io, char *text, size_t room)
{
    for (unsigned i = 0; i < moves->bar_count; i++)
        if (moves->bars[i].io == io && addr - moves->bars[i].base < moves->bars[i].size) {
            unsigned function = moves->bars[i].function;

            snprintf(text, room, "%04x:%04x bar %u", moves->functions[function].vendor,
                     moves->functions[function].device, moves->bars[i].bar);
            return;
        }
    if (io)
        snprintf(text, room, "%s", port_name(addr));
    else if (addr >= 0xA0000 && addr < 0xC0000)
        snprintf(text, room, "vga window");
    else
        snprintf(text, room, "%s", addr < moves->ram_size ? "ram" : "other memory");
}

/* "outs ide", "in vga ports", "memset vga window". */
static void name_kind(const struct moves *moves, const char *line, char *kind, size_t room)
{
    size_t verb = strcspn(line, " ");
    bool io = line[0] == 'o' || line[0] == 'i';
    char place[24] = "";
    const char *at = line[verb] ? line + verb + 1 : "";

    if (strncmp(line, "clock", 5) != 0 && strncmp(line, "irq", 3) != 0 && strncmp(line, "set", 3) != 0)
        name_address(moves, io ? strtoull(at, NULL, 0) & 0xFFFF : strtoull(at, NULL, 0), io, place,
                     sizeof(place));
    if (io && strncmp(line, "outs", 4) != 0)
        verb--; /* whatever size */
    snprintf(kind, room, "%.*s %s", (int)verb, line, place);
}

static struct hold *find_kind(struct holds *holds, const char *kind)
{
    for (unsigned i = 0; i < holds->count; i++)
        if (!strcmp(holds->kinds[i].kind, kind))
            return &holds->kinds[i];
    if (holds->count == MAX_HOLDS)
        return &holds->kinds[MAX_HOLDS - 1];
    snprintf(holds->kinds[holds->count].kind, sizeof(holds->kinds[0].kind), "%s", kind);
    return &holds->kinds[holds->count++];
}

unsigned long holds_add(struct holds *holds, const struct moves *moves, const char *line, const char *answer)
{
    unsigned long units, pieces;
    char kind[32];
    struct hold *hold;
    long ns, worked;

    if (sscanf(answer, "OK %lu %lu %ld %ld", &units, &pieces, &ns, &worked) != 4)
        return 0;
    name_kind(moves, line, kind, sizeof(kind));
    hold = find_kind(holds, kind);
    hold->lines++;
    if (units > hold->units)
        hold->units = units;
    if (ns > hold->ns)
        hold->ns = ns;
    if (worked > hold->worked) {
        hold->worked = worked;
        snprintf(hold->line, sizeof(hold->line), "%s", line);
    }
    return units;
}

static int longer(const void *a, const void *b)
{
    const struct hold *x = a, *y = b;

    return x->worked < y->worked ? 1 : x->worked > y->worked ? -1 : 0;
}

void holds_print(struct holds *holds)
{
    qsort(holds->kinds, holds->count, sizeof(holds->kinds[0]), longer);
    printf("The longest holds of the machine, by kind of access:\n");
    printf("%8s %8s %10s %9s  %-26s %s\n", "cpu ms", "ms", "units", "accesses", "kind", "the longest");
    for (unsigned i = 0; i < holds->count; i++)
        printf("%8.3f %8.3f %10lu %9lu  %-26s %.60s\n", holds->kinds[i].worked / 1e6,
               holds->kinds[i].ns / 1e6, holds->kinds[i].units, holds->kinds[i].lines, holds->kinds[i].kind,
               holds->kinds[i].line);
}
