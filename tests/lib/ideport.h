/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IDE as a driver does it: task file, PIO, bus master, packets. */
#ifndef TESTS_LIB_IDEPORT_H
#define TESTS_LIB_IDEPORT_H

#include "tests/lib/qpci.h"
#include "tests/lib/qtest.h"

#define IDE_BSY  0x80
#define IDE_DRDY 0x40
#define IDE_DF   0x20
#define IDE_DSC  0x10
#define IDE_DRQ  0x08
#define IDE_ERR  0x01

#define IDE_UNC  0x40
#define IDE_IDNF 0x10
#define IDE_ABRT 0x04

#define BM_ACTIVE 0x01
#define BM_ERROR  0x02
#define BM_INTR   0x04

#define PRD_EOT 0x80000000u

/* Offsets from `command`; the device control register is at `control`. */
enum { R_DATA, R_ERROR, R_COUNT, R_LOW, R_MID, R_HIGH, R_DEVICE, R_STATUS };

struct ide {
    struct qtest *q;
    struct qpci pci;
    uint16_t command, control, bm; /* ports of the channel chosen */
    uint8_t irq;
    uint8_t device; /* 0xA0 or 0xB0: the drive chosen */
    uint64_t table; /* guest memory for PRDs, 4 KiB */
};

struct prd {
    uint32_t address, count; /* count with PRD_EOT */
};

/* An image of so many sectors, the first of which hold what `fill` says; its path goes to `path`. */
void ide_make_image(char path[256], const char *suffix, unsigned sector_size, uint64_t sectors,
                    uint64_t patterned, void (*fill)(uint8_t *data, uint64_t lba));

/* Starts with the options, finds the controller, maps and enables it, intercepts interrupts. */
struct ide ide_start(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Which drive the calls below are for. */
void ide_choose(struct ide *ide, unsigned channel, unsigned unit);

void ide_out(struct ide *ide, unsigned reg, uint8_t value);
uint8_t ide_in(struct ide *ide, unsigned reg);
uint8_t ide_alternate(struct ide *ide);
/* Waits until BSY is gone; returns the status (alternate: the interrupt stays). A drive that stays busy for
 * 10 s fails. */
uint8_t ide_wait(struct ide *ide);
/* As ide_wait, then reads the status register, which lowers the interrupt. */
uint8_t ide_finish_wait(struct ide *ide);
bool ide_irq(struct ide *ide);

/* Task file for LBA28, LBA48 and CHS, then the command. count as the register takes it. */
void ide_lba28(struct ide *ide, uint8_t command, uint32_t lba, uint8_t count);
void ide_lba48(struct ide *ide, uint8_t command, uint64_t lba, uint16_t count);
void ide_chs(struct ide *ide, uint8_t command, uint16_t cylinder, uint8_t head, uint8_t sector,
             uint8_t count);
/* A command without an address. */
uint8_t ide_simple(struct ide *ide, uint8_t command, uint8_t feature, uint8_t count);

void ide_read_data(struct ide *ide, void *data, size_t bytes);
void ide_write_data(struct ide *ide, const void *data, size_t bytes);
/* IDENTIFY (PACKET) DEVICE; fails the test unless the drive answers. */
void ide_identify(struct ide *ide, uint8_t command, uint16_t words[256]);
/* Text of IDENTIFY without trailing spaces, ended. */
void ide_text(const uint16_t *words, unsigned count, char *text);

/* Writes the table and sets the bus master up, stopped, with its status bits cleared. */
void ide_table(struct ide *ide, const struct prd *prds, unsigned count);
void ide_bm_start(struct ide *ide, bool to_memory);
void ide_bm_stop(struct ide *ide);
uint8_t ide_bm_status(struct ide *ide);
/* Waits until the bus master has an interrupt, or has stopped. */
uint8_t ide_bm_wait(struct ide *ide);

/* A PACKET command: the packet is sent; returns the status after it. limit: byte count. */
uint8_t ide_packet(struct ide *ide, const uint8_t packet[12], uint16_t limit, bool dma);
/* Takes all data of a packet command by PIO, up to room bytes; returns how many came. The last status goes to
 * *status. */
size_t ide_packet_data(struct ide *ide, void *data, size_t room, uint8_t *status);

#endif
