/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82371SB (PIIX3), function 2: the USB host controller (data sheet 290550, 2.5 and 3.7; Universal Host
 * Controller Interface Design Guide 1.1, "the guide" below).
 *
 * The controller has no doorbell: it finds work by walking a schedule in guest memory, a list a millisecond.
 * To be woken as often would cost a processor's time for an idle tablet. So a frame is walked when it is
 * over, and several that are over are walked together; how long to wait depends on what may come: every frame
 * while control transfers go on, the next frame with an active transfer descriptor once a device has
 * something to say, and else QUIET_FRAMES or, later, IDLE_FRAMES, which bounds how late a new request of the
 * guest is seen. With no enabled port nobody could answer, and nothing is walked. FRNUM follows the guest's
 * clock.
 *
 * All that is in guest memory is read once, then checked. Each frame's work is bounded by the time that it
 * has on the wire and by FETCHES_MAX, and so is a loop in the schedule.
 *
 * There is no SMM here: the traps of LEGSUP are kept as the guest wrote them and never trap.
 */
#include "hw/usb/uhci.h"

#include <string.h>

#include "hw/usb/usb.h"
#include "machine/machine.h"

#define LEGSUP_DEFAULT   0x2000
#define LEGSUP_WRITABLE  0x20BF
#define LEGSUP_CLEARABLE 0x8F00

enum {
    FRAMES = 1024, /* in the list */
    FRNUM_MASK = 0x7FF,
    PACKET_MAX = 1280, /* guide, 3.2.3: more is a consistency check error */
    SOFMOD_DEFAULT = 64,
    SOFMOD_MASK = 0x7F,
    SOFMOD_BASE = 11936,  /* bit times of a frame with SOFMOD 0 */
    FRAME_BYTES = 1500,   /* what a frame has room for, at full speed */
    PACKET_OVERHEAD = 13, /* bytes: token, handshake, turnarounds */
    LOW_SPEED_FACTOR = 8, /* a low speed bit lasts that long */
    FETCHES_MAX = 256,    /* queue heads and transfer descriptors that are read for one frame */
    LATE_MAX = 128,       /* frames; those that are later still were lost */
    BUSY_FRAMES = 16,     /* walked one by one after the last sign of a control transfer */
    RECENT_FRAMES = 1000, /* after it: QUIET_FRAMES at most between looks, later IDLE_FRAMES */
    QUIET_FRAMES = 8,
    IDLE_FRAMES = 32,
};

/*
 * STS_HALTED is the absence of CMD_RS and not kept. The run, since CMD_RS was set: when frame 0 of it began,
 * the first frame that was not walked, and what those before it were like.
 */
#define UHCI_STATE(S)                                                                                        \
    S(BITS, uint16_t, command, CMD_MASK)                                                                     \
    S(BITS, uint16_t, status, STS_CLEARABLE)                                                                 \
    S(BITS, uint16_t, interrupts, INTR_MASK)                                                                 \
    S(BITS, uint32_t, frame_list, 0xFFFFF000)                                                                \
    S(UINT, uint16_t, frame_number, FRNUM_MASK) /* of frame 0 of the run; while halted, the present one */   \
    S(UINT, uint8_t, sofmod, SOFMOD_MASK)                                                                    \
    S(ARRAY, uint16_t, ports, USB_PORTS_MAX, PORT_KEPT)                                                      \
    S(BOOL, completed) /* this and the next: what USBINT stands for */                                       \
    S(BOOL, was_short)                                                                                       \
    S(UINT, int64_t, started, INT64_MAX / 2) /* guest time */                                                \
    S(UINT, uint64_t, walked, INT64_MAX)                                                                     \
    S(UINT, uint64_t, busy_until, INT64_MAX)                                                                 \
    S(UINT, uint64_t, last_control, INT64_MAX)                                                               \
    S(UINT, uint32_t, active, ANY) /* bit n % 32: frame n had an active descriptor */

struct uhci {
    struct pci_device pci;
    struct region io;
    struct usb_bus bus;
    struct timer timer; /* the next look at the schedule; follows from the state */
    STATE_MEMBERS(UHCI_STATE);
};
STATE_TABLE(uhci_state, struct uhci, UHCI_STATE);

/* One frame's walk. */
struct frame {
    unsigned bytes;   /* left on the wire */
    unsigned fetches; /* made */
    uint32_t mark;    /* a link that was followed, against loops */
    unsigned until_mark, mark_distance;
    bool active;   /* a descriptor was */
    bool transfer; /* something moved or ended since a link was remembered */
    bool control;  /* what went on goes on at once: not an interrupt endpoint that waits */
};

/* ---- time ---- */

static int64_t uhci_frame_ns(const struct uhci *u)
{
    return (SOFMOD_BASE + u->sofmod) * 1000ll / 12;
}

static int64_t uhci_now(const struct uhci *u)
{
    return clock_now(&u->pci.dev.machine->clock);
}

/* Frames that are over. */
static uint64_t uhci_frames_over(const struct uhci *u)
{
    int64_t since = uhci_now(u) - u->started;

    return since > 0 ? since / uhci_frame_ns(u) : 0;
}

static struct work *uhci_work(const struct uhci *u)
{
    return &u->pci.dev.machine->loop.work;
}

static bool uhci_runs(const struct uhci *u)
{
    return u->command & CMD_RS;
}

static uint16_t uhci_frame_number(const struct uhci *u)
{
    return (u->frame_number + (uhci_runs(u) ? uhci_frames_over(u) : 0)) & FRNUM_MASK;
}

/* ---- interrupts ---- */

static void uhci_update_irq(struct uhci *u)
{
    bool level = (u->completed && u->interrupts & INTR_IOC) || (u->was_short && u->interrupts & INTR_SHORT) ||
                 (u->status & STS_ERROR && u->interrupts & INTR_TIMEOUT) ||
                 (u->status & STS_RESUME && u->interrupts & INTR_RESUME) ||
                 u->status & (STS_HOST_ERROR | STS_PROCESS_ERROR);

    pci_set_intx(&u->pci, level && pci_get16(&u->pci, LEGSUP) & LEGSUP_PIRQ);
}

/* ---- running ---- */

static void uhci_stop(struct uhci *u)
{
    u->frame_number = uhci_frame_number(u);
    u->command &= ~CMD_RS;
    timer_cancel(&u->timer);
}

static void uhci_fail(struct uhci *u, uint16_t error)
{
    u->status |= error;
    uhci_stop(u);
}

static bool uhci_port_works(const struct uhci *u, unsigned port)
{
    return (u->ports[port] & (PORT_ENABLED | PORT_SUSPEND)) == PORT_ENABLED;
}

/* Can a device answer? */
static bool uhci_has_work(const struct uhci *u)
{
    bool works = false;

    for (unsigned i = 0; i < u->bus.ports; i++)
        works |= uhci_port_works(u, i);
    return works && uhci_runs(u) && !(u->command & CMD_EGSM) &&
           u->pci.config[PCI_COMMAND] & PCI_COMMAND_MASTER;
}

/* The first frame from `from` on with an active descriptor, as far as the frames before tell. */
static uint64_t uhci_next_active(const struct uhci *u, uint64_t from)
{
    for (uint64_t n = from; n < from + 32; n++)
        if (u->active >> n % 32 & 1)
            return n;
    return from + 32;
}

/* The next frame whose end is worth waking up for. */
static uint64_t uhci_next_look(const struct uhci *u)
{
    uint64_t look =
        u->walked + (u->walked - u->last_control < RECENT_FRAMES ? QUIET_FRAMES : IDLE_FRAMES) - 1;
    int64_t due = usb_bus_due(&u->bus);
    uint64_t frame;

    if (u->walked < u->busy_until)
        return u->walked;
    if (due == USB_NEVER)
        return look;
    frame = due > u->started ? (due - u->started) / uhci_frame_ns(u) : 0;
    frame = frame > u->walked ? frame : u->walked;
    if (frame < look)
        frame = uhci_next_active(u, frame);
    return frame < look ? frame : look;
}

static void uhci_schedule(struct uhci *u)
{
    if (!uhci_has_work(u))
        timer_cancel(&u->timer);
    else
        timer_set(&u->timer, u->started + (int64_t)(uhci_next_look(u) + 1) * uhci_frame_ns(u));
}

/* Frames without anybody to answer, or that the guest could not have waited for, are not walked later. */
static void uhci_skip_to_now(struct uhci *u)
{
    u->walked = uhci_frames_over(u);
}

/* Something began: the guest will have requests. */
static void uhci_expect_work(struct uhci *u)
{
    if (!timer_armed(&u->timer))
        uhci_skip_to_now(u);
    u->busy_until = uhci_frames_over(u) + BUSY_FRAMES;
    uhci_schedule(u);
}

static void uhci_start(struct uhci *u)
{
    u->started = uhci_now(u);
    u->walked = u->last_control = 0;
    u->active = 0;
    uhci_expect_work(u);
}

/* ---- transfer descriptors ---- */

enum td_result {
    TD_DONE,  /* retired, the queue goes on */
    TD_STOPS, /* the queue does not go on in this frame */
    TD_FATAL, /* the controller has halted */
};

static struct usb_device *uhci_device(struct uhci *u, const uint32_t *td)
{
    unsigned address = td[TD_TOKEN] >> 8 & 0x7F;

    for (unsigned i = 0; i < u->bus.ports; i++) {
        struct usb_device *dev = u->bus.devices[i];

        if (dev && uhci_port_works(u, i) && dev->address == address &&
            (usb_class_of(dev)->speed == USB_LOW_SPEED) == !!(td[TD_CONTROL] & TD_LS))
            return dev;
    }
    return NULL;
}

/* The number of bytes that the descriptor asks for; more than PACKET_MAX: it is not valid. */
static unsigned td_length(const uint32_t *td)
{
    return ((td[TD_TOKEN] >> 21) + 1) & 0x7FF;
}

static bool td_valid(const uint32_t *td)
{
    uint8_t pid = td[TD_TOKEN];

    return td_length(td) <= PACKET_MAX && (pid == USB_PID_IN || pid == USB_PID_OUT || pid == USB_PID_SETUP);
}

/* Bytes of the frame's time that it takes. */
static unsigned td_time(const uint32_t *td)
{
    return (td_length(td) + PACKET_OVERHEAD) * (td[TD_CONTROL] & TD_LS ? LOW_SPEED_FACTOR : 1);
}

static void td_retire(struct uhci *u, uint32_t *control, uint32_t error)
{
    *control = (*control & ~TD_ACTIVE) | error;
    u->completed |= !!(*control & TD_IOC);
    if (error)
        u->status |= STS_ERROR;
}

/* Nobody answered. Three times, or whatever the counter says, and the descriptor is given up. */
static void td_count_error(struct uhci *u, uint32_t *control)
{
    *control |= TD_CRC_TIME;
    if (*control & TD_IOS) {
        td_retire(u, control, TD_CRC_TIME);
        return;
    }
    if (!(*control & TD_CERR))
        return;
    *control -= TD_CERR_ONE;
    if (!(*control & TD_CERR))
        td_retire(u, control, TD_STALLED);
}

/* Does the transaction. Returns the bytes moved or USB_NAK and the like; *fatal: memory that is none. */
static int uhci_transact(struct uhci *u, const uint32_t *td, bool *fatal)
{
    uint8_t data[PACKET_MAX];
    struct usb_device *dev = uhci_device(u, td);
    unsigned length = td_length(td);
    uint8_t pid = td[TD_TOKEN];
    int moved;

    if (pid != USB_PID_IN && !pci_dma_read(&u->pci, td[TD_BUFFER], data, length)) {
        *fatal = true;
        return 0;
    }
    if (!dev || td[TD_CONTROL] & TD_IOS)
        return USB_NO_ANSWER;
    moved = usb_transact(dev, pid, td[TD_TOKEN] >> 15 & 15, data, length);
    if (pid == USB_PID_IN && moved > 0)
        *fatal = !pci_dma_write(&u->pci, td[TD_BUFFER], data, moved);
    return moved;
}

/* The descriptor's control word after the transaction. */
static uint32_t td_after(struct uhci *u, const uint32_t *td, int moved, bool in_queue, bool *is_short)
{
    uint32_t control = td[TD_CONTROL] & ~TD_STATUS;

    switch (moved) {
    case USB_NAK:
        return control | TD_NAK;
    case USB_STALL:
        td_retire(u, &control, TD_STALLED);
        break;
    case USB_BABBLE:
        td_retire(u, &control, TD_STALLED | TD_BABBLE);
        break;
    case USB_NO_ANSWER:
        td_count_error(u, &control);
        break;
    default:
        *is_short = in_queue && control & TD_SPD && (uint8_t)td[TD_TOKEN] == USB_PID_IN &&
                    (unsigned)moved < td_length(td);
        td_retire(u, &control, 0);
    }
    return (control & ~TD_ACTLEN) | ((moved > 0 ? moved - 1 : TD_NO_LENGTH) & TD_ACTLEN);
}

/* Is it a control transfer's, or one that fails, so that more of it is to be expected at once? */
static bool td_is_control(const uint32_t *td, int moved)
{
    return !(td[TD_TOKEN] >> 15 & 15) || moved < USB_NAK;
}

/* Executes an active descriptor. */
static enum td_result uhci_execute(struct uhci *u, struct frame *f, uint32_t address, const uint32_t *td,
                                   bool in_queue)
{
    bool fatal = false, is_short = false;
    uint32_t control;
    int moved;

    if (!td_valid(td)) {
        uhci_fail(u, STS_PROCESS_ERROR);
        return TD_FATAL;
    }
    f->active = true;
    if (td_time(td) > f->bytes)
        return TD_STOPS;
    f->bytes -= td_time(td);
    work_add(uhci_work(u), WORK_ACCESS + td_length(td));
    moved = uhci_transact(u, td, &fatal);
    control = td_after(u, td, moved, in_queue, &is_short);
    if (!fatal && control != td[TD_CONTROL])
        fatal = !pci_dma_write(&u->pci, address + 4 * TD_CONTROL, &control, sizeof(control));
    if (fatal) {
        uhci_fail(u, STS_HOST_ERROR);
        return TD_FATAL;
    }
    f->transfer |= moved != USB_NAK;
    f->control |= td_is_control(td, moved);
    u->was_short |= is_short;
    if (u->command & CMD_SWDBG) /* for debuggers: a step at a time, each from the frame's beginning */
        uhci_stop(u);
    return !(control & (TD_ACTIVE | TD_STALLED)) && !is_short ? TD_DONE : TD_STOPS;
}

/* ---- the schedule ---- */

static bool uhci_fetch(struct uhci *u, struct frame *f, uint32_t address, uint32_t *words, unsigned count)
{
    f->fetches++;
    work_add(uhci_work(u), WORK_ACCESS);
    if (pci_dma_read(&u->pci, address, words, count * sizeof(words[0])))
        return true;
    uhci_fail(u, STS_HOST_ERROR);
    return false;
}

/* A descriptor in the list itself; returns where the list goes on. */
static uint32_t uhci_walk_td(struct uhci *u, struct frame *f, uint32_t address)
{
    uint32_t td[TD_WORDS];

    if (!uhci_fetch(u, f, address, td, TD_WORDS))
        return LINK_T;
    if (td[TD_CONTROL] & TD_ACTIVE && uhci_execute(u, f, address, td, false) == TD_FATAL)
        return LINK_T;
    return td[TD_LINK];
}

/* A queue: its first descriptors, one or, with LINK_VF, as many as go; returns where the list goes on. */
static uint32_t uhci_walk_queue(struct uhci *u, struct frame *f, uint32_t address)
{
    uint32_t qh[QH_WORDS], td[TD_WORDS], element;
    enum td_result result;

    if (!uhci_fetch(u, f, address, qh, QH_WORDS))
        return LINK_T;
    element = qh[QH_ELEMENT];
    while (!(element & LINK_T) && f->fetches < FETCHES_MAX && uhci_runs(u)) {
        if (element & LINK_Q)
            return element; /* a queue in the queue goes on with its own link */
        if (!uhci_fetch(u, f, element & LINK_ADDRESS, td, TD_WORDS))
            return LINK_T;
        if (!(td[TD_CONTROL] & TD_ACTIVE))
            break;
        result = uhci_execute(u, f, element & LINK_ADDRESS, td, true);
        if (result == TD_FATAL)
            return LINK_T;
        if (result == TD_STOPS)
            break;
        element = td[TD_LINK];
        if (!pci_dma_write(&u->pci, address + 4 * QH_ELEMENT, &element, sizeof(element))) {
            uhci_fail(u, STS_HOST_ERROR);
            return LINK_T;
        }
        if (!(element & LINK_VF))
            break;
    }
    return qh[QH_LINK];
}

/*
 * Guests reclaim bandwidth by a ring at the schedule's end, round which the controller goes until the frame
 * is over. Here a round on which nothing moved ends it: a link is remembered, and another after twice as many
 * (Brent's way to find a cycle).
 */
static bool uhci_came_round(struct frame *f, uint32_t link)
{
    if (f->transfer) {
        f->mark_distance = 0;
        f->transfer = false;
        f->mark = LINK_T;
    }
    if (link == f->mark)
        return true;
    if (f->mark_distance == 0 || --f->until_mark == 0) {
        f->mark = link;
        f->mark_distance = f->mark_distance ? 2 * f->mark_distance : 1;
        f->until_mark = f->mark_distance;
    }
    return false;
}

static void uhci_note(struct uhci *u, const struct frame *f, uint64_t n)
{
    if (f->active)
        u->active |= 1u << n % 32;
    else
        u->active &= ~(1u << n % 32);
    if (f->control) {
        u->busy_until = n + BUSY_FRAMES;
        u->last_control = n;
    }
}

/* Walks the list of frame n. */
static void uhci_walk_frame(struct uhci *u, uint64_t n)
{
    struct frame f = {.bytes = FRAME_BYTES, .mark = LINK_T};
    uint32_t at = u->frame_list + 4 * ((u->frame_number + n) % FRAMES), link;

    if (!uhci_fetch(u, &f, at, &link, 1))
        return;
    while (!(link & LINK_T) && f.fetches < FETCHES_MAX && uhci_runs(u) && !uhci_came_round(&f, link)) {
        link = link & LINK_Q ? uhci_walk_queue(u, &f, link & LINK_ADDRESS)
                             : uhci_walk_td(u, &f, link & LINK_ADDRESS);
    }
    uhci_note(u, &f, n);
}

/* Walks the frames that are over, as many as one piece of work has room for. */
static void uhci_look(void *opaque)
{
    struct uhci *u = opaque;
    uint64_t over = uhci_frames_over(u);

    if (!uhci_has_work(u))
        return;
    if (over > u->walked + LATE_MAX)
        u->walked = over - LATE_MAX;
    while (u->walked < over && uhci_has_work(u)) {
        uhci_walk_frame(u, u->walked++);
        if (work_spent(uhci_work(u)))
            break;
    }
    if (u->completed || u->was_short)
        u->status |= STS_USBINT;
    uhci_update_irq(u);
    uhci_schedule(u);
}

/* ---- ports ---- */

static bool uhci_all_suspended(const struct uhci *u)
{
    return u->command & CMD_EGSM && !(u->command & CMD_FGR);
}

/* Tells the devices whether their port sleeps. */
static void uhci_update_suspend(struct uhci *u)
{
    for (unsigned i = 0; i < u->bus.ports; i++)
        if (u->bus.devices[i])
            usb_suspend(u->bus.devices[i], uhci_all_suspended(u) ||
                                               (u->ports[i] & PORT_SUSPEND && !(u->ports[i] & PORT_RESUME)));
}

static void uhci_connect(struct uhci *u, unsigned port)
{
    bool low = usb_class_of(u->bus.devices[port])->speed == USB_LOW_SPEED;

    u->ports[port] = PORT_ALWAYS | PORT_CONNECTED | PORT_CONNECT_CHANGE |
                     (low ? PORT_LOW_SPEED | PORT_LINE_DMINUS : PORT_LINE_DPLUS);
}

/* A device that comes, goes or speaks while all is suspended resumes it (guide, 2.1.2, resume detect). */
static void uhci_resume_detected(struct uhci *u)
{
    u->status |= STS_RESUME;
    if (u->command & CMD_EGSM)
        u->command |= CMD_FGR;
    uhci_update_suspend(u);
    uhci_update_irq(u);
}

static void uhci_attached(void *opaque, unsigned port)
{
    struct uhci *u = opaque;

    uhci_connect(u, port);
    if (uhci_all_suspended(u))
        uhci_resume_detected(u);
}

static void uhci_detached(void *opaque, unsigned port)
{
    struct uhci *u = opaque;
    uint16_t enable_change = u->ports[port] & PORT_ENABLED ? PORT_ENABLE_CHANGE : 0;

    u->ports[port] = PORT_ALWAYS | PORT_CONNECT_CHANGE | enable_change;
    if (uhci_all_suspended(u))
        uhci_resume_detected(u);
}

static void uhci_wakeup(void *opaque, unsigned port)
{
    struct uhci *u = opaque;

    u->ports[port] |= PORT_RESUME;
    uhci_resume_detected(u);
}

static void uhci_ready(void *opaque)
{
    struct uhci *u = opaque;

    if (uhci_has_work(u))
        uhci_schedule(u);
}

static const struct usb_host_ops host_ops = {
    .attached = uhci_attached, .detached = uhci_detached, .wakeup = uhci_wakeup, .ready = uhci_ready};

static void uhci_write_port(struct uhci *u, unsigned port, uint16_t value)
{
    uint16_t before = u->ports[port], now;

    now = (before & ~(PORT_WRITABLE | (value & PORT_CLEARABLE))) | (value & PORT_WRITABLE);
    if (!(now & PORT_CONNECTED) || now & PORT_RESET)
        now &= ~(PORT_ENABLED | PORT_SUSPEND | PORT_RESUME);
    if (before & PORT_RESUME && !(now & PORT_RESUME)) /* the end of resume signalling */
        now &= ~PORT_SUSPEND;
    u->ports[port] = now;
    if (now & ~before & PORT_RESET && u->bus.devices[port])
        usb_reset(u->bus.devices[port]);
    uhci_update_suspend(u);
    uhci_expect_work(u);
}

/* ---- resets ---- */

static void uhci_reset_registers(struct uhci *u)
{
    timer_cancel(&u->timer);
    u->command = u->status = u->interrupts = 0;
    u->frame_list = 0;
    u->frame_number = 0;
    u->sofmod = SOFMOD_DEFAULT;
    u->completed = u->was_short = false;
    u->started = 0;
    u->walked = u->busy_until = u->last_control = 0;
    u->active = 0;
}

/* All devices are reset and connect anew. */
static void uhci_reset_ports(struct uhci *u)
{
    for (unsigned i = 0; i < u->bus.ports; i++) {
        u->ports[i] = PORT_ALWAYS;
        if (!u->bus.devices[i])
            continue;
        usb_reset(u->bus.devices[i]);
        uhci_connect(u, i);
    }
}

/* HCRESET and GRESET: the same but that GRESET stays and drives the wires as long as it does. */
static void uhci_reset_all(struct uhci *u)
{
    uhci_reset_registers(u);
    uhci_reset_ports(u);
    uhci_update_irq(u);
}

/* ---- registers ---- */

static void uhci_write_command(struct uhci *u, uint16_t value)
{
    uint16_t before = u->command;

    if (value & CMD_HCRESET) {
        uhci_reset_all(u);
        return;
    }
    if (value & CMD_GRESET) {
        uhci_reset_all(u);
        u->command = CMD_GRESET;
        return;
    }
    if (before & ~value & CMD_RS)
        uhci_stop(u);
    u->command = value & CMD_MASK;
    uhci_update_suspend(u);
    if (value & ~before & CMD_RS)
        uhci_start(u);
    else
        uhci_expect_work(u);
}

static void uhci_write_status(struct uhci *u, uint16_t value)
{
    u->status &= ~(value & STS_CLEARABLE);
    if (value & STS_USBINT)
        u->completed = u->was_short = false;
    uhci_update_irq(u);
}

/* A frame of another length: the run goes on from the present one. */
static void uhci_write_sofmod(struct uhci *u, uint8_t value)
{
    u->frame_number = uhci_frame_number(u);
    u->sofmod = value & SOFMOD_MASK;
    if (uhci_runs(u))
        uhci_start(u);
}

static void uhci_write_word(struct uhci *u, unsigned offset, uint16_t value)
{
    switch (offset) {
    case USBCMD:
        uhci_write_command(u, value);
        break;
    case USBSTS:
        uhci_write_status(u, value);
        break;
    case USBINTR:
        u->interrupts = value & INTR_MASK;
        uhci_update_irq(u);
        break;
    case FRNUM:
        if (!uhci_runs(u))
            u->frame_number = value & FRNUM_MASK;
        break;
    case FLBASEADD:
        u->frame_list = (u->frame_list & 0xFFFF0000) | (value & 0xF000);
        break;
    case FLBASEADD + 2:
        u->frame_list = (u->frame_list & 0xFFFF) | (uint32_t)value << 16;
        break;
    case SOFMOD:
        uhci_write_sofmod(u, value);
        break;
    case PORTSC1:
    case PORTSC1 + 2:
        uhci_write_port(u, (offset - PORTSC1) / 2, value);
        break;
    }
}

static uint16_t uhci_read_word(const struct uhci *u, unsigned offset)
{
    switch (offset) {
    case USBCMD:
        return u->command;
    case USBSTS:
        return u->status | (uhci_runs(u) ? 0 : STS_HALTED);
    case USBINTR:
        return u->interrupts;
    case FRNUM:
        return uhci_frame_number(u);
    case FLBASEADD:
        return u->frame_list;
    case FLBASEADD + 2:
        return u->frame_list >> 16;
    case SOFMOD:
        return u->sofmod;
    case PORTSC1:
    case PORTSC1 + 2:
        return u->ports[(offset - PORTSC1) / 2];
    default:
        return 0; /* drivers count ports up to where bit 7 is clear */
    }
}

static uint64_t uhci_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct uhci *u = opaque;
    uint32_t value = uhci_read_word(u, offset & ~1u) >> 8 * (offset & 1);

    if (size > 1 && !(offset & 1))
        value |= (uint32_t)uhci_read_word(u, offset + 2) << 16;
    return value;
}

/* Words, and doublewords as two; a byte goes to SOFMOD only, which is one (guide, 2.1). */
static void uhci_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    if (offset & 1 || (size == 1 && offset != SOFMOD))
        return;
    uhci_write_word(opaque, offset, value);
    if (size == 4)
        uhci_write_word(opaque, offset + 2, value >> 16);
}

static const struct region_ops uhci_ops = {.read = uhci_read, .write = uhci_write, .max_size = 4};

static void uhci_config_written(struct pci_device *pci_dev, uint8_t offset, unsigned size)
{
    struct uhci *u = (struct uhci *)pci_dev;

    uhci_update_irq(u);
    if (offset <= PCI_COMMAND && offset + size > PCI_COMMAND)
        uhci_expect_work(u);
}

/* ---- life ---- */

static bool uhci_realize(struct device *dev, struct error *err)
{
    struct uhci *u = (struct uhci *)dev;

    u->io = (struct region){.name = "uhci", .size = UHCI_IO_SIZE, .ops = &uhci_ops, .opaque = u};
    pci_add_bar(&u->pci, 4, PCI_BAR_IO, &u->io);
    u->pci.config[SBRN] = SBRN_USB_1_0;
    u->pci.writable[LEGSUP] = LEGSUP_WRITABLE & 0xFF;
    u->pci.writable[LEGSUP + 1] = LEGSUP_WRITABLE >> 8;
    u->pci.clearable[LEGSUP + 1] = LEGSUP_CLEARABLE >> 8;
    u->pci.config_written = uhci_config_written;
    timer_init(&u->timer, &dev->machine->clock, uhci_look, u);
    usb_bus_init(&u->bus, dev, USB_PORTS_MAX, &host_ops, u);
    return true;
}

static void uhci_unrealize(struct device *dev)
{
    struct uhci *u = (struct uhci *)dev;

    timer_cancel(&u->timer);
    usb_bus_destroy(&u->bus);
}

static void uhci_reset(struct device *dev)
{
    struct uhci *u = (struct uhci *)dev;

    pci_set16(&u->pci, LEGSUP, LEGSUP_DEFAULT);
    pci_set16(&u->pci, PCI_STATUS, 0x0280); /* medium DEVSEL timing, fast back-to-back */
    uhci_reset_all(u);
}

static bool uhci_check(const struct device *dev, struct error *err)
{
    const struct uhci *u = (const struct uhci *)dev;

    for (unsigned i = 0; i < u->bus.ports; i++)
        if (!u->bus.devices[i] != !(u->ports[i] & PORT_CONNECTED))
            return error_set(err, "port %u: the state is of another set of USB devices", i + 1);
    return true;
}

static uint64_t uhci_at_most(uint64_t value, uint64_t limit)
{
    return value < limit ? value : limit;
}

/* Frames cannot lie ahead, nor may what is expected be far away. */
static void uhci_loaded(struct device *dev)
{
    struct uhci *u = (struct uhci *)dev;

    u->started = uhci_at_most(u->started, uhci_now(u));
    u->walked = uhci_at_most(u->walked, uhci_frames_over(u));
    u->last_control = uhci_at_most(u->last_control, u->walked);
    u->busy_until = uhci_at_most(u->busy_until, u->walked + BUSY_FRAMES);
    uhci_update_irq(u);
    uhci_schedule(u);
}

static const struct pci_info uhci_info = {
    .vendor = 0x8086, .device = 0x7020, .class_code = 0x0C0300, .revision = 0x01, .interrupt_pin = 4};

static const struct device_class uhci_class = {
    .name = "piix3-usb-uhci",
    .description = "Intel PIIX3 USB controller, UHCI with two ports",
    .bus = &pci_bus_ops,
    .bus_info = &uhci_info,
    .size = sizeof(struct uhci),
    .state = &uhci_state,
    .realize = uhci_realize,
    .unrealize = uhci_unrealize,
    .reset = uhci_reset,
    .check = uhci_check,
    .loaded = uhci_loaded,
};
DEVICE_CLASS(uhci_class);
