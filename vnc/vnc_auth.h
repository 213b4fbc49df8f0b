/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VNC authentication (RFC 6143, 7.2.2): the viewer encrypts a challenge with DES, its key the password. Pure
 * arithmetic by nettle, which has no mode in which it refuses: a cipher that fails and says nothing would
 * leave the challenge as its own answer.
 */
#ifndef VNC_VNC_AUTH_H
#define VNC_VNC_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#define VNC_CHALLENGE_SIZE  16
#define VNC_PASSWORD_LENGTH 8 /* what is longer is cut, by the protocol */

/*
 * Whether the answer is the challenge encrypted with the password. The time it takes says nothing about how
 * much of the answer is right. No password: no answer is right.
 */
bool vnc_auth_right(const char *password, const uint8_t challenge[VNC_CHALLENGE_SIZE],
                    const uint8_t answer[VNC_CHALLENGE_SIZE]);

#endif
