/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From what a viewer types to the keys of a PC keyboard.
 *
 * A viewer sends key symbols: characters, after its own keyboard layout was applied. The guest applies a
 * layout of its own to the keys that it gets, so the keys sent are those that give the same characters in the
 * guest's layout (-k): shift and AltGr are pressed or released around a key where what the viewer holds would
 * give another character.
 */
#ifndef VNC_KEYMAP_H
#define VNC_KEYMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEYMAP_SHIFT = 1, KEYMAP_ALTGR = 2, KEYMAP_LEVELS = 4 };

struct keymap {
    const char *name;
    const char *levels[KEYMAP_LEVELS]; /* UTF-8; see layouts.c */
};

/* NULL: no such layout. The names are vnc_layouts of vnc.h. */
const struct keymap *keymap_find(const char *name);

/* The character of a key symbol, 0: none. */
uint32_t keymap_character(uint32_t keysym);

/* The keyboard of one viewer. */
struct keyboard {
    const struct keymap *map;
    /* Where the keys go: codes as console_key takes them. */
    void (*key)(void *opaque, uint16_t code, bool down);
    void *opaque;
    uint32_t down[8]; /* a bit a key that was pressed and not released */
    struct {
        uint32_t keysym;
        uint16_t code;
    } held[16]; /* which key a held symbol is; the release may come with other modifiers */
    unsigned held_count;
};

void keyboard_init(struct keyboard *kb, const struct keymap *map,
                   void (*key)(void *opaque, uint16_t code, bool down), void *opaque);
/* leds: the guest's keyboard lights as console_leds has them: whether letters are capitals, the keypad
 * digits. */
void keyboard_symbol(struct keyboard *kb, uint32_t keysym, bool down, uint8_t leds);
/* A key by its scan code, from viewers that send those. */
void keyboard_code(struct keyboard *kb, uint16_t code, bool down);
/* Releases what is down. */
void keyboard_release_all(struct keyboard *kb);

/* The data, in layouts.c. */
extern const struct keymap keymaps[];
extern const size_t keymap_count;
struct keysym_char {
    uint16_t keysym, character;
};
extern const struct keysym_char keysym_chars[];
extern const size_t keysym_char_count;
struct composed {
    uint16_t character, base, mark;
};
extern const struct composed compositions[];
extern const size_t composition_count;
extern const char *const vnc_layouts[];

#endif
