/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An ATAPI CD/DVD drive: what the packet transport (atapi.c: ATA/ATAPI-7, SFF-8020i) and the commands in the
 * packets (mmc.c: MMC-5, SPC-3) know of each other.
 */
#ifndef HW_IDE_ATAPI_H
#define HW_IDE_ATAPI_H

#include "hw/ide/ide.h"

enum { CD_SECTOR = 2048, CD_RAW_SECTOR = 2352 };

/* Sense keys */
enum {
    SENSE_NONE = 0x0,
    SENSE_NOT_READY = 0x2,
    SENSE_MEDIUM_ERROR = 0x3,
    SENSE_ILLEGAL_REQUEST = 0x5,
    SENSE_UNIT_ATTENTION = 0x6,
    SENSE_ABORTED_COMMAND = 0xB,
};

/* Additional sense codes and qualifiers, as in SPC's table: code << 8 | qualifier */
enum {
    ASC_READ_ERROR = 0x1100,
    ASC_PARAMETER_LENGTH = 0x1A00,
    ASC_INVALID_OPCODE = 0x2000,
    ASC_LBA_OUT_OF_RANGE = 0x2100,
    ASC_INVALID_FIELD = 0x2400,
    ASC_INVALID_PARAMETER = 0x2600,
    ASC_MEDIUM_MAY_HAVE_CHANGED = 0x2800,
    ASC_INCOMPATIBLE_MEDIUM = 0x3002,
    ASC_SAVING_NOT_SUPPORTED = 0x3900,
    ASC_MEDIUM_NOT_PRESENT_CLOSED = 0x3A01,
    ASC_MEDIUM_NOT_PRESENT_OPEN = 0x3A02,
    ASC_MEDIUM_REMOVAL_PREVENTED = 0x5302,
    ASC_ILLEGAL_MODE_FOR_TRACK = 0x6400,
};

/* After a medium came in, drivers that look now and then must see that it was out: two steps lead to ready.
 */
enum medium_step {
    MEDIUM_SETTLED,
    MEDIUM_ATTENTION, /* one command is answered with UNIT ATTENTION */
    MEDIUM_ABSENT,    /* before that, one with NOT READY */
};

/* Media events of GET EVENT STATUS NOTIFICATION */
enum medium_event { EVENT_NO_CHANGE, EVENT_EJECT_REQUEST, EVENT_NEW_MEDIUM, EVENT_MEDIUM_REMOVAL };

enum { CDROM_LAST_PHASE = 8 }; /* of atapi.c's enum phase */

#define CDROM_STATE(S)                                                                                       \
    S(BASE, struct ide_drive, ide, ide_drive_state)                                                          \
    S(UINT, uint8_t, phase, CDROM_LAST_PHASE) /* of the packet under way: atapi.c's */                       \
    S(ARRAY, uint8_t, packet, 12, ANY)                                                                       \
    S(BOOL, dma)                  /* the packet's data goes by DMA */                                        \
    S(UINT, uint16_t, limit, ANY) /* bytes of a PIO block at most, even */                                   \
    S(UINT, uint8_t, sense_key, 15)                                                                          \
    S(UINT, uint16_t, sense_code, ANY) /* code << 8 | qualifier */                                           \
    S(BOOL, tray_open)                                                                                       \
    S(BOOL, locked)                                                                                          \
    S(UINT, uint8_t, step, MEDIUM_ABSENT)         /* enum medium_step */                                     \
    S(UINT, uint8_t, event, EVENT_MEDIUM_REMOVAL) /* enum medium_event */                                    \
    S(UINT, uint8_t, transfer_mode, ANY)                                                                     \
    S(UINT, uint64_t, left, ANY)         /* bytes on their way to the guest, in all: */                      \
    S(UINT, uint32_t, start, IDE_BUFFER) /* [start, fill) of the buffer, then */                             \
    S(UINT, uint32_t, fill, IDE_BUFFER)                                                                      \
    S(UINT, uint32_t, lba, ANY) /* these sectors of the medium, not yet read */                              \
    S(UINT, uint32_t, sectors, ANY)                                                                          \
    S(UINT, uint16_t, sector_size, ANY) /* CD_SECTOR or CD_RAW_SECTOR */

struct cdrom {
    struct ide_drive ide;
    uint32_t reading; /* sectors that are being read */
    STATE_MEMBERS(CDROM_STATE);
};
extern const struct state_table cdrom_state;

/* ---- what mmc.c calls: each command ends with exactly one of these ---- */

void cdrom_good(struct cdrom *cd);
void cdrom_fail(struct cdrom *cd, uint8_t key, uint16_t code);
/* length bytes in ide.buffer, of which the guest allowed for so many. */
void cdrom_reply(struct cdrom *cd, uint32_t length, uint32_t allowed);
/* Sectors from the medium, whose range was checked. */
void cdrom_read(struct cdrom *cd, uint32_t lba, uint32_t sectors, uint16_t sector_size);
/* Asks for length bytes (at most IDE_BUFFER); mmc_parameters follows. */
void cdrom_take(struct cdrom *cd, uint32_t length);

/* Is there a medium that can be read? */
bool cdrom_ready(const struct cdrom *cd);
/* Sectors of the medium. */
uint32_t cdrom_sectors(const struct cdrom *cd);
void cdrom_move_tray(struct cdrom *cd, bool open);

/* ---- what atapi.c calls ---- */

/* Executes the command in cd->packet. */
void mmc_command(struct cdrom *cd);
/* The parameter list of MODE SELECT has come: length bytes in ide.buffer. */
void mmc_parameters(struct cdrom *cd, uint32_t length);
/* Frames mode 1 sectors: count of 2048 bytes in data become 2352 bytes each; lba: of the first. */
void cd_frame_sectors(uint8_t *data, uint32_t count, uint32_t lba);

#endif
