/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The console's pacing, pictures and input, with a source and views of the test's own. */
#include "console/console.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/screendump.h"
#include "tests/lib/cmocka.h"

/* Fake parts around one console: a source that draws a pixel when it was told to, and a view that counts. */
struct bench {
    pthread_mutex_t lock;
    struct clock guest_clock;
    struct loop loop;
    struct console *con;
    struct console_source source;
    struct console_view view, other;
    enum console_watch watch;
    unsigned watched, refreshes, everything, resizes, updates;
    bool dirty;     /* the guest changed something */
    int64_t slow;   /* ns that drawing takes; the guest goes on changing something */
    bool late;      /* ... and once more just before it is armed */
    int x, y, w, h; /* the last update */
    struct timer stop;
    bool stopped;
};

static struct bench *bench_of(struct console_view *view)
{
    return (struct bench *)((char *)view - offsetof(struct bench, view));
}

static bool refresh(void *opaque, bool everything)
{
    struct bench *b = opaque;
    bool changed = b->dirty || everything;

    b->refreshes++;
    for (int64_t end = clock_now(&b->loop.host_clock) + b->slow; clock_now(&b->loop.host_clock) < end;)
        changed = true;
    b->everything += everything;
    b->dirty = false;
    if (!console_surface(b->con))
        console_resize(b->con, 64, 32);
    if (changed)
        console_update(b->con, 3, 4, 5, 6);
    return changed;
}

static void watch(void *opaque, enum console_watch how)
{
    struct bench *b = opaque;

    b->watch = how;
    b->watched++;
    if (how == CONSOLE_ARMED && b->late) {
        b->dirty = true;
        b->late = false;
        console_touch(b->con);
    }
}

static void resized(struct console_view *view)
{
    bench_of(view)->resizes++;
}

static void updated(struct console_view *view, int x, int y, int w, int h)
{
    struct bench *b = bench_of(view);

    b->updates++;
    b->x = x;
    b->y = y;
    b->w = w;
    b->h = h;
}

static void ignore_resized(struct console_view *view)
{
}

static void ignore_updated(struct console_view *view, int x, int y, int w, int h)
{
}

static void stop(void *opaque)
{
    ((struct bench *)opaque)->stopped = true;
}

/* Serves the loop for that long. */
static void serve(struct bench *b, int64_t ms)
{
    b->stopped = false;
    timer_set(&b->stop, clock_now(&b->loop.host_clock) + ms * NS_PER_MS);
    while (!b->stopped)
        loop_once(&b->loop, true);
}

/* What waits already, without waiting. */
static void serve_now(struct bench *b)
{
    loop_once(&b->loop, false);
    loop_once(&b->loop, false);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));

    pthread_mutex_init(&b->lock, NULL);
    pthread_mutex_lock(&b->lock);
    clock_init(&b->guest_clock, CLOCK_MANUAL);
    assert_true(loop_init(&b->loop, &b->lock, &b->guest_clock));
    b->con = console_new(&b->loop);
    b->source = (struct console_source){refresh, watch, b};
    b->view = (struct console_view){.resized = resized, .updated = updated};
    b->other = (struct console_view){.resized = ignore_resized, .updated = ignore_updated};
    timer_init(&b->stop, &b->loop.host_clock, stop, b);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    console_free(b->con);
    loop_destroy(&b->loop);
    clock_destroy(&b->guest_clock);
    pthread_mutex_unlock(&b->lock);
    free(b);
    return 0;
}

static void guest_draws(struct bench *b)
{
    b->dirty = true;
    console_touch(b->con);
}

static void without_views_nothing_is_drawn(void **state)
{
    struct bench *b = *state;

    console_set_source(b->con, &b->source);
    assert_int_equal(b->watch, CONSOLE_UNWATCHED);
    for (int i = 0; i < 10; i++)
        guest_draws(b);
    serve_now(b);
    assert_int_equal(b->refreshes, 0);
    assert_int_equal(clock_deadline(&b->loop.host_clock), -1);
}

static void first_view_gets_the_whole_picture(void **state)
{
    struct bench *b = *state;

    console_set_source(b->con, &b->source);
    console_add_view(b->con, &b->view);
    assert_int_equal(b->watch, CONSOLE_ARMED);
    assert_int_equal(b->everything, 1);
    assert_int_equal(b->resizes, 1);
    assert_int_equal(b->updates, 1);
    assert_int_equal(b->x, 3);
    assert_int_equal(b->h, 6);
}

static void quiet_display_never_wakes(void **state)
{
    struct bench *b = *state;

    console_set_source(b->con, &b->source);
    console_add_view(b->con, &b->view);
    serve_now(b);
    assert_int_equal(clock_deadline(&b->loop.host_clock), -1);
    assert_int_equal(b->refreshes, 1);
}

static void first_change_is_drawn_at_once(void **state)
{
    struct bench *b = *state;

    console_set_source(b->con, &b->source);
    console_add_view(b->con, &b->view);
    serve(b, 20);
    b->updates = 0;
    guest_draws(b);
    assert_int_equal(b->watch, CONSOLE_ACTIVE);
    assert_int_equal(b->updates, 0); /* not inside the guest's access */
    serve_now(b);
    assert_int_equal(b->updates, 1);
}

static void busy_display_is_drawn_at_the_pace(void **state)
{
    struct bench *b = *state;

    console_set_source(b->con, &b->source);
    console_add_view(b->con, &b->view);
    console_set_pace(b->con, &b->view, 20 * NS_PER_MS);
    guest_draws(b);
    b->updates = 0;
    int64_t start = clock_now(&b->loop.host_clock);
    for (int i = 0; i < 40; i++) {
        guest_draws(b);
        serve(b, 5);
    }
    int64_t paces = (clock_now(&b->loop.host_clock) - start) / (20 * NS_PER_MS);
    assert_in_range(b->updates, 2, paces + 1); /* a loaded machine draws less often */
}

/* Viewers that all stall do not make a window on the same screen slow. */
static void slow_view_does_not_slow_another(void **state)
{
    struct bench *b = *state;
    int64_t start = clock_now(&b->loop.host_clock);

    console_set_source(b->con, &b->source);
    console_add_view(b->con, &b->view);
    console_add_view(b->con, &b->other);
    console_set_pace(b->con, &b->view, 20 * NS_PER_SECOND);
    for (b->updates = 0; b->updates < 3;) {
        guest_draws(b);
        serve(b, 5);
    }
    assert_true(clock_now(&b->loop.host_clock) - start < 10 * NS_PER_SECOND);
}

static void falls_quiet_after_the_last_change(void **state)
{
    struct bench *b = *state;

    console_set_source(b->con, &b->source);
    console_add_view(b->con, &b->view);
    guest_draws(b);
    serve(b, 150);
    assert_int_equal(b->watch, CONSOLE_ACTIVE);
    for (int i = 0; i < 20 && b->watch == CONSOLE_ACTIVE; i++)
        serve(b, 50);
    assert_int_equal(b->watch, CONSOLE_ARMED);
    assert_int_equal(clock_deadline(&b->loop.host_clock), -1);
}

/* Drawing holds the machine's lock: a processor that waits for it must not starve. */
static void slow_drawing_leaves_time_to_others(void **state)
{
    struct bench *b = *state;

    console_set_source(b->con, &b->source);
    console_add_view(b->con, &b->view);
    b->slow = 30 * NS_PER_MS;
    b->refreshes = 0;
    guest_draws(b);
    serve(b, 600);
    assert_in_range(b->refreshes, 2, 11);
}

/* A write that falls between the last look and the arming is reported by nobody. */
static void write_before_the_arming_is_not_lost(void **state)
{
    struct bench *b = *state;

    console_set_source(b->con, &b->source);
    console_add_view(b->con, &b->view);
    guest_draws(b);
    serve(b, 30);
    b->updates = b->watched = 0;
    b->late = true;
    for (int i = 0; i < 20 && b->watch == CONSOLE_ACTIVE; i++)
        serve(b, 50);
    assert_int_equal(b->updates, 1);
    assert_false(b->dirty);
    assert_int_equal(b->watched, 1); /* it did not undo the arming */
}

static void last_view_gone_stops_all(void **state)
{
    struct bench *b = *state;

    console_set_source(b->con, &b->source);
    console_add_view(b->con, &b->view);
    console_add_view(b->con, &b->other);
    guest_draws(b);
    console_remove_view(b->con, &b->view);
    assert_int_equal(b->watch, CONSOLE_ACTIVE);
    console_remove_view(b->con, &b->other);
    assert_int_equal(b->watch, CONSOLE_UNWATCHED);
    b->refreshes = 0;
    serve_now(b);
    assert_int_equal(b->refreshes, 0);
    assert_int_equal(clock_deadline(&b->loop.host_clock), -1);
    console_add_view(b->con, &b->view); /* and the next one gets all of it */
    assert_int_equal(b->everything, 2);
}

static void adapter_that_goes_is_not_called(void **state)
{
    struct bench *b = *state;

    console_set_source(b->con, &b->source);
    console_add_view(b->con, &b->view);
    guest_draws(b);
    console_set_source(b->con, NULL);
    b->refreshes = 0;
    serve(b, 50);
    console_refresh(b->con);
    assert_int_equal(b->refreshes, 0);
    console_set_source(b->con, &b->source);
    serve_now(b);
    assert_int_equal(b->everything, 2);
}

static void sizes_out_of_range_are_refused(void **state)
{
    struct bench *b = *state;

    assert_null(console_surface(b->con));
    assert_false(console_resize(b->con, 0, 10));
    assert_false(console_resize(b->con, 10, 16385));
    assert_null(console_surface(b->con));
    assert_true(console_resize(b->con, 10, 20));
    assert_false(console_resize(b->con, -1, 20));
    assert_int_equal(pixman_image_get_width(console_surface(b->con)), 10);
}

/* ---- screendump ---- */

static void paint(struct console *con)
{
    uint32_t *pixels = pixman_image_get_data(console_surface(con));
    size_t stride = pixman_image_get_stride(console_surface(con)) / 4;

    for (int y = 0; y < 32; y++)
        for (int x = 0; x < 64; x++)
            pixels[y * stride + x] = x << 16 | y << 8 | 0xA5;
}

static void screendump_ppm(void **state)
{
    struct bench *b = *state;
    const char *path = qtest_temp_file(".ppm", 0);
    struct error err = {0};
    uint8_t line[3 * 64];
    int width, height;
    FILE *file;

    console_set_source(b->con, &b->source);
    console_refresh(b->con);
    paint(b->con);
    assert_true(screendump(b->con, path, false, &err));
    file = fopen(path, "rb");
    assert_int_equal(fscanf(file, "P6\n%d %d\n255", &width, &height), 2);
    assert_int_equal(fgetc(file), '\n');
    assert_int_equal(width, 64);
    assert_int_equal(height, 32);
    for (int y = 0; y < height; y++) {
        assert_int_equal(fread(line, 1, sizeof(line), file), sizeof(line));
        assert_int_equal(line[3 * 7], 7);
        assert_int_equal(line[3 * 7 + 1], y);
        assert_int_equal(line[3 * 7 + 2], 0xA5);
    }
    assert_int_equal(fgetc(file), EOF);
    fclose(file);
}

static void screendump_png(void **state)
{
    struct bench *b = *state;
    const char *path = qtest_temp_file(".png", 0);
    png_image image = {.version = PNG_IMAGE_VERSION};
    struct error err = {0};
    uint8_t pixels[64 * 32 * 3];

    console_set_source(b->con, &b->source);
    console_refresh(b->con);
    paint(b->con);
    assert_true(screendump(b->con, path, true, &err));
    assert_true(png_image_begin_read_from_file(&image, path));
    image.format = PNG_FORMAT_RGB;
    assert_int_equal(image.width, 64);
    assert_int_equal(image.height, 32);
    assert_true(png_image_finish_read(&image, NULL, pixels, 0, NULL));
    assert_int_equal(pixels[3 * (20 * 64 + 9)], 9);
    assert_int_equal(pixels[3 * (20 * 64 + 9) + 1], 20);
    assert_int_equal(pixels[3 * (20 * 64 + 9) + 2], 0xA5);
}

static void screendump_errors_say_what(void **state)
{
    struct bench *b = *state;
    struct error err = {0};

    assert_false(screendump(b->con, "/tmp/x.ppm", false, &err));
    assert_string_equal(err.text, "screendump: there is no graphics adapter");
    console_set_source(b->con, &b->source);
    assert_false(screendump(b->con, "/nonexistent/x.ppm", false, &err));
    assert_string_equal(err.text, "screendump: /nonexistent/x.ppm: No such file or directory");
    assert_false(screendump(b->con, "/dev/full", true, &err));
    assert_non_null(strstr(err.text, "/dev/full: cannot write"));
    assert_false(screendump(b->con, "/dev/full", false, &err));
    assert_non_null(strstr(err.text, "/dev/full: cannot write"));
}

/* ---- input ---- */

struct keyboard {
    struct console_keyboard base;
    uint16_t code;
    bool down;
};

static void key(void *opaque, uint16_t code, bool down)
{
    struct keyboard *k = opaque;

    k->code = code;
    k->down = down;
}

static void last_keyboard_gets_the_keys(void **state)
{
    struct bench *b = *state;
    struct keyboard first = {{key, &first, NULL}, 0, false}, second = {{key, &second, NULL}, 0, false};

    console_key(b->con, 0x1E, true); /* nobody there */
    console_add_keyboard(b->con, &first.base);
    console_add_keyboard(b->con, &second.base);
    console_key(b->con, 0xE048, true);
    assert_int_equal(second.code, 0xE048);
    assert_true(second.down);
    assert_int_equal(first.code, 0);
    console_add_keyboard(b->con, &first.base); /* becomes active again */
    console_key(b->con, 0x1E, true);
    assert_int_equal(first.code, 0x1E);
    console_remove_keyboard(b->con, &first.base);
    console_key(b->con, 0x1F, false);
    assert_int_equal(second.code, 0x1F);
}

struct pointer {
    struct console_pointer base;
    int x, y, wheel;
    unsigned buttons;
};

static void pointer_event(void *opaque, int x, int y, int wheel, unsigned buttons)
{
    struct pointer *p = opaque;

    p->x = x;
    p->y = y;
    p->wheel = wheel;
    p->buttons = buttons;
}

static void pointers_get_their_kind_of_event(void **state)
{
    struct bench *b = *state;
    struct pointer mouse = {.base = {.event = pointer_event, .opaque = &mouse}};
    struct pointer tablet = {.base = {.absolute = true, .event = pointer_event, .opaque = &tablet}};

    assert_false(console_pointer_is_absolute(b->con));
    console_add_pointer(b->con, &mouse.base);
    assert_false(console_pointer_is_absolute(b->con));
    console_add_pointer(b->con, &tablet.base);
    assert_true(console_pointer_is_absolute(b->con));
    console_pointer_absolute(b->con, -5, 40000, -1, POINTER_LEFT);
    assert_int_equal(tablet.x, 0);
    assert_int_equal(tablet.y, POINTER_RANGE);
    assert_int_equal(tablet.wheel, -1);
    assert_int_equal(tablet.buttons, POINTER_LEFT);
    assert_int_equal(mouse.buttons, 0);
    console_pointer_relative(b->con, -5, 7, 1, POINTER_RIGHT);
    assert_int_equal(mouse.x, -5);
    assert_int_equal(mouse.y, 7);
    console_remove_pointer(b->con, &tablet.base);
    assert_false(console_pointer_is_absolute(b->con));
}

static unsigned pointer_changes;

static void pointer_changed(struct console_view *view)
{
    pointer_changes++;
}

/* Buttons alone leave the pointer where it is; who is chosen gets the events, and views hear of the kind. */
static void buttons_go_to_the_chosen_pointer(void **state)
{
    struct bench *b = *state;
    struct pointer mouse = {.base = {.event = pointer_event, .opaque = &mouse}};
    struct pointer tablet = {.base = {.absolute = true, .event = pointer_event, .opaque = &tablet}};

    pointer_changes = 0;
    b->view.pointer = pointer_changed;
    console_add_view(b->con, &b->view);
    console_add_pointer(b->con, &mouse.base);
    assert_int_equal(pointer_changes, 0);
    console_add_pointer(b->con, &tablet.base);
    assert_int_equal(pointer_changes, 1);
    console_pointer_absolute(b->con, 11, 22, 0, 0);
    console_pointer_buttons(b->con, 1, POINTER_MIDDLE);
    assert_int_equal(tablet.x, 11);
    assert_int_equal(tablet.y, 22);
    assert_int_equal(tablet.wheel, 1);
    assert_int_equal(tablet.buttons, POINTER_MIDDLE);
    assert_false(console_select_pointer(b->con, 99));
    assert_true(console_select_pointer(b->con, mouse.base.index));
    assert_int_equal(pointer_changes, 2);
    assert_false(console_pointer_is_absolute(b->con));
    console_pointer_buttons(b->con, 0, POINTER_LEFT);
    assert_int_equal(mouse.buttons, POINTER_LEFT);
    assert_int_equal(mouse.x, 0);
    assert_ptr_equal(console_pointers(b->con), &mouse.base);
    console_remove_pointer(b->con, &mouse.base);
    assert_int_equal(pointer_changes, 3);
    console_remove_view(b->con, &b->view);
}

static void pointer_home(struct console_view *view)
{
    pointer_changes += 100;
}

/* A relative pointer goes into the corner and the views hear of it; an absolute one stays. */
static void a_drifted_pointer_comes_home(void **state)
{
    struct bench *b = *state;
    struct pointer mouse = {.base = {.event = pointer_event, .opaque = &mouse}};
    struct pointer tablet = {.base = {.absolute = true, .event = pointer_event, .opaque = &tablet}};

    pointer_changes = 0;
    b->view.pointer_home = pointer_home;
    console_add_view(b->con, &b->view);
    console_add_pointer(b->con, &mouse.base);
    console_pointer_home(b->con);
    assert_true(mouse.x < -2560 && mouse.y < -2560);
    assert_int_equal(pointer_changes, 100);
    console_add_pointer(b->con, &tablet.base);
    console_pointer_home(b->con);
    assert_int_equal(pointer_changes, 100);
    console_remove_view(b->con, &b->view);
}

/* libinput's way back, and those of who multiplies with the last pixel, rounded or not. */
static void a_pixel_stays_that_pixel(void **state)
{
    static const int sizes[] = {2,    320,  400,  480,  600,  640,  720, 768,
                                1024, 1080, 1280, 1366, 1920, 2560, 8192};

    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (int size = sizes[i], pixel = 0; pixel < size; pixel++) {
            int64_t v = console_pointer_scale(pixel, size);

            assert_int_equal(v * size / (POINTER_RANGE + 1), pixel);
            assert_int_equal(v * (size - 1) / POINTER_RANGE, pixel);
            assert_int_equal((2 * v * (size - 1) + POINTER_RANGE) / (2 * POINTER_RANGE), pixel);
        }
    assert_int_equal(console_pointer_scale(0, 1), 0);
    assert_int_equal(console_pointer_scale(1023, 1024), POINTER_RANGE);
}

static void leds_are_kept(void **state)
{
    struct bench *b = *state;

    console_set_leds(b->con, 5);
    assert_int_equal(console_leds(b->con), 5);
}

#define console_unit_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        console_unit_test(without_views_nothing_is_drawn),
        console_unit_test(first_view_gets_the_whole_picture),
        console_unit_test(quiet_display_never_wakes),
        console_unit_test(first_change_is_drawn_at_once),
        console_unit_test(busy_display_is_drawn_at_the_pace),
        console_unit_test(slow_view_does_not_slow_another),
        console_unit_test(falls_quiet_after_the_last_change),
        console_unit_test(slow_drawing_leaves_time_to_others),
        console_unit_test(write_before_the_arming_is_not_lost),
        console_unit_test(last_view_gone_stops_all),
        console_unit_test(adapter_that_goes_is_not_called),
        console_unit_test(sizes_out_of_range_are_refused),
        console_unit_test(screendump_ppm),
        console_unit_test(screendump_png),
        console_unit_test(screendump_errors_say_what),
        console_unit_test(last_keyboard_gets_the_keys),
        console_unit_test(pointers_get_their_kind_of_event),
        console_unit_test(buttons_go_to_the_chosen_pointer),
        console_unit_test(a_drifted_pointer_comes_home),
        console_unit_test(a_pixel_stays_that_pixel),
        console_unit_test(leds_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
