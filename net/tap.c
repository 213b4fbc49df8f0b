/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tap device: the host's kernel is at the other end (Linux: Documentation/networking/tuntap.rst). */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine/log.h"
#include "net/packet_fd.h"
#include "net/wires.h"

extern char **environ;

struct tap {
    struct packet_fd packet; /* first: the port's wire_data */
    char name[IFNAMSIZ];
    char *downscript;
};

static bool run_script(const char *script, const char *name, struct error *err)
{
    char *argv[] = {(char *)script, (char *)name, NULL};
    pid_t pid;
    int status, why = posix_spawn(&pid, script, NULL, NULL, argv, environ);

    if (why)
        return error_set(err, "script %s: %s", script, strerror(why));
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return error_set(err, "script %s: %s", script, strerror(errno));
    return status == 0 || error_set(err, "script %s %s failed", script, name);
}

static int open_device(const char *ifname, char name[IFNAMSIZ], struct error *err)
{
    struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd;

    if (ifname && (!*ifname || strlen(ifname) >= IFNAMSIZ)) {
        error_set(err, "ifname=%s: not a name of 1 to %d characters", ifname, IFNAMSIZ - 1);
        return -1;
    }
    fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        error_set(err, "/dev/net/tun: %s", strerror(errno));
        return -1;
    }
    if (ifname)
        memcpy(ifr.ifr_name, ifname, strlen(ifname));
    if (ioctl(fd, TUNSETIFF, &ifr)) {
        error_set(err, "tap device %s: %s", ifname ? ifname : "", strerror(errno));
        close(fd);
        return -1;
    }
    memcpy(name, ifr.ifr_name, IFNAMSIZ);
    return fd;
}

/* A device that somebody else opened must speak as ours do. */
static bool check_inherited(int fd, char name[IFNAMSIZ], struct error *err)
{
    struct ifreq ifr = {.ifr_flags = 0};

    if (ioctl(fd, TUNGETIFF, &ifr))
        return error_set(err, "fd=%d is no tap device: %s", fd, strerror(errno));
    if ((ifr.ifr_flags & (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)) != (IFF_TAP | IFF_NO_PI))
        return error_set(err, "fd=%d: a tap device without packet information and vnet header is needed", fd);
    memcpy(name, ifr.ifr_name, IFNAMSIZ);
    return true;
}

static void tap_free(struct tap *tap)
{
    free(tap->downscript);
    free(tap);
}

static void tap_close(struct net_port *port)
{
    struct tap *tap = port->wire_data;
    struct error err;

    if (tap->downscript && !run_script(tap->downscript, tap->name, &err))
        log_line("netdev %s: %s", port->id, err.text);
    packet_fd_close(port);
    tap_free(tap);
}

static const struct net_wire tap_wire = {
    .kind = "tap", .send = packet_fd_send, .resume = packet_fd_resume, .close = tap_close};

static struct net_port *start(struct loop *loop, const char *id, const struct net_tap_options *options,
                              struct tap *tap, int fd, struct error *err)
{
    struct net_port *port;

    if (options->script && !run_script(options->script, tap->name, err))
        return NULL;
    port = packet_fd_open(loop, id, &tap_wire, &tap->packet, fd, err);
    if (port && asprintf(&port->info, "ifname=%s", tap->name) < 0)
        port->info = NULL;
    return port;
}

struct net_port *net_open_tap(struct loop *loop, const char *id, const struct net_tap_options *options,
                              struct error *err)
{
    struct tap *tap = calloc(1, sizeof(*tap));
    struct net_port *port = NULL;
    int fd = options->fd;

    if (!tap) {
        error_set(err, "out of memory");
        return NULL;
    }
    if (options->downscript)
        tap->downscript = strdup(options->downscript);
    if (fd < 0)
        fd = open_device(options->ifname, tap->name, err);
    else if (!check_inherited(fd, tap->name, err))
        fd = -1;
    if (fd >= 0)
        port = start(loop, id, options, tap, fd, err);
    if (port)
        return port;
    if (fd >= 0)
        close(fd);
    tap_free(tap);
    return NULL;
}
