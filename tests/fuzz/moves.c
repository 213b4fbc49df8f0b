/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/moves.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Where the moves keep their tables in guest RAM; random addresses fall around it as well. */
#define TABLES     0x10000ul
#define TABLES_END 0x40000ul

/* splitmix64 */
static uint64_t next_random(struct moves *m)
{
    uint64_t z = m->random += 0x9E3779B97F4A7C15ull;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
}

static uint64_t below(struct moves *m, uint64_t limit)
{
    return next_random(m) % limit;
}

static bool one_in(struct moves *m, unsigned n)
{
    return below(m, n) == 0;
}

static void __attribute__((format(printf, 2, 3))) emit(struct moves *m, const char *format, ...)
{
    char line[4096];
    va_list ap;

    va_start(ap, format);
    vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    m->emit(m->opaque, line);
}

static void outb(struct moves *m, uint16_t port, uint8_t value)
{
    emit(m, "outb 0x%x 0x%x", port, value);
}

static void outw(struct moves *m, uint16_t port, uint16_t value)
{
    emit(m, "outw 0x%x 0x%x", port, value);
}

static void outl(struct moves *m, uint16_t port, uint32_t value)
{
    emit(m, "outl 0x%x 0x%x", port, value);
}

static void inb(struct moves *m, uint16_t port)
{
    emit(m, "inb 0x%x", port);
}

static void writel(struct moves *m, uint64_t addr, uint32_t value)
{
    emit(m, "writel 0x%lx 0x%x", addr, value);
}

/* ---- values ---- */

/* Sizes and counts at which arithmetic breaks. */
static uint64_t edge(struct moves *m)
{
    uint64_t power = 1ull << below(m, one_in(m, 4) ? 64 : 33);

    return power + below(m, 5) - 2;
}

static uint64_t window_address(struct moves *m)
{
    if (m->bar_count == 0)
        return 0xA0000;
    unsigned i = below(m, m->bar_count);
    return m->bars[i].base + below(m, m->bars[i].size);
}

/* An address that a device is told to read or write. */
static uint64_t dma_address(struct moves *m)
{
    static const uint64_t places[] = {0,          0xA0000,        0xB8000,        0xC0000,
                                      0xF0000,    0xFFFF0,        0xFEC00000,     0xFEE00000,
                                      0xFFFFFF00, 0x100000000ull, UINT64_MAX - 63};

    switch (below(m, 8)) {
    case 0:
    case 1:
    case 2:
        return TABLES + below(m, TABLES_END - TABLES);
    case 3:
        return below(m, m->ram_size);
    case 4:
        return m->ram_size - below(m, 4096);
    case 5:
        return m->ram_size + below(m, 65536);
    case 6:
        return window_address(m);
    default:
        return places[below(m, COUNT(places))] + below(m, 64);
    }
}

static uint64_t any_value(struct moves *m)
{
    switch (below(m, 6)) {
    case 0:
        return below(m, 16);
    case 1:
        return 1ull << below(m, 32);
    case 2:
        return ~0ull;
    case 3:
        return edge(m);
    case 4:
        return dma_address(m);
    default:
        return next_random(m);
    }
}

/* ---- accesses without a plan ---- */

/* first port, count */
static const uint16_t port_ranges[][2] = {
    {0x00, 32},  {0x20, 2},   {0x40, 4},    {0x60, 5},   {0x70, 8},    {0x80, 16},   {0x92, 1},  {0xA0, 2},
    {0xB2, 2},   {0xC0, 32},  {0xE0, 16},   {0xF0, 16},  {0x170, 8},   {0x1CE, 3},   {0x1F0, 8}, {0x2E8, 8},
    {0x2F8, 8},  {0x376, 2},  {0x378, 8},   {0x3B0, 48}, {0x3E8, 8},   {0x3F0, 16},  {0x402, 1}, {0x4D0, 2},
    {0x510, 12}, {0x600, 64}, {0xAE00, 32}, {0xAFE0, 4}, {0xB000, 64}, {0xB100, 16}, {0xCF8, 8},
};

static uint16_t any_port(struct moves *m)
{
    if (one_in(m, 12))
        return below(m, 0x10000);
    if (m->bar_count > 0 && one_in(m, 4)) {
        unsigned i = below(m, m->bar_count);
        if (m->bars[i].io)
            return m->bars[i].base + below(m, m->bars[i].size);
    }
    const uint16_t *range = port_ranges[below(m, COUNT(port_ranges))];
    return range[0] + below(m, range[1]);
}

static void random_port(struct moves *m)
{
    static const char sizes[] = "bwl";
    char size = sizes[below(m, 3)];
    uint16_t port = any_port(m);

    if (one_in(m, 3))
        emit(m, "in%c 0x%x", size, port);
    else
        emit(m, "out%c 0x%x 0x%lx", size, port, any_value(m));
}

/* rep outs of one value: the same access again and again, in one request. */
static void string_port(struct moves *m)
{
    static const uint16_t ports[] = {0x3CF, 0x3CF, 0x3C5, 0xCFC, 0x1CF, 0x1F0, 0x1F7, 0x3F5, 0x60, 0x511};
    uint16_t port = one_in(m, 3) ? any_port(m) : ports[below(m, COUNT(ports))];
    unsigned size = 1u << below(m, 3), count = 1 + below(m, one_in(m, 4) ? 4096 : 64);

    emit(m, "outs 0x%x %u %u 0x%lx", port, size, count, one_in(m, 2) ? 0x02 : any_value(m));
}

static uint64_t any_memory(struct moves *m)
{
    switch (below(m, 4)) {
    case 0:
        return 0xA0000 + below(m, 0x20000);
    case 1:
        return window_address(m);
    case 2:
        return window_address(m) & ~0xFFFull;
    default:
        return dma_address(m);
    }
}

static void random_memory(struct moves *m)
{
    static const char sizes[] = "bwlq";
    char size = sizes[below(m, 4)];
    uint64_t addr = any_memory(m);

    if (one_in(m, 3))
        emit(m, "read%c 0x%lx", size, addr);
    else
        emit(m, "write%c 0x%lx 0x%lx", size, addr, any_value(m));
}

static void random_block(struct moves *m)
{
    uint64_t addr = any_memory(m), size = 1 + below(m, one_in(m, 8) ? 8192 : 300);

    if (one_in(m, 3))
        emit(m, "b64read 0x%lx 0x%lx", addr, size);
    else
        emit(m, "memset 0x%lx 0x%lx 0x%x", addr, size, (unsigned)below(m, 256));
}

/* ---- PCI configuration ---- */

static void config_write(struct moves *m, uint8_t devfn, uint8_t offset, unsigned size, uint32_t value)
{
    outl(m, 0xCF8, 0x80000000u | devfn << 8 | (offset & 0xFC));
    emit(m, "out%c 0x%x 0x%x", size == 1 ? 'b' : size == 2 ? 'w' : 'l', 0xCFC + (offset & 3), value);
}

static void random_config(struct moves *m)
{
    static const uint8_t sizes[] = {1, 2, 4};
    uint8_t devfn =
        m->function_count && !one_in(m, 8) ? m->functions[below(m, m->function_count)].devfn : below(m, 256);
    uint8_t offset = one_in(m, 2) ? below(m, 64) : below(m, 256);
    unsigned size = sizes[below(m, 3)];

    if (one_in(m, 3)) {
        outl(m, 0xCF8, 0x80000000u | devfn << 8 | (offset & 0xFC));
        emit(m, "in%c 0x%x", size == 1 ? 'b' : size == 2 ? 'w' : 'l', 0xCFC + (offset & 3));
    } else {
        config_write(m, devfn, offset, size, any_value(m));
    }
}

/* Puts the BARs of a function where the other moves look for them. */
static void repair(struct moves *m, unsigned function)
{
    for (unsigned i = 0; i < m->bar_count; i++)
        if (m->bars[i].function == function)
            config_write(m, m->functions[function].devfn,
                         m->bars[i].bar == QPCI_ROM ? 0x30 : 0x10 + 4 * m->bars[i].bar, 4,
                         m->bars[i].base | (m->bars[i].bar == QPCI_ROM));
    config_write(m, m->functions[function].devfn, 4, 2, 7);
}

static void repair_all(struct moves *m)
{
    for (unsigned i = 0; i < m->function_count; i++)
        repair(m, i);
}

static uint64_t bar_of(struct moves *m, uint16_t vendor, uint16_t device, unsigned bar)
{
    for (unsigned i = 0; i < m->bar_count; i++)
        if (m->functions[m->bars[i].function].vendor == vendor &&
            m->functions[m->bars[i].function].device == device && m->bars[i].bar == bar)
            return m->bars[i].base;
    return 0;
}

/* ---- IDE ---- */

static void prd_table(struct moves *m, uint64_t table)
{
    unsigned entries = 1 + below(m, 6);

    for (unsigned i = 0; i < entries; i++) {
        uint32_t count = one_in(m, 3) ? below(m, 0x10000) : 512 * below(m, 129);
        uint32_t last = i + 1 == entries && !one_in(m, 8) ? 0x80000000u : 0;
        writel(m, table + 8 * i, dma_address(m));
        writel(m, table + 8 * i + 4, (count & 0xFFFF) | last | (one_in(m, 8) ? 0x12340000 : 0));
    }
}

/* A packet that the drive carries out: the command, a second byte that some want, and what else is not zero.
 */
static const struct packet_form {
    uint8_t bytes[12];
    uint8_t vary; /* this byte takes a few small values */
} packet_forms[] = {
    {{0x00}, 0},
    {{0x03, 0, 0, 0, 18}, 0},
    {{0x12, 0, 0, 0, 36}, 0},
    {{0x12, 1, 0, 0, 64}, 2},
    {{0x12, 1, 0x80, 0, 64}, 0},
    {{0x12, 1, 0x83, 0, 64}, 0},
    {{0x15, 0x10, 0, 0, 16}, 4},
    {{0x1A, 0, 0x3F, 0, 255}, 0},
    {{0x1B}, 4},
    {{0x1E}, 4},
    {{0x23, 0, 0, 0, 0, 0, 0, 0, 12}, 0},
    {{0x25}, 0},
    {{0x28, 0, 0, 0, 0, 0, 0, 0, 3}, 8},
    {{0x28, 0, 0, 0, 0, 0, 0, 0, 90}, 5},
    {{0x2B}, 5},
    {{0x2F, 0, 0, 0, 0, 0, 0, 0, 3}, 5},
    {{0x42, 0, 0x40, 1, 0, 0, 0, 0, 24}, 3},
    {{0x43, 0, 0, 0, 0, 0, 0, 1, 0}, 2},
    {{0x43, 2, 0, 0, 0, 0, 0, 1, 0}, 6},
    {{0x44, 2, 0, 0, 0, 0, 0, 0, 8}, 5},
    {{0x46, 0, 0, 0, 0, 0, 0, 1, 0}, 1},
    {{0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8}, 0},
    {{0x4E}, 0},
    {{0x51, 0, 0, 0, 0, 0, 0, 0, 34}, 0},
    {{0x52, 0, 0, 0, 0, 1, 0, 0, 36}, 1},
    {{0x55, 0x10, 0, 0, 0, 0, 0, 0, 28}, 8},
    {{0x5A, 0, 0x3F, 0, 0, 0, 0, 1, 0}, 0},
    {{0x5A, 0, 0x2A, 0, 0, 0, 0, 1, 0}, 0},
    {{0xA8, 0, 0, 0, 0, 0, 0, 0, 0, 2}, 5},
    {{0xAD, 0, 0, 0, 0, 0, 0, 0, 8, 4}, 7},
    {{0xB6}, 0},
    {{0xB9, 0, 0, 0, 2, 0, 0, 2, 3, 0xF8}, 8},
    {{0xBB}, 0},
    {{0xBD, 0, 0, 0, 0, 0, 0, 0, 0, 8}, 0},
    {{0xBE, 0, 0, 0, 0, 0, 0, 0, 3, 0xF8}, 8},
    {{0xBE, 0, 0, 0, 0, 0, 0, 0, 120, 0xF8}, 5},
    {{0xBE, 0, 0, 0, 0, 0, 0, 0, 3, 0x10}, 1},
};

static void packet(struct moves *m, uint16_t base)
{
    struct packet_form form = packet_forms[below(m, COUNT(packet_forms))];

    if (form.vary)
        form.bytes[form.vary] += below(m, 5);
    if (one_in(m, 2))
        for (unsigned n = 1 + below(m, 4); n > 0; n--)
            form.bytes[below(m, one_in(m, 8) ? 1 : 12)] = any_value(m);
    for (unsigned i = 0; i < 12; i += 2)
        outw(m, base, form.bytes[i] | form.bytes[i + 1] << 8);
}

/* Between commands and answers the disk's threads come to an end of it. */
static void let_disks_work(struct moves *m)
{
    emit(m, "qmp {'execute': 'query-status'}");
}

static void ide(struct moves *m)
{
    static const uint8_t commands[] = {
        0x00, 0x08, 0x10, 0x20, 0x21, 0x24, 0x25, 0x27, 0x29, 0x30, 0x31, 0x34, 0x35, 0x37, 0x39, 0x40,
        0x42, 0x70, 0x90, 0x91, 0xA0, 0xA1, 0xB0, 0xC4, 0xC5, 0xC6, 0xC8, 0xCA, 0x06, 0xE0, 0xE1, 0xE5,
        0xE6, 0xE7, 0xEA, 0xEC, 0xEF, 0xF8, 0xF9, 0x94, 0x97, 0x98, 0xA0, 0xA0, 0xC8, 0xCA, 0x25, 0x35};
    uint16_t base = one_in(m, 2) ? 0x1F0 : 0x170, control = base == 0x1F0 ? 0x3F6 : 0x376;
    uint16_t bm = bar_of(m, 0x8086, 0x7010, 4) + (base == 0x1F0 ? 0 : 8);
    uint8_t command = one_in(m, 16) ? below(m, 256) : commands[below(m, COUNT(commands))];

    if (one_in(m, 2)) {
        uint64_t table = one_in(m, 8) ? dma_address(m) : TABLES + 8 * below(m, 512);
        prd_table(m, table);
        outl(m, bm + 4, table);
        outb(m, bm, below(m, 2) << 3);
        outb(m, bm + 2, 6);
    }
    bool sane = one_in(m, 2); /* a request that a drive would carry out */
    outb(m, base + 6, 0xA0 | below(m, 2) << 4 | (one_in(m, 4) ? 0 : 0x40) | (sane ? 0 : below(m, 16)));
    for (unsigned pass = one_in(m, 3) ? 2 : 1; pass > 0; pass--) {
        outb(m, base + 1, sane || one_in(m, 2) ? below(m, 2) : any_value(m));
        for (unsigned i = 2; i < 6; i++)
            outb(m, base + i, sane || one_in(m, 2) ? below(m, i < 4 ? 8 : 2) : any_value(m));
    }
    if (one_in(m, 6))
        outb(m, bm, 1 | below(m, 2) << 3);
    outb(m, base + 7, command);
    if (command == 0xA0)
        packet(m, base);
    if (one_in(m, 2))
        outb(m, bm, 1 | below(m, 2) << 3);
    if (one_in(m, 4))
        let_disks_work(m);
    for (unsigned n = below(m, 12); n > 0; n--)
        switch (below(m, 4)) {
        case 0:
            emit(m, "out%c 0x%x 0x%lx", "wl"[below(m, 2)], base, next_random(m) & 0xFFFFFFFF);
            break;
        case 1:
            emit(m, "in%c 0x%x", "bwl"[below(m, 3)], base);
            break;
        case 2:
            inb(m, base + below(m, 8));
            break;
        default:
            inb(m, bm + 2);
        }
    if (one_in(m, 12)) {
        outb(m, control, 0x04);
        outb(m, control, one_in(m, 2) ? 0x00 : 0x02);
    }
    if (one_in(m, 6))
        outb(m, bm, 0);
}

/* So many bytes through a data port, in or out, with an odd access now and then. */
static void drain(struct moves *m, uint16_t base, unsigned bytes, bool write)
{
    for (; bytes >= 4; bytes -= 4)
        if (one_in(m, 200))
            emit(m, "in%c 0x%x", "bwl"[below(m, 3)], (unsigned)(base + below(m, 8)));
        else if (write)
            outl(m, base, one_in(m, 8) ? next_random(m) : 0);
        else
            emit(m, "inl 0x%x", base);
}

static uint64_t start_bus_master(struct moves *m, uint16_t base)
{
    uint64_t bm = bar_of(m, 0x8086, 0x7010, 4) + (base == 0x1F0 ? 0 : 8);

    outl(m, bm + 4, TABLES);
    outb(m, bm, 0);
    outb(m, bm + 2, 6);
    return bm;
}

/* One packet command to its end, as a driver would; the drive is on the secondary channel. */
static void cd_command(struct moves *m)
{
    uint16_t base = 0x170, bm = 0;
    bool dma = one_in(m, 3);

    if (dma) {
        prd_table(m, TABLES);
        bm = start_bus_master(m, base);
    }
    outb(m, base + 6, 0xA0 | below(m, 2) << 4);
    if (one_in(m, 4))
        outb(m, base + 7, 0x08); /* DEVICE RESET */
    outb(m, base + 1, dma);
    outb(m, base + 4, one_in(m, 4) ? any_value(m) : 0xFE);
    outb(m, base + 5, one_in(m, 4) ? any_value(m) : 0xFF);
    outb(m, base + 7, 0xA0);
    packet(m, base);
    if (dma)
        outb(m, bm, one_in(m, 4) ? 0x01 : 0x09);
    let_disks_work(m);
    if (!dma)
        drain(m, base, below(m, 160), one_in(m, 3));
}

/* One disk command to its end: whole sectors through the data port, or a table that is long enough. */
static void disk_command(struct moves *m)
{
    enum { NO_DATA, IN, OUT, BY_DMA };
    static const struct {
        uint8_t command, way;
    } commands[] = {
        {0x20, IN},      {0x24, IN},      {0x29, IN},      {0xC4, IN},      {0xE4, IN},      {0xEC, IN},
        {0xB0, IN},      {0xB0, NO_DATA}, {0x30, OUT},     {0x34, OUT},     {0x39, OUT},     {0xC5, OUT},
        {0xCE, OUT},     {0xE8, OUT},     {0x06, BY_DMA},  {0x06, BY_DMA},  {0x25, BY_DMA},  {0x35, BY_DMA},
        {0xC8, BY_DMA},  {0xCA, BY_DMA},  {0x40, NO_DATA}, {0x42, NO_DATA}, {0xC6, NO_DATA}, {0xEF, NO_DATA},
        {0xE7, NO_DATA}, {0xEA, NO_DATA}, {0xE5, NO_DATA}, {0x91, NO_DATA},
    };
    static const uint8_t settings[] = {0x02, 0x03, 0x05, 0x42, 0x55, 0x66, 0x82, 0x85, 0xAA, 0xC2, 0xCC};
    unsigned which = below(m, COUNT(commands)), sectors = 1 + below(m, 3);
    uint8_t command = commands[which].command, way = commands[which].way;
    uint8_t feature = command == 0xB0   ? 0xD0 + below(m, 12)
                      : command == 0xEF ? settings[below(m, COUNT(settings))]
                                        : 1;
    uint16_t base = one_in(m, 2) ? 0x1F0 : 0x170, bm = 0;

    if (way == BY_DMA) {
        bm = start_bus_master(m, base);
        writel(m, TABLES, TABLES_END);
        writel(m, TABLES + 4, 0x80000000u | 512 * (1 + below(m, 4)));
        /* ranges to trim: LBA, and the count in the upper 16 bits */
        for (unsigned i = 0; i < 4; i++)
            emit(m, "writeq 0x%lx 0x%lx", TABLES_END + 8 * i,
                 (one_in(m, 4) ? any_value(m) : below(m, 256)) | below(m, 64) << 48);
    }
    if (one_in(m, 4)) {
        outb(m, base + 0x206, 0x04);
        outb(m, base + 0x206, 0x00);
    }
    outb(m, base + 6, 0xE0 | below(m, 2) << 4);
    for (unsigned i = 2; i < 6; i++)
        outb(m, base + i, 0); /* what the 48-bit commands take as the upper half */
    outb(m, base + 1, feature);
    outb(m, base + 2, command == 0x06 || command == 0xB0 ? 1 : command == 0xEF ? below(m, 80) : sectors);
    outb(m, base + 3, below(m, 7));
    outb(m, base + 4, command == 0xB0 ? 0x4F : 0);
    outb(m, base + 5, command == 0xB0 ? 0xC2 : 0);
    outb(m, base + 7, command);
    if (way == BY_DMA)
        outb(m, bm, command == 0xC8 || command == 0x25 ? 0x09 : 0x01);
    let_disks_work(m);
    if (way == IN || way == OUT) {
        drain(m, base, 512 * sectors, way == OUT);
        let_disks_work(m);
    }
}

/* ---- floppy and ISA DMA ---- */

static void isa_dma(struct moves *m, unsigned channel)
{
    static const uint8_t pages[8] = {0x87, 0x83, 0x81, 0x82, 0x8F, 0x8B, 0x89, 0x8A};
    unsigned step = channel < 4 ? 1 : 2, base = channel < 4 ? 0 : 0xC0, local = channel & 3;
    uint32_t addr = one_in(m, 2) ? TABLES : dma_address(m), count = one_in(m, 2) ? 511 : any_value(m);

    outb(m, base + (channel < 4 ? 0x0C : 0x18), 0);
    outb(m, base + (channel < 4 ? 0x0B : 0x16),
         (one_in(m, 4) ? below(m, 64) << 2 : 0x44 + 4 * below(m, 2)) | local);
    outb(m, base + local * 2 * step, addr);
    outb(m, base + local * 2 * step, addr >> 8);
    outb(m, base + (local * 2 + 1) * step, count);
    outb(m, base + (local * 2 + 1) * step, count >> 8);
    outb(m, pages[channel], addr >> 16);
    outb(m, base + (channel < 4 ? 0x0A : 0x14), local);
}

static void floppy(struct moves *m)
{
    static const uint8_t commands[] = {0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0C,
                                       0x0D, 0x0E, 0x0F, 0x10, 0x11, 0x12, 0x13, 0x14, 0x16, 0x17,
                                       0x18, 0x19, 0x1D, 0x2E, 0x33, 0x4C, 0x8E, 0xCD};
    uint8_t command = one_in(m, 10) ? below(m, 256) : commands[below(m, COUNT(commands))];

    if (one_in(m, 4))
        outb(m, 0x3F2, one_in(m, 2) ? 0x1C : below(m, 256));
    if (one_in(m, 8))
        outb(m, 0x3F4, below(m, 256));
    if (one_in(m, 2))
        isa_dma(m, 2);
    outb(m, 0x3F5, command | (one_in(m, 2) ? 0xC0 : 0));
    for (unsigned n = below(m, 10); n > 0; n--)
        outb(m, 0x3F5, one_in(m, 2) ? below(m, 20) : any_value(m));
    if (one_in(m, 2))
        emit(m, "clock_step 0x%lx", below(m, 100000000));
    for (unsigned n = below(m, 12); n > 0; n--)
        inb(m, one_in(m, 4) ? 0x3F4 : 0x3F5);
}

/* One floppy command that moves sectors, to its end, by DMA or through the FIFO. */
static void floppy_command(struct moves *m)
{
    static const uint8_t commands[] = {0x46, 0x46, 0x45, 0x45, 0x4C, 0x49, 0x42,
                                       0x56, 0x51, 0x59, 0x5D, 0x4D, 0x4A};
    uint8_t command =
        commands[below(m, COUNT(commands))] | (one_in(m, 2) ? 0x80 : 0) | (one_in(m, 4) ? 0x20 : 0);
    bool format = (command & 0x1F) == 0x0D, read_id = (command & 0x1F) == 0x0A, pio = one_in(m, 3);
    uint8_t cylinder = below(m, 82), head = below(m, 2), first = 1 + below(m, 18), unit = below(m, 2);
    uint8_t select = head << 2 | unit;

    outb(m, 0x3F2, 0x0C | 0x10 << unit | unit);
    outb(m, 0x3F7, 0); /* 500 kbit/s */
    outb(m, 0x3F5, 0x03);
    outb(m, 0x3F5, 0xDF);
    outb(m, 0x3F5, pio);
    outb(m, 0x3F5, 0x0F);
    outb(m, 0x3F5, select);
    outb(m, 0x3F5, cylinder);
    outb(m, 0x3F5, 0x08);
    inb(m, 0x3F5);
    inb(m, 0x3F5);
    if (!pio)
        isa_dma(m, 2);

    outb(m, 0x3F5, command);
    outb(m, 0x3F5, select);
    if (read_id) {
        emit(m, "clock_step");
    } else if (format) {
        uint8_t parameters[] = {2, 1 + below(m, 18), 0x54, 0xF6};
        for (unsigned i = 0; i < sizeof(parameters); i++)
            outb(m, 0x3F5, parameters[i]);
    } else {
        uint8_t parameters[] = {cylinder, head, first, 2, first + below(m, 4), 0x1B, 0xFF};
        if (one_in(m, 6))
            parameters[below(m, sizeof(parameters))] = any_value(m);
        for (unsigned i = 0; i < sizeof(parameters); i++)
            outb(m, 0x3F5, parameters[i]);
    }
    let_disks_work(m);
    for (unsigned n = pio ? below(m, 1100) : 0; n > 0; n--)
        if ((command & 0x1F) != 0x06 && (command & 0x1F) != 0x0C && (command & 0x1F) != 0x02)
            outb(m, 0x3F5, 0);
        else
            inb(m, 0x3F5);
    let_disks_work(m);
    for (unsigned n = 0; n < 7; n++)
        inb(m, 0x3F5);
}

/* ---- graphics ---- */

static void indexed(struct moves *m, uint16_t port, uint8_t count)
{
    uint8_t index = one_in(m, 16) ? below(m, 256) : below(m, count);

    outw(m, port, any_value(m) << 8 | index);
}

static void attribute(struct moves *m)
{
    inb(m, 0x3DA);
    outb(m, 0x3C0, below(m, 0x40));
    outb(m, 0x3C0, any_value(m));
    if (one_in(m, 2))
        outb(m, 0x3C0, 0x20);
}

static void vbe(struct moves *m)
{
    static const uint16_t depths[] = {4, 8, 15, 16, 24, 32};

    switch (below(m, 3)) {
    case 0: /* a mode that exists, or nearly */
        outw(m, 0x1CE, 4);
        outw(m, 0x1CF, 0);
        outw(m, 0x1CE, 1);
        outw(m, 0x1CF, one_in(m, 4) ? edge(m) : 8 * below(m, 260));
        outw(m, 0x1CE, 2);
        outw(m, 0x1CF, one_in(m, 4) ? edge(m) : below(m, 1600));
        outw(m, 0x1CE, 3);
        outw(m, 0x1CF, one_in(m, 8) ? below(m, 64) : depths[below(m, COUNT(depths))]);
        outw(m, 0x1CE, 4);
        outw(m, 0x1CF, one_in(m, 4) ? any_value(m) : 0x41 | below(m, 2) << 7);
        break;
    default:
        outw(m, 0x1CE, below(m, 12));
        outw(m, 0x1CF, any_value(m));
    }
}

static void vga(struct moves *m)
{
    switch (below(m, 10)) {
    case 0:
        outb(m, 0x3C2, any_value(m));
        break;
    case 1:
    case 2:
        indexed(m, 0x3C4, 0x20);
        break;
    case 3:
    case 4:
        indexed(m, one_in(m, 8) ? 0x3B4 : 0x3D4, 0x30);
        break;
    case 5:
    case 6:
        indexed(m, 0x3CE, 0x3A);
        break;
    case 7:
        attribute(m);
        break;
    case 8:
        outb(m, 0x3C6 + below(m, 4), any_value(m));
        break;
    default:
        vbe(m);
    }
    if (one_in(m, 4))
        emit(m, "memset 0x%lx 0x%lx 0x%x", 0xA0000 + below(m, 0x20000), 1 + below(m, 4096),
             (unsigned)below(m, 256));
    if (one_in(m, 40))
        emit(m, "qmp {'execute': 'screendump', 'arguments': {'filename': '/dev/null'}}");
}

static uint32_t blit_number(struct moves *m)
{
    return one_in(m, 3) ? any_value(m) : below(m, 2048);
}

/* The Cirrus' blitter: sizes, pitches and addresses around every edge of the video memory. */
static void blit(struct moves *m)
{
    static const uint8_t roms[] = {0x00, 0x05, 0x06, 0x09, 0x0B, 0x0D, 0x0E, 0x50,
                                   0x59, 0x6D, 0x90, 0x95, 0xAD, 0xD0, 0xD6, 0xDA};
    uint32_t width = blit_number(m), height = blit_number(m), to_pitch = blit_number(m),
             from_pitch = blit_number(m);
    uint32_t to = one_in(m, 2) ? below(m, 4 << 20) : edge(m),
             from = one_in(m, 2) ? below(m, 4 << 20) : edge(m);
    uint64_t mmio = bar_of(m, 0x1013, 0x00B8, 1);
    bool mapped = mmio && one_in(m, 3);
    const uint8_t registers[][2] = {
        {0x20, width},
        {0x21, width >> 8},
        {0x22, height},
        {0x23, height >> 8},
        {0x24, to_pitch},
        {0x25, to_pitch >> 8},
        {0x26, from_pitch},
        {0x27, from_pitch >> 8},
        {0x28, to},
        {0x29, to >> 8},
        {0x2A, to >> 16},
        {0x2C, from},
        {0x2D, from >> 8},
        {0x2E, from >> 16},
        {0x2F, below(m, 32)},
        {0x30, any_value(m)},
        {0x32, one_in(m, 8) ? below(m, 256) : roms[below(m, COUNT(roms))]},
        {0x33, below(m, 8)},
    };

    outw(m, 0x3C4, 0x1206);
    if (one_in(m, 4))
        outw(m, 0x3C4, below(m, 256) << 8 | 7);
    for (unsigned i = 0; i < COUNT(registers); i++)
        if (!one_in(m, 12)) {
            if (mapped)
                emit(m, "writeb 0x%lx 0x%x", mmio + registers[i][0] - 0x20, registers[i][1]);
            else
                outw(m, 0x3CE, registers[i][1] << 8 | registers[i][0]);
        }
    outw(m, 0x3CE, (one_in(m, 8) ? below(m, 256) : 0x02) << 8 | 0x31);
    /* system to screen: the source comes through the window */
    if (one_in(m, 2))
        emit(m, "memset 0x%lx 0x%lx 0x%x", one_in(m, 2) ? 0xA0000 : window_address(m), 1 + below(m, 20000),
             (unsigned)below(m, 256));
    if (one_in(m, 4))
        outw(m, 0x3CE, 0x0431);
}

/* ---- small parts of the board ---- */

static void rtc(struct moves *m)
{
    outb(m, one_in(m, 8) ? 0x72 : 0x70, one_in(m, 2) ? below(m, 16) : below(m, 256));
    outb(m, 0x71, any_value(m));
    if (one_in(m, 3))
        emit(m, one_in(m, 2) ? "clock_step" : "clock_step 0x%lx", below(m, 3000000000ull));
}

static void keyboard(struct moves *m)
{
    static const uint8_t commands[] = {0x20, 0x60, 0xA7, 0xA8, 0xA9, 0xAA, 0xAB, 0xAD,
                                       0xAE, 0xC0, 0xD0, 0xD1, 0xD2, 0xD3, 0xD4};
    static const uint8_t data[] = {0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xEB, 0xEC, 0xED,
                                   0xEE, 0xF0, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xFF};

    if (one_in(m, 2))
        outb(m, 0x64, one_in(m, 8) ? below(m, 256) : commands[below(m, COUNT(commands))]);
    outb(m, 0x60, one_in(m, 3) ? any_value(m) : data[below(m, COUNT(data))]);
    for (unsigned n = below(m, 4); n > 0; n--)
        inb(m, one_in(m, 2) ? 0x60 : 0x64);
    if (one_in(m, 10))
        emit(m, "qmp {'execute': 'send-key', 'arguments': {'keys': [{'type': 'qcode', 'data': 'a'}]}}");
}

static void serial(struct moves *m)
{
    uint16_t base = one_in(m, 2) ? 0x3F8 : 0x2F8;

    for (unsigned n = 1 + below(m, 8); n > 0; n--)
        if (one_in(m, 3))
            inb(m, base + below(m, 8));
        else
            outb(m, base + below(m, 8), any_value(m));
}

static void put_be32(char *text, uint32_t value)
{
    sprintf(text, "%08x", value);
}

static void fw_cfg(struct moves *m)
{
    char control[9], length[9], high[9], low[9];
    uint64_t table = one_in(m, 6) ? dma_address(m) : TABLES + below(m, 4096), to = dma_address(m);

    outw(m, 0x510, one_in(m, 3) ? any_value(m) : below(m, 64));
    for (unsigned n = below(m, 8); n > 0; n--)
        emit(m, "in%c 0x511", one_in(m, 4) ? 'w' : 'b');
    if (one_in(m, 2))
        return;
    put_be32(control, (uint32_t)below(m, 64) << 16 | below(m, 32));
    put_be32(length, one_in(m, 2) ? below(m, 70000) : edge(m));
    put_be32(high, to >> 32);
    put_be32(low, to);
    emit(m, "write 0x%lx 16 0x%s%s%s%s", table, control, length, high, low);
    outl(m, 0x514, __builtin_bswap32(table >> 32));
    outl(m, 0x518, __builtin_bswap32(table));
}

static void power(struct moves *m)
{
    static const uint16_t bases[] = {0xB000, 0xB000, 0xB100, 0xAFE0, 0xAE00, 0xB2};
    uint16_t base = bases[below(m, COUNT(bases))];

    if (one_in(m, 3)) {
        /* where a BIOS puts the registers (82371AB PMBA, PMREGMISC) */
        config_write(m, QPCI_DEVFN(1, 3), 0x40, 4, 0xB001);
        config_write(m, QPCI_DEVFN(1, 3), 0x80, 1, 1);
    }
    emit(m, "out%c 0x%x 0x%lx", "bwl"[below(m, 3)], (unsigned)(base + below(m, 64)), any_value(m));
    if (one_in(m, 4))
        emit(m, "clock_step");
}

static void reset_line(struct moves *m)
{
    switch (below(m, 3)) {
    case 0:
        outb(m, 0xCF9, 0x06);
        break;
    case 1:
        outb(m, 0x64, 0xFE);
        break;
    default:
        outb(m, 0x92, 0x01);
    }
    repair_all(m);
}

/* ---- network cards: rings of rubbish in RAM, then their registers ---- */

static void rubbish(struct moves *m, uint64_t addr, unsigned words)
{
    for (unsigned i = 0; i < words; i++)
        writel(m, addr + 4 * i, one_in(m, 2) ? dma_address(m) : any_value(m));
}

static void card(struct moves *m)
{
    unsigned function = m->function_count ? below(m, m->function_count) : 0;
    unsigned n = 0, chosen[7];

    for (unsigned i = 0; i < m->bar_count && n < 7; i++)
        if (m->bars[i].function == function && m->bars[i].bar != QPCI_ROM)
            chosen[n++] = i;
    if (n == 0)
        return;
    if (one_in(m, 3))
        rubbish(m, TABLES + 16 * below(m, 256), 4 + below(m, 12));
    for (unsigned k = 1 + below(m, 6); k > 0; k--) {
        unsigned i = chosen[below(m, n)];
        uint64_t size = m->bars[i].size < 0x10000 ? m->bars[i].size : 0x10000,
                 addr = m->bars[i].base + below(m, size);
        uint64_t value = one_in(m, 2) ? TABLES + 16 * below(m, 256) : any_value(m);
        if (one_in(m, 2))
            addr &= ~3ull;
        emit(m, "%s%c 0x%lx 0x%lx", m->bars[i].io ? "out" : "write", "bwl"[below(m, 3)], addr, value);
    }
}

static void rtl8139(struct moves *m)
{
    uint64_t io = bar_of(m, 0x10EC, 0x8139, 0);

    if (!io)
        return;
    if (one_in(m, 2))
        io += 0x100; /* the second card: the I/O windows of both, 256 bytes each, lie side by side */
    outb(m, io + 0x37, below(m, 32));
    outl(m, io + 0x30, one_in(m, 3) ? dma_address(m) : TABLES_END);
    outl(m, io + 0x40, one_in(m, 2) ? 0x03000700 | below(m, 4) << 17 : any_value(m)); /* loopback */
    outl(m, io + 0x44, one_in(m, 2) ? 0x0000000F | below(m, 8) << 11 : any_value(m));
    outw(m, io + 0xE0, below(m, 4));
    rubbish(m, TABLES, 16);
    outl(m, io + 0x20 + 4 * below(m, 4), dma_address(m));
    outl(m, io + 0x10 + 4 * below(m, 4), one_in(m, 2) ? below(m, 2048) : any_value(m));
    if (one_in(m, 2)) {
        outl(m, io + 0x20, TABLES);
        outl(m, io + 0x24, 0);
        outl(m, io + 0xE4, TABLES + 64);
        outl(m, io + 0xE8, 0);
        outb(m, io + 0xD9, 0xC0);
    }
    if (one_in(m, 4))
        outw(m, io + 0x38, any_value(m));
}

static void pcnet(struct moves *m)
{
    uint64_t io = bar_of(m, 0x1022, 0x2000, 0), block = one_in(m, 4) ? dma_address(m) : TABLES;

    if (!io)
        return;
    rubbish(m, TABLES, 32);
    outw(m, io + 0x12, 20);
    outw(m, io + 0x16, below(m, 4));
    if (one_in(m, 2)) {
        /* an initialisation block that makes sense */
        writel(m, TABLES, 0x44u << 24 | below(m, 16) << 28 | below(m, 0x10000));
        writel(m, TABLES + 20, TABLES + 0x100);
        writel(m, TABLES + 24, TABLES + 0x200);
    }
    outw(m, io + 0x12, 1);
    outw(m, io + 0x10, block);
    outw(m, io + 0x12, 2);
    outw(m, io + 0x10, block >> 16);
    for (unsigned n = 1 + below(m, 4); n > 0; n--) {
        outw(m, io + 0x12, one_in(m, 2) ? below(m, 128) : 0);
        outw(m, io + 0x10, one_in(m, 2) ? below(m, 16) : any_value(m));
    }
    outw(m, io + 0x12, 0);
    outw(m, io + 0x10, 0x0B | below(m, 2) << 2);
    emit(m, "clock_step");
}

static void e1000(struct moves *m)
{
    uint64_t mem = bar_of(m, 0x8086, 0x100E, 0);

    if (!mem)
        return;
    rubbish(m, TABLES, 32);
    for (unsigned i = 0; i < 8; i++)
        emit(m, "writeb 0x%lx 0x%x", TABLES + 16 * i + 11, (unsigned)(one_in(m, 2) ? 0x29 : below(m, 256)));
    writel(m, mem + 0x3800, one_in(m, 4) ? dma_address(m) : TABLES);
    writel(m, mem + 0x3804, one_in(m, 8) ? any_value(m) : 0);
    writel(m, mem + 0x3808, one_in(m, 2) ? 128 * below(m, 8) : any_value(m));
    writel(m, mem + 0x2800, one_in(m, 4) ? dma_address(m) : TABLES + 0x400);
    writel(m, mem + 0x2808, one_in(m, 2) ? 128 * below(m, 8) : any_value(m));
    writel(m, mem + 0x2818, below(m, 64));
    writel(m, mem + 0x0100, one_in(m, 2) ? 0x0000804A | below(m, 4) << 6 : any_value(m));
    writel(m, mem + 0x0400, one_in(m, 2) ? 0xA : any_value(m));
    writel(m, mem + 0x3810, one_in(m, 4) ? any_value(m) : 0);
    writel(m, mem + 0x3818, one_in(m, 4) ? any_value(m) : below(m, 64));
}

/* A frame list, queues and descriptors that lead anywhere, by themselves in rings, and a controller that
 * runs. */
static void usb(struct moves *m)
{
    static const uint8_t pids[] = {0x69, 0xE1, 0x2D, 0x69};
    uint64_t io = bar_of(m, 0x8086, 0x7020, 4), list = TABLES & ~0xFFFul, items = list + 0x1000;

    if (!io)
        return;
    for (unsigned i = 0; i < 8; i++)
        writel(m, list + 4 * below(m, 1024),
               one_in(m, 8) ? dma_address(m) : items + 16 * below(m, 16) + below(m, 4));
    for (unsigned i = 0; i < 8; i++) {
        uint64_t at = items + 16 * below(m, 16);

        writel(m, at, one_in(m, 8) ? dma_address(m) : items + 16 * below(m, 16) + below(m, 8));
        writel(m, at + 4, one_in(m, 3) ? items + 16 * below(m, 16) + below(m, 4) : 0x00800000 | any_value(m));
        writel(m, at + 8,
               one_in(m, 8) ? any_value(m)
                            : below(m, 16) << 21 | below(m, 2) << 15 | below(m, 3) << 8 | pids[below(m, 4)]);
        writel(m, at + 12, one_in(m, 4) ? dma_address(m) : items + below(m, 512));
    }
    writel(m, items + 16 * below(m, 16), 0x00000680 | below(m, 4) << 24 | below(m, 2) << 5); /* a request */
    outl(m, io + 0x08, one_in(m, 8) ? any_value(m) : list);
    outw(m, io + 0x10 + 2 * below(m, 2), one_in(m, 4) ? any_value(m) : 4);
    outw(m, io + 0x04, below(m, 16));
    outw(m, io, one_in(m, 4) ? any_value(m) : 1);
    emit(m, "clock_step 0x%lx", 1000000 * (1 + below(m, 40)));
}

/* ---- the user of the machine meanwhile ---- */

static void command(struct moves *m)
{
    static const char *const commands[] = {
        "{'execute': 'system_reset'}",
        "{'execute': 'stop'}",
        "{'execute': 'cont'}",
        "{'execute': 'query-block'}",
        "{'execute': 'eject', 'arguments': {'device': 'cd0', 'force': true}}",
        "{'execute': 'eject', 'arguments': {'device': 'cd0'}}",
        "{'execute': 'blockdev-change-medium', 'arguments': {'device': 'cd0', 'filename': '@CD@'}}",
        "{'execute': 'blockdev-change-medium', 'arguments': {'device': 'cd0', 'filename': '@DVD@'}}",
        "{'execute': 'system_powerdown'}",
        "{'execute': 'system_wakeup'}",
        "{'execute': 'screendump', 'arguments': {'filename': '/dev/null'}}",
        "{'execute': 'device_del', 'arguments': {'id': 'tablet'}}",
        "{'execute': 'device_add', 'arguments': {'driver': 'usb-tablet', 'id': 'tablet'}}",
        "{'execute': 'input-send-event', 'arguments': {'events': ["
        "{'type': 'abs', 'data': {'axis': 'x', 'value': 77}}, "
        "{'type': 'key', 'data': {'key': {'type': 'qcode', 'data': 'a'}, 'down': true}}]}}",
    };
    unsigned which = below(m, COUNT(commands));

    emit(m, "qmp %s", commands[which]);
    if (which == 0)
        repair_all(m);
}

static const struct {
    void (*make)(struct moves *m);
    unsigned weight;
} kinds[] = {
    {random_port, 60},
    {string_port, 6},
    {random_memory, 40},
    {random_block, 10},
    {random_config, 12},
    {ide, 30},
    {disk_command, 12},
    {cd_command, 12},
    {floppy, 16},
    {floppy_command, 6},
    {vga, 60},
    {blit, 30},
    {rtc, 8},
    {keyboard, 12},
    {serial, 6},
    {fw_cfg, 8},
    {power, 6},
    {reset_line, 1},
    {card, 30},
    {rtl8139, 12},
    {pcnet, 12},
    {e1000, 12},
    {usb, 12},
    {command, 3},
};

void moves_next(struct moves *m)
{
    unsigned total = 0, pick;

    for (unsigned i = 0; i < COUNT(kinds); i++)
        total += kinds[i].weight;
    pick = below(m, total);
    for (unsigned i = 0; i < COUNT(kinds); i++) {
        if (pick < kinds[i].weight) {
            kinds[i].make(m);
            break;
        }
        pick -= kinds[i].weight;
    }
    if (one_in(m, 20) && m->function_count)
        repair(m, below(m, m->function_count));
    if (one_in(m, 16))
        emit(m, "clock_step 0x%lx", below(m, 50000000));
}

static void scan_function(struct moves *m, struct qpci pci, uint32_t id)
{
    unsigned function = m->function_count++;

    m->functions[function].devfn = pci.devfn;
    m->functions[function].vendor = id;
    m->functions[function].device = id >> 16;
    for (unsigned bar = 0; bar <= QPCI_ROM && m->bar_count < MAX_BARS; bar++) {
        uint64_t size = qpci_bar_size(&pci, bar);
        if (size == 0)
            continue;
        m->bars[m->bar_count].function = function;
        m->bars[m->bar_count].bar = bar;
        m->bars[m->bar_count].io = qpci_bar_is_io(&pci, bar);
        m->bars[m->bar_count].size = size;
        m->bars[m->bar_count++].base = qpci_map(&pci, bar);
    }
    qpci_enable(&pci);
}

void moves_scan(struct moves *m, struct qtest *q)
{
    m->function_count = m->bar_count = 0;
    for (unsigned devfn = 0; devfn < 256 && m->function_count < MAX_FUNCTIONS; devfn++) {
        struct qpci pci = qpci_at(q, devfn);
        uint32_t id = qpci_readl(&pci, 0);
        if ((uint16_t)id != 0xFFFF)
            scan_function(m, pci, id);
    }
}
