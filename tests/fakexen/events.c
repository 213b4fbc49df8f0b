/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Event channels towards the device model, for both sides. */
#include <stdio.h>
#include <sys/socket.h>

#include "tests/fakexen/fakexen.h"

void fakexen_raise(struct fakexen *fx, int raise_fd, uint32_t remote_port)
{
    uint32_t local = remote_port + FAKEXEN_LOCAL;

    if (remote_port >= FAKEXEN_PORTS)
        return;
    if (atomic_fetch_or(&fx->port[remote_port], FAKEXEN_MASKED | FAKEXEN_PENDING) & FAKEXEN_MASKED)
        return; /* told of when it is unmasked */
    atomic_fetch_and(&fx->port[remote_port], ~FAKEXEN_PENDING);
    if (send(raise_fd, &local, sizeof(local), MSG_NOSIGNAL) != sizeof(local))
        perror("fakexen: event");
}
