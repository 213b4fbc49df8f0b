/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bench/viewer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <rfb/rfbclient.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/measure.h"
#include "tests/lib/viewer.h"

struct viewer {
    struct qtest *q;
    rfbClient *client;
    unsigned updates; /* with pixels */
    bool drawn;       /* the one that is coming has some */
};

static int client_tag;

static void quiet(const char *format, ...)
{
}

int viewer_free_port(void)
{
    for (int port = 5950; port < 6100; port++) {
        struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
        addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        bool free_port = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;
        close(fd);
        if (free_port)
            return port;
    }
    fprintf(stderr, "no free TCP port for VNC\n");
    exit(1);
}

static void got_rectangle(rfbClient *client, int x, int y, int w, int h)
{
    struct viewer *viewer = rfbClientGetClientData(client, &client_tag);

    viewer->drawn |= viewer_drew(client);
}

static void finished_update(rfbClient *client)
{
    struct viewer *viewer = rfbClientGetClientData(client, &client_tag);

    viewer->updates += viewer->drawn;
    viewer->drawn = false;
}

/*
 * Only what the rows need: libvncclient's own list has the extended desktop size, which its 0.9.14 asks for
 * and then does not follow.
 */
static void set_encodings(rfbClient *client)
{
    const uint32_t encodings[] = {htonl(rfbEncodingRaw), htonl(rfbEncodingNewFBSize)};
    rfbSetEncodingsMsg msg = {.type = rfbSetEncodings, .nEncodings = htons(2)};

    WriteToRFBServer(client, (char *)&msg, sz_rfbSetEncodingsMsg);
    WriteToRFBServer(client, (char *)encodings, sizeof(encodings));
}

static rfbClient *connect_client(struct viewer *viewer, int port)
{
    rfbClient *client = rfbGetClient(8, 3, 4);

    free(client->serverHost);
    client->serverHost = strdup("127.0.0.1");
    client->serverPort = port;
    client->appData.encodingsString = "raw";
    client->canHandleNewFBSize = TRUE;
    client->GotFrameBufferUpdate = got_rectangle;
    client->FinishedFrameBufferUpdate = finished_update;
    /* 0x00RRGGBB in memory of this machine */
    client->format.redShift = 16;
    client->format.greenShift = 8;
    client->format.blueShift = 0;
    rfbClientSetClientData(client, &client_tag, viewer);
    /* It frees the client when it fails. */
    if (!rfbInitClient(client, NULL, NULL))
        return NULL;
    set_encodings(client);
    return client;
}

struct viewer *viewer_open(struct qtest *q, int port)
{
    struct viewer *viewer = calloc(1, sizeof(*viewer));

    rfbClientLog = rfbClientErr = quiet;
    viewer->q = q;
    for (unsigned i = 0; i < 100 && !viewer->client; i++) {
        viewer->client = connect_client(viewer, port);
        if (!viewer->client)
            measure_sleep(0.05);
    }
    if (!viewer->client) {
        free(viewer);
        qtest_fail(q, "No VNC viewer can connect to port %d", port);
    }
    return viewer;
}

void viewer_close(struct viewer *viewer)
{
    free(viewer->client->frameBuffer);
    rfbClientCleanup(viewer->client);
    free(viewer);
}

unsigned viewer_width(const struct viewer *viewer)
{
    return viewer->client->width;
}

unsigned viewer_height(const struct viewer *viewer)
{
    return viewer->client->height;
}

uint32_t viewer_pixel(const struct viewer *viewer, unsigned x, unsigned y)
{
    const rfbClient *client = viewer->client;

    if (x >= (unsigned)client->width || y >= (unsigned)client->height)
        return UINT32_MAX;
    return ((const uint32_t *)client->frameBuffer)[(size_t)y * client->width + x] & 0xFFFFFF;
}

/* Handles one message if one comes before the deadline; false: the deadline is over. */
static bool handle_one(struct viewer *viewer, int64_t deadline)
{
    int64_t left = deadline - measure_now();

    if (left <= 0)
        return false;
    int n = viewer_wait(viewer->client, left / 1000 + 1);
    if (n < 0 || (n > 0 && !HandleRFBServerMessage(viewer->client)))
        qtest_fail(viewer->q, "The VNC server hung up");
    return true;
}

static int64_t deadline_in(double seconds)
{
    return measure_now() + (int64_t)(seconds * 1e9);
}

void viewer_run(struct viewer *viewer, double seconds)
{
    int64_t deadline = deadline_in(seconds);

    while (handle_one(viewer, deadline))
        ;
}

bool viewer_wait_pixel(struct viewer *viewer, unsigned x, unsigned y, uint32_t old, double seconds)
{
    int64_t deadline = deadline_in(seconds);

    while (viewer_pixel(viewer, x, y) == old)
        if (!handle_one(viewer, deadline))
            return false;
    return true;
}

bool viewer_wait_size(struct viewer *viewer, unsigned width, unsigned height, double seconds)
{
    int64_t deadline = deadline_in(seconds);

    while (viewer_width(viewer) != width || viewer_height(viewer) != height)
        if (!handle_one(viewer, deadline))
            return false;
    return true;
}

bool viewer_refresh(struct viewer *viewer, double seconds)
{
    int64_t deadline = deadline_in(seconds);
    unsigned updates = viewer->updates;

    if (!SendFramebufferUpdateRequest(viewer->client, 0, 0, viewer->client->width, viewer->client->height,
                                      FALSE))
        qtest_fail(viewer->q, "The VNC server hung up");
    while (viewer->updates == updates)
        if (!handle_one(viewer, deadline))
            return false;
    return true;
}
