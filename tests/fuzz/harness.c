/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "block/block.h"
#include "char/chardev.h"
#include "console/console.h"
#include "hw/backends.h"
#include "machine/machine.h"
#include "machine/save.h"
#include "machine/vram.h"
#include "net/net.h"

enum {
    RAM_SIZE = 2 << 20,
    MAX_WINDOWS = 64,
    MAX_ACCESSES = 4000, /* for one input: no input takes long by its length alone */
};

struct input {
    const uint8_t *data;
    size_t left;
};

/* The wire of network cards: what is sent is looked at and gone, frames come from the input. */
struct wire {
    bool full;
    size_t kept; /* length of the frame that the card had no room for, 0: none */
    uint8_t frame[2048];
    uint8_t sent[NET_MAX_LARGE];
};

struct window {
    enum space space;
    uint64_t base, size;
};

struct fuzz {
    struct machine m;
    struct backends backends;
    struct window windows[MAX_WINDOWS];
    unsigned window_count;
    struct window *last; /* the register written last */
    uint64_t last_offset;
    struct wire wire;
};

/* ---- the fuzzer's bytes; behind their end come zeros ---- */

static uint64_t take(struct input *in, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes && in->left > 0; i++, in->left--)
        value |= (uint64_t)*in->data++ << 8 * i;
    return value;
}

/* ---- the machine ---- */

/* Nobody runs the guest and nobody listens to its interrupts. */
static const struct accel_ops no_accel = {.name = "fuzz"};

static void __attribute__((noreturn)) give_up(const struct error *err)
{
    fprintf(stderr, "the fuzzer's machine cannot be made: %s\n", err->text);
    exit(2);
}

static const char *image_path(const char *name, off_t size)
{
    static char path[64];

    snprintf(path, sizeof(path), "/tmp/hvm-dm-fuzz-%d-%s", getpid(), name);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, size) < 0) {
        perror(path);
        exit(2);
    }
    close(fd);
    return path;
}

static void add_slot(struct machine *m, const char *name, off_t size, bool removable, bool read_only)
{
    struct block_options options = {.removable = removable, .read_only = read_only};
    struct error err = {0};

    options.file = image_path(name, size);
    struct block *block = block_open(&m->loop, name, &options, &err);
    unlink(options.file);
    if (!block)
        give_up(&err);
    block_link(&m->backends->blocks, block);
}

/* Where a serial line's bytes go: nowhere. */
static void add_line(struct machine *m)
{
    const struct chardev_options options = {.backend = "null", .fd = -1};
    struct error err = {0};
    struct chardev *chr = chardev_open(&m->loop, "line", &options, &err);

    if (!chr)
        give_up(&err);
    chardev_link(&m->backends->chardevs, chr);
}

static bool wants(const char *key, const char *value)
{
    for (const struct fuzz_device *d = fuzz_target.devices; d->name; d++)
        for (unsigned i = 0; i + 1 < FUZZ_PROPERTIES && d->properties[i]; i += 2)
            if (strcmp(d->properties[i], key) == 0 && strcmp(d->properties[i + 1], value) == 0)
                return true;
    return false;
}

/* What net.h promises to wires of a frame. */
static bool frame_keeps_contract(const struct net_port *port, const struct net_frame *frame)
{
    size_t sum_place = (size_t)frame->checksum_start + frame->checksum_offset;

    if (!frame->length || ((frame->cut || frame->needs_checksum) && !port->offloads))
        return false;
    if (!frame->cut)
        return frame->length <= NET_MAX_FRAME;
    return frame->length <= NET_MAX_LARGE && frame->needs_checksum && frame->payload &&
           frame->headers < frame->length && frame->headers + frame->payload <= NET_MAX_FRAME &&
           sum_place + 2 <= frame->headers;
}

static bool wire_send(struct net_port *port, const struct net_frame *frame)
{
    struct wire *wire = port->wire_data;

    if (!frame_keeps_contract(port, frame))
        abort();
    memcpy(wire->sent, frame->data, frame->length); /* all of it can be read */
    return !wire->full;
}

static void wire_resume(struct net_port *port)
{
    struct wire *wire = port->wire_data;

    if (wire->kept && net_deliver(port, wire->frame, wire->kept))
        wire->kept = 0;
}

static void wire_close(struct net_port *port)
{
}

static void add_wire(struct fuzz *f)
{
    static const struct net_wire kind = {
        .kind = "fuzz", .send = wire_send, .resume = wire_resume, .close = wire_close};
    struct net_port *port = net_port_new(&f->m.loop, "wire", &kind, &f->wire);
    struct error err = {.text = "out of memory"};

    if (!port)
        give_up(&err);
    net_link_port(&f->backends.nets, port);
}

static void make_device(struct machine *m, const struct fuzz_device *d)
{
    struct error err = {0};
    struct device *dev = device_new(m, d->name, &err);

    for (unsigned i = 0; dev && i + 1 < FUZZ_PROPERTIES && d->properties[i]; i += 2)
        if (!device_set(dev, d->properties[i], d->properties[i + 1], &err))
            give_up(&err);
    if (!dev || !device_realize(dev, d->bus, &err))
        give_up(&err);
}

/* Puts the BARs of every function one behind the other and enables them: once at the start, and again when
 * asked. */
static void place_bars(struct machine *m)
{
    uint64_t io = FUZZ_FIRST_IO, mem = FUZZ_FIRST_MEM;

    for (unsigned devfn = 0; devfn < 256; devfn++) {
        struct pci_device *pci = m->pci.functions[devfn];
        for (unsigned i = 0; pci && i < PCI_BARS; i++) {
            struct region *region = pci->bars[i].region;
            bool is_io = pci->bars[i].kind == PCI_BAR_IO;
            if (pci->bars[i].kind == PCI_BAR_NONE || !region)
                continue;
            uint64_t *next = is_io ? &io : &mem, step = is_io || region->size > 4096 ? region->size : 4096;
            uint64_t addr = (*next + step - 1) & ~(step - 1);
            *next = addr + step;
            pci_config_write(&m->pci, devfn, i == PCI_ROM_BAR ? PCI_ROM_ADDRESS : PCI_BAR0 + 4 * i, 4,
                             addr | (i == PCI_ROM_BAR));
        }
        if (pci)
            pci_config_write(&m->pci, devfn, PCI_COMMAND, 2, 7);
    }
}

/* Everything on the bus that is not RAM. */
static void find_windows(struct fuzz *f)
{
    for (enum space space = 0; space < SPACES; space++) {
        struct flat_view *view = &f->m.bus.spaces[space].view;
        for (size_t i = 0; i < view->count && f->window_count < MAX_WINDOWS; i++) {
            struct flat_range *range = &view->ranges[i];
            if (!(range->region->flags & REGION_GUEST_RAM))
                f->windows[f->window_count++] =
                    (struct window){space, range->start, range->end - range->start};
        }
    }
}

static struct fuzz *start_machine(void)
{
    static const struct machine_config config = {.name = "", .ram_size = RAM_SIZE, .cpus = 1, .max_cpus = 1};
    struct fuzz *f = calloc(1, sizeof(*f));
    struct error err = {0};

    if (!f || !machine_init(&f->m, &config, &no_accel, CLOCK_MANUAL, &err))
        give_up(&err);
    pci_bus_init(&f->m.pci, &f->m);
    backends_init(&f->backends, &f->m);
    if (fuzz_target.needs & FUZZ_CONSOLE)
        f->backends.console = console_new(&f->m.loop);
    if (wants("drive", "disk"))
        add_slot(&f->m, "disk", 1 << 20, false, false);
    if (wants("drive", "cd"))
        add_slot(&f->m, "cd", 1 << 20, true, true);
    if (wants("drive", "floppy"))
        add_slot(&f->m, "floppy", 1474560, true, false);
    if (wants("netdev", "wire"))
        add_wire(f);
    if (wants("chardev", "line"))
        add_line(&f->m);
    for (const struct fuzz_device *d = fuzz_target.devices; d->name; d++)
        make_device(&f->m, d);
    machine_reset(&f->m);
    place_bars(&f->m);
    find_windows(f);
    return f;
}

/* What is under way comes to its end: transfers, posted work, a reset that was asked for. */
static void settle(struct machine *m)
{
    for (struct block *b = m->backends->blocks; b; b = (struct block *)block_next(b))
        block_drain(b);
    for (unsigned i = 0; i < 4; i++)
        loop_once(&m->loop, false);
}

static void stop_machine(struct fuzz *f)
{
    struct machine *m = &f->m;
    struct block *blocks = m->backends->blocks, *next;

    settle(m);
    /* The devices go first, the things that they use afterwards, the loop last: as in the product. */
    while (m->devices) {
        struct device *last = m->devices;
        while (last->next)
            last = last->next;
        device_delete(last);
    }
    for (; blocks; blocks = next) {
        next = block_next(blocks);
        block_close(blocks);
    }
    if (m->backends->nets)
        net_close(m->backends->nets);
    if (m->backends->chardevs)
        chardev_close(m->backends->chardevs);
    if (m->backends->console)
        console_free(m->backends->console);
    machine_destroy(m);
    free(f);
}

/* ---- from bytes to accesses ---- */

static struct window *any_window(struct fuzz *f, struct input *in)
{
    return &f->windows[take(in, 1) % f->window_count];
}

static uint64_t any_offset(struct input *in, const struct window *w)
{
    return w->size <= 256 ? take(in, 1) % w->size : take(in, 3) % w->size;
}

/* A register's value: as it comes, an address in RAM, at its end, or one in a window. */
static uint64_t any_value(struct fuzz *f, struct input *in, unsigned size)
{
    uint8_t kind = size >= 4 ? take(in, 1) : 0;

    switch (kind & 7) {
    case 1:
    case 2:
        return take(in, 2) << 4;
    case 3:
        return RAM_SIZE - (kind >> 3);
    case 4: {
        struct window *w = any_window(f, in);
        return w->base + take(in, 1) % w->size;
    }
    default:
        return take(in, size);
    }
}

static void read_window(struct fuzz *f, struct input *in, unsigned size)
{
    struct window *w = any_window(f, in);

    bus_read(&f->m.bus, w->space, w->base + any_offset(in, w), size);
}

static void write_window(struct fuzz *f, struct input *in, unsigned size)
{
    struct window *w = any_window(f, in);
    uint64_t offset = any_offset(in, w);

    f->last = w;
    f->last_offset = offset;
    bus_write(&f->m.bus, w->space, w->base + offset, size, any_value(f, in, size));
}

/* The same register again and again: a command of several bytes, or its answer. */
static void last_window(struct fuzz *f, struct input *in, bool write, unsigned size)
{
    unsigned count = take(in, 1) % 16;

    for (; f->last && count > 0; count--)
        if (write)
            bus_write(&f->m.bus, f->last->space, f->last->base + f->last_offset, size, take(in, size));
        else
            bus_read(&f->m.bus, f->last->space, f->last->base + f->last_offset, size);
}

/* String forms: a data port for ports, ascending addresses for memory. */
static void block_window(struct fuzz *f, struct input *in, bool write, unsigned size)
{
    uint8_t data[4096];
    struct window *w = any_window(f, in);
    uint64_t addr = w->base + any_offset(in, w);
    unsigned count = take(in, 2) % (sizeof(data) / size);

    memset(data, take(in, 1), sizeof(data));
    if (w->space == SPACE_MEM && write)
        bus_write_mem(&f->m.bus, addr, data, count);
    else if (w->space == SPACE_MEM)
        bus_read_mem(&f->m.bus, addr, data, count);
    else if (write)
        bus_write_block(&f->m.bus, SPACE_PORT, addr, size, data, count);
    else
        bus_read_block(&f->m.bus, SPACE_PORT, addr, size, data, count);
}

/* A descriptor or table in RAM, made of values like those of registers. */
static void write_ram(struct fuzz *f, struct input *in)
{
    uint64_t addr = take(in, 2) << 4;

    for (unsigned words = 1 + take(in, 1) % 8; words > 0; words--, addr += 4)
        bus_write(&f->m.bus, SPACE_MEM, addr, 4, any_value(f, in, 4));
}

static void config_access(struct fuzz *f, struct input *in, bool write, unsigned size)
{
    uint8_t offset = take(in, 1);

    for (unsigned devfn = 0; devfn < 256; devfn++) {
        if (!f->m.pci.functions[devfn])
            continue;
        if (write)
            pci_config_write(&f->m.pci, devfn, offset, size, any_value(f, in, size));
        else
            pci_config_read(&f->m.pci, devfn, offset, size);
    }
}

static void person(struct fuzz *f, struct input *in)
{
    struct console *con = f->backends.console;
    uint8_t what = take(in, 1);

    if (!con)
        return;
    if (what & 1)
        console_key(con, take(in, 1) | (what & 2 ? 0xE000 : 0), what & 4);
    else if (what & 2)
        console_pointer_relative(con, (int8_t)take(in, 1), (int8_t)take(in, 1), (int8_t)(what >> 4) - 8,
                                 what >> 2);
    else
        console_refresh(con);
}

static void any_frame(struct wire *wire, struct input *in, uint8_t what)
{
    static const uint8_t to[4][6] = {
        {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, {FUZZ_MAC_INITIALS}, {1, 0, 0x5E, 0, 0, 1}};

    memset(wire->frame, take(in, 1), sizeof(wire->frame));
    memcpy(wire->frame, to[what & 3], 6);
    if ((what & 3) == 3)
        for (unsigned i = 0; i < 16; i++)
            wire->frame[i] = take(in, 1);
}

/* A frame from the wire, or the wire itself changes. */
static void network(struct fuzz *f, struct input *in)
{
    struct net_port *port = f->backends.nets;
    struct wire *wire = &f->wire;
    uint8_t what = take(in, 1);
    size_t length;

    if (!port || wire->kept)
        return;
    if (what < 4) {
        net_set_link(port, what & 1);
    } else if (what < 8) {
        port->offloads = what & 1;
    } else if (what < 16) {
        wire->full = what & 1;
        if (!wire->full)
            net_sent(port);
    } else {
        any_frame(wire, in, what);
        length = what & 4 ? 60 : take(in, 2) % 1600;
        if (!net_deliver(port, wire->frame, length))
            wire->kept = length;
    }
}

/* Where the sections begin: behind mark, version, and the lines that say what the machine is. */
static size_t first_section(const struct state_writer *w)
{
    struct state_reader r = {.data = w->data, .size = w->size, .at = 12};

    return 16 + state_get(&r, 4);
}

/* The machine's own state with some bytes changed, as an attacker would: with the right checksum. It is
 * refused, or the guest goes on with it. */
static void another_state(struct fuzz *f, struct input *in)
{
    struct state_writer w = {.data = NULL};
    struct error err;
    size_t from;

    settle(&f->m);
    if (machine_save(&f->m, &w, &err)) {
        from = first_section(&w);
        for (unsigned changes = take(in, 1) % 8; changes > 0; changes--) {
            size_t at = from + take(in, 3) % (w.size - 4 - from);

            w.data[at] = take(in, 1);
        }
        w.size -= 4;
        state_put(&w, crc32(0, w.data, w.size), 4);
        machine_load(&f->m, w.data, w.size, &err);
        machine_run(&f->m);
    }
    state_writer_free(&w);
}

static void one_access(struct fuzz *f, struct input *in)
{
    static const uint8_t sizes[4] = {1, 2, 4, 8};
    uint8_t op = take(in, 1);
    unsigned size = sizes[op >> 6], small = size == 8 ? 4 : size;

    switch (op & 0x1F) {
    default:
        write_window(f, in, small);
        break;
    case 0x0E:
    case 0x0F:
        network(f, in);
        break;
    case 0x0C:
        last_window(f, in, true, small);
        break;
    case 0x0D:
        last_window(f, in, false, small);
        break;
    case 0x10:
    case 0x11:
    case 0x12:
    case 0x13:
        read_window(f, in, size);
        break;
    case 0x14:
        block_window(f, in, true, small);
        break;
    case 0x15:
        block_window(f, in, false, small);
        break;
    case 0x16:
    case 0x17:
        write_ram(f, in);
        break;
    case 0x18:
        config_access(f, in, true, small);
        break;
    case 0x19:
        config_access(f, in, false, small);
        break;
    case 0x1A:
        place_bars(&f->m);
        break;
    case 0x1B:
        clock_advance(&f->m.clock, clock_now(&f->m.clock) + (int64_t)(take(in, 2) << (op >> 5) * 3));
        break;
    case 0x1C:
        settle(&f->m);
        break;
    case 0x1D:
        loop_once(&f->m.loop, false);
        break;
    case 0x1E:
        person(f, in);
        break;
    case 0x1F:
        if (op == 0xFF)
            machine_reset(&f->m);
        else if (op >= 0x7F)
            another_state(f, in);
        break;
    }
}

void fuzz_packet(struct bus *bus, uint64_t at, unsigned length, uint8_t protocol)
{
    const uint8_t headers[54] = {FUZZ_MAC_INITIALS,
                                 [6] = 2,
                                 [12] = 8,
                                 [14] = 0x45,
                                 [16] = (length - 14) >> 8,
                                 [17] = (uint8_t)(length - 14),
                                 [22] = 64,
                                 [23] = protocol,
                                 [26] = 10,
                                 [29] = 1,
                                 [30] = 10,
                                 [33] = 2,
                                 [38] = protocol == 6 ? 0 : (length - 34) >> 8,
                                 [39] = protocol == 6 ? 0 : (uint8_t)(length - 34),
                                 [46] = 0x50};

    bus_write_mem(bus, at, headers, sizeof(headers));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct fuzz *f = start_machine();

    if (fuzz_target.prepare)
        fuzz_target.prepare(&f->m.bus, take(&in, 1));
    for (unsigned i = 0; i < MAX_ACCESSES && in.left > 0; i++)
        one_access(f, &in);
    stop_machine(f);
    return 0;
}
