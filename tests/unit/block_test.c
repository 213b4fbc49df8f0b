/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The block layer, without a machine: a loop, slots, images in temporary files. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "block/block.h"
#include "block/node.h"
#include "block/pool.h"
#include "block/rw.h"
#include "tests/lib/cmocka.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct clock guest_clock;
static struct loop loop;

static int setup(void **state)
{
    clock_init(&guest_clock, CLOCK_MANUAL);
    assert_true(loop_init(&loop, &lock, &guest_clock));
    pthread_mutex_lock(&lock);
    return 0;
}

static int teardown(void **state)
{
    pthread_mutex_unlock(&lock);
    loop_destroy(&loop);
    clock_destroy(&guest_clock);
    return 0;
}

/* One request and what became of it. */
struct io {
    struct block_request request;
    struct iovec iov;
    int done, error;
};

static void io_done(struct block_request *request, int error)
{
    struct io *io = request->opaque;

    io->done++;
    io->error = error;
}

static void submit_as(struct io *io, struct block *block, enum block_op op, uint64_t offset, void *data,
                      uint64_t length, bool stable)
{
    *io = (struct io){.iov = {data, length}};
    io->request = (struct block_request){.op = op,
                                         .offset = offset,
                                         .length = length,
                                         .iov = &io->iov,
                                         .iovcnt = 1,
                                         .stable = stable,
                                         .done = io_done,
                                         .opaque = io};
    block_submit(block, &io->request);
}

static void submit(struct io *io, struct block *block, enum block_op op, uint64_t offset, void *data,
                   uint64_t length)
{
    submit_as(io, block, op, offset, data, length, false);
}

static int run(struct block *block, enum block_op op, uint64_t offset, void *data, uint64_t length)
{
    struct io io;

    submit(&io, block, op, offset, data, length);
    assert_int_equal(io.done, 0); /* never from inside block_submit */
    while (!io.done)
        loop_once(&loop, true);
    assert_int_equal(io.done, 1);
    return io.error;
}

static struct block *open_with(const struct block_options *options)
{
    struct error err = {""};
    struct block *block = block_open(&loop, "disk", options, &err);

    if (!block)
        fail_msg("%s", err.text);
    return block;
}

static struct block *open_file(const char *file)
{
    return open_with(&(struct block_options){.file = file});
}

static void assert_refused(const struct block_options *options, const char *words)
{
    struct error err = {""};

    assert_null(block_open(&loop, "disk", options, &err));
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
    if (options->file && !strstr(err.text, options->file))
        fail_msg("'%s' does not name the file", err.text);
}

static void what_was_written_is_read(void **state)
{
    const char *file = qtest_temp_file(".img", 1 << 20);
    static uint8_t out[300 * 1024], in[300 * 1024];
    struct block *block = open_file(file);

    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = i * 7 + i / 251;
    assert_int_equal(block_size(block), 1 << 20);
    /* Small: by the fast way where the host has one; large: by a worker. Not aligned to anything. */
    assert_int_equal(run(block, BLOCK_WRITE, 513, out, 700), 0);
    assert_int_equal(run(block, BLOCK_READ, 513, in, 700), 0);
    assert_memory_equal(in, out, 700);
    assert_int_equal(run(block, BLOCK_WRITE, 4097, out, sizeof(out)), 0);
    assert_int_equal(run(block, BLOCK_READ, 4097, in, sizeof(in)), 0);
    assert_memory_equal(in, out, sizeof(in));
    assert_int_equal(run(block, BLOCK_FLUSH, 0, NULL, 0), 0);
    assert_int_equal(block_stats(block)->op[BLOCK_WRITE].operations, 2);
    assert_int_equal(block_stats(block)->op[BLOCK_READ].bytes, 700 + sizeof(in));
    assert_int_equal(block_stats(block)->op[BLOCK_FLUSH].operations, 1);
    block_close(block);

    int fd = open(file, O_RDONLY);
    assert_int_equal(pread(fd, in, sizeof(in), 4097), sizeof(in));
    assert_memory_equal(in, out, sizeof(in));
    close(fd);
}

static void ends_of_the_medium(void **state)
{
    const char *file = qtest_temp_file(".img", 1000); /* ends within its second sector */
    struct block *block = open_file(file);
    uint8_t data[1024], zero[1024] = {0};

    assert_int_equal(block_size(block), 1024);
    memset(data, 0xAA, sizeof(data));
    assert_int_equal(run(block, BLOCK_READ, 512, data, 512), 0);
    assert_memory_equal(data, zero, 512);
    memset(data, 0xAA, sizeof(data));
    assert_int_equal(run(block, BLOCK_READ, 5000, data, 1024), 0);
    assert_memory_equal(data, zero, 1024);
    assert_int_equal(run(block, BLOCK_READ, UINT64_MAX - 511, data, 512), 0);
    assert_int_equal(run(block, BLOCK_WRITE, 512, zero, 512), 0);
    assert_int_equal(run(block, BLOCK_WRITE, 512, zero, 513), ENOSPC);
    assert_int_equal(run(block, BLOCK_WRITE, 1024, zero, 1), ENOSPC);
    assert_int_equal(run(block, BLOCK_WRITE, UINT64_MAX - 511, zero, 1024), ENOSPC);
    assert_int_equal(run(block, BLOCK_DISCARD, 512, NULL, UINT64_MAX), ENOSPC);
    block_close(block);
}

/* Past the page cache: aligned or not, by the kernel's own ring or by workers, from memory that stays or not.
 */
static void direct_transfers(void **state)
{
    static const char *const engines[] = {"io_uring", "native", "threads"};
    static uint8_t out[1 << 20] __attribute__((aligned(4096))), in[1 << 20] __attribute__((aligned(4096)));
    const char *file = qtest_temp_file(".img", (4 << 20) + 512);

    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = i * 11 + i / 257;
    for (size_t e = 0; e < 3; e++) {
        json_t *more = json_pack("{s:b, s:s}", "cache.direct", 1, "file.aio", engines[e]);
        struct block_options options = {.file = file, .format = "raw", .more = more};
        struct error err = {""};
        struct block *block = block_open(&loop, "disk", &options, &err);
        struct io io[32];

        json_decref(more);
        if (!block && strstr(err.text, "O_DIRECT"))
            skip();
        if (!block)
            fail_msg("%s", err.text);
        assert_int_equal(run(block, BLOCK_WRITE, 0, out, sizeof(out)), 0);
        assert_int_equal(run(block, BLOCK_WRITE, (1 << 20) + 77, out, 5001), 0);
        assert_int_equal(run(block, BLOCK_READ, (1 << 20) + 77, in, 5001), 0);
        assert_memory_equal(in, out, 5001);
        for (int i = 0; i < 32; i++)
            submit_as(&io[i], block, BLOCK_WRITE, (2 << 20) + i * 32768, out + i * 32768, 32768, true);
        block_drain(block);
        for (int i = 0; i < 32; i++)
            submit(&io[i], block, BLOCK_READ, (2 << 20) + i * 32768, in + i * 32768, 32768);
        for (int i = 0; i < 32; i += 3)
            block_cancel(&io[i].request);
        for (int i = 1; i < 32; i++)
            while (i % 3 && !io[i].done)
                loop_once(&loop, true);
        for (int i = 0; i < 32; i++) {
            assert_int_equal(io[i].done, i % 3 != 0);
            if (i % 3)
                assert_memory_equal(in + i * 32768, out + i * 32768, 32768);
        }
        /* Over the end, where the file ends within a block. */
        memset(in, 0xEE, 8192);
        assert_int_equal(run(block, BLOCK_READ, 4 << 20, in, 8192), 0);
        assert_int_equal(in[0] | in[511] | in[8191], 0);
        assert_int_equal(run(block, BLOCK_FLUSH, 0, NULL, 0), 0);
        block_close(block);
    }
}

static void many_buffers(void **state)
{
    enum { PARTS = 200, LENGTH = 3001 };
    static uint8_t out[PARTS * LENGTH], in[PARTS * LENGTH];
    struct iovec iov[PARTS];
    const char *file = qtest_temp_file(".img", 1 << 20);
    struct block *block = open_file(file);
    struct io io = {0};

    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = i * 3 + i / 255;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < PARTS; i++)
            iov[i] = (struct iovec){(pass ? in : out) + i * LENGTH, LENGTH};
        io = (struct io){.request = {.op = pass ? BLOCK_READ : BLOCK_WRITE,
                                     .offset = 77,
                                     .length = sizeof(out),
                                     .iov = iov,
                                     .iovcnt = PARTS,
                                     .done = io_done,
                                     .opaque = &io}};
        block_submit(block, &io.request);
        while (!io.done)
            loop_once(&loop, true);
        assert_int_equal(io.error, 0);
    }
    assert_memory_equal(in, out, sizeof(out));
    block_close(block);
}

static void slices_of_buffers(void **state)
{
    uint8_t a[10], b[20], c[30];
    struct iovec iov[] = {{a, 10}, {b, 20}, {c, 30}}, part[3];

    assert_int_equal(rw_slice(iov, 3, 0, 60, part), 3);
    assert_int_equal(rw_slice(iov, 3, 5, 5, part), 1);
    assert_ptr_equal(part[0].iov_base, a + 5);
    assert_int_equal(part[0].iov_len, 5);
    assert_int_equal(rw_slice(iov, 3, 9, 22, part), 3);
    assert_int_equal(part[0].iov_len, 1);
    assert_ptr_equal(part[2].iov_base, c);
    assert_int_equal(part[2].iov_len, 1);
    assert_int_equal(rw_slice(iov, 3, 60, 5, part), 0);
}

static void read_only_and_empty(void **state)
{
    const char *file = qtest_temp_file(".img", 4096);
    struct block *block = open_with(&(struct block_options){.file = file, .read_only = true});
    uint8_t data[512] = {0};

    assert_true(block_read_only(block));
    assert_int_equal(run(block, BLOCK_WRITE, 0, data, 512), EROFS);
    assert_int_equal(run(block, BLOCK_DISCARD, 0, NULL, 512), EROFS);
    assert_int_equal(run(block, BLOCK_READ, 0, data, 512), 0);
    assert_int_equal(run(block, BLOCK_FLUSH, 0, NULL, 0), 0);
    block_close(block);

    block = open_with(&(struct block_options){.removable = true});
    assert_false(block_present(block));
    assert_null(block_file(block));
    assert_int_equal(block_size(block), 0);
    assert_int_equal(run(block, BLOCK_READ, 0, data, 512), ENOMEDIUM);
    assert_int_equal(run(block, BLOCK_FLUSH, 0, NULL, 0), ENOMEDIUM);
    block_close(block);
}

static void cancelled_requests_are_never_done(void **state)
{
    enum { LENGTH = 4 << 20, REQUESTS = 20 };
    const char *file = qtest_temp_file(".img", LENGTH);
    struct block *block = open_file(file);
    static uint8_t data[REQUESTS][1 << 18];
    struct io io[REQUESTS];

    /* More than there are workers, small ones among them: some are queued, some running, some finished. */
    for (int i = 0; i < REQUESTS; i++)
        submit(&io[i], block, BLOCK_WRITE, i << 10, data[i], i % 3 ? sizeof(data[i]) : 512);
    for (int i = 0; i < REQUESTS; i += 2)
        block_cancel(&io[i].request);
    memset(data[0], 0xEE, sizeof(data[0])); /* the buffers are the submitter's again */
    block_drain(block);
    for (int n = 0; n < 3; n++)
        loop_once(&loop, false);
    for (int i = 0; i < REQUESTS; i++)
        assert_int_equal(io[i].done, i % 2);
    block_cancel(&io[0].request); /* again, and of one that is done: harmless */
    block_cancel(&io[1].request);
    block_close(block);
}

/* ---- a disk that is at it until the gate opens ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool open;
    unsigned waiting, done; /* requests */
    int error;              /* which they end with */
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0, 0, 0};

static int gate_wait(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.waiting++;
    while (!gate.open)
        pthread_cond_wait(&gate.opened, &gate.lock);
    gate.waiting--;
    gate.done++;
    pthread_mutex_unlock(&gate.lock);
    return gate.error;
}

static void gate_set(bool open)
{
    pthread_mutex_lock(&gate.lock);
    gate.open = open;
    gate.done = 0;
    pthread_cond_broadcast(&gate.opened);
    pthread_mutex_unlock(&gate.lock);
}

static bool gate_open(struct node *node, const json_t *options, struct error *err)
{
    node->size = 1 << 20;
    return true;
}

static int gate_read(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length)
{
    memset(iov[0].iov_base, 0x11, iov[0].iov_len);
    return gate_wait();
}

static int gate_write(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset,
                      uint64_t length)
{
    return gate_wait();
}

static int gate_range(struct node *node, uint64_t offset, uint64_t length)
{
    return gate_wait();
}

static int gate_zero(struct node *node, uint64_t offset, uint64_t length, unsigned flags)
{
    return gate_wait();
}

static int gate_flush(struct node *node)
{
    return gate_wait();
}

static struct node_driver gate_driver = {.name = "gate",
                                         .size = sizeof(struct node),
                                         .open = gate_open,
                                         .read = gate_read,
                                         .write = gate_write,
                                         .discard = gate_range,
                                         .zero = gate_zero,
                                         .flush = gate_flush};

static struct block *open_gate_with(struct node_graph *graph, enum block_on_error on_error)
{
    json_t *options = json_pack("{s:s}", "driver", "gate");
    struct error err = {""};
    struct node *node;
    struct block *block;

    if (!node_find_driver("gate"))
        node_register_driver(&gate_driver);
    gate_set(false);
    node = node_open(graph, options, &err);
    json_decref(options);
    assert_non_null(node);
    block = open_with(&(struct block_options){
        .node = node, .graph = graph, .on_read_error = on_error, .on_write_error = on_error});
    node_unref(node);
    return block;
}

static struct block *open_gate(struct node_graph *graph)
{
    return open_gate_with(graph, BLOCK_REPORT);
}

/* Until so many requests are at the gate. */
static void wait_at_gate(unsigned count)
{
    for (unsigned waiting = 0; waiting != count; sched_yield()) {
        pthread_mutex_lock(&gate.lock);
        waiting = gate.waiting;
        pthread_mutex_unlock(&gate.lock);
    }
}

/* If one of these waited for the disk, it would wait for ever. */
static void cancel_never_waits_for_the_disk(void **state)
{
    static const enum block_op ops[] = {BLOCK_FLUSH, BLOCK_READ, BLOCK_WRITE, BLOCK_DISCARD, BLOCK_ZERO};
    struct node_graph graph = {0};
    static uint8_t data[4096];

    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        for (int stable = 0; stable < (ops[i] == BLOCK_WRITE ? 2 : 1); stable++) {
            struct block *block = open_gate(&graph);
            struct io io;

            memset(data, 0x77, sizeof(data));
            submit_as(&io, block, ops[i], 0, data, ops[i] == BLOCK_FLUSH ? 0 : sizeof(data), stable);
            wait_at_gate(1);
            block_cancel(&io.request);
            block_release(block); /* and an unplug does not, either */
            assert_false(block_present(block));
            assert_non_null(graph.first); /* open while somebody is at it */
            gate_set(true);
            block_close(block); /* waits for what is under way */
            assert_int_equal(io.done, 0);
            assert_int_equal(data[0], 0x77); /* the read that was cancelled does not touch it later */
            assert_null(graph.first);
        }
}

static void what_follows_a_cancelled_write_comes_after_it(void **state)
{
    struct node_graph graph = {0};
    struct block *block = open_gate(&graph);
    struct io first, second, third;
    uint8_t data[512] = {0};

    submit(&first, block, BLOCK_WRITE, 0, data, 512);
    wait_at_gate(1);
    block_cancel(&first.request);
    submit(&second, block, BLOCK_WRITE, 0, data, 512);
    submit(&third, block, BLOCK_READ, 0, data, 512);
    block_cancel(&third.request); /* while it is held */
    for (int i = 0; i < 3; i++)
        loop_once(&loop, false);
    assert_null(second.request.job); /* nobody works at it */
    assert_int_equal(second.done, 0);
    gate_set(true);
    while (!second.done)
        loop_once(&loop, true);
    assert_int_equal(second.error, 0);
    assert_int_equal(first.done + third.done, 0);
    block_close(block);
}

/* ---- media that fail ---- */

struct failures {
    int count;
    enum block_on_error action;
};

static void medium_failed(void *opaque, struct block *block, enum block_op op, int error,
                          enum block_on_error action)
{
    struct failures *f = opaque;

    assert_int_equal(error, gate.error);
    f->count++;
    f->action = action;
}

static void errors_of_the_medium_are_dealt_with_as_asked_for(void **state)
{
    static const struct {
        enum block_on_error asked, action;
        int error;
    } cases[] = {{BLOCK_REPORT, BLOCK_REPORT, EIO},
                 {BLOCK_IGNORE, BLOCK_IGNORE, EIO},
                 {BLOCK_STOP, BLOCK_STOP, EIO},
                 {BLOCK_ENOSPC, BLOCK_REPORT, EIO},
                 {BLOCK_ENOSPC, BLOCK_STOP, ENOSPC}};
    struct node_graph graph = {0};
    uint8_t data[512] = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (int op = BLOCK_READ; op <= BLOCK_FLUSH; op++) {
            struct block *block = open_gate_with(&graph, cases[i].asked);
            struct failures failures = {0};
            struct io io, refused;

            block_watch_errors(block, medium_failed, &failures);
            gate.error = cases[i].error;
            gate_set(true);
            submit(&io, block, op, 0, data, op == BLOCK_FLUSH ? 0 : 512);
            while (!failures.count)
                loop_once(&loop, true);
            loop_once(&loop, false);
            assert_int_equal(failures.action, cases[i].action);
            assert_int_equal(io.done, cases[i].action != BLOCK_STOP);
            assert_int_equal(io.error, cases[i].action == BLOCK_REPORT ? cases[i].error : 0);
            if (cases[i].action == BLOCK_STOP && op == BLOCK_READ)
                block_cancel(&io.request); /* a reset meanwhile */
            gate.error = 0;
            block_retry(block);
            while (cases[i].action == BLOCK_STOP && op != BLOCK_READ && !io.done)
                loop_once(&loop, true);
            assert_int_equal(io.done, cases[i].action != BLOCK_STOP || op != BLOCK_READ);
            assert_int_equal(failures.count, 1);
            /* What the slot itself refuses is no failure of the medium. */
            submit(&refused, block, BLOCK_WRITE, 1 << 20, data, 512);
            while (!refused.done)
                loop_once(&loop, true);
            assert_int_equal(refused.error, ENOSPC);
            assert_int_equal(failures.count, 1);
            block_close(block);
        }
}

static void drain_calls_done(void **state)
{
    const char *file = qtest_temp_file(".img", 4 << 20);
    struct block *block = open_file(file);
    static uint8_t data[1 << 20];
    struct io io[4];

    for (int i = 0; i < 4; i++)
        submit(&io[i], block, BLOCK_WRITE, i << 20, data, sizeof(data));
    block_drain(block);
    for (int i = 0; i < 4; i++)
        assert_int_equal(io[i].done, 1);
    block_close(block);
}

static void snapshots_keep_the_image(void **state)
{
    const char *file = qtest_temp_file(".img", 1 << 20);
    static uint8_t image[1 << 20], expected[1 << 20], in[1 << 20];
    int fd = open(file, O_RDWR);

    for (size_t i = 0; i < sizeof(image); i++)
        expected[i] = image[i] = i * 5 + i / 253;
    assert_int_equal(write(fd, image, sizeof(image)), sizeof(image));
    struct block *block = open_with(&(struct block_options){.file = file, .snapshot = true});
    assert_false(block_read_only(block));
    /* Within a cluster, over a border, whole clusters, to the end. */
    static const struct {
        uint32_t offset, length;
    } writes[] = {{100, 50}, {4000, 200}, {8192, 4096}, {8192 + 4000, 9000}, {(1 << 20) - 512, 512}};
    static uint8_t out[9000];
    for (size_t w = 0; w < sizeof(writes) / sizeof(writes[0]); w++) {
        memset(out, 0xC0 + w, sizeof(out));
        memset(expected + writes[w].offset, 0xC0 + w, writes[w].length);
        assert_int_equal(run(block, BLOCK_WRITE, writes[w].offset, out, writes[w].length), 0);
    }
    assert_int_equal(run(block, BLOCK_READ, 0, in, sizeof(in)), 0);
    assert_memory_equal(in, expected, sizeof(in));
    assert_int_equal(run(block, BLOCK_READ, 4090, in, 20), 0);
    assert_memory_equal(in, expected + 4090, 20);
    assert_int_equal(run(block, BLOCK_FLUSH, 0, NULL, 0), 0);
    block_close(block);

    assert_int_equal(pread(fd, in, sizeof(in), 0), sizeof(in));
    assert_memory_equal(in, image, sizeof(in));
    close(fd);
}

static void images_in_use_are_refused(void **state)
{
    const char *file = qtest_temp_file(".img", 4096);
    struct block_options writer = {.file = file}, reader = {.file = file, .read_only = true},
                         snapshot = {.file = file, .snapshot = true};
    struct block *first = open_with(&writer), *second;
    char holder[64];

    snprintf(holder, sizeof(holder), "in use by PID %d (block_test)", (int)getpid());
    assert_refused(&writer, holder);
    assert_refused(&writer, "in use");
    assert_refused(&reader, "in use");
    assert_refused(&snapshot, "in use");
    block_close(first);
    first = open_with(&reader);
    second = open_with(&reader);
    assert_refused(&writer, "in use");
    block_close(second);
    second = open_with(&snapshot);
    block_close(second);
    block_close(first);
    first = open_with(&writer);
    block_release(first);
    assert_false(block_present(first));
    second = open_with(&writer); /* what was released is free */
    block_close(second);
    block_close(first);
}

static void mistakes_are_named(void **state)
{
    const char *file = qtest_temp_file(".img", 4096);

    assert_refused(&(struct block_options){.file = "/nonexistent/x.img"}, "No such file");
    assert_refused(&(struct block_options){.file = "/tmp", .read_only = true},
                   "neither a file nor a block device");
    assert_refused(&(struct block_options){.file = "/dev/null"}, "neither a file nor a block device");
    assert_refused(&(struct block_options){.file = file, .format = "qcow3"}, "unknown format 'qcow3'");
    assert_refused(&(struct block_options){0}, "needs an image");
}

/* Never probed: a guest that writes another format's header into its raw disk must not get that format's
 * rights. */
static void a_format_that_is_not_said_is_raw_and_warned_of(void **state)
{
    const char *file = qtest_temp_file(".img", 4096);
    int log = open("/tmp", O_TMPFILE | O_RDWR, 0600), old = dup(2), fd = open(file, O_WRONLY);
    char said[512] = "";
    struct block *block;

    assert_int_equal(write(fd, "QFI\xfb\0\0\0\3", 8), 8);
    close(fd);
    dup2(log, 2);
    block = open_file(file);
    block_close(block);
    block = open_with(&(struct block_options){.file = file, .format = "raw"}); /* says so: no word */
    dup2(old, 2);
    close(old);
    assert_string_equal(block_format(block), "raw");
    assert_int_equal(block_size(block), 4096);
    block_close(block);
    assert_true(pread(log, said, sizeof(said) - 1, 0) > 0);
    close(log);
    assert_non_null(strstr(said, file));
    assert_non_null(strstr(said, "looks like qcow2 and is taken as raw"));
    assert_null(strchr(strchr(said, '\n') + 1, '\n'));
}

static void discard_frees_space(void **state)
{
    const char *file = qtest_temp_file(".img", 1 << 20);
    struct block *block = open_file(file);
    static uint8_t data[1 << 20], zero[4096];
    struct stat before, after;

    memset(data, 0x11, sizeof(data));
    assert_int_equal(run(block, BLOCK_WRITE, 0, data, sizeof(data)), 0);
    assert_int_equal(run(block, BLOCK_FLUSH, 0, NULL, 0), 0);
    stat(file, &before);
    assert_int_equal(run(block, BLOCK_DISCARD, 4096, NULL, 1 << 19), 0);
    stat(file, &after);
    assert_int_equal(before.st_size, after.st_size);
    if (after.st_blocks >= before.st_blocks)
        skip(); /* a file system without holes */
    assert_int_equal(run(block, BLOCK_READ, 8192, data, 4096), 0);
    assert_memory_equal(data, zero, 4096);
    block_close(block);
}

static void discard_and_cache_as_asked_for(void **state)
{
    const char *file = qtest_temp_file(".img", 1 << 20);
    static uint8_t data[1 << 20];
    struct stat before, after;
    struct block *block = open_with(&(struct block_options){.file = file, .keep_allocated = true});

    assert_int_equal(run(block, BLOCK_WRITE, 0, data, sizeof(data)), 0);
    assert_int_equal(run(block, BLOCK_FLUSH, 0, NULL, 0), 0);
    stat(file, &before);
    assert_int_equal(run(block, BLOCK_DISCARD, 0, NULL, 1 << 20), 0);
    stat(file, &after);
    assert_int_equal(before.st_blocks, after.st_blocks);
    block_close(block);
    block = open_with(&(struct block_options){.file = file, .write_through = true});
    assert_int_equal(run(block, BLOCK_WRITE, 512, data, 512), 0);
    assert_int_equal(run(block, BLOCK_FLUSH, 0, NULL, 0), 0);
    block_close(block);
    block = open_with(&(struct block_options){.file = file, .no_flush = true});
    assert_int_equal(run(block, BLOCK_WRITE, 512, data, 512), 0);
    assert_int_equal(run(block, BLOCK_FLUSH, 0, NULL, 0), 0);
    block_close(block);
}

/* A loop device over an image; skips where there is none to be had. */
static int make_block_device(const char *file, char *name, size_t size)
{
    int control = open("/dev/loop-control", O_RDWR), number, backing, device;
    struct loop_info64 info = {.lo_flags = LO_FLAGS_AUTOCLEAR}; /* gone when nobody has it open */

    if (control < 0)
        skip();
    number = ioctl(control, LOOP_CTL_GET_FREE);
    close(control);
    snprintf(name, size, "/dev/loop%d", number);
    backing = open(file, O_RDWR);
    device = number < 0 ? -1 : open(name, O_RDWR);
    if (device < 0 || ioctl(device, LOOP_SET_FD, backing) < 0 ||
        ioctl(device, LOOP_SET_STATUS64, &info) < 0) {
        close(backing);
        close(device);
        skip();
    }
    close(backing);
    return device;
}

static void block_devices(void **state)
{
    const char *file = qtest_temp_file(".img", 1 << 20);
    char name[32];
    int device = make_block_device(file, name, sizeof(name));
    struct block_options options = {.file = name};
    struct block *block;
    static uint8_t out[70000], in[70000];

    memset(out, 0x5A, sizeof(out));
    block = open_with(&options);
    assert_int_equal(block_size(block), 1 << 20);
    assert_int_equal(run(block, BLOCK_WRITE, 4096, out, sizeof(out)), 0);
    assert_int_equal(run(block, BLOCK_READ, 4096, in, sizeof(in)), 0);
    assert_memory_equal(in, out, sizeof(in));
    assert_int_equal(run(block, BLOCK_FLUSH, 0, NULL, 0), 0);
    assert_int_equal(run(block, BLOCK_DISCARD, 0, NULL, 65536), 0);
    assert_int_equal(run(block, BLOCK_WRITE, (1 << 20) - 512, out, 1024), ENOSPC);
    assert_refused(&options, "in use");
    block_close(block);
    /* As the disc of a CD drive. */
    options.read_only = options.removable = true;
    block = open_with(&options);
    assert_int_equal(run(block, BLOCK_READ, 131072, in, 512), 0);
    block_close(block);
    close(device);
}

/* A drive with a tray. */
struct tray {
    bool locked, open;
    int requests, changes;
};

static void tray_request(void *opaque, bool force)
{
    ((struct tray *)opaque)->requests++;
}

static void tray_changed(void *opaque)
{
    ((struct tray *)opaque)->changes++;
}

static bool tray_is_locked(void *opaque)
{
    return ((struct tray *)opaque)->locked;
}

static bool tray_is_open(void *opaque)
{
    return ((struct tray *)opaque)->open;
}

static void tray_moved(void *opaque, bool open)
{
    ((struct tray *)opaque)->open = open;
}

static const struct block_events tray_events = {.eject_request = tray_request,
                                                .medium_changed = tray_changed,
                                                .tray_locked = tray_is_locked,
                                                .tray_open = tray_is_open,
                                                .tray_move = tray_moved};

static void media_come_and_go(void **state)
{
    char *one = strdup(qtest_temp_file(".iso", 2048)), *two = strdup(qtest_temp_file(".iso", 4096));
    struct block_options options = {.file = one, .read_only = true, .removable = true};
    struct block *block = open_with(&options);
    struct tray tray = {0};
    struct error err = {""};

    assert_true(block_attach(block, "cd", &tray_events, &tray));
    assert_false(block_attach(block, "another", NULL, NULL));
    assert_string_equal(block_owner(block), "cd");
    assert_true(block_eject(block, false, &err));
    assert_false(block_present(block));
    assert_true(tray.open);
    assert_int_equal(tray.changes, 1);
    assert_true(block_eject(block, false, &err)); /* of an empty drive */

    options.file = two;
    assert_true(block_insert(block, &options, &err));
    assert_string_equal(block_file(block), two);
    assert_int_equal(block_size(block), 4096);
    assert_false(tray.open);

    /* A locked tray: the guest is asked, and force goes without it. */
    tray.locked = true;
    tray.requests = 0;
    assert_false(block_eject(block, false, &err));
    assert_non_null(strstr(err.text, "is locked and force was not specified"));
    assert_int_equal(tray.requests, 1);
    assert_true(block_present(block));
    options.file = one;
    assert_false(block_insert(block, &options, &err));
    assert_string_equal(block_file(block), two);
    assert_true(block_eject(block, true, &err));
    assert_false(block_present(block));

    /* What cannot be opened changes nothing. */
    tray.locked = false;
    assert_true(block_insert(block, &options, &err));
    tray.changes = 0;
    assert_false(
        block_insert(block, &(struct block_options){.file = "/nonexistent", .read_only = true}, &err));
    assert_int_equal(tray.changes, 0);
    assert_string_equal(block_file(block), one);
    block_detach(block);
    assert_null(block_owner(block));
    block_close(block);
    free(one);
    free(two);
}

static void fixed_disks_stay(void **state)
{
    const char *file = qtest_temp_file(".img", 4096);
    struct block *block = open_file(file);
    struct error err = {""};

    assert_false(block_eject(block, true, &err));
    assert_string_equal(err.text, "Device 'disk' is not removable");
    assert_false(block_insert(block, &(struct block_options){.file = file}, &err));
    block_close(block);
}

static void media_by_descriptor(void **state)
{
    struct block *block = open_with(&(struct block_options){.removable = true});
    struct block_options read_only = {.read_only = true}, writable = {0};
    int fd = open(qtest_temp_file(".iso", 2048), O_RDONLY);
    struct error err = {""};
    uint8_t data[512];

    assert_true(block_insert_fd(block, fd, "/dev/fdset/3", &read_only, &err));
    assert_string_equal(block_file(block), "/dev/fdset/3");
    close(fd); /* ours is a copy */
    assert_int_equal(run(block, BLOCK_READ, 0, data, 512), 0);
    fd = open("/dev/null", O_RDONLY);
    assert_false(block_insert_fd(block, fd, "null", &read_only, &err));
    assert_non_null(strstr(err.text, "null"));
    assert_false(block_insert_fd(block, fd, "null", &writable, &err));
    assert_non_null(strstr(err.text, "not open for reading and writing"));
    close(fd);
    assert_false(block_insert_fd(block, 12345, "gone", &read_only, &err));
    assert_true(block_present(block));
    block_close(block);
}

static void slots_are_found_by_id(void **state)
{
    struct block *first = NULL, *a, *b;
    struct error err = {""};
    const struct block_options empty = {.removable = true, .serial = "S1"};

    a = block_open(&loop, "ide0-hd0", &empty, &err);
    b = block_open(&loop, "ide1-cd0", &empty, &err);
    block_link(&first, a);
    block_link(&first, b);
    assert_ptr_equal(block_find(first, "ide1-cd0"), b);
    assert_null(block_find(first, "ide1"));
    assert_ptr_equal(block_next(a), b);
    assert_string_equal(block_serial(a), "S1");
    block_close(a);
    block_close(b);
}

#define block_unit_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        block_unit_test(what_was_written_is_read),
        block_unit_test(ends_of_the_medium),
        block_unit_test(many_buffers),
        block_unit_test(direct_transfers),
        block_unit_test(slices_of_buffers),
        block_unit_test(read_only_and_empty),
        block_unit_test(cancelled_requests_are_never_done),
        block_unit_test(cancel_never_waits_for_the_disk),
        block_unit_test(what_follows_a_cancelled_write_comes_after_it),
        block_unit_test(errors_of_the_medium_are_dealt_with_as_asked_for),
        block_unit_test(drain_calls_done),
        block_unit_test(snapshots_keep_the_image),
        block_unit_test(images_in_use_are_refused),
        block_unit_test(mistakes_are_named),
        block_unit_test(a_format_that_is_not_said_is_raw_and_warned_of),
        block_unit_test(discard_frees_space),
        block_unit_test(discard_and_cache_as_asked_for),
        block_unit_test(block_devices),
        block_unit_test(media_come_and_go),
        block_unit_test(fixed_disks_stay),
        block_unit_test(media_by_descriptor),
        block_unit_test(slots_are_found_by_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
