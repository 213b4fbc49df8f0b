/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Class isa-serial: National Semiconductor PC16550D UART. What the guest sends leaves at once, whatever the
 * baud rate; so the transmitter is always empty. What comes in waits in the character device until the
 * receive FIFO has space, so that only loopback can overrun it.
 */
#include "base/util.h"
#include "char/chardev.h"
#include "machine/machine.h"

enum {
    FIFO_SIZE = 16,
    CRYSTAL_HZ = 1843200,
    DIVISOR_DEFAULT = 12, /* 9600 baud; undefined by the data sheet */
    NEXT_INDEX = 0xFF,

    /* registers */
    RBR_THR = 0, /* divisor, low, with DLAB */
    IER = 1,     /* divisor, high, with DLAB */
    IIR_FCR = 2,
    LCR = 3,
    MCR = 4,
    LSR = 5,
    MSR = 6,
    SCR = 7,

    IER_ERBFI = 1,
    IER_ETBEI = 2,
    IER_ELSI = 4,
    IER_EDSSI = 8,
    IER_BITS = 0x0F,

    IIR_NONE = 0x01,
    IIR_MODEM = 0x00,
    IIR_THRE = 0x02,
    IIR_DATA = 0x04,
    IIR_LINE = 0x06,
    IIR_TIMEOUT = 0x0C,
    IIR_FIFO = 0xC0,

    FCR_ENABLE = 1,
    FCR_CLEAR_RX = 2,
    FCR_TRIGGER_SHIFT = 6,
    FCR_BITS = FCR_ENABLE | 3 << FCR_TRIGGER_SHIFT,

    LCR_WLS = 3,
    LCR_STB = 4,
    LCR_PEN = 8,
    LCR_BREAK = 0x40,
    LCR_DLAB = 0x80,

    MCR_DTR = 1,
    MCR_RTS = 2,
    MCR_OUT1 = 4,
    MCR_OUT2 = 8, /* on the PC it gates the interrupt */
    MCR_LOOP = 0x10,
    MCR_BITS = 0x1F,

    LSR_DR = 1,
    LSR_OE = 2,
    LSR_FE = 8,
    LSR_BI = 0x10,
    LSR_THRE = 0x20,
    LSR_TEMT = 0x40,
    LSR_FIFO_ERROR = 0x80,
    LSR_ERRORS = 0x1E,

    MSR_DCTS = 1,
    MSR_DDSR = 2,
    MSR_TERI = 4,
    MSR_DDCD = 8,
    MSR_CTS = 0x10,
    MSR_DSR = 0x20,
    MSR_RI = 0x40,
    MSR_DCD = 0x80,
    MSR_DELTAS = 0x0F,
};

static const struct {
    uint16_t iobase;
    uint8_t irq;
} defaults[] = {{0x3F8, 4}, {0x2F8, 3}, {0x3E8, 4}, {0x2E8, 3}};

enum { PORTS = COUNT(defaults) };

#define SERIAL_STATE(S)                                                                                      \
    S(UINT, uint16_t, divisor, ANY)                                                                          \
    S(BITS, uint8_t, ier, IER_BITS)                                                                          \
    S(BITS, uint8_t, fcr, FCR_BITS)                                                                          \
    S(UINT, uint8_t, lcr, ANY)                                                                               \
    S(BITS, uint8_t, mcr, MCR_BITS)                                                                          \
    S(UINT, uint8_t, msr, ANY)                                                                               \
    S(UINT, uint8_t, scr, ANY)                                                                               \
    S(BITS, uint8_t, overrun, LSR_OE)                                                                        \
    S(BOOL, thre_pending)                     /* the transmitter became empty and IIR has not told */        \
    S(BOOL, timed_out)                        /* the character timeout */                                    \
    S(ARRAY, uint8_t, fifo, FIFO_SIZE, ANY)   /* a ring; without FIFO mode it holds one */                   \
    S(ARRAY, uint8_t, errors, FIFO_SIZE, ANY) /* LSR bits of each character */                               \
    S(UINT, uint8_t, fifo_at, FIFO_SIZE - 1)  /* first character */                                          \
    S(UINT, uint8_t, fifo_count, FIFO_SIZE)                                                                  \
    S(TIMER, timeout) /* of characters that wait in the FIFO below its trigger level */

struct serial {
    struct device dev;
    struct region region;
    struct irq irq;
    struct chardev *chardev;
    uint8_t index, irq_line;
    uint16_t iobase;
    STATE_MEMBERS(SERIAL_STATE);
};
STATE_TABLE(serial_state, struct serial, SERIAL_STATE);

/* ---- interrupts ---- */

static unsigned serial_capacity(const struct serial *s)
{
    return s->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
}

static unsigned trigger_level(const struct serial *s)
{
    static const uint8_t levels[4] = {1, 4, 8, 14};

    return s->fcr & FCR_ENABLE ? levels[s->fcr >> FCR_TRIGGER_SHIFT] : 1;
}

/* The line status of the character at the front, and what belongs to no character. */
static uint8_t line_errors(const struct serial *s)
{
    return s->overrun | (s->fifo_count ? s->errors[s->fifo_at] : 0);
}

/* The source of highest priority, as IIR shows it. */
static uint8_t interrupt_source(const struct serial *s)
{
    if (s->ier & IER_ELSI && line_errors(s))
        return IIR_LINE;
    if (s->ier & IER_ERBFI && s->fifo_count >= trigger_level(s))
        return IIR_DATA;
    if (s->ier & IER_ERBFI && s->timed_out)
        return IIR_TIMEOUT;
    if (s->ier & IER_ETBEI && s->thre_pending)
        return IIR_THRE;
    if (s->ier & IER_EDSSI && s->msr & MSR_DELTAS)
        return IIR_MODEM;
    return IIR_NONE;
}

/* The timeout comes when the FIFO was left alone for four character times. A divisor of 0 counts as 1
 * (CVE-2016-8669). */
static int64_t timeout_ns(const struct serial *s)
{
    int64_t bits = 1 + 5 + (s->lcr & LCR_WLS) + !!(s->lcr & LCR_PEN) + (s->lcr & LCR_STB ? 2 : 1);

    return 4 * bits * 16 * (s->divisor ? s->divisor : 1) * NS_PER_SECOND / CRYSTAL_HZ;
}

static void update_timeout(struct serial *s)
{
    bool waits =
        s->fcr & FCR_ENABLE && s->ier & IER_ERBFI && s->fifo_count && s->fifo_count < trigger_level(s);

    if (waits && !s->timed_out)
        timer_set(&s->timeout, clock_now(&s->dev.machine->clock) + timeout_ns(s));
    else
        timer_cancel(&s->timeout);
}

static void serial_update_irq(struct serial *s)
{
    bool gate = (s->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

    irq_set(&s->irq, gate && interrupt_source(s) != IIR_NONE);
}

static void timeout_fire(void *opaque)
{
    struct serial *s = opaque;

    s->timed_out = true;
    serial_update_irq(s);
}

/* ---- the receiver ---- */

static void fifo_changed(struct serial *s)
{
    s->timed_out = false;
    update_timeout(s);
    serial_update_irq(s);
}

static void serial_fifo_put(struct serial *s, uint8_t byte, uint8_t errors)
{
    unsigned at;

    if (s->fifo_count == serial_capacity(s)) {
        s->overrun = LSR_OE;
        if (s->fcr & FCR_ENABLE)
            return; /* the FIFO keeps what it has; without it the new character takes the old one's place */
        s->fifo_count = 0;
    }
    at = (s->fifo_at + s->fifo_count) % FIFO_SIZE;
    s->fifo[at] = byte;
    s->errors[at] = errors;
    s->fifo_count++;
}

static void fifo_clear(struct serial *s)
{
    s->fifo_at = 0;
    s->fifo_count = 0;
}

static size_t serial_space(void *opaque)
{
    const struct serial *s = opaque;

    return s->mcr & MCR_LOOP ? 0 : serial_capacity(s) - s->fifo_count;
}

static void serial_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct serial *s = opaque;

    for (size_t i = 0; i < length; i++)
        serial_fifo_put(s, data[i], 0);
    fifo_changed(s);
}

/* More may come in: called last, as it may come at once. */
static void accept_input(struct serial *s)
{
    if (s->chardev && serial_space(s))
        chardev_accept_input(s->chardev);
}

static uint8_t serial_read_data(struct serial *s)
{
    uint8_t byte = s->fifo[s->fifo_at];

    if (!s->fifo_count)
        return 0;
    s->fifo_at = (s->fifo_at + 1) % FIFO_SIZE;
    s->fifo_count--;
    fifo_changed(s);
    if (!s->fifo_count)
        accept_input(s);
    return byte;
}

/* ---- the transmitter ---- */

static void serial_send(struct serial *s, const uint8_t *data, uint32_t count)
{
    if (s->mcr & MCR_LOOP)
        serial_receive(s, data, count);
    else if (s->chardev)
        chardev_write(s->chardev, data, count);
    s->thre_pending = true;
    serial_update_irq(s);
}

/* ---- registers ---- */

/* The modem's lines: a cable with everything asserted, or in loopback our own outputs. */
static void update_modem(struct serial *s)
{
    uint8_t lines = MSR_CTS | MSR_DSR | MSR_DCD, changed;

    if (s->mcr & MCR_LOOP)
        lines = (s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
                (s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0);
    changed = (s->msr ^ lines) & ~MSR_DELTAS;
    if (lines & MSR_RI)
        changed &= ~MSR_RI; /* TERI tells the trailing edge only */
    s->msr = lines | (s->msr & MSR_DELTAS) | changed >> 4;
}

static void write_ier(struct serial *s, uint8_t value)
{
    /* Enabling the interrupt of an empty transmitter raises it: drivers start sending so, and test for it. */
    if (value & IER_ETBEI && !(s->ier & IER_ETBEI))
        s->thre_pending = true;
    s->ier = value & IER_BITS;
    update_timeout(s);
    serial_update_irq(s);
}

static void write_fcr(struct serial *s, uint8_t value)
{
    if ((value ^ s->fcr) & FCR_ENABLE || (value & FCR_ENABLE && value & FCR_CLEAR_RX))
        fifo_clear(s);
    s->fcr = value & FCR_ENABLE ? value & FCR_BITS : 0;
    fifo_changed(s);
    accept_input(s);
}

static void write_lcr(struct serial *s, uint8_t value)
{
    bool breaks = value & ~s->lcr & LCR_BREAK && s->mcr & MCR_LOOP;

    s->lcr = value;
    if (!breaks)
        return;
    serial_fifo_put(s, 0, LSR_BI | LSR_FE);
    fifo_changed(s);
}

static void write_mcr(struct serial *s, uint8_t value)
{
    s->mcr = value & MCR_BITS;
    update_modem(s);
    serial_update_irq(s);
    accept_input(s);
}

static uint8_t read_iir(struct serial *s)
{
    uint8_t source = interrupt_source(s);

    if (source == IIR_THRE) {
        s->thre_pending = false;
        serial_update_irq(s);
    }
    return source | (s->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static uint8_t read_lsr(struct serial *s)
{
    uint8_t value = LSR_THRE | LSR_TEMT | line_errors(s);

    if (s->fifo_count)
        value |= LSR_DR;
    for (unsigned i = 0; i < s->fifo_count && s->fcr & FCR_ENABLE; i++)
        if (s->errors[(s->fifo_at + i) % FIFO_SIZE])
            value |= LSR_FIFO_ERROR;
    s->overrun = 0;
    if (s->fifo_count)
        s->errors[s->fifo_at] = 0;
    serial_update_irq(s);
    return value;
}

static uint8_t serial_read_msr(struct serial *s)
{
    uint8_t value = s->msr;

    s->msr &= ~MSR_DELTAS;
    serial_update_irq(s);
    return value;
}

static uint64_t serial_read(void *opaque, uint64_t offset, unsigned size)
{
    struct serial *s = opaque;

    switch (offset) {
    case RBR_THR:
        return s->lcr & LCR_DLAB ? s->divisor & 0xFF : serial_read_data(s);
    case IER:
        return s->lcr & LCR_DLAB ? s->divisor >> 8 : s->ier;
    case IIR_FCR:
        return read_iir(s);
    case LCR:
        return s->lcr;
    case MCR:
        return s->mcr;
    case LSR:
        return read_lsr(s);
    case MSR:
        return serial_read_msr(s);
    default:
        return s->scr;
    }
}

static void serial_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct serial *s = opaque;
    uint8_t byte = value;

    switch (offset) {
    case RBR_THR:
        if (s->lcr & LCR_DLAB)
            s->divisor = (s->divisor & 0xFF00) | byte;
        else
            serial_send(s, &byte, 1);
        break;
    case IER:
        if (s->lcr & LCR_DLAB)
            s->divisor = (s->divisor & 0xFF) | byte << 8;
        else
            write_ier(s, byte);
        break;
    case IIR_FCR:
        write_fcr(s, byte);
        break;
    case LCR:
        write_lcr(s, byte);
        break;
    case MCR:
        write_mcr(s, byte);
        break;
    case SCR:
        s->scr = byte;
        break;
    default: /* LSR, MSR: the factory's tests only */
        break;
    }
}

static uint32_t serial_write_block(void *opaque, uint64_t offset, unsigned size, const uint8_t *data,
                                   uint32_t count)
{
    struct serial *s = opaque;

    if (offset != RBR_THR || size != 1 || s->lcr & LCR_DLAB)
        return 0;
    serial_send(s, data, count);
    return count;
}

static const struct region_ops serial_ops = {
    .read = serial_read,
    .write = serial_write,
    .write_block = serial_write_block,
    .max_size = 1,
};

/* ---- the device ---- */

/* The next port that no other UART has. */
static unsigned serial_next_index(const struct serial *s)
{
    unsigned used = 0;

    for (const struct device *dev = s->dev.machine->devices; dev; dev = dev->next)
        if (dev->cls == s->dev.cls)
            used |= 1u << ((const struct serial *)dev)->index;
    for (unsigned i = 0; i < PORTS; i++)
        if (!(used & 1u << i))
            return i;
    return NEXT_INDEX;
}

static bool serial_realize(struct device *dev, struct error *err)
{
    struct serial *s = (struct serial *)dev;
    struct chardev_user user = {.space = serial_space, .receive = serial_receive, .opaque = s};

    if (s->index == NEXT_INDEX)
        s->index = serial_next_index(s);
    if (s->index >= PORTS)
        return error_set(err, "isa-serial: there are %d serial ports, index 0 to %d", PORTS, PORTS - 1);
    if (!s->iobase)
        s->iobase = defaults[s->index].iobase;
    if (!s->irq_line)
        s->irq_line = defaults[s->index].irq;
    if (s->chardev && !chardev_set_user(s->chardev, &user))
        return error_set(err, "isa-serial: chardev '%s' is in use", chardev_id(s->chardev));
    machine_irq(dev->machine, &s->irq, s->irq_line);
    timer_init(&s->timeout, &dev->machine->clock, timeout_fire, s);
    machine_map_ports(dev->machine, &s->region, "isa-serial", &serial_ops, s, s->iobase, 8);
    return true;
}

static void serial_unrealize(struct device *dev)
{
    struct serial *s = (struct serial *)dev;

    bus_unmap(&dev->machine->bus, &s->region);
    timer_cancel(&s->timeout);
    irq_set(&s->irq, false);
    if (s->chardev)
        chardev_set_user(s->chardev, NULL);
}

static void serial_reset(struct device *dev)
{
    struct serial *s = (struct serial *)dev;

    s->divisor = DIVISOR_DEFAULT;
    s->ier = s->fcr = s->lcr = s->mcr = s->scr = 0;
    s->overrun = 0;
    s->thre_pending = false;
    update_modem(s);
    s->msr &= ~MSR_DELTAS;
    fifo_clear(s);
    fifo_changed(s);
    accept_input(s);
}

static bool serial_check(const struct device *dev, struct error *err)
{
    const struct serial *s = (const struct serial *)dev;

    return s->fifo_count <= serial_capacity(s) ||
           error_set(err, "%u characters in a FIFO of %u", s->fifo_count, serial_capacity(s));
}

static void serial_loaded(struct device *dev)
{
    struct serial *s = (struct serial *)dev;

    serial_update_irq(s);
    accept_input(s);
}

static const struct property serial_properties[] = {
    PROPERTY(PROP_CHARDEV, struct serial, chardev, "chardev", .help = "where the line ends; none: nowhere"),
    PROPERTY(PROP_UINT8, struct serial, index, "index", .initial = "255",
             .help = "0 to 3: COM1 to COM4; 255: the next"),
    PROPERTY(PROP_UINT16, struct serial, iobase, "iobase", .help = "first port; 0: by index"),
    PROPERTY(PROP_UINT8, struct serial, irq_line, "irq", .max = 15, .help = "interrupt; 0: by index"),
    {.name = NULL},
};

static const struct device_class serial_class = {
    .name = "isa-serial",
    .description = "16550A serial port",
    .bus = &isa_bus_ops,
    .size = sizeof(struct serial),
    .properties = serial_properties,
    .state = &serial_state,
    .realize = serial_realize,
    .unrealize = serial_unrealize,
    .reset = serial_reset,
    .check = serial_check,
    .loaded = serial_loaded,
};
DEVICE_CLASS(serial_class);
