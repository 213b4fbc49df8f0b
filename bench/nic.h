/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network cards as a driver has them, for rows: a pass sends or receives a ring of frames. */
#ifndef BENCH_NIC_H
#define BENCH_NIC_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/row.h"
#include "tests/lib/qpci.h"

enum { NIC_RING = 64, NIC_BUFFER = 2048, NIC_DESCRIPTOR = 16 };

struct nic;

/* What differs between the chips. */
struct nic_chip {
    const char *device, *ours; /* the device, and what it is given beyond that if it is ours */
    uint16_t vendor, id;
    unsigned frames; /* of a pass: at most NIC_RING */
    void (*start)(struct nic *n, struct qpci *pci);
    void (*send)(struct nic *n, unsigned length); /* the frames in the buffers */
    void (*give)(struct nic *n, unsigned length); /* room to receive as many, of that length */
    bool (*received)(struct nic *n);              /* is it full? */
};

enum nic_model { NIC_RTL8139, NIC_RTL8139C_PLUS, NIC_E1000, NIC_PCNET };
extern const struct nic_chip nic_rtl8139, nic_rtl8139c_plus, nic_e1000, nic_pcnet;

struct nic {
    const struct nic_chip *chip;
    struct qtest *q;
    uint64_t regs, tx, rx, buffers; /* buffers: NIC_RING of NIC_BUFFER bytes */
    unsigned tx_half, rx_half;      /* 82540EM: which half of its rings, of twice the frames, is next */
    uint16_t rx_at, rx_end;         /* RTL8139C: where in its ring the next frame goes, and the last */
};

extern const uint8_t nic_mac[6];

/* Starts a machine with the card on the wire of id n that the options make. */
void nic_start(struct nic *n, enum nic_model model, const struct subject *subject, const char *options);
void nic_stop(struct nic *n);

#endif
