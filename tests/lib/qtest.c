/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/qtest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <wordexp.h>

#include "tests/lib/base64.h"
#include "tests/lib/qtest_private.h"

#define DEFAULT_PROGRAM "build/hvm-dm-system-x86_64"
#define ANSWER_TIMEOUT  60.0
#define LINES           64
#define ALLOC_BASE      0x100000ull
#define ALLOC_END       0x4000000ull
#define BAR_IO_BASE     0xC000
#define BAR_MEM_BASE    0xE0000000ull
/* Up to this many bytes go as hexadecimal digits, more as base64, which is shorter on the wire. */
#define HEX_LIMIT 48

/* A socket whose input is cut into lines. */
struct wire {
    int fd;
    char *data; /* bytes [start, end) are received and not yet taken */
    size_t start, end, room;
};

/* MOVE=1: see qtest.h. */
struct moves {
    char *program, *args; /* NULL: this machine stays where it is */
    unsigned next;        /* commands until the next move; 0: it stays */
    unsigned gap;
    int held; /* keys and buttons */
    bool intercepted, moving;
};

struct qtest {
    pid_t pid;
    int status; /* as waitpid gave it, once exited */
    bool exited, failed, qemu;
    int stderr_fd;
    struct wire port, qmp;
    char dir[32];     /* of the listening sockets, "" once both are connected */
    int listeners[2]; /* test port, QMP */
    json_t *events;
    int64_t started_ns, greeting_ns;
    bool level[LINES];
    unsigned raised[LINES];
    uint64_t alloc_next, next_io, next_mem;
    struct moves moves;
    char *out; /* the line being sent */
    size_t out_room;
    char message[8192];
};

static void plan_moves(struct qtest *q, const char *program, const char *args);
static void maybe_move(struct qtest *q);
static void last_move(struct qtest *q);
static void watch_qmp(struct qtest *q, const char *command);

static void (*failure_handler)(struct qtest *q, const char *message);

/* cmocka's, where the test is linked with it: the library itself serves other programs as well. */
extern void _fail(const char *file, int line) __attribute__((weak, noreturn));
extern void cm_print_error(const char *format, ...) __attribute__((weak, format(printf, 1, 2)));

double qtest_timeout_scale(void)
{
    const char *text = getenv("TEST_TIMEOUT_SCALE");
    double scale = text ? atof(text) : 1;

    return scale > 0 ? scale : 1;
}

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

/* Waits for the end of the process. False: it still runs after that many seconds. */
static bool wait_exit(struct qtest *q, double seconds)
{
    if (q->exited)
        return true;
    int pidfd = syscall(SYS_pidfd_open, q->pid, 0);
    struct pollfd fds = {.fd = pidfd, .events = POLLIN};
    bool ended = pidfd < 0 || poll(&fds, 1, (int)(seconds * 1000)) > 0;

    if (pidfd >= 0)
        close(pidfd);
    if (ended && waitpid(q->pid, &q->status, 0) == q->pid)
        q->exited = true;
    return q->exited;
}

static char *read_all(int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = calloc(1, size > 0 ? size + 1 : 1);

    if (text && size > 0 && pread(fd, text, size, 0) < 0)
        text[0] = '\0';
    return text;
}

static bool sanitizer_spoke(const char *text)
{
    return strstr(text, "Sanitizer:") || strstr(text, "runtime error:");
}

static void stop_listening(struct qtest *q)
{
    static const char *const names[2] = {"port", "qmp"};
    char path[64];

    if (!q->dir[0])
        return;
    for (unsigned i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", q->dir, names[i]);
        unlink(path);
        if (q->listeners[i] >= 0)
            close(q->listeners[i]);
        q->listeners[i] = -1;
    }
    rmdir(q->dir);
    q->dir[0] = '\0';
}

static void end_process(struct qtest *q)
{
    if (q->pid > 0 && !q->exited) {
        kill(q->pid, SIGKILL);
        wait_exit(q, 10);
    }
}

void qtest_on_failure(void (*handler)(struct qtest *q, const char *message))
{
    failure_handler = handler;
}

void qtest_fail(struct qtest *q, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vsnprintf(q->message, sizeof(q->message), format, ap);
    va_end(ap);
    end_process(q);
    stop_listening(q);
    q->failed = true;

    char *text = q->stderr_fd >= 0 ? read_all(q->stderr_fd) : NULL;
    if (text && *text) {
        size_t used = strlen(q->message);
        snprintf(q->message + used, sizeof(q->message) - used, "\nIts stderr:\n%s", text);
    }
    free(text);
    if (failure_handler)
        failure_handler(q, q->message);
    if (_fail && cm_print_error) {
        cm_print_error("%s\n", q->message);
        _fail(__FILE__, __LINE__);
    }
    fprintf(stderr, "%s\n", q->message);
    exit(1);
}

/* The connection ended: says how the program did. */
static void __attribute__((noreturn)) died(struct qtest *q, const char *doing)
{
    if (!wait_exit(q, ANSWER_TIMEOUT * qtest_timeout_scale()))
        qtest_fail(q, "The program closed its socket and still runs, while %s", doing);
    if (WIFSIGNALED(q->status))
        qtest_fail(q, "The program died of signal %d (%s), while %s", WTERMSIG(q->status),
                   strsignal(WTERMSIG(q->status)), doing);
    qtest_fail(q, "The program ended with status %d, while %s", WEXITSTATUS(q->status), doing);
}

/* ---- starting and ending ---- */

static void __attribute__((noreturn)) run_program(char **argv, int stderr_fd, pid_t parent)
{
    /* The program does not outlive a test that was killed. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(stderr_fd, STDERR_FILENO);
    close(null);
    /* A hang is ended by SIGABRT, so that the sanitizer says where it was. */
    setenv("ASAN_OPTIONS", "handle_abort=1:exitcode=99:allocator_may_return_null=1", 0);
    setenv("UBSAN_OPTIONS", "print_stacktrace=1", 0);
    execvp(argv[0], argv);
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static pid_t spawn(char **argv, int stderr_fd)
{
    pid_t parent = getpid(), pid = fork();

    if (pid == 0)
        run_program(argv, stderr_fd, parent);
    return pid;
}

static struct qtest *new_client(void)
{
    struct qtest *q = calloc(1, sizeof(*q));

    if (!q)
        abort();
    q->port.fd = q->qmp.fd = q->listeners[0] = q->listeners[1] = -1;
    q->alloc_next = ALLOC_BASE;
    q->next_io = BAR_IO_BASE;
    q->next_mem = BAR_MEM_BASE;
    q->events = json_array();
    q->stderr_fd = memfd_create("stderr", MFD_CLOEXEC);
    return q;
}

static void free_client(struct qtest *q)
{
    end_process(q);
    stop_listening(q);
    if (q->port.fd >= 0)
        close(q->port.fd);
    if (q->qmp.fd >= 0)
        close(q->qmp.fd);
    if (q->stderr_fd >= 0)
        close(q->stderr_fd);
    json_decref(q->events);
    free(q->port.data);
    free(q->qmp.data);
    free(q->out);
    free(q->moves.program);
    free(q->moves.args);
    free(q);
}

static int listen_at(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 1) < 0) {
        fprintf(stderr, "cannot listen at %s: %s\n", path, strerror(errno));
        exit(1);
    }
    return fd;
}

/* Accepts the program's connection; fails the test if the program ends or does not come. */
static void accept_wire(struct qtest *q, struct wire *wire, int listener, const char *doing)
{
    int pidfd = syscall(SYS_pidfd_open, q->pid, 0);
    struct pollfd fds[2] = {{.fd = listener, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};
    int n = poll(fds, 2, (int)(ANSWER_TIMEOUT * 1000 * qtest_timeout_scale()));

    close(pidfd);
    if (n > 0 && (fds[0].revents & POLLIN))
        wire->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (wire->fd >= 0) {
        double limit = ANSWER_TIMEOUT * qtest_timeout_scale();
        struct timeval tv = {.tv_sec = limit, .tv_usec = (limit - (time_t)limit) * 1e6};
        setsockopt(wire->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
        return;
    }
    if (n > 0)
        died(q, doing);
    qtest_fail(q, "The program runs but did not connect, while %s", doing);
}

static const char *program_name(void)
{
    const char *program = getenv("HVM_DM");

    return program && *program ? program : DEFAULT_PROGRAM;
}

static bool is_qemu(const char *program)
{
    const char *slash = strrchr(program, '/');

    return strncmp(slash ? slash + 1 : program, "qemu", 4) == 0;
}

/* Splits as a shell does; the words are to be freed with wordfree. */
static void split_args(struct qtest *q, wordexp_t *words, const char *command)
{
    int rc = wordexp(command, words, WRDE_NOCMD);

    if (rc)
        qtest_fail(q, "These arguments need quotes: %s", command);
}

static void start_and_connect(struct qtest *q, const char *program, const char *args, const char *more)
{
    char port_path[64], qmp_path[64], *command;
    wordexp_t words;

    strcpy(q->dir, "/tmp/qtest-XXXXXX");
    if (!mkdtemp(q->dir)) {
        q->dir[0] = '\0';
        qtest_fail(q, "mkdtemp: %s", strerror(errno));
    }
    snprintf(port_path, sizeof(port_path), "%s/port", q->dir);
    snprintf(qmp_path, sizeof(qmp_path), "%s/qmp", q->dir);
    q->listeners[0] = listen_at(port_path);
    q->listeners[1] = listen_at(qmp_path);
    if (asprintf(&command,
                 "%s -qtest unix:%s -qtest-log /dev/null -chardev socket,path=%s,id=char0 "
                 "-mon chardev=char0,mode=control -display none %s %s -accel %s",
                 program, port_path, qmp_path, args, more, q->qemu ? "tcg -S" : "qtest") < 0)
        abort();
    split_args(q, &words, command);
    free(command);

    q->started_ns = now_ns();
    q->pid = spawn(words.we_wordv, q->stderr_fd);
    wordfree(&words);
    if (q->pid < 0)
        qtest_fail(q, "fork: %s", strerror(errno));
    accept_wire(q, &q->port, q->listeners[0], "its test port was expected");
    accept_wire(q, &q->qmp, q->listeners[1], "its QMP connection was expected");
    stop_listening(q);
}

static char *wire_line(struct qtest *q, struct wire *wire, const char *doing);

static void read_greeting(struct qtest *q)
{
    json_t *greeting = json_loads(wire_line(q, &q->qmp, "its QMP greeting was awaited"), 0, NULL);

    q->greeting_ns = now_ns() - q->started_ns;
    if (!json_object_get(greeting, "QMP"))
        qtest_fail(q, "The first QMP line is not a greeting");
    json_decref(greeting);
    json_decref(qtest_qmp_ok(q, "{'execute': 'qmp_capabilities'}"));
}

struct qtest *qtest_start_program(const char *program, const char *args)
{
    struct qtest *q = new_client();

    q->qemu = is_qemu(program);
    start_and_connect(q, program, args, "");
    const char *answer = qtest_command(q, "endianness");
    if (strcmp(answer, "OK little") != 0)
        qtest_fail(q, "The answer to endianness is '%s'", answer);
    read_greeting(q);
    plan_moves(q, program, args);
    return q;
}

struct qtest *qtest_start(const char *args)
{
    return qtest_start_program(program_name(), args);
}

struct qtest *qtest_startf(const char *format, ...)
{
    va_list ap;
    char *args;

    va_start(ap, format);
    if (vasprintf(&args, format, ap) < 0)
        abort();
    va_end(ap);
    struct qtest *q = qtest_start(args);
    free(args);
    return q;
}

int qtest_wait_exit(struct qtest *q)
{
    if (!wait_exit(q, ANSWER_TIMEOUT * qtest_timeout_scale())) {
        kill(q->pid, SIGABRT);
        wait_exit(q, 10);
        qtest_fail(q, "The program was to end and still ran");
    }
    int status = q->status;
    char *text = read_all(q->stderr_fd);
    bool spoke = sanitizer_spoke(text);
    free(text);
    if (spoke)
        qtest_fail(q, "A sanitizer spoke");
    return status;
}

void qtest_stop(struct qtest *q)
{
    if (!q)
        return;
    if (!q->failed && !q->exited) {
        last_move(q);
        kill(q->pid, SIGTERM);
        int status = qtest_wait_exit(q);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            died(q, "SIGTERM was to end it with status 0");
    }
    free_client(q);
}

int qtest_start_failing(const char *args, char **stderr_text)
{
    struct qtest *q = new_client();
    const char *program = program_name();
    wordexp_t words;
    char *command;

    q->qemu = is_qemu(program);
    if (asprintf(&command, "%s -display none %s -accel %s", program, args, q->qemu ? "tcg -S" : "qtest") < 0)
        abort();
    split_args(q, &words, command);
    q->pid = spawn(words.we_wordv, q->stderr_fd);
    wordfree(&words);
    if (!wait_exit(q, ANSWER_TIMEOUT * qtest_timeout_scale()))
        qtest_fail(q, "These options were to be refused, and it runs: %s", args);
    int status = qtest_wait_exit(q);
    if (stderr_text)
        *stderr_text = read_all(q->stderr_fd);
    free(command);
    free_client(q);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

pid_t qtest_pid(const struct qtest *q)
{
    return q->pid;
}

int64_t qtest_greeting_ns(const struct qtest *q)
{
    return q->greeting_ns;
}

bool qtest_is_qemu(const struct qtest *q)
{
    return q->qemu;
}

char *qtest_stderr(const struct qtest *q)
{
    return read_all(q->stderr_fd);
}

/* ---- lines ---- */

static void wire_send(struct qtest *q, struct wire *wire, const void *bytes, size_t size, const char *doing)
{
    const char *p = bytes;

    while (size > 0) {
        ssize_t n = send(wire->fd, p, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            died(q, doing);
        p += n;
        size -= n;
    }
}

/* Waits for more input; the program's death or silence fails the test. */
static void wire_fill(struct qtest *q, struct wire *wire, const char *doing)
{
    if (wire->start == wire->end)
        wire->start = wire->end = 0;
    if (wire->start > 0 && wire->end == wire->room) {
        memmove(wire->data, wire->data + wire->start, wire->end - wire->start);
        wire->end -= wire->start;
        wire->start = 0;
    }
    if (wire->end == wire->room) {
        wire->room = wire->room ? wire->room * 2 : 4096;
        wire->data = realloc(wire->data, wire->room + 1);
        if (!wire->data)
            abort();
    }
    /* The socket's own time limit, set when it was accepted, ends the wait: one system call for each answer.
     */
    ssize_t n = recv(wire->fd, wire->data + wire->end, wire->room - wire->end, 0);
    if (n < 0 && errno == EAGAIN) {
        kill(q->pid, SIGABRT);
        wait_exit(q, 10);
        qtest_fail(q, "The program does not answer, while %s", doing);
    }
    if (n == 0 || (n < 0 && errno != EINTR))
        died(q, doing);
    if (n > 0)
        wire->end += n;
}

/* The next line without its newline (LF or CR LF), in place; valid until the next fill. */
static char *wire_line(struct qtest *q, struct wire *wire, const char *doing)
{
    size_t searched = 0;

    for (;;) {
        size_t have = wire->end - wire->start;
        char *line = wire->data + wire->start;
        char *newline = have > searched ? memchr(line + searched, '\n', have - searched) : NULL;
        if (newline) {
            wire->start += newline + 1 - line;
            *newline = '\0';
            if (newline > line && newline[-1] == '\r')
                newline[-1] = '\0';
            return line;
        }
        searched = have;
        wire_fill(q, wire, doing);
    }
}

void qtest_send(struct qtest *q, const void *bytes, size_t size)
{
    if (q->out && bytes != q->out)
        q->out[0] = '\0'; /* a message must not quote an older command */
    wire_send(q, &q->port, bytes, size, "a command was sent to the test port");
}

static bool take_irq_line(struct qtest *q, const char *line)
{
    unsigned n;

    if (strncmp(line, "IRQ ", 4) != 0)
        return false;
    if (sscanf(line, "IRQ raise %u", &n) == 1 && n < LINES) {
        q->raised[n]++;
        q->level[n] = true;
    } else if (sscanf(line, "IRQ lower %u", &n) == 1 && n < LINES) {
        q->level[n] = false;
    } else {
        qtest_fail(q, "The test port said '%s'", line);
    }
    return true;
}

const char *qtest_answer(struct qtest *q)
{
    char doing[128];
    const char *line;

    snprintf(doing, sizeof(doing), "the test port's answer was awaited to '%.60s'", q->out ? q->out : "");
    do
        line = wire_line(q, &q->port, doing);
    while (take_irq_line(q, line));
    return line;
}

static char *out_buffer(struct qtest *q, size_t size)
{
    if (q->out_room < size) {
        free(q->out);
        q->out = malloc(size);
        if (!q->out)
            abort();
        q->out_room = size;
    }
    return q->out;
}

static void vsend_line(struct qtest *q, const char *format, va_list ap)
{
    char *out = out_buffer(q, 256);
    va_list again;

    maybe_move(q);
    va_copy(again, ap);
    size_t length = vsnprintf(out, q->out_room, format, ap);
    if (length + 2 > q->out_room) {
        out = out_buffer(q, length + 2);
        vsnprintf(out, q->out_room, format, again);
    }
    va_end(again);
    out[length] = '\n';
    qtest_send(q, out, length + 1);
    out[length] = '\0'; /* it is quoted when something goes wrong */
}

const char *qtest_command(struct qtest *q, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vsend_line(q, format, ap);
    va_end(ap);
    return qtest_answer(q);
}

/* The text after "OK", or "OK "; anything else fails the test. */
static const char *expect_ok(struct qtest *q)
{
    const char *line = qtest_answer(q);

    if (strncmp(line, "OK", 2) != 0 || (line[2] != '\0' && line[2] != ' '))
        qtest_fail(q, "The test port answered '%.200s' to '%.200s'", line, q->out);
    return line[2] ? line + 3 : line + 2;
}

/* One command; the number after OK, 0 if there is none. */
static uint64_t __attribute__((format(printf, 2, 3))) ask(struct qtest *q, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vsend_line(q, format, ap);
    va_end(ap);
    return strtoull(expect_ok(q), NULL, 0);
}

void qtest_outb(struct qtest *q, uint16_t port, uint8_t value)
{
    ask(q, "outb 0x%x 0x%x", port, value);
}

void qtest_outw(struct qtest *q, uint16_t port, uint16_t value)
{
    ask(q, "outw 0x%x 0x%x", port, value);
}

void qtest_outl(struct qtest *q, uint16_t port, uint32_t value)
{
    ask(q, "outl 0x%x 0x%x", port, value);
}

uint8_t qtest_inb(struct qtest *q, uint16_t port)
{
    return ask(q, "inb 0x%x", port);
}

uint16_t qtest_inw(struct qtest *q, uint16_t port)
{
    return ask(q, "inw 0x%x", port);
}

uint32_t qtest_inl(struct qtest *q, uint16_t port)
{
    return ask(q, "inl 0x%x", port);
}

void qtest_writeb(struct qtest *q, uint64_t addr, uint8_t value)
{
    ask(q, "writeb 0x%lx 0x%x", addr, value);
}

void qtest_writew(struct qtest *q, uint64_t addr, uint16_t value)
{
    ask(q, "writew 0x%lx 0x%x", addr, value);
}

void qtest_writel(struct qtest *q, uint64_t addr, uint32_t value)
{
    ask(q, "writel 0x%lx 0x%x", addr, value);
}

void qtest_writeq(struct qtest *q, uint64_t addr, uint64_t value)
{
    ask(q, "writeq 0x%lx 0x%lx", addr, value);
}

uint8_t qtest_readb(struct qtest *q, uint64_t addr)
{
    return ask(q, "readb 0x%lx", addr);
}

uint16_t qtest_readw(struct qtest *q, uint64_t addr)
{
    return ask(q, "readw 0x%lx", addr);
}

uint32_t qtest_readl(struct qtest *q, uint64_t addr)
{
    return ask(q, "readl 0x%lx", addr);
}

uint64_t qtest_readq(struct qtest *q, uint64_t addr)
{
    return ask(q, "readq 0x%lx", addr);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static void parse_hex(struct qtest *q, const char *text, uint8_t *data, size_t size)
{
    if (strncmp(text, "0x", 2) != 0 || strlen(text) != 2 + 2 * size)
        qtest_fail(q, "%zu bytes were to be read, and the test port answered '%.200s'", size, text);
    for (size_t i = 0; i < size; i++) {
        int high = hex_digit(text[2 + 2 * i]), low = hex_digit(text[3 + 2 * i]);
        if (high < 0 || low < 0)
            qtest_fail(q, "The test port answered '%.200s' to a read", text);
        data[i] = high << 4 | low;
    }
}

void qtest_memread(struct qtest *q, uint64_t addr, void *data, size_t size)
{
    char line[64];

    if (size == 0)
        return;
    maybe_move(q);
    bool hex = size <= HEX_LIMIT;
    int length = snprintf(line, sizeof(line), "%s 0x%lx 0x%zx\n", hex ? "read" : "b64read", addr, size);
    qtest_send(q, line, length);
    const char *answer = expect_ok(q);
    if (hex)
        parse_hex(q, answer, data, size);
    else if (!base64_decode(answer, data, size))
        qtest_fail(q, "%zu bytes were to be read, and the answer is %zu base64 digits long", size,
                   strlen(answer));
}

void qtest_memwrite(struct qtest *q, uint64_t addr, const void *data, size_t size)
{
    const uint8_t *bytes = data;

    if (size == 0)
        return;
    maybe_move(q);
    char *out = out_buffer(q, 64 + base64_length(size) + 2 * HEX_LIMIT);
    size_t length;
    if (size <= HEX_LIMIT) {
        length = sprintf(out, "write 0x%lx 0x%zx 0x", addr, size);
        for (size_t i = 0; i < size; i++)
            length += sprintf(out + length, "%02x", bytes[i]);
    } else {
        length = sprintf(out, "b64write 0x%lx 0x%zx ", addr, size);
        length += base64_encode(bytes, size, out + length);
    }
    out[length] = '\n';
    qtest_send(q, out, length + 1);
    out[length] = '\0';
    expect_ok(q);
}

void qtest_memset(struct qtest *q, uint64_t addr, uint8_t value, size_t size)
{
    if (size > 0)
        ask(q, "memset 0x%lx 0x%zx 0x%x", addr, size, value);
}

uint64_t qtest_alloc(struct qtest *q, size_t size, size_t align)
{
    uint64_t addr = (q->alloc_next + align - 1) & ~(uint64_t)(align - 1);

    if (size > ALLOC_END - addr)
        qtest_fail(q, "The test's guest memory is used up");
    q->alloc_next = addr + size;
    return addr;
}

uint64_t *qtest_next_io(struct qtest *q)
{
    return &q->next_io;
}

uint64_t *qtest_next_mem(struct qtest *q)
{
    return &q->next_mem;
}

int64_t qtest_clock_step(struct qtest *q, int64_t ns)
{
    return ask(q, "clock_step %ld", ns);
}

int64_t qtest_clock_step_next(struct qtest *q)
{
    return ask(q, "clock_step");
}

void qtest_barrier(struct qtest *q)
{
    if (q->qemu)
        usleep(3000);
    else
        ask(q, "barrier");
}

int64_t qtest_clock_set(struct qtest *q, int64_t ns)
{
    return ask(q, "clock_set %ld", ns);
}

void qtest_irq_intercept_in(struct qtest *q, const char *path)
{
    ask(q, "irq_intercept_in %s", path);
    q->moves.intercepted = true;
}

void qtest_irq_intercept_out(struct qtest *q, const char *path)
{
    ask(q, "irq_intercept_out %s", path);
}

bool qtest_irq(struct qtest *q, unsigned line)
{
    return line < LINES && q->level[line];
}

unsigned qtest_irq_raised(struct qtest *q, unsigned line)
{
    return line < LINES ? q->raised[line] : 0;
}

/* ---- QMP ---- */

/* Sends one line, with a descriptor on its first byte if fd is not negative. */
static void qmp_send(struct qtest *q, int fd, const char *text)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {.iov_base = (void *)text, .iov_len = 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd >= 0) {
        msg.msg_control = control;
        msg.msg_controllen = sizeof(control);
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
        if (sendmsg(q->qmp.fd, &msg, MSG_NOSIGNAL) != 1)
            died(q, "a QMP command was sent");
        text++;
    }
    wire_send(q, &q->qmp, text, strlen(text), "a QMP command was sent");
}

static json_t *qmp_object(struct qtest *q, const char *doing)
{
    char *line = wire_line(q, &q->qmp, doing);
    json_error_t error;
    json_t *object = json_loads(line, 0, &error);

    if (!json_is_object(object))
        qtest_fail(q, "The QMP line '%.200s' is not a JSON object: %s", line, error.text);
    return object;
}

static json_t *qmp_command(struct qtest *q, int fd, const char *format, va_list ap)
{
    char *text, doing[160];
    json_t *object;

    int length = vasprintf(&text, format, ap);
    if (length < 0 || !(text = realloc(text, length + 2)))
        abort();
    for (char *p = text; *p; p++)
        if (*p == '\'')
            *p = '"';
    snprintf(doing, sizeof(doing), "the QMP answer was awaited to %.100s", text);
    watch_qmp(q, text);
    strcpy(text + length, "\n");
    qmp_send(q, fd, text);
    free(text);
    for (;;) {
        object = qmp_object(q, doing);
        if (!json_object_get(object, "event"))
            return object;
        json_array_append_new(q->events, object);
    }
}

json_t *qtest_qmp(struct qtest *q, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    json_t *answer = qmp_command(q, -1, format, ap);
    va_end(ap);
    return answer;
}

json_t *qtest_qmp_ok(struct qtest *q, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    json_t *answer = qmp_command(q, -1, format, ap), *value = json_incref(json_object_get(answer, "return"));
    va_end(ap);
    if (!value) {
        char *text = json_dumps(answer, 0);
        qtest_fail(q, "QMP: '%s' was answered by %s", format, text);
    }
    json_decref(answer);
    return value;
}

json_t *qtest_qmp_fd(struct qtest *q, int fd, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    json_t *answer = qmp_command(q, fd, format, ap);
    va_end(ap);
    return answer;
}

static bool is_event(const json_t *object, const char *name)
{
    const char *event = json_string_value(json_object_get(object, "event"));

    return event && strcmp(event, name) == 0;
}

json_t *qtest_qmp_event(struct qtest *q, const char *name)
{
    char doing[96];

    snprintf(doing, sizeof(doing), "the QMP event %.60s was awaited", name);
    while (json_array_size(q->events) > 0) {
        json_t *event = json_incref(json_array_get(q->events, 0));
        json_array_remove(q->events, 0);
        if (is_event(event, name))
            return event;
        json_decref(event);
    }
    for (;;) {
        json_t *object = qmp_object(q, doing);
        if (is_event(object, name))
            return object;
        json_decref(object);
    }
}

bool qtest_qmp_event_seen(struct qtest *q, const char *name)
{
    size_t i;
    json_t *event;

    json_array_foreach(q->events, i, event)
    {
        if (is_event(event, name))
            return true;
    }
    return false;
}

/* ---- moves ---- */

/* What ties a machine to its process, or to what only its process has: connections, what a temporary file
 * holds. */
static const char *const ties[] = {
    "-serial",     "-parallel", "-vnc",       "-nic u",    "-nic t",  "-nic s",  "fd=",       "/dev/fd",
    "snapshot=on", "-snapshot", "-daemonize", "-pidfile",  "-chroot", "-runas",  "-incoming", "-monitor",
    "-qmp",        "-mon ",     "latency-ns", "-debugcon", "-accel",  "-object", "sdl",
};

/* Is each OPTION's argument one that begins so? */
static bool all_are(const char *args, const char *option, const char *beginning)
{
    for (const char *at = args; (at = strstr(at, option)); at++)
        if (strncmp(at + strlen(option), beginning, strlen(beginning)))
            return false;
    return true;
}

static bool is_tied(const char *args)
{
    for (size_t i = 0; i < sizeof(ties) / sizeof(ties[0]); i++)
        if (strstr(args, ties[i]))
            return true;
    return !all_are(args, "-chardev ", "null") || !all_are(args, "-netdev ", "dgram") ||
           (strstr(args, "-netdev ") && !strstr(args, "local.type=fd"));
}

static unsigned move_random(unsigned below)
{
    static uint64_t seed;
    const char *text = getenv("MOVE_SEED");

    if (!seed) {
        seed = text && atoll(text) ? strtoull(text, NULL, 0) : (uint64_t)now_ns() ^ (uint64_t)getpid() << 32;
        fprintf(stderr, "MOVE_SEED=%llu\n", (unsigned long long)seed);
    }
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (seed >> 33) % below;
}

static void plan_moves(struct qtest *q, const char *program, const char *args)
{
    if (!getenv("MOVE") || q->qemu || is_tied(args))
        return;
    q->moves.program = strdup(program);
    q->moves.args = strdup(args);
    q->moves.gap = 8;
    q->moves.next = 1 + move_random(q->moves.gap);
}

/* What a person holds down is the process's, who knows the person. */
static void hold(struct qtest *q, const char *command)
{
    for (const char *at = command; (at = strstr(at, "\"down\"")); at++)
        q->moves.held += strchr(at, ':') && strchr(at, ':')[strspn(strchr(at, ':'), ": ")] == 't' ? 1 : -1;
    if (q->moves.held < 0)
        q->moves.held = 0;
}

/* From here on the machine is not what its options say. */
static void watch_qmp(struct qtest *q, const char *command)
{
    static const char *const harmless[] = {"query-",           "qom-list", "qmp_capabilities", "\"migrate\"",
                                           "input-send-event", "\"info",   "screendump"};

    if (q->moves.moving)
        return;
    if (strstr(command, "input-send-event"))
        hold(q, command);
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
        if (strstr(command, harmless[i]))
            return;
    q->moves.next = 0;
}

static void save_to(struct qtest *q, const char *path)
{
    json_decref(qtest_qmp_ok(q, "{'execute': 'migrate', 'arguments': {'uri': 'file:%s'}}", path));
}

/* Levels of lines after the move are those from before. */
static void intercept_again(struct qtest *q)
{
    bool level[LINES];
    unsigned raised[LINES];

    memcpy(level, q->level, sizeof(level));
    memcpy(raised, q->raised, sizeof(raised));
    memset(q->level, 0, sizeof(q->level));
    ask(q, "irq_intercept_in ioapic");
    for (unsigned n = 0; n < LINES; n++)
        if (q->level[n] != level[n])
            qtest_fail(q, "A move: interrupt line %u was %s before it and is not after it", n,
                       level[n] ? "high" : "low");
    memcpy(q->raised, raised, sizeof(raised));
}

/* Lines that changed since the last command, and while it was saved: a request on a disk was finished. */
static void take_last_lines(struct qtest *q)
{
    struct wire *wire = &q->port;
    char *text, *rest = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    char more[4096];
    ssize_t n;

    fwrite(wire->data + wire->start, 1, wire->end - wire->start, out);
    while ((n = recv(wire->fd, more, sizeof(more), 0)) > 0)
        fwrite(more, 1, n, out);
    fclose(out);
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        take_irq_line(q, line);
    free(text);
}

/* The program ends; what it said of its end is nobody's. */
static void end_quietly(struct qtest *q)
{
    kill(q->pid, SIGTERM);
    int status = qtest_wait_exit(q);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        died(q, "a move was to end it with status 0");
    take_last_lines(q);
    close(q->port.fd);
    close(q->qmp.fd);
    q->port.fd = q->qmp.fd = -1;
    q->port.start = q->port.end = q->qmp.start = q->qmp.end = 0;
    q->exited = false;
}

void qtest_stay(struct qtest *q, const char *reason)
{
    q->moves.next = 0;
}

/* Of the events that came meanwhile the test gets all but the one that it did not cause. */
static void forget_stop(struct qtest *q, size_t before)
{
    for (size_t i = before; i < json_array_size(q->events); i++)
        if (is_event(json_array_get(q->events, i), "STOP")) {
            json_array_remove(q->events, i);
            return;
        }
}

static void move(struct qtest *q)
{
    char path[64] = "/tmp/qtest-state-XXXXXX", *more;
    int fd = mkstemp(path);
    size_t before = json_array_size(q->events);

    if (fd < 0 || asprintf(&more, "-incoming file:%s", path) < 0)
        abort();
    close(fd);
    q->moves.moving = true;
    save_to(q, path);
    forget_stop(q, before);
    end_quietly(q);
    start_and_connect(q, q->moves.program, q->moves.args, more);
    free(more);
    read_greeting(q);
    if (q->moves.intercepted)
        intercept_again(q);
    unlink(path);
    q->moves.moving = false;
}

static void maybe_move(struct qtest *q)
{
    if (q->moves.moving || q->moves.held || !q->moves.next || --q->moves.next)
        return;
    move(q);
    q->moves.gap *= 2;
    q->moves.next = 1 + move_random(q->moves.gap);
}

static void compare_files(struct qtest *q, const char *one, const char *two)
{
    FILE *a = fopen(one, "r"), *b = fopen(two, "r");
    long at = 0;
    int ca, cb;

    do {
        ca = a ? getc(a) : EOF;
        cb = b ? getc(b) : EOF;
        at++;
    } while (ca == cb && ca != EOF);
    if (a)
        fclose(a);
    if (b)
        fclose(b);
    if (ca != cb)
        qtest_fail(q, "What was saved, loaded and saved again differs at byte %ld: %s, %s", at, one, two);
    unlink(one);
    unlink(two);
}

/* At the end of a test: saved, loaded and saved again it is the same. */
static void last_move(struct qtest *q)
{
    char one[64] = "/tmp/qtest-state-XXXXXX", two[64] = "/tmp/qtest-state-XXXXXX", more[128];
    int fd1 = mkstemp(one), fd2 = mkstemp(two);

    if (fd1 < 0 || fd2 < 0)
        abort();
    close(fd1);
    close(fd2);
    if (!q->moves.next || q->moves.held) {
        unlink(one);
        unlink(two);
        return;
    }
    q->moves.moving = true;
    save_to(q, one);
    end_quietly(q);
    snprintf(more, sizeof(more), "-incoming file:%s", one);
    start_and_connect(q, q->moves.program, q->moves.args, more);
    read_greeting(q);
    save_to(q, two);
    compare_files(q, one, two);
}

/* ---- temporary files ---- */

static char temp_files[64][64];
static size_t temp_count;
static pid_t temp_owner;

static void remove_temp_files(void)
{
    if (getpid() != temp_owner)
        return;
    for (size_t i = 0; i < temp_count; i++)
        unlink(temp_files[i]);
}

const char *qtest_temp_file(const char *suffix, int64_t size)
{
    if (temp_count == sizeof(temp_files) / sizeof(temp_files[0])) {
        fprintf(stderr, "too many temporary files\n");
        exit(1);
    }
    if (temp_count == 0) {
        temp_owner = getpid();
        atexit(remove_temp_files);
    }
    char *path = temp_files[temp_count++];
    snprintf(path, sizeof(temp_files[0]), "/tmp/qtest-file-XXXXXX%s", suffix);
    int fd = mkstemps(path, strlen(suffix));
    if (fd < 0 || ftruncate(fd, size) < 0) {
        fprintf(stderr, "cannot make a temporary file: %s\n", strerror(errno));
        exit(1);
    }
    close(fd);
    return path;
}
