/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that waits while its USB keyboard and tablet are plugged in: SeaBIOS on this machine's KVM, which
 * has found nothing to boot and goes on asking the keyboard. No test port: its clock would stand.
 */
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/measure.h"
#include "bench/tables.h"

enum { WAKEUPS, CPU };
enum { START_S = 120, MEASURED_S = 5 };

/* SeaBIOS says by its debug port when it has found nothing. */
static bool boot_ended(const char *log)
{
    char text[65536];
    FILE *file = fopen(log, "r");
    size_t size = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

    if (file)
        fclose(file);
    text[size] = '\0';
    return strstr(text, "No bootable device");
}

static bool wait_for_idle(const char *log)
{
    for (int i = 0; i < 10 * START_S; i++) {
        if (boot_ended(log)) {
            measure_sleep(2);
            return true;
        }
        measure_sleep(0.1);
    }
    return false;
}

static pid_t start_idle_guest(const char *program, const char *log)
{
    char chardev[128];
    pid_t pid;

    snprintf(chardev, sizeof(chardev), "file,id=log,path=%s", log);
    pid = fork();

    if (pid)
        return pid;
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    dup2(null, 2);
    execlp(program, program, "-accel", "kvm", "-m", "64", "-nodefaults", "-vga", "std", "-display", "none",
           "-usb", "-device", "usb-kbd", "-device", "usb-tablet", "-chardev", chardev, "-device",
           "isa-debugcon,iobase=0x402,chardev=log", (char *)NULL);
    _exit(127);
}

static double idle(const struct subject *subject, int what)
{
    pid_t pid;
    char log[] = "/tmp/bench-usb.XXXXXX";
    int64_t wakeups, cpu;
    double result = NAN;
    int fd = access("/dev/kvm", R_OK | W_OK) < 0 ? -1 : mkstemp(log);

    if (fd < 0)
        return NAN;
    close(fd);
    pid = start_idle_guest(subject->program, log);
    if (pid > 0 && wait_for_idle(log)) {
        wakeups = measure_wakeups(pid);
        cpu = measure_cpu(pid);
        measure_sleep(MEASURED_S);
        wakeups = measure_wakeups(pid) - wakeups;
        cpu = measure_cpu(pid) - cpu;
        result = what == WAKEUPS ? (double)wakeups / MEASURED_S : (double)cpu / 1e6 / MEASURED_S;
    }
    if (pid > 0) {
        kill(pid, SIGTERM);
        waitpid(pid, NULL, 0);
    }
    unlink(log);
    return result;
}

static const struct row rows[] = {
    {.name = "idle guest with USB keyboard and tablet, wake-ups a second",
     .unit = "1/s",
     .runs = 3,
     .measure = idle,
     .arg = WAKEUPS},
    {.name = "idle guest with USB keyboard and tablet, CPU of a second",
     .unit = "ms",
     .runs = 3,
     .measure = idle,
     .arg = CPU},
};

const struct row_table usb_rows = {"USB", rows, sizeof(rows) / sizeof(rows[0])};
