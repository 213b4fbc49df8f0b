/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/pc.h"

#include <stdlib.h>
#include <string.h>

#include "hw/i440fx.h"

#define BIOS_FILE "bios-256k.bin"
#define BIOS_MAX  (16u << 20)

/* The flash with the BIOS: shown at the top of 4 GiB, and its end at the top of the first MiB by the host
 * bridge. */
struct bios {
    struct device dev;
    uint8_t *image;
    struct region region;
};

static struct device *create_at(struct machine *m, const char *name, const char *addr, struct error *err)
{
    struct device *dev = device_new(m, name, err);

    if (!dev || !device_set(dev, "addr", addr, err))
        return NULL;
    return device_realize(dev, NULL, err) ? dev : NULL;
}

static bool bios_realize(struct device *dev, struct error *err)
{
    struct bios *bios = (struct bios *)dev;
    struct machine *m = dev->machine;
    char *path = machine_find_firmware(m, m->config.bios ? m->config.bios : BIOS_FILE, err);
    size_t size;

    bios->image = path ? machine_load_file(path, BIOS_MAX, &size, err) : NULL;
    free(path);
    if (!bios->image)
        return error_prefix(err, "BIOS");
    if (size % 0x1000)
        return error_set(err, "BIOS: %zu bytes, not a multiple of 4096", size);
    bios->region = (struct region){.name = "bios",
                                   .size = size,
                                   .host = bios->image,
                                   .flags = REGION_READONLY,
                                   .priority = PRIORITY_ROM};
    bus_map(&m->bus, SPACE_MEM, &bios->region, 0x100000000ull - size);
    i440fx_set_bios(&m->pci.functions[0]->dev, bios->image, size);
    return true;
}

static void bios_unrealize(struct device *dev)
{
    struct bios *bios = (struct bios *)dev;

    bus_unmap(&dev->machine->bus, &bios->region);
    free(bios->image);
}

static void bios_reset(struct device *dev)
{
}

static const struct state_field bios_state[] = {STATE_END};

static const struct device_class bios_class = {
    .name = "bios-flash",
    .description = "ROM with the BIOS",
    .internal = true,
    .size = sizeof(struct bios),
    .state = bios_state,
    .realize = bios_realize,
    .unrealize = bios_unrealize,
    .reset = bios_reset,
};
DEVICE_CLASS(bios_class);

bool pc_board_create(struct machine *m, struct error *err)
{
    static const char *const small_chips[] = {"mc146818rtc", "i8042",  "i8237",       "isa-fdc",
                                              "port92",      "fw_cfg", "isa-debugcon"};

    m->pci.first_slot = 2;
    if (!create_at(m, "i440fx", "0.0", err) || !create_at(m, "piix3", "1.0", err) ||
        (device_find_class("piix3-ide") && !create_at(m, "piix3-ide", "1.1", err)) ||
        (m->config.acpi && !create_at(m, "piix4-pm", "1.3", err)) || !device_create(m, "bios-flash", err))
        return false;
    for (size_t i = 0; i < sizeof(small_chips) / sizeof(small_chips[0]); i++)
        if (device_find_class(small_chips[i]) && !device_create(m, small_chips[i], err))
            return false;
    return true;
}
