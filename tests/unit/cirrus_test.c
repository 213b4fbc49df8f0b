/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Cirrus GD5446 through the test port, as its drivers use it: identity, modes, banks, apertures, BitBLT
 * registers, data from system memory by each way, cursor. The blitter's arithmetic has its own test
 * (cirrus_blt_test).
 */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/cmocka.h"
#include "tests/lib/picture.h"
#include "tests/lib/pixels.h"
#include "tests/lib/qpci.h"

enum { VRAM_SIZE = 4 << 20 };

static struct qpci card;
static uint64_t vram, mmio;

static struct qtest *start(void **state)
{
    struct qtest *q = qtest_start("-m 64 -nodefaults -vga cirrus");

    *state = q;
    card = qpci_get(q, 0x1013, 0x00B8);
    vram = qpci_map(&card, 0);
    mmio = qpci_map(&card, 1);
    qpci_enable(&card);
    qtest_outb(q, 0x3C2, 0x67);
    qtest_inb(q, 0x3DA);
    qtest_outb(q, 0x3C0, 0x20);
    return q;
}

static void seq(struct qtest *q, uint8_t index, uint8_t value)
{
    qtest_outw(q, 0x3C4, index | value << 8);
}

static uint8_t seq_read(struct qtest *q, uint8_t index)
{
    qtest_outb(q, 0x3C4, index);
    return qtest_inb(q, 0x3C5);
}

static void gfx(struct qtest *q, uint8_t index, uint8_t value)
{
    qtest_outw(q, 0x3CE, index | value << 8);
}

static uint8_t gfx_read(struct qtest *q, uint8_t index)
{
    qtest_outb(q, 0x3CE, index);
    return qtest_inb(q, 0x3CF);
}

static void crtc(struct qtest *q, uint8_t index, uint8_t value)
{
    qtest_outw(q, 0x3D4, index | value << 8);
}

static uint8_t crtc_read(struct qtest *q, uint8_t index)
{
    qtest_outb(q, 0x3D4, index);
    return qtest_inb(q, 0x3D5);
}

static void hidden_dac(struct qtest *q, uint8_t value)
{
    qtest_inb(q, 0x3C8);
    for (int i = 0; i < 4; i++)
        qtest_inb(q, 0x3C6);
    qtest_outb(q, 0x3C6, value);
}

/* A packed mode, as the kernel's driver sets it. */
static void set_mode(struct qtest *q, int width, int height, uint8_t sr7, uint8_t dac, int pitch)
{
    int last = height - 1;

    crtc(q, 0x11, 0x20);
    crtc(q, 0x01, width / 8 - 1);
    crtc(q, 0x12, last & 0xFF);
    crtc(q, 0x07, 0x10 | (last >> 8 & 1) << 1 | (last >> 9 & 1) << 6);
    crtc(q, 0x09, 0x40);
    crtc(q, 0x18, 0xFF);
    crtc(q, 0x17, 0xC3);
    crtc(q, 0x13, pitch / 8 & 0xFF);
    crtc(q, 0x1B, 0x22 | (pitch / 8 & 0x100) >> 4);
    crtc(q, 0x1D, 0);
    crtc(q, 0x0C, 0);
    crtc(q, 0x0D, 0);
    seq(q, 0x06, 0x12);
    seq(q, 0x01, 0x21); /* "screen off", as the VGA BIOS leaves it */
    seq(q, 0x02, 0x0F);
    seq(q, 0x04, 0x0E);
    seq(q, 0x07, sr7);
    gfx(q, 0x05, 0x40);
    gfx(q, 0x06, 0x05);
    hidden_dac(q, dac);
    qtest_outb(q, 0x3C6, 0xFF);
}

static uint8_t *fill(struct qtest *q, uint64_t addr, size_t size)
{
    static unsigned seed = 1;
    uint8_t *bytes = malloc(size);

    for (size_t i = 0; i < size; i++)
        bytes[i] = rand_r(&seed) >> 8;
    qtest_memwrite(q, addr, bytes, size);
    return bytes;
}

static void identity(void **state)
{
    struct qtest *q = start(state);

    assert_int_equal(qpci_readw(&card, 0x0A), 0x0300);
    assert_int_equal(qpci_readl(&card, 0x2C), 0x11001AF4); /* what the kernel's driver binds to */
    assert_int_equal(qpci_bar_size(&card, 0), 32 << 20);
    assert_int_equal(qpci_bar_size(&card, 1), 4096);
    seq(q, 6, 0x92);
    assert_int_equal(seq_read(q, 6), 0x12);
    seq(q, 6, 0);
    assert_int_equal(seq_read(q, 6), 0x0F);
    assert_int_equal(crtc_read(q, 0x27), 0xB8);
    assert_int_equal(seq_read(q, 0x0F) & 0x98, 0x98); /* 4 MiB */
    assert_int_equal(seq_read(q, 0x17) & 0x38, 0x20); /* PCI */
}

static void rom_is_the_vga_bios_for_this_card(void **state)
{
    struct qtest *q = start(state);
    uint64_t rom = qpci_map(&card, QPCI_ROM);

    assert_int_equal(qtest_readw(q, rom), 0xAA55);
    assert_int_equal(qtest_readl(q, rom + qtest_readw(q, rom + 0x18) + 4), 0x00B81013);
}

static void scratch_registers_keep_their_bytes(void **state)
{
    struct qtest *q = start(state);

    for (int i = 0x09; i <= 0x0E; i++) {
        seq(q, i, 0x50 + i);
        assert_int_equal(seq_read(q, i), 0x50 + i);
    }
    for (int i = 0x10; i <= 0x15; i++) {
        gfx(q, i, 0x60 + i);
        assert_int_equal(gfx_read(q, i), 0x60 + i);
    }
    crtc(q, 0x1A, 0x55);
    assert_int_equal(crtc_read(q, 0x1A), 0x55);
    gfx(q, 0x40, 1); /* beyond what there is */
    assert_int_equal(gfx_read(q, 0x40), 0);
    assert_int_equal(seq_read(q, 0x25), 0);
}

static void hidden_dac_needs_four_reads(void **state)
{
    struct qtest *q = start(state);

    qtest_outb(q, 0x3C6, 0x77);
    hidden_dac(q, 0xC1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(qtest_inb(q, 0x3C6), 0x77);
    assert_int_equal(qtest_inb(q, 0x3C6), 0xC1);
    assert_int_equal(qtest_inb(q, 0x3C6), 0x77);
    qtest_inb(q, 0x3C6);
    qtest_inb(q, 0x3C6);
    qtest_inb(q, 0x3C8); /* breaks the row */
    qtest_outb(q, 0x3C6, 0x66);
    assert_int_equal(qtest_inb(q, 0x3C6), 0x66);
}

static void every_depth(void **state)
{
    static const struct {
        int bits;
        uint8_t sr7, dac;
    } modes[] = {{8, 0x11, 0x00},  {15, 0x17, 0xF0}, {15, 0x17, 0xC0}, {16, 0x17, 0xC1},
                 {16, 0xA3, 0xE1}, {24, 0x15, 0xC5}, {32, 0x19, 0xC5}};
    struct qtest *q = start(state);

    pixels_set_palette(q, false);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        int pitch = 640 * ((modes[i].bits + 7) / 8);
        uint8_t *bytes;

        set_mode(q, 640, 100, modes[i].sr7, modes[i].dac, pitch);
        bytes = fill(q, vram, pitch * 100);
        pixels_assert_shown(q, bytes, modes[i].bits, pitch, 640, 100);
        free(bytes);
    }
}

static void multiplexed_8_bits_doubles_the_width(void **state)
{
    struct qtest *q = start(state);
    struct picture pic;

    set_mode(q, 640, 512, 0x17 & ~6, 0x4A, 1280);
    crtc(q, 0x17, 0xC7); /* and the CRTC counts every second line */
    pic = picture_take(q);
    assert_int_equal(pic.width, 1280);
    assert_int_equal(pic.height, 1024);
    picture_free(&pic);
}

/* All 20 bits of the start address, in units of 4 bytes; the picture goes on at the beginning of memory. */
static void start_address_and_wrap(void **state)
{
    struct qtest *q = start(state);
    uint8_t *bytes;
    struct picture pic;

    set_mode(q, 640, 64, 0x19, 0xC5, 2560);
    bytes = fill(q, vram, VRAM_SIZE);
    for (int i = 0; i < 2; i++) {
        uint32_t start = i ? VRAM_SIZE - 10 * 2560 - 100 : 0x2A5A50;
        uint32_t count = start / 4;

        crtc(q, 0x0C, count >> 8);
        crtc(q, 0x0D, count);
        crtc(q, 0x1B, 0x22 | (2560 / 8 & 0x100) >> 4 | (count >> 16 & 1) | (count >> 15 & 0xC));
        crtc(q, 0x1D, count >> 12 & 0x80);
        pic = picture_take(q);
        for (int y = 0; y < 64; y++)
            for (int x = 0; x < 640; x++) {
                uint32_t p, at = (start + y * 2560 + x * 4) & (VRAM_SIZE - 1);

                memcpy(&p, bytes + at, 4);
                assert_int_equal(picture_pixel(&pic, x, y), p & 0xFFFFFF);
            }
        picture_free(&pic);
    }
    free(bytes);
}

static void banks_of_4_and_16_kib(void **state)
{
    struct qtest *q = start(state);

    set_mode(q, 640, 480, 0x11, 0, 640);
    for (int i = 0; i < 256; i += 37) {
        gfx(q, 0x0B, 0x00);
        gfx(q, 0x09, i);
        qtest_writel(q, 0xA8004, 0x11110000 + i);
        assert_int_equal(qtest_readl(q, vram + i * 4096 + 0x8004), 0x11110000 + i);
        gfx(q, 0x0B, 0x21); /* two banks */
        gfx(q, 0x09, i);
        gfx(q, 0x0A, 255 - i);
        qtest_writel(q, 0xA0008, 0x22220000 + i);
        qtest_writel(q, 0xA8008, 0x33330000 + i);
        assert_int_equal(qtest_readl(q, vram + i * 16384 + 8), 0x22220000 + i);
        assert_int_equal(qtest_readl(q, vram + (255 - i) * 16384 + 8), 0x33330000 + i);
    }
    /* The halves of the window meet: an access across goes to both banks. */
    gfx(q, 0x09, 0);
    gfx(q, 0x0A, 10);
    qtest_writel(q, 0xA7FFE, 0x44332211);
    assert_int_equal(qtest_readw(q, vram + 0x7FFE), 0x2211);
    assert_int_equal(qtest_readw(q, vram + 10 * 16384), 0x4433);
}

/* ---- the blitter's registers ---- */

struct blit {
    uint32_t width, height, dst, src, dst_pitch, src_pitch;
    uint8_t mode, rop, ext;
};

static void blit_registers(struct qtest *q, const struct blit *blit)
{
    gfx(q, 0x20, blit->width - 1);
    gfx(q, 0x21, (blit->width - 1) >> 8);
    gfx(q, 0x22, blit->height - 1);
    gfx(q, 0x23, (blit->height - 1) >> 8);
    gfx(q, 0x24, blit->dst_pitch);
    gfx(q, 0x25, blit->dst_pitch >> 8);
    gfx(q, 0x26, blit->src_pitch);
    gfx(q, 0x27, blit->src_pitch >> 8);
    gfx(q, 0x28, blit->dst);
    gfx(q, 0x29, blit->dst >> 8);
    gfx(q, 0x2A, blit->dst >> 16);
    gfx(q, 0x2C, blit->src);
    gfx(q, 0x2D, blit->src >> 8);
    gfx(q, 0x2E, blit->src >> 16);
    gfx(q, 0x2F, 0);
    gfx(q, 0x30, blit->mode);
    gfx(q, 0x32, blit->rop);
    gfx(q, 0x33, blit->ext);
}

static void blit_run(struct qtest *q, const struct blit *blit)
{
    blit_registers(q, blit);
    gfx(q, 0x31, 0x02);
}

/* As the VGA BIOS clears memory, and drivers without linear memory draw: much through one bank, then the
 * next. */
static void busy_banks_keep_their_places(void **state)
{
    struct qtest *q = start(state);
    uint8_t *bytes = malloc(16384);

    set_mode(q, 640, 480, 0x11, 0, 640);
    gfx(q, 0x0B, 0x20);
    for (int bank = 0; bank < 256; bank += 51) {
        gfx(q, 0x09, bank);
        for (int i = 0; i < 16384; i++)
            bytes[i] = i * 7 + bank + (i >> 8);
        qtest_memwrite(q, 0xA0000, bytes, 16384);
        for (int i = 0; i < 16384; i += 511)
            assert_int_equal(qtest_readb(q, vram + bank * 16384 + i), bytes[i]);
        qtest_writeb(q, vram + bank * 16384 + 5, 0x77);
        assert_int_equal(qtest_readb(q, 0xA0005), 0x77);
    }
    /* A blit from system memory takes its data in the window though that was memory a moment ago. */
    gfx(q, 0x09, 0);
    qtest_memwrite(q, 0xA0000, bytes, 16384);
    blit_run(q, &(struct blit){4, 1, 0x100000, 0, 640, 640, 0x04, 0x0D, 0});
    qtest_writel(q, 0xA0000, 0xAABBCCDD);
    assert_int_equal(qtest_readl(q, vram + 0x100000), 0xAABBCCDD);
    assert_int_equal(qtest_readb(q, vram), bytes[0]);
    free(bytes);
}

static void swapping_apertures(void **state)
{
    struct qtest *q = start(state);

    qtest_writel(q, vram + 0x100, 0x44332211);
    assert_int_equal(qtest_readl(q, vram + 0x100), 0x44332211);
    assert_int_equal(qtest_readl(q, vram + VRAM_SIZE + 0x100), 0x33441122);
    assert_int_equal(qtest_readl(q, vram + 2 * VRAM_SIZE + 0x100), 0x11223344);
    qtest_writel(q, vram + 2 * VRAM_SIZE + 0x100, 0x55667788);
    assert_int_equal(qtest_readl(q, vram + 0x100), 0x88776655);
}

static void write_modes_4_and_5(void **state)
{
    struct qtest *q = start(state);

    set_mode(q, 640, 480, 0x11, 0, 640);
    gfx(q, 0x0B, 0x06); /* extended write modes, an address is 8 bytes */
    gfx(q, 0x00, 0x22);
    gfx(q, 0x01, 0xEE);
    gfx(q, 0x05, 0x45);
    qtest_writeb(q, 0xA0010, 0xA5);
    gfx(q, 0x05, 0x44);
    gfx(q, 0x01, 0x77);
    qtest_writeb(q, 0xA0010, 0x0F);
    gfx(q, 0x0B, 0x00);
    gfx(q, 0x05, 0x40);
    assert_int_equal(qtest_readl(q, vram + 0x80), 0x22EE22EE);
    assert_int_equal(qtest_readl(q, vram + 0x84), 0x77777777);
    gfx(q, 0x0B, 0x16); /* 16-bit pixels: an address is 16 bytes */
    gfx(q, 0x05, 0x45);
    gfx(q, 0x10, 0x33);
    gfx(q, 0x11, 0x99);
    qtest_writeb(q, vram + 0x20, 0x80); /* through linear memory, too */
    gfx(q, 0x0B, 0x00);
    gfx(q, 0x05, 0x40);
    assert_int_equal(qtest_readl(q, vram + 0x200), 0x33229977);
    assert_int_equal(qtest_readl(q, vram + 0x20C), 0x33223322);
}

static void cve_2017_15289_write_mode_at_the_end(void **state)
{
    struct qtest *q = start(state);

    set_mode(q, 640, 480, 0x11, 0, 640);
    gfx(q, 0x0B, 0x37);
    gfx(q, 0x05, 0x45);
    gfx(q, 0x09, 0xFF);
    gfx(q, 0x0A, 0xFF);
    for (uint32_t a = 0xA0000; a < 0xB0000; a += 0xFFF)
        qtest_writel(q, a, 0xFFFFFFFF);
    qtest_writel(q, vram + VRAM_SIZE - 4, 0xFFFFFFFF);
    gfx(q, 0x0B, 0x02);
    gfx(q, 0x05, 0x40);
    qtest_readl(q, vram + VRAM_SIZE - 4);
}

static void eight_byte_latches(void **state)
{
    struct qtest *q = start(state);

    set_mode(q, 640, 480, 0x11, 0, 640);
    qtest_writeq(q, vram + 0x80, 0x8877665544332211ull);
    gfx(q, 0x0B, 0x0E);
    gfx(q, 0x05, 0x41);
    qtest_readb(q, 0xA0010);
    qtest_writeb(q, 0xA0020, 0xAA); /* copies all eight */
    gfx(q, 0x0B, 0x00);
    gfx(q, 0x05, 0x40);
    assert_int_equal(qtest_readq(q, vram + 0x100), 0x8877665544332211ull);
}

static void assert_idle(struct qtest *q)
{
    assert_int_equal(gfx_read(q, 0x31) & 0x0B, 0);
}

static void blit_by_ports(void **state)
{
    struct qtest *q = start(state);
    uint8_t *bytes, back[100];

    set_mode(q, 640, 480, 0x11, 0, 640);
    bytes = fill(q, vram, 640 * 100);
    blit_run(q, &(struct blit){100, 50, 640 * 200 + 13, 640 * 10 + 7, 640, 640, 0, 0x0D, 0});
    assert_idle(q);
    for (int y = 0; y < 50; y++) {
        qtest_memread(q, vram + 640 * (200 + y) + 13, back, 100);
        assert_memory_equal(back, bytes + 640 * (10 + y) + 7, 100);
    }
    free(bytes);
}

static void solid_fill_by_registers_in_memory(void **state)
{
    static const uint64_t places[] = {0, 0xB8000, VRAM_SIZE - 256};
    struct qtest *q = start(state);

    set_mode(q, 640, 480, 0x17, 0xC1, 1280);
    for (int i = 0; i < 3; i++) {
        uint64_t regs = i == 0 ? mmio + 0x100 : i == 1 ? places[1] : vram + places[2];

        seq(q, 0x17, i == 1 ? 0x04 : i == 2 ? 0x44 : 0);
        qtest_writel(q, regs + 0x04, 0x0000BEE0 + i);
        qtest_writel(q, regs + 0x08, 9 << 16 | (20 - 1)); /* 10 pixels, 10 lines */
        qtest_writel(q, regs + 0x0C, 1280 << 16 | 1280);
        qtest_writel(q, regs + 0x10, 1280 * 5 + 6);
        qtest_writeb(q, regs + 0x18, 0xD0);
        qtest_writeb(q, regs + 0x1A, 0x0D);
        qtest_writeb(q, regs + 0x1B, 0x04);
        assert_int_equal(qtest_readb(q, regs + 0x08), 19);
        qtest_writeb(q, regs + 0x40, 0x02);
        assert_int_equal(qtest_readb(q, regs + 0x40) & 0x0B, 0);
        seq(q, 0x17, 0);
        for (int y = 5; y < 15; y++)
            for (int x = 3; x < 13; x++)
                assert_int_equal(qtest_readw(q, vram + 1280 * y + 2 * x), 0xBEE0 + i);
        assert_int_equal(qtest_readw(q, vram + 1280 * 5 + 4), 0);
        assert_int_equal(qtest_readw(q, vram + 1280 * 15 + 6), 0);
    }
}

static void autostart_by_the_destination(void **state)
{
    struct qtest *q = start(state);

    set_mode(q, 640, 480, 0x11, 0, 640);
    gfx(q, 0x01, 0x5C);
    blit_registers(q, &(struct blit){8, 2, 0, 0, 640, 640, 0xC0, 0x0D, 4});
    gfx(q, 0x31, 0x80);
    assert_int_equal(qtest_readb(q, vram + 0x10000), 0);
    gfx(q, 0x28, 0);
    gfx(q, 0x29, 0);
    gfx(q, 0x2A, 1);
    assert_int_equal(qtest_readl(q, vram + 0x10000), 0x5C5C5C5C);
    assert_int_equal(qtest_readl(q, vram + 0x10000 + 640 + 4), 0x5C5C5C5C);
    assert_int_equal(gfx_read(q, 0x31), 0x80);
}

/* ---- data from system memory ---- */

static void assert_glyph(struct qtest *q, uint64_t at, uint8_t bits)
{
    for (int i = 0; i < 8; i++)
        assert_int_equal(qtest_readb(q, vram + at + i), bits >> (7 - i) & 1 ? 0xF1 : 0xB0);
}

/* As cirrusfb draws a character: memcpy to the beginning of linear memory. */
static void expansion_through_linear_memory(void **state)
{
    struct qtest *q = start(state);
    uint8_t font[16];

    set_mode(q, 640, 480, 0x11, 0, 640);
    for (int i = 0; i < 16; i++)
        font[i] = 0x11 * i;
    qtest_memset(q, vram, 0x5A, 32);
    gfx(q, 0x00, 0xB0);
    gfx(q, 0x01, 0xF1);
    blit_run(q, &(struct blit){8, 16, 640 * 7 + 24, 0, 640, 640, 0x84, 0x0D, 0});
    assert_int_equal(gfx_read(q, 0x31) & 0x09, 0x09);
    qtest_memwrite(q, vram, font, 16);
    assert_idle(q);
    for (int i = 0; i < 16; i++)
        assert_glyph(q, 640 * (7 + i) + 24, font[i]);
    assert_int_equal(qtest_readl(q, vram), 0x5A5A5A5A); /* went to the blitter, not to memory */
    qtest_writeb(q, vram, 0x01);                        /* and now it is memory again */
    assert_int_equal(qtest_readb(q, vram), 0x01);
}

static void expansion_through_window_and_blt_aperture(void **state)
{
    struct qtest *q = start(state);

    set_mode(q, 640, 480, 0x11, 0, 640);
    gfx(q, 0x00, 0xB0);
    gfx(q, 0x01, 0xF1);
    for (int i = 0; i < 2; i++) {
        uint64_t port = i ? vram + (16 << 20) + 0x1000 : 0xA0000;

        blit_run(q, &(struct blit){8, 6, 640 * 20 * (i + 1), 0, 640, 640, 0x84, 0x0D, 0});
        qtest_writel(q, port, 0x44332211);
        qtest_writel(q, port + 4, 0x99996655); /* the last two bytes are too many */
        assert_idle(q);
        for (int y = 0; y < 6; y++)
            assert_glyph(q, 640 * (20 * (i + 1) + y), 0x11 * (y + 1));
    }
}

static void own_aperture_leaves_linear_memory_alone(void **state)
{
    struct qtest *q = start(state);

    set_mode(q, 640, 480, 0x11, 0, 640);
    blit_registers(q, &(struct blit){4, 2, 640 * 20, 0, 640, 640, 0x04, 0x0D, 0});
    gfx(q, 0x31, 0x22);
    qtest_writel(q, vram + 0x300, 0x01020304);
    assert_int_equal(qtest_readl(q, vram + 0x300), 0x01020304);
    qtest_writel(q, vram + (16 << 20), 0xAABBCCDD);
    qtest_writel(q, vram + (16 << 20), 0x55667788);
    assert_idle(q);
    assert_int_equal(qtest_readl(q, vram + 640 * 20), 0xAABBCCDD);
    assert_int_equal(qtest_readl(q, vram + 640 * 21), 0x55667788);
}

/* Lines of pixels are padded to 4 bytes; the picture shows them while the blit is under way. */
static void pixels_from_system_memory(void **state)
{
    struct qtest *q = start(state);

    set_mode(q, 640, 480, 0x11, 0, 640);
    blit_run(q, &(struct blit){5, 3, 640 * 30, 0, 640, 640, 0x04, 0x0D, 0});
    for (int y = 0; y < 3; y++) {
        qtest_writel(q, 0xA0000, 0x04030201 + y * 0x10101010);
        assert_int_equal(gfx_read(q, 0x31) & 1, 1);
        qtest_writel(q, 0xA0000, 0xEEEEEE05 + y * 0x10);
    }
    assert_idle(q);
    for (int y = 0; y < 3; y++) {
        assert_int_equal(qtest_readl(q, vram + 640 * (30 + y)), 0x04030201 + y * 0x10101010);
        assert_int_equal(qtest_readb(q, vram + 640 * (30 + y) + 4), 5 + y * 0x10);
        assert_int_equal(qtest_readb(q, vram + 640 * (30 + y) + 5), 0);
    }
}

static void reset_bit_ends_a_hungry_blit(void **state)
{
    struct qtest *q = start(state);

    set_mode(q, 640, 480, 0x11, 0, 640);
    blit_run(q, &(struct blit){64, 64, 0, 0, 640, 640, 0x04, 0x0D, 0});
    qtest_writel(q, 0xA0000, 1);
    assert_int_equal(gfx_read(q, 0x31) & 0x09, 0x09);
    gfx(q, 0x31, 0x04);
    gfx(q, 0x31, 0x00);
    assert_idle(q);
    qtest_writel(q, 0xA0010, 0x12345678); /* memory again */
    assert_int_equal(qtest_readl(q, vram + 0x10), 0x12345678);
}

static void machine_reset_ends_a_hungry_blit(void **state)
{
    struct qtest *q = start(state);

    blit_run(q, &(struct blit){64, 64, 0, 0, 640, 640, 0x04, 0x0D, 0});
    json_decref(qtest_qmp_ok(q, "{'execute': 'system_reset'}"));
    json_decref(qtest_qmp_event(q, "RESET"));
    assert_int_equal(gfx_read(q, 0x31), 0);
    qpci_map(&card, 0);
    qpci_enable(&card);
    qtest_writel(q, card.bars[0] + 0x10, 0x12345678);
    assert_int_equal(qtest_readl(q, card.bars[0] + 0x10), 0x12345678);
}

static void register_changes_do_not_touch_a_blit_under_way(void **state)
{
    struct qtest *q = start(state);

    set_mode(q, 640, 480, 0x11, 0, 640);
    blit_run(q, &(struct blit){4, 2, 640 * 20, 0, 640, 640, 0x04, 0x0D, 0});
    gfx(q, 0x22, 0xFF);
    gfx(q, 0x23, 0xFF);
    gfx(q, 0x2A, 0x3F);
    gfx(q, 0x25, 0x1F);
    qtest_writel(q, 0xA0000, 0x11111111);
    qtest_writel(q, 0xA0000, 0x22222222);
    assert_idle(q);
    assert_int_equal(qtest_readl(q, vram + 640 * 21), 0x22222222);
}

/* CVE-2007-1320, CVE-2014-8106, CVE-2017-2615, CVE-2017-2620: the memory's last byte is the last one touched.
 */
static void rectangles_beyond_memory_do_nothing(void **state)
{
    static const struct blit bad[] = {
        {640, 480, VRAM_SIZE - 1000, 0, 640, 640, 0, 0x0D, 0},    /* past the end */
        {640, 480, 0, VRAM_SIZE - 1000, 640, 640, 0, 0x0D, 0},    /* source past the end */
        {640, 480, 1000, VRAM_SIZE - 1, 640, 640, 0x01, 0x0D, 0}, /* backwards before the beginning */
        {8192, 2048, 0, 0, 8191, 0, 0, 0x0D, 0},                  /* everything at its largest */
        {640, 480, VRAM_SIZE - 1000, 0, 640, 640, 0x84, 0x0D, 0}, /* from system memory, past the end */
        {640, 480, VRAM_SIZE - 1000, 0, 640, 640, 0xC0, 0x0D, 4}, /* solid fill past the end */
        {64, 64, 0x1000, VRAM_SIZE - 8, 640, 640, 0x40, 0x0D, 0}, /* pattern past the end */
        {640, 480, 0, 0x1000, 640, 640, 0x02, 0x0D, 0}, /* to system memory: there is no such engine */
    };
    struct qtest *q = start(state);

    set_mode(q, 640, 480, 0x11, 0, 640);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        qtest_memset(q, vram + 0x1000, 0x5A, 0x1000);
        qtest_writel(q, vram + VRAM_SIZE - 4, 0x5A5A5A5A);
        blit_run(q, &bad[i]);
        assert_idle(q);
        assert_int_equal(qtest_readl(q, vram + 0x1000), 0x5A5A5A5A);
        assert_int_equal(qtest_readl(q, vram + VRAM_SIZE - 4), 0x5A5A5A5A);
    }
}

/* ---- the cursor ---- */

static void hardware_cursor(void **state)
{
    struct qtest *q = start(state);

    set_mode(q, 640, 480, 0x19, 0xC5, 2560);
    for (int size = 32; size <= 64; size += 32) {
        uint64_t pattern = vram + VRAM_SIZE - 16384 + (size == 64 ? 0x3C : 0x3F) * 256;
        uint8_t planes[2][64][8];
        struct picture pic;
        int cx = 101, cy = 203;

        for (int plane = 0; plane < 2; plane++)
            for (int y = 0; y < size; y++)
                for (int i = 0; i < size / 8; i++) {
                    planes[plane][y][i] = rand();
                    qtest_writeb(q, pattern + (size == 64 ? y * 16 + plane * 8 : plane * 128 + y * 4) + i,
                                 planes[plane][y][i]);
                }
        qtest_memset(q, vram, 0x35, 640 * 4 * 300);
        seq(q, 0x12, 0x02);
        qtest_outb(q, 0x3C8, 0);
        qtest_outb(q, 0x3C9, 0x01);
        qtest_outb(q, 0x3C9, 0x02);
        qtest_outb(q, 0x3C9, 0x03);
        qtest_outb(q, 0x3C8, 15);
        qtest_outb(q, 0x3C9, 0x3F);
        qtest_outb(q, 0x3C9, 0x3E);
        qtest_outb(q, 0x3C9, 0x3D);
        seq(q, 0x13, 0x3F);
        seq(q, 0x10 | (cx & 7) << 5, cx >> 3);
        seq(q, 0x11 | (cy & 7) << 5, cy >> 3);
        seq(q, 0x12, size == 64 ? 0x05 : 0x01);
        assert_int_equal(seq_read(q, 0x10), cx >> 3);
        pic = picture_take(q);
        for (int y = cy - 2; y < cy + size + 2; y++)
            for (int x = cx - 2; x < cx + size + 2; x++) {
                int dx = x - cx, dy = y - cy;
                bool inside = dx >= 0 && dy >= 0 && dx < size && dy < size;
                int low = inside ? planes[0][dy][dx / 8] >> (7 - dx % 8) & 1 : 0;
                int high = inside ? planes[1][dy][dx / 8] >> (7 - dx % 8) & 1 : 0;
                uint32_t want = high ? (low ? pixels_widen(0x3F, 6) << 16 | pixels_widen(0x3E, 6) << 8 |
                                                  pixels_widen(0x3D, 6)
                                            : pixels_widen(0x01, 6) << 16 | pixels_widen(0x02, 6) << 8 |
                                                  pixels_widen(0x03, 6))
                                     : (low ? 0xCACACA : 0x353535);

                assert_int_equal(picture_pixel(&pic, x, y), want);
            }
        picture_free(&pic);
    }
    seq(q, 0x10 | 7 << 5, 0xFF); /* far outside */
    seq(q, 0x11 | 7 << 5, 0xFF);
    struct picture pic = picture_take(q);
    assert_int_equal(picture_pixel(&pic, 101, 203), 0x353535);
    picture_free(&pic);
}

/* Back to text after a linear mode, as the VGA BIOS does it. */
static void vga_mode_after_linear_mode(void **state)
{
    struct qtest *q = start(state);
    struct picture pic;

    set_mode(q, 640, 480, 0x11, 0, 640);
    seq(q, 0x07, 0);
    seq(q, 0x01, 0x00);
    gfx(q, 0x06, 0x0E);
    crtc(q, 0x01, 0x4F);
    crtc(q, 0x09, 0x4F);
    crtc(q, 0x12, 0x8F);
    crtc(q, 0x07, 0x1F);
    pic = picture_take(q);
    assert_int_equal(pic.width, 720);
    assert_int_equal(pic.height, 400);
    picture_free(&pic);
}

static void random_registers_are_harmless(void **state)
{
    struct qtest *q = start(state);
    unsigned seed = 5;

    for (int i = 0; i < 3000; i++) {
        uint8_t value = rand_r(&seed) >> 4;

        switch (rand_r(&seed) % 8) {
        case 0:
            seq(q, rand_r(&seed) % 0x20, value);
            break;
        case 1:
        case 2:
            gfx(q, rand_r(&seed) % 0x3A, value);
            break;
        case 3:
            crtc(q, rand_r(&seed) % 0x28, value);
            break;
        case 4:
            gfx(q, 0x31, value & 0x80 ? 0x02 : value);
            break;
        case 5:
            qtest_writel(q, 0xA0000 + rand_r(&seed) % 0x1FFFC, i);
            break;
        case 6:
            qtest_writel(q, vram + rand_r(&seed) % (32 << 20), i);
            break;
        default:
            qtest_readl(q, vram + rand_r(&seed) % (32 << 20));
            break;
        }
        if (i % 100 == 0) {
            struct picture pic = picture_take(q);

            picture_free(&pic);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        qtest_unit_test(identity),
        qtest_unit_test(rom_is_the_vga_bios_for_this_card),
        qtest_unit_test(scratch_registers_keep_their_bytes),
        qtest_unit_test(hidden_dac_needs_four_reads),
        qtest_unit_test(every_depth),
        qtest_unit_test(multiplexed_8_bits_doubles_the_width),
        qtest_unit_test(start_address_and_wrap),
        qtest_unit_test(banks_of_4_and_16_kib),
        qtest_unit_test(busy_banks_keep_their_places),
        qtest_unit_test(swapping_apertures),
        qtest_unit_test(write_modes_4_and_5),
        qtest_unit_test(cve_2017_15289_write_mode_at_the_end),
        qtest_unit_test(eight_byte_latches),
        qtest_unit_test(blit_by_ports),
        qtest_unit_test(solid_fill_by_registers_in_memory),
        qtest_unit_test(autostart_by_the_destination),
        qtest_unit_test(expansion_through_linear_memory),
        qtest_unit_test(expansion_through_window_and_blt_aperture),
        qtest_unit_test(own_aperture_leaves_linear_memory_alone),
        qtest_unit_test(pixels_from_system_memory),
        qtest_unit_test(reset_bit_ends_a_hungry_blit),
        qtest_unit_test(machine_reset_ends_a_hungry_blit),
        qtest_unit_test(register_changes_do_not_touch_a_blit_under_way),
        qtest_unit_test(rectangles_beyond_memory_do_nothing),
        qtest_unit_test(hardware_cursor),
        qtest_unit_test(vga_mode_after_linear_mode),
        qtest_unit_test(random_registers_are_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
