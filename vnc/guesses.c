/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vnc/guesses.h"

#include <netinet/in.h>
#include <string.h>

struct peer_key peer_key_of(const struct sockaddr_storage *addr)
{
    struct peer_key key = {{[10] = 0xFF, [11] = 0xFF}};

    if (addr->ss_family == AF_INET) {
        memcpy(key.bytes + 12, &((const struct sockaddr_in *)addr)->sin_addr, 4);
    } else if (addr->ss_family == AF_INET6) {
        const struct in6_addr *in6 = &((const struct sockaddr_in6 *)addr)->sin6_addr;

        if (!IN6_IS_ADDR_V4MAPPED(in6))
            memset(key.bytes, 0, sizeof(key.bytes));
        memcpy(key.bytes, in6, IN6_IS_ADDR_V4MAPPED(in6) ? 16 : 8);
    }
    return key;
}

bool peer_key_same(const struct peer_key *a, const struct peer_key *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* The peer's entry; one that is not known gets the free one, or that of whom we heard least lately. */
static struct guesses_peer *guesses_find(struct guesses *g, const struct peer_key *key, int64_t now)
{
    struct guesses_peer *place = &g->peers[0];

    for (unsigned i = 0; i < GUESSES_PEERS; i++) {
        struct guesses_peer *peer = &g->peers[i];

        if (peer->used && now - peer->last > GUESSES_FORGOTTEN)
            *peer = (struct guesses_peer){0};
        if (peer->used && peer_key_same(&peer->key, key))
            return peer;
        if (place->used && (!peer->used || peer->last < place->last))
            place = peer;
    }
    *place = (struct guesses_peer){.key = *key, .used = true, .next = now, .last = now};
    return place;
}

static int64_t guesses_wait(unsigned wrong)
{
    int64_t wait = wrong < GUESSES_FREE        ? 0
                   : wrong - GUESSES_FREE > 10 ? GUESSES_MAX_WAIT
                                               : 1000 << (wrong - GUESSES_FREE);

    return wait < GUESSES_MAX_WAIT ? wait : GUESSES_MAX_WAIT;
}

int64_t guesses_ask(struct guesses *g, const struct peer_key *key, int64_t now, unsigned *nth)
{
    struct guesses_peer *peer = guesses_find(g, key, now);

    if (now < peer->next)
        return peer->next - now;
    if (peer->wrong < UINT32_MAX)
        peer->wrong++;
    peer->last = now;
    peer->next = now + guesses_wait(peer->wrong);
    *nth = peer->wrong;
    return 0;
}

void guesses_right(struct guesses *g, const struct peer_key *key)
{
    for (unsigned i = 0; i < GUESSES_PEERS; i++)
        if (peer_key_same(&g->peers[i].key, key))
            g->peers[i] = (struct guesses_peer){0};
}

unsigned guesses_crowded(struct guesses *g, const struct peer_key *key, int64_t now)
{
    struct guesses_peer *peer = guesses_find(g, key, now);

    peer->last = now;
    if (peer->crowded < UINT32_MAX)
        peer->crowded++;
    return peer->crowded;
}
