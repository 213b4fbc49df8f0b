/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bench/measure.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t measure_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

int64_t measure_own_cpu(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

void measure_sleep(double seconds)
{
    struct timespec ts = {.tv_sec = seconds, .tv_nsec = (seconds - (time_t)seconds) * 1e9};

    while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
        ;
}

/* The sum over threads of the number that the format finds in a line of the file. */
static int64_t sum_threads(pid_t pid, const char *file, const char *format)
{
    char path[300], line[256];
    int64_t sum = 0, value;

    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *dir = opendir(path);
    if (!dir)
        return 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "/proc/%d/task/%.16s/%s", pid, entry->d_name, file);
        FILE *f = fopen(path, "r");
        while (f && fgets(line, sizeof(line), f))
            if (sscanf(line, format, &value) == 1)
                sum += value;
        if (f)
            fclose(f);
    }
    closedir(dir);
    return sum;
}

int64_t measure_cpu(pid_t pid)
{
    return sum_threads(pid, "schedstat", "%" SCNd64);
}

int64_t measure_wakeups(pid_t pid)
{
    return sum_threads(pid, "status", "voluntary_ctxt_switches: %" SCNd64);
}

static bool is_guest_memory(uint64_t size, const uint64_t *guest)
{
    for (; *guest; guest++)
        if (size == *guest)
            return true;
    return false;
}

int64_t measure_private_dirty(pid_t pid, const uint64_t *guest)
{
    char path[64], line[1024];
    uint64_t start, end;
    int64_t sum = 0, kib;
    bool skip = false;

    snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &start, &end) == 2)
            skip = is_guest_memory(end - start, guest);
        else if (!skip && sscanf(line, "Private_Dirty: %" SCNd64, &kib) == 1)
            sum += kib;
    }
    if (f)
        fclose(f);
    return sum;
}
