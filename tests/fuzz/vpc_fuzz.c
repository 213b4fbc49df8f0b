/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VHDs that mean harm: a small one, changed anywhere, with its checksums right again. */
#include "tests/fuzz/image_memory.h"

enum { BLOCK = 4096, DISK = 64 * 1024, AT_HEADER = 512, AT_TABLE = 1536, AT_NAME = 2048, AT_BLOCK = 2560 };
enum { AT_FOOTER = AT_BLOCK + 512 + BLOCK };

static void put_sum(uint8_t *data, size_t length, size_t at)
{
    uint32_t sum = 0;

    put_be32(data + at, 0);
    for (size_t i = 0; i < length; i++)
        sum += data[i];
    put_be32(data + at, ~sum);
}

static void make_image(uint32_t type)
{
    uint8_t *f = memory_file.bytes, *h = f + AT_HEADER;

    memset(f, 0, MEMORY_ROOM);
    memory_file.size = AT_FOOTER + 512;
    memcpy(f, "conectix", 8);
    put_be32(f + 12, 0x10000);
    put_be64(f + 16, AT_HEADER);
    put_be64(f + 48, type == 2 ? 4096 : DISK);
    put_be32(f + 60, type);
    memcpy(h, "cxsparse", 8);
    put_be64(h + 16, AT_TABLE);
    put_be32(h + 28, DISK / BLOCK);
    put_be32(h + 32, BLOCK);
    put_be32(h + 576, 0x4d616358);
    put_be32(h + 584, 12);
    put_be64(h + 592, AT_NAME);
    memset(f + AT_TABLE, 0xff, DISK / BLOCK * 4);
    put_be32(f + AT_TABLE + 4, AT_BLOCK / 512);
    strcpy((char *)f + AT_NAME, "file://./x");
    f[AT_BLOCK] = 0xF1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = data + size, *requests;
    json_t *options;

    if (!size)
        return 0;
    make_image(2 + data[0] % 3);
    requests = memory_change(data + 1, end);
    put_sum(memory_file.bytes, 512, 64);
    put_sum(memory_file.bytes + AT_HEADER, 1024, 36);
    if (!(data[0] & 0x80)) /* else only the copy at the beginning is there */
        memcpy(memory_file.bytes + AT_FOOTER, memory_file.bytes, 512);
    /* The parent is never looked for by its name. */
    options = json_pack("{s:s, s:s, s:b}", "driver", "vpc", "backing.driver", "null-co", "read-only",
                        data[0] >> 6 & 1);
    memory_run(options, requests, end);
    return 0;
}
