/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PHY of 10/100 Mbit/s cards (IEEE 802.3, clause 22): its cable leads to a switch that can do all it can.
 */
#ifndef HW_NET_MII_H
#define HW_NET_MII_H

#include "machine/device.h"

/* Registers 0..31 */
enum { MII_BMCR, MII_BMSR, MII_PHYIDR1, MII_PHYIDR2, MII_ANAR, MII_ANLPAR, MII_ANER };

#define MII_STATE(S)                                                                                         \
    S(UINT, uint16_t, bmcr, ANY)                                                                             \
    S(UINT, uint16_t, anar, ANY)

struct mii_phy {
    uint32_t id; /* set by the owner; the halves are registers 2 and 3 */
    STATE_MEMBERS(MII_STATE);
};
extern const struct state_table mii_state;

void mii_reset(struct mii_phy *phy);
uint16_t mii_read(const struct mii_phy *phy, unsigned reg, bool link);
void mii_write(struct mii_phy *phy, unsigned reg, uint16_t value);
/* The link is, or will be, of 100 Mbit/s: as negotiated or as it was chosen. Else of 10. */
bool mii_is_fast(const struct mii_phy *phy);

#endif
