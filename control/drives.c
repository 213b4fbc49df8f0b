/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which image goes into which slot, and which drive sits where. */
#include "control/drives.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "block/block.h"
#include "control/monitor.h"
#include "control/nodes.h"

enum interface { IF_IDE, IF_FLOPPY, IF_NONE };
enum { IDE_PLACES = 4, FLOPPY_PLACES = 2 };

/* One -drive as understood, or a default one. */
struct drive {
    const struct opts *opts;
    enum interface interface;
    unsigned index; /* place on its interface */
    bool cdrom;
    char id[64];
};

/* ---- options ---- */

static const char *const drive_keys[] = {"file",
                                         "if",
                                         "index",
                                         "bus",
                                         "unit",
                                         "media",
                                         "format",
                                         "cache",
                                         "id",
                                         "serial",
                                         "readonly",
                                         "read-only",
                                         "snapshot",
                                         "aio",
                                         "discard",
                                         "werror",
                                         "rerror",
                                         "detect-zeroes",
                                         "cache.direct",
                                         "cache.writeback",
                                         "cache.no-flush",
                                         "driver",
                                         "file.driver",
                                         "file.filename",
                                         "file.locking",
                                         "file.aio",
                                         "backing",
                                         "backing.driver",
                                         "backing.file.driver",
                                         "backing.file.filename",
                                         "offset",
                                         "size",
                                         NULL};

static bool apply_drive(struct options *o, const char *option, const char *arg, struct error *err)
{
    return options_collect(&o->drives, option, arg, NULL, drive_keys, err);
}

/* -hda FILE and its like: the file's name is taken as it is, commas and all. */
static bool add_file_drive(struct options *o, const char *option, const char *file, const char *interface,
                           const char *index, const char *media)
{
    struct opts *opts = opts_new(option, file);

    opts_add(opts, "file", file);
    opts_add(opts, "if", interface);
    opts_add(opts, "index", index);
    if (media)
        opts_add(opts, "media", media);
    options_add(&o->drives, opts);
    return true;
}

static bool apply_hd(struct options *o, const char *option, const char *arg, struct error *err)
{
    char index[2] = {'0' + option[3] - 'a', '\0'};

    return add_file_drive(o, option, arg, "ide", index, "disk");
}

static bool apply_fd(struct options *o, const char *option, const char *arg, struct error *err)
{
    char index[2] = {'0' + option[3] - 'a', '\0'};

    return add_file_drive(o, option, arg, "floppy", index, NULL);
}

static bool apply_cdrom(struct options *o, const char *option, const char *arg, struct error *err)
{
    return add_file_drive(o, option, arg, "ide", "2", "cdrom");
}

static bool apply_blockdev(struct options *o, const char *option, const char *arg, struct error *err)
{
    return options_collect_json(&o->blockdevs, option, arg, "driver", err);
}

const struct option drive_option_rows[] = {
    HEADING("Disks, CDs and floppies"),
    FUNCTION("cdrom", "FILE", apply_cdrom, "a CD in the second IDE channel's first drive (index=2)"),
    FUNCTION("hda", "FILE", apply_hd, "an IDE disk; -hdb, -hdc, -hdd are the other three"),
    FUNCTION("hdb", "FILE", apply_hd, NULL),
    FUNCTION("hdc", "FILE", apply_hd, NULL),
    FUNCTION("hdd", "FILE", apply_hd, NULL),
    FUNCTION("fda", "FILE", apply_fd, "a floppy; -fdb is the other drive"),
    FUNCTION("fdb", "FILE", apply_fd, NULL),
    FUNCTION(
        "drive",
        "[file=FILE][,if=ide|floppy|none][,index=N|,bus=N,unit=N][,media=disk|cdrom][,format=raw|qcow2|vpc][,"
        "readonly=on]"
        "[,snapshot=on][,id=ID][,serial=TEXT][,cache=MODE]",
        apply_drive, "a drive; if=none makes one that a -device names"),
    FUNCTION("blockdev",
             "driver=qcow2|vpc|raw|file|host_device|null-co,node-name=ID[,filename=FILE][,file=NODE|,file."
             "driver=...][,read-only=on]",
             apply_blockdev,
             "an image, or a part of one, that a -device or another node names; the JSON form is taken too"),
    FLAG("snapshot", snapshot, "writes go to temporary files and are forgotten at the end"),
    OPTIONS_END};

/* ---- understanding -drive ---- */

static bool parse_interface(const struct opts *opts, struct drive *drive, struct error *err)
{
    static const char *const known[] = {"ide", "floppy", "none", NULL};
    const char *text = opts_get(opts, "if");

    drive->interface = IF_IDE;
    if (!text || !strcmp(text, "ide"))
        return true;
    if (!strcmp(text, "floppy"))
        drive->interface = IF_FLOPPY;
    else if (!strcmp(text, "none"))
        drive->interface = IF_NONE;
    else
        return unknown_name(err, "interface", text, known) ||
               error_prefix(err, "%s %s", opts->option, opts->text);
    return true;
}

static bool parse_media(const struct opts *opts, struct drive *drive, struct error *err)
{
    const char *media = opts_get(opts, "media");

    drive->cdrom = media && !strcmp(media, "cdrom");
    if (drive->cdrom && drive->interface == IF_FLOPPY)
        return opts_error(opts, err, "a floppy drive takes no CD");
    return !media || drive->cdrom || !strcmp(media, "disk") ||
           opts_error(opts, err, "media takes disk or cdrom, not '%s'", media);
}

/* index=, or bus= and unit=, or the first free place. taken has a bit for each place. */
static bool choose_place(const struct opts *opts, struct drive *drive, unsigned *taken, struct error *err)
{
    bool ide = drive->interface == IF_IDE;
    unsigned places = ide ? IDE_PLACES : FLOPPY_PLACES, units = 2;
    uint64_t index = places, bus = 0, unit = 0;

    if (!opts_number(opts, "index", 0, places - 1, &index, err) ||
        !opts_number(opts, "bus", 0, places / units - 1, &bus, err) ||
        !opts_number(opts, "unit", 0, units - 1, &unit, err))
        return false;
    if (opts_get(opts, "index") && (opts_get(opts, "bus") || opts_get(opts, "unit")))
        return opts_error(opts, err, "index and bus or unit exclude each other");
    if (opts_get(opts, "bus") || opts_get(opts, "unit"))
        index = bus * units + unit;
    /* By default a CD goes where -cdrom puts it. */
    if (index == places && drive->cdrom && !(*taken & 1 << 2))
        index = 2;
    if (index == places)
        for (index = 0; index < places && *taken & 1 << index;)
            index++;
    if (index == places)
        return opts_error(opts, err, "all %u places of this kind are taken", places);
    if (*taken & 1 << index)
        return opts_error(opts, err, "another drive is at index %u already", (unsigned)index);
    *taken |= 1 << index;
    drive->index = index;
    return true;
}

static void choose_id(const struct opts *opts, struct drive *drive, size_t nth)
{
    const char *id = opts_get(opts, "id");

    if (id)
        snprintf(drive->id, sizeof(drive->id), "%s", id);
    else if (drive->interface == IF_IDE)
        snprintf(drive->id, sizeof(drive->id), "ide%u-%s%u", drive->index / 2, drive->cdrom ? "cd" : "hd",
                 drive->index % 2);
    else if (drive->interface == IF_FLOPPY)
        snprintf(drive->id, sizeof(drive->id), "floppy%u", drive->index);
    else
        snprintf(drive->id, sizeof(drive->id), "none%zu", nth);
}

/* Words of which hvm-dm knows one meaning only, or that change nothing here. */
static bool check_tuning(const struct opts *opts, struct error *err)
{
    static const struct {
        const char *key, *values;
    } tunings[] = {
        {"cache", " none writeback writethrough directsync unsafe "},
        {"aio", " threads native io_uring "},
        {"discard", " ignore off unmap on "},
        {"detect-zeroes", " off on unmap "},
        {"werror", " report ignore stop enospc "},
        {"rerror", " report ignore stop "},
    };

    for (size_t i = 0; i < sizeof(tunings) / sizeof(tunings[0]); i++) {
        const char *value = opts_get(opts, tunings[i].key);
        char word[32];

        snprintf(word, sizeof(word), " %.24s ", value ? value : "");
        if (value && !strstr(tunings[i].values, word))
            return opts_error(opts, err, "%s takes one of:%snot '%s'", tunings[i].key, tunings[i].values,
                              value);
    }
    return true;
}

static bool cache_is(const struct opts *opts, const char *one, const char *other)
{
    const char *cache = opts_get(opts, "cache");

    return cache && (!strcmp(cache, one) || !strcmp(cache, other));
}

/* What is the image's node's own to understand. */
static json_t *node_words(const struct opts *opts, bool direct)
{
    static const char *const kept[] = {
        "detect-zeroes",  "file.driver",         "file.locking",          "file.aio", "backing",
        "backing.driver", "backing.file.driver", "backing.file.filename", "offset",   "size"};
    json_t *words = json_pack("{s:b}", "cache.direct", direct);

    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        if (opts_get(opts, kept[i]))
            json_object_set_new(words, kept[i], json_string(opts_get(opts, kept[i])));
    if (opts_get(opts, "aio"))
        json_object_set_new(words, "file.aio", json_string(opts_get(opts, "aio")));
    return words;
}

static enum block_on_error on_error(const char *word, enum block_on_error usual)
{
    if (!word)
        return usual;
    return !strcmp(word, "stop")     ? BLOCK_STOP
           : !strcmp(word, "ignore") ? BLOCK_IGNORE
           : !strcmp(word, "enospc") ? BLOCK_ENOSPC
                                     : BLOCK_REPORT;
}

/* What the words about caching and discarding mean; those that take one of a few are known to be good. */
static bool apply_tuning(const struct opts *opts, struct block_options *options, json_t **words,
                         struct error *err)
{
    const char *discard = opts_get(opts, "discard");
    bool direct = cache_is(opts, "none", "directsync"),
         writeback = !cache_is(opts, "writethrough", "directsync");

    options->no_flush = cache_is(opts, "unsafe", "unsafe");
    options->keep_allocated = discard && (!strcmp(discard, "ignore") || !strcmp(discard, "off"));
    if (!opts_bool(opts, "cache.direct", &direct, err) ||
        !opts_bool(opts, "cache.writeback", &writeback, err) ||
        !opts_bool(opts, "cache.no-flush", &options->no_flush, err))
        return false;
    options->write_through = !writeback;
    options->on_read_error = on_error(opts_get(opts, "rerror"), BLOCK_REPORT);
    options->on_write_error = on_error(opts_get(opts, "werror"), BLOCK_ENOSPC);
    options->more = *words = node_words(opts, direct);
    return true;
}

/* ---- slots ---- */

bool drives_removable(const char *driver)
{
    return driver && (!strcmp(driver, "ide-cd") || !strcmp(driver, "floppy"));
}

/* Which kind of drive a -device puts on the slot; NULL: none, or a disk. */
static const char *removable_user(const struct control *c, const char *id)
{
    const struct opts_list *devices = &c->options.devices;

    for (size_t i = 0; i < devices->count; i++) {
        const char *driver = opts_get(devices->items[i], "driver"),
                   *drive = opts_get(devices->items[i], "drive");

        if (drive && !strcmp(drive, id) && drives_removable(driver))
            return driver;
    }
    return NULL;
}

static void tray_moved(void *opaque, struct block *block, bool open)
{
    const char *owner = block_owner(block) ? block_owner(block) : "";

    qmp_event(opaque, "DEVICE_TRAY_MOVED",
              json_pack("{s:s, s:b, s:s}", "device", block_id(block), "tray-open", open, "id", owner));
}

/* The guest waits, if that is wished, until somebody saw to the disk and says cont. */
static void medium_failed(void *opaque, struct block *block, enum block_op op, int error,
                          enum block_on_error action)
{
    static const char *const actions[] = {"report", "ignore", "stop"};
    struct control *c = opaque;

    qmp_event(c, "BLOCK_IO_ERROR",
              json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:s}", "device", block_id(block), "node-name",
                        block_present(block) ? block_node(block)->name : "", "qom-path",
                        block_owner(block) ? block_owner(block) : "", "operation",
                        op == BLOCK_READ ? "read" : "write", "action", actions[action], "nospace",
                        error == ENOSPC, "reason", strerror(error)));
    if (action == BLOCK_STOP)
        machine_pause_for_io(&c->m);
}

static bool open_slot(struct control *c, const struct opts *opts, const char *id,
                      struct block_options *options, struct error *err)
{
    struct block *block;

    if (block_find(c->backends.blocks, id))
        return opts_error(opts, err, "the id '%s' is taken", id);
    if (c->options.snapshot)
        options->snapshot = true;
    block = block_open(&c->m.loop, id, options, err);
    if (!block)
        return error_prefix(err, "%s", opts->option);
    block_link(&c->backends.blocks, block);
    block_watch_tray(block, tray_moved, c);
    block_watch_errors(block, medium_failed, c);
    return true;
}

static bool open_drive(struct control *c, const struct drive *drive, struct error *err)
{
    const struct opts *opts = drive->opts;
    const char *user = removable_user(c, drive->id);
    bool cd = drive->cdrom || (user && !strcmp(user, "ide-cd")), good;
    json_t *words = NULL;
    struct block_options options = {
        .file = opts_get(opts, opts_get(opts, "file.filename") ? "file.filename" : "file"),
        .graph = &c->nodes,
        .format = opts_get(opts, "format") ? opts_get(opts, "format") : opts_get(opts, "driver"),
        .read_only = cd,
        .removable = cd || user || drive->interface == IF_FLOPPY,
        .serial = opts_get(opts, "serial"),
    };

    if (options.file && !options.file[0])
        options.file = NULL;
    if (!options.file && drive->interface == IF_NONE)
        options.removable = true;
    if (!options.file && !options.removable)
        return opts_error(opts, err, "a disk needs file=");
    good = opts_bool(opts, "readonly", &options.read_only, err) &&
           opts_bool(opts, "read-only", &options.read_only, err) &&
           opts_bool(opts, "snapshot", &options.snapshot, err) && check_tuning(opts, err) &&
           apply_tuning(opts, &options, &words, err) && open_slot(c, opts, drive->id, &options, err);
    json_decref(words);
    return good;
}

/* A medium of -blockdev: the drive is called as the node is. */
static bool open_node_slot(struct control *c, const struct opts *opts, struct error *err)
{
    const char *name = opts_get(opts, "node-name"), *user = removable_user(c, name);
    struct node *node = nodes_take_medium(c, name);
    struct block_options options = {.node = node, .removable = user};
    bool good;

    if (!node)
        return true;
    options.read_only = node->read_only;
    good = open_slot(c, opts, name, &options, err);
    node_unref(node);
    return good;
}

/* ---- all of them ---- */

static bool understand(struct control *c, struct drive *drive, const struct opts *opts, unsigned taken[2],
                       struct error *err)
{
    drive->opts = opts;
    if (!parse_interface(opts, drive, err) || !parse_media(opts, drive, err))
        return false;
    if (drive->interface != IF_NONE && !choose_place(opts, drive, &taken[drive->interface], err))
        return false;
    choose_id(opts, drive, c->drive_count);
    c->drive_count++;
    return true;
}

/* Drives that say where they sit come first, so that the others find what is free, whatever the order. */
static bool understand_all(struct control *c, unsigned taken[2], struct error *err)
{
    const struct opts_list *list = &c->options.drives;

    for (unsigned round = 0; round < 2; round++)
        for (size_t i = 0; i < list->count; i++) {
            const struct opts *opts = list->items[i];
            bool placed = opts_get(opts, "index") || opts_get(opts, "bus") || opts_get(opts, "unit");

            if (placed == (round == 0) && !understand(c, &c->drives[c->drive_count], opts, taken, err))
                return false;
        }
    return true;
}

static bool any_cdrom(const struct control *c)
{
    for (size_t i = 0; i < c->drive_count; i++)
        if (c->drives[i].cdrom)
            return true;
    return options_name_device(&c->options, "ide-cd") || options_name_device(&c->options, "ide-hd");
}

/* An empty CD drive and an empty floppy drive where people expect them, unless there is one or the place is
 * taken. */
static bool add_defaults(struct control *c, unsigned taken[2], struct error *err)
{
    static const char *const empty_cd[] = {"ide", "2", "cdrom"}, *const empty_floppy[] = {"floppy", "0",
                                                                                          "disk"};
    const char *const *wanted[2] = {NULL, NULL};

    if (!any_cdrom(c) && !(taken[IF_IDE] & 1 << 2))
        wanted[0] = empty_cd;
    if (!options_name_device(&c->options, "floppy") && !(taken[IF_FLOPPY] & 1 << 0))
        wanted[1] = empty_floppy;
    for (size_t i = 0; i < 2; i++) {
        struct opts *opts;

        if (!wanted[i])
            continue;
        opts = opts_new("default", "drive");
        opts_add(opts, "if", wanted[i][0]);
        opts_add(opts, "index", wanted[i][1]);
        opts_add(opts, "media", wanted[i][2]);
        if (!understand(c, &c->drives[c->drive_count], opts, taken, err))
            return false;
    }
    return true;
}

bool drives_open(struct control *c, struct error *err)
{
    const struct opts_list *nodes = &c->options.blockdevs;
    unsigned taken[2] = {0, 0};

    c->drives = xcalloc(c->options.drives.count + 2, sizeof(*c->drives));
    if (!understand_all(c, taken, err) || (!c->m.config.no_defaults && !add_defaults(c, taken, err)))
        return false;
    for (size_t i = 0; i < c->drive_count; i++)
        if (!open_drive(c, &c->drives[i], err))
            return false;
    if (!nodes_open(c, err))
        return false;
    for (size_t i = 0; i < nodes->count; i++)
        if (!open_node_slot(c, nodes->items[i], err))
            return false;
    return true;
}

static bool plug(struct control *c, const struct drive *drive, struct error *err)
{
    bool ide = drive->interface == IF_IDE;
    struct device *dev = device_new(&c->m, ide ? (drive->cdrom ? "ide-cd" : "ide-hd") : "floppy", err);
    char unit[4], bus[16];

    snprintf(unit, sizeof(unit), "%u", drive->index % 2);
    snprintf(bus, sizeof(bus), ide ? "ide.%u" : "floppy.0", drive->index / 2);
    if (!dev)
        return false;
    if (!device_set(dev, "drive", drive->id, err) || !device_set(dev, "unit", unit, err)) {
        device_discard(dev);
        return false;
    }
    return device_realize(dev, bus, err);
}

bool drives_plug(struct control *c, struct error *err)
{
    for (size_t i = 0; i < c->drive_count; i++) {
        const struct drive *drive = &c->drives[i];

        if (drive->interface != IF_NONE && !plug(c, drive, err))
            return error_prefix(err, "%s %s", drive->opts->option, drive->opts->text);
    }
    return true;
}

bool drives_give_slot(struct control *c, const struct opts *device, char id[64], struct error *err)
{
    const char *driver = opts_get(device, "driver"), *name = opts_get(device, "id");
    struct block_options options = {.removable = true, .read_only = !strcmp(driver, "ide-cd")};

    if (name)
        snprintf(id, 64, "%s", name);
    for (unsigned nth = 0; !name && (nth == 0 || block_find(c->backends.blocks, id)); nth++)
        snprintf(id, 64, "%.40s%u", driver, nth);
    return open_slot(c, device, id, &options, err);
}
