/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VNC viewer that is sometimes polite, sometimes slow and sometimes rude, in a process of its own: it looks
 * at what the hostile guest draws, and it is an attacker itself.
 */
#ifndef TESTS_FUZZ_WATCHER_H
#define TESTS_FUZZ_WATCHER_H

#include <stdint.h>
#include <sys/types.h>

/* Connects to the UNIX socket again and again until it is ended. */
pid_t watcher_start(const char *socket_path, uint64_t seed);
void watcher_stop(pid_t pid);

#endif
