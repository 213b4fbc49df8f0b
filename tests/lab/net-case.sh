# SPDX-License-Identifier: GPL-2.0-or-later
# For tests/lab/cases/net-*.sh and xen-net-*.sh: a network card driven by Debian's own driver, on KVM or under xl (LAB=xen, from
# xen-case.sh). Around the guest: a tap device on a bridge (under xl the lab's own bridge, with netback's interface there), and
# beyond the bridge a network namespace, the peer, with a DHCP server and netload, which checks all that passes.
#   10.0.7.0/24 and fd07::/64, and on VLAN 5 10.0.5.0/24; the peer is 1, the guest 2 (DHCP: 100 and more).
# FULL=1 sends 256 MiB each way instead of what does for a run that has to be short, FULL=tcp so much over TCP alone.
# NET_FIGURES=1 stops behind the transfers, for bench-net.
. "$(dirname "${BASH_SOURCE[0]}")/case-lib.sh"
net_tcp_mib=${NET_MIB:-$([ -n "${FULL:-}" ] && echo 256 || echo 1)}
net_udp_mib=$([ "${FULL:-}" = 1 ] && echo 256 || echo 1)
net_mac=52:54:00:ab:cd:17

# net_tools: netload and busybox, for both ends.
net_tools() {
    gcc -std=gnu11 -static -O2 -o "$case_dir/netload" tests/lab/netload.c || { echo "not ok - $case_name: building netload"; exit 1; }
    cp "$(. tests/lab/common.sh && lab_deb busybox-static)/bin/busybox" "$case_dir/busybox" || exit 1
}

# net_setup: $case_dir/setup, which the lab runs, in the folder of what was put there, before the device model.
net_setup() {
    {
        # busybox' shell has an ip of its own, which knows neither namespaces nor pairs of interfaces.
        echo "ip() { $(command -v ip) \"\$@\"; }"
        cat <<'END_OF_SETUP'
for module in $(cat /modules/net/order 2>/dev/null); do insmod "/modules/net/$module" 2>/dev/null; done
mkdir -p /run/netns
ip link set lo up
ip netns add peer
bridge=xenbr0
if [ ! -e /sys/class/net/$bridge ]; then
    bridge=bridge0
    ip link add name $bridge type bridge stp_state 0 forward_delay 0
    ip link set $bridge up
    ip tuntap add dev tap0 mode tap
    ip link set dev tap0 master $bridge
    ip link set dev tap0 up
fi
ip link set dev $bridge type bridge mcast_snooping 0
ip link add name to-peer type veth peer name eth0 netns peer
ip link set dev to-peer master $bridge
ip link set dev to-peer up
ip -n peer link set lo up
ip -n peer addr add 10.0.7.1/24 dev eth0
ip -n peer addr add fd07::1/64 dev eth0 nodad
ip -n peer link set eth0 up
ip -n peer link add link eth0 name vlan5 type vlan id 5
ip -n peer addr add 10.0.5.1/24 dev vlan5
ip -n peer link set vlan5 up
cat >/run/udhcpd.conf <<END
interface eth0
start 10.0.7.100
end 10.0.7.200
lease_file /run/udhcpd.leases
pidfile /run/udhcpd.pid
option subnet 255.255.255.0
option router 10.0.7.1
END
: >/run/udhcpd.leases
chmod +x busybox netload
ip netns exec peer "$PWD/busybox" udhcpd -f /run/udhcpd.conf >out/udhcpd.log 2>&1 &
ip netns exec peer "$PWD/netload" serve eth0 "$(cat program)" >out/netload.log 2>&1 &
END_OF_SETUP
    } >"$case_dir/setup"
}

# net_guest DRIVER: the guest's script. A vif of Xen's is no card: it has neither a filter nor a cable.
net_guest() {
    {
        cat tests/lab/net-guest-lib.sh
        printf 'driver=%s mac=%s tcp_mib=%s udp_mib=%s figures=%s\n' "$1" "$net_mac" "$net_tcp_mib" "$net_udp_mib" "${NET_FIGURES:-}"
        cat <<'END_OF_GUEST'
dmesg -n 1
card=eth0 peer=10.0.7.1
bring_up
bound=$?
[ -e /sys/class/net/eth0 ] || { check 1 "the driver takes the card" "$(dmesg | tail -n 3)"; poweroff -f; }
boot=$(netload count $peer)
if [ "$boot" = 2 ]; then
    check 0 "a reboot in mid-transfer leaves a card that works"
    try "TCP to the peer after the reboot" netload tcp up $peer 1
    try "TCP from the peer after the reboot" netload tcp down $peer 1
    poweroff -f
fi
[ "$(basename "$(readlink /sys/class/net/eth0/device/driver)")" = "$(echo "$driver" | sed 's/^xen_netfront$/vif/')" ]; check $? "the driver takes the card" "$(dmesg | tail -n 3)"
[ "$(cat /sys/class/net/eth0/address)" = "$mac" ]; check $? "the card has the address that was given" "$(cat /sys/class/net/eth0/address)"
check $bound "DHCP gives an address" "$(cat /said)"
echo 0 >/proc/sys/net/ipv6/conf/eth0/dad_transmits
ip addr add fd07::2/64 dev eth0
try "ping with frames of every size" netload ping $peer
try "TCP to the peer" netload tcp up $peer "$tcp_mib"
try "TCP from the peer" netload tcp down $peer "$tcp_mib"
try "UDP to the peer" netload udp up $peer "$udp_mib"
try "UDP from the peer" netload udp down $peer "$udp_mib"
[ -z "$figures" ] || poweroff -f
try "IPv6: TCP to the peer" netload tcp up fd07::1 1
try "IPv6: UDP from the peer" netload udp down fd07::1 1

modprobe 8021q
vconfig add eth0 5 >/dev/null
ip addr add 10.0.5.2/24 dev eth0.5
ip link set eth0.5 up
try "VLAN: ping with frames of many sizes" netload ping 10.0.5.1 32
try "VLAN: TCP to the peer" netload tcp up 10.0.5.1 1
try "VLAN: TCP from the peer" netload tcp down 10.0.5.1 1
vconfig rem eth0.5 >/dev/null

captured plain ff:ff:ff:ff:ff:ff 20 "broadcasts arrive"
captured plain "$mac" 20 "frames for the card arrive"
if [ "$driver" != xen_netfront ]; then
    captured plain 52:54:00:12:34:99 0 "frames for another card do not"
    captured promiscuous 52:54:00:12:34:99 20 "promiscuous, they do"
    captured plain 01:00:5e:01:02:03 0 "a multicast group that was not joined is filtered"
    captured 01:00:5e:01:02:03 01:00:5e:01:02:03 20 "multicasts of a group that was joined arrive"
    captured all 01:00:5e:7f:55:66 20 "all multicasts arrive when asked for"

    stage down
    carrier 0; check $? "the driver sees the link go down" "$(dmesg | tail -n 2)"
    stage up
    carrier 1; check $? "the driver sees the link come up" "$(dmesg | tail -n 2)"
    try "TCP after the link came up" netload tcp up $peer 1
fi

unload
[ ! -e /sys/class/net/eth0 ]; check $? "the driver is unloaded" "$(ls /sys/class/net)"
bring_up
check $? "the driver is loaded again, and DHCP gives an address" "$(cat /said)"
try "TCP from the peer with the new driver" netload tcp down $peer 1
no_complaints "the kernel has nothing to complain of"
echo "figure: counters: $(grep eth0 /proc/net/dev | tr -s ' ')"

netload tcp down $peer 100000 >/dev/null 2>&1 &
netload tcp up $peer 100000 >/dev/null 2>&1 &
sleep 2
stage reboot
reboot -f
sleep 60
END_OF_GUEST
    } | guest_script
}

net_checks=("the driver takes the card" "the card has the address that was given" "DHCP gives an address"
    "ping with frames of every size" "TCP to the peer" "TCP from the peer" "UDP to the peer" "UDP from the peer"
    "IPv6: TCP to the peer" "IPv6: UDP from the peer" "VLAN: ping with frames of many sizes" "VLAN: TCP to the peer"
    "VLAN: TCP from the peer" "broadcasts arrive" "frames for the card arrive" "the driver is unloaded"
    "the driver is loaded again, and DHCP gives an address" "TCP from the peer with the new driver"
    "the kernel has nothing to complain of" "a reboot in mid-transfer leaves a card that works"
    "TCP to the peer after the reboot" "TCP from the peer after the reboot")
# Of what a vif lacks.
net_card_checks=("frames for another card do not" "promiscuous, they do" "a multicast group that was not joined is filtered"
    "multicasts of a group that was joined arrive" "all multicasts arrive when asked for" "the driver sees the link go down"
    "the driver sees the link come up" "TCP after the link came up")

# net_figures: what the guest measured.
net_figures() {
    { tr -d '\r' <"$evidence/serial" | grep -a '^figure:'; grep "of the device model" "$evidence/netload.log"; } 2>/dev/null | sed 's/^/# /'
}

# net_program: how the device model's process is called.
net_program() {
    if [ "$DM" = stock ]; then echo xen-qemu-system-i386; else basename "$(realpath "$(command -v "$DM")")"; fi
}

# net_case DRIVER CARD [PROPERTY]: the whole. The property is none of a stock QEMU's. Under xl an empty CARD stands for the vif alone:
# the card is unplugged, and the driver is xen_netfront.
net_case() {
    local card=$2 append='' options
    case ${LAB:-kvm} in
    xen)
        emulated_nic || { echo "skip - network cards under xl: this device model has none"; exit 0; }
        append="$xen_quick" wire=net0
        # Between Linux' two drivers nothing is ours, and they may lose datagrams.
        [ -n "$card" ] || net_udp_mib=1
        options=(--cfg "vif = ['type=ioemu,${card:+model=$card,}mac=$net_mac,bridge=xenbr0']" --)
        [ "$DM" = stock ] || options+=(${3:+-global "$card.$3"})
        [ -z "$card" ] || append="xen_emul_unplug=never $append"
        ;;
    *)
        [[ $(basename "$DM") == qemu-* ]] || card=$card${3:+,$3}
        wire=wire
        options=(-- -boot d -netdev tap,id=wire,ifname=tap0,script=no,downscript=no -device "$card,netdev=wire,mac=$net_mac,romfile=")
        ;;
    esac
    [ -z "$card" ] || net_checks+=("${net_card_checks[@]}")
    net_tools
    net_setup
    tests/lab/mkiso --output "$case_dir/cd.iso" --initrd "$case_dir/netload:bin/netload" --append "$append" --script "$(net_guest "$1")" \
        2>"$evidence/mkiso.log" || { echo "not ok - $case_name: making the CD: see $evidence/mkiso.log"; exit 1; }
    net_program >"$case_dir/program"
    # In these labs a card moves a tenth of a MiB to two MiB a second, of which there may be four times 256.
    lab --iso "$case_dir/cd.iso" --put "$case_dir/setup" --put "$case_dir/program" --put "$case_dir/netload" \
        --put "$case_dir/busybox" --timeout "$([ -n "${FULL:-}" ] && echo 9000 || echo 1500)" \
        --qmp "/check: stage down/:{\"execute\":\"set_link\",\"arguments\":{\"name\":\"$wire\",\"up\":false}}" \
        --qmp "/check: stage up/:{\"execute\":\"set_link\",\"arguments\":{\"name\":\"$wire\",\"up\":true}}" "${options[@]}"
    result "$lab_status" "Debian's kernel with $1 runs to its end" "see $evidence/lab.log"
    [ -z "${NET_FIGURES:-}" ] || net_checks=("${net_checks[@]:0:8}")
    guest_checks "${net_checks[@]}"
    net_figures
}
