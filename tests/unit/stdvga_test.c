/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The standard VGA through the test port: PCI, dispi registers, linear modes of every depth, pictures by
 * screendump. */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/cmocka.h"
#include "tests/lib/picture.h"
#include "tests/lib/pixels.h"
#include "tests/lib/qpci.h"

enum { ID, XRES, YRES, BPP, ENABLE, BANK, VIRT_WIDTH, VIRT_HEIGHT, X_OFFSET, Y_OFFSET, MEMORY_64K };
enum { ENABLED = 0x01, GETCAPS = 0x02, DAC_8BIT = 0x20, LFB = 0x40, NO_CLEAR = 0x80 };

static struct qpci card;
static uint64_t vram, mmio;

static struct qtest *start_with(void **state, const char *args)
{
    struct qtest *q = qtest_startf("-m 64 -nodefaults %s", args);

    *state = q;
    card = qpci_get(q, 0x1234, 0x1111);
    vram = qpci_map(&card, 0);
    mmio = qpci_map(&card, 2);
    qpci_enable(&card);
    qtest_outb(q, 0x3C2, 0x67); /* colour ports, memory enabled */
    qtest_inb(q, 0x3DA);
    qtest_outb(q, 0x3C0, 0x20); /* screen on */
    return q;
}

static struct qtest *start(void **state)
{
    return start_with(state, "-vga std");
}

static void dispi_write(struct qtest *q, uint16_t index, uint16_t value)
{
    qtest_outw(q, 0x1CE, index);
    qtest_outw(q, 0x1CF, value);
}

static uint16_t dispi_read(struct qtest *q, uint16_t index)
{
    qtest_outw(q, 0x1CE, index);
    return qtest_inw(q, 0x1CF);
}

static void set_mode(struct qtest *q, int width, int height, int bits, int flags)
{
    dispi_write(q, ENABLE, 0);
    dispi_write(q, XRES, width);
    dispi_write(q, YRES, height);
    dispi_write(q, BPP, bits);
    dispi_write(q, ENABLE, ENABLED | LFB | flags);
}

/* Random pixels in memory; returns them. */
static uint8_t *fill(struct qtest *q, size_t size)
{
    static unsigned seed = 1;
    uint8_t *bytes = malloc(size);

    for (size_t i = 0; i < size; i++)
        bytes[i] = rand_r(&seed) >> 8;
    qtest_memwrite(q, vram, bytes, size);
    return bytes;
}

static void pci_identity(void **state)
{
    struct qtest *q = start(state);

    assert_int_equal(qpci_readw(&card, 0x0A), 0x0300);
    assert_int_equal(qpci_readw(&card, 0x2C), 0x1AF4);
    assert_int_equal(qpci_readw(&card, 0x2E), 0x1100);
    assert_int_equal(qpci_bar_size(&card, 0), 16 << 20);
    assert_int_equal(qpci_bar_size(&card, 2), 4096);
    assert_int_equal(qpci_readl(&card, 0x10) & 0xF, 8); /* prefetchable */
    assert_int_equal(dispi_read(q, MEMORY_64K), 256);
}

static void rom_is_the_vga_bios_for_this_card(void **state)
{
    struct qtest *q = start(state);
    uint64_t rom = qpci_map(&card, QPCI_ROM);
    uint64_t pcir;

    assert_int_equal(qtest_readw(q, rom), 0xAA55);
    pcir = rom + qtest_readw(q, rom + 0x18);
    assert_int_equal(qtest_readl(q, pcir), 0x52494350);
    assert_int_equal(qtest_readl(q, pcir + 4), 0x11111234);
}

static void memory_size_option(void **state)
{
    struct qtest *q = start_with(state, "-vga none -device VGA,vgamem_mb=64");

    assert_int_equal(qpci_bar_size(&card, 0), 64 << 20);
    assert_int_equal(dispi_read(q, MEMORY_64K), 1024);
    qtest_writel(q, vram + (64 << 20) - 4, 0x12345678);
    assert_int_equal(qtest_readl(q, vram + (64 << 20) - 4), 0x12345678);
}

static void memory_size_is_rounded_down(void **state)
{
    struct qtest *q = start_with(state, "-vga none -device VGA,vgamem_mb=20");

    assert_int_equal(qpci_bar_size(&card, 0), 16 << 20);
    assert_int_equal(dispi_read(q, MEMORY_64K), 256);
}

static void bad_memory_sizes_are_refused(void **state)
{
    static const char *const bad[] = {"vgamem_mb=x", "vgamem_mb=512", "vgamem_mb=0"};

    for (size_t i = 0; i < 3; i++) {
        char *text = NULL, args[100];

        snprintf(args, sizeof(args), "-accel qtest -vga none -nodefaults -display none -device VGA,%s",
                 bad[i]);
        assert_int_not_equal(qtest_start_failing(args, &text), 0);
        assert_non_null(strstr(text, "vgamem_mb"));
        free(text);
    }
}

static void dispi_identity_and_capabilities(void **state)
{
    struct qtest *q = start(state);

    assert_int_equal(dispi_read(q, ID), 0xB0C5);
    for (int id = 0xB0C0; id <= 0xB0C5; id++) {
        dispi_write(q, ID, id);
        assert_int_equal(dispi_read(q, ID), id);
    }
    dispi_write(q, ID, 0xB0C6);
    assert_int_equal(dispi_read(q, ID), 0xB0C5);
    dispi_write(q, ENABLE, GETCAPS);
    assert_true(dispi_read(q, XRES) >= 2560);
    assert_true(dispi_read(q, YRES) >= 1600);
    assert_int_equal(dispi_read(q, BPP), 32);
    dispi_write(q, ENABLE, 0);
    set_mode(q, 800, 600, 16, 0);
    assert_int_equal(dispi_read(q, XRES), 800);
    assert_int_equal(dispi_read(q, VIRT_WIDTH), 800);
    assert_int_equal(dispi_read(q, VIRT_HEIGHT), (16 << 20) / 1600);
    dispi_write(q, BPP, 17);
    assert_int_equal(dispi_read(q, BPP), 16);
    dispi_write(q, XRES, 0);
    assert_int_equal(dispi_read(q, XRES), 800);
    assert_int_equal(dispi_read(q, 0x55), 0);
}

static void every_depth(void **state)
{
    static const int depths[] = {8, 15, 16, 24, 32};
    struct qtest *q = start(state);

    pixels_set_palette(q, false);
    for (size_t i = 0; i < 5; i++) {
        size_t pitch = 320 * ((depths[i] + 7) / 8);
        uint8_t *bytes;

        set_mode(q, 320, 100, depths[i], 0);
        bytes = fill(q, pitch * 100);
        pixels_assert_shown(q, bytes, depths[i], pitch, 320, 100);
        free(bytes);
    }
}

/* Truthful sizes: nothing is rounded. */
static void widths_of_any_number(void **state)
{
    static const int widths[] = {1, 7, 333, 1366};
    struct qtest *q = start(state);

    for (size_t i = 0; i < 4; i++) {
        uint8_t *bytes;

        set_mode(q, widths[i], 9, 32, 0);
        bytes = fill(q, widths[i] * 9 * 4);
        pixels_assert_shown(q, bytes, 32, widths[i] * 4, widths[i], 9);
        free(bytes);
    }
}

static void virtual_width_and_offsets(void **state)
{
    struct qtest *q = start(state);
    uint8_t *bytes;

    set_mode(q, 200, 50, 16, 0);
    dispi_write(q, VIRT_WIDTH, 301);
    bytes = fill(q, 301 * 2 * 200);
    pixels_assert_shown(q, bytes, 16, 602, 200, 50);
    dispi_write(q, X_OFFSET, 13);
    dispi_write(q, Y_OFFSET, 40);
    pixels_assert_shown(q, bytes + 40 * 602 + 26, 16, 602, 200, 50);
    dispi_write(q, VIRT_WIDTH, 10); /* never less than what is shown */
    dispi_write(q, X_OFFSET, 0);
    dispi_write(q, Y_OFFSET, 0);
    pixels_assert_shown(q, bytes, 16, 400, 200, 50);
    free(bytes);
}

static void enabling_clears_unless_told_not_to(void **state)
{
    struct qtest *q = start(state);
    uint8_t *bytes = fill(q, 100 * 50 * 4);

    set_mode(q, 100, 50, 32, NO_CLEAR);
    pixels_assert_shown(q, bytes, 32, 400, 100, 50);
    set_mode(q, 100, 50, 32, 0);
    memset(bytes, 0, 100 * 50 * 4);
    pixels_assert_shown(q, bytes, 32, 400, 100, 50);
    free(bytes);
}

static void window_shows_banks(void **state)
{
    struct qtest *q = start(state);

    set_mode(q, 1024, 768, 32, 0);
    qtest_outw(q, 0x3CE, 0x0506); /* 64 KiB at 0xA0000 */
    for (int bank = 0; bank < 256; bank += 17) {
        dispi_write(q, BANK, bank);
        qtest_writel(q, 0xA1234, 0xC0DE0000 + bank);
        assert_int_equal(qtest_readl(q, vram + (bank << 16) + 0x1234), 0xC0DE0000 + bank);
        qtest_writel(q, vram + (bank << 16) + 0xFFFC, bank);
        assert_int_equal(qtest_readl(q, 0xAFFFC), bank);
    }
    dispi_write(q, BANK, 256 + 5); /* there are 256 */
    assert_int_equal(dispi_read(q, BANK), 5);
}

static void dac_of_8_bits(void **state)
{
    struct qtest *q = start(state);
    struct picture pic;

    set_mode(q, 256, 1, 8, DAC_8BIT);
    pixels_set_palette(q, true);
    for (int i = 0; i < 256; i++)
        qtest_writeb(q, vram + i, i);
    pic = picture_take(q);
    for (int i = 0; i < 256; i++)
        assert_int_equal(picture_pixel(&pic, i, 0), i << 16 | (255 - i) << 8 | 0x15);
    picture_free(&pic);
}

static void write_indexed(struct qtest *q, uint16_t port, uint8_t index, uint8_t value)
{
    qtest_outb(q, port, index);
    qtest_outb(q, port + 1, value);
}

static uint8_t read_indexed(struct qtest *q, uint16_t port, uint8_t index)
{
    qtest_outb(q, port, index);
    return qtest_inb(q, port + 1);
}

/* As text mode 3 leaves them. */
static void text_registers(struct qtest *q)
{
    write_indexed(q, 0x3C4, 2, 0x03);
    write_indexed(q, 0x3C4, 4, 0x02);
    write_indexed(q, 0x3CE, 5, 0x10);
    write_indexed(q, 0x3CE, 6, 0x0E);
    write_indexed(q, 0x3D4, 0x11, 0x0E);
    write_indexed(q, 0x3D4, 0x01, 0x4F);
    write_indexed(q, 0x3D4, 0x07, 0x1F);
    write_indexed(q, 0x3D4, 0x09, 0x4F);
    write_indexed(q, 0x3D4, 0x12, 0x8F);
    write_indexed(q, 0x3D4, 0x11, 0x8E);
}

static void a5_linear_mode_from_text_mode_without_a_bios(void **state)
{
    static const uint16_t enables[] = {ENABLED, ENABLED | LFB};
    struct qtest *q = start(state);

    for (unsigned i = 0; i < 2; i++) {
        dispi_write(q, ENABLE, 0);
        text_registers(q);
        dispi_write(q, XRES, 640);
        dispi_write(q, YRES, 480);
        dispi_write(q, BPP, 8);
        dispi_write(q, ENABLE, enables[i]);
        assert_int_equal(read_indexed(q, 0x3CE, 6), 0x07);
        assert_int_equal(read_indexed(q, 0x3D4, 0x01), 79);
        assert_int_equal(read_indexed(q, 0x3D4, 0x12), 479 & 0xFF);
        assert_int_equal(read_indexed(q, 0x3D4, 0x07) & 0x42, 0x02);
        assert_int_equal(read_indexed(q, 0x3D4, 0x13), 80);
        assert_int_equal(read_indexed(q, 0x3D4, 0x09) & 0x9F, 0);
        qtest_writeb(q, 0xA0123, 0x5A);
        assert_int_equal(qtest_readb(q, 0xA0123), 0x5A);
        assert_int_equal(qtest_readb(q, vram + 0x123), 0x5A);
        dispi_write(q, BANK, 3);
        qtest_writeb(q, 0xAFFFF, 0xA5);
        assert_int_equal(qtest_readb(q, vram + 0x3FFFF), 0xA5);
    }
    dispi_write(q, YRES, 1024); /* a size that changes while it is enabled */
    assert_int_equal(read_indexed(q, 0x3D4, 0x12), 1023 & 0xFF);
    assert_int_equal(read_indexed(q, 0x3D4, 0x07) & 0x42, 0x42);
}

/* Likewise 16 colours: a byte goes to all planes at one address. */
static void a5_planar_mode_from_text_mode_without_a_bios(void **state)
{
    struct qtest *q = start(state);

    if (qtest_is_qemu(q))
        skip();
    text_registers(q);
    set_mode(q, 640, 480, 4, 0);
    write_indexed(q, 0x3CE, 1, 0);
    write_indexed(q, 0x3CE, 3, 0);
    write_indexed(q, 0x3CE, 8, 0xFF);
    qtest_writeb(q, 0xA0001, 0x3C);
    assert_int_equal(qtest_readl(q, vram + 4), 0x3C3C3C3C);
    assert_int_equal(qtest_readl(q, vram), 0);
}

static void planar_mode_of_16_colours(void **state)
{
    struct qtest *q = start(state);
    struct picture pic;

    pixels_set_palette(q, false);
    qtest_outw(q, 0x3CE, 0x0506);
    qtest_outw(q, 0x3CE, 0xFF08);
    qtest_outw(q, 0x3C4, 0x0604); /* no odd/even, no chain-4 */
    qtest_inb(q, 0x3DA);
    for (int i = 0; i < 16; i++) {
        qtest_outb(q, 0x3C0, i);
        qtest_outb(q, 0x3C0, i + 16);
    }
    qtest_outb(q, 0x3C0, 0x12);
    qtest_outb(q, 0x3C0, 0x0F);
    qtest_outb(q, 0x3C0, 0x20);
    set_mode(q, 800, 600, 4, 0);
    for (int plane = 0; plane < 4; plane++) {
        static const uint16_t bits[4] = {0xAAAA, 0xCCCC, 0xF0F0, 0xFF00};

        qtest_outw(q, 0x3C4, 0x0002 | 0x100 << plane);
        qtest_writeb(q, 0xA0000 + 599 * 100, bits[plane] >> 8);
        qtest_writeb(q, 0xA0000 + 599 * 100 + 1, bits[plane] & 0xFF);
    }
    pic = picture_take(q);
    assert_int_equal(pic.width, 800);
    assert_int_equal(pic.height, 600);
    for (int x = 0; x < 16; x++) {
        uint8_t entry = 31 - x;

        assert_int_equal(picture_pixel(&pic, x, 599), pixels_widen(entry, 6) << 16 |
                                                          pixels_widen(entry >> 2, 6) << 8 |
                                                          pixels_widen(0x15, 6));
    }
    picture_free(&pic);
}

static void register_window(void **state)
{
    struct qtest *q = start(state);

    assert_int_equal(qtest_readw(q, mmio + 0x500), 0xB0C5);
    qtest_writew(q, mmio + 0x500 + 2 * XRES, 640);
    assert_int_equal(dispi_read(q, XRES), 640);
    qtest_writew(q, mmio + 0x400 + 4, 0x0F02); /* sequencer register 2 */
    qtest_outb(q, 0x3C4, 2);
    assert_int_equal(qtest_inb(q, 0x3C5), 0x0F);
    assert_int_equal(qtest_readb(q, mmio + 0x400 + 5), 0x0F);
    assert_int_equal(qtest_readb(q, mmio + 0x40C), 0x67);
    assert_int_equal(qtest_readl(q, mmio + 0x600), 8);
    assert_int_equal(qtest_readl(q, mmio + 0x604), 0x1E1E1E1E);
    qtest_writel(q, mmio + 0x604, 0x1E1E1E1E);
    assert_int_equal(qtest_readb(q, mmio), 0);
}

static void the_monitor_tells_of_itself(void **state)
{
    static const uint8_t header[] = {0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0};
    struct qtest *q = start_with(state, "-vga none -device VGA,xres=4000,yres=3000");
    uint8_t edid[128], sum = 0;

    for (unsigned i = 0; i < sizeof(edid); i += 4) {
        uint32_t value = qtest_readl(q, mmio + i);
        memcpy(edid + i, &value, 4);
    }
    assert_memory_equal(edid, header, sizeof(header));
    for (unsigned i = 0; i < sizeof(edid); i++)
        sum += edid[i];
    assert_int_equal(sum, 0);
    assert_int_equal(edid[54 + 2] | (edid[54 + 4] & 0xF0) << 4, 4000);
    assert_int_equal(edid[54 + 5] | (edid[54 + 7] & 0xF0) << 4, 3000);
    assert_int_equal(edid[54] | edid[55] << 8, 0xFFFF); /* the pixel clock's limit */
    assert_int_equal(qtest_readl(q, mmio + 0x80), 0);
    qtest_writel(q, mmio + 8, 0);
    assert_int_equal(qtest_readw(q, mmio + 8), 0xCD22);
}

static void no_monitor_is_possible(void **state)
{
    struct qtest *q = start_with(state, "-vga none -device VGA,edid=off");

    assert_int_equal(qtest_readl(q, mmio), 0);
    assert_int_equal(qtest_readl(q, mmio + 4), 0);
}

static void screen_off_blanks_a_linear_mode(void **state)
{
    struct qtest *q = start(state);
    struct picture pic;

    set_mode(q, 64, 64, 32, 0);
    qtest_writel(q, vram, 0xFFFFFF);
    pic = picture_take(q);
    assert_int_equal(picture_pixel(&pic, 0, 0), 0xFFFFFF);
    picture_free(&pic);
    qtest_inb(q, 0x3DA);
    qtest_outb(q, 0x3C0, 0);
    pic = picture_take(q);
    assert_int_equal(picture_pixel(&pic, 0, 0), 0);
    assert_int_equal(pic.width, 64);
    picture_free(&pic);
}

static void reset_leaves_the_linear_mode(void **state)
{
    struct qtest *q = start(state);

    set_mode(q, 320, 200, 32, 0);
    json_decref(qtest_qmp_ok(q, "{'execute': 'system_reset'}"));
    json_decref(qtest_qmp_event(q, "RESET"));
    assert_int_equal(dispi_read(q, ENABLE), 0);
    assert_int_equal(dispi_read(q, ID), 0xB0C5);
    assert_int_equal(qpci_readw(&card, 4) & 3, 0);
}

/* Only whole lines that the memory holds are shown. */
static void cve_2014_3615_screen_larger_than_memory(void **state)
{
    struct qtest *q = start_with(state, "-vga none -device VGA,vgamem_mb=1");
    struct picture pic;

    set_mode(q, 1024, 768, 32, 0);
    pic = picture_take(q);
    assert_int_equal(pic.width, 1024);
    assert_int_equal(pic.height, 256);
    picture_free(&pic);
    dispi_write(q, Y_OFFSET, 200);
    pic = picture_take(q);
    assert_int_equal(pic.height, 56);
    picture_free(&pic);
    dispi_write(q, Y_OFFSET, 0xFFFF);
    dispi_write(q, X_OFFSET, 0xFFFF);
    pic = picture_take(q); /* nothing of it: what the VGA's own registers show */
    picture_free(&pic);
    set_mode(q, 8000, 6000, 32, 0);
    dispi_write(q, VIRT_WIDTH, 0xFFFF);
    pic = picture_take(q);
    assert_int_equal(pic.width, 8000);
    assert_true(pic.height <= 32);
    picture_free(&pic);
    set_mode(q, 16000, 12000, 32, 0); /* wider than any picture: the one before stays */
    pic = picture_take(q);
    assert_int_equal(pic.width, 8000);
    picture_free(&pic);
}

/* XSA-179: banked accesses mixed with VGA and dispi registers. */
static void cve_2016_3710_banks_beyond_memory(void **state)
{
    struct qtest *q = start_with(state, "-vga none -device VGA,vgamem_mb=1");
    unsigned seed = 3;

    for (int i = 0; i < 600; i++) {
        switch (rand_r(&seed) % 5) {
        case 0:
            dispi_write(q, rand_r(&seed) % 12, rand_r(&seed));
            break;
        case 1:
            qtest_outw(q, 0x3C4, rand_r(&seed) % 5 | (rand_r(&seed) & 0xDF) << 8);
            break;
        case 2:
            qtest_outw(q, 0x3CE, rand_r(&seed) % 9 | (rand_r(&seed) & 0xFF) << 8);
            break;
        case 3:
            qtest_outw(q, 0x3D4, rand_r(&seed) % 25 | (rand_r(&seed) & 0xFF) << 8);
            break;
        default:
            qtest_writel(q, 0xA0000 + rand_r(&seed) % 0x1FFFC, i);
            qtest_readl(q, 0xA0000 + rand_r(&seed) % 0x1FFFC);
            break;
        }
        if (i % 50 == 0) {
            struct picture pic;

            dispi_write(q, XRES, 1 + rand_r(&seed) % 500);
            pic = picture_take(q);
            picture_free(&pic);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        qtest_unit_test(pci_identity),
        qtest_unit_test(rom_is_the_vga_bios_for_this_card),
        qtest_unit_test(memory_size_option),
        qtest_unit_test(memory_size_is_rounded_down),
        cmocka_unit_test(bad_memory_sizes_are_refused),
        qtest_unit_test(dispi_identity_and_capabilities),
        qtest_unit_test(every_depth),
        qtest_unit_test(widths_of_any_number),
        qtest_unit_test(virtual_width_and_offsets),
        qtest_unit_test(enabling_clears_unless_told_not_to),
        qtest_unit_test(window_shows_banks),
        qtest_unit_test(dac_of_8_bits),
        qtest_unit_test(a5_linear_mode_from_text_mode_without_a_bios),
        qtest_unit_test(a5_planar_mode_from_text_mode_without_a_bios),
        qtest_unit_test(planar_mode_of_16_colours),
        qtest_unit_test(register_window),
        qtest_unit_test(the_monitor_tells_of_itself),
        qtest_unit_test(no_monitor_is_possible),
        qtest_unit_test(screen_off_blanks_a_linear_mode),
        qtest_unit_test(reset_leaves_the_linear_mode),
        qtest_unit_test(cve_2014_3615_screen_larger_than_memory),
        qtest_unit_test(cve_2016_3710_banks_beyond_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
