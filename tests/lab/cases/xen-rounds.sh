#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# Twenty domains created and destroyed, with disk, CD, password-less VNC and a NIC: none leaves a process, a key, a tap or a socket.
. "$(dirname "$0")/../xen-case.sh"
boot_cd ROUNDS "$case_dir/cd.iso"
truncate -s 16M "$case_dir/disk"
nic="'mac=00:16:3e:00:00:02,bridge=xenbr0,$(emulated_nic && echo model=rtl8139 || echo type=vif)'"
lab_script --iso "$case_dir/cd.iso" --disk "$case_dir/disk" --cfg "vif = [$nic]" <<'DOM0'
. /usr/lib/lab/functions
# state: what must be the same before and after; the numbers in it change with each domain.
state() {
    ps -o comm | sort | uniq -c | grep -vE ' (ps|sort|uniq|grep|sed|kworker.*|bash|cat)$'
    xenstore-ls -f | sed 's/ = .*//' | grep -v '^/local/domain/0/backend$'
    ls /var/run/xen /sys/class/net
}
# The first one leaves what is there for good (files of locks and logs).
domain guest
run_xl create -p /run/guest.cfg && run_xl destroy guest
sleep 2
state >/lab/out/before
good=0
for round in $(seq 20); do
    run_xl create /run/guest.cfg || { not_ok "round $round: xl create"; break; }
    id=$(domid_of guest) pid=$(dm_pid guest)
    [ $((round % 2)) = 0 ] || sleep 3
    run_xl destroy guest || { not_ok "round $round: xl destroy"; break; }
    sleep 0.5
    left=$(leftovers "$id"; [ ! -e "/proc/$pid" ] || echo "process $pid")
    [ -z "$left" ] || { not_ok "round $round left: $left"; break; }
    good=$round
done
[ "$good" = 20 ]
check $? "twenty domains come and go ($good)"
sleep 2
state >/lab/out/after
cmp -s /lab/out/before /lab/out/after
check $? "processes, keys, sockets and interfaces are what they were" || diff /lab/out/before /lab/out/after
DOM0
