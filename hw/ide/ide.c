/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/ide/ide.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "machine/machine.h"

STATE_PUBLIC_TABLE(ide_drive_state, struct ide_drive, IDE_DRIVE_STATE);

STATE_PUBLIC_TABLE(ide_channel_state, struct ide_channel, IDE_CHANNEL_STATE);

/* Registers of the command block, by offset; reads / writes. */
enum {
    REG_DATA,
    REG_ERROR, /* FEATURES */
    REG_COUNT,
    REG_LBA_LOW,
    REG_LBA_MID,
    REG_LBA_HIGH,
    REG_DEVICE,
    REG_STATUS, /* COMMAND */
};

/* Device control */
#define NIEN 0x02
#define SRST 0x04
#define HOB  0x80

#define CMD_DEVICE_RESET 0x08
#define CMD_DIAGNOSTIC   0x90
#define CMD_PACKET       0xA0

/* One piece of a DMA transfer: what a cancel may have to wait for. */
#define DMA_PIECE (1u << 20)

static struct ide_drive *selected(const struct ide_channel *channel)
{
    return channel->drives[channel->select];
}

/* ---- interrupts ---- */

static bool ide_irq_level(const struct ide_channel *channel)
{
    const struct ide_drive *drive = selected(channel);

    return drive && drive->interrupt && !(channel->control & NIEN);
}

static void ide_update_irq(struct ide_channel *channel)
{
    bool level = ide_irq_level(channel), before = channel->irq.level;

    irq_set(&channel->irq, level);
    if (level && !before)
        channel->master->interrupt(channel->master_opaque);
}

void ide_raise(struct ide_drive *drive)
{
    drive->interrupt = true;
    ide_update_irq(drive->channel);
}

static void ide_lower(struct ide_drive *drive)
{
    drive->interrupt = false;
    ide_update_irq(drive->channel);
}

void ide_finish_quietly(struct ide_drive *drive, uint8_t status)
{
    drive->status = status;
    drive->position = drive->end = 0;
}

void ide_finish(struct ide_drive *drive, uint8_t status, uint8_t error)
{
    ide_finish_quietly(drive, status);
    drive->error = error;
    drive->channel->master->ended(drive->channel->master_opaque);
    ide_raise(drive);
}

/* ---- PIO ---- */

static void begin_block(struct ide_drive *drive, uint32_t start, uint32_t length, bool out)
{
    drive->position = start;
    drive->end = start + length;
    drive->pio_out = out;
    drive->status = ATA_DRDY | ATA_DSC | ATA_DRQ;
}

void ide_pio_in(struct ide_drive *drive, uint32_t start, uint32_t length)
{
    begin_block(drive, start, length, false);
    ide_raise(drive);
}

void ide_pio_out(struct ide_drive *drive, uint32_t start, uint32_t length, bool interrupt)
{
    begin_block(drive, start, length, true);
    if (interrupt)
        ide_raise(drive);
}

/* Bytes that the data port may move now in that direction. */
static uint32_t pio_left(const struct ide_drive *drive, bool out)
{
    if (!drive || !(drive->status & ATA_DRQ) || drive->status & ATA_BSY || drive->pio_out != out)
        return 0;
    return drive->end - drive->position;
}

static void pio_moved(struct ide_drive *drive, uint32_t bytes)
{
    drive->position += bytes;
    if (drive->position == drive->end)
        drive->ops->pio_done(drive);
}

/* As many whole elements as the block and the caller have; 0 leaves the rest to the single access. */
static uint32_t ide_data_read_block(void *opaque, uint64_t offset, unsigned size, uint8_t *data,
                                    uint32_t count)
{
    struct ide_drive *drive = selected(opaque);
    uint32_t fit = offset == REG_DATA && size > 1 ? pio_left(drive, false) / size : 0;

    if (fit > count)
        fit = count;
    if (!fit)
        return 0;
    memcpy(data, drive->buffer + drive->position, (size_t)fit * size);
    pio_moved(drive, fit * size);
    return fit;
}

static uint32_t ide_data_write_block(void *opaque, uint64_t offset, unsigned size, const uint8_t *data,
                                     uint32_t count)
{
    struct ide_drive *drive = selected(opaque);
    uint32_t fit = offset == REG_DATA && size > 1 ? pio_left(drive, true) / size : 0;

    if (fit > count)
        fit = count;
    if (!fit)
        return 0;
    memcpy(drive->buffer + drive->position, data, (size_t)fit * size);
    pio_moved(drive, fit * size);
    return fit;
}

/* One transfer on the 16-bit data bus; without DRQ nobody drives it. */
static uint16_t read_data_word(struct ide_channel *channel)
{
    struct ide_drive *drive = selected(channel);
    uint32_t left = pio_left(drive, false);
    uint8_t word[2] = {0, 0};

    if (!left)
        return 0;
    memcpy(word, drive->buffer + drive->position, min_u64(left, 2));
    pio_moved(drive, min_u64(left, 2));
    return get_le16(word);
}

static void write_data_word(struct ide_channel *channel, uint16_t value)
{
    struct ide_drive *drive = selected(channel);
    uint32_t left = pio_left(drive, true);
    uint8_t word[2] = {value, value >> 8};

    if (!left)
        return;
    memcpy(drive->buffer + drive->position, word, min_u64(left, 2));
    pio_moved(drive, min_u64(left, 2));
}

/* ---- requests to the medium ---- */

static bool to_memory(const struct ide_drive *drive)
{
    return drive->dma_kind == IDE_DMA_READ || drive->dma_kind == IDE_DMA_BUFFER_IN;
}

static void unmap_piece(struct ide_drive *drive)
{
    struct ide_channel *channel = drive->channel;

    if (!drive->mapped)
        return;
    drive->mapped = false;
    channel->master->unmap(channel->master_opaque, &drive->piece, to_memory(drive));
}

/* Takes back what is in flight; the DMA transfer itself stays where it was. */
static void take_back(struct ide_drive *drive)
{
    if (drive->in_flight)
        block_cancel(&drive->request);
    drive->in_flight = false;
    unmap_piece(drive);
}

/* Ends whatever the drive is doing, without a trace. */
void ide_cancel(struct ide_drive *drive)
{
    take_back(drive);
    drive->dma_kind = IDE_DMA_NONE;
    drive->dma_left = 0;
    drive->position = drive->end = 0;
    drive->interrupt = false;
}

static void request_done(struct block_request *request, int error)
{
    struct ide_drive *drive = request->opaque;

    drive->in_flight = false;
    drive->ops->io_done(drive, error);
}

/* stable: the buffers are guest memory that is mapped for good. */
static void submit(struct ide_drive *drive, enum block_op op, uint64_t offset, uint64_t length,
                   struct iovec *iov, int iovcnt, bool stable,
                   void (*done)(struct block_request *request, int error))
{
    drive->request = (struct block_request){.op = op,
                                            .offset = offset,
                                            .length = length,
                                            .iov = iov,
                                            .iovcnt = iovcnt,
                                            .stable = stable,
                                            .done = done,
                                            .opaque = drive};
    drive->in_flight = true;
    drive->status = (drive->status & ~ATA_DRQ) | ATA_BSY;
    block_submit(drive->block, &drive->request);
}

void ide_submit(struct ide_drive *drive, enum block_op op, uint64_t offset, uint64_t length, uint32_t start)
{
    drive->iov = (struct iovec){drive->buffer + start, length};
    submit(drive, op, offset, length, &drive->iov, 1, false, request_done);
}

/* ---- DMA ---- */

static void dma_run(struct ide_drive *drive);

static void dma_end(struct ide_drive *drive, int error)
{
    drive->dma_kind = IDE_DMA_NONE;
    drive->dma_left = 0;
    drive->ops->io_done(drive, error);
}

static void dma_advance(struct ide_drive *drive, uint64_t length)
{
    drive->dma_offset += length;
    drive->dma_left -= length;
}

static void dma_request_done(struct block_request *request, int error)
{
    struct ide_drive *drive = request->opaque;

    drive->in_flight = false;
    unmap_piece(drive);
    if (!error)
        dma_advance(drive, request->length);
    if (error || !drive->dma_left)
        dma_end(drive, error);
    else
        dma_run(drive);
}

/* The table has no memory for what is left: the drive keeps asking, until the guest resets it or starts
 * another. */
static void dma_wait(struct ide_drive *drive)
{
    drive->status = ATA_DRDY | ATA_DSC | ATA_DRQ;
}

static void copy_buffer(struct ide_drive *drive)
{
    uint8_t *at = drive->buffer + drive->dma_offset;
    struct ide_dma_piece *piece = &drive->piece;

    for (int i = 0; i < piece->count; i++) {
        if (drive->dma_kind == IDE_DMA_BUFFER_IN)
            memcpy(piece->iov[i].iov_base, at, piece->iov[i].iov_len);
        else
            memcpy(at, piece->iov[i].iov_base, piece->iov[i].iov_len);
        at += piece->iov[i].iov_len;
    }
}

/* Of a write whose table ends within a sector only the whole sectors reach the medium. */
static void keep_whole_sectors(struct ide_dma_piece *piece)
{
    uint64_t left = piece->length - piece->length % IDE_SECTOR;

    piece->length = left;
    for (int i = 0; i < piece->count; i++) {
        if (piece->iov[i].iov_len > left)
            piece->iov[i].iov_len = left;
        left -= piece->iov[i].iov_len;
    }
}

static enum ide_dma_result map_piece(struct ide_drive *drive)
{
    struct ide_channel *channel = drive->channel;
    struct ide_dma_piece *piece = &drive->piece;
    uint64_t length = drive->dma_left < DMA_PIECE ? drive->dma_left : DMA_PIECE;
    enum ide_dma_result result = channel->master->map(channel->master_opaque, length, piece);

    if (result != IDE_DMA_READY)
        return result;
    drive->mapped = true;
    if (drive->dma_kind == IDE_DMA_WRITE && piece->last && piece->length < drive->dma_left)
        keep_whole_sectors(piece);
    return IDE_DMA_READY;
}

/* The buffer's part of a transfer, as far as the table goes. */
static void dma_run_buffer(struct ide_drive *drive)
{
    copy_buffer(drive);
    dma_advance(drive, drive->piece.length);
    unmap_piece(drive);
}

static void dma_run(struct ide_drive *drive)
{
    while (drive->dma_left) {
        switch (map_piece(drive)) {
        case IDE_DMA_WAIT:
            dma_wait(drive);
            return;
        case IDE_DMA_ERROR:
            dma_end(drive, EFAULT);
            return;
        case IDE_DMA_NOWHERE:
            dma_end(drive, to_memory(drive) ? 0 : EFAULT);
            return;
        case IDE_DMA_READY:
            break;
        }
        if (drive->dma_kind == IDE_DMA_READ || drive->dma_kind == IDE_DMA_WRITE) {
            if (!drive->piece.length) {
                unmap_piece(drive);
                continue;
            }
            submit(drive, drive->dma_kind == IDE_DMA_READ ? BLOCK_READ : BLOCK_WRITE, drive->dma_offset,
                   drive->piece.length, drive->piece.iov, drive->piece.count,
                   drive->channel->machine->ram.host != NULL, dma_request_done);
            return;
        }
        dma_run_buffer(drive);
    }
    dma_end(drive, 0);
}

void ide_dma(struct ide_drive *drive, enum ide_dma_kind kind, uint64_t offset, uint64_t length)
{
    drive->dma_kind = kind;
    drive->dma_offset = offset;
    drive->dma_left = length;
    dma_run(drive);
}

void ide_dma_started(struct ide_channel *channel)
{
    struct ide_drive *drive = selected(channel);

    if (drive && drive->dma_kind && !drive->in_flight)
        dma_run(drive);
}

void ide_dma_stopped(struct ide_channel *channel)
{
    for (unsigned unit = 0; unit < 2; unit++) {
        struct ide_drive *drive = channel->drives[unit];

        if (!drive || !drive->mapped)
            continue;
        take_back(drive);
        dma_wait(drive);
    }
}

/* ---- resets ---- */

/* What a drive shows of itself after a reset or the diagnostic. */
static void set_signature(struct ide_drive *drive)
{
    bool packet = drive->ops->packet;

    drive->count[0] = drive->lba_low[0] = 1;
    drive->lba_mid[0] = packet ? 0x14 : 0;
    drive->lba_high[0] = packet ? 0xEB : 0;
    drive->count[1] = drive->lba_low[1] = drive->lba_mid[1] = drive->lba_high[1] = 0;
    drive->feature[0] = drive->feature[1] = 0;
    drive->device = 0;
    drive->error = 1; /* the diagnostic passed */
    drive->status = packet ? 0 : ATA_DRDY | ATA_DSC;
}

static void reset_drive(struct ide_drive *drive, bool hard)
{
    ide_cancel(drive);
    drive->ops->reset(drive, hard);
    set_signature(drive);
}

void ide_drive_reset(struct device *dev)
{
    struct ide_drive *drive = (struct ide_drive *)dev;

    reset_drive(drive, true);
    if (drive->channel->drives[drive->unit] == drive)
        ide_update_irq(drive->channel);
}

static void ide_soft_reset(struct ide_channel *channel)
{
    for (unsigned unit = 0; unit < 2; unit++)
        if (channel->drives[unit])
            reset_drive(channel->drives[unit], false);
    channel->select = 0;
}

static bool busy(const struct ide_drive *drive)
{
    return drive && drive->status & ATA_BSY;
}

/* Both drives run it whoever is selected; drive 0 answers for both. */
static void diagnostic(struct ide_channel *channel)
{
    if (busy(channel->drives[0]) || busy(channel->drives[1]))
        return;
    ide_soft_reset(channel);
    ide_update_irq(channel);
    if (selected(channel))
        ide_raise(selected(channel));
}

/* ---- registers ---- */

static void ide_set(uint8_t reg[2], uint8_t value)
{
    reg[1] = reg[0];
    reg[0] = value;
}

static void ide_write_command(struct ide_channel *channel, uint8_t command)
{
    struct ide_drive *drive = selected(channel);

    if (command == CMD_DIAGNOSTIC) {
        diagnostic(channel);
        return;
    }
    if (!drive)
        return;
    if (command == CMD_DEVICE_RESET && drive->ops->packet) {
        reset_drive(drive, false);
        ide_update_irq(channel);
        return;
    }
    if (busy(drive))
        return;
    ide_cancel(drive);
    ide_update_irq(channel);
    drive->command = command;
    drive->error = 0;
    drive->status = ATA_BSY | ATA_DRDY | ATA_DSC;
    drive->ops->command(drive, command);
}

/* Both drives latch what is written to the task file, unless they are busy. */
static void write_task_file(struct ide_drive *drive, unsigned reg, uint8_t value)
{
    if (!drive || drive->status & ATA_BSY)
        return;
    switch (reg) {
    case REG_ERROR:
        ide_set(drive->feature, value);
        break;
    case REG_COUNT:
        ide_set(drive->count, value);
        break;
    case REG_LBA_LOW:
        ide_set(drive->lba_low, value);
        break;
    case REG_LBA_MID:
        ide_set(drive->lba_mid, value);
        break;
    case REG_LBA_HIGH:
        ide_set(drive->lba_high, value);
        break;
    case REG_DEVICE:
        drive->device = value;
        break;
    }
}

static void ide_write_register(struct ide_channel *channel, unsigned reg, uint8_t value)
{
    channel->control &= ~HOB;
    if (reg == REG_STATUS) {
        ide_write_command(channel, value);
        return;
    }
    if (reg == REG_DEVICE)
        channel->select = value & ATA_DEV ? 1 : 0;
    write_task_file(channel->drives[0], reg, value);
    write_task_file(channel->drives[1], reg, value);
    ide_update_irq(channel);
}

/* The register of an absent drive reads as 0: that is how all drivers notice quickly that nobody is there. */
static uint8_t ide_read_register(struct ide_channel *channel, unsigned reg)
{
    struct ide_drive *drive = selected(channel);
    unsigned previous = channel->control & HOB ? 1 : 0;

    if (!drive)
        return 0;
    switch (reg) {
    case REG_ERROR:
        return drive->error;
    case REG_COUNT:
        return drive->count[previous];
    case REG_LBA_LOW:
        return drive->lba_low[previous];
    case REG_LBA_MID:
        return drive->lba_mid[previous];
    case REG_LBA_HIGH:
        return drive->lba_high[previous];
    case REG_DEVICE:
        return (drive->device & ~ATA_DEV) | 0xA0 | channel->select << 4; /* bits 7 and 5 are wired high */
    default:
        ide_lower(drive);
        return drive->status;
    }
}

static uint64_t ide_command_read(void *opaque, uint64_t offset, unsigned size)
{
    struct ide_channel *channel = opaque;
    uint64_t value = 0;

    if (offset == REG_DATA) {
        value = read_data_word(channel);
        return size == 4 ? value | (uint32_t)read_data_word(channel) << 16 : value;
    }
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)ide_read_register(channel, offset + i) << 8 * i;
    return value;
}

static void ide_command_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct ide_channel *channel = opaque;

    if (offset == REG_DATA) {
        write_data_word(channel, value);
        if (size == 4)
            write_data_word(channel, value >> 16);
        return;
    }
    for (unsigned i = 0; i < size; i++)
        ide_write_register(channel, offset + i, value >> 8 * i);
}

/* Alternate status: as the status register, but the interrupt stays. */
static uint64_t ide_control_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct ide_drive *drive = selected(opaque);

    return drive ? drive->status : 0;
}

static void ide_control_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct ide_channel *channel = opaque;
    uint8_t before = channel->control;

    channel->control = value & (NIEN | SRST | HOB);
    if (value & ~before & SRST) {
        ide_soft_reset(channel);
        for (unsigned unit = 0; unit < 2; unit++)
            if (channel->drives[unit])
                channel->drives[unit]->status |= ATA_BSY;
    } else if (before & ~value & SRST) {
        for (unsigned unit = 0; unit < 2; unit++)
            if (channel->drives[unit])
                channel->drives[unit]->status &= ~ATA_BSY;
    }
    ide_update_irq(channel);
}

static const struct region_ops command_ops = {
    .read = ide_command_read,
    .write = ide_command_write,
    .read_block = ide_data_read_block,
    .write_block = ide_data_write_block,
    .max_size = 4,
};
static const struct region_ops control_ops = {
    .read = ide_control_read, .write = ide_control_write, .max_size = 1};

/* ---- channels ---- */

void ide_channel_init(struct ide_channel *channel, struct device *owner, const char *bus_name, unsigned irq,
                      const struct ide_bus_master *master, void *master_opaque)
{
    channel->machine = owner->machine;
    channel->master = master;
    channel->master_opaque = master_opaque;
    channel->command_ports =
        (struct region){.name = "ide-command", .size = 8, .ops = &command_ops, .opaque = channel};
    channel->control_port =
        (struct region){.name = "ide-control", .size = 1, .ops = &control_ops, .opaque = channel};
    machine_irq(owner->machine, &channel->irq, irq);
    channel->node = (struct bus_node){.name = bus_name, .ops = &ide_bus_ops, .owner = owner, .bus = channel};
    bus_node_add(owner->machine, &channel->node);
}

void ide_channel_destroy(struct ide_channel *channel)
{
    struct bus *bus = &channel->machine->bus;

    bus_node_remove(channel->machine, &channel->node);
    bus_unmap(bus, &channel->command_ports);
    bus_unmap(bus, &channel->control_port);
}

void ide_channel_reset(struct ide_channel *channel)
{
    channel->select = channel->control = 0;
    ide_update_irq(channel);
}

void ide_channel_decode(struct ide_channel *channel, bool on, uint16_t command, uint16_t control)
{
    struct bus *bus = &channel->machine->bus;

    bus_begin(bus);
    if (on) {
        bus_map(bus, SPACE_PORT, &channel->command_ports, command);
        bus_map(bus, SPACE_PORT, &channel->control_port, control);
    } else {
        bus_unmap(bus, &channel->command_ports);
        bus_unmap(bus, &channel->control_port);
    }
    bus_commit(bus);
}

/* ---- drives ---- */

static bool choose_unit(struct ide_drive *drive, struct error *err)
{
    const char *name = drive->dev.cls->name, *bus = drive->dev.bus->name;
    struct ide_channel *channel = drive->channel;

    if (drive->unit == 255)
        drive->unit = channel->drives[0] ? 1 : 0;
    if (drive->unit > 1)
        return error_set(err, "device %s: unit=%u: an IDE bus has units 0 and 1", name, drive->unit);
    if (channel->drives[drive->unit])
        return error_set(err, "device %s: unit %u of bus %s is taken by another drive", name, drive->unit,
                         bus);
    return true;
}

static bool ide_bus_full(const struct bus_node *node)
{
    const struct ide_channel *channel = node->bus;

    return channel->drives[0] && channel->drives[1];
}

static bool ide_bus_plug(struct bus_node *node, struct device *dev, struct error *err)
{
    struct ide_drive *drive = (struct ide_drive *)dev;

    drive->channel = node->bus;
    if (!choose_unit(drive, err))
        return false;
    drive->channel->drives[drive->unit] = drive;
    return true;
}

static void ide_bus_unplug(struct bus_node *node, struct device *dev)
{
    struct ide_drive *drive = (struct ide_drive *)dev;
    struct ide_channel *channel = node->bus;

    if (channel->drives[drive->unit] != drive)
        return;
    channel->drives[drive->unit] = NULL;
    ide_update_irq(channel);
}

static void ide_bus_address(const struct device *dev, char *text, size_t size)
{
    snprintf(text, size, "%u", ((const struct ide_drive *)dev)->unit);
}

/* Below the controller's: by channel and unit. */
static void ide_firmware_path(const struct device *dev, char *text, size_t size)
{
    const struct ide_drive *drive = (const struct ide_drive *)dev;
    const struct device *controller = dev->bus->owner;
    unsigned channel = !strcmp(dev->bus->name, "ide.1");
    size_t used;

    controller->bus->ops->firmware_path(controller, text, size);
    used = strlen(text);
    snprintf(text + used, size - used, "/drive@%x/disk@%x", channel, drive->unit);
}

const struct bus_ops ide_bus_ops = {
    .name = "IDE",
    .title = "Drives",
    .type = "ide-device",
    .full = ide_bus_full,
    .plug = ide_bus_plug,
    .unplug = ide_bus_unplug,
    .address = ide_bus_address,
    .firmware_path = ide_firmware_path,
};

bool ide_drive_attach(struct ide_drive *drive, const struct ide_drive_ops *ops,
                      const struct block_events *events, struct error *err)
{
    const char *name = drive->dev.cls->name;

    drive->ops = ops;
    if (!drive->block)
        return error_set(err, "device %s needs drive=, the id of a -drive", name);
    if (!block_attach(drive->block, drive->dev.id ? drive->dev.id : name, events, drive))
        return error_set(err, "device %s: drive '%s' is in use by %s", name, block_id(drive->block),
                         block_owner(drive->block));
    return true;
}

void ide_drive_unrealize(struct device *dev)
{
    struct ide_drive *drive = (struct ide_drive *)dev;

    ide_cancel(drive);
    if (drive->block)
        block_detach(drive->block);
    drive->block = NULL;
}

void ide_drive_unplug(struct ide_drive *drive)
{
    struct block *block = drive->block;

    ide_bus_unplug(drive->dev.bus, &drive->dev);
    ide_drive_unrealize(&drive->dev);
    if (block)
        block_release(block);
}

/* A loaded DMA transfer lies within what it moves: the buffer, or the medium. */
static bool dma_range_valid(const struct ide_drive *drive)
{
    uint64_t limit = drive->dma_kind >= IDE_DMA_BUFFER_IN ? IDE_BUFFER : UINT64_MAX / 2;

    return drive->dma_kind == IDE_DMA_NONE ||
           (drive->dma_offset <= limit && drive->dma_left <= limit - drive->dma_offset);
}

bool ide_drive_check(const struct ide_drive *drive, struct error *err)
{
    if (drive->position > drive->end)
        return error_set(err, "the data block ends before its position");
    return dma_range_valid(drive) || error_set(err, "the DMA transfer is out of range");
}

/* The bus master knows of an interrupt that is not new. */
void ide_drive_loaded(struct ide_drive *drive)
{
    irq_set(&drive->channel->irq, ide_irq_level(drive->channel));
}

/* ---- IDENTIFY, shared ---- */

void ide_identify_text(uint8_t *words, unsigned bytes, const char *text)
{
    size_t length = strlen(text);

    for (unsigned i = 0; i < bytes; i++)
        words[i ^ 1] = i < length ? text[i] : ' ';
}

void ide_identify_checksum(uint8_t *words)
{
    uint8_t sum = 0;

    words[510] = 0xA5;
    for (unsigned i = 0; i < 511; i++)
        sum += words[i];
    words[511] = -sum;
}

/* Transfer modes as SET FEATURES 03h names them. */
#define MODE_PIO   0x08 /* with flow control: PIO 0..4 */
#define MODE_MWDMA 0x20
#define MODE_UDMA  0x40

bool ide_transfer_mode_known(uint8_t mode)
{
    unsigned number = mode & 7;

    switch (mode & 0xF8) {
    case 0x00:
        return number <= 1; /* PIO default mode, with IORDY or not */
    case MODE_PIO:
        return number <= 4;
    case MODE_MWDMA:
        return number <= 2;
    case MODE_UDMA:
        return number <= 5;
    default:
        return false;
    }
}

void ide_identify_modes(const struct ide_drive *drive, uint8_t *words, uint8_t transfer_mode)
{
    uint16_t chosen = 0x100u << (transfer_mode & 7);

    ide_identify_word(words, 63, 0x0007 | ((transfer_mode & 0xF8) == MODE_MWDMA ? chosen : 0));
    ide_identify_word(words, 88, 0x003F | ((transfer_mode & 0xF8) == MODE_UDMA ? chosen : 0));
    /* An 80-conductor cable; the drive's number was set by jumper, diagnostics passed. */
    ide_identify_word(words, 93, drive->unit ? 0x6B00 : 0x600B);
}

const char *ide_serial(const struct ide_drive *drive, char text[21])
{
    const char *given = drive->serial ? drive->serial : drive->block ? block_serial(drive->block) : NULL;
    unsigned channel = drive->dev.bus->name[strlen(drive->dev.bus->name) - 1] - '0';

    if (given)
        snprintf(text, 21, "%s", given);
    else
        snprintf(text, 21, "HD%05u", 2 * channel + drive->unit + 1);
    return text;
}
