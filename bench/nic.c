/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bench/nic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const uint8_t nic_mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

static const struct nic_chip *const chips[] = {
    [NIC_RTL8139] = &nic_rtl8139,
    [NIC_RTL8139C_PLUS] = &nic_rtl8139c_plus,
    [NIC_E1000] = &nic_e1000,
    [NIC_PCNET] = &nic_pcnet,
};

/* Firmware that halts. */
static const char *idle_firmware(void)
{
    static const char *file;
    static const uint8_t halt[16] = {0xF4, 0xEB, 0xFD};
    FILE *f;

    if (file)
        return file;
    file = qtest_temp_file(".bin", 65536);
    f = fopen(file, "r+");
    if (!f || fseek(f, 65536 - sizeof(halt), SEEK_SET) || fwrite(halt, sizeof(halt), 1, f) != 1 || fclose(f))
        abort();
    return file;
}

/* The peer receives for a guest only that runs, so its guest halts instead. */
void nic_start(struct nic *n, enum nic_model model, const struct subject *subject, const char *options)
{
    const struct nic_chip *chip = chips[model];
    char args[1000];
    struct qpci pci;

    *n = (struct nic){.chip = chip};
    snprintf(args, sizeof(args),
             "-m 128 -nodefaults -vga none -device %s,netdev=n,mac=52:54:00:12:34:56,romfile=%s -bios %s %s",
             chip->device, subject->peer ? "" : chip->ours, idle_firmware(), options);
    n->q = qtest_start_program(subject->program, args);
    json_decref(qtest_qmp_ok(n->q, "{'execute': 'cont'}"));
    n->tx = qtest_alloc(n->q, 2 * NIC_RING * NIC_DESCRIPTOR, 4096);
    n->rx = qtest_alloc(n->q, 2 * NIC_RING * NIC_DESCRIPTOR, 4096);
    n->buffers = qtest_alloc(n->q, NIC_RING * NIC_BUFFER, 4096);
    pci = qpci_get(n->q, chip->vendor, chip->id);
    chip->start(n, &pci);
}

void nic_stop(struct nic *n)
{
    qtest_stop(n->q);
}
