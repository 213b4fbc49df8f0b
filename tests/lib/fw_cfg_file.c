/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/fw_cfg_file.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/cmocka.h"

enum {
    DMA_LOW = 0x518,
    KEY_DIR = 0x19,
    DMA_READ_SELECT = 2 | 8,
    REQUEST = 0x200000,
    BUFFER = 0x201000,
    MAX_SIZE = 0x20000,
};

void fw_cfg_read_item(struct qtest *q, uint16_t key, void *data, uint32_t size)
{
    qtest_writel(q, REQUEST, htobe32((uint32_t)key << 16 | DMA_READ_SELECT));
    qtest_writel(q, REQUEST + 4, htobe32(size));
    qtest_writeq(q, REQUEST + 8, htobe64(BUFFER));
    qtest_outl(q, DMA_LOW, htobe32(REQUEST));
    assert_int_equal(qtest_readl(q, REQUEST), 0);
    qtest_memread(q, BUFFER, data, size);
}

static uint8_t *read_entry(struct qtest *q, const uint8_t *entry, uint16_t *key, uint32_t *size)
{
    uint32_t length = entry[0] << 24 | entry[1] << 16 | entry[2] << 8 | entry[3];
    uint16_t select = entry[4] << 8 | entry[5];
    uint8_t *data;

    assert_in_range(length, 0, MAX_SIZE);
    data = calloc(1, length + 1);
    if (length)
        fw_cfg_read_item(q, select, data, length);
    if (key)
        *key = select;
    if (size)
        *size = length;
    return data;
}

uint8_t *fw_cfg_read_file(struct qtest *q, const char *name, uint16_t *key, uint32_t *size)
{
    static uint8_t directory[4 + 64 * 64];

    fw_cfg_read_item(q, KEY_DIR, directory, sizeof(directory));
    for (uint32_t i = 0; i < be32toh(*(uint32_t *)directory); i++)
        if (!strcmp((const char *)directory + 4 + 64 * i + 8, name))
            return read_entry(q, directory + 4 + 64 * i, key, size);
    return NULL;
}
