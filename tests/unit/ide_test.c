/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The IDE controller and ATA disks, through the test port. HVM_DM=qemu-system-x86_64 holds most expectations
 * against a stock QEMU; where the two differ on purpose the test says so.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hw/ide/ide.h"
#include "tests/lib/cmocka.h"
#include "tests/lib/ideport.h"
#include "tests/lib/wait.h"

enum { SECTOR = 512, SECTORS = 128 * 1024, MIB = 1 << 20 };

/* The test's machine: a disk of 64 MiB on the primary master. */
static struct ide ide;
static char image[256];
static uint64_t buffer; /* 256 KiB of guest memory */

/* What sector lba holds at first: its number, and a pattern. */
static void fill_sector(uint8_t *data, uint64_t lba)
{
    for (unsigned i = 0; i < SECTOR; i++)
        data[i] = lba * 31 + i * (1 + lba % 7) + i / 256;
    memcpy(data, &lba, sizeof(lba));
}

static void make_image(unsigned sectors, unsigned patterned)
{
    ide_make_image(image, ".img", SECTOR, sectors, patterned, fill_sector);
}

static void start_with(void **state, unsigned sectors, const char *options)
{
    make_image(sectors, sectors < 2048 ? sectors : 2048);
    ide = ide_start("-m 64 -nodefaults -drive file=%s,if=ide,format=raw%s", image, options);
    *state = ide.q;
    buffer = qtest_alloc(ide.q, 256 * 1024, 65536);
}

static int start(void **state)
{
    start_with(state, SECTORS, "");
    return 0;
}

static int start_snapshot(void **state)
{
    start_with(state, SECTORS, ",snapshot=on");
    return 0;
}

/* Ours only: where the stock QEMU is known to do otherwise. */
#define OURS()                                                                                               \
    do {                                                                                                     \
        if (qtest_is_qemu(ide.q))                                                                            \
            skip();                                                                                          \
    } while (0)

static void assert_sectors(const uint8_t *data, uint64_t lba, unsigned count)
{
    uint8_t expected[SECTOR];

    for (unsigned i = 0; i < count; i++) {
        fill_sector(expected, lba + i);
        assert_memory_equal(data + (size_t)i * SECTOR, expected, SECTOR);
    }
}

static void assert_image(uint64_t lba, const uint8_t *data, unsigned count)
{
    uint8_t *in = malloc((size_t)count * SECTOR);
    int fd = open(image, O_RDONLY);

    assert_int_equal(pread(fd, in, (size_t)count * SECTOR, lba * SECTOR), count * SECTOR);
    close(fd);
    assert_memory_equal(in, data, (size_t)count * SECTOR);
    free(in);
}

static void some_data(uint8_t *data, size_t bytes, unsigned seed)
{
    for (size_t i = 0; i < bytes; i++)
        data[i] = i * 13 + seed * 101 + i / 509;
}

#define READY (IDE_DRDY | IDE_DSC)

/* The command has failed with that error bit and raised the interrupt. */
static void assert_fails(uint8_t error)
{
    assert_int_equal(ide_wait(&ide) & (IDE_BSY | IDE_DRQ | IDE_ERR), IDE_ERR);
    assert_true(ide_irq(&ide));
    assert_int_equal(ide_in(&ide, R_ERROR), error);
    ide_in(&ide, R_STATUS);
    assert_false(ide_irq(&ide));
}

static void assert_ends_well(void)
{
    assert_int_equal(ide_finish_wait(&ide), READY);
}

/* ---- presence and signature ---- */

static void the_signature_of_a_disk(void **state)
{
    assert_int_equal(ide_alternate(&ide), READY);
    assert_int_equal(ide_in(&ide, R_COUNT), 1);
    assert_int_equal(ide_in(&ide, R_LOW), 1);
    assert_int_equal(ide_in(&ide, R_MID), 0);
    assert_int_equal(ide_in(&ide, R_HIGH), 0);
}

static void registers_keep_what_is_written(void **state)
{
    for (unsigned reg = R_COUNT; reg <= R_HIGH; reg++)
        ide_out(&ide, reg, 0x50 + reg);
    for (unsigned reg = R_COUNT; reg <= R_HIGH; reg++)
        assert_int_equal(ide_in(&ide, reg), 0x50 + reg);
    ide_out(&ide, R_DEVICE, 0xEF);
    assert_int_equal(ide_in(&ide, R_DEVICE), 0xEF);
}

static void previous_contents_by_hob(void **state)
{
    ide_out(&ide, R_COUNT, 0x11);
    ide_out(&ide, R_COUNT, 0x22);
    ide_out(&ide, R_LOW, 0x33);
    ide_out(&ide, R_LOW, 0x44);
    qtest_outb(ide.q, ide.control, 0x80);
    assert_int_equal(ide_in(&ide, R_COUNT), 0x11);
    assert_int_equal(ide_in(&ide, R_LOW), 0x33);
    ide_out(&ide, R_MID, 0); /* any write to the command block ends it */
    assert_int_equal(ide_in(&ide, R_COUNT), 0x22);
    assert_int_equal(ide_in(&ide, R_LOW), 0x44);
}

static void absent_drives_read_0(void **state)
{
    OURS(); /* QEMU's task file remembers */
    ide_out(&ide, R_DEVICE, 0xB0);
    for (unsigned reg = R_ERROR; reg <= R_STATUS; reg++)
        assert_int_equal(ide_in(&ide, reg), 0);
    assert_int_equal(ide_alternate(&ide), 0);
    ide_out(&ide, R_STATUS, 0xEC);
    assert_int_equal(ide_alternate(&ide), 0);
    assert_false(ide_irq(&ide));
    /* The channel without drives too. */
    ide_choose(&ide, 1, 0);
    ide_out(&ide, R_DEVICE, 0xA0);
    ide_out(&ide, R_COUNT, 0x55);
    assert_int_equal(ide_in(&ide, R_COUNT), 0);
    assert_int_equal(ide_in(&ide, R_STATUS), 0);
    /* And the master is as it was. */
    ide_choose(&ide, 0, 0);
    ide_out(&ide, R_DEVICE, 0xA0);
    assert_int_equal(ide_in(&ide, R_STATUS), READY);
}

static void decoding_is_switched_by_idetim(void **state)
{
    OURS();
    qpci_writew(&ide.pci, 0x40, 0x0000);
    assert_int_equal(ide_in(&ide, R_STATUS), 0xFF);
    assert_int_equal(ide_alternate(&ide), 0xFF);
    qpci_writew(&ide.pci, 0x40, 0x8000);
    assert_int_equal(ide_in(&ide, R_STATUS), READY);
}

/* ---- IDENTIFY DEVICE ---- */

static void identify_tells_the_truth(void **state)
{
    uint16_t w[256];
    char text[41];

    ide_identify(&ide, 0xEC, w);
    assert_int_equal(w[0] & 0x8000, 0);
    assert_int_equal(w[1], 130);
    assert_int_equal(w[3], 16);
    assert_int_equal(w[6], 63);
    assert_int_equal(w[47] & 0xFF, 16);
    assert_int_equal(w[49] & 0x0300, 0x0300); /* LBA, DMA */
    assert_int_equal(w[60] | w[61] << 16, SECTORS);
    assert_int_equal(w[100] | w[101] << 16, SECTORS);
    assert_int_equal(w[102] | w[103], 0);
    assert_int_equal(w[63] & 7, 7);
    assert_int_equal(w[88] & 0x3F, 0x3F);
    assert_int_equal(w[93] & 0xE000, 0x6000); /* an 80-conductor cable */
    assert_int_equal(w[83] & 0xF400, 0x7400); /* 48 bits, FLUSH, FLUSH EXT */
    assert_int_equal(w[85] & 0x20, 0x20);     /* write cache on */
    assert_int_equal(w[169] & 1, 1);
    OURS();
    ide_text(w + 27, 20, text);
    assert_string_equal(text, "HVM-DM HARDDISK");
    ide_text(w + 10, 10, text);
    assert_string_equal(text, "HD00001");
    uint8_t sum = 0;
    for (unsigned i = 0; i < 256; i++)
        sum += (w[i] & 0xFF) + (w[i] >> 8);
    assert_int_equal(w[255] & 0xFF, 0xA5);
    assert_int_equal(sum, 0);
}

static void names_by_property(void **state)
{
    uint16_t w[256];
    char text[41];

    make_image(4096, 0);
    ide = ide_start("-m 64 -nodefaults -drive file=%s,if=none,id=d0,format=raw "
                    "-device ide-hd,drive=d0,bus=ide.1,unit=1,serial=SER-1,model=MYDISK,ver=9.8",
                    image);
    *state = ide.q;
    ide_choose(&ide, 1, 1);
    ide_identify(&ide, 0xEC, w);
    ide_text(w + 10, 10, text);
    assert_string_equal(text, "SER-1");
    ide_text(w + 23, 4, text);
    assert_string_equal(text, "9.8");
    ide_text(w + 27, 20, text);
    assert_string_equal(text, "MYDISK");
    assert_int_equal(w[60], 4096);
}

static void mistakes_of_drives_are_named(void **state)
{
    static const struct {
        const char *args, *words;
    } mistakes[] = {
        {"-device ide-hd,bus=ide.0", "drive="},
        {"-drive if=none,id=a,file=%s,format=raw -device ide-hd,drive=a,bus=ide.0,unit=2", "unit"},
        {"-drive if=none,id=a,file=%s,format=raw -device ide-hd,drive=a,bus=ide.7", "ide.7"},
        {"-drive if=ide,index=0,file=%s,format=raw,id=a -drive "
         "if=none,id=b,snapshot=on,file=/bin/true,format=raw "
         "-device ide-hd,drive=b,bus=ide.0,unit=0",
         "unit 0"},
        {"-drive if=none,id=a,file=%s,format=raw -device ide-hd,drive=a,heads=4", "cyls, heads and secs"},
        {"-drive if=none,id=a,file=%s,format=raw -device ide-hd,drive=a -device ide-hd,drive=a", "in use"},
    };

    make_image(4096, 0);
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        char args[1024], *text = NULL;

        snprintf(args, sizeof(args), mistakes[i].args, image);
        strncat(args, " -nodefaults -display none", sizeof(args) - strlen(args) - 1);
        assert_int_not_equal(qtest_start_failing(args, &text), 0);
        if (!text || !strstr(text, mistakes[i].words))
            fail_msg("%s: '%s' does not say '%s'", args, text ? text : "", mistakes[i].words);
        free(text);
    }
}

/* ---- PIO ---- */

static void read_sectors_by_pio(void **state)
{
    uint8_t data[3 * SECTOR];

    ide_lba28(&ide, 0x20, 5, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(ide_wait(&ide), READY | IDE_DRQ);
        assert_true(ide_irq(&ide)); /* one for each sector */
        assert_int_equal(ide_in(&ide, R_STATUS), READY | IDE_DRQ);
        assert_false(ide_irq(&ide));
        ide_read_data(&ide, data + i * SECTOR, SECTOR);
    }
    assert_int_equal(ide_alternate(&ide), READY);
    assert_false(ide_irq(&ide)); /* none at the end */
    assert_sectors(data, 5, 3);
    assert_int_equal(ide_in(&ide, R_COUNT), 0);
}

static void interrupts_are_counted(void **state)
{
    uint8_t data[SECTOR];
    unsigned before = qtest_irq_raised(ide.q, 14);

    ide_lba28(&ide, 0x20, 0, 4);
    for (unsigned i = 0; i < 4; i++) {
        ide_finish_wait(&ide);
        ide_read_data(&ide, data, SECTOR);
    }
    assert_int_equal(qtest_irq_raised(ide.q, 14) - before, 4);
}

static void nien_keeps_the_line_down(void **state)
{
    uint8_t data[SECTOR];

    qtest_outb(ide.q, ide.control, 0x02);
    ide_lba28(&ide, 0x20, 0, 1);
    assert_int_equal(ide_wait(&ide), READY | IDE_DRQ);
    assert_false(ide_irq(&ide));
    qtest_outb(ide.q, ide.control, 0x00);
    if (!qtest_is_qemu(ide.q))
        assert_true(ide_irq(&ide)); /* it was pending */
    ide_in(&ide, R_STATUS);
    assert_false(ide_irq(&ide));
    ide_read_data(&ide, data, SECTOR);
    assert_sectors(data, 0, 1);
}

static void write_sectors_by_pio(void **state)
{
    uint8_t data[3 * SECTOR];

    some_data(data, sizeof(data), 1);
    ide_lba28(&ide, 0x30, 100, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(ide_wait(&ide), READY | IDE_DRQ);
        assert_int_equal(ide_irq(&ide), i > 0); /* the first block is asked for without one */
        ide_in(&ide, R_STATUS);
        ide_write_data(&ide, data + i * SECTOR, SECTOR);
    }
    ide_wait(&ide);
    assert_true(ide_irq(&ide));
    assert_ends_well();
    assert_image(100, data, 3);
}

static void whole_commands_by_pio(void **state)
{
    enum { COUNT = 256 };
    static uint8_t out[COUNT * SECTOR], in[COUNT * SECTOR];

    some_data(out, sizeof(out), 2);
    ide_lba28(&ide, 0x30, 3000, 0); /* 0 is 256 */
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(ide_finish_wait(&ide), READY | IDE_DRQ);
        ide_write_data(&ide, out + i * SECTOR, SECTOR);
    }
    assert_ends_well();
    assert_image(3000, out, COUNT);
    ide_lba48(&ide, 0x24, 3000, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(ide_finish_wait(&ide), READY | IDE_DRQ);
        ide_read_data(&ide, in + i * SECTOR, SECTOR);
    }
    assert_int_equal(ide_alternate(&ide), READY);
    assert_memory_equal(in, out, sizeof(in));
}

static void doublewords_and_odd_widths_at_the_data_port(void **state)
{
    uint8_t data[SECTOR];

    ide_lba28(&ide, 0x20, 9, 1);
    ide_finish_wait(&ide);
    for (unsigned i = 0; i < SECTOR; i += 4) {
        uint32_t value = qtest_inl(ide.q, ide.command);

        memcpy(data + i, &value, 4);
    }
    assert_int_equal(ide_alternate(&ide), READY);
    assert_sectors(data, 9, 1);
    /* Words behind the end are nobody's. */
    assert_int_equal(qtest_inw(ide.q, ide.command), 0);
    qtest_outw(ide.q, ide.command, 0x1234);
    assert_int_equal(ide_alternate(&ide), READY);
}

static void multiple(void **state)
{
    static uint8_t data[10 * SECTOR];

    assert_int_equal(ide_simple(&ide, 0xC6, 0, 4), READY);
    ide_lba28(&ide, 0xC4, 20, 10); /* blocks of 4, 4, 2 */
    for (unsigned done = 0; done < 10;) {
        unsigned n = 10 - done < 4 ? 10 - done : 4;

        ide_wait(&ide);
        assert_true(ide_irq(&ide));
        assert_int_equal(ide_finish_wait(&ide), READY | IDE_DRQ);
        ide_read_data(&ide, data + done * SECTOR, n * SECTOR);
        done += n;
    }
    assert_int_equal(ide_alternate(&ide), READY);
    assert_sectors(data, 20, 10);

    some_data(data, sizeof(data), 3);
    ide_lba48(&ide, 0x39, 600, 10);
    for (unsigned done = 0; done < 10;) {
        unsigned n = 10 - done < 4 ? 10 - done : 4;

        assert_int_equal(ide_finish_wait(&ide), READY | IDE_DRQ);
        ide_write_data(&ide, data + done * SECTOR, n * SECTOR);
        done += n;
    }
    assert_ends_well();
    assert_image(600, data, 10);
}

static void multiple_that_is_refused(void **state)
{
    assert_int_equal(ide_simple(&ide, 0xC6, 0, 3) & IDE_ERR, IDE_ERR);
    assert_int_equal(ide_simple(&ide, 0xC6, 0, 32) & IDE_ERR, IDE_ERR);
    assert_int_equal(ide_simple(&ide, 0xC6, 0, 0) & IDE_ERR, 0);
    ide_lba28(&ide, 0xC4, 0, 1);
    assert_fails(IDE_ABRT);
    ide_lba28(&ide, 0xC5, 0, 1);
    assert_fails(IDE_ABRT);
}

/* ---- addresses ---- */

static void cylinders_heads_sectors(void **state)
{
    uint8_t data[SECTOR];

    ide_chs(&ide, 0x20, 1, 2, 3, 1);
    ide_finish_wait(&ide);
    ide_read_data(&ide, data, SECTOR);
    assert_sectors(data, (1 * 16 + 2) * 63 + 2, 1);
    /* Another geometry: 4 heads, 17 sectors. */
    ide_out(&ide, R_DEVICE, 0xA3);
    ide_out(&ide, R_COUNT, 17);
    ide_out(&ide, R_STATUS, 0x91);
    assert_ends_well();
    ide_chs(&ide, 0x20, 5, 3, 17, 1);
    ide_finish_wait(&ide);
    ide_read_data(&ide, data, SECTOR);
    assert_sectors(data, (5 * 4 + 3) * 17 + 16, 1);
}

static void sectors_that_are_not_there(void **state)
{
    OURS(); /* QEMU aborts */
    ide_lba28(&ide, 0x20, SECTORS, 1);
    assert_fails(IDE_IDNF);
    ide_lba28(&ide, 0x20, SECTORS - 1, 2);
    assert_fails(IDE_IDNF);
    ide_lba28(&ide, 0x30, SECTORS - 1, 2);
    assert_fails(IDE_IDNF);
    ide_lba48(&ide, 0x24, 0xFFFFFFFFFFFFull, 1);
    assert_fails(IDE_IDNF);
    ide_lba48(&ide, 0x35, SECTORS - 65535, 0); /* 65536 sectors */
    assert_fails(IDE_IDNF);
    ide_chs(&ide, 0x20, 0, 0, 0, 1); /* sectors count from 1 */
    assert_fails(IDE_IDNF);
    ide_chs(&ide, 0x20, 0, 0, 64, 1);
    assert_fails(IDE_IDNF);
    ide_chs(&ide, 0x20, 65535, 0, 1, 1);
    assert_fails(IDE_IDNF);
    ide_lba28(&ide, 0x40, SECTORS, 1);
    assert_fails(IDE_IDNF);
    ide_lba28(&ide, 0x70, SECTORS, 0);
    assert_fails(IDE_IDNF);
}

static void the_last_sector(void **state)
{
    uint8_t data[SECTOR];

    some_data(data, SECTOR, 4);
    ide_lba28(&ide, 0x30, SECTORS - 1, 1);
    ide_finish_wait(&ide);
    ide_write_data(&ide, data, SECTOR);
    assert_ends_well();
    assert_image(SECTORS - 1, data, 1);
}

static void beyond_28_bits(void **state)
{
    const uint64_t sectors = 1ull << 30, lba = (1ull << 29) + 12345; /* 512 GiB, sparse */
    uint8_t data[SECTOR];
    uint16_t w[256];
    int fd;

    snprintf(image, sizeof(image), "%s", qtest_temp_file(".img", sectors * SECTOR));
    fd = open(image, O_WRONLY);
    fill_sector(data, lba);
    assert_int_equal(pwrite(fd, data, SECTOR, lba * SECTOR), SECTOR);
    close(fd);
    ide = ide_start("-m 64 -nodefaults -drive file=%s,if=ide,format=raw", image);
    *state = ide.q;
    ide_identify(&ide, 0xEC, w);
    assert_int_equal(w[60] | (uint32_t)w[61] << 16, 0x0FFFFFFF);
    assert_int_equal(w[100] | (uint64_t)w[101] << 16, sectors);
    assert_int_equal(w[1], 16383);
    ide_lba48(&ide, 0x24, lba, 1);
    assert_int_equal(ide_finish_wait(&ide), READY | IDE_DRQ);
    ide_read_data(&ide, data, SECTOR);
    assert_sectors(data, lba, 1);
    /* READ NATIVE MAX: as far as 28 bits reach, and all. */
    ide_lba28(&ide, 0xF8, 0, 0);
    assert_ends_well();
    assert_int_equal(ide_in(&ide, R_LOW) | ide_in(&ide, R_MID) << 8 | ide_in(&ide, R_HIGH) << 16 |
                         (ide_in(&ide, R_DEVICE) & 15) << 24,
                     0x0FFFFFFE);
    ide_lba48(&ide, 0x27, 0, 0);
    assert_ends_well();
    qtest_outb(ide.q, ide.control, 0x80);
    assert_int_equal(ide_in(&ide, R_LOW), (sectors - 1) >> 24);
}

static void a_disk_of_102_sectors(void **state)
{
    uint8_t data[SECTOR];

    start_with(state, 102, "");
    ide_lba28(&ide, 0x20, 101, 1);
    assert_int_equal(ide_finish_wait(&ide), READY | IDE_DRQ);
    ide_read_data(&ide, data, SECTOR);
    assert_sectors(data, 101, 1);
}

/* ---- other commands ---- */

static void commands_without_data(void **state)
{
    static const uint8_t good[] = {0x10, 0x1F, 0x94, 0x95, 0x96, 0x97, 0x99, 0xE0,
                                   0xE1, 0xE2, 0xE3, 0xE6, 0xE7, 0xEA, 0x70, 0x7F};

    for (size_t i = 0; i < sizeof(good); i++) {
        ide_lba28(&ide, good[i], 0, 0);
        ide_wait(&ide);
        assert_true(ide_irq(&ide));
        assert_int_equal(ide_finish_wait(&ide) & (IDE_BSY | IDE_DRQ | IDE_ERR | IDE_DRDY), IDE_DRDY);
        assert_false(ide_irq(&ide));
    }
}

static void unknown_commands_abort(void **state)
{
    static const uint8_t unknown[] = {0x00, 0x01, 0x08, 0x22, 0x23, 0x32, 0x33, 0x37, 0x50, 0x60, 0x61, 0x80,
                                      0x87, 0xA0, 0xA1, 0xA2, 0xB1, 0xC0, 0xD0, 0xDE, 0xED, 0xF1, 0xF5, 0xFF};

    OURS();
    for (size_t i = 0; i < sizeof(unknown); i++) {
        ide_lba28(&ide, unknown[i], 0, 1);
        assert_fails(IDE_ABRT);
    }
}

static void power_modes(void **state)
{
    OURS(); /* QEMU is always active */
    assert_int_equal(ide_simple(&ide, 0xE5, 0, 0), READY);
    assert_int_equal(ide_in(&ide, R_COUNT), 0xFF);
    assert_int_equal(ide_simple(&ide, 0xE0, 0, 0), READY);
    assert_int_equal(ide_simple(&ide, 0xE5, 0, 0), READY);
    assert_int_equal(ide_in(&ide, R_COUNT), 0x00);
    ide_lba28(&ide, 0x40, 0, 1); /* what needs the medium wakes it */
    assert_ends_well();
    assert_int_equal(ide_simple(&ide, 0xE5, 0, 0), READY);
    assert_int_equal(ide_in(&ide, R_COUNT), 0xFF);
}

static void features(void **state)
{
    uint16_t w[256];

    assert_int_equal(ide_simple(&ide, 0xEF, 0x03, 0x22), READY); /* multiword DMA 2 */
    ide_identify(&ide, 0xEC, w);
    assert_int_equal(w[63] >> 8, 4);
    assert_int_equal(w[88] >> 8, 0);
    assert_int_equal(ide_simple(&ide, 0xEF, 0x03, 0x44), READY); /* Ultra DMA 4 */
    ide_identify(&ide, 0xEC, w);
    assert_int_equal(w[63] >> 8, 0);
    assert_int_equal(w[88] >> 8, 0x10);
    assert_int_equal(ide_simple(&ide, 0xEF, 0x82, 0), READY);
    ide_identify(&ide, 0xEC, w);
    assert_int_equal(w[85] & 0x20, 0);
    assert_int_equal(ide_simple(&ide, 0xEF, 0x02, 0), READY);
    ide_identify(&ide, 0xEC, w);
    assert_int_equal(w[85] & 0x20, 0x20);
    assert_int_equal(ide_simple(&ide, 0xEF, 0x77, 0) & IDE_ERR, IDE_ERR);
    OURS();
    assert_int_equal(ide_simple(&ide, 0xEF, 0x03, 0x46) & IDE_ERR, IDE_ERR); /* Ultra DMA 6 is not offered */
    assert_int_equal(ide_simple(&ide, 0xEF, 0x03, 0x80) & IDE_ERR, IDE_ERR);
}

static void without_the_write_cache(void **state)
{
    uint8_t data[SECTOR];

    some_data(data, SECTOR, 5);
    assert_int_equal(ide_simple(&ide, 0xEF, 0x82, 0), READY);
    ide_lba28(&ide, 0x30, 42, 1);
    ide_finish_wait(&ide);
    ide_write_data(&ide, data, SECTOR);
    assert_ends_well();
    assert_image(42, data, 1);
}

static void verify(void **state)
{
    ide_lba28(&ide, 0x40, 0, 0);
    assert_ends_well();
    ide_lba48(&ide, 0x42, 7, 1000);
    assert_ends_well();
}

static void the_sector_buffer(void **state)
{
    uint8_t out[SECTOR], in[SECTOR];

    OURS();
    some_data(out, SECTOR, 6);
    ide_out(&ide, R_STATUS, 0xE8);
    assert_int_equal(ide_wait(&ide), READY | IDE_DRQ);
    ide_write_data(&ide, out, SECTOR);
    assert_ends_well();
    ide_out(&ide, R_STATUS, 0xE4);
    assert_int_equal(ide_finish_wait(&ide), READY | IDE_DRQ);
    ide_read_data(&ide, in, SECTOR);
    assert_memory_equal(in, out, SECTOR);
}

static uint8_t smart(uint8_t subcommand, uint8_t count, uint8_t low)
{
    ide_out(&ide, R_DEVICE, 0xA0);
    ide_out(&ide, R_ERROR, subcommand);
    ide_out(&ide, R_COUNT, count);
    ide_out(&ide, R_LOW, low);
    ide_out(&ide, R_MID, 0x4F);
    ide_out(&ide, R_HIGH, 0xC2);
    ide_out(&ide, R_STATUS, 0xB0);
    return ide_finish_wait(&ide);
}

static void assert_smart_page(void)
{
    uint8_t data[SECTOR], sum = 0;

    ide_read_data(&ide, data, SECTOR);
    for (unsigned i = 0; i < SECTOR; i++)
        sum += data[i];
    assert_int_equal(sum, 0);
    assert_int_equal(ide_alternate(&ide), READY);
}

static void smart_basics(void **state)
{
    assert_int_equal(smart(0xD8, 0, 0), READY);
    assert_int_equal(smart(0xDA, 0, 0), READY); /* healthy: the signature stays */
    assert_int_equal(ide_in(&ide, R_MID), 0x4F);
    assert_int_equal(ide_in(&ide, R_HIGH), 0xC2);
    assert_int_equal(smart(0xD0, 0, 0), READY | IDE_DRQ);
    assert_smart_page();
    assert_int_equal(smart(0xD1, 0, 0), READY | IDE_DRQ);
    assert_smart_page();
    assert_int_equal(smart(0xD5, 1, 1), READY | IDE_DRQ);
    assert_smart_page();
    assert_int_equal(smart(0xD5, 1, 0x80) & IDE_ERR, IDE_ERR); /* no such log */
    assert_int_equal(smart(0xD2, 0xF1, 0), READY);
    assert_int_equal(smart(0xEE, 0, 0) & IDE_ERR, IDE_ERR);
    assert_int_equal(smart(0xD9, 0, 0), READY); /* off: everything but enabling aborts */
    assert_int_equal(smart(0xDA, 0, 0) & IDE_ERR, IDE_ERR);
    assert_int_equal(smart(0xD8, 0, 0), READY);
    ide_out(&ide, R_MID, 0); /* without the key */
    ide_out(&ide, R_STATUS, 0xB0);
    assert_fails(IDE_ABRT);
}

/* ---- DMA ---- */

/* One DMA command with the table; returns the bus master's status at its end. */
static uint8_t dma(uint8_t command, uint64_t lba, unsigned count, const struct prd *prds, unsigned n)
{
    bool writing = command == 0xCA || command == 0x35 || command == 0x3D;

    ide_table(&ide, prds, n);
    if (command < 0x80)
        ide_lba48(&ide, command, lba, count);
    else
        ide_lba28(&ide, command, lba, count);
    ide_bm_start(&ide, !writing);
    return ide_bm_wait(&ide);
}

static void read_dma(void **state)
{
    static uint8_t data[128 * SECTOR];
    const struct prd table[] = {{buffer, 0 | PRD_EOT}}; /* 0 is 64 KiB */

    assert_int_equal(dma(0xC8, 3, 128, table, 1), BM_INTR); /* as long as the command */
    assert_true(ide_irq(&ide));
    assert_int_equal(ide_in(&ide, R_STATUS), READY);
    assert_false(ide_irq(&ide));
    assert_int_equal(ide_in(&ide, R_COUNT), 0);
    qtest_memread(ide.q, buffer, data, sizeof(data));
    assert_sectors(data, 3, 128);
    ide_bm_stop(&ide);
    qtest_outb(ide.q, ide.bm + 2, BM_INTR);
    assert_int_equal(ide_bm_status(&ide), 0);
}

static void write_dma(void **state)
{
    static uint8_t data[64 * SECTOR];
    const struct prd table[] = {
        {buffer, 1000}, {buffer + 4096, sizeof(data) - 1000 - 2}, {buffer + 65536, 2 | PRD_EOT}};

    some_data(data, sizeof(data), 7);
    qtest_memwrite(ide.q, buffer, data, 1000);
    qtest_memwrite(ide.q, buffer + 4096, data + 1000, sizeof(data) - 1002);
    qtest_memwrite(ide.q, buffer + 65536, data + sizeof(data) - 2, 2);
    assert_int_equal(dma(0x35, 900, 64, table, 3), BM_INTR);
    assert_ends_well();
    assert_image(900, data, 64);
    /* With forced unit access. */
    some_data(data, SECTOR, 8);
    qtest_memwrite(ide.q, buffer, data, SECTOR);
    const struct prd one[] = {{buffer, SECTOR | PRD_EOT}};
    if (!qtest_is_qemu(ide.q)) {
        assert_int_equal(dma(0x3D, 77, 1, one, 1), BM_INTR);
        assert_ends_well();
        assert_image(77, data, 1);
    }
}

/* The bus master may be started before the command comes. */
static void the_engine_first(void **state)
{
    const struct prd table[] = {{buffer, 2 * SECTOR | PRD_EOT}};
    uint8_t data[2 * SECTOR];

    ide_table(&ide, table, 1);
    ide_bm_start(&ide, true);
    assert_int_equal(ide_bm_status(&ide), BM_ACTIVE);
    ide_lba28(&ide, 0xC8, 50, 2);
    assert_int_equal(ide_bm_wait(&ide), BM_INTR);
    assert_ends_well();
    qtest_memread(ide.q, buffer, data, sizeof(data));
    assert_sectors(data, 50, 2);
}

static void a_table_longer_than_the_command(void **state)
{
    const struct prd table[] = {{buffer, SECTOR}, {buffer + 4096, 4096 | PRD_EOT}};

    assert_int_equal(dma(0xC8, 0, 2, table, 2), BM_ACTIVE | BM_INTR);
    assert_ends_well();
    ide_bm_stop(&ide);
    assert_int_equal(ide_bm_status(&ide), BM_INTR);
}

static void a_table_without_an_end(void **state)
{
    const struct prd table[] = {{buffer, SECTOR}, {buffer + 4096, 4096}};

    assert_int_equal(dma(0xC8, 0, 2, table, 2), BM_ACTIVE | BM_INTR);
    assert_ends_well();
}

static void a_table_shorter_than_the_command(void **state)
{
    static const unsigned lengths[] = {SECTOR, 3 * SECTOR, 4 * SECTOR - 2, 2};
    uint8_t zero[SECTOR] = {0}, data[4 * SECTOR], before[SECTOR];

    for (unsigned i = 0; i < 4; i++) {
        const struct prd table[] = {{buffer, lengths[i] | PRD_EOT}};

        assert_int_equal(dma(0xC8, 8, 4, table, 1), 0); /* neither active nor an interrupt */
        assert_false(ide_irq(&ide));
        assert_int_equal(ide_alternate(&ide) & (IDE_BSY | IDE_DF | IDE_ERR), 0);
        qtest_outb(ide.q, ide.control, 0x04);
        qtest_outb(ide.q, ide.control, 0x00);
        ide_wait(&ide);
    }
    /* Of a write only whole sectors reach the disk. */
    const struct prd half[] = {{buffer, (SECTOR + SECTOR / 2) | PRD_EOT}};
    qtest_memset(ide.q, buffer, 0, 4096);
    fill_sector(before, 201);
    assert_int_equal(dma(0xCA, 200, 2, half, 1), 0);
    assert_false(ide_irq(&ide));
    qtest_outb(ide.q, ide.control, 0x04);
    qtest_outb(ide.q, ide.control, 0x00);
    ide_lba28(&ide, 0x20, 200, 2);
    for (unsigned i = 0; i < 2; i++) {
        ide_finish_wait(&ide);
        ide_read_data(&ide, data + i * SECTOR, SECTOR);
    }
    if (!qtest_is_qemu(ide.q))
        assert_memory_equal(data, zero, SECTOR);
    assert_memory_equal(data + SECTOR, before, SECTOR);
}

/* After a table that was too short a new one goes on where the drive is. */
static void a_second_table(void **state)
{
    const struct prd first[] = {{buffer, SECTOR | PRD_EOT}},
                     second[] = {{buffer + SECTOR, 3 * SECTOR | PRD_EOT}};
    uint8_t data[4 * SECTOR];

    OURS();
    assert_int_equal(dma(0xC8, 60, 4, first, 1), 0);
    ide_table(&ide, second, 1);
    ide_bm_start(&ide, true);
    assert_int_equal(ide_bm_wait(&ide), BM_INTR);
    assert_ends_well();
    qtest_memread(ide.q, buffer, data, sizeof(data));
    assert_sectors(data, 60, 4);
}

/* Long lists of small pieces; more of them than are mapped at once. */
static void many_small_pieces(void **state)
{
    enum { PIECES = 512 };
    static struct prd table[PIECES];
    static uint8_t data[PIECES * 64];

    for (unsigned i = 0; i < PIECES; i++)
        table[i] = (struct prd){buffer + i * 128, 64};
    table[PIECES - 1].count |= PRD_EOT;
    assert_int_equal(dma(0xC8, 10, sizeof(data) / SECTOR, table, PIECES), BM_INTR);
    assert_ends_well();
    for (unsigned i = 0; i < PIECES; i++)
        qtest_memread(ide.q, buffer + i * 128, data + i * 64, 64);
    assert_sectors(data, 10, sizeof(data) / SECTOR);
}

/* The longest command, 32 MiB, into the same memory again and again. */
static void the_longest_command(void **state)
{
    static struct prd table[512];

    for (unsigned i = 0; i < 512; i++)
        table[i] = (struct prd){buffer, 0};
    table[511].count |= PRD_EOT;
    assert_int_equal(dma(0x25, 0, 0, table, 512), BM_INTR);
    assert_ends_well();
}

static void assert_bus_error(uint8_t command, const struct prd *prds, unsigned n)
{
    uint8_t status = dma(command, 0, 8, prds, n);

    assert_int_equal(status & (BM_ACTIVE | BM_ERROR), BM_ERROR);
    ide_wait(&ide);
    assert_true(ide_irq(&ide)); /* so that the guest need not wait for its timer */
    assert_int_equal(ide_in(&ide, R_STATUS) & (IDE_ERR | IDE_DRQ), IDE_ERR);
    qtest_outb(ide.q, ide.bm + 2, BM_ERROR | BM_INTR);
    assert_int_equal(ide_bm_status(&ide), 0);
}

static void dma_that_is_no_ram_is_a_bus_error(void **state)
{
    const struct prd hole[] = {{0xE0000000, 4096 | PRD_EOT}}, vga[] = {{0xA0000, 4096 | PRD_EOT}},
                     end[] = {{64 * MIB - 2048, 4096 | PRD_EOT}}, beyond[] = {{0x7FFFF000, 4096 | PRD_EOT}},
                     second[] = {{buffer, 512}, {0xFFFFFFF0, 3584 | PRD_EOT}};
    uint8_t data[8 * SECTOR];

    OURS(); /* QEMU drops the data */
    assert_bus_error(0xC8, hole, 1);
    assert_bus_error(0xC8, vga, 1);
    assert_bus_error(0xC8, end, 1);
    assert_bus_error(0xC8, beyond, 1);
    assert_bus_error(0xC8, second, 2);
    assert_bus_error(0xCA, hole, 1);
    assert_bus_error(0xCA, second, 2);
    /* Nothing of the refused writes came through. */
    ide_lba28(&ide, 0x20, 0, 8);
    for (unsigned i = 0; i < 8; i++) {
        ide_finish_wait(&ide);
        ide_read_data(&ide, data + i * SECTOR, SECTOR);
    }
    assert_sectors(data, 0, 8);
    /* The table itself outside of RAM. */
    ide_bm_stop(&ide);
    qtest_outl(ide.q, ide.bm + 4, 0xFEE00000);
    ide_lba28(&ide, 0xC8, 0, 1);
    ide_bm_start(&ide, true);
    assert_int_equal(ide_bm_wait(&ide) & (BM_ACTIVE | BM_ERROR), BM_ERROR);
}

/* Bus mastering off: nothing is moved, and nothing hangs. */
static void without_bus_mastering(void **state)
{
    const struct prd table[] = {{buffer, SECTOR | PRD_EOT}};
    uint8_t data[SECTOR], zero[SECTOR] = {0};

    qpci_writew(&ide.pci, 4, 3);
    assert_int_equal(dma(0xC8, 1, 1, table, 1), BM_ACTIVE | BM_INTR);
    assert_int_equal(ide_in(&ide, R_STATUS) & (IDE_DF | IDE_ERR), 0);
    qtest_memread(ide.q, buffer, data, SECTOR);
    assert_memory_equal(data, zero, SECTOR);
    OURS();
    assert_int_equal(dma(0xCA, 1, 1, table, 1), BM_ACTIVE | BM_INTR);
    assert_int_equal(ide_in(&ide, R_STATUS) & IDE_ERR, IDE_ERR);
    fill_sector(data, 1);
    assert_image(1, data, 1);
}

static void bus_master_registers(void **state)
{
    qtest_outl(ide.q, ide.bm + 4, 0x12345677);
    assert_int_equal(qtest_inl(ide.q, ide.bm + 4), 0x12345674);
    qtest_outb(ide.q, ide.bm + 2, 0x60);
    assert_int_equal(qtest_inb(ide.q, ide.bm + 2), 0x60);
    assert_int_equal(qtest_inb(ide.q, ide.bm + 8 + 2), 0);
    OURS();
    qtest_outw(ide.q, ide.bm + 5, 0xABCD); /* part of it */
    assert_int_equal(qtest_inl(ide.q, ide.bm + 4), 0x12ABCD74);
    qtest_outb(ide.q, ide.bm, 0xFE);
    assert_int_equal(qtest_inb(ide.q, ide.bm), 0x08);
}

static void discard(void **state)
{
    uint64_t ranges[64] = {1000ull | 8ull << 48, 0, 2000ull | 1ull << 48};
    const struct prd table[] = {{buffer, SECTOR | PRD_EOT}};

    qtest_memwrite(ide.q, buffer, ranges, sizeof(ranges));
    ide_table(&ide, table, 1);
    ide_out(&ide, R_ERROR, 1);
    ide_lba48(&ide, 0x06, 0, 1);
    ide_bm_start(&ide, false);
    assert_int_equal(ide_bm_wait(&ide), BM_INTR);
    assert_ends_well();
    OURS();
    /* A range beyond the end. */
    ranges[0] = (SECTORS - 1) | 2ull << 48;
    qtest_memwrite(ide.q, buffer, ranges, sizeof(ranges));
    ide_table(&ide, table, 1);
    ide_lba48(&ide, 0x06, 0, 1);
    ide_bm_start(&ide, false);
    ide_bm_wait(&ide);
    assert_int_equal(ide_finish_wait(&ide) & IDE_ERR, IDE_ERR);
    /* Not TRIM; too many blocks. */
    ide_out(&ide, R_ERROR, 0);
    ide_lba48(&ide, 0x06, 0, 1);
    assert_fails(IDE_ABRT);
    ide_out(&ide, R_ERROR, 1);
    ide_lba48(&ide, 0x06, 0, 9);
    assert_fails(IDE_ABRT);
}

/* ---- resets and stops ---- */

static void soft_reset(void **state)
{
    ide_lba28(&ide, 0x20, 5, 2);
    ide_wait(&ide);
    qtest_outb(ide.q, ide.control, 0x04);
    if (!qtest_is_qemu(ide.q))
        assert_int_equal(ide_alternate(&ide) & IDE_BSY, IDE_BSY);
    qtest_outb(ide.q, ide.control, 0x00);
    assert_int_equal(ide_wait(&ide), READY);
    the_signature_of_a_disk(state);
    assert_int_equal(ide_in(&ide, R_ERROR), 1);
    if (!qtest_is_qemu(ide.q))
        assert_false(ide_irq(&ide));
    assert_int_equal(qtest_inw(ide.q, ide.command), 0); /* no data is left */
}

static void diagnostics(void **state)
{
    ide_out(&ide, R_DEVICE, 0xA0);
    ide_out(&ide, R_MID, 0x55);
    ide_out(&ide, R_DEVICE, 0xB0); /* both run it, whoever is selected */
    ide_out(&ide, R_STATUS, 0x90);
    ide_wait(&ide);
    if (!qtest_is_qemu(ide.q)) {
        assert_true(ide_irq(&ide));
        assert_int_equal(ide_in(&ide, R_DEVICE) & 0x10, 0); /* drive 0 answers */
    }
    ide_out(&ide, R_DEVICE, 0xA0);
    ide_finish_wait(&ide);
    the_signature_of_a_disk(state);
    ide_out(&ide, R_STATUS, 0x90);
    assert_true(ide_irq(&ide) || ide_wait(&ide));
    assert_int_equal(ide_in(&ide, R_ERROR), 1);
}

static void system_reset(void **state)
{
    ide_simple(&ide, 0xC6, 0, 2);
    ide_lba28(&ide, 0x20, 5, 2);
    ide_wait(&ide);
    json_decref(qtest_qmp_ok(ide.q, "{'execute': 'system_reset'}"));
    json_decref(qtest_qmp_event(ide.q, "RESET"));
    ide_alternate(&ide);
    assert_false(ide_irq(&ide));
    the_signature_of_a_disk(state);
    assert_int_equal(qtest_inl(ide.q, ide.bm + 4), 0xFFFFFFFF); /* the BAR is gone with the rest */
}

/* Writes to the task file of a busy or transferring drive, and commands over commands. */
static void a_command_over_another(void **state)
{
    uint8_t data[SECTOR];

    OURS();
    ide_lba28(&ide, 0x30, 30, 4);
    assert_int_equal(ide_wait(&ide), READY | IDE_DRQ);
    ide_write_data(&ide, data, 10);
    ide_lba28(&ide, 0x20, 31, 1); /* what was begun is forgotten */
    assert_int_equal(ide_finish_wait(&ide), READY | IDE_DRQ);
    ide_read_data(&ide, data, SECTOR);
    assert_sectors(data, 31, 1);
}

/*
 * CVE-2023-5088: a DMA transfer is in flight when the drive is reset; what completes late must not touch the
 * new state, and must not write to sector 0.
 */
static void cve_2023_5088_reset_with_dma_in_flight(void **state)
{
    static struct prd table[64];
    uint8_t expected[SECTOR], data[SECTOR];

    for (unsigned i = 0; i < 64; i++)
        table[i] = (struct prd){buffer, 0};
    table[63].count |= PRD_EOT;
    qtest_memset(ide.q, buffer, 0xEE, 65536);
    for (unsigned round = 0; round < 20; round++) {
        ide_table(&ide, table, 64);
        ide_lba48(&ide, round & 1 ? 0x35 : 0x25, 1024 + 4096 * (round & 7), 8192);
        ide_bm_start(&ide, !(round & 1));
        qtest_outb(ide.q, ide.control, 0x04);
        qtest_outb(ide.q, ide.control, 0x00);
        assert_int_equal(ide_wait(&ide) & (IDE_DRDY | IDE_ERR), IDE_DRDY);
        if (round & 2)
            ide_bm_stop(&ide);
        if (round & 4)
            ide_bm_start(&ide, true); /* nobody wants anything */
        /* Another command at once. */
        ide_lba28(&ide, 0x20, 3, 1);
        assert_int_equal(ide_finish_wait(&ide), READY | IDE_DRQ);
        ide_read_data(&ide, data, SECTOR);
        assert_sectors(data, 3, 1);
        assert_int_equal(ide_alternate(&ide), READY);
    }
    fill_sector(expected, 0);
    assert_image(0, expected, 1);
    fill_sector(expected, 1);
    assert_image(1, expected, 1);
}

static void the_bus_master_stopped_in_flight(void **state)
{
    static struct prd table[64];
    const struct prd small[] = {{buffer, SECTOR | PRD_EOT}};
    uint8_t data[SECTOR];

    for (unsigned i = 0; i < 64; i++)
        table[i] = (struct prd){buffer, 0};
    table[63].count |= PRD_EOT;
    for (unsigned round = 0; round < 10; round++) {
        ide_table(&ide, table, 64);
        ide_lba48(&ide, 0x25, 0, 8192);
        ide_bm_start(&ide, true);
        ide_bm_stop(&ide);
        assert_int_equal(ide_bm_status(&ide) & BM_ACTIVE, 0);
        qtest_outb(ide.q, ide.control, 0x04);
        qtest_outb(ide.q, ide.control, 0x00);
        ide_finish_wait(&ide);
        /* The memory is the guest's again. */
        qtest_memset(ide.q, buffer, 0x77, SECTOR);
        qtest_memread(ide.q, buffer, data, SECTOR);
        assert_int_equal(data[0], 0x77);
        assert_int_equal(dma(0xC8, 9, 1, small, 1), BM_INTR);
        assert_ends_well();
        qtest_memread(ide.q, buffer, data, SECTOR);
        assert_sectors(data, 9, 1);
    }
}

static void a_machine_reset_with_dma_in_flight(void **state)
{
    static struct prd table[64];

    for (unsigned i = 0; i < 64; i++)
        table[i] = (struct prd){buffer, 0};
    table[63].count |= PRD_EOT;
    ide_table(&ide, table, 64);
    ide_lba48(&ide, 0x35, 8192, 8192);
    ide_bm_start(&ide, false);
    json_decref(qtest_qmp_ok(ide.q, "{'execute': 'system_reset'}"));
    json_decref(qtest_qmp_event(ide.q, "RESET"));
    assert_int_equal(ide_wait(&ide), READY);
    assert_false(ide_irq(&ide));
}

/* CVE-2015-5154: at the end of a PIO transfer the pointers must not stay where they are. */
static void cve_2015_5154_data_port_behind_the_end(void **state)
{
    uint8_t data[SECTOR];

    ide_lba28(&ide, 0x20, 1, 1);
    ide_finish_wait(&ide);
    ide_read_data(&ide, data, SECTOR);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(qtest_inl(ide.q, ide.command) & (qtest_is_qemu(ide.q) ? 0 : 0xFFFFFFFF), 0);
        qtest_outl(ide.q, ide.command, 0xFFFFFFFF);
    }
    assert_int_equal(ide_alternate(&ide), READY);
    ide_identify(&ide, 0xEC, (uint16_t *)data);
    for (unsigned i = 0; i < 1000; i++)
        qtest_outw(ide.q, ide.command, 0x5555);
    assert_int_equal(ide_alternate(&ide), READY);
}

/* ---- two drives ---- */

static void two_drives_on_a_channel(void **state)
{
    char first[256], second[256];
    uint8_t data[SECTOR];
    uint16_t w[256];

    make_image(4096, 16);
    snprintf(first, sizeof(first), "%s", image);
    make_image(8192, 16);
    snprintf(second, sizeof(second), "%s", image);
    ide = ide_start("-m 64 -nodefaults -drive file=%s,if=ide,format=raw,index=0 "
                    "-drive file=%s,if=ide,format=raw,index=1",
                    first, second);
    *state = ide.q;
    ide_identify(&ide, 0xEC, w);
    assert_int_equal(w[60], 4096);
    ide_choose(&ide, 0, 1);
    ide_identify(&ide, 0xEC, w);
    assert_int_equal(w[60], 8192);
    if (!qtest_is_qemu(ide.q))
        assert_int_equal(w[93] & 0x0F00, 0x0B00);
    /* An interrupt that waits shows when its drive is selected, and only then. */
    ide_lba28(&ide, 0x20, 7, 1);
    ide_wait(&ide);
    assert_true(ide_irq(&ide));
    ide_out(&ide, R_DEVICE, 0xA0);
    if (!qtest_is_qemu(ide.q))
        assert_false(ide_irq(&ide));
    assert_int_equal(ide_in(&ide, R_STATUS), READY);
    ide_out(&ide, R_DEVICE, 0xB0);
    if (!qtest_is_qemu(ide.q))
        assert_true(ide_irq(&ide));
    assert_int_equal(ide_in(&ide, R_STATUS), READY | IDE_DRQ);
    ide_read_data(&ide, data, SECTOR);
    assert_sectors(data, 7, 1);
}

static void a_slave_alone(void **state)
{
    uint16_t w[256];

    make_image(4096, 16);
    ide = ide_start("-m 64 -nodefaults -drive file=%s,if=ide,format=raw,index=3", image);
    *state = ide.q;
    ide_choose(&ide, 1, 0);
    ide_out(&ide, R_DEVICE, 0xA0);
    assert_int_equal(ide_in(&ide, R_STATUS), 0);
    ide_choose(&ide, 1, 1);
    ide_identify(&ide, 0xEC, w);
    assert_int_equal(w[60], 4096);
}

/* ---- unplugging, by the Xen platform device ---- */

static bool can_be_locked(const char *file)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(file, O_RDWR);
    bool can = fcntl(fd, F_OFD_SETLK, &lock) == 0;

    close(fd);
    return can;
}

static void unplugged_disks_are_absent(void **state)
{
    static struct prd table[64];
    uint8_t expected[SECTOR];

    make_image(SECTORS, 16);
    ide = ide_start("-m 64 -nodefaults -drive file=%s,if=ide,format=raw -machine xenfv", image);
    *state = ide.q;
    OURS();
    buffer = qtest_alloc(ide.q, 65536, 65536);
    assert_int_equal(qtest_inw(ide.q, 0x10), 0x49D2);
    assert_false(can_be_locked(image));
    for (unsigned i = 0; i < 64; i++)
        table[i] = (struct prd){buffer, 0};
    ide_table(&ide, table, 64);
    ide_lba48(&ide, 0x35, 1024, 8192);
    ide_bm_start(&ide, false); /* in flight */
    qtest_outw(ide.q, 0x10, 1);
    assert_int_equal(ide_alternate(&ide), 0);
    assert_false(ide_irq(&ide));
    assert_true(
        SOON(can_be_locked(image))); /* another back end may have it now, what was written is flushed */
    qtest_outw(ide.q, 0x10, 1);
    ide_lba28(&ide, 0x20, 0, 1);
    assert_int_equal(ide_alternate(&ide), 0);
    json_decref(qtest_qmp_ok(ide.q, "{'execute': 'system_reset'}"));
    json_decref(qtest_qmp_event(ide.q, "RESET"));
    assert_int_equal(ide_alternate(&ide), 0);
    fill_sector(expected, 0);
    assert_image(0, expected, 1);
}

/* ---- media ---- */

static void snapshots_leave_the_image_alone(void **state)
{
    uint8_t data[SECTOR] = {0}, in[SECTOR], expected[SECTOR];

    ide_lba28(&ide, 0x30, 4, 1);
    ide_finish_wait(&ide);
    ide_write_data(&ide, data, SECTOR);
    assert_ends_well();
    ide_lba28(&ide, 0x20, 4, 1);
    ide_finish_wait(&ide);
    ide_read_data(&ide, in, SECTOR);
    assert_memory_equal(in, data, SECTOR);
    fill_sector(expected, 4);
    assert_image(4, expected, 1);
}

/* ---- geometry, without a machine ---- */

static void put_chs(uint8_t *at, uint32_t lba, unsigned heads, unsigned sectors)
{
    uint32_t cylinder = lba / (heads * sectors);

    at[0] = cylinder < 1024 ? lba / sectors % heads : heads - 1;
    cylinder = cylinder < 1024 ? cylinder : 1023;
    at[1] = (cylinder == 1023 ? sectors : lba % sectors + 1) | (cylinder >> 2 & 0xC0);
    at[2] = cylinder;
}

/* The first partition, as a system that assumes so many heads and sectors writes it. */
static void partition(uint8_t *sector, unsigned heads, unsigned sectors, uint32_t start, uint32_t length)
{
    memset(sector, 0, SECTOR);
    put_chs(sector + 446 + 1, start, heads, sectors);
    sector[446 + 4] = 0x0C;
    put_chs(sector + 446 + 5, start + length - 1, heads, sectors);
    memcpy(sector + 446 + 8, &start, 4);
    memcpy(sector + 446 + 12, &length, 4);
    sector[510] = 0x55;
    sector[511] = 0xAA;
}

static void assert_geometry(const uint8_t *sector, uint64_t total, uint32_t cylinders, uint8_t heads,
                            uint8_t sectors, uint8_t translation)
{
    struct ide_geometry g = {0};

    ide_guess_geometry(sector, total, &g);
    assert_int_equal(g.cylinders, cylinders);
    assert_int_equal(g.heads, heads);
    assert_int_equal(g.sectors, sectors);
    assert_int_equal(g.translation, translation);
}

static void geometry_is_guessed(void **state)
{
    const uint64_t mib = 2048;
    uint8_t blank[SECTOR] = {0}, mbr[SECTOR];

    assert_geometry(blank, 102, 2, 16, 63, 0);
    assert_geometry(blank, 20 * mib, 40, 16, 63, 0);
    assert_geometry(blank, 504 * mib, 1024, 16, 63, 0);
    assert_geometry(blank, 505 * mib, 1026, 16, 63, 1);
    assert_geometry(blank, 40960 * mib, 16383, 16, 63, 1);
    assert_geometry(blank, 0, 2, 16, 63, 0);
    /* A table of somebody whose disk had other heads and sectors. */
    partition(mbr, 8, 32, 32, 8 * 32 * 500 - 32);
    assert_geometry(mbr, 504 * mib, 4032, 8, 32, 0);
    mbr[446 + 6] &= 0xC0; /* nonsense is not believed */
    assert_geometry(mbr, 504 * mib, 1024, 16, 63, 0);
    partition(mbr, 8, 32, 32, 8 * 32 * 500 - 32);
    mbr[446 + 5] = 0;
    assert_geometry(mbr, 504 * mib, 1024, 16, 63, 0);
    mbr[446 + 5] = 4; /* nor what disagrees with itself */
    assert_geometry(mbr, 504 * mib, 1024, 16, 63, 0);
}

/* What the firmware does with a disk is the same before and after the guest has partitioned it. */
static void a6_partitioning_changes_no_geometry(void **state)
{
    static const unsigned sizes[] = {20, 504, 505, 528, 2048, 4031, 8000, 40960}; /* MiB */
    static const struct {
        unsigned heads, sectors, start;
    } systems[] = {{255, 63, 63},  {255, 63, 2048}, {16, 63, 63},
                   {16, 63, 2048}, {128, 63, 63},   {64, 32, 2048}};

    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (unsigned j = 0; j < sizeof(systems) / sizeof(systems[0]); j++)
            for (unsigned length = 1; length < 20000; length += 37) {
                uint8_t blank[SECTOR] = {0}, mbr[SECTOR];
                struct ide_geometry before, after;

                ide_guess_geometry(blank, sizes[i] * 2048ull, &before);
                partition(mbr, systems[j].heads, systems[j].sectors, systems[j].start, length);
                ide_guess_geometry(mbr, sizes[i] * 2048ull, &after);
                assert_memory_equal(&before, &after, sizeof(before));
            }
}

static uint8_t cmos(struct qtest *q, uint8_t index)
{
    qtest_outb(q, 0x70, index);
    return qtest_inb(q, 0x71);
}

static void a6_translation_is_told_or_chosen(void **state)
{
    static const struct {
        const char *option;
        uint8_t cmos;
    } cases[] = {{"", 1},
                 {",bios-chs-trans=auto", 1},
                 {",bios-chs-trans=none", 0},
                 {",bios-chs-trans=lba", 1},
                 {",bios-chs-trans=large", 2},
                 {",bios-chs-trans=rechs", 3}};
    char path[256];
    uint8_t mbr[SECTOR];
    char *text = NULL;
    int fd;

    snprintf(path, sizeof(path), "%s", qtest_temp_file(".img", 2ll << 30));
    fd = open(path, O_WRONLY);
    partition(mbr, 255, 63, 63, 255 * 63 - 63);
    assert_int_equal(pwrite(fd, mbr, SECTOR, 0), SECTOR);
    close(fd);
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct qtest *q = *state = qtest_startf(
            "-nodefaults -vga none -drive if=none,id=a,file=%s,format=raw -device ide-hd,drive=a%s", path,
            cases[i].option);

        assert_int_equal(cmos(q, 0x39), cases[i].cmos);
        teardown_qtest(state);
    }
    *state = NULL;
    snprintf((char *)mbr, sizeof(mbr),
             "-nodefaults -display none -drive if=none,id=a,file=%.200s,format=raw "
             "-device ide-hd,drive=a,bios-chs-trans=big",
             path);
    assert_int_not_equal(qtest_start_failing((char *)mbr, &text), 0);
    assert_non_null(strstr(text, "bios-chs-trans=big"));
    free(text);
}

static void a6_the_geometry_given_is_the_current_one(void **state)
{
    uint16_t w[256];

    make_image(4096, 0);
    ide = ide_start("-nodefaults -vga none -drive if=none,id=a,file=%s,format=raw "
                    "-device ide-hd,drive=a,cyls=1000,heads=8,secs=32",
                    image);
    *state = ide.q;
    ide_identify(&ide, 0xEC, w);
    assert_int_equal(w[1], 1000);
    assert_int_equal(w[3], 8);
    assert_int_equal(w[6], 32);
    assert_int_equal(w[54], 1000);
    assert_int_equal(w[55], 8);
    assert_int_equal(w[56], 32);
    assert_int_equal(w[57] | w[58] << 16, 256000);
    assert_int_equal(cmos(ide.q, 0x1B) | cmos(ide.q, 0x1C) << 8, 1000);
    assert_int_equal(cmos(ide.q, 0x1D), 8);
    assert_int_equal(cmos(ide.q, 0x39), 0);
    /* Other heads and sectors: the cylinders follow from the size. */
    ide_out(&ide, R_COUNT, 17);
    ide_out(&ide, R_DEVICE, ide.device | 3);
    ide_out(&ide, R_STATUS, 0x91);
    ide_finish_wait(&ide);
    ide_identify(&ide, 0xEC, w);
    assert_int_equal(w[1], 1000);
    assert_int_equal(w[54], 4096 / (4 * 17));
}

#define disk_test(f)  cmocka_unit_test_setup_teardown(f, start, teardown_qtest)
#define other_test(f) cmocka_unit_test_teardown(f, teardown_qtest)

int main(void)
{
    const struct CMUnitTest tests[] = {
        disk_test(the_signature_of_a_disk),
        disk_test(registers_keep_what_is_written),
        disk_test(previous_contents_by_hob),
        disk_test(absent_drives_read_0),
        disk_test(decoding_is_switched_by_idetim),
        disk_test(identify_tells_the_truth),
        other_test(names_by_property),
        cmocka_unit_test(mistakes_of_drives_are_named),
        disk_test(read_sectors_by_pio),
        disk_test(interrupts_are_counted),
        disk_test(nien_keeps_the_line_down),
        disk_test(write_sectors_by_pio),
        disk_test(whole_commands_by_pio),
        disk_test(doublewords_and_odd_widths_at_the_data_port),
        disk_test(multiple),
        disk_test(multiple_that_is_refused),
        disk_test(cylinders_heads_sectors),
        disk_test(sectors_that_are_not_there),
        disk_test(the_last_sector),
        other_test(beyond_28_bits),
        other_test(a_disk_of_102_sectors),
        disk_test(commands_without_data),
        disk_test(unknown_commands_abort),
        disk_test(power_modes),
        disk_test(features),
        disk_test(without_the_write_cache),
        disk_test(verify),
        disk_test(the_sector_buffer),
        disk_test(smart_basics),
        disk_test(read_dma),
        disk_test(write_dma),
        disk_test(the_engine_first),
        disk_test(a_table_longer_than_the_command),
        disk_test(a_table_without_an_end),
        disk_test(a_table_shorter_than_the_command),
        disk_test(a_second_table),
        disk_test(many_small_pieces),
        disk_test(the_longest_command),
        disk_test(dma_that_is_no_ram_is_a_bus_error),
        disk_test(without_bus_mastering),
        disk_test(bus_master_registers),
        disk_test(discard),
        disk_test(soft_reset),
        disk_test(diagnostics),
        disk_test(system_reset),
        disk_test(a_command_over_another),
        disk_test(cve_2023_5088_reset_with_dma_in_flight),
        disk_test(the_bus_master_stopped_in_flight),
        disk_test(a_machine_reset_with_dma_in_flight),
        disk_test(cve_2015_5154_data_port_behind_the_end),
        other_test(two_drives_on_a_channel),
        other_test(a_slave_alone),
        other_test(unplugged_disks_are_absent),
        cmocka_unit_test_setup_teardown(snapshots_leave_the_image_alone, start_snapshot, teardown_qtest),
        cmocka_unit_test(geometry_is_guessed),
        cmocka_unit_test(a6_partitioning_changes_no_geometry),
        other_test(a6_translation_is_told_or_chosen),
        other_test(a6_the_geometry_given_is_the_current_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
