/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/net/mii.h"

STATE_PUBLIC_TABLE(mii_state, struct mii_phy, MII_STATE);

#define BMCR_RESET   0x8000
#define BMCR_100     0x2000
#define BMCR_AUTONEG 0x1000
#define BMCR_RESTART 0x0200
#define BMCR_DEFAULT 0x3100 /* 100 Mbit/s, full duplex, negotiated */
#define BMSR_FIXED   0x7809 /* 10 and 100 Mbit/s, half and full duplex, negotiation, extended registers */
#define BMSR_DONE    0x0020
#define BMSR_LINK    0x0004
#define ANAR_100     0x0180 /* half or full duplex */

void mii_reset(struct mii_phy *phy)
{
    phy->bmcr = BMCR_DEFAULT;
    phy->anar = 0x05E1;
}

uint16_t mii_read(const struct mii_phy *phy, unsigned reg, bool link)
{
    switch (reg) {
    case MII_BMCR:
        return phy->bmcr;
    case MII_BMSR:
        return BMSR_FIXED | (link ? BMSR_DONE | BMSR_LINK : 0);
    case MII_PHYIDR1:
        return phy->id >> 16;
    case MII_PHYIDR2:
        return phy->id;
    case MII_ANAR:
        return phy->anar;
    case MII_ANLPAR:
        return link ? 0x45E1 : 0;
    case MII_ANER:
        return link;
    default:
        return 0;
    }
}

/* Reset and restart are done at once. */
void mii_write(struct mii_phy *phy, unsigned reg, uint16_t value)
{
    if (reg == MII_BMCR)
        phy->bmcr = value & BMCR_RESET ? BMCR_DEFAULT : value & ~BMCR_RESTART & 0x7D80;
    else if (reg == MII_ANAR)
        phy->anar = value;
}

bool mii_is_fast(const struct mii_phy *phy)
{
    return phy->bmcr & BMCR_AUTONEG ? phy->anar & ANAR_100 : phy->bmcr & BMCR_100;
}
