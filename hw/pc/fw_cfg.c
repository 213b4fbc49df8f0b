/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Class fw_cfg: ports 0x510 (selector, 16 bits), 0x511 (data), 0x514-0x51B (address of a DMA request,
 * big-endian, the write of its low half starts the request). See fw_cfg.h; the guest's side is SeaBIOS'
 * src/fw/paravirt.c and Linux' drivers/firmware/qemu_fw_cfg.c.
 */
#include "hw/pc/fw_cfg.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "machine/machine.h"

/* Where KVM on Intel processors keeps an identity map and a task state segment for real mode. */
#define KVM_PAGES        0xFEFFC000ull
#define KVM_PAGES_LENGTH 0x4000

enum {
    PORT_SELECTOR = 0x510,
    PORT_DMA = 0x514,

    KEY_ARCH_LOCAL = 0x8000,
    KEY_WRITE_CHANNEL =
        0x4000, /* from the days when the data port could be written; accepted, without meaning */
    KEY_FILE_FIRST = 0x20,

    ID_TRADITIONAL = 1, /* FW_CFG_ID: which interfaces there are */
    ID_DMA = 2,

    DMA_ERROR = 1, /* FWCfgDmaAccess.control */
    DMA_READ = 2,
    DMA_SKIP = 4,
    DMA_SELECT = 8,
    DMA_WRITE = 16,

    ITEMS = KEY_FILE_FIRST + FW_CFG_MAX_FILES,
    LOCAL_ITEMS = 0x20,

    /* Reading beyond an item's end gives zeroes; no client wants more of them than a file's worth. */
    DMA_MAX_PADDING = 1 << 24,
    DMA_STEP = 64 * 1024,
};

static const uint8_t dma_signature[8] = {'Q', 'E', 'M', 'U', ' ', 'C', 'F', 'G'};

struct item {
    uint8_t *data;
    uint32_t size;
    bool lent; /* somebody else's */
};

/* Bytes on their way to guest memory, which was checked to be there. */
struct dma_transfer {
    uint16_t key;
    uint32_t offset;  /* in the item; beyond its end are zeroes */
    uint64_t at, end; /* guest memory still to be written */
    uint64_t control; /* where the request lies */
};

#define FW_CFG_STATE(S)                                                                                      \
    S(UINT, uint16_t, key, ANY)                                                                              \
    S(UINT, uint32_t, offset, ANY) /* of the next byte in the item; saturates */                             \
    S(UINT, uint64_t, dma_address, ANY)

struct fw_cfg {
    struct device dev;
    struct region ports, dma_ports;
    struct item items[ITEMS], local_items[LOCAL_ITEMS];
    char names[FW_CFG_MAX_FILES][FW_CFG_FILE_NAME]; /* sorted; file n is items[KEY_FILE_FIRST + n] */
    uint32_t files;
    void (*refresh)(void *opaque);
    void *refresh_opaque;
    bool dma_active; /* a DMA goes on, piece by piece */
    struct dma_transfer dma;
    STATE_MEMBERS(FW_CFG_STATE);
};
STATE_TABLE(fw_cfg_state, struct fw_cfg, FW_CFG_STATE);

struct dma_access {
    uint32_t control, length;
    uint64_t address;
};

struct directory_entry {
    uint32_t size;
    uint16_t select, reserved;
    char name[FW_CFG_FILE_NAME];
};

struct e820_entry {
    uint64_t base, length;
    uint32_t type;
} __attribute__((packed));

/* ---- the board's side ---- */

/* The item of a key, or NULL: the one place where a key becomes an index (CVE-2016-1714). */
static struct item *find_item(struct fw_cfg *cfg, uint16_t key)
{
    unsigned index = key & ~(KEY_ARCH_LOCAL | KEY_WRITE_CHANNEL);

    if (key & KEY_ARCH_LOCAL)
        return index < LOCAL_ITEMS ? &cfg->local_items[index] : NULL;
    return index < ITEMS ? &cfg->items[index] : NULL;
}

static void item_clear(struct item *item)
{
    if (!item->lent)
        free(item->data);
    *item = (struct item){0};
}

static bool item_set(struct item *item, const void *data, size_t size)
{
    uint8_t *copy = size ? malloc(size) : NULL;

    if (size && (!copy || size > UINT32_MAX)) {
        free(copy);
        return false;
    }
    if (size)
        memcpy(copy, data, size);
    item_clear(item);
    *item = (struct item){copy, size, false};
    return true;
}

void fw_cfg_set_bytes(struct device *dev, uint16_t key, const void *data, size_t size)
{
    struct item *item = find_item((struct fw_cfg *)dev, key);
    bool fixed = key < KEY_FILE_FIRST || key & KEY_ARCH_LOCAL;

    if (item && fixed)
        item_set(item, data, size);
}

void fw_cfg_lend_bytes(struct device *dev, uint16_t key, const void *data, uint32_t size)
{
    struct item *item = find_item((struct fw_cfg *)dev, key);

    if (!item || key >= KEY_FILE_FIRST)
        return;
    item_clear(item);
    *item = (struct item){(uint8_t *)data, size, true};
}

void fw_cfg_set_u16(struct device *dev, uint16_t key, uint16_t value)
{
    value = htole16(value);
    fw_cfg_set_bytes(dev, key, &value, sizeof(value));
}

void fw_cfg_set_u32(struct device *dev, uint16_t key, uint32_t value)
{
    value = htole32(value);
    fw_cfg_set_bytes(dev, key, &value, sizeof(value));
}

void fw_cfg_set_u64(struct device *dev, uint16_t key, uint64_t value)
{
    value = htole64(value);
    fw_cfg_set_bytes(dev, key, &value, sizeof(value));
}

void fw_cfg_set_refresh(struct device *dev, void (*refresh)(void *opaque), void *opaque)
{
    struct fw_cfg *cfg = (struct fw_cfg *)dev;

    cfg->refresh = refresh;
    cfg->refresh_opaque = opaque;
}

static bool write_directory(struct fw_cfg *cfg)
{
    struct {
        uint32_t count;
        struct directory_entry entries[FW_CFG_MAX_FILES];
    } directory = {.count = htobe32(cfg->files)};

    for (uint32_t i = 0; i < cfg->files; i++) {
        directory.entries[i].size = htobe32(cfg->items[KEY_FILE_FIRST + i].size);
        directory.entries[i].select = htobe16(KEY_FILE_FIRST + i);
        memcpy(directory.entries[i].name, cfg->names[i], FW_CFG_FILE_NAME);
    }
    return item_set(&cfg->items[FW_CFG_FILE_DIR], &directory,
                    sizeof(directory.count) + cfg->files * sizeof(directory.entries[0]));
}

/* Makes a place for a file at its place in the order of names. */
static void insert_file(struct fw_cfg *cfg, uint32_t at, const char *name)
{
    struct item *files = cfg->items + KEY_FILE_FIRST;

    memmove(cfg->names[at + 1], cfg->names[at], (cfg->files - at) * sizeof(cfg->names[0]));
    memmove(files + at + 1, files + at, (cfg->files - at) * sizeof(files[0]));
    memset(cfg->names[at], 0, sizeof(cfg->names[at]));
    memcpy(cfg->names[at], name, strlen(name));
    files[at] = (struct item){0};
    cfg->files++;
}

bool fw_cfg_set_file(struct device *dev, const char *name, const void *data, size_t size, struct error *err)
{
    struct fw_cfg *cfg = (struct fw_cfg *)dev;
    uint32_t at = 0;

    if (!*name || strlen(name) >= FW_CFG_FILE_NAME)
        return error_set(err, "fw_cfg: the file name '%s' is not of 1 to %d bytes", name,
                         FW_CFG_FILE_NAME - 1);
    while (at < cfg->files && strcmp(cfg->names[at], name) < 0)
        at++;
    if (at == cfg->files || strcmp(cfg->names[at], name) != 0) {
        if (cfg->files == FW_CFG_MAX_FILES)
            return error_set(err, "fw_cfg: no place for the file '%s': there are %d already", name,
                             FW_CFG_MAX_FILES);
        insert_file(cfg, at, name);
    }
    if (!item_set(&cfg->items[KEY_FILE_FIRST + at], data, size) || !write_directory(cfg))
        return error_set(err, "fw_cfg: no memory for the file '%s'", name);
    return true;
}

bool fw_cfg_add_e820(struct device *dev, uint64_t base, uint64_t length, enum fw_cfg_e820_type type,
                     struct error *err)
{
    static const char name[] = "etc/e820";
    struct fw_cfg *cfg = (struct fw_cfg *)dev;
    struct e820_entry added = {htole64(base), htole64(length), htole32(type)};
    struct item *old = NULL;
    size_t old_size;
    uint8_t *map;
    bool ok;

    for (uint32_t i = 0; i < cfg->files; i++)
        if (strcmp(cfg->names[i], name) == 0)
            old = &cfg->items[KEY_FILE_FIRST + i];
    old_size = old ? old->size : 0;
    map = malloc(old_size + sizeof(added));
    if (!map)
        return error_set(err, "fw_cfg: no memory for the file '%s'", name);
    if (old_size)
        memcpy(map, old->data, old_size);
    memcpy(map + old_size, &added, sizeof(added));
    ok = fw_cfg_set_file(dev, name, map, old_size + sizeof(added), err);
    free(map);
    return ok;
}

bool fw_cfg_set_standard(struct device *dev, bool s3, struct error *err)
{
    /* A byte for S0 to S5: bit 7 says that the state is offered, the rest is its SLP_TYP. No suspend to disk.
     */
    const uint8_t system_states[6] = {0x80, 0, 0, s3 ? 0x81 : 1, 2, 0x80};
    const struct machine_config *config = &dev->machine->config;
    const struct ram *ram = &dev->machine->ram;
    uint32_t retry = htole32(config->boot_retry);
    unsigned cpus = config->max_cpus > config->cpus ? config->max_cpus : config->cpus;

    fw_cfg_set_bytes(dev, FW_CFG_UUID, config->uuid, sizeof(config->uuid));
    fw_cfg_set_u64(dev, FW_CFG_RAM_SIZE, ram->low_size + ram->high_size);
    fw_cfg_set_u16(dev, FW_CFG_NB_CPUS, config->cpus);
    /* firmware takes it for the bound of APIC ids, too */
    fw_cfg_set_u16(dev, FW_CFG_MAX_CPUS, cpu_apic_id(&config->topology, cpus - 1) + 1);
    fw_cfg_set_u16(dev, FW_CFG_NOGRAPHIC, 0);
    fw_cfg_set_u64(dev, FW_CFG_NUMA, 0);
    fw_cfg_set_u16(dev, FW_CFG_BOOT_MENU, config->boot_menu);
    fw_cfg_set_u32(dev, FW_CFG_IRQ0_OVERRIDE, 1);
    if (!fw_cfg_set_file(dev, "etc/system-states", system_states, sizeof(system_states), err))
        return false;
    if (!fw_cfg_set_file(dev, "etc/boot-fail-wait", &retry, sizeof(retry), err))
        return false;
    if (config->boot_menu_timeout) {
        uint16_t wait = htole16(config->boot_menu_timeout > 0xFFFF ? 0xFFFF : config->boot_menu_timeout);

        if (!fw_cfg_set_file(dev, "etc/boot-menu-wait", &wait, sizeof(wait), err))
            return false;
    }
    if (!fw_cfg_add_e820(dev, 0, ram->low_size, E820_RAM, err))
        return false;
    if (ram->high_size && !fw_cfg_add_e820(dev, RAM_HIGH_BASE, ram->high_size, E820_RAM, err))
        return false;
    return fw_cfg_add_e820(dev, KVM_PAGES, KVM_PAGES_LENGTH, E820_RESERVED, err);
}

/* ---- the guest's side ---- */

static void select_item(struct fw_cfg *cfg, uint16_t key)
{
    if (key >= KEY_FILE_FIRST && cfg->refresh)
        cfg->refresh(cfg->refresh_opaque);
    cfg->key = key;
    cfg->offset = 0;
}

static void fw_cfg_advance(struct fw_cfg *cfg, uint32_t length)
{
    cfg->offset = length > UINT32_MAX - cfg->offset ? UINT32_MAX : cfg->offset + length;
}

/* What is left of an item from offset on. */
static const uint8_t *fw_cfg_rest(struct fw_cfg *cfg, uint16_t key, uint32_t offset, uint32_t *left)
{
    const struct item *item = find_item(cfg, key);

    *left = item && offset < item->size ? item->size - offset : 0;
    return *left ? item->data + offset : NULL;
}

static const uint8_t *rest(struct fw_cfg *cfg, uint32_t *left)
{
    return fw_cfg_rest(cfg, cfg->key, cfg->offset, left);
}

static uint64_t fw_cfg_ports_read(void *opaque, uint64_t offset, unsigned size)
{
    struct fw_cfg *cfg = opaque;
    uint32_t left;
    const uint8_t *data;

    if (offset != 1 || size != 1)
        return 0;
    data = rest(cfg, &left);
    if (!data)
        return 0;
    cfg->offset++;
    return *data;
}

static uint32_t fw_cfg_ports_read_block(void *opaque, uint64_t offset, unsigned size, uint8_t *data,
                                        uint32_t count)
{
    struct fw_cfg *cfg = opaque;
    uint32_t left;
    const uint8_t *from = rest(cfg, &left);

    if (offset != 1 || size != 1 || !from)
        return 0;
    if (count > left)
        count = left;
    memcpy(data, from, count);
    cfg->offset += count;
    return count;
}

static void fw_cfg_ports_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    if (offset == 0 && size == 2)
        select_item(opaque, value);
}

static const struct region_ops ports_ops = {
    .read = fw_cfg_ports_read,
    .write = fw_cfg_ports_write,
    .read_block = fw_cfg_ports_read_block,
    .max_size = 2,
};

/* What is to go to guest memory, checked; the bytes follow in pieces. */
static bool fw_cfg_dma_begin(struct fw_cfg *cfg, const struct dma_access *access)
{
    struct ram *ram = &cfg->dev.machine->ram;
    uint64_t end = access->address + access->length;
    uint32_t left;

    rest(cfg, &left);
    if (left > access->length)
        left = access->length;
    if (end < access->address || access->length - left > DMA_MAX_PADDING ||
        (access->length && !ram_contains(ram, access->address, access->length)))
        return false;
    cfg->dma =
        (struct dma_transfer){.key = cfg->key, .offset = cfg->offset, .at = access->address, .end = end};
    fw_cfg_advance(cfg, access->length);
    return true;
}

static bool dma_process(struct fw_cfg *cfg, const struct dma_access *access)
{
    if (access->control & DMA_SELECT)
        select_item(cfg, access->control >> 16);
    if (access->control & DMA_READ)
        return fw_cfg_dma_begin(cfg, access);
    if (access->control & DMA_WRITE)
        return access->length == 0; /* no item can be written */
    if (access->control & DMA_SKIP)
        fw_cfg_advance(cfg, access->length);
    return true;
}

static void fw_cfg_dma_end(struct fw_cfg *cfg, bool good)
{
    uint32_t result = htobe32(good ? 0 : DMA_ERROR);

    cfg->dma_active = false;
    ram_write(&cfg->dev.machine->ram, cfg->dma.control, &result, sizeof(result));
}

/* As many bytes as the piece's work allows, of the item and then zeroes; true: all. */
static bool fw_cfg_dma_move(void *opaque)
{
    static const uint8_t zeroes[DMA_STEP];
    struct fw_cfg *cfg = opaque;
    struct dma_transfer *dma = &cfg->dma;
    struct machine *m = cfg->dev.machine;

    while (cfg->dma_active && dma->at < dma->end) {
        uint64_t n = dma->end - dma->at;
        uint32_t left;
        const uint8_t *data = fw_cfg_rest(cfg, dma->key, dma->offset, &left);

        if (work_spent(&m->loop.work))
            return false;
        n = left && n > left ? left : n;
        n = n < DMA_STEP ? n : DMA_STEP;
        if (!ram_write(&m->ram, dma->at, data ? data : zeroes, n)) {
            fw_cfg_dma_end(cfg, false);
            return true;
        }
        work_add(&m->loop.work, n / 2); /* pages that nobody has touched yet */
        dma->at += n;
        dma->offset += data ? n : 0;
    }
    if (cfg->dma_active)
        fw_cfg_dma_end(cfg, true);
    return true;
}

/* The request is fetched once; only its control word is written back: 0 or the error bit. */
static void dma_start(struct fw_cfg *cfg)
{
    struct ram *ram = &cfg->dev.machine->ram;
    uint64_t at = cfg->dma_address;
    struct dma_access access = {0};
    bool good = ram_read(ram, at, &access, sizeof(access));

    cfg->dma_address = 0;
    if (cfg->dma_active)
        return; /* another processor's, which nobody can have meant */
    cfg->dma = (struct dma_transfer){0};
    if (good) {
        access.control = be32toh(access.control);
        access.length = be32toh(access.length);
        access.address = be64toh(access.address);
        good = dma_process(cfg, &access);
    }
    cfg->dma.control = at;
    cfg->dma_active = true;
    if (!good)
        fw_cfg_dma_end(cfg, false);
    else if (!fw_cfg_dma_move(cfg))
        machine_unfinished(cfg->dev.machine, fw_cfg_dma_move, cfg);
}

static uint64_t fw_cfg_dma_ports_read(void *opaque, uint64_t offset, unsigned size)
{
    uint32_t value = 0;

    memcpy(&value, dma_signature + offset, size);
    return le32toh(value);
}

static void fw_cfg_dma_ports_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct fw_cfg *cfg = opaque;
    uint32_t half = be32toh(htole32(value));

    if (size != 4)
        return;
    if (offset == 0) {
        cfg->dma_address = (uint64_t)half << 32;
    } else if (offset == 4) {
        cfg->dma_address |= half;
        dma_start(cfg);
    }
}

static const struct region_ops dma_ports_ops = {
    .read = fw_cfg_dma_ports_read,
    .write = fw_cfg_dma_ports_write,
    .max_size = 4,
};

static bool fw_cfg_realize(struct device *dev, struct error *err)
{
    struct fw_cfg *cfg = (struct fw_cfg *)dev;

    fw_cfg_set_bytes(dev, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_set_u32(dev, FW_CFG_ID, ID_TRADITIONAL | ID_DMA);
    if (!write_directory(cfg))
        return error_set(err, "fw_cfg: no memory");
    machine_map_ports(dev->machine, &cfg->ports, "fw_cfg", &ports_ops, cfg, PORT_SELECTOR, 2);
    machine_map_ports(dev->machine, &cfg->dma_ports, "fw_cfg-dma", &dma_ports_ops, cfg, PORT_DMA, 8);
    return true;
}

static void fw_cfg_unrealize(struct device *dev)
{
    struct fw_cfg *cfg = (struct fw_cfg *)dev;

    bus_unmap(&dev->machine->bus, &cfg->ports);
    bus_unmap(&dev->machine->bus, &cfg->dma_ports);
    for (unsigned i = 0; i < ITEMS; i++)
        item_clear(&cfg->items[i]);
    for (unsigned i = 0; i < LOCAL_ITEMS; i++)
        item_clear(&cfg->local_items[i]);
}

static void fw_cfg_reset(struct device *dev)
{
    struct fw_cfg *cfg = (struct fw_cfg *)dev;

    select_item(cfg, FW_CFG_SIGNATURE);
    cfg->dma_address = 0;
    cfg->dma_active = false;
}

static void fw_cfg_settle(struct device *dev)
{
    do
        work_begin(&dev->machine->loop.work);
    while (!fw_cfg_dma_move(dev));
}

static const struct device_class fw_cfg_class = {
    .name = "fw_cfg",
    .description = "firmware configuration interface",
    .bus = &isa_bus_ops,
    .internal = true,
    .size = sizeof(struct fw_cfg),
    .state = &fw_cfg_state,
    .realize = fw_cfg_realize,
    .unrealize = fw_cfg_unrealize,
    .reset = fw_cfg_reset,
    .settle = fw_cfg_settle,
};
DEVICE_CLASS(fw_cfg_class);
