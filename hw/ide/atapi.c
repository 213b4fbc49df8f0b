/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An ATAPI CD/DVD drive: the packet protocol (ATA/ATAPI-7, T13/1532D), tray and medium. Commands: mmc.c. */
#include "hw/ide/atapi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "hw/backends.h"
#include "machine/machine.h"

STATE_PUBLIC_TABLE(cdrom_state, struct cdrom, CDROM_STATE);

/* Interrupt reason, in the count register */
#define REASON_COD 0x01 /* a command packet, or status */
#define REASON_IO  0x02 /* to the host */

/* ATA commands of a packet device */
enum {
    PACKET = 0xA0,
    IDENTIFY_PACKET_DEVICE = 0xA1,
    STANDBY_IMMEDIATE = 0xE0,
    IDLE_IMMEDIATE = 0xE1,
    CHECK_POWER_MODE = 0xE5,
    SLEEP = 0xE6,
    SET_FEATURES = 0xEF,
    IDENTIFY_DEVICE = 0xEC,
    READ_SECTORS = 0x20,
};

#define PACKET_DMA 0x01 /* feature register */

enum phase {
    IDLE_PHASE,
    AWAIT_PACKET,
    IDENTIFY, /* a reply to an ATA command: no packet status after it */
    READ_PIO, /* data of a reply or of the medium by PIO */
    READ_DMA, /* all of it by one DMA transfer */
    READ_RAW, /* sectors are read to be framed, and then */
    RAW_DMA,  /* go to memory */
    TAKE_PIO, /* a parameter list */
    TAKE_DMA,
};
_Static_assert((int)TAKE_DMA == CDROM_LAST_PHASE, "the range of cdrom.phase");

static void read_more(struct cdrom *cd);

/* ---- ends of commands ---- */

static void end_packet(struct cdrom *cd, uint8_t status, uint8_t error)
{
    cd->phase = IDLE_PHASE;
    cd->ide.count[0] = REASON_COD | REASON_IO;
    ide_finish(&cd->ide, status, error);
}

void cdrom_good(struct cdrom *cd)
{
    end_packet(cd, ATA_DRDY | ATA_DSC, 0);
}

void cdrom_fail(struct cdrom *cd, uint8_t key, uint16_t code)
{
    cd->sense_key = key;
    cd->sense_code = code;
    end_packet(cd, ATA_DRDY | ATA_DSC | ATA_ERR, key << 4 | ATA_ABRT);
}

static void atapi_fail_io(struct cdrom *cd, int error)
{
    if (error == ENOMEDIUM)
        cdrom_fail(cd, SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT_CLOSED);
    else if (error == EFAULT) /* the bus master's table pointed to no memory */
        cdrom_fail(cd, SENSE_ABORTED_COMMAND, 0);
    else
        cdrom_fail(cd, SENSE_MEDIUM_ERROR, ASC_READ_ERROR);
}

/* ---- data to the guest ---- */

static void set_byte_count(struct cdrom *cd, uint32_t length)
{
    cd->ide.lba_mid[0] = length;
    cd->ide.lba_high[0] = length >> 8;
}

static uint32_t atapi_next_block(const struct cdrom *cd)
{
    return cd->left < cd->limit ? cd->left : cd->limit;
}

/* The next PIO block: as large as the guest takes it, whatever the sectors' size. */
static void pio_next(struct cdrom *cd)
{
    uint32_t length = atapi_next_block(cd);

    if (!cd->left) {
        cdrom_good(cd);
    } else if (cd->fill - cd->start < length) {
        read_more(cd);
    } else {
        set_byte_count(cd, length);
        cd->ide.count[0] = REASON_IO;
        ide_pio_in(&cd->ide, cd->start, length);
    }
}

/* Reads what fits into the buffer behind the bytes that are still there, which move to its front. */
static void read_more(struct cdrom *cd)
{
    uint32_t kept = cd->fill - cd->start, fit;

    memmove(cd->ide.buffer, cd->ide.buffer + cd->start, kept);
    cd->start = 0;
    cd->fill = kept;
    fit = (IDE_BUFFER - kept) / cd->sector_size;
    cd->reading = min_u64(cd->sectors, fit);
    ide_submit(&cd->ide, BLOCK_READ, (uint64_t)cd->lba * CD_SECTOR, (uint64_t)cd->reading * CD_SECTOR, kept);
}

/* The sectors have come behind the bytes that were there. */
static void sectors_read(struct cdrom *cd)
{
    if (cd->sector_size == CD_RAW_SECTOR)
        cd_frame_sectors(cd->ide.buffer + cd->fill, cd->reading, cd->lba);
    cd->fill += cd->reading * cd->sector_size;
    cd->lba += cd->reading;
    cd->sectors -= cd->reading;
    cd->reading = 0;
}

void cdrom_reply(struct cdrom *cd, uint32_t length, uint32_t allowed)
{
    cd->left = min_u64(length, allowed);
    cd->start = 0;
    cd->fill = cd->left;
    cd->sectors = 0;
    if (!cd->left) {
        cdrom_good(cd);
    } else if (cd->dma) {
        cd->phase = READ_DMA;
        cd->ide.count[0] = REASON_IO;
        ide_dma(&cd->ide, IDE_DMA_BUFFER_IN, 0, cd->left);
    } else {
        cd->phase = READ_PIO;
        pio_next(cd);
    }
}

void cdrom_read(struct cdrom *cd, uint32_t lba, uint32_t sectors, uint16_t sector_size)
{
    uint64_t length = (uint64_t)sectors * sector_size;

    if (!sectors) {
        cdrom_good(cd);
        return;
    }
    cd->lba = lba;
    cd->sectors = sectors;
    cd->sector_size = sector_size;
    cd->start = cd->fill = 0;
    cd->left = length;
    if (!cd->dma) {
        cd->phase = READ_PIO;
        pio_next(cd);
        return;
    }
    cd->ide.count[0] = REASON_IO;
    cd->phase = sector_size == CD_SECTOR ? READ_DMA : READ_RAW;
    if (sector_size == CD_SECTOR)
        ide_dma(&cd->ide, IDE_DMA_READ, (uint64_t)lba * CD_SECTOR, length);
    else
        read_more(cd);
}

static void raw_read(struct cdrom *cd)
{
    sectors_read(cd);
    cd->phase = RAW_DMA;
    ide_dma(&cd->ide, IDE_DMA_BUFFER_IN, 0, cd->fill);
}

static void raw_moved(struct cdrom *cd)
{
    cd->start = cd->fill = 0;
    if (!cd->sectors) {
        cdrom_good(cd);
        return;
    }
    cd->phase = READ_RAW;
    read_more(cd);
}

/* ---- data from the guest ---- */

static void take_block(struct cdrom *cd)
{
    uint32_t length = atapi_next_block(cd);

    set_byte_count(cd, length);
    cd->ide.count[0] = 0;
    ide_pio_out(&cd->ide, cd->fill, length, true);
}

void cdrom_take(struct cdrom *cd, uint32_t length)
{
    cd->left = length;
    cd->start = cd->fill = 0;
    if (cd->dma) {
        cd->phase = TAKE_DMA;
        ide_dma(&cd->ide, IDE_DMA_BUFFER_OUT, 0, length);
        return;
    }
    cd->phase = TAKE_PIO;
    take_block(cd);
}

static void block_taken(struct cdrom *cd)
{
    uint32_t length = atapi_next_block(cd);

    cd->fill += length;
    cd->left -= length;
    if (cd->left)
        take_block(cd);
    else
        mmc_parameters(cd, cd->fill);
}

/* ---- ATA commands ---- */

static void atapi_abort_command(struct cdrom *cd)
{
    cd->phase = IDLE_PHASE;
    ide_finish(&cd->ide, ATA_DRDY | ATA_ERR, ATA_ABRT);
}

/* Commands of disks are refused with the signature, so that a driver learns what this is (9.12). */
static void refuse_as_packet_device(struct cdrom *cd)
{
    struct ide_drive *ide = &cd->ide;

    ide->count[0] = ide->lba_low[0] = 1;
    ide->lba_mid[0] = 0x14;
    ide->lba_high[0] = 0xEB;
    atapi_abort_command(cd);
}

static void begin_packet(struct cdrom *cd)
{
    uint16_t limit = cd->ide.lba_mid[0] | cd->ide.lba_high[0] << 8;

    cd->dma = cd->ide.feature[0] & PACKET_DMA;
    /* FFFFh means FFFEh, and only the last block may have an odd length (SFF-8020i 5.5); 0 is no limit. */
    cd->limit = limit ? limit & ~1u : 0xFFFE;
    if (!cd->limit)
        cd->limit = 2;
    cd->phase = AWAIT_PACKET;
    cd->ide.count[0] = REASON_COD;
    ide_pio_out(&cd->ide, 0, sizeof(cd->packet), false);
}

static void packet_came(struct cdrom *cd)
{
    memcpy(cd->packet, cd->ide.buffer, sizeof(cd->packet));
    cd->phase = IDLE_PHASE;
    cd->ide.status = ATA_BSY | ATA_DRDY | ATA_DSC;
    mmc_command(cd);
}

static void atapi_identify(struct cdrom *cd)
{
    struct ide_drive *ide = &cd->ide;
    uint8_t *w = ide->buffer;
    char serial[21];

    memset(w, 0, IDE_SECTOR);
    ide_identify_word(w, 0, 0x85C0); /* CD, removable, DRQ within 50 us, packets of 12 bytes */
    ide_identify_text(w + 20, 20, ide_serial(ide, serial));
    ide_identify_text(w + 46, 8, ide->version ? ide->version : "1.0");
    ide_identify_text(w + 54, 40, ide->model ? ide->model : "HVM-DM DVD-ROM");
    ide_identify_word(w, 49, 0x0F00); /* DMA, LBA, IORDY that may be off */
    ide_identify_word(w, 50, 0x4000);
    ide_identify_word(w, 53, 0x0006); /* words 64-70 and 88 are valid */
    ide_identify_word(w, 64, 0x0003); /* PIO 3 and 4 */
    for (unsigned i = 65; i <= 68; i++)
        ide_identify_word(w, i, 120); /* ns a cycle */
    ide_identify_word(w, 71, 30);     /* us from packet to bus release, */
    ide_identify_word(w, 72, 30);     /* and from SERVICE to BSY cleared */
    ide_identify_word(w, 80, 0x00F0); /* ATA/ATAPI-4 to -7 */
    ide_identify_word(w, 82, 0x4218); /* NOP, DEVICE RESET, PACKET, power management */
    ide_identify_word(w, 83, 0x4000);
    ide_identify_word(w, 84, 0x4000);
    ide_identify_word(w, 85, 0x4218);
    ide_identify_word(w, 87, 0x4000);
    ide_identify_modes(ide, w, cd->transfer_mode);
    ide_identify_checksum(w);
    cd->phase = IDENTIFY;
    ide->count[0] = REASON_IO; /* the interrupt reason, which CD drivers look at for any block of data */
    ide_pio_in(ide, 0, IDE_SECTOR);
}

static void atapi_succeed(struct cdrom *cd)
{
    ide_finish(&cd->ide, ATA_DRDY | ATA_DSC, 0);
}

static void atapi_set_features(struct cdrom *cd)
{
    uint8_t feature = cd->ide.feature[0];

    if (feature == 0x03 && ide_transfer_mode_known(cd->ide.count[0]))
        cd->transfer_mode = cd->ide.count[0];
    else if (feature != 0x66 && feature != 0xCC)
        return atapi_abort_command(cd);
    atapi_succeed(cd);
}

static void atapi_command(struct ide_drive *drive, uint8_t code)
{
    struct cdrom *cd = (struct cdrom *)drive;

    cd->phase = IDLE_PHASE;
    switch (code) {
    case PACKET:
        begin_packet(cd);
        break;
    case IDENTIFY_PACKET_DEVICE:
        atapi_identify(cd);
        break;
    case IDENTIFY_DEVICE:
    case READ_SECTORS:
        refuse_as_packet_device(cd);
        break;
    case SET_FEATURES:
        atapi_set_features(cd);
        break;
    case CHECK_POWER_MODE:
        cd->ide.count[0] = 0xFF; /* active */
        atapi_succeed(cd);
        break;
    case STANDBY_IMMEDIATE:
    case IDLE_IMMEDIATE:
    case SLEEP:
        atapi_succeed(cd);
        break;
    default:
        atapi_abort_command(cd);
    }
}

static void atapi_pio_done(struct ide_drive *drive)
{
    struct cdrom *cd = (struct cdrom *)drive;
    uint32_t length;

    switch (cd->phase) {
    case AWAIT_PACKET:
        packet_came(cd);
        break;
    case READ_PIO:
        length = atapi_next_block(cd);
        cd->start += length;
        cd->left -= length;
        pio_next(cd);
        break;
    case TAKE_PIO:
        block_taken(cd);
        break;
    default:
        cd->phase = IDLE_PHASE;
        ide_finish_quietly(drive, ATA_DRDY | ATA_DSC);
    }
}

static void atapi_io_done(struct ide_drive *drive, int error)
{
    struct cdrom *cd = (struct cdrom *)drive;

    if (error) {
        atapi_fail_io(cd, error);
        return;
    }
    switch (cd->phase) {
    case READ_PIO:
        sectors_read(cd);
        pio_next(cd);
        break;
    case READ_RAW:
        raw_read(cd);
        break;
    case RAW_DMA:
        raw_moved(cd);
        break;
    case TAKE_DMA:
        mmc_parameters(cd, cd->left);
        break;
    default:
        cdrom_good(cd);
    }
}

static void atapi_drive_reset(struct ide_drive *drive, bool hard)
{
    struct cdrom *cd = (struct cdrom *)drive;

    cd->phase = IDLE_PHASE;
    cd->left = cd->start = cd->fill = cd->sectors = cd->reading = 0;
    cd->sense_key = cd->sense_code = 0;
    if (!hard)
        return;
    cd->locked = false;
    cd->step = MEDIUM_SETTLED;
    cd->event = EVENT_NO_CHANGE;
    cd->transfer_mode = 0x45; /* Ultra DMA mode 5 */
}

static const struct ide_drive_ops ops = {
    .packet = true,
    .command = atapi_command,
    .pio_done = atapi_pio_done,
    .io_done = atapi_io_done,
    .reset = atapi_drive_reset,
};

/* ---- medium and tray ---- */

bool cdrom_ready(const struct cdrom *cd)
{
    return !cd->tray_open && block_present(cd->ide.block);
}

uint32_t cdrom_sectors(const struct cdrom *cd)
{
    uint64_t sectors = (block_size(cd->ide.block) + CD_SECTOR - 1) / CD_SECTOR;

    return min_u64(sectors, UINT32_MAX);
}

void cdrom_move_tray(struct cdrom *cd, bool open)
{
    if (cd->tray_open == open)
        return;
    cd->tray_open = open;
    block_tray_moved(cd->ide.block, open);
    if (!open && !block_present(cd->ide.block))
        return;
    cd->step = open ? MEDIUM_SETTLED : MEDIUM_ATTENTION;
    cd->event = open ? EVENT_MEDIUM_REMOVAL : EVENT_NEW_MEDIUM;
}

static void atapi_eject_request(void *opaque, bool force)
{
    ((struct cdrom *)opaque)->event = EVENT_EJECT_REQUEST;
}

static void atapi_medium_changed(void *opaque)
{
    struct cdrom *cd = opaque;
    bool present = block_present(cd->ide.block);

    if (cd->phase == READ_PIO || cd->phase == READ_DMA || cd->phase == READ_RAW || cd->phase == RAW_DMA) {
        ide_cancel(&cd->ide);
        cdrom_fail(cd, SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT_CLOSED);
    }
    cd->step = present ? MEDIUM_ABSENT : MEDIUM_SETTLED;
    cd->event = present ? EVENT_NEW_MEDIUM : EVENT_MEDIUM_REMOVAL;
}

static bool atapi_tray_locked(void *opaque)
{
    return ((struct cdrom *)opaque)->locked;
}

static bool atapi_tray_is_open(void *opaque)
{
    return ((struct cdrom *)opaque)->tray_open;
}

/* Somebody's hand: what is in the tray is told by medium_changed; an opened tray is no longer locked. */
static void atapi_tray_move(void *opaque, bool open)
{
    struct cdrom *cd = opaque;

    cd->tray_open = open;
    if (open)
        cd->locked = false;
}

static const struct block_events events = {
    .eject_request = atapi_eject_request,
    .medium_changed = atapi_medium_changed,
    .tray_locked = atapi_tray_locked,
    .tray_open = atapi_tray_is_open,
    .tray_move = atapi_tray_move,
};

/* ---- life ---- */

/* A drive without drive= is an empty one. */
static bool make_empty_slot(struct cdrom *cd, struct error *err)
{
    struct machine *m = cd->ide.dev.machine;
    const struct block_options options = {.removable = true};
    char id[64];

    snprintf(id, sizeof(id), "%s-cd%u", cd->ide.dev.bus->name, cd->ide.unit);
    cd->ide.block = block_open(&m->loop, cd->ide.dev.id ? cd->ide.dev.id : id, &options, err);
    if (!cd->ide.block)
        return false;
    block_link(&m->backends->blocks, cd->ide.block);
    return true;
}

static bool atapi_realize(struct device *dev, struct error *err)
{
    struct cdrom *cd = (struct cdrom *)dev;

    if (!cd->ide.block && !make_empty_slot(cd, err))
        return false;
    return ide_drive_attach(&cd->ide, &ops, &events, err);
}

/* What a saved transfer must keep to: what is to go is what is in the buffer and the sectors behind it. */
static bool transfer_valid(const struct cdrom *cd)
{
    bool pio = cd->phase == READ_PIO || cd->phase == TAKE_PIO;

    if (cd->reading) /* nothing is in flight while a state is saved */
        return false;
    if (cd->start > cd->fill || (pio && (!cd->limit || cd->limit % 2)))
        return false;
    if (cd->sectors && cd->sector_size != CD_SECTOR && cd->sector_size != CD_RAW_SECTOR)
        return false;
    if (cd->phase == TAKE_PIO)
        return cd->left <= IDE_BUFFER - cd->fill;
    return cd->phase != READ_PIO ||
           cd->left == cd->fill - cd->start + (uint64_t)cd->sectors * cd->sector_size;
}

static bool atapi_check(const struct device *dev, struct error *err)
{
    const struct cdrom *cd = (const struct cdrom *)dev;

    if (!transfer_valid(cd))
        return error_set(err, "the command is inconsistent");
    return ide_drive_check(&cd->ide, err);
}

static void atapi_loaded(struct device *dev)
{
    ide_drive_loaded(&((struct cdrom *)dev)->ide);
}

static const struct property properties[] = {
    IDE_DRIVE_PROPERTIES(struct cdrom),
    {.name = NULL},
};

static const struct device_class cdrom_class = {
    .name = "ide-cd",
    .description = "ATAPI CD/DVD drive",
    .bus = &ide_bus_ops,
    .size = sizeof(struct cdrom),
    .properties = properties,
    .state = &cdrom_state,
    .realize = atapi_realize,
    .unrealize = ide_drive_unrealize,
    .reset = ide_drive_reset,
    .check = atapi_check,
    .loaded = atapi_loaded,
};
DEVICE_CLASS(cdrom_class);
