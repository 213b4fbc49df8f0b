/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fw_cfg and the firmware debug port, as SeaBIOS and Linux' qemu_fw_cfg use them. */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/cmocka.h"
#include "tests/lib/qtest.h"

enum {
    SELECTOR = 0x510,
    DATA = 0x511,
    DMA_HIGH = 0x514,
    DMA_LOW = 0x518,
    KEY_DIR = 0x19,
    DMA_ERROR = 1,
    DMA_READ = 2,
    DMA_SKIP = 4,
    DMA_SELECT = 8,
    DMA_WRITE = 16,
    REQUEST = 0x200000, /* where our DMA requests lie */
    BUFFER = 0x201000,
};

static struct qtest *start(void **state)
{
    return *state = qtest_start("-nodefaults -vga none -m 128 -smp 3,maxcpus=3");
}

static void read_item(struct qtest *q, uint16_t key, void *data, size_t size)
{
    qtest_outw(q, SELECTOR, key);
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)data)[i] = qtest_inb(q, DATA);
}

static uint64_t read_number(struct qtest *q, uint16_t key, size_t size)
{
    uint64_t value = 0;

    read_item(q, key, &value, size);
    return le64toh(value);
}

struct entry {
    uint32_t size;
    uint16_t select, reserved;
    char name[56];
};

/* The directory's entry, by name; size 0: not there. */
static struct entry find(struct qtest *q, const char *name)
{
    uint32_t count;
    struct entry entry, previous = {0}, found = {0};

    read_item(q, KEY_DIR, &count, 4);
    count = be32toh(count);
    assert_in_range(count, 0, 64);
    qtest_outw(q, SELECTOR, KEY_DIR);
    for (int i = 0; i < 4; i++)
        qtest_inb(q, DATA);
    for (uint32_t i = 0; i < count; i++) {
        for (size_t n = 0; n < sizeof(entry); n++)
            ((uint8_t *)&entry)[n] = qtest_inb(q, DATA);
        assert_true(memchr(entry.name, 0, sizeof(entry.name)) != NULL);
        assert_true(strcmp(previous.name, entry.name) < 0);
        assert_true(be16toh(entry.select) >= 0x20);
        previous = entry;
        if (!strcmp(entry.name, name))
            found = entry;
    }
    found.size = be32toh(found.size);
    found.select = be16toh(found.select);
    return found;
}

static uint32_t dma(struct qtest *q, uint32_t control, uint32_t length, uint64_t address)
{
    qtest_writel(q, REQUEST, htobe32(control));
    qtest_writel(q, REQUEST + 4, htobe32(length));
    qtest_writeq(q, REQUEST + 8, htobe64(address));
    qtest_outl(q, DMA_LOW, htobe32(REQUEST));
    return be32toh(qtest_readl(q, REQUEST));
}

static void signature_and_id(void **state)
{
    struct qtest *q = start(state);
    char signature[4];

    read_item(q, 0, signature, 4);
    assert_memory_equal(signature, "QEMU", 4);
    assert_int_equal(read_number(q, 1, 4), 3);
}

static void dma_port_shows_its_signature(void **state)
{
    struct qtest *q = start(state);

    assert_int_equal(qtest_inl(q, DMA_HIGH), 0x554D4551); /* "QEMU" */
    assert_int_equal(qtest_inl(q, DMA_LOW), 0x47464320);  /* " CFG" */
}

static void machine_facts(void **state)
{
    struct qtest *q = start(state);

    assert_int_equal(read_number(q, 3, 8), 128 << 20);
    assert_int_equal(read_number(q, 5, 2), 3);
    assert_int_equal(read_number(q, 0x0F, 2), 3);
    assert_int_equal(read_number(q, 0x0E, 2), 0);
    assert_int_equal(read_number(q, 0x8002, 4), 1);
}

static void memory_map_file(void **state)
{
    struct qtest *q = start(state);
    struct entry e820 = find(q, "etc/e820");
    struct {
        uint64_t base, length;
        uint32_t type;
    } __attribute__((packed)) range;
    uint64_t ram = 0;

    assert_true(e820.size >= sizeof(range) && e820.size % sizeof(range) == 0);
    qtest_outw(q, SELECTOR, e820.select);
    for (uint32_t at = 0; at < e820.size; at += sizeof(range)) {
        for (size_t n = 0; n < sizeof(range); n++)
            ((uint8_t *)&range)[n] = qtest_inb(q, DATA);
        if (le32toh(range.type) == 1)
            ram += le64toh(range.length);
    }
    assert_int_equal(ram, 128 << 20);
}

static void boot_wishes(void **state)
{
    struct qtest *q = *state =
        qtest_start("-nodefaults -vga none -boot menu=on,splash-time=500,reboot-timeout=15");
    struct entry wait = find(q, "etc/boot-menu-wait"), retry = find(q, "etc/boot-fail-wait");

    assert_int_equal(read_number(q, 0x0E, 2), 1);
    assert_int_equal(wait.size, 2);
    assert_int_equal(read_number(q, wait.select, 2), 500);
    assert_int_equal(retry.size, 4);
    assert_int_equal(read_number(q, retry.select, 4), 15);
}

static void without_boot_wishes(void **state)
{
    struct qtest *q = start(state);
    struct entry retry = find(q, "etc/boot-fail-wait");

    assert_int_equal(find(q, "etc/boot-menu-wait").size, 0);
    assert_int_equal(retry.size, 4);
    assert_int_equal(read_number(q, retry.select, 4), 0xFFFFFFFF); /* never */
}

static void beyond_an_item_are_zeroes(void **state)
{
    struct qtest *q = start(state);
    uint8_t data[16];

    read_item(q, 0, data, sizeof(data));
    for (int i = 4; i < 16; i++)
        assert_int_equal(data[i], 0);
}

/* CVE-2016-1714: a key that does not exist must not index anything. */
static void cve_2016_1714_invalid_keys_are_harmless(void **state)
{
    struct qtest *q = start(state);

    for (unsigned key = 0; key < 0x10000; key += key < 0x200 || (key & 0x3FFF) < 0x40 ? 1 : 0x3D) {
        qtest_outw(q, SELECTOR, key);
        qtest_inb(q, DATA);
        qtest_outb(q, DATA, 0x5A);
        qtest_inw(q, DATA);
    }
    for (unsigned key = 0x3FF0; key < 0x4000; key++)
        assert_int_equal(read_number(q, key, 8), 0);
    assert_int_equal(read_number(q, 0xFFFF, 8), 0);
    assert_int_equal(read_number(q, 3, 8), 128 << 20);
}

static void nothing_can_be_written(void **state)
{
    struct qtest *q = start(state);

    qtest_outw(q, SELECTOR, 0);
    for (int i = 0; i < 4; i++)
        qtest_outb(q, DATA, 'X');
    qtest_outw(q, SELECTOR, 0x4000); /* the write channel of old */
    for (int i = 0; i < 4; i++)
        qtest_outb(q, DATA, 'X');
    qtest_writel(q, BUFFER, 0x58585858);
    assert_int_equal(dma(q, DMA_SELECT | DMA_WRITE, 4, BUFFER), DMA_ERROR);
    assert_int_equal(read_number(q, 0, 4), 0x554D4551);
}

static void dma_read_select_skip(void **state)
{
    struct qtest *q = start(state);

    qtest_writeq(q, BUFFER, UINT64_MAX);
    assert_int_equal(dma(q, 3 << 16 | DMA_SELECT | DMA_READ, 8, BUFFER), 0);
    assert_int_equal(qtest_readq(q, BUFFER), 128 << 20);
    /* skip one byte of the signature, read two, the last by port */
    assert_int_equal(dma(q, DMA_SELECT | DMA_SKIP, 1, 0), 0);
    qtest_writel(q, BUFFER, 0);
    assert_int_equal(dma(q, DMA_READ, 2, BUFFER), 0);
    assert_int_equal(qtest_readl(q, BUFFER), 'E' | 'M' << 8);
    assert_int_equal(qtest_inb(q, DATA), 'U');
    /* a select alone */
    assert_int_equal(dma(q, 1 << 16 | DMA_SELECT, 0, 0), 0);
    assert_int_equal(qtest_inb(q, DATA), 3);
}

static void dma_fills_with_zeroes_beyond_an_item(void **state)
{
    struct qtest *q = start(state);

    qtest_memset(q, BUFFER, 0xEE, 0x3000);
    assert_int_equal(dma(q, DMA_SELECT | DMA_READ, 0x2FFF, BUFFER), 0);
    assert_int_equal(qtest_readl(q, BUFFER), 0x554D4551);
    assert_int_equal(qtest_readl(q, BUFFER + 4), 0);
    assert_int_equal(qtest_readl(q, BUFFER + 0x2FFB), 0);
    assert_int_equal(qtest_readb(q, BUFFER + 0x2FFF), 0xEE);
}

static void dma_request_above_4_gib(void **state)
{
    struct qtest *q = start(state);

    /* The high half is kept until the low half comes, and only for that request. */
    qtest_outl(q, DMA_HIGH, htobe32(1));
    assert_int_equal(dma(q, DMA_SELECT | DMA_READ, 4, BUFFER), DMA_SELECT | DMA_READ); /* not seen */
    assert_int_equal(dma(q, DMA_SELECT | DMA_READ, 4, BUFFER), 0);
}

/* DMA reaches guest RAM only: not a device, not beyond the end, and never the whole address space. */
static void dma_to_other_places_is_an_error(void **state)
{
    static const uint64_t places[] = {
        0xA0000, 0x7FFFFFE, 0x8000000, 0xFEC00000, 0xFFFF0000, 0xFFFFFFFFFFFFFFFE, 0x8000000000000000,
    };
    struct qtest *q = start(state);

    if (qtest_is_qemu(q))
        skip();
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        assert_int_equal(dma(q, DMA_SELECT | DMA_READ, 4, places[i]), DMA_ERROR);
    assert_int_equal(dma(q, DMA_SELECT | DMA_READ, 0xFFFFFFFF, BUFFER), DMA_ERROR);
    assert_int_equal(dma(q, DMA_SELECT | DMA_READ, 32 << 20, BUFFER),
                     DMA_ERROR); /* more zeroes than any file has */
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        qtest_outl(q, DMA_HIGH, htobe32(places[i] >> 32));
        qtest_outl(q, DMA_LOW, htobe32(places[i]));
    }
    /* A request that lies on its own buffer. */
    assert_int_equal(dma(q, DMA_SELECT | DMA_READ, 16, REQUEST), 0);
    assert_int_equal(dma(q, DMA_SELECT | DMA_SKIP, 0xFFFFFFFF, 0), 0);
    assert_int_equal(dma(q, DMA_SKIP, 0xFFFFFFFF, 0), 0);
    assert_int_equal(qtest_inb(q, DATA), 0);
}

static void memory_above_4_gib(void **state)
{
    struct qtest *q = *state = qtest_start("-nodefaults -vga none -m 5G");

    assert_int_equal(read_number(q, 3, 8), 5ull << 30);
    assert_true(find(q, "etc/e820").size >= 40);
}

static void debug_port_says_it_is_there(void **state)
{
    struct qtest *q = *state = qtest_start("-nodefaults -vga none");

    if (qtest_is_qemu(q))
        skip();
    assert_int_equal(qtest_inb(q, 0x402), 0xE9);
    qtest_outb(q, 0x402, 'x');
}

static void debug_port_writes_to_its_chardev(void **state)
{
    const char *path = qtest_temp_file("log", 0);
    char text[16] = "";
    struct qtest *q = *state = qtest_startf(
        "-nodefaults -vga none -chardev file,id=fw,path=%s -device isa-debugcon,iobase=0x402,chardev=fw",
        path);
    FILE *file;

    assert_int_equal(qtest_inb(q, 0x402), 0xE9);
    for (const char *c = "Hello\n"; *c; c++)
        qtest_outb(q, 0x402, *c);
    json_decref(qtest_qmp(q, "{'execute': 'query-status'}"));
    file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fread(text, 1, sizeof(text), file), 6);
    fclose(file);
    assert_string_equal(text, "Hello\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        qtest_unit_test(signature_and_id),
        qtest_unit_test(dma_port_shows_its_signature),
        qtest_unit_test(machine_facts),
        qtest_unit_test(memory_map_file),
        qtest_unit_test(boot_wishes),
        qtest_unit_test(without_boot_wishes),
        qtest_unit_test(beyond_an_item_are_zeroes),
        qtest_unit_test(cve_2016_1714_invalid_keys_are_harmless),
        qtest_unit_test(nothing_can_be_written),
        qtest_unit_test(dma_read_select_skip),
        qtest_unit_test(dma_fills_with_zeroes_beyond_an_item),
        qtest_unit_test(dma_request_above_4_gib),
        qtest_unit_test(dma_to_other_places_is_an_error),
        qtest_unit_test(memory_above_4_gib),
        qtest_unit_test(debug_port_says_it_is_there),
        qtest_unit_test(debug_port_writes_to_its_chardev),
    };

    return cmocka_run_group_tests_name("fw_cfg", tests, NULL, NULL);
}
