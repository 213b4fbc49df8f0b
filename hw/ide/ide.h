/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An IDE channel with up to two drives (ATA/ATAPI-7, T13/1532D): the task file, device selection, interrupts,
 * PIO blocks and the drives' side of DMA. What a command does is the drive's (ata_disk.c, atapi.c); where DMA
 * goes is the controller's (piix3_ide.c).
 *
 * A command lives through these states, shown in the status register: accepted (BSY), then blocks of data
 * (DRQ) with BSY between them while the medium is at work, then done. A reset takes back what is in flight
 * before it returns (block_cancel), so nothing of an old command ever touches the state after it.
 */
#ifndef HW_IDE_IDE_H
#define HW_IDE_IDE_H

#include <stdbool.h>
#include <stdint.h>

#include "block/block.h"
#include "machine/bus.h"
#include "machine/device.h"
#include "machine/irq.h"

/* Status */
#define ATA_BSY  0x80
#define ATA_DRDY 0x40
#define ATA_DF   0x20
#define ATA_DSC  0x10
#define ATA_DRQ  0x08
#define ATA_ERR  0x01 /* PACKET: CHK */

/* Error */
#define ATA_ICRC 0x80
#define ATA_UNC  0x40
#define ATA_IDNF 0x10
#define ATA_ABRT 0x04

/* Device */
#define ATA_DEV 0x10
#define ATA_LBA 0x40

enum { IDE_SECTOR = 512 };
/* A PIO block of PACKET is at most 65534 bytes, and a partial CD sector is left over from the one before. */
enum { IDE_BUFFER = 64 * 1024 + 4096 };
enum { IDE_DMA_SEGMENTS = 128 };

struct ide_channel;
struct ide_drive;

/* Guest memory mapped for one piece of a DMA transfer. */
struct ide_dma_piece {
    struct iovec iov[IDE_DMA_SEGMENTS];
    uint64_t gpa[IDE_DMA_SEGMENTS], mapped[IDE_DMA_SEGMENTS]; /* address and length of each mapping */
    int count;
    uint64_t length; /* of iov, in all */
    bool last;       /* the PRD table ends with it */
};

enum ide_dma_result {
    IDE_DMA_READY,   /* the piece holds at least one byte */
    IDE_DMA_WAIT,    /* the bus master is not started, or its table has ended */
    IDE_DMA_ERROR,   /* an address was no RAM; the bus master has stopped */
    IDE_DMA_NOWHERE, /* bus mastering is off: what the drive sends is lost, and it gets nothing */
};

/* What a controller gives its channels. */
struct ide_bus_master {
    /* Maps the next bytes of the table's memory, at most length of them. */
    enum ide_dma_result (*map)(void *opaque, uint64_t length, struct ide_dma_piece *piece);
    /* Gives them back; to_memory: they were written. */
    void (*unmap)(void *opaque, struct ide_dma_piece *piece, bool to_memory);
    /* The drive's command has ended. */
    void (*ended)(void *opaque);
    /* The channel's interrupt line rose. */
    void (*interrupt)(void *opaque);
};

struct ide_drive_ops {
    bool packet; /* an ATAPI device */
    /* A command was written: BSY is set, INTRQ is low, nothing is in flight. */
    void (*command)(struct ide_drive *drive, uint8_t command);
    /* The last byte of the PIO block was moved; DRQ is still set. */
    void (*pio_done)(struct ide_drive *drive);
    /* ide_submit's request or ide_dma_*'s transfer has ended; error: 0 or an errno (EFAULT: the DMA address).
     */
    void (*io_done)(struct ide_drive *drive, int error);
    /* Forget the command and what it was about to do; hard: power-on values too. */
    void (*reset)(struct ide_drive *drive, bool hard);
};

enum ide_dma_kind {
    IDE_DMA_NONE,
    IDE_DMA_READ,       /* medium to memory */
    IDE_DMA_WRITE,      /* memory to medium */
    IDE_DMA_BUFFER_IN,  /* the drive's buffer to memory */
    IDE_DMA_BUFFER_OUT, /* memory to the drive's buffer */
};

#define IDE_DRIVE_STATE(S)                                                                                   \
    S(ARRAY, uint8_t, feature, 2, ANY) /* the task file; [1]: before its last write (LBA48) */               \
    S(ARRAY, uint8_t, count, 2, ANY)                                                                         \
    S(ARRAY, uint8_t, lba_low, 2, ANY)                                                                       \
    S(ARRAY, uint8_t, lba_mid, 2, ANY)                                                                       \
    S(ARRAY, uint8_t, lba_high, 2, ANY)                                                                      \
    S(UINT, uint8_t, device, ANY)                                                                            \
    S(UINT, uint8_t, status, ANY)                                                                            \
    S(UINT, uint8_t, error, ANY)                                                                             \
    S(UINT, uint8_t, command, ANY)          /* the last one */                                               \
    S(BOOL, interrupt)                      /* INTRQ */                                                      \
    S(UINT, uint32_t, position, IDE_BUFFER) /* the PIO block: [position, end) is still to be moved */        \
    S(UINT, uint32_t, end, IDE_BUFFER)                                                                       \
    S(BOOL, pio_out)                               /* from the guest */                                      \
    S(UINT, uint8_t, dma_kind, IDE_DMA_BUFFER_OUT) /* of the transfer that was begun */                      \
    S(UINT, uint64_t, dma_offset, ANY)             /* bytes: on the medium, or in the buffer */              \
    S(UINT, uint64_t, dma_left, ANY)               /* bytes to go */                                         \
    S(ARRAY, uint8_t, buffer, IDE_BUFFER, ANY)

/* What drives have in common; their structs begin with it. */
struct ide_drive {
    struct device dev;
    /* properties */
    struct block *block;
    char *serial, *model, *version;
    uint8_t unit; /* 0 or 1; 255: the first that is free */
    const struct ide_drive_ops *ops;
    struct ide_channel *channel;
    bool mapped; /* piece is in use by a request */
    struct ide_dma_piece piece;
    struct block_request request;
    struct iovec iov;
    bool in_flight;
    STATE_MEMBERS(IDE_DRIVE_STATE);
};
extern const struct state_table ide_drive_state;

#define IDE_CHANNEL_STATE(S)                                                                                 \
    S(UINT, uint8_t, select, 1)    /* the drive selected */                                                  \
    S(UINT, uint8_t, control, ANY) /* the device control register */

struct ide_channel {
    struct machine *machine;
    struct ide_drive *drives[2];
    struct irq irq;
    struct region command_ports, control_port;
    const struct ide_bus_master *master;
    void *master_opaque;
    struct bus_node node; /* "ide.0", "ide.1" */
    STATE_MEMBERS(IDE_CHANNEL_STATE);
};
extern const struct state_table ide_channel_state;

/* ---- the controller's side ---- */

/* Sets up a channel and offers its bus to drives; the ports are mapped by ide_channel_decode. */
void ide_channel_init(struct ide_channel *channel, struct device *owner, const char *bus_name, unsigned irq,
                      const struct ide_bus_master *master, void *master_opaque);
void ide_channel_destroy(struct ide_channel *channel);
void ide_channel_reset(struct ide_channel *channel);
/* Do the ports answer? command: 8 ports, control: 1. */
void ide_channel_decode(struct ide_channel *channel, bool on, uint16_t command, uint16_t control);
/* The bus master was started: a transfer that waits for it goes on. */
void ide_dma_started(struct ide_channel *channel);
/* The bus master was stopped: what it had in flight is taken back. */
void ide_dma_stopped(struct ide_channel *channel);

/* The bus of a channel: units 0 and 1, of struct ide_drive; bus_node.bus is the channel. */
extern const struct bus_ops ide_bus_ops;

/* ---- a drive's side ---- */

/* For realize: takes the slot `block`. False with *err. */
bool ide_drive_attach(struct ide_drive *drive, const struct ide_drive_ops *ops,
                      const struct block_events *events, struct error *err);
/* A drive class's unrealize and reset. */
void ide_drive_unrealize(struct device *dev);
void ide_drive_reset(struct device *dev);
/* As unrealize, for good: the medium is flushed, closed and unlocked; the place reads as empty. */
void ide_drive_unplug(struct ide_drive *drive);
/* The common part of `check` and of `loaded`. */
bool ide_drive_check(const struct ide_drive *drive, struct error *err);
void ide_drive_loaded(struct ide_drive *drive);

#define IDE_DRIVE_PROPERTIES(type)                                                                           \
    PROPERTY(PROP_DRIVE, type, ide.block, "drive", .help = "id of the drive that holds the medium"),         \
        PROPERTY(PROP_STRING, type, ide.serial, "serial", .help = "serial number, up to 20 characters"),     \
        PROPERTY(PROP_STRING, type, ide.model, "model", .help = "model name, up to 40 characters"),          \
        PROPERTY(PROP_STRING, type, ide.version, "ver", .help = "firmware version, up to 8 characters"),     \
        PROPERTY(PROP_UINT8, type, ide.unit, "unit", .initial = "255", .help = "0: master, 1: slave"),       \
        BOOT_INDEX_PROPERTY

/* Ends the command: status (BSY and DRQ are cleared), error register; raises INTRQ. */
void ide_finish(struct ide_drive *drive, uint8_t status, uint8_t error);
/* Ends it without an interrupt: the last block of data was taken by PIO. */
void ide_finish_quietly(struct ide_drive *drive, uint8_t status);
void ide_raise(struct ide_drive *drive);

/* Offers buffer[start, start + length) to the guest as one PIO block, and raises INTRQ. */
void ide_pio_in(struct ide_drive *drive, uint32_t start, uint32_t length);
/* Asks the guest for one PIO block; the first of a command comes without an interrupt. */
void ide_pio_out(struct ide_drive *drive, uint32_t start, uint32_t length, bool interrupt);

/* Moves bytes between the buffer and the medium (READ, WRITE), or no data (FLUSH, DISCARD); io_done follows.
 */
void ide_submit(struct ide_drive *drive, enum block_op op, uint64_t offset, uint64_t length, uint32_t start);
/* A whole DMA transfer; io_done follows, at once where no medium is needed. */
void ide_dma(struct ide_drive *drive, enum ide_dma_kind kind, uint64_t offset, uint64_t length);
/* Takes back what the command had in flight or waits for; a finish must follow. */
void ide_cancel(struct ide_drive *drive);

/* The words that IDENTIFY holds as text: two characters a word, the first in the high byte, padded with
 * spaces. */
void ide_identify_text(uint8_t *words, unsigned bytes, const char *text);
static inline void ide_identify_word(uint8_t *words, unsigned word, uint16_t value)
{
    words[2 * word] = value;
    words[2 * word + 1] = value >> 8;
}
/* Word 255: signature and checksum over the 512 bytes. */
void ide_identify_checksum(uint8_t *words);
/* Words 63, 88 and 93: DMA modes supported and chosen, and what a reset found. */
void ide_identify_modes(const struct ide_drive *drive, uint8_t *words, uint8_t transfer_mode);
/* SET FEATURES 03h: is this a transfer mode that the drives know? */
bool ide_transfer_mode_known(uint8_t mode);
/* The default serial number, the same at every start: 20 characters and a NUL in text. */
const char *ide_serial(const struct ide_drive *drive, char text[21]);

/* ---- the board's side ---- */

/* How the firmware shows cylinders, heads and sectors to old systems, as CMOS 0x39 says it. */
enum { IDE_TRANSLATION_NONE, IDE_TRANSLATION_LBA, IDE_TRANSLATION_LARGE, IDE_TRANSLATION_RECHS };
/* none, lba, large or rechs; false: another word. */
bool ide_translation_by_name(const char *name, uint8_t *translation);

/* How old systems address a disk. */
struct ide_geometry {
    uint32_t cylinders;  /* 1..16383 */
    uint8_t heads;       /* 1..16 */
    uint8_t sectors;     /* 1..63 */
    uint8_t translation; /* IDE_TRANSLATION_* */
};

/* From the size in sectors and what the partition table in the first sector gives away. */
void ide_guess_geometry(const uint8_t *first_sector, uint64_t total, struct ide_geometry *geometry);
/* Whole cylinders, at most what a drive may tell. */
uint32_t ide_cylinders(uint64_t total, uint32_t heads, uint32_t sectors);

/* Geometry of the disk at a place (channel 0..1, unit 0..1); false: no disk is there. */
bool ide_disk_geometry(struct machine *m, unsigned channel, unsigned unit, struct ide_geometry *geometry);

#endif
