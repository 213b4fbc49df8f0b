/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers, bits and descriptors of the 82540EM and its PHY, the 88E1011, named as in Intel's manual. */
#ifndef HW_NET_E1000_REGS_H
#define HW_NET_E1000_REGS_H

enum {
    CTRL = 0x0000,
    STATUS = 0x0008,
    EECD = 0x0010,
    EERD = 0x0014,
    CTRL_EXT = 0x0018,
    FLA = 0x001C,
    MDIC = 0x0020,
    FCAL = 0x0028,
    FCAH = 0x002C,
    FCT = 0x0030,
    VET = 0x0038,
    ICR = 0x00C0,
    ITR = 0x00C4,
    ICS = 0x00C8,
    IMS = 0x00D0,
    IMC = 0x00D8,
    RCTL = 0x0100,
    FCTTV = 0x0170,
    TXCW = 0x0178,
    TCTL = 0x0400,
    TIPG = 0x0410,
    AIT = 0x0458,
    LEDCTL = 0x0E00,
    PBA = 0x1000,
    FCRTL = 0x2160,
    FCRTH = 0x2168,
    RDFH = 0x2410,
    RDFPC = 0x2430,
    RDBAL = 0x2800,
    RDBAH = 0x2804,
    RDLEN = 0x2808,
    RDH = 0x2810,
    RDT = 0x2818,
    RDTR = 0x2820,
    RXDCTL = 0x2828,
    RADV = 0x282C,
    RSRPD = 0x2C00,
    TDFH = 0x3410,
    TDFPC = 0x3430,
    TDBAL = 0x3800,
    TDBAH = 0x3804,
    TDLEN = 0x3808,
    TDH = 0x3810,
    TDT = 0x3818,
    TIDV = 0x3820,
    TXDCTL = 0x3828,
    TADV = 0x382C,
    TSPMT = 0x3830,
    STATISTICS = 0x4000,
    MPC = 0x4010,
    PRC64 = 0x405C, /* received frames by length: up to 64 bytes, 127, ... */
    PRC127 = 0x4060,
    PRC1522 = 0x4070,
    GPRC = 0x4074,
    BPRC = 0x4078,
    MPRC = 0x407C,
    GPTC = 0x4080,
    GORC = 0x4088, /* and the upper half behind it */
    GOTC = 0x4090,
    RNBC = 0x40A0,
    TOR = 0x40C0,
    TOT = 0x40C8,
    TPR = 0x40D0,
    TPT = 0x40D4,
    PTC64 = 0x40D8, /* the same of sent ones */
    PTC127 = 0x40DC,
    MPTC = 0x40F0,
    BPTC = 0x40F4,
    TSCTC = 0x40F8,
    STATISTICS_END = 0x4100,
    RXCSUM = 0x5000,
    MTA = 0x5200,
    RA = 0x5400, /* RAL and RAH in turn */
    VFTA = 0x5600,
    WUC = 0x5800,
    WUFC = 0x5808,
    WUS = 0x5810,
    MANC = 0x5820,
    IPAV = 0x5838,
    IP4AT = 0x5840,
    IP6AT = 0x5880,
    WUPL = 0x5900,
    WUPM = 0x5A00,
    FFLT = 0x5F00,
    FFMT = 0x9000, /* every other doubleword is there, as of FFVT */
    FFVT = 0x9800,
};

#define CTRL_FD      0x00000001u
#define CTRL_SLU     0x00000040u
#define CTRL_SPEED   0x00000300u
#define CTRL_FRCSPD  0x00000800u
#define CTRL_FRCDPLX 0x00001000u
#define CTRL_RST     0x04000000u
#define CTRL_VME     0x40000000u
#define CTRL_PHY_RST 0x80000000u

#define CTRL_EXT_EE_RST 0x00002000u

#define STATUS_FD 0x00000001u
#define STATUS_LU 0x00000002u

#define EECD_SK      0x00000001u
#define EECD_CS      0x00000002u
#define EECD_DI      0x00000004u
#define EECD_DO      0x00000008u
#define EECD_FWE_DIS 0x00000010u
#define EECD_REQ     0x00000040u
#define EECD_GNT     0x00000080u
#define EECD_PRES    0x00000100u

#define EERD_START 0x00000001u
#define EERD_DONE  0x00000010u

#define MDIC_OP_WRITE 0x04000000u
#define MDIC_OP_READ  0x08000000u
#define MDIC_READY    0x10000000u
#define MDIC_INT      0x20000000u
#define MDIC_ERROR    0x40000000u

#define WUC_APME       0x00000001u
#define WUC_PME_EN     0x00000002u
#define WUC_PME_STATUS 0x00000004u
#define WUC_APMPME     0x00000008u

/* WUFC and WUS */
#define WU_LNKC 0x00000001u
#define WU_MAG  0x00000002u
#define WU_EX   0x00000004u
#define WU_MC   0x00000008u
#define WU_BC   0x00000010u
#define WU_ARP  0x00000020u
#define WU_IPV4 0x00000040u
#define WU_IPV6 0x00000080u
#define WU_FLX0 0x00010000u
#define WU_FLX1 0x00020000u
#define WU_ALL  0x000F00FFu

#define PM_OFFSET 0xDC
#define PMC       0xC822 /* wakes from D0 and D3hot, with auxiliary power also from D3cold; wants its driver */

#define INT_TXDW    0x00000001u
#define INT_TXQE    0x00000002u
#define INT_LSC     0x00000004u
#define INT_RXSEQ   0x00000008u
#define INT_RXDMT0  0x00000010u
#define INT_RXO     0x00000040u
#define INT_RXT0    0x00000080u
#define INT_MDAC    0x00000200u
#define INT_TXD_LOW 0x00008000u
#define INT_SRPD    0x00010000u
#define INT_ALL     0x0001FFFFu

#define RCTL_EN      0x00000002u
#define RCTL_UPE     0x00000008u
#define RCTL_MPE     0x00000010u
#define RCTL_LBM     0x000000C0u
#define RCTL_LBM_MAC 0x00000040u
#define RCTL_BAM     0x00008000u
#define RCTL_VFE     0x00040000u
#define RCTL_CFIEN   0x00080000u
#define RCTL_CFI     0x00100000u
#define RCTL_BSEX    0x02000000u
#define RCTL_SECRC   0x04000000u

#define TCTL_EN  0x00000002u
#define TCTL_PSP 0x00000008u

#define DELAY_FPD 0x80000000u /* of RDTR and TIDV: the interrupt that is delayed now */

#define RXCSUM_PCSS  0x000000FFu
#define RXCSUM_IPOFL 0x00000100u
#define RXCSUM_TUOFL 0x00000200u

#define RAH_ASEL 0x00030000u
#define RAH_AV   0x80000000u

/* Receive descriptor */
#define RX_DD    0x01
#define RX_EOP   0x02
#define RX_IXSM  0x04 /* no checksum was verified */
#define RX_VP    0x08
#define RX_TCPCS 0x20
#define RX_IPCS  0x40
#define RX_PIF   0x80
#define RX_TCPE  0x20
#define RX_IPE   0x40

/* Transmit descriptor: its third doubleword */
#define TX_EOP          0x01000000u
#define TX_IC           0x04000000u /* legacy: insert a checksum */
#define TX_TSE          0x04000000u /* extended: cut into segments */
#define TX_IFCS         0x02000000u
#define TX_RS           0x08000000u
#define TX_DEXT         0x20000000u
#define TX_VLE          0x40000000u
#define TX_IDE          0x80000000u
#define TX_DTYP         0x00F00000u
#define TX_DTYP_DATA    0x00100000u
#define TX_CONTEXT_TCP  0x01000000u
#define TX_CONTEXT_IPV4 0x02000000u
/* ... and its last */
#define TX_DD   0x00000001u
#define TX_IXSM 0x00000100u
#define TX_TXSM 0x00000200u

/* PHY (88E1011) */
enum {
    PHY_CTRL = 0,
    PHY_STATUS = 1,
    PHY_ID1 = 2,
    PHY_ID2 = 3,
    PHY_AUTONEG_ADV = 4,
    PHY_LP_ABILITY = 5,
    PHY_AUTONEG_EXP = 6,
    PHY_NEXT_PAGE_TX = 7,
    PHY_1000T_CTRL = 9,
    PHY_1000T_STATUS = 10,
    PHY_EXT_STATUS = 15,
    M88_SPEC_CTRL = 16,
    M88_SPEC_STATUS = 17,
    M88_INT_STATUS = 19,
    M88_EXT_SPEC_CTRL = 20,
    M88_RX_ERR_CNTR = 21,
};

#define PHY_CTRL_RESET     0x8000
#define PHY_CTRL_LOOPBACK  0x4000
#define PHY_CTRL_SPEED_100 0x2000
#define PHY_CTRL_AUTONEG   0x1000
#define PHY_CTRL_POWER     0x0800 /* down */
#define PHY_CTRL_RESTART   0x0200
#define PHY_CTRL_FD        0x0100
#define PHY_CTRL_SPEED_GB  0x0040

#define PHY_STATUS_FIXED   0x7949 /* 10 and 100 Mbit/s, half and full duplex, more in PHY_EXT_STATUS */
#define PHY_STATUS_AUTONEG 0x0020 /* done */
#define PHY_STATUS_LINK    0x0004

/* The partner's ability (IEEE 802.3 28.2.1): next page, acknowledge, 100BASE-TX and 10BASE-T, full and half
 * duplex; no flow control. */
#define PHY_LP_ALL          0xC1E1
#define PHY_EXP_NEXT_PAGE   0x0004 /* we can */
#define PHY_EXP_NEGOTIATED  0x0003 /* the partner negotiates, and its page has come */
#define PHY_1000T_PARTNER   0x3C00 /* both receivers work; the partner can full and half duplex */
#define M88_INT_LINK        0x0400
#define M88_INT_AUTONEG     0x0800
#define M88_STATUS_RESOLVED 0x1C00 /* page received, speed and duplex resolved, link */

#endif
