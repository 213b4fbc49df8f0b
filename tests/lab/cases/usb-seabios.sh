#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# SeaBIOS' own UHCI driver on this machine's /dev/kvm: it finds the keyboard, and its boot menu takes keys from it. What SeaBIOS
# says comes by its debug port.
set -uo pipefail
cd "$(dirname "$0")/../../.."
DM=${DM:-build/hvm-dm}

if ! [ -r /dev/kvm ] || ! [ -w /dev/kvm ]; then
    echo "skip - SeaBIOS takes keys of usb-kbd: /dev/kvm cannot be opened"
    exit 0
fi
make -s build/guests/hello.img || { echo "not ok - building the boot sector"; exit 1; }
dir=$(mktemp -d)
trap 'kill $dm 2>/dev/null; rm -rf "$dir"' EXIT
cp build/guests/hello.img "$dir/disk"
cp build/guests/hello.img "$dir/floppy"
"$DM" -accel kvm -m 64 -nodefaults -vga std -display none -drive "file=$dir/disk,format=raw,if=ide" \
    -drive "file=$dir/floppy,format=raw,if=floppy" -boot menu=on,splash-time=30000 -usb -device usb-kbd,id=kbd \
    -chardev "file,id=log,path=$dir/log" -device isa-debugcon,iobase=0x402,chardev=log \
    -qmp "unix:$dir/qmp,server=on,wait=off" 2>"$dir/err" &
dm=$!

# wait_for TEXT: in SeaBIOS' log, up to 60 s, times TEST_TIMEOUT_SCALE.
wait_for() {
    local n
    for ((n = 0; n < 600 * ${TEST_TIMEOUT_SCALE:-1}; n++)); do
        grep -aq -- "$1" "$dir/log" 2>/dev/null && return 0
        sleep 0.1
    done
    return 1
}
# key NAME
key() {
    printf '{"execute": "qmp_capabilities"}\n{"execute": "send-key", "arguments": {"keys": [{"type": "qcode", "data": "%s"}]}}\n' \
        "$1" | socat -t 2 - "UNIX-CONNECT:$dir/qmp" >"$dir/answer"
}
result() {
    if [ "$1" = 0 ]; then echo "ok - $2"; else echo "not ok - $2"; sed 's/^/    /' "$dir/err" "$dir/log"; fi
}

wait_for "Press ESC for boot menu" && grep -q "USB keyboard initialized" "$dir/log"
result $? "SeaBIOS finds the USB keyboard"
key esc
wait_for "Select boot device"
result $? "a key of it opens the boot menu"
key 2
wait_for "Booting from Floppy"
result $? "a key of it chooses from the menu"
