/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VNC viewer made of libvncclient. */
#ifndef TESTS_LIB_VIEWER_H
#define TESTS_LIB_VIEWER_H

#include <rfb/rfbclient.h>
#include <stdbool.h>

/* What viewers say when they are asked for a password. */
extern const char *viewer_password;

/* A viewer of the server at 127.0.0.1:port, which it asks for these encodings, and whether it is to be the
 * only one. NULL: it was not let in. */
rfbClient *viewer_connect(int port, const char *encodings, bool exclusive);
void viewer_drop(rfbClient *client);

#endif
