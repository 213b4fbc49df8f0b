/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The test's side of the stand-in for Xen: starts hvm-dm for domain 1 and plays the hypervisor and the guest.
 * What goes wrong (the program died, a request is not answered within 10 s) fails the running cmocka test.
 */
#ifndef TESTS_FAKEXEN_HOST_H
#define TESTS_FAKEXEN_HOST_H

#include <sys/types.h>

#include "tests/fakexen/fakexen.h"

struct host {
    struct fakexen *fx;
    uint8_t *ram; /* the first 128 MiB: the guest's RAM; video memory lies after it */
    pid_t pid;
    int event_fd, fire_fd;
    int log_fd;        /* what the program said on standard error */
    int qmp_fd;        /* -1: none */
    int64_t answer_ns; /* from event to answer, of the last request */
};

enum { HOST_RAM_MB = 128, HOST_VRAM_MB = 16 };

/*
 * Prepares the domain; the store may be filled and fx->hole set before host_start. Then host_start runs the
 * program with these arguments besides -xen-domid 1 and -m, and waits until it wrote `running`.
 */
struct host *host_new(unsigned vcpus);
void host_start(struct host *host, const char *args);
void host_run(struct host *host, const char *args); /* without the wait */
/* As host_start, with a connection to its monitor; and a command there, whose answer is read. */
void host_start_qmp(struct host *host, const char *args);
void host_qmp(struct host *host, const char *command);
/* Runs the program with exactly these arguments. */
void host_run_line(struct host *host, const char *line);
void host_alive(struct host *host); /* fails the test if the program is dead */
/* How often was this text in what the program said so far? */
unsigned host_said(struct host *host, const char *what);
/* SIGTERM, and the program must end with status 0. Frees. */
void host_stop(struct host *host);
/* Ends the program and keeps the domain: another host_start takes it over. */
void host_end(struct host *host);

/* Puts a request into a vCPU's slot, sends its event and waits for the answer. Returns the slot's data. */
uint64_t host_request(struct host *host, unsigned vcpu, struct ioreq request);
/* As host_request, of a guest that does not sleep meanwhile. */
uint64_t host_request_awake(struct host *host, unsigned vcpu, struct ioreq request);
/* The halves of it. */
void host_post(struct host *host, unsigned vcpu, struct ioreq request);
void host_wait(struct host *host, unsigned vcpu);
void host_event(struct host *host, uint32_t remote_port);
/* Does an event for this remote port come within so many ms? Others are dropped. */
bool host_notified(struct host *host, uint32_t remote_port, int ms);

/* The program serves: a register of the serial port keeps what is written. */
#define HOST_SCRATCH 0x3FF
void host_serves(struct host *host);

uint32_t host_in(struct host *host, uint16_t port, unsigned size);
void host_out(struct host *host, uint16_t port, unsigned size, uint32_t value);
uint64_t host_read(struct host *host, uint64_t address, unsigned size);
void host_write(struct host *host, uint64_t address, unsigned size, uint64_t value);
uint32_t host_config_read(struct host *host, unsigned devfn, unsigned offset, unsigned size);
void host_config_write(struct host *host, unsigned devfn, unsigned offset, unsigned size, uint32_t value);

/* How often was the call recorded since record `from`, and the last of them (or NULL). */
unsigned host_calls(struct host *host, uint32_t from, enum fakexen_op op, struct fakexen_call *last);

void host_store(struct host *host, const char *path, const char *value);
/* Waits until the key has this value. */
void host_expect(struct host *host, const char *path, const char *value);

#endif
