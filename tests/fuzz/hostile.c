/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hostile guest, its user and a viewer, driven through the test port, until the process dies, hangs or a
 * sanitizer speaks.
 *
 *   hostile [--seconds N] [--seed S] [--logs DIR]     sessions on changing machines for N seconds
 *   hostile --replay LOG                              the lines of one session again
 *   hostile --minimise LOG                            drops lines as long as the fault stays; rewrites LOG
 *
 * A log's first line is the machine's options; @DISK@, @CD@, @DVD@, @FLOPPY@ and @LOCKED@ in it stand for
 * images that are made anew. The other lines are the test port's, or "qmp" and a QMP command.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/work.h"
#include "tests/fuzz/holds.h"
#include "tests/fuzz/moves.h"
#include "tests/fuzz/watcher.h"

enum { SESSION_LINES = 40000, BATCH = 64, LAST_SHOWN = 25 };

/* The machines that sessions take in turn; `needs` is a device type without which a machine is left out. */
static const struct machine {
    const char *needs;
    unsigned ram_mib;
    const char *args;
} machines[] = {
    {"VGA", 16,
     "-m 16 -vga std -drive file=@DISK@,if=ide,index=0,format=raw,cache=writeback "
     "-drive file=@CD@,if=ide,index=2,media=cdrom,id=cd0 -drive file=@FLOPPY@,if=floppy,format=raw "
     "-drive file=@LOCKED@,if=floppy,index=1,format=raw,readonly=on "
     "-chardev null,id=log -device isa-debugcon,chardev=log "
     "-serial null -serial null -device pc-testdev -vnc unix:@VNC@ "
     "-usb -device usb-tablet,id=tablet -device usb-kbd"},
    {"cirrus-vga", 5120,
     "-m 5120 -vga cirrus -drive file=@DISK@,if=ide,index=1,format=raw,snapshot=on "
     "-drive file=@DVD@,if=ide,index=3,media=cdrom,id=cd0 -serial null -vnc unix:@VNC@"},
    {"xen-platform", 16,
     "-m 16 -machine xenfv -vga none -drive file=@DISK@,if=ide,index=0,format=raw,snapshot=on "
     "-drive file=@CD@,if=ide,index=2,media=cdrom,id=cd0"},
    {"rtl8139", 16, "-m 16 -vga none -device rtl8139,revision=0x10 -device rtl8139"},
    {"pcnet", 16, "-m 16 -vga none -device pcnet"},
    {"e1000", 16, "-m 16 -vga none -device e1000"},
};
enum { MACHINES = sizeof(machines) / sizeof(machines[0]) };

struct log {
    char **lines;
    size_t count, room;
};

struct session {
    struct qtest *q;
    pid_t watcher;
    struct log *log;
    size_t sent, answered; /* lines of the log */
    const struct moves *moves;
};

static struct holds holds;

static jmp_buf failed;
static char *failure_text;

/* A failure jumps over whoever would have freed something; the program under test looks for its own leaks. */
const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
    return "detect_leaks=0";
}

/* The server is already dead. */
static void on_failure(struct qtest *q, const char *message)
{
    free(failure_text);
    failure_text = strdup(message);
    qtest_stop(q);
    longjmp(failed, 1);
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* ---- logs ---- */

static void log_add(struct log *log, const char *line)
{
    if (log->count == log->room) {
        log->room = log->room ? 2 * log->room : 1024;
        log->lines = realloc(log->lines, log->room * sizeof(*log->lines));
        if (!log->lines)
            abort();
    }
    log->lines[log->count++] = strdup(line);
}

static void log_clear(struct log *log)
{
    for (size_t i = 0; i < log->count; i++)
        free(log->lines[i]);
    log->count = 0;
}

static void log_write(const struct log *log, const char *path)
{
    FILE *f = fopen(path, "w");

    if (!f) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return;
    }
    for (size_t i = 0; i < log->count; i++)
        fprintf(f, "%s\n", log->lines[i]);
    fclose(f);
}

static bool log_read(struct log *log, const char *path)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    ssize_t length;

    if (!f) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    while ((length = getline(&line, &room, f)) > 0) {
        line[strcspn(line, "\n")] = '\0';
        log_add(log, line);
    }
    free(line);
    fclose(f);
    if (log->count == 0)
        fprintf(stderr, "%s: empty\n", path);
    return log->count > 0;
}

/* ---- one machine ---- */

/* An image with recognisable contents; made once. */
static const char *image(const char *suffix, int64_t size)
{
    const char *path = qtest_temp_file(suffix, size);
    int fd = open(path, O_WRONLY);

    for (int64_t at = 0; at < size && at < 1 << 20; at += 2048)
        if (pwrite(fd, &at, sizeof(at), at) < 0)
            break;
    close(fd);
    return path;
}

static char *replace(char *text, const char *mark, const char *with)
{
    char *at = strstr(text, mark), *result;

    if (!at)
        return text;
    if (asprintf(&result, "%.*s%s%s", (int)(at - text), text, with, at + strlen(mark)) < 0)
        abort();
    free(text);
    return result;
}

static const char *vnc_socket(void)
{
    static char path[64];

    snprintf(path, sizeof(path), "/tmp/hostile-vnc-%d", getpid());
    return path;
}

/* A line with the images' paths put in; caller frees. */
static char *with_images(const char *line)
{
    static const char *disk, *cd, *dvd, *floppy, *locked;

    if (!disk) {
        disk = image(".disk", 32 << 20);
        cd = image(".iso", 4 << 20);
        dvd = image(".dvd", 1 << 30);
        floppy = image(".floppy", 1474560);
        locked = image(".locked", 737280);
    }
    char *text = replace(replace(replace(strdup(line), "@DISK@", disk), "@CD@", cd), "@LOCKED@", locked);
    return replace(replace(replace(text, "@DVD@", dvd), "@FLOPPY@", floppy), "@VNC@", vnc_socket());
}

/* The machine; and, where it has a screen on VNC, its viewer in *watcher. */
static struct qtest *start_machine(const char *args, pid_t *watcher, uint64_t seed)
{
    char *text = with_images(args);
    struct qtest *q = qtest_startf("-nodefaults -no-shutdown %s", text);

    free(text);
    if (strstr(args, "@VNC@"))
        *watcher = watcher_start(vnc_socket(), seed);
    return q;
}

static void send_command(struct qtest *q, const char *command)
{
    char *text = with_images(command);

    json_decref(qtest_qmp(q, "%s", text));
    free(text);
}

/*
 * The answers to a line and to the question behind it: how much work it was. More than the promised at once
 * is a fault like a crash.
 */
static void take_answer(struct session *s)
{
    const char *line = s->log->lines[s->answered];
    unsigned long units;
    char *text;

    qtest_answer(s->q);
    units = holds_add(&holds, s->moves, line, qtest_answer(s->q));
    s->answered++;
    if (units <= WORK_LIMIT)
        return;
    if (asprintf(&text, "%lu units of work in one piece, at most %d are promised: %.80s", units, WORK_LIMIT,
                 line) < 0)
        abort();
    qtest_fail(s->q, "%s", text);
}

/* Sends lines [from, to) of the log, and takes their answers; QMP commands end a batch. */
static void send_lines(struct session *s, size_t to)
{
    while (s->sent < to) {
        const char *line = s->log->lines[s->sent];
        if (strncmp(line, "qmp ", 4) == 0) {
            while (s->answered < s->sent)
                take_answer(s);
            send_command(s->q, line + 4);
            s->answered = ++s->sent;
            continue;
        }
        qtest_send(s->q, line, strlen(line));
        qtest_send(s->q, "\nwork\n", 6);
        s->sent++;
        if (s->sent - s->answered >= BATCH)
            while (s->answered < s->sent)
                take_answer(s);
    }
    while (s->answered < s->sent)
        take_answer(s);
}

/* Runs a whole log. True: the machine lived, and ended well. */
static bool run_log(struct log *log)
{
    static struct session s; /* not on the stack: it is read after longjmp */
    static struct moves scan;

    s = (struct session){.log = log, .sent = 1, .answered = 1, .moves = &scan};
    if (setjmp(failed)) {
        watcher_stop(s.watcher);
        return false;
    }
    s.q = start_machine(log->lines[0], &s.watcher, 1);
    moves_scan(&scan, s.q);
    send_lines(&s, log->count);
    watcher_stop(s.watcher);
    qtest_stop(s.q);
    return true;
}

/* ---- sessions ---- */

static void keep_line(void *opaque, const char *line)
{
    log_add(opaque, line);
}

/* False: the machine died; failure_text says how, the log has what was done. */
static bool run_session(struct log *log, const struct machine *machine, uint64_t seed, double until)
{
    static struct session s;
    struct moves moves = {
        .random = seed, .ram_size = (uint64_t)machine->ram_mib << 20, .emit = keep_line, .opaque = log};

    log_clear(log);
    log_add(log, machine->args);
    s = (struct session){.log = log, .sent = 1, .answered = 1, .moves = &moves};
    if (setjmp(failed)) {
        watcher_stop(s.watcher);
        /* What was made and not sent is no part of it. */
        while (log->count > s.sent)
            free(log->lines[--log->count]);
        return false;
    }
    s.q = start_machine(machine->args, &s.watcher, seed);
    qtest_irq_intercept_in(s.q, "ioapic");
    moves_scan(&moves, s.q);
    while (log->count < SESSION_LINES && now() < until) {
        for (unsigned i = 0; i < BATCH; i++)
            moves_next(&moves);
        send_lines(&s, log->count);
    }
    watcher_stop(s.watcher);
    qtest_stop(s.q);
    return true;
}

/* Which machines can be made: a device type that the program does not know leaves its machine out. */
static bool machine_exists(const struct machine *machine)
{
    if (setjmp(failed))
        return false;
    struct qtest *q = qtest_start("-nodefaults");
    json_t *types = qtest_qmp_ok(q, "{'execute': 'qom-list-types', 'arguments': {'implements': 'device'}}"),
           *type;
    size_t i;
    bool found = false;

    json_array_foreach(types, i, type)
    {
        const char *name = json_string_value(json_object_get(type, "name"));
        found |= name && strcmp(name, machine->needs) == 0;
    }
    json_decref(types);
    qtest_stop(q);
    return found;
}

static void report(const struct log *log, uint64_t seed, unsigned session, const char *logs)
{
    char path[512];

    mkdir(logs, 0777);
    snprintf(path, sizeof(path), "%s/hostile-%lu-%u.log", logs, seed, session);
    log_write(log, path);
    printf("FAILED hostile guest: seed %lu, session %u, after %zu lines\n%s\nThe last lines:\n", seed,
           session, log->count - 1, failure_text);
    for (size_t i = log->count > LAST_SHOWN ? log->count - LAST_SHOWN : 1; i < log->count; i++)
        printf("  %s\n", log->lines[i]);
    printf("All lines are in %s; again: hostile --replay %s, shorter: hostile --minimise %s\n", path, path,
           path);
}

static int run_sessions(double seconds, uint64_t seed, const char *logs)
{
    const struct machine *chosen[MACHINES];
    unsigned count = 0, session = 0, faults = 0;
    double start = now(), end = start + seconds;
    uint64_t lines = 0;
    struct log log = {0};

    for (unsigned i = 0; i < MACHINES; i++)
        if (machine_exists(&machines[i]))
            chosen[count++] = &machines[i];
    printf("hostile guest: seed %lu, %u machines, %g s\n", seed, count, seconds);
    fflush(stdout);
    if (count == 0) {
        printf("%s\n0 passed, 1 failed\n", failure_text ? failure_text : "no machine can be made");
        return 1;
    }
    /* Every machine has its turn within the time. */
    double share = seconds / count < 30 ? seconds / count : 30;
    for (; (now() < end || session < count) && faults < 3; session++) {
        double until = now() + share;
        bool lived = run_session(&log, chosen[session % count], seed * 1000003 + session, until);
        lines += log.count - 1;
        if (!lived) {
            report(&log, seed, session, logs);
            faults++;
        }
    }
    holds_print(&holds);
    printf("hostile guest: %u sessions, %lu lines, %.0f s\n", session, lines, now() - start);
    printf("%u passed, %u failed\n", session - faults, faults);
    log_clear(&log);
    free(log.lines);
    free(failure_text);
    return faults ? 1 : 0;
}

/* ---- replay and minimise ---- */

/* What kind of fault it was: the sanitizer's summary without addresses, or the first line. */
static void fault_name(char *name, size_t room)
{
    const char *from = strstr(failure_text, "SUMMARY: ");

    if (!from)
        from = strstr(failure_text, "runtime error: ");
    if (!from)
        from = failure_text;
    snprintf(name, room, "%.*s", (int)strcspn(from, "\n"), from);
    /* "..., while the answer to THIS LINE was awaited" changes from run to run */
    char *comma = strstr(name, ", while");
    if (comma)
        *comma = '\0';
}

/* Does the log without lines [from, to) still show the fault? */
static bool still_faulty(const struct log *log, size_t from, size_t to, const char *fault)
{
    struct log shorter = {0};
    char name[512];

    for (size_t i = 0; i < log->count; i++)
        if (i < from || i >= to)
            log_add(&shorter, log->lines[i]);
    bool lived = run_log(&shorter);
    log_clear(&shorter);
    free(shorter.lines);
    if (lived)
        return false;
    fault_name(name, sizeof(name));
    return strcmp(name, fault) == 0;
}

static void drop(struct log *log, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        free(log->lines[i]);
    memmove(log->lines + from, log->lines + to, (log->count - to) * sizeof(*log->lines));
    log->count -= to - from;
}

static int replay(const char *path)
{
    struct log log = {0};

    if (!log_read(&log, path))
        return 2;
    if (run_log(&log)) {
        printf("%zu lines: the machine lived\n", log.count - 1);
        return 0;
    }
    printf("%s\n", failure_text);
    return 1;
}

static int minimise(const char *path)
{
    struct log log = {0};
    char fault[512];

    if (!log_read(&log, path))
        return 2;
    if (run_log(&log)) {
        printf("%zu lines: the machine lived\n", log.count - 1);
        return 0;
    }
    fault_name(fault, sizeof(fault));
    printf("%s\n", fault);
    for (size_t chunk = (log.count - 1) / 2; chunk > 0; chunk /= 2) {
        /* From the end: what matters is mostly near it. */
        for (size_t to = log.count; to > 1;) {
            size_t from = to > chunk + 1 ? to - chunk : 1;
            if (still_faulty(&log, from, to, fault))
                drop(&log, from, to);
            to = from;
        }
        printf("%zu lines\n", log.count - 1);
        fflush(stdout);
        log_write(&log, path);
    }
    for (size_t i = 0; i < log.count; i++)
        printf("  %s\n", log.lines[i]);
    return 1;
}

static int usage(void)
{
    fprintf(stderr, "usage: hostile [--seconds N] [--seed S] [--logs DIR] | --replay LOG | --minimise LOG\n");
    return 2;
}

int main(int argc, char **argv)
{
    double seconds = 20;
    uint64_t seed = 0;
    const char *logs = "build/hostile-logs";

    if (getrandom(&seed, 4, 0) < 0)
        seed = time(NULL);
    qtest_on_failure(on_failure);
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            return usage();
        if (strcmp(argv[i], "--seconds") == 0)
            seconds = atof(argv[i + 1]);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "--logs") == 0)
            logs = argv[i + 1];
        else if (strcmp(argv[i], "--replay") == 0)
            return replay(argv[i + 1]);
        else if (strcmp(argv[i], "--minimise") == 0)
            return minimise(argv[i + 1]);
        else
            return usage();
    }
    return run_sessions(seconds, seed, logs);
}
