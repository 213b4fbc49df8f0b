#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# Wake-up over the network: Debian's driver arms the card, the guest suspends to RAM, and of what the peer sends a magic packet for
# the card's address wakes it, and nothing else does.
set -uo pipefail
. "$(dirname "$0")/../net-case.sh"

net_tools
net_setup
# The peer, told by files: frames that are none of the guest's business or no reason to wake it, until the device model has taken
# them from the tap; then the magic packet.
echo "mac=$net_mac" >>"$case_dir/setup"
cat >>"$case_dir/setup" <<'END'
read_by_card() { cat /sys/class/net/tap0/statistics/tx_packets; }
at_peer() { ip netns exec peer "$@"; }
until_there() { until [ -e "$1" ]; do sleep 0.5; done; }
(
    until_there send-others
    before=$(read_by_card)
    at_peer ./netload magic eth0 ff:ff:ff:ff:ff:ff 52:54:00:12:34:99
    at_peer ./netload magic eth0 "$mac" 52:54:00:12:34:99
    at_peer ./busybox arping -c 1 -w 1 -I eth0 10.0.7.2
    at_peer ./busybox ping -c 2 -W 1 10.0.7.2
    until [ $(($(read_by_card) - before)) -ge 5 ]; do sleep 0.5; done
    echo "$(($(read_by_card) - before)) frames that were not to wake the guest"
    touch sent-others
    until_there send-magic
    at_peer ./netload magic eth0 "$mac" "$mac"
) >out/wake.log 2>&1 &
END

# wake_guest DRIVER: the guest's script.
wake_guest() {
    {
        cat tests/lab/net-guest-lib.sh
        echo "driver=$1"
        cat <<'END'
dmesg -n 1
card=eth0 peer=10.0.7.1
bring_up
check $? "DHCP gives an address" "$(cat /said)"
[ -e /sys/class/net/eth0 ] || poweroff -f
ip addr add 10.0.7.2/24 dev eth0
try "TCP to the peer" netload tcp up $peer 1
try "the driver takes wake-up by magic packet" netload wake eth0
# 8139too leaves it to the administrator.
echo enabled >/sys/class/net/eth0/device/power/wakeup; check $? "to the kernel the card can wake it" "$(dmesg | grep PME)"
echo deep >/sys/power/mem_sleep
stage sleep
echo mem >/sys/power/state; check $? "it goes to sleep and comes back" "$(dmesg | tail -n 3)"
carrier 1
try "TCP to the peer after the sleep" netload tcp up $peer 1
try "TCP from the peer after the sleep" netload tcp down $peer 1
no_complaints "the kernel has nothing to complain of"
poweroff -f
END
    } | guest_script
}

# While it sleeps: the reply to query-status is what counts, before and after the other frames.
# shellcheck disable=SC2016
meanwhile='
    asleep() { lab_qmp "{\"execute\": \"query-status\"}" | grep "\"suspended\""; }
    patiently() { local i; for ((i = 0; i < 300; i++)); do "$@" && return; sleep 0.5; done; return 1; }
    patiently asleep && touch "$evidence/asleep" "$lab_share/send-others" && patiently [ -e "$lab_share/sent-others" ] &&
        asleep && touch "$evidence/still-asleep"
    touch "$lab_share/send-magic"'
export evidence

# wake_case DRIVER CARD
wake_case() {
    rm -f "$evidence"/*asleep
    tests/lab/mkiso --output "$case_dir/cd.iso" --initrd "$case_dir/netload:bin/netload" --script "$(wake_guest "$1")" \
        2>"$evidence/mkiso.log" || { echo "not ok - $case_name: making the CD: see $evidence/mkiso.log"; exit 1; }
    basename "$(realpath "$(command -v "$DM")")" >"$case_dir/program"
    lab --iso "$case_dir/cd.iso" --put "$case_dir/setup" --put "$case_dir/program" --put "$case_dir/netload" \
        --put "$case_dir/busybox" --timeout 1500 --host "/check: stage sleep/:$meanwhile" \
        -- -boot d -netdev tap,id=wire,ifname=tap0,script=no,downscript=no -device "$2,netdev=wire,mac=$net_mac,romfile="
    {
        guest_checks "DHCP gives an address" "TCP to the peer" "the driver takes wake-up by magic packet" \
            "to the kernel the card can wake it"
        [ -e "$evidence/asleep" ]; result $? "the guest sleeps" "see $evidence/lab.log"
        [ -e "$evidence/still-asleep" ]; result $? "other frames do not wake it" "see $evidence/wake.log"
        result "$lab_status" "the magic packet does" "see $evidence/lab.log"
        guest_checks "it goes to sleep and comes back" "TCP to the peer after the sleep" "TCP from the peer after the sleep" \
            "the kernel has nothing to complain of"
    } | sed -E "s/^((not )?ok - )/\1$1: /"
    for log in serial wake.log lab.log; do cp "$evidence/$log" "$evidence/$1.$log"; done
}

wake_case 8139too rtl8139,revision=0x10
wake_case 8139cp rtl8139,revision=0x20
wake_case e1000 e1000
