/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The UHCI's registers and what lies in memory (Universal Host Controller Interface Design Guide 1.1, "the
 * guide"; PIIX3 data sheet 290550), for the chip, tests and fuzzing.
 */
#ifndef HW_USB_UHCI_H
#define HW_USB_UHCI_H

/* I/O registers (guide, 2.1) */
enum {
    USBCMD = 0x00,
    USBSTS = 0x02,
    USBINTR = 0x04,
    FRNUM = 0x06,
    FLBASEADD = 0x08,
    SOFMOD = 0x0C,
    PORTSC1 = 0x10,
    UHCI_IO_SIZE = 0x20,
};

enum {
    CMD_RS = 0x01,
    CMD_HCRESET = 0x02,
    CMD_GRESET = 0x04,
    CMD_EGSM = 0x08,
    CMD_FGR = 0x10,
    CMD_SWDBG = 0x20,
    CMD_CF = 0x40,
    CMD_MAXP = 0x80,
    CMD_MASK = 0xFF,
};

enum {
    STS_USBINT = 0x01,
    STS_ERROR = 0x02,
    STS_RESUME = 0x04,
    STS_HOST_ERROR = 0x08,
    STS_PROCESS_ERROR = 0x10,
    STS_HALTED = 0x20,
    STS_CLEARABLE = 0x1F,
};

enum { INTR_TIMEOUT = 0x01, INTR_RESUME = 0x02, INTR_IOC = 0x04, INTR_SHORT = 0x08, INTR_MASK = 0x0F };

enum {
    PORT_CONNECTED = 0x0001,
    PORT_CONNECT_CHANGE = 0x0002,
    PORT_ENABLED = 0x0004,
    PORT_ENABLE_CHANGE = 0x0008,
    PORT_LINE_DPLUS = 0x0010,
    PORT_LINE_DMINUS = 0x0020,
    PORT_RESUME = 0x0040,
    PORT_ALWAYS = 0x0080,
    PORT_LOW_SPEED = 0x0100,
    PORT_RESET = 0x0200,
    PORT_SUSPEND = 0x1000,
    PORT_CLEARABLE = PORT_CONNECT_CHANGE | PORT_ENABLE_CHANGE,
    PORT_WRITABLE = PORT_ENABLED | PORT_RESUME | PORT_RESET | PORT_SUSPEND,
    PORT_KEPT = 0x13FF, /* the bits that can ever be set */
};

/* Configuration space (data sheet, 2.5) */
enum { SBRN = 0x60, LEGSUP = 0xC0 };
#define SBRN_USB_1_0 0x10
#define LEGSUP_PIRQ  0x2000 /* the interrupt pin is connected */

/* Link pointers, queue heads and transfer descriptors (guide, chapter 3) */
#define LINK_T       0x1u
#define LINK_Q       0x2u
#define LINK_VF      0x4u
#define LINK_ADDRESS 0xFFFFFFF0u

enum { QH_LINK, QH_ELEMENT, QH_WORDS };
enum { TD_LINK, TD_CONTROL, TD_TOKEN, TD_BUFFER, TD_WORDS };

#define TD_ACTLEN    0x000007FFu
#define TD_CRC_TIME  (1u << 18)
#define TD_NAK       (1u << 19)
#define TD_BABBLE    (1u << 20)
#define TD_STALLED   (1u << 22)
#define TD_ACTIVE    (1u << 23)
#define TD_IOC       (1u << 24)
#define TD_IOS       (1u << 25)
#define TD_LS        (1u << 26)
#define TD_CERR      (3u << 27)
#define TD_CERR_ONE  (1u << 27)
#define TD_SPD       (1u << 29)
#define TD_STATUS    0x007E0000u
#define TD_NO_LENGTH 0x7FF

#endif
