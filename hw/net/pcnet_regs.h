/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers, bits and descriptors of the Am79C970A and Am79C973, named as in their data sheets. */
#ifndef HW_NET_PCNET_REGS_H
#define HW_NET_PCNET_REGS_H

/* The ports: in WIO mode words from 0x10 on, in DWIO mode doublewords. */
enum port { RDP, RAP, RESET, BDP, PORTS };

/* Control and status registers. What is 32 bits wide takes two. */
enum {
    CSR_IADR = 1,
    CSR_MASKS = 3,
    CSR_TEST = 4,
    CSR_EXTENDED = 5,
    CSR_LENGTHS = 6,
    CSR_LADRF = 8,
    CSR_PADR = 12,
    CSR_MODE = 15,
    CSR_IADR_ALIAS = 16,
    CSR_BADR = 24, /* receive ring */
    CSR_CRDA = 28,
    CSR_BADX = 30, /* transmit ring */
    CSR_CXDA = 34,
    CSR_SWS = 58, /* BCR20 */
    CSR_RCVRC = 72,
    CSR_XMTRC = 74,
    CSR_RCVRL = 76,
    CSR_XMTRL = 78,
    CSR_DMATCFW = 80,
    CSR_CHIP_ID = 88,
    CSR_BTO = 100,
    CSR_MFC = 112,
};

#define CSR0_INIT   0x0001
#define CSR0_STRT   0x0002
#define CSR0_STOP   0x0004
#define CSR0_TDMD   0x0008
#define CSR0_TXON   0x0010
#define CSR0_RXON   0x0020
#define CSR0_IENA   0x0040
#define CSR0_INTR   0x0080
#define CSR0_IDON   0x0100
#define CSR0_TINT   0x0200
#define CSR0_RINT   0x0400
#define CSR0_MERR   0x0800
#define CSR0_MISS   0x1000
#define CSR0_CERR   0x2000
#define CSR0_BABL   0x4000
#define CSR0_ERR    0x8000
#define CSR0_EVENTS 0x7F00 /* written 1 they are cleared */

#define CSR3_BSWP     0x0004
#define CSR3_WRITABLE 0x5F7C

/* Each flag has its mask one bit below, but for UINT. */
#define CSR4_TXSTRT    0x0008
#define CSR4_UINT      0x0040
#define CSR4_UINTCMD   0x0080
#define CSR4_MFCO      0x0200
#define CSR4_ASTRP_RCV 0x0400
#define CSR4_APAD_XMT  0x0800
#define CSR4_DPOLL     0x1000
#define CSR4_MASKABLE  0x022A
#define CSR4_EVENTS    (CSR4_MASKABLE | CSR4_UINT)
#define CSR4_WRITABLE  0xFD15

/* Each flag has its enable one bit below. */
#define CSR5_SPND     0x0001
#define CSR5_SINT     0x0800
#define CSR5_LTINTEN  0x4000
#define CSR5_TOKINTD  0x8000
#define CSR5_EVENTS   0x0A90
#define CSR5_WRITABLE 0xC56F

#define MODE_DRX     0x0001
#define MODE_DTX     0x0002
#define MODE_LOOP    0x0004
#define MODE_DXMTFCS 0x0008
#define MODE_DLNKTST 0x1000
#define MODE_DRCVPA  0x2000
#define MODE_DRCVBC  0x4000
#define MODE_PROM    0x8000

enum {
    BCR_MC = 2,
    BCR_LNKST = 4, /* and three more LEDs */
    BCR_FDC = 9,
    BCR_BSBC = 18,
    BCR_SWS = 20,
    BCR_SUBSYSTEM = 23,
    BCR_MIICAS = 32,
    BCR_MIIADDR = 33,
    BCR_MIIMDR = 34,
    BCR_VENDOR = 35,
};

#define MC_APROMWE    0x0100
#define LED_LNKSTE    0x0040
#define LED_FDLSE     0x0100
#define LED_100E      0x1000 /* Am79C973 */
#define FDC_FDEN      0x0001
#define LED_LEDOUT    0x8000
#define BSBC_DWIO     0x0080
#define SWS_STYLE     0x00FF
#define SWS_SSIZE32   0x0100
#define SWS_CSRPCNET  0x0200
#define MIICAS_DETECT 0x4000 /* MIIPD: there is a PHY */

/* Second doubleword of a descriptor; in the 16-bit style its upper byte is that of the second word. */
#define DESC_OWN     0x80000000u
#define DESC_ERR     0x40000000u
#define DESC_STP     0x02000000u
#define DESC_ENP     0x01000000u
#define DESC_BCNT    0x00000FFFu
#define RMD_OFLO     0x10000000u
#define RMD_CRC      0x08000000u
#define RMD_BUFF     0x04000000u
#define RMD_PAM      0x00400000u
#define RMD_LAFM     0x00200000u
#define RMD_BAM      0x00100000u
#define RMD_STATUS   0xFFFF0000u
#define TMD_ADD_FCS  0x20000000u
#define TMD_LTINT    0x10000000u /* MORE, once the chip gives it back */
#define TMD_RESULT   0x5C000000u /* ERR, MORE, ONE, DEF */
#define TMD_LCAR     0x08000000u /* in the doubleword of errors */
#define STYLE_LANCE  0
#define STYLE_ILACC  1
#define STYLE_PCNET2 3 /* the doublewords in another order */

#endif
