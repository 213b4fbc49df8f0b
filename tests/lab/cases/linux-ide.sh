#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# Linux' own drivers on the IDE: modes, three drives on two channels, sectors beyond 28 bits of LBA, TRIM, the disc changed from
# outside and ejected by the guest, and no error of the ATA layer in all that.
set -uo pipefail
. "$(dirname "$0")/../case-lib.sh"

script=$(guest_script <<'END_OF_GUEST'
modprobe sd_mod
modprobe ext4
wait_for /dev/sdb
sleep 0.5
mkdir -p /mnt/disk
dmesg -n 1
dmesg | grep -qE "ata1.00: ATA-7: HVM-DM HARDDISK.*UDMA/100"; check $? "the disk says what it is" "$(dmesg | grep 'ata1.00: ATA')"
dmesg | grep -qE "ata1.01: .* sectors.*LBA48"; check $? "the slave is found, with 48 bits of LBA" "$(dmesg | grep 'ata1.01:')"
dmesg | grep -qE "ata2.00: ATAPI: HVM-DM DVD-ROM"; check $? "the CD drive says what it is" "$(dmesg | grep 'ata2.00: ATAPI')"
grep -qiE "MW.?DMA.?2" /sys/class/ata_device/dev1.0/xfer_mode; check $? "the disk runs with the fastest mode of a PIIX3" "$(cat /sys/class/ata_device/dev1.0/xfer_mode)"
dmesg | grep -qE "sda.*Write cache: enabled, read cache: enabled"; check $? "the write cache is seen" "$(dmesg | grep 'sda.*cache')"

# 200 GiB, sparse: a MiB at its end.
end=$(($(cat /sys/block/sdb/size) / 2048 - 1))
dd if=/mnt/cd/data.bin of=/dev/sdb bs=1M count=1 seek=$end conv=fsync 2>/dev/null
echo 3 >/proc/sys/vm/drop_caches
dd if=/dev/sdb bs=1M count=1 skip=$end 2>/dev/null | cmp -n 1048576 - /mnt/cd/data.bin
check $? "what lies beyond 28 bits is written and read" "it differs"

mke2fs /dev/sda >/dev/null 2>&1; mount -t ext4 /dev/sda /mnt/disk
dd if=/mnt/cd/data.bin of=/mnt/disk/data.bin bs=1M count=8 2>/dev/null; sync; rm /mnt/disk/data.bin; sync
fstrim /mnt/disk; check $? "the file system is trimmed" "fstrim fails"
umount /mnt/disk

umount /mnt/cd
stage change
i=0
until mount -t iso9660 -o ro /dev/sr0 /mnt/cd 2>/dev/null && [ -e /mnt/cd/second ] || [ $i = 60 ]; do umount /mnt/cd 2>/dev/null; sleep 0.5; i=$((i + 1)); done
[ "$(cat /mnt/cd/second)" = "another disc" ]; check $? "another disc is read after a change" "'$(cat /mnt/cd/second)'"
stage locked
sleep 3
[ "$(cat /mnt/cd/second)" = "another disc" ]; check $? "a mounted disc is locked against eject" "it is gone"
umount /mnt/cd
eject /dev/sr0; check $? "the guest ejects the disc" "eject fails"
mount -t iso9660 -o ro /dev/sr0 /mnt/cd 2>/dev/null; [ $? != 0 ]; check $? "an open tray has no disc" "it is mounted"
eject -t /dev/sr0; sleep 1
mount -t iso9660 -o ro /dev/sr0 /mnt/cd 2>/dev/null; check $? "the tray is closed again, and the disc read" "it is not mounted"
umount /mnt/cd

errors=$(dmesg | grep -E "ata[0-9.]+: (exception|failed|lost|SRST|soft|hard|COMRESET)|I/O error|qc timeout" | grep -v "sr0")
[ -z "$errors" ]; check $? "the ATA layer saw no error" "$errors"
echo "check: end"
poweroff -f
END_OF_GUEST
)
tests/lab/mkiso --output "$case_dir/cd.iso" --data --script "$script" || exit 1
truncate -s 32M "$case_dir/disk"
truncate -s 200G "$case_dir/large"
mkdir "$case_dir/disc" && echo "another disc" >"$case_dir/disc/second"
xorriso -as mkisofs -quiet -o "$case_dir/two.iso" "$case_dir/disc" >/dev/null 2>&1 || exit 1

export evidence
at_change='
    lab_qmp "{\"execute\":\"eject\",\"arguments\":{\"device\":\"cd0\"}}"
    lab_qmp "{\"execute\":\"blockdev-change-medium\",\"arguments\":{\"device\":\"cd0\",\"filename\":\"/lab/two.iso\",\"format\":\"raw\"}}"'
at_locked='
    lab_qmp "{\"execute\":\"eject\",\"arguments\":{\"device\":\"cd0\"}}" | tee $evidence/locked'
lab --iso "$case_dir/cd.iso" --disk "$case_dir/disk" --put "$case_dir/large" --put "$case_dir/two.iso" --timeout 1500 \
    --host "/check: stage change/:$at_change" --host "/check: stage locked/:$at_locked" \
    -- -boot d -drive file=/lab/large,if=ide,index=1,format=raw
result "$lab_status" "Debian's kernel runs with three drives, and power-off ends the device model" "see $evidence/lab.log"
guest_checks "the disk says what it is" "the slave is found, with 48 bits of LBA" "the CD drive says what it is" \
    "the disk runs with the fastest mode of a PIIX3" "the write cache is seen" "what lies beyond 28 bits is written and read" \
    "the file system is trimmed" "another disc is read after a change" "a mounted disc is locked against eject"
grep -q "is locked" "$evidence/locked"
result $? "the eject of a locked disc is refused" "$(cat "$evidence/locked" 2>/dev/null)"
guest_checks "the guest ejects the disc" "an open tray has no disc" "the tray is closed again, and the disc read" \
    "the ATA layer saw no error"
