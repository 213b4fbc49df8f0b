/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/viewer.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

const char *viewer_password;

static void quiet(const char *format, ...)
{
}

static char *give_password(rfbClient *client)
{
    return strdup(viewer_password);
}

/* libvncclient forgets a password that did not let it in. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libvncclient\nleak:give_password\n";
}

rfbClient *viewer_connect(int port, const char *encodings, bool exclusive)
{
    rfbClient *client = rfbGetClient(8, 3, 4);

    signal(SIGPIPE, SIG_IGN); /* the library writes to a server that has hung up as to any other */
    rfbClientLog = rfbClientErr = quiet;
    free(client->serverHost);
    client->serverHost = strdup("127.0.0.1");
    client->serverPort = port;
    client->canHandleNewFBSize = TRUE;
    client->appData.shareDesktop = !exclusive;
    client->appData.encodingsString = encodings;
    client->appData.enableJPEG = FALSE;
    client->GetPassword = give_password;
    client->format.redShift = 16;
    client->format.blueShift = 0;
    return rfbInitClient(client, NULL, NULL) ? client : NULL;
}

int viewer_wait(rfbClient *client, unsigned microseconds)
{
    return client->buffered > 0 ? 1 : WaitForMessage(client, microseconds);
}

bool viewer_drew(rfbClient *client)
{
    /* Reading that word sets this bit, whether or not it was set. */
    uint8_t *flags = &client->supportedMessages.client2server[rfbQemuEvent / 8], bit = 1 << rfbQemuEvent % 8;
    bool was_word = *flags & bit;

    *flags &= (uint8_t)~bit;
    return !was_word;
}

void viewer_drop(rfbClient *client)
{
    free(client->frameBuffer);
    rfbClientCleanup(client);
}
