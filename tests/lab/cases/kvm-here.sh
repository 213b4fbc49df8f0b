#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# This machine's own /dev/kvm, whatever it can run: SeaBIOS and a boot sector, keys by QMP, and, where the KVM lacks an
# instruction (kvm_pvm), the clear line that says so.
set -uo pipefail
cd "$(dirname "$0")/../../.."
DM=${DM:-build/hvm-dm}

if ! [ -r /dev/kvm ] || ! [ -w /dev/kvm ]; then
    echo "skip - SeaBIOS and a boot sector on this machine's KVM: /dev/kvm cannot be opened"
    exit 0
fi
make -s build/guests/hello.img || { echo "not ok - building the boot sector"; exit 1; }
dir=$(mktemp -d)
trap 'kill $dm 2>/dev/null; rm -rf "$dir"' EXIT
"$DM" -accel kvm -m 64 -nodefaults -vga std -display none -hda build/guests/hello.img -serial "file:$dir/serial" \
    -boot c -qmp "unix:$dir/qmp,server=on,wait=off" 2>"$dir/err" &
dm=$!

# wait_for TEXT FILE: up to 60 s, times TEST_TIMEOUT_SCALE.
wait_for() {
    local n
    for ((n = 0; n < 600 * ${TEST_TIMEOUT_SCALE:-1}; n++)); do
        grep -aq -- "$1" "$2" 2>/dev/null && return 0
        sleep 0.1
    done
    return 1
}
# qmp JSON...: sends the commands one after the other, prints the answers.
qmp() {
    { printf '{"execute": "qmp_capabilities"}\n'; printf '%s\n' "$@"; sleep 0.5; } | socat -t 2 - "UNIX-CONNECT:$dir/qmp"
}
result() {
    if [ "$1" = 0 ]; then echo "ok - $2"; else echo "not ok - $2"; sed 's/^/    /' "$dir/err"; fi
}

wait_for "hello from a boot sector" "$dir/serial"
result $? "SeaBIOS starts a boot sector from a disk on this KVM"
qmp '{"execute": "send-key", "arguments": {"keys": [{"type": "qcode", "data": "k"}]}}' >"$dir/answers"
wait_for "k" "$dir/serial"
result $? "a key sent by QMP arrives"
mkdir -p build/evidence
qmp '{"execute": "screendump", "arguments": {"filename": "'"$PWD"'/build/evidence/kvm-here.png", "format": "png"}}' >>"$dir/answers"
[ -s build/evidence/kvm-here.png ]
result $? "the screen is kept as build/evidence/kvm-here.png"
if [ -d /sys/module/kvm_pvm ]; then
    qmp '{"execute": "send-key", "arguments": {"keys": [{"type": "qcode", "data": "x"}]}}' >>"$dir/answers"
    wait_for "KVM does not emulate the instruction" "$dir/err" && grep -q "d9 e8" "$dir/err"
    result $? "an instruction that this KVM does not emulate is named with its bytes"
    wait "$dm"
    [ $? = 1 ]
    result $? "and ends the guest with exit status 1"
else
    echo "skip - an instruction that KVM does not emulate: this KVM is not kvm_pvm"
fi
