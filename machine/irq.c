/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/irq.h"

void irq_set(struct irq *irq, bool level)
{
    struct irq_lines *lines = irq->lines;
    unsigned line = irq->line;

    if (irq->level == level)
        return;
    irq->level = level;
    if (level ? lines->asserted[line]++ == 0 : --lines->asserted[line] == 0)
        if (lines->changed)
            lines->changed(lines->opaque, line, level);
}

void irq_move(struct irq *irq, unsigned line)
{
    bool level = irq->level;

    if (line == irq->line)
        return;
    irq_set(irq, false);
    irq->line = line;
    irq_set(irq, level);
}
