/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keyboard layouts from xkeyboard-config, by libxkbcommon: which character which key gives. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xkbcommon/xkbcommon.h>

#include "vnc/keymap.h"
#include "vnc/vnc.h"

/* Names that QEMU has for layouts, where they are not those of xkeyboard-config. */
static const struct {
    const char *name, *layout, *variant;
} aliases[] = {
    {"ar", "ara", NULL},   {"bepo", "fr", "bepo"}, {"da", "dk", NULL}, {"de-ch", "ch", NULL},
    {"en-gb", "gb", NULL}, {"en-us", "us", NULL},  {"et", "ee", NULL}, {"fr-be", "be", NULL},
    {"fr-ca", "ca", NULL}, {"fr-ch", "ch", "fr"},  {"ja", "jp", NULL}, {"nl-be", "be", NULL},
    {"pt-br", "br", NULL}, {"sl", "si", NULL},     {"sv", "se", NULL},
};

static const char *const layout_names[] = {
    "ar", "bepo",  "cz",    "da",    "de", "de-ch", "en-gb", "en-us", "es", "et", "fi", "fo",
    "fr", "fr-be", "fr-ca", "fr-ch", "hr", "hu",    "is",    "it",    "ja", "lt", "lv", "mk",
    "nl", "nl-be", "no",    "pl",    "pt", "pt-br", "ru",    "sl",    "sv", "th", "tr", NULL,
};

/* Linux' key codes of keys that give characters are scan codes of set 1, but for these two. */
enum { EVDEV_OFFSET = 8, EVDEV_RO = 89, EVDEV_YEN = 124, SCAN_RO = 0x73, SCAN_YEN = 0x7D, SCAN_LSGT = 0x56 };
enum { SCAN_FIRST = 0x02, SCAN_LAST = 0x35, SCAN_BACKSPACE = 0x0E, SCAN_TAB = 0x0F };

/* False: it cannot be one. */
static bool layout_split(const char *name, char layout[64], char variant[64])
{
    const char *open = strchr(name, '(');
    size_t length = open ? (size_t)(open - name) : strlen(name);

    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
        if (!strcmp(aliases[i].name, name)) {
            strcpy(layout, aliases[i].layout);
            strcpy(variant, aliases[i].variant ? aliases[i].variant : "");
            return true;
        }
    if (!length || length > 63 ||
        (open && (strlen(open) < 3 || strlen(open) > 64 || open[strlen(open) - 1] != ')')))
        return false;
    memcpy(layout, name, length);
    layout[length] = variant[0] = '\0';
    if (open) {
        strcpy(variant, open + 1);
        variant[strlen(variant) - 1] = '\0';
    }
    return !strpbrk(layout, "/,:+") && !strpbrk(variant, "/,:+()");
}

/* The keys whose characters count: not the keypad's, which keymap.c knows. */
static uint8_t scan_code(xkb_keycode_t key)
{
    uint32_t code = key - EVDEV_OFFSET;

    if (code == EVDEV_RO)
        return SCAN_RO;
    if (code == EVDEV_YEN)
        return SCAN_YEN;
    if (code == SCAN_LSGT)
        return code;
    return code >= SCAN_FIRST && code <= SCAN_LAST && code != SCAN_BACKSPACE && code != SCAN_TAB ? code : 0;
}

struct layout_masks {
    xkb_mod_mask_t shift, altgr, caps;
};

static xkb_mod_mask_t layout_mask(struct xkb_keymap *xkb, const char *name)
{
    xkb_mod_index_t index = xkb_keymap_mod_get_index(xkb, name);

    return index < 32 ? (xkb_mod_mask_t)1 << index : 0;
}

/* Which of shift and AltGr, and nothing else, lead to a level of a key; KEYMAP_LEVELS: none do. *caps: Caps
 * Lock alone leads there. */
static unsigned layout_level(struct xkb_keymap *xkb, xkb_keycode_t key, xkb_level_index_t level,
                             const struct layout_masks *masks, bool *caps)
{
    xkb_mod_mask_t found[16];
    size_t count = xkb_keymap_key_get_mods_for_level(xkb, key, 0, level, found, 16);
    unsigned modifiers = KEYMAP_LEVELS;

    *caps = false;
    for (size_t i = 0; i < count; i++) {
        *caps |= found[i] == masks->caps;
        if (modifiers == KEYMAP_LEVELS && !(found[i] & ~(masks->shift | masks->altgr)))
            modifiers =
                (found[i] & masks->shift ? KEYMAP_SHIFT : 0) | (found[i] & masks->altgr ? KEYMAP_ALTGR : 0);
    }
    return modifiers;
}

static void layout_add(struct keymap *map, uint32_t character, uint8_t code, uint8_t level)
{
    if (character && map->count < KEYMAP_PLACES)
        map->places[map->count++] = (struct key_place){.character = character, .code = code, .level = level};
}

/* Both levels of a letter that Caps Lock works on are marked. */
static void layout_add_key(struct keymap *map, struct xkb_keymap *xkb, xkb_keycode_t key,
                           const struct layout_masks *masks)
{
    unsigned first = map->count;
    bool letter = false;

    for (xkb_level_index_t level = 0; level < xkb_keymap_num_levels_for_key(xkb, key, 0); level++) {
        const xkb_keysym_t *syms;
        int count = xkb_keymap_key_get_syms_by_level(xkb, key, 0, level, &syms);
        bool caps;
        unsigned modifiers = layout_level(xkb, key, level, masks, &caps);

        if (count != 1 || modifiers == KEYMAP_LEVELS)
            continue;
        layout_add(map, keymap_character(syms[0]), scan_code(key), modifiers);
        letter |= caps && modifiers == KEYMAP_SHIFT;
    }
    for (unsigned i = first; i < map->count; i++) {
        map->places[i].letter = letter && map->places[i].level <= KEYMAP_SHIFT;
        /* The key left of Z has four levels in each layout. */
        map->altgr |= map->places[i].level >= KEYMAP_ALTGR && map->places[i].code != SCAN_LSGT;
    }
}

static struct keymap *layout_read(struct xkb_keymap *xkb)
{
    struct keymap *map = calloc(1, sizeof(*map));
    struct layout_masks masks = {layout_mask(xkb, XKB_MOD_NAME_SHIFT), layout_mask(xkb, "Mod5"),
                                 layout_mask(xkb, XKB_MOD_NAME_CAPS)};

    for (xkb_keycode_t key = xkb_keymap_min_keycode(xkb); map && key <= xkb_keymap_max_keycode(xkb); key++)
        if (scan_code(key))
            layout_add_key(map, xkb, key, &masks);
    return map;
}

static struct keymap *layout_compile(const char *layout, const char *variant)
{
    struct xkb_context *context = xkb_context_new(XKB_CONTEXT_NO_ENVIRONMENT_NAMES);
    struct xkb_rule_names names = {
        .rules = "evdev", .model = "pc105", .layout = layout, .variant = variant, .options = ""};
    struct xkb_keymap *xkb = NULL;
    struct keymap *map = NULL;

    if (!context)
        return NULL;
    xkb_context_set_log_level(context, (enum xkb_log_level)0);
    xkb = xkb_keymap_new_from_names(context, &names, XKB_KEYMAP_COMPILE_NO_FLAGS);
    if (xkb) {
        map = layout_read(xkb);
        xkb_keymap_unref(xkb);
    }
    xkb_context_unref(context);
    return map;
}

static bool has_ascii(const struct keymap *map)
{
    for (uint32_t character = '!'; character < 0x7F; character++)
        if (!keymap_has(map, character))
            return false;
    return true;
}

struct keymap *keymap_open(const char *name, struct error *err)
{
    char layout[64], variant[64];
    struct keymap *map = layout_split(name, layout, variant) ? layout_compile(layout, variant) : NULL;
    const char *near = map ? NULL : error_nearest(name, layout_names);

    if (!map) {
        if (access(KEYMAP_DATA, R_OK) != 0)
            error_set(err, "-k %s: there are no keyboard layouts: %s is missing (Debian package xkb-data)",
                      name, KEYMAP_DATA);
        else
            error_set(err, "-k %s: no such keyboard layout%s%s%s", name, near ? "; did you mean " : "",
                      near ? near : "", near ? "?" : "");
        return NULL;
    }
    if (!has_ascii(map))
        map->latin = layout_compile("us", "");
    return map;
}

void keymap_close(struct keymap *map)
{
    if (!map)
        return;
    free(map->latin);
    free(map);
}

bool vnc_layout_check(const char *layout, struct error *err)
{
    struct keymap *map = keymap_open(layout, err);

    keymap_close(map);
    return map;
}
