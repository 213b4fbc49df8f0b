/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The USB controller and its HID devices, driven through registers and a schedule in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/usbport.h"

enum { MS = 1000000, IRQ = 11 };
enum { GET_STATUS = 0, CLEAR_FEATURE = 1, SET_FEATURE = 3, GET_DESCRIPTOR = 6, GET_CONFIGURATION = 8 };

static struct qtest *q;
static struct usbport u;

static int set_up(void **state)
{
    return 0;
}

static int tear_down(void **state)
{
    qtest_stop(q);
    return 0;
}

static void start(const char *devices)
{
    q = qtest_startf("-machine pc -usb %s", devices);
    usbport_start(&u, q);
    qtest_irq_intercept_in(q, "ioapic");
}

/* The device on port 1 with address 1 and its configuration. */
static void start_configured(const char *device)
{
    start(device);
    usbport_reset_port(&u, 0);
    usbport_configure(&u, 1);
}

static uint16_t port(unsigned nth)
{
    return usbport_read(&u, PORTSC1 + 2 * nth);
}

static void send(const char *events)
{
    json_decref(qtest_qmp_ok(q, "{'execute':'input-send-event','arguments':{'events':[%s]}}", events));
}

static void place(int x, int y)
{
    char events[256];

    snprintf(events, sizeof(events),
             "{'type':'abs','data':{'axis':'x','value':%d}},{'type':'abs','data':{'axis':'y','value':%d}}", x,
             y);
    send(events);
}

static void button(const char *name, bool down)
{
    char events[128];

    snprintf(events, sizeof(events), "{'type':'btn','data':{'button':'%s','down':%s}}", name,
             down ? "true" : "false");
    send(events);
}

static void key(const char *name, bool down)
{
    char events[160];

    snprintf(events, sizeof(events), "{'type':'key','data':{'key':{'type':'qcode','data':'%s'},'down':%s}}",
             name, down ? "true" : "false");
    send(events);
}

/* ---- registers ---- */

static void test_registers_after_reset(void **state)
{
    start("-device usb-tablet");
    usbport_write(&u, USBCMD, CMD_HCRESET);
    assert_int_equal(u.pci.devfn, QPCI_DEVFN(1, 2));
    assert_int_equal(qpci_readl(&u.pci, 0x08), 0x0C030001);
    assert_int_equal(qpci_readb(&u.pci, 0x3D), 4);
    assert_int_equal(qpci_readb(&u.pci, SBRN), 0x10);
    assert_int_equal(qpci_readw(&u.pci, LEGSUP), 0x2000);
    assert_int_equal(qpci_bar_size(&u.pci, 4), 32);
    assert_int_equal(usbport_read(&u, USBCMD), 0);
    assert_int_equal(usbport_read(&u, USBSTS), STS_HALTED);
    assert_int_equal(usbport_read(&u, USBINTR), 0);
    assert_int_equal(usbport_read(&u, FRNUM), 0);
    assert_int_equal(qtest_inl(q, u.io + FLBASEADD), 0);
    assert_int_equal(qtest_inb(q, u.io + SOFMOD), 0x40);
    assert_int_equal(port(0), PORT_ALWAYS | PORT_CONNECTED | PORT_CONNECT_CHANGE | PORT_LINE_DPLUS);
    assert_int_equal(port(1), PORT_ALWAYS);
    assert_int_equal(usbport_read(&u, PORTSC1 + 4) & PORT_ALWAYS, 0); /* there are no more ports */
}

/* The bits that software can and cannot change. */
static void test_register_bits(void **state)
{
    start("");
    usbport_write(&u, USBCMD, 0);
    usbport_write(&u, USBINTR, 0xFFFF);
    assert_int_equal(usbport_read(&u, USBINTR), 0x0F);
    usbport_write(&u, FRNUM, 0xFFFF);
    assert_int_equal(usbport_read(&u, FRNUM), 0x7FF);
    qtest_outl(q, u.io + FLBASEADD, 0xFFFFFFFF);
    assert_int_equal(qtest_inl(q, u.io + FLBASEADD), 0xFFFFF000);
    qtest_outb(q, u.io + SOFMOD, 0xFF);
    assert_int_equal(qtest_inb(q, u.io + SOFMOD), 0x7F);
    usbport_write(&u, PORTSC1, PORT_ENABLED); /* nothing is there to be enabled */
    assert_int_equal(port(0), PORT_ALWAYS);
    qpci_writew(&u.pci, LEGSUP, 0xFFFF);
    assert_int_equal(qpci_readw(&u.pci, LEGSUP), 0x20BF);
    qpci_writew(&u.pci, LEGSUP, 0x8F00); /* Linux takes over */
    assert_int_equal(qpci_readw(&u.pci, LEGSUP), 0);
}

/* FRNUM counts milliseconds of guest time, stands while halted and can then be set. */
static void test_frame_number(void **state)
{
    uint16_t first;

    start("");
    first = usbport_read(&u, FRNUM);
    qtest_clock_step(q, 5 * MS);
    assert_int_equal(usbport_read(&u, FRNUM), first + 5);
    usbport_write(&u, FRNUM, 99);
    assert_int_equal(usbport_read(&u, FRNUM), first + 5);
    usbport_write(&u, USBCMD, 0);
    qtest_clock_step(q, 5 * MS);
    assert_int_equal(usbport_read(&u, FRNUM), first + 5);
    usbport_write(&u, FRNUM, 0x7FE);
    usbport_write(&u, USBCMD, CMD_RS);
    qtest_clock_step(q, 4 * MS);
    assert_int_equal(usbport_read(&u, FRNUM), 2);
}

/* ---- the device ---- */

static void test_descriptors(void **state)
{
    static const uint8_t endpoint[] = {7, 5, 0x81, 3, 8, 0, 10};
    uint8_t data[256], short_answer[8];

    start("-device usb-tablet");
    usbport_reset_port(&u, 0);
    assert_int_equal(port(0) & (PORT_ENABLED | PORT_CONNECT_CHANGE), PORT_ENABLED);
    assert_int_equal(usbport_request(&u, 0, 0x80, GET_DESCRIPTOR, 0x100, 0, short_answer, 8), 8);
    assert_int_equal(short_answer[7], 8); /* packets of the control endpoint */
    usbport_configure(&u, 5);
    assert_int_equal(usbport_request(&u, 5, 0x80, GET_DESCRIPTOR, 0x100, 0, data, 18), 18);
    assert_memory_equal(data, short_answer, 8);
    assert_int_equal(data[17], 1);
    assert_int_equal(usbport_request(&u, 5, 0x80, GET_DESCRIPTOR, 0x200, 0, data, 9), 9);
    assert_int_equal(data[2] | data[3] << 8, 34);
    assert_int_equal(usbport_request(&u, 5, 0x80, GET_DESCRIPTOR, 0x200, 0, data, 34), 34);
    assert_memory_equal(data + 27, endpoint, sizeof(endpoint));
    assert_int_equal(usbport_request(&u, 5, 0x81, GET_DESCRIPTOR, 0x2200, 0, data, data[25]), data[25]);
    assert_int_equal(data[0] | data[1] << 8, 0x0105);
    assert_int_equal(usbport_request(&u, 5, 0x80, GET_CONFIGURATION, 0, 0, data, 1), 1);
    assert_int_equal(data[0], 1);
    assert_int_equal(usbport_request(&u, 5, 0x80, GET_DESCRIPTOR, 0x300, 0, data, 4), 4);
    assert_int_equal(data[2] | data[3] << 8, 0x0409);
}

/* A request that asks for more than there is gets what there is, by a short packet. */
static void test_short_control_transfer(void **state)
{
    uint32_t td;

    start_configured("-device usb-tablet");
    td = u.tds;
    qtest_memwrite(q, u.buffer, (uint8_t[]){0x80, GET_DESCRIPTOR, 0, 1, 0, 0, 64, 0}, 8);
    usbport_td(&u, td, (td + 16) | LINK_VF, TD_ACTIVE, USBPORT_SETUP, 1, 0, 0, 8, u.buffer);
    for (unsigned i = 1; i <= 3; i++)
        usbport_td(&u, td + 16 * i, (td + 16 * (i + 1)) | LINK_VF, TD_ACTIVE | TD_SPD, USBPORT_IN, 1, 0,
                   i & 1, 8, u.buffer + 64 + 8 * i);
    usbport_td(&u, td + 64, LINK_T, TD_ACTIVE, USBPORT_IN, 1, 0, 0, 8, u.buffer + 256);
    usbport_write(&u, USBSTS, STS_CLEARABLE);
    qtest_writel(q, u.control + 4, td);
    qtest_clock_step(q, MS * 2);
    assert_int_equal(usbport_td_control(&u, td + 48) & (TD_ACTIVE | TD_ACTLEN), 1); /* two bytes of 18 */
    assert_true(usbport_td_control(&u, td + 64) & TD_ACTIVE);
    assert_int_equal(qtest_readl(q, u.control + 4) & ~LINK_VF, td + 48); /* the queue stays there */
    assert_int_equal(usbport_read(&u, USBSTS), STS_USBINT);
    assert_true(qtest_irq(q, IRQ));
    usbport_write(&u, USBINTR, INTR_IOC);
    assert_false(qtest_irq(q, IRQ));
    usbport_write(&u, USBINTR, INTR_SHORT);
    assert_true(qtest_irq(q, IRQ));
    usbport_write(&u, USBSTS, STS_USBINT);
    assert_false(qtest_irq(q, IRQ));
}

static void test_stall(void **state)
{
    uint8_t data[8];

    start_configured("-device usb-tablet");
    assert_int_equal(usbport_request(&u, 1, 0x80, GET_DESCRIPTOR, 0x1500, 0, data, 8), USBPORT_STALLED);
    assert_int_equal(usbport_request(&u, 1, 0x40, 7, 0, 0, NULL, 0), USBPORT_STALLED);
    assert_int_equal(usbport_request(&u, 1, 0x80, GET_STATUS, 0, 0, data, 2), 2); /* the next goes */
    /* An endpoint that is halted, and no longer */
    assert_int_equal(usbport_request(&u, 1, 0x02, SET_FEATURE, 0, 0x81, NULL, 0), 0);
    assert_int_equal(usbport_request(&u, 1, 0x82, GET_STATUS, 0, 0x81, data, 2), 2);
    assert_int_equal(data[0], 1);
    usbport_write(&u, USBSTS, STS_CLEARABLE);
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), USBPORT_STALLED);
    assert_int_equal(usbport_read(&u, USBSTS), STS_ERROR | STS_USBINT);
    assert_int_equal(usbport_request(&u, 1, 0x02, CLEAR_FEATURE, 0, 0x81, NULL, 0), 0);
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), USBPORT_PENDING);
}

/* Nobody answers: three times, then the descriptor is given up. */
static void test_timeout(void **state)
{
    uint8_t data[8];

    start_configured("-device usb-tablet");
    assert_int_equal(usbport_request(&u, 9, 0x80, GET_STATUS, 0, 0, data, 2), USBPORT_TIMEOUT);
    usbport_td(&u, u.interrupt_td, LINK_T, TD_ACTIVE | TD_CERR | TD_IOC, USBPORT_IN, 9, 1, 0, 8,
               u.interrupt_buffer);
    qtest_writel(q, u.interrupts + 4, u.interrupt_td);
    usbport_write(&u, USBSTS, STS_CLEARABLE);
    qtest_clock_step(q, 60 * MS);
    assert_int_equal(usbport_td_control(&u, u.interrupt_td) &
                         (TD_ACTIVE | TD_STALLED | TD_CERR | TD_CRC_TIME),
                     TD_STALLED | TD_CRC_TIME);
    assert_int_equal(usbport_read(&u, USBSTS), STS_ERROR | STS_USBINT);
    /* Without a count it is tried for ever; a device of another speed does not hear it. */
    usbport_td(&u, u.interrupt_td, LINK_T, TD_ACTIVE | TD_LS, USBPORT_IN, 1, 1, 0, 8, u.interrupt_buffer);
    qtest_writel(q, u.interrupts + 4, u.interrupt_td);
    qtest_clock_step(q, 60 * MS);
    assert_int_equal(usbport_td_control(&u, u.interrupt_td) & (TD_ACTIVE | TD_CRC_TIME),
                     TD_ACTIVE | TD_CRC_TIME);
}

static void test_babble(void **state)
{
    uint8_t data[8];

    start_configured("-device usb-tablet");
    usbport_poll(&u, 1, data, 8, 40);
    place(1, 2);
    assert_int_equal(usbport_poll(&u, 1, data, 3, 40), USBPORT_BABBLE);
    assert_int_equal(usbport_td_control(&u, u.interrupt_td) & (TD_ACTIVE | TD_STALLED), TD_STALLED);
}

/* ---- input ---- */

static void test_tablet(void **state)
{
    uint8_t data[8];

    start_configured("-device usb-tablet");
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), USBPORT_PENDING);
    assert_true(usbport_td_control(&u, u.interrupt_td) & TD_NAK);
    usbport_write(&u, USBSTS, STS_CLEARABLE);
    place(0x1234, 0x7FFF);
    qtest_clock_step(q, 8 * MS);
    assert_int_equal(usbport_answer(&u, data, 8), 6);
    assert_memory_equal(data, ((uint8_t[]){0, 0x34, 0x12, 0xFF, 0x7F, 0}), 6);
    assert_int_equal(usbport_read(&u, USBSTS), STS_USBINT);
    assert_true(qtest_irq(q, IRQ));
    usbport_write(&u, USBSTS, STS_USBINT);
    assert_false(qtest_irq(q, IRQ));
    /* Positions give way to newer ones, changes of buttons are told with their places. */
    place(1, 1);
    place(2, 2);
    button("left", true);
    place(3, 3);
    place(4, 4);
    button("left", false);
    button("wheel-down", true);
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), 6);
    assert_memory_equal(data, ((uint8_t[]){0, 2, 0, 2, 0, 0}), 6);
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), 6);
    assert_memory_equal(data, ((uint8_t[]){1, 2, 0, 2, 0, 0}), 6);
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), 6);
    assert_memory_equal(data, ((uint8_t[]){1, 4, 0, 4, 0, 0}), 6);
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), 6);
    assert_memory_equal(data, ((uint8_t[]){0, 4, 0, 4, 0, 0}), 6);
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), 6);
    assert_memory_equal(data, ((uint8_t[]){0, 4, 0, 4, 0, 0xFF}), 6);
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), USBPORT_PENDING);
}

static void test_mouse(void **state)
{
    uint8_t data[8];

    start_configured("-device usb-mouse");
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), USBPORT_PENDING);
    send("{'type':'rel','data':{'axis':'x','value':200}},{'type':'rel','data':{'axis':'y','value':-5}}");
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), 4);
    assert_memory_equal(data, ((uint8_t[]){0, 127, (uint8_t)-5, 0}), 4);
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), 4);
    assert_memory_equal(data, ((uint8_t[]){0, 73, 0, 0}), 4);
    button("middle", true);
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), 4);
    assert_memory_equal(data, ((uint8_t[]){4, 0, 0, 0}), 4);
    /* The boot protocol has three bytes. */
    assert_int_equal(usbport_request(&u, 1, 0x21, 0x0B, 0, 0, NULL, 0), 0);
    button("middle", false);
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), 3);
    assert_memory_equal(data, ((uint8_t[]){0, 0, 0}), 3);
}

static void test_keyboard(void **state)
{
    uint8_t data[8], leds = 2; /* caps lock */

    start_configured("-device usb-kbd");
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), USBPORT_PENDING);
    key("shift", true);
    key("a", true);
    key("up", true);
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), 8);
    assert_memory_equal(data, ((uint8_t[]){2, 0, 4, 0, 0, 0, 0, 0}), 8);
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), 8);
    assert_memory_equal(data, ((uint8_t[]){2, 0, 4, 0x52, 0, 0, 0, 0}), 8);
    key("a", false);
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), 8);
    assert_memory_equal(data, ((uint8_t[]){2, 0, 0x52, 0, 0, 0, 0, 0}), 8);
    /* Seven keys are more than a report can tell. */
    for (const char *name = "bcdefg"; *name; name++) {
        key((char[]){*name, 0}, true);
        assert_int_equal(usbport_poll(&u, 1, data, 8, 40), 8);
    }
    assert_memory_equal(data, ((uint8_t[]){2, 0, 1, 1, 1, 1, 1, 1}), 8);
    assert_int_equal(usbport_request(&u, 1, 0x21, 9, 0x0200, 0, &leds, 1), 1);
    assert_int_equal(usbport_request(&u, 1, 0xA1, 1, 0x0100, 0, data, 8), 8);
    assert_memory_equal(data, ((uint8_t[]){2, 0, 1, 1, 1, 1, 1, 1}), 8);
}

/* A modifier goes with the press behind it, never with the one before; what changes twice is told twice. */
static void test_keyboard_reports_keep_the_order(void **state)
{
    static const uint8_t wanted[][3] = {{2, 4}, {0, 0}, {2, 5}, {2, 0}, {2, 5},
                                        {1, 6}, {1, 0}, {1, 6}, {0, 0}};
    uint8_t data[8];

    start_configured("-device usb-kbd");
    usbport_poll(&u, 1, data, 8, 40);
    key("shift", true);
    key("a", true);
    key("a", false);
    key("shift", false);
    key("shift", true);
    key("b", true);
    key("b", false);
    key("b", true);
    key("b", false);
    key("shift", false);
    key("ctrl", true);
    key("c", true);
    key("c", false);
    key("c", true);
    key("c", false);
    key("ctrl", false);
    for (unsigned i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        assert_int_equal(usbport_poll(&u, 1, data, 8, 40), 8);
        assert_int_equal(data[0], wanted[i][0]);
        assert_int_equal(data[2], wanted[i][1]);
        assert_int_equal(data[3], 0);
    }
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), USBPORT_PENDING);
}

/* SeaBIOS repeats keys by the idle rate: the same report again and again. */
static void test_idle_rate(void **state)
{
    uint8_t data[8];

    start_configured("-device usb-kbd");
    assert_int_equal(usbport_request(&u, 1, 0x21, 0x0A, 8 << 8, 0, NULL, 0), 0);
    assert_int_equal(usbport_request(&u, 1, 0xA1, 0x02, 0, 0, data, 1), 1);
    assert_int_equal(data[0], 8);
    assert_int_equal(usbport_poll(&u, 1, data, 8, 10), USBPORT_PENDING);
    qtest_clock_step(q, 40 * MS);
    assert_int_equal(usbport_answer(&u, data, 8), 8);
    assert_int_equal(usbport_poll(&u, 1, data, 8, 10), USBPORT_PENDING);
    qtest_clock_step(q, 40 * MS);
    assert_int_equal(usbport_answer(&u, data, 8), 8);
}

/* ---- who gets the input ---- */

/* Name and absoluteness of the pointer that gets the events. */
static void expect_pointer(const char *name, bool absolute)
{
    json_t *mice = qtest_qmp_ok(q, "{'execute':'query-mice'}"), *mouse, *current = NULL;
    size_t i;

    json_array_foreach(mice, i, mouse)
    {
        if (json_is_true(json_object_get(mouse, "current")))
            current = mouse;
    }
    assert_non_null(current);
    assert_non_null(strstr(json_string_value(json_object_get(current, "name")), name));
    assert_int_equal(json_is_true(json_object_get(current, "absolute")), absolute);
    json_decref(mice);
}

/* The tablet has the pointer from when it is asked until it is reset or unplugged. */
static void test_pointer_goes_to_who_is_asked(void **state)
{
    uint8_t data[8];

    start_configured("-device usb-tablet,id=t");
    expect_pointer("PS/2", false);
    usbport_poll(&u, 1, data, 8, 40);
    expect_pointer("Tablet", true);
    json_decref(
        qtest_qmp_ok(q, "{'execute':'human-monitor-command','arguments':{'command-line':'mouse_set 1'}}"));
    expect_pointer("PS/2", false);
    json_decref(
        qtest_qmp_ok(q, "{'execute':'human-monitor-command','arguments':{'command-line':'mouse_set 2'}}"));
    expect_pointer("Tablet", true);
    usbport_reset_port(&u, 0);
    expect_pointer("PS/2", false);
    usbport_configure(&u, 1);
    usbport_poll(&u, 1, data, 8, 40);
    expect_pointer("Tablet", true);
    json_decref(qtest_qmp_ok(q, "{'execute':'device_del','arguments':{'id':'t'}}"));
    expect_pointer("PS/2", false);
}

/* What a person types, and what is answered. */
static void typed(const char *line, const char *word)
{
    json_t *answer =
        qtest_qmp_ok(q, "{'execute':'human-monitor-command','arguments':{'command-line':'%s'}}", line);

    if (word ? !strstr(json_string_value(answer), word) : *json_string_value(answer))
        fail_msg("%s: %s", line, json_string_value(answer));
    json_decref(answer);
}

static void test_monitor(void **state)
{
    uint8_t data[8];

    start_configured("-device usb-mouse,id=m");
    usbport_poll(&u, 1, data, 8, 40);
    typed("info mice", "* Mouse #2: hvm-dm USB Mouse\r\n");
    typed("info usb", "  Device 0.1, Port 1, Speed 12 Mb/s, Product hvm-dm USB Mouse, ID: m\r\n");
    typed("mouse_move 5 7 1", NULL);
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), 4);
    assert_memory_equal(data, ((uint8_t[]){0, 5, 7, 0xFF}), 4);
    typed("mouse_button 5", NULL);
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), 4);
    assert_memory_equal(data, ((uint8_t[]){3, 0, 0, 0}), 4); /* left and right */
    typed("mouse_button 0", NULL);
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), 4);
    typed("mouse_sync", NULL);
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), 4);
    assert_memory_equal(data, ((uint8_t[]){0, 0x81, 0x81, 0}), 4);
    typed("mouse_move up", "how far");
    typed("mouse_set 77", "no such pointer");
    typed("device_add usb-tablet,id=t,port=2", NULL);
    typed("info usb", "  Device 0.0, Port 2, Speed 12 Mb/s, Product hvm-dm USB Tablet, ID: t\r\n");
    typed("device_add usb-tablet,port=2", "free place");
    typed("device_del t", NULL);
    typed("device_del t", "not found");
}

/* ---- hot-plug ---- */

static void test_hot_plug(void **state)
{
    json_t *event;
    uint8_t data[8];

    start("");
    assert_int_equal(port(0), PORT_ALWAYS);
    json_decref(
        qtest_qmp_ok(q, "{'execute':'device_add','arguments':{'driver':'usb-tablet','id':'t','port':2}}"));
    assert_int_equal(port(0), PORT_ALWAYS);
    assert_int_equal(port(1), PORT_ALWAYS | PORT_CONNECTED | PORT_CONNECT_CHANGE | PORT_LINE_DPLUS);
    usbport_reset_port(&u, 1);
    usbport_configure(&u, 7);
    place(5, 6);
    usbport_poll(&u, 7, data, 8, 40);
    place(5, 6);
    assert_int_equal(usbport_poll(&u, 7, data, 8, 40), 6);
    json_decref(qtest_qmp_ok(q, "{'execute':'device_del','arguments':{'id':'t'}}"));
    event = qtest_qmp_event(q, "DEVICE_DELETED");
    assert_string_equal(json_string_value(json_object_get(json_object_get(event, "data"), "device")), "t");
    json_decref(event);
    assert_int_equal(port(1), PORT_ALWAYS | PORT_CONNECT_CHANGE | PORT_ENABLE_CHANGE);
    assert_int_equal(usbport_poll(&u, 7, data, 8, 40), USBPORT_PENDING);
    json_decref(qtest_qmp_ok(q, "{'execute':'device_add','arguments':{'driver':'usb-kbd','id':'t'}}"));
    assert_true(port(0) & PORT_CONNECTED);
    json_decref(qtest_qmp_ok(q, "{'execute':'device_add','arguments':{'driver':'usb-mouse'}}"));
    event = qtest_qmp(q, "{'execute':'device_add','arguments':{'driver':'usb-mouse'}}");
    assert_non_null(json_object_get(event, "error")); /* both ports are taken */
    json_decref(event);
}

/* ---- sleep ---- */

/* A suspended port is silent, and its device wakes the guest if it may. */
static void test_port_suspend_and_remote_wakeup(void **state)
{
    uint8_t data[8];

    start_configured("-device usb-tablet");
    usbport_poll(&u, 1, data, 8, 40);
    usbport_write(&u, PORTSC1, PORT_ENABLED | PORT_SUSPEND);
    usbport_write(&u, USBSTS, STS_CLEARABLE);
    place(1, 2);
    qtest_clock_step(q, 40 * MS);
    assert_int_equal(usbport_read(&u, USBSTS), 0); /* not allowed to */
    usbport_write(&u, PORTSC1, PORT_ENABLED | PORT_SUSPEND | PORT_RESUME);
    qtest_clock_step(q, 20 * MS);
    usbport_write(&u, PORTSC1, PORT_ENABLED);
    assert_int_equal(port(0) & (PORT_ENABLED | PORT_SUSPEND | PORT_RESUME), PORT_ENABLED);
    qtest_clock_step(q, 40 * MS);
    assert_int_equal(usbport_answer(&u, data, 8), 6); /* it was only late */

    assert_int_equal(usbport_request(&u, 1, 0x00, SET_FEATURE, 1, 0, NULL, 0), 0);
    usbport_ask(&u, 1, 8);
    usbport_write(&u, PORTSC1, PORT_ENABLED | PORT_SUSPEND);
    place(3, 4);
    assert_int_equal(usbport_read(&u, USBSTS), STS_RESUME);
    assert_true(qtest_irq(q, IRQ));
    assert_true(port(0) & PORT_RESUME);
    usbport_write(&u, USBSTS, STS_RESUME);
    assert_false(qtest_irq(q, IRQ));
    usbport_write(&u, PORTSC1, PORT_ENABLED); /* after 20 ms */
    assert_int_equal(port(0) & (PORT_SUSPEND | PORT_RESUME), 0);
    qtest_clock_step(q, 40 * MS);
    assert_int_equal(usbport_answer(&u, data, 8), 6);
    assert_int_equal(data[1], 3);
}

/* Global suspend: as Linux leaves an idle root hub. */
static void test_global_suspend(void **state)
{
    uint8_t data[8];

    start_configured("-device usb-tablet");
    usbport_poll(&u, 1, data, 8, 40);
    assert_int_equal(usbport_request(&u, 1, 0x00, SET_FEATURE, 1, 0, NULL, 0), 0);
    usbport_ask(&u, 1, 8);
    usbport_write(&u, USBCMD, CMD_CF | CMD_EGSM);
    place(3, 4);
    assert_int_equal(usbport_read(&u, USBSTS), STS_RESUME | STS_HALTED);
    assert_true(usbport_read(&u, USBCMD) & CMD_FGR);
    assert_true(qtest_irq(q, IRQ));
    usbport_write(&u, USBSTS, STS_RESUME);
    usbport_write(&u, USBCMD, CMD_CF); /* the end of resume */
    usbport_write(&u, PORTSC1, PORT_ENABLED);
    usbport_write(&u, USBCMD, CMD_RS | CMD_CF);
    qtest_clock_step(q, 40 * MS);
    assert_int_equal(usbport_answer(&u, data, 8), 6);
    /* A device that is plugged in resumes as well. */
    usbport_write(&u, USBCMD, CMD_CF | CMD_EGSM);
    json_decref(qtest_qmp_ok(q, "{'execute':'device_add','arguments':{'driver':'usb-kbd'}}"));
    assert_true(usbport_read(&u, USBSTS) & STS_RESUME);
    assert_true(qtest_irq(q, IRQ));
}

/* How many times within a second of guest time the machine has something to do. */
static unsigned wakeups(void)
{
    int64_t now = qtest_clock_step(q, 0), end = now + 1000 * (int64_t)MS, next;
    unsigned count = 0;

    while ((next = qtest_clock_step_next(q)) > now && next < end) {
        now = next;
        count++;
    }
    return count;
}

/* Nothing ticks while the port sleeps, little while an idle tablet is asked, and nothing for an empty hub. */
static void test_idle_costs_little(void **state)
{
    uint8_t data[8];
    unsigned asleep, asked;

    start_configured("-device usb-tablet");
    usbport_poll(&u, 1, data, 8, 2000);
    asked = wakeups();
    usbport_write(&u, PORTSC1, PORT_ENABLED | PORT_SUSPEND);
    asleep = wakeups();
    assert_in_range(asked - asleep, 1, 33);
    usbport_write(&u, USBCMD, 0);
    assert_int_equal(wakeups(), asleep);
    usbport_write(&u, PORTSC1, 0);
    usbport_write(&u, USBCMD, CMD_RS);
    assert_int_equal(wakeups(), asleep);
}

/* An endpoint is asked in the frames that lead to it only, and a report is not later than the next of them.
 */
static void test_poll_interval(void **state)
{
    uint8_t data[8];
    int64_t before, after = 0;

    start_configured("-device usb-tablet");
    for (unsigned i = 0; i < 1024; i++)
        if (i % 8)
            qtest_writel(q, u.list + 4 * i, LINK_T);
    usbport_poll(&u, 1, data, 8, 3000);
    place(7, 7);
    before = qtest_clock_step(q, 0);
    while (usbport_answer(&u, data, 8) == USBPORT_PENDING)
        after = qtest_clock_step(q, MS);
    assert_int_equal(data[1], 7);
    assert_in_range(after - before, MS, 9 * MS);
    assert_int_equal((usbport_read(&u, FRNUM) - 1) % 8, 0);
}

/* ---- the schedules of other systems' drivers ---- */

static void queue_head(uint32_t at, uint32_t link, uint32_t element)
{
    qtest_writel(q, at, link);
    qtest_writel(q, at + 4, element);
}

/* The device as it is found with that schedule: asked for its descriptors, configured, asked for a report. */
static void expect_tablet_works(unsigned address)
{
    uint8_t data[64];

    usbport_configure(&u, address);
    assert_int_equal(usbport_request(&u, address, 0x80, GET_DESCRIPTOR, 0x100, 0, data, 18), 18);
    assert_int_equal(usbport_request(&u, address, 0x80, GET_DESCRIPTOR, 0x200, 0, data, 34), 34);
    assert_int_equal(usbport_poll(&u, address, data, 8, 40), USBPORT_PENDING);
    place(0x0102, 0x0304);
    qtest_clock_step(q, 140 * MS);
    assert_int_equal(usbport_answer(&u, data, 8), 6);
    assert_memory_equal(data, ((uint8_t[]){0, 2, 1, 4, 3, 0}), 6);
}

/*
 * OpenBSD and FreeBSD (sys/dev/usb/uhci.c, uhci_init and uhci_portreset): a global reset of 50 ms, then of
 * the controller; each frame leads by an inactive isochronous descriptor to a tree of interrupt queues, which
 * ends in low speed control, control, bulk and a last queue with a descriptor that never is active; that may
 * lead back.
 */
static void test_the_bsds(void **state)
{
    uint32_t iso, tree, low, control, bulk, last, dummy;

    start("-device usb-tablet");
    usbport_write(&u, USBINTR, 0);
    usbport_write(&u, USBCMD, CMD_GRESET);
    qtest_clock_step(q, 50 * MS);
    usbport_write(&u, USBCMD, 0);
    usbport_write(&u, USBCMD, CMD_HCRESET);
    qtest_clock_step(q, MS);
    assert_false(usbport_read(&u, USBCMD) & CMD_HCRESET);
    assert_true(usbport_read(&u, USBSTS) & STS_HALTED);
    iso = qtest_alloc(q, 128 * 16, 16);
    tree = qtest_alloc(q, 256 * 16, 16);
    low = qtest_alloc(q, 16, 16);
    control = qtest_alloc(q, 16, 16);
    bulk = qtest_alloc(q, 16, 16);
    last = qtest_alloc(q, 16, 16);
    dummy = qtest_alloc(q, 16, 16);
    usbport_td(&u, dummy, LINK_T, 0, 0, 0, 0, 0, 1, 0);
    queue_head(last, control | LINK_Q, dummy); /* bandwidth is reclaimed */
    queue_head(bulk, last | LINK_Q, LINK_T);
    queue_head(control, bulk | LINK_Q, LINK_T);
    queue_head(low, control | LINK_Q, LINK_T);
    for (unsigned bit = 128; bit; bit /= 2)
        for (unsigned x = bit; x < 2 * bit; x++)
            queue_head(tree + 16 * x, (tree + 16 * ((x ^ bit) | bit / 2)) | LINK_Q, LINK_T);
    queue_head(tree, low | LINK_Q, LINK_T);
    for (unsigned i = 0; i < 128; i++)
        usbport_td(&u, iso + 16 * i, (tree + 16 * (128 + i)) | LINK_Q, TD_IOS, 0, 0, 0, 0, 1, 0);
    for (unsigned i = 0; i < 1024; i++)
        qtest_writel(q, u.list + 4 * i, iso + 16 * (i % 128));
    usbport_write(&u, FRNUM, 0);
    qtest_outb(q, u.io + SOFMOD, 0x40);
    qtest_outl(q, u.io + FLBASEADD, u.list);
    usbport_write(&u, USBINTR, INTR_MASK);
    usbport_write(&u, USBCMD, CMD_MAXP | CMD_RS);
    qtest_clock_step(q, 10 * MS);
    assert_false(usbport_read(&u, USBSTS) & STS_HALTED);
    /* uhci_portreset: the changes are cleared one after the other until the port is enabled. */
    usbport_write(&u, PORTSC1, (port(0) & 0xEF5) | PORT_RESET);
    qtest_clock_step(q, 50 * MS);
    usbport_write(&u, PORTSC1, port(0) & 0xEF5 & ~PORT_RESET);
    for (unsigned i = 0; i < 10 && !(port(0) & PORT_ENABLED); i++) {
        if (port(0) & PORT_CLEARABLE)
            usbport_write(&u, PORTSC1, port(0) & (0xEF5 | PORT_CLEARABLE));
        else
            usbport_write(&u, PORTSC1, (port(0) & 0xEF5) | PORT_ENABLED);
    }
    assert_true(port(0) & PORT_ENABLED);
    u.control = control;
    u.interrupts = tree + 16 * 8 + 16 * 3; /* every 16 ms */
    expect_tablet_works(1);
}

/*
 * Linux (drivers/usb/host/uhci-hcd.c and uhci-q.c): BIOS hand-over by LEGSUP, a skeleton of queues for
 * intervals of 1 to 128 ms, asynchronous ones behind it, the last of which holds an inactive descriptor or
 * leads back.
 */
static void test_linux(void **state)
{
    uint32_t skeleton, term, async, dummy;

    start("-device usb-tablet");
    qpci_writew(&u.pci, LEGSUP, 0x8F00);
    usbport_write(&u, USBCMD, CMD_HCRESET);
    assert_false(usbport_read(&u, USBCMD) & CMD_HCRESET);
    usbport_write(&u, USBINTR, 0);
    usbport_write(&u, USBCMD, 0);
    skeleton = qtest_alloc(q, 8 * 16, 16); /* of 128, 64, ... 1 ms */
    async = qtest_alloc(q, 16, 16);
    term = qtest_alloc(q, 16, 16);
    dummy = qtest_alloc(q, 16, 16);
    usbport_td(&u, dummy, LINK_T, 0, USBPORT_IN, 0x7F, 0, 0, 0, 0);
    queue_head(term, async | LINK_Q, dummy);
    queue_head(async, term | LINK_Q, LINK_T);
    for (unsigned i = 0; i < 8; i++)
        queue_head(skeleton + 16 * i, (i < 7 ? skeleton + 16 * 7 : async) | LINK_Q, LINK_T);
    for (unsigned i = 0; i < 1024; i++) {
        unsigned zeros = i % 128 ? __builtin_ctz(i % 128) : 7;

        qtest_writel(q, u.list + 4 * i, (skeleton + 16 * (7 - zeros)) | LINK_Q);
    }
    qtest_outb(q, u.io + SOFMOD, 64);
    qtest_outl(q, u.io + FLBASEADD, u.list);
    usbport_write(&u, FRNUM, 0);
    qpci_writew(&u.pci, LEGSUP, 0x2000);
    usbport_write(&u, USBCMD, CMD_CF);
    usbport_write(&u, USBINTR, INTR_MASK);
    usbport_write(&u, USBCMD, CMD_RS | CMD_CF | CMD_MAXP);
    assert_true(port(0) & PORT_CONNECT_CHANGE);
    usbport_write(&u, PORTSC1, PORT_CONNECT_CHANGE);
    usbport_write(&u, PORTSC1, PORT_RESET);
    qtest_clock_step(q, 60 * MS);
    usbport_write(&u, PORTSC1, 0);
    usbport_write(&u, PORTSC1, PORT_CLEARABLE);
    usbport_write(&u, PORTSC1, PORT_ENABLED);
    u.control = async;
    u.interrupts = skeleton + 16 * 4; /* every 8 ms */
    expect_tablet_works(2);
    /* The root hub goes to sleep: suspended, then stopped; what connects wakes it. */
    usbport_write(&u, PORTSC1, PORT_ENABLED | PORT_SUSPEND);
    usbport_write(&u, USBCMD, CMD_EGSM | CMD_CF);
    usbport_write(&u, USBINTR, INTR_RESUME);
    assert_true(usbport_read(&u, USBSTS) & STS_HALTED);
    assert_false(qtest_irq(q, IRQ));
    json_decref(qtest_qmp_ok(q, "{'execute':'device_add','arguments':{'driver':'usb-kbd'}}"));
    assert_true(usbport_read(&u, USBSTS) & STS_RESUME);
    assert_true(qtest_irq(q, IRQ));
    usbport_write(&u, USBSTS, STS_RESUME);
    usbport_write(&u, USBCMD, CMD_FGR | CMD_EGSM | CMD_CF);
    qtest_clock_step(q, 20 * MS);
    usbport_write(&u, USBCMD, CMD_CF);
    assert_false(usbport_read(&u, USBCMD) & CMD_FGR);
    usbport_write(&u, USBCMD, CMD_RS | CMD_CF | CMD_MAXP);
    assert_true(port(1) & PORT_CONNECT_CHANGE);
}

/* ---- hostile schedules ---- */

static void expect_alive(void)
{
    usbport_start(&u, q);
    usbport_reset_port(&u, 0);
    usbport_configure(&u, 1);
}

/* Rings of queues and descriptors, with and without work in them. */
static void test_loops(void **state)
{
    uint32_t queue, td;

    start_configured("-device usb-tablet");
    queue = u.interrupts;
    td = u.interrupt_td;
    /* A queue that links to itself, then two that link to one another: as Linux reclaims bandwidth */
    qtest_writel(q, queue, queue | LINK_Q);
    qtest_clock_step(q, 20 * MS);
    qtest_writel(q, queue, u.control | LINK_Q);
    qtest_clock_step(q, 20 * MS);
    expect_alive();
    /* A queue within itself */
    qtest_writel(q, u.interrupts + 4, u.interrupts | LINK_Q);
    qtest_clock_step(q, 20 * MS);
    expect_alive();
    /* A descriptor that links to itself, done and active */
    td = u.interrupt_td;
    usbport_td(&u, td, td, 0, USBPORT_IN, 1, 1, 0, 8, u.interrupt_buffer);
    qtest_writel(q, u.interrupts, td);
    qtest_clock_step(q, 20 * MS);
    usbport_td(&u, td, td | LINK_VF, TD_ACTIVE, USBPORT_IN, 1, 1, 0, 8, u.interrupt_buffer);
    qtest_writel(q, u.interrupts + 4, td);
    place(1, 1);
    qtest_clock_step(q, 20 * MS);
    expect_alive();
    /* Descriptors that write over themselves: the buffer is the descriptor. */
    td = u.interrupt_td;
    usbport_td(&u, td, td | LINK_VF, TD_ACTIVE, USBPORT_IN, 1, 0, 0, 8, td);
    qtest_writel(q, u.interrupts + 4, td);
    qtest_clock_step(q, 20 * MS);
    expect_alive();
}

/* Work behind a ring is done as often as the frame has time for it. */
static void test_ring_with_work(void **state)
{
    uint8_t data[34];

    start_configured("-device usb-tablet");
    qtest_writel(q, u.interrupts, u.control | LINK_Q);
    assert_int_equal(usbport_request(&u, 1, 0x80, GET_DESCRIPTOR, 0x200, 0, data, 34), 34);
}

/* One descriptor a frame and queue without LINK_VF, but all in one frame by way of a ring. */
static void test_breadth_first(void **state)
{
    uint32_t td;

    start_configured("-device usb-tablet");
    td = u.tds;
    qtest_memwrite(q, u.buffer, (uint8_t[]){0x80, GET_STATUS, 0, 0, 0, 0, 2, 0}, 8);
    usbport_td(&u, td, td + 16, TD_ACTIVE, USBPORT_SETUP, 1, 0, 0, 8, u.buffer);
    usbport_td(&u, td + 16, td + 32, TD_ACTIVE, USBPORT_IN, 1, 0, 1, 2, u.buffer + 64);
    usbport_td(&u, td + 32, LINK_T, TD_ACTIVE, USBPORT_OUT, 1, 0, 1, 0, 0);
    qtest_writel(q, u.control + 4, td);
    qtest_clock_step(q, 1 * MS);
    assert_false(usbport_td_control(&u, td) & TD_ACTIVE);
    assert_true(usbport_td_control(&u, td + 16) & TD_ACTIVE);
    qtest_clock_step(q, 1 * MS);
    assert_false(usbport_td_control(&u, td + 16) & TD_ACTIVE);
    assert_true(usbport_td_control(&u, td + 32) & TD_ACTIVE);
    qtest_writel(q, td + 32 + 4, 0);
    qtest_writel(q, u.interrupts, u.control | LINK_Q);
    usbport_td(&u, td, td + 16, TD_ACTIVE, USBPORT_SETUP, 1, 0, 0, 8, u.buffer);
    usbport_td(&u, td + 16, td + 32, TD_ACTIVE, USBPORT_IN, 1, 0, 1, 2, u.buffer + 64);
    usbport_td(&u, td + 32, LINK_T, TD_ACTIVE, USBPORT_OUT, 1, 0, 1, 0, 0);
    qtest_writel(q, u.control + 4, td);
    qtest_clock_step(q, 1 * MS);
    assert_false(usbport_td_control(&u, td + 32) & TD_ACTIVE);
}

/* What cannot be: the controller halts and says so. */
static void test_schedule_errors(void **state)
{
    start_configured("-device usb-tablet");
    /* Neither IN, OUT nor SETUP */
    usbport_td(&u, u.interrupt_td, LINK_T, TD_ACTIVE, 0x96, 1, 1, 0, 8, u.interrupt_buffer);
    qtest_writel(q, u.interrupts + 4, u.interrupt_td);
    qtest_clock_step(q, 20 * MS);
    assert_int_equal(usbport_read(&u, USBSTS), STS_PROCESS_ERROR | STS_HALTED);
    assert_false(usbport_read(&u, USBCMD) & CMD_RS);
    usbport_write(&u, USBINTR, 0);
    assert_true(qtest_irq(q, IRQ)); /* cannot be masked */
    expect_alive();
    /* More bytes than a packet can have */
    usbport_td(&u, u.interrupt_td, LINK_T, TD_ACTIVE, USBPORT_IN, 1, 1, 0, 1281, u.interrupt_buffer);
    qtest_writel(q, u.interrupts + 4, u.interrupt_td);
    qtest_clock_step(q, 20 * MS);
    assert_int_equal(usbport_read(&u, USBSTS), STS_PROCESS_ERROR | STS_HALTED);
    expect_alive();
    /* Memory that is none: the list, a queue, a descriptor, a buffer; and the screen's */
    qtest_writel(q, u.list + 4 * ((usbport_read(&u, FRNUM) + 5) % 1024), 0xF0000000);
    qtest_clock_step(q, 40 * MS);
    assert_int_equal(usbport_read(&u, USBSTS), STS_HOST_ERROR | STS_HALTED);
    expect_alive();
    qtest_writel(q, u.interrupts + 4, 0xFFFFFFF0);
    qtest_clock_step(q, 40 * MS);
    assert_int_equal(usbport_read(&u, USBSTS), STS_HOST_ERROR | STS_HALTED);
    expect_alive();
    usbport_td(&u, u.interrupt_td, LINK_T, TD_ACTIVE, USBPORT_OUT, 1, 0, 0, 8, 0xA0000);
    qtest_writel(q, u.interrupts + 4, u.interrupt_td);
    qtest_clock_step(q, 40 * MS);
    assert_int_equal(usbport_read(&u, USBSTS), STS_HOST_ERROR | STS_HALTED);
    expect_alive();
}

/* Packets of the control endpoint in an order that no driver has. */
static void test_control_out_of_order(void **state)
{
    static const unsigned pids[] = {USBPORT_IN, USBPORT_OUT, USBPORT_SETUP, USBPORT_OUT,   USBPORT_OUT,
                                    USBPORT_IN, USBPORT_IN,  USBPORT_SETUP, USBPORT_SETUP, USBPORT_OUT};

    start_configured("-device usb-tablet");
    for (unsigned i = 0; i < sizeof(pids) / sizeof(pids[0]); i++) {
        qtest_memwrite(q, u.buffer, (uint8_t[]){0x21, 9, 0, 2, 0, 0, (i & 1) ? 8 : 0xFF, 0xFF}, 8);
        usbport_td(&u, u.tds, LINK_T, TD_ACTIVE, pids[i], 1, 0, 0, i % 3 ? 8 : 1280, u.buffer);
        qtest_writel(q, u.control + 4, u.tds);
        qtest_clock_step(q, 10 * MS);
    }
    expect_alive();
}

/* A reset of the machine ends everything; the tablet is plugged in anew. */
static void test_machine_reset(void **state)
{
    uint8_t data[8];

    start_configured("-device usb-tablet");
    usbport_poll(&u, 1, data, 8, 40);
    expect_pointer("Tablet", true);
    json_decref(qtest_qmp_ok(q, "{'execute':'system_reset'}"));
    json_decref(qtest_qmp_event(q, "RESET"));
    expect_pointer("PS/2", false);
    expect_alive();
    assert_int_equal(usbport_poll(&u, 1, data, 8, 40), USBPORT_PENDING);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_registers_after_reset),
        TEST(test_register_bits),
        TEST(test_frame_number),
        TEST(test_descriptors),
        TEST(test_short_control_transfer),
        TEST(test_stall),
        TEST(test_timeout),
        TEST(test_babble),
        TEST(test_tablet),
        TEST(test_mouse),
        TEST(test_keyboard),
        TEST(test_keyboard_reports_keep_the_order),
        TEST(test_idle_rate),
        TEST(test_pointer_goes_to_who_is_asked),
        TEST(test_monitor),
        TEST(test_hot_plug),
        TEST(test_port_suspend_and_remote_wakeup),
        TEST(test_global_suspend),
        TEST(test_idle_costs_little),
        TEST(test_poll_interval),
        TEST(test_the_bsds),
        TEST(test_linux),
        TEST(test_loops),
        TEST(test_ring_with_work),
        TEST(test_breadth_first),
        TEST(test_schedule_errors),
        TEST(test_control_out_of_order),
        TEST(test_machine_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
