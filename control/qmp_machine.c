/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP commands about the machine as a whole and about this program. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "char/chardev.h"
#include "control/control.h"
#include "control/device_help.h"
#include "control/hmp.h"
#include "control/hotplug.h"
#include "control/migrate.h"
#include "control/qmp.h"
#include "net/net.h"

/* ---- this program ---- */

/* Clients compare it with QEMU's versions: the commands here are as of that one. */
static bool query_version(struct qmp_call *call)
{
    call->result = json_pack("{s:{s:i, s:i, s:i}, s:s}", "qemu", "micro", 0, "minor", 2, "major", 8,
                             "package", "hvm-dm-" HVM_DM_VERSION);
    return true;
}

static bool query_commands(struct qmp_call *call)
{
    call->result = json_pack("[{s:s}]", "name", "qmp_capabilities");
    for (const struct qmp_table *table = NULL; (table = qmp_next_table(table));)
        for (const struct qmp_command *command = table->commands; command->name; command++)
            json_array_append_new(call->result, json_pack("{s:s}", "name", command->name));
    return true;
}

/* libxl (4.20) looks for run-with here, and uses -chroot and -runas where it is not. */
static bool query_command_line_options(struct qmp_call *call)
{
    call->result = json_array();
    return true;
}

static bool query_name(struct qmp_call *call)
{
    const char *name = call->c->m.config.name;

    call->result = name[0] ? json_pack("{s:s}", "name", name) : json_object();
    return true;
}

static bool query_uuid(struct qmp_call *call)
{
    const uint8_t *u = call->c->m.config.uuid;
    char text[40];

    snprintf(text, sizeof(text), "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0],
             u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
    call->result = json_pack("{s:s}", "UUID", text);
    return true;
}

static bool query_kvm(struct qmp_call *call)
{
    call->result = json_pack("{s:b, s:b}", "enabled", !strcmp(call->c->m.accel->name, "kvm"), "present",
                             access("/dev/kvm", F_OK) == 0);
    return true;
}

static bool query_machines(struct qmp_call *call)
{
    static const struct {
        const char *name, *alias;
        int cpu_max;
        bool is_default;
    } machines[] = {
        {"pc-i440fx-7.2", "pc", 32, true}, {"xenfv-4.2", "xenfv", 128, false}, {"none", NULL, 1, false}};

    call->result = json_array();
    for (size_t i = 0; i < COUNT(machines); i++) {
        json_t *item =
            json_pack("{s:b, s:s, s:b, s:i, s:b}", "hotpluggable-cpus", 0, "name", machines[i].name,
                      "numa-mem-supported", 0, "cpu-max", machines[i].cpu_max, "deprecated", 0);

        if (machines[i].is_default)
            json_object_set_new(item, "is-default", json_true());
        if (machines[i].alias)
            json_object_set_new(item, "alias", json_string(machines[i].alias));
        json_array_append_new(call->result, item);
    }
    return true;
}

static bool query_target(struct qmp_call *call)
{
    call->result = json_pack("{s:s}", "arch", "x86_64");
    return true;
}

/* ---- types: what there is to make, as a tree ---- */

struct type {
    const char *name, *parent;
    bool abstract;
};

static const struct type base_types[] = {
    {"object", NULL, true},
    {"device", "object", true},
    {"machine", "object", true},
    {"x86-machine", "machine", true},
    {"pc-i440fx-7.2-machine", "x86-machine", false},
    {"xenfv-4.2-machine", "x86-machine", false},
    {"none-machine", "machine", false},
};

static bool is_bus_type(const char *name)
{
    const struct bus_ops *bus = bus_ops_next(NULL);

    while (bus && strcmp(bus->type, name))
        bus = bus_ops_next(bus);
    return bus != NULL;
}

static const char *parent_of(const char *name)
{
    const struct device_class *cls = device_find_class(name);

    if (cls)
        return cls->bus->type;
    if (is_bus_type(name))
        return "device";
    for (size_t i = 0; i < COUNT(base_types); i++)
        if (!strcmp(base_types[i].name, name))
            return base_types[i].parent;
    return NULL;
}

static bool is_a(const char *name, const char *ancestor)
{
    while (name && strcmp(name, ancestor))
        name = parent_of(name);
    return name != NULL;
}

static void list_type(struct qmp_call *call, const struct type *type)
{
    const char *implements = qmp_text(call, "implements");
    json_t *item;

    if ((type->abstract && !qmp_truth(call, "abstract", false)) ||
        (implements && !is_a(type->name, implements)))
        return;
    item = json_pack("{s:s}", "name", type->name);
    if (type->abstract)
        json_object_set_new(item, "abstract", json_true());
    if (type->parent)
        json_object_set_new(item, "parent", json_string(type->parent));
    json_array_append_new(call->result, item);
}

static bool qom_list_types(struct qmp_call *call)
{
    call->result = json_array();
    for (size_t i = 0; i < COUNT(base_types); i++)
        list_type(call, &base_types[i]);
    for (const struct bus_ops *bus = bus_ops_next(NULL); bus; bus = bus_ops_next(bus))
        list_type(call, &(struct type){bus->type, "device", true});
    for (const struct device_class *cls = device_next_class(NULL); cls; cls = device_next_class(cls))
        list_type(call, &(struct type){cls->name, cls->bus->type, false});
    return true;
}

static void qmp_list_properties(struct qmp_call *call, const struct property *table)
{
    static const char *const types[] = {
        [PROP_BOOL] = "bool",     [PROP_UINT8] = "uint8", [PROP_UINT16] = "uint16", [PROP_UINT32] = "uint32",
        [PROP_UINT64] = "uint64", [PROP_STRING] = "str",  [PROP_INT32] = "int32",   [PROP_MAC] = "str",
        [PROP_DRIVE] = "str",     [PROP_CHARDEV] = "str", [PROP_NETDEV] = "str"};

    for (const struct property *p = table; p && p->name; p++) {
        json_t *item = json_pack("{s:s, s:s}", "name", p->name, "type", types[p->kind]);

        if (p->help)
            json_object_set_new(item, "description", json_string(p->help));
        if (p->initial)
            json_object_set_new(item, "default-value", json_string(p->initial));
        json_array_append_new(call->result, item);
    }
}

static bool device_list_properties(struct qmp_call *call)
{
    const char *name = qmp_text(call, "typename");
    const struct device_class *cls = device_find_class(name);

    if (!cls) {
        bool known = parent_of(name) || !strcmp(name, "object");

        call->error_class = known ? NULL : "DeviceNotFound";
        return known ? qmp_fail(call, "Parameter 'typename' expects a non-abstract device type")
                     : qmp_fail(call, "Device '%.100s' not found", name);
    }
    call->result = json_array();
    qmp_list_properties(call, cls->properties);
    qmp_list_properties(call, cls->bus->properties);
    return true;
}

/* ---- run state ---- */

static bool query_status(struct qmp_call *call)
{
    enum run_state state = call->c->m.state;

    call->result = json_pack("{s:s, s:b, s:b}", "status", run_state_name(state), "singlestep", 0, "running",
                             state == RUN_RUNNING);
    return true;
}

static bool qmp_cont(struct qmp_call *call)
{
    struct machine *m = &call->c->m;

    if (m->state == RUN_SHUTDOWN || m->state == RUN_INTERNAL_ERROR)
        return qmp_fail(call, "Resetting the Virtual Machine is required");
    return migrate_go_on(call->c, &call->err);
}

static bool qmp_stop(struct qmp_call *call)
{
    machine_pause(&call->c->m);
    return true;
}

static bool qmp_system_reset(struct qmp_call *call)
{
    machine_request_reset(&call->c->m, false);
    return true;
}

static bool qmp_system_powerdown(struct qmp_call *call)
{
    struct machine *m = &call->c->m;

    if (!machine_has_listener(m, EVENT_POWER_BUTTON))
        return qmp_fail(call, "This machine has no power button (-no-acpi)");
    machine_tell(m, EVENT_POWER_BUTTON, false);
    qmp_event(call->c, "POWERDOWN", NULL);
    return true;
}

static bool system_wakeup(struct qmp_call *call)
{
    return machine_wakeup(&call->c->m) ||
           qmp_fail(call, "Unable to wake up: guest is not in suspended state");
}

static bool qmp_quit(struct qmp_call *call)
{
    call->c->shutdown_reason = "host-qmp-quit";
    machine_request_shutdown(&call->c->m, false);
    return true;
}

/* ---- processors ---- */

#define CPU_TYPE "host-x86_64-cpu"

static json_t *cpu_place(unsigned index)
{
    return json_pack("{s:i, s:i, s:i}", "socket-id", (int)index, "core-id", 0, "thread-id", 0);
}

static char *cpu_path(unsigned index, char path[48])
{
    snprintf(path, 48, "/machine/unattached/cpu[%u]", index);
    return path;
}

static bool query_cpus_fast(struct qmp_call *call)
{
    char path[48];

    call->result = json_array();
    for (unsigned i = 0; i < call->c->m.config.cpus; i++)
        json_array_append_new(call->result, json_pack("{s:i, s:o, s:s, s:i, s:s}", "thread-id", (int)getpid(),
                                                      "props", cpu_place(i), "qom-path", cpu_path(i, path),
                                                      "cpu-index", (int)i, "target", "x86_64"));
    return true;
}

static bool query_hotpluggable_cpus(struct qmp_call *call)
{
    const struct machine_config *config = &call->c->m.config;
    char path[48];

    call->result = json_array();
    for (unsigned i = config->max_cpus; i-- > 0;) {
        json_t *item =
            json_pack("{s:s, s:i, s:o}", "type", CPU_TYPE, "vcpus-count", 1, "props", cpu_place(i));

        if (i < config->cpus)
            json_object_set_new(item, "qom-path", json_string(cpu_path(i, path)));
        json_array_append_new(call->result, item);
    }
    return true;
}

/* ---- what is plugged in ---- */

static json_t *describe_bar(const struct pci_device *dev, unsigned n)
{
    const struct pci_bar *bar = &dev->bars[n];
    bool io = bar->kind == PCI_BAR_IO;
    unsigned at = n == PCI_ROM_BAR ? PCI_ROM_ADDRESS : PCI_BAR0 + 4 * n;
    uint32_t address = pci_get32(dev, at) & (io ? ~3u : n == PCI_ROM_BAR ? ~0x7FFu : ~0xFu);
    json_t *item = json_pack("{s:i, s:I, s:s, s:I}", "bar", (int)n, "address", (json_int_t)address, "type",
                             io ? "io" : "memory", "size", (json_int_t)bar->region->size);

    if (!io) {
        json_object_set_new(item, "prefetch", json_boolean(bar->kind == PCI_BAR_MEM_PREFETCH));
        json_object_set_new(item, "mem_type_64", json_false());
    }
    return item;
}

static json_t *describe_function(const struct pci_device *dev)
{
    json_t *regions = json_array(), *item;
    unsigned class_code = pci_get16(dev, PCI_CLASS_DEVICE);

    for (unsigned n = 0; n < PCI_BARS; n++)
        if (dev->bars[n].kind != PCI_BAR_NONE)
            json_array_append_new(regions, describe_bar(dev, n));
    item = json_pack("{s:i, s:i, s:i, s:s, s:o, s:i}", "bus", 0, "slot", dev->devfn >> 3, "function",
                     dev->devfn & 7, "qdev_id", dev->dev.id ? dev->dev.id : "", "regions", regions, "irq_pin",
                     dev->config[PCI_INTERRUPT_PIN]);
    json_object_set_new(item, "class_info",
                        json_pack("{s:i, s:s}", "class", (int)class_code, "desc", dev->dev.cls->description));
    json_object_set_new(item, "id",
                        json_pack("{s:i, s:i, s:i, s:i}", "vendor", pci_get16(dev, PCI_VENDOR_ID), "device",
                                  pci_get16(dev, PCI_DEVICE_ID), "subsystem-vendor",
                                  pci_get16(dev, PCI_SUBSYSTEM_VENDOR_ID), "subsystem",
                                  pci_get16(dev, PCI_SUBSYSTEM_ID)));
    if (dev->config[PCI_INTERRUPT_PIN])
        json_object_set_new(item, "irq", json_integer(dev->config[PCI_INTERRUPT_LINE]));
    return item;
}

static bool query_pci(struct qmp_call *call)
{
    json_t *devices = json_array();

    for (unsigned devfn = 0; devfn < 256; devfn++) {
        const struct pci_device *dev = call->c->m.pci.functions[devfn];

        if (dev && !dev->removed)
            json_array_append_new(devices, describe_function(dev));
    }
    call->result = json_pack("[{s:i, s:o}]", "bus", 0, "devices", devices);
    return true;
}

static bool query_chardev(struct qmp_call *call)
{
    call->result = json_array();
    for (struct chardev *chr = call->c->backends.chardevs; chr; chr = chardev_next(chr)) {
        char name[256];

        json_array_append_new(call->result,
                              json_pack("{s:b, s:s, s:s}", "frontend-open", chardev_in_use(chr), "filename",
                                        chardev_filename(chr, name, sizeof(name)), "label", chardev_id(chr)));
    }
    return true;
}

/* The next processor, where the hypervisor has them all and the guest only has to be told: xl vcpu-set. */
static bool add_cpu(struct qmp_call *call)
{
    struct machine *m = &call->c->m;
    int64_t socket = qmp_integer(call, "socket-id", -1);

    if (m->accel->reset_cpus || !machine_has_listener(m, EVENT_CPU_ADDED))
        return qmp_fail(call, CPU_TYPE ": this board supports no hot-plug of processors");
    if (socket != m->config.cpus || socket >= m->config.max_cpus)
        return qmp_fail(call, CPU_TYPE ": socket-id %lld: %u of %u processors are there, the next is %u",
                        (long long)socket, m->config.cpus, m->config.max_cpus, m->config.cpus);
    m->config.cpus++;
    machine_tell(m, EVENT_CPU_ADDED, false);
    return true;
}

static bool device_add(struct qmp_call *call)
{
    const char *driver = qmp_text(call, "driver");

    return driver && strcmp(driver, CPU_TYPE) == 0 ? add_cpu(call) : hotplug_device_add(call);
}

static bool qmp_set_link(struct qmp_call *call)
{
    const char *name = qmp_text(call, "name");
    struct net_port *port = net_find(call->c->backends.nets, name);

    if (!port)
        port = net_find_owner(call->c->backends.nets, name);
    if (!port) {
        call->error_class = "DeviceNotFound";
        return qmp_fail(call, "Device '%.100s' not found", name);
    }
    net_set_link(port, qmp_truth(call, "up", true));
    return true;
}

static bool human_monitor_command(struct qmp_call *call)
{
    char *answer = hmp_execute(call->c, qmp_text(call, "command-line"));

    call->result = json_string(answer ? answer : "");
    free(answer);
    return call->result || qmp_fail(call, "the answer is no text");
}

static const struct qmp_command qmp_machine_commands[] = {
    {"query-version", NULL, query_version},
    {"query-commands", NULL, query_commands},
    {"query-command-line-options", "option:s?", query_command_line_options},
    {"query-name", NULL, query_name},
    {"query-kvm", NULL, query_kvm},
    {"query-uuid", NULL, query_uuid},
    {"query-target", NULL, query_target},
    {"query-machines", NULL, query_machines},
    {"qom-list-types", "implements:s? abstract:b?", qom_list_types},
    {"device-list-properties", "typename:s", device_list_properties},
    {"query-status", NULL, query_status},
    {"cont", NULL, qmp_cont},
    {"stop", NULL, qmp_stop},
    {"system_reset", NULL, qmp_system_reset},
    {"system_powerdown", NULL, qmp_system_powerdown},
    {"system_wakeup", NULL, system_wakeup},
    {"quit", NULL, qmp_quit},
    {"query-cpus-fast", NULL, query_cpus_fast},
    {"query-hotpluggable-cpus", NULL, query_hotpluggable_cpus},
    {"query-pci", NULL, query_pci},
    {"query-chardev", NULL, query_chardev},
    {"set_link", "name:s up:b", qmp_set_link},
    {"device_add", "*", device_add},
    {"device_del", "id:s", hotplug_device_del},
    {"human-monitor-command", "command-line:s cpu-index:i?", human_monitor_command},
    {NULL, NULL, NULL},
};
QMP_COMMANDS(qmp_machine_commands, NULL)
