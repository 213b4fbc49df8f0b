/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2 images that mean harm: one of 512-byte clusters, changed anywhere. */
#include "tests/fuzz/image_memory.h"

enum { CLUSTER = 512, DISK = 128 * 1024 };
/* Clusters of the good image */
enum { AT_HEADER, AT_TABLE, AT_COUNTS, AT_L1, AT_L2, AT_DATA, AT_PACKED = AT_DATA + 4, CLUSTERS };

/* What deflate makes of a cluster of zeroes. */
static const uint8_t packed[] = {0x63, 0x60, 0x18, 0x05, 0xa3, 0x60, 0x14, 0x0c, 0x77, 0x00, 0x00};

static void make_image(bool version_3, bool dirty)
{
    uint8_t *h = memory_file.bytes;

    memset(h, 0, MEMORY_ROOM);
    memory_file.size = CLUSTERS * CLUSTER;
    put_be32(h, 0x514649fb);
    put_be32(h + 4, version_3 ? 3 : 2);
    put_be32(h + 20, 9);
    put_be64(h + 24, DISK);
    put_be32(h + 36, DISK / CLUSTER / 64);
    put_be64(h + 40, AT_L1 * CLUSTER);
    put_be64(h + 48, AT_TABLE * CLUSTER);
    put_be32(h + 56, 1);
    put_be32(h + 96, 4);
    put_be32(h + 100, 104);
    if (version_3 && dirty)
        put_be64(h + 72, 1);
    put_be64(h + AT_TABLE * CLUSTER, AT_COUNTS * CLUSTER);
    for (unsigned i = 0; i < CLUSTERS; i++)
        put_be16(h + AT_COUNTS * CLUSTER + i * 2, 1);
    put_be64(h + AT_L1 * CLUSTER, 1ull << 63 | AT_L2 * CLUSTER);
    for (unsigned i = 0; i < 4; i++)
        put_be64(h + AT_L2 * CLUSTER + i * 8, 1ull << 63 | (AT_DATA + i) * CLUSTER);
    put_be64(h + AT_L2 * CLUSTER + 5 * 8, 1ull << 62 | AT_PACKED * CLUSTER);
    memcpy(h + AT_PACKED * CLUSTER, packed, sizeof(packed));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = data + size;

    if (!size)
        return 0;
    make_image(data[0] & 1, data[0] & 2);
    /* No names of other files: the fuzzer's host is not part of the test. */
    json_t *options =
        json_pack("{s:s, s:s, s:b}", "driver", "qcow2", "backing", "", "read-only", data[0] >> 2 & 1);
    memory_run(options, memory_change(data + 1, end), end);
    return 0;
}
