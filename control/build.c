/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From options to a machine. */
#include "control/build.h"

#include "console/console.h"
#include "control/absent.h"
#include "control/backend_state.h"
#include "control/confine.h"
#include "control/devices.h"
#include "control/display.h"
#include "control/drives.h"
#include "control/lines.h"
#include "control/machine_options.h"
#include "control/migrate.h"
#include "control/networks.h"
#include "control/objects.h"
#include "control/usb.h"
#include "hw/pc/pc.h"
#include "ioreq/ioreq.h"

static bool create_devices(struct control *c, struct error *err)
{
    if (!create_graphics(c, err) || !lines_plug(c, err) || !drives_plug(c, err) || !networks_plug(c, err))
        return false;
    for (size_t i = 0; i < c->options.devices.count; i++) {
        const struct opts *opts = c->options.devices.items[i];
        const char *driver = opts_get(opts, "driver");

        if (!(driver && absent_ignored(driver)) && !create_device(c, opts, err))
            return false;
    }
    return usb_plug(c, err);
}

/* -machine none: answers commands; there is nothing to run. */
static const struct accel_ops no_accel = {.name = "none"};

static const char *const default_firmware_dirs[] = {
    "/usr/share/seabios", "/usr/share/qemu", "/usr/lib/ipxe/qemu", "/usr/share/ovmf", "/usr/share/vgabios"};

static void set_firmware_dirs(struct options *o)
{
    size_t count = sizeof(default_firmware_dirs) / sizeof(default_firmware_dirs[0]);
    struct string_list *dirs = &o->firmware_dirs;

    for (size_t i = 0; i < count; i++)
        options_add_string(dirs, default_firmware_dirs[i]);
    o->config.firmware = dirs->items;
}

static const struct accel_ops *choose_accel(const struct options *o, struct error *err)
{
    const struct accel_ops *accel = o->accel ? find_accel(o->accel) : accels[0];

    if (o->board == BOARD_NONE && accel != &qtest_accel)
        return &no_accel;
    if (!accel)
        error_set(err, "-accel %s: not built into this hvm-dm", o->accel);
    return accel;
}

static void nographic_defaults(struct options *o)
{
    if (o->nographic && !o->serials.count && !o->monitors.count && !o->config.no_defaults)
        options_add_string(&o->serials, "mon:stdio");
}

bool build_machine(struct control *c, struct error *err)
{
    struct options *o = &c->options;
    const struct accel_ops *accel = choose_accel(o, err);
    struct machine *m = &c->m;

    if (!accel)
        return false;
    set_firmware_dirs(o);
    nographic_defaults(o);
    if (!machine_init(m, &o->config, accel, accel == &qtest_accel ? CLOCK_MANUAL : CLOCK_STOPPED, err))
        return false;
    backends_init(&c->backends, m);
    c->nodes.elsewhere = o->incoming;
    c->backends.console = console_new(&m->loop);
    if (!c->backends.console)
        return error_set(err, "out of memory");
    hand_join(&c->hand, c->backends.console);
    absent_tell(c);
    if (!objects_check(c, err) || !display_check(c, err) || !lines_open(c, err) || !drives_open(c, err) ||
        !networks_open(c, err))
        return false;
    /* All that may run other programs (a tap's script) is open, and there are no threads yet. */
    if (!confine_programs(err))
        return false;
    if (o->board != BOARD_NONE && (!pc_board_create(m, err) || !create_devices(c, err)))
        return false;
    if (!display_start(c, err) || (accel->start && !accel->start(m, err)))
        return false;
    machine_reset(m);
    if (!backend_state_add(c, err) || (o->incoming && !migrate_incoming(c, o->incoming, err)))
        return false;
    return (!o->qtest || qtest_connect(m, o->qtest, err)) && lines_open_monitors(c, err);
}
