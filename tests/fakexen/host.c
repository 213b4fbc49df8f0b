/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fakexen/host.h"

#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <wordexp.h>

#include "tests/lib/cmocka.h"

#define ANSWER_MS 10000
#define START_MS  30000

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static int scaled(int ms)
{
    return (int)(ms * qtest_timeout_scale());
}

static void *shared(int fd, uint64_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    assert_ptr_not_equal(memory, MAP_FAILED);
    return memory;
}

/* Where the child finds its ends; they are the only descriptors that it inherits. */
enum { STATE, RAM, EVENTS, RAISE, WATCHES, FIRE, LOG, FDS };

static int child_fd[FDS];

struct host *host_new(unsigned vcpus)
{
    struct host *host = calloc(1, sizeof(*host));
    pthread_mutexattr_t attributes;
    int events[2], watches[2];

    assert_non_null(host);
    child_fd[STATE] = memfd_create("fakexen-state", 0);
    child_fd[RAM] = memfd_create("fakexen-ram", 0);
    assert_int_equal(ftruncate(child_fd[STATE], sizeof(struct fakexen)), 0);
    assert_int_equal(ftruncate(child_fd[RAM], FAKEXEN_RAM), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, events), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, watches), 0);
    child_fd[EVENTS] = events[1];
    child_fd[WATCHES] = watches[1];
    child_fd[FIRE] = watches[0];
    child_fd[LOG] = memfd_create("fakexen-log", 0);
    fcntl(child_fd[LOG], F_SETFL, O_APPEND);
    host->log_fd = child_fd[LOG];
    host->event_fd = events[0];
    child_fd[RAISE] = dup(events[0]);
    host->fire_fd = watches[0];
    host->qmp_fd = -1;
    fcntl(host->event_fd, F_SETFD, FD_CLOEXEC);
    host->fx = shared(child_fd[STATE], sizeof(struct fakexen));
    host->ram = shared(child_fd[RAM], (uint64_t)(HOST_RAM_MB + HOST_VRAM_MB) << 20);
    host->fx->vcpus = vcpus;
    host->fx->ram_pages = ((uint64_t)HOST_RAM_MB << 20) / FAKEXEN_PAGE;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&host->fx->lock, &attributes);
    return host;
}

static const char *program_path(void)
{
    return getenv("HVM_DM") ?: "build/hvm-dm-system-x86_64";
}

static void __attribute__((noreturn)) run_program(const char *args)
{
    const char *program = program_path();
    char fds[64], fake[1024], *copy = strdup(program);
    wordexp_t words;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(fake, sizeof(fake), "%s/fakexen.so", dirname(copy));
    copy = realpath(fake, NULL);
    snprintf(fds, sizeof(fds), "%d,%d,%d,%d,%d,%d", child_fd[STATE], child_fd[RAM], child_fd[EVENTS],
             child_fd[RAISE], child_fd[WATCHES], child_fd[FIRE]);
    if (!copy || wordexp(program, &words, WRDE_NOCMD) || wordexp(args, &words, WRDE_NOCMD | WRDE_APPEND))
        _exit(127);
    setenv("FAKEXEN", fds, 1);
    setenv("LD_PRELOAD", copy, 1);
    setenv("ASAN_OPTIONS", "verify_asan_link_order=0:exitcode=99", 1);
    execv(words.we_wordv[0], words.we_wordv);
    _exit(127);
}

void host_alive(struct host *host)
{
    int status;

    if (waitpid(host->pid, &status, WNOHANG) == host->pid) {
        host->pid = 0;
        fail_msg("the program ended with wait status 0x%x", status);
    }
}

void host_run_line(struct host *host, const char *line)
{
    host->pid = fork();
    if (host->pid == 0) {
        dup2(child_fd[LOG], STDERR_FILENO);
        run_program(line);
    }
}

void host_run(struct host *host, const char *args)
{
    char line[1024];

    snprintf(line, sizeof(line), "-xen-domid 1 -nodefaults -display none -vnc none -m %d %s", HOST_RAM_MB,
             args);
    host_run_line(host, line);
}

void host_start(struct host *host, const char *args)
{
    host_run(host, args);
    host_expect(host, "device-model/1/state", "running");
}

/* What the program said. */
static char *read_log(struct host *host)
{
    off_t size = lseek(host->log_fd, 0, SEEK_END);
    char *text = calloc(1, size + 1);

    assert_non_null(text);
    assert_int_equal(pread(host->log_fd, text, size, 0), size);
    return text;
}

static void print_log(struct host *host)
{
    char *text = read_log(host);

    fputs(text, stderr);
    free(text);
}

unsigned host_said(struct host *host, const char *what)
{
    char *text = read_log(host);
    unsigned count = 0;

    for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
        count++;
    free(text);
    return count;
}

void host_start_qmp(struct host *host, const char *args)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char all[900], dir[] = "/tmp/fakexen-XXXXXX";

    assert_non_null(mkdtemp(dir));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/qmp", dir);
    snprintf(all, sizeof(all), "%s -qmp unix:%s,server=on,wait=off", args, address.sun_path);
    host_start(host, all);
    host->qmp_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(host->qmp_fd, (struct sockaddr *)&address, sizeof(address)), 0);
    unlink(address.sun_path);
    rmdir(dir);
    host_qmp(host, "{\"execute\":\"qmp_capabilities\"}"); /* passes over the greeting */
}

void host_qmp(struct host *host, const char *command)
{
    char said[4096];
    size_t length = 0;
    ssize_t n;

    assert_int_equal(write(host->qmp_fd, command, strlen(command)), strlen(command));
    do { /* events may come first */
        n = read(host->qmp_fd, said + length, sizeof(said) - 1 - length);
        assert_true(n > 0);
        length += n;
        said[length] = '\0';
    } while (!strstr(said, "\"return\"") && !strstr(said, "\"error\""));
}

void host_stop(struct host *host)
{
    int status = 0; /* a program that is dead already has failed the test by that */

    if (!host)
        return;
    if (host->pid) {
        kill(host->pid, SIGTERM);
        waitpid(host->pid, &status, 0);
    }
    for (unsigned i = EVENTS; i <= WATCHES; i++)
        close(child_fd[i]);
    munmap(host->fx, sizeof(*host->fx));
    munmap(host->ram, (uint64_t)(HOST_RAM_MB + HOST_VRAM_MB) << 20);
    print_log(host);
    close(host->log_fd);
    if (host->qmp_fd >= 0)
        close(host->qmp_fd);
    close(host->event_fd);
    close(host->fire_fd);
    close(child_fd[STATE]);
    close(child_fd[RAM]);
    free(host);
    assert_int_equal(status, 0);
}

void host_end(struct host *host)
{
    int status = 0;

    kill(host->pid, SIGTERM);
    waitpid(host->pid, &status, 0);
    host->pid = 0;
    if (host->qmp_fd >= 0)
        close(host->qmp_fd);
    host->qmp_fd = -1;
    assert_int_equal(status, 0);
}

/* ---- requests ---- */

void host_event(struct host *host, uint32_t remote_port)
{
    fakexen_raise(host->fx, host->event_fd, remote_port);
}

bool host_notified(struct host *host, uint32_t remote_port, int ms)
{
    struct pollfd fd = {.fd = host->event_fd, .events = POLLIN};
    uint32_t local;

    while (poll(&fd, 1, ms) > 0) {
        if (recv(host->event_fd, &local, sizeof(local), 0) != sizeof(local))
            break;
        if (local == remote_port + FAKEXEN_LOCAL)
            return true;
    }
    return false;
}

void host_post(struct host *host, unsigned vcpu, struct ioreq request)
{
    struct ioreq *slot = &host->fx->requests[vcpu];

    assert_int_equal(slot->vp_eport, FAKEXEN_VCPU_PORT + vcpu);
    request.vp_eport = slot->vp_eport;
    request.state = STATE_IOREQ_READY;
    *slot = request;
    atomic_thread_fence(memory_order_seq_cst);
    host_event(host, slot->vp_eport);
}

void host_wait(struct host *host, unsigned vcpu)
{
    struct ioreq *slot = &host->fx->requests[vcpu];

    /* A notification may be an earlier request's, whose answer was seen before it came. */
    do {
        if (!host_notified(host, FAKEXEN_VCPU_PORT + vcpu, scaled(ANSWER_MS))) {
            host_alive(host);
            fail_msg("a request of vCPU %u was not answered", vcpu);
        }
        atomic_thread_fence(memory_order_seq_cst);
    } while (slot->state != STATE_IORESP_READY);
    assert_int_equal(slot->vp_eport, FAKEXEN_VCPU_PORT + vcpu);
    slot->state = STATE_IOREQ_NONE;
}

uint64_t host_request(struct host *host, unsigned vcpu, struct ioreq request)
{
    struct ioreq *slot = &host->fx->requests[vcpu];
    int64_t start = now_ns();

    host_post(host, vcpu, request);
    host_wait(host, vcpu);
    host->answer_ns = now_ns() - start;
    assert_int_equal(slot->addr, request.addr);
    assert_int_equal(slot->count, request.count);
    assert_int_equal(slot->size, request.size);
    return slot->data;
}

uint64_t host_request_awake(struct host *host, unsigned vcpu, struct ioreq request)
{
    struct ioreq *slot = &host->fx->requests[vcpu];
    int64_t start = now_ns(), end = start + scaled(ANSWER_MS) * 1000000ll;
    uint32_t told;

    host_post(host, vcpu, request);
    while (*((volatile uint8_t *)slot + offsetof(struct ioreq, type) - 1) % 16 != STATE_IORESP_READY)
        if (now_ns() > end)
            fail_msg("a request of vCPU %u was not answered", vcpu);
        else if (now_ns() - start > 100000)
            sched_yield(); /* it is not to wait for this processor */
    host->answer_ns = now_ns() - start;
    atomic_thread_fence(memory_order_seq_cst);
    while (recv(host->event_fd, &told, sizeof(told), MSG_DONTWAIT) == sizeof(told))
        ; /* nobody waits for these */
    slot->state = STATE_IOREQ_NONE;
    return slot->data;
}

static uint64_t access_once(struct host *host, uint8_t type, bool read, uint64_t addr, unsigned size,
                            uint64_t data)
{
    struct ioreq request = {.type = type, .dir = read, .addr = addr, .size = size, .count = 1, .data = data};
    uint64_t answer = host_request(host, 0, request);

    return size == 8 ? answer : answer & ((1ull << size * 8) - 1);
}

uint32_t host_in(struct host *host, uint16_t port, unsigned size)
{
    return access_once(host, IOREQ_TYPE_PIO, true, port, size, 0);
}

void host_out(struct host *host, uint16_t port, unsigned size, uint32_t value)
{
    access_once(host, IOREQ_TYPE_PIO, false, port, size, value);
}

uint64_t host_read(struct host *host, uint64_t address, unsigned size)
{
    return access_once(host, IOREQ_TYPE_COPY, true, address, size, 0);
}

void host_write(struct host *host, uint64_t address, unsigned size, uint64_t value)
{
    access_once(host, IOREQ_TYPE_COPY, false, address, size, value);
}

uint32_t host_config_read(struct host *host, unsigned devfn, unsigned offset, unsigned size)
{
    return access_once(host, IOREQ_TYPE_PCI_CONFIG, true, (uint64_t)devfn << 32 | offset, size, 0);
}

void host_config_write(struct host *host, unsigned devfn, unsigned offset, unsigned size, uint32_t value)
{
    access_once(host, IOREQ_TYPE_PCI_CONFIG, false, (uint64_t)devfn << 32 | offset, size, value);
}

void host_serves(struct host *host)
{
    host_out(host, HOST_SCRATCH, 1, 0x5A);
    assert_int_equal(host_in(host, HOST_SCRATCH, 1), 0x5A);
}

/* ---- records and the store ---- */

unsigned host_calls(struct host *host, uint32_t from, enum fakexen_op op, struct fakexen_call *last)
{
    uint32_t end = atomic_load(&host->fx->calls);
    unsigned count = 0;

    assert_true(end < FAKEXEN_CALLS);
    for (uint32_t i = from; i < end; i++) {
        if (host->fx->call[i].op != op)
            continue;
        count++;
        if (last)
            *last = host->fx->call[i];
    }
    return count;
}

void host_store(struct host *host, const char *path, const char *value)
{
    fakexen_store_write(host->fx, host->fire_fd, path, value);
}

void host_expect(struct host *host, const char *path, const char *value)
{
    int64_t end = now_ns() + scaled(START_MS) * 1000000ll;
    char found[FAKEXEN_TEXT] = "";

    while (!fakexen_store_read(host->fx, path, found) || strcmp(found, value)) {
        if (now_ns() > end)
            fail_msg("%s is '%s' and does not become '%s'", path, found, value);
        if (host->pid)
            host_alive(host);
        usleep(1000);
    }
}
