/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all network cards have in common, whatever the chip: the wire, the address, and a frame that waits at
 * the wire while the chip has no space for it.
 */
#ifndef HW_NET_NIC_H
#define HW_NET_NIC_H

#include "machine/pci.h"
#include "net/net.h"

enum { NIC_FCS = 4 }; /* bytes of the frame check sequence */

#define NIC_STATE(S)                                                                                         \
    S(BOOL, tx_waits) /* while it is saved: the transmitter has more to do, or waits for the wire */         \
    S(BOOL, waits)    /* the wire keeps a frame */                                                           \
    S(TIMER, retry)   /* offers it again */                                                                  \
    S(UINT, uint32_t, delay, LAST_RETRY) /* until it did last, ns; 0: the last frame was taken */

struct nic {
    struct net_port *port; /* property; NULL: no cable, or unplugged */
    uint8_t mac[6];        /* property; from nic_realize on the card's address */
    struct pci_device *pci;
    struct net_card chip, card; /* what the chip does, and what the wire calls */
    STATE_MEMBERS(NIC_STATE);
};
extern const struct state_table nic_state;

#define NIC_PROPERTIES(type, field)                                                                          \
    PROPERTY(PROP_NETDEV, type, field.port, "netdev", .help = "the wire"),                                   \
        PROPERTY(PROP_MAC, type, field.mac, "mac", .help = "the card's address (default: made from -name)"), \
        BOOT_INDEX_PROPERTY

/*
 * Chooses the address and attaches to the wire. chip.receive gets frames of NET_HEADER..NET_MAX_FRAME bytes,
 * none once the function is unplugged; chip.link_changed may be NULL.
 */
bool nic_realize(struct nic *nic, struct pci_device *pci, const struct net_card *chip, struct error *err);
void nic_unrealize(struct nic *nic);
/* A reset of the machine or the chip: what waits is not offered again. */
void nic_reset(struct nic *nic);

/* There may be space again: a frame that waits is offered soon. Cheap where none does. */
void nic_resume(struct nic *nic);
/*
 * For chip.receive that returns false, where the driver gives descriptors back without telling: the
 * frame is offered again by a timer, soon at first, later less often, until one was taken.
 */
void nic_retry(struct nic *nic);

/*
 * Runs a transmitter step by step while it has something to do: step is false if not. A ring that never ends
 * gives others their turn and goes on in `work`, whose opaque the steps get too.
 */
void nic_transmit(struct nic *nic, struct loop_work *work, bool (*step)(void *opaque));
/* A card's settle and loaded: a transmitter that had more to do goes on with it. */
void nic_settle(struct nic *nic, const struct loop_work *work);
void nic_loaded(struct nic *nic, struct loop_work *work);

/* The shortest frame is filled up with zeros, in place; returns the length. */
size_t nic_pad(uint8_t *frame, size_t length);
/* Appends the frame check sequence; returns the length with it. */
size_t nic_seal(uint8_t *frame, size_t length);
bool nic_is_broadcast(const uint8_t to[6]);
/* A Magic Packet for that card: somewhere in it six bytes of ones and sixteen times the address. */
bool nic_is_magic(const uint8_t *frame, size_t length, const uint8_t mac[6]);

#endif
