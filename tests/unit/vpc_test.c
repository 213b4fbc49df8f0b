/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VHD beside qemu-img and qemu-io, against a model, and through power cuts. */
#include "base/util.h"
#include "tests/unit/disk_model.h"

static struct model model;

#define NEEDS_QEMU()                                                                                         \
    do                                                                                                       \
        if (run_program("command -v qemu-img qemu-io >/dev/null"))                                           \
            skip();                                                                                          \
    while (0)

static char dir[64];

static int make_dir(void **state)
{
    snprintf(dir, sizeof(dir), "/tmp/vpc-test-XXXXXX");
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

static const char *const flavours[] = {"subformat=dynamic,force_size=on", "subformat=fixed,force_size=on",
                                       "subformat=dynamic", "subformat=fixed"};

static void make_image(unsigned flavour, const char *name)
{
    assert_int_equal(run_program("qemu-img create -q -f vpc -o %s %s 8M", flavours[flavour], path(name)), 0);
}

static void assert_read_alike(const char *name)
{
    struct node *node = open_image("vpc", path(name), true), *raw;
    static uint8_t ours[1 << 20], theirs[1 << 20];

    assert_int_equal(run_program("qemu-img convert -q -f vpc -O raw %s %s", path(name), path("as-raw")), 0);
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

static void what_qemu_img_made_is_read(void **state)
{
    NEEDS_QEMU();
    for (unsigned i = 0; i < 4; i++) {
        make_image(i, "disk");
        assert_int_equal(run_program("qemu-io -f vpc -c 'write -P 1 0 100k' -c 'write -P 2 3M 1536' -c "
                                     "'write -P 3 4194000 7000' -c 'write -P 4 7M 512' %s >/dev/null",
                                     path("disk")),
                         0);
        assert_read_alike("disk");
    }
}

static uint64_t rounds(const char *name, uint64_t usual)
{
    return getenv(name) ? strtoull(getenv(name), NULL, 0) : usual;
}

static void random_work_agrees_with_the_model(void **state)
{
    uint64_t count = rounds("DISK_ROUNDS", 1000), seed = rounds("DISK_SEED", 88172645463325252ull);

    NEEDS_QEMU();
    for (unsigned i = 0; i < 4; i++) {
        struct node *node;
        uint8_t parts[1000];

        make_image(i, "work");
        node = open_image("vpc", path("work"), false);
        model_init(&model, node->size);
        for (uint64_t n = 0; n < count; n++) {
            assert_true(model_step(&model, node, &seed));
            if (n % 97 == 96) {
                node_unref(node);
                node = open_image("vpc", path("work"), false);
            }
        }
        model_check(&model, node, false);
        /* Parts of sectors. */
        memset(parts, 0x3C, sizeof(parts));
        assert_int_equal(node_pwrite(node, parts, 2 << 20 | 100, sizeof(parts)), 0);
        assert_int_equal(node_pread(node, parts, (2 << 20 | 100) - 1, 2), 0);
        assert_int_equal(parts[1], 0x3C);
        node_unref(node);
        assert_read_alike("work");
    }
}

static void workers_do_not_disturb_each_other(void **state)
{
    NEEDS_QEMU();
    for (unsigned i = 0; i < 2; i++) {
        struct node *node;

        make_image(i, "work");
        node = open_image("vpc", path("work"), false);
        work_side_by_side(node, rounds("DISK_ROUNDS", 400));
        node_unref(node);
        assert_read_alike("work");
    }
}

static void power_cuts_lose_nothing_that_was_flushed(void **state)
{
    uint64_t cuts = rounds("DISK_CUTS", 150), seed = rounds("DISK_SEED", 1234567);

    NEEDS_QEMU();
    node_register_driver(&cut_driver);
    for (uint64_t n = 0; n < cuts; n++) {
        json_t *options = json_pack("{s:s, s:s}", "driver", "vpc", "file.driver", "cut");
        struct error err = {""};
        struct node *node;

        if (n % 10 == 0) {
            make_image(0, "cut");
            model_init(&model, 8 << 20);
        }
        cut_next.file = path("cut");
        cut_next.until_cut = 1 + dice(&seed) % 150;
        node = node_open(&graph, options, &err);
        json_decref(options);
        if (!node)
            fail_msg("%s", err.text);
        for (unsigned step = 0; step < 200 && model_step(&model, node, &seed); step++)
            ;
        cut_save(cut_next.disk, path("left"), &seed);
        cut_next.disk->until_cut = 0;
        node_unref(node);
        assert_int_equal(run_program("mv %s %s", path("left"), path("cut")), 0);
        node = open_image("vpc", path("cut"), false);
        model_check(&model, node, true);
        node_unref(node);
        if (n % 10 == 9)
            assert_read_alike("cut");
    }
}

/* ---- differencing disks ---- */

static void put_sum(uint8_t *data, size_t length, size_t at)
{
    uint32_t sum = 0;

    put_be32(data + at, 0);
    for (size_t i = 0; i < length; i++)
        sum += data[i];
    put_be32(data + at, ~sum);
}

/* A child of a dynamic disk, as the specification has it: name is where it says the parent is. */
static void make_child(const char *parent, const char *child, const char *name, bool macx)
{
    static uint8_t image[512 + 1024 + 4096 + 1024 + 512];
    uint8_t *footer = image, *header = image + 512, *table = image + 1536, *locator = image + 5632,
            *end = image + 6656;
    int fd = open(path(parent), O_RDONLY);
    size_t length = 0;

    memset(image, 0, sizeof(image));
    assert_int_equal(pread(fd, image, 1536, 0), 1536);
    close(fd);
    memcpy(header + 40, footer + 68, 16);
    memset(footer + 68, 0xC4, 16);
    put_be32(footer + 60, 4);
    put_sum(footer, 512, 64);
    put_be64(header + 16, 1536);
    put_be32(header + 32, 64 * 1024); /* the child's blocks are smaller than the parent's */
    put_be32(header + 28, 1024);
    if (macx)
        length = sprintf((char *)locator, "file://%s", name);
    else
        for (const char *c = name; *c; c++, length += 2)
            locator[length] = *c;
    put_be32(header + 576, macx ? 0x4d616358 : 0x57327275);
    put_be32(header + 580, 1024);
    put_be32(header + 584, length);
    put_be64(header + 592, 5632);
    put_sum(header, 1024, 36);
    memset(table, 0xff, 4096);
    memcpy(end, footer, 512);
    fd = open(path(child), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, image, 7168), 7168);
    close(fd);
}

static void differencing_disks_show_their_parent(void **state)
{
    uint64_t seed = 99;
    struct node *node;

    NEEDS_QEMU();
    make_image(0, "parent.vhd");
    node = open_image("vpc", path("parent.vhd"), false);
    model_init(&model, 8 << 20);
    for (int i = 0; i < 300; i++)
        assert_true(model_step(&model, node, &seed));
    node_unref(node);
    assert_int_equal(run_program("cp %s %s", path("parent.vhd"), path("copy")), 0);
    for (int macx = 0; macx < 2; macx++) {
        make_child("parent.vhd", "child.vhd", macx ? "./parent.vhd" : ".\\parent.vhd", macx);
        node = open_image("vpc", path("child.vhd"), false);
        model_check(&model, node, false);
        static struct model before;
        before = model;
        for (int i = 0; i < 400; i++) {
            assert_true(model_step(&model, node, &seed));
            if (i % 97 == 96) {
                node_unref(node);
                node = open_image("vpc", path("child.vhd"), false);
            }
        }
        model_check(&model, node, false);
        node_unref(node);
        assert_int_equal(run_program("cmp -s %s %s", path("parent.vhd"), path("copy")), 0);
        model = before;
    }
}

static void assert_refused(const char *name, const char *words)
{
    json_t *options =
        json_pack("{s:s, s:s, s:s}", "driver", "vpc", "file.driver", "file", "file.filename", path(name));
    struct error err = {""};

    assert_null(node_open(&graph, options, &err));
    json_decref(options);
    if (!strstr(err.text, words) || !strstr(err.text, name))
        fail_msg("'%s' does not say '%s' of %s", err.text, words, name);
    assert_null(graph.first);
}

static void damaged_images_are_refused(void **state)
{
    int fd;

    NEEDS_QEMU();
    make_image(0, "parent.vhd");
    make_child("parent.vhd", "child.vhd", "nowhere.vhd", true);
    assert_refused("child.vhd", "No such file");
    make_child("parent.vhd", "child.vhd", "other.vhd", true);
    make_image(0, "other.vhd");
    assert_refused("child.vhd", "has another identity");
    make_child("parent.vhd", "child.vhd", "child.vhd", true); /* itself */
    assert_refused("child.vhd", "in use");
    assert_int_equal(run_program("echo no VHD >%s", path("text")), 0);
    assert_refused("text", "it is no VHD");
    fd = open(path("other.vhd"), O_WRONLY);
    assert_int_equal(pwrite(fd, "\0\0\0\1", 4, 1536), 4);
    close(fd);
    assert_refused("other.vhd", "block 0 is at an impossible place");
}

#define image_test(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        image_test(what_qemu_img_made_is_read),
        image_test(random_work_agrees_with_the_model),
        image_test(differencing_disks_show_their_parent),
        image_test(damaged_images_are_refused),
        image_test(power_cuts_lose_nothing_that_was_flushed),
        image_test(workers_do_not_disturb_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
