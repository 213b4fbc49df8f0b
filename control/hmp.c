/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A thin layer over QMP. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "block/block.h"
#include "char/chardev.h"
#include "control/hmp.h"
#include "control/keys.h"
#include "control/opts.h"
#include "control/qmp.h"
#include "hw/usb/usb.h"
#include "net/wires.h"

enum { WORDS_MAX = 8, PROMPT_LINE_MAX = 4096 };

struct hmp {
    struct control *c;
    char *words[WORDS_MAX + 1]; /* NULL behind the last */
    FILE *out;
};

/* Runs a QMP command, arguments stolen; what failed is printed. The result, NULL: it failed; caller decrefs.
 */
static json_t *hmp_run(struct hmp *h, const char *name, json_t *args)
{
    struct qmp_call call = {.c = h->c, .args = args ? args : json_object()};
    bool ok = qmp_run(&call, name);

    json_decref(call.args);
    if (ok)
        return call.result ? call.result : json_object();
    fprintf(h->out, "Error: %s\r\n", call.err.text);
    json_decref(call.result);
    return NULL;
}

static void run_only(struct hmp *h, const char *name, json_t *args)
{
    json_decref(hmp_run(h, name, args));
}

static const char *text(json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "";
}

/* ---- info ---- */

static void info_status(struct hmp *h)
{
    json_t *status = hmp_run(h, "query-status", NULL);
    const char *name = text(status, "status");

    if (json_is_true(json_object_get(status, "running")) || !strcmp(name, "paused"))
        fprintf(h->out, "VM status: %s\r\n", name);
    else
        fprintf(h->out, "VM status: paused (%s)\r\n", name);
    json_decref(status);
}

static void info_version(struct hmp *h)
{
    fprintf(h->out, "hvm-dm " HVM_DM_VERSION "\r\n");
}

static void info_name(struct hmp *h)
{
    if (h->c->m.config.name[0])
        fprintf(h->out, "%s\r\n", h->c->m.config.name);
}

static void info_kvm(struct hmp *h)
{
    fprintf(h->out, "kvm support: %s\r\n", strcmp(h->c->m.accel->name, "kvm") ? "disabled" : "enabled");
}

static void info_block(struct hmp *h)
{
    for (struct block *b = h->c->backends.blocks; b; b = block_next(b)) {
        if (b != h->c->backends.blocks)
            fprintf(h->out, "\r\n");
        if (block_present(b))
            fprintf(h->out, "%s: %s (%s%s)\r\n", block_id(b), block_file(b), block_format(b),
                    block_read_only(b) ? ", read-only" : "");
        else
            fprintf(h->out, "%s: [not inserted]\r\n", block_id(b));
        if (block_owner(b))
            fprintf(h->out, "    Attached to:      %s\r\n", block_owner(b));
        if (block_removable(b))
            fprintf(h->out, "    Removable device: %slocked, tray %s\r\n", block_locked(b) ? "" : "not ",
                    block_tray_open(b) ? "open" : "closed");
    }
}

static void info_blockstats(struct hmp *h)
{
    for (struct block *b = h->c->backends.blocks; b; b = block_next(b)) {
        const struct block_stats *s = block_stats(b);

        fprintf(
            h->out,
            "%s: rd_bytes=%llu wr_bytes=%llu rd_operations=%llu wr_operations=%llu flush_operations=%llu\r\n",
            block_id(b), (unsigned long long)s->op[BLOCK_READ].bytes,
            (unsigned long long)s->op[BLOCK_WRITE].bytes, (unsigned long long)s->op[BLOCK_READ].operations,
            (unsigned long long)s->op[BLOCK_WRITE].operations,
            (unsigned long long)s->op[BLOCK_FLUSH].operations);
    }
}

static void info_chardev(struct hmp *h)
{
    for (struct chardev *chr = h->c->backends.chardevs; chr; chr = chardev_next(chr)) {
        char name[256];

        fprintf(h->out, "%s: filename=%s\r\n", chardev_id(chr), chardev_filename(chr, name, sizeof(name)));
    }
}

static void info_network(struct hmp *h)
{
    for (const struct net_port *port = h->c->backends.nets; port; port = port->next)
        fprintf(h->out, "%s: type=%s%s%s, link %s, %s%s\r\n", port->id, port->wire->kind,
                port->info ? "," : "", port->info ? port->info : "", port->link_up ? "up" : "down",
                port->owner ? "card " : "no card", port->owner ? port->owner : "");
}

static bool is_user(const struct net_port *port)
{
    return !strcmp(port->wire->kind, "user");
}

static void info_usernet(struct hmp *h)
{
    for (struct net_port *port = h->c->backends.nets; port; port = port->next) {
        char *connections = is_user(port) ? net_user_connections(port) : NULL, *rest = NULL;

        unsigned waiting;
        uint64_t lost;

        if (!connections)
            continue;
        net_user_count(port, &waiting, &lost);
        fprintf(h->out, "%s: %u frames wait for the card, %llu were lost\r\n", port->id, waiting,
                (unsigned long long)lost);
        for (char *line = strtok_r(connections, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
            fprintf(h->out, "%s\r\n", line);
        free(connections);
    }
}

static void info_mice(struct hmp *h)
{
    json_t *mice = hmp_run(h, "query-mice", NULL), *mouse;
    size_t i;

    json_array_foreach(mice, i, mouse)
    {
        fprintf(h->out, "%c Mouse #%d: %s%s\r\n", json_is_true(json_object_get(mouse, "current")) ? '*' : ' ',
                (int)json_integer_value(json_object_get(mouse, "index")), text(mouse, "name"),
                json_is_true(json_object_get(mouse, "absolute")) ? " (absolute)" : "");
    }
    json_decref(mice);
}

/* A line as QEMU has it, which libxl reads. */
static void info_usb(struct hmp *h)
{
    unsigned bus_number = 0;

    for (const struct bus_node *node = h->c->m.buses; node; node = node->next) {
        const struct usb_bus *bus = node->bus;

        if (node->ops != &usb_bus_ops)
            continue;
        for (unsigned i = 0; i < bus->ports; i++) {
            const struct usb_device *dev = bus->devices[i];

            if (dev)
                fprintf(h->out, "  Device %u.%u, Port %u, Speed %s Mb/s, Product %s%s%s\r\n", bus_number,
                        dev->address, dev->port_number,
                        usb_class_of(dev)->speed == USB_LOW_SPEED ? "1.5" : "12", usb_product(dev),
                        dev->dev.id ? ", ID: " : "", dev->dev.id ? dev->dev.id : "");
        }
        bus_number++;
    }
    if (!bus_number)
        fprintf(h->out, "there is no USB controller; -usb\r\n");
}

static void info_cpus(struct hmp *h)
{
    for (unsigned i = 0; i < h->c->m.config.cpus; i++)
        fprintf(h->out, "%s CPU #%u\r\n", i ? " " : "*", i);
}

static void info_vnc(struct hmp *h)
{
    json_t *vnc = hmp_run(h, "query-vnc", NULL), *client;
    size_t i;

    if (!json_is_true(json_object_get(vnc, "enabled"))) {
        fprintf(h->out, "None\r\n");
        json_decref(vnc);
        return;
    }
    fprintf(h->out, "default:\r\n  Server: %s:%s (%s)\r\n    Auth: %s\r\n", text(vnc, "host"),
            text(vnc, "service"), text(vnc, "family"), text(vnc, "auth"));
    json_array_foreach(json_object_get(vnc, "clients"), i, client)
    {
        fprintf(h->out, "  Client: %s:%s (%s)\r\n", text(client, "host"), text(client, "service"),
                text(client, "family"));
    }
    json_decref(vnc);
}

static void print_bar(struct hmp *h, const struct pci_device *dev, unsigned n)
{
    const struct pci_bar *bar = &dev->bars[n];
    bool io = bar->kind == PCI_BAR_IO;
    uint32_t base = pci_get32(dev, n == PCI_ROM_BAR ? PCI_ROM_ADDRESS : PCI_BAR0 + 4 * n);

    base &= io ? ~3u : n == PCI_ROM_BAR ? ~0x7FFu : ~0xFu;
    fprintf(h->out, "      BAR%u: %s at 0x%x [0x%x].\r\n", n,
            io                                  ? "I/O"
            : bar->kind == PCI_BAR_MEM_PREFETCH ? "32 bit prefetchable memory"
                                                : "32 bit memory",
            base, (uint32_t)(base + bar->region->size - 1));
}

static void info_pci(struct hmp *h)
{
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        const struct pci_device *dev = h->c->m.pci.functions[devfn];

        if (!dev || dev->removed)
            continue;
        fprintf(h->out, "  Bus  0, device %3u, function %u:\r\n    %s: PCI device %04x:%04x\r\n", devfn >> 3,
                devfn & 7, dev->dev.cls->description, pci_get16(dev, PCI_VENDOR_ID),
                pci_get16(dev, PCI_DEVICE_ID));
        if (dev->config[PCI_INTERRUPT_PIN])
            fprintf(h->out, "      IRQ %u, pin %c\r\n", dev->config[PCI_INTERRUPT_LINE],
                    'A' - 1 + dev->config[PCI_INTERRUPT_PIN]);
        for (unsigned n = 0; n < PCI_BARS; n++)
            if (dev->bars[n].kind != PCI_BAR_NONE)
                print_bar(h, dev, n);
        fprintf(h->out, "      id \"%s\"\r\n", dev->dev.id ? dev->dev.id : "");
    }
}

static void info_qtree(struct hmp *h)
{
    char place[DEVICE_PLACE];

    for (struct device *dev = h->c->m.devices; dev; dev = dev->next) {
        device_place(dev, place);
        fprintf(h->out, "dev: %s, id \"%s\", at %s\r\n", dev->cls->name, dev->id ? dev->id : "", place);
    }
}

static void info_mtree(struct hmp *h)
{
    static const char *const titles[SPACES] = {[SPACE_PORT] = "ports", [SPACE_MEM] = "memory"};

    for (unsigned space = 0; space < SPACES; space++) {
        const struct flat_view *view = &h->c->m.bus.spaces[space].view;

        fprintf(h->out, "%s:\r\n", titles[space]);
        for (size_t i = 0; i < view->count; i++)
            fprintf(h->out, "  %0*llx-%0*llx %s%s\r\n", space == SPACE_PORT ? 4 : 16,
                    (unsigned long long)view->ranges[i].start, space == SPACE_PORT ? 4 : 16,
                    (unsigned long long)view->ranges[i].end - 1, view->ranges[i].region->name,
                    view->ranges[i].region->host ? " (host memory)" : "");
    }
}

static const struct info {
    const char *name;
    void (*print)(struct hmp *h);
    const char *help;
} infos[] = {
    {"block", info_block, "drives and media"},
    {"blockstats", info_blockstats, "how much was read and written"},
    {"chardev", info_chardev, "lines: where serial ports and monitors end"},
    {"cpus", info_cpus, "processors"},
    {"kvm", info_kvm, "whether KVM runs the guest"},
    {"mice", info_mice, "pointers, and which one gets the events"},
    {"mtree", info_mtree, "what answers which address"},
    {"name", info_name, "the guest's name"},
    {"network", info_network, "networks and the cards on them"},
    {"usb", info_usb, "USB devices"},
    {"usernet", info_usernet, "connections of the user networks"},
    {"pci", info_pci, "PCI devices"},
    {"qtree", info_qtree, "all devices"},
    {"status", info_status, "whether the guest runs"},
    {"version", info_version, "this program's version"},
    {"vnc", info_vnc, "the VNC server and its viewers"},
};

static void info(struct hmp *h)
{
    for (size_t i = 0; i < COUNT(infos); i++)
        if (h->words[1] && !strcmp(infos[i].name, h->words[1])) {
            infos[i].print(h);
            return;
        }
    if (h->words[1])
        fprintf(h->out, "there is no 'info %s'; there are:\r\n", h->words[1]);
    for (size_t i = 0; i < COUNT(infos); i++)
        fprintf(h->out, "info %-12s %s\r\n", infos[i].name, infos[i].help);
}

/* ---- doing ---- */

static void hmp_cont(struct hmp *h)
{
    run_only(h, "cont", NULL);
}

static void hmp_stop(struct hmp *h)
{
    run_only(h, "stop", NULL);
}

static void hmp_system_reset(struct hmp *h)
{
    run_only(h, "system_reset", NULL);
}

static void hmp_system_powerdown(struct hmp *h)
{
    run_only(h, "system_powerdown", NULL);
}

static void hmp_quit(struct hmp *h)
{
    run_only(h, "quit", NULL);
}

/* eject [-f] DRIVE */
static void hmp_eject(struct hmp *h)
{
    bool force = h->words[1] && !strcmp(h->words[1], "-f");
    const char *drive = h->words[force ? 2 : 1];

    if (drive)
        run_only(h, "eject", json_pack("{s:s, s:b}", "id", drive, "force", force));
    else
        fprintf(h->out, "eject: which drive? (info block)\r\n");
}

/* change DRIVE FILE [FORMAT], change vnc password PASSWORD */
static void hmp_change(struct hmp *h)
{
    json_t *args;

    if (!h->words[1] || !h->words[2]) {
        fprintf(h->out, "change: which drive, to which file?\r\n");
        return;
    }
    args = json_pack("{s:s, s:s}", "device", h->words[1], "target", h->words[2]);
    if (h->words[3])
        json_object_set_new(args, "arg", json_string(h->words[3]));
    run_only(h, "change", args);
}

/* screendump FILE [-f png] */
static void hmp_screendump(struct hmp *h)
{
    const char *file = h->words[1];
    size_t length = file ? strlen(file) : 0;
    bool png = length > 4 && !strcmp(file + length - 4, ".png");

    if (h->words[1] && h->words[2] && !strcmp(h->words[2], "-f") && h->words[3])
        png = !strcmp(h->words[3], "png");
    if (file)
        run_only(h, "screendump", json_pack("{s:s, s:s}", "filename", file, "format", png ? "png" : "ppm"));
    else
        fprintf(h->out, "screendump: to which file?\r\n");
}

/* sendkey ctrl-alt-delete */
static void sendkey(struct hmp *h)
{
    uint16_t codes[KEYS_AT_ONCE];
    size_t count = 0;
    char *rest = NULL;

    for (char *name = h->words[1] ? strtok_r(h->words[1], "-", &rest) : NULL; name;
         name = strtok_r(NULL, "-", &rest)) {
        uint16_t code = key_by_name(name);

        if (!code || count == KEYS_AT_ONCE) {
            fprintf(h->out, code ? "sendkey: too many keys (%s)\r\n" : "sendkey: there is no key '%s'\r\n",
                    name);
            return;
        }
        codes[count++] = code;
    }
    if (count)
        keys_press(&h->c->hand, codes, count);
    else
        fprintf(h->out, "sendkey: which keys? (such as ctrl-alt-delete)\r\n");
}

/* The nth word as a number. */
static bool hmp_number(struct hmp *h, unsigned nth, long *value)
{
    char *end;

    if (!h->words[nth])
        return false;
    *value = strtol(h->words[nth], &end, 0);
    return *end == '\0' && *value >= -0x8000 && *value <= 0x7FFF;
}

/* mouse_move DX DY [DZ] */
static void mouse_move(struct hmp *h)
{
    long dx, dy, dz = 0;

    if (hmp_number(h, 1, &dx) && hmp_number(h, 2, &dy) && (!h->words[3] || hmp_number(h, 3, &dz)))
        console_pointer_relative(h->c->backends.console, dx, dy, -dz,
                                 hand_buttons(&h->c->hand, h->c->hand.buttons));
    else
        fprintf(h->out, "mouse_move: how far right and down?\r\n");
}

/* mouse_button STATE: 1 left, 2 middle, 4 right, added up */
static void mouse_button(struct hmp *h)
{
    unsigned buttons;
    long state;

    if (!hmp_number(h, 1, &state)) {
        fprintf(h->out, "mouse_button: which are down? (1 left, 2 middle, 4 right, added up)\r\n");
        return;
    }
    buttons =
        (state & 1 ? POINTER_LEFT : 0) | (state & 2 ? POINTER_MIDDLE : 0) | (state & 4 ? POINTER_RIGHT : 0);
    console_pointer_buttons(h->c->backends.console, 0, hand_buttons(&h->c->hand, buttons));
}

static void mouse_sync(struct hmp *h)
{
    run_only(h, "mouse_sync", NULL);
}

/* mouse_set INDEX */
static void mouse_set(struct hmp *h)
{
    long index;

    if (!hmp_number(h, 1, &index) || !console_select_pointer(h->c->backends.console, index))
        fprintf(h->out, "mouse_set: there is no such pointer (info mice)\r\n");
}

/* device_add DRIVER,PROPERTY=VALUE... */
static void hmp_device_add(struct hmp *h)
{
    struct error err;
    struct opts *opts = h->words[1] ? opts_parse("device_add", h->words[1], "driver", NULL, &err) : NULL;
    json_t *args;

    if (!opts) {
        fprintf(h->out, "device_add: %s\r\n", h->words[1] ? err.text : "which device?");
        return;
    }
    args = json_object();
    for (size_t i = 0; i < opts->count; i++)
        json_object_set_new(args, opts->pairs[i].key, json_string(opts->pairs[i].value));
    run_only(h, "device_add", args);
    opts_free(opts);
}

static void hmp_device_del(struct hmp *h)
{
    if (h->words[1])
        run_only(h, "device_del", json_pack("{s:s}", "id", h->words[1]));
    else
        fprintf(h->out, "device_del: which device's id?\r\n");
}

/* set_link NETWORK on|off */
static void hmp_set_link(struct hmp *h)
{
    const char *up = h->words[1] ? h->words[2] : NULL;

    if (up && (!strcmp(up, "on") || !strcmp(up, "off")))
        run_only(h, "set_link", json_pack("{s:s, s:b}", "name", h->words[1], "up", !strcmp(up, "on")));
    else
        fprintf(h->out, "set_link: which network or card, on or off?\r\n");
}

/* hostfwd_add [NETWORK] FORWARD, hostfwd_remove [NETWORK] LISTENER */
static void change_forward(struct hmp *h,
                           bool (*change)(struct net_port *port, const char *text, struct error *err))
{
    const char *id = h->words[1] && h->words[2] ? h->words[1] : NULL, *forward = h->words[id ? 2 : 1];
    struct net_port *port = h->c->backends.nets;
    struct error err;

    while (port && (!is_user(port) || (id && strcmp(port->id, id))))
        port = port->next;
    if (!forward || !port)
        fprintf(h->out, "%s: %s\r\n", h->words[0], port ? "which?" : "there is no such user network");
    else if (!change(port, forward, &err))
        fprintf(h->out, "Error: %s\r\n", err.text);
}

static void hostfwd_add(struct hmp *h)
{
    change_forward(h, net_user_add_forward);
}

static void hostfwd_remove(struct hmp *h)
{
    change_forward(h, net_user_remove_forward);
}

static void help(struct hmp *h);

static const struct command {
    const char *name, *args, *help;
    void (*run)(struct hmp *h);
} commands[] = {
    {"change", "DRIVE FILE",
     "put another medium into a drive; change vnc password TEXT: the viewers' password", hmp_change},
    {"cont", "", "run the guest", hmp_cont},
    {"c", "", NULL, hmp_cont},
    {"device_add", "DEVICE[,PROPERTY=VALUE]...", "plug a device in (USB)", hmp_device_add},
    {"device_del", "ID", "unplug it", hmp_device_del},
    {"eject", "[-f] DRIVE", "take the medium out of a drive; -f: even if the guest locked it", hmp_eject},
    {"help", "", "this list", help},
    {"hostfwd_add", "[NETWORK] [tcp|udp]:[ADDRESS]:PORT-[ADDRESS]:PORT",
     "let the host's connections to a port into the guest", hostfwd_add},
    {"hostfwd_remove", "[NETWORK] [tcp|udp]:[ADDRESS]:PORT", "no more of them", hostfwd_remove},
    {"?", "", NULL, help},
    {"info", "[WHAT]", "show something; without WHAT: what there is to show", info},
    {"mouse_button", "STATE", "buttons that are down: 1 left, 2 middle, 4 right, added up", mouse_button},
    {"mouse_move", "DX DY [DZ]", "move a relative pointer, right and down; DZ turns the wheel", mouse_move},
    {"mouse_set", "INDEX", "the pointer that gets the events (info mice)", mouse_set},
    {"mouse_sync", "",
     "put a relative pointer that has drifted into the corner, where the viewers' is known to be",
     mouse_sync},
    {"quit", "", "end at once", hmp_quit},
    {"q", "", NULL, hmp_quit},
    {"screendump", "FILE", "write a picture of the screen, PPM or .png", hmp_screendump},
    {"sendkey", "KEYS", "press keys together, such as ctrl-alt-delete", sendkey},
    {"set_link", "NETWORK on|off", "plug a network card's cable in or out", hmp_set_link},
    {"stop", "", "stop the guest", hmp_stop},
    {"s", "", NULL, hmp_stop},
    {"system_powerdown", "", "press the power button", hmp_system_powerdown},
    {"system_reset", "", "press the reset button", hmp_system_reset},
};

static void help(struct hmp *h)
{
    for (size_t i = 0; i < COUNT(commands); i++)
        if (commands[i].help)
            fprintf(h->out, "%s%s%s -- %s\r\n", commands[i].name, commands[i].args[0] ? " " : "",
                    commands[i].args, commands[i].help);
}

static void execute(struct hmp *h)
{
    const char *names[COUNT(commands) + 1], *nearest;
    size_t n = 0;

    for (size_t i = 0; i < COUNT(commands); i++) {
        if (!strcmp(h->words[0], commands[i].name)) {
            commands[i].run(h);
            return;
        }
        if (commands[i].help)
            names[n++] = commands[i].name;
    }
    names[n] = NULL;
    nearest = error_nearest(h->words[0], names);
    fprintf(h->out, "unknown command: '%s'%s%s%s\r\n", h->words[0],
            nearest ? "; did you mean '" : " (see help)", nearest ? nearest : "", nearest ? "'?" : "");
}

char *hmp_execute(struct control *c, const char *line)
{
    struct hmp h = {.c = c};
    char *copy = strdup(line), *answer = NULL, *rest = NULL;
    size_t length = 0, n = 0;

    h.out = copy ? open_memstream(&answer, &length) : NULL;
    if (h.out) {
        for (char *word = strtok_r(copy, " \t", &rest); word && n < WORDS_MAX;
             word = strtok_r(NULL, " \t", &rest))
            h.words[n++] = word;
        if (n)
            execute(&h);
        fclose(h.out);
    }
    free(copy);
    return answer;
}

/* ---- the prompt ---- */

static void hmp_print(struct monitor *mon, const char *text)
{
    chardev_write(mon->chr, (const uint8_t *)text, strlen(text));
}

static void hmp_serve_line(struct monitor *mon)
{
    char *answer;

    if (!monitor_store(mon, '\0', PROMPT_LINE_MAX))
        mon->input[mon->length - 1] = '\0';
    mon->length = 0;
    answer = hmp_execute(mon->c, mon->input);
    if (answer)
        hmp_print(mon, answer);
    free(answer);
    hmp_print(mon, "(hvm-dm) ");
}

static void hmp_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct monitor *mon = opaque;

    for (size_t i = 0; i < length; i++) {
        char ch = data[i];

        if (ch == '\r' || ch == '\n') {
            hmp_print(mon, "\r\n");
            hmp_serve_line(mon);
        } else if (ch == '\b' || ch == 0x7F) {
            if (mon->length) {
                mon->length--;
                hmp_print(mon, "\b \b");
            }
        } else if ((unsigned char)ch >= ' ' && monitor_store(mon, ch, PROMPT_LINE_MAX)) {
            chardev_write(mon->chr, data + i, 1);
        }
    }
}

static void hmp_opened(void *opaque)
{
    struct monitor *mon = opaque;

    mon->length = 0;
    hmp_print(mon, "hvm-dm " HVM_DM_VERSION " monitor - type 'help' for the commands\r\n(hvm-dm) ");
}

const struct monitor_kind hmp_monitor = {.receive = hmp_receive, .opened = hmp_opened};
