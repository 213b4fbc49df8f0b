/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Xen port without Xen: the test plays hypervisor, guest and xenstore (tests/fakexen). */
#include <linux/input-event-codes.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xenctrl.h>

#include "tests/fakexen/host.h"
#include "tests/lib/cmocka.h"
#include "tests/lib/qtest.h"
#include "tests/lib/wait.h"

#include <xen/io/kbdif.h>

#define BRIDGE   0x08 /* 00:01.0 */
#define PM       0x0B
#define PLATFORM 0x10
#define SCREEN   0x18

#define MMIO_BASE  0xF2000000ull
#define VRAM_BASE  0xF0000000ull
#define VRAM_PAGES (16u << 20 >> 12)
#define DISPI      (MMIO_BASE + 0x500) /* Bochs display registers, 16 bits each */

#define BOARD "-machine xenfv -serial null -device VGA,vgamem_mb=16"

static int start(void **state)
{
    struct host *host = *state = host_new(4);

    host_start(host, BOARD);
    return 0;
}

static int stop(void **state)
{
    host_stop(*state);
    return 0;
}

#define xen_test(f)  cmocka_unit_test_setup_teardown(f, start, stop)
#define vkbd_test(f) cmocka_unit_test_setup_teardown(f, start_keyboard, stop)

/* Gives the graphics adapter addresses and lets it decode them. */
static void place_screen(struct host *host)
{
    host_config_write(host, SCREEN, 0x10, 4, VRAM_BASE);
    host_config_write(host, SCREEN, 0x18, 4, MMIO_BASE);
    host_config_write(host, SCREEN, 0x04, 2, 3);
}

static struct ioreq port_request(bool read, uint16_t port, uint32_t size)
{
    return (struct ioreq){.type = IOREQ_TYPE_PIO, .dir = read, .addr = port, .size = size, .count = 1};
}

/* ---- start and end ---- */

static void starts_in_order(void **state)
{
    struct host *host = *state;
    struct fakexen_call last = {0};
    int enabled = -1, bound = -1;

    assert_int_equal(host_calls(host, 0, FX_CREATE, &last), 1);
    assert_int_equal(last.a, HVM_IOREQSRV_BUFIOREQ_ATOMIC);
    assert_int_equal(host_calls(host, 0, FX_BIND, NULL), 4 + 1);
    for (unsigned i = 0; i < host->fx->calls; i++) {
        if (host->fx->call[i].op == FX_STATE && enabled < 0)
            enabled = i;
        if (host->fx->call[i].op == FX_BIND && bound < 0)
            bound = i;
    }
    assert_true(enabled >= 0 && bound > enabled);
}

/* Kernels before 4.18 map the request pages by their frame numbers. */
static void pages_by_frame_number(void **state)
{
    struct host *host = *state = host_new(2);

    host->fx->old_kernel = true;
    host_start(host, BOARD);
    host_serves(host);
}

/* The restricted one leaves xenstore alone, waits (-S), and has given its rights away. */
static void restricted(void **state)
{
    struct host *host = *state = host_new(1);
    char value[FAKEXEN_TEXT];

    host_run(host, BOARD " -xen-domid-restrict -S");
    assert_true(SOON(host_calls(host, 0, FX_RESTRICT, NULL)));
    assert_int_equal(host_calls(host, 0, FX_RESTRICT, NULL), 1);
    assert_false(fakexen_store_read(host->fx, "device-model/1/state", value));
    assert_string_equal(host->fx->watch[0].path, "");
    host_serves(host);
}

static void functions_are_registered(void **state)
{
    static const uint8_t expected[] = {0x00, BRIDGE, 0x09, PM, PLATFORM, SCREEN};
    struct host *host = *state;
    bool seen[256] = {false};

    for (unsigned i = 0; i < host->fx->calls; i++)
        if (host->fx->call[i].op == FX_MAP_PCI)
            seen[host->fx->call[i].a] = true;
    for (unsigned i = 0; i < sizeof(expected); i++)
        assert_true(seen[expected[i]]);
    assert_int_equal(host_calls(host, 0, FX_MAP_PCI, NULL), sizeof(expected));
}

static void end_destroys_the_server(void **state)
{
    struct host *host = *state;

    kill(host->pid, SIGTERM);
    assert_true(SOON(host_calls(host, 0, FX_DESTROY, NULL)));
    assert_int_equal(host_calls(host, 0, FX_DESTROY, NULL), 1);
}

static void vcpus_128(void **state)
{
    struct host *host = *state = host_new(128);

    host_start(host, BOARD " -smp 1,maxcpus=128");
    assert_int_equal(host_calls(host, 0, FX_BIND, NULL), 128 + 1);
    host_out(host, HOST_SCRATCH, 1, 0xC3);
    for (unsigned vcpu = 0; vcpu < 128; vcpu++)
        host_post(host, vcpu, port_request(true, HOST_SCRATCH, 1));
    /* All at once: answers come in some order, and none is lost. */
    for (unsigned vcpu = 0; vcpu < 128; vcpu++) {
        assert_true(SOON(host->fx->requests[vcpu].state == STATE_IORESP_READY));
        assert_int_equal(host->fx->requests[vcpu].data & 0xFF, 0xC3);
    }
}

/* ---- requests ---- */

static void ports(void **state)
{
    host_serves(*state);
    assert_int_equal(host_in(*state, 0xCF8, 4), 0);
    host_out(*state, 0xCF8, 4, 0x80000000);
    assert_int_equal(host_in(*state, 0xCF8, 4), 0x80000000);
}

static void port_strings(void **state)
{
    struct host *host = *state;
    struct ioreq request = port_request(false, HOST_SCRATCH, 1);

    memcpy(host->ram + 0x10FFE, "abcd", 4); /* across pages */
    request.data_is_ptr = 1;
    request.data = 0x10FFE;
    request.count = 4;
    host_request(host, 0, request);
    assert_int_equal(host_in(host, HOST_SCRATCH, 1), 'd');

    request.df = 1;
    request.data = 0x11001;
    host_request(host, 0, request);
    assert_int_equal(host_in(host, HOST_SCRATCH, 1), 'a');

    request.dir = IOREQ_READ;
    request.data = 0x20003;
    assert_int_equal(host_request(host, 0, request), 0x20003); /* a pointer stays what it was */
    assert_memory_equal(host->ram + 0x20000, "aaaa\0", 5);
}

static void port_string_words(void **state)
{
    struct host *host = *state;
    struct ioreq request = port_request(true, 0xCFA, 2);

    host_out(host, 0xCF8, 4, 0x80001234);
    memset(host->ram + 0x30000, 0xEE, 4096);
    request.data_is_ptr = 1;
    request.data = 0x30000;
    request.count = 1000;
    host_request(host, 0, request);
    for (unsigned i = 1; i < 1000; i++)
        assert_memory_equal(host->ram + 0x30000 + 2 * i, host->ram + 0x30000, 2);
    assert_int_equal(host->ram[0x30000 + 2000], 0xEE);
}

static void memory(void **state)
{
    struct host *host = *state;
    struct ioreq request = {.type = IOREQ_TYPE_COPY, .size = 2, .count = 2, .addr = DISPI + 2, .data = 640};

    place_screen(host);
    assert_int_equal(host_read(host, DISPI, 2) & 0xFFF0, 0xB0C0);
    host_request(host, 1, request); /* rep stos: width and height */
    assert_int_equal(host_read(host, DISPI + 2, 2), 640);
    assert_int_equal(host_read(host, DISPI + 4, 2), 640);

    memcpy(host->ram + 0x40000, (uint16_t[]){800, 600}, 4); /* rep movs, to the device */
    request.data_is_ptr = 1;
    request.data = 0x40000;
    host_request(host, 1, request);
    assert_int_equal(host_read(host, DISPI + 2, 2), 800);
    assert_int_equal(host_read(host, DISPI + 4, 2), 600);

    request.dir = IOREQ_READ; /* and back, downwards */
    request.df = 1;
    request.addr = DISPI + 4;
    request.data = 0x40012;
    host_request(host, 1, request);
    assert_memory_equal(host->ram + 0x40010, ((uint16_t[]){800, 600}), 4);

    request.data_is_ptr = 0; /* rep lods: the last one stays */
    assert_int_equal(host_request(host, 1, request) & 0xFFFF, 800);
}

static void configuration(void **state)
{
    struct host *host = *state;
    struct ioreq request = {.type = IOREQ_TYPE_PCI_CONFIG,
                            .dir = IOREQ_READ,
                            .size = 4,
                            .count = 1,
                            .addr = (uint64_t)BRIDGE << 32};

    assert_int_equal(host_config_read(host, BRIDGE, 0, 4), 0x70008086);
    assert_int_equal(host_config_read(host, BRIDGE, 2, 2), 0x7000);
    assert_int_equal(host_config_read(host, PLATFORM, 0, 4), 0x00015853);
    assert_int_equal(host_config_read(host, 0xFB, 0, 4), 0xFFFFFFFF);
    request.addr = 1ull << 40; /* another bus, another segment, beyond 256 bytes, across the end */
    assert_int_equal(host_request(host, 0, request), UINT64_MAX);
    request.addr = 1ull << 48;
    assert_int_equal(host_request(host, 0, request), UINT64_MAX);
    request.addr = (uint64_t)BRIDGE << 32 | 0x100;
    assert_int_equal(host_request(host, 0, request), UINT64_MAX);
    request.addr = (uint64_t)BRIDGE << 32 | 0xFE;
    host_request(host, 0, request);
    host_serves(host);
}

/* Whatever is in the slot, it is answered, and memory outside of the guest's RAM is not touched. */
static void hostile_requests(void **state)
{
    static const uint32_t sizes[] = {0, 1, 2, 3, 4, 5, 8, 16, 0x80000000, UINT32_MAX};
    static const uint32_t counts[] = {0, 1, 4096, 4097, UINT32_MAX};
    static const uint64_t addresses[] = {
        0, 0x1F0, 0xFFFF, 0x10000, 0xA0000, 0xFFFFFFFFFFFFFFFF, 0x7FFFFFFFFFFFFFF8};
    static const uint8_t types[] = {0, 1, 2, 3, 7, 8, 9, 255};
    struct host *host = *state;

    for (unsigned n = 0; n < 10 * 5 * 7 * 8; n++) {
        struct ioreq request = {.size = sizes[n % 10],
                                .count = counts[n / 10 % 5],
                                .addr = addresses[n / 50 % 7],
                                .type = types[n / 350],
                                .data = n % 3 ? 0xFFFFFFFFFFFFFFFE : (uint64_t)HOST_RAM_MB << 20,
                                .dir = n >> 1 & 1,
                                .df = n >> 2 & 1,
                                .data_is_ptr = n & 1};

        if (request.type == IOREQ_TYPE_PIO && request.addr == 0x1F0 && request.dir == IOREQ_WRITE)
            continue;
        host_request(host, n & 3, request);
    }
    host_serves(host);
}

/* What a request says counts as it was copied: changing it under way does no harm. */
static void page_changes_under_way(void **state)
{
    struct host *host = *state;
    volatile struct ioreq *slot = &host->fx->requests[0];

    for (unsigned round = 0; round < 300; round++) {
        struct ioreq request = port_request(round & 1, HOST_SCRATCH, 1);

        request.data_is_ptr = 1;
        request.data = 0x10000;
        request.count = 4096;
        host_post(host, 0, request);
        for (unsigned i = 0; slot->state != STATE_IORESP_READY && i < 100000; i++) {
            slot->size = i & 1 ? 1 : UINT32_MAX;
            slot->count = i & 2 ? UINT32_MAX : 4096;
            slot->addr = i & 4 ? HOST_SCRATCH : UINT64_MAX;
        }
        host_wait(host, 0);
    }
    host_serves(host);
}

/* An event without a request, or in a state that is not ours to answer, changes nothing. */
static void wrong_states(void **state)
{
    static const uint8_t states[] = {STATE_IOREQ_NONE, STATE_IOREQ_INPROCESS, STATE_IORESP_READY, 4, 15};
    struct host *host = *state;
    struct ioreq *slot = &host->fx->requests[2];

    for (unsigned i = 0; i < sizeof(states); i++) {
        *slot = (struct ioreq){
            .addr = HOST_SCRATCH, .size = 1, .count = 1, .data = 0x99, .vp_eport = slot->vp_eport};
        slot->state = states[i];
        host_event(host, slot->vp_eport);
        host_serves(host);
        assert_int_equal(slot->state, states[i]);
        assert_int_equal(host_in(host, HOST_SCRATCH, 1), 0x5A);
    }
    host_event(host, 7777); /* nobody's port */
    host_serves(host);
}

/* Strings into pages that the guest does not have: reads give ones, writes vanish. */
static void absent_memory(void **state)
{
    struct host *host = *state = host_new(1);
    struct ioreq request = port_request(false, HOST_SCRATCH, 1);

    host->fx->hole = 0x50;
    host_start(host, BOARD);
    request.data_is_ptr = 1;
    request.data = 0x50FFF;
    host_request(host, 0, request);
    assert_int_equal(host_in(host, HOST_SCRATCH, 1), 0xFF);
    request.dir = IOREQ_READ;
    request.count = 2; /* from the hole into the page after it */
    host_request(host, 0, request);
    host_serves(host);
}

/* The cache maps 256 KiB at a time: a string that lies over a seam is whole. */
static void string_across_mappings(void **state)
{
    struct host *host = *state;
    struct ioreq request = port_request(true, HOST_SCRATCH, 1);

    host_out(host, HOST_SCRATCH, 1, 0x5A);
    request.data_is_ptr = 1;
    request.data = 0x3FFFE;
    request.count = 5;
    host_request(host, 0, request);
    assert_memory_equal(host->ram + 0x3FFFD, "\0ZZZZZ\0", 7);
    request.df = 1;
    request.data = 0x80001;
    host_request(host, 0, request);
    assert_memory_equal(host->ram + 0x7FFFC, "\0ZZZZZ\0", 7);
}

static void invalidate_drops_mappings(void **state)
{
    struct host *host = *state;
    struct ioreq request = port_request(false, HOST_SCRATCH, 1);
    struct ioreq invalidate = {.type = IOREQ_TYPE_INVALIDATE, .size = 4, .count = 1, .data = UINT64_MAX};
    uint32_t from;

    request.data_is_ptr = 1;
    request.data = 0x100000;
    host_request(host, 0, request);
    from = host->fx->calls;
    host_request(host, 0, request);
    assert_int_equal(host_calls(host, from, FX_FOREIGN_MAP, NULL), 0); /* the cache has it */
    host_request(host, 0, invalidate);
    assert_int_equal(host_calls(host, from, FX_FOREIGN_MAP, NULL), 0);
    assert_true(host_calls(host, from, FX_FOREIGN_UNMAP, NULL) >= 1);
    host_request(host, 0, request);
    assert_int_equal(host_calls(host, from, FX_FOREIGN_MAP, NULL), 1);
}

/* ---- the ring ---- */

/* A linear graphics mode in the window at 0xA0000: what is written can be read. */
static void linear_window(struct host *host)
{
    static const uint8_t sequencer[][2] = {{2, 0x0F}, {4, 0x0E}};
    static const uint8_t graphics[][2] = {{1, 0}, {3, 0}, {5, 0x40}, {6, 0x05}, {8, 0xFF}};

    host_out(host, 0x3C2, 1, 0x63);
    for (unsigned i = 0; i < 2; i++)
        host_out(host, 0x3C4, 2, sequencer[i][0] | sequencer[i][1] << 8);
    for (unsigned i = 0; i < 5; i++)
        host_out(host, 0x3CE, 2, graphics[i][0] | graphics[i][1] << 8);
}

static void put_in_ring(struct host *host, uint32_t address, unsigned size_code, uint64_t data)
{
    struct buffered_iopage *ring = &host->fx->ring;
    uint32_t at = ring->write_pointer, slots = size_code == 3 ? 2 : 1;

    for (uint32_t i = 0; i < slots; i++)
        ring->buf_ioreq[(at + i) % IOREQ_BUFFER_SLOT_NUM] = (struct buf_ioreq){.type = IOREQ_TYPE_COPY,
                                                                               .dir = IOREQ_WRITE,
                                                                               .size = size_code,
                                                                               .addr = address,
                                                                               .data = data >> 32 * i};
    atomic_thread_fence(memory_order_release);
    ring->write_pointer = at + slots;
}

static void ring_before_request(void **state)
{
    struct host *host = *state;

    linear_window(host);
    put_in_ring(host, 0xA0000, 0, 0x11);
    put_in_ring(host, 0xA0001, 1, 0x3322);
    put_in_ring(host, 0xA0004, 2, 0x77665544);
    put_in_ring(host, 0xA0008, 3, 0xFFEEDDCCBBAA9988);
    assert_int_equal(host_read(host, 0xA0000, 1), 0x11); /* no event was sent for the ring */
    assert_int_equal(host_read(host, 0xA0001, 2), 0x3322);
    assert_int_equal(host_read(host, 0xA0004, 4), 0x77665544);
    assert_int_equal(host_read(host, 0xA0008, 8), 0xFFEEDDCCBBAA9988);
    assert_int_equal(host->fx->ring.read_pointer, host->fx->ring.write_pointer);
}

static void wait_for_ring(struct host *host)
{
    host_event(host, FAKEXEN_RING_PORT);
    if (!SOON(*(volatile uint32_t *)&host->fx->ring.read_pointer == host->fx->ring.write_pointer))
        fail_msg("the ring is not drained");
}

/* Full, several times around, pointers near 2^32 included; quadwords across the seam. */
static void ring_wraps(void **state)
{
    struct host *host = *state;
    struct buffered_iopage *ring = &host->fx->ring;

    linear_window(host);
    ring->read_pointer = ring->write_pointer = 510;
    put_in_ring(host, 0xA0010, 3, 0x0123456789ABCDEF);
    wait_for_ring(host);
    assert_int_equal(host_read(host, 0xA0010, 8), 0x0123456789ABCDEF);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < IOREQ_BUFFER_SLOT_NUM; i++)
            put_in_ring(host, 0xA0100 + i, 0, i ^ round);
        wait_for_ring(host);
        for (unsigned i = 0; i < IOREQ_BUFFER_SLOT_NUM; i += 73)
            assert_int_equal(host_read(host, 0xA0100 + i, 1), (i ^ round) & 0xFF);
    }
}

/* Xen may take multiples of the ring's size from both pointers: ours only ever adds. */
static void ring_pointers_move(void **state)
{
    struct host *host = *state;
    struct buffered_iopage *ring = &host->fx->ring;

    linear_window(host);
    ring->read_pointer = ring->write_pointer = 2 * IOREQ_BUFFER_SLOT_NUM + 5;
    put_in_ring(host, 0xA0020, 0, 0x42);
    ring->read_pointer -= 2 * IOREQ_BUFFER_SLOT_NUM;
    ring->write_pointer -= 2 * IOREQ_BUFFER_SLOT_NUM;
    wait_for_ring(host);
    assert_int_equal(ring->read_pointer, 6);
    assert_int_equal(host_read(host, 0xA0020, 1), 0x42);
}

static void ring_half_quadword(void **state)
{
    struct host *host = *state;

    linear_window(host);
    put_in_ring(host, 0xA0030, 3, 0);
    host->fx->ring.write_pointer--;
    wait_for_ring(host);
    host_serves(host);
}

static void ring_garbage(void **state)
{
    struct host *host = *state;
    struct buffered_iopage *ring = &host->fx->ring;

    for (unsigned seed = 1; seed < 20; seed++) {
        for (unsigned i = 0; i < sizeof(ring->buf_ioreq); i++)
            ((uint8_t *)ring->buf_ioreq)[i] = (i * 2654435761u * seed) >> 13;
        ring->write_pointer = ring->read_pointer + 0x12345678 * seed; /* no ring is that full */
        host_event(host, FAKEXEN_RING_PORT);
        ring->write_pointer = ring->read_pointer;
        host_serves(host);
    }
}

/* ---- bursts ---- */

struct hammer {
    struct host *host;
    _Atomic bool stop;
    _Atomic unsigned requests;
};

static void *ask_ceaselessly(void *opaque)
{
    struct hammer *hammer = opaque;

    while (!hammer->stop) {
        host_request_awake(hammer->host, 0, port_request(true, HOST_SCRATCH, 1));
        hammer->requests++;
    }
    return NULL;
}

/* A vCPU that always has a next request keeps neither another one nor a monitor waiting. */
static void busy_vcpu_leaves_room(void **state)
{
    struct host *host = *state = host_new(2);
    struct hammer hammer = {.host = host};
    pthread_t thread;

    host_start_qmp(host, BOARD);
    assert_int_equal(pthread_create(&thread, NULL, ask_ceaselessly, &hammer), 0);
    while (hammer.requests < 100)
        usleep(100);
    for (unsigned i = 0; i < 50; i++) {
        struct ioreq request = port_request(false, HOST_SCRATCH, 1);

        request.data = i;
        host_request_awake(host, 1, request);
        assert_int_equal(host_request_awake(host, 1, port_request(true, HOST_SCRATCH, 1)) & 0xFF, i);
        if (i % 10 == 0)
            host_qmp(host, "{\"execute\":\"query-status\"}");
    }
    hammer.stop = true;
    pthread_join(thread, NULL);
    host_serves(host);
}

/* ---- ranges, video memory ---- */

/* Plays Xen's book of ranges over all records: no overlap, nothing given back that was not there. */
static void ranges_are_exact(void **state)
{
    struct host *host = *state;
    uint8_t *owned = calloc(1, 0x10000);

    assert_non_null(owned);
    host_config_write(host, PLATFORM, 0x10, 4, 0xC000);
    host_config_write(host, PLATFORM, 0x04, 2, 1);
    host_config_write(host, PLATFORM, 0x10, 4, 0xC100);     /* next to where it was */
    host_config_write(host, PLATFORM, 0x10, 4, 0xFFFFFFFF); /* sizing while it decodes */
    host_config_write(host, PLATFORM, 0x10, 4, 0xC200);
    for (unsigned i = 0; i < host->fx->calls; i++) {
        const struct fakexen_call *call = &host->fx->call[i];

        if (call->op != FX_MAP_PORT && call->op != FX_UNMAP_PORT)
            continue;
        assert_true(call->a <= call->b && call->b <= 0xFFFF);
        for (uint64_t port = call->a; port <= call->b; port++) {
            assert_int_equal(owned[port], call->op == FX_UNMAP_PORT);
            owned[port] = call->op == FX_MAP_PORT;
        }
    }
    for (unsigned port = 0xC000; port < 0xD000; port++)
        assert_int_equal(owned[port], port >= 0xC200 && port < 0xC300);
    assert_true(owned[0xCF8] && owned[0xCFF] && owned[HOST_SCRATCH]);
    assert_false(owned[0x20] || owned[0x40] || owned[0xA0]); /* Xen's own: interrupt controllers, timer */
    free(owned);
}

/* The guest's PV driver unplugs the network card: its function and ranges are given back. */
static void unplugged_card_is_given_back(void **state)
{
    struct host *host = *state = host_new(1);
    struct fakexen_call last = {0};
    uint32_t from;

    host_start(host, BOARD " -device rtl8139");
    host_config_write(host, 0x20, 0x10, 4, 0xC000);
    host_config_write(host, 0x20, 0x04, 2, 1);
    assert_int_equal(host_in(host, 0x10, 2), 0x49D2);
    from = host->fx->calls;
    host_out(host, 0x10, 2, 2);
    assert_int_equal(host_calls(host, from, FX_UNMAP_PCI, &last), 1);
    assert_int_equal(last.a, 0x20);
    assert_int_equal(host_calls(host, from, FX_UNMAP_PORT, &last), 1);
    assert_true(last.a == 0xC000 && last.b == 0xC0FF);
    assert_int_equal(host_config_read(host, 0x20, 0, 4), 0xFFFFFFFF);
    host_serves(host);
}

static void moved_bar_moves_its_range(void **state)
{
    struct host *host = *state;
    struct fakexen_call last = {0};
    uint32_t from;

    place_screen(host);
    from = host->fx->calls;
    host_config_write(host, SCREEN, 0x18, 4, MMIO_BASE + 0x100000);
    assert_int_equal(host_calls(host, from, FX_UNMAP_MEMORY, &last), 1);
    assert_int_equal(last.a, MMIO_BASE);
    assert_int_equal(last.b, MMIO_BASE + 0xFFF);
    assert_int_equal(host_calls(host, from, FX_MAP_MEMORY, &last), 1);
    assert_int_equal(last.a, MMIO_BASE + 0x100000);
    assert_int_equal(last.b, MMIO_BASE + 0x100FFF);
    assert_int_equal(host_calls(host, from, FX_MAP_PORT, NULL) + host_calls(host, from, FX_UNMAP_PORT, NULL),
                     0);
    assert_int_equal(host_read(host, MMIO_BASE + 0x100500, 2) & 0xFFF0, 0xB0C0);
    assert_int_equal(host_read(host, DISPI, 2), 0xFFFF); /* in flight while it moved */
}

/* Since the call `from` each page of the video memory went from one place to the other, once, a part after
 * the other. */
static void assert_moved(struct host *host, unsigned from, uint64_t source, uint64_t target)
{
    bool moved[VRAM_PAGES] = {false};
    unsigned pages = 0;

    for (unsigned i = from; i < host->fx->calls; i++) {
        uint64_t size = host->fx->call[i].a, at = host->fx->call[i].b - source;

        if (host->fx->call[i].op != FX_RELOCATE)
            continue;
        assert_int_equal(host->fx->call[i].c - target, at);
        assert_in_range(size, 1, 256);
        for (uint64_t page = at; page < at + size; page++, pages++) {
            assert_in_range(page, 0, VRAM_PAGES - 1);
            assert_false(moved[page]);
            moved[page] = true;
        }
    }
    assert_int_equal(pages, VRAM_PAGES);
}

static void video_memory_moves(void **state)
{
    struct host *host = *state;
    struct fakexen_call last = {0};
    uint64_t parking = ((uint64_t)HOST_RAM_MB << 20) / FAKEXEN_PAGE;
    uint32_t from = 0;

    assert_int_equal(host_calls(host, 0, FX_POPULATE, &last), 1);
    assert_int_equal(last.a, parking);
    assert_int_equal(last.b, VRAM_PAGES);
    place_screen(host);
    assert_moved(host, 0, parking, VRAM_BASE / FAKEXEN_PAGE);
    assert_int_equal(host_calls(host, 0, FX_PIN, &last), 1);
    assert_int_equal(last.a, VRAM_BASE / FAKEXEN_PAGE);
    assert_int_equal(last.b, VRAM_BASE / FAKEXEN_PAGE + VRAM_PAGES - 1);
    for (unsigned i = 0; i < host->fx->calls; i++) /* the guest writes it without us */
        if (host->fx->call[i].op == FX_MAP_MEMORY)
            assert_false(host->fx->call[i].a <= VRAM_BASE && host->fx->call[i].b >= VRAM_BASE);

    from = host->fx->calls;
    host_config_write(host, SCREEN, 0x10, 4, 0xE0000000);
    assert_moved(host, from, VRAM_BASE / FAKEXEN_PAGE, 0xE0000);
    from = host->fx->calls;
    host_config_write(host, SCREEN, 0x04, 2, 0);
    assert_moved(host, from, 0xE0000, parking);
}

static void read_exactly(int fd, void *data, size_t size)
{
    assert_int_equal(recv(fd, data, size, MSG_WAITALL), size);
}

/* Asks for what changes from now on. */
static void ask_for_changes(int fd)
{
    static const uint8_t request[] = {3, 1, 0, 0, 0, 0, 4, 0, 3, 0};

    assert_int_equal(write(fd, request, sizeof(request)), sizeof(request));
}

/* Takes what comes until nothing does for a while. */
static void see_changes(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    uint8_t bytes[65536];

    while (poll(&poll_fd, 1, 300) > 0)
        assert_true(recv(fd, bytes, sizeof(bytes), 0) > 0);
}

/* The guest shows 1024x768x32, and a viewer who has seen that waits for what changes. */
static int watch_screen(struct host *host)
{
    const struct timeval patience = {.tv_sec = 60};
    static const uint16_t mode[] = {1024, 768, 32, 0x41}; /* dispi registers 1 to 4 */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char log[4096] = "", *port;
    uint8_t bytes[256];

    place_screen(host);
    for (unsigned i = 0; i < 4; i++)
        host_write(host, DISPI + 2 * (i + 1), 2, mode[i]);
    host_in(host, 0x3DA, 1);
    host_out(host, 0x3C0, 1, 0x20); /* the palette is set: show the screen */
    assert_true(pread(host->log_fd, log, sizeof(log) - 1, 0) > 0);
    port = strstr(log, "running on 127.0.0.1:");
    assert_non_null(port);
    address.sin_port = htons(atoi(port + strlen("running on 127.0.0.1:")));
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    read_exactly(fd, bytes, 12);
    assert_int_equal(write(fd, "RFB 003.008\n", 12), 12);
    read_exactly(fd, bytes, 1);
    read_exactly(fd, bytes + 1, bytes[0]);
    assert_int_equal(write(fd, "\1", 1), 1); /* no password */
    read_exactly(fd, bytes, 4);
    assert_int_equal(write(fd, "\1", 1), 1); /* shared */
    read_exactly(fd, bytes, 24);
    read_exactly(fd, bytes, bytes[23]);
    ask_for_changes(fd);
    see_changes(fd);
    ask_for_changes(fd);
    return fd;
}

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

/* Until the log is looked at once more. */
static int64_t next_look_ms(struct host *host)
{
    uint32_t from = host->fx->calls;
    int64_t start = now_ms();

    while (!host_calls(host, from, FX_TRACK, NULL))
        usleep(500);
    return now_ms() - start;
}

/* A quiet screen that is watched costs a few looks a second, a guest that does something brings them near. */
static void quiet_screen_is_looked_at_rarely(void **state)
{
    struct host *host = *state = host_new(1);
    int64_t soonest = INT64_MAX;
    int64_t ms = 0;
    int fd;

    host_start(host, BOARD " -vnc 127.0.0.1:0,to=99");
    fd = watch_screen(host);
    usleep(1500000);
    next_look_ms(host);
    for (unsigned i = 0; i < 5; i++) /* a busy machine only makes it longer */
        ms += next_look_ms(host);
    assert_true(ms >= 5 * 75);
    for (unsigned i = 0; i < 50 && soonest >= 100; i++) {
        next_look_ms(host);
        host_in(host, HOST_SCRATCH, 1);
        ms = next_look_ms(host);
        soonest = ms < soonest ? ms : soonest;
    }
    assert_in_range(soonest, 0, 100);
    close(fd);
}

static void quiet_screens_first_write_is_seen(void **state)
{
    struct host *host = *state = host_new(1);
    uint8_t type;
    int fd;

    host_start(host, BOARD " -vnc 127.0.0.1:0,to=99");
    fd = watch_screen(host);
    usleep(500000);
    memset(host->ram + ((uint64_t)HOST_RAM_MB << 20), 0x77, 4096);
    atomic_store(&host->fx->screen_written, true);
    read_exactly(fd, &type, 1);
    assert_int_equal(type, 0); /* FramebufferUpdate */
    close(fd);
}

/* ---- lines, power ---- */

static bool recorded(struct host *host, uint32_t from, enum fakexen_op op, uint64_t a, uint64_t b)
{
    for (uint32_t i = from; i < host->fx->calls; i++)
        if (host->fx->call[i].op == op && host->fx->call[i].a == a && host->fx->call[i].b == b)
            return true;
    return false;
}

static void lines(void **state)
{
    struct host *host = *state;
    struct fakexen_call last = {0};
    uint32_t from = host->fx->calls;

    host_config_write(host, BRIDGE, 0x60, 1, 0x05);
    assert_true(recorded(host, from, FX_LINK, 0, 5));
    assert_int_equal(host_calls(host, from, FX_LINK, NULL), 1); /* only what changed */
    host_config_write(host, BRIDGE, 0x60, 1, 0x05);
    assert_int_equal(host_calls(host, from, FX_LINK, NULL), 1);
    host_config_write(host, BRIDGE, 0x63, 1, 0x0B);
    assert_true(recorded(host, from, FX_LINK, 3, 11));
    from = host->fx->calls;
    host_config_write(host, BRIDGE, 0x63, 1, 0x80);
    assert_true(recorded(host, from, FX_LINK, 3, 0));

    from = host->fx->calls;
    host_out(host, 0x3FC, 1, 0x0B); /* OUT2 lets the line out; an empty transmitter raises it */
    host_out(host, 0x3F9, 1, 0x02);
    assert_true(host_calls(host, from, FX_ISA, &last) >= 1);
    assert_true(last.a == 4 && last.b == 1);
    host_out(host, 0x3F9, 1, 0x00);
    host_calls(host, from, FX_ISA, &last);
    assert_true(last.a == 4 && last.b == 0);
}

/* Xen is told before its access ends, and the process stays. */
static void reset_before_the_answer(void **state)
{
    struct host *host = *state;
    struct fakexen_call last = {0};

    host_out(host, 0xCF9, 1, 0x02);
    assert_int_equal(host_calls(host, 0, FX_SHUTDOWN, NULL), 0);
    host_out(host, 0xCF9, 1, 0x06);
    assert_int_equal(host_calls(host, 0, FX_SHUTDOWN, &last), 1);
    assert_int_equal(last.a, SHUTDOWN_reboot);
    host_serves(host);
}

static void power_off_before_the_answer(void **state)
{
    struct host *host = *state;
    struct fakexen_call last = {0};

    host_config_write(host, PM, 0x40, 4, 0xB001);
    host_config_write(host, PM, 0x80, 1, 1);
    host_out(host, 0xB004, 2, 0x2000); /* SLP_EN, type 0: S5 */
    assert_int_equal(host_calls(host, 0, FX_SHUTDOWN, &last), 1);
    assert_int_equal(last.a, SHUTDOWN_poweroff);
    host_serves(host);
}

/* ---- the virtual keyboard ---- */

#define BACKEND   "backend/vkbd/1/0"
#define FRONTEND  "/local/domain/1/device/vkbd/0"
#define VKBD_PORT 500
#define VKBD_PAGE 0x123

/* What libxl leaves before it starts the device model. */
static void store_keyboard(struct host *host)
{
    host_store(host, BACKEND "/frontend", FRONTEND);
    host_store(host, BACKEND "/frontend-id", "1");
    host_store(host, BACKEND "/online", "1");
    host_store(host, BACKEND "/state", "1");
    host_store(host, FRONTEND "/state", "1");
}

/* As Linux does it; `how`: page-gref or page-ref. */
static void connect_keyboard(struct host *host, const char *how, const char *page)
{
    char path[FAKEXEN_TEXT];

    host_expect(host, BACKEND "/state", "2");
    snprintf(path, sizeof(path), FRONTEND "/%s", how);
    host_store(host, path, page);
    host_store(host, FRONTEND "/event-channel", "500");
    host_store(host, FRONTEND "/request-abs-pointer", "1");
    host_store(host, FRONTEND "/state", "3");
}

static int start_keyboard(void **state)
{
    struct host *host = *state = host_new(1);

    store_keyboard(host);
    host_start(host, BOARD);
    return 0;
}

/* Ready before the guest runs: no 30 s wait of Linux. */
static void keyboard_waits_from_the_start(void **state)
{
    char value[FAKEXEN_TEXT];

    assert_true(fakexen_store_read(((struct host *)*state)->fx, BACKEND "/state", value));
    assert_string_equal(value, "2");
    assert_true(fakexen_store_read(((struct host *)*state)->fx, BACKEND "/feature-abs-pointer", value));
    assert_string_equal(value, "1");
}

static void keyboard_connects_and_closes(void **state)
{
    struct host *host = *state;

    for (unsigned round = 0; round < 2; round++) {
        connect_keyboard(host, "page-gref", "291");
        host_expect(host, BACKEND "/state", "4");
        assert_int_equal(host_calls(host, 0, FX_GRANT_MAP, NULL), round + 1);
        host_store(host, FRONTEND "/state", "4");
        host_store(host, FRONTEND "/state", "5");
        host_expect(host, BACKEND "/state", "5");
        host_store(host, FRONTEND "/state", "6");
        host_expect(host, BACKEND "/state", "6");
        assert_int_equal(host_calls(host, 0, FX_GRANT_UNMAP, NULL), round + 1);
        assert_int_equal(host_calls(host, 0, FX_UNBIND, NULL), round + 1);
        host_store(host, FRONTEND "/state", "1"); /* the driver is loaded again */
    }
    host_serves(host);
}

/* libxl takes the device away, and the front end lets it go. */
static void keyboard_is_taken_away(void **state)
{
    struct host *host = *state;

    connect_keyboard(host, "page-ref", "291");
    host_expect(host, BACKEND "/state", "4");
    host_store(host, BACKEND "/online", "0");
    host_store(host, BACKEND "/state", "5");
    host_serves(host);
    assert_int_equal(host_calls(host, 0, FX_UNBIND, NULL), 0);
    host_store(host, FRONTEND "/state", "6");
    host_expect(host, BACKEND "/state", "6");
    assert_int_equal(host_calls(host, 0, FX_UNBIND, NULL), 1);
}

static void keyboard_with_nonsense(void **state)
{
    static const char *const pages[] = {"", "-1", "99999999999999999999", "4294967295", "12x", "40000"};
    struct host *host = *state;

    for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        connect_keyboard(host, i & 1 ? "page-ref" : "page-gref", pages[i]);
        host_store(host, FRONTEND "/state", "17");
        host_store(host, FRONTEND "/state", "x");
        host_serves(host);
        host_expect(host, BACKEND "/state", "2");
    }
}

/* Keys and an absolute pointer arrive in the ring, more of them than it holds do no harm. */
static void keyboard_delivers(void **state)
{
    struct host *host = *state = host_new(1);
    struct xenkbd_page *page = (void *)(host->ram + VKBD_PAGE * FAKEXEN_PAGE);
    union xenkbd_in_event *ring = XENKBD_IN_RING(page);

    store_keyboard(host);
    host_start_qmp(host, BOARD);
    connect_keyboard(host, "page-gref", "291");
    host_expect(host, BACKEND "/state", "4");
    host_qmp(host, "{\"execute\":\"send-key\",\"arguments\":{\"hold-time\":1,\"keys\":["
                   "{\"type\":\"qcode\",\"data\":\"a\"}]}}");
    assert_true(host_notified(host, VKBD_PORT, 10000));
    assert_int_equal(ring[0].type, XENKBD_TYPE_KEY);
    assert_int_equal(ring[0].key.keycode, KEY_A);
    assert_int_equal(ring[0].key.pressed, 1);
    assert_true(host_notified(host, VKBD_PORT, 10000));
    assert_int_equal(ring[1].key.pressed, 0);
    assert_int_equal(page->in_prod, 2);
    host_qmp(host, "{\"execute\":\"input-send-event\",\"arguments\":{\"events\":["
                   "{\"type\":\"abs\",\"data\":{\"axis\":\"x\",\"value\":1000}},"
                   "{\"type\":\"abs\",\"data\":{\"axis\":\"y\",\"value\":32767}},"
                   "{\"type\":\"btn\",\"data\":{\"button\":\"left\",\"down\":true}}]}}");
    assert_true(host_notified(host, VKBD_PORT, 10000));
    assert_int_equal(ring[2].type, XENKBD_TYPE_POS);
    assert_int_equal(ring[2].pos.abs_x, 1000);
    assert_int_equal(ring[2].pos.abs_y, 32767);
    assert_int_equal(ring[3].key.keycode, BTN_LEFT);
    assert_int_equal(page->in_prod, 4);
    page->in_cons = page->in_prod + 1; /* a lie: nothing fits */
    for (unsigned i = 0; i < 60; i++)
        host_qmp(host, "{\"execute\":\"send-key\",\"arguments\":{\"hold-time\":1,\"keys\":["
                       "{\"type\":\"qcode\",\"data\":\"pause\"}]}}");
    assert_int_equal(page->in_prod, 4);
    host_serves(host);
}

/* ---- figures ---- */

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

enum { ROUNDS = 2001 };

static void tell(const char *what, int64_t ns[ROUNDS])
{
    qsort(ns, ROUNDS, sizeof(ns[0]), by_value);
    print_message("one request, event to answer, %s: median %.1f us, 99 %% within %.1f us\n", what,
                  ns[ROUNDS / 2] / 1000.0, ns[ROUNDS * 99 / 100] / 1000.0);
}

static void latency(void **state)
{
    static int64_t ns[ROUNDS];
    struct host *host = *state;

    for (unsigned i = 0; i < ROUNDS; i++) {
        host_in(host, HOST_SCRATCH, 1);
        ns[i] = host->answer_ns;
    }
    tell("guest asleep", ns);
    for (unsigned i = 0; i < ROUNDS; i++) {
        host_request_awake(host, 0, port_request(true, HOST_SCRATCH, 1));
        ns[i] = host->answer_ns;
    }
    tell("guest awake", ns);
    print_message("the port was unmasked %u times for %d requests\n", host->fx->unmasked, 2 * ROUNDS);
}

/* ---- saved and restored ---- */

enum { DISPI_XRES = 1 };

/* While the toolstack copies the guest's memory, Xen hears of each page that we write. */
static void writes_are_logged_while_it_is_asked_for(void **state)
{
    struct ioreq string = port_request(true, 0x71, 1);
    struct host *host = *state = host_new(1);
    struct fakexen_call last = {0};

    string.data_is_ptr = 1;
    string.data = 0x5000;
    string.count = 4;
    host_start_qmp(host, BOARD);
    host_request(host, 0, string);
    assert_int_equal(host_calls(host, 0, FX_MODIFIED, NULL), 0);
    host_qmp(host, "{\"execute\":\"xen-set-global-dirty-log\",\"arguments\":{\"enable\":true}}");
    host_request(host, 0, string);
    assert_int_equal(host_calls(host, 0, FX_MODIFIED, &last), 1);
    assert_int_equal(last.a, 5);
    assert_int_equal(last.b, 1);
    host_qmp(host, "{\"execute\":\"xen-set-global-dirty-log\",\"arguments\":{\"enable\":false}}");
    host_request(host, 0, string);
    assert_int_equal(host_calls(host, 0, FX_MODIFIED, NULL), 1);
}

static void set_dispi(struct host *host, unsigned index, uint16_t value)
{
    host_write(host, DISPI + 2 * index, 2, value);
}

/* As libxl does it: the guest is stopped, its devices saved, and another process takes the domain over. Video
 * memory is the domain's, stays where it is, and nobody is told of it by xenstore. */
static void saved_and_restored(void **state)
{
    struct host *host = *state = host_new(2);
    const char *file = qtest_temp_file(".state", 0);
    struct fakexen_call last = {0};
    char command[300], args[300], value[FAKEXEN_TEXT];
    uint32_t before;

    host_start_qmp(host, BOARD);
    place_screen(host);
    set_dispi(host, DISPI_XRES, 800);
    host_out(host, 0x70, 1, 0x40);
    host_qmp(host, "{\"execute\":\"stop\"}");
    snprintf(command, sizeof(command),
             "{\"execute\":\"xen-save-devices-state\",\"arguments\":{\"filename\":\"%s\",\"live\":true}}",
             file);
    host_qmp(host, command);
    host_end(host);
    fakexen_store_remove(host->fx, host->fire_fd, "device-model");
    before = host->fx->calls;
    snprintf(args, sizeof(args), BOARD " -incoming file:%s", file);
    host_start(host, args);
    assert_int_equal(host_calls(host, before, FX_POPULATE, NULL), 0);
    assert_int_equal(host_calls(host, before, FX_RELOCATE, NULL), 0);
    assert_true(host_calls(host, before, FX_FOREIGN_MAP, &last) > 0);
    assert_int_equal(host_config_read(host, SCREEN, 0x10, 4) & ~0xFu, VRAM_BASE);
    assert_int_equal(host_read(host, DISPI + 2 * DISPI_XRES, 2), 800);
    assert_false(fakexen_store_read(host->fx, "device-model/1/physmap", value));
    host_serves(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        xen_test(starts_in_order),
        xen_test(functions_are_registered),
        xen_test(end_destroys_the_server),
        cmocka_unit_test_teardown(vcpus_128, stop),
        cmocka_unit_test_teardown(pages_by_frame_number, stop),
        cmocka_unit_test_teardown(restricted, stop),
        cmocka_unit_test_teardown(saved_and_restored, stop),
        cmocka_unit_test_teardown(writes_are_logged_while_it_is_asked_for, stop),
        cmocka_unit_test_teardown(unplugged_card_is_given_back, stop),
        xen_test(string_across_mappings),
        xen_test(ports),
        xen_test(port_strings),
        xen_test(port_string_words),
        xen_test(memory),
        xen_test(configuration),
        xen_test(hostile_requests),
        xen_test(page_changes_under_way),
        xen_test(wrong_states),
        cmocka_unit_test_teardown(absent_memory, stop),
        xen_test(invalidate_drops_mappings),
        xen_test(ring_before_request),
        xen_test(ring_wraps),
        xen_test(ring_pointers_move),
        xen_test(ring_half_quadword),
        xen_test(ring_garbage),
        cmocka_unit_test_teardown(busy_vcpu_leaves_room, stop),
        xen_test(ranges_are_exact),
        xen_test(moved_bar_moves_its_range),
        xen_test(video_memory_moves),
        cmocka_unit_test_teardown(quiet_screen_is_looked_at_rarely, stop),
        cmocka_unit_test_teardown(quiet_screens_first_write_is_seen, stop),
        xen_test(lines),
        xen_test(reset_before_the_answer),
        xen_test(power_off_before_the_answer),
        vkbd_test(keyboard_waits_from_the_start),
        vkbd_test(keyboard_connects_and_closes),
        vkbd_test(keyboard_is_taken_away),
        vkbd_test(keyboard_with_nonsense),
        cmocka_unit_test_teardown(keyboard_delivers, stop),
        xen_test(latency),
    };

    return cmocka_run_group_tests_name("xen", tests, NULL, NULL);
}
