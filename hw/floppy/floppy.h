/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A floppy drive: its medium and head, as the controller (hw/floppy/fdc.c) works it. Media are images of
 * 512-byte sectors in the order cylinder, head, sector; the format follows from the size.
 */
#ifndef HW_FLOPPY_FLOPPY_H
#define HW_FLOPPY_FLOPPY_H

#include "machine/device.h"

struct block;

enum {
    FLOPPY_SECTOR = 512,
    FLOPPY_SECTOR_CODE = 2,
    FLOPPY_UNITS = 2
}; /* code: N of the commands, 128 << N bytes */

/* Data rates as the controller's CCR selects them. */
enum floppy_rate { RATE_500K = 0, RATE_300K = 1, RATE_250K = 2, RATE_1M = 3 };

struct floppy_format {
    uint16_t total; /* sectors */
    uint8_t cylinders, heads, sectors;
    uint8_t rates; /* bit per enum floppy_rate at which it can be read */
    uint8_t type;  /* of the drive that it is made for, as CMOS byte 0x10 says it */
};

#define FLOPPY_STATE(S)                                                                                      \
    S(UINT, uint8_t, type, 5)    /* the drive's own: what its first medium asked for */                      \
    S(UINT, uint8_t, track, ANY) /* where the head is: the controller's present cylinder number, too */      \
    S(BOOL, disk_changed)        /* DSKCHG: since a medium went or came no step was made with one inside */

struct floppy {
    struct device dev;
    struct block *block; /* NULL: an empty drive for ever */
    uint8_t unit;
    const struct floppy_format *format; /* of the medium; of an empty drive the usual one */
    STATE_MEMBERS(FLOPPY_STATE);
};
extern const struct state_table floppy_state;

/* A controller's bus of units 0 and 1 (bus_node.bus): its own part of it. */
struct floppy_bus {
    struct bus_node node;
    struct floppy *drives[FLOPPY_UNITS]; /* NULL: there is none */
    /* A drive goes: what it is doing ends. It is still in its place. */
    void (*unplugged)(void *opaque, uint8_t unit);
    void *opaque;
    uint16_t iobase; /* of the controller: firmware names it by that */
};

extern const struct bus_ops floppy_bus_ops;

/* drive may be NULL here: there is none. */
bool floppy_ready(const struct floppy *drive); /* a medium is inside */
bool floppy_read_only(const struct floppy *drive);
bool floppy_changed(const struct floppy *drive); /* DSKCHG */

/*
 * Tracks of the drive from one cylinder of its medium to the next: 2 for media of 40 cylinders in a 5.25"
 * drive of 80 tracks.
 */
unsigned floppy_tracks_per_cylinder(const struct floppy *drive);
/* The cylinder of the medium under the head; -1: it is between two. */
int floppy_cylinder(const struct floppy *drive);

/* Moves the head; step pulses with a medium inside end the disk change. */
void floppy_seek(struct floppy *drive, uint8_t track);

#endif
