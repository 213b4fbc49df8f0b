/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several people at one keyboard and one mouse: what is down is counted by who holds it. A key or button that
 * several hold goes up when the last of them lets go.
 */
#ifndef CONSOLE_HANDS_H
#define CONSOLE_HANDS_H

#include "console/console.h"

/* One of them: a viewer, the monitor. The caller's memory, from hand_join to hand_leave; zero before. */
struct console_hand {
    struct console *console;
    uint32_t keys[8]; /* a bit a key that it holds */
    unsigned buttons;
    struct console_hand *next;
};

void hand_join(struct console_hand *hand, struct console *con);
/* Lets go of the keys. The buttons go up with the next pointer event of anybody. */
void hand_leave(struct console_hand *hand);

/* code: as console_key takes it. */
void hand_key(struct console_hand *hand, uint16_t code, bool down);
bool hand_holds(const struct console_hand *hand, uint16_t code);
/* This one holds these buttons from now on; what all of them hold, for the pointer event. */
unsigned hand_buttons(struct console_hand *hand, unsigned buttons);

#endif
