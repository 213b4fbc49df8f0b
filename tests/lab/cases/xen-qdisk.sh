#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# Paravirtual disks that the device model serves (backendtype=qdisk) to Debian's blkfront: the emulated disk's twin, partitioned,
# filled and flushed; a raw file attached and detached under way; pages kept mapped and pages copied; and a guest that never
# unplugs and stays on IDE.
. "$(dirname "$0")/../xen-case.sh"
prelude=$(cat <<'END'
dmesg -n 1
modprobe xen-blkfront $(sed -n 's/.*lab.blkfront=\([^ ]*\).*/\1/p' /proc/cmdline)
modprobe sd_mod
modprobe crc32c_generic
modprobe ext4
mkdir -p /mnt/disk
END
)
# boot NAME APPEND OPTION... <<'END': the guest boots with the script.
boot() {
    make_cd --script "$( (echo "$prelude"; cat) | xen_guest_script)" --append "$2 $xen_quick"
    rm -f "$case_dir/disk"
    truncate -s 48M "$case_dir/disk"
    lab --iso "$case_dir/cd.iso" --disk "$case_dir/disk" --backend qdisk --timeout "$case_seconds" "${@:3}"
    cp "$evidence/serial" "$evidence/serial-$1" 2>/dev/null
    cp "$evidence/dm.log" "$evidence/dm-$1.log" 2>/dev/null
    result "$lab_status" "$1: Debian's kernel boots and ends" "see $evidence/lab.log"
}

attach="truncate -s 32M /run/extra.img && xl block-attach guest format=raw,backendtype=qdisk,vdev=xvde,access=rw,target=/run/extra.img"
boot mapped "" --dom0 "/check: stage attach/:$attach" \
    --qmp '/check: stage flushed/:{"execute":"query-blockstats"}' --xl "/check: stage detach/:block-detach guest xvde" \
    --dom0 "/check: stage detached/:stat -c 'lab: the file attached has %b blocks' /run/extra.img" <<'END'
wait_for /dev/xvda
sleep 0.5
[ ! -b /dev/sda ] && [ -b /dev/xvda ]; check $? "the emulated disk is unplugged and the PV disk is there" "$(ls /sys/block)"
dmesg | grep -q 'xvda: flush diskcache: enabled; persistent grants: enabled; indirect descriptors: enabled'
check $? "the driver found flush, persistent grants and indirect segments" "$(dmesg | grep blkfront)"
printf 'n\np\n1\n\n\nw\n' | fdisk /dev/xvda >/dev/null 2>&1
wait_for /dev/xvda1; check $? "the disk is partitioned" "$(fdisk -l /dev/xvda 2>&1)"
check_disk /dev/xvda1 "the partition"
mount -t ext4 /dev/xvda1 /mnt/disk
dd if=/dev/urandom of=/mnt/disk/fill bs=256k 2>/dev/null
umount /mnt/disk # too large for a cache to keep it all
full=$(mount -t ext4 /dev/xvda1 /mnt/disk && sha256sum </mnt/disk/fill; stat -c %s /mnt/disk/fill)
umount /mnt/disk
echo 3 >/proc/sys/vm/drop_caches
again=$(mount -t ext4 -o ro /dev/xvda1 /mnt/disk && sha256sum </mnt/disk/fill; stat -c %s /mnt/disk/fill)
[ "$full" = "$again" ] && [ "${full##*
}" -gt 30000000 ]; check $? "the full file system is the same when it is mounted again" "$full, then $again"
umount /mnt/disk
dd if=/dev/urandom of=/dev/xvda bs=4k count=1 seek=9000 conv=fsync 2>/dev/null
[ "$(cat /sys/block/xvda/queue/write_cache)" = "write back" ]; check $? "the disk has a cache that is flushed" "$(cat /sys/block/xvda/queue/write_cache)"
stage flushed
stage attach
wait_for /dev/xvde; check $? "a raw file attached by xl appears" "$(ls /sys/block)"
sleep 0.5
check_disk /dev/xvde "the file attached"
dd if=/dev/urandom of=/dev/xvde bs=1M count=32 conv=fsync 2>/dev/null
blkdiscard /dev/xvde 2>/dev/null; check $? "it takes a discard" "no"
echo 3 >/proc/sys/vm/drop_caches
[ "$(head -c 33554432 /dev/xvde | tr -d '\0' | wc -c)" = 0 ]; check $? "what was discarded reads as zeroes" "other data"
stage detach
i=0; while [ -b /dev/xvde ] && [ $i -lt 600 ]; do sleep 0.2; i=$((i + 1)); done
[ ! -b /dev/xvde ]; check $? "it goes when xl detaches it" "it stays"
sleep 1
stage detached
! dmesg | grep -iE 'I/O error|xvd.*error|blkfront.*fail'; check $? "the kernel saw no error of a disk" "$(dmesg | grep -i error)"
sleep 3
END
guest_checks "the emulated disk is unplugged and the PV disk is there" \
    "the driver found flush, persistent grants and indirect segments" "the disk is partitioned" \
    "the partition: 8 MiB written and read back" "the partition: a file system holds a file" \
    "the full file system is the same when it is mounted again" "the disk has a cache that is flushed" \
    "a raw file attached by xl appears" "the file attached: 8 MiB written and read back" \
    "the file attached: a file system holds a file" "it takes a discard" "what was discarded reads as zeroes" \
    "it goes when xl detaches it" "the kernel saw no error of a disk"
grep -qE '"flush_operations": *[1-9]' "$evidence/lab.log"
result $? "the flushes reached the block layer" "see $evidence/lab.log"
grep -q 'the file attached has 0 blocks' "$evidence/lab.log"
result $? "the discard gave the file's blocks back" "$(grep 'the file attached has' "$evidence/lab.log")"

boot copied "lab.blkfront=feature_persistent=0" <<'END'
wait_for /dev/xvda
sleep 0.5
dmesg | grep -q 'xvda: .*persistent grants: disabled'; check $? "the driver grants anew each time" "$(dmesg | grep blkfront)"
check_disk /dev/xvda "the disk with copied pages"
END
guest_checks "the driver grants anew each time" "the disk with copied pages: 8 MiB written and read back" \
    "the disk with copied pages: a file system holds a file"

boot never "xen_emul_unplug=never" <<'END'
wait_for /dev/sda
[ -b /dev/sda ] && [ ! -b /dev/xvda ]; check $? "a guest that does not unplug stays on IDE" "$(ls /sys/block)"
check_disk /dev/sda "the emulated disk"
END
guest_checks "a guest that does not unplug stays on IDE" "the emulated disk: 8 MiB written and read back" \
    "the emulated disk: a file system holds a file"
! grep -hE 'hvm-dm: .*(cannot|in use|stopped)' "$evidence"/dm-*.log
result $? "the device model had nothing to complain of" "see $evidence/dm-*.log"
