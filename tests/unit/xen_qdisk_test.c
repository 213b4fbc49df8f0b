/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Paravirtual disks without Xen: the test plays libxl and the guest's driver (tests/fakexen). */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/fakexen/host.h"
#include "tests/lib/cmocka.h"
#include "xenpv/blkif_ring.h"

#define BOARD "-machine xenfv -serial null"

enum { SECTOR = 512, DISK_SECTORS = 32 * 2048, PORT = 600, FIRST_PAGE = 0x200, MAX_SEGMENTS = 128 };

#define HDA  768
#define XVDE 51776
#define HDC  5632

/* ---- libxl's part ---- */

static char image[256];

static void make_image(void)
{
    snprintf(image, sizeof(image), "%s", qtest_temp_file(".img", (int64_t)DISK_SECTORS * SECTOR));
}

static const char *key_of(const char *dir, const char *key)
{
    static char path[2 * FAKEXEN_TEXT];

    snprintf(path, sizeof(path), "%s/%s", dir, key);
    return path;
}

static void set(struct host *host, const char *dir, const char *key, const char *value)
{
    host_store(host, key_of(dir, key), value);
}

static void set_number(struct host *host, const char *dir, const char *key, unsigned value)
{
    char text[16];

    snprintf(text, sizeof(text), "%u", value);
    set(host, dir, key, text);
}

static void expect(struct host *host, const char *dir, const char *key, const char *value)
{
    host_expect(host, key_of(dir, key), value);
}

/* ---- the guest's driver ---- */

enum abi { ABI_NATIVE, ABI_64, ABI_32 };

struct ring {
    uint8_t *page; /* of as many as there are */
    uint32_t port, size, entry;
    uint32_t requested, answered;
};

/* One disk, as both sides see it. */
struct disk {
    struct host *host;
    char back[64], front[64];
    enum abi abi;
    struct ring ring[4];
    unsigned next_page; /* of guest memory that is free */
};

static struct disk disk;

static uint8_t *page_memory(unsigned page)
{
    return disk.host->ram + (uint64_t)page * FAKEXEN_PAGE;
}

/* What libxl leaves; state goes last. */
static void add_disk(struct host *host, unsigned number, const char *params, const char *mode)
{
    disk = (struct disk){.host = host, .next_page = FIRST_PAGE};
    snprintf(disk.back, sizeof(disk.back), "backend/qdisk/1/%u", number);
    snprintf(disk.front, sizeof(disk.front), "/local/domain/1/device/vbd/%u", number);
    set(host, disk.front, "state", "1");
    set(host, disk.back, "frontend", disk.front);
    set(host, disk.back, "params", params);
    set(host, disk.back, "online", "1");
    set(host, disk.back, "mode", mode);
    set(host, disk.back, "discard-enable", "1");
    set(host, disk.back, "state", "1");
}

static void add_image(struct host *host, unsigned number, const char *mode)
{
    char params[300];

    make_image();
    snprintf(params, sizeof(params), "aio:%s", image);
    add_disk(host, number, params, mode);
}

static struct ring *prepare_ring(unsigned queue, unsigned order, const char *dir)
{
    struct ring *ring = &disk.ring[queue];
    uint32_t *header;

    *ring = (struct ring){.page = page_memory(disk.next_page),
                          .port = PORT + queue,
                          .size = 32u << order,
                          .entry = disk.abi == ABI_32 ? 108 : 112};
    memset(ring->page, 0, FAKEXEN_PAGE << order);
    header = (uint32_t *)ring->page;
    header[1] = header[3] = 1;
    for (unsigned i = 0; i < 1u << order; i++) {
        char key[16];

        snprintf(key, sizeof(key), order ? "ring-ref%u" : "ring-ref", i);
        set_number(disk.host, dir, key, disk.next_page++);
    }
    set_number(disk.host, dir, "event-channel", ring->port);
    return ring;
}

static void choose_abi(enum abi abi)
{
    disk.abi = abi;
    if (abi != ABI_NATIVE)
        set(disk.host, disk.front, "protocol", abi == ABI_32 ? "x86_32-abi" : "x86_64-abi");
}

static void connect(enum abi abi, bool persistent, unsigned order)
{
    expect(disk.host, disk.back, "state", "2");
    choose_abi(abi);
    prepare_ring(0, order, disk.front);
    if (order)
        set_number(disk.host, disk.front, "ring-page-order", order);
    set_number(disk.host, disk.front, "feature-persistent", persistent);
    set(disk.host, disk.front, "state", "3");
    expect(disk.host, disk.back, "state", "4");
    set(disk.host, disk.front, "state", "4");
}

struct command {
    uint8_t operation;
    uint64_t id, sector, sectors;
    unsigned segments;
    struct blkif_request_segment segment[MAX_SEGMENTS];
    unsigned page; /* of the segments, if indirect */
};

/* In the layout of the disk's guest. */
static void encode(uint8_t *entry, const struct command *c)
{
    bool indirect = c->page || c->segments > BLKIF_MAX_SEGMENTS_PER_REQUEST;
    unsigned wide = disk.abi == ABI_32 ? 4 : 8;
    uint16_t count = c->segments;

    entry[0] = indirect ? BLKIF_OP_INDIRECT : c->operation;
    entry[1] = indirect ? c->operation : c->segments;
    memcpy(entry + wide, &c->id, 8);
    memcpy(entry + wide + 8, &c->sector, 8);
    if (indirect) {
        uint32_t page = c->page;

        memcpy(entry + 2, &count, 2);
        memcpy(entry + wide + 20, &page, 4);
    } else if (c->operation == BLKIF_OP_DISCARD) {
        memcpy(entry + wide + 16, &c->sectors, 8);
    } else {
        memcpy(entry + wide + 16, c->segment, c->segments * 8);
    }
}

static uint8_t *entry_at(const struct ring *ring, uint32_t index)
{
    return ring->page + 64 + (index & (ring->size - 1)) * ring->entry;
}

static _Atomic uint32_t *index_of(const struct ring *ring, unsigned which)
{
    return (_Atomic uint32_t *)ring->page + which;
}

enum { REQUEST_PRODUCED, REQUEST_EVENT, RESPONSE_PRODUCED, RESPONSE_EVENT };

static void put(struct ring *ring, const struct command *c)
{
    encode(entry_at(ring, ring->requested), c);
    ring->requested++;
}

static void kick(struct ring *ring)
{
    atomic_store(index_of(ring, REQUEST_PRODUCED), ring->requested);
    host_event(disk.host, ring->port);
}

/* The next answer's status; the test fails if none comes. */
static int answer(struct ring *ring, uint64_t *id)
{
    time_t end = time(NULL) + 60 * qtest_timeout_scale();
    const uint8_t *entry = entry_at(ring, ring->answered);
    int16_t status;

    atomic_store(index_of(ring, RESPONSE_EVENT), ring->answered + 1);
    while (atomic_load(index_of(ring, RESPONSE_PRODUCED)) == ring->answered) {
        if (!host_notified(disk.host, ring->port, 1000))
            host_alive(disk.host);
        assert_true(time(NULL) < end);
    }
    memcpy(id, entry, 8);
    memcpy(&status, entry + 10, 2);
    ring->answered++;
    return status;
}

static int request_on(struct ring *ring, struct command *c)
{
    uint64_t id;
    int status;

    c->id = 0x1122334455660000 + ring->requested;
    put(ring, c);
    kick(ring);
    status = answer(ring, &id);
    assert_true(id == c->id);
    return status;
}

static int request(struct command *c)
{
    return request_on(&disk.ring[0], c);
}

/* Whole pages from a page on. */
static struct command transfer(uint8_t operation, uint64_t sector, unsigned segments, unsigned page)
{
    struct command c = {.operation = operation, .sector = sector, .segments = segments};

    for (unsigned i = 0; i < segments; i++)
        c.segment[i] = (struct blkif_request_segment){.gref = page + i, .last_sect = 7};
    if (segments > BLKIF_MAX_SEGMENTS_PER_REQUEST) {
        c.page = disk.next_page++;
        memcpy(page_memory(c.page), c.segment, segments * 8);
    }
    return c;
}

static void fill(unsigned page, unsigned pages, unsigned seed)
{
    srand(seed);
    for (unsigned i = 0; i < pages * FAKEXEN_PAGE; i += 4)
        *(uint32_t *)(page_memory(page) + i) = rand();
}

static void check_image(uint64_t sector, unsigned page, unsigned pages)
{
    uint8_t data[FAKEXEN_PAGE];
    int fd = open(image, O_RDONLY);

    for (unsigned i = 0; i < pages; i++) {
        assert_int_equal(pread(fd, data, sizeof(data), sector * SECTOR + i * FAKEXEN_PAGE), sizeof(data));
        assert_memory_equal(data, page_memory(page + i), sizeof(data));
    }
    close(fd);
}

/* Writes, and reads back elsewhere in memory. */
static void exercise(struct ring *ring, uint64_t sector, unsigned segments, unsigned seed)
{
    unsigned from = disk.next_page, to = from + segments;
    struct command c;

    disk.next_page += 2 * segments;
    fill(from, segments, seed);
    c = transfer(BLKIF_OP_WRITE, sector, segments, from);
    assert_int_equal(request_on(ring, &c), BLKIF_RSP_OKAY);
    c = transfer(BLKIF_OP_READ, sector, segments, to);
    assert_int_equal(request_on(ring, &c), BLKIF_RSP_OKAY);
    assert_memory_equal(page_memory(from), page_memory(to), segments * FAKEXEN_PAGE);
    check_image(sector, from, segments);
}

/* Does somebody have the image locked? */
static bool locked(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(image, O_RDWR);
    bool refused = fcntl(fd, F_OFD_SETLK, &lock) < 0;

    close(fd);
    return refused;
}

/* ---- tests ---- */

/* A disk without an emulated twin. */
static int start(void **state)
{
    struct host *host = *state = host_new(1);

    add_image(host, XVDE, "w");
    host_start(host, BOARD);
    return 0;
}

/* A disk that is emulated as well. */
static void start_beside_ide(struct host *host, const char *mode)
{
    char args[512];

    add_image(host, HDA, mode);
    snprintf(args, sizeof(args), BOARD " -drive file=%s,if=ide,index=0,media=disk,format=raw,cache=writeback",
             image);
    host_start(host, args);
}

static int start_twin(void **state)
{
    start_beside_ide(*state = host_new(1), "w");
    return 0;
}

static int stop(void **state)
{
    host_stop(*state);
    return 0;
}

#define qdisk_test(f) cmocka_unit_test_setup_teardown(f, start, stop)
#define twin_test(f)  cmocka_unit_test_setup_teardown(f, start_twin, stop)
#define own_test(f)   cmocka_unit_test_teardown(f, stop)

/* What libxl and the guest find before the guest runs. */
static void offers_from_the_start(void **state)
{
    static const char *const keys[][2] = {{"state", "2"},
                                          {"feature-flush-cache", "1"},
                                          {"feature-persistent", "1"},
                                          {"feature-max-indirect-segments", "128"},
                                          {"feature-discard", "1"},
                                          {"max-ring-page-order", "4"},
                                          {"multi-queue-max-queues", "4"},
                                          {"sectors", "65536"},
                                          {"sector-size", "512"},
                                          {"info", "0"},
                                          {"hotplug-status", "connected"}};
    struct host *host = *state;
    char value[FAKEXEN_TEXT];

    for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        assert_true(fakexen_store_read(host->fx, key_of(disk.back, keys[i][0]), value));
        assert_string_equal(value, keys[i][1]);
    }
    assert_false(fakexen_store_read(host->fx, key_of(disk.back, "feature-barrier"), value));
    assert_true(fakexen_store_read(host->fx, "device-model/1/backends/qdisk", value));
    assert_true(fakexen_store_read(host->fx, "device-model/1/backends/vkbd", value));
}

/* Everything that a driver does, in each layout, with pages mapped for good and without. */
static void works_in(enum abi abi, bool persistent)
{
    struct command c = {.operation = BLKIF_OP_FLUSH_DISKCACHE};
    struct host *host = disk.host;
    uint32_t from;

    connect(abi, persistent, 0);
    from = host->fx->calls;
    exercise(&disk.ring[0], 0, 1, 1);
    exercise(&disk.ring[0], 8, 11, 2);
    exercise(&disk.ring[0], 1000, 32, 3);
    exercise(&disk.ring[0], DISK_SECTORS - 128 * 8, 128, 4);
    for (unsigned i = 0; i < 70; i++) /* twice around the ring */
        exercise(&disk.ring[0], 5000 + i, 2, 10 + i);
    assert_int_equal(request(&c), BLKIF_RSP_OKAY);
    c = (struct command){.operation = BLKIF_OP_DISCARD, .sector = 1000, .sectors = 256};
    assert_int_equal(request(&c), BLKIF_RSP_OKAY);
    memset(page_memory(disk.next_page), 0, FAKEXEN_PAGE);
    check_image(1000, disk.next_page, 1);
    if (persistent)
        assert_int_equal(host_calls(host, from, FX_GRANT_COPY, NULL), 0);
    else
        assert_int_equal(host_calls(host, from, FX_GRANT_MAP, NULL), 0);
}

static void native_plain(void **state)
{
    works_in(ABI_NATIVE, false);
}

static void native_persistent(void **state)
{
    works_in(ABI_NATIVE, true);
}

static void x86_64_plain(void **state)
{
    works_in(ABI_64, false);
}

static void x86_64_persistent(void **state)
{
    works_in(ABI_64, true);
}

static void x86_32_plain(void **state)
{
    works_in(ABI_32, false);
}

static void x86_32_persistent(void **state)
{
    works_in(ABI_32, true);
}

/* A page is mapped when it is used first, and stays. */
static void pages_stay_mapped(void **state)
{
    struct command c;
    uint32_t from;

    connect(ABI_NATIVE, true, 0);
    from = disk.host->fx->calls;
    for (unsigned i = 0; i < 50; i++) {
        c = transfer(i & 1 ? BLKIF_OP_READ : BLKIF_OP_WRITE, i, 4, 0x1000);
        assert_int_equal(request(&c), BLKIF_RSP_OKAY);
    }
    assert_int_equal(host_calls(disk.host, from, FX_GRANT_MAP, NULL), 4);
    assert_int_equal(host_calls(disk.host, from, FX_GRANT_UNMAP, NULL), 0);
    set(disk.host, disk.front, "state", "6");
    expect(disk.host, disk.back, "state", "6");
    assert_int_equal(host_calls(disk.host, from, FX_GRANT_UNMAP, NULL), 5);
}

/* More pages than may stay mapped: the others are copied. */
static void pages_beyond_the_limit_are_copied(void **state)
{
    struct command c;
    uint32_t from;

    connect(ABI_NATIVE, true, 0);
    from = disk.host->fx->calls;
    for (unsigned i = 0; i < 1100; i += 10) {
        fill(0x1000 + i, 10, i);
        c = transfer(BLKIF_OP_WRITE, i * 8, 10, 0x1000 + i);
        assert_int_equal(request(&c), BLKIF_RSP_OKAY);
    }
    assert_int_equal(host_calls(disk.host, from, FX_GRANT_MAP, NULL), 1056);
    assert_true(host_calls(disk.host, from, FX_GRANT_COPY, NULL) > 0);
    check_image(0, 0x1000, 1100);
}

/* Parts of pages, which lie one behind the other on the disk. */
static void parts_of_pages(void **state)
{
    struct command c = {.operation = BLKIF_OP_WRITE,
                        .sector = 77,
                        .segments = 3,
                        .segment = {{0x800, 1, 6}, {0x801, 7, 7}, {0x802, 0, 2}}};
    uint8_t data[10 * SECTOR];
    int fd;

    for (unsigned persistent = 0; persistent < 2; persistent++) {
        connect(ABI_NATIVE, persistent, 0);
        fill(0x800, 3, 9 + persistent);
        c.operation = BLKIF_OP_WRITE;
        assert_int_equal(request(&c), BLKIF_RSP_OKAY);
        fd = open(image, O_RDONLY);
        assert_int_equal(pread(fd, data, sizeof(data), 77 * SECTOR), sizeof(data));
        close(fd);
        assert_memory_equal(data, page_memory(0x800) + SECTOR, 6 * SECTOR);
        assert_memory_equal(data + 6 * SECTOR, page_memory(0x801) + 7 * SECTOR, SECTOR);
        assert_memory_equal(data + 7 * SECTOR, page_memory(0x802), 3 * SECTOR);
        memset(page_memory(0x800), 0xEE, 3 * FAKEXEN_PAGE);
        c.operation = BLKIF_OP_READ;
        assert_int_equal(request(&c), BLKIF_RSP_OKAY);
        assert_memory_equal(data, page_memory(0x800) + SECTOR, 6 * SECTOR);
        assert_int_equal(page_memory(0x800)[SECTOR - 1], 0xEE); /* the rest is not touched */
        assert_int_equal(page_memory(0x800)[7 * SECTOR], 0xEE);
        assert_int_equal(page_memory(0x801)[7 * SECTOR - 1], 0xEE);
        assert_int_equal(page_memory(0x802)[3 * SECTOR], 0xEE);
        set(disk.host, disk.front, "state", "6");
        expect(disk.host, disk.back, "state", "6");
        set(disk.host, disk.front, "state", "1");
    }
}

/* A flush may carry data, which are written after it. */
static void flush_with_data(void **state)
{
    struct command c;

    connect(ABI_NATIVE, false, 0);
    fill(0x900, 1, 5);
    c = transfer(BLKIF_OP_WRITE, 0, 1, 0x901);
    assert_int_equal(request(&c), BLKIF_RSP_OKAY);
    c = transfer(BLKIF_OP_FLUSH_DISKCACHE, 40, 1, 0x900);
    assert_int_equal(request(&c), BLKIF_RSP_OKAY);
    check_image(40, 0x900, 1);
}

static void many_pages_and_queues(void **state)
{
    struct host *host = *state;

    for (unsigned order = 1; order <= 4; order++) {
        connect(order & 1 ? ABI_32 : ABI_64, order & 1, order);
        for (unsigned i = 0; i < disk.ring[0].size; i++) {
            struct command c = transfer(BLKIF_OP_READ, i, 1, 0x800 + i % 64);

            c.id = i;
            put(&disk.ring[0], &c);
        }
        kick(&disk.ring[0]);
        for (unsigned i = 0; i < disk.ring[0].size; i++) {
            uint64_t id;

            assert_int_equal(answer(&disk.ring[0], &id), BLKIF_RSP_OKAY);
        }
        exercise(&disk.ring[0], 3, 11, order);
        set(host, disk.front, "state", "6");
        expect(host, disk.back, "state", "6");
        disk.next_page = FIRST_PAGE;
        set(host, disk.front, "state", "1");
    }
    expect(host, disk.back, "state", "2");
    fakexen_store_remove(host->fx, host->fire_fd, key_of(disk.front, "ring-page-order"));
    choose_abi(ABI_64);
    for (unsigned i = 0; i < 4; i++) {
        char dir[FAKEXEN_TEXT];

        snprintf(dir, sizeof(dir), "%s/queue-%u", disk.front, i);
        prepare_ring(i, 0, dir);
    }
    set(host, disk.front, "multi-queue-num-queues", "4");
    set(host, disk.front, "state", "3");
    expect(host, disk.back, "state", "4");
    for (unsigned i = 0; i < 8; i++)
        exercise(&disk.ring[i & 3], 100 * i, 3, i);
}

/* A front end that asks for what was not offered is turned away, and may try again. */
static void refuses_nonsense(void **state)
{
    static const char *const keys[][2] = {{"ring-page-order", "5"},        {"ring-page-order", "4294967295"},
                                          {"multi-queue-num-queues", "0"}, {"multi-queue-num-queues", "5"},
                                          {"protocol", "arm-abi"},         {"ring-ref", "x"},
                                          {"ring-ref", "4294967295"},      {"event-channel", "0"},
                                          {"event-channel", ""},           {"multi-queue-num-queues", "3"},
                                          {"ring-page-order", "2"}};
    struct host *host = *state;

    for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        expect(host, disk.back, "state", "2");
        disk.next_page = FIRST_PAGE;
        prepare_ring(0, 0, disk.front);
        set(host, disk.front, keys[i][0], keys[i][1]);
        set(host, disk.front, "state", "3");
        expect(host, disk.back, "state", "5");
        fakexen_store_remove(host->fx, host->fire_fd, key_of(disk.front, keys[i][0]));
        set(host, disk.front, "state", "6");
        expect(host, disk.back, "state", "6");
        set(host, disk.front, "state", "1");
    }
    assert_int_equal(host_calls(host, 0, FX_UNBIND, NULL), 0);
    assert_int_equal(host_calls(host, 0, FX_GRANT_MAP, NULL), host_calls(host, 0, FX_GRANT_UNMAP, NULL));
    connect(ABI_NATIVE, true, 0);
    exercise(&disk.ring[0], 0, 1, 1);
}

/* Requests that cannot be are answered as errors, and change nothing. */
static void refuses_bad_requests(void **state)
{
    struct host *host = *state;

    for (unsigned persistent = 0; persistent < 2; persistent++) {
        struct command bad[] = {
            transfer(BLKIF_OP_WRITE, DISK_SECTORS - 7, 1, 0x900), /* over the end */
            transfer(BLKIF_OP_READ, DISK_SECTORS, 1, 0x900),
            transfer(BLKIF_OP_READ, UINT64_MAX, 1, 0x900),
            transfer(BLKIF_OP_WRITE, UINT64_MAX / SECTOR + 1, 1, 0x900), /* 0, if it were bytes */
            transfer(BLKIF_OP_WRITE, 0, 0, 0x900),
            transfer(BLKIF_OP_WRITE, 0, 1, 0x40000), /* no such page */
            transfer(BLKIF_OP_READ, 0, 1, 0x40000),
            transfer(BLKIF_OP_READ, 0, 1, UINT32_MAX),
            {.operation = BLKIF_OP_READ, .segments = 1, .segment = {{0x900, 0, 8}}},
            {.operation = BLKIF_OP_READ, .segments = 1, .segment = {{0x900, 255, 255}}},
            {.operation = BLKIF_OP_WRITE, .segments = 1, .segment = {{0x900, 4, 3}}},
            {.operation = BLKIF_OP_DISCARD, .sector = DISK_SECTORS, .sectors = 1},
            {.operation = BLKIF_OP_DISCARD, .sector = 1, .sectors = UINT64_MAX},
            {.operation = BLKIF_OP_DISCARD, .sector = UINT64_MAX / SECTOR + 1, .sectors = 8},
            {.operation = BLKIF_OP_READ, .segments = 129, .page = 0x910}, /* too many */
            {.operation = BLKIF_OP_READ, .segments = 65535, .page = 0x910},
            {.operation = BLKIF_OP_READ, .segments = 0, .page = 0x910},
            {.operation = BLKIF_OP_READ, .segments = 20, .page = 0x40000}, /* no page of segments */
            {.operation = BLKIF_OP_READ, .segments = 20, .page = 0x911},   /* nonsense in it */
        };
        static const uint8_t unknown[] = {BLKIF_OP_WRITE_BARRIER, BLKIF_OP_RESERVED_1, 7, 255};
        struct command c;

        memset(page_memory(0x900), 0x77, FAKEXEN_PAGE);
        memset(page_memory(0x911), 0xFF, FAKEXEN_PAGE);
        connect(ABI_NATIVE, persistent, 0);
        for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
            if (request(&bad[i]) != BLKIF_RSP_ERROR)
                fail_msg("bad request %u is not answered as an error", i);
        for (unsigned i = 0; i < sizeof(unknown); i++) {
            c = transfer(unknown[i], 0, 1, 0x900);
            assert_int_equal(request(&c), BLKIF_RSP_EOPNOTSUPP);
        }
        c = (struct command){.operation = BLKIF_OP_DISCARD, .page = 0x910, .segments = 1}; /* indirect */
        assert_int_equal(request(&c), BLKIF_RSP_EOPNOTSUPP);
        c = (struct command){.operation = BLKIF_OP_INDIRECT, .page = 0x910, .segments = 1};
        assert_int_equal(request(&c), BLKIF_RSP_EOPNOTSUPP);
        memset(page_memory(0x901), 0, FAKEXEN_PAGE);
        check_image(0, 0x901, 1);
        set(host, disk.front, "state", "6");
        expect(host, disk.back, "state", "6");
        set(host, disk.front, "state", "1");
    }
}

/* A producer index that cannot be stops the ring, with one line; a new connection works. */
static void impossible_index_stops_the_ring(void **state)
{
    static const uint32_t jumps[] = {33, 1000, 0x80000000, UINT32_MAX};
    struct host *host = *state;

    for (unsigned i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
        struct ring *ring = &disk.ring[0];

        connect(ABI_NATIVE, false, 0);
        exercise(ring, 0, 1, i);
        ring->requested += jumps[i];
        for (unsigned n = 0; n < 5; n++)
            kick(ring);
        host_serves(host);
        assert_int_equal(host_said(host, "the ring is stopped"), i + 1);
        assert_int_equal(atomic_load(index_of(ring, RESPONSE_PRODUCED)), ring->answered);
        ring->requested -= jumps[i]; /* stopped for good */
        kick(ring);
        host_serves(host);
        set(host, disk.front, "state", "6");
        expect(host, disk.back, "state", "6");
        set(host, disk.front, "state", "1");
    }
    connect(ABI_NATIVE, false, 0);
    exercise(&disk.ring[0], 0, 1, 99);
}

/* Responses may not be overrun either: the ring is full with requests that wait for their answers. */
static void full_ring(void **state)
{
    struct ring *ring = &disk.ring[0];

    connect(ABI_NATIVE, false, 0);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 32; i++) {
            struct command c =
                transfer(i & 1 ? BLKIF_OP_READ : BLKIF_OP_WRITE, i * 11 * 8, 11, 0x1000 + 11 * i);

            c.id = i;
            put(ring, &c);
        }
        kick(ring);
        for (unsigned seen = 0, n = 0; n < 32; n++) {
            uint64_t id;

            assert_int_equal(answer(ring, &id), BLKIF_RSP_OKAY);
            assert_true(id < 32 && !(seen & 1u << id));
            seen |= 1u << id;
        }
    }
    assert_int_equal(host_said(disk.host, "stopped"), 0);
}

/* More data than is buffered at a time: all of it comes, in turns. */
static void large_requests_take_turns(void **state)
{
    struct ring *ring = &disk.ring[0];

    connect(ABI_NATIVE, false, 1);
    for (unsigned i = 0; i < ring->size; i++) {
        struct command c = transfer(i & 1 ? BLKIF_OP_READ : BLKIF_OP_WRITE, i * 1024, 128, 0x1000 + i * 128);

        c.id = i;
        put(ring, &c);
    }
    kick(ring);
    for (unsigned i = 0; i < ring->size; i++) {
        uint64_t id;

        assert_int_equal(answer(ring, &id), BLKIF_RSP_OKAY);
    }
}

/* What cannot be guessed in the ring and in the pages, with indices that run ahead and back. */
static void random_rings(void **state)
{
    struct host *host = *state;
    unsigned seed = getpid();

    print_message("seed %u\n", seed);
    srand(seed);
    for (unsigned round = 0; round < 40; round++) {
        struct ring *ring = &disk.ring[0];

        disk.next_page = FIRST_PAGE;
        connect(rand() % 3, rand() & 1, rand() % 3);
        for (unsigned i = 0; i < 20; i++) {
            for (unsigned at = 64; at < ring->size * ring->entry; at++)
                ring->page[at] = rand() % 4 ? 0 : rand();
            for (uint32_t n = 0; n < ring->size; n++) {
                uint8_t *entry = entry_at(ring, n);

                entry[0] = rand() % 8;
                entry[1] = rand() % 4 ? rand() % 13 : rand();
                for (unsigned at = 24; at + 8 <= ring->entry; at += 8)
                    memcpy(entry + at, &(uint32_t){0x800 + rand() % 64}, 4);
            }
            for (unsigned at = 0; at < 64 * FAKEXEN_PAGE; at += 8)
                memcpy(page_memory(0x800) + at, (uint32_t[]){0x800 + rand() % 64, (rand() & 0x0707)}, 8);
            atomic_store(index_of(ring, RESPONSE_EVENT), rand());
            ring->requested = atomic_load(index_of(ring, RESPONSE_PRODUCED)) + rand() % ring->size;
            if (rand() % 16 == 0)
                ring->requested = rand();
            kick(ring);
            if (rand() % 4 == 0)
                host_serves(host);
        }
        set(host, disk.front, "state", rand() & 1 ? "6" : "1");
        if (rand() & 1) {
            set(host, disk.front, "state", "6");
            expect(host, disk.back, "state", "6");
        }
        set(host, disk.front, "state", "1");
        host_serves(host);
    }
}

/* The driver is loaded again, in good order or not (kexec), with requests under way. */
static void reconnects(void **state)
{
    struct host *host = *state;

    for (unsigned round = 0; round < 20; round++) {
        struct ring *ring = &disk.ring[0];

        disk.next_page = FIRST_PAGE;
        connect(ABI_NATIVE, round & 1, 0);
        exercise(ring, round, 3, round);
        for (unsigned i = 0; i < 30; i++) {
            struct command c = transfer(i & 1 ? BLKIF_OP_READ : BLKIF_OP_WRITE, i * 1024, 100, 0x1000);

            put(ring, &c);
        }
        kick(ring);
        if (round & 2) {
            set(host, disk.front, "state", "5");
            expect(host, disk.back, "state", "5");
            set(host, disk.front, "state", "6");
            expect(host, disk.back, "state", "6");
        }
        set(host, disk.front, "state", "1");
        expect(host, disk.back, "state", "2");
    }
    assert_int_equal(host_calls(host, 0, FX_UNBIND, NULL), 20);
    host_serves(host);
}

/* A driver that closes may wait for its answers meanwhile. */
static void serves_while_it_closes(void **state)
{
    struct host *host = *state;

    connect(ABI_NATIVE, true, 0);
    set(host, disk.front, "state", "5");
    expect(host, disk.back, "state", "5");
    exercise(&disk.ring[0], 0, 8, 3);
    set(host, disk.front, "state", "6");
    expect(host, disk.back, "state", "6");
}

/* xl block-detach: the guest lets go, the image is free again; so too where it never connected. */
static void taken_away(void **state)
{
    struct host *host = *state;

    connect(ABI_NATIVE, true, 0);
    exercise(&disk.ring[0], 0, 8, 3);
    set(host, disk.back, "online", "0");
    set(host, disk.back, "state", "5");
    exercise(&disk.ring[0], 64, 8, 4); /* its last writes */
    set(host, disk.front, "state", "6");
    expect(host, disk.back, "state", "6");
    assert_true(locked());
    fakexen_store_remove(host->fx, host->fire_fd, disk.back);
    host_serves(host);
    for (unsigned i = 0; locked() && i < 60000; i++)
        usleep(1000);
    assert_false(locked());

    add_image(host, XVDE + 16, "w"); /* comes while the guest runs, which never looks at it */
    expect(host, disk.back, "state", "2");
    set(host, disk.back, "online", "0");
    set(host, disk.back, "state", "5");
    expect(host, disk.back, "state", "6");
}

static void comes_later(void **state)
{
    struct host *host = *state = host_new(1);

    host_start(host, BOARD);
    add_image(host, XVDE, "w");
    connect(ABI_NATIVE, true, 0);
    exercise(&disk.ring[0], 0, 8, 3);
    add_disk(host, XVDE + 16, "aio:/nowhere/at/all", "w");
    expect(host, disk.back, "state", "6");
    assert_int_equal(host_said(host, "qdisk 51792: cannot open image '/nowhere/at/all'"), 1);
    add_disk(host, XVDE + 32, "nonsense:/nowhere/at/all", "w");
    expect(host, disk.back, "state", "6");
    assert_int_equal(host_said(host, "unknown format 'nonsense'"), 1);
    host_serves(host);
}

/* A disk that cannot be opened is a mistake of the configuration: it is said before the guest starts. */
static void missing_image_at_start(void **state)
{
    struct host *host = *state = host_new(1);
    int status;

    add_disk(host, XVDE, "aio:/nowhere/at/all", "w");
    host_run(host, BOARD);
    assert_int_equal(waitpid(host->pid, &status, 0), host->pid);
    host->pid = 0;
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    assert_int_equal(host_said(host, "qdisk 51776: cannot open image '/nowhere/at/all'"), 1);
}

static void read_only_disk(void **state)
{
    struct host *host = *state = host_new(1);
    struct command c;

    add_image(host, XVDE, "r");
    host_start(host, BOARD);
    expect(host, disk.back, "info", "4");
    expect(host, disk.back, "feature-discard", "0");
    connect(ABI_NATIVE, false, 0);
    c = transfer(BLKIF_OP_READ, 0, 1, 0x900);
    assert_int_equal(request(&c), BLKIF_RSP_OKAY);
    c = transfer(BLKIF_OP_WRITE, 0, 1, 0x900);
    assert_int_equal(request(&c), BLKIF_RSP_ERROR);
    c = (struct command){.operation = BLKIF_OP_DISCARD, .sectors = 8};
    assert_int_equal(request(&c), BLKIF_RSP_EOPNOTSUPP);
}

/* libxl says who may write: not by way of the emulated drive's slot either. */
static void read_only_twin(void **state)
{
    struct host *host = *state = host_new(1);
    struct command c;

    start_beside_ide(host, "r");
    connect(ABI_NATIVE, false, 0);
    c = transfer(BLKIF_OP_WRITE, 0, 1, 0x900);
    assert_int_equal(request(&c), BLKIF_RSP_ERROR);
    c = transfer(BLKIF_OP_READ, 0, 1, 0x900);
    assert_int_equal(request(&c), BLKIF_RSP_OKAY);
}

/* The emulated disk and this one are one medium: what one writes the other reads, the unplug closes the
 * emulated one only, and the image stays locked until this one is gone, too. */
static void shares_the_emulated_disk(void **state)
{
    struct host *host = *state;

    assert_true(locked());
    connect(ABI_NATIVE, true, 0);
    exercise(&disk.ring[0], 0, 1, 7);
    host_out(host, 0x1F6, 1, 0xE0); /* READ SECTORS, one, at 0 */
    host_out(host, 0x1F2, 1, 1);
    for (unsigned port = 0x1F3; port < 0x1F6; port++)
        host_out(host, port, 1, 0);
    host_out(host, 0x1F7, 1, 0x20);
    for (unsigned i = 0; i < 60000 && (host_in(host, 0x1F7, 1) & 0x88) != 0x08; i++)
        usleep(1000);
    for (unsigned i = 0; i < SECTOR / 2; i++)
        assert_int_equal(host_in(host, 0x1F0, 2), ((uint16_t *)page_memory(FIRST_PAGE + 1))[i]);
    host_out(host, 0x10, 2, 1); /* unplug */
    assert_int_equal(host_in(host, 0x1F7, 1) & 0x88, 0);
    exercise(&disk.ring[0], 80, 11, 8);
    host_out(host, 0x10, 2, 1);
    exercise(&disk.ring[0], 90, 11, 9);
    assert_true(locked());
    set(host, disk.front, "state", "6");
    expect(host, disk.back, "state", "6");
    set(host, disk.front, "state", "1");
    connect(ABI_NATIVE, false, 0); /* and anew after the unplug */
    exercise(&disk.ring[0], 100, 11, 10);
    fakexen_store_remove(host->fx, host->fire_fd, disk.back);
    for (unsigned i = 0; locked() && i < 60000; i++)
        usleep(1000);
    assert_false(locked());
    host_serves(host);
}

/* A guest that never looks at the paravirtual disk keeps the emulated one. */
static void never_connects(void **state)
{
    struct host *host = *state;
    uint32_t from = host->fx->calls;

    expect(host, disk.back, "state", "2");
    host_out(host, 0x1F6, 1, 0xE0);
    assert_int_equal(host_in(host, 0x1F7, 1) & 0x40, 0x40);
    assert_int_equal(host_calls(host, from, FX_GRANT_MAP, NULL), 0);
    host_out(host, 0x10, 2, 1);
    assert_true(locked()); /* it may yet come */
}

/* A second disk with the same image is a mistake that the lock finds. */
static void same_image_twice(void **state)
{
    struct host *host = *state;
    char params[300];

    snprintf(params, sizeof(params), "aio:%s", image);
    add_disk(host, XVDE, params, "w");
    expect(host, disk.back, "state", "6");
    assert_int_equal(host_said(host, "is in use"), 1);
}

static void add_cd(struct host *host, const char *params)
{
    add_disk(host, HDC, params, "r");
    set(host, disk.back, "device-type", "cdrom");
    set(host, disk.back, "removable", "1");
}

/* A CD of its own: params say what is in it, and the front end is told of the new size. */
static void changes_its_cd(void **state)
{
    struct host *host = *state = host_new(1);
    struct command c = {.operation = BLKIF_OP_READ, .segments = 1, .segment = {{0x900, 0, 7}}};
    char params[300];

    add_cd(host, "aio:");
    host_start(host, BOARD);
    expect(host, disk.back, "info", "7");
    expect(host, disk.back, "sectors", "0");
    connect(ABI_NATIVE, false, 0);
    assert_int_equal(request(&c), BLKIF_RSP_ERROR);
    make_image();
    snprintf(params, sizeof(params), "aio:%s", image);
    set(host, disk.back, "params", params);
    expect(host, disk.back, "sectors", "65536");
    assert_int_equal(request(&c), BLKIF_RSP_OKAY);
    set(host, disk.back, "params", "");
    expect(host, disk.back, "sectors", "0");
    assert_int_equal(request(&c), BLKIF_RSP_ERROR);
    set(host, disk.back, "params", "aio:/nowhere/at/all");
    host_serves(host);
    expect(host, disk.back, "state", "4");
}

/* The emulated CD drive's slot: libxl changes the CD there, and then says so in params. */
static void follows_the_emulated_cd(void **state)
{
    struct host *host = *state = host_new(1);
    struct command c = {.operation = BLKIF_OP_READ, .segments = 1, .segment = {{0x900, 0, 7}}};
    char command[512];

    add_cd(host, "aio:");
    host_start_qmp(host, BOARD " -drive if=none,readonly=on,id=ide-5632 "
                               "-device ide-cd,id=ide-5632,drive=ide-5632,bus=ide.1,unit=0");
    connect(ABI_NATIVE, true, 0);
    assert_int_equal(request(&c), BLKIF_RSP_ERROR);
    make_image();
    snprintf(command, sizeof(command),
             "{\"execute\":\"blockdev-change-medium\",\"arguments\":{\"id\":\"ide-5632\",\"filename\":\"%s\","
             "\"format\":\"raw\"}}",
             image);
    host_qmp(host, command);
    set(host, disk.back, "params", "aio:something");
    expect(host, disk.back, "sectors", "65536");
    assert_int_equal(request(&c), BLKIF_RSP_OKAY);
}

/* A stopped machine's disks stand still. */
static void waits_while_paused(void **state)
{
    struct host *host = *state = host_new(1);
    struct command c = {.operation = BLKIF_OP_READ, .segments = 1, .segment = {{0x900, 0, 7}}};
    uint64_t id;

    add_image(host, XVDE, "w");
    host_start_qmp(host, BOARD);
    connect(ABI_NATIVE, false, 0);
    host_qmp(host, "{\"execute\":\"stop\"}");
    put(&disk.ring[0], &c);
    kick(&disk.ring[0]);
    assert_false(host_notified(host, PORT, 100));
    assert_int_equal(atomic_load(index_of(&disk.ring[0], RESPONSE_PRODUCED)), 0);
    host_qmp(host, "{\"execute\":\"cont\"}");
    assert_int_equal(answer(&disk.ring[0], &id), BLKIF_RSP_OKAY);
}

/* ---- the ring by itself ---- */

static _Alignas(FAKEXEN_PAGE) uint8_t ring_page[FAKEXEN_PAGE];

static struct blkif_ring bare_ring(bool abi32, uint32_t produced)
{
    struct blkif_ring ring;

    memset(ring_page, 0xFF, sizeof(ring_page));
    memcpy(ring_page, (uint32_t[]){produced, 0, 0, 1}, 16);
    blkif_ring_attach(&ring, ring_page, 0, abi32);
    return ring;
}

/* Of our memory a response tells nothing, and it is no longer than the guest thinks. */
static void response_is_exact(void **state)
{
    for (unsigned abi32 = 0; abi32 < 2; abi32++) {
        struct blkif_ring ring = bare_ring(abi32, 1);
        uint8_t expected[20];
        struct blkif_command c;

        assert_int_equal(ring.size, 32);
        assert_int_equal(blkif_ring_take(&ring, &c), BLKIF_COMMAND);
        assert_true(blkif_ring_respond(&ring, 0x0807060504030201, 9, -1));
        memset(expected, 0xFF, sizeof(expected));
        memcpy(expected, "\1\2\3\4\5\6\7\10\11\0\377\377\0\0\0\0", abi32 ? 12 : 16);
        assert_memory_equal(ring_page + 64, expected, sizeof(expected));
    }
}

/* Events only when they are asked for, on either side. */
static void ring_events(void **state)
{
    struct blkif_ring ring = bare_ring(false, 2);
    uint32_t *header = (uint32_t *)ring_page;
    struct blkif_command c;

    header[3] = 2;
    assert_int_equal(blkif_ring_take(&ring, &c), BLKIF_COMMAND);
    assert_int_equal(header[1], 0);
    assert_int_equal(blkif_ring_take(&ring, &c), BLKIF_COMMAND);
    assert_int_equal(blkif_ring_take(&ring, &c), BLKIF_NONE);
    assert_int_equal(header[1], 3);
    assert_false(blkif_ring_respond(&ring, 0, 0, 0));
    assert_true(blkif_ring_respond(&ring, 0, 0, 0));
    assert_int_equal(header[2], 2);
}

/* The producer index may go back as little as it may run ahead. */
static void ring_index_goes_back(void **state)
{
    struct blkif_ring ring = bare_ring(false, 5);
    uint32_t *header = (uint32_t *)ring_page;
    struct blkif_command c;

    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(blkif_ring_take(&ring, &c), BLKIF_COMMAND);
    header[0] = 3;
    assert_int_equal(blkif_ring_take(&ring, &c), BLKIF_BROKEN);
    header[0] = 6;
    assert_int_equal(blkif_ring_take(&ring, &c), BLKIF_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        qdisk_test(offers_from_the_start),
        qdisk_test(native_plain),
        qdisk_test(native_persistent),
        qdisk_test(x86_64_plain),
        qdisk_test(x86_64_persistent),
        qdisk_test(x86_32_plain),
        qdisk_test(x86_32_persistent),
        qdisk_test(pages_stay_mapped),
        qdisk_test(pages_beyond_the_limit_are_copied),
        qdisk_test(parts_of_pages),
        qdisk_test(flush_with_data),
        qdisk_test(many_pages_and_queues),
        qdisk_test(refuses_nonsense),
        qdisk_test(refuses_bad_requests),
        qdisk_test(impossible_index_stops_the_ring),
        qdisk_test(full_ring),
        qdisk_test(large_requests_take_turns),
        qdisk_test(random_rings),
        qdisk_test(reconnects),
        qdisk_test(serves_while_it_closes),
        qdisk_test(taken_away),
        own_test(comes_later),
        own_test(missing_image_at_start),
        own_test(read_only_disk),
        twin_test(shares_the_emulated_disk),
        own_test(read_only_twin),
        twin_test(never_connects),
        twin_test(same_image_twice),
        own_test(changes_its_cd),
        own_test(follows_the_emulated_cd),
        own_test(waits_while_paused),
        cmocka_unit_test(response_is_exact),
        cmocka_unit_test(ring_events),
        cmocka_unit_test(ring_index_goes_back),
    };

    return cmocka_run_group_tests_name("xen_qdisk", tests, NULL, NULL);
}
