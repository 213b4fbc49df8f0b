/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/net/nic.h"

#include <string.h>

#include "machine/machine.h"
#include "net/ethernet.h"

/* How long until the frame is offered again: a driver in its interrupt handler is back in microseconds, a
 * guest that hangs shall not cost much. */
enum { FIRST_RETRY = 50 * NS_PER_US, LAST_RETRY = 8 * NS_PER_MS };

enum { WORK_STEP_OF_NIC = 1000 /* a descriptor, beside what it moves */ };

STATE_PUBLIC_TABLE(nic_state, struct nic, NIC_STATE);

static bool nic_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct nic *nic = opaque;

    if (length < NET_HEADER)
        return true;
    nic->waits = !nic->chip.receive(nic->chip.opaque, data, length);
    if (!nic->waits)
        nic->delay = 0;
    return !nic->waits;
}

static void nic_sent(void *opaque)
{
    struct nic *nic = opaque;

    nic->chip.sent(nic->chip.opaque);
}

static void nic_link_changed(void *opaque, bool up)
{
    struct nic *nic = opaque;

    if (nic->chip.link_changed)
        nic->chip.link_changed(nic->chip.opaque, up);
}

static void nic_retry_now(void *opaque)
{
    nic_resume(opaque);
}

/* The wire is free, and quiet. */
static void nic_unplug(void *opaque)
{
    struct nic *nic = opaque;

    timer_cancel(&nic->retry);
    if (nic->port)
        net_detach(nic->port);
    nic->port = NULL;
    nic->waits = false;
}

bool nic_realize(struct nic *nic, struct pci_device *pci, const struct net_card *chip, struct error *err)
{
    struct device *dev = &pci->dev;

    nic->pci = pci;
    nic->chip = *chip;
    nic->card = (struct net_card){
        .receive = nic_receive, .sent = nic_sent, .link_changed = nic_link_changed, .opaque = nic};
    timer_init(&nic->retry, &dev->machine->clock, nic_retry_now, nic);
    if (!net_choose_mac(nic->mac, dev->machine->config.name, pci->devfn, err))
        return error_prefix(err, "device %s: property mac", dev->cls->name);
    if (nic->port && !net_attach(nic->port, &nic->card, dev->id ? dev->id : dev->cls->name))
        return error_set(err, "device %s: the network '%s' has a card already: %s", dev->cls->name,
                         nic->port->id, nic->port->owner);
    pci->unplugged = nic_unplug;
    pci->unplugged_opaque = nic;
    return true;
}

void nic_unrealize(struct nic *nic)
{
    nic_unplug(nic);
}

void nic_reset(struct nic *nic)
{
    nic->delay = 0;
    nic_resume(nic);
}

void nic_resume(struct nic *nic)
{
    timer_cancel(&nic->retry);
    if (!nic->waits)
        return;
    nic->waits = false;
    net_resume(nic->port);
}

void nic_retry(struct nic *nic)
{
    nic->delay = !nic->delay ? FIRST_RETRY : 2 * nic->delay < LAST_RETRY ? 2 * nic->delay : LAST_RETRY;
    timer_set(&nic->retry, clock_now(nic->retry.clock) + nic->delay);
}

void nic_transmit(struct nic *nic, struct loop_work *work, bool (*step)(void *opaque))
{
    struct loop *loop = &nic->pci->dev.machine->loop;
    bool more;

    net_begin_burst(nic->port);
    do {
        work_add(&loop->work, WORK_STEP_OF_NIC);
        more = step(work->opaque);
    } while (more && !work_spent(&loop->work));
    net_end_burst(nic->port);
    if (more)
        loop_post(loop, work);
}

void nic_settle(struct nic *nic, const struct loop_work *work)
{
    nic->tx_waits = work->posted || (nic->port && nic->port->blocked);
}

void nic_loaded(struct nic *nic, struct loop_work *work)
{
    if (nic->tx_waits)
        loop_post(&nic->pci->dev.machine->loop, work);
}

size_t nic_pad(uint8_t *frame, size_t length)
{
    if (length >= NET_MIN_FRAME)
        return length;
    memset(frame + length, 0, NET_MIN_FRAME - length);
    return NET_MIN_FRAME;
}

size_t nic_seal(uint8_t *frame, size_t length)
{
    uint32_t crc = ~net_crc(frame, length);

    for (int i = 0; i < NIC_FCS; i++)
        frame[length + i] = crc >> 8 * i;
    return length + NIC_FCS;
}

bool nic_is_broadcast(const uint8_t to[6])
{
    return to[0] == 0xFF && !memcmp(to, to + 1, 5);
}

bool nic_is_magic(const uint8_t *frame, size_t length, const uint8_t mac[6])
{
    uint8_t pattern[17 * 6];

    memset(pattern, 0xFF, 6);
    for (int i = 1; i <= 16; i++)
        memcpy(pattern + 6 * i, mac, 6);
    return memmem(frame, length, pattern, sizeof(pattern));
}
