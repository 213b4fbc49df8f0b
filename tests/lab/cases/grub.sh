#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# long
# GRUB's rescue CD comes up, its prompt on the screen, takes keys and writes to the serial port.
set -uo pipefail
. "$(dirname "$0")/../case-lib.sh"

iso=/usr/lib/grub-rescue/grub-rescue-cdrom.iso
if [ ! -r "$iso" ]; then
    echo "skip - GRUB's rescue CD: $iso is missing (Debian package grub-rescue-pc)"
    exit 0
fi
export VNCDO evidence
# GRUB's menu boots its entry, which is not there, after five seconds, and then waits for a key. Of two c the first leaves that
# message or opens the command line, the second opens it or stands in it, and ctrl-u clears it. GRUB draws and reads keys through
# the BIOS, each character a long way in a lab: every key waits for the echo of the one before.
at_start='
    v="$VNCDO -S 1.5 -d 200 -t 240 -s 127.0.0.1:$VNC_PORT"
    $v expect-drawn 1000 capture $evidence/menu.png type c wait-quiet 4 type c wait-quiet 4 key ctrl-u wait-quiet 2 \
        type-seen "serial\n" capture $evidence/screen.png type-seen "terminal_output serial\n" && touch $evidence/drawn'
rm -f "$evidence/drawn"
lab --iso "$iso" --memory 128 --timeout 600 --host "3:$at_start" --until "grub>" -- -boot d "${stock_options[@]}"
result "$lab_status" "GRUB's rescue CD takes keys and writes to the serial port" "see $evidence/lab.log"
[ -e "$evidence/drawn" ]
result $? "GRUB's screen is kept as $evidence/screen.png"
