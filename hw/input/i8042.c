/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 8042 keyboard controller of a PS/2: data at port 0x60, status and commands at 0x64, keyboard (IRQ 1)
 * and mouse (IRQ 12) behind it. Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and
 * auxiliary device controller".
 *
 * The A20 bit of the output port is kept and read back but gates nothing: no hypervisor of ours masks A20.
 */
#include "hw/input/i8042.h"

#include <string.h>

#include "hw/backends.h"
#include "hw/input/ps2.h"
#include "machine/machine.h"

/* Status register. */
enum { STR_OBF = 0x01, STR_SYS = 0x04, STR_A2 = 0x08, STR_INH = 0x10, STR_AUX_OBF = 0x20 };

/* Controller command byte. */
enum {
    CCB_INT = 0x01,
    CCB_INT2 = 0x02,
    CCB_SYS = 0x04,
    CCB_DISABLE_KBD = 0x10,
    CCB_DISABLE_AUX = 0x20,
    CCB_XLATE = 0x40
};

/* Output port. */
enum { OUT_RESET_N = 0x01, OUT_A20 = 0x02, OUT_IRQ1 = 0x10, OUT_IRQ12 = 0x20, OUT_LINES = 0xC0 };

enum {
    CMD_READ_RAM = 0x20, /* 20-3F; 20 is the command byte */
    CMD_WRITE_RAM = 0x60,
    CMD_TEST_PASSWORD = 0xA4,
    CMD_AUX_DISABLE = 0xA7,
    CMD_AUX_ENABLE = 0xA8,
    CMD_AUX_TEST = 0xA9,
    CMD_SELF_TEST = 0xAA,
    CMD_KBD_TEST = 0xAB,
    CMD_KBD_DISABLE = 0xAD,
    CMD_KBD_ENABLE = 0xAE,
    CMD_READ_INPUT = 0xC0,
    CMD_READ_OUTPUT = 0xD0,
    CMD_WRITE_OUTPUT = 0xD1,
    CMD_KBD_LOOP = 0xD2, /* write keyboard output buffer: as if the keyboard had sent it */
    CMD_AUX_LOOP = 0xD3,
    CMD_AUX_SEND = 0xD4,
    CMD_DISABLE_A20 = 0xDD,
    CMD_ENABLE_A20 = 0xDF,
    CMD_TEST_INPUTS = 0xE0,
    CMD_PULSE = 0xF0, /* F0-FF: bits that are 0 pulse the output port's low lines */
};

enum { SELF_TEST_OK = 0x55, NO_PASSWORD = 0xF1, INPUT_NOT_LOCKED = 0x80 };

#define I8042_STATE(S)                                                                                       \
    S(ARRAY, uint8_t, ram, 32, ANY) /* [0] is the command byte */                                            \
    S(UINT, uint8_t, status, ANY)                                                                            \
    S(UINT, uint8_t, data, ANY)        /* the output buffer; stays readable after it was read */             \
    S(UINT, uint8_t, output_port, ANY) /* without the IRQ bits */                                            \
    S(UINT, uint8_t, command, ANY) /* its parameter comes next at the data port; 0: the keyboard gets it */  \
    S(UINT, uint8_t, answer, ANY)  /* the controller's own byte, waiting for the output buffer */            \
    S(BOOL, answering)                                                                                       \
    S(BOOL, answer_aux)                                                                                      \
    S(BOOL, break_prefix) /* translation: F0 was taken, the next code is a release */                        \
    S(SUB, struct ps2_keyboard, kbd, ps2_keyboard_state)                                                     \
    S(SUB, struct ps2_mouse, mouse, ps2_mouse_state)

struct i8042 {
    struct device dev;
    struct region data_region, command_region;
    struct irq irq_kbd, irq_aux;
    STATE_MEMBERS(I8042_STATE);
};
STATE_TABLE(i8042_state, struct i8042, I8042_STATE);

static void update_irqs(struct i8042 *s)
{
    bool full = s->status & STR_OBF, aux = s->status & STR_AUX_OBF;

    irq_set(&s->irq_kbd, full && !aux && s->ram[0] & CCB_INT);
    irq_set(&s->irq_aux, full && aux && s->ram[0] & CCB_INT2);
}

/* The next byte of the keyboard, translated if that is on: a release in set 2 is two bytes, in set 1 one. */
static bool take_keyboard(struct i8042 *s, uint8_t *byte)
{
    while (ps2_keyboard_take(&s->kbd, byte)) {
        if (!(s->ram[0] & CCB_XLATE))
            return true;
        if (*byte == 0xF0) {
            s->break_prefix = true;
            continue;
        }
        /* Scan codes; above are answers and prefixes, which may come between F0 and its code. */
        if (*byte <= 0x84) {
            *byte = ps2_translate(*byte) | (s->break_prefix ? 0x80 : 0);
            s->break_prefix = false;
        }
        return true;
    }
    return false;
}

/* Fills the output buffer, if it is empty, from who has something: the controller, the keyboard, the mouse.
 */
static void i8042_fill(struct i8042 *s)
{
    bool aux = false;

    if (!(s->status & STR_OBF)) {
        if (s->answering) {
            s->data = s->answer;
            aux = s->answer_aux;
            s->answering = false;
        } else if (s->ram[0] & CCB_DISABLE_KBD || !take_keyboard(s, &s->data)) {
            aux = true;
            if (s->ram[0] & CCB_DISABLE_AUX || !ps2_mouse_take(&s->mouse, &s->data))
                return update_irqs(s);
        }
        s->status = (s->status & ~STR_AUX_OBF) | STR_OBF | (aux ? STR_AUX_OBF : 0);
    }
    update_irqs(s);
}

static void device_ready(void *opaque)
{
    i8042_fill(opaque);
}

static void i8042_answer(struct i8042 *s, uint8_t byte, bool aux)
{
    s->answer = byte;
    s->answer_aux = aux;
    s->answering = true;
    i8042_fill(s);
}

static void set_command_byte(struct i8042 *s, uint8_t value)
{
    s->ram[0] = value;
    s->status = (s->status & ~STR_SYS) | (value & CCB_SYS ? STR_SYS : 0);
    i8042_fill(s);
}

static void set_output_port(struct i8042 *s, uint8_t value)
{
    s->output_port = value & ~(OUT_IRQ1 | OUT_IRQ12);
    if (!(value & OUT_RESET_N))
        machine_request_reset(s->dev.machine, true);
}

static uint64_t i8042_read_data(void *opaque, uint64_t offset, unsigned size)
{
    struct i8042 *s = opaque;
    uint8_t value = s->data;

    s->status &= ~(STR_OBF | STR_AUX_OBF);
    update_irqs(s); /* low in between: the next byte is a new edge */
    i8042_fill(s);
    return value;
}

static uint64_t i8042_read_status(void *opaque, uint64_t offset, unsigned size)
{
    struct i8042 *s = opaque;

    return s->status;
}

static void i8042_write_data(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct i8042 *s = opaque;
    uint8_t command = s->command;

    s->command = 0;
    s->status &= ~STR_A2;
    if (command >= CMD_WRITE_RAM && command < CMD_WRITE_RAM + sizeof(s->ram)) {
        if (command == CMD_WRITE_RAM)
            set_command_byte(s, value);
        else
            s->ram[command - CMD_WRITE_RAM] = value;
        return;
    }
    switch (command) {
    case CMD_WRITE_OUTPUT:
        set_output_port(s, value);
        break;
    case CMD_KBD_LOOP:
    case CMD_AUX_LOOP:
        i8042_answer(s, value, command == CMD_AUX_LOOP);
        break;
    case CMD_AUX_SEND: /* sending to a device enables it */
        s->ram[0] &= ~CCB_DISABLE_AUX;
        ps2_mouse_write(&s->mouse, value);
        break;
    default:
        s->ram[0] &= ~CCB_DISABLE_KBD;
        ps2_keyboard_write(&s->kbd, value);
        break;
    }
}

static void i8042_write_command(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct i8042 *s = opaque;

    s->command = 0;
    s->status |= STR_A2;
    if (value >= CMD_READ_RAM && value < CMD_READ_RAM + sizeof(s->ram))
        return i8042_answer(s, s->ram[value - CMD_READ_RAM], false);
    if (value >= CMD_WRITE_RAM && value < CMD_WRITE_RAM + sizeof(s->ram)) {
        s->command = value;
        return;
    }
    if (value >= CMD_PULSE) {
        if (!(value & OUT_RESET_N))
            machine_request_reset(s->dev.machine, true);
        return;
    }
    switch (value) {
    case CMD_TEST_PASSWORD:
        i8042_answer(s, NO_PASSWORD, false);
        break;
    case CMD_AUX_DISABLE:
        set_command_byte(s, s->ram[0] | CCB_DISABLE_AUX);
        break;
    case CMD_AUX_ENABLE:
        set_command_byte(s, s->ram[0] & ~CCB_DISABLE_AUX);
        break;
    case CMD_KBD_DISABLE:
        set_command_byte(s, s->ram[0] | CCB_DISABLE_KBD);
        break;
    case CMD_KBD_ENABLE:
        set_command_byte(s, s->ram[0] & ~CCB_DISABLE_KBD);
        break;
    case CMD_AUX_TEST:
    case CMD_KBD_TEST:
    case CMD_TEST_INPUTS:
        i8042_answer(s, 0, false);
        break;
    case CMD_SELF_TEST:
        set_command_byte(s, s->ram[0] | CCB_SYS);
        i8042_answer(s, SELF_TEST_OK, false);
        break;
    case CMD_READ_INPUT:
        i8042_answer(s, INPUT_NOT_LOCKED, false);
        break;
    case CMD_READ_OUTPUT:
        i8042_answer(s,
                     s->output_port | (s->irq_kbd.level ? OUT_IRQ1 : 0) | (s->irq_aux.level ? OUT_IRQ12 : 0),
                     false);
        break;
    case CMD_WRITE_OUTPUT:
    case CMD_KBD_LOOP:
    case CMD_AUX_LOOP:
    case CMD_AUX_SEND:
        s->command = value;
        break;
    case CMD_DISABLE_A20:
        s->output_port &= ~OUT_A20;
        break;
    case CMD_ENABLE_A20:
        s->output_port |= OUT_A20;
        break;
    }
}

static const struct region_ops data_ops = {.read = i8042_read_data, .write = i8042_write_data, .max_size = 1};
static const struct region_ops command_ops = {
    .read = i8042_read_status, .write = i8042_write_command, .max_size = 1};

static bool i8042_realize(struct device *dev, struct error *err)
{
    struct i8042 *s = (struct i8042 *)dev;
    struct machine *m = dev->machine;

    machine_irq(m, &s->irq_kbd, 1);
    machine_irq(m, &s->irq_aux, 12);
    ps2_keyboard_init(&s->kbd, &m->clock, m->backends->console, device_ready, s);
    ps2_mouse_init(&s->mouse, m->backends->console, device_ready, s);
    machine_map_ports(m, &s->data_region, "i8042-data", &data_ops, s, 0x60, 1);
    machine_map_ports(m, &s->command_region, "i8042-command", &command_ops, s, 0x64, 1);
    return true;
}

static void i8042_unrealize(struct device *dev)
{
    struct i8042 *s = (struct i8042 *)dev;

    bus_unmap(&dev->machine->bus, &s->data_region);
    bus_unmap(&dev->machine->bus, &s->command_region);
    irq_set(&s->irq_kbd, false);
    irq_set(&s->irq_aux, false);
    ps2_keyboard_destroy(&s->kbd);
    ps2_mouse_destroy(&s->mouse);
}

static void i8042_reset(struct device *dev)
{
    struct i8042 *s = (struct i8042 *)dev;

    for (unsigned i = 0; i < sizeof(s->ram); i++)
        s->ram[i] = 0;
    s->ram[0] = CCB_INT | CCB_INT2;
    s->status = STR_INH | STR_A2;
    s->data = 0;
    s->output_port = OUT_RESET_N | OUT_A20 | OUT_LINES;
    s->command = 0;
    s->answering = s->answer_aux = s->break_prefix = false;
    ps2_keyboard_reset(&s->kbd);
    ps2_mouse_reset(&s->mouse);
    update_irqs(s);
}

static void i8042_loaded(struct device *dev)
{
    struct i8042 *s = (struct i8042 *)dev;

    if (s->kbd.console)
        console_set_leds(s->kbd.console, s->kbd.leds);
    update_irqs(s);
}

void i8042_poke_mouse(struct machine *m)
{
    for (struct device *dev = m->devices; dev; dev = dev->next)
        if (!strcmp(dev->cls->name, "i8042"))
            ps2_mouse_poke(&((struct i8042 *)dev)->mouse);
}

static const struct device_class i8042_class = {
    .name = "i8042",
    .description = "PS/2 keyboard and mouse controller",
    .bus = &isa_bus_ops,
    .internal = true,
    .size = sizeof(struct i8042),
    .state = &i8042_state,
    .realize = i8042_realize,
    .unrealize = i8042_unrealize,
    .reset = i8042_reset,
    .loaded = i8042_loaded,
};
DEVICE_CLASS(i8042_class);
