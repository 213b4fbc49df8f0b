/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/bridge.h"

#include <errno.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static bool set_name(struct ifreq *ifr, const char *name)
{
    size_t length = strlen(name);

    memset(ifr, 0, sizeof(*ifr));
    if (!length || length >= IFNAMSIZ)
        return false;
    memcpy(ifr->ifr_name, name, length);
    return true;
}

static bool copy_mtu(int fd, const char *bridge, const char *ifname)
{
    struct ifreq theirs, ours;

    if (!set_name(&theirs, bridge) || ioctl(fd, SIOCGIFMTU, &theirs))
        return false;
    set_name(&ours, ifname);
    ours.ifr_mtu = theirs.ifr_mtu;
    return !ioctl(fd, SIOCSIFMTU, &ours);
}

static bool raise_address(int fd, const char *ifname)
{
    struct ifreq ifr;

    set_name(&ifr, ifname);
    if (ioctl(fd, SIOCGIFHWADDR, &ifr))
        return false;
    ifr.ifr_hwaddr.sa_data[0] = (char)0xFE;
    return !ioctl(fd, SIOCSIFHWADDR, &ifr);
}

static bool add_member(int fd, const char *bridge, const char *ifname)
{
    struct ifreq ifr;

    set_name(&ifr, bridge);
    ifr.ifr_ifindex = if_nametoindex(ifname);
    return !ioctl(fd, SIOCBRADDIF, &ifr);
}

static bool take_up(int fd, const char *ifname)
{
    struct ifreq ifr;

    set_name(&ifr, ifname);
    if (ioctl(fd, SIOCGIFFLAGS, &ifr))
        return false;
    ifr.ifr_flags |= IFF_UP;
    return !ioctl(fd, SIOCSIFFLAGS, &ifr);
}

bool bridge_join(const char *bridge, const char *ifname, struct error *err)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq ifr;
    bool ok;

    if (!set_name(&ifr, bridge))
        ok = error_set(err, "br=%s: not a name of 1 to %d characters", bridge, IFNAMSIZ - 1);
    else
        ok = (fd >= 0 && copy_mtu(fd, bridge, ifname) && raise_address(fd, ifname) &&
              add_member(fd, bridge, ifname) && take_up(fd, ifname)) ||
             error_set(err, "br=%s: %s", bridge, strerror(errno));
    if (fd >= 0)
        close(fd);
    return ok;
}
