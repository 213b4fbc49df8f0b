/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VNC viewer on libvncclient, without a window: it looks and waits. */
#ifndef BENCH_VIEWER_H
#define BENCH_VIEWER_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/lib/qtest.h"

struct viewer;

/* A TCP port from 5900 up on which nobody listens. */
int viewer_free_port(void);

/* Connects to 127.0.0.1:port, tries for 5 s; fails the test of q if it cannot. Asks for 32 bits a pixel, raw
 * encoding. */
struct viewer *viewer_open(struct qtest *q, int port);
void viewer_close(struct viewer *viewer);

unsigned viewer_width(const struct viewer *viewer);
unsigned viewer_height(const struct viewer *viewer);
/* 0x00RRGGBB; outside of the screen: all ones. */
uint32_t viewer_pixel(const struct viewer *viewer, unsigned x, unsigned y);

/* Handles what the server sends for that long. */
void viewer_run(struct viewer *viewer, double seconds);
/* Handles what comes until the pixel differs from `old`; false: not within the time. */
bool viewer_wait_pixel(struct viewer *viewer, unsigned x, unsigned y, uint32_t old, double seconds);
/* Handles what comes until the screen has that size; false: not within the time. */
bool viewer_wait_size(struct viewer *viewer, unsigned width, unsigned height, double seconds);
/* Asks for the whole screen and waits until an update came; false: not within the time. */
bool viewer_refresh(struct viewer *viewer, double seconds);

#endif
