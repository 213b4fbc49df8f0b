/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -kernel, -initrd and -append: what fw_cfg says of them, and which files are refused. */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/cmocka.h"
#include "tests/lib/qtest.h"

enum {
    SELECTOR = 0x510,
    DATA = 0x511,
    KERNEL_ADDR = 0x07,
    KERNEL_SIZE = 0x08,
    INITRD_ADDR = 0x0A,
    INITRD_SIZE = 0x0B,
    KERNEL_ENTRY = 0x10,
    KERNEL_DATA = 0x11,
    INITRD_DATA = 0x12,
    CMDLINE_SIZE = 0x14,
    CMDLINE_DATA = 0x15,
    SETUP_ADDR = 0x16,
    SETUP_SIZE = 0x17,
    SETUP_DATA = 0x18,
    SETUP_SECTORS = 3,
    IMAGE_SIZE = 5000,
};

static char dir[] = "/tmp/kernel_test.XXXXXX";
static struct qtest *q;

static const char *path_of(const char *name)
{
    static char path[64];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static void write_file(const char *name, const void *data, size_t size)
{
    FILE *f = fopen(path_of(name), "w");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

static void put32(uint8_t *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, 4);
}

/* A bzImage: a boot sector, SETUP_SECTORS of setup, the image. */
static size_t make_linux(uint8_t *file, unsigned version)
{
    size_t setup = 512 * (SETUP_SECTORS + 1);

    memset(file, 0, setup);
    file[0x1F1] = SETUP_SECTORS;
    file[0x1FE] = 0x55;
    file[0x1FF] = 0xAA;
    memcpy(file + 0x202, "HdrS", 4);
    file[0x206] = version;
    file[0x207] = version >> 8;
    file[0x211] = 1;
    put32(file + 0x22C, 0x7FFFFFFF);
    put32(file + 0x238, 100);
    put32(file + 0x260, 0x200000);
    for (size_t i = 0; i < IMAGE_SIZE; i++)
        file[setup + i] = i * 7;
    return setup + IMAGE_SIZE;
}

/* A multiboot kernel by its header's addresses: 256 bytes at 2 MiB, 512 with its .bss. */
static size_t make_multiboot(uint8_t *file)
{
    const uint32_t header[] = {0x1BADB002, 0x10003,        -(0x1BADB002 + 0x10003u), 0x200010,
                               0x200000,   0x200000 + 256, 0x200000 + 512,           0x200044};

    memset(file, 0xEE, 256);
    for (unsigned i = 0; i < 8; i++)
        put32(file + 16 + 4 * i, header[i]);
    return 256;
}

static void read_item(uint16_t key, void *data, size_t size)
{
    qtest_outw(q, SELECTOR, key);
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)data)[i] = qtest_inb(q, DATA);
}

static uint32_t number(uint16_t key)
{
    uint32_t value;

    read_item(key, &value, 4);
    return le32toh(value);
}

static void linux_is_taken_apart(void **state)
{
    uint8_t file[8192], setup[2048], data[64];
    size_t size = make_linux(file, 0x20F);

    write_file("bz", file, size);
    write_file("initrd", "an initial RAM disk", 19);
    q = qtest_startf("-nodefaults -m 64 -kernel %s/bz -initrd %s/initrd -append 'root=/dev/sda quiet'", dir,
                     dir);
    assert_int_equal(number(SETUP_ADDR), 0x10000);
    assert_int_equal(number(SETUP_SIZE), 2048);
    read_item(SETUP_DATA, setup, sizeof(setup));
    assert_int_equal(setup[0x210], 0xFF);
    assert_int_equal(setup[0x211], 0x81);
    assert_memory_equal(setup + 0x228, "\0\0\2\0", 4); /* the command line at 0x20000 */
    assert_int_equal(number(KERNEL_ADDR), 0x100000);
    assert_int_equal(number(KERNEL_SIZE), IMAGE_SIZE);
    read_item(KERNEL_DATA, data, sizeof(data));
    assert_memory_equal(data, file + 2048, sizeof(data));
    assert_int_equal(number(CMDLINE_SIZE), 20);
    read_item(CMDLINE_DATA, data, 20);
    assert_string_equal((char *)data, "root=/dev/sda quiet");
    assert_int_equal(number(INITRD_SIZE), 19);
    assert_int_equal(number(INITRD_ADDR), (63 << 20) - 4096);
    assert_int_equal(setup[0x21A] << 16 | setup[0x219] << 8, number(INITRD_ADDR) & 0xFFFFFF);
    read_item(INITRD_DATA, data, 19);
    assert_memory_equal(data, "an initial RAM disk", 19);
    assert_int_equal(number(KERNEL_ENTRY), 0);
    qtest_stop(q);
}

static void multiboot_kernels_get_modules(void **state)
{
    uint8_t file[256], info[128], data[4];
    size_t size = make_multiboot(file);
    uint32_t at, module;

    write_file("mb", file, size);
    write_file("one", "module 1", 8);
    write_file("two", "2", 1);
    q = qtest_startf("-nodefaults -m 64 -kernel %s/mb -initrd '%s/one with words,,x,%s/two' -append hello",
                     dir, dir, dir);
    assert_int_equal(number(KERNEL_ENTRY), 0x200044);
    assert_int_equal(number(KERNEL_ADDR), 0x200000);
    assert_int_equal(number(KERNEL_SIZE), 512);
    read_item(KERNEL_DATA, info, sizeof(info));
    assert_memory_equal(info, file, sizeof(info));
    at = number(INITRD_ADDR);
    assert_int_equal(at, 0x201000);
    read_item(INITRD_DATA, info, sizeof(info));
    assert_int_equal(le32toh(*(uint32_t *)info), 1 | 4 | 8 | 64 | 512);
    assert_int_equal(le32toh(*(uint32_t *)(info + 20)), 2);
    assert_int_equal(le32toh(*(uint32_t *)(info + 24)), at + 88);
    module = le32toh(*(uint32_t *)(info + 88));
    assert_int_equal(module % 4096, 0);
    assert_int_equal(le32toh(*(uint32_t *)(info + 92)), module + 8);
    qtest_outw(q, SELECTOR, INITRD_DATA);
    for (uint32_t i = at; i < module; i++)
        qtest_inb(q, DATA);
    for (unsigned i = 0; i < 4; i++)
        data[i] = qtest_inb(q, DATA);
    assert_memory_equal(data, "modu", 4);
    qtest_stop(q);
}

static void expect_refused(const char *args, const char *word)
{
    char *text, line[512];

    snprintf(line, sizeof(line), args, dir, dir);
    assert_int_not_equal(qtest_start_failing(line, &text), 0);
    if (!strstr(text, word) || strchr(text, '\n') != text + strlen(text) - 1)
        fail_msg("%s: said: %s", line, text);
    free(text);
}

static void bad_kernels_are_refused(void **state)
{
    uint8_t file[8192], zeros[4096] = {0};
    size_t size = make_linux(file, 0x20F);

    expect_refused("-nodefaults -accel qtest -kernel %s/nothing", "nothing");
    write_file("zeros", zeros, sizeof(zeros));
    expect_refused("-nodefaults -accel qtest -kernel %s/zeros", "neither a bzImage nor a multiboot kernel");
    write_file("short", file, 2048);
    expect_refused("-nodefaults -accel qtest -kernel %s/short", "cut short");
    write_file("bz", file, size);
    expect_refused("-nodefaults -accel qtest -kernel %s/bz -append "
                   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                   "xxxxxxxxxxxxxxxx",
                   "this kernel takes 100");
    expect_refused("-nodefaults -accel qtest -m 3 -kernel %s/bz", "too few");
    expect_refused("-nodefaults -accel qtest -kernel %s/bz -initrd %s/nothing", "-initrd");
    expect_refused("-nodefaults -accel qtest -initrd %s/bz", "without -kernel");
    make_linux(file, 0x201);
    write_file("old", file, size);
    expect_refused("-nodefaults -accel qtest -kernel %s/old", "boot protocol 2.01");
    make_linux(file, 0x20F);
    file[0x211] = 0;
    write_file("zimage", file, size);
    expect_refused("-nodefaults -accel qtest -kernel %s/zimage", "zImage");
    make_multiboot(file);
    put32(file + 16 + 20, 0x300000); /* it ends beyond the file */
    write_file("mb", file, 256);
    expect_refused("-nodefaults -accel qtest -kernel %s/mb", "do not fit");
    make_multiboot(file);
    put32(file + 16 + 16, 0x80000); /* it begins in the first MiB, and before the file does */
    write_file("mb", file, 256);
    expect_refused("-nodefaults -accel qtest -kernel %s/mb", "do not fit");
    make_multiboot(file);
    put32(file + 16 + 24, 0xFFFFFFFF); /* more .bss than there is memory */
    write_file("mb", file, 256);
    expect_refused("-nodefaults -accel qtest -m 64 -kernel %s/mb", "too few");
}

static int set_up(void **state)
{
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[64];

    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linux_is_taken_apart),
        cmocka_unit_test(multiboot_kernels_get_modules),
        cmocka_unit_test(bad_kernels_are_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
