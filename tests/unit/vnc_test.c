/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VNC server with real clients (libvncclient, and bare sockets for hostile ones): the picture, input,
 * passwords, many viewers, viewers that stall. The console's other sides are played by the test: a graphics
 * adapter that shows an array of pixels, a keyboard and a mouse that write down what they get. The machine
 * thread is a thread of this process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "console/console.h"
#include "tests/lib/viewer.h"
#include "tests/lib/wait.h"
#include "vnc/guesses.h"
#include "vnc/lock_sync.h"
#include "vnc/vnc.h"
#include "vnc/vnc_auth.h"

#define EVENTS 4096
#define SECOND 1000000000ll

static struct {
    pthread_mutex_t lock;
    struct clock clock;
    struct loop loop;
    struct console *console;
    struct vnc *vnc;
    pthread_t thread;
    int port;
    /* the adapter */
    int width, height, shown_width, shown_height;
    uint32_t *pixels;
    bool changed, moving; /* moving: changes whenever it is drawn */
    unsigned drawn;
    enum console_watch watch;
    struct console_source source;
    /* the input devices */
    struct console_keyboard keyboard;
    struct console_pointer mouse, tablet;
    struct {
        uint16_t code;
        bool down;
    } keys[EVENTS];
    unsigned key_count;
    int64_t key_time; /* that the guest takes for a key */
    int x, y, wheel;
    unsigned buttons, moves;
} t;

static int64_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * SECOND + ts.tv_nsec;
}

static void lock(void)
{
    pthread_mutex_lock(&t.lock);
}

static void unlock(void)
{
    pthread_mutex_unlock(&t.lock);
    loop_wake(&t.loop);
}

/* ---- the machine ---- */

static bool refresh(void *opaque, bool everything)
{
    bool resize = t.shown_width != t.width || t.shown_height != t.height;
    pixman_image_t *surface;

    if (!t.changed && !everything && !resize && !t.moving)
        return false;
    t.drawn++;
    t.changed = false;
    if (resize)
        console_resize(t.console, t.width, t.height);
    t.shown_width = t.width;
    t.shown_height = t.height;
    surface = console_surface(t.console);
    for (int y = 0; y < t.height; y++)
        memcpy((uint8_t *)pixman_image_get_data(surface) + y * pixman_image_get_stride(surface),
               t.pixels + y * t.width, t.width * 4);
    console_update(t.console, 0, 0, t.width, t.height);
    return true;
}

static void watch(void *opaque, enum console_watch state)
{
    t.watch = state;
}

static void key(void *opaque, uint16_t code, bool down)
{
    for (int64_t end = now() + t.key_time; t.key_time && now() < end;)
        continue;
    if (t.key_count < EVENTS) {
        t.keys[t.key_count].code = code;
        t.keys[t.key_count++].down = down;
    }
}

static void pointer(void *opaque, int x, int y, int wheel, unsigned buttons)
{
    bool absolute = opaque;

    t.x = absolute ? x : t.x + x;
    t.y = absolute ? y : t.y + y;
    t.wheel += wheel;
    t.buttons = buttons;
    t.moves++;
}

/* A picture that no encoding gets right by chance. */
static void paint(int width, int height, uint32_t seed)
{
    t.pixels = realloc(t.pixels, (size_t)width * height * 4);
    t.width = width;
    t.height = height;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            int tile = x / 40 + y / 40;
            uint32_t slope = x * 256 + y, flat = 0x102030 * (y / 40);

            seed = seed * 1664525 + 1013904223;
            t.pixels[y * width + x] = (tile % 3 == 0 ? seed >> 8 : tile % 3 == 1 ? flat : slope) & 0xFFFFFF;
        }
    t.changed = true;
}

static void show(int width, int height, uint32_t seed)
{
    lock();
    paint(width, height, seed);
    console_touch(t.console);
    unlock();
}

static void set_pixel(int x, int y, uint32_t value)
{
    lock();
    t.pixels[y * t.width + x] = value;
    t.changed = true;
    console_touch(t.console);
    unlock();
}

static void *machine_thread(void *opaque)
{
    pthread_mutex_lock(&t.lock);
    loop_run(&t.loop);
    pthread_mutex_unlock(&t.lock);
    return NULL;
}

static int set_up(void **state)
{
    uint32_t *pixels = t.pixels;

    memset(&t, 0, sizeof(t));
    t.pixels = pixels;
    pthread_mutex_init(&t.lock, NULL);
    clock_init(&t.clock, CLOCK_MANUAL);
    loop_init(&t.loop, &t.lock, &t.clock);
    t.console = console_new(&t.loop);
    t.keyboard = (struct console_keyboard){.key = key};
    t.mouse = (struct console_pointer){.event = pointer};
    t.tablet = (struct console_pointer){.event = pointer, .absolute = true, .opaque = &t};
    console_add_keyboard(t.console, &t.keyboard);
    console_add_pointer(t.console, &t.mouse);
    t.source = (struct console_source){.refresh = refresh, .watch = watch};
    console_set_source(t.console, &t.source);
    paint(640, 480, 1);
    pthread_create(&t.thread, NULL, machine_thread, NULL);
    return 0;
}

static int tear_down(void **state)
{
    lock();
    vnc_stop(t.vnc);
    unlock();
    loop_quit(&t.loop);
    pthread_join(t.thread, NULL);
    console_free(t.console);
    loop_destroy(&t.loop);
    clock_destroy(&t.clock);
    return 0;
}

static bool start_with(const struct vnc_options *options, struct error *err)
{
    struct vnc_info info;

    lock();
    t.vnc = vnc_start(&t.loop, t.console, options, err);
    if (t.vnc) {
        vnc_query(t.vnc, &info);
        t.port = atoi(info.server.service);
    }
    unlock();
    return t.vnc;
}

static void start_options(struct vnc_options options)
{
    struct error err;
    char address[32];
    unsigned display = 1000 + getpid() % 20000;

    snprintf(address, sizeof(address), "127.0.0.1:%u", display);
    options.address = address;
    options.to = display + 100;
    if (!start_with(&options, &err))
        fail_msg("%s", err.text);
}

static void start(void)
{
    start_options((struct vnc_options){.name = "guest"});
}

static struct vnc_info query(void)
{
    static struct vnc_info info;

    lock();
    vnc_query(t.vnc, &info);
    unlock();
    return info;
}

static bool set_password(const char *password)
{
    bool good;

    lock();
    good = vnc_set_password(t.vnc, password, NULL);
    unlock();
    return good;
}

/* Waits until the condition holds. */
#define EVENTUALLY(condition)                                                                                \
    do {                                                                                                     \
        int64_t deadline_ = now() + (int64_t)(PATIENCE * SECOND);                                            \
        while (!(condition)) {                                                                               \
            if (now() > deadline_)                                                                           \
                fail_msg("never: %s", #condition);                                                           \
            usleep(500);                                                                                     \
        }                                                                                                    \
    } while (0)

static size_t viewers(void)
{
    return query().viewers;
}

static unsigned keys_seen(void)
{
    unsigned count;

    lock();
    count = t.key_count;
    unlock();
    return count;
}

static unsigned presses_seen(void)
{
    unsigned presses = 0;

    lock();
    for (unsigned i = 0; i < t.key_count; i++)
        presses += t.keys[i].down;
    unlock();
    return presses;
}

static void expect_keys(const uint16_t *codes, unsigned count)
{
    EVENTUALLY(keys_seen() >= count);
    assert_int_equal(t.key_count, count);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(t.keys[i].code, codes[i] & ~0x80);
        assert_int_equal(t.keys[i].down, !(codes[i] & 0x80));
    }
    lock();
    t.key_count = 0;
    unlock();
}

#define KEYS(...)                                                                                            \
    expect_keys((const uint16_t[]){__VA_ARGS__}, sizeof((const uint16_t[]){__VA_ARGS__}) / sizeof(uint16_t))

/* ---- a real viewer ---- */

struct viewer_options {
    const char *encodings;
    bool exclusive;
};

/* NULL: not let in. */
static rfbClient *connect_viewer(const struct viewer_options *options)
{
    return viewer_connect(t.port, options->encodings ? options->encodings : "raw", options->exclusive);
}

/* Handles what comes, for at most so long; false: disconnected. */
static bool listen_for(rfbClient *client, int ms)
{
    int n = viewer_wait(client, ms * 1000);

    return n == 0 || (n > 0 && HandleRFBServerMessage(client));
}

static bool same_picture(const rfbClient *client)
{
    bool same;

    lock();
    same = client->width == t.width && client->height == t.height;
    for (int i = 0; same && i < t.width * t.height; i++)
        same = (((uint32_t *)client->frameBuffer)[i] & 0xFFFFFF) == t.pixels[i];
    unlock();
    return same;
}

static void expect_picture(rfbClient *client)
{
    int64_t deadline = now() + (int64_t)(PATIENCE * SECOND);

    while (!same_picture(client)) {
        if (now() > deadline)
            fail_msg("the viewer has %dx%d, but never had the guest's picture, %dx%d", client->width,
                     client->height, t.width, t.height);
        assert_true(listen_for(client, 100));
    }
}

static rfbClient *viewer(void)
{
    rfbClient *client = connect_viewer(&(struct viewer_options){0});

    assert_non_null(client);
    return client;
}

/* ---- a bare connection ---- */

static int dial(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(t.port)};
    struct timeval limit = {.tv_sec = PATIENCE};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

static void say(int fd, const void *bytes, size_t length)
{
    assert_int_equal(send(fd, bytes, length, MSG_NOSIGNAL), length);
}

#define SAY(fd, literal) say(fd, literal, sizeof(literal) - 1)

static void hear(int fd, void *bytes, size_t length)
{
    assert_int_equal(recv(fd, bytes, length, MSG_WAITALL), length);
}

/* The other side ends the connection, whatever it sends before. */
static void expect_end(int fd)
{
    char bytes[4096];
    ssize_t n;

    while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
        continue;
    assert_true(n == 0 || errno == ECONNRESET);
    close(fd);
}

/* Through the handshake, without a password. */
static int enter(void)
{
    uint8_t bytes[256];
    int fd = dial();

    hear(fd, bytes, 12);
    assert_memory_equal(bytes, "RFB 003.008\n", 12);
    SAY(fd, "RFB 003.008\n");
    hear(fd, bytes, 2);
    assert_memory_equal(bytes, "\1\1", 2);
    SAY(fd, "\1");
    hear(fd, bytes, 4);
    assert_memory_equal(bytes, "\0\0\0\0", 4);
    SAY(fd, "\1");
    hear(fd, bytes, 24);
    assert_int_equal(bytes[23], 5);
    hear(fd, bytes, 5);
    assert_memory_equal(bytes, "guest", 5);
    return fd;
}

static void send_key(int fd, uint32_t keysym, bool down)
{
    uint8_t message[8] = {4, down, 0, 0, keysym >> 24, keysym >> 16, keysym >> 8, keysym};

    say(fd, message, sizeof(message));
}

static void send_pointer(int fd, uint8_t buttons, uint16_t x, uint16_t y)
{
    uint8_t message[6] = {5, buttons, x >> 8, x, y >> 8, y};

    say(fd, message, sizeof(message));
}

/* The server works as if nothing had been. */
static void expect_works(void)
{
    rfbClient *client = viewer();

    expect_picture(client);
    viewer_drop(client);
    EVENTUALLY(viewers() == 0);
}

/* ---- the picture ---- */

static void test_picture(void **state)
{
    rfbClient *client;

    start();
    assert_int_equal(t.watch, CONSOLE_UNWATCHED);
    client = viewer();
    assert_string_equal(client->desktopName, "guest");
    expect_picture(client);
    assert_int_not_equal(t.watch, CONSOLE_UNWATCHED);
    set_pixel(3, 5, 0x123456);
    expect_picture(client);
    show(640, 480, 2);
    expect_picture(client);
    viewer_drop(client);
    EVENTUALLY(t.watch == CONSOLE_UNWATCHED);
}

static void test_encodings(void **state)
{
    static const char *const names[] = {"raw",   "rre",  "hextile",  "zlib",
                                        "tight", "zrle", "copyrect", "zywrle ultra corre"};

    start();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        rfbClient *client = connect_viewer(&(struct viewer_options){.encodings = names[i]});

        assert_non_null(client);
        expect_picture(client);
        show(640, 480, i + 10);
        expect_picture(client);
        show(333, 77, i);
        expect_picture(client);
        viewer_drop(client);
    }
}

static void test_resize(void **state)
{
    static const int sizes[][2] = {{720, 400}, {1024, 768},  {640, 480}, {1, 1},
                                   {321, 7},   {1600, 1200}, {640, 480}};
    rfbClient *client;

    start();
    client = viewer();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        show(sizes[i][0], sizes[i][1], i);
        expect_picture(client);
    }
    /* Faster than anybody can follow: the last one counts, and no picture is read that is gone
     * (CVE-2016-9603). */
    for (int i = 0; i < 200; i++)
        show(100 + i * 7 % 500, 100 + i * 13 % 300, i);
    expect_picture(client);
    viewer_drop(client);
}

/* All of the screen, raw, as a viewer sees it that asked for no encodings. */
static void hear_screen(int fd, uint32_t *pixels, int width, int height)
{
    uint8_t message[10] = {3, 0, 0, 0, 0, 0, width >> 8, width, height >> 8, height}, header[12];

    say(fd, message, sizeof(message));
    hear(fd, header, 4);
    for (int count = header[2] << 8 | header[3]; count; count--) {
        int x, y, w, h;

        hear(fd, header, 12);
        x = header[0] << 8 | header[1];
        y = header[2] << 8 | header[3];
        w = header[4] << 8 | header[5];
        h = header[6] << 8 | header[7];
        assert_memory_equal(header + 8, "\0\0\0\0", 4);
        assert_in_range(x + w, 1, width);
        for (int row = y; row < y + h; row++) {
            assert_in_range(row, 0, height - 1);
            hear(fd, pixels + row * width + x, w * 4);
        }
    }
}

static void show_plain(int width, int height, uint32_t colour)
{
    lock();
    paint(width, height, 0);
    for (int i = 0; i < width * height; i++)
        t.pixels[i] = colour;
    console_touch(t.console);
    unlock();
}

/* A viewer that cannot resize keeps its canvas: a smaller picture is centred, a larger one made smaller. */
static void test_fixed_canvas(void **state)
{
    static uint32_t seen[640 * 480];
    int fd;

    start();
    fd = enter();
    hear_screen(fd, seen, 640, 480);
    assert_int_equal(seen[100], t.pixels[100]);
    show_plain(320, 240, 0xABCDEF);
    EVENTUALLY((hear_screen(fd, seen, 640, 480), seen[120 * 640 + 160] == 0xABCDEF));
    assert_int_equal(seen[359 * 640 + 479], 0xABCDEF);
    assert_int_equal(seen[120 * 640 + 159], 0);
    assert_int_equal(seen[360 * 640 + 479], 0);
    show_plain(1280, 1024, 0x00FF00);
    EVENTUALLY((hear_screen(fd, seen, 640, 480), seen[240 * 640 + 320] == 0x00FF00));
    assert_int_equal(seen[0 * 640 + 320], 0x00FF00);
    assert_int_equal(seen[479 * 640 + 320], 0x00FF00);
    assert_int_equal(seen[240 * 640 + 10], 0); /* 600 of 640 pixels wide */
    send_pointer(fd, 0, 20, 0);
    send_pointer(fd, 1, 619, 479); /* from corner to corner */
    EVENTUALLY(t.buttons == POINTER_LEFT);
    assert_in_range(t.x, 1270, 1279);
    assert_in_range(t.y, 1015, 1023);
    set_pixel(1000, 1000, 0);
    show_plain(640, 480, 0x0000FF);
    EVENTUALLY((hear_screen(fd, seen, 640, 480), seen[0] == 0x0000FF));
    close(fd);
}

/* After quiet, a change is at the viewer within 10 ms; asserted with room for a busy machine. */
static void test_change_arrives_at_once(void **state)
{
    rfbClient *client;
    int64_t best = SECOND;

    start();
    client = viewer();
    expect_picture(client);
    for (int i = 0; i < 5; i++) {
        int64_t before;

        for (int64_t end = now() + SECOND / 2; now() < end;)
            assert_true(listen_for(client, 50));
        before = now();
        set_pixel(i, 0, 0x800000 + i);
        expect_picture(client);
        if (now() - before < best)
            best = now() - before;
    }
    assert_in_range(best, 0, SECOND / 2); /* far from a tick of seconds; how fast: make bench */
    viewer_drop(client);
}

/* What all threads of this process slept and were woken. */
static unsigned wakeups(void)
{
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;
    unsigned sum = 0;

    while ((entry = readdir(dir))) {
        char path[300], line[200];
        FILE *file;

        snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
        file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        while (file && fgets(line, sizeof(line), file)) {
            unsigned n;

            if (sscanf(line, "voluntary_ctxt_switches: %u", &n) == 1)
                sum += n;
        }
        if (file)
            fclose(file);
    }
    closedir(dir);
    return sum;
}

static void test_nothing_ticks(void **state)
{
    rfbClient *clients[3];
    unsigned before;

    start();
    for (int i = 0; i < 3; i++) {
        clients[i] = viewer();
        expect_picture(clients[i]);
    }
    for (int64_t end = now() + SECOND; now() < end;)
        for (int i = 0; i < 3; i++)
            assert_true(listen_for(clients[i], 20));
    before = wakeups();
    sleep(2);
    assert_in_range(wakeups() - before, 0, 3); /* one is our own sleep */
    for (int i = 0; i < 3; i++)
        viewer_drop(clients[i]);
}

static void test_pixel_formats(void **state)
{
    static const uint8_t formats[][20] = {
        {0, 0, 0, 0, 16, 16, 0, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0},
        {0, 0, 0, 0, 8, 8, 0, 1, 0, 7, 0, 7, 0, 3, 0, 3, 6},
        {0, 0, 0, 0, 8, 8, 0, 0},
        {0, 0, 0, 0, 32, 24, 1, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0},
    };
    static const int bytes[] = {2, 1, 1, 4};

    start();
    lock();
    for (int i = 0; i < 640 * 480; i++)
        t.pixels[i] = 0xFF0000;
    unlock();
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        uint8_t header[16], pixel[4];
        int fd = enter();

        say(fd, formats[i], 20);
        SAY(fd, "\3\0\0\0\0\0\0\1\0\1");
        if (i == 2) {
            uint8_t map[6 + 256 * 6];

            hear(fd, map, sizeof(map));
            assert_int_equal(map[0], 1);
        }
        hear(fd, header, 16);
        assert_memory_equal(header, "\0\0\0\1\0\0\0\0\0\1\0\1\0\0\0\0", 16);
        hear(fd, pixel, bytes[i]);
        switch (i) {
        case 0:
            assert_memory_equal(pixel, "\x00\xF8", 2);
            break;
        case 3:
            assert_memory_equal(pixel, "\x00\xFF\x00\x00", 4);
            break;
        default:
            assert_int_equal(pixel[0], 7);
        }
        close(fd);
    }
}

/* ---- many viewers ---- */

static void test_viewers_share(void **state)
{
    rfbClient *clients[5];

    start();
    for (int i = 0; i < 5; i++)
        clients[i] = viewer();
    for (int i = 0; i < 5; i++)
        expect_picture(clients[i]);
    assert_int_equal(viewers(), 5);
    show(800, 600, 9);
    for (int i = 0; i < 5; i++)
        expect_picture(clients[i]);
    assert_string_equal(query().viewer[0].host, "127.0.0.1");
    assert_string_equal(query().viewer[0].family, "ipv4");
    assert_string_equal(query().auth, "none");
    for (int i = 0; i < 5; i++)
        viewer_drop(clients[i]);
    EVENTUALLY(viewers() == 0);
}

static void test_exclusive_disconnects_the_others(void **state)
{
    rfbClient *first, *second;
    int64_t end = now() + (int64_t)(PATIENCE * SECOND);

    start();
    first = viewer();
    second = connect_viewer(&(struct viewer_options){.exclusive = true});
    assert_non_null(second);
    while (listen_for(first, 10))
        assert_true(now() < end);
    EVENTUALLY(viewers() == 1);
    viewer_drop(first);
    viewer_drop(second);
}

static void test_force_shared_refuses_exclusive(void **state)
{
    rfbClient *first;

    start_options((struct vnc_options){.name = "guest", .share = VNC_SHARE_FORCE_SHARED});
    first = viewer();
    assert_null(connect_viewer(&(struct viewer_options){.exclusive = true}));
    expect_picture(first);
    viewer_drop(first);
}

static void test_share_ignore(void **state)
{
    rfbClient *first, *second;

    start_options((struct vnc_options){.name = "guest", .share = VNC_SHARE_IGNORE});
    first = viewer();
    second = connect_viewer(&(struct viewer_options){.exclusive = true});
    expect_picture(second);
    show(640, 480, 77);
    expect_picture(first);
    assert_int_equal(viewers(), 2);
    viewer_drop(first);
    viewer_drop(second);
}

static unsigned count_in(const char *path)
{
    DIR *dir = opendir(path);
    unsigned n = 0;

    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void test_reconnect_50_times(void **state)
{
    unsigned descriptors, threads;

    start();
    expect_works();
    descriptors = count_in("/proc/self/fd");
    threads = count_in("/proc/self/task");
    for (int i = 0; i < 50; i++) {
        rfbClient *client = viewer();

        if (i % 2)
            expect_picture(client);
        viewer_drop(client);
    }
    EVENTUALLY(viewers() == 0);
    EVENTUALLY(count_in("/proc/self/fd") <= descriptors);
    EVENTUALLY(count_in("/proc/self/task") <= threads);
    expect_works();
}

static void test_too_many_viewers(void **state)
{
    int fds[VNC_MAX_VIEWERS], late;
    uint8_t bytes[16];

    start();
    for (int i = 0; i < VNC_MAX_VIEWERS; i++)
        fds[i] = enter();
    late = dial();
    hear(late, bytes, 12);
    SAY(late, "RFB 003.008\n\1\1");
    expect_end(late);
    assert_int_equal(viewers(), VNC_MAX_VIEWERS);
    for (int i = 0; i < VNC_MAX_VIEWERS; i++)
        close(fds[i]);
    EVENTUALLY(viewers() == 0);
    expect_works();
}

/* Connections that never say a word do not keep others out. */
static void test_silent_connections_make_room(void **state)
{
    int fds[100];

    start();
    for (int i = 0; i < 100; i++)
        fds[i] = dial();
    expect_works();
    for (int i = 0; i < 100; i++)
        close(fds[i]);
}

static int dial_from(const char *from)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(t.port)},
                       own = {.sin_family = AF_INET};
    struct timeval limit = {.tv_sec = PATIENCE};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    inet_pton(AF_INET, from, &own.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof(own)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

/* Who has said its version, and types its password, is not pushed out by connections that come after it:
 * silent ones from the same address, talking ones from another. */
static void test_half_open_connections_keep_nobody_out(void **state)
{
    enum { MANY = 300 };
    uint8_t bytes[16];
    int fds[MANY], slow, late;

    start_options((struct vnc_options){.name = "guest", .password = true});
    slow = dial_from("127.0.0.1");
    SAY(slow, "RFB 003.008\n\2");
    hear(slow, bytes, 14);
    hear(slow, bytes, 16);
    for (int i = 0; i < MANY; i++) {
        fds[i] = dial_from(i % 2 ? "127.0.0.1" : "127.0.0.2");
        if (!(i % 2))
            send(fds[i], "RFB 003.008\n\2", 13, MSG_NOSIGNAL);
    }
    late = dial_from("127.0.0.3");
    SAY(late, "RFB 003.008\n\2");
    hear(late, bytes, 14);
    hear(late, bytes, 16);
    say(late, bytes, 16);
    hear(late, bytes, 4);
    say(slow, bytes, 16);
    hear(slow, bytes, 4);
    assert_memory_equal(bytes, "\0\0\0\1", 4);
    close(late);
    close(slow);
    for (int i = 0; i < MANY; i++)
        close(fds[i]);
}

/* A viewer that asks and does not read: the machine thread and the other viewers do not notice. */
static void test_stalled_viewer(void **state)
{
    rfbClient *other;
    int64_t worst = 0;
    int fd, small = 4096;

    start();
    show(1024, 768, 1);
    fd = enter();
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    other = viewer();
    expect_picture(other);
    for (int i = 0; i < 100; i++) {
        int64_t before;

        SAY(fd, "\3\0\0\0\0\0\4\0\3\0");
        before = now();
        show(1024, 768, i + 100);
        if (now() - before > worst)
            worst = now() - before;
    }
    expect_picture(other);
    assert_in_range(worst, 0, 3 * SECOND); /* a blocking write waits for 5 s at least */
    lock();
    vnc_stop(t.vnc); /* does not wait for it either */
    t.vnc = NULL;
    unlock();
    close(fd);
    viewer_drop(other);
}

static unsigned times_drawn(void)
{
    unsigned drawn;

    lock();
    drawn = t.drawn;
    unlock();
    return drawn;
}

/* How long it takes until the picture was drawn so often again. A busy machine only makes it longer. */
static int ms_to_draw(unsigned times)
{
    int64_t start = now();
    unsigned before = times_drawn();

    EVENTUALLY(times_drawn() - before >= times);
    return (int)((now() - start) * 1000 / SECOND);
}

/* What no viewer takes is hardly drawn; as soon as one takes pictures again, it gets them at full pace. */
static void test_nobody_takes_pictures(void **state)
{
    uint8_t bytes[4096];
    int fd, fastest = INT_MAX;

    start();
    fd = enter();
    lock();
    t.moving = true;
    console_touch(t.console);
    unlock();
    usleep(600000);
    assert_true(ms_to_draw(6) >= 600);
    for (int tries = 0; tries < 100 && fastest > 200; tries++) {
        for (int i = 0; i < 5; i++) {
            SAY(fd, "\3\1\0\0\0\0\0\1\0\1");
            hear(fd, bytes, 20);
        }
        fastest = ms_to_draw(4);
    }
    assert_in_range(fastest, 0, 200);
    for (int i = 0; i < 5; i++) {
        SAY(fd, "\3\1\0\0\0\0\0\1\0\1");
        hear(fd, bytes, 20);
    }
    assert_true(ms_to_draw(10) >= 90);
    lock();
    t.moving = false;
    unlock();
    close(fd);
}

/* ---- memory ---- */

#ifdef __SANITIZE_ADDRESS__
enum { MEMORY_SLACK = 512 }; /* what was freed is not given back at once */
#else
enum { MEMORY_SLACK = 0 };
#endif

static unsigned megabytes(void)
{
    char line[128];
    unsigned kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "r");

    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "VmRSS: %u", &kilobytes) == 1)
            break;
    fclose(file);
    return kilobytes / 1024;
}

static void ask_for_all(int fd)
{
    uint8_t message[10] = {3, 0, 0, 0, 0, 0, t.width >> 8, t.width, t.height >> 8, t.height};

    say(fd, message, sizeof(message));
}

/* All of the picture, raw, in however many updates; each pixel is the right one. */
static void hear_all(int fd)
{
    uint32_t *line = malloc(t.width * 4);
    uint8_t header[12];
    int64_t left = (int64_t)t.width * t.height;

    while (left > 0) {
        hear(fd, header, 4);
        for (int count = header[2] << 8 | header[3]; count; count--) {
            int x, y, w, h;

            hear(fd, header, 12);
            x = header[0] << 8 | header[1];
            y = header[2] << 8 | header[3];
            w = header[4] << 8 | header[5];
            h = header[6] << 8 | header[7];
            assert_in_range(x + w, 1, t.width);
            assert_in_range(y + h, 1, t.height);
            for (int row = y; row < y + h; row++) {
                hear(fd, line, w * 4);
                assert_memory_equal(line, t.pixels + row * t.width + x, w * 4);
            }
            left -= (int64_t)w * h;
        }
    }
    free(line);
}

/* More viewers than there is memory for whole pictures of: the others get theirs in strips. */
static void test_pictures_of_many_viewers_are_bounded(void **state)
{
    enum { MANY = 40 };
    unsigned before;
    int fds[MANY];

    show(1600, 1200, 3);
    start();
    before = megabytes();
    for (int i = 0; i < MANY; i++) {
        fds[i] = enter();
        ask_for_all(fds[i]);
    }
    for (int i = 0; i < MANY; i++)
        hear_all(fds[i]);
    assert_in_range(megabytes(), 1, before + 64 + MANY + 16 + MEMORY_SLACK);
    show(1600, 1200, 4);
    for (int i = 0; i < MANY; i++)
        close(fds[i]);
    EVENTUALLY(viewers() == 0);
    expect_works();
}

/* Viewers that stall in the middle of an update hold no pictures of modes that are gone. */
static void test_stalled_viewers_hold_no_old_pictures(void **state)
{
    enum { MANY = 10 };
    unsigned before;
    int fds[MANY], small = 4096;

    show(2000, 2000, 1);
    start();
    before = megabytes();
    for (int i = 0; i < MANY; i++) {
        fds[i] = enter();
        setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
        ask_for_all(fds[i]);
        usleep(20000);
        show(2000 + i % 2, 2000, i + 2);
        EVENTUALLY(t.shown_width == t.width);
    }
    assert_in_range(megabytes(), 1, before + 64 + 5 * 16 + MEMORY_SLACK);
    for (int i = 0; i < MANY; i++)
        close(fds[i]);
    EVENTUALLY(viewers() == 0);
}

/* Larger than any picture is: the screen stays what it was, and so do the viewers. */
static void test_pictures_are_8192_wide_at_most(void **state)
{
    rfbClient *client;

    start();
    client = viewer();
    expect_picture(client);
    lock();
    assert_false(console_resize(t.console, 8193, 10));
    assert_false(console_resize(t.console, 10, 8193));
    assert_false(console_resize(t.console, 8192, 8192));
    unlock();
    show(8192, 20, 7);
    expect_picture(client); /* raw */
    set_pixel(8191, 19, 0x123456);
    expect_picture(client);
    show(20, 8192, 7);
    expect_picture(client);
    viewer_drop(client);
}

/* ---- passwords ---- */

static bool let_in(const char *password)
{
    rfbClient *client;

    viewer_password = password;
    client = connect_viewer(&(struct viewer_options){0});
    if (!client)
        return false;
    expect_picture(client);
    viewer_drop(client);
    return true;
}

static void test_passwords(void **state)
{
    rfbClient *inside;

    start_options((struct vnc_options){.name = "guest", .password = true});
    assert_string_equal(query().auth, "vnc");
    assert_false(let_in("secret")); /* none set yet: nobody */
    assert_false(let_in(""));
    assert_true(set_password("secret"));
    assert_true(let_in("secret"));
    assert_false(let_in("Secret"));
    assert_false(let_in(""));
    viewer_password = "secret";
    inside = viewer();
    assert_true(set_password("another1 and more"));
    assert_false(let_in("secret"));
    assert_true(let_in("another1"));
    assert_true(let_in("another1234")); /* eight bytes count */
    show(640, 480, 4);
    expect_picture(inside); /* who is in stays */
    viewer_drop(inside);
    assert_true(set_password(NULL));
    assert_false(let_in("another1"));
}

/* One after the other, and each later than the one before; from elsewhere nobody waits. */
static void test_guesses_are_slowed(void **state)
{
    int64_t began = now();

    start_options((struct vnc_options){.name = "guest", .password = true});
    assert_true(set_password("secret"));
    for (int i = 0; i < 5; i++)
        assert_false(let_in("guess"));
    assert_true(now() - began >= 3 * SECOND); /* 0, 0, 0, 1, 2 */
    assert_true(let_in("secret"));            /* 4 */
    began = now();
    assert_true(let_in("secret")); /* forgotten */
    assert_true(now() - began < SECOND);
}

/* Who knows the view-only password sees, and does not type or point. */
static void test_view_only_password(void **state)
{
    rfbClient *looks, *types;

    start_options((struct vnc_options){.name = "guest", .password = true});
    assert_true(set_password("secret"));
    lock();
    assert_true(vnc_set_view_password(t.vnc, "looking", NULL));
    unlock();
    viewer_password = "looking";
    looks = viewer();
    expect_picture(looks);
    viewer_password = "secret";
    types = viewer();
    assert_true(SendKeyEvent(looks, 'a', TRUE));
    assert_true(SendPointerEvent(looks, 10, 10, 1));
    show(640, 480, 9);
    expect_picture(looks); /* what it said before was heard */
    assert_true(SendKeyEvent(types, 'b', TRUE));
    KEYS(0x30);
    assert_int_equal(t.buttons, 0);
    viewer_drop(looks);
    viewer_drop(types);
}

static void expire(int64_t at)
{
    lock();
    assert_true(vnc_expire_password(t.vnc, at, NULL));
    unlock();
}

static void test_passwords_expire(void **state)
{
    start_options((struct vnc_options){.name = "guest", .password = true});
    assert_true(set_password("secret"));
    expire(time(NULL) + 1000);
    assert_true(let_in("secret"));
    expire(time(NULL));
    assert_false(let_in("secret"));
    expire(0);
    assert_true(let_in("secret"));
}

/* As many at a time as one likes: the third and later wait for each other. */
static void test_guesses_at_the_same_time_are_slowed(void **state)
{
    enum { MANY = 20 };
    uint8_t bytes[30];
    struct pollfd fds[MANY];
    int64_t began = now();
    int answered = 0;

    start_options((struct vnc_options){.name = "guest", .password = true});
    assert_true(set_password("secret"));
    for (int i = 0; i < MANY; i++) {
        fds[i] = (struct pollfd){.fd = dial(), .events = POLLIN};
        SAY(fds[i].fd, "RFB 003.008\n\2");
        hear(fds[i].fd, bytes, 30);
        say(fds[i].fd, bytes, 16);
    }
    while (now() - began < 2 * SECOND)
        poll(fds, MANY, 100);
    for (int i = 0; i < MANY; i++) {
        answered += poll(&fds[i], 1, 0);
        close(fds[i].fd);
    }
    assert_in_range(answered, 1, 5);
}

/* The table's own arithmetic: the wait doubles up to its end; who is quiet for longest makes room. */
static void test_guesses_table(void **state)
{
    static const int64_t waits[] = {0, 0, 0, 1000, 2000, 4000, 8000, 16000, 16000, 16000};
    static struct guesses g;
    struct peer_key key = {{1}}, other = {{2}};
    unsigned nth;
    int64_t time = 5;

    for (unsigned i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        if (waits[i])
            assert_int_equal(guesses_ask(&g, &key, time, &nth), waits[i]);
        time += waits[i];
        assert_int_equal(guesses_ask(&g, &key, time, &nth), 0);
        assert_int_equal(nth, i + 1);
    }
    for (unsigned i = 0; i < 3 * GUESSES_PEERS; i++) {
        other.bytes[3] = i;
        other.bytes[4] = i >> 8;
        assert_int_equal(guesses_ask(&g, &other, ++time, &nth), 0);
        assert_int_equal(nth, 1);
    }
    assert_int_equal(guesses_ask(&g, &other, time + 1, &nth), 0);
    assert_int_equal(nth, 2);
    assert_int_equal(guesses_ask(&g, &other, time + GUESSES_FORGOTTEN + 2, &nth), 0);
    assert_int_equal(nth, 1);
}

/* Up to the challenge, which the server is given back with `change` added to its last byte. */
static uint8_t answer_with_challenge(const char *from, uint8_t change)
{
    uint8_t bytes[16];
    int fd = dial_from(from);

    hear(fd, bytes, 12);
    SAY(fd, "RFB 003.008\n");
    hear(fd, bytes, 2);
    assert_memory_equal(bytes, "\1\2", 2);
    SAY(fd, "\2");
    hear(fd, bytes, 16);
    bytes[15] += change;
    say(fd, bytes, 16);
    hear(fd, bytes, 4);
    close(fd);
    return bytes[3];
}

/* Whatever the password: those that make weak keys of DES, which some ciphers refuse, as well. */
static void test_challenge_sent_back_is_refused(void **state)
{
    static const char *const passwords[] = {"secret", "xxxxpppp", "\x80\x80\x80\x80\x80\x80\x80\x80",
                                            "\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f", "x"};

    start_options((struct vnc_options){.name = "guest", .password = true});
    for (size_t i = 0; i < sizeof(passwords) / sizeof(passwords[0]); i++) {
        assert_true(set_password(passwords[i]));
        char from[16];

        snprintf(from, sizeof(from), "127.0.1.%zu", i + 1); /* where nobody guessed before */
        assert_int_equal(answer_with_challenge(from, 0), 1);
        assert_int_equal(answer_with_challenge(from, 1), 1);
    }
    set_password(NULL);
    assert_int_equal(answer_with_challenge("127.0.0.4", 0), 1);
}

/* Known answers (openssl enc -des-ecb); the second password makes a weak key, and counts like another. */
static void test_right_answers(void **state)
{
    static const uint8_t challenge[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    static const struct {
        char password[9];
        uint8_t answer[16];
    } known[] = {
        {"secret", "\xEE\x22\x53\x9F\x33\xA5\x98\x3E\xC1\x2F\x9C\x2E\xDB\xC9\x95\xDD"},
        {"xxxxpppp", "\x45\x62\x92\x5D\x47\xFA\x79\xDB\xF1\xDA\x5B\xF3\xBE\xC4\x10\x45"},
    };

    for (size_t i = 0; i < 2; i++) {
        assert_true(vnc_auth_right(known[i].password, challenge, known[i].answer));
        assert_false(vnc_auth_right(known[i].password, challenge, known[1 - i].answer));
        assert_false(vnc_auth_right(known[i].password, challenge, challenge));
        assert_false(vnc_auth_right("", challenge, known[i].answer));
    }
}

static void test_no_password_to_set(void **state)
{
    struct error err;

    start();
    lock();
    assert_false(vnc_set_password(t.vnc, "x", &err));
    unlock();
    assert_non_null(strstr(err.text, "password"));
}

static void test_old_versions(void **state)
{
    static const char *const versions[] = {"RFB 003.003\n", "RFB 003.005\n", "RFB 003.007\n", "RFB 003.889\n",
                                           "RFB 004.001\n"};

    start();
    for (int i = 0; i < 5; i++) {
        uint8_t bytes[24];
        int fd = dial();

        hear(fd, bytes, 12);
        say(fd, versions[i], 12);
        if (i < 2) {
            hear(fd, bytes, 4);
            assert_memory_equal(bytes, "\0\0\0\1", 4);
        } else {
            hear(fd, bytes, 2);
            assert_memory_equal(bytes, "\1\1", 2);
            SAY(fd, "\1");
        }
        if (i == 4)
            hear(fd, bytes, 4);
        if (i != 3)
            SAY(fd, "\1");
        hear(fd, bytes, 24);
        assert_memory_equal(bytes, "\2\x80\1\xE0\x20\x18", 6);
        close(fd);
    }
}

/* ---- hostile viewers ---- */

static void test_bad_handshakes(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
    } talks[] = {
#define TALK(literal) {literal, sizeof(literal) - 1}
        TALK(""),
        TALK("GET / HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n"),
        TALK("\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03"),
        TALK("RFB 003.008"),
        TALK("RFB 003.008\r\n\r\n\r\n"),
        TALK("RFB 999999.999999999999\n"),
        TALK("RFB -01.-08\n"),
        TALK("RFB 002.008\n"),
        TALK("RFB 003.008\n\2"),
        TALK("RFB 003.008\n\x13"),
        TALK("RFB 003.008\n\1"),
    };

    start();
    for (size_t i = 0; i < sizeof(talks) / sizeof(talks[0]); i++) {
        int fd = dial();

        say(fd, talks[i].bytes, talks[i].length);
        shutdown(fd, SHUT_WR);
        expect_end(fd);
    }
    expect_works();
}

static void test_bad_messages(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
    } messages[] = {
        TALK("\7\0\0\0\0\0\0\0\xFF\xFF\xFF\xFF"), /* file transfer */
        TALK("\x08\2\0\0"),                       /* scaling */
        TALK("\x0F\2\0\0"),
        TALK("\x0B\0\0\0\0\0\0\x10"),       /* text chat */
        TALK("\1\0\0\0\0\0"),               /* colour map */
        TALK("\x96\1\0\0\0\0\0\1\0\1"),     /* continuous updates, not offered */
        TALK("\xFF\1\0\0\0\0\0\0\0\0\0\0"), /* QEMU audio */
        TALK("\xC8"),
        TALK("\0\0\0\0\x20\x18\0\1\0\xFF\0\xFF\0\xFF\xFF\x08\0\0\0\0"), /* pixel formats: shifts, maxima,
                                                                           depths */
        TALK("\0\0\0\0\x20\x18\0\1\0\0\0\0\0\0\x10\x08\0\0\0\0"),
        TALK("\0\0\0\0\x00\x18\0\1\0\xFF\0\xFF\0\xFF\x10\x08\0\0\0\0"),
        TALK("\0\0\0\0\x18\x18\0\1\0\xFF\0\xFF\0\xFF\x10\x08\0\0\0\0"),
        TALK("\0\0\0\0\xFF\x18\0\1\0\xFF\0\xFF\0\xFF\x10\x08\0\0\0\0"),
        TALK("\0\0\0\0\x20\x18\0\0\0\xFF\0\xFF\0\xFF\x10\x08\0\0\0\0"),
        TALK("\0\0\0\0\x08\x08\0\1\0\xFE\0\x01\0\x01\0\0\0\0\0\0"),
    };

    start();
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        int fd = enter();

        say(fd, messages[i].bytes, messages[i].length);
        expect_end(fd);
    }
    expect_works();
}

/* Odd, but harmless: the viewer stays. */
static void test_odd_messages(void **state)
{
    static uint8_t many[4 + 4 * 65535] = {2, 0, 0xFF, 0xFF};
    uint8_t rectangle[16], pixel[4];
    int fd;

    start();
    fd = enter();
    say(fd, many, sizeof(many));
    SAY(fd, "\2\0\0\0");
    SAY(fd, "\3\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF");
    SAY(fd, "\3\1\0\0\0\0\0\0\0\0");
    SAY(fd, "\6\0\0\0\0\0\0\5hello");
    SAY(fd, "\6\0\0\0\0\0\0\0");
    SAY(fd, "\xFB\0\0\0\0\0\1\0aaaaaaaaaaaaaaaa");
    SAY(fd, "\3\0\2\x7F\1\xDF\xFF\xFF\xFF\xFF"); /* the last pixel and all beyond */
    hear(fd, rectangle, 16);
    assert_memory_equal(rectangle, "\0\0\0\1\2\x7F\1\xDF\0\1\0\1\0\0\0\0", 16);
    hear(fd, pixel, 4);
    /* Byte by byte. */
    for (const char *p = "\3\0\0\0\0\0\0\1\0\1", *end = p + 10; p < end; p++) {
        say(fd, p, 1);
        usleep(1000);
    }
    hear(fd, rectangle, 16);
    hear(fd, pixel, 4);
    close(fd);
}

/* Text of any size is skipped, and what follows it is heard. */
static void test_large_cut_text_is_skipped(void **state)
{
    static const uint32_t sizes[] = {(1 << 20) + 1, 9 << 20};
    static uint8_t text[1 << 16];
    int fd;

    start();
    fd = enter();
    for (int i = 0; i < 2; i++) {
        uint8_t header[8] = {6, 0, 0, 0, sizes[i] >> 24, sizes[i] >> 16, sizes[i] >> 8, sizes[i]};

        say(fd, header, sizeof(header));
        for (uint32_t left = sizes[i], step; left; left -= step) {
            step = left < sizeof(text) ? left : sizeof(text);
            say(fd, text, step);
        }
        send_key(fd, 'a' + i, true);
        EVENTUALLY(keys_seen() == (unsigned)i + 1);
    }
    close(fd);
    fd = enter();
    SAY(fd, "\6\0\0\0\xFF\xFF\xFF\xFF"); /* and 4 GiB that never come */
    close(fd);
    expect_works();
}

/* The map's message has a byte that means nothing: it is 0, not what was in memory. */
static void test_colour_map(void **state)
{
    uint8_t bytes[6 + 256 * 6];
    int fd;

    start();
    for (int i = 0; i < 4; i++) {
        fd = enter();
        SAY(fd, "\0\0\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        hear(fd, bytes, sizeof(bytes));
        assert_memory_equal(bytes, "\1\0\0\0\1\0", 6);
        for (unsigned k = 0; k < 256; k++) {
            assert_int_equal(bytes[6 + 6 * k], (k & 7) * 0xFFFF / 7 >> 8);
            assert_int_equal(bytes[8 + 6 * k], (k >> 3 & 7) * 0xFFFF / 7 >> 8);
            assert_int_equal(bytes[10 + 6 * k], (k >> 6) * 0xFFFF / 3 >> 8);
        }
        close(fd);
    }
}

static void test_random_messages(void **state)
{
    uint32_t seed = 7;

    start();
    for (int i = 0; i < 300; i++) {
        uint8_t bytes[200];
        int fd = enter();

        for (size_t k = 0; k < sizeof(bytes); k++) {
            seed = seed * 1664525 + 1013904223;
            bytes[k] = seed >> 24;
        }
        bytes[0] %= 7;
        send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL);
        close(fd);
    }
    expect_works();
}

/* ---- input ---- */

static void test_keys(void **state)
{
    int fd;

    start();
    fd = enter();
    send_key(fd, 'a', true);
    send_key(fd, 'a', false);
    KEYS(0x1E, 0x9E);
    send_key(fd, 'A', true); /* without shift: the guest gets one */
    send_key(fd, 'A', false);
    KEYS(0x2A, 0x1E, 0xAA, 0x9E);
    send_key(fd, 0xFF52, true); /* up */
    send_key(fd, 0xFF52, false);
    KEYS(0xE048, 0xE0C8);
    /* What is held when the viewer goes is released. */
    send_key(fd, 0xFFE3, true);
    send_key(fd, 'c', true);
    KEYS(0x1D, 0x2E);
    close(fd);
    KEYS(0x9D, 0xAE);
}

static void test_extended_keys(void **state)
{
    uint8_t bytes[16];
    int fd;

    start();
    fd = enter();
    SAY(fd, "\2\0\0\1\xFF\xFF\xFE\xFE");
    hear(fd, bytes, 16);
    assert_memory_equal(bytes, "\0\0\0\1\0\0\0\0\2\x80\1\xE0\xFF\xFF\xFE\xFE", 16);
    SAY(fd, "\xFF\0\0\1\0\0\0\x61\0\0\0\x10"); /* an "a" on a French keyboard */
    SAY(fd, "\xFF\0\0\0\0\0\0\x61\0\0\0\x10");
    SAY(fd, "\xFF\0\0\1\0\0\xFF\x52\0\0\0\xC8");
    SAY(fd, "\xFF\0\0\0\0\0\xFF\x52\0\0\0\xC8");
    SAY(fd, "\xFF\0\0\1\0\0\xFF\x13\0\0\0\xC6");
    SAY(fd, "\xFF\0\0\1\0\0\0\x61\0\0\0\0"); /* no scan code: by symbol */
    SAY(fd, "\xFF\0\0\1\0\0\0\x62\xFF\xFF\xFF\xFF");
    KEYS(0x10, 0x90, 0xE048, 0xE0C8, CONSOLE_KEY_PAUSE, 0x1E, 0x30);
    close(fd);
    KEYS(0x9E, 0xB0);
}

static void send_code(int fd, bool down, uint32_t keysym, uint8_t qnum)
{
    uint8_t message[12] = {0xFF, 0, 0, down, keysym >> 24, keysym >> 16, keysym >> 8, keysym, 0, 0, 0, qnum};

    say(fd, message, sizeof(message));
}

static void tap_code(int fd, uint32_t keysym, uint8_t qnum)
{
    send_code(fd, true, keysym, qnum);
    send_code(fd, false, keysym, qnum);
}

static void set_lights(uint8_t lights)
{
    lock();
    console_set_leds(t.console, lights);
    unlock();
}

/* A browser sends scan codes and cannot set its lock keys: the guest's follow what the keys give. */
static void test_lock_keys_follow_the_viewer(void **state)
{
    int fd;

    start_options((struct vnc_options){.name = "guest", .lock_key_sync = true});
    fd = enter();
    tap_code(fd, 'a', 0x1E);
    KEYS(0x1E, 0x9E);
    tap_code(fd, 'A', 0x1E); /* Caps Lock is on there; what follows at once finds it so */
    tap_code(fd, 'B', 0x30);
    KEYS(0x3A, 0xBA, 0x1E, 0x9E, 0x30, 0xB0);
    set_lights(LOCK_CAPS);
    tap_code(fd, 'C', 0x2E);
    tap_code(fd, '1', 0x02);
    KEYS(0x2E, 0xAE, 0x02, 0x82);
    send_code(fd, true, 0xFFE1, 0x2A);
    tap_code(fd, 'c', 0x2E); /* with shift and Caps Lock */
    send_code(fd, false, 0xFFE1, 0x2A);
    KEYS(0x2A, 0x2E, 0xAE, 0xAA);
    send_code(fd, true, 0xFFE3, 0x1D);
    tap_code(fd, 'c', 0x2E); /* Ctrl+C */
    send_code(fd, false, 0xFFE3, 0x1D);
    KEYS(0x1D, 0x2E, 0xAE, 0x9D);
    tap_code(fd, 0xFFE5, 0x3A); /* the viewer's own Caps Lock comes through, and is not undone */
    tap_code(fd, 'd', 0x20);
    KEYS(0x3A, 0xBA, 0x20, 0xA0);
    set_lights(0);
    tap_code(fd, 0xFFB7, 0x47); /* keypad 7 */
    KEYS(0x45, 0xC5, 0x47, 0xC7);
    set_lights(LOCK_NUM);
    tap_code(fd, 0xFF95, 0x47); /* keypad Home */
    KEYS(0x45, 0xC5, 0x47, 0xC7);
    close(fd);
}

/* Not where the viewer follows the guest's lights, or is told not to. */
static void test_lock_keys_are_left_alone(void **state)
{
    uint8_t bytes[17];
    int fd;

    start_options((struct vnc_options){.name = "guest", .lock_key_sync = true});
    fd = enter();
    SAY(fd, "\2\0\0\1\xFF\xFF\xFE\xFB");
    hear(fd, bytes, 17);
    tap_code(fd, 'A', 0x1E);
    KEYS(0x1E, 0x9E);
    close(fd);
    EVENTUALLY(viewers() == 0);
    lock();
    vnc_stop(t.vnc);
    unlock();
    start();
    fd = enter();
    tap_code(fd, 'A', 0x1E);
    KEYS(0x1E, 0x9E);
    close(fd);
}

/* A guest that does not switch its lights is not sent lock keys again and again. */
static void test_lock_sync_without_lights(void **state)
{
    struct lock_sync sync = {0};
    const int64_t second = 1000000000;

    assert_int_equal(lock_sync_before(&sync, 0x1E, 'A', false, 0, 0), SCAN_CAPS_LOCK);
    lock_sync_pressed(&sync, SCAN_CAPS_LOCK, 0, 0);
    assert_int_equal(lock_sync_before(&sync, 0x1E, 'A', false, 0, second / 2), 0);
    assert_int_equal(lock_sync_before(&sync, 0x1E, 'A', false, 0, 2 * second), 0);
    assert_int_equal(lock_sync_before(&sync, 0x1E, 'a', false, LOCK_CAPS, 2 * second), 0);
    lock_sync_lights(&sync, 0);
    assert_int_equal(lock_sync_before(&sync, 0x1E, 'A', false, 0, 3 * second), SCAN_CAPS_LOCK);
    assert_int_equal(lock_sync_before(&sync, 0x29, 0xDF, false, LOCK_CAPS, 3 * second), 0); /* sharp s */
}

static void test_many_keys_all_arrive(void **state)
{
    int fd;

    start();
    fd = enter();
    for (int i = 0; i < 1000; i++) {
        send_key(fd, 'x', true);
        send_key(fd, 'x', false);
    }
    EVENTUALLY(keys_seen() == 2000);
    close(fd);
}

/* One who types and leaves at once, without a look at the picture that is being sent. */
static void test_keys_of_a_leaving_viewer_arrive(void **state)
{
    static const uint8_t request[] = {3, 0, 0, 0, 0, 0, 6, 0, 4, 0};
    const struct linger at_once = {.l_onoff = 1};
    const int on = 1;
    enum { ROUNDS = 40 };

    show(1536, 1024, 1);
    start();
    for (unsigned i = 0; i < ROUNDS; i++) {
        int fd = enter();

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        say(fd, request, sizeof(request));
        usleep(i % 8 * 700);
        send_key(fd, 'x', true);
        send_key(fd, 'x', false);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        close(fd);
    }
    /* Of two that hold it at the same time, the last one's release counts. */
    EVENTUALLY(presses_seen() == ROUNDS && viewers() == 0);
}

/* What another viewer holds as well stays down until that one lets go, too. */
static void test_keys_are_counted_by_viewer(void **state)
{
    int a, b;

    start();
    a = enter();
    b = enter();
    send_key(a, 0xFFE1, true);
    KEYS(0x2A);
    send_key(b, 0xFFE1, true);
    KEYS(0x2A);
    send_key(b, 0xFFE1, false);
    send_key(b, 'x', true);
    KEYS(0x2D);
    send_key(b, 0xFFE1, true);
    KEYS(0x2A);
    close(b);
    KEYS(0xAD); /* x; not shift */
    send_key(a, 'A', true);
    send_key(a, 'A', false);
    KEYS(0x1E, 0x9E);
    send_key(a, 0xFFE1, false);
    KEYS(0xAA);
    close(a);
}

static void test_buttons_are_counted_by_viewer(void **state)
{
    int a, b;

    start();
    a = enter();
    b = enter();
    send_pointer(a, 1, 10, 10);
    EVENTUALLY(t.buttons == POINTER_LEFT);
    send_pointer(b, 0, 10, 10);
    send_pointer(b, 0, 20, 10);
    EVENTUALLY(t.moves == 3);
    assert_int_equal(t.buttons, POINTER_LEFT);
    send_pointer(b, 4, 20, 10);
    EVENTUALLY(t.buttons == (POINTER_LEFT | POINTER_RIGHT));
    close(b);
    EVENTUALLY(t.buttons == POINTER_LEFT);
    send_pointer(a, 0, 10, 10);
    EVENTUALLY(t.buttons == 0);
    close(a);
}

static void note_keys(void *opaque)
{
    *(unsigned *)opaque = t.key_count;
}

/* Floods of input from many viewers: others get their turn at the machine after a moment of it. */
static void test_input_floods_leave_turns_to_others(void **state)
{
    enum { FLOODERS = 8, STROKES = 100 };
    unsigned at_turn = 0;
    struct loop_work turn = {.run = note_keys, .opaque = &at_turn};
    int fds[FLOODERS];

    start();
    for (int i = 0; i < FLOODERS; i++)
        fds[i] = enter();
    EVENTUALLY(viewers() == FLOODERS);
    lock();
    t.key_time = 100 * NS_PER_US;
    for (int i = 0; i < FLOODERS; i++)
        for (int n = 0; n < STROKES; n++) {
            send_key(fds[i], 'x', true);
            send_key(fds[i], 'x', false);
        }
    usleep(300000); /* for the viewers' threads to queue them; if they do not, the test only proves less */
    loop_post(&t.loop, &turn);
    unlock();
    EVENTUALLY(at_turn);
    assert_in_range(at_turn, 1, 500);
    EVENTUALLY(keys_seen() >= STROKES * FLOODERS);
    for (int i = 0; i < FLOODERS; i++)
        close(fds[i]);
}

static void test_relative_mouse(void **state)
{
    int fd;

    start();
    fd = enter();
    send_pointer(fd, 0, 100, 100);
    send_pointer(fd, 1, 100, 100);
    EVENTUALLY(t.buttons == POINTER_LEFT);
    assert_int_equal(t.x, 0);
    send_pointer(fd, 6, 110, 95);
    EVENTUALLY(t.buttons == (POINTER_MIDDLE | POINTER_RIGHT));
    assert_int_equal(t.x, 10);
    assert_int_equal(t.y, -5);
    send_pointer(fd, 8, 110, 95);
    send_pointer(fd, 0, 110, 95);
    send_pointer(fd, 8, 110, 95);
    EVENTUALLY(t.wheel == 2);
    send_pointer(fd, 16, 110, 95);
    EVENTUALLY(t.wheel == 1);
    send_pointer(fd, 1, 65535, 65535); /* outside: at the edge */
    EVENTUALLY(t.buttons == POINTER_LEFT);
    assert_int_equal(t.x, 539);
    close(fd);
    EVENTUALLY(t.buttons == 0);
}

/* Moves that reach a busy machine thread together were one position, the viewer's first: nothing moved. */
static void test_first_moves_together(void **state)
{
    int fd;

    start();
    fd = enter();
    lock();
    send_pointer(fd, 0, 100, 100);
    send_pointer(fd, 0, 105, 99);
    send_pointer(fd, 0, 110, 95);
    usleep(200000); /* for the viewer's thread to take them; if it does not, the test only proves less */
    unlock();
    EVENTUALLY(t.x == 10 && t.y == -5);
    close(fd);
}

/* After the guest's pointer was put into the corner, it goes to where the viewer's is. */
static void test_drifted_pointer_comes_home(void **state)
{
    int fd, x, y;

    start();
    fd = enter();
    send_pointer(fd, 0, 100, 100);
    send_pointer(fd, 1, 100, 100);
    EVENTUALLY(t.buttons == POINTER_LEFT);
    lock();
    console_pointer_home(t.console);
    x = t.x;
    y = t.y;
    unlock();
    assert_true(x < -640 && y < -480);
    send_pointer(fd, 0, 50, 60);
    EVENTUALLY(t.x == x + 50 && t.y == y + 60);
    close(fd);
    EVENTUALLY(viewers() == 0);
}

static void test_absolute_pointer(void **state)
{
    int fd;

    lock();
    console_add_pointer(t.console, &t.tablet);
    unlock();
    start();
    fd = enter();
    send_pointer(fd, 0, 639, 479);
    EVENTUALLY(t.x == POINTER_RANGE);
    assert_int_equal(t.y, POINTER_RANGE);
    send_pointer(fd, 0, 0, 0);
    EVENTUALLY(t.x == 0);
    send_pointer(fd, 4, 320, 240);
    EVENTUALLY(t.buttons == POINTER_RIGHT);
    close(fd); /* held buttons go up with the viewer, where the pointer is */
    EVENTUALLY(t.buttons == 0);
    assert_in_range(t.x, 16380, 16420);
    EVENTUALLY(viewers() == 0);
    lock();
    console_remove_pointer(t.console, &t.tablet);
    unlock();
}

static void test_pointer_motion_change(void **state)
{
    uint8_t bytes[16];
    int fd;

    start();
    fd = enter();
    SAY(fd, "\2\0\0\1\xFF\xFF\xFE\xFF");
    hear(fd, bytes, 16); /* relative from now on */
    assert_memory_equal(bytes, "\0\0\0\1\0\0\0\0\2\x80\1\xE0\xFF\xFF\xFE\xFF", 16);
    send_pointer(fd, 0, 0x7FFF + 7, 0x7FFF - 3);
    EVENTUALLY(t.x == 7);
    assert_int_equal(t.y, -3);
    lock();
    console_add_pointer(t.console, &t.tablet);
    unlock();
    send_pointer(fd, 0, 0x7FFF + 1, 0x7FFF);
    hear(fd, bytes, 16);
    assert_memory_equal(bytes, "\0\0\0\1\0\1\0\0\2\x80\1\xE0\xFF\xFF\xFE\xFF", 16);
    send_pointer(fd, 0, 639, 479);
    EVENTUALLY(t.y == POINTER_RANGE);
    close(fd);
}

static void test_led_state(void **state)
{
    uint8_t bytes[17];
    int fd;

    start();
    fd = enter();
    SAY(fd, "\2\0\0\1\xFF\xFF\xFE\xFB");
    hear(fd, bytes, 17);
    assert_memory_equal(bytes, "\0\0\0\1\0\0\0\0\2\x80\1\xE0\xFF\xFF\xFE\xFB\0", 17);
    lock();
    console_set_leds(t.console, 6);
    unlock();
    hear(fd, bytes, 17);
    assert_int_equal(bytes[16], 6);
    close(fd);
}

/* ---- options ---- */

static void expect_refused(struct vnc_options options, const char *words)
{
    struct error err = {""};

    if (!options.address)
        options.address = "127.0.0.1:0";
    assert_false(start_with(&options, &err));
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
    assert_null(strchr(err.text, '\n'));
}

static void test_bad_options(void **state)
{
    expect_refused((struct vnc_options){.address = "localhost"}, "expected ADDRESS:DISPLAY");
    expect_refused((struct vnc_options){.address = "localhost:"}, "expected ADDRESS:DISPLAY");
    expect_refused((struct vnc_options){.address = "localhost:x"}, "expected ADDRESS:DISPLAY");
    expect_refused((struct vnc_options){.address = "127.0.0.1:99999"}, "0 to 59635");
    expect_refused((struct vnc_options){.address = "::1]:1"}, "::1]:1");
    expect_refused((struct vnc_options){.address = "[::1:1"}, "']' is missing");
    expect_refused((struct vnc_options){.address = "192.0.2.1:1"}, "192.0.2.1");
    expect_refused((struct vnc_options){.address = "unix:"}, "path is missing");
    expect_refused((struct vnc_options){.address = "unix:/nowhere/at/all"}, "No such file");
    expect_refused((struct vnc_options){.layout = "en-uss"}, "did you mean en-us?");
}

static void test_port_taken(void **state)
{
    struct vnc_options options = {.name = "guest"};
    char address[32];
    struct vnc *first;
    int port;

    start();
    first = t.vnc;
    port = t.port;
    snprintf(address, sizeof(address), "127.0.0.1:%d", port - VNC_BASE_PORT);
    options.address = address;
    expect_refused(options, "in use");
    options.to = port - VNC_BASE_PORT + 50;
    assert_true(start_with(&options, NULL));
    assert_in_range(t.port, port + 1, port + 50);
    expect_works();
    lock();
    vnc_stop(first);
    unlock();
}

static void test_unix_socket(void **state)
{
    char directory[] = "/tmp/vnc-test-XXXXXX", address[64];
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct vnc_options options = {.address = address};
    uint8_t bytes[12];
    int fd;

    assert_non_null(mkdtemp(directory));
    snprintf(address, sizeof(address), "unix:%s/s", directory);
    strcpy(addr.sun_path, address + 5);
    assert_true(start_with(&options, NULL));
    assert_string_equal(query().server.family, "unix");
    assert_string_equal(query().server.host, address + 5);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    hear(fd, bytes, 12);
    close(fd);
    {
        struct vnc *first = t.vnc;

        expect_refused(options, "listens there already");
        t.vnc = first;
    }
    lock();
    vnc_stop(t.vnc);
    t.vnc = NULL;
    unlock();
    assert_int_equal(access(addr.sun_path, F_OK), -1);
    rmdir(directory);
}

static void test_ipv6_and_all_addresses(void **state)
{
    static const char *const addresses[] = {"[::1]:%u", ":%u", "localhost:%u"};

    for (int i = 0; i < 3; i++) {
        unsigned display = 21000 + getpid() % 10000;
        struct vnc_options options = {.to = display + 100};
        struct error err;
        char address[32];

        snprintf(address, sizeof(address), addresses[i], display);
        options.address = address;
        if (!start_with(&options, &err)) {
            if (i == 0)
                continue; /* no IPv6 here */
            fail_msg("%s", err.text);
        }
        if (i == 0)
            assert_string_equal(query().server.family, "ipv6");
        else
            expect_works();
        lock();
        vnc_stop(t.vnc);
        t.vnc = NULL;
        unlock();
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_picture),
        TEST(test_encodings),
        TEST(test_resize),
        TEST(test_fixed_canvas),
        TEST(test_change_arrives_at_once),
        TEST(test_nothing_ticks),
        TEST(test_pixel_formats),
        TEST(test_viewers_share),
        TEST(test_exclusive_disconnects_the_others),
        TEST(test_force_shared_refuses_exclusive),
        TEST(test_share_ignore),
        TEST(test_reconnect_50_times),
        TEST(test_too_many_viewers),
        TEST(test_silent_connections_make_room),
        TEST(test_half_open_connections_keep_nobody_out),
        TEST(test_stalled_viewer),
        TEST(test_nobody_takes_pictures),
        TEST(test_pictures_of_many_viewers_are_bounded),
        TEST(test_stalled_viewers_hold_no_old_pictures),
        TEST(test_pictures_are_8192_wide_at_most),
        TEST(test_passwords),
        TEST(test_guesses_are_slowed),
        TEST(test_view_only_password),
        TEST(test_passwords_expire),
        TEST(test_guesses_at_the_same_time_are_slowed),
        cmocka_unit_test(test_guesses_table),
        TEST(test_challenge_sent_back_is_refused),
        cmocka_unit_test(test_right_answers),
        TEST(test_no_password_to_set),
        TEST(test_old_versions),
        TEST(test_bad_handshakes),
        TEST(test_bad_messages),
        TEST(test_odd_messages),
        TEST(test_large_cut_text_is_skipped),
        TEST(test_colour_map),
        TEST(test_random_messages),
        TEST(test_keys),
        TEST(test_extended_keys),
        TEST(test_lock_keys_follow_the_viewer),
        TEST(test_lock_keys_are_left_alone),
        cmocka_unit_test(test_lock_sync_without_lights),
        TEST(test_many_keys_all_arrive),
        TEST(test_keys_of_a_leaving_viewer_arrive),
        TEST(test_keys_are_counted_by_viewer),
        TEST(test_buttons_are_counted_by_viewer),
        TEST(test_input_floods_leave_turns_to_others),
        TEST(test_relative_mouse),
        TEST(test_first_moves_together),
        TEST(test_drifted_pointer_comes_home),
        TEST(test_absolute_pointer),
        TEST(test_pointer_motion_change),
        TEST(test_led_state),
        TEST(test_bad_options),
        TEST(test_port_taken),
        TEST(test_unix_socket),
        TEST(test_ipv6_and_all_addresses),
    };

    signal(SIGPIPE, SIG_IGN); /* libvncclient writes to servers that are gone */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
