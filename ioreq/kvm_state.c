/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processors, interrupt controllers, timer and clock go to another process. What the kernel demands of the
 * order is in Documentation/virt/kvm/api.rst: CPUID first, the APIC's base (sregs) before the APIC, the APIC
 * before the MSR that arms its deadline, the TSC before that, events after what drops them (regs), clocks
 * last.
 *
 * Time goes on while the guest is on its way: the TSC and kvmclock are set forward by what the wall clock
 * says.
 */
#include "ioreq/kvm_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/log.h"

#define MSR_TSC             0x10u
#define MSR_TSC_DEADLINE    0x6E0u
#define MSR_KVM_WALL_CLOCK  0x11u
#define MSR_KVM_SYSTEM_TIME 0x12u
#define MSR_KVM_WALL_NEW    0x4B564D00u
#define MSR_KVM_SYSTEM_NEW  0x4B564D01u
#define KHZ_OF_NS           1000000u /* ns of one kHz's period */

/* What older kernels keep, but do not list. */
static const uint32_t mtrrs[] = {0x200, 0x201, 0x202, 0x203, 0x204, 0x205, 0x206, 0x207, 0x208, 0x209,
                                 0x20A, 0x20B, 0x20C, 0x20D, 0x20E, 0x20F, 0x250, 0x258, 0x259, 0x268,
                                 0x269, 0x26A, 0x26B, 0x26C, 0x26D, 0x26E, 0x26F, 0x2FF};

/* MSRs are written in this order. */
enum msr_turn { TURN_FIRST, TURN_TSC, TURN_KVMCLOCK, TURN_DEADLINE, TURNS };

static enum msr_turn msr_turn(uint32_t index)
{
    switch (index) {
    case MSR_TSC:
        return TURN_TSC;
    case MSR_KVM_WALL_CLOCK:
    case MSR_KVM_SYSTEM_TIME:
    case MSR_KVM_WALL_NEW:
    case MSR_KVM_SYSTEM_NEW:
        return TURN_KVMCLOCK;
    case MSR_TSC_DEADLINE:
        return TURN_DEADLINE;
    default:
        return TURN_FIRST;
    }
}

static uint64_t state_wall_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

/* ---- one by one ---- */

bool kvm_give_cpuid(struct vcpu *v, const struct cpuid_table *table)
{
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + table->count * sizeof(cpuid->entries[0]));
    bool ok;

    if (!cpuid)
        return false;
    for (unsigned i = 0; i < table->count; i++) {
        const struct cpuid_leaf *leaf = &table->leaves[i];

        cpuid->entries[cpuid->nent++] =
            (struct kvm_cpuid_entry2){.function = leaf->function,
                                      .index = leaf->index,
                                      .flags = leaf->indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
                                      .eax = leaf->regs[CPUID_EAX],
                                      .ebx = leaf->regs[CPUID_EBX],
                                      .ecx = leaf->regs[CPUID_ECX],
                                      .edx = leaf->regs[CPUID_EDX]};
    }
    ok = ioctl(v->fd, KVM_SET_CPUID2, cpuid) == 0;
    free(cpuid);
    return ok;
}

/* KVM takes MSRs in a list; here it is always a list of one. */
enum { ONE_MSR = (sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)) / sizeof(uint64_t) };

static struct kvm_msrs *one_msr(uint64_t *buffer, struct kvm_msr_entry entry)
{
    struct kvm_msrs *msrs = (struct kvm_msrs *)buffer;

    msrs->nmsrs = 1;
    msrs->pad = 0;
    msrs->entries[0] = entry;
    return msrs;
}

bool kvm_read_msr(struct vcpu *v, uint32_t index, uint64_t *value)
{
    uint64_t buffer[ONE_MSR];
    struct kvm_msrs *one = one_msr(buffer, (struct kvm_msr_entry){.index = index});
    bool ok = ioctl(v->fd, KVM_GET_MSRS, one) == 1;

    *value = one->entries[0].data;
    return ok;
}

bool kvm_write_msr(struct vcpu *v, uint32_t index, uint64_t value)
{
    uint64_t buffer[ONE_MSR];

    return ioctl(v->fd, KVM_SET_MSRS,
                 one_msr(buffer, (struct kvm_msr_entry){.index = index, .data = value})) == 1;
}

/* ---- which MSRs ---- */

static bool state_lists_msr(const struct kvm *k, uint32_t index)
{
    for (unsigned i = 0; i < k->msr_count; i++)
        if (k->msrs[i] == index)
            return true;
    return false;
}

/* Before the guest ran: what is written back is what was there. */
static void state_try_msr(struct kvm *k, uint32_t index)
{
    uint64_t value;

    if (k->msr_count == MAX_MSRS || state_lists_msr(k, index) || !kvm_read_msr(&k->vcpus[0], index, &value))
        return;
    if (msr_turn(index) != TURN_FIRST || kvm_write_msr(&k->vcpus[0], index, value))
        k->msrs[k->msr_count++] = index;
}

static void state_list_msrs(struct kvm *k)
{
    struct kvm_msr_list *list = calloc(1, sizeof(*list) + MAX_MSRS * sizeof(list->indices[0]));

    if (!list)
        return;
    list->nmsrs = MAX_MSRS;
    if (ioctl(k->fd, KVM_GET_MSR_INDEX_LIST, list) < 0)
        list->nmsrs = 0;
    for (unsigned i = 0; i < list->nmsrs; i++)
        state_try_msr(k, list->indices[i]);
    free(list);
    for (size_t i = 0; i < sizeof(mtrrs) / sizeof(mtrrs[0]); i++)
        state_try_msr(k, mtrrs[i]);
}

/* ---- taking ---- */

static bool state_ask(struct vcpu *v, unsigned long request, void *data, const char *what, struct error *err)
{
    return ioctl(v->fd, request, data) >= 0 ||
           error_set(err, "processor %u: the kernel does not take or give its %s: %s", v->index, what,
                     strerror(errno));
}

/* The two are the same up to where the first has pending interrupts, which the events have, too. */
enum { SREGS_SHARED = offsetof(struct kvm_sregs, interrupt_bitmap) };
_Static_assert(SREGS_SHARED == offsetof(struct kvm_sregs2, flags), "kvm_sregs2 begins as kvm_sregs");

static bool state_has_sregs2(const struct vcpu *v)
{
    return ioctl(v->kvm->vm, KVM_CHECK_EXTENSION, KVM_CAP_SREGS2) > 0;
}

static bool state_take_sregs(struct vcpu *v, struct kvm_sregs2 *sregs, struct error *err)
{
    struct kvm_sregs old;

    if (state_has_sregs2(v))
        return state_ask(v, KVM_GET_SREGS2, sregs, "segment and control registers", err);
    if (!state_ask(v, KVM_GET_SREGS, &old, "segment and control registers", err))
        return false;
    memset(sregs, 0, sizeof(*sregs));
    memcpy(sregs, &old, SREGS_SHARED);
    return true;
}

static bool state_give_sregs(struct vcpu *v, const struct kvm_sregs2 *sregs, struct error *err)
{
    struct kvm_sregs2 own = *sregs;
    struct kvm_sregs old = {0};

    if (state_has_sregs2(v))
        return state_ask(v, KVM_SET_SREGS2, &own, "segment and control registers", err);
    memcpy(&old, sregs, SREGS_SHARED);
    return state_ask(v, KVM_SET_SREGS, &old, "segment and control registers", err);
}

static bool state_take_xsave(struct vcpu *v, struct kvm_cpu_image *cpu, struct error *err)
{
    unsigned long request = v->kvm->xsave_size > sizeof(struct kvm_xsave) ? KVM_GET_XSAVE2 : KVM_GET_XSAVE;

    cpu->xsave_size = v->kvm->xsave_size;
    if (cpu->xsave_size > MAX_XSAVE)
        return error_set(err, "processor %u: %u bytes of xsave, of %d at most", v->index, cpu->xsave_size,
                         MAX_XSAVE);
    return state_ask(v, request, cpu->xsave, "floating-point registers", err);
}

static void state_take_msrs(struct vcpu *v, struct kvm_cpu_image *cpu)
{
    cpu->msr_count = 0;
    for (unsigned i = 0; i < v->kvm->msr_count; i++) {
        struct kvm_msr_entry *msr = &cpu->msrs[cpu->msr_count];
        uint64_t value;

        if (!kvm_read_msr(v, v->kvm->msrs[i], &value))
            continue;
        *msr = (struct kvm_msr_entry){.index = v->kvm->msrs[i], .data = value};
        cpu->msr_count++;
    }
}

/* The run state first and the events last: asking for the former may bring the latter. */
static bool state_take_cpu(struct vcpu *v, struct kvm_cpu_image *cpu, struct error *err)
{
    int khz = ioctl(v->fd, KVM_GET_TSC_KHZ, 0);

    cpu->cpuid = *v->cpuid;
    cpu->tsc_khz = khz > 0 ? khz : 0;
    if (!state_ask(v, KVM_GET_MP_STATE, &cpu->mp_state, "run state", err) ||
        !state_ask(v, KVM_GET_REGS, &cpu->regs, "registers", err) || !state_take_sregs(v, &cpu->sregs, err) ||
        !state_take_xsave(v, cpu, err) ||
        !state_ask(v, KVM_GET_DEBUGREGS, &cpu->debugregs, "debug registers", err) ||
        !state_ask(v, KVM_GET_LAPIC, &cpu->lapic, "local APIC", err))
        return false;
    if (ioctl(v->fd, KVM_GET_XCRS, &cpu->xcrs) < 0) /* a host without XSAVE */
        cpu->xcrs.nr_xcrs = 0;
    state_take_msrs(v, cpu);
    return state_ask(v, KVM_GET_VCPU_EVENTS, &cpu->events, "events", err);
}

/* A long string that gave way cannot be taken over from its thread: whoever saves tries again a little later.
 */
static bool state_take_cpus(struct kvm *k, struct kvm_image *image, struct error *err)
{
    for (unsigned i = 0; i < k->count; i++)
        if (k->vcpus[i].halfway)
            return error_set(err, "processor %u is in the middle of a long access; try again", i);
    for (unsigned i = 0; i < k->count; i++)
        if (!state_take_cpu(&k->vcpus[i], &image->cpus[i], err))
            return false;
    return true;
}

static bool state_take_chips(struct kvm *k, struct kvm_image *image, struct error *err)
{
    struct kvm_clock_data clock;

    for (unsigned i = 0; i < KVM_CHIPS; i++) {
        image->chips[i].chip_id = i;
        if (ioctl(k->vm, KVM_GET_IRQCHIP, &image->chips[i]) < 0)
            return error_set(err, "interrupt controller %u: %s", i, strerror(errno));
    }
    if (ioctl(k->vm, KVM_GET_PIT2, &image->pit) < 0)
        return error_set(err, "interval timer: %s", strerror(errno));
    if (ioctl(k->vm, KVM_GET_CLOCK, &clock) < 0)
        return error_set(err, "kvmclock: %s", strerror(errno));
    image->clock = clock.clock;
    image->realtime = state_wall_ns();
    return true;
}

/* ---- giving ---- */

/* How long the guest was on its way. */
static uint64_t state_away(const struct kvm_image *image)
{
    uint64_t now = state_wall_ns();

    return image->realtime && now > image->realtime ? now - image->realtime : 0;
}

static uint64_t state_ticks(uint64_t ns, uint32_t khz)
{
    return ns / KHZ_OF_NS * khz + ns % KHZ_OF_NS * khz / KHZ_OF_NS;
}

/* One that cannot be written does no harm where it has that value by itself. */
static bool state_give_msr(struct vcpu *v, uint32_t index, uint64_t value, struct error *err)
{
    uint64_t own;

    if (!state_lists_msr(v->kvm, index))
        return !value || error_set(err, "processor %u: this kernel has no MSR 0x%x, which is 0x%" PRIx64,
                                   v->index, index, value);
    if (kvm_write_msr(v, index, value) || (kvm_read_msr(v, index, &own) && own == value))
        return true;
    return error_set(err, "processor %u: the kernel refuses 0x%" PRIx64 " for MSR 0x%x", v->index, value,
                     index);
}

static bool state_give_msrs(struct vcpu *v, const struct kvm_cpu_image *cpu, enum msr_turn turn,
                            struct error *err)
{
    for (unsigned i = 0; i < cpu->msr_count; i++)
        if (msr_turn(cpu->msrs[i].index) == turn &&
            !state_give_msr(v, cpu->msrs[i].index, cpu->msrs[i].data, err))
            return false;
    return true;
}

static bool state_give_xsave(struct vcpu *v, struct kvm_cpu_image *cpu, struct error *err)
{
    for (unsigned at = v->kvm->xsave_size / 4; at < MAX_XSAVE / 4; at++)
        if (cpu->xsave[at])
            return error_set(err, "processor %u: it uses registers that this kernel does not keep", v->index);
    return state_ask(v, KVM_SET_XSAVE, cpu->xsave, "floating-point registers", err) &&
           (!cpu->xcrs.nr_xcrs || state_ask(v, KVM_SET_XCRS, &cpu->xcrs, "extended control registers", err));
}

/* All but what time goes on in. */
static bool state_give_registers(struct vcpu *v, struct kvm_cpu_image *cpu, struct error *err)
{
    if (!kvm_give_cpuid(v, &cpu->cpuid))
        return error_set(err, "processor %u: the kernel refuses its CPUID: %s", v->index, strerror(errno));
    return state_ask(v, KVM_SET_REGS, &cpu->regs, "registers", err) &&
           state_give_sregs(v, &cpu->sregs, err) && state_give_xsave(v, cpu, err) &&
           state_ask(v, KVM_SET_DEBUGREGS, &cpu->debugregs, "debug registers", err) &&
           state_ask(v, KVM_SET_LAPIC, &cpu->lapic, "local APIC", err) &&
           state_give_msrs(v, cpu, TURN_FIRST, err);
}

static bool state_give_events(struct vcpu *v, struct kvm_cpu_image *cpu, struct error *err)
{
    return state_ask(v, KVM_SET_VCPU_EVENTS, &cpu->events, "events", err) &&
           state_ask(v, KVM_SET_MP_STATE, &cpu->mp_state, "run state", err);
}

/* A TSC of another pace is scaled where the processor can; guests with kvmclock do without. */
static void state_give_pace(struct vcpu *v, uint32_t khz)
{
    int own = ioctl(v->fd, KVM_GET_TSC_KHZ, 0);

    if (khz && own > 0 && (uint32_t)own != khz && ioctl(v->fd, KVM_SET_TSC_KHZ, khz) < 0 && v->index == 0)
        log_line("warning: the guest's TSC ran at %u kHz, and here it runs at %d kHz", khz, own);
}

static bool state_give_cpu(struct vcpu *v, struct kvm_cpu_image *cpu, uint64_t away, struct error *err)
{
    for (unsigned i = 0; i < cpu->msr_count; i++)
        if (cpu->msrs[i].index == MSR_TSC)
            cpu->msrs[i].data += state_ticks(away, cpu->tsc_khz);
    *v->cpuid = cpu->cpuid;
    state_give_pace(v, cpu->tsc_khz);
    if (!state_give_registers(v, cpu, err))
        return false;
    for (unsigned turn = TURN_TSC; turn < TURNS; turn++)
        if (!state_give_msrs(v, cpu, turn, err))
            return false;
    return state_give_events(v, cpu, err);
}

/* The controllers after the processors' APICs, which they may interrupt. */
static bool state_give_chips(struct kvm *k, struct kvm_image *image, struct error *err)
{
    for (unsigned i = 0; i < KVM_CHIPS; i++)
        if (ioctl(k->vm, KVM_SET_IRQCHIP, &image->chips[i]) < 0)
            return error_set(err, "interrupt controller %u: %s", i, strerror(errno));
    return ioctl(k->vm, KVM_SET_PIT2, &image->pit) >= 0 ||
           error_set(err, "interval timer: %s", strerror(errno));
}

static bool state_give_all(struct kvm *k, struct kvm_image *image, struct error *err)
{
    const uint64_t away = state_away(image);
    struct kvm_clock_data clock = {.clock = image->clock + away};

    for (unsigned i = 0; i < k->count; i++)
        if (!state_give_cpu(&k->vcpus[i], &image->cpus[i], away, err))
            return false;
    if (!state_give_chips(k, image, err))
        return false;
    if (ioctl(k->vm, KVM_SET_CLOCK, &clock) < 0)
        return error_set(err, "kvmclock: %s", strerror(errno));
    /* The guest's watchdogs are told that it stood still; those that do not listen are not asked. */
    for (unsigned i = 0; i < k->count; i++)
        ioctl(k->vcpus[i].fd, KVM_KVMCLOCK_CTRL, 0);
    return true;
}

/* ---- checking: the kernel alone knows what it takes ---- */

static bool state_check_cpuid(struct kvm *k, const struct kvm_image *image, struct error *err)
{
    char missing[256];

    for (unsigned i = 0; i < k->count; i++)
        if (!cpu_model_covers(k->vcpus[i].cpuid, &image->cpus[i].cpuid, missing))
            return error_set(err, "the guest's processors have what this host, or -cpu, does not give: %s",
                             missing);
    return true;
}

static bool state_try_cpus(struct kvm *k, struct kvm_image *image, struct error *err)
{
    for (unsigned i = 0; i < k->count; i++)
        if (!state_give_registers(&k->vcpus[i], &image->cpus[i], err) ||
            !state_give_events(&k->vcpus[i], &image->cpus[i], err))
            return false;
    return true;
}

/* Gives it to the processors, and then gives them back what they had. */
static bool state_check(struct kvm *k, struct kvm_image *image, struct error *err)
{
    struct kvm_image *own;
    bool ok;

    if (!state_check_cpuid(k, image, err))
        return false;
    own = kvm_image_new(k->count);
    if (!own)
        return error_set(err, "out of memory");
    for (unsigned i = 0; i < k->count; i++)
        k->finish_access(&k->vcpus[i], false);
    ok = state_take_cpus(k, own, err);
    if (ok) {
        ok = state_try_cpus(k, image, err);
        state_try_cpus(k, own, NULL);
    }
    kvm_image_free(own);
    return ok;
}

/* ---- the section ---- */

static void state_settle(void *opaque)
{
    struct kvm *k = opaque;

    for (unsigned i = 0; i < k->count; i++)
        k->finish_access(&k->vcpus[i], true);
}

static void state_section_save(void *opaque, struct state_writer *w)
{
    struct kvm *k = opaque;
    struct kvm_image *image = kvm_image_new(k->count);
    struct error err = {.text = "out of memory"};

    if (image && state_take_cpus(k, image, &err) && state_take_chips(k, image, &err)) {
        kvm_image_write(image, w);
    } else {
        log_line("KVM: the guest cannot be saved: %s", err.text);
        w->failed = true;
    }
    kvm_image_free(image);
}

static bool state_section_load(void *opaque, struct state_reader *r, enum state_load how, struct error *err)
{
    struct kvm *k = opaque;
    struct kvm_image *image = kvm_image_new(k->count);
    struct error refused;
    bool ok;

    if (!image)
        return error_set(err, "out of memory");
    ok = kvm_image_read(image, r, err);
    if (ok && how == STATE_CHECK)
        ok = state_check(k, image, err);
    else if (ok && !state_give_all(k, image, &refused)) {
        log_line("KVM: the guest cannot go on: %s", refused.text);
        k->m->state = RUN_INTERNAL_ERROR;
    }
    kvm_image_free(image);
    return ok;
}

void kvm_state_add(struct kvm *k)
{
    int size = ioctl(k->vm, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);

    k->xsave_size = size > (int)sizeof(struct kvm_xsave) ? size : (int)sizeof(struct kvm_xsave);
    state_list_msrs(k);
    k->section = (struct machine_section){.name = "kvm",
                                          .settle = state_settle,
                                          .save = state_section_save,
                                          .load = state_section_load,
                                          .opaque = k};
    machine_add_section(k->m, &k->section);
}

void kvm_state_remove(struct kvm *k)
{
    machine_remove_section(k->m, &k->section);
}
