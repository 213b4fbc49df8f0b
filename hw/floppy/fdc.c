/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Class isa-fdc: Intel 82077AA floppy disk controller in PC/AT mode, ports 0x3F2-0x3F5 and 0x3F7, IRQ 6, DMA
 * channel 2, with the bus floppy.0 for two drives. Names are the data sheet's (Intel 290166).
 *
 * Time is not simulated: heads arrive at once, a sector comes as soon as the image gives it. Only READ ID
 * waits a moment, since drivers get ready for its interrupt after they sent the command.
 *
 * Where the hardware would let a guest wait for ever (no medium: no index pulse ever comes) the command fails
 * instead. Seeks are always implied, as if CONFIGURE had set EIS: software that seeks by itself sees no
 * difference.
 *
 * Every byte of a command or result goes through fifo_put and fifo_get, the only users of the FIFO's index
 * (CVE-2015-3456). Sector data does not: it has a buffer of one sector, whatever lengths the guest asks for
 * (CVE-2021-3507).
 */
#include "hw/floppy/fdc.h"

#include <string.h>

#include "base/util.h"
#include "block/block.h"
#include "hw/floppy/floppy.h"
#include "hw/pc/i8237.h"
#include "machine/machine.h"

enum {
    /* registers, from iobase + 2 */
    DOR = 0,
    TDR = 1,
    MSR_DSR = 2,
    FIFO = 3,

    DOR_DRIVE = 0x03,
    DOR_RESET_N = 0x04,
    DOR_DMAGATE = 0x08,
    DSR_RATE = 0x03,
    DSR_RESET = 0x80,
    DIR_DSKCHG = 0x80,

    MSR_CMD_BSY = 0x10,
    MSR_NON_DMA = 0x20,
    MSR_DIO = 0x40,
    MSR_RQM = 0x80,

    ST0_DS = 0x03,
    ST0_HEAD = 0x04,
    ST0_EC = 0x10,
    ST0_SE = 0x20,
    ST0_ABNORMAL = 0x40,
    ST0_INVALID = 0x80,
    ST0_POLLING = 0xC0,
    ST1_MA = 0x01,
    ST1_NW = 0x02,
    ST1_ND = 0x04,
    ST1_OR = 0x10,
    ST1_DE = 0x20,
    ST1_EN = 0x80,
    ST2_SN = 0x04,
    ST2_SH = 0x08,
    ST2_DD = 0x20,
    ST2_CM = 0x40,
    ST3_TWO_SIDE = 0x08,
    ST3_T0 = 0x10,
    ST3_READY = 0x20,
    ST3_WP = 0x40,

    COMMAND_MT = 0x80,
    COMMAND_SK = 0x20,
    VERIFY_EC = 0x80, /* in the command's second byte */
    RELATIVE_DIR = 0x40,
    SPECIFY_ND = 0x01,
    CONFIG_EFIFO = 0x20, /* 1: disabled */
    CONFIG_FIFO_BITS = 0x2F,
    LOCK_BIT = 0x80,
    VERSION_82077 = 0x90,

    FIFO_BYTES = 16,
    SELECTS = 4, /* drives that the controller can address */
    RESET_SENSED = 4,
    FORMAT_ID = 4, /* bytes for each sector: C, H, R, N */
    NO_CYLINDER = 0xFF,
    READ_ID_NS = 1000 * 1000,
};

enum phase { PHASE_COMMAND, PHASE_EXECUTION, PHASE_RESULT };

enum kind { READ, WRITE, VERIFY, SCAN_EQUAL, SCAN_LOW, SCAN_HIGH, FORMAT };

/* A command that moves sectors. */
#define TRANSFER_STATE(S)                                                                                    \
    S(UINT, uint8_t, kind, FORMAT)                                                                           \
    S(UINT, uint8_t, select, SELECTS - 1) /* drive */                                                        \
    S(UINT, uint8_t, c, ANY)              /* the ID of the sector that passes, and the last one */           \
    S(UINT, uint8_t, h, ANY)                                                                                 \
    S(UINT, uint8_t, r, ANY)                                                                                 \
    S(UINT, uint8_t, n, ANY)                                                                                 \
    S(UINT, uint8_t, eot, ANY)                                                                               \
    S(UINT, uint8_t, filler, ANY) /* FORMAT */                                                               \
    S(UINT, uint8_t, side, 1)     /* the head of the command's second byte */                                \
    S(BOOL, mt)                                                                                              \
    S(BOOL, pio)                                                                                             \
    S(BOOL, started)      /* a sector has passed */                                                          \
    S(BOOL, control_mark) /* the data mark is not the one asked for: the sector is the last */               \
    S(BOOL, scan_unequal)                                                                                    \
    S(UINT, uint16_t, limit, ANY)        /* sectors still to do; 0xFFFF: no limit but EOT */                 \
    S(UINT, uint16_t, at, FLOPPY_SECTOR) /* bytes in the buffer that passed between it and the guest */      \
    S(BOOL, waiting)                     /* for the guest: its bytes by PIO, or the DMA channel */           \
    S(BOOL, terminal)                    /* TC came */                                                       \
    S(UINT, uint8_t, st0, ANY)                                                                               \
    S(UINT, uint8_t, st1, ANY)                                                                               \
    S(UINT, uint8_t, st2, ANY)

struct transfer {
    STATE_MEMBERS(TRANSFER_STATE);
};
STATE_TABLE(transfer_state, struct transfer, TRANSFER_STATE);

#define FDC_STATE(S)                                                                                         \
    S(UINT, uint8_t, dor, ANY)                                                                               \
    S(UINT, uint8_t, tdr, 3)                                                                                 \
    S(UINT, uint8_t, rate, 3)                                                                                \
    S(ARRAY, uint8_t, specify, 2, ANY)                                                                       \
    S(UINT, uint8_t, config, ANY)                                                                            \
    S(UINT, uint8_t, precompensation, ANY)                                                                   \
    S(UINT, uint8_t, perpendicular, 0x3F)                                                                    \
    S(UINT, uint8_t, lock, LOCK_BIT)                                                                         \
    S(UINT, uint8_t, phase, PHASE_RESULT)                                                                    \
    S(ARRAY, uint8_t, fifo, FIFO_BYTES, ANY) /* a command as it comes in, or a result as it goes out */      \
    S(UINT, uint8_t, fifo_at, FIFO_BYTES)                                                                    \
    S(UINT, uint8_t, fifo_length, FIFO_BYTES)                                                                \
    S(UINT, uint8_t, last_eot, ANY)              /* DUMPREG */                                               \
    S(UINT, uint8_t, reset_sensed, RESET_SENSED) /* drives told of by SENSE INTERRUPT STATUS since */        \
    S(ARRAY, uint8_t, seek_ended, SELECTS, ANY)  /* ST0 of a seek that was not told of yet; 0: none */       \
    S(BOOL, seek_interrupt)                      /* a seek ended, and no command came since */               \
    S(BOOL, transfer_interrupt)                  /* a result, or bytes by PIO, wait to be read */            \
    S(BOOL, reset_interrupt)                                                                                 \
    S(SUB, struct transfer, x, transfer_state)                                                               \
    S(ARRAY, uint8_t, sector, FLOPPY_SECTOR, ANY)                                                            \
    S(TIMER, read_id_timer)

struct fdc {
    struct device dev;
    struct region region, dir_region;
    struct irq irq;
    struct device *dma;
    struct floppy_bus floppies;
    uint16_t iobase;
    uint8_t irq_line, dma_channel;
    struct block_request request;
    struct iovec iov;
    bool in_flight;
    STATE_MEMBERS(FDC_STATE);
};
STATE_TABLE(fdc_state, struct fdc, FDC_STATE);

struct command {
    uint8_t mask, value, length; /* length: bytes of the command, with the first */
    void (*run)(struct fdc *fdc);
};

static void next_sector(struct fdc *fdc);

/* ---- interrupt, phases ---- */

static bool seek_pending(const struct fdc *fdc)
{
    for (unsigned select = 0; select < SELECTS; select++)
        if (fdc->seek_ended[select])
            return true;
    return false;
}

static void fdc_update_irq(struct fdc *fdc)
{
    bool level = fdc->transfer_interrupt || fdc->reset_interrupt || fdc->seek_interrupt;

    irq_set(&fdc->irq, level && fdc->dor & DOR_DMAGATE);
}

static void set_transfer_interrupt(struct fdc *fdc, bool level)
{
    fdc->transfer_interrupt = level;
    fdc_update_irq(fdc);
}

static void enter_command_phase(struct fdc *fdc)
{
    fdc->phase = PHASE_COMMAND;
    fdc->fifo_at = 0;
    fdc->fifo_length = 0;
}

/* A result of at most FIFO_BYTES bytes. */
static void enter_result_phase(struct fdc *fdc, const uint8_t *result, uint8_t length)
{
    memcpy(fdc->fifo, result, length);
    fdc->fifo_at = 0;
    fdc->fifo_length = length;
    fdc->phase = PHASE_RESULT;
}

static void result_byte(struct fdc *fdc, uint8_t value)
{
    enter_result_phase(fdc, &value, 1);
}

static struct floppy *drive_of(const struct fdc *fdc, uint8_t select)
{
    return select % SELECTS < FLOPPY_UNITS ? fdc->floppies.drives[select % SELECTS] : NULL;
}

static uint8_t track_of(const struct fdc *fdc, uint8_t select)
{
    const struct floppy *drive = drive_of(fdc, select);

    return drive ? drive->track : 0;
}

/* The number in the IDs under the head, NO_CYLINDER: there are none. Not where the head is: see SEEK. */
static uint8_t cylinder_of(const struct fdc *fdc, uint8_t select)
{
    const struct floppy *drive = drive_of(fdc, select);

    return drive && floppy_cylinder(drive) >= 0 ? floppy_cylinder(drive) : NO_CYLINDER;
}

/* ---- transfers: the end ---- */

static void fdc_finish(struct fdc *fdc, uint8_t st0, uint8_t st1, uint8_t st2)
{
    const struct transfer *x = &fdc->x;
    uint8_t result[7] = {
        st0 | x->st0 | (x->h ? ST0_HEAD : 0) | x->select, st1 | x->st1, st2 | x->st2, x->c, x->h, x->r, x->n,
    };

    if (fdc->dma)
        i8237_request(fdc->dma, fdc->dma_channel, false);
    fdc->x.waiting = false;
    enter_result_phase(fdc, result, sizeof(result));
    set_transfer_interrupt(fdc, true);
}

static void fdc_fail(struct fdc *fdc, uint8_t st1, uint8_t st2)
{
    fdc_finish(fdc, ST0_ABNORMAL, st1, st2);
}

/* Goes to the next sector's ID; false: that was the last of the cylinder, and the ID is what the data sheet's
 * table says. */
static bool next_id(struct transfer *x)
{
    if (x->r != x->eot) {
        x->r++;
        return true;
    }
    x->r = 1;
    if (x->mt) {
        x->h ^= 1;
        if (x->h)
            return true;
    }
    x->c++;
    return false;
}

static void sector_done(struct fdc *fdc)
{
    struct transfer *x = &fdc->x;
    bool more;

    x->started = true;
    if (x->limit != 0xFFFF)
        x->limit--;
    if (x->kind == FORMAT) {
        if (x->limit)
            next_sector(fdc);
        else
            fdc_finish(fdc, 0, 0, 0);
        return;
    }
    more = next_id(x);
    if (x->terminal || x->control_mark || !x->limit)
        fdc_finish(fdc, 0, 0, 0);
    else if (more)
        next_sector(fdc);
    else if (x->kind == READ || x->kind == WRITE)
        /* Without a terminal count, which nobody can give by PIO, the end of the cylinder is told as such. */
        fdc_fail(fdc, ST1_EN, 0);
    else
        fdc_finish(fdc, 0, 0, 0);
}

/* ---- transfers: between the medium and the buffer ---- */

/* Why the sector of the ID cannot be reached, as bits of ST1; 0: it can, and the head is there. */
static uint8_t reach(struct fdc *fdc)
{
    struct transfer *x = &fdc->x;
    struct floppy *drive = drive_of(fdc, x->select);

    if (!floppy_ready(drive) || !(drive->format->rates & 1u << fdc->rate) || x->h >= drive->format->heads ||
        x->c >= drive->format->cylinders)
        return ST1_MA;
    if (x->pio && x->started && x->r == drive->format->sectors + 1) {
        /* A count beyond the track, which only PIO software gives: it goes on at the next one. */
        x->eot -= drive->format->sectors;
        x->r = 1;
        x->c++;
        return reach(fdc);
    }
    if (x->kind == FORMAT && (x->c != floppy_cylinder(drive) || x->h != x->side))
        return ST1_ND; /* an image keeps no other IDs than its own */
    if (x->n != FLOPPY_SECTOR_CODE || x->r == 0 || x->r > drive->format->sectors)
        return ST1_ND;
    if (x->c != floppy_cylinder(drive))
        x->st0 |= ST0_SE;
    floppy_seek(drive, x->c * floppy_tracks_per_cylinder(drive));
    return 0;
}

static void fdc_submit(struct fdc *fdc, enum block_op op,
                       void (*done)(struct block_request *request, int error))
{
    const struct transfer *x = &fdc->x;
    const struct floppy *drive = drive_of(fdc, x->select);
    uint64_t lba = ((uint64_t)x->c * drive->format->heads + x->h) * drive->format->sectors + x->r - 1;

    fdc->iov = (struct iovec){fdc->sector, sizeof(fdc->sector)};
    fdc->request = (struct block_request){
        .op = op,
        .offset = lba * FLOPPY_SECTOR,
        .length = FLOPPY_SECTOR,
        .iov = &fdc->iov,
        .iovcnt = 1,
        .done = done,
        .opaque = fdc,
    };
    fdc->in_flight = true;
    block_submit(drive->block, &fdc->request);
}

static void write_done(struct block_request *request, int error)
{
    struct fdc *fdc = request->opaque;

    fdc->in_flight = false;
    if (error)
        fdc_fail(fdc, ST1_DE, ST2_DD);
    else
        sector_done(fdc);
}

/* The guest's bytes for one sector are in. */
static void write_sector(struct fdc *fdc)
{
    struct transfer *x = &fdc->x;
    uint8_t trouble;

    if (x->kind == FORMAT) {
        x->c = fdc->sector[0];
        x->h = fdc->sector[1];
        x->r = fdc->sector[2];
        x->n = fdc->sector[3];
        memset(fdc->sector, x->filler, sizeof(fdc->sector));
    } else {
        memset(fdc->sector + x->at, 0, sizeof(fdc->sector) - x->at); /* TC within the sector */
    }
    trouble = reach(fdc);
    if (trouble)
        fdc_fail(fdc, trouble, 0);
    else
        fdc_submit(fdc, BLOCK_WRITE, write_done);
}

/* ---- transfers: between the buffer and the guest ---- */

static bool to_guest(const struct transfer *x)
{
    return x->kind == READ;
}

static uint16_t bytes_wanted(const struct transfer *x)
{
    return x->kind == FORMAT ? FORMAT_ID : FLOPPY_SECTOR;
}

/* Every byte has to satisfy the scan; 0xFF matches anything. */
static void scan_byte(struct fdc *fdc, uint8_t guest)
{
    struct transfer *x = &fdc->x;
    uint8_t disk = fdc->sector[x->at++];

    if (disk == guest || disk == 0xFF || guest == 0xFF)
        return;
    x->st2 &= ~ST2_SH;
    if (x->kind == SCAN_EQUAL || (x->kind == SCAN_LOW && disk > guest) ||
        (x->kind == SCAN_HIGH && disk < guest))
        x->scan_unequal = true;
}

static void scan_done(struct fdc *fdc)
{
    struct transfer *x = &fdc->x;

    if (!x->scan_unequal) {
        next_id(x);
        fdc_finish(fdc, 0, 0, 0);
        return;
    }
    x->st2 = ST2_SN;
    sector_done(fdc);
}

/* The buffer's part of the sector has passed. */
static void buffer_done(struct fdc *fdc)
{
    struct transfer *x = &fdc->x;

    x->waiting = false;
    if (x->kind == WRITE || x->kind == FORMAT)
        write_sector(fdc);
    else if (x->kind == READ)
        sector_done(fdc);
    else
        scan_done(fdc);
}

static void scan_by_dma(struct fdc *fdc, uint16_t wanted)
{
    uint8_t guest[FLOPPY_SECTOR];
    uint32_t n = i8237_from_memory(fdc->dma, fdc->dma_channel, guest, wanted - fdc->x.at, &fdc->x.terminal);

    for (uint32_t i = 0; i < n; i++)
        scan_byte(fdc, guest[i]);
}

static void move_by_dma(struct fdc *fdc)
{
    struct transfer *x = &fdc->x;
    uint16_t wanted = bytes_wanted(x);

    if (!fdc->dma)
        return;
    if (!(fdc->dor & DOR_DMAGATE)) { /* the request does not get out of the chip, and the medium turns on */
        fdc_fail(fdc, ST1_OR, 0);
        return;
    }
    if (x->kind == READ)
        x->at +=
            i8237_to_memory(fdc->dma, fdc->dma_channel, fdc->sector + x->at, wanted - x->at, &x->terminal);
    else if (x->kind == WRITE || x->kind == FORMAT)
        x->at +=
            i8237_from_memory(fdc->dma, fdc->dma_channel, fdc->sector + x->at, wanted - x->at, &x->terminal);
    else
        scan_by_dma(fdc, wanted);
    if (x->at == wanted || x->terminal)
        buffer_done(fdc);
}

/* Begins to move the buffer's bytes. By DMA what the channel allows goes at once; the rest when it is ready.
 */
static void move_buffer(struct fdc *fdc)
{
    struct transfer *x = &fdc->x;

    x->at = 0;
    x->waiting = true;
    if (x->kind >= SCAN_EQUAL && x->kind <= SCAN_HIGH) {
        x->st2 = ST2_SH;
        x->scan_unequal = false;
    }
    if (x->pio) {
        set_transfer_interrupt(fdc, true);
        return;
    }
    if (fdc->dma)
        i8237_request(fdc->dma, fdc->dma_channel, true);
    move_by_dma(fdc);
}

static void dma_ready(void *opaque)
{
    struct fdc *fdc = opaque;

    if (fdc->phase == PHASE_EXECUTION && fdc->x.waiting && !fdc->x.pio)
        move_by_dma(fdc);
}

static uint8_t pio_read(struct fdc *fdc)
{
    struct transfer *x = &fdc->x;
    uint8_t byte = fdc->sector[x->at++];

    set_transfer_interrupt(fdc, false);
    if (x->at == FLOPPY_SECTOR)
        buffer_done(fdc);
    return byte;
}

static void pio_write(struct fdc *fdc, uint8_t byte)
{
    struct transfer *x = &fdc->x;

    set_transfer_interrupt(fdc, false);
    if (x->kind == WRITE || x->kind == FORMAT)
        fdc->sector[x->at++] = byte;
    else
        scan_byte(fdc, byte);
    if (x->at == bytes_wanted(x))
        buffer_done(fdc);
}

/* ---- transfers: a sector after the other ---- */

static void read_done(struct block_request *request, int error)
{
    struct fdc *fdc = request->opaque;

    fdc->in_flight = false;
    if (error)
        fdc_fail(fdc, ST1_DE, ST2_DD);
    else if (fdc->x.kind == VERIFY)
        sector_done(fdc);
    else
        move_buffer(fdc);
}

static void next_sector(struct fdc *fdc)
{
    struct transfer *x = &fdc->x;
    uint8_t trouble;

    if (x->kind == FORMAT) {
        move_buffer(fdc);
        return;
    }
    trouble = reach(fdc);
    if (trouble)
        fdc_fail(fdc, trouble, 0);
    else if (x->kind == WRITE)
        move_buffer(fdc);
    else
        fdc_submit(fdc, BLOCK_READ, read_done);
}

static void fdc_begin_transfer(struct fdc *fdc, enum kind kind)
{
    fdc->x = (struct transfer){
        .kind = kind,
        .select = fdc->fifo[1] & ST0_DS,
        .side = !!(fdc->fifo[1] & ST0_HEAD),
        .pio = fdc->specify[1] & SPECIFY_ND,
        .limit = 0xFFFF,
    };
    fdc->phase = PHASE_EXECUTION;
}

/* The part that READ, WRITE, VERIFY, SCAN and READ TRACK share: C, H, R, N, EOT, GPL, DTL. */
static void begin_sectors(struct fdc *fdc, enum kind kind)
{
    struct transfer *x = &fdc->x;

    fdc_begin_transfer(fdc, kind);
    x->mt = fdc->fifo[0] & COMMAND_MT;
    x->c = fdc->fifo[2];
    x->h = fdc->fifo[3];
    x->r = fdc->fifo[4];
    x->n = fdc->fifo[5];
    x->eot = fdc->last_eot = fdc->fifo[6];
    if (x->h != x->side && floppy_ready(drive_of(fdc, x->select)))
        fdc_fail(fdc, ST1_ND, 0); /* no sector of this side has that ID */
}

static void run_read(struct fdc *fdc)
{
    begin_sectors(fdc, READ);
    if (fdc->phase == PHASE_EXECUTION)
        next_sector(fdc);
}

/* No sector of an image has a deleted data mark: with SK all are passed over, without it the first one is
 * given. */
static void run_read_deleted(struct fdc *fdc)
{
    struct transfer *x = &fdc->x;

    begin_sectors(fdc, READ);
    if (fdc->phase != PHASE_EXECUTION)
        return;
    x->st2 = ST2_CM;
    x->control_mark = true;
    if (!(fdc->fifo[0] & COMMAND_SK)) {
        next_sector(fdc);
    } else if (reach(fdc)) {
        fdc_fail(fdc, ST1_ND, 0);
    } else {
        x->r = x->eot;
        next_id(x);
        fdc_fail(fdc, ST1_EN, 0);
    }
}

/* The sectors of a track in their physical order from the index on, EOT of them; ND tells that the wanted one
 * was missing. */
static void run_read_track(struct fdc *fdc)
{
    struct transfer *x = &fdc->x;
    const struct floppy *drive;

    begin_sectors(fdc, READ);
    if (fdc->phase != PHASE_EXECUTION)
        return;
    drive = drive_of(fdc, x->select);
    x->mt = false;
    if (drive && (x->r == 0 || x->r > drive->format->sectors))
        x->st1 = ST1_ND;
    x->r = 1;
    next_sector(fdc);
}

static void run_write(struct fdc *fdc)
{
    begin_sectors(fdc, WRITE);
    if (fdc->phase != PHASE_EXECUTION)
        return;
    if (floppy_ready(drive_of(fdc, fdc->x.select)) && floppy_read_only(drive_of(fdc, fdc->x.select)))
        fdc_fail(fdc, ST1_NW, 0);
    else
        next_sector(fdc);
}

static void run_verify(struct fdc *fdc)
{
    begin_sectors(fdc, VERIFY);
    if (fdc->phase != PHASE_EXECUTION)
        return;
    fdc->x.pio = false;
    if (fdc->fifo[1] & VERIFY_EC)
        fdc->x.limit = fdc->fifo[8] ? fdc->fifo[8] : 256; /* SC */
    next_sector(fdc);
}

static void run_scan(struct fdc *fdc)
{
    static const uint8_t kinds[4] = {SCAN_EQUAL, SCAN_EQUAL, SCAN_LOW, SCAN_HIGH};

    begin_sectors(fdc, kinds[fdc->fifo[0] >> 2 & 3]);
    if (fdc->phase == PHASE_EXECUTION)
        next_sector(fdc);
}

static void run_format(struct fdc *fdc)
{
    struct transfer *x = &fdc->x;
    const struct floppy *drive;

    fdc_begin_transfer(fdc, FORMAT);
    drive = drive_of(fdc, x->select);
    x->c = cylinder_of(fdc, x->select);
    x->h = x->side;
    x->n = fdc->fifo[2];
    x->limit = fdc->last_eot = fdc->fifo[3];
    x->filler = fdc->fifo[5];
    if (!floppy_ready(drive))
        fdc_fail(fdc, ST1_MA, 0);
    else if (floppy_read_only(drive))
        fdc_fail(fdc, ST1_NW, 0);
    else if (x->limit == 0)
        fdc_finish(fdc, 0, 0, 0);
    else
        next_sector(fdc);
}

static void read_id_fire(void *opaque)
{
    struct fdc *fdc = opaque;
    struct transfer *x = &fdc->x;
    uint8_t trouble;

    x->c = cylinder_of(fdc, x->select);
    x->h = x->side;
    x->r = 1;
    x->n = FLOPPY_SECTOR_CODE;
    trouble = x->c == NO_CYLINDER ? ST1_MA : reach(fdc);
    if (trouble)
        fdc_fail(fdc, trouble, 0);
    else
        fdc_finish(fdc, 0, 0, 0);
}

static void run_read_id(struct fdc *fdc)
{
    fdc_begin_transfer(fdc, READ);
    fdc->x.pio = false;
    timer_set(&fdc->read_id_timer, clock_now(&fdc->dev.machine->clock) + READ_ID_NS);
}

/* ---- the other commands ---- */

static void seek_to(struct fdc *fdc, uint8_t select, uint8_t st0, unsigned track)
{
    struct floppy *drive = drive_of(fdc, select);

    if (drive)
        floppy_seek(drive, track > 0xFF ? 0xFF : track);
    fdc->seek_ended[select] = st0 | select;
    fdc->seek_interrupt = true;
    enter_command_phase(fdc);
    fdc_update_irq(fdc);
}

static void run_seek(struct fdc *fdc)
{
    seek_to(fdc, fdc->fifo[1] & ST0_DS, ST0_SE | (fdc->fifo[1] & ST0_HEAD), fdc->fifo[2]);
}

static void run_relative_seek(struct fdc *fdc)
{
    uint8_t select = fdc->fifo[1] & ST0_DS, steps = fdc->fifo[2];
    unsigned track = track_of(fdc, select);

    if (fdc->fifo[0] & RELATIVE_DIR)
        track += steps;
    else
        track = track > steps ? track - steps : 0;
    seek_to(fdc, select, ST0_SE | (fdc->fifo[1] & ST0_HEAD), track);
}

/* Without a drive track 0 never shows: the data sheet's equipment check. */
static void run_recalibrate(struct fdc *fdc)
{
    uint8_t select = fdc->fifo[1] & ST0_DS;

    seek_to(fdc, select, drive_of(fdc, select) ? ST0_SE : ST0_ABNORMAL | ST0_SE | ST0_EC, 0);
}

static void run_sense_interrupt(struct fdc *fdc)
{
    uint8_t result[2];
    unsigned select = 0;

    if (fdc->reset_sensed < RESET_SENSED) {
        select = fdc->reset_sensed++;
        result[0] = ST0_POLLING | select;
    } else {
        while (select < SELECTS && !fdc->seek_ended[select])
            select++;
        if (select == SELECTS) {
            result_byte(fdc, ST0_INVALID);
            return;
        }
        result[0] = fdc->seek_ended[select];
        fdc->seek_ended[select] = 0;
    }
    result[1] = track_of(fdc, select);
    fdc->reset_interrupt = false;
    fdc->seek_interrupt = seek_pending(fdc);
    fdc_update_irq(fdc);
    enter_result_phase(fdc, result, sizeof(result));
}

static void run_sense_drive(struct fdc *fdc)
{
    const struct floppy *drive = drive_of(fdc, fdc->fifo[1] & ST0_DS);
    uint8_t st3 = ST3_TWO_SIDE | ST3_READY | (fdc->fifo[1] & (ST0_HEAD | ST0_DS));

    if (drive && drive->track == 0)
        st3 |= ST3_T0;
    if (drive && floppy_read_only(drive))
        st3 |= ST3_WP;
    result_byte(fdc, st3);
}

static void run_specify(struct fdc *fdc)
{
    memcpy(fdc->specify, fdc->fifo + 1, sizeof(fdc->specify));
    enter_command_phase(fdc);
}

static void run_configure(struct fdc *fdc)
{
    fdc->config = fdc->fifo[2] & 0x7F;
    fdc->precompensation = fdc->fifo[3];
    enter_command_phase(fdc);
}

/* OW says whether the drives' bits are written. */
static void run_perpendicular(struct fdc *fdc)
{
    uint8_t value = fdc->fifo[1];

    fdc->perpendicular = value & LOCK_BIT ? value & 0x3F : (fdc->perpendicular & 0x3C) | (value & 0x03);
    enter_command_phase(fdc);
}

static void run_lock(struct fdc *fdc)
{
    fdc->lock = fdc->fifo[0] & LOCK_BIT;
    result_byte(fdc, fdc->lock >> 3);
}

static void run_version(struct fdc *fdc)
{
    result_byte(fdc, VERSION_82077);
}

static void run_dumpreg(struct fdc *fdc)
{
    uint8_t result[10] = {
        track_of(fdc, 0), track_of(fdc, 1),     track_of(fdc, 2), track_of(fdc, 3),
        fdc->specify[0],  fdc->specify[1],      fdc->last_eot,    fdc->lock | fdc->perpendicular,
        fdc->config,      fdc->precompensation,
    };

    enter_result_phase(fdc, result, sizeof(result));
}

static const struct command commands[] = {
    {0x1F, 0x06, 9, run_read},
    {0x1F, 0x0C, 9, run_read_deleted},
    {0x3F, 0x05, 9, run_write},
    {0x3F, 0x09, 9, run_write}, /* with deleted data marks, which an image cannot keep */
    {0x9F, 0x02, 9, run_read_track},
    {0x1F, 0x16, 9, run_verify},
    {0x1F, 0x11, 9, run_scan},
    {0x1F, 0x19, 9, run_scan},
    {0x1F, 0x1D, 9, run_scan},
    {0xBF, 0x0D, 6, run_format},
    {0xBF, 0x0A, 2, run_read_id},
    {0xFF, 0x07, 2, run_recalibrate},
    {0xFF, 0x08, 1, run_sense_interrupt},
    {0xFF, 0x03, 3, run_specify},
    {0xFF, 0x04, 2, run_sense_drive},
    {0xFF, 0x0F, 3, run_seek},
    {0xBF, 0x8F, 3, run_relative_seek},
    {0xFF, 0x10, 1, run_version},
    {0xFF, 0x0E, 1, run_dumpreg},
    {0xFF, 0x13, 4, run_configure},
    {0xFF, 0x12, 2, run_perpendicular},
    {0x7F, 0x14, 1, run_lock},
};

static const struct command *fdc_find_command(uint8_t byte)
{
    for (size_t i = 0; i < COUNT(commands); i++)
        if ((byte & commands[i].mask) == commands[i].value)
            return &commands[i];
    return NULL;
}

/* ---- reset ---- */

static void cancel(struct fdc *fdc)
{
    timer_cancel(&fdc->read_id_timer);
    if (fdc->in_flight)
        block_cancel(&fdc->request);
    fdc->in_flight = false;
    fdc->x = (struct transfer){0};
    if (fdc->dma)
        i8237_request(fdc->dma, fdc->dma_channel, false);
}

/* What both kinds of reset do. */
static void reset_controller(struct fdc *fdc)
{
    cancel(fdc);
    memset(fdc->seek_ended, 0, sizeof(fdc->seek_ended));
    fdc->seek_interrupt = false;
    fdc->config = fdc->lock ? fdc->config & CONFIG_FIFO_BITS : CONFIG_EFIFO;
    if (!fdc->lock)
        fdc->precompensation = 0;
    fdc->perpendicular &= 0x3C;
    fdc->reset_sensed = RESET_SENSED;
    fdc->reset_interrupt = false;
    enter_command_phase(fdc);
    set_transfer_interrupt(fdc, false);
}

/* After the guest's reset the drives are polled, which each of them answers with an interrupt status. */
static void end_guest_reset(struct fdc *fdc)
{
    fdc->reset_sensed = 0;
    fdc->reset_interrupt = true;
    fdc_update_irq(fdc);
}

/* ---- registers ---- */

static void fdc_fifo_put(struct fdc *fdc, uint8_t byte)
{
    const struct command *command = fdc_find_command(fdc->fifo_at ? fdc->fifo[0] : byte);

    fdc->seek_interrupt = false;
    fdc_update_irq(fdc);
    if (!command) {
        result_byte(fdc, ST0_INVALID);
        return;
    }
    fdc->fifo[fdc->fifo_at++] = byte;
    if (fdc->fifo_at == command->length)
        command->run(fdc);
}

static uint8_t fifo_get(struct fdc *fdc)
{
    uint8_t byte = fdc->fifo[fdc->fifo_at++];

    set_transfer_interrupt(fdc, false);
    if (fdc->fifo_at == fdc->fifo_length)
        enter_command_phase(fdc);
    return byte;
}

static bool in_reset(const struct fdc *fdc)
{
    return !(fdc->dor & DOR_RESET_N);
}

static void write_fifo(struct fdc *fdc, uint8_t byte)
{
    if (in_reset(fdc))
        return;
    if (fdc->phase == PHASE_COMMAND)
        fdc_fifo_put(fdc, byte);
    else if (fdc->phase == PHASE_EXECUTION && fdc->x.waiting && fdc->x.pio && !to_guest(&fdc->x))
        pio_write(fdc, byte);
}

static uint8_t read_fifo(struct fdc *fdc)
{
    if (in_reset(fdc))
        return 0;
    if (fdc->phase == PHASE_RESULT)
        return fifo_get(fdc);
    if (fdc->phase == PHASE_EXECUTION && fdc->x.waiting && fdc->x.pio && to_guest(&fdc->x))
        return pio_read(fdc);
    return 0;
}

/* DRV0 BUSY to DRV3 BUSY: until SENSE INTERRUPT STATUS has told of the seek's end. */
static uint8_t drives_busy(const struct fdc *fdc)
{
    uint8_t busy = 0;

    for (unsigned select = 0; select < SELECTS; select++)
        busy |= (fdc->seek_ended[select] ? 1 : 0) << select;
    return busy;
}

static uint8_t phase_status(const struct fdc *fdc)
{
    const struct transfer *x = &fdc->x;

    switch (fdc->phase) {
    case PHASE_COMMAND:
        return MSR_RQM | (fdc->fifo_at ? MSR_CMD_BSY : 0);
    case PHASE_RESULT:
        return MSR_RQM | MSR_DIO | MSR_CMD_BSY;
    default:
        if (!x->pio)
            return MSR_CMD_BSY;
        return MSR_CMD_BSY | MSR_NON_DMA | (x->waiting ? MSR_RQM : 0) | (to_guest(x) ? MSR_DIO : 0);
    }
}

static uint8_t fdc_read_msr(const struct fdc *fdc)
{
    return in_reset(fdc) ? 0 : phase_status(fdc) | drives_busy(fdc);
}

static void write_dor(struct fdc *fdc, uint8_t value)
{
    bool was_reset = in_reset(fdc);

    fdc->dor = value;
    if (in_reset(fdc) && !was_reset)
        reset_controller(fdc);
    else if (was_reset && !in_reset(fdc))
        end_guest_reset(fdc);
    fdc_update_irq(fdc); /* DMAGATE */
    dma_ready(fdc);
}

static void write_dsr(struct fdc *fdc, uint8_t value)
{
    fdc->rate = value & DSR_RATE;
    if (!(value & DSR_RESET) || in_reset(fdc))
        return;
    reset_controller(fdc);
    end_guest_reset(fdc);
}

static uint64_t fdc_read(void *opaque, uint64_t offset, unsigned size)
{
    struct fdc *fdc = opaque;

    switch (offset) {
    case DOR:
        return fdc->dor;
    case TDR:
        return fdc->tdr;
    case MSR_DSR:
        return fdc_read_msr(fdc);
    default:
        return read_fifo(fdc);
    }
}

static void fdc_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct fdc *fdc = opaque;

    switch (offset) {
    case DOR:
        write_dor(fdc, value);
        break;
    case TDR:
        fdc->tdr = value & 3;
        break;
    case MSR_DSR:
        write_dsr(fdc, value);
        break;
    default:
        write_fifo(fdc, value);
    }
}

static const struct region_ops fdc_ops = {.read = fdc_read, .write = fdc_write, .max_size = 1};

static uint64_t fdc_dir_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct fdc *fdc = opaque;

    return floppy_changed(drive_of(fdc, fdc->dor & DOR_DRIVE)) ? DIR_DSKCHG : 0;
}

static void fdc_ccr_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    ((struct fdc *)opaque)->rate = value & DSR_RATE;
}

static const struct region_ops dir_ops = {.read = fdc_dir_read, .write = fdc_ccr_write, .max_size = 1};

/* ---- the bus of drives ---- */

static void fdc_drive_unplugged(void *opaque, uint8_t unit)
{
    struct fdc *fdc = opaque;

    if (fdc->in_flight && fdc->x.select == unit) {
        cancel(fdc);
        enter_command_phase(fdc);
    }
}

uint8_t fdc_drive_type(struct device *dev, unsigned unit)
{
    const struct floppy *drive = drive_of((struct fdc *)dev, unit);

    return drive ? drive->type : 0;
}

/* ---- the device ---- */

static bool fdc_realize(struct device *dev, struct error *err)
{
    struct fdc *fdc = (struct fdc *)dev;
    struct machine *m = dev->machine;

    machine_irq(m, &fdc->irq, fdc->irq_line);
    timer_init(&fdc->read_id_timer, &m->clock, read_id_fire, fdc);
    fdc->dma = i8237_find(m);
    if (fdc->dma)
        i8237_attach(fdc->dma, fdc->dma_channel, dma_ready, fdc);
    fdc->floppies = (struct floppy_bus){
        .node = {.name = "floppy.0", .ops = &floppy_bus_ops, .owner = dev, .bus = &fdc->floppies},
        .iobase = fdc->iobase,
        .unplugged = fdc_drive_unplugged,
        .opaque = fdc};
    bus_node_add(m, &fdc->floppies.node);
    machine_map_ports(m, &fdc->region, "isa-fdc", &fdc_ops, fdc, fdc->iobase + 2, 4);
    machine_map_ports(m, &fdc->dir_region, "isa-fdc-dir", &dir_ops, fdc, fdc->iobase + 7, 1);
    return true;
}

static void fdc_unrealize(struct device *dev)
{
    struct fdc *fdc = (struct fdc *)dev;
    struct machine *m = dev->machine;

    cancel(fdc);
    irq_set(&fdc->irq, false);
    if (fdc->dma)
        i8237_attach(fdc->dma, fdc->dma_channel, NULL, NULL);
    bus_node_remove(m, &fdc->floppies.node);
    bus_unmap(&m->bus, &fdc->region);
    bus_unmap(&m->bus, &fdc->dir_region);
}

/*
 * The RESET pin. The chip would stay in reset until the BIOS writes DOR, and run at 250 kb/s; a machine
 * without a BIOS (tests) finds it as a BIOS leaves it.
 */
static void fdc_reset(struct device *dev)
{
    struct fdc *fdc = (struct fdc *)dev;

    fdc->lock = 0;
    fdc->dor = DOR_RESET_N | DOR_DMAGATE;
    fdc->tdr = 0;
    fdc->rate = RATE_500K;
    fdc->perpendicular = 0;
    fdc->last_eot = 0;
    memset(fdc->specify, 0, sizeof(fdc->specify));
    reset_controller(fdc);
}

static bool fdc_check(const struct device *dev, struct error *err)
{
    const struct fdc *fdc = (const struct fdc *)dev;
    const struct command *command = fdc_find_command(fdc->fifo[0]);

    if (fdc->fifo_length > FIFO_BYTES || fdc->fifo_at >= FIFO_BYTES ||
        (fdc->phase == PHASE_RESULT && fdc->fifo_at >= fdc->fifo_length) ||
        (fdc->phase == PHASE_COMMAND && fdc->fifo_at && (!command || fdc->fifo_at >= command->length)))
        return error_set(err, "the FIFO is out of range");
    if (fdc->phase == PHASE_EXECUTION && !fdc->x.waiting && !timer_armed(&fdc->read_id_timer))
        return error_set(err, "there is nothing that ends the command");
    if (fdc->phase == PHASE_EXECUTION && fdc->x.waiting && fdc->x.at >= bytes_wanted(&fdc->x))
        return error_set(err, "the transfer is out of range");
    return true;
}

static void fdc_loaded(struct device *dev)
{
    fdc_update_irq((struct fdc *)dev);
}

static const struct property fdc_properties[] = {
    PROPERTY(PROP_UINT16, struct fdc, iobase, "iobase", .initial = "0x3f0", .min = 8, .max = 0xFFF8,
             .help = "first port"),
    PROPERTY(PROP_UINT8, struct fdc, irq_line, "irq", .initial = "6", .max = 15, .help = "interrupt"),
    PROPERTY(PROP_UINT8, struct fdc, dma_channel, "dma", .initial = "2", .max = 3, .help = "DMA channel"),
    {.name = NULL},
};

static const struct device_class fdc_class = {
    .name = "isa-fdc",
    .description = "82077AA floppy controller",
    .bus = &isa_bus_ops,
    .size = sizeof(struct fdc),
    .properties = fdc_properties,
    .state = &fdc_state,
    .realize = fdc_realize,
    .unrealize = fdc_unrealize,
    .reset = fdc_reset,
    .check = fdc_check,
    .loaded = fdc_loaded,
};
DEVICE_CLASS(fdc_class);
