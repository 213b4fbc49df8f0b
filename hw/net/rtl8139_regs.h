/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers, bits and descriptors of the RTL8139C and RTL8139C+, named as in their data sheets. */
#ifndef HW_NET_RTL8139_REGS_H
#define HW_NET_RTL8139_REGS_H

enum {
    IDR0 = 0x00,
    MAR0 = 0x08,
    TSD0 = 0x10,
    TSAD0 = 0x20,
    RBSTART = 0x30,
    CR = 0x37,
    CAPR = 0x38,
    CBR = 0x3A,
    IMR = 0x3C,
    ISR = 0x3E,
    TCR = 0x40,
    RCR = 0x44,
    TCTR = 0x48,
    MPC = 0x4C,
    EECR = 0x50, /* 9346CR */
    CONFIG0 = 0x51,
    CONFIG1 = 0x52,
    TIMER_INT = 0x54,
    MSR = 0x58,
    CONFIG3 = 0x59,
    CONFIG4 = 0x5A,
    MULINT = 0x5C,
    TSAD = 0x60,
    BMCR = 0x62,
    BMSR = 0x64,
    ANAR = 0x66,
    ANLPAR = 0x68,
    ANER = 0x6A,
    NWAYTR = 0x70,
    CSCR = 0x74,
    CRC0 = 0x84,    /* of eight wake-up frames, a byte each */
    WAKEUP0 = 0x8C, /* which of their bytes count, eight bytes each */
    LSBCRC0 = 0xCC,
    WAKEUP_END = 0xD4,
    CONFIG5 = 0xD8,
    TPPOLL = 0xD9,
    CPCR = 0xE0, /* C+CR */
    RDSAR = 0xE4,
};

#define CR_BUFE 0x01
#define CR_TE   0x04
#define CR_RE   0x08
#define CR_RST  0x10

#define INT_ROK     0x0001
#define INT_RER     0x0002
#define INT_TOK     0x0004
#define INT_TER     0x0008
#define INT_RXOVW   0x0010
#define INT_LINKCHG 0x0020
#define INT_TDU     0x0080
#define INT_SWINT   0x0100
#define INT_TIMEOUT 0x4000
#define INT_SERR    0x8000
#define INT_ALL     0xE1FF

#define TSD_SIZE 0x00001FFFu
#define TSD_OWN  0x00002000u
#define TSD_TUN  0x00004000u
#define TSD_TOK  0x00008000u
#define TSD_TABT 0x40000000u

#define TCR_HWVERID  0x74000000u /* RTL8139C */
#define TCR_CPLUS    0x00800000u
#define TCR_WRITABLE 0x030707F0u
#define TCR_LOOPBACK 0x00060000u

#define RCR_AAP      0x00000001u
#define RCR_APM      0x00000002u
#define RCR_AM       0x00000004u
#define RCR_AB       0x00000008u
#define RCR_WRAP     0x00000080u
#define RCR_WRITABLE 0x0F03FFBFu

/* Status in front of a received frame */
#define RX_ROK 0x0001
#define RX_BAR 0x2000
#define RX_PAM 0x4000
#define RX_MAR 0x8000

#define EECR_EEM     0xC0
#define EECR_LOAD    0x40
#define EECR_PROGRAM 0x80
#define EECR_CONFIG  0xC0 /* CONFIG registers can be written */
#define EECR_CS      0x08
#define EECR_SK      0x04
#define EECR_DI      0x02
#define EECR_DO      0x01

#define CONFIG1_MAPPED 0x0C /* I/O and memory: as the BARs say */
#define CONFIG1_PMEN   0x01 /* the power management capability is there */

#define CONFIG3_MAGIC  0x20
#define CONFIG3_LINKUP 0x10
#define CONFIG3_MASK   0x70

#define CONFIG4_LONGWF 0x20 /* wake-up frames of up to 128 bytes */
#define CONFIG4_MASK   0xF5

#define CONFIG5_BWF  0x40
#define CONFIG5_MWF  0x20
#define CONFIG5_UWF  0x10
#define CONFIG5_MASK 0x7F

#define PM_OFFSET 0x50
#define PMC       0xF7C2 /* D1, D2; wakes from all but D0; with auxiliary power (MSR_AUX) also from D3cold */

#define MSR_LINKB    0x04 /* no link */
#define MSR_SPEED_10 0x08
#define MSR_AUX      0x10

#define CPCR_TX   0x0001
#define CPCR_RX   0x0002
#define CPCR_RXCS 0x0020 /* checksums are verified (RxChkSum) */
#define CPCR_VLAN 0x0040 /* tags are taken out */
#define CPCR_MASK 0x027B

#define DTCCR_DUMP 0x08u

#define TPPOLL_NPQ 0x40
#define TPPOLL_SWI 0x01

/* First doubleword of a descriptor, and DESC_TAGC of the second */
#define DESC_OWN     0x80000000u
#define DESC_EOR     0x40000000u
#define DESC_FS      0x20000000u
#define DESC_LS      0x10000000u
#define DESC_LGSEN   0x08000000u /* cut into segments */
#define DESC_IPCS    0x00040000u
#define DESC_UDPCS   0x00020000u
#define DESC_TCPCS   0x00010000u
#define DESC_RX_SIZE 0x1FFFu
#define DESC_TAGC    0x00020000u
/* First doubleword of a descriptor that comes back */
#define DESC_LENGTH 0x0000FFFFu
#define RX_PID_TCP  0x00010000u
#define RX_PID_UDP  0x00020000u
#define RX_PID_IP   0x00030000u
#define RX_IPF      0x00008000u
#define RX_UDPF     0x00004000u
#define RX_TCPF     0x00002000u

#define CSCR_CHANGED 0x0800 /* the link did; until the driver writes the register */
#define CSCR_LINK_OK 0x0400

#endif
