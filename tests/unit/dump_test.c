/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -object filter-dump: the file as its readers see it. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "net/dump.h"
#include "net/wires.h"
#include "tests/lib/wire.h"
#include "tests/unit/wire_fixture.h"

static int setup(void **state)
{
    struct wire_fixture *f = fixture_new();

    *state = f;
    fixture_open_pair(f, SOCK_DGRAM);
    f->data = strdup(qtest_temp_file(".pcap", 0));
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static struct net_dump *dump_to(struct wire_fixture *f, const char *path, size_t max)
{
    struct net_dump *dump = net_dump_open(path, max, NULL);

    assert_non_null(dump);
    net_add_dump(f->port, dump);
    return dump;
}

static void frame_in(struct wire_fixture *f, uint8_t mark, size_t length)
{
    uint8_t frame[NET_MAX_FRAME];
    unsigned before = f->received;

    memset(frame, mark, length);
    assert_int_equal(write(f->peer, frame, length), length);
    if (!f->full && net_link_up(f->port))
        fixture_wait(f, f->received > before);
    else
        fixture_serve(f);
}

static void frame_out(struct wire_fixture *f, uint8_t mark, size_t length)
{
    uint8_t frame[NET_MAX_FRAME];

    memset(frame, mark, length);
    assert_true(fixture_send(f, frame, length));
}

static FILE *open_file(const char *path, uint32_t max)
{
    uint32_t header[6];
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    assert_int_equal(fread(header, 1, sizeof(header), file), sizeof(header));
    assert_int_equal(header[0], 0xA1B2C3D4); /* microseconds */
    assert_int_equal(header[1], 4 << 16 | 2);
    assert_int_equal(header[2], 0);
    assert_int_equal(header[3], 0);
    assert_int_equal(header[4], max);
    assert_int_equal(header[5], 1); /* Ethernet */
    return file;
}

static void expect(FILE *file, uint8_t mark, uint32_t captured, uint32_t length)
{
    uint32_t header[4];
    uint8_t data[NET_MAX_FRAME];

    assert_int_equal(fread(header, 1, sizeof(header), file), sizeof(header));
    assert_int_equal(header[2], captured);
    assert_int_equal(header[3], length);
    assert_int_equal(fread(data, 1, captured, file), captured);
    assert_int_equal(data[0], mark);
    assert_int_equal(data[captured - 1], mark);
}

static void expect_end(FILE *file)
{
    assert_int_equal(fgetc(file), EOF);
    fclose(file);
}

/* ---- tests ---- */

static void both_directions_in_order(void **state)
{
    struct wire_fixture *f = *state;
    FILE *file;

    dump_to(f, f->data, NET_DUMP_MAX);
    frame_in(f, 1, 60);
    frame_out(f, 2, 1514);
    frame_in(f, 3, NET_MAX_FRAME);
    file = open_file(f->data, NET_DUMP_MAX);
    expect(file, 1, 60, 60);
    expect(file, 2, 1514, 1514);
    expect(file, 3, NET_MAX_FRAME, NET_MAX_FRAME);
    expect_end(file);
}

static void times_are_those_of_the_host(void **state)
{
    struct wire_fixture *f = *state;
    struct timespec before, after;
    uint32_t header[4];
    int64_t us;
    FILE *file;

    dump_to(f, f->data, NET_DUMP_MAX);
    clock_gettime(CLOCK_REALTIME, &before);
    frame_out(f, 1, 60);
    clock_gettime(CLOCK_REALTIME, &after);
    file = open_file(f->data, NET_DUMP_MAX);
    assert_int_equal(fread(header, 1, sizeof(header), file), sizeof(header));
    fclose(file);
    us = header[0] * 1000000ll + header[1];
    assert_in_range(header[1], 0, 999999);
    assert_in_range(us, before.tv_sec * 1000000ll + before.tv_nsec / 1000,
                    after.tv_sec * 1000000ll + after.tv_nsec / 1000);
}

static void maxlen_cuts(void **state)
{
    struct wire_fixture *f = *state;
    FILE *file;

    dump_to(f, f->data, 100);
    frame_in(f, 1, 101);
    frame_out(f, 2, 100);
    file = open_file(f->data, 100);
    expect(file, 1, 100, 101);
    expect(file, 2, 100, 100);
    expect_end(file);
}

/* Once, when the card took it; what a cut cable lost is not there. */
static void what_passed_is_there_once(void **state)
{
    struct wire_fixture *f = *state;
    FILE *file;

    dump_to(f, f->data, NET_DUMP_MAX);
    f->full = true;
    frame_in(f, 1, 60);
    net_resume(f->port);
    fixture_serve(f);
    f->full = false;
    net_resume(f->port);
    fixture_wait(f, f->received == 1);
    net_set_link(f->port, false);
    frame_in(f, 2, 60);
    frame_out(f, 3, 60);
    net_set_link(f->port, true);
    frame_out(f, 4, 60);
    file = open_file(f->data, NET_DUMP_MAX);
    expect(file, 1, 60, 60);
    expect(file, 4, 60, 60);
    expect_end(file);
}

static void checksums_are_as_they_went_out(void **state)
{
    struct wire_fixture *f = *state;
    uint8_t frame[60] = {0}, data[60];
    FILE *file;

    dump_to(f, f->data, NET_DUMP_MAX);
    assert_true(net_send(f->port, &(struct net_frame){.data = frame,
                                                      .length = sizeof(frame),
                                                      .needs_checksum = true,
                                                      .checksum_start = 14,
                                                      .checksum_offset = 6}));
    file = open_file(f->data, NET_DUMP_MAX);
    fseek(file, 16, SEEK_CUR);
    assert_int_equal(fread(data, 1, sizeof(data), file), sizeof(data));
    assert_int_equal(data[20], 0xFF);
    expect_end(file);
}

static void a_full_disk_costs_the_dump_only(void **state)
{
    struct wire_fixture *f = *state;
    struct net_dump *dump = dump_to(f, f->data, NET_DUMP_MAX);
    FILE *file;

    close(dump->fd);
    dump->fd = open("/dev/full", O_WRONLY);
    dump_to(f, f->data, NET_DUMP_MAX);
    frame_in(f, 1, 60);
    frame_in(f, 2, 60);
    assert_int_equal(f->received, 2);
    assert_int_equal(dump->fd, -1);
    file = open_file(f->data, NET_DUMP_MAX);
    expect(file, 1, 60, 60);
    expect(file, 2, 60, 60);
    expect_end(file);
}

static void a_file_that_may_not_grow_costs_the_dump_only(void **state)
{
    enum { FRAME = 1000, FRAMES = 20, ROOM = 24 + 3 * (16 + FRAME) }; /* three fit */
    const char *path = qtest_temp_file(".pcap", 0);
    struct rlimit limit = {ROOM, ROOM};
    uint8_t to[6] = {255, 255, 255, 255, 255, 255};
    char options[WIRE_OPTIONS];
    struct wire wire;
    struct qtest *q;
    struct stat st;

    wire_open(&wire, "n", options);
    q = qtest_startf("-display none -object filter-dump,id=d,netdev=n,file=%s -device e1000,netdev=n %s",
                     path, options);
    wire_connect(&wire);
    assert_int_equal(prlimit(qtest_pid(q), RLIMIT_FSIZE, &limit, NULL), 0);
    for (int i = 0; i < FRAMES; i++) {
        wire_send(&wire, to, 1, FRAME);
        json_decref(qtest_qmp_ok(q, "{'execute': 'query-status'}"));
    }
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, ROOM);
    wire_close(&wire);
    qtest_stop(q);
}

static void the_object_makes_the_file(void **state)
{
    const char *path = qtest_temp_file(".pcap", 0);
    struct qtest *q = qtest_startf("-display none -object filter-dump,id=d,netdev=u,file=%s,maxlen=96 "
                                   "-object '{\"qom-type\":\"filter-dump\",\"id\":\"e\",\"netdev\":\"u\","
                                   "\"file\":\"/dev/null\",\"queue\":\"rx\"}' -nic user,id=u",
                                   path);

    fclose(open_file(path, 96));
    qtest_stop(q);
}

static void mistakes_are_one_clear_line(void **state)
{
    static const struct {
        const char *args, *said;
    } cases[] = {
        {"filter-dum,id=d,netdev=u,file=/dev/null", "did you mean 'filter-dump'"},
        {"filter-dump,id=d,netdev=uplnik,file=/dev/null",
         "there is no network 'uplnik'; did you mean 'uplink'"},
        {"filter-dump,id=d,netdev=u,fiel=/dev/null", "did you mean 'file'"},
        {"filter-dump,id=d,netdev=u", "file= is missing"},
        {"filter-dump,id=d,file=/dev/null", "netdev= is missing"},
        {"filter-dump,netdev=u,file=/dev/null", "id= is missing"},
        {"filter-dump,id=d,netdev=u,file=/nowhere/f", "file=/nowhere/f: No such file"},
        {"filter-dump,id=d,netdev=u,file=/dev/null,maxlen=0", "maxlen"},
        {"filter-dump,id=d,netdev=u,file=/dev/null,queue=both", "all, rx or tx"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char options[400];

        snprintf(options, sizeof(options), "-netdev user,id=u -netdev user,id=uplink -object %s",
                 cases[i].args);
        fixture_refused(options, cases[i].said);
    }
}

#define WITH_WIRE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WIRE(both_directions_in_order),
        WITH_WIRE(times_are_those_of_the_host),
        WITH_WIRE(maxlen_cuts),
        WITH_WIRE(what_passed_is_there_once),
        WITH_WIRE(checksums_are_as_they_went_out),
        WITH_WIRE(a_full_disk_costs_the_dump_only),
        cmocka_unit_test(a_file_that_may_not_grow_costs_the_dump_only),
        cmocka_unit_test(the_object_makes_the_file),
        cmocka_unit_test(mistakes_are_one_clear_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
