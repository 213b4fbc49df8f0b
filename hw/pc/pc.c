/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/pc/pc.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "hw/floppy/fdc.h"
#include "hw/ide/ide.h"
#include "hw/pc/acpi.h"
#include "hw/pc/fw_cfg.h"
#include "hw/pc/i440fx.h"
#include "hw/pc/kernel.h"
#include "hw/pc/mc146818.h"
#include "hw/pc/piix4_pm.h"
#include "machine/firmware.h"

#define BIOS_FILE "bios-256k.bin"
#define BIOS_MAX  (16u << 20)

/* CMOS bytes that a PC BIOS reads beside the clock's (SeaBIOS src/hw/rtc.h). */
enum {
    CMOS_SHUTDOWN = 0x0F, /* why the processor starts: 0xFE is the wake-up from S3 */
    CMOS_FLOPPIES = 0x10, /* bits 7:4 the type of the first drive, 3:0 of the second */
    CMOS_DISKS = 0x12,    /* the same for disks; 15: see the next two */
    CMOS_EQUIPMENT = 0x14,
    CMOS_BASE_MEMORY = 0x15,      /* KiB, 16 bits */
    CMOS_EXTENDED_MEMORY = 0x17,  /* KiB above 1 MiB, 16 bits */
    CMOS_DISK_TYPES = 0x19,       /* a byte for each of the first two disks */
    CMOS_DISK_GEOMETRY = 0x1B,    /* 9 bytes for each of them */
    CMOS_EXTENDED_MEMORY2 = 0x30, /* the same again */
    CMOS_MEMORY_ABOVE_16M = 0x34, /* 64 KiB units, 16 bits */
    CMOS_BOOT_FLAGS = 0x38,       /* bits 7:4: third boot device */
    CMOS_DISK_TRANSLATION = 0x39, /* two bits for each of four disks */
    CMOS_BOOT_DEVICES = 0x3D,     /* bits 3:0 first, 7:4 second */
    CMOS_MEMORY_ABOVE_4G = 0x5B,  /* 64 KiB units, 24 bits */
    CMOS_MORE_CPUS = 0x5F,        /* processors beyond the first */
};

#define SHUTDOWN_S3 0xFE

#define PM_BASE_UNKNOWN 0xFFFF /* no place for 64 ports */

#define DISK_TYPE_EXTENDED 0xF  /* of CMOS_DISKS */
#define DISK_TYPE_USER     47   /* of CMOS_DISK_TYPES: the geometry follows */
#define EQUIPMENT_FLOPPY   0x01 /* bits 7:6: how many more */
#define EQUIPMENT_FPU      0x02
#define EQUIPMENT_MOUSE    0x04

/* The board itself: the flash with the BIOS, and what is written into the CMOS RAM at each reset. */
#define PC_BOARD_STATE(S) S(BOOL, started) /* after the first reset `-boot once=` no longer counts */

struct pc_board {
    struct device dev;
    uint8_t *bios;
    /* At the top of 4 GiB; the host bridge shows its end at the top of the first MiB too. */
    struct region bios_region;
    struct device *rtc, *fdc, *fw_cfg;
    struct kernel *kernel; /* NULL: it boots from a device */
    struct pci_device *pm; /* NULL: there is no ACPI */
    uint16_t pm_base;      /* as the ACPI tables tell it */
    struct machine_listener listener;
    STATE_MEMBERS(PC_BOARD_STATE);
};
STATE_TABLE(pc_board_state, struct pc_board, PC_BOARD_STATE);

static struct device *create_at(struct machine *m, const char *name, const char *addr, struct error *err)
{
    struct device *dev = device_new(m, name, err);

    if (!dev || !device_set(dev, "addr", addr, err))
        return NULL;
    return device_realize(dev, NULL, err) ? dev : NULL;
}

/* Clients of the test port mean the low bits of the configuration address; hardware drops them. */
static bool create_host_bridge(struct machine *m, struct error *err)
{
    struct device *dev = device_new(m, "i440fx", err);

    return dev && device_set(dev, "addr", "0.0", err) &&
           (!m->accel->config_low_bits || device_set(dev, "config-low-bits", "on", err)) &&
           device_realize(dev, NULL, err);
}

static bool load_bios(struct pc_board *board, struct error *err)
{
    struct machine *m = board->dev.machine;
    char *path = firmware_find(m, m->config.bios ? m->config.bios : BIOS_FILE, err);
    size_t size;

    board->bios = path ? firmware_load(path, BIOS_MAX, &size, err) : NULL;
    free(path);
    if (!board->bios)
        return error_prefix(err, "BIOS");
    if (size % 0x1000) {
        free(board->bios);
        return error_set(err, "BIOS: %zu bytes, not a multiple of 4096", size);
    }
    board->bios_region = (struct region){.name = "bios",
                                         .size = size,
                                         .host = board->bios,
                                         .flags = REGION_READONLY,
                                         .priority = PRIORITY_ROM};
    bus_map(&m->bus, SPACE_MEM, &board->bios_region, 0x100000000ull - size);
    i440fx_set_bios(m->pci.host_bridge, board->bios, size);
    return true;
}

/* ---- CMOS RAM ---- */

static void set_cmos(struct pc_board *board, uint8_t index, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        mc146818_set(board->rtc, index + i, value >> 8 * i);
}

static void write_memory_sizes(struct pc_board *board)
{
    const struct ram *ram = &board->dev.machine->ram;
    uint64_t above_1m = ram->low_size > 1 << 20 ? ram->low_size - (1 << 20) : 0;
    uint64_t above_16m = ram->low_size > 16 << 20 ? ram->low_size - (16 << 20) : 0;

    set_cmos(board, CMOS_BASE_MEMORY, min_u64(ram->low_size >> 10, 640), 2);
    set_cmos(board, CMOS_EXTENDED_MEMORY, min_u64(above_1m >> 10, 0xFFFF), 2);
    set_cmos(board, CMOS_EXTENDED_MEMORY2, min_u64(above_1m >> 10, 0xFFFF), 2);
    set_cmos(board, CMOS_MEMORY_ABOVE_16M, min_u64(above_16m >> 16, 0xFFFF), 2);
    set_cmos(board, CMOS_MEMORY_ABOVE_4G, ram->high_size >> 16, 3);
}

/* The BIOS's number of a boot device letter; 0: none. */
static unsigned boot_device(char letter)
{
    static const char letters[] = "acdn";
    const char *at = letter ? strchr(letters, letter) : NULL;

    return at ? at - letters + 1 : 0;
}

static void write_boot_order(struct pc_board *board)
{
    const struct machine_config *config = &board->dev.machine->config;
    const char *order = !board->started && config->boot_once[0] ? config->boot_once
                        : config->boot_order[0]                 ? config->boot_order
                                                                : "cad";
    unsigned device[3] = {0};

    for (unsigned i = 0; i < 3 && order[i]; i++)
        device[i] = boot_device(order[i]);
    set_cmos(board, CMOS_BOOT_DEVICES, device[0] | device[1] << 4, 1);
    set_cmos(board, CMOS_BOOT_FLAGS, device[2] << 4, 1);
}

/* The order by bootindex, which goes before the letters. */
static void publish_boot_order(struct pc_board *board)
{
    const struct machine *m = board->dev.machine;
    struct error err;
    size_t size;
    char *text = boot_order_text(&m->boot_order, m->config.boot_strict ? "HALT" : NULL, &size);

    if (board->fw_cfg && text && !fw_cfg_set_file(board->fw_cfg, "bootorder", text, size, &err))
        log_limited("%s", err.text);
    free(text);
}

static void write_floppies(struct pc_board *board)
{
    uint8_t first = fdc_drive_type(board->fdc, 0), second = fdc_drive_type(board->fdc, 1);
    uint8_t equipment = EQUIPMENT_FPU | EQUIPMENT_MOUSE;

    if (first || second)
        equipment |= EQUIPMENT_FLOPPY | (first && second ? 0x40 : 0);
    set_cmos(board, CMOS_FLOPPIES, first << 4 | second, 1);
    set_cmos(board, CMOS_EQUIPMENT, equipment, 1);
}

static void write_geometry(struct pc_board *board, unsigned disk, const struct ide_geometry *g)
{
    unsigned at = CMOS_DISK_GEOMETRY + 9 * disk;

    set_cmos(board, CMOS_DISK_TYPES + disk, DISK_TYPE_USER, 1);
    set_cmos(board, at, g->cylinders, 2);
    set_cmos(board, at + 2, g->heads, 1);
    set_cmos(board, at + 3, 0xFFFF, 2); /* no write precompensation */
    set_cmos(board, at + 5, 0xC0 | (g->heads > 8 ? 8 : 0),
             1);                              /* control byte: no retries, more than 8 heads */
    set_cmos(board, at + 6, g->cylinders, 2); /* landing zone */
    set_cmos(board, at + 8, g->sectors, 1);
}

static void write_disks(struct pc_board *board)
{
    uint8_t types = 0, translations = 0;

    for (unsigned disk = 0; disk < 4; disk++) {
        struct ide_geometry g;

        if (!ide_disk_geometry(board->dev.machine, disk / 2, disk % 2, &g))
            continue;
        translations |= g.translation << 2 * disk;
        if (disk >= 2)
            continue;
        types |= DISK_TYPE_EXTENDED << (disk == 0 ? 4 : 0);
        write_geometry(board, disk, &g);
    }
    set_cmos(board, CMOS_DISKS, types, 1);
    set_cmos(board, CMOS_DISK_TRANSLATION, translations, 1);
}

static void pc_board_reset(struct device *dev)
{
    struct pc_board *board = (struct pc_board *)dev;

    write_memory_sizes(board);
    write_boot_order(board);
    publish_boot_order(board);
    write_floppies(board);
    write_disks(board);
    board->pm_base = PM_BASE_UNKNOWN;
    set_cmos(board, CMOS_MORE_CPUS, dev->machine->config.cpus - 1, 1);
    board->started = true;
}

/* It goes to sleep. */
static void pc_machine_event(void *opaque, enum machine_event event, bool by_guest)
{
    set_cmos(opaque, CMOS_SHUTDOWN, SHUTDOWN_S3, 1);
}

/* Firmware asks after it has placed the power management ports, and the tables tell where. */
static void publish_acpi(void *opaque)
{
    struct pc_board *board = opaque;
    uint16_t base = piix4_pm_base(board->pm);
    struct error err;

    if (base == board->pm_base)
        return;
    if (acpi_publish(board->dev.machine, board->fw_cfg, base, piix4_pm_offers_s3(board->pm), &err))
        board->pm_base = base;
    else
        log_limited("%s", err.text);
}

/* ---- life ---- */

/* The clock; where the hypervisor has one, only the RAM behind it is ours. */
static struct device *create_rtc(struct machine *m, struct error *err)
{
    struct device *dev = device_new(m, "mc146818rtc", err);

    if (!dev || (m->accel->own_platform && !device_set(dev, "cmos-only", "on", err)))
        return NULL;
    return device_realize(dev, NULL, err) ? dev : NULL;
}

/* What fw_cfg says with -kernel: under Xen, whose firmware comes with the hypervisor, there is nothing else
 * in it. */
static bool create_kernel(struct pc_board *board, struct error *err)
{
    struct machine *m = board->dev.machine;

    if (!board->fw_cfg)
        board->fw_cfg = device_create(m, "fw_cfg", err);
    board->kernel = board->fw_cfg ? kernel_load(m, board->fw_cfg, err) : NULL;
    return board->kernel != NULL;
}

/* The BIOS, what it asks about the machine, and where it writes its log. */
static bool create_firmware(struct pc_board *board, struct error *err)
{
    struct machine *m = board->dev.machine;

    board->fw_cfg = device_create(m, "fw_cfg", err);
    if (!board->fw_cfg ||
        (board->pm && !acpi_publish(m, board->fw_cfg, 0, piix4_pm_offers_s3(board->pm), err)))
        return false;
    if (board->pm)
        fw_cfg_set_refresh(board->fw_cfg, publish_acpi, board);
    return fw_cfg_set_standard(board->fw_cfg, !board->pm || piix4_pm_offers_s3(board->pm), err) &&
           device_create(m, "isa-debugcon", err) && load_bios(board, err);
}

static bool pc_board_realize(struct device *dev, struct error *err)
{
    static const char *const small_chips[] = {"i8042", "i8237", "port92"};
    struct pc_board *board = (struct pc_board *)dev;
    struct machine *m = dev->machine;

    if (!create_host_bridge(m, err) || !create_at(m, "piix3", "1.0", err) ||
        !create_at(m, "piix3-ide", "1.1", err) ||
        (m->config.usb && !create_at(m, "piix3-usb-uhci", "1.2", err)) ||
        (m->config.acpi && !(board->pm = (struct pci_device *)create_at(m, "piix4-pm", "1.3", err))))
        return false;
    for (size_t i = 0; i < COUNT(small_chips); i++)
        if (!device_create(m, small_chips[i], err))
            return false;
    if (m->config.vmport && !device_create(m, "vmmouse", err))
        return error_prefix(err, "vmport=on");
    board->fdc = device_create(m, "isa-fdc", err);
    if (!board->fdc)
        return false;
    board->rtc = create_rtc(m, err);
    if (!board->rtc || (m->config.xen_platform && !create_at(m, "xen-platform", "2.0", err)))
        return false;
    if (!m->accel->own_platform && !create_firmware(board, err))
        return false;
    if (m->config.kernel && !create_kernel(board, err))
        return false;
    board->listener = (struct machine_listener){
        .events = EVENT_BIT(EVENT_SUSPEND), .event = pc_machine_event, .opaque = board};
    machine_listen(m, &board->listener);
    return true;
}

/* What the guest may be about to read. */
static void pc_board_loaded(struct device *dev)
{
    struct pc_board *board = (struct pc_board *)dev;

    board->pm_base = PM_BASE_UNKNOWN;
    if (board->pm && board->fw_cfg)
        publish_acpi(board);
}

static void pc_board_unrealize(struct device *dev)
{
    struct pc_board *board = (struct pc_board *)dev;

    machine_unlisten(dev->machine, &board->listener);
    bus_unmap(&dev->machine->bus, &board->bios_region);
    free(board->bios);
    kernel_free(board->kernel);
}

static const struct device_class board_class = {
    .name = "pc-board",
    .description = "PC board: chipset, small chips, BIOS",
    .bus = &isa_bus_ops,
    .internal = true,
    .size = sizeof(struct pc_board),
    .state = &pc_board_state,
    .realize = pc_board_realize,
    .unrealize = pc_board_unrealize,
    .reset = pc_board_reset,
    .loaded = pc_board_loaded,
};
DEVICE_CLASS(board_class);

bool pc_board_create(struct machine *m, struct error *err)
{
    pci_bus_init(&m->pci, m);
    m->pci.first_slot = 2;
    return device_create(m, "pc-board", err) != NULL;
}
