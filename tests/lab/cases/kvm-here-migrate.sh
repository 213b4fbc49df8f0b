#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# This machine's own /dev/kvm, whatever it can run: a boot sector that counts by the timer's interrupts goes from process to process,
# through a file and over a socket, and counts on. See tests/guests/count.S.
set -uo pipefail
cd "$(dirname "$0")/../../.."
DM=${DM:-build/hvm-dm}

if ! [ -r /dev/kvm ] || ! [ -w /dev/kvm ]; then
    echo "skip - a guest that goes from process to process on this machine's KVM: /dev/kvm cannot be opened"
    exit 0
fi
make -s build/guests/count.img || { echo "not ok - building the boot sector"; exit 1; }
dir=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; rm -rf "$dir"' EXIT

# start N OPTION...: the Nth process of the guest.
start() {
    local n=$1
    shift
    "$DM" -accel kvm -m 64 -nodefaults -vga std -display none -hda build/guests/count.img -snapshot -serial "file:$dir/serial$n" -boot c \
        -qmp "unix:$dir/qmp$n,server=on,wait=off" "$@" 2>"$dir/err$n" &
    pids[n]=$!
}
# until_true COMMAND...: up to 60 s, times TEST_TIMEOUT_SCALE.
until_true() {
    local n
    for ((n = 0; n < 600 * ${TEST_TIMEOUT_SCALE:-1}; n++)); do
        "$@" && return 0
        sleep 0.1
    done
    return 1
}
has_lines() { # N FILE
    [ -r "$2" ] && [ "$(grep -ac "^[0-9A-F]\{8\} [0-9A-F]\{8\}" "$2")" -ge "$1" ]
}
# qmp N JSON...: sends the commands to the Nth process one after the other, prints the answers.
qmp() {
    local n=$1
    shift
    { printf '{"execute": "qmp_capabilities"}\n'; printf '%s\n' "$@"; sleep 0.5; } | socat -t 20 - "UNIX-CONNECT:$dir/qmp$n"
}
is_status() { # N STATUS
    qmp "$1" '{"execute": "query-status"}' 2>/dev/null | grep -q "\"status\": \"$2\""
}
migrate() { # N URI
    qmp "$1" '{"execute": "migrate", "arguments": {"uri": "'"$2"'"}}' >"$dir/answers"
    until_true is_status "$1" postmigrate
}
result() {
    if [ "$1" = 0 ]; then echo "ok - $2"; else echo "not ok - $2"; tail -n 5 "$dir"/err* "$dir/answers" | sed 's/^/    /'; fi
}
# Every number follows the one before it, and memory is what the number says: 64 times the number.
in_order() {
    cat "$@" | tr -d '\r' | awk '
        function value(text, v, i) { v = 0; for (i = 1; i <= 8; i++) v = v * 16 + index("123456789ABCDEF", substr(text, i, 1)); return v }
        { if (value($1) != NR || value($2) != 64 * NR) { print "line " NR ": " $0; bad = 1; exit } }
        END { exit bad }'
}

start 0
until_true has_lines 20 "$dir/serial0"
result $? "a boot sector counts by the timer's interrupts"
migrate 0 "file:$dir/state"
result $? "it is saved to a file"
kill "${pids[0]}" && wait "${pids[0]}"
start 1 -incoming "file:$dir/state"
until_true has_lines 20 "$dir/serial1"
result $? "and counts on in another process, which loaded it"
start 2 -incoming "unix:$dir/socket"
until_true test -S "$dir/socket"
migrate 1 "unix:$dir/socket"
result $? "it is sent over a socket"
until_true has_lines 20 "$dir/serial2"
result $? "and counts on in the process at its other end"
migrate 2 "file:$dir/state2"
in_order "$dir/serial0" "$dir/serial1" "$dir/serial2" >"$dir/answers"
result $? "no number was lost or came twice, and memory is right"
printf '\377' | dd of="$dir/state2" bs=1 seek=$(($(stat -c %s "$dir/state2") - 2000)) conv=notrunc 2>/dev/null
start 3 -incoming "file:$dir/state2"
! wait "${pids[3]}" && grep -q "cannot be taken" "$dir/err3"
result $? "a state that was changed on its way is refused"
