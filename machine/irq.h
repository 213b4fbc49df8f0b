/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt lines. Each source has its own struct irq with its own level; a line is high while any source
 * holds it high, so nobody can lower what another asserted.
 */
#ifndef MACHINE_IRQ_H
#define MACHINE_IRQ_H

#include <stdbool.h>
#include <stdint.h>

#define IRQ_LINES 24

/* The inputs of the interrupt controllers: line n is ISA IRQ n (PIC and IOAPIC, IRQ 0 is IOAPIC pin 2) and,
 * from 16, an IOAPIC pin. */
struct irq_lines {
    uint32_t asserted[IRQ_LINES];                             /* how many sources hold the line high */
    void (*changed)(void *opaque, unsigned line, bool level); /* the accelerator's; called on edges only */
    void *opaque;
};

struct irq {
    struct irq_lines *lines;
    uint8_t line;
    bool level;
};

static inline void irq_init(struct irq *irq, struct irq_lines *lines, unsigned line)
{
    irq->lines = lines;
    irq->line = line;
    irq->level = false;
}

/* Sets this source's level; setting it again is harmless. */
void irq_set(struct irq *irq, bool level);

/* Moves a source to another line, with its level. */
void irq_move(struct irq *irq, unsigned line);

#endif
