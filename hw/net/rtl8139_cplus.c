/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The RTL8139C+'s rings of descriptors (data sheet RTL8139C+, chapter 9), with its offloads. */
#include <string.h>

#include "hw/net/net_offload.h"
#include "hw/net/rtl8139.h"
#include "machine/machine.h"

/* ---- receiver ---- */

static uint64_t rtl8139_descriptor_at(const uint32_t base[2], unsigned index)
{
    return ((uint64_t)base[1] << 32 | (base[0] & ~0xFFu)) + 16 * index;
}

static uint8_t rtl8139_next_index(uint32_t command, uint8_t index)
{
    return command & DESC_EOR ? 0 : (index + 1) % DESC_MAX;
}

/* The tag out of a frame, as the descriptor has it: big endian, and a bit that there is one. */
static uint32_t strip_tag(const struct rtl8139 *s, uint8_t *frame, size_t *length)
{
    uint16_t tag;

    if (!(s->cpcr & CPCR_VLAN) || !offload_take_tag(frame, length, VLAN_TYPE, &tag))
        return 0;
    return 1u << 16 | __builtin_bswap16(tag);
}

/* What the checksums say; of which transport it is stands there only if that one was looked at. */
static uint32_t cplus_verdict(const struct rtl8139 *s, const uint8_t *frame, size_t length)
{
    struct ip_packet packet;
    uint32_t ip;

    if (!(s->cpcr & CPCR_RXCS) || !offload_find_ip(frame, length, &packet) || packet.version != 4)
        return 0;
    ip = offload_check_ip(frame, &packet) == OFFLOAD_BAD ? RX_IPF : 0;
    switch (offload_check_transport(frame, length, &packet)) {
    case OFFLOAD_GOOD:
        return ip | (packet.protocol == PROTOCOL_TCP ? RX_PID_TCP : RX_PID_UDP);
    case OFFLOAD_BAD:
        return ip | (packet.protocol == PROTOCOL_TCP ? RX_PID_TCP | RX_TCPF : RX_PID_UDP | RX_UDPF);
    default:
        return ip | RX_PID_IP;
    }
}

/* False: no descriptor is free. */
bool rtl8139_cplus_put(struct rtl8139 *s, uint16_t status, const uint8_t *data, size_t length)
{
    uint64_t at = rtl8139_descriptor_at(s->rdsar, s->rx_index);
    uint8_t frame[NET_MAX_FRAME + NIC_FCS];
    uint32_t desc[4], tag, verdict;

    if (!pci_dma_read(&s->pci, at, desc, sizeof(desc))) {
        rtl8139_rx_miss(s);
        return true;
    }
    if (!(desc[0] & DESC_OWN))
        return false;
    memcpy(frame, data, length);
    tag = strip_tag(s, frame, &length);
    verdict = cplus_verdict(s, frame, length);
    length = nic_seal(frame, nic_pad(frame, length));
    if (length > (desc[0] & DESC_RX_SIZE) ||
        !pci_dma_write(&s->pci, (uint64_t)desc[3] << 32 | desc[2], frame, length)) {
        rtl8139_rx_miss(s);
        return true;
    }
    s->rx_index = rtl8139_next_index(desc[0], s->rx_index);
    desc[0] = (desc[0] & DESC_EOR) | DESC_FS | DESC_LS | (status & 0xE000u) << 11 | verdict | length;
    pci_dma_write(&s->pci, at + 4, &tag, 4);
    pci_dma_write(&s->pci, at, desc, 4); /* the last: the descriptor is the driver's */
    rtl8139_rx_done(s, status);
    return true;
}

/* ---- transmitter ---- */

/* What the descriptor asks for; nothing beyond the frame is believed (CVE-2015-5165). */
static void cplus_checksums(const struct rtl8139 *s, uint8_t *frame, size_t length)
{
    struct ip_packet packet;
    struct offload_sum sum;
    bool tcp;

    if (!offload_find_ip(frame, length, &packet) || packet.version != 4)
        return;
    if (s->tx_flags & DESC_IPCS) {
        sum = offload_ip_sum(&packet);
        put_be16(frame + sum.place, 0);
        offload_checksum(frame, length, &sum);
    }
    tcp = packet.protocol == PROTOCOL_TCP;
    sum = offload_transport_sum(&packet);
    if ((!tcp && packet.protocol != PROTOCOL_UDP) || !(s->tx_flags & (tcp ? DESC_TCPCS : DESC_UDPCS)) ||
        sum.end > length || sum.place + 2 > sum.end)
        return;
    put_be16(frame + sum.place, offload_pseudo_sum(frame, &packet, sum.end - sum.start));
    offload_checksum(frame, length, &sum);
}

/* The longest frame that is sent, before a tag goes in. */
static size_t cplus_longest(const struct rtl8139 *s)
{
    return s->tx_tag & DESC_TAGC ? NET_MAX_FRAME - VLAN_TAG : NET_MAX_FRAME;
}

/* How the frame is cut into segments; false: it cannot be. What the driver left in the place of the checksums
 * is not part of them. */
static bool cplus_cut(struct rtl8139 *s, struct offload_cut *cut)
{
    struct ip_packet packet;

    if (!offload_find_ip(s->tx_data, s->tx_length, &packet) || packet.version != 4 ||
        packet.protocol != PROTOCOL_TCP || packet.transport + 20 > s->tx_length)
        return false;
    *cut = (struct offload_cut){.payload = s->tx_flags >> 16 & 0x7FF,
                                .ipv4 = true,
                                .tcp = true,
                                .sum_ip = true,
                                .sum_transport = true};
    cut->ip = packet.ip;
    cut->transport = packet.transport;
    cut->headers = packet.transport + (s->tx_data[packet.transport + 12] >> 4) * 4;
    cut->ip_sum = offload_ip_sum(&packet);
    cut->transport_sum = offload_transport_sum(&packet);
    cut->transport_sum.end = 0; /* the segment's */
    put_be16(s->tx_data + cut->ip_sum.place, 0);
    put_be16(s->tx_data + cut->transport_sum.place, offload_pseudo_sum(s->tx_data, &packet, 0));
    return true;
}

/* The next segment; its length, 0: there is none that a frame can hold. */
static size_t cplus_segment(struct rtl8139 *s, uint8_t frame[NET_MAX_FRAME])
{
    struct offload_cut cut;
    size_t length, taken;

    if (!cplus_cut(s, &cut))
        return 0;
    length = offload_segment(&cut, s->tx_data, s->tx_length, s->tx_sent, frame, &taken);
    if (!length || length > cplus_longest(s))
        return 0;
    s->tx_piece = taken;
    s->tx_last = s->tx_sent + taken == s->tx_length - cut.headers;
    return length;
}

static size_t cplus_whole(struct rtl8139 *s, uint8_t frame[NET_MAX_FRAME])
{
    s->tx_last = true;
    if (s->tx_length < NET_HEADER || s->tx_length > cplus_longest(s))
        return 0;
    memcpy(frame, s->tx_data, s->tx_length);
    cplus_checksums(s, frame, s->tx_length);
    return s->tx_length;
}

/* All segments at once, if the wire cuts them. False: not so; *sent false: the wire is full. */
static bool cplus_large(struct rtl8139 *s, bool *sent)
{
    struct offload_cut cut;

    if (!(s->tx_flags & DESC_LGSEN) || s->tx_sent || s->tx_tag & DESC_TAGC ||
        (s->tcr & TCR_LOOPBACK) == TCR_LOOPBACK || !cplus_cut(s, &cut))
        return false;
    return offload_send_large(s->nic.port, &cut, s->tx_data, s->tx_length, sent);
}

/* Sends the frame that was gathered, or its next segment. False: the wire is full. */
static bool cplus_send(struct rtl8139 *s)
{
    uint8_t frame[NET_MAX_FRAME];
    size_t length;
    bool sent;

    if (cplus_large(s, &sent)) {
        s->tx_ready = !sent;
        return sent;
    }
    length = s->tx_flags & DESC_LGSEN ? cplus_segment(s, frame) : cplus_whole(s, frame);
    if (length && s->tx_tag & DESC_TAGC)
        length = offload_insert_tag(frame, length, VLAN_TYPE, __builtin_bswap16(s->tx_tag));
    if (length && !rtl8139_tx_frame(s, frame, length))
        return false;
    s->tx_sent += s->tx_piece;
    if (!length || s->tx_last)
        s->tx_ready = false;
    return true;
}

/* Takes the next descriptor's bytes. False: it is not the chip's. */
static bool cplus_fetch(struct rtl8139 *s)
{
    uint64_t at = rtl8139_descriptor_at(s->tsad, s->tx_index);
    uint32_t desc[4], command, length;

    if (!pci_dma_read(&s->pci, at, desc, sizeof(desc)) || !(desc[0] & DESC_OWN))
        return false;
    command = desc[0];
    if (command & DESC_FS) {
        s->tx_length = s->tx_sent = s->tx_piece = 0;
        s->tx_flags = command;
        s->tx_tag = desc[1];
        s->tx_bad = false;
    }
    length = command & DESC_LENGTH;
    if (length > TX_LARGE - s->tx_length ||
        !pci_dma_read(&s->pci, (uint64_t)desc[3] << 32 | desc[2], s->tx_data + s->tx_length, length))
        s->tx_bad = true;
    else
        s->tx_length += length;
    s->tx_index = rtl8139_next_index(command, s->tx_index);
    s->tx_ready = command & DESC_LS && !s->tx_bad;
    desc[0] = command & (DESC_EOR | DESC_FS | DESC_LS | DESC_LENGTH); /* the rest would tell of errors now */
    if (!pci_dma_write(&s->pci, at, desc, 4))
        return false;
    if (!(command & DESC_LS))
        return true;
    s->tx_ok += !s->tx_bad;
    rtl8139_raise(s, s->tx_bad ? INT_TER : INT_TOK);
    s->tx_bad = true;
    return true;
}

/* False: there is no more to do now. */
static bool cplus_step(void *opaque)
{
    struct rtl8139 *s = opaque;

    if (!(s->cr & CR_TE) || !(s->cpcr & CPCR_TX) || !pci_is_on(&s->pci))
        return false;
    if (s->tx_ready)
        return cplus_send(s);
    if (cplus_fetch(s))
        return true;
    rtl8139_raise(s, INT_TDU);
    return false;
}

/* Rings that never end were a fault of others (CVE-2016-8910). */
void rtl8139_cplus_transmit(struct rtl8139 *s)
{
    nic_transmit(&s->nic, &s->tx_work, cplus_step);
}

/* ---- registers ---- */

void rtl8139_cplus_write(struct rtl8139 *s, unsigned offset, uint32_t value)
{
    if (s->revision < REVISION_CPLUS)
        return;
    if (offset == CPCR) {
        s->cpcr = value & CPCR_MASK;
        nic_resume(&s->nic);
    } else if (offset == TPPOLL) {
        if (value & TPPOLL_SWI)
            rtl8139_raise(s, INT_SWINT);
        if (value & TPPOLL_NPQ)
            rtl8139_cplus_transmit(s);
    } else {
        s->rdsar[(offset - RDSAR) / 4] = value;
        s->rx_index = 0;
        nic_resume(&s->nic);
    }
}

/* Laid out as in the data sheet; errors do not happen here. */
void rtl8139_dump_counters(struct rtl8139 *s)
{
    uint8_t dump[64] = {0};
    uint16_t missed = s->mpc;

    memcpy(dump, &s->tx_ok, 8);
    memcpy(dump + 8, &s->rx_ok, 8);
    memcpy(dump + 28, &missed, 2);
    memcpy(dump + 40, &s->rx_physical, 8);
    memcpy(dump + 48, &s->rx_broadcast, 8);
    memcpy(dump + 56, &s->rx_multicast, 4);
    pci_dma_write(&s->pci, (uint64_t)s->tsd[1] << 32 | (s->tsd[0] & ~0x3Fu), dump, sizeof(dump));
}
