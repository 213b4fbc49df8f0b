/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Class floppy: a drive on the floppy controller's bus. See floppy.h. */
#include "hw/floppy/floppy.h"

#include <stdio.h>

#include "base/util.h"
#include "block/block.h"

STATE_PUBLIC_TABLE(floppy_state, struct floppy, FLOPPY_STATE);

/* A 5.25" drive of 80 tracks, as CMOS byte 0x10 says it. */
#define TYPE_1200K 2

#define RATE(rate) (1u << RATE_##rate)

/* Sizes are told apart by the number of sectors; the first is also what an unknown size up to its own is read
 * as. */
static const struct floppy_format formats[] = {
    {2880, 80, 2, 18, RATE(500K), 4},          /* 1.44 MB, 3.5" */
    {5760, 80, 2, 36, RATE(1M), 5},            /* 2.88 MB */
    {1440, 80, 2, 9, RATE(250K), 4},           /* 720 KB */
    {2400, 80, 2, 15, RATE(500K), TYPE_1200K}, /* 1.2 MB, 5.25" */
    {720, 40, 2, 9, RATE(250K) | RATE(300K),
     TYPE_1200K}, /* 360 KB; a 1.2 MB drive turns faster and needs 300 kb/s */
    {640, 40, 2, 8, RATE(250K) | RATE(300K), TYPE_1200K}, /* 320 KB */
    {360, 40, 1, 9, RATE(250K) | RATE(300K), TYPE_1200K}, /* 180 KB */
    {320, 40, 1, 8, RATE(250K) | RATE(300K), TYPE_1200K}, /* 160 KB */
    {2080, 80, 2, 13, RATE(500K), 4},                     /* 1.04 MB */
    {2240, 80, 2, 14, RATE(500K), 4},                     /* 1.12 MB */
    {3200, 80, 2, 20, RATE(500K), 4},                     /* 1.6 MB */
    {3360, 80, 2, 21, RATE(500K), 4},                     /* 1.68 MB, DMF */
    {3444, 82, 2, 21, RATE(500K), 4},                     /* 1.72 MB */
    {3486, 83, 2, 21, RATE(500K), 4},                     /* 1.74 MB */
    {1600, 80, 2, 10, RATE(250K), 4},                     /* 800 KB */
    {3840, 80, 2, 24, RATE(500K), 5},                     /* 1.92 MB */
    {6240, 80, 2, 39, RATE(1M), 5},                       /* 3.12 MB */
    {6400, 80, 2, 40, RATE(1M), 5},                       /* 3.2 MB */
};

enum { FORMATS = COUNT(formats) };

static const struct floppy_format *format_of_size(uint64_t size)
{
    for (unsigned i = 0; i < FORMATS; i++)
        if (size == (uint64_t)formats[i].total * FLOPPY_SECTOR)
            return &formats[i];
    return size <= (uint64_t)formats[0].total * FLOPPY_SECTOR ? &formats[0] : &formats[1];
}

bool floppy_ready(const struct floppy *drive)
{
    return drive && drive->block && block_present(drive->block);
}

bool floppy_read_only(const struct floppy *drive)
{
    return !floppy_ready(drive) || block_read_only(drive->block);
}

bool floppy_changed(const struct floppy *drive)
{
    return !floppy_ready(drive) || drive->disk_changed;
}

unsigned floppy_tracks_per_cylinder(const struct floppy *drive)
{
    return drive->type == TYPE_1200K && drive->format->cylinders == 40 ? 2 : 1;
}

int floppy_cylinder(const struct floppy *drive)
{
    unsigned step = floppy_tracks_per_cylinder(drive);

    return drive->track % step ? -1 : (int)(drive->track / step);
}

void floppy_seek(struct floppy *drive, uint8_t track)
{
    if (track != drive->track && floppy_ready(drive))
        drive->disk_changed = false;
    drive->track = track;
}

static void take_medium(struct floppy *drive)
{
    drive->disk_changed = true;
    drive->format = format_of_size(floppy_ready(drive) ? block_size(drive->block) : 0);
}

static void floppy_medium_changed(void *opaque)
{
    take_medium(opaque);
}

/* ---- the bus ---- */

static bool floppy_bus_full(const struct bus_node *node)
{
    const struct floppy_bus *bus = node->bus;

    return bus->drives[0] && bus->drives[1];
}

static bool floppy_bus_plug(struct bus_node *node, struct device *dev, struct error *err)
{
    struct floppy_bus *bus = node->bus;
    struct floppy *drive = (struct floppy *)dev;

    if (drive->unit == 0xFF)
        drive->unit = bus->drives[0] ? 1 : 0;
    if (drive->unit >= FLOPPY_UNITS)
        return error_set(err, "floppy: unit %u: a controller has the units 0 and 1", drive->unit);
    if (bus->drives[drive->unit])
        return error_set(err, "floppy: unit %u is taken", drive->unit);
    bus->drives[drive->unit] = drive;
    return true;
}

static void floppy_bus_unplug(struct bus_node *node, struct device *dev)
{
    struct floppy_bus *bus = node->bus;
    struct floppy *drive = (struct floppy *)dev;

    bus->unplugged(bus->opaque, drive->unit);
    bus->drives[drive->unit] = NULL;
}

static void floppy_bus_address(const struct device *dev, char *text, size_t size)
{
    snprintf(text, size, "%u", ((const struct floppy *)dev)->unit);
}

/* The controller is behind the ISA bridge, the function 1.0. */
static void floppy_firmware_path(const struct device *dev, char *text, size_t size)
{
    const struct floppy_bus *bus = dev->bus->bus;

    snprintf(text, size, "/pci@i0cf8/isa@1/fdc@%04x/floppy@%x", bus->iobase,
             ((const struct floppy *)dev)->unit);
}

const struct bus_ops floppy_bus_ops = {
    .name = "floppy",
    .title = "Floppy drives",
    .type = "floppy-device",
    .full = floppy_bus_full,
    .plug = floppy_bus_plug,
    .unplug = floppy_bus_unplug,
    .address = floppy_bus_address,
    .firmware_path = floppy_firmware_path,
};

/* ---- the device ---- */

static bool floppy_realize(struct device *dev, struct error *err)
{
    static const struct block_events events = {.medium_changed = floppy_medium_changed};
    struct floppy *drive = (struct floppy *)dev;

    if (drive->block && !block_attach(drive->block, dev->id ? dev->id : "floppy", &events, drive))
        return error_set(err, "floppy: drive '%s' is in use by %s", block_id(drive->block),
                         block_owner(drive->block));
    take_medium(drive);
    drive->type = drive->format->type;
    return true;
}

static void floppy_unrealize(struct device *dev)
{
    struct floppy *drive = (struct floppy *)dev;

    if (drive->block)
        block_detach(drive->block);
}

/* The drive has no reset line: head and disk change stay as they are. */
static void floppy_reset(struct device *dev)
{
}

static const struct property floppy_properties[] = {
    PROPERTY(PROP_DRIVE, struct floppy, block, "drive", .help = "the image; none: an empty drive"),
    PROPERTY(PROP_UINT8, struct floppy, unit, "unit", .initial = "255", .help = "0: A, 1: B; 255: the next"),
    BOOT_INDEX_PROPERTY,
    {.name = NULL},
};

static const struct device_class floppy_class = {
    .name = "floppy",
    .description = "floppy drive",
    .bus = &floppy_bus_ops,
    .size = sizeof(struct floppy),
    .properties = floppy_properties,
    .state = &floppy_state,
    .realize = floppy_realize,
    .unrealize = floppy_unrealize,
    .reset = floppy_reset,
};
DEVICE_CLASS(floppy_class);
