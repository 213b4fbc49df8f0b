/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the KVM port share: slots, processors and their exits (kvm.c), what is saved of them
 * (kvm_state.c, kvm_image.c). */
#ifndef IOREQ_KVM_PRIVATE_H
#define IOREQ_KVM_PRIVATE_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ioreq/kvm_image.h"
#include "machine/machine.h"
#include "machine/save.h"

enum {
    MAX_SLOTS = 64,
};

/* A KVM memory slot: host memory that the guest reaches without exits. */
struct slot {
    uint64_t gpa, size;
    uint8_t *host;
    uint32_t flags;
    struct region *region; /* for the dirty log: where the slot's memory lies in its region */
    uint64_t offset;
};

/* What a processor is after power-on, taken from the kernel before it ran: a reset puts it back. */
struct cpu_state {
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_fpu fpu;
    struct kvm_lapic_state lapic;
    struct kvm_mp_state mp_state;
    struct kvm_vcpu_events events;
    struct kvm_debugregs debugregs;
    struct kvm_xcrs xcrs;
    struct kvm_msrs *msrs;
};

struct vcpu {
    struct kvm *kvm;
    unsigned index;
    int fd;
    struct kvm_run *run;
    pthread_t thread;
    bool started;
    atomic_bool in_guest;      /* between the decision to enter KVM_RUN and its return */
    bool exited;               /* it left the guest, and what it asks for is not answered yet */
    bool halfway;              /* its exit is being answered, and gave way */
    int error;                 /* what KVM_RUN failed with, or 0; while exited */
    struct cpuid_table *cpuid; /* what the guest may be told */
    struct cpu_state power_on;
};

struct kvm {
    struct machine *m;
    int fd, vm;
    size_t run_size;
    struct slot slots[MAX_SLOTS];
    struct kvm_coalesced_mmio_ring *ring; /* NULL: the kernel has none */
    struct loop_work drain_work;          /* what the ring holds still */
    uint64_t zone_base, zone_size;        /* the coalesced zone that is registered; size 0: none */
    struct kvm_irqchip chips[KVM_CHIPS];
    struct kvm_pit_state2 pit;
    atomic_uint quiesced;   /* > 0: no processor may enter the guest */
    pthread_cond_t resumed; /* with the machine lock */
    bool quit;
    bool settling;        /* exits are answered in one go, for a save */
    uint64_t resets;      /* the rest of an exit from before a reset is dropped */
    struct vcpu *serving; /* whose exit is being answered, with the machine lock */
    struct vcpu *vcpus;
    unsigned count;
    /* Finishes the access that a processor left the guest for, so that nothing of it is left in the kernel:
     * serves what it asks for, or drops it. No processor is in the guest. */
    void (*finish_access)(struct vcpu *v, bool serve);
    struct machine_section section; /* what is saved of all this */
    uint32_t msrs[MAX_MSRS];        /* those that are saved: the kernel reads them, and writes them back */
    unsigned msr_count;
    unsigned xsave_size; /* bytes that the kernel has for KVM_SET_XSAVE */
};

/* Tells the processor's guest what the table says. False: errno. */
bool kvm_give_cpuid(struct vcpu *v, const struct cpuid_table *table);
/* One MSR of the processor; false: the kernel refuses it. */
bool kvm_read_msr(struct vcpu *v, uint32_t index, uint64_t *value);
bool kvm_write_msr(struct vcpu *v, uint32_t index, uint64_t value);

/* Saving and loading, as a section of the machine's state. */
void kvm_state_add(struct kvm *k);
void kvm_state_remove(struct kvm *k);

#endif
