/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An ATA disk (ATA/ATAPI-7, T13/1532D volume 1; TRIM from ATA8-ACS-2). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "hw/ide/ide.h"
#include "machine/machine.h"

enum {
    MULTIPLE_MAX = 16, /* sectors in a block of READ MULTIPLE */
    TRIM_BLOCKS = 8,   /* blocks of ranges that DATA SET MANAGEMENT takes, word 105 */
    TRIM_RANGES = TRIM_BLOCKS * IDE_SECTOR / 8,
};
#define BUFFER_SECTORS (64u * 1024 / IDE_SECTOR) /* read or written at once for PIO */
#define LBA28_MAX      0x0FFFFFFFu

/* Commands */
enum {
    NOP = 0x00,
    DATA_SET_MANAGEMENT = 0x06,
    RECALIBRATE = 0x10, /* to 0x1F */
    READ_SECTORS = 0x20,
    READ_SECTORS_NORETRY = 0x21,
    READ_SECTORS_EXT = 0x24,
    READ_DMA_EXT = 0x25,
    READ_NATIVE_MAX_EXT = 0x27,
    READ_MULTIPLE_EXT = 0x29,
    WRITE_SECTORS = 0x30,
    WRITE_SECTORS_NORETRY = 0x31,
    WRITE_SECTORS_EXT = 0x34,
    WRITE_DMA_EXT = 0x35,
    WRITE_MULTIPLE_EXT = 0x39,
    WRITE_DMA_FUA_EXT = 0x3D,
    READ_VERIFY = 0x40,
    READ_VERIFY_NORETRY = 0x41,
    READ_VERIFY_EXT = 0x42,
    SEEK = 0x70, /* to 0x7F */
    INITIALIZE_DEVICE_PARAMETERS = 0x91,
    OLD_STANDBY_IMMEDIATE = 0x94,
    OLD_IDLE_IMMEDIATE = 0x95,
    OLD_STANDBY = 0x96,
    OLD_IDLE = 0x97,
    OLD_CHECK_POWER_MODE = 0x98,
    OLD_SLEEP = 0x99,
    SMART = 0xB0,
    READ_MULTIPLE = 0xC4,
    WRITE_MULTIPLE = 0xC5,
    SET_MULTIPLE_MODE = 0xC6,
    READ_DMA = 0xC8,
    READ_DMA_NORETRY = 0xC9,
    WRITE_DMA = 0xCA,
    WRITE_DMA_NORETRY = 0xCB,
    WRITE_MULTIPLE_FUA_EXT = 0xCE,
    STANDBY_IMMEDIATE = 0xE0,
    IDLE_IMMEDIATE = 0xE1,
    STANDBY = 0xE2,
    IDLE = 0xE3,
    READ_BUFFER = 0xE4,
    CHECK_POWER_MODE = 0xE5,
    SLEEP = 0xE6,
    FLUSH_CACHE = 0xE7,
    WRITE_BUFFER = 0xE8,
    FLUSH_CACHE_EXT = 0xEA,
    IDENTIFY_DEVICE = 0xEC,
    SET_FEATURES = 0xEF,
    READ_NATIVE_MAX = 0xF8,
};

/* SET FEATURES subcommands (ATA-7 6.49) */
enum {
    ENABLE_WRITE_CACHE = 0x02,
    SET_TRANSFER_MODE = 0x03,
    DISABLE_LOOK_AHEAD = 0x55,
    DISABLE_REVERTING = 0x66, /* a soft reset keeps settings; here it always does */
    DISABLE_WRITE_CACHE = 0x82,
    ENABLE_LOOK_AHEAD = 0xAA,
    ENABLE_REVERTING = 0xCC,
};

/* SMART subcommands (ATA-7 6.52), and the signature that they need in LBA mid and high */
enum {
    SMART_READ_DATA = 0xD0,
    SMART_READ_THRESHOLDS = 0xD1,
    SMART_AUTOSAVE = 0xD2,
    SMART_SAVE_VALUES = 0xD3,
    SMART_OFF_LINE_IMMEDIATE = 0xD4, /* done at once */
    SMART_READ_LOG = 0xD5,
    SMART_ENABLE = 0xD8,
    SMART_DISABLE = 0xD9,
    SMART_RETURN_STATUS = 0xDA, /* the signature unchanged: no threshold exceeded */
    SMART_LBA_MID = 0x4F,
    SMART_LBA_HIGH = 0xC2,
};

/* IDENTIFY DEVICE words 82-87: what it can, and what is on (ATA-7 6.17.40-45) */
enum {
    ID82_SMART = 0x0001,
    ID82_POWER_MANAGEMENT = 0x0008,
    ID82_WRITE_CACHE = 0x0020,
    ID82_LOOK_AHEAD = 0x0040,
    ID82_WRITE_BUFFER = 0x1000,
    ID82_READ_BUFFER = 0x2000,
    ID82_NOP = 0x4000,
    ID82_ALWAYS_ON = ID82_POWER_MANAGEMENT | ID82_WRITE_BUFFER | ID82_READ_BUFFER | ID82_NOP,
    ID83_48_BITS = 0x0400,
    ID83_FLUSH_CACHE = 0x1000,
    ID83_FLUSH_CACHE_EXT = 0x2000,
    ID83_ON = ID83_48_BITS | ID83_FLUSH_CACHE | ID83_FLUSH_CACHE_EXT,
    ID84_SMART_ERROR_LOG = 0x0001,
    ID84_SMART_SELF_TEST = 0x0002,
    ID84_WRITE_FUA_EXT = 0x0040,
    ID83_84_VALID = 0x4000, /* and of 87 */
    ID84_ON = ID84_SMART_ERROR_LOG | ID84_SMART_SELF_TEST | ID84_WRITE_FUA_EXT | ID83_84_VALID,
};

enum phase {
    IDLE_PHASE,
    READ_PIO,
    WRITE_PIO,
    TRANSFER_DMA,
    VERIFY,
    FLUSH,
    REPLY,      /* one block of data to the guest, then done */
    TAKE,       /* one block of data from the guest, then done */
    TRIM_LIST,  /* DATA SET MANAGEMENT: the list comes in */
    TRIM_RANGE, /* and its ranges are discarded one by one */
};

/* What CHECK POWER MODE answers */
enum { POWER_STANDBY = 0x00, POWER_ACTIVE = 0xFF };

#define TRIM_BYTES (TRIM_BLOCKS * IDE_SECTOR)

#define DISK_STATE(S)                                                                                        \
    S(BASE, struct ide_drive, ide, ide_drive_state)                                                          \
    S(RANGE, uint32_t, cylinders, 1, 65535) /* the geometry that old systems are told */                     \
    S(RANGE, uint32_t, heads, 1, 16)                                                                         \
    S(RANGE, uint32_t, sectors, 1, 255)                                                                      \
    S(UINT, uint8_t, translation, 3)        /* what the board tells of it */                                 \
    S(RANGE, uint8_t, current_heads, 1, 16) /* INITIALIZE DEVICE PARAMETERS */                               \
    S(RANGE, uint8_t, current_sectors, 1, 255)                                                               \
    S(UINT, uint8_t, multiple, MULTIPLE_MAX) /* sectors a block of READ MULTIPLE, 0: off */                  \
    S(UINT, uint8_t, transfer_mode, ANY)                                                                     \
    S(UINT, uint8_t, power_mode, ANY)                                                                        \
    S(BOOL, write_cache)                                                                                     \
    S(BOOL, look_ahead)                                                                                      \
    S(BOOL, smart)                                                                                           \
    S(BOOL, smart_autosave)                                                                                  \
    S(ARRAY, uint8_t, sector_buffer, IDE_SECTOR, ANY) /* WRITE BUFFER, READ BUFFER */                        \
    S(UINT, uint8_t, phase, TRIM_RANGE)               /* of the command under way */                         \
    S(BOOL, ext)                                                                                             \
    S(BOOL, writing)                                                                                         \
    S(BOOL, fua)                                                                                             \
    S(UINT, uint64_t, lba, ANY)    /* the next sector to pass to or from the guest (PIO), else the first */  \
    S(UINT, uint32_t, left, 65536) /* sectors to go */                                                       \
    S(UINT, uint32_t, block, MULTIPLE_MAX)         /* sectors of a PIO block */                              \
    S(UINT, uint32_t, buffered, BUFFER_SECTORS)    /* sectors in the buffer, and */                          \
    S(UINT, uint32_t, buffer_used, BUFFER_SECTORS) /* those that the guest has moved */                      \
    S(UINT, uint32_t, trim_at, TRIM_BYTES)         /* bytes of the list */                                   \
    S(UINT, uint32_t, trim_end, TRIM_BYTES)

struct disk {
    struct ide_drive ide;
    struct {
        uint32_t cylinders, heads, sectors;
    } given; /* properties: 0 means a default that follows from the size and what the first sector says */
    char *chs_translation; /* property: auto, or how the firmware is to translate it */
    STATE_MEMBERS(DISK_STATE);
};
STATE_TABLE(disk_state, struct disk, DISK_STATE);

static uint64_t disk_sectors(const struct disk *disk)
{
    return disk->ide.block ? block_size(disk->ide.block) / IDE_SECTOR : 0;
}

/* ---- addresses ---- */

static uint64_t get_lba(const struct disk *disk, bool ext)
{
    const struct ide_drive *ide = &disk->ide;
    uint64_t lba = ide->lba_low[0] | ide->lba_mid[0] << 8 | ide->lba_high[0] << 16;
    uint32_t cylinder, head = ide->device & 15, sector = ide->lba_low[0];

    if (ext)
        return lba | (uint64_t)ide->lba_low[1] << 24 | (uint64_t)ide->lba_mid[1] << 32 |
               (uint64_t)ide->lba_high[1] << 40;
    if (ide->device & ATA_LBA)
        return lba | (uint64_t)head << 24;
    cylinder = ide->lba_mid[0] | ide->lba_high[0] << 8;
    if (!sector || sector > disk->current_sectors || head >= disk->current_heads)
        return UINT64_MAX;
    return ((uint64_t)cylinder * disk->current_heads + head) * disk->current_sectors + sector - 1;
}

static void set_lba(struct disk *disk, uint64_t lba, bool ext)
{
    struct ide_drive *ide = &disk->ide;

    if (!ext && !(ide->device & ATA_LBA)) {
        uint32_t track = lba / disk->current_sectors;
        uint32_t cylinder = track / disk->current_heads;

        ide->lba_low[0] = lba % disk->current_sectors + 1;
        ide->lba_mid[0] = cylinder;
        ide->lba_high[0] = cylinder >> 8;
        ide->device = (ide->device & 0xF0) | track % disk->current_heads;
        return;
    }
    ide->lba_low[0] = lba;
    ide->lba_mid[0] = lba >> 8;
    ide->lba_high[0] = lba >> 16;
    if (ext) {
        ide->lba_low[1] = lba >> 24;
        ide->lba_mid[1] = lba >> 32;
        ide->lba_high[1] = lba >> 40;
    } else {
        ide->device = (ide->device & 0xF0) | (lba >> 24 & 15);
    }
}

static uint32_t get_count(const struct disk *disk, bool ext)
{
    uint32_t count = disk->ide.count[0];

    if (!ext)
        return count ? count : 256;
    count |= disk->ide.count[1] << 8;
    return count ? count : 65536;
}

/* ---- ends of commands ---- */

static void ata_succeed(struct disk *disk)
{
    disk->phase = IDLE_PHASE;
    ide_finish(&disk->ide, ATA_DRDY | ATA_DSC, 0);
}

static void ata_fail(struct disk *disk, uint8_t error)
{
    disk->phase = IDLE_PHASE;
    ide_finish(&disk->ide, ATA_DRDY | ATA_DSC | ATA_ERR, error);
}

static void ata_abort_command(struct disk *disk)
{
    ata_fail(disk, ATA_ABRT);
}

/* A host error at the sectors from lba on. */
static void ata_fail_io(struct disk *disk, int error)
{
    set_lba(disk, disk->lba, disk->ext);
    if (error == EFAULT)
        ata_abort_command(disk); /* the bus master's table pointed to no memory */
    else if (disk->writing || disk->phase == FLUSH)
        ata_fail(disk, ATA_ABRT | (error == EIO ? ATA_UNC : 0));
    else
        ata_fail(disk, ATA_UNC);
}

/* The address registers end up at the last sector, the count at 0. */
static void transfer_registers(struct disk *disk)
{
    disk->ide.count[0] = disk->ide.count[1] = 0;
    set_lba(disk, disk->lba - 1, disk->ext);
}

static void ata_flush(struct disk *disk)
{
    disk->phase = FLUSH;
    ide_submit(&disk->ide, BLOCK_FLUSH, 0, 0, 0);
}

/* All data is on its way: without the write cache, or with FUA, it must have arrived. */
static void ata_written(struct disk *disk)
{
    transfer_registers(disk);
    if (disk->fua || !disk->write_cache)
        ata_flush(disk);
    else
        ata_succeed(disk);
}

/* ---- PIO ---- */

static void read_ahead(struct disk *disk)
{
    disk->buffered = min_u64(disk->left, BUFFER_SECTORS);
    disk->buffer_used = 0;
    ide_submit(&disk->ide, BLOCK_READ, disk->lba * IDE_SECTOR, (uint64_t)disk->buffered * IDE_SECTOR, 0);
}

static uint32_t ata_next_block(const struct disk *disk)
{
    return min_u64(disk->block, disk->buffered - disk->buffer_used);
}

static void offer_block(struct disk *disk)
{
    ide_pio_in(&disk->ide, disk->buffer_used * IDE_SECTOR, ata_next_block(disk) * IDE_SECTOR);
}

static void ask_block(struct disk *disk, bool interrupt)
{
    ide_pio_out(&disk->ide, disk->buffer_used * IDE_SECTOR, ata_next_block(disk) * IDE_SECTOR, interrupt);
}

/* The sectors that a block had are the guest's now. */
static void count_block(struct disk *disk)
{
    uint32_t n = ata_next_block(disk);

    disk->buffer_used += n;
    disk->lba += n;
    disk->left -= n;
}

static void read_pio_done(struct disk *disk)
{
    count_block(disk);
    if (!disk->left) {
        transfer_registers(disk);
        disk->phase = IDLE_PHASE;
        ide_finish_quietly(&disk->ide, ATA_DRDY | ATA_DSC);
    } else if (disk->buffer_used < disk->buffered) {
        offer_block(disk);
    } else {
        read_ahead(disk);
    }
}

static void write_buffered(struct disk *disk)
{
    ide_submit(&disk->ide, BLOCK_WRITE, disk->lba * IDE_SECTOR, (uint64_t)disk->buffered * IDE_SECTOR, 0);
}

/* Begins to fill the buffer with sectors of the guest's. */
static void ata_collect(struct disk *disk, bool interrupt)
{
    disk->buffered = min_u64(disk->left, BUFFER_SECTORS);
    disk->buffer_used = 0;
    ask_block(disk, interrupt);
}

static void write_pio_done(struct disk *disk)
{
    disk->buffer_used += ata_next_block(disk);
    if (disk->buffer_used < disk->buffered)
        ask_block(disk, true);
    else
        write_buffered(disk);
}

static void write_pio_written(struct disk *disk)
{
    disk->lba += disk->buffered;
    disk->left -= disk->buffered;
    if (disk->left)
        ata_collect(disk, true);
    else
        ata_written(disk);
}

/* ---- reads and writes ---- */

enum { EXT = 1, MULTIPLE = 2, DMA = 4, FUA = 8 };

/* Takes the range from the task file; false: the command has failed. */
static bool ata_begin(struct disk *disk, bool ext)
{
    uint64_t sectors = disk_sectors(disk);

    disk->ext = ext;
    disk->fua = false;
    disk->power_mode = POWER_ACTIVE;
    disk->lba = get_lba(disk, ext);
    disk->left = get_count(disk, ext);
    if (disk->lba < sectors && disk->left <= sectors - disk->lba)
        return true;
    ata_fail(disk, ATA_IDNF);
    return false;
}

static bool ata_begin_transfer(struct disk *disk, unsigned flags, bool writing)
{
    disk->writing = writing;
    if (flags & MULTIPLE && !disk->multiple) {
        ata_abort_command(disk);
        return false;
    }
    disk->block = flags & MULTIPLE ? disk->multiple : 1;
    if (!ata_begin(disk, flags & EXT))
        return false;
    disk->fua = flags & FUA;
    return true;
}

static void transfer_dma(struct disk *disk)
{
    disk->phase = TRANSFER_DMA;
    ide_dma(&disk->ide, disk->writing ? IDE_DMA_WRITE : IDE_DMA_READ, disk->lba * IDE_SECTOR,
            (uint64_t)disk->left * IDE_SECTOR);
}

static void read_command(struct disk *disk, unsigned flags)
{
    if (!ata_begin_transfer(disk, flags, false))
        return;
    if (flags & DMA) {
        transfer_dma(disk);
        return;
    }
    disk->phase = READ_PIO;
    read_ahead(disk);
}

static void ata_write_command(struct disk *disk, unsigned flags)
{
    if (!ata_begin_transfer(disk, flags, true))
        return;
    if (block_read_only(disk->ide.block)) {
        ata_abort_command(disk);
    } else if (flags & DMA) {
        transfer_dma(disk);
    } else {
        disk->phase = WRITE_PIO;
        ata_collect(disk, false);
    }
}

static void dma_done(struct disk *disk)
{
    disk->lba += disk->left;
    disk->left = 0;
    if (disk->writing) {
        ata_written(disk);
        return;
    }
    transfer_registers(disk);
    ata_succeed(disk);
}

/* READ VERIFY reads as READ does, and nobody gets the data. */
static void verify_next(struct disk *disk)
{
    disk->phase = VERIFY;
    disk->buffered = min_u64(disk->left, BUFFER_SECTORS);
    ide_submit(&disk->ide, BLOCK_READ, disk->lba * IDE_SECTOR, (uint64_t)disk->buffered * IDE_SECTOR, 0);
}

static void verify(struct disk *disk, bool ext)
{
    disk->writing = false;
    if (ata_begin(disk, ext))
        verify_next(disk);
}

static void verified(struct disk *disk)
{
    disk->lba += disk->buffered;
    disk->left -= disk->buffered;
    if (disk->left) {
        verify_next(disk);
        return;
    }
    transfer_registers(disk);
    ata_succeed(disk);
}

static void seek(struct disk *disk)
{
    if (get_lba(disk, false) < disk_sectors(disk))
        ata_succeed(disk);
    else
        ata_fail(disk, ATA_IDNF);
}

static void recalibrate(struct disk *disk)
{
    disk->ide.lba_mid[0] = disk->ide.lba_high[0] = 0;
    ata_succeed(disk);
}

static void read_native_max(struct disk *disk, bool ext)
{
    uint64_t last = disk_sectors(disk) - 1;

    if (!(disk->ide.device & ATA_LBA) || !disk_sectors(disk)) {
        ata_abort_command(disk);
        return;
    }
    set_lba(disk, !ext && last > LBA28_MAX - 1 ? LBA28_MAX - 1 : last, ext);
    ata_succeed(disk);
}

/* ---- TRIM ---- */

static void data_set_management(struct disk *disk)
{
    uint32_t blocks = get_count(disk, true);

    if (!(disk->ide.feature[0] & 1) || blocks > TRIM_BLOCKS || block_read_only(disk->ide.block)) {
        ata_abort_command(disk);
        return;
    }
    disk->ext = true;
    disk->writing = true;
    disk->lba = 0;
    disk->phase = TRIM_LIST;
    disk->trim_at = 0;
    disk->trim_end = blocks * IDE_SECTOR;
    ide_dma(&disk->ide, IDE_DMA_BUFFER_OUT, 0, disk->trim_end);
}

/* The next range that is not empty: 48 bits of LBA, 16 of count. False: the list has ended. */
static bool next_range(struct disk *disk, uint32_t *count)
{
    while (disk->trim_at < disk->trim_end) {
        const uint8_t *entry = disk->ide.buffer + disk->trim_at;
        uint64_t lba = 0;

        disk->trim_at += 8;
        for (int i = 5; i >= 0; i--)
            lba = lba << 8 | entry[i];
        *count = entry[6] | entry[7] << 8;
        if (!*count)
            continue;
        disk->lba = lba;
        return true;
    }
    return false;
}

static void trim_next(struct disk *disk)
{
    uint64_t sectors = disk_sectors(disk);
    uint32_t count;

    disk->phase = TRIM_RANGE;
    if (!next_range(disk, &count))
        ata_succeed(disk);
    else if (disk->lba >= sectors || count > sectors - disk->lba)
        ata_fail(disk, ATA_IDNF | ATA_ABRT);
    else
        ide_submit(&disk->ide, BLOCK_DISCARD, disk->lba * IDE_SECTOR, (uint64_t)count * IDE_SECTOR, 0);
}

/* ---- IDENTIFY DEVICE ---- */

/* The cylinders that the heads and sectors in use give. */
static uint32_t current_cylinders(const struct disk *disk)
{
    if (disk->current_heads == disk->heads && disk->current_sectors == disk->sectors)
        return disk->cylinders;
    return ide_cylinders(disk_sectors(disk), disk->current_heads, disk->current_sectors);
}

static void identify_geometry(const struct disk *disk, uint8_t *w)
{
    uint64_t sectors = disk_sectors(disk);
    uint32_t cylinders = current_cylinders(disk);
    uint32_t capacity = cylinders * disk->current_heads * disk->current_sectors;
    uint32_t lba28 = sectors > LBA28_MAX ? LBA28_MAX : sectors;

    ide_identify_word(w, 1, disk->cylinders);
    ide_identify_word(w, 3, disk->heads);
    ide_identify_word(w, 4, IDE_SECTOR * disk->sectors);
    ide_identify_word(w, 5, IDE_SECTOR);
    ide_identify_word(w, 6, disk->sectors);
    ide_identify_word(w, 54, cylinders);
    ide_identify_word(w, 55, disk->current_heads);
    ide_identify_word(w, 56, disk->current_sectors);
    ide_identify_word(w, 57, capacity);
    ide_identify_word(w, 58, capacity >> 16);
    ide_identify_word(w, 60, lba28);
    ide_identify_word(w, 61, lba28 >> 16);
    for (unsigned i = 0; i < 4; i++)
        ide_identify_word(w, 100 + i, sectors >> 16 * i);
}

static void identify_features(const struct disk *disk, uint8_t *w)
{
    ide_identify_word(w, 82, ID82_ALWAYS_ON | ID82_LOOK_AHEAD | ID82_WRITE_CACHE | ID82_SMART);
    ide_identify_word(w, 83, ID83_ON | ID83_84_VALID);
    ide_identify_word(w, 84, ID84_ON);
    ide_identify_word(w, 85,
                      ID82_ALWAYS_ON | (disk->look_ahead ? ID82_LOOK_AHEAD : 0) |
                          (disk->write_cache ? ID82_WRITE_CACHE : 0) | (disk->smart ? ID82_SMART : 0));
    ide_identify_word(w, 86, ID83_ON);
    ide_identify_word(w, 87, ID84_ON);
    if (!block_read_only(disk->ide.block)) {
        ide_identify_word(w, 105, TRIM_BLOCKS);
        ide_identify_word(w, 169, 0x0001); /* TRIM */
    }
}

static void ata_identify(struct disk *disk)
{
    uint8_t *w = disk->ide.buffer;
    char serial[21];

    memset(w, 0, IDE_SECTOR);
    ide_identify_word(w, 0, 0x0040); /* a fixed disk */
    ide_identify_text(w + 20, 20, ide_serial(&disk->ide, serial));
    ide_identify_word(w, 20, 3); /* dual-ported buffer with read caching, of */
    ide_identify_word(w, 21, BUFFER_SECTORS);
    ide_identify_word(w, 22, 4);
    ide_identify_text(w + 46, 8, disk->ide.version ? disk->ide.version : "1.0");
    ide_identify_text(w + 54, 40, disk->ide.model ? disk->ide.model : "HVM-DM HARDDISK");
    ide_identify_word(w, 47, 0x8000 | MULTIPLE_MAX);
    ide_identify_word(w, 48, 1);      /* doubleword I/O */
    ide_identify_word(w, 49, 0x2F00); /* standby timer, IORDY that may be off, LBA, DMA */
    ide_identify_word(w, 50, 0x4000);
    ide_identify_word(w, 51, 0x0200); /* PIO cycle timing mode 2 */
    ide_identify_word(w, 52, 0x0200);
    ide_identify_word(w, 53, 0x0007); /* words 54-58, 64-70 and 88 are valid */
    identify_geometry(disk, w);
    ide_identify_word(w, 59, disk->multiple ? 0x0100 | disk->multiple : 0);
    ide_identify_word(w, 64, 0x0003); /* PIO 3 and 4 */
    for (unsigned i = 65; i <= 68; i++)
        ide_identify_word(w, i, 120); /* ns a cycle */
    ide_identify_word(w, 80, 0x00F0); /* ATA/ATAPI-4 to -7 */
    identify_features(disk, w);
    ide_identify_modes(&disk->ide, w, disk->transfer_mode);
    ide_identify_word(w, 106, 0x4000);
    ide_identify_checksum(w);
    disk->phase = REPLY;
    ide_pio_in(&disk->ide, 0, IDE_SECTOR);
}

/* ---- SMART (ATA/ATAPI-5 to -7, 8.54) ---- */

struct smart_attribute {
    uint8_t id;
    uint16_t flags;
    uint8_t value, threshold;
};

/* A disk that has no wear to speak of. */
static const struct smart_attribute smart_attributes[] = {
    {1, 0x0003, 100, 6},   /* raw read error rate */ {3, 0x0003, 100, 0}, /* spin-up time */
    {4, 0x0012, 100, 20},  /* start/stop count */ {5, 0x0003, 100, 36},   /* reallocated sectors */
    {9, 0x0012, 100, 0},   /* power-on hours */ {12, 0x0032, 100, 0},     /* power cycles */
    {190, 0x0022, 70, 50},                                                /* temperature margin */
};

static void smart_reply(struct disk *disk)
{
    uint8_t *b = disk->ide.buffer, sum = 0;

    for (unsigned i = 0; i < IDE_SECTOR - 1; i++)
        sum += b[i];
    b[IDE_SECTOR - 1] = -sum;
    disk->phase = REPLY;
    ide_pio_in(&disk->ide, 0, IDE_SECTOR);
}

static void smart_table(struct disk *disk, bool thresholds)
{
    uint8_t *b = disk->ide.buffer;

    memset(b, 0, IDE_SECTOR);
    b[0] = 1;
    for (size_t i = 0; i < COUNT(smart_attributes); i++) {
        const struct smart_attribute *a = &smart_attributes[i];
        uint8_t *entry = b + 2 + 12 * i;

        entry[0] = a->id;
        if (thresholds) {
            entry[1] = a->threshold;
            continue;
        }
        entry[1] = a->flags;
        entry[2] = a->flags >> 8;
        entry[3] = entry[4] = a->value;
    }
    if (!thresholds) {
        b[362] = disk->smart_autosave ? 0x82 : 0x02; /* off-line data collection was completed */
        b[364] = 1;                                  /* s to complete it */
        b[367] = 0x19;                               /* execute off-line immediate; self-test */
        b[368] = 0x03;                               /* saves attributes */
        b[370] = 0x01;                               /* error logging */
        b[372] = b[373] = 1;                         /* minutes of the self-tests */
    }
    smart_reply(disk);
}

/* The directory, the (empty) summary error log and the (empty) self-test log. */
static void smart_read_log(struct disk *disk)
{
    uint8_t *b = disk->ide.buffer, log = disk->ide.lba_low[0];

    if (disk->ide.count[0] != 1 || (log != 0x00 && log != 0x01 && log != 0x06)) {
        ata_abort_command(disk);
        return;
    }
    memset(b, 0, IDE_SECTOR);
    b[0] = 1;
    if (log == 0x00)
        b[2 * 1] = b[2 * 6] = 1; /* sectors of logs 1 and 6 */
    smart_reply(disk);
}

static void smart(struct disk *disk)
{
    struct ide_drive *ide = &disk->ide;
    uint8_t subcommand = ide->feature[0];

    if (ide->lba_mid[0] != SMART_LBA_MID || ide->lba_high[0] != SMART_LBA_HIGH ||
        (!disk->smart && subcommand != SMART_ENABLE)) {
        ata_abort_command(disk);
        return;
    }
    switch (subcommand) {
    case SMART_READ_DATA:
    case SMART_READ_THRESHOLDS:
        smart_table(disk, subcommand == SMART_READ_THRESHOLDS);
        break;
    case SMART_AUTOSAVE:
        disk->smart_autosave = ide->count[0] != 0;
        ata_succeed(disk);
        break;
    case SMART_SAVE_VALUES:
    case SMART_OFF_LINE_IMMEDIATE:
    case SMART_RETURN_STATUS:
        ata_succeed(disk);
        break;
    case SMART_READ_LOG:
        smart_read_log(disk);
        break;
    case SMART_ENABLE:
    case SMART_DISABLE:
        disk->smart = subcommand == SMART_ENABLE;
        ata_succeed(disk);
        break;
    default:
        ata_abort_command(disk);
    }
}

/* ---- settings ---- */

static void ata_set_features(struct disk *disk)
{
    switch (disk->ide.feature[0]) {
    case ENABLE_WRITE_CACHE:
        disk->write_cache = true;
        ata_succeed(disk);
        break;
    case DISABLE_WRITE_CACHE:
        disk->write_cache = false;
        ata_flush(disk);
        break;
    case SET_TRANSFER_MODE:
        if (!ide_transfer_mode_known(disk->ide.count[0])) {
            ata_abort_command(disk);
            break;
        }
        disk->transfer_mode = disk->ide.count[0];
        ata_succeed(disk);
        break;
    case ENABLE_LOOK_AHEAD:
    case DISABLE_LOOK_AHEAD:
        disk->look_ahead = disk->ide.feature[0] == ENABLE_LOOK_AHEAD;
        ata_succeed(disk);
        break;
    case DISABLE_REVERTING:
    case ENABLE_REVERTING:
        ata_succeed(disk);
        break;
    default:
        ata_abort_command(disk);
    }
}

static void set_multiple(struct disk *disk)
{
    uint8_t n = disk->ide.count[0];

    if (n > MULTIPLE_MAX || n & (n - 1)) {
        ata_abort_command(disk);
        return;
    }
    disk->multiple = n;
    ata_succeed(disk);
}

static void initialize_parameters(struct disk *disk)
{
    if (!disk->ide.count[0]) {
        ata_abort_command(disk);
        return;
    }
    disk->current_heads = (disk->ide.device & 15) + 1;
    disk->current_sectors = disk->ide.count[0];
    ata_succeed(disk);
}

static void set_power(struct disk *disk, uint8_t mode)
{
    disk->power_mode = mode;
    if (mode == POWER_STANDBY)
        ata_flush(disk);
    else
        ata_succeed(disk);
}

static void check_power(struct disk *disk)
{
    disk->ide.count[0] = disk->power_mode;
    ata_succeed(disk);
}

static void read_buffer(struct disk *disk)
{
    memcpy(disk->ide.buffer, disk->sector_buffer, IDE_SECTOR);
    disk->phase = REPLY;
    ide_pio_in(&disk->ide, 0, IDE_SECTOR);
}

static void write_buffer(struct disk *disk)
{
    disk->phase = TAKE;
    ide_pio_out(&disk->ide, 0, IDE_SECTOR, false);
}

/* ---- the drive ---- */

static void execute_transfer(struct disk *disk, uint8_t command)
{
    switch (command) {
    case READ_SECTORS:
    case READ_SECTORS_NORETRY:
        return read_command(disk, 0);
    case READ_SECTORS_EXT:
        return read_command(disk, EXT);
    case READ_MULTIPLE:
        return read_command(disk, MULTIPLE);
    case READ_MULTIPLE_EXT:
        return read_command(disk, MULTIPLE | EXT);
    case READ_DMA:
    case READ_DMA_NORETRY:
        return read_command(disk, DMA);
    case READ_DMA_EXT:
        return read_command(disk, DMA | EXT);
    case WRITE_SECTORS:
    case WRITE_SECTORS_NORETRY:
        return ata_write_command(disk, 0);
    case WRITE_SECTORS_EXT:
        return ata_write_command(disk, EXT);
    case WRITE_MULTIPLE:
        return ata_write_command(disk, MULTIPLE);
    case WRITE_MULTIPLE_EXT:
        return ata_write_command(disk, MULTIPLE | EXT);
    case WRITE_MULTIPLE_FUA_EXT:
        return ata_write_command(disk, MULTIPLE | EXT | FUA);
    case WRITE_DMA:
    case WRITE_DMA_NORETRY:
        return ata_write_command(disk, DMA);
    case WRITE_DMA_EXT:
        return ata_write_command(disk, DMA | EXT);
    case WRITE_DMA_FUA_EXT:
        return ata_write_command(disk, DMA | EXT | FUA);
    case READ_VERIFY:
    case READ_VERIFY_NORETRY:
        return verify(disk, false);
    case READ_VERIFY_EXT:
        return verify(disk, true);
    case DATA_SET_MANAGEMENT:
        return data_set_management(disk);
    default:
        return ata_abort_command(disk);
    }
}

static void ata_command(struct ide_drive *drive, uint8_t code)
{
    struct disk *disk = (struct disk *)drive;

    disk->phase = IDLE_PHASE;
    switch (code) {
    case RECALIBRATE ... RECALIBRATE + 15:
        return recalibrate(disk);
    case SEEK ... SEEK + 15:
        return seek(disk);
    case READ_NATIVE_MAX:
    case READ_NATIVE_MAX_EXT:
        return read_native_max(disk, code == READ_NATIVE_MAX_EXT);
    case INITIALIZE_DEVICE_PARAMETERS:
        return initialize_parameters(disk);
    case STANDBY_IMMEDIATE:
    case OLD_STANDBY_IMMEDIATE:
    case SLEEP:
    case OLD_SLEEP:
        return set_power(disk, POWER_STANDBY);
    case IDLE_IMMEDIATE:
    case OLD_IDLE_IMMEDIATE:
    case IDLE:
    case OLD_IDLE:
    case STANDBY: /* with a timer, which never runs out here */
    case OLD_STANDBY:
        return set_power(disk, POWER_ACTIVE);
    case CHECK_POWER_MODE:
    case OLD_CHECK_POWER_MODE:
        return check_power(disk);
    case SMART:
        return smart(disk);
    case SET_MULTIPLE_MODE:
        return set_multiple(disk);
    case READ_BUFFER:
        return read_buffer(disk);
    case WRITE_BUFFER:
        return write_buffer(disk);
    case FLUSH_CACHE:
    case FLUSH_CACHE_EXT:
        disk->ext = code == FLUSH_CACHE_EXT;
        disk->lba = 0;
        return ata_flush(disk);
    case IDENTIFY_DEVICE:
        return ata_identify(disk);
    case SET_FEATURES:
        return ata_set_features(disk);
    default:
        return execute_transfer(disk, code);
    }
}

static void ata_pio_done(struct ide_drive *drive)
{
    struct disk *disk = (struct disk *)drive;

    switch (disk->phase) {
    case READ_PIO:
        read_pio_done(disk);
        break;
    case WRITE_PIO:
        write_pio_done(disk);
        break;
    case TAKE:
        memcpy(disk->sector_buffer, drive->buffer, IDE_SECTOR);
        ata_succeed(disk);
        break;
    default:
        disk->phase = IDLE_PHASE;
        ide_finish_quietly(drive, ATA_DRDY | ATA_DSC);
    }
}

static void ata_io_done(struct ide_drive *drive, int error)
{
    struct disk *disk = (struct disk *)drive;

    if (error) {
        ata_fail_io(disk, error);
        return;
    }
    switch (disk->phase) {
    case READ_PIO:
        offer_block(disk);
        break;
    case WRITE_PIO:
        write_pio_written(disk);
        break;
    case TRANSFER_DMA:
        dma_done(disk);
        break;
    case VERIFY:
        verified(disk);
        break;
    case TRIM_LIST:
    case TRIM_RANGE:
        trim_next(disk);
        break;
    default:
        ata_succeed(disk);
    }
}

static void ata_drive_reset(struct ide_drive *drive, bool hard)
{
    struct disk *disk = (struct disk *)drive;

    disk->phase = IDLE_PHASE;
    disk->left = disk->buffered = disk->buffer_used = 0;
    disk->power_mode = POWER_ACTIVE;
    if (!hard)
        return;
    disk->current_heads = disk->heads;
    disk->current_sectors = disk->sectors;
    disk->multiple = MULTIPLE_MAX;
    disk->transfer_mode = 0x45; /* Ultra DMA mode 5 */
    disk->write_cache = disk->look_ahead = disk->smart = disk->smart_autosave = true;
}

static const struct ide_drive_ops ops = {
    .command = ata_command,
    .pio_done = ata_pio_done,
    .io_done = ata_io_done,
    .reset = ata_drive_reset,
};

/* ---- life ---- */

static void ata_first_sector_read(struct block_request *request, int error)
{
    *(int *)request->opaque = error;
}

/* Before the guest runs, so it may wait. A sector that cannot be read tells nothing. */
static void read_first_sector(struct disk *disk)
{
    uint8_t *sector = disk->ide.buffer;
    struct iovec iov = {sector, IDE_SECTOR};
    int error = 0;
    struct block_request request = {.op = BLOCK_READ,
                                    .length = IDE_SECTOR,
                                    .iov = &iov,
                                    .iovcnt = 1,
                                    .done = ata_first_sector_read,
                                    .opaque = &error};

    block_submit(disk->ide.block, &request);
    block_drain(disk->ide.block);
    if (error)
        memset(sector, 0, IDE_SECTOR);
}

static bool choose_geometry(struct disk *disk, struct error *err)
{
    struct ide_geometry g;

    if (!disk->given.cylinders && !disk->given.heads && !disk->given.sectors) {
        read_first_sector(disk);
        ide_guess_geometry(disk->ide.buffer, disk_sectors(disk), &g);
        disk->cylinders = g.cylinders;
        disk->heads = g.heads;
        disk->sectors = g.sectors;
        disk->translation = g.translation;
        return true;
    }
    if (!disk->given.cylinders || !disk->given.heads || !disk->given.sectors)
        return error_set(err, "device ide-hd: cyls, heads and secs are given together or not at all");
    disk->cylinders = disk->given.cylinders;
    disk->heads = disk->given.heads;
    disk->sectors = disk->given.sectors;
    disk->translation =
        disk->cylinders > 1024 || disk->sectors > 63 ? IDE_TRANSLATION_LBA : IDE_TRANSLATION_NONE;
    return true;
}

/* After the geometry, which chose for "auto". */
static bool choose_translation(struct disk *disk, struct error *err)
{
    return !strcmp(disk->chs_translation, "auto") ||
           ide_translation_by_name(disk->chs_translation, &disk->translation) ||
           error_set(err, "device ide-hd: bios-chs-trans=%s: none, lba, large, rechs or auto is possible",
                     disk->chs_translation);
}

static bool ata_realize(struct device *dev, struct error *err)
{
    struct disk *disk = (struct disk *)dev;
    struct ide_drive *ide = &disk->ide;

    if (!ide_drive_attach(ide, &ops, NULL, err))
        return false;
    if (!block_present(ide->block)) {
        error_set(err, "device ide-hd: drive '%s' has no image", block_id(ide->block));
        goto fail;
    }
    if (!choose_geometry(disk, err) || !choose_translation(disk, err))
        goto fail;
    return true;
fail:
    ide_drive_unrealize(dev);
    return false;
}

static bool ata_check(const struct device *dev, struct error *err)
{
    const struct disk *disk = (const struct disk *)dev;

    if (disk->trim_at % 8 || disk->trim_end % 8 || disk->buffer_used > disk->buffered)
        return error_set(err, "the command is inconsistent");
    return ide_drive_check(&disk->ide, err);
}

static void ata_loaded(struct device *dev)
{
    ide_drive_loaded(&((struct disk *)dev)->ide);
}

static const struct property properties[] = {
    IDE_DRIVE_PROPERTIES(struct disk),
    PROPERTY(PROP_UINT32, struct disk, given.cylinders, "cyls", .max = 65535,
             .help = "cylinders told to old systems"),
    PROPERTY(PROP_UINT32, struct disk, given.heads, "heads", .max = 16, .help = "heads told to old systems"),
    PROPERTY(PROP_UINT32, struct disk, given.sectors, "secs", .max = 255,
             .help = "sectors a track told to old systems"),
    PROPERTY(PROP_STRING, struct disk, chs_translation, "bios-chs-trans", .initial = "auto",
             .help = "how the BIOS translates cylinders: none, lba, large, rechs; auto: by the size"),
    {.name = NULL},
};

static const struct device_class disk_class = {
    .name = "ide-hd",
    .description = "ATA disk",
    .bus = &ide_bus_ops,
    .size = sizeof(struct disk),
    .properties = properties,
    .state = &disk_state,
    .realize = ata_realize,
    .unrealize = ide_drive_unrealize,
    .reset = ide_drive_reset,
    .check = ata_check,
    .loaded = ata_loaded,
};
DEVICE_CLASS(disk_class);

/* ---- the board's side ---- */

static struct disk *next_disk(struct device *dev)
{
    while (dev && strcmp(dev->cls->name, disk_class.name) != 0)
        dev = dev->next;
    return (struct disk *)dev;
}

bool ide_disk_geometry(struct machine *m, unsigned channel, unsigned unit, struct ide_geometry *geometry)
{
    char bus[] = {'i', 'd', 'e', '.', '0' + channel, 0};

    for (struct disk *disk = next_disk(m->devices); disk; disk = next_disk(disk->ide.dev.next)) {
        if (disk->ide.unit != unit || strcmp(disk->ide.dev.bus->name, bus) != 0)
            continue;
        *geometry = (struct ide_geometry){.cylinders = disk->cylinders,
                                          .heads = disk->heads,
                                          .sectors = disk->sectors,
                                          .translation = disk->translation};
        return true;
    }
    return false;
}
