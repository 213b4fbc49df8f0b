/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is saved of the processors, interrupt controllers, timer and clock that the kernel keeps for us, and
 * how it is written down: no kernel is called here. docs/state.md has the format.
 */
#ifndef IOREQ_KVM_IMAGE_H
#define IOREQ_KVM_IMAGE_H

#include <linux/kvm.h>

#include "machine/cpu_model.h"
#include "machine/state.h"

enum { MAX_MSRS = 512, MAX_XSAVE = 16384, KVM_CHIPS = 3 };

/* One processor. */
struct kvm_cpu_image {
    struct kvm_regs regs;
    struct kvm_sregs2 sregs; /* a kernel without KVM_GET_SREGS2: flags is 0 */
    struct kvm_debugregs debugregs;
    struct kvm_xcrs xcrs;
    struct kvm_lapic_state lapic;
    struct kvm_vcpu_events events;
    struct kvm_mp_state mp_state;
    uint32_t tsc_khz;    /* 0: unknown */
    uint32_t xsave_size; /* bytes of xsave that count: 4096 at least */
    uint32_t xsave[MAX_XSAVE / 4];
    unsigned msr_count;
    struct kvm_msr_entry msrs[MAX_MSRS];
    struct cpuid_table cpuid;
};

struct kvm_image {
    struct kvm_irqchip chips[KVM_CHIPS]; /* PIC, PIC, IOAPIC */
    struct kvm_pit_state2 pit;
    uint64_t clock;    /* kvmclock, ns */
    uint64_t realtime; /* the host's wall clock then: ns since 1970 */
    unsigned count;
    struct kvm_cpu_image *cpus;
};

/* For so many processors; NULL: out of memory. */
struct kvm_image *kvm_image_new(unsigned count);
void kvm_image_free(struct kvm_image *image);

void kvm_image_write(const struct kvm_image *image, struct state_writer *w);
/* Trusts nothing: sizes, counts and what the kernel would take on faith are checked. False with *err. */
bool kvm_image_read(struct kvm_image *image, struct state_reader *r, struct error *err);

#endif
