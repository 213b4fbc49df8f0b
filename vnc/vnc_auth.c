/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vnc/vnc_auth.h"

#include <nettle/des.h>
#include <nettle/memops.h>
#include <string.h>

/* The key has the bits of each byte of the password the other way round. */
static uint8_t auth_reversed(uint8_t byte)
{
    uint8_t reversed = 0;

    for (unsigned bit = 0; bit < 8; bit++)
        reversed |= (byte >> bit & 1) << (7 - bit);
    return reversed;
}

static void auth_encrypt(const uint8_t key[DES_KEY_SIZE], size_t length, uint8_t *to, const uint8_t *from)
{
    struct des_ctx des;

    des_set_key(&des,
                key); /* its result tells weak keys; they are set all the same, and people choose them */
    des_encrypt(&des, length, to, from);
    explicit_bzero(&des, sizeof(des));
}

/* Does the cipher encrypt? By a known answer. */
static bool auth_cipher_works(void)
{
    static const uint8_t key[DES_KEY_SIZE] = {0x13, 0x34, 0x57, 0x79, 0x9B, 0xBC, 0xDF, 0xF1};
    static const uint8_t plain[DES_BLOCK_SIZE] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF};
    static const uint8_t encrypted[DES_BLOCK_SIZE] = {0x85, 0xE8, 0x13, 0x54, 0x0F, 0x0A, 0xB4, 0x05};
    uint8_t seen[DES_BLOCK_SIZE] = {0};

    auth_encrypt(key, sizeof(plain), seen, plain);
    return memcmp(seen, encrypted, sizeof(seen)) == 0;
}

bool vnc_auth_right(const char *password, const uint8_t challenge[VNC_CHALLENGE_SIZE],
                    const uint8_t answer[VNC_CHALLENGE_SIZE])
{
    uint8_t key[DES_KEY_SIZE] = {0}, expected[VNC_CHALLENGE_SIZE] = {0};
    bool right;

    if (!password[0] || !auth_cipher_works())
        return false;
    for (unsigned i = 0; i < sizeof(key) && password[i]; i++)
        key[i] = auth_reversed(password[i]);
    auth_encrypt(key, sizeof(expected), expected, challenge);
    right =
        memeql_sec(expected, answer, sizeof(expected)) && !memeql_sec(challenge, answer, sizeof(expected));
    explicit_bzero(key, sizeof(key));
    explicit_bzero(expected, sizeof(expected));
    return right;
}
