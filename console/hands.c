/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "console/hands.h"

static unsigned hand_bit(uint16_t code)
{
    return (code & 0x7F) | (code >> 8 == 0xE0 ? 0x80 : 0);
}

bool hand_holds(const struct console_hand *hand, uint16_t code)
{
    return hand->keys[hand_bit(code) / 32] >> hand_bit(code) % 32 & 1;
}

static void hand_note(struct console_hand *hand, uint16_t code, bool down)
{
    uint32_t bit = 1u << hand_bit(code) % 32;

    if (down)
        hand->keys[hand_bit(code) / 32] |= bit;
    else
        hand->keys[hand_bit(code) / 32] &= ~bit;
}

static bool held_by_others(const struct console_hand *hand, uint16_t code)
{
    for (const struct console_hand *other = *console_hands(hand->console); other; other = other->next)
        if (other != hand && hand_holds(other, code))
            return true;
    return false;
}

void hand_join(struct console_hand *hand, struct console *con)
{
    hand->console = con;
    hand->next = *console_hands(con);
    *console_hands(con) = hand;
}

void hand_key(struct console_hand *hand, uint16_t code, bool down)
{
    if (code != CONSOLE_KEY_PAUSE) /* which is never down */
        hand_note(hand, code, down);
    if (down || code == CONSOLE_KEY_PAUSE || !held_by_others(hand, code))
        console_key(hand->console, code, down);
}

unsigned hand_buttons(struct console_hand *hand, unsigned buttons)
{
    unsigned all = 0;

    hand->buttons = buttons;
    for (const struct console_hand *each = *console_hands(hand->console); each; each = each->next)
        all |= each->buttons;
    return all;
}

void hand_leave(struct console_hand *hand)
{
    struct console_hand **at = console_hands(hand->console);

    for (uint16_t bit = 0; bit < 256; bit++) {
        uint16_t code = bit & 0x80 ? 0xE000 | (bit & 0x7F) : bit;

        if (hand_holds(hand, code))
            hand_key(hand, code, false);
    }
    while (*at && *at != hand)
        at = &(*at)->next;
    if (*at)
        *at = hand->next;
}
