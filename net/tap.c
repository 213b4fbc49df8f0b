/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tap device: the host's kernel is at the other end (Linux: Documentation/networking/tuntap.rst). */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "net/bridge.h"
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

static bool set_interface(int fd, struct ifreq *ifr, const struct net_tap_options *options)
{
    unsigned features = 0;

    ifr->ifr_flags = IFF_TAP | IFF_NO_PI;
    if (options->vnet_hdr != NET_OFF && !ioctl(fd, TUNGETFEATURES, &features) && features & IFF_VNET_HDR)
        ifr->ifr_flags |= IFF_VNET_HDR;
    return !ioctl(fd, TUNSETIFF, ifr);
}

static int tap_open_device(const struct net_tap_options *options, struct ifreq *ifr, struct error *err)
{
    const char *ifname = options->ifname;
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
        memcpy(ifr->ifr_name, ifname, strlen(ifname));
    if (!set_interface(fd, ifr, options)) {
        error_set(err, "tap device %s: %s", ifname ? ifname : "", strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

/* A device that somebody else opened must speak as ours do. */
static bool tap_check_inherited(int fd, struct ifreq *ifr, struct error *err)
{
    if (ioctl(fd, TUNGETIFF, ifr))
        return error_set(err, "fd=%d is no tap device: %s", fd, strerror(errno));
    if ((ifr->ifr_flags & (IFF_TAP | IFF_NO_PI)) != (IFF_TAP | IFF_NO_PI))
        return error_set(err, "fd=%d: a tap device without packet information is needed", fd);
    return true;
}

/* Whoever had the device before may have left something: no work of the kernel's is ours. */
static bool set_offload(struct tap *tap, int fd, const struct net_tap_options *options, short flags,
                        struct error *err)
{
    int size = sizeof(struct virtio_net_hdr), sndbuf = options->sndbuf ? options->sndbuf : INT_MAX;

    if (ioctl(fd, TUNSETSNDBUF, &sndbuf) && options->sndbuf)
        return error_set(err, "sndbuf=%d: %s", sndbuf, strerror(errno));
    tap->packet.offload = flags & IFF_VNET_HDR;
    if (!tap->packet.offload)
        return options->vnet_hdr != NET_ON || error_set(err, "vnet_hdr=on: the device has no such header");
    if (ioctl(fd, TUNSETVNETHDRSZ, &size) || ioctl(fd, TUNSETOFFLOAD, 0))
        return error_set(err, "vnet_hdr: %s", strerror(errno));
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

/* Without a card there is no cable in it: the host's bridge sends nothing here, and nothing is read. */
static void tap_card_changed(struct net_port *port)
{
    struct tap *tap = port->wire_data;
    int carrier = port->card != NULL;

    if (tap->packet.watch.fd >= 0)
        ioctl(tap->packet.watch.fd, TUNSETCARRIER, &carrier);
    packet_fd_set_idle(&tap->packet, !port->card);
}

static const struct net_wire tap_wire = {.kind = "tap",
                                         .send = packet_fd_send,
                                         .resume = packet_fd_resume,
                                         .waiting = packet_fd_waiting,
                                         .card_changed = tap_card_changed,
                                         .close = tap_close};

static struct net_port *tap_start(struct loop *loop, const char *id, const struct net_tap_options *options,
                                  struct tap *tap, int fd, struct error *err)
{
    struct net_port *port;

    if (options->bridge && !bridge_join(options->bridge, tap->name, err))
        return NULL;
    if (options->script && !run_script(options->script, tap->name, err))
        return NULL;
    tap->packet.idle = true;
    port = packet_fd_open(loop, id, &tap_wire, &tap->packet, fd, err);
    if (port &&
        asprintf(&port->info, "ifname=%s,vnet_hdr=%s", tap->name, tap->packet.offload ? "on" : "off") < 0)
        port->info = NULL;
    return port;
}

static int tap_open_tap(struct tap *tap, const struct net_tap_options *options, struct error *err)
{
    struct ifreq ifr = {.ifr_flags = 0};
    bool ours = options->fd < 0;
    int fd = ours ? tap_open_device(options, &ifr, err) : options->fd;

    if (fd < 0)
        return -1;
    if ((ours || tap_check_inherited(fd, &ifr, err)) && set_offload(tap, fd, options, ifr.ifr_flags, err)) {
        memcpy(tap->name, ifr.ifr_name, IFNAMSIZ);
        return fd;
    }
    if (ours)
        close(fd);
    return -1;
}

struct net_port *net_open_tap(struct loop *loop, const char *id, const struct net_tap_options *options,
                              struct error *err)
{
    struct tap *tap = calloc(1, sizeof(*tap));
    struct net_port *port = NULL;
    int fd;

    if (!tap) {
        error_set(err, "out of memory");
        return NULL;
    }
    if (options->downscript)
        tap->downscript = strdup(options->downscript);
    fd = tap_open_tap(tap, options, err);
    if (fd >= 0)
        port = tap_start(loop, id, options, tap, fd, err);
    if (port)
        return port;
    if (fd >= 0 && options->fd < 0)
        close(fd);
    tap_free(tap);
    return NULL;
}
