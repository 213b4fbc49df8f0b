#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# One boot of Debian's kernel from the CD, eight processors, the standard VGA: -S waits, CD by PIO, stop and cont, keys from
# TigerVNC, picture, reset and power button by QMP.
set -uo pipefail
. "$(dirname "$0")/../case-lib.sh"

build/tools/testpicture 1024 768 32 "$case_dir/picture.raw" "$case_dir/picture.png" || exit 1
script=$(guest_script <<'END'
dmesg -n 1
echo "check: boot $(cat /proc/sys/kernel/random/boot_id)"
[ "$(nproc)" = 8 ]; check $? "eight processors run" "$(nproc)"
[ "$(grep -c ^processor /proc/cpuinfo)" = 8 ]; check $? "eight processors are listed" "$(grep -c ^processor /proc/cpuinfo)"
stage keys
line=$(typed 120)
if [ "$line" = "second" ]; then
    modprobe button 2>/dev/null
    modprobe evdev
    power=$(input_device 'Power Button')
    stage power
    timeout 120 head -c 24 "$power" >/dev/null; check $? "system_powerdown presses the power button" "nothing came from $power"
    poweroff -f
fi
[ "$line" = "first" ]; check $? "keys typed through TigerVNC arrive" "'$line'"

grep -q PIO /sys/class/ata_device/dev2.0/xfer_mode
check $? "the CD is set up for PIO" "$(cat /sys/class/ata_device/dev2.0/xfer_mode)"
[ "$(sha256sum </mnt/cd/data.bin)" = "$(sed 's/data.bin/-/' /mnt/cd/data.bin.sha256)" ]
check $? "64 MiB from the CD by PIO have the right checksum" "another"

stage stop
typed 120 >/dev/null

# A text cursor that still blinks would be in the picture.
screen '\033[?25l'
modprobe bochs
sleep 1
echo 0 >/sys/class/vtconsole/vtcon1/bind
grep -q bochs /proc/fb; check $? "the kernel's Bochs driver sets a mode" "$(cat /proc/fb)"
cat /mnt/cd/picture.raw >/dev/fb0
stage picture
typed 120 >/dev/null
stage reset
sleep 600
END
)
tests/lab/mkiso --output "$case_dir/cd.iso" --data --script "$script" --file "$case_dir/picture.raw:picture.raw" \
    --append libata.dma=0 || exit 1

export VNCDO evidence case_dir
at_start='
    lab_qmp "{\"execute\":\"query-status\"}" >$case_dir/status-waiting
    lab_qmp "{\"execute\":\"cont\"}" >/dev/null'
at_keys='

    $VNCDO -S 1.5 -s 127.0.0.1:$VNC_PORT capture $evidence/text.png
    tests/lab/type-in-tigervnc 127.0.0.1:$VNC_PORT first >$evidence/tigervnc.log 2>&1'
at_stop='
    lab_qmp "{\"execute\":\"stop\"}" >/dev/null
    lab_qmp "{\"execute\":\"query-status\"}" >$case_dir/status-stopped
    $VNCDO -S 1.5 -s 127.0.0.1:$VNC_PORT type "\n" capture $case_dir/stopped.png
    sleep 3
    $VNCDO -S 1.5 -s 127.0.0.1:$VNC_PORT capture $case_dir/still-stopped.png
    lab_qmp "{\"execute\":\"cont\"}" >/dev/null
    lab_qmp "{\"execute\":\"query-status\"}" >$case_dir/status-running
    $VNCDO -s 127.0.0.1:$VNC_PORT type "\n"'
at_picture='
    v="$VNCDO -S 1.5 -t 60 -s 127.0.0.1:$VNC_PORT"
    $v expect-picture $case_dir/picture.png && touch $case_dir/picture-right
    $v capture $evidence/picture.png type "\n"'
at_reset='
    lab_qmp "{\"execute\":\"system_reset\"}" >/dev/null
    until [ "$(grep -ac "check: stage keys" "$lab_serial")" -ge 2 ]; do sleep 1; done
    $VNCDO -s 127.0.0.1:$VNC_PORT type "second\n"
    until lab_serial_says "check: stage power"; do sleep 1; done
    sleep 2
    lab_qmp "{\"execute\":\"system_powerdown\"}" >/dev/null'

lab --iso "$case_dir/cd.iso" --smp 8 --vga std --timeout 1500 --host "3:$at_start" --host "/check: stage keys/:$at_keys" \
    --host "/check: stage stop/:$at_stop" --host "/check: stage picture/:$at_picture" \
    --host "/check: stage reset/:$at_reset" -- -boot d -S "${stock_options[@]}"
grep -qE '"status": ?"(prelaunch|paused)"' "$case_dir/status-waiting"
result $? "-S waits for cont" "$(cat "$case_dir/status-waiting")"
result "$lab_status" "the guest boots with eight processors, and power-off ends the device model" "see $evidence/lab.log"
guest_checks "eight processors run" "eight processors are listed" "keys typed through TigerVNC arrive" \
    "the CD is set up for PIO" "64 MiB from the CD by PIO have the right checksum"
grep -qE '"status": ?"paused"' "$case_dir/status-stopped" && grep -qE '"status": ?"running"' "$case_dir/status-running" &&
    cmp -s "$case_dir/stopped.png" "$case_dir/still-stopped.png"
result $? "stop holds the guest, cont lets it go on" "$(cat "$case_dir"/status-*)"
guest_checks "the kernel's Bochs driver sets a mode"
[ -e "$case_dir/picture-right" ]
result $? "a picture through the Bochs driver is right to the pixel" "see $evidence/picture.png"
[ "$(grep -a '^check: boot' "$evidence/serial" | sort -u | wc -l)" = 2 ]
result $? "system_reset starts the guest anew"
guest_checks "system_powerdown presses the power button"
