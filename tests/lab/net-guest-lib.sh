# SPDX-License-Identifier: GPL-2.0-or-later
# For the scripts that network cases run in the guest, after guest-lib.sh. $driver is the driver's name, $card the interface's,
# $peer the address of the other end.

# try WHAT COMMAND...: a check, whose reason is what the command printed; that is kept for the figures, too.
try() {
    local what=$1 status
    shift
    "$@" >/said 2>&1
    status=$?
    check $status "$what" "$(cat /said)"
    [ $status != 0 ] || echo "figure: $what: $(cat /said)"
}

# carrier 0|1: waits a minute for the driver to see the link as that.
carrier() {
    local i=0
    until [ "$(cat "/sys/class/net/$card/carrier" 2>/dev/null)" = "$1" ] || [ $i = 300 ]; do sleep 0.2; i=$((i + 1)); done
    [ "$(cat "/sys/class/net/$card/carrier")" = "$1" ]
}

# load, unload: the driver. Xen's cannot be unloaded ("temporarily unavailable"), but lets go of its device.
xen_vifs=/sys/bus/xen/drivers/vif
load() {
    modprobe "$driver"
    [ ! -e $xen_vifs ] || echo vif-0 >$xen_vifs/bind
} 2>/dev/null
unload() {
    if [ -e $xen_vifs ]; then echo vif-0 >$xen_vifs/unbind; else rmmod "$driver"; fi
}

# bring_up: the driver, the interface, and an address by DHCP.
bring_up() {
    cat >/dhcp <<'END'
#!/bin/sh
[ "$1" != bound ] || ip addr add "$ip/24" dev "$interface"
END
    chmod +x /dhcp
    load
    wait_for "/sys/class/net/$card"
    ip link set "$card" up
    carrier 1
    udhcpc -i "$card" -s /dhcp -n -q -f -t 10 -T 3 >/said 2>&1
}

# captured MODE DESTINATION COUNT WHAT: so many of the peer's 20 frames pass the card's filter.
captured() {
    local came
    came=$(netload capture "$card" "$1" "$peer" "$2")
    [ "$came" = "$3" ]; check $? "$4" "$came of 20 came"
}

# no_complaints WHAT: of the kernel.
no_complaints() {
    local errors
    errors=$(dmesg | grep -iE "NETDEV WATCHDOG|timed out|Tx timeout|Tx Unit Hang|BUG:|nobody cared|hardware error")
    [ -z "$errors" ]; check $? "$1" "$errors"
}
