/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The test port: a line protocol over a socket by which a test program is the processor and the clock. See
 * docs/test-port.md.
 */
#include "base/util.h"
#include "ioreq/ioreq.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "machine/save.h"

enum {
    MAX_WORDS = 6,
    MAX_TRANSFER = 1 << 24,            /* bytes that one command may carry */
    MAX_LINE = 2 * MAX_TRANSFER + 256, /* a write of that many bytes in hex */
};

/*
 * A client waits for each answer before it sends the next command; to sleep and to be woken takes longer than
 * either, most of all in a virtual machine. So after an answer the loop stays awake for a moment. Moments in
 * vain become rarer by themselves: after n of them in a row, 2^n answers go by without one. Beside what a
 * long command took the sleep is little, and its client may be long about what it got, so there is none after
 * it.
 */
#define AWAKE_NS     (60 * NS_PER_US)
#define LONG_COMMAND (25 * NS_PER_US)

enum { MOST_SKIPPED = 64 /* answers between two such moments, at most */ };

struct buffer {
    char *data;
    size_t length, capacity;
};

struct qtest {
    struct machine *m;
    struct loop_fd watch;
    struct buffer in, out;
    bool intercepted;             /* lines are reported instead of delivered */
    struct irq inputs[IRQ_LINES]; /* lines that the client drives */
    struct guest_registers *regs; /* of the call by a port that is being answered */
    int64_t awake_until;          /* host clock: the present moment's end */
    unsigned missed, skip;        /* moments without a command, up to now; answers until the next moment */
    bool serving;                 /* inside ready: answers go out at its end */
    struct loop_work idle_work;
    bool barrier;         /* not answered yet, and what came after it waits */
    struct access access; /* of the command under way: a long one takes several pieces */
    uint64_t value;       /* its data, if it is no string */
    uint8_t *string;      /* or they are here; freed at its end */
    bool timed;
    bool unfinished; /* the loop goes on with it, and with the lines behind it */
    struct loop_work go_on_work;
    int64_t longest, worked; /* ns of a piece since somebody asked, and of the processor's time */
    struct machine_section section;
    struct loop_work flush_work; /* for lines that change on their own, between commands */
};

static bool reserve(struct buffer *b, size_t more)
{
    size_t capacity = b->capacity ? b->capacity : 4096;
    char *data;

    if (b->length + more <= b->capacity)
        return true;
    while (capacity < b->length + more)
        capacity *= 2;
    data = realloc(b->data, capacity);
    if (!data)
        return false;
    b->data = data;
    b->capacity = capacity;
    return true;
}

static void qtest_answer(struct qtest *q, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void qtest_answer(struct qtest *q, const char *fmt, ...)
{
    char line[128];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (reserve(&q->out, n)) {
        memcpy(q->out.data + q->out.length, line, n);
        q->out.length += n;
    }
}

/* Waits until the client takes the answer: the client is the only thing that moves this machine. */
static bool qtest_flush(struct qtest *q)
{
    size_t done = 0;

    while (done < q->out.length) {
        ssize_t n = send(q->watch.fd, q->out.data + done, q->out.length - done, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += n;
    }
    q->out.length = 0;
    return true;
}

/* ---- verbs ---- */

static bool number(const char *word, uint64_t *value)
{
    char *end;

    if (!word)
        return false;
    errno = 0;
    *value = strtoull(word, &end, 0);
    return end != word && !*end && !errno;
}

static void access_done(struct qtest *q)
{
    const char *format = q->access.space == SPACE_PORT ? "OK 0x%04llx\n" : "OK 0x%016llx\n";

    if (q->access.write)
        qtest_answer(q, "OK\n");
    else
        qtest_answer(q, format, (unsigned long long)q->value);
    free(q->string);
    q->string = NULL;
}

static int64_t processor_time(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec * NS_PER_SECOND + ts.tv_nsec;
}

static void note_longest(int64_t *longest, int64_t ns)
{
    if (ns > *longest)
        *longest = ns;
}

/* A piece of the command; the loop has its turn before the next. */
static void run_piece(struct qtest *q)
{
    const struct clock *clock = &q->m->loop.host_clock;
    int64_t begun = q->timed ? clock_now(clock) : 0, processor = q->timed ? processor_time() : 0;

    work_begin(&q->m->loop.work);
    q->unfinished = !access_run(q->m, &q->access);
    if (q->timed) {
        note_longest(&q->longest, clock_now(clock) - begun);
        note_longest(&q->worked, processor_time() - processor);
    }
    if (q->unfinished)
        loop_post(&q->m->loop, &q->go_on_work);
    else
        access_done(q);
}

static void begin_access(struct qtest *q, enum space space, bool write, unsigned size, uint64_t addr)
{
    q->access = (struct access){.space = space,
                                .write = write,
                                .size = size,
                                .addr = space == SPACE_PORT ? addr & 0xFFFF : addr,
                                .data = (uint8_t *)&q->value,
                                .count = 1};
    run_piece(q);
}

static void access_verb(struct qtest *q, enum space space, bool write, unsigned size, char **words)
{
    uint64_t addr, value = 0;

    if (!number(words[1], &addr) || (write && !number(words[2], &value))) {
        qtest_answer(q, "ERR %s: bad or missing number\n", words[0]);
        return;
    }
    q->value = value;
    begin_access(q, space, write, size, addr);
}

/* outs PORT SIZE COUNT VALUE: rep outs of so many elements of one value, as one request. */
static void outs_verb(struct qtest *q, char **words)
{
    uint64_t port, size, count, value;

    if (!number(words[1], &port) || !number(words[2], &size) || !number(words[3], &count) ||
        !number(words[4], &value) || (size != 1 && size != 2 && size != 4) || !count ||
        count > MAX_TRANSFER / 4 || !(q->string = malloc(count * size))) {
        qtest_answer(q, "ERR outs: bad port, size, count or value\n");
        return;
    }
    for (uint64_t i = 0; i < count; i++)
        memcpy(q->string + i * size, &value, size);
    q->access = (struct access){.space = SPACE_PORT,
                                .write = true,
                                .size = size,
                                .addr = port & 0xFFFF,
                                .data = q->string,
                                .count = count};
    run_piece(q);
}

/* The largest piece of work, how many there were, and of a command's the longest and the most of the
 * processor's time in ns, since this was asked. Times from the first question on. */
static void work_verb(struct qtest *q, char **words)
{
    struct work *work = &q->m->loop.work;

    qtest_answer(q, "OK %llu %llu %lld %lld\n", (unsigned long long)work->largest,
                 (unsigned long long)work->pieces, (long long)q->longest, (long long)q->worked);
    q->timed = true;
    *work = (struct work){0};
    q->longest = q->worked = 0;
}

/* addr and size of a bulk verb; NULL: answered with an error. */
static uint8_t *bulk(struct qtest *q, char **words, uint64_t *addr, uint64_t *size)
{
    uint8_t *data;

    if (!number(words[1], addr) || !number(words[2], size) || *size > MAX_TRANSFER) {
        qtest_answer(q, "ERR %s: bad address or size\n", words[0]);
        return NULL;
    }
    data = calloc(1, *size + 3);
    if (!data)
        qtest_answer(q, "ERR out of memory\n");
    return data;
}

static void append_hex(struct qtest *q, const uint8_t *data, uint64_t size)
{
    static const char digits[] = "0123456789abcdef";

    if (!reserve(&q->out, size * 2))
        return;
    for (uint64_t i = 0; i < size; i++) {
        q->out.data[q->out.length++] = digits[data[i] >> 4];
        q->out.data[q->out.length++] = digits[data[i] & 15];
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A last digit without its other half is no byte. */
static bool decode_hex(const char *text, uint8_t *data, uint64_t size)
{
    if (!text || text[0] != '0' || (text[1] != 'x' && text[1] != 'X'))
        return false;
    text += 2;
    for (uint64_t i = 0; i < size && text[0] && text[1]; i++, text += 2) {
        int high = hex_digit(text[0]), low = hex_digit(text[1]);

        if (high < 0 || low < 0)
            return false;
        data[i] = high << 4 | low;
    }
    return true;
}

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void append_base64(struct qtest *q, const uint8_t *data, uint64_t size)
{
    if (!reserve(&q->out, (size + 2) / 3 * 4))
        return;
    for (uint64_t i = 0; i < size; i += 3) {
        /* data has 2 zero bytes behind its end */
        uint32_t three = get_be24(data + i);

        for (unsigned j = 0; j < 4; j++)
            q->out.data[q->out.length++] = i + j > size ? '=' : base64[three >> (18 - 6 * j) & 63];
    }
}

/* -1: none. A search in the table above would be most of what a driver's ring costs. */
static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool decode_base64(const char *text, uint8_t *data, uint64_t size)
{
    uint32_t bits = 0;
    unsigned have = 0;
    uint64_t n = 0;

    for (; text && *text && *text != '='; text++) {
        int digit = base64_digit(*text);

        if (digit < 0)
            return false;
        bits = bits << 6 | digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            if (n < size)
                data[n++] = bits >> have;
        }
    }
    return text && n == size;
}

static void bulk_verb(struct qtest *q, char **words)
{
    bool read = strstr(words[0], "read"), b64 = words[0][0] == 'b';
    uint64_t addr, size, value;
    uint8_t *data = bulk(q, words, &addr, &size);

    if (!data)
        return;
    if (read) {
        bus_read_mem(&q->m->bus, addr, data, size);
        qtest_answer(q, b64 ? "OK " : "OK 0x");
        if (b64)
            append_base64(q, data, size);
        else
            append_hex(q, data, size);
        qtest_answer(q, "\n");
    } else if (!strcmp(words[0], "memset")) {
        if (!number(words[3], &value)) {
            qtest_answer(q, "ERR memset: bad value\n");
        } else {
            memset(data, value, size);
            bus_write_mem(&q->m->bus, addr, data, size);
            qtest_answer(q, "OK\n");
        }
    } else if (b64 ? decode_base64(words[3], data, size) : decode_hex(words[3], data, size)) {
        bus_write_mem(&q->m->bus, addr, data, size);
        qtest_answer(q, "OK\n");
    } else {
        qtest_answer(q, "ERR %s: bad data\n", words[0]);
    }
    free(data);
}

static void clock_verb(struct qtest *q, char **words)
{
    int64_t now = clock_now(&q->m->clock), to = now;
    uint64_t n;

    if (!strcmp(words[0], "clock_step") && !words[1]) {
        int64_t deadline = clock_deadline(&q->m->clock);

        to = deadline > now ? deadline : now;
    } else if (!number(words[1], &n) || n > INT64_MAX / 2) {
        qtest_answer(q, "ERR %s: bad number\n", words[0]);
        return;
    } else {
        to = !strcmp(words[0], "clock_step") ? now + (int64_t)n : (int64_t)n;
    }
    clock_advance(&q->m->clock, to);
    qtest_answer(q, "OK %lld\n", (long long)clock_now(&q->m->clock));
}

static bool qtest_get_registers(struct machine *m, struct guest_registers *regs)
{
    const struct qtest *q = m->accel_data;

    if (q->regs)
        *regs = *q->regs;
    return q->regs;
}

static void qtest_set_registers(struct machine *m, const struct guest_registers *regs)
{
    struct qtest *q = m->accel_data;

    if (q->regs)
        *q->regs = *regs;
}

/* vmport EAX EBX ECX EDX: a call by VMware's port, EDX's low half; the registers after it. */
static void vmport_verb(struct qtest *q, char **words)
{
    struct guest_registers regs = {0};
    uint64_t *const into[] = {&regs.rax, &regs.rbx, &regs.rcx, &regs.rdx};

    for (unsigned i = 0; i < 4; i++)
        if (!number(words[1 + i], into[i])) {
            qtest_answer(q, "ERR %s: bad number\n", words[0]);
            return;
        }
    q->regs = &regs;
    regs.rax = bus_read(&q->m->bus, SPACE_PORT, (uint16_t)regs.rdx, 4);
    q->regs = NULL;
    qtest_answer(q, "OK 0x%llx 0x%llx 0x%llx 0x%llx\n", (unsigned long long)regs.rax,
                 (unsigned long long)regs.rbx, (unsigned long long)regs.rcx, (unsigned long long)regs.rdx);
}

static bool is_ioapic(const char *path)
{
    const char *last = path ? strrchr(path, '/') : NULL;

    return path && !strcmp(last ? last + 1 : path, "ioapic");
}

/* From now on the client hears of the lines; first, which are high. */
static void intercept(struct qtest *q)
{
    for (unsigned line = 0; line < IRQ_LINES && !q->intercepted; line++)
        if (q->m->lines.asserted[line])
            qtest_answer(q, "IRQ raise %u\n", line);
    q->intercepted = true;
}

static void irq_verb(struct qtest *q, char **words)
{
    uint64_t line, level;

    if (!strcmp(words[0], "irq_intercept_in")) {
        if (is_ioapic(words[1]))
            intercept(q);
        qtest_answer(q, is_ioapic(words[1]) ? "OK\n" : "FAIL Unknown device\n");
    } else if (!strcmp(words[0], "irq_intercept_out")) {
        qtest_answer(
            q, "FAIL Unknown device\n"); /* lines are observed at the interrupt controller's inputs only */
    } else if (!is_ioapic(words[1]) || !number(words[3], &line) || !number(words[4], &level) ||
               line >= IRQ_LINES) {
        qtest_answer(q, "FAIL Unknown input\n");
    } else {
        irq_set(&q->inputs[line], level != 0);
        qtest_answer(q, "OK\n");
    }
}

/* Answered when all that came from outside is served: see qtest_idle. */
static void barrier_verb(struct qtest *q, char **words)
{
    q->barrier = true;
    loop_when_idle(&q->m->loop, &q->idle_work);
}

static void qtest_execute(struct qtest *q, char **words)
{
    static const struct {
        const char *verb;
        enum space space;
        bool write;
        uint8_t size;
    } accesses[] = {
        {"inb", SPACE_PORT, false, 1},  {"inw", SPACE_PORT, false, 2},  {"inl", SPACE_PORT, false, 4},
        {"outb", SPACE_PORT, true, 1},  {"outw", SPACE_PORT, true, 2},  {"outl", SPACE_PORT, true, 4},
        {"readb", SPACE_MEM, false, 1}, {"readw", SPACE_MEM, false, 2}, {"readl", SPACE_MEM, false, 4},
        {"readq", SPACE_MEM, false, 8}, {"writeb", SPACE_MEM, true, 1}, {"writew", SPACE_MEM, true, 2},
        {"writel", SPACE_MEM, true, 4}, {"writeq", SPACE_MEM, true, 8},
    };
    static const struct {
        const char *verb;
        void (*run)(struct qtest *q, char **words);
    } others[] = {
        {"read", bulk_verb},       {"write", bulk_verb},           {"memset", bulk_verb},
        {"b64read", bulk_verb},    {"b64write", bulk_verb},        {"clock_step", clock_verb},
        {"clock_set", clock_verb}, {"irq_intercept_in", irq_verb}, {"irq_intercept_out", irq_verb},
        {"set_irq_in", irq_verb},  {"barrier", barrier_verb},      {"outs", outs_verb},
        {"work", work_verb},       {"vmport", vmport_verb},
    };

    for (size_t i = 0; i < COUNT(accesses); i++)
        if (!strcmp(words[0], accesses[i].verb)) {
            access_verb(q, accesses[i].space, accesses[i].write, accesses[i].size, words);
            return;
        }
    for (size_t i = 0; i < COUNT(others); i++)
        if (!strcmp(words[0], others[i].verb)) {
            others[i].run(q, words);
            return;
        }
    if (!strcmp(words[0], "endianness"))
        qtest_answer(q, "OK little\n");
    else
        qtest_answer(q, "FAIL Unknown command '%.64s'\n", words[0]);
}

static void serve_line(struct qtest *q, char *line)
{
    char *words[MAX_WORDS + 1] = {NULL}, *rest = NULL;
    unsigned n = 0;

    for (char *word = strtok_r(line, " \t\r", &rest); word && n < MAX_WORDS;
         word = strtok_r(NULL, " \t\r", &rest))
        words[n++] = word;
    if (n)
        qtest_execute(q, words);
}

/* ---- the connection ---- */

static void serve_lines(struct qtest *q)
{
    char *start = q->in.data, *end = q->in.data + q->in.length, *newline;

    while (!q->barrier && !q->unfinished && (newline = memchr(start, '\n', end - start))) {
        *newline = '\0';
        serve_line(q, start);
        start = newline + 1;
    }
    memmove(q->in.data, start, end - start);
    q->in.length = end - start;
}

static void qtest_hang_up(struct qtest *q)
{
    int fd = q->watch.fd;

    loop_unwatch(&q->m->loop, &q->watch);
    close(fd);
    loop_quit(&q->m->loop); /* the client is gone: nobody moves this machine any more */
}

static void stay_awake(struct qtest *q, int64_t begun)
{
    struct loop *loop = &q->m->loop;
    int64_t now = clock_now(&loop->host_clock);

    if (now - begun > LONG_COMMAND)
        return;
    if (q->skip) {
        q->skip--;
        return;
    }
    q->awake_until = now + AWAKE_NS;
    loop_stay_awake(loop, q->awake_until);
}

/* A command came: in the moment that was given to it? */
static void judge_moment(struct qtest *q, int64_t now)
{
    if (!q->awake_until)
        return;
    if (now < q->awake_until) {
        q->missed = 0;
    } else {
        q->skip = 1u << q->missed;
        if (q->skip < MOST_SKIPPED)
            q->missed++;
    }
    q->awake_until = 0;
}

static void qtest_ready(void *opaque, uint32_t events)
{
    struct qtest *q = opaque;
    int64_t begun = clock_now(&q->m->loop.host_clock);
    ssize_t n;

    judge_moment(q, begun);
    if (q->in.length > MAX_LINE || !reserve(&q->in, 65536)) {
        log_line("test port: a line is too long");
        qtest_hang_up(q);
        return;
    }
    n = recv(q->watch.fd, q->in.data + q->in.length, q->in.capacity - q->in.length, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        qtest_hang_up(q);
        return;
    }
    q->in.length += n;
    q->serving = true;
    serve_lines(q);
    q->serving = false;
    if (qtest_flush(q))
        stay_awake(q, begun);
    else
        qtest_hang_up(q);
}

/* The command before is over: what came behind it. */
static void qtest_serve_on(struct qtest *q)
{
    serve_lines(q);
    q->serving = false;
    if (!qtest_flush(q))
        qtest_hang_up(q);
}

static void qtest_idle(void *opaque)
{
    struct qtest *q = opaque;

    if (q->watch.fd < 0)
        return;
    q->barrier = false;
    qtest_answer(q, "OK\n");
    q->serving = true;
    qtest_serve_on(q);
}

static void qtest_go_on(void *opaque)
{
    struct qtest *q = opaque;

    if (q->watch.fd < 0)
        return;
    q->serving = true;
    run_piece(q);
    qtest_serve_on(q);
}

static void qtest_flush_later(void *opaque)
{
    struct qtest *q = opaque;

    if (q->watch.fd >= 0 && !qtest_flush(q))
        qtest_hang_up(q);
}

bool qtest_connect(struct machine *m, const char *spec, struct error *err)
{
    struct qtest *q = m->accel_data;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    const char *path = spec + 5;
    int fd;

    if (strncmp(spec, "unix:", 5) || strlen(path) >= sizeof(addr.sun_path))
        return error_set(err, "-qtest %s: not of the form unix:PATH", spec);
    strcpy(addr.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
        !loop_watch(&m->loop, &q->watch, fd, EPOLLIN, qtest_ready, q)) {
        error_set(err, "-qtest %s: %s", spec, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    return true;
}

/* ---- state: the lines that the client drives ---- */

#define TEST_PORT_STATE(S) S(FLAGS, driven, IRQ_LINES)

struct test_port_state {
    STATE_MEMBERS(TEST_PORT_STATE);
};
STATE_TABLE(test_port_state, struct test_port_state, TEST_PORT_STATE);

static void qtest_save(void *opaque, struct state_writer *w)
{
    const struct qtest *q = opaque;
    struct test_port_state s;

    for (unsigned line = 0; line < IRQ_LINES; line++)
        s.driven[line] = q->inputs[line].level;
    state_save(w, &test_port_state, &s);
}

static bool qtest_load(void *opaque, struct state_reader *r, enum state_load how, struct error *err)
{
    struct qtest *q = opaque;
    struct test_port_state s;

    if (!state_load(r, &test_port_state, &s, how, err))
        return false;
    for (unsigned line = 0; line < IRQ_LINES && how == STATE_APPLY; line++)
        irq_set(&q->inputs[line], s.driven[line]);
    return true;
}

/* ---- the accelerator ---- */

static bool qtest_start(struct machine *m, struct error *err)
{
    struct qtest *q = calloc(1, sizeof(*q));

    if (!q)
        return error_set(err, "out of memory");
    q->m = m;
    q->watch.fd = -1;
    q->flush_work = (struct loop_work){.run = qtest_flush_later, .opaque = q};
    q->idle_work = (struct loop_work){.run = qtest_idle, .opaque = q};
    q->go_on_work = (struct loop_work){.run = qtest_go_on, .opaque = q};
    for (unsigned i = 0; i < IRQ_LINES; i++)
        machine_irq(m, &q->inputs[i], i);
    q->section =
        (struct machine_section){.name = "test port", .save = qtest_save, .load = qtest_load, .opaque = q};
    machine_add_section(m, &q->section);
    m->accel_data = q;
    return true;
}

static void qtest_stop(struct machine *m)
{
    struct qtest *q = m->accel_data;

    if (!q)
        return;
    if (q->watch.fd >= 0) {
        int fd = q->watch.fd;

        loop_unwatch(&m->loop, &q->watch);
        close(fd);
    }
    loop_cancel(&m->loop, &q->flush_work);
    loop_when_idle(&m->loop, NULL);
    machine_remove_section(m, &q->section);
    loop_cancel(&m->loop, &q->go_on_work);
    free(q->string);
    free(q->in.data);
    free(q->out.data);
    free(q);
    m->accel_data = NULL;
}

static void qtest_set_line(struct machine *m, unsigned line, bool level)
{
    struct qtest *q = m->accel_data;

    if (!q || !q->intercepted)
        return;
    qtest_answer(q, "IRQ %s %u\n", level ? "raise" : "lower", line);
    if (!q->serving)
        loop_post(&m->loop, &q->flush_work);
}

const struct accel_ops qtest_accel = {
    .name = "qtest",
    .config_low_bits = true,
    .start = qtest_start,
    .stop = qtest_stop,
    .get_registers = qtest_get_registers,
    .set_registers = qtest_set_registers,
    .set_line = qtest_set_line,
};
