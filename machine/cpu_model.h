/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guest's processors say of themselves by CPUID: -cpu MODEL[,+FLAG][,-FLAG][,KEY=VALUE] and -smp's
 * sockets, cores and threads, laid over what the host can give. No hypervisor is called here: a port takes
 * the host's table, lets cpu_model_apply make the guest's of it, and hands that to its hypervisor.
 *
 * Sources: Intel SDM volume 2A (CPUID), AMD APM volume 3 appendix E, the x86-64 psABI (x86-64-v1 to v4),
 * Linux Documentation/virt/kvm/x86/cpuid.rst (leaf 0x40000001). Flag names are those that QEMU's users write;
 * '_' and '-' are the same in them.
 */
#ifndef MACHINE_CPU_MODEL_H
#define MACHINE_CPU_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

enum { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX, CPUID_REGS };

struct cpuid_leaf {
    uint32_t function, index; /* EAX and ECX going in */
    bool indexed;             /* the answer depends on ECX */
    uint32_t regs[CPUID_REGS];
};

enum { CPUID_LEAVES = 256 };

struct cpuid_table {
    struct cpuid_leaf leaves[CPUID_LEAVES];
    unsigned count;
};

/* The leaf, NULL: there is none. */
struct cpuid_leaf *cpuid_find(struct cpuid_table *table, uint32_t function, uint32_t index);

/* A package of cores * threads logical processors; 0 is 1. */
struct cpu_topology {
    unsigned cores, threads;
};

/* The APIC id of processor `index`: package, core and thread each in bits of their own, so that the ids have
 * gaps where cores or threads are no power of two (Intel SDM volume 3A, 9.9). */
unsigned cpu_apic_id(const struct cpu_topology *topology, unsigned index);

/* Registers of CPUID whose bits are flags with names. */
enum { CPU_FLAG_WORDS = 14 };

struct cpu_model {
    const struct cpu_model_row *row;
    uint32_t on[CPU_FLAG_WORDS], off[CPU_FLAG_WORDS]; /* asked for by name */
    char vendor[13];                                  /* "": the host's */
    char model_id[49];                                /* "": the model's */
    int64_t level, xlevel;                            /* highest leaf; -1: the model's */
    int64_t family, model, stepping;                  /* -1: the model's */
    int64_t phys_bits;                                /* -1: the model's; 0: the host's */
    bool kvm;                                         /* the hypervisor tells its name and its services */
    bool check;                                       /* say what the host cannot give */
    bool enforce;                                     /* and refuse it */
};

/* From -cpu's argument; "" is "host". False with *err that names the nearest model, flag or key. */
bool cpu_model_parse(struct cpu_model *model, const char *text, struct error *err);

/* What -cpu help prints. */
void cpu_model_help(FILE *out);

/*
 * Makes the table of processor `index` from what the host can give. What the model has and the host lacks is
 * left out; the flags are named in missing (may be NULL), and where the model says enforce that is an error.
 */
bool cpu_model_apply(const struct cpu_model *model, const struct cpu_topology *topology, unsigned index,
                     struct cpuid_table *table, char missing[256], struct error *err);

/* Does `given` have all that `wanted` says of itself by flags? False: those that it lacks are named. */
bool cpu_model_covers(const struct cpuid_table *given, const struct cpuid_table *wanted, char missing[256]);

#endif
