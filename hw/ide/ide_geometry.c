/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which cylinders, heads and sectors a disk tells to systems that address it so. */
#include "hw/ide/ide.h"

#include <string.h>

#include "base/util.h"

enum { HEADS = 16, SECTORS = 63, CYLINDERS_MAX = 16383, CYLINDERS_BIOS = 1024 };

#define PARTITIONS 0x1BE
#define SIGNATURE  0x1FE

uint32_t ide_cylinders(uint64_t total, uint32_t heads, uint32_t sectors)
{
    uint64_t cylinders = total / (heads * sectors);

    return cylinders > CYLINDERS_MAX ? CYLINDERS_MAX : cylinders;
}

static uint32_t ide_table_cylinder(const uint8_t *chs)
{
    return chs[2] | (chs[1] & 0xC0) << 2;
}

/* Does a partition table's head, sector and cylinder point there? Beyond 1023 cylinders it cannot say. */
static bool ide_chs_is(const uint8_t *chs, const struct ide_geometry *g, uint64_t lba)
{
    uint32_t cylinder = ide_table_cylinder(chs);

    return cylinder >= CYLINDERS_BIOS - 1 ||
           ((uint64_t)cylinder * g->heads + chs[0]) * g->sectors + (chs[1] & 63) - 1 == lba;
}

/*
 * The geometry, other than the usual one, that whoever partitioned the disk assumed: the first partition ends
 * at the end of a track. It is believed only where the table's addresses agree with it, which within the
 * first cylinder says nothing: many tables end anywhere.
 */
static bool ide_partitioned(const uint8_t *sector, uint64_t total, struct ide_geometry *g)
{
    if (sector[SIGNATURE] != 0x55 || sector[SIGNATURE + 1] != 0xAA)
        return false;
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *p = sector + PARTITIONS + 16 * i;
        uint32_t start = get_le32(p + 8), length = get_le32(p + 12);
        uint32_t heads = p[5] + 1, sectors = p[6] & 63;
        uint64_t cylinders;

        if (!length || !p[5] || !sectors || heads > HEADS || !ide_table_cylinder(p + 5))
            continue;
        cylinders = total / (heads * sectors);
        *g = (struct ide_geometry){.cylinders = cylinders, .heads = heads, .sectors = sectors};
        if (cylinders >= 1 && cylinders <= CYLINDERS_MAX && ide_chs_is(p + 1, g, start) &&
            ide_chs_is(p + 5, g, (uint64_t)start + length - 1))
            return heads != HEADS || sectors != SECTORS;
    }
    return false;
}

/*
 * A table whose heads are more than a disk has was made by what the firmware translated, and says nothing of
 * the disk: the translation follows from the size alone, before the guest partitions as after it.
 */
void ide_guess_geometry(const uint8_t *first_sector, uint64_t total, struct ide_geometry *g)
{
    uint32_t cylinders = ide_cylinders(total, HEADS, SECTORS);

    if (ide_partitioned(first_sector, total, g))
        return; /* it was used as it is */
    *g =
        (struct ide_geometry){.cylinders = cylinders < 2 ? 2 : cylinders, .heads = HEADS, .sectors = SECTORS};
    g->translation = g->cylinders <= CYLINDERS_BIOS ? IDE_TRANSLATION_NONE : IDE_TRANSLATION_LBA;
}

bool ide_translation_by_name(const char *name, uint8_t *translation)
{
    static const char *const names[] = {"none", "lba", "large", "rechs"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!strcmp(name, names[i])) {
            *translation = i;
            return true;
        }
    return false;
}
