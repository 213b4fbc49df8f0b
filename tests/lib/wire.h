/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The other end of a network card's wire: a datagram socket on which each datagram is a frame.
 *
 *     char options[WIRE_OPTIONS];
 *     wire_open(&wire, "n", options);
 *     q = qtest_startf("... -device rtl8139,netdev=n %s", options);
 *     wire_connect(&wire);
 */
#ifndef TESTS_LIB_WIRE_H
#define TESTS_LIB_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qtest;

enum { WIRE_OPTIONS = 400, WIRE_PATH = 108 };

struct wire {
    int fd;
    int inherited; /* with MOVE=1: the machine's end, which each of its processes gets; else -1 */
    char ours[WIRE_PATH], theirs[WIRE_PATH];
};

/* Makes the socket, and the program's option for a network of that id. */
void wire_open(struct wire *wire, const char *id, char options[WIRE_OPTIONS]);
void wire_connect(struct wire *wire); /* after the program has started */
void wire_close(struct wire *wire);
/* The board with one card, c, of the address 52:54:00:12:34:56, on a new wire; kept in *state, too. */
struct qtest *wire_start_card(struct wire *wire, void **state, const char *card);
/* Plugs the cable of a card, named by its own or its network's id, in or out. */
void wire_set_link(struct qtest *q, const char *id, bool up);

/* A frame whose bytes behind the destination are all mark. */
void wire_send(struct wire *wire, const uint8_t to[6], uint8_t mark, size_t length);
void wire_send_bytes(struct wire *wire, const void *frame, size_t length);
/* Frames too short and too long for any card (mark 1), then the shortest and the longest that it takes (2,
 * 3). */
void wire_send_limits(struct wire *wire, const uint8_t to[6]);
/* The next frame that comes out: its length, -1: none within wait_ms. */
int wire_take(struct wire *wire, uint8_t frame[2048], int wait_ms);
/* The check sequence of IEEE 802.3, as it stands behind a frame, low byte first. */
uint32_t wire_crc(const uint8_t *data, size_t length);

#endif
