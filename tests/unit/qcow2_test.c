/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2 beside qemu-img and qemu-io, against a model, and through power cuts. */
#include "tests/unit/disk_model.h"

static struct model model;

static const char *const flavours[] = {
    "compat=0.10",
    "compat=1.1",
    "compat=1.1,cluster_size=512",
    "compat=0.10,cluster_size=512",
    "compat=1.1,cluster_size=4k,refcount_bits=1",
    "compat=1.1,refcount_bits=2",
    "compat=1.1,refcount_bits=4,cluster_size=1k",
    "compat=1.1,refcount_bits=8",
    "compat=1.1,refcount_bits=32,cluster_size=2k",
    "compat=1.1,refcount_bits=64",
    "compat=1.1,cluster_size=2M",
    "compat=1.1,lazy_refcounts=on",
    "compat=1.1,extended_l2=on",
    "compat=1.1,extended_l2=on,cluster_size=16k,compression_type=zstd",
    "compat=1.1,preallocation=metadata",
    "compat=1.1,preallocation=full,cluster_size=128k",
    "compat=1.1,compression_type=zstd",
};
enum { FLAVOURS = sizeof(flavours) / sizeof(flavours[0]) };

static bool have_qemu(void)
{
    return run_program("command -v qemu-img qemu-io >/dev/null") == 0;
}

#define NEEDS_QEMU()                                                                                         \
    do                                                                                                       \
        if (!have_qemu())                                                                                    \
            skip();                                                                                          \
    while (0)

/* In a directory of its own, with what stands on it. */
static char dir[64];

static int make_dir(void **state)
{
    snprintf(dir, sizeof(dir), "/tmp/qcow2-test-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    assert_null(graph.first);
    return run_program("rm -rf %s", dir);
}

static const char *path(const char *name)
{
    static char paths[4][128];
    static unsigned n;
    char *p = paths[n++ % 4];

    snprintf(p, 128, "%s/%s", dir, name);
    return p;
}

static void make_image(const char *options, const char *name, const char *size)
{
    assert_int_equal(run_program("qemu-img create -q -f qcow2 -o %s %s %s", options, path(name), size), 0);
}

/* As qemu-img reads it, into a raw file; and the same bytes by us. */
static void assert_read_alike(const char *name)
{
    struct node *node = open_image("qcow2", path(name), true), *raw;
    static uint8_t ours[1 << 20], theirs[1 << 20];

    assert_int_equal(run_program("qemu-img convert -q -f qcow2 -O raw %s %s", path(name), path("as-raw")), 0);
    raw = open_image("raw", path("as-raw"), true);
    assert_int_equal(node->size, raw->size);
    for (uint64_t at = 0; at < node->size; at += sizeof(ours)) {
        uint64_t n = node->size - at < sizeof(ours) ? node->size - at : sizeof(ours);

        assert_int_equal(node_pread(node, ours, at, n), 0);
        assert_int_equal(node_pread(raw, theirs, at, n), 0);
        assert_memory_equal(ours, theirs, n);
    }
    node_unref(node);
    node_unref(raw);
}

/* 0: clean, 3: clusters that nothing refers to, which are lost space; anything else: broken. */
static void assert_clean(const char *file, bool leaks_allowed)
{
    int status = run_program("qemu-img check -q -f qcow2 %s >%s 2>&1", file, path("said"));

    if (status != 0 && !(leaks_allowed && status == 3)) {
        run_program("head -20 %s >&2; cp %s /tmp/qcow2-broken.img", path("said"), file);
        fail_msg("qemu-img check of %s: status %d", file, status);
    }
}

static void scribble(const char *name, unsigned seed)
{
    char command[4096];
    int n = snprintf(command, sizeof(command), "qemu-io -f qcow2");

    for (int i = 0; i < 12; i++) {
        unsigned at = (seed * 7919 + i * 104729) % 7000, length = (seed * 31 + i * 997) % 900 + 1;

        n += snprintf(command + n, sizeof(command) - n, " -c '%s %s %uk %uk'",
                      i % 5 == 3 ? "write -z" : "write", i % 5 == 3 ? (i % 2 ? "-u" : "") : "-P 0x5a", at,
                      length);
        if (i % 5 == 4)
            n += snprintf(command + n, sizeof(command) - n, " -c 'discard %uk %uk'", at / 2, length);
        if (i % 5 == 1)
            n += snprintf(command + n, sizeof(command) - n, " -c 'write -P %u %u 512'", i + 1, at * 512);
    }
    snprintf(command + n, sizeof(command) - n, " %s >/dev/null", path(name));
    assert_int_equal(run_program("%s", command), 0);
}

static void what_qemu_img_made_is_read(void **state)
{
    NEEDS_QEMU();
    for (unsigned i = 0; i < FLAVOURS; i++) {
        char name[32];

        snprintf(name, sizeof(name), "flavour%u", i);
        make_image(flavours[i], name, "8M");
        scribble(name, i);
        assert_read_alike(name);
    }
}

static void compressed_clusters_are_read(void **state)
{
    static const char *const options[] = {"compression_type=zlib",
                                          "compression_type=zstd",
                                          "compression_type=zlib,cluster_size=512",
                                          "compression_type=zstd,cluster_size=2M",
                                          "compression_type=zstd,extended_l2=on",
                                          "compat=0.10"};

    NEEDS_QEMU();
    assert_int_equal(run_program("seq 1 900000 | head -c 6000000 >%s; head -c 1000000 /dev/urandom >>%s; "
                                 "truncate -s 8M %s",
                                 path("text"), path("text"), path("text")),
                     0);
    for (unsigned i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        struct node *node;
        uint8_t data[3000];

        assert_int_equal(run_program("qemu-img convert -q -c -f raw -O qcow2 -o %s %s %s", options[i],
                                     path("text"), path("packed")),
                         0);
        assert_read_alike("packed");
        /* Written over, here and there: the rest of the clusters stays. */
        node = open_image("qcow2", path("packed"), false);
        memset(data, 0xA5, sizeof(data));
        for (uint64_t at = 1000; at + sizeof(data) < node->size; at += 700001)
            assert_int_equal(node_pwrite(node, data, at, sizeof(data)), 0);
        node_unref(node);
        assert_clean(path("packed"), false);
        assert_read_alike("packed");
    }
}

static void backing_chains(void **state)
{
    struct node *node;
    uint8_t data[4096];

    NEEDS_QEMU();
    make_image("compat=1.1", "base", "8M");
    scribble("base", 3);
    assert_int_equal(run_program("qemu-img create -q -f qcow2 -b base -F qcow2 %s 9M", path("middle")), 0);
    scribble("middle", 4);
    assert_int_equal(run_program("cd /; qemu-img create -q -f qcow2 -b %s -F qcow2 -o cluster_size=4k %s 10M",
                                 path("middle"), path("top")),
                     0);
    assert_read_alike("top");
    scribble("top", 5);
    assert_read_alike("top");
    node = open_image("qcow2", path("top"), false);
    memset(data, 0x77, sizeof(data));
    for (uint64_t at = 77; at + sizeof(data) < node->size; at += 300007)
        assert_int_equal(node_pwrite(node, data, at, sizeof(data)), 0);
    assert_int_equal(node_zero(node, 1 << 20, 3 << 19, NODE_MAY_UNMAP), 0);
    assert_int_equal(node_discard(node, 4 << 20, 1 << 19), 0);
    node_unref(node);
    assert_clean(path("top"), false);
    assert_read_alike("top");
    assert_read_alike("middle");
    /* A raw one, and one without a word about its format. */
    assert_int_equal(
        run_program("truncate -s 3M %s; printf hello | dd of=%s conv=notrunc status=none; qemu-img "
                    "create -q -f qcow2 -b raw -F raw %s",
                    path("raw"), path("raw"), path("over-raw")),
        0);
    assert_read_alike("over-raw");
}

static void assert_refused(const char *name, const char *words)
{
    json_t *options =
        json_pack("{s:s, s:s, s:s}", "driver", "qcow2", "file.driver", "file", "file.filename", path(name));
    struct error err = {""};

    assert_null(node_open(&graph, options, &err));
    json_decref(options);
    if (!strstr(err.text, words) || !strstr(err.text, name))
        fail_msg("'%s' does not say '%s' of %s", err.text, words, name);
    assert_null(graph.first);
}

static void patch(const char *name, off_t offset, const void *bytes, size_t length)
{
    int fd = open(path(name), O_WRONLY);

    assert_int_equal(pwrite(fd, bytes, length, offset), length);
    close(fd);
}

static void what_cannot_be_served_is_refused_by_name(void **state)
{
    NEEDS_QEMU();
    make_image("compat=1.1", "luks", "1M");
    patch("luks", 35, "\2", 1);
    assert_refused("luks", "is encrypted (LUKS)");
    make_image("data_file=data,data_file_raw=on", "outside", "1M");
    assert_refused("outside", "data_file");
    make_image("compat=1.1", "new", "1M");
    patch("new", 78, "\x12", 1);
    assert_refused("new", "incompatible features that are not known: 0x1200");
    make_image("compat=1.1", "version", "1M");
    patch("version", 7, "\4", 1);
    assert_refused("version", "version 4");
    make_image("compat=1.1", "corrupt", "1M");
    patch("corrupt", 79, "\2", 1);
    assert_refused("corrupt", "marked as corrupt");
    node_unref(open_image("qcow2", path("corrupt"), true));
    assert_int_equal(run_program("echo hello >%s", path("text")), 0);
    assert_refused("text", "it is no qcow2 image");
}

static void circles_of_backing_files_end(void **state)
{
    NEEDS_QEMU();
    make_image("compat=1.1", "a", "1M");
    assert_int_equal(run_program("qemu-img create -q -f qcow2 -b a -F qcow2 %s", path("b")), 0);
    assert_int_equal(run_program("cd %s && qemu-img rebase -u -f qcow2 -b b -F qcow2 a", dir), 0);
    assert_refused("b", "in use");
    json_t *options = json_pack("{s:s, s:b, s:s, s:s}", "driver", "qcow2", "read-only", 1, "file.driver",
                                "file", "file.filename", path("a"));
    struct error err = {""};
    assert_null(node_open(&graph, options, &err));
    json_decref(options);
    assert_non_null(strstr(err.text, "is it a circle?"));
    assert_int_equal(run_program("cd %s && qemu-img rebase -u -f qcow2 -b nowhere -F qcow2 a", dir), 0);
    assert_refused("a", "No such file");
    make_image("compat=1.1", "base", "1M");
    assert_int_equal(run_program("cd %s && qemu-img create -q -f qcow2 -b base -F qcow2 c 1M", dir), 0);
    patch("c", 112, "none", 4); /* the type of the header extension that says the format */
    assert_refused("c", "looks like qcow2");
}

static void snapshots_inside_stay(void **state)
{
    struct node *node;

    NEEDS_QEMU();
    make_image("compat=1.1,cluster_size=4k", "shots", "8M");
    scribble("shots", 9);
    assert_int_equal(run_program("qemu-img convert -q -f qcow2 -O raw %s %s", path("shots"), path("then")),
                     0);
    assert_int_equal(run_program("qemu-img snapshot -c first %s", path("shots")), 0);
    node = open_image("qcow2", path("shots"), false);
    model_init(&model, 0);
    uint64_t seed = 4711;
    static uint8_t data[64 * 1024];
    for (int i = 0; i < 300; i++) {
        memset(data, i, sizeof(data));
        assert_int_equal(
            node_pwrite(node, data, dice(&seed) % (8 << 20) * 15 / 16, dice(&seed) % sizeof(data)), 0);
        if (i % 9 == 0)
            assert_int_equal(node_discard(node, dice(&seed) % (4 << 20), 1 << 18), 0);
        if (i % 50 == 0)
            assert_int_equal(node_flush(node), 0);
    }
    node_unref(node);
    assert_clean(path("shots"), false);
    assert_read_alike("shots");
    assert_int_equal(run_program("qemu-img snapshot -a first %s", path("shots")), 0);
    assert_int_equal(run_program("qemu-img compare -q -f qcow2 -F raw %s %s", path("shots"), path("then")),
                     0);
}

static void a_dirty_image_is_repaired(void **state)
{
    struct node *node;
    uint8_t data[512];

    NEEDS_QEMU();
    for (unsigned shots = 0; shots < 2; shots++) {
        make_image("compat=1.1,lazy_refcounts=on,cluster_size=4k", "lazy", "8M");
        scribble("lazy", 1);
        if (shots)
            assert_int_equal(run_program("qemu-img snapshot -c first %s", path("lazy")), 0);
        /* Counts as they were when the image was new, and the mark. */
        assert_true(run_program("qemu-io -f qcow2 -c 'write -P 7 0 3M' -c 'write -P 8 5M 100k' -c 'abort' %s "
                                ">/dev/null 2>&1",
                                path("lazy")) != 0);
        assert_int_not_equal(run_program("qemu-img check -q -f qcow2 %s >/dev/null 2>&1", path("lazy")), 0);
        node = open_image("qcow2", path("lazy"), false);
        assert_int_equal(node_pread(node, data, 1 << 20, 512), 0);
        assert_int_equal(data[0], 7);
        memset(data, 9, sizeof(data));
        assert_int_equal(node_pwrite(node, data, 1 << 20, 512), 0);
        node_unref(node);
        assert_clean(path("lazy"), false);
        assert_read_alike("lazy");
    }
}

/* ---- random work ---- */

static uint64_t rounds(const char *name, uint64_t usual)
{
    return getenv(name) ? strtoull(getenv(name), NULL, 0) : usual;
}

static void random_work_agrees_with_the_model(void **state)
{
    uint64_t count = rounds("DISK_ROUNDS", 400), seed = rounds("DISK_SEED", 88172645463325252ull);

    NEEDS_QEMU();
    for (unsigned i = 0; i < FLAVOURS; i++) {
        struct node *node;

        make_image(flavours[i], "work", "8M");
        node = open_image("qcow2", path("work"), false);
        model_init(&model, 8 << 20);
        for (uint64_t n = 0; n < count; n++) {
            if (!model_step(&model, node, &seed))
                fail_msg("%s: step %llu failed", flavours[i], (unsigned long long)n);
            if (n % 97 == 96) { /* as after a restart */
                node_unref(node);
                node = open_image("qcow2", path("work"), false);
            }
        }
        model_check(&model, node, false);
        node_unref(node);
        assert_clean(path("work"), false);
        assert_read_alike("work");
    }
}

static void workers_do_not_disturb_each_other(void **state)
{
    NEEDS_QEMU();
    for (unsigned i = 0; i < FLAVOURS; i++) {
        struct node *node;

        make_image(flavours[i], "work", "8M");
        node = open_image("qcow2", path("work"), false);
        work_side_by_side(node, rounds("DISK_ROUNDS", 400));
        node_unref(node);
        assert_clean(path("work"), false);
        assert_read_alike("work");
    }
}

/* ---- power cuts ---- */

static struct node *open_cut(const char *file, uint64_t until_cut)
{
    json_t *options = json_pack("{s:s, s:s}", "driver", "qcow2", "file.driver", "cut");
    struct error err = {""};
    struct node *node;

    cut_next.file = file;
    cut_next.until_cut = until_cut;
    node = node_open(&graph, options, &err);
    json_decref(options);
    if (!node)
        fail_msg("%s", err.text);
    return node;
}

static void power_cuts_lose_nothing_that_was_flushed(void **state)
{
    uint64_t cuts = rounds("DISK_CUTS", 150), seed = rounds("DISK_SEED", 1234567);

    NEEDS_QEMU();
    node_register_driver(&cut_driver);
    for (uint64_t n = 0; n < cuts; n++) {
        struct node *node;

        if (n % 10 == 0) {
            make_image(flavours[n / 10 % FLAVOURS], "cut", "8M");
            model_init(&model, 8 << 20);
        }
        node = open_cut(path("cut"), 1 + dice(&seed) % 300);
        for (unsigned step = 0; step < 200 && model_step(&model, node, &seed); step++)
            ;
        cut_save(cut_next.disk, path("left"), &seed);
        cut_next.disk->until_cut = 0;
        node_unref(node);
        assert_int_equal(run_program("mv %s %s", path("left"), path("cut")), 0);
        assert_clean(path("cut"), true);
        node = open_image("qcow2", path("cut"), true);
        model_check(&model, node, true);
        node_unref(node);
    }
}

#define image_test(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        image_test(what_qemu_img_made_is_read),
        image_test(compressed_clusters_are_read),
        image_test(backing_chains),
        image_test(what_cannot_be_served_is_refused_by_name),
        image_test(circles_of_backing_files_end),
        image_test(snapshots_inside_stay),
        image_test(a_dirty_image_is_repaired),
        image_test(random_work_agrees_with_the_model),
        image_test(workers_do_not_disturb_each_other),
        image_test(power_cuts_lose_nothing_that_was_flushed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
