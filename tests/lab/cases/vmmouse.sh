#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# Linux' vmmouse driver on VMware's port: positions of a VNC viewer's pointer arrive at their pixels, clicks and the wheel too.
set -uo pipefail
. "$(dirname "$0")/../case-lib.sh"

script=$(guest_script <<'END'
modprobe evdev
modprobe psmouse
input_device 'VMware VMMouse' >/dev/null
grep -E "^N:" /proc/bus/input/devices | sed 's/^/device: /'
# Two devices of that name: positions come from one, the wheel from the other.
: >/tmp/events
for file in /sys/class/input/event*/device/name; do
    grep -q VMMouse "$file" || continue
    file=${file%/device/name}
    cat "/dev/input/${file##*/}" >>/tmp/events &
done
stage point
until od -An -v -tx2 -w24 /tmp/events | grep -q "0001 0111 0000 0000$"; do sleep 0.5; done
# struct input_event: 16 bytes of time, type (3: absolute, 1: a key, 2: the wheel, 0: the report's end), code, value
od -An -v -tu2 -w24 /tmp/events | awk '
    $9 == 3 && $10 == 0 { x = $11 }
    $9 == 3 && $10 == 1 { y = $11 }
    $9 == 2 { print "wheel:", $11 }
    $9 == 1 && $10 == 272 && $11 == 1 { clicked = 1 }
    $9 == 0 && clicked { print "position:", int(x * 720 / 65536), int(y * 400 / 65536); clicked = 0 }'
END
)
tests/lab/mkiso --output "$case_dir/cd.iso" --script "$script" || exit 1
lab --iso "$case_dir/cd.iso" --vga std --until "script: ended with" --timeout 600 \
    --vncdo '/check: stage point/+1:move 1 1 click 1 pause 0.2 move 719 399 click 1 pause 0.2 move 77 311 click 1 wheel 1 pause 0.2 click 3' \
    -- -device vmmouse
says "Linux finds VMware's mouse" 'device: N: Name=".*VMware VMMouse"'
says "near the first corner" "^position: 1 1$"
says "in the last corner" "^position: 719 399$"
says "elsewhere" "^position: 77 311$"
says "the wheel" "^wheel: 1$"
