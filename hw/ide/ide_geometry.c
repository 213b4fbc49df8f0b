/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which cylinders, heads and sectors a disk tells to systems that address it so. */
#include "hw/ide/ide.h"

enum { HEADS = 16, SECTORS = 63, CYLINDERS_MAX = 16383, CYLINDERS_BIOS = 1024 };
enum { TRANSLATION_NONE, TRANSLATION_LBA, TRANSLATION_LARGE };

/* The "large" translation halves cylinders and doubles heads: it ends at 128 Ki tracks. */
#define LARGE_TRACKS 131072

#define PARTITIONS 0x1BE
#define SIGNATURE  0x1FE

uint32_t ide_cylinders(uint64_t total, uint32_t heads, uint32_t sectors)
{
    uint64_t cylinders = total / (heads * sectors);

    return cylinders > CYLINDERS_MAX ? CYLINDERS_MAX : cylinders;
}

/* The geometry that whoever partitioned the disk assumed: the first partition ends at the end of a track. */
static bool partitioned(const uint8_t *sector, uint64_t total, struct ide_geometry *g)
{
    if (sector[SIGNATURE] != 0x55 || sector[SIGNATURE + 1] != 0xAA)
        return false;
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *p = sector + PARTITIONS + 16 * i;
        uint32_t length = p[12] | p[13] << 8 | p[14] << 16 | (uint32_t)p[15] << 24;
        uint32_t heads = p[5] + 1, sectors = p[6] & 63;
        uint64_t cylinders;

        if (!length || !p[5] || !sectors)
            continue;
        cylinders = total / (heads * sectors);
        if (cylinders < 1 || cylinders > CYLINDERS_MAX)
            continue;
        *g = (struct ide_geometry){
            .cylinders = cylinders, .heads = heads > 255 ? 255 : heads, .sectors = sectors};
        return true;
    }
    return false;
}

void ide_guess_geometry(const uint8_t *first_sector, uint64_t total, struct ide_geometry *g)
{
    bool known = partitioned(first_sector, total, g);
    uint32_t cylinders;

    if (known && g->heads <= HEADS)
        return; /* it was used as it is */
    cylinders = ide_cylinders(total, HEADS, SECTORS);
    *g =
        (struct ide_geometry){.cylinders = cylinders < 2 ? 2 : cylinders, .heads = HEADS, .sectors = SECTORS};
    if (known)
        g->translation = g->cylinders * HEADS <= LARGE_TRACKS ? TRANSLATION_LARGE : TRANSLATION_LBA;
    else
        g->translation = g->cylinders <= CYLINDERS_BIOS ? TRANSLATION_NONE : TRANSLATION_LBA;
}
