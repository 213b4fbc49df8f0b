#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# Linux' own drivers on the keyboard controller: the keyboard and the wheel mouse are found; what a VNC viewer types and points
# at arrives.
set -uo pipefail
. "$(dirname "$0")/../case-lib.sh"

script=$(guest_script <<'END'
modprobe evdev
modprobe psmouse
event=$(input_device mouse)
dmesg | grep -E "i8042|input:|psmouse" | sed 's/^/kernel: /'
grep -E "^N:|^H:" /proc/bus/input/devices | sed 's/^/device: /'
stty -F /dev/tty1 sane
echo "script: type now"
read -r line </dev/tty1
echo "typed: $line"
read -r line </dev/tty1
echo "typed: $line"
# Opened before the host is told: what comes before the reader runs waits in the descriptor.
exec 4<"$event"
echo "script: point now"
# struct input_event: 16 bytes of time, type, code, value
dd bs=24 count=10 <&4 2>/dev/null | od -An -v -tx2 -w24 | cut -c 41- | sed 's/^/event:/'
END
)
tests/lab/mkiso --output "$case_dir/cd.iso" --script "$script" || exit 1
lab --iso "$case_dir/cd.iso" --until "script: ended with" --timeout 600 \
    --keys '/script: type now/+1:Hello, world! {"~@#$%^&*()_+|\\} 0123\n' \
    --keys '/typed: Hello/+1:the quick brown fox jumps over the lazy dog THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG\n' \
    --vncdo '/script: point now/+1:move 100 100 move 110 95 click 1 wheel 1 move 90 95'
says "Linux finds the keyboard" "input: AT Translated Set 2 keyboard"
says "Linux finds a wheel mouse" "input: ImExPS/2 Generic Explorer Mouse"
says "what is typed over VNC arrives" '^typed: Hello, world! \{"~@#\$%\^&\*\(\)_\+\|\\\} 0123$'
says "nothing is lost of a long line" "^typed: the quick brown fox jumps over the lazy dog THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG$"
says "movement to the right arrives" "^event: 0002 0000 000a 0000"
says "movement up arrives" "^event: 0002 0001 fffb ffff"
says "a click arrives" "^event: 0001 0110 0001 0000"
says "the wheel arrives" "^event: 0002 0008 0001 0000"
