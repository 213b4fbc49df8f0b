#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A system is installed from a CD onto the empty disk: Debian packages are unpacked there, the boot loader is put on; the CD is
# ejected, the guest reboots from the disk, and what was written is there.
# long
set -uo pipefail
. "$(dirname "$0")/../case-lib.sh"
. tests/lab/common.sh

# The initramfs of the installed system: it has what the root file system wants, and goes there.
lab_kernel
lab_add_busybox "$case_dir/root"
lab_add_modules "$case_dir/root" ata_piix sd_mod ext4 crc32c_generic
cat >"$case_dir/root/init" <<'END'
#!/bin/busybox sh
mount -t proc proc /proc
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module"; done </modules/order
until [ -b /dev/sda1 ]; do sleep 0.3; done
mount -t ext4 /dev/sda1 /mnt
umount /proc
exec switch_root /mnt /sbin/init
END
chmod +x "$case_dir/root/init"
lab_cpio "$case_dir/root" "$case_dir/initrd"

# The packages as they come; apt leaves them in no cache of ours, so they are fetched here.
(cd "$case_dir" && apt-get -q -o APT::Sandbox::User=root download libc6 extlinux busybox-static >log 2>&1) ||
    { echo "skip - an installation onto the disk: its packages could not be fetched"; exit 0; }
cat >"$case_dir/init" <<'END'
#!/bin/busybox sh
# The installed system's.
export PATH=/bin:/sbin:/usr/bin
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
exec </dev/ttyS0 >/dev/ttyS0 2>&1
busybox mount -o remount,rw /
wrong=$(busybox sha256sum -c /var/sums 2>/dev/null | busybox grep -v ": OK$" | busybox head -n 3)
if [ -s /var/sums ] && [ -z "$wrong" ]; then
    echo "check: ok what was installed is there after the reboot"
else
    echo "check: not ok what was installed is there after the reboot: $wrong"
fi
if [ "$(busybox cat /etc/installed-by)" != "$(busybox cat /proc/sys/kernel/random/boot_id)" ]; then
    echo "check: ok the system runs from the disk"
fi
busybox sync
busybox poweroff -f
END
script=$(guest_script <<'END'
modprobe sd_mod
modprobe ext4
wait_for /dev/sda
sleep 0.5
dmesg -n 1
printf 'o\nn\np\n1\n2048\n\na\n1\nw\n' | fdisk /dev/sda >/dev/null 2>&1
wait_for /dev/sda1
sleep 0.5
mkdir -p /mnt/disk
mke2fs /dev/sda1 >/dev/null 2>&1 && mount -t ext4 /dev/sda1 /mnt/disk
check $? "the empty disk gets a file system" "failed"
cd /mnt/disk
mkdir -p dev proc sys tmp etc var boot/extlinux sbin
for package in /mnt/cd/*.deb; do dpkg-deb -x "$package" /mnt/disk || echo "check: not ok packages are unpacked: $package"; done
check $? "packages are unpacked"
cp /mnt/cd/init sbin/init
chmod +x sbin/init
cp /mnt/cd/isolinux/vmlinuz boot/vmlinuz
cp /mnt/cd/initrd boot/initrd
cat >boot/extlinux/extlinux.conf <<CONF
DEFAULT disk
PROMPT 0
LABEL disk
  KERNEL /boot/vmlinuz
  INITRD /boot/initrd
  APPEND console=tty0 console=ttyS0,115200 rdinit=/init quiet mitigations=off
CONF
cat /proc/sys/kernel/random/boot_id >etc/installed-by
find . -xdev -type f ! -name sums | sort | xargs sha256sum >/tmp/sums
sed 's| \./| /|' /tmp/sums >var/sums
mount -t devtmpfs dev dev
mount -t proc proc proc
mount -t sysfs sys sys
chroot /mnt/disk /usr/bin/extlinux --install /boot/extlinux
check $? "the boot loader is installed" "extlinux failed"
umount dev proc sys
cd /
umount /mnt/disk
dd if=/mnt/cd/mbr.bin of=/dev/sda conv=notrunc 2>/dev/null
sync
umount /mnt/cd
check $? "the CD is let go" "it is busy"
stage eject
typed 120 >/dev/null
reboot -f
END
)
debs=()
for file in "$case_dir"/*.deb; do debs+=(--file "$file:$(basename "$file")"); done
tests/lab/mkiso --output "$case_dir/cd.iso" --script "$script" "${debs[@]}" --file "$case_dir/init:init" \
    --file "$case_dir/initrd:initrd" --file "$(lab_deb syslinux-common)/usr/lib/syslinux/mbr/mbr.bin:mbr.bin" || exit 1
truncate -s 160M "$case_dir/disk"

export VNCDO evidence case_dir
at_eject='
    lab_qmp "{\"execute\":\"eject\",\"arguments\":{\"device\":\"cd0\"}}" >$evidence/eject
    lab_qmp "{\"execute\":\"query-block\"}" >$evidence/query-block
    $VNCDO -s 127.0.0.1:$VNC_PORT type "\n"'
lab --iso "$case_dir/cd.iso" --disk "$case_dir/disk" --memory 384 --timeout 1500 --host "/check: stage eject/:$at_eject" -- \
    -boot order=cd "${stock_options[@]}"
result "$lab_status" "the CD boots while the disk is empty, and the installed system powers off" "see $evidence/lab.log"
guest_checks "the empty disk gets a file system" "packages are unpacked" "the boot loader is installed" "the CD is let go"
grep -q '"return"' "$evidence/eject"
result $? "the CD is ejected by QMP" "$(cat "$evidence/eject")"
guest_checks "the system runs from the disk" "what was installed is there after the reboot"
