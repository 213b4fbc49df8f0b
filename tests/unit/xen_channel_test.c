/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Channels: a paravirtual console of the guest that ends at a socket. The test plays Xen (tests/fakexen). */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/fakexen/host.h"
#include "tests/lib/cmocka.h"

#include <xen/io/console.h>

#define BACKEND  "backend/console/1/1"
#define FRONTEND "/local/domain/1/device/console/1"
#define PORT     600
#define PAGE     0x234

struct channel {
    struct host *host;
    struct xencons_interface *page;
    char dir[32];
    int fd;
};

/* What libxl leaves of the first console, which is xenconsoled's, and of a channel. */
static void store_consoles(struct host *host)
{
    host_store(host, "backend/console/1/0/frontend", "/local/domain/1/console");
    host_store(host, "backend/console/1/0/online", "1");
    host_store(host, "backend/console/1/0/state", "1");
    host_store(host, "/local/domain/1/console/output", "pty");
    host_store(host, BACKEND "/frontend", FRONTEND);
    host_store(host, BACKEND "/online", "1");
    host_store(host, BACKEND "/state", "1");
    host_store(host, FRONTEND "/output", "chardev:libxl-channel0");
    host_store(host, FRONTEND "/state", "1");
}

/* As Linux does it (drivers/tty/hvc/hvc_xen.c). */
static void connect_frontend(struct host *host)
{
    char page[16];

    snprintf(page, sizeof(page), "%d", PAGE);
    host_store(host, FRONTEND "/ring-ref", page);
    host_store(host, FRONTEND "/port", "600");
    host_store(host, FRONTEND "/state", "3");
    host_expect(host, BACKEND "/state", "4");
    host_store(host, FRONTEND "/state", "4");
}

static int start(void **state)
{
    struct channel *ch = *state = calloc(1, sizeof(*ch));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char args[256];

    assert_non_null(ch);
    ch->host = host_new(1);
    ch->page = (void *)(ch->host->ram + PAGE * FAKEXEN_PAGE);
    strcpy(ch->dir, "/tmp/channel-test-XXXXXX");
    assert_non_null(mkdtemp(ch->dir));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/channel", ch->dir);
    snprintf(args, sizeof(args),
             "-machine xenfv -serial null -chardev socket,id=libxl-channel0,path=%s,server=on,wait=off",
             address.sun_path);
    store_consoles(ch->host);
    host_start(ch->host, args);
    host_expect(ch->host, BACKEND "/state", "2");
    ch->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(ch->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return 0;
}

static int stop(void **state)
{
    struct channel *ch = *state;

    close(ch->fd);
    host_stop(ch->host);
    rmdir(ch->dir);
    free(ch);
    return 0;
}

static void guest_says(struct channel *ch, const char *text)
{
    for (; *text; text++)
        ch->page->out[MASK_XENCONS_IDX(ch->page->out_prod++, ch->page->out)] = *text;
    host_event(ch->host, PORT);
}

static void expect_text(struct channel *ch, const char *text)
{
    char found[4096] = "";
    size_t length = 0;

    while (length < strlen(text)) {
        struct pollfd poll_fd = {.fd = ch->fd, .events = POLLIN};

        assert_int_equal(poll(&poll_fd, 1, (int)(60000 * qtest_timeout_scale())), 1);
        length += read(ch->fd, found + length, sizeof(found) - 1 - length);
    }
    assert_string_equal(found, text);
}

static void text_goes_both_ways(void **state)
{
    struct channel *ch = *state;

    connect_frontend(ch->host);
    guest_says(ch, "from the guest\n");
    expect_text(ch, "from the guest\n");
    assert_int_equal(ch->page->out_cons, ch->page->out_prod);
    assert_int_equal(write(ch->fd, "to it", 5), 5);
    assert_true(host_notified(ch->host, PORT, (int)(60000 * qtest_timeout_scale())));
    while (ch->page->in_prod < 5)
        usleep(1000);
    assert_memory_equal(ch->page->in, "to it", 5);
    assert_int_equal(ch->page->in_prod, 5);
}

/* More than the ring holds waits until the guest has read some. */
static void input_waits_for_room(void **state)
{
    struct channel *ch = *state;
    char text[3000];
    uint32_t seen = 0;

    connect_frontend(ch->host);
    memset(text, 'x', sizeof(text));
    assert_int_equal(write(ch->fd, text, sizeof(text)), sizeof(text));
    while (seen < sizeof(text)) {
        uint32_t produced = *(volatile uint32_t *)&ch->page->in_prod;

        assert_in_range(produced - seen, 0, sizeof(ch->page->in));
        if (produced == seen)
            usleep(1000);
        for (; seen < produced; seen++)
            assert_int_equal(ch->page->in[MASK_XENCONS_IDX(seen, ch->page->in)], 'x');
        ch->page->in_cons = seen;
        host_event(ch->host, PORT);
    }
}

static void first_console_is_left_alone(void **state)
{
    struct channel *ch = *state;
    char value[FAKEXEN_TEXT];

    assert_true(fakexen_store_read(ch->host->fx, "backend/console/1/0/state", value));
    assert_string_equal(value, "1");
}

/* What was said just before the end arrives; the driver may come again. */
static void channel_closes_and_connects_again(void **state)
{
    struct channel *ch = *state;

    connect_frontend(ch->host);
    guest_says(ch, "one ");
    host_store(ch->host, FRONTEND "/state", "6");
    host_expect(ch->host, BACKEND "/state", "6");
    host_store(ch->host, FRONTEND "/state", "1");
    host_expect(ch->host, BACKEND "/state", "2");
    connect_frontend(ch->host);
    guest_says(ch, "two");
    expect_text(ch, "one two");
}

/* Pointers that say more than the rings hold do no harm. */
static void hostile_pointers(void **state)
{
    struct channel *ch = *state;

    connect_frontend(ch->host);
    ch->page->out_prod = ch->page->out_cons + 0x80000000;
    ch->page->in_cons = ch->page->in_prod + 17;
    assert_int_equal(write(ch->fd, "lost?", 5), 5);
    for (unsigned i = 0; i < 100; i++)
        host_event(ch->host, PORT);
    host_serves(ch->host);
    assert_int_equal(ch->page->in_prod, 0);
}

static void nonsense_is_refused(void **state)
{
    struct channel *ch = *state;

    host_store(ch->host, FRONTEND "/ring-ref", "-1");
    host_store(ch->host, FRONTEND "/port", "x");
    host_store(ch->host, FRONTEND "/state", "3");
    host_expect(ch->host, BACKEND "/state", "5");
    assert_int_equal(host_said(ch->host, "channel 1 names no page"), 1);
}

#define channel_test(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        channel_test(text_goes_both_ways),
        channel_test(input_waits_for_room),
        channel_test(first_console_is_left_alone),
        channel_test(channel_closes_and_connects_again),
        channel_test(hostile_pointers),
        channel_test(nonsense_is_refused),
    };

    return cmocka_run_group_tests_name("xen_channel", tests, NULL, NULL);
}
