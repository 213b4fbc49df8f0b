/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/harness.h"

#include "hw/usb/uhci.h"

enum {
    LIST = 0x1000,
    QUEUE = 0x2000,
    DESCRIPTORS = 0x2100,
    BUFFER = 0x3000,
    PID_SETUP = 0x2D,
    PID_IN = 0x69
};

static void put(struct bus *bus, uint64_t at, const uint32_t *words, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        bus_write(bus, SPACE_MEM, at + 4 * i, 4, words[i]);
}

/* A list whose every frame leads to one queue of a SETUP and two INs, run on both ports' devices; then by
 * `how`. */
static void prepare(struct bus *bus, uint8_t how)
{
    uint32_t io = FUZZ_FIRST_IO, address = how & 1, length = (how >> 1 & 1) ? 7 : 0x4FF;

    for (unsigned i = 0; i < 1024; i++)
        bus_write(bus, SPACE_MEM, LIST + 4 * i, 4, QUEUE | LINK_Q);
    put(bus, QUEUE, (uint32_t[]){how & 4 ? QUEUE | LINK_Q : LINK_T, DESCRIPTORS}, QH_WORDS);
    put(bus, DESCRIPTORS,
        (uint32_t[]){(DESCRIPTORS + 16) | LINK_VF, TD_ACTIVE | TD_CERR, 7u << 21 | address << 8 | PID_SETUP,
                     BUFFER},
        TD_WORDS);
    put(bus, DESCRIPTORS + 16,
        (uint32_t[]){(DESCRIPTORS + 32) | LINK_VF, TD_ACTIVE | TD_SPD, length << 21 | address << 8 | PID_IN,
                     BUFFER + 64},
        TD_WORDS);
    put(bus, DESCRIPTORS + 32,
        (uint32_t[]){how & 8 ? DESCRIPTORS : LINK_T, TD_ACTIVE | TD_IOC,
                     7u << 21 | 1u << 15 | address << 8 | PID_IN, BUFFER + 128},
        TD_WORDS);
    put(bus, BUFFER, (uint32_t[]){how & 16 ? 0x01000680 : 0x00010900, how & 16 ? 0x00120000 : 0}, 2);
    bus_write(bus, SPACE_PORT, io + FLBASEADD, 4, LIST);
    bus_write(bus, SPACE_PORT, io + USBINTR, 2, INTR_MASK);
    bus_write(bus, SPACE_PORT, io + PORTSC1, 2, PORT_ENABLED);
    bus_write(bus, SPACE_PORT, io + PORTSC1 + 2, 2, PORT_ENABLED);
    bus_write(bus, SPACE_PORT, io + USBCMD, 2, CMD_RS);
}

const struct fuzz_target fuzz_target = {
    .devices = {{.name = "piix3-usb-uhci", .properties = {"addr", "1.2"}},
                {.name = "usb-tablet"},
                {.name = "usb-kbd"}},
    .needs = FUZZ_CONSOLE,
    .prepare = prepare,
};
