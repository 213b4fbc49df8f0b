/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Viewers in browsers: WebSocket, and the page that speaks it (noVNC), by libwebsockets in a thread of its
 * own. The library is loaded where a -vnc has websocket= only. A connection that became a WebSocket is a
 * viewer over a socket pair, like any other from there on.
 */
#ifndef VNC_BROWSER_H
#define VNC_BROWSER_H

#include <stdbool.h>

#include "base/error.h"

struct vnc;
struct browser;

/* cert_dir: holds server-cert.pem and server-key.pem for wss and https, and ca-cert.pem with verify_peer;
 * NULL: ws and http. page: the directory of noVNC. NULL: *err. */
struct browser *browser_start(struct vnc *vnc, const char *page, const char *cert_dir, bool verify_peer,
                              struct error *err);
/* An accepted connection, which does not block, from the machine thread. */
void browser_take(struct browser *browser, int fd);
/* Waits for the thread; its connections are closed. */
void browser_stop(struct browser *browser);

#endif
