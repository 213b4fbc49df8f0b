/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What peers did that are not let in, by address: the more wrong passwords, the longer the next guess waits;
 * and which refusals are worth a line in the log. Pure arithmetic on a table of fixed size; the caller has
 * the lock and the time (milliseconds of a clock that only goes forward).
 */
#ifndef VNC_GUESSES_H
#define VNC_GUESSES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Who: an IPv4 address, the /64 network of an IPv6 address (which is one customer's), or "this host" of UNIX
 * sockets. */
struct peer_key {
    uint8_t bytes[16];
};

struct peer_key peer_key_of(const struct sockaddr_storage *addr);
bool peer_key_same(const struct peer_key *a, const struct peer_key *b);

enum {
    GUESSES_PEERS = 128,       /* remembered; the one that is quiet for longest makes room */
    GUESSES_FREE = 3,          /* people mistype */
    GUESSES_MAX_WAIT = 16000,  /* ms */
    GUESSES_FORGOTTEN = 900000 /* ms of quiet */
};

struct guesses {
    struct guesses_peer {
        struct peer_key key;
        bool used;
        unsigned wrong, crowded; /* guesses; connections turned away for their number */
        int64_t next, last;      /* the next guess is heard then; the last of anything was then */
    } peers[GUESSES_PEERS];
};

/*
 * A peer wants its answer to be looked at. 0: now, and it counts as wrong until guesses_right; *nth is its
 * number among the wrong ones, from 1. Else the milliseconds that it has to wait before it asks again.
 */
int64_t guesses_ask(struct guesses *g, const struct peer_key *key, int64_t now, unsigned *nth);
/* It was the right one. */
void guesses_right(struct guesses *g, const struct peer_key *key);

/* A connection of the peer's is turned away, for it has too many. Its number among those, from 1. */
unsigned guesses_crowded(struct guesses *g, const struct peer_key *key, int64_t now);

/* Of the things that a peer does again and again, those that the log has: the first, second, fourth,
 * eighth... */
static inline bool guesses_worth_a_line(unsigned nth)
{
    return nth && !(nth & (nth - 1));
}

#endif
