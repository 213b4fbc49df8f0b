/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/processors.h"

#include <string.h>

#include "control/opts.h"

/* xAPIC ids have eight bits, and 255 is everybody. */
#define HIGHEST_APIC_ID 254

bool processors_cpu(struct options *o, const char *option, const char *arg, struct error *err)
{
    if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
        cpu_model_help(stdout);
        o->nothing_to_run = true;
        return true;
    }
    o->processor_model = arg;
    return cpu_model_parse(&o->config.cpu, arg, err) || error_prefix(err, "%s %s", option, arg);
}

struct smp {
    uint64_t cpus, max, sockets, cores, threads; /* 0: not given */
};

/* What was not given follows from the rest, as QEMU's users know it: cores before sockets, one thread. */
static void processors_complete(struct smp *smp)
{
    uint64_t threads = smp->threads ? smp->threads : 1, given;

    given = (smp->sockets ? smp->sockets : 1) * (smp->cores ? smp->cores : 1) * threads;
    if (!smp->max)
        smp->max = smp->cpus ? smp->cpus : given;
    if (!smp->cpus)
        smp->cpus = smp->max;
    smp->threads = threads;
    if (!smp->cores)
        smp->cores = smp->max / threads / (smp->sockets ? smp->sockets : 1);
    if (!smp->sockets)
        smp->sockets = smp->cores ? smp->max / threads / smp->cores : 0;
}

static bool processors_check(const struct smp *smp, const struct opts *opts, struct error *err)
{
    const struct cpu_topology topology = {.cores = smp->cores, .threads = smp->threads};

    if (smp->max < smp->cpus)
        return opts_error(opts, err, "%llu processors are more than the %llu of maxcpus",
                          (unsigned long long)smp->cpus, (unsigned long long)smp->max);
    if (smp->max > MACHINE_MAX_CPUS)
        return opts_error(opts, err, "at most %d processors are supported", MACHINE_MAX_CPUS);
    if (smp->sockets * smp->cores * smp->threads != smp->max)
        return opts_error(opts, err, "sockets * cores * threads is %llu * %llu * %llu, and maxcpus is %llu",
                          (unsigned long long)smp->sockets, (unsigned long long)smp->cores,
                          (unsigned long long)smp->threads, (unsigned long long)smp->max);
    if (cpu_apic_id(&topology, smp->max - 1) > HIGHEST_APIC_ID)
        return opts_error(opts, err, "this topology needs APIC ids above %d", HIGHEST_APIC_ID);
    return true;
}

bool processors_smp(struct options *o, const char *option, const char *arg, struct error *err)
{
    static const char *const known[] = {"cpus", "maxcpus", "sockets", "dies", "cores", "threads", NULL};
    struct opts *opts = opts_parse(option, arg, "cpus", known, err);
    struct smp smp = {0};
    uint64_t dies = 1;
    bool ok;

    if (!opts)
        return false;
    ok = opts_number(opts, "cpus", 1, MACHINE_MAX_CPUS, &smp.cpus, err) &&
         opts_number(opts, "maxcpus", 1, MACHINE_MAX_CPUS, &smp.max, err) &&
         opts_number(opts, "sockets", 1, MACHINE_MAX_CPUS, &smp.sockets, err) &&
         opts_number(opts, "dies", 1, 1, &dies, err) &&
         opts_number(opts, "cores", 1, MACHINE_MAX_CPUS, &smp.cores, err) &&
         opts_number(opts, "threads", 1, MACHINE_MAX_CPUS, &smp.threads, err);
    if (ok) {
        processors_complete(&smp);
        ok = processors_check(&smp, opts, err);
    }
    o->config.cpus = smp.cpus;
    o->config.max_cpus = smp.max;
    o->config.topology = (struct cpu_topology){.cores = smp.cores, .threads = smp.threads};
    opts_free(opts);
    return ok;
}
