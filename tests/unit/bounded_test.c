/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Nothing that a guest asks for, whatever its registers say, is more than a bounded piece of work before
 * others have their turn (base/work.h). Counters say so, not clocks: the test port's `work`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/work.h"
#include "tests/lib/cmocka.h"
#include "tests/lib/qpci.h"

static struct qtest *start_card(void **state, const char *args, uint16_t vendor, uint16_t device,
                                struct qpci *card)
{
    struct qtest *q = *state = qtest_startf("-m 64 -nodefaults %s", args);

    if (qtest_is_qemu(q))
        skip();
    *card = qpci_get(q, vendor, device);
    qpci_enable(card);
    return q;
}

static void forget_work(struct qtest *q)
{
    qtest_command(q, "work");
}

/* The pieces since forget_work; none was too large. */
static unsigned long pieces(struct qtest *q)
{
    unsigned long largest, count;

    assert_int_equal(sscanf(qtest_command(q, "work"), "OK %lu %lu", &largest, &count), 2);
    assert_in_range(largest, 1, WORK_LIMIT);
    return count;
}

static void graphics(struct qtest *q, uint8_t index, uint8_t value)
{
    qtest_outw(q, 0x3CE, index | value << 8);
}

/* ---- the Cirrus' blitter ---- */

enum { BLT_PLAIN = 0, BLT_PATTERN = 0x40, BLT_EXPAND = 0x80, BLT_TRANSPARENT = 0x08 };

static struct qtest *start_cirrus(void **state, uint64_t *vram)
{
    struct qpci card;
    struct qtest *q = start_card(state, "-vga cirrus", 0x1013, 0x00B8, &card);

    *vram = qpci_map(&card, 0);
    qtest_outb(q, 0x3C2, 0x67);
    qtest_outw(q, 0x3C4, 0x1206);
    return q;
}

/* The largest rectangle there is, each line at the same place. */
static void largest_blit(struct qtest *q, uint8_t mode)
{
    static const uint8_t registers[] = {0xFF, 0x1F, 0xFF, 0x07, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40};

    for (unsigned i = 0; i < sizeof(registers); i++)
        graphics(q, 0x20 + i, registers[i]);
    graphics(q, 0x2E, 0);
    graphics(q, 0x2F, 0);
    graphics(q, 0x30, mode);
    graphics(q, 0x32, 0x0D);
    graphics(q, 0x33, 0);
}

static void b2_blits_without_a_pitch_are_cut_into_pieces(void **state)
{
    static const uint8_t modes[] = {BLT_PLAIN,
                                    BLT_EXPAND,
                                    BLT_PATTERN,
                                    BLT_PATTERN | BLT_EXPAND,
                                    BLT_EXPAND | BLT_TRANSPARENT,
                                    BLT_PLAIN | BLT_TRANSPARENT};
    uint64_t vram;
    struct qtest *q = start_cirrus(state, &vram);

    for (unsigned i = 0; i < sizeof(modes); i++) {
        qtest_writel(q, vram + 0x4000, 0x12345678);
        largest_blit(q, modes[i]);
        forget_work(q);
        graphics(q, 0x31, 0x02);
        assert_in_range(pieces(q), 5, 10000);
        qtest_outb(q, 0x3CE, 0x31);
        assert_int_equal(qtest_inb(q, 0x3CF) & 0x0B, 0); /* all is done when the processor goes on */
        if (modes[i] == BLT_PLAIN)
            assert_int_equal(qtest_readl(q, vram), 0x12345678);
    }
}

/* A pattern that the processor sends may be as large, too. */
static void b2_a_pattern_from_the_processor_is_cut_into_pieces(void **state)
{
    uint64_t vram;
    struct qtest *q = start_cirrus(state, &vram);

    largest_blit(q, 0x04 | BLT_PATTERN);
    graphics(q, 0x31, 0x02);
    forget_work(q);
    for (unsigned i = 0; i < 16; i++)
        qtest_writel(q, vram + 4 * i, 0xA5A5A5A5);
    assert_in_range(pieces(q), 5, 10000);
    assert_int_equal(qtest_readl(q, vram), 0xA5A5A5A5);
}

static void b2_a_reset_ends_a_blit(void **state)
{
    uint64_t vram;
    struct qtest *q = start_cirrus(state, &vram);

    largest_blit(q, BLT_EXPAND);
    qtest_send(q, "outb 0x3ce 0x31\nouts 0x3cf 1 1000 0x02\n",
               strlen("outb 0x3ce 0x31\nouts 0x3cf 1 1000 0x02\n"));
    json_decref(qtest_qmp_ok(q, "{'execute':'system_reset'}"));
    json_decref(qtest_qmp_event(q, "RESET"));
    json_decref(qtest_qmp_ok(q, "{'execute':'quit'}"));
    assert_int_equal(qtest_wait_exit(q), 0);
    qtest_stop(q);
    *state = NULL;
}

/* ---- strings ---- */

/*
 * rep outsb that starts the largest blit 4096 times: minutes of work in one request. The monitor is answered
 * meanwhile, and can end the process.
 */
static void b2_the_monitor_is_answered_during_a_string_of_blits(void **state)
{
    static const char request[] = "outs 0x3cf 1 4096 0x02\n";
    uint64_t vram;
    struct qtest *q = start_cirrus(state, &vram);

    largest_blit(q, BLT_EXPAND);
    qtest_outb(q, 0x3CE, 0x31);
    qtest_send(q, request, strlen(request));
    for (unsigned i = 0; i < 10; i++)
        json_decref(qtest_qmp_ok(q, "{'execute':'query-status'}"));
    json_decref(qtest_qmp_ok(q, "{'execute':'quit'}"));
    assert_int_equal(qtest_wait_exit(q), 0);
    qtest_stop(q);
    *state = NULL;
}

/* Blits of a string are all drawn, and in pieces. */
static void b2_a_string_of_blits_is_drawn_to_its_end(void **state)
{
    uint64_t vram;
    struct qtest *q = start_cirrus(state, &vram);

    largest_blit(q, BLT_PLAIN);
    qtest_outb(q, 0x3CE, 0x31);
    forget_work(q);
    assert_string_equal(qtest_command(q, "outs 0x3cf 1 4 0x02"), "OK");
    assert_in_range(pieces(q), 10, 10000);
}

/* 0xCFC: the video memory's place changes with each element. */
static void b2_strings_to_any_port_stop_at_the_budget(void **state)
{
    static const uint16_t ports[] = {0x00,  0x0B,  0x60,  0x64,  0x70,  0x71,  0x92,  0x1CE, 0x1CF,
                                     0x1F0, 0x1F7, 0x3B5, 0x3C0, 0x3C5, 0x3C9, 0x3CF, 0x3D5, 0x3F5,
                                     0x3F8, 0x402, 0x511, 0x514, 0xCF8, 0xCFC, 0xB004};
    struct qpci card;
    struct qtest *q = start_card(state, "-vga std -serial null", 0x1234, 0x1111, &card);

    for (unsigned i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
        for (unsigned size = 1; size <= 4; size *= 2) {
            qtest_outl(q, 0xCF8, 0x80000000u | card.devfn << 8 | 0x10);
            forget_work(q);
            assert_string_equal(qtest_command(q, "outs 0x%x %u 4096 0x%x", ports[i], size, i * 0x01234567),
                                "OK");
            pieces(q);
        }
}

/* ---- the standard VGA ---- */

static void b2_video_memory_is_cleared_in_pieces(void **state)
{
    struct qpci card;
    struct qtest *q = start_card(state, "-device VGA,vgamem_mb=256", 0x1234, 0x1111, &card);
    uint64_t vram = qpci_map(&card, 0);
    static const uint16_t values[][2] = {{1, 8192}, {2, 8192}, {3, 32}, {4, 0x41}};

    qtest_writel(q, vram, 0xFFFFFFFF);
    qtest_writel(q, vram + (256 << 20) - 4, 0xFFFFFFFF);
    forget_work(q);
    for (unsigned i = 0; i < 4; i++) {
        qtest_outw(q, 0x1CE, values[i][0]);
        qtest_outw(q, 0x1CF, values[i][1]);
    }
    assert_in_range(pieces(q), 20, 10000);
    assert_int_equal(qtest_readl(q, vram), 0);
    assert_int_equal(qtest_readl(q, vram + (256 << 20) - 4), 0);
}

/* ---- the firmware's interface ---- */

/* A DMA of much more than the item has, which is filled up with zeroes. */
static void b2_firmware_dma_goes_in_pieces(void **state)
{
    struct qtest *q = *state = qtest_start("-m 64 -nodefaults -vga none");
    static const uint8_t request[16] = {0, 0, 0, 0x0A, 0x00, 0xFF, 0xFF, 0xF0, 0, 0, 0, 0, 0x02, 0, 0, 0};

    if (qtest_is_qemu(q))
        skip();
    qtest_memwrite(q, 0x10000, request, sizeof(request));
    qtest_writel(q, 0x2FFFFEC, 0xFFFFFFFF);
    forget_work(q);
    qtest_outl(q, 0x514, 0);
    qtest_outl(q, 0x518, __builtin_bswap32(0x10000));
    assert_in_range(pieces(q), 3, 1000);
    assert_int_equal(qtest_readl(q, 0x10000), 0);
    assert_int_equal(qtest_readl(q, 0x2000000), 0x554D4551); /* "QEMU" */
    assert_int_equal(qtest_readl(q, 0x2FFFFEC), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        qtest_unit_test(b2_blits_without_a_pitch_are_cut_into_pieces),
        qtest_unit_test(b2_a_pattern_from_the_processor_is_cut_into_pieces),
        qtest_unit_test(b2_a_reset_ends_a_blit),
        qtest_unit_test(b2_the_monitor_is_answered_during_a_string_of_blits),
        qtest_unit_test(b2_a_string_of_blits_is_drawn_to_its_end),
        qtest_unit_test(b2_strings_to_any_port_stop_at_the_budget),
        qtest_unit_test(b2_video_memory_is_cleared_in_pieces),
        qtest_unit_test(b2_firmware_dma_goes_in_pieces),
    };

    return cmocka_run_group_tests_name("bounded work", tests, NULL, NULL);
}
