/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/ideport.h"
#include "tests/lib/wait.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void ide_make_image(char path[256], const char *suffix, unsigned sector_size, uint64_t sectors,
                    uint64_t patterned, void (*fill)(uint8_t *data, uint64_t lba))
{
    uint8_t data[4096];
    int fd;

    snprintf(path, 256, "%s", qtest_temp_file(suffix, sectors * sector_size));
    fd = open(path, O_WRONLY);
    for (uint64_t lba = 0; lba < patterned; lba++) {
        fill(data, lba);
        if (pwrite(fd, data, sector_size, lba * sector_size) != sector_size) {
            perror(path);
            exit(1);
        }
    }
    close(fd);
}

struct ide ide_start(const char *format, ...)
{
    struct ide ide = {0};
    char args[2048];
    va_list ap;

    va_start(ap, format);
    vsnprintf(args, sizeof(args), format, ap);
    va_end(ap);
    ide.q = qtest_start(args);
    ide.pci = qpci_at(ide.q, QPCI_DEVFN(1, 1));
    ide.bm = qpci_map(&ide.pci, 4);
    qpci_enable(&ide.pci);
    qtest_irq_intercept_in(ide.q, "ioapic");
    ide.table = qtest_alloc(ide.q, 4096, 4096);
    ide_choose(&ide, 0, 0);
    return ide;
}

void ide_choose(struct ide *ide, unsigned channel, unsigned unit)
{
    ide->command = channel ? 0x170 : 0x1F0;
    ide->control = channel ? 0x376 : 0x3F6;
    ide->bm = (ide->bm & ~15u) + 8 * channel;
    ide->irq = 14 + channel;
    ide->device = unit ? 0xB0 : 0xA0;
}

void ide_out(struct ide *ide, unsigned reg, uint8_t value)
{
    qtest_outb(ide->q, ide->command + reg, value);
}

uint8_t ide_in(struct ide *ide, unsigned reg)
{
    return qtest_inb(ide->q, ide->command + reg);
}

uint8_t ide_alternate(struct ide *ide)
{
    return qtest_inb(ide->q, ide->control);
}

uint8_t ide_wait(struct ide *ide)
{
    time_t end = time(NULL) + (time_t)PATIENCE;
    uint8_t status;

    while ((status = ide_alternate(ide)) & IDE_BSY)
        if (time(NULL) > end)
            qtest_fail(ide->q, "the drive stays busy: status %02x", status);
    return status;
}

uint8_t ide_finish_wait(struct ide *ide)
{
    ide_wait(ide);
    return ide_in(ide, R_STATUS);
}

bool ide_irq(struct ide *ide)
{
    return qtest_irq(ide->q, ide->irq);
}

void ide_lba28(struct ide *ide, uint8_t command, uint32_t lba, uint8_t count)
{
    ide_out(ide, R_DEVICE, ide->device | 0x40 | lba >> 24);
    ide_out(ide, R_COUNT, count);
    ide_out(ide, R_LOW, lba);
    ide_out(ide, R_MID, lba >> 8);
    ide_out(ide, R_HIGH, lba >> 16);
    ide_out(ide, R_STATUS, command);
}

void ide_lba48(struct ide *ide, uint8_t command, uint64_t lba, uint16_t count)
{
    ide_out(ide, R_DEVICE, ide->device | 0x40);
    ide_out(ide, R_COUNT, count >> 8);
    ide_out(ide, R_LOW, lba >> 24);
    ide_out(ide, R_MID, lba >> 32);
    ide_out(ide, R_HIGH, lba >> 40);
    ide_out(ide, R_COUNT, count);
    ide_out(ide, R_LOW, lba);
    ide_out(ide, R_MID, lba >> 8);
    ide_out(ide, R_HIGH, lba >> 16);
    ide_out(ide, R_STATUS, command);
}

void ide_chs(struct ide *ide, uint8_t command, uint16_t cylinder, uint8_t head, uint8_t sector, uint8_t count)
{
    ide_out(ide, R_DEVICE, ide->device | head);
    ide_out(ide, R_COUNT, count);
    ide_out(ide, R_LOW, sector);
    ide_out(ide, R_MID, cylinder);
    ide_out(ide, R_HIGH, cylinder >> 8);
    ide_out(ide, R_STATUS, command);
}

uint8_t ide_simple(struct ide *ide, uint8_t command, uint8_t feature, uint8_t count)
{
    ide_out(ide, R_DEVICE, ide->device);
    ide_out(ide, R_ERROR, feature);
    ide_out(ide, R_COUNT, count);
    ide_out(ide, R_STATUS, command);
    return ide_finish_wait(ide);
}

void ide_read_data(struct ide *ide, void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 2) {
        uint16_t word = qtest_inw(ide->q, ide->command + R_DATA);

        memcpy((uint8_t *)data + i, &word, bytes - i < 2 ? bytes - i : 2);
    }
}

void ide_write_data(struct ide *ide, const void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 2) {
        uint16_t word = 0;

        memcpy(&word, (const uint8_t *)data + i, bytes - i < 2 ? bytes - i : 2);
        qtest_outw(ide->q, ide->command + R_DATA, word);
    }
}

void ide_identify(struct ide *ide, uint8_t command, uint16_t words[256])
{
    uint8_t status = ide_simple(ide, command, 0, 0);

    if (!(status & IDE_DRQ))
        qtest_fail(ide->q, "IDENTIFY (%02x): status %02x", command, status);
    ide_read_data(ide, words, 512);
}

void ide_text(const uint16_t *words, unsigned count, char *text)
{
    unsigned n = 2 * count;

    for (unsigned i = 0; i < n; i++)
        text[i] = i & 1 ? words[i / 2] & 0xFF : words[i / 2] >> 8;
    while (n && text[n - 1] == ' ')
        n--;
    text[n] = 0;
}

void ide_table(struct ide *ide, const struct prd *prds, unsigned count)
{
    qtest_memwrite(ide->q, ide->table, prds, count * sizeof(*prds));
    ide_bm_stop(ide);
    qtest_outl(ide->q, ide->bm + 4, ide->table);
    qtest_outb(ide->q, ide->bm + 2, BM_ERROR | BM_INTR);
}

void ide_bm_start(struct ide *ide, bool to_memory)
{
    qtest_outb(ide->q, ide->bm, to_memory ? 8 : 0);
    qtest_outb(ide->q, ide->bm, to_memory ? 9 : 1);
}

void ide_bm_stop(struct ide *ide)
{
    qtest_outb(ide->q, ide->bm, 0);
}

uint8_t ide_bm_status(struct ide *ide)
{
    return qtest_inb(ide->q, ide->bm + 2) & 7;
}

uint8_t ide_bm_wait(struct ide *ide)
{
    time_t end = time(NULL) + (time_t)PATIENCE;
    uint8_t status;

    while (((status = ide_bm_status(ide)) & (BM_ACTIVE | BM_INTR)) == BM_ACTIVE)
        if (time(NULL) > end)
            qtest_fail(ide->q, "the bus master does not end: status %02x", status);
    return status;
}

uint8_t ide_packet(struct ide *ide, const uint8_t packet[12], uint16_t limit, bool dma)
{
    uint8_t status;

    ide_out(ide, R_DEVICE, ide->device);
    ide_out(ide, R_ERROR, dma ? 1 : 0);
    ide_out(ide, R_MID, limit);
    ide_out(ide, R_HIGH, limit >> 8);
    ide_out(ide, R_STATUS, 0xA0);
    status = ide_wait(ide);
    if ((status & (IDE_DRQ | IDE_ERR)) != IDE_DRQ || ide_in(ide, R_COUNT) != 1)
        qtest_fail(ide->q, "PACKET: status %02x, reason %02x", status, ide_in(ide, R_COUNT));
    ide_write_data(ide, packet, 12);
    return dma ? ide_alternate(ide) : ide_finish_wait(ide);
}

size_t ide_packet_data(struct ide *ide, void *data, size_t room, uint8_t *status)
{
    size_t total = 0;

    for (;;) {
        uint32_t bytes;

        *status = ide_finish_wait(ide);
        if (!(*status & IDE_DRQ))
            return total;
        bytes = ide_in(ide, R_MID) | ide_in(ide, R_HIGH) << 8;
        if (ide_in(ide, R_COUNT) != 2 || bytes > room - total)
            qtest_fail(ide->q, "a block of %u bytes with reason %02x, %zu expected", bytes,
                       ide_in(ide, R_COUNT), room - total);
        ide_read_data(ide, (uint8_t *)data + total, bytes);
        total += bytes;
    }
}
