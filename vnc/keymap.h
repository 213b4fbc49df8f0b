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

#include "base/error.h"

enum { KEYMAP_SHIFT = 1, KEYMAP_ALTGR = 2, KEYMAP_LEVELS = 4, KEYMAP_PLACES = 256 };

#define KEYMAP_DATA "/usr/share/X11/xkb"

/* Where a layout has a character: the key, and with what. */
struct key_place {
    uint32_t character; /* Unicode; a combining mark is a dead key */
    uint8_t code;       /* of set 1, without prefix; 0: nowhere */
    uint8_t level;      /* KEYMAP_SHIFT, KEYMAP_ALTGR */
    bool letter;        /* Caps Lock works on it */
};

struct keymap {
    struct key_place places[KEYMAP_PLACES];
    unsigned count;
    bool altgr;           /* it has characters with AltGr */
    struct keymap *latin; /* where it lacks some of ASCII: a layout that has it, else NULL */
};

/*
 * A layout of xkeyboard-config, "LAYOUT" or "LAYOUT(VARIANT)", or one of QEMU's names. Takes some 20 ms.
 * NULL: *err.
 */
struct keymap *keymap_open(const char *name, struct error *err);
void keymap_close(struct keymap *map);
bool keymap_has(const struct keymap *map, uint32_t character);

/* The character of a key symbol, 0: none. */
uint32_t keymap_character(uint32_t keysym);

/* The keyboard of one viewer. */
struct keyboard {
    const struct keymap *map; /* NULL: keys without characters only */
    /* Where the keys go: codes as console_key takes them. */
    void (*key)(void *opaque, uint16_t code, bool down);
    void *opaque;
    uint32_t down[8]; /* a bit a key that was pressed and not released */
    struct {
        uint32_t keysym;
        uint16_t code;
    } held[16]; /* which key a held symbol is; the release may come with other modifiers */
    unsigned held_count;
    bool third_level; /* AltGr is held by a symbol that only chooses characters */
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

/* The data, in compositions.c. */
struct composed {
    uint16_t character, base, mark;
};
extern const struct composed compositions[];
extern const size_t composition_count;

#endif
