/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Client of the test port: starts the program under test and drives it as a guest's processor would, without
 * a hypervisor.
 *
 * The program is the one that HVM_DM names (default build/hvm-dm-system-x86_64). A name that begins with
 * "qemu" is started with QEMU's way to the same protocol, so that a test's expectations can be held against a
 * stock QEMU; its clock verbs fail.
 *
 * Whatever goes wrong with the program (it died, it does not answer within 60 s times TEST_TIMEOUT_SCALE, it
 * answers FAIL) fails the running cmocka test with what the program last said on stderr; outside of cmocka it
 * ends the process, or calls what qtest_on_failure named.
 */
#ifndef TESTS_LIB_QTEST_H
#define TESTS_LIB_QTEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct qtest;

/*
 * With MOVE=1 in the environment the machine moves while a test drives it, which does not know: at random
 * points between commands (MOVE_SEED, printed, repeats them) it is saved, its process ended, a fresh one
 * started that takes the state in, and the test goes on with that. At the end it is saved, loaded, saved
 * again, and the bytes compared. Machines that are tied to their process stay (qtest.c, ties and watch_qmp).
 */

/*
 * Starts the program with the arguments, split as a shell does (quotes, no commands), and makes both
 * connections. The form with f takes a printf format.
 */
struct qtest *qtest_start(const char *args);
struct qtest *qtest_startf(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* As qtest_start, of another program than HVM_DM. */
struct qtest *qtest_start_program(const char *program, const char *args);

/* SIGTERM; the test fails unless the exit status is 0 and no sanitizer spoke. NULL, or after a failure: frees
 * only. */
void qtest_stop(struct qtest *q);
/* As qtest_stop, for a program that ends by itself (QMP quit) or must end now without a word: returns
 * waitpid's status. */
int qtest_wait_exit(struct qtest *q);

/*
 * Runs the program without sockets, for options that must be refused: returns its exit status (minus the
 * signal's number if one killed it) and what it said on stderr (caller frees; may be NULL). One that does not
 * end within 10 s fails the test.
 */
int qtest_start_failing(const char *args, char **stderr_text);

/* Called instead of failing the test; it may longjmp. The server is dead and `message` valid until
 * qtest_stop. */
void qtest_on_failure(void (*handler)(struct qtest *q, const char *message));
/* Fails the test as described above; the program is killed. */
void qtest_fail(struct qtest *q, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

/* With MOVE=1: from here on the machine stays in its process, for a reason that the reader is told. */
void qtest_stay(struct qtest *q, const char *reason);

pid_t qtest_pid(const struct qtest *q);
/* From just before the program was started until its QMP greeting was read, ns. */
int64_t qtest_greeting_ns(const struct qtest *q);
bool qtest_is_qemu(const struct qtest *q);
/* What the program said on stderr so far; caller frees. */
char *qtest_stderr(const struct qtest *q);

/* Ports and memory, one access. Values are zero-extended. */
void qtest_outb(struct qtest *q, uint16_t port, uint8_t value);
void qtest_outw(struct qtest *q, uint16_t port, uint16_t value);
void qtest_outl(struct qtest *q, uint16_t port, uint32_t value);
uint8_t qtest_inb(struct qtest *q, uint16_t port);
uint16_t qtest_inw(struct qtest *q, uint16_t port);
uint32_t qtest_inl(struct qtest *q, uint16_t port);
void qtest_writeb(struct qtest *q, uint64_t addr, uint8_t value);
void qtest_writew(struct qtest *q, uint64_t addr, uint16_t value);
void qtest_writel(struct qtest *q, uint64_t addr, uint32_t value);
void qtest_writeq(struct qtest *q, uint64_t addr, uint64_t value);
uint8_t qtest_readb(struct qtest *q, uint64_t addr);
uint16_t qtest_readw(struct qtest *q, uint64_t addr);
uint32_t qtest_readl(struct qtest *q, uint64_t addr);
uint64_t qtest_readq(struct qtest *q, uint64_t addr);

/* Blocks of memory of any size: RAM or device windows. */
void qtest_memread(struct qtest *q, uint64_t addr, void *data, size_t size);
void qtest_memwrite(struct qtest *q, uint64_t addr, const void *data, size_t size);
void qtest_memset(struct qtest *q, uint64_t addr, uint8_t value, size_t size);

/* Guest RAM that nobody else uses, from 1 MiB to 64 MiB; align is a power of two. The memory is zero at
 * first. */
uint64_t qtest_alloc(struct qtest *q, size_t size, size_t align);

/* Time, ns: forwards by ns, to the next deadline, to a time. They return the time reached. */
int64_t qtest_clock_step(struct qtest *q, int64_t ns);
int64_t qtest_clock_step_next(struct qtest *q);
/* Returns when all that came to the program from outside is served. A program that is not ours gets a moment.
 */
void qtest_barrier(struct qtest *q);
int64_t qtest_clock_set(struct qtest *q, int64_t ns);

/* After the intercept: levels of the interrupt lines and how often each rose. */
void qtest_irq_intercept_in(struct qtest *q, const char *path);
void qtest_irq_intercept_out(struct qtest *q, const char *path);
bool qtest_irq(struct qtest *q, unsigned line);
unsigned qtest_irq_raised(struct qtest *q, unsigned line);

/* One line as it is; the answer without its newline, valid until the next call. IRQ lines are taken in and
 * not returned. */
const char *qtest_command(struct qtest *q, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The halves of it, for bytes and pipelining: send takes bytes as they are (no newline added). */
void qtest_send(struct qtest *q, const void *bytes, size_t size);
const char *qtest_answer(struct qtest *q);

/*
 * One QMP command, written as JSON text with a printf format in which ' stands for ". Returns the whole
 * answer, an object with "return" or "error"; caller decrefs. The form with _ok returns the value of
 * "return", and anything else fails the test. The form with _fd passes a file descriptor along.
 */
json_t *qtest_qmp(struct qtest *q, const char *format, ...) __attribute__((format(printf, 2, 3)));
json_t *qtest_qmp_ok(struct qtest *q, const char *format, ...) __attribute__((format(printf, 2, 3)));
json_t *qtest_qmp_fd(struct qtest *q, int fd, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Waits for an event of that name (others before it are dropped), one that came already included; caller
 * decrefs. */
json_t *qtest_qmp_event(struct qtest *q, const char *name);
/* Is an event of that name waiting? Does not wait; call any QMP command before to be sure. */
bool qtest_qmp_event_seen(struct qtest *q, const char *name);

/* A fresh temporary file of size bytes (sparse), removed when the process ends; the path is static memory of
 * the library. */
const char *qtest_temp_file(const char *suffix, int64_t size);

/* Timeouts in tests are to be multiplied by this: TEST_TIMEOUT_SCALE, default 1. */
double qtest_timeout_scale(void);

#endif
