#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# dm_restrict: Debian's kernel boots, reads CD and disk with a device model that is an unprivileged user in an empty root; its CD is
# changed meanwhile.
. "$(dirname "$0")/../xen-case.sh"
script=$(xen_guest_script <<'END'
dmesg -n 1
modprobe sd_mod
wait_for /dev/sda
check_cd
check_disk /dev/sda "the emulated disk"
umount /mnt/cd
eject /dev/sr0 2>/dev/null
stage change
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    sleep 2
    dd if=/dev/sr0 bs=2048 skip=16 count=1 2>/dev/null | grep -q OTHERDISC && break
done
dd if=/dev/sr0 bs=2048 skip=16 count=1 2>/dev/null | grep -q OTHERDISC; check $? "the guest reads the other CD" "$(dd if=/dev/sr0 bs=2048 skip=16 count=1 2>&1 | tr -dc ' -~' | head -c 200); $(cat /sys/block/sr0/size) sectors; $(dmesg | tail -n 2 | tr '\n' ' ')"
END
)
make_cd --data --script "$script" --append "xen_emul_unplug=never $xen_quick"
boot_cd OTHERDISC "$case_dir/other.iso"
truncate -s 48M "$case_dir/disk"
# The lab's 9p share gives each user of dom0 access of its own, which nobody has not: a copy in memory stands in for a local disc.
# shellcheck disable=SC2016 # dom0 expands it
look='cp /lab/other.iso /run/; pid=$(dm_pid guest); grep -E "^(Uid|Gid|Groups|CapEff)" /proc/$pid/status; echo "root $(readlink /proc/$pid/root) holds $(ls -A /proc/$pid/root/ | wc -l)"'
lab --iso "$case_dir/cd.iso" --disk "$case_dir/disk" --put "$case_dir/other.iso" --timeout "$case_seconds" \
    --cfg "dm_restrict = 1" --cfg 'device_model_user = "nobody"' --dom0 "/check: stage change/:$look" \
    --xl "/check: stage change/+1:cd-insert guest hdc /run/other.iso"
result "$lab_status" "Debian's kernel boots under dm_restrict" "see $evidence/lab.log"
tr '\n' ' ' <"$evidence/lab.log" | grep -qE 'Uid:[[:space:]]+65534[[:space:]]+65534[[:space:]]+65534[[:space:]]+65534.*CapEff:[[:space:]]+0+ '
result $? "the device model is an unprivileged user without capabilities" "see $evidence/lab.log"
grep -q 'root /var/run/xen/qemu-root-[0-9]* holds 0' "$evidence/lab.log"
result $? "in an empty root directory" "see $evidence/lab.log"
guest_checks "64 MiB from the CD have the right checksum" "the emulated disk: 8 MiB written and read back" \
    "the emulated disk: a file system holds a file" "the guest reads the other CD"
