/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a running process costs, read from /proc. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdint.h>
#include <sys/types.h>

int64_t measure_now(void); /* ns, monotonic */
void measure_sleep(double seconds);
int64_t measure_own_cpu(void); /* of the calling thread, ns */

/* CPU time of all living threads, ns. */
int64_t measure_cpu(pid_t pid);
/* Voluntary context switches of all living threads: each is a wake-up that follows. */
int64_t measure_wakeups(pid_t pid);
/*
 * Private dirty memory in KiB, without the mappings that are as large as one of the sizes in guest (bytes,
 * ends with 0): guest RAM and VRAM.
 */
int64_t measure_private_dirty(pid_t pid, const uint64_t *guest);

#endif
