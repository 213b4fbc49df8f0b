# SPDX-License-Identifier: GPL-2.0-or-later
# For guest scripts of the Xen lab's cases, after guest-lib.sh.

# check_cd: the 64 MiB on the CD.
check_cd() {
    [ "$(sha256sum </mnt/cd/data.bin)" = "$(sed 's/data.bin/-/' /mnt/cd/data.bin.sha256)" ]
    check $? "64 MiB from the CD have the right checksum" "another"
}

# check_disk DISK NAME: written with what cannot be guessed, read back past the cache, and a file system on it.
check_disk() {
    dd if=/dev/urandom of=/pattern bs=1M count=8 2>/dev/null
    sum=$(sha256sum </pattern)
    dd if=/pattern of="$1" bs=64k seek=16 conv=fsync 2>/dev/null
    echo 3 >/proc/sys/vm/drop_caches
    [ "$(dd if="$1" bs=64k skip=16 count=128 2>/dev/null | sha256sum)" = "$sum" ]
    check $? "$2: 8 MiB written and read back" "other data"
    modprobe crc32c_generic
    modprobe ext4
    mkdir -p /mnt/disk
    mke2fs "$1" >/dev/null 2>&1 && mount -t ext4 "$1" /mnt/disk && cp /pattern /mnt/disk/ && umount /mnt/disk &&
        mount -t ext4 "$1" /mnt/disk && [ "$(sha256sum </mnt/disk/pattern)" = "$sum" ]
    check $? "$2: a file system holds a file" "failed"
    umount /mnt/disk 2>/dev/null
    rm /pattern
}
