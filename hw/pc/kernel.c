/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/pc/kernel.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "hw/pc/bootrom.hex" /* bootrom_code, made of bootrom.S */
#include "hw/pc/fw_cfg.h"
#include "machine/firmware.h"
#include "machine/machine.h"

/* Linux Documentation/x86/boot.rst: offsets in the first sectors of a bzImage */
enum {
    LINUX_SETUP_SECTS = 0x1F1,
    LINUX_BOOT_FLAG = 0x1FE,
    LINUX_HEADER = 0x202,
    LINUX_VERSION = 0x206,
    LINUX_TYPE_OF_LOADER = 0x210,
    LINUX_LOADFLAGS = 0x211,
    LINUX_RAMDISK_IMAGE = 0x218,
    LINUX_RAMDISK_SIZE = 0x21C,
    LINUX_HEAP_END = 0x224,
    LINUX_CMD_LINE = 0x228,
    LINUX_INITRD_MAX = 0x22C,   /* from 2.03 */
    LINUX_CMDLINE_SIZE = 0x238, /* from 2.06 */
    LINUX_INIT_SIZE = 0x260,    /* from 2.10 */
    LINUX_HEADER_END = 0x268,
};
#define LINUX_LOADED_HIGH  0x01
#define LINUX_CAN_USE_HEAP 0x80
#define LINUX_LOADER       0xFF /* one without a number */

/* Where things go in the guest. The heap of Linux' setup code ends where bootrom.S puts its stack. */
#define SETUP_AT    0x10000u
#define HEAP_END    0xE000u
#define CMDLINE_AT  0x20000u
#define CMDLINE_MAX 0x10000u
#define KERNEL_AT   0x100000u
/* SeaBIOS keeps its tables at the end of the low RAM. */
#define FIRMWARE_TOP 0x100000u
#define FILE_MAX     0x7FFFFFFFu

/* Multiboot Specification 0.6.96, 3.1 and 3.3 */
#define MULTIBOOT_MAGIC     0x1BADB002u
#define MULTIBOOT_SEARCH    8192u
#define MULTIBOOT_ADDRESSES (1u << 16) /* the header has load addresses */
#define MULTIBOOT_KNOWN     0x00010003u /* page alignment and the memory map; of the others below bit 16 none */
enum {
    INFO_MEMORY = 1 << 0,
    INFO_CMDLINE = 1 << 2,
    INFO_MODULES = 1 << 3,
    INFO_MMAP = 1 << 6,
    INFO_LOADER_NAME = 1 << 9,
    INFO_SIZE = 88,
    MODULE_SIZE = 16,
    MAX_MODULES = 64,
    PAGE = 4096,
};

struct kernel {
    uint8_t *file, *initrd; /* as read */
    size_t file_size, initrd_size;
    uint8_t *setup; /* Linux: the first sectors, with what the loader says */
    uint8_t *image; /* multiboot: the segments in one piece */
    uint8_t *info;  /* and the information */
    uint8_t rom[COUNT(bootrom_code) + 511];
};

static const char rom_name[] = "genroms/hvm-dm-kernel.bin";

void kernel_free(struct kernel *k)
{
    if (!k)
        return;
    free(k->file);
    free(k->initrd);
    free(k->setup);
    free(k->image);
    free(k->info);
    free(k);
}

static uint8_t *kernel_read(struct machine *m, const char *option, const char *name, size_t *size,
                            struct error *err)
{
    uint8_t *data = firmware_load(name, FILE_MAX, size, err);

    if (!data)
        error_prefix(err, "%s", option);
    return data;
}

/* The first address that is no RAM for a kernel: below it all is, down to 1 MiB. */
static uint64_t kernel_top(struct machine *m)
{
    return m->ram.low_size > KERNEL_AT + FIRMWARE_TOP ? m->ram.low_size - FIRMWARE_TOP : 0;
}

static void kernel_set(struct device *fw_cfg, uint16_t addr_key, uint32_t addr, uint16_t size_key,
                       uint16_t data_key, const void *data, uint32_t size)
{
    fw_cfg_set_u32(fw_cfg, addr_key, addr);
    fw_cfg_set_u32(fw_cfg, size_key, size);
    fw_cfg_lend_bytes(fw_cfg, data_key, data, size);
}

static void kernel_set_cmdline(struct device *fw_cfg, const char *text)
{
    fw_cfg_set_u32(fw_cfg, FW_CFG_CMDLINE_ADDR, CMDLINE_AT);
    fw_cfg_set_u32(fw_cfg, FW_CFG_CMDLINE_SIZE, strlen(text) + 1);
    fw_cfg_set_bytes(fw_cfg, FW_CFG_CMDLINE_DATA, text, strlen(text) + 1);
}

/* ---- Linux ---- */

static bool linux_is(const struct kernel *k)
{
    return k->file_size > 2 * 512 && get_le16(k->file + LINUX_BOOT_FLAG) == 0xAA55 &&
           !memcmp(k->file + LINUX_HEADER, "HdrS", 4);
}

/* Where the initrd goes: as high as the kernel takes it, and above what the kernel unpacks itself into. */
static bool linux_place_initrd(struct machine *m, const struct kernel *k, uint32_t image_size, uint32_t *at,
                               struct error *err)
{
    uint16_t version = get_le16(k->file + LINUX_VERSION);
    uint64_t highest = version >= 0x203 ? get_le32(k->file + LINUX_INITRD_MAX) : 0x37FFFFFF,
             top = kernel_top(m);
    uint64_t needed = version >= 0x20A ? get_le32(k->file + LINUX_INIT_SIZE) : 0, place;

    top = min_u64(top, highest + 1);
    needed = KERNEL_AT + max_u64(needed, image_size);
    place = k->initrd_size <= top ? (top - k->initrd_size) & ~(uint64_t)(PAGE - 1) : 0;
    if (place < needed)
        return error_set(err, "-m: %llu MiB are too few for this kernel and an initrd of %zu bytes",
                         (unsigned long long)(m->config.ram_size >> 20), k->initrd_size);
    *at = place;
    return true;
}

static bool linux_load(struct machine *m, struct kernel *k, struct device *fw_cfg, const char *append,
                       struct error *err)
{
    const char *path = m->config.kernel;
    uint16_t version = get_le16(k->file + LINUX_VERSION);
    size_t sectors = k->file[LINUX_SETUP_SECTS] ? k->file[LINUX_SETUP_SECTS] : 4,
           setup_size = (sectors + 1) * 512;
    uint32_t cmdline_max = version >= 0x206 ? get_le32(k->file + LINUX_CMDLINE_SIZE) : 255, initrd_at = 0;

    if (version < 0x202)
        return error_set(err, "-kernel %s: boot protocol %u.%02u; from 2.02 on it can be started", path,
                         version >> 8, version & 0xFF);
    if (!(k->file[LINUX_LOADFLAGS] & LINUX_LOADED_HIGH))
        return error_set(err, "-kernel %s: a zImage; only a bzImage can be started", path);
    if (setup_size >= k->file_size || setup_size > HEAP_END - 0x1000 || setup_size < LINUX_HEADER_END)
        return error_set(err, "-kernel %s: cut short: %zu bytes, of which setup is %zu", path, k->file_size,
                         setup_size);
    if (strlen(append) > min_u64(cmdline_max, CMDLINE_MAX - 1))
        return error_set(err, "-append: %zu characters, and this kernel takes %u", strlen(append),
                         cmdline_max);
    if (!linux_place_initrd(m, k, k->file_size - setup_size, &initrd_at, err))
        return false;
    k->setup = malloc(setup_size);
    if (!k->setup)
        return error_set(err, "-kernel %s: no memory", path);
    memcpy(k->setup, k->file, setup_size);
    k->setup[LINUX_TYPE_OF_LOADER] = LINUX_LOADER;
    k->setup[LINUX_LOADFLAGS] |= LINUX_CAN_USE_HEAP;
    put_le16(k->setup + LINUX_HEAP_END, HEAP_END - 0x200);
    put_le32(k->setup + LINUX_CMD_LINE, CMDLINE_AT);
    put_le32(k->setup + LINUX_RAMDISK_IMAGE, k->initrd_size ? initrd_at : 0);
    put_le32(k->setup + LINUX_RAMDISK_SIZE, k->initrd_size);
    kernel_set_cmdline(fw_cfg, append);
    kernel_set(fw_cfg, FW_CFG_SETUP_ADDR, SETUP_AT, FW_CFG_SETUP_SIZE, FW_CFG_SETUP_DATA, k->setup,
               setup_size);
    kernel_set(fw_cfg, FW_CFG_KERNEL_ADDR, KERNEL_AT, FW_CFG_KERNEL_SIZE, FW_CFG_KERNEL_DATA,
               k->file + setup_size, k->file_size - setup_size);
    kernel_set(fw_cfg, FW_CFG_INITRD_ADDR, initrd_at, FW_CFG_INITRD_SIZE, FW_CFG_INITRD_DATA, k->initrd,
               k->initrd_size);
    return true;
}

/* ---- multiboot ---- */

/* The header's offset in the file, 0: none (it cannot be there: an ELF header is). */
static size_t multiboot_find(const struct kernel *k)
{
    for (size_t i = 0; i + 12 <= min_u64(k->file_size, MULTIBOOT_SEARCH); i += 4)
        if (get_le32(k->file + i) == MULTIBOOT_MAGIC &&
            get_le32(k->file + i) + get_le32(k->file + i + 4) + get_le32(k->file + i + 8) == 0)
            return i;
    return SIZE_MAX;
}

/* A part of the kernel: bytes of the file at an address, zeros behind them. */
struct multiboot_part {
    uint64_t offset, file_size, at, size;
};

/* Parts of one image between its lowest and its highest address. */
struct multiboot_image {
    struct multiboot_part parts[32];
    unsigned count;
    uint64_t low, high, entry;
};

static bool multiboot_add(const struct kernel *k, struct multiboot_image *image, struct multiboot_part part)
{
    if (!part.size)
        return true;
    if (image->count == COUNT(image->parts) || part.file_size > part.size || part.offset > k->file_size ||
        part.file_size > k->file_size - part.offset || part.at < KERNEL_AT || part.at > UINT32_MAX ||
        part.size > UINT32_MAX)
        return false;
    image->parts[image->count++] = part;
    image->low = min_u64(image->low, part.at);
    image->high = max_u64(image->high, part.at + part.size);
    return true;
}

/* The header's own addresses (3.1.3). */
static bool multiboot_by_header(const struct kernel *k, size_t at, struct multiboot_image *image)
{
    uint64_t header, load, load_end, bss_end;

    if (at + 32 > k->file_size)
        return false;
    header = get_le32(k->file + at + 12);
    load = get_le32(k->file + at + 16);
    load_end = get_le32(k->file + at + 20);
    bss_end = get_le32(k->file + at + 24);
    image->entry = get_le32(k->file + at + 28);
    if (load > header || header - load > at)
        return false;
    if (!load_end)
        load_end = load + k->file_size - (at - (header - load));
    if (load_end < load)
        return false;
    return multiboot_add(k, image,
                         (struct multiboot_part){.offset = at - (header - load),
                                                 .file_size = load_end - load,
                                                 .at = load,
                                                 .size = max_u64(load_end, bss_end) - load});
}

static bool multiboot_by_elf(const struct kernel *k, struct multiboot_image *image)
{
    Elf32_Ehdr elf;
    Elf32_Phdr segment;

    if (k->file_size < sizeof(elf))
        return false;
    memcpy(&elf, k->file, sizeof(elf));
    if (memcmp(elf.e_ident, ELFMAG, SELFMAG) || elf.e_ident[EI_CLASS] != ELFCLASS32 ||
        elf.e_phentsize != sizeof(segment))
        return false;
    image->entry = elf.e_entry;
    for (unsigned i = 0; i < elf.e_phnum; i++) {
        uint64_t at = elf.e_phoff + (uint64_t)i * sizeof(segment);

        if (at + sizeof(segment) > k->file_size)
            return false;
        memcpy(&segment, k->file + at, sizeof(segment));
        if (segment.p_type == PT_LOAD && !multiboot_add(k, image,
                                                        (struct multiboot_part){.offset = segment.p_offset,
                                                                                .file_size = segment.p_filesz,
                                                                                .at = segment.p_paddr,
                                                                                .size = segment.p_memsz}))
            return false;
    }
    return image->count > 0;
}

/* One module: its file, and the words behind it in -initrd. */
struct multiboot_module {
    uint8_t *data;
    size_t size;
    char *words;
};

struct multiboot_modules {
    struct multiboot_module list[MAX_MODULES];
    unsigned count;
    uint64_t size; /* of all, each from a page on */
};

static void multiboot_free_modules(struct multiboot_modules *modules)
{
    for (unsigned i = 0; i < modules->count; i++) {
        free(modules->list[i].data);
        free(modules->list[i].words);
    }
}

static uint64_t multiboot_pages(uint64_t size)
{
    return (size + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

/* The words up to the next single comma, of two the second is one of theirs; *text goes behind it. */
static char *multiboot_next_words(const char **text)
{
    char *words = malloc(strlen(*text) + 1), *at = words;

    for (; words && **text && (**text != ',' || (*text)[1] == ','); ++*text) {
        *text += **text == ',';
        *at++ = **text;
    }
    if (words)
        *at = 0;
    *text += **text == ',';
    return words;
}

/* -initrd "FILE ARGUMENTS,FILE ARGUMENTS". */
static bool multiboot_read_modules(struct machine *m, struct multiboot_modules *modules, const char *text,
                                   struct error *err)
{
    while (*text) {
        struct multiboot_module *module = &modules->list[modules->count];
        char *path;

        if (modules->count == MAX_MODULES)
            return error_set(err, "-initrd: more than %d modules", MAX_MODULES);
        module->words = multiboot_next_words(&text);
        path = module->words ? strndup(module->words, strcspn(module->words, " ")) : NULL;
        modules->count++;
        module->data = path ? kernel_read(m, "-initrd", path, &module->size, err) : NULL;
        free(path);
        if (!module->data)
            return false;
        modules->size += multiboot_pages(module->size);
    }
    return true;
}

static bool multiboot_copy_image(struct kernel *k, const struct multiboot_image *image)
{
    k->image = calloc(1, image->high - image->low);
    for (unsigned i = 0; k->image && i < image->count; i++)
        memcpy(k->image + (image->parts[i].at - image->low), k->file + image->parts[i].offset,
               image->parts[i].file_size);
    return k->image != NULL;
}

/*
 * The information structure (3.3), behind it the list of modules, the command lines, and from the next page
 * on the modules. Returns its size, 0: out of memory.
 */
static uint64_t multiboot_build_info(struct machine *m, struct kernel *k,
                                     const struct multiboot_modules *modules, uint32_t at,
                                     const char *cmdline)
{
    static const char loader[] = "hvm-dm";
    uint64_t lists = INFO_SIZE + (uint64_t)modules->count * MODULE_SIZE, text = lists, data, size;
    uint8_t *info;

    size = lists + strlen(cmdline) + 1 + sizeof(loader);
    for (unsigned i = 0; i < modules->count; i++)
        size += strlen(modules->list[i].words) + 1;
    data = multiboot_pages(size);
    size = data + modules->size;
    info = k->info = calloc(1, size);
    if (!info)
        return 0;
    put_le32(info, INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MMAP | INFO_LOADER_NAME);
    put_le32(info + 4, 639);
    put_le32(info + 8, (m->ram.low_size - KERNEL_AT) >> 10);
    put_le32(info + 16, at + text);
    text += strlen(strcpy((char *)info + text, cmdline)) + 1;
    put_le32(info + 20, modules->count);
    put_le32(info + 24, at + INFO_SIZE);
    put_le32(info + 64, at + text);
    text += strlen(strcpy((char *)info + text, loader)) + 1;
    for (unsigned i = 0; i < modules->count; i++) {
        const struct multiboot_module *module = &modules->list[i];
        uint8_t *entry = info + INFO_SIZE + i * MODULE_SIZE;

        put_le32(entry, at + data);
        put_le32(entry + 4, at + data + module->size);
        put_le32(entry + 8, at + text);
        text += strlen(strcpy((char *)info + text, module->words)) + 1;
        memcpy(info + data, module->data, module->size);
        data += multiboot_pages(module->size);
    }
    return size;
}

static bool multiboot_load(struct machine *m, struct kernel *k, size_t header, struct device *fw_cfg,
                           const char *append, struct multiboot_modules *modules, struct error *err)
{
    struct multiboot_image image = {.low = UINT64_MAX};
    const char *path = m->config.kernel;
    uint32_t flags = get_le32(k->file + header + 4);
    char cmdline[4096];
    uint64_t info_at, info_size;

    if (flags & 0xFFFF & ~MULTIBOOT_KNOWN)
        return error_set(err, "-kernel %s: this multiboot kernel wants what is not there (flags %#x)", path,
                         flags);
    if (!(flags & MULTIBOOT_ADDRESSES ? multiboot_by_header(k, header, &image) : multiboot_by_elf(k, &image)))
        return error_set(
            err, "-kernel %s: a multiboot kernel whose parts do not fit its file or lie below 1 MiB", path);
    if (snprintf(cmdline, sizeof(cmdline), "%s%s%s", path, *append ? " " : "", append) >=
        (int)sizeof(cmdline))
        return error_set(err, "-append: longer than a multiboot kernel is given here");
    if (!multiboot_read_modules(m, modules, m->config.initrd ? m->config.initrd : "", err))
        return false;
    info_at = multiboot_pages(image.high);
    if (info_at + modules->size + 64 * PAGE > kernel_top(m))
        return error_set(err, "-m: %llu MiB are too few for this kernel and its modules",
                         (unsigned long long)(m->config.ram_size >> 20));
    info_size = multiboot_copy_image(k, &image) ? multiboot_build_info(m, k, modules, info_at, cmdline) : 0;
    if (!info_size)
        return error_set(err, "-kernel %s: no memory", path);
    kernel_set_cmdline(fw_cfg, cmdline);
    fw_cfg_set_u32(fw_cfg, FW_CFG_SETUP_ADDR, SETUP_AT);
    fw_cfg_set_u32(fw_cfg, FW_CFG_SETUP_SIZE, 0);
    kernel_set(fw_cfg, FW_CFG_KERNEL_ADDR, image.low, FW_CFG_KERNEL_SIZE, FW_CFG_KERNEL_DATA, k->image,
               image.high - image.low);
    kernel_set(fw_cfg, FW_CFG_INITRD_ADDR, info_at, FW_CFG_INITRD_SIZE, FW_CFG_INITRD_DATA, k->info,
               info_size);
    fw_cfg_set_u32(fw_cfg, FW_CFG_KERNEL_ENTRY, image.entry);
    return true;
}

/* ---- both ---- */

/* The option ROM: whole units of 512 bytes, the sum of all 0. */
static bool kernel_add_rom(struct kernel *k, struct device *fw_cfg, struct error *err)
{
    size_t size = (sizeof(bootrom_code) + 511) / 512 * 512;
    uint8_t sum = 0;

    memcpy(k->rom, bootrom_code, sizeof(bootrom_code));
    k->rom[2] = size / 512;
    for (size_t i = 0; i < size; i++)
        sum += k->rom[i];
    k->rom[size - 1] -= sum;
    return fw_cfg_set_file(fw_cfg, rom_name, k->rom, size, err);
}

static bool kernel_load_linux(struct machine *m, struct kernel *k, struct device *fw_cfg, const char *append,
                              struct error *err)
{
    const char *initrd = m->config.initrd;

    if (initrd && !(k->initrd = kernel_read(m, "-initrd", initrd, &k->initrd_size, err)))
        return false;
    return linux_load(m, k, fw_cfg, append, err);
}

static bool kernel_load_multiboot(struct machine *m, struct kernel *k, size_t header, struct device *fw_cfg,
                                  const char *append, struct error *err)
{
    struct multiboot_modules modules = {.count = 0};
    bool ok = multiboot_load(m, k, header, fw_cfg, append, &modules, err);

    multiboot_free_modules(&modules);
    return ok;
}

struct kernel *kernel_load(struct machine *m, struct device *fw_cfg, struct error *err)
{
    const char *append = m->config.append ? m->config.append : "";
    struct kernel *k = calloc(1, sizeof(*k));
    size_t header;
    bool ok = false;

    if (!k) {
        error_set(err, "-kernel: no memory");
        return NULL;
    }
    k->file = kernel_read(m, "-kernel", m->config.kernel, &k->file_size, err);
    header = k->file ? multiboot_find(k) : SIZE_MAX;
    if (k->file && linux_is(k))
        ok = kernel_load_linux(m, k, fw_cfg, append, err);
    else if (header != SIZE_MAX)
        ok = kernel_load_multiboot(m, k, header, fw_cfg, append, err);
    else if (k->file)
        error_set(err, "-kernel %s: neither a bzImage nor a multiboot kernel", m->config.kernel);
    if (ok && kernel_add_rom(k, fw_cfg, err))
        return k;
    kernel_free(k);
    return NULL;
}
