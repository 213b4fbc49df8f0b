/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82371SB (PIIX3), function 1: the IDE controller (data sheet 290550, 2.3 and 3.4) with a bus master
 * for each channel (SFF-8038i, "Programming Interface for Bus Master IDE Controller").
 */
#include <string.h>

#include "hw/ide/ide.h"
#include "machine/machine.h"

#define IDETIM        0x40 /* 16 bits for each channel */
#define IDETIM_DECODE 0x8000

/* Bus master registers, 8 bytes a channel */
enum { BMIC = 0, BMIS = 2, BMIDTP = 4, BM_SIZE = 8 };

#define BMIC_START   0x01
#define BMIC_TO_MEM  0x08
#define BMIS_ACTIVE  0x01
#define BMIS_ERROR   0x02
#define BMIS_INTR    0x04
#define BMIS_CAPABLE 0x60 /* drives 0 and 1, kept for software */

#define PRD_EOT 0x80000000u

#define BUS_MASTER_STATE(S)                                                                                  \
    S(BITS, uint8_t, command, 0x0F) /* BMIC */                                                               \
    S(BITS, uint8_t, status, 0x7F)  /* BMIS */                                                               \
    S(UINT, uint32_t, table, ANY)   /* BMIDTP */                                                             \
    S(UINT, uint32_t, next, ANY) /* while active: of the next descriptor, and what is left of this one: */   \
    S(UINT, uint32_t, address, ANY)  /* of the next byte of memory */                                        \
    S(UINT, uint32_t, left, 0x10000) /* bytes */                                                             \
    S(BOOL, last)                    /* it is the table's last */

struct bus_master {
    struct piix3_ide *piix;
    STATE_MEMBERS(BUS_MASTER_STATE);
};
STATE_TABLE(bus_master_state, struct bus_master, BUS_MASTER_STATE);

#define PIIX3_IDE_STATE(S)                                                                                   \
    S(SUBS, struct ide_channel, channels, 2, ide_channel_state)                                              \
    S(SUBS, struct bus_master, masters, 2, bus_master_state)

struct piix3_ide {
    struct pci_device pci;
    struct region bm_region;
    STATE_MEMBERS(PIIX3_IDE_STATE);
};
STATE_TABLE(piix3_ide_state, struct piix3_ide, PIIX3_IDE_STATE);

/* ---- the engine ---- */

static void piix3_ide_stop(struct bus_master *bm, uint8_t status_set)
{
    bm->status = (bm->status & ~BMIS_ACTIVE) | status_set;
    bm->left = 0;
    bm->last = true;
}

/* Reads the next descriptor, once. False: the table is not in RAM. */
static bool fetch(struct bus_master *bm)
{
    uint32_t prd[2];

    if (!pci_dma_read(&bm->piix->pci, bm->next, prd, sizeof(prd)))
        return false;
    bm->next += sizeof(prd);
    bm->address = prd[0] & ~1u;
    bm->left = prd[1] & 0xFFFE ? prd[1] & 0xFFFE : 0x10000;
    bm->last = prd[1] & PRD_EOT;
    return true;
}

static void piix3_ide_give_back(struct bus_master *bm, struct ide_dma_piece *piece, bool to_memory)
{
    struct ram *ram = &bm->piix->pci.dev.machine->ram;

    for (int i = 0; i < piece->count; i++)
        ram_unmap(ram, piece->gpa[i], piece->iov[i].iov_base, piece->mapped[i], to_memory);
    piece->count = 0;
}

/* Maps memory of the descriptor fetched, one contiguous part. False: the host has no mapping for it. */
static bool map_part(struct bus_master *bm, uint64_t length, struct ide_dma_piece *piece)
{
    struct ram *ram = &bm->piix->pci.dev.machine->ram;
    int i = piece->count;
    uint64_t n = length < bm->left ? length : bm->left;
    void *host = ram_map(ram, bm->address, &n);

    if (!host)
        return false;
    piece->iov[i] = (struct iovec){host, n};
    piece->gpa[i] = bm->address;
    piece->mapped[i] = n;
    piece->count++;
    piece->length += n;
    bm->address += n;
    bm->left -= n;
    return true;
}

/* A descriptor with bytes to go, or none because the table has ended. False: a bus error. */
static bool next_descriptor(struct bus_master *bm)
{
    if (!bm->left && !bm->last && !fetch(bm))
        return false;
    return !bm->left || ram_contains(&bm->piix->pci.dev.machine->ram, bm->address, bm->left);
}

/* Where guest memory is mapped bit by bit, a transfer must leave mappings for others: it goes in more pieces.
 */
static int most_segments(const struct bus_master *bm)
{
    return bm->piix->pci.dev.machine->ram.ops ? IDE_DMA_SEGMENTS / 8 : IDE_DMA_SEGMENTS;
}

static enum ide_dma_result piix3_ide_bus_error(struct bus_master *bm, struct ide_dma_piece *piece)
{
    piix3_ide_give_back(bm, piece, false);
    piix3_ide_stop(bm, BMIS_ERROR);
    return IDE_DMA_ERROR;
}

static enum ide_dma_result piix3_ide_master_map(void *opaque, uint64_t length, struct ide_dma_piece *piece)
{
    struct bus_master *bm = opaque;

    piece->count = 0;
    piece->length = 0;
    if (!(bm->status & BMIS_ACTIVE))
        return IDE_DMA_WAIT;
    if (!(bm->piix->pci.config[PCI_COMMAND] & PCI_COMMAND_MASTER))
        return IDE_DMA_NOWHERE;
    while (piece->length < length && piece->count < most_segments(bm)) {
        if (!next_descriptor(bm))
            return piix3_ide_bus_error(bm, piece);
        if (!bm->left)
            break;
        if (map_part(bm, length - piece->length, piece))
            continue;
        if (!piece->count)
            return piix3_ide_bus_error(bm, piece);
        break; /* what is mapped goes first, and gives its mappings back */
    }
    piece->last = !bm->left && bm->last;
    if (!piece->length) {
        piix3_ide_stop(bm, 0);
        return IDE_DMA_WAIT;
    }
    return IDE_DMA_READY;
}

static void piix3_ide_master_unmap(void *opaque, struct ide_dma_piece *piece, bool to_memory)
{
    piix3_ide_give_back(opaque, piece, to_memory);
}

/* A table as long as the transfer: the bus master counts as active until the drive, too, is done with it. */
static void piix3_ide_master_ended(void *opaque)
{
    struct bus_master *bm = opaque;

    if (!bm->left && bm->last)
        piix3_ide_stop(bm, 0);
}

static void piix3_ide_master_interrupt(void *opaque)
{
    ((struct bus_master *)opaque)->status |= BMIS_INTR;
}

static const struct ide_bus_master master_ops = {.map = piix3_ide_master_map,
                                                 .unmap = piix3_ide_master_unmap,
                                                 .ended = piix3_ide_master_ended,
                                                 .interrupt = piix3_ide_master_interrupt};

/* ---- bus master registers ---- */

static struct ide_channel *channel_of(struct bus_master *bm)
{
    return &bm->piix->channels[bm - bm->piix->masters];
}

static void write_bmic(struct bus_master *bm, uint8_t value)
{
    uint8_t before = bm->command;

    bm->command = value & (BMIC_START | BMIC_TO_MEM);
    if (value & ~before & BMIC_START) {
        bm->next = bm->table;
        bm->left = 0;
        bm->last = false;
        bm->status |= BMIS_ACTIVE;
        ide_dma_started(channel_of(bm));
    } else if (before & ~value & BMIC_START) {
        piix3_ide_stop(bm, 0);
        ide_dma_stopped(channel_of(bm));
    }
}

static void write_bmis(struct bus_master *bm, uint8_t value)
{
    bm->status &= ~(value & (BMIS_ERROR | BMIS_INTR));
    bm->status = (bm->status & ~BMIS_CAPABLE) | (value & BMIS_CAPABLE);
}

static void bm_write_byte(struct bus_master *bm, unsigned offset, uint8_t value)
{
    unsigned shift = 8 * (offset & 3);

    switch (offset) {
    case BMIC:
        write_bmic(bm, value);
        break;
    case BMIS:
        write_bmis(bm, value);
        break;
    case BMIDTP:
    case BMIDTP + 1:
    case BMIDTP + 2:
    case BMIDTP + 3:
        bm->table = ((bm->table & ~(0xFFu << shift)) | (uint32_t)value << shift) & ~3u;
        break;
    }
}

static uint8_t bm_read_byte(const struct bus_master *bm, unsigned offset)
{
    switch (offset) {
    case BMIC:
        return bm->command;
    case BMIS:
        return bm->status;
    case BMIDTP:
    case BMIDTP + 1:
    case BMIDTP + 2:
    case BMIDTP + 3:
        return bm->table >> 8 * (offset & 3);
    default:
        return 0;
    }
}

static uint64_t piix3_ide_bm_read(void *opaque, uint64_t offset, unsigned size)
{
    struct piix3_ide *piix = opaque;
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)bm_read_byte(&piix->masters[(offset + i) / BM_SIZE], (offset + i) % BM_SIZE)
                 << 8 * i;
    return value;
}

static void piix3_ide_bm_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct piix3_ide *piix = opaque;

    for (unsigned i = 0; i < size; i++)
        bm_write_byte(&piix->masters[(offset + i) / BM_SIZE], (offset + i) % BM_SIZE, value >> 8 * i);
}

static const struct region_ops bm_ops = {
    .read = piix3_ide_bm_read, .write = piix3_ide_bm_write, .max_size = 4};

/* ---- the PCI function ---- */

static void update_decode(struct piix3_ide *piix)
{
    for (unsigned i = 0; i < 2; i++)
        ide_channel_decode(&piix->channels[i], pci_get16(&piix->pci, IDETIM + 2 * i) & IDETIM_DECODE,
                           i ? 0x170 : 0x1F0, i ? 0x376 : 0x3F6);
}

static void piix3_ide_config_written(struct pci_device *pci_dev, uint8_t offset, unsigned size)
{
    if (offset + size > IDETIM && offset < IDETIM + 4)
        update_decode((struct piix3_ide *)pci_dev);
}

static bool piix3_ide_realize(struct device *dev, struct error *err)
{
    struct piix3_ide *piix = (struct piix3_ide *)dev;

    piix->bm_region =
        (struct region){.name = "piix3-bmide", .size = 2 * BM_SIZE, .ops = &bm_ops, .opaque = piix};
    pci_add_bar(&piix->pci, 4, PCI_BAR_IO, &piix->bm_region);
    piix->pci.config_written = piix3_ide_config_written;
    memset(piix->pci.writable + IDETIM, 0xFF, 5); /* IDETIM of both channels; SIDETIM: timings, no effect */
    piix->pci.writable[IDETIM + 1] = piix->pci.writable[IDETIM + 3] = 0xF3;
    for (unsigned i = 0; i < 2; i++) {
        piix->masters[i].piix = piix;
        ide_channel_init(&piix->channels[i], dev, i ? "ide.1" : "ide.0", i ? 15 : 14, &master_ops,
                         &piix->masters[i]);
    }
    return true;
}

static void piix3_ide_unrealize(struct device *dev)
{
    struct piix3_ide *piix = (struct piix3_ide *)dev;

    for (unsigned i = 0; i < 2; i++)
        ide_channel_destroy(&piix->channels[i]);
}

static void piix3_ide_reset(struct device *dev)
{
    struct piix3_ide *piix = (struct piix3_ide *)dev;

    for (unsigned i = 0; i < 2; i++) {
        struct bus_master *bm = &piix->masters[i];

        ide_dma_stopped(&piix->channels[i]);
        *bm = (struct bus_master){.piix = piix};
        ide_channel_reset(&piix->channels[i]);
        /* The chip decodes nothing before the firmware allows it; clients of the test port come without
         * firmware. */
        pci_set16(&piix->pci, IDETIM + 2 * i, IDETIM_DECODE);
    }
    pci_set16(&piix->pci, PCI_STATUS, 0x0280); /* medium DEVSEL timing, fast back-to-back */
    update_decode(piix);
}

static void piix3_ide_loaded(struct device *dev)
{
    update_decode((struct piix3_ide *)dev);
}

static const struct pci_info info = {.vendor = 0x8086, .device = 0x7010, .class_code = 0x010180};

static const struct device_class piix3_ide_class = {
    .name = "piix3-ide",
    .alias = "piix3-ide-xen",
    .description = "Intel PIIX3 IDE controller",
    .bus = &pci_bus_ops,
    .internal = true,
    .size = sizeof(struct piix3_ide),
    .bus_info = &info,
    .state = &piix3_ide_state,
    .realize = piix3_ide_realize,
    .unrealize = piix3_ide_unrealize,
    .reset = piix3_ide_reset,
    .loaded = piix3_ide_loaded,
};
DEVICE_CLASS(piix3_ide_class);
