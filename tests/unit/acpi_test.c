/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ACPI tables in fw_cfg, placed as firmware places them, and read as an operating system reads them. */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/cmocka.h"
#include "tests/lib/fw_cfg_file.h"
#include "tests/lib/qpci.h"
#include "tests/lib/qtest.h"

enum {
    TABLES_AT = 0x07FE0000, /* where this firmware puts the tables, */
    RSDP_AT = 0x000F5A00,   /* and their root */
};

struct file {
    char name[56];
    uint16_t key;
    uint32_t size, at;
    uint8_t *data;
};

struct placed {
    struct file tables, rsdp, loader;
};

static uint32_t le32(const uint8_t *p)
{
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool read_file(struct qtest *q, const char *name, struct file *file)
{
    snprintf(file->name, sizeof(file->name), "%s", name);
    file->data = fw_cfg_read_file(q, name, &file->key, &file->size);
    return file->data;
}

static struct file *by_name(struct placed *p, const uint8_t *name)
{
    if (!strcmp((const char *)name, p->tables.name))
        return &p->tables;
    assert_string_equal((const char *)name, p->rsdp.name);
    return &p->rsdp;
}

static void run_command(struct placed *p, const uint8_t *e)
{
    struct file *file = by_name(p, e + 4);
    uint32_t offset, start, length;
    uint8_t sum = 0;

    switch (le32(e)) {
    case 1:
        assert_int_equal((file == &p->tables ? TABLES_AT : RSDP_AT) % le32(e + 60), 0);
        assert_int_equal(e[64], file == &p->tables ? 1 : 2);
        file->at = file == &p->tables ? TABLES_AT : RSDP_AT;
        break;
    case 2:
        offset = le32(e + 116);
        assert_int_equal(e[120], 4);
        assert_true(offset + 4 <= file->size);
        assert_true(by_name(p, e + 60)->at != 0);
        *(uint32_t *)(file->data + offset) = htole32(le32(file->data + offset) + by_name(p, e + 60)->at);
        break;
    case 3:
        offset = le32(e + 60);
        start = le32(e + 64);
        length = le32(e + 68);
        assert_true(offset < file->size && (uint64_t)start + length <= file->size);
        assert_int_equal(file->data[offset], 0);
        for (uint32_t i = 0; i < length; i++)
            sum += file->data[start + i];
        file->data[offset] = -sum;
        break;
    default:
        fail_msg("command %u", le32(e));
    }
}

/* What a firmware does: the power management ports first, then the tables. */
static struct placed place(struct qtest *q, uint16_t pm_base)
{
    struct qpci pm = qpci_get(q, 0x8086, 0x7113);
    struct placed p = {0};

    qpci_writel(&pm, 0x40, pm_base | 1);
    qpci_writeb(&pm, 0x80, 1);
    assert_true(read_file(q, "etc/acpi/tables", &p.tables));
    assert_true(read_file(q, "etc/acpi/rsdp", &p.rsdp));
    assert_true(read_file(q, "etc/table-loader", &p.loader));
    assert_int_equal(p.loader.size % 128, 0);
    for (uint32_t i = 0; i < p.loader.size; i += 128)
        run_command(&p, p.loader.data + i);
    return p;
}

static void placed_free(struct placed *p)
{
    free(p->tables.data);
    free(p->rsdp.data);
    free(p->loader.data);
}

static const uint8_t *at(const struct placed *p, uint32_t address, uint32_t length)
{
    assert_true(address >= TABLES_AT && (uint64_t)address + length <= TABLES_AT + (uint64_t)p->tables.size);
    return p->tables.data + (address - TABLES_AT);
}

static void check_sum(const uint8_t *data, uint32_t length)
{
    uint8_t sum = 0;

    for (uint32_t i = 0; i < length; i++)
        sum += data[i];
    assert_int_equal(sum, 0);
}

static const uint8_t *check_table(const struct placed *p, uint32_t address, const char *signature)
{
    const uint8_t *table = at(p, address, 36);
    uint32_t length = le32(table + 4);

    if (signature)
        assert_memory_equal(table, signature, 4);
    check_sum(at(p, address, length), length);
    return table;
}

/* By RSDP and RSDT, as an operating system finds it. */
static const uint8_t *find_table(const struct placed *p, const char *signature)
{
    const uint8_t *rsdt;

    assert_memory_equal(p->rsdp.data, "RSD PTR ", 8);
    check_sum(p->rsdp.data, 20);
    rsdt = check_table(p, le32(p->rsdp.data + 16), "RSDT");
    for (uint32_t i = 36; i < le32(rsdt + 4); i += 4) {
        const uint8_t *table = check_table(p, le32(rsdt + i), NULL);

        if (!memcmp(table, signature, 4))
            return table;
    }
    fail_msg("no %s", signature);
    return NULL;
}

static void tables_are_found_from_their_root(void **state)
{
    struct qtest *q = *state = qtest_start("-m 128");
    struct placed p = place(q, 0x600);
    const uint8_t *fadt = find_table(&p, "FACP"), *facs = at(&p, le32(fadt + 36), 64);

    check_table(&p, le32(fadt + 40), "DSDT");
    assert_memory_equal(facs, "FACS", 4);
    assert_int_equal(le32(facs + 4), 64);
    assert_int_equal(le32(fadt + 36) % 64, 0);
    find_table(&p, "APIC");
    find_table(&p, "WAET");
    placed_free(&p);
}

static void the_ports_are_where_the_firmware_put_them(void **state)
{
    static const uint16_t bases[] = {0x600, 0xB000};
    struct qtest *q = *state = qtest_start("-m 128");

    for (unsigned i = 0; i < 2; i++) {
        struct placed p = place(q, bases[i]);
        const uint8_t *fadt = find_table(&p, "FACP");

        assert_int_equal(le32(fadt + 56), bases[i]);
        assert_int_equal(le32(fadt + 64), bases[i] + 4);
        assert_int_equal(le32(fadt + 76), bases[i] + 8);
        assert_int_equal(le32(fadt + 152), bases[i]); /* X_PM1a_EVT_BLK */
        assert_int_equal(le32(fadt + 80), 0xAFE0);
        placed_free(&p);
    }
}

static void processors_have_their_apic_ids(void **state)
{
    static const uint8_t ids[] = {0, 1, 2, 4, 5, 6};
    struct qtest *q = *state = qtest_start("-m 128 -smp 4,maxcpus=6,cores=3");
    struct placed p = place(q, 0x600);
    const uint8_t *madt = find_table(&p, "APIC");
    unsigned found = 0, overrides = 0;

    for (uint32_t i = 44; i < le32(madt + 4); i += madt[i + 1]) {
        assert_true(madt[i + 1] >= 2);
        if (madt[i] == 2)
            overrides++;
        if (madt[i] != 0)
            continue;
        assert_int_equal(madt[i + 2], found);
        assert_int_equal(madt[i + 3], ids[found]);
        assert_int_equal(madt[i + 4], found < 4);
        found++;
    }
    assert_int_equal(found, 6);
    assert_int_equal(overrides, 5);
    placed_free(&p);
}

/* The value of a Name that acpi.c fills in. */
static uint32_t name_value(const struct placed *p, const char *name)
{
    const uint8_t *dsdt = at(p, le32(find_table(p, "FACP") + 40), 36);

    for (uint32_t i = 36; i + 10 <= le32(dsdt + 4); i++)
        if (dsdt[i] == 0x08 && !memcmp(dsdt + i + 1, name, 4) && dsdt[i + 5] == 0x0C)
            return le32(dsdt + i + 6);
    fail_msg("no %s", name);
    return 0;
}

static void the_dsdt_tells_what_this_machine_has(void **state)
{
    struct qtest *q = *state = qtest_start("-nodefaults -m 256 -serial null -serial null -smp 2,maxcpus=5");
    struct placed p = place(q, 0x600);

    assert_int_equal(name_value(&p, "PWLO"), 256 << 20);
    assert_int_equal(name_value(&p, "PWHI"), 0xFEBFFFFF);
    assert_int_equal(name_value(&p, "NCPU"), 5);
    assert_int_equal(name_value(&p, "PRTS"), 0x23); /* COM1, COM2, floppies */
    placed_free(&p);
}

static void without_acpi_there_are_no_tables(void **state)
{
    struct qtest *q = *state = qtest_start("-m 128 -no-acpi");
    struct file file;

    assert_false(read_file(q, "etc/table-loader", &file));
}

/* iasl reads back what iasl made, with our values in it, and the tables made here. */
static void iasl_takes_them_apart(void **state)
{
    static const char *const signatures[] = {"FACP", "APIC", "WAET", "DSDT"};
    struct qtest *q = *state = qtest_start("-m 128");
    struct placed p = place(q, 0x600);
    char dir[] = "/tmp/acpi_test.XXXXXX", command[512];

    assert_non_null(mkdtemp(dir));
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *table =
            i < 3 ? find_table(&p, signatures[i]) : at(&p, le32(find_table(&p, "FACP") + 40), 36);
        FILE *f;

        snprintf(command, sizeof(command), "%s/%s.aml", dir, signatures[i]);
        f = fopen(command, "w");
        assert_non_null(f);
        assert_int_equal(fwrite(table, 1, le32(table + 4), f), le32(table + 4));
        fclose(f);
        /* A data table is taken apart with complaints on standard output, a DSDT must compile again as well.
         */
        snprintf(command, sizeof(command),
                 "cd %s && iasl -d %s.aml >out 2>&1 && ! grep -iE 'error|invalid|warning' out %s", dir,
                 signatures[i],
                 i < 3 ? "&& ! grep -i 'invalid' *.dsl" : "&& iasl -vs -vw 3168 DSDT.dsl >out 2>&1");
        if (system(command)) {
            snprintf(command, sizeof(command), "cat %s/out", dir);
            fail_msg("%s: iasl: status %d", signatures[i], system(command));
        }
    }
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
    placed_free(&p);
}

static int stop(void **state)
{
    qtest_stop(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(tables_are_found_from_their_root, stop),
        cmocka_unit_test_teardown(the_ports_are_where_the_firmware_put_them, stop),
        cmocka_unit_test_teardown(processors_have_their_apic_ids, stop),
        cmocka_unit_test_teardown(the_dsdt_tells_what_this_machine_has, stop),
        cmocka_unit_test_teardown(without_acpi_there_are_no_tables, stop),
        cmocka_unit_test_teardown(iasl_takes_them_apart, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
