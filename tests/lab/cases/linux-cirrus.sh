#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# One boot of Debian's kernel from the CD, two processors, Cirrus: CD by DMA, disk, text screen, keys, mouse, picture, reset,
# and after the reset what was written to the disk; power-off.
set -uo pipefail
. "$(dirname "$0")/../case-lib.sh"

build/tools/testpicture 1024 768 16 "$case_dir/picture.raw" "$case_dir/picture.png" || exit 1
script=$(guest_script <<'END'
modprobe sd_mod
modprobe ext4
wait_for /dev/sda
sleep 0.5
mkdir -p /mnt/disk
dmesg -n 1
if mount /dev/sda1 /mnt/disk 2>/dev/null; then
    # The second boot.
    cmp -s /mnt/disk/mark /proc/sys/kernel/random/boot_id; [ $? = 1 ]; check $? "reset starts the guest anew"
    (cd /mnt/disk && sha256sum -c sums >/dev/null 2>&1); check $? "what was written to the disk is there after a reset" "other checksums"
    umount /mnt/disk
    echo "check: end"
    poweroff -f
fi
[ "$(nproc)" = 2 ]; check $? "two processors run" "$(nproc)"

grep -q DMA /sys/class/ata_device/dev2.0/xfer_mode
check $? "the CD is set up for DMA" "$(cat /sys/class/ata_device/dev2.0/xfer_mode)"
[ "$(sha256sum </mnt/cd/data.bin)" = "$(sed 's/data.bin/-/' /mnt/cd/data.bin.sha256)" ]
check $? "64 MiB from the CD by DMA have the right checksum" "another"

printf 'o\nn\np\n1\n\n\nw\n' | fdisk /dev/sda >/dev/null 2>&1
wait_for /dev/sda1; sleep 0.5
mke2fs /dev/sda1 >/dev/null 2>&1 && mount -t ext4 /dev/sda1 /mnt/disk; check $? "the disk is partitioned and formatted" "failed"
cat /proc/sys/kernel/random/boot_id >/mnt/disk/mark
# Fill it to the last block: files of 4 MiB until there is no room.
n=0
while dd if=/mnt/cd/data.bin of=/mnt/disk/part$n bs=1M count=4 skip=$((n * 4)) 2>/dev/null && [ $n -lt 7 ]; do n=$((n + 1)); done
cp /mnt/cd/data.bin /mnt/disk/rest 2>/dev/null
df /mnt/disk | tail -n 1 | grep -q '100%'; check $? "the disk is filled" "$(df /mnt/disk | tail -n 1)"
rm /mnt/disk/rest
(cd /mnt/disk && sha256sum part* mark >sums); sync
umount /mnt/disk && mount -t ext4 /dev/sda1 /mnt/disk && cd /mnt/disk && sha256sum -c sums >/dev/null 2>&1
check $? "filled, remounted, verified" "other checksums"
cd /
umount /mnt/disk

screen '\033[2J\033[H\033[?25lhvm-dm: the text screen\n\n !"#$%%&\047()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`\nabcdefghijklmnopqrstuvwxyz{|}~\n'
screen '\033[31mred \033[32mgreen \033[34mblue \033[1;37;44mwhite on blue\033[0m \033[7mreverse\033[0m\n'
stage text
line=$(typed 120)
[ "$line" = "Hello, World_42 {~}" ]; check $? "keys typed through VNC arrive" "'$line'"

modprobe psmouse
modprobe evdev
mouse=$(input_device mouse)
# Opened before the host is told: what comes before the reader runs waits in the descriptor.
exec 4<"$mouse"
cat <&4 >/tmp/mouse.raw &
stage mouse
typed 120 >/dev/null
hexdump -v -e '24/1 "%02x" "\n"' /tmp/mouse.raw >/tmp/mouse
# struct input_event: 16 bytes of time, type, code, value. Relative x and y, the wheel, the left button down and up.
has() { grep -qE "^.{32}$1" /tmp/mouse; }
has 02000000 && has 02000100; check $? "the mouse's movement arrives" "$(wc -l </tmp/mouse) events"
has 0100100101000000 && has 0100100100000000; check $? "the mouse's left button arrives" "$(wc -l </tmp/mouse) events"
has 02000800; check $? "the mouse's wheel arrives" "$(wc -l </tmp/mouse) events"

modprobe cirrus
sleep 1
echo 0 >/sys/class/vtconsole/vtcon1/bind
grep -q cirrus /proc/fb; check $? "the kernel's Cirrus driver sets a mode" "$(cat /proc/fb)"
echo "frame buffer: $(cat /sys/class/graphics/fb0/virtual_size) $(cat /sys/class/graphics/fb0/bits_per_pixel) $(cat /sys/class/graphics/fb0/stride)"
cat /mnt/cd/picture.raw >/dev/fb0
stage picture
sleep 3
typed 120 >/dev/null
stage reset
reboot -f
END
)
tests/lab/mkiso --output "$case_dir/cd.iso" --data --script "$script" --file "$case_dir/picture.raw:picture.raw" || exit 1
truncate -s 48M "$case_dir/disk"

# What this machine does at the guest's stages; a mark for each thing that was seen.
export VNCDO evidence case_dir
at_text='
    v="$VNCDO -S 1.5 -t 15 -s 127.0.0.1:$VNC_PORT"
    $v capture $evidence/text.png
    vncsnapshot -quiet 127.0.0.1:$((VNC_PORT - 5900)) $evidence/vncsnapshot.jpg >/dev/null 2>&1
    # Converters widen the six bits of a palette entry in two ways.
    $v -e 3 expect-picture tests/lab/cases/text.png && touch $case_dir/text-right
    $v type "Hello, World_42 {~}\n"'
at_mouse='
    v="$VNCDO -S 1.5 -s 127.0.0.1:$VNC_PORT"
    $v move 100 100 move 140 130 move 150 120 click 1 wheel 1 wheel 1 pause 1 type "\n"'
at_picture='
    v="$VNCDO -S 1.5 -t 60 -s 127.0.0.1:$VNC_PORT"
    $v expect-picture $case_dir/picture.png && touch $case_dir/picture-right
    $v capture $evidence/picture.png type "\n"'

lab --iso "$case_dir/cd.iso" --disk "$case_dir/disk" --smp 2 --vga cirrus --timeout 1500 --host "/check: stage text/:$at_text" \
    --host "/check: stage mouse/:$at_mouse" --host "/check: stage picture/:$at_picture" -- -boot d "${stock_options[@]}"
result "$lab_status" "Debian's kernel boots from the CD, and power-off ends the device model" "see $evidence/lab.log"
guest_checks "two processors run" "the CD is set up for DMA" "64 MiB from the CD by DMA have the right checksum" \
    "the disk is partitioned and formatted" "the disk is filled" "filled, remounted, verified"
[ -e "$case_dir/text-right" ]
result $? "the text screen is right" "see $evidence/text.png beside tests/lab/cases/text.png"
[ "$(stat -c %s "$evidence/vncsnapshot.jpg" 2>/dev/null || echo 0)" -gt 5000 ]
result $? "vncsnapshot takes the text screen" "see $evidence/vncsnapshot.jpg"
guest_checks "keys typed through VNC arrive" "the mouse's movement arrives" "the mouse's left button arrives" \
    "the mouse's wheel arrives" "the kernel's Cirrus driver sets a mode"
[ -e "$case_dir/picture-right" ]
result $? "a picture through the Cirrus driver is right to the pixel" "see $evidence/picture.png"
guest_checks "reset starts the guest anew" "what was written to the disk is there after a reset"
