/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ATAPI CD drive, through the test port. HVM_DM=qemu-system-x86_64 holds the expectations that are no
 * matter of taste against a stock QEMU.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hw/ide/atapi.h"
#include "tests/lib/cmocka.h"
#include "tests/lib/ideport.h"

enum { CD = 2048, SECTORS = 1000 };
#define READY (IDE_DRDY | IDE_DSC)

static struct ide ide;
static char iso[256];
static uint64_t buffer;

static void fill_sector(uint8_t *data, uint64_t number)
{
    uint32_t lba = number;

    for (unsigned i = 0; i < CD; i++)
        data[i] = lba * 29 + i * (1 + lba % 5) + i / 256;
    memcpy(data, &lba, sizeof(lba));
}

static void make_iso(uint64_t sectors, unsigned patterned)
{
    ide_make_image(iso, ".iso", CD, sectors, patterned, fill_sector);
}

static void begin(void **state)
{
    *state = ide.q;
    buffer = qtest_alloc(ide.q, 256 * 1024, 65536);
    ide_choose(&ide, 1, 0);
    ide_out(&ide, R_DEVICE, 0xA0);
}

#define CD_OPTIONS "-m 64 -nodefaults -drive if=none,id=cd0,media=cdrom,readonly=on"

static int start(void **state)
{
    make_iso(SECTORS, SECTORS);
    ide = ide_start(CD_OPTIONS ",file=%s,format=raw -device ide-cd,id=tray,drive=cd0,bus=ide.1,unit=0", iso);
    begin(state);
    return 0;
}

static int start_empty(void **state)
{
    ide = ide_start(CD_OPTIONS " -device ide-cd,id=tray,drive=cd0,bus=ide.1,unit=0");
    begin(state);
    return 0;
}

static int start_dvd(void **state)
{
    make_iso(2 << 20, 4); /* 4 GiB, sparse */
    ide = ide_start(CD_OPTIONS ",file=%s,format=raw -device ide-cd,id=tray,drive=cd0,bus=ide.1,unit=0", iso);
    begin(state);
    return 0;
}

#define OURS()                                                                                               \
    do {                                                                                                     \
        if (qtest_is_qemu(ide.q))                                                                            \
            skip();                                                                                          \
    } while (0)

/* Sends a packet and takes what comes by PIO; the bytes that came. The status is left in last_status. */
static uint8_t last_status;
static size_t packet_in(const uint8_t *cdb, void *data, size_t room)
{
    size_t n;

    ide_packet(&ide, cdb, 0xFFFE, false);
    n = ide_packet_data(&ide, data, room, &last_status);
    assert_int_equal(ide_in(&ide, R_COUNT), 3); /* the status phase: IO, CoD */
    return n;
}

#define PACKET(...) ((const uint8_t[12]){__VA_ARGS__})

static void assert_good(const uint8_t *cdb)
{
    uint8_t none[1];

    assert_int_equal(packet_in(cdb, none, 0), 0);
    assert_int_equal(last_status & ~IDE_DSC, IDE_DRDY);
}

/* key << 16 | code << 8 | qualifier of REQUEST SENSE */
static uint32_t sense(void)
{
    uint8_t b[18];

    assert_int_equal(packet_in(PACKET(0x03, 0, 0, 0, 18), b, 18), 18);
    assert_int_equal(last_status & IDE_ERR, 0);
    assert_int_equal(b[0] & 0x7F, 0x70);
    return b[2] << 16 | b[12] << 8 | b[13];
}

static void assert_check(const uint8_t *cdb, uint32_t expected)
{
    uint8_t none[1];

    assert_int_equal(packet_in(cdb, none, 0), 0);
    assert_int_equal(last_status & (IDE_BSY | IDE_DRQ | IDE_ERR), IDE_ERR);
    assert_int_equal(ide_in(&ide, R_ERROR) >> 4, expected >> 16);
    assert_int_equal(sense(), expected);
}

static void assert_sectors(const uint8_t *data, uint32_t lba, unsigned count)
{
    uint8_t expected[CD];

    for (unsigned i = 0; i < count; i++) {
        fill_sector(expected, lba + i);
        assert_memory_equal(data + (size_t)i * CD, expected, CD);
    }
}

static uint32_t be32(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];
}

static uint16_t be16(const uint8_t *b)
{
    return b[0] << 8 | b[1];
}

#define TEST_UNIT_READY PACKET(0x00)
#define READ_10(lba, n) PACKET(0x28, 0, 0, 0, (lba) >> 8, (lba)&0xFF, 0, (n) >> 8, (n)&0xFF)

/* ---- what kind of device ---- */

static void the_signature_of_a_packet_device(void **state)
{
    assert_int_equal(ide_in(&ide, R_COUNT), 1);
    assert_int_equal(ide_in(&ide, R_LOW), 1);
    assert_int_equal(ide_in(&ide, R_MID), 0x14);
    assert_int_equal(ide_in(&ide, R_HIGH), 0xEB);
    if (!qtest_is_qemu(ide.q))
        assert_int_equal(ide_alternate(&ide), 0);
    qtest_outb(ide.q, ide.control, 0x04);
    qtest_outb(ide.q, ide.control, 0x00);
    ide_wait(&ide);
    assert_int_equal(ide_in(&ide, R_MID), 0x14);
    assert_int_equal(ide_in(&ide, R_HIGH), 0xEB);
}

static void identify_device_is_refused_with_the_signature(void **state)
{
    static const uint8_t commands[] = {0xEC, 0x20};

    for (unsigned i = 0; i < 2; i++) {
        ide_out(&ide, R_MID, 0);
        ide_out(&ide, R_HIGH, 0);
        assert_int_equal(ide_simple(&ide, commands[i], 0, 1) & (IDE_ERR | IDE_DRQ), IDE_ERR);
        assert_int_equal(ide_in(&ide, R_ERROR), IDE_ABRT);
        assert_int_equal(ide_in(&ide, R_MID), 0x14);
        assert_int_equal(ide_in(&ide, R_HIGH), 0xEB);
    }
}

/* DOS CD drivers look at the interrupt reason before they take a block of data, of IDENTIFY as well. */
static void a2_identify_packet_device_tells_its_interrupt_reason(void **state)
{
    for (unsigned before = 0; before < 256; before += 0x55) {
        uint16_t data[256];

        ide_out(&ide, R_COUNT, before);
        ide_out(&ide, R_STATUS, 0xA1);
        assert_int_equal(ide_wait(&ide) & (IDE_DRQ | IDE_ERR), IDE_DRQ);
        assert_int_equal(ide_in(&ide, R_COUNT) & 3, 2);
        ide_read_data(&ide, data, sizeof(data));
    }
}

static void identify_packet_device(void **state)
{
    uint16_t w[256];
    char text[41];

    ide_identify(&ide, 0xA1, w);
    assert_int_equal(w[0] & 0xDF83, 0x8580); /* CD, removable, packets of 12 bytes */
    assert_int_equal(w[49] & 0x0300, 0x0300);
    assert_int_equal(w[63] & 7, 7);
    OURS();
    ide_text(w + 27, 20, text);
    assert_string_equal(text, "HVM-DM DVD-ROM");
    assert_int_equal(w[255] & 0xFF, 0xA5);
}

static void device_reset_command(void **state)
{
    ide_packet(&ide, READ_10(0, 4), 2048, false);
    ide_out(&ide, R_STATUS, 0x08);
    ide_wait(&ide);
    assert_int_equal(ide_in(&ide, R_MID), 0x14);
    assert_int_equal(ide_alternate(&ide) & (IDE_BSY | IDE_DRQ | IDE_ERR), 0);
    assert_good(TEST_UNIT_READY);
}

/* CVE-2015-6855: commands of disks on a packet device, and on one without a medium. */
static void cve_2015_6855_disk_commands(void **state)
{
    static const uint8_t commands[] = {0x10, 0x21, 0x24, 0x25, 0x27, 0x29, 0x30, 0x34,
                                       0x35, 0x40, 0x42, 0x70, 0x91, 0xB0, 0xC4, 0xC5,
                                       0xC6, 0xC8, 0xCA, 0xE4, 0xE7, 0xEA, 0xF8, 0x06};

    for (size_t i = 0; i < sizeof(commands); i++) {
        ide_lba48(&ide, commands[i], 0, 1);
        if (!qtest_is_qemu(ide.q))
            assert_int_equal(ide_wait(&ide) & (IDE_BSY | IDE_DRQ | IDE_ERR), IDE_ERR);
        ide_in(&ide, R_STATUS);
    }
    ide_out(&ide, R_DEVICE, 0xA0);
}

static void inquiry(void **state)
{
    uint8_t b[96];

    assert_int_equal(packet_in(PACKET(0x12, 0, 0, 0, 96), b, sizeof(b)), 36);
    assert_int_equal(b[0], 0x05);
    assert_int_equal(b[1], 0x80);
    assert_int_equal(b[4], 31);
    if (!qtest_is_qemu(ide.q))
        assert_memory_equal(b + 8, "HVM-DM  DVD-ROM         1.0 ", 28);
    assert_int_equal(packet_in(PACKET(0x12, 0, 0, 0, 5), b, sizeof(b)), 5); /* no more than allowed for */
    assert_good(PACKET(0x12, 0, 0, 0, 0));
}

static void vital_product_data(void **state)
{
    uint8_t b[96];

    OURS();
    assert_int_equal(packet_in(PACKET(0x12, 1, 0x00, 0, 96), b, sizeof(b)), 7);
    assert_memory_equal(b, "\x05\x00\x00\x03\x00\x80\x83", 7);
    assert_int_equal(packet_in(PACKET(0x12, 1, 0x80, 0, 96), b, sizeof(b)), 4 + 7);
    assert_memory_equal(b + 4, "HD00003", 7);
    packet_in(PACKET(0x12, 1, 0x83, 0, 96), b, sizeof(b));
    assert_int_equal(b[1], 0x83);
    assert_memory_equal(b + 8, "HVM-DM  HD00003", 15);
    assert_check(PACKET(0x12, 1, 0x55, 0, 96), 0x052400);
    assert_check(PACKET(0x12, 0, 0x80, 0, 96), 0x052400);
}

/* ---- reading ---- */

static void capacity(void **state)
{
    uint8_t b[8];

    assert_int_equal(packet_in(PACKET(0x25), b, 8), 8);
    assert_int_equal(be32(b), SECTORS - 1);
    assert_int_equal(be32(b + 4), CD);
}

static void read_by_pio(void **state)
{
    static uint8_t data[40 * CD];

    assert_int_equal(packet_in(READ_10(7, 1), data, sizeof(data)), CD);
    assert_sectors(data, 7, 1);
    assert_int_equal(packet_in(READ_10(100, 40), data, sizeof(data)), 40 * CD); /* more than the buffer */
    assert_sectors(data, 100, 40);
    assert_int_equal(packet_in(PACKET(0xA8, 0, 0, 0, 0, 9, 0, 0, 0, 3), data, sizeof(data)), 3 * CD);
    assert_sectors(data, 9, 3);
    assert_good(READ_10(5, 0));
}

/* Each block is as large as the byte count allows, whatever the sectors' size. */
static void byte_count_limits(void **state)
{
    static const uint16_t limits[] = {2048, 5120, 4098, 30, 0xFFFE, 0xFFFF, 2047, 0};
    static uint8_t data[50 * CD];

    for (unsigned i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        unsigned count = limits[i] == 30 ? 2 : 50, total = count * CD, done = 0;
        unsigned most = limits[i] ? limits[i] & ~1u : 0xFFFE;

        if (!limits[i] && qtest_is_qemu(ide.q))
            continue; /* it aborts */
        ide_packet(&ide, READ_10(20, count), limits[i], false);
        while (done < total) {
            unsigned expected = total - done < most ? total - done : most;

            ide_wait(&ide);
            assert_true(ide_irq(&ide) || done == 0);
            assert_int_equal(ide_finish_wait(&ide) & (IDE_DRQ | IDE_ERR), IDE_DRQ);
            assert_int_equal(ide_in(&ide, R_COUNT), 2);
            assert_int_equal(ide_in(&ide, R_MID) | ide_in(&ide, R_HIGH) << 8, expected);
            ide_read_data(&ide, data + done, expected);
            done += expected;
        }
        assert_int_equal(ide_finish_wait(&ide) & (IDE_DRQ | IDE_ERR), 0);
        assert_sectors(data, 20, count);
    }
}

static uint8_t dma(const uint8_t *cdb, const struct prd *table, unsigned n)
{
    ide_table(&ide, table, n);
    ide_packet(&ide, cdb, 0, true);
    ide_bm_start(&ide, true);
    return ide_bm_wait(&ide);
}

static void read_by_dma(void **state)
{
    const struct prd table[] = {{buffer, 3000}, {buffer + 4096, 0}, {buffer + 4096 + 65536, 12824 | PRD_EOT}};
    static uint8_t data[40 * CD];

    assert_int_equal(3000 + 65536 + 12824, 40 * CD - 560);
    assert_int_equal(dma(READ_10(100, 39), table, 3), BM_ACTIVE | BM_INTR);
    assert_true(ide_irq(&ide));
    assert_int_equal(ide_finish_wait(&ide) & (IDE_DRQ | IDE_ERR), 0);
    assert_int_equal(ide_in(&ide, R_COUNT), 3);
    qtest_memread(ide.q, buffer, data, 3000);
    qtest_memread(ide.q, buffer + 4096, data + 3000, 39 * CD - 3000);
    assert_sectors(data, 100, 39);
    const struct prd exact[] = {{buffer, CD | PRD_EOT}};
    assert_int_equal(dma(READ_10(1, 1), exact, 1), BM_INTR);
    ide_in(&ide, R_STATUS);
    assert_int_equal(dma(READ_10(1, 2), exact, 1), 0); /* too short */
    ide_out(&ide, R_STATUS, 0x08);
    assert_good(TEST_UNIT_READY);
}

static void replies_by_dma(void **state)
{
    const struct prd table[] = {{buffer, 20}, {buffer + 1024, 100 | PRD_EOT}};
    uint8_t a[20], b[16];

    assert_int_equal(dma(PACKET(0x12, 0, 0, 0, 36), table, 2), BM_ACTIVE | BM_INTR);
    assert_int_equal(ide_finish_wait(&ide) & (IDE_DRQ | IDE_ERR), 0);
    qtest_memread(ide.q, buffer, a, sizeof(a));
    qtest_memread(ide.q, buffer + 1024, b, sizeof(b));
    assert_int_equal(a[0], 0x05);
    assert_int_equal(a[4], 31);
    if (!qtest_is_qemu(ide.q))
        assert_memory_equal(b + 12, "1.0 ", 4);
}

static void dma_that_is_no_ram(void **state)
{
    const struct prd hole[] = {{0xE0000000, 0 | PRD_EOT}};

    OURS();
    assert_int_equal(dma(READ_10(1, 4), hole, 1) & (BM_ACTIVE | BM_ERROR), BM_ERROR);
    assert_int_equal(ide_finish_wait(&ide) & (IDE_DRQ | IDE_ERR), IDE_ERR);
    assert_int_equal(sense() >> 16, 0xB);
    assert_int_equal(dma(PACKET(0x12, 0, 0, 0, 36), hole, 1) & (BM_ACTIVE | BM_ERROR), BM_ERROR);
    assert_int_equal(ide_finish_wait(&ide) & IDE_ERR, IDE_ERR);
}

static void sectors_that_are_not_there(void **state)
{
    assert_check(READ_10(SECTORS, 1), 0x052100);
    assert_check(READ_10(SECTORS - 1, 2), 0x052100);
    assert_check(PACKET(0x28, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0xFF, 0xFF), 0x052100);
    assert_check(PACKET(0xA8, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF), 0x052100);
    assert_check(PACKET(0x2B, 0, 0, 1, 0, 0), 0x052100);
    assert_good(PACKET(0x2B, 0, 0, 0, 0, 1));
    OURS();
    assert_check(PACKET(0xBE, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x10), 0x052100);
    assert_good(PACKET(0x2F, 0, 0, 0, 0, 1, 0, 0, 1));
}

/* CVE-2020-29443: a reply goes on reading after the LBA became invalid. */
static void cve_2020_29443_no_reading_beyond_the_end(void **state)
{
    static uint8_t data[CD * 4];

    assert_int_equal(packet_in(READ_10(SECTORS - 2, 2), data, sizeof(data)), 2 * CD);
    assert_sectors(data, SECTORS - 2, 2);
    assert_check(PACKET(0x28, 0, 0xFF, 0xFF, 0xFF, 0xFE, 0, 0, 4), 0x052100);
    /* More reading of the port than there is data. */
    ide_packet(&ide, READ_10(0, 1), 2048, false);
    ide_wait(&ide);
    ide_read_data(&ide, data, CD);
    for (unsigned i = 0; i < 4096; i++)
        qtest_inw(ide.q, ide.command);
    assert_int_equal(ide_wait(&ide) & (IDE_DRQ | IDE_ERR), 0);
    assert_good(TEST_UNIT_READY);
}

static void read_cd(void **state)
{
    static uint8_t data[3 * 2352];
    const struct prd table[] = {{buffer, 0 | PRD_EOT}};

    assert_int_equal(packet_in(PACKET(0xBE, 0, 0, 0, 0, 16, 0, 0, 2, 0x10), data, sizeof(data)), 2 * CD);
    assert_sectors(data, 16, 2);
    assert_int_equal(packet_in(PACKET(0xBE, 0, 0, 0, 0, 16, 0, 0, 3, 0xF8), data, sizeof(data)), 3 * 2352);
    for (unsigned i = 0; i < 3; i++) {
        const uint8_t *raw = data + i * 2352;

        assert_memory_equal(raw, "\x00\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x00", 12);
        assert_int_equal(raw[12], 0x00); /* 00:02:16, in BCD, and the mode */
        assert_int_equal(raw[13], 0x02);
        assert_int_equal(raw[14], 0x16 + i);
        assert_int_equal(raw[15], 0x01);
        assert_sectors(raw + 16, 16 + i, 1);
    }
    assert_int_equal(dma(PACKET(0xBE, 0, 0, 0, 0, 20, 0, 0, 2, 0xF8), table, 1) & BM_INTR, BM_INTR);
    assert_int_equal(ide_finish_wait(&ide) & IDE_ERR, 0);
    qtest_memread(ide.q, buffer, data, 2 * 2352);
    assert_sectors(data + 2352 + 16, 21, 1);
    assert_good(PACKET(0xBE, 0, 0, 0, 0, 16, 0, 0, 2, 0x00));
    OURS();
    assert_int_equal(packet_in(PACKET(0xB9, 0, 0, 0, 2, 16, 0, 2, 17, 0x10), data, sizeof(data)), CD);
    assert_sectors(data, 16, 1);
    assert_check(PACKET(0xB9, 0, 0, 0, 2, 16, 0, 2, 15, 0x10), 0x052400);
    assert_check(PACKET(0xB9, 0, 0, 0, 0, 0, 0, 0, 1, 0x10), 0x052100);     /* in the pregap */
    assert_check(PACKET(0xBE, 0x04, 0, 0, 0, 16, 0, 0, 1, 0x10), 0x056400); /* as audio */
    assert_check(PACKET(0xBE, 0, 0, 0, 0, 16, 0, 0, 1, 0x10, 1), 0x052400); /* sub-channels */
    assert_check(PACKET(0xBE, 0, 0, 0, 0, 16, 0, 0, 1, 0x08), 0x052400);
}

/* Every code word of a framed sector holds: annex A of ECMA-130. */
static void parity_holds(const uint8_t *raw, unsigned vectors, unsigned length, unsigned stride,
                         unsigned step, const uint8_t *parity)
{
    for (unsigned v = 0; v < vectors; v++) {
        unsigned at = (v >> 1) * stride + (v & 1), size = vectors * length;
        uint8_t sum = 0, weighted = 0;

        for (unsigned i = 0; i < length + 2; i++) {
            uint8_t byte = i < length ? raw[12 + at] : parity[v + (i - length) * vectors];

            sum ^= byte;
            weighted = (weighted << 1 ^ (weighted & 0x80 ? 0x1D : 0)) ^ byte;
            at = (at + step) % size;
        }
        assert_int_equal(sum, 0);
        assert_int_equal(weighted, 0);
    }
}

static void framed_sectors_are_code_words(void **state)
{
    static uint8_t data[5 * CD_RAW_SECTOR];
    uint8_t zero[8] = {0};

    for (unsigned i = 0; i < 5; i++)
        fill_sector(data + i * CD, 74 + i);
    cd_frame_sectors(data, 5, 74);
    for (unsigned i = 0; i < 5; i++) {
        const uint8_t *raw = data + i * CD_RAW_SECTOR;
        uint32_t crc = 0;

        assert_sectors(raw + 16, 74 + i, 1);
        assert_int_equal(raw[13], i ? 0x03 : 0x02);
        assert_int_equal(raw[14], i ? i - 1 : 0x74);
        for (unsigned n = 0; n < 2068; n++) { /* over the data and the check itself: nothing is left */
            crc ^= raw[n];
            for (int bit = 0; bit < 8; bit++)
                crc = crc >> 1 ^ (crc & 1 ? 0xD8018001u : 0);
        }
        assert_int_equal(crc, 0);
        assert_memory_equal(raw + 2068, zero, 8);
        parity_holds(raw, 86, 24, 2, 86, raw + 2076);
        parity_holds(raw, 52, 43, 86, 88, raw + 2248);
    }
}

/* ---- what is on the disc ---- */

static void table_of_contents(void **state)
{
    uint8_t b[64];

    assert_int_equal(packet_in(PACKET(0x43, 0, 0, 0, 0, 0, 0, 0, 64), b, sizeof(b)), 20);
    assert_int_equal(be16(b), 18);
    assert_int_equal(b[2], 1);
    assert_int_equal(b[3], 1);
    assert_int_equal(b[5], 0x14);
    assert_int_equal(b[6], 1);
    assert_int_equal(be32(b + 8), 0);
    assert_int_equal(b[14], 0xAA);
    assert_int_equal(be32(b + 16), SECTORS);
    /* In minutes, seconds, frames: 1000 + 150 frames are 15 s and 25 frames. */
    assert_int_equal(packet_in(PACKET(0x43, 2, 0, 0, 0, 0, 0, 0, 64), b, sizeof(b)), 20);
    assert_memory_equal(b + 8, "\x00\x00\x02\x00", 4);
    assert_memory_equal(b + 16, "\x00\x00\x0F\x19", 4);
    assert_int_equal(packet_in(PACKET(0x43, 0, 0, 0, 0, 0, 0xAA, 0, 64), b, sizeof(b)),
                     12); /* lead-out only */
    assert_int_equal(b[6], 0xAA);
    assert_int_equal(packet_in(PACKET(0x43, 0, 1, 0, 0, 0, 0, 0, 64), b, sizeof(b)), 12); /* sessions */
    assert_int_equal(b[3], 1);
    assert_int_equal(packet_in(PACKET(0x43, 0, 0, 0, 0, 0, 0, 0, 64, 0x40), b, sizeof(b)),
                     12);                                           /* SFF-8020i */
    packet_in(PACKET(0x43, 0, 2, 0, 0, 0, 0, 0, 64), b, sizeof(b)); /* raw */
    assert_int_equal(b[7], 0xA0);
    assert_check(PACKET(0x43, 0, 0, 0, 0, 0, 2, 0, 64), 0x052400); /* no track 2 */
    assert_check(PACKET(0x43, 0, 5, 0, 0, 0, 0, 0, 64), 0x052400); /* no CD text */
    OURS();
    assert_int_equal(packet_in(PACKET(0x43, 0, 2, 0, 0, 0, 0, 0, 64), b, sizeof(b)), 4 + 4 * 11);
    assert_int_equal(b[4 + 2 * 11 + 3], 0xA2);
    assert_memory_equal(b + 4 + 2 * 11 + 8, "\x00\x0F\x19", 3);
}

static void information_about_the_disc(void **state)
{
    uint8_t b[64];

    assert_int_equal(packet_in(PACKET(0x51, 0, 0, 0, 0, 0, 0, 0, 64), b, sizeof(b)), 34);
    assert_int_equal(b[2], 0x0E);
    assert_int_equal(b[3], 1);
    OURS();
    assert_int_equal(packet_in(PACKET(0x52, 1, 0, 0, 0, 1, 0, 0, 64), b, sizeof(b)), 36);
    assert_int_equal(be32(b + 24), SECTORS);
    assert_check(PACKET(0x52, 1, 0, 0, 0, 2, 0, 0, 64), 0x052400);
    assert_check(PACKET(0x52, 0, 0, 0, 0xFF, 0, 0, 0, 64), 0x052400);
    assert_int_equal(packet_in(PACKET(0x42, 2, 0x40, 1, 0, 0, 0, 0, 64), b, sizeof(b)), 16);
    assert_int_equal(b[6], 1);
    assert_int_equal(packet_in(PACKET(0x42, 0, 0x40, 2, 0, 0, 0, 0, 64), b, sizeof(b)), 24);
    assert_int_equal(b[8], 0);
    assert_int_equal(packet_in(PACKET(0x42, 0, 0, 0, 0, 0, 0, 0, 64), b, sizeof(b)), 4);
    assert_int_equal(packet_in(PACKET(0x44, 0, 0, 0, 0, 7, 0, 0, 64), b, sizeof(b)), 8);
    assert_int_equal(b[0], 1);
    assert_int_equal(be32(b + 4), 7);
    assert_int_equal(packet_in(PACKET(0x23, 0, 0, 0, 0, 0, 0, 0, 64), b, sizeof(b)), 12);
    assert_int_equal(be32(b + 4), SECTORS);
    assert_check(PACKET(0xAD, 0, 0, 0, 0, 0, 0, 0, 0, 64), 0x053002); /* a CD has no DVD structures */
}

static void configuration(void **state)
{
    uint8_t b[256];
    size_t n = packet_in(PACKET(0x46, 0, 0, 0, 0, 0, 0, 1, 0), b, sizeof(b));
    unsigned at = 8, last = 0, count = 0;

    assert_int_equal(be32(b), n - 4);
    assert_int_equal(be16(b + 6), 0x0008); /* CD-ROM */
    while (at < n) {
        unsigned code = be16(b + at);

        assert_true(!count || code > last); /* ascending */
        last = code;
        count++;
        at += 4 + b[at + 3];
    }
    assert_int_equal(at, n);
    assert_true(count >= 3);
    n = packet_in(PACKET(0x46, 2, 0, 3, 0, 0, 0, 1, 0), b, sizeof(b)); /* one */
    assert_int_equal(be16(b + 8), 3);
    assert_int_equal(n, 8 + 4 + b[11]);
    OURS();
    n = packet_in(PACKET(0x46, 1, 0, 0, 0, 0, 0, 1, 0), b, sizeof(b)); /* current ones */
    for (at = 8; at < n; at += 4 + b[at + 3])
        assert_int_equal(b[at + 2] & 1, 1);
    assert_int_equal(packet_in(PACKET(0x46, 2, 0, 0x55, 0, 0, 0, 1, 0), b, sizeof(b)), 8); /* none such */
    assert_check(PACKET(0x46, 3, 0, 0, 0, 0, 0, 1, 0), 0x052400);
}

static void dvds(void **state)
{
    static uint8_t b[4096];

    assert_int_equal(packet_in(PACKET(0x46, 2, 0, 0, 0, 0, 0, 0, 64), b, sizeof(b)) > 0, 1);
    assert_int_equal(be16(b + 6), 0x0010); /* DVD-ROM */
    assert_int_equal(packet_in(PACKET(0xAD, 0, 0, 0, 0, 0, 0, 0, 0x10, 0), b, sizeof(b)), 2052);
    assert_int_equal(be16(b), 2050);
    assert_int_equal(be32(b + 8), 0x030000);
    assert_int_equal(be32(b + 12), 0x030000 + (2 << 20) - 1);
    assert_int_equal(packet_in(PACKET(0xAD, 0, 0, 0, 0, 0, 0, 1, 0, 8), b, sizeof(b)), 8);
    assert_int_equal(packet_in(PACKET(0xAD, 0, 0, 0, 0, 0, 0, 4, 0x10, 0), b, sizeof(b)), 2052);
    assert_check(PACKET(0xAD, 0, 0, 0, 0, 0, 0, 0x77, 0, 8), 0x052400);
    assert_int_equal(packet_in(PACKET(0x28, 0, 0, 0x1F, 0xFF, 0xFF, 0, 0, 1), b, sizeof(b)),
                     CD); /* the last */
    assert_int_equal(packet_in(READ_10(2, 1), b, sizeof(b)), CD);
    assert_sectors(b, 2, 1);
}

static void mode_pages(void **state)
{
    uint8_t b[256];
    size_t n = packet_in(PACKET(0x5A, 0, 0x2A, 0, 0, 0, 0, 0, 128), b, sizeof(b));

    assert_int_equal(be16(b), n - 2);
    assert_int_equal(b[8], 0x2A);
    assert_int_equal(b[9], n - 10);
    assert_int_equal(b[14] & 0x29, 0x29); /* tray, locks, ejects */
    n = packet_in(PACKET(0x5A, 0, 0x01, 0, 0, 0, 0, 0, 128), b, sizeof(b));
    assert_int_equal(b[8] & 0x3F, 0x01);
    assert_check(PACKET(0x5A, 0, 0xC0 | 0x2A, 0, 0, 0, 0, 0, 128), 0x053900); /* saved values */
    assert_check(PACKET(0x5A, 0, 0x30, 0, 0, 0, 0, 0, 128), 0x052400);
    OURS();
    n = packet_in(PACKET(0x5A, 0, 0x0E, 0, 0, 0, 0, 0, 128), b, sizeof(b));
    assert_int_equal(n, 8 + 16);
    n = packet_in(PACKET(0x5A, 0, 0x3F, 0, 0, 0, 0, 1, 0), b, sizeof(b)); /* all */
    assert_int_equal(n, 8 + 12 + 8 + 16 + 12 + 22);
    n = packet_in(PACKET(0x5A, 0, 0x40 | 0x01, 0, 0, 0, 0, 0, 128), b, sizeof(b)); /* changeable: nothing */
    for (unsigned i = 10; i < n; i++)
        assert_int_equal(b[i], 0);
    n = packet_in(PACKET(0x1A, 0, 0x2A, 0, 128), b, sizeof(b)); /* the short form */
    assert_int_equal(b[0], n - 1);
    assert_int_equal(b[4], 0x2A);
    assert_int_equal(packet_in(PACKET(0x5A, 0, 0x2A, 0, 0, 0, 0, 0, 4), b, sizeof(b)), 4);
}

/* Sends a parameter list by PIO in blocks of what the drive asks for. */
static uint8_t packet_out(const uint8_t *cdb, uint16_t limit, const uint8_t *data)
{
    uint8_t status;

    for (ide_packet(&ide, cdb, limit, false);;) {
        status = ide_finish_wait(&ide);
        if (!(status & IDE_DRQ))
            return status;
        unsigned n = ide_in(&ide, R_MID) | ide_in(&ide, R_HIGH) << 8;
        assert_int_equal(ide_in(&ide, R_COUNT), 0);
        ide_write_data(&ide, data, n);
        data += n;
    }
}

static void mode_select(void **state)
{
    uint8_t list[8 + 12 + 16] = {[8] = 0x01, [9] = 0x0A, [20] = 0x0E, [21] = 0x0E};
    const struct prd table[] = {{buffer, 20 | PRD_EOT}};

    OURS();
    assert_int_equal(packet_out(PACKET(0x55, 0x10, 0, 0, 0, 0, 0, 0, sizeof(list)), 0xFFFE, list) & IDE_ERR,
                     0);
    assert_int_equal(packet_out(PACKET(0x55, 0x10, 0, 0, 0, 0, 0, 0, sizeof(list)), 10, list) & IDE_ERR, 0);
    qtest_memwrite(ide.q, buffer, list, 20);
    ide_table(&ide, table, 1);
    ide_packet(&ide, PACKET(0x55, 0x10, 0, 0, 0, 0, 0, 0, 20), 0, true);
    ide_bm_start(&ide, false);
    assert_int_equal(ide_bm_wait(&ide), BM_INTR);
    assert_int_equal(ide_finish_wait(&ide) & IDE_ERR, 0);
    assert_good(PACKET(0x55, 0x10));
    /* A page that is cut off, one that is none, a list that is too short, block descriptors without end. */
    list[9] = 0x0B;
    assert_int_equal(packet_out(PACKET(0x55, 0x10, 0, 0, 0, 0, 0, 0, 20), 0xFFFE, list) & IDE_ERR, IDE_ERR);
    assert_int_equal(sense(), 0x051A00);
    list[8] = 0x33;
    assert_int_equal(packet_out(PACKET(0x55, 0x10, 0, 0, 0, 0, 0, 0, 36), 0xFFFE, list) & IDE_ERR, IDE_ERR);
    assert_int_equal(sense(), 0x052600);
    assert_int_equal(packet_out(PACKET(0x55, 0x10, 0, 0, 0, 0, 0, 0, 5), 0xFFFE, list) & IDE_ERR, IDE_ERR);
    assert_int_equal(sense(), 0x051A00);
    list[6] = list[7] = 0xFF;
    assert_int_equal(packet_out(PACKET(0x55, 0x10, 0, 0, 0, 0, 0, 0, 36), 0xFFFE, list) & IDE_ERR, IDE_ERR);
    assert_int_equal(sense(), 0x051A00);
    /* The longest list that can be said: all of it is taken, nothing beyond. */
    static uint8_t zeros[65536];
    assert_int_equal(packet_out(PACKET(0x55, 0x10, 0, 0, 0, 0, 0, 0xFF, 0xFF), 0xFFFE, zeros) & IDE_ERR,
                     IDE_ERR);
}

static void commands_without_data(void **state)
{
    assert_good(TEST_UNIT_READY);
    assert_good(PACKET(0x1B, 0, 0, 0, 1)); /* start */
    assert_good(PACKET(0x1B, 0, 0, 0, 0)); /* stop */
    assert_good(PACKET(0xBB, 0, 0xFF, 0xFF, 0xFF, 0xFF));
    OURS();
    assert_good(PACKET(0x01));
    assert_good(PACKET(0x35));
    assert_good(PACKET(0x4E));
    assert_good(PACKET(0x1B, 0, 0, 0, 0x30)); /* a power condition */
}

static void unknown_packets(void **state)
{
    static const uint8_t unknown[] = {0x02, 0x2A, 0x3B, 0x7F, 0x9E, 0xA0, 0xC0, 0xD8, 0xFF};

    for (size_t i = 0; i < sizeof(unknown); i++)
        assert_check(PACKET(unknown[i], 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF),
                     0x052000);
}

/* ---- tray and medium ---- */

static void an_empty_drive(void **state)
{
    uint8_t b[64];

    assert_check(TEST_UNIT_READY, qtest_is_qemu(ide.q) ? 0x023A00 : 0x023A01);
    assert_int_equal(sense(), 0); /* it is told once */
    OURS();
    assert_check(READ_10(0, 1), 0x023A01);
    assert_check(PACKET(0x25), 0x023A01);
    assert_check(PACKET(0x43, 0, 0, 0, 0, 0, 0, 0, 64), 0x023A01);
    assert_check(PACKET(0x51, 0, 0, 0, 0, 0, 0, 0, 64), 0x023A01);
    assert_int_equal(packet_in(PACKET(0x12, 0, 0, 0, 36), b, sizeof(b)), 36);
    assert_int_equal(packet_in(PACKET(0x46, 0, 0, 0, 0, 0, 0, 0, 8), b, sizeof(b)), 8);
    assert_int_equal(be16(b + 6), 0);
    assert_int_equal(packet_in(PACKET(0xBD, 0, 0, 0, 0, 0, 0, 0, 0, 8), b, sizeof(b)), 8);
    assert_int_equal(packet_in(PACKET(0x5A, 0, 0x2A, 0, 0, 0, 0, 0, 64), b, sizeof(b)), 30);
    assert_int_equal(b[2], 0x70);
    cve_2015_6855_disk_commands(state);
}

static void a_drive_without_a_slot_is_empty(void **state)
{
    ide = ide_start("-m 64 -nodefaults -device ide-cd,bus=ide.0");
    *state = ide.q;
    ide_out(&ide, R_DEVICE, 0xA0);
    assert_check(TEST_UNIT_READY, qtest_is_qemu(ide.q) ? 0x023A00 : 0x023A01);
}

static void the_guest_moves_the_tray(void **state)
{
    uint8_t b[8];

    assert_good(PACKET(0x1E, 0, 0, 0, 1)); /* prevent */
    assert_check(PACKET(0x1B, 0, 0, 0, 2), qtest_is_qemu(ide.q) ? 0x025302 : 0x055302);
    assert_good(PACKET(0x1E, 0, 0, 0, 0));
    assert_good(PACKET(0x1B, 0, 0, 0, 2)); /* eject */
    if (!qtest_is_qemu(ide.q))
        assert_check(TEST_UNIT_READY, 0x023A02);
    packet_in(PACKET(0xBD, 0, 0, 0, 0, 0, 0, 0, 0, 8), b, sizeof(b));
    if (!qtest_is_qemu(ide.q))
        assert_int_equal(b[1] & 0x10, 0x10);
    assert_good(PACKET(0x1B, 0, 0, 0, 3)); /* load */
    OURS();
    assert_check(TEST_UNIT_READY, 0x062800);
    assert_good(TEST_UNIT_READY);
}

/* GET EVENT STATUS NOTIFICATION of the media class: event << 8 | status */
static unsigned media_event(void)
{
    uint8_t b[8];

    assert_int_equal(packet_in(PACKET(0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8), b, 8), 8);
    assert_int_equal(be16(b), 6);
    assert_int_equal(b[2], 4);
    assert_int_equal(b[3] & 0x10, 0x10);
    return b[4] << 8 | b[5];
}

static void event_status(void **state)
{
    uint8_t b[8];

    assert_int_equal(media_event(), 0x0002);
    assert_int_equal(packet_in(PACKET(0x4A, 1, 0, 0, 0x40, 0, 0, 0, 8), b, 8), 4); /* a class there is not */
    assert_int_equal(b[2], 0x80);
    assert_check(PACKET(0x4A, 0, 0, 0, 0x10, 0, 0, 0, 8), 0x052400); /* asynchronous */
}

static void insert(const char *file)
{
    json_decref(qtest_qmp_ok(ide.q,
                             "{'execute': 'blockdev-change-medium', 'arguments': {'id': 'tray', "
                             "'filename': '%s', 'format': 'raw'}}",
                             file));
}

static json_t *eject(bool force)
{
    return qtest_qmp(ide.q, "{'execute': 'eject', 'arguments': {'id': 'tray', 'force': %s}}",
                     force ? "true" : "false");
}

static void assert_ejected(bool force)
{
    json_t *answer = eject(force);

    assert_non_null(json_object_get(answer, "return"));
    json_decref(answer);
}

static void the_medium_changes(void **state)
{
    uint8_t b[CD];

    assert_good(TEST_UNIT_READY);
    media_event();
    assert_ejected(false);
    OURS();
    assert_int_equal(media_event(), 0x0301); /* removed, the tray is open */
    assert_check(TEST_UNIT_READY, 0x023A02);
    make_iso(500, 500);
    insert(iso);
    /* Two steps: it is seen to be out, then to have changed. */
    assert_int_equal(media_event(), 0x0202);
    assert_check(TEST_UNIT_READY, 0x023A01);
    assert_check(TEST_UNIT_READY, 0x062800);
    assert_good(TEST_UNIT_READY);
    assert_int_equal(packet_in(PACKET(0x25), b, 8), 8);
    assert_int_equal(be32(b), 499);
    assert_int_equal(packet_in(READ_10(3, 1), b, CD), CD);
    assert_sectors(b, 3, 1);
}

/* As libxl does it, in a drive that the guest has opened: the new disc comes as a descriptor. */
static void a_disc_by_descriptor(void **state)
{
    uint8_t b[CD];
    json_t *answer;
    int fd;

    OURS();
    assert_good(PACKET(0x1B, 0, 0, 0, 2)); /* the guest opens the tray */
    assert_ejected(false);
    make_iso(40, 40);
    fd = open(iso, O_RDONLY);
    answer = qtest_qmp_fd(ide.q, fd, "{'execute': 'add-fd', 'arguments': {'opaque': 'raw:x'}}");
    assert_non_null(json_object_get(answer, "return"));
    json_decref(answer);
    close(fd);
    insert("/dev/fdset/0");
    assert_int_equal(media_event(), 0x0202);
    assert_check(TEST_UNIT_READY, 0x023A01);
    assert_check(TEST_UNIT_READY, 0x062800);
    assert_good(TEST_UNIT_READY);
    assert_int_equal(packet_in(READ_10(16, 1), b, CD), CD);
    assert_sectors(b, 16, 1);
}

static void attention_does_not_stop_inquiries(void **state)
{
    uint8_t b[64];

    OURS();
    make_iso(500, 0);
    insert(iso);
    assert_int_equal(packet_in(PACKET(0x12, 0, 0, 0, 36), b, sizeof(b)), 36);
    assert_check(PACKET(0x25), 0x023A01);
    assert_int_equal(packet_in(PACKET(0x46, 0, 0, 0, 0, 0, 0, 0, 8), b, sizeof(b)), 8);
    assert_int_equal(sense(), 0x062800); /* asked for, it is told, and then it is over */
    assert_good(TEST_UNIT_READY);
}

static void a_locked_tray(void **state)
{
    json_t *answer;

    assert_good(PACKET(0x1E, 0, 0, 0, 1));
    answer = eject(false);
    assert_non_null(json_object_get(answer, "error"));
    json_decref(answer);
    assert_good(TEST_UNIT_READY); /* the medium is still there */
    OURS();
    assert_int_equal(media_event(), 0x0102); /* somebody pressed the button */
    assert_int_equal(media_event(), 0x0002);
    assert_ejected(true);
    assert_check(TEST_UNIT_READY, 0x023A02);
    make_iso(500, 0);
    insert(iso); /* the lock went with the force */
    assert_check(TEST_UNIT_READY, 0x023A01);
}

static void a_medium_taken_while_it_is_read(void **state)
{
    uint8_t b[CD];

    OURS();
    ide_packet(&ide, READ_10(0, 100), 2048, false);
    ide_finish_wait(&ide);
    ide_read_data(&ide, b, CD);
    assert_ejected(true);
    assert_int_equal(ide_wait(&ide) & (IDE_DRQ | IDE_ERR), IDE_ERR);
    ide_in(&ide, R_STATUS);
    assert_int_equal(sense() >> 16, 2);
    assert_check(TEST_UNIT_READY, 0x023A02);
}

static void resets_keep_the_tray(void **state)
{
    OURS();
    assert_good(PACKET(0x1E, 0, 0, 0, 1));
    json_decref(qtest_qmp_ok(ide.q, "{'execute': 'system_reset'}"));
    json_decref(qtest_qmp_event(ide.q, "RESET"));
    assert_good(PACKET(0x1B, 0, 0, 0, 2)); /* the lock is gone, */
    json_decref(qtest_qmp_ok(ide.q, "{'execute': 'system_reset'}"));
    json_decref(qtest_qmp_event(ide.q, "RESET"));
    assert_check(TEST_UNIT_READY, 0x023A02); /* and an open tray stays open */
}

static void resets_with_reads_in_flight(void **state)
{
    static struct prd table[2];
    uint8_t b[CD];

    table[0] = (struct prd){buffer, 0};
    table[1] = (struct prd){buffer + 65536, 0 | PRD_EOT};
    for (unsigned round = 0; round < 10; round++) {
        ide_table(&ide, table, 2);
        ide_packet(&ide, READ_10(0, 60), 0, true);
        ide_bm_start(&ide, true);
        if (round & 1) {
            ide_out(&ide, R_STATUS, 0x08);
        } else {
            qtest_outb(ide.q, ide.control, 0x04);
            qtest_outb(ide.q, ide.control, 0x00);
        }
        ide_wait(&ide);
        ide_bm_stop(&ide);
        assert_int_equal(packet_in(READ_10(5, 1), b, CD), CD);
        assert_sectors(b, 5, 1);
    }
}

#define cd_test(f)    cmocka_unit_test_setup_teardown(f, start, teardown_qtest)
#define empty_test(f) cmocka_unit_test_setup_teardown(f, start_empty, teardown_qtest)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cd_test(the_signature_of_a_packet_device),
        cd_test(identify_device_is_refused_with_the_signature),
        cd_test(a2_identify_packet_device_tells_its_interrupt_reason),
        cd_test(identify_packet_device),
        cd_test(device_reset_command),
        cd_test(cve_2015_6855_disk_commands),
        cd_test(inquiry),
        cd_test(vital_product_data),
        cd_test(capacity),
        cd_test(read_by_pio),
        cd_test(byte_count_limits),
        cd_test(read_by_dma),
        cd_test(replies_by_dma),
        cd_test(dma_that_is_no_ram),
        cd_test(sectors_that_are_not_there),
        cd_test(cve_2020_29443_no_reading_beyond_the_end),
        cd_test(read_cd),
        cmocka_unit_test(framed_sectors_are_code_words),
        cd_test(table_of_contents),
        cd_test(information_about_the_disc),
        cd_test(configuration),
        cmocka_unit_test_setup_teardown(dvds, start_dvd, teardown_qtest),
        cd_test(mode_pages),
        cd_test(mode_select),
        cd_test(commands_without_data),
        cd_test(unknown_packets),
        empty_test(an_empty_drive),
        cmocka_unit_test_teardown(a_drive_without_a_slot_is_empty, teardown_qtest),
        cd_test(the_guest_moves_the_tray),
        cd_test(event_status),
        cd_test(the_medium_changes),
        cd_test(a_disc_by_descriptor),
        cd_test(attention_does_not_stop_inquiries),
        cd_test(a_locked_tray),
        cd_test(a_medium_taken_while_it_is_read),
        cd_test(resets_keep_the_tray),
        cd_test(resets_with_reads_in_flight),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
