/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Table forms: ACPI 2.0 errata A, chapter 5. All numbers are little-endian. */
#include "hw/pc/acpi.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "hw/pc/dsdt.hex" /* dsdt_aml_code, made of dsdt.asl */
#include "hw/pc/fw_cfg.h"
#include "machine/machine.h"

#define TABLES_FILE "etc/acpi/tables"
#define RSDP_FILE   "etc/acpi/rsdp"
#define LOADER_FILE "etc/table-loader"

enum {
    TABLES_SIZE = 64 * 1024,
    LOADER_ENTRIES = 32,
    TABLE_HEADER = 36,
    TABLE_CHECKSUM = 9, /* of the byte that makes the sum of all 0 */
    RSDP_SIZE = 20,
    RSDP_CHECKSUM = 8,
    RSDP_RSDT = 16,
    FACS_SIZE = 64,
    FADT_SIZE = 244, /* revision 3 */
    RSDT_TABLES = 8,
};

/* Ports of piix4_pm.c and piix3.c. */
#define SMI_CMD         0xB2
#define ACPI_ENABLE     0xF1
#define ACPI_DISABLE    0xF0
#define GPE0            0xAFE0
#define RESET_REG       0xCF9
#define RESET_VALUE     0x0F
#define SCI_IRQ         9
#define IOAPIC_ADDRESS  0xFEC00000u
#define LAPIC_ADDRESS   0xFEE00000u
#define PCI_WINDOW_LAST 0xFEBFFFFFu

/* Fixed feature flags of the FADT (table 5-9) */
#define FADT_WBINVD        (1u << 0)
#define FADT_PROC_C1       (1u << 2)
#define FADT_SLP_BUTTON    (1u << 5) /* there is none among the fixed hardware */
#define FADT_RTC_S4        (1u << 7)
#define FADT_RESET_REG_SUP (1u << 10)
#define BOOT_LEGACY        (1u << 0)
#define BOOT_8042          (1u << 1)

/* MADT: flags of an interrupt source override */
#define INTI_LEVEL_HIGH 0x000D

/* Commands of the table loader: 128 bytes each. */
enum loader_command { LOADER_ALLOCATE = 1, LOADER_ADD_POINTER, LOADER_ADD_CHECKSUM };
enum loader_zone { ZONE_HIGH = 1, ZONE_FSEG };

struct loader_entry {
    uint32_t command;
    union {
        struct {
            char file[FW_CFG_FILE_NAME];
            uint32_t align;
            uint8_t zone;
        } __attribute__((packed)) allocate;
        struct {
            char dest[FW_CFG_FILE_NAME], src[FW_CFG_FILE_NAME];
            uint32_t offset;
            uint8_t size;
        } __attribute__((packed)) pointer;
        struct {
            char file[FW_CFG_FILE_NAME];
            uint32_t offset, start, length;
        } __attribute__((packed)) checksum;
        uint8_t bytes[124];
    };
} __attribute__((packed));
_Static_assert(sizeof(struct loader_entry) == 128, "as the firmware reads it");

struct acpi_build {
    struct machine *m;
    bool s3; /* suspend to RAM is offered */
    uint8_t data[TABLES_SIZE];
    size_t size;
    size_t table; /* where the one being written begins */
    uint32_t tables[RSDT_TABLES];
    unsigned count;
    uint8_t rsdp[RSDP_SIZE];
    struct loader_entry loader[LOADER_ENTRIES];
    unsigned commands;
};

/* ---- the loader's commands ---- */

static struct loader_entry *acpi_command(struct acpi_build *b, enum loader_command command)
{
    struct loader_entry *e = &b->loader[b->commands++ % LOADER_ENTRIES];

    *e = (struct loader_entry){.command = htole32(command)};
    return e;
}

static void acpi_allocate(struct acpi_build *b, const char *file, uint32_t align, enum loader_zone zone)
{
    struct loader_entry *e = acpi_command(b, LOADER_ALLOCATE);

    strcpy(e->allocate.file, file);
    e->allocate.align = htole32(align);
    e->allocate.zone = zone;
}

/* The four bytes at offset hold an offset into the tables: the firmware adds where they are. */
static void acpi_pointer(struct acpi_build *b, const char *file, uint32_t offset)
{
    struct loader_entry *e = acpi_command(b, LOADER_ADD_POINTER);

    strcpy(e->pointer.dest, file);
    strcpy(e->pointer.src, TABLES_FILE);
    e->pointer.offset = htole32(offset);
    e->pointer.size = 4;
}

static void acpi_checksum(struct acpi_build *b, const char *file, uint32_t offset, uint32_t start,
                          uint32_t length)
{
    struct loader_entry *e = acpi_command(b, LOADER_ADD_CHECKSUM);

    strcpy(e->checksum.file, file);
    e->checksum.offset = htole32(offset);
    e->checksum.start = htole32(start);
    e->checksum.length = htole32(length);
}

/* ---- writing a table ---- */

static void acpi_put(struct acpi_build *b, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes && b->size < TABLES_SIZE; i++)
        b->data[b->size++] = i < 8 ? value >> 8 * i : 0;
}

static void acpi_put_bytes(struct acpi_build *b, const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        acpi_put(b, ((const uint8_t *)data)[i], 1);
}

static void acpi_put_address(struct acpi_build *b, uint8_t bits, uint64_t port)
{
    acpi_put(b, port ? 1 : 0, 1); /* I/O space */
    acpi_put(b, port ? bits : 0, 1);
    acpi_put(b, 0, 2);
    acpi_put(b, port, 8);
}

static void acpi_begin(struct acpi_build *b, const char *signature, uint8_t revision)
{
    b->table = b->size;
    acpi_put_bytes(b, signature, 4);
    acpi_put(b, 0, 4);
    acpi_put(b, revision, 2); /* and the checksum */
    acpi_put_bytes(b, "HVMDM HVMDM   ", 14);
    memcpy(b->data + b->table + 20, signature, 4);
    acpi_put(b, 1, 4);
    acpi_put_bytes(b, "HVDM", 4);
    acpi_put(b, 1, 4);
}

/* The table is whole: its length, its checksum, and a place in the RSDT if it has one. */
static void acpi_end(struct acpi_build *b, bool listed)
{
    uint32_t length = b->size - b->table;

    put_le32(b->data + b->table + 4, length);
    b->data[b->table + TABLE_CHECKSUM] = 0;
    acpi_checksum(b, TABLES_FILE, b->table + TABLE_CHECKSUM, b->table, length);
    if (listed && b->count < RSDT_TABLES)
        b->tables[b->count++] = b->table;
}

/* ---- the tables ---- */

static void acpi_facs(struct acpi_build *b)
{
    acpi_put_bytes(b, "FACS", 4);
    acpi_put(b, FACS_SIZE, 4);
    while (b->size < FACS_SIZE)
        acpi_put(b, 0, 1);
}

/* A Name of dsdt.asl that is a doubleword: NameOp, the name, DWordPrefix, the value. */
static void acpi_set_name(uint8_t *aml, size_t size, const char name[4], uint32_t value)
{
    for (size_t i = TABLE_HEADER; i + 10 <= size; i++)
        if (aml[i] == 0x08 && !memcmp(aml + i + 1, name, 4) && aml[i + 5] == 0x0C) {
            put_le32(aml + i + 6, value);
            return;
        }
}

/* A sleep state of dsdt.asl that nobody looks for any more: _S3 becomes XS3. */
static void acpi_hide_state(uint8_t *aml, size_t size, char state)
{
    const char name[] = {0x08, '_', 'S', state, '_'}; /* NameOp */

    for (size_t i = TABLE_HEADER; i + sizeof(name) <= size; i++)
        if (!memcmp(aml + i, name, sizeof(name)))
            aml[i + 1] = 'X';
}

static bool acpi_has_port(struct machine *m, uint16_t port)
{
    return bus_find(&m->bus, SPACE_PORT, port) != NULL;
}

static uint32_t acpi_ports(struct machine *m)
{
    static const uint16_t ports[] = {0x3F8, 0x2F8, 0x3E8, 0x2E8, 0x378, 0x3F5};
    uint32_t there = 0;

    for (unsigned i = 0; i < COUNT(ports); i++)
        there |= (uint32_t)acpi_has_port(m, ports[i]) << i;
    return there;
}

static void acpi_dsdt(struct acpi_build *b)
{
    const struct machine_config *config = &b->m->config;
    uint8_t *aml = b->data + b->size;

    b->table = b->size;
    acpi_put_bytes(b, dsdt_aml_code, sizeof(dsdt_aml_code));
    acpi_set_name(aml, sizeof(dsdt_aml_code), "PWLO", b->m->ram.low_size);
    acpi_set_name(aml, sizeof(dsdt_aml_code), "PWHI", PCI_WINDOW_LAST);
    acpi_set_name(aml, sizeof(dsdt_aml_code), "PRTS", acpi_ports(b->m));
    acpi_set_name(aml, sizeof(dsdt_aml_code), "NCPU", max_u64(config->cpus, config->max_cpus));
    if (!b->s3)
        acpi_hide_state(aml, sizeof(dsdt_aml_code), '3');
    acpi_end(b, false);
}

static void acpi_fadt(struct acpi_build *b, uint16_t pm_base, uint32_t dsdt)
{
    acpi_begin(b, "FACP", 3);
    acpi_put(b, 0, 4); /* FIRMWARE_CTRL: the FACS is the first */
    acpi_put(b, dsdt, 4);
    acpi_put(b, 0, 2);
    acpi_put(b, SCI_IRQ, 2);
    acpi_put(b, SMI_CMD, 4);
    acpi_put(b, ACPI_ENABLE, 1);
    acpi_put(b, ACPI_DISABLE, 1);
    acpi_put(b, 0, 2);           /* S4BIOS_REQ, PSTATE_CNT */
    acpi_put(b, pm_base, 4);     /* PM1a_EVT */
    acpi_put(b, 0, 4);           /* PM1b_EVT */
    acpi_put(b, pm_base + 4, 4); /* PM1a_CNT */
    acpi_put(b, 0, 8);           /* PM1b_CNT, PM2_CNT */
    acpi_put(b, pm_base + 8, 4); /* PM_TMR */
    acpi_put(b, GPE0, 4);
    acpi_put(b, 0, 4);    /* GPE1 */
    acpi_put(b, 4, 1);    /* lengths: PM1_EVT, */
    acpi_put(b, 2, 1);    /* PM1_CNT, */
    acpi_put(b, 0, 1);    /* PM2_CNT, */
    acpi_put(b, 4, 1);    /* PM_TMR, */
    acpi_put(b, 4, 1);    /* GPE0, */
    acpi_put(b, 0, 3);    /* GPE1, its base, CST_CNT */
    acpi_put(b, 4095, 2); /* C2 and C3: none */
    acpi_put(b, 4095, 2);
    acpi_put(b, 0, 6);    /* FLUSH_SIZE to DUTY_WIDTH */
    acpi_put(b, 0, 2);    /* DAY_ALRM, MON_ALRM: the RTC has none */
    acpi_put(b, 0x32, 1); /* CENTURY */
    acpi_put(b, BOOT_LEGACY | BOOT_8042, 2);
    acpi_put(b, 0, 1);
    acpi_put(b, FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_RTC_S4 | FADT_RESET_REG_SUP, 4);
    acpi_put_address(b, 8, RESET_REG);
    acpi_put(b, RESET_VALUE, 1);
    acpi_put(b, 0, 3);
    acpi_put(b, 0, 16); /* X_FIRMWARE_CTRL, X_DSDT: the 32-bit ones hold */
    acpi_put_address(b, 32, pm_base);
    acpi_put_address(b, 0, 0);
    acpi_put_address(b, 16, pm_base + 4);
    acpi_put_address(b, 0, 0);
    acpi_put_address(b, 0, 0);
    acpi_put_address(b, 32, pm_base + 8);
    acpi_put_address(b, 32, GPE0);
    acpi_put_address(b, 0, 0);
    acpi_pointer(b, TABLES_FILE, b->table + 36);
    acpi_pointer(b, TABLES_FILE, b->table + 40);
    acpi_end(b, true);
}

static void acpi_override(struct acpi_build *b, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    acpi_put(b, 2, 1);
    acpi_put(b, 10, 1);
    acpi_put(b, 0, 1); /* ISA */
    acpi_put(b, irq, 1);
    acpi_put(b, gsi, 4);
    acpi_put(b, flags, 2);
}

/* Processors, the IOAPIC, and which interrupts are not as on ISA: the timer's, and those that PCI may take.
 */
static void acpi_madt(struct acpi_build *b)
{
    static const uint8_t pci_irqs[] = {5, SCI_IRQ, 10, 11};
    const struct machine_config *config = &b->m->config;

    acpi_begin(b, "APIC", 1);
    acpi_put(b, LAPIC_ADDRESS, 4);
    acpi_put(b, 1, 4); /* PCAT_COMPAT: there are two 8259 */
    for (unsigned i = 0; i < max_u64(config->cpus, config->max_cpus); i++) {
        acpi_put(b, 0, 1);
        acpi_put(b, 8, 1);
        acpi_put(b, i, 1);
        acpi_put(b, cpu_apic_id(&config->topology, i), 1);
        acpi_put(b, i < config->cpus, 4);
    }
    acpi_put(b, 1, 1);
    acpi_put(b, 12, 1);
    acpi_put(b, 0, 2); /* its id */
    acpi_put(b, IOAPIC_ADDRESS, 4);
    acpi_put(b, 0, 4);
    acpi_override(b, 0, 2, 0);
    for (unsigned i = 0; i < COUNT(pci_irqs); i++)
        acpi_override(b, pci_irqs[i], pci_irqs[i], INTI_LEVEL_HIGH);
    acpi_put(b, 4, 1); /* NMI of every processor: LINT1 */
    acpi_put(b, 6, 1);
    acpi_put(b, 0xFF, 1);
    acpi_put(b, 0, 2);
    acpi_put(b, 1, 1);
    acpi_end(b, true);
}

/* Windows: the timer's counter needs to be read only once (WAET specification). */
static void acpi_waet(struct acpi_build *b)
{
    acpi_begin(b, "WAET", 1);
    acpi_put(b, 2, 4);
    acpi_end(b, true);
}

static void acpi_rsdt(struct acpi_build *b)
{
    acpi_begin(b, "RSDT", 1);
    for (unsigned i = 0; i < b->count; i++) {
        acpi_pointer(b, TABLES_FILE, b->size);
        acpi_put(b, b->tables[i], 4);
    }
    acpi_end(b, false);
}

static void acpi_rsdp(struct acpi_build *b, uint32_t rsdt)
{
    memcpy(b->rsdp, "RSD PTR ", 8);
    memcpy(b->rsdp + 9, "HVMDM ", 6);
    put_le32(b->rsdp + RSDP_RSDT, rsdt);
    acpi_pointer(b, RSDP_FILE, RSDP_RSDT);
    acpi_checksum(b, RSDP_FILE, RSDP_CHECKSUM, 0, RSDP_SIZE);
}

static void acpi_build_all(struct acpi_build *b, uint16_t pm_base)
{
    uint32_t dsdt;

    acpi_allocate(b, TABLES_FILE, FACS_SIZE, ZONE_HIGH);
    acpi_allocate(b, RSDP_FILE, 16, ZONE_FSEG);
    acpi_facs(b);
    dsdt = b->size;
    acpi_dsdt(b);
    acpi_fadt(b, pm_base, dsdt);
    acpi_madt(b);
    acpi_waet(b);
    acpi_rsdt(b);
    acpi_rsdp(b, b->table);
}

bool acpi_publish(struct machine *m, struct device *fw_cfg, uint16_t pm_base, bool s3, struct error *err)
{
    struct acpi_build *b = calloc(1, sizeof(*b));
    bool ok;

    if (!b)
        return error_set(err, "no memory for the ACPI tables");
    b->m = m;
    b->s3 = s3;
    acpi_build_all(b, pm_base);
    ok = fw_cfg_set_file(fw_cfg, TABLES_FILE, b->data, b->size, err) &&
         fw_cfg_set_file(fw_cfg, RSDP_FILE, b->rsdp, RSDP_SIZE, err) &&
         fw_cfg_set_file(fw_cfg, LOADER_FILE, b->loader, b->commands * sizeof(b->loader[0]), err);
    free(b);
    return ok;
}
