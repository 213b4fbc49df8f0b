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

# wait_for FILE: up to ten seconds for a device to be there.
wait_for() {
    local i=0
    until [ -e "$1" ] || [ $i = 50 ]; do sleep 0.2; i=$((i + 1)); done
    [ -e "$1" ]
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
