/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/machine.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define LOW_RAM_LIMIT   0xE0000000ull /* RAM up to here lies below 4 GiB ... */
#define LOW_RAM_IF_MORE 0xC0000000ull /* ... if there is more, the PCI hole gets a whole GiB */

static void machine_control_work(void *opaque);

static void line_changed(void *opaque, unsigned line, bool level)
{
    struct machine *m = opaque;

    if (m->accel->set_line)
        m->accel->set_line(m, line, level);
}

static bool init_ram(struct machine *m, struct error *err)
{
    uint64_t limit = m->config.max_low_ram;

    if (!limit)
        limit = m->config.ram_size > LOW_RAM_LIMIT ? LOW_RAM_IF_MORE : LOW_RAM_LIMIT;
    ram_layout(&m->ram, m->config.ram_size, limit);
    if (m->accel->alloc_ram) {
        if (!m->accel->alloc_ram(m, err))
            return false;
    } else if (!ram_alloc(&m->ram, m->config.dump_guest_core)) {
        return error_set(err, "cannot reserve %llu MiB of guest memory: %s",
                         (unsigned long long)(m->config.ram_size >> 20), strerror(errno));
    }
    if (!m->ram.host)
        return true;
    m->ram_low = (struct region){.name = "ram-low",
                                 .size = m->ram.low_size,
                                 .host = m->ram.host,
                                 .flags = REGION_GUEST_RAM,
                                 .priority = PRIORITY_RAM};
    bus_map(&m->bus, SPACE_MEM, &m->ram_low, 0);
    if (m->ram.high_size) {
        m->ram_high = (struct region){.name = "ram-high",
                                      .size = m->ram.high_size,
                                      .host = m->ram.host + m->ram.low_size,
                                      .flags = REGION_GUEST_RAM,
                                      .priority = PRIORITY_RAM};
        bus_map(&m->bus, SPACE_MEM, &m->ram_high, RAM_HIGH_BASE);
    }
    return true;
}

bool machine_init(struct machine *m, const struct machine_config *config, const struct accel_ops *accel,
                  enum clock_mode mode, struct error *err)
{
    struct timespec now;

    *m = (struct machine){.config = *config, .accel = accel, .state = RUN_PRELAUNCH};
    pthread_mutex_init(&m->lock, NULL);
    pthread_mutex_lock(&m->lock);
    clock_init(&m->clock, mode);
    bus_init(&m->bus);
    m->bus.work = m->ram.work = &m->loop.work;
    m->lines.changed = line_changed;
    m->lines.opaque = m;
    isa_bus_init(&m->isa, m);
    clock_gettime(CLOCK_REALTIME, &now);
    m->start_wall_ns = now.tv_sec * NS_PER_SECOND + now.tv_nsec;
    m->control_work = (struct loop_work){.run = machine_control_work, .opaque = m};
    if (!loop_init(&m->loop, &m->lock, &m->clock))
        return error_set(err, "cannot make an event loop: %s", strerror(errno));
    return init_ram(m, err);
}

static void delete_last_first(struct machine *m, struct device *dev)
{
    if (!dev)
        return;
    delete_last_first(m, dev->next);
    device_delete(dev);
}

void machine_free_devices(struct machine *m)
{
    delete_last_first(m, m->devices);
}

void machine_destroy(struct machine *m)
{
    machine_free_devices(m);
    if (m->accel->destroy)
        m->accel->destroy(m);
    ram_free(&m->ram);
    bus_destroy(&m->bus);
    loop_destroy(&m->loop);
    clock_destroy(&m->clock);
    pthread_mutex_unlock(&m->lock);
    pthread_mutex_destroy(&m->lock);
}

/* ---- run state ---- */

const char *run_state_name(enum run_state state)
{
    static const char *const names[] = {
        [RUN_PRELAUNCH] = "prelaunch",     [RUN_INMIGRATE] = "inmigrate",
        [RUN_POSTMIGRATE] = "postmigrate", [RUN_RUNNING] = "running",
        [RUN_PAUSED] = "paused",           [RUN_SUSPENDED] = "suspended",
        [RUN_SHUTDOWN] = "shutdown",       [RUN_INTERNAL_ERROR] = "internal-error",
        [RUN_IO_ERROR] = "io-error"};

    return names[state];
}

void machine_tell(struct machine *m, enum machine_event event, bool guest_asked)
{
    for (struct machine_listener *l = m->listeners; l; l = l->next)
        if (l->events & EVENT_BIT(event))
            l->event(l->opaque, event, guest_asked);
}

bool machine_has_listener(const struct machine *m, enum machine_event event)
{
    const struct machine_listener *l = m->listeners;

    while (l && !(l->events & EVENT_BIT(event)))
        l = l->next;
    return l != NULL;
}

void machine_listen(struct machine *m, struct machine_listener *listener)
{
    listener->next = m->listeners;
    m->listeners = listener;
}

void machine_unlisten(struct machine *m, struct machine_listener *listener)
{
    struct machine_listener **at = &m->listeners;

    while (*at && *at != listener)
        at = &(*at)->next;
    if (*at)
        *at = listener->next;
}

void machine_run(struct machine *m)
{
    if (m->state == RUN_RUNNING)
        return;
    /* A guest that powered off, or failed, starts anew after a reset only. */
    if (m->state == RUN_SHUTDOWN || m->state == RUN_INTERNAL_ERROR || m->state == RUN_INMIGRATE)
        return;
    if (m->state == RUN_SUSPENDED) {
        clock_start(&m->clock); /* it came so from another process: asleep, with its clock going on */
        return;
    }
    m->state = RUN_RUNNING;
    clock_start(&m->clock);
    machine_tell(m, EVENT_RESUME, false);
    if (m->accel->resume)
        m->accel->resume(m);
}

static void halt(struct machine *m, enum run_state state)
{
    enum run_state was = m->state;

    m->state = state;
    if (was == RUN_RUNNING && m->accel->pause)
        m->accel->pause(m);
    clock_stop(&m->clock);
    if (was != RUN_RUNNING)
        return;
    machine_tell(m, EVENT_STOP, false);
}

void machine_pause(struct machine *m)
{
    if (m->state == RUN_RUNNING)
        halt(m, RUN_PAUSED);
}

void machine_pause_for_io(struct machine *m)
{
    if (m->state == RUN_RUNNING)
        halt(m, RUN_IO_ERROR);
}

void machine_fail(struct machine *m)
{
    halt(m, RUN_INTERNAL_ERROR);
}

void machine_reset(struct machine *m)
{
    bus_begin(&m->bus);
    for (struct device *dev = m->devices; dev; dev = dev->next)
        device_reset(dev);
    bus_commit(&m->bus);
    if (m->accel->reset_cpus)
        m->accel->reset_cpus(m);
}

static void do_reset(struct machine *m, bool by_guest)
{
    bool go_on = m->state == RUN_RUNNING;

    if (by_guest && m->config.no_reboot) {
        machine_request_shutdown(m, true);
        return;
    }
    if (go_on && m->accel->pause)
        m->accel->pause(m);
    machine_reset(m);
    if (m->state == RUN_SHUTDOWN || m->state == RUN_INTERNAL_ERROR)
        m->state = RUN_PAUSED;
    if (m->state == RUN_SUSPENDED) {
        m->state = RUN_RUNNING; /* a reset wakes */
        go_on = true;
    }
    machine_tell(m, EVENT_RESET, by_guest);
    if (go_on && m->accel->resume)
        m->accel->resume(m);
}

static void do_shutdown(struct machine *m, bool by_guest)
{
    machine_tell(m, EVENT_SHUTDOWN, by_guest);
    if (m->config.no_shutdown && by_guest) {
        halt(m, RUN_SHUTDOWN);
        return;
    }
    halt(m, RUN_SHUTDOWN);
    loop_quit(&m->loop);
}

static bool is_woken(const struct machine *m)
{
    const struct bus_node *node = m->buses;

    while (node && !(node->ops->wakes && node->ops->wakes(node)))
        node = node->next;
    return node != NULL;
}

/* Only the processors sleep: the clock goes on, for the RTC's alarm may wake the guest. */
static void do_suspend(struct machine *m)
{
    m->state = RUN_SUSPENDED;
    if (m->accel->pause)
        m->accel->pause(m);
    machine_tell(m, EVENT_SUSPEND, true);
    if (is_woken(m)) /* it came while the guest was falling asleep */
        machine_wakeup(m);
}

void machine_request_suspend(struct machine *m)
{
    m->suspend_pending = true;
    loop_post(&m->loop, &m->control_work);
}

bool machine_wakeup(struct machine *m)
{
    if (m->state != RUN_SUSPENDED)
        return false;
    if (m->accel->reset_cpus)
        m->accel->reset_cpus(m);
    machine_tell(m, EVENT_WAKEUP, false);
    m->state = RUN_RUNNING;
    if (m->accel->resume)
        m->accel->resume(m);
    return true;
}

static void machine_control_work(void *opaque)
{
    struct machine *m = opaque;
    bool reset = m->reset_pending, shutdown = m->shutdown_pending, by_guest = m->pending_by_guest;
    bool suspend = m->suspend_pending;

    m->reset_pending = m->shutdown_pending = m->suspend_pending = false;
    if (shutdown)
        do_shutdown(m, by_guest);
    else if (reset)
        do_reset(m, by_guest);
    else if (suspend && m->state == RUN_RUNNING)
        do_suspend(m);
}

/* The hypervisor may want to do it in its own way (Xen makes a new domain): then only the devices are reset
 * here. */
static bool left_to_hypervisor(struct machine *m, bool by_guest, enum stop_reason reason)
{
    return by_guest && m->accel->guest_stop && m->accel->guest_stop(m, reason);
}

void machine_request_reset(struct machine *m, bool by_guest)
{
    left_to_hypervisor(m, by_guest, STOP_RESET);
    m->reset_pending = true;
    m->pending_by_guest = by_guest;
    loop_post(&m->loop, &m->control_work);
}

void machine_request_shutdown(struct machine *m, bool by_guest)
{
    if (left_to_hypervisor(m, by_guest, STOP_POWEROFF))
        m->reset_pending = true;
    else
        m->shutdown_pending = true;
    m->pending_by_guest = by_guest;
    loop_post(&m->loop, &m->control_work);
}

/* ---- conveniences for devices ---- */

void machine_irq(struct machine *m, struct irq *irq, unsigned line)
{
    irq_init(irq, &m->lines, line);
}

void machine_map_ports(struct machine *m, struct region *region, const char *name,
                       const struct region_ops *ops, void *opaque, uint16_t base, uint32_t count)
{
    *region = (struct region){
        .name = name, .size = count, .ops = ops, .opaque = opaque, .priority = PRIORITY_BOARD};
    bus_map(&m->bus, SPACE_PORT, region, base);
}

int64_t machine_wall_ns(const struct machine *m)
{
    return m->start_wall_ns + m->config.rtc_offset * NS_PER_SECOND + clock_now(&m->clock);
}
