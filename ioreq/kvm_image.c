/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ioreq/kvm_image.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGE_VERSION = 1, MIN_XSAVE = 4096, PIT_MODES = 8, PIT_NO_MODE = 0xFF, PIT_MOST = 0x10000 };

#define LAST_TIME (INT64_MAX / 4)

struct kvm_image *kvm_image_new(unsigned count)
{
    struct kvm_image *image = calloc(1, sizeof(*image));

    if (!image)
        return NULL;
    image->count = count;
    image->cpus = calloc(count, sizeof(*image->cpus));
    if (image->cpus)
        return image;
    free(image);
    return NULL;
}

void kvm_image_free(struct kvm_image *image)
{
    if (image)
        free(image->cpus);
    free(image);
}

/* ---- writing: the kernel's structs are what they are for ever, and little endian ---- */

static void image_write_msrs(const struct kvm_cpu_image *cpu, struct state_writer *w)
{
    state_put(w, cpu->msr_count, 4);
    for (unsigned i = 0; i < cpu->msr_count; i++) {
        state_put(w, cpu->msrs[i].index, 4);
        state_put(w, cpu->msrs[i].data, 8);
    }
}

static void image_write_cpuid(const struct cpuid_table *table, struct state_writer *w)
{
    state_put(w, table->count, 4);
    for (unsigned i = 0; i < table->count; i++) {
        const struct cpuid_leaf *leaf = &table->leaves[i];

        state_put(w, leaf->function, 4);
        state_put(w, leaf->index, 4);
        state_put(w, leaf->indexed, 1);
        for (unsigned reg = 0; reg < CPUID_REGS; reg++)
            state_put(w, leaf->regs[reg], 4);
    }
}

static void image_write_cpu(const struct kvm_cpu_image *cpu, struct state_writer *w)
{
    image_write_cpuid(&cpu->cpuid, w);
    state_put_bytes(w, &cpu->regs, sizeof(cpu->regs));
    state_put_bytes(w, &cpu->sregs, sizeof(cpu->sregs));
    state_put_bytes(w, &cpu->debugregs, sizeof(cpu->debugregs));
    state_put_bytes(w, &cpu->xcrs, sizeof(cpu->xcrs));
    state_put_bytes(w, &cpu->lapic, sizeof(cpu->lapic));
    state_put_bytes(w, &cpu->events, sizeof(cpu->events));
    state_put_bytes(w, &cpu->mp_state, sizeof(cpu->mp_state));
    state_put(w, cpu->tsc_khz, 4);
    state_put(w, cpu->xsave_size, 4);
    state_put_bytes(w, cpu->xsave, cpu->xsave_size);
    image_write_msrs(cpu, w);
}

void kvm_image_write(const struct kvm_image *image, struct state_writer *w)
{
    state_put(w, IMAGE_VERSION, 2);
    for (unsigned i = 0; i < KVM_CHIPS; i++)
        state_put_bytes(w, &image->chips[i].chip, sizeof(image->chips[i].chip));
    state_put_bytes(w, &image->pit, sizeof(image->pit));
    state_put(w, image->clock, 8);
    state_put(w, image->realtime, 8);
    state_put(w, image->count, 4);
    for (unsigned i = 0; i < image->count; i++)
        image_write_cpu(&image->cpus[i], w);
}

/* ---- reading ---- */

static bool image_read_msrs(struct kvm_cpu_image *cpu, struct state_reader *r, struct error *err)
{
    uint64_t count = state_get(r, 4);

    if (count > MAX_MSRS)
        return error_set(err, "%" PRIu64 " MSRs, of %d at most", count, MAX_MSRS);
    for (cpu->msr_count = 0; cpu->msr_count < count; cpu->msr_count++) {
        struct kvm_msr_entry *msr = &cpu->msrs[cpu->msr_count];

        *msr = (struct kvm_msr_entry){.index = state_get(r, 4)};
        msr->data = state_get(r, 8);
        for (unsigned i = 0; i < cpu->msr_count && !r->failed; i++)
            if (cpu->msrs[i].index == msr->index)
                return error_set(err, "MSR 0x%x is there twice", msr->index);
    }
    return true;
}

static bool image_read_cpuid(struct cpuid_table *table, struct state_reader *r, struct error *err)
{
    uint64_t count = state_get(r, 4);

    if (count > CPUID_LEAVES)
        return error_set(err, "%" PRIu64 " leaves of CPUID, of %d at most", count, CPUID_LEAVES);
    for (table->count = 0; table->count < count; table->count++) {
        struct cpuid_leaf *leaf = &table->leaves[table->count];
        uint64_t indexed;

        leaf->function = state_get(r, 4);
        leaf->index = state_get(r, 4);
        indexed = state_get(r, 1);
        if (indexed > 1)
            return error_set(err, "CPUID leaf 0x%x: indexed is %" PRIu64, leaf->function, indexed);
        leaf->indexed = indexed;
        for (unsigned reg = 0; reg < CPUID_REGS; reg++)
            leaf->regs[reg] = state_get(r, 4);
    }
    return true;
}

static bool image_read_xsave(struct kvm_cpu_image *cpu, struct state_reader *r, struct error *err)
{
    uint64_t size = state_get(r, 4);

    if (!r->failed && (size < MIN_XSAVE || size > MAX_XSAVE))
        return error_set(err, "xsave is of %" PRIu64 " bytes, not of %d to %d", size, MIN_XSAVE, MAX_XSAVE);
    cpu->xsave_size = size;
    memset(cpu->xsave, 0, sizeof(cpu->xsave));
    state_get_bytes(r, cpu->xsave, r->failed ? 0 : size);
    return true;
}

static bool image_read_cpu(struct kvm_cpu_image *cpu, struct state_reader *r, struct error *err)
{
    if (!image_read_cpuid(&cpu->cpuid, r, err))
        return false;
    state_get_bytes(r, &cpu->regs, sizeof(cpu->regs));
    state_get_bytes(r, &cpu->sregs, sizeof(cpu->sregs));
    state_get_bytes(r, &cpu->debugregs, sizeof(cpu->debugregs));
    state_get_bytes(r, &cpu->xcrs, sizeof(cpu->xcrs));
    state_get_bytes(r, &cpu->lapic, sizeof(cpu->lapic));
    state_get_bytes(r, &cpu->events, sizeof(cpu->events));
    state_get_bytes(r, &cpu->mp_state, sizeof(cpu->mp_state));
    cpu->tsc_khz = state_get(r, 4);
    if (!r->failed && cpu->xcrs.nr_xcrs > KVM_MAX_XCRS)
        return error_set(err, "%u XCRs, of %d at most", cpu->xcrs.nr_xcrs, KVM_MAX_XCRS);
    return image_read_xsave(cpu, r, err) && image_read_msrs(cpu, r, err);
}

/* The kernel arms a timer by it. */
static bool image_pit_valid(const struct kvm_pit_state2 *pit, struct error *err)
{
    for (unsigned i = 0; i < 3; i++) {
        const struct kvm_pit_channel_state *channel = &pit->channels[i];

        if (channel->count > PIT_MOST)
            return error_set(err, "PIT channel %u: count is %u", i, channel->count);
        if (channel->mode >= PIT_MODES && channel->mode != PIT_NO_MODE)
            return error_set(err, "PIT channel %u: mode is %u", i, channel->mode);
    }
    return true;
}

static bool image_read_clocks(struct kvm_image *image, struct state_reader *r, struct error *err)
{
    image->clock = state_get(r, 8);
    image->realtime = state_get(r, 8);
    return (image->clock <= LAST_TIME && image->realtime <= LAST_TIME) ||
           error_set(err, "clock is %" PRIu64 " at %" PRIu64, image->clock, image->realtime);
}

bool kvm_image_read(struct kvm_image *image, struct state_reader *r, struct error *err)
{
    uint64_t version = state_get(r, 2), count;

    if (version != IMAGE_VERSION)
        return error_set(err, "its version is %" PRIu64 ", and this program knows %d", version,
                         IMAGE_VERSION);
    for (unsigned i = 0; i < KVM_CHIPS; i++) {
        image->chips[i] = (struct kvm_irqchip){.chip_id = i};
        state_get_bytes(r, &image->chips[i].chip, sizeof(image->chips[i].chip));
    }
    state_get_bytes(r, &image->pit, sizeof(image->pit));
    if (!image_pit_valid(&image->pit, err) || !image_read_clocks(image, r, err))
        return false;
    count = state_get(r, 4);
    if (!r->failed && count != image->count)
        return error_set(err, "%" PRIu64 " processors, and this machine has %u", count, image->count);
    for (unsigned i = 0; i < image->count && !r->failed; i++)
        if (!image_read_cpu(&image->cpus[i], r, err))
            return error_prefix(err, "processor %u", i);
    return !r->failed || error_set(err, "the state ends too early");
}
