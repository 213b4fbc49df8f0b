/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Words of the command line that guests see, and whole command lines of others: the machine's number,
 * identities by -global, options in files, XCP-ng's line, virt-install's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/cmocka.h"
#include "tests/lib/fw_cfg_file.h"
#include "tests/lib/qpci.h"
#include "tests/lib/qtest.h"

enum { FW_CFG_UUID = 2 };

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    assert_non_null(text);
    return text;
}

static void expect_refused(const char *args, const char *word)
{
    char *text;

    assert_int_equal(qtest_start_failing(args, &text), 1);
    if (!text || !strstr(text, word) || !strchr(text, '\n') || strchr(text, '\n')[1])
        fail_msg("%s: %s", args, text);
    free(text);
}

/* ---- the machine's number ---- */

static void the_uuid_is_told_to_firmware_and_by_query_uuid(void **state)
{
    static const uint8_t bytes[16] = {0x12, 0x34, 0x56, 0x78, 0x9A, 0xBC, 0xDE, 0xF0,
                                      0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08};
    struct qtest *q = qtest_start("-nodefaults -uuid 12345678-9ABC-def0-0102-030405060708");
    json_t *answer = qtest_qmp_ok(q, "{'execute':'query-uuid'}");
    uint8_t item[16];

    assert_string_equal(text_of(answer, "UUID"), "12345678-9abc-def0-0102-030405060708");
    json_decref(answer);
    fw_cfg_read_item(q, FW_CFG_UUID, item, sizeof(item));
    assert_memory_equal(item, bytes, sizeof(item));
    qtest_stop(q);
    q = qtest_start("-nodefaults");
    answer = qtest_qmp_ok(q, "{'execute':'query-uuid'}");
    assert_string_equal(text_of(answer, "UUID"), "00000000-0000-0000-0000-000000000000");
    json_decref(answer);
    qtest_stop(q);
    expect_refused("-uuid 12345678-9abc-def0-0102-03040506070g", "-uuid");
    expect_refused("-uuid 12345678", "-uuid");
}

/* ---- identities ---- */

static void globals_name_the_boards_parts_as_qemu_does(void **state)
{
    struct qtest *q = qtest_start("-nodefaults -machine pc -global PIIX4_PM.revision_id=0x1 "
                                  "-global piix3-ide-xen.subvendor_id=0x5853 -global i440FX.subsystem_id=7 "
                                  "-global kvm-pit.lost_tick_policy=delay");
    struct qpci pm = qpci_at(q, QPCI_DEVFN(1, 3)), ide = qpci_at(q, QPCI_DEVFN(1, 1)),
                bridge = qpci_at(q, QPCI_DEVFN(0, 0));

    assert_int_equal(qpci_readl(&pm, 8) & 0xFF, 1);
    assert_int_equal(qpci_readl(&ide, 0x2C), 0x11005853);
    assert_int_equal(qpci_readl(&bridge, 0x2C), 0x00071AF4);
    qtest_stop(q);
    expect_refused("-global PIIX4_PM.revision_id=256", "revision_id");
    expect_refused("-global PIIX4_PM.disable_s4=0", "disable_s4");
    expect_refused("-device e1000,subvendor_id=65536", "subvendor_id");
}

static void the_xen_platform_device_is_named_with_its_identity(void **state)
{
    struct qtest *q = qtest_start("-nodefaults -mon chardev=c,id=m -chardev null,id=c "
                                  "-device xen-platform,addr=3,device-id=0x0002,revision=0x2,class-id=0x0100,"
                                  "subvendor_id=0x5854,subsystem_id=0x0003");
    struct qpci xen = qpci_at(q, QPCI_DEVFN(3, 0));

    assert_int_equal(qpci_readl(&xen, 0), 0x00025853);
    assert_int_equal(qpci_readl(&xen, 8), 0x01000002);
    assert_int_equal(qpci_readl(&xen, 0x2C), 0x00035854);
    qtest_stop(q);
}

static unsigned sleep_state(struct qtest *q, unsigned n)
{
    uint8_t *states = fw_cfg_read_file(q, "etc/system-states", NULL, NULL);
    unsigned state = states[n];

    free(states);
    return state;
}

/* Does the DSDT in fw_cfg have that name? */
static bool dsdt_has(struct qtest *q, const char *name)
{
    uint32_t size;
    uint8_t *tables = fw_cfg_read_file(q, "etc/acpi/tables", NULL, &size);
    bool has = memmem(tables, size, name, strlen(name));

    free(tables);
    return has;
}

static void disable_s3_takes_suspend_out_of_what_firmware_and_acpi_offer(void **state)
{
    struct qtest *q = qtest_start("-nodefaults -global PIIX4_PM.disable_s3=1 -global PIIX4_PM.disable_s4=1");

    assert_int_equal(sleep_state(q, 3), 1);
    assert_false(dsdt_has(q, "\x08_S3_"));
    assert_true(dsdt_has(q, "\x08_S5_"));
    qtest_stop(q);
    q = qtest_start("-nodefaults");
    assert_int_equal(sleep_state(q, 3), 0x81);
    assert_true(dsdt_has(q, "\x08_S3_"));
    qtest_stop(q);
}

/* ---- options in files ---- */

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void expect_as_in_file(const char *path)
{
    struct qtest *q = qtest_startf("-nodefaults -readconfig %s", path);
    struct qpci card = qpci_at(q, QPCI_DEVFN(7, 0)), pm = qpci_at(q, QPCI_DEVFN(1, 3));
    json_t *name = qtest_qmp_ok(q, "{'execute':'query-name'}");

    assert_int_equal(qpci_readl(&card, 0), 0x100E8086);
    assert_int_equal(qpci_readl(&pm, 8) & 0xFF, 9);
    assert_string_equal(text_of(name, "name"), "a,b");
    json_decref(name);
    qtest_stop(q);
}

static void options_come_from_a_file_and_go_back_into_one(void **state)
{
    const char *path = qtest_temp_file(".cfg", 0), *copy = qtest_temp_file(".cfg", 0);
    char args[512];

    write_file(path,
               "# a machine\n"
               "[device \"card\"]\n  driver = \"e1000\"\n  addr = \"7\"\n  mac=\"52:54:00:00:00:07\"\n\n"
               "[name]\n\tguest = \"a,b\"\n"
               "[memory]\n  size = \"96\"\n"
               "[global]\n  driver = \"PIIX4_PM\"\n  property = \"revision_id\"\n  value = \"9\"\n");
    expect_as_in_file(path);
    /* A start of which nothing comes, so that the connections of this test are not in the copy. */
    snprintf(args, sizeof(args), "-readconfig %s -writeconfig %s -bios /no/such/bios", path, copy);
    expect_refused(args, "/no/such/bios");
    expect_as_in_file(copy);
}

static void mistakes_in_files_are_told_by_line(void **state)
{
    static const struct {
        const char *text, *word;
    } rows[] = {
        {"[nonsense]\n", ":1: there is no section 'nonsense'"},
        {"\n# x\nkey = \"value\"\n", ":3: no section before it"},
        {"[device]\ndriver = e1000\n", ":2: not of the form KEY"},
        {"[device]\ndriver = \"e1000\" more\n", ":2: not of the form KEY"},
        {"[device \"x\"\n", ":1: not of the form [SECTION]"},
        {"[device]\ndriver = \"e1001\"\n", "e1001"},
    };
    const char *path = qtest_temp_file(".cfg", 0);
    char args[256];

    snprintf(args, sizeof(args), "-readconfig %s", path);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        write_file(path, rows[i].text);
        expect_refused(args, rows[i].word);
    }
    expect_refused("-readconfig /no/such/file", "/no/such/file");
    expect_refused("-nodefaults -writeconfig /no/such/dir/x", "/no/such/dir/x");
}

static void a_sandbox_that_is_not_there_is_not_claimed(void **state)
{
    expect_refused("-sandbox on,obsolete=deny",
                   "-sandbox on,obsolete=deny: there is no filter of system calls");
    qtest_stop(qtest_start("-nodefaults -sandbox off"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_uuid_is_told_to_firmware_and_by_query_uuid),
        cmocka_unit_test(globals_name_the_boards_parts_as_qemu_does),
        cmocka_unit_test(the_xen_platform_device_is_named_with_its_identity),
        cmocka_unit_test(disable_s3_takes_suspend_out_of_what_firmware_and_acpi_offer),
        cmocka_unit_test(options_come_from_a_file_and_go_back_into_one),
        cmocka_unit_test(mistakes_in_files_are_told_by_line),
        cmocka_unit_test(a_sandbox_that_is_not_there_is_not_claimed),
    };

    return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
