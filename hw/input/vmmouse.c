/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Class vmmouse: the absolute pointer behind VMware's backdoor port, for guests that have its driver (Linux'
 * drivers/input/mouse/vmmouse.c, X.Org's xf86-input-vmmouse; the numbers are theirs). A call is a read of
 * four bytes whose arguments and results are in the processor's registers, so it wants an accelerator that
 * reaches them. The guest reads the queue when its PS/2 mouse speaks, which it is therefore made to.
 */
#include <string.h>

#include "console/console.h"
#include "hw/backends.h"
#include "hw/input/i8042.h"
#include "machine/isa.h"
#include "machine/machine.h"

#define VMPORT       0x5658
#define MAGIC        0x564D5868u
#define VERSION      6           /* of the backdoor */
#define VERSION_ID   0x3442554Au /* of the pointer, the first word after ENABLE */
#define STATUS_ERROR 0xFFFF0000u /* nothing is enabled */

/* Commands, in the low half of ECX */
enum { GET_VERSION = 10, ABSPOINTER_DATA = 39, ABSPOINTER_STATUS = 40, ABSPOINTER_COMMAND = 41 };

/* What ABSPOINTER_COMMAND is given in EBX */
#define CMD_ENABLE   0x45414552u
#define CMD_DISABLE  0x000000F5u
#define CMD_RELATIVE 0x4C455252u
#define CMD_ABSOLUTE 0x53424152u

enum { WORDS_OF_EVENT = 4, EVENTS_MAX = 32, WORDS_MAX = EVENTS_MAX * WORDS_OF_EVENT };
enum { BUTTON_MIDDLE = 0x08, BUTTON_RIGHT = 0x10, BUTTON_LEFT = 0x20 };

#define VMMOUSE_STATE(S)                                                                                     \
    S(BOOL, enabled)                                                                                         \
    S(BOOL, absolute)                                                                                        \
    S(ARRAY, uint32_t, words, WORDS_MAX, ANY) /* oldest first: buttons, X, Y, wheel of each event */         \
    S(UINT, uint16_t, count, WORDS_MAX)

struct vmmouse {
    struct device dev;
    struct region region;
    struct console_pointer input;
    STATE_MEMBERS(VMMOUSE_STATE);
};
STATE_TABLE(vmmouse_state, struct vmmouse, VMMOUSE_STATE);

/* ---- events ---- */

/* 0..7FFF as 0..FFFF. */
static uint32_t vmmouse_scale(int at)
{
    return 2 * (uint32_t)at + ((uint32_t)at >> 14);
}

static uint32_t vmmouse_buttons(unsigned buttons)
{
    return (buttons & POINTER_LEFT ? BUTTON_LEFT : 0) | (buttons & POINTER_RIGHT ? BUTTON_RIGHT : 0) |
           (buttons & POINTER_MIDDLE ? BUTTON_MIDDLE : 0);
}

/* The event that waits last, if it has the same buttons and the wheel is still. */
static bool vmmouse_may_replace(const struct vmmouse *vm, uint32_t buttons, int wheel)
{
    const uint32_t *last = vm->words + vm->count - WORDS_OF_EVENT;

    return vm->count >= WORDS_OF_EVENT && last[0] == buttons && !last[3] && !wheel;
}

/* Where the queue is full the last state counts. */
static void vmmouse_event(void *opaque, int x, int y, int wheel, unsigned buttons)
{
    struct vmmouse *vm = opaque;
    uint32_t held = vmmouse_buttons(buttons);
    bool full = vm->count + WORDS_OF_EVENT > WORDS_MAX;

    if (full || vmmouse_may_replace(vm, held, wheel))
        vm->count -= WORDS_OF_EVENT;
    memcpy(vm->words + vm->count, (uint32_t[]){held, vmmouse_scale(x), vmmouse_scale(y), (uint8_t)-wheel},
           WORDS_OF_EVENT * sizeof(uint32_t));
    vm->count += WORDS_OF_EVENT;
    i8042_poke_mouse(vm->dev.machine);
}

/* ---- calls ---- */

static void vmmouse_set_absolute(struct vmmouse *vm, bool on)
{
    struct console *console = vm->dev.machine->backends->console;

    if (vm->absolute == on)
        return;
    vm->absolute = on;
    if (on)
        console_add_pointer(console, &vm->input);
    else
        console_remove_pointer(console, &vm->input);
}

static void vmmouse_command(struct vmmouse *vm, uint32_t command)
{
    switch (command) {
    case CMD_ENABLE:
        vm->enabled = true;
        vm->words[0] = VERSION_ID;
        vm->count = 1;
        break;
    case CMD_DISABLE:
        vmmouse_set_absolute(vm, false);
        vm->enabled = false;
        vm->count = 0;
        break;
    case CMD_RELATIVE:
    case CMD_ABSOLUTE:
        vmmouse_set_absolute(vm, vm->enabled && command == CMD_ABSOLUTE);
        break;
    }
}

/* Up to four words, into EAX, EBX, ECX, EDX; who asks for more than there is gets nothing. */
static void vmmouse_data(struct vmmouse *vm, uint32_t size, struct guest_registers *regs)
{
    uint64_t *into[] = {&regs->rax, &regs->rbx, &regs->rcx, &regs->rdx};

    if (size < 1 || size > WORDS_OF_EVENT || size > vm->count) {
        vmmouse_command(vm, CMD_DISABLE);
        regs->rax = UINT32_MAX;
        return;
    }
    for (unsigned i = 0; i < size; i++)
        *into[i] = vm->words[i];
    vm->count -= size;
    memmove(vm->words, vm->words + size, vm->count * sizeof(vm->words[0]));
}

static void vmmouse_call(struct vmmouse *vm, struct guest_registers *regs)
{
    uint32_t argument = regs->rbx;

    switch ((uint16_t)regs->rcx) {
    case GET_VERSION:
        regs->rax = VERSION;
        regs->rbx = MAGIC;
        break;
    case ABSPOINTER_STATUS:
        regs->rax = vm->enabled ? vm->count : STATUS_ERROR;
        break;
    case ABSPOINTER_DATA:
        vmmouse_data(vm, argument, regs);
        break;
    case ABSPOINTER_COMMAND:
        vmmouse_command(vm, argument);
        regs->rax = 0;
        break;
    default:
        regs->rax = UINT32_MAX;
    }
}

static uint64_t vmmouse_read(void *opaque, uint64_t offset, unsigned size)
{
    struct vmmouse *vm = opaque;
    struct machine *m = vm->dev.machine;
    struct guest_registers regs;

    if (offset || size != 4 || !m->accel->get_registers(m, &regs) || (uint32_t)regs.rax != MAGIC)
        return UINT32_MAX;
    vmmouse_call(vm, &regs);
    m->accel->set_registers(m, &regs);
    return (uint32_t)regs.rax;
}

static const struct region_ops vmmouse_ops = {.read = vmmouse_read, .max_size = 4};

/* ---- life ---- */

static bool vmmouse_realize(struct device *dev, struct error *err)
{
    struct vmmouse *vm = (struct vmmouse *)dev;
    struct machine *m = dev->machine;

    if (!m->accel->get_registers)
        return error_set(err, "vmmouse: with -accel %s the processors' registers are out of reach",
                         m->accel->name);
    vm->input =
        (struct console_pointer){.name = "vmmouse", .absolute = true, .event = vmmouse_event, .opaque = vm};
    machine_map_ports(m, &vm->region, "vmmouse", &vmmouse_ops, vm, VMPORT, 4);
    return true;
}

static void vmmouse_unrealize(struct device *dev)
{
    struct vmmouse *vm = (struct vmmouse *)dev;

    vmmouse_command(vm, CMD_DISABLE);
    bus_unmap(&dev->machine->bus, &vm->region);
}

static void vmmouse_reset(struct device *dev)
{
    vmmouse_command((struct vmmouse *)dev, CMD_DISABLE);
}

static void vmmouse_loaded(struct device *dev)
{
    struct vmmouse *vm = (struct vmmouse *)dev;

    console_remove_pointer(dev->machine->backends->console, &vm->input);
    if (vm->absolute)
        console_add_pointer(dev->machine->backends->console, &vm->input);
}

static const struct device_class vmmouse_class = {
    .name = "vmmouse",
    .description = "absolute pointer by VMware's port, beside the PS/2 mouse",
    .bus = &isa_bus_ops,
    .size = sizeof(struct vmmouse),
    .state = &vmmouse_state,
    .realize = vmmouse_realize,
    .unrealize = vmmouse_unrealize,
    .reset = vmmouse_reset,
    .loaded = vmmouse_loaded,
};
DEVICE_CLASS(vmmouse_class);
