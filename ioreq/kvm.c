/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The KVM port: a thread for each processor runs the guest and answers its exits under the machine lock. The
 * interrupt controllers (PIC, IOAPIC, LAPICs) and the PIT are the kernel's (Documentation/virt/kvm/api.rst).
 */
#include "ioreq/ioreq.h"
#include "ioreq/kvm_private.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "machine/vram.h"

/* Three pages and one that Intel's VMX needs somewhere in the guest, below the largest BIOS; nothing else may
 * be there. */
#define IDENTITY_MAP 0xFEFFC000ull
#define TSS_ADDRESS  0xFEFFD000ull

#define KICK_SIGNAL SIGUSR1

enum {
    VCPU_STACK = 256 * 1024,
    MAX_ACCESS_PARTS = 16384, /* of one instruction, at most */
};

/* ---- stopping and starting all processors ---- */

/*
 * Returns when no processor is in the guest, and none gets in before release. A processor that left the guest
 * and waits for the machine lock (which the caller holds) answers its exit after release.
 */
static void quiesce(struct kvm *k)
{
    if (atomic_fetch_add(&k->quiesced, 1))
        return;
    for (unsigned i = 0; i < k->count; i++) {
        struct vcpu *v = &k->vcpus[i];

        /* A signal that comes just before KVM_RUN would be lost without this flag. */
        v->run->immediate_exit = 1;
        if (v->started && atomic_load(&v->in_guest))
            pthread_kill(v->thread, KICK_SIGNAL);
    }
    for (unsigned i = 0; i < k->count; i++)
        while (atomic_load(&k->vcpus[i].in_guest))
            sched_yield();
}

static void kvm_release(struct kvm *k)
{
    if (atomic_load(&k->quiesced) == 1)
        for (unsigned i = 0; i < k->count; i++)
            k->vcpus[i].run->immediate_exit = 0;
    if (atomic_fetch_sub(&k->quiesced, 1) == 1)
        pthread_cond_broadcast(&k->resumed);
}

/* Machine lock held. False: the process ends. */
static bool wait_until_released(struct kvm *k)
{
    while (atomic_load(&k->quiesced) && !k->quit)
        loop_await(&k->m->loop, &k->resumed);
    return !k->quit;
}

/* Decides to enter the guest; afterwards quiesce waits for leave. */
static bool kvm_enter(struct vcpu *v)
{
    struct kvm *k = v->kvm;
    bool go_on;

    for (;;) {
        atomic_store(&v->in_guest, true);
        if (!atomic_load(&k->quiesced))
            return true;
        atomic_store(&v->in_guest, false);
        loop_enter(&k->m->loop);
        go_on = wait_until_released(k);
        loop_leave(&k->m->loop);
        if (!go_on)
            return false;
    }
}

/* ---- memory ---- */

static bool set_slot(struct kvm *k, unsigned n, const struct slot *slot)
{
    struct kvm_userspace_memory_region region = {.slot = n,
                                                 .flags = slot->flags,
                                                 .guest_phys_addr = slot->gpa,
                                                 .memory_size = slot->size,
                                                 .userspace_addr = (uintptr_t)slot->host};

    work_add(&k->m->loop.work, WORK_MAPPING);
    if (ioctl(k->vm, KVM_SET_USER_MEMORY_REGION, &region) == 0)
        return true;
    log_limited("KVM refuses guest memory at 0x%llx, %llu KiB: %s", (unsigned long long)slot->gpa,
                (unsigned long long)slot->size >> 10, strerror(errno));
    return false;
}

static void drop_slot(struct kvm *k, unsigned n)
{
    struct slot none = {.gpa = k->slots[n].gpa};

    set_slot(k, n, &none);
    k->slots[n] = (struct slot){0};
}

static uint32_t slot_flags(const struct region *region)
{
    uint32_t flags = 0;

    if (region->flags & (REGION_READONLY | REGION_ARMED))
        flags |= KVM_MEM_READONLY;
    if (region->flags & REGION_LOGGED)
        flags |= KVM_MEM_LOG_DIRTY_PAGES;
    return flags;
}

/* The slots that the memory view asks for: page-aligned stretches of host memory, neighbours in one piece. */
static unsigned wanted_slots(struct machine *m, struct slot *slots)
{
    const struct flat_view *view = &m->bus.spaces[SPACE_MEM].view;
    unsigned count = 0;

    for (size_t i = 0; i < view->count && count < MAX_SLOTS; i++) {
        const struct flat_range *r = &view->ranges[i];
        struct slot slot = {.gpa = r->start,
                            .size = r->end - r->start,
                            .host = r->region->host + r->offset,
                            .flags = slot_flags(r->region),
                            .region = r->region,
                            .offset = r->offset};
        struct slot *last = count ? &slots[count - 1] : NULL;

        if (!r->region->host || (slot.gpa | slot.size | (uintptr_t)slot.host) & (VRAM_PAGE - 1))
            continue;
        if (last && last->gpa + last->size == slot.gpa && last->host + last->size == slot.host &&
            last->flags == slot.flags && last->region == slot.region)
            last->size += slot.size;
        else
            slots[count++] = slot;
    }
    return count;
}

static bool same_slot(const struct slot *a, const struct slot *b)
{
    return a->gpa == b->gpa && a->size == b->size && a->host == b->host && a->flags == b->flags;
}

static unsigned free_slot(struct kvm *k)
{
    unsigned n = 0;

    while (n < MAX_SLOTS && k->slots[n].size)
        n++;
    return n;
}

static void update_slots(struct kvm *k)
{
    struct slot wanted[MAX_SLOTS];
    unsigned count = wanted_slots(k->m, wanted);
    bool kept[MAX_SLOTS] = {false};

    for (unsigned n = 0; n < MAX_SLOTS; n++) {
        unsigned i = 0;

        if (!k->slots[n].size)
            continue;
        while (i < count && !same_slot(&k->slots[n], &wanted[i]))
            i++;
        if (i < count)
            kept[i] = true;
        else
            drop_slot(k, n);
    }
    for (unsigned i = 0; i < count; i++) {
        unsigned n = kept[i] ? MAX_SLOTS : free_slot(k);

        if (n < MAX_SLOTS && set_slot(k, n, &wanted[i]))
            k->slots[n] = wanted[i];
    }
}

/* ---- coalesced writes: one zone, the VGA window ---- */

static void set_zone(struct kvm *k, unsigned long request, uint64_t base, uint64_t size)
{
    struct kvm_coalesced_mmio_zone zone = {.addr = base, .size = size};

    ioctl(k->vm, request, &zone);
}

/* All of the region, though memory may lie over a part of it: that does not exit, and changing the zone is
 * slow. */
static void update_zone(struct kvm *k)
{
    const struct flat_view *view = &k->m->bus.spaces[SPACE_MEM].view;
    uint64_t base = 0, size = 0;

    for (size_t i = 0; i < view->count && !size; i++)
        if (view->ranges[i].region->flags & REGION_DELAYED) {
            base = view->ranges[i].region->base;
            size = view->ranges[i].region->size;
        }
    if (!k->ring || (base == k->zone_base && size == k->zone_size))
        return;
    if (k->zone_size)
        set_zone(k, KVM_UNREGISTER_COALESCED_MMIO, k->zone_base, k->zone_size);
    if (size)
        set_zone(k, KVM_REGISTER_COALESCED_MMIO, base, size);
    k->zone_base = base;
    k->zone_size = size;
}

/* Delivers as much as the piece's work allows; true: the ring was empty, or a whole ring was delivered. */
static bool kvm_drain_some(struct machine *m)
{
    struct kvm *k = m->accel_data;
    const uint32_t entries =
        (getpagesize() - sizeof(struct kvm_coalesced_mmio_ring)) / sizeof(struct kvm_coalesced_mmio);

    if (!k || !k->ring)
        return true;
    /* At most one ring full: processors that write on meanwhile are served next time. */
    for (uint32_t n = 0; n < entries && k->ring->first != k->ring->last; n++) {
        struct kvm_coalesced_mmio entry = k->ring->coalesced_mmio[k->ring->first];
        uint64_t value = 0;

        if (work_spent(&m->loop.work))
            return false;
        work_add(&m->loop.work, WORK_ACCESS);
        atomic_thread_fence(memory_order_acquire);
        if (entry.len <= 8) {
            memcpy(&value, entry.data, entry.len);
            bus_write(&m->bus, SPACE_MEM, entry.phys_addr, entry.len, value);
        }
        atomic_thread_fence(memory_order_release);
        k->ring->first = (k->ring->first + 1) % entries;
    }
    return true;
}

static void kvm_drain_rest(void *opaque)
{
    struct kvm *k = opaque;

    if (!kvm_drain_some(k->m))
        loop_post(&k->m->loop, &k->drain_work);
}

/* For the loop: what is left is delivered in its next rounds. */
static void kvm_drain(struct machine *m)
{
    struct kvm *k = m->accel_data;

    if (k)
        kvm_drain_rest(k);
}

static void kvm_coalesce(struct machine *m, struct region *region, bool on)
{
    struct kvm *k = m->accel_data;

    region->flags = on ? region->flags | REGION_DELAYED : region->flags & ~REGION_DELAYED;
    if (!k)
        return;
    update_zone(k);
    if (!on)
        kvm_drain(m);
}

static void kvm_space_changed(void *opaque, enum space space)
{
    struct kvm *k = opaque;

    if (space != SPACE_MEM)
        return;
    update_slots(k);
    update_zone(k);
}

/* ---- video memory ---- */

/* start: of the slot in the memory. */
static void sync_slot(struct kvm *k, unsigned n, struct vram *vram, uint64_t start)
{
    struct slot *slot = &k->slots[n];
    uint64_t pages = slot->size / VRAM_PAGE;
    uint64_t bitmap[(pages + 63) / 64];
    struct kvm_dirty_log log = {.slot = n, .dirty_bitmap = bitmap};

    if (ioctl(k->vm, KVM_GET_DIRTY_LOG, &log) < 0) {
        vram_mark(vram, start, slot->size);
        return;
    }
    for (uint64_t word = 0; word < (pages + 63) / 64; word++)
        for (uint64_t bits = bitmap[word]; bits; bits &= bits - 1)
            vram_mark(vram, start + (word * 64 + __builtin_ctzll(bits)) * VRAM_PAGE, VRAM_PAGE);
}

static void kvm_sync_vram(struct machine *m, struct vram *vram)
{
    struct kvm *k = m->accel_data;

    for (unsigned n = 0; k && n < MAX_SLOTS; n++) {
        const struct slot *slot = &k->slots[n];

        if (!slot->size || !(slot->flags & KVM_MEM_LOG_DIRTY_PAGES))
            continue;
        if (slot->region == &vram->region)
            sync_slot(k, n, vram, slot->offset);
        else if (slot->region == &vram->window)
            sync_slot(k, n, vram, vram->window_start + slot->offset);
    }
}

static void kvm_watch_vram(struct machine *m, struct vram *vram, enum vram_watch watch)
{
    struct kvm *k = m->accel_data;
    uint8_t flags = vram->region.flags & ~(REGION_ARMED | REGION_LOGGED);

    if (watch == VRAM_ARMED)
        flags |= REGION_ARMED;
    else if (watch == VRAM_LOGGED)
        flags |= REGION_LOGGED;
    if (!k) {
        vram->region.flags = vram->window.flags = flags;
        return;
    }
    /* A slot that changes is dropped with its log: nobody may write between the last look and the change. */
    if (vram->region.flags & REGION_LOGGED) {
        quiesce(k);
        kvm_sync_vram(m, vram);
        vram->region.flags = vram->window.flags = flags;
        update_slots(k);
        kvm_release(k);
    } else {
        vram->region.flags = vram->window.flags = flags;
        update_slots(k);
    }
}

/* ---- exits ---- */

static bool kvm_get_registers(struct machine *m, struct guest_registers *regs)
{
    struct kvm *k = m->accel_data;
    struct kvm_regs r;

    if (!k->serving || ioctl(k->serving->fd, KVM_GET_REGS, &r) < 0)
        return false;
    *regs = (struct guest_registers){.rax = r.rax, .rbx = r.rbx, .rcx = r.rcx, .rdx = r.rdx};
    return true;
}

static void kvm_set_registers(struct machine *m, const struct guest_registers *regs)
{
    struct kvm *k = m->accel_data;
    struct kvm_regs r;

    if (!k->serving || ioctl(k->serving->fd, KVM_GET_REGS, &r) < 0)
        return;
    r.rax = regs->rax;
    r.rbx = regs->rbx;
    r.rcx = regs->rcx;
    r.rdx = regs->rdx;
    ioctl(k->serving->fd, KVM_SET_REGS, &r);
}

/* Between two pieces of an exit. False: its rest is not wanted any more (a reset, or the end). */
static bool kvm_give_way(struct kvm *k)
{
    uint64_t resets = k->resets;
    struct vcpu *serving = k->serving;
    bool wanted;

    if (k->settling) { /* the machine's thread serves it, and nobody waits for it */
        work_begin(&k->m->loop.work);
        return true;
    }
    k->serving = NULL;
    loop_give_way(&k->m->loop);
    wanted = wait_until_released(k) && resets == k->resets;
    k->serving = serving;
    return wanted;
}

static void kvm_run_access(struct kvm *k, struct access *access)
{
    while (!access_run(k->m, access))
        if (!kvm_give_way(k))
            return;
}

static void serve_io(struct kvm *k, struct kvm_run *run)
{
    kvm_run_access(k, &(struct access){.space = SPACE_PORT,
                                       .write = run->io.direction == KVM_EXIT_IO_OUT,
                                       .size = run->io.size,
                                       .addr = run->io.port,
                                       .data = (uint8_t *)run + run->io.data_offset,
                                       .count = run->io.count});
}

/* Lengths of 3, 5, 6, 7 come from accesses that cross a page: in aligned parts. */
static void serve_mmio(struct kvm *k, struct kvm_run *run)
{
    for (unsigned at = 0, size; at < run->mmio.len; at += size) {
        uint64_t addr = run->mmio.phys_addr + at;

        size = run->mmio.len;
        while (size & (size - 1) || size > run->mmio.len - at)
            size = size & (size - 1) ? size & (size - 1) : size / 2;
        kvm_run_access(k, &(struct access){.space = SPACE_MEM,
                                           .write = run->mmio.is_write,
                                           .size = size,
                                           .addr = addr,
                                           .data = run->mmio.data + at,
                                           .count = 1});
    }
}

/* The bytes at the instruction pointer, as the kernel gave them or as guest memory has them. */
static void describe_instruction(struct vcpu *v, char *text, size_t size)
{
    struct kvm_run *run = v->run;
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_translation tr = {0};
    uint8_t bytes[15] = {0};
    unsigned count = sizeof(bytes);
    int used;

    if (ioctl(v->fd, KVM_GET_REGS, &regs) < 0 || ioctl(v->fd, KVM_GET_SREGS, &sregs) < 0) {
        snprintf(text, size, "at an unknown address");
        return;
    }
    tr.linear_address = sregs.cs.base + regs.rip;
    if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR &&
        run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION && run->emulation_failure.ndata >= 3 &&
        run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES &&
        run->emulation_failure.insn_size <= sizeof(bytes)) {
        count = run->emulation_failure.insn_size;
        memcpy(bytes, run->emulation_failure.insn_bytes, count);
    } else if (ioctl(v->fd, KVM_TRANSLATE, &tr) == 0 && tr.valid) {
        bus_read_mem(&v->kvm->m->bus, tr.physical_address, bytes, sizeof(bytes));
    } else {
        count = 0;
    }
    used = snprintf(text, size, "at %04x:%llx:", sregs.cs.selector, (unsigned long long)regs.rip);
    for (unsigned i = 0; i < count && used + 4 < (int)size; i++)
        used += snprintf(text + used, size - used, " %02x", bytes[i]);
}

/* The guest cannot go on: say why, stop it, and end unless somebody wants to look (-no-shutdown). */
static void kvm_give_up(struct vcpu *v, const char *why)
{
    struct machine *m = v->kvm->m;
    char where[128];

    describe_instruction(v, where, sizeof(where));
    log_line("processor %u cannot go on: %s %s", v->index, why, where);
    m->exit_status = 1;
    machine_fail(m);
    if (!m->config.no_shutdown)
        loop_quit(&m->loop);
}

static void internal_error(struct vcpu *v)
{
    char why[96];

    if (v->run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
        snprintf(why, sizeof(why), "KVM does not emulate the instruction");
    else
        snprintf(why, sizeof(why), "KVM internal error %u", v->run->internal.suberror);
    kvm_give_up(v, why);
}

static void serve_exit(struct vcpu *v)
{
    struct kvm *k = v->kvm;
    char why[64];

    while (!kvm_drain_some(k->m))
        if (!kvm_give_way(k))
            return;
    if (!v->exited) /* meanwhile a save answered it */
        return;
    v->exited = false;
    if (v->error) {
        kvm_give_up(v, strerror(v->error));
        return;
    }
    v->halfway = true;
    switch (v->run->exit_reason) {
    case KVM_EXIT_IO:
        k->serving = v;
        serve_io(k, v->run);
        break;
    case KVM_EXIT_MMIO:
        serve_mmio(k, v->run);
        break;
    case KVM_EXIT_IRQ_WINDOW_OPEN:
    case KVM_EXIT_INTR:
        break;
    case KVM_EXIT_SHUTDOWN: /* triple fault: the board's logic resets the machine */
        log_limited("processor %u shut down (triple fault): reset", v->index);
        machine_request_reset(k->m, true);
        break;
    case KVM_EXIT_INTERNAL_ERROR:
        internal_error(v);
        break;
    case KVM_EXIT_FAIL_ENTRY:
        snprintf(why, sizeof(why), "the hardware refuses to enter the guest, reason 0x%llx",
                 (unsigned long long)v->run->fail_entry.hardware_entry_failure_reason);
        kvm_give_up(v, why);
        break;
    default:
        snprintf(why, sizeof(why), "unknown KVM exit %u", v->run->exit_reason);
        kvm_give_up(v, why);
    }
}

/* A processor that asked for a reset or power-off executes nothing more until it is done. */
static void wait_for_control(struct kvm *k)
{
    while (machine_control_pending(k->m) && !k->quit)
        loop_await(&k->m->loop, &k->resumed);
}

static void kvm_run_once(struct vcpu *v)
{
    v->error = ioctl(v->fd, KVM_RUN, 0) < 0 ? errno : 0;
    v->exited = v->error != EINTR && v->error != EAGAIN;
}

static void kvm_finish_access(struct vcpu *v, bool serve)
{
    v->run->immediate_exit = 1;
    v->kvm->settling = serve;
    while (serve && !kvm_drain_some(v->kvm->m))
        work_begin(&v->kvm->m->loop.work);
    for (unsigned n = 0; n < MAX_ACCESS_PARTS && !(serve && v->halfway); n++) {
        if (v->exited && serve) {
            serve_exit(v);
            v->halfway = false;
            v->kvm->serving = NULL;
        }
        v->exited = false;
        kvm_run_once(v);
        if (!v->exited || v->error)
            break;
    }
    v->exited = false;
    v->kvm->settling = false;
}

static void *vcpu_thread(void *opaque)
{
    struct vcpu *v = opaque;
    struct kvm *k = v->kvm;
    char name[16];

    snprintf(name, sizeof(name), "vcpu%u", v->index);
    pthread_setname_np(pthread_self(), name);
    while (kvm_enter(v)) {
        bool exited;

        kvm_run_once(v);
        exited = v->exited; /* from here on it is the machine lock's */
        atomic_store(&v->in_guest, false);
        if (!exited)
            continue;
        loop_enter(&k->m->loop);
        if (wait_until_released(k) && v->exited) {
            serve_exit(v);
            v->halfway = false;
            k->serving = NULL;
            wait_for_control(k);
        }
        loop_leave(&k->m->loop);
    }
    return NULL;
}

/* ---- processors ---- */

/* What this host can give, by KVM's word. */
static bool kvm_host_cpuid(struct kvm *k, struct cpuid_table *table)
{
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + CPUID_LEAVES * sizeof(cpuid->entries[0]));
    bool ok;

    if (!cpuid)
        return false;
    cpuid->nent = CPUID_LEAVES;
    ok = ioctl(k->fd, KVM_GET_SUPPORTED_CPUID, cpuid) == 0;
    for (unsigned i = 0; ok && i < cpuid->nent; i++) {
        const struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

        table->leaves[table->count++] = (struct cpuid_leaf){
            .function = e->function,
            .index = e->index,
            .indexed = e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
            .regs = {[CPUID_EAX] = e->eax, [CPUID_EBX] = e->ebx, [CPUID_ECX] = e->ecx, [CPUID_EDX] = e->edx}};
    }
    free(cpuid);
    return ok;
}

static bool set_cpuid(struct vcpu *v, struct error *err)
{
    const struct machine_config *config = &v->kvm->m->config;
    char missing[256];

    v->cpuid = calloc(1, sizeof(*v->cpuid));
    if (!v->cpuid)
        return error_set(err, "out of memory");
    if (!kvm_host_cpuid(v->kvm, v->cpuid))
        return error_set(err, "KVM: what processors this host can give: %s", strerror(errno));
    if (!cpu_model_apply(&config->cpu, &config->topology, v->index, v->cpuid, missing, err))
        return false;
    if (*missing && config->cpu.check && v->index == 0)
        log_line("warning: -cpu: this host cannot give %s", missing);
    return kvm_give_cpuid(v, v->cpuid) ||
           error_set(err, "KVM: CPUID of processor %u: %s", v->index, strerror(errno));
}

/* The MSRs that the kernel saves; those that it cannot read back are left out. */
static struct kvm_msrs *read_msrs(struct vcpu *v)
{
    struct kvm_msr_list *list = calloc(1, sizeof(*list) + MAX_MSRS * sizeof(list->indices[0]));
    struct kvm_msrs *msrs = calloc(1, sizeof(*msrs) + MAX_MSRS * sizeof(msrs->entries[0]));
    uint64_t value;

    if (list && msrs) {
        list->nmsrs = MAX_MSRS;
        if (ioctl(v->kvm->fd, KVM_GET_MSR_INDEX_LIST, list) < 0)
            list->nmsrs = 0;
        for (unsigned i = 0; i < list->nmsrs; i++)
            if (kvm_read_msr(v, list->indices[i], &value))
                msrs->entries[msrs->nmsrs++] =
                    (struct kvm_msr_entry){.index = list->indices[i], .data = value};
    }
    free(list);
    return msrs;
}

static void write_msrs(struct vcpu *v, const struct kvm_msrs *msrs)
{
    /* Some can be read but not written: they keep their value. */
    for (unsigned i = 0; msrs && i < msrs->nmsrs; i++)
        kvm_write_msr(v, msrs->entries[i].index, msrs->entries[i].data);
}

static void save_power_on(struct vcpu *v)
{
    struct cpu_state *s = &v->power_on;

    ioctl(v->fd, KVM_GET_REGS, &s->regs);
    ioctl(v->fd, KVM_GET_SREGS, &s->sregs);
    ioctl(v->fd, KVM_GET_FPU, &s->fpu);
    ioctl(v->fd, KVM_GET_LAPIC, &s->lapic);
    ioctl(v->fd, KVM_GET_MP_STATE, &s->mp_state);
    ioctl(v->fd, KVM_GET_VCPU_EVENTS, &s->events);
    ioctl(v->fd, KVM_GET_DEBUGREGS, &s->debugregs);
    ioctl(v->fd, KVM_GET_XCRS, &s->xcrs);
    s->msrs = read_msrs(v);
}

static void reset_vcpu(struct vcpu *v)
{
    struct cpu_state *s = &v->power_on;

    /* An access that was under way would move the new instruction pointer. */
    kvm_finish_access(v, false);
    ioctl(v->fd, KVM_SET_REGS, &s->regs);
    ioctl(v->fd, KVM_SET_SREGS, &s->sregs);
    ioctl(v->fd, KVM_SET_FPU, &s->fpu);
    if (s->xcrs.nr_xcrs)
        ioctl(v->fd, KVM_SET_XCRS, &s->xcrs);
    ioctl(v->fd, KVM_SET_DEBUGREGS, &s->debugregs);
    write_msrs(v, s->msrs);
    ioctl(v->fd, KVM_SET_LAPIC, &s->lapic);
    ioctl(v->fd, KVM_SET_VCPU_EVENTS, &s->events);
    ioctl(v->fd, KVM_SET_MP_STATE, &s->mp_state);
}

static void kvm_reset_cpus(struct machine *m)
{
    struct kvm *k = m->accel_data;

    if (!k)
        return;
    quiesce(k);
    k->resets++;
    for (unsigned i = 0; i < KVM_CHIPS; i++)
        ioctl(k->vm, KVM_SET_IRQCHIP, &k->chips[i]);
    ioctl(k->vm, KVM_SET_PIT2, &k->pit);
    for (unsigned i = 0; i < k->count; i++)
        reset_vcpu(&k->vcpus[i]);
    kvm_release(k);
}

static void kvm_kicked(int signal)
{
}

static bool create_vcpu(struct kvm *k, unsigned index, struct error *err)
{
    struct vcpu *v = &k->vcpus[index];
    void *run;

    *v = (struct vcpu){.kvm = k, .index = index};
    v->fd = ioctl(k->vm, KVM_CREATE_VCPU, cpu_apic_id(&k->m->config.topology, index));
    if (v->fd < 0)
        return error_set(err, "KVM: processor %u: %s", index, strerror(errno));
    run = mmap(NULL, k->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
    if (run == MAP_FAILED) {
        close(v->fd);
        return error_set(err, "KVM: processor %u: %s", index, strerror(errno));
    }
    v->run = run;
    k->count++;
    if (!set_cpuid(v, err))
        return false;
    save_power_on(v);
    return true;
}

static bool start_vcpu(struct vcpu *v, struct error *err)
{
    pthread_attr_t attr;
    int rc;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, VCPU_STACK);
    rc = pthread_create(&v->thread, &attr, vcpu_thread, v);
    pthread_attr_destroy(&attr);
    v->started = rc == 0;
    return v->started || error_set(err, "no thread for processor %u: %s", v->index, strerror(rc));
}

/* ---- the accelerator ---- */

static bool create_vm(struct kvm *k, struct error *err)
{
    struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
    uint64_t identity_map = IDENTITY_MAP;
    long page = getpagesize();
    int ring;

    k->fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (k->fd < 0)
        return error_set(err, "/dev/kvm: %s", strerror(errno));
    if (ioctl(k->fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
        return error_set(err, "/dev/kvm speaks an unknown version of its interface");
    k->vm = ioctl(k->fd, KVM_CREATE_VM, 0);
    if (k->vm < 0)
        return error_set(err, "/dev/kvm: no virtual machine: %s", strerror(errno));
    if (ioctl(k->vm, KVM_CHECK_EXTENSION, KVM_CAP_READONLY_MEM) <= 0 ||
        ioctl(k->vm, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT) <= 0)
        return error_set(err,
                         "/dev/kvm: this kernel is too old (read-only memory and immediate exit are needed)");
    ioctl(k->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
    ioctl(k->vm, KVM_SET_TSS_ADDR, TSS_ADDRESS);
    if (ioctl(k->vm, KVM_CREATE_IRQCHIP) < 0 || ioctl(k->vm, KVM_CREATE_PIT2, &pit) < 0)
        return error_set(err, "/dev/kvm: no interrupt controllers in the kernel: %s", strerror(errno));
    k->run_size = ioctl(k->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    ring = ioctl(k->vm, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_MMIO);
    for (unsigned i = 0; i < k->m->config.cpus; i++)
        if (!create_vcpu(k, i, err))
            return false;
    if (ring > 0)
        k->ring = (void *)((char *)k->vcpus[0].run + ring * page);
    for (unsigned i = 0; i < KVM_CHIPS; i++) {
        k->chips[i].chip_id = i;
        ioctl(k->vm, KVM_GET_IRQCHIP, &k->chips[i]);
    }
    ioctl(k->vm, KVM_GET_PIT2, &k->pit);
    return true;
}

static void kvm_stop(struct machine *m)
{
    struct kvm *k = m->accel_data;

    if (!k)
        return;
    m->bus.listener = NULL;
    loop_cancel(&m->loop, &k->drain_work);
    quiesce(k);
    k->quit = true;
    pthread_cond_broadcast(&k->resumed);
    pthread_mutex_unlock(&m->lock);
    for (unsigned i = 0; i < k->count; i++)
        if (k->vcpus[i].started)
            pthread_join(k->vcpus[i].thread, NULL);
    pthread_mutex_lock(&m->lock);
    for (unsigned i = 0; i < k->count; i++) {
        munmap(k->vcpus[i].run, k->run_size);
        close(k->vcpus[i].fd);
        free(k->vcpus[i].power_on.msrs);
        free(k->vcpus[i].cpuid);
    }
    if (k->vm >= 0)
        close(k->vm);
    if (k->fd >= 0)
        close(k->fd);
    free(k->vcpus);
    free(k);
    m->accel_data = NULL;
}

static bool kvm_start(struct machine *m, struct error *err)
{
    struct kvm *k = calloc(1, sizeof(*k));
    struct sigaction kick = {.sa_handler = kvm_kicked};

    if (!k)
        return error_set(err, "out of memory");
    m->accel_data = k;
    k->m = m;
    k->drain_work = (struct loop_work){.run = kvm_drain_rest, .opaque = k};
    k->fd = k->vm = -1;
    k->vcpus = calloc(m->config.cpus, sizeof(*k->vcpus));
    pthread_cond_init(&k->resumed, NULL);
    atomic_store(&k->quiesced, 1); /* until machine_run */
    sigaction(KICK_SIGNAL, &kick, NULL);
    if (!k->vcpus || !create_vm(k, err)) {
        kvm_stop(m);
        return false;
    }
    m->bus.listener = kvm_space_changed;
    m->bus.listener_opaque = k;
    kvm_space_changed(k, SPACE_MEM);
    for (unsigned i = 0; i < k->count; i++)
        if (!start_vcpu(&k->vcpus[i], err)) {
            kvm_stop(m);
            return false;
        }
    k->finish_access = kvm_finish_access;
    kvm_state_add(k);
    return true;
}

static void kvm_resume(struct machine *m)
{
    kvm_release(m->accel_data);
}

static void kvm_pause_cpus(struct machine *m)
{
    quiesce(m->accel_data);
}

static void kvm_set_line(struct machine *m, unsigned line, bool level)
{
    struct kvm *k = m->accel_data;
    struct kvm_irq_level irq = {.irq = line, .level = level};

    work_add(&m->loop.work, WORK_CALL);
    if (k)
        ioctl(k->vm, KVM_IRQ_LINE, &irq);
}

const struct accel_ops kvm_accel = {
    .name = "kvm",
    .start = kvm_start,
    .stop = kvm_stop,
    .resume = kvm_resume,
    .pause = kvm_pause_cpus,
    .reset_cpus = kvm_reset_cpus,
    .get_registers = kvm_get_registers,
    .set_registers = kvm_set_registers,
    .set_line = kvm_set_line,
    .watch_vram = kvm_watch_vram,
    .sync_vram = kvm_sync_vram,
    .coalesce = kvm_coalesce,
    .drain = kvm_drain,
};
