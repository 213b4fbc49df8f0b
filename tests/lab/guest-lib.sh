#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Put before the scripts that lab cases run in the guest.

# check STATUS WHAT [WHY]
check() {
    if [ "$1" = 0 ]; then echo "check: ok $2"; else echo "check: not ok $2: $3"; fi
}

# stage NAME: a mark for the test, which acts when it sees it.
stage() {
    echo "check: stage $1"
}

# wait_for FILE: up to two minutes for a device to be there.
wait_for() {
    local i=0
    until [ -e "$1" ] || [ $i = 600 ]; do sleep 0.2; i=$((i + 1)); done
    [ -e "$1" ]
}

# input_device PATTERN: the device file of the input device of that name, which may take its driver a while to find.
input_device() {
    local i=0 file
    while [ $i -lt 600 ]; do
        for file in /sys/class/input/event*/device/name; do
            if grep -qi "$1" "$file"; then
                file=${file%/device/name}
                wait_for "/dev/input/${file##*/}" && echo "/dev/input/${file##*/}"
                return
            fi
        done
        sleep 0.2
        i=$((i + 1))
    done
    echo "/no/input/device/$1"
    return 1
}

# typed SECONDS: the line that the test types on the screen's terminal.
typed() {
    local line=''
    read -r -t "$1" line </dev/tty1
    echo "$line"
}

# screen TEXT: on the screen's terminal, with printf's escapes.
screen() {
    printf "$1" >/dev/tty1
}
