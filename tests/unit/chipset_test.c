/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The board's frame: i440FX (configuration mechanism, PAM), PIIX3 (routing, reset), PIIX4 power management,
 * generic PCI. */
#include "tests/lib/cmocka.h"
#include "tests/lib/qpci.h"
#include "tests/lib/qtest.h"

#define HOST   QPCI_DEVFN(0, 0)
#define BRIDGE QPCI_DEVFN(1, 0)
#define PM     QPCI_DEVFN(1, 3)

#define PM_BASE   0xB000
#define NS_PER_MS 1000000ll

static int start(void **state)
{
    *state = qtest_start("-nodefaults -vga none");
    return 0;
}

static int stop(void **state)
{
    qtest_stop(*state);
    return 0;
}

static struct qpci power_management(struct qtest *q)
{
    struct qpci pm = qpci_at(q, PM);

    qpci_writel(&pm, 0x40, PM_BASE | 1);
    qpci_writeb(&pm, 0x80, 1);
    return pm;
}

/* ---- configuration space ---- */

static void identities(void **state)
{
    static const struct {
        uint8_t devfn;
        uint32_t id, class_code;
    } board[] = {{HOST, 0x12378086, 0x060000},
                 {BRIDGE, 0x70008086, 0x060100},
                 {QPCI_DEVFN(1, 1), 0x70108086, 0x010180},
                 {PM, 0x71138086, 0x068000}};

    for (unsigned i = 0; i < sizeof(board) / sizeof(board[0]); i++) {
        struct qpci pci = qpci_at(*state, board[i].devfn);

        assert_int_equal(qpci_readl(&pci, 0), board[i].id);
        assert_int_equal(qpci_readl(&pci, 8) >> 8, board[i].class_code);
    }
}

static void bridge_shows_its_functions(void **state)
{
    struct qpci bridge = qpci_at(*state, BRIDGE), host = qpci_at(*state, HOST);

    assert_int_equal(qpci_readb(&bridge, 0x0E) & 0x80, 0x80);
    assert_int_equal(qpci_readb(&host, 0x0E) & 0x80, 0);
}

static void absent_functions_read_ones(void **state)
{
    struct qpci nobody = qpci_at(*state, QPCI_DEVFN(9, 3));

    assert_int_equal(qpci_readl(&nobody, 0), 0xFFFFFFFF);
    assert_int_equal(qpci_readw(&nobody, 2), 0xFFFF);
    qpci_writel(&nobody, 4, 7);
    assert_int_equal(qpci_readl(&nobody, 4), 0xFFFFFFFF);
}

static void mechanism_one(void **state)
{
    struct qtest *q = *state;

    qtest_outl(q, 0xCF8, 0x80000000);
    assert_int_equal(qtest_inl(q, 0xCF8), 0x80000000);
    assert_int_equal(qtest_inl(q, 0xCFC), 0x12378086);
    assert_int_equal(qtest_inb(q, 0xCFD), 0x80);
    assert_int_equal(qtest_inw(q, 0xCFE), 0x1237);
    qtest_outb(q, 0xCF8, 0x55); /* a byte is not for the address register */
    assert_int_equal(qtest_inl(q, 0xCF8), 0x80000000);
    qtest_outl(q, 0xCF8, 0); /* disabled: nobody answers */
    assert_int_equal(qtest_inl(q, 0xCFC), 0xFFFFFFFF);
    qtest_outl(q, 0xCF8, 0x80010000); /* there is no bus 1 */
    assert_int_equal(qtest_inl(q, 0xCFC), 0xFFFFFFFF);
}

/* What clients of the test port write; every other accelerator's bridge drops these bits, as hardware does.
 */
static void low_bits_of_the_address_on_the_test_port(void **state)
{
    struct qtest *q = *state;

    qtest_outl(q, 0xCF8, 0x80000003);
    assert_int_equal(qtest_inb(q, 0xCFC), 0x12);
    qtest_outl(q, 0xCF8, 0x80000002);
    assert_int_equal(qtest_inl(q, 0xCF8), 0x80000002);
    assert_int_equal(qtest_inw(q, 0xCFC), 0x1237);
    assert_int_equal(qtest_inb(q, 0xCFD), 0x12);
    assert_int_equal(qtest_inb(q, 0xCFF), 0x12);
    qtest_outl(q, 0xCF8, 0x80000903);
    assert_int_equal(qtest_inb(q, 0xCFC), 0x70);
    qtest_outl(q, 0xCF8, 0x800000FF); /* nothing beyond the last register */
    assert_int_equal(qtest_inl(q, 0xCFC) >> 8, 0xFFFFFF);
}

static void identity_is_read_only(void **state)
{
    struct qpci host = qpci_at(*state, HOST);

    qpci_writel(&host, 0, 0);
    qpci_writel(&host, 8, 0xFFFFFFFF);
    assert_int_equal(qpci_readl(&host, 0), 0x12378086);
    assert_int_equal(qpci_readl(&host, 8), 0x06000002);
}

/* ---- PAM ---- */

static void set_pam(struct qpci *host, unsigned reg, uint8_t value)
{
    qpci_writeb(host, 0x59 + reg, value);
}

static void pam_shows_the_bios_after_reset(void **state)
{
    struct qtest *q = *state;
    uint8_t low[16], high[16];

    qtest_memread(q, 0xFFFF0, low, sizeof(low));
    qtest_memread(q, 0xFFFFFFF0, high, sizeof(high));
    assert_memory_equal(low, high, sizeof(low));
    assert_int_equal(low[0], 0xEA); /* the far jump of the reset vector */
    assert_int_equal(qtest_readl(q, 0xC0000), 0xFFFFFFFF);
    qtest_writeb(q, 0xFFFF0, 0); /* ROM */
    assert_int_equal(qtest_readb(q, 0xFFFF0), 0xEA);
}

static void pam_modes(void **state)
{
    struct qtest *q = *state;
    struct qpci host = qpci_at(q, HOST);

    set_pam(&host, 1, 0x33); /* 0xC0000 and 0xC4000: RAM */
    qtest_writel(q, 0xC0000, 0x11111111);
    qtest_writel(q, 0xC7FFC, 0x22222222);
    assert_int_equal(qtest_readl(q, 0xC0000), 0x11111111);
    assert_int_equal(qtest_readl(q, 0xC7FFC), 0x22222222);

    set_pam(&host, 1, 0x11); /* read RAM, writes go nowhere */
    qtest_writel(q, 0xC0000, 0x33333333);
    assert_int_equal(qtest_readl(q, 0xC0000), 0x11111111);

    set_pam(&host, 1, 0x22); /* write RAM, read the ISA side */
    qtest_writel(q, 0xC0000, 0x44444444);
    assert_int_equal(qtest_readl(q, 0xC0000), 0xFFFFFFFF);

    set_pam(&host, 1, 0x01); /* the two segments of a register are apart */
    assert_int_equal(qtest_readl(q, 0xC0000), 0x44444444);
    assert_int_equal(qtest_readl(q, 0xC7FFC), 0xFFFFFFFF);
}

/* What SeaBIOS does: copy the BIOS from the top of 4 GiB into the RAM below it, by way of write-only. */
static void pam_shadows_the_bios(void **state)
{
    struct qtest *q = *state;
    struct qpci host = qpci_at(q, HOST);

    set_pam(&host, 0, 0x20);
    qtest_writeb(q, 0xF1234, 0x5A);
    set_pam(&host, 0, 0x30);
    assert_int_equal(qtest_readb(q, 0xF1234), 0x5A);
    json_decref(qtest_qmp_ok(q, "{'execute': 'system_reset'}"));
    json_decref(qtest_qmp_event(q, "RESET"));
    assert_int_equal(qtest_readb(q, 0xFFFF0), 0xEA); /* a reset shows the ROM again */
}

/* ---- reset ---- */

static void expect_reset(struct qtest *q)
{
    json_decref(qtest_qmp_event(q, "RESET"));
}

static void reset_control_register(void **state)
{
    struct qtest *q = *state;

    qtest_outb(q, 0xCF9, 0x02);
    assert_int_equal(qtest_inb(q, 0xCF9), 0x02);
    qtest_outb(q, 0xCF9, 0x06);
    expect_reset(q);
    assert_int_equal(qtest_inb(q, 0xCF9), 0);
}

static void reset_moves_bars_away(void **state)
{
    struct qtest *q = *state;
    struct qpci ide = qpci_at(q, QPCI_DEVFN(1, 1));
    uint64_t base = qpci_map(&ide, 4);

    qpci_enable(&ide);
    assert_int_not_equal(qtest_inb(q, base + 2), 0xFF);
    qtest_outb(q, 0xCF9, 0x06);
    expect_reset(q);
    assert_int_equal(qtest_inb(q, base + 2), 0xFF);
    assert_int_equal(qpci_readw(&ide, 4) & 7, 0);
}

/* ---- PIIX3 routing, seen by the power management's and a card's pins ---- */

static void pirq_registers(void **state)
{
    struct qpci bridge = qpci_at(*state, BRIDGE);

    assert_int_equal(qpci_readl(&bridge, 0x60), 0x80808080);
    qpci_writel(&bridge, 0x60, 0xFF0B050A);
    assert_int_equal(qpci_readl(&bridge, 0x60), 0x8F0B050A);
}

/* ---- power management ---- */

static void pm_block_is_decoded_when_enabled(void **state)
{
    struct qtest *q = *state;
    struct qpci pm = qpci_at(q, PM);

    assert_int_equal(qtest_inw(q, PM_BASE + 4), 0xFFFF);
    power_management(q);
    assert_int_equal(qtest_inw(q, PM_BASE + 4), 0);
    assert_int_equal(qpci_readl(&pm, 0x40), PM_BASE | 1);
    qpci_writeb(&pm, 0x80, 0);
    assert_int_equal(qtest_inw(q, PM_BASE + 4), 0xFFFF);
}

static void pm_timer_counts(void **state)
{
    struct qtest *q = *state;
    uint32_t before, after;

    power_management(q);
    before = qtest_inl(q, PM_BASE + 8);
    qtest_clock_step(q, 100 * NS_PER_MS);
    after = qtest_inl(q, PM_BASE + 8);
    assert_in_range((after - before) & 0xFFFFFF, 357953, 357956);
    assert_int_equal(after >> 24, 0);
}

static void pm_timer_status_and_interrupt(void **state)
{
    struct qtest *q = *state;

    power_management(q);
    qtest_irq_intercept_in(q, "ioapic");
    qtest_clock_step(q, 3000 * NS_PER_MS); /* bit 23 changes every 2.34 s */
    assert_int_equal(qtest_inw(q, PM_BASE) & 1, 1);
    qtest_outw(q, PM_BASE, 1);
    assert_int_equal(qtest_inw(q, PM_BASE) & 1, 0);
    qtest_outb(q, 0xB2, 0xF1); /* ACPI on */
    assert_int_equal(qtest_inw(q, PM_BASE + 4) & 1, 1);
    qtest_outw(q, PM_BASE + 2, 1);
    assert_false(qtest_irq(q, 9));
    qtest_clock_step(q, 2400 * NS_PER_MS);
    assert_true(qtest_irq(q, 9));
    qtest_outw(q, PM_BASE, 1);
    assert_false(qtest_irq(q, 9));
    qtest_outb(q, 0xB2, 0xF0);
    assert_int_equal(qtest_inw(q, PM_BASE + 4) & 1, 0);
}

/* Linux enables the global lock event and reads it back; without it the log shows an ACPI error at every
 * start. */
static void global_lock_event_can_be_enabled(void **state)
{
    struct qtest *q = *state;

    power_management(q);
    qtest_outw(q, PM_BASE + 2, 0x0020);
    assert_int_equal(qtest_inw(q, PM_BASE + 2), 0x0020);
}

/* xl vcpu-set: the processor is in the bitmap, and GPE 2 tells the guest. */
static void added_processor_interrupts(void **state)
{
    struct qtest *q = qtest_start("-nodefaults -vga none -smp 1,maxcpus=2");
    json_t *reply;

    (void)state;
    power_management(q);
    qtest_irq_intercept_in(q, "ioapic");
    qtest_outb(q, 0xB2, 0xF1);
    qtest_outb(q, 0xAFE2, 0x04);
    assert_int_equal(qtest_inb(q, 0xAF00), 1);
    json_decref(
        qtest_qmp_ok(q, "{'execute': 'device_add', 'arguments': {'id': 'cpu-1', 'driver': 'host-x86_64-cpu', "
                        "'socket-id': 1, 'core-id': 0, 'thread-id': 0}}"));
    assert_int_equal(qtest_inb(q, 0xAF00), 3);
    assert_int_equal(qtest_inb(q, 0xAFE0), 0x04);
    assert_true(qtest_irq(q, 9));
    qtest_outb(q, 0xAFE0, 0x04);
    assert_false(qtest_irq(q, 9));
    reply =
        qtest_qmp(q, "{'execute': 'device_add', 'arguments': {'id': 'cpu-2', 'driver': 'host-x86_64-cpu', "
                     "'socket-id': 2, 'core-id': 0, 'thread-id': 0}}");
    assert_non_null(json_object_get(reply, "error"));
    json_decref(reply);
    qtest_stop(q);
}

static void power_button_interrupts(void **state)
{
    struct qtest *q = *state;

    power_management(q);
    qtest_irq_intercept_in(q, "ioapic");
    qtest_outb(q, 0xB2, 0xF1);
    qtest_outw(q, PM_BASE + 2, 0x100);
    json_decref(qtest_qmp_ok(q, "{'execute': 'system_powerdown'}"));
    assert_int_equal(qtest_inw(q, PM_BASE) & 0x100, 0x100);
    assert_true(qtest_irq(q, 9));
    qtest_outw(q, PM_BASE, 0x100);
    assert_false(qtest_irq(q, 9));
}

/* Byte writes to the status register must not write back, and so clear, what was read in the other byte. */
static void status_byte_write_clears_its_own_byte_only(void **state)
{
    struct qtest *q = *state;

    power_management(q);
    qtest_clock_step(q, 3000 * NS_PER_MS);
    json_decref(qtest_qmp_ok(q, "{'execute': 'system_powerdown'}"));
    qtest_outb(q, PM_BASE + 1, 0x01);
    assert_int_equal(qtest_inw(q, PM_BASE), 0x0001);
}

static void soft_off_ends_the_machine(void **state)
{
    struct qtest *q = qtest_start("-nodefaults -vga none");

    (void)state;
    power_management(q);
    qtest_outw(q, PM_BASE + 4, 0x2000);
    json_decref(qtest_qmp_event(q, "SHUTDOWN"));
    assert_int_equal(qtest_wait_exit(q), 0);
    qtest_stop(q);
}

static void expect_status(struct qtest *q, const char *status)
{
    json_t *answer = qtest_qmp_ok(q, "{'execute': 'query-status'}");

    assert_string_equal(json_string_value(json_object_get(answer, "status")), status);
    json_decref(answer);
}

/* Time goes on in S3. */
static void rtc_alarm_wakes_when_enabled(void **state)
{
    enum { RTC_STS = 0x0400, WAK_STS = 0x8000 };
    struct qtest *q = *state;

    power_management(q);
    json_decref(qtest_qmp_ok(q, "{'execute': 'cont'}"));
    for (unsigned enabled = 0; enabled < 2; enabled++) {
        for (uint8_t alarm = 1; alarm <= 5; alarm += 2) {
            qtest_outb(q, 0x70, alarm);
            qtest_outb(q, 0x71, 0xFF); /* every second */
        }
        qtest_outb(q, 0x70, 0x0B);
        qtest_outb(q, 0x71, 0x22); /* AIE, 24 hours */
        qtest_outb(q, 0x70, 0x0C);
        qtest_inb(q, 0x71);
        qtest_outw(q, PM_BASE, RTC_STS | WAK_STS);
        qtest_outw(q, PM_BASE + 2, enabled ? RTC_STS : 0);
        qtest_outw(q, PM_BASE + 4, 0x2400); /* SLP_EN, S3 */
        json_decref(qtest_qmp_event(q, "SUSPEND"));
        expect_status(q, "suspended");
        qtest_clock_step(q, 1000 * NS_PER_MS);
        assert_int_equal(qtest_inw(q, PM_BASE) & RTC_STS, RTC_STS);
        if (!enabled) {
            expect_status(q, "suspended");
            json_decref(qtest_qmp_ok(q, "{'execute': 'system_wakeup'}"));
        }
        json_decref(qtest_qmp_event(q, "WAKEUP"));
        expect_status(q, "running");
        assert_int_equal(qtest_inw(q, PM_BASE) & WAK_STS, WAK_STS);
    }
}

static void gpe_and_hotplug_blocks(void **state)
{
    struct qtest *q = *state;

    qtest_outw(q, 0xAFE2, 0x0006);
    assert_int_equal(qtest_inw(q, 0xAFE2), 0x0006);
    assert_int_equal(qtest_inw(q, 0xAFE0), 0);
    assert_int_equal(qtest_inl(q, 0xAE00), 0);
    assert_int_equal(qtest_inl(q, 0xAE04), 0);
    assert_int_equal(qtest_inb(q, 0xAF00), 1); /* one processor */
}

/* A11: libvirt and libxl write these as numbers. */
static void truth_is_said_by_numbers_too(void **state)
{
    struct qtest *q = qtest_start("-nodefaults -vga none -device e1000,addr=5,rombar=0,multifunction=1 "
                                  "-device e1000,addr=6,rombar=1,multifunction=0");
    struct qpci first = qpci_at(q, QPCI_DEVFN(5, 0)), second = qpci_at(q, QPCI_DEVFN(6, 0));

    (void)state;
    assert_int_equal(qpci_bar_size(&first, QPCI_ROM), 0);
    assert_int_equal(qpci_readb(&first, 0x0E) & 0x80, 0x80);
    assert_int_not_equal(qpci_bar_size(&second, QPCI_ROM), 0);
    assert_int_equal(qpci_readb(&second, 0x0E) & 0x80, 0);
    qtest_stop(q);
}

static void no_acpi_means_no_function(void **state)
{
    struct qtest *q = qtest_start("-nodefaults -vga none -no-acpi");
    struct qpci pm = qpci_at(q, PM);

    (void)state;
    assert_int_equal(qpci_readl(&pm, 0), 0xFFFFFFFF);
    qtest_stop(q);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, start, stop)
    const struct CMUnitTest tests[] = {
        CASE(identities),
        CASE(bridge_shows_its_functions),
        CASE(absent_functions_read_ones),
        CASE(mechanism_one),
        CASE(low_bits_of_the_address_on_the_test_port),
        CASE(identity_is_read_only),
        CASE(pam_shows_the_bios_after_reset),
        CASE(pam_modes),
        CASE(pam_shadows_the_bios),
        CASE(reset_control_register),
        CASE(reset_moves_bars_away),
        CASE(pirq_registers),
        CASE(pm_block_is_decoded_when_enabled),
        CASE(pm_timer_counts),
        CASE(pm_timer_status_and_interrupt),
        CASE(global_lock_event_can_be_enabled),
        CASE(power_button_interrupts),
        CASE(added_processor_interrupts),
        CASE(status_byte_write_clears_its_own_byte_only),
        CASE(rtc_alarm_wakes_when_enabled),
        CASE(gpe_and_hotplug_blocks),
        cmocka_unit_test(soft_off_ends_the_machine),
        cmocka_unit_test(truth_is_said_by_numbers_too),
        cmocka_unit_test(no_acpi_means_no_function),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
