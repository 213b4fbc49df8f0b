/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The window as a person meets it on a desktop: what it shows is the guest's picture, keys and pointer reach
 * the guest, closing hides it, and nothing that happens to the X server happens to the guest.
 */
#include <X11/Xutil.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/cmocka.h"
#include "tests/lib/picture.h"
#include "tests/lib/qpci.h"
#include "tests/lib/usbport.h"
#include "tests/lib/viewer.h"
#include "tests/lib/wait.h"
#include "tests/lib/xserver.h"

enum { WIDTH = 800, HEIGHT = 600 };

static struct xserver x;
static struct qtest *q;
static char name[32];
static Window window;
static struct qpci vga;

static int tear_down(void **state)
{
    qtest_stop(q);
    q = NULL;
    vga.q = NULL;
    return 0;
}

static Window find_window(void)
{
    return window = xserver_find(&x, name);
}

static bool is_titled(const char *rest)
{
    char title[96];

    snprintf(title, sizeof(title), "%s%s", name, rest);
    return !strcmp(xserver_title(&x, window), title);
}

static void focus(void)
{
    Window focused;
    int revert;

    XRaiseWindow(x.display, window);
    assert_true(SOON(({
        XSetInputFocus(x.display, window, RevertToPointerRoot, CurrentTime);
        XGetInputFocus(x.display, &focused, &revert);
        focused == window;
    })));
}

/* A guest with a window; options of -display sdl, and others. */
static void start(const char *options, const char *others)
{
    static unsigned number;

    snprintf(name, sizeof(name), "guest%d-%u", (int)getpid(), ++number);
    q = qtest_startf("-machine pc -nodefaults -vga std -name %s -display sdl%s %s", name, options, others);
    assert_true(SOON(find_window()));
    focus();
}

/* A mode of the Bochs VBE registers, with something in it. */
static void show_picture(unsigned seed)
{
    const uint16_t registers[][2] = {{4, 0}, {1, WIDTH}, {2, HEIGHT}, {3, 32}, {4, 0x41}};
    uint32_t *pixels = malloc(WIDTH * HEIGHT * 4);

    if (!vga.q) {
        vga = qpci_get(q, 0x1234, 0x1111);
        qpci_map(&vga, 0);
        qpci_enable(&vga);
    }
    for (unsigned i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
        qtest_outw(q, 0x1CE, registers[i][0]);
        qtest_outw(q, 0x1CF, registers[i][1]);
    }
    qtest_inb(q, 0x3DA);
    qtest_outb(q, 0x3C0, 0x20);
    for (unsigned i = 0; i < WIDTH * HEIGHT; i++) {
        seed = seed * 1664525 + 1013904223;
        pixels[i] = i / 7000 % 2 ? seed >> 8 : i;
    }
    qtest_memwrite(q, vga.bars[0], pixels, WIDTH * HEIGHT * 4);
    free(pixels);
}

static bool has_size(unsigned width, unsigned height)
{
    XRectangle place = xserver_place(&x, window);

    return place.width == width && place.height == height;
}

static bool shows(const struct picture *picture)
{
    XImage *image = has_size(picture->width, picture->height) ? xserver_picture(&x, window) : NULL;
    bool same = image;

    for (int i = 0; same && i < picture->width * picture->height; i++)
        same = (XGetPixel(image, i % picture->width, i / picture->width) & 0xFFFFFF) ==
               picture_pixel(picture, i % picture->width, i / picture->width);
    if (image)
        XDestroyImage(image);
    return same;
}

static void expect_dump(void)
{
    struct picture dump = picture_take(q);

    assert_true(SOON(shows(&dump)));
    picture_free(&dump);
}

/* ---- the picture ---- */

static bool viewer_shows_the_same(const rfbClient *client)
{
    XImage *image = has_size(client->width, client->height) ? xserver_picture(&x, window) : NULL;
    bool same = image;

    for (int i = 0; same && i < client->width * client->height; i++)
        same = (XGetPixel(image, i % client->width, i / client->width) & 0xFFFFFF) ==
               (((uint32_t *)client->frameBuffer)[i] & 0xFFFFFF);
    if (image)
        XDestroyImage(image);
    return same;
}

static void check_picture(const char *options)
{
    char vnc[64];
    json_t *answer;
    rfbClient *client;

    snprintf(vnc, sizeof(vnc), "-vnc 127.0.0.1:%u,to=40000", 1000 + getpid() % 20000);
    start(options, vnc);
    answer = qtest_qmp_ok(q, "{'execute':'query-vnc'}");
    client = viewer_connect(atoi(json_string_value(json_object_get(answer, "service"))), "raw", false);
    json_decref(answer);
    assert_non_null(client);
    for (unsigned i = 0; i < 3; i++) {
        show_picture(i);
        expect_dump();
        while (!viewer_shows_the_same(client))
            assert_true(viewer_wait(client, PATIENCE * 1000000) > 0 && HandleRFBServerMessage(client));
    }
    viewer_drop(client);
}

static void test_window_and_viewer_show_the_guests_picture(void **state)
{
    check_picture(",gl=off");
}

static void test_opengl_shows_the_guests_picture(void **state)
{
    check_picture("");
}

static void test_sizes(void **state)
{
    start(",gl=off", "");
    show_picture(1);
    assert_true(SOON(has_size(WIDTH, HEIGHT)));
    xserver_run(&x, "xdotool key ctrl+alt+f");
    assert_true(SOON(has_size(XSERVER_WIDTH, XSERVER_HEIGHT)));
    xserver_run(&x, "xdotool key ctrl+alt+f");
    assert_true(SOON(has_size(WIDTH, HEIGHT)));
    xserver_run(&x, "xdotool key ctrl+alt+plus");
    assert_true(SOON(has_size(WIDTH * 5 / 4, HEIGHT * 5 / 4)));
    xserver_run(&x, "xdotool key ctrl+alt+minus key ctrl+alt+minus");
    assert_true(SOON(has_size(WIDTH * 3 / 4, HEIGHT * 3 / 4)));
    /* A person's own choice stays when the guest changes its mode. */
    xserver_run(&x, "xdotool windowsize %lu 500 450", window);
    assert_true(SOON(has_size(500, 450)));
    qtest_outw(q, 0x1CE, 4);
    qtest_outw(q, 0x1CF, 0);
    json_decref(qtest_qmp_ok(q, "{'execute':'query-status'}"));
    assert_true(has_size(500, 450));
    show_picture(2);
    xserver_run(&x, "xdotool key ctrl+alt+u");
    assert_true(SOON(has_size(WIDTH, HEIGHT)));
    expect_dump();
}

/* ---- keys and pointer ---- */

static uint8_t next_byte(uint8_t aux)
{
    assert_true(SOON(qtest_inb(q, 0x64) & 1));
    assert_int_equal(qtest_inb(q, 0x64) & 0x20, aux);
    return qtest_inb(q, 0x60);
}

static void expect_bytes(uint8_t aux, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(next_byte(aux), bytes[i]);
}
#define EXPECT_KEYS(...)                                                                                     \
    expect_bytes(0, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define EXPECT_MOUSE(...)                                                                                    \
    expect_bytes(0x20, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void enable_keyboard(void)
{
    qtest_outb(q, 0x64, 0x60);
    qtest_outb(q, 0x60, 0x47);
}

/* A held key repeats until then. */
static void expect_release(uint8_t code)
{
    uint8_t byte;

    while ((byte = next_byte(0)) == code)
        ;
    assert_int_equal(byte, code | 0x80);
}

/* And not the keyboard: what commands the window is seen by the guest as well. */
static void enable_mouse(void)
{
    qtest_outb(q, 0x64, 0xAD);
    qtest_outb(q, 0x64, 0xD4);
    qtest_outb(q, 0x60, 0xF4);
    EXPECT_MOUSE(0xFA);
}

static void test_keys_reach_the_guest(void **state)
{
    start(",gl=off", "");
    enable_keyboard();
    xserver_run(&x, "xdotool key a key Up key KP_Enter");
    EXPECT_KEYS(0x1E, 0x9E, 0xE0, 0x48, 0xE0, 0xC8, 0xE0, 0x1C, 0xE0, 0x9C);
    /* What desktops keep for themselves. */
    xserver_run(&x, "xdotool keydown ctrl keydown alt key End");
    EXPECT_KEYS(0x1D, 0x38, 0x1D, 0x38, 0xE0, 0x53, 0xE0, 0xD3);
    xserver_run(&x, "xdotool keyup alt keyup ctrl");
    EXPECT_KEYS(0xB8, 0x9D);
    /* The window's own combination is not the guest's. */
    xserver_run(&x, "xdotool keydown ctrl keydown alt key u keyup alt keyup ctrl");
    EXPECT_KEYS(0x1D, 0x38, 0xB8, 0x9D);
}

/* Keys that are held when another window gets the keyboard do not stay down. */
static void test_leaving_releases_the_keys(void **state)
{
    start(",gl=off", "");
    enable_keyboard();
    xserver_run(&x, "xdotool keydown shift");
    EXPECT_KEYS(0x2A);
    XSetInputFocus(x.display, None, RevertToNone, CurrentTime);
    XFlush(x.display);
    expect_release(0x2A);
    xserver_run(&x, "xdotool keyup shift");
}

static void test_click_grabs_the_pointer_and_ctrl_alt_releases_it(void **state)
{
    XRectangle place;

    start(",gl=off", "");
    enable_mouse();
    place = xserver_place(&x, window);
    /* Not grabbed: a movement over the window is not the guest's. */
    xserver_run(&x, "xdotool mousemove %d %d mousemove %d %d click 1", place.x + 50, place.y + 50,
                place.x + 60, place.y + 60);
    assert_true(SOON(is_titled(" (running) - Ctrl-Alt releases the pointer")));
    xserver_run(&x, "xdotool mousemove_relative -- 7 -3 mousedown 1");
    EXPECT_MOUSE(0x08, 7, 3, 0x09, 0, 0);
    xserver_run(&x, "xdotool mouseup 1");
    EXPECT_MOUSE(0x08, 0, 0);
    xserver_run(&x, "xdotool keydown ctrl keydown alt keyup alt keyup ctrl");
    assert_true(SOON(is_titled(" (running)")));
    xserver_run(&x, "xdotool mousemove_relative 5 5");
    xserver_run(&x, "xdotool key ctrl+alt+g");
    assert_true(SOON(is_titled(" (running) - Ctrl-Alt releases the pointer")));
    xserver_run(&x, "xdotool mousemove_relative 11 12");
    EXPECT_MOUSE(0x28, 11, 0xF4);
}

/* This comes among what the tablet reports. */
static void expect_report(struct usbport *u, const uint8_t report[6])
{
    uint8_t data[8] = {0};

    assert_true(SOON(usbport_poll(u, 1, data, 8, 8) == 6 && !memcmp(data, report, 6)));
}

/* With a tablet the guest's pointer is where the hand is: the same pixel, scaled or not, and no click is
 * lost. */
static void test_tablet_needs_no_grab(void **state)
{
    static struct usbport u;
    uint8_t data[8] = {0};
    XRectangle place;

    start(",gl=off", "-usb -device usb-tablet");
    show_picture(1);
    assert_true(SOON(has_size(WIDTH, HEIGHT)));
    usbport_start(&u, q);
    usbport_reset_port(&u, 0);
    usbport_configure(&u, 1);
    place = xserver_place(&x, window);
    /* The guest asks, then the console knows of the tablet, and then the window. */
    for (unsigned i = 0; usbport_poll(&u, 1, data, 8, 40) != 6; i++)
        xserver_run(&x, "xdotool mousemove %d %d", place.x + 100 + i % 2, place.y + 100);
    xserver_run(&x, "xdotool mousemove %d %d mousedown 1", place.x, place.y);
    xserver_run(&x, "xdotool mousemove %d %d", place.x + WIDTH - 1, place.y + HEIGHT - 1);
    expect_report(&u, (const uint8_t[]){1, 0, 0, 0, 0, 0});
    expect_report(&u, (const uint8_t[]){1, 0xFF, 0x7F, 0xFF, 0x7F, 0});
    xserver_run(&x, "xdotool mouseup 1");
    expect_report(&u, (const uint8_t[]){0, 0xFF, 0x7F, 0xFF, 0x7F, 0});
    assert_true(is_titled(" (running)"));
}

/* ---- the window's life ---- */

static void test_title_says_whether_the_guest_runs(void **state)
{
    start(",gl=off", "");
    assert_true(SOON(is_titled(" (running)")));
    json_decref(qtest_qmp_ok(q, "{'execute':'stop'}"));
    assert_true(SOON(is_titled(" (stopped)")));
    json_decref(qtest_qmp_ok(q, "{'execute':'cont'}"));
    assert_true(SOON(is_titled(" (running)")));
}

static void test_closing_hides_and_the_guest_goes_on(void **state)
{
    const char *program = getenv("HVM_DM");

    start(",gl=off", "");
    show_picture(1);
    expect_dump();
    xserver_close_window(&x, window);
    assert_true(SOON(!find_window()));
    show_picture(2);
    xserver_run(&x, "%s -show %s", program ? program : "build/hvm-dm-system-x86_64", name);
    assert_true(SOON(find_window()));
    expect_dump();
    xserver_close_window(&x, window);
    assert_true(SOON(!find_window()));
    json_decref(qtest_qmp_ok(q, "{'execute':'display_add','arguments':{'type':'sdl'}}"));
    assert_true(SOON(find_window()));
    expect_dump();
}

static void test_window_is_opened_by_command(void **state)
{
    snprintf(name, sizeof(name), "later%d", (int)getpid());
    q = qtest_startf("-machine pc -nodefaults -vga std -name %s", name);
    json_decref(qtest_qmp_ok(q, "{'execute':'display_add','arguments':{'type':'sdl','gl':false}}"));
    assert_true(SOON(find_window()));
    show_picture(3);
    expect_dump();
}

static void test_closing_ends_where_that_is_wished(void **state)
{
    start(",gl=off,window-close=on", "");
    xserver_close_window(&x, window);
    assert_int_equal(qtest_wait_exit(q), 0);
    qtest_stop(q);
    q = NULL;
}

/* What all threads of the program slept and were woken. */
static unsigned wakeups(void)
{
    char command[100], line[100];
    unsigned sum = 0, n;
    FILE *pipe;

    snprintf(command, sizeof(command), "cat /proc/%d/task/*/status", qtest_pid(q));
    pipe = popen(command, "r");
    while (fgets(line, sizeof(line), pipe))
        if (sscanf(line, "voluntary_ctxt_switches: %u", &n) == 1)
            sum += n;
    pclose(pipe);
    return sum;
}

static void test_quiet_window_sleeps(void **state)
{
    unsigned before = 0;

    start(",gl=off", "");
    show_picture(1);
    expect_dump();
    assert_true(SOON(({
        unsigned last = before;

        sleep(1);
        before = wakeups();
        before == last;
    })));
    sleep(2);
    assert_int_equal(wakeups(), before);
}

/* ---- without a window ---- */

static bool has_loaded(const char *library)
{
    char path[64], line[512];
    bool found = false;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/maps", qtest_pid(q));
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file))
        found |= strstr(line, library) != NULL;
    fclose(file);
    return found;
}

static void test_without_a_window_nothing_of_it_is_loaded(void **state)
{
    q = qtest_start("-machine pc -nodefaults -vga std");
    assert_false(has_loaded("libSDL2"));
    assert_false(has_loaded("libX11"));
    qtest_stop(q);
    start(",gl=off", "");
    assert_true(has_loaded("libSDL2"));
}

static void test_no_x_server_is_one_clear_line(void **state)
{
    char *said = NULL;

    assert_int_equal(qtest_start_failing("-machine pc -nodefaults -display sdl,grab-mod=x", &said), 1);
    assert_string_equal(said, "hvm-dm: -display sdl,grab-mod=x: there is no grab-mod 'x'\n");
    free(said);
    setenv("DISPLAY", ":32000", 1);
    assert_int_equal(qtest_start_failing("-machine pc -nodefaults -display sdl", &said), 1);
    assert_string_equal(said,
                        "hvm-dm: -display sdl: the X server :32000 cannot be used: x11 not available\n");
    free(said);
    unsetenv("DISPLAY");
    assert_int_equal(qtest_start_failing("-machine pc -nodefaults -display sdl", &said), 1);
    assert_string_equal(said, "hvm-dm: -display sdl: there is no X server to open a window on: "
                              "DISPLAY is not set\n");
    free(said);
    setenv("DISPLAY", x.name, 1);
}

/* ---- a server in trouble ---- */

/* It does not read; the guest is answered, and the process ends when it is told to. */
static void check_stall(const char *options)
{
    start(options, "");
    enable_keyboard();
    kill(x.server, SIGSTOP);
    for (unsigned i = 0; i < 20; i++)
        show_picture(i);
    json_decref(qtest_qmp_ok(q, "{'execute':'send-key','arguments':{'keys':[{'type':'qcode','data':'a'}]}}"));
    EXPECT_KEYS(0x1E, 0x9E);
    qtest_stop(q);
    q = NULL;
    kill(x.server, SIGCONT);
}

static void test_stalled_server_holds_nobody(void **state)
{
    check_stall(",gl=off");
}

static void test_stalled_server_under_opengl(void **state)
{
    check_stall("");
}

static void check_death(const char *options)
{
    struct xserver mine = x;
    char *said;

    memset(&x, 0, sizeof(x));
    assert_true(xserver_start(&x));
    start(options, "");
    enable_keyboard();
    show_picture(1);
    expect_dump();
    xserver_run(&x, "xdotool keydown shift");
    EXPECT_KEYS(0x2A);
    xserver_stop(&x);
    x = mine;
    setenv("DISPLAY", x.name, 1);
    expect_release(0x2A);
    show_picture(2);
    assert_true(SOON(({
        said = qtest_stderr(q);
        bool told = strstr(said, "the X server went away; the guest goes on");

        free(said);
        told;
    })));
    json_decref(qtest_qmp_ok(q, "{'execute':'query-status'}"));
}

static void test_server_dies_and_the_guest_goes_on(void **state)
{
    check_death(",gl=off");
}

static void test_server_dies_under_opengl(void **state)
{
    check_death("");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_window_and_viewer_show_the_guests_picture, tear_down),
        cmocka_unit_test_teardown(test_opengl_shows_the_guests_picture, tear_down),
        cmocka_unit_test_teardown(test_sizes, tear_down),
        cmocka_unit_test_teardown(test_keys_reach_the_guest, tear_down),
        cmocka_unit_test_teardown(test_leaving_releases_the_keys, tear_down),
        cmocka_unit_test_teardown(test_click_grabs_the_pointer_and_ctrl_alt_releases_it, tear_down),
        cmocka_unit_test_teardown(test_tablet_needs_no_grab, tear_down),
        cmocka_unit_test_teardown(test_title_says_whether_the_guest_runs, tear_down),
        cmocka_unit_test_teardown(test_closing_hides_and_the_guest_goes_on, tear_down),
        cmocka_unit_test_teardown(test_window_is_opened_by_command, tear_down),
        cmocka_unit_test_teardown(test_closing_ends_where_that_is_wished, tear_down),
        cmocka_unit_test_teardown(test_quiet_window_sleeps, tear_down),
        cmocka_unit_test_teardown(test_without_a_window_nothing_of_it_is_loaded, tear_down),
        cmocka_unit_test_teardown(test_no_x_server_is_one_clear_line, tear_down),
        cmocka_unit_test_teardown(test_stalled_server_holds_nobody, tear_down),
        cmocka_unit_test_teardown(test_stalled_server_under_opengl, tear_down),
        cmocka_unit_test_teardown(test_server_dies_and_the_guest_goes_on, tear_down),
        cmocka_unit_test_teardown(test_server_dies_under_opengl, tear_down),
    };
    int status;

    /* What desktops' libraries leave behind is theirs, and after a server's death nothing of them may be
     * freed. */
    setenv("LSAN_OPTIONS", "detect_leaks=0", 1);
    if (!xserver_start(&x)) {
        print_message("sdl_test: SKIPPED: Xvfb, openbox or xdotool is not here (./install-packages check)\n");
        print_message("[  PASSED  ] 0 test(s).\n 1 SKIPPED TEST(S)\n");
        return 0;
    }
    status = cmocka_run_group_tests(tests, NULL, NULL);
    xserver_stop(&x);
    return status;
}
