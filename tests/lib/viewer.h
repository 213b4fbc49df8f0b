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

/*
 * Waits at most so long for a message of the server's: 1 there is one, 0 not in that time, -1 the connection
 * is gone. libvncclient reads ahead, so its buffer is asked before the socket: WaitForMessage alone sleeps on
 * what has come already.
 */
int viewer_wait(rfbClient *client, unsigned microseconds);

/*
 * For GotFrameBufferUpdate: was this rectangle pixels? The library calls it as well for the word that the
 * server takes extended keys, a rectangle that has the screen's size and no pixel.
 */
bool viewer_drew(rfbClient *client);

#endif
