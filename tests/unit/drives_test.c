/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Drives as users describe them: formats, nodes on nodes, slow disks; seen by the guest and by QMP. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/cmocka.h"
#include "tests/lib/ideport.h"
#include "tests/lib/qtest.h"

static struct ide ide;
static char dir[64];

static int setup(void **state)
{
    *state = NULL;
    snprintf(dir, sizeof(dir), "/tmp/drives-test-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    char command[128];
    int status = teardown_qtest(state);

    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command) | status;
}

static bool run(const char *fmt, ...)
{
    char command[1024];
    va_list list;

    va_start(list, fmt);
    vsnprintf(command, sizeof(command), fmt, list);
    va_end(list);
    return system(command) == 0;
}

#define NEEDS_QEMU()                                                                                         \
    do                                                                                                       \
        if (!run("command -v qemu-img qemu-io >/dev/null"))                                                  \
            skip();                                                                                          \
    while (0)

static int64_t milliseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000ll + now.tv_nsec / 1000000;
}

static uint8_t first_byte(uint32_t lba)
{
    uint8_t data[512];

    ide_lba28(&ide, 0x20, lba, 1);
    assert_int_equal(ide_finish_wait(&ide) & (IDE_ERR | IDE_DRQ), IDE_DRQ);
    ide_read_data(&ide, data, sizeof(data));
    return data[0];
}

static void write_sector(uint32_t lba, uint8_t byte)
{
    uint8_t data[512];

    memset(data, byte, sizeof(data));
    ide_lba28(&ide, 0x30, lba, 1);
    ide_wait(&ide);
    ide_write_data(&ide, data, sizeof(data));
    assert_int_equal(ide_finish_wait(&ide) & IDE_ERR, 0);
}

static void flush(void)
{
    ide_lba28(&ide, 0xE7, 0, 0);
    assert_int_equal(ide_finish_wait(&ide) & IDE_ERR, 0);
}

/* B7: SRST while a slow disk is at FLUSH CACHE, or at anything else, is over at once. */
static void b7_a_reset_does_not_wait_for_a_slow_disk(void **state)
{
    enum { SLOW = 2000 };
    static const uint8_t commands[] = {0xE7, 0x20, 0xEA};

    for (size_t i = 0; i < sizeof(commands); i++) {
        int64_t start;

        ide = ide_start("-nodefaults -blockdev driver=null-co,node-name=slow,size=16M,latency-ns=%llu000000 "
                        "-device ide-hd,drive=slow,cyls=32,heads=16,secs=63",
                        (unsigned long long)SLOW);
        *state = ide.q;
        start = milliseconds();
        ide_lba28(&ide, commands[i], 0, 1);
        assert_int_equal(ide_alternate(&ide) & IDE_BSY, IDE_BSY);
        qtest_outb(ide.q, 0x3F6, 4);
        qtest_outb(ide.q, 0x3F6, 0);
        assert_int_equal(ide_wait(&ide) & (IDE_BSY | IDE_ERR), 0);
        json_decref(qtest_qmp_ok(ide.q, "{'execute': 'system_reset'}"));
        assert_true(milliseconds() - start < SLOW);
        teardown_qtest(state);
        *state = NULL;
    }
}

/* Likewise an unplug, which the guest's Xen drivers ask for. */
static void b7_an_unplug_does_not_wait_for_a_slow_disk(void **state)
{
    enum { SLOW = 2000 };
    int64_t start;

    ide = ide_start("-nodefaults -machine xenfv -blockdev driver=null-co,node-name=slow,size=16M,latency-ns="
                    "%llu000000 -device ide-hd,drive=slow,cyls=32,heads=16,secs=63",
                    (unsigned long long)SLOW);
    *state = ide.q;
    start = milliseconds();
    ide_lba28(&ide, 0xE7, 0, 1);
    qtest_outw(ide.q, 0x10, 1);
    assert_int_equal(ide_alternate(&ide), 0);
    json_decref(qtest_qmp_ok(ide.q, "{'execute': 'query-block'}"));
    assert_true(milliseconds() - start < SLOW);
}

static void formats_are_what_the_user_says(void **state)
{
    static const char *const formats[] = {"qcow2", "vpc", "raw"};

    NEEDS_QEMU();
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        assert_true(run("qemu-img create -q -f %s %s/disk 16M && qemu-io -f %s -c 'write -P 7 0 1M' %s/disk "
                        ">/dev/null",
                        formats[i], dir, formats[i], dir));
        ide = ide_start("-nodefaults -drive file=%s/disk,if=ide,format=%s", dir, formats[i]);
        *state = ide.q;
        assert_int_equal(first_byte(100), 7);
        assert_int_equal(first_byte(5000), 0);
        write_sector(5000, 9);
        write_sector(1, 8);
        flush();
        assert_int_equal(first_byte(5000), 9);
        teardown_qtest(state);
        *state = NULL;
        assert_true(
            run("qemu-io -f %s -c 'read -P 9 2560000 512' -c 'read -P 8 512 512' -c 'read -P 7 1024 512' "
                "%s/disk | grep -c 'failed' | grep -qx 0",
                formats[i], dir));
        assert_true(!strcmp(formats[i], "raw") || !strcmp(formats[i], "vpc") ||
                    run("qemu-img check -q %s/disk", dir));
    }
}

/* Of an array, the object whose key has the value; NULL: none. */
static json_t *find(json_t *array, const char *key, const char *value)
{
    json_t *item;
    size_t i;

    json_array_foreach(array, i,
                       item) if (json_string_value(json_object_get(item, key)) &&
                                 !strcmp(json_string_value(json_object_get(item, key)), value)) return item;
    return NULL;
}

static const char *text_at(json_t *object, const char *a, const char *b, const char *c)
{
    object = json_object_get(object, a);
    object = b ? json_object_get(object, b) : object;
    object = c ? json_object_get(object, c) : object;
    return json_string_value(object) ? json_string_value(object) : "";
}

static void nodes_stand_on_nodes(void **state)
{
    json_t *list, *item;
    char name[128];

    NEEDS_QEMU();
    assert_true(
        run("cd %s && qemu-img create -q -f qcow2 base 16M && qemu-io -f qcow2 -c 'write -P 5 0 1M' base "
            ">/dev/null && qemu-img create -q -f qcow2 -b base -F qcow2 top",
            dir));
    /* The upper one comes first, and JSON beside the plain form. */
    ide = ide_start("-nodefaults -blockdev '{\"driver\":\"qcow2\",\"node-name\":\"d\",\"file\":\"f\","
                    "\"discard\":\"unmap\"}' -blockdev driver=file,node-name=f,filename=%s/top -device "
                    "ide-hd,drive=d,id=disk",
                    dir);
    *state = ide.q;
    qtest_stay(ide.q, "what was read and written is counted by the process");
    assert_int_equal(first_byte(10), 5);
    write_sector(10, 6);
    flush();
    assert_int_equal(first_byte(10), 6);
    list = qtest_qmp_ok(ide.q, "{'execute': 'query-block'}");
    item = find(list, "qdev", "disk");
    assert_non_null(item);
    snprintf(name, sizeof(name), "%s/top", dir);
    assert_string_equal(text_at(item, "inserted", "drv", NULL), "qcow2");
    assert_string_equal(text_at(item, "inserted", "file", NULL), name);
    assert_string_equal(text_at(item, "inserted", "node-name", NULL), "d");
    assert_string_equal(text_at(json_object_get(item, "inserted"), "image", "backing-filename", NULL),
                        "base");
    assert_string_equal(text_at(json_object_get(item, "inserted"), "image", "backing-image", "format"),
                        "qcow2");
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(item, "inserted"), "backing_file_depth")), 1);
    json_decref(list);
    list = qtest_qmp_ok(ide.q, "{'execute': 'query-named-block-nodes'}");
    assert_int_equal(json_array_size(list), 4); /* both images, both files */
    assert_string_equal(text_at(find(list, "node-name", "f"), "drv", NULL, NULL), "file");
    json_decref(list);
    if (getenv("MOVE"))
        return; /* the counters are the process' */
    list = qtest_qmp_ok(ide.q, "{'execute': 'query-blockstats'}");
    item = json_object_get(json_array_get(list, 0), "stats");
    assert_int_equal(json_integer_value(json_object_get(item, "wr_bytes")), 512);
    assert_int_equal(json_integer_value(json_object_get(item, "flush_operations")), 1);
    assert_int_equal(json_integer_value(json_object_get(item, "wr_highest_offset")), 11 * 512);
    assert_true(json_integer_value(json_object_get(item, "flush_total_time_ns")) > 0);
    json_decref(list);
}

static void assert_fails(const char *command, const char *words)
{
    json_t *answer = qtest_qmp(ide.q, command, dir);
    const char *text = text_at(answer, "error", "desc", NULL);

    if (!strstr(text, words))
        fail_msg("%s: '%s' does not say '%s'", command, text, words);
    json_decref(answer);
}

static void nodes_come_and_go(void **state)
{
    json_t *list;

    NEEDS_QEMU();
    assert_true(run("qemu-img create -q -f qcow2 %s/disk 16M", dir));
    ide = ide_start("-nodefaults");
    *state = ide.q;
    json_decref(qtest_qmp_ok(ide.q,
                             "{'execute': 'blockdev-add', 'arguments': {'driver': 'file', 'node-name': 'f', "
                             "'filename': '%s/disk'}}",
                             dir));
    json_decref(qtest_qmp_ok(ide.q,
                             "{'execute': 'blockdev-add', 'arguments': {'driver': 'qcow2', 'node-name': "
                             "'d', 'file': 'f', 'read-only': true}}"));
    assert_fails("{'execute': 'blockdev-add', 'arguments': {'driver': 'raw', 'node-name': 'd', 'file': 'f'}}",
                 "'d' is taken");
    assert_fails("{'execute': 'blockdev-add', 'arguments': {'driver': 'raw', 'node-name': 'e', 'file': 'f'}}",
                 "is in use");
    assert_fails(
        "{'execute': 'blockdev-add', 'arguments': {'driver': 'raw', 'node-name': 'e', 'fille': 'f'}}",
        "takes no option 'fille'");
    assert_fails("{'execute': 'blockdev-add', 'arguments': {'driver': 'qcow2', 'node-name': 'e', 'file': "
                 "{'driver': 'file', 'filename': '%s/nothing'}}}",
                 "No such file");
    assert_fails("{'execute': 'blockdev-del', 'arguments': {'node-name': 'f'}}", "is in use");
    assert_fails("{'execute': 'blockdev-del', 'arguments': {'node-name': 'x'}}", "Failed to find node");
    json_decref(qtest_qmp_ok(ide.q, "{'execute': 'blockdev-del', 'arguments': {'node-name': 'd'}}"));
    json_decref(qtest_qmp_ok(ide.q, "{'execute': 'blockdev-del', 'arguments': {'node-name': 'f'}}"));
    list = qtest_qmp_ok(ide.q, "{'execute': 'query-named-block-nodes'}");
    assert_int_equal(json_array_size(list), 0);
    json_decref(list);
    assert_true(run("qemu-img check -q %s/disk", dir)); /* and nobody locks it */
}

/* The host's disk is full: the guest waits, and goes on when there is room. */
static void a_full_host_disk_stops_the_guest(void **state)
{
    uint8_t data[512];
    json_t *answer;

    if (!run("mount -t tmpfs -o size=256k none %s 2>/dev/null", dir))
        skip();
    assert_true(run("truncate -s 16M %s/disk", dir));
    ide = ide_start("-nodefaults -drive file=%s/disk,format=raw", dir);
    *state = ide.q;
    json_decref(qtest_qmp_ok(ide.q, "{'execute': 'cont'}"));
    memset(data, 0x55, sizeof(data));
    for (uint32_t lba = 0; !qtest_qmp_event_seen(ide.q, "BLOCK_IO_ERROR"); lba += 8) {
        assert_true(lba < 1024);
        ide_lba28(&ide, 0x30, lba, 1);
        ide_wait(&ide);
        ide_write_data(&ide, data, sizeof(data));
        while (ide_alternate(&ide) & IDE_BSY && !qtest_qmp_event_seen(ide.q, "STOP"))
            json_decref(qtest_qmp_ok(ide.q, "{'execute': 'query-status'}"));
    }
    answer = qtest_qmp_event(ide.q, "BLOCK_IO_ERROR");
    assert_string_equal(text_at(answer, "data", "action", NULL), "stop");
    assert_string_equal(text_at(answer, "data", "device", NULL), "ide0-hd0");
    assert_true(json_is_true(json_object_get(json_object_get(answer, "data"), "nospace")));
    json_decref(answer);
    answer = qtest_qmp_ok(ide.q, "{'execute': 'query-status'}");
    assert_string_equal(text_at(answer, "status", NULL, NULL), "io-error");
    json_decref(answer);
    assert_int_equal(ide_alternate(&ide) & IDE_BSY, IDE_BSY);
    assert_true(run("mount -o remount,size=4M %s", dir));
    json_decref(qtest_qmp_ok(ide.q, "{'execute': 'cont'}"));
    assert_int_equal(ide_finish_wait(&ide) & IDE_ERR, 0);
}

static int teardown_mount(void **state)
{
    int status = teardown_qtest(state);

    run("umount %s 2>/dev/null", dir);
    return rmdir(dir) | status;
}

#define drives_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        drives_test(b7_a_reset_does_not_wait_for_a_slow_disk),
        drives_test(b7_an_unplug_does_not_wait_for_a_slow_disk),
        drives_test(formats_are_what_the_user_says),
        drives_test(nodes_stand_on_nodes),
        drives_test(nodes_come_and_go),
        cmocka_unit_test_setup_teardown(a_full_host_disk_stops_the_guest, setup, teardown_mount),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
