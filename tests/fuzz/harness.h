/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One harness for every chip: builds a machine that is that chip (and what it cannot be without) in this
 * process, and turns the fuzzer's bytes into accesses to every window that the chip opened, to its
 * configuration space, to guest RAM, and into packets, time, resets and input. A target is a file that says
 * which devices.
 */
#ifndef TESTS_FUZZ_HARNESS_H
#define TESTS_FUZZ_HARNESS_H

#include "machine/bus.h"

enum { FUZZ_PROPERTIES = 9 };

/* Where the first BARs of the first function are. */
enum { FUZZ_FIRST_IO = 0xC000, FUZZ_FIRST_MEM = 0xE0000000 };

/* The address of network cards: mac=FUZZ_MAC. */
#define FUZZ_MAC          "52:54:00:12:34:56"
#define FUZZ_MAC_INITIALS 0x52, 0x54, 0x00, 0x12, 0x34, 0x56

struct fuzz_device {
    const char *name;
    const char *properties[FUZZ_PROPERTIES]; /* key, value, key, value, NULL */
    const char *bus;                         /* NULL: the first of its kind */
};

struct fuzz_target {
    struct fuzz_device devices[8]; /* in order of creation; ends with a NULL name */
    enum fuzz_needs { FUZZ_CONSOLE = 1 } needs;
    /* Slots "disk" (1 MiB) and "cd" (removable, 1 MiB), "floppy" (1.44 MiB, removable) for PROP_DRIVE
     * properties, "line" (a character device) for PROP_CHARDEV; a network "wire" for PROP_NETDEV, from which
     * frames come. */
    /*
     * Or NULL: brings the chip to where a driver has it, since bytes get there seldom by themselves; `how` is
     * the input's first byte. Memory is zero, 2 MiB of it.
     */
    void (*prepare)(struct bus *bus, uint8_t how);
};

/* Defined by each target's file. */
extern const struct fuzz_target fuzz_target;

/* For prepare: puts an IPv4 frame for the card into memory, TCP (protocol 6) or UDP (17), whole and valid but
 * for its checksums. */
void fuzz_packet(struct bus *bus, uint64_t at, unsigned length, uint8_t protocol);

#endif
