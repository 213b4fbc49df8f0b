#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# Linux' own drivers on the keyboard controller: the keyboard and the wheel mouse are found; what a VNC viewer types and points
# at arrives.
set -uo pipefail
cd "$(dirname "$0")/../../.."
. tests/lab/common.sh

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat tests/lab/guest-lib.sh - >"$dir/script" <<'END'
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
tests/lab/mkiso --output "$dir/cd.iso" --script "$dir/script" 2>"$dir/mkiso" || { cat "$dir/mkiso" >&2; exit 1; }
tests/lab/run kvm --iso "$dir/cd.iso" --serial "$dir/serial" --until "script: ended with" --timeout 240 \
    --keys '/script: type now/+1:Hello, world! {"~@#$%^&*()_+|\\} 0123\n' \
    --keys '/typed: Hello/+1:the quick brown fox jumps over the lazy dog THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG\n' \
    --vncdo '/script: point now/+1:move 100 100 move 110 95 click 1 wheel 1 move 90 95' >"$dir/log" 2>&1
status=$?
tr -d '\r' <"$dir/serial" >"$dir/text"

# check WHAT PATTERN: is there such a line from the guest?
failed=0
check() {
    if grep -qE -- "$2" "$dir/text"; then
        echo "ok - $1"
    else
        echo "not ok - $1"
        failed=1
    fi
}
check "Linux finds the keyboard" "input: AT Translated Set 2 keyboard"
check "Linux finds a wheel mouse" "input: ImExPS/2 Generic Explorer Mouse"
check "what is typed over VNC arrives" '^typed: Hello, world! \{"~@#\$%\^&\*\(\)_\+\|\\\} 0123$'
check "nothing is lost of a long line" "^typed: the quick brown fox jumps over the lazy dog THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG$"
check "movement to the right arrives" "^event: 0002 0000 000a 0000"
check "movement up arrives" "^event: 0002 0001 fffb ffff"
check "a click arrives" "^event: 0001 0110 0001 0000"
check "the wheel arrives" "^event: 0002 0008 0001 0000"
if [ $failed != 0 ]; then
    echo "# lab status $status"
    tail -n 60 "$dir/log" "$dir/text" | sed 's/^/# /'
fi
exit $failed
